//! The rungs: one start after another, each refined and judged, until one leaves no doubt.

use super::accept::{Doubt, Evidence, plausible};
use super::asterism::{self, Meeting, find, meet};
use super::background::Background;
use super::level::{Fit, Plane, Until};
use super::motion::{self, Mat3, Model, Motion, apply, compose, inverse};
use super::order::steady;
use super::pairs::{Index, shifted};
use super::stars::Star;
use super::{Aligner, Pose, Template, View, phase};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::kernels::tiles::BIN;

/// Patches that a coarse fit needs: it has up to four parameters.
const COARSE_LEAST: usize = 5;
/// Phase correlation peaks under this are noise, standard deviations.
const LEAST_PEAK: f64 = 6.0;
/// Kept patches that a homography needs, an affine map, a similarity, a Euclidean map.
const ENOUGH: [(Motion, usize); 4] =
    [(Motion::Homography, 48), (Motion::Affine, 32), (Motion::Similarity, 10), (Motion::Euclidean, 3)];
/// When the coarse fit ends, where a fine one follows.
const COARSE: Until = Until { still: 0.02, most: 20 };
/// When the fine fit ends.
const FINE: Until = Until { still: 0.002, most: 20 };
/// Share of the stars in common that must meet under a prediction; the fit judges the rest.
const MEET: f64 = 0.3;
/// The same for asterisms, where chance has many tries.
const MEET_ANYWHERE: f64 = 0.2;
/// Share of the patches that must agree for the other rungs to be left alone: the Moon's limb agrees whichever way the
/// disc is turned, and hot pixels agree that nothing moved.
const DECISIVE: f64 = 0.75;
/// Share of a scene's patches that must agree at least: two discs of the same size share their limbs.
const SCENE: f64 = 0.6;
/// Share of a scene's patches that are alike, and agree, at full size where it is sharp.
const SHARP: f64 = 0.9;
/// Stars that are the same in both frames lie this close under the final pose, px.
const SAME: f64 = 1.5;
/// Pairs of stars whose brightness says something.
const PHOTOMETRIC: usize = 3;
/// Brightest pairs that are asked for it.
const BRIGHTEST: usize = 100;

/// Where a start comes from, in the order in which they are tried.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rung {
    /// Stars that meet where constant motion puts them.
    Predicted,
    /// Stars that meet anywhere.
    Asterisms,
    /// A coarse fit from the prediction.
    Coarse,
    /// A shift by phase correlation.
    Phase,
    /// Phase correlation at every rotation.
    Search,
}

impl Rung {
    pub(super) const ALL: [Rung; 5] =
        [Rung::Predicted, Rung::Asterisms, Rung::Coarse, Rung::Phase, Rung::Search];

    /// Its name in the records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Rung::Predicted | Rung::Coarse => "predicted",
            Rung::Asterisms => "asterisms",
            Rung::Phase => "phase",
            Rung::Search => "search",
        }
    }
}

impl<B: Backend> Aligner<B> {
    /// Tries one start after another until the patches leave no doubt; else the one that most of them agree with counts.
    pub(super) fn climb(
        &mut self,
        backend: &mut B,
        view: &View,
        template: &mut Template<B>,
    ) -> Result<std::result::Result<Pose, String>> {
        if template.fine.is_empty() {
            return Ok(Err("the reference shows nothing to align on".into()));
        }
        if let Some(why) = view.shows_too_little() {
            return Ok(Err(why));
        }
        let to_reference = inverse(&template.from_reference)?;
        let expected = compose(&self.history.predicted(), &to_reference);
        if let Some(pose) = self.moving(backend, view, template, &expected)? {
            return Ok(Ok(pose));
        }
        let template = &*template;
        let mut reason = String::new();
        let mut best: Option<(f64, Pose)> = None;
        for rung in Rung::ALL {
            for start in self.starts(backend, rung, (view, template), &expected)? {
                let coarse = !matches!(rung, Rung::Predicted | Rung::Asterisms);
                match self.refine(backend, view, template, (&start, coarse)) {
                    Ok(fitted) => match self.judged(view, template, (&fitted, &expected)) {
                        Ok(mut pose) => {
                            pose.start = rung.name();
                            let votes = fitted.fit.votes;
                            let share = votes.agree as f64 / votes.covered.max(1) as f64;
                            if share >= DECISIVE {
                                return Ok(Ok(pose));
                            }
                            if best.as_ref().is_none_or(|(other, _)| share > *other) {
                                best = Some((share, pose));
                            }
                        }
                        Err(Doubt::Left(why)) => return Ok(Err(why)),
                        Err(Doubt::Wrong(why)) => reason = why,
                    },
                    Err(Error::Singular) if reason.is_empty() => {
                        reason = "no alignment found: the frame does not show the reference's field".into();
                    }
                    Err(Error::Singular) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        if let Some((_, pose)) = best {
            return Ok(Ok(pose));
        }
        if reason.is_empty() {
            reason = "no alignment found: the frame does not show the reference's field".into();
        }
        Ok(Err(reason))
    }

    /// The pose that the moving stars give where hot pixels say that nothing moved; those are left out from then on.
    fn moving(
        &mut self,
        backend: &mut B,
        view: &View,
        template: &mut Template<B>,
        expected: &Mat3,
    ) -> Result<Option<Pose>> {
        let Some(start) = self.unfixed(view, template, expected) else { return Ok(None) };
        let before = template.fine.leave_out(&start.still);
        let fitted = match self.refine(backend, view, template, (&start.map, false)) {
            Ok(fitted) => Some(fitted),
            Err(Error::Singular) => None,
            Err(e) => return Err(e),
        };
        match fitted.and_then(|f| self.judged(view, template, (&f, expected)).ok()) {
            Some(mut pose) => {
                pose.start = if start.predicted { Rung::Predicted.name() } else { Rung::Asterisms.name() };
                pose.hot = start.still.len();
                self.remember(&start.still);
                let hot = |s: &Star| start.still.iter().any(|p| (p.0 - s.x).hypot(p.1 - s.y) <= SAME);
                template.list.stars.retain(|s| !hot(s));
                Ok(Some(pose))
            }
            None => {
                template.fine.restore(before);
                Ok(None)
            }
        }
    }

    /// Starts of `rung`, template px to frame px.
    fn starts(
        &self,
        backend: &mut B,
        rung: Rung,
        (view, template): (&View, &Template<B>),
        expected: &Mat3,
    ) -> Result<Vec<Mat3>> {
        let (first, second) = (&template.list.stars, &view.list.stars);
        let size = (self.width, self.height);
        let stars = template.stars && view.field.stars;
        let good = |m: &Meeting, share: f64| {
            m.pairs.len() >= asterism::LEAST && m.pairs.len() as f64 >= share * m.common as f64
        };
        let found = match rung {
            Rung::Predicted if stars => shifted(first, second, expected)
                .filter(|(_, votes)| *votes >= asterism::LEAST)
                .and_then(|(map, _)| meet(first, second, &map, size, self.motion))
                .filter(|m| good(m, MEET)),
            Rung::Asterisms if stars => {
                find(first, second, size, self.motion).filter(|m| good(m, MEET_ANYWHERE))
            }
            Rung::Predicted | Rung::Asterisms => None,
            Rung::Coarse => return Ok(vec![*expected]),
            Rung::Phase => {
                let small = self.small(backend, view.sky(template.stars))?;
                let shift = phase::shift(&template.small.spectrum(), &small.spectrum());
                return Ok(shift.filter(|s| s.peak >= LEAST_PEAK).map(|s| moved(&s)).into_iter().collect());
            }
            Rung::Search if !stars => {
                let small = self.small(backend, view.sky(template.stars))?;
                let plane = Plane { bin: 2 * BIN, ..self.coarse_plane() };
                let found = phase::search(&template.small, &small);
                return Ok(found.iter().map(|m| plane.unscaled(m)).collect());
            }
            Rung::Search => None,
        };
        Ok(found.map(|m| m.map).into_iter().collect())
    }

    /// The fit from `start` (template px to frame px), by way of a coarse one if asked for. A scene that is sharp enough
    /// ends at full size too, one that is not (the Moon) on the coarse level: there, the noise that stands still on the
    /// sensor has little to pull at.
    fn refine(
        &mut self,
        backend: &mut B,
        view: &View,
        template: &Template<B>,
        (start, by_coarse): (&Mat3, bool),
    ) -> Result<Fitted> {
        let sky = view.sky(template.stars);
        let coarse = &template.coarse;
        let (mut map, mut iterations, mut scene) = (*start, 0, None);
        if by_coarse && coarse.len() >= COARSE_LEAST {
            let plane = coarse.plane();
            let motion = self.motion.min(Motion::Similarity);
            let model = Model::new(motion, plane.width, plane.height);
            let from = plane.scaled(&map);
            let until = if template.stars { COARSE } else { FINE };
            let (scratch, binned) = (&mut self.scratch, &self.binned);
            let fit = coarse.fit(backend, scratch, binned, sky, (&model, &from), until)?;
            iterations += fit.iterations;
            map = plane.unscaled(&fit.map);
            if !template.stars {
                let (mut fit, mut motion) = (fit, motion);
                if template.wide && self.motion > motion {
                    // It fills the frame: nothing is left to run wild. A hand-held camera needs it.
                    let full = Model::new(self.motion, plane.width, plane.height);
                    let better = coarse.fit(backend, scratch, binned, sky, (&full, &fit.map), FINE);
                    if let Some(better) = better.ok().filter(|f| f.settled) {
                        iterations += better.iterations;
                        (fit, motion, map) = (better.clone(), self.motion, plane.unscaled(&better.map));
                    }
                }
                let fine = template.fine.votes(backend, scratch, &self.gray, sky, (&map, fit.gain))?;
                let fitted = Fitted { fit: Fit { map, ..fit }, measured: map, iterations, motion };
                if (fine.alike as f64) < SHARP * fine.covered as f64 {
                    return Ok(fitted);
                }
                scene = Some(fitted);
            }
        }
        let fine = self.fine(backend, sky, template, &map, iterations);
        match (fine, scene) {
            (Ok(fine), Some(_)) if agreed(&fine) => Ok(fine),
            (Ok(_) | Err(Error::Singular), Some(coarse)) => Ok(coarse),
            (fine, _) => fine,
        }
    }

    /// The fit at full size from `map`, with the model that the patches carry.
    fn fine(
        &mut self,
        backend: &mut B,
        sky: &Background,
        template: &Template<B>,
        map: &Mat3,
        mut iterations: u32,
    ) -> Result<Fitted> {
        let fine = &template.fine;
        let mut model = Model::new(lowered(self.motion, fine.len()), self.width, self.height);
        let (scratch, gray) = (&mut self.scratch, &self.gray);
        let mut fit = fine.fit(backend, scratch, gray, sky, (&model, map), FINE)?;
        iterations += fit.iterations;
        let carried = lowered(self.motion, fit.kept);
        if carried != model.motion {
            model = Model::new(carried, self.width, self.height);
            fit = fine.fit(backend, scratch, gray, sky, (&model, &fit.map), FINE)?;
            iterations += fit.iterations;
        }
        let measured = fit.map;
        let shape = compose(&self.history.shape(), &inverse(&template.from_reference)?);
        if let Some(map) = fit.minimum.and_then(|at| steady(&model, &at, &shape)) {
            fit.map = map;
        }
        let motion = model.motion;
        Ok(Fitted { fit, measured, iterations, motion })
    }

    /// The pose of a fit if it can be believed.
    fn judged(
        &self,
        view: &View,
        template: &Template<B>,
        (fitted, expected): (&Fitted, &Mat3),
    ) -> std::result::Result<Pose, Doubt> {
        let (fit, votes) = (&fitted.fit, fitted.fit.votes);
        if !fit.settled {
            return Err(Doubt::Wrong("no alignment found: the fit does not settle".into()));
        }
        if !template.stars && (votes.agree as f64) < SCENE * votes.covered as f64 {
            return Err(Doubt::Wrong(format!(
                "no alignment found: {} of {} parts of the scene agree, {:.0} are needed",
                votes.agree,
                votes.covered,
                SCENE * votes.covered as f64
            )));
        }
        let homography = compose(&fit.map, &template.from_reference);
        let (x, y) = (self.width as f64 / 2.0, self.height as f64 / 2.0);
        let (p, q) = (apply(&fit.map, x, y), apply(expected, x, y));
        let leap = (p.0 - q.0).hypot(p.1 - q.1) / (2.0 * x.hypot(y));
        let overlap = self.overlap(&homography);
        let evidence = Evidence { correlation: fit.correlation, votes, overlap, leap };
        plausible(&homography, &evidence).map(|()| Pose {
            homography,
            measured: compose(&fitted.measured, &template.from_reference),
            correlation: fit.correlation,
            iterations: fitted.iterations,
            start: "",
            model: fitted.motion,
            hot: 0,
            gain: template.gain * brightness(template, view, &fit.map).unwrap_or(fit.gain),
        })
    }

    /// Share of the canvas that a frame with pose `m` covers.
    pub(super) fn overlap(&self, m: &Mat3) -> f64 {
        const STEPS: usize = 16;
        let (w, h) = (self.width as f64 - 1.0, self.height as f64 - 1.0);
        let place = |k: usize, size: f64| (k as f64 + 0.5) / STEPS as f64 * size;
        let hits = (0..STEPS * STEPS)
            .filter(|k| {
                let (x, y) = (place(k % STEPS, w), place(k / STEPS, h));
                let (u, v) = apply(m, x, y);
                m[6] * x + m[7] * y + m[8] > 0.0 && (0.0..=w).contains(&u) && (0.0..=h).contains(&v)
            })
            .count();
        hits as f64 / (STEPS * STEPS) as f64
    }
}

/// A fit and how it came about.
struct Fitted {
    fit: Fit,
    /// The map before the usual shape was taken for it.
    measured: Mat3,
    iterations: u32,
    motion: Motion,
}

/// Stars that two frames must share to show one field.
const SHARED: usize = 5;
/// And their share of those that both could see.
const SHARED_PART: f64 = 0.4;

/// Whether two star lists show the same field.
pub(super) fn same_field(first: &[Star], second: &[Star], size: (usize, usize)) -> bool {
    let close = shifted(first, second, &motion::IDENTITY)
        .and_then(|(map, _)| meet(first, second, &map, size, Motion::Similarity));
    let same = |m: &Meeting| m.pairs.len() >= SHARED && m.pairs.len() as f64 >= SHARED_PART * m.common as f64;
    close.as_ref().is_some_and(same)
        || find(first, second, size, Motion::Similarity).as_ref().is_some_and(same)
}

/// Whether nearly all patches agree with a fit.
fn agreed(f: &Fitted) -> bool {
    f.fit.votes.agree as f64 >= SHARP * f.fit.votes.covered as f64
}

/// The map of a phase correlation's shift.
fn moved(s: &phase::Shift) -> Mat3 {
    let side = (2 * BIN) as f64;
    motion::shift(s.dx * side, s.dy * side)
}

/// The model that `kept` patches can carry: no wild homography from a few stars.
fn lowered(motion: Motion, kept: usize) -> Motion {
    let allowed =
        ENOUGH.iter().find(|(_, needed)| kept >= *needed).map_or(Motion::Translation, |(motion, _)| *motion);
    motion.min(allowed)
}

/// Brightness of the view's stars over that of the template's under `map`; `None` where too few are the same.
fn brightness<B: Backend>(template: &Template<B>, view: &View, map: &Mat3) -> Option<f64> {
    let (first, second) = (&template.list.stars, &view.list.stars);
    let pairs = Index::new(second, SAME).pairs(first, map);
    let clear = pairs.iter().filter(|(a, b)| !first[*a].saturated() && !second[*b].saturated());
    // Lists are sorted by flux: the first are the brightest.
    let mut ratios: Vec<f32> =
        clear.take(BRIGHTEST).map(|&(a, b)| (second[b].flux / first[a].flux) as f32).collect();
    (ratios.len() >= PHOTOMETRIC).then(|| f64::from(super::background::median(&mut ratios)))
}
