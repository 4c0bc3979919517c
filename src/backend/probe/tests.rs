//! Tests of the choice of a device.

use super::*;
use crate::kernels::accumulate::Accumulate;
use crate::kernels::calibrate::{Calibrate, Mode};
use crate::kernels::gray::Gray;
use crate::kernels::{Store, layout};
use crate::rules::Method;
use std::collections::HashSet;

/// Shaders of a kernel that the self-test compiles at most: the user waits.
const SHADERS: usize = 6;

/// Shaders that the vital cases of `K` need.
fn shaders<K: Probe>() {
    let word = |case: &Case<K>, name: &&str| layout::word(&case.params, name);
    let all: HashSet<Vec<_>> =
        vital::<K>().iter().map(|c| K::CHOICES.iter().map(|n| word(c, n)).collect()).collect();
    assert!((1..=SHADERS).contains(&all.len()), "{}: {} shaders", K::NAME, all.len());
}

#[test]
fn the_self_test_compiles_few_shaders_of_every_kernel() {
    macro_rules! each {
        ($($k:ty),*) => { $(shaders::<$k>();)* };
    }
    crate::kernels!(each);
}

#[test]
fn the_self_test_runs_what_a_night_runs() {
    let dark = |c: &Case<Calibrate>| {
        let p = &c.params;
        (p.input, p.channels, p.mode, p.shift) == (Store::U8 as u32, 3, Mode::Fixed as u32, 8)
            && c.reads[1..].iter().all(Option::is_some)
    };
    assert!(vital::<Calibrate>().iter().any(dark), "8-bit colour with a fixed-point dark");
    for store in [Store::U8, Store::U16] {
        let gray = |c: &Case<Gray>| (c.params.store, c.params.channels) == (store as u32, 3);
        assert!(vital::<Gray>().iter().any(gray), "colour planes in {store:?}");
    }
    let states: Vec<u32> = Method::states(Method::ALL).iter().map(|m| *m as u32).collect();
    let sin = 0.3_f64.to_radians().sin() as f32;
    for store in [Store::U16, Store::F32] {
        let stacked = |c: &Case<Accumulate>| {
            let (p, pose) = (&c.params, &c.params.pose);
            p.store == store as u32
                && p.n > 1.0
                && p.op[..p.slots as usize] == states
                && (pose.e10, pose.e01) == (sin, -sin)
                && pose.fu != 0.0
                && pose.fv != 0.0
        };
        assert!(vital::<Accumulate>().iter().any(stacked), "all states of planes in {store:?}");
    }
}

#[test]
fn an_adapter_is_named_by_part_or_number() {
    let names = ["NVIDIA RTX".to_owned(), "llvmpipe".to_owned(), "RTX 2".to_owned()];
    assert_eq!(select(&names, "rtx").ok(), Some(vec![0, 2]));
    assert_eq!(select(&names, "1").ok(), Some(vec![1]));
    assert_eq!(select(&names, "2").ok(), Some(vec![2]));
    let error = select(&names, "arc").err().map(|e| (e.exit_code(), e.to_string())).unwrap_or_default();
    assert_eq!(error.0, crate::error::exit::BACKEND);
    assert!(error.1.contains("1: llvmpipe"), "{}", error.1);
    for nothing in ["", " "] {
        let code = select(&names, nothing).err().map(|e| e.exit_code());
        assert_eq!(code, Some(crate::error::exit::USAGE), "not every adapter");
    }
}

/// What is measured takes a moment: a night takes what is known, whoever asks about devices has it measured.
#[test]
fn a_night_takes_what_is_known_and_asking_renews_it() {
    use std::cell::Cell;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("backends.json");
    let info = AdapterInfo::new(DeviceType::IntegratedGpu, wgpu::Backend::Vulkan);
    let runs = Cell::new(0);
    let measured = |gpu_ms: f64| {
        let runs = &runs;
        move || {
            runs.set(runs.get() + 1);
            Ok(Figures { gpu_ms, cpu_ms: 10.0 })
        }
    };
    let kept = Some(file.as_path());
    assert!(worth(&info, kept, false, measured(5.0)).is_ok() && runs.get() == 1);
    assert!(worth(&info, kept, false, measured(20.0)).is_ok() && runs.get() == 1, "known");
    assert!(worth(&info, kept, true, measured(20.0)).is_err() && runs.get() == 2, "renewed");
    assert!(worth(&info, kept, false, measured(5.0)).is_err() && runs.get() == 2, "and kept");
    let card = AdapterInfo::new(DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
    assert!(
        worth(&card, kept, true, measured(20.0)).is_ok() && runs.get() == 2,
        "plain without a measurement"
    );
}

/// The measurement itself, on whatever adapter there is, as if its kind did not say.
#[test]
fn an_adapter_is_measured_once_for_its_driver() {
    let adapters = caps::adapters();
    let Some(adapter) = adapters.first() else {
        let skipped = std::env::var("LIVESTACK_TEST_GPU").as_deref() == Ok("skip");
        assert!(skipped, "no adapter: install mesa-vulkan-drivers, or set LIVESTACK_TEST_GPU=skip");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("backends.json");
    let key = Key::of(&adapter.get_info());
    let found = weigh::figures(&key, Some(&file), false, || measure(adapter)).expect("figures");
    assert!(found.sound() && found.gpu_ms != found.cpu_ms, "{found:?}");
    // Times that are mistaken for each other would show.
    if adapter.get_info().device_type == DeviceType::Cpu {
        assert!(found.gpu_ms > found.cpu_ms, "the software adapter computes on the same CPU: {found:?}");
    }
    let again = weigh::figures(&key, Some(&file), false, || panic!("measured again")).expect("figures");
    assert_eq!(again, found);
    let (slower, why) = match weigh::verdict(found) {
        Ok(why) => (false, why),
        Err(why) => (true, why),
    };
    assert_eq!(slower, found.gpu_ms >= found.cpu_ms);
    assert!(why.contains(if slower { "as long as the CPU" } else { "as fast as the CPU" }), "{why}");
}

#[test]
fn the_cpu_passes_its_own_test() {
    assert!(self_test(&mut Cpu::default()).is_ok());
}
