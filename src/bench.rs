//! `livestack bench`: on the user's own machine, the GPU against the CPU path, stage by stage.

use crate::backend::cpu::Cpu;
use crate::backend::gpu::{Gpu, Options};
use crate::backend::probe::{auto_says, listed, remedy, usable};
use crate::backend::{Backend, Choice};
use crate::cli::bench::BenchArgs;
use crate::config::Config;
use crate::decode::threads;
use crate::error::{Error, Result};
use crate::tags::Kind;
use crate::{inputs, memory, report};
use files::Files;
use found::{Auto, Decode, Found, Frames, Side, rate};
use night::{Plan, warm_up};
use room::Kind as Frame;
use settings::{Settings, Source};
use spread::Spread;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use wgpu::Adapter;

mod copy;
mod field;
mod files;
mod found;
mod night;
mod peak;
mod room;
mod settings;
mod spread;
mod tell;
mod verdict;

pub use found::VERSION;

/// Copies of a device's memory that count.
const COPIES: usize = 7;
/// Stands for the folder of outputs where none is needed: nothing is written to it.
const NOWHERE: &str = "nowhere";

/// Measures what `args` say and prints it, unless `stop` is set on the way.
///
/// # Errors
/// [`Error::Usage`] for flags that make no sense; [`Error::Backend`] where a GPU is asked for and none can be used;
/// [`Error::NoFolder`] and [`Error::NothingStacked`] where there are no frames to measure with; [`Error::Memory`] where they
/// do not fit; [`Error::Stopped`]; [`Error::Output`] where nobody can be told.
pub fn run(args: BenchArgs, stop: &AtomicBool) -> Result<()> {
    let settings = Settings::new(args)?;
    match measure(&settings, stop)? {
        None => Err(Error::Stopped("stopped: nothing was measured".to_owned())),
        Some(found) if settings.json => {
            report::say(&serde_json::to_string(&found).map_err(|e| Error::Output(e.to_string()))?)
        }
        Some(found) => report::say(&tell::text(&found)),
    }
}

/// Says what is being done, where somebody waits at a terminal.
fn step(what: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = writeln!(err, "{what} ...");
    }
}

/// A GPU that can be measured; or why there is none.
type Opened = std::result::Result<(Adapter, Gpu), String>;

fn open(settings: &Settings) -> Result<Opened> {
    match settings.choice {
        Choice::Cpu => Ok(Err("no GPU was looked at, as asked for".to_owned())),
        Choice::Auto => usable(Choice::Auto, settings.adapter.as_deref()),
        Choice::Gpu => match usable(Choice::Gpu, settings.adapter.as_deref())? {
            Err(why) => Err(Error::Backend(format!("{why}: {}", remedy()))),
            opened => Ok(opened),
        },
    }
}

fn measure(settings: &Settings, stop: &AtomicBool) -> Result<Option<Found>> {
    // Where a GPU must be there its absence is told first. It is opened only when the CPU has been measured: the memory that
    // its driver takes is not the CPU's.
    if settings.choice == Choice::Gpu {
        listed(settings.adapter.as_deref())?;
    }
    let place = place(settings)?;
    let config = settings.config(place.as_ref().map_or(Path::new(NOWHERE), TempDir::path))?;
    let Some(paths) = frames(settings, &config, stop)? else { return Ok(None) };
    step("decoding");
    let most = warm_up() + settings.frames + threads();
    let Some(files) = files::look(paths, most, &config.wish.of(Kind::Light), stop)? else { return Ok(None) };
    files.kind.check(settings, &config, memory::room())?;
    let plan = Plan { config: &config, files: &files.paths, frames: settings.frames, stop };
    step("stacking on the CPU");
    let Some(cpu) = cpu_side(&plan)? else { return Ok(None) };
    let (gpu, auto) = match open(settings)? {
        Err(why) => {
            let takes = (settings.choice != Choice::Cpu).then_some("cpu");
            (Err(why.clone()), Auto { takes, why })
        }
        Ok((adapter, gpu)) => {
            step("stacking on the GPU");
            let auto = match auto_says(&adapter) {
                Ok(why) => Auto { takes: Some("gpu"), why: format!("it {why}") },
                Err(why) => Auto { takes: Some("cpu"), why: format!("the GPU {why}") },
            };
            match gpu_side(&plan, files.kind.shape.bytes(), &adapter, gpu) {
                Ok(Some(side)) => (Ok(side), auto),
                Ok(None) => return Ok(None),
                Err(Error::Gpu(e)) if settings.choice == Choice::Auto => {
                    (Err(format!("the GPU failed: {e}")), auto)
                }
                Err(e) => return Err(e),
            }
        }
    };
    Ok(Some(found(settings, &files, (cpu, gpu), auto)))
}

/// A folder for generated frames.
fn place(settings: &Settings) -> Result<Option<TempDir>> {
    if let Source::Folder(_) = settings.source {
        return Ok(None);
    }
    let place = tempfile::Builder::new().prefix("livestack-bench-").tempdir();
    place.map(Some).map_err(|e| {
        // What tempfile says itself has a path in it.
        let why = std::io::Error::from(e.kind());
        Error::io("cannot make a folder for frames to measure with", &std::env::temp_dir(), why)
    })
}

/// The files to measure with. `None`: stopped on the way.
fn frames(settings: &Settings, config: &Config, stop: &AtomicBool) -> Result<Option<Vec<PathBuf>>> {
    match &settings.source {
        Source::Generated(w, h) => {
            Frame::generated((*w, *h)).check(settings, config, memory::room())?;
            step("generating frames");
            field::write((*w, *h), &config.out, stop)
        }
        Source::Folder(_) => Ok(Some(inputs::lights(config)?.images)),
    }
}

fn cpu_side(plan: &Plan) -> Result<Option<Side>> {
    let before = copy::cpu();
    let cpu = Cpu::default();
    let device = cpu.describe();
    peak::forget();
    let Some(night) = plan.run(cpu)? else { return Ok(None) };
    let peak = memory::peak();
    // What else the machine does meanwhile must not make the kernels look good.
    let copy = before.higher(copy::cpu());
    Ok(Some(Side::new(("cpu", device, "host"), (copy, None), night, None, (peak, plan.frames))))
}

/// `bytes`: of a frame.
fn gpu_side(plan: &Plan, bytes: usize, adapter: &Adapter, mut gpu: Gpu) -> Result<Option<Side>> {
    let giga = |rates: Vec<f64>| Spread::of(rates).map(|bytes| bytes / 1e9);
    let worth = copy::worth(memory::available()) as u64;
    let before = giga(gpu.copy_rates(worth, COPIES)?);
    let upload = giga(gpu.upload_rates(bytes, COPIES)?);
    let device = gpu.describe();
    peak::forget();
    let Some(night) = plan.run(gpu)? else { return Ok(None) };
    let peak = memory::peak();
    // Queries of time serialise the queue: a run of its own.
    let mut timed = Gpu::open(adapter, Options { timings: true, ..Options::default() })?;
    let copy = before.higher(giga(timed.copy_rates(worth, COPIES)?));
    let clock = if timed.stamped() { "timestamps" } else { "host" };
    let Some(kernels) = plan.run(timed)? else { return Ok(None) };
    let about = (peak, plan.frames);
    Ok(Some(Side::new(("gpu", device, clock), (copy, Some(upload)), night, Some(kernels.stages), about)))
}

fn found(
    settings: &Settings,
    files: &Files,
    (cpu, gpu): (Side, std::result::Result<Side, String>),
    auto: Auto,
) -> Found {
    let (gpu, no_gpu) = match gpu {
        Ok(side) => (Some(side), None),
        Err(why) => (None, Some(why)),
    };
    let (best, limit, sentence) = verdict::sentence(&cpu, gpu.as_ref(), auto.takes);
    let shape = files.kind.shape;
    Found {
        version: VERSION,
        program: env!("CARGO_PKG_VERSION"),
        frames: Frames {
            generated: matches!(settings.source, Source::Generated(..)),
            source: match &settings.source {
                Source::Generated(..) => None,
                Source::Folder(folder) => Some(folder.display().to_string()),
            },
            width: shape.width,
            height: shape.height,
            kind: shape.to_string(),
            files: files.paths.len(),
            file_bytes: files.file_bytes,
            warm_up: warm_up(),
            measured: settings.frames,
        },
        methods: settings.methods.iter().map(|method| method.name()).collect(),
        decode: Decode {
            ms: files.decode_ms,
            gb_s: rate(shape.bytes() as f64, files.decode_ms.median),
            threads: threads(),
        },
        ratio: gpu.as_ref().map(|gpu| verdict::ratio(&cpu, gpu)),
        backends: std::iter::once(cpu).chain(gpu).collect(),
        no_gpu,
        auto,
        best,
        limit: limit.name(),
        sentence,
    }
}
