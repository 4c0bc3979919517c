//! `histogram`: counts and maximum of a stack plane, a record for each strip of rows; the host adds them.

use super::{Access, Kernel, Read, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice};
use std::ops::Range;

/// Bins of a histogram; values outside fall into the first or last.
pub const BINS: usize = 1024;
/// Rows of a strip.
pub const STRIP: usize = 64;
/// Words of a record: the bins, then the maximum as an ordered key, then zeros up to a multiple of the 256 bytes that
/// bindings start at: any strip may start a band.
pub const RECORD: usize = BINS + 64;

/// Parameters of [`Histogram`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct HistogramParams {
    /// First strip of the band.
    pub row0: u32,
    /// Strips of the band.
    pub rows: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of the stack.
    pub height: u32,
    /// Samples in a padded row.
    pub stride: u32,
    /// Only every `step`-th row is counted (1 = all).
    pub step: u32,
    /// Level at the start of the first bin.
    pub low: f32,
    /// Bins a level.
    pub bins_per_level: f32,
    /// Where `deviation` is 1: level that deviations are counted from.
    pub centre: f32,
    /// 1: count |level - centre| instead of the level.
    pub deviation: u32,
    /// Zero.
    pub pad: [u32; 2],
}
params!(HistogramParams {
    row0,
    rows,
    width,
    height,
    stride,
    step,
    low,
    bins_per_level,
    centre,
    deviation,
    pad
});

/// Maps a float to a u32 that sorts alike.
#[inline(always)]
#[must_use]
pub fn ordered(v: f32) -> u32 {
    let bits = v.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The float that [`ordered`] mapped.
#[must_use]
pub fn from_ordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The kernel.
pub struct Histogram;

impl Kernel for Histogram {
    const NAME: &'static str = "histogram";
    const SOURCE: &'static [&'static str] = &[include_str!("../../shaders/histogram.wgsl")];
    const READS: &'static [Read] = &[("stack", Access::Streamed)];
    const WRITES: &'static [&'static str] = &["records"];
    type Params = HistogramParams;

    fn rows(p: &HistogramParams) -> u32 {
        p.height.div_ceil(STRIP as u32)
    }

    fn read_row_bytes(p: &HistogramParams, _: usize) -> usize {
        STRIP * p.stride as usize * 4
    }

    fn read_bytes(p: &HistogramParams, _: usize) -> u64 {
        // The last strip may be cut.
        4 * u64::from(p.stride) * u64::from(p.height)
    }

    fn write_row_words(_: &HistogramParams, _: usize) -> usize {
        RECORD
    }

    fn groups(_: &HistogramParams, rows: u32) -> [u32; 3] {
        [rows, 1, 1]
    }

    fn bytes(p: &HistogramParams) -> u64 {
        4 * u64::from(p.stride) * u64::from(p.height) / u64::from(p.step)
    }

    fn work(p: &HistogramParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height) / u64::from(p.step)
    }

    #[inline(always)]
    fn twin(p: &HistogramParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let stack = cast_slice::<u32, f32>(reads[0]);
        for (strip, record) in rows.zip(writes[0].chunks_exact_mut(RECORD)) {
            record.fill(0);
            let first = strip as usize * STRIP;
            for y in (first..(first + STRIP).min(p.height as usize)).step_by(p.step as usize) {
                for &v in &stack[y * p.stride as usize..][..p.width as usize] {
                    let level = if p.deviation == 1 { (v - p.centre).abs() } else { v };
                    let bin = ((level - p.low) * p.bins_per_level).clamp(0.0, (BINS - 1) as f32);
                    record[bin as usize] += 1;
                    record[BINS] = record[BINS].max(ordered(v));
                }
            }
        }
    }
}

/// Counts a plane of the `stack` into `records`.
///
/// # Errors
/// Where the device fails.
pub fn histogram<B: Backend>(
    backend: &mut B,
    p: &HistogramParams,
    stack: &B::Buffer,
    records: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Histogram>(p, &[Some(stack)], &mut [Some(records)])
}
