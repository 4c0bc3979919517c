//! A map that turns by some degrees at most: neighbours lie on two rows of pixels, and each chooses its own.

use super::super::accumulate::AccumulateParams;
use super::gather::gather;
use super::{LANE, RUN, Sample, Track, fraction};

/// Fills `out` for the `n` pixels along `track`, which starts at `from`; they all lie inside the frame. What is left of the
/// last run is overwritten in vain.
#[inline(always)]
pub(super) fn slant<T: Sample, const BACK: bool>(
    p: &AccumulateParams,
    plane: &[T],
    (from, track): ((usize, i32), &Track),
    n: usize,
    out: &mut [f32],
) {
    for j in (0..n).step_by(RUN) {
        if !run::<T, BACK>(p, plane, track, j, &mut out[j..]) {
            gather(p, plane, (from.0 + j, from.1), RUN.min(n - j), &mut out[j..]);
        }
    }
}

/// [`RUN`] pixels from the piece's pixel `j` on. False, and nothing done, where they do not share one whole column offset or
/// lie on more rows, or where the plane ends before.
#[inline(always)]
fn run<T: Sample, const BACK: bool>(
    p: &AccumulateParams,
    plane: &[T],
    track: &Track,
    j: usize,
    out: &mut [f32],
) -> bool {
    let last = j + RUN - 1;
    let (ku, kv) = (track.u.at(j).floor(), track.v.at(j).floor());
    let end_v = track.v.at(last).floor();
    // Narrow, tall frames may have perspective enough for a third row.
    if track.u.at(last).floor() != ku || (end_v - kv).abs() > 1.0 {
        return false;
    }
    let low = kv.min(end_v);
    let (fu, fv) = (track.u.from(j, ku), track.v.from(j, low));
    let along = if BACK { -(last as i32) } else { j as i32 };
    let stride = p.stride as usize;
    // Pixels of the run behind the piece may lie outside.
    let row = i64::from(track.base.1 + low as i32) * stride as i64;
    let Ok(from) = usize::try_from(row + i64::from(track.base.0 + along + ku as i32)) else { return false };
    let row = |from: usize| plane.get(from..).and_then(|row| row.first_chunk::<{ RUN + 1 }>());
    let (Some(a), Some(b), Some(c), Some(out)) =
        (row(from), row(from + stride), row(from + 2 * stride), out.first_chunk_mut::<RUN>())
    else {
        return false;
    };
    for l in 0..RUN {
        let t = if BACK { RUN - 1 - l } else { l };
        let (fu, fv) = (fraction(fu, LANE[l]), fraction(fv, LANE[l]));
        let along = |row: &[T; RUN + 1]| {
            let (left, right) = (row[t].value(), row[t + 1].value());
            left + fu * (right - left)
        };
        let (a, b, c) = (along(a), along(b), along(c));
        let below = fv >= 1.0;
        let (top, bottom) = if below { (b, c) } else { (a, b) };
        let fv = if below { fv - 1.0 } else { fv };
        out[l] = (top + fv * (bottom - top)) * p.unit + p.pedestal;
    }
    true
}
