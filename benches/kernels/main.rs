//! Every kernel of the table on every backend at every size.
//!
//! `cargo bench --bench kernels -- [FILTER]`; `LIVESTACK_BENCH_SIZES=1024x683,5472x3648` and
//! `LIVESTACK_BENCH_BACKENDS=cpu,gpu` say where, `RAYON_NUM_THREADS` sets the CPU's threads. On a GPU the time is the
//! device's own, from timestamps.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod patches;
mod planes;
mod stack;

use calls::{Call, Calls};
use common::{Bench, Size, Work, backends, name, sizes};
use livestack::backend::cpu::Cpu;
use livestack::backend::{Backend, Opened, open};
use livestack::error::Result;
use livestack::kernels;
use livestack::kernels::Kernel;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The buffers of a call.
struct Made<B: Backend> {
    reads: Vec<Option<B::Buffer>>,
    writes: Vec<Option<B::Buffer>>,
}

fn make<B: Backend, K: Kernel>(backend: &mut B, call: &Call<K>) -> Result<Made<B>> {
    let mut reads = Vec::new();
    for (source, (label, _)) in call.reads.iter().zip(K::READS) {
        reads.push(match source {
            Some(source) => {
                let words = source();
                let mut buffer = backend.alloc(label, words.len())?;
                backend.write(&mut buffer, &words)?;
                Some(buffer)
            }
            None => None,
        });
    }
    let mut writes = Vec::new();
    for (k, label) in K::WRITES.iter().enumerate() {
        let words = K::write_row_words(&call.params, k) * K::rows(&call.params) as usize;
        let used = k < call.writes;
        writes.push(if used { Some(backend.alloc(label, words)?) } else { None });
    }
    Ok(Made { reads, writes })
}

/// The time that `n` calls take: the device's where it tells, the wall's where not.
fn run<B: Backend, K: Kernel>(
    backend: &mut B,
    params: &K::Params,
    made: &mut Made<B>,
    n: u64,
) -> Result<Duration> {
    let before = backend.timings().ms(K::NAME);
    let start = Instant::now();
    for _ in 0..n {
        let reads: Vec<_> = made.reads.iter().map(Option::as_ref).collect();
        let mut writes: Vec<_> = made.writes.iter_mut().map(Option::as_mut).collect();
        backend.run::<K>(params, &reads, &mut writes)?;
    }
    let spent = backend.timings().ms(K::NAME) - before;
    Ok(if spent > 0.0 { Duration::from_secs_f64(spent / 1e3) } else { start.elapsed() })
}

fn kernel<B: Backend, K: Calls>(
    bench: &mut Bench,
    backend: &RefCell<B>,
    on: &str,
    (w, h): Size,
) -> Result<()> {
    for call in K::calls((w, h)) {
        let label = format!("{} {}, {on}", K::NAME, call.name);
        let work = Work { bytes: K::bytes(&call.params), pixels: w * h, frames: 1 };
        bench.measure(
            (&label, (w, h)),
            work,
            || make::<B, K>(&mut backend.borrow_mut(), &call),
            |made, n| run::<B, K>(&mut backend.borrow_mut(), &call.params, made, n),
        )?;
    }
    Ok(())
}

fn all<B: Backend>(bench: &mut Bench, backend: B, on: &str) -> Result<()> {
    println!("{on}: {}", backend.describe());
    let backend = RefCell::new(backend);
    for size in sizes()? {
        // A kernel that is in the table and has no calls here does not compile.
        macro_rules! enrol {
            ($($kernel:path),* $(,)?) => { $(kernel::<B, $kernel>(bench, &backend, on, size)?;)* };
        }
        kernels!(enrol);
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut bench = Bench::new("kernels");
    for choice in backends()? {
        match open(choice, None, true)? {
            Opened::Gpu(gpu, _) => all(&mut bench, *gpu, name(choice))?,
            Opened::Cpu(_) => all(&mut bench, Cpu::default(), name(choice))?,
        }
    }
    bench.finish();
    Ok(())
}
