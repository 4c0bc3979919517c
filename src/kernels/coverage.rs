//! `coverage`: counts, for each reference pixel, the frames that cover it. Runs after the last colour plane.

use super::accumulate::Pose;
use super::warp::{Place, piece};
use super::{Kernel, Read, params};
use crate::backend::Backend;
use crate::error::Result;
use bytemuck::{Pod, Zeroable, cast_slice_mut};
use std::ops::Range;

/// Parameters of [`Coverage`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CoverageParams {
    /// First row of the band.
    pub row0: u32,
    /// Rows of the band.
    pub rows: u32,
    /// Pixels in a row of the stack.
    pub width: u32,
    /// Rows of the stack.
    pub height: u32,
    /// Samples in a padded row.
    pub stride: u32,
    /// Zero.
    pub pad: [u32; 3],
    /// Reference px to frame px.
    pub pose: Pose,
}
params!(CoverageParams { row0, rows, width, height, stride, pad, pose });

/// The kernel: u16 counts, saturating at 65535.
pub struct Coverage;

impl Kernel for Coverage {
    const NAME: &'static str = "coverage";
    const SOURCE: &'static [&'static str] = &[
        include_str!("../../shaders/lib/plane.wgsl"),
        include_str!("../../shaders/lib/pose.wgsl"),
        include_str!("../../shaders/coverage.wgsl"),
    ];
    const READS: &'static [Read] = &[];
    const WRITES: &'static [&'static str] = &["counts"];
    type Params = CoverageParams;

    fn rows(p: &CoverageParams) -> u32 {
        p.height
    }

    fn write_row_words(p: &CoverageParams, _: usize) -> usize {
        p.stride as usize / 2
    }

    fn groups(p: &CoverageParams, rows: u32) -> [u32; 3] {
        [(p.stride / 4).div_ceil(64), rows.div_ceil(4), 1]
    }

    fn bytes(p: &CoverageParams) -> u64 {
        4 * u64::from(p.stride) * u64::from(p.height)
    }

    fn work(p: &CoverageParams) -> u64 {
        u64::from(p.stride) * u64::from(p.height)
    }

    #[inline(always)]
    fn twin(p: &CoverageParams, rows: Range<u32>, _: &[&[u32]], writes: &mut [&mut [u32]]) {
        let stride = p.stride as usize;
        let counts = cast_slice_mut::<u32, u16>(writes[0]);
        for (y, row) in rows.zip(counts.chunks_exact_mut(stride)) {
            let counts = &mut row[..p.width as usize];
            let mut x = 0;
            while x < counts.len() {
                let (n, place) = piece(&p.pose, (x, y as i32), counts.len() - x);
                count(&p.pose, (x, y as i32), &mut counts[x..x + n], place);
                x += n;
            }
        }
    }
}

/// Counts the pixels from (`x`, `y`) on, which lie where `at` says.
#[inline(always)]
fn count(pose: &Pose, (x, y): (usize, i32), counts: &mut [u16], at: Place) {
    match at {
        Place::Outside => {}
        Place::Inside => counts.iter_mut().for_each(|count| *count = count.saturating_add(1)),
        Place::Edge => {
            for (k, count) in counts.iter_mut().enumerate() {
                let hit = u16::from(pose.covered((x + k) as i32, y).is_some());
                *count = count.saturating_add(hit);
            }
        }
    }
}

/// Counts the frame with the pose of `p` in `coverage`.
///
/// # Errors
/// Where the device fails.
pub fn coverage<B: Backend>(backend: &mut B, p: &CoverageParams, coverage: &mut B::Buffer) -> Result<()> {
    backend.run::<Coverage>(p, &[], &mut [Some(coverage)])
}
