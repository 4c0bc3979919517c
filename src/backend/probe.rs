//! Which device runs the kernels: the choice, the start-up self-test, the list of adapters.

use super::cpu::Cpu;
use super::gpu::{Gpu, Options};
use super::{Backend, caps};
use crate::error::{Error, Result};
use crate::kernels::cases::{Case, Probe, compare, outputs};
use std::path::Path;
use weigh::{Figures, Key};
use wgpu::{Adapter, AdapterInfo, DeviceType};

mod kept;
mod quick;
mod weigh;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A real GPU that passes the self-test and, where its kind does not say so, is measured to be faster, else the CPU.
    #[default]
    Auto,
    /// A GPU, a software one too, or an error.
    Gpu,
    /// The CPU; no graphics driver is touched.
    Cpu,
}

/// An opened backend, and why it was chosen.
#[derive(Debug)]
pub enum Opened {
    /// The GPU.
    Gpu(Box<Gpu>, String),
    /// The CPU.
    Cpu(String),
}

impl Opened {
    /// The line for the user.
    #[must_use]
    pub fn note(&self) -> &str {
        match self {
            Opened::Gpu(_, note) | Opened::Cpu(note) => note,
        }
    }
}

/// An adapter of this machine.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Number that `--adapter` takes.
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_info: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `unknown`.
    pub kind: &'static str,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Bytes that one binding may cover.
    pub binding_bytes: u64,
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Storage buffers that bind at once.
    pub storage_buffers: u32,
    /// What `auto` does with it, and why.
    pub verdict: String,
}

/// Every adapter of this machine, in the order in which they are tried. Runs the self-test on real GPUs, and measures anew
/// those that are measured.
#[must_use]
pub fn devices() -> Vec<DeviceInfo> {
    let mut taken = false;
    caps::adapters()
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            let verdict = match trial(adapter, Choice::Auto, false, None) {
                Ok(_) if taken => "usable: self-test passed, auto takes one before it".to_owned(),
                Ok(_) => match worth(&info, kept::file().as_deref(), true, || measure(adapter)) {
                    Ok(why) => {
                        taken = true;
                        format!("auto takes it: it {why}")
                    }
                    Err(why) => format!("auto refuses it: it {why}"),
                },
                Err(why) => format!("auto refuses it: {why}"),
            };
            DeviceInfo {
                index,
                name: info.name,
                driver: info.driver,
                driver_info: info.driver_info,
                kind: caps::kind(info.device_type),
                backend: info.backend.to_string(),
                binding_bytes: limits.max_storage_buffer_binding_size,
                buffer_bytes: limits.max_buffer_size,
                storage_buffers: limits.max_storage_buffers_per_shader_stage,
                verdict,
            }
        })
        .collect()
}

/// Opens what `choice` asks for. `name`: part of an adapter's name in any case, or its index. `timings`: measure
/// each kernel on the device.
///
/// # Errors
/// [`Error::Backend`] where a GPU is wanted and none can be used, or where no adapter is called `name`.
pub fn open(choice: Choice, name: Option<&str>, timings: bool) -> Result<Opened> {
    open_keeping(choice, name, timings, None)
}

/// The same, with compiled kernels kept in the folder `kept`.
///
/// # Errors
/// As [`open`].
pub fn open_keeping(
    choice: Choice,
    name: Option<&str>,
    timings: bool,
    kept: Option<&Path>,
) -> Result<Opened> {
    if choice == Choice::Cpu {
        return Ok(Opened::Cpu("as asked for".to_owned()));
    }
    let tried = first(name, |adapter| {
        let info = adapter.get_info();
        let gpu = trial(adapter, choice, timings, kept).map_err(|why| format!("{}: {why}", info.name))?;
        if choice == Choice::Gpu {
            return Ok((gpu, "as asked for".to_owned()));
        }
        match worth(&info, kept::file().as_deref(), false, || measure(adapter)) {
            Ok(why) => Ok((gpu, format!("it {why}"))),
            Err(why) => Err(format!("{} GPU {} {why}", caps::kind(info.device_type), info.name)),
        }
    })?;
    match tried {
        Ok((gpu, why)) => Ok(Opened::Gpu(Box::new(gpu), why)),
        Err(why) if choice == Choice::Gpu => Err(Error::Backend(format!("{why}: {}", remedy()))),
        Err(why) => Ok(Opened::Cpu(why)),
    }
}

/// Looks whether there is an adapter, called `name` if any is named, and opens none.
///
/// # Errors
/// [`Error::Backend`] where there is none.
pub(crate) fn listed(name: Option<&str>) -> Result<()> {
    let adapters = caps::adapters();
    match name {
        Some(name) => named(adapters, name).map(drop),
        None if adapters.is_empty() => Err(Error::Backend(format!("{NONE}: {}", remedy()))),
        None => Ok(()),
    }
}

/// The first adapter that `choice` admits and that passes the self-test, however fast it is; or why there is none.
///
/// # Errors
/// [`Error::Backend`] where no adapter is called `name`.
pub(crate) fn usable(
    choice: Choice,
    name: Option<&str>,
) -> Result<std::result::Result<(Adapter, Gpu), String>> {
    first(name, |adapter| match trial(adapter, choice, false, None) {
        Ok(gpu) => Ok((adapter.clone(), gpu)),
        Err(why) => Err(format!("{}: {why}", adapter.get_info().name)),
    })
}

/// The first adapter, of those called `name` if any, that `take` takes; or why it took none.
fn first<T>(
    name: Option<&str>,
    mut take: impl FnMut(&Adapter) -> std::result::Result<T, String>,
) -> Result<std::result::Result<T, String>> {
    let adapters = caps::adapters();
    let candidates = match name {
        None => adapters,
        Some(name) => named(adapters, name)?,
    };
    let mut refused = Vec::new();
    for adapter in &candidates {
        match take(adapter) {
            Ok(taken) => return Ok(Ok(taken)),
            Err(why) => refused.push(why),
        }
    }
    Ok(Err(match refused.as_slice() {
        [] => NONE.to_owned(),
        all => all.join("; "),
    }))
}

/// What `auto` makes of an adapter that passed the self-test: why it is taken, or why not; what follows "it". What was
/// measured is measured again.
pub(crate) fn auto_says(adapter: &Adapter) -> std::result::Result<String, String> {
    let info = adapter.get_info();
    match info.device_type {
        DeviceType::Cpu => Err(format!("is {SOFTWARE}")),
        _ => worth(&info, kept::file().as_deref(), true, || measure(adapter)),
    }
}

/// Whether `auto` takes a GPU that passed the self-test: by what is `kept`, and measured only where nothing is; `renew`, where
/// somebody asks about devices: measured again, and kept.
fn worth(
    info: &AdapterInfo,
    kept: Option<&Path>,
    renew: bool,
    measure: impl FnOnce() -> Result<Figures>,
) -> std::result::Result<String, String> {
    if weigh::obvious(info.device_type) {
        return Ok("passed the self-test".to_owned());
    }
    let found = weigh::figures(&Key::of(info), kept, renew, measure);
    weigh::verdict(found.map_err(|e| format!("passed the self-test but could not be measured: {e}"))?)
}

/// The quick measurement, on a device of its own: the one that is used later may be slowed by queries of time.
fn measure(adapter: &Adapter) -> Result<Figures> {
    let mut gpu = Gpu::open(adapter, Options::default())?;
    let gpu_ms = quick::frame_ms(&mut gpu)?;
    // Its memory must be free again before the CPU's buffers are taken: on small boards it is the same.
    drop(gpu);
    Ok(Figures { gpu_ms, cpu_ms: quick::frame_ms(&mut Cpu::default())? })
}

/// Why `auto` passes software adapters by.
const SOFTWARE: &str = "a software adapter, slower than the CPU backend (used with --backend gpu)";

/// Why there is no GPU where there is no adapter.
const NONE: &str = "no GPU with a Vulkan, Metal or DirectX 12 driver was found";

/// What to do where no GPU can be used.
pub(crate) fn remedy() -> &'static str {
    if cfg!(target_os = "linux") {
        "install the GPU's Vulkan driver (Debian and Raspberry Pi OS: mesa-vulkan-drivers) or use --backend cpu"
    } else {
        "install the GPU's driver or use --backend cpu"
    }
}

/// The adapter numbered `name`, or those whose names hold it.
fn named(adapters: Vec<Adapter>, name: &str) -> Result<Vec<Adapter>> {
    let names: Vec<String> = adapters.iter().map(|a| a.get_info().name).collect();
    let chosen = select(&names, name)?;
    Ok(adapters.into_iter().enumerate().filter(|(k, _)| chosen.contains(k)).map(|(_, a)| a).collect())
}

/// Indices of the `names` that `wanted` stands for.
fn select(names: &[String], wanted: &str) -> Result<Vec<usize>> {
    let part = wanted.trim().to_lowercase();
    if part.is_empty() {
        let what =
            "--adapter takes part of an adapter's name, or its number in `livestack devices`: got nothing";
        return Err(Error::Usage(what.to_owned()));
    }
    let chosen: Vec<usize> = match part.parse::<usize>() {
        Ok(k) if k < names.len() => vec![k],
        _ => (0..names.len()).filter(|&k| names[k].to_lowercase().contains(&part)).collect(),
    };
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let there = match names {
        [] => "there is none".to_owned(),
        _ => names.iter().enumerate().map(|(k, n)| format!("{k}: {n}")).collect::<Vec<_>>().join(", "),
    };
    Err(Error::Backend(format!("no adapter is called {wanted}: choose from those there are ({there})")))
}

/// Opens `adapter` if `choice` admits it and it passes the self-test, else says why not.
fn trial(
    adapter: &Adapter,
    choice: Choice,
    timings: bool,
    kept: Option<&Path>,
) -> std::result::Result<Gpu, String> {
    if choice == Choice::Auto && adapter.get_info().device_type == DeviceType::Cpu {
        return Err(SOFTWARE.to_owned());
    }
    if let Some(lack) = caps::shortfall(&adapter.limits()) {
        return Err(lack);
    }
    let options = Options { timings, keep: kept.is_some(), ..Options::default() };
    let mut gpu = Gpu::open(adapter, options).map_err(|e| e.to_string())?;
    if let Some(folder) = kept {
        gpu.keep(folder);
    }
    self_test(&mut gpu).map_err(|e| format!("self-test: {e}"))?;
    gpu.forget_timings();
    Ok(gpu)
}

/// Size of the self-test's frame, px: odd, so that padding and borders are tried.
const TEST_SIZE: (usize, usize) = (17, 13);

/// Runs the vital cases of every kernel on a tiny frame and compares it with its CPU twin.
///
/// # Errors
/// [`Error::Gpu`] naming the kernel, the sample and both values.
pub fn self_test<B: Backend>(backend: &mut B) -> Result<()> {
    macro_rules! each {
        ($($k:ty),*) => { $(test_kernel::<B, $k>(backend)?;)* };
    }
    crate::kernels!(each);
    Ok(())
}

/// The cases that the self-test runs.
fn vital<K: Probe>() -> Vec<Case<K>> {
    K::cases(TEST_SIZE.0, TEST_SIZE.1).into_iter().filter(K::vital).collect()
}

fn test_kernel<B: Backend, K: Probe>(backend: &mut B) -> Result<()> {
    let mut cpu = Cpu::default();
    for case in vital::<K>() {
        let (twin, other) = (outputs(&mut cpu, &case)?, outputs(backend, &case)?);
        if let Some(first) = compare(&case, &twin, &other, 1).first {
            return Err(Error::Gpu(first));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
