//! How fast the CPU copies memory, on all threads: what the pixel kernels are held against.

use super::spread::Spread;
use crate::memory;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Bytes that are copied at most: several times any cache.
const MOST: usize = 256 << 20;
/// Bytes that are copied at least, however short memory is.
const LEAST: usize = 16 << 20;
/// Share of the free memory that source and target may take each.
const SHARE: u64 = 8;
/// Copies that count; the first one more does not: it touches the pages.
const RUNS: usize = 7;

/// Bytes worth copying where `available` are free.
pub(super) fn worth(available: Option<u64>) -> usize {
    available.map_or(MOST, |bytes| usize::try_from(bytes / SHARE).unwrap_or(MOST).clamp(LEAST, MOST))
}

/// GB/s, read and written together.
pub(super) fn cpu() -> Spread {
    let len = worth(memory::available());
    // Not zeros: those are pages that the system has not got yet.
    let source = vec![1_u8; len];
    let mut target = vec![2_u8; len];
    let part = len.div_ceil(rayon::current_num_threads()).max(1);
    let mut rates = Vec::with_capacity(RUNS);
    for run in 0..=RUNS {
        let start = Instant::now();
        black_box(&mut target[..])
            .par_chunks_mut(part)
            .zip(black_box(&source[..]).par_chunks(part))
            .for_each(|(to, from)| to.copy_from_slice(from));
        let seconds = start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        if run > 0 {
            rates.push(2.0 * len as f64 / seconds / 1e9);
        }
    }
    Spread::of(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_copied_where_little_is_free() {
        assert_eq!(worth(None), MOST);
        assert_eq!(worth(Some(64 << 30)), MOST);
        assert_eq!(worth(Some(1 << 30)), 128 << 20);
        assert_eq!(worth(Some(0)), LEAST);
    }

    #[test]
    fn a_copy_has_a_rate() {
        let rate = cpu();
        assert!(rate.median.is_finite() && rate.q1 > 0.0 && rate.q1 <= rate.q3, "{rate:?}");
    }
}
