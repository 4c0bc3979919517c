//! Copies between host and device, through buffers that are kept and mapped.
//!
//! A frame is copied once on the host, from where it was decoded into mapped memory. It is not decoded there: decoders
//! read back what they wrote (turned and interleaved rows, checks), which mapped memory is slow at where the device's
//! driver makes it write-combined, and which wgpu 30 does not hand out (`WriteOnly`).

use super::memory::{Fault, create, one_line};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use wgpu::{Buffer, BufferUsages, CommandEncoder, Device, MapMode, PollType, SubmissionIndex, WriteOnly};

/// Sizes of the kept buffers are multiples of this, bytes, so that they rarely grow.
const GRAIN: u64 = 1 << 20;
/// Most that one kept buffer holds, bytes: a 20 Mpix colour frame of 8 bit, or a 30 Mpix mosaic. What is longer (darks,
/// stacks of a checkpoint) goes in pieces.
pub(super) const PIECE: usize = 64 << 20;
/// Staging buffers for uploads. With two, the host copies a frame while the device still copies the one before; a third
/// would let it run further ahead of a device that is the slower side anyway.
pub(super) const RING: usize = 2;
/// What one core copies at a time, bytes: many to share out, each long against the cost of sharing.
const PART: usize = 1 << 20;
/// A device that has not answered for this long is given up: many times any work of ours.
const PATIENCE: Duration = Duration::from_secs(60);

/// State of a mapping: wanted, there, failed.
const WAITING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;
/// Unmapped, with a copy from it in commands that are not submitted yet.
const FILLED: u8 = 3;

/// A kept buffer that the host maps.
#[derive(Debug)]
struct Slot {
    buffer: Buffer,
    state: Arc<AtomicU8>,
    /// What must be done before it is mapped again.
    last: Option<SubmissionIndex>,
}

impl Slot {
    fn new(device: &Device, bytes: u64, usage: BufferUsages, state: u8) -> Result<Slot> {
        let size = bytes.next_multiple_of(GRAIN);
        let buffer = create(device, "staging", size, usage, state == MAPPED)?;
        Ok(Slot { buffer, state: Arc::new(AtomicU8::new(state)), last: None })
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    /// Asks for the mapping once `last` is done.
    fn map(&mut self, mode: MapMode, last: SubmissionIndex) {
        self.last = Some(last);
        self.state.store(WAITING, Ordering::Release);
        let state = Arc::clone(&self.state);
        self.buffer.map_async(mode, .., move |r| {
            state.store(if r.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
        });
    }
}

/// Staging buffers for uploads, the one used longest ago first.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Vec<Slot>,
    most: usize,
}

/// What [`Ring::free`] found.
pub(super) enum Free {
    /// A mapped buffer stands last; whether the device had to be waited for.
    Mapped(bool),
    /// All are in commands that must be submitted first.
    Unsent,
}

impl Ring {
    /// Of `most` buffers, taken when they are first needed.
    pub(super) fn new(most: usize) -> Ring {
        Ring { slots: Vec::new(), most: most.max(1) }
    }

    /// Buffers taken at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Buffers taken so far.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Brings a mapped buffer of at least `bytes` to the end of the ring. Another is taken only where all are in use; where
    /// there is no memory for it, as on a small board, those there are must do.
    pub(super) fn free(&mut self, device: &Device, fault: &Fault, bytes: u64) -> Result<Free> {
        let mut waited = false;
        loop {
            if !self.slots.iter().any(|s| s.state() == MAPPED) {
                // Answers the mappings that are due.
                poll(device, PollType::Poll, fault)?;
            }
            let mapped = |s: &Slot| s.state() == MAPPED;
            let fits = |s: &Slot| mapped(s) && s.buffer.size() >= bytes;
            if let Some(k) = self.slots.iter().position(fits) {
                let slot = self.slots.remove(k);
                self.slots.push(slot);
                return Ok(Free::Mapped(waited));
            }
            // Too short for this frame: given back before a longer one is taken.
            if let Some(k) = self.slots.iter().position(mapped) {
                self.slots.remove(k);
            }
            if self.slots.len() < self.most {
                match Slot::new(device, bytes, BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC, MAPPED) {
                    Ok(slot) => {
                        self.slots.push(slot);
                        return Ok(Free::Mapped(waited));
                    }
                    Err(e) if self.slots.is_empty() => return Err(e),
                    Err(_) => self.most = self.slots.len(),
                }
            }
            let oldest = self.slots.iter().find(|s| s.state() != FILLED);
            let Some(oldest) = oldest else { return Ok(Free::Unsent) };
            waited = true;
            wait(device, oldest.last.clone(), fault)?;
            if self.slots.iter().any(|s| s.state() == FAILED) || !self.slots.iter().any(mapped) {
                return Err(fault.or("the GPU did not hand its memory to the host"));
            }
        }
    }

    /// Copies `words` into the last buffer of the ring and records their way to byte `offset` of `to`.
    pub(super) fn copy(
        &mut self,
        encoder: &mut CommandEncoder,
        (to, offset): (&Buffer, u64),
        words: &[u32],
    ) -> Result<()> {
        let Some(slot) = self.slots.last_mut() else { return Ok(()) };
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let mut view = slot.buffer.get_mapped_range_mut(..bytes.len() as u64).map_err(gone)?;
        spread(view.slice(..), bytes);
        drop(view);
        slot.buffer.unmap();
        slot.state.store(FILLED, Ordering::Release);
        encoder.copy_buffer_to_buffer(&slot.buffer, 0, to, offset, Some(bytes.len() as u64));
        Ok(())
    }

    /// The commands that copy from filled buffers went out as `submission`.
    pub(super) fn sent(&mut self, submission: &SubmissionIndex) {
        for slot in self.slots.iter_mut().filter(|s| s.state() == FILLED) {
            slot.map(MapMode::Write, submission.clone());
        }
    }
}

/// The buffer for copies back.
#[derive(Debug, Default)]
pub(super) struct Down(Option<Slot>);

impl Down {
    /// Records the copy of `bytes` of `from`, from byte `offset` on.
    pub(super) fn record(
        &mut self,
        device: &Device,
        encoder: &mut CommandEncoder,
        (from, offset): (&Buffer, u64),
        bytes: u64,
    ) -> Result<()> {
        if self.0.as_ref().is_none_or(|s| s.buffer.size() < bytes) {
            self.0 = None;
            self.0 =
                Some(Slot::new(device, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST, WAITING)?);
        }
        if let Some(slot) = &self.0 {
            encoder.copy_buffer_to_buffer(from, offset, &slot.buffer, 0, Some(bytes));
        }
        Ok(())
    }

    /// What was recorded and went out as `submission`; waits for it.
    pub(super) fn fetch(
        &mut self,
        device: &Device,
        fault: &Fault,
        submission: SubmissionIndex,
        into: &mut [u32],
    ) -> Result<()> {
        let Some(slot) = &mut self.0 else { return Ok(()) };
        slot.map(MapMode::Read, submission.clone());
        wait(device, Some(submission), fault)?;
        if slot.state() != MAPPED {
            return Err(fault.or("the GPU did not hand its memory to the host"));
        }
        let view = slot.buffer.get_mapped_range(..size_of_val(into) as u64).map_err(gone)?;
        bytemuck::cast_slice_mut(into).copy_from_slice(&view);
        drop(view);
        slot.buffer.unmap();
        fault.check()
    }
}

/// Copies `from` with all cores: one alone does not reach the memory's bandwidth, and the device has nothing else to do
/// meanwhile than to end the frame before.
fn spread(to: WriteOnly<'_, [u8]>, from: &[u8]) {
    let (parts, mut rest) = to.into_chunks::<PART>();
    let (whole, last) = from.as_chunks::<PART>();
    // Of the views only those of one part may go to another thread.
    let parts: Vec<_> = parts.into_iter().zip(whole).collect();
    parts.into_par_iter().for_each(|(to, from)| WriteOnly::<[u8]>::from(to).copy_from_slice(from));
    rest.copy_from_slice(last);
}

fn gone(e: wgpu::MapRangeError) -> Error {
    Error::Gpu(format!("the GPU's memory cannot be reached from the host: {}", one_line(&e)))
}

/// Waits for submission `last`, or for all.
pub(super) fn wait(device: &Device, last: Option<SubmissionIndex>, fault: &Fault) -> Result<()> {
    poll(device, PollType::Wait { submission_index: last, timeout: Some(PATIENCE) }, fault)
}

fn poll(device: &Device, how: PollType, fault: &Fault) -> Result<()> {
    // wgpu panics in `poll` when the device is lost while it waits; the session must go on with the CPU.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.poll(how))) {
        Ok(Ok(_)) => fault.check(),
        Ok(Err(e)) => Err(fault.or(&format!(
            "the GPU did not finish its work in {} s: {}",
            PATIENCE.as_secs(),
            one_line(&e)
        ))),
        Err(_) => {
            fault.note("the GPU was lost while it worked".to_owned());
            fault.check()
        }
    }
}
