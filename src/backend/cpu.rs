//! The CPU backend: runs the twins over bands of rows on all cores, with the best instructions at hand.

use super::Backend;
use crate::error::{Error, Result};
use crate::kernels::Kernel;
use crate::timing::Timings;
use memmap2::MmapMut;
use rayon::prelude::*;
use std::ops::Range;
use std::time::Instant;

/// Bands a thread gets on average: enough to even out rows that cost more, few enough to stay cheap.
const BANDS_PER_THREAD: usize = 8;

/// Buffers from this many words on are taken in huge pages where the system has them: a 20 Mpix plane is 20,000 small
/// pages, and the first touch of each costs a fault.
const HUGE_WORDS: usize = 1 << 20;

/// Words in host memory.
#[derive(Debug)]
pub struct CpuBuffer(Storage);

#[derive(Debug)]
enum Storage {
    Vector(Vec<u32>),
    Pages(MmapMut),
}

impl CpuBuffer {
    /// `words` zeros; `None` where there is no room for them.
    fn new(words: usize) -> Option<CpuBuffer> {
        if words >= HUGE_WORDS
            && let Ok(pages) = MmapMut::map_anon(words * 4)
        {
            // Only advice: without it the pages are small.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Some(CpuBuffer(Storage::Pages(pages)));
        }
        bytemuck::allocation::try_zeroed_vec(words).ok().map(|words| CpuBuffer(Storage::Vector(words)))
    }

    fn words(&self) -> &[u32] {
        match &self.0 {
            Storage::Vector(words) => words,
            Storage::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }

    fn words_mut(&mut self) -> &mut [u32] {
        match &mut self.0 {
            Storage::Vector(words) => words,
            Storage::Pages(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}

/// The CPU backend.
#[derive(Debug)]
pub struct Cpu {
    arch: pulp::Arch,
    timings: Timings,
}

impl Default for Cpu {
    fn default() -> Self {
        Cpu { arch: pulp::Arch::new(), timings: Timings::default() }
    }
}

/// Runs a twin where the compiler may use the instruction set that was found at run time.
struct Twin<'a, K: Kernel> {
    p: &'a K::Params,
    rows: Range<u32>,
    reads: &'a [&'a [u32]],
    writes: &'a mut [&'a mut [u32]],
}

impl<K: Kernel> pulp::NullaryFnOnce for Twin<'_, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        K::twin(self.p, self.rows, self.reads, self.writes);
    }
}

/// The instruction set that pulp calls `name`, as everybody calls it.
fn set(name: &str) -> &str {
    match name {
        "V3" => "AVX2",
        "V4" => "AVX-512",
        "Neon" => "NEON",
        "NeonFcma" => "NEON with FCMA",
        other => other,
    }
}

impl Backend for Cpu {
    type Buffer = CpuBuffer;

    fn describe(&self) -> String {
        let set = match self.arch {
            pulp::Arch::Scalar => "baseline instructions".to_owned(),
            other => set(format!("{other:?}").split('(').next().unwrap_or_default()).to_owned(),
        };
        format!("CPU, {} threads, {set}", rayon::current_num_threads())
    }

    fn alloc(&mut self, label: &'static str, words: usize) -> Result<CpuBuffer> {
        const MB: usize = 1_000_000;
        let none = || Error::Memory(format!("memory: {} MB for `{label}` are not to be had", words * 4 / MB));
        CpuBuffer::new(words).ok_or_else(none)
    }

    fn upload(&mut self, to: &mut CpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
        // The words move in; what they replace, if it was a vector, is decoded into next.
        match std::mem::replace(&mut to.0, Storage::Vector(words)) {
            Storage::Vector(old) => Ok(old),
            Storage::Pages(_) => Ok(Vec::new()),
        }
    }

    fn write(&mut self, to: &mut CpuBuffer, words: &[u32]) -> Result<()> {
        to.words_mut()[..words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read(&mut self, from: &CpuBuffer, into: &mut [u32]) -> Result<()> {
        into.copy_from_slice(&from.words()[..into.len()]);
        Ok(())
    }

    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&CpuBuffer>],
        writes: &mut [Option<&mut CpuBuffer>],
    ) -> Result<()> {
        let start = Instant::now();
        let rows = K::rows(p);
        let reads: Vec<&[u32]> = reads.iter().map(|b| b.map_or(&[][..], CpuBuffer::words)).collect();
        let each = (rows as usize).div_ceil(rayon::current_num_threads() * BANDS_PER_THREAD).max(1);
        let mut rest: Vec<&mut [u32]> =
            writes.iter_mut().map(|b| b.as_mut().map_or(&mut [][..], |b| b.words_mut())).collect();
        let mut bands = Vec::new();
        for first in (0..rows).step_by(each) {
            let end = (first + each as u32).min(rows);
            let mut parts: Vec<&mut [u32]> = Vec::with_capacity(rest.len());
            for (k, slice) in rest.iter_mut().enumerate() {
                let words = K::write_row_words(p, k) * (end - first) as usize;
                let (part, tail) = std::mem::take(slice).split_at_mut(words);
                parts.push(part);
                *slice = tail;
            }
            bands.push((first..end, parts));
        }
        let arch = self.arch;
        bands.into_par_iter().for_each(|(rows, mut parts)| {
            arch.dispatch(Twin::<K> { p, rows, reads: &reads, writes: &mut parts });
        });
        self.timings.add(K::NAME, true, start.elapsed(), K::bytes(p));
        Ok(())
    }

    fn timings(&mut self) -> &Timings {
        &self.timings
    }
}
