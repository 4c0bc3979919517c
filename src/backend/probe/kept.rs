//! The file of measurements in the user's cache folder. It may be missing, damaged or read-only: nothing fails for that.

use super::weigh::{Figures, Key};
use crate::cache_dir::cache_dir;
use crate::io;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file.
const NAME: &str = "backends.json";
/// Version of the file: others are written anew.
const VERSION: u32 = 1;
/// Measurements that are kept; the oldest goes first.
const MOST: usize = 32;

/// The whole file.
#[derive(Deserialize, Serialize)]
struct Kept {
    version: u32,
    measured: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    key: Key,
    figures: Figures,
}

/// The file on this machine, which need not exist; `None` where the user has no cache folder.
pub(super) fn file() -> Option<PathBuf> {
    cache_dir().map(|folder| folder.join(NAME))
}

fn read(file: &Path) -> Vec<Entry> {
    let bytes = io::bytes_of(file).unwrap_or_default();
    match serde_json::from_slice::<Kept>(&bytes) {
        Ok(kept) if kept.version == VERSION => kept.measured,
        _ => Vec::new(),
    }
}

/// What was measured for `key`.
pub(super) fn find(file: &Path, key: &Key) -> Option<Figures> {
    let found = read(file).into_iter().find(|entry| entry.key == *key)?;
    Some(found.figures).filter(Figures::sound)
}

/// Keeps `figures` for `key`, instead of what was known of the adapter under another driver.
pub(super) fn keep(file: &Path, key: &Key, figures: Figures) {
    let mut measured = read(file);
    measured.retain(|entry| !entry.key.same_adapter(key));
    let kept = measured.len().saturating_sub(MOST - 1);
    measured.drain(..kept);
    measured.push(Entry { key: key.clone(), figures });
    let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let (Ok(()), Ok(text)) = (made, serde_json::to_string_pretty(&Kept { version: VERSION, measured })) {
        // Without it the next start measures again.
        let _ = io::write_text(file, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(device: u32) -> Key {
        Key {
            name: "GPU".into(),
            vendor: 1,
            device,
            interface: "vulkan".into(),
            driver: "driver".into(),
            driver_info: "1.0".into(),
            threads: 4,
            program: "0.1.0".into(),
        }
    }

    const FIGURES: Figures = Figures { gpu_ms: 1.5, cpu_ms: 2.5 };

    #[test]
    fn what_is_kept_is_found_by_its_key_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a/b/backends.json");
        assert_eq!(find(&file, &key(1)), None);
        keep(&file, &key(1), FIGURES);
        keep(&file, &key(2), Figures { gpu_ms: 9.0, ..FIGURES });
        assert_eq!(find(&file, &key(1)), Some(FIGURES));
        assert_eq!(find(&file, &key(2)).map(|f| f.gpu_ms), Some(9.0));
        let newer = Key { driver_info: "1.1".into(), ..key(1) };
        assert_eq!(find(&file, &newer), None, "another driver");
        keep(&file, &newer, FIGURES);
        assert_eq!(find(&file, &key(1)), None, "the old driver is gone");
        assert_eq!(find(&file, &newer), Some(FIGURES));
        for device in 0..100 {
            keep(&file, &key(device), FIGURES);
        }
        assert_eq!(read(&file).len(), MOST);
        assert_eq!(find(&file, &key(99)), Some(FIGURES));
        let names: Vec<_> = std::fs::read_dir(dir.path().join("a/b")).expect("a folder").collect();
        assert_eq!(names.len(), 1, "nothing unfinished is left: {names:?}");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("backends.json");
        keep(&file, &key(1), FIGURES);
        let whole = std::fs::read_to_string(&file).expect("a file");
        assert!(whole.contains("2.5"), "{whole}");
        let damaged = [
            String::new(),
            whole[..whole.len() / 2].to_owned(),
            "\u{0}\u{1}".to_owned(),
            "[]".to_owned(),
            "{\"version\": 1}".to_owned(),
            whole.replace("\"version\": 1", "\"version\": 2"),
            whole.replace("2.5", "-2.5"),
            whole.replace("2.5", "0"),
            whole.replace("2.5", "null"),
            whole.replace("2.5", "1e999"),
        ];
        for text in damaged {
            std::fs::write(&file, &text).expect("written");
            assert_eq!(find(&file, &key(1)), None, "{text}");
            keep(&file, &key(1), FIGURES);
            assert_eq!(find(&file, &key(1)), Some(FIGURES), "mended: {text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_fails_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let in_the_way = dir.path().join("livestack");
        std::fs::write(&in_the_way, "a file where the folder should be").expect("written");
        let file = in_the_way.join("backends.json");
        keep(&file, &key(1), FIGURES);
        assert_eq!(find(&file, &key(1)), None);
        let folder = dir.path().join("backends.json");
        std::fs::create_dir(&folder).expect("a folder");
        keep(&folder, &key(1), FIGURES);
        assert_eq!(find(&folder, &key(1)), None);
    }
}
