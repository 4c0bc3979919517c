//! Where the six rules do not fit in memory, the default becomes `addcomp`; rules that were named are never dropped.

use clap::Parser;
use livestack::backend::Backend;
use livestack::backend::cpu::{Cpu, CpuBuffer};
use livestack::cli::{Cli, Command};
use livestack::config::Config;
use livestack::error::{Error, Result};
use livestack::kernels::Kernel;
use livestack::stack::stack;
use livestack::timing::Timings;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The CPU with little memory: `free` is what it says it has, `limit` the words that it really gives.
struct Small {
    cpu: Cpu,
    free: Option<u64>,
    limit: usize,
    taken: usize,
}

impl Backend for Small {
    type Buffer = CpuBuffer;

    fn describe(&self) -> String {
        "small".into()
    }

    fn free_memory(&self) -> Option<u64> {
        self.free
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<CpuBuffer> {
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
    let folder = tempfile::tempdir().expect("folder");
    let small = Small { cpu: Cpu::default(), free: Some(1000), limit: usize::MAX, taken: 0 };
    assert_eq!(pictures(small, folder.path(), &[]).expect("stacked"), ["ADDCOMP.png"]);
    let folder = tempfile::tempdir().expect("folder");
    let large = Small { cpu: Cpu::default(), free: Some(1 << 40), limit: usize::MAX, taken: 0 };
    assert_eq!(pictures(large, folder.path(), &[]).expect("stacked").len(), 6);
}

#[test]
fn a_device_that_runs_out_gets_one_rule_with_the_same_result() {
    let folder = tempfile::tempdir().expect("folder");
    let small = Small { cpu: Cpu::default(), free: None, limit: ONE_RULE, taken: 0 };
    assert_eq!(pictures(small, &folder.path().join("a"), &[]).expect("stacked"), ["ADDCOMP.png"]);
    let large = Small { cpu: Cpu::default(), free: None, limit: usize::MAX, taken: 0 };
    pictures(large, &folder.path().join("b"), &[]).expect("stacked");
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("picture");
    assert!(read("a/ADDCOMP.png") == read("b/ADDCOMP.png"), "the dark was lost on the second try");
}

#[test]
fn rules_that_were_named_are_an_error_where_they_do_not_fit() {
    let folder = tempfile::tempdir().expect("folder");
    let small = Small { cpu: Cpu::default(), free: Some(1000), limit: ONE_RULE, taken: 0 };
    let e = pictures(small, folder.path(), &["--method", "all"]).expect_err("does not fit");
    assert!(e.to_string().contains("no memory for the stack"), "{e}");
}
