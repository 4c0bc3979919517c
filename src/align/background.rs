//! The local background and the noise of a frame, from its tile table.

use crate::kernels::tiles::{TILE, Tile};

/// Tiles of a mesh cell's side: 64 px, wide enough that stars do not reach the median.
const CELL: usize = 4;
/// Mean |difference| of neighbouring pixels of Gaussian noise, in standard deviations: 2 / sqrt(pi).
pub const MEAN_DIFFERENCE: f64 = std::f64::consts::FRAC_2_SQRT_PI;

/// A smooth background: one value a cell of 64x64 px, bilinear in between. Gray units.
#[derive(Clone, Debug)]
pub struct Background {
    cells_x: usize,
    cells_y: usize,
    values: Vec<f32>,
    /// Standard deviation of the pixel noise, gray units.
    pub noise: f64,
}

/// The median; 0 for an empty list.
pub fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Pixels of tile (`tx`, `ty`) of a frame of `width` x `height`.
#[must_use]
pub fn tile_area(tx: usize, ty: usize, width: usize, height: usize) -> usize {
    (width - tx * TILE).min(TILE) * (height - ty * TILE).min(TILE)
}

impl Background {
    /// From the tile table of a frame of `width` x `height`.
    #[must_use]
    pub fn new(table: &[Tile], width: usize, height: usize) -> Background {
        let (tiles_x, tiles_y) = (width.div_ceil(TILE), height.div_ceil(TILE));
        let (cells_x, cells_y) = (tiles_x.div_ceil(CELL), tiles_y.div_ceil(CELL));
        let mut raw = Vec::with_capacity(cells_x * cells_y);
        let mut means = Vec::with_capacity(CELL * CELL);
        for cy in 0..cells_y {
            for cx in 0..cells_x {
                means.clear();
                for ty in cy * CELL..((cy + 1) * CELL).min(tiles_y) {
                    for tx in cx * CELL..((cx + 1) * CELL).min(tiles_x) {
                        let area = tile_area(tx, ty, width, height) as f32;
                        means.push(table[ty * tiles_x + tx].sum as f32 / area);
                    }
                }
                raw.push(median(&mut means));
            }
        }
        // A bright star or the core of a nebula can fill a cell: the median of 3x3 cells takes it out.
        let mut values = Vec::with_capacity(raw.len());
        for cy in 0..cells_y {
            for cx in 0..cells_x {
                means.clear();
                for y in cy.saturating_sub(1)..(cy + 2).min(cells_y) {
                    means.extend(
                        &raw[y * cells_x + cx.saturating_sub(1)..y * cells_x + (cx + 2).min(cells_x)],
                    );
                }
                values.push(median(&mut means));
            }
        }
        let mut slopes: Vec<f32> = table
            .iter()
            .enumerate()
            .map(|(k, t)| {
                let area = tile_area(k % tiles_x, k / tiles_x, width, height) as f32;
                (t.grad_x + t.grad_y) as f32 / (2.0 * area)
            })
            .collect();
        let noise = f64::from(median(&mut slopes)) / MEAN_DIFFERENCE;
        Background { cells_x, cells_y, values, noise }
    }

    /// The same level everywhere. A scene (the Moon, a landscape) is its own background: a mesh of it, which stands still
    /// on the sensor, would be taken off another part of the scene in each frame.
    #[must_use]
    pub fn flat(&self) -> Background {
        let level = median(&mut self.values.clone());
        Background { cells_x: 1, cells_y: 1, values: vec![level], noise: self.noise }
    }

    /// The median background, gray units, and how much a plane fitted to it changes from corner to corner, at most.
    #[must_use]
    pub fn plane(&self) -> (f64, f64) {
        let level = f64::from(median(&mut self.values.clone()));
        // The mesh is regular: both slopes are independent of each other.
        let slope = |cells: usize, place: fn(usize, usize) -> usize| {
            let middle = (cells as f64 - 1.0) / 2.0;
            let (mut up, mut down) = (0.0, 0.0);
            for (k, v) in self.values.iter().enumerate() {
                let d = place(k, self.cells_x) as f64 - middle;
                up += d * f64::from(*v);
                down += d * d;
            }
            if down > 0.0 { (up / down * cells as f64).abs() } else { 0.0 }
        };
        (level, slope(self.cells_x, |k, n| k % n) + slope(self.cells_y, |k, n| k / n))
    }

    /// Value and slopes (gray units, gray units a px) at (`x`, `y`) px.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let side = (CELL * TILE) as f64;
        let place = |v: f64, cells: usize| {
            let c = ((v + 0.5) / side - 0.5).clamp(0.0, (cells - 1) as f64);
            let k = (c.floor() as usize).min(cells.saturating_sub(2));
            (k, (k + 1).min(cells - 1), c - k as f64)
        };
        let ((x0, x1, fx), (y0, y1, fy)) = (place(x, self.cells_x), place(y, self.cells_y));
        let v = |x: usize, y: usize| f64::from(self.values[y * self.cells_x + x]);
        let (a, b, c, d) = (v(x0, y0), v(x1, y0), v(x0, y1), v(x1, y1));
        let (top, bottom) = (a + fx * (b - a), c + fx * (d - c));
        let slope_x = (1.0 - fy) * (b - a) + fy * (d - c);
        [top + fy * (bottom - top), slope_x / side, (bottom - top) / side]
    }
}
