//! `calibrate`: unpacks the native samples, takes black level and master dark off and divides by the master flat, one
//! plane a colour; a mosaic stays one plane.

use super::{Access, Kernel, Read, Store, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// What is done to a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// No dark: the sample is only moved to its plane, in its own type.
    Copy = 0,
    /// Guarded dark in fixed point: i' = i << shift; i' > m ? i' - m : i', all exact in 16 bits.
    Fixed = 1,
    /// In f32, with l = i - black: l > m ? l - m : l, times gain over flat.
    Guarded = 2,
    /// In f32: l - m, times gain over flat.
    Signed = 3,
}

/// Parameters of [`Calibrate`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CalibrateParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row of the frame.
    pub width: u32,
    /// Samples in a padded row of a plane.
    pub stride: u32,
    /// Rows of the frame.
    pub height: u32,
    /// Interleaved samples of a pixel: 1 or 3.
    pub channels: u32,
    /// [`Store`] of the native samples.
    pub input: u32,
    /// [`Mode`].
    pub mode: u32,
    /// Left shift of `Fixed`: 8 for 8-bit frames, 0 for 16-bit ones.
    pub shift: u32,
    /// 1: every sample of the dark is followed by 1 / flat. Only where the planes are f32.
    pub flat: u32,
    /// Zero.
    pub pad: [u32; 2],
    /// Black level of each pixel of a 2x2 cell, row by row, where the planes are f32.
    pub black: [f32; 4],
    /// What f32 planes are multiplied by: each pixel of a 2x2 cell, or, with three channels, each of them.
    pub gain: [f32; 4],
}
params!(CalibrateParams {
    row0,
    rows,
    width,
    stride,
    height,
    channels,
    input,
    mode,
    shift,
    flat,
    pad,
    black,
    gain
});

impl CalibrateParams {
    /// The store of the planes that come out, and of the dark that goes in.
    #[must_use]
    pub fn stores(&self) -> (Store, Option<Store>) {
        let input = [Store::U8, Store::U16, Store::F32][self.input as usize];
        match self.mode {
            m if m == Mode::Copy as u32 => (input, None),
            m if m == Mode::Fixed as u32 => (Store::U16, Some(Store::U16)),
            _ => (Store::F32, Some(Store::F32)),
        }
    }
}

/// The kernel.
pub struct Calibrate;

const fn words(store: Store, stride: u32) -> usize {
    super::PlaneFormat { store, unit: 1.0 }.row_words(stride as usize)
}

impl Kernel for Calibrate {
    const NAME: &'static str = "calibrate";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/calibrate.wgsl")];
    const READS: &'static [Read] = &[
        ("raw", Access::Streamed),
        ("dark0", Access::Streamed),
        ("dark1", Access::Streamed),
        ("dark2", Access::Streamed),
    ];
    const WRITES: &'static [&'static str] = &["plane0", "plane1", "plane2"];
    const CHOICES: &'static [&'static str] = &["channels", "input", "mode", "flat"];
    type Params = CalibrateParams;

    fn rows(p: &CalibrateParams) -> u32 {
        p.height
    }

    fn read_row_bytes(p: &CalibrateParams, k: usize) -> usize {
        let (_, dark) = p.stores();
        match k {
            0 => (p.width * p.channels) as usize * [1, 2, 4][p.input as usize],
            _ => dark.map_or(0, |d| (words(d, p.stride) * 4) << p.flat),
        }
    }

    fn write_row_words(p: &CalibrateParams, k: usize) -> usize {
        if k < p.channels as usize { words(p.stores().0, p.stride) } else { 0 }
    }

    fn groups(p: &CalibrateParams, rows: u32) -> [u32; 3] {
        [(p.stride / 4).div_ceil(64), rows, 1]
    }

    fn bytes(p: &CalibrateParams) -> u64 {
        let planes = p.channels as usize;
        let row = Self::read_row_bytes(p, 0)
            + planes * (Self::read_row_bytes(p, 1) + 4 * Self::write_row_words(p, 0));
        row as u64 * u64::from(p.height)
    }

    fn work(p: &CalibrateParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &CalibrateParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        match (p.input, p.mode) {
            (0, 0) => bands::<u8, u8, u8>(p, rows, reads, writes, |i, _, _| i),
            (1, 0) => bands::<u16, u16, u16>(p, rows, reads, writes, |i, _, _| i),
            (_, 0) => bands::<f32, f32, f32>(p, rows, reads, writes, |i, _, _| finite(i)),
            (0, 1) => {
                bands::<u8, u16, u16>(p, rows, reads, writes, |i, m, at| fixed(u16::from(i) << at.shift, m))
            }
            (1, 1) => bands::<u16, u16, u16>(p, rows, reads, writes, |i, m, at| fixed(i << at.shift, m)),
            (0, _) => float::<u8>(p, rows, reads, writes, f32::from),
            (1, _) => float::<u16>(p, rows, reads, writes, f32::from),
            (_, _) => float::<f32>(p, rows, reads, writes, finite),
        }
    }
}

/// The modes in f32: `level` makes a level of a sample.
#[inline(always)]
fn float<I: Pod>(
    p: &CalibrateParams,
    rows: Range<u32>,
    reads: &[&[u32]],
    writes: &mut [&mut [u32]],
    level: impl Fn(I) -> f32 + Copy,
) {
    let guard = p.mode == Mode::Guarded as u32;
    let less = move |l: f32, m: f32| if !guard || l > m { l - m } else { l };
    if p.flat == 0 {
        bands::<I, f32, f32>(p, rows, reads, writes, |i, m, at: At| less(level(i) - at.black, m) * at.gain);
    } else {
        bands::<I, [f32; 2], f32>(p, rows, reads, writes, |i, [m, f], at: At| {
            less(level(i) - at.black, m) * (at.gain * f)
        });
    }
}

#[inline(always)]
fn fixed(i: u16, m: u16) -> u16 {
    if i > m { i - m } else { i }
}

/// NaN and infinity (dead pixels in float files) become 0.
#[inline(always)]
fn finite(i: f32) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    if i.to_bits() & EXPONENT == EXPONENT { 0.0 } else { i }
}

/// What goes for one sample.
#[derive(Clone, Copy)]
struct At {
    shift: u32,
    black: f32,
    gain: f32,
}

#[inline(always)]
fn bands<I: Pod, D: Pod, O: Pod>(
    p: &CalibrateParams,
    rows: Range<u32>,
    reads: &[&[u32]],
    writes: &mut [&mut [u32]],
    f: impl Fn(I, D, At) -> O + Copy,
) {
    let (w, stride, channels) = (p.width as usize, p.stride as usize, p.channels as usize);
    let raw = cast_slice::<u32, I>(reads[0]);
    // Without a dark a slice of zeros of the row's length stands in, so that one loop serves both.
    let none = vec![D::zeroed(); w];
    for y in rows.clone() {
        let band = (y - rows.start) as usize;
        let y = y as usize;
        let src = &raw[y * w * channels..][..w * channels];
        let dark = |c: usize| match cast_slice::<u32, D>(reads[1 + c]) {
            [] => &none[..],
            d => &d[y * stride..][..w],
        };
        let at = |c: usize| {
            [0, 1].map(|x| {
                let cell = x + 2 * (y & 1);
                let (black, gain) = if channels == 1 { (cell, cell) } else { (0, c) };
                At { shift: p.shift, black: p.black[black], gain: p.gain[gain] }
            })
        };
        let out = band * stride..band * stride + w;
        if channels == 1 {
            let plane = &mut cast_slice_mut::<u32, O>(writes[0])[out];
            let ([even, odd], dark) = (at(0), dark(0));
            // Pairs of columns: a mosaic's levels alternate.
            let ((pairs, last), (sources, _), (darks, _)) =
                (plane.as_chunks_mut::<2>(), src.as_chunks::<2>(), dark.as_chunks::<2>());
            for ((o, i), m) in pairs.iter_mut().zip(sources).zip(darks) {
                *o = [f(i[0], m[0], even), f(i[1], m[1], odd)];
            }
            if let Some(o) = last.first_mut() {
                *o = f(src[w - 1], dark[w - 1], even);
            }
        } else {
            let [r, g, b, ..] = writes else { return };
            let r = &mut cast_slice_mut::<u32, O>(r)[out.clone()];
            let g = &mut cast_slice_mut::<u32, O>(g)[out.clone()];
            let b = &mut cast_slice_mut::<u32, O>(b)[out];
            let (dr, dg, db) = (dark(0), dark(1), dark(2));
            let [[at_r, _], [at_g, _], [at_b, _]] = [at(0), at(1), at(2)];
            let (pixels, _) = src.as_chunks::<3>();
            for x in 0..w.min(pixels.len()) {
                let [i, j, k] = pixels[x];
                r[x] = f(i, dr[x], at_r);
                g[x] = f(j, dg[x], at_g);
                b[x] = f(k, db[x], at_b);
            }
        }
    }
}

/// Calibrates the native samples in `raw`, with the planes of the master `dark` and `flat` (empty without), into `planes`
/// (as many as there are channels).
///
/// # Errors
/// Where the device fails.
pub fn calibrate<B: Backend>(
    backend: &mut B,
    p: &CalibrateParams,
    raw: &B::Buffer,
    dark: &[B::Buffer],
    planes: &mut [B::Buffer],
) -> Result<()> {
    let mut planes = planes.iter_mut();
    backend.run::<Calibrate>(
        p,
        &[Some(raw), dark.first(), dark.get(1), dark.get(2)],
        &mut [planes.next(), planes.next(), planes.next()],
    )
}
