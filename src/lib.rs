//! livestack

pub mod align;
pub mod backend;
pub mod cli;
pub mod config;
pub mod decode;
pub mod engine;
pub mod error;
pub mod frame;
pub mod inputs;
pub mod io;
pub mod kernels;
pub mod master;
pub mod memory;
pub mod outputs;
pub mod picture;
pub mod record;
pub mod report;
pub mod rules;
pub mod stack;
pub mod timing;
