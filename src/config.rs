//! Validated settings of a run, from the command line.

use crate::align::AlignTo;
use crate::align::motion::Motion;
use crate::backend::Choice;
use crate::cli::{
    AlignToArg, BackendArg, DarkRuleArg, MasterArg, MotionArg, OrderArg, StackArgs, StretchArg,
};
use crate::error::{Error, Result};
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
        Ok(Config {
            input: args.input,
            dark: args.dark,
            dark_rule: match args.dark_rule {
                DarkRuleArg::Guarded => DarkRule::Guarded,
                DarkRuleArg::Signed => DarkRule::Signed,
            },
            master: match args.master {
                MasterArg::PeakMean => MasterRule::PeakMean,
                MasterArg::Mean => MasterRule::Mean,
                MasterArg::Median => MasterRule::Median,
                MasterArg::Sigma => MasterRule::Sigma,
            },
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
