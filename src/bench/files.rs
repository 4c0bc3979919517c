//! The frames to measure with, and how fast they decode.

use super::room::Kind;
use super::spread::Spread;
use crate::decode::{self, Wish};
use crate::error::{Error, Result};
use crate::{io, report};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Files that are decoded for the figure, at least; the same again where there are fewer.
const LEAST_DECODED: usize = 5;

/// Frames that can be read and go together.
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    /// What the first is, and with it all.
    pub(super) kind: Kind,
    /// Bytes of a file, on average.
    pub(super) file_bytes: f64,
    /// Milliseconds that decoding one takes, one after the other.
    pub(super) decode_ms: Spread,
}

/// Decodes `paths` until `most` of them are taken, those of the first's size and type; one line for others on the way.
/// `None`: stopped on the way.
///
/// # Errors
/// [`Error::NothingStacked`] where none can be read.
pub(super) fn look(
    paths: Vec<PathBuf>,
    most: usize,
    wish: &Wish,
    stop: &AtomicBool,
) -> Result<Option<Files>> {
    let (mut taken, mut ms, mut bytes) = (Vec::new(), Vec::new(), 0);
    let (mut kind, mut passed, mut why) = (None::<Kind>, 0, String::new());
    let mut buffer = Vec::new();
    let mut decode = |path: &PathBuf| {
        let start = Instant::now();
        let frame = decode::read(path, std::mem::take(&mut buffer), wish)?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        let (shape, sensor, white) = (frame.shape, frame.sensor, frame.white());
        let (beside, held) = (frame.beside, frame.held());
        buffer = frame.words;
        let file = io::file_bytes(path, &shape);
        Ok::<_, Error>((Kind { shape, sensor, white, file, beside, held }, took))
    };
    for path in paths {
        if taken.len() == most {
            break;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let fault = match decode(&path) {
            Ok((one, took)) => {
                let (shape, bytes_of_file) = (one.shape, one.file);
                let first = kind.get_or_insert(one).shape;
                if first == shape {
                    bytes += bytes_of_file;
                    taken.push(path);
                    ms.push(took);
                    continue;
                }
                format!("expected {first} as the first frame, got {shape}: {}", path.display())
            }
            Err(e) => e.to_string(),
        };
        if passed == 0 {
            why = fault;
        }
        passed += 1;
    }
    let Some(kind) = kind else {
        return Err(Error::NothingStacked(format!(
            "no frame to measure with: not one of {passed} could be read: {why}"
        )));
    };
    if passed > 0 {
        let number = if passed == 1 { "1 frame".to_owned() } else { format!("{passed} frames") };
        report::fail(&format!("{number} left out of the measurement: {why}"));
    }
    // The first took memory and woke the disk.
    ms.remove(0);
    for path in taken.iter().cycle() {
        if ms.len() >= LEAST_DECODED || stop.load(Ordering::Relaxed) {
            break;
        }
        ms.push(decode(path)?.1);
    }
    let file_bytes = bytes as f64 / taken.len() as f64;
    Ok(Some(Files { paths: taken, kind, file_bytes, decode_ms: Spread::of(ms) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::field;

    #[test]
    fn bad_files_in_front_do_not_hide_good_ones() {
        let dir = tempfile::tempdir().expect("a folder");
        let go_on = AtomicBool::new(false);
        let good = field::write((64, 48), dir.path(), &go_on).expect("written").expect("all");
        const MOST: usize = 2;
        let bad: Vec<PathBuf> = (0..=MOST).map(|k| dir.path().join(format!("bad_{k}.jpg"))).collect();
        bad.iter().for_each(|path| std::fs::write(path, "no picture").expect("written"));
        let all = bad.into_iter().chain(good.iter().cloned()).collect();
        let files = look(all, MOST, &Wish::default(), &go_on).expect("two good ones").expect("not stopped");
        assert_eq!(files.paths, good[..MOST]);
    }
}
