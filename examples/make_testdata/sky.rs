//! Light on the sensor: where the sky lies in the frame, and the image that the lens makes of stars and nebula.

use crate::catalog::Star;
use crate::motion::{Map, apply, inverse};
use crate::nebula::Nebula;

/// Right ascension and declination of the frame's centre, degrees: between Electra and Atlas.
const CENTRE_DEG: [f64; 2] = [56.75, 24.12];

/// Width of the field, degrees.
const FIELD_DEG: f64 = 2.2;

/// How far north is turned clockwise from up, degrees: the camera sat slightly askew.
const ROLL_DEG: f64 = 2.5;

/// Gnomonic (tangent-plane) projection of the sky onto frame 1, north up and east left.
pub(crate) struct Projection {
    /// Side of a pixel, degrees.
    pub(crate) deg_per_px: f64,
    centre: [f64; 2],
}

impl Projection {
    /// For a first frame of `width` x `height`.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        Projection { deg_per_px: FIELD_DEG / width as f64, centre }
    }

    /// Unit vector to the north in pixels, rows going down.
    pub(crate) fn north(&self) -> [f64; 2] {
        let (sin, cos) = libm::sincos(ROLL_DEG.to_radians());
        [sin, -cos]
    }

    /// Pixel of a right ascension and declination in degrees (Calabretta and Greisen 2002, section 5.1.3).
    pub(crate) fn pixel(&self, ra_deg: f64, dec_deg: f64) -> [f64; 2] {
        let (sin_a, cos_a) = libm::sincos((ra_deg - CENTRE_DEG[0]).to_radians());
        let (sin_d, cos_d) = libm::sincos(dec_deg.to_radians());
        let (sin_0, cos_0) = libm::sincos(CENTRE_DEG[1].to_radians());
        let depth = sin_0 * sin_d + cos_0 * cos_d * cos_a;
        let per_radian = 1_f64.to_degrees() / self.deg_per_px;
        let east = cos_d * sin_a / depth * per_radian;
        let north = (cos_0 * sin_d - sin_0 * cos_d * cos_a) / depth * per_radian;
        let up = self.north();
        [self.centre[0] + north * up[0] + east * up[1], self.centre[1] + north * up[1] - east * up[0]]
    }
}

/// What one exposure looked through.
pub(crate) struct Air {
    /// Full width at half maximum of a star, pixels.
    pub(crate) fwhm_px: f64,
    /// Part of the light that comes through, 0 to 1.
    pub(crate) transparency: f64,
}

/// Mean seeing, pixels.
pub(crate) const FWHM_PX: f64 = 3.0;

/// V magnitude of a white star whose peak is [`PEAK`] levels in the mean seeing.
const PEAK_V: f64 = 9.0;
const PEAK: f64 = 210.0;

/// Exponent of the Moffat profile (1969): the wings of long exposures.
const MOFFAT_BETA: f64 = 3.0;

/// The aureole of lens and thin haze: its peak relative to the star's, its radius in pixels, its exponent.
const AUREOLE: [f64; 3] = [1.0e-3, 9.0, 1.15];

/// A star is painted out to where it falls below this, levels.
const FAINTEST: f64 = 0.03;

/// White balance: the B-V that comes out white, and the change of the log10 of red and blue for each magnitude of
/// B-V, a linear fit to black bodies from 4000 to 15000 K.
const WHITE_B_V: f64 = 0.45;
const RED_PER_B_V: f64 = 0.22;
const BLUE_PER_B_V: f64 = -0.36;

/// Peak of a star in levels, in the mean seeing and a clear sky.
pub(crate) fn peak(star: &Star) -> f64 {
    PEAK * libm::exp10(0.4 * (PEAK_V - star.v_mag))
}

/// The linear light of a frame, interleaved RGB in levels, not clipped.
pub(crate) struct Light {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgb: Vec<[f32; 3]>,
}

impl Light {
    /// Stars and nebula as `map` (frame 1 to this frame) places them.
    pub(crate) fn of_sky(size: [usize; 2], map: &Map, air: &Air, stars: &[Star], nebula: &Nebula) -> Self {
        let [width, height] = size;
        let back = inverse(map);
        let clear = air.transparency as f32;
        let glow =
            |k: usize| nebula.at(apply(&back, [(k % width) as f64, (k / width) as f64])).map(|v| clear * v);
        let mut light = Light { width, height, rgb: (0..width * height).map(glow).collect() };
        let sharper = FWHM_PX / air.fwhm_px;
        let core = air.fwhm_px / 2.0 / libm::sqrt(libm::exp2(1.0 / MOFFAT_BETA) - 1.0);
        for star in stars {
            let top = peak(star) * air.transparency;
            let at = apply(map, star.at);
            let colour = colour(star.b_v);
            light.add(at, top * sharper * sharper, core, MOFFAT_BETA, colour);
            light.add(at, top * AUREOLE[0], AUREOLE[1], AUREOLE[2], colour);
        }
        light
    }

    /// Adds `top` * (1 + (r / radius)^2)^-beta about `at`.
    fn add(&mut self, at: [f64; 2], top: f64, radius: f64, beta: f64, colour: [f32; 3]) {
        if top <= FAINTEST {
            return;
        }
        let reach = radius * libm::sqrt(libm::pow(top / FAINTEST, 1.0 / beta) - 1.0);
        let span = |centre: f64, size: usize| {
            let low = (centre - reach).ceil().max(0.0);
            let high = (centre + reach).floor().min(size as f64 - 1.0);
            low as usize..(high + 1.0).max(low) as usize
        };
        for y in span(at[1], self.height) {
            for x in span(at[0], self.width) {
                let (dx, dy) = (x as f64 - at[0], y as f64 - at[1]);
                let q = 1.0 + (dx * dx + dy * dy) / (radius * radius);
                let level =
                    if beta == MOFFAT_BETA { top / (q * q * q) } else { top * libm::pow(q, -beta) } as f32;
                let pixel = &mut self.rgb[y * self.width + x];
                *pixel = std::array::from_fn(|c| pixel[c] + colour[c] * level);
            }
        }
    }

    /// Adds a satellite's trail from `from` to `to`, `peak` levels high.
    pub(crate) fn add_trail(&mut self, from: [f64; 2], to: [f64; 2], peak: f64) {
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length = libm::hypot(dx, dy);
        let sigma = FWHM_PX / FWHM_PER_SIGMA;
        for (k, pixel) in self.rgb.iter_mut().enumerate() {
            let (x, y) = ((k % self.width) as f64 - from[0], (k / self.width) as f64 - from[1]);
            let across = (x * dy - y * dx) / length / sigma;
            if across.abs() < TRAIL_REACH_SIGMA {
                let level = (peak * libm::exp(-0.5 * across * across)) as f32;
                *pixel = pixel.map(|v| v + level);
            }
        }
    }
}

/// Full width at half maximum of a Gaussian of sigma 1, and how far out a trail is painted.
const FWHM_PER_SIGMA: f64 = 2.3548;
const TRAIL_REACH_SIGMA: f64 = 4.5;

/// Red, green and blue of a star, green being 1.
fn colour(b_v: f64) -> [f32; 3] {
    let excess = b_v - WHITE_B_V;
    [libm::exp10(RED_PER_B_V * excess) as f32, 1.0, libm::exp10(BLUE_PER_B_V * excess) as f32]
}
