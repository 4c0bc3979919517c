//! Calls of the kernels that work on windows and patches: measure, template, ecc. As many as a frame has at most.

use crate::calls::{Call, Calls, Source, plane, unit};
use crate::common::Size;
use bytemuck::{Zeroable, cast_slice};
use livestack::align::{select, stars};
use livestack::kernels::ecc::Ecc;
use livestack::kernels::measure::{Measure, MeasureParams, Place};
use livestack::kernels::sample::{AREA, Patch};
use livestack::kernels::template::{PatchParams, Template};
use livestack::kernels::{Store, stride};

/// Pixels that patches keep from the edge.
const REACH: usize = 16;
/// The tracked turn, 0.02 degrees: sine and cosine.
const TURN: (f32, f32) = (3.490_66e-4, 0.999_999_94);
/// What a window is weighted with: of a star of FWHM 4 px.
const FALLOFF: f32 = 0.17;

/// Place number `k` of a frame, px.
fn place(k: usize, (w, h): Size) -> (f32, f32) {
    let inside = |side: usize, part: f32| REACH as f32 + part * side.saturating_sub(2 * REACH) as f32;
    (inside(w, unit(2 * k)), inside(h, unit(2 * k + 1)))
}

impl Calls for Measure {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        let places = move || -> Vec<u32> {
            let place = |k| {
                let (x, y) = place(k, (w, h));
                Place { x: x as i32, y: y as i32, sky: 1100.0, falloff: FALLOFF, ..Place::default() }
            };
            cast_slice(&(0..stars::MOST).map(place).collect::<Vec<_>>()).to_vec()
        };
        vec![Call {
            name: format!("{} places", stars::MOST),
            params: MeasureParams {
                places: stars::MOST as u32,
                width: w as u32,
                height: h as u32,
                stride: stride(w) as u32,
                ..Zeroable::zeroed()
            },
            reads: vec![plane(Store::U16, (w, h)), Some(Box::new(places))],
            writes: 1,
        }]
    }
}

fn patches((w, h): Size) -> Option<Source> {
    let (sin, cos) = TURN;
    Some(Box::new(move || {
        let patch = |k| {
            let (x, y) = place(k, (w, h));
            Patch {
                u: x as i32,
                v: y as i32,
                fu: x.fract(),
                fv: y.fract(),
                a: cos,
                b: -sin,
                c: sin,
                d: cos,
                sky: 1100.0,
                inside: 1,
                ..Zeroable::zeroed()
            }
        };
        cast_slice(&(0..select::MOST).map(patch).collect::<Vec<Patch>>()).to_vec()
    }))
}

fn params(w: usize) -> PatchParams {
    PatchParams {
        patches: select::MOST as u32,
        stride: stride(w) as u32,
        window: FALLOFF,
        ..Zeroable::zeroed()
    }
}

impl Calls for Template {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        vec![Call {
            name: format!("{} patches", select::MOST),
            params: params(w),
            reads: vec![plane(Store::U16, (w, h)), patches((w, h))],
            writes: 1,
        }]
    }
}

impl Calls for Ecc {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        vec![Call {
            name: format!("{} patches", select::MOST),
            params: params(w),
            reads: vec![
                plane(Store::U16, (w, h)),
                patches((w, h)),
                crate::calls::packed(Store::F32, select::MOST * AREA),
            ],
            writes: 1,
        }]
    }
}
