//! Frames of a master that do not fit in memory: an unnamed temporary file.
