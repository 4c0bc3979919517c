//! The GPU that tests run on: the best adapter there is, lavapipe if need be, always with the limits of a Raspberry Pi.

use livestack::backend::caps;
use livestack::backend::gpu::{Gpu, Options};
use std::io::Write;

/// Opens it, and says what [`Rounded`](livestack::kernels::cases::Tolerance::Rounded) allows on it.
///
/// No adapter is a failure; with `LIVESTACK_TEST_GPU=skip` it is `None`, and the run says so past the capture of
/// the test harness.
pub(crate) fn open(test: &str, options: Options) -> Option<(Gpu, u32)> {
    let adapters = caps::adapters();
    let Some(adapter) = adapters.first() else {
        if std::env::var("LIVESTACK_TEST_GPU").as_deref() == Ok("skip") {
            let line = format!("\n*** SKIPPED, there is no GPU and LIVESTACK_TEST_GPU=skip: {test} ***\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        }
        panic!(
            "no GPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers brings lavapipe), or set \
             LIVESTACK_TEST_GPU=skip to leave the GPU untested"
        );
    };
    let software = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    match Gpu::open(adapter, options) {
        Ok(gpu) => Some((gpu, u32::from(!software))),
        Err(e) => panic!("{}: {e}", adapter.get_info().name),
    }
}
