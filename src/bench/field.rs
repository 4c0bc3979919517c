//! Frames of a generated night: a seeded star field that drifts and turns a little, as JPEG files.

use crate::error::{Error, Result};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Different frames: enough for a drift, few enough to be generated fast.
pub(super) const FRAMES: usize = 4;
/// Quality of the files, as cameras have it: with this noise 20 Mpix are some 5 MB, as from a DSLR.
const QUALITY: u8 = 95;
/// Level of the sky.
const GLOW: f32 = 20.0;
/// Standard deviation of the noise, levels.
const NOISE: f32 = 2.5;
/// Mean and standard deviation of the sum of four bytes.
const BYTES: (f32, f32) = (510.0, 147.8);
/// Standard deviation of a star's profile, px: FWHM 3.
const SIGMA: f64 = 1.27;
/// A star reaches this far, px: five standard deviations and its fraction.
const REACH: i64 = 7;
/// Pixels for each star of a large field ...
const PIXELS_PER_STAR: usize = 6000;
/// ... and for each of a small one, which needs some to be aligned at all: up to so many.
const CROWDED: (usize, usize) = (700, 80);
/// How far frames drift, px each.
const DRIFT: (f64, f64) = (3.3, -1.7);
/// How far they turn, radians each.
const TURN: f64 = 1e-4;
/// Seed of the field; any would do.
const SEED: u64 = 20_161_106;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): number `k` of the sequence from `seed`.
fn bits(seed: u64, k: u64) -> u64 {
    let mut z = seed.wrapping_add(k.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform in [0, 1).
fn unit(k: u64) -> f64 {
    (bits(SEED, k) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Place in the first frame, px, and levels of each colour at the peak.
struct Star {
    x: f64,
    y: f64,
    peak: [f64; 3],
}

fn stars((w, h): (usize, usize)) -> Vec<Star> {
    let count = (w * h / PIXELS_PER_STAR).max((w * h / CROWDED.0).min(CROWDED.1));
    let star = |k: u64| {
        let random = |n: u64| unit(k * 8 + n);
        // Many faint, few bright: as the numbers of stars go with brightness.
        let peak = 30.0 * random(2).max(0.01).powf(-0.7);
        let tint = |n: u64| peak * (0.7 + 0.4 * random(n));
        Star { x: random(0) * w as f64, y: random(1) * h as f64, peak: [tint(3), tint(4), tint(5)] }
    };
    (0..count as u64).map(star).collect()
}

/// Samples of frame `k`, RGB, 8 bits. `None`: stopped on the way.
fn frame((w, h): (usize, usize), stars: &[Star], k: usize, stop: &AtomicBool) -> Option<Vec<u8>> {
    let stopped = || stop.load(Ordering::Relaxed);
    let mut data = vec![0; w * h * 3];
    let seed = bits(SEED, u64::MAX - k as u64);
    data.par_chunks_mut(w * 3).enumerate().for_each(|(y, row)| {
        if stopped() {
            return;
        }
        let (pairs, first) = (row.len().div_ceil(2), (y * w * 3) as u64);
        for pair in 0..pairs {
            let random = bits(seed, first + pair as u64).to_le_bytes();
            for (v, four) in row[2 * pair..].iter_mut().take(2).zip(random.as_chunks::<4>().0) {
                let sum: u16 = four.iter().map(|b| u16::from(*b)).sum();
                *v = (GLOW + NOISE * (f32::from(sum) - BYTES.0) / BYTES.1).round() as u8;
            }
        }
    });
    let (sin, cos) = (TURN * k as f64).sin_cos();
    let (cx, cy) = (w as f64 / 2.0, h as f64 / 2.0);
    for star in stars {
        if stopped() {
            return None;
        }
        let (dx, dy) = (star.x - cx, star.y - cy);
        let x = cx + cos * dx - sin * dy + DRIFT.0 * k as f64;
        let y = cy + sin * dx + cos * dy + DRIFT.1 * k as f64;
        light(&mut data, (w, h), (x, y), star.peak);
    }
    (!stopped()).then_some(data)
}

/// Adds a star.
fn light(data: &mut [u8], (w, h): (usize, usize), (x, y): (f64, f64), peak: [f64; 3]) {
    let span = |at: f64, side: usize| {
        let middle = at.round() as i64;
        (middle - REACH).clamp(0, side as i64) as usize..(middle + REACH + 1).clamp(0, side as i64) as usize
    };
    let falloff = |d: f64| (-d * d / (2.0 * SIGMA * SIGMA)).exp();
    for py in span(y, h) {
        for px in span(x, w) {
            let share = falloff(px as f64 - x) * falloff(py as f64 - y);
            for (v, peak) in data[(py * w + px) * 3..].iter_mut().zip(peak) {
                *v = (f64::from(*v) + share * peak).round().min(255.0) as u8;
            }
        }
    }
}

/// What JPEG files are written to; it fails once `stop` is set: the encoder works for seconds and does not ask.
struct Cut<'a>(Vec<u8>, &'a AtomicBool);

impl Write for Cut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes [`FRAMES`] frames of `size` px into `folder`: their paths, in order of time. `None`: stopped on the way.
///
/// # Errors
/// [`Error::Io`] where they cannot be written.
pub(super) fn write(size: (usize, usize), folder: &Path, stop: &AtomicBool) -> Result<Option<Vec<PathBuf>>> {
    let stars = stars(size);
    let one = |k: usize| {
        let path = folder.join(format!("light_{}.jpg", k + 1));
        let Some(samples) = frame(size, &stars, k, stop) else { return Ok(None) };
        let mut file = Cut(Vec::new(), stop);
        let written = JpegEncoder::new_with_quality(&mut file, QUALITY)
            .encode(&samples, size.0 as u32, size.1 as u32, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)
            .and_then(|()| std::fs::write(&path, file.0));
        match written {
            Err(_) if stop.load(Ordering::Relaxed) => Ok(None),
            Err(e) => Err(Error::io("cannot write a frame to measure with", &path, e)),
            Ok(()) => Ok(Some(path)),
        }
    };
    (0..FRAMES).into_par_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_each_time_and_unlike_each_other() {
        let size = (101, 67);
        let stars = stars(size);
        assert!(stars.len() >= 8, "{}", stars.len());
        let go_on = AtomicBool::new(false);
        let made = |k| frame(size, &stars, k, &go_on).expect("nobody stops it");
        let (a, b) = (made(0), made(1));
        assert_eq!(a.len(), 101 * 67 * 3);
        assert!(a == made(0) && a != b);
        let mean = a.iter().map(|v| f64::from(*v)).sum::<f64>() / a.len() as f64;
        assert!((f64::from(GLOW)..f64::from(GLOW) + 6.0).contains(&mean), "{mean}");
        assert!(a.iter().max() > Some(&60), "stars stand out");
    }

    #[test]
    fn a_frame_of_one_pixel_is_a_file_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = write((1, 1), dir.path(), &AtomicBool::new(false)).expect("files").expect("all");
        assert_eq!(paths.len(), FRAMES);
        let read = crate::io::read(&paths[0], Vec::new()).expect("a frame");
        assert_eq!((read.shape.width, read.shape.height, read.shape.channels), (1, 1, 3));
    }

    #[test]
    fn a_stop_ends_drawing_and_encoding() {
        let dir = tempfile::tempdir().expect("a folder");
        let stop = AtomicBool::new(true);
        assert!(frame((64, 48), &[], 0, &stop).is_none());
        assert!(Cut(Vec::new(), &stop).write(&[1]).is_err());
        assert!(matches!(write((64, 48), dir.path(), &stop), Ok(None)));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }
}
