//! Calibration of FITS frames: what is refused, what is doubted, what stands among the wrong frames, and the arithmetic of
//! the rules on signed data.

mod common;

use common::camera::{Camera, Of};
use common::mosaic::write_sixteen;
use common::picture::{Picture, read_png8, read_tiff, same_stack, write_jpeg, write_png8};
use common::rules::{self, SIX};
use common::sky::Rng;
use common::{Place, Run, backends, file, with_status};
use livestack::sensor::Bayer;
use std::path::Path;

const SIZE: (usize, usize) = (96, 64);
const WHITE: f64 = 65535.0;
/// Largest difference of f32 stacks, white = 1.
const TOLERANCE: f64 = 2e-6;

fn camera() -> Camera {
    Camera::new(SIZE, Bayer::Rggb, 0.002, 3.0)
}

/// A folder of frames.
fn folder(place: &Place, name: &str, of: Of, count: usize) {
    let folder = place.folder(name);
    for k in 0..count {
        camera().write(&folder.join(format!("{k}.fits")), of, k, (0.0, 0.0));
    }
}

/// A frame of noise around `level`, 16 bits; `seed` decides it.
fn noise(level: f32, seed: u64, (w, h): (usize, usize)) -> Picture<f32> {
    let mut rng = Rng::new(seed);
    Picture::new(w, h, 1, (0..w * h).map(|_| (level + 300.0 * rng.normal()).round()).collect())
}

/// Three JPEG lights in input/.
fn jpeg_lights(place: &Place) {
    place.folder("input");
    for k in 0..3 {
        let data = noise(60.0, k, (SIZE.0 * 3, SIZE.1)).data;
        let data = data.iter().map(|v| (v / 10.0 + 60.0).clamp(0.0, 255.0) as u8).collect();
        let picture = Picture::new(SIZE.0, SIZE.1, 3, data);
        write_jpeg(&place.path(format!("input/{k}.jpg")), &picture, None);
    }
}

/// Asserts that a run was refused as wrong usage, in one line with all of `words`, before anything was stacked.
#[track_caller]
fn refused(place: &Place, run: Run, words: &[&str]) {
    let run = run.exits(2);
    for word in words {
        assert!(run.err.contains(word), "no {word:?} in {}", run.err);
    }
    assert_eq!(run.err.trim_end().lines().count(), 1, "{}", run.err);
    assert!(!run.out.contains("stacked  shift"), "{}", run.out);
    let outputs = if place.path("output").exists() { place.names("output") } else { Vec::new() };
    assert!(outputs.iter().all(|name| name == "frames.jsonl"), "{outputs:?}");
}

/// Promise: flats, and linear darks, are refused with JPEG lights; darks of JPEG with FITS lights; each says why.
/// Control: the same lights stack without, and with darks of their own kind.
#[test]
fn jpeg_and_linear_frames_do_not_calibrate_each_other() {
    let place = Place::new();
    jpeg_lights(&place);
    folder(&place, "flats", Of::Flat, 2);
    folder(&place, "darks", Of::Dark, 2);
    folder(&place, "lights", Of::Light, 2);
    refused(
        &place,
        place.stack("--no-align --flat flats"),
        &["flats need linear light", "JPEG is gamma-coded"],
    );
    refused(&place, place.stack("--no-align --flat input"), &["flats need linear light"]);
    let linear = ["the darks are RAW or FITS", "the lights 8-bit", "stack the RAW files"];
    refused(&place, place.stack("--no-align --dark darks"), &linear);
    refused(&place, place.stack("--no-align --bias darks"), &linear);
    let display = ["the darks are 8-bit pictures", "the lights RAW or FITS"];
    refused(&place, place.stack("lights --no-align --dark input"), &display);
    let raw = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/raw-nef-nikon-d1/RAW_NIKON_D1.NEF");
    if raw.exists() {
        refused(&place, place.stack(&format!("--no-align --dark {}", raw.display())), &linear);
    } else {
        eprintln!("SKIPPED: no {}", raw.display());
    }
    place.stack("--no-align").exits(0);
    place.stack("--no-align --dark input").exits(0);
    place.stack("lights --no-align --dark darks --flat flats").exits(0);
}

/// Promise: a dark or flat of another size or mosaic is an error before anything is stacked, which names both.
#[test]
fn masters_of_another_size_are_refused() {
    let place = Place::new();
    folder(&place, "input", Of::Light, 2);
    for (name, camera) in [
        ("small", Camera::new((64, 64), Bayer::Rggb, 0.01, 3.0)),
        ("other", Camera::new(SIZE, Bayer::Bggr, 0.01, 3.0)),
    ] {
        for (what, of) in [("dark", Of::Dark), ("flat", Of::Flat)] {
            let folder = place.folder(&format!("{name}_{what}"));
            camera.write(&folder.join("1.fits"), of, 1, (0.0, 0.0));
            let got = if name == "small" { "64x64 16 bit RGGB mosaic" } else { "96x64 16 bit BGGR mosaic" };
            let words = [format!("the {what} does not fit the lights"), got.into()];
            let words = [&words[0], &words[1], "96x64 16 bit RGGB mosaic"].map(|w: &str| w);
            refused(&place, place.stack(&format!("--no-align --{what} {name}_{what}")), &words);
        }
    }
    folder(&place, "flats", Of::Flat, 1);
    let short = place.folder("flat_darks");
    Camera::new((64, 64), Bayer::Rggb, 0.01, 3.0).write(&short.join("1.fits"), Of::FlatDark, 1, (0.0, 0.0));
    let run = place.stack("--no-align --flat flats --flat-dark flat_darks");
    refused(&place, run, &["the offset of the flat does not fit it", "64x64", "96x64"]);
    refused(&place, place.stack("--no-align --flat-dark flats"), &["--flat-dark", "--flat"]);
    place.stack("--no-align --flat flats").exits(0);
}

/// Promise: a dark of another exposure, gain, ISO, temperature or camera is taken with a warning that names both
/// figures. Control: a dark like the lights is taken without a word.
#[test]
fn another_exposure_is_doubted() {
    let place = Place::new();
    place.folder("input");
    let cards = |exposure: f64, gain: f64, iso: f64, warm: f64, camera: &str| {
        format!(
            "EXPTIME = {exposure:.3}\nGAIN = {gain:.1}\nISOSPEED= {iso:.1}\nCCD-TEMP= {warm:.1}\nINSTRUME= '{camera}'"
        )
    };
    let own = cards(30.0, 120.0, 800.0, -10.0, "One");
    write_sixteen(&place.path("input/light.fits"), &noise(3000.0, 1, SIZE), &own);
    for (dark, what, figures) in [
        (cards(10.0, 120.0, 800.0, -10.0, "One"), "an exposure of", ["10 s", "30 s"]),
        (cards(30.0, 200.0, 800.0, -10.0, "One"), "gain", ["200", "120"]),
        (cards(30.0, 120.0, 1600.0, -10.0, "One"), "ISO", ["1600", "800"]),
        (cards(30.0, 120.0, 800.0, 5.0, "One"), "a temperature of", ["5 C", "-10 C"]),
        (cards(30.0, 120.0, 800.0, -10.0, "Two"), "camera", ["Two", "One"]),
        (cards(30.1, 121.0, 800.0, -9.0, "One"), "", ["", ""]),
    ] {
        write_sixteen(&place.path("dark.fits"), &noise(1000.0, 2, SIZE), &dark);
        let run = place.stack("--no-align --dark dark.fits").exits(0);
        let lines: Vec<&str> = run.err.lines().filter(|l| l.contains("the dark ")).collect();
        if what.is_empty() {
            assert!(lines.is_empty(), "{lines:?}");
            continue;
        }
        assert_eq!(lines.len(), 1, "{}", run.err);
        for word in [what, figures[0], figures[1]] {
            assert!(lines[0].contains(word), "no {word:?} in {}", lines[0]);
        }
    }
}

/// Promise: a dark, flat, bias or master among the lights is rejected with what its header says; a light among the
/// darks is left out with a line, and the stack is as if it were not there.
#[test]
fn frames_in_the_wrong_folder() {
    let place = Place::new();
    folder(&place, "input", Of::Light, 2);
    folder(&place, "darks", Of::Dark, 3);
    let flags = "--no-align --dark darks --format tiff";
    place.stack(flags).exits(0);
    let before = place.bytes("output/MEAN.tiff");
    for (name, of) in [("a", Of::Dark), ("b", Of::Flat), ("c", Of::Bias), ("d", Of::FlatDark)] {
        camera().write(&place.path(format!("input/{name}.fits")), of, 5, (0.0, 0.0));
    }
    place.run(["master", "dark", "darks", "-o", "input/e.fits"]).exits(0);
    camera().write(&place.path("darks/light.fits"), Of::Light, 7, (0.0, 0.0));
    let run = place.stack(flags).exits(0);
    assert!(run.err.contains("dark left out") && run.err.contains("light.fits"), "{}", run.err);
    let records = place.records("output");
    assert_eq!(with_status(&records, "stacked"), ["0.fits", "1.fits"]);
    assert_eq!(with_status(&records, "rejected").len(), 5);
    for (name, what) in
        [("a", "dark"), ("b", "flat"), ("c", "bias"), ("d", "flat dark"), ("e", "master dark")]
    {
        let record = records.iter().find(|r| file(r) == format!("{name}.fits")).expect("a record");
        let reason = record["reason"].as_str().expect("reason");
        assert!(reason.contains(&format!("its header says {what}:")), "{name}: {reason}");
    }
    assert!(place.bytes("output/MEAN.tiff") == before, "they left a trace");
    // Nothing but darks: nothing is stacked.
    let run = place.stack("darks/0.fits --no-align").exits(1);
    assert!(run.err.contains("nothing could be stacked"), "{}", run.err);
}

/// Promise: `--bias` alone is taken off the lights; with a dark the dark is, and not both.
#[test]
fn a_bias_is_a_dark_of_no_exposure() {
    for backend in backends() {
        let place = Place::new();
        let (light, dark, bias) = (noise(9000.0, 1, SIZE), noise(2000.0, 2, SIZE), noise(1000.0, 3, SIZE));
        write_sixteen(&place.path("light.fits"), &light, "IMAGETYP= 'Light'");
        write_sixteen(&place.path("dark.fits"), &dark, "IMAGETYP= 'Dark'\nEXPTIME = 10.0");
        write_sixteen(&place.path("bias.fits"), &bias, "IMAGETYP= 'Bias'\nEXPTIME = 0.0");
        for (flags, offset) in [("--bias bias.fits", &bias), ("--dark dark.fits --bias bias.fits", &dark)] {
            place.stack_on(backend, &format!("light.fits --no-align --format tiff {flags}")).exits(0);
            let got = read_tiff(&place.path("output/MEAN.tiff"));
            let mut want = light.clone();
            want.data.iter_mut().zip(&offset.data).for_each(|(l, o)| *l = (*l - o) / WHITE as f32);
            assert!(same_stack(&got, &want, TOLERANCE), "{backend} {flags}");
        }
    }
}

/// Promise: `--bayer` overrules the header: `none` makes gray of a mosaic, a pattern colours of gray, and what it says
/// stands in for what the header says.
#[test]
fn the_mosaic_can_be_overruled() {
    let place = Place::new();
    let (w, h) = SIZE;
    // Red pixels of a GBRG mosaic are bright.
    let level = |k: usize| if Bayer::Gbrg.colour(k % w, k / w) == 0 { 20_000.0 } else { 5000.0 };
    let frame = Picture::new(w, h, 1, (0..w * h).map(level).collect());
    write_sixteen(&place.path("gray.fits"), &frame, "EXPTIME = 1.0");
    write_sixteen(&place.path("rggb.fits"), &frame, "BAYERPAT= 'RGGB'");
    let run = |flags: &str| {
        place.stack(&format!("{flags} --no-align --keep-hot-pixels --format tiff")).exits(0);
        read_tiff(&place.path("output/MEAN.tiff"))
    };
    let red = |p: &Picture<f32>| {
        assert_eq!(p.shape(), (w, h, 3));
        [0, 1, 2].map(|c| (p.at(20, 20, c) * 65535.0).round())
    };
    for name in ["gray.fits --bayer GBRG", "rggb.fits --bayer gbrg"] {
        assert_eq!(red(&run(&format!("{name} --demosaic bilinear"))), [20_000.0, 5000.0, 5000.0], "{name}");
    }
    assert_ne!(red(&run("rggb.fits --demosaic bilinear")), [20_000.0, 5000.0, 5000.0]);
    for name in ["gray.fits", "rggb.fits --bayer none"] {
        assert_eq!(run(name).map(|v| (v * 65535.0).round()), frame, "{name}");
    }
    let run = place.stack("gray.fits --bayer RGBG").exits(2);
    assert!(run.err.contains("RGGB, GRBG, GBRG, BGGR or none"), "{}", run.err);
}

/// Promise: FITS frames are stacked by `mean` and shown by the automatic stretch, where nobody says otherwise: the
/// background of the picture is at a fifth of white. 8-bit pictures keep the six rules, as they are.
#[test]
fn what_nobody_asked_for() {
    let place = Place::new();
    place.folder("input");
    for k in 0..3 {
        write_sixteen(&place.path(format!("input/{k}.fits")), &noise(1500.0, k, SIZE), "EXPTIME = 1.0");
    }
    let background = || {
        let mut data = read_png8(&place.path("output/MEAN.png")).data;
        data.sort_by(f32::total_cmp);
        data[data.len() / 2]
    };
    place.stack("--no-align").exits(0);
    assert_eq!(place.names("output"), ["MEAN.png", "frames.jsonl"]);
    assert!((background() - 0.2 * 255.0).abs() <= 2.0, "{}", background());
    place.stack("--no-align --stretch none").exits(0);
    assert!((background() - 1500.0 / 257.0).abs() <= 2.0, "{}", background());
    for k in 0..2 {
        let gray = Picture::new(SIZE.0, SIZE.1, 1, vec![30; SIZE.0 * SIZE.1]);
        write_png8(&place.path(format!("{k}.png")), &gray);
    }
    place.stack("0.png 1.png --no-align -o eight").exits(0);
    assert_eq!(place.names("eight").len(), 7);
    assert_eq!(read_png8(&place.path("eight/ADDMAX.png")).at(9, 9, 0), 30.0);
}

/// Promise: the rules on FITS frames with darks do the same arithmetic as on pictures: the dark is their median, it is
/// taken off signed (guarded where asked), and the six rules add 5 % of white to signed frames first, `mean` does
/// not. Negative samples stay negative. Control: without the pedestal the reference differs.
#[test]
fn the_rules_on_signed_frames() {
    for backend in backends() {
        let place = Place::new();
        place.folder("input");
        place.folder("darks");
        let (mut lights, mut darks) = (Vec::new(), Vec::new());
        for k in 0..3 {
            // Darker than the dark here and there, and sums that pass white.
            let light = noise(1200.0, k, SIZE);
            let data = light.data.iter().enumerate().map(|(n, v)| if n % 7 == 0 { v + 40_000.0 } else { *v });
            let light = Picture::new(SIZE.0, SIZE.1, 1, data.collect());
            write_sixteen(&place.path(format!("input/{k}.fits")), &light, "EXPTIME = 1.0");
            lights.push(light.map(f64::from));
            let dark = noise(1000.0, 10 + k, SIZE);
            write_sixteen(&place.path(format!("darks/{k}.fits")), &dark, "EXPTIME = 1.0");
            darks.push(dark.map(f64::from));
        }
        let master = rules::master("median", &darks);
        for (rule, flags) in [("signed", ""), ("guarded", "--dark-rule guarded")] {
            let all = format!("--no-align --dark darks --method all --format tiff {flags}");
            place.stack_on(backend, &all).exits(0);
            place.stack_on(backend, &all.replace("all", "mean")).exits(0);
            let calibrated: Vec<_> = lights.iter().map(|l| rules::calibrated(rule, l, &master)).collect();
            let pedestal = if rule == "signed" { 0.05 * WHITE } else { 0.0 };
            let raised: Vec<_> = calibrated.iter().map(|l| l.map(|v| v + pedestal)).collect();
            for name in SIX {
                let got = read_tiff(&place.path(format!("output/{name}.tiff")));
                let want = rules::stacked(name, &raised, WHITE);
                assert!(same_stack(&got, &want, TOLERANCE), "{backend} {rule} {name}");
                let plain = same_stack(&got, &rules::stacked(name, &calibrated, WHITE), TOLERANCE);
                assert_eq!(plain, rule == "guarded", "{backend} {rule} {name}: the pedestal is not seen");
            }
            let mean = read_tiff(&place.path("output/MEAN.tiff"));
            assert!(
                same_stack(&mean, &rules::stacked("MEAN", &calibrated, WHITE), TOLERANCE),
                "{backend} {rule}"
            );
            assert_eq!(mean.data.iter().any(|v| *v < 0.0), rule == "signed", "{backend}: negative samples");
        }
    }
}
