//! Which frames are stacked: grades held against the usual, changes of exposure, frames that show another field, and a
//! reference that is worse than what follows it.

use crate::align::grade::{Fault, Grade, Grades, Limits};
use crate::align::{Glimpse, Pose};
use crate::frame::{Frame, Pointing};
use std::path::PathBuf;

/// Exposure times, speeds and gains that differ by less than this share are the same.
const SAME: f64 = 0.02;
/// Without a word in the header: stars brighter or fainter by this factor ...
const BRIGHTER: f64 = 1.25;
/// ... with a sky that follows them at least so far (as a power of the factor): through a cloud it does not.
const SKY_FOLLOWS: f64 = 0.3;
/// A sky under this share of white does not show what it follows.
const DARK_SKY: f64 = 0.004;
/// Frames whose brightness "usual" is the median of.
const RECENT: usize = 20;
/// Stacked frames up to which replacing the reference costs little.
const YOUNG: usize = 3;
/// Frames that must agree that the reference is bad.
const WITNESSES: usize = 2;
/// Replacements of the reference in one stack, at most.
const REPLACEMENTS: usize = 2;
/// A move of the telescope that is a new target, degrees.
const NEW_TARGET_DEG: f64 = 0.2;

/// What is done with a frame of another exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// It is rejected.
    Reject,
    /// It is brought to the stack's levels.
    Scale,
    /// A new stack begins with it.
    Restart,
}

/// What the judge is told.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a frame must reach.
    pub limits: Limits,
    /// What is done with another exposure.
    pub on_change: OnChange,
    /// Frames in a row that make a new target.
    pub new_target: usize,
    /// Whether a new target begins a new stack.
    pub restart: bool,
}

/// What a file says of how its frame was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// Exposure time, seconds.
    pub exposure_s: Option<f64>,
    /// ISO speed.
    pub iso: Option<f64>,
    /// Where the telescope pointed.
    pub pointing: Option<Pointing>,
}

impl Taken {
    /// Of `frame`.
    #[must_use]
    pub fn of(frame: &Frame) -> Taken {
        Taken { exposure_s: frame.exposure_s, iso: frame.iso, pointing: frame.pointing }
    }

    /// How the exposure differs from the stack's, for the user; `Some(None)` where both say that it does not; `None`
    /// where one of them does not say.
    fn change(&self, stack: &Taken) -> Option<Option<String>> {
        let differ = |a: f64, b: f64| (a - b).abs() > SAME * a.abs().max(b.abs());
        let mut known = false;
        let mut both = |a: Option<f64>, b: Option<f64>| {
            let pair = a.zip(b);
            known |= pair.is_some();
            pair.filter(|&(a, b)| differ(a, b))
        };
        let (iso, time) = (both(self.iso, stack.iso), both(self.exposure_s, stack.exposure_s));
        let text = match (iso, time) {
            (Some((a, b)), None) => Some((format!("ISO {a}"), format!("ISO {b}"))),
            (None, Some((a, b))) => Some((format!("{a} s"), format!("{b} s"))),
            (Some((a, b)), Some((c, d))) => Some((format!("{c} s, ISO {a}"), format!("{d} s, ISO {b}"))),
            (None, None) => None,
        };
        known.then(|| text.map(|(new, old)| format!("exposure changed: {new}, the stack has {old}")))
    }
}

/// A frame that was examined, as the judge sees it.
pub struct Case<'a> {
    /// Its file.
    pub path: &'a std::path::Path,
    /// How it was taken.
    pub taken: Taken,
    /// Its grade; `None` where nothing is aligned.
    pub grade: Option<Grade>,
    /// Its pose, or why there is none.
    pub pose: &'a Result<Pose, String>,
    /// Whether it shows anything to align on.
    pub shows: bool,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is stacked.
    Stack,
    /// It is stacked with the stack's levels.
    Scale,
    /// It is rejected for this reason.
    Reject(String),
    /// It fits no stack: rejected, unless those like it make a new target; see [`Judge::stranger`].
    Stranger(String),
    /// A new stack begins with it, for this reason.
    Restart(String),
}

/// What strangers come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Strangers {
    /// Nothing yet.
    Wait,
    /// They are right, the reference is not: the stack begins again with them, these files first.
    Replace(Vec<PathBuf>),
    /// A new target: a new stack begins with these files.
    NewTarget(Vec<PathBuf>),
    /// A new target, and nobody asked for a new stack.
    Warn(usize),
}

/// Judges the frames of a night.
pub struct Judge {
    rules: Rules,
    size: (usize, usize),
    white: f64,
    grades: Grades,
    /// How the reference was taken.
    stack: Taken,
    reference: Option<Grade>,
    gains: Vec<f64>,
    /// Frames in a row that fit each other but not the stack.
    strangers: Vec<(PathBuf, Glimpse)>,
    /// Frames in a row that make the reference look bad.
    better: Vec<PathBuf>,
    stacked: usize,
    replaced: usize,
    warned: bool,
    changed: usize,
}

impl Judge {
    /// For frames of `size` px with the level of white.
    #[must_use]
    pub fn new(rules: Rules, size: (usize, usize), white: f64) -> Judge {
        Judge {
            rules,
            size,
            white,
            grades: Grades::default(),
            stack: Taken::default(),
            reference: None,
            gains: Vec::new(),
            strangers: Vec::new(),
            better: Vec::new(),
            stacked: 0,
            replaced: 0,
            warned: false,
            changed: 0,
        }
    }

    /// A new stack begins. Replacing a reference counts, so that two bad frames do not take turns.
    pub fn restart(&mut self, replaced: bool) {
        let replaced = if replaced { self.replaced + 1 } else { 0 };
        *self = Judge { replaced, ..Judge::new(self.rules, self.size, self.white) };
    }

    /// What becomes of a frame.
    #[must_use]
    pub fn verdict(&self, case: &Case) -> Verdict {
        // Without alignment frames are stacked as they are.
        let Some(grade) = &case.grade else {
            return match case.pose {
                Ok(_) => Verdict::Stack,
                Err(why) => Verdict::Reject(why.clone()),
            };
        };
        let fault = self.grades.fault(grade, &self.rules.limits);
        let change = if self.stacked > 0 { self.change(case, grade) } else { None };
        match (case.pose, fault, change) {
            (_, Some(Fault::Shape(why)), _) => Verdict::Reject(why),
            (_, _, Some(why)) if self.rules.on_change == OnChange::Restart && case.shows => {
                Verdict::Restart(why)
            }
            // A shorter exposure shows fewer stars.
            (_, _, Some(why)) if self.rules.on_change == OnChange::Reject => Verdict::Reject(why),
            (Ok(_), None, Some(_)) => Verdict::Scale,
            (Ok(_), Some(Fault::Stars(_)), Some(_)) if self.rules.limits.min_stars.is_none() => {
                Verdict::Scale
            }
            (_, Some(fault), _) => Verdict::Reject(fault.reason()),
            (Err(_), None, None) if self.moved(case) => {
                Verdict::Restart("the telescope moved to a new target".into())
            }
            (Err(why), None, _) if case.shows && self.stacked > 0 => Verdict::Stranger(why.clone()),
            (Err(why), None, _) => Verdict::Reject(why.clone()),
            (Ok(_), None, None) => Verdict::Stack,
        }
    }

    /// Whether the header says that the telescope points elsewhere, and that begins a new stack.
    fn moved(&self, case: &Case) -> bool {
        let apart = case.taken.pointing.zip(self.stack.pointing).map(|(a, b)| a.apart_deg(&b));
        self.rules.restart && case.shows && apart.is_some_and(|deg| deg > NEW_TARGET_DEG)
    }

    /// How a frame's exposure differs from the stack's, by its header, else by its stars and sky.
    fn change(&self, case: &Case, grade: &Grade) -> Option<String> {
        if let Some(known) = case.taken.change(&self.stack) {
            return known;
        }
        let pose = case.pose.as_ref().ok()?;
        let mut gains: Vec<f32> = self.gains.iter().map(|g| *g as f32).collect();
        let usual = f64::from(crate::align::background::median(&mut gains));
        let factor = pose.gain / if usual > 0.0 { usual } else { 1.0 };
        if factor.ln().abs() < BRIGHTER.ln() || !factor.is_finite() {
            return None;
        }
        let sky = self.grades.usual(|g| g.background).unwrap_or(0.0);
        let seen = sky > DARK_SKY * self.white;
        let follows = (grade.background.max(1e-6) / sky.max(1e-6)).ln() / factor.ln() >= SKY_FOLLOWS;
        (!seen || follows).then(|| {
            format!(
                "exposure changed: stars and sky are {factor:.2} times as bright as in the stack's frames"
            )
        })
    }

    /// A frame was stacked; `scaled` to the stack's levels. Gives the files to begin again with, where it shows that the
    /// reference is bad.
    pub fn stacked(&mut self, case: &Case, pose: &Pose, scaled: bool) -> Option<Vec<PathBuf>> {
        self.stacked += 1;
        self.changed = 0;
        self.strangers.clear();
        self.gains.push(if scaled { 1.0 } else { pose.gain });
        if self.gains.len() > RECENT {
            self.gains.remove(0);
        }
        let grade = case.grade?;
        if self.stacked == 1 {
            self.stack = case.taken;
            self.reference = Some(grade);
        }
        if pose.hot > 0 {
            // What was counted so far were hot pixels too.
            self.grades = Grades::default();
            self.reference = None;
            return None;
        }
        self.grades.push(grade);
        self.witness(case, &grade)
    }

    /// Counts frames in a row against which the reference would be rejected.
    fn witness(&mut self, case: &Case, grade: &Grade) -> Option<Vec<PathBuf>> {
        let reference = self.reference.filter(|_| self.stacked > 1)?;
        let mut held = Grades::default();
        held.push(*grade);
        if held.fault(&reference, &self.rules.limits).is_none() {
            self.better.clear();
            return None;
        }
        self.better.push(case.path.to_owned());
        let enough = self.better.len() >= WITNESSES
            && self.stacked <= YOUNG + self.better.len()
            && self.replaced < REPLACEMENTS;
        enough.then(|| std::mem::take(&mut self.better))
    }

    /// A frame was rejected for its exposure; true where it is time to say that the camera has changed for good.
    pub fn changed(&mut self) -> bool {
        self.changed += 1;
        self.changed == self.rules.new_target
    }

    /// A frame fits no stack; `glimpse` is what is kept of it.
    pub fn stranger(&mut self, path: &std::path::Path, glimpse: Glimpse) -> Strangers {
        if self.strangers.last().is_some_and(|(_, last)| !last.resembles(&glimpse, self.size)) {
            self.strangers.clear();
        }
        self.strangers.push((path.to_owned(), glimpse));
        let count = self.strangers.len();
        let paths = || self.strangers.iter().map(|(p, _)| p.clone()).collect();
        let young = self.stacked < YOUNG && count > self.stacked && count >= WITNESSES;
        if young && self.replaced < REPLACEMENTS {
            return Strangers::Replace(paths());
        }
        if count < self.rules.new_target {
            return Strangers::Wait;
        }
        if self.rules.restart {
            return Strangers::NewTarget(paths());
        }
        if self.warned {
            return Strangers::Wait;
        }
        self.warned = true;
        Strangers::Warn(count)
    }
}

#[cfg(test)]
mod tests;
