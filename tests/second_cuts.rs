//! Cut off again while a session is taken up, with files gone and a journal that lost a part: nothing that was finished is
//! spoilt, and what was void comes back. Through the real binary.
#![cfg(unix)]

mod common;

use common::live::{Live, drop_in, journal, light, name, records, sorted, wait_for};
use std::io::Write;
use std::path::PathBuf;

const FLAGS: &str = "--format fits --publish-every 0.2s --checkpoint 3600";
const CHECKPOINTS: [&str; 2] = ["checkpoint", "checkpoint.previous"];

fn session(live: &Live) -> PathBuf {
    live.out.join("session")
}

fn forget_checkpoints(live: &Live) {
    CHECKPOINTS.iter().for_each(|name| {
        let _ = std::fs::remove_file(session(live).join(name));
    });
}

/// What `status.json` says is in the stack.
fn in_stack(live: &Live) -> u64 {
    let text = std::fs::read(session(live).join("status.json")).unwrap_or_default();
    let status: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    status["in_stack"].as_u64().unwrap_or(0)
}

/// A new stack that was asked for stays one, and the finished one as it was written, however often the session is cut off
/// and whatever file is gone by then.
#[test]
fn a_new_stack_outlives_two_cuts_and_a_lost_frame() {
    let live = Live::new();
    let mut watch = live.watch(FLAGS);
    live.lights(0..3);
    watch.decides(3);
    watch.signal("-HUP");
    let finished = live.out.join("ADDCOMP_stack1.fits");
    wait_for("the finished stack", || finished.exists().then_some(()));
    wait_for("its line", || journal(&live.out).iter().any(|l| l["line"] == "new-stack").then_some(()));
    live.lights(3..6);
    watch.decides(6);
    assert!(watch.kill());
    let whole = std::fs::read(&finished).expect("the finished stack");
    // Without a checkpoint all is read again, and a frame of the finished stack is gone.
    forget_checkpoints(&live);
    std::fs::remove_file(live.input.join(name(1))).expect("removed");
    for cut in [true, false] {
        let mut watch = live.watch(FLAGS);
        watch.says("taken up: 5 stacked");
        wait_for("the second stack", || (in_stack(&live) == 3).then_some(()));
        if cut {
            assert!(watch.kill());
            forget_checkpoints(&live);
        } else {
            watch.stop().exits(0);
        }
        assert!(std::fs::read(&finished).expect("it is there") == whole, "the finished stack was made again");
    }
    assert!(live.floats() == live.stacked((3..6).map(light)), "the second stack holds other frames");
}

/// Decisions that were declared void, and not made again before the program was cut off, are made by the next one: also of
/// frames that lie elsewhere.
#[test]
fn what_was_void_is_decided_again() {
    let live = Live::new();
    let elsewhere = live.place.folder("elsewhere");
    let mut watch = live.watch(FLAGS);
    live.lights(0..2);
    watch.decides(2);
    drop_in(&elsewhere, name(2), &light(2));
    let file = elsewhere.join(name(2));
    let out = live.out.to_string_lossy().into_owned();
    let added = live.place.command().arg("add").arg(&file).args(["--session", &out]).output().expect("runs");
    assert!(added.status.success(), "{added:?}");
    watch.decides(3);
    assert!(watch.kill());
    let last = journal(&live.out).iter().filter_map(|l| l["seq"].as_u64()).max().expect("entries");
    let line = format!("{{\"seq\":{},\"line\":\"void\",\"from\":2,\"to\":{last}}}\n", last + 1);
    let mut file =
        std::fs::OpenOptions::new().append(true).open(session(&live).join("journal.jsonl")).expect("opens");
    file.write_all(line.as_bytes()).expect("written");
    let mut watch = live.watch(FLAGS);
    watch.says(&format!("{}  stacked", name(2)));
    watch.stop().exits(0);
    assert_eq!(sorted(&records(&live.out), "stacked"), (0..3).map(name).collect::<Vec<_>>());
    assert!(live.floats() == live.stacked((0..3).map(light)), "not the stack of its frames");
}

/// The first line of the journal says whose it is; where it is lost, the checkpoint does, and keeps the stack although no
/// frame is there any more. A journal that lost its end gives no number twice.
#[test]
fn a_journal_that_lost_its_first_line_or_its_end() {
    for first in [true, false] {
        let live = Live::new();
        let mut watch = live.watch(FLAGS);
        live.lights(0..4);
        watch.decides(4);
        watch.stop().exits(0);
        let path = session(&live).join("journal.jsonl");
        let text = std::fs::read_to_string(&path).expect("a journal");
        let mut lines: Vec<&str> = text.lines().collect();
        let damaged = lines[0].replacen("session", "sessiom", 1);
        if first {
            lines[0] = &damaged;
        } else {
            lines.truncate(lines.len() - 2);
        }
        std::fs::write(&path, lines.join("\n") + "\n").expect("written");
        // With them gone only the checkpoint has them.
        (0..4).for_each(|k| std::fs::remove_file(live.input.join(name(k))).expect("removed"));
        let mut watch = live.watch(FLAGS);
        live.lights(4..6);
        watch.decided(&name(5), "stacked");
        assert!(watch.kill());
        let mut watch = live.watch(FLAGS);
        watch.says("taken up: 6 stacked");
        watch.stop().exits(0);
        assert!(live.floats() == live.stacked((0..6).map(light)), "first {first}: not the stack of all");
    }
}

/// A reader of the events who stops reading does not stop the stack, nor its end.
#[test]
fn a_reader_that_reads_no_more() {
    const FRAMES: usize = 120;
    let live = Live::new();
    (0..FRAMES).for_each(|k| live.put(name(k), &light(k % 40)));
    let mut command = live.command(&format!("{FLAGS} --json --accept-all --max-frames {FRAMES}"));
    // More than a pipe holds; nobody reads it.
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("runs");
    let status = wait_for("its end", || child.try_wait().expect("asked"));
    assert!(status.success(), "{status}");
    assert_eq!(records(&live.out).len(), FRAMES);
}

/// Darks that appear in the usual folder in mid-night are none of a session that was begun without: it goes on. What lies
/// under another name, or in a folder that was moved, and was stacked, is no new frame.
#[test]
fn what_moves_and_what_appears() {
    let live = Live::new();
    let mut watch = live.watch(FLAGS);
    live.lights(0..3);
    watch.decides(3);
    watch.stop().exits(0);
    let darks = live.place.folder("dark");
    drop_in(&darks, "dark.png", &light(9));
    let moved = live.place.path("moved");
    std::fs::rename(&live.input, &moved).expect("renamed");
    let live = Live { input: moved, ..live };
    let mut watch = live.watch(FLAGS);
    live.lights(3..4);
    watch.says(&format!("{}  stacked", name(3)));
    watch.stop().exits(0);
    std::fs::remove_dir_all(&darks).expect("removed");
    assert!(live.floats() == live.stacked((0..4).map(light)), "other frames are in the stack");
}

/// A share that is away when a session is taken up is waited for: its frames are not lost, and come in their order.
#[test]
fn a_share_that_is_away_at_the_start() {
    let live = Live::new();
    let mut watch = live.watch(FLAGS);
    live.lights(0..4);
    watch.decides(4);
    assert!(watch.kill());
    let away = live.place.path("away");
    std::fs::rename(&live.input, &away).expect("renamed");
    let mut watch = live.watch(FLAGS);
    wait_for("a word about it", || watch.err().contains("waiting for a frame").then_some(()));
    let voids = || journal(&live.out).iter().filter(|l| l["line"] == "void").count();
    assert_eq!(voids(), 0, "nothing is given up");
    std::fs::rename(&away, &live.input).expect("renamed");
    watch.says("taken up: 4 stacked");
    live.lights(4..5);
    watch.says(&format!("{}  stacked", name(4)));
    watch.stop().exits(0);
    assert_eq!(voids(), 0, "all came out as before");
    assert!(live.floats() == live.stacked((0..5).map(light)), "not the stack of all");
}
