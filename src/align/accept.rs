//! Whether a pose can be believed: no frame is stacked on a guess.
//!
//! The correlation over all patches says little about a wrong pose: two bright stars that happen to meet can carry it.
//! So each patch is asked on its own, and most of those that the frame covers must say yes.

use super::motion::Mat3;
use crate::kernels::ecc::PatchSums;

/// Correlation over all patches that a pose must reach. Frames of one field reach 0.8 to 0.99, 0.55 with strong
/// residual background; a pose that most patches confirm has never been seen under 0.5.
const LEAST_CORRELATION: f64 = 0.4;
/// Correlation within a patch from which it agrees: the faintest stars chosen (5 sigma) reach 0.6 to 0.8, sky noise
/// stays under 0.2.
const PATCH_CORRELATION: f64 = 0.5;
/// Shift that would align a patch on its own, under which it agrees, px. Lens distortion that a homography cannot follow
/// leaves up to 0.8; a wrong pose leaves 2 to 4.
const PATCH_SHIFT: f64 = 1.0;
/// Share of the covered patches that must agree, where there are many: under a veil of cloud the faint ones drown.
const SHARE: f64 = 0.4;
/// The same where there are few: chance finds partners for some.
const SHARE_OF_FEW: f64 = 0.6;
/// So many patches are few.
const FEW: usize = 16;
/// So many patches, and this share that may meet by chance in a crowded field, are proof whatever the others say: a
/// frame full of hot pixels offers many that are no stars.
const PLENTY: f64 = 40.0;
/// See [`PLENTY`].
const CHANCE: f64 = 0.05;
/// Patches that must agree at least.
const LEAST: usize = 3;
/// Overlap with the canvas under which a frame has left the field.
const LEAST_OVERLAP: f64 = 0.3;
/// Change of scale that a telescope can plausibly show between two frames.
const MOST_SCALE: f64 = 1.1;

/// What the patches say of a pose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// Patches that the frame covers.
    pub covered: usize,
    /// Patches that agree.
    pub agree: usize,
}

impl Votes {
    /// Asks every patch; `gain` is the frame's contrast over the template's.
    #[must_use]
    pub fn count(sums: &[PatchSums], gain: f64) -> Votes {
        let covered = sums.iter().filter(|s| s.count > 0.0);
        let agree = |s: &&PatchSums| correlation(s) >= PATCH_CORRELATION && shift(s, gain) <= PATCH_SHIFT;
        Votes { covered: covered.clone().count(), agree: covered.filter(agree).count() }
    }

    /// How many must agree.
    #[must_use]
    pub fn needed(&self) -> usize {
        let share = if self.covered < FEW { SHARE_OF_FEW } else { SHARE };
        let plenty = PLENTY + CHANCE * self.covered as f64;
        ((share * self.covered as f64).min(plenty).ceil() as usize).max(LEAST)
    }
}

/// Why a pose, reference px to frame px, cannot be believed; `overlap` is the share of the canvas that it covers.
///
/// # Errors
/// The reason, for the user.
pub fn plausible(correlation: f64, votes: Votes, pose: &Mat3, overlap: f64) -> Result<(), String> {
    let scale = (pose[0] * pose[4] - pose[1] * pose[3]).abs().sqrt();
    if correlation < LEAST_CORRELATION {
        return Err(format!(
            "no alignment found: best correlation {correlation:.2}, {LEAST_CORRELATION} is needed"
        ));
    }
    if votes.agree < votes.needed() {
        return Err(format!(
            "no alignment found: {} of {} stars agree, {} are needed",
            votes.agree,
            votes.covered,
            votes.needed()
        ));
    }
    if !(1.0 / MOST_SCALE..=MOST_SCALE).contains(&scale) {
        return Err(format!("implausible alignment: scale {scale:.3}"));
    }
    if overlap < LEAST_OVERLAP {
        return Err(format!(
            "the frame has left the field: {:.0} % overlap, {:.0} % is needed",
            overlap * 100.0,
            LEAST_OVERLAP * 100.0
        ));
    }
    Ok(())
}

/// Correlation of frame and template within a patch, in [-1, 1].
#[must_use]
pub fn correlation(s: &PatchSums) -> f64 {
    let n = f64::from(s.count);
    let [i, ii, t, tt, it] = s.it.map(f64::from);
    let (ii, tt, it) = (ii - i * i / n, tt - t * t / n, it - i * t / n);
    if ii > 0.0 && tt > 0.0 { it / (ii * tt).sqrt() } else { 0.0 }
}

/// The shift, px, that would align a patch on its own; infinite for one that is left out.
#[must_use]
pub fn shift(s: &PatchSums, gain: f64) -> f64 {
    let n = f64::from(s.count);
    if n <= 0.0 {
        return f64::INFINITY;
    }
    let [i, _, t, _, _] = s.it.map(f64::from);
    let e_mean = (gain * t - i) / n;
    let [xx, xy, yy] = s.gg[0].map(f64::from);
    let pull =
        |k: usize| gain * f64::from(s.gt[0][k]) - f64::from(s.gi[0][k]) - f64::from(s.g[0][k]) * e_mean;
    let (bx, by) = (pull(0), pull(1));
    let det = xx * yy - xy * xy;
    if det <= 0.0 {
        return f64::INFINITY;
    }
    ((yy * bx - xy * by) / det).hypot((xx * by - xy * bx) / det)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_patches_must_agree_more() {
        let needed = |covered| Votes { covered, agree: 0 }.needed();
        assert_eq!([needed(1), needed(4), needed(10), needed(100), needed(760)], [3, 3, 6, 40, 78]);
    }

    #[test]
    fn a_pose_needs_votes_scale_and_overlap() {
        let votes = Votes { covered: 100, agree: 90 };
        let good = super::super::motion::IDENTITY;
        assert!(plausible(0.9, votes, &good, 1.0).is_ok());
        assert!(plausible(0.3, votes, &good, 1.0).is_err());
        assert!(plausible(0.9, Votes { covered: 100, agree: 39 }, &good, 1.0).is_err());
        assert!(plausible(0.9, votes, &good, 0.29).is_err());
        let mut large = good;
        (large[0], large[4]) = (1.2, 1.2);
        assert!(plausible(0.9, votes, &large, 1.0).is_err());
    }
}
