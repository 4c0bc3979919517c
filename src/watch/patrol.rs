//! What the watching thread does: woken by events or by time it looks, and tells what follows.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::folder::{self, Found, Identity};
use super::inbox::{self, Events, Inbox, NoEvents, Pending};
use super::settle::{self, Hint, Missing, Seen, Settler, Verdict};
use super::{Arrival, News, Print, Setup, nanoseconds};
use crate::io::natural;

/// Between looks at a folder that brings no events: half of what a camera's short exposures leave, and little for a
/// server to answer.
const POLL: Duration = Duration::from_secs(2);

/// Between looks at a folder that brings events, in case one was lost. Other systems than Linux have no event for a
/// file being closed.
const SAFETY_LOOK: Duration = Duration::from_secs(if cfg!(target_os = "linux") { 3 } else { 2 });

/// Between looks for a folder that is gone, or was about to change when it was looked at.
const RETRY: Duration = Duration::from_millis(500);

/// Nobody listens any more, or the watch is to end.
struct Ended;

/// How the thread learns that something is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Events,
    Poll(Duration),
}

/// Where the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not looked at yet.
    Unknown,
    /// It was there, and was this one.
    There(Identity),
    /// It is gone. Which one it was, if it ever was there.
    Gone(Option<Identity>),
}

/// The thread's own.
pub(super) struct Patrol<N> {
    folder: PathBuf,
    poll: Option<Duration>,
    settle: Duration,
    own: Box<dyn Fn(&Path) -> bool + Send>,
    inbox: Arc<Inbox>,
    news: N,
    settler: Settler,
    mode: Mode,
    /// Why it polls, as it was told.
    why: Option<String>,
    /// Where events come from.
    events: Option<Events>,
    place: Place,
    /// When the whole folder is looked at next.
    next_look: Instant,
    /// The first look is over.
    looked: bool,
    /// Until when what was there at the first look, and may be complete, is waited for; `None`: that is over.
    opening: Option<Instant>,
}

impl<N: FnMut(News) -> bool> Patrol<N> {
    pub(super) fn new(setup: Setup, inbox: Arc<Inbox>, news: N) -> Patrol<N> {
        let Setup { folder, poll, settle, own, known } = setup;
        let here = known.into_iter().filter(|(path, _)| path.parent() == Some(&folder));
        let named = here.filter_map(|(path, print)| Some((path.file_name()?.to_owned(), print)));
        let settler = Settler::new(settle, named);
        let mode = poll.map_or(Mode::Events, Mode::Poll);
        let (why, events, next_look) = (None, None, Instant::now());
        let place = Place::Unknown;
        Patrol {
            folder,
            poll,
            settle,
            own,
            inbox,
            news,
            settler,
            mode,
            why,
            events,
            place,
            next_look,
            looked: false,
            opening: None,
        }
    }

    /// Until nobody listens, or the watch is to end.
    pub(super) fn run(mut self) {
        loop {
            let pending = self.inbox.wait(self.next_wake());
            if self.inbox.stopped() || self.round(pending).is_err() {
                return;
            }
        }
    }

    fn next_wake(&self) -> Instant {
        // Polling looks at its own pace only: servers are asked no more often than was said.
        let due = self.settler.next_due().filter(|_| self.mode == Mode::Events && self.is_there());
        [due, self.opening].into_iter().flatten().fold(self.next_look, Instant::min)
    }

    fn is_there(&self) -> bool {
        matches!(self.place, Place::There(_))
    }

    /// Looks where something happened or is due, or at everything.
    fn round(&mut self, pending: Pending) -> Result<(), Ended> {
        if pending.lost {
            self.events = None;
        }
        let mut everything = pending.rescan || pending.lost || self.next_look <= Instant::now();
        if self.is_there() && !pending.lost {
            everything |= self.look_at(pending)?;
        }
        if everything {
            self.look()?;
        }
        self.open()
    }

    /// Tells that the first look is over once nothing of it may still turn out to be complete: what was closed just
    /// before the start must not fall behind what comes after.
    fn open(&mut self) -> Result<(), Ended> {
        let Some(until) = self.opening else { return Ok(()) };
        if until > Instant::now() && self.settler.opens() {
            return Ok(());
        }
        self.opening = None;
        self.tell(News::Scanned)
    }

    /// Looks at the files that something happened to, and at those that are due; whether that leaves doubts that a
    /// look at everything has to settle.
    fn look_at(&mut self, pending: Pending) -> Result<bool, Ended> {
        let mut touched: Vec<_> = pending.touched.into_iter().map(|(n, (at, hint))| (at, n, hint)).collect();
        let now = Instant::now();
        if self.mode == Mode::Events {
            let due = self.settler.due(now).into_iter();
            touched.extend(due.map(|name| (now, name, Hint::None)));
        }
        touched.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| natural(Path::new(&a.1), Path::new(&b.1))));
        for (_, name, hint) in touched {
            let mut verdicts = Vec::new();
            if (self.own)(&self.folder.join(&name)) {
                self.settler.forget(&name);
                continue;
            }
            match folder::look(&self.folder, &name, false) {
                Ok(Found::File(seen)) => self.settler.see(&name, &seen, hint, &mut verdicts),
                Ok(Found::Unclear) => self.settler.unclear(&name, now),
                // In a folder that has just gone no file is to be found, and none is removed.
                Ok(Found::Nothing) if self.still(self.place) => self.settler.vanished(&name, &mut verdicts),
                _ => return Ok(true),
            }
            self.tell_all(verdicts)?;
        }
        Ok(false)
    }

    /// Whether the folder is still at `place`.
    fn still(&self, place: Place) -> bool {
        Identity::of(&self.folder).is_ok_and(|now| self.is_same(place, now))
    }

    /// Looks at everything.
    fn look(&mut self) -> Result<(), Ended> {
        self.next_look = Instant::now() + RETRY;
        let there = match Identity::of(&self.folder) {
            Ok(there) => there,
            Err(error) => return self.gone(&error),
        };
        let before = self.place;
        let same = self.is_same(before, there);
        if !same || (self.mode == Mode::Events && self.events.is_none()) {
            // Before the look, so that nothing falls between.
            self.arm()?;
        }
        let files = match self.list() {
            Ok(files) => files,
            Err(_) if self.inbox.stopped() => return Err(Ended),
            Err(error) => return self.gone(&error),
        };
        if !self.still(Place::There(there)) {
            // Replaced meanwhile: what was listed may be half of each.
            self.events = None;
            return Ok(());
        }
        self.place = Place::There(there);
        self.tell_return(before, same)?;
        self.judge(&files, missing(before, there))?;
        if !(self.mode == Mode::Events && self.events.is_none()) {
            self.next_look =
                Instant::now() + if let Mode::Poll(pace) = self.mode { pace } else { SAFETY_LOOK };
        }
        Ok(())
    }

    /// Whether the folder is the one that was there at the last look.
    fn is_same(&self, before: Place, there: Identity) -> bool {
        match (before, self.mode) {
            (Place::There(last), Mode::Events) => last == there,
            // Network file systems give one folder several numbers.
            (Place::There(last), Mode::Poll(_)) => last.beside(&there),
            _ => false,
        }
    }

    /// Lists the frames; those that are waited for are asked of the server where it is one.
    fn list(&self) -> io::Result<Vec<(OsString, Option<Seen>)>> {
        let polling = matches!(self.mode, Mode::Poll(_));
        let waited = |path: &Path| path.file_name().is_some_and(|name| self.settler.waits_for(name));
        let wanted = |path: &Path| (!(self.own)(path)).then(|| polling && waited(path));
        folder::list(&self.folder, wanted, || self.inbox.stopped())
    }

    /// Tells what follows from a list of all files.
    fn judge(&mut self, files: &[(OsString, Option<Seen>)], missing: Missing) -> Result<(), Ended> {
        let first = !self.looked;
        let (now, settle) = (nanoseconds(SystemTime::now()), self.settle);
        let hint =
            |seen: &Seen| if first { Hint::Existing(is_old(&seen.print, now, settle)) } else { Hint::None };
        let mut verdicts = Vec::new();
        self.settler.listed(files, hint, missing, &mut verdicts);
        verdicts.sort_by(in_order);
        self.tell_all(verdicts)?;
        if first {
            self.looked = true;
            let pace = if let Mode::Poll(pace) = self.mode { 2 * pace } else { RETRY };
            self.opening = Some(Instant::now() + self.settle + pace);
        }
        Ok(())
    }

    /// Has events, or polls where there are none.
    fn arm(&mut self) -> Result<(), Ended> {
        self.events = None;
        if self.poll.is_some() {
            return Ok(());
        }
        let why = match remote(&self.folder) {
            Some(kind) => Some(format!("{kind} does not tell what others write")),
            None => match inbox::listen(&self.folder, &self.inbox) {
                Ok(events) => {
                    self.events = Some(events);
                    None
                }
                Err(NoEvents::Folder) => None,
                Err(NoEvents::System(why)) => Some(why),
            },
        };
        self.mode = if why.is_some() { Mode::Poll(POLL) } else { Mode::Events };
        let told = std::mem::replace(&mut self.why, why);
        let new = self.why.clone().filter(|why| told.as_ref() != Some(why));
        new.map_or(Ok(()), |why| {
            self.note(&format!("looking into the folder every {} s: {why}", POLL.as_secs()))
        })
    }

    /// The folder cannot be looked into.
    fn gone(&mut self, error: &io::Error) -> Result<(), Ended> {
        self.events = None;
        let last = match self.place {
            Place::Gone(_) => return Ok(()),
            Place::There(last) => Some(last),
            Place::Unknown => None,
        };
        self.place = Place::Gone(last);
        self.note(&format!("the folder is gone, waiting for it: {error}"))
    }

    fn tell_return(&mut self, before: Place, same: bool) -> Result<(), Ended> {
        match before {
            Place::Gone(_) => self.note("the folder is back"),
            Place::There(_) if !same => self.note("the folder is another one now, reading it afresh"),
            _ => Ok(()),
        }
    }

    fn tell_all(&mut self, verdicts: Vec<Verdict>) -> Result<(), Ended> {
        for verdict in verdicts {
            let news = match verdict {
                Verdict::Changed(name) => News::Changed(self.folder.join(name)),
                Verdict::Arrived { name, print, complete, existing } => {
                    News::Arrived(Arrival { path: self.folder.join(name), print, complete, existing })
                }
            };
            self.tell(news)?;
        }
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), Ended> {
        self.tell(News::Note(format!("{text}: {}", self.folder.display())))
    }

    fn tell(&mut self, news: News) -> Result<(), Ended> {
        if !self.inbox.stopped() && (self.news)(news) { Ok(()) } else { Err(Ended) }
    }
}

/// Why files may be missing that were there when the folder was at `before`.
fn missing(before: Place, there: Identity) -> Missing {
    match before {
        Place::There(last) | Place::Gone(Some(last)) if !last.beside(&there) => Missing::ShareGone,
        Place::There(last) | Place::Gone(Some(last)) if last != there => Missing::FolderReplaced,
        _ => Missing::Removed,
    }
}

/// Whether the clock on the wall says that nobody has written to a file for long enough; never for times to come.
fn is_old(print: &Print, now_ns: i64, settle: Duration) -> bool {
    let age =
        u64::try_from(now_ns.saturating_sub(print.modified_ns)).map_or(Duration::ZERO, Duration::from_nanos);
    age > settle::still(print.size, settle)
}

/// What is no more first, then what is new in natural order.
fn in_order(a: &Verdict, b: &Verdict) -> std::cmp::Ordering {
    let key = |verdict: &Verdict| match verdict {
        Verdict::Changed(name) => (false, name.clone()),
        Verdict::Arrived { name, .. } => (true, name.clone()),
    };
    let ((late_a, name_a), (late_b, name_b)) = (key(a), key(b));
    late_a.cmp(&late_b).then_with(|| natural(Path::new(&name_a), Path::new(&name_b)))
}

#[cfg(target_os = "linux")]
use super::mounts::remote;

#[cfg(not(target_os = "linux"))]
fn remote(_folder: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests;
