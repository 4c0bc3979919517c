//! What a night does to the folder that is watched: deleted, renamed, replaced, gone with its share; and a clock that is
//! wrong. Own outputs in it are no frames.
#![cfg(target_os = "linux")]

mod common;

use common::file;
use common::live::{
    Live, SILENCE, Watch, decisions, drop_in, light, name, open_new, png_of, records, shot, sky, sorted,
    wait_for,
};
use common::mounts::{Mounted, may_mount};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Outputs that are compared.
const FITS: &str = "--format fits";

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Ends the watch; these frames were stacked once each, and so were all.
#[track_caller]
fn each_once(watch: Watch, live: &Live, frames: impl IntoIterator<Item = usize>) {
    let run = watch.stop().exits(0);
    let names: Vec<_> = frames.into_iter().map(name).collect();
    let all = records(&live.out);
    assert_eq!(sorted(&all, "stacked"), names, "{:?}\n{run:#?}", decisions(&all));
    assert_eq!(run.counts(), (names.len(), 0), "{run:#?}");
}

/// Promise: an input folder that is deleted and made again, with frames waiting in it, is watched on: what comes into
/// the new one is stacked, one line says that it is gone and one that it is back.
#[test]
fn a_folder_that_is_deleted_and_made_again() {
    for poll in ["", "--poll 0.2"] {
        let live = Live::new();
        live.lights(0..2);
        let mut watch = live.watch(&format!("{FITS} {poll}"));
        watch.decides(2);
        for round in 0..2 {
            std::fs::remove_dir_all(&live.input).expect("removed");
            pause(1500);
            std::fs::create_dir(&live.input).expect("made");
            live.lights(2 + round..3 + round);
            watch.decides(3 + round);
        }
        assert_eq!(watch.err().matches("the folder is gone").count(), 2, "{}", watch.err());
        assert_eq!(watch.err().matches("the folder is back").count(), 2, "{}", watch.err());
        each_once(watch, &live, 0..4);
    }
}

/// Promise: an input folder that is renamed away and back is watched on: nothing is stacked twice, also a frame that
/// came while it was away is stacked, one that was half written waits for it, and what is in another folder of that name
/// meanwhile is stacked too.
#[test]
fn a_folder_that_is_renamed_away_and_back() {
    for poll in ["", "--poll 0.2"] {
        let live = Live::new();
        let away = live.place.path("away");
        live.lights(0..2);
        let mut watch = live.watch(&format!("{FITS} {poll}"));
        watch.decides(2);
        let bytes = light(2);
        std::fs::write(live.input.join(name(2)), &bytes[..bytes.len() / 2]).expect("written");
        pause(1200);
        std::fs::rename(&live.input, &away).expect("renamed");
        drop_in(&away, name(2), &bytes);
        drop_in(&away, name(3), &light(3));
        watch.says("the folder is gone");
        // Longer than the time between two tries to read what waits.
        std::thread::sleep(SILENCE);
        assert_eq!(records(&live.out).len(), 2, "nothing is decided while it is away");
        std::fs::rename(&away, &live.input).expect("renamed back");
        watch.decides(4);
        std::fs::rename(&live.input, &away).expect("renamed");
        std::fs::create_dir(&live.input).expect("another folder");
        live.lights(4..5);
        watch.decides(5);
        std::fs::remove_dir_all(&live.input).expect("removed");
        std::fs::rename(&away, &live.input).expect("renamed back");
        live.lights(5..6);
        watch.decides(6);
        std::thread::sleep(SILENCE);
        each_once(watch, &live, 0..6);
    }
}

/// Promise: a network share that goes away and comes back (poll mode) loses nothing: frames that waited, were half
/// written or came meanwhile are stacked once; those that were stacked are not stacked again.
#[test]
fn a_share_that_goes_away_and_comes_back() {
    if !may_mount("a_share_that_goes_away_and_comes_back") {
        return;
    }
    let live = Live::new();
    let server = live.place.folder("server");
    let _disk = Mounted::small(&server, 32 << 10);
    let share = Mounted::bound(&server, &live.input);
    live.lights(0..2);
    let mut watch = live.watch(&format!("{FITS} --poll 0.2"));
    watch.decides(2);
    let bytes = light(2);
    // It waits for its other half, while the share goes.
    std::fs::write(live.input.join(name(2)), &bytes[..bytes.len() / 2]).expect("written");
    pause(1500);
    let mut share = Some(share);
    for round in 0..2 {
        let from = 3 + 2 * round;
        drop(share.take());
        pause(2500);
        // The camera's computer goes on meanwhile.
        drop_in(&server, name(2), &bytes);
        (from..from + 2).for_each(|k| drop_in(&server, name(k), &light(k)));
        share = Some(Mounted::bound(&server, &live.input));
        for k in [2, from, from + 1] {
            watch.decided(&name(k), "stacked");
        }
    }
    std::thread::sleep(SILENCE);
    each_once(watch, &live, 0..7);
}

/// Promise: own outputs in the watched folder are never stacked: with OUT = INPUT and OUT inside INPUT, in all formats,
/// the pictures on the way, the numbered ones of SIGHUP, `latest.jpg`; nor after a kill, nor in a new session beside the
/// old one's outputs.
#[test]
fn own_outputs_are_never_stacked() {
    const FLAGS: &str =
        "--format png,png16,tiff16,tiff,fits --debug-frames --publish-every 1 --method all,mean";
    for (inside, poll) in [("", ""), ("", "--poll 0.2"), ("stacks", ""), ("pleiades.png", "--poll 0.2")] {
        let mut live = Live::new();
        live.out = live.input.join(inside);
        live.lights(0..2);
        let mut watch = live.watch(&format!("{FLAGS} {poll}"));
        watch.decides(2);
        live.lights(2..4);
        watch.decides(4);
        watch.signal("-HUP");
        watch.says("a new stack begins");
        live.lights(4..6);
        watch.decides(6);
        std::thread::sleep(SILENCE);
        assert!(watch.kill());
        let mut watch = live.watch(&format!("{FLAGS} {poll}"));
        live.lights(6..7);
        watch.decides(7);
        std::thread::sleep(SILENCE);
        each_once(watch, &live, 0..7);
        let names = ["latest.jpg", "MEAN.png", "MEAN.fits", "ADDCOMP_0004.png", "ADDMAX2_stack1.tiff"];
        assert!(names.iter().all(|n| live.out.join(n).exists()), "{inside}: {:?}", list(&live.out));
        // All over again, beside what is there.
        let mut watch = live.watch(&format!("{FLAGS} {poll} --fresh"));
        watch.decides(7);
        std::thread::sleep(SILENCE);
        each_once(watch, &live, 0..7);
    }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").path()).collect()
}

/// Promise: times of files decide nothing: frames whose times fall, lie in the future or before 1970, or are all the
/// same, are stacked once each, with events and by polling, also after a kill.
#[test]
fn times_of_files_that_are_wrong() {
    for poll in ["", "--poll 0.2"] {
        let live = Live::new();
        let mut watch = Some(live.watch(&format!("{FITS} {poll}")));
        let hour = Duration::from_secs(3600);
        let now = SystemTime::now();
        let times = [
            now + 48 * hour,
            now + hour,
            now,
            now - hour,
            now - hour,
            SystemTime::UNIX_EPOCH - hour,
            now + hour,
        ];
        for (k, time) in times.into_iter().enumerate() {
            let part = live.input.join(".part");
            std::fs::write(&part, light(k)).expect("written");
            let file = std::fs::OpenOptions::new().append(true).open(&part).expect("opened");
            file.set_modified(time).expect("its time");
            drop(file);
            std::fs::rename(&part, live.input.join(name(k))).expect("renamed");
            watch.as_mut().expect("a watch").decides(k + 1);
            if k == 3 {
                assert!(watch.take().expect("a watch").kill());
                watch = Some(live.watch(&format!("{FITS} {poll}")));
            }
        }
        std::thread::sleep(SILENCE);
        each_once(watch.expect("a watch"), &live, 0..7);
        assert!(live.floats() == live.stacked((0..7).map(light)), "{poll}");
    }
}

/// The library that makes a clock lie; `None` where it is not installed.
fn lying_clock() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    folders.iter().map(|f| Path::new(f).join("faketime/libfaketimeMT.so.1")).find(|p| p.exists())
}

/// Promise: a wall clock that is set back or forward by hours in mid-night changes nothing: frames are stacked, published
/// and saved as before.
#[test]
fn a_clock_that_is_set_back() {
    if std::env::var_os("LIVESTACK_TEST_CLOCK").is_some_and(|v| v == "skip") {
        let _ = writeln!(
            std::io::stderr(),
            "\n*** LIVESTACK_TEST_CLOCK=skip: A CLOCK THAT IS SET BACK IS NOT TESTED ***"
        );
        return;
    }
    let library =
        lying_clock().expect("libfaketime: tests/run.sh installs it, LIVESTACK_TEST_CLOCK=skip does without");
    let live = Live::new();
    let clock = live.place.path("clock");
    let set = |offset: &str| {
        let part = live.place.path("clock.part");
        std::fs::write(&part, offset).expect("written");
        std::fs::rename(&part, &clock).expect("renamed");
    };
    set("+0");
    let mut command = live.command("--format fits --checkpoint 0.1 --publish-every 0.2s --settle 200");
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    // Looked at anew each time; the monotonic clock is nobody's to set.
    command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_RESET", "1");
    let mut watch = live.start(command);
    let newest = live.out.join("MEAN.fits");
    let mut times = Vec::new();
    for (k, offset) in ["+0", "-7200", "-86400", "+86400", "+0"].into_iter().enumerate() {
        set(offset);
        // One is renamed in, one is written in place, one is left open after its end.
        live.lights(3 * k..3 * k + 1);
        std::fs::write(live.input.join(name(3 * k + 1)), light(3 * k + 1)).expect("written");
        let mut open = open_new(&live.input.join(name(3 * k + 2)));
        open.write_all(&light(3 * k + 2)).expect("written");
        watch.decides(3 * k + 3);
        drop(open);
        // Published within the real time that was asked for, whatever the clock says.
        let published = || frames_in(&std::fs::read(&newest).unwrap_or_default());
        wait_for("a publication", || (published() == Some(3 * k + 3)).then_some(()));
        times
            .push(common::live::journal(&live.out).last().expect("a line")["time"].as_f64().expect("a time"));
    }
    assert!(times.windows(2).any(|t| t[1] < t[0] - 3600.0), "the clock did not lie: {times:?}");
    each_once(watch, &live, 0..15);
}

/// The number of frames that a FITS file says it is of.
fn frames_in(fits: &[u8]) -> Option<usize> {
    let cards = fits.chunks(80).take(72);
    let card = cards.map(String::from_utf8_lossy).find(|c| c.starts_with("STACKCNT"))?;
    card.split(['=', '/']).nth(1)?.trim().parse().ok()
}

/// The same frame under many names is many frames: control for the tests that count.
#[test]
fn the_same_content_under_two_names_is_two_frames() {
    let live = Live::new();
    let bytes = png_of(sky(), &shot(0));
    live.put(name(0), &bytes);
    live.put(name(1), &bytes);
    let mut watch = live.watch(FITS);
    watch.decides(2);
    let all = records(&live.out);
    assert_ne!(file(&all[0]), file(&all[1]));
    each_once(watch, &live, 0..2);
}
