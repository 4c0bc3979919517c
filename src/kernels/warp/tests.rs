//! Every way of warping against the formula, in double precision, for wide stacks in several bands.

use super::super::accumulate::{Accumulate, AccumulateParams, Pose};
use super::super::{Store, stride};
use super::{Ahead, Place, RUN, Road, Way, piece};
use crate::backend::Backend;
use crate::backend::cpu::Cpu;
use crate::error::Result;
use crate::rules::Method;
use bytemuck::{Zeroable, cast_slice, cast_slice_mut, pod_collect_to_vec};

/// Wider than two blocks, and no multiple of a run.
const SIZE: (usize, usize) = (2151, 173);
/// Off by so much of white: what single precision leaves of a position inside a run, times the steepest slope.
const CLOSE: f64 = 4e-6;
/// The same where positions are the shader's: pixel by pixel, in some runs of a slant, and in those that reach the edge.
const SINGLE: f64 = 1e-4;

/// Turned by `degrees` about the middle, scaled and moved.
fn turned(degrees: f64, scale: f64) -> [f64; 9] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (sin, cos) = (scale * sin, scale * cos);
    let (x, y) = (SIZE.0 as f64 / 2.0, SIZE.1 as f64 / 2.0);
    [cos, -sin, x - cos * x + sin * y + 0.37, sin, cos, y - sin * x - cos * y - 0.61, 0.0, 0.0, 1.0]
}

fn with(mut map: [f64; 9], changes: &[(usize, f64)]) -> [f64; 9] {
    changes.iter().for_each(|&(k, by)| map[k] += by);
    map
}

/// Poses, the way that each is to take, and what is read ahead.
fn poses() -> Vec<(&'static str, [f64; 9], Way, Ahead)> {
    let (down, up) = (Ahead::Row { down: true }, Ahead::Row { down: false });
    vec![
        ("identity", turned(0.0, 1.0), Way::Rows { back: false }, Ahead::Nothing),
        ("tracked", turned(0.02, 1.0), Way::Rows { back: false }, Ahead::Nothing),
        (
            "tracked, bent",
            with(turned(-0.03, 1.0), &[(6, 3e-9), (7, -5e-9)]),
            Way::Rows { back: false },
            Ahead::Nothing,
        ),
        ("0.3 degrees", turned(0.3, 1.0), Way::Rows { back: false }, down),
        ("-0.3 degrees", turned(-0.3, 1.001), Way::Rows { back: false }, down),
        (
            "mirrored",
            with([-1.0, 0.0, 2148.7, 0.0, 1.0, 0.2, 0.0, 0.0, 1.0], &[(3, 0.004)]),
            Way::Rows { back: true },
            down,
        ),
        ("180 degrees", turned(180.0, 1.0), Way::Rows { back: true }, Ahead::Nothing),
        ("180.4 degrees", turned(180.4, 1.0), Way::Rows { back: true }, up),
        ("2 degrees", turned(2.0, 1.0), Way::Slant { back: false }, down),
        ("-3.5 degrees", turned(-3.5, 1.0), Way::Slant { back: false }, down),
        ("scale 1.05", turned(0.0, 1.05), Way::Pixels, down),
        ("182 degrees", turned(182.0, 0.99), Way::Slant { back: true }, up),
        (
            "2 degrees, bent",
            with(turned(2.0, 1.01), &[(6, -4e-8), (7, 3e-8)]),
            Way::Slant { back: false },
            down,
        ),
        ("182 degrees, bent", with(turned(182.0, 1.0), &[(6, 4e-8)]), Way::Slant { back: true }, up),
        (
            "180 degrees, bent",
            with(turned(180.02, 1.0), &[(6, 4e-8), (7, 4e-8)]),
            Way::Rows { back: true },
            Ahead::Nothing,
        ),
        ("5 degrees", turned(5.0, 1.0), Way::Pixels, down),
        ("30 degrees", turned(30.0, 1.0), Way::Pixels, Ahead::Far),
        ("90 degrees", turned(90.0, 1.0), Way::Pixels, Ahead::Far),
        ("135 degrees, bent", with(turned(135.0, 1.3), &[(6, 2e-9)]), Way::Pixels, Ahead::Far),
        ("perspective", with(turned(1.0, 1.0), &[(6, 3e-5), (7, -2e-5)]), Way::Pixels, down),
        ("turned, perspective", with(turned(60.0, 1.0), &[(6, -3e-5)]), Way::Pixels, Ahead::Far),
    ]
}

/// Noise: neighbours have nothing in common.
fn noise(k: usize) -> u32 {
    let mut x = k as u64 + 1;
    for _ in 0..2 {
        x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (x >> 48) as u32
}

/// What the pose makes of (`x`, `y`), in double precision, and whether that is far from the edge; `None` within a pixel of
/// it, on either side.
fn truth(pose: &Pose, sample: impl Fn(usize, usize) -> f64, x: usize, y: usize) -> Option<(f64, bool)> {
    let (x, y) = (x as f64, y as f64);
    let whole = |r: i32, e: f32| f64::from(r) + f64::from(e);
    let w = 1.0 + f64::from(pose.p0) * x + f64::from(pose.p1) * y;
    let u = (whole(pose.r00, pose.e00) * x + whole(pose.r01, pose.e01) * y + whole(pose.tu, pose.fu)) / w;
    let v = (whole(pose.r10, pose.e10) * x + whole(pose.r11, pose.e11) * y + whole(pose.tv, pose.fv)) / w;
    let (width, height) = (f64::from(pose.frame_width), f64::from(pose.frame_height));
    if u < -1.0 || v < -1.0 || u > width || v > height {
        return Some((0.0, true));
    }
    if u < 1.0 || v < 1.0 || u > width - 2.0 || v > height - 2.0 {
        return None;
    }
    let (fu, fv) = (u.fract(), v.fract());
    let row = |y: usize| sample(u as usize, y) * (1.0 - fu) + sample(u as usize + 1, y) * fu;
    let far = u.min(v).min(width - u).min(height - v) > 1.5 * RUN as f64;
    Some((row(v as usize) * (1.0 - fv) + row(v as usize + 1) * fv, far))
}

/// The stacks, of `words` words each, that a frame with `plane` makes on the CPU where `counts` frames cover the pixels.
fn warped(params: &AccumulateParams, plane: &[u32], counts: &[u32], words: usize) -> Result<[Vec<f32>; 2]> {
    let mut cpu = Cpu::default();
    let mut buffers = [cpu.alloc("plane", plane.len())?, cpu.alloc("counts", counts.len())?];
    cpu.write(&mut buffers[0], plane)?;
    cpu.write(&mut buffers[1], counts)?;
    let mut states = [cpu.alloc("state 0", words)?, cpu.alloc("state 1", words)?];
    let reads = [Some(&buffers[0]), Some(&buffers[1])];
    cpu.run::<Accumulate>(params, &reads, &mut states.each_mut().map(Some))?;
    let mut got = [vec![0.0; words], vec![0.0; words]];
    for (state, got) in states.iter().zip(&mut got) {
        cpu.read(state, cast_slice_mut(got))?;
    }
    Ok(got)
}

/// Warps noise of store `T` by `map` and compares.
fn agrees(name: &str, map: &[f64; 9], store: Store, way: Way, ahead: Ahead) {
    let (w, h) = SIZE;
    let row = stride(w);
    let (bits, white) = if store == Store::U8 { (8, 255.0) } else { (16, 65535.0) };
    let level = |x: usize, y: usize| noise(y * row + x) >> (16 - bits);
    let samples = (0..row * h).map(|k| level(k % row, k / row));
    let plane: Vec<u32> = match store {
        Store::U8 => pod_collect_to_vec(&samples.map(|v| v as u8).collect::<Vec<_>>()),
        Store::U16 => pod_collect_to_vec(&samples.map(|v| v as u16).collect::<Vec<_>>()),
        Store::F32 => pod_collect_to_vec(&samples.map(|v| v as f32).collect::<Vec<_>>()),
    };
    let pose = Pose::new(map, w, h);
    assert_eq!(Road::new(&pose, w as u32, h as u32), Road { way, ahead }, "{name}");
    let params = AccumulateParams {
        rows: h as u32,
        width: w as u32,
        height: h as u32,
        stride: row as u32,
        store: store as u32,
        slots: 2,
        unit: 1.0,
        n: 2.0,
        white,
        op: [Method::Add as u32, Method::Mean as u32, 0, 0, 0, 0],
        pose,
        ..Zeroable::zeroed()
    };
    let counts: Vec<u16> = (0..row * h).map(|k| (noise(k + 7) >> 13) as u16).collect();
    let [sums, means] = warped(&params, &plane, cast_slice(&counts), row * h).expect("stacks");
    let mut seen = 0;
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        let Some((want, far)) = truth(&pose, |x, y| f64::from(level(x, y)), x, y) else { continue };
        let at = y * row + x;
        // Both begin with 0.
        let (is, mean) = (f64::from(sums[at]), f64::from(means[at]) * f64::from(counts[at] + 1));
        let close = f64::from(white) * if far && matches!(way, Way::Rows { .. }) { CLOSE } else { SINGLE };
        assert!((is - want).abs() <= close, "{name}, {store:?}, ({x}, {y}): {is} instead of {want}");
        assert!((mean - want).abs() <= 2.0 * close, "{name}, {store:?}, ({x}, {y}): mean {mean}, not {want}");
        seen += usize::from(want > 0.0);
    }
    assert!(seen > w * h / 20, "{name}: {seen} pixels inside");
}

#[test]
fn pieces_lie_where_they_say() {
    let mut inside = 0;
    for (w, h) in [(1, 1), (2, 2), (5, 3), (8, 8), (12, 12), (17, 13), (2151, 31)] {
        let (x, y) = (w as f64, h as f64);
        let maps = poses().into_iter().map(|(name, map, ..)| (name, map)).chain([
            ("scale 3", [3.0, 0.0, -x, 0.0, 3.0, -y, 0.0, 0.0, 1.0]),
            ("scale 0.3", [0.3, 0.01, x * 0.4, -0.02, 0.3, y * 0.3, 0.0, 0.0, 1.0]),
            ("mirrored", [-1.0, 0.0, x - 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
            ("concave", [2.0, 0.0, 0.0, 0.0, 1.0, 0.3, 0.6 / x, 0.0, 1.0]),
            ("convex", [0.5, 0.0, 0.0, 0.0, 1.0, 0.3, -0.6 / x, 0.0, 1.0]),
            ("horizon", [1.0, 0.0, 0.2, 0.0, 1.0, 0.2, -1.4 / x, 0.0, 1.0]),
        ]);
        for (name, map) in maps {
            let pose = Pose::new(&map, w, h);
            let mut all = 0;
            for row in 0..h as i32 {
                let mut at = 0;
                while at < w {
                    let (n, place) = piece(&pose, (at, row), w - at);
                    assert!((1..=w - at).contains(&n), "{name} {w}x{h}, ({at}, {row}): {n} pixels");
                    let seen = (at..at + n).filter(|&k| pose.covered(k as i32, row).is_some()).count();
                    match place {
                        Place::Inside => assert_eq!(seen, n, "{name} {w}x{h}, ({at}, {row})"),
                        Place::Outside => assert_eq!(seen, 0, "{name} {w}x{h}, ({at}, {row})"),
                        Place::Edge => {}
                    }
                    inside += if place == Place::Inside { n } else { 0 };
                    (at, all) = (at + n, all + 1);
                }
            }
            // Not run by run, but for rows along the edge: what follows the edge is found at once, or by halves.
            assert!(all <= 60 * h || name == "horizon", "{name} {w}x{h}: {all} pieces");
        }
    }
    assert!(inside > 2151 * 31 * 5, "{inside}");
}

#[test]
fn every_way_equals_the_formula() {
    for (name, map, way, ahead) in poses() {
        for store in [Store::U8, Store::U16, Store::F32] {
            agrees(name, &map, store, way, ahead);
        }
    }
}
