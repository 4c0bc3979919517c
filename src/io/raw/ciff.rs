//! CRW files of Canon's first cameras: records in heaps, each heap's table at its end.
//!
//! Source: Canon's CIFF specification 1.0r4; the meaning of the exposure records as dcraw 9.28, `parse_ciff`.

use super::container::camera;
use super::directory::Source;
use crate::tags::{Orientation, Tags};

/// Bytes of a record of a table: type, length, offset.
const RECORD_BYTES: usize = 10;
/// Records whose value stands in the table itself.
const IN_TABLE: u16 = 0x4000;
/// Record types: a kind of data in the upper bits, then a number.
const MAKE_MODEL: u16 = 0x080a;
const SHOT: u16 = 0x102a;
const SENSOR: u16 = 0x1031;
const IMAGE: u16 = 0x1810;
const EXPOSURE: u16 = 0x1818;
const TIME: u16 = 0x180e;
const CAMERA_HEAP: u16 = 0x2807;
const PROPERTIES_HEAP: u16 = 0x300a;
const EXIF_HEAP: u16 = 0x300b;
/// Heaps within heaps that are looked at; the file's own depth is three.
const MOST_HEAPS: usize = 16;
/// Longest value that is read, bytes.
const MOST_BYTES: u64 = 4096;
/// Seconds of a day.
const DAY_S: i64 = 86400;

/// Whether `bytes` begin like a CRW file.
pub(super) fn is_ciff(bytes: &[u8]) -> bool {
    bytes.get(6..14) == Some(b"HEAPCCDR")
}

/// The records of a file that are not heaps: type and value.
struct Records(Vec<(u16, Vec<u8>)>);

impl Records {
    fn of<S: Source>(source: &mut S) -> Option<Records> {
        let start = number(&source.at(2, 4)?);
        // The file's length is not asked for: the table of the whole is found from its end.
        let length = source.length()?;
        let (mut records, mut heaps) = (Vec::new(), vec![(start, length)]);
        for _ in 0..MOST_HEAPS {
            let Some((start, end)) = heaps.pop() else { break };
            // A heap within that is damaged takes nothing with it.
            let _ = heap(source, (start, end), &mut records, &mut heaps);
        }
        Some(Records(records))
    }

    fn find(&self, kind: u16) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == kind).map(|(_, value)| &value[..])
    }

    /// Word `k` of a record, two bytes each.
    fn short(&self, kind: u16, k: usize) -> Option<i16> {
        self.find(kind)?.get(2 * k..2 * k + 2).map(|value| number(value) as u16 as i16)
    }

    /// Word `k` of a record, four bytes each.
    fn long(&self, kind: u16, k: usize) -> Option<u32> {
        self.find(kind)?.get(4 * k..4 * k + 4).map(|value| number(value) as u32)
    }
}

/// Adds the records of a heap; heaps within it are noted.
fn heap<S: Source>(
    source: &mut S,
    (start, end): (u64, u64),
    records: &mut Vec<(u16, Vec<u8>)>,
    heaps: &mut Vec<(u64, u64)>,
) -> Option<()> {
    let table = start.checked_add(number(&source.at(end.checked_sub(4)?, 4)?))?;
    let count = number(&source.at(table, 2)?) as usize;
    let bytes = source.at(table + 2, count * RECORD_BYTES)?;
    for record in bytes.chunks_exact(RECORD_BYTES) {
        let kind = number(&record[..2]) as u16;
        if kind & IN_TABLE != 0 {
            records.push((kind & !IN_TABLE, record[2..].to_vec()));
            continue;
        }
        let (length, at) = (number(&record[2..6]), start + number(&record[6..]));
        if [CAMERA_HEAP, PROPERTIES_HEAP, EXIF_HEAP].contains(&kind) {
            heaps.push((at, at + length));
        } else if length <= MOST_BYTES {
            records.extend(source.at(at, length as usize).map(|value| (kind, value)));
        }
    }
    Some(())
}

/// What the file says of the exposure.
pub(super) fn tags<S: Source>(source: &mut S) -> Option<Tags> {
    let records = Records::of(source)?;
    let names = records.find(MAKE_MODEL).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let mut names = names.split('\0').map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()));
    let (make, model) = (names.next().flatten(), names.next().flatten());
    // Powers of two: the exposure's of seconds, in steps of 1/32 in the older record; the speed's of ISO 50 / 16.
    let seconds = |power: f64| (-power).exp2();
    let exposure_s = records.long(EXPOSURE, 1).map(|bits| seconds(f64::from(f32::from_bits(bits))));
    let exposure_s =
        exposure_s.or_else(|| records.short(SHOT, 5).map(|steps| seconds(f64::from(steps) / 32.0)));
    let iso = records.short(SHOT, 2).map(|steps| (f64::from(steps) / 32.0 - 4.0).exp2() * 50.0);
    let possible = |value: &f64| value.is_finite() && *value > 0.0;
    Some(Tags {
        orientation: records.long(IMAGE, 3).map_or(Orientation::UPRIGHT, orientation),
        taken: records.long(TIME, 0).filter(|time| *time > 0).map(|time| date(i64::from(time))),
        exposure_s: exposure_s.filter(possible),
        iso: iso.filter(possible),
        camera: camera(make, model),
        ..Tags::default()
    })
}

/// Pixels of the sensor as the file states them, width and height.
pub(super) fn sensor<S: Source>(source: &mut S) -> Option<(u64, u64)> {
    let records = Records::of(source)?;
    let side = |k| records.short(SENSOR, k).map(|side| u64::from(side as u16));
    Some((side(1)?, side(2)?))
}

/// The EXIF value for a picture that has to be turned clockwise by this many degrees.
fn orientation(degrees: u32) -> Orientation {
    match degrees {
        90 => Orientation(6),
        180 => Orientation(3),
        270 => Orientation(8),
        _ => Orientation::UPRIGHT,
    }
}

/// The time that is `seconds` after 1970 began on the camera's own clock.
///
/// Source: Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn date(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(DAY_S) + 719_468, seconds.rem_euclid(DAY_S));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Up to four bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01T00:00:00");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(date(1_709_251_199), "2024-02-29T23:59:59");
        assert_eq!(date(1_709_251_200), "2024-03-01T00:00:00");
    }
}
