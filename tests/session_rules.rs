//! Who may go on with a session: one program at a time, with the session's own settings.
#![cfg(unix)]

mod common;

use common::Place;
use common::session::{SIZE, finally, last, lights, night, until, watch};
use common::sky::{Sky, eight};

/// Darks numbered `range` in a folder.
fn darks(place: &Place, folder: &str, range: std::ops::Range<u64>) {
    place.folder(folder);
    let sky = Sky::new(SIZE, 60, 1);
    for k in range {
        common::picture::write_png8(&place.path(folder).join(format!("{k}.png")), &eight(&sky.dark(k)));
    }
}

/// Promise: a second `watch` on a session, and a `stack` into its folder, say who holds it and exit with 5; the session
/// goes on.
#[test]
fn one_program_at_a_time() {
    let place = night(3);
    let mut live = watch(&place, "");
    live.until_event("start", 1);
    place.drop_all(1..=1);
    live.until_published(1);
    let picture = place.bytes("output/ADDCOMP.png");
    let pid = live.pid().to_string();
    for words in ["watch --backend cpu", "watch --backend cpu --fresh", "stack frames --backend cpu"] {
        let run = place.say(words).exits(5);
        assert!(run.err.contains("livestack watch") && run.err.contains(&pid), "{words}: {}", run.err);
        assert_eq!((run.err.lines().count(), run.out.as_str()), (1, ""), "{words}");
    }
    assert!(place.bytes("output/ADDCOMP.png") == picture, "nothing was written over");
    // Another folder is another session.
    place.say("stack frames --backend cpu -o other").exits(0);
    place.drop_all(2..=3);
    live.until_decided(3);
    live.kill();
    // A lock of the dead is none.
    watch(&place, "--max-frames 3").exits(0);
    place.say("stack frames --backend cpu --method addcomp").exits(0);
}

/// Promise: settings that change the result and differ from the session's are exit 5; the line says which, what the
/// session has and what was given. What only changes how it is shown is none of them.
#[test]
fn other_settings_are_refused() {
    let place = night(3);
    place.lay(1..=1);
    darks(&place, "darks", 0..2);
    darks(&place, "others", 2..4);
    let own = "--dark darks --method addmax --motion affine --min-stars 3";
    watch(&place, &format!("{own} --max-frames 1")).exits(0);
    let cases = [
        ("--dark darks --method addmax,add --motion affine --min-stars 3", "--method", "addmax,add"),
        ("--dark darks --motion affine --min-stars 3", "--method", "addcomp"),
        ("--dark darks --method addmax --min-stars 3", "--motion", "homography"),
        ("--method addmax --motion affine --min-stars 3", "--dark", "none"),
        ("--dark others --method addmax --motion affine --min-stars 3", "--dark", "others"),
        ("--dark darks --method addmax --motion affine --min-stars 4", "--min-stars", "4"),
        ("--dark darks --method addmax --motion affine", "--min-stars", "none"),
    ];
    for (flags, what, now) in cases {
        let run = place.say(&format!("watch --backend cpu {flags}")).exits(5);
        assert_eq!(run.err.lines().count(), 1, "{flags}: {}", run.err);
        let told = run.err.split_once("other settings: ").expect("it says what differs").1;
        assert!(told.starts_with(what) && told.contains(now) && told.contains("--fresh"), "{flags}: {told}");
        assert_eq!(told.matches("the session has").count(), 1, "nothing else differs: {told}");
    }
    for flags in [
        "--align-to first",
        "--on-change scale",
        "--accept-all",
        "--bias darks",
        "--dark-rule signed",
        "--white 200",
        "--no-align",
        "--restart-on-new-target",
        "--master mean",
    ] {
        // These contradict limits.
        let bare = ["--accept-all", "--no-align"].contains(&flags);
        let own = if bare { own.replace("--min-stars 3", "") } else { own.to_owned() };
        place.say(&format!("watch --backend cpu {own} {flags}")).exits(5);
    }
    place.lay(2..=2);
    let shown =
        "--format png,fits --name M45 --stretch auto --linked --publish-every 3 --prefer raw --poll 0.2";
    watch(&place, &format!("{own} {shown} --max-frames 2")).exits(0);
    // A dark more is another master.
    darks(&place, "darks", 7..8);
    let run = place.say(&format!("watch --backend cpu {own}")).exits(5);
    assert!(run.err.contains("--dark: the session has") && run.err.contains("3 files"), "{}", run.err);
}

/// Promise: the usual rule named is the usual rule; the same masters under another path are the same.
#[test]
fn the_same_said_otherwise_is_no_difference() {
    let place = night(4);
    darks(&place, "darks", 0..2);
    place.lay(1..=1);
    watch(&place, "--dark darks --max-frames 1").exits(0);
    place.lay(2..=2);
    watch(&place, "--dark ./frames/../darks --method addcomp --max-frames 2").exits(0);
    place.lay(3..=3);
    watch(&place, "--dark darks --motion homography --order name --max-frames 3").exits(0);
    place.say("watch --backend cpu --dark darks --method mean --max-frames 4").exits(5);
    std::fs::rename(place.path("darks"), place.path("dark")).expect("renamed");
    let named = night(2);
    darks(&named, "dark", 0..2);
    named.lay(1..=1);
    watch(&named, "--method addcomp --max-frames 1").exits(0);
    named.lay(2..=2);
    // The usual folder of darks is the usual one.
    watch(&named, "--dark dark --max-frames 2").exits(0);
    assert_eq!(finally(&named, "output", "stacked"), lights(1..=2));
}

/// Promise: `--fresh` begins anew, with other settings if it likes; the older journal is put aside, numbered, and its
/// checkpoints count no more.
#[test]
fn fresh_begins_anew() {
    let place = night(4);
    place.lay(1..=3);
    watch(&place, "--max-frames 3").exits(0);
    let before = place.bytes("output/session/journal.jsonl");
    std::fs::remove_file(place.path("input/light_03.png")).expect("removed");
    let (events, _) = watch(&place, "--fresh --method mean --max-frames 2").exits(0);
    assert_eq!(last(&events, "done")["stacked"], 2);
    assert!(place.bytes("output/session/journal-1.jsonl") == before);
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=2));
    // What goes on is the new one.
    place.lay(3..=3);
    let (events, _) = watch(&place, "--method mean --max-frames 3").exits(0);
    assert_eq!(last(&events, "resumed")["checkpoint"], 2);
    watch(&place, "--fresh --max-frames 3").exits(0);
    assert!(place.path("output/session/journal-2.jsonl").exists());
    assert!(place.bytes("output/session/journal-1.jsonl") == before);
    place.same_files("output", 3);
}

impl Place {
    #[track_caller]
    fn same_files(&self, out: &str, count: usize) {
        assert_eq!(finally(self, out, "stacked").len(), count);
        until("nobody holds it", || self.status(out)["running"] == false);
    }
}

/// Promise: a fresh session that is cut off goes on like any other: only the program that was told to begins anew.
#[test]
fn a_fresh_session_is_taken_up_without_the_flag() {
    let place = night(4);
    place.lay(1..=2);
    watch(&place, "--max-frames 2").exits(0);
    let mut live = watch(&place, "--fresh");
    live.until_decided(2);
    live.kill();
    place.lay(3..=3);
    let (events, _) = watch(&place, "--max-frames 3").exits(0);
    assert_eq!(last(&events, "resumed")["again"], 2);
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=3));
}

/// Promise: a session of a newer livestack, or one whose journal is no journal, is not touched by mistake.
#[test]
fn what_it_does_not_know_it_refuses() {
    let place = night(2);
    place.lay(1..=1);
    watch(&place, "--max-frames 1").exits(0);
    let path = place.path("output/session/journal.jsonl");
    let text = std::fs::read_to_string(&path).expect("a journal");
    std::fs::write(&path, text.replacen("\"version\":1", "\"version\":2", 1)).expect("written");
    for words in ["watch --backend cpu", "add frames/light_02.png --session output"] {
        let run = place.say(words).exits(5);
        assert!(run.err.contains("newer livestack") && run.err.contains("--fresh"), "{words}: {}", run.err);
    }
}
