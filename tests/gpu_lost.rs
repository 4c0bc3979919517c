//! The GPU is lost in mid-night: under `auto` the session goes on with the CPU from what is on the disk, and nothing is
//! lost; a GPU that was asked for by name ends it with exit code 3, and the next start goes on.

mod common;

use clap::Parser;
use common::Place;
use common::session::{finally, lights, night};
use livestack::backend::Backend;
use livestack::backend::cpu::{Cpu, CpuBuffer};
use livestack::cli::{Cli, Command};
use livestack::error::{Error, Result, exit};
use livestack::kernels::Kernel;
use livestack::session::Plan;
use livestack::signals::Signals;
use livestack::start::{carry_on, start};
use livestack::timing::Timings;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The CPU in place of a device that is lost after so many runs of kernels.
struct Lost {
    cpu: Cpu,
    runs: usize,
    used: Arc<AtomicUsize>,
}

impl Lost {
    fn after(runs: usize) -> Lost {
        Lost { cpu: Cpu::default(), runs, used: Arc::default() }
    }

    /// What everything says once it is gone.
    fn gone(&self) -> Result<()> {
        if self.used.load(Ordering::Relaxed) < self.runs {
            Ok(())
        } else {
            Err(Error::Gpu("the device is lost".into()))
        }
    }
}

impl Backend for Lost {
    type Buffer = CpuBuffer;

    fn describe(&self) -> String {
        "a device that will be lost".into()
    }

    fn memory(&self) -> Option<u64> {
        self.cpu.memory()
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<CpuBuffer> {
        self.gone()?;
        self.cpu.alloc(label, words)
    }

    fn upload(&mut self, to: &mut CpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
        self.gone()?;
        self.cpu.upload(to, words)
    }

    fn write(&mut self, to: &mut CpuBuffer, words: &[u32]) -> Result<()> {
        self.gone()?;
        self.cpu.write(to, words)
    }

    fn read(&mut self, from: &CpuBuffer, into: &mut [u32]) -> Result<()> {
        self.gone()?;
        self.cpu.read(from, into)
    }

    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&CpuBuffer>],
        writes: &mut [Option<&mut CpuBuffer>],
    ) -> Result<()> {
        self.gone()?;
        self.used.fetch_add(1, Ordering::Relaxed);
        self.cpu.run::<K>(p, reads, writes)
    }

    fn timings(&mut self) -> &Timings {
        self.cpu.timings()
    }
}

/// Frames of the night.
const FRAMES: usize = 6;
/// What every session here is given besides its backend.
const FLAGS: &str = "--method addcomp,mean --format fits,png --json --checkpoint 0.1";

/// A session of `watch` in `place`.
fn plan(place: &Place, words: &str) -> Result<Plan> {
    let command = format!("watch {FLAGS} {words}");
    let command: Vec<String> = command.split_whitespace().map(ToOwned::to_owned).collect();
    let argv = std::iter::once("livestack".to_owned()).chain(command.iter().cloned());
    let Command::Watch(args) = Cli::parse_from(argv).command else { panic!("not watch") };
    Plan::watch(*args, &command, &place.path(""))
}

/// Runs a night on a device that is lost after `runs` kernels.
fn lose(place: &Place, words: &str, runs: usize) -> Result<()> {
    let plan = plan(place, words)?;
    carry_on(&plan.config, &plan, (Lost::after(runs), "as the test asks"), &Signals::default())
}

/// The stack of all frames, without any trouble.
fn undisturbed() -> (Place, [Vec<u8>; 2]) {
    let place = night(FRAMES);
    place.lay(1..=FRAMES);
    place.stack("--method addcomp,mean --format fits").exits(0);
    let outputs = ["output/ADDCOMP.fits", "output/MEAN.fits"].map(|name| place.bytes(name));
    std::fs::remove_dir_all(place.path("output")).expect("removed");
    (place, outputs)
}

#[track_caller]
fn assert_whole(place: &Place, outputs: &[Vec<u8>; 2], when: &str) {
    assert_eq!(finally(place, "output", "stacked"), lights(1..=FRAMES), "{when}");
    let entries = place.journal("output");
    let decided = entries.iter().filter(|e| e["line"] == "frame").count();
    assert_eq!(decided, FRAMES, "{when}: each frame is decided once");
    for (name, whole) in ["output/ADDCOMP.fits", "output/MEAN.fits"].iter().zip(outputs) {
        assert!(place.bytes(name) == *whole, "{when}: {name}");
    }
    assert!(place.path("output/latest.jpg").exists(), "{when}");
}

/// Runs of kernels that a whole night takes.
fn runs_of_a_night(place: &Place) -> usize {
    let plan = plan(place, &format!("--backend gpu --max-frames {FRAMES}")).expect("a session");
    let (device, used) = (Lost::after(usize::MAX), Arc::new(AtomicUsize::new(0)));
    let device = Lost { used: Arc::clone(&used), ..device };
    carry_on(&plan.config, &plan, (device, "as the test asks"), &Signals::default()).expect("it is not lost");
    std::fs::remove_dir_all(place.path("output")).expect("removed");
    used.load(Ordering::Relaxed)
}

/// Promise: under `auto` the night goes on with the CPU wherever the device is lost: while a frame is examined, while it
/// is stacked, while pictures or checkpoints are read from it. Every frame is in the stack once, and the stack is the
/// CPU's, bit for bit.
#[test]
fn auto_carries_on_with_the_cpu() {
    let (place, outputs) = undisturbed();
    let all = runs_of_a_night(&place);
    let step = (all / 40).max(1);
    // Steps that no stage's number of kernels divides.
    for runs in (0..all).step_by(step | 1) {
        lose(&place, &format!("--backend auto --max-frames {FRAMES}"), runs).expect("the CPU takes over");
        assert_whole(&place, &outputs, &format!("lost after {runs} of {all} kernels"));
        std::fs::remove_dir_all(place.path("output")).expect("removed");
    }
}

/// Promise: `--fresh` is obeyed once: the CPU goes on with what the lost device has begun.
#[test]
fn a_fresh_session_is_not_begun_twice() {
    let (place, outputs) = undisturbed();
    let all = runs_of_a_night(&place);
    lose(&place, "--backend auto --max-frames 2", usize::MAX).expect("an older session");
    lose(&place, &format!("--backend auto --max-frames {FRAMES} --fresh"), all / 2)
        .expect("the CPU takes over");
    assert_whole(&place, &outputs, "fresh");
    let aside = place.names("output/session").iter().filter(|n| n.starts_with("journal-")).count();
    assert_eq!(aside, 1, "one older journal");
}

/// Promise: a GPU that was asked for is not replaced: the error is that of exit code 3, and the next start goes on from
/// there without losing a frame.
#[test]
fn a_gpu_that_was_asked_for_ends_the_session() {
    let (place, outputs) = undisturbed();
    let all = runs_of_a_night(&place);
    let error =
        lose(&place, &format!("--backend gpu --max-frames {FRAMES}"), all / 2).expect_err("it is lost");
    assert!(matches!(error, Error::Gpu(_)), "{error}");
    assert_eq!(error.exit_code(), exit::BACKEND);
    let before = place.journal("output").iter().filter(|e| e["line"] == "frame").count();
    assert!(0 < before && before < FRAMES, "it was lost in mid-night: {before}");
    let plan = plan(&place, &format!("--backend cpu --max-frames {FRAMES}")).expect("it is nobody's");
    start(&plan.config, &plan, &Signals::default()).expect("it goes on");
    drop(plan);
    assert_whole(&place, &outputs, "taken up");
}
