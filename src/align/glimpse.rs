//! A frame made small: what phase correlation works on, and what is kept to know a field again.

use super::background::Background;
use super::stars::Star;
use super::{Aligner, View, phase, rungs};
use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::tiles::BIN;
use serde::{Deserialize, Serialize};

/// Peak of phase correlation, standard deviations, from which two scenes are one: chance makes 6.
const SAME_SCENE: f64 = 12.0;
/// What is kept of a frame to know its field again.
#[derive(Serialize, Deserialize)]
pub enum Glimpse {
    /// Its stars.
    Stars(Vec<Star>),
    /// A scene, small.
    Scene(phase::Spectrum),
}

impl Glimpse {
    /// Whether both show the same field, of frames of `size`.
    #[must_use]
    pub fn resembles(&self, other: &Glimpse, size: (usize, usize)) -> bool {
        match (self, other) {
            (Glimpse::Stars(a), Glimpse::Stars(b)) => rungs::same_field(a, b, size),
            (Glimpse::Scene(a), Glimpse::Scene(b)) => {
                phase::shift(a, b).is_some_and(|s| s.peak >= SAME_SCENE)
            }
            _ => false,
        }
    }
}

impl<B: Backend> Aligner<B> {
    /// What is kept of the frame at hand to know its field again.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn glimpse(&self, backend: &mut B, view: &View) -> Result<Glimpse> {
        Ok(if view.field.stars {
            Glimpse::Stars(view.list.stars.clone())
        } else {
            Glimpse::Scene(self.small(backend, &view.flat)?.spectrum())
        })
    }

    /// Size of such a frame.
    pub(super) fn small_size(&self) -> (usize, usize) {
        let plane = self.coarse_plane();
        ((plane.width / 2).max(1), (plane.height / 2).max(1))
    }

    /// The frame at hand at an eighth of its size, background off.
    pub(super) fn small(&self, backend: &mut B, sky: &Background) -> Result<phase::Small> {
        let plane = self.coarse_plane();
        let mut words = vec![0_u32; plane.stride * plane.height / 2];
        backend.read(&self.binned, &mut words)?;
        let px: &[u16] = bytemuck::cast_slice(&words);
        let (w, h) = self.small_size();
        let mut data = Vec::with_capacity(w * h);
        for y in 0..h {
            for x in 0..w {
                let at = |dx: usize, dy: usize| {
                    let (x, y) = ((2 * x + dx).min(plane.width - 1), (2 * y + dy).min(plane.height - 1));
                    px.get(y * plane.stride + x).map_or(0.0, |&v| f32::from(v))
                };
                let side = (2 * BIN) as f64;
                let sky = sky.at((x as f64 + 0.5) * side, (y as f64 + 0.5) * side)[0];
                data.push((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0 - sky as f32);
            }
        }
        Ok(phase::Small::new(data, w, h))
    }
}
