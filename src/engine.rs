//! The engine: the stages of one frame in order, written once for every backend. It owns the buffers.

use crate::align::motion::{IDENTITY, Mat3, Motion};
use crate::align::{AlignTo, Aligner, Pose};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::frame::{Frame, Shape};
use crate::kernels::accumulate::{self as acc, AccumulateParams, accumulate};
use crate::kernels::calibrate::{CalibrateParams, Mode, calibrate};
use crate::kernels::coverage::{CoverageParams, coverage};
use crate::kernels::gray::GrayParams;
use crate::kernels::stride;
use crate::master::Plan;
use crate::rules::Method;
use crate::timing::Timings;
use std::time::Instant;

/// Pedestal of the six rules on signed data, as a share of white.
const PEDESTAL: f32 = 0.05;

/// How frames are stacked.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Size and sample type of every frame.
    pub shape: Shape,
    /// The level that stands for 1, for the whole night.
    pub white: f32,
    /// The rules, each once.
    pub methods: Vec<Method>,
    /// Align the frames; false: they are stacked as they lie, or as given poses say.
    pub align: bool,
    /// The motion model.
    pub motion: Motion,
    /// What is aligned to.
    pub align_to: AlignTo,
}

/// What became of a frame.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in the stack.
    Stacked(Pose),
    /// It is not, and every accumulator is as it was.
    Rejected(String),
}

/// The stack of one rule: a plane of f32 levels for each channel.
pub(crate) struct State<B: Backend> {
    pub(crate) method: Method,
    pub(crate) planes: Vec<B::Buffer>,
}

/// Stacks frames of one shape.
pub struct Engine<B: Backend> {
    pub(crate) backend: B,
    pub(crate) setup: Setup,
    pub(crate) states: Vec<State<B>>,
    plan: Plan,
    raw: B::Buffer,
    dark: Vec<B::Buffer>,
    planes: Vec<B::Buffer>,
    coverage: Option<B::Buffer>,
    aligner: Option<Aligner<B>>,
    stacked: u32,
    timings: Timings,
}

/// Why an engine could not be made.
pub struct Refused<B> {
    /// What another try needs, where one makes sense.
    pub again: Option<Box<(B, Plan)>>,
    /// What failed.
    pub why: Error,
}

/// Everything that is allocated before the first frame.
struct Buffers<B: Backend> {
    raw: B::Buffer,
    dark: Vec<B::Buffer>,
    planes: Vec<B::Buffer>,
    states: Vec<State<B>>,
    coverage: Option<B::Buffer>,
    aligner: Option<Aligner<B>>,
}

fn buffers<B: Backend>(b: &mut B, setup: &Setup, plan: &Plan) -> Result<Buffers<B>> {
    let Shape { width, height, channels, .. } = setup.shape;
    let padded = stride(width);
    let raw = b.alloc("raw frame", setup.shape.words())?;
    let mut dark = Vec::new();
    for words in &plan.dark {
        dark.push(b.alloc("dark", words.len())?);
    }
    let mut planes = Vec::new();
    for _ in 0..channels {
        planes.push(b.alloc("calibrated plane", plan.format.words(padded, height))?);
    }
    let mut states = Vec::new();
    for method in Method::states(&setup.methods) {
        let mut stack = Vec::new();
        for _ in 0..channels {
            stack.push(b.alloc("stack", padded * height)?);
        }
        states.push(State { method, planes: stack });
    }
    let counted = states.iter().any(|s| s.method.coverage());
    let coverage = if counted { Some(b.alloc("coverage", padded / 2 * height)?) } else { None };
    let aligner =
        if setup.align { Some(Aligner::new(b, width, height, setup.motion, setup.align_to)?) } else { None };
    Ok(Buffers { raw, dark, planes, states, coverage, aligner })
}

impl<B: Backend> Engine<B> {
    /// Allocates everything that a night needs.
    ///
    /// # Errors
    /// Where the device has not enough memory; backend and plan come back for a smaller setup.
    pub fn new(mut backend: B, setup: Setup, mut plan: Plan) -> std::result::Result<Self, Refused<B>> {
        let Buffers { raw, mut dark, planes, states, coverage, aligner } =
            match buffers(&mut backend, &setup, &plan) {
                Ok(all) => all,
                Err(why) => return Err(Refused { again: Some(Box::new((backend, plan))), why }),
            };
        // The kernel reads the dark from the device from now on.
        for (buffer, words) in dark.iter_mut().zip(std::mem::take(&mut plan.dark)) {
            if let Err(why) = backend.upload(buffer, words) {
                return Err(Refused { again: None, why });
            }
        }
        let timings = Timings::default();
        Ok(Engine { backend, setup, states, plan, raw, dark, planes, coverage, aligner, stacked: 0, timings })
    }

    /// Bytes that an engine allocates for a setup: frame, dark, working planes, stacks, alignment.
    #[must_use]
    pub fn bytes(setup: &Setup, plan: &Plan) -> u64 {
        let Shape { width, height, channels, .. } = setup.shape;
        let plane = (stride(width) * height) as u64;
        let states = Method::states(&setup.methods);
        let stacks = 4 * plane * (states.len() * channels) as u64;
        let counts = if states.iter().any(|m| m.coverage()) { 2 * plane } else { 0 };
        let dark: usize = plan.dark.iter().map(|d| 4 * d.len()).sum();
        let work = 4 * (plan.format.words(stride(width), height) * channels) as u64;
        let gray = if setup.align { 2 * plane + plane / 8 } else { 0 };
        setup.shape.bytes() as u64 + dark as u64 + work + stacks + counts + gray
    }

    /// The backend, for another engine.
    #[must_use]
    pub fn into_backend(self) -> B {
        self.backend
    }

    /// Frames in the stack.
    #[must_use]
    pub fn stacked(&self) -> u32 {
        self.stacked
    }

    /// The level that is shown as 1.
    #[must_use]
    pub fn white(&self) -> f32 {
        self.setup.white
    }

    /// Stacks a frame, which must have the setup's shape, under `given` or the pose that alignment finds.
    /// Gives back a buffer to decode the next frame into.
    ///
    /// # Errors
    /// Where the device fails: the stack may then be damaged.
    pub fn push(&mut self, frame: Frame, given: Option<Mat3>) -> Result<(Outcome, Vec<u32>)> {
        debug_assert_eq!(frame.shape, self.setup.shape);
        let start = Instant::now();
        let recycled = self.backend.upload(&mut self.raw, frame.words)?;
        self.timings.add("upload", false, start.elapsed(), 0);
        self.calibrate()?;
        let pose = match given {
            Some(homography) => Pose::given(homography, "given"),
            None => match self.align()? {
                Ok(pose) => pose,
                Err(reason) => return Ok((Outcome::Rejected(reason), recycled)),
            },
        };
        self.accumulate(&pose.homography)?;
        Ok((Outcome::Stacked(pose), recycled))
    }

    fn calibrate(&mut self) -> Result<()> {
        let Shape { width, height, channels, sample } = self.setup.shape;
        let p = CalibrateParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            stride: stride(width) as u32,
            height: height as u32,
            channels: channels as u32,
            input: sample as u32,
            mode: self.plan.mode as u32,
            shift: self.plan.shift,
            pad0: 0,
            pad1: 0,
            pad2: 0,
        };
        calibrate(&mut self.backend, &p, &self.raw, &self.dark, &mut self.planes)
    }

    fn align(&mut self) -> Result<std::result::Result<Pose, String>> {
        let unmoved = Pose::given(IDENTITY, "reference");
        let Some(aligner) = &mut self.aligner else {
            return Ok(Ok(Pose { start: "none", ..unmoved }));
        };
        let Shape { width, height, channels, .. } = self.setup.shape;
        let format = self.plan.format;
        let p = GrayParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            channels: channels as u32,
            store: format.store as u32,
            scale: GrayParams::scale(format.unit, self.setup.white),
        };
        let start = Instant::now();
        let view = aligner.look(&mut self.backend, &p, &self.planes, f64::from(self.setup.white))?;
        let found = if self.stacked > 0 {
            let found = aligner.align(&mut self.backend, &view)?;
            if let Ok(pose) = &found {
                aligner.accept(&mut self.backend, &view, pose)?;
            }
            found
        } else if view.is_empty() {
            Err("the frame shows nothing to align on: it cannot be the reference".into())
        } else {
            aligner.set_reference(&mut self.backend, &view)?;
            Ok(unmoved)
        };
        self.timings.add("align", false, start.elapsed(), 0);
        Ok(found)
    }

    fn accumulate(&mut self, homography: &Mat3) -> Result<()> {
        let Shape { width, height, channels, .. } = self.setup.shape;
        let white = self.setup.white;
        self.stacked += 1;
        let pose = acc::Pose::new(homography, width, height);
        let signed = self.plan.mode == Mode::Signed;
        // `mean` takes no pedestal, the others do: rules that differ in it go in passes of their own.
        for (pedestal, counted) in [(if signed { PEDESTAL * white } else { 0.0 }, false), (0.0, true)] {
            let alike = |m: Method| !signed && !counted || signed && m.coverage() == counted;
            let chosen: Vec<Method> = self.states.iter().map(|s| s.method).filter(|m| alike(*m)).collect();
            for slots in chosen.chunks(acc::SLOTS) {
                let mut op = [0; acc::SLOTS];
                op.iter_mut().zip(slots).for_each(|(o, m)| *o = *m as u32);
                let p = AccumulateParams {
                    row0: 0,
                    rows: 0,
                    width: width as u32,
                    height: height as u32,
                    stride: stride(width) as u32,
                    store: self.plan.format.store as u32,
                    slots: slots.len() as u32,
                    unit: self.plan.format.unit,
                    n: self.stacked as f32,
                    white,
                    pedestal,
                    op,
                    pad: [0; 3],
                    pose,
                };
                for c in 0..channels {
                    let states = self
                        .states
                        .iter_mut()
                        .filter(|s| slots.contains(&s.method))
                        .map(|s| &mut s.planes[c]);
                    accumulate(&mut self.backend, &p, &self.planes[c], self.coverage.as_ref(), states)?;
                }
            }
        }
        let Some(counts) = &mut self.coverage else { return Ok(()) };
        let p = CoverageParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            pad: [0; 3],
            pose,
        };
        coverage(&mut self.backend, &p, counts)
    }

    /// Time spent so far: kernels and the engine's own stages.
    pub fn timings(&mut self) -> Timings {
        let mut all = self.backend.timings().clone();
        all.merge(&self.timings);
        all
    }
}
