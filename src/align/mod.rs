//! Alignment: from a frame's gray plane to the homography that maps reference pixels to frame pixels.
//!
//! One rung after another gives a start: the prediction from the last poses, asterisms of the star lists, phase
//! correlation, a search over all rotations. Stars that meet, or a coarse fit on 4x4 binned pixels, bring it within a
//! pixel; the finest fit at full size over the star neighbourhoods alone ends it. A pose that is not plausible is
//! refused: no frame is stacked on a guess.

use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::gray::{GrayParams, gray};
use crate::kernels::tiles::{BIN, RECORD, Tile, TilesParams, tiles};
use background::Background;
use bytemuck::cast_slice_mut;
pub use glimpse::Glimpse;
use grade::Grade;
use level::{Level, Plane, Scratch};
use motion::{IDENTITY, Mat3, Motion, compose, inverse};
use predict::History;
use select::Field;
use serde::{Deserialize, Serialize};
use stars::{Gauge, StarList};

pub mod accept;
pub mod asterism;
pub mod background;
pub mod ecc;
mod glimpse;
pub mod grade;
mod grow;
mod hot;
pub mod level;
pub mod motion;
pub mod order;
pub mod pairs;
pub mod phase;
pub mod predict;
mod rungs;
mod saved;
pub mod select;
pub mod stars;

/// Patches of the coarse level where it only starts the fine one: each covers 16 times the area of a fine one.
const COARSE_PATCHES: usize = 192;
/// Overlap with the template under which `previous` hands over to a recent frame.
const HAND_OVER: f64 = 0.6;
/// A new template must correlate, with the old one, this share of what recent frames do: a clouded frame would spoil
/// all that follow.
const AS_GOOD: f64 = 0.97;
/// And show this share of the old one's stars.
const AS_MANY: f64 = 0.7;
/// Stars without which no pose can be believed.
const LEAST_STARS: usize = 3;
/// The same for tiles of a scene, whose patches are alike sooner.
const LEAST_SCENE: usize = 12;
/// Share of the frame's parts in which a scene that fills it has spots.
const WIDE: f64 = 0.6;
/// Correlations that "usual" looks back over.
const RECENT: usize = 8;
/// Standard deviation of the window around a star of FWHM 3 px, px; wider stars take a window that is as much wider. A
/// star has its gradients inside; what lies outside is noise, of which the part that stands still on the sensor (the
/// master dark's own noise) pulls towards no motion.
const STAR_WINDOW: (f64, f64) = (3.0, 6.0);

/// What the template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlignTo {
    /// The first stacked frame, until the overlap with it falls under 60 %; then a recent well-aligned frame.
    Previous,
    /// The first stacked frame, all night.
    First,
}

/// Name of a rung, or why nobody looked.
pub type Start = &'static str;

/// A frame's pose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pose {
    /// Reference px to frame px.
    pub homography: Mat3,
    /// The same before the usual shape of the last frames was taken for its own.
    pub measured: Mat3,
    /// Correlation over the patches, in [-1, 1].
    pub correlation: f64,
    /// Iterations of both levels.
    pub iterations: u32,
    /// Which rung gave the start.
    #[serde(with = "saved::start")]
    pub start: Start,
    /// The motion model that the evidence carried.
    pub model: Motion,
    /// Spots that turned out to be hot pixels with this frame: until now they passed for stars.
    pub hot: usize,
    /// Brightness of the stars, or contrast of the scene, over that of the reference; 1 where nobody looked.
    pub gain: f64,
}

impl Pose {
    /// A pose that nobody looked for.
    #[must_use]
    pub fn given(homography: Mat3, start: &'static str) -> Pose {
        Pose {
            homography,
            measured: homography,
            correlation: 1.0,
            iterations: 0,
            start,
            model: Motion::Homography,
            hot: 0,
            gain: 1.0,
        }
    }
}

/// What alignment knows of the frame at hand.
#[derive(Clone)]
pub struct View {
    background: Background,
    /// One level, for scenes.
    flat: Background,
    field: Field,
    list: StarList,
    grade: Grade,
}

impl View {
    /// Why the frame cannot be aligned, nor aligned to, if so.
    #[must_use]
    pub fn shows_too_little(&self) -> Option<String> {
        let spots = self.field.spots.len();
        match self.field.stars {
            true if spots < LEAST_STARS => Some(format!(
                "the frame shows too little to align on: {spots} stars away from its edge, {LEAST_STARS} are needed"
            )),
            false if spots < LEAST_SCENE => {
                let stars = match self.list.stars.len() {
                    0 => "no stars".to_owned(),
                    1 => "one star".to_owned(),
                    few => format!("{few} stars"),
                };
                Some(format!("the frame shows too little to align on: {stars} and no scene"))
            }
            _ => None,
        }
    }

    /// Its grade.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// Its stars.
    #[must_use]
    pub fn stars(&self) -> &StarList {
        &self.list
    }

    /// Its background; `stars`: the local one, else one level.
    #[must_use]
    pub fn sky(&self, stars: bool) -> &Background {
        if stars { &self.background } else { &self.flat }
    }
}

struct Template<B: Backend> {
    coarse: Level<B>,
    fine: Level<B>,
    /// Reference px to template px.
    from_reference: Mat3,
    small: phase::Small,
    list: StarList,
    /// Whether the patches are stars.
    stars: bool,
    /// Spots that it was made from.
    spots: usize,
    /// Whether they lie all over the frame.
    wide: bool,
    /// Brightness of its stars over the reference's.
    gain: f64,
}

/// Aligns frames of one size.
pub struct Aligner<B: Backend> {
    width: usize,
    height: usize,
    motion: Motion,
    align_to: AlignTo,
    scratch: Scratch<B>,
    gauge: Gauge<B>,
    gray: B::Buffer,
    table: B::Buffer,
    binned: B::Buffer,
    template: Option<Template<B>>,
    history: History,
    /// Correlations of the last poses.
    correlations: Vec<f64>,
    /// Spots that stand still on the sensor while stars move, px.
    hot: Vec<(f64, f64)>,
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
            scratch: Scratch::new(backend, select::CAPACITY)?,
            gauge: Gauge::new(backend)?,
            gray: backend.alloc("gray", p.stride as usize / 2 * height)?,
            table: backend.alloc("tile table", p.tiles_x as usize * tiles_y * RECORD)?,
            binned: backend.alloc("binned gray", p.tiles_x as usize * tiles_y * BIN * BIN / 2)?,
            template: None,
            history: History::default(),
            correlations: Vec::new(),
            hot: Vec::new(),
        })
    }

    /// Makes the gray plane, the tile table and the star list of a frame from its colour `planes`; `white` is the level
    /// of white, for its grade.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn look(
        &mut self,
        backend: &mut B,
        p: &GrayParams,
        planes: &[B::Buffer],
        white: f64,
    ) -> Result<View> {
        let t = TilesParams::new(self.width, self.height);
        let size = (self.width, self.height);
        gray(backend, p, planes, &mut self.gray)?;
        tiles(backend, &t, &self.gray, &mut self.table, &mut self.binned)?;
        let tiles_y = self.height.div_ceil(crate::kernels::tiles::TILE);
        let mut table = vec![Tile::default(); t.tiles_x as usize * tiles_y];
        backend.read(&self.table, cast_slice_mut(&mut table))?;
        let background = Background::new(&table, self.width, self.height);
        let candidates = select::candidates(&table, &background, self.width, self.height);
        let all = candidates.len();
        let chosen = select::spread(candidates, self.width, self.height, stars::MOST);
        let measured = self.gauge.measure(backend, &self.gray, size, &background, &chosen)?;
        let measured = self.cold(measured);
        let list = StarList::new(&measured, all, size);
        let field = select::choose(&list, &table, &background, size);
        let grade = Grade::new(&list, &table, &background, white);
        let flat = background.flat();
        Ok(View { background, flat, field, list, grade })
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
        self.history = History::new(self.width, self.height);
        self.correlations = vec![1.0];
        self.set_template(backend, view, IDENTITY, 1.0)
    }

    fn set_template(&mut self, backend: &mut B, view: &View, from_reference: Mat3, gain: f64) -> Result<()> {
        let (fine, coarse) = (self.fine_plane(), self.coarse_plane());
        let Field { stars, spots } = &view.field;
        let most = if *stars { COARSE_PATCHES } else { select::MOST };
        let few = select::spread(spots.clone(), self.width, self.height, most);
        let sky = view.sky(*stars);
        let sigma = (view.list.fwhm).clamp(STAR_WINDOW.0, STAR_WINDOW.1);
        let window = if *stars { (0.5 / (sigma * sigma)) as f32 } else { 0.0 };
        let template = Template {
            fine: Level::new(backend, &mut self.scratch, (fine, window), &self.gray, spots, sky)?,
            coarse: Level::new(backend, &mut self.scratch, (coarse, 0.0), &self.binned, &few, sky)?,
            from_reference,
            small: self.small(backend, sky)?,
            list: view.list.clone(),
            stars: *stars,
            spots: spots.len(),
            wide: select::cells(spots, self.width, self.height) >= WIDE,
            gain,
        };
        self.template = Some(template);
        Ok(())
    }

    /// Finds the pose of the frame at hand; nothing remembers it until [`accept`](Aligner::accept). The inner `Err` is
    /// the reason why it must not be stacked.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn align(&mut self, backend: &mut B, view: &View) -> Result<std::result::Result<Pose, String>> {
        let Some(mut template) = self.template.take() else {
            return Ok(Err("there is no reference yet".into()));
        };
        let found = self.climb(backend, view, &mut template);
        self.template = Some(template);
        found
    }

    /// The frame at hand is stacked with `pose`: predictions follow it, and it may become the template.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn accept(&mut self, backend: &mut B, view: &View, pose: &Pose) -> Result<()> {
        if self.align_to == AlignTo::Previous && self.as_good(pose) {
            if self.hands_over(view, pose) {
                self.set_template(backend, view, pose.homography, pose.gain)?;
            } else if let Some(mut template) = self.template.take() {
                let grown = self.grow(backend, view, pose, &mut template);
                self.template = Some(template);
                grown?;
            }
        }
        self.history.push(pose.homography, &pose.measured);
        self.correlations.push(pose.correlation);
        if self.correlations.len() > RECENT + 1 {
            self.correlations.remove(0);
        }
        Ok(())
    }

    /// Whether the frame at hand correlates as well as the last ones did.
    fn as_good(&self, pose: &Pose) -> bool {
        let mut recent: Vec<f32> = self.correlations.iter().map(|c| *c as f32).collect();
        pose.correlation >= AS_GOOD * f64::from(background::median(&mut recent))
    }

    /// Whether the frame at hand becomes the template: the old one is out of sight, and this one shows as much.
    fn hands_over(&self, view: &View, pose: &Pose) -> bool {
        let Some(template) = &self.template else { return false };
        let to_reference = inverse(&template.from_reference).unwrap_or(IDENTITY);
        self.overlap(&compose(&pose.homography, &to_reference)) < HAND_OVER
            && view.field.spots.len() as f64 >= AS_MANY * template.spots as f64
    }
}
