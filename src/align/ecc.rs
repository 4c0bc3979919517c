//! The host's half of ECC: from the patches' sums to one step of the parameters, in f64, for any motion model.
//!
//! Source: Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 19, with zero-mean Jacobian columns.

use super::motion::{MAX_PARAMS, Model, Params};
use crate::error::{Error, Result};
use crate::kernels::ecc::PatchSums;

/// A pivot of the scaled normal equations under this share of the largest means that they cannot be solved.
const SMALLEST_PIVOT: f64 = 1e-12;
/// Distance, px, over which the Jacobian's slope inside a patch is taken.
const SPREAD: f64 = 4.0;

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What to add to the parameters.
    pub delta: Params,
    /// Correlation at the parameters before the step, in [-1, 1].
    pub correlation: f64,
    /// Contrast of the frame over that of the template.
    pub gain: f64,
    /// Second derivative of half the misfit (gain times template less frame, squared) by the parameters.
    pub hessian: [[f64; MAX_PARAMS]; MAX_PARAMS],
}

/// Symmetric normal equations, accumulated.
#[derive(Clone, Copy, Debug, Default)]
struct Normal {
    jj: [[f64; MAX_PARAMS]; MAX_PARAMS],
    j: Params,
    ji: Params,
    jt: Params,
    it: [f64; 5],
    count: f64,
}

/// The step that best raises the correlation, from the sums at parameters `p`.
///
/// `patches` yields each patch's centre (template px), its weight and its sums.
///
/// # Errors
/// [`Error::Singular`] when the normal equations cannot be solved (flat field, too few stars) or the correlation
/// cannot be raised from here.
pub fn step<'a>(
    model: &Model,
    p: &Params,
    patches: impl Iterator<Item = ((f64, f64), f64, &'a PatchSums)>,
) -> Result<Step> {
    let n = model.motion.params();
    let mut sums = Normal::default();
    for (centre, weight, s) in patches {
        if s.count > 0.0 && weight > 0.0 {
            add_patch(&mut sums, model, p, centre, weight, s);
        }
    }
    let c = sums.count;
    if c <= 0.0 {
        return Err(Error::Singular);
    }
    let [i, ii, t, tt, it] = sums.it;
    let (i_mean, t_mean) = (i / c, t / c);
    let (ii, tt, it) = (ii - i * i_mean, tt - t * t_mean, it - i * t_mean);
    if ii <= 0.0 || tt <= 0.0 {
        return Err(Error::Singular);
    }
    let mut hessian = sums.jj;
    let (mut pi, mut pt) = ([0.0; MAX_PARAMS], [0.0; MAX_PARAMS]);
    for r in 0..n {
        for k in 0..n {
            hessian[r][k] -= sums.j[r] * sums.j[k] / c;
        }
        pi[r] = sums.ji[r] - sums.j[r] * i_mean;
        pt[r] = sums.jt[r] - sums.j[r] * t_mean;
    }
    let factor = Cholesky::new(&hessian, n)?;
    let (hi, ht) = (factor.solve(&pi), factor.solve(&pt));
    let dot = |a: &Params, b: &Params| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let numerator = ii - dot(&pi, &hi);
    let denominator = it - dot(&pt, &hi);
    if !(denominator > 0.0 && numerator.is_finite()) {
        return Err(Error::Singular);
    }
    let lambda = numerator / denominator;
    let mut delta = [0.0; MAX_PARAMS];
    for k in 0..n {
        delta[k] = lambda * ht[k] - hi[k];
    }
    Ok(Step { delta, correlation: it / (ii * tt).sqrt(), gain: it / tt, hessian })
}

/// Adds one patch: its Jacobian is `d0 + x dx + y dy` in the offset (x, y) from its centre.
fn add_patch(sums: &mut Normal, model: &Model, p: &Params, (cx, cy): (f64, f64), weight: f64, s: &PatchSums) {
    let n = model.motion.params();
    let d0 = model.jacobian(p, cx, cy);
    let slope = |hi: [Params; 2], lo: [Params; 2]| -> [Params; 2] {
        std::array::from_fn(|r| std::array::from_fn(|k| (hi[r][k] - lo[r][k]) / (2.0 * SPREAD)))
    };
    let dx = slope(model.jacobian(p, cx + SPREAD, cy), model.jacobian(p, cx - SPREAD, cy));
    let dy = slope(model.jacobian(p, cx, cy + SPREAD), model.jacobian(p, cx, cy - SPREAD));
    let basis = [d0, dx, dy];
    // Moment that goes with a pair of basis maps: 1, x, y, x^2, xy, y^2.
    const MOMENT: [[usize; 3]; 3] = [[0, 1, 2], [1, 3, 4], [2, 4, 5]];
    for (a, left) in basis.iter().enumerate() {
        let mut right = [[0.0; MAX_PARAMS]; 2];
        for (b, d) in basis.iter().enumerate() {
            let [xx, xy, yy] = s.gg[MOMENT[a][b]].map(f64::from);
            for k in 0..n {
                right[0][k] += xx * d[0][k] + xy * d[1][k];
                right[1][k] += xy * d[0][k] + yy * d[1][k];
            }
        }
        for r in 0..n {
            for k in 0..n {
                sums.jj[r][k] += weight * (left[0][r] * right[0][k] + left[1][r] * right[1][k]);
            }
        }
        for k in 0..n {
            let project =
                |g: [f32; 2]| weight * (left[0][k] * f64::from(g[0]) + left[1][k] * f64::from(g[1]));
            sums.j[k] += project(s.g[a]);
            sums.ji[k] += project(s.gi[a]);
            sums.jt[k] += project(s.gt[a]);
        }
    }
    for (to, from) in sums.it.iter_mut().zip(s.it) {
        *to += weight * f64::from(from);
    }
    sums.count += weight * f64::from(s.count);
}

/// Cholesky factor of a matrix scaled to a unit diagonal.
pub(super) struct Cholesky {
    l: [[f64; MAX_PARAMS]; MAX_PARAMS],
    scale: Params,
    n: usize,
}

impl Cholesky {
    pub(super) fn new(m: &[[f64; MAX_PARAMS]; MAX_PARAMS], n: usize) -> Result<Cholesky> {
        let mut scale = [0.0; MAX_PARAMS];
        for k in 0..n {
            if !(m[k][k] > 0.0 && m[k][k].is_finite()) {
                return Err(Error::Singular);
            }
            scale[k] = 1.0 / m[k][k].sqrt();
        }
        let mut l = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        for r in 0..n {
            for c in 0..=r {
                let dot: f64 = (0..c).map(|k| l[r][k] * l[c][k]).sum();
                let v = m[r][c] * scale[r] * scale[c] - dot;
                if r == c {
                    if v <= SMALLEST_PIVOT {
                        return Err(Error::Singular);
                    }
                    l[r][r] = v.sqrt();
                } else {
                    l[r][c] = v / l[c][c];
                }
            }
        }
        Ok(Cholesky { l, scale, n })
    }

    pub(super) fn solve(&self, b: &Params) -> Params {
        let (l, n) = (&self.l, self.n);
        let mut x = [0.0; MAX_PARAMS];
        for r in 0..n {
            let dot: f64 = (0..r).map(|k| l[r][k] * x[k]).sum();
            x[r] = (b[r] * self.scale[r] - dot) / l[r][r];
        }
        for r in (0..n).rev() {
            let dot: f64 = (r + 1..n).map(|k| l[k][r] * x[k]).sum();
            x[r] = (x[r] - dot) / l[r][r];
        }
        for r in 0..n {
            x[r] *= self.scale[r];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::motion::Motion;

    #[test]
    fn cholesky_solves_and_refuses_a_singular_matrix() {
        let mut m = [[0.0; MAX_PARAMS]; MAX_PARAMS];
        for (r, row) in m.iter_mut().enumerate() {
            for (c, v) in row.iter_mut().enumerate() {
                *v = if r == c { 10.0 + r as f64 } else { 1.0 / (1.0 + (r as f64 - c as f64).abs()) };
            }
        }
        let x: Params = std::array::from_fn(|k| k as f64 - 3.0);
        let b: Params = std::array::from_fn(|r| (0..8).map(|c| m[r][c] * x[c]).sum());
        let got = Cholesky::new(&m, 8).expect("regular").solve(&b);
        assert!(got.iter().zip(x).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        for c in 0..8 {
            m[5][c] = m[4][c];
            m[c][5] = m[c][4];
        }
        m[5][5] = m[4][4];
        assert!(matches!(Cholesky::new(&m, 8), Err(Error::Singular)));
    }

    #[test]
    fn a_flat_field_is_singular() {
        let model = Model::new(Motion::Homography, 100, 100);
        let p = model.params(&crate::align::motion::IDENTITY);
        let flat = PatchSums { count: 256.0, ..PatchSums::default() };
        let one = [((50.0, 50.0), 1.0, &flat)];
        assert!(matches!(step(&model, &p, one.into_iter()), Err(Error::Singular)));
    }
}
