//! `--poses`, what survives a run that goes wrong, and what is never taken for a frame.

mod common;

use common::geometry::{apply, homography};
use common::picture::{Picture, read_tiff, write_png8};
use common::sky::{drifting, flat};
use common::{Place, with_status};
use serde_json::json;

/// Promise: a file of poses that makes no sense is one clear line, and a pose that makes none is a rejected frame.
#[test]
fn senseless_poses_are_refused() {
    let place = Place::new();
    place.folder("input");
    for k in 1..=3 {
        write_png8(&place.path(format!("input/f{k}.png")), &flat(60));
    }
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let poses = |third: [f64; 9]| {
        let line = |k: usize, h: [f64; 9]| {
            json!({ "file": format!("f{k}.png"), "status": "stacked", "homography": h }).to_string()
        };
        // A byte order mark and Windows line ends are no reason to refuse a file.
        let text =
            format!("\u{feff}{}\r\n{}\r\n{}\r\n", line(1, identity), line(2, identity), line(3, third));
        std::fs::write(place.path("p.jsonl"), text).expect("poses");
    };
    for bad in [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [1e300, 0.0, 0.0, 0.0, 1e300, 0.0, 0.0, 0.0, 1.0],
        [1.0, 0.0, 3e9, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        // The horizon crosses the frame.
        [-4.0, 0.0, 50.0, -2.0, 1.0, 20.0, -0.1, 0.0, 1.0],
    ] {
        poses(bad);
        place.stack("--method add --poses p.jsonl").exits(0);
        assert_eq!(with_status(&place.records("output"), "rejected"), ["f3.png"], "{bad:?}");
    }
    poses(identity);
    place.stack("--method add --poses p.jsonl").exits(0);
    assert_eq!(
        with_status(&place.records("output"), "stacked").len(),
        3,
        "the control: good poses are taken"
    );
    for text in ["not json\n", r#"{"file":"f1.png","status":"stacked","homography":["a",1,0,0,0,1,0,0,0,1]}"#]
    {
        std::fs::write(place.path("p.jsonl"), text).expect("poses");
        let run = place.stack("--method add --poses p.jsonl").exits(1);
        assert!(run.err.contains("line 1") && run.err.lines().count() == 1, "{}", run.err);
    }
}

/// Promise: the canvas and all homographies belong to the first stacked frame, also when poses are given.
#[test]
fn given_poses_refer_to_the_first_stacked_frame() {
    let place = Place::new();
    drifting(&place, 5);
    place.stack("--method addcomp -o found").exits(0);
    let found = place.records("found");
    place.stack("--method addcomp -o again --last 3 --poses found/frames.jsonl").exits(0);
    let again = place.records("again");
    let (h3, h5) = (homography(&found[2]), homography(&found[4]));
    let (first, last) = (homography(&again[0]), homography(&again[2]));
    assert_eq!(apply(&first, 10.0, 20.0), (10.0, 20.0), "the first stacked frame is the reference");
    // A point of frame 1 goes to the same place in frame 5, directly or through frame 3.
    let (x, y) = apply(&h3, 50.0, 40.0);
    let (through, direct) = (apply(&last, x, y), apply(&h5, 50.0, 40.0));
    let apart = (through.0 - direct.0).hypot(through.1 - direct.1);
    assert!(apart < 1e-9, "{through:?} {direct:?}");
    let (x, y) = (x + 0.1, y);
    let off = apply(&last, x, y);
    assert!(
        (off.0 - direct.0).hypot(off.1 - direct.1) > 0.05,
        "the control: a tenth of a pixel would be seen"
    );
}

/// Promise: the same name in two folders is not guessed at.
#[test]
fn equal_names_in_two_folders_keep_their_poses() {
    let place = Place::new();
    for (folder, dx) in [("a", 0.0), ("b", 3.0)] {
        place.folder(folder);
        write_png8(&place.path(format!("{folder}/f.png")), &flat(60));
        let line = json!({ "file": format!("{folder}/f.png"), "status": "stacked",
                           "homography": [1, 0, dx, 0, 1, 0, 0, 0, 1] });
        let mut text = std::fs::read_to_string(place.path("p.jsonl")).unwrap_or_default();
        text.push_str(&format!("{line}\n"));
        std::fs::write(place.path("p.jsonl"), text).expect("poses");
    }
    place.stack("a/f.png b/f.png --method add --poses p.jsonl").exits(0);
    let records = place.records("output");
    assert_eq!([&records[0]["shift_px"][0], &records[1]["shift_px"][0]], [&json!(0.0), &json!(3.0)]);
    place.folder("c");
    write_png8(&place.path("c/f.png"), &flat(60));
    place.stack("a/f.png c/f.png --method add --poses p.jsonl").exits(0);
    assert_eq!(with_status(&place.records("output"), "rejected"), ["f.png"]);
}

/// Promise: a run that fails at once leaves the records of the night before; `--poses` may name the file written.
#[test]
fn the_records_of_the_night_before_survive_a_failure() {
    let place = Place::new();
    drifting(&place, 3);
    place.stack("--method add").exits(0);
    let before = place.bytes("output/frames.jsonl");
    place.folder("small");
    write_png8(&place.path("small/d.png"), &Picture::new(3, 2, 1, vec![0; 6]));
    place.stack("--method add --dark small").exits(2);
    assert!(place.bytes("output/frames.jsonl") == before, "the records were lost");
    place.stack("--method add --poses output/frames.jsonl").exits(0);
    assert_eq!(with_status(&place.records("output"), "stacked").len(), 3);
    assert!(place.bytes("output/frames.jsonl") != before, "the control: a run that stacks writes new ones");
}

/// Promise: the first stacked frame decides the size, not a thumbnail that could not be aligned on.
#[test]
fn a_first_frame_that_is_rejected_does_not_decide_the_size() {
    let place = Place::new();
    drifting(&place, 4);
    write_png8(&place.path("input/a_thumb.png"), &Picture::new(30, 20, 3, vec![9; 30 * 20 * 3]));
    place.stack("--method addcomp").exits(0);
    let records = place.records("output");
    assert_eq!(with_status(&records, "rejected"), ["a_thumb.png"]);
    assert_eq!(with_status(&records, "stacked").len(), 4);
}

/// Promise: own outputs in the input folder are never stacked.
#[test]
fn own_outputs_are_not_stacked() {
    let place = Place::new();
    drifting(&place, 3);
    let args = "input --method add,mean --format png,png16,tiff --debug-frames -o input --name night";
    place.stack(args).exits(0);
    let first = read_tiff(&place.path("input/night_MEAN.tiff"));
    let run = place.stack(args).exits(0);
    assert_eq!(place.records("input").len(), 3);
    assert!(run.err.contains("night_MEAN.png"), "each is passed over with a line: {}", run.err);
    let again = read_tiff(&place.path("input/night_MEAN.tiff"));
    assert!(first.map(f32::to_bits).data == again.map(f32::to_bits).data, "the same frames, the same stack");
}

/// Promise: a pipe that is called a picture does not hang the program.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_frame() {
    let place = Place::new();
    drifting(&place, 2);
    let made = std::process::Command::new("mkfifo").arg(place.path("x.png")).status().expect("mkfifo");
    assert!(made.success());
    place.stack("input x.png --method add --order time").exits(0);
    assert_eq!(with_status(&place.records("output"), "rejected"), ["x.png"]);
    place.stack("--poses x.png").exits(1);
}
