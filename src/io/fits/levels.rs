//! From stored big-endian numbers to samples.

use super::hdu::Image;
use super::header::Header;
use crate::frame::SampleType;
use crate::sensor::Sensor;

/// White of what was scaled from 8 bits, and of longer integers.
const WHITE_8: f32 = 255.0;
const WHITE_16: f32 = 65535.0;
/// What unsigned 16-bit numbers are stored less of: FITS standard 4.0, table 11.
const UNSIGNED: f64 = 32768.0;
/// Its bit.
const SIGN: u16 = 0x8000;

/// What becomes of a stored number: `zero + scale * number`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaling {
    zero: f64,
    scale: f64,
    /// The integer that stands for no value.
    blank: Option<i64>,
    /// Type of the samples.
    pub(super) sample: SampleType,
}

impl Scaling {
    /// The scaling that a header states. The sample type follows from it alone, so that it is the same all night.
    pub(super) fn of(image: &Image) -> Result<Scaling, String> {
        let header = &image.header;
        let stated = |key: &str, default: f64| match header.value(key) {
            None => Ok(default),
            Some(_) => header.number(key).ok_or(format!("damaged: {key} is no number")),
        };
        let (zero, scale) = (stated("BZERO", 0.0)?, stated("BSCALE", 1.0)?);
        let blank = header.integer("BLANK").or_else(|| header.integer("ZBLANK"));
        let sample = match (image.bitpix, zero, scale) {
            (8, 0.0, 1.0) => SampleType::U8,
            (16, UNSIGNED, 1.0) => SampleType::U16,
            (8 | 16 | 32 | 64 | -32 | -64, ..) => SampleType::F32,
            (bitpix, ..) => {
                return Err(format!("damaged: expected a BITPIX of 8, 16, 32, 64, -32 or -64, got {bitpix}"));
            }
        };
        Ok(Scaling { zero, scale, blank, sample })
    }

    fn integer(&self, number: i64) -> f32 {
        if Some(number) == self.blank { 0.0 } else { self.real(number as f64) }
    }

    /// What is no finite number (a masked pixel) becomes 0, since sums would spread it.
    fn real(&self, number: f64) -> f32 {
        finite((self.zero + self.scale * number) as f32)
    }

    fn changes_nothing(&self) -> bool {
        self.zero == 0.0 && self.scale == 1.0
    }
}

fn finite(level: f32) -> f32 {
    if level.is_finite() { level } else { 0.0 }
}

/// What the samples mean: linear in light. Integers state where they end; floats leave it to the session. `DATAMAX`
/// counts where no sample is as high: many programs write the maximum that they found there.
pub(super) fn sensor(
    header: &Header,
    bitpix: i64,
    sample: SampleType,
    reached: impl Fn(f32) -> bool,
) -> Sensor {
    let number = |key: &str| {
        header.number(key).map(|white| white as f32).filter(|white| white.is_finite() && *white > 0.0)
    };
    let stated = number("SATURATE").or_else(|| number("DATAMAX").filter(|white| !reached(*white)));
    let white = match (bitpix, sample) {
        (_, SampleType::U8) | (..=-1, _) => None,
        (8, _) => Some(WHITE_8),
        (_, SampleType::U16) => stated,
        _ => stated.or(Some(WHITE_16)),
    };
    Sensor { white, ..Sensor::LINEAR }
}

/// Stored numbers.
pub(super) enum Raw<'a> {
    /// Big-endian, in the type that this `BITPIX` stands for.
    Big(i64, &'a [u8]),
    /// Decompressed.
    Integers(&'a [i32]),
    /// Decompressed and scaled back from integers.
    Reals(&'a [f32]),
}

impl Raw<'_> {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        match self {
            Raw::Big(bitpix, bytes) => bytes.len() / width(*bitpix),
            Raw::Integers(numbers) => numbers.len(),
            Raw::Reals(numbers) => numbers.len(),
        }
    }

    /// `count` of them from number `from` on.
    pub(super) fn part(&self, from: usize, count: usize) -> Raw<'_> {
        match self {
            Raw::Big(bitpix, bytes) => {
                Raw::Big(*bitpix, &bytes[from * width(*bitpix)..][..count * width(*bitpix)])
            }
            Raw::Integers(numbers) => Raw::Integers(&numbers[from..][..count]),
            Raw::Reals(numbers) => Raw::Reals(&numbers[from..][..count]),
        }
    }
}

/// Bytes of a number of that `BITPIX`.
pub(super) const fn width(bitpix: i64) -> usize {
    (bitpix.unsigned_abs() / 8) as usize
}

/// Turns `raw` into samples of `words`: the first goes to place `at`, each next one `stride` places on.
pub(super) fn put(raw: &Raw, scaling: &Scaling, words: &mut [u32], at: usize, stride: usize) {
    match scaling.sample {
        SampleType::U8 => put_u8(raw, scaling, &mut bytemuck::cast_slice_mut(words)[at..], stride),
        SampleType::U16 => put_u16(raw, scaling, &mut bytemuck::cast_slice_mut(words)[at..], stride),
        SampleType::F32 => put_f32(raw, scaling, &mut bytemuck::cast_slice_mut(words)[at..], stride),
    }
}

fn put_u8(raw: &Raw, scaling: &Scaling, target: &mut [u8], stride: usize) {
    let blank = scaling.blank.and_then(|blank| u8::try_from(blank).ok());
    let level = |number: u8| if Some(number) == blank { 0 } else { number };
    match raw {
        Raw::Big(_, bytes) if stride == 1 && blank.is_none() => target[..bytes.len()].copy_from_slice(bytes),
        Raw::Big(_, bytes) => spread(target, stride, bytes.iter().map(|byte| level(*byte))),
        Raw::Integers(numbers) => spread(target, stride, numbers.iter().map(|number| level(*number as u8))),
        Raw::Reals(_) => {}
    }
}

fn put_u16(raw: &Raw, scaling: &Scaling, target: &mut [u16], stride: usize) {
    let blank = scaling.blank.and_then(|blank| i16::try_from(blank).ok()).map(|blank| blank as u16);
    let level = |number: u16| if Some(number) == blank { 0 } else { number ^ SIGN };
    match raw {
        Raw::Big(_, bytes) => {
            let numbers = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            match blank {
                None => spread(target, stride, numbers.map(|number| number ^ SIGN)),
                Some(_) => spread(target, stride, numbers.map(level)),
            }
        }
        Raw::Integers(numbers) => spread(target, stride, numbers.iter().map(|number| level(*number as u16))),
        Raw::Reals(_) => {}
    }
}

fn put_f32(raw: &Raw, scaling: &Scaling, target: &mut [f32], stride: usize) {
    match *raw {
        Raw::Integers(numbers) => {
            spread(target, stride, numbers.iter().map(|number| scaling.integer(i64::from(*number))));
        }
        Raw::Reals(numbers) => {
            spread(target, stride, numbers.iter().map(|number| scaling.real(f64::from(*number))));
        }
        Raw::Big(8, bytes) => {
            spread(target, stride, bytes.iter().map(|byte| scaling.integer(i64::from(*byte))));
        }
        Raw::Big(16, bytes) => {
            let numbers = groups(bytes).map(i16::from_be_bytes);
            spread(target, stride, numbers.map(|number| scaling.integer(i64::from(number))));
        }
        Raw::Big(32, bytes) => {
            let numbers = groups(bytes).map(i32::from_be_bytes);
            spread(target, stride, numbers.map(|number| scaling.integer(i64::from(number))));
        }
        Raw::Big(64, bytes) => {
            spread(
                target,
                stride,
                groups(bytes).map(i64::from_be_bytes).map(|number| scaling.integer(number)),
            );
        }
        Raw::Big(-32, bytes) if scaling.changes_nothing() => {
            spread(target, stride, groups(bytes).map(f32::from_be_bytes).map(finite));
        }
        Raw::Big(-32, bytes) => {
            let numbers = groups(bytes).map(f32::from_be_bytes);
            spread(target, stride, numbers.map(|number| scaling.real(f64::from(number))));
        }
        Raw::Big(_, bytes) => {
            spread(target, stride, groups(bytes).map(f64::from_be_bytes).map(|number| scaling.real(number)));
        }
    }
}

/// Bytes in groups of `N`.
fn groups<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

fn spread<T>(target: &mut [T], stride: usize, levels: impl Iterator<Item = T>) {
    // Written twice, since only the first can be vectorised.
    if stride == 1 {
        for (place, level) in target.iter_mut().zip(levels) {
            *place = level;
        }
    } else {
        for (place, level) in target.iter_mut().step_by(stride).zip(levels) {
            *place = level;
        }
    }
}
