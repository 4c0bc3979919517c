//! `template`: the pixels of the reference's patches, smoothed and less their background: what ECC matches.

use super::sample::{AREA, CENTRE, PATCH, Patch, sample_line};
use super::{Access, Kernel, Read, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// Parameters of [`Template`] and [`Ecc`](super::ecc::Ecc).
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct PatchParams {
    /// First patch of the band.
    pub row0: u32,
    /// Patches of the band.
    pub rows: u32,
    /// Patches in all.
    pub patches: u32,
    /// Samples in a padded row of the gray plane.
    pub stride: u32,
    /// ECC's window: a pixel at distance r from the patch's centre weighs exp(-r^2 window), 1/px^2; 0: all alike.
    pub window: f32,
    /// Zero.
    pub pad0: u32,
    /// Zero.
    pub pad1: u32,
    /// Zero.
    pub pad2: u32,
}
params!(PatchParams { row0, rows, patches, stride, window, pad0, pad1, pad2 });

/// The kernel. Writes 256 f32 a patch, gray units, row-major.
pub struct Template;

impl Kernel for Template {
    const NAME: &'static str = "template";
    // WGSL reserves the word `template`.
    const ENTRY: &'static str = "cut_template";
    const SOURCE: &'static [&'static str] = &[
        include_str!("../../shaders/lib/plane.wgsl"),
        include_str!("../../shaders/lib/sample.wgsl"),
        include_str!("../../shaders/template.wgsl"),
    ];
    const READS: &'static [Read] = &[("gray", Access::Gathered), ("patches", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["template_px"];
    type Params = PatchParams;

    fn rows(p: &PatchParams) -> u32 {
        p.patches
    }

    fn read_row_bytes(_: &PatchParams, k: usize) -> usize {
        if k == 1 { size_of::<Patch>() } else { 0 }
    }

    fn write_row_words(_: &PatchParams, _: usize) -> usize {
        AREA
    }

    fn groups(_: &PatchParams, rows: u32) -> [u32; 3] {
        [rows, 1, 1]
    }

    fn bytes(p: &PatchParams) -> u64 {
        u64::from(p.patches) * (AREA * (2 + 4)) as u64
    }

    fn work(p: &PatchParams) -> u64 {
        u64::from(p.patches) * (AREA as u64)
    }

    #[inline(always)]
    fn twin(p: &PatchParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let gray = cast_slice::<u32, u16>(reads[0]);
        let patches = cast_slice::<u32, Patch>(reads[1]);
        let out = cast_slice_mut::<u32, f32>(writes[0]);
        for (k, px) in rows.zip(out.chunks_exact_mut(AREA)) {
            let patch = &patches[k as usize];
            if patch.inside == 0 {
                px.fill(0.0);
                continue;
            }
            for (row, out) in px.as_chunks_mut::<PATCH>().0.iter_mut().enumerate() {
                let dy = (row as i32 - CENTRE) as f32;
                *out = sample_line(gray, p.stride as usize, patch, dy).value;
            }
        }
    }
}

/// Cuts `patches` out of `gray` into `template_px`.
///
/// # Errors
/// Where the device fails.
pub fn template<B: Backend>(
    backend: &mut B,
    p: &PatchParams,
    gray: &B::Buffer,
    patches: &B::Buffer,
    template_px: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Template>(p, &[Some(gray), Some(patches)], &mut [Some(template_px)])
}
