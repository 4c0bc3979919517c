//! Where the next frame should be: constant motion; and what shape it should have.

use super::motion::{IDENTITY, Mat3, Model, Motion, compose, inverse, shift};
use serde::{Deserialize, Serialize};

/// Steps that the prediction looks back over.
const STEPS: usize = 8;
/// Frames whose shapes are averaged: over so many, real changes stay below the noise of one.
const SHAPES: usize = 8;

/// The poses of the last stacked frames, reference px to frame px.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// Newest last.
    poses: Vec<Mat3>,
    /// Centre of a frame, px.
    centre: (f64, f64),
    /// What was measured of the last frames' shape: scale, shear and perspective, in px from the centre.
    shapes: Vec<Mat3>,
}

impl History {
    /// Only the reference itself, of `width` x `height` px.
    #[must_use]
    pub fn new(width: usize, height: usize) -> History {
        let centre = (width as f64 / 2.0, height as f64 / 2.0);
        History { poses: vec![IDENTITY], centre, shapes: vec![IDENTITY] }
    }

    /// Whether it is as long as histories are: not where it was read from elsewhere.
    #[must_use]
    pub fn usual(&self) -> bool {
        self.poses.len() <= STEPS + 1 && self.shapes.len() <= SHAPES
    }

    /// Adds a pose, and the pose as it was `measured` before the usual shape was taken for it.
    pub fn push(&mut self, pose: Mat3, measured: &Mat3) {
        let (to, back) = self.centred();
        let own = compose(&back, &compose(measured, &to));
        let stiff = Model { motion: Motion::Euclidean, centre: (0.0, 0.0), unit: 1.0 };
        if let Ok(undo) = inverse(&stiff.map(&stiff.params(&own))) {
            self.shapes.push(compose(&undo, &own));
        }
        if self.shapes.len() > SHAPES {
            self.shapes.remove(0);
        }
        self.poses.push(pose);
        if self.poses.len() > STEPS + 1 {
            self.poses.remove(0);
        }
    }

    /// To the centre, and back.
    fn centred(&self) -> (Mat3, Mat3) {
        (shift(self.centre.0, self.centre.1), shift(-self.centre.0, -self.centre.1))
    }

    /// The mean shape of the last frames: a map of reference px near the identity, without shift or rotation.
    #[must_use]
    pub fn shape(&self) -> Mat3 {
        let n = self.shapes.len().max(1) as f64;
        let mean = std::array::from_fn(|k| self.shapes.iter().map(|s| s[k]).sum::<f64>() / n);
        let (to, back) = self.centred();
        compose(&to, &compose(&mean, &back))
    }

    /// The last pose.
    #[must_use]
    pub fn last(&self) -> Mat3 {
        self.poses.last().copied().unwrap_or(IDENTITY)
    }

    /// The pose of constant motion: the usual step after the last pose. A step is a map of the frame's own pixels, so
    /// that steady field rotation is constant motion too; of the last steps the median counts, element by element about
    /// the frame's centre, so that a bump is forgotten at once.
    #[must_use]
    pub fn predicted(&self) -> Mat3 {
        let (to, back) = self.centred();
        let steps: Vec<Mat3> = self
            .poses
            .windows(2)
            .filter_map(|pair| Some(compose(&pair[1], &inverse(&pair[0]).ok()?)))
            .map(|step| compose(&back, &compose(&step, &to)))
            .collect();
        if steps.is_empty() {
            return self.last();
        }
        let usual = std::array::from_fn(|k| {
            let mut v: Vec<f64> = steps.iter().map(|s| s[k]).collect();
            v.sort_by(f64::total_cmp);
            // Of the two in the middle the one that moves less: two steps, of which one is a bump.
            let (low, high) = (v[(v.len() - 1) / 2], v[v.len() / 2]);
            if (low - IDENTITY[k]).abs() <= (high - IDENTITY[k]).abs() { low } else { high }
        });
        compose(&compose(&to, &compose(&usual, &back)), &self.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::motion::{apply, shift};

    fn off(a: &Mat3, b: &Mat3) -> f64 {
        let (p, q) = (apply(a, 900.0, 100.0), apply(b, 900.0, 100.0));
        (p.0 - q.0).hypot(p.1 - q.1)
    }

    #[test]
    fn steady_rotation_and_drift_are_constant_motion() {
        let (s, c) = 2_f64.to_radians().sin_cos();
        let step = compose(
            &shift(503.0, 298.0),
            &compose(&[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], &shift(-500.0, -300.0)),
        );
        let mut history = History::new(1000, 600);
        let mut pose = IDENTITY;
        for _ in 0..30 {
            pose = compose(&step, &pose);
            history.push(pose, &pose);
        }
        assert!(off(&history.predicted(), &compose(&step, &pose)) < 1e-6);
        assert!(off(&history.shape(), &IDENTITY) < 1e-9, "stiff motion leaves the shape alone");
    }

    #[test]
    fn the_shape_is_that_of_the_last_frames() {
        let mut history = History::new(1000, 600);
        let bent = [1.001, 1e-5, 0.0, 0.0, 1.002, 0.0, 1e-6, -1e-6, 1.0];
        for k in 0..20 {
            let (s, c) = (0.1 * f64::from(k)).sin_cos();
            let turn = compose(&shift(3.0 * f64::from(k), 1.0), &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
            let pose = compose(&turn, &bent);
            history.push(pose, &pose);
        }
        // Up to a shift and a rotation.
        let left = compose(&history.shape(), &inverse(&bent).expect("regular"));
        let far = |a: (f64, f64), b: (f64, f64)| {
            let (p, q) = (apply(&left, a.0, a.1), apply(&left, b.0, b.1));
            ((p.0 - q.0).hypot(p.1 - q.1) - (a.0 - b.0).hypot(a.1 - b.1)).abs()
        };
        assert!(far((0.0, 0.0), (999.0, 599.0)) < 1e-3 && far((0.0, 599.0), (999.0, 0.0)) < 1e-3, "{left:?}");
    }

    #[test]
    fn a_bump_is_no_motion() {
        let mut history = History::new(1000, 600);
        for k in 1..6 {
            let bump = if k >= 4 { 300.0 } else { 0.0 };
            let pose = shift(2.0 * f64::from(k) + bump, 0.0);
            history.push(pose, &pose);
        }
        assert!(off(&history.predicted(), &shift(312.0, 0.0)) < 1e-9);
    }
}
