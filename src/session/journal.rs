//! `journal.jsonl`: what was decided, a line each, synced before anything else happens. A session is what its journal
//! says; checkpoints only spare the work of doing it again.

use crate::error::{Error, Result};
use crate::watch::Print;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Name of the file in the session's folder.
pub(crate) const NAME: &str = "journal.jsonl";
/// Version of what stands in it.
pub(crate) const VERSION: u64 = 1;

/// No session has so many entries: a larger number is damage.
const MOST_SEQ: u64 = 1 << 48;

/// A frame that was decided.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// The file.
    pub(crate) path: PathBuf,
    /// What the file system said of it.
    pub(crate) print: Print,
    /// CRC-32 of its content; `None` where it could not be read.
    pub(crate) crc: Option<u32>,
    /// It was decided because it arrived; false: again, since the stack began again.
    pub(crate) primary: bool,
    /// Deciding it changed what becomes of later frames.
    pub(crate) counts: bool,
    /// The record of `frames.jsonl`.
    pub(crate) record: Value,
}

impl Decision {
    /// Whether it is in the stack.
    pub(crate) fn stacked(&self) -> bool {
        self.record["status"] == "stacked"
    }

    /// Whether `other` says the same, but for what took how long.
    pub(crate) fn agrees(&self, other: &Decision) -> bool {
        let bare = |d: &Decision| {
            let mut record = d.record.clone();
            if let Some(fields) = record.as_object_mut() {
                fields.remove("elapsed_ms");
            }
            record
        };
        (&self.path, self.primary, self.crc) == (&other.path, other.primary, other.crc)
            && bare(self) == bare(other)
    }
}

/// What a line says.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A session begins.
    Session(Value),
    /// The first frame settled what the rules are where nobody names any.
    Begun(Value),
    /// Files that were there and are left alone.
    Skipped(Vec<(PathBuf, Print)>),
    /// A frame was decided.
    Frame(Box<Decision>),
    /// A new stack was asked for.
    NewStack,
    /// The entries with these numbers count no more.
    Void(u64, u64),
}

/// The file, open for more.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that are known to be good.
    good: u64,
    /// Lines that could not be written yet.
    pending: Vec<u8>,
    /// Number of the last entry.
    pub(crate) seq: u64,
}

/// What a journal holds: numbered entries, and lines that are none.
pub(crate) struct Found {
    pub(crate) journal: Journal,
    pub(crate) entries: Vec<(u64, Entry)>,
    pub(crate) damaged: usize,
}

impl Journal {
    /// Opens the journal in `folder`; an empty one where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read or written.
    pub(crate) fn open(folder: &Path) -> Result<Found> {
        let path = folder.join(NAME);
        let cannot = |e| Error::io("cannot open the journal", &path, e);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let mut pending = Vec::new();
        if bytes.last().is_some_and(|b| *b != b'\n') {
            // Cut while it was written: what follows begins on a line of its own.
            pending.push(b'\n');
        }
        let (entries, damaged) = parse(&bytes);
        let seq = entries.last().map_or(0, |(seq, _)| *seq);
        let journal = Journal { good: bytes.len() as u64, file, pending, seq, path };
        Ok(Found { journal, entries, damaged })
    }

    /// Adds an entry: its number counts from now on, also where the disk does not take it yet.
    ///
    /// # Errors
    /// [`Error::Io`] where it could not be written; it is kept and written with the next.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<u64> {
        self.seq += 1;
        self.pending.extend(format!("{}\n", line(self.seq, entry)).bytes());
        self.flush().map(|()| self.seq)
    }

    /// Writes what is pending and syncs.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing is lost.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.good += self.pending.len() as u64;
                self.pending.clear();
                Ok(())
            }
            Err(e) => {
                // Half a line would spoil the one that follows it.
                if self.file.set_len(self.good).is_err() && self.pending.first() != Some(&b'\n') {
                    self.pending.insert(0, b'\n');
                }
                let _ = self.file.seek(SeekFrom::End(0));
                Err(Error::io("cannot write the journal", &self.path, e))
            }
        }
    }

    /// Whether lines wait for the disk.
    pub(crate) fn behind(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The entries that count, of all of a journal.
pub(crate) fn valid(mut entries: Vec<(u64, Entry)>) -> Vec<(u64, Entry)> {
    let voids: Vec<(u64, u64, u64)> = entries
        .iter()
        .filter_map(|(seq, e)| if let Entry::Void(from, to) = e { Some((*seq, *from, *to)) } else { None })
        .collect();
    // What is said once of a session stays.
    let decided = |e: &Entry| matches!(e, Entry::Frame(_) | Entry::NewStack);
    entries.retain(|(seq, e)| {
        !decided(e) || !voids.iter().any(|(at, from, to)| seq < at && (from..=to).contains(&seq))
    });
    entries
}

/// Files whose decision was declared void, and of which no other followed: they are to be decided anew.
pub(crate) fn undone(all: &[(u64, Entry)]) -> Vec<(PathBuf, Print)> {
    let valid = valid(all.to_vec());
    let stands = |path: &Path| valid.iter().any(|(_, e)| matches!(e, Entry::Frame(d) if d.path == path));
    let mut files: Vec<(PathBuf, Print)> = Vec::new();
    for (_, entry) in all {
        if let Entry::Frame(d) = entry
            && !stands(&d.path)
            && !files.iter().any(|(path, _)| *path == d.path)
        {
            files.push((d.path.clone(), d.print));
        }
    }
    files
}

/// The text of `frames.jsonl`.
pub(crate) fn records(entries: &[(u64, Entry)]) -> String {
    let frames = entries.iter().filter_map(|(_, e)| match e {
        Entry::Frame(d) => Some(format!("{}\n", d.record)),
        _ => None,
    });
    frames.collect()
}

fn parse(bytes: &[u8]) -> (Vec<(u64, Entry)>, usize) {
    let (mut entries, mut damaged, mut last) = (Vec::new(), 0, 0);
    for text in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let entry = serde_json::from_slice::<Value>(text).ok().and_then(|v| read(&v));
        match entry {
            // Numbers rise: another one is no line of this journal.
            Some((seq, entry)) if seq > last && seq < MOST_SEQ => {
                last = seq;
                entries.push((seq, entry));
            }
            _ => damaged += 1,
        }
    }
    (entries, damaged)
}

fn line(seq: u64, entry: &Entry) -> Value {
    let file = |path: &Path, print: &Print| {
        let mut v =
            json!({ "path": path.to_string_lossy(), "size": print.size, "modified_ns": print.modified_ns });
        if path.to_str().is_none() {
            v["path_bytes"] = json!(hex(path));
        }
        v
    };
    match entry {
        Entry::Session(about) => json!({ "seq": seq, "line": "session", "session": about }),
        Entry::Begun(about) => json!({ "seq": seq, "line": "begun", "begun": about }),
        Entry::Skipped(files) => {
            let files: Vec<_> = files.iter().map(|(path, print)| file(path, print)).collect();
            json!({ "seq": seq, "line": "skipped", "files": files })
        }
        Entry::Frame(d) => json!({
            "seq": seq, "line": "frame", "time": super::clock(), "file": file(&d.path, &d.print),
            "crc32": d.crc, "again": !d.primary, "counts": d.counts, "frame": d.record,
        }),
        Entry::NewStack => json!({ "seq": seq, "line": "new-stack", "time": super::clock() }),
        Entry::Void(from, to) => json!({ "seq": seq, "line": "void", "from": from, "to": to }),
    }
}

/// A path that is no text, its bytes in hexadecimal digits.
pub(crate) fn hex(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

/// The path of [`hex`]; `None` where it is none.
pub(crate) fn from_hex(text: &str) -> Option<PathBuf> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8);
    let bytes = text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    #[cfg(unix)]
    let name: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    // Elsewhere it is text, as far as it is some.
    #[cfg(not(unix))]
    let name = String::from_utf8_lossy(&bytes).into_owned();
    Some(PathBuf::from(name))
}

fn read(v: &Value) -> Option<(u64, Entry)> {
    let file = |v: &Value| {
        let odd = v["path_bytes"].as_str().and_then(from_hex);
        let path = odd.or_else(|| v["path"].as_str().map(PathBuf::from))?;
        let modified_ns = v["modified_ns"].as_i64()?;
        Some((path, Print { size: v["size"].as_u64()?, modified_ns }))
    };
    let entry = match v["line"].as_str()? {
        "session" => Entry::Session(v["session"].clone()),
        "begun" => Entry::Begun(v["begun"].clone()),
        "skipped" => Entry::Skipped(v["files"].as_array()?.iter().map(file).collect::<Option<_>>()?),
        "frame" => {
            let (path, print) = file(&v["file"])?;
            let crc = v["crc32"].as_u64().and_then(|c| u32::try_from(c).ok());
            let (primary, counts) = (!v["again"].as_bool()?, v["counts"].as_bool()?);
            Entry::Frame(Box::new(Decision { path, print, crc, primary, counts, record: v["frame"].clone() }))
        }
        "new-stack" => Entry::NewStack,
        "void" => Entry::Void(v["from"].as_u64()?, v["to"].as_u64()?),
        _ => return None,
    };
    Some((v["seq"].as_u64()?, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(name: &str, status: &str) -> Entry {
        Entry::Frame(Box::new(Decision {
            path: name.into(),
            print: Print { size: 5, modified_ns: -7 },
            crc: Some(u32::MAX),
            primary: true,
            counts: true,
            record: json!({ "file": name, "status": status, "x": 0.1, "elapsed_ms": {} }),
        }))
    }

    #[test]
    fn what_is_written_is_read_and_half_a_line_is_none() {
        let folder = tempfile::tempdir().expect("folder");
        let mut found = Journal::open(folder.path()).expect("opens");
        found.journal.add(&Entry::Session(json!({ "id": "a" }))).expect("adds");
        found.journal.add(&decision("a\nb.jpg", "stacked")).expect("adds");
        found.journal.add(&decision("c.jpg", "rejected")).expect("adds");
        found.journal.add(&Entry::Void(3, 3)).expect("adds");
        let path = folder.path().join(NAME);
        let mut text = std::fs::read(&path).expect("reads");
        text.extend(b"{\"seq\":5,\"line\":\"fra");
        std::fs::write(&path, &text).expect("writes");
        let mut found = Journal::open(folder.path()).expect("opens");
        assert_eq!((found.entries.len(), found.damaged, found.journal.seq), (4, 1, 4));
        found.journal.add(&decision("d.jpg", "stacked")).expect("adds");
        let found = Journal::open(folder.path()).expect("opens");
        assert_eq!((found.entries.len(), found.damaged), (5, 1));
        let valid = valid(found.entries);
        let seqs: Vec<_> = valid.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, [1, 2, 4, 5], "the void one is gone, the one after the cut is there");
        assert_eq!(records(&valid).lines().count(), 2);
        let Entry::Frame(d) = &valid[1].1 else { panic!("a frame") };
        assert_eq!(
            (d.path.as_path(), d.print.modified_ns, d.crc),
            (Path::new("a\nb.jpg"), -7, Some(u32::MAX))
        );
    }
}
