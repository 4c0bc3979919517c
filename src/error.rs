//! What can go wrong, what became of a frame, and the exit codes.

use std::path::{Path, PathBuf};

/// An error of the library: one line, lower case, `what failed: expected and got: what to do: path`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read from or written to the disk.
    #[error("{what}: {source}: {}", path.display())]
    Io {
        /// What was being done, for instance `cannot read the frame`.
        what: String,
        /// The system's own words.
        source: std::io::Error,
        /// The file concerned.
        path: PathBuf,
    },
    /// A file was read but is damaged, or holds something that livestack does not take.
    #[error("{what}: {}", path.display())]
    Decode {
        /// What is wrong with it, and what to do.
        what: String,
        /// The file concerned.
        path: PathBuf,
    },
    /// Frames that cannot go together: size, channels or sample type differ.
    #[error("{what}: {}", path.display())]
    Mismatch {
        /// Expected and got.
        what: String,
        /// The file concerned.
        path: PathBuf,
    },
    /// A folder that the user named, or a default one, does not exist.
    #[error("{what} folder does not exist: name it on the command line or create it: {}", path.display())]
    NoFolder {
        /// `input` or `dark`.
        what: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// There is no session to go on with.
    #[error("{what}: {}", path.display())]
    NoSession {
        /// What was expected, and what to do.
        what: String,
        /// The folder.
        path: PathBuf,
    },
    /// Another program holds the session, or it was begun with other settings.
    #[error("{what}: {}", path.display())]
    InUse {
        /// Who holds it or what differs, and what to do.
        what: String,
        /// The session.
        path: PathBuf,
    },
    /// Settings that contradict each other or are out of range.
    #[error("{0}")]
    Usage(String),
    /// The backend asked for cannot be used here.
    #[error("{0}")]
    Backend(String),
    /// The GPU failed while at work (device lost, out of memory).
    #[error("{0}")]
    Gpu(String),
    /// What is to be done does not fit in memory.
    #[error("{0}")]
    Memory(String),
    /// The normal equations cannot be solved: flat field, or too few stars.
    #[error("alignment equations are singular: too few stars or a flat field")]
    Singular,
    /// A session ended, and something of it could not be written.
    #[error("{0}")]
    Output(String),
    /// Not one frame could be stacked.
    #[error("{0}")]
    NothingStacked(String),
    /// Ctrl-C came before there was a result.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(what: impl Into<String>, path: &Path, source: std::io::Error) -> Self {
        Error::Io { what: what.into(), source, path: path.to_owned() }
    }

    /// An [`Error::Decode`] about `path`.
    pub fn decode(what: impl Into<String>, path: &Path) -> Self {
        Error::Decode { what: what.into(), path: path.to_owned() }
    }

    /// The exit code of the program when this error ends it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => exit::USAGE,
            Error::Backend(_) | Error::Gpu(_) => exit::BACKEND,
            Error::NoFolder { .. } | Error::NoSession { .. } => exit::NO_FOLDER,
            Error::InUse { .. } => exit::IN_USE,
            Error::Stopped(_) => exit::INTERRUPTED,
            _ => exit::FAILED,
        }
    }
}

/// Result with the library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Exit codes of the program, listed in `--help` and the README.
pub mod exit {
    /// Done, even if single frames were rejected, also after Ctrl-C.
    pub const DONE: u8 = 0;
    /// Nothing could be stacked, an output failed, or the night does not fit in memory.
    pub const FAILED: u8 = 1;
    /// Wrong usage of the command line.
    pub const USAGE: u8 = 2;
    /// The backend asked for cannot be used.
    pub const BACKEND: u8 = 3;
    /// A folder, or the session, does not exist.
    pub const NO_FOLDER: u8 = 4;
    /// The session is in use, or was begun with other settings.
    pub const IN_USE: u8 = 5;
    /// A second Ctrl-C ended the program at once, or the first one `bench`, which has no result then: 128 + SIGINT.
    pub const INTERRUPTED: u8 = 130;
}
