//! What alignment remembers, in stored values.

use super::level::{Level, SavedLevel};
use super::motion::{Mat3, inverse};
use super::predict::History;
use super::stars::StarList;
use super::{Aligner, RECENT, Template, hot, phase, select};
use crate::backend::Backend;
use crate::checkpoint::{Reader, Writer};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// The section's name.
const SECTION: &str = "align";

/// What is stored of an [`Aligner`]; size, motion and mode are its setup's.
#[derive(Serialize, Deserialize)]
struct Saved {
    template: Option<SavedTemplate>,
    history: History,
    correlations: Vec<f64>,
    hot: Vec<(f64, f64)>,
}

/// What is stored of a [`Template`].
#[derive(Serialize, Deserialize)]
struct SavedTemplate {
    coarse: SavedLevel,
    fine: SavedLevel,
    from_reference: Mat3,
    small: phase::Small,
    list: StarList,
    stars: bool,
    spots: usize,
    wide: bool,
    gain: f64,
}

impl<B: Backend> Template<B> {
    fn saved(&self) -> SavedTemplate {
        let Template { coarse, fine, from_reference, small, list, stars, spots, wide, gain } = self;
        SavedTemplate {
            coarse: coarse.saved(),
            fine: fine.saved(),
            from_reference: *from_reference,
            small: small.clone(),
            list: list.clone(),
            stars: *stars,
            spots: *spots,
            wide: *wide,
            gain: *gain,
        }
    }
}

impl<B: Backend> Aligner<B> {
    /// Stores all that the poses of later frames depend on. The frame at hand is not among it.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn save(&self, to: &mut Writer<'_>) -> Result<()> {
        let Aligner {
            // The setup's.
            width: _,
            height: _,
            motion: _,
            align_to: _,
            // Of one frame only.
            scratch: _,
            gauge: _,
            gray: _,
            table: _,
            binned: _,
            template,
            history,
            correlations,
            hot,
        } = self;
        let saved = Saved {
            template: template.as_ref().map(Template::saved),
            history: history.clone(),
            correlations: correlations.clone(),
            hot: hot.clone(),
        };
        to.value(SECTION, &saved)
    }

    /// Takes up what was stored by an aligner with the same setup, on this backend or another.
    ///
    /// # Errors
    /// Where the section is damaged or not of frames of this size; where the device fails.
    pub fn load(&mut self, backend: &mut B, from: &mut Reader) -> Result<()> {
        let Saved { template, history, correlations, hot } = from.value(SECTION)?;
        let most = hot::MOST;
        if !history.usual() || correlations.len() > RECENT + 1 || hot.len() > most {
            return Err(from.unlike("the checkpoint remembers more of the last frames than alignment does"));
        }
        self.template = match template {
            Some(saved) => {
                let restored = self.template(backend, saved)?;
                Some(restored.map_err(|why| from.unlike(format!("the checkpoint's alignment: {why}")))?)
            }
            None => None,
        };
        (self.history, self.correlations, self.hot) = (history, correlations, hot);
        Ok(())
    }

    /// Forgets all frames.
    pub(crate) fn forget(&mut self) {
        self.template = None;
        self.history = History::default();
        self.correlations.clear();
        self.hot.clear();
    }

    /// The template that `saved` was of; or why it is none.
    fn template(
        &self,
        backend: &mut B,
        saved: SavedTemplate,
    ) -> Result<std::result::Result<Template<B>, &'static str>> {
        let SavedTemplate { coarse, fine, from_reference, small, list, stars, spots, wide, gain } = saved;
        if small.size() != self.small_size() {
            return Ok(Err("the template is of frames of another size"));
        }
        if inverse(&from_reference).is_err() || list.stars.len() > select::CAPACITY {
            return Ok(Err("the template cannot be used"));
        }
        let coarse = match Level::restored(backend, self.coarse_plane(), coarse)? {
            Ok(level) => level,
            Err(why) => return Ok(Err(why)),
        };
        let fine = match Level::restored(backend, self.fine_plane(), fine)? {
            Ok(level) => level,
            Err(why) => return Ok(Err(why)),
        };
        Ok(Ok(Template { coarse, fine, from_reference, small, list, stars, spots, wide, gain }))
    }
}

/// Where a pose's start came from, in stored values: one of few names.
pub(super) mod start {
    use crate::align::rungs::Rung;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Starts that are no rung's: of poses that nobody looked for.
    const OTHERS: [&str; 4] = ["reference", "given", "none", ""];

    pub(crate) fn serialize<S: Serializer>(start: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(start)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
        let name = String::deserialize(from)?;
        let known = Rung::ALL.map(Rung::name).into_iter().chain(OTHERS).find(|known| *known == name);
        known.ok_or_else(|| D::Error::custom("unknown start of a pose"))
    }
}

#[cfg(test)]
mod tests {
    use crate::align::Pose;
    use crate::align::motion::IDENTITY;
    use crate::align::rungs::Rung;

    #[test]
    fn poses_are_stored_with_their_start() {
        for start in Rung::ALL.map(Rung::name).into_iter().chain(["reference", "given", "none"]) {
            let bytes = postcard::to_stdvec(&Pose::given(IDENTITY, start)).expect("stored");
            let back: Pose = postcard::from_bytes(&bytes).expect("read");
            assert_eq!((back.start, back.homography), (start, IDENTITY));
        }
        let bytes = postcard::to_stdvec(&Pose::given(IDENTITY, "nowhere")).expect("stored");
        assert!(postcard::from_bytes::<Pose>(&bytes).is_err());
    }
}
