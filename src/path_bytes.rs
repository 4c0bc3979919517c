//! Paths in stored values: names that are no text must not keep a night from being stored.
//!
//! `#[serde(with = "path_bytes")]` is for a [`PathBuf`], [`list`] for several, [`paired`] for one beside something else.
//! On Unix a path is its bytes; elsewhere it is text, as far as it is some.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};

/// A path that is stored as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(pub PathBuf);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Stored, D::Error> {
        deserialize(from).map(Stored)
    }
}

/// Stores a path.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    #[cfg(not(unix))]
    let text = path.to_string_lossy();
    #[cfg(not(unix))]
    let bytes = text.as_bytes();
    bytes.serialize(to)
}

/// Reads a path.
///
/// # Errors
/// The deserialiser's.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let bytes = Vec::<u8>::deserialize(from)?;
    #[cfg(unix)]
    let name: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    let name = String::from_utf8_lossy(&bytes).into_owned();
    Ok(PathBuf::from(name))
}

/// For `Vec<PathBuf>`.
pub mod list {
    use super::{Deserialize, Deserializer, PathBuf, Serializer, Stored};

    /// Stores paths.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| Stored(path.clone())))
    }

    /// Reads paths.
    ///
    /// # Errors
    /// The deserialiser's.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Stored>::deserialize(from)?.into_iter().map(|stored| stored.0).collect())
    }
}

/// For `Option<(PathBuf, T)>`.
pub mod paired {
    use super::{Deserialize, Deserializer, PathBuf, Serialize, Serializer, Stored};

    /// Stores what may be there.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer, T: Serialize>(
        pair: &Option<(PathBuf, T)>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        pair.as_ref().map(|(path, beside)| (Stored(path.clone()), beside)).serialize(to)
    }

    /// Reads what may be there.
    ///
    /// # Errors
    /// The deserialiser's.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        from: D,
    ) -> Result<Option<(PathBuf, T)>, D::Error> {
        Ok(Option::<(Stored, T)>::deserialize(from)?.map(|(stored, beside)| (stored.0, beside)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Paths {
        #[serde(with = "super")]
        one: PathBuf,
        #[serde(with = "super::list")]
        several: Vec<PathBuf>,
        #[serde(with = "super::paired")]
        beside: Option<(PathBuf, u8)>,
    }

    #[test]
    fn any_name_survives() {
        #[cfg(unix)]
        let odd: PathBuf =
            <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/a/\xff\n b").into();
        #[cfg(not(unix))]
        let odd = PathBuf::from("c:\\a b");
        for beside in [None, Some((odd.clone(), 7))] {
            let paths = Paths { one: odd.clone(), several: vec![odd.clone(), "x".into()], beside };
            let bytes = postcard::to_stdvec(&paths).expect("stored");
            assert_eq!(postcard::from_bytes::<Paths>(&bytes).expect("read"), paths);
        }
    }
}
