//! Homographies of the truth, and how far a reported one is from it.

use super::file;
use serde_json::Value;
use std::collections::HashMap;

/// 3x3, row-major: pixels of one frame to pixels of another.
pub(crate) type Map = [f64; 9];

pub(crate) const IDENTITY: Map = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

pub(crate) fn shift(dx: f64, dy: f64) -> Map {
    [1.0, 0.0, dx, 0.0, 1.0, dy, 0.0, 0.0, 1.0]
}

/// First `b`, then `a`.
pub(crate) fn compose(a: &Map, b: &Map) -> Map {
    std::array::from_fn(|k| (0..3).map(|j| a[k / 3 * 3 + j] * b[j * 3 + k % 3]).sum())
}

pub(crate) fn inverse(m: &Map) -> Map {
    let cofactor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1 * 3 + c1] * m[r2 * 3 + c2] - m[r1 * 3 + c2] * m[r2 * 3 + c1]
    };
    let det: f64 = (0..3).map(|c| m[c] * cofactor(0, c)).sum();
    std::array::from_fn(|k| cofactor(k % 3, k / 3) / det)
}

pub(crate) fn apply(m: &Map, x: f64, y: f64) -> (f64, f64) {
    let w = m[6] * x + m[7] * y + m[8];
    ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w)
}

/// `m` about the centre of a frame instead of its first pixel.
pub(crate) fn about_centre(m: &Map, (w, h): (usize, usize)) -> Map {
    let (cx, cy) = ((w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0);
    compose(&shift(cx, cy), &compose(m, &shift(-cx, -cy)))
}

/// Turns by `degrees`, scales, then shifts; about the first pixel.
pub(crate) fn similarity(degrees: f64, scale: f64, dx: f64, dy: f64) -> Map {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [scale * cos, -scale * sin, dx, scale * sin, scale * cos, dy, 0.0, 0.0, 1.0]
}

/// Whether pixel (`x`, `y`) of the reference lies on a frame of `size` under `m`.
pub(crate) fn covers(m: &Map, x: f64, y: f64, (w, h): (usize, usize)) -> bool {
    let (u, v) = apply(m, x, y);
    (0.0..=w as f64 - 1.0).contains(&u) && (0.0..=h as f64 - 1.0).contains(&v)
}

/// The homography of a record.
pub(crate) fn homography(record: &Value) -> Map {
    let numbers: Vec<f64> =
        record["homography"].as_array().expect("homography").iter().filter_map(Value::as_f64).collect();
    numbers.try_into().expect("nine numbers")
}

/// RMS distance, px, between where two maps put those points of a 9x7 grid that a frame of `size` covers.
pub(crate) fn rms_error(got: &Map, want: &Map, size: (usize, usize)) -> f64 {
    let (w, h) = (size.0 as f64 - 1.0, size.1 as f64 - 1.0);
    let (mut sum, mut n) = (0.0, 0.0);
    for k in 0..9 * 7 {
        let (x, y) = ((k % 9) as f64 / 8.0 * w, (k / 9) as f64 / 6.0 * h);
        if covers(want, x, y, size) {
            let ((u, v), (tu, tv)) = (apply(got, x, y), apply(want, x, y));
            sum += (u - tu).powi(2) + (v - tv).powi(2);
            n += 1.0;
        }
    }
    assert!(n > 0.0, "the frame covers nothing of the reference");
    f64::sqrt(sum / n)
}

/// Errors of the stacked frames against the truth (file name -> map from the sky's frame), px, in order. The
/// reference is the first stacked frame.
pub(crate) fn errors(records: &[Value], truth: &HashMap<String, Map>, size: (usize, usize)) -> Vec<f64> {
    let mut stacked = records.iter().filter(|r| r["status"] == "stacked").peekable();
    let first = inverse(&truth[file(stacked.peek().expect("a stacked frame"))]);
    stacked.map(|r| rms_error(&homography(r), &compose(&truth[file(r)], &first), size)).collect()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

pub(crate) fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
