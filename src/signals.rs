//! Signals: the first Ctrl-C, SIGTERM or (but for a live session) SIGHUP asks for an end, the second ends at once.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// To come to an end.
    pub stop: Arc<AtomicBool>,
    /// To begin a new stack.
    pub restart: Arc<AtomicBool>,
}

impl Signals {
    /// Listens. `live`: SIGHUP asks for a new stack, unless it was ignored when the program began, as `nohup` has it.
    ///
    /// # Errors
    /// [`Error::Usage`] where the system does not allow it.
    pub fn listen(live: bool) -> Result<Signals> {
        let signals = Signals::default();
        register(&signals, live)
            .map_err(|e| Error::Usage(format!("Ctrl-C would end the program without writing: {e}")))?;
        Ok(signals)
    }
}

#[cfg(unix)]
fn register(signals: &Signals, live: bool) -> std::io::Result<()> {
    use crate::error::exit;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;

    let ends: &[i32] = if live { &[SIGINT, SIGTERM] } else { &[SIGINT, SIGTERM, SIGHUP] };
    let seen: Vec<Arc<AtomicBool>> = ends.iter().map(|_| Arc::default()).collect();
    for (k, &signal) in ends.iter().enumerate() {
        // Actions run in this order. Two signals at the same instant may be handled by two threads: each says that it is there
        // before it looks for the others, so that one of the two finds the other.
        flag::register_conditional_shutdown(signal, exit::INTERRUPTED.into(), Arc::clone(&seen[k]))?;
        flag::register(signal, Arc::clone(&seen[k]))?;
        for (_, other) in seen.iter().enumerate().filter(|(other, _)| *other != k) {
            flag::register_conditional_shutdown(signal, exit::INTERRUPTED.into(), Arc::clone(other))?;
        }
        flag::register(signal, Arc::clone(&signals.stop))?;
    }
    // A limit on the size of files is a full disk, no reason to die.
    flag::register(SIGXFSZ, Arc::default())?;
    if live && !ignored(SIGHUP) {
        flag::register(SIGHUP, Arc::clone(&signals.restart))?;
    }
    Ok(())
}

/// Whether the program was started with `signal` ignored; false where the system does not say.
#[cfg(unix)]
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(not(unix))]
fn register(signals: &Signals, _live: bool) -> std::io::Result<()> {
    use crate::error::exit;
    use std::sync::atomic::Ordering;

    let seen = Arc::clone(&signals.stop);
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::INTERRUPTED.into());
        }
    };
    ctrlc::set_handler(handler).map_err(std::io::Error::other)
}
