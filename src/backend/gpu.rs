//! The GPU backend: one queue, pipelines made when first used, dispatches collected in one encoder until a copy needs
//! them to run.

use super::Backend;
use super::bands::{self, Bounds, DISPATCH_PIXELS};
use super::caps;
use crate::error::{Error, Result};
use crate::kernels::{Access, Kernel};
use crate::timing::Timings;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use wgpu::{Adapter, Buffer, BufferUsages, CommandEncoder, Device, Features, Queue};

mod copy;
mod memory;
mod pipeline;
mod stamps;
mod transfer;

use memory::{Fault, create, one_line};
use pipeline::Pipeline;
use stamps::Stamps;
use transfer::Staging;

/// Parameters stand this far apart in the ring, bytes.
const SLOT: usize = bands::ALIGNMENT as usize;
/// Dispatches of one submission.
const SLOTS: usize = 256;
/// Uploads from this size on, bytes, go through a kept staging buffer; smaller ones are left to the queue.
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
}

/// Bytes of a buffer that is bound band by band.
#[derive(Clone, Copy, Debug)]
struct Streamed {
    row: u64,
    /// Of all rows: the last may be cut.
    all: u64,
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Measure each dispatch on the device: serialises the queue.
    pub timings: bool,
    /// Bounds of a band that are tighter than the device's, so that small frames take the road of large ones.
    pub bounds: Option<Bounds>,
}

/// The GPU backend.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    queue: Queue,
    info: wgpu::AdapterInfo,
    bounds: Bounds,
    fault: Fault,
    pipelines: HashMap<pipeline::Key, Pipeline>,
    encoder: Option<CommandEncoder>,
    /// Parameters of the dispatches in `encoder`, one slot each.
    params: Vec<u8>,
    ring: Buffer,
    zeros: Buffer,
    spares: Vec<Buffer>,
    up: Staging,
    down: Staging,
    stamps: Option<Stamps>,
    /// Wait for each kernel and take the host's time: where times are asked for and the device has no timestamps.
    stepwise: bool,
    dispatches: u64,
    timings: Timings,
}

impl Gpu {
    /// Opens `adapter` with the limits of [`caps::pi_limits`].
    ///
    /// # Errors
    /// [`Error::Gpu`] where the driver refuses.
    pub fn open(adapter: &Adapter, options: Options) -> Result<Gpu> {
        let stamped = options.timings && adapter.features().contains(Features::TIMESTAMP_QUERY);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("livestack"),
            required_features: if stamped { Features::TIMESTAMP_QUERY } else { Features::empty() },
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
        let own = Bounds {
            binding_bytes: device.limits().max_storage_buffer_binding_size,
            dispatch_pixels: DISPATCH_PIXELS,
        };
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
            info: adapter.get_info(),
            bounds: options.bounds.unwrap_or(own),
            fault,
            pipelines: HashMap::new(),
            encoder: None,
            params: Vec::with_capacity(SLOT * SLOTS),
            up: Staging::up(),
            down: Staging::down(),
            dispatches: 0,
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

    /// Gives the device back at once, for instance before the session goes on with the CPU. Later calls fail.
    pub fn destroy(&mut self) {
        self.device.destroy();
    }

    /// Dispatches so far: more than kernels ran where rows were cut into bands.
    #[must_use]
    pub fn dispatches(&self) -> u64 {
        self.dispatches
    }

    fn pipeline<K: Kernel>(&mut self, p: &K::Params) -> Result<Pipeline> {
        let key = pipeline::key::<K>(p);
        if let Some(made) = self.pipelines.get(&key) {
            return Ok(made.clone());
        }
        let made = pipeline::compile::<K>(&self.device, &key)?;
        self.pipelines.insert(key, made.clone());
        Ok(made)
    }

    fn encoder(&mut self) -> CommandEncoder {
        self.encoder
            .take()
            .unwrap_or_else(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    /// Writes the parameters of the dispatches that the next submission holds.
    fn write_params(&mut self) {
        if !self.params.is_empty() {
            self.queue.write_buffer(&self.ring, 0, &self.params);
            self.params.clear();
        }
    }

    /// Submits what was collected.
    fn flush(&mut self) -> Result<()> {
        if self.encoder.is_none() {
            self.params.clear();
            return self.fault.check();
        }
        self.write_params();
        let mut encoder = self.encoder();
        if let Some(stamps) = &mut self.stamps {
            let (buffer, words) = stamps.resolve(&mut encoder);
            let mut stamped = vec![0; words];
            self.down.read((&self.device, &self.queue, &self.fault), encoder, buffer, &mut stamped)?;
            stamps.add_to(&mut self.timings, &stamped);
        } else {
            self.queue.submit([encoder.finish()]);
        }
        self.fault.check()
    }

    /// The binding of the `band` of `buffer`, or of all of it where it is not streamed.
    fn bind<'a>(
        &self,
        buffer: &'a GpuBuffer,
        streamed: Option<Streamed>,
        band: &std::ops::Range<u32>,
    ) -> Result<wgpu::BindingResource<'a>> {
        let (offset, size) = match streamed {
            Some(Streamed { row, all }) => {
                let start = u64::from(band.start) * row;
                let end = (u64::from(band.end) * row).min(all);
                (start, end.saturating_sub(start).next_multiple_of(4))
            }
            None => (0, buffer.buffer.size()),
        };
        let limit = self.bounds.binding_bytes;
        if size > limit {
            return Err(Error::Gpu(format!(
                "GPU buffer `{}` is {size} bytes and must be bound whole: at most {limit} fit, {} Mpix of 16-bit samples: \
                 use --backend cpu for such frames",
                buffer.label,
                limit / 2_000_000
            )));
        }
        if offset + size > buffer.buffer.size() {
            return Err(Error::Gpu(format!(
                "GPU buffer `{}` is too short: {} bytes needed, {} there",
                buffer.label,
                offset + size,
                buffer.buffer.size()
            )));
        }
        Ok(wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &buffer.buffer,
            offset,
            size: std::num::NonZeroU64::new(size),
        }))
    }
}

impl Backend for Gpu {
    type Buffer = GpuBuffer;

    fn describe(&self) -> String {
        let i = &self.info;
        let driver = [i.driver.as_str(), i.driver_info.as_str()].join(" ");
        format!("GPU {} ({}, {}, {})", i.name, caps::kind(i.device_type), i.backend, driver.trim())
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<GpuBuffer> {
        self.fault.check()?;
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = create(&self.device, label, (words.max(1) * 4) as u64, usage, false)?;
        Ok(GpuBuffer { buffer, label })
    }

    fn upload(&mut self, to: &mut GpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
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
        // What was collected before may still need the old contents.
        self.flush()?;
        if size_of_val(words) < STAGED {
            self.queue.write_buffer(&to.buffer, 0, bytemuck::cast_slice(words));
        } else {
            let encoder = self.encoder();
            self.up.write((&self.device, &self.queue, &self.fault), encoder, &to.buffer, words)?;
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
        if into.is_empty() {
            return self.flush();
        }
        if self.stamps.is_some() {
            self.flush()?;
        }
        self.fault.check()?;
        self.write_params();
        let encoder = self.encoder();
        self.down.read((&self.device, &self.queue, &self.fault), encoder, &from.buffer, into)
    }

    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&GpuBuffer>],
        writes: &mut [Option<&mut GpuBuffer>],
    ) -> Result<()> {
        use crate::kernels::Params as _;
        const { assert!(size_of::<K::Params>() <= SLOT, "the parameters fit their slot of the ring") };
        self.fault.check()?;
        let start = Instant::now();
        let made = self.pipeline::<K>(p)?;
        // Each buffer with the bytes of its rows: None for those bound whole.
        let mut bound: Vec<(Option<&GpuBuffer>, Option<Streamed>)> = Vec::with_capacity(BINDINGS);
        for (k, (buffer, (_, access))) in reads.iter().zip(K::READS).enumerate() {
            let streamed = (*access == Access::Streamed)
                .then(|| Streamed { row: K::read_row_bytes(p, k) as u64, all: K::read_bytes(p, k) });
            bound.push((buffer.filter(|_| streamed.is_none_or(|s| s.row != 0)), streamed));
        }
        for (k, buffer) in writes.iter().enumerate() {
            let row = 4 * K::write_row_words(p, k) as u64;
            let streamed = Streamed { row, all: row * u64::from(K::rows(p)) };
            bound.push((buffer.as_deref().filter(|_| row != 0), Some(streamed)));
        }
        let row_bytes: Vec<u64> =
            bound.iter().filter(|(b, _)| b.is_some()).filter_map(|(_, s)| s.map(|s| s.row)).collect();
        let all = bands::cut(K::rows(p), K::work(p), &row_bytes, |n| K::groups(p, n), self.bounds)
            .map_err(|e| Error::Gpu(format!("kernel {}: {e}: use --backend cpu for such frames", K::NAME)))?;
        for band in all {
            if self.params.len() == SLOT * SLOTS {
                self.flush()?;
            }
            let slot = self.params.len() as u32;
            let mine = p.with_rows(band.start, band.end - band.start);
            self.params.extend_from_slice(bytemuck::bytes_of(&mine));
            self.params.resize(slot as usize + SLOT, 0);
            let mut entries = vec![wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &self.ring,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size_of::<K::Params>() as u64),
                }),
            }];
            for (k, (buffer, streamed)) in bound.iter().enumerate() {
                let resource = match buffer {
                    Some(b) => self.bind(b, *streamed, &band)?,
                    None if k < K::READS.len() => self.zeros.as_entire_binding(),
                    None => self.spares[k].as_entire_binding(),
                };
                entries.push(wgpu::BindGroupEntry { binding: 1 + k as u32, resource });
            }
            let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(K::NAME),
                layout: &made.layout,
                entries: &entries,
            });
            let mut encoder = self.encoder();
            let first = band.start == 0;
            let bytes = if first { K::bytes(p) } else { 0 };
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(K::NAME),
                timestamp_writes: self.stamps.as_mut().map(|s| s.next((K::NAME, bytes, first))),
            });
            pass.set_pipeline(&made.pipeline);
            pass.set_bind_group(0, &group, &[slot]);
            let [x, y, z] = K::groups(p, band.end - band.start);
            pass.dispatch_workgroups(x, y, z);
            drop(pass);
            self.dispatches += 1;
            self.encoder = Some(encoder);
        }
        if self.stepwise {
            self.flush()?;
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
