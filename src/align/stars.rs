//! The star list of a frame: candidates from the tile table, measured by the `measure` kernel with a Gaussian weight
//! that is fitted to each star.
//!
//! With a Gaussian star of covariance C at offset d and a weight of covariance W, the weighted moments are those of a
//! Gaussian of covariance P = (C^-1 + W^-1)^-1 at P C^-1 d: so C and d follow from them, and a weight near C is the
//! one that sees the least noise. Source: Bernstein and Jarvis, AJ 123, 2002 (adaptive moments).

use super::background::Background;
use super::select::Spot;
use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::gray::{PEDESTAL, SPAN};
use crate::kernels::measure::{MeasureParams, Moments, PLACE, Place, RECORD, measure};
use crate::kernels::stride;
use bytemuck::{Zeroable, cast_slice, cast_slice_mut};
use serde::{Deserialize, Serialize};

/// Candidates measured at most: enough for the statistics of a frame.
pub const MOST: usize = 1024;
/// Times the weight is fitted; a Gaussian star is right after the second.
const PASSES: usize = 3;
/// Standard deviation of the first weight, px: between a sharp star's and a blurred one's.
const FIRST_SIGMA: f64 = 2.0;
/// Variances that a weight may have, px^2: of a star of FWHM 1.6 px, and the widest that its window holds.
const WEIGHT_VARIANCE: (f64, f64) = (0.5, 36.0);
/// Largest variance that is believed along an axis, px^2: a line is as long as that.
const LONGEST: f64 = 144.0;
/// Smallest, px^2: a single pixel's is 1/12.
const SMALLEST: f64 = 0.05;
/// A star's centroid lies no further than this from its brightest pixel, px.
const WANDER: f64 = 4.0;
/// Places of a grid where the grain of the noise is measured.
const BLANKS: (usize, usize) = (20, 14);
/// Median absolute deviation over standard deviation of a Gaussian.
const MAD: f64 = 0.6745;
/// FWHM over standard deviation of a Gaussian.
const FWHM: f64 = 2.354_82;
/// Flux over its own noise from which a candidate is a star: the brightest of a million peaks of noise reaches 5.
const LEAST_SNR: f64 = 7.0;
/// FWHM that a star can have, px: less is a hot pixel, more is a nebula.
const STAR_FWHM: (f64, f64) = (1.2, 20.0);
/// Gray value from which a pixel is saturated: 98 % of white.
pub const SATURATED: f64 = PEDESTAL as f64 + 0.98 * SPAN as f64;

/// A measured star.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Star {
    /// Centroid, px.
    pub x: f64,
    /// Centroid, px.
    pub y: f64,
    /// Gray units summed over the star.
    pub flux: f64,
    /// Flux over its noise.
    pub snr: f64,
    /// Geometric mean of the full widths at half maximum along both axes, px.
    pub fwhm: f64,
    /// Long axis over short axis, at least 1.
    pub elongation: f64,
    /// Direction of the long axis, radians from x towards y.
    pub angle: f64,
    /// Brightest pixel, gray value.
    pub peak: f64,
}

impl Star {
    /// Whether its core is clipped.
    #[must_use]
    pub fn saturated(&self) -> bool {
        self.peak >= SATURATED
    }
}

/// Device buffers for measuring, shared by all frames.
pub struct Gauge<B: Backend> {
    places: B::Buffer,
    moments: B::Buffer,
}

/// A candidate on its way to a star.
#[derive(Clone, Copy)]
struct Guess {
    x: f64,
    y: f64,
    /// Variance of the weight, px^2.
    weight: f64,
}

impl<B: Backend> Gauge<B> {
    /// Room for [`MOST`] places and the blank ones.
    ///
    /// # Errors
    /// Where the device has not that much memory.
    pub fn new(backend: &mut B) -> Result<Self> {
        Ok(Gauge {
            places: backend.alloc("places", (MOST + BLANKS.0 * BLANKS.1) * PLACE)?,
            moments: backend.alloc("moments", (MOST + BLANKS.0 * BLANKS.1) * RECORD)?,
        })
    }

    /// Sums around `places` of `gray`, a plane of `width` x `height`.
    fn sums(
        &mut self,
        backend: &mut B,
        gray: &B::Buffer,
        (width, height): (usize, usize),
        places: &[Place],
    ) -> Result<Vec<Moments>> {
        let mut moments = vec![Moments::zeroed(); places.len()];
        if places.is_empty() {
            return Ok(moments);
        }
        let p = MeasureParams {
            row0: 0,
            rows: 0,
            places: places.len() as u32,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            pad0: 0,
            pad1: 0,
        };
        backend.write(&mut self.places, cast_slice(places))?;
        measure(backend, &p, gray, &self.places, &mut self.moments)?;
        backend.read(&self.moments, cast_slice_mut(&mut moments))?;
        Ok(moments)
    }

    /// Measures `candidates` (the first [`MOST`]); `None` for one that is nothing at all.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn measure(
        &mut self,
        backend: &mut B,
        gray: &B::Buffer,
        size: (usize, usize),
        sky: &Background,
        candidates: &[Spot],
    ) -> Result<Vec<Option<Star>>> {
        let candidates = &candidates[..candidates.len().min(MOST)];
        let mut guesses: Vec<Guess> = candidates
            .iter()
            .map(|s| Guess { x: f64::from(s.x), y: f64::from(s.y), weight: FIRST_SIGMA * FIRST_SIGMA })
            .collect();
        let mut stars = vec![None; candidates.len()];
        // The blank places go with the first pass: a round trip less.
        let blanks = blanks(size, sky);
        let mut grain = 1.0;
        for pass in 0..PASSES {
            let mut places: Vec<Place> = guesses.iter().map(|g| g.place(sky)).collect();
            if pass == 0 {
                places.extend(&blanks);
            }
            let mut moments = self.sums(backend, gray, size, &places)?;
            if pass == 0 {
                grain = graininess(&moments.split_off(guesses.len()), sky);
            }
            for (((guess, star), m), spot) in guesses.iter_mut().zip(&mut stars).zip(&moments).zip(candidates)
            {
                *star = guess.improve(m, spot, grain);
            }
        }
        Ok(stars)
    }

    /// Fluxes at `places` (px) with a weight of `fwhm` (px) that stays where it is: the same stars in two frames.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn fluxes(
        &mut self,
        backend: &mut B,
        gray: &B::Buffer,
        size: (usize, usize),
        sky: &Background,
        (places, fwhm): (&[(f64, f64)], f64),
    ) -> Result<Vec<Flux>> {
        let weight = (fwhm / FWHM).powi(2).clamp(WEIGHT_VARIANCE.0, WEIGHT_VARIANCE.1);
        let places: Vec<Place> =
            places.iter().take(MOST).map(|&(x, y)| Guess { x, y, weight }.place(sky)).collect();
        let moments = self.sums(backend, gray, size, &places)?;
        Ok(moments
            .iter()
            .map(|m| Flux { flux: f64::from(m.flux), saturated: f64::from(m.peak) >= SATURATED })
            .collect())
    }
}

/// What [`Gauge::fluxes`] finds at a place.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Flux {
    /// Weighted sum above the background, gray units.
    pub flux: f64,
    /// Whether a pixel of the window is clipped.
    pub saturated: bool,
}

/// Places of a grid over a frame of `width` x `height`: mostly empty.
fn blanks((width, height): (usize, usize), sky: &Background) -> Vec<Place> {
    let (nx, ny) = BLANKS;
    let at = |k: usize, n: usize, size: usize| (k as f64 + 0.5) / n as f64 * size as f64;
    let weight = FIRST_SIGMA * FIRST_SIGMA;
    let blank = |k: usize| Guess { x: at(k % nx, nx, width), y: at(k / nx, ny, height), weight };
    (0..nx * ny).map(|k| blank(k).place(sky)).collect()
}

/// How much noisier a weighted sum is than independent pixels would make it, from the `moments` of the blank places: a
/// camera's own JPEG has smoothed, so that noise comes in blobs that look like stars.
fn graininess(moments: &[Moments], sky: &Background) -> f64 {
    let mut fluxes: Vec<f32> = moments.iter().map(|m| m.flux).collect();
    let middle = super::background::median(&mut fluxes);
    let mut off: Vec<f32> = fluxes.iter().map(|f| (f - middle).abs()).collect();
    let deviation = f64::from(super::background::median(&mut off)) / MAD;
    // The squares of a Gaussian weight sum to pi times its variance.
    let expected = sky.noise * (std::f64::consts::PI * FIRST_SIGMA * FIRST_SIGMA).sqrt();
    if expected > 0.0 { (deviation / expected).max(1.0) } else { 1.0 }
}

impl Guess {
    fn place(&self, sky: &Background) -> Place {
        let (x, y) = (self.x.round(), self.y.round());
        let [level, sky_x, sky_y] = sky.at(x, y);
        Place {
            x: x as i32,
            y: y as i32,
            fx: (self.x - x) as f32,
            fy: (self.y - y) as f32,
            sky: level as f32,
            sky_x: sky_x as f32,
            sky_y: sky_y as f32,
            falloff: (0.5 / self.weight) as f32,
        }
    }

    /// What the moments say of the star, and a better guess.
    fn improve(&mut self, m: &Moments, spot: &Spot, grain: f64) -> Option<Star> {
        let [flux, x, y, xx, xy, yy] = [m.flux, m.x, m.y, m.xx, m.xy, m.yy].map(f64::from);
        if flux <= 0.0 {
            return None;
        }
        let (mx, my) = (x / flux, y / flux);
        let (pxx, pxy, pyy) = (xx / flux - mx * mx, xy / flux - mx * my, yy / flux - my * my);
        // Along the axes of P the weight comes off as for numbers.
        let (mean, half) = ((pxx + pyy) / 2.0, ((pxx - pyy) / 2.0).hypot(pxy));
        let angle = 0.5 * (2.0 * pxy).atan2(pxx - pyy);
        let own = |p: f64| {
            let inverse = 1.0 / p.max(SMALLEST) - 1.0 / self.weight;
            1.0 / inverse.clamp(1.0 / LONGEST, 1.0 / SMALLEST)
        };
        let (p_long, p_short) = ((mean + half).max(SMALLEST), (mean - half).max(SMALLEST));
        let (long, short) = (own(p_long), own(p_short));
        let (sin, cos) = angle.sin_cos();
        let (a, b) = ((mx * cos + my * sin) * long / p_long, (my * cos - mx * sin) * short / p_short);
        let (dx, dy) = (a * cos - b * sin, a * sin + b * cos);
        let (px, py) = (f64::from(spot.x), f64::from(spot.y));
        let (cx, cy) = (self.x + dx, self.y + dy);
        let wandered = (cx - px).hypot(cy - py);
        if wandered.is_nan() || wandered > WANDER {
            return None;
        }
        let area = (long * short).sqrt();
        let star = Star {
            x: cx,
            y: cy,
            flux: flux * (area / (p_long * p_short).sqrt()),
            snr: flux / (grain * spot.noise * (std::f64::consts::PI * self.weight).sqrt()),
            fwhm: FWHM * area.sqrt(),
            elongation: (long / short).sqrt(),
            angle,
            peak: f64::from(m.peak),
        };
        *self = Guess { x: cx, y: cy, weight: area.clamp(WEIGHT_VARIANCE.0, WEIGHT_VARIANCE.1) };
        Some(star)
    }
}

/// The stars of a frame, brightest first, and what they say of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StarList {
    /// The stars, by flux.
    pub stars: Vec<Star>,
    /// Stars in the frame: more than are listed where not all candidates were measured.
    pub count: usize,
    /// Median FWHM of the clearest, px; 0 without stars.
    pub fwhm: f64,
    /// Median elongation of the clearest; 0 without stars.
    pub elongation: f64,
    /// Share of the clearest that are alike: a Moon's craters are not.
    alike: f64,
}

/// The clearest stars, spread over the frame, speak for it.
const CLEAREST: usize = 96;
/// Stars have one size in a frame: this much larger or smaller is alike, natural logarithm.
const ALIKE: f64 = 0.3;
/// In a star field at least this share of the clearest is alike.
const FIELD_SHARE: f64 = 0.55;
/// Wider stars do not fit the patches that alignment cuts out, and are more likely craters: a scene serves both.
const FIELD_FWHM: f64 = 10.0;
/// Stars of a star field, at least.
const FIELD: usize = 3;
/// Sizes that a frame's stars have, over the median: coma and lens faults widen them towards the corners.
const SIZES: (f64, f64) = (0.55, 2.0);
/// Longer than this is a piece of a line (a satellite, a plane), or of a trailed frame.
const LINE: f64 = 4.0;
/// Pieces of a line have this share of the others on it, with several lines in the frame; of trailed stars, which are
/// parallel but elsewhere, chance puts 0.04 there.
const ON_LINE: f64 = 0.1;
/// How far from a line its pieces lie: px, and as a share of the distance along it.
const LINE_WIDTH: (f64, f64) = (4.0, 0.03);

impl StarList {
    /// From the measured candidates of a frame of `width` x `height`; `candidates` in all.
    #[must_use]
    pub fn new(measured: &[Option<Star>], candidates: usize, (width, height): (usize, usize)) -> StarList {
        let seen: Vec<Star> = measured
            .iter()
            .flatten()
            .filter(|s| s.snr >= LEAST_SNR && (STAR_FWHM.0..=STAR_FWHM.1).contains(&s.fwhm))
            .copied()
            .collect();
        let no_line = without_lines(&seen);
        let clearest = clearest(&no_line, width, height);
        let fwhm = median_of(&clearest, |s| s.fwhm);
        let elongation = median_of(&clearest, |s| s.elongation);
        let like = |s: &&Star| (s.fwhm / fwhm).ln().abs() < ALIKE;
        let alike = clearest.iter().filter(like).count() as f64 / clearest.len().max(1) as f64;
        let own = |s: &Star| (SIZES.0..=SIZES.1).contains(&(s.fwhm / fwhm));
        let mut stars: Vec<Star> = no_line.into_iter().filter(own).collect();
        stars.sort_by(|a, b| b.flux.total_cmp(&a.flux));
        let share = candidates as f64 / measured.len().max(1) as f64;
        let count = (stars.len() as f64 * share.max(1.0)).round() as usize;
        StarList { stars, count, fwhm, elongation, alike }
    }

    /// Whether the frame shows a star field rather than a scene.
    #[must_use]
    pub fn is_field(&self) -> bool {
        self.stars.len() >= FIELD && self.alike >= FIELD_SHARE && self.fwhm <= FIELD_FWHM
    }
}

fn median_of(stars: &[Star], f: impl Fn(&Star) -> f64) -> f64 {
    let mut values: Vec<f32> = stars.iter().map(|s| f(s) as f32).collect();
    f64::from(super::background::median(&mut values))
}

/// The stars with the best signal in each part of the frame, those that are not clipped first.
fn clearest(stars: &[Star], width: usize, height: usize) -> Vec<Star> {
    let sharp: Vec<Star> = stars.iter().filter(|s| !s.saturated()).copied().collect();
    let from = if sharp.len() * 2 >= stars.len() { &sharp } else { stars };
    let spot = |s: &Star| Spot { x: s.x as i32, y: s.y as i32, score: s.snr, noise: 1.0 };
    let chosen = super::select::spread(from.iter().map(spot).collect(), width, height, CLEAREST);
    let least = chosen.last().map_or(0.0, |s| s.score);
    let places: std::collections::HashSet<(i32, i32)> = chosen.iter().map(|s| (s.x, s.y)).collect();
    from.iter().filter(|s| s.snr >= least && places.contains(&(s.x as i32, s.y as i32))).copied().collect()
}

/// `stars` without the pieces of lines that cross the frame.
fn without_lines(stars: &[Star]) -> Vec<Star> {
    let long: Vec<&Star> = stars.iter().filter(|s| s.elongation > LINE).collect();
    let on_line = |s: &Star| {
        let (sin, cos) = s.angle.sin_cos();
        let hits = long.iter().filter(|o| {
            let (dx, dy) = (o.x - s.x, o.y - s.y);
            (dy * cos - dx * sin).abs() <= LINE_WIDTH.0 + LINE_WIDTH.1 * (dx * cos + dy * sin).abs()
        });
        // It lies on its own line itself.
        (hits.count() - 1) as f64 >= (ON_LINE * (long.len() - 1) as f64).max(1.0)
    };
    stars.iter().filter(|s| s.elongation <= LINE || !on_line(s)).copied().collect()
}
