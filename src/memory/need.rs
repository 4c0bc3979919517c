//! What a night takes, in bytes: the one formula, by which nights are refused that would not fit, and which the README
//! states as a table.
//!
//! The host holds frames on their way, the masters until the engine has them, pictures and checkpoints while they are
//! written; the engine holds the frame at hand, what calibrates it, its planes, alignment's gray, and the stacks. On the
//! CPU backend all of it is the program's own memory.

use crate::colours;
use crate::config::Output;
use crate::engine::Setup;
use crate::frame::Shape;
use crate::kernels::tiles;
use crate::kernels::{PlaneFormat, stride};
use crate::master::Plan;
use crate::rules::Method;

/// The program itself, its threads, the star lists and patches of alignment, buffers of files, bytes: what is left of
/// the peaks of small frames (measured on x86-64: 9 to 19 MB).
const FLOOR: u64 = 40 << 20;
/// Frames that are neither decoded ahead nor being decoded: the one at hand, and the one before it until that is done.
const AT_HAND: u64 = 2;
/// Threads that write pictures while the next is made.
const WRITERS: usize = 2;

/// What decides how much memory a night takes, beside [`Setup`] and [`Plan`].
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// Threads that decode.
    pub threads: usize,
    /// Bytes of a file.
    pub file: u64,
    /// Bytes that its decoder holds beside file and frame.
    pub beside: u64,
    /// Bytes of the buffer that a frame is decoded into, where they are more than its samples'.
    pub held: u64,
    /// Bytes of the masters before the engine has them, with what they are copied into on the way.
    pub masters: u64,
    /// The engine's buffers are in memory of the device's own.
    pub apart: bool,
    /// Bytes that the device's driver takes of the host's memory, with the buffers for uploads.
    pub driver: u64,
    /// Formats of the outputs.
    pub outputs: Vec<Output>,
    /// Pictures are turned upright.
    pub turned: bool,
    /// A session: all outputs are made at once, and written while stacking goes on, as is the checkpoint.
    pub live: bool,
    /// Outputs are written between frames, too.
    pub midway: bool,
}

/// A night to be.
#[derive(Clone, Debug)]
pub struct Night {
    habits: Habits,
    frame: Shape,
    canvas: Shape,
    format: PlaneFormat,
    bin: usize,
    dark: u64,
    mosaic: Option<colours::Size>,
    methods: Vec<Method>,
    align: bool,
    tones: bool,
}

impl Night {
    /// Of the engine that `setup` and `plan` make.
    #[must_use]
    pub fn new(setup: &Setup, plan: &Plan, habits: Habits) -> Night {
        Night {
            habits,
            frame: setup.frame,
            canvas: setup.shape,
            format: plan.format,
            bin: plan.bin,
            dark: plan.dark.iter().map(|d| 4 * d.len() as u64).sum(),
            mosaic: plan.mosaic.as_ref().map(colours::Size::of),
            methods: setup.methods.clone(),
            align: setup.align,
            tones: setup.tones,
        }
    }

    /// The same with other rules.
    #[must_use]
    pub fn with(&self, methods: &[Method]) -> Night {
        Night { methods: methods.to_vec(), ..self.clone() }
    }

    /// The same with `--bin 2`; `None` where its canvas is of half size already, or too small.
    #[must_use]
    pub fn halved(&self) -> Option<Night> {
        let canvas = half(&self.frame, &self.canvas)?;
        let (mut bin, mut format, mut mosaic) = (self.bin, self.format, self.mosaic);
        match &mut mosaic {
            Some(size) => size.superpixel = true,
            None => (bin, format) = (2, self.format.of_cells()),
        }
        Some(Night { canvas, bin, format, mosaic, ..self.clone() })
    }

    /// What the engine allocates: frame, dark, mosaic, planes, alignment, stacks, coverage.
    #[must_use]
    pub fn engine(&self) -> u64 {
        let Shape { width, height, channels, .. } = self.canvas;
        let (plane, channels) = ((stride(width) * height) as u64, channels as u64);
        let states = Method::states(&self.methods);
        let stacks = 4 * plane * states.len() as u64 * channels;
        let counts = if states.iter().any(|m| m.coverage()) { 2 * plane } else { 0 };
        let planes = 4 * self.format.words(stride(width), height) as u64 * channels;
        let gray = 2 * plane + tile_bytes(width, height);
        let grays = u64::from(self.align) + u64::from(self.tones);
        let mosaic = self.mosaic.map_or(0, |size| 4 * size.words(&self.frame) as u64);
        self.frame.words() as u64 * 4 + self.dark + mosaic + planes + grays * gray + stacks + counts
    }

    /// Frames and files that are on their way while one is stacked, without the one at hand, which the engine has.
    fn on_the_way(&self) -> u64 {
        let Habits { threads, file, beside, held, .. } = self.habits;
        let (threads, frame) = (threads as u64, self.frame.bytes() as u64);
        let held = held.max(frame);
        // A reference that is replaced is followed by files that are read again, one at a time.
        // The engine counts the samples of the frame at hand, not what its buffer has beyond them.
        (threads + AT_HAND - 1) * held
            + (held - frame)
            + threads * (file + beside)
            + u64::from(self.align) * file
    }

    /// The most that is held at once while a picture of each output is made and written.
    fn pictures(&self) -> u64 {
        let all = self.methods.iter().flat_map(|_| &self.habits.outputs);
        let jobs: Vec<Job> = all.map(|format| Job::new(*format, &self.canvas, self.habits.turned)).collect();
        if !self.habits.live {
            // One is made while those before it are written.
            let window = |k: usize| {
                let before: u64 = jobs[k.saturating_sub(WRITERS)..k].iter().map(|j| j.data + j.writing).sum();
                before + jobs[k].data + jobs[k].making.max(jobs[k].writing)
            };
            return (0..jobs.len()).map(window).max().unwrap_or(0);
        }
        let latest = Job::new(Output::Png, &self.canvas, self.habits.turned);
        let work = jobs.iter().map(|j| j.making.max(j.writing)).max().unwrap_or(0);
        jobs.iter().map(|j| j.data).sum::<u64>() + latest.data + work.max(latest.making)
    }

    /// One plane of a checkpoint.
    fn checkpoint(&self) -> u64 {
        if self.habits.live { 4 * (stride(self.canvas.width) * self.canvas.height) as u64 } else { 0 }
    }

    /// The most that the program has at once in the host's memory: at the beginning, while it stacks, or when it writes
    /// the outputs.
    #[must_use]
    pub fn peak(&self) -> u64 {
        // The stacks are untouched until the masters are gone, and no frame has gone before.
        let beginning = self.on_the_way() + self.habits.masters + self.dark;
        let engine = if self.habits.apart { self.frame.bytes() as u64 } else { self.engine() };
        let aside =
            if self.habits.live || self.habits.midway { self.pictures() + self.checkpoint() } else { 0 };
        let stacking = engine + self.on_the_way() + aside;
        FLOOR + self.habits.driver + beginning.max(stacking).max(engine + self.pictures())
    }
}

/// The canvas of half size; `None` where it is that already, or the frame too small.
fn half(frame: &Shape, canvas: &Shape) -> Option<Shape> {
    let whole = canvas.width == frame.width && canvas.height == frame.height;
    let large = frame.width.min(frame.height) > 1;
    (whole && large).then_some(Shape { width: frame.width / 2, height: frame.height / 2, ..*canvas })
}

/// The table of tiles and the binned plane, bytes.
fn tile_bytes(width: usize, height: usize) -> u64 {
    let tiles = (width.div_ceil(tiles::TILE) * height.div_ceil(tiles::TILE)) as u64;
    tiles * (4 * tiles::RECORD + 2 * tiles::BIN * tiles::BIN) as u64
}

/// What an output takes.
struct Job {
    /// Its samples.
    data: u64,
    /// What is there beside them while they are made.
    making: u64,
    /// And while they are written.
    writing: u64,
}

impl Job {
    fn new(format: Output, canvas: &Shape, turned: bool) -> Job {
        let samples = canvas.samples() as u64;
        let plane = (stride(canvas.width) * canvas.height) as u64;
        let turned = u64::from(turned);
        match format {
            // Made on the device. Compressed it is as large again at most, and stands in memory whole, twice as it grows.
            Output::Png => {
                let data = plane * canvas.channels as u64;
                Job { data, making: data, writing: 2 * data + turned * data }
            }
            Output::Png16 | Output::Tiff16 => {
                let data = 2 * samples;
                // The file's byte order, and what it is compressed to.
                let encoded = if format == Output::Png16 { 2 * data } else { 0 };
                let making = 4 * samples + (4 * plane).saturating_sub(data);
                Job { data, making, writing: encoded + turned * data }
            }
            Output::Tiff | Output::Fits => Job { data: 4 * samples, making: 4 * plane, writing: 0 },
        }
    }
}

/// What to do where `asked` rules do not fit: how many of them do (the first so many), and what half size makes possible,
/// which is asked for as `bin` says; `fits` tells of rules and half size. `None`: nothing fits.
pub fn advice(asked: &[Method], bin: &str, mut fits: impl FnMut(&[Method], bool) -> bool) -> Option<String> {
    let mut most = |from: usize, half: bool| (1..=from).rev().find(|count| fits(&asked[..*count], half));
    let (fewer, half) = (most(asked.len().saturating_sub(1), false), most(asked.len(), true));
    let some = |count: usize| {
        let names: Vec<_> = asked[..count].iter().map(|m| m.name()).collect();
        format!("{count} of the {} rules (--method {})", asked.len(), names.join(","))
    };
    let half = half.map(|count| {
        if count == asked.len() {
            format!("the same at half size ({bin})")
        } else {
            format!("at half size ({bin}) {}", some(count))
        }
    });
    let all: Vec<_> = fewer.map(some).into_iter().chain(half).collect();
    (!all.is_empty()).then(|| all.join(", or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said where so many units are there: a rule takes four, or one at half size.
    fn said(asked: &[Method], units: usize, halves: bool) -> Option<String> {
        advice(asked, "--bin 2", |methods, half| {
            (halves || !half) && methods.len() * if half { 1 } else { 4 } <= units
        })
    }

    #[test]
    fn what_fits_is_said_shortest_first() {
        let some = |text: &str| Some(text.to_owned());
        let four = &Method::SIX[..4];
        let half = "the same at half size (--bin 2)";
        assert_eq!(
            said(four, 15, true),
            some(&format!("3 of the 4 rules (--method add,add2,addmax), or {half}"))
        );
        assert_eq!(said(four, 15, false), some("3 of the 4 rules (--method add,add2,addmax)"));
        assert_eq!(
            said(four, 3, true),
            some("at half size (--bin 2) 3 of the 4 rules (--method add,add2,addmax)")
        );
        assert_eq!(said(&four[..1], 1, true), some(half));
        assert_eq!(said(four, 0, true), None);
        assert_eq!(said(&four[..1], 3, false), None);
    }
}
