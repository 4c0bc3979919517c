//! One program at a time has a session.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

/// Name of the file in the session's folder.
const NAME: &str = "lock";

/// Times that the lock is tried, and how long between: who asks for the holder has it for a moment.
const LOOKS: u32 = 4;
const LOOK: Duration = Duration::from_millis(20);

/// The lock, as long as it lives: the system lets go of it however the program ends.
pub(crate) struct Lock {
    file: File,
}

/// Who has a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder {
    /// `watch` or `add`; empty where it is not known.
    pub(crate) what: String,
    /// Its process.
    pub(crate) pid: u64,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.what.as_str() {
            "" => write!(f, "another program"),
            what => write!(f, "livestack {what}, process {}", self.pid),
        }
    }
}

impl Lock {
    /// Takes the session in `folder` for `what`; the inner `Err` says who has it.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written to.
    pub(crate) fn take(folder: &Path, what: &str) -> Result<std::result::Result<Lock, Holder>> {
        let path = folder.join(NAME);
        let cannot = |e| Error::io("cannot lock the session", &path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot)?;
        for patience in (0..LOOKS).rev() {
            match file.try_lock() {
                // Perhaps somebody only looks.
                Err(TryLockError::WouldBlock) if patience > 0 => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Ok(Err(holder(&mut file))),
                // Some network file systems know no locks: better a session without than none.
                Err(TryLockError::Error(_)) | Ok(()) => break,
            }
        }
        let text = json!({ "what": what, "pid": std::process::id() }).to_string();
        // Who it is only serves messages: a full disk is no reason to refuse.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Ok(Lock { file }))
    }

    /// Whether the lock in `folder` is another one by now: the folder was removed, and another session begun there.
    pub(crate) fn is_replaced(&self, folder: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let number = |m: std::fs::Metadata| (m.dev(), m.ino());
            let own = self.file.metadata().map(number).ok();
            let there = std::fs::metadata(folder.join(NAME)).map(number).ok();
            own.zip(there).is_some_and(|(own, there)| own != there)
        }
        #[cfg(not(unix))]
        {
            let _ = folder;
            false
        }
    }

    /// Who has the session in `folder` now; `None`: nobody.
    pub(crate) fn held(folder: &Path) -> Option<Holder> {
        let mut file = File::open(folder.join(NAME)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
            _ => None,
        }
    }
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let v: Value = serde_json::from_str(&text).unwrap_or_default();
    Holder {
        what: v["what"].as_str().unwrap_or_default().to_owned(),
        pid: v["pid"].as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(Lock::held(folder.path()).is_none());
        let lock = Lock::take(folder.path(), "watch").expect("locks").expect("is free");
        let held = Lock::take(folder.path(), "add").expect("looks").err().expect("is held");
        assert_eq!((held.what.as_str(), held.pid), ("watch", u64::from(std::process::id())));
        assert!(Lock::held(folder.path()).is_some());
        drop(lock);
        assert!(Lock::held(folder.path()).is_none());
        assert!(Lock::take(folder.path(), "add").expect("locks").is_ok());
    }
}
