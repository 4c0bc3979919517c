//! Bayer mosaics in FITS files, as a camera's program writes them.

use super::picture::Picture;
use livestack::io::{Card, Value, write_fits};
use livestack::sensor::Bayer;
use std::path::Path;

/// Bytes of a block of a FITS file and of a card.
const BLOCK: usize = 2880;
const CARD: usize = 80;

/// What a mosaic of `bayer` keeps of a picture: one colour of each pixel.
pub(crate) fn mosaiced(picture: &Picture<f32>, bayer: Bayer) -> Picture<f32> {
    let (w, h) = (picture.width, picture.height);
    let data = (0..w * h).map(|k| picture.at(k % w, k / w, bayer.colour(k % w, k / w)));
    Picture::new(w, h, 1, data.collect())
}

/// A card with text.
pub(crate) fn text(key: &str, text: &str) -> Card {
    Card::new(key, Value::Text(text.to_owned()))
}

/// A card with a number.
pub(crate) fn real(key: &str, number: f64) -> Card {
    Card::new(key, Value::Real(number))
}

/// Writes 32-bit floats.
pub(crate) fn write_float(path: &Path, p: &Picture<f32>, cards: &[Card]) {
    write_fits(path, p.width, p.height, p.channels, &p.data, cards).expect("FITS");
}

/// Writes levels as 16 bits, as cameras do: `BITPIX` 16 and a zero of 32768. Gray or mosaic. `cards` are lines
/// `KEY = value`.
pub(crate) fn write_sixteen(path: &Path, p: &Picture<f32>, cards: &str) {
    let axes = format!("BITPIX = 16\nNAXIS = 2\nNAXIS1 = {}\nNAXIS2 = {}", p.width, p.height);
    let all = format!("SIMPLE = T\n{axes}\nBZERO = 32768\nBSCALE = 1\n{cards}\nEND");
    let mut bytes = Vec::with_capacity(p.data.len() * 2 + 4 * BLOCK);
    for line in all.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let card = match line.split_once('=') {
            Some((key, value)) => format!("{:8}= {}", key.trim(), value.trim()),
            None => line.to_owned(),
        };
        bytes.extend(format!("{card:CARD$}").bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
    for level in &p.data {
        let stored = level.round().clamp(0.0, 65535.0) as i32 - 32768;
        bytes.extend((stored as i16).to_be_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    std::fs::write(path, bytes).expect("FITS");
}
