//! Frames without darks from a sensor whose hot pixels the camera has spread over their neighbours.

mod common;

use common::backends;
use common::geometry::{Map, worst};
use common::night::{Night, Shot, drift};
use common::sky::{Rng, Sky, eight};

const SIZE: (usize, usize) = (600, 400);
/// Accuracy at this size with 60 stars, px.
const WORST: f64 = 0.06;

/// A night of `stars` stars under `maps`, with `blobs` spots of 3x3 px that stand still on the sensor and are as bright as
/// stars.
fn night(stars: usize, blobs: usize, maps: &[Map]) -> Night {
    let sky = Sky::new(SIZE, stars, 33);
    let mut rng = Rng::new(34);
    let spots: Vec<(usize, usize, f32)> = (0..blobs)
        .map(|_| (20 + rng.below(SIZE.0 - 40), 20 + rng.below(SIZE.1 - 40), rng.within(30.0, 140.0) as f32))
        .collect();
    let mut night = Night::new(SIZE);
    for (k, map) in maps.iter().enumerate() {
        let mut frame = sky.shoot(&Shot::new(*map, k as u64));
        for &(x, y, level) in &spots {
            for (dx, dy) in (0..9).map(|n| (n % 3, n / 3)) {
                // The camera's own smoothing: a core and its skirts.
                let share = if (dx, dy) == (1, 1) { 1.0 } else { 0.5 };
                for c in 0..3 {
                    frame.data[((y + dy) * SIZE.0 + x + dx) * 3 + c] += share * level;
                }
            }
        }
        night.add(&common::night::name(k), &eight(&frame), map);
    }
    night
}

/// Promise: spots that stand still on the sensor, more than there are stars, do not hold the frames: all are
/// stacked where their stars are. Control: the same check sees the frames' motion, so that a run that followed the
/// spots would fail.
#[test]
fn hot_spots_do_not_hold_the_frames() {
    let maps: Vec<Map> = drift(8, SIZE, 35)
        .iter()
        .enumerate()
        .map(|(k, m)| common::geometry::compose(&common::geometry::shift(2.5 * k as f64, -1.5 * k as f64), m))
        .collect();
    let night = night(60, 110, &maps);
    for backend in backends() {
        night.stack(backend, "");
        let errors = night.errors();
        assert!(errors.len() == maps.len() && worst(&errors) <= WORST, "{backend}: {errors:.3?}");
        night.place.stack_on(backend, "--method addcomp --no-align -o still").exits(0);
        let held = night.errors_of(&night.place.records("still"));
        assert!(worst(&held) > 5.0, "{backend}: the check is blind: {held:.1?}");
    }
}
