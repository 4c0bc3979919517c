//! One file after the other: what has been read is decided.

use super::arrivals::Waiting;
use super::book::{Current, Known};
use super::journal::Decision;
use super::live::{Session, Step, Task};
use super::readers::{self, Read};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tags::Kind;
use crate::watch::{Arrival, Print};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that cannot be read is tried again until its content has stood still for so long: it may still be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two tries.
const AGAIN: Duration = Duration::from_secs(1);
/// How the reason begins where a file could not be opened.
pub(super) const CLOSED: &str = "cannot read the frame: Permission denied";
/// The same where the folder is gone.
const AWAY: Duration = Duration::from_secs(2);

impl<B: Backend> Session<'_, B> {
    pub(super) fn decide(&mut self, path: PathBuf, task: Task, read: Read) -> Result<()> {
        self.run.timings.add("decode (threads)", false, read.spent, 0);
        match task {
            Task::New(waiting) => self.arrival(waiting, read)?,
            Task::Replay(decision) => self.once_more(&path, &decision, read)?,
        }
        Ok(())
    }

    /// A file that arrived.
    fn arrival(&mut self, mut waiting: Waiting, read: Read) -> Result<()> {
        let Read { frame, print, crc, .. } = read;
        let path = waiting.arrival.path.clone();
        let gone =
            matches!(&frame, Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound);
        let folder = self.plan.live.folder.as_deref().filter(|folder| path.parent() == Some(*folder));
        if matches!(frame, Err(Error::Io { .. })) && folder.is_some_and(|folder| !folder.is_dir()) {
            // Not the file is gone, the whole watched folder is.
            self.arrivals.again(waiting, AWAY);
            return Ok(());
        }
        if gone && folder.is_none() {
            return self.refuse(&waiting.arrival, "there is no such file");
        }
        if gone {
            return self.refuse(&waiting.arrival, "it disappeared before it could be read");
        }
        let Some(print) = print else {
            // It was written while it was read.
            self.recheck(waiting);
            return Ok(());
        };
        if print != waiting.arrival.print {
            (waiting.arrival.print, waiting.since) = (print, std::time::Instant::now());
        }
        if let Some(known) = self.run.ledger.known.get_mut(&path)
            && known.crc.is_some()
            && known.crc == crc
            && known.print.size == print.size
        {
            // Touched, or handed over twice: the same frame is not stacked twice.
            known.print = print;
            return Ok(());
        }
        if let Some(before) = self.renamed(&path, print, crc) {
            let plain = |p: &Path| crate::report::plain(&p.to_string_lossy());
            let (name, old) = (plain(&path), plain(&before));
            self.run.report.line(&format!("{name}  passed over: it was decided as {old}"));
            return Ok(());
        }
        match frame {
            Err(_) if waiting.since.elapsed() < self.patience() => {
                self.arrivals.again(waiting, AGAIN);
                Ok(())
            }
            Err(Error::Io { source, .. }) if crc.is_none() => {
                if source.kind() == std::io::ErrorKind::PermissionDenied {
                    self.closed.push(waiting.arrival.clone());
                }
                self.refuse(&waiting.arrival, &format!("cannot read the frame: {source}"))
            }
            frame => {
                self.superseded(&path);
                self.pump.newest(waiting.since);
                self.give(Current { path, print, crc, primary: true }, frame)
            }
        }
    }

    /// The name under which this content was decided, where no file has that name any more.
    fn renamed(&self, path: &Path, print: Print, crc: Option<u32>) -> Option<PathBuf> {
        let same = |known: &Known| crc.is_some() && known.crc == crc && known.print.size == print.size;
        let mut same = self.run.ledger.known.iter().filter(|(_, known)| same(known));
        same.find(|(old, _)| *old != path && !old.exists()).map(|(old, _)| old.clone())
    }

    /// Whether a file that came by `add` or the folder is given time.
    fn patience(&self) -> Duration {
        if self.plan.once { Duration::ZERO } else { PATIENCE }
    }

    /// Looks at a file again that was written meanwhile.
    fn recheck(&mut self, mut waiting: Waiting) {
        waiting.since = std::time::Instant::now();
        if let Ok(print) = Print::of(&waiting.arrival.path) {
            waiting.arrival.print = print;
        }
        self.arrivals.again(waiting, AGAIN);
    }

    /// A rejected file has new content, or can be read now: it counts once.
    fn superseded(&mut self, path: &Path) {
        if self.run.ledger.known.get(path).is_some_and(|known| !known.stacked) {
            self.run.report.again(0, 1);
        }
    }

    /// Has the stack decide a frame, and whatever must be decided again because of it.
    fn give(&mut self, current: Current, frame: Result<crate::frame::Frame>) -> Result<()> {
        let path = current.path.clone();
        self.run.ledger.current = Some(current);
        let buffer = self.run.frame(&path, frame)?;
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
        while let Some(path) = self.run.again.pop_front() {
            self.service.alive();
            let buffer = self.free.pop().unwrap_or_default();
            let wish = self.plan.config.wish.of(Kind::Light);
            let (frame, print, crc) = readers::file(&path, buffer, &wish);
            let before = self.run.ledger.known.get(&path).copied();
            let print = print.or(before.map(|b| b.print)).unwrap_or(Print { size: 0, modified_ns: 0 });
            let other = before.is_some_and(|b| b.crc != crc);
            let frame = match frame {
                Ok(_) if other => Err(Error::decode(
                    "the stack began again, and its file has been overwritten since",
                    &path,
                )),
                frame => frame,
            };
            // A file that could not be read just now may arrive again.
            let unread = matches!(frame, Err(Error::Io { .. }));
            let crc = before.and_then(|b| b.crc).filter(|_| !unread);
            self.run.ledger.current = Some(Current { path: path.clone(), print, crc, primary: false });
            let buffer = self.run.frame(&path, frame)?;
            if buffer.capacity() > 0 {
                self.free.push(buffer);
            }
        }
        self.decided();
        Ok(())
    }

    /// Rejects a file without a look at its content.
    pub(super) fn refuse(&mut self, arrival: &Arrival, why: &str) -> Result<()> {
        self.superseded(&arrival.path);
        let (path, print) = (arrival.path.clone(), arrival.print);
        self.run.ledger.current = Some(Current { path, print, crc: None, primary: true });
        self.run.refuse(&arrival.path, why, false)?;
        self.decided();
        Ok(())
    }

    /// A file that was decided before the program was cut off.
    fn once_more(&mut self, path: &Path, before: &Decision, read: Read) -> Result<()> {
        if !before.counts {
            self.superseded(path);
            if self.run.ledger.caught_up() {
                // Something before it came out otherwise: it is written down once more.
                let (print, crc) = (before.print, before.crc);
                self.run.ledger.current = Some(Current { path: path.to_owned(), print, crc, primary: true });
                return self.run.refuse(path, before.record["reason"].as_str().unwrap_or("rejected"), false);
            }
            self.run.report.rejected += 1;
            self.run.ledger.confirm();
            return Ok(());
        }
        let Read { frame, crc, .. } = read;
        if crc.is_none() && self.comes_back(path, &frame) {
            return self.later(path, before, frame);
        }
        if crc != before.crc || frame.is_err() {
            self.lost.push(path.to_owned());
            let written = self.run.ledger.diverge();
            self.run.ledger.known.remove(path);
            return self.run.outlive(written);
        }
        self.superseded(path);
        let (print, crc) = (before.print, before.crc);
        self.give(Current { path: path.to_owned(), print, crc, primary: true }, frame)
    }

    /// Whether a file that was decided before, and cannot be read now, may be readable later.
    fn comes_back(&self, path: &Path, frame: &Result<crate::frame::Frame>) -> bool {
        match frame {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                path.parent().is_some_and(|folder| !folder.is_dir())
            }
            Err(Error::Io { .. }) => true,
            _ => false,
        }
    }

    /// Waits for a share, or a disk, with what is to be done again: in its order.
    fn later(&mut self, path: &Path, before: &Decision, frame: Result<crate::frame::Frame>) -> Result<()> {
        if self.plan.once {
            // A script is not kept waiting; nothing is decided.
            return frame.map(|_| ());
        }
        if self.replay_from.is_none() {
            let path = path.display();
            self.run.report.warn(&format!("waiting for a frame that is to be read again: {path}"));
        }
        self.replay_from = Some(std::time::Instant::now() + AWAY);
        // What is on its way comes after this one.
        for (_, _, task) in self.tasks.drain(..).rev() {
            if let Task::Replay(decision) = task {
                self.replay.push_front(Step::File(decision));
            }
        }
        self.ready.clear();
        self.replay.push_front(Step::File(Box::new(before.clone())));
        Ok(())
    }

    /// Whether a file is left alone because the other file of its frame counts.
    pub(super) fn passed_over(&mut self, waiting: &Waiting) -> bool {
        use super::arrivals::Kind;
        let path = &waiting.arrival.path;
        let Some(kind) = Kind::of(path) else { return false };
        let twin_stacked = self.run.ledger.known.iter().any(|(p, k)| {
            k.stacked
                && p != path
                && Kind::of(p).is_some_and(|o| o != kind)
                && p.with_extension("") == path.with_extension("")
        });
        let twin = |p: &Path| p != path && p.with_extension("") == path.with_extension("");
        let undecided = self.arrivals.any(&twin) || self.tasks.iter().any(|(_, p, _)| twin(p));
        if !twin_stacked && kind != self.counts() && undecided {
            // The other one may turn out to be damaged.
            self.arrivals.again(waiting.clone(), AGAIN);
            return true;
        }
        if twin_stacked {
            let name = crate::report::plain(&path.file_name().unwrap_or_default().to_string_lossy());
            self.run.report.line(&format!("{name}  passed over: another file of the same frame counts"));
        }
        twin_stacked
    }
}
