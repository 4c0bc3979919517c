//! A small seeded star field, seen by frames whose motion is known.

use super::Place;
use super::geometry::{Map, apply, shift};
use super::night::Shot;
use super::picture::{Picture, write_png8};

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// Nearly normal, standard deviation 1: the sum of four uniform 16-bit numbers.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|k| bits >> (16 * k) & 0xffff).sum();
        // Four uniform numbers of variance 1/12 each.
        (sum as f32 / 65536.0 - 2.0) * 1.732_050_8
    }
}

struct Star {
    x: f64,
    y: f64,
    peak: f64,
    tint: [f64; 3],
}

/// Stars in the pixels of frame 1, and the sensor that looks at them. Levels are 8-bit ones, 0 to 255.
pub(crate) struct Sky {
    pub(crate) size: (usize, usize),
    stars: Vec<Star>,
    hot: Vec<(usize, f32)>,
    seed: u64,
    /// Standard deviation of the noise, levels.
    pub(crate) noise: f32,
}

/// FWHM of a star, px.
pub(crate) const FWHM: f64 = 3.0;
/// FWHM over standard deviation of a Gaussian.
const FWHM_TO_SIGMA: f64 = 2.354_82;
/// Sky glow and bias, levels.
pub(crate) const GLOW: f32 = 16.0;
/// Stars outside the first frame, as a share of its sides: later frames see them.
const MARGIN: f64 = 0.25;

impl Sky {
    /// A field with about `stars` stars on the frame.
    pub(crate) fn new(size: (usize, usize), stars: usize, seed: u64) -> Sky {
        let mut rng = Rng::new(seed);
        let (w, h) = (size.0 as f64, size.1 as f64);
        let all = (stars as f64 * (1.0 + 2.0 * MARGIN).powi(2)) as usize;
        let mut star = || Star {
            x: rng.within(-MARGIN * w, (1.0 + MARGIN) * w),
            y: rng.within(-MARGIN * h, (1.0 + MARGIN) * h),
            // Many faint, few bright.
            peak: 25.0 * rng.unit().max(0.01).powf(-0.8),
            tint: [rng.within(0.7, 1.1), rng.within(0.7, 1.1), rng.within(0.7, 1.1)],
        };
        let stars = (0..all).map(|_| star()).collect();
        let photosites = size.0 * size.1 * 3;
        let hot = (0..photosites / 6000).map(|_| (rng.below(photosites), rng.within(60.0, 230.0) as f32));
        Sky { size, stars, hot: hot.collect(), seed, noise: 3.0 }
    }

    /// Frame number `k` (it decides the noise) under `map`: pixels of frame 1 to pixels of this frame.
    pub(crate) fn light(&self, map: &Map, k: u64) -> Picture<f32> {
        self.shoot(&Shot::new(*map, k))
    }

    /// A frame under the conditions of `shot`.
    pub(crate) fn shoot(&self, shot: &Shot) -> Picture<f32> {
        let (w, h) = self.size;
        let mut data = vec![GLOW; w * h * 3];
        let sigma = FWHM * shot.blur / FWHM_TO_SIGMA;
        let steps = shot.smear.0.hypot(shot.smear.1).ceil() as usize + 1;
        for star in &self.stars {
            let (x, y) = apply(&shot.map, star.x, star.y);
            let peak = star.peak * shot.clear / (shot.blur * shot.blur) / steps as f64;
            for step in 0..steps {
                let along = if steps > 1 { step as f64 / (steps - 1) as f64 - 0.5 } else { 0.0 };
                let at = (x + along * shot.smear.0, y + along * shot.smear.1);
                blob(&mut data, self.size, at, sigma, (peak, star.tint));
            }
        }
        shot.sky(&mut data, self.size);
        self.expose(data, shot.k)
    }

    /// A dark: noise and hot photosites.
    pub(crate) fn dark(&self, k: u64) -> Picture<f32> {
        self.expose(vec![4.0; self.size.0 * self.size.1 * 3], k.wrapping_add(1 << 32))
    }

    fn expose(&self, mut data: Vec<f32>, k: u64) -> Picture<f32> {
        let mut rng = Rng::new(self.seed ^ k.wrapping_mul(0xD1B5_4A32_D192_ED03));
        for v in &mut data {
            *v += self.noise * rng.normal();
        }
        for &(at, level) in &self.hot {
            data[at] += level;
        }
        Picture::new(self.size.0, self.size.1, 3, data)
    }
}

/// Adds a Gaussian blob of this peak and tint around (`x`, `y`).
fn blob(
    data: &mut [f32],
    (w, h): (usize, usize),
    (x, y): (f64, f64),
    sigma: f64,
    (peak, tint): (f64, [f64; 3]),
) {
    let reach = (5.0 * sigma).ceil();
    let span = |at: f64, side: usize| {
        let low = (at - reach).max(0.0).ceil() as usize;
        low..((at + reach).floor() + 1.0).clamp(0.0, side as f64) as usize
    };
    let falloff = |d: f64| (-d * d / (2.0 * sigma * sigma)).exp();
    for py in span(y, h) {
        for px in span(x, w) {
            let value = peak * falloff(px as f64 - x) * falloff(py as f64 - y);
            for c in 0..3 {
                data[(py * w + px) * 3 + c] += (value * tint[c]) as f32;
            }
        }
    }
}

/// Levels as an 8-bit picture.
pub(crate) fn eight(levels: &Picture<f32>) -> Picture<u8> {
    levels.map(|v| v.round().clamp(0.0, 255.0) as u8)
}

/// Levels as a 16-bit picture, 255 becoming 65535.
pub(crate) fn sixteen(levels: &Picture<f32>) -> Picture<u16> {
    levels.map(|v| (v * 257.0).round().clamp(0.0, 65535.0) as u16)
}

/// Writes `count` frames of a drifting field, 300x200, into input/: `light_1.png` and so on.
pub(crate) fn drifting(place: &Place, count: usize) {
    place.folder("input");
    let sky = Sky::new((300, 200), 60, 1);
    for k in 0..count {
        let map = shift(1.3 * k as f64, -0.8 * k as f64);
        write_png8(&place.path(format!("input/light_{}.png", k + 1)), &eight(&sky.light(&map, k as u64)));
    }
}

/// A flat gray-blue frame of 20x10 pixels whose level tells it from others.
pub(crate) fn flat(level: u8) -> Picture<u8> {
    Picture::new(20, 10, 3, [level, level, level / 2].repeat(200))
}

/// Writes a flat frame of each level into input/: `light_1.png` and so on.
pub(crate) fn flats(place: &Place, levels: &[u8]) {
    place.folder("input");
    for (k, level) in levels.iter().enumerate() {
        write_png8(&place.path(format!("input/light_{}.png", k + 1)), &flat(*level));
    }
}
