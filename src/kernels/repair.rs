//! `repair`: hot pixels of a mosaic out, before colours are interpolated from them.

use super::window::{MARGIN, Window, mirror};
use super::{Access, Kernel, Read, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// A pixel is hot when it stands out of the six lowest of the 8 nearest pixels of its colour this many times as far as
/// the second highest of them does: as in kernel `gray`. Background noise passes about once in 10^4 pixels, and is then
/// replaced by neighbours' mean, which does no harm.
pub const HOT_RATIO: f32 = 4.0;
/// ... and when its direct neighbours stand out by less than this share of it. A star of FWHM 1.5 px on the middle of a
/// pixel gives them 0.29, more if it is wider or elsewhere.
pub const STAR_SHARE: f32 = 0.1;
/// More than any two levels differ by.
pub const NO_PAIR: f32 = 1e30;

/// Parameters of [`Repair`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct RepairParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of the mosaic.
    pub height: u32,
    /// Samples in a padded row.
    pub stride: u32,
    /// Words of a row of the list: see [`list_words`].
    pub words: u32,
    /// 1: find hot pixels by their neighbours; 0: repair those that are listed.
    pub find: u32,
    /// Zero.
    pub pad: u32,
}
params!(RepairParams { row0, rows, width, height, stride, words, find, pad });

/// Words of a row of a list of bad pixels: bit x of a row stands for pixel x.
#[must_use]
pub fn list_words(width: usize) -> usize {
    super::stride(width).div_ceil(32)
}

impl RepairParams {
    /// For a mosaic of `width` x `height` pixels.
    #[must_use]
    pub fn new((width, height): (usize, usize), find: bool) -> Self {
        RepairParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: super::stride(width) as u32,
            words: list_words(width) as u32,
            find: u32::from(find),
            pad: 0,
        }
    }
}

/// The kernel.
pub struct Repair;

impl Kernel for Repair {
    const NAME: &'static str = "repair";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/mirror.wgsl"), include_str!("../../shaders/repair.wgsl")];
    const READS: &'static [Read] = &[("mosaic", Access::Gathered), ("listed", Access::Gathered)];
    const WRITES: &'static [&'static str] = &["repaired"];
    const CHOICES: &'static [&'static str] = &["find"];
    type Params = RepairParams;

    fn rows(p: &RepairParams) -> u32 {
        p.height
    }

    fn write_row_words(p: &RepairParams, _: usize) -> usize {
        p.stride as usize
    }

    fn groups(p: &RepairParams, rows: u32) -> [u32; 3] {
        [p.stride.div_ceil(64), rows, 1]
    }

    fn bytes(p: &RepairParams) -> u64 {
        u64::from(p.height) * (8 * u64::from(p.stride) + 4 * u64::from(p.words * (1 - p.find)))
    }

    #[inline(always)]
    fn twin(p: &RepairParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let size = (p.width as usize, p.height as usize, p.stride as usize);
        let list = List { p, words: reads[1] };
        let mut window = Window::new(cast_slice(reads[0]), size, rows.start as usize);
        let out = cast_slice_mut::<u32, f32>(writes[0]).chunks_exact_mut(size.2);
        for (y, out) in rows.zip(out) {
            let out = &mut out[..size.0];
            out.copy_from_slice(&window.rows[2][MARGIN..][..size.0]);
            if p.find != 0 {
                find(&window.rows, y as usize, &list, out);
            } else {
                for x in list.of(y as usize) {
                    out[x] = mended(&window.rows, x, y as usize, &list);
                }
            }
            window.advance();
        }
    }
}

/// The list of bad pixels.
struct List<'a> {
    p: &'a RepairParams,
    words: &'a [u32],
}

impl List<'_> {
    /// The bad pixels of row `y`.
    fn of(&self, y: usize) -> impl Iterator<Item = usize> {
        let n = self.p.words as usize;
        self.words[y * n..][..n]
            .iter()
            .enumerate()
            .filter(|(_, w)| **w != 0)
            .flat_map(|(k, &word)| (0..32).filter(move |b| word >> b & 1 == 1).map(move |b| k * 32 + b))
    }

    /// Whether pixel (x, y) is bad; beside the frame none is.
    fn has(&self, x: isize, y: isize) -> bool {
        if self.p.find != 0 || x < 0 || x >= self.p.width as isize {
            return false;
        }
        let y = mirror(y, self.p.height as usize);
        self.words[y * self.p.words as usize + (x >> 5) as usize] >> (x & 31) & 1 == 1
    }
}

/// The 8 nearest pixels of the colour of pixel x: above, beside, below; and how far each is, columns and rows.
#[inline(always)]
fn ring(rows: &[Vec<f32>; 5], x: usize) -> [f32; 8] {
    let (a, h, b) = (&rows[0][x..x + 5], &rows[2][x..x + 5], &rows[4][x..x + 5]);
    [a[0], a[2], a[4], h[0], h[4], b[0], b[2], b[4]]
}

/// Six times the mean of the six lowest, and the second highest.
#[inline(always)]
fn low(r: &[f32; 8]) -> (f32, f32) {
    let (m, m2) = top4([r[0], r[1], r[2], r[3]]);
    let (n, n2) = top4([r[4], r[5], r[6], r[7]]);
    let (highest, next) = (max(m, n), max(min(m, n), max(m2, n2)));
    (r[0] + r[1] + r[2] + r[3] + r[4] + r[5] + r[6] + r[7] - highest - next, next)
}

/// Without the care of `f32::max` for NaN, of which there is none.
#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The two largest of four.
#[inline(always)]
fn top4(n: [f32; 4]) -> (f32, f32) {
    let (a, b) = (max(n[0], n[1]), min(n[0], n[1]));
    let (c, d) = (max(n[2], n[3]), min(n[2], n[3]));
    (max(a, c), max(min(a, c), max(b, d)))
}

/// Repairs the pixels of row `y` that stand out of their neighbours.
#[inline(always)]
fn find(rows: &[Vec<f32>; 5], y: usize, list: &List, out: &mut [f32]) {
    const BLOCK: usize = 64;
    let n = out.len();
    let row = |k: usize| &rows[k][..n + 2 * MARGIN];
    let (a, u, h, d, b) = (row(0), row(1), row(2), row(3), row(4));
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let mut hot = [false; BLOCK];
        for (x, hot) in (start..end).zip(&mut hot) {
            let (low, next) = low(&[a[x], a[x + 2], a[x + 4], h[x], h[x + 4], b[x], b[x + 2], b[x + 4]]);
            let out = 6.0 * h[x + 2] - low;
            let direct = u[x + 2] + d[x + 2] + h[x + 1] + h[x + 3];
            let knights = a[x + 1] + a[x + 3] + b[x + 1] + b[x + 3] + u[x] + u[x + 4] + d[x] + d[x + 4];
            *hot =
                (out > HOT_RATIO * (6.0 * next - low)) & (0.75 * (2.0 * direct - knights) < STAR_SHARE * out);
        }
        if hot.iter().any(|h| *h) {
            for x in (start..end).filter(|x| hot[x - start]) {
                out[x] = mended(rows, x, y, list);
            }
        }
    }
}

/// What becomes of a bad pixel: the mean of that pair of opposite good pixels of its colour that differs least.
fn mended(rows: &[Vec<f32>; 5], x: usize, y: usize, list: &List) -> f32 {
    let r = ring(rows, x);
    let (x, y) = (x as isize, y as isize);
    let mut best = (NO_PAIR, low(&r).0 / 6.0);
    for (a, b, dx, dy) in [(3, 4, 2, 0), (1, 6, 0, 2), (0, 7, 2, 2), (2, 5, -2, 2)] {
        let apart = (r[a] - r[b]).abs();
        if apart < best.0 && !list.has(x - dx, y - dy) && !list.has(x + dx, y + dy) {
            best = (apart, (r[a] + r[b]) * 0.5);
        }
    }
    best.1
}

/// Takes the hot pixels of `mosaic`, those `listed` or those found, out of it.
///
/// # Errors
/// Where the device fails.
pub fn repair<B: Backend>(
    backend: &mut B,
    p: &RepairParams,
    mosaic: &B::Buffer,
    listed: Option<&B::Buffer>,
    repaired: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Repair>(p, &[Some(mosaic), listed], &mut [Some(repaired)])
}
