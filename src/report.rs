//! What the user sees while frames are stacked: a progress bar, plain lines, or JSON events.

use crate::backend::DeviceInfo;
use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Version of the events: it rises when a field changes its meaning or goes; new events and fields may come without.
pub const EVENTS: u64 = 1;

/// Lines that wait for a reader who does not read: then the oldest is old news, and new ones are left out.
const UNREAD: usize = 10_000;
/// In the end the reader is given so long.
const GOODBYE: Duration = Duration::from_secs(2);

/// Standard output, written on a thread of its own: who reads it and stops must not stop the stack.
struct Aside {
    send: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    fn new() -> Aside {
        let (send, receive) = sync_channel::<String>(UNREAD);
        let write = move || receive.into_iter().for_each(|line| drop(writeln!(std::io::stdout(), "{line}")));
        Aside { send: Some(send), thread: Some(std::thread::spawn(write)) }
    }

    fn say(&self, line: String) {
        if let Some(send) = &self.send {
            let _ = send.try_send(line);
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.send = None;
        let until = Instant::now() + GOODBYE;
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How a run reports.
pub struct Report {
    json: bool,
    bar: Option<ProgressBar>,
    /// Where a session speaks.
    aside: Option<Aside>,
    total: usize,
    start: Instant,
    /// Frames stacked so far.
    pub stacked: usize,
    /// Frames rejected so far.
    pub rejected: usize,
    /// Why the last frame was rejected, if it was.
    pub last_reason: Option<String>,
    /// Frames are counted, nothing is said of them.
    pub quiet: bool,
}

impl Report {
    /// For `total` frames; JSON events on stdout if `json`, a bar if stderr is a terminal, else lines.
    #[must_use]
    pub fn new(total: usize, json: bool) -> Report {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total as u64);
            let shape = "{bar:30} {pos}/{len} frames  {rate}  {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style.with_key(
                    "rate",
                    |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                        let _ = write!(out, "{:.1} frames/s", state.per_sec());
                    },
                ));
            }
            bar
        });
        Report {
            json,
            bar,
            aside: None,
            total,
            start: Instant::now(),
            stacked: 0,
            rejected: 0,
            last_reason: None,
            quiet: false,
        }
    }

    /// For frames of which nobody knows how many there will be: no bar.
    #[must_use]
    pub fn live(json: bool) -> Report {
        Report { bar: None, aside: Some(Aside::new()), ..Report::new(0, json) }
    }

    /// A JSON event, if that is how the run reports. A closed pipe is no reason to lose the night.
    pub fn event(&self, name: &str, mut fields: Value) {
        // Of what is done again nothing is told, but for what the user must know.
        if self.json && (!self.quiet || name == "warning") {
            fields["event"] = json!(name);
            fields["seconds"] = json!(self.start.elapsed().as_secs_f64());
            fields["time"] = json!(crate::session::clock());
            self.print(fields.to_string());
        }
    }

    /// A line for people, on stdout.
    pub fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        match (&self.bar, self.json) {
            (_, true) => {}
            (Some(bar), _) if std::io::stdout().is_terminal() && !bar.is_finished() => bar.println(text),
            _ => self.print(text.to_owned()),
        }
    }

    fn print(&self, line: String) {
        match &self.aside {
            Some(aside) => aside.say(line),
            None => {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
    }

    /// A warning, on stderr (and as an event).
    pub fn warn(&self, text: &str) {
        self.event("warning", json!({ "message": text }));
        let line = format!("livestack: {}", plain(text));
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(line),
            _ => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    /// A frame was stacked.
    pub fn stacked(&mut self, file: &Path, record: &Value) {
        self.stacked += 1;
        self.last_reason = None;
        if self.quiet {
            return;
        }
        self.event("stacked", json!({ "frame": record }));
        let shift = &record["shift_px"];
        let text = format!(
            "{}  {}  stacked  shift {:+.2} {:+.2} px  rotation {:+.4} deg  correlation {:.3}",
            self.count(),
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
        self.last_reason = record["reason"].as_str().map(ToOwned::to_owned);
        if self.quiet {
            return;
        }
        self.event("rejected", json!({ "frame": record }));
        let reason = record["reason"].as_str().unwrap_or_default();
        if let Some(bar) = &self.bar {
            bar.println(format!("{}: rejected: {reason}", name(file)));
        }
        let text = format!("{}  {}  rejected: {reason}", self.count(), name(file));
        self.step(&text);
    }

    /// So many stacked and rejected frames are decided again: they count no more.
    pub fn again(&mut self, stacked: usize, rejected: usize) {
        self.stacked = self.stacked.saturating_sub(stacked);
        self.rejected = self.rejected.saturating_sub(rejected);
        if let Some(bar) = &self.bar {
            bar.set_position((self.stacked + self.rejected) as u64);
        }
    }

    /// Which frame this is, of how many.
    fn count(&self) -> String {
        let count = self.stacked + self.rejected;
        if self.total > 0 { format!("{count:>4}/{}", self.total) } else { format!("{count:>4}") }
    }

    fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.set_message(format!("{} stacked, {} rejected", self.stacked, self.rejected));
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

/// The adapters, as text or as one JSON line each.
#[must_use]
pub fn devices(list: &[DeviceInfo], json: bool) -> String {
    let mut out = String::new();
    for d in list {
        if json {
            let record = json!({
                "index": d.index, "name": d.name, "kind": d.kind, "backend": d.backend,
                "driver": d.driver, "driver_info": d.driver_info, "binding_bytes": d.binding_bytes,
                "buffer_bytes": d.buffer_bytes, "storage_buffers": d.storage_buffers, "verdict": d.verdict,
            });
            out.push_str(&format!("{record}\n"));
            continue;
        }
        out.push_str(&format!("{}: {} ({}, {})\n", d.index, d.name, d.kind, d.backend));
        out.push_str(&format!("   driver   {} {}\n", d.driver, d.driver_info));
        out.push_str(&format!(
            "   limits   {} MiB a binding, {} MiB a buffer, {} storage buffers a kernel\n",
            d.binding_bytes >> 20,
            d.buffer_bytes >> 20,
            d.storage_buffers
        ));
        out.push_str(&format!("   {}\n", d.verdict));
    }
    if !json {
        let taken = list.iter().any(|d| d.verdict.starts_with("auto takes it"));
        let none = if list.is_empty() { "no graphics adapter was found\n" } else { "" };
        let cpu = if taken { "" } else { "auto uses the CPU\n" };
        out.push_str(&format!("{none}{cpu}"));
    }
    out
}

fn name(path: &Path) -> String {
    plain(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

/// Text for a terminal: a file's name may hold line breaks and worse.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// An answer, on stdout, which is all that the command is for. A closed pipe is the reader's choice.
///
/// # Errors
/// [`Error::Output`] where it cannot be written.
pub fn say(text: &str) -> Result<()> {
    let text = text.trim_end();
    let end = if text.is_empty() { "" } else { "\n" };
    let mut out = std::io::stdout();
    match out.write_all(format!("{text}{end}").as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output(format!("the answer cannot be written to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// The one line about the error that ends the program. Nobody may be listening.
pub fn fail(error: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "livestack: {}", plain(&error.to_string()));
}
