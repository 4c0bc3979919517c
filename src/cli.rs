//! The command line: flags and help text, nothing else.

use crate::rules::Method;
use bench::BenchArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use live::{AddArgs, StatusArgs, WatchArgs};
use std::path::PathBuf;

pub mod bench;
pub mod live;

/// Stack frames of the night sky into one picture, on any GPU or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "livestack", version, about, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done (even if single frames were rejected, also after Ctrl-C)
  1  nothing could be stacked, an output failed, or the night does not fit in memory
  2  wrong usage: flags, or masters that do not fit the lights
  3  the backend asked for cannot be used
  4  a folder, or the session, does not exist
  5  the session is in use, or was begun with other settings
130  a second Ctrl-C; the first one in bench, which then has nothing to show";

/// Heading of the flags that say which frames are stacked.
const GRADING: &str = "Which frames are stacked";

/// Heading of the flags about masters, mosaics and levels.
const CALIBRATION: &str = "Calibration and colours";

/// The rules, from their table.
fn method_help() -> String {
    let mut text =
        "Accumulation rules, with commas between; all: the first six [default: all; of watch and add addcomp; mean for RAW \
         and FITS]"
            .to_owned();
    for m in Method::ALL {
        text.push_str(&format!("\n  {:<9}{}", m.name(), m.help()));
    }
    text
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stack a folder of frames, or the frames named.
    #[command(after_help = EXIT_CODES)]
    Stack(Box<StackArgs>),
    /// Watch a folder and stack each frame as it arrives.
    Watch(Box<WatchArgs>),
    /// Stack frames into a session, for a camera program's script after each exposure: exit 0 also where they are rejected.
    Add(Box<AddArgs>),
    /// What a session is doing: frames, last reason, latency.
    Status(StatusArgs),
    /// Build a master dark, flat or bias from a folder of frames.
    #[command(after_help = EXIT_CODES)]
    Master(Box<MasterArgs>),
    /// Measure this machine: the GPU against the CPU, stage by stage, and which of them to use.
    #[command(after_help = EXIT_CODES)]
    Bench(BenchArgs),
    /// List the adapters: driver, limits, what `auto` would choose and why.
    Devices {
        /// As one JSON line an adapter.
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `stack`.
#[derive(Args, Debug)]
pub struct StackArgs {
    /// A folder of frames, or frames.
    #[arg(value_name = "INPUT", default_value = "input")]
    pub input: Vec<PathBuf>,
    /// Folder for the outputs; created where missing.
    #[arg(short, long, value_name = "DIR", default_value = "output")]
    pub out: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub flags: StackFlags,
}

/// How frames are stacked.
#[derive(Args, Clone, Debug)]
pub struct StackFlags {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub calibration: CalibrationArgs,
    /// Outputs are NAME_ADDCOMP.png ...; without it ADDCOMP.png ...
    #[arg(long)]
    pub name: Option<String>,
    /// Accumulation rules.
    #[arg(long, value_name = "LIST", help = method_help())]
    pub method: Option<String>,
    /// Only the last N frames in order, for watch of those that are there at the start; 0: all [default: 0; of add
    /// --newest: 1].
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Order of the frames: natural name order, or capture time.
    #[arg(long, value_enum, default_value = "name")]
    pub order: OrderArg,
    /// The template: the first frame until the overlap falls under 60 %, then a recent frame; or the first all night.
    #[arg(long, value_enum, default_value = "previous")]
    pub align_to: AlignToArg,
    /// Motion model.
    #[arg(long, value_enum, default_value = "homography")]
    pub motion: MotionArg,
    /// Stack the frames as they lie.
    #[arg(long, conflicts_with = "poses")]
    pub no_align: bool,
    /// Take the poses from a frames.jsonl instead of aligning.
    #[arg(long, value_name = "FILE")]
    pub poses: Option<PathBuf>,
    /// Reject frames with fewer stars.
    #[arg(long, value_name = "N", help_heading = GRADING)]
    pub min_stars: Option<usize>,
    /// Reject frames whose stars are wider (median FWHM).
    #[arg(long, value_name = "PX", help_heading = GRADING)]
    pub max_fwhm: Option<f64>,
    /// Reject frames whose stars are longer (median of long axis over short).
    #[arg(long, value_name = "RATIO", help_heading = GRADING)]
    pub max_elongation: Option<f64>,
    /// Stack every frame that can be aligned, clouded, blurred or trailed.
    #[arg(long, conflicts_with_all = ["min_stars", "max_fwhm", "max_elongation"], help_heading = GRADING)]
    pub accept_all: bool,
    /// What becomes of a frame of another exposure, ISO or gain.
    #[arg(long, value_enum, default_value = "reject", help_heading = GRADING)]
    pub on_change: OnChangeArg,
    /// Begin a new stack when K frames in a row (2 or more) show another field; without it, a warning after three [default
    /// K: 3].
    #[arg(
        long,
        value_name = "K",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "3",
        help_heading = GRADING
    )]
    pub restart_on_new_target: Option<usize>,
    /// Output formats: png (8 bit), png16, tiff16, and linear: tiff and fits (32-bit float).
    #[arg(long, value_name = "LIST", default_value = "png")]
    pub format: String,
    /// Stretch of the pictures, never of linear data [default: none for the six rules, auto for mean and for RAW and FITS
    /// frames].
    #[arg(long, value_enum)]
    pub stretch: Option<StretchArg>,
    /// Stretch all channels alike instead of each by its own background.
    #[arg(long)]
    pub linked: bool,
    /// Brighten what is shown by so many stops: 1 doubles it.
    #[arg(long, value_name = "EV", default_value_t = 0.0, allow_hyphen_values = true)]
    pub exposure_gain: f64,
    /// Where the pixels are computed; explicit choices are never replaced.
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: BackendArg,
    /// Adapter: part of its name, or its number in `livestack devices`.
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
    /// Also write the stack after each frame: NAME_METHOD_0007.png.
    #[arg(long)]
    pub debug_frames: bool,
    /// Events as JSON lines on stdout instead of text.
    #[arg(long)]
    pub json: bool,
    /// A table at the end: what each kernel and host stage took.
    #[arg(long)]
    pub timings: bool,
}

/// Flags about masters, mosaics and levels.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = CALIBRATION)]
pub struct CalibrationArgs {
    /// Folder of darks, or a ready master dark [default: dark/ if it exists].
    #[arg(long, value_name = "DIR|FILE")]
    pub dark: Option<PathBuf>,
    /// Folder of flats, or a ready master flat: lights are divided by it.
    #[arg(long, value_name = "DIR|FILE")]
    pub flat: Option<PathBuf>,
    /// Folder of darks of the flats' exposure, or their master: taken off the flat.
    #[arg(long, value_name = "DIR|FILE")]
    pub flat_dark: Option<PathBuf>,
    /// Folder of bias frames, or their master: taken off the flat where there is no flat dark, and off the lights where
    /// there is no dark.
    #[arg(long, value_name = "DIR|FILE")]
    pub bias: Option<PathBuf>,
    /// Where masters are kept for the next start [default: .livestack-cache beside the folder of frames].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How the dark is taken off: i > m ? i - m : i, or i - m with negatives kept [default: guarded; signed for RAW and
    /// FITS frames, and with --on-change scale].
    #[arg(long, value_enum)]
    pub dark_rule: Option<DarkRuleArg>,
    /// How darks become a master [default: peak-mean; median for RAW and FITS; mean with --on-change scale].
    #[arg(long, value_enum)]
    pub master: Option<MasterArg>,
    /// Leave hot pixels of mosaics as they are.
    #[arg(long)]
    pub keep_hot_pixels: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub reading: ReadingArgs,
    /// How a mosaic becomes colours [default: mhc; superpixel with --bin 2].
    #[arg(long, value_enum)]
    pub demosaic: Option<DemosaicArg>,
    /// 2: stack at half size, in a quarter of the memory: frames are calibrated pixel by pixel, then each 2x2 cell is
    /// averaged; of a mosaic's cell a colour pixel is made (--demosaic superpixel). 1: at full size.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub bin: u32,
    /// Colours of RAW frames: balanced as the camera did and in sRGB, or as the sensor sees them.
    #[arg(long, value_enum, default_value = "camera", alias = "color")]
    pub colour: ColourArg,
}

/// Flags that overrule what files say of their samples.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = CALIBRATION)]
pub struct ReadingArgs {
    /// The mosaic of frames with one channel, whatever their header says: RGGB, GRBG, GBRG, BGGR or none.
    #[arg(long, value_name = "PATTERN")]
    pub bayer: Option<String>,
    /// The level that stands for white, whatever header or type say.
    #[arg(long, value_name = "LEVEL")]
    pub white: Option<f64>,
}

/// Flags of `master`.
#[derive(Args, Debug)]
pub struct MasterArgs {
    /// What the frames are.
    #[arg(value_enum)]
    pub kind: MasterKindArg,
    /// Folder of frames.
    pub dir: PathBuf,
    /// The master, a 32-bit float FITS file.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// How they become one [default: peak-mean; median for RAW and FITS; mean for flats].
    #[arg(long, value_enum)]
    pub master: Option<MasterArg>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub reading: ReadingArgs,
}

/// What `master` is made of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MasterKindArg {
    /// Shutter closed, exposed as long as the lights.
    Dark,
    /// An evenly lit field.
    Flat,
    /// Shutter closed, not exposed.
    Bias,
}

/// `--demosaic`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DemosaicArg {
    /// Mean of the nearest pixels.
    Bilinear,
    /// Malvar, He and Cutler: corrected by the gradient.
    Mhc,
    /// A cell of 2x2 pixels becomes one.
    Superpixel,
}

/// `--colour`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ColourArg {
    /// White balance as shot, and the camera's matrix.
    Camera,
    /// Nothing is done.
    Sensor,
}

/// `--dark-rule`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DarkRuleArg {
    /// i > m ? i - m : i.
    Guarded,
    /// i - m, negatives kept.
    Signed,
}

/// `--master`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MasterArg {
    /// Leans to the hot pixels.
    PeakMean,
    /// Mean.
    Mean,
    /// Median.
    Median,
    /// Kappa-sigma mean, 3 sigma.
    Sigma,
}

/// `--order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderArg {
    /// Natural name order: IMG_9 before IMG_10.
    Name,
    /// Capture time as the files state it.
    Time,
}

/// `--align-to`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AlignToArg {
    /// The first frame, then a recent one.
    Previous,
    /// The first frame.
    First,
}

/// `--motion`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MotionArg {
    /// Shift.
    Translation,
    /// Shift and rotation.
    Euclidean,
    /// Shift, rotation and scale.
    Similarity,
    /// Affine map.
    Affine,
    /// Homography.
    Homography,
}

/// `--on-change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnChangeArg {
    /// It is rejected, with the reason.
    Reject,
    /// It is brought to the stack's levels by its stars and its background.
    Scale,
    /// A new stack begins with it; the old one is kept under a numbered name.
    Restart,
}

/// `--stretch`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StretchArg {
    /// As it is.
    None,
    /// A straight line from the background to the brightest thousandth.
    Linear,
    /// The transfer function of sRGB: for linear frames of bright scenes.
    Gamma,
    /// Midtones transfer function from median and MAD.
    Auto,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum BackendArg {
    /// A GPU that passes its self-test and is faster, else the CPU.
    Auto,
    /// The GPU or nothing.
    Gpu,
    /// The CPU.
    Cpu,
}
