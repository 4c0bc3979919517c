//! Masters, dark rules and JPEG frames against the same arithmetic written once more, in f64, in the test.

mod common;

use common::picture::{Picture, read_png, read_tiff, same_stack, write_jpeg};
use common::rules::{self, SIX};
use common::sky::{Sky, eight};
use common::{Place, backends, golden};
use std::path::Path;

/// Largest difference of f32 stacks, white = 1.
const TOLERANCE: f64 = 2e-6;

fn levels(path: &Path) -> Picture<f64> {
    read_png(path).0.map(f64::from)
}

fn golden_frames(frames: &str, kind: &str, count: usize) -> Vec<Picture<f64>> {
    let one = if kind == "input" { "light" } else { "dark" };
    (1..=count).map(|k| levels(&golden().join(format!("{frames}/{kind}/{one}_{k}.png")))).collect()
}

/// Promise: `--master peak-mean|mean|median|sigma` and `--dark-rule guarded|signed` do what they say, 8 and 16 bit,
/// every backend. A single light is the stack, so the output is the calibrated light itself: `mean` shows it as it
/// is, the six rules add 5 % of white on signed data. Control: no other master or dark rule gives that output.
#[test]
fn every_master_and_dark_rule() {
    const MASTERS: [&str; 4] = ["peak-mean", "mean", "median", "sigma"];
    const DARK_RULES: [&str; 2] = ["guarded", "signed"];
    for backend in backends() {
        for (frames, white) in [("level8", 255.0), ("level16", 65535.0)] {
            let light = &golden_frames(frames, "input", 1)[0];
            let darks = golden_frames(frames, "dark", 4);
            let wanted = |master: &str, rule: &str| {
                let out = rules::calibrated(rule, light, &rules::master(master, &darks));
                out.map(|v| (v / white) as f32)
            };
            let mut seen: Vec<(String, Picture<f32>)> = Vec::new();
            for master in MASTERS {
                for rule in DARK_RULES {
                    let case = format!("{backend} {frames} {master} {rule}");
                    let place = Place::new();
                    let dir = golden().join(frames);
                    place
                        .stack_on(
                            backend,
                            &format!(
                                "{0}/input/light_1.png --dark {0}/dark --master {master} --dark-rule {rule} \
                                 --no-align --method mean,addcomp --format tiff --out out",
                                dir.display()
                            ),
                        )
                        .exits(0);
                    let got = read_tiff(&place.path("out/MEAN.tiff"));
                    assert!(same_stack(&got, &wanted(master, rule), TOLERANCE), "{case}");
                    let pedestal = if rule == "signed" { 0.05 } else { 0.0 };
                    let shown = read_tiff(&place.path("out/ADDCOMP.tiff"));
                    assert!(
                        same_stack(&shown, &got.map(|v| v + pedestal), TOLERANCE),
                        "{case}: the pedestal of the six rules"
                    );
                    // With four darks nothing lies 3 standard deviations out: sigma is the mean.
                    let twin = |other: &str| master == "sigma" && other == format!("mean {rule}");
                    for (other, picture) in seen.iter().filter(|(o, _)| !twin(o)) {
                        assert!(!same_stack(&got, picture, TOLERANCE), "{case} passes for {other}");
                    }
                    seen.push((format!("{master} {rule}"), got));
                }
            }
        }
    }
}

/// Promise: `--master sigma` leaves samples beyond 3 standard deviations out. Twenty darks, in one of them a hit.
#[test]
fn sigma_leaves_a_hit_out() {
    let place = Place::new();
    place.folder("dark");
    place.folder("input");
    let plain = Picture::new(9, 7, 3, vec![10_u8; 9 * 7 * 3]);
    let mut hit = plain.clone();
    hit.data[40] = 250;
    for k in 0..20 {
        let dark = if k == 12 { &hit } else { &plain };
        common::picture::write_png8(&place.path(format!("dark/{k}.png")), dark);
    }
    common::picture::write_png8(&place.path("input/light.png"), &plain.map(|_| 100));
    for (master, expected) in [("sigma", 90.0), ("mean", 78.0)] {
        place.stack(&format!("--no-align --method mean --format tiff --master {master}")).exits(0);
        let got = read_tiff(&place.path("output/MEAN.tiff"));
        assert!((got.data[40] * 255.0 - expected).abs() < 1e-3, "{master}: {}", got.data[40] * 255.0);
        assert!((got.data[41] * 255.0 - 90.0).abs() < 1e-3);
    }
}

/// Promise: `--dark FILE` takes a ready master as it is.
#[test]
fn a_ready_master_is_taken() {
    for backend in backends() {
        let place = Place::new();
        let folder = golden().join("level16");
        let darks = golden_frames("level16", "dark", 4);
        // Rounded, so that a PNG holds it.
        let master = rules::master("peak-mean", &darks).map(|v| v.round() as u16);
        common::picture::write_png16(&place.path("master.png"), &master);
        let light = &golden_frames("level16", "input", 1)[0];
        place
            .stack_on(
                backend,
                &format!(
                    "{}/input/light_1.png --dark master.png --no-align --method mean --format tiff",
                    folder.display()
                ),
            )
            .exits(0);
        let want = rules::calibrated("guarded", light, &master.map(f64::from));
        let got = read_tiff(&place.path("output/MEAN.tiff"));
        assert!(same_stack(&got, &want.map(|v| (v / 65535.0) as f32), TOLERANCE), "{backend}");
    }
}

/// Three small JPEG lights and two darks in `place`.
fn jpegs(place: &Place) {
    let sky = Sky::new((101, 67), 30, 5);
    place.folder("input");
    place.folder("dark");
    for k in 1..=3 {
        let mut light = sky.light(&common::geometry::IDENTITY, k);
        // Bright enough that sums pass white.
        light.data.iter_mut().for_each(|v| *v *= 2.5);
        write_jpeg(&place.path(format!("input/light_{k}.jpg")), &eight(&light), None);
    }
    for k in 1..=2 {
        write_jpeg(&place.path(format!("dark/dark_{k}.JPEG")), &eight(&sky.dark(k)), None);
    }
}

/// The program's own samples of a JPEG.
fn decoded(path: &Path) -> Picture<f64> {
    let frame = livestack::io::read(path, Vec::new()).expect("JPEG");
    let s = frame.shape;
    let data = (0..s.samples()).map(|k| f64::from(frame.level(k))).collect();
    Picture::new(s.width, s.height, s.channels, data)
}

/// Promise: JPEG frames stack by the same arithmetic, fed with our own decoded samples; with and without darks,
/// every backend. Control: one light exchanged for another, and no rule agrees.
#[test]
fn jpeg_frames_stack_by_the_same_arithmetic() {
    for backend in backends() {
        let place = Place::new();
        jpegs(&place);
        let darks: Vec<_> = (1..=2).map(|k| decoded(&place.path(format!("dark/dark_{k}.JPEG")))).collect();
        let master = rules::master("peak-mean", &darks);
        let lights: Vec<_> = (1..=3).map(|k| decoded(&place.path(format!("input/light_{k}.jpg")))).collect();
        let calibrated: Vec<_> = lights.iter().map(|l| rules::calibrated("guarded", l, &master)).collect();
        std::fs::rename(place.path("dark"), place.path("darks")).expect("rename");
        for (flags, frames) in [("", &lights), ("--dark darks", &calibrated)] {
            place.stack_on(backend, &format!("{flags} --no-align --format tiff")).exits(0);
            for rule in SIX {
                let got = read_tiff(&place.path(format!("output/{rule}.tiff")));
                let want = rules::stacked(rule, frames, 255.0);
                assert!(same_stack(&got, &want, TOLERANCE), "{backend} {rule} {flags}");
                let planted = [frames[0].clone(), frames[1].clone(), frames[1].clone()];
                let planted = rules::stacked(rule, &planted, 255.0);
                assert!(!same_stack(&got, &planted, TOLERANCE), "{backend} {rule}: mistake not seen");
            }
        }
    }
}

/// Promise: `mean` without motion is the plain mean of the frames, on every backend.
#[test]
fn mean_is_the_mean() {
    for backend in backends() {
        for (frames, white) in [("level8", 255.0), ("level16", 65535.0)] {
            let place = Place::new();
            let input = golden().join(frames).join("input");
            place
                .stack_on(backend, &format!("{} --no-align --method mean --format tiff", input.display()))
                .exits(0);
            let lights = golden_frames(frames, "input", 5);
            let mut sum = lights[0].clone();
            for light in &lights[1..] {
                sum.data.iter_mut().zip(&light.data).for_each(|(s, v)| *s += v);
            }
            let got = read_tiff(&place.path("output/MEAN.tiff"));
            assert!(same_stack(&got, &sum.map(|s| (s / 5.0 / white) as f32), TOLERANCE), "{backend}");
            let last_left_out = sum.map(|s| (s / 4.0 / white) as f32);
            assert!(!same_stack(&got, &last_left_out, TOLERANCE), "{backend}: mistake not seen");
        }
    }
}

/// Writes a gray float TIFF of 20x10 samples: all `level`, the one in the middle `middle`.
fn float(place: &Place, name: &str, level: f32, middle: f32) {
    let mut data = vec![level; 200];
    data[MIDDLE] = middle;
    livestack::io::write_tiff_f32(&place.path(name), 20, 10, 1, &data).expect("write");
}

/// The sample of [`float`] that differs.
const MIDDLE: usize = 110;

/// Promise: the unit of floats (white 1 where the maximum is at most 1.5, else 65535) is the first frame's for the
/// whole night: one bright pixel in a later frame does not change what its other samples mean.
#[test]
fn the_first_frame_decides_the_unit_of_floats() {
    for backend in backends() {
        for (first, second, level, middle) in
            [(0.25, 2.0, 0.25, 1.125), (2.0, 0.25, 0.25 / 65535.0, 1.125 / 65535.0)]
        {
            let place = Place::new();
            place.folder("input");
            float(&place, "input/1.tif", 0.25, first);
            float(&place, "input/2.tif", 0.25, second);
            place.stack_on(backend, "--no-align --method mean,addcomp --format tiff").exits(0);
            for rule in ["MEAN", "ADDCOMP"] {
                let got = read_tiff(&place.path(format!("output/{rule}.tiff")));
                let mut want = got.map(|_| level);
                want.data.iter_mut().skip(MIDDLE * got.channels).take(got.channels).for_each(|v| *v = middle);
                // In units of the expected level: white = 65535 leaves small numbers.
                let relative = |p: &Picture<f32>| p.map(|v| v / level);
                assert!(same_stack(&relative(&got), &relative(&want), TOLERANCE), "{backend} {rule} {first}");
            }
        }
    }
}

/// Promise: a float dark under float lights is in their unit, whatever its own maximum; under integer lights a
/// maximum of at most 1.5 means white = 1, a larger one white = 65535. Integer darks scale to the lights' white.
#[test]
fn float_darks_take_the_unit_of_the_lights() {
    for backend in backends() {
        let place = Place::new();
        float(&place, "large.tif", 20000.0, 20000.0);
        float(&place, "unit.tif", 0.5, 0.9);
        float(&place, "small_dark.tif", 1.0, 0.5);
        float(&place, "unit_dark.tif", 0.2, 2.0);
        float(&place, "share_dark.tif", 0.2, 0.2);
        float(&place, "level_dark.tif", 20.0 * 257.0, 20.0 * 257.0);
        let eight = |name: &str, level: u8| {
            common::picture::write_png8(&place.path(name), &Picture::new(20, 10, 1, vec![level; 200]));
        };
        eight("eight.png", 100);
        eight("eight_dark.png", 51);
        for (light, dark, level, middle) in [
            ("large.tif", "small_dark.tif", 19999.0 / 65535.0, 19999.5 / 65535.0),
            // Guarded: the hot pixel is above the light's.
            ("unit.tif", "unit_dark.tif", 0.3, 0.9),
            ("unit.tif", "eight_dark.png", 0.3, 0.7),
            ("eight.png", "share_dark.tif", 49.0 / 255.0, 49.0 / 255.0),
            ("eight.png", "level_dark.tif", 80.0 / 255.0, 80.0 / 255.0),
        ] {
            let flags = format!("{light} --dark {dark} --no-align --method mean --format tiff");
            place.stack_on(backend, &flags).exits(0);
            let got = read_tiff(&place.path("output/MEAN.tiff"));
            let mut want = got.map(|_| level);
            want.data.iter_mut().skip(MIDDLE * got.channels).take(got.channels).for_each(|v| *v = middle);
            assert!(same_stack(&got, &want, TOLERANCE), "{backend} {light} {dark}: {}", got.data[0]);
        }
    }
}
