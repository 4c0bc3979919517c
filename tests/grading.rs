//! Which frames of a night are stacked: clouds, blur, tracking errors, limits, and grades that agree with the truth.

mod common;

use common::geometry::worst;
use common::night::{Night, Shot, drift, name, of, reason};
use common::sky::{FWHM, GLOW, Sky};
use common::{backends, with_status};
use serde_json::Value;

const SIZE: (usize, usize) = (600, 400);
/// Accuracy of good frames at this size, px.
const WORST: f64 = 0.012;

fn sky() -> Sky {
    Sky::new(SIZE, 200, 71)
}

/// A frame through a cloud, one out of focus, one of a mount that does not follow.
fn bad(map: common::geometry::Map, k: u64) -> [Shot; 3] {
    let clear = Shot::new(map, k);
    [Shot { clear: 0.01, ..clear }, Shot { blur: 2.5, ..clear }, Shot { smear: (6.0, 2.5), ..clear }]
}

/// Promise: a clouded frame, a blurred one, a trailed one and one of half the gain are rejected with their reasons and
/// leave no trace: outputs of every rule are, byte for byte, those of the night without them, and the others as
/// accurate. Control: one good frame more, and the outputs differ.
#[test]
fn bad_frames_are_rejected_and_leave_no_trace() {
    let sky = sky();
    let maps = drift(9, SIZE, 71);
    let (mut clean, mut night) = (Night::new(SIZE), Night::new(SIZE));
    for (k, map) in maps.iter().enumerate() {
        let shot = Shot::new(*map, k as u64);
        let half = Shot { gain: 0.5, ..shot };
        let [cloud, blur, smear] = bad(*map, k as u64);
        match k {
            3 => night.shoot(k, &sky, &cloud),
            4 => night.shoot(k, &sky, &blur),
            6 => night.shoot(k, &sky, &smear),
            7 => night.shoot(k, &sky, &half),
            _ => {
                clean.shoot(k, &sky, &shot);
                night.shoot(k, &sky, &shot);
            }
        }
    }
    for backend in backends() {
        for n in [&clean, &night] {
            n.place.stack_on(backend, "--method all,mean --format png,tiff").exits(0);
        }
        let records = night.records();
        assert_eq!(with_status(&records, "rejected"), [3, 4, 6, 7].map(name), "{backend}");
        assert!(reason(&records, 3).starts_with("too few stars (cloud?): "), "{}", reason(&records, 3));
        assert!(reason(&records, 4).starts_with("blurred: FWHM "), "{}", reason(&records, 4));
        assert!(reason(&records, 6).starts_with("trailed: elongation "), "{}", reason(&records, 6));
        assert!(reason(&records, 7).starts_with("exposure changed"), "{}", reason(&records, 7));
        let errors = night.errors_of(&records);
        assert!(worst(&errors) <= WORST, "{backend}: {errors:.4?}");
        assert_eq!(night.place.names("output"), clean.place.names("output"));
        for name in clean.place.names("output").iter().filter(|n| !n.ends_with("jsonl")) {
            let file = format!("output/{name}");
            assert!(night.place.bytes(&file) == clean.place.bytes(&file), "{backend}: {name} differs");
        }
        clean.place.stack_on(backend, "--last 4 --method addcomp -o fewer").exits(0);
        assert!(clean.place.bytes("fewer/ADDCOMP.png") != clean.place.bytes("output/ADDCOMP.png"));
    }
}

/// Promise: stars smeared to 12 px by a mount that does not follow are called trailed.
#[test]
fn a_long_trail_is_called_trailed() {
    let sky = sky();
    let maps = drift(4, SIZE, 74);
    let mut night = Night::of(&sky, &maps);
    night.shoot(2, &sky, &Shot { smear: (11.0, 5.0), ..Shot::new(maps[2], 2) });
    for backend in backends() {
        night.stack(backend, "");
        let records = night.records();
        let why = reason(&records, 2);
        assert!(why.starts_with("trailed: elongation "), "{backend}: {why}: {}", of(&records, 2)["grade"]);
    }
}

/// Promise: `--accept-all` stacks blurred and trailed frames that can be aligned, and aligns the good ones as well.
/// Control: the same frames without it.
#[test]
fn accept_all_takes_what_can_be_aligned() {
    /// A smeared or blurred star has its centre where the truth says, less sharply.
    const BAD: f64 = 0.17;
    let sky = sky();
    let maps = drift(6, SIZE, 72);
    let mut night = Night::of(&sky, &maps);
    for (k, shot) in [(2, bad(maps[2], 2)[1]), (4, bad(maps[4], 4)[2])] {
        night.shoot(k, &sky, &shot);
    }
    for backend in backends() {
        night.stack(backend, "");
        assert_eq!(with_status(&night.records(), "rejected"), [2, 4].map(name), "{backend}");
        night.stack(backend, "--accept-all");
        let errors = night.errors();
        assert_eq!(errors.len(), maps.len(), "{backend}");
        let (bad, good): (Vec<_>, Vec<_>) = errors.iter().enumerate().partition(|(k, _)| [2, 4].contains(k));
        let values = |v: Vec<(usize, &f64)>| v.into_iter().map(|(_, e)| *e).collect::<Vec<f64>>();
        assert!(worst(&values(good)) <= WORST && worst(&values(bad)) <= BAD, "{backend}: {errors:.4?}");
    }
}

/// Promise: `--min-stars`, `--max-fwhm` and `--max-elongation` are absolute limits, for the first frame too; a run
/// whose frames all fail ends with exit code 1. Control: limits that all frames reach reject none.
#[test]
fn limits_hold_from_the_first_frame() {
    let sky = sky();
    let maps = drift(4, SIZE, 73);
    // Frames 0 and 2 have a fault that the usual of their night would allow.
    let cases = [
        ("--min-stars", Shot { clear: 0.35, ..Shot::new(maps[0], 0) }, "stars", "too few stars: "),
        ("--max-fwhm", Shot { blur: 1.3, ..Shot::new(maps[0], 0) }, "fwhm_px", "blurred: FWHM "),
        ("--max-elongation", Shot { smear: (4.0, 1.0), ..Shot::new(maps[0], 0) }, "elongation", "trailed: "),
    ];
    for (flag, fault, field, why) in cases {
        let mut night = Night::of(&sky, &maps);
        for k in [0, 2] {
            night.shoot(k, &sky, &Shot { map: maps[k], k: k as u64, ..fault });
        }
        for backend in backends() {
            // Wide limits: every frame passes, and its grade is known.
            let wide = if flag == "--min-stars" { "1" } else { "19" };
            night.stack(backend, &format!("{flag} {wide}"));
            let records = night.records();
            let grade = |k: usize| of(&records, k)["grade"][field].as_f64().expect("grade");
            assert_eq!(with_status(&records, "stacked").len(), 4, "{backend} {flag}: {records:#?}");
            // Between the bad frames and the good ones.
            let limit = (grade(0) + grade(2) + grade(1) + grade(3)) / 4.0;
            let limit = if flag == "--min-stars" { limit.round() } else { (limit * 1e3).round() / 1e3 };
            let shown = limit.to_string();
            night.stack(backend, &format!("{flag} {shown}"));
            let records = night.records();
            assert_eq!(with_status(&records, "rejected"), [0, 2].map(name), "{backend} {flag} {shown}");
            assert!(
                of(&records, 3)["reference"].as_str().is_some_and(|r| r.ends_with(&name(1))),
                "{backend}"
            );
            for k in [0, 2] {
                let text = reason(&records, k);
                assert!(text.starts_with(why) && text.ends_with(&format!("{flag} {shown}")), "{text}");
            }
            let none = if flag == "--min-stars" { "100000" } else { "1" };
            night.place.stack_on(backend, &format!("--method addcomp {flag} {none} -o none")).exits(1);
        }
    }
}

fn grade(record: &Value, field: &str) -> f64 {
    record["grade"][field].as_f64().unwrap_or_else(|| panic!("{field}: {record}"))
}

/// Promise: the grade in `frames.jsonl` agrees with the frame: FWHM within 10 %, background within a level, gradient
/// within 20 %, the saturated share within a tile and what stars saturate, more stars in a richer field, elongation of
/// round and of smeared stars apart.
#[test]
fn grades_agree_with_the_truth() {
    const TILE: usize = 16;
    // Nine by six cells of the background's mesh: of an odd number the median is the middle's, also under a ramp.
    let size: (usize, usize) = (576, 384);
    let tiles = (size.0.div_ceil(TILE) * size.1.div_ceil(TILE)) as f64;
    let sky = Sky::new(size, 200, 71);
    let map = common::geometry::IDENTITY;
    let clear = Shot::new(map, 1);
    // Frame, FWHM over a sharp star's, background, gradient.
    let shots = [
        (clear, 1.0, 0.0, 0.0),
        (Shot { blur: 1.4, ..clear }, 1.4, 0.0, 0.0),
        (Shot { ramp: 40.0, ..clear }, 1.0, 20.0, 40.0),
        (Shot { clipped: Some((10 * TILE, 80)), ..clear }, 1.0, 0.0, 0.0),
        (Shot { clear: 0.4, ..clear }, 1.0, 0.0, 0.0),
    ];
    let mut night = Night::new(size);
    for (k, (shot, ..)) in shots.iter().enumerate() {
        night.shoot(k, &sky, shot);
    }
    // 80 px are five tiles.
    let lit = 25.0 / tiles;
    for backend in backends() {
        night.stack(backend, "");
        let records = night.records();
        for (k, (_, wider, above, gradient)) in shots.iter().enumerate() {
            let r = of(&records, k);
            let (fwhm, level) = (FWHM * wider, f64::from(GLOW) + above);
            assert!((grade(r, "fwhm_px") / fwhm - 1.0).abs() <= 0.1, "{backend}: {fwhm}: {r}");
            assert!((grade(r, "background") - level).abs() <= 1.0, "{backend}: {level}: {r}");
            let found = grade(r, "gradient");
            assert!((found - gradient).abs() <= (0.2 * gradient).max(1.0), "{backend}: {gradient}: {r}");
            assert!((1.0..1.25).contains(&grade(r, "elongation")), "{backend}: {r}");
        }
        let saturation = |k: usize| grade(of(&records, k), "saturation");
        let more = saturation(3) - saturation(0);
        assert!((more - lit).abs() <= 2.0 / tiles, "{backend}: {more} instead of {lit}");
        let stars = |k: usize| grade(of(&records, k), "stars");
        assert!(stars(4) < 0.9 * stars(0) && stars(0) > 100.0, "{backend}: {} of {}", stars(4), stars(0));
    }
}
