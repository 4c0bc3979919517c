//! The seam between CPU and GPU: buffers and the running of kernels; orchestration is written once, above it.

use crate::error::Result;
use crate::kernels::Kernel;
use crate::timing::Timings;

pub mod bands;
pub mod caps;
pub mod cpu;
pub mod gpu;
pub mod probe;

pub use probe::{Choice, DeviceInfo, Opened, devices, open, open_keeping};

/// Where kernels run. A buffer of one backend cannot reach another.
pub trait Backend {
    /// Words on the device.
    type Buffer;

    /// One line: device and driver, or cores.
    fn describe(&self) -> String;

    /// Bytes that the program may have in all, what it has already included, where the system says.
    fn memory(&self) -> Option<u64> {
        crate::memory::room()
    }

    /// Whether the device has memory of its own: then a buffer that cannot be had tells, and `memory` knows nothing of it.
    fn apart(&self) -> bool {
        false
    }

    /// Bytes of the host's memory that the device takes beside its buffers: its driver, and what uploads of `frame` bytes
    /// go through.
    fn driver(&self, _frame: u64) -> u64 {
        0
    }

    /// A buffer of `words` words, all 0.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu), or [`Error::Memory`](crate::error::Error::Memory) of the host's, where
    /// there is not that much.
    fn alloc(&mut self, label: &'static str, words: usize) -> Result<Self::Buffer>;

    /// Replaces the start of `to` by `words` and gives back a vector to decode the next frame into.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
    fn upload(&mut self, to: &mut Self::Buffer, words: Vec<u32>) -> Result<Vec<u32>>;

    /// Copies `words` to the start of `to`.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
    fn write(&mut self, to: &mut Self::Buffer, words: &[u32]) -> Result<()>;

    /// Copies the first `into.len()` words of `from`; waits for the kernels before.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
    fn read(&mut self, from: &Self::Buffer, into: &mut [u32]) -> Result<()>;

    /// Runs kernel `K` over all its rows. Optional buffers that are not used are `None`.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
    fn run<K: Kernel>(
        &mut self,
        p: &K::Params,
        reads: &[Option<&Self::Buffer>],
        writes: &mut [Option<&mut Self::Buffer>],
    ) -> Result<()>;

    /// Lets the device begin what was asked of it so far, without waiting for it.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::error::Error::Gpu) where the device fails.
    fn submit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Time spent in kernels so far.
    fn timings(&mut self) -> &Timings;
}
