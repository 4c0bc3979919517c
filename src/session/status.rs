//! What a session is doing, for other programs and terminals: `status.json`, and `livestack status`.

use super::lock::Lock;
use crate::error::{Error, Result};
use crate::{io, session};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// Name of the file in the session's folder.
const NAME: &str = "status.json";
/// A state that is older than this could not be written: it is written every minute at least.
const STALE_S: f64 = 120.0;
const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3600.0;

/// Writes the state.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write(folder: &Path, state: &Value) -> Result<()> {
    io::write_text(&folder.join(NAME), &format!("{state}\n"))
}

/// The state of the session in the output folder `out`, or in its own folder; with `running` and `holder`.
///
/// # Errors
/// [`Error::NoSession`] where there is none.
fn read(out: &Path) -> Result<Value> {
    let folder = session::folder(out);
    let folder = if folder.is_dir() { folder } else { out.to_owned() };
    let text = std::fs::read_to_string(folder.join(NAME)).ok();
    let state = text.and_then(|text| serde_json::from_str(&text).ok()).filter(Value::is_object);
    let mut state: Value = match state {
        Some(state) => state,
        None if folder.join(super::journal::NAME).exists() => Value::Object(serde_json::Map::new()),
        None => {
            return Err(Error::NoSession {
                what: "no session here: expected an output folder of watch or add".into(),
                path: out.to_owned(),
            });
        }
    };
    let holder = Lock::held(&folder);
    state["running"] = holder.is_some().into();
    state["holder"] = holder.map_or(Value::Null, |h| h.to_string().into());
    Ok(state)
}

/// Prints the state of the session in `out`.
///
/// # Errors
/// [`Error::NoSession`] where there is none.
pub fn print(out: &Path, json: bool) -> Result<String> {
    let state = read(out)?;
    Ok(if json { format!("{state}\n") } else { text(&state) })
}

fn text(s: &Value) -> String {
    let mut out = String::new();
    let word = |v: &Value| v.as_str().map(crate::report::plain);
    let running = s["running"].as_bool().unwrap_or(false);
    let ended = s["state"] == "ended";
    let doing = match (running, ended) {
        (true, _) => {
            let state = word(&s["state"]).unwrap_or_else(|| "running".into());
            format!("{state} ({})", word(&s["holder"]).unwrap_or_default())
        }
        (false, true) => "ended".to_owned(),
        (false, false) => "not running: it was cut off, and goes on with the next start".to_owned(),
    };
    let count = |name: &str| s[name].as_u64().unwrap_or(0);
    let age = session::clock() - s["updated"].as_f64().unwrap_or(f64::INFINITY);
    let old = if running && age > STALE_S { format!(", as of {} ago", span(age)) } else { String::new() };
    let _ = writeln!(out, "session    {doing}{old}");
    let _ = writeln!(
        out,
        "frames     {} stacked, {} rejected, {} waiting",
        count("stacked"),
        count("rejected"),
        count("waiting")
    );
    if let Some(exposure) = s["exposure_s"].as_f64().filter(|s| *s > 0.0) {
        let _ = writeln!(out, "exposure   {}", span(exposure));
    }
    if let Some(file) = word(&s["last"]["file"]) {
        let why = word(&s["last"]["reason"]).map_or(String::new(), |why| format!(": {why}"));
        let _ = writeln!(out, "last       {file}  {}{why}", word(&s["last"]["status"]).unwrap_or_default());
    }
    if let Some(reason) = word(&s["last_rejection"]) {
        let _ = writeln!(out, "rejected   {reason}");
    }
    if let Some(ms) = s["latency_ms"]["last"].as_f64() {
        let median = s["latency_ms"]["median"].as_f64().unwrap_or(ms);
        let _ = writeln!(out, "latency    {ms:.0} ms from file to picture (median {median:.0} ms)");
    }
    for (name, field) in
        [("folder", "folder"), ("outputs", "out"), ("backend", "backend"), ("trouble", "trouble")]
    {
        if let Some(value) = word(&s[field]) {
            let _ = writeln!(out, "{name:<10} {value}");
        }
    }
    out
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < MINUTE_S => format!("{s:.1} s"),
        s if s < HOUR_S => format!("{:.1} min", s / MINUTE_S),
        s => format!("{:.2} h", s / HOUR_S),
    }
}
