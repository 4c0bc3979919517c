//! The GPU backend: one queue, pipelines made when first used, dispatches collected in one encoder until a copy needs
//! them to run.

use super::Backend;
use super::bands::{self, Bounds};
use super::caps;
use crate::error::{Error, Result};
use crate::kernels::Kernel;
use crate::timing::Timings;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use wgpu::{Adapter, Buffer, BufferUsages, CommandEncoder, Device, Features, Queue, SubmissionIndex};

mod copy;
mod counts;
mod kept;
mod memory;
mod pass;
mod pipeline;
mod stamps;
mod transfer;

pub use counts::Counts;
use kept::Kept;
use memory::{Fault, create, one_line};
use pass::{Gone, Groups, Planned};
use pipeline::Pipelines;
use stamps::Stamps;
use transfer::{Down, Free, Ring};

/// Parameters stand this far apart in the ring, bytes.
const SLOT: usize = bands::ALIGNMENT as usize;
/// Dispatches of one submission.
const SLOTS: usize = 256;
/// What a driver takes of the host's memory, with the kernels that it compiles, bytes: lavapipe 105 MB.
const DRIVER: u64 = 128 << 20;
/// Uploads from this size on, bytes, go through kept staging buffers; smaller ones are left to the queue.
const STAGED: usize = 4 << 20;
/// Bytes of the buffers that stand in for those a call does not use.
const DUMMY: u64 = 256;
/// Storage buffers that a kernel may bind.
const BINDINGS: usize = 8;

/// Words on the device.
#[derive(Debug)]
pub struct GpuBuffer {
    buffer: Buffer,
    label: &'static str,
    /// Its number among the device's, from 1 on.
    id: u64,
    gone: Gone,
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        self.gone.note(self.id);
    }
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Measure each dispatch on the device: serialises the queue.
    pub timings: bool,
    /// Bounds of a band other than the device's own, so that small frames take the road of large ones.
    pub bounds: Option<Bounds>,
    /// Ask for what [`Gpu::keep`] needs, where the adapter offers it.
    pub keep: bool,
    /// Staging buffers for uploads at most, fewer than usual: what a board without memory for more is left with.
    pub staging: Option<usize>,
}

/// The GPU backend.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    queue: Queue,
    info: wgpu::AdapterInfo,
    bounds: Bounds,
    fault: Fault,
    pipelines: Pipelines,
    kept: Option<Kept>,
    groups: Groups,
    planned: Vec<Planned>,
    buffers: u64,
    encoder: Option<CommandEncoder>,
    /// Parameters of the dispatches in `encoder`, one slot each.
    params: Vec<u8>,
    ring: Buffer,
    zeros: Buffer,
    spares: Vec<Buffer>,
    up: Ring,
    down: Down,
    stamps: Option<Stamps>,
    /// Wait for each kernel and take the host's time: where times are asked for and the device has no timestamps.
    stepwise: bool,
    counts: Counts,
    timings: Timings,
}

impl Gpu {
    /// Opens `adapter` with the limits of [`caps::pi_limits`].
    ///
    /// # Errors
    /// [`Error::Gpu`] where the driver refuses.
    pub fn open(adapter: &Adapter, options: Options) -> Result<Gpu> {
        let stamped = options.timings && adapter.features().contains(Features::TIMESTAMP_QUERY);
        let mut features = Features::empty();
        features.set(Features::TIMESTAMP_QUERY, stamped);
        features.set(
            Features::PIPELINE_CACHE,
            options.keep && adapter.features().contains(Features::PIPELINE_CACHE),
        );
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("livestack"),
            required_features: features,
            required_limits: caps::pi_limits(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        }))
        .map_err(|e| Error::Gpu(format!("the driver refuses the device: {}", one_line(&e))))?;
        let fault = Fault::default();
        let noted = fault.clone();
        device
            .on_uncaptured_error(Arc::new(move |e: wgpu::Error| noted.note(format!("the GPU failed: {e}"))));
        let noted = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            noted.note(format!("the GPU was lost ({reason:?}): {message}"));
        });
        let storage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        let info = adapter.get_info();
        Ok(Gpu {
            ring: create(
                &device,
                "parameters",
                (SLOT * SLOTS) as u64,
                BufferUsages::UNIFORM | BufferUsages::COPY_DST,
                false,
            )?,
            zeros: create(&device, "zeros", DUMMY, storage, false)?,
            spares: (0..BINDINGS)
                .map(|_| create(&device, "spare", DUMMY, storage, false))
                .collect::<Result<_>>()?,
            stamps: stamped.then(|| Stamps::new(&device, &queue, SLOTS as u32)),
            stepwise: options.timings && !stamped,
            bounds: options.bounds.unwrap_or_else(|| caps::bounds(info.device_type, &device.limits())),
            info,
            fault,
            pipelines: Pipelines::default(),
            kept: None,
            groups: Groups::default(),
            planned: Vec::new(),
            buffers: 0,
            encoder: None,
            params: Vec::with_capacity(SLOT * SLOTS),
            up: Ring::new(options.staging.unwrap_or(transfer::RING)),
            down: Down::default(),
            counts: Counts::default(),
            timings: Timings::default(),
            device,
            queue,
        })
    }

    /// Starts counting anew: after the self-test.
    pub fn forget_timings(&mut self) {
        let _ = self.timings();
        self.timings = Timings::default();
    }

    /// Keeps compiled kernels in `folder` for the next start, and takes those of the last one. Without
    /// [`Options::keep`], on a device that cannot do it, or in a folder that cannot be used nothing happens.
    pub fn keep(&mut self, folder: &Path) {
        self.kept = Kept::open(&self.device, &self.info, folder, self.pipelines.len());
    }

    /// Whether kernels of an earlier start were found.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.kept.as_ref().is_some_and(Kept::found)
    }

    /// Gives the device back at once, for instance before the session goes on with the CPU. Later calls fail.
    pub fn destroy(&mut self) {
        self.kept = None;
        self.device.destroy();
    }

    /// What was asked of the device so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Dispatches so far: more than kernels ran where rows were cut into bands.
    #[must_use]
    pub fn dispatches(&self) -> u64 {
        self.counts.dispatches
    }

    /// Staging buffers for uploads that were taken so far.
    #[must_use]
    pub fn staging(&self) -> usize {
        self.up.len()
    }

    fn encoder(&mut self) -> CommandEncoder {
        self.encoder
            .take()
            .unwrap_or_else(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    /// Hands what was collected to the device; `None` where that is nothing.
    fn send(&mut self) -> Option<SubmissionIndex> {
        let encoder = self.encoder.take();
        if encoder.is_some() && !self.params.is_empty() {
            self.queue.write_buffer(&self.ring, 0, &self.params);
            self.counts.sent_bytes += self.params.len() as u64;
        }
        self.params.clear();
        let submission = self.queue.submit([encoder?.finish()]);
        self.counts.submissions += 1;
        self.up.sent(&submission);
        Some(submission)
    }

    /// Submits what was collected.
    fn flush(&mut self) -> Result<()> {
        let stamped = self.stamps.as_ref().is_some_and(|s| !s.is_empty());
        if stamped && let Some(mut encoder) = self.encoder.take() {
            let Some(mut stamps) = self.stamps.take() else { return Ok(()) };
            let (buffer, words) = stamps.resolve(&mut encoder);
            self.encoder = Some(encoder);
            let mut read = vec![0; words];
            let done = self.fetch((buffer, 0), &mut read);
            stamps.add_to(&mut self.timings, &read);
            self.stamps = Some(stamps);
            done?;
        } else {
            self.send();
        }
        self.fault.check()
    }

    /// Submits what was collected and a copy of `from`, from byte `offset` on, into `into`; waits for it.
    fn fetch(&mut self, from: (&Buffer, u64), into: &mut [u32]) -> Result<()> {
        let bytes = size_of_val(into) as u64;
        let mut encoder = self.encoder();
        let recorded = self.down.record(&self.device, &mut encoder, from, bytes);
        self.encoder = Some(encoder);
        recorded?;
        let Some(submission) = self.send() else { return Ok(()) };
        self.counts.waits += 1;
        self.counts.reads += 1;
        self.counts.read_bytes += bytes;
        self.down.fetch(&self.device, &self.fault, submission, into)
    }

    /// Copies `words` into a staging buffer and records their way to byte `offset` of `to`.
    fn stage(&mut self, to: (&Buffer, u64), words: &[u32]) -> Result<()> {
        let bytes = size_of_val(words) as u64;
        let waited = loop {
            match self.up.free(&self.device, &self.fault, bytes)? {
                Free::Mapped(waited) => break waited,
                Free::Unsent => self.flush()?,
            }
        };
        self.counts.waits += u64::from(waited);
        self.counts.upload_waits += u64::from(waited);
        let mut encoder = self.encoder();
        let copied = self.up.copy(&mut encoder, to, words);
        self.encoder = Some(encoder);
        self.counts.uploads += 1;
        self.counts.sent_bytes += bytes;
        copied
    }
}

/// Kernels that no frame has settled yet are kept too.
impl Drop for Gpu {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.as_mut().filter(|_| self.fault.check().is_ok()) {
            kept.save(self.pipelines.len());
        }
    }
}

impl Backend for Gpu {
    type Buffer = GpuBuffer;

    fn describe(&self) -> String {
        let i = &self.info;
        let driver = [i.driver.as_str(), i.driver_info.as_str()].join(" ");
        format!("GPU {} ({}, {}, {})", i.name, caps::kind(i.device_type), i.backend, driver.trim())
    }

    fn apart(&self) -> bool {
        // Of a device that is not known it cannot be said: its buffers tell.
        !matches!(self.info.device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu)
    }

    fn driver(&self, frame: u64) -> u64 {
        DRIVER + (self.up.most() as u64 + 1) * frame.min(transfer::PIECE as u64)
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<GpuBuffer> {
        self.fault.check()?;
        self.groups.forget();
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = create(&self.device, label, (words.max(1) * 4) as u64, usage, false)?;
        self.buffers += 1;
        Ok(GpuBuffer { buffer, label, id: self.buffers, gone: self.groups.gone() })
    }

    fn upload(&mut self, to: &mut GpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
        if let Some(kept) = &mut self.kept {
            kept.frame(self.pipelines.len());
        }
        self.write(to, &words)?;
        Ok(words)
    }

    fn write(&mut self, to: &mut GpuBuffer, words: &[u32]) -> Result<()> {
        if size_of_val(words) as u64 > to.buffer.size() {
            return Err(Error::Gpu(format!(
                "GPU buffer `{}` is too short for what is copied to it",
                to.label
            )));
        }
        self.fault.check()?;
        if size_of_val(words) < STAGED {
            // What was collected before may still need the old contents: the queue writes before all of it.
            self.flush()?;
            self.queue.write_buffer(&to.buffer, 0, bytemuck::cast_slice(words));
            self.counts.sent_bytes += size_of_val(words) as u64;
        } else {
            for (k, piece) in words.chunks(transfer::PIECE / 4).enumerate() {
                self.stage((&to.buffer, (k * transfer::PIECE) as u64), piece)?;
            }
        }
        self.fault.check()
    }

    fn read(&mut self, from: &GpuBuffer, into: &mut [u32]) -> Result<()> {
        if size_of_val(into) as u64 > from.buffer.size() {
            return Err(Error::Gpu(format!(
                "GPU buffer `{}` is shorter than what is read of it",
                from.label
            )));
        }
        if into.is_empty() || self.stamps.is_some() {
            self.flush()?;
        }
        self.fault.check()?;
        for (k, piece) in into.chunks_mut(transfer::PIECE / 4).enumerate() {
            self.fetch((&from.buffer, (k * transfer::PIECE) as u64), piece)?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<()> {
        self.flush()
    }

    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&GpuBuffer>],
        writes: &mut [Option<&mut GpuBuffer>],
    ) -> Result<()> {
        self.fault.check()?;
        let start = Instant::now();
        self.record::<K>(p, reads, writes)?;
        if self.stepwise {
            self.flush()?;
            self.counts.waits += 1;
            transfer::wait(&self.device, None, &self.fault)?;
        }
        if self.stamps.is_none() {
            self.timings.add(K::NAME, true, start.elapsed(), K::bytes(p));
        }
        Ok(())
    }

    fn timings(&mut self) -> &Timings {
        // A failure shows in the next call that returns one.
        let _ = self.flush();
        &self.timings
    }
}
