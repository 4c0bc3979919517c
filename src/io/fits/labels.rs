//! What headers say besides the numbers: the mosaic, and how the frame was taken.
//!
//! The keywords are those of N.I.N.A., INDI, MaxIm DL, SharpCap, Siril and smart telescopes; few are in the standard.

use super::hdu::Image;
use super::header::{Header, Value};
use crate::frame::Shape;
use crate::io::exif;
use crate::sensor::Bayer;
use crate::tags::{Kind, Orientation, Pointing, Tags};

/// Least letters of a pattern.
const CELL: usize = 4;
/// Degrees of an hour of right ascension.
const DEG_PER_HOUR: f64 = 15.0;
/// Minutes of an hour, seconds of a minute.
const SIXTY: f64 = 60.0;
/// Years of two digits are of this century: FITS standard 4.0, section 9.1.2.
const CENTURY: &str = "19";

/// The headers that speak for an image: its own, then the primary one.
struct Labels<'a>(Vec<&'a Header>);

impl<'a> Labels<'a> {
    fn of(image: &'a Image) -> Labels<'a> {
        Labels([Some(&image.header), image.primary.as_ref()].into_iter().flatten().collect())
    }

    /// What `get` makes of the first of `keys` that it makes something of.
    fn find<T>(&self, keys: &[&str], get: impl Fn(&'a Header, &str) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|header| keys.iter().find_map(|key| get(header, key)))
    }

    fn text(&self, keys: &[&str]) -> Option<&'a str> {
        self.find(keys, |header, key| header.text(key))
    }

    fn number(&self, keys: &[&str]) -> Option<f64> {
        self.find(keys, |header, key| header.number(key))
    }

    fn upside_down(&self) -> bool {
        self.text(&["ROWORDER"]).is_some_and(|order| order.eq_ignore_ascii_case("BOTTOM-UP"))
    }
}

/// The colours of the mosaic, from the first stored row on. The header's pattern begins at the top left pixel of the
/// picture the right way up, or, with offsets, at that pixel of it.
///
/// # Errors
/// The name of a mosaic of other colours.
pub(super) fn mosaic(image: &Image, shape: &Shape) -> Result<Option<Bayer>, String> {
    let labels = Labels::of(image);
    let Some(name) = labels.text(&["BAYERPAT", "COLORTYP"]).filter(|_| shape.channels == 1) else {
        return Ok(None);
    };
    let name = name.trim_matches(['\'', '"', ' ']);
    let Some(pattern) = Bayer::named(name) else {
        // Colours of filters, and no word like MONO, NONE, OSC, TRUE: `--bayer` can say what those are.
        let letters =
            name.len() >= CELL && name.bytes().all(|c| b"RGBCMYWE".contains(&c.to_ascii_uppercase()));
        return if letters { Err(name.to_owned()) } else { Ok(None) };
    };
    let offset = |keys: [&str; 2]| labels.number(&keys).unwrap_or(0.0).rem_euclid(2.0) as usize;
    let pattern = pattern.from(offset(["XBAYROFF", "BAYOFFX"]), offset(["YBAYROFF", "BAYOFFY"]));
    Ok(Some(if labels.upside_down() { pattern.upside_down(shape.height) } else { pattern }))
}

/// How the frame was taken.
pub(super) fn tags(image: &Image) -> Tags {
    let labels = Labels::of(image);
    let text = |keys: &[&str]| labels.text(keys).map(str::to_owned);
    let (kind, master) = kind(&labels);
    let bias = kind == Some(Kind::Bias);
    Tags {
        orientation: if labels.upside_down() { Orientation::UPSIDE_DOWN } else { Orientation::UPRIGHT },
        taken: taken(&labels),
        exposure_s: labels.number(&["EXPTIME", "EXPOSURE"]).filter(|s| *s > 0.0 || bias && *s == 0.0),
        iso: labels.number(&["ISOSPEED", "ISO"]).filter(|iso| *iso > 0.0),
        gain: labels.number(&["GAIN"]),
        temperature_c: labels.number(&["CCD-TEMP"]),
        kind,
        master_of: master_of(&labels, master),
        object: text(&["OBJECT"]),
        camera: text(&["INSTRUME", "CAMERA"]),
        pointing: pointing(&labels),
        ..Tags::default()
    }
}

/// What the frame is of, and whether it is called a master.
fn kind(labels: &Labels) -> (Option<Kind>, bool) {
    let read = |header: &Header, key: &str| {
        let letters = header.text(key)?.chars().filter(char::is_ascii_alphabetic);
        let word = letters.collect::<String>().to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
        let kind = if has(&["FLATDARK", "DARKFLAT"]) {
            Kind::FlatDark
        } else if has(&["FLAT"]) {
            Kind::Flat
        } else if has(&["DARK"]) {
            Kind::Dark
        } else if has(&["BIAS", "ZERO", "OFFSET"]) {
            Kind::Bias
        } else if has(&["LIGHT", "OBJECT", "SCIENCE"]) {
            Kind::Light
        } else {
            return None;
        };
        Some((kind, has(&["MASTER"])))
    };
    let found = labels.find(&["IMAGETYP", "FRAME", "FRAMETYP"], read);
    (found.map(|(kind, _)| kind), found.is_some_and(|(_, master)| master))
}

/// Of how many frames it is made, where it is a stack or called a master.
fn master_of(labels: &Labels, master: bool) -> Option<usize> {
    let count = |keys: &[&str]| labels.number(keys).filter(|n| *n >= 1.0).map(|n| n as usize);
    let stacked = count(&["STACKCNT", "NCOMBINE"]);
    if master {
        return stacked.or_else(|| count(&["FRAMES"])).or(Some(1));
    }
    stacked.filter(|frames| *frames > 1)
}

/// The beginning of the exposure. A date alone says too little to put frames in order.
fn taken(labels: &Labels) -> Option<String> {
    let stamp = labels.text(&["DATE-OBS"])?.trim_end_matches('Z').replace(' ', "T");
    let (date, time) = match stamp.split_once('T') {
        Some((date, time)) => (date, time.to_owned()),
        None => (&stamp[..], labels.text(&["TIME-OBS", "UT"])?.to_owned()),
    };
    let old: Vec<&str> = date.split('/').collect();
    let date = match old[..] {
        [day, month, year] if year.len() == 2 => format!("{CENTURY}{year}-{month}-{day}"),
        [day, month, year] => format!("{year}-{month}-{day}"),
        _ => date.to_owned(),
    };
    let (time, fraction) =
        time.split_once('.').map_or((&time[..], None), |(time, fraction)| (time, Some(fraction)));
    exif::time(&format!("{date} {time}"), fraction)
}

/// Where the telescope pointed: degrees, or text in hours and degrees.
fn pointing(labels: &Labels) -> Option<Pointing> {
    [["RA", "DEC"], ["OBJCTRA", "OBJCTDEC"]].into_iter().find_map(|[ra, dec]| {
        let ra_deg = labels.find(&[ra], |header, key| angle(header.value(key)?, DEG_PER_HOUR))?;
        let dec_deg = labels.find(&[dec], |header, key| angle(header.value(key)?, 1.0))?;
        let possible = (0.0..=360.0).contains(&ra_deg) && (-90.0..=90.0).contains(&dec_deg);
        possible.then_some(Pointing { ra_deg, dec_deg })
    })
}

/// A number is in degrees; a text of three in units of `unit` degrees and their 60th and 3600th parts.
fn angle(value: &Value, unit: f64) -> Option<f64> {
    let text = match value {
        Value::Integer(degrees) => return Some(*degrees as f64),
        Value::Real(degrees) => return Some(*degrees),
        Value::Text(text) => text.trim(),
        Value::Logical(_) => return None,
    };
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => (-1.0, size),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts = size.split([' ', ':']).filter(|part| !part.is_empty());
    let parts: Option<Vec<f64>> = parts
        .map(|part| part.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0))
        .collect();
    match parts?[..] {
        [degrees] => Some(sign * degrees),
        [whole, minutes] => Some(sign * unit * (whole + minutes / SIXTY)),
        [whole, minutes, seconds] => Some(sign * unit * (whole + (minutes + seconds / SIXTY) / SIXTY)),
        _ => None,
    }
}
