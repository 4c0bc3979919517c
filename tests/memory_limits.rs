//! What a run really takes against what the formula says; and what becomes of a night under a real limit.
#![cfg(target_os = "linux")]

mod common;

use common::mosaic::write_float;
use common::night::Shot;
use common::picture::{Picture, write_png8};
use common::sky::{Rng, Sky, eight};
use common::{Place, Run, backends};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Large enough for a frame to be a mapping of its own (glibc: 32 MiB), which goes back to the system when it is freed.
const SIZE: (usize, usize) = (4000, 2800);
/// More files than are ever decoded ahead.
const FILES: usize = 7;
/// What the formula may be above what is measured: a share of it, and most of what it has for the program itself, bytes.
const SLACK: (f64, f64) = (0.14, 35e6);

/// A noisy frame, under the names of many.
fn frames(place: &Place, folder: &str, write: impl Fn(&Path)) -> PathBuf {
    let folder = place.folder(folder);
    let first: Vec<_> = {
        write(&folder);
        std::fs::read_dir(&folder).expect("folder").flatten().map(|e| e.path()).collect()
    };
    let [first] = &first[..] else { panic!("one frame is written") };
    let name = first.file_name().expect("a name").to_string_lossy().into_owned();
    let (_, end) = name.split_once('.').expect("an extension");
    for k in 1..FILES {
        std::fs::hard_link(first, folder.join(format!("g{k}.{end}"))).expect("linked");
    }
    folder
}

fn noise(channels: usize) -> Picture<u8> {
    let mut rng = Rng::new(4);
    let n = SIZE.0 * SIZE.1 * channels;
    let data =
        (0..n.div_ceil(8)).flat_map(|_| rng.bits().to_le_bytes()).map(|b| 40 + (b & 31)).take(n).collect();
    Picture::new(SIZE.0, SIZE.1, channels, data)
}

fn pictures(place: &Place) {
    frames(place, "input", |to| write_png8(&to.join("f.png"), &noise(3)));
}

/// What the formula says, and what was measured, bytes.
fn peaks(run: &Run) -> (f64, f64) {
    let all = run.events();
    let timings = all.iter().find(|e| e["event"] == "timings").expect("with --timings");
    let number = |name: &str| timings[name].as_f64().unwrap_or_else(|| panic!("{name}: {timings}"));
    (number("need_bytes"), number("peak_bytes"))
}

/// Promise: the peak of the process is what the formula says, never above it, and at most 14 % and what it allows for the
/// program itself below.
#[test]
fn peaks_are_those_of_the_formula() {
    let place = Place::new();
    pictures(&place);
    place.folder("darks");
    write_png8(&place.path("darks/d.png"), &noise(3).map(|v| v / 4));
    frames(&place, "mosaic", |to| write_float(&to.join("f.fits"), &noise(1).map(f32::from), &[]));
    let sky = Sky::new(SIZE, 300, 5);
    frames(&place, "stars", |to| {
        write_png8(&to.join("f.png"), &eight(&sky.light(&common::geometry::IDENTITY, 1)))
    });
    // Decoded beside the file and the words; into more words than the frame has; masters of floats.
    frames(&place, "packed", |to| {
        write_float(&to.join("f.fits"), &noise(1).map(f32::from), &[]);
        let file = std::fs::File::create(to.join("f.fits.gz")).expect("created");
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(&std::fs::read(to.join("f.fits")).expect("read")).expect("written");
        packed.finish().expect("ended");
        std::fs::remove_file(to.join("f.fits")).expect("removed");
    });
    frames(&place, "alpha", |to| {
        let data = noise(4).data;
        let picture = image::RgbaImage::from_raw(SIZE.0 as u32, SIZE.1 as u32, data).expect("its size");
        picture.save(to.join("f.png")).expect("written");
    });
    place.folder("flats");
    write_float(&place.path("flats/f.fits"), &noise(1).map(|v| 2.0 * f32::from(v)), &[]);
    place.folder("offsets");
    write_float(&place.path("offsets/d.fits"), &noise(1).map(|v| f32::from(v) / 4.0), &[]);
    // A first frame out of focus: the stack begins again, and files are read again beside those that come.
    let again = place.folder("again");
    let blurred = Shot { blur: 2.5, ..Shot::new(common::geometry::IDENTITY, 0) };
    let gray = |shot: &Shot| {
        let sky = sky.shoot(shot);
        Picture::new(SIZE.0, SIZE.1, 1, sky.data.into_iter().step_by(3).collect())
    };
    // Files as large as frames: one that is kept is seen.
    write_float(&again.join("f.fits"), &gray(&blurred), &[]);
    write_float(&again.join("g1.fits"), &gray(&Shot { blur: 1.0, ..blurred }), &[]);
    (2..FILES).for_each(|k| {
        std::fs::hard_link(again.join("g1.fits"), again.join(format!("g{k}.fits"))).expect("linked");
    });
    let (mut bad, mut seen) = (Vec::new(), Vec::new());
    for args in [
        "input --no-align --method add",
        "input --no-align --method all",
        "input --no-align --method mean --format png,fits",
        "input --no-align --method add --dark darks",
        "input --no-align --method all --bin 2",
        "input --no-align --method add --dark darks --bin 2",
        "mosaic --no-align --method mean --bayer RGGB",
        "mosaic --no-align --method mean --bayer RGGB --bin 2",
        "stars --method addcomp --on-change scale",
        "packed --no-align --method mean",
        "packed --no-align --method mean --bin 2",
        "alpha --no-align --method add",
        "mosaic --no-align --method mean --dark offsets --flat flats --flat-dark offsets --bin 2",
        "again --method mean",
    ] {
        let run = place.stack(&format!("{args} --json --timings -o out")).exits(0);
        assert_eq!(run.err.contains("the stack begins again"), args.starts_with("again"), "{}", run.err);
        let (said, got) = peaks(&run);
        println!("{args}: {:.0} MB by the formula, {:.0} MB measured", said / 1e6, got / 1e6);
        if got > said || got < said * (1.0 - SLACK.0) - SLACK.1 {
            bad.push(format!("{args}: {said} by the formula, {got} measured"));
        }
        seen.push((said, got));
    }
    assert!(bad.is_empty(), "{bad:#?}");
    // Control: no other setting's peak would do.
    let (one, six) = (seen[0], seen[1]);
    assert!(six.1 > one.0 && one.1 < six.0 * (1.0 - SLACK.0) - SLACK.1);
}

/// A real limit of memory, and how a program is put under it.
enum Limit {
    /// Of address space.
    Space(u64),
    /// A control group, removed in the end: its folder.
    Group(PathBuf),
}

impl Limit {
    /// A control group with that limit, under ours; `None` where that is not allowed.
    fn group(bytes: u64) -> Option<Limit> {
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let tries = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            match controllers {
                "" => Some((Path::new("/sys/fs/cgroup").join(path), "memory.max")),
                "memory" => Some((Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes")),
                _ => None,
            }
        });
        for (ours, limit) in tries {
            let folder = ours.join(format!("livestack-test-{}-{bytes}", std::process::id()));
            if std::fs::create_dir(&folder).is_ok() {
                let group = Limit::Group(folder.clone());
                if std::fs::write(folder.join(limit), bytes.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    /// Runs the program in `place`.
    fn run(&self, place: &Place, args: &str) -> Run {
        let program = assert_cmd::cargo::cargo_bin("livestack");
        let mut command = match self {
            Limit::Space(bytes) => {
                let mut command = std::process::Command::new("prlimit");
                command.arg(format!("--as={bytes}")).arg(program);
                command
            }
            Limit::Group(folder) => {
                let mut command = std::process::Command::new("sh");
                let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$0\" \"$@\"", folder.display());
                command.arg("-c").arg(enter).arg(program);
                command
            }
        };
        // As much address space for each of them.
        command.env("MALLOC_ARENA_MAX", "1").env("RAYON_NUM_THREADS", "2");
        let output = command.current_dir(place.path("")).args(args.split_whitespace()).output();
        Run::of(&output.expect("the program starts"))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Limit::Group(folder) = self {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** NOT TESTED: {what} ***");
}

/// Whether address space can be limited here.
fn prlimit() -> bool {
    std::process::Command::new("prlimit").arg("--version").output().is_ok_and(|o| o.status.success())
}

/// What is said in the last line.
fn last(run: &Run) -> String {
    run.err.lines().last().unwrap_or_default().to_owned()
}

/// Promise: what does not fit under a real limit (of address space, of a control group) is refused before the first frame
/// is stacked, in one line, with what would fit; and that does fit.
#[test]
fn what_would_not_fit_is_refused_and_the_advice_works() {
    let place = Place::new();
    pictures(&place);
    let args = "stack input --backend cpu --no-align --method all --json --timings -o free";
    let (need, _) = peaks(&place.run(args.split(' ')).exits(0));
    let need = need as u64;
    let mut limits = Vec::new();
    if prlimit() {
        limits.push(Limit::Space(need + 50_000_000))
    } else {
        skipped("a limit of address space: there is no prlimit")
    }
    match Limit::group(need - 100_000_000) {
        Some(group) => limits.push(group),
        None => skipped("a limit of a control group: none can be made here"),
    }
    for limit in &limits {
        let run = limit.run(&place, "stack input --backend cpu --no-align --method all -o out").exits(1);
        let line = last(&run);
        println!("{line}");
        assert!(
            line.starts_with("livestack: memory: 6 rules over frames of 4000x2800 8 bit colour need "),
            "{run:?}"
        );
        assert!(line.contains("or the same at half size (--bin 2)"), "{line}");
        assert!(place.names("out").iter().all(|name| !name.ends_with(".png")), "{:?}", place.names("out"));
        let fewer =
            line.split("(--method ").nth(1).and_then(|rest| rest.split(')').next()).expect("fewer rules");
        limit
            .run(&place, &format!("stack input --backend cpu --no-align --method {fewer} -o fewer"))
            .exits(0);
        limit.run(&place, "stack input --backend cpu --no-align --method all --bin 2 -o half").exits(0);
        assert!(place.path("half/ADDCOMP.png").exists());
        // Nobody asked for six.
        let run = limit.run(&place, "stack input --backend cpu --no-align -o usual").exits(0);
        assert!(run.err.contains("stacking addcomp alone"), "{}", run.err);
        for out in ["out", "fewer", "half", "usual"] {
            std::fs::remove_dir_all(place.path(out)).expect("removed");
        }
    }
}

/// Promise: on a GPU without memory of its own the night is refused likewise, with a formula that holds; what the host
/// holds would else be lost at the end, with the pictures.
#[test]
fn a_gpu_that_shares_the_memory_is_refused_likewise() {
    if backends().len() < 2 || !prlimit() {
        return skipped("a GPU under a limit: no GPU, or no prlimit");
    }
    let place = Place::new();
    pictures(&place);
    let args = "stack input --backend gpu --no-align --method all";
    let run = place.run(format!("{args} --json --timings -o free").split(' ')).exits(0);
    let (need, got) = peaks(&run);
    assert!(got <= need && got > 0.7 * need, "{need} by the formula, {got} measured");
    for share in [0.6, 0.8, 1.0] {
        let limit = Limit::Space((share * need) as u64);
        let run = limit.run(&place, &format!("{args} -o out")).exits(1);
        assert!(last(&run).starts_with("livestack: memory: 6 rules over frames of 4000x2800"), "{run:?}");
        assert!(place.names("out").iter().all(|name| !name.ends_with(".png")), "{:?}", place.names("out"));
    }
}

/// Promise: a frame that cannot be decoded because memory is short is told from a bad one: by a line and the exit code; the
/// night goes on to its picture. Control: with more memory it is a stray that is rejected.
#[test]
fn a_frame_that_memory_was_short_for_is_told() {
    if !prlimit() {
        return skipped("a frame too many: there is no prlimit");
    }
    let place = Place::new();
    pictures(&place);
    let args = "stack input --backend cpu --no-align --method add";
    let (need, _) = peaks(&place.run(format!("{args} --json --timings -o free").split(' ')).exits(0));
    let data = vec![60; 4 * 3 * SIZE.0 * SIZE.1];
    write_png8(&place.path("input/g5b.png"), &Picture::new(2 * SIZE.0, 2 * SIZE.1, 3, data));
    let run = place.run(format!("{args} -o control").split(' ')).exits(0);
    assert!(run.out.contains("7 stacked, 1 rejected") && !run.err.contains("memory is short"), "{run:?}");
    // What the address space holds beside, see `Limit`, and little more.
    let run = Limit::Space(need as u64 + 330_000_000).run(&place, &format!("{args} -o out")).exits(1);
    assert!(run.out.contains("7 stacked, 1 rejected"), "{run:?}");
    let line = last(&run);
    assert!(line.contains("memory is short") && line.contains("g5b.png"), "{run:?}");
    assert!(place.path("out/ADD.png").exists());
}

/// Promise: what is advised can be done: no half size for poses of full size, none together with `--demosaic`.
#[test]
fn no_advice_that_would_be_refused() {
    if !prlimit() {
        return skipped("advice: there is no prlimit");
    }
    let place = Place::new();
    pictures(&place);
    frames(&place, "mosaic", |to| write_float(&to.join("f.fits"), &noise(1).map(f32::from), &[]));
    place.stack("input --no-align --method add -o known").exits(0);
    let limit = Limit::Space(1_000_000_000);
    let all = "--backend cpu --method all";
    let run = limit.run(&place, &format!("stack input {all} --poses known/frames.jsonl -o out")).exits(1);
    assert!(last(&run).contains(" of the 6 rules") && !last(&run).contains("--bin"), "{run:?}");
    let run = limit
        .run(&place, &format!("stack mosaic {all} --no-align --bayer RGGB --demosaic mhc -o out"))
        .exits(1);
    assert!(last(&run).contains("at half size (--bin 2, without --demosaic)"), "{run:?}");
}

/// Promise: a session refuses at its first frame in the same way. The frame is not lost: no line of the journal decides it,
/// and begun anew at half size the session stacks it.
#[test]
fn a_session_refuses_at_its_first_frame() {
    let place = Place::new();
    pictures(&place);
    let all = "watch input --backend cpu --no-align --existing stack --max-frames 7";
    let run = place.run(format!("{all} --method all --json --timings -o free").split(' ')).exits(0);
    let need = peaks(&run).0 as u64;
    let limit = match Limit::group(need - 100_000_000) {
        Some(group) => group,
        None if prlimit() => Limit::Space(need + 50_000_000),
        None => return skipped("a session under a limit: neither groups nor prlimit"),
    };
    let run = limit.run(&place, &format!("{all} --method all -o out")).exits(1);
    let line = last(&run);
    assert!(
        line.starts_with("livestack: memory: 6 rules")
            && line.contains("--bin 2")
            && line.contains("--fresh"),
        "{run:?}"
    );
    let journal = std::fs::read_to_string(place.path("out/session/journal.jsonl")).expect("a journal");
    assert!(!journal.contains("f.png"), "{journal}");
    let run = limit.run(&place, &format!("{all} --method all --bin 2 -o out")).exits(5);
    assert!(run.err.contains("--bin"), "{}", run.err);
    limit.run(&place, &format!("{all} --method all --bin 2 --fresh -o out")).exits(0);
    let stacked: Vec<Value> = place.records("out").into_iter().filter(|r| r["status"] == "stacked").collect();
    assert_eq!(stacked.len(), FILES);
    // One that was begun with more memory is not told to begin anew: that would throw it away.
    let less = match limit {
        Limit::Space(_) => Limit::Space(need / 2),
        Limit::Group(_) => Limit::group(need / 2).expect("as before"),
    };
    let run = less.run(&place, &format!("{all} --method all -o free")).exits(1);
    assert!(last(&run).contains("the session is kept") && !last(&run).contains("--fresh"), "{run:?}");
    place.run(format!("{all} --method all -o free").split(' ')).exits(0);
}

/// Promise: a frame whose header asks for more memory than there is ends as one line, not as a program that is cut off.
#[test]
fn a_header_that_asks_for_too_much_is_a_rejected_frame() {
    if !prlimit() {
        return skipped("huge headers: there is no prlimit");
    }
    let place = Place::new();
    place.folder("input");
    // 900 Mpix of 8-bit colour, with as many bytes as could hold them.
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        let crc = crc32fast::hash(&body).to_be_bytes();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc].concat()
    };
    let side = 30_000_u32.to_be_bytes();
    png.extend(chunk(b"IHDR", &[&side[..], &side, &[8, 2, 0, 0, 0]].concat()));
    png.extend(chunk(b"IDAT", &vec![0x55; 200_000]));
    png.extend(chunk(b"IEND", &[]));
    std::fs::write(place.path("input/huge.png"), png).expect("written");
    let limit = Limit::Space(1_500_000_000);
    let run = limit.run(&place, "stack input --backend cpu --no-align --method add").exits(1);
    assert!(run.out.contains("its samples take 2700 MB of memory"), "{run:?}");
    assert_eq!(run.err.lines().count(), 1, "{run:?}");
}
