//! `livestack bench` and the choice of `auto`: figures that hold together, every field documented, one clear line where there
//! is nothing to measure.

mod common;

use common::picture::write_png8;
use common::sky::{drifting, flat};
use common::{Place, Run, backends};
use serde_json::Value;
use std::collections::BTreeSet;

/// Runs `bench` with `args` (words, split at spaces); nothing is left in the cache of whoever runs the tests.
fn bench(place: &Place, args: &str) -> Run {
    let mut command = place.command();
    command.env("XDG_CACHE_HOME", place.path("cache")).arg("bench").args(args.split_whitespace());
    Run::of(&command.output().expect("the program starts"))
}

fn measured(place: &Place, args: &str) -> Value {
    let run = bench(place, &format!("{args} --json")).exits(0);
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

/// Promise: frames that cannot be read or have another size are left out with one line.
#[test]
fn frames_that_do_not_go_together_are_left_out_in_one_line() {
    let place = Place::new();
    drifting(&place, 3);
    std::fs::write(place.path("input/light_0.png"), "no picture").expect("written");
    write_png8(&place.path("input/light_9.png"), &flat(40));
    let run = bench(&place, "--backend cpu --input input --frames 2").exits(0);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(
        run.err.starts_with("livestack: 2 frames left out") && run.err.contains("light_0.png"),
        "{}",
        run.err
    );
    assert!(run.out.contains("3 own frames"), "{}", run.out);
}

/// Promise: where there is nothing to measure one line says so, with the exit code of such a mistake.
#[test]
fn what_cannot_be_measured_is_one_line() {
    let place = Place::new();
    place.folder("empty");
    place.folder("broken");
    std::fs::write(place.path("broken/light_1.jpg"), "no picture").expect("written");
    std::fs::write(place.path("broken/light_2.fits"), "").expect("written");
    place.folder("starless");
    write_png8(&place.path("starless/light_1.png"), &flat(40));
    let cases = [
        ("--frames 0", 2, "--frames"),
        ("--frames 10001", 2, "--frames"),
        ("--size 0x0", 2, "--size"),
        ("--size 64", 2, "--size"),
        ("--size 70000x10", 2, "--size"),
        ("--size 65535x65535", 2, "--size"),
        ("--method none", 2, "unknown method"),
        ("--adapter some", 2, "--adapter"),
        ("--adapter=", 2, "--adapter"),
        ("--input nowhere", 4, "nowhere"),
        ("--input empty", 1, "no frames found"),
        ("--input broken", 1, "not one of 2 could be read"),
        ("--input starless", 1, "no frame could be stacked"),
        ("--size 1x1", 1, "no frame could be stacked"),
        ("--size 3x40", 1, "no frame could be stacked"),
    ];
    for (args, code, words) in cases {
        let run = bench(&place, &format!("--backend cpu {args}")).exits(code);
        assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{args}: {}", run.err);
        assert!(run.err.starts_with("livestack: ") && run.err.contains(words), "{args}: {}", run.err);
    }
    // A size this small may or may not show enough stars.
    let run = bench(&place, "--backend cpu --size 64x48 --frames 1");
    assert!(run.code == Some(0) || run.code == Some(1) && run.err.lines().count() == 1, "{run:?}");
    bench(&place, "--size 64x48 --input empty").exits(2);
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

/// Promise: frames that do not fit in memory are refused before they are made, with figures and the exit code of `stack`.
#[cfg(target_os = "linux")]
#[test]
fn frames_that_do_not_fit_in_memory_are_refused() {
    const KB: u64 = 1_000_000;
    let place = Place::new();
    let program = place.command();
    let script = format!("ulimit -v {KB} && exec \"$0\" bench --backend cpu --size 9000x9000 --method all");
    let mut command = std::process::Command::new("sh");
    command.current_dir(place.path(".")).arg("-c").arg(script).arg(program.get_program());
    let run = Run::of(&command.output().expect("a shell")).exits(1);
    assert!(run.err.starts_with("livestack: memory: 6 rules over frames of 9000x9000"), "{}", run.err);
    assert!(run.err.contains("--size") && !run.err.contains("--bin"), "{}", run.err);
    assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{}", run.err);
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

/// Promise: without a folder for temporary files there is one line, with its path once; no name is no adapter's.
#[cfg(unix)]
#[test]
fn a_missing_folder_is_named_once() {
    let place = Place::new();
    let mut command = place.command();
    command.env("TMPDIR", place.path("none")).args(["bench", "--backend", "cpu", "--size", "64x48"]);
    let run = Run::of(&command.output().expect("the program starts")).exits(1);
    assert!(run.err.lines().count() == 1 && run.err.matches("/none").count() == 1, "{}", run.err);
    if backends().contains(&"gpu") {
        let run = place.run(["bench", "--size", "64x48", "--adapter", ""]).exits(2);
        assert!(run.err.contains("--adapter takes"), "{}", run.err);
    }
}

/// Promise: an answer that cannot be written is an error in one line; a reader who has seen enough is none.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    drifting(&place, 2);
    place.run("watch input --backend cpu --max-frames 2 --method add".split(' ')).exits(0);
    let said = |args: &str, to: Stdio| {
        let mut command: Command = place.command();
        let command = command.args(args.split(' ')).stdout(to).stderr(Stdio::piped());
        Run::of(&command.spawn().and_then(|child| child.wait_with_output()).expect("the program ends"))
    };
    let measure = "bench --backend cpu --size 400x300 --frames 1";
    let cases = [measure, &format!("{measure} --json"), "devices", "status output", "status output --json"];
    for args in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let run = said(args, full.into()).exits(1);
        let line = run.err.starts_with("livestack: the answer cannot be written to stdout: ");
        assert!(line && run.err.lines().count() == 1, "{args}: {}", run.err);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(said(args, writer.into()).exits(0).err, "", "{args}");
    }
}

/// Promise: Ctrl-C ends `bench` on the way, with its own exit code, since there is nothing to show, and nothing is left.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_measurement() {
    use std::process::{Command, Stdio};
    for name in ["-INT", "-TERM"] {
        let place = Place::new();
        place.folder("tmp");
        let mut command = place.command();
        command.env("TMPDIR", place.path("tmp")).args(["bench", "--backend", "cpu", "--json"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        // Its folder of frames is made once it listens to signals.
        while place.names("tmp").is_empty() {
            assert!(child.try_wait().expect("a child").is_none(), "ended before it measured");
            std::thread::yield_now();
        }
        let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
        assert!(status.success());
        let run = Run::of(&child.wait_with_output().expect("ends")).exits(130);
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", "livestack: stopped: nothing was measured\n"));
        assert_eq!(place.names("tmp"), [""; 0], "{name}: nothing is left");
    }
}
