//! Alignment: from a frame's gray plane to the homography that maps reference pixels to frame pixels.
//!
//! One rung after another gives a start (predicted from the last poses, then phase correlation); a coarse fit on
//! 4x4 binned pixels brings it within a pixel, the finest fit at full size over the star neighbourhoods alone
//! ends it. A pose that is not plausible is refused: no frame is stacked on a guess.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::kernels::gray::{GrayParams, gray};
use crate::kernels::tiles::{BIN, RECORD, Tile, TilesParams, tiles};
use accept::plausible;
use background::Background;
use bytemuck::cast_slice_mut;
use level::{Fit, Level, Plane, Scratch, Until};
use motion::{IDENTITY, Mat3, Model, Motion, apply, compose, inverse};
use select::Field;

pub mod accept;
pub mod background;
pub mod ecc;
pub mod level;
pub mod motion;
pub mod phase;
pub mod select;

/// Patches of the coarse level: each covers 16 times the area of a fine one.
const COARSE_PATCHES: usize = 192;
/// Patches that a coarse fit needs: it has up to four parameters.
const COARSE_LEAST: usize = 5;
/// Poses that the prediction looks back over.
const HISTORY: usize = 8;
/// Overlap with the template under which `previous` hands over to a recent frame.
const HAND_OVER: f64 = 0.6;
/// A new template must correlate, with the old one, this share of what recent frames do: a clouded frame would spoil
/// all that follow.
const AS_GOOD: f64 = 0.97;
/// And show this share of the old one's stars.
const AS_MANY: f64 = 0.7;
/// Phase correlation peaks under this are noise, standard deviations.
const LEAST_PEAK: f64 = 6.0;
/// Kept patches that a homography needs, an affine map, a similarity, a Euclidean map.
const ENOUGH: [(Motion, usize); 4] =
    [(Motion::Homography, 24), (Motion::Affine, 12), (Motion::Similarity, 5), (Motion::Euclidean, 3)];
/// Standard deviation of the window around a star, px. A star of FWHM 3 to 6 px has its gradients inside; what lies
/// outside is noise, of which the part that stands still on the sensor (the master dark's own noise) pulls towards
/// no motion.
const STAR_WINDOW: f32 = 3.0;
/// When the coarse fit ends.
const COARSE: Until = Until { still: 0.02, most: 20 };
/// When the fine fit ends.
const FINE: Until = Until { still: 0.002, most: 20 };

/// What the template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignTo {
    /// The first stacked frame, until the overlap with it falls under 60 %; then a recent well-aligned frame.
    Previous,
    /// The first stacked frame, all night.
    First,
}

/// A frame's pose.
#[derive(Clone, Debug)]
pub struct Pose {
    /// Reference px to frame px.
    pub homography: Mat3,
    /// Correlation over the patches, in [-1, 1].
    pub correlation: f64,
    /// Iterations of both levels.
    pub iterations: u32,
    /// Which rung gave the start.
    pub start: &'static str,
}

/// What alignment knows of the frame at hand.
pub struct View {
    background: Background,
    field: Field,
}

impl View {
    /// Whether the frame shows nothing to align on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.field.spots.is_empty()
    }
}

struct Template<B: Backend> {
    coarse: Level<B>,
    fine: Level<B>,
    /// Reference px to template px.
    from_reference: Mat3,
    spectrum: phase::Spectrum,
}

/// Aligns frames of one size.
pub struct Aligner<B: Backend> {
    width: usize,
    height: usize,
    motion: Motion,
    align_to: AlignTo,
    scratch: Scratch<B>,
    gray: B::Buffer,
    table: B::Buffer,
    binned: B::Buffer,
    template: Option<Template<B>>,
    /// The last poses and their correlations, newest last.
    poses: Vec<(Mat3, f64)>,
}

impl<B: Backend> Aligner<B> {
    /// For frames of `width` x `height` px.
    ///
    /// # Errors
    /// Where the device has not enough memory.
    pub fn new(
        backend: &mut B,
        width: usize,
        height: usize,
        motion: Motion,
        align_to: AlignTo,
    ) -> Result<Self> {
        let p = TilesParams::new(width, height);
        let tiles_y = height.div_ceil(crate::kernels::tiles::TILE);
        Ok(Aligner {
            width,
            height,
            motion,
            align_to,
            scratch: Scratch::new(backend, select::MOST)?,
            gray: backend.alloc("gray", p.stride as usize / 2 * height)?,
            table: backend.alloc("tile table", p.tiles_x as usize * tiles_y * RECORD)?,
            binned: backend.alloc("binned gray", p.tiles_x as usize * tiles_y * BIN * BIN / 2)?,
            template: None,
            poses: Vec::new(),
        })
    }

    /// Makes the gray plane and the tile table of a frame from its colour `planes`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn look(&mut self, backend: &mut B, p: &GrayParams, planes: &[B::Buffer]) -> Result<View> {
        let t = TilesParams::new(self.width, self.height);
        gray(backend, p, planes, &mut self.gray)?;
        tiles(backend, &t, &self.gray, &mut self.table, &mut self.binned)?;
        let tiles_y = self.height.div_ceil(crate::kernels::tiles::TILE);
        let mut table = vec![Tile::default(); t.tiles_x as usize * tiles_y];
        backend.read(&self.table, cast_slice_mut(&mut table))?;
        let background = Background::new(&table, self.width, self.height);
        let field = select::choose(&table, &background, self.width, self.height);
        Ok(View { background, field })
    }

    fn fine_plane(&self) -> Plane {
        let stride = crate::kernels::stride(self.width);
        Plane { width: self.width, height: self.height, stride, bin: 1 }
    }

    fn coarse_plane(&self) -> Plane {
        let stride = self.width.div_ceil(crate::kernels::tiles::TILE) * BIN;
        Plane { width: self.width / BIN, height: self.height / BIN, stride, bin: BIN }
    }

    /// Takes the frame at hand as the reference: poses are to it from now on.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn set_reference(&mut self, backend: &mut B, view: &View) -> Result<()> {
        self.poses = vec![(IDENTITY, 1.0)];
        self.set_template(backend, view, IDENTITY)
    }

    fn set_template(&mut self, backend: &mut B, view: &View, from_reference: Mat3) -> Result<()> {
        let (fine, coarse) = (self.fine_plane(), self.coarse_plane());
        let spots = &view.field.spots;
        let few = select::spread(spots.clone(), self.width, self.height, COARSE_PATCHES);
        let sky = &view.background;
        let window = if view.field.stars { 0.5 / (STAR_WINDOW * STAR_WINDOW) } else { 0.0 };
        let template = Template {
            fine: Level::new(backend, &mut self.scratch, (fine, window), &self.gray, spots, sky)?,
            coarse: Level::new(backend, &mut self.scratch, (coarse, 0.0), &self.binned, &few, sky)?,
            from_reference,
            spectrum: self.spectrum(backend, view)?,
        };
        self.template = Some(template);
        Ok(())
    }

    /// The spectrum of the frame at hand, at an eighth of its size.
    fn spectrum(&self, backend: &mut B, view: &View) -> Result<phase::Spectrum> {
        let plane = self.coarse_plane();
        let mut words = vec![0_u32; plane.stride * plane.height / 2];
        backend.read(&self.binned, &mut words)?;
        let px: &[u16] = bytemuck::cast_slice(&words);
        let (w, h) = ((plane.width / 2).max(1), (plane.height / 2).max(1));
        let mut small = Vec::with_capacity(w * h);
        for y in 0..h {
            for x in 0..w {
                let at = |dx: usize, dy: usize| {
                    let (x, y) = ((2 * x + dx).min(plane.width - 1), (2 * y + dy).min(plane.height - 1));
                    px.get(y * plane.stride + x).map_or(0.0, |&v| f32::from(v))
                };
                let side = (2 * BIN) as f64;
                let sky = view.background.at((x as f64 + 0.5) * side, (y as f64 + 0.5) * side)[0];
                small.push((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0 - sky as f32);
            }
        }
        Ok(phase::Spectrum::new(&small, w, h))
    }

    /// Aligns the frame at hand. The inner `Err` is the reason why it must not be stacked.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn align(&mut self, backend: &mut B, view: &View) -> Result<std::result::Result<Pose, String>> {
        let Some(template) = self.template.take() else {
            return Ok(Err("there is no reference yet".into()));
        };
        let found = self.climb(backend, view, &template);
        self.template = Some(template);
        let pose = match found? {
            Ok(pose) => pose,
            Err(reason) => return Ok(Err(reason)),
        };
        if self.align_to == AlignTo::Previous && self.hands_over(view, &pose) {
            self.set_template(backend, view, pose.homography)?;
        }
        self.poses.push((pose.homography, pose.correlation));
        if self.poses.len() > HISTORY + 1 {
            self.poses.remove(0);
        }
        Ok(Ok(pose))
    }

    /// Whether the frame at hand becomes the template: the old one is out of sight, and this one is as good as any.
    fn hands_over(&self, view: &View, pose: &Pose) -> bool {
        let Some(template) = &self.template else { return false };
        let to_reference = inverse(&template.from_reference).unwrap_or(IDENTITY);
        let mut recent: Vec<f32> = self.poses.iter().map(|p| p.1 as f32).collect();
        let usual = f64::from(background::median(&mut recent));
        self.overlap(&compose(&pose.homography, &to_reference)) < HAND_OVER
            && pose.correlation >= AS_GOOD * usual
            && view.field.spots.len() as f64 >= AS_MANY * template.fine.len() as f64
    }

    /// Tries one start after another.
    fn climb(
        &mut self,
        backend: &mut B,
        view: &View,
        template: &Template<B>,
    ) -> Result<std::result::Result<Pose, String>> {
        if template.fine.is_empty() {
            return Ok(Err("the reference shows nothing to align on".into()));
        }
        if view.field.spots.is_empty() {
            return Ok(Err("the frame shows nothing to align on".into()));
        }
        let to_reference = inverse(&template.from_reference)?;
        let mut reason = String::new();
        for start in ["predicted", "last", "phase"] {
            let from = match start {
                "predicted" => Some(self.predicted()),
                // With one pose known, the prediction was just that.
                "last" => self.poses.last().filter(|_| self.poses.len() > 1).map(|p| p.0),
                _ => {
                    self.phase_start(backend, view, template)?.map(|m| compose(&m, &template.from_reference))
                }
            };
            let Some(from) = from else { continue };
            match self.refine(backend, view, template, &compose(&from, &to_reference)) {
                Ok((fit, _)) if !fit.settled => {
                    reason = "no alignment found: the fit does not settle".into();
                }
                Ok((fit, iterations)) => {
                    let homography = compose(&fit.map, &template.from_reference);
                    let (gray, sky) = (&self.gray, &view.background);
                    let ask = (&fit.map, fit.gain);
                    let votes = template.fine.votes(backend, &mut self.scratch, gray, sky, ask)?;
                    match plausible(fit.correlation, votes, &homography, self.overlap(&homography)) {
                        Ok(()) => {
                            let correlation = fit.correlation;
                            return Ok(Ok(Pose { homography, correlation, iterations, start }));
                        }
                        Err(why) => reason = why,
                    }
                }
                Err(Error::Singular) => {
                    if reason.is_empty() {
                        reason = "no alignment found: the frame does not show the reference's field".into();
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Err(reason))
    }

    /// The pose of constant motion, from the mean step of the last poses.
    fn predicted(&self) -> Mat3 {
        match (self.poses.first(), self.poses.last()) {
            (Some((first, _)), Some((last, _))) if self.poses.len() > 1 => {
                let steps = (self.poses.len() - 1) as f64;
                std::array::from_fn(|k| last[k] + (last[k] - first[k]) / steps)
            }
            (_, Some((last, _))) => *last,
            _ => IDENTITY,
        }
    }

    /// A shift from the template by phase correlation.
    fn phase_start(&self, backend: &mut B, view: &View, template: &Template<B>) -> Result<Option<Mat3>> {
        let spectrum = self.spectrum(backend, view)?;
        let side = (2 * BIN) as f64;
        Ok(phase::shift(&template.spectrum, &spectrum)
            .filter(|s| s.peak >= LEAST_PEAK)
            .map(|s| motion::shift(s.dx * side, s.dy * side)))
    }

    /// Coarse, then fine, from `start` (template px to frame px).
    fn refine(
        &mut self,
        backend: &mut B,
        view: &View,
        template: &Template<B>,
        start: &Mat3,
    ) -> Result<(Fit, u32)> {
        let sky = &view.background;
        let coarse = &template.coarse;
        let mut map = *start;
        let mut iterations = 0;
        if coarse.len() >= COARSE_LEAST {
            let plane = coarse.plane();
            let motion = self.motion.min(Motion::Similarity);
            let model = Model::new(motion, plane.width, plane.height);
            let from = plane.scaled(&map);
            let fit = coarse.fit(backend, &mut self.scratch, &self.binned, sky, (&model, &from), COARSE)?;
            iterations += fit.iterations;
            map = plane.unscaled(&fit.map);
        }
        let fine = &template.fine;
        let model = Model::new(lowered(self.motion, fine.len()), self.width, self.height);
        let mut fit = fine.fit(backend, &mut self.scratch, &self.gray, sky, (&model, &map), FINE)?;
        iterations += fit.iterations;
        let motion = lowered(self.motion, fit.kept);
        if motion != model.motion {
            let model = Model::new(motion, self.width, self.height);
            fit = fine.fit(backend, &mut self.scratch, &self.gray, sky, (&model, &fit.map), FINE)?;
            iterations += fit.iterations;
        }
        Ok((fit, iterations))
    }

    /// Share of the canvas that a frame with pose `m` covers.
    fn overlap(&self, m: &Mat3) -> f64 {
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

/// The model that `kept` patches can carry: no wild homography from a few stars.
fn lowered(motion: Motion, kept: usize) -> Motion {
    let allowed =
        ENOUGH.iter().find(|(_, needed)| kept >= *needed).map_or(Motion::Translation, |(motion, _)| *motion);
    motion.min(allowed)
}
