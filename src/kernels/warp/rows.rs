//! A map that hardly turns: stretches of a row with one whole-pixel offset, whose taps are two pieces of two rows.

use super::super::accumulate::AccumulateParams;
use super::gather::gather;
use super::{RUN, Sample, Track, fraction, lerp};

/// Fills `out` for the `n` pixels along `track`, which starts at `from`; they all lie inside the frame. What is left of the
/// last run is overwritten in vain.
#[inline(always)]
pub(super) fn rows<T: Sample, const BACK: bool>(
    p: &AccumulateParams,
    plane: &[T],
    (from, track): ((usize, i32), &Track),
    n: usize,
    out: &mut [f32],
) {
    let (u, v) = (&track.u, &track.v);
    let turns = [u.turn(n), v.turn(n)].map(|turn| turn.unwrap_or(n));
    let mut j = 0;
    // Where either leaves its whole pixel next.
    let (mut next_u, mut next_v) = (0, 0);
    while j < n {
        // Up to here both rise or fall.
        let end = turns.iter().copied().filter(|&turn| turn > j).min().unwrap_or(n);
        if next_u <= j {
            next_u = u.crossing(j, end);
        }
        if next_v <= j {
            next_v = v.crossing(j, end);
        }
        let next = next_u.min(next_v);
        let (ku, kv) = (u.at(j).floor(), v.at(j).floor());
        let fractions = (u.from(j, ku), v.from(j, kv));
        let along = if BACK { -(j as i32) } else { j as i32 };
        let first = (track.base.0 + along + ku as i32) as usize;
        let top = (track.base.1 + kv as i32) as usize * p.stride as usize;
        let (out, levels) = (&mut out[j..], (p.unit, p.pedestal));
        // Whole runs: what is behind the stretch is overwritten by the next one.
        let len = (next - j).next_multiple_of(RUN);
        let start = if BACK { (top + first + 1).checked_sub(len) } else { Some(top + first) };
        let low = start.map(|start| start + p.stride as usize);
        let row = |start: Option<usize>, right: usize| plane.get(start? + right..)?.get(..len);
        if let (Some(a), Some(b), Some(c), Some(d)) = (row(start, 0), row(start, 1), row(low, 0), row(low, 1))
        {
            stretch::<T, BACK>([a, b, c, d], fractions, levels, out);
        } else {
            // The plane begins within the last run: mirrored frames of a few pixels.
            gather(p, plane, (from.0 + j, from.1), next - j, out);
        }
        j = next;
    }
}

/// Whole runs of one stretch: its four taps, each a piece of a row.
#[inline(always)]
fn stretch<T: Sample, const BACK: bool>(
    taps: [&[T]; 4],
    (fu, fv): ([f32; 3], [f32; 3]),
    (unit, pedestal): (f32, f32),
    out: &mut [f32],
) {
    let [a, b, c, d] = taps;
    let n = a.len();
    let (b, c, d, out) = (&b[..n], &c[..n], &d[..n], &mut out[..n]);
    for k in 0..n {
        let t = if BACK { n - 1 - k } else { k };
        let place = k as i32 as f32;
        let taps = [a[t], b[t], c[t], d[t]].map(Sample::value);
        out[k] = lerp(taps, fraction(fu, place), fraction(fv, place)) * unit + pedestal;
    }
}
