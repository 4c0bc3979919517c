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
/// So many patches, and this share that may meet by chance in a crowded field, are proof whatever the others say: under a
/// veil, or with noise that the camera has smoothed, many of the template's patches are no stars. Hot pixels that agree that
/// nothing moved are dealt with before, see `hot`.
const PLENTY: f64 = 40.0;
/// See [`PLENTY`].
const CHANCE: f64 = 0.05;
/// Patches that must agree at least.
const LEAST: usize = 3;
/// Overlap with the canvas under which a frame has left the field.
const LEAST_OVERLAP: f64 = 0.3;
/// Change of scale that a telescope can plausibly show between two frames.
const MOST_SCALE: f64 = 1.1;

/// Stars that leave no doubt wherever they put the frame.
const SURE: usize = 6;
/// With fewer, the frame lies no further than this from where it was expected, as a share of its diagonal.
const LEAP: f64 = 0.15;
/// Patches of a quadrant that can speak for it.
const QUADRANT: usize = 5;
/// Largest mean shift of a quadrant's patches, px of the level: lens distortion leaves less than half of it.
const DISAGREE: f64 = 0.6;
/// A patch off by more than this, px, is an outlier and says nothing of its quadrant.
const SANE: f64 = 3.0;

/// What the patches say of a pose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Votes {
    /// Patches that the frame covers.
    pub covered: usize,
    /// Patches that look like the template's.
    pub alike: usize,
    /// Patches that agree: they look alike, and where they should.
    pub agree: usize,
    /// Largest mean shift of the patches of a quadrant, px of the level.
    pub quadrant: f64,
}

impl Votes {
    /// Asks every patch; `gain` is the frame's contrast over the template's; the patches' centres lie in a plane of
    /// `width` x `height`.
    #[must_use]
    pub fn count(
        sums: &[PatchSums],
        gain: f64,
        centres: &[(i32, i32)],
        (width, height): (usize, usize),
    ) -> Votes {
        let mut votes = Votes::default();
        let mut quadrants = [(0_usize, 0.0, 0.0); 4];
        for (s, &(x, y)) in sums.iter().zip(centres).filter(|(s, _)| s.count > 0.0) {
            votes.covered += 1;
            if correlation(s) < PATCH_CORRELATION {
                continue;
            }
            votes.alike += 1;
            let (dx, dy) = shift(s, gain);
            let size = dx.hypot(dy);
            votes.agree += usize::from(size <= PATCH_SHIFT);
            if size <= SANE {
                let at = usize::from(2 * i64::from(x) >= width as i64)
                    + 2 * usize::from(2 * i64::from(y) >= height as i64);
                let (n, sx, sy) = quadrants[at];
                quadrants[at] = (n + 1, sx + dx, sy + dy);
            }
        }
        let mean = |&(n, x, y): &(usize, f64, f64)| if n < QUADRANT { 0.0 } else { x.hypot(y) / n as f64 };
        votes.quadrant = quadrants.iter().map(mean).fold(0.0, f64::max);
        votes
    }

    /// How many must agree.
    #[must_use]
    pub fn needed(&self) -> usize {
        let share = if self.covered < FEW { SHARE_OF_FEW } else { SHARE };
        let plenty = PLENTY + CHANCE * self.covered as f64;
        ((share * self.covered as f64).min(plenty).ceil() as usize).max(LEAST)
    }
}

/// What speaks for a pose, or against it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// Correlation over all patches.
    pub correlation: f64,
    /// What the patches say.
    pub votes: Votes,
    /// Share of the canvas that the frame covers.
    pub overlap: f64,
    /// How far the frame's centre lies from where it was expected, as a share of the diagonal.
    pub leap: f64,
}

/// Why a pose is not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Doubt {
    /// It is right, but the frame has left the field: nothing else needs to be tried.
    Left(String),
    /// It cannot be believed.
    Wrong(String),
}

/// Whether a pose, reference px to frame px, can be believed.
///
/// # Errors
/// The reason why not, for the user.
pub fn plausible(pose: &Mat3, e: &Evidence) -> Result<(), Doubt> {
    let wrong = |why: String| Err(Doubt::Wrong(why));
    let (correlation, votes) = (e.correlation, e.votes);
    let determinant = pose[0] * pose[4] - pose[1] * pose[3];
    if correlation < LEAST_CORRELATION {
        return wrong(format!(
            "no alignment found: best correlation {correlation:.2}, {LEAST_CORRELATION} is needed"
        ));
    }
    if votes.agree < votes.needed() {
        return wrong(format!(
            "no alignment found: {} of {} stars agree, {} are needed",
            votes.agree,
            votes.covered,
            votes.needed()
        ));
    }
    if votes.quadrant > DISAGREE {
        return wrong(format!(
            "no alignment found: one quarter of the frame is {:.1} px off, {DISAGREE} is allowed",
            votes.quadrant
        ));
    }
    let scale = determinant.abs().sqrt();
    if determinant <= 0.0 || !(1.0 / MOST_SCALE..=MOST_SCALE).contains(&scale) {
        return wrong(format!("implausible alignment: scale {scale:.3}"));
    }
    if votes.agree < SURE && e.leap > LEAP {
        return wrong(format!(
            "implausible alignment: a step of {:.0} % of the frame on the word of {} stars",
            e.leap * 100.0,
            votes.agree
        ));
    }
    if e.overlap < LEAST_OVERLAP {
        return Err(Doubt::Left(left(e.overlap)));
    }
    Ok(())
}

/// The reason of a frame that has left the field.
fn left(overlap: f64) -> String {
    format!(
        "the frame has left the field: {:.0} % overlap, {:.0} % is needed",
        overlap * 100.0,
        LEAST_OVERLAP * 100.0
    )
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
pub fn shift(s: &PatchSums, gain: f64) -> (f64, f64) {
    let n = f64::from(s.count);
    let nowhere = (f64::INFINITY, f64::INFINITY);
    if n <= 0.0 {
        return nowhere;
    }
    let [xx, xy, yy] = s.gg[0].map(f64::from);
    let (bx, by) = pull(s, gain);
    let det = xx * yy - xy * xy;
    if det <= 0.0 {
        return nowhere;
    }
    ((yy * bx - xy * by) / det, (xx * by - xy * bx) / det)
}

/// How much the misfit of a patch would fall if it could shift on its own, in gray units squared.
#[must_use]
pub fn misfit(s: &PatchSums, gain: f64) -> f64 {
    let ((dx, dy), (bx, by)) = (shift(s, gain), pull(s, gain));
    if dx.is_finite() && dy.is_finite() { dx * bx + dy * by } else { 0.0 }
}

/// What is left of the frame in a patch when gain times the template is taken off, about its mean, in gray units squared.
#[must_use]
pub fn residual(s: &PatchSums, gain: f64) -> f64 {
    let n = f64::from(s.count);
    let [i, ii, t, tt, it] = s.it.map(f64::from);
    let (ii, tt, it) = (ii - i * i / n, tt - t * t / n, it - i * t / n);
    (ii - 2.0 * gain * it + gain * gain * tt).max(0.0)
}

/// Gradient times (gain times template less frame), about its mean.
fn pull(s: &PatchSums, gain: f64) -> (f64, f64) {
    let [i, _, t, _, _] = s.it.map(f64::from);
    let e_mean = (gain * t - i) / f64::from(s.count);
    let pull =
        |k: usize| gain * f64::from(s.gt[0][k]) - f64::from(s.gi[0][k]) - f64::from(s.g[0][k]) * e_mean;
    (pull(0), pull(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::motion::IDENTITY;

    #[test]
    fn few_patches_must_agree_more() {
        let needed = |covered| Votes { covered, ..Votes::default() }.needed();
        assert_eq!([needed(1), needed(4), needed(10), needed(100), needed(760)], [3, 3, 6, 40, 78]);
    }

    #[test]
    fn a_pose_needs_votes_scale_overlap_and_no_leap() {
        let votes = Votes { covered: 100, alike: 95, agree: 90, quadrant: 0.1 };
        let good = Evidence { correlation: 0.9, votes, overlap: 1.0, leap: 0.5 };
        assert!(plausible(&IDENTITY, &good).is_ok());
        let fails = |what: &str, pose: &Mat3, e: Evidence| {
            let (Doubt::Left(why) | Doubt::Wrong(why)) = plausible(pose, &e).expect_err(what);
            assert!(why.contains(what), "{what}: {why}");
        };
        fails("correlation", &IDENTITY, Evidence { correlation: 0.3, ..good });
        fails("39 of 100", &IDENTITY, Evidence { votes: Votes { agree: 39, ..votes }, ..good });
        fails("quarter", &IDENTITY, Evidence { votes: Votes { quadrant: 0.7, ..votes }, ..good });
        fails("left the field", &IDENTITY, Evidence { overlap: 0.29, ..good });
        let few = Votes { covered: 5, alike: 5, agree: 5, quadrant: 0.0 };
        fails("a step of 50 %", &IDENTITY, Evidence { votes: few, ..good });
        assert!(plausible(&IDENTITY, &Evidence { votes: few, leap: 0.1, ..good }).is_ok());
        let (mut large, mut mirrored) = (IDENTITY, IDENTITY);
        (large[0], large[4]) = (1.2, 1.2);
        mirrored[0] = -1.0;
        fails("scale 1.2", &large, good);
        fails("scale", &mirrored, good);
    }

    #[test]
    fn a_quadrant_that_is_off_is_seen() {
        // Patches whose gradients are alike and whose error is that of a shift by 0.8 px, in one quadrant.
        let patch = |dx: f32| PatchSums {
            gg: [[2.0, 0.0, 2.0], [0.0; 3], [0.0; 3], [0.0; 3], [0.0; 3], [0.0; 3]],
            gt: [[2.0 * dx, 0.0], [0.0; 2], [0.0; 2]],
            it: [0.0, 1.0, 0.0, 1.0, 0.9],
            count: 256.0,
            ..PatchSums::default()
        };
        let centres: Vec<(i32, i32)> = (0..24).map(|k| (k % 6 * 100 + 50, k / 6 * 100 + 50)).collect();
        let off = |x: i32, y: i32| if x > 300 && y > 200 { 0.8 } else { 0.0 };
        let sums: Vec<PatchSums> = centres.iter().map(|&(x, y)| patch(off(x, y))).collect();
        let votes = Votes::count(&sums, 1.0, &centres, (600, 400));
        assert_eq!((votes.covered, votes.agree), (24, 24));
        assert!((votes.quadrant - 0.8).abs() < 1e-6, "{votes:?}");
    }
}
