//! Promise: a stack that is put away and taken up again goes on as if nothing had been, to the last bit: poses,
//! verdicts, planes and coverage.

mod common;
mod live;

use common::Place;
use live::nights::{Night, mono, moon, mosaic, restarts, tones, wandering};
use live::{Live, newest};
use livestack::align::AlignTo;
use livestack::backend::cpu::Cpu;
use livestack::checkpoint::NAMES;

/// Asserts the promise for the night, put away after each of the frames `after` (from 0); the decisions must show each of
/// `seen`, so that the night is known to be one. Returns the decisions.
fn resumes(night: &Night, after: impl Iterator<Item = usize>, seen: &[&str]) -> Vec<String> {
    let place = Place::new();
    let folder = |k: usize| place.folder(&format!("after {k}"));
    let mut whole = Live::new(Cpu::default(), night);
    for (k, frame) in night.frames.iter().enumerate() {
        whole.step(frame);
        whole.store(&folder(k)).expect("stored");
    }
    if std::env::var_os("LIVESTACK_TEST_SHOW").is_some() {
        whole.log.iter().for_each(|line| println!("{}: {line}", night.name));
    }
    for what in seen {
        assert!(whole.log.iter().any(|l| l.contains(what)), "{}: no {what}: {:#?}", night.name, whole.log);
    }
    let outputs = whole.outputs();
    let end = newest(&folder(night.frames.len() - 1));
    for k in after {
        let case = format!("{} after frame {k}", night.name);
        let mut again = Live::new(Cpu::default(), night);
        again.load(&folder(k).join(NAMES[0])).expect("loaded");
        let copy = place.folder("copy");
        again.store(&copy).expect("stored");
        assert!(newest(&copy) == newest(&folder(k)), "{case}: what is stored again differs");
        for frame in &night.frames[k + 1..] {
            again.step(frame);
        }
        let (got, want) = (&again.log[..], &whole.log[k + 1..]);
        let differs = got.iter().zip(want).position(|(a, b)| a != b);
        assert_eq!(differs.map(|d| (&got[d], &want[d])), None, "{case}: the decisions");
        assert!(again.outputs() == outputs, "{case}: the outputs");
        again.store(&copy).expect("stored");
        assert!(newest(&copy) == end, "{case}: what is stored in the end");
    }
    whole.log
}

#[test]
fn while_the_template_grows_settles_and_hands_over() {
    let night = wandering(AlignTo::Previous);
    let seen = ["hot: 1", "\"asterisms\"", "Faulty(\"blurred", "Stranger("];
    let log = resumes(&night, (0..night.frames.len()).step_by(2), &seen);
    let first = wandering(AlignTo::First);
    let other = resumes(&first, (1..night.frames.len()).step_by(8), &["hot: 1", "Stranger("]);
    assert!(log != other, "the template never changed");
}

#[test]
fn gray_frames_and_mosaics() {
    for night in [mono(), mosaic()] {
        resumes(&night, (0..night.frames.len()).step_by(3), &[" Stack Ok"]);
    }
}

#[test]
fn a_scene() {
    let night = moon();
    resumes(&night, 0..night.frames.len(), &["\"phase\"", "\"search\"", " Scale Ok"]);
}

#[test]
fn exposures_that_are_scaled() {
    for headers in [false, true] {
        let night = tones(headers);
        resumes(&night, (0..night.frames.len()).step_by(2), &[" Scale Ok"]);
    }
}

#[test]
fn new_targets_and_exposures() {
    let night = restarts();
    resumes(&night, 0..night.frames.len(), &["Restart([", "Changed(", "Stranger("]);
}
