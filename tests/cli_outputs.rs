//! What a run leaves and says: files and their names, records, events, tables.

mod common;

use common::picture::read_png;
use common::sky::{drifting, flats};
use common::{Place, backends, file, with_status};
use serde_json::Value;

/// Promise: `--format` png ADDCOMP.png (8 bit), png16 ADDCOMP_16.png (16 bit), tiff ADDCOMP.tiff (32-bit float), in
/// any case and order, each once; with `--name` NAME_ comes first.
#[test]
fn formats_and_names_of_the_outputs() {
    let place = Place::new();
    flats(&place, &[10, 40]);
    for (flags, expected) in [
        ("", vec!["ADDCOMP.png"]),
        ("--format png", vec!["ADDCOMP.png"]),
        ("--format png16", vec!["ADDCOMP_16.png"]),
        ("--format tiff", vec!["ADDCOMP.tiff"]),
        ("--format TIFF,png,png", vec!["ADDCOMP.png", "ADDCOMP.tiff"]),
        ("--format png16,tiff,png", vec!["ADDCOMP.png", "ADDCOMP.tiff", "ADDCOMP_16.png"]),
        ("--format png,tiff --name M45", vec!["M45_ADDCOMP.png", "M45_ADDCOMP.tiff"]),
        ("--format png16 --name a.b", vec!["a.b_ADDCOMP_16.png"]),
    ] {
        let place_out = Place::new();
        let out = place_out.path("out");
        place.stack(&format!("--no-align --method addcomp -o {} {flags}", out.display())).exits(0);
        let mut names = place_out.names("out");
        names.retain(|n| n != "frames.jsonl");
        assert_eq!(names, expected, "{flags}");
        for name in names.iter().filter(|n| n.ends_with("png")) {
            let white = if name.contains("_16") { 65535.0 } else { 255.0 };
            assert_eq!(read_png(&out.join(name)).1, white, "{name}");
        }
        for name in names.iter().filter(|n| n.ends_with("tiff")) {
            common::picture::read_tiff(&out.join(name));
        }
    }
}

/// Promise: `--debug-frames` also writes the 8-bit stack after each stacked frame, NAME_METHOD_0007.png; the first
/// is the first frame, the last the final picture, and rejected frames do not count.
#[test]
fn debug_frames_are_numbered_by_stacked_frames() {
    for backend in backends() {
        let place = Place::new();
        flats(&place, &[10, 40, 100]);
        std::fs::write(place.path("input/light_2b.png"), "damaged").expect("write");
        place.stack_on(backend, "--no-align --method add,mean --stretch none --debug-frames").exits(0);
        let mut expected = vec!["ADD.png".to_owned(), "MEAN.png".into(), "frames.jsonl".into()];
        expected.extend((1..=3).flat_map(|k| [format!("ADD_{k:04}.png"), format!("MEAN_{k:04}.png")]));
        expected.sort();
        assert_eq!(place.names("output"), expected, "{backend}");
        for rule in ["ADD", "MEAN"] {
            let last = place.bytes(&format!("output/{rule}_0003.png"));
            assert!(last == place.bytes(&format!("output/{rule}.png")), "{backend} {rule}");
        }
        let level = |name: &str| read_png(&place.path(format!("output/{name}"))).0.data[0];
        assert_eq!(
            [level("ADD_0001.png"), level("ADD_0002.png"), level("ADD_0003.png")],
            [10.0, 50.0, 150.0]
        );
        assert_eq!(
            [level("MEAN_0001.png"), level("MEAN_0002.png"), level("MEAN_0003.png")],
            [10.0, 25.0, 50.0]
        );
        place.stack_on(backend, "--no-align --method add --debug-frames --name M45 -o named").exits(0);
        assert!(place.names("named").contains(&"M45_ADD_0003.png".to_owned()), "{backend}");
    }
}

/// Promise: `--json` prints events as JSON lines on stdout and nothing else: start, stacked, rejected, warning, done.
#[test]
fn json_events() {
    for backend in backends() {
        let place = Place::new();
        drifting(&place, 3);
        std::fs::write(place.path("input/light_2b.png"), "damaged").expect("write");
        std::fs::write(place.path("input/notes.txt"), "text").expect("write");
        let run = place.stack_on(backend, "--json --method addcomp --format png,tiff --timings").exits(0);
        let events = run.events();
        let kinds = |name: &str| events.iter().filter(|e| e["event"] == name).collect::<Vec<_>>();
        assert!(events.iter().all(|e| e["event"].is_string() && e["seconds"].is_number()));
        assert_eq!(kinds("start").len(), 1);
        assert_eq!(kinds("start")[0]["frames"], 4);
        assert_eq!(kinds("stacked").len(), 3);
        assert_eq!(kinds("rejected").len(), 1);
        assert_eq!(kinds("warning").len(), 1, "the text file");
        let done = kinds("done")[0];
        assert_eq!((&done["stacked"], &done["rejected"]), (&Value::from(3), &Value::from(1)));
        let outputs = done["outputs"].as_array().expect("outputs");
        assert_eq!(outputs.len(), 2);
        for path in outputs {
            assert!(place.path(path.as_str().expect("path")).is_file(), "{path}");
        }
        // The events hold the records of frames.jsonl.
        let frames: Vec<&Value> =
            events.iter().filter(|e| e["event"] == "stacked" || e["event"] == "rejected").collect();
        for (event, record) in frames.iter().zip(place.records("output")) {
            assert_eq!(event["frame"], record, "{backend}");
        }
        // The timings too are an event, not a table.
        let spans = kinds("timings")[0]["spans"].as_array().expect("spans");
        assert!(spans.iter().any(|s| s["name"] == "accumulate" && s["calls"].as_u64() > Some(0)));
    }
}

/// Promise: without a terminal the text is plain lines: one for each frame with its name and what became of it, and
/// the outputs that were written.
#[test]
fn plain_lines() {
    let place = Place::new();
    drifting(&place, 3);
    std::fs::write(place.path("input/light_2b.png"), "damaged").expect("write");
    let run = place.stack("--method add").exits(0);
    for (name, what) in [
        ("light_1.png", "stacked"),
        ("light_2.png", "stacked"),
        ("light_2b.png", "rejected"),
        ("light_3.png", "stacked"),
    ] {
        let lines: Vec<_> = run.out.lines().filter(|l| l.contains(name)).collect();
        assert!(lines.len() == 1 && lines[0].contains(what), "{name}: {lines:?}");
    }
    assert!(run.out.contains("ADD.png") && run.out.contains("3 stacked, 1 rejected"), "{}", run.out);
    assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "no terminal codes in a pipe");
}

/// Promise: `--timings` prints a table: per kernel and host stage calls, ms in all, ms a frame, GB/s.
#[test]
fn timings_table() {
    for backend in backends() {
        let place = Place::new();
        drifting(&place, 3);
        let run = place.stack_on(backend, "--timings --method addcomp").exits(0);
        let head = run.out.lines().position(|l| l.contains("calls")).expect("a head line");
        let lines: Vec<&str> = run.out.lines().skip(head).collect();
        for column in ["calls", "ms", "ms/frame", "GB/s"] {
            assert!(lines[0].split_whitespace().any(|w| w == column), "{backend} {column}: {}", lines[0]);
        }
        for stage in ["calibrate", "gray", "tiles", "ecc", "accumulate", "present", "write"] {
            let row = lines.iter().find(|l| l.trim_start().starts_with(stage));
            let row = row.unwrap_or_else(|| panic!("{backend}: no row for {stage}:\n{}", run.out));
            let words: Vec<&str> = row.split_whitespace().collect();
            let calls: u64 = words[1].parse().unwrap_or_else(|_| panic!("calls in {row:?}"));
            let ms: Vec<f64> = words[2..4].iter().filter_map(|w| w.parse().ok()).collect();
            assert!(calls > 0 && ms.len() == 2 && ms[0] >= ms[1], "{backend}: {row:?}");
        }
        let quiet = place.stack_on(backend, "--method addcomp").exits(0);
        assert!(!quiet.out.contains("ms/frame"), "{backend}: a table that nobody asked for");
    }
}

/// Promise: frames.jsonl has one line per input frame in stacking order with the fields that the tools read.
#[test]
fn records_have_every_field() {
    for backend in backends() {
        let place = Place::new();
        drifting(&place, 4);
        std::fs::write(place.path("input/light_3.png"), "damaged").expect("write");
        place.stack_on(backend, "--method addcomp").exits(0);
        let records = place.records("output");
        let names: Vec<_> = records.iter().map(file).collect();
        assert_eq!(names, ["light_1.png", "light_2.png", "light_3.png", "light_4.png"], "{backend}");
        for r in &records {
            assert_eq!(r["stack"], 1, "{r}");
            assert!(r["elapsed_ms"].is_object(), "{r}");
        }
        let bad = &records[2];
        assert!(bad["status"] == "rejected" && bad["reason"].is_string() && bad["homography"].is_null());
        for (r, k) in [(&records[0], 0.0), (&records[1], 1.0), (&records[3], 3.0)] {
            assert_eq!(r["status"], "stacked");
            assert_eq!(r["reference"], records[0]["file"]);
            let h = r["homography"].as_array().expect("homography");
            assert!(h.len() == 9 && h[8] == 1.0, "{r}");
            assert!(r["correlation"].as_f64().is_some_and(|c| (0.5..=1.0).contains(&c)), "{r}");
            assert!(r["iterations"].is_u64(), "{r}");
            let near = |v: &Value, want: f64, by: f64| v.as_f64().is_some_and(|v| (v - want).abs() < by);
            assert!(near(&r["shift_px"][0], 1.3 * k, 0.15) && near(&r["shift_px"][1], -0.8 * k, 0.15), "{r}");
            assert!(near(&r["rotation_deg"], 0.0, 0.1), "{r}");
            let stages = r["elapsed_ms"].as_object().expect("stages");
            assert!(!stages.is_empty() && stages.values().all(Value::is_number), "{r}");
        }
    }
}

/// Promise: a second run into the same OUT overwrites its outputs and frames.jsonl; files that are not its own stay;
/// no temporary file is left by either.
#[test]
fn a_second_run_overwrites() {
    for backend in backends() {
        let place = Place::new();
        flats(&place, &[10, 40, 100]);
        place.stack_on(backend, "--no-align").exits(0);
        let names = place.names("output");
        let first = place.bytes("output/ADD.png");
        std::fs::write(place.path("output/mine.txt"), "mine").expect("write");
        place.stack_on(backend, "--no-align --last 2").exits(0);
        assert!(place.bytes("output/ADD.png") != first, "{backend}");
        assert_eq!(with_status(&place.records("output"), "stacked"), ["light_2.png", "light_3.png"]);
        place.stack_on(backend, "--no-align").exits(0);
        assert!(place.bytes("output/ADD.png") == first, "{backend}: the same input gives the same bytes");
        let mut after = place.names("output");
        after.retain(|n| n != "mine.txt");
        assert_eq!(after, names, "{backend}: nothing but the outputs and frames.jsonl");
    }
}
