//! The sensor: a Bayer mosaic with its noise and its faults, developed to RGB by bilinear interpolation.

use crate::rng::Rng;
use crate::sky::Light;

/// Pedestal that keeps the noise of a dark off the bottom of the scale, levels.
const BIAS: f32 = 22.0;

/// Read noise of a photosite, levels: 6 to 7 in a developed channel.
const READ_NOISE: f32 = 8.5;

/// Shot noise: standard deviation of a photosite is this times the root of its levels.
const SHOT_NOISE: f32 = 0.55;

/// Glow of the night sky in red, green and blue, levels at the frame's centre.
const SKY: [f32; 3] = [11.0, 10.0, 9.5];

/// The sky's gradient: part by which it is brighter at the right and at the bottom edge than at the centre.
const SKY_GRADIENT: [f32; 2] = [0.05, 0.12];

/// Part of the light that the corners lose.
const VIGNETTING: f32 = 0.25;

/// Hot photosites per megapixel, and the limits of what they add, levels.
const HOT_PER_MPIX: f64 = 140.0;
const HOT_LEVELS: [f64; 2] = [40.0, 230.0];

/// The amplifier's glow in the lower right corner: peak in levels and reach as a part of the frame's width.
const AMP_GLOW: [f32; 2] = [16.0, 0.09];

/// Largest sample.
const WHITE: f32 = 255.0;

/// Colour of the photosite at a row and column, each modulo 2: RGGB.
const MOSAIC: [[usize; 2]; 2] = [[0, 1], [1, 2]];

/// A sensor with its fixed pattern.
pub(crate) struct Camera {
    width: usize,
    height: usize,
    /// What each photosite adds without light, levels: bias, hot photosites, amplifier glow.
    dark: Vec<f32>,
}

impl Camera {
    /// The sensor that `seed` makes.
    pub(crate) fn new(seed: u64, width: usize, height: usize) -> Self {
        let mut rng = Rng::new(seed, crate::purpose::SENSOR, 0);
        let glow = |k: usize| {
            let from_corner = |at: usize, size: usize| (size - 1 - at) as f32 / (AMP_GLOW[1] * width as f32);
            let (dx, dy) = (from_corner(k % width, width), from_corner(k / width, height));
            BIAS + AMP_GLOW[0] * libm::expf(-libm::hypotf(dx, dy))
        };
        let mut dark: Vec<f32> = (0..width * height).map(glow).collect();
        for _ in 0..(HOT_PER_MPIX * (width * height) as f64 / 1e6) as usize {
            let place = rng.below(width * height);
            dark[place] += rng.within(HOT_LEVELS[0], HOT_LEVELS[1]) as f32;
        }
        Camera { width, height, dark }
    }

    /// One exposure in levels 0 to 255, interleaved RGB; without `light` a dark.
    pub(crate) fn expose(&self, light: Option<&Light>, rng: &mut Rng) -> Vec<f32> {
        let mut raw = Vec::with_capacity(self.dark.len());
        for (k, &dark) in self.dark.iter().enumerate() {
            let (x, y) = (k % self.width, k / self.width);
            let caught = light.map_or(0.0, |light| self.caught(light, x, y));
            let noise = libm::sqrtf(READ_NOISE * READ_NOISE + SHOT_NOISE * SHOT_NOISE * caught);
            raw.push((dark + caught + noise * rng.normal() as f32).clamp(0.0, WHITE));
        }
        self.develop(&raw)
    }

    /// Light that the photosite at column `x` and row `y` catches, levels.
    fn caught(&self, light: &Light, x: usize, y: usize) -> f32 {
        let (u, v) = (eccentricity(x, self.width), eccentricity(y, self.height));
        let colour = MOSAIC[y % 2][x % 2];
        let sky = SKY[colour] * (1.0 + SKY_GRADIENT[0] * u + SKY_GRADIENT[1] * v);
        (light.rgb[y * self.width + x][colour] + sky) * (1.0 - VIGNETTING * (u * u + v * v) / 2.0)
    }

    /// Bilinear demosaicing: a missing colour is the mean of the nearest photosites that have it.
    fn develop(&self, raw: &[f32]) -> Vec<f32> {
        let mut rgb = Vec::with_capacity(3 * raw.len());
        let near = |at: usize, size: usize| at.saturating_sub(1)..(at + 2).min(size);
        for y in 0..self.height {
            for x in 0..self.width {
                let (mut sum, mut weight) = ([0.0; 3], [0.0_f32; 3]);
                for j in near(y, self.height) {
                    for i in near(x, self.width) {
                        let colour = MOSAIC[j % 2][i % 2];
                        let w = NEAR[j.abs_diff(y) + i.abs_diff(x)];
                        sum[colour] += w * raw[j * self.width + i];
                        weight[colour] += w;
                    }
                }
                let own = MOSAIC[y % 2][x % 2];
                let mut pixel: [f32; 3] = std::array::from_fn(|c| sum[c] / weight[c]);
                pixel[own] = raw[y * self.width + x];
                rgb.extend(pixel);
            }
        }
        rgb
    }
}

/// Weights of a photosite by its distance in rows plus columns: bilinear interpolation of every colour.
const NEAR: [f32; 3] = [1.0, 0.5, 0.25];

/// -1 at the first, 0 in the middle, 1 at the last of `size` rows or columns.
fn eccentricity(at: usize, size: usize) -> f32 {
    2.0 * at as f32 / (size - 1) as f32 - 1.0
}
