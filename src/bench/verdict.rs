//! The one sentence: which backend to use here, and what limits it.

use super::found::Side;

/// A GPU that makes less than this many times the CPU's frames a second makes no difference.
const WORTH_IT: f64 = 1.05;
/// The stage that carries frames to the device.
const UPLOAD: &str = "upload";

/// What holds a backend up most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// Waiting for the decoder.
    Decoding,
    /// Kernels that go over every pixel.
    Pixels,
    /// Frames on their way to the device.
    Upload,
    /// Alignment and the rest.
    Host,
}

impl Limit {
    /// As `--json` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Limit::Decoding => "decoding",
            Limit::Pixels => "pixels",
            Limit::Upload => "upload",
            Limit::Host => "host",
        }
    }
}

/// What limits `side`, and the share of a frame's time that it takes.
fn limit(side: &Side) -> (Limit, f64) {
    let frame = side.frame_ms.median;
    let upload =
        side.stages.iter().filter(|s| s.kind == "host" && s.name == UPLOAD).map(|s| s.ms.median).sum::<f64>();
    let (wait, pixels) = (side.wait_ms.median, side.pixel_kernels.ms);
    let rest = (frame - wait - pixels - upload).max(0.0);
    let parts =
        [(Limit::Decoding, wait), (Limit::Pixels, pixels), (Limit::Upload, upload), (Limit::Host, rest)];
    let largest = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Limit::Host, rest));
    // Kernels of a device work while the host does something else: they may take longer than a frame.
    (largest.0, if frame > 0.0 { (largest.1 / frame).min(1.0) } else { 0.0 })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// What limits `side`, in words.
fn because(side: &Side) -> (Limit, String) {
    let (limit, share) = limit(side);
    let share = format!("{} of a frame's time", percent(share));
    let text = match limit {
        Limit::Decoding => format!("decoding the files ({share})"),
        Limit::Pixels => format!(
            "the pixel kernels ({share}), which reach {} of the speed of copying memory",
            percent(side.pixel_kernels.share_of_copy)
        ),
        Limit::Upload => format!("the way of frames to the GPU ({share})"),
        Limit::Host => format!("alignment and the rest of the host's work ({share})"),
    };
    (limit, text)
}

/// The sentence for a `cpu` and perhaps a `gpu`: the backend to use, and what limits it. `auto`: what `--backend auto` takes
/// here; `None`: only the CPU was asked about, so there is nothing to choose.
pub(super) fn sentence(
    cpu: &Side,
    gpu: Option<&Side>,
    auto: Option<&str>,
) -> (Option<&'static str>, Limit, String) {
    let Some(gpu) = gpu else {
        let (limit, what) = because(cpu);
        let (best, how) = match auto {
            None => (None, "The CPU alone was measured"),
            Some(_) => (Some("cpu"), "Use the CPU here: no GPU was measured"),
        };
        return (best, limit, format!("{how}; what limits it is {what}."));
    };
    let ratio = ratio(cpu, gpu);
    let (side, how) = if ratio >= WORTH_IT {
        (gpu, format!("the GPU here: it stacks {ratio:.1} times as many frames a second as the CPU"))
    } else if ratio * WORTH_IT > 1.0 {
        (cpu, format!("the CPU here: the GPU stacks as many frames a second ({ratio:.2} times), no more"))
    } else {
        let times = 1.0 / ratio.max(f64::MIN_POSITIVE);
        (cpu, format!("the CPU here: it stacks {times:.1} times as many frames a second as the GPU"))
    };
    let (limit, what) = because(side);
    let other = auto.filter(|takes| *takes != side.backend).map_or_else(String::new, |takes| {
        format!(
            " --backend auto would take the {}: it goes by the kind of GPU, else by the pixel kernels alone, not by whole \
             frames as here; --backend {} settles it.",
            takes.to_uppercase(),
            side.backend
        )
    });
    (Some(side.backend), limit, format!("Use {how}; what limits it is {what}.{other}"))
}

/// Frames a second on the GPU over those on the CPU.
pub(super) fn ratio(cpu: &Side, gpu: &Side) -> f64 {
    gpu.frames_a_second / cpu.frames_a_second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::night::{Night, Stage};
    use crate::bench::spread::Spread;

    fn even(ms: f64) -> Spread {
        Spread { median: ms, q1: ms, q3: ms }
    }

    /// Frames of 100 ms, of which so many are waiting, in kernels and on the way up.
    fn side(backend: &'static str, seconds: f64, wait: f64, pixels: f64, upload: f64) -> Side {
        let stage = |name, kernel, ms, bytes| Stage { name, kernel, calls: 1.0, ms: even(ms), bytes };
        let night = Night {
            seconds,
            frame_ms: even(100.0),
            wait_ms: even(wait),
            stages: vec![
                stage("accumulate", true, pixels, 5e6 * pixels),
                stage("ecc", true, 5.0, 1e9),
                stage("upload", false, upload, 0.0),
            ],
            stacked: 10,
            engine_bytes: 1,
        };
        Side::new((backend, backend.into(), "host"), (even(10.0), None), night, None, (None, 10))
    }

    #[test]
    fn what_takes_longest_limits() {
        assert_eq!(limit(&side("cpu", 1.0, 50.0, 20.0, 0.0)), (Limit::Decoding, 0.5));
        assert_eq!(limit(&side("cpu", 1.0, 20.0, 60.0, 0.0)), (Limit::Pixels, 0.6));
        assert_eq!(limit(&side("gpu", 1.0, 5.0, 15.0, 70.0)), (Limit::Upload, 0.7));
        assert_eq!(limit(&side("cpu", 1.0, 10.0, 10.0, 0.0)), (Limit::Host, 0.8));
        assert_eq!(limit(&side("gpu", 1.0, 0.0, 300.0, 0.0)), (Limit::Pixels, 1.0), "at work meanwhile");
    }

    #[test]
    fn only_pixel_kernels_are_held_against_copying() {
        let pixels = side("cpu", 1.0, 0.0, 60.0, 0.0).pixel_kernels;
        assert_eq!((pixels.ms, pixels.gb_s, pixels.share_of_copy), (60.0, 5.0, 0.5));
    }

    #[test]
    fn the_sentence_names_the_faster_and_its_limit() {
        let cpu = side("cpu", 3.0, 10.0, 60.0, 0.0);
        let said =
            |seconds: f64, auto| sentence(&cpu, Some(&side("gpu", seconds, 80.0, 15.0, 0.0)), Some(auto));
        let (best, limit, text) = said(1.0, "gpu");
        assert_eq!((best, limit), (Some("gpu"), Limit::Decoding));
        assert_eq!(
            text,
            "Use the GPU here: it stacks 3.0 times as many frames a second as the CPU; what limits it is decoding the files \
             (80 % of a frame's time)."
        );
        let (best, limit, text) = said(6.0, "cpu");
        assert_eq!((best, limit), (Some("cpu"), Limit::Pixels));
        assert!(text.starts_with("Use the CPU here: it stacks 2.0 times"), "{text}");
        assert!(text.ends_with("which reach 50 % of the speed of copying memory."), "{text}");
        let (best, _, text) = said(2.95, "gpu");
        assert!(best == Some("cpu") && text.contains("(1.02 times), no more"), "{text}");
        assert!(
            text.contains("auto would take the GPU") && text.ends_with("--backend cpu settles it."),
            "{text}"
        );
        let (_, _, text) = said(1.0, "cpu");
        assert!(
            text.contains("auto would take the CPU") && text.ends_with("--backend gpu settles it."),
            "{text}"
        );
        let (best, _, text) = sentence(&cpu, None, Some("cpu"));
        let begin = "Use the CPU here: no GPU was measured; what limits it is the pixel kernels";
        assert!(best == Some("cpu") && text.starts_with(begin), "{text}");
        let (best, _, text) = sentence(&cpu, None, None);
        assert!(
            best.is_none() && text.starts_with("The CPU alone was measured; what limits it is"),
            "{text}"
        );
    }
}
