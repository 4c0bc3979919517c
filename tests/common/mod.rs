//! What the black-box tests share: a fresh folder, the built binary, frames with a known truth.

#![allow(dead_code, reason = "every test file uses its own part of this module")]

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Once, OnceLock};
use tempfile::TempDir;

pub(crate) mod browser;
pub(crate) mod camera;
pub(crate) mod exif;
pub(crate) mod geometry;
pub(crate) mod killed;
pub(crate) mod live;
pub(crate) mod mosaic;
pub(crate) mod mounts;
pub(crate) mod night;
pub(crate) mod picture;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod sky;

/// Said once, past the test harness, which hides what passing tests print.
static SKIPPED: Once = Once::new();
/// What `--backend gpu` computes on.
static GPU: OnceLock<String> = OnceLock::new();

/// The backends that every test of pixels and poses runs on. No GPU is a failure, unless the environment says
/// `LIVESTACK_TEST_GPU=skip`.
pub(crate) fn backends() -> Vec<&'static str> {
    if std::env::var_os("LIVESTACK_TEST_GPU").is_some_and(|v| v == "skip") {
        SKIPPED.call_once(|| {
            let text = "\n*** LIVESTACK_TEST_GPU=skip: NOTHING IN THIS FILE IS TESTED ON THE GPU ***";
            let _ = writeln!(std::io::stderr(), "{text}");
        });
        return vec!["cpu"];
    }
    assert_ne!(
        describe("cpu"),
        *GPU.get_or_init(|| describe("gpu")),
        "--backend gpu ran on the CPU: these tests would compare the CPU with itself"
    );
    vec!["cpu", "gpu"]
}

/// What a run says that it computes on.
fn describe(backend: &str) -> String {
    let place = Place::new();
    let light = golden().join("level8/input/light_1.png");
    let run =
        place.stack_on(backend, &format!("--json --no-align --method add {}", light.display())).exits(0);
    let events = run.events();
    let start = events.iter().find(|e| e["event"] == "start").expect("an event at the start");
    start["backend"].as_str().expect("it names the backend").to_owned()
}

/// The folder of the golden data.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden")
}

/// The program, to be run in `folder`.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("livestack").expect("the binary is built before its tests");
    command.current_dir(folder).stdin(Stdio::null());
    // Never the user's own.
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
}

/// What a run left: exit code and texts.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Of a finished process. No run may ever show a panic.
    pub(crate) fn of(output: &Output) -> Run {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let run = Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        assert!(!run.err.contains("panicked") && !run.out.contains("panicked"), "{run:#?}");
        run
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The events of a `--json` run: every line of stdout must be one.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |l: &str| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: no JSON: {l:?}"));
        self.out.lines().map(parse).collect()
    }
}

/// A fresh folder that is removed in the end; runs have it as their working folder.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { dir: tempfile::Builder::new().prefix("livestack-test-").tempdir().expect("temporary folder") }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("folder");
        path
    }

    pub(crate) fn command(&self) -> Command {
        program(self.dir.path())
    }

    /// Runs the program with `args` as they are.
    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        Run::of(&self.command().args(args).output().expect("the program starts"))
    }

    /// Runs `bench` with `args` (words, split at spaces); nothing is left in the cache of whoever runs the tests.
    pub(crate) fn bench(&self, args: &str) -> Run {
        let mut command = self.command();
        command.env("XDG_CACHE_HOME", self.path("cache")).arg("bench").args(args.split_whitespace());
        Run::of(&command.output().expect("the program starts"))
    }

    /// Runs `stack` on the CPU with `args` (words, split at spaces).
    pub(crate) fn stack(&self, args: &str) -> Run {
        self.stack_on("cpu", args)
    }

    /// Runs `stack` on a backend with `args` (words, split at spaces).
    pub(crate) fn stack_on(&self, backend: &str, args: &str) -> Run {
        self.run(["stack", "--backend", backend].into_iter().chain(args.split_whitespace()))
    }

    /// The records of `frames.jsonl` in folder `out`.
    pub(crate) fn records(&self, out: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(out).join("frames.jsonl")).expect("frames.jsonl");
        text.lines().map(|l| serde_json::from_str(l).expect("a record a line")).collect()
    }

    /// The names in a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).expect("folder");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// The last component of a record's `file`.
pub(crate) fn file(record: &Value) -> &str {
    let path = record["file"].as_str().expect("file");
    path.rsplit('/').next().unwrap_or(path)
}

/// The names of the frames with this status, in order.
pub(crate) fn with_status<'a>(records: &'a [Value], status: &str) -> Vec<&'a str> {
    records.iter().filter(|r| r["status"] == status).map(file).collect()
}
