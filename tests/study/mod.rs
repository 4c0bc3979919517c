//! The convergence study of the ECC paper (Evangelidis and Psarakis, IEEE PAMI 30(10), 2008), in the set-up of Baker and
//! Matthews (Lucas-Kanade 20 years on, IJCV 56(3), 2004), on an image of our own.
//!
//! The corners of a rectangle get Gaussian noise of `sigma` px; the homography through them is the truth, and the
//! reference is what the image shows under it. A solver starts from the rectangle where it was, half a px off, and
//! makes 15 updates. It has converged where the RMS error of the corners' coordinates is then at most 1 px.

#![allow(dead_code, reason = "the test and the bench use their own parts of this module")]

use crate::common::geometry::{Map, apply, median, shift};
use crate::common::sky::Rng;
use image::{BORDER, Condition, IMAGE, RECTANGLE, Scene};
use oracle::{Oracle, Sampling};
use ours::{Mistake, Ours};

pub(crate) mod image;
pub(crate) mod oracle;
pub(crate) mod ours;

/// Standard deviations of the corners' noise, px.
pub(crate) const SIGMAS: [f64; 5] = [2.0, 4.0, 6.0, 8.0, 10.0];
pub(crate) const CONDITIONS: [Condition; 4] =
    [Condition::Ideal, Condition::Formula, Condition::Photometric, Condition::Noisy];
/// Runs of a setting.
pub(crate) const RUNS: usize = 500;
/// Updates a run.
pub(crate) const UPDATES: usize = 15;
/// The start is the unperturbed rectangle and this, px: no solver is favoured by whole pixels.
const START: f64 = 0.5;
/// RMS error of a corner's coordinates, px, at which a run has converged.
const CONVERGED: f64 = 1.0;
/// The updates are over once no corner's coordinate moves further, px: what is left does not show.
const STILL: f64 = 1e-4;
/// Of the image and of the runs.
const SEED: u64 = 2008;

/// Something that aligns.
pub(crate) trait Solver {
    /// One update of the map (reference px to image px, last element 1); `None` where it gives up.
    fn step(&mut self, map: &Map) -> Option<Map>;
}

/// RMS error of the corners' coordinates after each update, px.
pub(crate) type Trace = [f64; UPDATES];

/// Which solver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours(Mistake),
    Oracle(Sampling),
}

/// The study's image.
pub(crate) fn scene() -> Scene {
    Scene::new(SEED)
}

fn corners() -> [(f64, f64); 4] {
    let (low, high) = (BORDER as f64, (BORDER + RECTANGLE - 1) as f64);
    [(low, low), (high, low), (low, high), (high, high)]
}

/// Where the rectangle lies in the image: reference px to image px.
fn home() -> f64 {
    (IMAGE - RECTANGLE) as f64 / 2.0 - BORDER as f64
}

/// The truth of run `k`: the same directions at every `sigma`.
pub(crate) fn truth(sigma: f64, k: usize) -> Map {
    let mut rng = Rng::new(SEED + 1 + k as u64);
    let mut normal = || {
        let (radius, angle) = (1.0 - rng.unit(), std::f64::consts::TAU * rng.unit());
        sigma * (-2.0 * radius.ln()).sqrt() * angle.cos()
    };
    // h00 x + h01 y + h02 - u (h20 x + h21 y) = u, and the same for v.
    let (mut m, mut b) = ([[0.0; 8]; 8], [0.0; 8]);
    for (k, (x, y)) in corners().into_iter().enumerate() {
        let (u, v) = (x + home() + normal(), y + home() + normal());
        m[2 * k] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y];
        m[2 * k + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y];
        (b[2 * k], b[2 * k + 1]) = (u, v);
    }
    let h = oracle::solve(&m, &b).expect("four corners in general position");
    std::array::from_fn(|k| if k < 8 { h[k] } else { 1.0 })
}

/// RMS and largest difference of the corners' coordinates under two maps, px.
fn apart(a: &Map, b: &Map) -> (f64, f64) {
    let differences = corners().map(|(x, y)| {
        let ((u, v), (tu, tv)) = (apply(a, x, y), apply(b, x, y));
        [u - tu, v - tv]
    });
    let all = differences.as_flattened();
    let rms = (all.iter().map(|d| d * d).sum::<f64>() / all.len() as f64).sqrt();
    (rms, all.iter().fold(0.0, |most, d| most.max(d.abs())))
}

fn trace(mut solver: impl Solver, truth: &Map) -> Trace {
    let mut trace = [f64::INFINITY; UPDATES];
    let mut map = shift(home() + START, home() + START);
    for k in 0..UPDATES {
        let Some(next) = solver.step(&map) else {
            // Who gives up has not converged, wherever it stands.
            trace[k..].fill(f64::INFINITY);
            break;
        };
        let moved = apart(&next, &map).1;
        map = next;
        trace[k..].fill(apart(&map, truth).0);
        if moved < STILL {
            break;
        }
    }
    trace
}

/// Run `k` of a setting on every side.
fn run(scene: &Scene, condition: Condition, sigma: f64, sides: &[Side], k: usize) -> Vec<Trace> {
    let truth = truth(sigma, k);
    let pair = scene.pair(&truth, condition, SEED ^ ((k as u64) << 32));
    let one = |side: &Side| match *side {
        Side::Ours(mistake) => trace(Ours::new(&pair, mistake).expect("memory"), &truth),
        Side::Oracle(sampling) => trace(Oracle::new(&pair, sampling), &truth),
    };
    sides.iter().map(one).collect()
}

/// All runs of a setting, on all cores: the traces of each side. A run has a pool of one thread: the planes are small,
/// and bands of them would only wait for each other.
pub(crate) fn runs(scene: &Scene, condition: Condition, sigma: f64, sides: &[Side]) -> Vec<Vec<Trace>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |first: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let one = |k| run(scene, condition, sigma, sides, k);
        pool.install(|| (first..RUNS).step_by(threads).map(one).collect::<Vec<_>>())
    };
    let all: Vec<Vec<Trace>> = std::thread::scope(|scope| {
        let part = &part;
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().flat_map(|p| p.join().expect("no run panics")).collect()
    });
    (0..sides.len()).map(|side| all.iter().map(|run| run[side]).collect()).collect()
}

fn converged(trace: &Trace) -> bool {
    trace[UPDATES - 1] <= CONVERGED
}

/// Percentage of converged runs.
pub(crate) fn poc(traces: &[Trace]) -> f64 {
    100.0 * traces.iter().filter(|t| converged(t)).count() as f64 / traces.len() as f64
}

/// Median error of the converged runs, px; infinite where there are none.
pub(crate) fn median_error(traces: &[Trace]) -> f64 {
    let errors: Vec<f64> = traces.iter().filter(|t| converged(t)).map(|t| t[UPDATES - 1]).collect();
    if errors.is_empty() { f64::INFINITY } else { median(&errors) }
}

/// Mean square error of each side after `updates`, dB of px^2, over the runs in which all sides converged.
pub(crate) fn msd(sides: &[Vec<Trace>], updates: usize) -> Vec<f64> {
    let common: Vec<usize> = (0..RUNS).filter(|&k| sides.iter().all(|s| converged(&s[k]))).collect();
    let mean =
        |s: &Vec<Trace>| common.iter().map(|&k| s[k][updates - 1].powi(2)).sum::<f64>() / common.len() as f64;
    sides.iter().map(|s| 10.0 * mean(s).log10()).collect()
}
