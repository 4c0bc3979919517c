//! What is in a folder, and whether it is still the same folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::Print;
use super::settle::Seen;
use crate::io;

/// Which folder it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The file system.
    device: u64,
    /// The folder in it.
    number: u64,
    /// Numbers are given again soon.
    born: Option<SystemTime>,
}

impl Identity {
    /// Of the folder that is at this path now.
    ///
    /// # Errors
    /// It is not there, cannot be looked at, or is no folder.
    pub(super) fn of(folder: &Path) -> Result<Identity> {
        let about = std::fs::metadata(folder)?;
        if !about.is_dir() {
            return Err(Error::from(ErrorKind::NotADirectory));
        }
        let (device, number) = numbers(&about);
        Ok(Identity { device, number, born: about.created().ok() })
    }

    /// Whether both are on one file system.
    pub(super) fn beside(&self, other: &Identity) -> bool {
        self.device == other.device
    }
}

#[cfg(unix)]
fn numbers(about: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (about.dev(), about.ino())
}

#[cfg(not(unix))]
fn numbers(_about: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// A regular file, or a link to one.
    File(Seen),
    /// Nothing, or something else.
    Nothing,
    /// The system cannot tell now: a share is in trouble, or a link leads where nobody may go.
    Unclear,
}

/// Looks at the file `name` of `folder`.
///
/// * `open` - whether to open the file: network file systems ask the server then, instead of remembering.
///
/// # Errors
/// The folder cannot be looked into at all.
pub(super) fn look(folder: &Path, name: &OsStr, open: bool) -> Result<Found> {
    let path = folder.join(name);
    let about = match std::fs::metadata(&path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(_) => return std::fs::metadata(folder.join(".")).map(|_| Found::Unclear),
    };
    if !about.is_file() {
        return Ok(Found::Nothing);
    }
    let asked = open.then(|| File::open(&path).and_then(|file| file.metadata()).ok()).flatten();
    let about = asked.filter(Metadata::is_file).unwrap_or(about);
    let print = Print::from_metadata(&about);
    Ok(Found::File(Seen { print, file: numbers(&about).1, at: Instant::now() }))
}

/// What is in `folder` under names of frames; what is no file is left out.
///
/// * `wanted` - whether a name is looked at, and if so whether the file is opened, as in [`look`].
/// * `stopped` - whether to give up.
///
/// # Errors
/// The folder cannot be looked into.
pub(super) fn list(
    folder: &Path,
    wanted: impl Fn(&Path) -> Option<bool>,
    stopped: impl Fn() -> bool,
) -> Result<Vec<(OsString, Option<Seen>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        if stopped() {
            return Err(Error::from(ErrorKind::Interrupted));
        }
        let name = entry?.file_name();
        let path = folder.join(&name);
        let Some(open) = Some(&path).filter(|path| io::is_frame_name(path)).and_then(|path| wanted(path))
        else {
            continue;
        };
        match look(folder, &name, open)? {
            Found::File(seen) => files.push((name, Some(seen))),
            Found::Unclear => files.push((name, None)),
            Found::Nothing => {}
        }
    }
    Ok(files)
}
