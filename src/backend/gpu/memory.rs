//! Memory of the device, and the error that ends its use.

use crate::error::{Error, Result};
use std::sync::{Arc, OnceLock};
use wgpu::{Buffer, BufferUsages, Device};

/// The first error of the device: none of its buffers can be trusted after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<OnceLock<String>>);

impl Fault {
    pub(super) fn note(&self, what: String) {
        // Later errors follow from the first.
        let _ = self.0.set(one_line(&what));
    }

    pub(super) fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |e| Err(Error::Gpu(e.clone())))
    }

    /// The first error, or else `what`.
    pub(super) fn or(&self, what: &str) -> Error {
        Error::Gpu(self.0.get().cloned().unwrap_or_else(|| what.to_owned()))
    }
}

/// `text` in one line: wgpu tells causes in indented lines of their own.
pub(super) fn one_line(text: &impl std::fmt::Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A buffer, or [`Error::Gpu`] where the device has not that much memory.
pub(super) fn create(
    device: &Device,
    label: &str,
    size: u64,
    usage: BufferUsages,
    mapped: bool,
) -> Result<Buffer> {
    const MIB: u64 = 1 << 20;
    let most = device.limits().max_buffer_size;
    if size > most {
        return Err(Error::Gpu(format!(
            "GPU buffer `{label}` would be {} MiB: at most {} MiB fit: use --backend cpu for such frames",
            size.div_ceil(MIB),
            most / MIB
        )));
    }
    let scopes = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal]
        .map(|f| device.push_error_scope(f));
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: mapped,
    });
    for scope in scopes.into_iter().rev() {
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(Error::Gpu(format!(
                "GPU memory: {} MiB for `{label}` are not to be had ({}): free some or use --backend cpu",
                size.div_ceil(MIB),
                one_line(&e)
            )));
        }
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_device_is_one_line() {
        let fault = Fault::default();
        fault.note(
            "the GPU failed: Validation Error\n\nCaused by:\n  In a pass\n    too many groups\n".to_owned(),
        );
        let text = fault.check().map_err(|e| e.to_string());
        assert!(text.as_ref().is_err_and(|e| !e.contains('\n')), "{text:?}");
        assert!(text.is_err_and(|e| e.ends_with("Validation Error Caused by: In a pass too many groups")));
    }
}
