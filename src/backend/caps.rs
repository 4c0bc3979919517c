//! What is asked of an adapter: the limits of a Raspberry Pi, whatever the adapter offers, so that a desktop cannot
//! hide what would fail on the smallest device.

use super::bands::{Bounds, DISPATCH_PIXELS};
use wgpu::{Adapter, DeviceType, Limits};

/// Pixels' worth of work in a dispatch of a discrete GPU: a 61 Mpix plane whole. The slowest that have a Vulkan driver
/// (about 300 * 10^9 instructions a second) take 70 ms for it at 300 instructions a pixel; Windows resets after 2 s.
pub const DISCRETE_PIXELS: u64 = 64 << 20;

/// Graphics interfaces that are used: no OpenGL, one more family of drivers to distrust.
pub const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// The limits of a Raspberry Pi 4 or 5 (Mesa V3DV) with the storage binding of WebGPU: requested always, nothing more.
#[must_use]
pub fn pi_limits() -> Limits {
    Limits {
        max_texture_dimension_1d: 4096,
        max_texture_dimension_2d: 4096,
        max_storage_buffers_per_shader_stage: 8,
        max_storage_textures_per_shader_stage: 4,
        max_storage_buffer_binding_size: 128 << 20,
        max_buffer_size: 256 << 20,
        max_compute_workgroup_storage_size: 16384,
        max_compute_invocations_per_workgroup: 256,
        max_compute_workgroup_size_x: 256,
        max_compute_workgroup_size_y: 256,
        max_compute_workgroup_size_z: 64,
        max_inter_stage_shader_variables: 15,
        max_color_attachments: 4,
        ..Limits::defaults()
    }
}

/// The bounds of a band on a device of `kind` with `limits`: memory as on the smallest device everywhere, longer dispatches
/// where the device is quick for certain. Integrated GPUs are not: a Raspberry Pi's is one.
#[must_use]
pub fn bounds(kind: DeviceType, limits: &Limits) -> Bounds {
    let dispatch_pixels = if kind == DeviceType::DiscreteGpu { DISCRETE_PIXELS } else { DISPATCH_PIXELS };
    Bounds { binding_bytes: limits.max_storage_buffer_binding_size, dispatch_pixels }
}

/// What `offered` lacks of [`pi_limits`], the first of it: `name: needed, offered`.
#[must_use]
pub fn shortfall(offered: &Limits) -> Option<String> {
    let mut first = None;
    pi_limits().check_limits_with_fail_fn(offered, true, |name, needed, got| {
        first = Some(format!("{name} is {got}, {needed} are needed"));
    });
    first
}

/// Every adapter of this machine, the most promising first: discrete, integrated, virtual, other, software.
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: BACKENDS,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(BACKENDS));
    adapters.sort_by_key(|a| rank(a.get_info().device_type));
    adapters
}

/// Place of a kind of device in the order of preference.
fn rank(kind: DeviceType) -> u32 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// The kind of a device in words.
#[must_use]
pub fn kind(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Other => "unknown",
        DeviceType::Cpu => "software",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_bands_and_parameters_are_aligned_on_any_device() {
        let limits = pi_limits();
        let alignment = super::super::bands::ALIGNMENT;
        assert_eq!(u64::from(limits.min_storage_buffer_offset_alignment), alignment);
        assert_eq!(u64::from(limits.min_uniform_buffer_offset_alignment), alignment);
    }

    #[test]
    fn only_a_discrete_gpu_is_given_long_dispatches() {
        use DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};
        let small = Bounds { binding_bytes: 128 << 20, dispatch_pixels: DISPATCH_PIXELS };
        for kind in [IntegratedGpu, VirtualGpu, Other, Cpu] {
            assert_eq!(bounds(kind, &pi_limits()), small, "{kind:?}");
        }
        assert_eq!(bounds(DiscreteGpu, &pi_limits()), Bounds { dispatch_pixels: DISCRETE_PIXELS, ..small });
    }

    #[test]
    fn a_device_with_four_storage_buffers_falls_short() {
        assert_eq!(shortfall(&pi_limits()), None);
        let lack = shortfall(&Limits::downlevel_defaults()).unwrap_or_default();
        assert!(lack.contains("max_"), "{lack}");
    }
}
