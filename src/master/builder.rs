//! Collects darks and makes the master of them.

use super::{Master, MasterRule};
use crate::error::{Error, Result};
use crate::frame::{Frame, SampleType, Shape};
use rayon::prelude::*;

/// Kappa of [`MasterRule::Sigma`], standard deviations.
const KAPPA: f64 = 3.0;
/// Samples that a thread works on at a time.
const CHUNK: usize = 1 << 16;

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
}
