//! From files to the stack: decoding threads ahead of the engine, per backend, size, kind of file and list of rules.
//!
//! `cargo bench --bench pipeline -- [FILTER]`; sizes and backends as in `kernels`. An iteration stacks the whole night,
//! from files that lie in the page cache to the last kernel; the rate is that of the frames' samples.

mod common;

#[path = "common/frames.rs"]
mod frames;

use common::night::{engine, masters, stack};
use common::{Bench, Size, Work, backends, name, sizes};
use frames::{Kind, Light, Sky, dark, field, light};
use livestack::backend::cpu::Cpu;
use livestack::backend::{Backend, Opened, open};
use livestack::decode::{self, Decoder, Wish, threads};
use livestack::engine::Engine;
use livestack::error::Result;
use livestack::rules::Method;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Frames of a night: enough that decoding is ahead of most of them.
const FRAMES: usize = 6;
/// Darks of a night: without them hot photosites outnumber the stars.
const DARKS: usize = 2;

/// The lists of rules: one, all that are published, and the one for linear frames, which counts coverage.
const LISTS: [(&str, &[Method]); 3] =
    [("addcomp", &[Method::AddComp]), ("all six", Method::SIX), ("mean", &[Method::Mean])];

/// The files of a night.
#[derive(Clone, Default)]
struct Files {
    darks: Vec<PathBuf>,
    lights: Vec<PathBuf>,
}

/// The files of a night, written to `folder`.
fn night(folder: &Path, kind: Kind, size: Size) -> Result<Files> {
    let sky = field(size);
    let write = |name: &str, k: usize, frame: fn(&Sky, usize) -> Light| {
        let path = folder.join(format!("{name}_{k}.{}", kind.extension()));
        kind.write(&path, &frame(&sky, k)).map(|()| path)
    };
    let darks = (0..DARKS).map(|k| write("dark", k, dark)).collect::<Result<_>>()?;
    let lights = (0..FRAMES).map(|k| write("light", k, light)).collect::<Result<_>>()?;
    Ok(Files { darks, lights })
}

/// Stacks `paths`, and waits for the device.
fn run<B: Backend>(engine: &mut Engine<B>, paths: &[PathBuf], free: &mut Vec<Vec<u32>>) -> Result<()> {
    engine.restart()?;
    let mut decoder = Decoder::new(paths.to_vec(), threads(), std::mem::take(free), Wish::default());
    while let Some((_, frame)) = decoder.next() {
        decoder.recycle(stack(engine, frame?)?);
    }
    *free = decoder.buffers();
    let _ = engine.timings();
    Ok(())
}

fn all<B: Backend>(bench: &mut Bench, mut opened: impl FnMut() -> Result<B>, on: &str) -> Result<()> {
    for size in sizes()? {
        for kind in Kind::ALL {
            let folder = tempfile::tempdir().map_err(|e| {
                livestack::error::Error::io("cannot create a folder", &std::env::temp_dir(), e)
            })?;
            let written: RefCell<Files> = RefCell::default();
            for (rules, methods) in LISTS {
                let label = format!("{}, {rules}, {on}", kind.name());
                let opened = RefCell::new(&mut opened);
                let make = || -> Result<_> {
                    let mut files = written.borrow_mut();
                    if files.lights.is_empty() {
                        *files = night(folder.path(), kind, size)?;
                    }
                    let first = decode::read(&files.lights[0], Vec::new(), &Wish::default())?;
                    let engine = engine((opened.borrow_mut())()?, &first, &masters(&files.darks)?, methods)?;
                    Ok((engine, files.lights.clone(), Vec::new()))
                };
                let bytes = size.0 * size.1 * kind.pixel_bytes() * FRAMES;
                let work = Work { bytes: bytes as u64, pixels: size.0 * size.1 * FRAMES, frames: FRAMES };
                bench.measure((&label, size), work, make, |(engine, paths, free), n| {
                    let start = Instant::now();
                    for _ in 0..n {
                        run(engine, paths, free)?;
                    }
                    Ok(Duration::max(start.elapsed(), Duration::from_nanos(1)))
                })?;
            }
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut bench = Bench::new("pipeline");
    for choice in backends()? {
        let on = name(choice);
        match open(choice, None, false)? {
            Opened::Cpu(_) => all(&mut bench, || Ok(Cpu::default()), on)?,
            Opened::Gpu(..) => all(
                &mut bench,
                || match open(choice, None, false)? {
                    Opened::Gpu(gpu, _) => Ok(*gpu),
                    Opened::Cpu(why) => Err(livestack::error::Error::Backend(why)),
                },
                on,
            )?,
        }
    }
    bench.finish();
    Ok(())
}
