//! Any map: the taps of each pixel are read by themselves. Positions, taps and values are three loops over a span of a row: two
//! of them are computed [`RUN`] pixels at a time.

use super::super::accumulate::{AccumulateParams, Pose};
use super::{RUN, Sample, lerp};

/// Pixels whose positions and taps wait for each other: they stay in the first-level cache.
const SPAN: usize = 256;

/// A whole number, of less than 22 bits: a cast that minds all others is done one by one.
#[inline(always)]
fn whole(v: f32) -> i32 {
    /// 1.5 * 2^23: behind it floats are whole numbers.
    const WHOLE: f32 = 12_582_912.0;
    ((v + WHOLE).to_bits() as i32).wrapping_sub(WHOLE.to_bits() as i32)
}

/// Whole pixels and fractions of [`RUN`] positions in the frame.
struct Spots {
    u: [i32; RUN],
    v: [i32; RUN],
    fu: [f32; RUN],
    fv: [f32; RUN],
}

/// Where [`RUN`] pixels from (`x`, `y`) on lie, computed as the shader does.
#[inline(always)]
fn spots(pose: &Pose, (x, y): (usize, i32)) -> Spots {
    let mut spots = Spots { u: [0; RUN], v: [0; RUN], fu: [0.0; RUN], fv: [0.0; RUN] };
    for l in 0..RUN {
        let x = (x + l) as i32;
        let ((bu, bv), (du, dv)) = (pose.base(x, y), pose.rest(x, y));
        let (wu, wv) = (du.floor(), dv.floor());
        (spots.fu[l], spots.fv[l]) = (du - wu, dv - wv);
        (spots.u[l], spots.v[l]) = (bu.wrapping_add(whole(wu)), bv.wrapping_add(whole(wv)));
    }
    spots
}

/// Fills `out` for the `n` pixels from (`x`, `y`) on, which all lie inside the frame; what is left of its last run is
/// overwritten in vain.
#[inline(always)]
pub(super) fn gather<T: Sample>(
    p: &AccumulateParams,
    plane: &[T],
    (x, y): (usize, i32),
    n: usize,
    out: &mut [f32],
) {
    let stride = p.stride as usize;
    let (mut from, mut fu, mut fv) = ([0_u32; SPAN], [0.0; SPAN], [0.0; SPAN]);
    let mut taps = [[T::zeroed(); SPAN]; 4];
    for start in (0..n).step_by(SPAN) {
        let here = SPAN.min(n - start);
        for k in (0..here).step_by(RUN) {
            let spots = spots(&p.pose, (x + start + k, y));
            for l in 0..RUN {
                from[k + l] = (spots.v[l] as u32).wrapping_mul(p.stride).wrapping_add(spots.u[l] as u32);
            }
            fu[k..k + RUN].copy_from_slice(&spots.fu);
            fv[k..k + RUN].copy_from_slice(&spots.fv);
        }
        for (k, &from) in from[..here].iter().enumerate() {
            let from = from as usize;
            let (upper, lower) = (&plane[from..from + 2], &plane[from + stride..from + stride + 2]);
            (taps[0][k], taps[1][k]) = (upper[0], upper[1]);
            (taps[2][k], taps[3][k]) = (lower[0], lower[1]);
        }
        for (c, out) in out[start..].chunks_exact_mut(RUN).take(here.div_ceil(RUN)).enumerate() {
            for (l, out) in out.iter_mut().enumerate() {
                let k = c * RUN + l;
                let taps = [taps[0][k], taps[1][k], taps[2][k], taps[3][k]].map(Sample::value);
                *out = lerp(taps, fu[k], fv[k]) * p.unit + p.pedestal;
            }
        }
    }
}
