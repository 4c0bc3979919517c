//! `calibrate`: unpacks the native samples, takes black level and master dark off and divides by the master flat, one
//! plane a colour; a mosaic stays one plane. Where planes are to be of half size, what comes out is the mean of each 2x2
//! cell: planes of full size never exist.

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
    /// Samples in a padded row of the dark.
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
    /// Pixels of the frame along each side of one that comes out: 1 or 2. An odd last column or row is dropped.
    pub bin: u32,
    /// Samples in a padded row of a plane that comes out.
    pub out_stride: u32,
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
    bin,
    out_stride,
    black,
    gain
});

impl CalibrateParams {
    /// The store of the planes that come out, and of the dark that goes in.
    #[must_use]
    pub fn stores(&self) -> (Store, Option<Store>) {
        let input = [Store::U8, Store::U16, Store::F32][self.input as usize];
        let (own, dark) = match self.mode {
            m if m == Mode::Copy as u32 => (input, None),
            m if m == Mode::Fixed as u32 => (Store::U16, Some(Store::U16)),
            _ => (Store::F32, Some(Store::F32)),
        };
        (if self.bin == 1 { own } else { own.of_sums() }, dark)
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
    const CHOICES: &'static [&'static str] = &["channels", "input", "mode", "flat", "bin"];
    type Params = CalibrateParams;

    fn rows(p: &CalibrateParams) -> u32 {
        p.height / p.bin
    }

    fn read_row_bytes(p: &CalibrateParams, k: usize) -> usize {
        let (_, dark) = p.stores();
        let row = match k {
            0 => (p.width * p.channels) as usize * [1, 2, 4][p.input as usize],
            _ => dark.map_or(0, |d| (words(d, p.stride) * 4) << p.flat),
        };
        row * p.bin as usize
    }

    fn write_row_words(p: &CalibrateParams, k: usize) -> usize {
        if k < p.channels as usize { words(p.stores().0, p.out_stride) } else { 0 }
    }

    fn groups(p: &CalibrateParams, rows: u32) -> [u32; 3] {
        [(p.out_stride / 4).div_ceil(64), rows, 1]
    }

    fn bytes(p: &CalibrateParams) -> u64 {
        let planes = p.channels as usize;
        let row = Self::read_row_bytes(p, 0)
            + planes * (Self::read_row_bytes(p, 1) + 4 * Self::write_row_words(p, 0));
        row as u64 * u64::from(Self::rows(p))
    }

    fn work(p: &CalibrateParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &CalibrateParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let (go, sum) = (Go { p, rows, reads }, |[a, b, c, d]: [u16; 4]| {
            (u32::from(a) + u32::from(b)) + (u32::from(c) + u32::from(d))
        });
        // Of the sum of four integers the mean is exact in f32.
        let (quarter, unit) = (0.25, 0.25 / (1_u32 << p.shift) as f32);
        match (p.input, p.mode) {
            (0, 0) => go.run(writes, |i: u8, _: u8, _| i, |v| sum(v.map(u16::from)) as u16),
            (1, 0) => go.run(writes, |i: u16, _: u16, _| i, |v| sum(v) as f32 * quarter),
            (_, 0) => go.run(writes, |i: f32, _: f32, _| finite(i), mean),
            (0, 1) => {
                go.run(writes, |i: u8, m, at| fixed(u16::from(i) << at.shift, m), |v| sum(v) as f32 * unit)
            }
            (1, 1) => go.run(writes, |i: u16, m, at| fixed(i << at.shift, m), |v| sum(v) as f32 * unit),
            (0, _) => float::<u8>(&go, writes, f32::from),
            (1, _) => float::<u16>(&go, writes, f32::from),
            (_, _) => float::<f32>(&go, writes, finite),
        }
    }
}

/// The modes in f32: `level` makes a level of a sample.
#[inline(always)]
fn float<I: Pod>(go: &Go, writes: &mut [&mut [u32]], level: impl Fn(I) -> f32 + Copy) {
    let guard = go.p.mode == Mode::Guarded as u32;
    let less = move |l: f32, m: f32| if !guard || l > m { l - m } else { l };
    if go.p.flat == 0 {
        go.run(writes, |i, m, at: At| less(level(i) - at.black, m) * at.gain, mean);
    } else {
        let flat = |i, [m, f]: [f32; 2], at: At| less(level(i) - at.black, m) * (at.gain * f);
        go.run(writes, flat, mean);
    }
}

#[inline(always)]
fn mean([a, b, c, d]: [f32; 4]) -> f32 {
    ((a + b) + (c + d)) * 0.25
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

/// Pixels of a row that are calibrated before they are averaged: few enough to stay in the nearest cache.
const PIECE: usize = 256;

/// What is calibrated, and where it lies.
struct Go<'a> {
    p: &'a CalibrateParams,
    rows: Range<u32>,
    reads: &'a [&'a [u32]],
}

impl Go<'_> {
    /// Calibrates the samples by `f`; where cells become one pixel, those of a cell by `cell`, row by row.
    #[inline(always)]
    fn run<I: Pod, D: Pod, T: Pod, O: Pod>(
        &self,
        writes: &mut [&mut [u32]],
        f: impl Fn(I, D, At) -> T + Copy,
        cell: impl Fn([T; 4]) -> O + Copy,
    ) {
        let (w, bin) = (self.p.width as usize, self.p.bin as usize);
        let out_stride = self.p.out_stride as usize;
        // Without a dark a slice of zeros of the row's length stands in, so that one loop serves both.
        let none = vec![D::zeroed(); w];
        let width = w / bin;
        let mut halves = [[[T::zeroed(); PIECE]; 3]; 2];
        for y in self.rows.clone() {
            let start = (y - self.rows.start) as usize * out_stride;
            let y = y as usize * bin;
            if bin == 1 {
                let mut planes = writes.iter_mut();
                let mut next = || planes.next().map_or(&mut [][..], |p| row_of::<T>(p, start, width));
                self.row(y, 0..w, &none, [next(), next(), next()], f);
                continue;
            }
            for from in (0..2 * width).step_by(PIECE) {
                let to = (from + PIECE).min(2 * width);
                for (k, half) in halves.iter_mut().enumerate() {
                    let [r, g, b] = half;
                    let n = to - from;
                    self.row(y + k, from..to, &none, [&mut r[..n], &mut g[..n], &mut b[..n]], f);
                }
                let [top, bottom] = &halves;
                for ((plane, top), bottom) in writes.iter_mut().zip(top).zip(bottom) {
                    if plane.is_empty() {
                        continue;
                    }
                    let out = &mut row_of::<O>(plane, start, width)[from / 2..to / 2];
                    let ((top, _), (bottom, _)) = (top.as_chunks::<2>(), bottom.as_chunks::<2>());
                    for ((o, t), b) in out.iter_mut().zip(top).zip(bottom) {
                        *o = cell([t[0], t[1], b[0], b[1]]);
                    }
                }
            }
        }
    }

    /// Calibrates the pixels `xs`, the first in an even column, of row `y` of the frame; `none` stands for a dark.
    #[inline(always)]
    fn row<I: Pod, D: Pod, T: Pod>(
        &self,
        y: usize,
        xs: Range<usize>,
        none: &[D],
        out: [&mut [T]; 3],
        f: impl Fn(I, D, At) -> T + Copy,
    ) {
        let p = self.p;
        let (w, stride, channels) = (p.width as usize, p.stride as usize, p.channels as usize);
        let raw = cast_slice::<u32, I>(self.reads[0]);
        let src = &raw[(y * w + xs.start) * channels..][..xs.len() * channels];
        let dark = |c: usize| match cast_slice::<u32, D>(self.reads[1 + c]) {
            [] => &none[xs.clone()],
            d => &d[y * stride + xs.start..][..xs.len()],
        };
        let at = |c: usize| {
            [0, 1].map(|x| {
                let cell = x + 2 * (y & 1);
                let (black, gain) = if channels == 1 { (cell, cell) } else { (0, c) };
                At { shift: p.shift, black: p.black[black], gain: p.gain[gain] }
            })
        };
        let [r, g, b] = out;
        if channels == 1 {
            let ([even, odd], dark) = (at(0), dark(0));
            // Pairs of columns: a mosaic's levels alternate.
            let ((pairs, last), (sources, single), (darks, _)) =
                (r.as_chunks_mut::<2>(), src.as_chunks::<2>(), dark.as_chunks::<2>());
            for ((o, i), m) in pairs.iter_mut().zip(sources).zip(darks) {
                *o = [f(i[0], m[0], even), f(i[1], m[1], odd)];
            }
            if let ([o, ..], [i, ..]) = (last, single) {
                *o = f(*i, dark[xs.len() - 1], even);
            }
            return;
        }
        let (dr, dg, db) = (dark(0), dark(1), dark(2));
        let [[at_r, _], [at_g, _], [at_b, _]] = [at(0), at(1), at(2)];
        let (pixels, _) = src.as_chunks::<3>();
        let n = xs.len().min(pixels.len());
        let (r, g, b) = (&mut r[..n], &mut g[..n], &mut b[..n]);
        for x in 0..n {
            let [i, j, k] = pixels[x];
            r[x] = f(i, dr[x], at_r);
            g[x] = f(j, dg[x], at_g);
            b[x] = f(k, db[x], at_b);
        }
    }
}

/// The row of `width` samples that begins at sample `start` of `plane`; empty where the plane is.
#[inline(always)]
fn row_of<T: Pod>(plane: &mut [u32], start: usize, width: usize) -> &mut [T] {
    match cast_slice_mut::<u32, T>(plane) {
        [] => &mut [],
        all => &mut all[start..][..width],
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
