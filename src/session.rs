//! Live stacking: a hot folder, or frames handed over, become a stack that survives the night.
//!
//! A session lives in `OUT/session/`. Its journal says what was decided, its checkpoints hold the stack as it was after
//! an entry of the journal; files after that are read again when it is taken up. One thread decides; others watch the
//! folder, decode ahead, and write pictures, and tell it through one channel.

use crate::backend::Backend;
use crate::config::live::{Live, settings};
use crate::error::{Error, Result};
use crate::signals::Signals;
use crate::watch::News;
use live::Session;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod arrivals;
mod book;
mod decide;
mod end;
mod inbox;
mod journal;
mod live;
mod lock;
mod plan;
mod publish;
mod pump;
mod readers;
mod resume;
mod saved;
mod settings;
mod status;
mod tell;

pub use plan::{Plan, Start};
pub use status::print as status;

/// Name of the session's folder in the folder of outputs.
const FOLDER: &str = "session";

/// The session's folder for the output folder `out`.
#[must_use]
pub fn folder(out: &Path) -> PathBuf {
    out.join(FOLDER)
}

/// Refuses to write into the output folder `out` of a session that another program holds.
///
/// # Errors
/// [`Error::InUse`].
pub fn refuse_if_held(out: &Path) -> Result<()> {
    let folder = folder(out);
    match lock::Lock::held(&folder) {
        Some(holder) => Err(plan::in_use(&holder, &folder)),
        None => Ok(()),
    }
}

/// What the deciding thread is told.
pub(crate) enum Wake {
    /// Of the folder.
    News(News),
    /// A file was read.
    Read(Box<readers::Read>),
    /// Outputs were written, or not.
    Published(publish::Done),
}

/// Milliseconds of a second.
const MS: f64 = 1e3;

/// A time in milliseconds, to a tenth: enough for a reader.
pub(crate) fn ms(time: Duration) -> f64 {
    const STEPS: f64 = 10.0;
    (time.as_secs_f64() * MS * STEPS).round() / STEPS
}

/// Seconds since 1970 by the wall clock, for people and other programs: nothing is decided by it.
pub(crate) fn clock() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    (since * MS).round() / MS
}

/// The same in whole milliseconds: a number that rises, for what needs another one each time.
pub(crate) fn stamp() -> u64 {
    (clock() * MS) as u64
}

/// Runs a session on `backend`, chosen for the reason `why`, until it has all it waits for or `signals` end it.
///
/// # Errors
/// The first that ends it; what was stacked is on the disk and can be taken up again.
pub fn run<B: Backend>(plan: &Plan, backend: B, why: &str, signals: &Signals) -> Result<()> {
    Session::open(plan, backend, why, signals)?.run()
}
