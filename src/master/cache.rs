//! Where ready masters are kept, so that a second start need not read the frames again.
use std::path::{Path, PathBuf};
pub fn key(files: &[PathBuf], rule: &str, extra: &str) -> String {
    let _ = (files, rule, extra);
    String::new()
}
pub fn cached_path(folder: &Path, cache: Option<&Path>, what: &str, key: &str) -> PathBuf {
    let _ = cache;
    folder.join(format!("{what}-{key}.fits"))
}
