//! The tags of RAW files: where each kind of file keeps its EXIF directories.

use super::ciff;
use super::directory::{Block, Directory, Source};
use crate::io::exif::{self, Field};
use crate::tags::Tags;

const MAKE: u16 = 0x010f;
const MODEL: u16 = 0x0110;
const EXIF_DIRECTORY: u16 = 0x8769;

/// Where a RAF file keeps the offset of its JPEG, and where in a JPEG its EXIF block begins when it comes first.
const RAF_JPEG_AT: u64 = 84;
const JPEG_EXIF_AT: u64 = 12;
/// Most boxes or blocks that are looked at: cameras write ten or so.
const MOST_BOXES: usize = 64;
/// The box of a CR3 file that holds Canon's metadata: its UUID.
const CANON_BOX: [u8; 16] =
    [0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0, 0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48];

/// Whether `bytes` begin like Canon's CR3: ISO 14496-12 boxes of its own brand.
pub(super) fn is_cr3(bytes: &[u8]) -> bool {
    bytes.get(4..12) == Some(b"ftypcrx ")
}

/// What the file says of the exposure; what is missing or damaged is left out.
pub(super) fn tags<S: Source>(source: &mut S) -> Tags {
    let Some(head) = source.at(0, 14) else { return Tags::default() };
    if ciff::is_ciff(&head) {
        return ciff::tags(source).unwrap_or_default();
    }
    if is_cr3(&head) {
        return of_cr3(source).unwrap_or_default();
    }
    let base = if head.starts_with(b"FUJIFILM") {
        source.at(RAF_JPEG_AT, 4).map(|at| big(&at) + JPEG_EXIF_AT)
    } else if head.starts_with(b"\0MRM") {
        of_mrw(source)
    } else {
        Some(0)
    };
    base.and_then(|base| of_block(source, base)).unwrap_or_default()
}

/// The tags of a block like a TIFF file.
fn of_block<S: Source>(source: &mut S, base: u64) -> Option<Tags> {
    let mut block = Block::open(source, base)?;
    let root = block.root()?;
    let exif = block.first_of(&root, EXIF_DIRECTORY).and_then(|offset| block.directory(offset as u64));
    Some(of_directories(&mut block, &[&root, &exif.unwrap_or_default()]))
}

/// The tags of the first of the `directories` that has them.
fn of_directories<S: Source>(block: &mut Block<S>, directories: &[&Directory]) -> Tags {
    let mut field = |tag| directories.iter().find_map(|directory| field(block, directory, tag));
    let mut tags = exif::interpret(&mut field);
    let mut text = |tag| match field(tag) {
        Some(Field::Text(text)) => Some(text),
        _ => None,
    };
    tags.camera = camera(text(MAKE), text(MODEL));
    tags
}

fn field<S: Source>(block: &mut Block<S>, directory: &Directory, tag: u16) -> Option<Field> {
    let entry = *directory.find(tag)?;
    if entry.is_text() {
        return block.text(directory, tag).map(Field::Text);
    }
    block.first_of(directory, tag).map(Field::Number)
}

/// Make and model, the make not twice: models often begin with it.
pub(super) fn camera(make: Option<String>, model: Option<String>) -> Option<String> {
    match (make, model) {
        (Some(make), Some(model)) => {
            let first = make.split_whitespace().next().unwrap_or_default().to_lowercase();
            let twice = model.to_lowercase().starts_with(&first);
            Some(if twice { model } else { format!("{make} {model}") })
        }
        (make, model) => model.or(make),
    }
}

/// Where the TIFF block of a Minolta file is: in its block `TTW`.
fn of_mrw<S: Source>(source: &mut S) -> Option<u64> {
    let mut at = 8;
    for _ in 0..MOST_BOXES {
        let head = source.at(at, 8)?;
        if &head[..4] == b"\0TTW" {
            return Some(at + 8);
        }
        at += 8 + big(&head[4..]);
    }
    None
}

/// The tags of a CR3 file: two blocks, the camera's and the exposure's, in Canon's box.
fn of_cr3<S: Source>(source: &mut S) -> Option<Tags> {
    let movie = find(source, (0, u64::MAX), b"moov")?;
    let canon = find(source, movie, b"uuid")
        .filter(|(at, _)| source.at(*at, 16).is_some_and(|id| id == CANON_BOX))?;
    let inside = (canon.0 + 16, canon.1);
    let (camera, exposure) = (find(source, inside, b"CMT1")?.0, find(source, inside, b"CMT2"));
    let mut tags = of_block(source, camera)?;
    if let Some((at, _)) = exposure {
        let exposed = of_block(source, at)?;
        let (exposure_s, iso) = (exposed.exposure_s, exposed.iso);
        tags = Tags { exposure_s, iso, taken: exposed.taken.or(tags.taken), ..tags };
    }
    Some(tags)
}

/// The contents of the first box of that kind: from where to where.
pub(super) fn find<S: Source>(
    source: &mut S,
    (mut at, end): (u64, u64),
    kind: &[u8; 4],
) -> Option<(u64, u64)> {
    for _ in 0..MOST_BOXES {
        let (found, contents, next) = next_box(source, at).filter(|(.., next)| *next <= end)?;
        if &found == kind {
            return Some((contents, next));
        }
        at = next;
    }
    None
}

/// The box at `at`: its kind, where its contents begin, where it ends. ISO 14496-12, 4.2.
pub(super) fn next_box<S: Source>(source: &mut S, at: u64) -> Option<([u8; 4], u64, u64)> {
    let head = source.at(at, 8)?;
    let kind = [head[4], head[5], head[6], head[7]];
    let (contents, size) = match big(&head[..4]) {
        0 => return None,
        1 => (at + 16, source.at(at + 8, 8).map(|size| big(&size[..4]) << 32 | big(&size[4..]))?),
        size => (at + 8, size),
    };
    let next = at.checked_add(size).filter(|next| *next >= contents)?;
    Some((kind, contents, next))
}

/// Up to eight bytes, the highest first.
pub(super) fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras() {
        let name = |make: &str, model: &str| camera(Some(make.into()), Some(model.into())).expect("given");
        assert_eq!(name("NIKON CORPORATION", "NIKON D1"), "NIKON D1");
        assert_eq!(name("SONY", "ILCE-7S"), "SONY ILCE-7S");
        assert_eq!(camera(None, Some("X".into())).as_deref(), Some("X"));
        assert_eq!(camera(None, None), None);
    }
}
