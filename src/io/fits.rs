//! FITS: 8 to 64 bits and floats, gray, mosaics and planes of colour, also compressed by tiles or as a whole.
//!
//! Source: Definition of the Flexible Image Transport System, version 4.0 (IAU FITS Working Group, 2018).

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};

use flate2::bufread::MultiGzDecoder;
use rayon::prelude::*;

use super::{Picture, samples};
use crate::frame::{SampleType, Shape};
use crate::sensor::Sensor;
use crate::tags::{Orientation, Tags};
use hdu::{Image, Packed, Plain, words_of};
use levels::{Raw, Scaling};

mod check;
mod dither;
mod hdu;
mod header;
mod labels;
mod levels;
mod table;
mod tiles;
mod write;

pub use check::{data_intact, read_cards, read_intact};
pub use header::{Card, Value};
pub use write::write_fits;

/// First bytes of a file that is compressed as a whole: RFC 1952, section 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most bytes that deflate makes of one: zlib's technical details.
const MAX_DEFLATE: u64 = 1032;
/// Most bytes behind the image that are decompressed to see whether the file's checksum is right.
const MAX_REST: u64 = 1 << 26;

/// Whether `bytes` begin like a FITS file, or one that gzip has compressed.
pub(super) fn is_fits(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SIMPLE  =") || bytes.starts_with(&GZIP)
}

/// Decodes the first image of the file `bytes` into `words`. Rows come as they are stored.
#[expect(clippy::ptr_arg, reason = "of the type that formats share: some change the length")]
pub(super) fn decode(bytes: &mut Vec<u8>, mut words: Vec<u32>) -> Result<Picture, String> {
    let (image, data) = if bytes.starts_with(&GZIP) { unpack(bytes)? } else { locate(bytes)? };
    let scaling = Scaling::of(&image)?;
    let grid = Grid::of(&image)?;
    let side = |px: u64| u32::try_from(px).map_err(|_| format!("damaged: a side of {px} px"));
    let (width, height) = (side(grid.width)?, side(grid.height)?);
    let mut shape = samples::shape(width, height, grid.channels, scaling.sample, bytes.len())?;
    let (mosaic, other_mosaic) = match labels::mosaic(&image, &shape) {
        Ok(mosaic) => (mosaic, None),
        Err(name) => (None, Some(name)),
    };
    shape.mosaic = mosaic;
    samples::room(&mut words, shape.words())?;
    if image.tiled {
        tiles::decode(&image, &data, &grid.layout(&shape), &scaling, &mut words)?;
    } else {
        grid.layout(&shape).fill(&Raw::Big(image.bitpix, &data), &scaling, &mut words);
    }
    samples::seal(&mut words, &shape);
    let sensor =
        levels::sensor(&image.header, image.bitpix, shape.sample, |white| reaches(&words, &shape, white));
    let tags = Tags { other_mosaic, ..labels::tags(&image) };
    let sensor = Sensor { bottom_up: tags.orientation == Orientation::UPSIDE_DOWN, ..sensor };
    // What was unpacked lies beside the file.
    let beside = if let Cow::Owned(data) = &data { data.capacity() as u64 } else { 0 };
    Ok(Picture { shape, words, sensor, tags, beside })
}

/// Whether a sample is as high as `level`.
fn reaches(words: &[u32], shape: &Shape, level: f32) -> bool {
    match shape.sample {
        SampleType::U8 => false,
        SampleType::U16 => {
            bytemuck::cast_slice::<u32, u16>(words)[..shape.samples()].iter().any(|&v| f32::from(v) >= level)
        }
        SampleType::F32 => words.iter().any(|&v| f32::from_bits(v) >= level),
    }
}

/// The tags of the file: only headers are read.
pub(super) fn tags(file: File) -> Tags {
    first_image(BufReader::new(file)).map(|image| labels::tags(&image)).unwrap_or_default()
}

/// The first image of a file of either kind; no data are read but what gzip makes necessary.
fn first_image(mut file: impl BufRead + Seek) -> Result<Image, String> {
    if file.fill_buf().map_err(words_of)?.starts_with(&GZIP) {
        hdu::first_image(&mut Packed(MultiGzDecoder::new(file)))
    } else {
        hdu::first_image(&mut Plain(file))
    }
}

/// The first image of a file and its data.
fn locate(bytes: &[u8]) -> Result<(Image, Cow<'_, [u8]>), String> {
    let image = hdu::first_image(&mut Plain(Cursor::new(bytes)))?;
    let there = usize::try_from(image.at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let data = usize::try_from(image.bytes).ok().and_then(|len| there.get(..len));
    let data = data.ok_or_else(|| truncated(image.bytes, there.len()))?;
    Ok((image, data.into()))
}

/// The first image of a compressed file and its data, which are all that is kept of it.
fn unpack(bytes: &[u8]) -> Result<(Image, Cow<'_, [u8]>), String> {
    let mut source = Packed(MultiGzDecoder::new(bytes));
    let image = hdu::first_image(&mut source)?;
    if image.bytes / MAX_DEFLATE > bytes.len() as u64 {
        return Err(truncated(image.bytes, bytes.len()));
    }
    let mut data = Vec::new();
    let length = usize::try_from(image.bytes).unwrap_or(usize::MAX);
    data.try_reserve_exact(length).map_err(|e| format!("its samples take {length} bytes of memory: {e}"))?;
    source.by_ref().take(image.bytes).read_to_end(&mut data).map_err(words_of)?;
    if (data.len() as u64) < image.bytes {
        return Err(truncated(image.bytes, data.len()));
    }
    // The checksum stands at the end.
    std::io::copy(&mut source.take(MAX_REST), &mut std::io::sink()).map_err(words_of)?;
    Ok((image, data.into()))
}

fn truncated(expected: u64, got: usize) -> String {
    format!("truncated: expected {expected} bytes of data, got {got}: copy it again")
}

/// What the axes of an image stand for.
struct Grid {
    width: u64,
    height: u64,
    channels: usize,
    /// The first axis is the colour.
    interleaved: bool,
}

impl Grid {
    /// Axes of length 1 behind the second do not count; a third one is the colour.
    fn of(image: &Image) -> Result<Grid, String> {
        let (plane, more) = image.axes.split_at(2);
        let more: Vec<u64> = more.iter().copied().filter(|length| *length > 1).collect();
        match (plane, &more[..]) {
            ([width, height], []) => {
                Ok(Grid { width: *width, height: *height, channels: 1, interleaved: false })
            }
            ([width, height], [3]) => {
                Ok(Grid { width: *width, height: *height, channels: 3, interleaved: false })
            }
            ([3, width], [height]) => {
                Ok(Grid { width: *width, height: *height, channels: 3, interleaved: true })
            }
            _ => Err(format!("expected an image of 1 or 3 planes, got axes of {:?}: convert it", image.axes)),
        }
    }

    /// Where the stored numbers go. Rows of interleaved colour are rows of gray, three times as long.
    fn layout(&self, shape: &Shape) -> Layout {
        let (inner, planes) = if self.interleaved { (shape.channels, 1) } else { (1, shape.channels) };
        let row = shape.width * inner;
        Layout { inner, axes: [row, shape.height, planes], stride: planes }
    }
}

/// Rows that a thread puts in their places at a time; they fill whole words, whatever the samples.
const PIECE_ROWS: usize = 64;

/// Stored numbers as rows in planes, and where they go among the samples.
struct Layout {
    /// Numbers of a pixel that lie together.
    inner: usize,
    /// Numbers of a row, rows, planes.
    axes: [usize; 3],
    /// Places from one number of a plane to the next.
    stride: usize,
}

impl Layout {
    /// The place of number `x` of row `y` of plane `z`.
    fn place(&self, x: usize, y: usize, z: usize) -> usize {
        (y * self.axes[0] + x) * self.stride + z
    }

    /// Puts `raw`, which is the whole image, into `words`.
    fn fill(&self, raw: &Raw, scaling: &Scaling, words: &mut [u32]) {
        let [row, rows, planes] = self.axes;
        let piece = row * PIECE_ROWS * self.stride * scaling.sample.bytes() / size_of::<u32>();
        words.par_chunks_mut(piece.max(1)).enumerate().for_each(|(k, words)| {
            let first = k * PIECE_ROWS;
            // The last word may hold nothing but padding.
            let numbers = PIECE_ROWS.min(rows.saturating_sub(first)) * row;
            for z in 0..if numbers > 0 { planes } else { 0 } {
                let from = (z * rows + first) * row;
                levels::put(&raw.part(from, numbers), scaling, words, self.place(0, 0, z), self.stride);
            }
        });
    }
}
