//! `--json`: every event of every command has the fields that README.md documents, no more and no less, and every
//! documented one is seen here.
#![cfg(unix)]

mod common;

use common::geometry::shift;
use common::night::Shot;
use common::picture::write_png8;
use common::session::{age, light, misfit, night, until_it_listens, watch};
use common::sky::{Sky, eight};
use common::{Place, Run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A documented event: fields that are always there, and fields that may be.
#[derive(Default)]
struct Documented {
    always: BTreeSet<String>,
    sometimes: BTreeSet<String>,
}

/// The words in backticks of a text.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The table of README.md. In its second column a word in backticks is a field, but for those in parentheses.
fn documented() -> BTreeMap<String, Documented> {
    let readme = include_str!("../README.md");
    let heading = format!("## Events (version {})\n", livestack::report::EVENTS);
    let (_, section) = readme.split_once(&heading).expect("the section of this version of the events");
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter(|l| l.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{line}");
        let name = code(cells[0]).next().expect("a name").to_owned();
        let mut known = Documented::default();
        let bare: String =
            cells[1].split('(').map(|part| part.split_once(')').map_or(part, |(_, after)| after)).collect();
        for field in code(&bare) {
            match field.strip_suffix('?') {
                Some(field) => known.sometimes.insert(field.to_owned()),
                None => known.always.insert(field.to_owned()),
            };
        }
        (name, known)
    };
    rows.map(row).collect()
}

/// The same night through `stack`, `watch` and `add`: everything that can happen, happens.
fn everything() -> Vec<Vec<Value>> {
    let mut all = vec![behind(), replaced()];
    let place = night(6);
    misfit(&place, "frames/misfit.png");
    let mut live = watch(&place, "--timings");
    place.drop_all(1..=2);
    live.until_decided(2);
    place.drop_in("misfit.png");
    live.until_decided(3);
    live.until_published(2);
    live.signal("-HUP");
    live.until_event("restarted", 1);
    place.drop_all(3..=3);
    live.until_decided(4);
    all.push(live.kill());
    place.lay(4..=4);
    let mut live = watch(&place, "--timings");
    live.until_decided(1);
    std::fs::rename(place.path("input"), place.path("away")).expect("renamed");
    live.until_event("warning", 1);
    all.push(live.end().0);
    let words = "add frames/light_05.png frames/gone.png --session output --json";
    all.push(place.say(words).exits(0).events());
    all.push(place.say("stack frames --backend cpu --json --timings -o once").exits(0).events());
    all
}

/// Frames wait for a program that stands still: longer than frames should.
fn behind() -> Vec<Value> {
    const FRAMES: usize = 24;
    let place = night(FRAMES);
    let mut live = watch(&place, &format!("--max-frames {FRAMES}"));
    until_it_listens(&live);
    live.signal("-STOP");
    place.drop_all(1..=FRAMES);
    live.signal("-CONT");
    live.until_event("frame-received", 1);
    live.signal("-STOP");
    std::thread::sleep(Duration::from_millis(5500));
    live.signal("-CONT");
    live.exits(0).0
}

/// The first frame is out of focus.
fn replaced() -> Vec<Value> {
    let place = night(0);
    let sky = Sky::new((480, 320), 80, 3);
    for k in 1..=5 {
        let shot = Shot { blur: if k == 1 { 2.5 } else { 1.0 }, ..Shot::new(shift(k as f64, 0.0), k as u64) };
        let path = place.path("input").join(light(k));
        write_png8(&path, &eight(&sky.shoot(&shot)));
        age(&path, Duration::from_secs(60));
    }
    watch(&place, "--max-frames 5").exits(0).0
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Promise: every event has `time` and `seconds` and exactly its documented fields; every documented event and field
/// happens; nothing else does.
#[test]
fn events_are_as_documented() {
    let table = documented();
    let before = now();
    let runs = everything();
    let after = now();
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut missed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for events in &runs {
        let mut last = 0.0;
        for event in events {
            let name = event["event"].as_str().expect("a name");
            let known = table.get(name).unwrap_or_else(|| panic!("not in README.md: {event}"));
            let time = event["time"].as_f64().expect("a time");
            assert!((before - 1.0..=after + 1.0).contains(&time), "{event}");
            let seconds = event["seconds"].as_f64().expect("seconds");
            assert!(seconds >= last && seconds < after - before + 1.0, "{event}");
            last = seconds;
            let mut fields: BTreeSet<String> =
                event.as_object().expect("an object").keys().cloned().collect();
            ["event", "time", "seconds"].iter().for_each(|field| assert!(fields.remove(*field)));
            assert!(fields.is_superset(&known.always), "{:?} is not in {event}", known.always);
            let others: BTreeSet<_> = fields.difference(&known.always).cloned().collect();
            assert!(others.is_subset(&known.sometimes), "{others:?} is not documented: {event}");
            missed.entry(name).or_default().extend(known.sometimes.difference(&others).cloned());
            seen.entry(name).or_default().extend(fields);
        }
    }
    for (name, known) in &table {
        let fields = seen.get(name.as_str()).unwrap_or_else(|| panic!("no event {name} happened"));
        assert!(fields.is_superset(&known.sometimes), "{name}: {:?} never happened", known.sometimes);
        assert_eq!(missed[name.as_str()], known.sometimes, "{name}: always there");
    }
}

/// Promise: the first event is `start`, with the version; the last is `done`; a frame is received before it is decided,
/// and decided before it is published; `falling-behind` is said once.
#[test]
fn events_come_in_order() {
    let events = behind();
    let of = |name: &str| events.iter().filter(|e| e["event"] == name).collect::<Vec<_>>();
    assert_eq!(events.first().map(|e| (&e["event"], &e["version"])), Some((&"start".into(), &1.into())));
    assert_eq!(events.last().map(|e| &e["event"]), Some(&"done".into()));
    let lag = of("falling-behind");
    assert_eq!(lag.len(), 1);
    assert!(lag[0]["oldest_s"].as_f64() >= Some(5.0) && lag[0]["waiting"].as_u64() >= Some(3), "{}", lag[0]);
    assert!(of("warning")[0]["message"].as_str().is_some_and(|m| m.contains("--keep-up skip")));
    let at = |name: &str, file: &str| {
        let is =
            |e: &&Value| e["event"] == name && [&e["file"], &e["frame"]["file"]].iter().any(|f| *f == file);
        events.iter().find(is).and_then(|e| e["seconds"].as_f64()).unwrap_or_else(|| panic!("{name} {file}"))
    };
    for frame in of("stacked") {
        let file = frame["frame"]["file"].as_str().expect("a path");
        assert!(at("frame-received", file) <= at("stacked", file), "{file}");
    }
    let decided =
        |until: f64| of("stacked").iter().filter(|e| e["seconds"].as_f64() <= Some(until)).count() as u64;
    for published in of("published") {
        let by = published["seconds"].as_f64().expect("seconds");
        assert!(published["stacked"].as_u64() <= Some(decided(by)), "{published}");
        let number = |name: &str| published[name].as_f64().expect("a number");
        assert!(number("latency_ms") >= number("write_ms") && number("render_ms") >= 0.0, "{published}");
    }
}

/// Promise: with `--json` stdout holds events and nothing else, whatever the command is told.
#[test]
fn nothing_but_events_on_stdout() {
    let place: Place = night(2);
    let run: Run =
        place.say("add frames/light_01.png frames/light_02.png --session out --json --backend cpu --timings");
    let events = run.exits(0).events();
    assert_eq!(events.iter().filter(|e| e["event"] == "stacked").count(), 2);
    assert_eq!(events.iter().filter(|e| e["event"] == "timings").count(), 1);
}
