//! How the rows of a kernel are cut into bands, each one dispatch of the GPU.

use std::ops::Range;

/// Offsets of bindings are multiples of this, bytes: what every adapter allows (the least offset alignments of
/// [`pi_limits`](super::caps::pi_limits)).
pub const ALIGNMENT: u64 = 256;
/// Workgroups in each dimension of a dispatch: what every adapter runs (`maxComputeWorkgroupsPerDimension` of WebGPU).
pub const GROUPS: u32 = 65535;
/// Pixels' worth of work in a dispatch: about 80 ms of a kernel with 300 instructions a pixel on a Raspberry Pi 4
/// (16 * 10^9 instructions a second), whose driver resets the GPU when it sees no progress for 500 ms.
pub const DISPATCH_PIXELS: u64 = 4 << 20;

/// What bounds a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes that one binding may cover.
    pub binding_bytes: u64,
    /// Pixels' worth of work in a dispatch, about.
    pub dispatch_pixels: u64,
}

/// Cuts `rows` rows with `work` pixels' worth of work in all into bands. `row_bytes`: bytes of a row of each buffer
/// that is bound at the band's start. `groups`: workgroups of so many rows. Every band starts at a multiple of [`ALIGNMENT`] bytes in each of them, and
/// covers at least that many rows, even if it is then more work than asked for.
///
/// # Errors
/// What does not fit, where the fewest rows that keep the alignment exceed a binding or a dispatch.
pub fn cut(
    rows: u32,
    work: u64,
    row_bytes: &[u64],
    groups: impl Fn(u32) -> [u32; 3],
    bounds: Bounds,
) -> Result<Vec<Range<u32>>, String> {
    let widest = row_bytes.iter().copied().max().unwrap_or(0);
    let fit = bounds.binding_bytes.checked_div(widest).unwrap_or(u64::from(rows));
    let light = (u64::from(rows) * bounds.dispatch_pixels).checked_div(work).unwrap_or(u64::from(rows));
    let run = u64::from(dispatched(rows, groups));
    let most = fit.min(light).min(run);
    if most >= u64::from(rows) {
        return Ok(if rows == 0 { Vec::new() } else { std::iter::once(0..rows).collect() });
    }
    let step = row_bytes.iter().map(|&b| ALIGNMENT / divisor(b)).max().unwrap_or(1);
    let each = (most / step * step).max(step);
    if each.min(u64::from(rows)) > fit {
        return Err(format!(
            "a band of {each} rows of {widest} bytes exceeds the limit of {} bytes a binding",
            bounds.binding_bytes
        ));
    }
    if each.min(u64::from(rows)) > run {
        return Err(format!("a band of {each} rows exceeds the {GROUPS} workgroups of a dispatch"));
    }
    let each = u32::try_from(each).unwrap_or(u32::MAX);
    Ok((0..rows).step_by(each as usize).map(|first| first..first.saturating_add(each).min(rows)).collect())
}

/// The most rows, of `rows`, whose workgroups are at most [`GROUPS`] in each dimension.
fn dispatched(rows: u32, groups: impl Fn(u32) -> [u32; 3]) -> u32 {
    let runs = |n: u32| groups(n).iter().all(|&g| g <= GROUPS);
    if runs(rows) {
        return rows;
    }
    // `good` rows run, `bad` do not: more rows never have fewer groups.
    let (mut good, mut bad) = (0, rows);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if runs(middle) { good = middle } else { bad = middle }
    }
    good
}

/// The greatest power of two that divides both `bytes` and [`ALIGNMENT`].
fn divisor(bytes: u64) -> u64 {
    1 << (bytes | ALIGNMENT).trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workgroup a row.
    fn each_row(rows: u32) -> [u32; 3] {
        [3, rows, 1]
    }

    const LOOSE: Bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: u64::MAX >> 32 };

    #[test]
    fn a_small_frame_is_one_band() {
        assert_eq!(cut(13, 17 * 13, &[17, 40], each_row, LOOSE), Ok(std::iter::once(0..13).collect()));
        assert_eq!(cut(0, 0, &[17], each_row, LOOSE), Ok(Vec::new()));
    }

    #[test]
    fn bands_cover_all_rows_once_aligned_and_within_the_binding() {
        for row in [1, 3, 4, 12, 771, 1028, 4100, 65536, 5472 * 3] {
            for (rows, limit) in [(1, 1 << 20), (255, 1 << 16), (3648, 8 << 20), (9000, 5 << 20)] {
                let bounds = Bounds { binding_bytes: limit, dispatch_pixels: 1 << 20 };
                let Ok(bands) = cut(rows, u64::from(rows) * row, &[row, 64], each_row, bounds) else {
                    assert!(row * 64 > limit / 4, "{rows} rows of {row} were refused at {limit}");
                    continue;
                };
                let mut next = 0;
                for band in bands {
                    assert_eq!(band.start, next);
                    assert_eq!(u64::from(band.start) * row % ALIGNMENT, 0);
                    assert_eq!(u64::from(band.start) * 64 % ALIGNMENT, 0);
                    assert!(u64::from(band.end - band.start) * row <= limit);
                    next = band.end;
                }
                assert_eq!(next, rows);
            }
        }
    }

    #[test]
    fn work_cuts_too() {
        let bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: 4 << 20 };
        let bands = cut(3648, 5472 * 3648, &[5472 * 3, 5472 * 2], each_row, bounds);
        assert_eq!(bands.map(|b| (b.len(), b[0].clone())), Ok((5, 0..760)));
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let bounds = Bounds { binding_bytes: 1000, dispatch_pixels: 1 << 20 };
        assert!(cut(300, 300, &[7], each_row, bounds).is_err(), "256 rows of 7 bytes");
        let wide = |rows: u32| [GROUPS + 1, rows, 1];
        assert!(cut(300, 300, &[7], wide, LOOSE).is_err(), "more workgroups a row than a dispatch has");
    }

    #[test]
    fn a_dispatch_has_at_most_65535_workgroups_a_dimension() {
        let ends = |groups: fn(u32) -> [u32; 3]| {
            let bands = cut(300_000, 300_000, &[16, 12], groups, LOOSE).unwrap_or_default();
            assert!(bands.iter().all(|b| groups(b.end - b.start).iter().all(|&g| g <= GROUPS)), "{bands:?}");
            bands.iter().map(|b| b.end).collect::<Vec<_>>()
        };
        assert_eq!(ends(each_row), [65472, 130_944, 196_416, 261_888, 300_000]);
        assert_eq!(ends(|rows| [rows.div_ceil(4), 1, 1]), [262_080, 300_000]);
        assert_eq!(ends(|rows| [1, 1, rows.div_ceil(32)]), [300_000]);
    }
}
