//! The order of the model that the evidence carries: a homography fitted to a hundred stars has noise in all of its
//! eight parameters, while from frame to frame only shift and rotation really change; scale, shear and perspective
//! (flexure, refraction) follow slowly. So where a frame's own do not differ from those of the last frames by more than
//! noise explains, those of the last frames are taken, and shift and rotation are fitted to them.

use super::ecc::Cholesky;
use super::motion::{MAX_PARAMS, Mat3, Model, Motion, Params, compose};

/// Parameters are worth having when they lower the misfit by more than this many times what noise alone would. Source:
/// Schwarz, Annals of Statistics 6(2), 1978: the logarithm of the number of data, here some hundreds.
const WORTH: f64 = 10.0;
/// Step of the numerical derivative, in the model's own coordinates (about 1).
const STEP: f64 = 1e-6;
/// Steps of Gauss and Newton: the models are nearly linear in one another.
const ROUNDS: usize = 3;

/// A fit at its minimum: what the misfit near it looks like.
#[derive(Clone, Copy, Debug)]
pub struct Minimum {
    /// The parameters.
    pub params: Params,
    /// Second derivative of half the misfit.
    pub hessian: [[f64; MAX_PARAMS]; MAX_PARAMS],
    /// Misfit of the patches that were kept, each about its own best shift.
    pub misfit: f64,
    /// Patches that were kept.
    pub kept: usize,
}

/// The map (px) that differs from `shape` by no more than shift and rotation and misfits no worse than noise explains;
/// `None` where there is none, and the fit's own shape counts.
#[must_use]
pub fn steady(model: &Model, at: &Minimum, shape: &Mat3) -> Option<Mat3> {
    let (full, stiff) = (model.motion.params(), Motion::Euclidean.params());
    if full <= stiff {
        return None;
    }
    // Two coordinates a patch.
    let noise = at.misfit / (2 * at.kept).saturating_sub(full).max(1) as f64;
    let (map, more) = restricted(model, at, shape)?;
    (more <= WORTH * noise * (full - stiff) as f64).then_some(map)
}

/// The best map of the form shift and rotation after `shape`, and how much more it misfits than the minimum.
fn restricted(model: &Model, at: &Minimum, shape: &Mat3) -> Option<(Mat3, f64)> {
    let stiff = Model { motion: Motion::Euclidean, ..*model };
    let (n, k) = (model.motion.params(), stiff.motion.params());
    let whole = |q: &Params| compose(&stiff.map(q), shape);
    // What is left when the shape is taken off is nearly stiff.
    let mut q = stiff.params(&compose(&model.map(&at.params), &super::motion::inverse(shape).ok()?));
    let off = |q: &Params| -> Params {
        let p = model.params(&whole(q));
        std::array::from_fn(|i| at.params[i] - p[i])
    };
    let pull = |d: &Params| -> Params {
        std::array::from_fn(|r| if r < n { (0..n).map(|c| at.hessian[r][c] * d[c]).sum() } else { 0.0 })
    };
    for _ in 0..ROUNDS {
        let here = off(&q);
        let mut slopes = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        for (j, slope) in slopes.iter_mut().enumerate().take(k) {
            let mut moved = q;
            moved[j] += STEP;
            let there = off(&moved);
            *slope = std::array::from_fn(|i| (here[i] - there[i]) / STEP);
        }
        let force = pull(&here);
        let mut normal = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        let mut right = [0.0; MAX_PARAMS];
        for r in 0..k {
            let stiffness = pull(&slopes[r]);
            right[r] = (0..n).map(|i| slopes[r][i] * force[i]).sum();
            for c in 0..k {
                normal[r][c] = (0..n).map(|i| stiffness[i] * slopes[c][i]).sum();
            }
        }
        let step = Cholesky::new(&normal, k).ok()?.solve(&right);
        for (v, d) in q.iter_mut().zip(step) {
            *v += d;
        }
    }
    let d = off(&q);
    let force = pull(&d);
    Some((whole(&q), (0..n).map(|i| d[i] * force[i]).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::motion::{IDENTITY, apply, shift};

    /// A minimum as `kept` stars strewn over the frame would make it at `map`: noise of 0.1 px each.
    fn minimum(model: &Model, map: &Mat3, kept: usize) -> Minimum {
        let params = model.params(map);
        let mut hessian = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        for s in 0..kept {
            let j = model.jacobian(&params, (s * 7919 % 1600) as f64, (s * 104_729 % 1066) as f64);
            for (r, row) in hessian.iter_mut().enumerate() {
                for (c, v) in row.iter_mut().enumerate() {
                    *v += j[0][r] * j[0][c] + j[1][r] * j[1][c];
                }
            }
        }
        Minimum { params, hessian, misfit: 2.0 * kept as f64 * 0.01, kept }
    }

    #[test]
    fn keeps_the_shape_that_noise_allows_and_no_other() {
        let model = Model::new(Motion::Homography, 1600, 1066);
        let (s, c) = 0.02_f64.sin_cos();
        let turn = compose(&shift(3.0, -2.0), &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
        let bent = [1.0, 1e-5, 0.0, 0.0, 1.002, 0.0, 1e-6, -1e-6, 1.0];
        for shape in [IDENTITY, bent] {
            let truth = compose(&turn, &shape);
            // A little off in every parameter, far below the noise.
            let noisy: Mat3 = std::array::from_fn(|k| truth[k] * (1.0 + 1e-7 * (k as f64 - 4.0)));
            let found = steady(&model, &minimum(&model, &noisy, 100), &shape).expect("the same shape");
            let (p, q) = (apply(&truth, 1500.0, 900.0), apply(&found, 1500.0, 900.0));
            assert!((p.0 - q.0).hypot(p.1 - q.1) < 2e-3, "{p:?} {q:?}");
        }
        let truth = minimum(&model, &compose(&turn, &bent), 100);
        assert_eq!(steady(&model, &truth, &IDENTITY), None, "another shape is seen");
    }
}
