//! Which pixels alignment looks at: neighbourhoods of stars; where there are none, the strongest gradients.

use super::background::{Background, MEAN_DIFFERENCE, tile_area};
use crate::kernels::tiles::{TILE, Tile};

/// A star stands out of the background by this many standard deviations of the noise; the brightest of a tile's
/// 256 noise samples passes that about once in 10^4 tiles.
const STAR_SIGMA: f64 = 5.0;
/// A star fills little of its tile: mean over peak, both above the background. FWHM 8 px gives 0.28.
const STAR_FILL: f64 = 0.3;
/// Mean gradient, in standard deviations of the noise, from which a tile shows structure: noise alone makes 1.13, and
/// 0.06 more or less in a tile.
const STRUCTURE: f64 = 1.6;
/// In a star field at least one in so many bright tiles holds a star; the others are nebula, or a star's skirts.
const STAR_SHARE: usize = 6;
/// With fewer stars than this the strongest gradients are used.
const FEW_STARS: usize = 8;
/// Smallest noise that is believed, gray units: frames without any noise (synthetic ones) have some structure.
const NOISE_FLOOR: f64 = 8.0;
/// Cells of the grid that spreads the choice over the frame, so that the corners hold a homography.
const GRID: (usize, usize) = (8, 6);
/// Most patches chosen in all; 1 % of a 20 Mpix frame.
pub const MOST: usize = 768;
/// Distance from the frame's edge within which nothing is chosen, px: a patch and the pixels sampling reads.
pub const BORDER: usize = 12;

/// A place worth aligning on: centre (px) and how much it stands out (gray units).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Pixel column.
    pub x: i32,
    /// Pixel row.
    pub y: i32,
    /// Contrast: a star's peak above the background, or a tile's mean gradient.
    pub score: f64,
}

/// What there is to align on in a frame.
#[derive(Clone, Debug)]
pub struct Field {
    /// True where the spots are stars; false: gradients of a scene (the Moon, daylight).
    pub stars: bool,
    /// The spots, strongest first, spread over the frame.
    pub spots: Vec<Spot>,
}

/// Chooses the spots of a frame of `width` x `height`.
#[must_use]
pub fn choose(table: &[Tile], sky: &Background, width: usize, height: usize) -> Field {
    let (stars, bright) = stars(table, sky, width, height);
    if stars.len() >= FEW_STARS && stars.len() * STAR_SHARE >= bright {
        return Field { stars: true, spots: spread(stars, width, height, MOST) };
    }
    let gradients = gradients(table, sky, width, height);
    Field { stars: false, spots: spread(gradients, width, height, MOST) }
}

fn inner(x: usize, y: usize, width: usize, height: usize) -> bool {
    x >= BORDER && y >= BORDER && x + BORDER < width && y + BORDER < height
}

/// Star-like peaks, and the number of tiles with a peak of any kind.
fn stars(table: &[Tile], sky: &Background, width: usize, height: usize) -> (Vec<Spot>, usize) {
    let (tiles_x, tiles_y) = (width.div_ceil(TILE), height.div_ceil(TILE));
    let noise = sky.noise.max(NOISE_FLOOR);
    let peak = |tx: usize, ty: usize| {
        let (px, py) = table[ty * tiles_x + tx].place();
        (tx * TILE + px, ty * TILE + py)
    };
    let mut out = Vec::new();
    let mut bright = 0;
    for ty in 0..tiles_y {
        for tx in 0..tiles_x {
            let tile = &table[ty * tiles_x + tx];
            let (x, y) = peak(tx, ty);
            let [level, ..] = sky.at(x as f64, y as f64);
            let score = f64::from(tile.peak()) - level;
            // On a bright disc or a landscape the noise is the tile's own.
            let area = tile_area(tx, ty, width, height) as f64;
            let own = f64::from(tile.grad_x + tile.grad_y) / (2.0 * area) / MEAN_DIFFERENCE;
            if score < STAR_SIGMA * noise.max(own) {
                continue;
            }
            bright += 1;
            let mean = f64::from(tile.sum) / area - level;
            // The same star seen from the tile beside it, where it is brighter.
            let shadowed = (ty.saturating_sub(1)..(ty + 2).min(tiles_y)).any(|ny| {
                (tx.saturating_sub(1)..(tx + 2).min(tiles_x)).any(|nx| {
                    let (ox, oy) = peak(nx, ny);
                    table[ny * tiles_x + nx].key > tile.key
                        && ox.abs_diff(x) < TILE / 2
                        && oy.abs_diff(y) < TILE / 2
                })
            });
            if !shadowed && mean < STAR_FILL * score && inner(x, y, width, height) {
                out.push(Spot { x: x as i32, y: y as i32, score });
            }
        }
    }
    (out, bright)
}

/// Tiles with structure in both directions.
fn gradients(table: &[Tile], sky: &Background, width: usize, height: usize) -> Vec<Spot> {
    let tiles_x = width.div_ceil(TILE);
    let mut out = Vec::new();
    for (k, tile) in table.iter().enumerate() {
        let (tx, ty) = (k % tiles_x, k / tiles_x);
        let (x, y) = (tx * TILE + TILE / 2, ty * TILE + TILE / 2);
        if tile_area(tx, ty, width, height) < TILE * TILE || !inner(x, y, width, height) {
            continue;
        }
        let score = f64::from(tile.grad_x.min(tile.grad_y)) / (TILE * TILE) as f64;
        if score > STRUCTURE * sky.noise.max(NOISE_FLOOR) {
            out.push(Spot { x: x as i32, y: y as i32, score });
        }
    }
    out
}

/// At most `most` of `spots`, the strongest of each cell of the grid first.
#[must_use]
pub fn spread(mut spots: Vec<Spot>, width: usize, height: usize, most: usize) -> Vec<Spot> {
    spots.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.y, a.x).cmp(&(b.y, b.x))));
    let share = most / (GRID.0 * GRID.1);
    let mut taken = vec![0; GRID.0 * GRID.1];
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for s in spots {
        let cell = s.x as usize * GRID.0 / width + s.y as usize * GRID.1 / height * GRID.0;
        if taken[cell] < share {
            taken[cell] += 1;
            chosen.push(s);
        } else {
            rest.push(s);
        }
    }
    let free = most.saturating_sub(chosen.len());
    chosen.extend(rest.into_iter().take(free));
    chosen.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.y, a.x).cmp(&(b.y, b.x))));
    chosen
}
