//! The directories of TIFF-like files, read where they stand: nothing is read or kept that is not asked for.
//!
//! Source: TIFF 6.0, section 2. Cameras vary the magic number and the tags, not the layout.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a value by its type: TIFF 6.0, page 15; 13 is an offset of a directory. Others are taken for bytes.
const VALUE_BYTES: [u64; 14] = [1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];
/// The type of text.
const TEXT: u16 = 2;
/// Bytes of an entry.
const ENTRY_BYTES: usize = 12;
/// Most entries of a directory: cameras write some hundreds, maker notes included.
const MOST_ENTRIES: usize = 4000;
/// Most directories of a file: cameras write ten.
const MOST_DIRECTORIES: usize = 64;
/// Longest value that is read, bytes: the offsets of a million strips, or a table of 65536 levels.
const MOST_BYTES: u64 = 8 << 20;

/// Tags that hold directories of pictures: TIFF's, and Fujifilm's.
const SUB_DIRECTORIES: [u16; 2] = [0x014a, 0xf000];

/// Bytes that can be read from anywhere: a file in memory or on disk.
pub(super) trait Source {
    /// `len` bytes from `start` on; `None` where the file ends before.
    fn at(&mut self, start: u64, len: usize) -> Option<Vec<u8>>;
    /// Bytes in all.
    fn length(&mut self) -> Option<u64>;
}

impl Source for &[u8] {
    fn at(&mut self, start: u64, len: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(start).ok()?;
        Some(self.get(start..start.checked_add(len)?)?.to_vec())
    }

    fn length(&mut self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

impl Source for File {
    fn at(&mut self, start: u64, len: usize) -> Option<Vec<u8>> {
        self.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn length(&mut self) -> Option<u64> {
        self.metadata().ok().map(|about| about.len())
    }
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tag: u16,
    kind: u16,
    pub(super) count: u64,
    /// Where its values are, from the start of the file.
    pub(super) at: u64,
    /// Where the entry itself is.
    pub(super) place: u64,
}

impl Entry {
    /// Bytes of one of its values.
    fn each(&self) -> u64 {
        VALUE_BYTES.get(usize::from(self.kind)).copied().unwrap_or(1)
    }

    /// Whether its values are of a type that TIFF has.
    pub(super) fn is_known(&self) -> bool {
        (1..VALUE_BYTES.len()).contains(&usize::from(self.kind))
    }

    /// Whether its values are text.
    pub(super) fn is_text(&self) -> bool {
        self.kind == TEXT
    }

    /// Bytes of its values.
    pub(super) fn bytes(&self) -> u64 {
        self.each() * self.count
    }
}

/// One directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    /// Where the next of the chain is, from the start of the block; 0 for none.
    next: u64,
}

impl Directory {
    pub(super) fn find(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }
}

/// A block that begins like a TIFF file, somewhere in a file.
pub(super) struct Block<'s, S> {
    source: &'s mut S,
    pub(super) base: u64,
    pub(super) little: bool,
    first: u64,
}

impl<'s, S: Source> Block<'s, S> {
    /// The block at `base`; `None` where no byte order stands there.
    pub(super) fn open(source: &'s mut S, base: u64) -> Option<Block<'s, S>> {
        let head = source.at(base, 8)?;
        let little = match &head[..2] {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut block = Block { source, base, little, first: 0 };
        block.first = block.number(&head[4..8]) as u64;
        Some(block)
    }

    /// The first directory.
    pub(super) fn root(&mut self) -> Option<Directory> {
        self.directory(self.first)
    }

    /// The directory at `offset` from the start of the block.
    pub(super) fn directory(&mut self, offset: u64) -> Option<Directory> {
        let start = self.base + offset;
        let head = self.source.at(start, 2)?;
        let count = self.number(&head) as usize;
        if count > MOST_ENTRIES {
            return None;
        }
        let bytes = self.source.at(start + 2, count * ENTRY_BYTES)?;
        let entries = bytes.chunks_exact(ENTRY_BYTES).enumerate().map(|(k, entry)| {
            let place = start + 2 + (k * ENTRY_BYTES) as u64;
            let kind = self.number(&entry[2..4]) as u16;
            let (tag, count) = (self.number(&entry[..2]) as u16, self.number(&entry[4..8]) as u64);
            let mut entry = Entry { tag, kind, count, at: place + 8, place };
            if entry.bytes() > 4 {
                entry.at = self.base + self.number(&bytes[k * ENTRY_BYTES + 8..][..4]) as u64;
            }
            entry
        });
        let entries = entries.collect();
        let next =
            self.source.at(start + 2 + bytes.len() as u64, 4).map_or(0, |next| self.number(&next) as u64);
        Some(Directory { entries, next })
    }

    /// The chain of directories and what hangs below them, in the order of the file's own links. A file whose links
    /// run in circles has a bounded number.
    pub(super) fn all(&mut self) -> Vec<Directory> {
        let (mut found, mut seen, mut to_do) = (Vec::new(), Vec::new(), vec![self.first]);
        while let Some(offset) = to_do.pop() {
            if offset == 0 || seen.contains(&offset) || found.len() >= MOST_DIRECTORIES {
                continue;
            }
            seen.push(offset);
            let Some(directory) = self.directory(offset) else { continue };
            // Taken from the end: what is below comes before the next of the chain.
            to_do.push(directory.next);
            for entry in SUB_DIRECTORIES.iter().filter_map(|tag| directory.find(*tag)) {
                to_do.extend(self.numbers(entry).into_iter().rev().map(|offset| offset as u64));
            }
            found.push(directory);
        }
        found
    }

    /// The values of an entry; empty where the file ends before they do.
    pub(super) fn numbers(&mut self, entry: &Entry) -> Vec<f64> {
        let bytes = if entry.bytes() <= MOST_BYTES { self.bytes(entry) } else { None };
        bytes
            .unwrap_or_default()
            .chunks_exact(entry.each() as usize)
            .map(|value| self.value(entry.kind, value))
            .collect()
    }

    /// The first value of `tag`.
    pub(super) fn first_of(&mut self, directory: &Directory, tag: u16) -> Option<f64> {
        self.list(directory, tag).first().copied()
    }

    /// All values of `tag`, none where it is missing.
    pub(super) fn list(&mut self, directory: &Directory, tag: u16) -> Vec<f64> {
        directory.find(tag).copied().map(|entry| self.numbers(&entry)).unwrap_or_default()
    }

    /// The text of `tag`, without the blanks around it; `None` where there is none.
    pub(super) fn text(&mut self, directory: &Directory, tag: u16) -> Option<String> {
        let entry = *directory.find(tag).filter(|entry| entry.bytes() <= MOST_BYTES)?;
        let bytes = self.bytes(&entry)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn bytes(&mut self, entry: &Entry) -> Option<Vec<u8>> {
        self.source.at(entry.at, usize::try_from(entry.bytes()).ok()?)
    }

    /// One value of a type: TIFF 6.0, page 15.
    fn value(&self, kind: u16, bytes: &[u8]) -> f64 {
        let (first, last) = (self.number(&bytes[..bytes.len().min(4)]), || self.number(&bytes[4..]));
        match kind {
            5 => f64::from(first) / f64::from(last()),
            6 => f64::from(first as u8 as i8),
            8 => f64::from(first as u16 as i16),
            9 => f64::from(first as i32),
            10 => f64::from(first as i32) / f64::from(last() as i32),
            11 => f64::from(f32::from_bits(first)),
            12 if self.little => f64::from_bits(u64::from(last()) << 32 | u64::from(first)),
            12 => f64::from_bits(u64::from(first) << 32 | u64::from(last())),
            _ => f64::from(first),
        }
    }

    /// Up to four bytes in the block's order.
    fn number(&self, bytes: &[u8]) -> u32 {
        let join = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }
}
