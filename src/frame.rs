//! A frame on the host: samples in the file's own type, interleaved, row-major, in sensor coordinates.

use crate::sensor::{Bayer, Sensor};
use crate::tags::Tags;
pub use crate::tags::{Orientation, Pointing};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Floats up to this maximum are in units of white = 1; stretched pictures overshoot 1 a little.
const UNIT_MAX: f32 = 1.5;

/// The type of a sample as the file stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum SampleType {
    /// 8 bits, 0..=255.
    U8 = 0,
    /// 16 bits, 0..=65535.
    U16 = 1,
    /// 32-bit float, in the unit that the first of them decides: see [`SampleType::white`].
    F32 = 2,
}

impl SampleType {
    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            SampleType::U8 => 1,
            SampleType::U16 => 2,
            SampleType::F32 => 4,
        }
    }

    /// The level that stands for the 1 of the accumulation rules, where `maximum` gives the largest of the samples,
    /// which only floats need: 1 where it is at most 1.5, else 65535.
    #[must_use]
    pub fn white(self, maximum: impl FnOnce() -> f32) -> f32 {
        match self {
            SampleType::U8 => 255.0,
            SampleType::F32 if maximum() <= UNIT_MAX => 1.0,
            SampleType::U16 | SampleType::F32 => 65535.0,
        }
    }
}

/// The properties that all frames of a stack share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples of a pixel, interleaved: 1 (gray, or one colour of a mosaic) or 3 (red, green, blue).
    pub channels: usize,
    /// Type of a sample.
    pub sample: SampleType,
    /// The colours of a mosaic, whose pixels have one sample.
    pub mosaic: Option<Bayer>,
}

impl Shape {
    /// Samples of a whole frame.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.width * self.height * self.channels
    }

    /// Bytes of a whole frame, rows without padding.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.samples() * self.sample.bytes()
    }

    /// 32-bit words that hold a whole frame.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.bytes().div_ceil(4)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match (self.mosaic, self.channels) {
            (Some(bayer), _) => format!("{} mosaic", bayer.name()),
            (None, 1) => "gray".to_owned(),
            _ => "colour".to_owned(),
        };
        write!(f, "{}x{} {} bit {kind}", self.width, self.height, self.sample.bytes() * 8)
    }
}

/// A decoded frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it came from.
    pub path: PathBuf,
    /// Size, channels, sample type.
    pub shape: Shape,
    /// The samples, packed little-endian into words (what the GPU is fed), rows without padding;
    /// exactly [`Shape::words`] long, bytes after the last sample are 0.
    pub words: Vec<u32>,
    /// What the samples mean.
    pub sensor: Sensor,
    /// What the file says of how it was taken.
    pub tags: Tags,
    /// Bytes that decoding took beside the file and the samples.
    pub beside: u64,
}

impl Frame {
    /// Bytes of the buffer that its samples lie in.
    #[must_use]
    pub fn held(&self) -> u64 {
        (size_of::<u32>() * self.words.capacity()) as u64
    }

    /// The samples as bytes, in the file's own type, without the padding of the last word.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.shape.bytes()]
    }

    /// The white level that this frame decides where it is the first of a night; later ones take it over, whatever
    /// their own maximum: one satellite must not change the unit of a frame.
    #[must_use]
    pub fn white(&self) -> f32 {
        let by_type = || self.shape.sample.white(|| maximum(bytemuck::cast_slice(&self.words)));
        self.sensor.white.unwrap_or_else(by_type)
    }

    /// Sample number `k` (interleaved order) in level units.
    #[must_use]
    pub fn level(&self, k: usize) -> f32 {
        match self.shape.sample {
            SampleType::U8 => f32::from(self.bytes()[k]),
            SampleType::U16 => f32::from(bytemuck::cast_slice::<u32, u16>(&self.words)[k]),
            SampleType::F32 => bytemuck::cast_slice::<u32, f32>(&self.words)[k],
        }
    }
}

/// The largest of finite `levels`, found on all cores.
#[must_use]
pub fn maximum(levels: &[f32]) -> f32 {
    levels.par_iter().copied().reduce(|| f32::MIN, f32::max)
}
