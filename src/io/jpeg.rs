//! JPEG: 8-bit gray and colour, decoded by zune-jpeg.

use std::fs::File;
use std::io::Read;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::exif;
use super::{Picture, samples};
use crate::frame::SampleType;
use crate::sensor::Sensor;
use crate::tags::Tags;

// Markers: ITU-T T.81, table B.1.
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const FIRST_RESTART: u8 = 0xd0;
const LAST_RESTART: u8 = 0xd7;
const RESTART_INTERVAL: u8 = 0xdd;
const TEMPORARY: u8 = 0x01;
/// Largest width and height that a JPEG header can state.
const MAX_SIDE: usize = 65535;
/// What follows the samples instead of the end-of-image marker: 9 bytes of ones (each with its stuffed zero),
/// one more than the decoder reads ahead, then a marker that does not exist. It fails at either: no code is all
/// ones (T.81, annex C).
const STOP: [u8; 20] = [255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 2];
/// Bytes of a coefficient.
const COEFFICIENT: u64 = 2;
/// Where a capture time is looked for: four full APP segments come before it at most.
const HEADER_BYTES: u64 = 256 * 1024;

/// Whether `bytes` begin like a JPEG file.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Decodes the file `bytes` into `words`.
pub(super) fn decode(bytes: &mut Vec<u8>, mut words: Vec<u32>) -> Result<Picture, String> {
    let extent = Extent::of(bytes)?;
    if extent.scans == 1 {
        // The decoder takes an end of image that comes too early (a piece of the file is missing) for gray
        // or noise. So it does not get to see any: it fails when it needs more data than there are.
        bytes.truncate(extent.data_end);
        // Behind the last of the restart intervals it looks for a marker, and may find none, but no wrong one.
        let stop = if extent.restarts { &STOP[..STOP.len() - 2] } else { &STOP };
        bytes.extend_from_slice(stop);
    }
    let options =
        DecoderOptions::new_fast().set_max_width(MAX_SIDE).set_max_height(MAX_SIDE).set_strict_mode(false);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes[..]), options);
    decoder.decode_headers().map_err(words_of)?;
    let info = decoder.info().ok_or("no image header")?;
    let (space, channels) = match (decoder.input_colorspace(), info.components) {
        (Some(ColorSpace::Luma), 1) => (ColorSpace::Luma, 1),
        // The decoder calls three components that Adobe's marker says are not YCbCr CMYK until it decodes
        // them, rightly, as RGB.
        (Some(ColorSpace::YCbCr | ColorSpace::RGB | ColorSpace::CMYK), 3) => (ColorSpace::RGB, 3),
        (space, components) => {
            let space = space.unwrap_or(ColorSpace::Unknown);
            return Err(format!(
                "expected gray or colour (YCbCr, RGB), got {components} components ({space:?}): \
                 convert it to RGB"
            ));
        }
    };
    let size = (u32::from(info.width), u32::from(info.height));
    let shape = samples::shape(size.0, size.1, channels, SampleType::U8, bytes.len())?;
    // Lenient with headers, which cameras pad; strict with the samples, which must never be guessed.
    decoder.set_options(options.jpeg_set_out_colorspace(space).set_strict_mode(true));
    samples::room(&mut words, shape.words())?;
    decoder.decode_into(bytemuck::cast_slice_mut(&mut words)).map_err(words_of)?;
    samples::seal(&mut words, &shape);
    let tags = decoder.exif().cloned().map(exif::from_block).unwrap_or_default();
    // Where the picture comes in several scans, the coefficients of all of it are kept until the last.
    let beside = if extent.scans > 1 { COEFFICIENT * shape.samples() as u64 } else { 0 };
    Ok(Picture { shape, words, sensor: Sensor::DISPLAY, tags, beside })
}

/// The tags of the file, from its first 256 KB.
pub(super) fn tags(file: File) -> Tags {
    let mut head = Vec::new();
    if file.take(HEADER_BYTES).read_to_end(&mut head).is_err() {
        return Tags::default();
    }
    let mut decoder = JpegDecoder::new(ZCursor::new(&head[..]));
    // Headers longer than what was read end in an error; the EXIF segment comes first and is kept.
    let _ = decoder.decode_headers();
    decoder.exif().cloned().map(exif::from_block).unwrap_or_default()
}

/// A decoder's error in one line.
fn words_of(error: impl std::fmt::Display) -> String {
    format!("damaged: {}", error.to_string().trim().trim_matches('"'))
}

/// Where the compressed data of a JPEG end, and how they are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Extent {
    /// Bytes up to the end of the last scan.
    data_end: usize,
    /// Scans: 1, or more for progressive files and those that store one component after the other.
    scans: usize,
    /// Whether the scans are divided by restart markers.
    restarts: bool,
}

impl Extent {
    /// Follows the markers from the start of the file to the end of the image. To look for that from the back
    /// would find the thumbnail's end in a truncated file, and miss the picture's where something follows it
    /// (padding, a preview).
    fn of(bytes: &[u8]) -> Result<Extent, String> {
        let mut extent = Extent::default();
        extent.follow(bytes).ok_or("truncated: no end-of-image marker: copy the file again")??;
        Ok(extent)
    }

    /// `None` when the file ends before the image does.
    fn follow(&mut self, bytes: &[u8]) -> Option<Result<(), String>> {
        let mut at = 2;
        loop {
            let (marker, after) = next_marker(bytes, at)?;
            at = after;
            match marker {
                END_OF_IMAGE if self.scans == 0 => return Some(Err("damaged: no samples".into())),
                END_OF_IMAGE => return Some(Ok(())),
                0 | TEMPORARY | FIRST_RESTART..=LAST_RESTART => continue,
                RESTART_INTERVAL => self.restarts = true,
                _ => {}
            }
            at += usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
            if marker == START_OF_SCAN {
                let Some(end) = scan_end(bytes, at)? else {
                    return Some(Err("damaged: restart markers out of order: a piece is missing".into()));
                };
                self.scans += 1;
                self.data_end = end;
                at = end;
            }
        }
    }
}

/// The first marker at or after `at`, and where it ends.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut at = at + position_ff(bytes.get(at..)?)? + 1;
    // Any number of 0xff may come before the marker's second byte.
    while *bytes.get(at)? == 0xff {
        at += 1;
    }
    Some((bytes[at], at + 1))
}

/// Where the compressed data from `at` on end: at the first marker that is neither a stuffed 0xff nor a
/// restart; `Some(None)` when the restarts are not numbered one after the other.
fn scan_end(bytes: &[u8], mut at: usize) -> Option<Option<usize>> {
    let mut restart = FIRST_RESTART;
    loop {
        let start = at + position_ff(bytes.get(at..)?)?;
        let (marker, after) = next_marker(bytes, start)?;
        match marker {
            0 => {}
            FIRST_RESTART..=LAST_RESTART if marker != restart => return Some(None),
            LAST_RESTART => restart = FIRST_RESTART,
            FIRST_RESTART..LAST_RESTART => restart += 1,
            _ => return Some(Some(start)),
        }
        at = after;
    }
}

/// The place of the first 0xff. Most of a file is searched, so it goes by blocks that the compiler vectorises.
fn position_ff(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let clear = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |found, &b| found | (b == 0xff)))
        .count();
    let start = clear * BLOCK;
    Some(start + bytes[start..].iter().position(|&b| b == 0xff)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_follows_the_markers() {
        // An APP1 segment with a thumbnail's end marker in it, one scan with a stuffed byte and a restart.
        let mut file = vec![0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 3, 0];
        file.extend([1, 0xff, 0, 2, 0xff, 0xd0, 3]);
        let data_end = file.len();
        assert!(Extent::of(&file).is_err_and(|why| why.contains("truncated")));
        file.extend([0xff, 0xff, 0xd9, 9, 9]);
        assert_eq!(Extent::of(&file), Ok(Extent { data_end, scans: 1, restarts: false }));
        file[data_end - 2] = 0xd1;
        assert!(Extent::of(&file).is_err_and(|why| why.contains("restart")));
    }

    #[test]
    fn every_place_of_ff_is_found() {
        for len in 0..100 {
            assert_eq!(position_ff(&vec![7; len]), None);
            for place in 0..len {
                let mut bytes = vec![7; len];
                bytes[place..].fill(0xff);
                assert_eq!(position_ff(&bytes), Some(place));
            }
        }
    }
}
