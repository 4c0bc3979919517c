//! Whether a night fits in memory, and what would where it does not: said before the first frame is stacked.

use crate::backend::Backend;
use crate::config::Config;
use crate::engine::{Engine, Refused, Setup};
use crate::error::{Error, Result};
use crate::frame::Shape;
use crate::master::Plan;
use crate::memory::need::{Habits, Night, advice};
use crate::rules::Method;

/// What a night takes, and what there is.
pub(super) struct Room {
    night: Night,
    half: Option<Night>,
    /// Bytes that the program may have; `None`: nobody knows.
    all: Option<u64>,
    frame: Shape,
    words: Words,
}

/// What can be advised.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// How half size is asked for, where it can be.
    half: Option<&'static str>,
    /// What to do in a session.
    anew: Option<&'static str>,
}

impl Words {
    /// `resumed`: of a session that was begun before.
    pub(super) fn new(config: &Config, resumed: bool) -> Words {
        // Poses are of one canvas; a mosaic of half size is made by one method.
        let half = match &config.poses {
            Some(_) => None,
            None if config.calibration.demosaic_asked => Some("--bin 2, without --demosaic"),
            None => Some("--bin 2"),
        };
        let anew = config.live.then_some(if resumed {
            "the session is kept: free memory and start it again"
        } else {
            "begin the session anew (--fresh) for other rules or sizes"
        });
        Words { half, anew }
    }
}

impl Room {
    pub(super) fn new<B: Backend>(
        backend: &B,
        (setup, plan): (&Setup, &Plan),
        habits: Habits,
        words: Words,
    ) -> Room {
        let driver = backend.driver(setup.frame.bytes() as u64);
        let night = Night::new(setup, plan, Habits { apart: backend.apart(), driver, ..habits });
        let half = words.half.and_then(|_| night.halved());
        Room { half, night, all: backend.memory(), frame: setup.frame, words }
    }

    /// Whether these rules fit; `half`: at half size.
    pub(super) fn fits(&self, methods: &[Method], half: bool) -> bool {
        let night = if half { self.half.as_ref() } else { Some(&self.night) };
        night.is_some_and(|night| self.all.is_none_or(|all| night.with(methods).peak() <= all))
    }

    /// Bytes that a night with these rules takes.
    pub(super) fn need(&self, methods: &[Method]) -> u64 {
        self.night.with(methods).peak()
    }

    /// What is needed and what is there.
    pub(super) fn lack(&self, methods: &[Method]) -> String {
        let (need, all) = (self.need(methods), self.all.unwrap_or(0));
        format!("need {} MB of {} MB", mb(need), mb(all))
    }

    /// Refuses rules that do not fit.
    ///
    /// # Errors
    /// [`Error::Memory`] with what would.
    pub(super) fn check(&self, methods: &[Method]) -> Result<()> {
        if self.fits(methods, false) {
            return Ok(());
        }
        let rules = match methods {
            [one] => format!("the rule {}", one.name()),
            all => format!("{} rules", all.len()),
        };
        let what = told(advice(methods, self.words.half.unwrap_or_default(), |methods, half| {
            self.fits(methods, half)
        }));
        let anew = self.words.anew.map_or(String::new(), |anew| format!(": {anew}"));
        let lack = self.lack(methods);
        Err(Error::Memory(format!("memory: {rules} over frames of {} {lack}: {what}{anew}", self.frame)))
    }
}

/// The error of an engine that could not be made, with what fits on its device, which is tried.
pub(super) fn refusal<B: Backend>(
    refused: Refused<B>,
    methods: &[Method],
    Words { half, .. }: Words,
    setup: impl Fn(&[Method], Shape) -> Setup,
) -> Error {
    let (again, why) = match refused {
        Refused { again: Some(again), why: why @ (Error::Gpu(_) | Error::Memory(_)) } => (again, why),
        Refused { why, .. } => return why,
    };
    let (mut backend, mut plan) = *again;
    let frame = setup(methods, plan.canvas).frame;
    let mut halved = false;
    let found = advice(methods, half.unwrap_or_default(), |methods, at_half| {
        // Half sizes are asked for last.
        halved = halved || at_half && half.is_some() && plan.halve(&frame);
        at_half == halved && Engine::fits(&mut backend, &setup(methods, plan.canvas), &plan)
    });
    let what = format!("{why}: {}", told(found));
    if matches!(why, Error::Gpu(_)) { Error::Gpu(what) } else { Error::Memory(what) }
}

fn told(found: Option<String>) -> String {
    match found {
        Some(what) => format!("what fits: {what}"),
        None => "nothing fits: stack smaller frames, or where there is more memory".to_owned(),
    }
}

/// Bytes in millions.
pub(super) fn mb(bytes: u64) -> u64 {
    bytes / 1_000_000
}
