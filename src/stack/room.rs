//! Whether a night fits in memory, and what would where it does not: said before the first frame is stacked.

use crate::backend::Backend;
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
    live: bool,
}

impl Room {
    pub(super) fn new<B: Backend>(backend: &B, setup: &Setup, plan: &Plan, habits: Habits) -> Room {
        let live = habits.live;
        let night = Night::new(setup, plan, habits);
        Room { half: night.halved(), night, all: backend.memory(), frame: setup.frame, live }
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
        let what = told(advice(methods, |methods, half| self.fits(methods, half)));
        let anew = if self.live { ": begin the session anew (--fresh) for other rules or sizes" } else { "" };
        let lack = self.lack(methods);
        Err(Error::Memory(format!("memory: {rules} over frames of {} {lack}: {what}{anew}", self.frame)))
    }
}

/// The error of an engine that could not be made, with what fits on its device, which is tried.
pub(super) fn refusal<B: Backend>(
    refused: Refused<B>,
    methods: &[Method],
    setup: impl Fn(&[Method], Shape) -> Setup,
) -> Error {
    let (again, why) = match refused {
        Refused { again: Some(again), why: why @ (Error::Gpu(_) | Error::Memory(_)) } => (again, why),
        Refused { why, .. } => return why,
    };
    let (mut backend, mut plan) = *again;
    let frame = setup(methods, plan.canvas).frame;
    let mut halved = false;
    let found = advice(methods, |methods, half| {
        // Half sizes are asked for last.
        halved = halved || half && plan.halve(&frame);
        half == halved && Engine::fits(&mut backend, &setup(methods, plan.canvas), &plan)
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
