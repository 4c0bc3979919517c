//! Validated settings of a run, from the command line.

use crate::align::AlignTo;
use crate::align::grade::Limits;
use crate::align::motion::Motion;
use crate::backend::Choice;
use crate::cli::{
    AlignToArg, BackendArg, DarkRuleArg, MasterArg, MotionArg, OnChangeArg, OrderArg, StackArgs, StretchArg,
};
use crate::error::{Error, Result};
use crate::judge::{OnChange, Rules};
use crate::master::{DarkRule, MasterRule};
use crate::picture::StretchMode;
use crate::record::Poses;
use crate::rules::Method;
use std::path::PathBuf;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// 8-bit PNG, `METHOD.png`.
    Png,
    /// 16-bit PNG, `METHOD_16.png`.
    Png16,
    /// 32-bit float TIFF, linear, white = 1, `METHOD.tiff`.
    Tiff,
}

impl Output {
    /// Every format and its name on the command line.
    pub const ALL: &'static [(&'static str, Output)] =
        &[("png", Output::Png), ("png16", Output::Png16), ("tiff", Output::Tiff)];

    /// What follows METHOD in the file's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Output::Png => ".png",
            Output::Png16 => "_16.png",
            Output::Tiff => ".tiff",
        }
    }

    fn parse_list(list: &str) -> Result<Vec<Output>> {
        let mut out = Vec::new();
        for word in list.split([',', ' ']).filter(|w| !w.is_empty()) {
            let word = word.to_ascii_lowercase();
            let Some((_, format)) = Output::ALL.iter().find(|(name, _)| *name == word) else {
                return Err(Error::Usage(format!("unknown format: {word}: choose from png png16 tiff")));
            };
            if !out.contains(format) {
                out.push(*format);
            }
        }
        if out.is_empty() {
            return Err(Error::Usage("no format given: name one, for instance png".into()));
        }
        Ok(out)
    }
}

/// Settings of `stack`.
#[derive(Clone, Debug)]
pub struct Config {
    /// A folder, or files.
    pub input: Vec<PathBuf>,
    /// Folder of darks or a master; `None`: `dark/` if it exists.
    pub dark: Option<PathBuf>,
    /// How the dark is taken off.
    pub dark_rule: DarkRule,
    /// How darks become a master.
    pub master: MasterRule,
    /// Folder for the outputs.
    pub out: PathBuf,
    /// First part of the outputs' names.
    pub name: Option<String>,
    /// The rules; `None`: the six, or `addcomp` where they do not fit in memory.
    pub methods: Option<Vec<Method>>,
    /// Only the last so many frames; 0: all.
    pub last: usize,
    /// Order by capture time instead of name.
    pub by_time: bool,
    /// What is aligned to.
    pub align_to: AlignTo,
    /// Motion model.
    pub motion: Motion,
    /// Align at all.
    pub align: bool,
    /// Poses to take instead of aligning.
    pub poses: Option<Poses>,
    /// Which frames are stacked.
    pub rules: Rules,
    /// Output formats.
    pub formats: Vec<Output>,
    /// Stretch of pictures; `None`: by rule.
    pub stretch: Option<StretchMode>,
    /// Where pixels are computed.
    pub backend: Choice,
    /// Adapter by name or number.
    pub adapter: Option<String>,
    /// Write the stack after each frame.
    pub debug_frames: bool,
    /// Events as JSON lines.
    pub json: bool,
    /// Print the timing table.
    pub timings: bool,
}

impl Config {
    /// Checks and converts the flags.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the flag and what it takes; where the file of poses cannot be read.
    pub fn new(args: StackArgs) -> Result<Config> {
        if let Some(name) = &args.name
            && (name.is_empty() || name.contains(['/', '\\', '\0']))
        {
            return Err(Error::Usage(format!(
                "--name is the first part of a file name, without folders: got {name:?}: use --out for the folder"
            )));
        }
        if let (BackendArg::Cpu, Some(name)) = (args.backend, &args.adapter) {
            return Err(Error::Usage(format!(
                "--adapter names a GPU and --backend cpu uses none: leave one out: {name}"
            )));
        }
        let (dark_rule, master) = calibration(&args)?;
        let rules = rules(&args)?;
        Ok(Config {
            dark: args.dark,
            dark_rule,
            master,
            rules,
            input: args.input,
            out: args.out,
            name: args.name,
            methods: args.method.as_deref().map(Method::parse_list).transpose()?,
            last: args.last,
            by_time: args.order == OrderArg::Time,
            align_to: match args.align_to {
                AlignToArg::Previous => AlignTo::Previous,
                AlignToArg::First => AlignTo::First,
            },
            motion: match args.motion {
                MotionArg::Translation => Motion::Translation,
                MotionArg::Euclidean => Motion::Euclidean,
                MotionArg::Similarity => Motion::Similarity,
                MotionArg::Affine => Motion::Affine,
                MotionArg::Homography => Motion::Homography,
            },
            align: !args.no_align,
            poses: args.poses.as_deref().map(Poses::read).transpose()?,
            formats: Output::parse_list(&args.format)?,
            stretch: args.stretch.map(|s| match s {
                StretchArg::None => StretchMode::None,
                StretchArg::Auto => StretchMode::Auto,
            }),
            backend: match args.backend {
                BackendArg::Auto => Choice::Auto,
                BackendArg::Gpu => Choice::Gpu,
                BackendArg::Cpu => Choice::Cpu,
            },
            adapter: args.adapter,
            debug_frames: args.debug_frames,
            json: args.json,
            timings: args.timings,
        })
    }

    /// The stretch of `method`'s pictures.
    #[must_use]
    pub fn stretch(&self, method: Method) -> StretchMode {
        let by_rule = if method.coverage() { StretchMode::Auto } else { StretchMode::None };
        self.stretch.unwrap_or(by_rule)
    }
}

/// Dark rule and master rule: frames that are scaled need a dark that scales with them.
fn calibration(args: &StackArgs) -> Result<(DarkRule, MasterRule)> {
    let scale = args.on_change == OnChangeArg::Scale;
    let rule = match args.dark_rule {
        Some(DarkRuleArg::Guarded) if scale => {
            return Err(Error::Usage(
                "--on-change scale takes the dark off signed: leave --dark-rule guarded out".into(),
            ));
        }
        Some(DarkRuleArg::Signed) => DarkRule::Signed,
        None if scale => DarkRule::Signed,
        Some(DarkRuleArg::Guarded) | None => DarkRule::Guarded,
    };
    let master = match args.master {
        Some(MasterArg::PeakMean) if scale => {
            return Err(Error::Usage(
                "--on-change scale takes the mean of the darks: leave --master peak-mean out".into(),
            ));
        }
        Some(MasterArg::Mean) => MasterRule::Mean,
        None if scale => MasterRule::Mean,
        Some(MasterArg::PeakMean) | None => MasterRule::PeakMean,
        Some(MasterArg::Median) => MasterRule::Median,
        Some(MasterArg::Sigma) => MasterRule::Sigma,
    };
    Ok((rule, master))
}

/// Frames in a row that make a new target, where nobody says.
const NEW_TARGET: usize = 3;

/// Which frames are stacked.
fn rules(args: &StackArgs) -> Result<Rules> {
    let positive = |name: &str, v: Option<f64>, least: f64| match v {
        Some(v) if !(v.is_finite() && v >= least) => {
            Err(Error::Usage(format!("{name} is a number from {least} up: got {v}")))
        }
        v => Ok(v),
    };
    let asked = args.min_stars.is_some()
        || args.max_fwhm.is_some()
        || args.max_elongation.is_some()
        || args.accept_all
        || args.on_change != OnChangeArg::Reject
        || args.restart_on_new_target.is_some();
    if asked && (args.no_align || args.poses.is_some()) {
        return Err(Error::Usage(
            "frames are graded where they are aligned: leave out --no-align and --poses, or the limits"
                .into(),
        ));
    }
    let new_target = args.restart_on_new_target.unwrap_or(NEW_TARGET);
    if new_target < 2 {
        return Err(Error::Usage(format!(
            "--restart-on-new-target takes the frames in a row that make a new target, 2 or more: got {new_target}"
        )));
    }
    Ok(Rules {
        limits: Limits {
            accept_all: args.accept_all,
            min_stars: args.min_stars,
            max_fwhm: positive("--max-fwhm", args.max_fwhm, 0.1)?,
            max_elongation: positive("--max-elongation", args.max_elongation, 1.0)?,
        },
        on_change: match args.on_change {
            OnChangeArg::Reject => OnChange::Reject,
            OnChangeArg::Scale => OnChange::Scale,
            OnChangeArg::Restart => OnChange::Restart,
        },
        new_target,
        restart: args.restart_on_new_target.is_some(),
    })
}
