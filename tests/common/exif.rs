//! The smallest EXIF block that a stacker reads: which way up, and when.

/// A TIFF structure with orientation and DateTimeOriginal (`YYYY:MM:DD hh:mm:ss`).
pub(crate) fn block(orientation: u16, taken: &str) -> Vec<u8> {
    const ASCII: u16 = 2;
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let (main_at, exif_at, date_at) = (8_u32, 8 + 6 + 2 * 12, 8 + 6 + 2 * 12 + 6 + 12);
    let mut out = b"II\x2A\0".to_vec();
    out.extend(main_at.to_le_bytes());
    directory(&mut out, &[(0x0112, SHORT, 1, u32::from(orientation)), (0x8769, LONG, 1, exif_at)]);
    directory(&mut out, &[(0x9003, ASCII, taken.len() as u32 + 1, date_at)]);
    out.extend(taken.as_bytes());
    out.push(0);
    out
}

/// A TIFF structure with an ISO speed alone.
pub(crate) fn iso(speed: u16) -> Vec<u8> {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let mut out = b"II\x2A\0".to_vec();
    out.extend(8_u32.to_le_bytes());
    directory(&mut out, &[(0x8769, LONG, 1, 8 + 6 + 12)]);
    directory(&mut out, &[(0x8827, SHORT, 1, u32::from(speed))]);
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
