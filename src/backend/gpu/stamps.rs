//! Time of each dispatch on the device, by timestamp queries. They serialise the queue: only where asked for.

use crate::timing::Timings;
use std::time::Duration;
use wgpu::{BufferUsages, CommandEncoder, Device, Queue};

/// Bytes of one timestamp.
const STAMP: u64 = 8;

/// What a pair of queries measures: kernel, bytes moved (0 for all but the first band of a call), first band.
type Measured = (&'static str, u64, bool);

/// A set of queries, refilled with every submission.
#[derive(Debug)]
pub(super) struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    taken: Vec<Measured>,
    ns_per_tick: f64,
}

impl Stamps {
    /// For at most `pairs` dispatches a submission.
    pub(super) fn new(device: &Device, queue: &Queue, pairs: u32) -> Self {
        Stamps {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: pairs * 2,
            }),
            resolved: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: u64::from(pairs) * 2 * STAMP,
                usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            taken: Vec::new(),
            ns_per_tick: f64::from(queue.get_timestamp_period()),
        }
    }

    /// Whether nothing was measured since the last submission.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Where the next pass writes its two stamps.
    pub(super) fn next(&mut self, measured: Measured) -> wgpu::ComputePassTimestampWrites<'_> {
        let at = 2 * self.taken.len() as u32;
        self.taken.push(measured);
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(at),
            end_of_pass_write_index: Some(at + 1),
        }
    }

    /// Ends the submission: the buffer that holds the stamps, and how many words of it.
    pub(super) fn resolve(&self, encoder: &mut CommandEncoder) -> (&wgpu::Buffer, usize) {
        let count = 2 * self.taken.len() as u32;
        if count > 0 {
            encoder.resolve_query_set(&self.set, 0..count, &self.resolved, 0);
        }
        (&self.resolved, count as usize * 2)
    }

    /// Adds the spans that `words` (two a stamp, low first) hold.
    pub(super) fn add_to(&mut self, timings: &mut Timings, words: &[u32]) {
        let ticks = |w: &[u32]| u64::from(w[0]) | u64::from(w[1]) << 32;
        for ((name, bytes, first), pair) in self.taken.drain(..).zip(words.as_chunks::<4>().0) {
            let spent = ticks(&pair[2..]).saturating_sub(ticks(&pair[..2]));
            let spent = Duration::from_nanos((spent as f64 * self.ns_per_tick) as u64);
            timings.extend(name, first, spent, bytes);
        }
    }
}
