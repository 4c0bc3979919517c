//! Work that runs on whichever backend is chosen.

use crate::backend::cpu::Cpu;
use crate::backend::{Backend, Choice, Opened, open_keeping};
use crate::cache_dir::cache_dir;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::session::{self, Plan};
use crate::signals::Signals;
use crate::stack::stack;
use std::sync::atomic::Ordering;

/// Work for a backend, which may be tried on another where the first fails.
pub trait Work {
    /// Does it on `backend`, chosen for the reason `why`.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device fails; others that no other backend would mend.
    fn on<B: Backend>(&self, backend: B, why: &str, signals: &Signals) -> Result<()>;
}

/// A folder is stacked.
pub struct Stack<'a>(pub &'a Config);

impl Work for Stack<'_> {
    fn on<B: Backend>(&self, backend: B, why: &str, signals: &Signals) -> Result<()> {
        stack(self.0, backend, why, &signals.stop)
    }
}

impl Work for Plan {
    fn on<B: Backend>(&self, backend: B, why: &str, signals: &Signals) -> Result<()> {
        session::run(self, backend, why, signals)
    }
}

/// Does `work` on the backend that `config` asks for; under `auto`, where the GPU fails on the way, on the CPU: frames are
/// still there, and a session goes on from its disk.
///
/// # Errors
/// [`Error::Backend`] where it cannot be had; as [`Work::on`].
pub fn start(config: &Config, work: &impl Work, signals: &Signals) -> Result<()> {
    match open_keeping(config.backend, config.adapter.as_deref(), config.timings, cache_dir().as_deref())? {
        Opened::Cpu(why) => work.on(Cpu::default(), &why, signals),
        Opened::Gpu(gpu, why) => carry_on(config, work, (*gpu, &why), signals),
    }
}

/// Does `work` on `first`, and where that fails, as [`start`] has it, on the CPU.
///
/// # Errors
/// As [`start`].
pub fn carry_on<B: Backend>(
    config: &Config,
    work: &impl Work,
    (first, why): (B, &str),
    signals: &Signals,
) -> Result<()> {
    match work.on(first, why, signals) {
        Err(Error::Gpu(e)) if config.backend == Choice::Auto && !signals.stop.load(Ordering::Relaxed) => {
            work.on(Cpu::default(), &format!("the GPU failed: {e}"), signals)
        }
        done => done,
    }
}
