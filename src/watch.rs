//! A hot folder: from files that somebody writes to paths that can be read.
//!
//! | where | what |
//! |---|---|
//! | `watch` | what goes in and comes out; the thread |
//! | `settle` | when a file is complete: the rules, without a clock or a disk |
//! | `patrol` | what the thread does: woken by events or by time, it looks and tells |
//! | `inbox` | events of the system, waiting for the thread |
//! | `folder` | what is in the folder, and whether it is still the same folder |
//! | `mounts` | whether the file system brings events of what others write |
//!
//! **An event is a hint where to look; what counts is what is found there.** Events get lost, come late and come for
//! the wrong folder, so each of them leads to a look at the file, and every few seconds the whole folder is looked at.
//! That way polling, where there are no events, is the same work without the hints.
//!
//! **Stillness is measured by the monotonic clock.** Times of files say only whether they are the same as before:
//! clocks of cameras and servers are wrong, and are set back in mid-night.

mod folder;
mod inbox;
#[cfg(target_os = "linux")]
mod mounts;
mod patrol;
mod settle;

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use inbox::Inbox;
use patrol::Patrol;

/// Longest that dropping a [`Watcher`] waits for its thread, which may hang in a network share that is away.
const LONGEST_GOODBYE: Duration = Duration::from_millis(200);

/// What the file system says of a file's content: the same print is the same content, as far as that can be told
/// without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Print {
    /// Bytes.
    pub size: u64,
    /// Last modification, nanoseconds since 1970 by the clock of the file system; negative before, 0 where the
    /// system does not say.
    pub modified_ns: i64,
}

impl Print {
    /// Of the file `path`, or the one that it links to.
    ///
    /// # Errors
    /// Those of [`std::fs::metadata`].
    pub fn of(path: &Path) -> io::Result<Print> {
        Ok(Print::from_metadata(&std::fs::metadata(path)?))
    }

    /// Of a file that was looked at.
    #[must_use]
    pub fn from_metadata(about: &Metadata) -> Print {
        Print { size: about.len(), modified_ns: about.modified().map_or(0, nanoseconds) }
    }
}

/// Since 1970; the first or last there is where 292 years do not suffice.
fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// What to watch, and how.
pub struct Setup {
    /// The folder whose files are frames. Subfolders are not. It may come and go.
    pub folder: PathBuf,
    /// Look this often instead of relying on events. `None`: events, or polling by itself where they cannot work.
    pub poll: Option<Duration>,
    /// A file that nobody closes is complete when its size and time stood still this long.
    pub settle: Duration,
    /// Files that are no news: own outputs. Paths are those of [`Arrival::path`].
    pub own: Box<dyn Fn(&Path) -> bool + Send>,
    /// Content that was handed on before: no news while its print is the same. Paths are those of
    /// [`Arrival::path`]; others are ignored.
    pub known: HashMap<PathBuf, Print>,
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// [`Setup::folder`] joined with the name.
    pub path: PathBuf,
    /// What it was when it was found to be complete.
    pub print: Print,
    /// When it was closed, renamed in or found to stand still.
    pub complete: Instant,
    /// Whether it was there at the first look into the folder, and has not been overwritten since.
    pub existing: bool,
}

/// What a [`Watcher`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A file is complete: it was closed after writing, renamed in, or size and time stood still. Each content once;
    /// those of one look in natural order of their names.
    Arrived(Arrival),
    /// Content that was handed on (or is in [`Setup::known`]) is being overwritten or is gone: its frame cannot be
    /// read again. What overwrites it arrives when it is complete.
    Changed(PathBuf),
    /// Once: each file that was there at the start and was complete has been told, also where it took the time that a
    /// file must stand still to know. Those that are still written are not waited for.
    Scanned,
    /// One line for the user: that the folder is polled and why, that it is gone, that it is back.
    Note(String),
}

/// Watches a folder in a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    inbox: Arc<Inbox>,
    /// Ends when the thread does.
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch. A folder that is not there is waited for, with a note.
    ///
    /// * `news` - called in the watching thread, one after the other; `false` when nobody listens any more, which
    ///   ends the thread. It may block: what happens meanwhile is not lost.
    ///
    /// # Errors
    /// [`Error::Io`] when no thread can be started.
    pub fn start(setup: Setup, news: impl FnMut(News) -> bool + Send + 'static) -> Result<Watcher> {
        let inbox = Arc::new(Inbox::default());
        let (running, done) = channel::<()>();
        let builder = std::thread::Builder::new().name("watch".into());
        let (folder, theirs) = (setup.folder.clone(), Arc::clone(&inbox));
        let body = move || {
            Patrol::new(setup, theirs, news).run();
            drop(running);
        };
        let cannot = |source| Error::io("cannot start a thread to watch the folder", &folder, source);
        let thread = builder.spawn(body).map_err(cannot)?;
        Ok(Watcher { inbox, done, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.inbox.stop();
        let hangs = self.done.recv_timeout(LONGEST_GOODBYE) == Err(RecvTimeoutError::Timeout);
        if let Some(thread) = self.thread.take().filter(|_| !hangs) {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_beyond_all_numbers_are_prints_too() {
        let second = Duration::from_secs(1);
        assert_eq!(nanoseconds(UNIX_EPOCH + second), 1_000_000_000);
        assert_eq!(nanoseconds(UNIX_EPOCH - second), -1_000_000_000);
        let millennium = Duration::from_secs(1000 * 365 * 86_400);
        assert_eq!(nanoseconds(UNIX_EPOCH + millennium), i64::MAX);
        assert_eq!(nanoseconds(UNIX_EPOCH - millennium), i64::MIN);
    }
}
