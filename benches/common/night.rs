//! Masters, and an engine for frames like the first, as the `stack` command makes them.

use livestack::align::AlignTo;
use livestack::align::motion::Motion;
use livestack::backend::Backend;
use livestack::engine::{Engine, Setup};
use livestack::error::{Error, Result};
use livestack::frame::Frame;
use livestack::master::{self, Masters, Plan, Wishes};
use livestack::rules::Method;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The master dark of the files `darks`, every one of which must do; none of none.
pub(crate) fn masters(darks: &[PathBuf]) -> Result<Masters> {
    if darks.is_empty() {
        return Ok(Masters::default());
    }
    let mut failed = None;
    let mut left_out = |path: &Path, e: &Error| {
        failed.get_or_insert_with(|| Error::Decode { what: e.to_string(), path: path.to_owned() });
    };
    let setup = master::Setup::new(None);
    let built = master::build(darks, &setup, Vec::new(), &AtomicBool::new(false), &mut left_out)?;
    failed.map_or(Ok(Masters { dark: built.master, ..Masters::default() }), Err)
}

/// An engine that stacks frames like `first` by `methods`.
pub(crate) fn engine<B: Backend>(
    backend: B,
    first: &Frame,
    masters: &Masters,
    methods: &[Method],
) -> Result<Engine<B>> {
    let white = first.white();
    let plan = Plan::new((first.shape, &first.sensor), white, masters, &Wishes::USUAL)?;
    let setup = Setup {
        frame: first.shape,
        shape: plan.canvas,
        white,
        methods: methods.to_vec(),
        align: true,
        motion: Motion::Homography,
        align_to: AlignTo::Previous,
        matrix: first.sensor.matrix,
        tones: false,
    };
    Engine::new(backend, setup, plan).map_err(|refused| refused.why)
}

/// Examines and stacks `frame`; gives a buffer back. A frame that cannot be aligned is an error: a night of which some
/// frames are left out is another measurement.
pub(crate) fn stack<B: Backend>(engine: &mut Engine<B>, frame: Frame) -> Result<Vec<u32>> {
    let path = frame.path.clone();
    let (examined, buffer) = engine.examine(frame, None)?;
    let pose = examined.pose.clone().map_err(|what| Error::Decode { what, path })?;
    engine.stack(&examined, &pose, false)?;
    Ok(buffer)
}
