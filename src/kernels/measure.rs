//! `measure`: sums over a small window around each place, from which the host has a star's flux, centroid and second
//! moments.

use super::{Access, Kernel, Read, params, shared};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// Pixels of the window's side: a star of FWHM 8 px fits with its wings, one of 16 px with its core.
pub const WINDOW: usize = 32;
/// Offset of the window's first pixel from its centre pixel is -`REACH`.
pub const REACH: i32 = 16;

/// Where to measure, and with which weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Place {
    /// Centre pixel of the window.
    pub x: i32,
    /// The same, y.
    pub y: i32,
    /// Centre of the weight, px from the centre pixel.
    pub fx: f32,
    /// The same, y.
    pub fy: f32,
    /// Background at the centre pixel, gray units.
    pub sky: f32,
    /// Slope of the background along x, gray units a px.
    pub sky_x: f32,
    /// Slope of the background along y, gray units a px.
    pub sky_y: f32,
    /// A pixel at distance r from the weight's centre weighs exp(-r^2 falloff), 1/px^2.
    pub falloff: f32,
}
shared!(Place { x, y, fx, fy, sky, sky_x, sky_y, falloff });

/// Words of a [`Place`].
pub const PLACE: usize = size_of::<Place>() / 4;

/// Weighted sums over a window; I is the pixel above the background, (dx, dy) its offset from the weight's centre.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Moments {
    /// Sum of I, gray units.
    pub flux: f32,
    /// Sum of I dx, gray units px.
    pub x: f32,
    /// Sum of I dy.
    pub y: f32,
    /// Sum of I dx^2, gray units px^2.
    pub xx: f32,
    /// Sum of I dx dy.
    pub xy: f32,
    /// Sum of I dy^2.
    pub yy: f32,
    /// Sum of the weights.
    pub weight: f32,
    /// Brightest pixel of the window, gray value.
    pub peak: f32,
}
shared!(Moments { flux, x, y, xx, xy, yy, weight, peak });

/// Words of [`Moments`].
pub const RECORD: usize = size_of::<Moments>() / 4;

/// Parameters of [`Measure`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct MeasureParams {
    /// First place of the band.
    pub row0: u32,
    /// Places of the band.
    pub rows: u32,
    /// Places in all.
    pub places: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of the frame.
    pub height: u32,
    /// Samples in a padded row of the gray plane.
    pub stride: u32,
    /// Zero.
    pub pad0: u32,
    /// Zero.
    pub pad1: u32,
}
params!(MeasureParams { row0, rows, places, width, height, stride, pad0, pad1 });

/// The kernel. Pixels outside the frame weigh nothing.
pub struct Measure;

impl Kernel for Measure {
    const NAME: &'static str = "measure";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/measure.wgsl")];
    const READS: &'static [Read] = &[("gray", Access::Gathered), ("places", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["moments"];
    type Params = MeasureParams;

    fn rows(p: &MeasureParams) -> u32 {
        p.places
    }

    fn read_row_bytes(_: &MeasureParams, k: usize) -> usize {
        if k == 1 { PLACE * 4 } else { 0 }
    }

    fn write_row_words(_: &MeasureParams, _: usize) -> usize {
        RECORD
    }

    fn groups(_: &MeasureParams, rows: u32) -> [u32; 3] {
        [rows, 1, 1]
    }

    fn bytes(p: &MeasureParams) -> u64 {
        u64::from(p.places) * (WINDOW * WINDOW * 2 + 4 * (PLACE + RECORD)) as u64
    }

    fn work(p: &MeasureParams) -> u64 {
        u64::from(p.places) * (WINDOW * WINDOW) as u64
    }

    #[inline(always)]
    fn twin(p: &MeasureParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let gray = cast_slice::<u32, u16>(reads[0]);
        let places = cast_slice::<u32, Place>(reads[1]);
        let out = cast_slice_mut::<u32, Moments>(writes[0]);
        for (k, moments) in rows.zip(out) {
            *moments = sums(p, gray, &places[k as usize]);
        }
    }
}

/// exp(-(k - [`REACH`] - centre)^2 falloff) for every k. From one pixel to the next it changes by a factor that itself
/// changes by a constant one: four exponentials, instead of as many as there are pixels.
#[inline(always)]
fn bell(centre: f32, falloff: f32) -> [f32; WINDOW] {
    let (centre, a) = (f64::from(centre), f64::from(falloff));
    let mut out = [0.0; WINDOW];
    // From the pixel nearest to the centre outwards, so that it falls both ways.
    let first = (centre.round() as i32 + REACH).clamp(0, WINDOW as i32 - 1);
    let x = f64::from(first - REACH) - centre;
    let (top, fall) = ((-x * x * a).exp(), (-2.0 * a).exp());
    let (mut w, mut step) = (top, (-(1.0 + 2.0 * x) * a).exp());
    for o in &mut out[first as usize..] {
        *o = w as f32;
        (w, step) = (w * step, step * fall);
    }
    (w, step) = (top, (-(1.0 - 2.0 * x) * a).exp());
    for o in out[..=first as usize].iter_mut().rev() {
        *o = w as f32;
        (w, step) = (w * step, step * fall);
    }
    out
}

/// The sums around one place. The weight is a product of one factor in x and one in y: columns are summed over y
/// first, with loops that run along rows.
#[inline(always)]
fn sums(p: &MeasureParams, gray: &[u16], place: &Place) -> Moments {
    let (width, height, stride) = (p.width as i32, p.height as i32, p.stride as usize);
    // Columns and rows of the window that lie in the frame.
    let inside = |centre: i32, size: i32| {
        let first = (REACH - centre).clamp(0, WINDOW as i32);
        first as usize..(size - centre + REACH).clamp(first, WINDOW as i32) as usize
    };
    let (columns, lines) = (inside(place.x, width), inside(place.y, height));
    if columns.is_empty() || lines.is_empty() {
        return Moments::default();
    }
    let offset = |k: usize| (k as i32 - REACH) as f32;
    let mut slope = [0.0_f32; WINDOW];
    for k in columns.clone() {
        slope[k] = place.sky + place.sky_x * offset(k);
    }
    let (across, along) = (bell(place.fx, place.falloff), bell(place.fy, place.falloff));
    let (mut c0, mut c1, mut c2) = ([0.0_f32; WINDOW], [0.0_f32; WINDOW], [0.0_f32; WINDOW]);
    let mut highest = [0_u16; WINDOW];
    let mut down = 0.0;
    for row in lines {
        let dy = offset(row) - place.fy;
        let w = along[row];
        down += w;
        let sky_y = place.sky_y * offset(row);
        let from = (place.y + row as i32 - REACH) as usize * stride;
        let first = (place.x + columns.start as i32 - REACH) as usize;
        let mut line = [0_u16; WINDOW];
        line[columns.clone()].copy_from_slice(&gray[from + first..][..columns.len()]);
        for k in 0..WINDOW {
            let i = w * (f32::from(line[k]) - (slope[k] + sky_y));
            c0[k] += i;
            c1[k] += i * dy;
            c2[k] += i * (dy * dy);
            highest[k] = highest[k].max(line[k]);
        }
    }
    let mut m = Moments { peak: f32::from(highest.iter().fold(0, |a, &b| a.max(b))), ..Moments::default() };
    for k in columns {
        let (w, dx) = (across[k], offset(k) - place.fx);
        m.flux += w * c0[k];
        m.x += w * c0[k] * dx;
        m.xx += w * c0[k] * dx * dx;
        m.y += w * c1[k];
        m.xy += w * c1[k] * dx;
        m.yy += w * c2[k];
        m.weight += w * down;
    }
    m
}

/// Sums around each of `places` of `gray`, into `moments`.
///
/// # Errors
/// Where the device fails.
pub fn measure<B: Backend>(
    backend: &mut B,
    p: &MeasureParams,
    gray: &B::Buffer,
    places: &B::Buffer,
    moments: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Measure>(p, &[Some(gray), Some(places)], &mut [Some(moments)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_its_exponentials() {
        for (centre, falloff) in
            [(0.0, 0.125), (3.4, 1.0), (-17.2, 0.3), (40.0, 2.0), (0.5, 0.01), (1.3, 90.0)]
        {
            for (k, got) in bell(centre, falloff).into_iter().enumerate() {
                let x = f64::from(k as i32 - REACH) - f64::from(centre);
                let exact = (-x * x * f64::from(falloff)).exp();
                assert!(
                    (f64::from(got) - exact).abs() <= 1e-7 * exact.max(1e-30),
                    "{centre} {falloff} {k}: {got} {exact}"
                );
            }
        }
    }
}
