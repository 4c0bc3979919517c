//! Reading a checkpoint: the table of its sections at once, payloads when they are asked for.

use super::{BUFFER, MAGIC, NAME_MOST, SECTIONS_MOST, VALUE_MOST, VERSION, header};
use crate::error::{Error, Result};
use crc32fast::Hasher;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A section as the table has it.
struct Section {
    name: String,
    /// Where its payload begins, bytes.
    at: u64,
    len: u64,
    crc: u32,
    taken: bool,
}

/// A checkpoint that was opened.
pub struct Reader {
    path: PathBuf,
    from: BufReader<File>,
    sections: Vec<Section>,
}

/// Why a table cannot be read.
enum Fault {
    Io(io::Error),
    Damaged(String),
    Version(u32),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Fault {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Damaged("it is cut".into()),
            _ => Fault::Io(e),
        }
    }
}

fn damaged(why: impl Into<String>) -> Fault {
    Fault::Damaged(why.into())
}

impl Reader {
    /// Opens a checkpoint and reads its table; no payload.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Decode`] where it is damaged or no checkpoint;
    /// [`Error::Mismatch`] where another version of livestack wrote it in a layout of its own.
    pub fn open(path: &Path) -> Result<Reader> {
        let cannot = |e| Error::io("cannot read the checkpoint", path, e);
        // Asked before it is opened: a pipe would wait.
        let about = std::fs::metadata(path).map_err(cannot)?;
        if !about.is_file() {
            return Err(Error::decode("no checkpoint: expected a file", path));
        }
        let mut from = BufReader::with_capacity(BUFFER, File::open(path).map_err(cannot)?);
        let sections = table(&mut from, about.len()).map_err(|fault| match fault {
            Fault::Io(e) => cannot(e),
            Fault::Damaged(why) => Error::decode(format!("the checkpoint is damaged: {why}"), path),
            Fault::Version(version) => Error::Mismatch {
                what: format!(
                    "the checkpoint has format {version}, this livestack reads {VERSION}: resume with the livestack \
                     that wrote it, or begin anew"
                ),
                path: path.to_owned(),
            },
        })?;
        Ok(Reader { path: path.to_owned(), from, sections })
    }

    /// Names and payload lengths (bytes) of the sections, in the file's order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, u64)> + '_ {
        self.sections.iter().map(|s| (s.name.as_str(), s.len))
    }

    /// Bytes of section `name`; `None` where there is none.
    #[must_use]
    pub fn len(&self, name: &str) -> Option<u64> {
        self.sections.iter().find(|s| s.name == name).map(|s| s.len)
    }

    /// Reads section `name` into `to`, which must be as long as it is. What `to` holds after an error is of no use.
    ///
    /// # Errors
    /// [`Error::Decode`] where the section is damaged or missing; [`Error::Mismatch`] where it has another length.
    pub fn section_into(&mut self, name: &str, to: &mut [u8]) -> Result<()> {
        let (at, len, crc) = self.seek(name)?;
        if len != to.len() as u64 {
            let what = format!("section `{name}` of the checkpoint has {len} bytes, expected {}", to.len());
            return Err(self.unlike(what));
        }
        self.from.seek(SeekFrom::Start(at)).map_err(|e| self.cannot(e))?;
        self.from.read_exact(to).map_err(|e| self.cannot(e))?;
        if crc32fast::hash(to) != crc {
            return Err(self.damaged(&format!("section `{name}` does not match its checksum")));
        }
        self.sections.iter_mut().filter(|s| s.name == name).for_each(|s| s.taken = true);
        Ok(())
    }

    /// The value of section `name`.
    ///
    /// # Errors
    /// [`Error::Decode`] where the section is damaged or missing or holds no `T`.
    pub fn value<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let (_, len, _) = self.seek(name)?;
        if len > VALUE_MOST {
            return Err(self.damaged(&format!("section `{name}` has {len} bytes, {VALUE_MOST} is the most")));
        }
        let mut bytes = vec![0; len as usize];
        self.section_into(name, &mut bytes)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => {
                Err(self.damaged(&format!("section `{name}` has {} bytes too many", rest.len())))
            }
            Err(e) => Err(self.damaged(&format!("section `{name}`: {e}"))),
        }
    }

    /// Ends reading: every section must have been read, and so found whole.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming one that nobody asked for.
    pub fn end(self) -> Result<()> {
        match self.sections.iter().find(|s| !s.taken) {
            None => Ok(()),
            Some(s) => {
                Err(self.unlike(format!("the checkpoint holds more than expected: section `{}`", s.name)))
            }
        }
    }

    /// The error of a checkpoint that is whole but not of the stack at hand; `what` says expected and got.
    #[must_use]
    pub fn unlike(&self, what: impl Into<String>) -> Error {
        Error::Mismatch { what: what.into(), path: self.path.clone() }
    }

    fn cannot(&self, e: io::Error) -> Error {
        Error::io("cannot read the checkpoint", &self.path, e)
    }

    fn damaged(&self, why: &str) -> Error {
        Error::decode(format!("the checkpoint is damaged: {why}"), &self.path)
    }

    /// Place, length and CRC of section `name`.
    fn seek(&self, name: &str) -> Result<(u64, u64, u32)> {
        let found = self.sections.iter().find(|s| s.name == name);
        let section = found.ok_or_else(|| self.damaged(&format!("section `{name}` is missing")))?;
        Ok((section.at, section.len, section.crc))
    }
}

/// The table of a file of `size` bytes.
fn table(from: &mut BufReader<File>, size: u64) -> std::result::Result<Vec<Section>, Fault> {
    let mut seen = Hasher::new();
    let magic = bytes::<{ MAGIC.len() }>(from)?;
    if magic != MAGIC {
        return Err(damaged("it does not begin as a checkpoint does"));
    }
    let version = u32::from_le_bytes(bytes(from)?);
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    seen.update(&magic);
    seen.update(&version.to_le_bytes());
    let mut sections: Vec<Section> = Vec::new();
    let mut at = (MAGIC.len() + size_of_val(&version)) as u64;
    while let Some(section) = next(from, at, size)? {
        let head = header(&section.name, section.len, section.crc);
        seen.update(&head);
        // Only a section that lies in the file comes here: this cannot be more than its size.
        at = section.at + section.len;
        if sections.len() == SECTIONS_MOST || sections.iter().any(|s| s.name == section.name) {
            return Err(damaged(format!("section `{}` is doubled, or one too many", section.name)));
        }
        sections.push(section);
        from.seek(SeekFrom::Start(at))?;
    }
    let count = bytes::<4>(from)?;
    seen.update(&[0]);
    seen.update(&count);
    if u32::from_le_bytes(bytes(from)?) != seen.finalize() {
        return Err(damaged("its table of sections does not match its checksum"));
    }
    if u32::from_le_bytes(count) as usize != sections.len() || from.stream_position()? != size {
        return Err(damaged("its end is not where its table says"));
    }
    Ok(sections)
}

/// The section whose header begins at `at` in a file of `size` bytes; `None` at the end mark.
fn next(from: &mut BufReader<File>, at: u64, size: u64) -> std::result::Result<Option<Section>, Fault> {
    let [long] = bytes(from)?;
    let long = usize::from(long);
    if long == 0 {
        return Ok(None);
    }
    if long > NAME_MOST {
        return Err(damaged("the name of a section is too long"));
    }
    let mut name = [0; NAME_MOST];
    from.read_exact(&mut name[..long])?;
    let name = std::str::from_utf8(&name[..long]).map_err(|_| damaged("the name of a section is no text"))?;
    let (len, crc) = (u64::from_le_bytes(bytes(from)?), u32::from_le_bytes(bytes(from)?));
    let at = at + header(name, len, crc).len() as u64;
    if at.checked_add(len).is_none_or(|end| end > size) {
        return Err(damaged(format!("it is cut in section `{name}`")));
    }
    Ok(Some(Section { name: name.to_owned(), at, len, crc, taken: false }))
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    from.read_exact(&mut out)?;
    Ok(out)
}
