//! How the CPU twin of `accumulate` resamples: bilinear, a block of a row at a time, three roads by what the pose is like.

use super::accumulate::{AccumulateParams, FAR};
use bytemuck::Pod;

/// Pixels that are warped together before the rules are applied: their buffers stay in the first-level cache.
pub(super) const BLOCK: usize = 512;
/// Pixels that are tried at once on the fast path, where all of them share one whole-pixel offset.
const RUN: usize = 16;

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

/// What one block of a row needs besides its samples: offsets (px), the warped samples, frames that cover them.
pub(super) struct Block {
    du: [f32; BLOCK],
    dv: [f32; BLOCK],
    pub(super) warped: [f32; BLOCK],
    pub(super) seen: [f32; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        let zero = [0.0; BLOCK];
        Block { du: zero, dv: zero, warped: zero, seen: zero }
    }
}

/// Fills `block` for `n` pixels of row `y` from column `x`: warped samples in levels, `seen` 1 where covered.
#[inline(always)]
pub(super) fn warp<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    x: usize,
    y: i32,
    n: usize,
    block: &mut Block,
) {
    let pose = &p.pose;
    for j in 0..n {
        (block.du[j], block.dv[j]) = pose.rest((x + j) as i32, y);
    }
    let steady = pose.r00 == 1 && pose.r10 == 0;
    let mut j = 0;
    while j < n {
        if steady && j + RUN <= n && run(p, plane, x + j, y, j, block) {
            j += RUN;
            continue;
        }
        let end = (j + RUN).min(n);
        if j + RUN <= n && gather(p, plane, x + j, y, j, block) {
            j = end;
            continue;
        }
        for k in j..end {
            let hit = pose.covered((x + k) as i32, y);
            block.seen[k] = if hit.is_some() { 1.0 } else { 0.0 };
            block.warped[k] = hit.map_or(0.0, |at| bilinear(p, plane, at) * p.unit + p.pedestal);
        }
        j = end;
    }
}

/// The fast path: [`RUN`] pixels whose four taps each lie in four shifted, contiguous rows. False where they do not
/// share one whole-pixel offset or reach the frame's edge: then nothing was done.
#[inline(always)]
fn run<T: Sample>(p: &AccumulateParams, plane: &[T], x: usize, y: i32, j: usize, block: &mut Block) -> bool {
    let stride = p.stride as usize;
    let (du, dv) = (&block.du[j..j + RUN], &block.dv[j..j + RUN]);
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
    let warped = &mut block.warped[j..j + RUN];
    for k in 0..RUN {
        let (fu, fv) = (du[k] - ku, dv[k] - kv);
        let (a, b) = (upper[k].value(), upper[k + 1].value());
        let (c, d) = (lower[k].value(), lower[k + 1].value());
        let (top, bottom) = (a + fu * (b - a), c + fu * (d - c));
        warped[k] = (top + fv * (bottom - top)) * p.unit + p.pedestal;
    }
    block.seen[j..j + RUN].fill(1.0);
    true
}

/// [`RUN`] pixels that all lie inside the frame, wherever each of them falls: any rotation. False where one of them
/// reaches the edge: then nothing was done.
#[inline(always)]
fn gather<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    x: usize,
    y: i32,
    j: usize,
    block: &mut Block,
) -> bool {
    let (stride, pose) = (p.stride as usize, &p.pose);
    let (last_u, last_v) = (pose.frame_width as i32 - 1, pose.frame_height as i32 - 1);
    // A line maps to a line: with both ends inside, so is all between them (a pixel to spare for rounding).
    let inside = |k: usize| {
        let (bu, bv) = pose.base((x + k) as i32, y);
        let (du, dv) = (block.du[j + k], block.dv[j + k]);
        let within = |b: i32, d: f32, last: i32| {
            d.abs() < FAR && b + d.floor() as i32 >= 1 && b + (d.floor() as i32) < last - 1
        };
        within(bu, du, last_u) && within(bv, dv, last_v)
    };
    if !(inside(0) && inside(RUN - 1)) {
        return false;
    }
    let (du, dv) = (&block.du[j..j + RUN], &block.dv[j..j + RUN]);
    let warped = &mut block.warped[j..j + RUN];
    for k in 0..RUN {
        let (ku, kv) = (du[k].floor(), dv[k].floor());
        let (bu, bv) = pose.base((x + k) as i32, y);
        let from = (bv + kv as i32) as usize * stride + (bu + ku as i32) as usize;
        let (fu, fv) = (du[k] - ku, dv[k] - kv);
        let (upper, lower) = (&plane[from..from + 2], &plane[from + stride..from + stride + 2]);
        let (a, b) = (upper[0].value(), upper[1].value());
        let (c, d) = (lower[0].value(), lower[1].value());
        let (top, bottom) = (a + fu * (b - a), c + fu * (d - c));
        warped[k] = (top + fv * (bottom - top)) * p.unit + p.pedestal;
    }
    block.seen[j..j + RUN].fill(1.0);
    true
}

/// Bilinear value, in plane units, at pixel (`u`, `v`) plus fraction; taps of weight 0 may lie outside.
#[inline(always)]
fn bilinear<T: Sample>(p: &AccumulateParams, plane: &[T], (u, v, fu, fv): (usize, usize, f32, f32)) -> f32 {
    let stride = p.stride as usize;
    let right = (u + 1).min(p.pose.frame_width as usize - 1);
    let low = (v + 1).min(p.pose.frame_height as usize - 1);
    let (a, b) = (plane[v * stride + u].value(), plane[v * stride + right].value());
    let (c, d) = (plane[low * stride + u].value(), plane[low * stride + right].value());
    let (top, bottom) = (a + fu * (b - a), c + fu * (d - c));
    top + fv * (bottom - top)
}
