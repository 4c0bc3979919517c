//! What becomes of frames of another exposure: rejected, brought to the stack's levels, or a new stack.

mod common;

use common::geometry::{median, worst};
use common::night::{Night, Shot, drift, name, of, reason};
use common::picture::{Picture, read_tiff, write_jpeg};
use common::sky::{Sky, eight};
use common::{backends, exif, with_status};

const SIZE: (usize, usize) = (600, 400);
/// Accuracy at this size, px.
const WORST: f64 = 0.02;

fn sky() -> Sky {
    Sky::new(SIZE, 200, 81)
}

/// Frames of one exposure, but `changed` at half the gain.
fn night(count: usize, seed: u64, changed: impl Fn(usize) -> bool) -> Night {
    let (sky, mut night) = (sky(), Night::new(SIZE));
    for (k, map) in drift(count, SIZE, seed).into_iter().enumerate() {
        let gain = if changed(k) { 0.5 } else { 1.0 };
        night.shoot(k, &sky, &Shot { gain, ..Shot::new(map, k as u64) });
    }
    night
}

/// Promise: a frame at half the gain is rejected and the reason says so; those after it are stacked. Control: at 0.95
/// of the gain it is stacked.
#[test]
fn another_gain_is_rejected() {
    let mut night = night(6, 81, |k| k == 3);
    for backend in backends() {
        night.stack(backend, "");
        let records = night.records();
        assert_eq!(with_status(&records, "rejected"), [name(3)], "{backend}");
        assert!(reason(&records, 3).starts_with("exposure changed"), "{backend}: {}", reason(&records, 3));
        assert!(worst(&night.errors()) <= WORST, "{backend}");
    }
    let map = drift(6, SIZE, 81)[3];
    night.shoot(3, &sky(), &Shot { gain: 0.95, ..Shot::new(map, 3) });
    for backend in backends() {
        night.stack(backend, "");
        assert_eq!(with_status(&night.records(), "stacked").len(), 6, "{backend}");
    }
}

/// Promise: where files say how they were exposed, the reason does too. Control: the same pixels whose files all say
/// the same are stacked.
#[test]
fn the_reason_names_what_the_header_says() {
    let (sky, maps) = (sky(), drift(5, SIZE, 82));
    for (speed, reject) in [(3200, true), (6400, false)] {
        let mut night = Night::new(SIZE);
        for (k, map) in maps.iter().enumerate() {
            let gain = if k == 2 { 0.5 } else { 1.0 };
            let picture = eight(&sky.shoot(&Shot { gain, ..Shot::new(*map, k as u64) }));
            let name = format!("light_{:04}.jpg", k + 1);
            let iso = exif::iso(if k == 2 { speed } else { 6400 });
            write_jpeg(&night.place.path("input").join(&name), &picture, Some(iso));
            night.note(&name, map);
        }
        for backend in backends() {
            night.stack(backend, "");
            let records = night.records();
            let why = records[2]["reason"].as_str();
            let expected = reject.then_some("exposure changed: ISO 3200, the stack has ISO 6400");
            assert_eq!(why, expected, "{backend}: {}", records[2]);
            let errors = night.errors();
            assert_eq!(errors.len(), maps.len() - usize::from(reject), "{backend}");
        }
    }
}

/// Sky level, and light of the stars above it, of the second frame of a stack of two, `stack`, whose first is `first`;
/// over the pixels that `lit` chooses.
fn measured(stack: &Picture<f32>, first: &Picture<f32>, lit: &[bool]) -> [(f64, f64); 3] {
    std::array::from_fn(|c| {
        let second: Vec<f64> = (c..stack.data.len())
            .step_by(3)
            .map(|k| 255.0 * f64::from(2.0 * stack.data[k] - first.data[k]))
            .collect();
        let sky = median(&second);
        let light = second.iter().zip(lit).filter(|(_, lit)| **lit).map(|(v, _)| v - sky).sum();
        (sky, light)
    })
}

/// Promise: `--on-change scale` stacks a frame at half the gain at the stack's levels: the pose as accurate, sky and
/// stars within 3 % of a normal frame's in each channel. Control: at 0.9 of the gain, as it is, the same comparison
/// sees the difference.
#[test]
fn a_scaled_frame_has_the_levels_of_the_stack() {
    const SHARE: f64 = 0.03;
    let (sky, maps) = (sky(), drift(2, SIZE, 83));
    let two = |gain: f32| {
        let mut night = Night::new(SIZE);
        night.shoot(0, &sky, &Shot::new(maps[0], 0));
        night.shoot(1, &sky, &Shot { gain, ..Shot::new(maps[1], 1) });
        night
    };
    let (normal, half, dimmer) = (two(1.0), two(0.5), two(0.9));
    let path = |n: &Night, out: &str| n.place.path(out).join("ADDCOMP.tiff");
    for backend in backends() {
        normal.stack(backend, "--format tiff");
        normal.stack(backend, &format!("--format tiff -o one input/{}", name(0)));
        half.stack(backend, "--format tiff --on-change scale");
        dimmer.stack(backend, "--format tiff");
        let scaled = &half.records()[1];
        assert_eq!(scaled["scaled"].as_array().map(Vec::len), Some(3), "{backend}: {scaled}");
        let errors = half.errors();
        assert!(errors.len() == 2 && worst(&errors) <= WORST, "{backend}: {errors:.4?}");
        let (first, wanted) = (read_tiff(&path(&normal, "one")), read_tiff(&path(&normal, "output")));
        // Pixels of stars that are clear of white in both frames of the normal night, inside both.
        let lit: Vec<bool> = (0..SIZE.0 * SIZE.1)
            .map(|k| {
                let values = [0, 1, 2].map(|c| 255.0 * wanted.data[3 * k + c]);
                let (x, y) = (k % SIZE.0, k / SIZE.0);
                let inner = (8..SIZE.0 - 8).contains(&x) && (8..SIZE.1 - 8).contains(&y);
                inner && values.iter().all(|v| *v > 26.0) && values.iter().all(|v| *v < 110.0)
            })
            .collect();
        let apart = |n: &Night| {
            let got = measured(&read_tiff(&path(n, "output")), &first, &lit);
            let want = measured(&wanted, &first, &lit);
            let each = got.iter().zip(want).map(|(g, w)| [(g.0 / w.0 - 1.0).abs(), (g.1 / w.1 - 1.0).abs()]);
            each.collect::<Vec<_>>()
        };
        let (scaled, raw) = (apart(&half), apart(&dimmer));
        assert!(
            worst(scaled.as_flattened()) <= SHARE,
            "{backend}: sky and stars of each channel: {scaled:.3?}"
        );
        assert!(raw.iter().flatten().all(|d| *d > SHARE), "{backend}: the comparison is blind: {raw:.3?}");
    }
}

/// Promise: `--on-change restart` keeps the finished stack under its number, equal to a run over those frames alone,
/// and begins a new one; records say which; a later run over the same folder takes no output for a frame.
#[test]
fn restart_keeps_the_finished_stack() {
    let night = night(8, 84, |k| k >= 4);
    for backend in backends() {
        let flags = "--on-change restart --format png,tiff -o input";
        let run = night.stack(backend, flags);
        assert!(run.out.contains("8 stacked, 0 rejected"), "{backend}: {}", run.out);
        let records = common::night::last(night.place.records("input"));
        for (k, r) in records.iter().enumerate() {
            assert_eq!(r["stack"], if k < 4 { 1 } else { 2 }, "{backend}: {r}");
            let reference = name(if k < 4 { 0 } else { 4 });
            assert!(r["reference"].as_str().is_some_and(|p| p.ends_with(&reference)), "{backend}: {r}");
        }
        let errors = night.errors_of(&records);
        assert!(errors.len() == 8 && worst(&errors) <= WORST, "{backend}: {errors:.4?}");
        let alone = |out: &str, frames: std::ops::Range<usize>| {
            let files = frames.map(|k| format!("input/{}", name(k))).collect::<Vec<_>>().join(" ");
            night.stack(backend, &format!("--format png,tiff -o {out} {files}"));
        };
        alone("early", 0..4);
        alone("late", 4..8);
        for format in ["png", "tiff"] {
            let same = |kept: &str, own: &str| {
                night.place.bytes(&format!("input/{kept}.{format}"))
                    == night.place.bytes(&format!("{own}/ADDCOMP.{format}"))
            };
            assert!(same("ADDCOMP_stack1", "early"), "{backend}: the first stack, {format}");
            assert!(same("ADDCOMP", "late"), "{backend}: the second stack, {format}");
            assert!(!same("ADDCOMP_stack1", "late"), "{backend}: the comparison is blind");
        }
        let again = night.stack(backend, flags);
        assert!(again.out.contains("8 stacked, 0 rejected"), "{backend}: {}", again.out);
        assert!(
            night
                .place
                .records("input")
                .iter()
                .all(|r| !r["file"].as_str().unwrap_or("").contains("ADDCOMP"))
        );
        for file in ["ADDCOMP.png", "ADDCOMP.tiff", "ADDCOMP_stack1.png", "ADDCOMP_stack1.tiff"] {
            std::fs::remove_file(night.place.path("input").join(file)).expect("an output");
        }
        std::fs::remove_file(night.place.path("input/frames.jsonl")).expect("records");
    }
}

/// Promise: without `scale`, frames of another exposure in a row are rejected with one warning that names the ways out.
#[test]
fn a_lasting_change_is_said_once() {
    let night = night(9, 85, |k| k >= 4);
    for backend in backends() {
        let run = night.stack(backend, "");
        assert_eq!(with_status(&night.records(), "rejected").len(), 5, "{backend}");
        assert_eq!(run.err.matches("--on-change").count(), 1, "{backend}: {}", run.err);
        assert_eq!(of(&night.records(), 3)["status"], "stacked", "{backend}");
    }
}
