//! `livestack add`: a capture program's script after each exposure.
#![cfg(unix)]

mod common;

use common::session::{finally, light, lights, night, paths, until, watch};
use serde_json::Value;
use std::process::Command;

/// Promise: the first `add` begins a session, others add to it from other folders, with the paths as they are there; the
/// result is what `stack` makes of the same frames in the same order, byte by byte.
#[test]
fn a_session_is_begun_and_added_to_from_anywhere() {
    let place = night(5);
    place.folder("elsewhere/deep");
    place.say("add frames/light_01.png --backend cpu --format png,fits --session out").exits(0);
    place.say_in("frames", "add light_02.png --session ../out").exits(0);
    place.say_in("elsewhere/deep", "add ../../frames/light_03.png --session ../../out").exits(0);
    let whole = [place.path("frames/light_04.png"), place.path("frames/light_05.png")];
    let args = [&["add".into()], &whole[..], &["--session".into(), place.path("out")]].concat();
    place.run(&args).exits(0);
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=5));
    assert!(place.path("out/ADDCOMP.png").exists() && place.path("out/latest.jpg").exists());
    place.same_as_at_once("out", "--method addcomp", &paths("frames", 1..=5));
}

/// Promise: a frame that is rejected, missing or cut short is exit 0, with the reason in a line: capture programs end
/// their night on anything else. Completed, it is stacked by the next call.
#[test]
fn no_file_makes_it_fail() {
    let place = night(3);
    place.say("add frames/light_01.png --backend cpu --session out").exits(0);
    let whole = place.bytes("frames/light_02.png");
    std::fs::write(place.path("frames/cut.png"), &whole[..whole.len() / 2]).expect("written");
    std::fs::write(place.path("frames/notes.txt"), "seeing was good").expect("written");
    std::fs::write(place.path("frames/empty.fits"), "").expect("written");
    for name in [
        "frames/cut.png",
        "frames/gone.png",
        "nowhere/gone.png",
        "frames/notes.txt",
        "frames/empty.fits",
        "frames",
    ] {
        let run = place.say(&format!("add {name} --session out")).exits(0);
        let short = name.rsplit('/').next().expect("a name");
        let line = run.out.lines().find(|l| l.contains(short) && l.contains("rejected: "));
        assert!(
            line.is_some_and(|l| l.len() > l.find("rejected: ").unwrap_or(0) + 12),
            "{name}: {}",
            run.out
        );
    }
    assert_eq!(finally(&place, "out", "rejected").len(), 6);
    std::fs::write(place.path("frames/cut.png"), &whole).expect("written");
    place.say("add frames/cut.png frames/light_03.png --session out").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), [light(1), "cut.png".into(), light(3)]);
    assert_eq!(place.status("out")["rejected"], 5, "it counts once");
}

/// Promise: a file that is handed over twice is one frame, however its path is written; new content under an old name is
/// a new frame.
#[test]
fn the_same_file_twice_is_one_frame() {
    let place = night(3);
    place.say("add frames/light_01.png frames/light_01.png --backend cpu --session out").exits(0);
    place.say("add frames/light_01.png --session out").exits(0);
    place.say("add ./frames/../frames/light_01.png --session out").exits(0);
    place.say_in("input", "add ../frames/light_01.png --session ../out").exits(0);
    std::os::unix::fs::symlink(place.path("frames"), place.path("camera")).expect("linked");
    place.say("add camera/light_01.png --session out").exits(0);
    assert_eq!(finally(&place, "out", "stacked").len(), 1, "{:?}", finally(&place, "out", "stacked"));
    std::fs::copy(place.path("frames/light_02.png"), place.path("frames/light_01.png")).expect("overwritten");
    place.say("add frames/light_01.png --session out").exits(0);
    assert_eq!(place.status("out")["stacked"], 2);
}

/// Promise: without flags the session's own settings hold; flags that differ from them are exit 5, and the line says
/// what differs; the same ones are no difference.
#[test]
fn the_settings_are_the_sessions() {
    let place = night(4);
    let flags = "--backend cpu --method addmax,mean --no-align --format png,fits --name M45";
    place.say(&format!("add frames/light_01.png --session out {flags}")).exits(0);
    place.say_in("frames", "add light_02.png --session ../out").exits(0);
    place.say("add frames/light_03.png --session out --method addmax,mean --no-align").exits(0);
    for (flags, named) in
        [("--method add", "--method"), ("--method addmax,mean --motion affine", "--no-align")]
    {
        let run = place.say(&format!("add frames/light_04.png --backend cpu --session out {flags}")).exits(5);
        assert!(run.err.contains(named) && run.err.lines().count() == 1, "{flags}: {}", run.err);
    }
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=3));
    assert!(place.path("out/M45_ADDMAX.png").exists() && place.path("out/M45_MEAN.fits").exists());
    place.same_as_at_once("out", "--method addmax,mean --no-align --name M45", &paths("frames", 1..=3));
}

/// Promise: flags that say nothing of the result, where pixels are computed, are no difference.
#[test]
fn flags_that_change_nothing_are_no_difference() {
    let place = night(3);
    place.say("add frames/light_01.png --session out --backend cpu --method addmax --no-align").exits(0);
    place.say("add frames/light_02.png --session out --backend cpu").exits(0);
    place.say("add frames/light_03.png --session out --json --timings").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=3));
}

/// Promise: `--newest` takes the newest file of a folder; with `--last N` the newest N.
#[test]
fn the_newest_file_of_a_folder() {
    let place = night(4);
    for (k, ago) in [(1, 10), (2, 40), (3, 30), (4, 20)] {
        common::session::age(&place.path("frames").join(light(k)), std::time::Duration::from_secs(ago));
    }
    std::fs::write(place.path("frames/notes.txt"), "newer, and no frame").expect("written");
    place.say("add --newest frames --session out --backend cpu").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=1));
    place.say("add --newest frames --session out --last 3").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), [light(1), light(3), light(4)]);
}

/// Promise: what cannot work says so: `--reload` without a session and a folder that does not exist are exit 4, no file at
/// all is exit 2; nothing is begun.
#[test]
fn what_cannot_work_is_said() {
    let place = night(1);
    for (words, code) in [
        ("add frames/light_01.png --reload --session out", 4),
        ("add --newest nowhere --session out", 4),
        ("add --session out", 2),
    ] {
        let run = place.say(&format!("{words} --backend cpu")).exits(code);
        assert_eq!(run.err.lines().count(), 1, "{words}: {}", run.err);
        assert!(!place.path("out").exists(), "{words}");
    }
    place.say("add frames/light_01.png --session out --backend cpu").exits(0);
    place.say("add frames/light_01.png --reload --session out").exits(0);
}

/// Promise: calls at the same time lose nothing, in a new session and in an old one, also where one of them is cut off.
#[test]
fn calls_at_the_same_time_lose_nothing() {
    const CALLS: usize = 8;
    let place = night(CALLS);
    let call = |k: usize| {
        let mut command: Command = place.command();
        command.args(["add", &format!("frames/{}", light(k)), "--backend", "cpu", "--session", "out"]);
        command.stdout(std::process::Stdio::null()).spawn().expect("the program starts")
    };
    let end = |calls: Vec<std::process::Child>| {
        for mut call in calls {
            assert_eq!(call.wait().expect("it ends").code(), Some(0));
        }
    };
    end((1..=2).map(call).collect());
    end((3..=CALLS).map(call).collect());
    let mut stacked = finally(&place, "out", "stacked");
    stacked.sort();
    assert_eq!(stacked, lights(1..=CALLS));
    assert_eq!(place.status("out")["stacked"], CALLS);
    assert_eq!(place.names("out/session/inbox"), [""; 0], "no request is left");
}

/// Promise: while a `watch` holds the session, `add` hands it the files and ends; they are stacked once, though some
/// lie in the watched folder too.
#[test]
fn a_watch_takes_what_is_handed_over() {
    let place = night(4);
    let mut live = watch(&place, "-o out");
    live.until_event("start", 1);
    until("it runs", || place.path("out/session/status.json").exists());
    let run = place.say("add frames/light_01.png frames/light_02.png --session out").exits(0);
    let line = format!("handed to livestack watch, process {}\n", live.pid());
    assert_eq!((run.out.as_str(), run.err.as_str()), (line.as_str(), ""));
    live.until_decided(2);
    place.drop_in(&light(3));
    live.until_decided(3);
    place.say_in("frames", "add ../input/light_03.png --session ../out").exits(0);
    place.say("add frames/light_04.png --session out").exits(0);
    live.until_decided(4);
    until("no request is left", || place.names("out/session/inbox").is_empty());
    live.end();
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=4));
}

/// Promise: the first `watch` of a session that was begun by `add` leaves alone what is in its folder, where asked; what
/// arrives while it is dead is no such file.
#[test]
fn a_watch_of_an_added_session_skips_what_is_there() {
    let place = night(5);
    place.say("add frames/light_01.png --backend cpu --session out").exits(0);
    place.lay(2..=3);
    let mut live = watch(&place, "-o out --existing skip");
    until("the folder was looked at", || place.journal("out").iter().any(|e| e["line"] == "skipped"));
    place.drop_in(&light(4));
    live.until_decided(1);
    live.kill();
    place.lay(5..=5);
    let mut live = watch(&place, "-o out --existing skip");
    live.until_decided(1);
    live.end();
    assert_eq!(finally(&place, "out", "stacked"), [light(1), light(4), light(5)]);
}

/// Promise: a folder that is handed over, or a file that is not there, is rejected once; the watch goes on.
#[test]
fn what_is_no_file_is_rejected_once() {
    let place = night(1);
    let mut live = watch(&place, "-o out");
    live.until_event("start", 1);
    place.say("add frames nowhere/gone.png frames/gone.png frames/light_01.png --session out").exits(0);
    live.until("a stacked frame", |e| e.iter().any(|e| e["event"] == "stacked"));
    // A folder is tried for a while, like a file that is still written.
    live.until_decided(4);
    std::thread::sleep(std::time::Duration::from_secs(1));
    live.end();
    let entries = place.journal("out");
    let frames: Vec<&Value> = entries.iter().filter(|e| e["line"] == "frame").collect();
    assert_eq!(frames.len(), 4, "{frames:?}");
}

/// Promise: what a killed watch has not done, `add` does, with the watch's settings; and the other way round.
#[test]
fn a_session_is_both_a_watchs_and_adds() {
    let place = night(6);
    let flags = "--method addmax --no-align --format fits -o out";
    place.lay(1..=2);
    let mut live = watch(&place, flags);
    live.until_decided(2);
    live.kill();
    place.say_in("frames", "add light_03.png --session ../out").exits(0);
    place.lay(4..=4);
    let mut live = watch(&place, flags);
    live.until_decided(1);
    live.end();
    place.say("add frames/light_05.png --session out").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=5));
    place.same_as_at_once("out", "--method addmax --no-align", &paths("frames", 1..=5));

    place
        .say("add frames/light_01.png --session begun --backend cpu --method addmax --no-align --format fits")
        .exits(0);
    let mut live = watch(&place, "frames --method addmax --no-align --format fits -o begun");
    live.until_decided(5);
    live.end();
    assert_eq!(finally(&place, "begun", "stacked"), lights(1..=6));
    place.same_as_at_once("begun", "--method addmax --no-align", &paths("frames", 1..=6));
}
