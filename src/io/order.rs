//! The order in which frames are taken, and what a folder holds.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Frames, in natural name order.
    pub images: Vec<PathBuf>,
    /// Files of types that livestack does not read, in natural name order.
    pub passed_over: Vec<PathBuf>,
}

/// Compares two paths in natural order of their file names: runs of digits count as numbers of any length, so
/// that `IMG_9` comes before `IMG_10`; the rest compares by code points. Names of equal runs (`a1`, `a01`)
/// compare as text, equal names by their whole paths.
#[must_use]
pub fn natural(a: &Path, b: &Path) -> Ordering {
    let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let (name_a, name_b) = (name(a), name(b));
    let runs = by_runs(&name_a, &name_b);
    runs.then_with(|| name_a.cmp(&name_b)).then_with(|| a.as_os_str().cmp(b.as_os_str()))
}

/// Compares run by run, text and digits in turn, starting with a run of text that may be empty.
fn by_runs(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let mut digits = false;
    while !(a.is_empty() && b.is_empty()) {
        let run = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit() == digits).count();
        let (run_a, rest_a) = a.split_at(run(a));
        let (run_b, rest_b) = b.split_at(run(b));
        let order = if digits { by_number(run_a, run_b) } else { run_a.cmp(run_b) };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
        digits = !digits;
    }
    Ordering::Equal
}

/// Compares runs of digits as numbers, without making them any: serial numbers and times outgrow every integer.
/// The end of a name, an empty run, comes before any number.
fn by_number(a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    let significant = |digits: &[u8]| digits.iter().take_while(|c| **c == b'0').count();
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether a file of this name is nobody's frame yet: hidden (a dot first, as what rsync still writes) or `*.tmp`.
/// Other names of half a download (`.part`, `.partial`, `.filepart`, `.crdownload`) are no image's.
fn hidden_or_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tmp"))
}

/// Whether the name of `path` is one that [`list_images`] takes for a frame.
pub(crate) fn is_frame_name(path: &Path) -> bool {
    !hidden_or_unfinished(path) && super::is_image(path)
}

/// Lists the files in `dir`, not those in its subfolders. Hidden files (a dot first) and unfinished ones
/// (`*.tmp`) are left out of both lists. A file that vanishes meanwhile, or a link to nowhere, is left out too.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn list_images(dir: &Path) -> Result<Listing> {
    let cannot = |source| Error::io("cannot list the folder", dir, source);
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        // Through links: a folder of links is a common way to pick frames.
        if hidden_or_unfinished(&path) || !path.is_file() {
            continue;
        }
        if super::is_image(&path) {
            listing.images.push(path);
        } else {
            listing.passed_over.push(path);
        }
    }
    listing.images.sort_by(|a, b| natural(a, b));
    listing.passed_over.sort_by(|a, b| natural(a, b));
    Ok(listing)
}
