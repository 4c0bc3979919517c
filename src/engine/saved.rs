//! The engine's state in a checkpoint: stacks and all that later frames depend on.

use super::{Engine, Setup, State};
use crate::align::AlignTo;
use crate::align::motion::Motion;
use crate::backend::Backend;
use crate::checkpoint::{Reader, Writer};
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::stride;
use crate::rules::Method;
use serde::{Deserialize, Serialize};

/// Names of the sections; those of a stack's planes are [`plane`]'s.
const HEAD: &str = "engine";
/// See [`HEAD`].
const COVERAGE: &str = "coverage";

/// Name of the section with channel `c` of `method`'s stack.
fn plane(method: Method, c: usize) -> String {
    format!("stack {} {c}", method.name())
}

/// What the stacks in a checkpoint are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    frame: Shape,
    shape: Shape,
    white: f32,
    /// The rules that have states of their own, in the rules' order.
    states: Vec<Method>,
    align: bool,
    motion: Motion,
    align_to: AlignTo,
    matrix: [f32; 9],
    tones: bool,
}

impl Head {
    fn of(setup: &Setup) -> Head {
        let Setup { frame, shape, white, methods, align, motion, align_to, matrix, tones } = setup;
        let mut states = Method::states(methods);
        states.sort_unstable();
        Head {
            frame: *frame,
            shape: *shape,
            white: *white,
            states,
            align: *align,
            motion: *motion,
            align_to: *align_to,
            matrix: *matrix,
            tones: *tones,
        }
    }

    /// How `own` differs from it, for the user; `None` where it does not.
    fn differs(&self, own: &Head) -> Option<String> {
        let Head { frame, shape, white, states, align, motion, align_to, matrix, tones } = self;
        let say = |what: &str, held: String, expected: String| {
            Some(format!("the checkpoint's {what} {held}, expected {expected}"))
        };
        let names = |all: &[Method]| all.iter().map(|m| m.name()).collect::<Vec<_>>().join(" ");
        if *frame != own.frame {
            return say("frames are", frame.to_string(), own.frame.to_string());
        }
        if *shape != own.shape {
            return say("stack is", shape.to_string(), own.shape.to_string());
        }
        if *states != own.states {
            return say("rules are", names(states), names(&own.states));
        }
        if white.to_bits() != own.white.to_bits() {
            return say("white is", white.to_string(), own.white.to_string());
        }
        if (align, motion, align_to) != (&own.align, &own.motion, &own.align_to) {
            let text = |align: bool, motion: Motion, to: AlignTo| match align {
                true => format!("{} to {}", motion.name(), format!("{to:?}").to_lowercase()),
                false => "none".to_owned(),
            };
            let expected = text(own.align, own.motion, own.align_to);
            return say("alignment is", text(*align, *motion, *align_to), expected);
        }
        if *tones != own.tones {
            let text = |tones: bool| if tones { "scaled" } else { "as they are" }.to_owned();
            return say("exposures are", text(*tones), text(own.tones));
        }
        (*matrix != own.matrix).then(|| "the checkpoint's colour matrix is another camera's".to_owned())
    }
}

impl<B: Backend> Engine<B> {
    /// Stores the stacks, and everything else that later frames or pictures depend on, between two frames: a frame that
    /// was examined but not stacked is not part of it.
    ///
    /// # Errors
    /// Where the disk is full or the device fails; the engine goes on as if nothing had been.
    pub fn save(&mut self, to: &mut Writer<'_>) -> Result<()> {
        let Engine {
            backend,
            setup,
            states,
            // Made anew from the same files.
            plan: _,
            dark: _,
            // Of one frame only.
            raw: _,
            colours: _,
            planes: _,
            coverage,
            aligner,
            photometer,
            stacked,
            // Starts anew.
            timings: _,
        } = self;
        to.value(HEAD, &(Head::of(setup), *stacked))?;
        let words = stride(setup.shape.width) * setup.shape.height;
        let mut host = vec![0; words];
        for State { method, planes } in states {
            for (c, buffer) in planes.iter().enumerate() {
                backend.read(buffer, &mut host)?;
                host.iter_mut().for_each(|word| *word = word.to_le());
                to.section(&plane(*method, c), bytemuck::cast_slice(&host))?;
            }
        }
        if let Some(counts) = coverage {
            let half = &mut host[..words / 2];
            backend.read(counts, half)?;
            half.iter_mut().for_each(|word| *word = word.to_le());
            to.section(COVERAGE, bytemuck::cast_slice(half))?;
        }
        if let Some(aligner) = aligner {
            aligner.save(to)?;
        }
        match photometer {
            Some(photometer) => photometer.save(to),
            None => Ok(()),
        }
    }

    /// Takes up what [`Engine::save`] stored, on this backend or another; whatever was stacked here before is forgotten.
    /// The engine must have been made with the same setup (which is checked) and a plan from the same masters (which the
    /// caller must know). From here on it does what the other would have done, on the CPU backend bit for bit.
    ///
    /// # Errors
    /// Where the checkpoint is damaged or of another setup: the engine is then as new. Where the device fails.
    pub fn load(&mut self, from: &mut Reader) -> Result<()> {
        let loaded = self.take(from);
        if loaded.is_err() {
            // Where the device fails in this too, the first error says so.
            let _ = self.forget();
        }
        loaded
    }

    /// Forgets all frames, hot spots and all: the engine is as new. For a checkpoint of which another part turns out to be
    /// damaged once [`Engine::load`] is done.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn forget(&mut self) -> Result<()> {
        if let Some(aligner) = &mut self.aligner {
            aligner.forget();
        }
        if let Some(photometer) = &mut self.photometer {
            photometer.forget();
        }
        self.restart()
    }

    fn take(&mut self, from: &mut Reader) -> Result<()> {
        let (head, stacked): (Head, u32) = from.value(HEAD)?;
        if let Some(why) = head.differs(&Head::of(&self.setup)) {
            return Err(from.unlike(why));
        }
        let words = stride(self.setup.shape.width) * self.setup.shape.height;
        let mut host = vec![0; words];
        for State { method, planes } in &mut self.states {
            for (c, buffer) in planes.iter_mut().enumerate() {
                words_into(from, &plane(*method, c), &mut host)?;
                self.backend.write(buffer, &host)?;
            }
        }
        if let Some(counts) = &mut self.coverage {
            words_into(from, COVERAGE, &mut host[..words / 2])?;
            self.backend.write(counts, &host[..words / 2])?;
        }
        if let Some(aligner) = &mut self.aligner {
            aligner.load(&mut self.backend, from)?;
        }
        if let Some(photometer) = &mut self.photometer {
            photometer.load(from, stacked > 0 && self.setup.align)?;
        }
        self.stacked = stacked;
        Ok(())
    }
}

/// Reads section `name` into `words` of this machine's byte order.
fn words_into(from: &mut Reader, name: &str, words: &mut [u32]) -> Result<()> {
    from.section_into(name, bytemuck::cast_slice_mut(words))?;
    words.iter_mut().for_each(|word| *word = u32::from_le(*word));
    Ok(())
}
