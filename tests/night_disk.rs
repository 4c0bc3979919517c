//! Full disks in mid-night, through the real binary on small file systems: the stack lives on, is written when there is
//! room again, and where there never is, the exit code tells.
#![cfg(target_os = "linux")]

mod common;

use common::live::{Live, Watch, decisions, journal, light, name, records, sorted, wait_for};
use common::mounts::{Mounted, fill, may_mount};
use common::{Run, file};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// What a full disk is called.
const FULL: &str = "No space left";
/// Outputs often, so that each of them meets the full disk.
const FLAGS: &str = "--format fits,png --checkpoint 0.1 --publish-every 0.2s";
/// Room for all that a session writes, kB: two checkpoints and one on the way of some MB each, and pictures.
const ROOM: usize = 40 << 10;
/// Longer than the time between two tries.
const TRIES: Duration = Duration::from_secs(8);

/// A session on a disk of its own, or on two.
struct Scene {
    live: Live,
    ballast: PathBuf,
    _disks: Vec<Mounted>,
}

impl Scene {
    /// Outputs and session on one disk; `apart`: the session on a second one, of so many kB. `ballast`: what fills the
    /// disk that is to be full.
    fn new(apart: Option<usize>, ballast: &str) -> Scene {
        let live = Live::new();
        let mut disks = vec![Mounted::small(&live.out, ROOM)];
        // Unmounted first.
        disks.splice(0..0, apart.map(|kb| Mounted::small(&live.out.join("session"), kb)));
        let ballast = live.out.join(ballast);
        Scene { live, ballast, _disks: disks }
    }

    /// Waits until outputs and a checkpoint of so many frames are written: nothing is being written then, whose end would
    /// make room.
    fn settles(&self, frames: u64) {
        let path = self.live.out.join("session/status.json");
        let of = |v: &Value, what: &str| v[what]["stacked"].as_u64() == Some(frames);
        wait_for("outputs and a checkpoint", || {
            let status: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            (of(&status, "published") && of(&status, "checkpoint")).then_some(())
        });
    }

    /// Fills the disk but for so many kB.
    fn fill(&self, but_kb: u64) {
        fill(&self.ballast);
        let file = std::fs::OpenOptions::new().write(true).open(&self.ballast).expect("opened");
        let size = file.metadata().expect("its size").len();
        file.set_len(size.saturating_sub(but_kb << 10)).expect("made smaller");
    }

    fn free(&self) {
        std::fs::remove_file(&self.ballast).expect("removed");
    }

    /// Frames `from..to` arrive, and are stacked whatever the disk does.
    #[track_caller]
    fn stacks(&self, watch: &mut Watch, frames: std::ops::Range<usize>) {
        for k in frames {
            self.live.put(name(k), &light(k));
            watch.says(&format!("{}  stacked", name(k)));
        }
    }

    /// The outputs show so many frames, records and journal name them, each once.
    #[track_caller]
    fn complete(&self, frames: usize) {
        let names: Vec<_> = (0..frames).map(name).collect();
        let all = records(&self.live.out);
        assert_eq!(sorted(&all, "stacked"), names, "{:?}", decisions(&all));
        assert_eq!(all.len(), frames);
        let lines = journal(&self.live.out);
        let text = std::fs::read_to_string(self.live.out.join("session/journal.jsonl")).expect("a journal");
        assert_eq!(lines.len(), text.lines().count(), "half a line: {text}");
        let journalled: Vec<_> = lines.iter().filter(|l| l["line"] == "frame").collect();
        assert_eq!(journalled.len(), frames, "{lines:#?}");
        assert!(
            self.live.floats() == self.live.stacked((0..frames).map(light)),
            "the outputs are of other frames"
        );
    }

    /// What is left besides is no part of a file.
    #[track_caller]
    fn clean(&self) {
        for folder in [self.live.out.clone(), self.live.out.join("session")] {
            let names = std::fs::read_dir(&folder).expect("folder").map(|e| e.expect("entry").file_name());
            let odd: Vec<_> = names.filter(|n| n.to_string_lossy().starts_with('.')).collect();
            assert!(odd.is_empty(), "{odd:?}");
        }
    }
}

/// Asserts that none is complained of twice (pictures, checkpoint, journal), and `least` of them are.
#[track_caller]
fn complains(err: &str, least: usize) {
    let lines: Vec<_> = err.lines().filter(|l| l.contains(FULL)).collect();
    let mut kinds: Vec<_> = lines.iter().map(|l| l.split(':').nth(1)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() == lines.len() && lines.len() >= least, "{err}");
    assert!(lines.iter().all(|l| l.contains("stacking goes on")), "{err}");
}

/// Promise: where there is no room for anything (pictures, checkpoint, journal), stacking goes on with one warning for
/// each; when there is room again, all is complete, and the exit code is 0.
#[test]
fn a_disk_that_is_full_for_a_while() {
    if !may_mount("a_disk_that_is_full_for_a_while") {
        return;
    }
    let scene = Scene::new(None, "ballast");
    let mut watch = scene.live.watch(FLAGS);
    scene.stacks(&mut watch, 0..3);
    scene.settles(3);
    scene.fill(0);
    scene.stacks(&mut watch, 3..7);
    std::thread::sleep(TRIES);
    let three = records(&scene.live.out);
    assert!(three.len() < 7 && sorted(&three, "rejected").is_empty(), "the disk was not full");
    // Checkpoints do not run ahead of the journal.
    complains(&watch.err(), 2);
    scene.free();
    watch.decides(7);
    for what in ["journal", "picture"] {
        watch.says(&format!("the {what} is written again"));
    }
    scene.stacks(&mut watch, 7..8);
    let run = watch.stop().exits(0);
    assert_eq!(run.counts(), (8, 0));
    complains(&run.err, 2);
    assert!(run.warnings("written again").len() == 2, "{run:#?}");
    scene.complete(8);
    scene.clean();
    assert_eq!(scene.live.run(&format!("{FLAGS} --max-frames 8")).exits(0).counts(), (8, 0));
}

/// Promise: the same where only pictures find no room: one warning, journal and checkpoints go on meanwhile.
#[test]
fn no_room_for_pictures() {
    if !may_mount("no_room_for_pictures") {
        return;
    }
    let scene = Scene::new(Some(ROOM), "ballast");
    let mut watch = scene.live.watch(FLAGS);
    scene.stacks(&mut watch, 0..2);
    scene.settles(2);
    scene.fill(256);
    scene.stacks(&mut watch, 2..5);
    watch.says(FULL);
    std::thread::sleep(TRIES);
    complains(&watch.err(), 1);
    let frames = journal(&scene.live.out).iter().filter(|l| l["line"] == "frame").count();
    assert_eq!(frames, 5, "the journal goes on");
    scene.free();
    watch.says("the picture is written again");
    let run = watch.stop().exits(0);
    complains(&run.err, 1);
    scene.complete(5);
    scene.clean();
}

/// Promise: the same where only checkpoints find no room: one warning, pictures and journal go on, the older checkpoint
/// stays, and a kill meanwhile loses nothing.
#[test]
fn no_room_for_checkpoints() {
    if !may_mount("no_room_for_checkpoints") {
        return;
    }
    let scene = Scene::new(Some(ROOM), "session/ballast");
    let mut watch = scene.live.watch(FLAGS);
    scene.stacks(&mut watch, 0..2);
    let checkpoint = scene.live.out.join("session/checkpoint");
    scene.settles(2);
    scene.fill(256);
    scene.stacks(&mut watch, 2..5);
    watch.says(FULL);
    watch.decides(5);
    std::thread::sleep(TRIES);
    complains(&watch.err(), 1);
    assert!(checkpoint.exists());
    assert!(watch.kill());
    let mut watch = scene.live.watch(FLAGS);
    watch.says("taken up: 5 stacked");
    scene.free();
    scene.stacks(&mut watch, 5..6);
    let run = watch.stop().exits(0);
    assert_eq!(run.counts(), (6, 0));
    scene.complete(6);
    scene.clean();
}

/// Promise: where room never comes back, the program ends with exit code 1 and one line that says what failed; what is
/// missing is made up for by the next start, when there is room: nothing is lost.
#[test]
fn a_disk_that_stays_full() {
    if !may_mount("a_disk_that_stays_full") {
        return;
    }
    for ends in [true, false] {
        let scene = Scene::new(None, "ballast");
        let flags = format!("{FLAGS}{}", if ends { " --max-frames 6" } else { "" });
        let mut watch = scene.live.watch(&flags);
        scene.stacks(&mut watch, 0..3);
        scene.settles(3);
        scene.fill(0);
        scene.stacks(&mut watch, 3..6);
        let run = if ends { watch.ends() } else { watch.stop() }.exits(1);
        let last = run.err.lines().last().expect("a line");
        assert!(
            last.starts_with("livestack: ") && last.contains(FULL) && !last.contains("goes on"),
            "{run:#?}"
        );
        let before = run.err.strip_suffix(&format!("{last}\n")).expect("it ends with it");
        complains(before, 1);
        scene.free();
        let run = scene.live.run(&format!("{FLAGS} --max-frames 6")).exits(0);
        assert_eq!(run.counts(), (6, 0), "{run:#?}");
        scene.complete(6);
        scene.clean();
    }
}

/// Promise: a kill while the disk is full loses nothing either; and a watch that starts on a full disk stacks, and writes
/// when it can.
#[test]
fn killed_and_started_on_a_full_disk() {
    if !may_mount("killed_and_started_on_a_full_disk") {
        return;
    }
    let scene = Scene::new(None, "ballast");
    let mut watch = scene.live.watch(FLAGS);
    scene.stacks(&mut watch, 0..2);
    scene.settles(2);
    scene.fill(0);
    scene.stacks(&mut watch, 2..4);
    assert!(watch.kill());
    let mut watch = scene.live.watch(FLAGS);
    watch.says(&format!("{}  stacked", name(3)));
    scene.free();
    watch.decides(4);
    scene.stacks(&mut watch, 4..5);
    let run = watch.stop().exits(0);
    assert_eq!(run.counts(), (5, 0), "{run:#?}");
    scene.complete(5);
    scene.clean();
    assert!(records(&scene.live.out).iter().all(|r| file(r).starts_with("light")));
}

/// Promise: a session that begins on a full disk stacks, and writes when it can.
#[test]
fn begun_on_a_full_disk() {
    if !may_mount("begun_on_a_full_disk") {
        return;
    }
    let scene = Scene::new(None, "ballast");
    // Folders need no room, and a lock that is empty serves.
    scene.fill(0);
    let mut watch = scene.live.watch(FLAGS);
    scene.stacks(&mut watch, 0..3);
    scene.free();
    watch.decides(3);
    let run: Run = watch.stop().exits(0);
    assert_eq!(run.counts(), (3, 0));
    scene.complete(3);
    scene.clean();
    assert_eq!(scene.live.run(&format!("{FLAGS} --max-frames 3")).exits(0).counts(), (3, 0));
}

/// Promise: where only the journal finds no room, no checkpoint runs ahead of it: a kill meanwhile loses nothing, and
/// numbers are not given twice, so that the next kill loses nothing either.
#[test]
fn no_room_for_the_journal() {
    if !may_mount("no_room_for_the_journal") {
        return;
    }
    let live = Live::new();
    let mut watch = live.watch(FLAGS);
    live.lights(0..2);
    watch.decides(2);
    watch.stop().exits(0);
    // The file itself is on a disk of its own.
    let (small, own) = (live.place.path("small"), live.out.join("session/journal.jsonl"));
    let disk = Mounted::small(&small, 256);
    std::fs::copy(&own, small.join("journal")).expect("copied");
    let file = Mounted::bound(&small.join("journal"), &own);
    let scene = Scene { ballast: small.join("ballast"), live, _disks: vec![file, disk] };
    let mut watch = scene.live.watch(FLAGS);
    watch.says("the session goes on");
    scene.fill(0);
    scene.stacks(&mut watch, 2..9);
    std::thread::sleep(TRIES);
    assert!(watch.kill());
    scene.free();
    for frames in [9..11, 11..12] {
        let mut watch = scene.live.watch(FLAGS);
        scene.live.lights(frames.clone());
        watch.decides(frames.end);
        assert!(watch.kill());
    }
    let run = scene.live.run(&format!("{FLAGS} --max-frames 12")).exits(0);
    assert_eq!(run.counts(), (12, 0), "{run:#?}");
    scene.complete(12);
}

/// Promise: outputs that are written after so many frames only, and met a full disk, are written once there is room, also
/// where no frame comes any more.
#[test]
fn outputs_after_so_many_frames_are_tried_again() {
    if !may_mount("outputs_after_so_many_frames_are_tried_again") {
        return;
    }
    let scene = Scene::new(None, "ballast");
    let mut watch = scene.live.watch("--format fits --checkpoint 0.1 --publish-every 3");
    scene.stacks(&mut watch, 0..3);
    scene.settles(3);
    scene.fill(0);
    scene.stacks(&mut watch, 3..6);
    std::thread::sleep(TRIES);
    scene.free();
    scene.settles(6);
    watch.stop().exits(0);
    scene.complete(6);
}

/// Promise: a new stack that is asked for while the disk is full is not forgotten.
#[test]
fn a_new_stack_asked_for_on_a_full_disk() {
    if !may_mount("a_new_stack_asked_for_on_a_full_disk") {
        return;
    }
    let scene = Scene::new(None, "ballast");
    let mut watch = scene.live.watch("--format fits --checkpoint 0.1 --publish-every 3");
    scene.stacks(&mut watch, 0..3);
    scene.settles(3);
    scene.fill(0);
    watch.signal("-HUP");
    scene.stacks(&mut watch, 3..6);
    std::thread::sleep(TRIES);
    let finished = scene.live.out.join("ADDCOMP_stack1.fits");
    assert!(!finished.exists(), "the disk was not full");
    scene.free();
    wait_for("the finished stack", || finished.exists().then_some(()));
    watch.says("a new stack begins");
    scene.stacks(&mut watch, 6..9);
    watch.stop().exits(0);
    assert!(scene.live.floats() == scene.live.stacked((6..9).map(light)), "the new stack holds other frames");
}
