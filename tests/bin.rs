//! `--bin 2`: the stack at half size is what the means of 2x2 calibrated pixels make.

mod common;

use common::geometry::{Map, about_centre, compose, errors, inverse, similarity};
use common::mosaic::write_float;
use common::picture::{Picture, difference, everywhere, read_tiff, same_stack, write_png8, write_png16};
use common::session::{finally, lights, night};
use common::sky::{Rng, Sky, eight, sixteen};
use common::{Place, backends, with_status};

/// Largest difference of f32 stacks, share of white (SEMANTICS).
const STACK_TOLERANCE: f64 = 2e-6;

/// The means of 2x2 cells; an odd last column or row is dropped. `shift` columns to the right of where they belong.
fn halved(p: &Picture<f32>, shift: usize) -> Picture<f32> {
    let (w, h, c) = (p.width / 2, p.height / 2, p.channels);
    let value = |k: usize| {
        let (pixel, channel) = (k / c, k % c);
        let (x, y) = (pixel % w * 2 + shift, pixel / w * 2);
        let at = |dx: usize, dy: usize| f64::from(p.at((x + dx).min(p.width - 1), y + dy, channel));
        ((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0) as f32
    };
    Picture::new(w, h, c, (0..w * h * c).map(value).collect())
}

/// One channel of a picture.
fn green(p: &Picture<f32>) -> Picture<f32> {
    let data = (0..p.width * p.height).map(|k| p.at(k % p.width, k / p.width, 1));
    Picture::new(p.width, p.height, 1, data.collect())
}

/// Frames of one kind: how they are written.
type Write = fn(&Place, &str, &Picture<f32>);

/// The kinds: 8 and 16 bits, gray and colour; floats.
const KINDS: [(&str, Write); 5] = [
    ("8 bit", |place, to, p| write_png8(&place.path(format!("{to}.png")), &eight(p))),
    ("8 bit gray", |place, to, p| write_png8(&place.path(format!("{to}.png")), &eight(&green(p)))),
    ("16 bit", |place, to, p| write_png16(&place.path(format!("{to}.png")), &sixteen(p))),
    ("16 bit gray", |place, to, p| write_png16(&place.path(format!("{to}.png")), &sixteen(&green(p)))),
    ("float", |place, to, p| write_float(&place.path(format!("{to}.fits")), p, &[])),
];

/// Promise: frames are calibrated at full size, sample by sample, and then averaged over 2x2 cells: a binned stack is the
/// mean of the cells of the stack at full size to 2e-6 of white on every sample, for each kind of frame, without a dark,
/// with one that is exact in 16 bits, with one that is not, taken off guarded or signed, and with a flat; at an odd size;
/// every backend. Control: cells that begin a column later are others.
#[test]
fn binned_frames_are_the_means_of_calibrated_cells() {
    let size = (301, 203);
    let sky = Sky::new(size, 60, 5);
    for (kind, write) in KINDS {
        let place = Place::new();
        for name in ["input", "one", "three", "flat"] {
            place.folder(name);
        }
        write(&place, "input/light", &sky.light(&common::geometry::IDENTITY, 1));
        write(&place, "one/dark", &sky.dark(1));
        (0..3).for_each(|k| write(&place, &format!("three/dark_{k}"), &sky.dark(k)));
        let mut rng = Rng::new(3);
        let shade = Picture::new(
            size.0,
            size.1,
            3,
            (0..size.0 * size.1 * 3).map(|_| rng.within(80.0, 200.0) as f32).collect(),
        );
        write(&place, "flat/flat", &shade);
        let mut settings = vec![
            "",
            "--dark one",
            "--dark three --master mean",
            "--dark three --master mean --dark-rule signed",
        ];
        if kind == "float" {
            settings.push("--dark three --flat flat");
        }
        for backend in backends() {
            for setting in &settings {
                let stack = |bin: usize| {
                    let out = format!("o{bin}");
                    let args = format!(
                        "{setting} --bin {bin} --no-align --white 255 --method mean --format tiff -o {out}"
                    );
                    place.stack_on(backend, &args).exits(0);
                    read_tiff(&place.path(format!("{out}/MEAN.tiff")))
                };
                let (whole, half) = (stack(1), stack(2));
                assert_eq!((half.width, half.height), (150, 101));
                // Levels of 16 bits are 257 times those that 255 stands for here.
                let white = if kind.starts_with("16") { 257.0 } else { 1.0 };
                let d = difference(&half, &halved(&whole, 0), STACK_TOLERANCE * white, everywhere);
                assert!(d.beyond == 0.0, "{backend}: {kind}: {setting}: {d:?}");
                assert!(
                    !same_stack(&half, &halved(&whole, 1), STACK_TOLERANCE * white),
                    "{kind}: {setting}: a column later"
                );
            }
        }
    }
}

/// The truth of frames at half their size: a pixel of it at x covers those at 2 x and 2 x + 1.
fn half(map: &Map) -> Map {
    let up = [2.0, 0.0, 0.5, 0.0, 2.0, 0.5, 0.0, 0.0, 1.0];
    compose(&inverse(&up), &compose(map, &up))
}

/// Promise: binned frames are aligned at half size, and their poses are in its pixels, with its canvas in
/// `frames.jsonl`; the picture is what stacking frames makes that were averaged before, under the same poses. Every
/// backend. Controls: the truth at full size, and poses half a pixel off, are far away.
#[test]
fn binned_frames_are_aligned_and_stacked_at_half_size() {
    let (size, small) = ((900, 601), (450, 300));
    let sky = Sky::new(size, 150, 8);
    let place = Place::new();
    place.folder("input");
    place.folder("halves");
    let mut truth = std::collections::HashMap::new();
    for k in 0..6 {
        let turn = similarity(0.1 * k as f64, 1.0, 2.7 * k as f64, -1.9 * k as f64);
        let map = about_centre(&turn, size);
        let name = format!("f{k}.png");
        let frame = eight(&sky.light(&map, k));
        write_png8(&place.path(format!("input/{name}")), &frame);
        // Sums of four in 16 bits: white is 4 times 255.
        let sums = halved(&frame.map(f32::from), 0).map(|v| (4.0 * v) as u16);
        write_png16(&place.path(format!("halves/{name}")), &sums);
        truth.insert(name, map);
    }
    for backend in backends() {
        place.stack_on(backend, "--bin 2 --method mean,addmax --format tiff").exits(0);
        let records = place.records("output");
        assert_eq!(with_status(&records, "stacked").len(), 6);
        assert_eq!(records[0]["canvas"], serde_json::json!([450, 300]), "{}", records[0]);
        let halves = truth.iter().map(|(name, map)| (name.clone(), half(map))).collect();
        let off = errors(&records, &halves, small);
        println!("{backend}: poses at half size are off by {off:.4?} px");
        assert!(off.iter().all(|e| *e < 0.05), "{off:?}");
        let wrong = errors(&records, &truth, small);
        assert!(wrong[1..].iter().all(|e| *e > 1.0), "the truth at full size: {wrong:?}");

        let args =
            "halves --poses output/frames.jsonl --white 1020 --method mean,addmax --format tiff -o of_halves";
        place.stack_on(backend, args).exits(0);
        for name in ["MEAN.tiff", "ADDMAX.tiff"] {
            let read = |folder: &str| read_tiff(&place.path(folder).join(name));
            let (got, want) = (read("output"), read("of_halves"));
            assert!(same_stack(&got, &want, STACK_TOLERANCE), "{backend}: {name}");
        }
        let text = std::fs::read_to_string(place.path("output/frames.jsonl")).expect("poses");
        let mut planted = text
            .lines()
            .map(|l| serde_json::from_str(l).expect("a record"))
            .collect::<Vec<serde_json::Value>>();
        let shifted = planted[3]["homography"][2].as_f64().expect("a number") + 0.5;
        planted[3]["homography"][2] = shifted.into();
        let lines: Vec<String> = planted.iter().map(ToString::to_string).collect();
        std::fs::write(place.path("off.jsonl"), lines.join("\n")).expect("poses");
        let args = "halves --poses off.jsonl --white 1020 --method mean --format tiff -o off";
        place.stack_on(backend, args).exits(0);
        let (got, other) =
            (read_tiff(&place.path("output/MEAN.tiff")), read_tiff(&place.path("off/MEAN.tiff")));
        assert!(!same_stack(&got, &other, STACK_TOLERANCE), "{backend}: half a pixel is not seen");
        let run = place.stack_on(backend, "--poses output/frames.jsonl --method mean -o again").exits(2);
        let last = run.err.lines().last().unwrap_or_default();
        assert!(last.contains("450x300") && last.contains("--bin"), "{}", run.err);
    }
}

/// Promise: of a mosaic `--bin 2` makes superpixels, and nothing else; headers say what was done.
#[test]
fn a_binned_mosaic_is_superpixels() {
    let place = Place::new();
    let sky = Sky::new((240, 160), 60, 2);
    place.folder("input");
    for k in 0..3 {
        let frame = green(&sky.light(&common::geometry::shift(1.7 * k as f64, 0.6 * k as f64), k));
        write_float(&place.path(format!("input/f{k}.fits")), &frame, &[]);
    }
    place.stack("--bayer GRBG --bin 2 --format fits -o bin").exits(0);
    place.stack("--bayer GRBG --demosaic superpixel --format fits -o cells").exits(0);
    place.stack("--bayer GRBG --bin 2 --demosaic superpixel --format fits -o both").exits(0);
    place.stack("--bin 2 --format fits -o gray").exits(0);
    let read = |folder: &str| place.bytes(&format!("{folder}/MEAN.fits"));
    assert!(read("bin") == read("cells") && read("both") == read("cells"));
    let says = |folder: &str, text: &str| String::from_utf8_lossy(&read(folder)).contains(text);
    assert!(says("bin", "by superpixels") && !says("bin", "2x2") && says("gray", "cells of 2x2 pixels"));
}

/// Promise: what cannot be is refused in one line, before anything is read.
#[test]
fn other_values_are_refused() {
    let place = Place::new();
    place.folder("input");
    write_png8(&place.path("input/f.png"), &Picture::new(1, 9, 3, vec![40; 27]));
    for (args, says) in [
        ("--bin 0", "--bin takes 1 (full size) or 2 (half size): got 0"),
        ("--bin 3", "--bin takes 1 (full size) or 2 (half size): got 3"),
        ("--bin 2 --demosaic mhc", "leave --demosaic out"),
        ("--bin 2 --demosaic bilinear", "leave --demosaic out"),
        ("--bin 2 --no-align --method add", "the lights are 1x9 8 bit colour: too small for --bin 2"),
    ] {
        let run = place.stack(args).exits(2);
        let last = run.err.lines().last().unwrap_or_default();
        assert!(last.starts_with("livestack: ") && last.contains(says), "{args}: {}", run.err);
    }
    place.stack("--bin 1 --no-align --method add").exits(0);
}

/// Promise: a session is known by its `--bin`: with another it is refused, with what differs; left out, `add` takes the
/// session's.
#[test]
fn a_session_keeps_its_size() {
    let place = night(3);
    place
        .say("add frames/light_01.png --backend cpu --bin 2 --method mean --format tiff --session out")
        .exits(0);
    let refused = place.say("add frames/light_02.png --backend cpu --bin 1 --method mean --session out");
    drop(refused.exits(5));
    let run =
        place.say("add frames/light_02.png --backend cpu --method addcomp --bin 2 --session out").exits(5);
    assert!(run.err.contains("--method") && !run.err.contains("--bin"), "{}", run.err);
    place.say("add frames/light_02.png frames/light_03.png --session out").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), lights(1..=3));
    place.stack("frames --bin 2 --method mean --format tiff -o once").exits(0);
    assert!(place.bytes("out/MEAN.tiff") == place.bytes("once/MEAN.tiff"));
    place.say("add frames/light_01.png --backend cpu --method mean --session other").exits(0);
    let run =
        place.say("add frames/light_02.png --backend cpu --method mean --bin 2 --session other").exits(5);
    assert!(run.err.contains("--bin: the session has none, now 2"), "{}", run.err);
}
