//! What photometry remembers of the reference, in stored values.

use super::{Channel, Photometer, STARS};
use crate::backend::Backend;
use crate::checkpoint::{Reader, Writer};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// The section's name.
const SECTION: &str = "photometry";

/// What is stored of a [`Photometer`].
#[derive(Serialize, Deserialize)]
struct Saved {
    places: Vec<(f64, f64)>,
    fwhm: f64,
    reference: Vec<Channel>,
}

impl<B: Backend> Photometer<B> {
    /// Stores what the tones of later frames depend on.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn save(&self, to: &mut Writer<'_>) -> Result<()> {
        // The buffers are of one frame only.
        let Photometer { shape: _, gray: _, table: _, binned: _, gauge: _, places, fwhm, reference } = self;
        let channel = |Channel { fluxes, skies, sky }: &Channel| Channel {
            fluxes: fluxes.clone(),
            skies: skies.clone(),
            sky: *sky,
        };
        let reference = reference.iter().map(channel).collect();
        to.value(SECTION, &Saved { places: places.clone(), fwhm: *fwhm, reference })
    }

    /// Takes up what was stored of frames of the same shape; `referred`: there must be a reference.
    ///
    /// # Errors
    /// Where the section is damaged or its lists do not go together.
    pub fn load(&mut self, from: &mut Reader, referred: bool) -> Result<()> {
        let Saved { places, fwhm, reference } = from.value(SECTION)?;
        let whole = |c: &Channel| c.fluxes.len() == places.len() && c.skies.len() == places.len();
        let channels = reference.len() == self.shape.channels || reference.is_empty() && !referred;
        if !channels || places.len() > STARS || !reference.iter().all(whole) {
            return Err(from.unlike("the checkpoint's photometry is not of frames of this shape"));
        }
        (self.places, self.fwhm, self.reference) = (places, fwhm, reference);
        Ok(())
    }

    /// Forgets the reference.
    pub(crate) fn forget(&mut self) {
        self.places.clear();
        self.fwhm = 0.0;
        self.reference.clear();
    }
}
