//! A camera with a Bayer sensor behind a lens that darkens the corners: lights, darks, flats, flat darks and bias in
//! FITS files, every part of them known. Levels are 16-bit ones.

use super::mosaic::write_sixteen;
use super::picture::Picture;
use super::sky::Rng;
use livestack::sensor::Bayer;
use std::path::Path;

/// Level of the sky, of an evenly lit screen: red, green, blue.
pub(crate) const SKY: [f32; 3] = [4000.0, 5000.0, 3500.0];
const SCREEN: [f32; 3] = [20_000.0, 30_000.0, 15_000.0];
/// Offset, read noise, dark current of a light and what an amplifier adds at the right edge.
const BIAS: f32 = 1000.0;
const READ: f32 = 40.0;
const DARK: f32 = 300.0;
const GLOW: f32 = 400.0;
/// What a flat's short exposure has of the dark current and of the hot pixels.
const SHORT: f32 = 0.05;
/// Hot pixels: 40 to 250 of 8-bit levels, as the generator of the project's sequences has them.
const HOT: (f64, f64) = (40.0 * 257.0, 250.0 * 257.0);
/// Light that is lost half way to a corner, as a share, twice; and under a grain of dust: share, place, radius in px.
const VIGNETTE: f32 = 0.25;
const DUST: (f32, f32, f32, f32) = (0.1, 0.3, 0.6, 9.0);
/// FWHM over standard deviation of a Gaussian.
const FWHM_TO_SIGMA: f64 = 2.354_82;
/// Side of the square that a star has for itself, px, and how far it may be from its middle.
const FIELD: usize = 32;
const OFF: f64 = 8.0;

/// A star: where it is in frame 0, and its light (its level would fill so many pixels) in each colour.
pub(crate) struct Star {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) light: [f64; 3],
}

pub(crate) struct Camera {
    pub(crate) size: (usize, usize),
    pub(crate) bayer: Bayer,
    /// Pixel number and level of each hot pixel.
    pub(crate) hot: Vec<(usize, f32)>,
    pub(crate) stars: Vec<Star>,
    pub(crate) fwhm: f64,
    seed: u64,
}

/// What a frame is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Light,
    Dark,
    Flat,
    FlatDark,
    Bias,
}

impl Camera {
    /// `hot` is the share of pixels that are.
    pub(crate) fn new(size: (usize, usize), bayer: Bayer, hot: f64, fwhm: f64) -> Camera {
        let mut rng = Rng::new(size.0 as u64 + bayer as u64);
        let pixels = size.0 * size.1;
        let mut places: Vec<usize> =
            (0..(hot * pixels as f64).round() as usize).map(|_| rng.below(pixels)).collect();
        places.sort_unstable();
        places.dedup();
        let hot = places.into_iter().map(|at| (at, rng.within(HOT.0, HOT.1) as f32)).collect();
        let (columns, rows) = (size.0 / FIELD, size.1 / FIELD);
        let middle = |k: usize| (k * FIELD + FIELD / 2) as f64;
        let stars = (0..columns * rows).map(|k| {
            let light = rng.within(100_000.0, 180_000.0);
            Star {
                x: middle(k % columns) + rng.within(-OFF, OFF),
                y: middle(k / columns) + rng.within(-OFF, OFF),
                light: [light * rng.within(0.6, 1.0), light, light * rng.within(0.6, 1.0)],
            }
        });
        Camera { size, bayer, hot, stars: stars.collect(), fwhm, seed: 1 }
    }

    /// The share of light that reaches pixel (x, y).
    pub(crate) fn through(&self, x: usize, y: usize) -> f32 {
        let (w, h) = (self.size.0 as f32, self.size.1 as f32);
        let (u, v) = (2.0 * x as f32 / w - 1.0, 2.0 * y as f32 / h - 1.0);
        let (loss, dx, dy, radius) = DUST;
        let r2 = (x as f32 - dx * w).powi(2) + (y as f32 - dy * h).powi(2);
        (1.0 - VIGNETTE * (u * u + v * v) / 2.0) * (1.0 - loss * (-r2 / (2.0 * radius * radius)).exp())
    }

    /// Frame number `k`, its stars displaced by `shift`.
    pub(crate) fn shoot(&self, of: Of, k: usize, shift: (f64, f64)) -> Picture<f32> {
        let (w, h) = self.size;
        let stars = if of == Of::Light { self.star_light(shift) } else { vec![0.0; w * h] };
        let mut rng = Rng::new(self.seed + 1000 * (1 + of as u64) + k as u64);
        let share = match of {
            Of::Light | Of::Dark => 1.0,
            Of::Flat | Of::FlatDark => SHORT,
            Of::Bias => 0.0,
        };
        let mut hot = vec![0.0; w * h];
        self.hot.iter().for_each(|&(at, level)| hot[at] = level);
        let data = (0..w * h).map(|at| {
            let (x, y) = (at % w, at / w);
            let colour = self.bayer.colour(x, y);
            let lit = match of {
                Of::Light => SKY[colour] + stars[at],
                Of::Flat => SCREEN[colour],
                Of::Dark | Of::FlatDark | Of::Bias => 0.0,
            };
            let dark = DARK + GLOW * x as f32 / w as f32 + hot[at];
            let electrons = lit * self.through(x, y) + share * dark;
            BIAS + electrons + (READ * READ + electrons).sqrt() * rng.normal()
        });
        Picture::new(w, h, 1, data.collect())
    }

    /// The light of the stars on each pixel, in its own colour.
    fn star_light(&self, shift: (f64, f64)) -> Vec<f32> {
        let (w, h) = self.size;
        let mut data = vec![0.0; w * h];
        let sigma = self.fwhm / FWHM_TO_SIGMA;
        let reach = (5.0 * sigma).ceil();
        for star in &self.stars {
            let (sx, sy) = (star.x + shift.0, star.y + shift.1);
            let span = |at: f64, side: usize| {
                (at - reach).clamp(0.0, side as f64) as usize..(at + reach).clamp(0.0, side as f64) as usize
            };
            for y in span(sy, h) {
                for x in span(sx, w) {
                    let r2 = (x as f64 - sx).powi(2) + (y as f64 - sy).powi(2);
                    let share = (-r2 / (2.0 * sigma * sigma)).exp() / (std::f64::consts::TAU * sigma * sigma);
                    data[y * w + x] += (share * star.light[self.bayer.colour(x, y)]) as f32;
                }
            }
        }
        data
    }

    /// Writes a frame with its header.
    pub(crate) fn write(&self, path: &Path, of: Of, k: usize, shift: (f64, f64)) {
        let (kind, seconds) = match of {
            Of::Light => ("Light Frame", 10.0),
            Of::Dark => ("Dark Frame", 10.0),
            Of::Flat => ("Flat Field", 0.5),
            Of::FlatDark => ("Dark Flat", 0.5),
            Of::Bias => ("Bias Frame", 0.0),
        };
        let cards = format!(
            "IMAGETYP= '{kind}'\nEXPTIME = {seconds:.1}\nGAIN = 120\nBAYERPAT= '{}'\n\
             DATE-OBS= '2026-03-01T22:{:02}:00'\nINSTRUME= 'Test camera'\nROWORDER= 'TOP-DOWN'",
            self.bayer.name(),
            k % 60
        );
        write_sixteen(path, &self.shoot(of, k, shift), &cards);
    }

    /// Whether pixel (x, y) of frame 0 is `away` px or more from every star.
    pub(crate) fn free(&self, x: usize, y: usize, away: f64) -> bool {
        self.stars.iter().all(|s| (x as f64 - s.x).hypot(y as f64 - s.y) >= away)
    }
}
