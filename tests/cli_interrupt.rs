//! Ctrl-C and readers that go away: the night so far is never lost.
#![cfg(unix)]

mod common;

use common::picture::read_png8;
use common::sky::drifting;
use common::{Place, Run, backends};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Frames of a night that no test waits for.
const LONG_NIGHT: usize = 3000;

/// A long night: links to a few frames.
fn long_night() -> Place {
    let place = Place::new();
    drifting(&place, 2);
    for k in 3..=LONG_NIGHT {
        let from = place.path(format!("input/light_{}.png", 1 + k % 2));
        std::fs::hard_link(from, place.path(format!("input/light_{k}.png"))).expect("link");
    }
    place
}

fn start(place: &Place, backend: &str) -> Child {
    let args = ["stack", "--backend", backend, "--json"];
    let mut command = place.command();
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

/// Promise: Ctrl-C (and SIGTERM) finishes the current frame, writes the outputs and exits 0; records and outputs are
/// of the same frames.
#[test]
fn ctrl_c_finishes_the_frame_and_writes_the_outputs() {
    let place = long_night();
    for backend in backends() {
        for name in ["-INT", "-TERM"] {
            let mut child = start(&place, backend);
            let mut out = BufReader::new(child.stdout.take().expect("piped"));
            let mut text = String::new();
            while !text.contains("\"event\":\"stacked\"") {
                let read = out.read_line(&mut text).expect("events");
                assert!(read > 0, "{backend}: ended before a frame was stacked: {text}");
            }
            signal(&child, name);
            out.read_to_string(&mut text).expect("the rest");
            let output = child.wait_with_output().expect("ends");
            let mut run = Run::of(&output);
            run.out = text;
            let run = run.exits(0);
            let events = run.events();
            let done = events.iter().find(|e| e["event"] == "done").expect("the end is an event");
            let stacked = done["stacked"].as_u64().expect("stacked") as usize;
            assert!(0 < stacked && stacked < LONG_NIGHT, "{backend} {name}: {stacked}");
            assert_eq!(place.records("output").len(), stacked, "{backend} {name}");
            for rule in common::rules::SIX {
                read_png8(&place.path(format!("output/{rule}.png")));
            }
            assert_eq!(place.names("output").len(), 7, "{backend} {name}: no temporary files");
            place.stack_on(backend, &format!("{} -o exact", first_inputs(stacked))).exits(0);
            for rule in common::rules::SIX {
                let (a, b) = (format!("output/{rule}.png"), format!("exact/{rule}.png"));
                assert!(place.bytes(&a) == place.bytes(&b), "{backend} {name} {rule}: of {stacked} frames");
            }
        }
    }
}

fn first_inputs(count: usize) -> String {
    (1..=count).map(|k| format!("input/light_{k}.png ")).collect()
}

/// Promise: a viewer that closes stdout or stderr early (`| head`) does not end the run: it goes on, exits 0 and
/// writes its outputs.
#[test]
fn a_closed_pipe_does_not_end_the_run() {
    for backend in backends() {
        for json in [false, true] {
            let place = Place::new();
            drifting(&place, 4);
            std::fs::write(place.path("input/notes.txt"), "passed over, with a line on stderr")
                .expect("write");
            let mut command = place.command();
            command.args(["stack", "--backend", backend, "--timings"]).args(json.then_some("--json"));
            let mut child =
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
            drop(child.stdout.take());
            drop(child.stderr.take());
            let status = child.wait().expect("ends");
            assert_eq!(status.code(), Some(0), "{backend} json {json}");
            assert_eq!(place.names("output").len(), 7, "{backend} json {json}");
        }
    }
}

/// The runs that a viewer watches; each replaces every picture.
const RUNS: usize = 8;

/// Promise: whoever opens a picture while it is replaced sees the old one or the whole new one, never a part and never
/// nothing. Here runs over different frames replace the same names in turn, `--debug-frames` many of them, while a
/// viewer reads them without a pause: what it sees must be one of the two, byte by byte.
#[test]
fn a_viewer_never_sees_half_a_picture() {
    for backend in backends() {
        let place = Place::new();
        drifting(&place, 6);
        let night = |last: usize| {
            let flags = format!("--no-align --method add,addmean --debug-frames --last {last}");
            place.stack_on(backend, &flags).exits(0);
        };
        let pictures = |names: &[String]| -> Vec<Vec<u8>> {
            names.iter().map(|n| place.bytes(&format!("output/{n}"))).collect()
        };
        night(5);
        let mut names = place.names("output");
        names.retain(|n| n.ends_with(".png"));
        let old = pictures(&names);
        night(6);
        let new = pictures(&names);
        assert!(old.iter().zip(&new).all(|(a, b)| a != b), "{backend}: the nights do not differ");
        let over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let viewer = scope.spawn(|| {
                let mut seen = [0_usize; 2];
                while !over.load(Ordering::Relaxed) {
                    for (k, name) in names.iter().enumerate() {
                        let now = place.bytes(&format!("output/{name}"));
                        let which = [&old[k], &new[k]].iter().position(|whole| **whole == now);
                        let which = which
                            .unwrap_or_else(|| panic!("{backend}: {} bytes of a part of {name}", now.len()));
                        seen[which] += 1;
                    }
                }
                seen
            });
            for run in 0..RUNS {
                night(5 + run % 2);
            }
            over.store(true, Ordering::Relaxed);
            viewer.join().expect("the viewer saw whole pictures only")
        });
        assert!(seen.iter().all(|n| *n > names.len()), "{backend}: it has not seen both: {seen:?}");
    }
}
