//! Whether the frames fit in memory, by the formula of a night: said before they are sent.

use super::settings::{Settings, Source};
use crate::config::Config;
use crate::decode::threads;
use crate::engine::Setup;
use crate::error::{Error, Result};
use crate::frame::{SampleType, Shape};
use crate::master::{Masters, Plan};
use crate::memory::need::{Habits, Night};
use crate::sensor::Sensor;

/// Pixels for each byte of a generated file, at most: see [`super::field`].
const PIXELS_PER_BYTE: u64 = 4;
/// Bytes of a MB.
const MB: u64 = 1_000_000;

/// What decides how much memory frames take.
pub(super) struct Kind {
    pub(super) shape: Shape,
    pub(super) sensor: Sensor,
    /// The level of white.
    pub(super) white: f32,
    /// Bytes of a file.
    pub(super) file: u64,
    /// Bytes that its decoder holds beside.
    pub(super) beside: u64,
    /// Bytes of the buffer that it is decoded into.
    pub(super) held: u64,
}

impl Kind {
    /// Of frames that are still to be generated. Fewer are made at once than are on their way in a night.
    pub(super) fn generated((width, height): (usize, usize)) -> Kind {
        let shape = Shape { width, height, channels: 3, sample: SampleType::U8, mosaic: None };
        let file = (width * height) as u64 / PIXELS_PER_BYTE;
        let white = SampleType::U8.white(|| 0.0);
        Kind { shape, sensor: Sensor::DISPLAY, white, file, beside: 0, held: 0 }
    }

    /// Bytes that the program has at most while it measures with such frames on the CPU.
    ///
    /// # Errors
    /// None that is known of: there are no masters that might not fit.
    pub(super) fn need(&self, config: &Config) -> Result<u64> {
        let wishes = &config.calibration.wishes;
        let plan = Plan::new((self.shape, &self.sensor), self.white, &Masters::default(), wishes)?;
        let setup = Setup {
            frame: self.shape,
            shape: plan.canvas,
            matrix: self.sensor.matrix,
            white: self.white,
            methods: config.methods.clone().unwrap_or_default(),
            align: config.align,
            motion: config.motion,
            align_to: config.align_to,
            tones: false,
        };
        let &Kind { file, beside, held, .. } = self;
        let outputs = config.formats.clone();
        Ok(Night::new(
            &setup,
            &plan,
            Habits { threads: threads(), file, beside, held, outputs, ..Habits::default() },
        )
        .peak())
    }

    /// Refuses frames for which `all` bytes are too few, rather than be killed on the way. `None`: nobody knows.
    ///
    /// # Errors
    /// [`Error::Memory`] with what would fit.
    pub(super) fn check(&self, settings: &Settings, config: &Config, all: Option<u64>) -> Result<()> {
        let need = self.need(config)?;
        let Some(all) = all.filter(|all| need > *all) else { return Ok(()) };
        let smaller = match settings.source {
            Source::Generated(..) => "measure with smaller ones (--size)",
            Source::Folder(_) => "measure with smaller ones",
        };
        let (rules, fewer) = match settings.methods.as_slice() {
            [one] => (format!("the rule {}", one.name()), ""),
            many => (format!("{} rules", many.len()), " or with fewer rules (--method)"),
        };
        let (need, all, shape) = (need / MB, all / MB, self.shape);
        Err(Error::Memory(format!(
            "memory: {rules} over frames of {shape} need {need} MB of {all} MB: {smaller}{fewer}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Choice;
    use crate::rules::Method;

    #[test]
    fn frames_that_do_not_fit_are_refused_with_both_figures() {
        let of = |methods: &[Method]| Settings {
            source: Source::Generated(1000, 1000),
            frames: 1,
            methods: methods.to_vec(),
            choice: Choice::Cpu,
            adapter: None,
            json: false,
        };
        let kind = Kind::generated((1000, 1000));
        let said = |settings: &Settings, all: Option<u64>| {
            let config = settings.config("nowhere".as_ref()).expect("the defaults");
            kind.check(settings, &config, all).map_err(|e| (e.exit_code(), e.to_string()))
        };
        let (one, six) = (of(&[Method::AddComp]), of(Method::SIX));
        let need = kind.need(&six.config("nowhere".as_ref()).expect("the defaults")).expect("a figure");
        assert_eq!(said(&six, Some(need)), Ok(()));
        assert_eq!(said(&six, None), Ok(()));
        assert_eq!(said(&one, Some(need - 1)), Ok(()), "one rule takes less");
        let (code, text) = said(&six, Some(need - 1)).expect_err("a byte too few");
        assert_eq!(code, 1);
        assert!(text.contains(&format!("need {} MB of {} MB", need / MB, (need - 1) / MB)), "{text}");
        assert!(text.contains("--size") && text.contains("--method") && !text.contains("--bin"), "{text}");
        let (_, text) = said(&one, Some(MB)).expect_err("no program is so small");
        assert!(!text.contains("--method"), "{text}");
    }
}
