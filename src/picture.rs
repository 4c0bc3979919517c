//! What the engine shows: pictures and linear planes of its stacks.

use crate::backend::Backend;
use crate::engine::Engine;
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::histogram::{BINS, HistogramParams, RECORD, STRIP, from_ordered, histogram};
use crate::kernels::present::{Curve, PresentParams, Stretch, gamma, present};
use crate::kernels::stride;
use crate::rules::Method;
use crate::sensor::NO_MATRIX;
use rayon::prelude::*;

/// Rows that median and deviation are taken from, about: more do not change a picture.
const STATISTICS_ROWS: usize = 512;
/// Rounds of narrowing a median: each divides its uncertainty by the number of bins.
const ROUNDS: usize = 2;
/// Largest deviation that is resolved, as a share of white; what is larger counts as this.
const WIDEST: f32 = 0.25;
/// Lowest value that is resolved, as a share of white: signed data go below 0.
const LOWEST: f32 = -0.125;
/// Median absolute deviation of Gaussian noise to its standard deviation.
const MAD_TO_SIGMA: f32 = 1.4826;
/// The automatic stretch puts black this many standard deviations under the median, and the median at
/// [`TARGET`]: the customary screen stretch of the field.
const SHADOW_SIGMA: f32 = 2.8;
/// Brightness that the background is given.
const TARGET: f32 = 0.2;

/// The straight stretch ends at the level that this part of the pixels stays under, in the channel where it is highest.
const BRIGHT_PART: f64 = 0.999;

/// How pictures (never linear data) are stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StretchMode {
    /// As they are.
    None,
    /// A straight line from the background to the brightest thousandth.
    Linear,
    /// The transfer function of sRGB.
    Gamma,
    /// Midtones transfer function from median and median absolute deviation.
    Auto,
}

/// How pictures are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The stretch.
    pub stretch: StretchMode,
    /// All channels alike, instead of each by its own background.
    pub linked: bool,
    /// What is shown is multiplied by this, above black.
    pub gain: f32,
}

impl Look {
    /// As it is.
    pub const PLAIN: Look = Look { stretch: StretchMode::None, linked: false, gain: 1.0 };
}

/// What a picture is made with.
struct Shown {
    curve: Curve,
    stretch: [Stretch; 3],
    coloured: bool,
}

impl<B: Backend> Engine<B> {
    fn state(&self, method: Method) -> usize {
        self.states.iter().position(|s| s.method == method.state()).unwrap_or(0)
    }

    /// Records of a plane's histogram, added up, and its maximum.
    fn count(&mut self, state: usize, channel: usize, p: &HistogramParams) -> Result<([u64; BINS], f32)> {
        let strips = (p.height as usize).div_ceil(STRIP);
        let mut records = self.backend.alloc("histogram", strips * RECORD)?;
        histogram(&mut self.backend, p, &self.states[state].planes[channel], &mut records)?;
        let mut words = vec![0_u32; strips * RECORD];
        self.backend.read(&records, &mut words)?;
        let mut bins = [0_u64; BINS];
        let mut top = 0;
        for record in words.chunks_exact(RECORD) {
            bins.iter_mut().zip(record).for_each(|(b, &r)| *b += u64::from(r));
            top = top.max(record[BINS]);
        }
        Ok((bins, from_ordered(top)))
    }

    fn histogram_params(&self, low: f32, high: f32, centre: Option<f32>, step: usize) -> HistogramParams {
        let Shape { width, height, .. } = self.setup.shape;
        HistogramParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            step: step as u32,
            low,
            bins_per_level: BINS as f32 / (high - low),
            centre: centre.unwrap_or(0.0),
            deviation: u32::from(centre.is_some()),
            pad: [0; 2],
        }
    }

    /// The level that `part` of a stack's plane stays under, or of its absolute deviations from `centre`.
    fn quantile(&mut self, state: usize, channel: usize, centre: Option<f32>, part: f64) -> Result<f32> {
        let white = self.white();
        let (mut low, mut high) =
            if centre.is_some() { (0.0, white * WIDEST) } else { (white * LOWEST, white) };
        let step = (self.setup.shape.height / STATISTICS_ROWS).max(1);
        let mut within = 0.5;
        for _ in 0..ROUNDS {
            let p = self.histogram_params(low, high, centre, step);
            let (bins, _) = self.count(state, channel, &p)?;
            let below = bins.iter().sum::<u64>() as f64 * part;
            let mut before = 0.0;
            let mut found = BINS - 1;
            for (k, &b) in bins.iter().enumerate() {
                if before + b as f64 >= below {
                    found = k;
                    within = if b > 0 { ((below - before) / b as f64) as f32 } else { 0.5 };
                    break;
                }
                before += b as f64;
            }
            let bin = (high - low) / BINS as f32;
            (low, high) = (low + found as f32 * bin, low + (found + 1) as f32 * bin);
        }
        Ok(low + within * (high - low))
    }

    /// The level of `method`'s stack that is shown as 1.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn shown_white(&mut self, method: Method) -> Result<f32> {
        let white = self.white();
        if !method.shown_by_max() {
            return Ok(white);
        }
        let state = self.state(method);
        let mut top = f32::NEG_INFINITY;
        for c in 0..self.setup.shape.channels {
            let p = self.histogram_params(0.0, white, None, 1);
            top = top.max(self.count(state, c, &p)?.1);
        }
        Ok(if top > 0.0 { top } else { white })
    }

    /// Whether what is shown has other colours than the stack.
    fn coloured(&self) -> bool {
        self.setup.matrix != NO_MATRIX && self.setup.shape.channels == 3
    }

    /// The level that pictures show as 1. Colours are clipped where the sensor was, or clipped stars would be tinted.
    fn picture_white(&mut self, method: Method) -> Result<f32> {
        let top = if self.coloured() { self.top() } else { 1.0 };
        Ok(self.shown_white(method)? * top)
    }

    /// Median and standard deviation of each channel as it is shown, parts of white, and (where `straight` asks for it, else
    /// 0) how bright the bright pixels are.
    fn background(&mut self, method: Method, straight: bool) -> Result<([f32; 3], [f32; 3], f32)> {
        let white = self.picture_white(method)?;
        let (state, channels) = (self.state(method), self.setup.shape.channels);
        let (mut median, mut sigma, mut bright) = ([0.0; 3], [0.0; 3], 0.0_f32);
        for c in 0..channels {
            let centre = self.quantile(state, c, None, 0.5)?;
            median[c] = centre / white;
            sigma[c] = self.quantile(state, c, Some(centre), 0.5)? * MAD_TO_SIGMA / white;
            if straight {
                bright = bright.max(self.quantile(state, c, None, BRIGHT_PART)? / white);
            }
        }
        if !self.coloured() {
            return Ok((median, sigma, bright));
        }
        // A linear map takes the median of noise to the median; the noise of the channels is their own.
        let row = |v: [f32; 3], power: i32, c: usize| -> f32 {
            (0..3).map(|k| self.setup.matrix[3 * c + k].powi(power) * v[k].powi(power)).sum()
        };
        let map = |v, power| [row(v, power, 0), row(v, power, 1), row(v, power, 2)];
        Ok((map(median, 1), map(sigma, 2).map(f32::sqrt), bright))
    }

    /// How `method`'s stack is shown.
    fn shown(&mut self, method: Method, look: &Look) -> Result<Shown> {
        let (coloured, mut stretch) = (self.coloured(), [Stretch { slope: look.gain, ..Stretch::NONE }; 3]);
        let curve = match look.stretch {
            StretchMode::None if !coloured && look.gain == 1.0 => Curve::None,
            StretchMode::Gamma => Curve::Gamma,
            _ => Curve::Stretch,
        };
        if matches!(look.stretch, StretchMode::Linear | StretchMode::Auto) {
            let (mut median, mut sigma, bright) =
                self.background(method, look.stretch == StretchMode::Linear)?;
            let channels = self.setup.shape.channels;
            if look.linked {
                let mean = |v: &[f32; 3]| [v[..channels].iter().sum::<f32>() / channels as f32; 3];
                (median, sigma) = (mean(&median), mean(&sigma));
            }
            for (c, s) in stretch.iter_mut().enumerate().take(channels) {
                *s = match look.stretch {
                    StretchMode::Linear => straight(median[c], sigma[c], bright),
                    _ => automatic(median[c], sigma[c]),
                };
                s.slope *= look.gain;
            }
        }
        Ok(Shown { curve, stretch, coloured })
    }

    /// `method`'s stack as an interleaved 8-bit picture: floor(255 v), after the stretch. Bytes packed in words, rows
    /// without padding: the first width * height * channels bytes count.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn picture(&mut self, method: Method, look: &Look) -> Result<Vec<u32>> {
        let Shown { curve, stretch, coloured } = self.shown(method, look)?;
        let Shape { width, height, channels, .. } = self.setup.shape;
        let padded = stride(width);
        let p = PresentParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: padded as u32,
            channels: channels as u32,
            stretched: curve as u32,
            coloured: u32::from(coloured),
            scale: scale_to_255(self.picture_white(method)?),
            pad: [0; 3],
            stretch,
            matrix: self.setup.matrix,
            end: [0; 3],
        };
        let words = padded * channels / 4 * height;
        let mut buffer = self.backend.alloc("picture", words)?;
        let state = self.state(method);
        present(&mut self.backend, &p, &self.states[state].planes, &mut buffer)?;
        let mut packed = vec![0_u32; words];
        self.backend.read(&buffer, &mut packed)?;
        if padded != width {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut packed);
            for y in 1..height {
                let from = y * padded * channels;
                bytes.copy_within(from..from + width * channels, y * width * channels);
            }
        }
        Ok(packed)
    }

    /// `method`'s stack as shown, v unclamped and linear (white = 1), interleaved; where the camera's colours are known,
    /// in linear sRGB.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn linear(&mut self, method: Method) -> Result<Vec<f32>> {
        let white = self.shown_white(method)?;
        let mut values = self.values(method, white)?;
        if self.coloured() {
            let m = self.setup.matrix;
            values.as_chunks_mut::<3>().0.par_iter_mut().for_each(|v| *v = coloured(&m, *v));
        }
        Ok(values)
    }

    /// The same in the stack's own colours, parts of `white`.
    fn values(&mut self, method: Method, white: f32) -> Result<Vec<f32>> {
        let Shape { width, height, channels, .. } = self.setup.shape;
        let padded = stride(width);
        let scale = 1.0 / white;
        let state = self.state(method);
        let mut out = vec![0.0; width * height * channels];
        let mut plane = vec![0_u32; padded * height];
        for c in 0..channels {
            self.backend.read(&self.states[state].planes[c], &mut plane)?;
            let levels: &[f32] = bytemuck::cast_slice(&plane);
            for (row, line) in out.chunks_exact_mut(width * channels).zip(levels.chunks_exact(padded)) {
                for (o, v) in row[c..].iter_mut().step_by(channels).zip(line) {
                    *o = v * scale;
                }
            }
        }
        Ok(out)
    }

    /// `method`'s stack as a 16-bit picture: round(65535 v), v clamped to [0, 1], after the stretch.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn picture16(&mut self, method: Method, look: &Look) -> Result<Vec<u16>> {
        let shown = self.shown(method, look)?;
        let (channels, m) = (self.setup.shape.channels, self.setup.matrix);
        let white = self.picture_white(method)?;
        let mut values = self.values(method, white)?;
        let mut out = vec![0; values.len()];
        out.par_chunks_mut(channels).zip(values.par_chunks_mut(channels)).for_each(|(out, v)| {
            if let ([r, g, b], true) = (&mut *v, shown.coloured) {
                // What is clipped in the sensor is white.
                [*r, *g, *b] = coloured(&m, [r.min(1.0), g.min(1.0), b.min(1.0)]);
            }
            for (c, (o, v)) in out.iter_mut().zip(v).enumerate() {
                let x = shown.stretch[c].apply(*v);
                let x = if shown.curve == Curve::Gamma { gamma(x) } else { x };
                *o = (x * 65535.0).round() as u16;
            }
        });
        Ok(out)
    }
}

/// `v` times the matrix.
fn coloured(m: &[f32; 9], v: [f32; 3]) -> [f32; 3] {
    [0, 3, 6].map(|k| m[k] * v[0] + m[k + 1] * v[1] + m[k + 2] * v[2])
}

/// The factor that shows `top` as 255: rounded up where the quotient's rounding would leave it just under.
fn scale_to_255(top: f32) -> f32 {
    let scale = 255.0 / top;
    if top * scale < 255.0 { scale.next_up() } else { scale }
}

/// The black point under a background of `median` with noise `sigma`.
fn black(median: f32, sigma: f32) -> f32 {
    // Signed data may have their background under 0.
    (median - SHADOW_SIGMA * sigma).clamp(LOWEST, 0.99)
}

/// The stretch that shows a background of `median` with noise `sigma`, both in [0, 1], at [`TARGET`].
fn automatic(median: f32, sigma: f32) -> Stretch {
    let shadow = black(median, sigma);
    let slope = 1.0 / (1.0 - shadow);
    let x = ((median - shadow) * slope).clamp(1e-6, 1.0);
    // The midtone that maps x to TARGET: the transfer function solved for m.
    let midtone = x * (TARGET - 1.0) / (2.0 * TARGET * x - TARGET - x);
    Stretch { shadow, slope, midtone: midtone.clamp(1e-6, 0.999), pad: 0.0 }
}

/// The straight line from under such a background to `bright`.
fn straight(median: f32, sigma: f32, bright: f32) -> Stretch {
    let shadow = black(median, sigma);
    Stretch { shadow, slope: 1.0 / (bright - shadow).max(1e-4), ..Stretch::NONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brightest_is_white() {
        for top in 1..=65535 {
            let top = top as f32 / 256.0;
            assert!(top * scale_to_255(top) >= 255.0, "{top}");
        }
        assert_eq!(scale_to_255(65535.0), 255.0 / 65535.0);
    }

    #[test]
    fn a_background_under_0_is_shown_too() {
        let s = automatic(-0.0005, 0.0004);
        assert!((s.apply(-0.0005) - TARGET).abs() < 1e-3, "{}", s.apply(-0.0005));
        assert!(straight(-0.0005, 0.0004, 0.01).apply(-0.0005) > 0.05);
    }

    #[test]
    fn automatic_stretch_puts_the_background_at_its_target() {
        let s = automatic(0.07, 0.004);
        assert!((s.apply(0.07) - TARGET).abs() < 1e-4, "{}", s.apply(0.07));
        assert!(s.apply(0.5) > 0.8 && s.apply(1.0) > 0.999 && s.apply(0.0) == 0.0);
    }
}
