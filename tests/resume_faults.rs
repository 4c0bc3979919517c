//! Promise: a checkpoint that is damaged in any way, or of another stack, is refused, and the engine is then as new; what
//! fails while one is written leaves both old ones as they were.

mod common;
mod live;

use common::Place;
use common::sky::Rng;
use live::nights::{Night, small};
use live::{Live, newest};
use livestack::backend::cpu::Cpu;
use livestack::checkpoint::{self, NAMES, Reader};
use livestack::error::Error;
use livestack::rules::Method;
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const SIZE: (usize, usize) = (190, 140);
/// Frames before it is put away, and all.
const FRAMES: (usize, usize) = (3, 5);

/// A small night that is under way, put away in `folder`.
fn stored(folder: &Path) -> (Night, Live<Cpu>) {
    let night = small(SIZE, FRAMES.1);
    let mut live = Live::new(Cpu::default(), &night);
    night.frames[..FRAMES.0].iter().for_each(|frame| live.step(frame));
    assert_eq!(live.engine.stacked() as usize, FRAMES.0, "{:#?}", live.log);
    live.store(folder).expect("stored");
    (night, live)
}

/// Writes `bytes` at `at` of a file.
fn patch(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect("opened");
    file.seek(SeekFrom::Start(at)).expect("there");
    file.write_all(bytes).expect("written");
}

/// The sections of a checkpoint.
fn sections(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut from = Reader::open(path).expect("whole");
    let table: Vec<(String, u64)> = from.sections().map(|(name, len)| (name.to_owned(), len)).collect();
    let mut read = |(name, len): (String, u64)| {
        let mut bytes = vec![0; len as usize];
        from.section_into(&name, &mut bytes).expect("whole");
        (name, bytes)
    };
    table.into_iter().map(&mut read).collect()
}

/// A checkpoint of these sections, its checksums right.
fn made<'a>(folder: &Path, sections: impl Iterator<Item = (&'a str, &'a [u8])>) -> PathBuf {
    checkpoint::store(folder, |to| {
        sections.into_iter().try_for_each(|(name, bytes)| to.section(name, bytes))
    })
    .expect("stored");
    folder.join(NAMES[0])
}

#[test]
fn damage_is_always_noticed_and_leaves_a_new_engine() {
    let place = Place::new();
    let folder = place.folder("night");
    let (night, _) = stored(&folder);
    let path = folder.join(NAMES[0]);
    let whole = newest(&folder);
    let mut live = Live::new(Cpu::default(), &night);
    let mut refused = |what: &str| {
        let error = live.load(&path).expect_err(what);
        assert!(matches!(error, Error::Decode { .. } | Error::Mismatch { .. }), "{what}: {error}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    };
    let mut rng = Rng::new(7);
    let mut flip = |at: usize| {
        patch(&path, at as u64, &[whole[at] ^ 1 << rng.below(8)]);
        refused(&format!("byte {at} of {}", whole.len()));
        patch(&path, at as u64, &whole[at..=at]);
    };
    let mut places = Rng::new(8);
    (0..3000).for_each(|_| flip(places.below(whole.len())));
    // The first and the last byte of each section, and what lies around them.
    let mut end = 12;
    for (name, bytes) in sections(&path) {
        let begin = end + 13 + name.len();
        end = begin + bytes.len();
        assert_eq!(whole[begin..end], bytes, "the layout has changed: {name}");
        for at in (begin - 13..begin + 2).chain(end - 2..end) {
            flip(at);
        }
    }
    for len in (0..end).step_by(end / 200).chain(whole.len() - 12..whole.len()).rev() {
        OpenOptions::new().write(true).open(&path).expect("opened").set_len(len as u64).expect("cut");
        refused(&format!("cut to {len} bytes"));
    }
    // After all that the engine does what a new one does, and takes up what is whole.
    let mut new = Live::new(Cpu::default(), &night);
    live.judge = night.judge();
    for frame in &night.frames {
        live.step(frame);
        new.step(frame);
    }
    assert_eq!(live.log, new.log);
    assert!(live.outputs() == new.outputs(), "something was left of what was refused");
    fs::write(&path, &whole).expect("written");
    live.load(&path).expect("whole");
    assert_eq!(live.engine.stacked() as usize, FRAMES.0);
}

#[test]
fn sections_that_are_missing_or_of_another_stack_are_refused() {
    let place = Place::new();
    let (night, mut kept) = stored(&place.folder("night"));
    let own = sections(&place.path("night").join(NAMES[0]));
    let names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let mean = ["stack mean 0", "stack mean 1", "stack mean 2"];
    assert_eq!(names, [&["engine"][..], &mean, &["coverage", "align", "photometry", "judge"]].concat());
    let folder = place.folder("made");
    let load = |path: &Path| Live::new(Cpu::default(), &night).load(path);
    let all = || own.iter().map(|(name, bytes)| (name.as_str(), &bytes[..]));
    for left_out in &names {
        let path = made(&folder, all().filter(|(name, _)| name != left_out));
        let error = load(&path).expect_err(left_out).to_string();
        assert!(error.contains(&format!("section `{left_out}` is missing")), "{error}");
    }
    let more = made(&folder, all().chain([("stack add 0", &[0; 4][..])]));
    assert!(
        load(&more)
            .expect_err("more")
            .to_string()
            .contains("holds more than expected: section `stack add 0`")
    );
    load(&made(&folder, all())).expect("whole");
    // Of frames of another size, section by section.
    let others = small((SIZE.0 - 32, SIZE.1), FRAMES.0);
    let mut other = Live::new(Cpu::default(), &others);
    others.frames.iter().for_each(|frame| other.step(frame));
    other.store(&place.folder("other")).expect("stored");
    let theirs = sections(&place.path("other").join(NAMES[0]));
    for (name, bytes) in theirs.iter().filter(|(name, _)| name != "judge" && name != "photometry") {
        let mixed = all().map(|(own, held)| (own, if own == name { &bytes[..] } else { held }));
        assert!(load(&made(&folder, mixed)).is_err(), "{name} of another size is taken");
    }
    // Of other rules, and of another way to align.
    let mut rules = small(SIZE, 1);
    rules.methods = vec![Method::AddComp];
    let mut first = small(SIZE, 1);
    first.align_to = livestack::align::AlignTo::First;
    for (other, what) in
        [(rules, "rules are mean, expected addcomp"), (first, "homography to previous, expected")]
    {
        let error = Live::new(Cpu::default(), &other).load(&place.path("night").join(NAMES[0]));
        let error = error.expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
    kept.step(&night.frames[FRAMES.0]);
    assert_eq!(kept.engine.stacked() as usize, FRAMES.0 + 1, "storing disturbed the stack");
}

/// A checkpoint that somebody made up, its checksums right, is refused or taken, but ends nothing.
#[test]
fn values_that_make_no_sense_do_not_panic() {
    let place = Place::new();
    let (night, _) = stored(&place.folder("night"));
    let own = sections(&place.path("night").join(NAMES[0]));
    let folder = place.folder("made");
    let mut rng = Rng::new(9);
    let mut live = Live::new(Cpu::default(), &night);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..600 {
        let mut changed = own.clone();
        let values = ["engine", "align", "photometry", "judge"];
        let (name, bytes) =
            changed.iter_mut().filter(|(n, _)| values.contains(&n.as_str())).nth(rng.below(4)).expect("one");
        // Most of `align` is pixels: its lengths and small numbers are at the ends of its parts.
        let reach = if name == "align" && rng.below(2) == 0 { 64.min(bytes.len()) } else { bytes.len() };
        for _ in 0..=rng.below(4) {
            bytes[rng.below(reach)] = [0, 1, 0x7f, 0x80, 0xff, rng.below(256) as u8][rng.below(6)];
        }
        if rng.below(8) == 0 {
            bytes.truncate(rng.below(bytes.len()));
        }
        let path = made(&folder, changed.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
        match live.load(&path) {
            Err(error) => {
                assert!(matches!(error, Error::Decode { .. } | Error::Mismatch { .. }), "{error}");
                refused += 1;
            }
            Ok(()) => {
                live.step(&night.frames[FRAMES.0]);
                taken += 1;
            }
        }
    }
    assert!(refused > 50 && taken > 50, "{refused} refused, {taken} taken: the check is blind");
}

/// Mounts a disk of `bytes` at `path`; false where this user must not.
#[cfg(target_os = "linux")]
fn mount(path: &Path, bytes: u64) -> bool {
    let size = format!("size={bytes}");
    let done =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
    done.is_ok_and(|output| output.status.success())
}

/// Takes the disk away again, whatever happened.
#[cfg(target_os = "linux")]
struct Mounted(PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_both_old_ones() {
    let place = Place::new();
    let (night, mut live) = stored(&place.folder("night"));
    let size = newest(&place.path("night")).len() as u64;
    let disk = place.folder("disk");
    // Room for two and a half.
    if !mount(&disk, size * 5 / 2) {
        let line =
            "\n*** SKIPPED, no disk can be mounted here: a full disk while a checkpoint is written ***\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    let _mounted = Mounted(disk.clone());
    let keep = |live: &mut Live<Cpu>| {
        // The older one goes when the newest is placed: three fit for no moment.
        live.store(&disk)
    };
    keep(&mut live).expect("room for one");
    let first = newest(&disk);
    live.step(&night.frames[FRAMES.0]);
    keep(&mut live).expect("room for two");
    let second = newest(&disk);
    live.step(&night.frames[FRAMES.0 + 1]);
    for _ in 0..2 {
        let error = keep(&mut live).expect_err("full");
        assert!(
            matches!(error, Error::Io { .. }) && error.to_string().contains("cannot write the checkpoint"),
            "{error}"
        );
        let held = NAMES.map(|name| fs::read(disk.join(name)).expect("there"));
        assert!(held == [second.clone(), first.clone()], "a full disk changed what was there");
        assert_eq!(fs::read_dir(&disk).expect("disk").count(), NAMES.len(), "something is left behind");
    }
    // There is room again: the night lives on, and so does what is stored.
    fs::remove_file(disk.join(NAMES[1])).expect("removed");
    keep(&mut live).expect("room again");
    let mut again = Live::new(Cpu::default(), &night);
    again.load(&disk.join(NAMES[0])).expect("loaded");
    assert!(again.outputs() == live.outputs());
    again.load(&disk.join(NAMES[1])).expect("the older one");
    assert_eq!(again.engine.stacked() as usize, FRAMES.0 + 1);
}
