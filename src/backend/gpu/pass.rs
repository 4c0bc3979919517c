//! The dispatches of one kernel: its bands, what each binds, one compute pass for them all.

use super::pipeline::Pipeline;
use super::{BINDINGS, Gpu, GpuBuffer, SLOT, SLOTS};
use crate::backend::bands;
use crate::error::{Error, Result};
use crate::kernels::{Access, Kernel, Params as _};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::BindGroup;

/// Binding groups kept at most: a night of 20 Mpix frames has about 50. Sizes that change with every frame (stars, patches)
/// leave some behind.
const KEPT: usize = 1024;

/// A buffer as a kernel binds it: `None` where it is not used; the bytes of its rows, `None` where it is bound whole.
type Bound<'a> = (Option<&'a GpuBuffer>, Option<Streamed>);

/// Bytes of a buffer that is bound band by band.
#[derive(Clone, Copy, Debug)]
struct Streamed {
    row: u64,
    /// Of all rows: the last may be cut.
    all: u64,
}

/// Part of a buffer: the buffer's number (0: a stand-in), first byte, bytes.
type Span = (u64, u64, u64);

/// A compiled kernel and what it binds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    pipeline: usize,
    spans: [Span; BINDINGS],
}

/// Binding groups that are kept as long as their buffers.
#[derive(Debug, Default)]
pub(super) struct Groups {
    made: HashMap<Key, BindGroup>,
    gone: Gone,
}

/// Numbers of buffers that were dropped: a group would keep their memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Gone(Arc<Mutex<Vec<u64>>>);

impl Gone {
    pub(super) fn note(&self, buffer: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Groups {
    /// For new buffers to tell of their end.
    pub(super) fn gone(&self) -> Gone {
        self.gone.clone()
    }

    /// Lets go of buffers that were dropped.
    pub(super) fn forget(&mut self) {
        let gone = self.gone.take();
        if !gone.is_empty() {
            self.made.retain(|key, _| !key.spans.iter().any(|(buffer, ..)| gone.contains(buffer)));
        }
        if self.made.len() >= KEPT {
            self.made.clear();
        }
    }
}

/// A dispatch: what it binds, the rows it covers.
pub(super) type Planned = (BindGroup, Range<u32>);

impl Gpu {
    /// Records kernel `K` over all its rows.
    pub(super) fn record<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&GpuBuffer>],
        writes: &[Option<&mut GpuBuffer>],
    ) -> Result<()> {
        const {
            assert!(size_of::<K::Params>() <= SLOT, "the parameters fit their slot of the ring");
            assert!(K::READS.len() + K::WRITES.len() <= BINDINGS, "the buffers can be bound at once");
        };
        let made = self.pipelines.get::<K>(&self.device, self.kept.as_ref().map(|k| k.cache()), p)?;
        self.groups.forget();
        let mut bound: [Bound; BINDINGS] = [(None, None); BINDINGS];
        for (k, (buffer, (_, access))) in reads.iter().zip(K::READS).enumerate() {
            let streamed = (*access == Access::Streamed)
                .then(|| Streamed { row: K::read_row_bytes(p, k) as u64, all: K::read_bytes(p, k) });
            bound[k] = (buffer.filter(|_| streamed.is_none_or(|s| s.row != 0)), streamed);
        }
        for (k, buffer) in writes.iter().enumerate().take(K::WRITES.len()) {
            let row = 4 * K::write_row_words(p, k) as u64;
            let streamed = Streamed { row, all: row * u64::from(K::rows(p)) };
            bound[K::READS.len() + k] = (buffer.as_deref().filter(|_| row != 0), Some(streamed));
        }
        let bound = &bound[..K::READS.len() + K::WRITES.len()];
        let mut rows = [0; BINDINGS];
        let mut streams = 0;
        for row in bound.iter().filter(|(b, _)| b.is_some()).filter_map(|(_, s)| s.map(|s| s.row)) {
            rows[streams] = row;
            streams += 1;
        }
        let all = bands::cut(K::rows(p), K::work(p), &rows[..streams], |n| K::groups(p, n), self.bounds)
            .map_err(|e| Error::Gpu(format!("kernel {}: {e}: use --backend cpu for such frames", K::NAME)))?;
        for (k, some) in all.chunks(SLOTS).enumerate() {
            if self.params.len() + SLOT * some.len() > SLOT * SLOTS {
                self.flush()?;
            }
            let mut planned = std::mem::take(&mut self.planned);
            planned.clear();
            for band in some {
                let group = self.group::<K>(&made, bound, band)?;
                planned.push((group, band.clone()));
            }
            self.dispatch::<K>(p, &made, &planned, k == 0);
            self.planned = planned;
        }
        Ok(())
    }

    /// Records one pass for the `planned` dispatches; `first`: they are the first of their call.
    fn dispatch<K: Kernel>(&mut self, p: &K::Params, made: &Pipeline, planned: &[Planned], first: bool) {
        let mut encoder = self.encoder();
        let bytes = if first { K::bytes(p) } else { 0 };
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(K::NAME),
            timestamp_writes: self.stamps.as_mut().map(|s| s.next((K::NAME, bytes, first))),
        });
        pass.set_pipeline(&made.pipeline);
        for (group, band) in planned {
            let slot = self.params.len();
            let mine = p.with_rows(band.start, band.end - band.start);
            self.params.extend_from_slice(bytemuck::bytes_of(&mine));
            self.params.resize(slot + SLOT, 0);
            pass.set_bind_group(0, group, &[slot as u32]);
            let [x, y, z] = K::groups(p, band.end - band.start);
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        self.counts.dispatches += planned.len() as u64;
        self.encoder = Some(encoder);
    }

    /// What kernel `K` binds for `band`.
    fn group<K: Kernel>(&mut self, made: &Pipeline, bound: &[Bound], band: &Range<u32>) -> Result<BindGroup> {
        let mut key = Key { pipeline: made.id, spans: [Span::default(); BINDINGS] };
        for (span, (buffer, streamed)) in key.spans.iter_mut().zip(bound) {
            if let Some(buffer) = buffer {
                *span = self.span(buffer, *streamed, band)?;
            }
        }
        if let Some(group) = self.groups.made.get(&key) {
            return Ok(group.clone());
        }
        let part = |buffer, offset, size| {
            let size = std::num::NonZeroU64::new(size);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
        };
        let params = part(&self.ring, 0, size_of::<K::Params>() as u64);
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: params }];
        for (k, ((buffer, _), (_, offset, size))) in bound.iter().zip(key.spans).enumerate() {
            let resource = match buffer {
                Some(b) => part(&b.buffer, offset, size),
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
        self.counts.groups += 1;
        self.groups.made.insert(key, group.clone());
        Ok(group)
    }

    /// The `band` of `buffer`, or all of it where it is not streamed.
    fn span(&self, buffer: &GpuBuffer, streamed: Option<Streamed>, band: &Range<u32>) -> Result<Span> {
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
        Ok((buffer.id, offset, size))
    }
}
