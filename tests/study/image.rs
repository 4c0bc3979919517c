//! An image of our own with structure at several scales, and references that see it under a known map.

use crate::common::geometry::{Map, apply};
use crate::common::sky::Rng;
use std::sync::Arc;

/// Sides of the image, px: wide enough that no truth and no start leaves it, so that the step is compared and not what
/// each solver does at the border.
pub(crate) const IMAGE: usize = 256;
/// Sides of the rectangle that is aligned, px: 6x6 patches of ours.
pub(crate) const RECTANGLE: usize = 96;
/// Px around the rectangle that a reference holds besides: smoothing reads them.
pub(crate) const BORDER: usize = 4;
/// Sides of a reference, px.
pub(crate) const REFERENCE: usize = RECTANGLE + 2 * BORDER;

/// Gray units of a level of 8 bits.
const UNITS: f64 = 257.0;
/// Levels of 8 bits between which the image lies: room for the noise on both sides.
const BLACK: f64 = 30.0;
const WHITE: f64 = 225.0;
/// Standard deviation of the noise, levels of 8 bits.
const NOISE: f64 = 8.0;
/// The photometric distortion: T becomes (T + 20)^0.9, levels of 8 bits.
const LIFT: f64 = 20.0;
const GAMMA: f64 = 0.9;

/// Standard deviations of the blobs that make the image, px.
const SCALES: [f64; 5] = [2.0, 4.0, 8.0, 16.0, 32.0];
/// Room of a blob of standard deviation 1, px^2: they overlap, and every octave has about the same contrast.
const ROOM: f64 = 9.0;
/// The contrast falls with this power of the scale. So the noise leaves an error of -31 dB, as it does on the face
/// ("takeo") of Baker and Matthews' package: an image as hard as theirs.
const FALL: f64 = -0.5;
/// A blob ends at so many standard deviations: exp(-5.5^2 / 2) is 3e-7.
const REACH: f64 = 5.5;
/// Samples of the fine grid a px.
const FINE: usize = 6;
const FINE_SIDE: usize = (IMAGE - 1) * FINE + 1;

/// How the reference comes from the image, and what is done to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The reference is the image warped by the solver's own sampling, as in Baker and Matthews' package: at the truth
    /// nothing is left to explain, and what errs is the solver.
    Ideal,
    /// The reference is sampled from the formula: what the solver's sampling does to the image counts too.
    Formula,
    /// As `Formula`; then the levels T of the reference become (T + 20)^0.9.
    Photometric,
    /// As `Formula`; then noise on both.
    Noisy,
}

/// A gray plane.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) side: usize,
    pub(crate) data: Vec<u16>,
}

/// What the image is aligned with.
#[derive(Debug)]
pub(crate) enum Reference {
    /// A plane of its own.
    Plane(Plane),
    /// The image under this map (reference px to image px), as the solver samples it.
    Warped(Map),
}

/// What one run aligns.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) image: Arc<Plane>,
    pub(crate) reference: Reference,
}

struct Blob {
    x: f64,
    y: f64,
    sigma: f64,
    height: f64,
}

/// The image as a function of the place.
pub(crate) struct Scene {
    blobs: Vec<Blob>,
    /// Mean and standard deviation of the blobs' sum.
    sum: (f64, f64),
    /// Levels, `FINE` samples a px: the formula takes thousands of blobs a place.
    fine: Vec<f32>,
    image: Arc<Plane>,
}

impl Scene {
    pub(crate) fn new(seed: u64) -> Scene {
        let mut rng = Rng::new(seed);
        let mut blobs = Vec::new();
        for sigma in SCALES {
            let (low, high) = (-2.0 * sigma, IMAGE as f64 + 2.0 * sigma);
            let count = ((high - low) / sigma).powi(2) / ROOM;
            blobs.extend((0..count as usize).map(|_| Blob {
                x: rng.within(low, high),
                y: rng.within(low, high),
                sigma,
                height: rng.within(-1.0, 1.0) * sigma.powf(FALL),
            }));
        }
        let sums = summed(&blobs);
        let mean = sums.iter().sum::<f64>() / sums.len() as f64;
        let variance = sums.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / sums.len() as f64;
        let sum = (mean, variance.sqrt());
        let fine: Vec<f32> = sums.iter().map(|v| tone(*v, sum) as f32).collect();
        let level = |x, y| f64::from(fine[y * FINE * FINE_SIDE + x * FINE]);
        let image = Arc::new(plane(IMAGE, |x, y| level(x, y) * UNITS));
        Scene { blobs, sum, fine, image }
    }

    /// The level at a place by the formula: slow.
    pub(crate) fn formula(&self, x: f64, y: f64) -> f64 {
        let part = |b: &Blob| {
            let r2 = ((x - b.x).powi(2) + (y - b.y).powi(2)) / (b.sigma * b.sigma);
            b.height * (-r2 / 2.0).exp()
        };
        tone(self.blobs.iter().map(part).sum(), self.sum)
    }

    /// The level at a place of the image.
    pub(crate) fn level(&self, x: f64, y: f64) -> f64 {
        let locate = |v: f64| {
            let v = v * FINE as f64;
            let k = v.floor().clamp(1.0, FINE_SIDE as f64 - 3.0);
            (k as usize - 1, lagrange(v - k))
        };
        let ((i, wx), (j, wy)) = (locate(x), locate(y));
        let line = |r: usize| {
            let row = &self.fine[(j + r) * FINE_SIDE + i..][..4];
            (0..4).map(|c| f64::from(row[c]) * wx[c]).sum::<f64>()
        };
        (0..4).map(|r| line(r) * wy[r]).sum()
    }

    /// The image, and the reference that sees it under `truth` (reference px to image px).
    pub(crate) fn pair(&self, truth: &Map, condition: Condition, seed: u64) -> Pair {
        let seen = |x: usize, y: usize| {
            let (u, v) = apply(truth, x as f64, y as f64);
            self.level(u, v)
        };
        let image = Arc::clone(&self.image);
        match condition {
            Condition::Ideal => Pair { image, reference: Reference::Warped(*truth) },
            Condition::Formula => {
                let reference = plane(REFERENCE, |x, y| seen(x, y) * UNITS);
                Pair { image, reference: Reference::Plane(reference) }
            }
            Condition::Photometric => {
                let reference = plane(REFERENCE, |x, y| (seen(x, y) + LIFT).powf(GAMMA) * UNITS);
                Pair { image, reference: Reference::Plane(reference) }
            }
            Condition::Noisy => {
                let mut rng = Rng::new(seed);
                let mut noise = || NOISE * f64::from(rng.normal()) * UNITS;
                let image = plane(IMAGE, |x, y| f64::from(image.data[y * IMAGE + x]) + noise());
                let reference = plane(REFERENCE, |x, y| seen(x, y) * UNITS + noise());
                Pair { image: Arc::new(image), reference: Reference::Plane(reference) }
            }
        }
    }
}

/// A plane of `units`, gray units, at each (x, y).
fn plane(side: usize, mut units: impl FnMut(usize, usize) -> f64) -> Plane {
    let stored = |k: usize| (units(k % side, k / side) + 0.5) as u16;
    Plane { side, data: (0..side * side).map(stored).collect() }
}

/// The level of a sum of blobs: limited softly, which makes edges like a photograph's and fills the range.
fn tone(sum: f64, (mean, deviation): (f64, f64)) -> f64 {
    (BLACK + WHITE) / 2.0 + (WHITE - BLACK) / 2.0 * ((sum - mean) / deviation).tanh()
}

/// The sum of the blobs on the fine grid.
fn summed(blobs: &[Blob]) -> Vec<f64> {
    let mut sums = vec![0.0; FINE_SIDE * FINE_SIDE];
    for b in blobs {
        let profile = |at: f64| {
            let place = |v: f64| (v * FINE as f64).ceil().clamp(0.0, FINE_SIDE as f64) as usize;
            let span = place(at - REACH * b.sigma)..place(at + REACH * b.sigma);
            let fall = |k: usize| (-((k as f64 / FINE as f64 - at) / b.sigma).powi(2) / 2.0).exp();
            (span.clone(), span.map(fall).collect::<Vec<f64>>())
        };
        let ((columns, across), (rows, down)) = (profile(b.x), profile(b.y));
        for (row, factor) in rows.zip(down) {
            for (v, a) in sums[row * FINE_SIDE..][columns.clone()].iter_mut().zip(&across) {
                *v += b.height * factor * a;
            }
        }
    }
    sums
}

/// Weights of samples at -1, 0, 1, 2 for the cubic through them, at `f`.
fn lagrange(f: f64) -> [f64; 4] {
    let (a, b, c) = (f + 1.0, f - 1.0, f - 2.0);
    [-f * b * c / 6.0, a * b * c / 2.0, -a * f * c / 2.0, a * f * b / 6.0]
}
