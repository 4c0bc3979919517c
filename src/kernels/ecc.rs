//! `ecc`: the sums of one ECC iteration, a record a patch.
//!
//! With I the frame's sample under the current pose (background off), g = (gx, gy) its gradient in frame px, T the
//! template's sample and (x, y) the pixel's offset from the patch's centre, a record holds the moments from which
//! the host forms, in f64 and for any motion model, the Jacobian's projections and the Hessian of Evangelidis and
//! Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 19. The Jacobian of the map is linear in (x, y) inside a patch (exact
//! for affine maps), hence moments up to x, y for projections and x^2, xy, y^2 for the Hessian.

use super::sample::{AREA, CENTRE, Line, PATCH, Patch, sample_line};
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
            let mut columns = Columns::default();
            for (row, t) in template.as_chunks::<PATCH>().0.iter().enumerate() {
                let y = (row as i32 - CENTRE) as f32;
                let line = sample_line(gray, p.stride as usize, patch, y);
                columns.add(&line, t, (y, window[row]), &window);
            }
            *sums = columns.sums();
        }
    }
}

/// Sums down each column of a patch, with the powers of y: those of x follow at the end.
#[derive(Default)]
struct Columns {
    /// `[gx gx, gx gy, gy gy]` times 1, y, y^2.
    gg: [[[f32; PATCH]; 3]; 3],
    /// `[gx, gy]` times 1, y; of g, g I, g T.
    vectors: [[[[f32; PATCH]; 2]; 2]; 3],
    /// I, I^2, T, T^2, I T.
    it: [[f32; PATCH]; 5],
    count: [f32; PATCH],
}

impl Columns {
    /// Adds the row at `y`, which weighs `down` times `across`.
    #[inline(always)]
    fn add(&mut self, line: &Line, t: &[f32; PATCH], (y, down): (f32, f32), across: &[f32; PATCH]) {
        for k in 0..PATCH {
            let (w, value, t) = (across[k] * down, line.value[k], t[k]);
            let (gx, gy) = (line.gx[k], line.gy[k]);
            let (wx, wy) = (w * gx, w * gy);
            for (sum, m) in self.gg.iter_mut().zip([1.0, y, y * y]) {
                sum[0][k] += wx * gx * m;
                sum[1][k] += wx * gy * m;
                sum[2][k] += wy * gy * m;
            }
            for (vector, f) in self.vectors.iter_mut().zip([1.0, value, t]) {
                let (x, y1) = (wx * f, wy * f);
                vector[0][0][k] += x;
                vector[0][1][k] += y1;
                vector[1][0][k] += x * y;
                vector[1][1][k] += y1 * y;
            }
            for (sum, v) in self.it.iter_mut().zip([value, value * value, t, t * t, value * t]) {
                sum[k] += w * v;
            }
            self.count[k] += w;
        }
    }

    /// The patch's sums.
    fn sums(&self) -> PatchSums {
        /// Of the columns times x to the power of `power`.
        #[inline(always)]
        fn along(columns: &[f32; PATCH], power: i32) -> f32 {
            let mut terms = *columns;
            for (k, term) in terms.iter_mut().enumerate() {
                *term *= ((k as i32 - CENTRE) as f32).powi(power);
            }
            // In a tree, as a device would.
            let mut half = PATCH / 2;
            while half > 0 {
                for k in 0..half {
                    terms[k] += terms[k + half];
                }
                half /= 2;
            }
            terms[0]
        }
        let gg = |y: usize, x: i32| self.gg[y].map(|columns| along(&columns, x));
        let vector = |of: usize| -> [[f32; 2]; 3] {
            let [plain, by_y] = &self.vectors[of];
            [
                plain.map(|columns| along(&columns, 0)),
                plain.map(|columns| along(&columns, 1)),
                by_y.map(|columns| along(&columns, 0)),
            ]
        };
        PatchSums {
            gg: [gg(0, 0), gg(0, 1), gg(1, 0), gg(0, 2), gg(1, 1), gg(2, 0)],
            pad0: [0.0; 6],
            g: vector(0),
            gi: vector(1),
            gt: vector(2),
            it: std::array::from_fn(|k| along(&self.it[k], 0)),
            count: along(&self.count, 0),
        }
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
