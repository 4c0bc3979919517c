//! What the motion of a night does to alignment: turning fields, bumped mounts, flips, long drifts, few stars, the Moon.
//!
//! Bounds are those measured (CPU and lavapipe agree to the last digit shown) and a third to a half more.

mod common;

use common::backends;
use common::geometry::{IDENTITY, Map, compose, shift, worst};
use common::night::{Moon, Night, Shot, drift, of, turned};
use common::sky::{Rng, Sky, eight};
use serde_json::Value;

/// Asserts that all frames are stacked and none is further off than `most` px.
#[track_caller]
fn all_within(night: &Night, case: &str, frames: usize, most: f64) -> Vec<Value> {
    let records = night.records();
    let errors = night.errors_of(&records);
    assert_eq!(errors.len(), frames, "{case}: every frame is stacked: {records:#?}");
    assert!(worst(&errors) <= most, "{case}: {errors:.4?}");
    records
}

/// Whether the check of [`all_within`] sees a truth that is off by twice the bound.
fn sees(night: &mut Night, maps: &[Map], k: usize, most: f64) -> bool {
    night.note(&common::night::name(k), &compose(&shift(1.6 * most, -1.2 * most), &maps[k]));
    let seen = worst(&night.errors()) > most;
    night.note(&common::night::name(k), &maps[k]);
    seen
}

/// Promise: a field that turns by 2 degrees a frame, by 1 degree more or less at random, is stacked whole and aligned
/// over the overlap. Control: a truth that is off fails the check.
#[test]
fn a_turning_field_is_stacked() {
    const WORST: f64 = 0.01;
    let size = (900, 600);
    let mut rng = Rng::new(3);
    let mut degrees = 0.0;
    let maps: Vec<Map> = (0..13)
        .map(|k| {
            degrees += if k > 0 { 2.0 + rng.within(-1.0, 1.0) } else { 0.0 };
            let (dx, dy) = (rng.within(-2.0, 2.0), rng.within(-2.0, 2.0));
            if k == 0 { IDENTITY } else { turned(degrees, dx, dy, size) }
        })
        .collect();
    let mut night = Night::of(&Sky::new(size, 300, 51), &maps);
    for backend in backends() {
        night.stack(backend, "");
        all_within(&night, &format!("turning {backend}"), maps.len(), WORST);
        assert!(sees(&mut night, &maps, 6, WORST), "{backend}: the check is blind");
    }
}

/// Promise: a bumped mount (a jump by up to 20 % of the frame) is found by asterisms, the frame after it by prediction;
/// all are stacked. Control: a truth that is off fails the check.
#[test]
fn jumps_are_found() {
    jumps_are_found_at(&[(3, 180.3, -120.6), (5, -203.7, 52.1), (7, 45.2, 118.9)]);
}

/// Promise: the same where the mount is bumped right at the start.
#[test]
fn an_early_jump_is_found() {
    jumps_are_found_at(&[(2, 180.3, -120.6)]);
}

/// Asserts the promise for jumps at these frames, by so many px.
fn jumps_are_found_at(jumps: &[(usize, f64, f64)]) {
    const WORST: f64 = 0.01;
    let size = (900, 600);
    let (mut x, mut y) = (0.0, 0.0);
    let maps: Vec<Map> = (0..9)
        .map(|k| {
            let jump = jumps.iter().find(|j| j.0 == k).map_or((1.3, -0.7), |j| (j.1, j.2));
            (x, y) = if k == 0 { (0.0, 0.0) } else { (x + jump.0, y + jump.1) };
            shift(x, y)
        })
        .collect();
    let mut night = Night::of(&Sky::new(size, 300, 52), &maps);
    for backend in backends() {
        night.stack(backend, "");
        let records = all_within(&night, &format!("jumps {backend}"), maps.len(), WORST);
        for &(k, ..) in jumps {
            assert_eq!(of(&records, k)["start"], "asterisms", "{backend}: frame {k}");
            assert_eq!(of(&records, k + 1)["start"], "predicted", "{backend}: frame {} after a jump", k + 1);
        }
        assert!(sees(&mut night, &maps, 4, WORST), "{backend}: the check is blind");
    }
}

/// Promise: after a meridian flip (180 degrees and some px) the night goes on in the same stack.
#[test]
fn a_meridian_flip_is_found() {
    const WORST: f64 = 0.012;
    let size = (600, 400);
    let maps: Vec<Map> = (0..8)
        .map(|k| {
            let (dx, dy) = (1.2 * f64::from(k), -0.6 * f64::from(k));
            if k < 4 { shift(dx, dy) } else { turned(180.3, 14.0 - dx, 9.0 - dy, size) }
        })
        .collect();
    let mut night = Night::of(&Sky::new(size, 200, 53), &maps);
    for backend in backends() {
        night.stack(backend, "");
        let records = all_within(&night, &format!("flip {backend}"), maps.len(), WORST);
        assert_eq!(of(&records, 4)["start"], "asterisms", "{backend}");
        for k in [1, 2, 3, 5, 6, 7] {
            assert_eq!(of(&records, k)["start"], "predicted", "{backend}: frame {k}");
        }
        assert!(sees(&mut night, &maps, 5, WORST), "{backend}: the check is blind");
    }
}

/// Promise: errors do not grow over a night: over 40 frames the mean error of the last eight is at most 1.5 times that
/// of the first eight, in both `--align-to` modes.
#[test]
fn errors_do_not_grow() {
    const GROWTH: f64 = 1.5;
    const WORST: f64 = 0.015;
    let size = (600, 400);
    let maps = drift(40, size, 60);
    let night = Night::of(&Sky::new(size, 200, 60), &maps);
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    for backend in backends() {
        for mode in ["previous", "first"] {
            let case = format!("drift {backend} {mode}");
            night.stack(backend, &format!("--align-to {mode}"));
            all_within(&night, &case, maps.len(), WORST);
            let errors = night.errors();
            // The reference has no error.
            let (early, late) = (mean(&errors[1..9]), mean(&errors[32..]));
            assert!(late <= GROWTH * early, "{case}: {early:.4} px, then {late:.4}");
        }
    }
}

/// Promise: with about twenty stars, and with some six, frames are stacked, with a model that so few stars carry.
/// Control: a rich field takes the homography.
#[test]
fn few_stars_lower_the_model() {
    let size = (600, 400);
    let maps = drift(6, size, 55);
    for (stars, seed, most) in [(200, 55, 0.012), (20, 56, 0.028), (6, 57, 0.045)] {
        let mut night = Night::of(&Sky::new(size, stars, seed), &maps);
        for backend in backends() {
            night.stack(backend, "");
            let records = all_within(&night, &format!("{stars} stars {backend}"), maps.len(), most);
            for record in &records[1..] {
                let full = record["model"] == "homography";
                assert_eq!(full, stars == 200, "{backend}, {stars} stars: {record}");
            }
            assert!(sees(&mut night, &maps, 3, most), "{backend}: the check is blind");
        }
    }
}

/// The Moon on frames of `size`, trembling by some px and turned by 180 degrees on the fourth frame.
fn moon(size: (usize, usize), seed: u64) -> (Night, Vec<Map>) {
    const TURNED: usize = 3;
    let moon = Moon::new(size, 300, seed);
    let mut rng = Rng::new(seed);
    let maps: Vec<Map> = (0..6)
        .map(|k| {
            let (dx, dy) = (rng.within(-5.0, 5.0), rng.within(-5.0, 5.0));
            if k == 0 { IDENTITY } else { turned(if k == TURNED { 180.0 } else { 0.0 }, dx, dy, size) }
        })
        .collect();
    let mut night = Night::new(size);
    for (k, map) in maps.iter().enumerate() {
        night.add(&common::night::name(k), &eight(&moon.light(map, k as u64)), map);
    }
    (night, maps)
}

/// Largest error of a Moon, px.
const PROMISED: f64 = 0.15;

/// Asserts that all frames are stacked, none further off than `most` px, from starts that need no stars.
fn moon_is_stacked(size: (usize, usize), seed: u64, most: f64) {
    let (mut night, maps) = moon(size, seed);
    for backend in backends() {
        night.stack(backend, "");
        let records = all_within(&night, &format!("moon {backend}"), maps.len(), most);
        for record in &records[1..] {
            let start = record["start"].as_str().expect("start");
            assert!(["predicted", "phase", "search"].contains(&start), "{backend}: {record}");
        }
        assert!(sees(&mut night, &maps, 2, most), "{backend}: the check is blind");
    }
}

/// Promise: the Moon, without any star, trembling by some px and turned by 180 degrees once, is stacked whole and
/// aligned over the whole frame, from starts that need no stars. Control: a truth that is off fails the check.
#[test]
fn the_moon_is_stacked() {
    moon_is_stacked((1200, 800), 58, 0.027);
}

/// Promise: the same of every Moon: none is stacked upside down, though the disc's edge alone would carry a fit.
#[test]
fn no_moon_is_stacked_upside_down() {
    for (size, seed) in [((900, 600), 58), ((1600, 1066), 2)] {
        moon_is_stacked(size, seed, PROMISED);
    }
}

/// Promise: the same where many craters are of one size.
#[test]
fn no_moon_is_a_star_field() {
    moon_is_stacked((900, 600), 1, PROMISED);
}

/// Promise: a satellite's trail does not cost the frame, nor move it or the others, whether the field is rich or poor.
#[test]
fn a_satellite_trail_moves_nothing() {
    let size = (600, 400);
    let maps = drift(6, size, 59);
    // Stars, the largest error, and what the trail may add to one, px.
    for (stars, most, adds) in [(200, 0.012, 0.001), (20, 0.024, 0.009)] {
        let sky = Sky::new(size, stars, 59);
        let mut night = Night::of(&sky, &maps);
        for backend in backends() {
            night.stack(backend, "");
            let without = night.errors();
            night.shoot(3, &sky, &Shot { trail: true, ..Shot::new(maps[3], 3) });
            night.stack(backend, "");
            let case = format!("trail, {stars} stars, {backend}");
            all_within(&night, &case, maps.len(), most);
            let with = night.errors();
            for (k, (with, without)) in with.iter().zip(&without).enumerate() {
                assert!(*with <= without + adds, "{case}: frame {k}: {without:.4} px, then {with:.4}");
            }
            assert_ne!(with, without, "{case}: no trail was drawn");
            night.shoot(3, &sky, &Shot::new(maps[3], 3));
        }
    }
}
