//! The user's folder for what can be made again at any time.

use std::ffi::OsString;
use std::path::PathBuf;

/// Our folder in it.
const OURS: &str = "livestack";

/// `livestack` in the user's cache folder: `$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows
/// `%LOCALAPPDATA%`. `None` where the environment names none. Nothing is made.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    folder(|name| std::env::var_os(name))
}

/// The same with the environment `get`.
fn folder(get: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // The specification has relative paths ignored: they would depend on where the program is started.
    let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |under: &str| absolute("HOME").map(|home| home.join(under));
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        let usual = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        absolute("XDG_CACHE_HOME").or_else(|| home(usual))
    };
    base.map(|base| base.join(OURS))
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests {
    use super::*;

    fn with(xdg: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        folder(|name| match name {
            "XDG_CACHE_HOME" => xdg.map(OsString::from),
            "HOME" => home.map(OsString::from),
            _ => None,
        })
    }

    #[test]
    fn the_environment_says_where() {
        assert_eq!(with(Some("/x"), Some("/h")), Some("/x/livestack".into()));
        assert_eq!(with(None, Some("/h")), Some("/h/.cache/livestack".into()));
        assert_eq!(with(Some("here"), Some("/h")), Some("/h/.cache/livestack".into()), "relative: ignored");
        assert_eq!(with(Some(""), None), None);
        assert_eq!(with(None, Some("here")), None);
    }
}
