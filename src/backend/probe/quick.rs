//! A quick measurement of a backend: the pixel kernels of one frame, again and again for a moment.

use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::accumulate::{AccumulateParams, Pose, SLOTS, accumulate};
use crate::kernels::calibrate::{CalibrateParams, Mode, calibrate};
use crate::kernels::gray::{GrayParams, gray};
use crate::kernels::tiles::{RECORD, TILE, TilesParams, tiles};
use crate::kernels::{PlaneFormat, Store, stride};
use crate::rules::Method;
use std::time::{Duration, Instant};

/// Size of the frame, px: 2 Mpix of colour, whose planes and stack (45 MB) are more than most caches hold.
const SIZE: (usize, usize) = (1600, 1216);
/// Colours of the frame.
const CHANNELS: usize = 3;
/// Runs that are not counted: the first compiles shaders and touches memory.
const WARM_UP: usize = 2;
/// Runs that are counted, at least and at most.
const RUNS: std::ops::RangeInclusive<usize> = 3..=9;
/// Once this long was spent on runs that count, no more follow.
const ENOUGH: Duration = Duration::from_millis(250);
/// Units of one level in the calibrated planes: 8-bit samples with a dark in fixed point.
const FIXED: f32 = 256.0;
/// White of 8-bit frames, levels.
const WHITE: f32 = 255.0;
/// A turn and a shift as frames of a tracked night have them: radians, px.
const TURN: f64 = 3e-4;
const SHIFT: (f64, f64) = (7.3, -4.6);

/// Buffers of one frame on the device.
struct Bench<B: Backend> {
    raw: B::Buffer,
    dark: Vec<B::Buffer>,
    planes: Vec<B::Buffer>,
    gray: B::Buffer,
    table: B::Buffer,
    binned: B::Buffer,
    stack: Vec<B::Buffer>,
}

impl<B: Backend> Bench<B> {
    fn new(b: &mut B) -> Result<Self> {
        let (w, h) = SIZE;
        let plane = stride(w) * h;
        let tiles = w.div_ceil(TILE) * h.div_ceil(TILE);
        let each = |b: &mut B, words: usize| -> Result<Vec<B::Buffer>> {
            (0..CHANNELS).map(|_| b.alloc("trial", words)).collect()
        };
        Ok(Bench {
            raw: b.alloc("trial", (w * h * CHANNELS).div_ceil(4))?,
            dark: each(b, plane / 2)?,
            planes: each(b, plane / 2)?,
            gray: b.alloc("trial", plane / 2)?,
            table: b.alloc("trial", tiles * RECORD)?,
            binned: b.alloc("trial", tiles * TILE / 2)?,
            stack: each(b, plane)?,
        })
    }

    /// What a frame costs: it goes up, is calibrated, looked at and stacked, and the table of its tiles comes down.
    fn frame(&mut self, b: &mut B, samples: Vec<u32>) -> Result<Vec<u32>> {
        let (w, h) = SIZE;
        let (width, height, padded) = (w as u32, h as u32, stride(w) as u32);
        let spare = b.upload(&mut self.raw, samples)?;
        let p = CalibrateParams {
            row0: 0,
            rows: 0,
            width,
            stride: padded,
            height,
            channels: CHANNELS as u32,
            input: Store::U8 as u32,
            mode: Mode::Fixed as u32,
            shift: FIXED.log2() as u32,
            flat: 0,
            bin: 1,
            out_stride: padded,
            black: [0.0; 4],
            gain: [1.0; 4],
        };
        calibrate(b, &p, &self.raw, &self.dark, &mut self.planes)?;
        let format = PlaneFormat { store: Store::U16, unit: 1.0 / FIXED };
        gray(b, &GrayParams::new(SIZE, CHANNELS, format, WHITE), &self.planes, &mut self.gray)?;
        tiles(b, &TilesParams::new(w, h), &self.gray, &mut self.table, &mut self.binned)?;
        let (sin, cos) = TURN.sin_cos();
        let mut op = [0; SLOTS];
        op[0] = Method::AddComp as u32;
        let p = AccumulateParams {
            row0: 0,
            rows: 0,
            width,
            height,
            stride: padded,
            store: format.store as u32,
            slots: 1,
            unit: format.unit,
            n: 2.0,
            white: WHITE,
            pedestal: 0.0,
            op,
            pad: [0; 3],
            pose: Pose::new(&[cos, -sin, SHIFT.0, sin, cos, SHIFT.1, 0.0, 0.0, 1.0], w, h),
        };
        for (plane, stack) in self.planes.iter().zip(&mut self.stack) {
            accumulate(b, &p, plane, None, std::iter::once(stack))?;
        }
        // The host needs the table for alignment; the one word of the stack is what waits for the last kernel.
        let mut table = vec![0; w.div_ceil(TILE) * h.div_ceil(TILE) * RECORD];
        b.read(&self.table, &mut table)?;
        if let Some(last) = self.stack.last() {
            b.read(last, &mut [0])?;
        }
        Ok(spare)
    }
}

/// Median milliseconds that the pixel kernels of one frame of 2 Mpix take on `backend`, its way up included.
///
/// # Errors
/// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
pub(super) fn frame_ms<B: Backend>(backend: &mut B) -> Result<f64> {
    let words = (SIZE.0 * SIZE.1 * CHANNELS).div_ceil(4);
    let mut bench = Bench::<B>::new(backend)?;
    let mut spare = Vec::new();
    let mut ms = Vec::new();
    let mut spent = Duration::ZERO;
    while ms.len() < WARM_UP + RUNS.start() || ms.len() < WARM_UP + RUNS.end() && spent < ENOUGH {
        // Levels from 8 to 23, as a dark sky has them.
        spare.clear();
        spare.extend((0..words as u32).map(|k| k.wrapping_mul(0x9e37_79b1) >> 7 & 0x0f0f_0f0f | 0x0808_0808));
        let start = Instant::now();
        spare = bench.frame(backend, std::mem::take(&mut spare))?;
        let took = start.elapsed();
        spent += if ms.len() < WARM_UP { Duration::ZERO } else { took };
        ms.push(took.as_secs_f64() * 1e3);
    }
    let counted = &mut ms[WARM_UP..];
    counted.sort_by(f64::total_cmp);
    Ok(counted[counted.len() / 2])
}
