//! Calls of the kernels that go over the stack: accumulate, coverage, present, histogram.

use crate::calls::{Call, Calls, plane};
use crate::common::Size;
use bytemuck::Zeroable;
use livestack::kernels::accumulate::{self as acc, Accumulate, AccumulateParams, Pose};
use livestack::kernels::coverage::{Coverage, CoverageParams};
use livestack::kernels::histogram::{BINS, Histogram, HistogramParams};
use livestack::kernels::present::{Curve, Present, PresentParams, Stretch};
use livestack::kernels::{Store, stride};
use livestack::rules::Method;
use livestack::sensor::NO_MATRIX;

/// Poses by name: reference px to frame px, of a frame that lies as the reference does, of a tracked night, of a field
/// that turns about its middle (behind a mount without rotator: degrees in a session), of the other side of the meridian.
fn poses((w, h): Size) -> [(&'static str, Pose); 9] {
    let turn = |degrees: f64, x: f64, y: f64| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        [cos, -sin, x, sin, cos, y, 1e-9, -1e-9, 1.0]
    };
    let about = |degrees: f64| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (x, y) = (w as f64 / 2.0, h as f64 / 2.0);
        turn(degrees, x - cos * x + sin * y + 7.3, y - sin * x - cos * y - 4.6)
    };
    let flipped = [-1.0, 1e-4, w as f64 - 8.3, -1e-4, -1.0, h as f64 - 3.4, 0.0, 0.0, 1.0];
    [
        ("identity", livestack::align::motion::IDENTITY),
        ("tracked", turn(0.02, 7.3, -4.6)),
        ("0.1 degrees", about(0.1)),
        ("0.5 degrees", about(0.5)),
        ("2 degrees", about(2.0)),
        ("5 degrees", about(5.0)),
        ("30 degrees", about(30.0)),
        ("90 degrees", about(90.0)),
        ("180 degrees", flipped),
    ]
    .map(|(name, map)| (name, Pose::new(&map, w, h)))
}

fn accumulated(methods: &[Method], name: &str, (at, pose): (&str, Pose), (w, h): Size) -> Call<Accumulate> {
    let mut op = [0; acc::SLOTS];
    op.iter_mut().zip(methods).for_each(|(o, m)| *o = m.state() as u32);
    let counted = methods.iter().any(|m| m.coverage());
    Call {
        name: format!("{name}, {at}"),
        params: AccumulateParams {
            width: w as u32,
            height: h as u32,
            stride: stride(w) as u32,
            store: Store::U16 as u32,
            slots: methods.len() as u32,
            unit: 1.0 / 256.0,
            n: 2.0,
            white: 255.0,
            op,
            pose,
            ..Zeroable::zeroed()
        },
        reads: vec![plane(Store::U16, (w, h)), if counted { plane(Store::U16, (w, h)) } else { None }],
        writes: methods.len(),
    }
}

impl Calls for Accumulate {
    fn calls(size: Size) -> Vec<Call<Self>> {
        let six = Method::states(Method::SIX);
        let mut calls = Vec::new();
        for pose in poses(size) {
            calls.push(accumulated(&[Method::AddComp], Method::AddComp.name(), pose, size));
            calls.push(accumulated(&six, "all six", pose, size));
        }
        // The other rules differ from these in arithmetic alone: one pose will do.
        let [_, tracked, ..] = poses(size);
        for rule in Method::ALL.iter().filter(|m| m.state() == **m && **m != Method::AddComp) {
            calls.push(accumulated(&[*rule], rule.name(), tracked, size));
        }
        calls
    }
}

impl Calls for Coverage {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        poses((w, h))
            .map(|(name, pose)| Call {
                name: name.into(),
                params: CoverageParams {
                    width: w as u32,
                    height: h as u32,
                    stride: stride(w) as u32,
                    pose,
                    ..Zeroable::zeroed()
                },
                reads: Vec::new(),
                writes: 1,
            })
            .into()
    }
}

impl Calls for Present {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        [(Curve::None, false), (Curve::Stretch, false), (Curve::Stretch, true), (Curve::Gamma, false)]
            .map(|(curve, coloured)| {
                let name = match curve {
                    Curve::None => "as it is",
                    Curve::Stretch => "stretched",
                    Curve::Gamma => "gamma",
                };
                Call {
                    name: format!("{name}{}", if coloured { ", matrix" } else { "" }),
                    params: PresentParams {
                        width: w as u32,
                        height: h as u32,
                        stride: stride(w) as u32,
                        channels: 3,
                        stretched: curve as u32,
                        coloured: u32::from(coloured),
                        scale: 0.5,
                        stretch: [Stretch::NONE; 3],
                        matrix: NO_MATRIX,
                        ..Zeroable::zeroed()
                    },
                    reads: (0..3).map(|_| plane(Store::F32, (w, h))).collect(),
                    writes: 1,
                }
            })
            .into()
    }
}

impl Calls for Histogram {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        [("levels", 0), ("deviations", 1)]
            .map(|(name, deviation)| Call {
                name: name.into(),
                params: HistogramParams {
                    width: w as u32,
                    height: h as u32,
                    stride: stride(w) as u32,
                    step: 1,
                    bins_per_level: BINS as f32 / 512.0,
                    centre: 430.0,
                    deviation,
                    ..Zeroable::zeroed()
                },
                reads: vec![plane(Store::F32, (w, h))],
                writes: 1,
            })
            .into()
    }
}
