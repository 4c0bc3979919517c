//! What is due from time to time: publishing, checkpoints, the status, the word to the service manager.

use super::journal::Entry;
use super::live::Session;
use super::publish::{Batch, Done};
use super::settings::names;
use super::{clock, ms, saved, stamp};
use crate::backend::Backend;
use crate::config::live::Every;
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::rules::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A checkpoint takes at most one part of so many of the time: 2 %.
const SHARE: u32 = 50;
/// What failed for want of disk is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Time between two states for other programs, at least.
const STATUS: Duration = Duration::from_millis(500);
/// Time between two looks for requests.
const LOOK: Duration = Duration::from_millis(100);
/// Latencies that the median is of.
const LATENCIES: usize = 100;

/// When what was done last.
pub(super) struct Pump {
    /// Number of the journal's last entry that a checkpoint covers.
    pub(super) saved: u64,
    /// Files of frames that no checkpoint covers are going.
    pub(super) hurry: bool,
    /// Frames stacked since the outputs were written.
    pub(super) fresh: usize,
    pub(super) published: Option<Instant>,
    pub(super) publication: u64,
    checkpoint: Instant,
    checkpoint_spent: Duration,
    /// Not before then, after failures.
    checkpoint_from: Instant,
    publish_from: Instant,
    sync_from: Instant,
    restart_from: Instant,
    /// The same for what could not be published.
    retry: bool,
    /// Number of the stack, and frames in it, when that was looked at last.
    pub(super) number: usize,
    seen: (usize, u32),
    pub(super) status: Option<Instant>,
    /// The last state that was written, and when.
    pub(super) told: (String, Instant),
    looked: Option<Instant>,
    /// When the newest stacked frame was complete.
    newest: Option<Instant>,
    pub(super) latencies: VecDeque<Duration>,
    /// What fails just now, in words.
    pub(super) troubles: BTreeMap<&'static str, String>,
    pub(super) behind: bool,
    begun: bool,
    pub(super) last: Value,
    pub(super) last_rejection: Option<String>,
    pub(super) published_state: Value,
    pub(super) checkpoint_state: Value,
}

impl Pump {
    pub(super) fn new() -> Pump {
        let now = Instant::now();
        Pump {
            saved: 0,
            hurry: false,
            fresh: 0,
            published: None,
            publication: stamp(),
            checkpoint: now,
            checkpoint_spent: Duration::ZERO,
            checkpoint_from: now,
            publish_from: now,
            sync_from: now,
            restart_from: now,
            retry: false,
            number: 0,
            seen: (0, 0),
            status: None,
            told: (String::new(), now),
            looked: None,
            newest: None,
            latencies: VecDeque::new(),
            troubles: BTreeMap::new(),
            behind: false,
            begun: false,
            last: Value::Null,
            last_rejection: None,
            published_state: Value::Null,
            checkpoint_state: Value::Null,
        }
    }

    /// Whether it is time to look for requests.
    pub(super) fn looks(&mut self) -> bool {
        let due = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        if due {
            self.looked = Some(Instant::now());
        }
        due
    }

    /// A frame that was complete at `since` is being decided.
    pub(super) fn newest(&mut self, since: Instant) {
        self.newest = Some(self.newest.map_or(since, |old| old.max(since)));
    }

    fn due(&self, publish: Every) -> bool {
        self.fresh > 0
            && Instant::now() >= self.publish_from
            && match publish {
                _ if self.retry => true,
                Every::Frames(n) => self.fresh >= n,
                Every::Time(t) => self.published.is_none_or(|at| at.elapsed() >= t),
            }
    }
}

impl<B: Backend> Session<'_, B> {
    /// Does what is due.
    pub(super) fn attend(&mut self) -> Result<()> {
        self.service.alive();
        let settled = self.settled();
        if settled
            && Instant::now() >= self.pump.restart_from
            && self.signals.restart.swap(false, Ordering::Relaxed)
            && !self.new_stack(None)?
        {
            // It is not forgotten: the disk may have room later.
            self.signals.restart.store(true, Ordering::Relaxed);
            self.pump.restart_from = Instant::now() + RETRY;
        }
        if settled && self.run.number != self.pump.number {
            // A finished stack is never made again.
            self.pump.number = self.run.number;
            self.checkpoint()?;
        }
        self.recover();
        self.close_requests();
        let due = !self.plan.once && !self.publisher.busy && self.pump.due(self.plan.live.publish);
        if due && settled {
            self.publish(false)?;
        }
        if settled && self.checkpoint_due() {
            self.checkpoint()?;
        }
        self.tell_lag();
        if self.pump.status.is_none_or(|at| at.elapsed() >= STATUS) {
            if self.plan.lock.is_replaced(&self.folder) {
                let what = "its folder was removed, and another session begun there: this one ends".into();
                return Err(Error::InUse { what, path: self.folder.clone() });
            }
            self.write_status(if self.idle() { "waiting" } else { "stacking" });
        }
        Ok(())
    }

    /// A frame was decided.
    pub(super) fn decided(&mut self) {
        let Some(current) = &self.run.ledger.current else { return };
        let name = current.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stacked = self.run.ledger.known.get(&current.path).is_some_and(|k| k.stacked);
        let reason = self.run.report.last_reason.take();
        let seen = (self.run.number, self.run.night.as_ref().map_or(0, |n| n.engine.stacked()));
        if seen != self.pump.seen {
            self.pump.seen = seen;
            self.pump.fresh += 1;
        }
        if !stacked && let Some(reason) = &reason {
            self.pump.last_rejection = Some(format!("{name}: {reason}"));
        }
        let status = if stacked { "stacked" } else { "rejected" };
        self.pump.last = json!({ "file": name, "status": status, "reason": reason, "time": clock() });
        if !self.pump.begun
            && self.run.ledger.caught_up()
            && let Some(night) = &self.run.night
        {
            self.pump.begun = true;
            let linear = night.subject.linear || night.first.shape.sample != SampleType::U8;
            let usual = if linear { Method::Mean } else { Method::AddComp };
            let about = json!({ "usual": names(&[usual]), "methods": names(&night.subject.methods),
                                "size": [night.first.shape.width, night.first.shape.height] });
            let written = self.run.ledger.add_entry(&Entry::Begun(about));
            self.disk("journal", written);
        }
    }

    /// Whether all that was decided before the start is decided again.
    pub(super) fn settled(&self) -> bool {
        !self.run.report.quiet && self.replay.is_empty() && self.run.ledger.caught_up()
    }

    /// Pictures on the disk may be older than the stack.
    pub(super) fn taken_up(&mut self) {
        self.pump.number = self.run.number;
        let stacked = self.run.night.as_ref().map_or(0, |n| n.engine.stacked());
        self.pump.seen = (self.run.number, stacked);
        (self.pump.fresh, self.pump.retry) = (usize::from(stacked > 0), stacked > 0);
    }

    /// A begun night needs no second word about it.
    pub(super) fn has_begun(&mut self) {
        self.pump.begun = true;
    }

    /// Tries again to write what could not be written.
    fn recover(&mut self) {
        if let Some(e) = &self.run.failed {
            let what = if self.run.ledger.behind() { "journal" } else { "picture" };
            // It was said already.
            if !self.pump.troubles.contains_key(what) {
                self.pump.troubles.insert(what, e.to_string());
                self.pump.sync_from = Instant::now() + RETRY;
            }
        }
        let waits = self.run.ledger.behind() && !self.run.ledger.known.is_empty()
            || self.pump.troubles.contains_key("journal");
        if waits && Instant::now() >= self.pump.sync_from {
            let synced = self.run.ledger.sync();
            self.pump.sync_from = Instant::now() + RETRY;
            self.disk("journal", synced);
        }
    }

    /// Has the outputs written.
    pub(super) fn publish(&mut self, last: bool) -> Result<()> {
        let shown = self.shown();
        let newest = self.pump.newest.take();
        let Some(night) = self.run.night.as_mut().filter(|n| n.engine.stacked() > 0) else { return Ok(()) };
        let batch = Batch::render(&mut night.engine, &self.plan.config, &night.subject, shown, newest, last)?;
        (self.pump.fresh, self.pump.retry) = (0, false);
        self.pump.published = Some(Instant::now());
        self.publisher.give(batch);
        Ok(())
    }

    /// Outputs were written, or not.
    pub(super) fn published(&mut self, done: Done) {
        self.publisher.busy = false;
        let Done { written, stacked, latency, rendered, spent } = done;
        self.run.timings.add("publish (thread)", false, spent, 0);
        self.run.timings.add("render", false, rendered, 0);
        let files = match written {
            Err(e) => {
                (self.pump.fresh, self.pump.retry) = (self.pump.fresh.max(1), true);
                self.pump.publish_from = Instant::now() + RETRY;
                self.disk("picture", Err(e));
                return;
            }
            Ok(files) => files,
        };
        self.disk("picture", Ok(()));
        if let Some(latency) = latency {
            self.pump.latencies.push_back(latency);
            if self.pump.latencies.len() > LATENCIES {
                self.pump.latencies.pop_front();
            }
        }
        let files: Vec<_> = files.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        self.pump.published_state = json!({ "time": clock(), "stacked": stacked });
        self.run.report.event(
            "published",
            json!({ "stacked": stacked, "files": files, "latency_ms": latency.map(ms),
                    "render_ms": ms(rendered), "write_ms": ms(spent) }),
        );
    }

    /// The median time from a frame's completion to its picture, ms.
    pub(super) fn latency(&self) -> Option<f64> {
        let mut all: Vec<f64> = self.pump.latencies.iter().map(|d| ms(*d)).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    fn checkpoint_due(&self) -> bool {
        let p = &self.pump;
        if self.run.night.is_none()
            || self.run.ledger.applied <= p.saved
            || Instant::now() < p.checkpoint_from
        {
            return false;
        }
        let (since, affordable) = (p.checkpoint.elapsed(), p.checkpoint_spent * SHARE);
        let usual = self.plan.live.checkpoint.max(affordable);
        // In a pause, if one comes soon.
        since >= 2 * usual || since >= usual && self.idle() || p.hurry && since >= affordable
    }

    /// Saves the stack.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let start = Instant::now();
        // A checkpoint stands for entries of the journal: were it ahead of them, numbers would be given twice after a kill.
        if let Err(e) = self.run.ledger.flush() {
            self.pump.checkpoint_from = Instant::now() + RETRY;
            self.disk("journal", Err(e));
            return Ok(());
        }
        let stored = saved::store(self);
        self.pump.checkpoint_spent = start.elapsed();
        let stored = match stored {
            Err(e @ Error::Io { .. }) => {
                self.pump.checkpoint_from = Instant::now() + RETRY.max(start.elapsed() * SHARE);
                Err(e)
            }
            Err(e) => return Err(e),
            Ok(()) => {
                let spent = ms(start.elapsed());
                self.pump.checkpoint = Instant::now();
                self.pump.saved = self.run.ledger.applied;
                self.pump.hurry = false;
                let (stacked, rejected) = (self.run.report.stacked, self.run.report.rejected);
                self.pump.checkpoint_state = json!({ "time": clock(), "stacked": stacked });
                self.run
                    .report
                    .event("checkpoint", json!({ "stacked": stacked, "rejected": rejected, "ms": spent }));
                Ok(())
            }
        };
        self.run.timings.add("checkpoint", false, start.elapsed(), 0);
        self.disk("checkpoint", stored);
        Ok(())
    }

    /// A new stack, since the user asked for one: now, or then, as entry number `replayed` says. False where the finished
    /// one could not be written.
    pub(super) fn new_stack(&mut self, replayed: Option<u64>) -> Result<bool> {
        let any = self.run.night.as_ref().is_some_and(|n| n.engine.stacked() > 0);
        if !any && replayed.is_none() {
            self.run.report.warn("a new stack was asked for: there is none yet that could end");
            return Ok(true);
        }
        self.run.stuck = false;
        if any && !self.run.finish_stack("asked for")? {
            return Ok(false);
        }
        self.pump.fresh = 0;
        match replayed {
            // What was said before the files turned out to be others is void.
            Some(seq) if !self.run.ledger.diverged => self.run.ledger.pass(seq),
            _ if !any => {}
            _ => {
                let written = self.run.ledger.add_entry(&Entry::NewStack);
                self.disk("journal", written);
            }
        }
        Ok(true)
    }
}
