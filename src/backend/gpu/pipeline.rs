//! Pipelines: made from a kernel when it first runs.

use super::memory::one_line;
use crate::error::{Error, Result};
use crate::kernels::{Kernel, layout};
use std::collections::HashMap;
use wgpu::{
    BindGroupLayout, BindGroupLayoutEntry, BindingType, BufferBindingType, ComputePipeline, Device,
    PipelineCache,
};

/// Choices that a kernel may have.
const CHOICES: usize = 8;

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// Its number among those of the device.
    pub(super) id: usize,
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
type Key = (&'static str, [u32; CHOICES]);

/// The compiled kernels of a device.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    made: HashMap<Key, Pipeline>,
    /// Where each kernel's choices stand in its parameters, words; a choice that is no parameter (a contract test forbids
    /// it) counts as 0.
    places: HashMap<&'static str, [Option<usize>; CHOICES]>,
}

impl Pipelines {
    /// Kernels compiled so far.
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }

    /// Kernel `K` compiled for parameters `p`, by way of `cache` if there is one.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the compiler's words.
    pub(super) fn get<K: Kernel>(
        &mut self,
        device: &Device,
        cache: Option<&PipelineCache>,
        p: &K::Params,
    ) -> Result<Pipeline> {
        const { assert!(K::CHOICES.len() <= CHOICES, "the choices fit the key") };
        let places = self.places.entry(K::NAME).or_insert_with(|| {
            let mut places = [None; CHOICES];
            for (place, name) in places.iter_mut().zip(K::CHOICES) {
                *place = layout::place::<K::Params>(name);
            }
            places
        });
        let words: &[u32] = bytemuck::cast_slice(std::slice::from_ref(p));
        let key = (K::NAME, places.map(|at| at.and_then(|k| words.get(k)).copied().unwrap_or(0)));
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let made = compile::<K>(device, cache, &key, self.made.len())?;
        self.made.insert(key, made.clone());
        Ok(made)
    }
}

/// Compiles kernel `K` for the choices of `key`.
///
/// # Errors
/// [`Error::Gpu`] with the compiler's words.
fn compile<K: Kernel>(
    device: &Device,
    cache: Option<&PipelineCache>,
    key: &Key,
    id: usize,
) -> Result<Pipeline> {
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
        cache,
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
    Ok(Pipeline { id, pipeline, layout })
}
