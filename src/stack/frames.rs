//! One frame after another: examined, judged, stacked or rejected; new stacks and replaced references.

use super::{First, Ledger, Night, Run, elapsed, reason};
use crate::align::grade::Grade;
use crate::align::motion::{IDENTITY, Mat3, compose, inverse};
use crate::align::{Glimpse, Pose};
use crate::backend::Backend;
use crate::engine::Examined;
use crate::error::{Error, Result};
use crate::frame::{Frame, Shape};
use crate::judge::{Case, Row, Taken, Verdict};
use crate::outputs::{self, Label};
use crate::photometry::Tone;
use crate::record::{self, About};
use crate::tags::Tags;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Stacked files that are remembered, so that a bad reference can be replaced: as many as a stack has at most when that
/// happens, and some.
const REMEMBERED: usize = 8;

/// A frame that was examined, with what its record needs.
struct Seen<'a> {
    path: &'a Path,
    tags: Tags,
    examined: Examined,
    elapsed: Map<String, Value>,
}

impl Seen<'_> {
    fn grade(&self) -> Option<Grade> {
        self.examined.view.as_ref().map(crate::align::View::grade)
    }

    fn case(&self) -> Case<'_> {
        Case {
            path: self.path,
            taken: Taken::of(&self.tags),
            grade: self.grade(),
            pose: &self.examined.pose,
            shows: self.examined.view.as_ref().is_some_and(|v| v.shows_too_little().is_none()),
        }
    }
}

impl<B: Backend, L: Ledger> Run<'_, B, L> {
    /// Takes one decoded frame; gives a buffer back.
    pub(crate) fn frame(&mut self, path: &Path, frame: Result<Frame>) -> Result<Vec<u32>> {
        let frame = match frame {
            Err(e) => self.once_more(path, e),
            frame => frame,
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(e) => {
                self.refuse(path, &reason(&e, path), false)?;
                return Ok(Vec::new());
            }
        };
        if self.night.is_none() {
            let start = Instant::now();
            if !self.try_begin(path, &frame)? {
                return Ok(frame.words);
            }
            self.timings.add("begin", false, start.elapsed(), 0);
        }
        let unbound = |n: &Night<B>| n.engine.stacked() == 0 && self.number == self.first_number;
        if self.night.as_ref().is_some_and(|n| unbound(n) && n.engine.setup.frame != frame.shape) {
            // What came before was no reference: its size binds nobody.
            self.backend = self.night.take().map(|n| n.engine.into_backend());
            self.masters()?;
            // Stopped on the way there are no masters: without them it would be another picture.
            if self.stop.load(Ordering::Relaxed) || !self.try_begin(path, &frame)? {
                return Ok(frame.words);
            }
        }
        let Some(night) = &mut self.night else { return Ok(frame.words) };
        if frame.sensor.bottom_up != night.first.sensor.bottom_up {
            self.refuse(
                path,
                "its rows are stored the other way up (ROWORDER) than those of the first frame",
                false,
            )?;
            return Ok(frame.words);
        }
        let expected = night.engine.setup.frame;
        if frame.shape != expected {
            let why = format!("expected {expected} as the first frame, got {}", frame.shape);
            self.refuse(path, &why, false)?;
            // A larger buffer would stay for the night.
            return Ok(Vec::new());
        }
        let canvas = night.engine.setup.shape;
        let given = match self.given(path, &canvas) {
            Ok(given) => given,
            Err(why) => {
                self.refuse(path, &why, false)?;
                return Ok(frame.words);
            }
        };
        let Some(night) = &mut self.night else { return Ok(frame.words) };
        let (tags, before) = (frame.tags.clone(), night.engine.timings());
        let (examined, buffer) = night.engine.examine(frame, given)?;
        let elapsed = elapsed(&before, &night.engine.timings());
        self.decide(Seen { path, tags, examined, elapsed })?;
        Ok(buffer)
    }

    /// Begins the night with `frame`. Masters that do not fit it are an error, but for one stray frame, which is rejected:
    /// then false.
    fn try_begin(&mut self, path: &Path, frame: &Frame) -> Result<bool> {
        match self.begin(First::of(frame), None) {
            Ok(night) => {
                self.night = Some(night);
                self.misfit = None;
                Ok(true)
            }
            Err(e @ Error::Usage(_)) if self.misfit.is_none() => {
                self.refuse(path, &e.to_string(), true)?;
                self.misfit = Some(e);
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// The pose that `--poses` gives, if any; or why it cannot be used.
    fn given(&self, path: &Path, canvas: &Shape) -> std::result::Result<Option<Mat3>, String> {
        let Some(known) = self.config.poses.as_ref().map(|p| p.of(path)) else { return Ok(None) };
        // The canvas belongs to the first stacked frame, whichever that was when the poses were found.
        let (map, stack) = known?;
        if let Some((_, own)) = self.base.filter(|(_, own)| *own != stack) {
            return Err(format!(
                "its pose is one of stack {stack}, the first frame's of stack {own}: name its frames alone"
            ));
        }
        let map = self.base.map_or(IDENTITY, |(base, _)| compose(&map, &base));
        if record::usable(&map, canvas) {
            Ok(Some(map))
        } else {
            Err("the given pose puts the frame nowhere".into())
        }
    }

    fn decide(&mut self, seen: Seen) -> Result<()> {
        let Some(night) = &mut self.night else { return Ok(()) };
        match night.judge.verdict(&seen.case()) {
            Verdict::Stack => self.accept(seen, false),
            Verdict::Scale => self.accept(seen, true),
            Verdict::Restart(why) => self.restart(seen, &why),
            Verdict::Reject(why) => self.reject(&seen, &why),
            Verdict::Changed(why, factor) => {
                let row = night.judge.changed(seen.path, factor);
                let also = "frames in a row have another exposure than the stack: \
                            stack them with --on-change scale or restart";
                self.in_a_row(&seen, &why, (row, also, "the first frame has another exposure"))
            }
            Verdict::Faulty(why) => {
                let glimpse = Self::glimpse(night, &seen)?;
                let row = glimpse.map_or(Row::Wait, |g| night.judge.faulty(seen.path, g));
                let also = "frames in a row are worse than the stack's: stack them with --accept-all";
                self.in_a_row(
                    &seen,
                    &why,
                    (row, also, "those that follow the first frame are alike, and unlike it"),
                )
            }
            Verdict::Stranger(why) => {
                let glimpse = Self::glimpse(night, &seen)?;
                let row = glimpse.map_or(Row::Wait, |g| night.judge.stranger(seen.path, g));
                let also = "frames in a row show another field than the stack: \
                            stack a new target with --restart-on-new-target";
                self.in_a_row(
                    &seen,
                    &why,
                    (row, also, "the first frame shows another field than those that follow"),
                )
            }
        }
    }

    fn glimpse(night: &mut Night<B>, seen: &Seen) -> Result<Option<Glimpse>> {
        match &seen.examined.view {
            Some(view) => night.engine.glimpse(view),
            None => Ok(None),
        }
    }

    /// Stacks a frame.
    fn accept(&mut self, mut seen: Seen, scaled: bool) -> Result<()> {
        let Some(night) = &mut self.night else { return Ok(()) };
        let first = night.engine.stacked() == 0;
        let pose = match &seen.examined.pose {
            // After a restart the pose is to a reference that is gone.
            _ if first && seen.examined.view.is_some() => Pose::given(IDENTITY, "reference"),
            Ok(pose) => pose.clone(),
            Err(_) => return Ok(()),
        };
        let before = night.engine.timings();
        let tones = night.engine.stack(&seen.examined, &pose, scaled)?;
        add(&mut seen.elapsed, &elapsed(&before, &night.engine.timings()));
        if first {
            night.reference = seen.path.to_owned();
            night.subject.orientation = seen.tags.orientation;
            if let Some(Ok((map, stack))) = self.config.poses.as_ref().map(|p| p.of(seen.path)) {
                self.base.get_or_insert((inverse(&map)?, stack));
            }
        }
        night.subject.summary.add(seen.path, &seen.tags);
        if night.young.len() < REMEMBERED {
            night.young.push(seen.path.to_owned());
        }
        let better = night.judge.stacked(&seen.case(), &pose, scaled);
        let about = self.about(&seen);
        self.publish(about, &pose, scaled.then_some(&tones[..]))?;
        match better {
            Some(better) => self.replace(better, 0, "the first frame is much worse than those that follow"),
            None => Ok(()),
        }
    }

    fn about<'a>(&self, seen: &Seen<'a>) -> About<'a> {
        About { file: seen.path, stack: self.number, grade: seen.grade(), elapsed: seen.elapsed.clone() }
    }

    /// The record of a stacked frame, and its picture if asked for.
    fn publish(&mut self, about: About, pose: &Pose, tones: Option<&[Tone]>) -> Result<()> {
        let Some(night) = &mut self.night else { return Ok(()) };
        let path = about.file;
        let record = record::stacked(about, &night.reference, pose, &night.engine.setup.shape, tones);
        let mut written = self.ledger.add(&record, true, true);
        self.report.stacked(path, &record);
        if self.config.debug_frames {
            let label = Label {
                stack: Some(self.number).filter(|n| *n > 1),
                count: Some(night.engine.stacked() as usize),
            };
            let debug = outputs::write_debug(&mut night.engine, self.config, &night.subject, label);
            written = written.and(debug);
        }
        self.outlive(written)
    }

    /// Rejects a frame that was examined.
    fn reject(&mut self, seen: &Seen, why: &str) -> Result<()> {
        let record = record::rejected(self.about(seen), why);
        self.rejected(seen.path, &record, true)
    }

    /// Rejects a file that is no frame of this stack. `counts`: see [`Ledger::add`].
    pub(crate) fn refuse(&mut self, path: &Path, why: &str, counts: bool) -> Result<()> {
        let about = About { file: path, stack: self.number, grade: None, elapsed: Map::new() };
        self.rejected(path, &record::rejected(about, why), counts)
    }

    fn rejected(&mut self, path: &Path, record: &Value, counts: bool) -> Result<()> {
        let written = self.ledger.add(record, false, counts);
        self.report.rejected(path, record);
        self.outlive(written)
    }

    /// Rejects a frame, and does what the frames in a row come to: `lasts` is said where nothing else is done, `why` of a
    /// reference that is replaced.
    fn in_a_row(&mut self, seen: &Seen, reason: &str, (row, lasts, why): (Row, &str, &str)) -> Result<()> {
        self.reject(seen, reason)?;
        match row {
            Row::Wait => Ok(()),
            Row::Warn(count) => {
                self.report.warn(&format!("{count} {lasts}"));
                Ok(())
            }
            Row::Replace(files) => {
                let rejected = files.len();
                self.replace(files, rejected, why)
            }
            Row::Restart(files) => {
                if self.finish_stack(&format!("{reason}: {} frames in a row", files.len()))? {
                    self.report.again(0, files.len());
                    self.queue(files.into_iter());
                }
                Ok(())
            }
        }
    }

    /// Begins the stack again with `better` as the first files, of which `rejected` were; those that had been stacked
    /// follow, and are judged anew.
    fn replace(&mut self, better: Vec<PathBuf>, rejected: usize, why: &str) -> Result<()> {
        let Some(night) = &mut self.night else { return Ok(()) };
        let stacked = night.engine.stacked() as usize;
        night.engine.restart()?;
        night.subject.summary.restart();
        night.judge.restart(true);
        let others: Vec<PathBuf> = night.young.drain(..).filter(|p| !better.contains(p)).collect();
        if !self.report.quiet {
            self.report.warn(&format!("the stack begins again: {why}: {}", night.reference.display()));
        }
        self.report.again(stacked, rejected);
        self.report
            .event("replaced", json!({ "stack": self.number, "why": why, "reference": better.first() }));
        self.queue(better.into_iter().chain(others));
        Ok(())
    }

    /// Decides these files again, before those that are still to be decided again.
    fn queue(&mut self, files: impl Iterator<Item = PathBuf>) {
        let mut queue: VecDeque<PathBuf> = files.collect();
        let rest = std::mem::take(&mut self.again);
        queue.extend(rest.into_iter().filter(|p| !queue.contains(p)).collect::<Vec<_>>());
        self.again = queue;
    }

    /// A new stack begins with this frame.
    fn restart(&mut self, mut seen: Seen, why: &str) -> Result<()> {
        if !self.finish_stack(why)? {
            return self.reject(&seen, why);
        }
        seen.examined.pose = Ok(Pose::given(IDENTITY, "reference"));
        self.decide(seen)
    }

    /// Writes the finished stack under its number; the next one begins empty. False where it could not be written: then
    /// it goes on, for nothing that is stacked may be lost.
    pub(crate) fn finish_stack(&mut self, why: &str) -> Result<bool> {
        let Some(night) = self.night.as_mut().filter(|_| !self.stuck) else { return Ok(false) };
        let label = Some(self.number);
        let number = Label { stack: label, count: None };
        let all = outputs::all(self.config, &night.subject).into_iter();
        let paths: Vec<_> = all.map(|(m, f)| outputs::path(self.config, m, f, number)).collect();
        let there: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
        // Frames that are read again make a stack again that was finished: what was written then is whole.
        let written = if self.report.quiet && there.iter().all(|there| *there) {
            Ok(paths.clone())
        } else {
            let subject = &night.subject;
            self.timings.host("write", || outputs::write_all(&mut night.engine, self.config, subject, label))
        };
        match written {
            Ok(paths) => {
                let (stack, names): (_, Vec<_>) =
                    (self.number, paths.iter().map(|p| p.to_string_lossy().into_owned()).collect());
                self.kept.extend(paths);
                night.engine.restart()?;
                night.subject.summary.restart();
                night.judge.restart(false);
                night.young.clear();
                self.number += 1;
                self.report
                    .line(&format!("a new stack begins: {why}: stack {stack} is kept: {}", names.join(" ")));
                self.report.event("restarted", json!({ "stack": self.number, "why": why, "kept": names }));
                Ok(true)
            }
            Err(e @ Error::Io { .. }) => {
                // Half of the pictures would only take the room of those at the end.
                for (path, _) in paths.iter().zip(there).filter(|(_, there)| !there) {
                    let _ = std::fs::remove_file(path);
                }
                self.stuck = true;
                self.outlive(Err(e))?;
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// A disk that is full or gone does not end the night: one warning, and the stack goes on. A failing device does.
    pub(crate) fn outlive(&mut self, written: Result<()>) -> Result<()> {
        match written {
            Err(e @ Error::Io { .. }) => {
                if self.failed.is_none() {
                    self.report.warn(&format!("{e}: stacking goes on"));
                    self.failed = Some(e);
                }
                Ok(())
            }
            other => other,
        }
    }
}

/// Adds the milliseconds of `more` to those of `all`.
fn add(all: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, ms) in more {
        let sum = all.get(name).and_then(Value::as_f64).unwrap_or(0.0) + ms.as_f64().unwrap_or(0.0);
        all.insert(name.clone(), json!((sum * 1e3).round() / 1e3));
    }
}
