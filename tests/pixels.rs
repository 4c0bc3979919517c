//! Pixels where they belong: the stack against the truth, orientation tags, and what each output format holds.

mod common;

use common::geometry::{IDENTITY, Map, about_centre, apply, similarity};
use common::picture::{
    Picture, difference, everywhere, read_png, read_png8, read_tiff, write_jpeg, write_png8_exif,
};
use common::sky::{Rng, Sky, eight};
use common::{Place, backends, exif};

/// Bilinear value of channel `c` at (`u`, `v`), or `None` outside.
fn bilinear(p: &Picture<u8>, u: f64, v: f64, c: usize) -> Option<f64> {
    let (right, bottom) = (p.width as f64 - 1.0, p.height as f64 - 1.0);
    if !(0.0..=right).contains(&u) || !(0.0..=bottom).contains(&v) {
        return None;
    }
    let (x, y) = (u.floor(), v.floor());
    let (fx, fy) = (u - x, v - y);
    let tap = |dx: usize, dy: usize| {
        let (x, y) = ((x as usize + dx).min(p.width - 1), (y as usize + dy).min(p.height - 1));
        f64::from(p.at(x, y, c))
    };
    let top = tap(0, 0) * (1.0 - fx) + tap(1, 0) * fx;
    let low = tap(0, 1) * (1.0 - fx) + tap(1, 1) * fx;
    Some(top * (1.0 - fy) + low * fy)
}

/// Mean of the frames warped with `maps`, white = 1, NaN where not all frames cover; f64 throughout.
fn true_mean(frames: &[Picture<u8>], maps: &[Map]) -> Picture<f32> {
    let (w, h, channels) = frames[0].shape();
    let value = |k: usize| {
        let (pixel, c) = (k / channels, k % channels);
        let (x, y) = ((pixel % w) as f64, (pixel / w) as f64);
        let mut sum = 0.0;
        for (frame, map) in frames.iter().zip(maps) {
            let (u, v) = apply(map, x, y);
            match bilinear(frame, u, v, c) {
                Some(value) => sum += value,
                None => return f32::NAN,
            }
        }
        (sum / frames.len() as f64 / 255.0) as f32
    };
    Picture::new(w, h, channels, (0..w * h * channels).map(value).collect())
}

/// Promise: pixels, not only poses: on a sequence with truth `--method mean` in f32 equals the mean of the frames
/// warped with the true homographies to 1 % of white on 99.9 % of the samples that all frames cover; every backend.
/// Control: a truth whose later frames are off by 0.3 px fails.
#[test]
fn mean_equals_frames_warped_with_the_truth() {
    let size = (600, 400);
    let mut sky = Sky::new(size, 150, 21);
    // The warp of noise depends on the pose's last thousandths; 1 % of white is about what noise is.
    sky.noise = 1.0;
    let pose = |k: usize| {
        let k = k as f64;
        about_centre(&similarity(0.05 * k, 1.0, 1.3 * k, -0.9 * k + 0.1 * k * k), size)
    };
    let maps: Vec<Map> = (0..8).map(pose).collect();
    let frames: Vec<_> = maps.iter().zip(0..).map(|(m, k)| eight(&sky.light(m, k))).collect();
    let place = Place::new();
    place.folder("input");
    for (k, frame) in frames.iter().enumerate() {
        common::picture::write_png8(&place.path(format!("input/{k}.png")), frame);
    }
    let want = true_mean(&frames, &maps);
    let mut wrong = maps.clone();
    wrong[1..].iter_mut().for_each(|m| m[2] += 0.3);
    let planted = true_mean(&frames, &wrong);
    for backend in backends() {
        place.stack_on(backend, "--method mean --format tiff").exits(0);
        let got = read_tiff(&place.path("output/MEAN.tiff"));
        let d = difference(&got, &want, 0.01, |x, y| !want.at(x, y, 0).is_nan());
        assert!(d.samples > size.0 * size.1 * 3 * 9 / 10, "{d:?}");
        assert!(d.beyond <= 1e-3, "{backend}: {d:?}");
        let d = difference(&got, &planted, 0.01, |x, y| !planted.at(x, y, 0).is_nan());
        assert!(d.beyond > 2e-3, "{backend}: the planted mistake is not seen: {d:?}");
        let holes = got.data.iter().filter(|v| v.is_nan()).count();
        assert_eq!(holes, 0, "no data is coverage 0, never NaN");
    }
}

/// Promise: a pixel that a frame does not cover counts as i = 0 in the six rules (`addcomp` darkens at the borders)
/// and not at all in `mean`. Two equal flat frames, the second given a pose that moves it by 3 pixels.
#[test]
fn borders_darken_in_addcomp_and_not_in_mean() {
    let place = Place::new();
    place.folder("input");
    let flat = Picture::new(40, 30, 3, vec![200_u8; 40 * 30 * 3]);
    let mut poses = String::new();
    for (k, dx) in [(1, 0.0), (2, 3.0)] {
        common::picture::write_png8(&place.path(format!("input/{k}.png")), &flat);
        let map = common::geometry::shift(dx, 0.0);
        poses += &serde_json::json!({"file": format!("{k}.png"), "status": "stacked", "homography": map})
            .to_string();
        poses.push('\n');
    }
    std::fs::write(place.path("poses.jsonl"), poses).expect("write");
    for backend in backends() {
        place.stack_on(backend, "--poses poses.jsonl --method addcomp,mean --format tiff").exits(0);
        let (comp, mean) =
            (read_tiff(&place.path("output/ADDCOMP.tiff")), read_tiff(&place.path("output/MEAN.tiff")));
        for (x, covered) in [(0, true), (36, true), (37, false), (39, false)] {
            let level = |p: &Picture<f32>| (p.at(x, 11, 1) * 255.0).round();
            assert_eq!(level(&mean), 200.0, "{backend} mean at x = {x}");
            assert_eq!(level(&comp), if covered { 200.0 } else { 100.0 }, "{backend} addcomp at x = {x}");
        }
    }
}

/// Where pixel (`x`, `y`) of a picture turned by EXIF orientation `o` lies on a sensor of `w` x `h`; the tag names
/// the sides of the sensor's row 0 and column 0 (Exif 3.0, 4.6.5.1.6).
fn on_sensor(o: u16, x: usize, y: usize, (w, h): (usize, usize)) -> (usize, usize) {
    match o {
        1 => (x, y),                 // row 0 is the top, column 0 the left
        2 => (w - 1 - x, y),         // top, right
        3 => (w - 1 - x, h - 1 - y), // bottom, right
        4 => (x, h - 1 - y),         // bottom, left
        5 => (y, x),                 // left, top
        6 => (y, h - 1 - x),         // right, top
        7 => (w - 1 - y, h - 1 - x), // right, bottom
        8 => (w - 1 - y, x),         // left, bottom
        _ => panic!("no orientation {o}"),
    }
}

/// Promise: all 8 orientations: the tag of the reference turns written pictures (8 and 16 bit), the TIFF stays in
/// sensor coordinates, and the tags of later frames and of darks are ignored; from JPEG and from PNG.
/// Control: no orientation's picture passes for another's.
#[test]
fn pictures_are_turned_and_tiffs_are_not() {
    let (w, h) = (13, 7);
    let mut rng = Rng::new(3);
    let sensor = Picture::new(w, h, 3, (0..w * h * 3).map(|_| rng.below(256) as u8).collect());
    let mut all = Vec::new();
    for (kind, o) in [("png", 0), ("jpg", 1)].iter().flat_map(|(k, _)| (1..=8).map(move |o| (*k, o))) {
        let place = Place::new();
        place.folder("input");
        place.folder("dark");
        let block = |o| exif::block(o, "2025:01:18 20:00:00");
        let write = |name: &str, o: u16| {
            let path = place.path(format!("{name}.{kind}"));
            if kind == "png" {
                write_png8_exif(&path, &sensor, block(o));
            } else {
                write_jpeg(&path, &sensor, Some(block(o)));
            }
        };
        write("input/light_1", o);
        write("input/light_2", o % 8 + 1);
        write_png8_exif(&place.path("dark/dark_1.png"), &sensor.map(|_| 0), block(8 - o % 8));
        place.stack("--no-align --method addmax --format png,png16,tiff").exits(0);
        let light = livestack::io::read(&place.path(format!("input/light_1.{kind}")), Vec::new());
        let light = light.expect("readable");
        let linear = read_tiff(&place.path("output/ADDMAX.tiff"));
        assert_eq!(linear.shape(), (w, h, 3), "{kind} {o}: the TIFF is not turned");
        for (k, v) in linear.data.iter().enumerate() {
            assert!((v * 255.0 - light.level(k)).abs() < 1e-3, "{kind} {o}: sample {k} of the TIFF");
        }
        for (name, white) in [("output/ADDMAX.png", 255.0), ("output/ADDMAX_16.png", 65535.0)] {
            let (shown, depth) = read_png(&place.path(name));
            assert_eq!(depth, white);
            let turned = if o >= 5 { (h, w) } else { (w, h) };
            assert_eq!((shown.width, shown.height), turned, "{kind} {o} {name}");
            for y in 0..shown.height {
                for x in 0..shown.width {
                    let (sx, sy) = on_sensor(o, x, y, (w, h));
                    for c in 0..3 {
                        let (got, want) = (shown.at(x, y, c) / white, linear.at(sx, sy, c));
                        assert!((got - want).abs() <= 1.01 / 255.0, "{kind} {o} {name} at ({x}, {y})");
                    }
                }
            }
            if white == 255.0 {
                all.push((format!("{kind} {o}"), shown));
            }
        }
    }
    for (k, (name, a)) in all.iter().enumerate().filter(|(k, _)| k % 8 != 7) {
        let (other, b) = &all[k + 1];
        assert!(a.shape() != b.shape() || a.data != b.data, "{name} passes for {other}");
    }
}

/// Promise: 8-bit pictures are floor(255 v), 16-bit ones round(65535 v) of the v in the TIFF, clamped; linear data
/// is never stretched, pictures are with `--stretch auto`, which is the default for `mean` alone.
#[test]
fn formats_show_the_same_stack() {
    let place = Place::new();
    place.folder("input");
    let sky = Sky::new((120, 80), 40, 9);
    for k in 1..=3 {
        common::picture::write_png8(&place.path(format!("input/{k}.png")), &eight(&sky.light(&IDENTITY, k)));
    }
    for backend in backends() {
        let run = |out: &str, stretch: &str| {
            let flags = format!("--no-align --method all,mean --format tiff,png,png16 -o {out} {stretch}");
            place.stack_on(backend, &flags).exits(0);
        };
        run("none", "--stretch none");
        run("auto", "--stretch auto");
        run("default", "");
        for rule in common::rules::SIX.into_iter().chain(["MEAN"]) {
            let file = |out: &str, suffix: &str| place.path(format!("{out}/{rule}{suffix}"));
            let linear = read_tiff(&file("none", ".tiff"));
            let clamped = linear.map(|v| v.clamp(0.0, 1.0));
            let d = difference(
                &read_png8(&file("none", ".png")),
                &clamped.map(|v| (255.0 * v).floor()),
                0.0,
                everywhere,
            );
            // v is rounded to f32 once more in the TIFF: whole levels may fall to either side of the floor.
            assert!(d.most <= 1.0, "{backend} {rule}: {d:?}");
            let (wide, white) = read_png(&file("none", "_16.png"));
            let d = difference(&wide, &clamped.map(|v| (65535.0 * v).round()), 0.0, everywhere);
            assert!(white == 65535.0 && d.most <= 1.0 && d.beyond <= 1e-3, "{backend} {rule}: {d:?}");
            assert!(place.bytes(&format!("none/{rule}.tiff")) == place.bytes(&format!("auto/{rule}.tiff")));
            let default = if rule == "MEAN" { "auto" } else { "none" };
            for suffix in [".png", "_16.png"] {
                let bytes = |out: &str| std::fs::read(file(out, suffix)).expect("picture");
                assert!(bytes("none") != bytes("auto"), "{backend} {rule}{suffix}: auto stretches");
                assert!(bytes("default") == bytes(default), "{backend} {rule}{suffix}: default stretch");
            }
        }
    }
}
