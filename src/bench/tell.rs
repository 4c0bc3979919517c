//! What was measured, for people.

use super::found::{Found, Row, Side};
use super::spread::Spread;
use std::fmt::Write as _;

const MEGA: f64 = 1e6;

/// Median and quartiles.
fn spread(s: Spread) -> String {
    format!("{:.1} ({:.1} to {:.1})", s.median, s.q1, s.q3)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn row(out: &mut String, name: &str, ms: &str, gb_s: Option<f64>, share: Option<f64>) {
    let gb_s = gb_s.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let share = share.map_or_else(|| "-".to_owned(), percent);
    let _ = writeln!(out, "  {name:<18}{ms:>28}{gb_s:>9}{share:>9}");
}

fn stages(out: &mut String, side: &Side, kind: &str) {
    for Row { name, ms, gb_s, share_of_copy, .. } in side.stages.iter().filter(|s| s.kind == kind) {
        row(out, name, &spread(*ms), *gb_s, *share_of_copy);
    }
}

fn side(out: &mut String, side: &Side, frames: usize) {
    let _ = writeln!(out, "\n{}", side.device);
    let _ = writeln!(out, "  copies memory at {} GB/s, read and written", spread(side.copy_gb_s));
    if let Some(upload) = side.upload_gb_s {
        let _ = writeln!(out, "  is sent frames at {} GB/s, from the host's memory", spread(upload));
    }
    if side.backend == "gpu" {
        let clock = if side.clock == "host" { "the host's clock" } else { "the device's timestamps" };
        let _ = writeln!(out, "  kernels are timed by {clock}, in a run apart");
    }
    let _ = writeln!(out, "  {:<18}{:>28}{:>9}{:>9}", "stage", "ms a frame (quartiles)", "GB/s", "of copy");
    stages(out, side, "kernel");
    let pixels = &side.pixel_kernels;
    let together = format!("{:.1}", pixels.ms);
    row(out, "= pixel kernels", &together, Some(pixels.gb_s), Some(pixels.share_of_copy));
    let _ = writeln!(out, "  of the host, waiting for kernels included");
    stages(out, side, "host");
    row(out, "wait for decode", &spread(side.wait_ms), None, None);
    let _ = writeln!(
        out,
        "  {:.2} frames a second; {} ms from one to the next; {} of {frames} stacked",
        side.frames_a_second,
        spread(side.frame_ms),
        side.stacked
    );
    let peak =
        side.peak_bytes.map_or_else(|| "not known here".to_owned(), |b| format!("{:.0} MB", b as f64 / MEGA));
    let engine = side.engine_bytes as f64 / MEGA;
    let _ = writeln!(out, "  peak memory of the program {peak}; the engine's buffers {engine:.0} MB");
}

/// All of it.
pub(super) fn text(found: &Found) -> String {
    let mut out = String::new();
    let f = &found.frames;
    let _ = writeln!(
        out,
        "{} {} frames, {}, files of {:.2} MB; no darks; rules {}; {} measured after {} to warm up; median (quartiles)",
        f.files,
        if f.generated { "generated" } else { "own" },
        f.kind,
        f.file_bytes / MEGA,
        found.methods.join(", "),
        f.measured,
        f.warm_up
    );
    let d = &found.decode;
    let _ = writeln!(
        out,
        "\ndecoding\n  {} ms a file, one after the other, {:.2} GB/s of samples; {} at once while stacking",
        spread(d.ms),
        d.gb_s,
        d.threads
    );
    for one in &found.backends {
        side(&mut out, one, f.measured);
    }
    out.push('\n');
    if let Some(ratio) = found.ratio {
        let _ = writeln!(out, "GPU against CPU: {ratio:.2} times the frames a second");
    }
    if let Some(takes) = found.auto.takes {
        let _ = writeln!(out, "auto takes the {}: {}", takes.to_uppercase(), found.auto.why);
    }
    let why = found.no_gpu.as_ref().filter(|why| found.auto.takes.is_some() && **why != found.auto.why);
    if let Some(why) = why {
        let _ = writeln!(out, "no GPU was measured: {why}");
    }
    let _ = writeln!(out, "{}", found.sentence);
    out
}
