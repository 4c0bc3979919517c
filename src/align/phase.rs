//! Phase correlation of two small planes: the shift between them, from anywhere, stars or none.
//!
//! Source: Kuglin and Hines, "The phase correlation image alignment method", IEEE 1975.

use super::motion::{Mat3, apply, compose, inverse};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;
use rustfft::{FftDirection, FftPlanner};
use serde::{Deserialize, Serialize};

/// Strongest low-pass: spectrum samples beyond this share of the Nyquist frequency hold little but noise.
const PASS: f32 = 0.5;
/// Values are limited to this many standard deviations, so that one bright star does not decide alone.
const LIMIT: f32 = 8.0;

/// Steps of the search over rotations, degrees: first all the way round, then about the best.
const ROUND: f64 = 5.0;
/// See [`ROUND`].
const FINER: f64 = 1.0;
/// Rotations with the highest peaks that are looked at more closely, and that are given back.
const BEST: usize = 3;
/// The search works on planes of at most so many px in a row.
const SEARCHED: usize = 256;

mod saved;

/// A plane small enough for Fourier transforms, background taken off.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "saved::Plane", into = "saved::Plane")]
pub struct Small {
    data: Vec<f32>,
    width: usize,
    height: usize,
}

impl Small {
    /// Of `data`, row-major.
    #[must_use]
    pub fn new(data: Vec<f32>, width: usize, height: usize) -> Small {
        Small { data, width, height }
    }

    /// Pixels of a row, rows.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Its spectrum.
    #[must_use]
    pub fn spectrum(&self) -> Spectrum {
        Spectrum::new(&self.data, self.width, self.height)
    }

    /// Binned until a row has at most [`SEARCHED`] px, and by how much.
    fn reduced(&self) -> (Small, usize) {
        let k = self.width.div_ceil(SEARCHED).max(1);
        let (w, h) = ((self.width / k).max(1), (self.height / k).max(1));
        let mut data = Vec::with_capacity(w * h);
        for y in 0..h {
            for x in 0..w {
                let rows = (k * y..(k * (y + 1)).min(self.height)).map(|r| r * self.width);
                data.push(rows.flat_map(|r| &self.data[r + k * x..r + (k * (x + 1)).min(self.width)]).sum());
            }
        }
        (Small::new(data, w, h), k)
    }

    /// Turned about its centre by the map `turn`: value at x is that at `turn` x; 0 from outside.
    fn turned(&self, turn: &Mat3) -> Small {
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..self.height {
            for x in 0..self.width {
                let (u, v) = apply(turn, x as f64, y as f64);
                let (u, v) = (u.round(), v.round());
                let inside = u >= 0.0 && v >= 0.0 && u < self.width as f64 && v < self.height as f64;
                data.push(if inside { self.data[v as usize * self.width + u as usize] } else { 0.0 });
            }
        }
        Small::new(data, self.width, self.height)
    }
}

/// Maps from `first` to `second`, px of the planes, with the highest peaks of phase correlation over all rotations.
#[must_use]
pub fn search(first: &Small, second: &Small) -> Vec<Mat3> {
    let ((a, k), (b, _)) = (first.reduced(), second.reduced());
    if (a.width, a.height) != (b.width, b.height) {
        return Vec::new();
    }
    let target = b.spectrum();
    let (cx, cy) = ((a.width as f64 - 1.0) / 2.0, (a.height as f64 - 1.0) / 2.0);
    let turn = |degrees: f64| {
        let (s, c) = degrees.to_radians().sin_cos();
        [c, -s, cx - c * cx + s * cy, s, c, cy - s * cx - c * cy, 0.0, 0.0, 1.0]
    };
    let peak = |degrees: f64| -> Option<(f64, f64, Mat3)> {
        // The plane turned forwards is sampled backwards.
        let s = shift(&a.turned(&turn(-degrees)).spectrum(), &target)?;
        Some((s.peak, degrees, compose(&super::motion::shift(s.dx, s.dy), &turn(degrees))))
    };
    let best = |mut peaks: Vec<(f64, f64, Mat3)>| {
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        peaks.truncate(BEST);
        peaks
    };
    let all_round = (360.0 / ROUND) as usize;
    let rough = best((0..all_round).into_par_iter().filter_map(|n| peak(n as f64 * ROUND)).collect());
    let near: Vec<f64> = rough.iter().flat_map(|p| (-2..=2).map(|n| p.1 + f64::from(n) * FINER)).collect();
    let o = (k as f64 - 1.0) / 2.0;
    let up = [k as f64, 0.0, o, 0.0, k as f64, o, 0.0, 0.0, 1.0];
    let found = best(near.into_par_iter().filter_map(peak).collect());
    found.iter().filter_map(|(_, _, m)| Some(compose(&up, &compose(m, &inverse(&up).ok()?)))).collect()
}

/// The spectrum of a plane, prepared for [`shift`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "saved::Grid", into = "saved::Grid")]
pub struct Spectrum {
    width: usize,
    height: usize,
    data: Vec<Complex32>,
}

/// A shift between two planes.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// Content of the second plane lies this far to the right of where the first has it, px of the plane.
    pub dx: f64,
    /// The same, downwards.
    pub dy: f64,
    /// How far the peak stands out of the rest, in standard deviations.
    pub peak: f64,
}

/// Transforms rows, then columns, in place.
fn transform(data: &mut [Complex32], width: usize, height: usize, direction: FftDirection) {
    let mut planner = FftPlanner::new();
    planner.plan_fft(width, direction).process(data);
    let columns = planner.plan_fft(height, direction);
    let mut column = vec![Complex32::default(); height];
    for x in 0..width {
        for (y, c) in column.iter_mut().enumerate() {
            *c = data[y * width + x];
        }
        columns.process(&mut column);
        for (y, c) in column.iter().enumerate() {
            data[y * width + x] = *c;
        }
    }
}

impl Spectrum {
    /// Of a plane `width` x `height`, background taken off; padded with zeros to powers of two.
    #[must_use]
    pub fn new(plane: &[f32], width: usize, height: usize) -> Spectrum {
        let (w, h) = (width.next_power_of_two(), height.next_power_of_two());
        let mean = plane.iter().sum::<f32>() / plane.len().max(1) as f32;
        // The scale comes from the absolute deviation, which a few bright stars do not inflate.
        let spread = plane.iter().map(|v| (v - mean).abs()).sum::<f32>() / plane.len().max(1) as f32;
        let limit = (LIMIT * spread).max(f32::MIN_POSITIVE);
        let mut data = vec![Complex32::default(); w * h];
        for (y, row) in plane.chunks_exact(width).enumerate() {
            // A cosine window: the frame's edge is no structure.
            let window = |k: usize, n: usize| (std::f32::consts::PI * (k as f32 + 0.5) / n as f32).sin();
            for (x, v) in row.iter().enumerate() {
                let value = (v - mean).clamp(-limit, limit) * window(x, width) * window(y, height);
                data[y * w + x] = Complex32::new(value, 0.0);
            }
        }
        transform(&mut data, w, h, FftDirection::Forward);
        Spectrum { width: w, height: h, data }
    }
}

/// The shift from `first` to `second`; `None` where the sizes differ.
#[must_use]
pub fn shift(first: &Spectrum, second: &Spectrum) -> Option<Shift> {
    let (w, h) = (first.width, first.height);
    if (w, h) != (second.width, second.height) {
        return None;
    }
    let low = |k: usize, n: usize| {
        let f = k.min(n - k) as f32 / (n as f32 / 2.0) / PASS;
        (-0.5 * f * f).exp()
    };
    let mut product: Vec<Complex32> = first
        .data
        .iter()
        .zip(&second.data)
        .enumerate()
        .map(|(k, (a, b))| {
            let c = b * a.conj();
            c * (low(k % w, w) * low(k / w, h) / c.norm().max(f32::MIN_POSITIVE))
        })
        .collect();
    transform(&mut product, w, h, FftDirection::Inverse);
    let (best, top) = product.iter().enumerate().max_by(|a, b| a.1.re.total_cmp(&b.1.re))?;
    let n = product.len() as f32;
    let mean = product.iter().map(|c| c.re).sum::<f32>() / n;
    let variance = product.iter().map(|c| (c.re - mean).powi(2)).sum::<f32>() / n;
    let (x, y) = (best % w, best / w);
    let signed = |k: usize, n: usize| if k > n / 2 { k as f64 - n as f64 } else { k as f64 };
    let fraction = |before: f32, here: f32, after: f32| {
        let bend = before - 2.0 * here + after;
        if bend < 0.0 { f64::from(0.5 * (before - after) / bend) } else { 0.0 }
    };
    let at = |x: usize, y: usize| product[y % h * w + x % w].re;
    Some(Shift {
        dx: signed(x, w) + fraction(at(x + w - 1, y), top.re, at(x + 1, y)),
        dy: signed(y, h) + fraction(at(x, y + h - 1), top.re, at(x, y + 1)),
        peak: f64::from((top.re - mean) / variance.sqrt().max(f32::MIN_POSITIVE)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of dots at places drawn from `seed`, shifted by (dx, dy).
    fn dots(mut seed: u64, dx: i64, dy: i64) -> Vec<f32> {
        let (w, h) = (200_i64, 130_i64);
        let mut plane = vec![0.0; (w * h) as usize];
        for _ in 0..60 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (x, y) = ((seed >> 33) as i64 % w + dx, (seed >> 13) as i64 % 1000 * h / 1000 + dy);
            if (1..w - 1).contains(&x) && (1..h - 1).contains(&y) {
                for (ox, oy) in [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)] {
                    plane[((y + oy) * w + x + ox) as usize] += 100.0;
                }
            }
        }
        plane
    }

    #[test]
    fn finds_a_large_shift_and_none_between_two_fields() {
        let first = Spectrum::new(&dots(1, 0, 0), 200, 130);
        let s = shift(&first, &Spectrum::new(&dots(1, 37, -22), 200, 130)).expect("same size");
        assert!((s.dx - 37.0).abs() < 0.5 && (s.dy + 22.0).abs() < 0.5 && s.peak > 24.0, "{s:?}");
        let found = s.peak;
        let s = shift(&first, &Spectrum::new(&dots(2, 0, 0), 200, 130)).expect("same size");
        // Chance pairs of dots make a peak too; whether a start is right, the fit decides.
        assert!(s.peak < found / 1.5, "{found} {s:?}");
    }
}
