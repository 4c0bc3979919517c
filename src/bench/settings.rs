//! What is measured: checked flags.

use crate::backend::Choice;
use crate::cli::bench::BenchArgs;
use crate::cli::{BackendArg, StackFlags};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::Method;
use clap::Parser;
use std::path::{Path, PathBuf};

/// Size of the generated frames where nobody says, px: a 20 Mpix DSLR.
const USUAL_SIZE: (usize, usize) = (5472, 3648);
/// Longest side of a JPEG file, px.
const LONGEST: usize = 65535;
/// Most pixels of a generated frame: more than any camera has.
const MOST_PIXELS: usize = 500_000_000;
/// Most frames that are measured.
const MOST_FRAMES: usize = 10_000;
/// Where frames come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Star fields of this size, px.
    Generated(usize, usize),
    /// A folder of frames.
    Folder(PathBuf),
}

/// Settings of `bench`.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) source: Source,
    /// Frames that are measured.
    pub(super) frames: usize,
    /// The rules, each once.
    pub(super) methods: Vec<Method>,
    /// What is measured beside the CPU.
    pub(super) choice: Choice,
    pub(super) adapter: Option<String>,
    pub(super) json: bool,
}

impl Settings {
    /// Checks and converts the flags.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the flag and what it takes.
    pub(super) fn new(args: BenchArgs) -> Result<Settings> {
        if !(1..=MOST_FRAMES).contains(&args.frames) {
            return Err(Error::Usage(format!(
                "--frames takes how many are measured, 1 to {MOST_FRAMES}: got {}",
                args.frames
            )));
        }
        let choice = match (args.backend, &args.adapter) {
            (BackendArg::Cpu, Some(name)) => {
                return Err(Error::Usage(format!(
                    "--adapter names a GPU and --backend cpu uses none: leave one out: {name}"
                )));
            }
            (BackendArg::Cpu, None) => Choice::Cpu,
            (BackendArg::Auto, None) => Choice::Auto,
            // Who names an adapter means that one, a software one too.
            (BackendArg::Gpu, _) | (BackendArg::Auto, Some(_)) => Choice::Gpu,
        };
        let methods = args.method.as_deref().map_or(Ok(vec![Method::AddComp]), Method::parse_list)?;
        let source = match (args.input, args.size.as_deref()) {
            (Some(folder), _) => Source::Folder(folder),
            (None, None) => Source::Generated(USUAL_SIZE.0, USUAL_SIZE.1),
            (None, Some(text)) => {
                let (w, h) = size(text)?;
                Source::Generated(w, h)
            }
        };
        Ok(Settings { source, frames: args.frames, methods, choice, adapter: args.adapter, json: args.json })
    }

    /// How `stack` would run with these settings, and nothing else said. `out`: a folder that nothing is written to.
    ///
    /// # Errors
    /// None that is known of: the flags are `stack`'s defaults.
    pub(super) fn config(&self, out: &Path) -> Result<Config> {
        let input = match &self.source {
            Source::Folder(folder) => folder.clone(),
            Source::Generated(..) => out.to_owned(),
        };
        let flags = Defaults::try_parse_from(["bench"]).map_err(|e| Error::Usage(e.to_string()))?.flags;
        let mut config = Config::new(vec![input], out.to_owned(), flags)?;
        config.methods = Some(self.methods.clone());
        // Nothing is written, and no memory needs to be there for it.
        config.formats = Vec::new();
        // Darks that lie about in the current folder are not what is measured.
        config.calibration.no_default = true;
        Ok(config)
    }
}

/// The flags of `stack` where nobody gives any.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    flags: StackFlags,
}

/// `WIDTHxHEIGHT` in px.
fn size(text: &str) -> Result<(usize, usize)> {
    let side = |word: &str| word.trim().parse::<usize>().ok().filter(|px| (1..=LONGEST).contains(px));
    let both = text.split_once(['x', 'X']).and_then(|(w, h)| side(w).zip(side(h)));
    both.filter(|(w, h)| w * h <= MOST_PIXELS).ok_or_else(|| {
        Error::Usage(format!(
            "--size takes WIDTHxHEIGHT in pixels, each 1 to {LONGEST} and {} million together at most, for instance 5472x3648: got {text:?}",
            MOST_PIXELS / 1_000_000
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_of_pixels() {
        assert_eq!(size("5472x3648").ok(), Some((5472, 3648)));
        assert_eq!(size("64X48").ok(), Some((64, 48)));
        assert!(size("65535x65535").is_err(), "no camera has so many");
        for silly in ["", "x", "0x0", "64", "64x", "x48", "-1x5", "1.5x2", "64x48x3", "65536x1", "1e3x5"] {
            let error = size(silly).map_err(|e| e.to_string());
            assert!(error.is_err_and(|e| e.contains("WIDTHxHEIGHT") && !e.contains('\n')), "{silly}");
        }
    }
}
