//! The HDUs of a file (a header and its data), and the first of them that holds an image.

use std::io::{self, Read, Seek, SeekFrom};

use super::header::{BLOCK, Header};

/// Most HDUs that are passed over in search of an image.
const MAX_HDUS: usize = 1000;
/// Most bytes that are decompressed only to be passed over: no table in front of an image has as many.
const MAX_PASSED: u64 = 1 << 30;
/// Most axes: FITS standard 4.0, section 4.4.1.1.
const MAX_AXES: i64 = 999;

/// The bytes of a file in order, of which data can be passed over.
pub(super) trait Source: Read {
    /// Passes over `bytes`, which may end behind the end of the file.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// A file that is stored as it is.
pub(super) struct Plain<R>(pub(super) R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Seek> Source for Plain<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        self.0.seek(SeekFrom::Current(bytes)).map(|_| ())
    }
}

/// A file that is compressed as a whole: what is passed over is decompressed, and dropped.
pub(super) struct Packed<R>(pub(super) R);

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Packed<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > MAX_PASSED {
            return Err(io::Error::other(format!("{bytes} bytes before the image")));
        }
        io::copy(&mut (&mut self.0).take(bytes), &mut io::sink()).map(|_| ())
    }
}

/// How the samples of an image are stored.
pub(super) struct Image {
    /// The primary header, where the image is in an extension: it speaks for the whole file.
    pub(super) primary: Option<Header>,
    /// The header of the image.
    pub(super) header: Header,
    /// Where its data begin in the (decompressed) file.
    pub(super) at: u64,
    /// Bytes of its data, without the padding of the last block.
    pub(super) bytes: u64,
    /// Whether it is stored as a table of compressed tiles.
    pub(super) tiled: bool,
    /// `BITPIX` of the samples.
    pub(super) bitpix: i64,
    /// Lengths of its axes, the fastest first.
    pub(super) axes: Vec<u64>,
}

/// Finds the first image of two axes or more; `source` is then at its data.
pub(super) fn first_image(source: &mut impl Source) -> Result<Image, String> {
    let mut primary = None;
    let mut at = 0;
    for number in 0..MAX_HDUS {
        let Some(header) = Header::read(|block| fill(source, block))? else { break };
        at += header.bytes as u64;
        let bytes = data_bytes(&header)?;
        let tiled = header.says("ZIMAGE");
        let extension = header.text("XTENSION").unwrap_or("IMAGE").to_owned();
        if extension == "IMAGE" || tiled {
            let prefix = if tiled { "Z" } else { "" };
            let axes = axes(&header, prefix)?;
            if axes.len() > 1 && axes.iter().all(|length| *length > 0) {
                let bitpix = format!("{prefix}BITPIX");
                let bitpix = header.integer(&bitpix).ok_or("damaged: BITPIX is missing in its header")?;
                return Ok(Image { primary, header, at, bytes, tiled, bitpix, axes });
            }
        }
        let padded =
            bytes.checked_next_multiple_of(BLOCK as u64).ok_or("damaged: absurd sizes in a header")?;
        source.skip(padded).map_err(words_of)?;
        at = at.checked_add(padded).ok_or("damaged: absurd sizes in a header")?;
        if number == 0 {
            primary = Some(header);
        }
    }
    Err("expected an image of two axes, got none: choose another file".into())
}

/// Fills `block` as far as the file goes.
fn fill(source: &mut impl Source, block: &mut [u8; BLOCK]) -> Result<usize, String> {
    let mut filled = 0;
    block.fill(0);
    while filled < BLOCK {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(words_of(error)),
        }
    }
    Ok(filled)
}

/// The lengths of the axes that `NAXISn` (or, with the prefix, `ZNAXISn`) states.
fn axes(header: &Header, prefix: &str) -> Result<Vec<u64>, String> {
    let stated = |key: String| header.integer(&key).ok_or(format!("damaged: {key} is missing in its header"));
    let count = stated(format!("{prefix}NAXIS"))?;
    if !(0..=MAX_AXES).contains(&count) {
        return Err(format!("damaged: {count} axes"));
    }
    let length = |axis| {
        let length = stated(format!("{prefix}NAXIS{axis}"))?;
        u64::try_from(length).map_err(|_| format!("damaged: an axis of length {length}"))
    };
    (1..=count).map(length).collect()
}

/// Bytes of the data: FITS standard 4.0, equations 1, 2 and 4.
fn data_bytes(header: &Header) -> Result<u64, String> {
    let mut axes = axes(header, "")?;
    if axes.is_empty() {
        return Ok(0);
    }
    // Random groups have a first axis of length 0, which does not count.
    let groups = axes[0] == 0 && header.says("GROUPS");
    if groups {
        axes.remove(0);
    }
    let bitpix = header.integer("BITPIX").ok_or("damaged: BITPIX is missing in its header")?;
    let (mut extra, mut count) = (0, 1);
    if groups || header.value("XTENSION").is_some() {
        extra = header.integer("PCOUNT").unwrap_or(0);
        count = header.integer("GCOUNT").unwrap_or(1);
    }
    let absurd = || "damaged: absurd sizes in its header".to_owned();
    let (extra, count) =
        (u64::try_from(extra).map_err(|_| absurd())?, u64::try_from(count).map_err(|_| absurd())?);
    axes.iter()
        .try_fold(1_u64, |product, length| product.checked_mul(*length))
        .and_then(|product| {
            product.checked_add(extra)?.checked_mul(count)?.checked_mul(bitpix.unsigned_abs() / 8)
        })
        .ok_or_else(absurd)
}

/// What an error of the decompressor means: files in memory have no others.
pub(super) fn words_of(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "truncated: copy the file again".into(),
        _ => format!("damaged: {error}"),
    }
}
