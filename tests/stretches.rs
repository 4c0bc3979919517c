//! How linear stacks are shown: stretches, linked or not, brighter or darker; linear outputs are left alone.

mod common;

use common::mosaic::write_float;
use common::picture::{Picture, read_png, read_png8, read_tiff};
use common::sky::Rng;
use common::{Place, backends};

const SIZE: (usize, usize) = (96, 80);
/// Backgrounds of red, green and blue, and their noise, parts of white.
const SKY: [f32; 3] = [0.04, 0.06, 0.03];
const NOISE: f32 = 0.004;
/// Brightness that the automatic stretch gives a background.
const TARGET: f32 = 0.2;

/// A sky of three colours with a bright band, written as a frame.
fn place() -> (Place, Picture<f32>) {
    let place = Place::new();
    let mut rng = Rng::new(5);
    let (w, h) = SIZE;
    let data = (0..w * h * 3).map(|k| {
        let bright = if k / 3 / w < 6 { (k / 3 % w) as f32 / w as f32 * 0.7 } else { 0.0 };
        SKY[k % 3] + NOISE * rng.normal() + bright
    });
    let frame = Picture::new(w, h, 3, data.collect());
    write_float(&place.folder("input").join("a.fits"), &frame, &[]);
    (place, frame)
}

/// The 16-bit picture with these flags, parts of white.
fn shown(place: &Place, flags: &str) -> Picture<f32> {
    place.stack(&format!("--no-align --format png16,tiff,fits {flags}")).exits(0);
    read_png(&place.path("output/MEAN_16.png")).0.map(|v| v / 65535.0)
}

fn apart(a: &Picture<f32>, f: impl Fn(usize) -> f32) -> f32 {
    a.data.iter().enumerate().map(|(k, v)| (v - f(k)).abs()).fold(0.0, f32::max)
}

fn median(p: &Picture<f32>, c: usize) -> f32 {
    let mut all: Vec<f32> = p.data.iter().skip(c).step_by(3).copied().collect();
    all.sort_unstable_by(f32::total_cmp);
    all[all.len() / 2]
}

/// Promise: none shows values as they are, gamma by sRGB's curve, a gain multiplies what is shown and nothing else.
#[test]
fn none_gamma_and_gain() {
    let (place, frame) = place();
    let at = |k: usize| frame.data[k].clamp(0.0, 1.0);
    let half = 0.6 / 65535.0;
    assert!(apart(&shown(&place, "--stretch none"), at) < half);
    let linear = read_tiff(&place.path("output/MEAN.tiff"));
    assert!(apart(&linear, |k| frame.data[k]) < 1e-6);
    for (stops, gain) in [("1", 2.0), ("-2", 0.25), ("0.5", 2.0_f32.sqrt())] {
        let brighter = shown(&place, &format!("--stretch none --exposure-gain {stops}"));
        assert!(apart(&brighter, |k| (gain * frame.data[k]).clamp(0.0, 1.0)) < half + 1e-6, "{stops}");
        assert_eq!(
            read_tiff(&place.path("output/MEAN.tiff")).data,
            linear.data,
            "linear data are left alone"
        );
    }
    let srgb = |v: f32| if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    assert!(apart(&shown(&place, "--stretch gamma"), |k| srgb(at(k))) < 5.0 / 65535.0);
    for bad in ["nan", "1e9", "x"] {
        place.stack(&format!("--no-align --exposure-gain {bad}")).exits(2);
    }
}

/// Promise: the 16-bit TIFF is the 16-bit PNG, under its name.
#[test]
fn sixteen_bits_in_either_file() {
    let (place, _) = place();
    place.stack("--no-align --format png16,tiff16 --name M1").exits(0);
    let [png, tiff] = ["M1_MEAN_16.png", "M1_MEAN_16.tiff"].map(|name| {
        let image = image_of(&place.path("output").join(name));
        assert_eq!(image.len(), SIZE.0 * SIZE.1 * 3);
        image
    });
    assert!(png == tiff && png.iter().max() > png.iter().min());
}

/// The samples of a 16-bit picture, as livestack reads it.
fn image_of(path: &std::path::Path) -> Vec<u16> {
    let frame = livestack::io::read(path, Vec::new()).expect("a picture");
    assert_eq!(frame.shape.sample, livestack::frame::SampleType::U16);
    bytemuck::cast_slice::<u32, u16>(&frame.words)[..frame.shape.samples()].to_vec()
}

/// Promise: the automatic stretch brings the background of each channel to its target; linked channels keep their order.
/// It is the default of FITS frames, whichever the rule.
#[test]
fn automatic_linked_or_not() {
    let (place, _) = place();
    let own = shown(&place, "");
    for c in 0..3 {
        assert!((median(&own, c) - TARGET).abs() < 0.01, "channel {c}: {}", median(&own, c));
    }
    let linked = shown(&place, "--linked");
    let [r, g, b] = [0, 1, 2].map(|c| median(&linked, c));
    assert!(g > r + 0.05 && r > b + 0.05, "{r} {g} {b}");
    let brighter = shown(&place, "--exposure-gain 1");
    assert!(median(&brighter, 0) > TARGET + 0.05, "{}", median(&brighter, 0));
    place.stack("--no-align --method addcomp").exits(0);
    let picture = read_png8(&place.path("output/ADDCOMP.png")).map(|v| v / 255.0);
    assert!((median(&picture, 1) - TARGET).abs() < 0.02, "{}", median(&picture, 1));
}

/// Promise: linear is a straight line from under the background to the brightest thousandth.
#[test]
fn a_straight_line() {
    let (place, frame) = place();
    let line = shown(&place, "--stretch linear --linked");
    let inner: Vec<(f32, f32)> = frame
        .data
        .iter()
        .copied()
        .zip(line.data.iter().copied())
        .filter(|p| p.1 > 0.0 && p.1 < 1.0)
        .collect();
    let at = |v: f32| *inner.iter().min_by(|a, b| (a.0 - v).abs().total_cmp(&(b.0 - v).abs())).expect("some");
    let ((x0, y0), (x1, y1)) = (at(0.06), at(0.6));
    let slope = (y1 - y0) / (x1 - x0);
    for (x, y) in &inner {
        assert!((y0 + slope * (x - x0) - y).abs() < 1e-3, "{x} is shown as {y}");
    }
    let white = line.data.iter().filter(|v| **v >= 1.0).count();
    assert!((1..line.data.len() / 200).contains(&white), "{white} samples are white");
    assert!(x0 - y0 / slope > 0.02, "black is under the background, not at 0: {}", x0 - y0 / slope);
}

/// Promise: both backends show the same, to a level.
#[test]
fn both_backends_show_the_same() {
    let (place, _) = place();
    for flags in ["", "--linked", "--stretch linear", "--stretch gamma", "--stretch none --exposure-gain 1"] {
        let mut pictures = backends().into_iter().map(|backend| {
            place.stack_on(backend, &format!("--no-align {flags}")).exits(0);
            read_png8(&place.path("output/MEAN.png"))
        });
        let Some(first) = pictures.next() else { panic!("no backend") };
        for other in pictures {
            assert!(apart(&other, |k| first.data[k]) <= 1.0, "{flags}");
        }
    }
}
