//! `kill -9` at random moments of a night whose frames keep arriving: the resumed stack is the uninterrupted one's, bit
//! for bit, no frame twice, none missing.
//!
//! Ten moments in the everyday run; the long one, a hundred moments and a frame every 0.2 s, is
//! `LIVESTACK_KILLS=100 cargo test --release --test kills -- --nocapture`.
#![cfg(unix)]

mod common;

use common::killed::{Cuts, FRAMES, each_once, left, live_through, same, scripts};
use common::sky::Rng;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Moments of the everyday run, and the time between its frames.
const EVERYDAY: (usize, Duration) = (10, Duration::from_millis(50));
/// Time between frames of the long run.
const PACE: Duration = Duration::from_millis(200);
/// Nights at once.
const NIGHTS: usize = 3;
/// Of a hundred kills so many hit a process at work.
const AT_WORK: usize = 80;
/// Chooses the moments; another one is taken from the environment.
const SEED: u64 = 20_261_122;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|e| panic!("{name}={v:?}: {e}")))
}

/// Promise: after a kill at any moment the session is taken up to the same end. Control: nights differ from one another.
#[test]
fn killed_at_random_moments() {
    let long = number("LIVESTACK_KILLS").map(|n| (n as usize, PACE));
    let (moments, pace) = long.unwrap_or(EVERYDAY);
    let seed = number("LIVESTACK_SEED").unwrap_or(SEED);
    let scripts = scripts();
    let whole: Vec<_> = scripts.iter().map(|s| s.uninterrupted()).collect();
    assert!(whole[1..].iter().all(|left| *left != whole[0]), "the nights are all the same");
    let (next, hits, kills) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let one = |k: usize| {
        let (script, want) = (&scripts[k % scripts.len()], &whole[k % scripts.len()]);
        let cuts = Cuts::random(&mut Rng::new(seed + k as u64), pace);
        let case = format!("night {k} ({}), seed {seed}, killed after {:?}", script.label, cuts.after);
        let (live, run, hit) = live_through(script, &cuts);
        hits.fetch_add(hit, Ordering::Relaxed);
        kills.fetch_add(cuts.after.len(), Ordering::Relaxed);
        let run = run.exits(0);
        let (stacked, rejected) = run.counts();
        assert_eq!(stacked + rejected, FRAMES, "{case}: {run:#?}");
        each_once(&live, FRAMES, &case);
        same(&left(&live), want, &case);
    };
    std::thread::scope(|scope| {
        for _ in 0..NIGHTS {
            scope.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= moments {
                        return;
                    }
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(k)));
                    if done.is_err() {
                        failed.lock().expect("nobody panics with it").push(k);
                    }
                }
            });
        }
    });
    let (hits, kills) = (hits.into_inner(), kills.into_inner());
    let _ = writeln!(std::io::stderr(), "{moments} nights, {kills} kills, {hits} of them at work");
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "nights {failed:?} of seed {seed} differ");
    assert!(hits * 100 >= kills * AT_WORK, "only {hits} of {kills} kills hit a process at work");
}

/// Promise: frames that are stacked as they arrive give what they give as they lie: control for the comparison above.
#[test]
fn never_killed() {
    for script in scripts() {
        let cuts = Cuts { after: Vec::new(), pace: EVERYDAY.1 };
        let (live, run, _) = live_through(&script, &cuts);
        run.exits(0);
        each_once(&live, FRAMES, script.label);
        let whole = script.uninterrupted();
        script.is_seen_in(&whole);
        same(&left(&live), &whole, script.label);
    }
}
