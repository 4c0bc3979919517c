//! The positions of a piece of a row, and taps that are asked for before they are needed.

use super::super::accumulate::Pose;
use super::{Point, RUN, Sample};
use std::hint::black_box;

/// A coordinate's rest along a piece of a row: c0 + c1 j + c2 j^2 at its pixel j, px.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parabola([f64; 3]);

impl Parabola {
    /// Through `a` at 0, `b` at `m` and `c` at `2 m`.
    #[inline(always)]
    fn through(a: f64, b: f64, c: f64, m: f64) -> Parabola {
        let bend = (c - 2.0 * b + a) / (2.0 * m * m);
        Parabola([a, (c - a) / (2.0 * m) - 2.0 * m * bend, bend])
    }

    #[inline(always)]
    pub(super) fn at(&self, j: usize) -> f64 {
        let [c0, c1, c2] = self.0;
        let j = j as f64;
        c0 + j * (c1 + j * c2)
    }

    /// Its fraction from pixel `j` on, as a polynomial in the pixels from there.
    #[inline(always)]
    pub(super) fn from(&self, j: usize, whole: f64) -> [f32; 3] {
        let [_, c1, c2] = self.0;
        [(self.at(j) - whole) as f32, (c1 + 2.0 * c2 * j as f64) as f32, c2 as f32]
    }

    /// The pixel in 1..n at which it turns round, if there is one.
    #[inline(always)]
    pub(super) fn turn(&self, n: usize) -> Option<usize> {
        let [_, c1, c2] = self.0;
        let turn = (-c1 / (2.0 * c2)).ceil();
        (turn >= 1.0 && turn < n as f64).then_some(turn as usize)
    }

    /// The first pixel after `j`, at most `end`, whose whole part is not that of `j`; it must not turn round before.
    #[inline(always)]
    pub(super) fn crossing(&self, j: usize, end: usize) -> usize {
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

/// The positions of a piece of a row: along it the rests are parabolas.
pub(super) struct Track {
    /// Whole pixels of the base, at the piece's first pixel.
    pub(super) base: (i32, i32),
    /// What they change by from pixel to pixel.
    pub(super) step: (i32, i32),
    pub(super) u: Parabola,
    pub(super) v: Parabola,
}

impl Track {
    /// Of the `n` pixels from (`x`, `y`) on.
    #[inline(always)]
    pub(super) fn new(pose: &Pose, (x, y): (usize, i32), n: usize) -> Track {
        let middle = (n / 2).max(1);
        let [a, b, c] = [0, middle, 2 * middle].map(|j| Point::of(pose, (x + j) as i32, y).0);
        let m = middle as f64;
        Track {
            base: a.base,
            step: (pose.r00, pose.r10),
            u: Parabola::through(a.rest.0, b.rest.0, c.rest.0, m),
            v: Parabola::through(a.rest.1, b.rest.1, c.rest.1, m),
        }
    }
}

/// What is read of the frame before it is needed. A map that turns comes to new rows of the frame all along, each of them a
/// piece further on: no hardware foresees that. Read together they come together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ahead {
    /// Nothing: rows follow rows.
    Nothing,
    /// The row that a piece comes to next; upwards, or down the frame.
    Row { down: bool },
    /// Pixels of the row of the stack that is [`FAR_AHEAD`].
    Far,
}

/// Bytes that come together.
const LINE: usize = 64;
/// Rows of the stack.
const FAR_AHEAD: f64 = 16.0;

impl Ahead {
    /// Reads of `plane`, with rows of `stride` samples, what is ahead of the `n` pixels of row `y` that lie along `track`.
    #[inline(always)]
    pub(super) fn read<T: Sample>(
        self,
        pose: &Pose,
        (plane, stride): (&[T], usize),
        track: &Track,
        y: i32,
        n: usize,
    ) {
        match self {
            Ahead::Nothing => {}
            Ahead::Row { down } => row(down, (plane, stride), track, n),
            Ahead::Far => far(pose, (plane, stride), track, y, n),
        }
    }
}

#[inline(always)]
fn row<T: Sample>(down: bool, (plane, stride): (&[T], usize), track: &Track, n: usize) {
    let (u0, u1) = (
        track.u.at(0) as i64,
        (track.u.at(n - 1) as i64).wrapping_add(i64::from(track.step.0) * (n as i64 - 1)),
    );
    let (v0, v1) = (track.v.at(0) as i64, track.v.at(n - 1) as i64);
    // Behind the lower taps, or before the upper ones.
    let v = i64::from(track.base.1).wrapping_add(if down {
        v0.max(v1).wrapping_add(3)
    } else {
        v0.min(v1).wrapping_sub(2)
    });
    let from = v.wrapping_mul(stride as i64).wrapping_add(i64::from(track.base.0).wrapping_add(u0.min(u1)));
    let to = from.wrapping_add(u0.abs_diff(u1) as i64).wrapping_add(1);
    let mut sum = 0.0;
    if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to))
        && let Some(row) = plane.get(from..=to)
    {
        for sample in row.iter().step_by(LINE / size_of::<T>()) {
            sum += sample.value();
        }
    }
    black_box(sum);
}

/// One pixel of each run, from row to row another one: in [`RUN`] rows each line of the frame is met.
#[inline(always)]
fn far<T: Sample>(pose: &Pose, (plane, stride): (&[T], usize), track: &Track, y: i32, n: usize) {
    /// Prime to [`RUN`].
    const PACE: usize = 7;
    let down = |r: i32, e: f32| FAR_AHEAD * (f64::from(r) + f64::from(e));
    let u = f64::from(track.base.0) + down(pose.r01, pose.e01);
    let v = f64::from(track.base.1) + down(pose.r11, pose.e11);
    let mut sum = 0.0;
    for j in (y as usize * PACE % RUN..n).step_by(RUN) {
        let u = u + f64::from(track.step.0) * j as f64 + track.u.at(j);
        let v = v + f64::from(track.step.1) * j as f64 + track.v.at(j);
        // Outside the frame it is any sample of it, or none.
        let at = (v as i64).wrapping_mul(stride as i64).wrapping_add(u as i64);
        sum += plane.get(at as usize).map_or(0.0, |sample| sample.value());
    }
    black_box(sum);
}
