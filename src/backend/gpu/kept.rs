//! Compiled kernels, kept on disk for the next start (Vulkan only: wgpu's `PIPELINE_CACHE`).
//!
//! A cache that is missing, damaged, another device's or not to be written never fails anything: the kernels are compiled
//! then, as they are without one.

use crate::io::replace;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wgpu::{AdapterInfo, Device, Features, PipelineCache};

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"LSTKPIPE";
/// Its format.
const VERSION: u32 = 1;
/// Most that is read of such a file, bytes: a driver's code for all kernels is a few hundred kB.
const MOST: u64 = 64 << 20;

/// The kept kernels of one device.
#[derive(Debug)]
pub(super) struct Kept {
    cache: PipelineCache,
    file: PathBuf,
    key: String,
    /// Whether the driver was given what an earlier start left.
    found: bool,
    /// CRC of what the file holds.
    holds: u32,
    /// Kernels compiled when the file was last written, and at the last frame.
    written: usize,
    before: usize,
}

impl Kept {
    /// What `folder` holds for the device, of whose kernels `made` are compiled already; `None` where it cannot keep any.
    pub(super) fn open(device: &Device, info: &AdapterInfo, folder: &Path, made: usize) -> Option<Kept> {
        if !device.features().contains(Features::PIPELINE_CACHE) {
            return None;
        }
        let name = wgpu::util::pipeline_cache_key(info)?;
        // The driver checks its own version too, but need not be believed to.
        let key = [name.as_str(), &info.driver, &info.driver_info, env!("CARGO_PKG_VERSION")].join("\n");
        let file = folder.join(format!("{name}.bin"));
        let bytes = read(&file).unwrap_or_default();
        let data = unpack(&bytes, &key);
        let cache = create(device, data)?;
        let (found, holds) = (data.is_some(), crc32fast::hash(&bytes));
        Some(Kept { cache, file, key, found, holds, written: made, before: made })
    }

    /// The cache to compile with.
    pub(super) fn cache(&self) -> &PipelineCache {
        &self.cache
    }

    /// Whether kernels of an earlier start were found.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// A frame begins, `made` kernels are compiled: once a frame has needed no new ones, they are kept.
    pub(super) fn frame(&mut self, made: usize) {
        if made == self.before {
            self.save(made);
        }
        self.before = made;
    }

    /// Writes the file if there are kernels that it does not hold.
    pub(super) fn save(&mut self, made: usize) {
        if made == self.written {
            return;
        }
        // A folder that cannot be written to is not asked again for the same kernels.
        self.written = made;
        let Some(data) = self.cache.get_data() else { return };
        let bytes = pack(&data, &self.key);
        let holds = crc32fast::hash(&bytes);
        if holds != self.holds && write(&self.file, &bytes).is_ok() {
            self.holds = holds;
        }
    }
}

/// A cache that begins with `data`, or with nothing where the driver will not have it.
fn create(device: &Device, data: Option<&[u8]>) -> Option<PipelineCache> {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [Internal, OutOfMemory, Validation].map(|f| device.push_error_scope(f));
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kernels"), data, fallback: true };
    #[expect(unsafe_code, reason = "the driver reads `data` unchecked: see below")]
    // SAFETY: `data` must come from `PipelineCache::get_data` on the same adapter. `unpack` has let nothing else pass than
    // what `pack` made of that: our magic, our version and the driver's, the adapter's key, the length and the CRC all
    // agree, so no other program's file, no half or damaged one and no other device's gets here. The file lies in the
    // user's own folder (made with permissions for nobody else); who can forge it there can run code as the user anyway.
    let cache = unsafe { device.create_pipeline_cache(&descriptor) };
    let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).count();
    (errors == 0).then_some(cache)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes to it.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(file: &Path, bytes: &[u8]) -> crate::error::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    {
        /// What the specification of cache folders asks for: nobody else reads or writes them.
        const OWN: u32 = 0o700;
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, OWN);
    }
    if let Some(parent) = file.parent() {
        // Where it fails, so does the file.
        let _ = folder.create(parent);
    }
    replace(file, |to| to.write_all(bytes))
}

/// The file: magic, version, length and CRC of the key, length and CRC of the data (little-endian), key, data.
fn pack(data: &[u8], key: &str) -> Vec<u8> {
    let mut file = header(data, key);
    file.extend_from_slice(key.as_bytes());
    file.extend_from_slice(data);
    file
}

fn header(data: &[u8], key: &str) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    for part in [key.as_bytes(), data] {
        head.extend_from_slice(&(part.len() as u64).to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(part).to_le_bytes());
    }
    head
}

/// The data of a `file` that [`pack`] made for the same `key`, whole.
fn unpack<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = file.get(header(&[], key).len()..)?;
    let data = rest.strip_prefix(key.as_bytes())?;
    (!data.is_empty() && file.starts_with(&header(data, key))).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_packed_whole_for_the_same_device_is_taken() {
        let data: Vec<u8> = (0..200).collect();
        let file = pack(&data, "adapter 1");
        assert_eq!(unpack(&file, "adapter 1"), Some(&data[..]));
        assert_eq!(unpack(&file, "adapter 2"), None, "another device's");
        assert_eq!(unpack(&file, "adapter"), None, "another device's");
        assert_eq!(unpack(&pack(&[], "adapter 1"), "adapter 1"), None, "nothing");
        for length in 0..file.len() {
            assert_eq!(unpack(&file[..length], "adapter 1"), None, "cut off at {length}");
        }
        for k in 0..file.len() {
            let mut damaged = file.clone();
            damaged[k] ^= 0x10;
            assert_eq!(unpack(&damaged, "adapter 1"), None, "byte {k} is another");
        }
        assert_eq!(unpack(&[file, vec![0]].concat(), "adapter 1"), None, "longer");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("kernels.bin");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success() && read(&pipe).is_err());
        std::fs::remove_file(&pipe).expect("removed");
        std::fs::write(&pipe, "12").expect("written");
        assert_eq!(read(&pipe).expect("a file"), b"12");
    }
}
