//! Pairs of stars in two lists, and the map that fits them.

use super::ecc::Cholesky;
use super::motion::{MAX_PARAMS, Mat3, Model, apply, compose, shift};
use super::stars::Star;
use crate::error::Result;
use std::collections::HashMap;

/// Star `.0` of the first list is star `.1` of the second.
pub type Pair = (usize, usize);

/// Stars of one list by place.
pub struct Index<'a> {
    stars: &'a [Star],
    cell: f64,
    cells: HashMap<(i32, i32), Vec<usize>>,
}

impl<'a> Index<'a> {
    /// For searches within `radius`, px.
    #[must_use]
    pub fn new(stars: &'a [Star], radius: f64) -> Index<'a> {
        let mut cells: HashMap<(i32, i32), Vec<usize>> = HashMap::new();
        for (k, s) in stars.iter().enumerate() {
            cells.entry(key(s.x, s.y, radius)).or_default().push(k);
        }
        Index { stars, cell: radius, cells }
    }

    /// Stars within the radius of (`x`, `y`) with their distance, px.
    pub fn near(&self, x: f64, y: f64) -> impl Iterator<Item = (usize, f64)> + '_ {
        let (cx, cy) = key(x, y, self.cell);
        (cy - 1..=cy + 1)
            .flat_map(move |ky| (cx - 1..=cx + 1).map(move |kx| (kx, ky)))
            .filter_map(|k| self.cells.get(&k))
            .flatten()
            .map(move |&k| (k, (self.stars[k].x - x).hypot(self.stars[k].y - y)))
            .filter(|(_, d)| *d <= self.cell)
    }

    /// Pairs of `first` with the nearest star of this list under `map`, each star once.
    #[must_use]
    pub fn pairs(&self, first: &[Star], map: &Mat3) -> Vec<Pair> {
        let mut best: HashMap<usize, (usize, f64)> = HashMap::new();
        for (k, s) in first.iter().enumerate() {
            let (x, y) = apply(map, s.x, s.y);
            let Some((hit, d)) = self.near(x, y).min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            let held = best.entry(hit).or_insert((k, d));
            if d < held.1 {
                *held = (k, d);
            }
        }
        let mut pairs: Vec<Pair> = best.into_iter().map(|(hit, (k, _))| (k, hit)).collect();
        pairs.sort_unstable();
        pairs
    }
}

fn key(x: f64, y: f64, cell: f64) -> (i32, i32) {
    // Casts saturate: a place out of all proportion shares a cell with nobody.
    ((x / cell).floor() as i32, (y / cell).floor() as i32)
}

/// Steps of Gauss and Newton: the models are nearly linear.
const STEPS: usize = 4;
/// Residuals over this many times the median are left out.
const OUTLIER: f64 = 4.0;
/// Residuals under this are never left out, px.
const FLOOR: f64 = 0.1;

/// The map of `model` that fits `pairs` best, from `start`, in the sense of least squares without outliers.
///
/// # Errors
/// [`Error::Singular`](crate::error::Error::Singular) where the pairs do not determine it.
pub fn fit(model: &Model, start: &Mat3, first: &[Star], second: &[Star], pairs: &[Pair]) -> Result<Mat3> {
    let n = model.motion.params();
    let mut p = model.params(start);
    for _ in 0..STEPS {
        let map = model.map(&p);
        let residual = |&(a, b): &Pair| {
            let (x, y) = apply(&map, first[a].x, first[a].y);
            (second[b].x - x, second[b].y - y)
        };
        let mut sizes: Vec<f32> = pairs.iter().map(residual).map(|(x, y)| x.hypot(y) as f32).collect();
        let limit = (OUTLIER * f64::from(super::background::median(&mut sizes))).max(FLOOR);
        let mut normal = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        let mut right = [0.0; MAX_PARAMS];
        for pair in pairs {
            let (rx, ry) = residual(pair);
            if rx.hypot(ry) > limit {
                continue;
            }
            let j = model.jacobian(&p, first[pair.0].x, first[pair.0].y);
            for r in 0..n {
                right[r] += j[0][r] * rx + j[1][r] * ry;
                for c in 0..n {
                    normal[r][c] += j[0][r] * j[0][c] + j[1][r] * j[1][c];
                }
            }
        }
        let step = Cholesky::new(&normal, n)?.solve(&right);
        for (v, d) in p.iter_mut().zip(step) {
            *v += d;
        }
    }
    Ok(model.map(&p))
}

/// Radius within which a predicted star is looked for, px.
const REACH: f64 = 32.0;
/// Side of a cell of the vote for the shift, px.
const VOTE: f64 = 4.0;

/// `map`, first list to second, shifted so that most stars meet: by up to 32 px. The number of stars that voted
/// for it comes along.
#[must_use]
pub fn shifted(first: &[Star], second: &[Star], map: &Mat3) -> Option<(Mat3, usize)> {
    let index = Index::new(second, REACH);
    let mut offsets = Vec::new();
    for s in first {
        let (x, y) = apply(map, s.x, s.y);
        offsets.extend(index.near(x, y).map(|(k, _)| (second[k].x - x, second[k].y - y)));
    }
    let mut votes: HashMap<(i32, i32), usize> = HashMap::new();
    for &(dx, dy) in &offsets {
        *votes.entry(key(dx, dy, VOTE)).or_default() += 1;
    }
    let around = |&(x, y): &(i32, i32)| -> usize {
        (y - 1..=y + 1).flat_map(|b| (x - 1..=x + 1).map(move |a| (a, b))).filter_map(|k| votes.get(&k)).sum()
    };
    let best = *votes.keys().max_by_key(|k| (around(k), **k))?;
    let near: Vec<&(f64, f64)> = offsets
        .iter()
        .filter(|(dx, dy)| {
            let (x, y) = key(*dx, *dy, VOTE);
            x.abs_diff(best.0) <= 1 && y.abs_diff(best.1) <= 1
        })
        .collect();
    let middle = |f: fn(&(f64, f64)) -> f64| {
        let mut v: Vec<f32> = near.iter().map(|o| f(o) as f32).collect();
        f64::from(super::background::median(&mut v))
    };
    Some((compose(&shift(middle(|o| o.0), middle(|o| o.1)), map), near.len()))
}
