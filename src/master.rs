//! Master darks: several dark frames made into one, sample by sample.

use crate::error::{Error, Result};
use crate::frame::{Frame, SampleType, Shape, maximum};
use crate::kernels::calibrate::Mode;
use crate::kernels::{PlaneFormat, Store, stride};
use rayon::prelude::*;

/// How darks become a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterRule {
    /// m = first dark; for each next dark d: d > m ? (d + m) / 2 : m. Leans to the hot pixels.
    PeakMean,
    /// The mean.
    Mean,
    /// The median (of an even number: the mean of the middle two).
    Median,
    /// Kappa-sigma mean: samples beyond 3 standard deviations are left out, until none is.
    Sigma,
}

/// How the master is taken off a light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DarkRule {
    /// i > m ? i - m : i.
    Guarded,
    /// i - m, negatives kept.
    Signed,
}

/// Kappa of [`MasterRule::Sigma`], standard deviations.
const KAPPA: f64 = 3.0;
/// Samples that a thread works on at a time.
const CHUNK: usize = 1 << 16;
/// Units of one 8-bit level in the fixed-point planes.
const FIXED_8: f32 = 256.0;

/// A master dark.
#[derive(Clone, Debug)]
pub struct Master {
    /// Size and channels; `sample` is the type of the darks.
    pub shape: Shape,
    /// Interleaved samples, level units of the darks.
    pub levels: Vec<f32>,
    /// Darks it was made from.
    pub frames: usize,
}

impl Master {
    /// The level of the darks that stands for 1, under lights where 1 is the level `white`. Floats under floats are in
    /// the lights' unit, however small a dark's maximum is; under integers their own maximum decides it.
    fn white(&self, lights: SampleType, white: f32) -> f32 {
        match (lights, self.shape.sample) {
            (SampleType::F32, SampleType::F32) => white,
            (_, own) => own.white(|| maximum(&self.levels)),
        }
    }
}

/// Collects darks.
pub struct Builder {
    rule: MasterRule,
    shape: Option<Shape>,
    frames: usize,
    running: Vec<f32>,
    sums: Vec<f64>,
    kept: Vec<Frame>,
}

impl Builder {
    /// A master by `rule`.
    #[must_use]
    pub fn new(rule: MasterRule) -> Self {
        Builder { rule, shape: None, frames: 0, running: Vec::new(), sums: Vec::new(), kept: Vec::new() }
    }

    /// Adds a dark; gives its buffer back where it is not kept.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where its size or type differs from the first dark's.
    pub fn push(&mut self, dark: Frame) -> Result<Vec<u32>> {
        let first = *self.shape.get_or_insert(dark.shape);
        if first != dark.shape {
            let what = format!("expected {first} as the first dark, got {}", dark.shape);
            return Err(Error::Mismatch { what, path: dark.path });
        }
        self.frames += 1;
        match self.rule {
            MasterRule::PeakMean if self.frames == 1 => {
                self.running.resize(dark.shape.samples(), 0.0);
                each(&dark, &mut self.running, |m, d| *m = d);
                Ok(dark.words)
            }
            MasterRule::PeakMean => {
                each(&dark, &mut self.running, |m, d| *m = if d > *m { (d + *m) / 2.0 } else { *m });
                Ok(dark.words)
            }
            MasterRule::Mean => {
                self.sums.resize(dark.shape.samples(), 0.0);
                each(&dark, &mut self.sums, |s, d| *s += f64::from(d));
                Ok(dark.words)
            }
            MasterRule::Median | MasterRule::Sigma => {
                self.kept.push(dark);
                Ok(Vec::new())
            }
        }
    }

    /// The master; `None` where no dark was added.
    #[must_use]
    pub fn finish(self) -> Option<Master> {
        let shape = self.shape?;
        let n = self.frames as f64;
        let levels = match self.rule {
            MasterRule::PeakMean => self.running,
            MasterRule::Mean => self.sums.par_iter().map(|s| (s / n) as f32).collect(),
            MasterRule::Median => stacked(&self.kept, shape.samples(), median),
            MasterRule::Sigma => stacked(&self.kept, shape.samples(), sigma),
        };
        Some(Master { shape, levels, frames: self.frames })
    }
}

/// Calls `f(&mut out[k], level of sample k)` for every sample of `frame`, on all cores.
fn each<T: Send>(frame: &Frame, out: &mut [T], f: impl Fn(&mut T, f32) + Sync + Copy) {
    match frame.shape.sample {
        SampleType::U8 => typed(frame.bytes(), out, |d: u8| f32::from(d), f),
        SampleType::U16 => typed(bytemuck::cast_slice(&frame.words), out, |d: u16| f32::from(d), f),
        SampleType::F32 => typed(bytemuck::cast_slice(&frame.words), out, |d: f32| d, f),
    }
}

fn typed<S: Copy + Sync, T: Send>(
    samples: &[S],
    out: &mut [T],
    level: impl Fn(S) -> f32 + Sync + Copy,
    f: impl Fn(&mut T, f32) + Sync + Copy,
) {
    let arch = pulp::Arch::new();
    out.par_chunks_mut(CHUNK).zip(samples.par_chunks(CHUNK)).for_each(|(out, samples)| {
        arch.dispatch(|| {
            for (o, &s) in out.iter_mut().zip(samples) {
                f(o, level(s));
            }
        });
    });
}

/// `f` of each sample's column through the darks.
fn stacked(darks: &[Frame], samples: usize, f: fn(&mut [f32]) -> f32) -> Vec<f32> {
    let mut out = vec![0.0; samples];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(c, part)| {
        let mut column = vec![0.0; darks.len()];
        for (k, v) in part.iter_mut().enumerate() {
            for (d, dark) in column.iter_mut().zip(darks) {
                *d = dark.level(c * CHUNK + k);
            }
            *v = f(&mut column);
        }
    });
    out
}

fn median(column: &mut [f32]) -> f32 {
    column.sort_unstable_by(f32::total_cmp);
    let n = column.len();
    if n % 2 == 1 { column[n / 2] } else { (column[n / 2 - 1] + column[n / 2]) / 2.0 }
}

fn sigma(column: &mut [f32]) -> f32 {
    let mut kept: Vec<f64> = column.iter().map(|&v| f64::from(v)).collect();
    loop {
        let n = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let deviation = (kept.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let before = kept.len();
        kept.retain(|v| (v - mean).abs() <= KAPPA * deviation);
        if kept.len() == before || kept.is_empty() {
            return mean as f32;
        }
    }
}

/// How lights are calibrated: what kernel `calibrate` does, and the planes it makes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is done to a sample.
    pub mode: Mode,
    /// Left shift of [`Mode::Fixed`].
    pub shift: u32,
    /// Format of the calibrated planes.
    pub format: PlaneFormat,
    /// The dark's planes as the kernel reads them; empty without a dark.
    pub dark: Vec<Vec<u32>>,
}

impl Plan {
    /// The plan for lights of `shape`, whose level `white` stands for 1, with an optional master. Working planes are as narrow as the arithmetic allows:
    /// the samples' own type without a dark; 16-bit fixed point where every dark sample is exact in it; else f32.
    ///
    /// # Errors
    /// [`Error::Usage`] where the master's size or channels do not fit the lights.
    pub fn new(shape: Shape, white: f32, master: Option<&Master>, rule: DarkRule) -> Result<Plan> {
        let own = match shape.sample {
            SampleType::U8 => Store::U8,
            SampleType::U16 => Store::U16,
            SampleType::F32 => Store::F32,
        };
        let Some(master) = master else {
            let format = PlaneFormat { store: own, unit: 1.0 };
            return Ok(Plan { mode: Mode::Copy, shift: 0, format, dark: Vec::new() });
        };
        let m = master.shape;
        if (m.width, m.height, m.channels) != (shape.width, shape.height, shape.channels) {
            return Err(Error::Usage(format!(
                "the dark does not fit the lights: the lights are {shape}, the dark is {m}: use darks of the same \
                 camera and size, or none"
            )));
        }
        let scale = white / master.white(shape.sample, white);
        let fixed = if shape.sample == SampleType::U8 { FIXED_8 } else { 1.0 };
        let exact = if rule == DarkRule::Guarded && shape.sample != SampleType::F32 {
            whole_planes(master, scale * fixed)
        } else {
            None
        };
        let narrow = exact.is_some();
        let dark = exact.unwrap_or_else(|| float_planes(master, scale));
        Ok(match (narrow, rule) {
            (true, _) => Plan {
                mode: Mode::Fixed,
                shift: if shape.sample == SampleType::U8 { FIXED_8.log2() as u32 } else { 0 },
                format: PlaneFormat { store: Store::U16, unit: 1.0 / fixed },
                dark,
            },
            (false, rule) => Plan {
                mode: if rule == DarkRule::Guarded { Mode::Guarded } else { Mode::Signed },
                shift: 0,
                format: PlaneFormat { store: Store::F32, unit: 1.0 },
                dark,
            },
        })
    }
}

/// The master's channels times `factor` as padded planes of u16; `None` where one sample is no whole number that 16
/// bits hold.
fn whole_planes(master: &Master, factor: f32) -> Option<Vec<Vec<u32>>> {
    // Above 2^23 an f32 has no fraction left: adding and taking off rounds to a whole number.
    const ROUND: f32 = 8_388_608.0;
    planes::<u16>(master, Store::U16, |v| {
        let units = v * factor;
        let good = (units + ROUND) - ROUND == units && (0.0..=65535.0).contains(&units);
        (units as i32 as u16, good)
    })
}

/// The master's channels times `factor` as padded planes of f32.
fn float_planes(master: &Master, factor: f32) -> Vec<Vec<u32>> {
    planes::<f32>(master, Store::F32, |v| (v * factor, true)).unwrap_or_default()
}

/// Padded planes of `f(level)`; `None` where `f` said false of one.
fn planes<T: bytemuck::Pod>(
    master: &Master,
    store: Store,
    f: impl Fn(f32) -> (T, bool) + Sync + Copy,
) -> Option<Vec<Vec<u32>>> {
    let (w, channels) = (master.shape.width, master.shape.channels);
    let format = PlaneFormat { store, unit: 1.0 };
    let row_words = format.row_words(stride(w));
    let mut out: Vec<_> =
        (0..channels).map(|_| vec![0_u32; format.words(stride(w), master.shape.height)]).collect();
    let arch = pulp::Arch::new();
    // One pass over the master: each task takes the same row of every plane.
    let mut rows: Vec<_> = out.iter_mut().map(|plane| plane.chunks_mut(row_words)).collect();
    let rows: Vec<Vec<&mut [u32]>> =
        (0..master.shape.height).map(|_| rows.iter_mut().filter_map(Iterator::next).collect()).collect();
    let good = rows
        .into_par_iter()
        .enumerate()
        .map(|(y, mut rows)| {
            arch.dispatch(|| {
                let levels = &master.levels[y * w * channels..][..w * channels];
                let mut good = true;
                for (c, row) in rows.iter_mut().enumerate() {
                    let row: &mut [T] = bytemuck::cast_slice_mut(row);
                    for (o, pixel) in row.iter_mut().zip(levels.chunks_exact(channels)) {
                        let (value, fits) = f(pixel[c]);
                        *o = value;
                        good &= fits;
                    }
                }
                good
            })
        })
        .reduce(|| true, |a, b| a && b);
    good.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dark(levels: &[u8]) -> Frame {
        let mut bytes = levels.to_vec();
        bytes.resize(levels.len().next_multiple_of(4), 0);
        Frame {
            path: "dark".into(),
            shape: Shape {
                width: levels.len(),
                height: 1,
                channels: 1,
                sample: SampleType::U8,
                mosaic: None,
            },
            words: bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            sensor: crate::sensor::Sensor::DISPLAY,
            tags: crate::tags::Tags::default(),
        }
    }

    fn master(rule: MasterRule, darks: &[&[u8]]) -> Vec<f32> {
        let mut b = Builder::new(rule);
        for d in darks {
            b.push(dark(d)).expect("same size");
        }
        b.finish().expect("darks").levels
    }

    #[test]
    fn rules_of_the_master() {
        let darks: [&[u8]; 4] = [&[10, 20, 0], &[20, 10, 0], &[11, 30, 0], &[200, 20, 0]];
        // 10, 15, 15, 107.5 / 20, 20, 25, 25.
        assert_eq!(master(MasterRule::PeakMean, &darks), [107.5, 25.0, 0.0]);
        assert_eq!(master(MasterRule::Mean, &darks), [60.25, 20.0, 0.0]);
        assert_eq!(master(MasterRule::Median, &darks), [15.5, 20.0, 0.0]);
        let many: Vec<&[u8]> = std::iter::repeat_n(&[10_u8, 10][..], 19).chain([&[250, 10][..]]).collect();
        assert_eq!(master(MasterRule::Sigma, &many), [10.0, 10.0]);
    }

    #[test]
    fn planes_are_narrow_only_where_that_is_exact() {
        let shape = dark(&[1, 2, 3]).shape;
        let exact = Master { shape, levels: vec![107.5, 0.25, 3.0], frames: 3 };
        let plan = Plan::new(shape, 255.0, Some(&exact), DarkRule::Guarded).expect("fits");
        assert_eq!((plan.mode, plan.shift, plan.format.store), (Mode::Fixed, 8, Store::U16));
        assert_eq!(plan.dark[0][0], (107 * 256 + 128) | 64 << 16);
        let third = Master { shape, levels: vec![1.0 / 3.0, 0.0, 0.0], frames: 3 };
        let plan = Plan::new(shape, 255.0, Some(&third), DarkRule::Guarded).expect("fits");
        assert_eq!((plan.mode, plan.format.store), (Mode::Guarded, Store::F32));
        let plan = Plan::new(shape, 255.0, Some(&exact), DarkRule::Signed).expect("fits");
        assert_eq!(plan.mode, Mode::Signed);
        let other = Shape { width: 4, ..shape };
        assert!(Plan::new(other, 255.0, Some(&exact), DarkRule::Guarded).is_err());
    }
}
