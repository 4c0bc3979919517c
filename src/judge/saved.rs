//! What the judge remembers, in a checkpoint.

use super::{Alike, Judge, RECENT, Rules, Taken};
use crate::align::Glimpse;
use crate::align::grade::{Grade, Grades};
use crate::checkpoint::{Reader, Writer};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The section's name.
const SECTION: &str = "judge";

/// What is read of a [`Judge`]; rules, size and white come from outside.
#[derive(Deserialize)]
struct Saved {
    grades: Grades,
    stack: Taken,
    reference: Option<Grade>,
    gains: Vec<f64>,
    strangers: Alike<Glimpse>,
    #[serde(with = "crate::path_bytes::list")]
    better: Vec<PathBuf>,
    faulty: Alike<Glimpse>,
    changed: Alike<Option<f64>>,
    stacked: usize,
    replaced: usize,
    warned: bool,
}

/// The same as it is written.
#[derive(Serialize)]
struct Saving<'a> {
    grades: &'a Grades,
    stack: &'a Taken,
    reference: &'a Option<Grade>,
    gains: &'a [f64],
    strangers: &'a Alike<Glimpse>,
    #[serde(with = "crate::path_bytes::list")]
    better: &'a [PathBuf],
    faulty: &'a Alike<Glimpse>,
    changed: &'a Alike<Option<f64>>,
    stacked: usize,
    replaced: usize,
    warned: bool,
}

impl Judge {
    /// Stores what verdicts on later frames depend on.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn save(&self, to: &mut Writer<'_>) -> Result<()> {
        let Judge {
            // From outside.
            rules: _,
            size: _,
            white: _,
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        } = self;
        let saving = Saving {
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked: *stacked,
            replaced: *replaced,
            warned: *warned,
        };
        to.value(SECTION, &saving)
    }

    /// The judge whose memory was stored, with the same rules, size and white.
    ///
    /// # Errors
    /// Where the section is damaged.
    pub fn restored(rules: Rules, size: (usize, usize), white: f64, from: &mut Reader) -> Result<Judge> {
        let saved: Saved = from.value(SECTION)?;
        let Saved {
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        } = saved;
        if gains.len() > RECENT {
            return Err(from.unlike("the checkpoint remembers more of the last frames than the judge does"));
        }
        Ok(Judge {
            rules,
            size,
            white,
            grades,
            stack,
            reference,
            gains,
            strangers,
            better,
            faulty,
            changed,
            stacked,
            replaced,
            warned,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::Pose;
    use crate::align::grade::Limits;
    use crate::align::motion::IDENTITY;
    use crate::align::stars::Star;
    use crate::frame::Pointing;
    use crate::judge::{Case, OnChange, Row, Verdict};
    use std::path::Path;

    /// Numbers of SplitMix64.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            ((z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 33) % n
        }
    }

    /// One of two fields, or one of two scenes.
    fn glimpse(which: u64) -> Glimpse {
        let mut dice = Dice(which);
        if which.is_multiple_of(2) {
            let plane: Vec<f32> = (0..48 * 32).map(|_| dice.below(1000) as f32).collect();
            return Glimpse::Scene(crate::align::phase::Small::new(plane, 48, 32).spectrum());
        }
        let mut place = |side: u64| dice.below(side) as f64;
        let star = |_| Star {
            x: place(3000),
            y: place(2000),
            flux: 1000.0,
            snr: 50.0,
            fwhm: 3.0,
            elongation: 1.0,
            angle: 0.0,
            peak: 9000.0,
        };
        Glimpse::Stars((0..14).map(star).collect())
    }

    /// What a judge says of a frame that chance makes.
    fn decide(judge: &mut Judge, k: usize, dice: &mut Dice) -> String {
        let grade = Grade {
            stars: [160, 160, 160, 900, 20][dice.below(5) as usize],
            fwhm: [3.0, 3.1, 3.0, 7.0, 1.5][dice.below(5) as usize],
            elongation: 1.1,
            background: [16.0, 8.0, 0.5][dice.below(3) as usize],
            gradient: 2.0,
            saturation: 0.0,
        };
        let at = |ra_deg| Some(Pointing { ra_deg, dec_deg: 20.0 });
        let taken = match dice.below(6) {
            0 => Taken { exposure_s: Some(10.0), ..Taken::default() },
            1 => Taken { exposure_s: Some(5.0), pointing: at(10.0), ..Taken::default() },
            2 => Taken { pointing: at([10.0, 12.0][dice.below(2) as usize]), ..Taken::default() },
            _ => Taken::default(),
        };
        let gain = [1.0, 1.0, 0.5, 1.3, 0.52][dice.below(5) as usize];
        let hot = usize::from(dice.below(12) == 0);
        let pose = match dice.below(4) {
            0 => Err("no alignment found".to_owned()),
            _ => Ok(Pose { gain, hot, ..Pose::given(IDENTITY, "predicted") }),
        };
        let name = format!("{k}");
        #[cfg(unix)]
        let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
        #[cfg(not(unix))]
        let odd = std::ffi::OsStr::new("odd");
        let path = Path::new(odd).join(name);
        let case = Case { path: &path, taken, grade: Some(grade), pose: &pose, shows: true };
        let verdict = judge.verdict(&case);
        let seen = glimpse(1 + dice.below(3));
        let row = match (&verdict, &pose) {
            (Verdict::Stack | Verdict::Scale, Ok(pose)) => {
                judge.stacked(&case, pose, verdict == Verdict::Scale).map_or(Row::Wait, Row::Replace)
            }
            (Verdict::Changed(_, factor), _) => judge.changed(&path, *factor),
            (Verdict::Faulty(_), _) => judge.faulty(&path, seen),
            (Verdict::Stranger(_), _) => judge.stranger(&path, seen),
            _ => Row::Wait,
        };
        match (&verdict, &row) {
            (_, Row::Replace(_)) => judge.restart(true),
            (Verdict::Restart(_), _) | (_, Row::Restart(_)) => judge.restart(false),
            _ => {}
        }
        format!("{verdict:?} {row:?}")
    }

    #[test]
    fn a_judge_that_is_stored_after_each_frame_decides_as_one_that_is_not() {
        let place = tempfile::tempdir().expect("folder");
        let path = place.path().join("judge");
        let mut rows = [0; 3];
        for seed in 0..60 {
            let on_change = [OnChange::Reject, OnChange::Scale, OnChange::Restart][seed as usize % 3];
            let rules = Rules { limits: Limits::default(), on_change, new_target: 3, restart: seed % 2 == 0 };
            let (size, white) = ((3000, 2000), 255.0);
            let mut whole = Judge::new(rules, size, white);
            let mut again = Judge::new(rules, size, white);
            let (mut dice, mut same) = (Dice(seed), Dice(seed));
            for k in 0..40 {
                let (want, got) = (decide(&mut whole, k, &mut dice), decide(&mut again, k, &mut same));
                assert_eq!(got, want, "seed {seed}, frame {k}");
                for (n, row) in ["Replace(", "Restart([", "Warn("].iter().enumerate() {
                    rows[n] += usize::from(want.contains(row));
                }
                let file = std::fs::File::create(&path).expect("created");
                let mut to = Writer::new(&file, &path).expect("written");
                again.save(&mut to).and_then(|()| to.end()).expect("written");
                let mut from = Reader::open(&path).expect("whole");
                again = Judge::restored(rules, size, white, &mut from).expect("a judge");
                from.end().expect("all of it");
            }
        }
        assert!(rows.iter().all(|n| *n > 20), "the frames come to too little: {rows:?}");
    }
}
