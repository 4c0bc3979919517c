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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::stars::Flux;
    use crate::backend::cpu::Cpu;
    use crate::checkpoint::{NAMES, store};
    use crate::frame::{SampleType, Shape};

    /// The level of the sky counts only where no stars are shared, which no night of the tests comes to.
    #[test]
    fn every_number_survives() {
        let shape = Shape { width: 40, height: 30, channels: 3, sample: SampleType::U8, mosaic: None };
        let new = || Photometer::new(&mut Cpu::default(), shape).expect("memory");
        let channel = |k: usize| Channel {
            fluxes: vec![Flux { flux: 0.1 * k as f64, saturated: k == 1 }; 2],
            skies: vec![100.3 + k as f64, 0.7],
            sky: 101.1 * k as f64,
        };
        let mut own = new();
        (own.places, own.fwhm) = (vec![(1.1, 2.2), (3.3, 4.4)], 3.21);
        own.reference = (0..3).map(channel).collect();
        let place = tempfile::tempdir().expect("folder");
        store(place.path(), |to| own.save(to)).expect("stored");
        let open = || Reader::open(&place.path().join(NAMES[0])).expect("whole");
        let mut again = new();
        again.load(&mut open(), true).expect("loaded");
        let all = |p: &Photometer<Cpu>| {
            let channel = |c: &Channel| (format!("{:?}", c.fluxes), c.skies.clone(), c.sky);
            (p.places.clone(), p.fwhm, p.reference.iter().map(channel).collect::<Vec<_>>())
        };
        assert_eq!(all(&again), all(&own));
        // Lists that do not go together are refused.
        own.reference[1].skies.pop();
        store(place.path(), |to| own.save(to)).expect("stored");
        assert!(new().load(&mut open(), true).is_err());
        own.forget();
        store(place.path(), |to| own.save(to)).expect("stored");
        assert!(new().load(&mut open(), true).is_err(), "a stack without its reference");
        new().load(&mut open(), false).expect("no stack yet");
    }
}
