//! The most memory that the program has held.

use std::fs;

/// What the kernel is told so that it forgets the peak. Source: proc_pid_clear_refs(5).
const FORGET: &str = "5";

/// Begins to watch for the peak anew, where the system allows; else it is that since the start.
pub(super) fn forget() {
    // A peak that is not forgotten is an upper bound.
    let _ = fs::write("/proc/self/clear_refs", FORGET);
}

/// The most bytes of memory that the program has held at once; `None` where the system does not say.
pub(super) fn bytes() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM` of `/proc/self/status`, bytes.
fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_line_of_the_status() {
        assert_eq!(parse("Name:\tx\nVmHWM:\t    1200 kB\nVmRSS:\t 3 kB\n"), Some(1200 * 1024));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_was_touched_shows() {
        const BLOCK: usize = 64 << 20;
        let block = vec![1_u8; BLOCK];
        assert!(std::hint::black_box(&block).iter().all(|b| *b == 1));
        assert!(bytes() >= Some(BLOCK as u64));
    }
}
