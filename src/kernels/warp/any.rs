//! Any map: the position of each pixel is computed, [`RUN`] pixels together; runs that lie along a row of the frame are quick.

use super::super::accumulate::{AccumulateParams, FAR};
use super::{BLOCK, Block, RUN, Sample, edge, lerp};

/// The rests of a block's positions, px.
struct Rests {
    du: [f32; BLOCK],
    dv: [f32; BLOCK],
}

/// Any map: the position of each pixel is computed.
#[inline(always)]
pub(super) fn pixels<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    (x, y): (usize, i32),
    n: usize,
    block: &mut Block,
) {
    let mut rests = Rests { du: [0.0; BLOCK], dv: [0.0; BLOCK] };
    for j in 0..n {
        (rests.du[j], rests.dv[j]) = p.pose.rest((x + j) as i32, y);
    }
    let steady = p.pose.r00 == 1 && p.pose.r10 == 0;
    for j in (0..n).step_by(RUN) {
        let m = RUN.min(n - j);
        let (warped, seen) = (&mut block.warped[j..j + m], &mut block.seen[j..j + m]);
        let (du, dv) = (&rests.du[j..j + m], &rests.dv[j..j + m]);
        let whole = m == RUN;
        let done = whole && steady && run(p, plane, (x + j, y), (du, dv), warped)
            || whole && gather(p, plane, (x + j, y), (du, dv), warped);
        if done {
            seen.fill(1.0);
        } else {
            edge(p, plane, (x + j, y), warped, seen);
        }
    }
}

/// [`RUN`] pixels whose four taps each lie in four shifted, contiguous rows. False where they do not share one whole-pixel
/// offset or reach the frame's edge: then nothing was done.
#[inline(always)]
fn run<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    (x, y): (usize, i32),
    (du, dv): (&[f32], &[f32]),
    warped: &mut [f32],
) -> bool {
    let stride = p.stride as usize;
    if !(du[0].abs() < FAR && dv[0].abs() < FAR) {
        return false;
    }
    let (ku, kv) = (du[0].floor(), dv[0].floor());
    let (bu, bv) = p.pose.base(x as i32, y);
    let (u, v) = (bu + ku as i32, bv + kv as i32);
    let inside = u >= 0
        && v >= 0
        && u + (RUN as i32) < p.pose.frame_width as i32
        && v + 1 < p.pose.frame_height as i32;
    if !inside || du[RUN - 1].floor() != ku || dv[RUN - 1].floor() != kv {
        return false;
    }
    let from = v as usize * stride + u as usize;
    let (Some(upper), Some(lower)) =
        (plane[from..].first_chunk::<{ RUN + 1 }>(), plane[from + stride..].first_chunk::<{ RUN + 1 }>())
    else {
        return false;
    };
    for k in 0..RUN {
        let taps = [upper[k], upper[k + 1], lower[k], lower[k + 1]].map(Sample::value);
        warped[k] = lerp(taps, du[k] - ku, dv[k] - kv) * p.unit + p.pedestal;
    }
    true
}

/// [`RUN`] pixels that all lie inside the frame, wherever each of them falls: any rotation. False where one of them
/// reaches the edge: then nothing was done.
#[inline(always)]
fn gather<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    (x, y): (usize, i32),
    (du, dv): (&[f32], &[f32]),
    warped: &mut [f32],
) -> bool {
    let (stride, pose) = (p.stride as usize, &p.pose);
    let (last_u, last_v) = (pose.frame_width as i32 - 1, pose.frame_height as i32 - 1);
    // A line maps to a line: with both ends inside, so is all between them (a pixel to spare for rounding).
    let inside = |k: usize| {
        let (bu, bv) = pose.base((x + k) as i32, y);
        let within = |b: i32, d: f32, last: i32| {
            d.abs() < FAR && b + d.floor() as i32 >= 1 && b + (d.floor() as i32) < last - 1
        };
        within(bu, du[k], last_u) && within(bv, dv[k], last_v)
    };
    if !(inside(0) && inside(RUN - 1)) {
        return false;
    }
    for k in 0..RUN {
        let (ku, kv) = (du[k].floor(), dv[k].floor());
        let (bu, bv) = pose.base((x + k) as i32, y);
        let from = (bv + kv as i32) as usize * stride + (bu + ku as i32) as usize;
        let (upper, lower) = (&plane[from..from + 2], &plane[from + stride..from + stride + 2]);
        let taps = [upper[0], upper[1], lower[0], lower[1]].map(Sample::value);
        warped[k] = lerp(taps, du[k] - ku, dv[k] - kv) * p.unit + p.pedestal;
    }
    true
}
