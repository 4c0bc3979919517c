//! What a night does to single files, through the real binary on a real file system: half-written ones, renamed and
//! overwritten ones, odd names, what is no frame at all.
#![cfg(target_os = "linux")]

mod common;

use common::live::{
    Live, SILENCE, Watch, decisions, drop_in, journal, light, name, open_new, proc_number, records, shot,
    sky, sorted,
};
use common::night::Shot;
use common::{Run, file, with_status};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// With events, and by polling.
const BOTH: [&str; 2] = ["", "--poll 0.2"];
/// Outputs that are compared.
const FITS: &str = "--format fits";
/// A user without rights.
const NOBODY: u32 = 65534;

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Asserts that these frames, and no others, were stacked once each and nothing was rejected.
#[track_caller]
fn all_stacked(run: &Run, live: &Live, mut names: Vec<String>) {
    names.sort();
    assert_eq!(sorted(&records(&live.out), "stacked"), names, "{run:#?}");
    assert_eq!(run.counts(), (names.len(), 0));
}

/// Promise: a file that grows for seconds, with pauses longer than `--settle`, is stacked once, when it is whole, and
/// is never rejected; those that are complete meanwhile do not wait for it.
#[test]
fn a_file_that_grows_for_seconds_is_stacked_once() {
    for poll in BOTH {
        let live = Live::new();
        live.lights(0..1);
        let mut watch = live.watch(&format!("--settle 200 {FITS} {poll}"));
        watch.decides(1);
        let bytes = light(1);
        let mut file = open_new(&live.input.join(name(1)));
        for (k, part) in bytes.chunks(bytes.len().div_ceil(5)).enumerate() {
            file.write_all(part).expect("written");
            file.flush().expect("written");
            if k == 1 {
                live.put(name(2), &light(2));
                watch.decided(&name(2), "stacked");
            }
            pause(700);
        }
        drop(file);
        watch.decided(&name(1), "stacked");
        pause(1000);
        all_stacked(&watch.stop().exits(0), &live, (0..3).map(name).collect());
        assert_eq!(sorted(&records(&live.out), "rejected"), Vec::<String>::new(), "{poll}: too early");
        assert!(
            live.floats() == live.stacked([0, 2, 1].map(light)),
            "{poll}: not the stack of the whole files"
        );
    }
}

/// Promise: a file written elsewhere and renamed in is stacked, from another folder, from a hidden name and over an
/// older frame's.
#[test]
fn files_that_are_renamed_in_are_stacked() {
    for poll in BOTH {
        let live = Live::new();
        let mut watch = live.watch(&format!("{FITS} {poll}"));
        let elsewhere = live.place.folder("elsewhere");
        for k in 0..4 {
            let from = elsewhere.join("frame.dat");
            std::fs::write(&from, light(k)).expect("written");
            std::fs::rename(&from, live.input.join(name(k))).expect("renamed");
            live.put(name(k + 4), &light(k + 4));
        }
        watch.decides(8);
        all_stacked(&watch.stop().exits(0), &live, (0..8).map(name).collect());
    }
}

/// Promise: where the writer dies half way, the file is rejected after a time, with a reason that says so; when it is
/// completed later, it is stacked, and counts once. The same for an empty one. Both while others are stacked.
#[test]
fn a_writer_that_dies_half_way() {
    let live = Live::new();
    live.lights(0..1);
    let mut watch = live.watch(FITS);
    watch.decides(1);
    let bytes = light(1);
    std::fs::write(live.input.join(name(1)), &bytes[..bytes.len() / 2]).expect("written");
    std::fs::write(live.input.join(name(2)), b"").expect("written");
    live.put(name(3), &light(3));
    watch.decided(&name(3), "stacked");
    let half = watch.decided(&name(1), "rejected");
    let reason = half["reason"].as_str().expect("a reason");
    assert!(reason.contains("cannot decode the PNG frame"), "{reason}");
    let empty = watch.decided(&name(2), "rejected");
    assert!(empty["reason"].as_str().is_some_and(|r| r.contains("an empty file")), "{empty}");
    let mut file = std::fs::OpenOptions::new().append(true).open(live.input.join(name(1))).expect("opened");
    file.write_all(&bytes[bytes.len() / 2..]).expect("written");
    drop(file);
    live.put(name(2), &light(2));
    watch.decided(&name(1), "stacked");
    watch.decided(&name(2), "stacked");
    let run = watch.stop().exits(0);
    all_stacked(&run, &live, (0..4).map(name).collect());
    // What is taken up again has the same counts.
    assert_eq!(live.run("--format fits --max-frames 4").exits(0).counts(), (4, 0));
}

/// Promise: names with spaces, umlauts, newlines and bytes that are no text are stacked; they survive a kill in journal
/// and checkpoint: what was saved is not stacked twice, what was not is read again.
#[test]
fn odd_names_survive_a_kill() {
    let odd: [&[u8]; 6] = [
        b"a frame with spaces.png",
        "b \u{fc}\u{e4}\u{f6}\u{df} \u{6708}.png".as_bytes(),
        b"c new\nline\r\x1b[31m.png",
        b"d \xff\xfe\xe4.png",
        b"e \xff\xfe\xe5.png",
        b"f \"quoted\" \\ 'and' $(back).png",
    ];
    let live = Live::new();
    // One is saved, the others are not.
    let mut watch = live.watch(&format!("{FITS} --checkpoint 0.1"));
    for (k, name) in odd[..4].iter().enumerate() {
        live.put(OsStr::from_bytes(name), &light(k));
    }
    watch.decides(4);
    common::live::wait_for("a checkpoint", || live.out.join("session/checkpoint").exists().then_some(()));
    pause(500);
    assert!(watch.kill());
    let mut watch = live.watch(FITS);
    for (k, name) in odd.iter().enumerate().skip(4) {
        live.put(OsStr::from_bytes(name), &light(k));
    }
    watch.decides(6);
    assert!(watch.kill());
    let run = live.run(&format!("{FITS} --max-frames 6")).exits(0);
    assert!(!run.err.contains("read again"), "{run:#?}");
    assert!(live.floats() == live.stacked((0..6).map(light)), "not the stack of these files");
    all_once(&live, 6);
    assert!(run.err.chars().chain(run.out.chars()).all(|c| c == '\n' || !c.is_control()), "{run:#?}");
}

/// Asserts that journal and records name `count` files, each stacked once.
#[track_caller]
fn all_once(live: &Live, count: usize) {
    let all = records(&live.out);
    assert_eq!(with_status(&all, "stacked").len(), count, "{:?}", decisions(&all));
    assert_eq!(all.len(), count);
    let lines = journal(&live.out);
    let frames: Vec<_> = lines.iter().filter(|l| l["line"] == "frame").collect();
    assert_eq!(frames.len(), count, "{lines:#?}");
    let mut paths: Vec<_> = frames.iter().map(|l| (&l["file"]["path"], &l["file"]["path_bytes"])).collect();
    paths.dedup();
    assert_eq!(paths.len(), count);
}

/// Promise: hidden files, other types, `Thumbs.db`, subfolders (also one with a frame's name), pipes and dangling links
/// are left alone: not stacked, not rejected, not waited for.
#[test]
fn what_is_no_frame_is_left_alone() {
    for poll in BOTH {
        let live = Live::new();
        let clutter = |k: usize| {
            let names = [".N.png", "frameN.png.tmp", "N.tmp", "Thumbs.db", "Nnotes.txt", "Npng", ".png"];
            for name in names.map(|name| name.replace('N', &k.to_string())) {
                std::fs::write(live.input.join(name), light(20)).expect("written");
            }
            let sub = live.input.join(format!("sub{k}.png"));
            std::fs::create_dir(&sub).expect("folder");
            std::fs::write(sub.join("inside.png"), light(21)).expect("written");
            let pipe = live.input.join(format!("pipe{k}.png"));
            assert!(Command::new("mkfifo").arg(pipe).status().expect("mkfifo").success());
            symlink("nowhere.png", live.input.join(format!("link{k}.png"))).expect("link");
        };
        clutter(0);
        live.lights(0..1);
        let mut watch = live.watch(&format!("{FITS} {poll}"));
        watch.decides(1);
        clutter(1);
        live.lights(1..2);
        watch.decides(2);
        std::thread::sleep(SILENCE);
        let run = watch.stop().exits(0);
        all_stacked(&run, &live, (0..2).map(name).collect());
    }
}

/// Promise: the same name overwritten by a new frame is two frames, both stacked, whether it is renamed over or written
/// into the old file; touched or rewritten with the same content it is stacked once.
#[test]
fn an_overwritten_name_is_a_new_frame() {
    for (poll, rename) in [(BOTH[0], true), (BOTH[0], false), (BOTH[1], true), (BOTH[1], false)] {
        let live = Live::new();
        let mut watch = live.watch(&format!("{FITS} {poll}"));
        let path = live.input.join("latest.png");
        let put = |bytes: &[u8]| {
            if rename {
                drop_in(&live.input, "latest.png", bytes);
            } else {
                std::fs::write(&path, bytes).expect("written");
            }
        };
        for k in 0..3 {
            put(&light(k));
            watch.decides(k + 1);
            // The same once more, and only touched.
            put(&light(k));
            pause(300);
            open_for_time(&path);
            pause(300);
        }
        std::thread::sleep(SILENCE);
        let run = watch.stop().exits(0);
        let stacked = vec!["latest.png".to_owned(); 3];
        all_stacked(&run, &live, stacked);
        assert!(
            live.floats() == live.stacked((0..3).map(light)),
            "{poll} {rename}: not the stack of the three"
        );
    }
}

/// Gives a file the time of now.
fn open_for_time(path: &Path) {
    let file = std::fs::OpenOptions::new().append(true).open(path).expect("opened");
    file.set_modified(std::time::SystemTime::now()).expect("touched");
}

/// Promise: 500 files copied in at once are stacked, each once, in the order of their names.
#[test]
fn five_hundred_files_at_once() {
    const COUNT: usize = 500;
    const DISTINCT: usize = 10;
    let frames: Vec<_> = (0..DISTINCT).map(light).collect();
    // Without zeros: 9 comes before 10.
    let name = |k: usize| format!("light_{k}.png");
    for existing in [false, true] {
        let live = Live::new();
        let flags = format!("--format fits --max-frames {COUNT} --publish-every 2s");
        let watch = (!existing).then(|| {
            let mut watch = live.watch(&flags);
            watch.says("watching");
            watch
        });
        for k in 0..COUNT {
            std::fs::write(live.input.join(name(k)), &frames[k % DISTINCT]).expect("copied");
        }
        let watch = watch.unwrap_or_else(|| live.watch(&flags));
        let run = watch.ends().exits(0);
        assert_eq!(run.counts(), (COUNT, 0));
        let got: Vec<_> = records(&live.out).iter().map(|r| file(r).to_owned()).collect();
        let want: Vec<_> = (0..COUNT).map(name).collect();
        assert!(got == want, "existing {existing}: {got:?}");
    }
}

/// Promise: a file that disappears while it waits is rejected with that reason, one that disappears before it was whole
/// is no frame; the night goes on, and one that comes back is stacked and counts once.
#[test]
fn a_file_that_disappears_while_it_waits() {
    let live = Live::new();
    live.lights(0..1);
    let mut watch = live.watch(FITS);
    watch.decides(1);
    // Not whole, so that it waits for more.
    let bytes = light(1);
    let (waits, grows) = (live.input.join(name(1)), live.input.join(name(2)));
    std::fs::write(&waits, &bytes[..bytes.len() / 3]).expect("written");
    let mut file = open_new(&grows);
    file.write_all(&bytes[..100]).expect("written");
    pause(250);
    std::fs::remove_file(&grows).expect("removed");
    pause(1200);
    std::fs::remove_file(&waits).expect("removed");
    let record = watch.decided(&name(1), "rejected");
    assert!(record["reason"].as_str().is_some_and(|r| r.contains("disappeared")), "{record}");
    live.put(name(1), &bytes);
    watch.decided(&name(1), "stacked");
    live.lights(3..4);
    watch.decided(&name(3), "stacked");
    let run = watch.stop().exits(0);
    all_stacked(&run, &live, [0, 1, 3].map(name).to_vec());
}

/// Promise: a file without read permission is rejected with that reason, and is stacked, counting once, when it may be
/// read. As root, who may read everything, the watch runs as another user.
#[test]
fn a_file_without_read_permission() {
    let live = Live::new();
    let mut command = live.command(FITS);
    // Not every build folder is open to everyone.
    let mut own = None;
    if is_root() {
        let copy = live.place.path("livestack");
        std::fs::copy(command.get_program(), &copy).expect("copied");
        let mut other = Command::new(&copy);
        other.args(command.get_args()).current_dir(live.place.path("")).uid(NOBODY).gid(NOBODY);
        std::fs::create_dir(&live.out).expect("folder");
        for path in [live.place.path(""), live.out.clone()] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("permissions");
        }
        std::os::unix::fs::chown(&live.out, Some(NOBODY), Some(NOBODY)).expect("its owner");
        own = Some(std::mem::replace(&mut command, other));
    }
    live.lights(0..1);
    let mut watch = live.start(command);
    watch.decides(1);
    let path = live.input.join(name(1));
    let hidden = live.input.join(".locked");
    std::fs::write(&hidden, light(1)).expect("written");
    std::fs::set_permissions(&hidden, PermissionsExt::from_mode(0o000)).expect("permissions");
    std::fs::rename(&hidden, &path).expect("renamed");
    let record = watch.decided(&name(1), "rejected");
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.contains("cannot read the frame") && reason.contains("ermission"), "{reason}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("permissions");
    watch.decided(&name(1), "stacked");
    let run = watch.stop().exits(0);
    all_stacked(&run, &live, (0..2).map(name).collect());
    drop(own);
}

fn is_root() -> bool {
    proc_number(std::process::id(), "Uid") == Some(0)
}

/// Promise: empty and huge files are rejected with a reason; memory stays small, and the night goes on.
#[test]
fn empty_and_huge_files() {
    /// Many times what frames of this size take, far less than the files are, kB.
    const MOST_KB: u64 = 400_000;
    let live = Live::new();
    live.lights(0..1);
    let sparse = |name: &str, gigabytes: u64| {
        let file = open_new(&live.input.join(name));
        file.set_len(gigabytes << 30).expect("a file system that knows sparse files");
    };
    let mut watch = live.watch(FITS);
    watch.decides(1);
    sparse("huge.fits", 20);
    sparse("huge.jpg", 6);
    sparse("large.fits", 2);
    sparse("empty.png", 0);
    live.lights(1..2);
    let reason = |watch: &mut Watch, name: &str| {
        watch.decided(name, "rejected")["reason"].as_str().expect("a reason").to_owned()
    };
    let reasons = ["huge.fits", "huge.jpg", "large.fits", "empty.png"].map(|name| reason(&mut watch, name));
    assert!(reasons.iter().all(|r| r.contains("expected a") && !r.contains('\n')), "{reasons:?}");
    let most = proc_number(watch.pid(), "VmHWM").expect("its memory");
    assert!(most < MOST_KB, "{most} kB");
    live.lights(2..3);
    watch.decided(&name(2), "stacked");
    assert_eq!(watch.stop().exits(0).counts(), (3, 4));
}

/// Promise: a damaged frame and one of another size are rejected at once or after a time, with a reason each; what
/// follows is stacked. Control for the others: not everything is stacked here.
#[test]
fn frames_that_are_none() {
    let live = Live::new();
    live.lights(0..2);
    let far = Shot { clear: 0.0, ..shot(3) };
    live.put(name(2), &common::live::png_of(sky(), &far));
    live.put(name(3), b"no picture at all");
    live.lights(4..5);
    let mut watch = live.watch(FITS);
    watch.decided(&name(3), "rejected");
    watch.decided(&name(4), "stacked");
    assert_eq!(watch.stop().exits(0).counts(), (3, 2));
}
