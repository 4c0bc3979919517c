//! Calibration of mosaics as a night needs it: vignetting, hot pixels and stars of a known camera, with masters and
//! without. What is refused or doubted: tests/calibration_checks.rs.

mod common;

use common::camera::{Camera, Of, SKY, Star};
use common::picture::{Picture, read_tiff};
use common::{Place, backends};
use livestack::sensor::Bayer;

const SIZE: (usize, usize) = (480, 320);
/// Lights and frames of each master.
const LIGHTS: usize = 5;
const FRAMES: usize = 9;
/// Where stars cannot be seen any more, px from their centres.
const DARK_SKY: f64 = 9.0;

/// Displacement of light `k`, px.
fn dither(k: usize) -> (f64, f64) {
    (2.3 * k as f64, if k.is_multiple_of(2) { 1.7 } else { -3.1 } * k as f64 / 2.0)
}

/// A night in input/, dark/ (named `darks`), flats/ and flat_darks/; its lights move where `moves`.
fn night(camera: &Camera, moves: bool) -> Place {
    let place = Place::new();
    for (folder, of, count) in [
        ("input", Of::Light, LIGHTS),
        ("darks", Of::Dark, FRAMES),
        ("flats", Of::Flat, FRAMES),
        ("flat_darks", Of::FlatDark, FRAMES),
    ] {
        let folder = place.folder(folder);
        for k in 0..count {
            let shift = if moves && of == Of::Light { dither(k) } else { (0.0, 0.0) };
            camera.write(&folder.join(format!("{k:02}.fits")), of, k, shift);
        }
    }
    place
}

/// All masters.
const MASTERS: &str = "--dark darks --flat flats --flat-dark flat_darks";

/// What a run makes of the night, 16-bit levels.
fn stacked(place: &Place, backend: &str, flags: &str) -> Picture<f32> {
    place.stack_on(backend, &format!("--format tiff {flags}")).exits(0);
    read_tiff(&place.path("output/MEAN.tiff")).map(|v| v * 65535.0)
}

/// Pixels of the dark sky; of these the brightness of 5x5 blocks, largest less smallest, as a share of the mean: the
/// worst of the three colours.
fn unevenness(picture: &Picture<f32>, camera: &Camera) -> f64 {
    const BLOCKS: usize = 5;
    let (w, h) = (picture.width, picture.height);
    let mut sums = vec![([0.0_f64; 3], 0.0_f64); BLOCKS * BLOCKS];
    for (x, y) in (0..w * h).map(|k| (k % w, k / w)).filter(|&(x, y)| camera.free(x, y, DARK_SKY)) {
        let (sum, n) = &mut sums[y * BLOCKS / h * BLOCKS + x * BLOCKS / w];
        (0..3).for_each(|c| sum[c] += f64::from(picture.at(x, y, c)));
        *n += 1.0;
    }
    (0..3)
        .map(|c| {
            let means: Vec<f64> = sums.iter().map(|(sum, n)| sum[c] / n).collect();
            let most = means.iter().copied().fold(f64::MIN, f64::max);
            let least = means.iter().copied().fold(f64::MAX, f64::min);
            (most - least) / (means.iter().sum::<f64>() / means.len() as f64)
        })
        .fold(0.0, f64::max)
}

/// Median of what lies near `v`.
fn median(mut v: Vec<f32>) -> f32 {
    let middle = v.len() / 2;
    *v.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The share of the camera's hot pixels in the dark sky that are still seen: more than 5 standard deviations of the
/// dark sky's noise above or below the sky around, in their own colour.
fn hot_left(picture: &Picture<f32>, camera: &Camera) -> f64 {
    /// Half the side of what is around, px.
    const AROUND: usize = 12;
    let (w, h) = (picture.width, picture.height);
    let (mut left, mut all) = (0.0, 0.0);
    for &(at, _) in &camera.hot {
        let (x, y) = (at % w, at / w);
        if !camera.free(x, y, DARK_SKY) {
            continue;
        }
        let c = camera.bayer.colour(x, y);
        let mut near = Vec::new();
        for v in y.saturating_sub(AROUND)..(y + AROUND + 1).min(h) {
            for u in x.saturating_sub(AROUND)..(x + AROUND + 1).min(w) {
                if camera.free(u, v, DARK_SKY) {
                    near.push(picture.at(u, v, c));
                }
            }
        }
        let sky = median(near.clone());
        let sigma = 1.4826 * median(near.into_iter().map(|v| (v - sky).abs()).collect());
        left += f64::from(u8::from((picture.at(x, y, c) - sky).abs() > 5.0 * sigma));
        all += 1.0;
    }
    assert!(all >= 20.0, "only {all} hot pixels in the dark sky: the test says nothing");
    left / all
}

/// Most that is left of vignetting, and of hot pixels, as shares.
const UNEVEN: f64 = 0.005;
const HOT_LEFT: f64 = 0.01;

/// Promise: with darks, flats and flat darks at most 0.5 % of vignetting and of dust is left in the stack, and one
/// hot pixel in 100, though 1 in 100 pixels is hot: frames that lie on each other, and frames that do not, on every
/// backend, every phase of the mosaic. The level is the sky's. Controls: without flats, and with flats whose offset
/// nobody takes off, vignetting is left; `--keep-hot-pixels` leaves hot pixels.
#[test]
fn vignetting_and_hot_pixels_go() {
    for (bayer, moves) in [(Bayer::Rggb, false), (Bayer::Gbrg, true)] {
        let camera = Camera::new(SIZE, bayer, 0.01, 3.0);
        let place = night(&camera, moves);
        let align = if moves { "" } else { "--no-align" };
        for backend in backends() {
            let case = format!("{backend} {} {align}", bayer.name());
            let all = stacked(&place, backend, &format!("{align} {MASTERS}"));
            let (uneven, hot) = (unevenness(&all, &camera), hot_left(&all, &camera));
            println!("{case}: {:.3} % uneven, {:.2} % of hot pixels", uneven * 100.0, hot * 100.0);
            assert!(uneven <= UNEVEN, "{case}: {uneven:.4} of vignetting is left");
            assert!(hot <= HOT_LEFT, "{case}: {hot:.4} of the hot pixels are left");
            for c in 0..3 {
                let free = (0..SIZE.0 * SIZE.1).filter(|k| camera.free(k % SIZE.0, k / SIZE.0, DARK_SKY));
                let sky = median(free.map(|k| all.data[3 * k + c]).collect());
                // The flat's mean is 1: the sky is what the mean pixel gets.
                let got = sky / SKY[c] / mean_through(&camera);
                assert!((got - 1.0).abs() < 0.01, "{case}: the sky of colour {c} is {got} of what it was");
            }
            let kept = stacked(&place, backend, &format!("{align} {MASTERS} --keep-hot-pixels"));
            let kept = hot_left(&kept, &camera);
            assert!(kept > 0.05, "{case}: {kept:.3} of the hot pixels kept");
            let no_flat = unevenness(&stacked(&place, backend, &format!("{align} --dark darks")), &camera);
            assert!(no_flat > 0.15, "{case}: {no_flat:.4} without flats");
            let no_offset = format!("{align} --dark darks --flat flats");
            let no_offset = unevenness(&stacked(&place, backend, &no_offset), &camera);
            assert!(no_offset > UNEVEN, "{case}: {no_offset:.4} with the flats' offset left on");
        }
    }
}

/// What the mean pixel gets of the light.
fn mean_through(camera: &Camera) -> f32 {
    let (w, h) = camera.size;
    (0..w * h).map(|k| camera.through(k % w, k / w)).sum::<f32>() / (w * h) as f32
}

/// The light of a star in colour `c`, above the sky around it.
fn flux(picture: &Picture<f32>, star: &Star, c: usize, fwhm: f64) -> f64 {
    let reach = 2.5 * fwhm;
    let (mut inside, mut around) = (Vec::new(), Vec::new());
    let span = |at: f64, side: usize| (at as usize).saturating_sub(14)..(at as usize + 15).min(side);
    for y in span(star.y, picture.height) {
        for x in span(star.x, picture.width) {
            let r = (x as f64 - star.x).hypot(y as f64 - star.y);
            if r <= reach {
                inside.push(picture.at(x, y, c));
            } else if (DARK_SKY..=14.0).contains(&r) {
                around.push(picture.at(x, y, c));
            }
        }
    }
    let sky = f64::from(median(around));
    inside.iter().map(|v| f64::from(*v) - sky).sum()
}

/// Most that a star's light may change by repairs, as a share.
const FLUX: f64 = 0.01;

/// Promise: repairs take no light from stars of FWHM 2 and 3 px, with a dark and without, and without a dark hot
/// pixels go, too (one in 1000 is hot: see the next test for more). Each star that no hot pixel lies in has its light
/// to 1 % of the same night's without hot pixels and repairs; all stars together have what the camera was given.
#[test]
fn stars_keep_their_light() {
    for fwhm in [2.0, 3.0] {
        let camera = Camera::new(SIZE, Bayer::Rggb, 0.001, fwhm);
        let mut clean = Camera::new(SIZE, Bayer::Rggb, 0.001, fwhm);
        clean.hot.clear();
        let (place, clean_place) = (night(&camera, false), night(&clean, false));
        let hit = |s: &Star| {
            camera
                .hot
                .iter()
                .any(|(at, _)| ((at % SIZE.0) as f64 - s.x).hypot((at / SIZE.0) as f64 - s.y) < 15.0)
        };
        for backend in backends() {
            for dark in ["--dark darks", ""] {
                let truth = stacked(&clean_place, backend, &format!("--no-align --keep-hot-pixels {dark}"));
                let case = format!("FWHM {fwhm} {backend} {dark}");
                let got = stacked(&place, backend, &format!("--no-align {dark}"));
                let hot = hot_left(&got, &camera);
                let (mut worst, mut worst_hit, mut sums) = (0.0_f64, 0.0_f64, (0.0, 0.0));
                for star in &camera.stars {
                    for c in 0..3 {
                        let (own, before) = (flux(&got, star, c, fwhm), flux(&truth, star, c, fwhm));
                        let through = camera.through(star.x as usize, star.y as usize);
                        sums = (sums.0 + before, sums.1 + star.light[c] * f64::from(through));
                        let off = (own / before - 1.0).abs();
                        let most = if hit(star) { &mut worst_hit } else { &mut worst };
                        *most = most.max(off);
                    }
                }
                let all = sums.0 / sums.1;
                println!(
                    "{case}: light off by {:.3} % at worst, {:.1} % in stars with a hot pixel nearby; all {all:.4} of the \
                     truth; {:.2} % of hot pixels left",
                    worst * 100.0,
                    worst_hit * 100.0,
                    hot * 100.0
                );
                assert!(worst <= FLUX, "{case}: a star's light is off by {worst:.4}");
                assert!((all - 1.0).abs() <= FLUX, "{case}: the stars' light is {all:.4} of the truth");
                assert!(hot <= HOT_LEFT, "{case}: {hot:.4} of the hot pixels are left");
            }
            let kept = hot_left(&stacked(&place, backend, "--no-align --keep-hot-pixels"), &camera);
            assert!(kept > 0.9, "{backend}: {kept:.3} of the hot pixels kept");
        }
    }
}

/// Most hot pixels that are left without a dark where 1 pixel in 100 is hot. Measured: 5.0 % and 5.5 %: two that touch
/// look like a star.
const FOUND_LEFT: f64 = 0.1;

/// Promise: without a dark most hot pixels are found by their neighbours even where 1 in 100 is hot; in an aligned
/// stack, too.
#[test]
fn hot_pixels_are_found_without_darks() {
    for (bayer, moves) in [(Bayer::Grbg, false), (Bayer::Bggr, true)] {
        let camera = Camera::new(SIZE, bayer, 0.01, 3.0);
        let place = night(&camera, moves);
        let align = if moves { "" } else { "--no-align" };
        for backend in backends() {
            let left = hot_left(&stacked(&place, backend, align), &camera);
            println!("{backend} {} {align}: {:.2} % of hot pixels left", bayer.name(), left * 100.0);
            assert!(left <= FOUND_LEFT, "{backend} {}: {left:.4}", bayer.name());
            let kept = hot_left(&stacked(&place, backend, &format!("{align} --keep-hot-pixels")), &camera);
            assert!(kept > 0.5, "{backend} {}: {kept:.3} of the hot pixels kept", bayer.name());
        }
    }
}
