//! `present`: the stack as an 8-bit picture.

use super::whole::clamped;
use super::{Access, Kernel, Read, params, shared};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// How a linear value in [0, 1] is shown: a black point, a straight line, then the midtones transfer function.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Stretch {
    /// Value that becomes black.
    pub shadow: f32,
    /// What is left is multiplied by this, and cut off at 1.
    pub slope: f32,
    /// Value, after that, that becomes 1/2; 0.5 leaves the rest linear.
    pub midtone: f32,
    /// Zero.
    pub pad: f32,
}
shared!(Stretch { shadow, slope, midtone, pad });

impl Stretch {
    /// Shows values as they are.
    pub const NONE: Stretch = Stretch { shadow: 0.0, slope: 1.0, midtone: 0.5, pad: 0.0 };

    /// The stretched value of `v`, in [0, 1]. Source: the midtones transfer function of XISF 1.0, 8.5.6.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, v: f32) -> f32 {
        if self == Stretch::NONE {
            return v.clamp(0.0, 1.0);
        }
        let x = ((v - self.shadow) * self.slope).clamp(0.0, 1.0);
        let m = self.midtone;
        (m - 1.0) * x / ((2.0 * m - 1.0) * x - m)
    }
}

/// What is done beside scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Curve {
    /// Nothing: the floor of the scaled value.
    None = 0,
    /// The [`Stretch`] of each plane.
    Stretch = 1,
    /// And the transfer function of sRGB after it.
    Gamma = 2,
}

/// sRGB, IEC 61966-2-1: the slope of its straight part, and where that ends.
const STRAIGHT: f32 = 12.92;
/// See [`STRAIGHT`].
const KNEE: f32 = 0.003_130_8;
/// Beyond it: the coefficients of x, its square root, fourth and eighth root that come nearest to
/// 1.055 x^(1 / 2.4) - 0.055, everywhere within 3.2e-5 (0.008 of an 8-bit level), and a constant.
const CURVE: [f32; 4] = [-0.020_187_51, 0.653_985_4, 0.688_708_54, -0.318_468_78];
/// See [`CURVE`].
const CURVE_END: f32 = -0.004_068_903;

/// The transfer function of sRGB: linear `x` to what a screen is given, both in [0, 1].
#[inline(always)]
#[must_use]
pub fn gamma(x: f32) -> f32 {
    let a = x.sqrt();
    let b = a.sqrt();
    let c = b.sqrt();
    let bent = CURVE[0] * x + CURVE[1] * a + CURVE[2] * b + CURVE[3] * c + CURVE_END;
    if x <= KNEE { STRAIGHT * x } else { bent }
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
    /// [`Curve`].
    pub stretched: u32,
    /// 1: the matrix is applied first (three planes, and a curve).
    pub coloured: u32,
    /// 8-bit levels of one level of the stack: 255 / white, or 255 / maximum.
    pub scale: f32,
    /// Zero.
    pub pad: [u32; 3],
    /// Stretch of each plane.
    pub stretch: [Stretch; 3],
    /// From the stack's colours to linear sRGB, row by row.
    pub matrix: [f32; 9],
    /// Zero.
    pub end: [u32; 3],
}
params!(PresentParams {
    row0,
    rows,
    width,
    height,
    stride,
    channels,
    stretched,
    coloured,
    scale,
    pad,
    stretch,
    matrix,
    end
});

/// The kernel. Writes interleaved bytes, rows of `stride` pixels; the padding is 0.
pub struct Present;

impl Kernel for Present {
    const NAME: &'static str = "present";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/present.wgsl")];
    const READS: &'static [Read] =
        &[("stack0", Access::Streamed), ("stack1", Access::Streamed), ("stack2", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["picture"];
    const CHOICES: &'static [&'static str] = &["channels", "stretched", "coloured"];
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
        let mut bytes = [[0_u8; PIECE]; 3];
        for (y, row) in rows.zip(picture.chunks_exact_mut(stride * channels)) {
            for x in (0..w).step_by(PIECE) {
                let n = PIECE.min(w - x);
                let from = y as usize * stride + x;
                let lines = [0, 1, 2].map(|c| &planes[c][from..from + n]);
                let out = &mut row[x * channels..][..n * channels];
                if p.coloured != 0 && channels == 3 {
                    mix(p, lines, &mut bytes);
                } else {
                    for c in 0..channels {
                        for (out, &s) in bytes[c].iter_mut().zip(lines[c]) {
                            *out = byte(p, s, p.stretch[c]);
                        }
                    }
                }
                let [r, g, b] = &bytes;
                if channels == 3 {
                    for (k, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        *out = [r[k], g[k], b[k]];
                    }
                } else {
                    out.copy_from_slice(&r[..n]);
                }
            }
        }
    }
}

/// Pixels of a row that are made together, a channel at a time: vectors do not like interleaved ones.
const PIECE: usize = 512;

/// The bytes of a piece whose colours are the sensor's.
#[inline(always)]
fn mix(p: &PresentParams, lines: [&[f32]; 3], bytes: &mut [[u8; PIECE]; 3]) {
    let n = lines[0].len();
    let mut v = [[0.0_f32; PIECE]; 3];
    for (v, line) in v.iter_mut().zip(lines) {
        for (v, &s) in v.iter_mut().zip(line) {
            // What is clipped in the sensor is white.
            *v = min(s * p.scale / MAX, 1.0);
        }
    }
    let [r, g, b] = &v;
    for (c, out) in bytes.iter_mut().enumerate() {
        let [m0, m1, m2] = [0, 1, 2].map(|k| p.matrix[3 * c + k]);
        for k in 0..n {
            out[k] = stretched(p, m0 * r[k] + m1 * g[k] + m2 * b[k], p.stretch[c]);
        }
    }
}

const MAX: f32 = 255.0;

/// Without the care of `f32::min` for NaN, of which there is none.
#[inline(always)]
fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The byte for level `s` of the stack.
#[inline(always)]
fn byte(p: &PresentParams, s: f32, stretch: Stretch) -> u8 {
    let shown = s * p.scale;
    if p.stretched == Curve::None as u32 {
        return clamped(shown, MAX) as u8;
    }
    stretched(p, shown / MAX, stretch)
}

/// The byte for the value `v`.
#[inline(always)]
fn stretched(p: &PresentParams, v: f32, stretch: Stretch) -> u8 {
    let x = stretch.apply(v);
    let x = if p.stretched == Curve::Gamma as u32 { gamma(x) } else { x };
    clamped(x * MAX, MAX) as u8
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_is_that_of_srgb() {
        for k in 0..=100_000 {
            let x = f64::from(k) / 1e5;
            let exact = if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
            assert!((f64::from(gamma(x as f32)) - exact).abs() * 255.0 < 0.01, "{x}");
        }
    }
}
