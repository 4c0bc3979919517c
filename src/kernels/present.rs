//! `present`: the stack as an 8-bit picture.

use super::{Access, Kernel, Read, params, shared};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// How a linear value in [0, 1] is shown: black point, then the midtones transfer function.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Stretch {
    /// Value that becomes black.
    pub shadow: f32,
    /// Value, after the black point, that becomes 1/2; 0.5 leaves the rest linear.
    pub midtone: f32,
}
shared!(Stretch { shadow, midtone });

impl Stretch {
    /// Shows values as they are.
    pub const NONE: Stretch = Stretch { shadow: 0.0, midtone: 0.5 };

    /// The stretched value of `v`, both in [0, 1]. Source: the midtones transfer function of XISF 1.0, 8.5.6.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, v: f32) -> f32 {
        if self == Stretch::NONE {
            return v;
        }
        let x = ((v - self.shadow) / (1.0 - self.shadow)).clamp(0.0, 1.0);
        let m = self.midtone;
        (m - 1.0) * x / ((2.0 * m - 1.0) * x - m)
    }
}

/// Parameters of [`Present`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct PresentParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of the stack.
    pub height: u32,
    /// Samples in a padded row of the stack and of the picture.
    pub stride: u32,
    /// Planes: 1 or 3.
    pub channels: u32,
    /// 1: stretch; 0: floor of the scaled value.
    pub stretched: u32,
    /// 8-bit levels of one level of the stack: 255 / white, or 255 / maximum.
    pub scale: f32,
    /// Stretch of each plane.
    pub stretch: [Stretch; 3],
    /// Zero.
    pub pad: [u32; 2],
}
params!(PresentParams { row0, rows, width, height, stride, channels, stretched, scale, stretch, pad });

/// The kernel. Writes interleaved bytes, rows of `stride` pixels; the padding is 0.
pub struct Present;

impl Kernel for Present {
    const NAME: &'static str = "present";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/present.wgsl")];
    const READS: &'static [Read] =
        &[("stack0", Access::Streamed), ("stack1", Access::Streamed), ("stack2", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["picture"];
    const CHOICES: &'static [&'static str] = &["channels", "stretched"];
    type Params = PresentParams;

    fn rows(p: &PresentParams) -> u32 {
        p.height
    }

    fn read_row_bytes(p: &PresentParams, _: usize) -> usize {
        p.stride as usize * 4
    }

    fn write_row_words(p: &PresentParams, _: usize) -> usize {
        (p.stride * p.channels) as usize / 4
    }

    fn groups(p: &PresentParams, rows: u32) -> [u32; 3] {
        [(p.stride / 4).div_ceil(64), rows, 1]
    }

    fn bytes(p: &PresentParams) -> u64 {
        u64::from(p.stride * p.channels) * u64::from(p.height) * 5
    }

    fn work(p: &PresentParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &PresentParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let (w, stride, channels) = (p.width as usize, p.stride as usize, p.channels as usize);
        let planes: [&[f32]; 3] = std::array::from_fn(|c| cast_slice(reads[c.min(channels - 1)]));
        let picture = cast_slice_mut::<u32, u8>(writes[0]);
        for (y, row) in rows.zip(picture.chunks_exact_mut(stride * channels)) {
            let from = y as usize * stride;
            for c in 0..channels {
                let line = &planes[c][from..from + w];
                for (&s, out) in line.iter().zip(row[c..].iter_mut().step_by(channels)) {
                    *out = byte(p, s, p.stretch[c]);
                }
            }
        }
    }
}

/// The byte for level `s` of the stack.
#[inline(always)]
fn byte(p: &PresentParams, s: f32, stretch: Stretch) -> u8 {
    const MAX: f32 = 255.0;
    let shown = s * p.scale;
    if p.stretched == 0 {
        return shown.clamp(0.0, MAX) as u8;
    }
    (stretch.apply((shown / MAX).clamp(0.0, 1.0)) * MAX).clamp(0.0, MAX) as u8
}

/// Makes the 8-bit `picture` of the `stack`'s planes.
///
/// # Errors
/// Where the device fails.
pub fn present<B: Backend>(
    backend: &mut B,
    p: &PresentParams,
    stack: &[B::Buffer],
    picture: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Present>(p, &[stack.first(), stack.get(1), stack.get(2)], &mut [Some(picture)])
}
