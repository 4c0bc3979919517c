//! Cases of the kernels that go over the stack: accumulate, coverage, present, histogram.

use super::planes::{plane, white};
use super::{Case, Output, Probe, Random, Samples, Tolerance};
use crate::kernels::accumulate::{Accumulate, AccumulateParams, Pose, SLOTS};
use crate::kernels::coverage::{Coverage, CoverageParams};
use crate::kernels::histogram::{BINS, Histogram, HistogramParams, RECORD, STRIP};
use crate::kernels::present::{Curve, Present, PresentParams, Stretch};
use crate::kernels::{Store, stride};
use crate::rules::Method;
use bytemuck::cast_slice;

/// What a state may be off, parts of white: the position's rounding (2 units in the last place of an offset of some
/// pixels, fused products or not) times the steepest slope, and the divisions of the means, 2.5 units in the last
/// place. Lavapipe (Mesa 22.3): equal.
const STATE_TOLERANCE: f32 = 4e-6;

/// Frames of fewer px are turned by degrees too: in larger ones positions are off by more, in single precision.
const TURNED: f64 = 600.0;

/// Poses by name: reference px to px of a frame of `w` x `h`.
fn poses(w: usize, h: usize) -> Vec<(&'static str, Pose)> {
    let (x, y) = (w as f64, h as f64);
    let (sin, cos) = 0.3_f64.to_radians().sin_cos();
    let turn = |degrees: f64| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (mx, my) = (x / 2.0, y / 2.0);
        [cos, -sin, mx - cos * mx + sin * my, sin, cos, my - sin * mx - cos * my, 0.0, 0.0, 1.0]
    };
    let mut maps = vec![
        ("identity", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
        ("subpixel shift", [1.0, 0.0, 0.37, 0.0, 1.0, -1.61, 0.0, 0.0, 1.0]),
        ("0.3 degrees", [cos, -sin, 1.2, sin, cos, -0.4, 0.0, 0.0, 1.0]),
        ("90 degrees", [0.0, -1.0, x - 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        ("180 degrees", [-1.0, 0.0, x - 1.0, 0.0, -1.0, y - 1.0, 0.0, 0.0, 1.0]),
        ("scale", [1.013, 0.0, -0.8, 0.0, 0.987, 0.3, 0.0, 0.0, 1.0]),
        ("perspective", [1.001, 0.002, -0.7, -0.001, 0.999, 0.2, 3e-6, -2e-6, 1.0]),
        ("partly outside", [1.0, 0.001, x * 0.6 + 0.2, 0.0, 1.0, -y * 0.4 - 0.7, 0.0, 0.0, 1.0]),
        ("outside", [1.0, 0.0, x + 5.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
    ];
    if x.max(y) < TURNED {
        maps.extend([("2 degrees", turn(2.0)), ("182 degrees", turn(182.0)), ("30 degrees", turn(30.0))]);
    }
    maps.iter().map(|(name, m)| (*name, Pose::new(m, w, h))).collect()
}

/// Counts of frames, one pixel full.
fn counts(random: &mut Random, w: usize, h: usize) -> Vec<u32> {
    let mut words = plane(random, Store::U16, w, h);
    let last = (h - 1) * stride(w) / 2;
    words[last] |= 0xffff;
    words
}

fn accumulate_case(
    store: Store,
    methods: &[Method],
    n: f32,
    (at, pose): (&str, Pose),
    (w, h): (usize, usize),
) -> Case<Accumulate> {
    let mut random = Random::new(6);
    // 16 bits stand here for 8-bit frames in fixed point.
    let (unit, white) = if store == Store::U16 { (1.0 / 256.0, 255.0) } else { (1.0, white(store)) };
    let mut op = [0; SLOTS];
    op.iter_mut().zip(methods).for_each(|(o, m)| *o = m.state() as u32);
    let params = AccumulateParams {
        row0: 0,
        rows: h as u32,
        width: w as u32,
        height: h as u32,
        stride: stride(w) as u32,
        store: store as u32,
        slots: methods.len() as u32,
        unit,
        n,
        white,
        pedestal: if store == Store::F32 { white * 0.05 } else { 0.0 },
        op,
        pad: [0; 3],
        pose,
    };
    let pixels = plane(&mut random, store, w, h);
    let coverage = methods.iter().any(|m| m.coverage()).then(|| counts(&mut random, w, h));
    let writes = (0..SLOTS)
        .map(|k| {
            (k < methods.len()).then(|| {
                let state = plane(&mut random, Store::F32, w, h);
                let scale = white / super::planes::white(Store::F32);
                Output {
                    start: cast_slice::<u32, f32>(&state).iter().map(|v| (v * scale).to_bits()).collect(),
                    samples: Samples::F32,
                    tolerance: Tolerance::Absolute(STATE_TOLERANCE * white),
                }
            })
        })
        .collect();
    let rules: Vec<_> = methods.iter().map(|m| m.name()).collect();
    let name = format!("{w}x{h} {store:?} {at}, n {n}, {}", rules.join(" "));
    Case { name, params, reads: vec![Some(pixels), coverage], writes }
}

impl Probe for Accumulate {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let size = (width, height);
        let states = Method::states(Method::ALL);
        let mut cases = Vec::new();
        for pose in poses(width, height) {
            for store in [Store::U8, Store::U16, Store::F32] {
                cases.push(accumulate_case(store, &states, 3.0, pose, size));
            }
        }
        for method in Method::ALL {
            for (n, pose) in [1.0, 2.0, 57.0].into_iter().zip(poses(width, height).into_iter().skip(1)) {
                cases.push(accumulate_case(Store::U16, &[*method], n, pose, size));
            }
        }
        cases
    }

    fn vital(case: &Case<Self>) -> bool {
        // Every store with all states, and the rule that is left where they do not fit.
        let p = &case.params;
        let alone = p.slots == 1 && p.op[0] == Method::AddComp as u32;
        case.name.contains("0.3 degrees") && (alone || p.slots as usize == Method::states(Method::ALL).len())
    }

    fn plant(case: &mut Case<Self>) {
        case.params.pose.tu += 1;
    }
}

impl Probe for Coverage {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut random = Random::new(7);
        poses(width, height)
            .into_iter()
            .map(|(at, pose)| Case {
                name: format!("{width}x{height} {at}"),
                params: CoverageParams {
                    row0: 0,
                    rows: height as u32,
                    width: width as u32,
                    height: height as u32,
                    stride: stride(width) as u32,
                    pad: [0; 3],
                    pose,
                },
                reads: Vec::new(),
                writes: vec![Some(Output {
                    start: counts(&mut random, width, height),
                    samples: Samples::U16,
                    tolerance: Tolerance::Exact,
                })],
            })
            .collect()
    }

    fn plant(case: &mut Case<Self>) {
        case.params.pose.tu += 1;
    }
}

/// A stack of `channels` planes, white 65535, some of it below 0 and above white.
fn stack(random: &mut Random, channels: usize, w: usize, h: usize) -> Vec<Option<Vec<u32>>> {
    let level = |v: f32| (v * 1.4 - 0.2 * white(Store::F32)).to_bits();
    (0..3)
        .map(|c| {
            (c < channels).then(|| {
                let mut words = plane(random, Store::F32, w, h);
                words.iter_mut().skip(1).for_each(|v| *v = level(f32::from_bits(*v)));
                words
            })
        })
        .collect()
}

impl Probe for Present {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let bent = |shadow, midtone| Stretch { shadow, slope: 1.0 / (1.0 - shadow), midtone, pad: 0.0 };
        let stretches = [Stretch::NONE, bent(0.05, 0.08), Stretch { slope: 1.7, ..bent(0.0, 0.9) }];
        let mut random = Random::new(8);
        let mut cases = Vec::new();
        for channels in [1_usize, 3] {
            for (curve, coloured) in [
                (Curve::None, 0),
                (Curve::Stretch, 0),
                (Curve::Gamma, 0),
                (Curve::Stretch, 1),
                (Curve::Gamma, 1),
            ] {
                if coloured == 1 && channels == 1 {
                    continue;
                }
                let picture = Output {
                    start: interleaved(width, height, channels),
                    samples: Samples::U8,
                    // Square roots are a unit or two in the last place off on devices, lavapipe among them.
                    tolerance: if curve == Curve::Gamma {
                        Tolerance::Absolute(1.0)
                    } else {
                        Tolerance::Rounded
                    },
                };
                cases.push(Case {
                    name: format!("{width}x{height} x{channels}, {curve:?}, coloured {coloured}"),
                    params: PresentParams {
                        row0: 0,
                        rows: height as u32,
                        width: width as u32,
                        height: height as u32,
                        stride: stride(width) as u32,
                        channels: channels as u32,
                        stretched: curve as u32,
                        coloured,
                        scale: 255.0 / white(Store::F32),
                        pad: [0; 3],
                        stretch: if channels == 1 { [stretches[1]; 3] } else { stretches },
                        matrix: [1.9, -0.7, -0.2, -0.25, 1.6, -0.35, 0.05, -0.65, 1.6],
                        end: [0; 3],
                    },
                    reads: stack(&mut random, channels, width, height),
                    writes: vec![Some(picture)],
                });
            }
        }
        cases
    }

    fn vital(case: &Case<Self>) -> bool {
        // What is shown of 8-bit frames, and automatically stretched of all others.
        let p = &case.params;
        let stretch = Curve::Stretch as u32;
        let this = (p.channels, p.stretched, p.coloured);
        [(3, Curve::None as u32, 0), (1, stretch, 0), (3, stretch, 0), (3, stretch, 1)].contains(&this)
    }

    fn plant(case: &mut Case<Self>) {
        off_by(&mut case.reads[0], white(Store::F32) / 255.0);
    }
}

/// A poisoned picture: rows of `stride` pixels, the padding 0.
fn interleaved(width: usize, height: usize, channels: usize) -> Vec<u32> {
    let (used, all) = (width * channels, stride(width) * channels);
    let row: Vec<u8> = (0..all).map(|k| if k < used { 0xa5 } else { 0 }).collect();
    bytemuck::pod_collect_to_vec(&row.repeat(height))
}

/// Raises the first sample by `levels`.
fn off_by(plane: &mut Option<Vec<u32>>, levels: f32) {
    if let Some(words) = plane {
        words[0] = (f32::from_bits(words[0]) + levels).to_bits();
    }
}

impl Probe for Histogram {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut random = Random::new(9);
        let strips = height.div_ceil(STRIP);
        [(1, 0), (3, 0), (1, 1)]
            .into_iter()
            .map(|(step, deviation)| Case {
                name: format!("{width}x{height}, step {step}, deviation {deviation}"),
                params: HistogramParams {
                    row0: 0,
                    rows: strips as u32,
                    width: width as u32,
                    height: height as u32,
                    stride: stride(width) as u32,
                    step,
                    low: if deviation == 1 { 0.0 } else { 1000.0 },
                    bins_per_level: BINS as f32 / 40_000.0,
                    centre: 14_000.0,
                    deviation,
                    pad: [0; 2],
                },
                reads: vec![stack(&mut random, 1, width, height).swap_remove(0)],
                writes: vec![Some(Output {
                    start: vec![u32::MAX; strips * RECORD],
                    samples: Samples::U32,
                    tolerance: Tolerance::Exact,
                })],
            })
            .collect()
    }

    fn plant(case: &mut Case<Self>) {
        off_by(&mut case.reads[0], 1.0 / case.params.bins_per_level);
    }
}
