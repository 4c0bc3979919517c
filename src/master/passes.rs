//! A master from files: in one pass, or in several where frames fit neither in memory nor on the disk.

use super::{Builder, Master, Setup};
use crate::decode::{Decoder, Wish, threads};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What reading the frames of a master leaves.
#[derive(Default)]
pub struct Built {
    /// The master; `None` where no frame could be used, or `stop` was set on the way.
    pub master: Option<Master>,
    /// Buffers to decode other frames into.
    pub buffers: Vec<Vec<u32>>,
    /// Files that were decoded, each as often as that happened: once, but where there was no room.
    pub decoded: usize,
}

/// Where a pass ended.
enum Pass {
    Stopped,
    /// There is no room on the disk; the first frame has so many bytes.
    NoRoom(usize),
    Done(Option<Master>, Vec<bool>),
}

/// Builds the master of `files`. Frames that cannot be read or do not belong to the first are left out, after a call of
/// `left_out` for each. Decodes into the buffers `free` as long as there are some.
///
/// # Errors
/// [`Error::Io`] where frames that waited on the disk cannot be read back; [`Error::Mismatch`] where files change on
/// the way.
pub fn build(
    files: &[PathBuf],
    setup: &Setup,
    free: Vec<Vec<u32>>,
    stop: &AtomicBool,
    left_out: &mut dyn FnMut(&Path, &Error),
) -> Result<Built> {
    let mut run = Run {
        files,
        wish: setup.wish,
        stop,
        left_out,
        told: 0,
        built: Built { buffers: free, ..Built::default() },
    };
    match run.pass(Builder::with(setup.clone()))? {
        Pass::Stopped => {}
        Pass::Done(master, _) => run.built.master = master,
        Pass::NoRoom(bytes) => {
            let parts = (bytes.saturating_mul(files.len()))
                .div_ceil(setup.without_disk.max(1))
                .clamp(1, bytes.max(1));
            run.built.master = run.in_parts(setup, parts)?;
        }
    }
    Ok(run.built)
}

struct Run<'a> {
    files: &'a [PathBuf],
    wish: Wish,
    stop: &'a AtomicBool,
    left_out: &'a mut dyn FnMut(&Path, &Error),
    /// Files of which all is told.
    told: usize,
    built: Built,
}

impl Run<'_> {
    fn pass(&mut self, mut builder: Builder) -> Result<Pass> {
        let mut decoder =
            Decoder::new(self.files.to_vec(), threads(), std::mem::take(&mut self.built.buffers), self.wish);
        let mut used = Vec::with_capacity(self.files.len());
        while let Some((file, frame)) = decoder.next() {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Pass::Stopped);
            }
            self.built.decoded += 1;
            let result = match frame {
                Ok(frame) => match builder.push(frame) {
                    Err(Error::Io { .. }) => {
                        return Ok(Pass::NoRoom(builder.frame_bytes().unwrap_or_default()));
                    }
                    result => result.map(|buffer| decoder.recycle(buffer)),
                },
                Err(e) => Err(e),
            };
            used.push(result.is_ok());
            if used.len() > self.told {
                self.told = used.len();
                if let Err(e) = result {
                    (self.left_out)(&file, &e);
                }
            }
        }
        self.built.buffers = decoder.buffers();
        Ok(Pass::Done(builder.finish()?, used))
    }

    /// The master in `parts` passes over the files, each of which makes a part of the samples.
    fn in_parts(&mut self, setup: &Setup, parts: usize) -> Result<Option<Master>> {
        let mut whole: Option<(Master, Vec<bool>)> = None;
        for part in 0..parts {
            let (master, used) = match self.pass(Builder::with(setup.clone()).part(part, parts))? {
                Pass::Done(Some(master), used) => (master, used),
                Pass::Done(None, _) | Pass::Stopped | Pass::NoRoom(_) => return Ok(None),
            };
            match &mut whole {
                None => whole = Some((master, used)),
                Some((all, first)) if *first == used && all.shape == master.shape => {
                    all.levels.extend(master.levels);
                }
                Some((_, first)) => {
                    let changed = first.iter().zip(&used).position(|(a, b)| a != b).unwrap_or_default();
                    let what =
                        "expected the same frames in every pass, got others: leave the files as they are"
                            .into();
                    return Err(Error::Mismatch { what, path: self.files[changed].clone() });
                }
            }
        }
        Ok(whole.map(|(master, _)| master))
    }
}
