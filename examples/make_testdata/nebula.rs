//! The blue reflection nebulae about the brightest Pleiades: smooth glows, combed into filaments by fractal noise.

use crate::sky::Projection;

/// One glow: offset of its centre from its star (arcmin east, north), semi-axes (arcmin, along and across), position
/// angle of the long axis (degrees, north through east), peak (levels), position angle of its filaments (degrees).
struct Glow {
    star_deg: [f64; 2],
    offset: [f64; 2],
    axes: [f64; 2],
    angle_deg: f64,
    peak: f64,
    fibres_deg: f64,
}

const ALCYONE: [f64; 2] = [56.8712, 24.1051];
const ATLAS: [f64; 2] = [57.2906, 24.0534];
const ELECTRA: [f64; 2] = [56.2189, 24.1133];
const MAIA: [f64; 2] = [56.4567, 24.3677];
const MEROPE: [f64; 2] = [56.5816, 23.9484];
const TAYGETA: [f64; 2] = [56.3021, 24.4673];
const CELAENO: [f64; 2] = [56.2009, 24.2895];
const CLUSTER: [f64; 2] = [56.62, 24.15];

const fn glow(
    star_deg: [f64; 2],
    offset: [f64; 2],
    axes: [f64; 2],
    angle_deg: f64,
    peak: f64,
    fibres_deg: f64,
) -> Glow {
    Glow { star_deg, offset, axes, angle_deg, peak, fibres_deg }
}

/// Drawn after photographs: NGC 1435 fans out to the south of Merope, NGC 1432 wraps Maia, Alcyone sits in a broad
/// glow, Electra and Taygeta in small ones, and thin dust lies over the whole.
const GLOWS: [Glow; 12] = [
    glow(MEROPE, [0.0, -1.5], [5.0, 4.0], 10.0, 12.0, 15.0),
    glow(MEROPE, [-0.5, -6.5], [10.0, 9.0], 20.0, 9.5, 20.0),
    glow(MAIA, [0.0, 0.5], [5.5, 4.5], 80.0, 8.5, 75.0),
    glow(MAIA, [2.5, 3.0], [11.0, 7.0], 70.0, 4.5, 75.0),
    glow(ALCYONE, [0.0, 0.0], [6.0, 5.5], 90.0, 7.5, 100.0),
    glow(ALCYONE, [1.0, 1.5], [12.0, 9.0], 100.0, 4.0, 100.0),
    glow(ELECTRA, [-0.5, -1.0], [6.0, 5.0], 50.0, 6.5, 60.0),
    glow(ELECTRA, [2.0, -3.0], [11.0, 7.0], 60.0, 2.5, 60.0),
    glow(TAYGETA, [0.0, 0.0], [5.0, 4.0], 60.0, 4.5, 70.0),
    glow(CELAENO, [0.5, 0.0], [5.0, 4.0], 30.0, 2.0, 60.0),
    glow(ATLAS, [0.0, 1.0], [6.0, 6.0], 0.0, 2.5, 90.0),
    glow(CLUSTER, [0.0, 0.0], [34.0, 22.0], 60.0, 2.0, 70.0),
];

/// Colour of scattered light of B stars, relative to the peak: red, green, blue.
const TINT: [f32; 3] = [0.42, 0.72, 1.15];

/// Side of a cell of the coarsest noise along and across the filaments, arcmin.
const CELL_ARCMIN: [f64; 2] = [15.0, 5.0];

/// Octaves of the fractal noise, each half as wide and this much as strong as the one before.
const OCTAVES: u32 = 5;
const GAIN: f64 = 0.55;

/// Pixels of frame 1 between two samples of the table: the finest noise is several times as wide.
const STEP_PX: usize = 4;

/// Part of the frame that the table goes beyond each edge.
const MARGIN: f64 = 0.1;

/// Brightness of the nebula in frame 1 (levels of a tint of 1), sampled every [`STEP_PX`] pixels.
pub(crate) struct Nebula {
    table: Vec<f32>,
    columns: usize,
    rows: usize,
    origin: [f64; 2],
}

impl Nebula {
    /// Paints the table for a first frame of `width` x `height`.
    pub(crate) fn new(seed: u64, projection: &Projection, width: usize, height: usize) -> Self {
        let origin = [-MARGIN * width as f64, -MARGIN * height as f64];
        let cells = |size: usize| (size as f64 * (1.0 + 2.0 * MARGIN)) as usize / STEP_PX + 2;
        let (columns, rows) = (cells(width), cells(height));
        let arcmin_per_px = 60.0 * projection.deg_per_px;
        let centres = GLOWS.map(|g| projection.pixel(g.star_deg[0], g.star_deg[1]));
        let north = projection.north();
        let mut table = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let x = origin[0] + (column * STEP_PX) as f64;
                let y = origin[1] + (row * STEP_PX) as f64;
                let light: f64 = GLOWS
                    .iter()
                    .zip(&centres)
                    .map(|(glow, at)| {
                        let (dx, dy) = ((x - at[0]) * arcmin_per_px, (y - at[1]) * arcmin_per_px);
                        // On the sky east is left where north is up.
                        let to_north = dx * north[0] + dy * north[1];
                        let to_east = dx * north[1] - dy * north[0];
                        glow.light(seed, [to_east, to_north])
                    })
                    .sum();
                table.push(light as f32);
            }
        }
        Nebula { table, columns, rows, origin }
    }

    /// Levels red, green and blue at a pixel of frame 1, by bilinear interpolation.
    pub(crate) fn at(&self, [x, y]: [f64; 2]) -> [f32; 3] {
        let step = STEP_PX as f64;
        let u = ((x - self.origin[0]) / step).clamp(0.0, (self.columns - 2) as f64);
        let v = ((y - self.origin[1]) / step).clamp(0.0, (self.rows - 2) as f64);
        let (i, j) = (u as usize, v as usize);
        let (a, b) = ((u - i as f64) as f32, (v - j as f64) as f32);
        let k = j * self.columns + i;
        let t = &self.table;
        let above = t[k] + a * (t[k + 1] - t[k]);
        let below = t[k + self.columns] + a * (t[k + self.columns + 1] - t[k + self.columns]);
        let light = above + b * (below - above);
        TINT.map(|tint| tint * light)
    }
}

impl Glow {
    /// Levels at `place`, arcmin east and north of the star.
    fn light(&self, seed: u64, place: [f64; 2]) -> f64 {
        let [along, across] = turned([place[0] - self.offset[0], place[1] - self.offset[1]], self.angle_deg);
        let (a, b) = (along / self.axes[0], across / self.axes[1]);
        let profile = self.peak * libm::exp(-1.4 * libm::sqrt(a * a + b * b + 0.05));
        // The sky position, not the distance from the star, feeds the noise: neighbouring glows share their dust.
        let sky = [
            place[0] + 60.0 * (self.star_deg[0] - CLUSTER[0]) * 0.913,
            place[1] + 60.0 * (self.star_deg[1] - CLUSTER[1]),
        ];
        let bend =
            [noise(seed, 7, [sky[0] / 14.0, sky[1] / 14.0]), noise(seed, 8, [sky[0] / 14.0, sky[1] / 14.0])];
        let bent = [sky[0] + 5.0 * (bend[0] - 0.5), sky[1] + 5.0 * (bend[1] - 0.5)];
        let [p, q] = turned(bent, self.fibres_deg);
        let fibres = fractal(seed, [p / CELL_ARCMIN[0], q / CELL_ARCMIN[1]]);
        let clouds = fractal(seed ^ 1, [sky[0] / 16.0, sky[1] / 16.0]);
        profile * contrast(0.55 * fibres + 0.45 * clouds)
    }
}

/// Stretches noise about its mean of 0.5 so that gaps are dim and ridges bright; about 1.4 on average.
fn contrast(noise: f64) -> f64 {
    let s = ((noise - 0.28) / 0.44).clamp(0.0, 1.0);
    0.45 + 2.0 * s * s * (3.0 - 2.0 * s)
}

/// Components of (east, north) along and across a position angle.
fn turned([east, north]: [f64; 2], angle_deg: f64) -> [f64; 2] {
    let (sin, cos) = libm::sincos(angle_deg.to_radians());
    [east * sin + north * cos, east * cos - north * sin]
}

/// Sum of octaves of value noise, in [0, 1] with mean 0.5.
fn fractal(seed: u64, [x, y]: [f64; 2]) -> f64 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..OCTAVES {
        sum += weight * noise(seed, u64::from(octave) + 16, [x * scale, y * scale]);
        total += weight;
        weight *= GAIN;
        scale *= 2.0;
    }
    sum / total
}

/// Value noise in [0, 1]: random values on whole numbers, joined by Perlin's quintic.
fn noise(seed: u64, layer: u64, [x, y]: [f64; 2]) -> f64 {
    let (i, j) = (x.floor(), y.floor());
    let quintic = |t: f64| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (a, b) = (quintic(x - i), quintic(y - j));
    let value = |di: i64, dj: i64| {
        let (p, q) = ((i as i64 + di) as u64, (j as i64 + dj) as u64);
        crate::rng::Rng::new(seed ^ layer, p, q).unit()
    };
    let above = value(0, 0) * (1.0 - a) + value(1, 0) * a;
    let below = value(0, 1) * (1.0 - a) + value(1, 1) * a;
    above * (1.0 - b) + below * b
}
