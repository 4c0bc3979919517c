//! A live session run by the real program: frames that drop into its folder, the events it tells, and its end.

use super::geometry::shift;
use super::picture::{read_png8, write_jpeg, write_png8};
use super::sky::{Sky, eight, flat};
use super::{Place, Run};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for anything: the machine may be at work with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// Size of the frames and about how many stars each shows.
pub(crate) const SIZE: (usize, usize) = (300, 200);
const STARS: usize = 60;
/// How old files are that nobody has written to for long.
const OLD: Duration = Duration::from_secs(3600);

/// The name of frame `k` (from 1).
pub(crate) fn light(k: usize) -> String {
    format!("light_{k:02}.png")
}

/// Writes frames 1 to `count` of a drifting field into `frames/`, as files of an hour ago, and makes an empty `input/`.
pub(crate) fn night(count: usize) -> Place {
    let place = Place::new();
    place.folder("input");
    place.folder("frames");
    let sky = Sky::new(SIZE, STARS, 1);
    for k in 1..=count {
        let map = shift(1.3 * k as f64, -0.8 * k as f64);
        let path = place.path("frames").join(light(k));
        write_png8(&path, &eight(&sky.light(&map, k as u64)));
        age(&path, OLD);
    }
    place
}

/// Writes frames of the same field as JPEG files, each with its EXIF block.
pub(crate) fn jpegs(place: &Place, names: &[(&str, Option<Vec<u8>>)]) {
    let sky = Sky::new(SIZE, STARS, 1);
    for (k, (name, exif)) in names.iter().enumerate() {
        let map = shift(1.3 * k as f64, -0.8 * k as f64);
        let path = place.path(name);
        write_jpeg(&path, &eight(&sky.light(&map, k as u64)), exif.clone());
        age(&path, OLD);
    }
}

/// Sets a file's time `ago`.
pub(crate) fn age(path: &Path, ago: Duration) {
    let file = File::options().write(true).open(path).expect("the file is there");
    file.set_modified(SystemTime::now() - ago).expect("a time is set");
}

impl Place {
    /// Puts a file of `frames/` into `input/` as camera programs should: written elsewhere, renamed in.
    pub(crate) fn drop_in(&self, name: &str) {
        self.drop_as(&format!("frames/{name}"), &format!("input/{name}"));
    }

    /// The same from anywhere to anywhere.
    pub(crate) fn drop_as(&self, from: &str, to: &str) {
        let hidden = self.path(".on-its-way");
        std::fs::copy(self.path(from), &hidden).expect("copied");
        std::fs::rename(&hidden, self.path(to)).expect("renamed in");
    }

    /// Puts frames `range` into `input/`.
    pub(crate) fn drop_all(&self, range: std::ops::RangeInclusive<usize>) {
        range.for_each(|k| self.drop_in(&light(k)));
    }

    /// Lays frames `range` into `input/` as files of an hour ago: for a program that is not running.
    pub(crate) fn lay(&self, range: std::ops::RangeInclusive<usize>) {
        for k in range {
            self.drop_in(&light(k));
            age(&self.path("input").join(light(k)), OLD);
        }
    }

    /// Runs the program with words split at spaces.
    #[track_caller]
    pub(crate) fn say(&self, words: &str) -> Run {
        self.say_in("", words)
    }

    /// Runs it in a folder of the place. It must end by itself: a `watch` that should be refused may not be.
    #[track_caller]
    pub(crate) fn say_in(&self, folder: &str, words: &str) -> Run {
        let mut command = self.command();
        command.current_dir(self.path(folder)).args(words.split_whitespace());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (out, err) = (child.stdout.take().map(read), child.stderr.take().map(read));
        let text =
            |t: Option<JoinHandle<String>>| t.map(|t| t.join().expect("it is read")).unwrap_or_default();
        let start = Instant::now();
        let mut code = child.try_wait().expect("it can be asked");
        while code.is_none() && start.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
            code = child.try_wait().expect("it can be asked");
        }
        let _ = child.kill();
        let run = Run { code: code.and_then(|status| status.code()), out: text(out), err: text(err) };
        assert!(code.is_some(), "it does not end: {words}: {run:#?}");
        assert!(!run.err.contains("panicked"), "{run:#?}");
        run
    }

    /// The journal of the session in `out`.
    pub(crate) fn journal(&self, out: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(out).join("session/journal.jsonl")).expect("a journal");
        text.lines().map(|l| serde_json::from_str(l).expect("an entry a line")).collect()
    }

    /// What `status --json` says of the session in `out`.
    #[track_caller]
    pub(crate) fn status(&self, out: &str) -> Value {
        let run = self.run(["status", out, "--json"]).exits(0);
        serde_json::from_str(&run.out).expect("one object")
    }

    /// Stacks `files` of `frames/` at once with `flags`, and asserts that the FITS files in `out` are the same, byte by
    /// byte.
    #[track_caller]
    pub(crate) fn same_as_at_once(&self, out: &str, flags: &str, files: &str) {
        self.stack(&format!("{files} {flags} --format fits -o at-once")).exits(0);
        let mut fits = self.names("at-once");
        fits.retain(|name| name.ends_with(".fits"));
        assert!(!fits.is_empty());
        for name in fits {
            let same = self.bytes(&format!("{out}/{name}")) == self.bytes(&format!("at-once/{name}"));
            assert!(same, "{out}/{name} is not the stack of {files}");
        }
    }

    /// The sum of a picture's levels.
    pub(crate) fn light_of(&self, name: &str) -> f64 {
        read_png8(&self.path(name)).data.iter().map(|v| f64::from(*v)).sum()
    }
}

/// Writes a picture that no session takes besides frames of [`SIZE`].
pub(crate) fn misfit(place: &Place, name: &str) {
    write_png8(&place.path(name), &flat(100));
    age(&place.path(name), OLD);
}

/// The names of the frames with this status, as `frames.jsonl` has them in the end.
pub(crate) fn finally(place: &Place, out: &str, status: &str) -> Vec<String> {
    let records = super::night::last(place.records(out));
    super::with_status(&records, status).into_iter().map(ToOwned::to_owned).collect()
}

/// The names of frames `range`.
pub(crate) fn lights(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(light).collect()
}

/// Paths of frames `range` in `folder`, with spaces between.
pub(crate) fn paths(folder: &str, range: std::ops::RangeInclusive<usize>) -> String {
    range.map(|k| format!("{folder}/{}", light(k))).collect::<Vec<_>>().join(" ")
}

/// Reads all that comes.
fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// The program at work.
pub(crate) struct Live {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    /// All that it has told so far.
    pub(crate) events: Vec<Value>,
}

/// `watch` on the CPU, telling events, in `place`.
pub(crate) fn watch(place: &Place, words: &str) -> Live {
    let words = format!("watch --backend cpu --json {words}");
    Live::start(place.command().args(words.split_whitespace()))
}

impl Live {
    /// Starts a command that tells events.
    pub(crate) fn start(command: &mut Command) -> Live {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = read(child.stderr.take().expect("piped"));
        Live { child, lines, errors: Some(errors), events: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `enough` of all events so far; `what` is waited for.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, enough: impl Fn(&[Value]) -> bool) {
        let start = Instant::now();
        while !enough(&self.events) {
            match self.lines.recv_timeout(PAUSE) {
                Ok(line) => self.take(&line),
                Err(RecvTimeoutError::Timeout) if start.elapsed() < PATIENCE => {}
                end => panic!("not {what}: {end:?} after {:?}: {}", start.elapsed(), self.told()),
            }
        }
    }

    #[track_caller]
    fn take(&mut self, line: &str) {
        let event = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: no JSON: {line:?}"));
        self.events.push(event);
    }

    /// Waits for the `count`th event of this name.
    #[track_caller]
    pub(crate) fn until_event(&mut self, name: &str, count: usize) {
        let what = format!("{count} events {name}");
        self.until(&what, |events| events.iter().filter(|e| e["event"] == name).count() >= count);
    }

    /// Waits until `count` frames are decided.
    #[track_caller]
    pub(crate) fn until_decided(&mut self, count: usize) {
        self.until(&format!("{count} frames decided"), |events| {
            events.iter().filter(|e| e["event"] == "stacked" || e["event"] == "rejected").count() >= count
        });
    }

    /// Waits until the outputs show `count` frames.
    #[track_caller]
    pub(crate) fn until_published(&mut self, count: u64) {
        self.until(&format!("{count} frames published"), |events| {
            events.iter().any(|e| e["event"] == "published" && e["stacked"].as_u64() >= Some(count))
        });
    }

    /// All events of this name so far.
    pub(crate) fn all(&self, name: &str) -> Vec<&Value> {
        self.events.iter().filter(|e| e["event"] == name).collect()
    }

    /// The names and fields that matter, for a message.
    fn told(&self) -> String {
        let short = |e: &Value| {
            let text = if e["event"] == "warning" { e["message"].to_string() } else { String::new() };
            format!("{} {text}", e["event"].as_str().unwrap_or("?"))
        };
        self.events.iter().map(short).collect::<Vec<_>>().join(", ")
    }

    /// Sends a signal: `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        send(self.pid(), name);
    }

    /// Cuts it off: what it told is read, nothing else is asserted.
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
        self.rest();
        std::mem::take(&mut self.events)
    }

    fn rest(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            // Cut off, the last line may be half a one.
            if let Ok(event) = serde_json::from_str(&line) {
                self.events.push(event);
            }
        }
    }

    /// Waits for its end with this code; returns the events and what it said on stderr.
    #[track_caller]
    pub(crate) fn exits(mut self, code: i32) -> (Vec<Value>, String) {
        let status = self.wait();
        self.rest();
        let err = self.errors.take().map(|t| t.join().expect("stderr is read")).unwrap_or_default();
        assert!(!err.contains("panicked"), "{err}");
        assert_eq!(status.code(), Some(code), "{}\nstderr: {err}", self.told());
        (std::mem::take(&mut self.events), err)
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.told());
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it as the system does, and asserts that it ended well.
    #[track_caller]
    pub(crate) fn end(self) -> (Vec<Value>, String) {
        self.signal("-TERM");
        self.exits(0)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {name} {pid}");
}

/// Waits until the program hears what happens in its folder: what comes from then on is no old file.
#[track_caller]
pub(crate) fn until_it_listens(live: &Live) {
    until("it hears events", || listens(live));
}

/// Whether the system tells the program what happens in a folder.
pub(crate) fn listens(live: &Live) -> bool {
    let files = std::fs::read_dir(format!("/proc/{}/fdinfo", live.pid())).into_iter().flatten().flatten();
    let mut texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.any(|text| text.contains("inotify wd:"))
}

/// Waits for something that no event tells.
#[track_caller]
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "not {what} after {:?}", start.elapsed());
        std::thread::sleep(PAUSE);
    }
}

/// The last event of this name.
#[track_caller]
pub(crate) fn last<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().rfind(|e| e["event"] == name).unwrap_or_else(|| panic!("no event {name}"))
}
