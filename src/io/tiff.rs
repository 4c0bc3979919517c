//! TIFF: 8 and 16 bits and 32-bit float, gray and colour.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek};

use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{SampleFormat, Tag};
use tiff::{ColorType, TiffError};

use super::exif::{self, Field};
use super::{Picture, samples};
use crate::frame::{SampleType, Shape};
use crate::sensor::Sensor;
use crate::tags::Tags;

/// Values of the compression and predictor tags: TIFF 6.0, pages 30 and 64.
const NOT_COMPRESSED: u16 = 1;
const NO_PREDICTOR: u16 = 1;

/// Whether `bytes` begin like a TIFF or BigTIFF file of either byte order.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    [b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"].iter().any(|magic| bytes.starts_with(*magic))
}

/// Decodes the first picture of the file `bytes` into `words`. Alpha and other extra samples are dropped;
/// floats stay as they are stored, since their unit is the session's to decide.
#[expect(clippy::ptr_arg, reason = "of the type that formats share: some change the length")]
pub(super) fn decode(bytes: &mut Vec<u8>, mut words: Vec<u32>) -> Result<Picture, String> {
    let mut decoder = Decoder::new(Cursor::new(&bytes[..])).map_err(words_of)?;
    let mut limits = Limits::default();
    // One strip may be the whole picture; the file bounds it.
    limits.intermediate_buffer_size = bytes.len();
    decoder = decoder.with_limits(limits);

    let layout = Layout::of(&mut decoder, bytes.len())?;
    let (stored, shape) = (layout.stored, layout.shape);
    samples::room(&mut words, stored.words())?;
    if layout.planar {
        let mut planes: Vec<u8> = samples::zeros(stored.bytes())?;
        decoder.read_image_bytes(&mut planes).map_err(words_of)?;
        samples::room(&mut words, shape.words())?;
        interleave(&planes, bytemuck::cast_slice_mut(&mut words), &shape);
    } else {
        let target: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        decoder.read_image_bytes(&mut target[..stored.bytes()]).map_err(words_of)?;
        samples::drop_extra(&mut words, stored.channels, &shape);
    }
    samples::seal(&mut words, &shape);
    if shape.sample == SampleType::F32 {
        clear_holes(bytemuck::cast_slice_mut(&mut words));
    }
    let beside = if layout.planar { stored.bytes() as u64 } else { 0 };
    Ok(Picture { shape, words, sensor: Sensor::DISPLAY, tags: tags_of(&mut decoder), beside })
}

/// The tags of the file; only directories are read, wherever they stand.
pub(super) fn tags(file: File) -> Tags {
    Decoder::new(BufReader::new(file)).map(|mut decoder| tags_of(&mut decoder)).unwrap_or_default()
}

/// How the samples lie in the file, and what is kept of them.
struct Layout {
    /// As the crate hands them out, extra samples included.
    stored: Shape,
    /// What becomes of them.
    shape: Shape,
    /// One plane after the other instead of interleaved.
    planar: bool,
}

impl Layout {
    /// Reads the layout, and refuses what cannot be decoded faithfully.
    fn of<R: Read + Seek>(decoder: &mut Decoder<R>, file_len: usize) -> Result<Layout, String> {
        let color = decoder.colortype().map_err(words_of)?;
        let handed = usize::from(color.num_samples());
        let channels = match color {
            ColorType::Gray(_) => 1,
            // Gray with extra samples, alpha for one.
            ColorType::Multiband { .. } => 1,
            ColorType::RGB(_) | ColorType::RGBA(_) => 3,
            other => return Err(format!("expected gray or RGB, got {other:?}: convert it to RGB")),
        };
        let preference = decoder.image_buffer_layout().map_err(words_of)?;
        let sample = match (preference.sample_format, color.bit_depth()) {
            (SampleFormat::Uint, 8) => SampleType::U8,
            (SampleFormat::Uint, 16) => SampleType::U16,
            (SampleFormat::IEEEFP, 32) => SampleType::F32,
            (format, bits) => {
                return Err(format!(
                    "expected samples of 8 or 16 bits or 32-bit float, got {bits} bits {format:?}: convert it"
                ));
            }
        };
        let (width, height) = decoder.dimensions().map_err(words_of)?;
        let stored = samples::shape(width, height, handed, sample, file_len)?;
        let shape = samples::shape(width, height, channels, sample, file_len)?;
        let planar = preference.planes > 1;
        refuse_unfaithful(decoder, planar, handed)?;
        check_whole(decoder, stored.bytes(), file_len)?;
        Ok(Layout { stored, shape, planar })
    }
}

/// Refuses the layouts that tiff 0.11.3 decodes to something else than what was stored: planes in tiles (it
/// writes the padding rows of the last tiles over the next plane), and extra samples that it drops itself
/// from tiles (over the next row's first pixels) or before it undoes the prediction from the left.
fn refuse_unfaithful<R: Read + Seek>(
    decoder: &mut Decoder<R>,
    planar: bool,
    handed: usize,
) -> Result<(), String> {
    let in_tiles = decoder.find_tag(Tag::TileOffsets).map_err(words_of)?.is_some();
    let predictor = decoder.find_tag_unsigned(Tag::Predictor).map_err(words_of)?.unwrap_or(NO_PREDICTOR);
    let samples = decoder.find_tag_unsigned(Tag::SamplesPerPixel).map_err(words_of)?.unwrap_or(1);
    if planar && in_tiles {
        return Err("planes in tiles are not supported: save it with interleaved samples".into());
    }
    if !planar && handed != samples && (in_tiles || predictor != NO_PREDICTOR) {
        return Err(format!("{samples} samples a pixel in this layout are not supported: save it as RGB"));
    }
    Ok(())
}

/// Refuses a file that ends before its last strip or tile does, or whose strips are too short: what the
/// decoder would read instead are other parts of the file.
fn check_whole<R: Read + Seek>(
    decoder: &mut Decoder<R>,
    picture: usize,
    file_len: usize,
) -> Result<(), String> {
    let mut list = |tags: [Tag; 2]| -> Result<Vec<u64>, String> {
        for tag in tags {
            if let Some(list) = decoder.find_tag_unsigned_vec(tag).map_err(words_of)? {
                return Ok(list);
            }
        }
        Ok(Vec::new())
    };
    let offsets = list([Tag::StripOffsets, Tag::TileOffsets])?;
    let counts = list([Tag::StripByteCounts, Tag::TileByteCounts])?;
    let past_end =
        |(offset, count): (&u64, &u64)| offset.checked_add(*count).is_none_or(|end| end > file_len as u64);
    if offsets.iter().zip(&counts).any(past_end) {
        return Err("truncated: the samples go on behind the end of the file: copy it again".into());
    }
    let compression = decoder.find_tag_unsigned(Tag::Compression).map_err(words_of)?;
    let stored = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    if compression.unwrap_or(NOT_COMPRESSED) == NOT_COMPRESSED && stored < picture as u64 {
        return Err(format!("damaged: expected {picture} bytes of samples, got {stored}"));
    }
    Ok(())
}

/// Puts the first `shape.channels` of the `planes` into one pixel after the other.
fn interleave(planes: &[u8], pixels: &mut [u8], shape: &Shape) {
    let bytes = shape.sample.bytes();
    let plane_bytes = shape.width * shape.height * bytes;
    for (channel, plane) in planes.chunks_exact(plane_bytes).take(shape.channels).enumerate() {
        let targets = pixels.chunks_exact_mut(shape.channels * bytes);
        for (sample, pixel) in plane.chunks_exact(bytes).zip(targets) {
            pixel[channel * bytes..][..bytes].copy_from_slice(sample);
        }
    }
}

/// What is not a finite number (a masked pixel of some programs) becomes 0, since sums would spread it.
fn clear_holes(levels: &mut [f32]) {
    for level in levels {
        *level = if level.is_finite() { *level } else { 0.0 };
    }
}

/// The tags of the current picture and of its EXIF directory.
fn tags_of<R: Read + Seek>(decoder: &mut Decoder<R>) -> Tags {
    let pointer = decoder.find_tag(Tag::ExifDirectory).ok().flatten();
    let directory = pointer
        .and_then(|value| value.into_ifd_pointer().ok())
        .and_then(|pointer| decoder.read_directory(pointer).ok());
    exif::interpret(|number| {
        let tag = Tag::from_u16_exhaustive(number);
        let mut value = decoder.find_tag(tag).ok().flatten();
        if let (None, Some(directory)) = (&value, &directory) {
            value = decoder.read_directory_tags(directory).find_tag(tag).ok().flatten();
        }
        field(value?)
    })
}

fn field(value: Value) -> Option<Field> {
    match value {
        Value::Ascii(text) => Some(Field::Text(text)),
        Value::Rational(over, under) => Some(Field::Number(f64::from(over) / f64::from(under))),
        Value::List(values) => field(values.into_iter().next()?),
        other => other.into_u32().ok().map(|number| Field::Number(f64::from(number))),
    }
}

fn words_of(error: TiffError) -> String {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "truncated: copy the file again".into()
        }
        TiffError::UnsupportedError(what) => format!("not supported: {what}"),
        other => format!("damaged: {other}"),
    }
}
