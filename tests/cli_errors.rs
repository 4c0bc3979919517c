//! What goes wrong in a night: bad files, other sizes, outputs that cannot be written.

mod common;

use common::picture::{Picture, write_jpeg, write_png8};
use common::sky::{Sky, eight, flat, flats};
use common::{Place, backends, file, with_status};
use std::path::Path;

/// The record of the frame `name`.
fn record(place: &Place, name: &str) -> serde_json::Value {
    place.records("output").into_iter().find(|r| file(r) == name).expect("a record of every frame")
}

/// Promise: an empty folder, or one without images, is exit code 1 with a line that says what is expected.
#[test]
fn a_folder_without_frames_is_exit_1() {
    let place = Place::new();
    place.folder("input");
    let run = place.stack("").exits(1);
    assert!(run.err.contains("no frames") && run.err.contains("JPEG"), "{}", run.err);
    std::fs::write(place.path("input/notes.txt"), "clear sky").expect("write");
    place.stack("").exits(1);
}

/// JPEG, PNG and TIFF files that are damaged in different ways, and the names they go by.
fn damaged(place: &Place) -> Vec<String> {
    let sky = Sky::new((300, 200), 60, 3);
    let light = eight(&sky.light(&common::geometry::IDENTITY, 7));
    write_jpeg(&place.path("good.jpg"), &light, None);
    write_png8(&place.path("good.png"), &light);
    let (jpeg, png) = (place.bytes("good.jpg"), place.bytes("good.png"));
    let mut flipped = png.clone();
    flipped[png.len() / 2] ^= 0x55;
    let files = [
        ("cut.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("cut_at_the_end.jpg", jpeg[..jpeg.len() - 2].to_vec()),
        ("cut.png", png[..png.len() * 2 / 3].to_vec()),
        ("empty.jpg", Vec::new()),
        ("flipped.png", flipped),
        ("header_only.jpg", jpeg[..20].to_vec()),
        ("text.jpg", b"this is not a picture".to_vec()),
        ("text.tif", b"II\x2a\0nonsense".to_vec()),
    ];
    files
        .into_iter()
        .map(|(name, bytes)| {
            std::fs::write(place.path("input").join(name), bytes).expect("write");
            name.to_owned()
        })
        .collect()
}

/// Promise: a truncated or corrupt file is a rejected frame with its reason, the run goes on and exits 0, and the
/// outputs are those of the good frames alone.
#[test]
fn damaged_files_are_rejected_with_a_reason() {
    for backend in backends() {
        let place = Place::new();
        common::sky::drifting(&place, 3);
        place.stack_on(backend, "-o clean").exits(0);
        let bad = damaged(&place);
        std::fs::create_dir(place.path("input/folder.png")).expect("folder");
        let run = place.stack_on(backend, "").exits(0);
        let records = place.records("output");
        assert_eq!(with_status(&records, "stacked").len(), 3, "{backend}");
        for name in &bad {
            let r = record(&place, name);
            assert_eq!(r["status"], "rejected", "{backend}: {r}");
            let reason = r["reason"].as_str().expect("reason");
            assert!(reason.len() > 10 && reason.lines().count() == 1, "{backend} {name}: {reason:?}");
            assert!(run.out.contains(name.as_str()), "{backend}: {name} is not reported:\n{}", run.out);
        }
        for name in place.names("clean").iter().filter(|n| n.ends_with("png")) {
            let same = place.bytes(&format!("clean/{name}")) == place.bytes(&format!("output/{name}"));
            assert!(same, "{backend}: {name} differs");
        }
    }
}

/// Promise: where not one frame can be stacked the exit code is 1, no picture is written, and frames.jsonl says why.
#[test]
fn nothing_stacked_is_exit_1() {
    let place = Place::new();
    place.folder("input");
    let bad = damaged(&place);
    let run = place.stack("").exits(1);
    assert!(run.err.lines().any(|l| l.starts_with("livestack: nothing could be stacked")), "{}", run.err);
    assert_eq!(place.names("output"), ["frames.jsonl"]);
    assert_eq!(place.records("output").len(), bad.len());
}

/// Promise: a file named on the command line that does not exist is a rejected frame like any other unreadable one.
#[test]
fn a_missing_file_is_rejected() {
    let place = Place::new();
    flats(&place, &[10, 20]);
    place.stack("input/light_1.png input/gone.png input/light_2.png --no-align").exits(0);
    assert_eq!(with_status(&place.records("output"), "rejected"), ["gone.png"]);
}

/// Promise: a frame of another size is rejected, not resized, with a reason that names both sizes; so are gray
/// frames among colour ones and 16-bit ones among 8-bit ones.
#[test]
fn another_size_is_rejected_and_both_are_named() {
    let place = Place::new();
    flats(&place, &[10, 20, 30]);
    write_png8(&place.path("input/light_2.png"), &Picture::new(21, 10, 3, vec![9; 630]));
    write_png8(&place.path("input/light_4.png"), &Picture::new(20, 10, 1, vec![9; 200]));
    common::picture::write_png16(&place.path("input/light_5.png"), &flat(9).map(u16::from));
    place.stack("--no-align").exits(0);
    let records = place.records("output");
    assert_eq!(with_status(&records, "stacked"), ["light_1.png", "light_3.png"]);
    let reason = |name: &str| record(&place, name)["reason"].as_str().expect("reason").to_owned();
    let size = reason("light_2.png");
    assert!(size.contains("20x10") && size.contains("21x10"), "{size}");
    let colour = reason("light_4.png");
    assert!(colour.contains("gray") && colour.contains("colour"), "{colour}");
    let depth = reason("light_5.png");
    assert!(depth.contains("8 bit") && depth.contains("16 bit"), "{depth}");
}

/// Promise: darks that do not fit the lights end the run before anything is stacked, with both sizes in the line;
/// a damaged dark is left out with a line.
#[test]
fn darks_that_do_not_fit_are_refused() {
    let place = Place::new();
    flats(&place, &[10, 20, 30]);
    place.folder("small");
    write_png8(&place.path("small/dark.png"), &Picture::new(10, 10, 3, vec![1; 300]));
    let run = place.stack("--no-align --dark small");
    assert_ne!(run.code, Some(0));
    assert!(run.err.contains("20x10") && run.err.contains("10x10"), "{}", run.err);
    place.folder("dark");
    std::fs::write(place.path("dark/bad.png"), b"nonsense").expect("write");
    write_png8(&place.path("dark/dark_1.png"), &flat(4));
    let run = place.stack("--no-align --method mean --stretch none").exits(0);
    assert!(run.err.contains("bad.png"), "{}", run.err);
    let mean = common::picture::read_png8(&place.path("output/MEAN.png"));
    assert!((15.0..=16.0).contains(&mean.data[0]), "the good dark is used: {}", mean.data[0]);
    place.folder("none");
    place.stack("--no-align --dark none").exits(1);
}

/// Promise: a dark of another size than the first readable one is left out like a damaged one, with a line that names
/// both sizes; the others make the master.
#[test]
fn a_dark_of_another_size_is_left_out() {
    let place = Place::new();
    flats(&place, &[10, 20, 30]);
    place.folder("dark");
    std::fs::write(place.path("dark/dark_0.png"), b"nonsense").expect("write");
    write_png8(&place.path("dark/dark_1.png"), &flat(4));
    write_png8(&place.path("dark/dark_2.png"), &Picture::new(10, 20, 3, vec![200; 600]));
    write_png8(&place.path("dark/dark_3.png"), &flat(6));
    for master in ["peak-mean", "mean", "median", "sigma"] {
        let run = place.stack(&format!("--no-align --master {master} --method mean --format tiff")).exits(0);
        let lines: Vec<_> = run.err.lines().filter(|l| l.contains("dark_2.png")).collect();
        assert!(
            lines.len() == 1 && ["left out", "20x10", "10x20"].iter().all(|part| lines[0].contains(part)),
            "{master}: {}",
            run.err
        );
        assert!(run.out.contains("2 frames"), "{master}: {}", run.out);
        let mean = common::picture::read_tiff(&place.path("output/MEAN.tiff"));
        assert!((mean.data[0] * 255.0 - 15.0).abs() < 1e-3, "{master}: {}", mean.data[0] * 255.0);
    }
}

/// Promise: an output folder that cannot be made or written to is exit code 1, in one line that names it.
#[test]
fn an_unwritable_output_folder_is_exit_1() {
    let place = Place::new();
    flats(&place, &[10, 20]);
    std::fs::write(place.path("file"), "a file, not a folder").expect("write");
    let mut places = vec!["file/out".to_owned(), "file".to_owned()];
    if Path::new("/proc/self").exists() {
        places.push("/proc/livestack-test".into());
        places.push("/proc".into());
    }
    for out in &places {
        let run = place.stack(&format!("--no-align -o {out}")).exits(1);
        assert!(run.err.contains(out.as_str()) && run.err.lines().count() == 1, "{out}: {}", run.err);
    }
}

/// The same for a folder without write permission. Root may write there all the same, so for root it is a path that
/// nobody can make: one under a file.
#[cfg(unix)]
#[test]
fn a_read_only_output_folder_is_exit_1() {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    flats(&place, &[10, 20]);
    let locked = place.folder("locked");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).expect("chmod");
    if std::fs::write(locked.join("probe"), "").is_ok() {
        let text =
            "\n*** ROOT WRITES ANYWHERE: A PATH UNDER A FILE IS TESTED INSTEAD OF A READ-ONLY FOLDER ***";
        let _ = writeln!(std::io::stderr(), "{text}");
        let run = place.stack("--no-align -o locked/probe/out").exits(1);
        assert!(run.err.contains("locked/probe/out"), "{}", run.err);
        assert_eq!(place.names("locked"), ["probe"]);
        return;
    }
    let run = place.stack("--no-align -o locked").exits(1);
    assert!(run.err.contains("locked"), "{}", run.err);
    assert!(place.names("locked").is_empty());
}

/// Promise: an output that fails is exit code 1 and names the file; the other outputs are written all the same, and
/// no temporary file is left.
#[test]
fn an_output_that_fails_is_exit_1() {
    for backend in backends() {
        let place = Place::new();
        flats(&place, &[10, 20]);
        place.folder("output/ADDMAX.png/occupied");
        let run = place.stack_on(backend, "--no-align").exits(1);
        assert!(run.err.contains("ADDMAX.png"), "{backend}: {}", run.err);
        let names = place.names("output");
        let six = ["ADD.png", "ADD2.png", "ADDCOMP.png", "ADDMAX.png", "ADDMAX2.png", "ADDMEAN.png"];
        assert_eq!(names, six.into_iter().chain(["frames.jsonl"]).collect::<Vec<_>>(), "{backend}");
        assert_eq!(place.names("output/ADDMAX.png"), ["occupied"]);
    }
}

/// Promise: `--poses` with a file that is missing or holds no poses fails with the line's number; a frame that the
/// file does not name, or names as rejected, is rejected with that reason.
#[test]
fn poses_that_are_missing_or_damaged() {
    let place = Place::new();
    flats(&place, &[10, 20, 30]);
    let run = place.stack("--poses gone.jsonl").exits(1);
    assert!(run.err.contains("gone.jsonl"), "{}", run.err);
    let good = r#"{"file": "elsewhere/light_1.png", "status": "stacked", "homography": [1,0,0,0,1,0,0,0,1]}"#;
    let rejected = r#"{"file": "light_2.png", "status": "rejected", "reason": "a cloud"}"#;
    for bad in ["no json", "{}", &good.replace("1,0,0,0,1", "1,0"), &good.replace("0,1]", "0,0]")] {
        std::fs::write(place.path("bad.jsonl"), format!("{good}\n\n{bad}\n")).expect("write");
        let run = place.stack("--poses bad.jsonl").exits(1);
        assert!(run.err.contains("line 3") && run.err.contains("bad.jsonl"), "{bad}: {}", run.err);
    }
    std::fs::write(place.path("poses.jsonl"), format!("{good}\n{rejected}\n")).expect("write");
    place.stack("--poses poses.jsonl").exits(0);
    let records = place.records("output");
    assert_eq!(with_status(&records, "stacked"), ["light_1.png"]);
    let reason = |name: &str| record(&place, name)["reason"].as_str().expect("reason").to_owned();
    assert!(reason("light_2.png").contains("a cloud"), "{}", reason("light_2.png"));
    assert!(reason("light_3.png").contains("poses"), "{}", reason("light_3.png"));
    // A later line for the same file replaces the earlier.
    let again = good.replace("elsewhere/light_1", "light_2");
    std::fs::write(place.path("poses.jsonl"), format!("{good}\n{rejected}\n{again}\n")).expect("write");
    place.stack("--poses poses.jsonl").exits(0);
    assert_eq!(with_status(&place.records("output"), "stacked"), ["light_1.png", "light_2.png"]);
}
