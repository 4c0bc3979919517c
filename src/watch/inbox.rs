//! What the system tells of the folder, waiting for the thread that looks: at most one entry a file, however much
//! happens to it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::settle::Hint;
use crate::io;

/// A file that is written brings an event for each write; they are gathered this long.
const LULL: Duration = Duration::from_millis(50);

/// What has happened since the last look.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Files that something happened to, and when; the last thing counts.
    pub(super) touched: HashMap<OsString, (Instant, Hint)>,
    /// Events were lost, or something happened to the folder: all of it has to be looked at.
    pub(super) rescan: bool,
    /// The folder was removed or renamed, or events have ended: what is watched may be nobody's folder.
    pub(super) lost: bool,
    /// When the first of them happened.
    since: Option<Instant>,
    /// A file was closed or renamed in.
    complete: bool,
}

/// Between the system's events and the thread that looks.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pending: Mutex<Pending>,
    bell: Condvar,
    stopped: AtomicBool,
}

impl Inbox {
    /// What has happened, as soon as something has, at `until` at the latest. Returns at once when stopped.
    pub(super) fn wait(&self, until: Instant) -> Pending {
        let mut pending = self.lock();
        while !(pending.urgent() || self.stopped()) {
            let until = pending.since.map_or(until, |since| until.min(since + LULL));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            pending = self.bell.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *pending)
    }

    /// The watch is to end.
    pub(super) fn stop(&self) {
        // Under the lock: the thread is either before its check or asleep, never between.
        let _pending = self.lock();
        self.stopped.store(true, Ordering::Relaxed);
        self.bell.notify_all();
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event of the system.
    ///
    /// * `folder` - as the system was told to watch.
    fn put(&self, folder: &Path, event: notify::Result<Event>) {
        let mut pending = self.lock();
        let waiting = pending.since.is_some();
        match event {
            Err(_) => pending.lost = true,
            Ok(event) => pending.take_in(folder, &event, Instant::now()),
        }
        if pending.urgent() || pending.since.is_some() != waiting {
            self.bell.notify_all();
        }
    }
}

impl Pending {
    /// Whether there is something to look at now.
    fn urgent(&self) -> bool {
        self.rescan || self.lost || self.complete
    }

    fn take_in(&mut self, folder: &Path, event: &Event, now: Instant) {
        self.rescan |= event.need_rescan();
        let Some(hint) = hint(event.kind, now) else { return };
        for path in &event.paths {
            if path == folder {
                // Its own rights and times change without its being another one.
                let same = matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_)));
                self.rescan |= same;
                self.lost |= matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(_)) && !same;
            } else if let Some(name) = path.file_name().filter(|_| io::is_frame_name(path)) {
                self.since.get_or_insert(now);
                self.complete |= matches!(hint, Hint::Closed(_) | Hint::RenamedIn(_));
                let touched = self.touched.entry(name.to_owned()).or_insert((now, hint));
                // Rights and times say nothing of whether the file is closed.
                if hint != Hint::None {
                    *touched = (now, hint);
                }
            }
        }
    }
}

/// What an event says of the files in it; `None` where nothing follows.
fn hint(kind: EventKind, now: Instant) -> Option<Hint> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Closed(now)),
        // Own looks open the folder and its files: to follow that would never end.
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Hint::RenamedIn(now)),
        // Told once more, both names in one.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Any | EventKind::Other => Some(Hint::None),
        // Created, removed and renamed away: whatever was closed before is not what is there now.
        EventKind::Modify(_) | EventKind::Create(_) | EventKind::Remove(_) => Some(Hint::Written),
    }
}

/// Events of a folder, until dropped.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
}

impl Drop for Events {
    fn drop(&mut self) {
        // It panics when its own thread has ended.
        let watcher = self.watcher.take();
        let _ = io::guarded(move || {
            drop(watcher);
            Ok(())
        });
    }
}

/// Why there are no events.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoEvents {
    /// The folder itself cannot be watched now; it may be gone.
    Folder,
    /// The system has none to give, in words.
    System(String),
}

/// Puts what happens in `folder` into `inbox`.
pub(super) fn listen(folder: &Path, inbox: &Arc<Inbox>) -> Result<Events, NoEvents> {
    let folder: PathBuf = std::path::absolute(folder).map_err(|_| NoEvents::Folder)?;
    let (inbox, name) = (Arc::clone(inbox), folder.clone());
    let listener = move |event| inbox.put(&name, event);
    // It panics where no thread can be started.
    let started = io::guarded(move || {
        let watcher = RecommendedWatcher::new(listener, Config::default());
        Ok(watcher.and_then(|mut watcher| {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        }))
    });
    match started {
        Ok(Ok(watcher)) => Ok(Events { watcher: Some(watcher) }),
        Ok(Err(error)) => Err(why(&error)),
        Err(_) => Err(NoEvents::System("no thread could be started".into())),
    }
}

/// What it means that a folder cannot be watched.
fn why(error: &notify::Error) -> NoEvents {
    let io = match &error.kind {
        ErrorKind::PathNotFound => return NoEvents::Folder,
        ErrorKind::MaxFilesWatch => {
            let limit = "the limit fs.inotify.max_user_watches is reached, raise it with sysctl";
            return NoEvents::System(limit.into());
        }
        ErrorKind::Io(io) => io,
        _ => return NoEvents::System(error.to_string()),
    };
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match io.kind() {
        NotFound | PermissionDenied | NotADirectory => NoEvents::Folder,
        _ if io.raw_os_error() == Some(TOO_MANY_FILES) => NoEvents::System(
            "the limit fs.inotify.max_user_instances or that of open files is reached, raise it with sysctl or ulimit -n"
                .into(),
        ),
        _ => NoEvents::System(io.to_string()),
    }
}

/// EMFILE of Linux, which inotify_init(2) gives for both limits.
const TOO_MANY_FILES: i32 = 24;

#[cfg(test)]
mod tests;
