//! Which frames are stacked: grades held against the usual, changes of exposure, frames that show another field, and a
//! reference that is worse than what follows it.

use crate::align::grade::{Fault, Grade, Grades, Limits};
use crate::align::{Glimpse, Pose};
use crate::frame::Pointing;
use crate::tags::{Tags, apart};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Without a word in the header: stars brighter or fainter by this factor ...
const BRIGHTER: f64 = 1.25;
/// ... with a sky that follows them at least so far (as a power of the factor): through a cloud it does not.
const SKY_FOLLOWS: f64 = 0.3;
/// A sky under this share of white does not show what it follows: then only a larger factor is no cloud's.
const DARK_SKY: f64 = 0.004;
/// See [`DARK_SKY`].
const MUCH_BRIGHTER: f64 = 1.8;
/// Factors of two frames of one exposure differ by less than this, natural logarithm.
const SAME_FACTOR: f64 = 0.1;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Exposure time, seconds.
    pub exposure_s: Option<f64>,
    /// ISO speed.
    pub iso: Option<f64>,
    /// Gain as the camera counts it.
    pub gain: Option<f64>,
    /// Where the telescope pointed.
    pub pointing: Option<Pointing>,
}

impl Taken {
    /// What `tags` say.
    #[must_use]
    pub fn of(tags: &Tags) -> Taken {
        Taken { exposure_s: tags.exposure_s, iso: tags.iso, gain: tags.gain, pointing: tags.pointing }
    }

    /// How the exposure differs from the stack's, for the user; `Some(None)` where both say that it does not; `None`
    /// where one of them does not say.
    fn change(&self, stack: &Taken) -> Option<Option<String>> {
        let fields = [
            (self.exposure_s.zip(stack.exposure_s), "", " s"),
            (self.iso.zip(stack.iso), "ISO ", ""),
            (self.gain.zip(stack.gain), "gain ", ""),
        ];
        let known = fields.iter().any(|(pair, ..)| pair.is_some());
        let changed: Vec<_> = fields
            .iter()
            .filter_map(|&(pair, name, unit)| Some((pair.filter(|&(a, b)| apart(a, b))?, name, unit)))
            .collect();
        let say = |pick: fn((f64, f64)) -> f64| {
            let all = changed.iter().map(|&(pair, name, unit)| format!("{name}{}{unit}", pick(pair)));
            all.collect::<Vec<_>>().join(", ")
        };
        let text = || format!("exposure changed: {}, the stack has {}", say(|p| p.0), say(|p| p.1));
        known.then(|| (!changed.is_empty()).then(text))
    }
}

/// A frame that was examined, as the judge sees it.
pub struct Case<'a> {
    /// Its file.
    pub path: &'a Path,
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
    /// Another exposure, rejected for now; see [`Judge::changed`]. The factor, where stars and sky had to tell.
    Changed(String, Option<f64>),
    /// Worse than usual, rejected for now; see [`Judge::faulty`].
    Faulty(String),
    /// It fits no stack: rejected, unless those like it make a new target; see [`Judge::stranger`].
    Stranger(String),
    /// A new stack begins with it, for this reason.
    Restart(String),
}

/// What frames in a row that are not stacked come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Nothing yet.
    Wait,
    /// They are right, the reference is not: the stack begins again with them, these files first.
    Replace(Vec<PathBuf>),
    /// A new target, or another exposure: a new stack begins with these files.
    Restart(Vec<PathBuf>),
    /// It lasts, so many frames by now, and nobody asked for a new stack.
    Warn(usize),
}

/// Frames in a row that are alike: their files, and what is kept of the last.
#[derive(Serialize, Deserialize)]
struct Alike<T> {
    #[serde(with = "crate::path_bytes::list")]
    files: Vec<PathBuf>,
    last: Option<T>,
}

impl<T> Default for Alike<T> {
    fn default() -> Self {
        Alike { files: Vec::new(), last: None }
    }
}

impl<T> Alike<T> {
    /// Adds a frame; the row begins with it where it is not the `same` as the last. Returns how many there are.
    fn push(&mut self, path: &Path, seen: T, same: impl Fn(&T, &T) -> bool) -> usize {
        if self.last.as_ref().is_some_and(|last| !same(last, &seen)) {
            self.files.clear();
        }
        self.files.push(path.to_owned());
        self.last = Some(seen);
        self.files.len()
    }

    fn clear(&mut self) {
        *self = Alike::default();
    }
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
    strangers: Alike<Glimpse>,
    /// Frames that make the reference look bad, with none that does not between them.
    better: Vec<PathBuf>,
    /// Frames in a row that are worse than usual, and alike.
    faulty: Alike<Glimpse>,
    /// Frames in a row of another exposure, with the factor where there is no header.
    changed: Alike<Option<f64>>,
    stacked: usize,
    replaced: usize,
    warned: bool,
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
            strangers: Alike::default(),
            better: Vec::new(),
            stacked: 0,
            replaced: 0,
            warned: false,
            faulty: Alike::default(),
            changed: Alike::default(),
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
        let known = change.as_ref().is_some_and(|(_, factor)| factor.is_none());
        let lost = case.pose.is_err() && case.shows && self.stacked > 0;
        match (case.pose, fault, change) {
            (_, Some(Fault::Limit(why)), _) => Verdict::Reject(why),
            (_, None | Some(Fault::Stars(_)), Some((why, _)))
                if known && self.rules.on_change == OnChange::Restart && case.shows =>
            {
                Verdict::Restart(why)
            }
            (Err(_), None, _) if self.moved(case) => {
                Verdict::Restart("the telescope moved to a new target".into())
            }
            // Another field, whatever else: those that follow will tell.
            (Err(why), None, None) if lost => Verdict::Stranger(why.clone()),
            (Err(_), _, Some((why, _))) if lost => Verdict::Stranger(why),
            (Err(_), Some(fault), None) if lost => Verdict::Stranger(fault.reason()),
            (_, Some(Fault::Shape(why)), _) => Verdict::Faulty(why),
            // A shorter exposure shows fewer stars.
            (Ok(_), _, Some(_)) if self.rules.on_change == OnChange::Scale => Verdict::Scale,
            (Ok(_), _, Some((why, factor))) => Verdict::Changed(why, factor),
            (Err(_), _, Some((why, _))) => Verdict::Reject(why),
            (_, Some(fault), None) => Verdict::Faulty(fault.reason()),
            (Err(why), None, None) => Verdict::Reject(why.clone()),
            (Ok(_), None, None) => Verdict::Stack,
        }
    }

    /// Whether the header says that the telescope points elsewhere, and that begins a new stack.
    fn moved(&self, case: &Case) -> bool {
        let apart = case.taken.pointing.zip(self.stack.pointing).map(|(a, b)| a.apart_deg(&b));
        self.rules.restart && case.shows && apart.is_some_and(|deg| deg > NEW_TARGET_DEG)
    }

    /// How a frame's exposure differs from the stack's, by its header, else by its stars and sky (with the factor).
    fn change(&self, case: &Case, grade: &Grade) -> Option<(String, Option<f64>)> {
        if let Some(known) = case.taken.change(&self.stack) {
            return known.map(|why| (why, None));
        }
        let pose = case.pose.as_ref().ok()?;
        let mut gains: Vec<f32> = self.gains.iter().map(|g| *g as f32).collect();
        let usual = f64::from(crate::align::background::median(&mut gains));
        let factor = pose.gain / if usual > 0.0 { usual } else { 1.0 };
        if factor.ln().abs() < BRIGHTER.ln() || !factor.is_finite() {
            return None;
        }
        let sky = self.grades.usual(|g| g.background).unwrap_or(0.0);
        let (seen, of) = (sky > DARK_SKY * self.white, "times as bright as in the stack's frames");
        if !seen {
            let much = factor.ln().abs() >= MUCH_BRIGHTER.ln();
            return much.then(|| (format!("exposure changed: stars are {factor:.2} {of}"), Some(factor)));
        }
        let follows = (grade.background.max(1e-6) / sky.max(1e-6)).ln() / factor.ln() >= SKY_FOLLOWS;
        follows.then(|| (format!("exposure changed: stars and sky are {factor:.2} {of}"), Some(factor)))
    }

    /// A frame was stacked; `scaled` to the stack's levels. Gives the files to begin again with, where it shows that the
    /// reference is bad.
    pub fn stacked(&mut self, case: &Case, pose: &Pose, scaled: bool) -> Option<Vec<PathBuf>> {
        self.stacked += 1;
        self.changed.clear();
        self.strangers.clear();
        self.faulty.clear();
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

    /// A frame has another exposure.
    pub fn changed(&mut self, path: &Path, factor: Option<f64>) -> Row {
        let alike = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a / b).ln().abs() < SAME_FACTOR,
            (a, b) => a.is_none() && b.is_none(),
        };
        let count = self.changed.push(path, factor, |last, factor| alike(*last, *factor));
        let paths = || self.changed.files.clone();
        if self.rules.on_change == OnChange::Restart {
            return if count >= WITNESSES { Row::Restart(paths()) } else { Row::Wait };
        }
        if self.young(count, WITNESSES) { Row::Replace(paths()) } else { self.lasts(count) }
    }

    /// A frame is worse than usual; `glimpse` is what is kept of it.
    pub fn faulty(&mut self, path: &Path, glimpse: Glimpse) -> Row {
        let count = self.faulty.push(path, glimpse, |last, seen| last.resembles(seen, self.size));
        if self.young(count, self.rules.new_target) {
            return Row::Replace(self.faulty.files.clone());
        }
        self.lasts(count)
    }

    /// A frame fits no stack; `glimpse` is what is kept of it.
    pub fn stranger(&mut self, path: &Path, glimpse: Glimpse) -> Row {
        let count = self.strangers.push(path, glimpse, |last, seen| last.resembles(seen, self.size));
        let paths = || self.strangers.files.clone();
        if self.young(count, WITNESSES) {
            return Row::Replace(paths());
        }
        if self.rules.restart && count >= self.rules.new_target {
            return Row::Restart(paths());
        }
        self.lasts(count)
    }

    /// Whether the stack is so young that `count` frames, `least` at least, outweigh it.
    fn young(&self, count: usize, least: usize) -> bool {
        self.stacked < YOUNG && count > self.stacked && count >= least && self.replaced < REPLACEMENTS
    }

    /// Whether it is time to say that this lasts: once a stack.
    fn lasts(&mut self, count: usize) -> Row {
        if self.warned || count < self.rules.new_target {
            return Row::Wait;
        }
        self.warned = true;
        Row::Warn(count)
    }
}

mod saved;
#[cfg(test)]
mod tests;
