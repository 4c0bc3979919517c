//! `demosaic`: the three colours of every pixel of a Bayer mosaic.

use super::window::{MARGIN, Window, mirror};
use super::{Access, Kernel, Read, params};
use crate::backend::Backend;
use crate::error::Result;
use crate::sensor::Bayer;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How missing colours are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum Method {
    /// The mean of the nearest pixels of the colour.
    Bilinear = 0,
    /// The same, corrected by the gradient of the colour at hand. Source: Malvar, He, Cutler, ICASSP 2004, fig. 2.
    Mhc = 1,
    /// A cell of 2x2 pixels becomes one: half the width and height.
    Superpixel = 2,
}

impl Method {
    /// As headers call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Bilinear => "bilinear interpolation",
            Method::Mhc => "Malvar-He-Cutler interpolation",
            Method::Superpixel => "superpixels",
        }
    }
}

/// Parameters of [`Demosaic`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct DemosaicParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row of the output.
    pub width: u32,
    /// Rows of the output.
    pub height: u32,
    /// Samples in a padded row of the output.
    pub stride: u32,
    /// Pixels in a row of the mosaic.
    pub from_width: u32,
    /// Rows of the mosaic.
    pub from_height: u32,
    /// Samples in a padded row of the mosaic.
    pub from_stride: u32,
    /// [`Method`].
    pub method: u32,
    /// [`Bayer`].
    pub pattern: u32,
    /// Zero.
    pub pad: [u32; 2],
}
params!(DemosaicParams {
    row0,
    rows,
    width,
    height,
    stride,
    from_width,
    from_height,
    from_stride,
    method,
    pattern,
    pad
});

impl DemosaicParams {
    /// For a mosaic of `width` x `height` pixels.
    #[must_use]
    pub fn new((width, height): (usize, usize), pattern: Bayer, method: Method) -> Self {
        let (w, h) = size((width, height), method);
        DemosaicParams {
            row0: 0,
            rows: 0,
            width: w as u32,
            height: h as u32,
            stride: super::stride(w) as u32,
            from_width: width as u32,
            from_height: height as u32,
            from_stride: super::stride(width) as u32,
            method: method as u32,
            pattern: pattern as u32,
            pad: [0; 2],
        }
    }
}

/// Width and height of what `method` makes of a mosaic of `width` x `height`.
#[must_use]
pub fn size((width, height): (usize, usize), method: Method) -> (usize, usize) {
    match method {
        Method::Superpixel => ((width / 2).max(1), (height / 2).max(1)),
        Method::Bilinear | Method::Mhc => (width, height),
    }
}

/// The kernel.
pub struct Demosaic;

impl Kernel for Demosaic {
    const NAME: &'static str = "demosaic";
    const SOURCE: &'static [&'static str] = &[
        include_str!("../../shaders/lib/mirror.wgsl"),
        include_str!("../../shaders/lib/window.wgsl"),
        include_str!("../../shaders/demosaic.wgsl"),
    ];
    const READS: &'static [Read] = &[("mosaic", Access::Gathered)];
    const WRITES: &'static [&'static str] = &["plane0", "plane1", "plane2"];
    const CHOICES: &'static [&'static str] = &["method"];
    type Params = DemosaicParams;

    fn rows(p: &DemosaicParams) -> u32 {
        p.height
    }

    fn write_row_words(p: &DemosaicParams, _: usize) -> usize {
        p.stride as usize
    }

    fn groups(p: &DemosaicParams, rows: u32) -> [u32; 3] {
        [(p.stride / 4).div_ceil(64), rows, 1]
    }

    fn bytes(p: &DemosaicParams) -> u64 {
        4 * (u64::from(p.from_stride * p.from_height) + 3 * u64::from(p.stride * p.height))
    }

    #[inline(always)]
    fn twin(p: &DemosaicParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let mosaic = cast_slice::<u32, f32>(reads[0]);
        let [r, g, b] = writes else { return };
        let stride = p.stride as usize;
        let planes = cast_slice_mut::<u32, f32>(r)
            .chunks_exact_mut(stride)
            .zip(cast_slice_mut::<u32, f32>(g).chunks_exact_mut(stride))
            .zip(cast_slice_mut::<u32, f32>(b).chunks_exact_mut(stride));
        let w = p.width as usize;
        if p.method == Method::Superpixel as u32 {
            for (y, ((r, g), b)) in rows.zip(planes) {
                cells(p, mosaic, y as usize, [&mut r[..w], &mut g[..w], &mut b[..w]]);
            }
            return;
        }
        let size = (p.from_width as usize, p.from_height as usize, p.from_stride as usize);
        let mut window = Window::new(mosaic, size, rows.start as usize);
        for (y, ((r, g), b)) in rows.zip(planes) {
            let red_row = y & 1 == p.pattern >> 1;
            let first = (p.pattern & 1 == 0) == red_row;
            let (its, not_its) = if red_row { (r, b) } else { (b, r) };
            let out = [&mut its[..w], &mut g[..w], &mut not_its[..w]];
            match p.method {
                m if m == Method::Bilinear as u32 => pixels(&window.rows, first, out, bilinear),
                _ => pixels(&window.rows, first, out, mhc),
            }
            window.advance();
        }
    }
}

/// Sums around a pixel: beside it, above and below, diagonally; and of those two pixels away.
#[derive(Clone, Copy)]
struct Around {
    here: f32,
    side: f32,
    upright: f32,
    slanted: f32,
    side2: f32,
    upright2: f32,
}

/// Green, the colour across, that along the row and the other one.
#[inline(always)]
fn bilinear(a: Around) -> [f32; 4] {
    [(a.side + a.upright) * 0.25, a.slanted * 0.25, a.side * 0.5, a.upright * 0.5]
}

#[inline(always)]
fn mhc(a: Around) -> [f32; 4] {
    let all2 = a.side2 + a.upright2;
    [
        (4.0 * a.here + 2.0 * (a.side + a.upright) - all2) * 0.125,
        (6.0 * a.here + 2.0 * a.slanted - 1.5 * all2) * 0.125,
        (5.0 * a.here + 4.0 * a.side - a.slanted - a.side2 + 0.5 * a.upright2) * 0.125,
        (5.0 * a.here + 4.0 * a.upright - a.slanted - a.upright2 + 0.5 * a.side2) * 0.125,
    ]
}

/// A row, whose colour beside green stands in the `first` column or the second: into that colour, green, and the third.
#[inline(always)]
fn pixels(
    rows: &[Vec<f32>; 5],
    first: bool,
    [its, green, not_its]: [&mut [f32]; 3],
    f: impl Fn(Around) -> [f32; 4] + Copy,
) {
    let n = its.len();
    let row = |k: usize, shift: usize| &rows[k][shift..][..n];
    let (a2, b2) = (row(0, MARGIN), row(4, MARGIN));
    let (u0, u1, u2) = (row(1, 1), row(1, 2), row(1, 3));
    let (h0, h1, h2, h3, h4) = (row(2, 0), row(2, 1), row(2, 2), row(2, 3), row(2, 4));
    let (d0, d1, d2) = (row(3, 1), row(3, 2), row(3, 3));
    let (green, not_its) = (&mut green[..n], &mut not_its[..n]);
    for x in 0..n {
        let around = Around {
            here: h2[x],
            side: h1[x] + h3[x],
            upright: u1[x] + d1[x],
            slanted: (u0[x] + u2[x]) + (d0[x] + d2[x]),
            side2: h0[x] + h4[x],
            upright2: a2[x] + b2[x],
        };
        let [at_own, across, along, other] = f(around);
        let own = (x & 1 == 0) == first;
        its[x] = if own { h2[x] } else { along };
        green[x] = if own { at_own } else { h2[x] };
        not_its[x] = if own { across } else { other };
    }
}

/// Row `y` of cells.
#[inline(always)]
fn cells(p: &DemosaicParams, mosaic: &[f32], y: usize, [r, g, b]: [&mut [f32]; 3]) {
    let (w, stride) = (p.from_width as usize, p.from_stride as usize);
    let row = |k: usize| &mosaic[mirror((2 * y + k) as isize, p.from_height as usize) * stride..][..w];
    let (top, bottom) = (row(0), row(1));
    for x in 0..r.len() {
        let (i, j) = (mirror(2 * x as isize, w), mirror(2 * x as isize + 1, w));
        let (a, b_, c, d) = (top[i], top[j], bottom[i], bottom[j]);
        let (red, greens, blue) = match p.pattern {
            0 => (a, b_ + c, d),
            1 => (b_, a + d, c),
            2 => (c, a + d, b_),
            _ => (d, b_ + c, a),
        };
        (r[x], g[x], b[x]) = (red, greens * 0.5, blue);
    }
}

/// Makes the colour `planes` of `mosaic`.
///
/// # Errors
/// Where the device fails.
pub fn demosaic<B: Backend>(
    backend: &mut B,
    p: &DemosaicParams,
    mosaic: &B::Buffer,
    planes: &mut [B::Buffer],
) -> Result<()> {
    let mut planes = planes.iter_mut();
    backend.run::<Demosaic>(p, &[Some(mosaic)], &mut [planes.next(), planes.next(), planes.next()])
}
