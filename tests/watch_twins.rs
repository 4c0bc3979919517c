//! A camera that writes each frame as RAW and as JPEG: one of the two is stacked, whatever comes first.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "shared with tests that stop at the first surprise")]

mod common;
#[allow(dead_code, reason = "shared with formats.rs, which uses other parts of it")]
#[path = "common/files.rs"]
mod files;

use common::Place;
use common::geometry::shift;
use common::mosaic::mosaiced;
use common::picture::write_jpeg;
use common::session::{Live, SIZE, age, finally, night, until_it_listens, watch};
use common::sky::{Sky, eight, sixteen};
use files::{Tag, picture_tags, tiff_by_hand};
use livestack::sensor::Bayer;
use std::time::Duration;

/// A camera's frames `count` in `frames/`: `IMG_1.jpg` and `IMG_1.dng` and so on.
fn camera(count: usize) -> Place {
    let place = night(0);
    let sky = Sky::new(SIZE, 60, 1);
    for k in 1..=count {
        let levels = sky.light(&shift(1.3 * k as f64, -0.8 * k as f64), k as u64);
        let jpeg = place.path(format!("frames/IMG_{k}.jpg"));
        write_jpeg(&jpeg, &eight(&levels), None);
        let raw = place.path(format!("frames/IMG_{k}.dng"));
        let mosaic = sixteen(&mosaiced(&levels, Bayer::Rggb));
        let mut tags = picture_tags(SIZE, 1, 16, 1);
        tags.retain(|(number, _)| *number != 262);
        tags.extend([
            (262, Tag::Short(vec![32803])),
            (0x010f, Tag::Ascii("Maker")),
            (0x0110, Tag::Ascii("Model 1")),
            (0x0116, Tag::Long(vec![SIZE.1 as u32])),
            (0x828d, Tag::Short(vec![2, 2])),
            (0x828e, Tag::Short(vec![0, 1, 1, 2])),
            (0xc612, Tag::Short(vec![1, 4, 0, 0])),
            (0xc61d, Tag::Short(vec![65535])),
        ]);
        let bytes = tiff_by_hand(false, &tags, &[], Some((273, 1)), bytemuck::cast_slice(&mosaic.data));
        std::fs::write(&raw, bytes).expect("written");
        age(&jpeg, Duration::from_secs(3600));
        age(&raw, Duration::from_secs(3600));
    }
    place
}

fn drop_in(place: &Place, names: &[&str]) {
    for name in names {
        place.drop_in(name);
    }
}

/// Waits until so many frames are decided and every file was looked at; ends.
fn end(place: &Place, mut live: Live, decided: usize) -> Vec<String> {
    live.until_decided(decided);
    common::session::until("all files looked at", || {
        let status = place.status("output");
        status["waiting"] == 0 && status["state"] == "waiting"
    });
    live.end();
    let records = place.records("output");
    let rejected: Vec<_> =
        records.iter().filter(|r| r["status"] == "rejected").map(|r| &r["reason"]).collect();
    assert!(rejected.is_empty(), "none counts as rejected: {rejected:?}");
    finally(place, "output", "stacked")
}

/// Promise: a frame that comes as JPEG and RAW is stacked once, as the kind that is preferred, in both orders of arrival
/// and at once.
#[test]
fn a_pair_is_one_frame() {
    for (flags, kind) in [("", "jpg"), ("--prefer raw", "dng")] {
        let place = camera(4);
        let live = watch(&place, flags);
        until_it_listens(&live);
        drop_in(&place, &["IMG_1.jpg", "IMG_1.dng"]);
        drop_in(&place, &["IMG_2.dng", "IMG_2.jpg"]);
        std::thread::sleep(Duration::from_millis(300));
        drop_in(&place, &["IMG_3.dng"]);
        std::thread::sleep(Duration::from_millis(300));
        drop_in(&place, &["IMG_3.jpg", "IMG_4.jpg"]);
        std::thread::sleep(Duration::from_millis(300));
        drop_in(&place, &["IMG_4.dng"]);
        let stacked = end(&place, live, 4);
        let wanted: Vec<_> = (1..=4).map(|k| format!("IMG_{k}.{kind}")).collect();
        let mut sorted = stacked.clone();
        sorted.sort();
        assert_eq!(sorted, wanted, "{flags}");
    }
}

/// Promise: pairs that are there at the start are frames, too: `--last` counts frames, not files.
#[test]
fn pairs_at_the_start_are_one_frame_each() {
    for (flags, kind, first) in [
        ("", "jpg", 1),
        ("--prefer raw", "dng", 1),
        ("--last 2", "jpg", 2),
        ("--last 2 --prefer raw", "dng", 2),
    ] {
        let place = camera(3);
        for k in 1..=3 {
            drop_in(&place, &[&format!("IMG_{k}.jpg"), &format!("IMG_{k}.dng")]);
        }
        for name in place.names("input") {
            age(&place.path("input").join(name), Duration::from_secs(60));
        }
        let live = watch(&place, flags);
        let wanted: Vec<_> = (first..=3).map(|k| format!("IMG_{k}.{kind}")).collect();
        assert_eq!(end(&place, live, wanted.len()), wanted, "{flags}");
    }
}

/// Promise: where only one of the two comes, it is stacked, whatever is preferred; and after that its kind counts.
#[test]
fn a_file_without_its_twin_is_stacked() {
    for (flags, kind) in [("", "dng"), ("--prefer raw", "jpg")] {
        let place = camera(2);
        let live = watch(&place, flags);
        until_it_listens(&live);
        let names: Vec<_> = (1..=2).map(|k| format!("IMG_{k}.{kind}")).collect();
        drop_in(&place, &names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(end(&place, live, 2), names, "{flags}");
    }
}

/// Promise: the twin that comes when its frame is stacked already is passed over, also after a restart.
#[test]
fn a_late_twin_is_passed_over() {
    let place = camera(2);
    let mut live = watch(&place, "");
    until_it_listens(&live);
    drop_in(&place, &["IMG_1.dng"]);
    live.until_decided(1);
    drop_in(&place, &["IMG_1.jpg", "IMG_2.dng"]);
    live.until_decided(2);
    live.kill();
    drop_in(&place, &["IMG_2.jpg"]);
    let live = watch(&place, "");
    let stacked = end(&place, live, 0);
    assert_eq!(stacked, ["IMG_1.dng", "IMG_2.dng"]);
}
