//! What a night does to frames, and the frames of a night in a folder, their truth beside them.

use super::geometry::{IDENTITY, Map, about_centre, apply, compose, inverse, rms_error, shift, similarity};
use super::picture::{Picture, write_png8};
use super::sky::{Rng, Sky, eight};
use super::{Place, Run, file};
use serde_json::Value;
use std::collections::HashMap;

/// Level that no sensor reaches.
const OVER: f32 = 400.0;
/// A satellite's line: where it enters on the left (share of the height), its slope, half its width (px), its level.
const TRAIL: (f64, f64, f64, f32) = (0.25, 0.4, 1.5, 180.0);

/// The conditions under which a frame was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    /// Pixels of the sky's frame to pixels of this frame.
    pub(crate) map: Map,
    /// Decides the noise.
    pub(crate) k: u64,
    /// Share of the stars' light that comes through.
    pub(crate) clear: f64,
    /// Factor on the FWHM; the light stays.
    pub(crate) blur: f64,
    /// How far the stars move during the exposure, px.
    pub(crate) smear: (f64, f64),
    /// Whether a satellite draws a line, 3 px wide, across the frame.
    pub(crate) trail: bool,
    /// Factor on stars and sky.
    pub(crate) gain: f32,
    /// Levels that the sky rises from the left edge to the right.
    pub(crate) ramp: f32,
    /// A square that is over white: first pixel (column and row alike) and side.
    pub(crate) clipped: Option<(usize, usize)>,
}

impl Shot {
    /// A clear night.
    pub(crate) fn new(map: Map, k: u64) -> Shot {
        Shot {
            map,
            k,
            clear: 1.0,
            blur: 1.0,
            smear: (0.0, 0.0),
            trail: false,
            gain: 1.0,
            ramp: 0.0,
            clipped: None,
        }
    }

    /// What the sky and the camera do to a frame whose stars are drawn.
    pub(crate) fn sky(&self, data: &mut [f32], (w, _): (usize, usize)) {
        let h = data.len() / (3 * w);
        let (enters, slope, half, level) = TRAIL;
        for (k, v) in data.iter_mut().enumerate() {
            let (x, y) = (k / 3 % w, k / 3 / w);
            *v += self.ramp * x as f32 / w as f32;
            let off = y as f64 - enters * h as f64 - slope * x as f64;
            if self.trail && off.abs() <= half * slope.hypot(1.0) {
                *v += level;
            }
            *v *= self.gain;
            if self
                .clipped
                .is_some_and(|(at, side)| (at..at + side).contains(&x) && (at..at + side).contains(&y))
            {
                *v = OVER;
            }
        }
    }
}

/// Frames in input/, and where each lies.
pub(crate) struct Night {
    pub(crate) place: Place,
    pub(crate) size: (usize, usize),
    truth: HashMap<String, Map>,
}

impl Night {
    pub(crate) fn new(size: (usize, usize)) -> Night {
        let place = Place::new();
        place.folder("input");
        Night { place, size, truth: HashMap::new() }
    }

    /// Clear frames of `sky` under `maps`.
    pub(crate) fn of(sky: &Sky, maps: &[Map]) -> Night {
        let mut night = Night::new(sky.size);
        for (k, map) in maps.iter().enumerate() {
            night.shoot(k, sky, &Shot::new(*map, k as u64));
        }
        night
    }

    /// Adds frame `k` of `sky`.
    pub(crate) fn shoot(&mut self, k: usize, sky: &Sky, shot: &Shot) {
        self.add(&name(k), &eight(&sky.shoot(shot)), &shot.map);
    }

    /// Adds a picture that lies under `map`.
    pub(crate) fn add(&mut self, name: &str, picture: &Picture<u8>, map: &Map) {
        write_png8(&self.place.path("input").join(name), picture);
        self.note(name, map);
    }

    /// Notes where a frame lies that is written otherwise.
    pub(crate) fn note(&mut self, name: &str, map: &Map) {
        self.truth.insert(name.to_owned(), *map);
    }

    /// Stacks them into `output/`.
    pub(crate) fn stack(&self, backend: &str, flags: &str) -> Run {
        self.place.stack_on(backend, &format!("--method addcomp {flags}")).exits(0)
    }

    /// What the run decided of each frame in the end, in the order of its decisions.
    pub(crate) fn records(&self) -> Vec<Value> {
        last(self.place.records("output"))
    }

    /// How far each stacked frame is from where it lies, px, in order.
    #[track_caller]
    pub(crate) fn errors(&self) -> Vec<f64> {
        self.errors_of(&self.records())
    }

    /// The same of `records`.
    #[track_caller]
    pub(crate) fn errors_of(&self, records: &[Value]) -> Vec<f64> {
        let error = |r: &Value| {
            let reference = r["reference"].as_str().and_then(|p| p.rsplit('/').next()).expect("reference");
            let want = compose(&self.truth[file(r)], &inverse(&self.truth[reference]));
            rms_error(&super::geometry::homography(r), &want, self.size)
        };
        records.iter().filter(|r| r["status"] == "stacked").map(error).collect()
    }
}

/// The name of frame `k` (from 0).
pub(crate) fn name(k: usize) -> String {
    format!("light_{:04}.png", k + 1)
}

/// The last record of each file.
pub(crate) fn last(records: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for record in records {
        out.retain(|r| r["file"] != record["file"]);
        out.push(record);
    }
    out
}

/// The record of frame `k`.
#[track_caller]
pub(crate) fn of(records: &[Value], k: usize) -> &Value {
    let name = name(k);
    records.iter().find(|r| file(r) == name).unwrap_or_else(|| panic!("no record of {name}"))
}

/// Why frame `k` was rejected; empty where it was stacked.
#[track_caller]
pub(crate) fn reason(records: &[Value], k: usize) -> &str {
    of(records, k)["reason"].as_str().unwrap_or_default()
}

/// Frames of a slow drift with a little unrest, turning slowly about the centre.
pub(crate) fn drift(count: usize, size: (usize, usize), seed: u64) -> Vec<Map> {
    let mut rng = Rng::new(seed);
    let mut map = |k: usize| {
        let t = k as f64;
        let (dx, dy) = (1.4 * t + rng.within(-0.6, 0.6), -0.8 * t + rng.within(-0.6, 0.6));
        if k == 0 { IDENTITY } else { about_centre(&similarity(0.02 * t, 1.0, dx, dy), size) }
    };
    (0..count).map(&mut map).collect()
}

/// A disc with craters and no stars.
pub(crate) struct Moon {
    size: (usize, usize),
    /// Place, standard deviation (px) and height (levels) of each.
    craters: Vec<(f64, f64, f64, f64)>,
    seed: u64,
}

/// Radius of the disc as a share of the frame's height.
const DISC: f64 = 0.38;
/// Width of its edge, px.
const EDGE: f64 = 1.5;
/// Levels of the disc without craters, and around it.
const DISC_LEVELS: (f64, f64) = (150.0, 6.0);
/// Widths of craters as shares of the disc's radius, and their most height or depth, levels.
const CRATERS: (f64, f64, f64) = (0.003, 0.042, 60.0);

impl Moon {
    pub(crate) fn new(size: (usize, usize), craters: usize, seed: u64) -> Moon {
        let mut rng = Rng::new(seed);
        let radius = DISC * size.1 as f64;
        let mut crater = || {
            let mut place = |side: usize| side as f64 / 2.0 + radius * rng.within(-1.0, 1.0);
            let (x, y) = (place(size.0), place(size.1));
            (x, y, radius * rng.within(CRATERS.0, CRATERS.1), rng.within(-CRATERS.2, CRATERS.2))
        };
        Moon { size, craters: (0..craters).map(|_| crater()).collect(), seed }
    }

    /// Frame `k` under a rigid `map`.
    pub(crate) fn light(&self, map: &Map, k: u64) -> Picture<f32> {
        let (w, h) = self.size;
        let mut disc = vec![0.0; w * h];
        for &(x, y, sigma, height) in &self.craters {
            blob(&mut disc, self.size, apply(map, x, y), sigma, height);
        }
        let centre = apply(map, w as f64 / 2.0, h as f64 / 2.0);
        let mut rng = Rng::new(self.seed ^ k.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let mut data = Vec::with_capacity(w * h * 3);
        for (k, crater) in disc.into_iter().enumerate() {
            let far = ((k % w) as f64 - centre.0).hypot((k / w) as f64 - centre.1);
            let inside = 1.0 / (1.0 + ((far - DISC * h as f64) / EDGE).exp());
            let level = DISC_LEVELS.1 + inside * (DISC_LEVELS.0 + crater).clamp(5.0, 249.0);
            data.extend([0; 3].map(|_| level as f32 + 2.0 * rng.normal()));
        }
        Picture::new(w, h, 3, data)
    }
}

/// Adds a Gaussian of this height around (`x`, `y`).
fn blob(plane: &mut [f64], (w, h): (usize, usize), (x, y): (f64, f64), sigma: f64, height: f64) {
    let reach = 5.0 * sigma;
    let span = |at: f64, side: usize| {
        (at - reach).clamp(0.0, side as f64) as usize..(at + reach + 1.0).clamp(0.0, side as f64) as usize
    };
    for py in span(y, h) {
        for px in span(x, w) {
            let d2 = (px as f64 - x).powi(2) + (py as f64 - y).powi(2);
            plane[py * w + px] += height * (-d2 / (2.0 * sigma * sigma)).exp();
        }
    }
}

/// A shift by `dx`, `dy` after a turn of `degrees` about the centre.
pub(crate) fn turned(degrees: f64, dx: f64, dy: f64, size: (usize, usize)) -> Map {
    compose(&shift(dx, dy), &about_centre(&similarity(degrees, 1.0, 0.0, 0.0), size))
}
