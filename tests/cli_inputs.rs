//! Which files are stacked, in what order, and what they may be called.

mod common;

use common::picture::{Picture, write_jpeg, write_png8};
use common::sky::{flat, flats};
use common::{Place, exif, file, with_status};

/// The names of the stacked frames, in order.
fn stacked(place: &Place, flags: &str) -> Vec<String> {
    place.stack(&format!("--no-align --method add {flags}")).exits(0);
    with_status(&place.records("output"), "stacked").into_iter().map(ToOwned::to_owned).collect()
}

fn write(place: &Place, names: &[&str]) {
    place.folder("input");
    for (k, name) in names.iter().enumerate() {
        write_png8(&place.path("input").join(name), &flat(10 + k as u8));
    }
}

/// Promise: frames are taken in natural name order (`IMG_9` before `IMG_10`), and `--last N` takes the last N of
/// that order; 0 and more than there are take all.
#[test]
fn natural_order_and_last() {
    let place = Place::new();
    write(&place, &["IMG_10.png", "IMG_9.png", "IMG_100.png", "IMG_2.png", "IMG_02.png"]);
    let all = ["IMG_02.png", "IMG_2.png", "IMG_9.png", "IMG_10.png", "IMG_100.png"];
    assert_eq!(stacked(&place, ""), all);
    assert_eq!(stacked(&place, "--last 2"), all[3..]);
    assert_eq!(stacked(&place, "--last 0"), all);
    assert_eq!(stacked(&place, "--last 50"), all);
}

/// Promise: `--order time` takes the capture time: a counter that wraps from 9999 to 0001 keeps its order; a file
/// without a time comes after those that have one. `--last` counts in that order.
#[test]
fn capture_time_orders_a_counter_that_wraps() {
    let place = Place::new();
    place.folder("input");
    let night = [
        ("IMG_9998.jpg", "2025:01:18 23:59:50"),
        ("IMG_9999.jpg", "2025:01:19 00:00:02"),
        ("IMG_0001.jpg", "2025:01:19 00:00:14"),
        ("IMG_0002.jpg", "2025:01:19 00:00:26"),
    ];
    for (k, (name, taken)) in night.iter().enumerate() {
        let block = exif::block(1, taken);
        write_jpeg(&place.path("input").join(name), &flat(10 + 20 * k as u8), Some(block));
    }
    write_jpeg(&place.path("input/IMG_0000.jpg"), &flat(200), None);
    let by_time = ["IMG_9998.jpg", "IMG_9999.jpg", "IMG_0001.jpg", "IMG_0002.jpg", "IMG_0000.jpg"];
    assert_eq!(stacked(&place, "--order time"), by_time);
    assert_eq!(stacked(&place, "--order time --last 3"), by_time[2..]);
    let by_name = ["IMG_0000.jpg", "IMG_0001.jpg", "IMG_0002.jpg", "IMG_9998.jpg", "IMG_9999.jpg"];
    assert_eq!(stacked(&place, "--order name"), by_name);
    assert_eq!(stacked(&place, ""), by_name);
}

/// Promise: files that are not images are passed over with one line each, in lights and darks, and are no frames.
#[test]
fn other_files_are_passed_over_with_one_line() {
    let place = Place::new();
    flats(&place, &[10, 20]);
    place.folder("dark");
    write_png8(&place.path("dark/d.png"), &flat(1));
    for name in ["input/notes.txt", "input/light_1.xmp", "input/noextension", "dark/readme.md"] {
        std::fs::write(place.path(name), "not a picture").expect("write");
    }
    let run = place.stack("--no-align").exits(0);
    for name in ["notes.txt", "light_1.xmp", "noextension", "readme.md"] {
        let lines = run.err.lines().chain(run.out.lines()).filter(|l| l.contains(name)).count();
        assert_eq!(lines, 1, "{name}:\n{}\n{}", run.out, run.err);
    }
    assert_eq!(place.records("output").len(), 2);
}

/// Promise: names with spaces, umlauts, quotes, percent signs and a leading dash are names like any other, in
/// frames, folders and `--name`.
#[test]
fn names_with_spaces_and_umlauts() {
    let place = Place::new();
    let names = ["-x.png", "a b.png", "Größe 50 %.png", "it's \"q\".png", "{x}.png", "星.png"];
    write(&place, &names);
    std::fs::rename(place.path("input"), place.path("Nächte im Süden")).expect("rename");
    let args = ["stack", "--backend", "cpu", "--no-align", "--method", "add", "--out", "Aus gabe", "--name"];
    let args = args.into_iter().chain(["Plejaden ü", "Nächte im Süden"]);
    place.run(args).exits(0);
    let mut found: Vec<_> = place.records("Aus gabe").iter().map(|r| file(r).to_owned()).collect();
    found.sort();
    let mut names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    names.sort();
    assert_eq!(found, names);
    assert_eq!(place.names("Aus gabe"), ["Plejaden ü_ADD.png", "frames.jsonl"]);
}

/// Promise: a folder that does not exist is exit code 4 and named, also among others that do: a night must not be
/// stacked without the half that a typing mistake hides.
#[test]
fn a_missing_folder_among_several_is_exit_4() {
    let place = Place::new();
    flats(&place, &[10, 20]);
    for inputs in ["gone", "input gone", "gone input", "input/light_1.png gone input"] {
        let run = place.stack(&format!("{inputs} --no-align --method add")).exits(4);
        assert!(run.err.contains("gone") && run.err.lines().count() == 1, "{inputs}: {}", run.err);
        assert!(!place.path("output").exists(), "{inputs}");
    }
}

/// Promise: even a line break in a name breaks neither the records nor the events, each a line of its own; nor does
/// a name that is not Unicode end the run.
#[cfg(target_os = "linux")]
#[test]
fn names_with_line_breaks_and_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    write(&place, &["a.png", "b\nc.png"]);
    write_png8(&place.path("input").join(OsStr::from_bytes(b"d\xff.png")), &flat(3));
    let run = place.stack("--no-align --method add --json").exits(0);
    assert_eq!(run.events().iter().filter(|e| e["event"] == "stacked").count(), 3);
    let records = place.records("output");
    assert_eq!(records.len(), 3);
    assert_eq!(file(&records[1]), "b\nc.png");
    // And their poses are found again.
    let again = "--poses output/frames.jsonl --method add -o again";
    place.stack(again).exits(0);
    let names = with_status(&place.records("again"), "stacked").len();
    assert!(names >= 2, "{names}");
}

/// Promise: JPEG, PNG and TIFF, 8 and 16 bit, gray and colour are read: the same samples in any of the lossless
/// ones give the same picture.
#[test]
fn lossless_formats_are_interchangeable() {
    use common::sky::{Rng, eight, sixteen};
    let mut rng = Rng::new(11);
    let levels: Picture<f32> =
        Picture::new(23, 11, 3, (0..23 * 11 * 3).map(|_| rng.below(256) as f32).collect());
    let place = Place::new();
    for folder in ["png8", "tiff8", "png16", "tiff16"] {
        place.folder(folder);
    }
    for k in 0..3 {
        let frame = levels.map(|v| (v + 31.0 * k as f32) % 256.0);
        write_png8(&place.path(format!("png8/{k}.png")), &eight(&frame));
        common::picture::write_png16(&place.path(format!("png16/{k}.png")), &sixteen(&frame));
        let create = |name: String| std::fs::File::create(place.path(name)).expect("create");
        tiff::encoder::TiffEncoder::new(create(format!("tiff8/{k}.tif")))
            .and_then(|mut e| e.write_image::<tiff::encoder::colortype::RGB8>(23, 11, &eight(&frame).data))
            .expect("TIFF");
        tiff::encoder::TiffEncoder::new(create(format!("tiff16/{k}.TIFF")))
            .and_then(|mut e| e.write_image::<tiff::encoder::colortype::RGB16>(23, 11, &sixteen(&frame).data))
            .expect("TIFF");
    }
    for folder in ["png8", "tiff8", "png16", "tiff16"] {
        place.stack(&format!("{folder} --no-align --format png,tiff --out out-{folder}")).exits(0);
    }
    for rule in common::rules::SIX {
        for depth in ["8", "16"] {
            for suffix in ["png", "tiff"] {
                let from = |kind: &str| place.bytes(&format!("out-{kind}{depth}/{rule}.{suffix}"));
                assert!(from("png") == from("tiff"), "{rule}.{suffix} of {depth} bit");
            }
        }
    }
}

/// Promise: no image is misread because of its name: a PNG called .jpg is read, and an upper-case extension too.
#[test]
fn contents_decide_what_a_file_is() {
    let place = Place::new();
    write(&place, &["a.jpg", "b.JPEG", "c.Tif", "d.PnG"]);
    assert_eq!(stacked(&place, ""), ["a.jpg", "b.JPEG", "c.Tif", "d.PnG"]);
}
