//! Validated settings of a live session.

use super::Config;
use crate::calibration;
use crate::cli::live::{ExistingArg, KeepUpArg, LiveFlags, PreferArg, WatchArgs};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time between two looks, two checkpoints or two publications, s: a day.
const MOST_SECONDS: f64 = 86_400.0;
/// Shortest time between two looks into a folder, s.
const LEAST_POLL: f64 = 0.05;
/// Shortest time between two checkpoints, s.
const LEAST_CHECKPOINT: f64 = 0.1;
/// Time between two publications where nobody says, at least.
const PUBLISH: Duration = Duration::from_secs(1);
/// Longest time that a file must stand still, ms: a minute.
const MOST_SETTLE_MS: u64 = 60_000;

/// When the outputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many frames.
    Frames(usize),
    /// After a frame, at most this often.
    Time(Duration),
}

/// Settings of `watch`.
#[derive(Clone, Debug)]
pub struct Live {
    /// The folder; `None` where files are only added.
    pub folder: Option<PathBuf>,
    /// Stack files that are there when the session begins.
    pub existing: bool,
    /// Look this often instead of waiting for events.
    pub poll: Option<Duration>,
    /// How long a file stands still before it counts as complete.
    pub settle: Duration,
    /// When the outputs are written.
    pub publish: Every,
    /// Which of two files of a frame counts at first: the RAW one.
    pub raw: bool,
    /// Take only the newest where frames come too fast.
    pub skip: bool,
    /// Time between checkpoints.
    pub checkpoint: Duration,
    /// Do not resume.
    pub fresh: bool,
    /// End after so many frames.
    pub max_frames: Option<usize>,
}

impl Live {
    /// Checks the flags.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the flag and what it takes.
    pub fn new(folder: Option<PathBuf>, args: &LiveFlags) -> Result<Live> {
        if args.settle > MOST_SETTLE_MS {
            return Err(Error::Usage(format!(
                "--settle takes milliseconds up to {MOST_SETTLE_MS}: got {}",
                args.settle
            )));
        }
        if args.max_frames == Some(0) {
            return Err(Error::Usage("--max-frames takes 1 or more: got 0".into()));
        }
        Ok(Live {
            folder,
            existing: args.existing == ExistingArg::Stack,
            poll: args.poll.map(|s| seconds("--poll", s, LEAST_POLL)).transpose()?,
            settle: Duration::from_millis(args.settle),
            publish: args.publish_every.as_deref().map_or(Ok(Every::Time(PUBLISH)), every)?,
            raw: args.prefer == PreferArg::Raw,
            skip: args.keep_up == KeepUpArg::Skip,
            checkpoint: seconds("--checkpoint", args.checkpoint, LEAST_CHECKPOINT)?,
            fresh: args.fresh,
            max_frames: args.max_frames,
        })
    }
}

fn seconds(flag: &str, value: f64, least: f64) -> Result<Duration> {
    if value.is_finite() && (least..=MOST_SECONDS).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(Error::Usage(format!("{flag} takes seconds from {least} to {MOST_SECONDS}: got {value}")))
}

/// `5` frames, or `2s`.
fn every(text: &str) -> Result<Every> {
    let wrong = || {
        Error::Usage(format!(
            "--publish-every takes a number of frames (5) or of seconds with an s (2s, 0.5s): got {text:?}"
        ))
    };
    if let Some(number) = text.strip_suffix('s') {
        let value: f64 = number.trim().parse().map_err(|_| wrong())?;
        return seconds("--publish-every", value, 0.0).map(Every::Time);
    }
    match text.parse() {
        Ok(frames) if frames > 0 => Ok(Every::Frames(frames)),
        _ => Err(wrong()),
    }
}

/// The settings of a session that `args` describe, given in the folder `cwd`: every path becomes a whole one, so that
/// the session can be taken up from anywhere. `darks`: the usual folder of darks counts where it is there.
///
/// # Errors
/// As [`Config::new`] and [`Live::new`].
pub fn settings(args: WatchArgs, cwd: &Path, darks: bool) -> Result<(Config, Live)> {
    let whole = |path: PathBuf| cwd.join(path);
    let WatchArgs { input, out, live, mut flags } = args;
    let c = &mut flags.calibration;
    for path in [&mut c.dark, &mut c.flat, &mut c.flat_dark, &mut c.bias, &mut c.cache, &mut flags.poses] {
        *path = path.take().map(whole);
    }
    if darks && flags.calibration.dark.is_none() {
        let usual = whole(calibration::DARK.into());
        // An empty one is no reason to refuse a night.
        flags.calibration.dark =
            Some(usual).filter(|dark| crate::io::list_images(dark).is_ok_and(|l| !l.images.is_empty()));
    }
    let input = only_path(&whole(input));
    let mut config = Config::new(vec![input.clone()], whole(out), flags)?;
    config.live = true;
    config.calibration.no_default = true;
    config.calibration.pictures = Some(crate::session::folder(&config.out).join("masters"));
    Ok((config, Live::new(Some(input), &live)?))
}

/// The one way to write `path`, so that a file that comes by two ways is one file: the folder that it is in without
/// links, its own name as it is. Where that folder does not exist, `path` itself.
pub(crate) fn only_path(path: &Path) -> PathBuf {
    match (path.file_name(), path.parent()) {
        // The link itself may be the user's name for the folder of the night: what it stands for counts.
        _ if path.is_dir() => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        (Some(name), Some(folder)) => {
            folder.canonicalize().map_or_else(|_| path.to_owned(), |folder| folder.join(name))
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_every_takes_frames_or_seconds() {
        assert_eq!(every("5").ok(), Some(Every::Frames(5)));
        assert_eq!(every("2s").ok(), Some(Every::Time(Duration::from_secs(2))));
        assert_eq!(every("0.5s").ok(), Some(Every::Time(Duration::from_millis(500))));
        for wrong in ["0", "-1", "x", "s", "nans", "1e9s", ""] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}
