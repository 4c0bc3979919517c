//! The arithmetic of the program once more, written from the rules' table alone.

use super::picture::Picture;

/// The six rules, as the outputs are called.
pub(crate) const SIX: [&str; 6] = ["ADD", "ADD2", "ADDMAX", "ADDMAX2", "ADDMEAN", "ADDCOMP"];

/// s after frame number n, in levels.
pub(crate) fn step(rule: &str, s: f64, i: f64, n: usize, white: f64) -> f64 {
    match rule {
        "ADD" => (s + i).min(white),
        "ADD2" if s + i < white => s + i,
        "ADDMAX" | "ADDMAX2" => s.max(i),
        "ADDMEAN" if i > 0.0 => (s + i) / 2.0,
        "ADD2" | "ADDMEAN" => s,
        "ADDCOMP" | "MEAN" => s + (i - s) / n as f64,
        other => panic!("no rule {other}"),
    }
}

/// What is shown (white = 1) of a stack of `frames` that lie on each other, levels.
pub(crate) fn stacked(rule: &str, frames: &[Picture<f64>], white: f64) -> Picture<f32> {
    let mut s = frames[0].clone();
    for (k, frame) in frames.iter().enumerate().skip(1) {
        for (s, i) in s.data.iter_mut().zip(&frame.data) {
            *s = step(rule, *s, *i, k + 1, white);
        }
    }
    let most = s.data.iter().copied().fold(f64::MIN, f64::max);
    let top = if rule == "ADDMAX2" && most > 0.0 { most } else { white };
    s.map(|v| (v / top) as f32)
}

/// The master dark, levels.
pub(crate) fn master(rule: &str, darks: &[Picture<f64>]) -> Picture<f64> {
    let mut out = darks[0].clone();
    for (k, m) in out.data.iter_mut().enumerate() {
        let column: Vec<f64> = darks.iter().map(|d| d.data[k]).collect();
        *m = master_sample(rule, &column);
    }
    out
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn master_sample(rule: &str, column: &[f64]) -> f64 {
    match rule {
        "peak-mean" => column.iter().skip(1).fold(column[0], |m, d| if *d > m { (d + m) / 2.0 } else { m }),
        "mean" => mean(column),
        "median" => {
            let mut sorted = column.to_vec();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
        }
        "sigma" => {
            let mut kept = column.to_vec();
            loop {
                let centre = mean(&kept);
                let deviation = mean(&kept.iter().map(|v| (v - centre).powi(2)).collect::<Vec<_>>()).sqrt();
                let near: Vec<f64> =
                    kept.iter().copied().filter(|v| (v - centre).abs() <= 3.0 * deviation).collect();
                if near.len() == kept.len() || near.is_empty() {
                    return centre;
                }
                kept = near;
            }
        }
        other => panic!("no master {other}"),
    }
}

/// A light with the master taken off.
pub(crate) fn calibrated(rule: &str, light: &Picture<f64>, dark: &Picture<f64>) -> Picture<f64> {
    let mut out = light.clone();
    for (i, m) in out.data.iter_mut().zip(&dark.data) {
        *i = match rule {
            "guarded" if *i <= *m => *i,
            _ => *i - m,
        };
    }
    out
}
