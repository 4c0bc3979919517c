//! `frames.jsonl`: one line per input frame, and poses read back from it.

use crate::align::Pose;
use crate::align::motion::{Mat3, apply, normalise};
use crate::error::{Error, Result};
use crate::frame::Shape;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name of the file in the output folder.
pub const NAME: &str = "frames.jsonl";

/// The record of a stacked frame.
#[must_use]
pub fn stacked(
    file: &Path,
    reference: &Path,
    pose: &Pose,
    shape: &Shape,
    elapsed: Map<String, Value>,
) -> Value {
    let h = &pose.homography;
    let centre = ((shape.width as f64 - 1.0) / 2.0, (shape.height as f64 - 1.0) / 2.0);
    let (u, v) = apply(h, centre.0, centre.1);
    json!({
        "file": file.to_string_lossy(),
        "status": "stacked",
        "stack": 1,
        "reference": reference.to_string_lossy(),
        "homography": h,
        "correlation": pose.correlation,
        "iterations": pose.iterations,
        "start": pose.start,
        "shift_px": [u - centre.0, v - centre.1],
        "rotation_deg": (h[3] - h[1]).atan2(h[0] + h[4]).to_degrees(),
        "elapsed_ms": elapsed,
    })
}

/// The record of a rejected frame.
#[must_use]
pub fn rejected(file: &Path, reason: &str, elapsed: Map<String, Value>) -> Value {
    json!({
        "file": file.to_string_lossy(),
        "status": "rejected",
        "reason": reason,
        "stack": 1,
        "elapsed_ms": elapsed,
    })
}

/// Writes records; each line is complete on disk before the next frame begins.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Starts a new file in `folder`, in place of an older one.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written to.
    pub fn new(folder: &Path) -> Result<Journal> {
        let path = folder.join(NAME);
        let file = File::create(&path).map_err(|e| Error::io("cannot write the frame records", &path, e))?;
        Ok(Journal { path, file })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        let line = format!("{record}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::io("cannot write the frame records", &self.path, e))
    }
}

/// What a `frames.jsonl` says of a frame: its pose, or why it was rejected.
pub type Known = std::result::Result<Mat3, String>;

/// Poses by file name (the last component); of several lines for one file the last counts.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Decode`] naming the line that is no record.
pub fn read_poses(path: &Path) -> Result<HashMap<OsString, Known>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read the poses", path, e))?;
    let mut out = HashMap::new();
    for (k, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let (file, known) = parse(line).map_err(|why| {
            Error::decode(format!("line {} holds no pose: {why}: expected a frames.jsonl", k + 1), path)
        })?;
        out.insert(file, known);
    }
    Ok(out)
}

fn parse(line: &str) -> std::result::Result<(OsString, Known), String> {
    let record: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let file = record["file"].as_str().ok_or("no file name")?;
    let name = Path::new(file).file_name().unwrap_or(OsStr::new(file)).to_owned();
    if record["status"] != "stacked" {
        let reason = record["reason"].as_str().unwrap_or("no reason given");
        return Ok((name, Err(format!("rejected when the poses were found: {reason}"))));
    }
    let numbers: Vec<f64> =
        record["homography"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let map: Mat3 = numbers.try_into().map_err(|_| "homography is not nine numbers")?;
    if map[8] == 0.0 || !map.iter().all(|v| v.is_finite()) {
        return Err("homography is singular".into());
    }
    Ok((name, Ok(normalise(&map))))
}
