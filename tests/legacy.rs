//! The original script's command line, end to end: one dash, no subcommand, values in upper case.
#![cfg(unix)]

mod common;

use common::session::{Live, age, finally, light, lights, night, watch};
use std::time::Duration;

/// Promise: without `-mode LOOP` and `-reload YES` it stacks a folder once, as `stack` does.
#[test]
fn once_over_a_folder() {
    let place = night(4);
    place.folder("darks");
    let sky = common::sky::Sky::new(common::session::SIZE, 60, 1);
    common::picture::write_png8(&place.path("darks/1.png"), &common::sky::eight(&sky.dark(1)));
    place.say(
        "-input_dir frames -output_dir old -dark_dir darks -output_image M45.png -method ADDCOMP,ADD -mode 1 \
         -number 3 -reload NO --backend cpu",
    )
    .exits(0);
    place
        .say("stack frames -o new --dark darks --name M45 --method addcomp,add --last 3 --backend cpu")
        .exits(0);
    assert_eq!(place.names("old"), place.names("new"));
    for name in ["M45_ADDCOMP.png", "M45_ADD.png"] {
        assert!(place.bytes(&format!("old/{name}")) == place.bytes(&format!("new/{name}")), "{name}");
    }
    assert_eq!(finally(&place, "old", "stacked"), lights(2..=4));
}

/// Promise: `-mode LOOP -number N` takes the last N at the start, then every new one; `-number 1 -reload YES` adds the
/// newest file to the session, whether somebody watches or not.
#[test]
fn a_loop_and_what_is_added_to_it() {
    let place = night(7);
    place.lay(1..=4);
    let old = "-input_dir input -output_dir out -method ADDCOMP";
    let words = format!("{old} -mode LOOP -number 2 --backend cpu --json --format fits");
    let mut live = Live::start(place.command().args(words.split_whitespace()));
    live.until_decided(2);
    place.drop_all(5..=5);
    live.until_decided(3);
    let run = place.say("-input_dir frames -output_dir out -number 1 -reload YES").exits(0);
    assert!(run.out.starts_with("handed to livestack watch"), "{}", run.out);
    live.until_decided(4);
    live.end();
    let newest = finally(&place, "out", "stacked").pop().expect("a frame");
    age(&place.path("frames").join(light(6)), Duration::from_secs(5));
    place.say("-input_dir frames -output_dir out -number 1 -reload YES").exits(0);
    assert_eq!(finally(&place, "out", "stacked"), [light(3), light(4), light(5), newest, light(6)]);
    assert!(place.path("out/ADDCOMP.fits").exists());
    // Resumed by the same words, with the session's settings.
    place.lay(7..=7);
    let mut live = Live::start(place.command().args(words.split_whitespace()));
    live.until_decided(1);
    live.end();
    assert_eq!(finally(&place, "out", "stacked").len(), 6);
}

/// Promise: `-reload YES` without a session is exit 4; the line says what to do. A new session in the new form is one.
#[test]
fn a_reload_needs_a_session() {
    let place = night(3);
    let run = place.say("-input_dir frames -number 1 -reload YES --backend cpu").exits(4);
    assert!(run.err.contains("no session") && run.err.lines().count() == 1, "{}", run.err);
    assert!(!place.path("output").exists());
    place.lay(1..=1);
    watch(&place, "--max-frames 1").exits(0);
    age(&place.path("frames").join(light(2)), Duration::from_secs(5));
    place.say("-input_dir frames -reload YES -number 1").exits(0);
    assert_eq!(finally(&place, "output", "stacked"), lights(1..=2));
}

/// Promise: mistakes are exit 2 with one line that names the flag and points to the table.
#[test]
fn mistakes_are_exit_2() {
    let place = night(0);
    for (words, named) in [
        ("-mode TWICE", "-mode"),
        ("-number many -mode 1", "-number"),
        ("-reload PERHAPS", "-reload"),
        ("-mode 1 -colour YES", "-colour"),
        ("-method NONSENSE", "nonsense"),
    ] {
        let run = place.say(&format!("{words} --backend cpu")).exits(2);
        assert!(run.err.contains(named) && run.err.lines().count() == 1, "{words}: {}", run.err);
        assert!(!place.path("output").exists());
    }
    place.say("-input_dir nowhere -mode LOOP --backend cpu").exits(4);
}
