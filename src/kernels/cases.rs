//! Seeded inputs for every kernel, and the comparison of two backends' outputs: the start-up self-test runs the
//! vital of them, the parity tests all.

use super::Kernel;
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::cast_slice;

mod mosaic;
mod patches;
mod planes;
mod stack;

/// One call of kernel `K`.
#[derive(Clone, Debug)]
pub struct Case<K: Kernel> {
    /// What is special about it.
    pub name: String,
    /// The parameters.
    pub params: K::Params,
    /// What it reads.
    pub reads: Vec<Option<Vec<u32>>>,
    /// What it writes.
    pub writes: Vec<Option<Output>>,
}

/// A buffer that a case writes.
#[derive(Clone, Debug)]
pub struct Output {
    /// Contents before: a seeded state, or poison where the kernel must overwrite; 0 in the padding of rows.
    pub start: Vec<u32>,
    /// What its words hold.
    pub samples: Samples,
    /// How far two backends may differ.
    pub tolerance: Tolerance,
}

/// What words hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Four bytes.
    U8,
    /// Two 16-bit integers.
    U16,
    /// An integer.
    U32,
    /// A float.
    F32,
}

/// How far two backends may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Not at all: integer arithmetic, or moves.
    Exact,
    /// Integers cut off after a rounding of floats: equal where the device rounds to nearest and divides exactly
    /// (lavapipe: what the parity tests ask of it), one unit elsewhere (what the self-test allows).
    Rounded,
    /// This much, in the buffer's unit.
    Absolute(f32),
    /// This part of the largest magnitude in the column, with so many columns: sums of products.
    Columns(f32, usize),
}

/// A kernel with cases.
pub trait Probe: Kernel + Sized {
    /// Calls on frames of `width` x `height` (or larger, where the kernel needs it).
    fn cases(width: usize, height: usize) -> Vec<Case<Self>>;

    /// Whether the start-up self-test runs `case`: what normal runs use must be among them, in few shaders.
    #[must_use]
    fn vital(case: &Case<Self>) -> bool {
        let _ = case;
        true
    }

    /// Makes the smallest mistake that a comparison of outputs must catch, in the first of the cases for 17x13:
    /// one sample off by one 8-bit level, or one tap shifted.
    fn plant(case: &mut Case<Self>);
}

/// What `backend` makes of `case`: each output, empty where it has none.
///
/// # Errors
/// Where the device fails.
pub fn outputs<B: Backend, K: Kernel>(backend: &mut B, case: &Case<K>) -> Result<Vec<Vec<u32>>> {
    let mut fill = |label, words: &Option<Vec<u32>>| -> Result<Option<B::Buffer>> {
        let Some(words) = words else { return Ok(None) };
        let mut buffer = backend.alloc(label, words.len())?;
        backend.write(&mut buffer, words)?;
        Ok(Some(buffer))
    };
    let mut reads = Vec::new();
    for (words, (label, _)) in case.reads.iter().zip(K::READS) {
        reads.push(fill(label, words)?);
    }
    let mut writes = Vec::new();
    for (output, label) in case.writes.iter().zip(K::WRITES) {
        writes.push(fill(label, &output.as_ref().map(|o| o.start.clone()))?);
    }
    let inputs: Vec<_> = reads.iter().map(Option::as_ref).collect();
    let mut slots: Vec<_> = writes.iter_mut().map(Option::as_mut).collect();
    backend.run::<K>(&case.params, &inputs, &mut slots)?;
    let mut out = Vec::new();
    for (buffer, output) in writes.iter().zip(&case.writes) {
        let mut words = vec![0; output.as_ref().map_or(0, |o| o.start.len())];
        if let Some(buffer) = buffer {
            backend.read(buffer, &mut words)?;
        }
        out.push(words);
    }
    Ok(out)
}

/// How two backends' outputs of a case differ.
#[derive(Clone, Debug, Default)]
pub struct Deviation {
    /// The first sample beyond its tolerance.
    pub first: Option<String>,
    /// Samples beyond their tolerance.
    pub beyond: usize,
    /// The largest difference of a float, as a part of what is allowed.
    pub worst: f64,
}

/// Compares outputs with the twin's. `unit` is what [`Tolerance::Rounded`] allows.
#[must_use]
pub fn compare<K: Kernel>(case: &Case<K>, twin: &[Vec<u32>], other: &[Vec<u32>], unit: u32) -> Deviation {
    let mut d = Deviation::default();
    for (k, output) in case.writes.iter().enumerate() {
        let Some(output) = output else { continue };
        let (a, b) = (values(output.samples, &twin[k]), values(output.samples, &other[k]));
        let scales = output.scales(&a);
        for (i, (&a, &b)) in a.iter().zip(&b).enumerate() {
            let allowed = match output.tolerance {
                Tolerance::Exact => 0.0,
                Tolerance::Rounded => f64::from(unit),
                Tolerance::Absolute(t) => f64::from(t),
                Tolerance::Columns(part, n) => f64::from(part) * scales[i % n],
            };
            let off = (a - b).abs();
            if output.samples == Samples::F32 && off > 0.0 {
                d.worst = d.worst.max(off / allowed);
            }
            // NaN, on either side, is beyond any tolerance.
            if off.is_nan() || off > allowed {
                d.beyond += 1;
                d.first.get_or_insert_with(|| {
                    format!("{}: {}: {}[{i}]: {a} expected, {b} found", K::NAME, case.name, K::WRITES[k])
                });
            }
        }
    }
    d
}

impl Output {
    /// The largest magnitude in each column.
    fn scales(&self, values: &[f64]) -> Vec<f64> {
        let Tolerance::Columns(_, n) = self.tolerance else { return Vec::new() };
        (0..n).map(|c| values.iter().skip(c).step_by(n).fold(0.0, |m, v| v.abs().max(m))).collect()
    }
}

/// The samples in `words`.
#[must_use]
pub fn values(samples: Samples, words: &[u32]) -> Vec<f64> {
    match samples {
        Samples::U8 => cast_slice::<u32, u8>(words).iter().map(|&v| f64::from(v)).collect(),
        Samples::U16 => cast_slice::<u32, u16>(words).iter().map(|&v| f64::from(v)).collect(),
        Samples::U32 => words.iter().map(|&v| f64::from(v)).collect(),
        Samples::F32 => cast_slice::<u32, f32>(words).iter().map(|&v| f64::from(v)).collect(),
    }
}

/// A repeatable sequence. Source: Steele, Lea, Flood, `SplitMix64`, OOPSLA 2014.
pub(super) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A number in [`low`, `high`).
    pub(super) fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }
}

/// A sky with noise, 1 in 20 samples anywhere in the range (never the first): `samples` parts of white.
pub(super) fn sky(random: &mut Random, samples: usize) -> Vec<f32> {
    const SPIKES: f32 = 0.05;
    (0..samples)
        .map(|k| {
            let spike = random.unit() < SPIKES && k > 0;
            if spike { random.unit() } else { random.within(0.2, 0.24) }
        })
        .collect()
}
