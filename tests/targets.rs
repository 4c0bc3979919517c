//! New targets in the middle of a night, and nights that begin with a bad frame.

mod common;

use common::geometry::{Map, worst};
use common::night::{Night, Shot, drift, last, name, of, reason};
use common::sky::Sky;
use common::{backends, with_status};

const SIZE: (usize, usize) = (600, 400);
/// Accuracy at this size, px.
const WORST: f64 = 0.014;

fn sky() -> Sky {
    Sky::new(SIZE, 200, 91)
}

fn other() -> Sky {
    Sky::new(SIZE, 180, 4242)
}

/// Promise: three frames in a row of another field are rejected with one warning on stderr that names the flag; with
/// `--restart-on-new-target` they begin a new stack, and the first is kept, equal to a run over its frames alone.
/// Control: two frames of another field are no new target.
#[test]
fn a_new_target_begins_a_new_stack() {
    let (sky, other, maps) = (sky(), other(), drift(9, SIZE, 91));
    let mut night = Night::new(SIZE);
    for (k, map) in maps.iter().enumerate() {
        let target = if k < 5 { &sky } else { &other };
        night.shoot(k, target, &Shot::new(*map, k as u64));
    }
    for backend in backends() {
        let run = night.stack(backend, "");
        assert_eq!(run.err.matches("--restart-on-new-target").count(), 1, "{backend}: {}", run.err);
        assert!(run.out.contains("5 stacked, 4 rejected"), "{backend}: {}", run.out);
        let records = night.records();
        assert_eq!(with_status(&records, "rejected"), [5, 6, 7, 8].map(name), "{backend}");
        let run = night.stack(backend, "--restart-on-new-target");
        assert!(run.out.contains("9 stacked, 0 rejected"), "{backend}: {}", run.out);
        assert!(!run.err.contains("--restart-on-new-target"), "{backend}: {}", run.err);
        let records = night.records();
        for k in 0..9 {
            assert_eq!(of(&records, k)["stack"], if k < 5 { 1 } else { 2 }, "{backend}");
            let reference = name(if k < 5 { 0 } else { 5 });
            assert!(
                of(&records, k)["reference"].as_str().is_some_and(|p| p.ends_with(&reference)),
                "{backend}"
            );
        }
        let errors = night.errors();
        assert!(errors.len() == 9 && worst(&errors) <= WORST, "{backend}: {errors:.4?}");
        let files = (0..5).map(|k| format!("input/{}", name(k))).collect::<Vec<_>>().join(" ");
        night.stack(backend, &format!("-o alone {files}"));
        let kept = night.place.bytes("output/ADDCOMP_stack1.png");
        assert!(kept == night.place.bytes("alone/ADDCOMP.png"), "{backend}: the first stack");
        assert!(kept != night.place.bytes("output/ADDCOMP.png"), "{backend}: the comparison is blind");
        let two = (0..7).map(|k| format!("input/{}", name(k))).collect::<Vec<_>>().join(" ");
        let run = night.stack(backend, &format!("--restart-on-new-target -o two {two}"));
        assert!(run.out.contains("5 stacked, 2 rejected"), "{backend}: {}", run.out);
        assert!(!night.place.path("two/ADDCOMP_stack1.png").exists(), "{backend}");
    }
}

/// What is wrong with a first frame.
fn bad_first(map: Map) -> [(&'static str, Sky, Shot); 3] {
    let clear = Shot::new(map, 0);
    [
        ("cloud", sky(), Shot { clear: 0.06, ..clear }),
        ("blur", sky(), Shot { blur: 2.5, ..clear }),
        ("field", other(), clear),
    ]
}

/// Promise: a first frame through a cloud, out of focus, or of another field is replaced as the reference: its last
/// record says rejected, all others are stacked on a good one, the counts say so, and the picture is that of a run
/// without it.
#[test]
fn a_bad_first_frame_is_replaced() {
    let (sky, maps) = (sky(), drift(8, SIZE, 92));
    for (case, first, shot) in bad_first(maps[0]) {
        let mut night = Night::of(&sky, &maps);
        night.shoot(0, &first, &shot);
        for backend in backends() {
            let run = night.stack(backend, "");
            let all = night.place.records("output");
            let records = last(all.clone());
            assert_eq!(of(&all, 0)["status"], "stacked", "{backend} {case}: it was the reference at first");
            assert_eq!(with_status(&records, "rejected"), [name(0)], "{backend} {case}: {}", run.out);
            assert!(run.out.contains("7 stacked, 1 rejected"), "{backend} {case}: {}", run.out);
            assert!(run.err.contains("the stack begins again"), "{backend} {case}: {}", run.err);
            assert!(reason(&records, 0).len() > 10, "{backend} {case}");
            let errors = night.errors();
            assert!(errors.len() == 7 && worst(&errors) <= WORST, "{backend} {case}: {errors:.4?}");
            let without = (1..8).map(|k| format!("input/{}", name(k))).collect::<Vec<_>>().join(" ");
            night.stack(backend, &format!("-o without {without}"));
            let same = night.place.bytes("output/ADDCOMP.png") == night.place.bytes("without/ADDCOMP.png");
            assert!(same, "{backend} {case}: the picture is not that of a run without it");
        }
    }
}

/// Promise: a good first frame is never replaced: a bad frame after it, or one of another field, is the bad one.
#[test]
fn a_good_first_frame_stays() {
    let (sky, maps) = (sky(), drift(5, SIZE, 93));
    for (case, second, shot) in bad_first(maps[1]) {
        let mut night = Night::of(&sky, &maps);
        night.shoot(1, &second, &Shot { k: 1, ..shot });
        for backend in backends() {
            let run = night.stack(backend, "");
            let records = night.records();
            assert_eq!(with_status(&records, "rejected"), [name(1)], "{backend} {case}: {}", run.out);
            assert!(!run.err.contains("begins again"), "{backend} {case}: {}", run.err);
            assert_eq!(night.place.records("output").len(), 5, "{backend} {case}");
        }
    }
}

/// Promise: when the reference is replaced twice, every file is decided in the end: its last record is of this stack's
/// reference, and the counts add up.
#[test]
fn nothing_is_lost_when_the_reference_is_replaced_twice() {
    let (sky, maps) = (sky(), drift(9, SIZE, 95));
    let blurs = [2.7, 1.0, 2.2, 1.65, 1.0, 1.0, 1.0, 1.0, 1.0];
    let mut night = Night::new(SIZE);
    for (k, (map, blur)) in maps.iter().zip(blurs).enumerate() {
        night.shoot(k, &sky, &Shot { blur, ..Shot::new(*map, k as u64) });
    }
    for backend in backends() {
        let run = night.stack(backend, "");
        let records = night.records();
        let (stacked, rejected) = (with_status(&records, "stacked"), with_status(&records, "rejected"));
        assert_eq!(stacked.len() + rejected.len(), maps.len(), "{backend}");
        let line = format!("{} stacked, {} rejected", stacked.len(), rejected.len());
        assert!(run.out.contains(&line), "{backend}: {line}: {}", run.out);
        let first = records.iter().find(|r| r["status"] == "stacked").expect("a stacked frame");
        for r in records.iter().filter(|r| r["status"] == "stacked") {
            assert_eq!(r["reference"], first["file"], "{backend}: {r}");
        }
        assert!(
            rejected.iter().any(|n| *n == name(0)),
            "{backend}: the first frame is the worst: {rejected:?}"
        );
    }
}
