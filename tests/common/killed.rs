//! Nights that are cut off by kills and taken up again, against the same night uninterrupted.

use super::live::{Live, Watch, drop_in, journal, name, other_sky, png_of, records, shot, sky};
use super::night::Shot;
use super::picture::{Picture, write_png8};
use super::sky::{Rng, Sky, eight};
use super::{Run, file};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Frames of a night.
pub(crate) const FRAMES: usize = 40;
/// Darks of the nights that have some.
const DARKS: u64 = 3;
/// Of the frames that are smaller than the others.
const SMALL: (usize, usize) = (200, 150);

/// What the frames of a night are, and what is asked for.
pub(crate) struct Script {
    pub(crate) label: &'static str,
    pub(crate) flags: &'static str,
    pub(crate) frames: Vec<Vec<u8>>,
    /// Darks, where they are subtracted: one folder for all runs, since headers name it.
    darks: Option<TempDir>,
}

/// What a session leaves that must not depend on kills.
#[derive(PartialEq)]
pub(crate) struct Left {
    /// Name and content of each f32 output.
    pub(crate) floats: Vec<(String, Vec<u8>)>,
    /// Of each frame what was decided, in the order of the records, but for what took how long.
    pub(crate) records: Vec<Value>,
}

/// The nights: clear ones with darks; with rejected frames; with a new target; with a first frame that is replaced.
pub(crate) fn scripts() -> Vec<Script> {
    let clear = |k: usize| png_of(sky(), &shot(k));
    let night = |frame: &dyn Fn(usize) -> Vec<u8>| (0..FRAMES).map(frame).collect::<Vec<_>>();
    let rejected = |k: usize| match k {
        3 | 17 | 31 => png_of(sky(), &Shot { clear: 0.05, ..shot(k) }),
        5 | 6 | 22 => png_of(sky(), &Shot { blur: 3.0, ..shot(k) }),
        9 | 28 => png_of(other_sky(), &shot(k)),
        12 => small(k),
        _ => clear(k),
    };
    let target = |k: usize| if k < 17 { clear(k) } else { png_of(other_sky(), &shot(k)) };
    let replaced = |k: usize| match k {
        0 => png_of(sky(), &Shot { blur: 2.5, clear: 0.5, ..shot(k) }),
        20 => png_of(sky(), &Shot { blur: 3.0, ..shot(k) }),
        _ => clear(k),
    };
    let script = |label, flags, frames, darks| Script { label, flags, frames, darks };
    let darks = tempfile::tempdir().expect("folder");
    (0..DARKS).for_each(|k| drop_in(darks.path(), format!("dark_{k}.png"), &png(&eight(&sky().dark(k)))));
    vec![
        script("clear", "", night(&clear), Some(darks)),
        script("rejected", "", night(&rejected), None),
        script("new target", "--restart-on-new-target=3", night(&target), None),
        script("replaced", "", night(&replaced), None),
    ]
}

fn small(k: usize) -> Vec<u8> {
    png(&eight(&Sky::new(SMALL, 30, 9).shoot(&shot(k))))
}

fn png(picture: &Picture<u8>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("frame.png");
    write_png8(&path, picture);
    std::fs::read(path).expect("the frame")
}

impl Script {
    /// The flags of every run of it. Checkpoints so often that kills hit before, during and after them.
    pub(crate) fn all_flags(&self) -> String {
        let darks = self.darks.as_ref().map_or(String::new(), |d| format!("--dark {}", d.path().display()));
        format!(
            "{} {darks} --format fits --checkpoint 0.7 --publish-every 0.2s --max-frames {}",
            self.flags,
            self.frames.len()
        )
    }

    /// The night in one go, over the files as they lie.
    pub(crate) fn uninterrupted(&self) -> Left {
        let live = Live::new();
        self.frames.iter().enumerate().for_each(|(k, bytes)| live.put(name(k), bytes));
        live.run(&self.all_flags()).exits(0);
        left(&live)
    }

    /// Asserts that the night was what its label says.
    #[track_caller]
    pub(crate) fn is_seen_in(&self, left: &Left) {
        let rejected = left.records.iter().filter(|r| r["status"] == "rejected").count();
        let stacks = left.floats.iter().filter(|(name, _)| name.contains("_stack")).count();
        let again = left.records.len().saturating_sub(FRAMES);
        let seen = (rejected > 0, stacks > 0, again > 0);
        let want = match self.label {
            "clear" => (false, false, false),
            "rejected" => (true, false, false),
            // Those that show that the target is another one are decided again.
            "new target" => (true, true, true),
            _ => (true, false, true),
        };
        let names: Vec<_> = left.records.iter().map(|r| (file(r), &r["status"], &r["reason"])).collect();
        assert_eq!(seen, want, "{}: {names:#?}", self.label);
    }
}

/// What `live` left.
pub(crate) fn left(live: &Live) -> Left {
    let mut names = live.place.names("output");
    names.retain(|n| n.ends_with(".fits"));
    let floats = names.into_iter().map(|n| (n.clone(), live.place.bytes(&format!("output/{n}")))).collect();
    Left { floats, records: records(&live.out).into_iter().map(bare).collect() }
}

/// A record without times, and without the folder that its files lie in.
fn bare(mut record: Value) -> Value {
    let fields = record.as_object_mut().expect("an object");
    fields.remove("elapsed_ms");
    for field in ["file", "reference"] {
        let short =
            fields.get(field).and_then(Value::as_str).and_then(|p| p.rsplit('/').next()).map(|n| json!(n));
        fields.extend(short.map(|n| (field.to_owned(), n)));
    }
    record
}

/// Asserts that `got` is what the uninterrupted night left, to the last bit.
#[track_caller]
pub(crate) fn same(got: &Left, want: &Left, case: &str) {
    for (k, (a, b)) in got.records.iter().zip(&want.records).enumerate() {
        assert!(a == b, "{case}: record {k}:\n{a}\n{b}");
    }
    assert_eq!(got.records.len(), want.records.len(), "{case}: records");
    let names = |left: &Left| left.floats.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(got), names(want), "{case}");
    for ((name, a), (_, b)) in got.floats.iter().zip(&want.floats) {
        assert!(a == b, "{case}: {name} differs, lengths {} {}", a.len(), b.len());
    }
}

/// Asserts that the journal names each file once as it came (what is decided again says so), in order, and none is
/// missing; entries that count no more left out.
#[track_caller]
pub(crate) fn each_once(live: &Live, count: usize, case: &str) {
    let lines = journal(&live.out);
    let number = |v: &Value| v.as_u64().expect("a number");
    let voids: Vec<_> = lines
        .iter()
        .filter(|l| l["line"] == "void")
        .map(|l| (number(&l["seq"]), number(&l["from"])..=number(&l["to"])))
        .collect();
    let counts = |seq: u64| !voids.iter().any(|(at, range)| seq < *at && range.contains(&seq));
    let frames = lines.iter().filter(|l| l["line"] == "frame" && counts(number(&l["seq"])));
    let first: Vec<_> =
        frames.filter(|l| l["again"] == false).map(|l| file(&l["frame"]).to_owned()).collect();
    assert_eq!(first, (0..count).map(name).collect::<Vec<_>>(), "{case}");
}

/// How often, and when, a night is cut off.
pub(crate) struct Cuts {
    /// After so long each, from its start.
    pub(crate) after: Vec<Duration>,
    /// Between two frames.
    pub(crate) pace: Duration,
}

impl Cuts {
    /// At a random moment of the night; and, one time in three, once more while it is taken up.
    pub(crate) fn random(rng: &mut Rng, pace: Duration) -> Cuts {
        let night = pace * FRAMES as u32;
        let mut after = vec![night.mul_f64(rng.unit())];
        if rng.below(3) == 0 {
            after.push(Duration::from_secs_f64(rng.within(0.0, 1.5)));
        }
        Cuts { after, pace }
    }
}

/// Lives through the night of `script` while frames arrive, with `cuts`, and to its end; returns the place, the last run,
/// and how many kills hit a process at work.
pub(crate) fn live_through(script: &Script, cuts: &Cuts) -> (Live, Run, usize) {
    let live = Live::new();
    let stop = AtomicBool::new(false);
    let (run, hits) = std::thread::scope(|scope| {
        // However this ends, the camera ends too.
        let _over = Over(&stop);
        scope.spawn(|| camera(&live.input, &script.frames, cuts.pace, &stop));
        let mut hits = 0;
        for after in &cuts.after {
            let watch = live.watch(&script.all_flags());
            hits += usize::from(cut(watch, *after));
        }
        (live.run(&script.all_flags()), hits)
    });
    (live, run, hits)
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills a watch after so long, or at its end; whether it was at work.
fn cut(mut watch: Watch, after: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < after && watch.runs() {
        std::thread::sleep((after - start.elapsed().min(after)).min(Duration::from_millis(5)));
    }
    watch.kill()
}

/// A frame every `pace`, whoever is there to see it.
fn camera(input: &Path, frames: &[Vec<u8>], pace: Duration, stop: &AtomicBool) {
    let start = Instant::now();
    for (k, bytes) in frames.iter().enumerate() {
        while start.elapsed() < pace * k as u32 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        drop_in(input, name(k), bytes);
    }
}
