//! The hot folder on a real file system: what a night brings, each with events and by polling.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod folder;
mod scene;
