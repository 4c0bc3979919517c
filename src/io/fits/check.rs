//! What a file says of itself: its cards, and whether its sums are right.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::header::{BLOCK, Card};
use crate::error::{Error, Result};
use crate::io::guard;

/// Bytes that are summed at a time.
const PIECE: usize = BLOCK * 64;

/// A sum of 32-bit words in ones' complement: FITS standard 4.0, appendix J. The order of the words does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn add(&mut self, word: u32) {
        // 2^32 words fit before the carries have to be folded in; files have fewer.
        self.0 += u64::from(word);
    }

    /// Adds big-endian words; bytes that are missing in the last one count as 0.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        self.0 += words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum::<u64>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u32::from_be_bytes(last));
    }

    /// The sum, its carries added in.
    pub(super) fn value(self) -> u32 {
        let mut sum = self.0;
        while sum > u64::from(u32::MAX) {
            sum = (sum >> 32) + (sum & u64::from(u32::MAX));
        }
        sum as u32
    }
}

/// The cards of the first image of the FITS file `path` that have a value, `COMMENT` and `HISTORY` included, as they
/// are stored; nothing else of the file is read.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Decode`] when it is no FITS file with an image.
pub fn read_cards(path: &Path) -> Result<Vec<Card>> {
    Ok(image(path)?.header.cards)
}

/// Whether the data of the first image of the FITS file `path` add up to the `DATASUM` that its header states, and
/// header and data to its `CHECKSUM`. True where it states neither.
///
/// # Errors
/// As [`read_cards`]; also for a file that is compressed as a whole, whose checksum is gzip's own.
pub fn data_intact(path: &Path) -> Result<bool> {
    let image = image(path)?;
    let stated = |key| image.header.text(key).map(str::to_owned);
    let (data, all) = (stated("DATASUM"), stated("CHECKSUM"));
    if data.is_none() && all.is_none() {
        return Ok(true);
    }
    let cannot = |source| Error::io("cannot read the file", path, source);
    let mut file = File::open(path).map_err(cannot)?;
    let start = image.at - image.header.bytes as u64;
    file.seek(SeekFrom::Start(start)).map_err(cannot)?;
    let header = summed(&mut file, image.header.bytes as u64).map_err(cannot)?;
    let padded = image.bytes.next_multiple_of(BLOCK as u64);
    let Ok(found) = summed(&mut file, padded) else { return Ok(false) };
    let data = data.is_none_or(|stated| stated.parse() == Ok(found.value()));
    // Both sums of zeros are 0 in ones' complement: 0 and all bits.
    let whole = Sum(u64::from(header.value()) + u64::from(found.value())).value();
    Ok(data && (all.is_none() || whole == 0 || whole == u32::MAX))
}

/// The sum of the next `bytes` of the file.
fn summed(file: &mut File, mut bytes: u64) -> std::io::Result<Sum> {
    let (mut sum, mut piece) = (Sum::default(), vec![0; PIECE]);
    while bytes > 0 {
        let part = &mut piece[..bytes.min(PIECE as u64) as usize];
        file.read_exact(part)?;
        sum.add_bytes(part);
        bytes -= part.len() as u64;
    }
    Ok(sum)
}

fn image(path: &Path) -> Result<super::Image> {
    let cannot = |source| Error::io("cannot read the file", path, source);
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(cannot(std::io::Error::other("not a regular file")));
    }
    let file = File::open(path).map_err(cannot)?;
    guard::guarded(|| super::first_image(BufReader::new(file)))
        .map_err(|why| Error::decode(format!("cannot read the FITS header: {why}"), path))
}
