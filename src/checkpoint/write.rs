//! Writing a checkpoint, section by section.

use super::{BUFFER, MAGIC, NAME_MOST, SECTIONS_MOST, VALUE_MOST, VERSION, header};
use crate::error::{Error, Result};
use crc32fast::Hasher;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A checkpoint that is being written: see [`store`](super::store).
pub struct Writer<'a> {
    path: &'a Path,
    to: BufWriter<&'a File>,
    /// Of all headers so far.
    table: Hasher,
    names: BTreeSet<String>,
}

/// A checkpoint could not be written to `path`.
pub(super) fn cannot(path: &Path, source: io::Error) -> Error {
    Error::io("cannot write the checkpoint", path, source)
}

impl<'a> Writer<'a> {
    /// Into the empty file `to`, which will be called `path`.
    pub(crate) fn new(to: &'a File, path: &'a Path) -> Result<Writer<'a>> {
        let to = BufWriter::with_capacity(BUFFER, to);
        let mut writer = Writer { path, to, table: Hasher::new(), names: BTreeSet::new() };
        writer.head(&MAGIC)?;
        writer.head(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// Writes what the last CRC covers.
    fn head(&mut self, bytes: &[u8]) -> Result<()> {
        self.table.update(bytes);
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(|e| cannot(self.path, e))
    }

    /// Adds section `name` (1 to 64 bytes, each name once).
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full or the name cannot be used.
    pub fn section(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let usable = (1..=NAME_MOST).contains(&name.len()) && self.names.len() < SECTIONS_MOST;
        if !usable || !self.names.insert(name.to_owned()) {
            let what = format!("section `{name}` is doubled, or its name is too long");
            return Err(cannot(self.path, io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        self.head(&header(name, bytes.len() as u64, crc32fast::hash(bytes)))?;
        self.put(bytes)
    }

    /// Adds section `name` with a value.
    ///
    /// # Errors
    /// As [`Writer::section`]; also for a value that cannot be stored.
    pub fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let bytes = postcard::to_stdvec(value).map_err(|e| cannot(self.path, io::Error::other(e)))?;
        if bytes.len() as u64 > VALUE_MOST {
            let what = format!("section `{name}` has {} bytes, {VALUE_MOST} is the most", bytes.len());
            return Err(cannot(self.path, io::Error::other(what)));
        }
        self.section(name, &bytes)
    }

    /// Ends the file.
    pub(crate) fn end(mut self) -> Result<()> {
        let count = self.names.len() as u32;
        self.head(&[0])?;
        self.head(&count.to_le_bytes())?;
        let crc = self.table.clone().finalize();
        self.put(&crc.to_le_bytes())?;
        self.to.flush().map_err(|e| cannot(self.path, e))
    }
}
