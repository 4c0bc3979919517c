//! Where the six rules do not fit in memory, the default becomes `addcomp`; rules that were named are never dropped: they
//! are refused with what would fit. What an engine allocates is what the formula says.

use clap::Parser;
use livestack::align::AlignTo;
use livestack::align::motion::Motion;
use livestack::backend::Backend;
use livestack::backend::cpu::{Cpu, CpuBuffer};
use livestack::cli::{Cli, Command};
use livestack::config::Config;
use livestack::engine::{Engine, Setup};
use livestack::error::{Error, Result};
use livestack::frame::{SampleType, Shape};
use livestack::kernels::Kernel;
use livestack::master::{About, Master, Masters, Plan, Wishes};
use livestack::memory::need::{Habits, Night};
use livestack::rules::Method;
use livestack::sensor::{Bayer, NO_MATRIX, Sensor};
use livestack::stack::stack;
use livestack::timing::Timings;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The CPU with little memory: `free` is what it says it has in all, `limit` the words that it really gives for stacks;
/// `all` counts those of all buffers.
#[derive(Default)]
struct Small {
    cpu: Cpu,
    free: Option<u64>,
    limit: usize,
    taken: usize,
    all: usize,
}

impl Backend for Small {
    type Buffer = CpuBuffer;

    fn describe(&self) -> String {
        "small".into()
    }

    fn memory(&self) -> Option<u64> {
        self.free
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<CpuBuffer> {
        self.all += words;
        if label == "raw frame" {
            // Another engine: what the one before had is gone.
            self.taken = 0;
        }
        if label == "stack" {
            self.taken += words;
            if self.taken > self.limit {
                self.taken = 0;
                return Err(Error::Gpu(format!("no memory for the {label}")));
            }
        }
        self.cpu.alloc(label, words)
    }

    fn upload(&mut self, to: &mut CpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
        self.cpu.upload(to, words)
    }

    fn write(&mut self, to: &mut CpuBuffer, words: &[u32]) -> Result<()> {
        self.cpu.write(to, words)
    }

    fn read(&mut self, from: &CpuBuffer, into: &mut [u32]) -> Result<()> {
        self.cpu.read(from, into)
    }

    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&CpuBuffer>],
        writes: &mut [Option<&mut CpuBuffer>],
    ) -> Result<()> {
        self.cpu.run::<K>(p, reads, writes)
    }

    fn timings(&mut self) -> &Timings {
        self.cpu.timings()
    }
}

/// Stacks the small golden frames and returns the names of the pictures.
fn pictures(backend: Small, out: &Path, flags: &[&str]) -> Result<Vec<String>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden/level8");
    let (input, dark) = (data.join("input"), data.join("dark"));
    let mut args = vec!["livestack".as_ref(), "stack".as_ref(), input.as_os_str(), "--no-align".as_ref()];
    args.extend(["--dark".as_ref(), dark.as_os_str(), "--out".as_ref(), out.as_os_str()]);
    args.extend(flags.iter().map(|f| std::ffi::OsStr::new(*f)));
    let Command::Stack(args) = Cli::parse_from(args).command else { panic!("not stack") };
    stack(
        &Config::new(args.input, args.out, args.flags)?,
        backend,
        "as the test asks",
        &AtomicBool::new(false),
    )?;
    let mut names: Vec<String> = std::fs::read_dir(out)
        .expect("output folder")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|n| n.ends_with(".png"))
        .collect();
    names.sort();
    Ok(names)
}

/// Words of one rule's stack of the golden frames: 41 px padded to 44, 29 rows, 3 planes.
const ONE_RULE: usize = 44 * 29 * 3;

#[test]
fn what_the_system_says_is_free_decides_before_anything_is_allocated() {
    // The least that anything fits in is what one rule takes: of such small frames five stacks are 80 KB.
    const STEP: u64 = 8000;
    let run = |free: u64| {
        let folder = tempfile::tempdir().expect("folder");
        pictures(Small { free: Some(free), limit: usize::MAX, ..Small::default() }, folder.path(), &[])
    };
    let least = (0..).map(|k| k * STEP + (40 << 20)).find_map(|free| run(free).ok().map(|all| (free, all)));
    let (free, all) = least.expect("one fits");
    assert_eq!(all, ["ADDCOMP.png"], "{free}");
    assert!(run(free - 2 * STEP).is_err());
    assert_eq!(run(free + 1_000_000).expect("stacked").len(), 6);
    assert_eq!(run(1 << 40).expect("stacked").len(), 6);
}

#[test]
fn a_device_that_runs_out_gets_one_rule_with_the_same_result() {
    let folder = tempfile::tempdir().expect("folder");
    let small = Small { free: None, limit: ONE_RULE, ..Small::default() };
    assert_eq!(pictures(small, &folder.path().join("a"), &[]).expect("stacked"), ["ADDCOMP.png"]);
    let large = Small { free: None, limit: usize::MAX, ..Small::default() };
    pictures(large, &folder.path().join("b"), &[]).expect("stacked");
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("picture");
    assert!(read("a/ADDCOMP.png") == read("b/ADDCOMP.png"), "the dark was lost on the second try");
}

#[test]
fn rules_that_were_named_are_an_error_where_they_do_not_fit() {
    let folder = tempfile::tempdir().expect("folder");
    // Told beforehand: not even the program itself fits.
    let small = Small { free: Some(1000), limit: ONE_RULE, ..Small::default() };
    let e = pictures(small, folder.path(), &["--method", "all"]).expect_err("does not fit");
    let (text, code) = (e.to_string(), e.exit_code());
    assert!(text.contains("6 rules over frames of 41x29") && text.contains("nothing fits"), "{text}");
    assert_eq!(code, 1);
    // Found out when it allocates, by trying: `addmax` and `addmax2` share a stack, half size takes 840 words of 3828.
    for (limit, says) in [
        (
            3 * ONE_RULE,
            "what fits: 4 of the 6 rules (--method add,add2,addmax,addmax2), or the same at half size (--bin 2)",
        ),
        (ONE_RULE, "what fits: 1 of the 6 rules (--method add), or at half size (--bin 2) 5 of the 6 rules"),
        (ONE_RULE / 3, "what fits: at half size (--bin 2) 1 of the 6 rules (--method add)"),
        (10, "nothing fits"),
    ] {
        let small = Small { limit, ..Small::default() };
        let e = pictures(small, folder.path(), &["--method", "all"]).expect_err("does not fit").to_string();
        assert!(e.contains("no memory for the stack") && e.contains(says), "{limit}: {e}");
    }
}

#[test]
fn at_half_size_there_is_no_smaller_one() {
    let folder = tempfile::tempdir().expect("folder");
    let small = Small { limit: 10, ..Small::default() };
    let e = pictures(small, folder.path(), &["--method", "all", "--bin", "2"]).expect_err("does not fit");
    assert!(e.to_string().contains("nothing fits"), "{e}");
}

/// Bytes that the formula has an engine allocate, and those that it does.
fn allocated(
    size: (usize, usize),
    wishes: Wishes,
    masters: &Masters,
    rest: (Shape, &[Method], bool),
) -> (u64, u64) {
    let (kind, methods, align) = rest;
    let frame = Shape { width: size.0, height: size.1, ..kind };
    let sensor = if frame.mosaic.is_some() { Sensor::LINEAR } else { Sensor::DISPLAY };
    let plan = Plan::new((frame, &sensor), 255.0, masters, &wishes).expect("a plan");
    let setup = Setup {
        frame,
        shape: plan.canvas,
        white: 255.0,
        methods: methods.to_vec(),
        align,
        motion: Motion::Homography,
        align_to: AlignTo::First,
        matrix: NO_MATRIX,
        tones: align,
    };
    let said = Night::new(&setup, &plan, Habits::default()).engine();
    let small = Small { limit: usize::MAX, ..Small::default() };
    let Ok(engine) = Engine::new(small, setup, plan) else { panic!("an engine") };
    (said, 4 * engine.into_backend().all as u64)
}

/// Promise: the formula is what is allocated, to the byte, for every kind of frame, dark, flat, rules, at full size and
/// half; alignment adds what does not depend on the size.
#[test]
fn the_formula_is_what_an_engine_allocates() {
    let size = (301, 203);
    let kind = |channels, sample, mosaic| Shape { width: size.0, height: size.1, channels, sample, mosaic };
    let kinds = [
        kind(3, SampleType::U8, None),
        kind(1, SampleType::U8, None),
        kind(3, SampleType::U16, None),
        kind(1, SampleType::F32, None),
        kind(1, SampleType::U16, Some(Bayer::Rggb)),
    ];
    let all: &[Method] = Method::ALL;
    for kind in kinds {
        let master = |level: f32| {
            let levels = vec![level; kind.samples()];
            Some(Master { shape: kind, levels, frames: 3, about: About::default() })
        };
        let linear = kind.mosaic.is_some();
        let mut masters = vec![
            Masters::default(),
            Masters { dark: master(3.0), ..Masters::default() },
            Masters { dark: master(1.0 / 3.0), ..Masters::default() },
        ];
        if linear {
            masters.push(Masters { dark: master(3.0), flat: master(9.0), ..Masters::default() });
        }
        for (masters, bin) in masters.iter().flat_map(|m| [(m, 1), (m, 2)]) {
            for repair in [true, false] {
                let wishes = Wishes { bin, repair, ..Wishes::USUAL };
                for methods in [&all[..1], &[Method::Mean], all] {
                    let (said, got) = allocated(size, wishes, masters, (kind, methods, false));
                    assert_eq!(said, got, "{kind}, bin {bin}, repair {repair}, {methods:?}");
                }
                let (said, got) = allocated(size, wishes, masters, (kind, &all[..1], true));
                let (twice, got_twice) =
                    allocated((602, 406), wishes, &Masters::default(), (kind, &all[..1], true));
                let (small, got_small) =
                    allocated(size, wishes, &Masters::default(), (kind, &all[..1], true));
                assert_eq!(got - said, got_small - small, "{kind}");
                assert_eq!(
                    got_twice - twice,
                    got_small - small,
                    "{kind}: alignment's own grows with the frame"
                );
            }
        }
    }
}
