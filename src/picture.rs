//! What the engine shows: pictures and linear planes of its stacks.

use crate::backend::Backend;
use crate::engine::Engine;
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::histogram::{BINS, HistogramParams, RECORD, STRIP, from_ordered, histogram};
use crate::kernels::present::{PresentParams, Stretch, present};
use crate::kernels::stride;
use crate::rules::Method;

/// Rows that median and deviation are taken from, about: more do not change a picture.
const STATISTICS_ROWS: usize = 1024;
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

/// How pictures (never linear data) are stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StretchMode {
    /// As they are.
    None,
    /// Midtones transfer function from median and median absolute deviation, channel by channel.
    Auto,
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

    /// Median of a stack's plane, or of its absolute deviations from `centre`, in levels.
    fn median(&mut self, state: usize, channel: usize, centre: Option<f32>) -> Result<f32> {
        let white = self.white();
        let (mut low, mut high) =
            if centre.is_some() { (0.0, white * WIDEST) } else { (white * LOWEST, white) };
        let step = (self.setup.shape.height / STATISTICS_ROWS).max(1);
        let mut within = 0.5;
        for _ in 0..ROUNDS {
            let p = self.histogram_params(low, high, centre, step);
            let (bins, _) = self.count(state, channel, &p)?;
            let half = bins.iter().sum::<u64>() as f64 / 2.0;
            let mut before = 0.0;
            let mut found = BINS - 1;
            for (k, &b) in bins.iter().enumerate() {
                if before + b as f64 >= half {
                    found = k;
                    within = if b > 0 { ((half - before) / b as f64) as f32 } else { 0.5 };
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

    /// The stretch of each channel.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn stretches(&mut self, method: Method, mode: StretchMode) -> Result<[Stretch; 3]> {
        let mut out = [Stretch::NONE; 3];
        if mode == StretchMode::None {
            return Ok(out);
        }
        let white = self.shown_white(method)?;
        let state = self.state(method);
        for (c, stretch) in out.iter_mut().enumerate().take(self.setup.shape.channels) {
            let median = self.median(state, c, None)?;
            let deviation = self.median(state, c, Some(median))? * MAD_TO_SIGMA;
            *stretch = automatic(median / white, deviation / white);
        }
        Ok(out)
    }

    /// `method`'s stack as an interleaved 8-bit picture: floor(255 v), after the stretch. Bytes packed in words, rows
    /// without padding: the first width * height * channels bytes count.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn picture(&mut self, method: Method, mode: StretchMode) -> Result<Vec<u32>> {
        let Shape { width, height, channels, .. } = self.setup.shape;
        let padded = stride(width);
        let p = PresentParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: padded as u32,
            channels: channels as u32,
            stretched: u32::from(mode == StretchMode::Auto),
            scale: scale_to_255(self.shown_white(method)?),
            stretch: self.stretches(method, mode)?,
            pad: [0; 2],
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

    /// `method`'s stack as shown, v unclamped and linear (white = 1), interleaved.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn linear(&mut self, method: Method) -> Result<Vec<f32>> {
        let Shape { width, height, channels, .. } = self.setup.shape;
        let padded = stride(width);
        let scale = 1.0 / self.shown_white(method)?;
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
    pub fn picture16(&mut self, method: Method, mode: StretchMode) -> Result<Vec<u16>> {
        let stretch = self.stretches(method, mode)?;
        let channels = self.setup.shape.channels;
        let linear = self.linear(method)?;
        let shown =
            |(k, v): (usize, f32)| (stretch[k % channels].apply(v.clamp(0.0, 1.0)) * 65535.0).round() as u16;
        Ok(linear.into_iter().enumerate().map(shown).collect())
    }
}

/// The factor that shows `top` as 255: rounded up where the quotient's rounding would leave it just under.
fn scale_to_255(top: f32) -> f32 {
    let scale = 255.0 / top;
    if top * scale < 255.0 { scale.next_up() } else { scale }
}

/// The stretch that shows a background of `median` with noise `sigma`, both in [0, 1], at [`TARGET`].
fn automatic(median: f32, sigma: f32) -> Stretch {
    let shadow = (median - SHADOW_SIGMA * sigma).clamp(0.0, 0.99);
    let x = ((median - shadow) / (1.0 - shadow)).clamp(1e-6, 1.0);
    // The midtone that maps x to TARGET: the transfer function solved for m.
    let midtone = x * (TARGET - 1.0) / (2.0 * TARGET * x - TARGET - x);
    Stretch { shadow, midtone: midtone.clamp(1e-6, 0.999) }
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
    fn automatic_stretch_puts_the_background_at_its_target() {
        let s = automatic(0.07, 0.004);
        assert!((s.apply(0.07) - TARGET).abs() < 1e-4, "{}", s.apply(0.07));
        assert!(s.apply(0.5) > 0.8 && s.apply(1.0) > 0.999 && s.apply(0.0) == 0.0);
    }
}
