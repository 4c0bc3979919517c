//! The command line: what it takes, what it refuses, and with which exit code.

mod common;

use common::sky::{drifting, flats};
use common::{Place, backends, with_status};

/// A place with three flat frames in input/.
fn three() -> Place {
    let place = Place::new();
    flats(&place, &[10, 40, 100]);
    place
}

/// Promise: `livestack stack` alone stacks input/, takes dark/ if it exists, makes output/, and writes the six rules
/// as 8-bit PNG.
#[test]
fn the_defaults_are_input_dark_and_output() {
    let place = Place::new();
    drifting(&place, 3);
    place.stack("").exits(0);
    let six = ["ADD.png", "ADD2.png", "ADDCOMP.png", "ADDMAX.png", "ADDMAX2.png", "ADDMEAN.png"];
    assert_eq!(place.names("output"), six.into_iter().chain(["frames.jsonl"]).collect::<Vec<_>>());
    let without = place.bytes("output/ADDCOMP.png");
    place.folder("dark");
    let dark = common::sky::Sky::new((300, 200), 60, 1).dark(1);
    common::picture::write_png8(&place.path("dark/dark.png"), &common::sky::eight(&dark));
    place.run(["stack"]).exits(0);
    assert!(place.bytes("output/ADDCOMP.png") != without, "dark/ is used where it exists");
    let darker: f32 = common::picture::read_png8(&place.path("output/ADDCOMP.png")).data.iter().sum();
    let brighter: f32 = {
        std::fs::write(place.path("before.png"), without).expect("write");
        common::picture::read_png8(&place.path("before.png")).data.iter().sum()
    };
    assert!(darker < brighter);
}

/// Promise: INPUT is a folder or files, and `--out` (`-o`) is created with the folders above it.
#[test]
fn input_may_be_files_and_out_is_created() {
    let place = three();
    place.stack("input/light_3.png input/light_1.png --no-align -o a/b/c --method add").exits(0);
    let records = place.records("a/b/c");
    // Natural order, however they are given.
    assert_eq!(with_status(&records, "stacked"), ["light_1.png", "light_3.png"]);
    place.stack("input --no-align --out a --method add").exits(0);
    assert_eq!(place.records("a").len(), 3);
}

/// Promise: a folder that does not exist is exit code 4: the default input/, one that is named, `--dark`. The line
/// names it.
#[test]
fn a_missing_folder_is_exit_4() {
    let empty = Place::new();
    let run = empty.stack("").exits(4);
    assert!(run.err.contains("input"), "{}", run.err);
    let place = three();
    let run = place.stack("nowhere").exits(4);
    assert!(run.err.contains("nowhere"), "{}", run.err);
    let run = place.stack("--dark no-darks --no-align").exits(4);
    assert!(run.err.contains("no-darks"), "{}", run.err);
    for place in [empty, place] {
        assert!(!place.path("output").join("ADD.png").exists());
    }
}

/// Promise: errors are one line on stderr that begins with `livestack: `, and stdout stays empty.
#[test]
fn an_error_is_one_line() {
    let place = Place::new();
    for args in ["", "--method nonsense", "--format bmp", "--name a/b"] {
        let run = place.stack(args);
        assert_ne!(run.code, Some(0));
        assert!(run.err.starts_with("livestack: ") && run.err.lines().count() == 1, "{args}: {}", run.err);
        assert_eq!(run.out, "", "{args}");
    }
}

/// Promise: wrong usage is exit code 2, whatever is wrong, and nothing is written.
#[test]
fn wrong_usage_is_exit_2() {
    let place = three();
    for args in [
        "--method addcom",
        "--method add,,nonsense",
        "--method ,",
        "--format bmp",
        "--format ,",
        "--no-such-flag",
        "--last -1",
        "--last many",
        "--order size",
        "--align-to last",
        "--motion rubber",
        "--dark-rule none",
        "--master max",
        "--stretch log",
        "--backend tpu",
        "--no-align --poses x.jsonl",
        "--name a/b",
        "--out",
    ] {
        let run = place.stack(args).exits(2);
        assert!(!run.err.is_empty(), "{args}");
    }
    place.run(["stack", "--name", ""]).exits(2);
    place.run(["stak"]).exits(2);
    place.run(std::iter::empty::<&str>()).exits(2);
    assert!(!place.path("output").exists());
}

/// Promise: `--help` lists the exit codes and every flag; `--version` names the program.
#[test]
fn help_lists_exit_codes_and_flags() {
    let place = Place::new();
    let help = place.run(["stack", "--help"]).exits(0).out;
    for flag in [
        "--dark",
        "--dark-rule",
        "--master",
        "--out",
        "--name",
        "--method",
        "--last",
        "--order",
        "--align-to",
        "--motion",
        "--no-align",
        "--poses",
        "--format",
        "--stretch",
        "--backend",
        "--adapter",
        "--debug-frames",
        "--json",
        "--timings",
        "-o",
    ] {
        assert!(help.contains(flag), "{flag} is missing from:\n{help}");
    }
    for rule in livestack::rules::Method::ALL {
        assert!(help.contains(rule.name()), "{}", rule.name());
    }
    for text in [help, place.run(["--help"]).exits(0).out] {
        let codes = text.split("Exit codes").nth(1).expect("exit codes");
        for code in 0..=5 {
            let line = codes.lines().any(|l| l.trim_start().starts_with(&format!("{code} ")));
            assert!(line, "code {code} in:\n{codes}");
        }
    }
    assert!(place.run(["--version"]).exits(0).out.starts_with("livestack "));
}

/// Promise: `--method` takes lists with commas or spaces, in any case, `all` (the first six), each once.
#[test]
fn methods_in_any_case_and_in_lists() {
    let place = three();
    for (list, expected) in [
        ("add", "ADD"),
        ("AddComp,ADDMAX", "ADDCOMP ADDMAX"),
        ("mean add2", "ADD2 MEAN"),
        ("add,ADD,Add", "ADD"),
        ("all", "ADD ADD2 ADDCOMP ADDMAX ADDMAX2 ADDMEAN"),
        ("mean,ALL", "ADD ADD2 ADDCOMP ADDMAX ADDMAX2 ADDMEAN MEAN"),
        ("addmax2", "ADDMAX2"),
    ] {
        let place_out = format!("out-{}", expected.replace(' ', "-"));
        place
            .run(["stack", "--backend", "cpu", "--no-align", "--out", &place_out, "--method", list])
            .exits(0);
        let names = place.names(&place_out);
        let rules: Vec<_> = names.iter().filter_map(|n| n.strip_suffix(".png")).collect();
        assert_eq!(rules.join(" "), expected, "{list}");
    }
}

/// Promise: `--backend auto` falls back to the CPU as a whole where no GPU can be used, and says why; `cpu` never
/// needs one.
#[cfg(target_os = "linux")]
#[test]
fn auto_falls_back_and_cpu_needs_no_gpu() {
    let place = three();
    for backend in ["auto", "cpu"] {
        let output = without_gpu(&mut place.command())
            .args(["stack", "--no-align", "--method", "add", "--backend", backend])
            .output()
            .expect("runs");
        let run = common::Run::of(&output).exits(0);
        let said = run.out.clone() + &run.err;
        assert!(said.contains("CPU"), "{backend}: {said}");
    }
}

/// Promise: `--backend gpu` means that or exit 3, never the CPU: no usable adapter, an adapter that does not exist.
#[cfg(target_os = "linux")]
#[test]
fn a_backend_that_cannot_be_used_is_exit_3() {
    if !backends().contains(&"gpu") {
        return;
    }
    let place = three();
    let args = ["stack", "--no-align", "--method", "add", "--backend", "gpu"];
    let output = without_gpu(&mut place.command()).args(args).output().expect("runs");
    let run = common::Run::of(&output).exits(3);
    assert!(run.err.starts_with("livestack: ") && run.err.lines().count() == 1, "{}", run.err);
    for adapter in ["no such adapter", "4711"] {
        let run = place.run(args.into_iter().chain(["--adapter", adapter])).exits(3);
        assert!(run.err.contains(adapter), "{}", run.err);
    }
    assert!(!place.path("output/ADD.png").exists());
}

/// Hides every Vulkan driver.
#[cfg(target_os = "linux")]
fn without_gpu(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent")
}

/// Promise: `livestack devices` lists adapters and says what `auto` would choose; without any it still exits 0.
#[test]
fn devices_says_what_auto_chooses() {
    let place = Place::new();
    let run = place.run(["devices"]).exits(0);
    let json = place.run(["devices", "--json"]).exits(0);
    json.events();
    if backends().contains(&"gpu") {
        assert!(run.out.contains("auto"), "{}", run.out);
        assert!(!json.out.is_empty());
    }
}
