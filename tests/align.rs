//! Alignment against a known truth, and what it must refuse.

mod common;

use common::geometry::{
    IDENTITY, Map, about_centre, compose, errors, homography, median, rms_error, shift, similarity, worst,
};
use common::picture::{Picture, write_png8};
use common::sky::{Rng, Sky, eight};
use common::{Place, backends, with_status};
use std::collections::HashMap;

/// The promise for frames of a megapixel and more, px.
const WORST: f64 = 0.06;
/// The same for the median.
const MEDIAN: f64 = 0.03;

/// The name of frame `k` (from 0).
fn name(k: usize) -> String {
    format!("light_{:04}.png", k + 1)
}

/// Writes frames of `sky` under `maps` into input/; returns the truth by name.
fn sequence(place: &Place, sky: &Sky, maps: &[Map]) -> HashMap<String, Map> {
    place.folder("input");
    for (k, map) in maps.iter().enumerate() {
        write_png8(&place.path("input").join(name(k)), &eight(&sky.light(map, k as u64)));
    }
    maps.iter().enumerate().map(|(k, m)| (name(k), *m)).collect()
}

/// Promise: every frame of a drifting, turning sequence is aligned to at most 0.06 px, half of them to 0.03, in both
/// `--align-to` modes and on every backend, and the error does not grow with the frame number. Control: a truth that
/// is off by 0.1 px fails the same check.
#[test]
fn poses_agree_with_the_truth() {
    let size = (1200, 800);
    let sky = Sky::new(size, 300, 77);
    let mut rng = Rng::new(4);
    let mut jitter = || rng.within(-1.0, 1.0);
    let maps: Vec<Map> = (0..16)
        .map(|k| {
            let t = f64::from(k);
            let (dx, dy) = if k == 0 { (0.0, 0.0) } else { (2.2 * t + jitter(), 1.1 * t + jitter()) };
            about_centre(&similarity(0.02 * t, 1.0, dx, dy), size)
        })
        .collect();
    let place = Place::new();
    let truth = sequence(&place, &sky, &maps);
    for backend in backends() {
        for mode in ["previous", "first"] {
            let case = format!("{backend} {mode}");
            place.stack_on(backend, &format!("--align-to {mode} --method addcomp")).exits(0);
            let records = place.records("output");
            let errors = errors(&records, &truth, size);
            assert_eq!(errors.len(), maps.len(), "{case}: every frame is stacked");
            assert!(within(&errors), "{case}: {errors:.4?}");
            let (early, late) = errors[1..].split_at(7);
            assert!(
                median(late) < 1.5 * median(early) + 0.01,
                "{case}: errors grow: {early:.4?} then {late:.4?}"
            );
            let off: HashMap<String, Map> = truth
                .iter()
                .map(|(name, m)| (name.clone(), if *name == self::name(9) { displaced(m) } else { *m }))
                .collect();
            assert!(!within(&self::errors(&records, &off, size)), "{case}: 0.1 px is not seen");
        }
    }
}

fn within(errors: &[f64]) -> bool {
    worst(errors) <= WORST && median(errors) <= MEDIAN
}

/// A truth that is wrong by 0.1 px.
fn displaced(map: &Map) -> Map {
    compose(&shift(0.08, -0.06), map)
}

/// Promise: over the hand-over of `previous` (overlap with the first frame under 60 %) the canvas stays the first
/// frame's and at most 0.01 px is added to what `first` reaches on the same frames.
#[test]
fn hand_over_keeps_the_canvas() {
    const HAND_OVER_ADDS: f64 = 0.01;
    let size = (900, 600);
    let sky = Sky::new(size, 500, 31);
    let maps: Vec<Map> = (0..14).map(|k| shift(-26.3 * f64::from(k), -17.7 * f64::from(k))).collect();
    // From here on less than 60 % of the first frame is seen.
    let after = 9;
    let place = Place::new();
    let truth = sequence(&place, &sky, &maps);
    for backend in backends() {
        let mut late = Vec::new();
        for mode in ["previous", "first"] {
            place.stack_on(backend, &format!("--align-to {mode} --method addcomp")).exits(0);
            let records = place.records("output");
            assert_eq!(with_status(&records, "stacked").len(), maps.len(), "{backend} {mode}");
            assert!(records.iter().all(|r| r["reference"] == records[0]["file"]));
            let errors = errors(&records, &truth, size);
            assert!(within(&errors), "{backend} {mode}: {errors:.4?}");
            late.push(errors[after..].to_vec());
        }
        assert!(late[0] != late[1], "{backend}: `previous` has not handed over");
        assert!(median(&late[0]) <= median(&late[1]) + HAND_OVER_ADDS, "{backend}: {late:.4?}");
    }
}

/// A step of motion of each kind, about the frame's centre.
fn motions() -> [(&'static str, Map); 5] {
    let perspective = [1.0, 0.0, 0.8, 0.0, 1.0, -1.1, 6e-6, -4e-6, 1.0];
    [
        ("translation", shift(1.7, -1.2)),
        ("euclidean", similarity(0.12, 1.0, 1.3, 0.9)),
        ("similarity", similarity(0.08, 1.003, -0.9, 1.4)),
        ("affine", [1.003, 0.002, 1.1, -0.001, 0.998, 0.7, 0.0, 0.0, 1.0]),
        ("homography", compose(&perspective, &similarity(0.05, 1.001, 0.0, 0.0))),
    ]
}

/// Promise: each `--motion` model recovers motion of its own kind, and gives no more freedom than its name says.
/// Control: the next poorer model does not recover it.
#[test]
fn every_motion_model_recovers_its_own_kind() {
    const GOOD: f64 = 0.04;
    let size = (600, 400);
    for (k, (motion, step)) in motions().into_iter().enumerate() {
        let step = about_centre(&step, size);
        let mut maps = vec![IDENTITY];
        for j in 0..3 {
            maps.push(compose(&step, &maps[j]));
        }
        let place = Place::new();
        let truth = sequence(&place, &Sky::new(size, 260, 100 + k as u64), &maps);
        for backend in backends() {
            place.stack_on(backend, &format!("--motion {motion} --method addcomp")).exits(0);
            let records = place.records("output");
            let found = errors(&records, &truth, size);
            assert!(found.len() == 4 && worst(&found) <= GOOD, "{backend} {motion}: {found:.4?}");
            for record in &records {
                assert!(has_form(motion, &homography(record)), "{backend} {motion}: {record}");
            }
            if k > 0 {
                let poorer = motions()[k - 1].0;
                let run = place.stack_on(backend, &format!("--motion {poorer} --method addcomp -o poorer"));
                let bad = run.code != Some(0) || {
                    let found = errors(&place.records("poorer"), &truth, size);
                    found.len() < 4 || worst(&found) > GOOD
                };
                assert!(bad, "{backend}: {poorer} passes for {motion}");
            }
        }
    }
}

/// Whether a map has no more freedom than `motion` allows.
fn has_form(motion: &str, m: &Map) -> bool {
    const TINY: f64 = 1e-9;
    let affine = m[6].abs() < TINY && m[7].abs() < TINY && (m[8] - 1.0).abs() < TINY;
    let similar = affine && (m[0] - m[4]).abs() < TINY && (m[1] + m[3]).abs() < TINY;
    match motion {
        "translation" => similar && (m[0] - 1.0).abs() < TINY && m[1].abs() < TINY,
        "euclidean" => similar && (m[0].hypot(m[3]) - 1.0).abs() < TINY,
        "similarity" => similar,
        "affine" => affine,
        _ => (m[8] - 1.0).abs() < TINY,
    }
}

/// Promise: a large shift (a mount that was bumped: 80 px) is found from anywhere, by phase correlation.
#[test]
fn a_bumped_mount_is_found() {
    let size = (800, 600);
    let maps = [IDENTITY, shift(1.4, -0.8), shift(81.3, -52.6), shift(82.4, -53.0), shift(-78.5, 43.2)];
    let place = Place::new();
    let truth = sequence(&place, &Sky::new(size, 200, 8), &maps);
    for backend in backends() {
        place.stack_on(backend, "--method addcomp").exits(0);
        let errors = errors(&place.records("output"), &truth, size);
        assert!(errors.len() == maps.len() && worst(&errors) <= WORST, "{backend}: {errors:.4?}");
    }
}

/// Frames that show no part of the field: name and picture.
fn foreign(size: (usize, usize)) -> Vec<(&'static str, Picture<u8>)> {
    let flat = |level: u8| Picture::new(size.0, size.1, 3, vec![level; size.0 * size.1 * 3]);
    let empty = Sky::new(size, 0, 555);
    let mut clouds = empty.light(&IDENTITY, 2);
    for (k, v) in clouds.data.iter_mut().enumerate() {
        let x = (k / 3 % size.0) as f32;
        *v += 40.0 + 30.0 * (x / 90.0).sin();
    }
    vec![
        ("black", flat(0)),
        ("clouds", eight(&clouds)),
        ("noise", eight(&empty.light(&IDENTITY, 1))),
        ("other", eight(&Sky::new(size, 150, 999).light(&IDENTITY, 3))),
        ("poor", eight(&Sky::new(size, 25, 1001).light(&IDENTITY, 4))),
        ("rich", eight(&Sky::new(size, 600, 1002).light(&IDENTITY, 5))),
        ("white", flat(255)),
    ]
}

/// Promise: a frame of noise, of clouds, a black one, a white one and those of other fields (as many stars, few,
/// many) are rejected, each with a reason; the frames after them are stacked; a rejected frame leaves the stack
/// untouched and does not count in n: outputs and poses are, byte for byte, those of a run without them. Control:
/// one good frame less, and the outputs differ.
#[test]
fn foreign_frames_are_rejected_and_leave_no_trace() {
    let size = (600, 400);
    let sky = Sky::new(size, 150, 42);
    let maps: Vec<Map> = (0..9)
        .map(|k| {
            about_centre(&similarity(0.03 * f64::from(k), 1.0, 1.9 * f64::from(k), -1.1 * f64::from(k)), size)
        })
        .collect();
    let clean = Place::new();
    sequence(&clean, &sky, &maps);
    let place = Place::new();
    sequence(&place, &sky, &maps);
    for (k, (kind, picture)) in foreign(size).into_iter().enumerate() {
        // After frame 2, 3, ...: natural order puts light_0002_black.png behind light_0002.png.
        write_png8(&place.path(format!("input/light_{:04}_{kind}.png", k + 2)), &picture);
    }
    for backend in backends() {
        for p in [&clean, &place] {
            p.stack_on(backend, "--method all,mean --format png,tiff").exits(0);
        }
        let records = place.records("output");
        let rejected = with_status(&records, "rejected");
        let mut kinds: Vec<_> =
            rejected.iter().map(|n| n.trim_end_matches(".png").rsplit('_').next().expect("kind")).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["black", "clouds", "noise", "other", "poor", "rich", "white"], "{backend}");
        for r in records.iter().filter(|r| r["status"] == "rejected") {
            assert!(r["reason"].as_str().is_some_and(|s| s.len() > 10), "{backend}: {r}");
            assert!(r["homography"].is_null(), "{backend}: {r}");
        }
        let stacked: Vec<Map> = records.iter().filter(|r| r["status"] == "stacked").map(homography).collect();
        let expected: Vec<Map> = clean.records("output").iter().map(homography).collect();
        assert_eq!(stacked, expected, "{backend}: poses");
        assert_eq!(place.names("output"), clean.names("output"));
        for name in clean.names("output").iter().filter(|n| !n.ends_with("jsonl")) {
            let name = format!("output/{name}");
            assert!(place.bytes(&name) == clean.bytes(&name), "{backend}: {name} differs");
        }
        clean.stack_on(backend, "--last 8 --method addcomp -o fewer").exits(0);
        assert!(clean.bytes("fewer/ADDCOMP.png") != clean.bytes("output/ADDCOMP.png"), "{backend}");
    }
}

/// Promise: the canvas belongs to the first stacked frame: a first frame that shows nothing is rejected, and the
/// next one that does is the reference.
#[test]
fn a_first_frame_without_stars_is_no_reference() {
    let size = (300, 200);
    let sky = Sky::new(size, 60, 12);
    for backend in backends() {
        let place = Place::new();
        sequence(&place, &sky, &[IDENTITY, shift(2.0, 1.0), shift(4.0, 2.0)]);
        let black = Picture::new(size.0, size.1, 3, vec![0; size.0 * size.1 * 3]);
        write_png8(&place.path("input/a_black.png"), &black);
        place.stack_on(backend, "--method addcomp").exits(0);
        let records = place.records("output");
        assert_eq!(with_status(&records, "rejected"), ["a_black.png"], "{backend}");
        assert_eq!(with_status(&records, "stacked").len(), 3, "{backend}");
        assert!(records[1..].iter().all(|r| common::file(r).starts_with("light")));
        assert_eq!(homography(&records[1]), IDENTITY, "{backend}");
        for r in &records[1..] {
            assert_eq!(r["reference"], records[1]["file"], "{backend}");
        }
    }
}

/// Promise: the pose of a frame does not depend on its gain and offset (another ISO, moonlight).
#[test]
fn gain_and_offset_do_not_move_a_frame() {
    let size = (600, 400);
    let sky = Sky::new(size, 200, 14);
    let map = about_centre(&similarity(0.1, 1.0, 2.6, -1.8), size);
    let place = Place::new();
    place.folder("input");
    write_png8(&place.path("input/1.png"), &eight(&sky.light(&IDENTITY, 0)));
    for (k, gain, offset) in [(2, 1.0, 0.0), (3, 0.6, 0.0), (4, 1.5, 12.0)] {
        let frame = sky.light(&map, k).map(|v| gain * v + offset);
        write_png8(&place.path(format!("input/{k}.png")), &eight(&frame));
    }
    for backend in backends() {
        place.stack_on(backend, "--method addcomp --on-change scale").exits(0);
        for record in &place.records("output")[1..] {
            let error = rms_error(&homography(record), &map, size);
            assert!(error <= WORST, "{backend}: {error:.4} px: {record}");
        }
    }
}

/// Promise: `--poses` with the poses of an aligned run gives that run's outputs bit for bit, rejected frames left
/// out; other rules can follow over a night already aligned. On the CPU bit for bit; on every backend poses and
/// pixels are of the same run. Control: poses of another night give another picture.
#[test]
fn poses_round_trip() {
    let size = (300, 200);
    let maps: Vec<Map> = (0..6)
        .map(|k| about_centre(&similarity(0.11 * f64::from(k), 1.0, 1.7 * f64::from(k), -0.7), size))
        .collect();
    let place = Place::new();
    sequence(&place, &Sky::new(size, 60, 17), &maps);
    write_png8(
        &place.path("input/light_0003_black.png"),
        &eight(&Picture::new(300, 200, 3, vec![0.0; 180_000])),
    );
    for backend in backends() {
        place.stack_on(backend, "--method all,mean --format png,tiff -o first").exits(0);
        let flags = "--method all,mean --format png,tiff --poses first/frames.jsonl -o second";
        place.stack_on(backend, flags).exits(0);
        for name in place.names("first").iter().filter(|n| !n.ends_with("jsonl")) {
            let same = place.bytes(&format!("first/{name}")) == place.bytes(&format!("second/{name}"));
            assert!(same, "{backend}: {name} differs");
        }
        let (first, second) = (place.records("first"), place.records("second"));
        assert_eq!(with_status(&first, "rejected"), with_status(&second, "rejected"), "{backend}");
        let poses = |r: &[serde_json::Value]| -> Vec<Map> {
            r.iter().filter(|r| r["status"] == "stacked").map(homography).collect()
        };
        assert_eq!(poses(&first), poses(&second), "{backend}: poses");
        let text = std::fs::read_to_string(place.path("first/frames.jsonl")).expect("records");
        std::fs::write(place.path("still.jsonl"), unmoved(&text)).expect("write");
        place.stack_on(backend, "--method addcomp --poses still.jsonl -o third").exits(0);
        assert!(place.bytes("third/ADDCOMP.png") != place.bytes("first/ADDCOMP.png"), "{backend}");
    }
}

/// The same records with every pose the identity.
fn unmoved(text: &str) -> String {
    let still = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("record");
        if record["status"] == "stacked" {
            record["homography"] = serde_json::json!(IDENTITY);
        }
        format!("{record}\n")
    };
    text.lines().map(still).collect()
}
