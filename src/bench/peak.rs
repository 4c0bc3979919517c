//! The most memory that the program has held since a moment of one's choice: see [`crate::memory::peak`].

use std::fs;

/// What the kernel is told so that it forgets the peak. Source: proc_pid_clear_refs(5).
const FORGET: &str = "5";

/// Begins to watch for the peak anew, where the system allows; else it is that since the start.
pub(super) fn forget() {
    // A peak that is not forgotten is an upper bound.
    let _ = fs::write("/proc/self/clear_refs", FORGET);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::memory::peak;

    #[test]
    fn memory_that_was_touched_shows() {
        const BLOCK: usize = 64 << 20;
        forget();
        let block = vec![1_u8; BLOCK];
        assert!(std::hint::black_box(&block).iter().all(|b| *b == 1));
        assert!(peak() >= Some(BLOCK as u64));
    }
}
