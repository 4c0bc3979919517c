//! `livestack status`: what a session is doing, from any terminal.
#![cfg(unix)]

mod common;

use common::session::{light, misfit, night, until, watch};
use serde_json::{Value, json};
use std::fs::OpenOptions;

/// What the text says under a heading.
fn says<'a>(text: &'a str, heading: &str) -> &'a str {
    let line = text.lines().find_map(|l| l.strip_prefix(heading));
    line.unwrap_or_else(|| panic!("no {heading} in {text}")).trim()
}

/// Promise: a folder without a session is exit 4, with a line that names it.
#[test]
fn no_session_is_exit_4() {
    let place = night(0);
    for dir in ["nowhere", "input"] {
        for json in ["", "--json"] {
            let run = place.say(&format!("status {dir} {json}")).exits(4);
            assert!(run.err.contains(dir) && run.err.lines().count() == 1, "{}", run.err);
            assert_eq!(run.out, "");
        }
    }
    assert_eq!(place.names("input"), [""; 0], "nothing is made");
}

/// Promise: running, ended, or cut off: it says which, how many frames, what became of the last, what was rejected and
/// how long it takes from file to picture.
#[test]
fn it_says_what_the_session_is_doing() {
    let place = night(3);
    let mut live = watch(&place, "");
    place.drop_all(1..=1);
    live.until_decided(1);
    misfit(&place, "frames/light_02.png");
    place.say("add frames/light_02.png").exits(0);
    live.until_decided(2);
    place.drop_all(3..=3);
    live.until_decided(3);
    live.until_published(2);
    until("the status follows", || place.status("output")["published"]["stacked"] == 2);
    let holder = format!("livestack watch, process {}", live.pid());
    let s = place.status("output");
    assert_eq!((&s["running"], &s["holder"]), (&json!(true), &json!(holder)));
    assert_eq!((&s["stacked"], &s["rejected"], &s["in_stack"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!((&s["pid"], &s["last"]["file"]), (&json!(live.pid()), &json!(light(3))));
    assert!(s["last_rejection"].as_str().is_some_and(|r| r.starts_with("light_02.png: ") && r.len() > 20));
    assert!(s["latency_ms"]["last"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 60_000.0), "{s}");
    assert!(s["folder"].as_str().is_some_and(|f| f.ends_with("input")) && s["trouble"].is_null(), "{s}");
    let text = place.say("status output").exits(0).out;
    assert!(says(&text, "session").contains(&holder), "{text}");
    assert_eq!(says(&text, "frames"), "2 stacked, 1 rejected, 0 waiting");
    assert!(says(&text, "last").starts_with("light_03.png  stacked"), "{text}");
    assert!(says(&text, "rejected").starts_with("light_02.png: "), "{text}");
    assert!(says(&text, "latency").contains(" ms from file to picture"), "{text}");
    live.kill();
    let s = place.status("output");
    assert_eq!((&s["running"], &s["holder"], &s["stacked"]), (&json!(false), &Value::Null, &json!(2)));
    let text = place.say("status output").exits(0).out;
    assert!(says(&text, "session").starts_with("not running: it was cut off"), "{text}");
    watch(&place, "--max-frames 3").exits(0);
    let s = place.status("output");
    assert_eq!((&s["running"], &s["state"], &s["stacked"]), (&json!(false), &json!("ended"), &json!(2)));
    assert_eq!(says(&place.say("status").exits(0).out, "session"), "ended", "output is the default");
}

/// Tells the one who asks that it is over, also where the test fails.
struct Ends<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Promise: asking never disturbs: while it is asked without a pause, the session takes its frames, and one that begins
/// meanwhile is not refused.
#[test]
fn asking_disturbs_nobody() {
    let place = night(8);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let run = place.run(["status", "output", "--json"]);
                assert!(run.code == Some(0) || run.code == Some(4), "{run:?}");
                asked += usize::from(run.code == Some(0));
            }
            asked
        });
        let ends = Ends(&done);
        for night in 0..4 {
            let mut live = watch(&place, "");
            place.drop_all(2 * night + 1..=2 * night + 2);
            live.until_decided(2);
            live.end();
        }
        drop(ends);
        assert!(asking.join().expect("it was asked") > 3);
    });
    assert_eq!(place.status("output")["stacked"], 8);
}

/// Promise: a status that is damaged or gone is no reason to fail: the session says what is left to say.
#[test]
fn a_damaged_status_is_survived() {
    let place = night(2);
    place.lay(1..=1);
    watch(&place, "--max-frames 1").exits(0);
    let path = place.path("output/session/status.json");
    for text in ["", "{\"state\":", "[1, 2]", "7", "null", "\"ended\"", "{\"stacked\":\"many\",\"last\":3}"] {
        std::fs::write(&path, text).expect("written");
        let run = place.say("status output").exits(0);
        assert!(says(&run.out, "session").contains("not running"), "{text}: {}", run.out);
        assert_eq!(place.status("output")["running"], false, "{text}");
    }
    std::fs::write(&path, [0xff, 0xfe, 0]).expect("written");
    place.say("status output").exits(0);
    std::fs::remove_file(&path).expect("removed");
    place.say("status output").exits(0);
    // A session goes on whatever its status says.
    place.lay(2..=2);
    watch(&place, "--max-frames 2").exits(0);
    assert_eq!(place.status("output")["stacked"], 2);
}

/// Promise: names in it are shown as text, whatever they hold; the lock file's words, too.
#[test]
fn control_characters_do_not_reach_the_terminal() {
    let place = night(1);
    std::fs::copy(place.path("frames/light_01.png"), place.path("input/a\u{1b}[31m\nb.png")).expect("copied");
    let mut live = watch(&place, "");
    live.until_decided(1);
    until("the status follows", || place.status("output")["stacked"] == 1);
    OpenOptions::new().write(true).open(place.path("output/session/lock")).expect("the lock is there");
    let text = place.say("status output").exits(0).out;
    assert!(says(&text, "last").contains("b.png  stacked"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    live.end();
}
