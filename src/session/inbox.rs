//! Files that other programs hand to a session: `session/inbox/`, a small file each, written whole or not at all.

use crate::error::{Error, Result};
use crate::io;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Name of the folder in the session's.
const NAME: &str = "inbox";
/// What a request ends in.
const END: &str = ".json";

/// The folder of requests in the session's `folder`.
pub(crate) fn place(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Leaves a request for `files` in the session in `folder`; returns its path.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn put(folder: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let inbox = place(folder);
    std::fs::create_dir_all(&inbox).map_err(|e| Error::io("cannot write to the session", &inbox, e))?;
    let stamp = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let path = inbox.join(format!("{stamp:024}-{}{END}", std::process::id()));
    let files: Vec<_> = files.iter().map(|f| super::journal::hex(f)).collect();
    io::write_text(&path, &format!("{}\n", json!({ "files": files })))?;
    let synced = std::fs::File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("cannot write to the session", &path, e))?;
    Ok(path)
}

/// The requests that wait, oldest first: each with its files.
pub(crate) fn look(folder: &Path) -> Vec<(PathBuf, Vec<PathBuf>)> {
    let Ok(entries) = std::fs::read_dir(place(folder)) else { return Vec::new() };
    let whole = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(END) && !name.starts_with('.')
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(whole).collect();
    paths.sort();
    paths
        .into_iter()
        // What cannot be read now stays for later, what is no request for whoever put it there.
        .filter_map(|path| read(&path).map(|files| (path, files)))
        .collect()
}

fn read(path: &Path) -> Option<Vec<PathBuf>> {
    let v: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    v["files"].as_array()?.iter().map(|f| super::journal::from_hex(f.as_str()?)).collect()
}
