//! A template that settles and grows.
//!
//! It settles: what the reference's own noise does to its stars is in every pose, and another part of it as the field
//! drifts and stars leave. So each patch becomes the mean of what the first well-aligned frames show there, and then stays
//! as it is: nothing can build up. It grows: stars that enter the frame are added, so that late frames hold on to as many
//! as early ones.

use super::background::Background;
use super::level::{Level, Scratch};
use super::motion::{Mat3, apply, inverse};
use super::pairs::Index;
use super::select::{self, Spot};
use super::stars::Star;
use super::{Aligner, Pose, Template, View};
use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::sample::{AREA, Patch};
use crate::kernels::template::{PatchParams, template};
use bytemuck::{cast_slice, cast_slice_mut};
use serde::{Deserialize, Serialize};

/// The template grows when it has fewer stars in the frame than this share of those that the frame shows.
const LACKING: f64 = 0.9;
/// Frames whose mean a patch becomes: at each of these counts the mean so far is taken, so that a frame is mostly aligned
/// to what it did not itself make.
const SETTLES: [u32; 3] = [5, 12, 32];
/// A patch takes a frame's pixels that correlate with it at least so far: no satellite, no hot pixel.
const LIKE: f64 = 0.5;
/// A star of the frame is new where the template has none within this distance, px.
const NEW: f64 = 12.0;

impl<B: Backend> Aligner<B> {
    /// Lets `template` settle with the frame at hand, whose pose is `pose`, and adds the stars that it lacks.
    pub(super) fn grow(
        &mut self,
        backend: &mut B,
        view: &View,
        pose: &Pose,
        template: &mut Template<B>,
    ) -> Result<()> {
        if !(template.stars && view.field.stars) {
            return Ok(());
        }
        let to_frame = super::compose(&pose.homography, &inverse(&template.from_reference)?);
        let (frame, gain) = ((&self.gray, &view.background), pose.gain / template.gain);
        template.fine.settle(backend, &mut self.scratch, frame, &to_frame, gain)?;
        let seen = template.fine.visible(&to_frame, &view.background);
        let room =
            select::MOST.saturating_sub(seen).min(select::CAPACITY.saturating_sub(template.fine.len()));
        if seen as f64 >= LACKING * view.field.spots.len() as f64 || room == 0 {
            return Ok(());
        }
        let back = inverse(&to_frame)?;
        let known = Index::new(&template.list.stars, NEW);
        let new = |x: f64, y: f64| {
            let (u, v) = apply(&back, x, y);
            known.near(u, v).next().is_none().then_some((u, v))
        };
        let spots: Vec<Spot> = view
            .field
            .spots
            .iter()
            .filter_map(|s| {
                let (u, v) = new(f64::from(s.x), f64::from(s.y))?;
                Some(Spot { x: u.round() as i32, y: v.round() as i32, ..*s })
            })
            .take(room)
            .collect();
        let stars: Vec<Star> = view
            .list
            .stars
            .iter()
            .filter_map(|s| {
                let (x, y) = new(s.x, s.y)?;
                Some(Star { x, y, flux: s.flux * template.gain / pose.gain, ..*s })
            })
            .collect();
        template.fine.extend(backend, &mut self.scratch, frame, &spots, &to_frame)?;
        let list = &mut template.list.stars;
        list.extend(stars);
        list.sort_by(|a, b| b.flux.total_cmp(&a.flux));
        list.truncate(select::CAPACITY);
        Ok(())
    }
}

/// Running means of a level's patches, on the host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Mean {
    /// What the patches on the device hold, gray units.
    pub(super) px: Vec<f32>,
    pub(super) sums: Vec<f32>,
    pub(super) counts: Vec<u32>,
}

impl<B: Backend> Level<B> {
    /// Patches that a frame with the map `m` (template px to frame px, of this level) covers.
    pub(super) fn visible(&self, m: &Mat3, sky: &Background) -> usize {
        self.patches(m, sky).iter().filter(|p| p.inside == 1).count()
    }

    /// The pixels of all patches in `gray` under `map`, gray units; 0 for those that are not inside.
    fn pixels(
        &self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        gray: &B::Buffer,
        patches: &[Patch],
    ) -> Result<Vec<f32>> {
        let mut px = vec![0.0_f32; patches.len() * AREA];
        if !px.is_empty() {
            let mut out = backend.alloc("patches of a frame", px.len())?;
            backend.write(&mut scratch.patches, cast_slice(patches))?;
            let p = PatchParams { patches: patches.len() as u32, ..self.params() };
            template(backend, &p, gray, &scratch.patches, &mut out)?;
            backend.read(&out, cast_slice_mut(&mut px))?;
        }
        Ok(px)
    }

    /// Adds patches around `spots`, template px, cut out of `gray` under `map`.
    ///
    /// # Errors
    /// Where the device fails.
    pub(super) fn extend(
        &mut self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        (gray, sky): (&B::Buffer, &Background),
        spots: &[Spot],
        map: &Mat3,
    ) -> Result<()> {
        let bin = self.plane().bin as i32;
        let centres = spots.iter().map(|s| (s.x.div_euclid(bin), s.y.div_euclid(bin)));
        let (centres, patches): (Vec<_>, Vec<_>) =
            centres.map(|c| (c, self.patch(c, map, sky))).filter(|(_, p)| p.inside == 1).unzip();
        let px = self.pixels(backend, scratch, gray, &patches)?;
        self.mean.counts.extend(centres.iter().map(|_| 1));
        self.mean.sums.extend(&px);
        self.mean.px.extend(&px);
        self.centres.extend(centres);
        self.template_px = backend.alloc("template", self.mean.px.len().max(AREA))?;
        self.publish(backend)
    }

    /// Puts the patches on the device.
    pub(super) fn publish(&mut self, backend: &mut B) -> Result<()> {
        let Mean { px, .. } = &self.mean;
        if px.is_empty() { Ok(()) } else { backend.write(&mut self.template_px, cast_slice(px)) }
    }

    /// Adds a frame, with `gain` times the template's brightness, to the patches that have not settled.
    fn settle(
        &mut self,
        backend: &mut B,
        scratch: &mut Scratch<B>,
        (gray, sky): (&B::Buffer, &Background),
        map: &Mat3,
        gain: f64,
    ) -> Result<()> {
        let open = |count: u32| count < SETTLES[SETTLES.len() - 1];
        if !self.mean.counts.iter().any(|c| open(*c)) {
            return Ok(());
        }
        let patches = self.patches(map, sky);
        let px = self.pixels(backend, scratch, gray, &patches)?;
        let Mean { px: held, sums, counts } = &mut self.mean;
        let mut changed = false;
        for (k, patch) in patches.iter().enumerate() {
            let own = k * AREA..(k + 1) * AREA;
            let new = &px[own.clone()];
            if patch.inside == 0 || !open(counts[k]) || correlation(new, &held[own.clone()]) < LIKE {
                continue;
            }
            for (sum, v) in sums[own.clone()].iter_mut().zip(new) {
                *sum += (f64::from(*v) / gain) as f32;
            }
            counts[k] += 1;
            if SETTLES.contains(&counts[k]) {
                changed = true;
                let part = 1.0 / counts[k] as f32;
                for (held, sum) in held[own.clone()].iter_mut().zip(&sums[own]) {
                    *held = sum * part;
                }
            }
        }
        if changed { self.publish(backend) } else { Ok(()) }
    }
}

/// Correlation of two lists, in [-1, 1].
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len() as f64;
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        (aa, bb, ab) = (aa + x * x, bb + y * y, ab + x * y);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}
