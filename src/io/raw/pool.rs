//! Where the crates decode: threads whose panics print nothing.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::io::guard;

/// Stack of a thread, bytes: a decoder's tables of a few 100 KB each lie on it, and a thread that waits may decode
/// parts of other frames meanwhile.
const STACK_BYTES: usize = 16 << 20;

/// One for the process: frames that are decoded at once share its threads, one for each core.
static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();

/// Runs `decode` on threads of its own, where the crates spread their work. A panic, on whichever thread, prints
/// nothing and goes on in this one, whose guard makes an error of it.
pub(super) fn quietly<T: Send>(decode: impl FnOnce() -> T + Send) -> Result<T, String> {
    let pool = POOL.get_or_init(|| {
        let builder = ThreadPoolBuilder::new().thread_name(|k| format!("raw {k}")).stack_size(STACK_BYTES);
        builder.start_handler(|_| guard::silence_thread()).build().ok()
    });
    let pool = pool.as_ref().ok_or("no threads to decode on: close other programs")?;
    Ok(pool.install(decode))
}
