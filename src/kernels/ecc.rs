//! `ecc`: the sums of one ECC iteration, a record a patch.
//!
//! With I the frame's sample under the current pose (background off), g = (gx, gy) its gradient in frame px, T the
//! template's sample and (x, y) the pixel's offset from the patch's centre, a record holds the moments from which
//! the host forms, in f64 and for any motion model, the Jacobian's projections and the Hessian of Evangelidis and
//! Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 19. The Jacobian of the map is linear in (x, y) inside a patch (exact
//! for affine maps), hence moments up to x, y for projections and x^2, xy, y^2 for the Hessian.

use super::sample::{AREA, CENTRE, PATCH, Patch, sample};
use super::template::PatchParams;
use super::{Access, Kernel, Read, shared};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// Sums of one patch. `[gx gx, gx gy, gy gy]` and `[gx, gy]` times the named moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct PatchSums {
    /// Sum of g g^T times 1, x, y, x^2, xy, y^2.
    pub gg: [[f32; 3]; 6],
    /// Zero (a record is two halves of 24 words).
    pub pad0: [f32; 6],
    /// Sum of g times 1, x, y.
    pub g: [[f32; 2]; 3],
    /// Sum of g I times 1, x, y.
    pub gi: [[f32; 2]; 3],
    /// Sum of g T times 1, x, y.
    pub gt: [[f32; 2]; 3],
    /// Sum of I, I^2, T, T^2, I T.
    pub it: [f32; 5],
    /// Sum of the weights: 256 without a window; 0 for a patch that is left out.
    pub count: f32,
}
shared!(PatchSums { gg, pad0, g, gi, gt, it, count });

/// Words of a record.
pub const RECORD: usize = size_of::<PatchSums>() / 4;

/// The kernel.
pub struct Ecc;

impl Kernel for Ecc {
    const NAME: &'static str = "ecc";
    const SOURCE: &'static [&'static str] = &[
        include_str!("../../shaders/lib/plane.wgsl"),
        include_str!("../../shaders/lib/sample.wgsl"),
        include_str!("../../shaders/ecc.wgsl"),
    ];
    const READS: &'static [Read] =
        &[("gray", Access::Gathered), ("patches", Access::Streamed), ("template_px", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["sums"];
    type Params = PatchParams;

    fn rows(p: &PatchParams) -> u32 {
        p.patches
    }

    fn read_row_bytes(_: &PatchParams, k: usize) -> usize {
        [0, size_of::<Patch>(), AREA * 4][k]
    }

    fn write_row_words(_: &PatchParams, _: usize) -> usize {
        RECORD
    }

    fn groups(_: &PatchParams, rows: u32) -> [u32; 3] {
        [rows, 1, 1]
    }

    fn bytes(p: &PatchParams) -> u64 {
        u64::from(p.patches) * (AREA * (2 + 4) + RECORD * 4) as u64
    }

    fn work(p: &PatchParams) -> u64 {
        // About 500 instructions a pixel on the smallest GPU, where a streaming kernel takes 200.
        2 * u64::from(p.patches) * (AREA as u64)
    }

    #[inline(always)]
    fn twin(p: &PatchParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let gray = cast_slice::<u32, u16>(reads[0]);
        let patches = cast_slice::<u32, Patch>(reads[1]);
        let template = cast_slice::<u32, f32>(reads[2]);
        let out = cast_slice_mut::<u32, PatchSums>(writes[0]);
        // The window is a product of one factor in x and one in y.
        let window: [f32; PATCH] =
            std::array::from_fn(|i| (-((i as i32 - CENTRE) as f32).powi(2) * p.window).exp());
        for (k, sums) in rows.zip(out) {
            let patch = &patches[k as usize];
            *sums = PatchSums::default();
            if patch.inside == 0 {
                continue;
            }
            let template = &template[k as usize * AREA..][..AREA];
            for (row, t) in template.as_chunks::<PATCH>().0.iter().enumerate() {
                let y = (row as i32 - CENTRE) as f32;
                let line = line((gray, p.stride as usize), patch, t, y, &window.map(|w| w * window[row]));
                add(sums, &line);
            }
        }
    }
}

/// The sums of one row of a patch.
#[inline(always)]
fn line(
    (gray, stride): (&[u16], usize),
    patch: &Patch,
    template: &[f32; PATCH],
    y: f32,
    weights: &[f32; PATCH],
) -> PatchSums {
    let mut s = PatchSums::default();
    // Moments in x alone, y is constant in a row.
    let mut gg = [[0.0_f32; 3]; 3];
    let mut vectors = [[[0.0_f32; 2]; 2]; 3];
    for (i, &t) in template.iter().enumerate() {
        let x = (i as i32 - CENTRE) as f32;
        let [value, gx, gy] = sample(gray, stride, patch, x, y);
        let w = weights[i];
        for (sum, m) in gg.iter_mut().zip([w, w * x, w * x * x]) {
            *sum = [sum[0] + gx * gx * m, sum[1] + gx * gy * m, sum[2] + gy * gy * m];
        }
        for (vector, f) in vectors.iter_mut().zip([1.0, value, t]) {
            for (sum, m) in vector.iter_mut().zip([w, w * x]) {
                *sum = [sum[0] + gx * f * m, sum[1] + gy * f * m];
            }
        }
        for (sum, v) in s.it.iter_mut().zip([value, value * value, t, t * t, value * t]) {
            *sum += w * v;
        }
    }
    s.count = weights.iter().sum();
    let times = |v: [f32; 3], m: f32| v.map(|a| a * m);
    s.gg = [gg[0], gg[1], times(gg[0], y), gg[2], times(gg[1], y), times(gg[0], y * y)];
    let [g, gi, gt] = vectors.map(|v| [v[0], v[1], v[0].map(|a| a * y)]);
    (s.g, s.gi, s.gt) = (g, gi, gt);
    s
}

/// Adds the sums of a row to those of the patch.
#[inline(always)]
fn add(sums: &mut PatchSums, line: &PatchSums) {
    let from: &[f32] = bytemuck::cast_slice(std::slice::from_ref(line));
    let to: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(sums));
    for (t, f) in to.iter_mut().zip(from) {
        *t += f;
    }
}

/// Sums of one iteration over `patches` of `gray` against `template_px`, into `sums` ([`PatchSums`] each).
///
/// # Errors
/// Where the device fails.
pub fn ecc<B: Backend>(
    backend: &mut B,
    p: &PatchParams,
    gray: &B::Buffer,
    patches: &B::Buffer,
    template_px: &B::Buffer,
    sums: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Ecc>(p, &[Some(gray), Some(patches), Some(template_px)], &mut [Some(sums)])
}
