//! How lights are calibrated: what the kernels do, and the masters as they read them.

use super::flat::Flat;
use super::hot::{Hot, hot};
use super::{Master, unit};
use crate::error::{Error, Result};
use crate::frame::{SampleType, Shape};
use crate::kernels::calibrate::Mode;
use crate::kernels::demosaic::{self, Method};
use crate::kernels::{PlaneFormat, Store, stride};
use crate::sensor::{Bayer, Sensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Units of one 8-bit level in the fixed-point planes.
const FIXED_8: f32 = 256.0;

/// How the master is taken off a light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DarkRule {
    /// i > m ? i - m : i.
    Guarded,
    /// i - m, negatives kept.
    Signed,
}

impl DarkRule {
    /// What is used where nobody asked: signed in linear frames.
    #[must_use]
    pub const fn usual(linear: bool) -> DarkRule {
        if linear { DarkRule::Signed } else { DarkRule::Guarded }
    }
}

/// What the user asks of calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// How the dark is taken off; `None`: what is usual.
    pub dark_rule: Option<DarkRule>,
    /// How a mosaic becomes colours.
    pub demosaic: Method,
    /// Balance the colours of a RAW frame as the camera did.
    pub balance: bool,
    /// Repair hot pixels of mosaics.
    pub repair: bool,
    /// Pixels of a frame along each side of one of the stack: 1, or 2, which makes superpixels of a mosaic.
    pub bin: usize,
}

impl Wishes {
    /// Nothing special.
    pub const USUAL: Wishes =
        Wishes { dark_rule: None, demosaic: Method::Mhc, balance: true, repair: true, bin: 1 };

    /// How a mosaic becomes colours: cells of 2x2 pixels are superpixels.
    #[must_use]
    pub const fn colours(&self) -> Method {
        if self.bin == 1 { self.demosaic } else { Method::Superpixel }
    }
}

/// The masters of a night.
#[derive(Clone, Debug, Default)]
pub struct Masters {
    /// Taken off the lights.
    pub dark: Option<Master>,
    /// The dark is a bias: it knows no hot pixels.
    pub dark_is_bias: bool,
    /// What lights are divided by, once its offset is taken off.
    pub flat: Option<Master>,
    /// Flat dark or bias.
    pub flat_offset: Option<Master>,
}

/// What becomes of a mosaic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mosaic {
    /// Its colours.
    pub pattern: Bayer,
    /// How the missing ones are found.
    pub method: Method,
    /// Hot pixels that the dark has.
    pub hot: Option<Hot>,
    /// Find hot pixels in the light.
    pub find: bool,
}

impl Masters {
    /// Bytes of their levels, and of the flat's once more, which [`Plan::new`] scales in a copy.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Masters { dark, dark_is_bias: _, flat, flat_offset } = self;
        let all = [dark, flat, flat, flat_offset].into_iter().flatten();
        all.map(|master| size_of_val(&master.levels[..]) as u64).sum()
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
    /// The dark's planes as the kernel reads them, with a flat in pairs; empty without either.
    pub dark: Vec<Vec<u32>>,
    /// Whether they are pairs.
    pub flat: bool,
    /// See [`CalibrateParams`](crate::kernels::calibrate::CalibrateParams).
    pub gain: [f32; 4],
    /// Pixels along each side of a cell that kernel `calibrate` averages: 1, or 2 where the frames are no mosaic.
    pub bin: usize,
    /// What becomes of a mosaic; `None` where the frames are none.
    pub mosaic: Option<Mosaic>,
    /// Size and channels of what is stacked; the type is the lights'.
    pub canvas: Shape,
    /// Samples of the flat that were under the least: see [`Flat`].
    pub floored: usize,
    /// Whether something was taken off and negatives kept: the six rules then add their pedestal.
    pub signed: bool,
    /// The share of white that a sample which the sensor clipped has at least, once divided by the flat.
    pub top: f32,
}

impl Plan {
    /// The plan for lights of `shape` and `sensor`, whose level `white` stands for 1. Working planes are as narrow as
    /// the arithmetic allows: the samples' own type without a dark; 16-bit fixed point where every dark sample is exact
    /// in it; else f32, as for all mosaics. The mean of four samples is exact, too: 8-bit ones without a dark are summed
    /// in 16 bits, all others averaged in f32.
    ///
    /// # Errors
    /// [`Error::Usage`] where a master's size, channels or mosaic do not fit the lights, or these are too small to be
    /// binned.
    pub fn new(
        (shape, sensor): (Shape, &Sensor),
        white: f32,
        masters: &Masters,
        wishes: &Wishes,
    ) -> Result<Plan> {
        let Masters { dark, dark_is_bias, flat, flat_offset } = masters;
        if let Some(dark) = dark {
            fit("dark", &dark.shape, &shape)?;
        }
        let flat = match flat {
            Some(flat) => {
                fit("flat", &flat.shape, &shape)?;
                Some(Flat::new(flat, flat_offset.as_ref(), shape.mosaic.is_some())?)
            }
            None => None,
        };
        let rule = wishes.dark_rule.unwrap_or(DarkRule::usual(sensor.linear));
        let gain = gains(&shape, sensor, wishes.balance);
        let own = [Store::U8, Store::U16, Store::F32][shape.sample as usize];
        let fixed = if shape.sample == SampleType::U8 { FIXED_8 } else { 1.0 };
        let scale = dark.as_ref().map_or(1.0, |d| unit(shape.sample, sensor.linear, white, d));
        let plain = shape.mosaic.is_none() && flat.is_none() && gain == [1.0; 4] && sensor.black == [0.0; 4];
        let whole = |dark: &Master| match (plain && rule == DarkRule::Guarded, shape.sample) {
            (false, _) | (_, SampleType::F32) => None,
            _ => whole_planes(dark, scale * fixed),
        };
        let narrow = dark.as_ref().and_then(whole);
        let (mode, store, planes) = match (narrow, dark, &flat) {
            (Some(planes), ..) => (Mode::Fixed, Store::U16, planes),
            (None, None, None) if plain => (Mode::Copy, own, Vec::new()),
            (None, dark, flat) => {
                let mode = if rule == DarkRule::Guarded { Mode::Guarded } else { Mode::Signed };
                let mode = if dark.is_none() { Mode::Signed } else { mode };
                (mode, Store::F32, float_planes(&shape, (dark.as_ref(), scale), flat.as_ref()))
            }
        };
        let bin = if shape.mosaic.is_some() { 1 } else { wishes.bin };
        if shape.width.min(shape.height) < bin {
            return Err(Error::Usage(format!(
                "the lights are {shape}: too small for --bin {bin}: leave it out"
            )));
        }
        let (w, h) = match shape.mosaic {
            Some(_) => demosaic::size((shape.width, shape.height), wishes.colours()),
            None => (shape.width / bin, shape.height / bin),
        };
        let format = PlaneFormat { store, unit: if mode == Mode::Fixed { 1.0 / fixed } else { 1.0 } };
        let channels = if shape.mosaic.is_some() { 3 } else { shape.channels };
        Ok(Plan {
            mode,
            shift: if mode == Mode::Fixed { fixed.log2() as u32 } else { 0 },
            format: if bin == 1 { format } else { format.of_cells() },
            dark: planes,
            flat: flat.is_some(),
            gain,
            bin,
            mosaic: shape.mosaic.map(|pattern| Mosaic {
                pattern,
                method: wishes.colours(),
                hot: dark.as_ref().filter(|_| wishes.repair && !dark_is_bias).map(hot),
                find: wishes.repair && (dark.is_none() || *dark_is_bias),
            }),
            floored: flat.as_ref().map_or(0, |f| f.floored),
            signed: rule == DarkRule::Signed && (dark.is_some() || sensor.black != [0.0; 4]),
            top: flat.as_ref().map_or(1.0, Flat::top),
            canvas: Shape { width: w, height: h, channels, sample: shape.sample, mosaic: None },
        })
    }
}

impl Plan {
    /// Makes it that of `--bin 2`; false where the canvas is of half size already, or the lights of shape `frame` are too
    /// small.
    pub fn halve(&mut self, frame: &Shape) -> bool {
        let whole = (self.canvas.width, self.canvas.height) == (frame.width, frame.height);
        if !whole || frame.width.min(frame.height) < 2 {
            return false;
        }
        (self.canvas.width, self.canvas.height) = (frame.width / 2, frame.height / 2);
        match &mut self.mosaic {
            Some(mosaic) => mosaic.method = Method::Superpixel,
            None => (self.bin, self.format) = (2, self.format.of_cells()),
        }
        true
    }
}

/// Refuses a master of another size or mosaic than the lights'.
fn fit(what: &str, master: &Shape, lights: &Shape) -> Result<()> {
    let key = |s: &Shape| (s.width, s.height, s.channels);
    let mosaics = master.mosaic.zip(lights.mosaic);
    if key(master) == key(lights) && mosaics.is_none_or(|(m, l)| m == l) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the {what} does not fit the lights: the lights are {lights}, the {what} is {master}: use {what}s of the same \
         camera and size, or none"
    )))
}

/// Gain of each pixel of a cell, or of each channel.
fn gains(shape: &Shape, sensor: &Sensor, balance: bool) -> [f32; 4] {
    let [r, g, b] = if balance { sensor.balance } else { [1.0; 3] };
    match shape.mosaic {
        Some(pattern) => [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| [r, g, b][pattern.colour(x, y)]),
        None if shape.channels == 3 => [r, g, b, 1.0],
        None => [1.0; 4],
    }
}

/// The master's channels times `factor` as padded planes of u16; `None` where one sample is no whole number that 16
/// bits hold.
fn whole_planes(master: &Master, factor: f32) -> Option<Vec<Vec<u32>>> {
    let (w, channels) = (master.shape.width, master.shape.channels);
    let arch = pulp::Arch::new();
    planes::<u16>(&master.shape, 2, |y, c, out| {
        let levels = &master.levels[y * w * channels..][..w * channels];
        arch.dispatch(Whole { levels, channels, c, factor, out })
    })
}

/// A row of channel `c` of the `levels` of all, times `factor`, as whole numbers.
struct Whole<'a> {
    levels: &'a [f32],
    channels: usize,
    c: usize,
    factor: f32,
    out: &'a mut [u16],
}

impl pulp::NullaryFnOnce for Whole<'_> {
    /// Whether 16 bits hold each of them.
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Whole { levels, channels, c, factor, out } = self;
        let mut odd = 0;
        if channels == 3 {
            for (o, pixel) in out.iter_mut().zip(levels.as_chunks::<3>().0) {
                let (value, off) = number(pixel[c] * factor);
                (*o, odd) = (value, odd | off);
            }
        } else {
            for (o, level) in out.iter_mut().zip(levels.iter().skip(c).step_by(channels)) {
                let (value, off) = number(level * factor);
                (*o, odd) = (value, odd | off);
            }
        }
        odd == 0
    }
}

/// `units` as a whole number of 16 bits, and 0 where it is one, else 1.
#[inline(always)]
fn number(units: f32) -> (u16, u32) {
    // Above 2^23 an f32 has no fraction left: adding and taking off rounds to a whole number, which stands in the last bits.
    const ROUND: f32 = 8_388_608.0;
    let good = ((units + ROUND) - ROUND == units) & (0.0..=65535.0).contains(&units);
    ((units + ROUND).to_bits() as u16, u32::from(!good))
}

/// Padded planes of the dark times its factor, each sample followed by 1 / flat where there is one; none where there is
/// neither.
fn float_planes(shape: &Shape, (dark, factor): (Option<&Master>, f32), flat: Option<&Flat>) -> Vec<Vec<u32>> {
    fn each<T: bytemuck::Pod>(shape: &Shape, f: impl Fn(usize) -> T + Sync) -> Option<Vec<Vec<u32>>> {
        planes::<T>(shape, size_of::<T>(), |y, c, out| {
            let first = y * shape.width;
            out.iter_mut().enumerate().for_each(|(x, o)| *o = f((first + x) * shape.channels + c));
            true
        })
    }
    let made = match (dark, flat) {
        (None, None) => None,
        (Some(dark), None) => each(shape, |k| dark.levels[k] * factor),
        (Some(dark), Some(flat)) => each(shape, |k| [dark.levels[k] * factor, 1.0 / flat.levels[k]]),
        (None, Some(flat)) => each(shape, |k| [0.0, 1.0 / flat.levels[k]]),
    };
    made.unwrap_or_default()
}

/// Padded planes, `bytes` a sample, whose rows `fill(row, channel, samples)` fills; `None` where it said false of one.
fn planes<T: bytemuck::Pod>(
    shape: &Shape,
    bytes: usize,
    fill: impl Fn(usize, usize, &mut [T]) -> bool + Sync,
) -> Option<Vec<Vec<u32>>> {
    let (w, h, channels) = (shape.width, shape.height, shape.channels);
    let row_words = stride(w) * bytes / 4;
    let mut out: Vec<_> = (0..channels).map(|_| vec![0_u32; row_words * h]).collect();
    // One pass over the master: each task takes the same row of every plane.
    let mut rows: Vec<_> = out.iter_mut().map(|plane| plane.chunks_mut(row_words)).collect();
    let rows: Vec<Vec<&mut [u32]>> =
        (0..h).map(|_| rows.iter_mut().filter_map(Iterator::next).collect()).collect();
    let good = rows
        .into_par_iter()
        .enumerate()
        .map(|(y, rows)| {
            rows.into_iter().enumerate().all(|(c, row)| fill(y, c, &mut bytemuck::cast_slice_mut(row)[..w]))
        })
        .reduce(|| true, |a, b| a && b);
    good.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::About;

    fn shape(width: usize) -> Shape {
        Shape { width, height: 1, channels: 1, sample: SampleType::U8, mosaic: None }
    }

    fn plan(shape: Shape, sensor: &Sensor, levels: &[f32], rule: Option<DarkRule>) -> Result<Plan> {
        let own = Shape { width: levels.len(), ..shape };
        let dark = Master { shape: own, levels: levels.into(), frames: 3, about: About::default() };
        let masters = Masters { dark: Some(dark), ..Masters::default() };
        Plan::new((shape, sensor), 255.0, &masters, &Wishes { dark_rule: rule, ..Wishes::USUAL })
    }

    #[test]
    fn planes_are_narrow_only_where_that_is_exact() {
        let exact = [107.5, 0.25, 3.0];
        let p = plan(shape(3), &Sensor::DISPLAY, &exact, None).expect("fits");
        assert_eq!((p.mode, p.shift, p.format.store), (Mode::Fixed, 8, Store::U16));
        assert_eq!(p.dark[0][0], (107 * 256 + 128) | 64 << 16);
        let p = plan(shape(3), &Sensor::DISPLAY, &[1.0 / 3.0, 0.0, 0.0], None).expect("fits");
        assert_eq!((p.mode, p.format.store), (Mode::Guarded, Store::F32));
        let p = plan(shape(3), &Sensor::DISPLAY, &exact, Some(DarkRule::Signed)).expect("fits");
        assert_eq!(p.mode, Mode::Signed);
        assert!(plan(shape(4), &Sensor::DISPLAY, &exact, None).is_err());
    }

    #[test]
    fn mosaics_are_float_and_balanced_by_cell() {
        let mosaic = Shape { mosaic: Some(Bayer::Gbrg), height: 2, ..shape(2) };
        let sensor = Sensor { balance: [2.0, 1.0, 1.5], ..Sensor::LINEAR };
        let p = Plan::new((mosaic, &sensor), 255.0, &Masters::default(), &Wishes::USUAL).expect("a plan");
        assert_eq!((p.mode, p.format.store, p.gain), (Mode::Signed, Store::F32, [1.0, 1.5, 2.0, 1.0]));
        let m = p.mosaic.expect("a mosaic");
        assert!(m.find && m.hot.is_none());
        assert_eq!((p.canvas.channels, p.canvas.mosaic), (3, None));
        let other = Shape { mosaic: Some(Bayer::Rggb), ..mosaic };
        assert!(fit("dark", &other, &mosaic).is_err() && fit("dark", &mosaic, &mosaic).is_ok());
    }
}
