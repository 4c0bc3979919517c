//! Motion models and 3x3 algebra, f64. A map is row-major, `m[8] == 1`, template px to frame px.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A plane projective map, row-major.
pub type Mat3 = [f64; 9];

/// The map that moves nothing.
pub const IDENTITY: Mat3 = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// Most parameters that a model has.
pub const MAX_PARAMS: usize = 8;

/// `a` after `b`: the map x -> a(b(x)), normalised.
#[must_use]
pub fn compose(a: &Mat3, b: &Mat3) -> Mat3 {
    let product = std::array::from_fn(|k| {
        let (r, c) = (k / 3 * 3, k % 3);
        a[r] * b[c] + a[r + 1] * b[c + 3] + a[r + 2] * b[c + 6]
    });
    normalise(&product)
}

/// `m` with `m[8] == 1`.
#[must_use]
pub fn normalise(m: &Mat3) -> Mat3 {
    m.map(|v| v / m[8])
}

/// The inverse map.
///
/// # Errors
/// [`Error::Singular`] where there is none.
pub fn inverse(m: &Mat3) -> Result<Mat3> {
    let [a, b, c, d, e, f, g, h, i] = *m;
    let adjoint = [
        e * i - f * h,
        c * h - b * i,
        b * f - c * e,
        f * g - d * i,
        a * i - c * g,
        c * d - a * f,
        d * h - e * g,
        b * g - a * h,
        a * e - b * d,
    ];
    let det = a * adjoint[0] + b * adjoint[3] + c * adjoint[6];
    if !det.is_normal() || !adjoint[8].is_normal() {
        return Err(Error::Singular);
    }
    Ok(normalise(&adjoint))
}

/// Where `m` puts (`x`, `y`), px.
#[must_use]
pub fn apply(m: &Mat3, x: f64, y: f64) -> (f64, f64) {
    let w = m[6] * x + m[7] * y + m[8];
    ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w)
}

/// The map of a shift by (`dx`, `dy`) px.
#[must_use]
pub fn shift(dx: f64, dy: f64) -> Mat3 {
    [1.0, 0.0, dx, 0.0, 1.0, dy, 0.0, 0.0, 1.0]
}

/// Which maps are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Motion {
    /// Shift: 2 parameters.
    Translation,
    /// Shift and rotation: 3.
    Euclidean,
    /// Shift, rotation and scale: 4.
    Similarity,
    /// Any linear map and shift: 6.
    Affine,
    /// Plane projective map: 8.
    Homography,
}

impl Motion {
    /// Its name on the command line and in the records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Motion::Translation => "translation",
            Motion::Euclidean => "euclidean",
            Motion::Similarity => "similarity",
            Motion::Affine => "affine",
            Motion::Homography => "homography",
        }
    }

    /// Number of parameters.
    #[must_use]
    pub const fn params(self) -> usize {
        match self {
            Motion::Translation => 2,
            Motion::Euclidean => 3,
            Motion::Similarity => 4,
            Motion::Affine => 6,
            Motion::Homography => 8,
        }
    }
}

/// A motion model in coordinates about a centre, scaled to about 1, so that the normal equations are well
/// conditioned and parameters do not mix (a rotation about the corner is mostly a shift).
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Which maps.
    pub motion: Motion,
    /// Centre, px.
    pub centre: (f64, f64),
    /// Length that becomes 1, px.
    pub unit: f64,
}

/// Parameters of a model; those past [`Motion::params`] are 0.
pub type Params = [f64; MAX_PARAMS];

impl Model {
    /// The model for planes of `width` x `height`.
    #[must_use]
    pub fn new(motion: Motion, width: usize, height: usize) -> Model {
        let centre = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
        Model { motion, centre, unit: (width.max(height) as f64 / 2.0).max(1.0) }
    }

    /// Pixel coordinates to the model's.
    fn px_to_unit(self) -> Mat3 {
        let (l, (cx, cy)) = (self.unit, self.centre);
        [1.0 / l, 0.0, -cx / l, 0.0, 1.0 / l, -cy / l, 0.0, 0.0, 1.0]
    }

    /// The model's coordinates to pixels.
    fn unit_to_px(self) -> Mat3 {
        let (l, (cx, cy)) = (self.unit, self.centre);
        [l, 0.0, cx, 0.0, l, cy, 0.0, 0.0, 1.0]
    }

    /// Parameters of the allowed map nearest to `m` (exact where `m` is one).
    #[must_use]
    pub fn params(&self, m: &Mat3) -> Params {
        let h = compose(&self.px_to_unit(), &compose(m, &self.unit_to_px()));
        let (a, b) = ((h[0] + h[4]) / 2.0, (h[3] - h[1]) / 2.0);
        let mut p = [0.0; MAX_PARAMS];
        match self.motion {
            Motion::Translation => p[..2].copy_from_slice(&[h[2], h[5]]),
            Motion::Euclidean => p[..3].copy_from_slice(&[b.atan2(a), h[2], h[5]]),
            Motion::Similarity => p[..4].copy_from_slice(&[a, b, h[2], h[5]]),
            Motion::Affine => p[..6].copy_from_slice(&h[..6]),
            Motion::Homography => p.copy_from_slice(&h[..8]),
        }
        p
    }

    /// The map in the model's own coordinates.
    fn unit_map(&self, p: &Params) -> Mat3 {
        match self.motion {
            Motion::Translation => shift(p[0], p[1]),
            Motion::Euclidean => {
                let (s, c) = p[0].sin_cos();
                [c, -s, p[1], s, c, p[2], 0.0, 0.0, 1.0]
            }
            Motion::Similarity => [p[0], -p[1], p[2], p[1], p[0], p[3], 0.0, 0.0, 1.0],
            Motion::Affine => [p[0], p[1], p[2], p[3], p[4], p[5], 0.0, 0.0, 1.0],
            Motion::Homography => [p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], 1.0],
        }
    }

    /// The map with parameters `p`, px to px.
    #[must_use]
    pub fn map(&self, p: &Params) -> Mat3 {
        compose(&self.unit_to_px(), &compose(&self.unit_map(p), &self.px_to_unit()))
    }

    /// Derivatives of the mapped position (px) at (`x`, `y`) px with respect to the parameters: rows for u and v.
    #[must_use]
    pub fn jacobian(&self, p: &Params, x: f64, y: f64) -> [Params; 2] {
        let (x, y) = apply(&self.px_to_unit(), x, y);
        let l = self.unit;
        let mut j = [[0.0; MAX_PARAMS]; 2];
        match self.motion {
            Motion::Translation => {
                j[0][0] = l;
                j[1][1] = l;
            }
            Motion::Euclidean => {
                let (s, c) = p[0].sin_cos();
                j[0][..3].copy_from_slice(&[l * (-s * x - c * y), l, 0.0]);
                j[1][..3].copy_from_slice(&[l * (c * x - s * y), 0.0, l]);
            }
            Motion::Similarity => {
                j[0][..4].copy_from_slice(&[l * x, -l * y, l, 0.0]);
                j[1][..4].copy_from_slice(&[l * y, l * x, 0.0, l]);
            }
            Motion::Affine => {
                j[0][..3].copy_from_slice(&[l * x, l * y, l]);
                j[1][3..6].copy_from_slice(&[l * x, l * y, l]);
            }
            Motion::Homography => {
                let (u, v) = apply(&self.unit_map(p), x, y);
                let d = l / (p[6] * x + p[7] * y + 1.0);
                j[0][..3].copy_from_slice(&[d * x, d * y, d]);
                j[0][6..].copy_from_slice(&[-d * u * x, -d * u * y]);
                j[1][3..6].copy_from_slice(&[d * x, d * y, d]);
                j[1][6..].copy_from_slice(&[-d * v * x, -d * v * y]);
            }
        }
        j
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Motion; 5] =
        [Motion::Translation, Motion::Euclidean, Motion::Similarity, Motion::Affine, Motion::Homography];

    fn example(motion: Motion) -> (Model, Params) {
        let model = Model::new(motion, 1600, 1066);
        let p = match motion {
            Motion::Translation => [0.01, -0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            Motion::Euclidean => [0.3, 0.01, -0.02, 0.0, 0.0, 0.0, 0.0, 0.0],
            Motion::Similarity => [0.9, 0.3, 0.01, -0.02, 0.0, 0.0, 0.0, 0.0],
            Motion::Affine => [1.1, 0.2, 0.03, -0.1, 0.9, 0.04, 0.0, 0.0],
            Motion::Homography => [1.1, 0.2, 0.03, -0.1, 0.9, 0.04, 0.05, -0.03],
        };
        (model, p)
    }

    #[test]
    fn jacobian_is_the_finite_difference_of_the_map() {
        for motion in ALL {
            let (model, p) = example(motion);
            for (x, y) in [(0.0, 0.0), (1599.0, 20.0), (700.5, 1065.0)] {
                let j = model.jacobian(&p, x, y);
                for k in 0..motion.params() {
                    let at = |d: f64| {
                        let mut q = p;
                        q[k] += d;
                        apply(&model.map(&q), x, y)
                    };
                    let e = 1e-6;
                    let (hi, lo) = (at(e), at(-e));
                    let (du, dv) = ((hi.0 - lo.0) / (2.0 * e), (hi.1 - lo.1) / (2.0 * e));
                    assert!(
                        (du - j[0][k]).abs() < 1e-4 * model.unit,
                        "{motion:?} du/dp{k}: {du} {}",
                        j[0][k]
                    );
                    assert!(
                        (dv - j[1][k]).abs() < 1e-4 * model.unit,
                        "{motion:?} dv/dp{k}: {dv} {}",
                        j[1][k]
                    );
                }
            }
        }
    }

    #[test]
    fn parameters_and_map_agree_both_ways() {
        for motion in ALL {
            let (model, p) = example(motion);
            let back = model.params(&model.map(&p));
            for k in 0..MAX_PARAMS {
                assert!((back[k] - p[k]).abs() < 1e-12, "{motion:?} p{k}: {} {}", back[k], p[k]);
            }
        }
    }

    #[test]
    fn inverse_undoes_and_refuses_a_singular_map() {
        let (model, p) = example(Motion::Homography);
        let m = model.map(&p);
        let id = compose(&m, &inverse(&m).expect("regular"));
        assert!(id.iter().zip(IDENTITY).all(|(a, b)| (a - b).abs() < 1e-9), "{id:?}");
        assert!(inverse(&[1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 1.0]).is_err());
    }
}
