//! Writing 32-bit float images.

use std::io::{self, Write};
use std::path::Path;

use fitsio_pure::checksum::encode_checksum;

use super::check::Sum;
use super::header::{BLOCK, CARD, Card, KEYWORD, Value};
use crate::error::Result;
use crate::io::write::{cannot, check, replace};

/// Characters between the quotes of a text.
const MAX_TEXT: usize = 68;
/// Column where a number ends: FITS standard 4.0, section 4.2.3.
const NUMBER_END: usize = 20;
/// Least characters between the quotes of a text: the same, section 4.2.1.1.
const MIN_TEXT: usize = 8;
/// Characters of a commentary card.
const REMARK: usize = CARD - KEYWORD;
/// Samples that are put in the file's byte order at a time.
const CHUNK: usize = 1 << 14;
/// What a header has while its checksum is not known.
const NO_CHECKSUM: &str = "0000000000000000";
/// Keywords that only the writer sets, since they say what the numbers are and where they end.
const OURS: [&str; 19] = [
    "SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "XTENSION", "GROUPS", "PCOUNT",
    "GCOUNT", "ZIMAGE", "BZERO", "BSCALE", "BLANK", "CONTINUE", "DATASUM", "CHECKSUM", "END",
];

/// Writes a FITS file of 32-bit floats, planes one after the other. The target appears, or is replaced, in one step.
///
/// * `data` - samples `[height][width][channels]`, `channels` 1 (gray or a mosaic) or 3 (RGB), stored as they are.
/// * `cards` - what else the header says, in this order. Texts are ASCII in FITS: other characters become `?`.
///
/// The header has `DATASUM` and `CHECKSUM`, which [`data_intact`](super::data_intact) verifies.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) naming `path` when it cannot be written, `data` has another length or a card
/// is not possible: its keyword, a number that is not finite. Nothing is left behind.
pub fn write_fits(
    path: &Path,
    width: usize,
    height: usize,
    channels: usize,
    data: &[f32],
    cards: &[Card],
) -> Result<()> {
    check(path, width, height, channels, data.len())?;
    let mut sum = Sum::default();
    for level in data {
        sum.add(level.to_bits());
    }
    let header = header(width, height, channels, cards, sum).map_err(cannot(path))?;
    replace(path, |file| {
        file.write_all(&header)?;
        for channel in 0..channels {
            plane(file, &data[channel..], channels)?;
        }
        file.write_all(&vec![0; padding(size_of_val(data))])
    })
}

/// Bytes missing in the last block of `bytes`.
fn padding(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK) - bytes
}

/// Writes each `stride`th of the samples.
fn plane(file: &mut impl Write, samples: &[f32], stride: usize) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK * size_of::<f32>());
    for part in samples.chunks(CHUNK * stride) {
        bytes.clear();
        bytes.extend(part.iter().step_by(stride).flat_map(|level| level.to_be_bytes()));
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// The header, padded to whole blocks, with both sums.
fn header(width: usize, height: usize, channels: usize, cards: &[Card], data: Sum) -> io::Result<Vec<u8>> {
    let card =
        |key: &str, value: Value, comment: &str| Card { key: key.into(), value, comment: comment.into() };
    let length = |key: &str, length: usize, comment: &str| {
        i64::try_from(length)
            .map(|length| card(key, Value::Integer(length), comment))
            .map_err(io::Error::other)
    };
    let mut all = vec![
        card("SIMPLE", Value::Logical(true), "conforms to FITS standard"),
        card("BITPIX", Value::Integer(-32), "32-bit floating point"),
        length("NAXIS", if channels == 1 { 2 } else { 3 }, "number of axes")?,
        length("NAXIS1", width, "pixels in a row")?,
        length("NAXIS2", height, "rows")?,
    ];
    if channels > 1 {
        all.push(length("NAXIS3", channels, "planes: red, green, blue")?);
    }
    let mut bytes = Vec::new();
    for card in &all {
        put(&mut bytes, card)?;
    }
    for card in cards {
        possible(card)?;
        put(&mut bytes, card)?;
    }
    put(&mut bytes, &card("DATASUM", Value::Text(data.value().to_string()), "sum of the data"))?;
    let at = bytes.len();
    put(&mut bytes, &card("CHECKSUM", Value::Text(NO_CHECKSUM.into()), "sum of header and data"))?;
    bytes.extend(b"END");
    bytes.resize(bytes.len() + padding(bytes.len()), b' ');
    let mut sum = data;
    sum.add_bytes(&bytes);
    let code = encode_checksum(sum.value(), true);
    // Behind keyword, value indicator and quote.
    bytes[at + KEYWORD + 3..][..code.len()].copy_from_slice(&code);
    Ok(bytes)
}

/// Refuses what a header cannot hold.
fn possible(card: &Card) -> io::Result<()> {
    let key = &card.key;
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if !(1..=KEYWORD).contains(&key.len()) || !key.bytes().all(known) {
        return wrong(format!("keyword {key:?}: expected 1 to 8 of A-Z 0-9 - _"));
    }
    if OURS.contains(&key.as_str()) {
        return wrong(format!("keyword {key:?} is set by the writer"));
    }
    if matches!(card.value, Value::Real(number) if !number.is_finite()) {
        return wrong(format!("{key}: expected a finite number"));
    }
    Ok(())
}

/// Appends a card, or as many as its text takes.
fn put(bytes: &mut Vec<u8>, card: &Card) -> io::Result<()> {
    let key = &card.key;
    match &card.value {
        Value::Text(text) if key == "COMMENT" || key == "HISTORY" => {
            let text = ascii(text);
            for part in text.as_bytes().chunks(REMARK).chain(text.is_empty().then_some(&b""[..])) {
                push(bytes, &format!("{key:KEYWORD$}{}", String::from_utf8_lossy(part)));
            }
        }
        Value::Text(text) => put_text(bytes, key, &ascii(text), &ascii(&card.comment)),
        Value::Integer(number) => put_number(bytes, card, &number.to_string()),
        Value::Real(number) => put_number(bytes, card, &real(*number)),
        Value::Logical(true) => put_number(bytes, card, "T"),
        Value::Logical(false) => put_number(bytes, card, "F"),
    }
    Ok(())
}

/// The shortest that reads back equal; a point tells it from an integer.
fn real(number: f64) -> String {
    let text = format!("{number:?}").to_ascii_uppercase();
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text,
    }
}

fn put_number(bytes: &mut Vec<u8>, card: &Card, number: &str) {
    push(
        bytes,
        &with_comment(format!("{:KEYWORD$}= {number:>NUMBER_END$}", card.key), &ascii(&card.comment)),
    );
}

/// A text, its quotes doubled; what does not fit goes on in `CONTINUE` cards: FITS standard 4.0, section 4.2.1.2.
fn put_text(bytes: &mut Vec<u8>, key: &str, text: &str, comment: &str) {
    let mut rest = text.replace('\'', "''");
    let mut lead = format!("{key:KEYWORD$}= ");
    while rest.len() > MAX_TEXT {
        // Room for the sign that it goes on; a doubled quote stays together.
        let mut cut = MAX_TEXT - 1;
        if rest[..cut].bytes().rev().take_while(|byte| *byte == b'\'').count() % 2 == 1 {
            cut -= 1;
        }
        let behind = rest.split_off(cut);
        push(bytes, &format!("{lead}'{rest}&'"));
        rest = behind;
        lead = format!("{:KEYWORD$}  ", "CONTINUE");
    }
    push(bytes, &with_comment(format!("{:KEYWORD$}'{rest:MIN_TEXT$}'", lead), comment));
}

/// The card with its comment, as far as there is room.
fn with_comment(card: String, comment: &str) -> String {
    if comment.is_empty() { card } else { format!("{card:<30} / {comment}") }
}

/// Appends a card of exactly 80 bytes. All of it is ASCII here.
fn push(bytes: &mut Vec<u8>, card: &str) {
    let card = &card[..card.len().min(CARD)];
    bytes.extend(format!("{card:CARD$}").bytes());
}

/// What FITS allows of a text.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}
