//! Reading frames and writing pictures.
//!
//! [`FORMATS`] is the one place that knows file types: a new one is a file of its own and a line there.
//! Frames come in sensor coordinates; the orientation that a file states is reported, never applied.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::frame::{Frame, Shape};
use crate::sensor::Sensor;
use crate::tags::Tags;

mod exif;
mod fits;
mod guard;
mod jpeg;
mod order;
mod png;
mod raw;
mod samples;
mod tiff;
mod turn;
mod write;

pub use fits::{Card, Value, data_intact, read_cards, read_intact, write_fits};
pub(crate) use guard::guarded;
pub(crate) use order::is_frame_name;
pub use order::{Listing, list_images, natural};
pub use turn::turn;
pub(crate) use write::check;
pub(crate) use write::{replace, sweep, unfinished};
pub use write::{write_jpeg8, write_png8, write_png16, write_text, write_tiff_f32, write_tiff_u16};

/// A file type that livestack reads.
pub struct Format {
    /// As messages call it.
    pub name: &'static str,
    /// Lower case, without the first dot; `fits.gz` is one.
    pub extensions: &'static [&'static str],
    /// Whether the first bytes of a file are those of this format.
    pub magic: fn(&[u8]) -> bool,
    /// Decodes the bytes of a whole file, of which anything may be left, into the given words, which are resized where
    /// needed. The error says what is wrong with the file, without its name.
    pub decode: fn(&mut Vec<u8>, Vec<u32>) -> std::result::Result<Picture, String>,
    /// Reads the tags alone, and no more of the file than they take.
    pub tags: fn(File) -> Tags,
}

/// What a decoder makes of a file.
pub struct Picture {
    /// Size, channels, sample type.
    pub shape: Shape,
    /// The samples as [`Frame::words`] holds them.
    pub words: Vec<u32>,
    /// What the samples mean.
    pub sensor: Sensor,
    /// What the file says about the exposure.
    pub tags: Tags,
    /// Bytes that were held beside the file and the samples.
    pub beside: u64,
}

/// Every file type that livestack reads.
#[rustfmt::skip]
pub const FORMATS: &[Format] = &[
    Format { name: "JPEG", extensions: &["jpg", "jpeg"], magic: jpeg::is_jpeg, decode: jpeg::decode, tags: jpeg::tags },
    Format { name: "PNG", extensions: &["png"], magic: png::is_png, decode: png::decode, tags: png::tags },
    Format { name: "TIFF", extensions: &["tif", "tiff"], magic: tiff::is_tiff, decode: tiff::decode, tags: tiff::tags },
    Format { name: "FITS", extensions: &["fits", "fit", "fts", "fz", "fits.gz", "fit.gz", "fts.gz"], magic: fits::is_fits, decode: fits::decode, tags: fits::tags },
    Format { name: "RAW", extensions: raw::EXTENSIONS, magic: raw::is_raw, decode: raw::decode, tags: raw::tags },
];

/// Most bytes of a file that is read: no frame of the largest size takes more, in any format.
const MAX_FILE_BYTES: u64 = 1 << 33;

/// Bytes that a format is known by.
const HEAD: usize = 64;

/// Most bytes that a thread keeps of one file for the next: a mosaic of 60 Mpix in 16 bits.
const SPARE_BYTES: usize = 1 << 27;

thread_local! {
    /// Where the last file lay. An allocation of that size comes from the system page by page, and to touch those for the
    /// first time was half of what a FITS file of 40 MB took (18 of 35 ms).
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether `path` has the extension of a file type that livestack reads, in upper or lower case.
#[must_use]
pub fn is_image(path: &Path) -> bool {
    named(path).is_some()
}

/// The name of the format that the extension of `path` promises.
#[must_use]
pub fn format_of(path: &Path) -> Option<&'static str> {
    named(path).map(|format| format.name)
}

/// Bytes of the file `path`, or else as many as its frame has.
pub(crate) fn file_bytes(path: &Path, frame: &Shape) -> u64 {
    std::fs::metadata(path).map_or(frame.bytes() as u64, |about| about.len())
}

/// Gives back what this thread keeps for the next file.
pub(crate) fn forget() {
    SPARE.set(Vec::new());
}

/// Reads the frame `path`, in sensor coordinates.
///
/// * `recycled` - the words of a frame that is done with; they are used again where they suffice, so that a
///   run of frames of one size allocates once. Their contents do not matter. Lost when the file is bad.
///
/// The extension says that the file is a picture, its first bytes say which: a PNG named `.jpg` is read.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Decode`] when it is damaged or truncated, holds
/// something else than its name says, or a kind of picture that livestack does not take.
pub fn read(path: &Path, recycled: Vec<u32>) -> Result<Frame> {
    promised(path)?;
    let mut bytes = SPARE.take();
    let frame = match fill(path, &mut bytes) {
        Ok(()) => decode_into(path, &mut bytes, recycled),
        Err(source) => Err(Error::io("cannot read the frame", path, source)),
    };
    if bytes.capacity() <= SPARE_BYTES {
        SPARE.set(bytes);
    }
    frame
}

/// Decodes the `bytes` of a whole file, as if they were the contents of `path`, which need not exist: what [`read`]
/// does once it has read the file, and what fuzzing feeds.
///
/// # Errors
/// [`Error::Decode`], as [`read`].
pub fn decode_bytes(path: &Path, mut bytes: Vec<u8>, recycled: Vec<u32>) -> Result<Frame> {
    decode_into(path, &mut bytes, recycled)
}

fn decode_into(path: &Path, bytes: &mut Vec<u8>, recycled: Vec<u32>) -> Result<Frame> {
    let named = promised(path)?;
    if bytes.is_empty() {
        return Err(Error::decode("expected a frame, got an empty file: copy it again", path));
    }
    let format = recognised(path, named, bytes)?;
    let picture = guard::guarded(|| (format.decode)(bytes, recycled))
        .map_err(|why| Error::decode(format!("cannot decode the {} frame: {why}", format.name), path))?;
    let Picture { shape, words, sensor, tags, beside } = picture;
    Ok(Frame { path: path.to_owned(), shape, words, sensor, tags, beside })
}

/// The format of the file `path` that begins with `bytes` and is `named` like one of that format.
fn recognised(path: &Path, named: &'static Format, bytes: &[u8]) -> Result<&'static Format> {
    // Many cameras' files begin like a TIFF: the name goes first where the bytes allow.
    let by_bytes = || FORMATS.iter().find(|format| (format.magic)(bytes));
    Some(named).filter(|format| (format.magic)(bytes)).or_else(by_bytes).ok_or_else(|| {
        Error::decode(format!("expected a {} file by its name, got something else", named.name), path)
    })
}

/// Looks at the first bytes of the file `path` alone, before so much is read as it is large.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::Decode`] when it begins like no frame.
pub(crate) fn begins_as_frame(path: &Path) -> Result<()> {
    use std::io::Read;

    let named = promised(path)?;
    let mut head = Vec::with_capacity(HEAD);
    let read = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    read.map_err(|source| Error::io("cannot read the frame", path, source))?;
    recognised(path, named, &head).map(|_| ())
}

/// The capture time of the frame `path`, `YYYY-MM-DDThh:mm:ss[.fff]`, without decoding it; `None` where the
/// file does not state it or cannot be read. Times compare as text.
#[must_use]
pub fn capture_time(path: &Path) -> Option<String> {
    tags(path)?.taken
}

/// What the frame `path` says of how it was taken, without decoding it; `None` where it cannot be read.
#[must_use]
pub fn tags(path: &Path) -> Option<Tags> {
    use std::io::{Read, Seek};

    let named = named(path)?;
    // A pipe would be waited for.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut file = File::open(path).ok()?;
    let mut head = [0; HEAD];
    let read = file.read(&mut head).ok()?;
    file.rewind().ok()?;
    let by_bytes = || FORMATS.iter().find(|format| (format.magic)(&head[..read]));
    let format = Some(named).filter(|format| (format.magic)(&head[..read])).or_else(by_bytes)?;
    guard::guarded(|| Ok((format.tags)(file))).ok()
}

/// The format that the extension of `path` promises.
///
/// # Errors
/// [`Error::Decode`] where it promises none.
fn promised(path: &Path) -> Result<&'static Format> {
    named(path)
        .ok_or_else(|| Error::decode(format!("expected a frame ({}), got another file type", known()), path))
}

/// The same; `None` where it promises none.
fn named(path: &Path) -> Option<&'static Format> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let ends = |e: &&str| name.strip_suffix(e).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'));
    FORMATS.iter().find(|format| format.extensions.iter().any(ends))
}

/// All extensions, for messages.
fn known() -> String {
    let all: Vec<&str> = FORMATS.iter().flat_map(|format| format.extensions).copied().collect();
    all.join(", ")
}

/// The whole file; not a pipe, which may never end, nor a folder.
pub(crate) fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fill(path, &mut bytes).map(|()| bytes)
}

/// The same into `bytes`.
fn fill(path: &Path, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    use std::io::Read;

    bytes.clear();
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    if about.len() > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("{} bytes, more than any frame takes", about.len())));
    }
    // As std does in `fs::read`: too little memory for the file is an error, not the end.
    let length = usize::try_from(about.len()).unwrap_or(usize::MAX);
    if bytes.capacity() / 2 > length {
        // A larger file came before: it was a stray.
        *bytes = Vec::new();
    }
    bytes.try_reserve_exact(length).map_err(std::io::Error::other)?;
    File::open(path)?.read_to_end(bytes).map(|_| ())
}
