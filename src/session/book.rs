//! The journal as a stack's ledger: what is decided goes in; what is decided again after a resume is held against it.

use super::journal::{self, Decision, Entry, Journal};
use crate::error::{Error, Result};
use crate::io;
use crate::record;
use crate::stack::Ledger;
use crate::watch::Print;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file that is being decided.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) path: PathBuf,
    pub(crate) print: Print,
    pub(crate) crc: Option<u32>,
    pub(crate) primary: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) print: Print,
    pub(crate) crc: Option<u32>,
    pub(crate) stacked: bool,
    /// Number of the entry.
    pub(crate) seq: u64,
}

/// Journal and `frames.jsonl`.
pub(crate) struct Book {
    journal: Journal,
    folder: PathBuf,
    /// `frames.jsonl`, open for more; `None`: it must be made anew from the journal.
    frames: Option<File>,
    frames_path: PathBuf,
    /// What is to be decided just as it was.
    expected: VecDeque<(u64, Decision)>,
    /// Number of the last entry that the stack in memory stands for.
    pub(crate) applied: u64,
    pub(crate) current: Option<Current>,
    /// The last decision on each file.
    pub(crate) known: HashMap<PathBuf, Known>,
    /// Whether something was decided otherwise than before.
    pub(crate) diverged: bool,
}

impl Book {
    /// On `journal` in `folder`; `frames.jsonl` stands at `frames_path`.
    pub(crate) fn new(journal: Journal, folder: &Path, frames_path: PathBuf) -> Book {
        Book {
            applied: journal.seq,
            journal,
            folder: folder.to_owned(),
            frames: None,
            frames_path,
            expected: VecDeque::new(),
            current: None,
            known: HashMap::new(),
            diverged: false,
        }
    }

    /// From now on decisions are held against these, entries after number `applied`.
    pub(crate) fn expect(&mut self, applied: u64, decisions: VecDeque<(u64, Decision)>) {
        self.applied = applied;
        self.expected = decisions;
    }

    /// Whether all that was decided before is decided again.
    pub(crate) fn caught_up(&self) -> bool {
        self.expected.is_empty()
    }

    /// Writes an entry that is no decision.
    ///
    /// # Errors
    /// [`Error::Io`]; it is written later.
    pub(crate) fn add_entry(&mut self, entry: &Entry) -> Result<()> {
        let written = self.journal.add(entry);
        // While something is still to be decided again, the stack stands for less.
        if self.expected.is_empty() {
            self.applied = self.journal.seq;
        }
        written.map(|_| ())
    }

    /// Entries up to number `seq` are taken, whatever the journal holds of them.
    pub(crate) fn beyond(&mut self, seq: u64) {
        self.journal.seq = self.journal.seq.max(seq);
    }

    /// The next expected decision stands as it is, without being made again.
    pub(crate) fn confirm(&mut self) {
        if let Some((seq, decision)) = self.expected.pop_front() {
            self.learn(seq, &decision);
        }
    }

    /// What entry number `seq` says, which is no decision, was done again.
    pub(crate) fn pass(&mut self, seq: u64) {
        self.applied = self.applied.max(seq.min(self.journal.seq));
    }

    /// What is still expected did not come out that way: it counts no more.
    ///
    /// # Errors
    /// [`Error::Io`]; it is written later.
    pub(crate) fn diverge(&mut self) -> Result<()> {
        let Some((from, _)) = self.expected.front().map(|(seq, d)| (*seq, d.clone())) else { return Ok(()) };
        let to = self.journal.seq;
        self.expected.clear();
        self.diverged = true;
        self.frames = None;
        self.add_entry(&Entry::Void(from, to))
    }

    fn learn(&mut self, seq: u64, d: &Decision) {
        self.applied = seq;
        let known = Known { print: d.print, crc: d.crc, stacked: d.stacked(), seq };
        self.known.insert(d.path.clone(), known);
    }

    /// Writes to the journal what could not be written.
    ///
    /// # Errors
    /// [`Error::Io`]; it is tried again with the next call.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.journal.flush()
    }

    /// Writes what could not be written, and makes `frames.jsonl` anew where it is not what the journal says.
    ///
    /// # Errors
    /// [`Error::Io`]; it is tried again with the next call.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.journal.flush()?;
        if self.frames.is_some() {
            return Ok(());
        }
        let found = Journal::open(&self.folder)?;
        io::write_text(&self.frames_path, &journal::records(&journal::valid(found.entries)))?;
        let cannot = |e| Error::io("cannot write the frame records", &self.frames_path, e);
        self.frames = Some(OpenOptions::new().append(true).open(&self.frames_path).map_err(cannot)?);
        Ok(())
    }

    /// Whether something waits for the disk.
    pub(crate) fn behind(&self) -> bool {
        self.journal.behind() || self.frames.is_none()
    }
}

impl Ledger for Book {
    fn add(&mut self, record: &Value, stacked: bool, counts: bool) -> Result<()> {
        let Some(Current { path, print, crc, primary }) = self.current.clone() else { return Ok(()) };
        let decision = Decision { path, print, crc, primary, counts, record: record.clone() };
        debug_assert_eq!(decision.stacked(), stacked);
        if self.expected.front().is_some_and(|(_, before)| before.agrees(&decision)) {
            self.confirm();
            return Ok(());
        }
        let diverged = self.diverge();
        let entry = Entry::Frame(Box::new(decision));
        let written = self.journal.add(&entry);
        if let Entry::Frame(decision) = &entry {
            self.learn(self.journal.seq, decision);
        }
        if let Some(frames) = &mut self.frames
            && (written.is_err() || frames.write_all(format!("{record}\n").as_bytes()).is_err())
        {
            self.frames = None;
        }
        diverged.and(written.map(|_| ()))
    }
}

/// Path of `frames.jsonl` in the folder of outputs.
pub(crate) fn frames_path(out: &Path) -> PathBuf {
    out.join(record::NAME)
}
