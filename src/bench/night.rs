//! Frames through the engine as a night has them, from files to stack, with a look at the clock after each.

use super::spread::Spread;
use crate::backend::Backend;
use crate::config::Config;
use crate::decode::{self, Decoder, threads};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::stack::{Ledger, Run};
use crate::tags::Kind;
use crate::timing::{Span, Timings};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Frames in which memory is taken, shaders are compiled, the reference is set and the first pose is found.
const FIRST: usize = 2;

/// How frames are sent.
pub(super) struct Plan<'a> {
    pub(super) config: &'a Config,
    /// The files, in order of time.
    pub(super) files: &'a [PathBuf],
    /// Frames that are measured.
    pub(super) frames: usize,
    pub(super) stop: &'a AtomicBool,
}

/// A stage of a frame: kernel or host work.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) kernel: bool,
    /// Times it runs a frame, on average.
    pub(super) calls: f64,
    /// Milliseconds a frame.
    pub(super) ms: Spread,
    /// Bytes read and written a frame, on average; 0 where that says nothing.
    pub(super) bytes: f64,
}

/// What was measured.
pub(super) struct Night {
    /// From the end of the warm-up to the last frame's last pixel.
    pub(super) seconds: f64,
    /// From one frame to the next.
    pub(super) frame_ms: Spread,
    /// Of that, waiting for the decoder.
    pub(super) wait_ms: Spread,
    pub(super) stages: Vec<Stage>,
    /// Of the frames measured.
    pub(super) stacked: usize,
    /// Bytes of buffers that the engine has taken.
    pub(super) engine_bytes: u64,
}

/// Nothing is written down.
struct Nowhere;

impl Ledger for Nowhere {
    fn add(&mut self, _: &Value, _: bool, _: bool) -> Result<()> {
        Ok(())
    }
}

/// Frames that warm up: the first ones, and as many as were decoded meanwhile, so that the decoder is as far ahead as it
/// will be.
pub(super) fn warm_up() -> usize {
    FIRST + threads()
}

impl Plan<'_> {
    /// The files in the order in which they are sent: forth and back, so that the field never jumps. More than are
    /// measured: decoding goes on to the end.
    fn paths(&self) -> Vec<PathBuf> {
        let back = self.files.iter().rev().skip(1).take(self.files.len().saturating_sub(2));
        let round: Vec<_> = self.files.iter().chain(back).collect();
        round.iter().cycle().take(warm_up() + self.frames + threads()).map(|path| (*path).clone()).collect()
    }

    /// Sends the frames through `backend`. `None`: stopped on the way.
    ///
    /// # Errors
    /// [`Error::NothingStacked`] where no frame is; as [`Run::frame`].
    pub(super) fn run<B: Backend>(&self, backend: B) -> Result<Option<Night>> {
        let mut report = Report::new(0, false);
        report.finish();
        report.quiet = true;
        let wish = self.config.wish.of(Kind::Light);
        let mut run = Run::new(self.config, report, Nowhere, backend, self.stop);
        let buffers = run.masters()?;
        let mut decoder = Decoder::new(self.paths(), threads(), buffers, wish);
        let mut samples = Samples::default();
        let (mut stacked, mut began, mut last) = (0, Instant::now(), Instant::now());
        for k in 0..warm_up() + self.frames {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if k == warm_up() {
                settle(&mut run)?;
                stacked = run.report.stacked;
                (began, last) = (Instant::now(), Instant::now());
            }
            let before = timings(&mut run);
            let start = Instant::now();
            let Some((path, frame)) = decoder.next() else { break };
            let waited = start.elapsed();
            let buffer = run.frame(&path, frame)?;
            decoder.recycle(buffer);
            // A reference that turned out bad begins the stack again, as `stack` has it.
            while let Some(path) = run.again.pop_front() {
                run.frame(&path, decode::read(&path, Vec::new(), &wish))?;
            }
            if k + 1 == warm_up() + self.frames {
                settle(&mut run)?;
            }
            if k >= warm_up() {
                samples.wait.push(waited.as_secs_f64() * 1e3);
                samples.frame.push(last.elapsed().as_secs_f64() * 1e3);
                samples.add(&before, &timings(&mut run));
            }
            last = Instant::now();
        }
        let seconds = began.elapsed().as_secs_f64();
        let reason = run.report.last_reason.clone();
        let Some(night) = run.night.as_mut().filter(|n| n.engine.stacked() > 0) else {
            let why = reason.unwrap_or_else(|| "no frame was read".into());
            return Err(Error::NothingStacked(format!(
                "no frame could be stacked, so there is nothing to measure: {why}: take larger or other frames"
            )));
        };
        let engine_bytes = night.engine.allocated();
        // Frames that are decided again count less than nothing.
        let stacked = run.report.stacked.saturating_sub(stacked);
        Ok(Some(samples.night(seconds, stacked, engine_bytes)))
    }
}

/// Waits until the device has done all that it was asked for.
fn settle<B: Backend, L: Ledger>(run: &mut Run<'_, B, L>) -> Result<()> {
    let Some(Engine { backend, states, .. }) = run.night.as_mut().map(|n| &mut n.engine) else {
        return Ok(());
    };
    match states.last().and_then(|state| state.planes.last()) {
        Some(plane) => backend.read(plane, &mut [0]),
        None => Ok(()),
    }
}

fn timings<B: Backend, L: Ledger>(run: &mut Run<'_, B, L>) -> Timings {
    run.night.as_mut().map(|n| n.engine.timings()).unwrap_or_default()
}

/// Of one stage: calls, ms and bytes of each frame.
type Row = (&'static str, bool, Vec<(u64, f64, u64)>);

/// What the clock said of each frame.
#[derive(Default)]
struct Samples {
    frame: Vec<f64>,
    wait: Vec<f64>,
    stages: Vec<Row>,
}

impl Samples {
    /// Adds the frame that lies between two states of the clock.
    fn add(&mut self, before: &Timings, after: &Timings) {
        let frames = self.frame.len();
        for now in after.spans() {
            let same = |s: &&Span| (s.name, s.kernel) == (now.name, now.kernel);
            let (calls, spent, bytes) = before
                .spans()
                .iter()
                .find(same)
                .map_or((0, Default::default(), 0), |s| (s.calls, s.spent, s.bytes));
            let ms = now.spent.saturating_sub(spent).as_secs_f64() * 1e3;
            let sample = (now.calls.saturating_sub(calls), ms, now.bytes.saturating_sub(bytes));
            let found = self.stages.iter().position(|row| (row.0, row.1) == (now.name, now.kernel));
            let k = found.unwrap_or_else(|| {
                self.stages.push((now.name, now.kernel, Vec::new()));
                self.stages.len() - 1
            });
            // Frames before in which it did not run.
            let row = &mut self.stages[k].2;
            row.resize(frames - 1, (0, 0.0, 0));
            row.push(sample);
        }
    }

    fn night(self, seconds: f64, stacked: usize, engine_bytes: u64) -> Night {
        let frames = self.frame.len().max(1) as f64;
        let stage = |(name, kernel, rows): Row| Stage {
            name,
            kernel,
            calls: rows.iter().map(|r| r.0).sum::<u64>() as f64 / frames,
            ms: Spread::of(rows.iter().map(|r| r.1).collect()),
            bytes: rows.iter().map(|r| r.2).sum::<u64>() as f64 / frames,
        };
        let ran = |row: &Row| row.2.iter().any(|r| r.0 > 0);
        Night {
            seconds,
            frame_ms: Spread::of(self.frame),
            wait_ms: Spread::of(self.wait),
            stages: self.stages.into_iter().filter(ran).map(stage).collect(),
            stacked,
            engine_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Choice;
    use crate::bench::settings::{Settings, Source};
    use crate::rules::Method;
    use std::time::Duration;

    #[test]
    fn stages_are_told_frame_by_frame() {
        let mut samples = Samples::default();
        let mut clock = Timings::default();
        for k in 1..=3_u64 {
            let before = clock.clone();
            clock.add("gray", true, Duration::from_millis(k), 1000);
            if k == 2 {
                clock.add("ecc", true, Duration::from_millis(9), 50);
                clock.add("ecc", true, Duration::from_millis(9), 50);
            }
            samples.frame.push(10.0);
            samples.add(&before, &clock);
        }
        let night = samples.night(0.03, 3, 0);
        let gray = &night.stages[0];
        assert_eq!((gray.name, gray.calls, gray.bytes), ("gray", 1.0, 1000.0));
        assert_eq!(gray.ms, Spread { median: 2.0, q1: 1.5, q3: 2.5 });
        let ecc = &night.stages[1];
        assert_eq!((ecc.calls, ecc.ms.median, ecc.ms.q3), (2.0 / 3.0, 0.0, 9.0));
    }

    #[test]
    fn what_frames_are_held_to_need_is_what_a_night_needs() {
        let dir = tempfile::tempdir().expect("a folder");
        let stop = AtomicBool::new(false);
        let paths = crate::bench::field::write((320, 240), dir.path(), &stop).expect("written").expect("all");
        for methods in [vec![Method::Add], Method::ALL.to_vec()] {
            let settings = Settings {
                source: Source::Folder(dir.path().to_owned()),
                frames: 1,
                methods,
                choice: Choice::Cpu,
                adapter: None,
                json: false,
            };
            let config = settings.config("nowhere".as_ref()).expect("the defaults");
            let wish = config.wish.of(Kind::Light);
            let files = crate::bench::files::look(paths.clone(), 1, &wish, &stop);
            let kind = files.expect("good files").expect("not stopped").kind;
            let mut report = Report::new(0, false);
            report.finish();
            report.quiet = true;
            let mut run = Run::new(&config, report, Nowhere, crate::backend::cpu::Cpu::default(), &stop);
            run.masters().expect("none");
            run.frame(&paths[0], decode::read(&paths[0], Vec::new(), &wish)).expect("a frame");
            let need = run.night.as_ref().expect("a night").need;
            assert_eq!(kind.need(&config).expect("a figure"), need);
        }
    }

    #[test]
    fn files_are_sent_forth_and_back() {
        let files: Vec<PathBuf> = ["a", "b", "c"].map(PathBuf::from).to_vec();
        let stop = AtomicBool::new(false);
        let sent = |files: &[PathBuf], config: &Config| {
            let plan = Plan { config, files, frames: 7, stop: &stop };
            plan.paths().iter().map(|p| p.display().to_string()).collect::<String>()
        };
        let settings = Settings {
            source: Source::Generated(1, 1),
            frames: 7,
            methods: vec![Method::Add],
            choice: Choice::Cpu,
            adapter: None,
            json: false,
        };
        let config = settings.config("nowhere".as_ref()).expect("the defaults");
        assert!(sent(&files, &config).starts_with("abcbabcba"), "{}", sent(&files, &config));
        assert!(sent(&files[..2], &config).starts_with("ababab"));
        assert!(sent(&files[..1], &config).starts_with("aaaa"));
        assert_eq!(sent(&files, &config).len(), warm_up() + 7 + threads());
    }
}
