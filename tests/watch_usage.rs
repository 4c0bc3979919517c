//! `livestack watch`: what its command line takes and refuses, and its exit codes.
#![cfg(unix)]

mod common;

use common::session::{finally, lights, misfit, night, watch};
use common::sky::{Sky, eight};

/// Promise: an INPUT that is no folder is exit code 4 and names it; nothing is made.
#[test]
fn an_input_that_is_no_folder_is_exit_4() {
    let place = night(1);
    for input in ["nowhere", "frames/light_01.png"] {
        let run = place.say(&format!("watch {input} --backend cpu")).exits(4);
        assert!(run.err.contains(input) && run.err.lines().count() == 1, "{}", run.err);
        assert_eq!(run.out, "");
    }
    let run = place.say("watch --dark no-darks --backend cpu").exits(4);
    assert!(run.err.contains("no-darks") && run.err.lines().count() == 1, "{}", run.err);
    std::fs::remove_dir(place.path("input")).expect("removed");
    let run = place.say("watch --backend cpu -o other").exits(4);
    assert!(run.err.contains("input"), "{}", run.err);
    assert!(!place.path("other").exists(), "nothing is made for a session that does not begin");
}

/// Promise: a value that makes no sense is exit code 2 with one line that names the flag and what it got.
#[test]
fn bad_values_are_exit_2() {
    let place = night(0);
    let values = [
        ("--poll", "0"),
        ("--poll", "nan"),
        ("--poll", "100000"),
        ("--settle", "60001"),
        ("--publish-every", "0"),
        ("--publish-every", "2m"),
        ("--publish-every", "0.5"),
        ("--checkpoint", "0"),
        ("--checkpoint", "inf"),
        ("--max-frames", "0"),
        ("--method", "nonsense"),
        ("--format", "bmp"),
        ("--name", "a/b"),
    ];
    for (flag, value) in values {
        let run = place.say(&format!("watch --backend cpu {flag} {value}")).exits(2);
        assert_eq!(run.err.lines().count(), 1, "{flag} {value}: {}", run.err);
        assert!(run.err.starts_with("livestack: "), "{}", run.err);
        let named = run.err.contains(flag) || ["--method", "--format"].contains(&flag);
        assert!(named && run.err.to_lowercase().contains(value), "{flag} {value}: {}", run.err);
        assert!(!place.path("output").exists(), "{flag} {value}: nothing is begun");
    }
    for (flag, value) in [
        ("--poll", "-1"),
        ("--settle", "-1"),
        ("--settle", "soon"),
        ("--checkpoint", "often"),
        ("--max-frames", "1.5"),
        ("--existing", "eat"),
        ("--prefer", "tiff"),
        ("--keep-up", "drop"),
    ] {
        let run = place.say(&format!("watch --backend cpu {flag}={value}")).exits(2);
        let first = run.err.lines().next().unwrap_or_default();
        assert!(first.contains(flag) && first.contains(value), "{flag} {value}: {}", run.err);
        assert!(!place.path("output").exists(), "{flag} {value}: nothing is begun");
    }
}

/// Promise: `watch` takes the options of `stack`: masters, names, formats, rules, how it looks; the outputs are the same
/// ones, byte by byte.
#[test]
fn the_options_of_stack_are_taken() {
    let place = night(4);
    place.lay(1..=4);
    place.folder("darks");
    let sky = Sky::new(common::session::SIZE, 60, 1);
    for k in 0..2 {
        common::picture::write_png8(&place.path(format!("darks/{k}.png")), &eight(&sky.dark(k)));
    }
    let sets = [
        "--dark darks --method all,mean --format png,png16,tiff16,tiff,fits --name M45",
        "--method addmax --no-align --stretch auto --linked --exposure-gain 1.5",
        "--method mean --motion euclidean --align-to first --on-change scale --dark darks --dark-rule signed",
        "--method addcomp --accept-all --restart-on-new-target=4 --order time --timings --debug-frames",
        "--method addcomp --min-stars 5 --max-fwhm 9 --max-elongation 3 --master median --dark darks --cache kept",
    ];
    // Outputs name their masters as they were given.
    let darks = place.path("darks").display().to_string();
    for (k, flags) in sets.into_iter().enumerate() {
        let flags = flags.replace("--dark darks", &format!("--dark {darks}"));
        watch(&place, &format!("-o live-{k} --max-frames 4 {flags}")).exits(0);
        place.stack(&format!("input -o once-{k} {flags}")).exits(0);
        let mut names = place.names(&format!("once-{k}"));
        names.retain(|name| name != "frames.jsonl");
        assert!(!names.is_empty());
        for name in names {
            let (a, b) = (place.bytes(&format!("live-{k}/{name}")), place.bytes(&format!("once-{k}/{name}")));
            assert!(a == b, "{flags}: {name}");
        }
        assert_eq!(finally(&place, &format!("live-{k}"), "stacked"), lights(1..=4), "{flags}");
    }
}

/// Promise: poses that were found are taken again.
#[test]
fn poses_are_taken_again() {
    let place = night(3);
    place.lay(1..=3);
    place.stack("--method addcomp -o first --motion translation").exits(0);
    watch(&place, "-o again --poses first/frames.jsonl --max-frames 3 --format fits").exits(0);
    place.stack("--method addcomp -o once --poses first/frames.jsonl --format fits").exits(0);
    assert!(place.bytes("again/ADDCOMP.fits") == place.bytes("once/ADDCOMP.fits"));
    place.stack("--method addcomp -o aligned --format fits").exits(0);
    let aligned = place.bytes("aligned/ADDCOMP.fits");
    assert!(place.bytes("again/ADDCOMP.fits") != aligned, "the comparison is blind");
}

/// Promise: rejected frames do not change the exit code, nor does a night without a single frame; an output that cannot
/// be written does: 1.
#[test]
fn exit_codes_of_a_night() {
    let place = night(2);
    misfit(&place, "input/light_02.png");
    place.lay(1..=1);
    watch(&place, "--max-frames 2").exits(0);
    let empty = night(0);
    let mut live = watch(&empty, "");
    live.until_event("start", 1);
    let (_, err) = live.end();
    assert_eq!(err, "");
    let place = night(1);
    place.lay(1..=1);
    place.folder("output/ADDCOMP.png");
    let (_, err) = watch(&place, "--max-frames 1").exits(1);
    assert!(err.contains("ADDCOMP.png"), "{err}");
}
