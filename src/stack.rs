//! `livestack stack`: from a folder of frames to pictures.

use crate::backend::Backend;
use crate::calibration;
use crate::config::Config;
use crate::decode::{self, Decoder, threads};
use crate::engine::{Engine, Refused, Setup};
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::inputs;
use crate::io;
use crate::judge::{Judge, OnChange};
use crate::master::{Masters, Plan};
use crate::memory::{self, need::Habits};
use crate::outputs::{self, Subject};
use crate::record::{self, Journal, Placed, Poses};
use crate::report::{EVENTS, Report};
use crate::rules::Method;
use crate::sensor::NO_MATRIX;
use crate::summary::Summary;
use crate::tags::Kind;
use crate::timing::Timings;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

mod first;
mod frames;
mod room;
mod short;

pub(crate) use first::First;
use room::{Room, Words};

/// Where decisions are written down.
pub(crate) trait Ledger {
    /// A frame was decided: its `record`. `stacked`: it is in the stack. `counts`: deciding it changed what becomes of
    /// later frames, if only by being looked at.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full.
    fn add(&mut self, record: &Value, stacked: bool, counts: bool) -> Result<()>;
}

/// A run under way.
pub(crate) struct Run<'a, B: Backend, L: Ledger> {
    config: &'a Config,
    pub(crate) report: Report,
    pub(crate) ledger: L,
    /// Number of the stack that is being made, from 1.
    pub(crate) number: usize,
    /// Number of the first.
    pub(crate) first_number: usize,
    /// Files that are decided again.
    pub(crate) again: VecDeque<PathBuf>,
    /// Pictures of finished stacks.
    pub(crate) kept: Vec<PathBuf>,
    /// A finished stack could not be written: the one at hand goes on to the end.
    pub(crate) stuck: bool,
    stop: &'a AtomicBool,
    /// From the first stacked frame's pixels to those that given poses refer to, and the stack that those belong to.
    pub(crate) base: Option<Placed>,
    pub(crate) backend: Option<B>,
    masters: Masters,
    /// Why the masters do not fit the first frame, which may be a stray one.
    misfit: Option<Error>,
    /// Where the masters come from: see [`calibration::Built`].
    sources: Vec<(Kind, PathBuf, usize)>,
    pub(crate) night: Option<Night<B>>,
    /// The first output on the way that could not be written: the run goes on, its exit code tells.
    pub(crate) failed: Option<Error>,
    pub(crate) timings: Timings,
}

/// What exists from the first good frame on.
pub(crate) struct Night<B: Backend> {
    pub(crate) engine: Engine<B>,
    /// What the first frame settled.
    pub(crate) first: First,
    /// Bytes that the program has at most: see [`crate::memory::need`].
    pub(crate) need: u64,
    /// What is said and shown of the stack.
    pub(crate) subject: Subject,
    /// The first stacked frame; the first frame until one is stacked.
    pub(crate) reference: PathBuf,
    pub(crate) judge: Judge,
    /// Files that were stacked, as long as the stack is young.
    pub(crate) young: Vec<PathBuf>,
}

/// Stacks what `config` says on `backend` (chosen for the reason `why`), until the frames end or `stop` is set; then
/// writes the outputs.
///
/// # Errors
/// The first that ends the run; see [`Error::exit_code`].
pub fn stack<B: Backend>(config: &Config, backend: B, why: &str, stop: &AtomicBool) -> Result<()> {
    let inputs::Lights { images: lights, passed, twins } = inputs::lights(config)?;
    let report = Report::new(lights.len(), config.json);
    crate::session::refuse_if_held(&config.out)?;
    std::fs::create_dir_all(&config.out)
        .map_err(|e| Error::io("cannot create the output folder", &config.out, e))?;
    inputs::pass_over(&report, &passed);
    inputs::pass_twins(&report, twins);
    report.line(&format!("backend: {}: {why}", backend.describe()));
    report.event(
        "start",
        json!({ "version": EVENTS, "frames": lights.len(), "backend": backend.describe(), "why": why }),
    );
    let mut run = Run::new(config, report, Journal::new(&config.out)?, backend, stop);
    // The first light is decoded while the masters are read.
    let mut decoder = Decoder::first_alone(lights, threads(), config.wish.of(Kind::Light));
    run.masters()?.into_iter().take(threads()).for_each(|buffer| decoder.recycle(buffer));
    decoder.go_on();
    // What is decided again may have been stacked before: it is not lost to Ctrl-C.
    while !stop.load(Ordering::Relaxed) || !run.again.is_empty() {
        if let Some(path) = run.again.pop_front() {
            let buffer = decoder.buffer();
            let frame = run
                .timings
                .host("decode again", || decode::read(&path, buffer, &config.wish.of(Kind::Light)));
            // The threads have buffers for files of their own.
            io::forget();
            decoder.recycle(run.frame(&path, frame)?);
            continue;
        }
        let Some((path, frame)) = run.timings.host("wait for decode", || decoder.next()) else { break };
        let buffer = run.frame(&path, frame)?;
        decoder.recycle(buffer);
    }
    run.timings.add("decode (threads)", false, decoder.spent(), 0);
    drop(decoder);
    run.finish(stop.load(Ordering::Relaxed))
}

impl<'a, B: Backend, L: Ledger> Run<'a, B, L> {
    /// A run that has not begun; its masters are still to be read.
    pub(crate) fn new(
        config: &'a Config,
        report: Report,
        ledger: L,
        backend: B,
        stop: &'a AtomicBool,
    ) -> Self {
        Run {
            config,
            report,
            ledger,
            number: 1,
            first_number: 1,
            again: VecDeque::new(),
            kept: Vec::new(),
            stuck: false,
            stop,
            base: None,
            backend: Some(backend),
            masters: Masters::default(),
            misfit: None,
            sources: Vec::new(),
            night: None,
            failed: None,
            timings: Timings::default(),
        }
    }

    /// The backend, in words.
    pub(crate) fn describe(&self) -> String {
        let waiting = self.backend.as_ref().map(Backend::describe);
        waiting.or_else(|| self.night.as_ref().map(|n| n.engine.backend.describe())).unwrap_or_default()
    }

    /// Reads or builds the masters; returns buffers to decode the lights into.
    pub(crate) fn masters(&mut self) -> Result<Vec<Vec<u32>>> {
        let (config, report, stop) = (self.config, &self.report, self.stop);
        let built = self.timings.host("masters", || calibration::masters(config, report, stop))?;
        (self.masters, self.sources) = (built.masters, built.sources);
        Ok(built.buffers)
    }

    /// Allocates everything, now that the frames' shape is known; with the rules of `methods`, where they are settled.
    ///
    /// # Errors
    /// [`Error::Memory`] where it would not fit, with what would.
    pub(crate) fn begin(&mut self, first: First, methods: Option<&[Method]>) -> Result<Night<B>> {
        let config = self.config;
        let white = first.white;
        let masters = self.masters.bytes();
        let plan = self.plan(&first)?;
        let canvas = plan.canvas;
        let linear = first.sensor.linear;
        let wishes = &config.calibration.wishes;
        let matrix = if wishes.balance { first.sensor.matrix } else { NO_MATRIX };
        let summary = Summary {
            masters: self.sources.clone(),
            mosaic: plan.mosaic.clone().map(|m| crate::master::Mosaic { hot: None, ..m }),
            srgb: matrix != NO_MATRIX,
            ..Summary::default()
        };
        let Some(backend) = self.backend.take() else {
            return Err(Error::Gpu("the backend is gone".into()));
        };
        let setup = |methods: &[Method], shape| Setup {
            frame: first.shape,
            shape,
            matrix,
            white,
            methods: methods.to_vec(),
            align: config.align && config.poses.is_none(),
            motion: config.motion,
            align_to: config.align_to,
            tones: config.rules.on_change == OnChange::Scale,
        };
        let words = Words::new(config, methods.is_some());
        let six = setup(Method::SIX, canvas);
        let room = Room::new(&backend, (&six, &plan), self.habits(&first, masters), words);
        let methods = match methods.or(config.methods.as_deref()) {
            Some(methods) => methods.to_vec(),
            None if linear || config.live && first.shape.sample != SampleType::U8 => vec![Method::Mean],
            None if config.live => vec![Method::AddComp],
            None if !room.fits(Method::SIX, false) && room.fits(&[Method::AddComp], false) => {
                self.alone(&room.lack(Method::SIX));
                vec![Method::AddComp]
            }
            None => Method::SIX.to_vec(),
        };
        room.check(&methods)?;
        let (engine, methods) = match Engine::new(backend, setup(&methods, canvas), plan) {
            Ok(engine) => (engine, methods),
            Err(Refused { again: Some(again), why }) if config.methods.is_none() && methods.len() > 1 => {
                self.alone(&format!("do not fit: {why}"));
                let (backend, plan) = *again;
                let methods = vec![Method::AddComp];
                let engine = Engine::new(backend, setup(&methods, canvas), plan);
                (engine.map_err(|refused| room::refusal(refused, &methods, words, setup))?, methods)
            }
            Err(refused) => return Err(room::refusal(refused, &methods, words, setup)),
        };
        let judge = Judge::new(config.rules, (canvas.width, canvas.height), f64::from(white));
        Ok(Night {
            engine,
            need: room.need(&methods),
            subject: Subject { methods, orientation: first.tags.orientation, linear, summary },
            reference: first.path.clone(),
            first,
            judge,
            young: Vec::new(),
        })
    }

    /// How lights like `first` are calibrated. The masters are used up, unless they do not fit.
    fn plan(&mut self, first: &First) -> Result<Plan> {
        calibration::check(&self.masters, first)?;
        let settled = calibration::settle(&mut self.masters, first);
        let wishes = &self.config.calibration.wishes;
        let plan = Plan::new((first.shape, &first.sensor), first.white, &self.masters, wishes)?;
        let canvas = (plan.canvas.width, plan.canvas.height);
        if let Some((w, h)) = self.config.poses.as_ref().and_then(Poses::canvas).filter(|own| *own != canvas)
        {
            return Err(Error::Usage(format!(
                "the poses are of a canvas of {w}x{h}, the stack's is {}x{}: use the same --demosaic and --bin",
                canvas.0, canvas.1
            )));
        }
        settled.iter().for_each(|line| self.report.line(line));
        let doubts = calibration::doubts(&self.masters, first);
        doubts.iter().for_each(|doubt| self.report.warn(doubt));
        self.masters = Masters::default();
        self.tell(&plan);
        Ok(plan)
    }

    /// What decides how much memory a night like `first` takes, with so many bytes of masters.
    fn habits(&self, first: &First, masters: u64) -> Habits {
        let config = self.config;
        let rules = config.rules;
        Habits {
            threads: threads(),
            file: io::file_bytes(&first.path, &first.shape),
            beside: first.beside,
            held: first.held,
            masters,
            outputs: config.formats.clone(),
            turned: outputs::turns(first.tags.orientation),
            live: config.live,
            midway: config.debug_frames || rules.restart || rules.on_change == OnChange::Restart,
            ..Habits::default()
        }
    }

    /// Says what is noteworthy of how lights are calibrated.
    fn tell(&self, plan: &Plan) {
        if plan.floored > 0 {
            let floored = plan.floored;
            self.report
                .warn(&format!("{floored} samples of the flat are under 5 % of its mean: they count as 5 %"));
        }
        if let Some(hot) = plan.mosaic.as_ref().and_then(|m| m.hot.as_ref()) {
            self.report.line(&format!("hot pixels: {} by the dark, repaired in each frame", hot.count));
        }
    }

    /// Says that the default of six rules became one.
    fn alone(&self, why: &str) {
        self.report.warn(&format!("the six rules {why}: stacking addcomp alone: name others with --method"));
    }
}

impl<B: Backend> Run<'_, B, Journal> {
    /// Writes the outputs and says what was done.
    fn finish(mut self, stopped: bool) -> Result<()> {
        let (stacked, rejected) = (self.report.stacked, self.report.rejected);
        // Stopped before anything was decided, nothing is taken away from an older run either.
        let flushed = if stacked + rejected > 0 { self.ledger.flush() } else { Ok(()) };
        self.outlive(flushed)?;
        let (config, report) = (self.config, &self.report);
        let night = self.night.as_mut().filter(|n| n.engine.stacked() > 0);
        let written = match night {
            None => Ok(Vec::new()),
            Some(night) => self
                .timings
                .host("write", || outputs::write_all(&mut night.engine, config, &night.subject, None)),
        };
        let written = written.map(|last| [std::mem::take(&mut self.kept), last].concat());
        report.finish();
        let seconds = report.seconds();
        let rate = (stacked + rejected) as f64 / seconds.max(1e-9);
        report.line(&format!(
            "{stacked} stacked, {rejected} rejected in {seconds:.1} s ({rate:.2} frames a second)"
        ));
        for path in written.iter().flatten() {
            report.line(&format!("wrote {}", path.display()));
        }
        if config.timings
            && let Some(night) = self.night.as_mut()
        {
            let mut all = night.engine.timings();
            all.merge(&self.timings);
            report.event("timings", spans(&all, night.need));
            report.line(&all.table((stacked + rejected) as u64));
            report.line(&peaks(night.need));
        }
        let names: Vec<_> = written.iter().flatten().map(|p| p.to_string_lossy()).collect();
        report.event("done", json!({ "stacked": stacked, "rejected": rejected, "outputs": names }));
        written?;
        if let Some(e) = self.failed {
            return Err(e);
        }
        if stacked > 0 {
            return Ok(());
        }
        if let Some(misfit) = self.misfit {
            return Err(misfit);
        }
        if stopped {
            report.line("stopped before the first frame was stacked: no picture was written");
            return Ok(());
        }
        Err(Error::NothingStacked(format!(
            "nothing could be stacked: every frame was rejected: see the reasons in {}",
            config.out.join(record::NAME).display()
        )))
    }
}

/// Why a file is no frame, without the path that the record names already.
fn reason(e: &Error, path: &Path) -> String {
    let text = e.to_string();
    text.strip_suffix(&format!(": {}", path.display())).map_or(text.clone(), ToOwned::to_owned)
}

/// Milliseconds per stage between two states of the clock.
fn elapsed(before: &Timings, after: &Timings) -> Map<String, Value> {
    after
        .spans()
        .iter()
        .map(|s| (s.name, after.ms(s.name) - before.ms(s.name)))
        .filter(|(_, ms)| *ms > 0.0)
        .map(|(name, ms)| (name.to_owned(), json!((ms * 1e3).round() / 1e3)))
        .collect()
}

/// Memory by the formula and by measurement, in a line.
pub(crate) fn peaks(need: u64) -> String {
    let measured = memory::peak().map_or(String::new(), |peak| format!(", {} MB measured", room::mb(peak)));
    format!("memory: {} MB expected at most{measured}", room::mb(need))
}

/// The timing table as an event, and what memory was expected to be needed.
pub(crate) fn spans(all: &Timings, need: u64) -> Value {
    let rows: Vec<_> = all
        .spans()
        .iter()
        .map(|s| {
            json!({ "name": s.name, "kernel": s.kernel, "calls": s.calls,
                    "ms": s.spent.as_secs_f64() * 1e3, "bytes": s.bytes })
        })
        .collect();
    json!({ "spans": rows, "need_bytes": need, "peak_bytes": memory::peak() })
}
