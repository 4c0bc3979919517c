//! RAW: what a camera's sensor measured, before any processing.
//!
//! Samples are those of the file, cut to the active area of the sensor and otherwise untouched. Two crates decode:
//! rawloader, and, with the feature `rawler`, rawler for what rawloader refuses or would read wrongly. What the
//! samples mean comes from their tables of cameras, but for DNG, whose tags say it, and are read here.

use std::fs::File;

use super::{Picture, samples};
use crate::frame::{SampleType, Shape};
use crate::sensor::{Bayer, Sensor};
use crate::tags::Tags;

mod ciff;
mod colour;
mod container;
mod directory;
mod dng;
mod limits;
mod loader;
#[cfg(feature = "rawler")]
mod newer;
mod nikon;
mod pool;

/// What rawloader 0.37 and rawler 0.8 read, without X3F (no mosaic), QTK and the TIFF-named ones of old Kodaks.
pub(super) const EXTENSIONS: &[&str] = &[
    "3fr", "ari", "arw", "cr2", "cr3", "crw", "dcr", "dcs", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos",
    "mrw", "nef", "nrw", "orf", "ori", "pef", "raf", "raw", "rw2", "rwl", "srw",
];

/// How files of a camera's own begin: TIFF, Olympus, Panasonic, Fujifilm, Minolta, Arri.
const MAGIC: [&[u8]; 10] =
    [b"II\x2a\0", b"MM\0\x2a", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILM", b"\0MRM", b"ARRI", b"IIII"];

/// Whether `bytes` begin like a camera's RAW file.
pub(super) fn is_raw(bytes: &[u8]) -> bool {
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || ciff::is_ciff(bytes) || container::is_cr3(bytes)
}

/// Decodes the file `bytes` into `words`: the active area of the sensor.
pub(super) fn decode(bytes: &mut Vec<u8>, words: Vec<u32>) -> Result<Picture, String> {
    let mut tags = container::tags(&mut &bytes[..]);
    limits::check(bytes)?;
    let (length, bytes) = (bytes.len(), std::mem::take(bytes));
    let Decoded { mut raw, facts } = pool::quietly(|| decoded(bytes))??;
    if let Some(table) = &facts.linearization {
        raw.linearize(table);
    }
    let camera = tags.camera.get_or_insert_with(|| facts.camera.clone()).clone();
    let beside = raw.bytes();
    raw.cut(facts.sensor(&camera)?, facts.active, length, words).map(|(shape, words, sensor)| Picture {
        shape,
        words,
        sensor,
        tags,
        beside,
    })
}

/// The tags of the file, from its directories alone.
pub(super) fn tags(mut file: File) -> Tags {
    container::tags(&mut file)
}

/// What a crate makes of a file.
struct Decoded {
    raw: Raw,
    facts: Facts,
}

/// Decodes with the crate that reads this file, inside the pool.
fn decoded(mut bytes: Vec<u8>) -> Result<Decoded, String> {
    if let Some(nef) = nikon::Nef::of(&bytes) {
        let facts = loader::header(&bytes);
        #[cfg(feature = "rawler")]
        let facts = facts.or_else(|_| newer::header(&bytes));
        let samples =
            nef.decode().ok_or("truncated or damaged: the samples end early: copy the file again")?;
        return Ok(Decoded {
            raw: Raw::new(nef.width, nef.height, 1, Samples::Integer(samples))?,
            facts: facts?,
        });
    }
    let dng = dng::Dng::of(&bytes)?;
    if let Some(place) = dng.as_ref().and_then(|dng| dng.linearization_at) {
        // Both crates would dither the table's steps with noise, or leave it out: it is applied here.
        bytes[place..place + 2].fill(0xff);
    }
    let exact = dng.as_ref().is_none_or(|dng| dng.loader_is_exact);
    let first =
        if exact { loader::decode(&bytes) } else { Err("this kind of DNG is not supported".to_owned()) };
    let mut decoded = first.or_else(|why| newer(bytes, why))?;
    if let Some(dng) = dng {
        decoded.facts = dng.facts;
    }
    Ok(decoded)
}

#[cfg(feature = "rawler")]
fn newer(bytes: Vec<u8>, _refused: String) -> Result<Decoded, String> {
    newer::decode(bytes)
}

#[cfg(not(feature = "rawler"))]
fn newer(_bytes: Vec<u8>, refused: String) -> Result<Decoded, String> {
    Err(format!("{refused}: if it is whole, build livestack with the feature `rawler`"))
}

/// The samples of the whole sensor.
struct Raw {
    width: usize,
    height: usize,
    channels: usize,
    samples: Samples,
}

/// Samples in the file's own type.
enum Samples {
    Integer(Vec<u16>),
    Float(Vec<f32>),
}

/// A part of the sensor, px.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// The colours of the sensor's pixels.
#[derive(Clone, Debug, PartialEq)]
enum Colours {
    /// None of them, or all: one or three samples a pixel.
    Whole,
    /// A mosaic whose top left pixel of the active area begins this pattern.
    Bayer(Bayer),
    /// A mosaic of another kind, by its pattern.
    Other(String),
}

/// What the samples mean, as the file or a table of cameras says; positions count from the active area's corner.
struct Facts {
    camera: String,
    active: Area,
    colours: Colours,
    /// Level of black of each pixel of a 2x2 cell.
    black: [f32; 4],
    /// Level of white, black included.
    white: Option<f32>,
    /// What red, green, blue and the second green are multiplied by; not finite or 0 where not known.
    balance: [f32; 4],
    /// From XYZ to red, green and blue of the camera, row by row.
    xyz_to_camera: Option<[[f32; 3]; 3]>,
    /// The level of each stored value, where the file has such a table.
    linearization: Option<Vec<u16>>,
}

impl Facts {
    /// The sensor of the active area, and the colours of its mosaic.
    fn sensor(&self, camera: &str) -> Result<(Option<Bayer>, Sensor), String> {
        let mosaic = match &self.colours {
            Colours::Whole => None,
            Colours::Bayer(bayer) => Some(*bayer),
            Colours::Other(pattern) if pattern.len() == XTRANS => {
                return Err(format!("X-Trans sensors are not supported yet: {camera}: convert it to TIFF"));
            }
            Colours::Other(pattern) => {
                return Err(format!(
                    "expected a mosaic of 2x2 red, green and blue pixels, got {pattern}: {camera}: convert it to TIFF"
                ));
            }
        };
        let mean = self.black.iter().sum::<f32>() / self.black.len() as f32;
        let white = self.white.map(|white| white - mean).filter(|white| *white > 0.0);
        let (balance, matrix) = (
            colour::balance(self.balance, self.xyz_to_camera),
            self.xyz_to_camera.map_or(crate::sensor::NO_MATRIX, colour::matrix),
        );
        Ok((mosaic, Sensor { black: self.black, white, balance, matrix, ..Sensor::LINEAR }))
    }
}

/// Pixels of a cell of Fujifilm's X-Trans: 6x6.
const XTRANS: usize = 36;

impl Raw {
    /// Refuses samples that are not as many as their size says.
    fn new(width: usize, height: usize, channels: usize, samples: Samples) -> Result<Raw, String> {
        let got = match &samples {
            Samples::Integer(samples) => samples.len(),
            Samples::Float(samples) => samples.len(),
        };
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels));
        if expected != Some(got) || got == 0 {
            return Err(format!("damaged: {got} samples do not fill {width}x{height} pixels of {channels}"));
        }
        if !matches!(channels, 1 | 3) {
            return Err(format!("expected 1 or 3 samples a pixel, got {channels}: convert it to TIFF"));
        }
        Ok(Raw { width, height, channels, samples })
    }

    /// Bytes that it takes, and as many for what the crates hold on the way, or for a copy of floats.
    fn bytes(&self) -> u64 {
        let once = match &self.samples {
            Samples::Integer(samples) => size_of_val(&samples[..]),
            Samples::Float(samples) => size_of_val(&samples[..]),
        };
        2 * once as u64
    }

    /// Replaces each sample by its level in `table`; what is beyond it has its last.
    fn linearize(&mut self, table: &[u16]) {
        let (Samples::Integer(samples), Some(last)) = (&mut self.samples, table.last()) else { return };
        for sample in samples {
            *sample = *table.get(usize::from(*sample)).unwrap_or(last);
        }
    }

    /// The samples of the active area, in `words`.
    fn cut(
        &self,
        (mosaic, sensor): (Option<Bayer>, Sensor),
        active: Area,
        file: usize,
        mut words: Vec<u32>,
    ) -> Result<(Shape, Vec<u32>, Sensor), String> {
        let inside = active.left + active.width <= self.width && active.top + active.height <= self.height;
        if !inside {
            return Err(format!("damaged: an active area outside of {}x{} pixels", self.width, self.height));
        }
        if mosaic.is_some() && self.channels != 1 {
            return Err(format!("damaged: a mosaic with {} samples a pixel", self.channels));
        }
        let sample = match self.samples {
            Samples::Integer(_) => SampleType::U16,
            Samples::Float(_) => SampleType::F32,
        };
        let (width, height) = (active.width as u32, active.height as u32);
        let shape = Shape { mosaic, ..samples::shape(width, height, self.channels, sample, file)? };
        samples::room(&mut words, shape.words())?;
        let target: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        match &self.samples {
            Samples::Integer(samples) => self.rows(samples, active, target),
            Samples::Float(samples) => {
                self.rows(&samples.iter().map(finite).collect::<Vec<_>>(), active, target)
            }
        }
        samples::seal(&mut words, &shape);
        Ok((shape, words, sensor))
    }

    /// Copies the rows of the active area.
    fn rows<T: bytemuck::Pod>(&self, samples: &[T], active: Area, target: &mut [u8]) {
        let row = active.width * self.channels * size_of::<T>();
        let rows = samples.chunks_exact(self.width * self.channels).skip(active.top);
        for (from, to) in rows.zip(target.chunks_exact_mut(row).take(active.height)) {
            let from = &from[active.left * self.channels..][..active.width * self.channels];
            to.copy_from_slice(bytemuck::cast_slice(from));
        }
    }
}

/// What is not a finite number becomes 0, since sums would spread it.
fn finite(level: &f32) -> f32 {
    if level.is_finite() { *level } else { 0.0 }
}
