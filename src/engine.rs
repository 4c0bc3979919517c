//! The engine: the stages of one frame in order, written once for every backend. It owns the buffers.

use crate::align::motion::{IDENTITY, Mat3, Motion};
use crate::align::{AlignTo, Aligner, Glimpse, Pose, View};
use crate::backend::Backend;
use crate::colours::Colours;
use crate::error::{Error, Result};
use crate::frame::{Frame, Shape};
use crate::kernels::calibrate::{CalibrateParams, calibrate};
use crate::kernels::gray::GrayParams;
use crate::kernels::stride;
use crate::master::Plan;
use crate::memory::need;
use crate::photometry::{Photometer, Tone};
use crate::rules::Method;
use crate::timing::Timings;
use std::time::Instant;

mod accumulate;
mod saved;

/// How frames are stacked.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Size, sample type and mosaic of every frame.
    pub frame: Shape,
    /// Size and channels of the stack: see [`Plan::canvas`].
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
    /// From the stack's colours to linear sRGB, for what is shown.
    pub matrix: [f32; 9],
    /// Whether frames of another exposure can be brought to the stack's levels: takes some memory.
    pub tones: bool,
}

/// A frame that lies on the device, calibrated, and what is known of it.
pub struct Examined {
    /// What alignment saw; `None` where nothing is aligned.
    pub view: Option<View>,
    /// The pose, or why there is none. Without a reference it would be one itself: the identity.
    pub pose: std::result::Result<Pose, String>,
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
    colours: Option<Colours<B>>,
    planes: Vec<B::Buffer>,
    coverage: Option<B::Buffer>,
    aligner: Option<Aligner<B>>,
    photometer: Option<Photometer<B>>,
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
    colours: Option<Colours<B>>,
    planes: Vec<B::Buffer>,
    states: Vec<State<B>>,
    coverage: Option<B::Buffer>,
    aligner: Option<Aligner<B>>,
    photometer: Option<Photometer<B>>,
}

fn buffers<B: Backend>(b: &mut B, setup: &Setup, plan: &Plan) -> Result<Buffers<B>> {
    let Shape { width, height, channels, .. } = setup.shape;
    let padded = stride(width);
    let raw = b.alloc("raw frame", setup.frame.words())?;
    let mut dark = Vec::new();
    for words in &plan.dark {
        dark.push(b.alloc("dark", words.len())?);
    }
    let colours = plan.mosaic.as_ref().map(|m| Colours::new(b, &setup.frame, m)).transpose()?;
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
    let photometer = if setup.tones { Some(Photometer::new(b, setup.shape)?) } else { None };
    Ok(Buffers { raw, dark, colours, planes, states, coverage, aligner, photometer })
}

impl<B: Backend> Engine<B> {
    /// Allocates everything that a night needs.
    ///
    /// # Errors
    /// Where the device has not enough memory; backend and plan come back for a smaller setup.
    pub fn new(mut backend: B, setup: Setup, mut plan: Plan) -> std::result::Result<Self, Refused<B>> {
        let Buffers { raw, mut dark, colours, planes, states, coverage, aligner, photometer } =
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
        let mut colours = colours;
        if let (Some(colours), Some(mosaic)) = (&mut colours, &mut plan.mosaic)
            && let Err(why) = colours.list(&mut backend, mosaic)
        {
            return Err(Refused { again: None, why });
        }
        let timings = Timings::default();
        Ok(Engine {
            backend,
            setup,
            states,
            plan,
            raw,
            dark,
            colours,
            planes,
            coverage,
            aligner,
            photometer,
            stacked: 0,
            timings,
        })
    }

    /// Whether the device has room for a setup.
    #[must_use]
    pub fn fits(backend: &mut B, setup: &Setup, plan: &Plan) -> bool {
        buffers(backend, setup, plan).is_ok()
    }

    /// The backend, for another engine.
    #[must_use]
    pub fn into_backend(self) -> B {
        self.backend
    }

    /// The backend, for what it says of itself.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.backend
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

    /// The share of white that pictures show as white: less than 1 where a flat made clipped samples less than that.
    pub(crate) fn top(&self) -> f32 {
        self.plan.top
    }

    /// Whether cells of 2x2 calibrated pixels were averaged.
    pub(crate) fn binned(&self) -> bool {
        self.plan.bin > 1
    }

    /// Puts a frame, which must have the setup's shape, on the device, calibrates it and finds its pose, where none is
    /// `given`. The stack does not change. Gives back a buffer to decode the next frame into.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn examine(&mut self, frame: Frame, given: Option<Mat3>) -> Result<(Examined, Vec<u32>)> {
        debug_assert_eq!(frame.shape, self.setup.frame);
        let black = frame.sensor.black;
        let start = Instant::now();
        let recycled = self.backend.upload(&mut self.raw, frame.words)?;
        self.timings.add("upload", false, start.elapsed(), 0);
        self.calibrate(black)?;
        let examined = match given {
            Some(homography) => Examined { view: None, pose: Ok(Pose::given(homography, "given")) },
            None => self.align()?,
        };
        Ok((examined, recycled))
    }

    /// Stacks the frame that was examined last under `pose`; where the stack is empty, it is the reference. `scaled`:
    /// brought to the reference's levels first. Returns the tone of each channel.
    ///
    /// # Errors
    /// Where the device fails: the stack may then be damaged.
    pub fn stack(&mut self, examined: &Examined, pose: &Pose, scaled: bool) -> Result<Vec<Tone>> {
        let mut tones = vec![Tone::NONE; self.setup.shape.channels];
        if let (Some(aligner), Some(view)) = (&mut self.aligner, &examined.view) {
            let first = self.stacked == 0;
            if first {
                aligner.set_reference(&mut self.backend, view)?;
            } else {
                aligner.accept(&mut self.backend, view, pose)?;
            }
            if let Some(photometer) = self.photometer.as_mut().filter(|_| first || scaled) {
                let (start, frame) = (Instant::now(), (&self.planes[..], self.plan.format, self.setup.white));
                if first {
                    photometer.set_reference(&mut self.backend, frame, view.stars())?;
                } else {
                    tones = photometer.tones(&mut self.backend, frame, &pose.homography, pose.gain)?;
                }
                self.timings.add("photometry", false, start.elapsed(), 0);
            }
        }
        self.accumulate(&pose.homography, &tones)?;
        // The device works while the host waits for the next frame and copies it.
        self.backend.submit()?;
        Ok(tones)
    }

    /// Forgets the stack and its reference.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn restart(&mut self) -> Result<()> {
        self.stacked = 0;
        // The first frame overwrites the stacks; coverage counts.
        if let Some(counts) = &mut self.coverage {
            let words = stride(self.setup.shape.width) / 2 * self.setup.shape.height;
            self.backend.write(counts, &vec![0; words])?;
        }
        Ok(())
    }

    /// What is kept of the frame examined last to know its field again; `None` where nothing is aligned.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn glimpse(&mut self, view: &View) -> Result<Option<Glimpse>> {
        match &mut self.aligner {
            Some(aligner) => aligner.glimpse(&mut self.backend, view).map(Some),
            None => Ok(None),
        }
    }

    fn calibrate(&mut self, black: [f32; 4]) -> Result<()> {
        let Shape { width, height, channels, sample, .. } = self.setup.frame;
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
            flat: u32::from(self.plan.flat),
            bin: self.plan.bin as u32,
            out_stride: stride(width / self.plan.bin) as u32,
            black,
            gain: self.plan.gain,
        };
        let backend = &mut self.backend;
        match (&mut self.colours, &self.plan.mosaic) {
            (Some(colours), Some(mosaic)) => {
                let calibrated = colours.input(&mut self.planes, mosaic);
                calibrate(backend, &p, &self.raw, &self.dark, calibrated)?;
                colours.make(backend, (width, height), mosaic, &mut self.planes)
            }
            _ => calibrate(backend, &p, &self.raw, &self.dark, &mut self.planes),
        }
    }

    fn align(&mut self) -> Result<Examined> {
        let Some(aligner) = &mut self.aligner else {
            return Ok(Examined { view: None, pose: Ok(Pose::given(IDENTITY, "none")) });
        };
        let Shape { width, height, channels, .. } = self.setup.shape;
        let p = GrayParams::new((width, height), channels, self.plan.format, self.setup.white);
        let start = Instant::now();
        let view = aligner.look(&mut self.backend, &p, &self.planes, f64::from(self.setup.white))?;
        let pose = if self.stacked > 0 {
            aligner.align(&mut self.backend, &view)?
        } else {
            match view.shows_too_little() {
                Some(why) => Err(format!("{why}: it cannot be the reference")),
                None => Ok(Pose::given(IDENTITY, "reference")),
            }
        };
        self.timings.add("align", false, start.elapsed(), 0);
        Ok(Examined { view: Some(view), pose })
    }

    /// Bytes that this engine has allocated; the dark, which the device has by now, apart.
    pub(crate) fn allocated(&self) -> u64 {
        need::Night::new(&self.setup, &self.plan, need::Habits::default()).engine()
    }

    /// Time spent so far: kernels and the engine's own stages.
    pub fn timings(&mut self) -> Timings {
        let mut all = self.backend.timings().clone();
        all.merge(&self.timings);
        all
    }
}
