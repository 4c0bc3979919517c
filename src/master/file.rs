//! Masters as files: 32-bit float FITS, with what is needed to use them as if they had just been built.

use super::{About, Master, MasterRule};
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::io::{self, Card, Value};
use crate::summary::software;
use crate::tags::Kind;
use std::path::Path;

/// Type of the samples it was made from; no other program writes it.
const SAMPLE: &str = "LSSAMPLE";
/// Whether they are proportional to light.
const LINEAR: &str = "LSLINEAR";
/// The rule.
const RULE: &str = "LSRULE";
/// The key of a kept master.
const KEY: &str = "LSKEY";
/// Whether the frames agree on what they say.
const ALIKE: &str = "LSALIKE";
/// Black that was taken off, by pixel of a 2x2 cell.
const BLACK: [&str; 4] = ["LSBLACK0", "LSBLACK1", "LSBLACK2", "LSBLACK3"];
/// White of the frames.
const WHITE: &str = "LSWHITE";
/// Sample types by name.
const TYPES: [(&str, SampleType); 3] =
    [("u8", SampleType::U8), ("u16", SampleType::U16), ("f32", SampleType::F32)];

/// Writes `master`, of frames of `kind`, to `path`, with a `key` that [`read`] gives back.
///
/// # Errors
/// [`Error::Io`] where it cannot be written; nothing is left behind.
pub fn write(path: &Path, master: &Master, kind: Kind, key: Option<&str>) -> Result<()> {
    let (shape, about) = (master.shape, &master.about);
    let mut cards = Vec::new();
    let mut add = |key: &str, value: Option<Value>, comment: &str| {
        cards.extend(value.map(|value| Card { comment: comment.to_owned(), ..Card::new(key, value) }));
    };
    let text = |t: &str| Some(Value::Text(t.to_owned()));
    let real = |v: Option<f64>| v.filter(|v| v.is_finite()).map(Value::Real);
    let title = match kind {
        Kind::Light | Kind::Dark => "Master Dark",
        Kind::Flat => "Master Flat",
        Kind::FlatDark => "Master Flat Dark",
        Kind::Bias => "Master Bias",
    };
    add("PROGRAM", text(&software()), "software that made this file");
    add("IMAGETYP", text(title), "");
    add("STACKCNT", Some(Value::Integer(master.frames as i64)), "frames it was made from");
    add("EXPTIME", real(about.exposure_s), "[s] exposure of each");
    add("ISOSPEED", real(about.iso), "");
    add("GAIN", real(about.gain), "");
    add("CCD-TEMP", real(about.temperature_c), "[C]");
    add("INSTRUME", about.camera.as_deref().and_then(text), "camera");
    add("BAYERPAT", shape.mosaic.and_then(|b| text(b.name())), "colours of the mosaic");
    add("ROWORDER", text("TOP-DOWN"), "");
    add(RULE, about.rule.and_then(|r| text(r.name())), "how it was made");
    let name = TYPES.iter().find(|(_, t)| *t == shape.sample).map(|(name, _)| *name);
    add(SAMPLE, name.and_then(text), "samples of the frames");
    add(LINEAR, Some(Value::Logical(about.linear)), "proportional to light");
    add(ALIKE, Some(Value::Logical(about.alike)), "all frames say the same of themselves");
    add(WHITE, real(about.white.map(f64::from)), "white, less black, of the frames");
    for (key, black) in BLACK.iter().zip(about.black) {
        add(key, real(Some(f64::from(black))), "black that was taken off");
    }
    add(KEY, key.and_then(text), "names, sizes and times of the frames");
    io::write_fits(path, shape.width, shape.height, shape.channels, &master.levels, &cards)
}

/// A master that [`write`] wrote, and its key; `None` for a FITS file of anybody else.
///
/// # Errors
/// [`Error::Decode`] where it is damaged; [`Error::Io`] where it cannot be read.
pub fn read(path: &Path) -> Result<Option<(Master, Option<String>)>> {
    let cards = io::read_cards(path)?;
    let value = |key: &str| cards.iter().find(|c| c.key == key).map(|c| &c.value);
    let text = |key: &str| match value(key) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let sample = text(SAMPLE).and_then(|name| TYPES.iter().find(|(n, _)| *n == name));
    let Some((_, sample)) = sample else { return Ok(None) };
    if !io::data_intact(path)? {
        return Err(Error::decode("damaged: its samples are not those that were written: build it again", path));
    }
    let frame = io::read(path, Vec::new())?;
    let number = |key: &str| match value(key) {
        Some(Value::Real(v)) => Some(*v as f32),
        Some(Value::Integer(v)) => Some(*v as f32),
        _ => None,
    };
    let is = |key: &str| value(key) == Some(&Value::Logical(true));
    let tags = frame.tags;
    let about = About {
        rule: text(RULE).and_then(MasterRule::named),
        exposure_s: tags.exposure_s,
        iso: tags.iso,
        gain: tags.gain,
        temperature_c: tags.temperature_c,
        camera: tags.camera,
        black: BLACK.map(|key| number(key).unwrap_or(0.0)),
        white: number(WHITE),
        linear: is(LINEAR),
        alike: is(ALIKE),
    };
    let shape = crate::frame::Shape { sample: *sample, ..frame.shape };
    let levels = frame.words.into_iter().map(f32::from_bits).collect();
    let master = Master { shape, levels, frames: tags.master_of.unwrap_or(1), about };
    Ok(Some((master, text(KEY).map(str::to_owned))))
}
