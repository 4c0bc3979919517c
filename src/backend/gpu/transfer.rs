//! Copies between host and device, through buffers that are kept.

use super::memory::{Fault, create, one_line};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use wgpu::{Buffer, BufferUsages, CommandEncoder, Device, MapMode, PollType, Queue, SubmissionIndex};

/// Sizes of the kept buffers are multiples of this, bytes, so that they rarely grow.
const GRAIN: u64 = 1 << 20;
/// A device that has not answered for this long is given up: many times any work of ours.
const PATIENCE: Duration = Duration::from_secs(60);

/// State of a mapping: wanted, there, failed.
const WAITING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// A kept buffer that the host maps.
#[derive(Debug)]
pub(super) struct Staging {
    usage: BufferUsages,
    mode: MapMode,
    buffer: Option<Buffer>,
    state: Arc<AtomicU8>,
    last: Option<SubmissionIndex>,
}

impl Staging {
    /// For copies to the device.
    pub(super) fn up() -> Self {
        Staging::new(BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC, MapMode::Write)
    }

    /// For copies from the device.
    pub(super) fn down() -> Self {
        Staging::new(BufferUsages::MAP_READ | BufferUsages::COPY_DST, MapMode::Read)
    }

    fn new(usage: BufferUsages, mode: MapMode) -> Self {
        Staging { usage, mode, buffer: None, state: Arc::default(), last: None }
    }

    /// The buffer, at least `bytes` long; a new one (mapped if it is for writing) where the old is too short.
    fn at_least(&mut self, device: &Device, bytes: u64) -> Result<Buffer> {
        if let Some(b) = self.buffer.as_ref().filter(|b| b.size() >= bytes) {
            return Ok(b.clone());
        }
        self.buffer = None;
        let mapped = self.mode == MapMode::Write;
        let buffer = create(device, "staging", bytes.next_multiple_of(GRAIN), self.usage, mapped)?;
        // Its own: a mapping of the old buffer may still be answered.
        self.state = Arc::new(AtomicU8::new(if mapped { MAPPED } else { WAITING }));
        self.last = None;
        self.buffer = Some(buffer.clone());
        Ok(buffer)
    }

    fn map(&self, buffer: &Buffer) {
        let state = Arc::clone(&self.state);
        state.store(WAITING, Ordering::Release);
        buffer.map_async(self.mode, .., move |r| {
            state.store(if r.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
        });
    }

    /// Waits until the buffer is mapped.
    fn mapped(&self, device: &Device, fault: &Fault) -> Result<()> {
        if self.state.load(Ordering::Acquire) == WAITING {
            wait(device, self.last.clone(), fault)?;
        }
        match self.state.load(Ordering::Acquire) {
            MAPPED => Ok(()),
            _ => Err(fault.or("the GPU did not hand its memory to the host")),
        }
    }

    /// Copies `words` to the start of `to`, after what `encoder` holds; submits it.
    pub(super) fn write(
        &mut self,
        (device, queue, fault): (&Device, &Queue, &Fault),
        mut encoder: CommandEncoder,
        to: &Buffer,
        words: &[u32],
    ) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let buffer = self.at_least(device, bytes.len() as u64)?;
        self.mapped(device, fault)?;
        let mut view = buffer.get_mapped_range_mut(..bytes.len() as u64).map_err(gone)?;
        view.copy_from_slice(bytes);
        drop(view);
        buffer.unmap();
        encoder.copy_buffer_to_buffer(&buffer, 0, to, 0, Some(bytes.len() as u64));
        self.last = Some(queue.submit([encoder.finish()]));
        self.map(&buffer);
        Ok(())
    }

    /// Copies the first words of `from` into `into`, after what `encoder` holds; submits it and waits.
    pub(super) fn read(
        &mut self,
        (device, queue, fault): (&Device, &Queue, &Fault),
        mut encoder: CommandEncoder,
        from: &Buffer,
        into: &mut [u32],
    ) -> Result<()> {
        let bytes = size_of_val(into) as u64;
        let buffer = self.at_least(device, bytes)?;
        encoder.copy_buffer_to_buffer(from, 0, &buffer, 0, Some(bytes));
        self.last = Some(queue.submit([encoder.finish()]));
        self.map(&buffer);
        self.mapped(device, fault)?;
        let view = buffer.get_mapped_range(..bytes).map_err(gone)?;
        bytemuck::cast_slice_mut(into).copy_from_slice(&view);
        drop(view);
        buffer.unmap();
        fault.check()
    }
}

fn gone(e: wgpu::MapRangeError) -> Error {
    Error::Gpu(format!("the GPU's memory cannot be reached from the host: {}", one_line(&e)))
}

/// Waits for submission `last`, or for all.
pub(super) fn wait(device: &Device, last: Option<SubmissionIndex>, fault: &Fault) -> Result<()> {
    let poll = PollType::Wait { submission_index: last, timeout: Some(PATIENCE) };
    // wgpu panics in `poll` when the device is lost while it waits; the session must go on with the CPU.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.poll(poll))) {
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
