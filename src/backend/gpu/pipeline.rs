//! Pipelines: made from a kernel when it first runs.

use super::memory::one_line;
use crate::error::{Error, Result};
use crate::kernels::{Kernel, layout};
use wgpu::{BindGroupLayout, BindGroupLayoutEntry, BindingType, BufferBindingType, ComputePipeline, Device};

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: ComputePipeline,
    pub(super) layout: BindGroupLayout,
}

/// Binding `binding`, a buffer of kind `ty`.
fn entry(binding: usize, ty: BufferBindingType) -> BindGroupLayoutEntry {
    BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: BindingType::Buffer {
            ty,
            has_dynamic_offset: ty == BufferBindingType::Uniform,
            min_binding_size: None,
        },
        count: None,
    }
}

/// What a compiled kernel is found by: its name and the values of its choices.
pub(super) type Key = (&'static str, Vec<u32>);

/// The key of kernel `K` with parameters `p`.
pub(super) fn key<K: Kernel>(p: &K::Params) -> Key {
    // A choice that is no parameter (a contract test forbids it) would count as 0.
    (K::NAME, K::CHOICES.iter().map(|name| layout::word(p, name).unwrap_or(0)).collect())
}

/// Compiles kernel `K` for the choices of `key`.
///
/// # Errors
/// [`Error::Gpu`] with the compiler's words.
pub(super) fn compile<K: Kernel>(device: &Device, key: &Key) -> Result<Pipeline> {
    let scopes =
        [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal].map(|f| device.push_error_scope(f));
    let (reads, writes) = (K::READS.len(), K::WRITES.len());
    let storage = |read_only| BufferBindingType::Storage { read_only };
    let entries: Vec<_> = std::iter::once(entry(0, BufferBindingType::Uniform))
        .chain((1..=reads).map(|b| entry(b, storage(true))))
        .chain((1 + reads..=reads + writes).map(|b| entry(b, storage(false))))
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(K::NAME),
        entries: &entries,
    });
    let whole = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(K::NAME),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(K::NAME),
        source: wgpu::ShaderSource::Wgsl(K::wgsl().into()),
    });
    let constants: Vec<_> = K::CHOICES.iter().copied().zip(key.1.iter().map(|&v| f64::from(v))).collect();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(K::NAME),
        layout: Some(&whole),
        module: &module,
        entry_point: Some(K::ENTRY),
        // Every kernel writes its workgroup memory before it reads it.
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            constants: &constants,
        },
        cache: None,
    });
    for scope in scopes.into_iter().rev() {
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(Error::Gpu(format!(
                "kernel {} does not compile on this GPU: {}",
                K::NAME,
                one_line(&e)
            )));
        }
    }
    Ok(Pipeline { pipeline, layout })
}
