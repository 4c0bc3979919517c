//! The masters of a night: built from folders of frames, or read where they are ready; and whether they fit the lights.

use crate::config::{Calibration, Config};
use crate::decode::Wish;
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::inputs::{drop_twins, pass_over, pass_twins};
use crate::io;
use crate::master::{self, About, Master, MasterRule, Masters, cache};
use crate::report::Report;
use crate::stack::First;
use crate::tags::{Kind, apart};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The default folder of darks.
const DARK: &str = "dark";
/// Temperatures that differ by less, degrees Celsius, are the same: dark current doubles in about 6.
const SAME_C: f64 = 3.0;

/// What reading the masters leaves.
#[derive(Default)]
pub struct Built {
    /// The masters there are.
    pub masters: Masters,
    /// Where they come from, for headers.
    pub sources: Vec<(Kind, PathBuf, usize)>,
    /// Buffers to decode the lights into.
    pub buffers: Vec<Vec<u32>>,
}

/// The masters that `config` names, and the dark of the default folder. Frames that cannot be read, or do not belong to
/// the first that can, are left out with a line. None where `stop` was set on the way.
///
/// # Errors
/// [`Error::NoFolder`] where a folder that was asked for does not exist; [`Error::NothingStacked`] where it holds no
/// readable frame.
pub fn masters(config: &Config, report: &Report, stop: &AtomicBool) -> Result<Built> {
    let c = &config.calibration;
    let mut maker = Maker { c, wish: config.wish, report, stop, built: Built::default() };
    let dark = match &c.dark {
        Some(path) => maker.master(Kind::Dark, path)?,
        None if !c.no_default && Path::new(DARK).exists() => maker.default_dark()?,
        None => None,
    };
    let bias = maker.optional(Kind::Bias, c.bias.as_ref())?;
    let flat = maker.optional(Kind::Flat, c.flat.as_ref())?;
    let flat_dark = maker.optional(Kind::FlatDark, c.flat_dark.as_ref())?;
    if let (Some(flat), Some(flat_dark)) = (&flat, &flat_dark) {
        for line in differences("flat dark", &flat_dark.about, "flats", &flat.about) {
            report.warn(&line);
        }
    }
    // A bias is a dark of no exposure: better than none.
    let dark_is_bias = dark.is_none() && bias.is_some();
    let flat_offset = if flat.is_none() { None } else { flat_dark.or_else(|| bias.clone()) };
    let sources = &mut maker.built.sources;
    sources.retain(|(kind, ..)| match kind {
        Kind::Bias => dark_is_bias || c.flat.is_some() && c.flat_dark.is_none(),
        _ => true,
    });
    let dark = if dark_is_bias { bias } else { dark };
    maker.built.masters = Masters { dark, dark_is_bias, flat, flat_offset };
    Ok(maker.built)
}

struct Maker<'a> {
    c: &'a Calibration,
    wish: Wish,
    report: &'a Report,
    stop: &'a AtomicBool,
    built: Built,
}

impl Maker<'_> {
    fn optional(&mut self, kind: Kind, path: Option<&PathBuf>) -> Result<Option<Master>> {
        path.map_or(Ok(None), |path| self.master(kind, path))
    }

    /// The darks that nobody asked for may be missing.
    fn default_dark(&mut self) -> Result<Option<Master>> {
        match self.master(Kind::Dark, Path::new(DARK)) {
            Err(Error::NothingStacked(_)) => {
                self.report.warn(&format!("no darks in it, going on without: {DARK}"));
                Ok(None)
            }
            other => other,
        }
    }

    fn master(&mut self, kind: Kind, path: &Path) -> Result<Option<Master>> {
        let rule = rule(self.c, kind);
        let place = Some(self.c.cache.as_deref().map_or(Keep::Beside, Keep::In));
        let build = Build { kind, path, rule, place, pictures: self.c.pictures.as_deref(), wish: self.wish };
        let (master, buffers) = build.run(self.report, self.stop, std::mem::take(&mut self.built.buffers))?;
        self.built.buffers = buffers;
        if let Some(master) = &master {
            self.built.sources.push((kind, path.to_owned(), master.frames));
        }
        Ok(master)
    }
}

/// How frames of this kind become a master.
fn rule(c: &Calibration, kind: Kind) -> Option<MasterRule> {
    match kind {
        Kind::Dark | Kind::Light => c.master,
        Kind::Flat | Kind::FlatDark | Kind::Bias => Some(MasterRule::Mean),
    }
}

/// The masters that `config` asks for, a line each that changes with the files that they are made from.
///
/// # Errors
/// [`Error::NoFolder`] where one does not exist.
pub fn identities(config: &Config) -> Result<Vec<(Kind, String)>> {
    let c = &config.calibration;
    let asked =
        [(Kind::Dark, &c.dark), (Kind::Flat, &c.flat), (Kind::FlatDark, &c.flat_dark), (Kind::Bias, &c.bias)];
    let mut all = Vec::new();
    for (kind, path) in asked {
        let Some(path) = path else { continue };
        if !path.exists() {
            return Err(Error::NoFolder { what: kind.name(), path: path.clone() });
        }
        let files = if path.is_dir() { io::list_images(path)?.images } else { vec![path.clone()] };
        let rule = rule(c, kind).map_or("usual", MasterRule::name);
        let key = cache::key(&files, rule, &format!("{:?}", config.wish.of(kind)));
        // One folder, however it is written.
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        all.push((kind, format!("{} ({} files, {key})", place.display(), files.len())));
    }
    Ok(all)
}

/// A master that is to be built.
pub struct Build<'a> {
    /// What of.
    pub kind: Kind,
    /// A folder of frames, or a ready master.
    pub path: &'a Path,
    /// The rule; `None`: what is usual for the frames.
    pub rule: Option<MasterRule>,
    /// Whether and where it is kept for the next start.
    pub place: Option<Keep<'a>>,
    /// A folder to keep those in that are not kept otherwise: of pictures.
    pub pictures: Option<&'a Path>,
    /// What the frames are taken for.
    pub wish: Wish,
}

/// Where masters are kept.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// In a hidden folder beside that of the frames, unless they are pictures: these are read faster than their master,
    /// three floats a pixel.
    Beside,
    /// In this folder.
    In(&'a Path),
}

impl Build<'_> {
    /// The master and the buffers it was decoded into, from the cache if it is there; `None` where `stop` was set.
    ///
    /// # Errors
    /// As [`masters`].
    pub fn run(
        &self,
        report: &Report,
        stop: &AtomicBool,
        free: Vec<Vec<u32>>,
    ) -> Result<(Option<Master>, Vec<Vec<u32>>)> {
        let (name, path) = (self.kind.name(), self.path);
        if !path.exists() {
            return Err(Error::NoFolder { what: name, path: path.to_owned() });
        }
        let files = if path.is_dir() {
            let mut listing = io::list_images(path)?;
            pass_over(report, &listing.passed_over);
            pass_twins(report, drop_twins(&mut listing.images));
            listing.images
        } else {
            vec![path.to_owned()]
        };
        if path.is_file()
            && let Some(mut master) = cache::ready(path)
        {
            self.wish.of(self.kind).admit(path, &io::tags(path).unwrap_or_default())?;
            if let (Some(bayer), 1) = (self.wish.bayer, master.shape.channels) {
                master.shape.mosaic = bayer;
            }
            tell(report, name, path, &master, "");
            return Ok((Some(master), free));
        }
        let kept = self.place.filter(|_| path.is_dir()).map(|place| self.kept(&files, place));
        if let Some((place, key)) = &kept
            && let Some(master) = cache::load(place, key)
        {
            tell(report, name, path, &master, " (kept from before)");
            return Ok((Some(master), free));
        }
        let pictures = self.pictures.filter(|_| path.is_dir()).map(|own| self.kept(&files, Keep::In(own)));
        if let Some((place, key)) = &pictures
            && let Some(master) = cache::load(place, key)
        {
            tell(report, name, path, &master, " (kept from before)");
            return Ok((Some(master), free));
        }
        let setup = master::Setup {
            folder: kept.as_ref().and_then(|(place, _)| place.parent().map(Path::to_owned)),
            any_exposure: self.kind == Kind::Flat,
            // A master among the frames that it was made from is none of them.
            wish: Wish { singles: files.len() > 1, ..self.wish.of(self.kind) },
            ..master::Setup::new(self.rule)
        };
        let mut left_out =
            |file: &Path, e: &Error| report.warn(&format!("{name} left out: {}", short(e, file)));
        let built = master::build(&files, &setup, free, stop, &mut left_out)?;
        let Some(master) = built.master else {
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok((None, built.buffers));
            }
            return Err(Error::NothingStacked(format!(
                "no {name} could be read: put {name}s there or leave the option out: {}",
                path.display()
            )));
        };
        tell(report, name, path, &master, "");
        let worth = master.about.linear || matches!(self.place, Some(Keep::In(_)));
        if let Some((place, key)) = kept.filter(|_| worth).or(pictures)
            && let Err(e) = cache::store(&place, &key, self.kind, &master)
        {
            report.line(&format!("the master {name} is not kept for the next start: {e}"));
        }
        Ok((Some(master), built.buffers))
    }

    /// Where this master is kept, and the key that it must have.
    fn kept(&self, files: &[PathBuf], place: Keep) -> (PathBuf, String) {
        let rule = self.rule.map_or("usual", MasterRule::name);
        let key = cache::key(files, rule, &format!("{:?}", self.wish.of(self.kind)));
        let folder = match place {
            Keep::Beside => None,
            Keep::In(folder) => Some(folder),
        };
        (cache::cached_path(self.path, folder, self.kind.name(), &key), key)
    }
}

fn tell(report: &Report, name: &str, path: &Path, master: &Master, note: &str) {
    let kind = if master.shape.sample == SampleType::F32 { " float" } else { "" };
    report.line(&format!(
        "{name}: {}{kind}, {} frames, {}{note}",
        path.display(),
        master.frames,
        master.shape
    ));
}

/// Refuses masters that lights like `light` cannot be calibrated with, whatever their size.
///
/// # Errors
/// [`Error::Usage`] with the reason.
pub(crate) fn check(masters: &Masters, light: &First) -> Result<()> {
    let display = |linear: bool, sample: SampleType| !linear && sample == SampleType::U8;
    let lights = display(light.sensor.linear, light.shape.sample);
    if let Some(dark) = &masters.dark {
        let darks = display(dark.about.linear, dark.shape.sample);
        if lights && dark.about.linear {
            return Err(Error::Usage(
                "the darks are RAW or FITS, the lights 8-bit pictures: a camera bends brightness into its JPEG, so linear \
                 darks cannot be taken off: stack the RAW files, or give darks saved as the lights are"
                    .into(),
            ));
        }
        if darks && light.sensor.linear {
            return Err(Error::Usage(
                "the darks are 8-bit pictures, the lights RAW or FITS: what a camera makes of a dark is not what its \
                 sensor saw: give darks saved as the lights are"
                    .into(),
            ));
        }
    }
    let flats = [&masters.flat, &masters.flat_offset];
    if flats.iter().any(|m| m.as_ref().is_some_and(|m| display(m.about.linear, m.shape.sample))) {
        return Err(Error::Usage(
            "flats or their darks are 8-bit pictures: flats need linear light, and a camera bends brightness into its \
             JPEG: give them as RAW or FITS"
                .into(),
        ));
    }
    if masters.flat.is_some() && lights {
        return Err(Error::Usage(
            "flats need linear light, JPEG is gamma-coded: dividing by a flat would be wrong everywhere: stack the RAW \
             files, or leave --flat out"
                .into(),
        ));
    }
    Ok(())
}

/// Brings ready masters of other programs to the units of the lights, and takes the black level off a dark that holds it,
/// as it is taken off the lights. Returns what was done, a line each.
pub(crate) fn settle(masters: &mut Masters, light: &First) -> Vec<String> {
    let mut lines = Vec::new();
    if !light.sensor.linear {
        return lines;
    }
    let Masters { dark, flat, flat_offset, .. } = masters;
    for master in [&mut *dark, flat, flat_offset].into_iter().flatten() {
        if master.about.linear && master.about.bottom_up != light.sensor.bottom_up {
            master.turn();
            lines.push("a master's rows are stored the other way up: it is turned".into());
        }
    }
    if let (Some(flat), Some(offset)) = (flat, flat_offset) {
        let factor = master::fit_unit(offset, flat.shape.sample, &flat.levels);
        if factor != 1.0 {
            lines.push(format!(
                "the flat's offset is in another unit than the flat: it is multiplied by {factor}"
            ));
        }
    }
    let Some(dark) = dark.as_mut().filter(|d| d.about.linear) else { return lines };
    // Black included: a dark of another program may hold it.
    let factor = master::fit_unit(dark, light.shape.sample, &light.samples);
    if factor != 1.0 {
        lines.push(format!("the dark is in another unit than the lights: it is multiplied by {factor}"));
    }
    let black = light.sensor.black;
    // What is left of a dark whose black is off is far from it, on either side.
    let holds =
        dark.about.black == [0.0; 4] && master::median(&dark.levels) > black.iter().sum::<f32>() / 8.0;
    if black != [0.0; 4] && holds {
        let (w, channels) = (dark.shape.width, dark.shape.channels);
        for (k, level) in dark.levels.iter_mut().enumerate() {
            let (x, y) = (k / channels % w, k / channels / w);
            *level -= if channels == 1 { black[(x & 1) + 2 * (y & 1)] } else { black[0] };
        }
        dark.about.black = black;
        lines.push("the dark holds the black level of the lights: it is taken off it too".into());
    }
    lines
}

/// How the dark differs from the lights in what should be alike, a line each.
#[must_use]
pub(crate) fn doubts(masters: &Masters, light: &First) -> Vec<String> {
    let tags = &light.tags;
    let lights = About {
        exposure_s: tags.exposure_s,
        iso: tags.iso,
        gain: tags.gain,
        temperature_c: tags.temperature_c,
        camera: tags.camera.clone(),
        ..About::default()
    };
    let mut lines = Vec::new();
    if let Some(dark) = &masters.dark {
        lines = differences("dark", &dark.about, "lights", &lights);
        let black = light.sensor.black.iter().sum::<f32>() / 4.0;
        if dark.about.linear && master::median(&dark.levels) > master::median(&light.samples) - black {
            lines.push("the dark is brighter than the first light: little will be left".into());
        }
    }
    if let Some((own, other)) =
        masters.flat.as_ref().and_then(|f| f.about.camera.as_ref()).zip(tags.camera.as_ref())
        && own != other
    {
        lines.push(format!("the flat is of camera {own}, the lights of {other}"));
    }
    lines
}

fn differences(name: &str, own: &About, others: &str, other: &About) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: &str,
                   unit: &str,
                   a: Option<f64>,
                   b: Option<f64>,
                   apart: &dyn Fn(f64, f64) -> bool| {
        if let Some((a, b)) = a.zip(b).filter(|&(a, b)| apart(a, b)) {
            lines.push(format!(
                "the {name} has {what} {a}{unit}, the {others} {b}{unit}: what the {name} takes off is not what is there"
            ));
        }
    };
    // A bias in place of a dark has no exposure.
    if own.exposure_s.is_none_or(|s| s > 1e-3) {
        add("an exposure of", " s", own.exposure_s, other.exposure_s, &apart);
    }
    add("ISO", "", own.iso, other.iso, &apart);
    add("gain", "", own.gain, other.gain, &apart);
    let warmer = |a: f64, b: f64| (a - b).abs() > SAME_C;
    add("a temperature of", " C", own.temperature_c, other.temperature_c, &warmer);
    if let Some((a, b)) = own.camera.as_ref().zip(other.camera.as_ref()).filter(|(a, b)| a != b) {
        lines.push(format!("the {name} is of camera {a}, the {others} of {b}"));
    }
    lines
}

/// An error's line; the path stands at its end already.
fn short(e: &Error, file: &Path) -> String {
    let text = e.to_string();
    let path = file.display().to_string();
    if text.ends_with(&path) { text } else { format!("{text}: {path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Shape;
    use crate::sensor::Sensor;
    use crate::tags::Tags;

    /// A dark from 0 to 1 that holds the black level of RAW lights comes to their unit, and its black goes.
    #[test]
    fn a_dark_of_another_program_that_holds_the_black_level() {
        let shape = Shape { width: 2, height: 2, channels: 1, sample: SampleType::U16, mosaic: None };
        let black = [2048.0, 2050.0, 2046.0, 2048.0];
        let light = First {
            path: "light".into(),
            shape,
            sensor: Sensor { black, ..Sensor::LINEAR },
            tags: Tags::default(),
            white: 65535.0,
            samples: vec![2100.0, 2102.0, 2098.0, 2100.0],
        };
        let levels = black.map(|b| (b + 7.0) / 65535.0).into();
        let about = About { linear: true, ..About::default() };
        let dark = Master { shape: Shape { sample: SampleType::F32, ..shape }, levels, frames: 1, about };
        let mut masters = Masters { dark: Some(dark), ..Masters::default() };
        assert_eq!(settle(&mut masters, &light).len(), 2);
        let left = masters.dark.expect("a dark").levels;
        assert!(left.iter().all(|l| (l - 7.0).abs() < 0.01), "{left:?}");
    }
}
