//! Masters: several darks, flats or bias frames made into one, sample by sample.

mod builder;
pub mod cache;
mod column;
mod flat;
mod hot;
mod levels;
mod passes;
mod plan;
mod spill;

pub use builder::{BUDGET_BYTES, Builder, Setup};
pub use flat::Flat;
pub use hot::Hot;
pub use passes::{Built, build};
pub use plan::{DarkRule, Masters, Mosaic, Plan, Wishes};

use crate::frame::{Frame, SampleType, Shape, maximum};
use rayon::prelude::*;

/// How frames become a master.
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

impl MasterRule {
    /// Its name, as headers and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            MasterRule::PeakMean => "peak-mean",
            MasterRule::Mean => "mean",
            MasterRule::Median => "median",
            MasterRule::Sigma => "sigma",
        }
    }

    /// The rule of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<MasterRule> {
        [MasterRule::PeakMean, MasterRule::Mean, MasterRule::Median, MasterRule::Sigma]
            .into_iter()
            .find(|rule| rule.name() == name.trim())
    }

    /// What is used where nobody asked: the median of linear frames, the peak mean of pictures that a camera made.
    #[must_use]
    pub const fn usual(linear: bool) -> MasterRule {
        if linear { MasterRule::Median } else { MasterRule::PeakMean }
    }
}

/// What a master was made of: what its first frame says, which the others agree with as far as they say it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct About {
    /// How it was made; `None` where that is not known.
    pub rule: Option<MasterRule>,
    /// Exposure time of each frame in seconds.
    pub exposure_s: Option<f64>,
    /// ISO speed.
    pub iso: Option<f64>,
    /// Gain as the camera counts it.
    pub gain: Option<f64>,
    /// Temperature of the sensor, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Camera.
    pub camera: Option<String>,
    /// Black that was taken off the samples of the first frame, of each pixel of a 2x2 cell.
    pub black: [f32; 4],
    /// The level (less black) that stands for 1, where the file says.
    pub white: Option<f32>,
    /// Whether samples are proportional to light.
    pub linear: bool,
    /// Whether every frame says the same of exposure, ISO and gain (to 2 %), of camera and black.
    pub alike: bool,
}

impl About {
    /// What `frame` says.
    fn of(frame: &Frame, rule: MasterRule) -> About {
        let tags = &frame.tags;
        About {
            rule: Some(rule),
            exposure_s: tags.exposure_s,
            iso: tags.iso,
            gain: tags.gain,
            temperature_c: tags.temperature_c,
            camera: tags.camera.clone(),
            black: frame.sensor.black,
            white: frame.sensor.white,
            linear: frame.sensor.linear,
            alike: true,
        }
    }
}

/// A master dark, flat or bias.
#[derive(Clone, Debug)]
pub struct Master {
    /// Size, channels and mosaic; `sample` is the type of the frames.
    pub shape: Shape,
    /// Interleaved samples, level units of the frames: samples less black.
    pub levels: Vec<f32>,
    /// Frames it was made from; of a ready master, as many as its header says.
    pub frames: usize,
    /// What it was made of.
    pub about: About,
}

impl Master {
    /// The level that stands for 1.
    fn white(&self) -> f32 {
        self.shape.sample.white(|| maximum(&self.levels))
    }
}

/// What the levels of `master` are multiplied by to be in the unit of frames of `sample`, whose level `white` is 1.
/// Floats under floats are in the same unit, however small a dark's maximum is. Linear masters are in the sensor's units,
/// as linear frames are: see [`fit_unit`].
fn unit(sample: SampleType, linear: bool, white: f32, master: &Master) -> f32 {
    match (sample, master.shape.sample) {
        (SampleType::F32, SampleType::F32) => 1.0,
        _ if linear && master.about.linear => 1.0,
        _ => white / master.white(),
    }
}

/// Levels of 0..1 are this many sensor units of 16 bits.
const FULL: f32 = 65535.0;
/// A master in the sensor's units is at most this many times as bright as what it is taken off, by median.
const BRIGHTER: f32 = 1.5;

/// Brings a linear float `master` to the unit of linear frames with these `levels` of `sample`, where one is in the
/// sensor's units and the other goes from 0 to 1, as some programs write floats. Returns the factor.
pub fn fit_unit(master: &mut Master, sample: SampleType, levels: &[f32]) -> f32 {
    if master.shape.sample != SampleType::F32 || !master.about.linear {
        return 1.0;
    }
    let small = |levels: &[f32]| SampleType::F32.white(|| maximum(levels)) == 1.0;
    let lights = sample == SampleType::F32 && small(levels);
    let factor = match (lights, small(&master.levels)) {
        (true, false) => 1.0 / FULL,
        // What is left of a dark less its bias may be small, too.
        (false, true) if median(&master.levels) * FULL <= BRIGHTER * median(levels) => FULL,
        _ => return 1.0,
    };
    master.levels.par_iter_mut().for_each(|level| *level *= factor);
    factor
}

/// Samples that a median is taken from, about.
const SAMPLE: usize = 1 << 16;

/// The median of some of the `levels`, from all over them.
#[must_use]
pub fn median(levels: &[f32]) -> f32 {
    let step = (levels.len() / SAMPLE) | 1;
    let mut sample: Vec<f32> = levels.iter().step_by(step).copied().collect();
    let middle = sample.len() / 2;
    if sample.is_empty() { 0.0 } else { *sample.select_nth_unstable_by(middle, f32::total_cmp).1 }
}
