//! `accumulate`: warps one calibrated plane under the frame's pose and applies every rule to its stack, in place.

use super::warp::{BLOCK, Block, Road, Sample, warp};
use super::{Access, Kernel, Read, Store, params, shared};
use crate::backend::Backend;
use crate::error::Result;
use crate::rules::{Method, Step};
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// States that one pass updates: eight storage buffers bind at once, the plane and the coverage take two.
/// The seven rules have six states.
pub const SLOTS: usize = 6;
/// Offsets from the integer part of the map that are as large as this, px, are outside any frame. It also keeps
/// what a map makes of points near its horizon (infinite, or 0/0) away from integer arithmetic.
pub const FAR: f32 = 1_048_576.0;

/// A homography, reference px to frame px, split so that f32 loses nothing on large frames: an integer map that
/// holds the bulk of it, and what is left. With B = r x + t (exact integers) and q = p x,
/// u = B + (e x + f - B q) / (1 + q).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Pose {
    /// Linear part rounded to integers.
    pub r00: i32,
    /// See `r00`.
    pub r01: i32,
    /// See `r00`.
    pub r10: i32,
    /// See `r00`.
    pub r11: i32,
    /// Whole pixels of the shift.
    pub tu: i32,
    /// See `tu`.
    pub tv: i32,
    /// Pixels in a row of the frame.
    pub frame_width: u32,
    /// Rows of the frame.
    pub frame_height: u32,
    /// The linear part's remainder.
    pub e00: f32,
    /// See `e00`.
    pub e01: f32,
    /// See `e00`.
    pub e10: f32,
    /// See `e00`.
    pub e11: f32,
    /// The shift's fraction, px.
    pub fu: f32,
    /// See `fu`.
    pub fv: f32,
    /// Projective part, 1/px.
    pub p0: f32,
    /// See `p0`.
    pub p1: f32,
}
shared!(Pose { r00, r01, r10, r11, tu, tv, frame_width, frame_height, e00, e01, e10, e11, fu, fv, p0, p1 });

impl Pose {
    /// The homography `h` (row-major, `h[8] == 1`) into frames of `width` x `height`.
    #[must_use]
    pub fn new(h: &[f64; 9], width: usize, height: usize) -> Pose {
        let whole = |v: f64| v.round() as i32;
        let rest = |v: f64| (v - v.round()) as f32;
        Pose {
            r00: whole(h[0]),
            r01: whole(h[1]),
            r10: whole(h[3]),
            r11: whole(h[4]),
            tu: whole(h[2]),
            tv: whole(h[5]),
            frame_width: width as u32,
            frame_height: height as u32,
            e00: rest(h[0]),
            e01: rest(h[1]),
            e10: rest(h[3]),
            e11: rest(h[4]),
            fu: rest(h[2]),
            fv: rest(h[5]),
            p0: h[6] as f32,
            p1: h[7] as f32,
        }
    }

    /// The exact integer part of the map at (`x`, `y`).
    #[inline(always)]
    #[must_use]
    pub fn base(&self, x: i32, y: i32) -> (i32, i32) {
        (self.r00 * x + self.r01 * y + self.tu, self.r10 * x + self.r11 * y + self.tv)
    }

    /// The rest of the map at (`x`, `y`), px.
    #[inline(always)]
    #[must_use]
    pub fn rest(&self, x: i32, y: i32) -> (f32, f32) {
        let (bu, bv) = self.base(x, y);
        let (fx, fy) = (x as f32, y as f32);
        let q = self.p0 * fx + self.p1 * fy;
        let w = 1.0 + q;
        (
            (self.e00 * fx + (self.e01 * fy + self.fu) - bu as f32 * q) / w,
            (self.e10 * fx + (self.e11 * fy + self.fv) - bv as f32 * q) / w,
        )
    }

    /// Pixel and fraction that (`x`, `y`) maps to, if the frame covers it: 0 <= u <= W-1, 0 <= v <= H-1.
    #[inline(always)]
    #[must_use]
    pub fn covered(&self, x: i32, y: i32) -> Option<(usize, usize, f32, f32)> {
        let ((bu, bv), (du, dv)) = (self.base(x, y), self.rest(x, y));
        if !(du.abs() < FAR && dv.abs() < FAR) {
            return None;
        }
        let (ku, kv) = (du.floor(), dv.floor());
        let (u, v, fu, fv) = (bu + ku as i32, bv + kv as i32, du - ku, dv - kv);
        let (last_u, last_v) = (self.frame_width as i32 - 1, self.frame_height as i32 - 1);
        let inside = |k: i32, f: f32, last: i32| k >= 0 && (k < last || (k == last && f == 0.0));
        (inside(u, fu, last_u) && inside(v, fv, last_v)).then_some((u as usize, v as usize, fu, fv))
    }
}

/// Parameters of [`Accumulate`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AccumulateParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row of the stack.
    pub width: u32,
    /// Rows of the stack.
    pub height: u32,
    /// Samples in a padded row.
    pub stride: u32,
    /// [`Store`] of the plane.
    pub store: u32,
    /// States in use.
    pub slots: u32,
    /// Levels of one unit of the plane.
    pub unit: f32,
    /// Stacked frames, this one included.
    pub n: f32,
    /// Level that stands for 1.
    pub white: f32,
    /// Added to every covered sample, levels: the rules on signed data.
    pub pedestal: f32,
    /// Code of the rule of each state.
    pub op: [u32; SLOTS],
    /// Zero.
    pub pad: [u32; 3],
    /// Reference px to frame px.
    pub pose: Pose,
}
params!(AccumulateParams {
    row0,
    rows,
    width,
    height,
    stride,
    store,
    slots,
    unit,
    n,
    white,
    pedestal,
    op,
    pad,
    pose
});

/// The kernel. States and rows of the coverage (u16 counts before this frame) are in reference pixels.
pub struct Accumulate;

impl Kernel for Accumulate {
    const NAME: &'static str = "accumulate";
    const SOURCE: &'static [&'static str] = &[
        include_str!("../../shaders/lib/plane.wgsl"),
        include_str!("../../shaders/lib/pose.wgsl"),
        include_str!("../../shaders/accumulate.wgsl"),
    ];
    const READS: &'static [Read] = &[("plane", Access::Gathered), ("coverage", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["state0", "state1", "state2", "state3", "state4", "state5"];
    const CHOICES: &'static [&'static str] = &["store", "slots", "op0", "op1", "op2", "op3", "op4", "op5"];
    type Params = AccumulateParams;

    fn wgsl() -> String {
        Self::SOURCE.concat() + &Method::shader()
    }

    fn rows(p: &AccumulateParams) -> u32 {
        p.height
    }

    fn read_row_bytes(p: &AccumulateParams, k: usize) -> usize {
        if k == 1 { p.stride as usize * 2 } else { 0 }
    }

    fn write_row_words(p: &AccumulateParams, k: usize) -> usize {
        if k < p.slots as usize { p.stride as usize } else { 0 }
    }

    fn groups(p: &AccumulateParams, rows: u32) -> [u32; 3] {
        [p.stride.div_ceil(64), rows.div_ceil(4), 1]
    }

    fn bytes(p: &AccumulateParams) -> u64 {
        let states = 8 * u64::from(p.slots);
        let used = &p.op[..p.slots as usize];
        let counted = used.iter().any(|&code| Method::from_code(code).is_some_and(Method::coverage));
        let counts = 2 * u64::from(counted);
        u64::from(p.stride) * u64::from(p.height) * ([1, 2, 4][p.store as usize] + counts + states)
    }

    fn work(p: &AccumulateParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &AccumulateParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        match p.store {
            s if s == Store::U8 as u32 => bands::<u8>(p, rows, reads, writes),
            s if s == Store::U16 as u32 => bands::<u16>(p, rows, reads, writes),
            _ => bands::<f32>(p, rows, reads, writes),
        }
    }
}

#[inline(always)]
fn bands<T: Sample>(p: &AccumulateParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
    let (width, stride) = (p.width as usize, p.stride as usize);
    let plane = cast_slice::<u32, T>(reads[0]);
    let counts = cast_slice::<u32, u16>(reads[1]);
    let methods: Vec<_> = p.op.iter().take(p.slots as usize).map(|&c| Method::from_code(c)).collect();
    let counted = methods.iter().flatten().any(|m| m.coverage());
    let step = Step { n: p.n, white: p.white };
    let road = Road::new(&p.pose, p.width, p.height);
    let mut block = Block::default();
    let (down, across) = (rows.len(), width.div_ceil(BLOCK));
    for k in 0..down * across {
        let (band, x) = if road.turns() { (k % down, k / down) } else { (k / across, k % across) };
        let (y, x) = (rows.start + band as u32, x * BLOCK);
        let n = BLOCK.min(width - x);
        warp(p, road, plane, (x, y as i32), n, &mut block);
        if counted {
            let before = &counts[y as usize * stride + x..][..n];
            for (seen, &c) in block.seen[..n].iter_mut().zip(before) {
                // It is 1 or 0.
                *seen *= *seen + f32::from(c);
            }
        }
        for (method, state) in methods.iter().zip(writes.iter_mut()) {
            let state = &mut cast_slice_mut::<u32, f32>(state)[band * stride + x..][..n];
            if let Some(method) = method {
                method.apply(state, &block.warped[..n], &block.seen[..n], &step);
            }
        }
    }
}

/// Warps `plane` and applies the rules of `p.op` to `states`, in that order; `coverage` where a rule counts frames.
///
/// # Errors
/// Where the device fails.
pub fn accumulate<'a, B: Backend>(
    backend: &mut B,
    p: &AccumulateParams,
    plane: &B::Buffer,
    coverage: Option<&B::Buffer>,
    states: impl Iterator<Item = &'a mut B::Buffer>,
) -> Result<()>
where
    B::Buffer: 'a,
{
    let mut states = states.fuse();
    let mut slots: [Option<&mut B::Buffer>; SLOTS] = std::array::from_fn(|_| states.next());
    backend.run::<Accumulate>(p, &[Some(plane), coverage], &mut slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_of_a_map_is_outside() {
        // At x = 2 the denominator is 0, and a rest of 0/0 must not pass for the integer part of the map.
        let pose = Pose::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -0.5, 0.0, 1.0], 8, 8);
        for x in 0..8 {
            assert!(pose.covered(x, 0).is_none_or(|(_, _, fu, fv)| fu.is_finite() && fv.is_finite()), "{x}");
        }
        assert_eq!(pose.covered(2, 0), None);
    }
}
