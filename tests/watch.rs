//! `livestack watch`: what is stacked, in what order, and when outputs and checkpoints are written.
#![cfg(unix)]

mod common;

use common::exif::block;
use common::session::{
    age, finally, jpegs, last, light, lights, listens, misfit, night, until_it_listens, watch,
};
use common::{Place, file};
use serde_json::Value;
use std::time::Duration;

/// Promise: where nobody names a rule, 8-bit frames are stacked by `addcomp`, others by `mean`; the first frame decides.
/// The room's picture and page are there.
#[test]
fn the_first_frame_decides_the_rule() {
    let place = night(2);
    place.stack("frames/light_01.png -o deep --method addcomp --format png16,tiff16,fits").exits(0);
    jpegs(&place, &[("frames/a.jpg", None)]);
    let kinds = [
        ("frames/light_01.png", "ADDCOMP"),
        ("frames/a.jpg", "ADDCOMP"),
        ("deep/ADDCOMP_16.png", "MEAN"),
        ("deep/ADDCOMP_16.tiff", "MEAN"),
        ("deep/ADDCOMP.fits", "MEAN"),
    ];
    for (k, (from, rule)) in kinds.into_iter().enumerate() {
        let (input, out) = (format!("in-{k}"), format!("out-{k}"));
        place.folder(&input);
        let name = from.rsplit('/').next().expect("a name");
        place.drop_as(from, &format!("{input}/1-{name}"));
        let live = watch(&place, &format!("{input} -o {out} --max-frames 2"));
        place.drop_as("frames/light_02.png", &format!("{input}/2.png"));
        live.exits(0);
        let mut names = place.names(&out);
        names.retain(|name| name.ends_with(".png"));
        assert_eq!(names, [format!("{rule}.png")], "{from}");
        assert!(
            place.path(&out).join("latest.jpg").exists() && place.path(&out).join("latest.html").exists()
        );
        // What is no frame of this kind binds nobody: no second rule appears.
        let stacked = place.records(&out).iter().filter(|r| r["status"] == "stacked").count();
        assert_eq!(stacked, if rule == "MEAN" { 1 } else { 2 }, "{from}");
    }
}

/// Promise: `--existing skip` leaves alone what was there when the session began, then and later; what arrives while
/// the program is dead is stacked when it is back, also without the flag.
#[test]
fn existing_files_are_left_alone_where_asked() {
    let place = night(7);
    place.lay(1..=3);
    let mut live = watch(&place, "--existing skip");
    live.until("the session knows what was there", |_| {
        std::fs::read_to_string(place.path("output/session/journal.jsonl"))
            .is_ok_and(|j| j.contains("\"line\":\"skipped\""))
    });
    place.drop_all(4..=5);
    live.until_decided(2);
    live.kill();
    place.lay(6..=6);
    let mut live = watch(&place, "--existing skip");
    live.until_decided(1);
    live.end();
    assert_eq!(finally(&place, "output", "stacked"), lights(4..=6));
    place.lay(7..=7);
    let mut live = watch(&place, "");
    live.until_decided(1);
    live.end();
    assert_eq!(finally(&place, "output", "stacked"), lights(4..=7));
}

/// Promise: only what was there before is left alone. While the program still finds out whether a young file of the
/// folder is complete, new frames arrive: they are stacked.
#[test]
fn frames_that_arrive_while_the_folder_is_looked_at_are_no_old_ones() {
    for (flags, stacked) in [("--existing skip", lights(2..=2)), ("--last 1", lights(1..=2))] {
        let place = night(2);
        place.lay(1..=1);
        // Written just now: it must stand still before it is known to be complete.
        age(&place.path("input/light_01.png"), Duration::ZERO);
        let mut live = watch(&place, &format!("{flags} --settle 3000"));
        until_it_listens(&live);
        place.drop_all(2..=2);
        live.until_decided(stacked.len());
        live.end();
        assert_eq!(finally(&place, "output", "stacked"), stacked, "{flags}");
    }
}

/// Promise: `--last N` is about the start: of what is there then the last N frames, then every new one; a session that
/// goes on has its frames already.
#[test]
fn the_last_frames_at_the_start_then_every_new_one() {
    let place = night(8);
    place.lay(1..=5);
    let mut live = watch(&place, "--last 2");
    live.until_decided(2);
    place.drop_all(6..=7);
    live.until_decided(4);
    live.kill();
    place.lay(8..=8);
    let mut live = watch(&place, "--last 2");
    live.until_decided(1);
    live.end();
    assert_eq!(finally(&place, "output", "stacked"), lights(4..=8));
}

/// Promise: what is there at the start is stacked in the order of names, numbers in them as numbers, or of the times in
/// the files.
#[test]
fn the_order_is_by_name_or_by_time() {
    let place = night(0);
    let taken = |minute: usize| Some(block(1, &format!("2026:03:01 22:{minute:02}:00")));
    let names = ["input/a10.jpg", "input/a9.jpg", "input/b1.jpg"];
    jpegs(&place, &[(names[0], taken(2)), (names[1], taken(3)), (names[2], taken(1))]);
    for (flags, order) in
        [("", ["a9.jpg", "a10.jpg", "b1.jpg"]), ("--order time", ["b1.jpg", "a10.jpg", "a9.jpg"])]
    {
        watch(&place, &format!("--max-frames 3 --fresh {flags}")).exits(0);
        let records = place.records("output");
        assert_eq!(records.iter().map(file).collect::<Vec<_>>(), order, "{flags}");
    }
}

/// Promise: `--poll` looks by itself: what is there, what is renamed in and what is written in place is stacked.
#[test]
fn polling_finds_everything() {
    let place = night(3);
    place.lay(1..=1);
    let mut live = watch(&place, "--poll 0.1 --settle 200");
    live.until_decided(1);
    place.drop_all(2..=2);
    live.until_decided(2);
    std::fs::copy(place.path("frames/light_03.png"), place.path("input/light_03.png")).expect("copied");
    live.until_decided(3);
    assert!(!listens(&live), "it relies on events");
    let (_, err) = live.end();
    assert_eq!(err, "", "what was asked for needs no word");
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=3));
}

/// Promise: a file that nobody closes is complete when it stood still for `--settle` ms, not before; one that was
/// closed or renamed in does not wait for that.
#[test]
fn a_file_must_stand_still_unless_it_was_closed() {
    const STILL_S: f64 = 2.0;
    let place = night(2);
    let mut live = watch(&place, "--settle 2000");
    until_it_listens(&live);
    // Younger than that, should the first look come after it.
    let file = std::fs::File::options().append(true).open(place.path("frames/light_01.png")).expect("opened");
    file.set_modified(std::time::SystemTime::now()).expect("dated");
    drop(file);
    let linked = std::time::Instant::now();
    std::fs::hard_link(place.path("frames/light_01.png"), place.path("input/light_01.png")).expect("linked");
    live.until_event("frame-received", 1);
    let waited = linked.elapsed().as_secs_f64();
    assert!(waited >= STILL_S, "it was taken after {waited} s");
    live.end();
    let mut live = watch(&place, "--settle 60000");
    until_it_listens(&live);
    let dropped = std::time::Instant::now();
    place.drop_all(2..=2);
    live.until_event("stacked", 1);
    assert!(dropped.elapsed() < Duration::from_secs(45), "it was complete at once");
    live.end();
}

/// How many frames each publication shows.
fn published(events: &[Value]) -> Vec<u64> {
    events.iter().filter(|e| e["event"] == "published").filter_map(|e| e["stacked"].as_u64()).collect()
}

/// Promise: outputs are written after each frame but at most once a second; after every N frames; or at most every so
/// many seconds. The last frame is always shown.
#[test]
fn outputs_are_written_as_often_as_asked() {
    const FRAMES: usize = 24;
    let place = night(FRAMES);
    let run = |flags: &str, every_s: Option<f64>| {
        let out = flags.trim_start_matches("--publish-every ");
        let mut live = watch(&place, &format!("--max-frames {FRAMES} -o out{out} {flags}"));
        for k in 1..=FRAMES {
            place.drop_all(k..=k);
            std::thread::sleep(Duration::from_millis(60));
        }
        live.until_event("done", 1);
        let (events, _) = live.exits(0);
        (0..=FRAMES).for_each(|k| drop(std::fs::remove_file(place.path("input").join(light(k)))));
        let shown = published(&events);
        assert_eq!(shown.last(), Some(&(FRAMES as u64)), "{flags}: {shown:?}");
        assert!(shown.is_sorted(), "{flags}: {shown:?}");
        if let Some(every) = every_s {
            let span = last(&events, "done")["seconds"].as_f64().expect("seconds");
            // The first, the last, and one each in between.
            let most = 2 + (span / every) as usize;
            assert!(shown.len() <= most, "{flags}: {} in {span} s: {shown:?}", shown.len());
        }
        shown
    };
    let usual = run("", Some(1.0));
    assert!(usual.len() >= 2, "the first frame is shown at once: {usual:?}");
    run("--publish-every 2s", Some(2.0));
    let often = run("--publish-every 0s", None);
    assert!(often.len() > usual.len(), "{often:?} against {usual:?}");
    let five = run("--publish-every 5", None);
    let steps = five.windows(2).map(|w| w[1] - w[0]);
    assert!(five[0] >= 5 && steps.rev().skip(1).all(|step| step >= 5), "{five:?}");
}

/// Promise: with `--keep-up skip` only the newest of frames that wait is taken; the others are rejected with the
/// reason. The default stacks all.
#[test]
fn late_frames_are_queued_or_skipped() {
    const FRAMES: usize = 20;
    for (flags, all) in [("--keep-up skip", false), ("", true)] {
        let place = night(FRAMES);
        let live = watch(&place, &format!("--max-frames {FRAMES} --settle 60000 {flags}"));
        until_it_listens(&live);
        // While it cannot look, all come.
        live.signal("-STOP");
        place.drop_all(1..=FRAMES);
        live.signal("-CONT");
        live.exits(0);
        let (stacked, rejected) =
            (finally(&place, "output", "stacked"), finally(&place, "output", "rejected"));
        assert_eq!(stacked.len() + rejected.len(), FRAMES);
        assert_eq!(rejected.is_empty(), all, "{flags}: {rejected:?}");
        assert!(stacked.contains(&light(FRAMES)), "the newest is stacked: {stacked:?}");
        for record in place.records("output").iter().filter(|r| r["status"] == "rejected") {
            let reason = record["reason"].as_str().expect("a reason");
            assert!(reason.contains("newer frame") && reason.contains("--keep-up queue"), "{reason}");
        }
    }
}

/// Promise: checkpoints are written every `--checkpoint` seconds, never more than 2 % of the time is spent on them, and
/// the end writes one; by default a short night has only that.
#[test]
fn checkpoints_take_two_percent_of_the_time_at_most() {
    let place = night(16);
    let mut live = watch(&place, "--checkpoint 0.1");
    for k in 1..=16 {
        place.drop_all(k..=k);
        live.until_decided(k);
        std::thread::sleep(Duration::from_millis(150));
    }
    let (events, _) = live.end();
    let number = |e: &Value, name: &str| e[name].as_f64().expect("a number");
    let all: Vec<_> = events.iter().filter(|e| e["event"] == "checkpoint").collect();
    assert!(all.len() >= 3, "{} checkpoints", all.len());
    // The last one is the end's, which does not wait.
    for pair in all[..all.len() - 1].windows(2) {
        let (gap, cost) =
            (number(pair[1], "seconds") - number(pair[0], "seconds"), number(pair[0], "ms") / 1e3);
        // The event rounds to ms.
        assert!(gap >= 0.1 && cost <= 0.02 * gap + 0.001, "{cost} s after {gap} s");
    }
    assert_eq!(all[all.len() - 1]["stacked"], 16);
    let place = night(2);
    place.lay(1..=2);
    let (events, _) = watch(&place, "--max-frames 2").exits(0);
    assert_eq!(events.iter().filter(|e| e["event"] == "checkpoint").count(), 1);
}

/// Promise: `--max-frames` counts what was decided, stacked or rejected, before a resume too; where it is reached
/// already, the program ends at once, with its outputs.
#[test]
fn the_end_comes_after_so_many_frames() {
    let place = night(6);
    place.lay(1..=2);
    misfit(&place, "input/light_02b.png");
    let mut live = watch(&place, "--max-frames 5");
    live.until_decided(3);
    live.kill();
    place.lay(3..=6);
    let (events, _) = watch(&place, "--max-frames 5").exits(0);
    let done = last(&events, "done");
    assert_eq!((&done["stacked"], &done["rejected"]), (&Value::from(4), &Value::from(1)));
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=4), "not one more");
    std::fs::remove_file(place.path("output/ADDCOMP.png")).expect("removed");
    let (events, _) = watch(&place, "--max-frames 5").exits(0);
    assert_eq!(events.iter().filter(|e| e["event"] == "stacked").count(), 0);
    assert!(Place::path(&place, "output/ADDCOMP.png").exists(), "the outputs are there in the end");
    assert_eq!(finally(&place, "output", "stacked").len(), 4);
}
