//! The smallest EXIF block that a stacker reads: when, how long, how sensitive, which way up.

/// TIFF field types (TIFF 6.0, section 2).
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;

/// Bytes of the TIFF header, of the count and the link of a directory, and of one entry.
const HEADER: u32 = 8;
const DIRECTORY: u32 = 6;
const ENTRY: u32 = 12;

/// ISO speed of every frame.
const ISO: u16 = 1600;

/// Exposure time of every frame, seconds.
const EXPOSURE_S: u32 = 10;

/// Time between the starts of two frames, seconds.
const CADENCE_S: u32 = 12;

/// A moment in the invented night, `start_s` seconds after 20:00, of frame `k` from 0: `YYYY:MM:DD hh:mm:ss`.
pub(crate) fn taken(start_s: u32, k: usize) -> String {
    let s = 20 * 3600 + start_s + CADENCE_S * k as u32;
    let (day, hour) = (18 + s / 86_400, s / 3600 % 24);
    format!("2025:01:{day:02} {hour:02}:{:02}:{:02}", s / 60 % 60, s % 60)
}

/// The TIFF structure that follows `Exif\0\0` in a JPEG and is the whole of a PNG's `eXIf`.
pub(crate) fn block(taken: &str) -> Vec<u8> {
    let description = "synthetic: made by livestack's make_testdata\0";
    let date = format!("{taken}\0");
    let exif_at = HEADER + DIRECTORY + 3 * ENTRY;
    let data_at = exif_at + DIRECTORY + 3 * ENTRY;
    let ratio_at = data_at;
    let date_at = ratio_at + 8;
    let description_at = date_at + date.len() as u32;

    let mut out = b"II\x2A\0".to_vec();
    out.extend(HEADER.to_le_bytes());
    let main = [
        (0x010E, ASCII, description.len() as u32, description_at), // ImageDescription
        (0x0112, SHORT, 1, 1),                                     // Orientation: as it lies on the sensor
        (0x8769, LONG, 1, exif_at),                                // where the EXIF directory is
    ];
    directory(&mut out, &main);
    let exif = [
        (0x829A, RATIONAL, 1, ratio_at),             // ExposureTime
        (0x8827, SHORT, 1, u32::from(ISO)),          // PhotographicSensitivity
        (0x9003, ASCII, date.len() as u32, date_at), // DateTimeOriginal
    ];
    directory(&mut out, &exif);
    out.extend(EXPOSURE_S.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend(date.as_bytes());
    out.extend(description.as_bytes());
    out
}

/// Appends a directory of (tag, type, count, value or offset), tags ascending.
fn directory(out: &mut Vec<u8>, entries: &[(u16, u16, u32, u32)]) {
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
}
