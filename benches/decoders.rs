//! Every format that is read, as the program reads it: file to words, one after the other on one thread.
//!
//! `cargo bench --bench decoders -- [FILTER]`; `LIVESTACK_BENCH_SIZES` as in `kernels`; `LIVESTACK_BENCH_FILES=A,B` measures
//! files of your own too. The files lie in the page cache; the rate is that of the samples that come out.

mod common;

#[allow(dead_code, clippy::unwrap_used, reason = "shared with tests, which use other parts of it")]
#[path = "../tests/common/files.rs"]
mod files;
#[path = "common/frames.rs"]
mod frames;

use common::{Bench, Size, Work, sizes};
use files::{Tag, picture_tags, tiff_by_hand};
use frames::{Kind, Light, field, light};
use livestack::decode::{self, Wish};
use livestack::error::{Error, Result};
use livestack::io::{self, FORMATS};
use livestack::sensor::Bayer;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// 16-bit levels of an 8-bit one.
const SIXTEEN: f32 = 257.0;
/// Baseline TIFF and DNG tags: photometric interpretation and its value for mosaics; DNG version; the pattern's size and
/// colours. Source: DNG 1.4, chapters 2 and 4.
const MOSAIC: (u16, u16) = (262, 32803);
const PATTERN_SIZE: u16 = 0x828d;
const PATTERN: u16 = 0x828e;
const VERSION: u16 = 0xc612;
const ROWS_A_STRIP: u16 = 0x0116;
const STRIPS: u16 = 273;

/// What a file holds, the bytes of a pixel of it, its extension, how it is written.
type Sample = (&'static str, usize, &'static str, fn(&Path, &Light) -> Result<()>);

/// The files that stand for a format.
fn samples(format: &str) -> Result<Vec<Sample>> {
    match format {
        "JPEG" => Ok(vec![("colour 8 bit", 3, "jpg", |path, light| Kind::Jpeg.write(path, light))]),
        "PNG" => Ok(vec![("colour 8 bit", 3, "png", png8), ("colour 16 bit", 6, "png", png16)]),
        "TIFF" => Ok(vec![("colour 16 bit", 6, "tif", tiff16), ("colour float", 12, "tif", tiff_float)]),
        "FITS" => Ok(vec![
            ("mosaic 16 bit", 2, "fits", |path, light| Kind::Fits.write(path, light)),
            ("colour float", 12, "fits", fits_float),
        ]),
        "RAW" => Ok(vec![("DNG not compressed", 2, "dng", dng)]),
        other => Err(Error::Usage(format!("the bench of decoders has no sample of {other}: add one to it"))),
    }
}

fn sixteen(light: &Light) -> Vec<u16> {
    light.data.iter().map(|v| (v * SIXTEEN).round().clamp(0.0, 65535.0) as u16).collect()
}

fn png8(path: &Path, light: &Light) -> Result<()> {
    let levels: Vec<u8> = light.data.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    io::write_png8(path, light.width, light.height, light.channels, &levels)
}

fn png16(path: &Path, light: &Light) -> Result<()> {
    io::write_png16(path, light.width, light.height, light.channels, &sixteen(light))
}

fn tiff16(path: &Path, light: &Light) -> Result<()> {
    io::write_tiff_u16(path, light.width, light.height, light.channels, &sixteen(light))
}

fn tiff_float(path: &Path, light: &Light) -> Result<()> {
    io::write_tiff_f32(path, light.width, light.height, light.channels, &light.data)
}

fn fits_float(path: &Path, light: &Light) -> Result<()> {
    io::write_fits(path, light.width, light.height, light.channels, &light.data, &[])
}

/// A mosaic as a RAW file without compression: how fast others are depends on the camera.
fn dng(path: &Path, light: &Light) -> Result<()> {
    let levels = sixteen(&frames::mosaic(light, Bayer::Rggb));
    let mut tags = picture_tags((light.width, light.height), 1, 16, 1);
    tags.retain(|(tag, _)| *tag != MOSAIC.0);
    tags.extend([
        (MOSAIC.0, Tag::Short(vec![MOSAIC.1])),
        (ROWS_A_STRIP, Tag::Long(vec![light.height as u32])),
        (PATTERN_SIZE, Tag::Short(vec![2, 2])),
        (PATTERN, Tag::Short((0..4).map(|k| Bayer::Rggb.colour(k % 2, k / 2) as u16).collect())),
        (VERSION, Tag::Short(vec![1, 4, 0, 0])),
    ]);
    let bytes: Vec<u8> = levels.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, tiff_by_hand(false, &tags, &[], Some((STRIPS, 1)), &bytes))
        .map_err(|e| Error::io("cannot write a sample", path, e))
}

/// Decodes the file `path`, `n` times.
fn run(path: &Path, words: &mut Vec<u32>, n: u64) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..n {
        *words = decode::read(path, std::mem::take(words), &Wish::default())?.words;
    }
    Ok(start.elapsed())
}

/// The files named by `LIVESTACK_BENCH_FILES`.
fn own(bench: &mut Bench) -> Result<()> {
    let Some(list) = std::env::var_os("LIVESTACK_BENCH_FILES") else { return Ok(()) };
    for path in list.to_string_lossy().split(',').map(PathBuf::from) {
        let shape = decode::read(&path, Vec::new(), &Wish::default())?.shape;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let work = Work { bytes: shape.bytes() as u64, pixels: shape.width * shape.height, frames: 1 };
        let make = || Ok(Vec::new());
        bench.measure((&name, (shape.width, shape.height)), work, make, |words, n| run(&path, words, n))?;
    }
    Ok(())
}

fn generated(bench: &mut Bench, folder: &Path, size: Size) -> Result<()> {
    let levels = OnceCell::new();
    for format in FORMATS {
        for (what, bytes, extension, write) in samples(format.name)? {
            let label = format!("{} {what}", format.name);
            let path = folder.join(format!("{}.{extension}", label.replace(' ', "_")));
            let make = || -> Result<Vec<u32>> {
                write(&path, levels.get_or_init(|| light(&field(size), 0)))?;
                Ok(Vec::new())
            };
            let pixels = size.0 * size.1;
            let work = Work { bytes: (pixels * bytes) as u64, pixels, frames: 1 };
            bench.measure((&label, size), work, make, |words, n| run(&path, words, n))?;
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut bench = Bench::new("decoders");
    let folder =
        tempfile::tempdir().map_err(|e| Error::io("cannot create a folder", &std::env::temp_dir(), e))?;
    for size in sizes()? {
        generated(&mut bench, folder.path(), size)?;
    }
    own(&mut bench)?;
    bench.finish();
    Ok(())
}
