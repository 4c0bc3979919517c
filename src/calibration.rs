//! The masters of a night: built from folders of frames, or read where they are ready; and whether they fit the lights.

use crate::config::{Calibration, Config};
use crate::decode::Wish;
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::inputs::{drop_twins, pass_over, pass_twins};
use crate::io;
use crate::master::{self, Master, MasterRule, Masters, cache};
use crate::report::Report;
use crate::tags::Kind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

mod fit;

use fit::differences;
pub(crate) use fit::{check, doubts, settle};

/// The default folder of darks.
pub(crate) const DARK: &str = "dark";
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

/// An error's line; the path stands at its end already.
fn short(e: &Error, file: &Path) -> String {
    let text = e.to_string();
    let path = file.display().to_string();
    if text.ends_with(&path) { text } else { format!("{text}: {path}") }
}
