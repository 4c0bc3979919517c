//! What becomes of a frame that may have failed for lack of memory alone.

use super::{Ledger, Night, Run, reason};
use crate::backend::Backend;
use crate::decode;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::io;
use crate::memory;
use crate::tags::Kind;
use std::path::Path;

impl<B: Backend, L: Ledger> Run<'_, B, L> {
    /// Decodes a frame that failed with `error` once more, where memory is short; where that fails too the exit code tells,
    /// for the frame may be good. A session has its own way to try files again.
    pub(super) fn once_more(&mut self, path: &Path, error: Error) -> Result<Frame> {
        if self.config.live || !self.is_short() {
            return Err(error);
        }
        let again = decode::read(path, Vec::new(), &self.config.wish.of(Kind::Light));
        if again.is_ok() {
            return again;
        }
        if self.is_short() {
            let what =
                format!("memory is short: it may be good: {}: {}", reason(&error, path), path.display());
            self.report.warn(&what);
            self.failed.get_or_insert(Error::Memory(what));
        }
        Err(error)
    }

    /// Whether there is less memory now than decoding this night's frames on all threads takes.
    fn is_short(&self) -> bool {
        let Some(Night { first, .. }) = &self.night else { return false };
        let file = io::file_bytes(&first.path, &first.shape);
        let need = first.beside + first.held.max(first.shape.bytes() as u64) + file;
        memory::available().is_some_and(|free| free < (decode::threads() as u64 + 1) * need)
    }
}
