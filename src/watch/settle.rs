//! When a file is complete. No disk in here, nor a wall clock: what was seen comes in, with the time it was seen at.
//!
//! A file is either **growing** (it is waited for) or **handed** on (its print is remembered). One that vanishes is
//! forgotten.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use super::Print;

/// How long a file that was closed or renamed in is left alone before it is handed on. Copying programs set a file's
/// time right after they close it; writers that close and reopen do so at once; and a file system's clock ticks every 4
/// to 10 ms, within which a second writer would leave no other print.
const AFTER_CLOSE: Duration = Duration::from_millis(10);

/// How long an empty file is waited for, even when it was closed: many programs create a file, close it, and write it
/// later.
pub(super) const EMPTY_WAIT: Duration = Duration::from_secs(2);

/// A file as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) print: Print,
    /// The number of the file itself, whatever its name; 0 where the system has none.
    pub(super) file: u64,
    /// When it was looked at.
    pub(super) at: Instant,
}

/// Why a file was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// To see how it is.
    None,
    /// It was written to, created or removed.
    Written,
    /// It was closed after writing.
    Closed(Instant),
    /// It was renamed to this name, here or from elsewhere.
    RenamedIn(Instant),
    /// It was there at the start. `true`: its time is so long ago that it counts as complete.
    Existing(bool),
}

/// What follows for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was handed on is no more.
    Changed(OsString),
    /// It is complete.
    Arrived { name: OsString, print: Print, complete: Instant, existing: bool },
}

/// Why a file that is handed on may be missing in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It was removed.
    Removed,
    /// The folder is of another file system than before: a share may have gone, and may come back.
    ShareGone,
    /// The folder is another one than before: what is missing now will not come back.
    FolderReplaced,
}

/// Content that was handed on.
struct Handed {
    print: Print,
    /// As [`Seen::file`]; `None` for what is known from an earlier run.
    file: Option<u64>,
    /// Not seen since the share went.
    away: bool,
}

/// A file that is waited for.
struct Growing {
    print: Print,
    file: u64,
    /// When this print was first seen.
    since: Instant,
    /// Seen with this print twice at least.
    again: bool,
    /// When it was closed or renamed in, if nobody wrote to it since.
    closed: Option<Instant>,
    existing: bool,
    /// It was seen to change.
    changed: bool,
}

impl Growing {
    fn new(seen: &Seen) -> Growing {
        let Seen { print, file, at } = *seen;
        Growing { print, file, since: at, again: false, closed: None, existing: false, changed: false }
    }

    /// Takes in how the file was found now.
    fn update(&mut self, seen: &Seen, hint: Hint, first: bool) {
        // A time that is set after the last write changes the print, yet nobody is writing.
        if hint == Hint::Written || self.print.size != seen.print.size {
            self.closed = None;
        }
        if let Hint::Closed(at) | Hint::RenamedIn(at) = hint {
            self.closed = Some(at);
        }
        let same = self.print == seen.print && self.file == seen.file;
        self.again = same && !first;
        if !same {
            (self.print, self.file, self.since, self.changed) = (seen.print, seen.file, seen.at, true);
        }
    }

    /// When it is complete, if nothing happens to it.
    fn due(&self, settle: Duration) -> Instant {
        match self.closed {
            _ if self.print.size == 0 => self.since + still(0, settle),
            Some(closed) => closed + AFTER_CLOSE,
            None => self.since + settle,
        }
    }

    fn complete(&self, now: Instant, settle: Duration) -> bool {
        let seen_enough = self.again || (self.closed.is_some() && self.print.size > 0);
        seen_enough && self.due(settle) <= now
    }
}

/// How long a file of this size must stand still.
pub(super) fn still(size: u64, settle: Duration) -> Duration {
    if size == 0 { settle.max(EMPTY_WAIT) } else { settle }
}

/// The files of the folder: one small entry each.
pub(super) struct Settler {
    settle: Duration,
    handed: HashMap<OsString, Handed>,
    growing: HashMap<OsString, Growing>,
}

impl Settler {
    /// * `known` - content that was handed on before.
    pub(super) fn new(settle: Duration, known: impl IntoIterator<Item = (OsString, Print)>) -> Settler {
        let entry = |(name, print)| (name, Handed { print, file: None, away: false });
        Settler { settle, handed: known.into_iter().map(entry).collect(), growing: HashMap::new() }
    }

    /// The file `name` was found like this.
    pub(super) fn see(&mut self, name: &OsStr, seen: &Seen, hint: Hint, out: &mut Vec<Verdict>) {
        if let Some(handed) = self.handed.get_mut(name) {
            if handed.holds(seen, hint) {
                (handed.file, handed.away) = (Some(seen.file), false);
                return;
            }
            self.handed.remove(name);
            out.push(Verdict::Changed(name.to_owned()));
        }
        let first = !self.growing.contains_key(name);
        let growing = self.growing.entry(name.to_owned()).or_insert_with(|| Growing::new(seen));
        growing.update(seen, hint, first);
        growing.existing |= matches!(hint, Hint::Existing(_));
        growing.existing &= !matches!(hint, Hint::RenamedIn(_));
        if hint == Hint::Existing(true) || growing.complete(seen.at, self.settle) {
            self.hand_on(name, seen, out);
        }
    }

    fn hand_on(&mut self, name: &OsStr, seen: &Seen, out: &mut Vec<Verdict>) {
        let Some(Growing { print, file, closed, existing, .. }) = self.growing.remove(name) else { return };
        self.handed.insert(name.to_owned(), Handed { print, file: Some(file), away: false });
        // An empty file is complete because it stood still.
        let complete = closed.filter(|_| print.size > 0).unwrap_or(seen.at);
        out.push(Verdict::Arrived { name: name.to_owned(), print, complete, existing });
    }

    /// The file `name` is not there, in the folder that it was in.
    pub(super) fn vanished(&mut self, name: &OsStr, out: &mut Vec<Verdict>) {
        self.growing.remove(name);
        if self.handed.get(name).is_some_and(|handed| !handed.away) {
            self.handed.remove(name);
            out.push(Verdict::Changed(name.to_owned()));
        }
    }

    /// How the file `name` is cannot be told now: what was handed on stays so, what grows is waited for anew.
    pub(super) fn unclear(&mut self, name: &OsStr, now: Instant) {
        if let Some(growing) = self.growing.get_mut(name) {
            (growing.since, growing.again, growing.closed) = (now, false, None);
        }
    }

    /// The file `name` is no longer waited for.
    pub(super) fn forget(&mut self, name: &OsStr) {
        self.growing.remove(name);
    }

    /// All files of the folder are these; those that cannot be looked at now are `None`.
    ///
    /// * `hint` - why each was looked at.
    pub(super) fn listed(
        &mut self,
        files: &[(OsString, Option<Seen>)],
        hint: impl Fn(&Seen) -> Hint,
        missing: Missing,
        out: &mut Vec<Verdict>,
    ) {
        let there: HashSet<&OsStr> = files.iter().map(|(name, _)| name.as_os_str()).collect();
        self.growing.retain(|name, _| there.contains(name.as_os_str()));
        self.handed.retain(|name, handed| {
            let keep = there.contains(name.as_os_str()) || handed.outlasts(missing);
            if !keep {
                out.push(Verdict::Changed(name.clone()));
            }
            keep
        });
        for (name, seen) in files {
            match seen {
                Some(seen) => self.see(name, seen, hint(seen), out),
                None => self.unclear(name, Instant::now()),
            }
        }
    }

    /// Whether a file that was there at the start has stood still since, and is waited for.
    pub(super) fn opens(&self) -> bool {
        let still = |g: &Growing| g.existing && !g.changed && g.print.size > 0;
        self.growing.values().any(still)
    }

    /// Whether `name` is waited for.
    pub(super) fn waits_for(&self, name: &OsStr) -> bool {
        self.growing.contains_key(name)
    }

    /// When the next file is complete, if nothing happens to it.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.growing.values().map(|growing| growing.due(self.settle)).min()
    }

    /// The files that are complete by now, if nothing has happened to them.
    pub(super) fn due(&self, now: Instant) -> Vec<OsString> {
        let due = self.growing.iter().filter(|(_, growing)| growing.due(self.settle) <= now);
        due.map(|(name, _)| name.clone()).collect()
    }
}

impl Handed {
    /// Whether what is there is what was handed on. A file that was renamed over another one of the same size and time
    /// is known by its number.
    fn holds(&self, seen: &Seen, hint: Hint) -> bool {
        let replaced =
            matches!(hint, Hint::RenamedIn(_)) && self.file.is_some_and(|number| number != seen.file);
        self.print == seen.print && !replaced
    }

    /// Whether it is remembered although it is missing in the folder: over one change of the file system, in case the
    /// share comes back.
    fn outlasts(&mut self, missing: Missing) -> bool {
        match missing {
            Missing::Removed => self.away,
            Missing::FolderReplaced => false,
            Missing::ShareGone => !std::mem::replace(&mut self.away, true),
        }
    }
}

#[cfg(test)]
mod tests;
