//! What a stack is made of, for the headers of FITS files.

use crate::io::{Card, Value};
use crate::master::Mosaic;
use crate::rules::Method;
use crate::tags::{Kind, Orientation, Tags};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Steps of a second that the exposure of all frames is given in.
const PER_SECOND: f64 = 1e6;

/// What is known of the frames of a stack.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Frames.
    pub frames: usize,
    /// Their exposures, seconds, added up, of those that state it.
    pub exposure_s: f64,
    /// Capture time of the first and the last, by time.
    pub times: Option<(String, String)>,
    /// The reference: file and tags.
    #[serde(with = "crate::path_bytes::paired")]
    pub reference: Option<(PathBuf, Tags)>,
    /// Masters: what of, where from, of how many frames.
    #[serde(with = "masters")]
    pub masters: Vec<(Kind, PathBuf, usize)>,
    /// How colours were made.
    pub mosaic: Option<Mosaic>,
    /// Whether the values are in linear sRGB.
    pub srgb: bool,
}

impl Summary {
    /// Counts a frame; the first is the reference.
    pub fn add(&mut self, path: &Path, tags: &Tags) {
        self.frames += 1;
        self.exposure_s += tags.exposure_s.unwrap_or(0.0);
        if let Some(taken) = &tags.taken {
            let (first, last) = self.times.get_or_insert_with(|| (taken.clone(), taken.clone()));
            if taken < first {
                first.clone_from(taken);
            }
            if taken > last {
                last.clone_from(taken);
            }
        }
        if self.reference.is_none() {
            self.reference = Some((path.to_owned(), tags.clone()));
        }
    }

    /// A new stack begins.
    pub fn restart(&mut self) {
        let (masters, mosaic) = (std::mem::take(&mut self.masters), self.mosaic.take());
        *self = Summary { masters, mosaic, srgb: self.srgb, ..Summary::default() };
    }

    /// The cards of a FITS file with `method`'s stack.
    #[must_use]
    pub fn cards(&self, method: Method) -> Vec<Card> {
        let mut cards = Cards(Vec::new());
        let tags = self.reference.as_ref().map(|(_, tags)| tags.clone()).unwrap_or_default();
        cards.text("PROGRAM", Some(software()), "software that made this file");
        cards.text("IMAGETYP", Some("Light".into()), "a stack of lights");
        cards.text("COMBMETH", Some(method.name().into()), "accumulation rule");
        cards.number("STACKCNT", Some(self.frames as f64), "frames in the stack");
        cards.number("NCOMBINE", Some(self.frames as f64), "frames in the stack");
        cards.number("EXPTIME", tags.exposure_s, "[s] exposure of the reference frame");
        // Sums of decimal fractions are off in the last digits.
        let live = (self.exposure_s * PER_SECOND).round() / PER_SECOND;
        cards.number("LIVETIME", Some(live).filter(|s| *s > 0.0), "[s] of all frames that state it");
        let (first, last) = self.times.clone().unzip();
        cards.text("DATE-OBS", first, "first frame");
        cards.text("DATE-END", last, "last frame, as it began");
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
        cards.text("REFFRAME", self.reference.as_ref().and_then(|(path, _)| name(path)), "reference frame");
        cards.text("OBJECT", tags.object, "");
        cards.number("RA", tags.pointing.map(|p| p.ra_deg), "[deg] of the reference frame");
        cards.number("DEC", tags.pointing.map(|p| p.dec_deg), "[deg] of the reference frame");
        cards.text("INSTRUME", tags.camera, "camera");
        cards.number("ISOSPEED", tags.iso, "");
        cards.number("GAIN", tags.gain, "");
        cards.number("CCD-TEMP", tags.temperature_c, "[C] of the reference frame");
        let upside_down = tags.orientation == Orientation::UPSIDE_DOWN;
        let order = if upside_down { "BOTTOM-UP" } else { "TOP-DOWN" };
        cards.text("ROWORDER", Some(order.into()), "order of the rows");
        for (kind, path, frames) in &self.masters {
            let key = match kind {
                Kind::Dark | Kind::Light => "DARK",
                Kind::Flat => "FLAT",
                Kind::FlatDark => "FLATDARK",
                Kind::Bias => "BIAS",
            };
            cards.text(key, Some(path.display().to_string()), "master, or its folder");
            cards.history(&format!("master {} of {frames} frames", kind.name()));
        }
        if let Some(mosaic) = &self.mosaic {
            cards.history(&format!(
                "colours of a {} mosaic by {}",
                mosaic.pattern.name(),
                mosaic.method.name()
            ));
        }
        if self.srgb {
            cards.history("colours balanced, then linear sRGB by the camera's matrix");
        }
        cards.history("white is 1");
        cards.0
    }
}

/// Masters in stored values.
mod masters {
    use super::{Kind, PathBuf};
    use crate::path_bytes::Stored;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(all: &[(Kind, PathBuf, usize)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(|(kind, path, frames)| (kind, Stored(path.clone()), frames)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(Kind, PathBuf, usize)>, D::Error> {
        let all = Vec::<(Kind, Stored, usize)>::deserialize(from)?;
        Ok(all.into_iter().map(|(kind, stored, frames)| (kind, stored.0, frames)).collect())
    }
}

/// Name and version of this program.
#[must_use]
pub fn software() -> String {
    format!("livestack {}", env!("CARGO_PKG_VERSION"))
}

struct Cards(Vec<Card>);

impl Cards {
    fn text(&mut self, key: &str, text: Option<String>, comment: &str) {
        self.0.extend(text.map(|t| Card { comment: comment.to_owned(), ..Card::new(key, Value::Text(t)) }));
    }

    fn number(&mut self, key: &str, number: Option<f64>, comment: &str) {
        let value = |n: f64| {
            if n.fract() == 0.0 && n.abs() < 1e15 { Value::Integer(n as i64) } else { Value::Real(n) }
        };
        let number = number.filter(|n| n.is_finite());
        self.0.extend(number.map(|n| Card { comment: comment.to_owned(), ..Card::new(key, value(n)) }));
    }

    fn history(&mut self, text: &str) {
        self.0.push(Card::new("HISTORY", Value::Text(text.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_being_stored_whatever_its_files_are_called() {
        #[cfg(unix)]
        let odd: PathBuf =
            <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a \xff.fits").into();
        #[cfg(not(unix))]
        let odd = PathBuf::from("a.fits");
        let mut summary = Summary { masters: vec![(Kind::Dark, odd.clone(), 9)], ..Summary::default() };
        let tags =
            Tags { taken: Some("2026-03-01T22:00:00".into()), exposure_s: Some(0.1), ..Tags::default() };
        (0..3).for_each(|_| summary.add(&odd, &tags));
        let bytes = postcard::to_stdvec(&summary).expect("stored");
        let back: Summary = postcard::from_bytes(&bytes).expect("read");
        assert_eq!(back.exposure_s.to_bits(), summary.exposure_s.to_bits());
        assert_eq!(format!("{back:?}"), format!("{summary:?}"));
    }

    #[test]
    fn exposures_add_up_to_what_people_write() {
        let mut summary = Summary::default();
        for _ in 0..3 {
            summary.add(Path::new("a.fits"), &Tags { exposure_s: Some(120.4), ..Tags::default() });
        }
        let cards = summary.cards(Method::Mean);
        let live = cards.iter().find(|card| card.key == "LIVETIME").map(|card| &card.value);
        assert_eq!(live, Some(&Value::Real(361.2)));
    }
}
