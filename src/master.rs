//! Master darks: several dark frames made into one, sample by sample.

mod builder;
mod plan;
mod spill;

pub use builder::Builder;
pub use plan::{DarkRule, Plan};

use crate::frame::{SampleType, Shape, maximum};

/// How darks become a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterRule {
    /// m = first dark; for each next dark d: d > m ? (d + m) / 2 : m. Leans to the hot pixels.
    PeakMean,
    /// The mean.
    Mean,
    /// The median (of an even number: the mean of the middle two).
    Median,
    /// Kappa-sigma mean: samples beyond 3 standard deviations are left out, until none is.
    Sigma,
}

/// A master dark.
#[derive(Clone, Debug)]
pub struct Master {
    /// Size and channels; `sample` is the type of the darks.
    pub shape: Shape,
    /// Interleaved samples, level units of the darks.
    pub levels: Vec<f32>,
    /// Darks it was made from.
    pub frames: usize,
}

impl Master {
    /// The level of the darks that stands for 1, under lights where 1 is the level `white`. Floats under floats are in
    /// the lights' unit, however small a dark's maximum is; under integers their own maximum decides it.
    fn white(&self, lights: SampleType, white: f32) -> f32 {
        match (lights, self.shape.sample) {
            (SampleType::F32, SampleType::F32) => white,
            (_, own) => own.white(|| maximum(&self.levels)),
        }
    }
}
