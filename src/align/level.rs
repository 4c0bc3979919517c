//! One resolution of the alignment: the template's patches, and the iterations of ECC on them.

use super::accept::{Votes, correlation, residual, shift};
use super::background::{Background, median};
use super::ecc;
use super::grow::Mean;
use super::motion::{IDENTITY, Mat3, Model, apply, compose};
use super::order::Minimum;
use super::select::Spot;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::kernels::ecc::{PatchSums, RECORD};
use crate::kernels::sample::{CENTRE, MARGIN, Patch};
use crate::kernels::template::PatchParams;
use bytemuck::{Zeroable, cast_slice, cast_slice_mut};

mod saved;
pub(super) use saved::SavedLevel;

/// Words of a patch.
const PATCH_WORDS: usize = size_of::<Patch>() / 4;
/// A patch whose own residual shift is over this many times the median is left out of the last iterations.
const OUTLIER: f64 = 5.0;
/// So is one that correlates less than this on its own: a hot pixel, or noise, that was taken for a star.
const ALIKE: f64 = 0.3;
/// A patch whose noise has this many times the usual variance weighs less by what it has more.
const NOISY: f32 = 2.0;
/// Contrast beyond this factor is another exposure's.
const ANOTHER: f64 = 1.25;
/// Noise under this, gray units squared, is none: a copy of the template.
const QUIET: f32 = 1.0;
/// Residual shifts under this are never outliers, px.
const OUTLIER_FLOOR: f64 = 0.15;

/// Most that the map's denominator may change across a patch.
const FLAT: f64 = 0.05;
/// A fit whose last step still moves a corner further than this, px, has found nothing.
const SETTLED: f64 = 0.05;
/// Once no corner moves further than this, px, a patch's own residual shift means something.
const NEAR: f64 = 0.6;

/// A plane of a level: its size and how its pixels lie in the full frame.
#[derive(Clone, Copy, Debug)]
pub struct Plane {
    /// Pixels in a row that hold data.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples in a padded row.
    pub stride: usize,
    /// Full-resolution pixels of a side of one pixel.
    pub bin: usize,
}

impl Plane {
    /// Full-resolution coordinate of this plane's coordinate `v`.
    fn full(self, v: f64) -> f64 {
        v * self.bin as f64 + (self.bin as f64 - 1.0) / 2.0
    }

    /// The map from this plane's pixels to full-resolution ones, and back.
    fn to_full(self) -> (Mat3, Mat3) {
        let (b, o) = (self.bin as f64, (self.bin as f64 - 1.0) / 2.0);
        let up = [b, 0.0, o, 0.0, b, o, 0.0, 0.0, 1.0];
        (up, [1.0 / b, 0.0, -o / b, 0.0, 1.0 / b, -o / b, 0.0, 0.0, 1.0])
    }

    /// A full-resolution map in this plane's pixels.
    #[must_use]
    pub fn scaled(self, m: &Mat3) -> Mat3 {
        let (up, down) = self.to_full();
        compose(&down, &compose(m, &up))
    }

    /// This plane's map in full-resolution pixels.
    #[must_use]
    pub fn unscaled(self, m: &Mat3) -> Mat3 {
        let (up, down) = self.to_full();
        compose(&up, &compose(m, &down))
    }
}

/// Buffers that every level uses, one after the other.
pub struct Scratch<B: Backend> {
    pub(super) patches: B::Buffer,
    sums: B::Buffer,
    host_sums: Vec<u32>,
}

impl<B: Backend> Scratch<B> {
    /// Room for `most` patches.
    ///
    /// # Errors
    /// Where the device has not that much memory.
    pub fn new(backend: &mut B, most: usize) -> Result<Self> {
        Ok(Scratch {
            patches: backend.alloc("patches", most * PATCH_WORDS)?,
            sums: backend.alloc("patch sums", most * RECORD)?,
            host_sums: Vec::new(),
        })
    }
}

/// A template at one resolution.
pub struct Level<B: Backend> {
    plane: Plane,
    pub(super) centres: Vec<(i32, i32)>,
    window: f32,
    pub(super) template_px: B::Buffer,
    pub(super) mean: Mean,
    /// Patches that are left out: hot pixels.
    pub(super) off: Vec<bool>,
}

/// What the iterations came to.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Template px to frame px, of this level.
    pub map: Mat3,
    /// Correlation at the last iteration, in [-1, 1].
    pub correlation: f64,
    /// Contrast of the frame over the template's.
    pub gain: f64,
    /// Iterations made.
    pub iterations: u32,
    /// Whether the map stood still in the end.
    pub settled: bool,
    /// Patches kept as no outliers.
    pub kept: usize,
    /// What the patches say of the map, but for its last step.
    pub votes: Votes,
    /// The minimum, for the choice of a poorer model.
    pub minimum: Option<Minimum>,
}

/// When the iterations end.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// No corner moves further than this, px of the level.
    pub still: f64,
    /// Most iterations.
    pub most: u32,
}

impl<B: Backend> Level<B> {
    /// Cuts the template around `spots` (full-resolution px) out of `gray`, the plane of this level; `window` as in
    /// [`PatchParams::window`].
    ///
    /// # Errors
    /// Where the device fails.
    pub fn new(
        backend: &mut B,
        scratch: &mut Scratch<B>,
        plane: (Plane, f32),
        gray: &B::Buffer,
        spots: &[Spot],
        sky: &Background,
    ) -> Result<Self> {
        let (plane, window) = plane;
        let template_px = backend.alloc("template", 0)?;
        let mut level =
            Level { plane, centres: Vec::new(), window, template_px, mean: Mean::default(), off: Vec::new() };
        level.extend(backend, scratch, (gray, sky), spots, &IDENTITY)?;
        Ok(level)
    }

    /// Patches of this level.
    #[must_use]
    pub fn len(&self) -> usize {
        self.centres.len()
    }

    /// Whether there is nothing to align on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.centres.is_empty()
    }

    /// The plane of this level.
    #[must_use]
    pub fn plane(&self) -> Plane {
        self.plane
    }

    pub(super) fn params(&self) -> PatchParams {
        PatchParams {
            row0: 0,
            rows: 0,
            patches: self.centres.len() as u32,
            stride: self.plane.stride as u32,
            window: self.window,
            pad0: 0,
            pad1: 0,
            pad2: 0,
        }
    }

    /// The patch around `centre` under the map `m` of this level's pixels.
    pub(super) fn patch(&self, centre: (i32, i32), m: &Mat3, sky: &Background) -> Patch {
        patch(&self.plane, centre, m, sky)
    }

    /// Every patch under the map `m` of this level's pixels, over the frame's background `sky`.
    pub(super) fn patches(&self, m: &Mat3, sky: &Background) -> Vec<Patch> {
        let off = |k: usize| self.off.get(k).copied().unwrap_or(false);
        let one = |(k, &c): (usize, &(i32, i32))| {
            if off(k) { Patch::default() } else { patch(&self.plane, c, m, sky) }
        };
        self.centres.iter().enumerate().map(one).collect()
    }

    /// Iterates from `start` (this level's px) until the map stands still.
    ///
    /// # Errors
    /// [`Error::Singular`] where there is nothing to hold on to; else where the device fails.
    pub fn fit(
        &self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        gray: &B::Buffer,
        sky: &Background,
        (model, start): (&Model, &Mat3),
        until: Until,
    ) -> Result<Fit> {
        let mut p = model.params(start);
        let mut weights = vec![1.0; self.centres.len()];
        let mut fit = Fit {
            map: *start,
            correlation: -1.0,
            gain: 0.0,
            iterations: 0,
            settled: false,
            kept: 0,
            votes: Votes::default(),
            minimum: None,
        };
        let mut judged = false;
        let mut last = Vec::new();
        for _ in 0..until.most {
            let map = model.map(&p);
            let sums = self.sums(backend, scratch, gray, &map, sky)?;
            let centres = self.centres.iter().map(|&(x, y)| (f64::from(x), f64::from(y)));
            let step = ecc::step(model, &p, centres.zip(&weights).zip(&sums).map(|((c, &w), s)| (c, w, s)))?;
            for (v, d) in p.iter_mut().zip(step.delta) {
                *v += d;
            }
            fit.iterations += 1;
            fit.correlation = step.correlation;
            fit.gain = step.gain;
            let moved = self.moved(&map, &model.map(&p));
            fit.settled = moved < SETTLED;
            if !moved.is_finite() || moved > (self.plane.width + self.plane.height) as f64 {
                return Err(Error::Singular);
            }
            let near = moved < until.still || (!judged && moved < NEAR);
            let done = near && judged;
            if near && !judged {
                // Close enough that a patch's own residual means something: leave out those that disagree
                // (a satellite, a plane, a hot column), then finish on the others.
                judged = true;
                judge(&sums, step.gain, &mut weights);
            }
            let kept = sums.iter().zip(&weights).filter(|(s, w)| s.count > 0.0 && **w > 0.0);
            fit.kept = kept.clone().count();
            let misfit = kept.map(|(s, w)| w * super::accept::misfit(s, step.gain)).sum();
            fit.minimum = Some(Minimum { params: p, hessian: step.hessian, misfit, kept: fit.kept });
            last = sums;
            if done {
                break;
            }
        }
        fit.map = model.map(&p);
        fit.votes = self.count(&last, fit.gain);
        if let Some(at) = &mut fit.minimum {
            at.params = p;
        }
        Ok(fit)
    }

    fn count(&self, sums: &[PatchSums], gain: f64) -> Votes {
        Votes::count(sums, gain, &self.centres, (self.plane.width, self.plane.height))
    }

    /// What the patches say of `map` (this level's px).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn votes(
        &self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        gray: &B::Buffer,
        sky: &Background,
        (map, gain): (&Mat3, f64),
    ) -> Result<Votes> {
        let sums = self.sums(backend, scratch, gray, map, sky)?;
        Ok(self.count(&sums, gain))
    }

    fn sums(
        &self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        gray: &B::Buffer,
        map: &Mat3,
        sky: &Background,
    ) -> Result<Vec<PatchSums>> {
        let patches = self.patches(map, sky);
        backend.write(&mut scratch.patches, cast_slice(&patches))?;
        crate::kernels::ecc::ecc(
            backend,
            &self.params(),
            gray,
            &scratch.patches,
            &self.template_px,
            &mut scratch.sums,
        )?;
        scratch.host_sums.resize(self.centres.len() * RECORD, 0);
        backend.read(&scratch.sums, &mut scratch.host_sums)?;
        let mut sums = vec![PatchSums::zeroed(); self.centres.len()];
        cast_slice_mut::<PatchSums, u32>(&mut sums).copy_from_slice(&scratch.host_sums);
        Ok(sums)
    }

    /// How far the corners of the plane lie apart under the two maps, px, at most.
    fn moved(&self, a: &Mat3, b: &Mat3) -> f64 {
        let (w, h) = (self.plane.width as f64 - 1.0, self.plane.height as f64 - 1.0);
        [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)]
            .iter()
            .map(|&(x, y)| {
                let (p, q) = (apply(a, x, y), apply(b, x, y));
                (p.0 - q.0).hypot(p.1 - q.1)
            })
            .fold(0.0, f64::max)
    }
}

/// The patch centred on pixel `centre` under the map `m`.
fn patch(plane: &Plane, centre: (i32, i32), m: &Mat3, sky: &Background) -> Patch {
    let (cx, cy) = (f64::from(centre.0), f64::from(centre.1));
    let w = m[6] * cx + m[7] * cy + m[8];
    let (u, v) = apply(m, cx, cy);
    let (a, b) = ((m[0] - u * m[6]) / w, (m[1] - u * m[7]) / w);
    let (c, d) = ((m[3] - v * m[6]) / w, (m[4] - v * m[7]) / w);
    let reach = f64::from(CENTRE + MARGIN - 1);
    let (ru, rv) = (reach * (a.abs() + b.abs()), reach * (c.abs() + d.abs()));
    // Far from the horizon, so that the linear reach bounds the patch.
    let flat = reach * (m[6].abs() + m[7].abs()) < FLAT * w;
    let inside = w > 0.0
        && flat
        && u - ru >= 1.0
        && v - rv >= 1.0
        && u + ru < plane.width as f64 - 2.0
        && v + rv < plane.height as f64 - 2.0;
    if !inside {
        return Patch::default();
    }
    let [level, slope_u, slope_v] = sky.at(plane.full(u), plane.full(v));
    let bin = plane.bin as f64;
    let (iu, iv) = (u.floor(), v.floor());
    Patch {
        u: iu as i32,
        v: iv as i32,
        fu: (u - iu) as f32,
        fv: (v - iv) as f32,
        a: a as f32,
        b: b as f32,
        c: c as f32,
        d: d as f32,
        g: (m[6] / w) as f32,
        h: (m[7] / w) as f32,
        sky: level as f32,
        sky_x: (bin * (slope_u * a + slope_v * c)) as f32,
        sky_y: (bin * (slope_u * b + slope_v * d)) as f32,
        inside: 1,
        ..Patch::default()
    }
}

/// Sets the weight of every patch that disagrees with the others to 0; those with more noise than usual (bright stars:
/// shot noise, what the pixels cut off) weigh less.
fn judge(sums: &[PatchSums], gain: f64, weights: &mut [f64]) {
    let shifts: Vec<f64> = sums.iter().map(|s| shift(s, gain)).map(|(x, y)| x.hypot(y)).collect();
    let alike = |s: &PatchSums| s.count > 0.0 && correlation(s) >= ALIKE;
    let mut seen: Vec<f32> =
        sums.iter().zip(&shifts).filter(|(s, _)| alike(s)).map(|(_, &shift)| shift as f32).collect();
    let limit = (OUTLIER * f64::from(median(&mut seen))).max(OUTLIER_FLOOR);
    let noise = |s: &PatchSums| (residual(s, gain) / f64::from(s.count)) as f32;
    let mut usual: Vec<f32> = sums.iter().filter(|s| alike(s)).map(noise).collect();
    let usual = NOISY * median(&mut usual);
    // Of another exposure bright stars are clipped in one frame and not in the other: what is left there is no noise.
    let another = gain.ln().abs() > ANOTHER.ln();
    for ((w, s), shift) in weights.iter_mut().zip(sums).zip(&shifts) {
        let weight = if another { 1.0 } else { f64::from((usual.max(QUIET) / noise(s).max(QUIET)).min(1.0)) };
        *w = if alike(s) && *shift <= limit { weight } else { 0.0 };
    }
}
