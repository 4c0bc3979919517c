//! `tiles`: one record for each 16x16 tile of the gray plane, and the plane binned 4x4 for the coarse start.

use super::{Access, Kernel, Read, params, shared};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::ops::Range;

/// Pixels of a tile's side.
pub const TILE: usize = 16;
/// Pixels of a binned pixel's side.
pub const BIN: usize = 4;
/// Words of a tile's record.
pub const RECORD: usize = 4;

/// What is known of a tile.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Tile {
    /// Brightest pixel: gray value << 8 | 255 - place, place = 16 y + x in the tile; ties go to the first.
    pub key: u32,
    /// Sum of the gray values.
    pub sum: u32,
    /// Sum of |differences| to the right neighbour, gray units.
    pub grad_x: u32,
    /// Sum of |differences| to the lower neighbour, gray units.
    pub grad_y: u32,
}
shared!(Tile { key, sum, grad_x, grad_y });

impl Tile {
    /// Gray value of the brightest pixel.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.key >> 8
    }

    /// Place (x, y) of the brightest pixel in the tile.
    #[must_use]
    pub fn place(&self) -> (usize, usize) {
        let k = 255 - (self.key & 255) as usize;
        (k % TILE, k / TILE)
    }
}

/// Parameters of [`Tiles`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct TilesParams {
    /// First row of tiles of the band.
    pub row0: u32,
    /// Rows of tiles of the band.
    pub rows: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Samples in a padded row of the gray plane.
    pub stride: u32,
    /// Tiles in a row: width / 16, rounded up.
    pub tiles_x: u32,
    /// Zero.
    pub pad0: u32,
    /// Zero.
    pub pad1: u32,
}
params!(TilesParams { row0, rows, width, height, stride, tiles_x, pad0, pad1 });

impl TilesParams {
    /// For a gray plane of `width` x `height`.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        TilesParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: super::stride(width) as u32,
            tiles_x: width.div_ceil(TILE) as u32,
            pad0: 0,
            pad1: 0,
        }
    }
}

/// The kernel. Writes `table`: [`Tile`] per tile, row-major; `binned`: u16 means of 4x4 pixels, rows of
/// 4 `tiles_x` samples, 4 rows per row of tiles; cells that are not whole are 0.
pub struct Tiles;

impl Kernel for Tiles {
    const NAME: &'static str = "tiles";
    const SOURCE: &'static [&'static str] =
        &[include_str!("../../shaders/lib/plane.wgsl"), include_str!("../../shaders/tiles.wgsl")];
    const READS: &'static [Read] = &[("gray", Access::Gathered)];
    const WRITES: &'static [&'static str] = &["table", "binned"];
    type Params = TilesParams;

    fn rows(p: &TilesParams) -> u32 {
        p.height.div_ceil(TILE as u32)
    }

    fn write_row_words(p: &TilesParams, k: usize) -> usize {
        let per_tile = if k == 0 { RECORD } else { BIN * BIN / 2 };
        p.tiles_x as usize * per_tile
    }

    fn groups(p: &TilesParams, rows: u32) -> [u32; 3] {
        [p.tiles_x, rows, 1]
    }

    fn bytes(p: &TilesParams) -> u64 {
        let row = 4 * (Self::write_row_words(p, 0) + Self::write_row_words(p, 1)) as u64;
        2 * u64::from(p.stride) * u64::from(p.height) + row * u64::from(Self::rows(p))
    }

    fn work(p: &TilesParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &TilesParams, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]) {
        let gray = cast_slice::<u32, u16>(reads[0]);
        let [table, binned] = writes else { return };
        let table = cast_slice_mut::<u32, Tile>(table);
        let binned = cast_slice_mut::<u32, u16>(binned);
        let (tiles_x, width) = (p.tiles_x as usize, p.width as usize);
        // Tiles that have all their pixels and a neighbour to the right and below.
        let whole_x = width.saturating_sub(1) / TILE;
        let whole_y = (p.height as usize).saturating_sub(1) / TILE;
        let mut columns = Columns::default();
        for ty in rows.clone() {
            let band = (ty - rows.start) as usize;
            let cells = &mut binned[band * BIN * BIN * tiles_x..][..BIN * BIN * tiles_x];
            let line = &mut table[band * tiles_x..][..tiles_x];
            let whole = if (ty as usize) < whole_y { whole_x } else { 0 };
            for tx in (0..whole).step_by(BLOCK) {
                let tiles = &mut line[tx..(tx + BLOCK).min(whole)];
                inner(p, gray, tx, ty as usize, &mut columns, tiles, cells);
            }
            for tx in whole..tiles_x {
                line[tx] = edge(p, gray, tx, ty as usize, cells);
            }
        }
    }
}

/// Tiles that are worked on together, so that loops run along rows and their sums stay in the first-level cache.
const BLOCK: usize = 32;
/// Pixels of their rows.
const SPAN: usize = BLOCK * TILE;

/// Sums of each column of a block of tiles.
struct Columns {
    highest: [u16; SPAN],
    sums: [u32; SPAN],
    quarter: [u32; SPAN],
    grad_x: [u32; SPAN],
    grad_y: [u32; SPAN],
}

impl Default for Columns {
    fn default() -> Self {
        let zero = [0; SPAN];
        Columns { highest: [0; SPAN], sums: zero, quarter: zero, grad_x: zero, grad_y: zero }
    }
}

/// Whole tiles from column `tx` of tiles on.
#[inline(always)]
fn inner(
    p: &TilesParams,
    gray: &[u16],
    tx: usize,
    ty: usize,
    c: &mut Columns,
    tiles: &mut [Tile],
    cells: &mut [u16],
) {
    let (stride, n) = (p.stride as usize, tiles.len() * TILE);
    c.highest[..n].fill(0);
    for sums in [&mut c.sums, &mut c.quarter, &mut c.grad_x, &mut c.grad_y] {
        sums[..n].fill(0);
    }
    for y in 0..TILE {
        let from = (ty * TILE + y) * stride + tx * TILE;
        let (row, right, below) = (&gray[from..][..n], &gray[from + 1..][..n], &gray[from + stride..][..n]);
        for (high, &g) in c.highest[..n].iter_mut().zip(row) {
            *high = (*high).max(g);
        }
        for (sum, &g) in c.quarter[..n].iter_mut().zip(row) {
            *sum += u32::from(g);
        }
        for ((sum, &g), &r) in c.grad_x[..n].iter_mut().zip(row).zip(right) {
            *sum += u32::from(g.max(r) - g.min(r));
        }
        for ((sum, &g), &b) in c.grad_y[..n].iter_mut().zip(row).zip(below) {
            *sum += u32::from(g.max(b) - g.min(b));
        }
        if y % BIN == BIN - 1 {
            let line = &mut cells[((y / BIN) * p.tiles_x as usize + tx) * BIN..][..n / BIN];
            for (cell, q) in line.iter_mut().zip(c.quarter.as_chunks::<BIN>().0) {
                *cell = ((q[0] + q[1] + q[2] + q[3]) >> 4) as u16;
            }
            for (sum, q) in c.sums[..n].iter_mut().zip(&mut c.quarter[..n]) {
                *sum += *q;
                *q = 0;
            }
        }
    }
    for (k, tile) in tiles.iter_mut().enumerate() {
        let lanes = k * TILE..(k + 1) * TILE;
        let peak = c.highest[lanes.clone()].iter().fold(0, |a, &b| a.max(b));
        let total = |sums: &[u32; SPAN]| sums[lanes.clone()].iter().sum();
        *tile = Tile {
            key: u32::from(peak) << 8 | (255 - place(gray, stride, tx + k, ty, peak)),
            sum: total(&c.sums),
            grad_x: total(&c.grad_x),
            grad_y: total(&c.grad_y),
        };
    }
}

/// Where in the tile the value `peak` first stands: 16 y + x.
#[inline(always)]
fn place(gray: &[u16], stride: usize, tx: usize, ty: usize, peak: u16) -> u32 {
    for y in 0..TILE {
        let row = &gray[(ty * TILE + y) * stride + tx * TILE..][..TILE];
        // Without a branch a pixel: most rows do not hold it.
        let mut hit = false;
        for &g in row {
            hit |= g == peak;
        }
        if hit {
            let x = row.iter().position(|&g| g == peak).unwrap_or(0);
            return (y * TILE + x) as u32;
        }
    }
    0
}

/// A tile at the right or lower edge, maybe cut.
fn edge(p: &TilesParams, gray: &[u16], tx: usize, ty: usize, cells: &mut [u16]) -> Tile {
    let (w, h, stride) = (p.width as usize, p.height as usize, p.stride as usize);
    let mut tile = Tile::default();
    let mut bins = [0_u32; BIN * BIN];
    for k in 0..TILE * TILE {
        let (x, y) = (tx * TILE + k % TILE, ty * TILE + k / TILE);
        if x >= w || y >= h {
            continue;
        }
        let g = gray[y * stride + x];
        tile.key = tile.key.max(u32::from(g) << 8 | (255 - k as u32));
        tile.sum += u32::from(g);
        bins[k / TILE / BIN * BIN + k % TILE / BIN] += u32::from(g);
        if x + 1 < w {
            tile.grad_x += u32::from(g.abs_diff(gray[y * stride + x + 1]));
        }
        if y + 1 < h {
            tile.grad_y += u32::from(g.abs_diff(gray[(y + 1) * stride + x]));
        }
    }
    for (k, &b) in bins.iter().enumerate() {
        let (bx, by) = (tx * BIN + k % BIN, k / BIN);
        let whole = (bx + 1) * BIN <= w && (ty * BIN + by + 1) * BIN <= h;
        cells[by * p.tiles_x as usize * BIN + bx] = if whole { (b >> 4) as u16 } else { 0 };
    }
    tile
}

/// Makes the tile table and the binned plane of `gray`.
///
/// # Errors
/// Where the device fails.
pub fn tiles<B: Backend>(
    backend: &mut B,
    p: &TilesParams,
    gray: &B::Buffer,
    table: &mut B::Buffer,
    binned: &mut B::Buffer,
) -> Result<()> {
    backend.run::<Tiles>(p, &[Some(gray)], &mut [Some(table), Some(binned)])
}
