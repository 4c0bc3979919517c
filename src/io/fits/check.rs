//! What a file says of itself: its cards, and whether its sums are right.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::header::{BLOCK, Card};
use crate::error::{Error, Result};
use crate::io::guard;
use rayon::prelude::*;

/// Bytes that a core reads at a time.
#[cfg(unix)]
const PART: usize = 4 << 20;
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
    read_intact(path).map(|bytes| bytes.is_some())
}

/// The bytes of the FITS file `path`; `None` where they are not [intact](data_intact).
///
/// # Errors
/// As [`data_intact`].
pub fn read_intact(path: &Path) -> Result<Option<Vec<u8>>> {
    let image = image(path)?;
    let bytes = all_of(path).map_err(|source| Error::io("cannot read the file", path, source))?;
    let stated = |key| image.header.text(key).map(str::to_owned);
    let (data, all) = (stated("DATASUM"), stated("CHECKSUM"));
    if data.is_none() && all.is_none() {
        return Ok(Some(bytes));
    }
    let at = usize::try_from(image.at).unwrap_or(usize::MAX);
    let padded = usize::try_from(image.bytes.next_multiple_of(BLOCK as u64)).unwrap_or(usize::MAX);
    let parts = at.checked_sub(image.header.bytes).and_then(|start| bytes.get(start..at));
    let Some((header, rest)) = parts.zip(at.checked_add(padded).and_then(|end| bytes.get(at..end))) else {
        return Ok(None);
    };
    let (header, found) = (summed(header), summed(rest));
    let data = data.is_none_or(|stated| stated.parse() == Ok(found.value()));
    // Both sums of zeros are 0 in ones' complement: 0 and all bits.
    let whole = Sum(u64::from(header.value()) + u64::from(found.value())).value();
    Ok((data && (all.is_none() || whole == 0 || whole == u32::MAX)).then_some(bytes))
}

/// The whole file, read by all cores: half of what that takes is to touch new pages.
#[cfg(unix)]
fn all_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;

    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    // Too little memory is an error, not the end.
    Vec::<u8>::new().try_reserve_exact(length).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    let parts = bytes.par_chunks_mut(PART).enumerate();
    parts.map(|(k, part)| file.read_exact_at(part, (k * PART) as u64)).collect::<std::io::Result<()>>()?;
    Ok(bytes)
}

#[cfg(not(unix))]
use crate::io::bytes_of as all_of;

/// The sum of `bytes`, on all cores.
fn summed(bytes: &[u8]) -> Sum {
    let each = bytes.par_chunks(PIECE).map(|piece| {
        let mut sum = Sum::default();
        sum.add_bytes(piece);
        sum.0
    });
    Sum(each.sum())
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
