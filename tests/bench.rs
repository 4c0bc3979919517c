//! `livestack bench` and the choice of `auto`: figures that hold together, every field documented, one clear line where there
//! is nothing to measure.

mod common;

use common::sky::drifting;
use common::{Place, Run, backends};
use serde_json::Value;
use std::collections::BTreeSet;

fn measured(place: &Place, args: &str) -> Value {
    let run = place.bench(&format!("{args} --json")).exits(0);
    let mut objects = run.events();
    assert_eq!(objects.len(), 1, "{}", run.out);
    objects.remove(0)
}

fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    assert!(number.is_finite(), "{number}");
    number
}

fn is_spread(value: &Value) -> bool {
    let keys = value.as_object().map(|o| o.keys().map(String::as_str).collect::<Vec<_>>());
    keys == Some(vec!["median", "q1", "q3"])
}

fn ordered(spread: &Value) -> f64 {
    assert!(is_spread(spread), "{spread}");
    let [q1, median, q3] = ["q1", "median", "q3"].map(|name| number(&spread[name]));
    assert!(0.0 <= q1 && q1 <= median && median <= q3, "{spread}");
    median
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// The names of the kernels of 8-bit colour frames, whatever the backend.
const KERNELS: [&str; 6] = ["calibrate", "gray", "tiles", "measure", "ecc", "accumulate"];

/// What must hold of one backend's figures.
fn check(side: &Value, frames: u64) {
    let fps = number(&side["frames_a_second"]);
    let seconds = number(&side["seconds"]);
    assert!(seconds > 0.0 && close(fps * seconds, frames as f64), "{fps} {seconds}");
    let frame = ordered(&side["frame_ms"]);
    // Half of the frames take the median or longer.
    assert!(frame > 0.0 && frame * (frames / 2) as f64 <= seconds * 1e3, "{frame} {seconds}");
    assert!(ordered(&side["wait_ms"]) <= frame * frames as f64);
    assert_eq!(side["stacked"].as_u64(), Some(frames), "every frame is stacked");
    let copy = ordered(&side["copy_gb_s"]);
    assert!(copy > 0.0);
    let stages = side["stages"].as_array().expect("stages");
    let names: Vec<_> = stages.iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(KERNELS.iter().all(|kernel| names.contains(kernel)), "{names:?}");
    assert!(["upload", "align"].iter().all(|stage| names.contains(stage)), "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each once: {names:?}");
    let (mut pixel_ms, mut pixel_bytes) = (0.0, 0.0);
    for stage in stages {
        let ms = ordered(&stage["ms"]);
        assert!(["kernel", "host"].contains(&stage["kind"].as_str().expect("a kind")), "{stage}");
        assert!(number(&stage["calls"]) > 0.0, "{stage}");
        if let Some(share) = stage["share_of_copy"].as_f64() {
            let rate = number(&stage["gb_s"]);
            assert!(rate > 0.0 && close(share, rate / copy), "{stage}");
            (pixel_ms, pixel_bytes) = (pixel_ms + ms, pixel_bytes + rate * ms);
        }
    }
    let pixels = &side["pixel_kernels"];
    assert!(pixel_ms > 0.0 && close(number(&pixels["ms"]), pixel_ms), "{pixels} {pixel_ms}");
    assert!(close(number(&pixels["gb_s"]), pixel_bytes / pixel_ms), "{pixels} {pixel_bytes}");
    assert!(close(number(&pixels["share_of_copy"]), number(&pixels["gb_s"]) / copy), "{pixels}");
    assert!(number(&side["engine_bytes"]) > 0.0);
    if cfg!(target_os = "linux") {
        assert!(number(&side["peak_bytes"]) > number(&side["engine_bytes"]), "the buffers are part of it");
    }
}

/// Every field, dots between; those of an array's elements after `[]`. A spread is one.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !is_spread(value) => {
            let dot = if at.is_empty() { "" } else { "." };
            fields.iter().for_each(|(name, field)| paths(field, &format!("{at}{dot}{name}"), into));
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            all.iter().for_each(|one| paths(one, &format!("{at}[]"), into));
        }
        _ => drop(into.insert(at.to_owned())),
    }
}

/// The fields that README.md documents.
fn documented() -> BTreeSet<String> {
    let readme = include_str!("../README.md");
    let heading = format!("## The object of `bench --json` (version {})\n", livestack::bench::VERSION);
    let (_, section) = readme.split_once(&heading).expect("the section of this version of the object");
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().expect("a field").to_owned()).collect()
}

/// Promise: `bench` on the CPU alone: figures that hold together; the fields are those that README.md documents.
#[test]
fn the_cpu_is_measured() {
    let place = Place::new();
    let found = measured(&place, "--backend cpu --size 400x300 --frames 5");
    assert_eq!(found["version"].as_u64(), Some(livestack::bench::VERSION));
    let frames = &found["frames"];
    assert_eq!((frames["width"].as_u64(), frames["height"].as_u64()), (Some(400), Some(300)));
    assert_eq!((frames["measured"].as_u64(), frames["generated"].as_bool()), (Some(5), Some(true)));
    assert!(frames["source"].is_null(), "{frames}");
    assert_eq!(found["methods"], serde_json::json!(["addcomp"]));
    let decode = ordered(&found["decode"]["ms"]);
    let rate = 400.0 * 300.0 * 3.0 / 1e6 / decode;
    assert!(close(number(&found["decode"]["gb_s"]), rate), "{}", found["decode"]);
    let sides = found["backends"].as_array().expect("backends");
    assert_eq!(sides.len(), 1);
    assert_eq!(sides[0]["backend"], "cpu");
    check(&sides[0], 5);
    assert!(found["ratio"].is_null() && found["no_gpu"] == "no GPU was looked at, as asked for", "{found}");
    assert!(found["use"].is_null() && found["auto"]["takes"].is_null(), "nothing was compared: {found}");
    let sentence = found["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("The CPU alone was measured") && sentence.contains("what limits it is"),
        "{sentence}"
    );
    assert!(["decoding", "pixels", "upload", "host"].contains(&found["limit"].as_str().expect("a limit")));
    let mut fields = BTreeSet::new();
    paths(&found, "", &mut fields);
    assert_eq!(fields, documented());
}

/// Promise: a GPU is measured against the CPU, a software one where it is asked for.
#[test]
fn the_gpu_is_measured_against_the_cpu() {
    if !backends().contains(&"gpu") {
        return;
    }
    let place = Place::new();
    let found = measured(&place, "--backend gpu --size 400x300 --frames 4 --method addmax,mean");
    let sides = found["backends"].as_array().expect("backends");
    let names: Vec<_> = sides.iter().filter_map(|side| side["backend"].as_str()).collect();
    assert_eq!(names, ["cpu", "gpu"]);
    assert!(sides[0]["upload_gb_s"].is_null() && ordered(&sides[1]["upload_gb_s"]) > 0.0, "{found}");
    sides.iter().for_each(|side| check(side, 4));
    assert_ne!(sides[0]["device"], sides[1]["device"]);
    let ratio = number(&sides[1]["frames_a_second"]) / number(&sides[0]["frames_a_second"]);
    assert!(close(number(&found["ratio"]), ratio), "{found}");
    assert!(found["no_gpu"].is_null(), "{found}");
    assert_eq!(found["use"], if ratio >= 1.05 { "gpu" } else { "cpu" });
    assert_eq!(found["methods"], serde_json::json!(["addmax", "mean"]));
    let mut fields = BTreeSet::new();
    paths(&found, "", &mut fields);
    assert_eq!(fields, documented());
}

/// Promise: as text the last line is the sentence; own frames are measured as well.
#[test]
fn own_frames_are_measured_and_the_sentence_comes_last() {
    let place = Place::new();
    drifting(&place, 3);
    // Whatever the folder is called.
    std::fs::rename(place.path("input"), place.path("generated")).expect("renamed");
    let own = "--backend cpu --input generated --frames 3";
    let mut command = place.command();
    // No other folder is needed.
    command.env("TMPDIR", place.path("none")).arg("bench").args(own.split(' '));
    let run = Run::of(&command.output().expect("the program starts")).exits(0);
    let last = run.out.lines().last().expect("a line");
    assert!(last.starts_with("The CPU alone was measured") && last.ends_with('.'), "{}", run.out);
    for words in [
        "3 own frames, 300x200 8 bit colour",
        "no darks",
        "GB/s",
        "frames a second",
        "peak memory",
        "accumulate",
    ] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    assert_eq!(run.err, "");
    assert_eq!(place.names("."), ["generated"], "nothing is left");
    let frames = measured(&place, own)["frames"].clone();
    assert_eq!((&frames["generated"], &frames["source"]), (&false.into(), &"generated".into()));
}

/// Promise: `--backend gpu` means that or exit 3; `auto` without a GPU measures the CPU and says why.
#[cfg(target_os = "linux")]
#[test]
fn without_a_gpu_only_the_cpu_is_measured() {
    let place = Place::new();
    let hidden = |backend: &str| {
        let mut command = place.command();
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command.args(["bench", "--size", "400x300", "--frames", "1", "--json", "--backend", backend]);
        Run::of(&command.output().expect("the program starts"))
    };
    let run = hidden("gpu").exits(3);
    assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{}", run.err);
    assert!(run.err.contains("install the GPU's"), "{}", run.err);
    let found = hidden("auto").exits(0).events().remove(0);
    assert!(found["no_gpu"].as_str().is_some_and(|why| why.contains("no GPU")), "{found}");
    assert_eq!((&found["use"], &found["auto"]["takes"]), (&"cpu".into(), &"cpu".into()));
    assert_eq!(found["backends"].as_array().map(Vec::len), Some(1));
    let sentence = found["sentence"].as_str().expect("a sentence");
    assert!(sentence.starts_with("Use the CPU here: no GPU was measured; what limits it"), "{sentence}");
}

/// Promise: `--backend cpu` touches no graphics driver and leaves no cache; `auto` does without a cache that cannot be
/// written.
#[cfg(target_os = "linux")]
#[test]
fn the_cpu_touches_no_driver_and_makes_no_cache() {
    let place = Place::new();
    place.folder("cache");
    drifting(&place, 2);
    let said = |args: &str| {
        let mut command = place.command();
        // The loader of Vulkan then tells all that it does, on stderr.
        command.env("VK_LOADER_DEBUG", "all").env("XDG_CACHE_HOME", place.path("cache"));
        Run::of(&command.args(args.split_whitespace()).output().expect("the program starts")).exits(0).err
    };
    let silent = |text: &str| !text.contains("vulkan") && !text.contains("Vulkan");
    for args in ["bench --backend cpu --size 400x300 --frames 1", "stack --backend cpu --method add"] {
        let text = said(args);
        assert!(silent(&text), "{args}: {text}");
        assert_eq!(place.names("cache"), [""; 0], "{args}");
    }
    if backends().contains(&"gpu") {
        assert!(!silent(&said("devices")), "the test sees drivers that are touched");
    }
    std::fs::remove_dir_all(place.path("cache")).expect("removed");
    std::fs::write(place.path("cache"), "a file where the cache should be").expect("written");
    said("devices");
    said("stack --method add");
    if backends().contains(&"gpu") {
        // It has kernels to keep.
        said("stack --backend gpu --method add");
    }
    assert!(place.path("cache").is_file(), "nothing took its place");
}

/// Promise: what the GPU's driver takes does not count as the CPU's memory, also where a GPU is asked for.
#[cfg(target_os = "linux")]
#[test]
fn the_drivers_memory_is_not_the_cpus() {
    if !backends().contains(&"gpu") {
        return;
    }
    let place = Place::new();
    let peak = |backend: &str| {
        let found = measured(&place, &format!("--backend {backend} --size 400x300 --frames 1"));
        number(&found["backends"][0]["peak_bytes"])
    };
    // Listing the adapters loads drivers: 53 MB with lavapipe. Where one was opened before it was 105 MB.
    const LISTED: f64 = 80e6;
    let (with, without) = (peak("gpu"), peak("cpu"));
    assert!(with < without + LISTED, "{with} {without}");
}
