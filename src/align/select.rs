//! Which pixels alignment looks at: neighbourhoods of stars; where there are none, the strongest gradients.

use super::background::{Background, MEAN_DIFFERENCE, tile_area};
use super::stars::{Star, StarList};
use crate::kernels::tiles::{TILE, Tile};
use rayon::prelude::*;

/// A star stands out of the background by this many standard deviations of the noise; the brightest of a tile's
/// 256 noise samples passes that about once in 10^4 tiles.
const STAR_SIGMA: f64 = 5.0;
/// A candidate fills little of its tile: mean over peak, both above the background. FWHM 8 px gives 0.28, a star's
/// trail of 16 px 0.4.
const STAR_FILL: f64 = 0.6;
/// Mean gradient, in standard deviations of the noise, from which a tile shows structure: noise alone makes 1.13, and
/// 0.06 more or less in a tile.
const STRUCTURE: f64 = 1.6;
/// Tiles with structure that a star field may have: so many, and so many for each star.
const SCENE: (usize, usize) = (50, 16);
/// A frame with structure in this share of its tiles is a scene, unless it is a crowded field ...
const FULL: f64 = 0.15;
/// ... where there are no more tiles with structure than so many for each star.
const CROWDED: usize = 3;
/// Smallest noise that is believed, gray units: frames without any noise (synthetic ones) have some structure.
const NOISE_FLOOR: f64 = 8.0;
/// Cells of the grid that spreads the choice over the frame, so that the corners hold a homography.
const GRID: (usize, usize) = (8, 6);
/// Most patches chosen in all; 1 % of a 20 Mpix frame.
pub const MOST: usize = 768;
/// Most patches that a template grows to.
pub const CAPACITY: usize = 2 * MOST;
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
    /// Standard deviation of the noise there, gray units.
    pub noise: f64,
}

/// What there is to align on in a frame.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// True where the spots are stars; false: gradients of a scene (the Moon, daylight).
    pub stars: bool,
    /// The spots, strongest first, spread over the frame.
    pub spots: Vec<Spot>,
}

/// Chooses the spots of a frame of `width` x `height` with the stars `list`.
#[must_use]
pub fn choose(list: &StarList, table: &[Tile], sky: &Background, (w, h): (usize, usize)) -> Field {
    let gradients = gradients(table, sky, w, h);
    // A scene has structure all over, and few of its blobs pass for stars.
    let tiles = table.len();
    let scene = gradients.len() > SCENE.0 + SCENE.1 * list.count
        || gradients.len() as f64 > FULL * tiles as f64 && gradients.len() > CROWDED * list.count;
    if list.is_field() && !scene {
        let spot =
            |s: &Star| Spot { x: s.x.round() as i32, y: s.y.round() as i32, score: s.snr, noise: sky.noise };
        let near = |s: &Spot| inner(s.x.max(0) as usize, s.y.max(0) as usize, w, h);
        let spots = list.stars.iter().map(spot).filter(near).collect();
        return Field { stars: true, spots: spread(spots, w, h, MOST) };
    }
    Field { stars: false, spots: spread(gradients, w, h, MOST) }
}

fn inner(x: usize, y: usize, width: usize, height: usize) -> bool {
    x >= BORDER && y >= BORDER && x + BORDER < width && y + BORDER < height
}

/// Peaks that may be stars, brightest first in each part of the frame.
#[must_use]
pub fn candidates(table: &[Tile], sky: &Background, width: usize, height: usize) -> Vec<Spot> {
    let (tiles_x, tiles_y) = (width.div_ceil(TILE), height.div_ceil(TILE));
    let noise = sky.noise.max(NOISE_FLOOR);
    let peak = |tx: usize, ty: usize| {
        let (px, py) = table[ty * tiles_x + tx].place();
        (tx * TILE + px, ty * TILE + py)
    };
    let row = |ty: usize| {
        let mut out = Vec::new();
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
                out.push(Spot { x: x as i32, y: y as i32, score, noise: noise.max(own) });
            }
        }
        out
    };
    // Most of what the host does for a frame.
    (0..tiles_y).into_par_iter().map(row).collect::<Vec<_>>().concat()
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
            out.push(Spot { x: x as i32, y: y as i32, score, noise: sky.noise });
        }
    }
    out
}

/// Cell of the grid that `s` lies in.
fn cell(s: &Spot, width: usize, height: usize) -> usize {
    s.x as usize * GRID.0 / width + s.y as usize * GRID.1 / height * GRID.0
}

/// Share of the grid's cells in which there are `spots`.
#[must_use]
pub fn cells(spots: &[Spot], width: usize, height: usize) -> f64 {
    let held: std::collections::HashSet<usize> = spots.iter().map(|s| cell(s, width, height)).collect();
    held.len() as f64 / (GRID.0 * GRID.1) as f64
}

/// At most `most` of `spots`, the strongest of each cell of the grid first.
#[must_use]
pub fn spread(mut spots: Vec<Spot>, width: usize, height: usize, most: usize) -> Vec<Spot> {
    spots.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.y, a.x).cmp(&(b.y, b.x))));
    let share = most / (GRID.0 * GRID.1);
    let mut taken = vec![0; GRID.0 * GRID.1];
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for s in spots {
        let cell = cell(&s, width, height);
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
