//! Which files are stacked, and in what order; the darks.

use crate::config::Config;
use crate::decode::{Decoder, threads};
use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::io;
use crate::master::{Builder, Master};
use crate::outputs;
use crate::report::Report;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The default folder of darks.
const DARK: &str = "dark";

/// The lights, in stacking order, and the files that were passed over.
///
/// # Errors
/// [`Error::NoFolder`] where the folder does not exist; [`Error::NothingStacked`] where it holds no images.
pub fn lights(config: &Config) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut images, mut passed) = (Vec::new(), Vec::new());
    for path in &config.input {
        if path.is_dir() {
            let listing = io::list_images(path)?;
            images.extend(listing.images);
            passed.extend(listing.passed_over);
        } else if !path.exists() && !io::is_image(path) {
            return Err(Error::NoFolder { what: "input", path: path.clone() });
        } else if io::is_image(path) {
            // A file that does not exist becomes a rejected frame like any other that cannot be read.
            images.push(path.clone());
        } else {
            passed.push(path.clone());
        }
    }
    // An output of an earlier run is no frame, also where OUT is the input folder.
    passed.extend(images.extract_if(.., |path| outputs::is_own(config, path)));
    images.sort_by(|a, b| io::natural(a, b));
    if config.by_time {
        let mut timed: Vec<_> = images.into_iter().map(|p| (io::capture_time(&p), p)).collect();
        // A file without a time keeps its place by name, after those that have one.
        timed.sort_by(|a, b| match (&a.0, &b.0) {
            (Some(x), Some(y)) => x.cmp(y),
            (x, y) => y.is_some().cmp(&x.is_some()),
        });
        images = timed.into_iter().map(|(_, p)| p).collect();
    }
    if config.last > 0 && images.len() > config.last {
        images.drain(..images.len() - config.last);
    }
    if images.is_empty() {
        let place = config.input.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" ");
        return Err(Error::NothingStacked(format!(
            "no frames found: expected {} files: put frames there or name another folder: {place}",
            io::FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok((images, passed))
}

/// What reading the darks leaves: the master, and the buffers that they were decoded into.
#[derive(Default)]
pub struct Darks {
    /// The master, if there are darks.
    pub master: Option<Master>,
    /// Buffers to decode the lights into.
    pub buffers: Vec<Vec<u32>>,
}

/// The master dark, if there are darks and `stop` was not set on the way. Darks that cannot be read, or differ in size
/// or type from the first that can, are left out with a line.
///
/// # Errors
/// [`Error::NoFolder`] where a folder that was asked for does not exist; [`Error::NothingStacked`] where it holds no
/// readable dark.
pub fn master(config: &Config, report: &Report, stop: &AtomicBool) -> Result<Darks> {
    let asked = config.dark.is_some();
    let path = config.dark.clone().unwrap_or_else(|| DARK.into());
    if !path.exists() {
        return if asked { Err(Error::NoFolder { what: "dark", path }) } else { Ok(Darks::default()) };
    }
    let files = if path.is_dir() {
        let listing = io::list_images(&path)?;
        pass_over(report, &listing.passed_over);
        listing.images
    } else {
        vec![path.clone()]
    };
    let mut builder = Builder::new(config.master);
    let mut decoder = Decoder::new(files, threads(), Vec::new());
    while let Some((file, dark)) = decoder.next() {
        if stop.load(Ordering::Relaxed) {
            return Ok(Darks::default());
        }
        match dark.and_then(|dark| builder.push(dark)) {
            Ok(buffer) => decoder.recycle(buffer),
            Err(e) => report.warn(&format!("dark left out: {}", short(&e, &file))),
        }
    }
    match builder.finish()? {
        Some(master) => {
            let kind = if master.shape.sample == SampleType::F32 { " float" } else { "" };
            report.line(&format!(
                "dark: {}{kind}, {} frames, {}",
                path.display(),
                master.frames,
                master.shape
            ));
            Ok(Darks { master: Some(master), buffers: decoder.buffers() })
        }
        None if asked => Err(Error::NothingStacked(format!(
            "no dark could be read: put darks there or leave --dark out: {}",
            path.display()
        ))),
        None => {
            report.warn(&format!("no darks in it, going on without: {}", path.display()));
            Ok(Darks::default())
        }
    }
}

/// One line for the files that are no images.
pub fn pass_over(report: &Report, files: &[PathBuf]) {
    for file in files {
        report.warn(&format!("passed over, not an image: {}", file.display()));
    }
}

/// An error's line; the path stands at its end already.
fn short(e: &Error, file: &Path) -> String {
    let text = e.to_string();
    let path = file.display().to_string();
    if text.ends_with(&path) { text } else { format!("{text}: {path}") }
}
