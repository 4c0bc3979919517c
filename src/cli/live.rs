//! Flags of live stacking: `watch`, `add`, `status`.

use super::{EXIT_CODES, StackFlags};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Heading of the flags about a hot folder.
const LIVE: &str = "Hot folder";

/// Flags of `watch`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct WatchArgs {
    /// The folder that frames drop into.
    #[arg(value_name = "INPUT", default_value = "input")]
    pub input: PathBuf,
    /// Folder for the outputs and the session; created where missing.
    #[arg(short, long, value_name = "DIR", default_value = "output")]
    pub out: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub live: LiveFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub flags: StackFlags,
}

/// How a hot folder is watched.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = LIVE)]
pub struct LiveFlags {
    /// Files that are there when a session begins.
    #[arg(long, value_enum, default_value = "stack")]
    pub existing: ExistingArg,
    /// Look into the folder every so many seconds instead of waiting for file events (chosen by itself on network shares).
    #[arg(long, value_name = "SECONDS")]
    pub poll: Option<f64>,
    /// A file is complete when it was closed after writing, or its size stood still for so long.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub settle: u64,
    /// Write the outputs after every N frames, or at most every so many seconds (`2s`) [default: after each frame, at most
    /// once a second].
    #[arg(long, value_name = "N|SECONDS")]
    pub publish_every: Option<String>,
    /// Which file counts where a camera writes RAW and JPEG of one frame.
    #[arg(long, value_enum, default_value = "jpeg")]
    pub prefer: PreferArg,
    /// When frames come faster than they are stacked: all wait their turn, or only the newest is taken.
    #[arg(long, value_enum, default_value = "queue")]
    pub keep_up: KeepUpArg,
    /// Save the stack this often; less often where saving would take more than 2 % of the time.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    pub checkpoint: f64,
    /// Begin anew: do not resume the session in the output folder.
    #[arg(long)]
    pub fresh: bool,
    /// The session must exist.
    #[arg(long, hide = true)]
    pub reload: bool,
    /// End when so many frames were stacked or rejected, those before a resume included.
    #[arg(long, value_name = "N")]
    pub max_frames: Option<usize>,
}

/// Flags of `add`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct AddArgs {
    /// Frames.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The output folder of the session; a new session begins where there is none.
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub session: PathBuf,
    /// Instead of FILE: the newest frame of this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub newest: Option<PathBuf>,
    /// The session must exist.
    #[arg(long)]
    pub reload: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help of the group")]
    pub flags: StackFlags,
}

/// Flags of `status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct StatusArgs {
    /// The output folder of the session.
    #[arg(value_name = "DIR", default_value = "output")]
    pub dir: PathBuf,
    /// As one JSON line.
    #[arg(long)]
    pub json: bool,
}

/// `--existing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExistingArg {
    /// They are stacked first.
    Stack,
    /// They are left alone.
    Skip,
}

/// `--prefer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PreferArg {
    /// The JPEG file.
    Jpeg,
    /// The RAW file.
    Raw,
}

/// `--keep-up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeepUpArg {
    /// All wait their turn.
    Queue,
    /// The newest is taken, the others are rejected.
    Skip,
}
