//! Signals to a live session: ends that lose nothing, and new stacks on demand.
#![cfg(unix)]

mod common;

use common::Place;
use common::session::{Live, finally, last, lights, misfit, night, paths, until, until_it_listens, watch};
use std::process::{Command, Stdio};

/// Promise: SIGTERM and SIGINT finish the frame in hand, write outputs and checkpoint, and exit with 0; the next start
/// goes on from there without reading anything again.
#[test]
fn the_first_signal_ends_well() {
    for name in ["-TERM", "-INT"] {
        let place = night(12);
        let mut live = watch(&place, "--publish-every 1000 --format fits");
        place.drop_all(1..=8);
        live.until_decided(2);
        live.signal(name);
        let (events, _) = live.exits(0);
        let done = last(&events, "done")["stacked"].as_u64().expect("a number") as usize;
        assert_eq!(last(&events, "checkpoint")["stacked"], done, "{name}");
        assert_eq!(last(&events, "published")["stacked"], done, "{name}");
        assert_eq!(finally(&place, "output", "stacked").len(), done, "{name}");
        place.same_as_at_once("output", "--method addcomp", &paths("frames", 1..=done));
        let (events, _) = watch(&place, "--max-frames 8 --format fits").exits(0);
        let resumed = last(&events, "resumed");
        assert_eq!((&resumed["checkpoint"], &resumed["again"]), (&done.into(), &0.into()), "{name}");
        assert_eq!(finally(&place, "output", "stacked"), lights(1..=8), "{name}");
    }
}

/// Promise: the second signal ends at once, with 130; what was stacked is not lost.
#[test]
fn the_second_signal_ends_at_once() {
    let place = night(4);
    let mut live = watch(&place, "");
    place.drop_all(1..=3);
    live.until_decided(3);
    // Both wait for a program that stands still, so that it has not ended between them.
    for name in ["-STOP", "-TERM", "-INT", "-CONT"] {
        live.signal(name);
    }
    live.exits(130);
    place.lay(4..=4);
    watch(&place, "--max-frames 4").exits(0);
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=4));
}

/// Waits until the new stack was begun.
fn hang_up(live: &mut Live) {
    let count = live.all("restarted").len() + 1;
    live.signal("-HUP");
    live.until_event("restarted", count);
}

/// Frames `range` of the session, each stacked into stack `number`.
#[track_caller]
fn assert_stack(place: &Place, number: u64, range: std::ops::RangeInclusive<usize>) {
    let records = common::night::last(place.records("output"));
    let own: Vec<_> = records.iter().filter(|r| r["stack"] == number).map(common::file).collect();
    assert_eq!(own, lights(range), "stack {number}");
}

/// Promise: SIGHUP begins a new stack and keeps the old one under a numbered name; after `kill -9` the new stack still
/// holds only what came after, and the numbered picture is as it was. Two more stacks do the same.
#[test]
fn a_hang_up_begins_a_new_stack() {
    let place = night(8);
    let flags = "--format fits,png";
    let mut live = watch(&place, flags);
    place.drop_all(1..=3);
    live.until_decided(3);
    hang_up(&mut live);
    let first = place.bytes("output/ADDCOMP_stack1.png");
    place.drop_all(4..=5);
    live.until_decided(5);
    let events = live.kill();
    assert_eq!(last(&events, "restarted")["why"], "asked for");
    place.lay(6..=6);
    let mut live = watch(&place, flags);
    live.until_decided(1);
    live.until_published(3);
    assert!(place.bytes("output/ADDCOMP_stack1.png") == first);
    place.same_as_at_once("output", "--method addcomp", &paths("frames", 4..=6));
    hang_up(&mut live);
    place.drop_all(7..=7);
    live.until_decided(2);
    hang_up(&mut live);
    place.drop_all(8..=8);
    live.until_decided(3);
    let (events, _) = live.end();
    assert_eq!(last(&events, "done")["stacked"], 8, "all stacks count");
    for (number, range) in [(1, 1..=3), (2, 4..=6), (3, 7..=7), (4, 8..=8)] {
        assert_stack(&place, number, range);
    }
    let kept = (1..=4).map(|k| place.path(format!("output/ADDCOMP_stack{k}.fits")).exists());
    assert_eq!(kept.collect::<Vec<_>>(), [true, true, true, false]);
    assert!(place.bytes("output/ADDCOMP_stack1.png") == first);
    place.stack(&format!("{} --method addcomp --format fits -o once", paths("frames", 1..=3))).exits(0);
    assert!(place.bytes("once/ADDCOMP.fits") == place.bytes("output/ADDCOMP_stack1.fits"));
    assert_eq!(place.journal("output").iter().filter(|e| e["line"] == "new-stack").count(), 3);
}

/// Promise: killed right after the signal was answered, before another frame came, the next start begins the new stack;
/// one that is killed again and again does not number it anew.
#[test]
fn a_new_stack_without_frames_survives_too() {
    let place = night(4);
    let mut live = watch(&place, "--format fits,png");
    place.drop_all(1..=2);
    live.until_decided(2);
    hang_up(&mut live);
    live.kill();
    for _ in 0..2 {
        let mut live = watch(&place, "--format fits,png");
        live.until_event("resumed", 1);
        until("it has caught up", || place.status("output")["stack"] == 2);
        live.kill();
    }
    place.lay(3..=4);
    let mut live = watch(&place, "--format fits,png");
    live.until_decided(2);
    live.end();
    assert_stack(&place, 2, 3..=4);
    place.same_as_at_once("output", "--method addcomp", &paths("frames", 3..=4));
    assert!(place.path("output/ADDCOMP_stack1.png").exists());
    assert!(!place.path("output/ADDCOMP_stack2.png").exists());
}

/// Promise: before the first frame there is no stack that could end: one warning, and the night goes on.
#[test]
fn a_hang_up_before_the_first_frame_changes_nothing() {
    let place = night(2);
    let mut live = watch(&place, "");
    until_it_listens(&live);
    live.signal("-HUP");
    live.until_event("warning", 1);
    place.drop_all(1..=2);
    live.until_decided(2);
    let (events, err) = live.end();
    assert!(err.contains("a new stack was asked for") && err.lines().count() == 1, "{err}");
    assert_eq!(last(&events, "done")["stacked"], 2);
    assert!(!place.path("output/ADDCOMP_stack1.png").exists());
    assert_stack(&place, 1, 1..=2);
}

/// Promise: started by `nohup`, which has SIGHUP ignored, it stays ignored: a terminal that closes ends no stack.
#[test]
fn under_nohup_a_hang_up_is_ignored() {
    let place = night(2);
    let mut command = place.command();
    let exec = std::mem::replace(&mut command, Command::new("sh"));
    command.current_dir(place.path("")).stdin(Stdio::null());
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(exec.get_program());
    command.args(["watch", "--backend", "cpu", "--json"]);
    let mut live = Live::start(&mut command);
    place.drop_all(1..=1);
    live.until_decided(1);
    live.signal("-HUP");
    place.drop_all(2..=2);
    live.until_decided(2);
    let (events, _) = live.end();
    assert!(!events.iter().any(|e| e["event"] == "restarted" || e["event"] == "warning"));
    assert_eq!(place.records("output").last().map(|r| r["stack"].clone()), Some(1.into()));
}

/// Promise: readers that go away do not end the night, with text or events.
#[test]
fn closed_pipes_do_not_end_the_night() {
    for json in [false, true] {
        let place = night(3);
        let mut command = place.command();
        command.args(["watch", "--backend", "cpu", "--max-frames", "4"]).args(json.then_some("--json"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        drop(child.stderr.take());
        place.drop_all(1..=1);
        misfit(&place, "frames/misfit.png");
        place.drop_in("misfit.png");
        place.drop_all(2..=3);
        until("it ends", || {
            place.path("output/session/status.json").exists() && place.status("output")["state"] == "ended"
        });
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "json {json}");
        assert_eq!(finally(&place, "output", "stacked"), lights(1..=3), "json {json}");
    }
}
