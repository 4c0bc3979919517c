//! Plain ECC of ours: the kernels `template` and `ecc` on patches that tile the rectangle, and the host's step, for a
//! homography; without window, outliers, coarse level and background.

use super::Solver;
use super::image::{BORDER, Pair, Plane, RECTANGLE, REFERENCE, Reference};
use crate::common::geometry::{IDENTITY, Map, apply, compose, shift};
use bytemuck::{Zeroable, cast_slice, cast_slice_mut};
use livestack::align::ecc;
use livestack::align::motion::{Model, Motion};
use livestack::backend::Backend;
use livestack::backend::cpu::{Cpu, CpuBuffer};
use livestack::error::Result;
use livestack::kernels::ecc::{PatchSums, RECORD, ecc as sum};
use livestack::kernels::sample::{AREA, CENTRE, PATCH, Patch};
use livestack::kernels::template::{PatchParams, template};

/// Patches.
const COUNT: usize = (RECTANGLE / PATCH) * (RECTANGLE / PATCH);
/// Px between a mapped patch and the image's edge that sampling needs: taps at -1 to 2, and room for rounding.
const TAPS: (f64, f64) = (1.5, 3.5);

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// The gradient along y has the wrong sign.
    Sign,
    /// The gradient is 10 % too long.
    Steep,
    /// The Jacobian lacks its perspective columns.
    Affine,
    /// The template is cut this far off, 1/1000 px.
    Displaced(u16),
}

/// Ours on one pair.
pub(crate) struct Ours {
    backend: Cpu,
    model: Model,
    side: usize,
    gray: CpuBuffer,
    template_px: CpuBuffer,
    patches: CpuBuffer,
    sums: CpuBuffer,
    mistake: Mistake,
}

impl Ours {
    pub(crate) fn new(pair: &Pair, mistake: Mistake) -> Result<Ours> {
        let mut backend = Cpu::default();
        let gray = uploaded(&mut backend, &pair.image)?;
        let mut patches = backend.alloc("patches", COUNT * size_of::<Patch>() / 4)?;
        let mut template_px = backend.alloc("template", COUNT * AREA)?;
        let sums = backend.alloc("patch sums", COUNT * RECORD)?;
        let plane;
        let (from, side, mut map) = match &pair.reference {
            Reference::Warped(truth) => (&gray, pair.image.side, *truth),
            Reference::Plane(p) => {
                plane = uploaded(&mut backend, p)?;
                (&plane, p.side, IDENTITY)
            }
        };
        if let Mistake::Displaced(thousandths) = mistake {
            map = compose(&shift(f64::from(thousandths) / 1000.0, 0.0), &map);
        }
        backend.write(&mut patches, cast_slice(&placed(&map, side)))?;
        template(&mut backend, &params(side), from, &patches, &mut template_px)?;
        let motion = if mistake == Mistake::Affine { Motion::Affine } else { Motion::Homography };
        let model = Model::new(motion, REFERENCE, REFERENCE);
        Ok(Ours { backend, model, side: pair.image.side, gray, template_px, patches, sums, mistake })
    }

    fn sums(&mut self, map: &Map) -> Result<[PatchSums; COUNT]> {
        let p = params(self.side);
        self.backend.write(&mut self.patches, cast_slice(&placed(map, self.side)))?;
        sum(&mut self.backend, &p, &self.gray, &self.patches, &self.template_px, &mut self.sums)?;
        let mut sums = [PatchSums::zeroed(); COUNT];
        self.backend.read(&self.sums, cast_slice_mut(&mut sums))?;
        for s in &mut sums {
            plant(s, self.mistake);
        }
        Ok(sums)
    }
}

impl Solver for Ours {
    fn step(&mut self, map: &Map) -> Option<Map> {
        let sums = self.sums(map).ok()?;
        let mut p = self.model.params(map);
        let centres = centres().map(|(x, y)| (x as f64, y as f64));
        let step = ecc::step(&self.model, &p, centres.zip(&sums).map(|(c, s)| (c, 1.0, s))).ok()?;
        for (v, d) in p.iter_mut().zip(step.delta) {
            *v += d;
        }
        Some(self.model.map(&p))
    }
}

/// A plane in a buffer; its rows need no padding.
fn uploaded(backend: &mut Cpu, plane: &Plane) -> Result<CpuBuffer> {
    let mut buffer = backend.alloc("gray", plane.data.len() / 2)?;
    let mut words = vec![0_u32; plane.data.len() / 2];
    cast_slice_mut::<u32, u16>(&mut words).copy_from_slice(&plane.data);
    backend.write(&mut buffer, &words)?;
    Ok(buffer)
}

fn params(stride: usize) -> PatchParams {
    PatchParams {
        row0: 0,
        rows: 0,
        patches: COUNT as u32,
        stride: stride as u32,
        window: 0.0,
        pad0: 0,
        pad1: 0,
        pad2: 0,
    }
}

/// The patches' centres, reference px: they tile the rectangle.
fn centres() -> impl Iterator<Item = (usize, usize)> {
    let first = BORDER + CENTRE as usize;
    let across = RECTANGLE / PATCH;
    (0..COUNT).map(move |k| (first + k % across * PATCH, first + k / across * PATCH))
}

/// The patches under `map` on a plane of `side` px; those that are not inside are left out.
fn placed(map: &Map, side: usize) -> [Patch; COUNT] {
    let mut centres = centres();
    std::array::from_fn(|_| {
        let (x, y) = centres.next().unwrap_or_default();
        let (x, y) = (x as f64, y as f64);
        if !seen(map, x, y, side) {
            return Patch::default();
        }
        let (u, v) = apply(map, x, y);
        let d = map[6] * x + map[7] * y + map[8];
        Patch {
            u: u.floor() as i32,
            v: v.floor() as i32,
            fu: (u - u.floor()) as f32,
            fv: (v - v.floor()) as f32,
            a: ((map[0] - u * map[6]) / d) as f32,
            b: ((map[1] - u * map[7]) / d) as f32,
            c: ((map[3] - v * map[6]) / d) as f32,
            d: ((map[4] - v * map[7]) / d) as f32,
            g: (map[6] / d) as f32,
            h: (map[7] / d) as f32,
            inside: 1,
            ..Patch::default()
        }
    })
}

/// Whether the four corners of the patch about (`x`, `y`), and so all of it, can be sampled.
fn seen(map: &Map, x: f64, y: f64, side: usize) -> bool {
    let (low, high) = (-f64::from(CENTRE), (PATCH as f64) - f64::from(CENTRE) - 1.0);
    [(low, low), (high, low), (low, high), (high, high)].iter().all(|(dx, dy)| {
        let (u, v) = apply(map, x + dx, y + dy);
        let inside = |p: f64| p >= TAPS.0 && p <= side as f64 - TAPS.1;
        map[6] * (x + dx) + map[7] * (y + dy) + map[8] > 0.0 && inside(u) && inside(v)
    })
}

/// Plants the mistake in a record.
fn plant(s: &mut PatchSums, mistake: Mistake) {
    match mistake {
        Mistake::None | Mistake::Displaced(_) | Mistake::Affine => {}
        Mistake::Sign => {
            s.gg.iter_mut().for_each(|m| m[1] = -m[1]);
            for vectors in [&mut s.g, &mut s.gi, &mut s.gt] {
                vectors.iter_mut().for_each(|v| v[1] = -v[1]);
            }
        }
        Mistake::Steep => {
            let factor = 1.1;
            s.gg.as_flattened_mut().iter_mut().for_each(|m| *m *= factor * factor);
            for vectors in [&mut s.g, &mut s.gi, &mut s.gt] {
                vectors.as_flattened_mut().iter_mut().for_each(|m| *m *= factor);
            }
        }
    }
}
