//! What the judge remembers, in a checkpoint.

use super::{Alike, Judge, RECENT, Rules, Taken};
use crate::align::Glimpse;
use crate::align::grade::{Grade, Grades};
use crate::checkpoint::{Reader, Writer};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The section's name.
const SECTION: &str = "judge";

/// What is read of a [`Judge`]; rules, size and white come from outside.
#[derive(Deserialize)]
struct Saved {
    grades: Grades,
    stack: Taken,
    reference: Option<Grade>,
    gains: Vec<f64>,
    strangers: Alike<Glimpse>,
    #[serde(with = "crate::path_bytes::list")]
    better: Vec<PathBuf>,
    faulty: Alike<Glimpse>,
    changed: Alike<Option<f64>>,
    stacked: usize,
    replaced: usize,
    warned: bool,
}

/// The same as it is written.
#[derive(Serialize)]
struct Saving<'a> {
    grades: &'a Grades,
    stack: &'a Taken,
    reference: &'a Option<Grade>,
    gains: &'a [f64],
    strangers: &'a Alike<Glimpse>,
    #[serde(with = "crate::path_bytes::list")]
    better: &'a [PathBuf],
    faulty: &'a Alike<Glimpse>,
    changed: &'a Alike<Option<f64>>,
    stacked: usize,
    replaced: usize,
    warned: bool,
}

impl Judge {
    /// Stores what verdicts on later frames depend on.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn save(&self, to: &mut Writer<'_>) -> Result<()> {
        let Judge {
            // From outside.
            rules: _,
            size: _,
            white: _,
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        } = self;
        let saving = Saving {
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked: *stacked,
            replaced: *replaced,
            warned: *warned,
        };
        to.value(SECTION, &saving)
    }

    /// The judge whose memory was stored, with the same rules, size and white.
    ///
    /// # Errors
    /// Where the section is damaged.
    pub fn restored(rules: Rules, size: (usize, usize), white: f64, from: &mut Reader) -> Result<Judge> {
        let saved: Saved = from.value(SECTION)?;
        let Saved {
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        } = saved;
        if gains.len() > RECENT {
            return Err(from.unlike("the checkpoint remembers more of the last frames than the judge does"));
        }
        Ok(Judge {
            rules,
            size,
            white,
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        })
    }
}
