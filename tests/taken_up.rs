//! Sessions that are taken up from what is damaged: checkpoints, the journal, frames that are gone. Through the real
//! binary.
#![cfg(unix)]

mod common;

use common::Run;
use common::live::{Live, decisions, journal, light, name, records, sorted, wait_for};
use std::path::PathBuf;
use std::time::Duration;

/// Frames before the cut, and after it.
const CUT: usize = 6;
const ALL: usize = 8;
const FLAGS: &str = "--format fits --publish-every 0.2s";
/// No checkpoint but those that a test waits for.
const NEVER: &str = "--checkpoint 3600";

/// A session that was killed after [`CUT`] frames; `checkpoints`: it had two checkpoints, of different frames, else none.
fn cut(checkpoints: bool) -> Live {
    let live = Live::new();
    if !checkpoints {
        let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
        live.lights(0..CUT);
        watch.decides(CUT);
        assert!(watch.kill());
        return live;
    }
    // The end of a run is a checkpoint, whatever the clock says.
    for frames in [0..2, 2..4] {
        let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
        live.lights(frames.clone());
        watch.decides(frames.end);
        watch.stop().exits(0);
    }
    let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
    live.lights(4..CUT);
    watch.decides(CUT);
    assert!(watch.kill());
    assert!(paths(&live).iter().all(|p| p.exists()));
    live
}

/// The newer checkpoint, the older one.
fn paths(live: &Live) -> [PathBuf; 2] {
    ["checkpoint", "checkpoint.previous"].map(|n| live.out.join("session").join(n))
}

/// Takes the session up, adds the last frames, and asserts that all but `missing` are stacked once.
#[track_caller]
fn to_the_end(live: &Live, missing: &[usize], case: &str) -> Run {
    let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
    live.lights(CUT..ALL);
    watch.decided(&name(ALL - 1), "stacked");
    let run = watch.stop().exits(0);
    let there: Vec<_> = (0..ALL).filter(|k| !missing.contains(k)).collect();
    let all = records(&live.out);
    let names: Vec<_> = there.iter().map(|k| name(*k)).collect();
    assert_eq!(sorted(&all, "stacked"), names, "{case}: {:?}\n{run:#?}", decisions(&all));
    assert_eq!(run.counts(), (there.len(), 0), "{case}: {run:#?}");
    assert!(
        live.floats() == live.stacked(there.into_iter().map(light)),
        "{case}: not the stack of its frames"
    );
    run
}

/// What happens to a checkpoint.
type Spoil = fn(&PathBuf);

/// Changes a byte in the middle of a file.
fn damage(path: &PathBuf) {
    let mut bytes = std::fs::read(path).expect("read");
    let at = bytes.len() / 2;
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).expect("written");
}

/// Cuts a file in the middle.
fn halve(path: &PathBuf) {
    let bytes = std::fs::read(path).expect("read");
    std::fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
}

/// Makes a checkpoint one of another version: that follows the 8 bytes of the magic.
fn other_version(path: &PathBuf) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[8] ^= 0x7f;
    std::fs::write(path, bytes).expect("written");
}

fn empty(path: &PathBuf) {
    std::fs::write(path, b"").expect("written");
}

/// The line that says how many frames came from a checkpoint, and how many are read again.
#[track_caller]
fn goes_on(run: &Run, from: usize, again: usize, case: &str) {
    let words = format!("the session goes on: {from} frames from its checkpoint, {again} are read again");
    assert!(run.out.contains(&words), "{case}: {run:#?}");
}

/// Promise: a damaged, cut or empty checkpoint, or one of another version, falls back to the older one; both damaged, to
/// the folder; one line says so. Nothing is lost.
#[test]
fn damaged_checkpoints() {
    let damages: [(&str, Spoil); 4] =
        [("damaged", damage), ("halved", halve), ("of another version", other_version), ("empty", empty)];
    for (case, spoil) in damages {
        let live = cut(true);
        spoil(&paths(&live)[0]);
        let run = to_the_end(&live, &[], case);
        goes_on(&run, 2, CUT - 2, case);
        let lines = run.warnings("the older one, of 2 frames, is taken");
        assert_eq!((lines.len(), run.err.lines().count()), (1, 1), "{case}: {run:#?}");

        let live = cut(true);
        paths(&live).iter().for_each(spoil);
        let run = to_the_end(&live, &[], case);
        goes_on(&run, 0, CUT, case);
        let lines = run.warnings(&format!("all {CUT} frames are read again"));
        assert_eq!((lines.len(), run.err.lines().count()), (1, 1), "{case}: {run:#?}");
    }
    // Controls: whole ones, and none.
    let live = cut(true);
    let run = to_the_end(&live, &[], "whole");
    goes_on(&run, 4, CUT - 4, "whole");
    assert_eq!(run.err, "");
    let live = cut(false);
    let run = to_the_end(&live, &[], "none");
    goes_on(&run, 0, CUT, "none");
    assert_eq!(run.err, "");
}

/// Promise: what a kill leaves of a checkpoint that was being written is swept away.
#[test]
fn unfinished_checkpoints_are_swept() {
    let live = cut(true);
    let half = live.out.join("session/.livestack-checkpoint-abc.tmp");
    std::fs::write(&half, b"half").expect("written");
    to_the_end(&live, &[], "unfinished");
    assert!(!half.exists());
}

/// Promise: a journal that was cut in mid-line is read up to there, with one line saying so: the frame of that line is
/// decided again.
#[test]
fn a_journal_that_is_cut_in_mid_line() {
    for checkpoints in [true, false] {
        let live = cut(checkpoints);
        let path = live.out.join("session/journal.jsonl");
        let text = std::fs::read(&path).expect("read");
        std::fs::write(&path, &text[..text.len() - 40]).expect("written");
        let run = to_the_end(&live, &[], "cut");
        assert_eq!(run.warnings("lines of the journal cannot be read").len(), 1, "{run:#?}");
        let primary = journal(&live.out);
        assert_eq!(primary.iter().filter(|l| l["line"] == "frame").count(), ALL);
    }
}

/// Promise: of frames that no checkpoint holds and whose files are gone or overwritten since, one line says so, by name;
/// the others go on. What overwrites a frame is a frame of its own.
#[test]
fn frames_that_are_gone() {
    // Those a checkpoint holds may go: two of them do.
    let live = cut(true);
    for k in [0, 3, 4] {
        std::fs::remove_file(live.input.join(name(k))).expect("removed");
    }
    let run = to_the_end(&live, &[4], "removed");
    let lines = run.warnings("cannot be read again");
    assert_eq!((lines.len(), run.err.lines().count()), (1, 1), "{run:#?}");
    assert!(lines[0].contains("1 frames") && lines[0].contains(&name(4)) && !lines[0].contains(&name(3)));

    let live = cut(true);
    live.put(name(5), &light(20));
    let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
    watch.says("cannot be read again");
    wait_for("both frames 5", || {
        let all = records(&live.out);
        (sorted(&all, "stacked") == (0..CUT).map(name).collect::<Vec<_>>()).then_some(())
    });
    std::thread::sleep(Duration::from_millis(500));
    let run = watch.stop().exits(0);
    assert_eq!(run.counts(), (CUT, 0), "{run:#?}");
    assert_eq!(run.err.lines().count(), 1, "{run:#?}");
}

/// Promise: a frame that is overwritten while the watch runs, before a checkpoint holds it, is saved in time: after a kill
/// both are in the stack.
#[test]
fn a_frame_that_is_overwritten_is_saved_in_time() {
    let live = Live::new();
    let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
    for k in 0..4 {
        live.put("latest.png", &light(k));
        watch.decides(k + 1);
        // It is found to be overwritten, and there is time for a checkpoint of 2 % of the time.
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert!(watch.kill());
    let run = live.run(&format!("{FLAGS} {NEVER} --max-frames 4")).exits(0);
    assert_eq!((run.counts(), run.err.as_str()), ((4, 0), ""), "{run:#?}");
}

/// Promise: `frames.jsonl` is made from the journal: where it is gone, cut or says something else, it is what it was after
/// the next start.
#[test]
fn the_records_are_made_from_the_journal() {
    for checkpoints in [true, false] {
        let live = cut(checkpoints);
        let path = live.out.join("frames.jsonl");
        let was = std::fs::read(&path).expect("records");
        let spoils: [&dyn Fn(); 3] = [
            &|| std::fs::remove_file(&path).expect("removed"),
            &|| std::fs::write(&path, &was[..was.len() - 30]).expect("written"),
            &|| std::fs::write(&path, b"{\"file\":\"other\",\"status\":\"stacked\"}\n").expect("written"),
        ];
        for spoil in spoils {
            spoil();
            live.run(&format!("{FLAGS} {NEVER} --max-frames {CUT}")).exits(0);
            assert!(std::fs::read(&path).expect("records") == was, "checkpoints {checkpoints}");
        }
    }
}

/// Promise: a session that is asked to end while frames are read again ends with 0, as it does at any other time, and
/// nothing is lost.
#[test]
fn stopped_while_frames_are_read_again() {
    let live = Live::new();
    let mut watch = live.watch(&format!("{FLAGS} {NEVER}"));
    live.lights(0..CUT);
    // Enough to be met in the middle of them.
    (CUT..20 * CUT).for_each(|k| live.put(format!("more_{k:03}.png"), &light(k % CUT)));
    watch.decides(20 * CUT);
    assert!(watch.kill());
    let mut met = 0;
    for wait in (0..12).map(|k| 15 * k) {
        let watch = live.watch(&format!("{FLAGS} {NEVER}"));
        // Before that, nobody listens to signals yet.
        wait_for("its start", || watch.said().contains("backend").then_some(()));
        std::thread::sleep(Duration::from_millis(wait));
        let run = watch.stop().exits(0);
        met += usize::from(!run.out.contains("taken up"));
        std::fs::remove_file(live.out.join("session/checkpoint")).ok();
        std::fs::remove_file(live.out.join("session/checkpoint.previous")).ok();
    }
    assert!(met > 0, "none was stopped while frames were read again");
    let run = live.run(&format!("{FLAGS} {NEVER} --max-frames {}", 20 * CUT)).exits(0);
    assert_eq!(run.counts(), (20 * CUT, 0), "{run:#?}");
    assert_eq!(records(&live.out).len(), 20 * CUT);
    let frames = (0..CUT).map(light).chain((CUT..20 * CUT).map(|k| light(k % CUT)));
    assert!(live.floats() == live.stacked(frames));
}
