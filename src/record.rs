//! `frames.jsonl`: one line per input frame, and poses read back from it.

use crate::align::Pose;
use crate::align::grade::Grade;
use crate::align::motion::{Mat3, apply, normalise};
use crate::error::{Error, Result};
use crate::frame::Shape;
use crate::kernels::accumulate::FAR;
use crate::photometry::Tone;
use crate::stack::Ledger;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name of the file in the output folder.
pub const NAME: &str = "frames.jsonl";

/// What every record has: the file, the number of its stack, its grade where it has one, and what took how long.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The file.
    pub file: &'a Path,
    /// Number of the stack, from 1.
    pub stack: usize,
    /// The grade.
    pub grade: Option<Grade>,
    /// Milliseconds per stage.
    pub elapsed: Map<String, Value>,
}

impl About<'_> {
    fn record(self, status: &str) -> Value {
        let mut record = json!({
            "file": self.file.to_string_lossy(),
            "status": status,
            "stack": self.stack,
            "elapsed_ms": self.elapsed,
        });
        if let Some(g) = self.grade {
            let size = |v: f64| if v > 0.0 { json!(v) } else { Value::Null };
            record["grade"] = json!({
                "stars": g.stars,
                "fwhm_px": size(g.fwhm),
                "elongation": size(g.elongation),
                "background": g.background,
                "gradient": g.gradient,
                "saturation": g.saturation,
            });
        }
        record
    }
}

/// The record of a stacked frame; `tones` where it was scaled.
#[must_use]
pub fn stacked(about: About, reference: &Path, pose: &Pose, shape: &Shape, tones: Option<&[Tone]>) -> Value {
    let h = &pose.homography;
    let centre = ((shape.width as f64 - 1.0) / 2.0, (shape.height as f64 - 1.0) / 2.0);
    let (u, v) = apply(h, centre.0, centre.1);
    let mut record = about.record("stacked");
    record["reference"] = json!(reference.to_string_lossy());
    record["homography"] = json!(h);
    record["canvas"] = json!([shape.width, shape.height]);
    record["correlation"] = json!(pose.correlation);
    record["iterations"] = json!(pose.iterations);
    record["start"] = json!(pose.start);
    record["model"] = json!(pose.model.name());
    record["gain"] = json!(pose.gain);
    record["shift_px"] = json!([u - centre.0, v - centre.1]);
    record["rotation_deg"] = json!((h[3] - h[1]).atan2(h[0] + h[4]).to_degrees());
    if let Some(tones) = tones {
        let each: Vec<_> = tones.iter().map(|t| json!({ "gain": t.gain, "offset": t.offset })).collect();
        record["scaled"] = json!(each);
    }
    record
}

/// The record of a rejected frame.
#[must_use]
pub fn rejected(about: About, reason: &str) -> Value {
    let mut record = about.record("rejected");
    record["reason"] = json!(reason);
    record
}

/// Writes records, a whole line each. An older file stays until the first frame is stacked, or the run ends: a run that
/// fails at once takes nothing away, and `--poses` may name the file that is written.
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    pending: String,
}

impl Journal {
    /// A journal in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written to.
    pub fn new(folder: &Path) -> Result<Journal> {
        let path = folder.join(NAME);
        let probe = tempfile::Builder::new().prefix(".livestack-").tempfile_in(folder);
        probe.map_err(|e| Error::io("cannot write to the output folder", folder, e.kind().into()))?;
        Ok(Journal { path, file: None, pending: String::new() })
    }

    /// Writes what has been held back.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full.
    pub fn flush(&mut self) -> Result<()> {
        let lines = std::mem::take(&mut self.pending);
        let written = match &mut self.file {
            Some(file) => file.write_all(lines.as_bytes()),
            None => File::create(&self.path).and_then(|mut file| {
                let written = file.write_all(lines.as_bytes());
                self.file = Some(file);
                written
            }),
        };
        written.map_err(|e| Error::io("cannot write the frame records", &self.path, e))
    }
}

impl Ledger for Journal {
    fn add(&mut self, record: &Value, stacked: bool, _counts: bool) -> Result<()> {
        self.pending.push_str(&format!("{record}\n"));
        if stacked || self.file.is_some() { self.flush() } else { Ok(()) }
    }
}

/// A pose that was found: the map, and the number of the stack whose reference it is to.
pub type Placed = (Mat3, u64);

/// What a `frames.jsonl` says of a frame: its pose, or why it was rejected.
pub type Known = std::result::Result<Placed, String>;

/// Poses of frames, by path and by name.
#[derive(Clone, Debug, Default)]
pub struct Poses {
    by_path: HashMap<String, Known>,
    /// Paths that end in a name.
    by_name: HashMap<OsString, Vec<String>>,
    /// CRC-32 of the file.
    crc: u32,
    /// Width and height of the stack, where the file says.
    canvas: Option<(usize, usize)>,
}

/// Largest file of poses that is read, bytes: a line has about 700, a long night some thousand lines.
const MOST_BYTES: u64 = 1 << 28;

impl Poses {
    /// Reads a `frames.jsonl`; of several lines for one file the last counts.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Decode`] naming the line that is no record.
    pub fn read(path: &Path) -> Result<Poses> {
        let cannot = |e| Error::io("cannot read the poses", path, e);
        let about = std::fs::metadata(path).map_err(cannot)?;
        if !about.is_file() || about.len() > MOST_BYTES {
            return Err(Error::decode("no file of poses: expected a frames.jsonl", path));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        let mut out = Poses { crc: crc32fast::hash(text.as_bytes()), ..Poses::default() };
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        for (k, line) in lines.filter(|(_, l)| !l.trim().is_empty()) {
            let (file, known, canvas) = parse(line).map_err(|why| {
                Error::decode(format!("line {} holds no pose: {why}: expected a frames.jsonl", k + 1), path)
            })?;
            let name = Path::new(&file).file_name().unwrap_or(OsStr::new(&file)).to_owned();
            let paths = out.by_name.entry(name).or_default();
            if !paths.contains(&file) {
                paths.push(file.clone());
            }
            out.by_path.insert(file, known);
            out.canvas = canvas.or(out.canvas);
        }
        Ok(out)
    }

    /// CRC-32 of the file.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// Width and height of the stack that the poses were found for, where the file says.
    #[must_use]
    pub fn canvas(&self) -> Option<(usize, usize)> {
        self.canvas
    }

    /// What is known of `path`: the record with that path, else the only one with that name.
    pub fn of(&self, path: &Path) -> Known {
        if let Some(known) = self.by_path.get(path.to_string_lossy().as_ref()) {
            return known.clone();
        }
        // Records hold names as text: what is no text stands there with replacement characters.
        let name = path.file_name().map(|n| OsString::from(n.to_string_lossy().into_owned()));
        match name.and_then(|n| self.by_name.get(&n)).map(Vec::as_slice) {
            Some([one]) => self.by_path.get(one).cloned().unwrap_or_else(|| Err("no pose".into())),
            Some(_) => Err("the file of poses has several frames of this name".into()),
            None => Err("the file of poses does not name this frame".into()),
        }
    }
}

/// Width and height.
type Size = (usize, usize);

fn parse(line: &str) -> std::result::Result<(String, Known, Option<Size>), String> {
    let record: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let file = record["file"].as_str().ok_or("no file name")?.to_owned();
    if record["status"] != "stacked" {
        let reason = record["reason"].as_str().unwrap_or("no reason given");
        return Ok((file, Err(format!("rejected when the poses were found: {reason}")), None));
    }
    let numbers: Option<Vec<f64>> =
        record["homography"].as_array().map(|a| a.iter().map(Value::as_f64).collect()).unwrap_or_default();
    let map: Mat3 = numbers.and_then(|n| n.try_into().ok()).ok_or("homography is not nine numbers")?;
    if !map[8].is_normal() || !map.iter().all(|v| v.is_finite()) {
        return Err("homography is singular".into());
    }
    let side = |k: usize| record["canvas"][k].as_u64().and_then(|px| usize::try_from(px).ok());
    let canvas = side(0).zip(side(1));
    Ok((file, Ok((normalise(&map), record["stack"].as_u64().unwrap_or(1))), canvas))
}

/// Smallest determinant of a pose's linear part, and smallest denominator at a corner, that make sense.
const LEAST: f64 = 1e-3;

/// Largest position, px, before it is divided by the denominator: warping counts whole ones in 32 bits.
const WHOLE: f64 = 1e9;

/// Whether a given pose can be warped with: regular, the horizon outside the frame, the corners not light years away.
#[must_use]
pub fn usable(h: &Mat3, shape: &Shape) -> bool {
    let (w, y) = (shape.width as f64 - 1.0, shape.height as f64 - 1.0);
    let far = f64::from(FAR) / 2.0;
    (h[0] * h[4] - h[1] * h[3]).abs() > LEAST
        && [(0.0, 0.0), (w, 0.0), (0.0, y), (w, y)].iter().all(|&(x, y)| {
            let (u, v) = apply(h, x, y);
            let whole = |k: usize| (h[k] * x).abs() + (h[k + 1] * y).abs() + h[k + 2].abs() < WHOLE;
            h[6] * x + h[7] * y + 1.0 > LEAST && u.abs() < far && v.abs() < far && whole(0) && whole(3)
        })
        && h.iter().all(|v| v.abs() < far)
}
