//! The frames that a median needs, all of them: in memory as long as they fit, then in an unnamed temporary file.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are read back at a time; twice that is held, since the next are read while these are worked on.
const BAND_BYTES: usize = 32 << 20;
/// Fewest samples of a band.
const LEAST_SAMPLES: usize = 64;

/// Frames of one size, or the same part of each.
pub(super) struct Kept {
    bytes: usize,
    budget: usize,
    band: usize,
    folder: Option<PathBuf>,
    disk: bool,
    memory: Vec<Vec<u32>>,
    file: Option<(File, PathBuf)>,
    frames: usize,
    /// A frame could not be written: what the file holds is not whole.
    broken: bool,
}

impl Kept {
    /// Frames of `bytes` bytes: up to `budget` bytes in memory, then in a file on the disk of `folder`, or of the
    /// system's temporary folder; nowhere else where not `disk`.
    pub(super) fn new(bytes: usize, budget: usize, folder: Option<PathBuf>, disk: bool) -> Kept {
        let band = BAND_BYTES.min(budget.max(1));
        Kept { bytes, budget, band, folder, disk, memory: Vec::new(), file: None, frames: 0, broken: false }
    }

    /// Takes a frame; gives a buffer back where that is not needed any more.
    ///
    /// # Errors
    /// [`Error::Io`] where it fits neither in memory nor on the disk; then none can be taken any more.
    pub(super) fn push(&mut self, words: Vec<u32>) -> Result<Vec<u32>> {
        if self.broken {
            return Err(self.no_room(io::ErrorKind::StorageFull.into()));
        }
        let fits = (self.frames + 1).saturating_mul(self.bytes) <= self.budget;
        if self.file.is_none() && fits {
            self.memory.push(words);
            self.frames += 1;
            return Ok(Vec::new());
        }
        self.broken = true;
        let (mut file, place) = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        for frame in self.memory.drain(..).as_slice().iter().chain([&words]) {
            let bytes = &bytemuck::cast_slice(frame)[..self.bytes];
            file.write_all(bytes).map_err(|e| Error::io(SPILL, &place, e))?;
        }
        self.file = Some((file, place));
        self.frames += 1;
        self.broken = false;
        Ok(words)
    }

    fn no_room(&self, e: io::Error) -> Error {
        Error::io(SPILL, &self.folder.clone().unwrap_or_else(std::env::temp_dir), e)
    }

    fn create(&self) -> Result<(File, PathBuf)> {
        if !self.disk {
            return Err(self.no_room(io::ErrorKind::StorageFull.into()));
        }
        let mut last = None;
        for place in places(self.folder.as_deref()) {
            match tempfile::tempfile_in(&place) {
                Ok(file) => return Ok((file, place)),
                Err(e) => last = Some(e),
            }
        }
        Err(self.no_room(last.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
    }

    /// Calls `work(first sample, that band of every frame, its part of out)` for all bands of the frames, whose
    /// samples are `T`.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read back.
    pub(super) fn bands<T: bytemuck::Pod + Sync>(
        &self,
        out: &mut [f32],
        work: impl Fn(usize, &[&[T]], &mut [f32]) + Sync,
    ) -> Result<()> {
        if self.broken {
            return Err(self.no_room(io::ErrorKind::StorageFull.into()));
        }
        let Some((file, place)) = &self.file else {
            let samples = out.len();
            let frames: Vec<&[T]> = self.memory.iter().map(|w| &bytemuck::cast_slice(w)[..samples]).collect();
            work(0, &frames, out);
            return Ok(());
        };
        let size = size_of::<T>();
        let step = (self.band / (self.frames * size)).max(LEAST_SAMPLES).min(out.len().max(1));
        let words = (step * size).div_ceil(4);
        let total = out.len();
        let read = |band: usize, into: &mut [u32]| {
            let first = band * step;
            let len = step.min(total.saturating_sub(first)) * size;
            into.par_chunks_mut(words).enumerate().try_for_each(|(f, piece)| {
                let piece: &mut [u8] = bytemuck::cast_slice_mut(piece);
                read_at(file, &mut piece[..len], (f * self.bytes + first * size) as u64)
            })
        };
        let failed = |e| Error::io("cannot read the frames of the master back", place, e);
        let (mut now, mut next) = (vec![0; words * self.frames], vec![0; words * self.frames]);
        read(0, &mut now).map_err(failed)?;
        for (band, part) in out.chunks_mut(step).enumerate() {
            let frames: Vec<&[T]> =
                now.chunks(words).map(|piece| &bytemuck::cast_slice(piece)[..part.len()]).collect();
            let (ahead, ()) = rayon::join(|| read(band + 1, &mut next), || work(band * step, &frames, part));
            ahead.map_err(failed)?;
            std::mem::swap(&mut now, &mut next);
        }
        Ok(())
    }
}

/// What failed where there is no room.
const SPILL: &str = "cannot keep the frames of the master on the disk";

/// Where a temporary file may lie, best first. What is only memory by another name is no place for frames that do
/// not fit in memory, unless the user named it.
fn places(folder: Option<&Path>) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(folder) = folder {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        // A folder that is not made yet lies on the disk of the one that it will be in.
        places.extend(folder.ancestors().find(|f| f.is_dir()).map(Path::to_owned));
    }
    let system = [std::env::temp_dir(), PathBuf::from("/var/tmp")];
    places.extend(system.into_iter().filter(|f| f.is_dir() && !in_memory(&mounts, f)));
    places
}

/// Whether `folder` lies on a file system that is kept in memory, by the system's list of `mounts`.
fn in_memory(mounts: &str, folder: &Path) -> bool {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((Path::new(fields.next()?), fields.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.as_os_str().len())
        .is_some_and(|(_, kind)| matches!(kind, "tmpfs" | "ramfs"))
}

/// Fills `into` from byte `at` of the file.
#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

/// Fills `into` from byte `at` of the file: one thread at a time, where a file has only one position.
#[cfg(not(unix))]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    read_in_turn(file, into, at)
}

#[cfg(any(test, not(unix)))]
fn read_in_turn(mut file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_by_another_name_is_known() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk ext4 rw 0 0\n";
        let of = |folder: &str| in_memory(mounts, Path::new(folder));
        assert_eq!(
            [of("/tmp"), of("/tmp/x"), of("/tmp/disk/x"), of("/home"), of("/tmpx")],
            [true, true, false, false, false]
        );
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_its_parent_lies() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(places(Some(&folder.path().join("a/b")))[0], folder.path());
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn reading_in_turn_is_reading_at() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(&(0..=255).collect::<Vec<u8>>()).expect("written");
        let (mut a, mut b) = ([0; 7], [0; 7]);
        (0..20_u8).into_par_iter().for_each(|k| {
            let mut own = [0; 7];
            read_in_turn(&file, &mut own, u64::from(k) * 10).expect("read");
            assert_eq!(own, std::array::from_fn(|i| k * 10 + i as u8));
        });
        read_in_turn(&file, &mut a, 249).expect("read");
        read_at(&file, &mut b, 249).expect("read");
        assert_eq!(a, b);
        assert!(read_at(&file, &mut b, 250).is_err());
    }
}
