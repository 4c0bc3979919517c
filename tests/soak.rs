//! A long night: no frame lost, memory flat, no file descriptor left open.
//!
//! A hundred frames at twenty a second in the everyday run; the long one, of frames of 1 Mpix at five a second, is
//! `LIVESTACK_SOAK=2000 cargo test --release --test soak -- --nocapture`.
#![cfg(target_os = "linux")]

mod common;

use common::live::{DEADLINE, Live, descriptors, drop_in, proc_number, records, shot};
use common::night::Shot;
use common::picture::write_jpeg;
use common::sky::{Sky, eight};
use common::{file, geometry::shift};
use std::io::Write;
use std::time::{Duration, Instant};

/// Sides (px) and stars of the frames, time between two of them, and the share that memory may differ by between the
/// beginning and the end.
struct Night {
    count: usize,
    size: (usize, usize),
    stars: usize,
    pace: Duration,
    flat: f64,
}

/// Frames that differ; the mount goes there and back.
const DISTINCT: usize = 24;
/// Frames of the first and of the last part, that memory is compared of.
const PART: usize = 100;

fn night() -> Night {
    match std::env::var("LIVESTACK_SOAK") {
        Ok(count) => {
            let count = count.parse().unwrap_or_else(|e| panic!("LIVESTACK_SOAK={count:?}: {e}"));
            Night { count, size: (1216, 832), stars: 400, pace: Duration::from_millis(200), flat: 0.05 }
        }
        // So short a night is still finding its size: a leak of a frame a frame is many times as much.
        Err(_) => {
            Night { count: 100, size: (300, 200), stars: 60, pace: Duration::from_millis(50), flat: 0.25 }
        }
    }
}

fn frames(night: &Night) -> Vec<Vec<u8>> {
    let sky = Sky::new(night.size, night.stars, 3);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("frame.jpg");
    let frame = |k: usize| {
        let there = k.min(DISTINCT - k) as f64;
        let shot = Shot { map: shift(1.7 * there, -1.1 * there), ..shot(k) };
        write_jpeg(&path, &eight(&sky.shoot(&shot)), None);
        std::fs::read(&path).expect("the frame")
    };
    (0..DISTINCT).map(frame).collect()
}

/// What was seen of the process.
struct Sample {
    decided: usize,
    rss_kb: u64,
    descriptors: usize,
}

/// The median of what memory was while these frames were decided, kB.
fn median(samples: &[Sample], frames: std::ops::RangeInclusive<usize>) -> f64 {
    let mut all: Vec<u64> =
        samples.iter().filter(|s| frames.contains(&s.decided)).map(|s| s.rss_kb).collect();
    all.sort_unstable();
    *all.get(all.len() / 2).unwrap_or_else(|| panic!("no samples of frames {frames:?}")) as f64
}

/// Promise: none of the frames is lost, the order is that of their names, memory is flat, and as many descriptors are
/// open in the end as at the start.
#[test]
fn a_long_night() {
    let night = night();
    let Night { count, pace, .. } = night;
    let frames = frames(&night);
    let live = Live::new();
    let name = |k: usize| format!("light_{k:05}.jpg");
    let mut watch = live.watch("--method addcomp --publish-every 1s --checkpoint 5");
    let pid = watch.pid();
    let (mut samples, start) = (Vec::new(), Instant::now());
    let look = |samples: &mut Vec<Sample>| {
        let decided = records(&live.out).len();
        let rss_kb = proc_number(pid, "VmRSS").expect("it runs");
        samples.push(Sample { decided, rss_kb, descriptors: descriptors(pid) });
        decided
    };
    // Every frame of a short night, some of a long one: reading the records takes time too.
    let every = (count / PART).clamp(1, 5);
    for k in 0..count {
        while start.elapsed() < pace * k as u32 {
            std::thread::sleep(Duration::from_millis(2));
        }
        drop_in(&live.input, name(k), &frames[k % DISTINCT]);
        if k % every == 0 {
            look(&mut samples);
        }
    }
    let last = Instant::now();
    let mut late = 0;
    while look(&mut samples) < count {
        late += 1;
        assert!(watch.runs() && last.elapsed() < DEADLINE, "{}", watch.err());
        std::thread::sleep(pace);
    }
    // What was being written is done.
    std::thread::sleep(Duration::from_secs(2));
    look(&mut samples);
    let run = watch.stop().exits(0);
    assert_eq!(run.counts(), (count, 0), "{run:#?}");
    let got: Vec<_> = records(&live.out).iter().map(|r| file(r).to_owned()).collect();
    assert!(got == (0..count).map(name).collect::<Vec<_>>(), "{got:?}");
    // The first few frames bring the stack's memory with them.
    let part = PART.min(count / 4);
    let (first, end) = (median(&samples, part / 2..=part + part / 2), median(&samples, count - part..=count));
    let files: Vec<usize> = samples.iter().filter(|s| s.decided > 2).map(|s| s.descriptors).collect();
    let (before, after) = (files[0], files[files.len() - 1]);
    let text = format!(
        "{count} frames: memory {:.1} MB, then {:.1} MB; {before} descriptors, then {after}, {} at most; {late} looks late",
        first / 1e3,
        end / 1e3,
        files.iter().max().expect("samples")
    );
    let _ = writeln!(std::io::stderr(), "{text}");
    assert!((end / first - 1.0).abs() <= night.flat, "{text}");
    assert!(after <= before, "{text}");
}
