//! What a session says of itself: to the user, to the room, to other programs.

use super::live::Session;
use super::{clock, ms, status};
use crate::backend::Backend;
use crate::error::Result;
use crate::page::Shown;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The state is written this often where nothing is new.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// Frames that wait, and how long the first of them has, from where frames come faster than they are stacked.
const BEHIND: usize = 3;
const BEHIND_FOR: Duration = Duration::from_secs(5);

/// Steps of a second that waiting is told in.
const TENTHS: f64 = 10.0;

impl<B: Backend> Session<'_, B> {
    /// One warning where the disk fails, one line when it works again.
    pub(super) fn disk(&mut self, what: &'static str, result: Result<()>) {
        match result {
            Ok(()) => {
                if self.pump.troubles.remove(what).is_some() {
                    self.run.report.warn(&format!("the {what} is written again"));
                    // From here on a failure is news, and a stack may end again.
                    (self.run.failed, self.run.stuck) = (None, false);
                }
            }
            Err(e) => {
                if !self.pump.troubles.contains_key(what) {
                    self.run
                        .report
                        .warn(&format!("{e}: stacking goes on, the {what} is written when it can be"));
                }
                self.pump.troubles.insert(what, e.to_string());
            }
        }
    }

    /// What the room is told.
    pub(super) fn shown(&mut self) -> Shown {
        self.pump.publication += 1;
        let report = &self.run.report;
        let night = self.run.night.as_ref();
        let summary = night.map(|n| &n.subject.summary);
        let said = |v: &Value| {
            let file = v["file"].as_str()?;
            let why = v["reason"].as_str().map_or(String::new(), |why| format!(": {why}"));
            Some(format!("{file} {}{why}", v["status"].as_str().unwrap_or_default()))
        };
        Shown {
            stacked: night.map_or(0, |n| n.engine.stacked() as usize),
            rejected: report.rejected,
            exposure_s: summary.map_or(0.0, |s| s.exposure_s),
            last: self.pump.last_rejection.clone().or_else(|| said(&self.pump.last)),
            target: summary.and_then(|s| s.reference.as_ref()).and_then(|(_, tags)| tags.object.clone()),
            number: self.pump.publication,
        }
    }

    /// Says when frames come faster than they are stacked, and when no more.
    pub(super) fn tell_lag(&mut self) {
        let (waiting, longest) = (self.arrivals.len(), self.arrivals.longest());
        let behind = waiting >= BEHIND && longest >= BEHIND_FOR;
        if behind && !self.pump.behind {
            let seconds = (longest.as_secs_f64() * TENTHS).round() / TENTHS;
            self.run.report.event("falling-behind", json!({ "waiting": waiting, "oldest_s": seconds }));
            self.run.report.warn(&format!(
                "frames come faster than they are stacked: {waiting} wait, the first for {seconds} s: all are stacked in \
                 time, or take only the newest with --keep-up skip"
            ));
        }
        self.pump.behind = behind || self.pump.behind && waiting > 1;
    }

    /// The state for other programs.
    pub(super) fn write_status(&mut self, state: &str) {
        self.pump.status = Some(Instant::now());
        let report = &self.run.report;
        let (stacked, rejected) = (report.stacked, report.rejected);
        let waiting = self.arrivals.len() + self.tasks.len() + self.replay.len();
        let summary = self.run.night.as_ref().map(|n| &n.subject.summary);
        let troubles: Vec<_> = self.pump.troubles.values().cloned().collect();
        let mut all = json!({
            "version": super::journal::VERSION,
            "state": state,
            "pid": std::process::id(),
            "folder": self.plan.live.folder.as_ref().map(|f| f.to_string_lossy()),
            "out": self.plan.config.out.to_string_lossy(),
            "backend": self.run.describe(),
            "stacked": stacked,
            "rejected": rejected,
            "waiting": waiting,
            "stack": self.run.number,
            "in_stack": self.run.night.as_ref().map_or(0, |n| n.engine.stacked()),
            "exposure_s": summary.map_or(0.0, |s| s.exposure_s),
            "last": self.pump.last,
            "last_rejection": self.pump.last_rejection,
            "latency_ms": { "last": self.pump.latencies.back().map(|d| ms(*d).round()),
                            "median": self.latency().map(f64::round) },
            "published": self.pump.published_state,
            "checkpoint": self.pump.checkpoint_state,
            "trouble": (!troubles.is_empty()).then(|| troubles.join("; ")),
        });
        let text = all.to_string();
        // A disk of flash is written only where there is news.
        if text == self.pump.told.0 && self.pump.told.1.elapsed() < HEARTBEAT {
            return;
        }
        self.service.status(&format!("{stacked} stacked, {rejected} rejected, {waiting} waiting"));
        self.pump.told = (text, Instant::now());
        all["updated"] = json!(clock());
        // Nothing hangs on it: the next one follows soon.
        let _ = status::write(&self.folder, &all);
    }
}
