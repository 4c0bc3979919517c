//! What is refused before a crate gets to see it: files that end too early, and headers that ask for more memory
//! than the file can fill. The crates ask for memory as headers say.

use super::container::{big, find, is_cr3, next_box};
use super::directory::{Block, Directory};
use super::{ciff, container};

const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const SAMPLES: u16 = 0x0115;
const TILE_WIDTH: u16 = 0x0142;
const TILE_HEIGHT: u16 = 0x0143;
/// Offsets and lengths: of strips, of tiles.
const PIECES: [[u16; 2]; 2] = [[0x0111, 0x0117], [0x0144, 0x0145]];
const EXIF_DIRECTORY: u16 = 0x8769;
const MAKER_NOTE: u16 = 0x927c;
/// Panasonic's and Fujifilm's own tags for the size of the sensor.
const SENSORS: [[u16; 2]; 2] = [[0x0002, 0x0003], [0xf001, 0xf002]];

/// Bytes before the directory of a maker note: none (Canon), a name and what belongs to it (the others).
const NOTE_HEADS: [u64; 5] = [0, 6, 8, 10, 12];
/// Of how many entries three must have a type that exists for the bytes to be a directory.
const PLAUSIBLE: usize = 4;
/// A RAF file's JPEG keeps its EXIF block this far in.
const JPEG_EXIF_AT: u64 = 12;

/// Most samples for a byte of file: the shortest code of lossless JPEG is one bit, and cameras' noise takes more.
const MOST_PER_BYTE: u64 = 16;
/// Samples that need no file: there is nothing to guard against.
const SMALL: u64 = 1 << 22;
/// Longest side that is decoded, px: twice that of any camera.
const MOST_SIDE: u64 = 50_000;

/// Where a RAF file keeps the offsets and lengths of its JPEG, its header and its samples.
const RAF_PIECES: [u64; 3] = [84, 92, 100];

/// The fixed tables of a CR3 file: kind, where the number of entries stands, bytes of each entry.
const CR3_TABLES: [(&[u8; 4], u64, u64); 4] =
    [(b"stts", 4, 8), (b"stsc", 4, 12), (b"stsz", 8, 4), (b"co64", 4, 8)];

/// Refuses a file that is truncated, or whose headers cannot be honest.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut source = bytes;
    if is_cr3(bytes) {
        return check_cr3(bytes);
    }
    if ciff::is_ciff(bytes) {
        let (width, height) = ciff::sensor(&mut source).ok_or("truncated or damaged: no table at the end")?;
        return check_size(width, height, 1, bytes);
    }
    if bytes.starts_with(b"FUJIFILM") {
        let piece = |at| Some((source.get(at..at + 4)?, source.get(at + 4..at + 8)?));
        for (offset, length) in RAF_PIECES.into_iter().filter_map(|at| piece(at as usize)) {
            check_inside(big(offset), big(length), bytes)?;
            check_block(big(offset) + JPEG_EXIF_AT, bytes)?;
            check_block(big(offset), bytes)?;
        }
        return Ok(());
    }
    check_block(0, bytes)
}

/// What is wrong with the TIFF-like block at `base`, if there is one.
fn check_block(base: u64, bytes: &[u8]) -> Result<(), String> {
    let mut source = bytes;
    Block::open(&mut source, base).map_or(Ok(()), |block| check_tiff(block, bytes))
}

/// The pictures, strips and tiles of a TIFF-like file.
fn check_tiff(mut block: Block<&[u8]>, bytes: &[u8]) -> Result<(), String> {
    let directories = block.all();
    if directories.is_empty() {
        return Err("truncated: its first directory is behind the end of the file: copy it again".into());
    }
    for directory in &directories {
        let exif =
            block.first_of(directory, EXIF_DIRECTORY).and_then(|offset| block.directory(offset as u64));
        for directory in [Some(directory), exif.as_ref()].into_iter().flatten() {
            check_values(directory, bytes)?;
            check_note(&mut block, directory, bytes)?;
        }
        check_picture(&mut block, directory, bytes)?;
        // Panasonic writes lengths that are none; Fujifilm counts from elsewhere.
        if !bytes.starts_with(b"IIU") && block.base == 0 {
            check_pieces(&mut block, directory, bytes)?;
        }
    }
    Ok(())
}

/// Refuses an entry whose values are longer than the file.
fn check_values(directory: &Directory, bytes: &[u8]) -> Result<(), String> {
    match directory.entries.iter().find(|entry| entry.bytes() > bytes.len() as u64) {
        Some(entry) => Err(format!("damaged: tag {:#06x} has {} values", entry.tag, entry.count)),
        None => Ok(()),
    }
}

/// Looks for the directory of a maker note, whose head is each maker's own.
fn check_note(block: &mut Block<&[u8]>, directory: &Directory, bytes: &[u8]) -> Result<(), String> {
    let Some(note) = directory.find(MAKER_NOTE).copied() else { return Ok(()) };
    for head in NOTE_HEADS {
        check_block_of_note(note.at + head, bytes)?;
        let found = note.at.checked_sub(block.base).and_then(|offset| block.directory(offset + head));
        if let Some(found) = found.filter(|found| {
            let known = found.entries.iter().filter(|entry| entry.is_known()).count();
            known > 0 && known * PLAUSIBLE >= found.entries.len() * (PLAUSIBLE - 1)
        }) {
            check_values(&found, bytes)?;
        }
    }
    Ok(())
}

/// A maker note that is a TIFF-like block itself; it holds no pictures.
fn check_block_of_note(base: u64, bytes: &[u8]) -> Result<(), String> {
    let mut source = bytes;
    let directories = Block::open(&mut source, base).map(|mut block| block.all()).unwrap_or_default();
    directories.iter().try_for_each(|directory| check_values(directory, bytes))
}

fn check_picture(block: &mut Block<&[u8]>, directory: &Directory, bytes: &[u8]) -> Result<(), String> {
    let samples = block.first_of(directory, SAMPLES).unwrap_or(1.0) as u64;
    let own = if bytes.starts_with(b"IIU") || bytes.starts_with(b"FUJI") { &SENSORS[..] } else { &[] };
    for [width, height] in [[WIDTH, HEIGHT], [TILE_WIDTH, TILE_HEIGHT]].iter().chain(own).copied() {
        let sides = [width, height].map(|side| block.first_of(directory, side));
        if let [Some(width), Some(height)] = sides {
            check_size(width as u64, height as u64, samples, bytes)?;
        }
    }
    Ok(())
}

/// Refuses strips or tiles that go on behind the end of the file.
fn check_pieces(block: &mut Block<&[u8]>, directory: &Directory, bytes: &[u8]) -> Result<(), String> {
    for [offsets, lengths] in PIECES {
        let (offsets, lengths) = (block.list(directory, offsets), block.list(directory, lengths));
        for (offset, length) in offsets.iter().zip(&lengths) {
            check_inside(*offset as u64, *length as u64, bytes)?;
        }
    }
    Ok(())
}

fn check_inside(offset: u64, length: u64, bytes: &[u8]) -> Result<(), String> {
    match offset.saturating_add(length) {
        end if end > bytes.len() as u64 => {
            Err(format!("truncated: expected {end} bytes, got {}: copy the file again", bytes.len()))
        }
        _ => Ok(()),
    }
}

/// Refuses a picture that is larger than the file can hold.
pub(super) fn check_size(width: u64, height: u64, samples: u64, bytes: &[u8]) -> Result<(), String> {
    if width > MOST_SIDE || height > MOST_SIDE {
        return Err(format!("{width}x{height} pixels: expected at most {MOST_SIDE} a side"));
    }
    let all = (width * height).saturating_mul(samples);
    if all > SMALL && all / MOST_PER_BYTE > bytes.len() as u64 {
        return Err(format!("damaged: {width}x{height} pixels cannot be in {} bytes", bytes.len()));
    }
    Ok(())
}

/// The boxes of a CR3 file must end where it ends, and its tables where their boxes do.
fn check_cr3(bytes: &[u8]) -> Result<(), String> {
    let (mut source, mut at, length) = (bytes, 0, bytes.len() as u64);
    while at < length {
        let (.., next) = next_box(&mut source, at).ok_or("damaged: a box without an end")?;
        check_inside(at, next - at, bytes)?;
        at = next;
    }
    let (start, end) = find(&mut source, (0, length), b"moov").ok_or("damaged: no table of contents")?;
    let movie = bytes.get(start as usize..end as usize).ok_or("damaged: no table of contents")?;
    for (place, kind) in movie.windows(4).enumerate() {
        let inside = &movie[place + 4..];
        let word = |at: u64| inside.get(at as usize..at as usize + 4).map_or(0, container::big);
        if let Some((_, count, each)) = CR3_TABLES.iter().find(|(name, ..)| kind == *name) {
            // A table of pieces of one size has no entries.
            let listed = kind != b"stsz" || word(4) == 0;
            if listed && word(*count).saturating_mul(*each) > inside.len() as u64 {
                return Err("damaged: a table longer than the table of contents".into());
            }
        }
        if kind.starts_with(b"CMT") {
            check_block_of_note(start + place as u64 + 4, bytes)?;
        }
        if kind == b"CMP1" {
            check_size(word(8), word(12), 1, bytes)?;
            check_size(word(16), word(20), 1, bytes)?;
        }
    }
    Ok(())
}
