//! A picture made small enough to send: each pixel the mean of the area that it covers.

use rayon::prelude::*;
use std::borrow::Cow;

/// Fraction bits of the means of columns: with 8 bits of sample they fill 16, a 256th of a level is kept.
const FRACTION: u32 = 8;

/// The picture with its long side at most `limit` pixels; as it is where that holds already. Never enlarged.
///
/// * `data` - samples `[height][width][channels]`.
/// * returns the samples, `[height][width][channels]`, their width and their height.
pub(super) fn shrink(
    data: &[u8],
    (width, height, channels): (usize, usize, usize),
    limit: usize,
) -> (Cow<'_, [u8]>, usize, usize) {
    let long = width.max(height);
    if long <= limit {
        return (Cow::Borrowed(data), width, height);
    }
    let side = |px: usize| ((px * limit + long / 2) / long).max(1);
    let (wide, high) = (side(width), side(height));
    let mut small = vec![0; wide * high * channels];
    let row_len = width * channels;
    let along = Spans { from: width, to: wide };
    let down = Spans { from: height, to: high };
    small.par_chunks_mut(wide * channels).enumerate().for_each_init(
        || (vec![0u32; row_len], vec![0u16; row_len]),
        |(sums, means), (y, row)| {
            column_means(data, down, y, sums, means);
            match channels {
                1 => row_means::<1>(means, along, row),
                _ => row_means::<3>(means, along, row),
            }
        },
    );
    (Cow::Owned(small), wide, high)
}

/// `from` pixels that become `to`. In units of 1/`to` of an old pixel, which make every border whole, a new pixel is
/// `from` long.
#[derive(Clone, Copy)]
struct Spans {
    from: usize,
    to: usize,
}

impl Spans {
    /// The old pixels under new pixel `k`, each with the length that is covered; the lengths add up to `from`.
    fn under(self, k: usize) -> impl Iterator<Item = (usize, usize)> {
        let (start, end) = (k * self.from, (k + 1) * self.from);
        (start / self.to..end.div_ceil(self.to)).map(move |old| {
            let (first, last) = (old * self.to, (old + 1) * self.to);
            (old, last.min(end) - first.max(start))
        })
    }
}

/// Row `y` of the picture made as low as it will be: means of columns, with [`FRACTION`] bits.
fn column_means(data: &[u8], spans: Spans, y: usize, sums: &mut [u32], means: &mut [u16]) {
    sums.fill(0);
    for (old, length) in spans.under(y) {
        let row = &data[old * sums.len()..(old + 1) * sums.len()];
        // At most 255 times the height: no picture that fits memory comes near the end of 32 bits.
        let length = length as u32;
        for (sum, &sample) in sums.iter_mut().zip(row) {
            *sum += length * u32::from(sample);
        }
    }
    let divide = Reciprocal::of(spans.from);
    for (mean, &sum) in means.iter_mut().zip(sums.iter()) {
        *mean = divide.rounded(u64::from(sum) << FRACTION) as u16;
    }
}

/// The means along a row.
fn row_means<const C: usize>(means: &[u16], spans: Spans, row: &mut [u8]) {
    let divide = Reciprocal::of(spans.from << FRACTION);
    for (x, pixel) in row.chunks_exact_mut(C).enumerate() {
        let mut sums = [0u64; C];
        for (old, length) in spans.under(x) {
            for c in 0..C {
                sums[c] += length as u64 * u64::from(means[old * C + c]);
            }
        }
        for c in 0..C {
            pixel[c] = divide.rounded(sums[c]) as u8;
        }
    }
}

/// Division by a number that stays the same, as one multiplication.
struct Reciprocal {
    half: u64,
    /// 2^64 / divisor, rounded up.
    factor: u128,
}

impl Reciprocal {
    fn of(divisor: usize) -> Self {
        let divisor = divisor.max(1);
        Reciprocal { half: divisor as u64 / 2, factor: (1u128 << u64::BITS).div_ceil(divisor as u128) }
    }

    /// The quotient, to the nearest whole number. Exact while quotient times divisor squared is under 2^64: for sides
    /// up to a million pixels.
    fn rounded(&self, dividend: u64) -> u64 {
        ((u128::from(dividend + self.half) * self.factor) >> u64::BITS) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture without a pattern that a mistake could hide in.
    fn noise(width: usize, height: usize, channels: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..width * height * channels).map(|_| next()).collect()
    }

    /// The same by the definition, in floating point.
    fn by_area(data: &[u8], (w, h, c): (usize, usize, usize), (wide, high): (usize, usize)) -> Vec<f64> {
        let cover = |k: usize, from: usize, to: usize, old: usize| {
            let scale = from as f64 / to as f64;
            let (start, end) = (k as f64 * scale, (k + 1) as f64 * scale);
            ((old + 1) as f64).min(end) - (old as f64).max(start)
        };
        let mut out = Vec::new();
        for (y, x, ch) in
            (0..high).flat_map(|y| (0..wide).flat_map(move |x| (0..c).map(move |ch| (y, x, ch))))
        {
            let mut sum = 0.0;
            for (v, u) in (0..h).flat_map(|v| (0..w).map(move |u| (v, u))) {
                let area = cover(y, h, high, v).max(0.0) * cover(x, w, wide, u).max(0.0);
                sum += area * f64::from(data[(v * w + u) * c + ch]);
            }
            out.push(sum * (wide * high) as f64 / (w * h) as f64);
        }
        out
    }

    #[test]
    fn a_small_pixel_is_the_mean_of_its_area() {
        for (w, h, c, limit) in
            [(53, 31, 3, 20), (31, 53, 1, 52), (40, 20, 3, 20), (64, 1, 1, 5), (1, 9, 3, 2)]
        {
            let data = noise(w, h, c);
            let (small, wide, high) = shrink(&data, (w, h, c), limit);
            assert_eq!(wide.max(high), limit);
            for (k, (&got, want)) in small.iter().zip(by_area(&data, (w, h, c), (wide, high))).enumerate() {
                assert!((f64::from(got) - want).abs() < 0.503, "{w}x{h}x{c}, sample {k}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn the_shape_stays_and_white_stays_white() {
        let white = vec![255; 5472 * 3648];
        let (small, w, h) = shrink(&white, (5472, 3648, 1), 2048);
        assert_eq!((w, h), (2048, 1365));
        assert!(small.iter().all(|&v| v == 255));
        let thin = [9; 9000 * 2];
        let (_, w, h) = shrink(&thin, (2, 9000, 1), 2048);
        assert_eq!((w, h), (1, 2048));
    }

    #[test]
    fn what_is_small_is_left_alone() {
        let data = noise(2048, 3, 3);
        let (same, w, h) = shrink(&data, (2048, 3, 3), 2048);
        assert!(matches!(same, Cow::Borrowed(_)));
        assert_eq!((w, h, &same[..]), (2048, 3, &data[..]));
    }
}
