//! A watch that runs while a test does things to its folder: started, fed, waited for, killed, asked.

use super::geometry::shift;
use super::night::Shot;
use super::picture::write_png8;
use super::sky::{Sky, eight};
use super::{Place, Run, file};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long anything is waited for: far longer than it takes, since machines may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks while something is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// How long a test watches that nothing more happens.
pub(crate) const SILENCE: Duration = Duration::from_millis(1500);
/// Sides of the frames, px; and how many stars they show.
const SIZE: (usize, usize) = (300, 200);
const STARS: usize = 60;
/// The field drifts by so much from frame to frame, px.
const DRIFT: (f64, f64) = (0.7, -0.4);

/// Bytes of a card and of a block of a FITS file.
const CARD: usize = 80;
const BLOCK: usize = 2880;

/// The sky that all frames of [`light`] show.
pub(crate) fn sky() -> &'static Sky {
    static SKY: OnceLock<Sky> = OnceLock::new();
    SKY.get_or_init(|| Sky::new(SIZE, STARS, 1))
}

/// Another field.
pub(crate) fn other_sky() -> &'static Sky {
    static SKY: OnceLock<Sky> = OnceLock::new();
    SKY.get_or_init(|| Sky::new(SIZE, STARS, 2))
}

/// Where frame `k` is in the drift.
pub(crate) fn shot(k: usize) -> Shot {
    Shot::new(shift(DRIFT.0 * k as f64, DRIFT.1 * k as f64), k as u64)
}

/// A PNG file of `sky` under the conditions of `shot`.
pub(crate) fn png_of(sky: &Sky, shot: &Shot) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("frame.png");
    write_png8(&path, &eight(&sky.shoot(shot)));
    std::fs::read(path).expect("the frame")
}

/// The PNG file of clear frame `k`.
pub(crate) fn light(k: usize) -> Vec<u8> {
    png_of(sky(), &shot(k))
}

/// Writes a file under a hidden name and renames it: it is there whole or not at all.
pub(crate) fn drop_in(folder: &Path, name: impl AsRef<OsStr>, bytes: &[u8]) {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name.as_ref());
    hidden.push(".part");
    let hidden = folder.join(hidden);
    std::fs::write(&hidden, bytes).expect("written");
    std::fs::rename(&hidden, folder.join(name.as_ref())).expect("renamed");
}

/// Waits until `done` has a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {} s for {what}", DEADLINE.as_secs());
        std::thread::sleep(LOOK);
    }
}

/// The records in `out/frames.jsonl` so far; a line that is being written is none.
pub(crate) fn records(out: &Path) -> Vec<Value> {
    let text = std::fs::read(out.join("frames.jsonl")).unwrap_or_default();
    let lines = text.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n"));
    lines.map(|l| serde_json::from_slice(l).expect("a record a line")).collect()
}

/// Lines of the journal in `out/session`, each an object.
pub(crate) fn journal(out: &Path) -> Vec<Value> {
    let text = std::fs::read(out.join("session/journal.jsonl")).expect("a journal");
    let lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines.filter_map(|l| serde_json::from_slice(l).ok()).collect()
}

/// Name and status of each record, in order.
pub(crate) fn decisions(records: &[Value]) -> Vec<(String, String)> {
    let status = |r: &Value| r["status"].as_str().expect("status").to_owned();
    records.iter().map(|r| (file(r).to_owned(), status(r))).collect()
}

/// The names of the records with this status, sorted: one that is there twice shows.
pub(crate) fn sorted(records: &[Value], status: &str) -> Vec<String> {
    let mut names: Vec<_> = super::with_status(records, status).into_iter().map(ToOwned::to_owned).collect();
    names.sort();
    names
}

/// A place with `input/`, whose watch writes to `output/`.
pub(crate) struct Live {
    pub(crate) place: Place,
    pub(crate) input: PathBuf,
    pub(crate) out: PathBuf,
}

impl Live {
    pub(crate) fn new() -> Live {
        let place = Place::new();
        let (input, out) = (place.folder("input"), place.path("output"));
        Live { place, input, out }
    }

    /// Drops a whole file into the folder.
    pub(crate) fn put(&self, name: impl AsRef<OsStr>, bytes: &[u8]) {
        drop_in(&self.input, name, bytes);
    }

    /// Clear frames `from..to` at once, `light_01.png` and so on.
    pub(crate) fn lights(&self, frames: std::ops::Range<usize>) {
        frames.for_each(|k| self.put(name(k), &light(k)));
    }

    /// `watch` on the CPU with `flags` (words), to be changed before it starts.
    pub(crate) fn command(&self, flags: &str) -> Command {
        let mut command = self.place.command();
        command.arg("watch").arg(&self.input).arg("-o").arg(&self.out).args(["--backend", "cpu"]);
        if !flags.contains("--method") {
            command.args(["--method", "mean,addcomp"]);
        }
        command.args(flags.split_whitespace());
        command
    }

    /// Starts `watch` with `flags` (words).
    pub(crate) fn watch(&self, flags: &str) -> Watch {
        self.start(self.command(flags))
    }

    /// Starts what [`Live::command`] gave.
    pub(crate) fn start(&self, mut command: Command) -> Watch {
        let texts = ["watch.out", "watch.err"].map(|name| self.place.path(name));
        let open = |path: &PathBuf| File::create(path).expect("a file for what it says");
        command.stdout(Stdio::from(open(&texts[0]))).stderr(Stdio::from(open(&texts[1])));
        let child = command.spawn().expect("the program starts");
        Watch { child, out: self.out.clone(), texts }
    }

    /// Runs `watch` to its own end, which `flags` give it.
    pub(crate) fn run(&self, flags: &str) -> Run {
        self.watch(flags).ends()
    }

    /// Runs `stack` over these frames in this order; the pixels of the f32 outputs as [`Live::floats`] has them.
    pub(crate) fn stacked(&self, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let folder = self.place.folder("again");
        let files = frames.into_iter().enumerate().map(|(k, bytes)| {
            let path = folder.join(format!("{k}.png"));
            std::fs::write(&path, bytes).expect("written");
            path
        });
        let mut command = self.place.command();
        command.args(["stack", "--backend", "cpu", "--method", "mean,addcomp"]).args(["--format", "fits"]);
        command.arg("-o").arg(self.place.path("whole")).args(files);
        Run::of(&command.output().expect("the program starts")).exits(0);
        pixels(&self.place.path("whole"))
    }

    /// The bytes of the pixels of the f32 outputs.
    pub(crate) fn floats(&self) -> Vec<Vec<u8>> {
        pixels(&self.out)
    }
}

/// The bytes of the pixels of the FITS files in a folder: headers name files.
fn pixels(out: &Path) -> Vec<Vec<u8>> {
    let read = |name: &str| {
        let bytes = std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let end = bytes.chunks(CARD).position(|card| card.trim_ascii_end() == b"END").expect("a header");
        bytes[(end * CARD).next_multiple_of(BLOCK)..].to_vec()
    };
    ["MEAN.fits", "ADDCOMP.fits"].map(read).to_vec()
}

/// The name of frame `k` (from 0).
pub(crate) fn name(k: usize) -> String {
    format!("light_{:02}.png", k + 1)
}

/// A watch under way; killed when it goes out of scope.
pub(crate) struct Watch {
    child: Child,
    out: PathBuf,
    texts: [PathBuf; 2],
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.texts[1]).unwrap_or_default()).into_owned()
    }

    /// What it has said on stdout so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.texts[0]).unwrap_or_default()).into_owned()
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Waits until `done` has a value for the records; the watch must not end before.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, done: impl Fn(&[Value]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let now = records(&self.out);
            if let Some(value) = done(&now) {
                return value;
            }
            let runs = self.runs();
            let late = start.elapsed() >= DEADLINE;
            assert!(
                runs && !late,
                "{} before {what}: {:?}\nstdout:\n{}\nstderr:\n{}",
                if runs { "the deadline" } else { "it ended" },
                decisions(&now),
                self.said(),
                self.err()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until there are so many records.
    #[track_caller]
    pub(crate) fn decides(&mut self, count: usize) -> Vec<Value> {
        self.until(&format!("{count} decisions"), |all| (all.len() >= count).then(|| all.to_vec()))
    }

    /// Waits until the last record of the file is one with this status; returns that.
    #[track_caller]
    pub(crate) fn decided(&mut self, name: &str, status: &str) -> Value {
        let last = |all: &[Value]| all.iter().rfind(|r| file(r) == name).cloned();
        self.until(&format!("{name} is {status}"), |all| last(all).filter(|r| r["status"] == status))
    }

    /// Waits until it says this on stderr (or stdout).
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) {
        let (out, err) = (self.texts[0].clone(), self.texts[1].clone());
        let text =
            |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        self.until(&format!("it says {words:?}"), |_| {
            (text(&out).contains(words) || text(&err).contains(words)).then_some(())
        });
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Kills it: no more than a power cut leaves. Whether it was still at work.
    pub(crate) fn kill(mut self) -> bool {
        let runs = self.runs();
        let _ = self.child.kill();
        self.child.wait().expect("it ends");
        runs
    }

    /// Asks it to end, and waits.
    #[track_caller]
    pub(crate) fn stop(self) -> Run {
        self.signal("-TERM");
        self.ends()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Run {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "it does not end\nstdout:\n{}\nstderr:\n{}",
                self.said(),
                self.err()
            );
            std::thread::sleep(LOOK);
        };
        let run = Run { code: status.code(), out: self.said(), err: self.err() };
        assert!(!run.err.contains("panicked") && !run.out.contains("panicked"), "{run:#?}");
        run
    }
}

impl Run {
    /// How many were stacked and rejected, as the end of a watch says.
    #[track_caller]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let line = self.out.lines().rev().find(|l| l.contains(" stacked, ") && !l.contains("taken up"));
        let line = line.unwrap_or_else(|| panic!("it does not say how many: {self:#?}"));
        let number = |word: &str| word.parse().unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let words: Vec<&str> = line.split([' ', ',', ';']).filter(|w| !w.is_empty()).collect();
        (number(words[0]), number(words[2]))
    }

    /// The lines on stderr with these words.
    pub(crate) fn warnings(&self, words: &str) -> Vec<&str> {
        self.err.lines().filter(|l| l.contains(words)).collect()
    }
}

/// A number of a line of `/proc/PID/status`, kB or as it is.
pub(crate) fn proc_number(pid: u32, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many file descriptors a process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Opens a file to write it piece by piece.
pub(crate) fn open_new(path: &Path) -> File {
    OpenOptions::new().write(true).create(true).truncate(true).open(path).expect("opened")
}
