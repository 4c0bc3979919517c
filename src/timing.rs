//! One span per kernel and host stage; the `--timings` table.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What was spent on one kernel or host stage.
#[derive(Clone, Debug)]
pub struct Span {
    /// Kernel name, or stage name for host work.
    pub name: &'static str,
    /// True for kernels.
    pub kernel: bool,
    /// Times it ran.
    pub calls: u64,
    /// Time in all.
    pub spent: Duration,
    /// Bytes moved through memory in all; 0 where that says nothing.
    pub bytes: u64,
}

/// All spans of a run, in order of first use.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    spans: Vec<Span>,
}

impl Timings {
    /// Adds one call.
    pub fn add(&mut self, name: &'static str, kernel: bool, spent: Duration, bytes: u64) {
        self.part(name, kernel, 1, spent, bytes);
    }

    /// Adds a part of a call of kernel `name`: `first` where it is the call's first.
    pub fn extend(&mut self, name: &'static str, first: bool, spent: Duration, bytes: u64) {
        self.part(name, true, u64::from(first), spent, bytes);
    }

    fn part(&mut self, name: &'static str, kernel: bool, calls: u64, spent: Duration, bytes: u64) {
        match self.spans.iter_mut().find(|s| s.name == name && s.kernel == kernel) {
            Some(s) => {
                s.calls += calls;
                s.spent += spent;
                s.bytes += bytes;
            }
            None => self.spans.push(Span { name, kernel, calls, spent, bytes }),
        }
    }

    /// Runs `f` as host stage `name`.
    pub fn host<R>(&mut self, name: &'static str, f: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = f();
        self.add(name, false, start.elapsed(), 0);
        result
    }

    /// Adds the spans of `other`.
    pub fn merge(&mut self, other: &Timings) {
        for s in &other.spans {
            match self.spans.iter_mut().find(|t| t.name == s.name && t.kernel == s.kernel) {
                Some(t) => {
                    t.calls += s.calls;
                    t.spent += s.spent;
                    t.bytes += s.bytes;
                }
                None => self.spans.push(s.clone()),
            }
        }
    }

    /// The spans.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Milliseconds spent so far in span `name`.
    #[must_use]
    pub fn ms(&self, name: &str) -> f64 {
        self.spans.iter().filter(|s| s.name == name).map(|s| s.spent.as_secs_f64() * 1e3).sum()
    }

    /// The table: calls, ms in all, ms a frame, GB/s (10^9 bytes a second).
    #[must_use]
    pub fn table(&self, frames: u64) -> String {
        let mut out = format!("{:<18}{:>8}{:>12}{:>12}{:>9}\n", "stage", "calls", "ms", "ms/frame", "GB/s");
        for (title, kernel) in [("kernels", true), ("host", false)] {
            if self.spans.iter().any(|s| s.kernel == kernel) {
                let _ = writeln!(out, "{title}");
            }
            for s in self.spans.iter().filter(|s| s.kernel == kernel) {
                let ms = s.spent.as_secs_f64() * 1e3;
                let rate = match s.bytes {
                    0 => "-".to_owned(),
                    b => format!("{:.1}", b as f64 / 1e6 / ms.max(1e-6)),
                };
                let each = ms / frames.max(1) as f64;
                let _ = writeln!(out, "  {:<16}{:>8}{ms:>12.1}{each:>12.2}{rate:>9}", s.name, s.calls);
            }
        }
        out
    }
}
