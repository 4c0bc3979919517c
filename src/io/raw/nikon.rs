//! Nikon's compressed NEF. Both crates dither what they decode, even where it was stored without loss; here each
//! sample is the one level that its code stands for.
//!
//! Source: dcraw 9.28, `nikon_load_raw`: differences to the pixel two to the left, and at the left border two rows
//! up, in Huffman codes; then a curve.

use super::directory::Block;

const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const BITS: u16 = 0x0102;
const COMPRESSION: u16 = 0x0103;
const MAKE: u16 = 0x010f;
const OFFSET: u16 = 0x0111;
const LENGTH: u16 = 0x0117;
const CFA_PATTERN: u16 = 0x828e;
const EXIF_DIRECTORY: u16 = 0x8769;
const MAKER_NOTE: u16 = 0x927c;
/// In the maker note: the kind of compression, and its tables under either tag.
const KIND: u16 = 0x0093;
const TABLES: [u16; 2] = [0x0096, 0x008c];

/// The value of the compression tag, and the kinds of it that are meant: lossy, lossless, lossy of another curve.
const NIKON: f64 = 34713.0;
const KINDS: [f64; 3] = [1.0, 3.0, 4.0];
/// The maker note is a block of its own after its name and version.
const NOTE_HEAD: u64 = 10;
/// Longest tables, bytes: the curve has 16385 levels at most.
const MOST_BYTES: usize = 1 << 16;

/// Versions of the tables: lossless; a curve of few points and a change of the codes at some row.
const LOSSLESS: u8 = 0x46;
const SPLIT: [u8; 2] = [0x44, 0x20];
/// The same, and values of two bits less: the D780 and the Z cameras.
const SPLIT_BY_4: [u8; 2] = [0x44, 0x40];
/// Where older tables begin, from the third byte, and where the row of the change is.
const OLD_SKIP: usize = 2110;
const SPLIT_ROW_AT: usize = 562;
/// Most levels that a curve lists.
const MOST_LEVELS: usize = 0x4001;

/// Huffman codes: how many there are of each length from 1 bit on; then for each code how many bits of difference
/// follow it, and by how many it is coarser.
type Tree = ([u8; 12], [u8; 15], [u8; 7]);
/// For 12 bits and for 14: lossy, lossy after the change, lossless.
#[rustfmt::skip]
const TREES: [Tree; 6] = [
    ([0, 1, 5, 1, 1, 1, 1, 1, 1, 2, 0, 0], [5, 4, 3, 6, 2, 7, 1, 0, 8, 9, 11, 10, 12, 0, 0], [0; 7]),
    ([0, 1, 5, 1, 1, 1, 1, 1, 1, 2, 0, 0], [6, 5, 5, 5, 5, 5, 4, 3, 2, 1, 0, 11, 12, 12, 0], [3, 5, 3, 2, 1, 0, 0]),
    ([0, 1, 4, 2, 3, 1, 2, 0, 0, 0, 0, 0], [5, 4, 6, 3, 7, 2, 8, 1, 9, 0, 10, 11, 12, 0, 0], [0; 7]),
    ([0, 1, 4, 3, 1, 1, 1, 1, 1, 2, 0, 0], [5, 6, 4, 7, 8, 3, 9, 2, 1, 0, 10, 11, 12, 13, 14], [0; 7]),
    ([0, 1, 5, 1, 1, 1, 1, 1, 1, 1, 2, 0], [8, 7, 7, 7, 7, 7, 6, 5, 4, 3, 2, 1, 0, 13, 14], [0, 5, 4, 3, 2, 0, 0]),
    ([0, 1, 4, 2, 2, 3, 1, 2, 0, 0, 0, 0], [7, 6, 8, 5, 9, 4, 10, 3, 11, 12, 2, 0, 1, 13, 14], [0; 7]),
];
/// Lossless, and of 14 bits: places in the list.
const LOSSLESS_TREE: usize = 2;
const TREES_OF_14: usize = 3;
/// Bytes that are read ahead of what is used.
const AHEAD: usize = 4;
/// Longest code, bits.
const CODE_BITS: u32 = 12;

/// A compressed NEF: size, bits of a sample, its tables, its codes.
pub(super) struct Nef<'b> {
    pub(super) width: usize,
    pub(super) height: usize,
    bits: u32,
    little: bool,
    tables: Vec<u8>,
    codes: &'b [u8],
}

impl<'b> Nef<'b> {
    /// `None` for any other file.
    pub(super) fn of(bytes: &'b [u8]) -> Option<Nef<'b>> {
        let mut source = bytes;
        let mut block = Block::open(&mut source, 0)?;
        let root = block.root()?;
        block.text(&root, MAKE).filter(|make| make.to_lowercase().starts_with("nikon"))?;
        let note = block.first_of(&root, EXIF_DIRECTORY).and_then(|offset| block.directory(offset as u64));
        let note = note?.find(MAKER_NOTE)?.at;
        let raw = block.all().into_iter().find(|directory| directory.find(CFA_PATTERN).is_some())?;
        let mut number = |tag| block.first_of(&raw, tag);
        number(COMPRESSION).filter(|kind| *kind == NIKON)?;
        let [width, height, bits, offset, length] = [WIDTH, HEIGHT, BITS, OFFSET, LENGTH].map(&mut number);
        let (width, height, bits) = (width? as usize, height? as usize, bits? as u32);
        let codes = bytes.get(offset? as usize..)?.get(..length? as usize)?;
        // Some cameras say so of what is not compressed, or of small pictures in colour.
        let other = [width * height * bits as usize / 8, width * height * 3].contains(&codes.len());
        let (tables, little) = tables(bytes, note)?;
        let known = matches!(bits, 12 | 14) && width > 0 && width.is_multiple_of(2) && !other;
        known.then_some(Nef { width, height, bits, little, tables, codes })
    }

    /// The samples; `None` where the tables or the codes are cut off.
    pub(super) fn decode(&self) -> Option<Vec<u16>> {
        let tables = self.read_tables()?;
        let mut samples = self.values(&tables)?;
        let last = *tables.curve.last()?;
        samples.iter_mut().for_each(|value| *value = *tables.curve.get(usize::from(*value)).unwrap_or(&last));
        Some(samples)
    }

    /// What stands before the codes, in the maker note.
    fn read_tables(&self) -> Option<Tables> {
        let at = |place: usize| {
            let pair = [*self.tables.get(place)?, *self.tables.get(place + 1)?];
            Some(if self.little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
        };
        let version = [*self.tables.first()?, *self.tables.get(1)?];
        let start = if version[0] == 0x49 || version[1] == 0x58 { 2 + OLD_SKIP } else { 2 };
        let tree = if version[0] == LOSSLESS { LOSSLESS_TREE } else { 0 };
        let tree = if self.bits == 14 { tree + TREES_OF_14 } else { tree };
        let mut above = [[0; 2]; 2];
        for k in 0..4 {
            above[k / 2][k % 2] = i32::from(at(start + 2 * k)?);
        }
        let bits = if version == SPLIT_BY_4 { self.bits - 2 } else { self.bits };
        let (curve, split) = curve(version, 1 << bits, start + 8, at)?;
        Some(Tables { bits, tree, above, curve, split })
    }

    /// The values that the curve gives levels to.
    fn values(&self, tables: &Tables) -> Option<Vec<u16>> {
        let mut bits = Bits { codes: self.codes, place: 0, held: 0, count: 0 };
        let (mut above, mut codes) = (tables.above, lengths(&TREES[tables.tree]));
        let last = i32::from(u16::MAX >> (16 - tables.bits));
        let mut values = Vec::with_capacity(self.width * self.height);
        for row in 0..self.height {
            if tables.split > 0 && row == tables.split {
                codes = lengths(&TREES[tables.tree + 1]);
            }
            for sum in &mut above[row % 2] {
                *sum = sum.wrapping_add(bits.difference(&codes));
            }
            let mut left = above[row % 2];
            values.extend(left.map(|value| value.clamp(0, last) as u16));
            for column in 2..self.width {
                let sum = &mut left[column % 2];
                *sum = sum.wrapping_add(bits.difference(&codes));
                values.push((*sum).clamp(0, last) as u16);
            }
        }
        (bits.place <= self.codes.len() + AHEAD).then_some(values)
    }
}

/// The tables of a file: bits of a value, which tree, what the left border's first differences are to, levels of the
/// values, and the row where the next tree takes over, 0 for none.
struct Tables {
    bits: u32,
    tree: usize,
    above: [[i32; 2]; 2],
    curve: Vec<u16>,
    split: usize,
}

/// The level of each of `all` values, and the row where the codes change, 0 for none.
fn curve(
    version: [u8; 2],
    all: usize,
    start: usize,
    at: impl Fn(usize) -> Option<u16>,
) -> Option<(Vec<u16>, usize)> {
    let count = usize::from(at(start)?);
    let listed = |k: usize| at(start + 2 + 2 * k);
    let step = if count > 1 { all / (count - 1) } else { 0 };
    if [SPLIT, SPLIT_BY_4].contains(&version) && step > 0 {
        let points: Vec<usize> = (0..count).map(|k| listed(k).map(usize::from)).collect::<Option<_>>()?;
        let level = |k: usize| {
            let (before, part) = (k / step, k % step);
            let after = points.get(before + 1).or(points.last())?;
            Some(((points.get(before)? * (step - part) + after * part) / step) as u16)
        };
        return Some(((0..all).map_while(level).collect(), usize::from(at(SPLIT_ROW_AT)?)));
    }
    let levels = if version[0] != LOSSLESS && count > 0 && count <= MOST_LEVELS {
        (0..count).map(listed).collect::<Option<_>>()?
    } else {
        (0..all).map(|level| level as u16).collect()
    };
    Some((levels, 0))
}

/// The tables of the compression in the maker note at `note`, and their byte order.
fn tables(bytes: &[u8], note: u64) -> Option<(Vec<u8>, bool)> {
    let mut source = bytes;
    let mut block = Block::open(&mut source, note + NOTE_HEAD)?;
    let directory = block.root()?;
    if block.first_of(&directory, KIND).is_some_and(|kind| !KINDS.contains(&kind)) {
        return None;
    }
    let entry = TABLES.iter().find_map(|tag| directory.find(*tag))?;
    let length = usize::try_from(entry.bytes()).ok().filter(|length| *length <= MOST_BYTES)?;
    let start = entry.at as usize;
    Some((bytes.get(start..start.checked_add(length)?)?.to_vec(), block.little))
}

/// For each possible next bits: length of the code, bits of difference, coarseness.
fn lengths((counts, bits, shifts): &Tree) -> Vec<(u8, u8, u8)> {
    let mut table = Vec::with_capacity(1 << CODE_BITS);
    let mut code = 0;
    for (length, count) in (1..).zip(counts) {
        for _ in 0..*count {
            let entry = (length as u8, bits[code], shifts.get(code).copied().unwrap_or(0));
            table.extend(std::iter::repeat_n(entry, 1 << (CODE_BITS - length)));
            code += 1;
        }
    }
    // Bits that are no code: taken for no difference, so that damaged data end.
    table.resize(1 << CODE_BITS, (1, 0, 0));
    table
}

/// The codes, the highest bit first; zeros behind their end.
struct Bits<'b> {
    codes: &'b [u8],
    place: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// The next bits, at most 32, without taking them.
    fn peek(&mut self, bits: u32) -> u32 {
        while self.count < bits {
            self.held = self.held << 8 | u64::from(self.codes.get(self.place).copied().unwrap_or(0));
            self.place += 1;
            self.count += 8;
        }
        (self.held >> (self.count - bits)) as u32 & ((1_u64 << bits) - 1) as u32
    }

    fn take(&mut self, bits: u32) -> u32 {
        let value = self.peek(bits);
        self.count -= bits;
        value
    }

    fn difference(&mut self, table: &[(u8, u8, u8)]) -> i32 {
        let (code, bits, shift) = table[self.peek(CODE_BITS) as usize];
        self.take(u32::from(code));
        if bits == 0 {
            return 0;
        }
        let whole = bits + shift;
        let difference = (((self.take(u32::from(bits)) as i32) << 1) + 1) << shift >> 1;
        let negative = difference & (1 << (whole - 1)) == 0;
        if negative { difference - (1 << whole) + i32::from(shift == 0) } else { difference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern.
    fn noise(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    /// The noise that rawloader adds: `LookupTable::dither` of rawloader 0.37.2.
    fn dithered(values: &[u16], curve: &[u16], seed: u32) -> Vec<u16> {
        let mut random = seed;
        let level = |value: &u16| {
            let k = usize::from(*value);
            let (lower, upper) = (curve[k.saturating_sub(1)], curve[(k + 1).min(curve.len() - 1)]);
            let step = u32::from(upper - lower);
            let base = if curve[k] == 0 { 0 } else { u32::from(curve[k]) - (step + 2) / 4 };
            let level = base + ((step * (random & 2047) + 1024) >> 12);
            random = 15700 * (random & 65535) + (random >> 16);
            level as u16
        };
        values.iter().map(level).collect()
    }

    /// Every kind of table, decoded by rawloader from codes that are noise, is what is decoded here and dithered.
    #[test]
    fn as_rawloader_but_for_its_noise() {
        let points = |count: u16, step: u16| (0..count).flat_map(move |k| (k * step + k / 3).to_le_bytes());
        let start = |version: [u8; 2], count: u16| {
            let predictors = [1800_u16; 4].iter().flat_map(|p| p.to_le_bytes()).collect::<Vec<_>>();
            [version.to_vec(), predictors, count.to_le_bytes().to_vec()].concat()
        };
        let mut split = [start(SPLIT, 257), points(257, 15).collect()].concat();
        split.resize(4096, 0);
        split[SPLIT_ROW_AT] = 20;
        split[SPLIT_ROW_AT + 1] = 0;
        let mut lossless = start([LOSSLESS, 0x30], 0);
        lossless.resize(4096, 0);
        // Levels of 12 bits, then those of 14.
        for (kind, bits) in [(48_u16, 12), (49, 14)] {
            for (seed, meta) in [(1, &lossless), (2, &split), (3, &lossless), (4, &split)] {
                let codes = noise(seed, 1 << 15);
                let head = [kind, 64, 64].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
                let file = [&head[..], meta, &codes].concat();
                let rawloader::RawImageData::Integer(expected) =
                    rawloader::decode_unwrapped(&mut &file[..]).expect("decodes")
                else {
                    panic!("floats")
                };
                let nef =
                    Nef { width: 64, height: 64, bits, little: true, tables: meta.clone(), codes: &codes };
                let tables = nef.read_tables().expect("whole");
                let values = nef.values(&tables).expect("whole");
                let seed = u32::from_be_bytes([0, codes[0], codes[1], codes[2]]);
                assert_eq!(dithered(&values, &tables.curve, seed), expected, "{bits} bits");
                let levels = nef.decode().expect("whole");
                assert!(values.iter().zip(&levels).all(|(v, level)| tables.curve[usize::from(*v)] == *level));
                // Even where nothing was lost.
                assert!(meta[0] != LOSSLESS || levels != expected);
            }
        }
    }

    #[test]
    fn codes_that_end_early_are_noticed() {
        let mut tables = [LOSSLESS, 0x30, 0, 8, 0, 8, 0, 8, 0, 8, 0, 0].to_vec();
        tables.resize(20, 0);
        let codes = noise(5, 600);
        let nef = Nef { width: 64, height: 64, bits: 14, little: true, tables, codes: &codes };
        assert!(nef.decode().is_none());
    }
}
