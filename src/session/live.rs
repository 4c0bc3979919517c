//! The loop: whatever happens, one thing after the other.

use super::arrivals::{Arrivals, Kind, Waiting};
use super::book::Book;
use super::journal::Decision;
use super::plan::Plan;
use super::publish::Publisher;
use super::pump::Pump;
use super::readers::{Read, Readers};
use super::{Wake, inbox};
use crate::backend::Backend;
use crate::decode::threads;
use crate::error::Result;
use crate::service::Service;
use crate::signals::Signals;
use crate::stack::Run;
use crate::tags::Kind as Role;
use crate::watch::{Arrival, News, Print, Watcher};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// Time between two looks at what nobody tells: signals, requests of other programs, what is due.
const TICK: Duration = Duration::from_millis(40);
/// Time between two tries of files that may not be read.
const TRY: Duration = Duration::from_secs(5);
/// What needs room on the disk is put off so long.
const PUT_OFF: Duration = Duration::from_secs(5);

/// A file on its way through the readers.
pub(super) enum Task {
    /// It arrived.
    New(Waiting),
    /// It was decided before, and is decided again to bring the stack to where it was.
    Replay(Box<Decision>),
}

/// What is to be done again after a resume.
pub(super) enum Step {
    /// This file.
    File(Box<Decision>),
    /// A new stack was asked for, as entry number so and so says.
    NewStack(u64),
}

/// A session under way.
pub(super) struct Session<'a, B: Backend> {
    pub(super) plan: &'a Plan,
    pub(super) folder: PathBuf,
    pub(super) id: String,
    pub(super) run: Run<'a, B, Book>,
    pub(super) signals: &'a Signals,
    pub(super) wake: Receiver<Wake>,
    pub(super) readers: Readers,
    pub(super) publisher: Publisher,
    pub(super) watcher: Option<Watcher>,
    pub(super) service: Service,
    pub(super) arrivals: Arrivals,
    /// Whether all files that were there at the start are known.
    pub(super) scanned: bool,
    /// The watcher has told of all of them.
    pub(super) looked: bool,
    /// Not before then is anything done again: what it needs is away.
    pub(super) replay_from: Option<Instant>,
    /// When files that could not be opened were tried last.
    pub(super) tried: Instant,
    /// Requests that are done and cannot be removed.
    pub(super) done: HashSet<PathBuf>,
    /// Whether the session begins now: what is there may be left alone.
    pub(super) new: bool,
    pub(super) replay: VecDeque<Step>,
    /// Files that are being read, oldest first, each with its number.
    pub(super) tasks: VecDeque<(u64, PathBuf, Task)>,
    pub(super) ready: HashMap<u64, Box<Read>>,
    pub(super) ticket: u64,
    /// Buffers to decode into.
    pub(super) free: Vec<Vec<u32>>,
    /// Requests of other programs whose files are on their way.
    pub(super) requests: Vec<(PathBuf, Vec<PathBuf>)>,
    /// Files that could not be opened, looked at again now and then: permissions change without a trace.
    pub(super) closed: Vec<Arrival>,
    pub(super) lost: Vec<PathBuf>,
    pub(super) pump: Pump,
}

impl<B: Backend> Session<'_, B> {
    /// Until all is done.
    pub(super) fn run(mut self) -> Result<()> {
        let ready = format!("{} frames", self.run.report.stacked);
        self.service.ready(&ready);
        while !self.ended() {
            self.service.alive();
            if self.replay.is_empty() && self.tasks.is_empty() {
                self.caught_up()?;
            }
            if self.looked && !self.scanned && self.settled() {
                self.scanned();
            }
            self.feed()?;
            self.attend()?;
            if let Ok(wake) = self.wake.recv_timeout(TICK) {
                self.take(wake);
                while let Ok(wake) = self.wake.try_recv() {
                    self.take(wake);
                }
            }
            while let Some((path, task, read)) = self.next_ready() {
                self.decide(path, task, *read)?;
                self.feed()?;
                self.attend()?;
                if self.ended() {
                    break;
                }
            }
        }
        self.finish()
    }

    fn ended(&self) -> bool {
        let decided = self.run.report.stacked + self.run.report.rejected;
        let caught_up = self.replay.is_empty() && self.run.ledger.caught_up();
        self.signals.stop.load(Ordering::Relaxed)
            || caught_up && self.plan.live.max_frames.is_some_and(|most| decided >= most)
            || self.plan.once
                && self.idle()
                && self.requests.is_empty()
                && inbox::look(&self.folder).iter().all(|(request, _)| self.done.contains(request))
    }

    /// Whether nothing waits to be decided.
    pub(super) fn idle(&self) -> bool {
        self.replay.is_empty() && self.tasks.is_empty() && self.arrivals.len() == 0
    }

    fn take(&mut self, wake: Wake) {
        match wake {
            // Some were put off while they were read.
            Wake::Read(read) if self.tasks.iter().any(|(ticket, ..)| *ticket == read.ticket) => {
                self.ready.insert(read.ticket, read);
            }
            Wake::Read(_) => {}
            Wake::Published(done) => self.published(done),
            Wake::News(News::Note(line)) => self.run.report.warn(&line),
            Wake::News(News::Scanned) => self.looked = true,
            Wake::News(News::Changed(path)) => self.changed(&path),
            Wake::News(News::Arrived(arrival)) => self.arrived(arrival),
        }
    }

    pub(super) fn arrived(&mut self, arrival: Arrival) {
        self.run.report.event(
            "frame-received",
            json!({ "file": arrival.path.to_string_lossy(), "bytes": arrival.print.size,
                    "waiting": self.arrivals.len() + 1 }),
        );
        // A script is not kept waiting for a twin.
        let counts = Kind::of(&arrival.path).filter(|_| self.plan.once).unwrap_or_else(|| self.counts());
        self.closed.retain(|a| a.path != arrival.path);
        self.arrivals.add(arrival, counts);
    }

    /// Which of two files of one frame counts: the kind that is being stacked, before that the kind that was asked for.
    pub(super) fn counts(&self) -> Kind {
        let asked = if self.plan.live.raw { Kind::Raw } else { Kind::Jpeg };
        let night = self.run.night.as_ref().filter(|n| n.engine.stacked() > 0);
        night.and_then(|n| Kind::of(&n.reference)).unwrap_or(asked)
    }

    /// What was there at the start is known.
    fn scanned(&mut self) {
        self.scanned = true;
        if !self.new {
            return;
        }
        let last = self.plan.config.last;
        let left = match (self.plan.live.existing, last) {
            (false, _) => self.arrivals.keep_last(0),
            (true, n) if n > 0 => self.arrivals.keep_last(n),
            _ => Vec::new(),
        };
        if self.plan.live.existing && last == 0 {
            return;
        }
        self.run.report.line(&format!("left alone, as they were there before: {} files", left.len()));
        let files = left.into_iter().map(|w| (w.arrival.path, w.arrival.print)).collect();
        let written = self.run.ledger.add_entry(&super::journal::Entry::Skipped(files));
        // Without a backend nothing of this can fail but the disk.
        let _ = self.run.outlive(written);
    }

    /// Content that was there is gone, or going.
    fn changed(&mut self, path: &std::path::Path) {
        if path.exists() {
            self.arrivals.remove(path);
        }
        if self.run.ledger.known.get(path).is_some_and(|k| k.seq > self.pump.saved) {
            // It cannot be read again: the stack, and what follows from a rejected frame, must be safe without it.
            self.pump.hurry = true;
        }
    }

    /// Has files read ahead.
    fn feed(&mut self) -> Result<()> {
        self.look_for_requests();
        if self.plan.live.skip && self.scanned && self.settled() {
            for late in self.arrivals.late() {
                self.refuse(&late.arrival, "skipped, a newer frame was there: --keep-up queue stacks all")?;
            }
        }
        if self.replay_from.is_some_and(|from| Instant::now() < from) {
            return Ok(());
        }
        while self.tasks.len() <= threads() {
            let (path, task) = match self.replay.front() {
                Some(Step::File(_)) => match self.replay.pop_front() {
                    Some(Step::File(decision)) => (decision.path.clone(), Task::Replay(decision)),
                    _ => return Ok(()),
                },
                Some(&Step::NewStack(seq)) if self.tasks.is_empty() => {
                    if !self.new_stack(Some(seq))? {
                        self.replay_from = Some(Instant::now() + PUT_OFF);
                        return Ok(());
                    }
                    self.replay.pop_front();
                    continue;
                }
                Some(Step::NewStack(_)) => return Ok(()),
                None => {
                    // What is new is told, so all that is done again comes first.
                    let ready = self.scanned && self.settled();
                    let Some(waiting) = ready.then(|| self.arrivals.next()).flatten() else { return Ok(()) };
                    if self.passed_over(&waiting) {
                        continue;
                    }
                    (waiting.arrival.path.clone(), Task::New(waiting))
                }
            };
            let buffer = self.free.pop().unwrap_or_default();
            self.ticket += 1;
            self.readers.request(self.ticket, &path, buffer);
            self.tasks.push_back((self.ticket, path, task));
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<(PathBuf, Task, Box<Read>)> {
        let read = self.ready.remove(&self.tasks.front()?.0)?;
        let (_, path, task) = self.tasks.pop_front()?;
        Some((path, task, read))
    }

    /// Files that other programs hand over, and those that could not be opened.
    fn look_for_requests(&mut self) {
        if !self.pump.looks() {
            return;
        }
        for (request, files) in inbox::look(&self.folder) {
            if self.done.contains(&request) || self.requests.iter().any(|(known, _)| *known == request) {
                continue;
            }
            for path in &files {
                let print = Print::of(path).unwrap_or(Print { size: 0, modified_ns: 0 });
                let complete = Instant::now();
                self.arrived(Arrival { path: path.clone(), print, complete, existing: false });
            }
            self.requests.push((request, files));
        }
        if self.tried.elapsed() < TRY {
            return;
        }
        self.tried = Instant::now();
        // Folders can be opened, and are no frames all the same.
        let opens = |a: &Arrival| a.path.is_file() && std::fs::File::open(&a.path).is_ok();
        let opened: Vec<_> = self.closed.extract_if(.., |a| opens(a)).collect();
        for arrival in opened {
            self.arrived(Arrival { complete: Instant::now(), ..arrival });
        }
    }

    /// Requests whose files are all decided are done.
    pub(super) fn close_requests(&mut self) {
        let busy = |path: &PathBuf| self.tasks.iter().any(|(_, p, _)| p == path) || self.arrivals.waits(path);
        let done: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, files)| !files.iter().any(busy))
            .map(|(r, _)| r.clone())
            .collect();
        for request in done {
            self.requests.retain(|(r, _)| *r != request);
            if let Err(e) = std::fs::remove_file(&request) {
                // The next start takes it up again, and finds its files known.
                let path = request.display();
                self.run.report.warn(&format!("a request that is done cannot be removed: {e}: {path}"));
                self.done.insert(request);
            }
        }
    }

    /// Starts the readers for lights.
    pub(super) fn readers(plan: &Plan, send: &Sender<Wake>) -> Readers {
        Readers::new(threads(), plan.config.wish.of(Role::Light), send)
    }
}
