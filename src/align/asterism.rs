//! Asterisms: the map between two star lists from nothing but their geometry: any shift, any rotation, a change of
//! scale.
//!
//! Triangles of the brightest stars are compared by the ratios of their sides, which shift, rotation and scale leave
//! alone; each pair of like triangles votes for the map that it implies. Source: Groth, AJ 91, 1986; Valdes et al.,
//! PASP 107, 1995.

use super::motion::{IDENTITY, Mat3, Model, Motion, apply};
use super::pairs::{Index, Pair, fit};
use super::stars::Star;
use std::collections::HashMap;

/// Brightest stars of each list that make triangles: with 30 % overlap a dozen of them are the same.
const BRIGHTEST: usize = 40;
/// The longest side of a triangle is at least this share of the frame's diagonal: short ones have inaccurate ratios.
const LEAST_SIDE: f64 = 0.04;
/// The shortest side over the longest, at least: others are nearly lines.
const LEAST_RATIO: f64 = 0.1;
/// Ratios of one triangle seen twice differ by less than this.
const RATIO: f64 = 0.01;
/// Most that the scale may differ from 1, as a factor.
const SCALE: f64 = 1.3;
/// Cells of the vote: radians, natural logarithm of the scale, and share of the frame's diagonal.
const CELL: (f64, f64, f64) = (0.03, 0.03, 0.03);
/// Maps with the most votes that are tried on all stars.
const TRIED: usize = 24;
/// Radii, px, within which stars must meet, first to last.
const RADII: [f64; 4] = [8.0, 5.0, 3.0, 2.0];
/// Stars that must meet, at least.
pub const LEAST: usize = 3;
/// Pairs that a similarity needs, an affine map, a homography; with fewer a Euclidean map is fitted.
const ENOUGH: [(Motion, usize); 3] =
    [(Motion::Homography, 40), (Motion::Affine, 20), (Motion::Similarity, 6)];

/// Two lists of stars on each other.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// First list's px to second list's.
    pub map: Mat3,
    /// The stars that meet.
    pub pairs: Vec<Pair>,
    /// The smaller of the numbers of stars that lie where both frames look.
    pub common: usize,
}

/// A triangle: its corners opposite to the longest, the middle and the shortest side, and its invariants.
struct Triangle {
    corners: [usize; 3],
    middle: f64,
    short: f64,
    longest: f64,
    right_handed: bool,
}

/// The map from `first` to `second` (both by flux, brightest first) of frames of size `(width, height)`; `None` where
/// no three stars meet.
#[must_use]
pub fn find(first: &[Star], second: &[Star], size: (usize, usize), motion: Motion) -> Option<Meeting> {
    let diagonal = (size.0 as f64).hypot(size.1 as f64);
    let (a, b) = (&first[..first.len().min(BRIGHTEST)], &second[..second.len().min(BRIGHTEST)]);
    let mut sky: HashMap<(i32, i32), Vec<Triangle>> = HashMap::new();
    let cell = |v: f64| (v / RATIO).floor() as i32;
    for t in triangles(a, diagonal) {
        sky.entry((cell(t.middle), cell(t.short))).or_default().push(t);
    }
    let mut votes: HashMap<[i32; 4], (usize, Mat3)> = HashMap::new();
    for t in triangles(b, diagonal) {
        let (m, s) = (cell(t.middle), cell(t.short));
        let near = (m - 1..=m + 1).flat_map(|m| (s - 1..=s + 1).map(move |s| (m, s)));
        for like in near.filter_map(|k| sky.get(&k)).flatten() {
            let close = (like.middle - t.middle).abs() < RATIO && (like.short - t.short).abs() < RATIO;
            let scale = t.longest / like.longest;
            if !close || like.right_handed != t.right_handed || !(1.0 / SCALE..=SCALE).contains(&scale) {
                continue;
            }
            let map = two_points(a, b, like, &t);
            let (angle, scale) = (map[3].atan2(map[0]), map[0].hypot(map[3]).ln());
            let centre = apply(&map, size.0 as f64 / 2.0, size.1 as f64 / 2.0);
            let shift = CELL.2 * diagonal;
            let at = [angle / CELL.0, scale / CELL.1, centre.0 / shift, centre.1 / shift]
                .map(|v| v.round() as i32);
            votes.entry(at).or_insert((0, map)).0 += 1;
        }
    }
    let mut ranked: Vec<_> = votes.into_iter().collect();
    ranked.sort_by_key(|(at, (count, _))| (std::cmp::Reverse(*count), *at));
    let meetings =
        ranked.iter().take(TRIED).filter_map(|(_, (_, map))| meet(first, second, map, size, motion));
    meetings.max_by_key(|m| m.pairs.len())
}

/// All triangles of `stars` that are worth comparing.
fn triangles(stars: &[Star], diagonal: f64) -> Vec<Triangle> {
    let side = |a: usize, b: usize| (stars[a].x - stars[b].x).hypot(stars[a].y - stars[b].y);
    let mut out = Vec::new();
    for i in 0..stars.len() {
        for j in 0..i {
            for k in 0..j {
                // Each side with the corner that it does not touch.
                let mut sides = [(side(j, k), i), (side(i, k), j), (side(i, j), k)];
                sides.sort_by(|a, b| b.0.total_cmp(&a.0));
                let [(longest, c0), (middle, c1), (shortest, c2)] = sides;
                if longest < LEAST_SIDE * diagonal || shortest < LEAST_RATIO * longest {
                    continue;
                }
                let (p, q, r) = (&stars[c0], &stars[c1], &stars[c2]);
                let cross = (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
                out.push(Triangle {
                    corners: [c0, c1, c2],
                    middle: middle / longest,
                    short: shortest / longest,
                    longest,
                    right_handed: cross > 0.0,
                });
            }
        }
    }
    out
}

/// The similarity that puts the longest side of `from` on that of `to`.
fn two_points(a: &[Star], b: &[Star], from: &Triangle, to: &Triangle) -> Mat3 {
    let (p, q) = (&a[from.corners[1]], &a[from.corners[2]]);
    let (u, v) = (&b[to.corners[1]], &b[to.corners[2]]);
    let (dx, dy, du, dv) = (q.x - p.x, q.y - p.y, v.x - u.x, v.y - u.y);
    let square = dx * dx + dy * dy;
    let (c, s) = ((dx * du + dy * dv) / square, (dx * dv - dy * du) / square);
    [c, -s, u.x - c * p.x + s * p.y, s, c, u.y - s * p.x - c * p.y, 0.0, 0.0, 1.0]
}

/// Brings `first` onto `second` from a `start` that is right to some pixels; `None` where fewer than three stars meet.
#[must_use]
pub fn meet(
    first: &[Star],
    second: &[Star],
    start: &Mat3,
    size: (usize, usize),
    motion: Motion,
) -> Option<Meeting> {
    let mut map = *start;
    let mut pairs = Vec::new();
    for (round, radius) in RADII.into_iter().enumerate() {
        pairs = Index::new(second, radius).pairs(first, &map);
        if pairs.len() < LEAST {
            return None;
        }
        // The first rounds are about finding the stars: a stiff map does not follow a chance pair.
        let most = if round < 2 { motion.min(Motion::Similarity) } else { motion };
        let model = Model::new(lowered(most, pairs.len()), size.0, size.1);
        map = fit(&model, &map, first, second, &pairs).ok()?;
    }
    let common = visible(first, &map, size).min(visible(second, &inverse_of(&map), size));
    Some(Meeting { map, pairs, common })
}

/// The model that so many pairs carry.
fn lowered(motion: Motion, pairs: usize) -> Motion {
    let carried = ENOUGH.iter().find(|(_, n)| pairs >= *n).map_or(Motion::Euclidean, |(m, _)| *m);
    motion.min(carried)
}

fn inverse_of(map: &Mat3) -> Mat3 {
    super::motion::inverse(map).unwrap_or(IDENTITY)
}

/// Stars of `list` that `map` puts into the frame.
fn visible(list: &[Star], map: &Mat3, (width, height): (usize, usize)) -> usize {
    let inside = |s: &&Star| {
        let (u, v) = apply(map, s.x, s.y);
        (0.0..width as f64).contains(&u) && (0.0..height as f64).contains(&v)
    };
    list.iter().filter(inside).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::motion::{compose, inverse, shift};

    /// Stars strewn by `seed` over 3000 x 2000 px.
    fn field(mut seed: u64, count: usize) -> Vec<Star> {
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 40) as f64 / (1_u64 << 24) as f64
        };
        let mut stars: Vec<Star> = (0..count)
            .map(|_| Star {
                x: 3000.0 * next(),
                y: 2000.0 * next(),
                flux: 100.0 / (0.01 + next()),
                snr: 50.0,
                fwhm: 3.0,
                elongation: 1.0,
                angle: 0.0,
                peak: 9000.0,
            })
            .collect();
        stars.sort_by(|a, b| b.flux.total_cmp(&a.flux));
        stars
    }

    /// The same stars under `map`, those that stay in the frame, with errors and other brightnesses.
    fn seen(stars: &[Star], map: &Mat3) -> Vec<Star> {
        let mut out: Vec<Star> = stars
            .iter()
            .enumerate()
            .map(|(k, s)| {
                let (x, y) = apply(map, s.x, s.y);
                let off = |n: usize| ((k * n % 17) as f64 - 8.0) / 80.0;
                Star { x: x + off(5), y: y + off(7), flux: s.flux * (1.0 + 2.0 * off(11)), ..*s }
            })
            .filter(|s| (0.0..3000.0).contains(&s.x) && (0.0..2000.0).contains(&s.y))
            .collect();
        out.sort_by(|a, b| b.flux.total_cmp(&a.flux));
        out
    }

    fn turned(degrees: f64, scale: f64, dx: f64, dy: f64) -> Mat3 {
        let (s, c) = degrees.to_radians().sin_cos();
        let turn = [scale * c, -scale * s, 0.0, scale * s, scale * c, 0.0, 0.0, 0.0, 1.0];
        compose(&shift(1500.0 + dx, 1000.0 + dy), &compose(&turn, &shift(-1500.0, -1000.0)))
    }

    #[test]
    fn finds_any_rotation_shift_and_a_change_of_scale() {
        for count in [12, 60, 600] {
            let stars = field(count as u64, count);
            for (degrees, scale, dx, dy) in [
                (180.0, 1.0, 12.0, -5.0),
                (90.0, 1.0, 0.0, 0.0),
                (-37.0, 1.08, 150.0, 90.0),
                (0.0, 1.0, 1200.0, 300.0),
            ] {
                let truth = turned(degrees, scale, dx, dy);
                let other = seen(&stars, &truth);
                let found = find(&stars, &other, (3000, 2000), Motion::Homography);
                let Some(found) = found else { panic!("{count} stars, {degrees} degrees: nothing found") };
                let off = compose(&found.map, &inverse(&truth).expect("regular"));
                let (x, y) = apply(&off, 1500.0, 1000.0);
                assert!((x - 1500.0).hypot(y - 1000.0) < 0.3, "{count} stars, {degrees} degrees: {off:?}");
                assert!(found.pairs.len() * 10 >= found.common * 9, "{count}: {}", found.pairs.len());
            }
        }
    }

    #[test]
    fn other_fields_and_mirrored_ones_do_not_meet() {
        let stars = field(1, 200);
        let mirrored = seen(&stars, &[-1.0, 0.0, 3000.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        for other in [field(2, 200), mirrored] {
            let found = find(&stars, &other, (3000, 2000), Motion::Homography);
            let share = found.map_or(0.0, |m| m.pairs.len() as f64 / m.common.max(1) as f64);
            assert!(share < 0.2, "{share}");
        }
    }
}
