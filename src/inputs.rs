//! Which files are stacked, and in what order.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::io;
use crate::outputs;
use crate::report::Report;
use std::collections::HashSet;
use std::path::PathBuf;

/// What is stacked.
pub struct Lights {
    /// Frames, in stacking order.
    pub images: Vec<PathBuf>,
    /// Files that are none.
    pub passed: Vec<PathBuf>,
    /// JPEG files beside a RAW file of the same name.
    pub twins: usize,
}

/// Takes the JPEG files that have a RAW file of the same name beside them out of `images`; returns how many.
pub fn drop_twins(images: &mut Vec<PathBuf>) -> usize {
    let raws: HashSet<PathBuf> =
        images.iter().filter(|p| io::format_of(p) == Some("RAW")).map(|p| p.with_extension("")).collect();
    let before = images.len();
    images.retain(|p| io::format_of(p) != Some("JPEG") || !raws.contains(&p.with_extension("")));
    before - images.len()
}

/// One line for the JPEG files that have a RAW file.
pub fn pass_twins(report: &Report, twins: usize) {
    if twins > 0 {
        report.warn(&format!("passed over, each with a RAW file of the same name: {twins} JPEG files"));
    }
}

/// The lights.
///
/// # Errors
/// [`Error::NoFolder`] where the folder does not exist; [`Error::NothingStacked`] where it holds no images.
pub fn lights(config: &Config) -> Result<Lights> {
    let (mut images, mut passed, mut twins) = (Vec::new(), Vec::new(), 0);
    for path in &config.input {
        if path.is_dir() {
            let mut listing = io::list_images(path)?;
            twins += drop_twins(&mut listing.images);
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
    Ok(Lights { images, passed, twins })
}

/// One line for the files that are no images.
pub fn pass_over(report: &Report, files: &[PathBuf]) {
    for file in files {
        report.warn(&format!("passed over, not an image: {}", file.display()));
    }
}
