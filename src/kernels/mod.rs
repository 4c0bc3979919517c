//! The kernels: each has one WGSL file under `shaders/`, one file here with its parameters, its CPU twin
//! and one typed call, and one line in the `kernels!` table.
//!
//! Every kernel is a **map over rows of its outputs**: a row of pixels, a row of tiles, one patch, one strip.
//! The backend cuts the rows into bands; on the GPU a band is one dispatch (never long enough to be mistaken
//! for a hang, never a binding over the device's limit), on the CPU one task of a thread. A reduction writes
//! one small record a row, summed in a tree inside the workgroup; the host finishes in f64.

use std::ops::Range;

pub(crate) use layout::shared;
pub use layout::{Field, Kind, Member, Shared};

pub mod accumulate;
pub mod calibrate;
pub mod cases;
pub mod coverage;
pub mod demosaic;
pub mod ecc;
pub mod gray;
pub mod histogram;
pub mod layout;
pub mod measure;
pub mod present;
pub mod repair;
pub mod sample;
pub mod template;
pub mod tiles;
mod warp;
mod whole;
mod window;

/// How a kernel reads a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// From anywhere: the whole buffer is bound.
    Gathered,
    /// Row by row: the band's part is bound, and the shader counts from the band's first row.
    Streamed,
}

/// A buffer that a kernel reads: its name in the shader and how.
pub type Read = (&'static str, Access);

/// Parameters of a kernel: the same struct in WGSL and in Rust, starting with `row0, rows`.
pub trait Params: Shared + Send + Sync {
    /// The same parameters for the band that starts at output row `row0` and has `rows` rows.
    #[must_use]
    fn with_rows(self, row0: u32, rows: u32) -> Self;
}

/// A compute kernel and its CPU twin.
pub trait Kernel: 'static {
    /// Name of the kernel and of its WGSL file.
    const NAME: &'static str;
    /// Name of its entry point: [`NAME`](Kernel::NAME), unless WGSL reserves that word.
    const ENTRY: &'static str = Self::NAME;
    /// The parts of its WGSL, in order; their concatenation is one module.
    const SOURCE: &'static [&'static str];
    /// Buffers that it reads, in binding order from binding 1 on (binding 0 holds the parameters).
    const READS: &'static [Read];
    /// Buffers that it writes (and may read in place), in binding order after the reads; all streamed.
    const WRITES: &'static [&'static str];
    /// Members of the parameters (`op2` for element 2 of `op`) that choose code: the shader is compiled for their
    /// values, each as an `override` of that name, and branches on them cost nothing.
    const CHOICES: &'static [&'static str] = &[];
    /// Its parameters.
    type Params: Params;

    /// Rows of output.
    fn rows(p: &Self::Params) -> u32;
    /// Bytes of one row of streamed read `k`.
    fn read_row_bytes(p: &Self::Params, k: usize) -> usize {
        let _ = (p, k);
        0
    }
    /// Bytes of all rows of streamed read `k`: less than rows times [`read_row_bytes`](Kernel::read_row_bytes) where
    /// the last row is cut.
    fn read_bytes(p: &Self::Params, k: usize) -> u64 {
        Self::read_row_bytes(p, k) as u64 * u64::from(Self::rows(p))
    }
    /// Words of one row of write `k`.
    fn write_row_words(p: &Self::Params, k: usize) -> usize;
    /// Workgroups of a band of `rows` rows.
    fn groups(p: &Self::Params, rows: u32) -> [u32; 3];
    /// Bytes that must move through memory for all rows (for the GB/s of the timing table).
    fn bytes(p: &Self::Params) -> u64;
    /// Pixels' worth of work in all rows: says how many rows a dispatch of the GPU may cover. A kernel that moves
    /// other than about 4 bytes a pixel, or computes for long, says so itself.
    fn work(p: &Self::Params) -> u64 {
        Self::bytes(p) / 4
    }
    /// Its joined WGSL: one module.
    #[must_use]
    fn wgsl() -> String {
        Self::SOURCE.concat()
    }
    /// The CPU twin: computes `rows`; `reads` are whole buffers, `writes` hold just these rows.
    /// An unused optional buffer is an empty slice.
    fn twin(p: &Self::Params, rows: Range<u32>, reads: &[&[u32]], writes: &mut [&mut [u32]]);
}

/// Implements [`Params`] for `#[repr(C)]` structs whose first fields are `row0, rows`.
macro_rules! params {
    ($t:ident { $($field:ident),* $(,)? }) => {
        $crate::kernels::shared!($t { $($field),* });
        impl $crate::kernels::Params for $t {
            fn with_rows(mut self, row0: u32, rows: u32) -> Self {
                self.row0 = row0;
                self.rows = rows;
                self
            }
        }
    };
}
pub(crate) use params;

/// Calls `$m!(Kernel, Kernel, ...)` with every kernel: the one list that tests, self-test and bench enrol from.
#[macro_export]
macro_rules! kernels {
    ($m:ident) => {
        $m!(
            $crate::kernels::calibrate::Calibrate,
            $crate::kernels::repair::Repair,
            $crate::kernels::demosaic::Demosaic,
            $crate::kernels::gray::Gray,
            $crate::kernels::tiles::Tiles,
            $crate::kernels::measure::Measure,
            $crate::kernels::template::Template,
            $crate::kernels::ecc::Ecc,
            $crate::kernels::accumulate::Accumulate,
            $crate::kernels::coverage::Coverage,
            $crate::kernels::present::Present,
            $crate::kernels::histogram::Histogram
        )
    };
}

/// How a working plane is stored: 4 pixels stand in whole words, rows are padded to [`stride`] with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Store {
    /// Unsigned 8 bit.
    U8 = 0,
    /// Unsigned 16 bit.
    U16 = 1,
    /// 32-bit float.
    F32 = 2,
}

impl Store {
    /// The narrowest that holds the sum of four samples exactly.
    #[must_use]
    pub const fn of_sums(self) -> Store {
        match self {
            Store::U8 => Store::U16,
            Store::U16 | Store::F32 => Store::F32,
        }
    }
}

/// Format of a calibrated plane: the store and the value of one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaneFormat {
    /// How samples are stored.
    pub store: Store,
    /// Level units of one stored unit: 1, 1/256 for 8-bit frames with a fixed-point dark, 1/4 for sums of four of them
    /// without one.
    pub unit: f32,
}

impl PlaneFormat {
    /// That of the means of 2x2 cells: sums of bytes, whose unit is a quarter of theirs, or levels.
    #[must_use]
    pub const fn of_cells(self) -> PlaneFormat {
        let store = self.store.of_sums();
        PlaneFormat { store, unit: if matches!(store, Store::U16) { self.unit / 4.0 } else { 1.0 } }
    }

    /// Words of a plane of `stride` x `height`.
    #[must_use]
    pub const fn words(&self, stride: usize, height: usize) -> usize {
        self.row_words(stride) * height
    }

    /// Words of a row of `stride` samples (a multiple of 4).
    #[must_use]
    pub const fn row_words(&self, stride: usize) -> usize {
        match self.store {
            Store::U8 => stride / 4,
            Store::U16 => stride / 2,
            Store::F32 => stride,
        }
    }
}

/// Samples of a padded row: `width` rounded up to a multiple of 4.
#[must_use]
pub const fn stride(width: usize) -> usize {
    width.next_multiple_of(4)
}
