//! How the CPU twin of `accumulate` resamples: bilinear, a block of a row at a time.
//!
//! Along a row the map is a quotient of linear functions. Where perspective is gentle, a parabola through three points of a
//! block equals it to [`BEND`] px, so that a pixel's fractions cost two products each; and where the map hardly turns, all
//! pixels between two whole-pixel crossings share one integer offset: there the four taps are four shifted, contiguous
//! pieces of two rows. This is the road of a tracked night, flips included. Other maps are computed pixel by pixel.

use super::accumulate::{AccumulateParams, FAR, Pose};
use bytemuck::Pod;

mod any;

use any::pixels;

/// Pixels that are warped together before the rules are applied: their buffers stay in the first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Pixels that are looked at together at the frame's edge, and on the road of any map.
const RUN: usize = 16;
/// What a block's parabola may be off the map, px: less than f32 leaves of a position in a large frame.
const BEND: f64 = 2e-7;
/// Furthest, px, that perspective may move a pixel of a frame on that road: beyond it the rounding of single precision, which
/// the shader has, shows in the difference.
const GENTLE: f64 = 4.0;
/// Shortest stretch with one whole-pixel offset that is worth its own loop, px.
const STRETCH: f64 = 10.0;

/// A sample of a plane as a level.
pub(super) trait Sample: Pod {
    fn value(self) -> f32;
}
impl Sample for u8 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}
impl Sample for u16 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}
impl Sample for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// One block of a row: the warped samples, levels, and 1 where the frame covers the pixel.
pub(super) struct Block {
    pub(super) warped: [f32; BLOCK],
    pub(super) seen: [f32; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        Block { warped: [0.0; BLOCK], seen: [0.0; BLOCK] }
    }
}

/// Which way a frame's rows are warped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Road {
    /// By stretches: the integer part moves one pixel along a row of the frame for each pixel (1: forwards, -1: backwards, as
    /// behind a flip).
    Rows(i32),
    /// Pixel by pixel.
    Pixels,
}

impl Road {
    /// For the `width` x `height` pixels of a stack.
    pub(super) fn new(pose: &Pose, width: u32, height: u32) -> Road {
        let turn = f64::from(pose.e00.abs().max(pose.e10.abs()));
        let (w, h) = (f64::from(width), f64::from(height));
        let p = f64::from(pose.p0).abs().max(f64::from(pose.p1).abs());
        // The third derivative of a position is 6 p0^2 over the squared denominator, times a scale of about 1; the
        // parabola through start, middle and end of n pixels is off by up to (n / 2)^3 / 15.6 times that.
        const SHARE: f64 = 2.0 * 6.0 / 15.6;
        let bend = (w.min(BLOCK as f64) / 2.0).powi(3) * p * p * SHARE;
        match (pose.r00, pose.r10) {
            (forth @ (1 | -1), 0)
                if turn * STRETCH <= 1.0 && bend <= BEND && p * w.max(h).powi(2) <= GENTLE =>
            {
                Road::Rows(forth)
            }
            _ => Road::Pixels,
        }
    }
}

/// Where a piece of a row lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// All of it inside the frame, a pixel to spare.
    Inside,
    /// None of it inside the frame.
    Outside,
    /// Across the edge, or near it.
    Edge,
}

/// A position in the frame, from exact parameters: whole pixels of the base, and the rest.
#[derive(Clone, Copy, Debug)]
struct Point {
    base: (i32, i32),
    rest: (f64, f64),
}

impl Point {
    /// Where (`x`, `y`) maps to, and the map's denominator there.
    #[inline(always)]
    fn of(pose: &Pose, x: i32, y: i32) -> (Point, f64) {
        let (bu, bv) = pose.base(x, y);
        let (fx, fy) = (f64::from(x), f64::from(y));
        let q = f64::from(pose.p0) * fx + f64::from(pose.p1) * fy;
        let w = 1.0 + q;
        let along = |e0: f32, e1: f32, f: f32, b: i32| {
            (f64::from(e0) * fx + f64::from(e1) * fy + f64::from(f) - f64::from(b) * q) / w
        };
        let rest = (along(pose.e00, pose.e01, pose.fu, bu), along(pose.e10, pose.e11, pose.fv, bv));
        (Point { base: (bu, bv), rest }, w)
    }

    /// The same; `None` near the map's horizon and far outside.
    #[inline(always)]
    fn clear(pose: &Pose, x: i32, y: i32) -> Option<Point> {
        /// The denominator of a map that is not near its horizon.
        const CLEAR: f64 = 0.25;
        let (point, w) = Point::of(pose, x, y);
        let far = f64::from(FAR);
        (w > CLEAR && point.rest.0.abs() < far && point.rest.1.abs() < far).then_some(point)
    }

    fn at(&self) -> (f64, f64) {
        (f64::from(self.base.0) + self.rest.0, f64::from(self.base.1) + self.rest.1)
    }
}

/// Where the `n` pixels from (`x`, `y`) on lie. A line maps to a line: with both ends inside, so is all between them.
#[inline(always)]
fn place(pose: &Pose, x: usize, y: i32, n: usize) -> Place {
    let ends = (Point::clear(pose, x as i32, y), Point::clear(pose, (x + n - 1) as i32, y));
    let (Some(first), Some(last)) = ends else { return Place::Edge };
    let ((u0, v0), (u1, v1)) = (first.at(), last.at());
    let inside = |a: f64, b: f64, size: u32| a.min(b) >= 1.0 && a.max(b) < f64::from(size) - 3.0;
    let outside = |a: f64, b: f64, size: u32| a.max(b) < -1.0 || a.min(b) > f64::from(size);
    let (w, h) = (pose.frame_width, pose.frame_height);
    if inside(u0, u1, w) && inside(v0, v1, h) {
        Place::Inside
    } else if outside(u0, u1, w) || outside(v0, v1, h) {
        Place::Outside
    } else {
        Place::Edge
    }
}

/// The first piece of the `n` pixels from (`x`, `y`) on: the longest, of all of them and their halves, that does not lie
/// across the frame's edge; or a short one that does.
#[inline(always)]
pub(super) fn piece(pose: &Pose, (x, y): (usize, i32), n: usize) -> (usize, Place) {
    let mut m = n;
    let mut at = place(pose, x, y, m);
    while at == Place::Edge && m > RUN {
        m = (m / 2).next_multiple_of(RUN);
        at = place(pose, x, y, m);
    }
    (m, at)
}

/// Fills `block` for `n` pixels of row `y` from column `x`: warped samples in levels, and `seen`.
#[inline(always)]
pub(super) fn warp<T: Sample>(
    p: &AccumulateParams,
    road: Road,
    plane: &[T],
    (x, y): (usize, i32),
    n: usize,
    block: &mut Block,
) {
    let Road::Rows(forth) = road else { return pixels(p, plane, (x, y), n, block) };
    let mut j = 0;
    while j < n {
        let (m, at) = piece(&p.pose, (x + j, y), n - j);
        let (warped, seen) = (&mut block.warped[j..j + m], &mut block.seen[j..j + m]);
        match at {
            Place::Inside => {
                inner(p, forth, plane, (x + j, y), warped);
                seen.fill(1.0);
            }
            Place::Outside => {
                warped.fill(0.0);
                seen.fill(0.0);
            }
            Place::Edge => edge(p, plane, (x + j, y), warped, seen),
        }
        j += m;
    }
}

/// Pixels at the frame's edge: each may be covered or not.
#[inline(always)]
fn edge<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    (x, y): (usize, i32),
    warped: &mut [f32],
    seen: &mut [f32],
) {
    for (k, (warped, seen)) in warped.iter_mut().zip(seen).enumerate() {
        let hit = p.pose.covered((x + k) as i32, y);
        *seen = if hit.is_some() { 1.0 } else { 0.0 };
        *warped = hit.map_or(0.0, |at| bilinear(p, plane, at) * p.unit + p.pedestal);
    }
}

/// A coordinate's rest along a piece of a row: c0 + c1 j + c2 j^2 at its pixel j, px.
#[derive(Clone, Copy, Debug)]
struct Parabola([f64; 3]);

impl Parabola {
    /// Through `a` at 0, `b` at `m` and `c` at `2 m`.
    #[inline(always)]
    fn through(a: f64, b: f64, c: f64, m: f64) -> Parabola {
        let bend = (c - 2.0 * b + a) / (2.0 * m * m);
        Parabola([a, (c - a) / (2.0 * m) - 2.0 * m * bend, bend])
    }

    #[inline(always)]
    fn at(&self, j: usize) -> f64 {
        let [c0, c1, c2] = self.0;
        let j = j as f64;
        c0 + j * (c1 + j * c2)
    }

    /// Its fraction from pixel `j` on, as a polynomial in the pixels from there.
    #[inline(always)]
    fn from(&self, j: usize, whole: f64) -> [f32; 3] {
        let [_, c1, c2] = self.0;
        [(self.at(j) - whole) as f32, (c1 + 2.0 * c2 * j as f64) as f32, c2 as f32]
    }

    /// The pixel in 1..n at which it turns round, if there is one.
    #[inline(always)]
    fn turn(&self, n: usize) -> Option<usize> {
        let [_, c1, c2] = self.0;
        let turn = (-c1 / (2.0 * c2)).ceil();
        (turn >= 1.0 && turn < n as f64).then_some(turn as usize)
    }

    /// The first pixel after `j`, at most `end`, whose whole part is not that of `j`; it must not turn round before.
    #[inline(always)]
    fn crossing(&self, j: usize, end: usize) -> usize {
        let whole = self.at(j).floor();
        if self.at(end - 1).floor() == whole {
            return end;
        }
        // It does lie between: where a straight line crosses, nearly always.
        let here = self.at(j);
        let slope = self.at(j + 1) - here;
        let goal = if slope > 0.0 { whole + 1.0 - here } else { whole - here };
        let guess = j + 1 + (goal / slope).clamp(0.0, (end - j) as f64) as usize;
        for next in [guess, guess - 1] {
            if next > j && next < end && self.at(next).floor() != whole && self.at(next - 1).floor() == whole
            {
                return next;
            }
        }
        let (mut same, mut other) = (j, end - 1);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.at(middle).floor() == whole { same = middle } else { other = middle }
        }
        other
    }
}

/// Pixels that all lie inside the frame.
#[inline(always)]
fn inner<T: Sample>(p: &AccumulateParams, forth: i32, plane: &[T], (x, y): (usize, i32), warped: &mut [f32]) {
    let (pose, n) = (&p.pose, warped.len());
    let middle = (n / 2).max(1);
    let [a, b, c] = [0, middle, 2 * middle].map(|j| Point::of(pose, (x + j) as i32, y).0);
    let m = middle as f64;
    let u = Parabola::through(a.rest.0, b.rest.0, c.rest.0, m);
    let v = Parabola::through(a.rest.1, b.rest.1, c.rest.1, m);
    let stride = p.stride as usize;
    let turns = [u.turn(n), v.turn(n)].map(|turn| turn.unwrap_or(n));
    let mut j = 0;
    while j < n {
        // Up to here both rise or fall.
        let end = turns.iter().copied().filter(|&turn| turn > j).min().unwrap_or(n);
        let next = u.crossing(j, end).min(v.crossing(j, end));
        let (ku, kv) = (u.at(j).floor(), v.at(j).floor());
        let fractions = (u.from(j, ku), v.from(j, kv));
        let first = a.base.0 + forth * j as i32 + ku as i32;
        let top = (a.base.1 + kv as i32) as usize * stride;
        let (len, levels) = (next - j, (p.unit, p.pedestal));
        let taps = |from: i32| [top, top + stride].map(|row| &plane[row + from as usize..][..len + 1]);
        let out = &mut warped[j..next];
        if forth > 0 {
            stretch(taps(first), fractions, (0.0, 1.0), levels, out);
        } else {
            // In the order of the taps, then turned round.
            let last = len as i32 - 1;
            stretch(taps(first - last), fractions, (last as f32, -1.0), levels, out);
            out.reverse();
        }
        j = next;
    }
}

/// Pixels with one offset: their taps are two pieces of two rows. The pixel of tap t is `start` + t `step`.
#[inline(always)]
fn stretch<T: Sample>(
    [upper, lower]: [&[T]; 2],
    (fu, fv): ([f32; 3], [f32; 3]),
    (start, step): (f32, f32),
    (unit, pedestal): (f32, f32),
    out: &mut [f32],
) {
    let n = out.len();
    let (a, b, c, d) = (&upper[..n], &upper[1..][..n], &lower[..n], &lower[1..][..n]);
    for t in 0..n {
        let k = start + step * t as i32 as f32;
        let value = lerp([a[t], b[t], c[t], d[t]].map(Sample::value), fraction(fu, k), fraction(fv, k));
        out[t] = value * unit + pedestal;
    }
}

/// A fraction at pixel `k` of a stretch.
#[inline(always)]
fn fraction([c0, c1, c2]: [f32; 3], k: f32) -> f32 {
    c0 + k * (c1 + k * c2)
}

/// Bilinear value between four taps.
#[inline(always)]
fn lerp([a, b, c, d]: [f32; 4], fu: f32, fv: f32) -> f32 {
    let (top, bottom) = (a + fu * (b - a), c + fu * (d - c));
    top + fv * (bottom - top)
}

/// Bilinear value, in plane units, at pixel (`u`, `v`) plus fraction; taps of weight 0 may lie outside.
#[inline(always)]
fn bilinear<T: Sample>(p: &AccumulateParams, plane: &[T], (u, v, fu, fv): (usize, usize, f32, f32)) -> f32 {
    let stride = p.stride as usize;
    let right = (u + 1).min(p.pose.frame_width as usize - 1);
    let low = (v + 1).min(p.pose.frame_height as usize - 1);
    let (a, b) = (plane[v * stride + u].value(), plane[v * stride + right].value());
    let (c, d) = (plane[low * stride + u].value(), plane[low * stride + right].value());
    lerp([a, b, c, d], fu, fv)
}
