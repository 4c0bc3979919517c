//! What the device is asked for, counted: frames cost submissions, waits and bytes wherever they run, and tests hold them
//! to bounds without timing anything.

use std::ops::Sub;

/// What was asked of a device so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dispatches: more than kernels ran where rows were cut into bands.
    pub dispatches: u64,
    /// Binding groups that had to be made: those of the frame before serve again.
    pub groups: u64,
    /// Command buffers handed to the queue.
    pub submissions: u64,
    /// Times that the host stood still until the device was done with something.
    pub waits: u64,
    /// Of these, times that a staging buffer for uploads was still being copied from.
    pub upload_waits: u64,
    /// Copies back to the host.
    pub reads: u64,
    /// Bytes copied back.
    pub read_bytes: u64,
    /// Uploads that took a staging buffer.
    pub uploads: u64,
    /// Bytes copied to the device, parameters too.
    pub sent_bytes: u64,
}

impl Sub for Counts {
    type Output = Counts;

    /// What was added since `before`.
    fn sub(self, before: Counts) -> Counts {
        Counts {
            dispatches: self.dispatches - before.dispatches,
            groups: self.groups - before.groups,
            submissions: self.submissions - before.submissions,
            waits: self.waits - before.waits,
            upload_waits: self.upload_waits - before.upload_waits,
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            uploads: self.uploads - before.uploads,
            sent_bytes: self.sent_bytes - before.sent_bytes,
        }
    }
}
