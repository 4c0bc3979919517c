//! What the first frame of a night settles for all that follow.

use crate::frame::{Frame, Shape};
use crate::path_bytes;
use crate::sensor::Sensor;
use crate::tags::Tags;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Samples that a median is taken from, about.
const SAMPLE: usize = 1 << 16;

/// What is kept of the first frame: enough to begin its night again without it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct First {
    /// Its file.
    #[serde(with = "path_bytes")]
    pub(crate) path: PathBuf,
    /// Size, channels, sample type and mosaic, which all frames must have.
    pub(crate) shape: Shape,
    /// What its samples mean.
    pub(crate) sensor: Sensor,
    /// How it was taken.
    pub(crate) tags: Tags,
    /// The level of white, for the whole night.
    pub(crate) white: f32,
    /// Bytes that decoding took beside file and samples; 0 where an earlier version did not say.
    #[serde(default)]
    pub(crate) beside: u64,
    /// Bytes of the buffer that its samples lie in, likewise.
    #[serde(default)]
    pub(crate) held: u64,
    /// Some samples, levels, black included, from all over it.
    pub(crate) samples: Vec<f32>,
}

impl First {
    /// Of a frame.
    pub(crate) fn of(frame: &Frame) -> First {
        let step = (frame.shape.samples() / SAMPLE) | 1;
        First {
            path: frame.path.clone(),
            shape: frame.shape,
            sensor: frame.sensor,
            tags: frame.tags.clone(),
            white: frame.white(),
            beside: frame.beside,
            held: frame.held(),
            samples: (0..frame.shape.samples()).step_by(step).map(|k| frame.level(k)).collect(),
        }
    }
}
