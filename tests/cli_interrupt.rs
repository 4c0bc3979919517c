//! Ctrl-C and readers that go away: the night so far is never lost.
#![cfg(unix)]

mod common;

use common::picture::read_png8;
use common::sky::drifting;
use common::{Place, Run, backends};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

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

/// Promise: a viewer that reloads an output while it is being replaced sees the old picture or the new one, never a
/// part: here it reads them over and over while `--debug-frames` run after run replaces them.
#[test]
fn a_viewer_never_sees_half_a_picture() {
    for backend in backends() {
        let place = Place::new();
        drifting(&place, 6);
        place.stack_on(backend, "--method addcomp").exits(0);
        for _ in 0..3 {
            let mut child = place
                .command()
                .args(["stack", "--backend", backend, "--method", "addcomp", "--debug-frames"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            while child.try_wait().expect("status").is_none() {
                read_png8(&place.path("output/ADDCOMP.png"));
            }
        }
    }
}
