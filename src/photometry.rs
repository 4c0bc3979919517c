//! How one frame's levels become the stack's: `i' = g i + b` in each channel, from the brightness of the same stars and
//! the background around them.

use crate::align::background::{Background, median};
use crate::align::motion::{Mat3, apply};
use crate::align::stars::{Flux, Gauge, StarList};
use crate::backend::Backend;
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::PlaneFormat;
use crate::kernels::gray::{GrayParams, PEDESTAL, SPAN, gray};
use crate::kernels::stride;
use crate::kernels::tiles::{BIN, RECORD, TILE, Tile, TilesParams, tiles};
use bytemuck::cast_slice_mut;
use serde::{Deserialize, Serialize};

mod saved;

/// Brightest stars of the reference that are compared.
const STARS: usize = 200;
/// Stars that must be measurable in both frames.
const LEAST: usize = 3;
/// The weight is this much wider than a star, so that a little more blur changes the flux little.
const WIDE: f64 = 2.0;
/// Factors beyond this are no exposure's.
const MOST: f64 = 1000.0;

/// What is done to the samples of a channel: `gain * i + offset`, levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tone {
    /// Factor.
    pub gain: f64,
    /// Level added.
    pub offset: f64,
}

impl Tone {
    /// Samples as they are.
    pub const NONE: Tone = Tone { gain: 1.0, offset: 0.0 };
}

/// A channel of a frame at the places of the reference's stars.
#[derive(Serialize, Deserialize)]
struct Channel {
    fluxes: Vec<Flux>,
    /// Background at each place, gray units.
    skies: Vec<f64>,
    /// Median background, gray units.
    sky: f64,
}

/// Compares frames with the reference, channel by channel.
pub struct Photometer<B: Backend> {
    shape: Shape,
    gray: B::Buffer,
    table: B::Buffer,
    binned: B::Buffer,
    gauge: Gauge<B>,
    places: Vec<(f64, f64)>,
    fwhm: f64,
    reference: Vec<Channel>,
}

impl<B: Backend> Photometer<B> {
    /// For frames of `shape`.
    ///
    /// # Errors
    /// Where the device has not enough memory.
    pub fn new(backend: &mut B, shape: Shape) -> Result<Self> {
        let t = TilesParams::new(shape.width, shape.height);
        let tiles = t.tiles_x as usize * shape.height.div_ceil(TILE);
        Ok(Photometer {
            shape,
            gray: backend.alloc("channel", stride(shape.width) / 2 * shape.height)?,
            table: backend.alloc("channel's tile table", tiles * RECORD)?,
            binned: backend.alloc("channel, binned", tiles * BIN * BIN / 2)?,
            gauge: Gauge::new(backend)?,
            places: Vec::new(),
            fwhm: 0.0,
            reference: Vec::new(),
        })
    }

    /// Takes the frame with `planes` and the stars `list` as the one whose levels count.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn set_reference(
        &mut self,
        backend: &mut B,
        (planes, format, white): (&[B::Buffer], PlaneFormat, f32),
        list: &StarList,
    ) -> Result<()> {
        self.places = list.stars.iter().take(STARS).map(|s| (s.x, s.y)).collect();
        self.fwhm = list.fwhm;
        let places = self.places.clone();
        self.reference = self.channels(backend, (planes, format, white), &places)?;
        Ok(())
    }

    /// The tones that bring the frame with `planes` and pose `map` to the reference's levels; `contrast`, the frame's
    /// over the reference's, stands in where there are no stars.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn tones(
        &mut self,
        backend: &mut B,
        (planes, format, white): (&[B::Buffer], PlaneFormat, f32),
        map: &Mat3,
        contrast: f64,
    ) -> Result<Vec<Tone>> {
        let places: Vec<_> = self.places.iter().map(|&(x, y)| apply(map, x, y)).collect();
        let (w, h) = (self.shape.width as f64, self.shape.height as f64);
        let inside: Vec<bool> =
            places.iter().map(|&(x, y)| (0.0..w).contains(&x) && (0.0..h).contains(&y)).collect();
        // A place outside is measured in a corner, and not looked at.
        let kept: Vec<_> =
            places.iter().zip(&inside).map(|(p, i)| if *i { *p } else { (0.0, 0.0) }).collect();
        let frame = self.channels(backend, (planes, format, white), &kept)?;
        let unit = f64::from(white / SPAN);
        let tone = |(then, now): (&Channel, &Channel)| {
            let (gain, then_sky, now_sky) =
                ratio(then, now, &inside).unwrap_or((1.0 / contrast, then.sky, now.sky));
            let gain = gain.clamp(1.0 / MOST, MOST);
            let black = f64::from(PEDESTAL);
            Tone { gain, offset: ((then_sky - black) - gain * (now_sky - black)) * unit }
        };
        Ok(self.reference.iter().zip(&frame).map(tone).collect())
    }

    fn channels(
        &mut self,
        backend: &mut B,
        (planes, format, white): (&[B::Buffer], PlaneFormat, f32),
        places: &[(f64, f64)],
    ) -> Result<Vec<Channel>> {
        let (width, height) = (self.shape.width, self.shape.height);
        let t = TilesParams::new(width, height);
        let p = GrayParams::new((width, height), 1, format, white);
        let mut out = Vec::new();
        for plane in planes {
            gray(backend, &p, std::slice::from_ref(plane), &mut self.gray)?;
            tiles(backend, &t, &self.gray, &mut self.table, &mut self.binned)?;
            let mut table = vec![Tile::default(); t.tiles_x as usize * height.div_ceil(TILE)];
            backend.read(&self.table, cast_slice_mut(&mut table))?;
            let sky = Background::new(&table, width, height);
            let weight = (places, WIDE * self.fwhm);
            let fluxes = self.gauge.fluxes(backend, &self.gray, (width, height), &sky, weight)?;
            let skies = places.iter().map(|&(x, y)| sky.at(x, y)[0]).collect();
            out.push(Channel { fluxes, skies, sky: sky.plane().0 });
        }
        Ok(out)
    }
}

/// The factor from the channel `now` to `then`, and the backgrounds of both around the stars they share; `None` where
/// those are too few.
fn ratio(then: &Channel, now: &Channel, inside: &[bool]) -> Option<(f64, f64, f64)> {
    let clear: Vec<usize> = (0..then.fluxes.len().min(now.fluxes.len()))
        .filter(|&k| {
            let (a, b) = (&then.fluxes[k], &now.fluxes[k]);
            inside[k] && a.flux > 0.0 && b.flux > 0.0 && !a.saturated && !b.saturated
        })
        .collect();
    if clear.len() < LEAST {
        return None;
    }
    let middle = |f: &dyn Fn(usize) -> f64| {
        let mut v: Vec<f32> = clear.iter().map(|&k| f(k) as f32).collect();
        f64::from(median(&mut v))
    };
    // The median by brightness: what a sky that is cut off at black does to faint stars weighs little.
    let mut ratios: Vec<(f64, f64)> =
        clear.iter().map(|&k| (then.fluxes[k].flux / now.fluxes[k].flux, then.fluxes[k].flux)).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = ratios.iter().map(|r| r.1).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let gain = ratios
        .iter()
        .find(|r| {
            sum += r.1;
            sum >= half
        })?
        .0;
    Some((gain, middle(&|k| then.skies[k]), middle(&|k| now.skies[k])))
}
