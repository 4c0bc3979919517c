//! Plain forward-additive ECC, dense, in f64, written from the paper's equations alone: what ours is compared with.
//!
//! Source: Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 22. It shares nothing with `src/`: the matrix's
//! elements in pixels from the reference's corner are the parameters, the Jacobian is taken anew at every pixel,
//! elimination solves, and where the correlation cannot be raised by the first choice of lambda the paper's second one
//! is made (ours gives up).

use super::Solver;
use super::image::{BORDER, Pair, Plane, RECTANGLE, Reference};
use crate::common::geometry::{IDENTITY, Map, apply};

/// A value for each parameter h00, h01, h02, h10, h11, h12, h20, h21.
type Vector = [f64; 8];

/// How planes are sampled between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// Bilinear, the plane and its central differences: as in the published codes.
    Bilinear,
    /// The cubic B-spline as a smoothing kernel, value and its derivatives: as ours samples.
    Spline,
}

/// A plane that can be sampled.
struct Field {
    side: usize,
    levels: Vec<f64>,
    /// Central differences along x and y, for bilinear sampling.
    slopes: Option<Vec<[f64; 2]>>,
}

impl Field {
    fn new(plane: &Plane, sampling: Sampling) -> Field {
        let side = plane.side;
        let levels: Vec<f64> = plane.data.iter().copied().map(f64::from).collect();
        let slopes = (sampling == Sampling::Bilinear).then(|| {
            let mut slopes = vec![[0.0; 2]; levels.len()];
            for k in side + 1..levels.len() - side - 1 {
                slopes[k] =
                    [levels[k + 1] - levels[k - 1], levels[k + side] - levels[k - side]].map(|d| d / 2.0);
            }
            slopes
        });
        Field { side, levels, slopes }
    }

    /// Level and derivatives along x and y at a place; `None` where a sample would be outside.
    #[inline(always)]
    fn at(&self, (u, v): (f64, f64)) -> Option<[f64; 3]> {
        let high = self.side as f64 - 2.0;
        if !(1.0 <= u && u < high && 1.0 <= v && v < high) {
            return None;
        }
        let (i, j) = (u as usize, v as usize);
        let (f, g) = (u - i as f64, v - j as f64);
        let Some(slopes) = &self.slopes else { return Some(self.spline((i, f), (j, g))) };
        let mut sums = [0.0; 3];
        for (r, wy) in [1.0 - g, g].into_iter().enumerate() {
            for (c, wx) in [1.0 - f, f].into_iter().enumerate() {
                let (k, w) = ((j + r) * self.side + i + c, wx * wy);
                sums[0] += w * self.levels[k];
                sums[1] += w * slopes[k][0];
                sums[2] += w * slopes[k][1];
            }
        }
        Some(sums)
    }

    #[inline(always)]
    fn spline(&self, (i, f): (usize, f64), (j, g): (usize, f64)) -> [f64; 3] {
        let ((wx, sx), (wy, sy)) = (spline(f), spline(g));
        let mut sums = [0.0; 3];
        for r in 0..4 {
            let row = &self.levels[(j + r - 1) * self.side + i - 1..][..4];
            let across = |w: &[f64; 4]| w[0] * row[0] + w[1] * row[1] + w[2] * row[2] + w[3] * row[3];
            let (value, slope) = (across(&wx), across(&sx));
            sums[0] += wy[r] * value;
            sums[1] += wy[r] * slope;
            sums[2] += sy[r] * value;
        }
        sums
    }
}

/// The cubic B-spline and its derivative for samples at -1, 0, 1, 2, at `f`.
#[inline(always)]
fn spline(f: f64) -> ([f64; 4], [f64; 4]) {
    let near = |t: f64| 2.0 / 3.0 - t * t + t * t * t / 2.0;
    let far = |t: f64| t * t * t / 6.0;
    let near_slope = |t: f64| 1.5 * t * t - 2.0 * t;
    let r = 1.0 - f;
    ([far(r), near(f), near(r), far(f)], [-r * r / 2.0, near_slope(f), -near_slope(r), f * f / 2.0])
}

/// The oracle on one pair.
pub(crate) struct Oracle {
    image: Field,
    /// Levels of the rectangle, row by row.
    reference: Vec<f64>,
}

impl Oracle {
    pub(crate) fn new(pair: &Pair, sampling: Sampling) -> Oracle {
        let image = Field::new(&pair.image, sampling);
        let plane;
        let (from, map) = match &pair.reference {
            Reference::Warped(truth) => (&image, truth),
            Reference::Plane(p) => {
                plane = Field::new(p, sampling);
                (&plane, &IDENTITY)
            }
        };
        let level = |(x, y)| from.at(apply(map, x, y)).expect("the reference lies inside")[0];
        let reference = span().flat_map(|y| span().map(move |x| (x, y))).map(level).collect();
        Oracle { image, reference }
    }
}

/// The rectangle's columns, and its rows, reference px.
fn span() -> impl Iterator<Item = f64> {
    (BORDER..BORDER + RECTANGLE).map(|k| k as f64)
}

impl Oracle {
    /// Sums over the rectangle under `map`.
    #[inline(always)]
    fn sums(&self, map: &Map) -> Sums {
        let mut s = Sums::default();
        for (y, row) in span().zip(self.reference.chunks_exact(RECTANGLE)) {
            for (x, r) in span().zip(row) {
                let w = 1.0 / (map[6] * x + map[7] * y + map[8]);
                let (u, v) = ((map[0] * x + map[1] * y + map[2]) * w, (map[3] * x + map[4] * y + map[5]) * w);
                let Some([i, iu, iv]) = self.image.at((u, v)) else { continue };
                // The chain rule: how u and v change with the parameters.
                let (a, b) = (iu * w, iv * w);
                let c = -(a * u + b * v);
                s.add(&[a * x, a * y, a, b * x, b * y, b, c * x, c * y], i, *r);
            }
        }
        s
    }
}

impl Solver for Oracle {
    fn step(&mut self, map: &Map) -> Option<Map> {
        let s = self.sums(map);
        let Centred { gg, gi, gr, ii, rr, ir } = s.centred();
        // With P = G (G^T G)^-1 G^T: i^T P i, r^T P i, r^T P r.
        let (hi, hr) = (solve(&gg, &gi)?, solve(&gg, &gr)?);
        let (ipi, rpi, rpr) = (dot(&gi, &hi), dot(&gr, &hi), dot(&gr, &hr));
        let lambda =
            if ir > rpi { (ii - ipi) / (ir - rpi) } else { (ipi / rpr).sqrt().max((rpi - ir) / rpr) };
        let next = std::array::from_fn(|k| if k < 8 { map[k] + lambda * hr[k] - hi[k] } else { 1.0 });
        (lambda.is_finite() && rr > 0.0).then_some(next)
    }
}

/// Sums over pixels of a row `g` of the Jacobian G and of the intensities i and r of image and reference.
#[derive(Default)]
struct Sums {
    g: Vector,
    /// The lower triangle.
    gg: [Vector; 8],
    gi: Vector,
    gr: Vector,
    /// 1, i, r, i i, r r, i r.
    n: [f64; 6],
}

/// G^T G, G^T i, G^T r, i^T i, r^T r, i^T r of zero-mean vectors and columns.
struct Centred {
    gg: [Vector; 8],
    gi: Vector,
    gr: Vector,
    ii: f64,
    rr: f64,
    ir: f64,
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, g: &Vector, i: f64, r: f64) {
        for a in 0..8 {
            for b in 0..=a {
                self.gg[a][b] += g[a] * g[b];
            }
            self.g[a] += g[a];
            self.gi[a] += g[a] * i;
            self.gr[a] += g[a] * r;
        }
        for (sum, v) in self.n.iter_mut().zip([1.0, i, r, i * i, r * r, i * r]) {
            *sum += v;
        }
    }

    fn centred(&self) -> Centred {
        let [n, i, r, ii, rr, ir] = self.n;
        let g = &self.g;
        let gg = |a: usize, b: usize| self.gg[a.max(b)][a.min(b)] - g[a] * g[b] / n;
        Centred {
            gg: std::array::from_fn(|a| std::array::from_fn(|b| gg(a, b))),
            gi: std::array::from_fn(|k| self.gi[k] - g[k] * i / n),
            gr: std::array::from_fn(|k| self.gr[k] - g[k] * r / n),
            ii: ii - i * i / n,
            rr: rr - r * r / n,
            ir: ir - i * r / n,
        }
    }
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Solves m x = b by elimination with pivots, rows and columns scaled; `None` where singular.
pub(crate) fn solve(m: &[Vector; 8], b: &Vector) -> Option<Vector> {
    let scale: Vector = std::array::from_fn(|c| m.iter().map(|r| r[c] * r[c]).sum::<f64>().sqrt());
    let mut a: [[f64; 9]; 8] =
        std::array::from_fn(|r| std::array::from_fn(|c| if c < 8 { m[r][c] / scale[c] } else { b[r] }));
    for row in &mut a {
        let most = row[..8].iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        *row = row.map(|v| v / most);
    }
    for c in 0..8 {
        let pivot = (c..8).max_by(|&p, &q| a[p][c].abs().total_cmp(&a[q][c].abs()))?;
        a.swap(c, pivot);
        if !a[c][c].is_normal() {
            return None;
        }
        for r in (0..8).filter(|&r| r != c) {
            let factor = a[r][c] / a[c][c];
            for k in c..9 {
                a[r][k] -= factor * a[c][k];
            }
        }
    }
    Some(std::array::from_fn(|k| a[k][8] / a[k][k] / scale[k]))
}
