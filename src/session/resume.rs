//! Taking up a session: its journal, the newest checkpoint that is whole, and what must be done again after it.

use super::arrivals::Arrivals;
use super::book::{self, Book};
use super::decide::CLOSED;
use super::journal::{self, Decision, Entry, Found, Journal};
use super::live::{Session, Step};
use super::plan::Plan;
use super::publish::Publisher;
use super::pump::Pump;
use super::saved::{SECTION, Saved};
use super::{Wake, folder, inbox};
use crate::backend::Backend;
use crate::checkpoint::{self, Reader};
use crate::error::{Error, Result};
use crate::io;
use crate::judge::Judge;
use crate::outputs;
use crate::report::{EVENTS, Report};
use crate::service::Service;
use crate::signals::Signals;
use crate::stack::Run;
use crate::watch::{Arrival, Print, Setup, Watcher};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Masters and a checkpoint may take so long to read before the session is ready.
const PREPARES: Duration = Duration::from_secs(900);

/// A file that is being written is never as old as this.
const FORGOTTEN: Duration = Duration::from_secs(60);

type Entries = Vec<(u64, Entry)>;

impl<'a, B: Backend> Session<'a, B> {
    /// Opens the session of `plan`, or begins one.
    ///
    /// # Errors
    /// What makes a session impossible: a folder that cannot be written, masters that cannot be read.
    pub(super) fn open(plan: &'a Plan, backend: B, why: &str, signals: &'a Signals) -> Result<Self> {
        let config = &plan.config;
        let folder = folder(&config.out);
        plan.clear()?;
        let service = Service::new();
        service.busy(PREPARES);
        let report = Report::live(config.json);
        report.event(
            "start",
            json!({ "version": EVENTS, "backend": backend.describe(), "why": why,
                    "folder": plan.live.folder.as_ref().map(|f| f.to_string_lossy()),
                    "out": config.out.to_string_lossy() }),
        );
        report.line(&format!("backend: {}: {why}", backend.describe()));
        // The session is this program's alone; in the other folders, young files may be somebody else's.
        io::sweep(&folder, Duration::ZERO);
        io::sweep(&config.out, FORGOTTEN);
        io::sweep(&inbox::place(&folder), FORGOTTEN);
        let Found { journal, entries, damaged } = Journal::open(&folder)?;
        if damaged > 0 {
            report.warn(&format!("{damaged} lines of the journal cannot be read and are left out"));
        }
        let undone = journal::undone(&entries);
        let entries = journal::valid(entries);
        let id = entries.iter().find_map(|(_, e)| match e {
            Entry::Session(about) => about["id"].as_str().map(ToOwned::to_owned),
            _ => None,
        });
        let book = Book::new(journal, &folder, book::frames_path(&config.out));
        let mut run = Run::new(config, report, book, backend, &signals.stop);
        // Pictures of an older session's stacks keep their names.
        let first = entries.iter().find_map(|(_, e)| match e {
            Entry::Session(about) => about["first_stack"].as_u64(),
            _ => None,
        });
        let next = || outputs::last_number(&config.out, config.name.as_deref()) + 1;
        run.first_number = first.and_then(|n| u32::try_from(n).ok()).map(|n| n as usize).unwrap_or_else(next);
        run.number = run.first_number;
        // What was only added to had no folder yet: files in it may still be left alone.
        let added = entries
            .iter()
            .any(|(_, e)| matches!(e, Entry::Session(about) if about["command"][0].as_str() == Some("add")));
        let settled = |e: &Entry| matches!(e, Entry::Skipped(_)) || matches!(e, Entry::Frame(_)) && !added;
        let new = !entries.iter().any(|(_, e)| settled(e));
        let unknown = id.is_none();
        // Where the journal's first line is lost, a checkpoint still knows whose it is.
        let id = id.or_else(|| checkpoint::NAMES.iter().find_map(|name| owner(&folder.join(name))));
        if unknown && id.is_some() {
            report_lost(&run.report, &folder);
        }
        let id = id.unwrap_or_else(|| plan.about["id"].as_str().unwrap_or_default().to_owned());
        let known = known(&entries);
        let (send, wake) = channel();
        let watcher = watcher(plan, known, &send)?;
        let free = run.masters()?;
        if unknown {
            let mut about = plan.about.clone();
            about["first_stack"] = json!(run.first_number);
            about["id"] = json!(id);
            let written = run.ledger.add_entry(&Entry::Session(about));
            run.outlive(written)?;
        }
        let mut session = Session {
            plan,
            folder,
            id,
            run,
            signals,
            readers: Session::<B>::readers(plan, &send),
            publisher: Publisher::new(send.clone()),
            wake,
            watcher,
            service,
            arrivals: Arrivals::new(config.by_time),
            scanned: plan.live.folder.is_none(),
            looked: false,
            replay_from: None,
            tried: Instant::now(),
            done: HashSet::new(),
            new,
            replay: VecDeque::new(),
            tasks: VecDeque::new(),
            ready: HashMap::new(),
            ticket: 0,
            free,
            requests: Vec::new(),
            closed: Vec::new(),
            lost: Vec::new(),
            pump: Pump::new(),
        };
        session.closed = closed(&entries);
        session.take_up(entries)?;
        session.anew(undone);
        if let Some(folder) = &plan.live.folder {
            session.run.report.line(&format!("watching {}", folder.display()));
        }
        Ok(session)
    }

    /// Brings the stack to the newest whole checkpoint, and notes what follows it.
    fn take_up(&mut self, entries: Entries) -> Result<()> {
        let mut damaged = Vec::new();
        let mut from = None;
        for name in checkpoint::NAMES {
            let path = self.folder.join(name);
            if !path.exists() {
                continue;
            }
            match self.restore(&path) {
                Ok(Some(saved)) => {
                    from = Some(saved);
                    break;
                }
                Ok(None) => {}
                Err(e @ (Error::Gpu(_) | Error::Usage(_) | Error::Memory(_))) => return Err(e),
                Err(e) => damaged.push(e.to_string()),
            }
        }
        let files = entries.iter().filter(|(_, e)| matches!(e, Entry::Frame(d) if d.primary)).count();
        if !damaged.is_empty() {
            let instead = match &from {
                Some(saved) => {
                    format!("the older one, of {} frames, is taken", saved.stacked + saved.rejected)
                }
                None => format!("all {files} frames are read again"),
            };
            self.run.report.warn(&format!("{}: {instead}", damaged.join("; ")));
        }
        let seq = from.as_ref().map_or(0, |saved| saved.seq);
        if let Some(saved) = &from {
            self.run.ledger.known.extend(saved.known());
            self.pump.saved = saved.seq;
            self.run.ledger.beyond(saved.seq);
        }
        let again = self.steps(entries, seq);
        if from.is_some() || again > 0 {
            let stacked = from.as_ref().map_or(0, |saved| saved.stacked + saved.rejected);
            self.run.report.line(&format!(
                "the session goes on: {stacked} frames from its checkpoint, {again} are read again"
            ));
            self.run.report.event("resumed", json!({ "checkpoint": stacked, "again": again }));
        }
        self.run.report.quiet = !self.replay.is_empty();
        self.taken_up();
        Ok(())
    }

    /// Files that were decided, and whose decision was declared void before they were decided again, arrive again.
    fn anew(&mut self, files: Vec<(PathBuf, Print)>) {
        for (path, print) in files.into_iter().filter(|(path, _)| path.is_file()) {
            let print = Print::of(&path).unwrap_or(print);
            self.arrived(Arrival { path, print, complete: Instant::now(), existing: true });
        }
    }

    /// What is to be done again after entry `seq`; returns how many files.
    fn steps(&mut self, entries: Entries, seq: u64) -> usize {
        let mut expected: VecDeque<(u64, Decision)> = VecDeque::new();
        let mut last = seq;
        for (number, entry) in entries {
            match entry {
                Entry::Begun(_) => self.has_begun(),
                Entry::NewStack if number > seq => self.replay.push_back(Step::NewStack(number)),
                Entry::Frame(decision) => {
                    if number <= seq {
                        continue;
                    }
                    if decision.primary {
                        self.replay.push_back(Step::File(decision.clone()));
                    }
                    expected.push_back((number, *decision));
                }
                _ => {}
            }
            last = last.max(number);
        }
        let files = self.replay.iter().filter(|step| matches!(step, Step::File(_))).count();
        let applied = if self.replay.is_empty() && expected.is_empty() { last } else { seq };
        self.run.ledger.expect(applied, expected);
        files
    }

    /// All that was decided before is decided again.
    pub(super) fn caught_up(&mut self) -> Result<()> {
        if !self.run.ledger.caught_up() {
            // The rest did not come out again.
            let written = self.run.ledger.diverge();
            self.run.outlive(written)?;
        }
        if !self.run.report.quiet {
            return Ok(());
        }
        self.run.report.quiet = false;
        self.run.ledger.pass(u64::MAX);
        self.taken_up();
        if !self.lost.is_empty() {
            let names: Vec<_> = self.lost.drain(..).map(|p| p.display().to_string()).collect();
            self.run.report.warn(&format!(
                "{} frames were not yet saved and cannot be read again, their files are gone or overwritten: the stack \
                 goes on without them: {}",
                names.len(),
                names.join(" ")
            ));
        }
        let (stacked, rejected) = (self.run.report.stacked, self.run.report.rejected);
        self.run.report.line(&format!("taken up: {stacked} stacked, {rejected} rejected"));
        Ok(())
    }

    /// The stack of a checkpoint; `None` where it is another session's.
    fn restore(&mut self, path: &Path) -> Result<Option<Saved>> {
        let mut reader = Reader::open(path)?;
        let saved: Saved = reader.value(SECTION)?;
        if saved.id != self.id {
            return Ok(None);
        }
        let begun = &saved.begun;
        let mut night = self.run.begin(begun.first.clone(), Some(&begun.methods))?;
        let (config, canvas) = (&self.plan.config, night.engine.setup.shape);
        let restored = Judge::restored(
            config.rules,
            (canvas.width, canvas.height),
            f64::from(begun.first.white),
            &mut reader,
        )
        .and_then(|judge| {
            night.judge = judge;
            night.engine.load(&mut reader)
        })
        .and_then(|()| reader.end());
        if let Err(e) = restored {
            self.run.backend = Some(night.engine.into_backend());
            self.free.extend(self.run.masters()?);
            return Err(e);
        }
        night.reference.clone_from(&begun.reference);
        night.young.clone_from(&begun.young);
        night.subject.orientation = begun.orientation;
        night.subject.summary = begun.summary.clone();
        self.run.number = saved.number;
        self.run.kept.clone_from(&saved.kept);
        self.run.base = saved.base;
        self.run.report.stacked = saved.stacked;
        self.run.report.rejected = saved.rejected;
        self.run.night = Some(night);
        Ok(Some(saved))
    }
}

/// The session that the checkpoint `path` belongs to.
fn owner(path: &Path) -> Option<String> {
    let mut reader = Reader::open(path).ok()?;
    reader.value::<Saved>(SECTION).ok().map(|saved| saved.id)
}

fn report_lost(report: &Report, folder: &Path) {
    report.warn(&format!(
        "the journal does not say whose it is, its checkpoint does: the session goes on: {}",
        folder.display()
    ));
}

/// Files that were rejected because they could not be opened: that changes without a trace.
fn closed(entries: &Entries) -> Vec<Arrival> {
    let mut closed: Vec<Arrival> = Vec::new();
    for (_, entry) in entries {
        let Entry::Frame(d) = entry else { continue };
        closed.retain(|a| a.path != d.path);
        let denied = d.crc.is_none() && d.record["reason"].as_str().is_some_and(|r| r.starts_with(CLOSED));
        if denied {
            let complete = Instant::now();
            closed.push(Arrival { path: d.path.clone(), print: d.print, complete, existing: true });
        }
    }
    closed
}

/// What the journal says of files: no news as long as they look the same.
fn known(entries: &Entries) -> HashMap<PathBuf, Print> {
    let mut known = HashMap::new();
    for (_, entry) in entries {
        match entry {
            Entry::Frame(d) => {
                known.insert(d.path.clone(), d.print);
            }
            Entry::Skipped(files) => known.extend(files.iter().cloned()),
            _ => {}
        }
    }
    known
}

fn watcher(
    plan: &Plan,
    known: HashMap<PathBuf, Print>,
    send: &std::sync::mpsc::Sender<Wake>,
) -> Result<Option<Watcher>> {
    let Some(folder) = &plan.live.folder else { return Ok(None) };
    let (out, name) = (plan.config.out.clone(), plan.config.name.clone());
    let setup = Setup {
        folder: folder.clone(),
        poll: plan.live.poll,
        settle: plan.live.settle,
        own: Box::new(move |path| outputs::is_output(&out, name.as_deref(), path)),
        known,
    };
    let send = send.clone();
    Watcher::start(setup, move |news| send.send(Wake::News(news)).is_ok()).map(Some)
}
