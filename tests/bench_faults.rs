//! `livestack bench` where something is wrong: one line, and an exit code.

mod common;

use common::picture::write_png8;
use common::sky::{drifting, flat};
use common::{Place, Run, backends};

/// Promise: frames that cannot be read or have another size are left out with one line.
#[test]
fn frames_that_do_not_go_together_are_left_out_in_one_line() {
    let place = Place::new();
    drifting(&place, 3);
    std::fs::write(place.path("input/light_0.png"), "no picture").expect("written");
    write_png8(&place.path("input/light_9.png"), &flat(40));
    let run = place.bench("--backend cpu --input input --frames 2").exits(0);
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
        let run = place.bench(&format!("--backend cpu {args}")).exits(code);
        assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{args}: {}", run.err);
        assert!(run.err.starts_with("livestack: ") && run.err.contains(words), "{args}: {}", run.err);
    }
    // A size this small may or may not show enough stars.
    let run = place.bench("--backend cpu --size 64x48 --frames 1");
    assert!(run.code == Some(0) || run.code == Some(1) && run.err.lines().count() == 1, "{run:?}");
    place.bench("--size 64x48 --input empty").exits(2);
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
