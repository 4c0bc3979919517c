//! How the field wanders over the sensor: drift, jitter, field rotation, and a trace of perspective.

use crate::rng::Rng;

/// A projective map in row-major order, points as columns.
pub(crate) type Map = [[f64; 3]; 3];

/// The map that moves nothing.
pub(crate) const IDENTITY: Map = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Mean drift from frame to frame in x and y, pixels: a polar axis slightly off.
const DRIFT_PX: [f64; 2] = [2.4, -1.3];

/// Spread of the steps in x and y, pixels: periodic error, wind.
const JITTER_PX: f64 = 2.5;

/// Mean and spread of the field rotation from frame to frame, degrees.
const ROTATION_DEG: [f64; 2] = [0.015, 0.004];

/// Spread of the perspective terms of a step, per pixel, at `PERSPECTIVE_WIDTH_PX`: differential refraction and
/// lens geometry, a hundredth of a pixel at the edge over the night.
const PERSPECTIVE: f64 = 2e-9;
const PERSPECTIVE_WIDTH_PX: f64 = 5472.0;

/// For each frame the map from pixels of frame 1 to its own, pixel centres on integers, `map[2][2] == 1`.
pub(crate) fn night(seed: u64, frames: usize, width: usize, height: usize) -> Vec<Map> {
    let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
    let to_centre = translation(-centre[0], -centre[1]);
    let from_centre = translation(centre[0], centre[1]);
    let mut map = IDENTITY;
    let mut maps = Vec::with_capacity(frames);
    for k in 0..frames {
        if k > 0 {
            let mut rng = Rng::new(seed, crate::purpose::MOTION, k as u64);
            let step = product(&step(&mut rng, width), &product(&to_centre, &map));
            map = normalised(&product(&from_centre, &step));
        }
        maps.push(map);
    }
    maps
}

/// The motion between two frames, about the frame's centre.
fn step(rng: &mut Rng, width: usize) -> Map {
    let angle = ROTATION_DEG[0] + ROTATION_DEG[1] * rng.normal();
    let (sin, cos) = libm::sincos(angle.to_radians());
    let dx = DRIFT_PX[0] + JITTER_PX * rng.normal();
    let dy = DRIFT_PX[1] + JITTER_PX * rng.normal();
    let spread = PERSPECTIVE * PERSPECTIVE_WIDTH_PX / width as f64;
    let perspective = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [spread * rng.normal(), spread * rng.normal(), 1.0]];
    product(&[[cos, -sin, dx], [sin, cos, dy], [0.0, 0.0, 1.0]], &perspective)
}

/// Where `map` sends `point`.
pub(crate) fn apply(map: &Map, [x, y]: [f64; 2]) -> [f64; 2] {
    let row = |r: usize| map[r][0] * x + map[r][1] * y + map[r][2];
    [row(0) / row(2), row(1) / row(2)]
}

/// The map back, by the adjugate (the scale of a projective map is free).
pub(crate) fn inverse(m: &Map) -> Map {
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    normalised(&std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r))))
}

fn translation(x: f64, y: f64) -> Map {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

fn product(a: &Map, b: &Map) -> Map {
    std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| a[r][k] * b[k][c]).sum()))
}

fn normalised(m: &Map) -> Map {
    m.map(|row| row.map(|value| value / m[2][2]))
}
