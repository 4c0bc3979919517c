//! Flags of `bench`.

use super::BackendArg;
use clap::Args;
use std::path::PathBuf;

/// Flags of `bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Size of the generated frames [default: 5472x3648].
    #[arg(long, value_name = "WIDTHxHEIGHT", conflicts_with = "input")]
    pub size: Option<String>,
    /// Frames that are measured, after some that warm up.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub frames: usize,
    /// Accumulation rules, with commas between; all: the first six [default: addcomp].
    #[arg(long, value_name = "LIST")]
    pub method: Option<String>,
    /// Measure with the frames of this folder instead of generated ones.
    #[arg(long, value_name = "DIR")]
    pub input: Option<PathBuf>,
    /// What is measured: auto: the CPU, and a real GPU where there is one; gpu: the same with a software GPU, too, and an
    /// error where there is none; cpu: the CPU alone.
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        hide_possible_values = true,
        value_name = "auto|gpu|cpu"
    )]
    pub backend: BackendArg,
    /// Adapter: part of its name, or its number in `livestack devices`.
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
    /// One JSON object on stdout instead of text.
    #[arg(long)]
    pub json: bool,
}
