//! What livestack takes from EXIF: how the camera was held, when, and how long it exposed.
//!
//! EXIF is a courtesy of the file: what is missing or damaged in it is left out, never an error.

use crate::tags::{Orientation, Tags};

// Tag numbers: CIPA DC-008-2023 (Exif 3.0), tables 4 to 8.
const ORIENTATION: u16 = 0x0112;
const DATE_TIME: u16 = 0x0132;
const EXPOSURE_TIME: u16 = 0x829a;
const PHOTOGRAPHIC_SENSITIVITY: u16 = 0x8827;
const STANDARD_OUTPUT_SENSITIVITY: u16 = 0x8831;
const RECOMMENDED_EXPOSURE_INDEX: u16 = 0x8832;
const ISO_SPEED: u16 = 0x8833;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const SUB_SEC_TIME_ORIGINAL: u16 = 0x9291;
/// The 16-bit sensitivity saturates here; the true value is then in one of the 32-bit tags.
const SENSITIVITY_OVERFLOW: f64 = 65535.0;

/// The value of a tag, whichever crate read it.
pub(super) enum Field {
    /// A number; of several the first.
    Number(f64),
    /// Text without its closing zero.
    Text(String),
}

/// The tags of an EXIF block: the bytes from the TIFF header on, as JPEG and PNG hold them.
pub(super) fn from_block(block: Vec<u8>) -> Tags {
    let read = exif::Reader::new().continue_on_error(true).read_raw(block);
    let Ok(exif) = read.or_else(|error| error.distill_partial_result(|_| ())) else {
        return Tags::default();
    };
    interpret(|number| {
        // Each of the tags lives in one of the two directories only.
        [exif::Context::Tiff, exif::Context::Exif]
            .into_iter()
            .find_map(|context| exif.get_field(exif::Tag(context, number), exif::In::PRIMARY))
            .and_then(|field| value(&field.value))
    })
}

fn value(value: &exif::Value) -> Option<Field> {
    match value {
        exif::Value::Ascii(lines) => Some(Field::Text(String::from_utf8_lossy(lines.first()?).into_owned())),
        exif::Value::Rational(ratios) => Some(Field::Number(ratios.first()?.to_f64())),
        other => other.get_uint(0).map(|number| Field::Number(f64::from(number))),
    }
}

/// Makes sense of tags that `field` looks up by number.
pub(super) fn interpret(mut field: impl FnMut(u16) -> Option<Field>) -> Tags {
    let mut number = |tag| match field(tag) {
        Some(Field::Number(number)) if number.is_finite() && number > 0.0 => Some(number),
        _ => None,
    };
    let orientation = match number(ORIENTATION) {
        Some(turn) if (1.0..=8.0).contains(&turn) => Orientation(turn as u8),
        _ => Orientation::UPRIGHT,
    };
    let exposure_s = number(EXPOSURE_TIME);
    let iso = match number(PHOTOGRAPHIC_SENSITIVITY) {
        Some(iso) if iso >= SENSITIVITY_OVERFLOW => {
            [RECOMMENDED_EXPOSURE_INDEX, STANDARD_OUTPUT_SENSITIVITY, ISO_SPEED]
                .into_iter()
                .find_map(&mut number)
                .or(Some(iso))
        }
        iso => iso,
    };
    let mut text = |tag| match field(tag) {
        Some(Field::Text(text)) => Some(text),
        _ => None,
    };
    let taken = text(DATE_TIME_ORIGINAL)
        .and_then(|stamp| time(&stamp, text(SUB_SEC_TIME_ORIGINAL).as_deref()))
        .or_else(|| text(DATE_TIME).and_then(|stamp| time(&stamp, None)));
    Tags { orientation, taken, exposure_s, iso, ..Tags::default() }
}

/// `YYYY:MM:DD hh:mm:ss` and the digits after the second's point, as `YYYY-MM-DDThh:mm:ss[.fff]`. `None` for
/// anything else: cameras without a set clock write blanks or zeros.
pub(super) fn time(stamp: &str, fraction: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = stamp.trim().split([':', '-', '/', ' ', 'T']).collect();
    let [year, month, day, hour, minute, second] = parts[..] else { return None };
    let number = |text: &str, digits: usize| {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<u32>().ok())
            .flatten()
    };
    let possible = number(year, 4)? > 0
        && (1..=12).contains(&number(month, 2)?)
        && (1..=31).contains(&number(day, 2)?)
        && number(hour, 2)? < 24
        && number(minute, 2)? < 60
        && number(second, 2)? <= 60;
    if !possible {
        return None;
    }
    let mut taken = format!("{year}-{month}-{day}T{hour}:{minute}:{second}");
    let digits = fraction.map(str::trim).unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // Always three, so that times compare as text.
        taken.push('.');
        taken.extend(digits.chars().chain("000".chars()).take(3));
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let stamp = "2024:08:12 23:14:05";
        assert_eq!(time(stamp, None).as_deref(), Some("2024-08-12T23:14:05"));
        assert_eq!(time(stamp, Some("7")).as_deref(), Some("2024-08-12T23:14:05.700"));
        assert_eq!(time(stamp, Some("123456 ")).as_deref(), Some("2024-08-12T23:14:05.123"));
        assert_eq!(time(stamp, Some("  ")).as_deref(), Some("2024-08-12T23:14:05"));
        for bad in ["", "    :  :     :  :  ", "0000:00:00 00:00:00", "2024:13:01 00:00:00", "2024:08:12"] {
            assert_eq!(time(bad, None), None, "{bad:?}");
        }
    }

    #[test]
    fn a_saturated_sensitivity_is_looked_up_elsewhere() {
        let iso = |wide: Option<f64>| {
            interpret(|tag| match tag {
                PHOTOGRAPHIC_SENSITIVITY => Some(Field::Number(65535.0)),
                ISO_SPEED => wide.map(Field::Number),
                _ => None,
            })
            .iso
        };
        assert_eq!(iso(Some(102_400.0)), Some(102_400.0));
        assert_eq!(iso(None), Some(65535.0));
    }
}
