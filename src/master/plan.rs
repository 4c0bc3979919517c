//! How lights are calibrated with a master.

use super::Master;
use crate::error::{Error, Result};
use crate::frame::{SampleType, Shape};
use crate::kernels::calibrate::Mode;
use crate::kernels::{PlaneFormat, Store, stride};
use rayon::prelude::*;

/// How the master is taken off a light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DarkRule {
    /// i > m ? i - m : i.
    Guarded,
    /// i - m, negatives kept.
    Signed,
}

/// Units of one 8-bit level in the fixed-point planes.
const FIXED_8: f32 = 256.0;

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
    use crate::master::About;

    #[test]
    fn planes_are_narrow_only_where_that_is_exact() {
        let shape = Shape { width: 3, height: 1, channels: 1, sample: SampleType::U8, mosaic: None };
        let exact = Master { shape, levels: vec![107.5, 0.25, 3.0], frames: 3, about: About::default() };
        let plan = Plan::new(shape, 255.0, Some(&exact), DarkRule::Guarded).expect("fits");
        assert_eq!((plan.mode, plan.shift, plan.format.store), (Mode::Fixed, 8, Store::U16));
        assert_eq!(plan.dark[0][0], (107 * 256 + 128) | 64 << 16);
        let third = Master { shape, levels: vec![1.0 / 3.0, 0.0, 0.0], frames: 3, about: About::default() };
        let plan = Plan::new(shape, 255.0, Some(&third), DarkRule::Guarded).expect("fits");
        assert_eq!((plan.mode, plan.format.store), (Mode::Guarded, Store::F32));
        let plan = Plan::new(shape, 255.0, Some(&exact), DarkRule::Signed).expect("fits");
        assert_eq!(plan.mode, Mode::Signed);
        let other = Shape { width: 4, ..shape };
        assert!(Plan::new(other, 255.0, Some(&exact), DarkRule::Guarded).is_err());
    }
}
