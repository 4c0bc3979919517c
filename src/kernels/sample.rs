//! Shared by `template` and `ecc`: a patch and how the gray plane is sampled in it.
//!
//! A patch is 16x16 pixels of the template, centred on pixel (8, 8) of the patch. Positions in the frame come
//! as an exact integer pixel and a small f32 offset, so no precision is lost on large frames.
//!
//! The plane is sampled with the cubic B-spline as a smoothing kernel (no prefilter; sigma 0.58 px): value and
//! gradient are exact derivatives of one smooth function, and the noise of a sample hardly depends on the
//! sub-pixel phase (variance 0.25 .. 0.21 of a pixel's, against 1 .. 0.25 for bilinear), so that noise does not
//! pull the pose towards half pixels.

use super::shared;
use bytemuck::{Pod, Zeroable};

/// Pixels of a patch's side.
pub const PATCH: usize = 16;
/// Pixels of a patch.
pub const AREA: usize = PATCH * PATCH;
/// The centre pixel of a patch, from its corner.
pub const CENTRE: i32 = 8;
/// Pixels that sampling reads beyond the mapped patch, rounded up.
pub const MARGIN: i32 = 3;

/// A patch under the current pose.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Patch {
    /// Integer part of where the patch's centre falls in the plane, px.
    pub u: i32,
    /// The same, y.
    pub v: i32,
    /// Fraction of the centre's position in [0, 1), px.
    pub fu: f32,
    /// The same, y.
    pub fv: f32,
    /// Linear part of the map about the centre: du = (a dx + b dy) / (1 + g dx + h dy).
    pub a: f32,
    /// See `a`.
    pub b: f32,
    /// dv = (c dx + d dy) / (1 + g dx + h dy).
    pub c: f32,
    /// See `c`.
    pub d: f32,
    /// Projective part.
    pub g: f32,
    /// Projective part.
    pub h: f32,
    /// Background of the plane at the patch's centre, gray units.
    pub sky: f32,
    /// Slope of the background along the patch's x, gray units a px.
    pub sky_x: f32,
    /// Slope of the background along the patch's y, gray units a px.
    pub sky_y: f32,
    /// 1 where the whole patch falls inside the plane; 0: it is left out, its record is 0.
    pub inside: u32,
    /// Zero.
    pub pad0: u32,
    /// Zero.
    pub pad1: u32,
}
shared!(Patch { u, v, fu, fv, a, b, c, d, g, h, sky, sky_x, sky_y, inside, pad0, pad1 });

/// Weights of the cubic B-spline for the taps at -1, 0, 1, 2 from the integer pixel, at fraction `f`.
#[inline(always)]
#[must_use]
pub fn weights(f: f32) -> [f32; 4] {
    let (r, f2) = (1.0 - f, f * f);
    let f3 = f2 * f;
    [
        r * r * r / 6.0,
        (3.0 * f3 - 6.0 * f2 + 4.0) / 6.0,
        (-3.0 * f3 + 3.0 * f2 + 3.0 * f + 1.0) / 6.0,
        f3 / 6.0,
    ]
}

/// Derivatives of [`weights`] with respect to `f`, 1/px.
#[inline(always)]
#[must_use]
pub fn slopes(f: f32) -> [f32; 4] {
    let (r, f2) = (1.0 - f, f * f);
    [-0.5 * r * r, 1.5 * f2 - 2.0 * f, -1.5 * f2 + f + 0.5, 0.5 * f2]
}

/// Value less background, and gradient along the plane's x and y (gray units, gray units a px), of `patch` at
/// (`dx`, `dy`) px from its centre.
#[inline(always)]
#[must_use]
pub fn sample(gray: &[u16], stride: usize, patch: &Patch, dx: f32, dy: f32) -> [f32; 3] {
    let w = 1.0 / (1.0 + patch.g * dx + patch.h * dy);
    let x = patch.fu + (patch.a * dx + patch.b * dy) * w;
    let y = patch.fv + (patch.c * dx + patch.d * dy) * w;
    let (kx, ky) = (x.floor(), y.floor());
    let (wx, wy) = (weights(x - kx), weights(y - ky));
    let (sx, sy) = (slopes(x - kx), slopes(y - ky));
    let from = (patch.v + ky as i32 - 1) as usize * stride + (patch.u + kx as i32 - 1) as usize;
    let (mut value, mut gx, mut gy) = (0.0, 0.0, 0.0);
    for j in 0..4 {
        let row = &gray[from + j * stride..][..4];
        let t = [f32::from(row[0]), f32::from(row[1]), f32::from(row[2]), f32::from(row[3])];
        let smooth = t[0] * wx[0] + t[1] * wx[1] + t[2] * wx[2] + t[3] * wx[3];
        let slope = t[0] * sx[0] + t[1] * sx[1] + t[2] * sx[2] + t[3] * sx[3];
        value += smooth * wy[j];
        gx += slope * wy[j];
        gy += smooth * sy[j];
    }
    [value - (patch.sky + patch.sky_x * dx + patch.sky_y * dy), gx, gy]
}

/// Values, and gradients along the plane's x and y, of the pixels of a row of a patch: see [`sample`].
pub(super) struct Line {
    pub(super) value: [f32; PATCH],
    pub(super) gx: [f32; PATCH],
    pub(super) gy: [f32; PATCH],
}

/// Pixels of a row of the plane that a row of a patch takes where it lies along it.
const TAPS: usize = PATCH + 3;

/// What `of` says of the fractions `f`: of tap m of pixel k at [m][k].
#[inline(always)]
fn taps(of: impl Fn(f32) -> [f32; 4], f: &[f32; PATCH]) -> [[f32; PATCH]; 4] {
    let mut all = [[0.0_f32; PATCH]; 4];
    for k in 0..PATCH {
        let w = of(f[k]);
        for m in 0..4 {
            all[m][k] = w[m];
        }
    }
    all
}

/// [`sample`] of the pixels of row `dy` px from the centre of `patch`. The pixels of most rows fall into consecutive pixels
/// of the plane, forwards or (behind a flip) backwards: they are computed together.
#[inline(always)]
pub(super) fn sample_line(gray: &[u16], stride: usize, patch: &Patch, dy: f32) -> Line {
    let mut line = Line { value: [0.0; PATCH], gx: [0.0; PATCH], gy: [0.0; PATCH] };
    let (mut fx, mut fy) = ([0.0_f32; PATCH], [0.0_f32; PATCH]);
    let (mut kx, mut ky) = ([0.0_f32; PATCH], [0.0_f32; PATCH]);
    for k in 0..PATCH {
        let dx = (k as i32 - CENTRE) as f32;
        let w = 1.0 / (1.0 + patch.g * dx + patch.h * dy);
        let x = patch.fu + (patch.a * dx + patch.b * dy) * w;
        let y = patch.fv + (patch.c * dx + patch.d * dy) * w;
        (kx[k], ky[k]) = (x.floor(), y.floor());
        (fx[k], fy[k]) = (x - kx[k], y - ky[k]);
    }
    let forth = if kx[PATCH - 1] >= kx[0] { 1.0 } else { -1.0 };
    let mut along = true;
    for k in 0..PATCH {
        along &= (ky[k] == ky[0]) & (kx[k] == kx[0] + forth * k as i32 as f32);
    }
    if !along {
        for k in 0..PATCH {
            let dx = (k as i32 - CENTRE) as f32;
            [line.value[k], line.gx[k], line.gy[k]] = sample(gray, stride, patch, dx, dy);
        }
        return line;
    }
    let first = patch.u + kx[0].min(kx[PATCH - 1]) as i32 - 1;
    let from = (patch.v + ky[0] as i32 - 1) as usize * stride + first as usize;
    let (wx, sx) = (taps(weights, &fx), taps(slopes, &fx));
    let (wy, sy) = (taps(weights, &fy), taps(slopes, &fy));
    for j in 0..4 {
        let row = &gray[from + j * stride..][..TAPS];
        let mut t = [0.0_f32; TAPS];
        for (t, &g) in t.iter_mut().zip(row) {
            *t = f32::from(g);
        }
        let (mut smooth, mut slope) = ([0.0_f32; PATCH], [0.0_f32; PATCH]);
        if forth < 0.0 {
            t.reverse();
        }
        for m in 0..4 {
            // Backwards, the taps of a pixel stand in reverse, too.
            let at = if forth < 0.0 { 3 - m } else { m };
            let t = &t[at..][..PATCH];
            for k in 0..PATCH {
                smooth[k] += t[k] * wx[m][k];
                slope[k] += t[k] * sx[m][k];
            }
        }
        for k in 0..PATCH {
            line.value[k] += smooth[k] * wy[j][k];
            line.gx[k] += slope[k] * wy[j][k];
            line.gy[k] += smooth[k] * sy[j][k];
        }
    }
    for k in 0..PATCH {
        let dx = (k as i32 - CENTRE) as f32;
        line.value[k] -= patch.sky + patch.sky_x * dx + patch.sky_y * dy;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_pixels() {
        let stride = 64;
        let gray: Vec<u16> = (0..stride * 64).map(|k| (k * 7919 % 50021) as u16).collect();
        let turns = [(1.0, 0.0), (-1.0, 0.0), (0.9994, 0.035), (-0.9994, -0.035), (0.0, 1.0), (0.7, 0.71)];
        for (cos, sin) in turns {
            for (fu, fv) in [(0.0, 0.0), (0.3, 0.999), (0.999, 0.01)] {
                let patch = Patch {
                    u: 30,
                    v: 31,
                    fu,
                    fv,
                    a: cos,
                    b: -sin,
                    c: sin,
                    d: cos,
                    g: 1e-4,
                    sky: 900.0,
                    sky_x: 0.3,
                    inside: 1,
                    ..Patch::default()
                };
                for dy in -CENTRE..PATCH as i32 - CENTRE {
                    let line = sample_line(&gray, stride, &patch, dy as f32);
                    for k in 0..PATCH {
                        let [value, gx, gy] =
                            sample(&gray, stride, &patch, (k as i32 - CENTRE) as f32, dy as f32);
                        // Rounding of sums of 16 terms up to 65535.
                        let near = |a: f32, b: f32| (a - b).abs() <= 0.1;
                        assert!(
                            near(line.value[k], value) && near(line.gx[k], gx) && near(line.gy[k], gy),
                            "turn {cos} {sin}, row {dy}, pixel {k}: {} {} {}, expected {value} {gx} {gy}",
                            line.value[k],
                            line.gx[k],
                            line.gy[k]
                        );
                    }
                }
            }
        }
    }
}
