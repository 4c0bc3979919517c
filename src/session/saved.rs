//! What a checkpoint holds of a session besides the stack itself.

use super::book::Known;
use super::live::Session;
use crate::backend::Backend;
use crate::checkpoint;
use crate::error::Result;
use crate::path_bytes::{self, Stored};
use crate::record::Placed;
use crate::rules::Method;
use crate::stack::First;
use crate::summary::Summary;
use crate::tags::Orientation;
use crate::watch::Print;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Name of the section.
pub(super) const SECTION: &str = "session";

/// A session after an entry of its journal.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    /// The session.
    pub(super) id: String,
    /// Number of the entry.
    pub(super) seq: u64,
    /// Number of the stack.
    pub(super) number: usize,
    pub(super) stacked: usize,
    pub(super) rejected: usize,
    /// Pictures of finished stacks.
    #[serde(with = "path_bytes::list")]
    pub(super) kept: Vec<PathBuf>,
    pub(super) base: Option<Placed>,
    /// File, size, time, CRC-32, whether it is stacked, number of the entry.
    pub(super) known: Vec<(Stored, Print, Option<u32>, bool, u64)>,
    pub(super) begun: Begun,
}

/// The night that has begun.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) first: First,
    pub(super) methods: Vec<Method>,
    #[serde(with = "path_bytes")]
    pub(super) reference: PathBuf,
    pub(super) orientation: Orientation,
    pub(super) summary: Summary,
    #[serde(with = "path_bytes::list")]
    pub(super) young: Vec<PathBuf>,
}

/// Writes a checkpoint of a session whose night has begun.
///
/// # Errors
/// [`crate::error::Error::Io`] where the disk does not take it; where the device fails.
pub(super) fn store<B: Backend>(session: &mut Session<'_, B>) -> Result<()> {
    let Session { run, folder, id, .. } = session;
    let known =
        run.ledger.known.iter().map(|(path, k)| (Stored(path.clone()), k.print, k.crc, k.stacked, k.seq));
    let known: Vec<_> = known.collect();
    let Some(night) = run.night.as_mut() else { return Ok(()) };
    let saved = Saved {
        id: id.clone(),
        seq: run.ledger.applied,
        number: run.number,
        stacked: run.report.stacked,
        rejected: run.report.rejected,
        kept: run.kept.clone(),
        base: run.base,
        known,
        begun: Begun {
            first: night.first.clone(),
            methods: night.subject.methods.clone(),
            reference: night.reference.clone(),
            orientation: night.subject.orientation,
            summary: night.subject.summary.clone(),
            young: night.young.clone(),
        },
    };
    checkpoint::store(folder, |to| {
        to.value(SECTION, &saved)?;
        night.judge.save(to)?;
        night.engine.save(to)
    })?;
    Ok(())
}

impl Saved {
    /// What is known of files.
    pub(super) fn known(&self) -> impl Iterator<Item = (PathBuf, Known)> + '_ {
        self.known.iter().map(|(path, print, crc, stacked, seq)| {
            (path.0.clone(), Known { print: *print, crc: *crc, stacked: *stacked, seq: *seq })
        })
    }
}
