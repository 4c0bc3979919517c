//! Keeps a decoder's panic from ending the program: a damaged frame is one rejected frame.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`guarded`], where a panic is reported as an error instead of printed.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The hook is wrapped once for the whole program.
static WRAP_HOOK: Once = Once::new();

/// Runs `decode`; a panic in it becomes an error and prints nothing. Panics of other threads, and of this one
/// elsewhere, are printed as before.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    wrap_hook();
    let outer = GUARDED.replace(true);
    // What `decode` works on is dropped when it panics, so no half-written state is seen afterwards.
    let result = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    result.unwrap_or_else(|_| Err("decoder panicked: the file is damaged".into()))
}

/// Makes the current thread print no panics, for good: one that a decoder spreads its work on.
pub(super) fn silence_thread() {
    wrap_hook();
    GUARDED.set(true);
}

/// From now on a panic is printed by threads that are not guarded only.
fn wrap_hook() {
    WRAP_HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_guard_ends() {
        let result: Result<(), String> = guarded(|| panic!("bad bytes"));
        assert!(result.expect_err("panicked").contains("decoder panicked"));
        assert!(!GUARDED.get());
        assert_eq!(guarded(|| Ok(7)), Ok(7));
    }
}
