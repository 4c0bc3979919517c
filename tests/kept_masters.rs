//! Masters that are kept for the next start, masters that are built alone, and what headers say of what was made.

mod common;

use common::camera::{Camera, Of};
use common::picture::{Picture, read_tiff, write_png8};
use common::sky::Rng;
use common::{Place, Run, backends};
use livestack::io::{Card, Value, read_cards};
use livestack::sensor::Bayer;
use std::path::PathBuf;
use std::time::Duration;

const SIZE: (usize, usize) = (96, 64);
/// What a line says of a master that was not built.
const KEPT: &str = "(kept from before)";
/// The folder beside the frames.
const CACHE: &str = ".livestack-cache";

fn camera() -> Camera {
    Camera::new(SIZE, Bayer::Rggb, 0.005, 3.0)
}

/// A folder of frames.
fn folder(place: &Place, name: &str, of: Of, count: usize) {
    let folder = place.folder(name);
    for k in 0..count {
        camera().write(&folder.join(format!("{k}.fits")), of, k, (0.0, 0.0));
    }
}

/// Lights and darks, and no output yet.
fn night() -> Place {
    let place = Place::new();
    folder(&place, "input", Of::Light, 2);
    folder(&place, "night/darks", Of::Dark, 4);
    place
}

const FLAGS: &str = "--no-align --format tiff";

/// A run with the darks, its picture, and whether the master was kept from before.
fn run(place: &Place, more: &str) -> (bool, Vec<u8>) {
    let run = place.stack(&format!("{FLAGS} --dark night/darks {more}")).exits(0);
    (kept(&run), place.bytes("output/MEAN.tiff"))
}

fn kept(run: &Run) -> bool {
    let line = run.out.lines().find(|l| l.starts_with("dark: ")).expect("a line about the dark");
    assert!(line.contains("frames, 96x64"), "{line}");
    line.ends_with(KEPT)
}

/// The only file of the cache beside the darks.
fn cached(place: &Place) -> PathBuf {
    let folder = format!("night/{CACHE}");
    let names = place.names(&folder);
    assert_eq!(names.len(), 1, "{names:?}");
    place.path(folder).join(&names[0])
}

/// Promise: the second start takes the master from before, with the same result bit for bit; a file that is changed,
/// touched, added or removed, another rule, and damage to what is kept, make it anew.
#[test]
fn the_second_start_takes_the_master_from_before() {
    let place = night();
    let (first, picture) = run(&place, "");
    assert!(!first);
    for _ in 0..2 {
        assert!(run(&place, "") == (true, picture.clone()));
    }
    assert!(!place.path("night/darks").join(CACHE).exists() && place.names("night/darks").len() == 4);

    // Another rule is another master; the first one is made again then.
    assert!(!run(&place, "--master mean").0);
    assert!(run(&place, "--master mean").0);
    assert!(run(&place, "") == (false, picture.clone()));

    let touched = place.path("night/darks/2.fits");
    let time = std::fs::metadata(&touched).and_then(|m| m.modified()).expect("time");
    let file = std::fs::OpenOptions::new().append(true).open(&touched).expect("file");
    file.set_modified(time + Duration::from_secs(2)).expect("touched");
    assert!(run(&place, "") == (false, picture.clone()), "touched");

    camera().write(&touched, Of::Dark, 50, (0.0, 0.0));
    let (was_kept, changed) = run(&place, "");
    assert!(!was_kept && changed != picture, "changed");
    camera().write(&place.path("night/darks/4.fits"), Of::Dark, 51, (0.0, 0.0));
    let (was_kept, added) = run(&place, "");
    assert!(!was_kept && added != changed, "added");
    std::fs::remove_file(place.path("night/darks/4.fits")).expect("removed");
    assert!(run(&place, "") == (false, changed.clone()), "removed");
    assert!(run(&place, "") == (true, changed.clone()));

    let path = cached(&place);
    let good = std::fs::read(&path).expect("cache");
    let samples = good.len() - 2880;
    for damage in [0, 700, samples] {
        let mut bad = good.clone();
        bad[damage] ^= 0x10;
        std::fs::write(&path, bad).expect("damaged");
        assert!(run(&place, "") == (false, changed.clone()), "byte {damage} of the cache damaged");
        assert!(run(&place, "") == (true, changed.clone()), "made anew and kept");
    }
    for length in [0, 100, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).expect("cut");
        assert!(run(&place, "") == (false, changed.clone()), "cut to {length} bytes");
    }
}

/// Promise: `--cache DIR` keeps masters there, also those of pictures, and creates it; beside the frames nothing
/// appears. All four kinds are kept, of one folder each on its own.
#[test]
fn masters_are_kept_where_the_user_says() {
    let place = night();
    folder(&place, "flats", Of::Flat, 3);
    folder(&place, "flat_darks", Of::FlatDark, 3);
    folder(&place, "biases", Of::Bias, 3);
    let all = "--flat flats --flat-dark flat_darks --bias biases --cache deep/er";
    let (before, picture) = run(&place, all);
    assert!(!before);
    let names = place.names("deep/er");
    let kinds: Vec<&str> = names.iter().filter_map(|n| n.split('-').next()).collect();
    assert_eq!(kinds, ["bias", "dark", "flat dark", "flat"], "{names:?}");
    assert!(!place.path("night").join(CACHE).exists() && !place.path(CACHE).exists());
    let again = place.stack(&format!("{FLAGS} --dark night/darks {all}")).exits(0);
    assert_eq!(again.out.matches(KEPT).count(), 4, "{}", again.out);
    assert!(place.bytes("output/MEAN.tiff") == picture);
    // The flats as darks: another master of the same folder.
    let run = place.stack(&format!("{FLAGS} --dark biases --cache deep/er")).exits(0);
    assert!(!run.out.contains(KEPT), "{}", run.out);

    pictures(&place);
    for expected in [0, 1] {
        let run = place.stack("small/light.png --no-align --dark small/darks --cache deep/er").exits(0);
        assert_eq!(run.out.matches(KEPT).count(), expected, "{}", run.out);
    }
    // Without, masters of pictures are made each time: that is faster than to read them.
    let run = place.stack("small/light.png --no-align --dark small/darks").exits(0);
    assert!(!run.out.contains(KEPT) && !place.path("small").join(CACHE).exists(), "{}", run.out);
}

/// 8-bit pictures: a light and three darks in small/.
fn pictures(place: &Place) {
    let mut rng = Rng::new(3);
    let mut noise = |level: f32| {
        let data = (0..40 * 30 * 3).map(|_| (level + 6.0 * rng.normal()) as u8);
        Picture::new(40, 30, 3, data.collect())
    };
    place.folder("small/darks");
    write_png8(&place.path("small/light.png"), &noise(90.0));
    for k in 0..3 {
        write_png8(&place.path(format!("small/darks/{k}.png")), &noise(30.0));
    }
}

/// Promise: a place that cannot be written to costs a line, nothing else.
#[test]
fn a_cache_that_cannot_be_written_costs_a_line() {
    let place = night();
    let (_, picture) = run(&place, "--cache elsewhere");
    // No folder can be made where a file is: also for a user whom no permission stops.
    std::fs::write(place.path("night").join(CACHE), "a file").expect("file");
    for cache in ["", "--cache input/0.fits", "--cache input/0.fits/deeper"] {
        for _ in 0..2 {
            let done = place.stack(&format!("{FLAGS} --dark night/darks {cache}")).exits(0);
            assert!(!kept(&done));
            let lines = done.out.lines().filter(|l| l.contains("is not kept for the next start"));
            assert_eq!(lines.count(), 1, "{}", done.out);
            assert!(place.bytes("output/MEAN.tiff") == picture, "{cache}");
        }
    }
    assert_eq!(std::fs::read(place.path("night").join(CACHE)).expect("still there"), b"a file");
}

/// Promise: `livestack master` writes a FITS file that `--dark` and the others take with the result of the folder, bit
/// for bit: FITS frames and 8-bit pictures, every rule, every backend. Control: the
/// master of another rule gives another result.
#[test]
fn a_built_master_stands_for_its_folder() {
    for backend in backends() {
        let place = night();
        pictures(&place);
        folder(&place, "flats", Of::Flat, 3);
        folder(&place, "biases", Of::Bias, 3);
        // Means, whatever becomes of the darks.
        place.run(["master", "flat", "flats", "-o", "flat.fit"]).exits(0);
        place.run(["master", "bias", "biases", "--out", "bias.FTS"]).exits(0);
        let mut seen = Vec::new();
        for rule in ["usual", "median", "mean", "sigma", "peak-mean"] {
            for (input, darks, rules) in
                [("input", "night/darks", "mean"), ("small/light.png", "small/darks", "all")]
            {
                let asked = if rule == "usual" { vec![] } else { vec!["--master", rule] };
                let args = ["master", "dark", darks, "-o", "dark.fits"].into_iter().chain(asked);
                let built = place.run(args).exits(0);
                assert!(built.out.contains("wrote dark.fits"), "{}", built.out);
                let asked = if rule == "usual" { String::new() } else { format!("--master {rule}") };
                let flats = |f: &str, b: &str| {
                    if input == "input" { format!("--flat {f} --bias {b}") } else { String::new() }
                };
                let flags = format!("{input} {FLAGS} --method {rules}");
                let with = |dark: &str, masters: String, asked: &str| {
                    let _ = std::fs::remove_dir_all(place.path("output"));
                    place.stack_on(backend, &format!("{flags} --dark {dark} {masters} {asked}")).exits(0);
                    let names = place.names("output");
                    let tiffs = names.iter().filter(|n| n.ends_with(".tiff"));
                    tiffs.map(|n| place.bytes(&format!("output/{n}"))).collect::<Vec<_>>()
                };
                let whole = with(darks, flats("flats", "biases"), &asked);
                assert!(!whole.is_empty());
                let ready = with("dark.fits", flats("flat.fit", "bias.FTS"), "");
                assert!(whole == ready, "{backend} {darks} {rule}");
                seen.push((darks, rule, whole));
            }
        }
        // The median and the peak mean are what is usual; the sigma mean of so few is the mean.
        for darks in ["night/darks", "small/darks"] {
            let mut own: Vec<_> = seen.iter().filter(|s| s.0 == darks).map(|s| &s.2).collect();
            own.sort();
            own.dedup();
            assert_eq!(own.len(), 3, "{backend} {darks}: masters of other rules give the same");
        }
    }
}

/// Promise: `livestack master` says what is wrong, with the exit codes of its help.
#[test]
fn what_a_master_cannot_be_built_from() {
    let place = night();
    place.folder("empty");
    for (args, code, word) in [
        ("dark night/darks -o dark.tif", 2, "end its name in .fits"),
        ("dark night/darks -o dark", 2, "end its name in .fits"),
        ("dark night/darks", 2, "--out"),
        ("light night/darks -o dark.fits", 2, "light"),
        ("dark missing -o dark.fits", 4, "dark folder does not exist"),
        ("flat missing -o flat.fits", 4, "flat folder does not exist"),
        ("dark empty -o dark.fits", 1, "no dark could be read"),
        // Lights alone are no darks.
        ("dark input -o dark.fits", 1, "no dark could be read"),
        ("dark night/darks -o no/folder/dark.fits", 1, "no/folder/dark.fits"),
    ] {
        let run = place.run(["master"].into_iter().chain(args.split_whitespace())).exits(code);
        assert!(run.err.contains(word), "{args}: {}", run.err);
    }
    assert_eq!(place.names("."), ["empty", "input", "night"]);
    for (flag, code) in
        [("--dark missing", 4), ("--flat missing", 4), ("--bias missing.fits", 4), ("--dark empty", 1)]
    {
        place.stack(&format!("--no-align {flag}")).exits(code);
    }
}

/// The value of a card.
fn card<'a>(cards: &'a [Card], key: &str) -> &'a Value {
    let mut found = cards.iter().filter(|c| c.key == key);
    let card = found.next().unwrap_or_else(|| panic!("no {key}"));
    assert!(found.next().is_none() || key == "HISTORY", "{key} twice");
    &card.value
}

/// Promise: a FITS stack has the 32-bit TIFF's values bit for bit, and its header says what it was made of: frames,
/// exposures, dates, reference, rule, masters, camera; only of the frames that were stacked. Control: one frame less,
/// other numbers.
#[test]
fn a_fits_stack_says_what_it_is() {
    for backend in backends() {
        let place = night();
        folder(&place, "flats", Of::Flat, 3);
        // Later by its name, earlier by its time.
        for (name, k) in [("3", 0), ("1", 7), ("2", 30)] {
            camera().write(&place.path(format!("input/{name}.fits")), Of::Light, k, (0.0, 0.0));
        }
        std::fs::remove_file(place.path("input/0.fits")).expect("removed");
        camera().write(&place.path("input/4.fits"), Of::Dark, 59, (0.0, 0.0));
        for (last, frames, end) in [("", 3, "22:30:00"), ("--last 3", 2, "22:30:00")] {
            let flags = format!(
                "--no-align --dark night/darks --flat flats --format fits,tiff --method mean,addcomp {last}"
            );
            place.stack_on(backend, &flags).exits(0);
            assert_eq!(
                place.names("output"),
                ["ADDCOMP.fits", "ADDCOMP.tiff", "MEAN.fits", "MEAN.tiff", "frames.jsonl"]
            );
            for rule in ["MEAN", "ADDCOMP"] {
                let path = place.path(format!("output/{rule}.fits"));
                let frame = livestack::io::read(&path, Vec::new()).expect("FITS");
                let tiff = read_tiff(&place.path(format!("output/{rule}.tiff")));
                let s = frame.shape;
                assert_eq!((s.width, s.height, s.channels, s.mosaic), (SIZE.0, SIZE.1, 3, None));
                let same = |(k, v): (usize, &f32)| frame.level(k).to_bits() == v.to_bits();
                assert!(
                    tiff.data.iter().enumerate().all(same),
                    "{backend} {rule}: samples differ from the TIFF's"
                );
                assert!(livestack::io::data_intact(&path).expect("checksum"), "checksum");
                assert_eq!((frame.tags.master_of, frame.tags.exposure_s), (Some(frames), Some(10.0)));
                header(&read_cards(&path).expect("cards"), rule, frames as i64, end);
            }
        }
    }
}

/// Asserts what the header of a stack of `frames` frames says.
fn header(cards: &[Card], rule: &str, frames: i64, end: &str) {
    let text = |key: &str| match card(cards, key) {
        Value::Text(text) => text.as_str(),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(card(cards, "STACKCNT"), &Value::Integer(frames));
    assert_eq!(card(cards, "NCOMBINE"), &Value::Integer(frames));
    assert_eq!(card(cards, "EXPTIME"), &Value::Integer(10));
    assert_eq!(card(cards, "LIVETIME"), &Value::Integer(10 * frames));
    assert_eq!(card(cards, "GAIN"), &Value::Integer(120));
    assert_eq!(text("DATE-OBS"), "2026-03-01T22:00:00");
    assert_eq!(text("DATE-END"), format!("2026-03-01T{end}"));
    assert_eq!(text("REFFRAME"), if frames == 3 { "1.fits" } else { "2.fits" });
    assert_eq!(text("COMBMETH"), rule.to_lowercase());
    assert_eq!(text("INSTRUME"), "Test camera");
    assert_eq!(text("IMAGETYP"), "Light");
    assert_eq!((text("DARK"), text("FLAT")), ("night/darks", "flats"));
    assert!(text("PROGRAM").starts_with("livestack "));
    assert!(!cards.iter().any(|c| ["BIAS", "FLATDARK", "BAYERPAT"].contains(&c.key.as_str())));
    let history: Vec<&Value> = cards.iter().filter(|c| c.key == "HISTORY").map(|c| &c.value).collect();
    for line in [
        "master dark of 4 frames",
        "master flat of 3 frames",
        "colours of a RGGB mosaic by Malvar-He-Cutler interpolation",
    ] {
        assert!(history.contains(&&Value::Text(line.into())), "{history:?}");
    }
}
