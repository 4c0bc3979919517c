//! Cases of the kernels that go over patches or windows: template, ecc, measure.

use super::planes::plane;
use super::{Case, Output, Probe, Random, Samples, Tolerance};
use crate::kernels::ecc::{Ecc, RECORD};
use crate::kernels::measure::{self, Measure, MeasureParams, Place};
use crate::kernels::sample::{AREA, Patch};
use crate::kernels::template::{PatchParams, Template};
use crate::kernels::{Store, stride};
use bytemuck::cast_slice;

/// The smallest plane that holds a patch turned by any angle, px.
const LEAST: usize = 40;
/// Pixels that a patch reaches from its centre, turned by any angle and with the margin of sampling.
const REACH: f32 = 15.0;

/// What a template's pixel may be off, gray units of 65535: a device's 1 / x may be 2.5 units in the last place off,
/// that is 2e-6 px at the patch's corner, on slopes of up to 65535 a px. Lavapipe (Mesa 22.3): 0.008.
const TEMPLATE_TOLERANCE: f32 = 0.25;
/// What a sum may be off, as a part of the largest sum of its kind: 256 terms, added in another order, and the error
/// of the position. Lavapipe (Mesa 22.3): 3e-6.
const SUMS_TOLERANCE: f32 = 2e-5;
/// The same for `measure`, whose 1024 terms cancel where the sky is taken off. Lavapipe (Mesa 22.3): see the parity test.
const MOMENTS_TOLERANCE: f32 = 2e-5;

/// Linear part (a, b, c, d) and projective part (g, h) of a patch's map.
const MAPS: [(&str, [f32; 6]); 6] = [
    ("identity", [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
    ("0.3 degrees", [0.999_986_3, -0.005_235_96, 0.005_235_96, 0.999_986_3, 0.0, 0.0]),
    ("90 degrees", [0.0, -1.0, 1.0, 0.0, 0.0, 0.0]),
    ("180 degrees", [-1.0, 0.0, 0.0, -1.0, 0.0, 0.0]),
    ("scale", [1.01, 0.0, 0.0, 0.98, 0.0, 0.0]),
    ("perspective", [1.0, 0.002, -0.003, 1.0, 1e-4, -2e-4]),
];

/// A gray plane, and patches in it: every map at subpixel places, and some that are left out.
fn scene(width: usize, height: usize) -> (PatchParams, Vec<u32>, Vec<u32>) {
    let (w, h) = (width.max(LEAST), height.max(LEAST));
    let mut random = Random::new(4);
    let gray = plane(&mut random, Store::U16, w, h);
    let count = MAPS.len() + 1 + w * h / AREA;
    let patches: Vec<Patch> = (0..count)
        .map(|k| {
            let (_, [a, b, c, d, g, h_]) = MAPS[k % MAPS.len()];
            let (x, y) = (random.within(REACH, w as f32 - REACH), random.within(REACH, h as f32 - REACH));
            // The first stands on a whole pixel; each seventh from the seventh on is left out.
            let fraction = if k == 0 { 0.0 } else { 1.0 };
            Patch {
                u: x as i32,
                v: y as i32,
                fu: x.fract() * fraction,
                fv: y.fract() * fraction,
                a,
                b,
                c,
                d,
                g,
                h: h_,
                sky: random.within(10_000.0, 16_000.0),
                sky_x: random.within(-1.0, 1.0),
                sky_y: random.within(-1.0, 1.0),
                inside: u32::from(k % (MAPS.len() + 1) != MAPS.len()),
                pad0: 0,
                pad1: 0,
            }
        })
        .collect();
    let params = PatchParams {
        row0: 0,
        rows: count as u32,
        patches: count as u32,
        stride: stride(w) as u32,
        // Every second size with a window.
        window: if w % 2 == 0 { 0.0 } else { 0.05 },
        pad0: 0,
        pad1: 0,
        pad2: 0,
    };
    (params, gray, cast_slice(&patches).to_vec())
}

/// Shifts the taps of the first patch by one pixel.
fn shift(patches: &mut Option<Vec<u32>>) {
    if let Some(words) = patches {
        words[0] += 1;
    }
}

fn poison(words: usize, tolerance: Tolerance) -> Option<Output> {
    Some(Output { start: vec![f32::MAX.to_bits(); words], samples: Samples::F32, tolerance })
}

impl Probe for Template {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let (params, gray, patches) = scene(width, height);
        let words = params.patches as usize * AREA;
        vec![Case {
            name: format!("{width}x{height}, {} patches", params.patches),
            params,
            reads: vec![Some(gray), Some(patches)],
            writes: vec![poison(words, Tolerance::Absolute(TEMPLATE_TOLERANCE))],
        }]
    }

    fn plant(case: &mut Case<Self>) {
        shift(&mut case.reads[1]);
    }
}

impl Probe for Ecc {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let (params, gray, patches) = scene(width, height);
        let count = params.patches as usize;
        let mut random = Random::new(5);
        let template = (0..count * AREA).map(|_| random.within(-3000.0, 9000.0).to_bits()).collect();
        vec![Case {
            name: format!("{width}x{height}, {count} patches"),
            params,
            reads: vec![Some(gray), Some(patches), Some(template)],
            writes: vec![poison(count * RECORD, Tolerance::Columns(SUMS_TOLERANCE, RECORD))],
        }]
    }

    fn plant(case: &mut Case<Self>) {
        shift(&mut case.reads[1]);
    }
}

impl Probe for Measure {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut random = Random::new(6);
        let gray = plane(&mut random, Store::U16, width, height);
        let count = 9 + width * height / AREA;
        let (w, h) = (width as f32, height as f32);
        let places: Vec<Place> = (0..count)
            .map(|k| Place {
                // Windows that reach over every edge, and some that lie outside altogether.
                x: if k == 8 { -40 } else { random.within(0.0, w) as i32 },
                y: if k == 7 { height as i32 + 40 } else { random.within(0.0, h) as i32 },
                fx: random.within(-2.0, 2.0),
                fy: random.within(-2.0, 2.0),
                sky: random.within(10_000.0, 16_000.0),
                sky_x: random.within(-1.0, 1.0),
                sky_y: random.within(-1.0, 1.0),
                falloff: random.within(0.01, 0.5),
            })
            .collect();
        let params = MeasureParams {
            row0: 0,
            rows: count as u32,
            places: count as u32,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            pad0: 0,
            pad1: 0,
        };
        vec![Case {
            name: format!("{width}x{height}, {count} places"),
            params,
            reads: vec![Some(gray), Some(cast_slice(&places).to_vec())],
            writes: vec![poison(
                count * measure::RECORD,
                Tolerance::Columns(MOMENTS_TOLERANCE, measure::RECORD),
            )],
        }]
    }

    fn plant(case: &mut Case<Self>) {
        shift(&mut case.reads[1]);
    }
}
