//! The CPU backend: runs the twins over bands of rows on all cores, with the best instructions at hand.

use super::Backend;
use crate::error::Result;
use crate::kernels::Kernel;
use crate::timing::Timings;
use rayon::prelude::*;
use std::ops::Range;
use std::time::Instant;

/// Bands a thread gets on average: enough to even out rows that cost more, few enough to stay cheap.
const BANDS_PER_THREAD: usize = 8;

/// Words in host memory.
#[derive(Clone, Debug, Default)]
pub struct CpuBuffer(Vec<u32>);

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

impl Backend for Cpu {
    type Buffer = CpuBuffer;

    fn describe(&self) -> String {
        let set = match self.arch {
            pulp::Arch::Scalar => "baseline instructions".to_owned(),
            other => format!("{other:?}").split('(').next().unwrap_or_default().to_lowercase(),
        };
        format!("CPU, {} threads, {set}", rayon::current_num_threads())
    }

    fn free_memory(&self) -> Option<u64> {
        crate::memory::available()
    }

    fn alloc(&mut self, _: &'static str, words: usize) -> Result<CpuBuffer> {
        Ok(CpuBuffer(vec![0; words]))
    }

    fn upload(&mut self, to: &mut CpuBuffer, words: Vec<u32>) -> Result<Vec<u32>> {
        Ok(std::mem::replace(&mut to.0, words))
    }

    fn write(&mut self, to: &mut CpuBuffer, words: &[u32]) -> Result<()> {
        to.0[..words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read(&mut self, from: &CpuBuffer, into: &mut [u32]) -> Result<()> {
        into.copy_from_slice(&from.0[..into.len()]);
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
        let reads: Vec<&[u32]> = reads.iter().map(|b| b.map_or(&[][..], |b| &b.0)).collect();
        let each = (rows as usize).div_ceil(rayon::current_num_threads() * BANDS_PER_THREAD).max(1);
        let mut rest: Vec<&mut [u32]> =
            writes.iter_mut().map(|b| b.as_mut().map_or(&mut [][..], |b| &mut b.0[..])).collect();
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
