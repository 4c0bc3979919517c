//! What was measured: the object that `--json` prints. README.md documents each field.

use super::night::{Night, Stage};
use super::spread::Spread;
use crate::kernels::Kernel;
use crate::kernels::accumulate::Accumulate;
use crate::kernels::calibrate::Calibrate;
use crate::kernels::coverage::Coverage;
use crate::kernels::demosaic::Demosaic;
use crate::kernels::gray::Gray;
use crate::kernels::repair::Repair;
use crate::kernels::tiles::Tiles;
use serde::Serialize;

/// Version of the object: it rises when a field changes its meaning or goes; new fields may come without.
pub const VERSION: u64 = 1;

/// Kernels that go over every pixel: their speed is that of memory.
const PIXEL: [&str; 7] = [
    Calibrate::NAME,
    Repair::NAME,
    Demosaic::NAME,
    Gray::NAME,
    Tiles::NAME,
    Accumulate::NAME,
    Coverage::NAME,
];

/// The whole object.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) version: u64,
    pub(super) program: &'static str,
    pub(super) frames: Frames,
    pub(super) methods: Vec<&'static str>,
    pub(super) decode: Decode,
    pub(super) backends: Vec<Side>,
    /// Why no GPU was measured.
    pub(super) no_gpu: Option<String>,
    /// Frames a second on the GPU over those on the CPU.
    pub(super) ratio: Option<f64>,
    pub(super) auto: Auto,
    #[serde(rename = "use")]
    pub(super) best: Option<&'static str>,
    pub(super) limit: &'static str,
    pub(super) sentence: String,
}

/// What was measured with.
#[derive(Serialize)]
pub(super) struct Frames {
    /// Made for the purpose.
    pub(super) generated: bool,
    /// The folder that they come from otherwise.
    pub(super) source: Option<String>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) kind: String,
    pub(super) files: usize,
    pub(super) file_bytes: f64,
    pub(super) warm_up: usize,
    pub(super) measured: usize,
}

/// Decoding, one file after the other.
#[derive(Serialize)]
pub(super) struct Decode {
    pub(super) ms: Spread,
    /// Samples that come out, 10^9 bytes a second.
    pub(super) gb_s: f64,
    /// Threads that decode while frames are stacked.
    pub(super) threads: usize,
}

/// What `--backend auto` does here.
#[derive(Serialize)]
pub(super) struct Auto {
    /// `None`: nobody looked.
    pub(super) takes: Option<&'static str>,
    pub(super) why: String,
}

/// One backend.
#[derive(Serialize)]
pub(super) struct Side {
    /// `cpu` or `gpu`.
    pub(super) backend: &'static str,
    /// In words.
    pub(super) device: String,
    pub(super) copy_gb_s: Spread,
    /// Of frames to the device; `None` where they stay in the host's memory.
    pub(super) upload_gb_s: Option<Spread>,
    pub(super) seconds: f64,
    pub(super) frames_a_second: f64,
    pub(super) stacked: usize,
    pub(super) frame_ms: Spread,
    pub(super) wait_ms: Spread,
    /// `timestamps` of the device, or the `host`'s.
    pub(super) clock: &'static str,
    pub(super) stages: Vec<Row>,
    pub(super) pixel_kernels: Pixels,
    /// Of the program; `None` where the system does not say.
    pub(super) peak_bytes: Option<u64>,
    /// Of the engine's buffers.
    pub(super) engine_bytes: u64,
}

/// A stage.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// `kernel`, or work of the `host`.
    pub(super) kind: &'static str,
    pub(super) calls: f64,
    pub(super) ms: Spread,
    pub(super) gb_s: Option<f64>,
    pub(super) share_of_copy: Option<f64>,
}

/// The pixel kernels together.
#[derive(Serialize)]
pub(super) struct Pixels {
    pub(super) ms: f64,
    pub(super) gb_s: f64,
    pub(super) share_of_copy: f64,
}

/// 10^9 bytes a second, of bytes in milliseconds; 0 where nothing was moved.
pub(super) fn rate(bytes: f64, ms: f64) -> f64 {
    if ms > 0.0 { bytes / 1e6 / ms } else { 0.0 }
}

impl Side {
    /// `kernels`: the stages of a run whose kernels were timed, where `night`'s were not.
    pub(super) fn new(
        (backend, device, clock): (&'static str, String, &'static str),
        (copy, upload): (Spread, Option<Spread>),
        night: Night,
        kernels: Option<Vec<Stage>>,
        (peak_bytes, frames): (Option<u64>, usize),
    ) -> Side {
        let (own, host): (Vec<_>, Vec<_>) = night.stages.into_iter().partition(|stage| stage.kernel);
        let timed = kernels.map_or(own, |all| all.into_iter().filter(|stage| stage.kernel).collect());
        let pixel = timed.iter().filter(|stage| PIXEL.contains(&stage.name));
        let (ms, bytes) = pixel.fold((0.0, 0.0), |sum, s| (sum.0 + s.ms.median, sum.1 + s.bytes));
        let share = |gb_s: f64| if copy.median > 0.0 { gb_s / copy.median } else { 0.0 };
        let row = |stage: Stage| {
            let gb_s = (stage.bytes > 0.0 && stage.ms.median > 0.0)
                .then(|| rate(stage.bytes, stage.ms.median))
                .filter(|rate| rate.is_finite());
            Row {
                name: stage.name,
                kind: if stage.kernel { "kernel" } else { "host" },
                calls: stage.calls,
                ms: stage.ms,
                gb_s,
                share_of_copy: gb_s.filter(|_| PIXEL.contains(&stage.name)).map(share),
            }
        };
        let gb_s = rate(bytes, ms);
        Side {
            backend,
            device,
            copy_gb_s: copy,
            upload_gb_s: upload,
            seconds: night.seconds,
            frames_a_second: frames as f64 / night.seconds.max(f64::MIN_POSITIVE),
            stacked: night.stacked,
            frame_ms: night.frame_ms,
            wait_ms: night.wait_ms,
            clock,
            stages: timed.into_iter().chain(host).map(row).collect(),
            pixel_kernels: Pixels { ms, gb_s, share_of_copy: share(gb_s) },
            peak_bytes,
            engine_bytes: night.engine_bytes,
        }
    }
}
