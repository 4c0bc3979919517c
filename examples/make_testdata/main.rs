//! Makes a small night of the Pleiades, as a camera on a simple mount would see it, whose true motion is known.
//!
//! ```text
//! cargo run --release --example make_testdata -- OUT [--size WxH] [--frames N] [--darks N] [--seed S] [--format F]
//! ```
//!
//! writes `OUT/input/light_0001.jpg` and on, `OUT/dark/dark_0001.jpg` and on, and `OUT/truth.json`, which holds for
//! each light the 3x3 map from pixels of frame 1 to its own, pixel centres on integers. The same options make the
//! same bytes on every platform: all functions beyond the four operations and the root come from `libm`.

mod camera;
mod catalog;
mod exif;
mod motion;
mod nebula;
mod rng;
mod sky;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use serde_json::{Value, json};

use camera::Camera;
use catalog::Star;
use motion::Map;
use nebula::Nebula;
use rng::Rng;
use sky::{Air, Light, Projection};

/// What a stream of random numbers is for.
mod purpose {
    pub(crate) const STARS: u64 = 1;
    pub(crate) const SENSOR: u64 = 2;
    pub(crate) const MOTION: u64 = 3;
    pub(crate) const AIR: u64 = 4;
    pub(crate) const LIGHT: u64 = 5;
    pub(crate) const DARK: u64 = 6;
}

/// Make a small night of the Pleiades whose true motion is known.
#[derive(Parser)]
struct Options {
    /// Folder to write to; made where it is missing.
    out: PathBuf,
    /// Columns and rows of a frame, pixels, each at least 64.
    #[arg(long, default_value = "1536x1024", value_parser = parse_size)]
    size: [usize; 2],
    /// Number of lights.
    #[arg(long, default_value_t = 12)]
    frames: usize,
    /// Number of darks.
    #[arg(long, default_value_t = 4)]
    darks: usize,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 45)]
    seed: u64,
    /// File format.
    #[arg(long, value_enum, default_value_t = Format::Jpg)]
    format: Format,
    /// Quality of JPEG files, 1 to 100.
    #[arg(long, default_value_t = 88, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
}

/// What files are written.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// JPEG, 8 bit.
    Jpg,
    /// PNG, 8 bit.
    Png,
    /// PNG, 16 bit.
    Png16,
}

/// A satellite crosses this light, counted from 1, so many levels bright.
const TRAIL_FRAME: usize = 7;
const TRAIL_LEVELS: f64 = 55.0;

/// The trail's ends as parts of the frame's width and height.
const TRAIL_ENDS: [[f64; 2]; 2] = [[-0.02, 0.86], [1.02, 0.61]];

/// Spread of the seeing from frame to frame, as a part of the mean, and the most a frame loses to haze.
const SEEING_SPREAD: f64 = 0.04;
const HAZE: f64 = 0.04;

/// Level that a star must pass to count as bright in truth.json, as its key says.
const BRIGHT: f64 = 20.0;

/// When darks and lights began, seconds after 20:00.
const DARKS_START_S: u32 = 0;
const LIGHTS_START_S: u32 = 900;

/// 16-bit levels in an 8-bit level.
const LEVELS_16: f32 = 257.0;

/// Smallest side of a frame, pixels.
const SMALLEST: usize = 64;

fn main() -> Result<()> {
    let options = Options::parse();
    let [width, height] = options.size;
    for folder in ["input", "dark"] {
        let path = options.out.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    }
    let projection = Projection::new(width, height);
    let stars = catalog::stars(options.seed, &projection, width, height);
    let nebula = Nebula::new(options.seed, &projection, width, height);
    let camera = Camera::new(options.seed, width, height);
    let maps = motion::night(options.seed, options.frames, width, height);

    let mut frames = Vec::with_capacity(maps.len());
    for (k, map) in maps.iter().enumerate() {
        let mut rng = Rng::new(options.seed, purpose::AIR, k as u64);
        let fwhm_px = sky::FWHM_PX * (1.0 + SEEING_SPREAD * rng.normal());
        let air = Air { fwhm_px, transparency: rng.within(1.0 - HAZE, 1.0) };
        let mut light = Light::of_sky(options.size, map, &air, &stars, &nebula);
        if k + 1 == TRAIL_FRAME {
            let [from, to] = TRAIL_ENDS.map(|[x, y]| [x * width as f64, y * height as f64]);
            light.add_trail(from, to, TRAIL_LEVELS);
        }
        let levels = camera.expose(Some(&light), &mut Rng::new(options.seed, purpose::LIGHT, k as u64));
        let stem = format!("input/light_{:04}", k + 1);
        let path = write(&options, &stem, &levels, &exif::taken(LIGHTS_START_S, k))?;
        frames.push(truth_of_frame(&path, k, map, &stars, options.size));
    }
    for k in 0..options.darks {
        let levels = camera.expose(None, &mut Rng::new(options.seed, purpose::DARK, k as u64));
        write(&options, &format!("dark/dark_{:04}", k + 1), &levels, &exif::taken(DARKS_START_S, k))?;
    }
    let truth = json!({ "width": width, "height": height, "seed": options.seed, "frames": frames });
    save(&options.out.join("truth.json"), format!("{truth:#}\n").as_bytes())
}

/// What truth.json says of light `k`, counted from 0.
fn truth_of_frame(path: &Path, k: usize, map: &Map, stars: &[Star], [width, height]: [usize; 2]) -> Value {
    let inside = |at: [f64; 2]| at[0] >= 0.0 && at[1] >= 0.0 && at[0] < width as f64 && at[1] < height as f64;
    let bright = stars.iter().filter(|star| sky::peak(star) > BRIGHT && inside(motion::apply(map, star.at)));
    json!({
        "file": path.file_name().map(|name| name.to_string_lossy()),
        "frame1_to_frame": map,
        "cloud": false,
        "blur": false,
        "trail": k + 1 == TRAIL_FRAME,
        "gain": 1.0,
        "stars_over_20_levels": bright.count(),
    })
}

/// Writes a frame of levels 0 to 255 under `stem` and returns its path.
fn write(options: &Options, stem: &str, levels: &[f32], taken: &str) -> Result<PathBuf> {
    let [width, height] = options.size.map(|side| side as u32);
    let bytes: Vec<u8> = levels.iter().map(|v| v.round() as u8).collect();
    let mut file = Cursor::new(Vec::new());
    let extension = match options.format {
        Format::Jpg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut file, options.quality);
            encoder.set_exif_metadata(exif::block(taken))?;
            encoder.write_image(&bytes, width, height, ExtendedColorType::Rgb8)?;
            "jpg"
        }
        Format::Png => {
            let mut encoder = PngEncoder::new(&mut file);
            encoder.set_exif_metadata(exif::block(taken))?;
            encoder.write_image(&bytes, width, height, ExtendedColorType::Rgb8)?;
            "png"
        }
        Format::Png16 => {
            let words: Vec<u8> =
                levels.iter().flat_map(|v| ((v * LEVELS_16).round() as u16).to_ne_bytes()).collect();
            let mut encoder = PngEncoder::new(&mut file);
            encoder.set_exif_metadata(exif::block(taken))?;
            encoder.write_image(&words, width, height, ExtendedColorType::Rgb16)?;
            "png"
        }
    };
    let path = options.out.join(format!("{stem}.{extension}"));
    save(&path, file.get_ref())?;
    Ok(path)
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn parse_size(text: &str) -> Result<[usize; 2]> {
    let (width, height) =
        text.split_once(['x', 'X']).context("expected columns x rows, such as 1536x1024")?;
    let size = [width.parse()?, height.parse()?];
    ensure!(size.iter().all(|&side| side >= SMALLEST), "a side is under {SMALLEST} pixels");
    Ok(size)
}
