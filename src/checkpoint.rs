//! Checkpoints: the file that a running stack is put away in, and taken up again from.
//!
//! A file is a list of named sections, little endian whatever the machine:
//!
//! ```text
//! magic      8 bytes  "LIVSTKCP"
//! version    u32      of this layout and of what the sections hold
//! section    u8 length of the name (1 to 64), the name, u64 length and u32 CRC of the payload, the payload
//! ...
//! end        u8 0, u32 number of sections, u32 CRC of everything before it but the payloads
//! ```
//!
//! CRCs are CRC-32 (IEEE 802.3). The last one covers all headers, so that a file that was cut or changed anywhere is known
//! for it: headers when the file is opened, a payload when it is read.

mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

use crate::error::Result;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Names of the checkpoints in their folder, newest first.
pub const NAMES: [&str; 2] = ["checkpoint", "checkpoint.previous"];

/// Version of the layout and of the sections: a change of either counts it up.
pub const VERSION: u32 = 1;

/// What a file begins with.
const MAGIC: [u8; 8] = *b"LIVSTKCP";
/// Bytes of the longest name of a section.
const NAME_MOST: usize = 64;
/// Sections of a file, at most: six rules of three channels and a few more are two dozen.
const SECTIONS_MOST: usize = 1024;
/// Bytes of the largest value, which is read into memory whole: those of a night have some millions.
const VALUE_MOST: u64 = 1 << 28;
/// Buffer in front of the file, bytes: for what is small; planes go past it.
const BUFFER: usize = 1 << 16;
/// Bytes of a header of section `name`.
fn header(name: &str, len: u64, crc: u32) -> Vec<u8> {
    // Names are no longer than NAME_MOST.
    let mut bytes = vec![name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Writes a checkpoint into `folder`: `fill` gives its sections. The new file is whole on the disk before it takes the
/// name of the newest, whose old bearer becomes the previous one. Returns how long that took.
///
/// # Errors
/// What `fill` returns; [`Error::Io`](crate::error::Error::Io) where the folder cannot be written to or the disk is full. The checkpoints that
/// were there stay as they were, and nothing is left beside them.
pub fn store(folder: &Path, fill: impl FnOnce(&mut Writer<'_>) -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    let path = folder.join(NAMES[0]);
    let cannot = |e: io::Error| write::cannot(&path, e);
    let temporary = crate::io::unfinished(folder).map_err(cannot)?;
    let mut writer = Writer::new(temporary.as_file(), &path)?;
    fill(&mut writer)?;
    writer.end()?;
    temporary.as_file().sync_all().map_err(cannot)?;
    place(temporary, folder, |from, to| fs::hard_link(from, to)).map_err(cannot)?;
    Ok(start.elapsed())
}

/// Gives the finished file the newest name, and the newest that there was the older one. `link` gives a file a second name.
fn place(
    temporary: NamedTempFile,
    folder: &Path,
    link: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let [newest, older] = NAMES.map(|name| folder.join(name));
    // The newest keeps its name until the new one takes it: should it be damaged, the older one is still there till then.
    let second = second_name(temporary.path());
    match link(&newest, &second) {
        Ok(()) => {
            let placed = temporary.persist(&newest).map_err(|e| e.error);
            let moved = placed.and_then(|_| fs::rename(&second, &older));
            if moved.is_err() {
                let _ = fs::remove_file(&second);
            }
            moved?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            temporary.persist(&newest).map_err(|e| e.error)?;
        }
        // A file system without second names (FAT, some shares): there, the older one goes first.
        Err(_) => {
            fs::rename(&newest, &older)?;
            if let Err(e) = temporary.persist(&newest) {
                let _ = fs::rename(&older, &newest);
                return Err(e.error);
            }
        }
    }
    sync(folder)
}

/// Another name in the same folder for the time of a change: one that a [sweep](crate::io) knows, too.
fn second_name(temporary: &Path) -> PathBuf {
    let name = temporary.file_name().unwrap_or_default().to_string_lossy();
    temporary.with_file_name(name.replace(".tmp", "-second.tmp"))
}

/// Puts the names in `folder` on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match fs::File::open(folder)?.sync_all() {
            // Some shares do not know how; the files are there.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            done => done,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
