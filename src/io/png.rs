//! PNG: 8 and 16 bits, gray and colour.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use super::exif;
use super::{Picture, samples};
use crate::frame::SampleType;
use crate::sensor::Sensor;
use crate::tags::Tags;

/// Whether `bytes` begin like a PNG file.
pub(super) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// Decodes the file `bytes` into `words`. Palettes and depths under 8 bits are expanded to 8, alpha is dropped.
#[expect(clippy::ptr_arg, reason = "of the type that formats share: some change the length")]
pub(super) fn decode(bytes: &mut Vec<u8>, mut words: Vec<u32>) -> Result<Picture, String> {
    let mut decoder = decoder(Cursor::new(&bytes[..]));
    let header = decoder.read_header_info().map_err(words_of)?;
    let (width, height) = header.size();
    samples::shape(width, height, header.color_type.samples(), SampleType::U8, bytes.len())?;

    let mut reader = decoder.read_info().map_err(words_of)?;
    let (color, depth) = reader.output_color_type();
    let sample = if depth == BitDepth::Sixteen { SampleType::U16 } else { SampleType::U8 };
    let channels = match color {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => 3,
    };
    let stored = samples::shape(width, height, color.samples(), sample, bytes.len())?;
    samples::room(&mut words, stored.words())?;
    reader.next_frame(bytemuck::cast_slice_mut(&mut words)).map_err(words_of)?;
    // To the end-of-image chunk: its absence is the only sign that the last bytes are missing.
    reader.finish().map_err(words_of)?;

    if sample == SampleType::U16 {
        for level in bytemuck::cast_slice_mut::<u32, u16>(&mut words) {
            *level = u16::from_be(*level);
        }
    }
    let shape = samples::shape(width, height, channels, sample, bytes.len())?;
    samples::drop_extra(&mut words, stored.channels, &shape);
    samples::seal(&mut words, &shape);
    Ok(Picture { shape, words, sensor: Sensor::DISPLAY, tags: block(reader.info()), beside: 0 })
}

/// The tags of the file, where they stand before the samples.
pub(super) fn tags(file: File) -> Tags {
    decoder(BufReader::new(file)).read_info().map(|reader| block(reader.info())).unwrap_or_default()
}

fn decoder<R: BufRead + Seek>(source: R) -> Decoder<R> {
    let mut decoder = Decoder::new(source);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder
}

fn block(info: &png::Info<'_>) -> Tags {
    info.exif_metadata.as_ref().map(|block| exif::from_block(block.to_vec())).unwrap_or_default()
}

fn words_of(error: DecodingError) -> String {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "truncated: copy the file again".into()
        }
        other => format!("damaged: {other}"),
    }
}
