//! Collects frames and makes the master of them.

use super::column::{Column, columns};
use super::levels::{Black, each_level, each_sample};
use super::spill::Kept;
use super::{About, Master, MasterRule};
use crate::decode::Wish;
use crate::error::{Error, Result};
use crate::frame::{Frame, SampleType, Shape};
use crate::memory;
use crate::tags::apart;
use rayon::prelude::*;
use std::ops::Range;
use std::path::PathBuf;

/// Bytes of frames that are kept in memory for a median. With five decoded frames of 20 Mpix and 16 bits (200 MB),
/// their files (as much again where nothing is compressed) and the result (80 MB), the program stays under 600 MB.
pub const BUDGET_BYTES: usize = 96 << 20;
/// Bytes of frames that are kept in memory where there is no disk, at most: the program stays under 600 MB then, too.
const MOST_WITHOUT_DISK: usize = 192 << 20;
/// The part of the free memory that may be used where there is no disk.
const FREE_PART: u64 = 4;
/// Most frames of 16 bits whose sum 32 bits hold.
const MOST_WHOLE: usize = (u32::MAX / u16::MAX as u32) as usize;

/// How a master is built.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The rule; `None`: what is usual for the first frame, see [`MasterRule::usual`].
    pub rule: Option<MasterRule>,
    /// A folder on whose disk frames may wait that do not fit in memory (it need not exist yet, nothing stays there);
    /// `None`: the system's temporary folder.
    pub folder: Option<PathBuf>,
    /// Bytes of frames that are kept in memory.
    pub budget: usize,
    /// Bytes of frames that are kept in memory where there is no room on the disk: the files are read several times.
    pub without_disk: usize,
    /// Whether frames may wait on the disk.
    pub disk: bool,
    /// Whether frames of another exposure are taken: flats of the twilight are exposed longer and longer.
    pub any_exposure: bool,
    /// What the files are taken for.
    pub wish: Wish,
}

impl Setup {
    /// A master by `rule`, or by the usual one.
    #[must_use]
    pub fn new(rule: impl Into<Option<MasterRule>>) -> Setup {
        let free = memory::available().map_or(0, |bytes| bytes / FREE_PART);
        Setup {
            rule: rule.into(),
            folder: None,
            budget: BUDGET_BYTES,
            without_disk: usize::try_from(free).unwrap_or(usize::MAX).clamp(BUDGET_BYTES, MOST_WITHOUT_DISK),
            disk: true,
            any_exposure: false,
            wish: Wish::default(),
        }
    }
}

/// Collects frames.
pub struct Builder {
    setup: Setup,
    part: Option<(usize, usize)>,
    made: Option<Made>,
}

/// What is known once there is a frame.
struct Made {
    shape: Shape,
    about: About,
    rule: MasterRule,
    frames: usize,
    /// What the header of the first frame says of how many it was made from.
    master_of: Option<usize>,
    black: Black,
    part: Range<usize>,
    work: Work,
}

enum Work {
    Peak(Vec<f32>),
    Whole(Vec<u32>),
    Real(Vec<f64>),
    Kept(Column, Kept),
}

impl Builder {
    /// A master by `rule`; by what is usual for the first frame where that is `None`.
    #[must_use]
    pub fn new(rule: impl Into<Option<MasterRule>>) -> Self {
        Builder::with(Setup::new(rule))
    }

    /// A master as `setup` says.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        Builder { setup, part: None, made: None }
    }

    /// Only part number `.0` of `.1` of the samples of a median: all of them are kept in memory.
    pub(super) fn part(mut self, number: usize, of: usize) -> Self {
        self.part = Some((number, of));
        self.setup.budget = usize::MAX;
        self
    }

    /// The rule, once a frame has decided it or where it was asked for.
    #[must_use]
    pub fn rule(&self) -> Option<MasterRule> {
        self.made.as_ref().map(|made| made.rule).or(self.setup.rule)
    }

    /// Bytes of the first frame, where there is one.
    pub(super) fn frame_bytes(&self) -> Option<usize> {
        self.made.as_ref().map(|made| made.shape.bytes())
    }

    /// Adds a frame; gives a buffer to decode into back, empty where it is kept.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where its size, mosaic, type, exposure, ISO or gain differs from the first frame's: it is left
    /// out, others can follow. [`Error::Io`] where it fits neither in memory nor on the disk: no master can be made
    /// from these frames in one pass, see [`build`](super::build).
    pub fn push(&mut self, frame: Frame) -> Result<Vec<u32>> {
        match &mut self.made {
            Some(made) => made.check(&frame, self.setup.any_exposure)?,
            none => *none = Some(Made::new(&frame, &self.setup, self.part)),
        }
        match &mut self.made {
            Some(made) => made.add(frame),
            None => Ok(frame.words),
        }
    }

    /// The master; `None` where no frame was added.
    ///
    /// # Errors
    /// [`Error::Io`] where frames that waited on the disk cannot be read back.
    pub fn finish(self) -> Result<Option<Master>> {
        self.made.map(Made::finish).transpose()
    }
}

impl Made {
    fn new(first: &Frame, setup: &Setup, part: Option<(usize, usize)>) -> Made {
        let shape = first.shape;
        let samples = shape.samples();
        let rule = setup.rule.unwrap_or(MasterRule::usual(first.sensor.linear));
        let part = part.map_or(0..samples, |(k, of)| samples * k / of..samples * (k + 1) / of);
        let kept =
            || Kept::new(part.len() * shape.sample.bytes(), setup.budget, setup.folder.clone(), setup.disk);
        let work = match rule {
            MasterRule::PeakMean => Work::Peak(vec![0.0; samples]),
            MasterRule::Mean if shape.sample == SampleType::F32 => Work::Real(vec![0.0; samples]),
            MasterRule::Mean => Work::Whole(vec![0; samples]),
            MasterRule::Median => Work::Kept(Column::Median, kept()),
            MasterRule::Sigma => Work::Kept(Column::Sigma, kept()),
        };
        let (about, black) = (About::of(first, rule), Black::new(shape));
        Made { shape, about, rule, frames: 0, master_of: first.tags.master_of, black, part, work }
    }

    /// Refuses what does not belong to the first frame.
    fn check(&self, frame: &Frame, any_exposure: bool) -> Result<()> {
        let refuse = |what: String| Err(Error::Mismatch { what, path: frame.path.clone() });
        if frame.shape != self.shape {
            return refuse(format!("expected {} as the first frame, got {}", self.shape, frame.shape));
        }
        if frame.sensor.bottom_up != self.about.bottom_up {
            return refuse("its rows are stored the other way up than those of the first frame".into());
        }
        let tags = &frame.tags;
        for (what, first, own, any) in [
            ("an exposure in seconds", self.about.exposure_s, tags.exposure_s, any_exposure),
            ("an ISO speed", self.about.iso, tags.iso, false),
            ("a gain", self.about.gain, tags.gain, false),
        ] {
            if let (Some(first), Some(own), false) = (first, own, any)
                && apart(first, own)
            {
                return refuse(format!("expected {what} of {first} as the first frame, got {own}"));
            }
        }
        Ok(())
    }

    fn add(&mut self, frame: Frame) -> Result<Vec<u32>> {
        let (about, own) = (&mut self.about, About::of(&frame, self.rule));
        about.alike &= same(about.exposure_s, own.exposure_s)
            && same(about.iso, own.iso)
            && same(about.gain, own.gain)
            && about.camera == own.camera
            && about.black == own.black;
        if self.frames == MOST_WHOLE
            && let Work::Whole(sums) = &self.work
        {
            self.work = Work::Real(sums.par_iter().map(|&s| f64::from(s)).collect());
        }
        let words = match &mut self.work {
            Work::Peak(running) if self.frames == 0 => {
                each_level(&frame, running, |m, d| *m = d);
                frame.words
            }
            Work::Peak(running) => {
                each_level(&frame, running, |m, d| *m = if d > *m { (d + *m) / 2.0 } else { *m });
                frame.words
            }
            Work::Whole(sums) => {
                // Whole samples: nothing is lost on the way through f32.
                each_sample(&frame, sums, |s, d| *s += d as u32);
                frame.words
            }
            Work::Real(sums) => {
                each_sample(&frame, sums, |s, d| *s += f64::from(d));
                frame.words
            }
            Work::Kept(_, kept) => kept.push(part_of(frame.words, &self.part, &self.shape))?,
        };
        self.black.push(own.black);
        self.frames += 1;
        Ok(words)
    }

    fn finish(self) -> Result<Master> {
        let n = self.frames as f64;
        let levels = match self.work {
            Work::Peak(running) => running,
            Work::Whole(sums) => means(&sums, &self.black, |s| f64::from(s) / n),
            Work::Real(sums) => means(&sums, &self.black, |s| s / n),
            Work::Kept(what, kept) => {
                let (first, black) = (self.part.start, &self.black);
                let mut out = vec![0.0; self.part.len()];
                match self.shape.sample {
                    SampleType::U8 => {
                        kept.bands(&mut out, |k, f, out| columns::<u8>(what, f, first + k, black, out))?
                    }
                    SampleType::U16 => {
                        kept.bands(&mut out, |k, f, out| columns::<u16>(what, f, first + k, black, out))?
                    }
                    SampleType::F32 => {
                        kept.bands(&mut out, |k, f, out| columns::<f32>(what, f, first + k, black, out))?
                    }
                }
                out
            }
        };
        // A ready master passes through any rule.
        let frames = self.master_of.filter(|_| self.frames == 1).unwrap_or(self.frames);
        Ok(Master { shape: self.shape, levels, frames, about: self.about })
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => !apart(a, b),
        (a, b) => a == b,
    }
}

/// Samples `part` of a frame of `shape`, from the first word on.
fn part_of(mut words: Vec<u32>, part: &Range<usize>, shape: &Shape) -> Vec<u32> {
    if part.len() == shape.samples() {
        return words;
    }
    let size = shape.sample.bytes();
    let mut own = vec![0; (part.len() * size).div_ceil(size_of::<u32>())];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut own);
    let all: &[u8] = bytemuck::cast_slice(&words);
    bytes[..part.len() * size].copy_from_slice(&all[part.start * size..part.end * size]);
    std::mem::swap(&mut words, &mut own);
    words
}

/// Means of sums less the mean black.
fn means<S: Copy + Sync>(sums: &[S], black: &Black, mean: impl Fn(S) -> f64 + Sync) -> Vec<f32> {
    if !black.any() {
        return sums.par_iter().map(|&s| mean(s) as f32).collect();
    }
    let cell = black.mean();
    sums.par_iter()
        .enumerate()
        .map(|(k, &s)| {
            let mut place = [0];
            black.cells(k, &mut place);
            (mean(s) - cell[place[0]]) as f32
        })
        .collect()
}
