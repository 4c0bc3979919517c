//! How the CPU twin of `accumulate` resamples: bilinear, a block of a row at a time.
//!
//! Along a row the map is a quotient of linear functions. Where perspective is gentle, a parabola through three points of a
//! piece equals it to [`BEND`] px, so that a pixel's fractions cost two products each; and where the map hardly turns, all
//! pixels between two whole-pixel crossings share one integer offset: there the four taps are four shifted, contiguous
//! pieces of two rows. This is the road of a tracked night, flips included ([`rows`]). Where the field turns by some degrees,
//! [`RUN`] neighbours lie on two rows of pixels at most, and each chooses its own ([`slant`]). All other maps read each
//! pixel's taps by themselves ([`gather`]).

use super::accumulate::{AccumulateParams, FAR, Pose};
use bytemuck::Pod;

mod gather;
mod rows;
mod slant;
mod track;

use gather::gather;
use rows::rows;
use slant::slant;
use track::{Ahead, Track};

/// Pixels that are warped together before the rules are applied: their buffers stay in the first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Pixels that are computed together: a register of the widest instructions, two or four of others.
const RUN: usize = 16;
/// The places in a run.
const LANE: [f32; RUN] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
/// What a block's parabola may be off the map, px: less than f32 leaves of a position in a large frame.
const BEND: f64 = 2e-7;
/// Furthest, px, that perspective may move a pixel of a frame on that road: beyond it the rounding of single precision, which
/// the shader has, shows in the difference.
const GENTLE: f64 = 4.0;
/// Shortest stretch with one whole-pixel offset that is worth its own loop, px.
const STRETCH: f64 = 100.0;
/// A map that stretches a row by more than one pixel in so many has too few runs with one column offset.
const ALONG: f64 = 64.0;
/// A map that turns by less than one pixel in so many reads rows that the hardware fetches by itself.
const STEADY: f64 = 512.0;
/// A map that turns by more than one pixel in so many comes to each row of the frame in few steps.
const STEEP: f64 = 8.0;

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

/// One block of a row: the warped samples, levels, and 1 where the frame covers the pixel. Up to [`RUN`] more are written in
/// vain.
pub(super) struct Block {
    pub(super) warped: [f32; BLOCK + RUN],
    pub(super) seen: [f32; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        Block { warped: [0.0; BLOCK + RUN], seen: [0.0; BLOCK] }
    }
}

/// How the pixels of a frame's inside are warped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Road {
    way: Way,
    ahead: Ahead,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// By stretches: the integer part moves one pixel along a row of the frame for each pixel (back: against it, as behind a
    /// flip).
    Rows { back: bool },
    /// The same where the field turns: by runs that lie on two rows of pixels.
    Slant { back: bool },
    /// Pixel by pixel: the field turns by more, or perspective is strong.
    Pixels,
}

impl Road {
    /// For the `width` x `height` pixels of a stack.
    pub(super) fn new(pose: &Pose, width: u32, height: u32) -> Road {
        let stretch = f64::from(pose.e00.abs());
        let turn = stretch.max(f64::from(pose.e10.abs()));
        let (w, h) = (f64::from(width), f64::from(height));
        let p = f64::from(pose.p0).abs().max(f64::from(pose.p1).abs());
        // The third derivative of a position is 6 p0^2 over the squared denominator, times a scale of about 1; the
        // parabola through start, middle and end of n pixels is off by up to (n / 2)^3 / 15.6 times that.
        const SHARE: f64 = 2.0 * 6.0 / 15.6;
        let bend = (w.min(BLOCK as f64) / 2.0).powi(3) * p * p * SHARE;
        let gentle = bend <= BEND && p * w.max(h).powi(2) <= GENTLE;
        let back = pose.r00 < 0;
        let way = match (pose.r00, pose.r10) {
            (1 | -1, 0) if gentle && turn * STRETCH <= 1.0 => Way::Rows { back },
            (1 | -1, 0) if gentle && turn * RUN as f64 <= 1.0 && stretch * ALONG <= 1.0 => {
                Way::Slant { back }
            }
            _ => Way::Pixels,
        };
        // Perspective turns what lies far from the middle.
        let turn = turn + p * w.max(h);
        let ahead = match (pose.r00, pose.r10) {
            (1 | -1, 0) if turn * STEADY <= 1.0 => Ahead::Nothing,
            (1 | -1, 0) if turn * STEEP <= 1.0 => Ahead::Row { down: pose.r11 > 0 },
            _ => Ahead::Far,
        };
        Road { way, ahead }
    }

    /// Whether what a row of the stack reads lies in many rows of the frame: then it is better to go down a column of blocks
    /// than along the rows, since the caches keep what the next row reads.
    pub(super) fn turns(self) -> bool {
        self.ahead != Ahead::Nothing
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

/// A position along a side of the frame, px: from its start, or from its end.
#[derive(Clone, Copy)]
enum Limit {
    Start(f64),
    End(f64),
}

impl Limit {
    #[inline(always)]
    fn of(self, size: f64) -> f64 {
        match self {
            Limit::Start(px) => px,
            Limit::End(px) => size - px,
        }
    }
}

/// What lies between is inside, a pixel to spare.
const INSIDE: [Limit; 2] = [Limit::Start(1.0), Limit::End(3.0)];
/// What lies beyond is outside, a pixel to spare.
const OUTSIDE: [Limit; 2] = [Limit::Start(-1.0), Limit::End(0.0)];

/// Where what lies between the coordinates `a` and `b` lies along a side of `size` px.
#[inline(always)]
fn side(a: f64, b: f64, size: f64) -> Place {
    if a.min(b) >= INSIDE[0].of(size) && a.max(b) < INSIDE[1].of(size) {
        Place::Inside
    } else if a.max(b) < OUTSIDE[0].of(size) || a.min(b) > OUTSIDE[1].of(size) {
        Place::Outside
    } else {
        Place::Edge
    }
}

/// The same of one coordinate.
#[inline(always)]
fn zone(c: f64, size: f64) -> Place {
    side(c, c, size)
}

/// Where a line from (`u0`, `v0`) to (`u1`, `v1`) lies in a frame of `w` x `h` px.
#[inline(always)]
fn between((u0, v0): (f64, f64), (u1, v1): (f64, f64), (w, h): (f64, f64)) -> Place {
    match (side(u0, u1, w), side(v0, v1, h)) {
        (Place::Inside, Place::Inside) => Place::Inside,
        (Place::Outside, _) | (_, Place::Outside) => Place::Outside,
        _ => Place::Edge,
    }
}

/// The first piece of the `n` pixels from (`x`, `y`) on that does not lie across the frame's edge, about as long as can be; or a
/// short one that does. A line maps to a line: with both ends inside, so is all between them.
#[inline(always)]
pub(super) fn piece(pose: &Pose, (x, y): (usize, i32), n: usize) -> (usize, Place) {
    let short = n.min(RUN);
    let at = |k: usize| Point::clear(pose, (x + k) as i32, y).map(|point| point.at());
    let size = (f64::from(pose.frame_width), f64::from(pose.frame_height));
    let Some(first) = at(0) else { return (short, Place::Edge) };
    let mut m = n / 2;
    if let Some(last) = at(n - 1) {
        let place = between(first, last, size);
        if place != Place::Edge {
            return (n, place);
        }
        // Pixels until a coordinate that goes from a to b leaves its zone: along a straight line.
        let leaves = |a: f64, b: f64, size: f64| {
            let limits = match zone(a, size) {
                Place::Inside => INSIDE.map(|limit| limit.of(size)),
                Place::Outside => OUTSIDE.map(|limit| limit.of(size)),
                Place::Edge if a < size / 2.0 => [OUTSIDE[0].of(size), INSIDE[0].of(size)],
                Place::Edge => [INSIDE[1].of(size), OUTSIDE[1].of(size)],
            };
            let span = (n - 1) as f64;
            let pixels = limits.map(|limit| (limit - a) / (b - a) * span);
            pixels.into_iter().filter(|pixels| *pixels >= 0.0).fold(span, f64::min)
        };
        let (u, v) = (leaves(first.0, last.0, size.0), leaves(first.1, last.1, size.1));
        m = match (zone(first.0, size.0), zone(first.1, size.1)) {
            (Place::Outside, Place::Outside) => u.max(v),
            (Place::Outside, _) => u,
            (_, Place::Outside) => v,
            (Place::Inside, Place::Inside) => u.min(v),
            (Place::Edge, Place::Inside) => return ((u as usize + 2).min(short), Place::Edge),
            (Place::Inside, Place::Edge) => return ((v as usize + 2).min(short), Place::Edge),
            (Place::Edge, Place::Edge) => return (short, Place::Edge),
        } as usize;
    }
    // Under perspective it is a guess; a shorter piece will do.
    loop {
        m = m.clamp(1, n);
        match at(m - 1).map(|end| between(first, end, size)) {
            Some(place) if place != Place::Edge => return (m, place),
            _ if m <= short => return (short, Place::Edge),
            _ => m /= 2,
        }
    }
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
    let mut j = 0;
    while j < n {
        let (m, at) = piece(&p.pose, (x + j, y), n - j);
        let seen = &mut block.seen[j..j + m];
        match at {
            Place::Inside => {
                seen.fill(1.0);
                // What is written behind the piece is in vain: the next one comes after it.
                let out = &mut block.warped[j..];
                let from = (x + j, y);
                let track = Track::new(&p.pose, from, m);
                road.ahead.read(&p.pose, (plane, p.stride as usize), &track, y, m);
                match road.way {
                    Way::Rows { back: false } => rows::<T, false>(p, plane, (from, &track), m, out),
                    Way::Rows { back: true } => rows::<T, true>(p, plane, (from, &track), m, out),
                    Way::Slant { back: false } => slant::<T, false>(p, plane, (from, &track), m, out),
                    Way::Slant { back: true } => slant::<T, true>(p, plane, (from, &track), m, out),
                    Way::Pixels => gather(p, plane, from, m, out),
                }
            }
            Place::Outside => {
                block.warped[j..j + m].fill(0.0);
                seen.fill(0.0);
            }
            Place::Edge => edge(p, plane, (x + j, y), &mut block.warped[j..j + m], seen),
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

#[cfg(test)]
mod tests;
