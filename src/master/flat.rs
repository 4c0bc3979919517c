//! The master flat: how much light each pixel gets, as a part of the mean.

use super::{Master, unit};
use crate::error::{Error, Result};
use crate::frame::{Shape, maximum};
use rayon::prelude::*;

/// A flat sample under this counts as this: nothing is brightened more than twenty times.
pub(super) const LEAST: f32 = 0.05;

/// Samples that a quantile is taken from, about.
const SAMPLE: usize = 1 << 16;
/// One sample in so many is brighter than what counts as the brightest: dust does not shine.
const BRIGHTEST: usize = 1000;

/// What lights are divided by.
#[derive(Clone, Debug)]
pub struct Flat {
    /// Size and mosaic of the flats.
    pub shape: Shape,
    /// Interleaved samples, mean 1 (of each channel), none under 0.05.
    pub levels: Vec<f32>,
    /// Samples that were under it.
    pub floored: usize,
}

impl Flat {
    /// The flat of master `flat`, less `offset` (flat darks or bias). A `mosaic` is averaged over its 2x2 cells, so that
    /// its colours drop out, then everything is divided by the mean.
    ///
    /// # Errors
    /// [`Error::Usage`] where the two do not fit, or the flat is not brighter than the offset.
    pub fn new(flat: &Master, offset: Option<&Master>, mosaic: bool) -> Result<Flat> {
        let (shape, mut levels, about) = (flat.shape, flat.levels.clone(), &flat.about);
        if let Some(offset) = offset {
            let o = offset.shape;
            if (o.width, o.height, o.channels) != (shape.width, shape.height, shape.channels) {
                return Err(Error::Usage(format!(
                    "the offset of the flat does not fit it: the flat is {shape}, its dark or bias is {o}: use frames \
                     of the same camera and size"
                )));
            }
            let scale = unit(shape.sample, about.linear, shape.sample.white(|| maximum(&levels)), offset);
            levels.par_iter_mut().zip(&offset.levels).for_each(|(l, o)| *l -= o * scale);
        }
        if mosaic {
            cells(&shape, &mut levels);
        }
        let channels = shape.channels;
        let mut floored = 0;
        for c in 0..channels {
            let part = levels.par_iter().skip(c).step_by(channels);
            let mean = part.map(|&l| f64::from(l)).sum::<f64>() / (levels.len() / channels) as f64;
            if mean.is_nan() || mean <= 0.0 {
                return Err(Error::Usage(
                    "the flat is not brighter than its dark or bias: give flats of an evenly lit field"
                        .into(),
                ));
            }
            let scale = (1.0 / mean) as f32;
            floored += levels
                .par_iter_mut()
                .skip(c)
                .step_by(channels)
                .map(|l| {
                    let part = *l * scale;
                    // Also what is no number.
                    let good = part >= LEAST;
                    *l = if good { part } else { LEAST };
                    usize::from(!good)
                })
                .sum::<usize>();
        }
        Ok(Flat { shape, levels, floored })
    }
}

impl Flat {
    /// The share of white that clipped samples keep where the flat is brightest: 1 over all but its brightest thousandth.
    pub(super) fn top(&self) -> f32 {
        let step = (self.levels.len() / SAMPLE).max(1);
        let mut sample: Vec<f32> = self.levels.iter().step_by(step).copied().collect();
        let k = sample.len() - 1 - sample.len() / BRIGHTEST;
        1.0 / sample.select_nth_unstable_by(k, f32::total_cmp).1.max(1.0)
    }
}

/// Replaces the samples of each 2x2 cell by their mean. Rows and columns beyond the last whole cell take that of the
/// cell before.
fn cells(shape: &Shape, levels: &mut [f32]) {
    let (w, h) = (shape.width, shape.height);
    if w < 2 || h < 2 {
        return;
    }
    levels.par_chunks_mut(2 * w).filter(|rows| rows.len() == 2 * w).for_each(|rows| {
        let (top, bottom) = rows.split_at_mut(w);
        for (a, b) in top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2)) {
            let mean = (a[0] + a[1] + b[0] + b[1]) / 4.0;
            a.fill(mean);
            b.fill(mean);
        }
        if w % 2 == 1 {
            top[w - 1] = top[w - 2];
            bottom[w - 1] = bottom[w - 2];
        }
    });
    if h % 2 == 1 {
        levels.copy_within((h - 2) * w..(h - 1) * w, (h - 1) * w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::SampleType;
    use crate::master::About;
    use crate::sensor::Bayer;

    fn master(w: usize, h: usize, mosaic: bool, levels: Vec<f32>) -> Master {
        let mosaic = mosaic.then_some(Bayer::Rggb);
        let shape = Shape { width: w, height: h, channels: 1, sample: SampleType::U16, mosaic };
        Master { shape, levels, frames: 1, about: About { linear: true, ..About::default() } }
    }

    #[test]
    fn cells_drop_the_pattern_and_the_mean_is_one() {
        // Red twice as bright as green, the right half of the field at 80 %, an offset of 100.
        let at = |x: usize, y: usize| {
            let colour = if (x | y) & 1 == 0 { 2000.0 } else { 1000.0 };
            100.0 + colour * if x < 2 { 1.0 } else { 0.8 }
        };
        let levels: Vec<f32> = (0..5).flat_map(|y| (0..4).map(move |x| at(x, y))).collect();
        let offset = master(4, 5, true, vec![100.0; 20]);
        let flat = Flat::new(&master(4, 5, true, levels), Some(&offset), true).expect("a flat");
        for (k, l) in flat.levels.iter().enumerate() {
            let expected = if k % 4 < 2 { 1.0 / 0.9 } else { 0.8 / 0.9 };
            assert!((l - expected).abs() < 1e-6, "{k}: {l}");
        }
        assert_eq!(flat.floored, 0);
    }

    #[test]
    fn dark_corners_are_floored_and_a_dark_flat_is_refused() {
        let flat =
            Flat::new(&master(4, 1, false, vec![1000.0, 1000.0, 1.0, -5.0]), None, false).expect("a flat");
        assert_eq!((flat.floored, flat.levels[2], flat.levels[3]), (2, LEAST, LEAST));
        let offset = master(2, 1, false, vec![300.0; 2]);
        assert!(Flat::new(&master(2, 1, false, vec![200.0; 2]), Some(&offset), false).is_err());
        assert!(
            Flat::new(&master(2, 1, false, vec![900.0; 2]), Some(&master(1, 2, false, vec![0.0; 2])), false)
                .is_err()
        );
    }
}
