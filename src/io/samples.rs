//! The buffer a frame is decoded into: its limits, its reuse, and what happens to samples that are not wanted.

use crate::frame::{SampleType, Shape};
use crate::memory;

/// Most pixels of a frame. A header that asks for more is damaged: the largest sensors have a fifth of it.
const MAX_PIXELS: u64 = 1 << 30;
/// Most bytes of a frame: sizes and offsets are `u32` on the GPU.
const MAX_BYTES: u64 = u32::MAX as u64;
/// More bytes of picture for one byte of file than any format here can store: deflate stays under 1032, and
/// a 1-bit palette is expanded 24 times.
const MAX_EXPANSION: u64 = 1 << 15;
/// Frames up to this many bytes may expand without limit: there is nothing to guard against.
const SMALL_BYTES: u64 = 1 << 20;

/// The shape of a frame whose header says `width` x `height` pixels of `channels` samples each, refused when
/// it is empty, larger than livestack takes, or more than a file of `file_len` bytes can hold: a damaged
/// header must not make the program ask for memory that it never fills.
pub(super) fn shape(
    width: u32,
    height: u32,
    channels: usize,
    sample: SampleType,
    file_len: usize,
) -> Result<Shape, String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("damaged header: {width}x{height} pixels"));
    }
    if pixels > MAX_PIXELS {
        return Err(format!("{width}x{height} pixels: expected at most {MAX_PIXELS} in all"));
    }
    let bytes = pixels.saturating_mul(channels as u64).saturating_mul(sample.bytes() as u64);
    if bytes > MAX_BYTES {
        return Err(format!("{bytes} bytes of samples: expected at most {MAX_BYTES}"));
    }
    if bytes > SMALL_BYTES && bytes / MAX_EXPANSION > file_len as u64 {
        return Err(format!("damaged: {width}x{height} pixels cannot be in {file_len} bytes"));
    }
    Ok(Shape { width: width as usize, height: height as usize, channels, sample, mosaic: None })
}

/// Makes `words` exactly `len` long for a decoder that overwrites all of it. A buffer that has the length
/// is left as it is: clearing 60 MB for each frame would cost more than it helps. Refused where there is no room: what
/// the header of a picture says may be true, and more than this machine has.
pub(super) fn room(words: &mut Vec<u32>, len: usize) -> Result<(), String> {
    if words.capacity() >= len {
        words.resize(len, 0);
        return Ok(());
    }
    // A fresh zeroed allocation comes untouched from the system; growing would copy the old samples.
    *words = Vec::new();
    *words = zeros(len)?;
    Ok(())
}

/// `len` zeros, or why not.
pub(super) fn zeros<T: bytemuck::Zeroable>(len: usize) -> Result<Vec<T>, String> {
    let bytes = len as u64 * size_of::<T>() as u64;
    let free = if bytes > SMALL_BYTES { memory::available() } else { None };
    let fits = free.is_none_or(|free| bytes <= free);
    fits.then(|| bytemuck::allocation::try_zeroed_vec(len).ok()).flatten().ok_or_else(|| {
        const MB: u64 = 1_000_000;
        let there = free.map_or(String::new(), |free| format!(", {} MB are there", free / MB));
        format!("its samples take {} MB of memory{there}", bytes / MB)
    })
}

/// Drops the samples of each pixel beyond the first `shape.channels` of the `stored` ones, in place.
pub(super) fn drop_extra(words: &mut [u32], stored: usize, shape: &Shape) {
    if stored == shape.channels {
        return;
    }
    let (from, to) = (stored * shape.sample.bytes(), shape.channels * shape.sample.bytes());
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
    for pixel in 1..shape.width * shape.height {
        bytes.copy_within(pixel * from..pixel * from + to, pixel * to);
    }
}

/// Cuts `words` to `shape` and clears the bytes after the last sample, which a recycled buffer may hold.
pub(super) fn seal(words: &mut Vec<u32>, shape: &Shape) {
    words.truncate(shape.words());
    bytemuck::cast_slice_mut::<u32, u8>(words)[shape.bytes()..].fill(0);
}
