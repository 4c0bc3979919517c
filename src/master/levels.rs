//! Levels of frames: samples less the black of their place in a 2x2 cell.

use super::column::Sample;
use crate::frame::{Frame, SampleType, Shape};
use rayon::prelude::*;

/// Samples that a thread works on at a time.
const CHUNK: usize = 1 << 16;
/// Black of frames that have none.
const NONE: [f32; 4] = [0.0; 4];

/// The blacks of frames of one shape.
#[derive(Clone, Debug)]
pub(super) struct Black {
    width: usize,
    channels: usize,
    common: [f32; 4],
    each: Vec<[f32; 4]>,
    any: bool,
}

impl Black {
    /// Of no frames yet.
    pub(super) fn new(shape: Shape) -> Black {
        Black { width: shape.width, channels: shape.channels, common: NONE, each: Vec::new(), any: false }
    }

    /// One frame more.
    pub(super) fn push(&mut self, black: [f32; 4]) {
        if self.each.is_empty() {
            self.common = black;
        }
        self.any |= black != NONE;
        self.each.push(black);
    }

    /// The blacks of the frames, where they differ.
    pub(super) fn own(&self) -> Option<&[[f32; 4]]> {
        self.each.iter().any(|b| *b != self.common).then_some(&self.each[..])
    }

    /// The blacks of the frames.
    pub(super) fn each(&self) -> &[[f32; 4]] {
        &self.each
    }

    /// The black of them all, where they do not differ.
    pub(super) fn common(&self) -> &[f32; 4] {
        &self.common
    }

    /// The mean black of the frames, in a 2x2 cell.
    pub(super) fn mean(&self) -> [f64; 4] {
        std::array::from_fn(|c| {
            self.each.iter().map(|b| f64::from(b[c])).sum::<f64>() / self.each.len().max(1) as f64
        })
    }

    /// Nothing is left to take off, but the frames' own are still known.
    pub(super) fn taken(&self) -> Black {
        Black { common: NONE, ..self.clone() }
    }

    /// Whether a place in the cell matters.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// The places in the 2x2 cell of the samples number `first` and on.
    pub(super) fn cells(&self, first: usize, out: &mut [usize]) {
        for (k, cell) in out.iter_mut().enumerate() {
            let pixel = (first + k) / self.channels;
            *cell = (pixel / self.width) % 2 * 2 + pixel % self.width % 2;
        }
    }
}

/// Calls `f(&mut out[k], sample k)` for every sample of `frame`, on all cores.
pub(super) fn each_sample<T: Send>(frame: &Frame, out: &mut [T], f: impl Fn(&mut T, f32) + Sync + Copy) {
    match frame.shape.sample {
        SampleType::U8 => flat(frame.bytes(), out, f),
        SampleType::U16 => flat::<u16, T>(bytemuck::cast_slice(&frame.words), out, f),
        SampleType::F32 => flat::<f32, T>(bytemuck::cast_slice(&frame.words), out, f),
    }
}

fn flat<S: Sample, T: Send>(samples: &[S], out: &mut [T], f: impl Fn(&mut T, f32) + Sync + Copy) {
    let arch = pulp::Arch::new();
    out.par_chunks_mut(CHUNK).zip(samples.par_chunks(CHUNK)).for_each(|(out, samples)| {
        arch.dispatch(|| {
            for (o, &s) in out.iter_mut().zip(samples) {
                f(o, s.level());
            }
        });
    });
}

/// Calls `f(&mut out[k], level of sample k)` for every sample of `frame`, on all cores.
pub(super) fn each_level<T: Send>(frame: &Frame, out: &mut [T], f: impl Fn(&mut T, f32) + Sync + Copy) {
    let black = frame.sensor.black;
    if black == NONE {
        return each_sample(frame, out, f);
    }
    match frame.shape.sample {
        SampleType::U8 => by_rows(&frame.shape, &black, frame.bytes(), out, f),
        SampleType::U16 => {
            by_rows::<u16, T>(&frame.shape, &black, bytemuck::cast_slice(&frame.words), out, f)
        }
        SampleType::F32 => {
            by_rows::<f32, T>(&frame.shape, &black, bytemuck::cast_slice(&frame.words), out, f)
        }
    }
}

fn by_rows<S: Sample, T: Send>(
    shape: &Shape,
    black: &[f32; 4],
    samples: &[S],
    out: &mut [T],
    f: impl Fn(&mut T, f32) + Sync + Copy,
) {
    let row = shape.width * shape.channels;
    let arch = pulp::Arch::new();
    let rows = out.par_chunks_mut(row).zip(samples.par_chunks(row)).enumerate();
    rows.with_min_len(CHUNK.div_ceil(row)).for_each(|(y, (out, samples))| {
        arch.dispatch(|| {
            let black = &black[y % 2 * 2..][..2];
            let pixels = out.chunks_mut(shape.channels).zip(samples.chunks(shape.channels));
            for (x, (out, pixel)) in pixels.enumerate() {
                for (o, s) in out.iter_mut().zip(pixel) {
                    f(o, s.level() - black[x % 2]);
                }
            }
        });
    });
}
