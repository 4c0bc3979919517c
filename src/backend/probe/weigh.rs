//! Whether a GPU is worth its while: by its kind where that is plain, else by a measurement that is kept.

use super::kept;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;
use wgpu::{AdapterInfo, DeviceType};

/// What a measurement holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// The adapter's name.
    pub(super) name: String,
    /// Its vendor's number.
    pub(super) vendor: u32,
    /// Its number.
    pub(super) device: u32,
    /// The interface that reaches it.
    pub(super) interface: String,
    /// The driver's name.
    pub(super) driver: String,
    /// The driver's version.
    pub(super) driver_info: String,
    /// Threads of the CPU that it is held against.
    pub(super) threads: usize,
    /// Version of this program: its kernels change.
    pub(super) program: String,
}

impl Key {
    /// Of an adapter of this machine, for this program.
    pub(super) fn of(info: &AdapterInfo) -> Key {
        Key {
            name: info.name.clone(),
            vendor: info.vendor,
            device: info.device,
            interface: info.backend.to_string(),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
            threads: rayon::current_num_threads(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether both are of one adapter, whatever drives it.
    pub(super) fn same_adapter(&self, other: &Key) -> bool {
        let adapter = |k: &Key| (k.vendor, k.device, k.interface.clone(), k.name.clone());
        adapter(self) == adapter(other)
    }
}

/// What was measured: see [`super::quick`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Pixel kernels of one frame on the GPU, ms.
    pub(super) gpu_ms: f64,
    /// The same on the CPU, ms.
    pub(super) cpu_ms: f64,
}

impl Figures {
    /// Whether they can be times.
    pub(super) fn sound(&self) -> bool {
        [self.gpu_ms, self.cpu_ms].iter().all(|ms| ms.is_finite() && *ms > 0.0)
    }
}

/// Whether a GPU of this kind is taken without a measurement.
pub(super) fn obvious(kind: DeviceType) -> bool {
    kind == DeviceType::DiscreteGpu
}

/// Why the GPU is taken, or why not: what follows "it".
pub(super) fn verdict(f: Figures) -> std::result::Result<String, String> {
    if f.gpu_ms < f.cpu_ms {
        return Ok(format!(
            "passed the self-test and is {:.1} times as fast as the CPU here",
            f.cpu_ms / f.gpu_ms
        ));
    }
    Err(format!("passed the self-test but takes {:.1} times as long as the CPU", f.gpu_ms / f.cpu_ms))
}

/// The figures kept in file `kept` for `key`; or those that `measure` finds, which are kept from then on. `renew`: measure
/// in any case. A file that cannot be read or written is done without.
///
/// # Errors
/// As `measure`.
pub(super) fn figures(
    key: &Key,
    kept: Option<&Path>,
    renew: bool,
    measure: impl FnOnce() -> Result<Figures>,
) -> Result<Figures> {
    if let Some(known) = kept.filter(|_| !renew).and_then(|file| kept::find(file, key)) {
        return Ok(known);
    }
    let found = measure()?;
    if let Some(file) = kept.filter(|_| found.sound()) {
        kept::keep(file, key, found);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::cell::Cell;

    fn key() -> Key {
        Key {
            name: "V3D 7.1".into(),
            vendor: 0x14e4,
            device: 0x5502_0001,
            interface: "vulkan".into(),
            driver: "V3DV Mesa".into(),
            driver_info: "Mesa 24.2.8".into(),
            threads: 4,
            program: "0.1.0".into(),
        }
    }

    const SLOW: Figures = Figures { gpu_ms: 51.0, cpu_ms: 30.0 };
    const FAST: Figures = Figures { gpu_ms: 10.0, cpu_ms: 31.0 };

    #[test]
    fn the_faster_one_is_taken_and_the_factor_said() {
        assert_eq!(verdict(FAST), Ok("passed the self-test and is 3.1 times as fast as the CPU here".into()));
        assert_eq!(verdict(SLOW), Err("passed the self-test but takes 1.7 times as long as the CPU".into()));
        assert!(verdict(Figures { gpu_ms: 5.0, cpu_ms: 5.0 }).is_err(), "a GPU that gains nothing");
    }

    #[test]
    fn only_a_discrete_gpu_is_taken_unmeasured() {
        let others = [DeviceType::IntegratedGpu, DeviceType::VirtualGpu, DeviceType::Other, DeviceType::Cpu];
        assert!(obvious(DeviceType::DiscreteGpu));
        assert!(others.iter().all(|kind| !obvious(*kind)));
    }

    #[test]
    fn what_was_measured_is_kept_until_the_driver_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("deep/down/backends.json");
        let runs = Cell::new(0);
        let ask = |key: &Key, renew: bool, figures_now: Figures| {
            figures(key, Some(&file), renew, || {
                runs.set(runs.get() + 1);
                Ok(figures_now)
            })
            .expect("figures")
        };
        assert_eq!((ask(&key(), false, SLOW), runs.get()), (SLOW, 1));
        assert_eq!((ask(&key(), false, FAST), runs.get()), (SLOW, 1), "kept");
        let changes: [fn(&mut Key); 7] = [
            |k| k.driver_info.push('1'),
            |k| k.driver.push('1'),
            |k| k.name.push('1'),
            |k| k.vendor += 1,
            |k| k.device += 1,
            |k| k.threads += 1,
            |k| k.program.push('1'),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = key();
            change(&mut other);
            assert_eq!((ask(&other, false, FAST), runs.get()), (FAST, n + 2), "{other:?}");
            assert_eq!((ask(&other, false, SLOW), runs.get()), (FAST, n + 2), "{other:?}");
        }
        let before = runs.get();
        assert_eq!((ask(&key(), true, FAST), runs.get()), (FAST, before + 1), "renewed");
        assert_eq!((ask(&key(), false, SLOW), runs.get()), (FAST, before + 1), "and kept");
    }

    #[test]
    fn what_fails_or_makes_no_sense_is_not_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("backends.json");
        let failed = figures(&key(), Some(&file), false, || Err(Error::Gpu("lost".into())));
        assert!(failed.is_err() && !file.exists());
        let senseless = Figures { gpu_ms: f64::NAN, cpu_ms: 1.0 };
        assert!(figures(&key(), Some(&file), false, || Ok(senseless)).is_ok() && !file.exists());
        assert!(verdict(senseless).is_err(), "the CPU is taken");
    }
}
