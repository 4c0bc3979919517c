//! How fast a device copies its own memory: what its kernels are held against.

use super::memory::create;
use super::{Gpu, STAGED, transfer};
use crate::backend::Backend;
use crate::error::Result;
use std::time::{Duration, Instant};
use wgpu::BufferUsages;

/// A submission copies for about this long, so that handing it over does not count.
const LONG: Duration = Duration::from_millis(30);
/// Copies of one submission at most.
const MOST_COPIES: u32 = 256;
/// Bytes of the smallest buffers that are worth copying.
const LEAST: u64 = 1 << 20;

impl Gpu {
    /// Whether times of kernels are the device's own, by timestamps; else, where times are asked for, the host's.
    #[must_use]
    pub fn stamped(&self) -> bool {
        self.stamps.is_some()
    }

    /// Copies buffers of `bytes`, or as many as fit, `runs` times: bytes read and written a second, of each run.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails or has not even room for small ones.
    pub fn copy_rates(&mut self, bytes: u64, runs: usize) -> Result<Vec<f64>> {
        self.flush()?;
        let mut size = bytes.min(self.device.limits().max_buffer_size).max(LEAST).next_multiple_of(4);
        let usage = BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let (from, to) = loop {
            let pair = create(&self.device, "copied", size, usage, false)
                .and_then(|from| Ok((from, create(&self.device, "copy", size, usage, false)?)));
            match pair {
                Ok(pair) => break pair,
                Err(_) if size / 2 >= LEAST => size = (size / 2).next_multiple_of(4),
                Err(e) => return Err(e),
            }
        };
        let mut copy = |times: u32| -> Result<f64> {
            let start = Instant::now();
            let mut encoder = self.encoder();
            for _ in 0..times {
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, Some(size));
            }
            let last = self.queue.submit([encoder.finish()]);
            transfer::wait(&self.device, Some(last), &self.fault)?;
            Ok(start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE) / f64::from(times))
        };
        // The first touches the memory and wakes the device, the second says how many make a long submission.
        copy(1)?;
        let times = ((LONG.as_secs_f64() / copy(1)?) as u32).clamp(1, MOST_COPIES);
        let rates = (0..runs).map(|_| Ok(2.0 * size as f64 / copy(times)?)).collect();
        from.destroy();
        to.destroy();
        rates
    }

    /// Sends a frame of `bytes` (no less and no more than goes through a kept buffer at a time) again and again as a night
    /// has it, `runs` times: bytes a second, of each run. A copy on the host is part of it. Small uploads, which the queue
    /// buffers, would only fill memory.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails or has no room.
    pub fn upload_rates(&mut self, bytes: usize, runs: usize) -> Result<Vec<f64>> {
        // Not zeros: those are pages that the system has not got yet.
        let words = vec![0x0101_0101_u32; bytes.clamp(STAGED, transfer::PIECE).div_ceil(4)];
        let mut to = self.alloc("sent", words.len())?;
        let mut send = |times: u32| -> Result<f64> {
            let start = Instant::now();
            for _ in 0..times {
                self.write(&mut to, &words)?;
            }
            self.flush()?;
            transfer::wait(&self.device, None, &self.fault)?;
            Ok(start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE) / f64::from(times))
        };
        // The first ones take the buffers and touch them, the next says how many make a long run.
        send(transfer::RING as u32)?;
        let times = ((LONG.as_secs_f64() / send(1)?) as u32).clamp(transfer::RING as u32, MOST_COPIES);
        (0..runs).map(|_| Ok(size_of_val(&words[..]) as f64 / send(times)?)).collect()
    }
}
