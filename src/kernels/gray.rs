//! `gray`: luminance for alignment, with isolated hot pixels taken out.
//!
//! The gray plane is unsigned 16 bit, in units of white / [`SPAN`] on a pedestal, whatever the frame's type:
//! half the memory of f32, and integer arithmetic that is the same on every device.

use super::whole::clamped;
use super::{Access, Kernel, PlaneFormat, Read, Store, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// Gray units of white: 90 % of 16 bits, so that noise above white and below black still fits.
pub const SPAN: f32 = 58981.0;
/// Gray value of level 0: 5 % of 16 bits, room for the negative samples of a signed dark.
pub const PEDESTAL: u32 = 3277;
/// A pixel is hot when it stands out of its six lowest neighbours this many times as far as its second
/// highest neighbour does. The core of a star of FWHM 1.5 px reaches 3.4; background noise passes 4 about
/// once in 10^4 pixels, and is then replaced by its neighbours' mean, which does no harm.
pub const HOT_RATIO: i32 = 4;
/// Luminance weights of red, green, blue in 1/32768: 0.299, 0.587, 0.114 (they sum to 32768).
pub const WEIGHTS: [u32; 3] = [9798, 19235, 3735];
/// The sum of [`WEIGHTS`].
pub const WEIGHT_SUM: u32 = 32768;

/// Parameters of [`Gray`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct GrayParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of the frame.
    pub height: u32,
    /// Samples in a padded row.
    pub stride: u32,
    /// Colour planes: 1 or 3.
    pub channels: u32,
    /// [`Store`] of the colour planes.
    pub store: u32,
    /// Gray units of one weighted sum: [`SPAN`] * unit / white, over [`WEIGHT_SUM`].
    pub scale: f32,
}
params!(GrayParams { row0, rows, width, height, stride, channels, store, scale });

impl GrayParams {
    /// For `channels` planes of `format` and `width` x `height`, with the level of white.
    #[must_use]
    pub fn new((width, height): (usize, usize), channels: usize, format: PlaneFormat, white: f32) -> Self {
        GrayParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: super::stride(width) as u32,
            channels: channels as u32,
            store: format.store as u32,
            scale: Self::scale(format.unit, white),
        }
    }

    /// The factor `scale` for planes in units of `unit` levels.
    #[must_use]
    pub fn scale(unit: f32, white: f32) -> f32 {
        SPAN * unit / (white * WEIGHT_SUM as f32)
    }
}

/// The kernel.
pub struct Gray;

impl Kernel for Gray {
    const NAME: &'static str = "gray";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/gray.wgsl")];
    const READS: &'static [Read] =
        &[("plane0", Access::Gathered), ("plane1", Access::Gathered), ("plane2", Access::Gathered)];
    const WRITES: &'static [&'static str] = &["gray_px"];
    const CHOICES: &'static [&'static str] = &["channels", "store"];
    type Params = GrayParams;

    fn rows(p: &GrayParams) -> u32 {
        p.height
    }

    fn write_row_words(p: &GrayParams, _: usize) -> usize {
        p.stride as usize / 2
    }

    fn groups(p: &GrayParams, rows: u32) -> [u32; 3] {
        [p.stride.div_ceil(32), rows.div_ceil(32), 1]
    }

    fn bytes(p: &GrayParams) -> u64 {
        let sample = [1, 2, 4][p.store as usize] * u64::from(p.channels);
        u64::from(p.stride) * u64::from(p.height) * (sample + 2)
    }

    fn work(p: &GrayParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &GrayParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        match p.store {
            s if s == Store::U8 as u32 => bands::<u8>(p, rows, reads, writes, integer),
            s if s == Store::U16 as u32 => bands::<u16>(p, rows, reads, writes, integer),
            _ => bands::<f32>(p, rows, reads, writes, real),
        }
    }
}

/// Highest gray value above the pedestal.
const HIGHEST: f32 = 65535.0 - PEDESTAL as f32;

/// Gray of integer samples: an exact sum, one rounding (the product), truncated.
#[inline(always)]
fn integer<T: Into<u32>>(rgb: [T; 3], scale: f32) -> u16 {
    let [r, g, b] = rgb.map(Into::into);
    // At most 65535 * 32768, so i32 holds it: signed conversions are what vector units have.
    let sum = (r * WEIGHTS[0] + g * WEIGHTS[1] + b * WEIGHTS[2]) as i32;
    (clamped(sum as f32 * scale, HIGHEST) + PEDESTAL) as u16
}

/// Gray of f32 samples.
#[inline(always)]
fn real(rgb: [f32; 3], scale: f32) -> u16 {
    let [r, g, b] = rgb;
    let sum = r * WEIGHTS[0] as f32 + g * WEIGHTS[1] as f32 + b * WEIGHTS[2] as f32;
    clamped(sum * scale + PEDESTAL as f32, 65535.0) as u16
}

#[inline(always)]
fn bands<T: Pod>(
    p: &GrayParams,
    rows: Range<u32>,
    reads: &[&[u32]],
    writes: &mut [&mut [u32]],
    gray: impl Fn([T; 3], f32) -> u16 + Copy,
) {
    let (w, h, stride) = (p.width as usize, p.height as usize, p.stride as usize);
    let planes: [&[T]; 3] = std::array::from_fn(|c| cast_slice(reads[c.min(p.channels as usize - 1)]));
    let out = cast_slice_mut::<u32, u16>(writes[0]);
    // Three rows of luminance travel down the band.
    let mut window = [vec![0_u16; w], vec![0_u16; w], vec![0_u16; w]];
    let first = rows.start as usize;
    luminance(p, &planes, first.saturating_sub(1), &mut window[0], gray);
    luminance(p, &planes, first, &mut window[1], gray);
    for y in first..rows.end as usize {
        luminance(p, &planes, (y + 1).min(h - 1), &mut window[2], gray);
        let row = &mut out[(y - first) * stride..][..w];
        if y == 0 || y == h - 1 || w < 3 {
            row.copy_from_slice(&window[1]);
        } else {
            let [above, here, below] = &window;
            row[0] = here[0];
            row[w - 1] = here[w - 1];
            repair(above, here, below, row);
        }
        window.rotate_left(1);
    }
}

/// Gray of row `y`.
#[inline(always)]
fn luminance<T: Pod>(
    p: &GrayParams,
    planes: &[&[T]; 3],
    y: usize,
    row: &mut [u16],
    gray: impl Fn([T; 3], f32) -> u16,
) {
    let (w, stride) = (p.width as usize, p.stride as usize);
    let [r, g, b] = planes.map(|s| &s[y * stride..][..w]);
    let (row, scale) = (&mut row[..w], p.scale);
    for x in 0..w {
        row[x] = gray([r[x], g[x], b[x]], scale);
    }
}

/// Replaces the inner pixels that stand out of their neighbours; see [`HOT_RATIO`].
///
/// With m the second highest neighbour and d the sum of what the others lie below it, the six lowest sum to 6 m - d, and
/// a pixel c is hot where 2 (c - m) > d. That fits 16 bits, and so 16 pixels a vector, but for the brightest contrasts.
#[inline(always)]
fn repair(above: &[u16], here: &[u16], below: &[u16], out: &mut [u16]) {
    const { assert!(HOT_RATIO == 4, "6 c - low > 4 (6 m - low) is 2 (c - m) > d") };
    /// From here on d may have been cut off.
    const CUT: u16 = u16::MAX - 2;
    let n = out.len() - 2;
    let (a0, a1, a2) = (&above[..n], &above[1..][..n], &above[2..][..n]);
    let (h0, h1, h2) = (&here[..n], &here[1..][..n], &here[2..][..n]);
    let (b0, b1, b2) = (&below[..n], &below[1..][..n], &below[2..][..n]);
    let inner = &mut out[1..][..n];
    let mut cut = 0;
    for x in 0..n {
        let (p, q) = top4([a0[x], a1[x], a2[x], h0[x]]);
        let (r, s) = top4([h2[x], b0[x], b1[x], b2[x]]);
        let m = p.min(r).max(q).max(s);
        let d = m
            .saturating_sub(a0[x])
            .saturating_add(m.saturating_sub(a1[x]))
            .saturating_add(m.saturating_sub(a2[x]))
            .saturating_add(m.saturating_sub(h0[x]))
            .saturating_add(m.saturating_sub(h2[x]))
            .saturating_add(m.saturating_sub(b0[x]))
            .saturating_add(m.saturating_sub(b1[x]))
            .saturating_add(m.saturating_sub(b2[x]));
        let c = h1[x];
        let hot = c.saturating_sub(m) > d >> 1;
        // A sixth of 6 m - d, to the nearest.
        let mean = m.wrapping_sub(d.wrapping_add(2) / 6);
        inner[x] = if hot { mean } else { c };
        cut |= if hot & (d >= CUT) { 1 } else { 0_u16 };
    }
    if cut != 0 {
        contrasts([above, here, below], out);
    }
}

/// The same in 32 bits.
#[cold]
fn contrasts([above, here, below]: [&[u16]; 3], out: &mut [u16]) {
    for x in 1..out.len() - 1 {
        let around = [
            above[x - 1],
            above[x],
            above[x + 1],
            here[x - 1],
            here[x + 1],
            below[x - 1],
            below[x],
            below[x + 1],
        ];
        let [a, b, c, d, e, f, g, h] = around;
        let ((p, q), (r, s)) = (top4([a, b, c, d]), top4([e, f, g, h]));
        let (first, second) = (i32::from(p.max(r)), i32::from(p.min(r).max(q).max(s)));
        let low = around.map(i32::from).iter().sum::<i32>() - first - second;
        let c = i32::from(here[x]);
        let hot = 6 * c - low > HOT_RATIO * (6 * second - low);
        out[x] = if hot { ((low + 3) / 6) as u16 } else { here[x] };
    }
}

/// The two largest of four.
#[inline(always)]
fn top4(n: [u16; 4]) -> (u16, u16) {
    let (a, b) = (n[0].max(n[1]), n[0].min(n[1]));
    let (c, d) = (n[2].max(n[3]), n[2].min(n[3]));
    (a.max(c), a.min(c).max(b).max(d))
}

/// Makes the gray plane of the colour `planes`.
///
/// # Errors
/// Where the device fails.
pub fn gray<B: Backend>(
    backend: &mut B,
    p: &GrayParams,
    planes: &[B::Buffer],
    gray: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Gray>(p, &[planes.first(), planes.get(1), planes.get(2)], &mut [Some(gray)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(frame: &[u16], w: u32, h: u32) -> Vec<u16> {
        let stride = super::super::stride(w as usize);
        let mut plane = vec![0_u16; stride * h as usize];
        for y in 0..h as usize {
            for x in 0..w as usize {
                plane[y * stride + x] = frame[y * w as usize + x];
            }
        }
        let words: Vec<u32> = plane.chunks(2).map(|p| u32::from(p[0]) | u32::from(p[1]) << 16).collect();
        let mut out = vec![0_u32; words.len()];
        let p = GrayParams {
            row0: 0,
            rows: h,
            width: w,
            height: h,
            stride: stride as u32,
            channels: 1,
            store: Store::U16 as u32,
            scale: GrayParams::scale(1.0, 65535.0),
        };
        Gray::twin(&p, 0..h, &[&words, &[], &[]], &mut [&mut out]);
        let gray = cast_slice::<u32, u16>(&out);
        (0..h as usize).flat_map(|y| gray[y * stride..][..w as usize].to_vec()).collect()
    }

    #[test]
    fn sixteen_bits_do_as_well_as_thirty_two() {
        let mut state = 1_u64;
        let mut random = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % most) as u16
        };
        let (mut hot, mut all) = (0, 0);
        for most in [2, 3, 40, 700, 30_000, 65_536] {
            for _ in 0..200 {
                let rows: [Vec<u16>; 3] = std::array::from_fn(|_| {
                    let bright = |v: u16, k: u16| if k == 0 { 65_535 - v / 2 } else { v };
                    (0..97).map(|_| bright(random(most), random(9))).collect()
                });
                let (mut fast, mut exact) = (vec![0; 97], vec![0; 97]);
                repair(&rows[0], &rows[1], &rows[2], &mut fast);
                contrasts([&rows[0], &rows[1], &rows[2]], &mut exact);
                assert_eq!(fast, exact, "{rows:?}");
                hot += exact[1..96].iter().zip(&rows[1][1..]).filter(|(o, i)| o != i).count();
                all += 95;
            }
        }
        assert!(hot > all / 100, "{hot} of {all} pixels were replaced: too few to tell");
    }

    #[test]
    fn a_hot_pixel_goes_and_a_star_stays() {
        let (w, h) = (16, 9);
        let mut frame = vec![1000_u16; w * h];
        frame[4 * w + 3] = 30000;
        for (dy, dx) in (3..=5).flat_map(|y| (10..=12).map(move |x| (y, x))) {
            let r2 = (dy as f64 - 4.0).powi(2) + (dx as f64 - 11.0).powi(2);
            frame[dy * w + dx] += (20000.0 * (-r2 / (2.0 * 0.85_f64.powi(2))).exp()) as u16;
        }
        let gray = run(&frame, w as u32, h as u32);
        let sky = gray[0];
        assert_eq!(gray[4 * w + 3], sky, "the hot pixel");
        assert!(gray[4 * w + 11] > sky + 17000, "the star's core {} over {sky}", gray[4 * w + 11]);
        assert_eq!(u32::from(sky), (1000.0 * SPAN / 65535.0) as u32 + PEDESTAL);
    }
}
