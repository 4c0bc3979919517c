//! Hot pixels of a mosaic, found from its master dark.

use super::Master;
use crate::kernels::repair::list_words;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A pixel of the dark is hot when it stands out of its neighbours of the same colour by this many standard deviations
/// of what pixels do: dark current's own spread reaches 5 in 10^7 pixels.
const SIGMAS: f32 = 8.0;
/// Most pixels that are called hot, as a part of all: what a sensor has more of is its noise.
const MOST: f64 = 0.02;
/// Median absolute deviation of Gaussian noise to its standard deviation.
const MAD_TO_SIGMA: f32 = 1.4826;
/// Pixels that the spread is taken from, about.
const SAMPLE: usize = 1 << 18;
/// Columns or rows to the next pixel of a colour.
const NEXT: usize = 2;

/// Hot pixels of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hot {
    /// Rows of [`list_words`] words; bit x of a row is set where pixel x is hot.
    pub words: Vec<u32>,
    /// How many there are.
    pub count: usize,
}

/// The hot pixels of the mosaic whose `dark` this is.
#[must_use]
pub(super) fn hot(dark: &Master) -> Hot {
    let (w, h) = (dark.shape.width, dark.shape.height);
    // An odd step meets pixels of every colour.
    let step = (w * h / SAMPLE) | 1;
    let mut sample: Vec<f32> =
        (0..w * h).step_by(step).map(|k| excess(&dark.levels, (w, h), k % w, k / w)).collect();
    let part = |sample: &mut [f32], part: f64| {
        let k = ((sample.len() as f64 * part) as usize).min(sample.len() - 1);
        *sample.select_nth_unstable_by(k, f32::total_cmp).1
    };
    let most = part(&mut sample, 1.0 - MOST);
    let mut apart: Vec<f32> = sample.iter().map(|e| e.abs()).collect();
    let limit = (SIGMAS * MAD_TO_SIGMA * part(&mut apart, 0.5)).max(most);
    let words: Vec<u32> = (0..h)
        .into_par_iter()
        .flat_map_iter(|y| {
            (0..list_words(w)).map(move |k| {
                (32 * k..w.min(32 * k + 32))
                    .filter(|&x| excess(&dark.levels, (w, h), x, y) > limit)
                    .fold(0, |word, x| word | 1 << (x % 32))
            })
        })
        .collect();
    let count = words.iter().map(|w| w.count_ones() as usize).sum();
    Hot { words, count }
}

/// How far pixel (x, y) stands out of the middle two of its four neighbours of the same colour.
fn excess(levels: &[f32], (w, h): (usize, usize), x: usize, y: usize) -> f32 {
    let near = |v: usize, n: usize| {
        let before = if v >= NEXT { v - NEXT } else { (v + NEXT).min(n - 1) };
        let after = if v + NEXT < n { v + NEXT } else { v.saturating_sub(NEXT) };
        (before, after)
    };
    let ((x0, x1), (y0, y1)) = (near(x, w), near(y, h));
    let n = [levels[y * w + x0], levels[y * w + x1], levels[y0 * w + x], levels[y1 * w + x]];
    let lowest = n.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = n.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    levels[y * w + x] - (n.iter().sum::<f32>() - lowest - highest) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{SampleType, Shape};
    use crate::master::About;
    use crate::sensor::Bayer;

    #[test]
    fn finds_what_stands_out_of_its_colour() {
        let (w, h) = (70, 41);
        let shape =
            Shape { width: w, height: h, channels: 1, sample: SampleType::U16, mosaic: Some(Bayer::Rggb) };
        // Columns of amplifier glow, noise of some levels; one pixel of each corner and two of one colour side by side.
        let mut state = 7_u32;
        let mut levels: Vec<f32> = (0..w * h)
            .map(|k| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                200.0 + (k % w) as f32 * 3.0 + (state >> 28) as f32
            })
            .collect();
        let bad = [(0, 0), (69, 0), (0, 40), (69, 40), (33, 20), (35, 20), (31, 7), (32, 7)];
        for (x, y) in bad {
            levels[y * w + x] += 150.0;
        }
        let hot = hot(&Master { shape, levels, frames: 1, about: About::default() });
        for y in 0..h {
            for x in 0..w {
                let found = hot.words[y * list_words(w) + x / 32] >> (x % 32) & 1 == 1;
                assert_eq!(found, bad.contains(&(x, y)), "({x}, {y})");
            }
        }
        assert_eq!(hot.count, bad.len());
    }
}
