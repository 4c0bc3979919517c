//! What the user sees while frames are stacked: a progress bar, plain lines, or JSON events.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

/// How a run reports.
pub struct Report {
    json: bool,
    bar: Option<ProgressBar>,
    total: usize,
    start: Instant,
    /// Frames stacked so far.
    pub stacked: usize,
    /// Frames rejected so far.
    pub rejected: usize,
}

impl Report {
    /// For `total` frames; JSON events on stdout if `json`, a bar if stderr is a terminal, else lines.
    #[must_use]
    pub fn new(total: usize, json: bool) -> Report {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total as u64);
            let shape = "{bar:30} {pos}/{len} frames  {per_sec}  {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style);
            }
            bar
        });
        Report { json, bar, total, start: Instant::now(), stacked: 0, rejected: 0 }
    }

    /// A JSON event, if that is how the run reports. A closed pipe is no reason to lose the night.
    pub fn event(&self, name: &str, mut fields: Value) {
        if self.json {
            fields["event"] = json!(name);
            fields["seconds"] = json!(self.start.elapsed().as_secs_f64());
            let _ = writeln!(std::io::stdout(), "{fields}");
        }
    }

    /// A line for people, on stdout.
    pub fn line(&self, text: &str) {
        match (&self.bar, self.json) {
            (_, true) => {}
            (Some(bar), _) => bar.println(text),
            (None, _) => {
                let _ = writeln!(std::io::stdout(), "{text}");
            }
        }
    }

    /// A warning, on stderr (and as an event).
    pub fn warn(&self, text: &str) {
        self.event("warning", json!({ "message": text }));
        let line = format!("livestack: {text}");
        match &self.bar {
            Some(bar) => bar.println(line),
            None => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    /// A frame was stacked.
    pub fn stacked(&mut self, file: &Path, record: &Value) {
        self.stacked += 1;
        self.event("stacked", json!({ "frame": record }));
        let shift = &record["shift_px"];
        let text = format!(
            "{:>4}/{}  {}  stacked  shift {:+.2} {:+.2} px  rotation {:+.4} deg  correlation {:.3}",
            self.stacked + self.rejected,
            self.total,
            name(file),
            shift[0].as_f64().unwrap_or(0.0),
            shift[1].as_f64().unwrap_or(0.0),
            record["rotation_deg"].as_f64().unwrap_or(0.0),
            record["correlation"].as_f64().unwrap_or(0.0),
        );
        self.step(&text);
    }

    /// A frame was rejected.
    pub fn rejected(&mut self, file: &Path, record: &Value) {
        self.rejected += 1;
        self.event("rejected", json!({ "frame": record }));
        let reason = record["reason"].as_str().unwrap_or_default();
        if let Some(bar) = &self.bar {
            bar.println(format!("{}: rejected: {reason}", name(file)));
        }
        let text =
            format!("{:>4}/{}  {}  rejected: {reason}", self.stacked + self.rejected, self.total, name(file));
        self.step(&text);
    }

    fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{} stacked, {} rejected", self.stacked, self.rejected));
                bar.inc(1);
            }
            None => self.line(text),
        }
    }

    /// The end: removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
