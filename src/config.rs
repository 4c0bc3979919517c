//! Validated settings of a run, from the command line.

use crate::align::AlignTo;
use crate::align::grade::Limits;
use crate::align::motion::Motion;
use crate::backend::Choice;
use crate::cli::{
    AlignToArg, BackendArg, CalibrationArgs, ColourArg, DarkRuleArg, DemosaicArg, MasterArg, MotionArg,
    OnChangeArg, OrderArg, ReadingArgs, StackFlags, StretchArg,
};
use crate::decode::Wish;
use crate::error::{Error, Result};
use crate::judge::{OnChange, Rules};
use crate::kernels::demosaic;
use crate::master::{DarkRule, MasterRule, Wishes};
use crate::picture::{Look, StretchMode};
use crate::record::Poses;
use crate::rules::Method;
use crate::sensor::Bayer;
use std::path::PathBuf;

pub mod live;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// 8-bit PNG, `METHOD.png`.
    Png,
    /// 16-bit PNG, `METHOD_16.png`.
    Png16,
    /// 16-bit TIFF, `METHOD_16.tiff`.
    Tiff16,
    /// 32-bit float TIFF, linear, white = 1, `METHOD.tiff`.
    Tiff,
    /// 32-bit float FITS, linear, white = 1, `METHOD.fits`.
    Fits,
}

impl Output {
    /// Every format and its name on the command line.
    pub const ALL: &'static [(&'static str, Output)] = &[
        ("png", Output::Png),
        ("png16", Output::Png16),
        ("tiff16", Output::Tiff16),
        ("tiff", Output::Tiff),
        ("fits", Output::Fits),
    ];

    /// What follows METHOD in the file's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Output::Png => ".png",
            Output::Png16 => "_16.png",
            Output::Tiff16 => "_16.tiff",
            Output::Tiff => ".tiff",
            Output::Fits => ".fits",
        }
    }

    fn parse_list(list: &str) -> Result<Vec<Output>> {
        let mut out = Vec::new();
        for word in list.split([',', ' ']).filter(|w| !w.is_empty()) {
            let word = word.to_ascii_lowercase();
            let Some((_, format)) = Output::ALL.iter().find(|(name, _)| *name == word) else {
                let names = Output::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
                return Err(Error::Usage(format!("unknown format: {word}: choose from {names}")));
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

/// Masters and how they are used.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Folder of darks or a master; `None`: `dark/` if it exists.
    pub dark: Option<PathBuf>,
    /// `dark/` does not count where `dark` is `None`.
    pub no_default: bool,
    /// Folder of flats or a master.
    pub flat: Option<PathBuf>,
    /// Folder of flat darks or a master.
    pub flat_dark: Option<PathBuf>,
    /// Folder of bias frames or a master.
    pub bias: Option<PathBuf>,
    /// Where masters are kept; `None`: beside their folders.
    pub cache: Option<PathBuf>,
    /// Where masters are kept that are not kept otherwise.
    pub pictures: Option<PathBuf>,
    /// How darks become a master; `None`: what is usual for them.
    pub master: Option<MasterRule>,
    /// Whether `--demosaic` was given.
    pub demosaic_asked: bool,
    /// How lights are calibrated.
    pub wishes: Wishes,
}

/// Settings of `stack`.
#[derive(Clone, Debug)]
pub struct Config {
    /// A folder, or files.
    pub input: Vec<PathBuf>,
    /// Masters and how they are used.
    pub calibration: Calibration,
    /// What the frames are taken for.
    pub wish: Wish,
    /// Folder for the outputs.
    pub out: PathBuf,
    /// First part of the outputs' names.
    pub name: Option<String>,
    /// The rules; `None`: `mean` for linear frames, else the six, or `addcomp` where they do not fit in memory.
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
    /// Stretch of pictures; `None`: by rule and kind of frames.
    pub stretch: Option<StretchMode>,
    /// Stretch all channels alike.
    pub linked: bool,
    /// What is shown is multiplied by this.
    pub gain: f32,
    /// Where pixels are computed.
    pub backend: Choice,
    /// Adapter by name or number.
    pub adapter: Option<String>,
    /// A live session: one rule where nobody names others.
    pub live: bool,
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
    pub fn new(input: Vec<PathBuf>, out: PathBuf, args: StackFlags) -> Result<Config> {
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
        let rules = rules(&args)?;
        Ok(Config {
            wish: wish(&args.calibration.reading)?,
            calibration: calibration(args.calibration, args.on_change == OnChangeArg::Scale)?,
            rules,
            input,
            out,
            live: false,
            name: args.name,
            methods: args.method.as_deref().map(Method::parse_list).transpose()?,
            last: args.last.unwrap_or(0),
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
                StretchArg::Linear => StretchMode::Linear,
                StretchArg::Gamma => StretchMode::Gamma,
                StretchArg::Auto => StretchMode::Auto,
            }),
            linked: args.linked,
            gain: exposure_gain(args.exposure_gain)?,
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

    /// How `method`'s pictures are shown, of frames that are `linear` or not.
    #[must_use]
    pub fn look(&self, method: Method, linear: bool) -> Look {
        let usual = if method.coverage() || linear { StretchMode::Auto } else { StretchMode::None };
        Look { stretch: self.stretch.unwrap_or(usual), linked: self.linked, gain: self.gain }
    }
}

/// Most stops that are sensible.
const MOST_STOPS: f64 = 20.0;

fn exposure_gain(stops: f64) -> Result<f32> {
    if stops.is_finite() && stops.abs() <= MOST_STOPS {
        return Ok(stops.exp2() as f32);
    }
    Err(Error::Usage(format!("--exposure-gain takes stops from -{MOST_STOPS} to {MOST_STOPS}: got {stops}")))
}

/// What frames are taken for, whatever their files say.
///
/// # Errors
/// [`Error::Usage`] naming the flag and what it takes.
pub fn wish(args: &ReadingArgs) -> Result<Wish> {
    let bayer = match args.bayer.as_deref() {
        None => None,
        Some(none) if none.eq_ignore_ascii_case("none") => Some(None),
        Some(name) => match Bayer::named(name) {
            Some(bayer) => Some(Some(bayer)),
            None => {
                return Err(Error::Usage(format!(
                    "--bayer takes RGGB, GRBG, GBRG, BGGR or none: got {name:?}"
                )));
            }
        },
    };
    match args.white {
        Some(white) if !(white.is_finite() && (white as f32) > 0.0) => {
            Err(Error::Usage(format!("--white takes a level above 0: got {white}")))
        }
        white => Ok(Wish { bayer, white: white.map(|w| w as f32), ..Wish::default() }),
    }
}

/// The rule of that name on the command line.
#[must_use]
pub fn master_rule(arg: MasterArg) -> MasterRule {
    match arg {
        MasterArg::PeakMean => MasterRule::PeakMean,
        MasterArg::Mean => MasterRule::Mean,
        MasterArg::Median => MasterRule::Median,
        MasterArg::Sigma => MasterRule::Sigma,
    }
}

/// Masters, dark rule and master rule: frames that are scaled need a dark that scales with them.
fn calibration(args: CalibrationArgs, scale: bool) -> Result<Calibration> {
    let dark_rule = match args.dark_rule {
        Some(DarkRuleArg::Guarded) if scale => {
            return Err(Error::Usage(
                "--on-change scale takes the dark off signed: leave --dark-rule guarded out".into(),
            ));
        }
        Some(DarkRuleArg::Signed) => Some(DarkRule::Signed),
        None if scale => Some(DarkRule::Signed),
        Some(DarkRuleArg::Guarded) => Some(DarkRule::Guarded),
        None => None,
    };
    let master = match args.master {
        Some(MasterArg::PeakMean) if scale => {
            return Err(Error::Usage(
                "--on-change scale takes the mean of the darks: leave --master peak-mean out".into(),
            ));
        }
        Some(rule) => Some(master_rule(rule)),
        None => scale.then_some(MasterRule::Mean),
    };
    if args.flat_dark.is_some() && args.flat.is_none() {
        return Err(Error::Usage(
            "--flat-dark is taken off the flats: give --flat too, or leave it out".into(),
        ));
    }
    Ok(Calibration {
        dark: args.dark,
        flat: args.flat,
        flat_dark: args.flat_dark,
        bias: args.bias,
        cache: args.cache,
        pictures: None,
        no_default: false,
        master,
        demosaic_asked: args.demosaic.is_some(),
        wishes: Wishes {
            dark_rule,
            demosaic: match args.demosaic {
                Some(DemosaicArg::Bilinear) => demosaic::Method::Bilinear,
                Some(DemosaicArg::Mhc) | None => demosaic::Method::Mhc,
                Some(DemosaicArg::Superpixel) => demosaic::Method::Superpixel,
            },
            balance: matches!(args.colour, ColourArg::Camera),
            repair: !args.keep_hot_pixels,
            bin: bin(args.bin, args.demosaic)?,
        },
    })
}

/// Pixels of a frame along each side of one of the stack.
fn bin(asked: u32, demosaic: Option<DemosaicArg>) -> Result<usize> {
    match (asked, demosaic) {
        (1, _) => Ok(1),
        (2, None | Some(DemosaicArg::Superpixel)) => Ok(2),
        (2, Some(_)) => Err(Error::Usage(
            "--bin 2 makes one pixel of each 2x2 cell of a mosaic: leave --demosaic out, or --bin".into(),
        )),
        _ => Err(Error::Usage(format!("--bin takes 1 (full size) or 2 (half size): got {asked}"))),
    }
}

/// Frames in a row that make a new target, where nobody says.
const NEW_TARGET: usize = 3;

/// Which frames are stacked.
fn rules(args: &StackFlags) -> Result<Rules> {
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
