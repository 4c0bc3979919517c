//! Reading ahead: files become frames on threads of their own, and are known by their content.

use super::Wake;
use crate::decode::Wish;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::watch::Print;
use crate::{decode, memory};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Share of the free memory that a file and its frame may take: more is no frame of a camera, or no camera for this
/// machine.
const SHARE: u64 = 4;
/// Files of more bytes are looked at before they are read: no frame of a usual camera has so many, and what has is often
/// none, or is still being written and empty so far.
const LARGE: u64 = 1 << 28;

/// What came of a file.
pub(crate) struct Read {
    /// Number of the request.
    pub(crate) ticket: u64,
    /// The frame, or why there is none.
    pub(crate) frame: Result<Frame>,
    /// What the file system said before and after; `None`: it was written meanwhile, or is gone.
    pub(crate) print: Option<Print>,
    /// CRC-32 of the content; `None` where it could not be read.
    pub(crate) crc: Option<u32>,
    /// Time that it took.
    pub(crate) spent: Duration,
}

/// How long threads are waited for in the end, and between two looks.
const GOODBYE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

struct Request {
    ticket: u64,
    path: PathBuf,
    buffer: Vec<u32>,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    stop: bool,
}

/// The threads.
pub(crate) struct Readers {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts `threads` threads, which send what they have read to `wake`.
    pub(crate) fn new(threads: usize, wish: Wish, wake: &Sender<Wake>) -> Readers {
        let queue = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let spawn = |_| {
            let (queue, wake) = (Arc::clone(&queue), wake.clone());
            std::thread::spawn(move || work(&queue, &wish, &wake))
        };
        let threads = (0..threads).map(spawn).collect();
        Readers { queue, threads }
    }

    /// Has a file read into `buffer`.
    pub(crate) fn request(&self, ticket: u64, path: &Path, buffer: Vec<u32>) {
        let mut queue = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.requests.push_back(Request { ticket, path: path.to_owned(), buffer });
        self.queue.1.notify_one();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.queue.1.notify_all();
        // One that reads from a share that is gone may never come back.
        let until = Instant::now() + GOODBYE;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
        }
    }
}

fn work(queue: &(Mutex<Queue>, Condvar), wish: &Wish, wake: &Sender<Wake>) {
    loop {
        let request = {
            let mut state = queue.0.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if state.stop {
                    return;
                }
                if let Some(request) = state.requests.pop_front() {
                    break request;
                }
                state = queue.1.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let read = read(request, wish);
        if wake.send(Wake::Read(Box::new(read))).is_err() {
            return;
        }
    }
}

/// Reads one file.
fn read(request: Request, wish: &Wish) -> Read {
    let Request { ticket, path, buffer } = request;
    let start = Instant::now();
    // Whatever happens, whoever waits for this frame gets an answer.
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| file(&path, buffer, wish)));
    let failed = || (Err(Error::decode("the decoder failed", &path)), Print::of(&path).ok(), None);
    let (frame, print, crc) = read.unwrap_or_else(|_| failed());
    Read { ticket, frame, print, crc, spent: start.elapsed() }
}

/// A frame, what the file system says of it where that stood still, and the CRC-32 of its content.
pub(crate) fn file(
    path: &Path,
    buffer: Vec<u32>,
    wish: &Wish,
) -> (Result<Frame>, Option<Print>, Option<u32>) {
    let cannot = |e| Error::io("cannot read the frame", path, e);
    let before = match Print::of(path) {
        Ok(before) => before,
        Err(e) => return (Err(cannot(e)), None, None),
    };
    let most = memory::available().map_or(u64::MAX, |free| free / SHARE);
    if before.size > most {
        let why = format!("expected a frame, got {} MB: more than fits in memory", before.size / 1_000_000);
        return (Err(Error::decode(why, path)), Some(before), None);
    }
    if before.size > LARGE
        && let Err(e) = crate::io::begins_as_frame(path)
    {
        return (Err(e), Some(before), None);
    }
    let bytes = match crate::io::bytes_of(path) {
        Ok(bytes) => bytes,
        Err(e) => return (Err(cannot(e)), Some(before), None),
    };
    let crc = crc32fast::hash(&bytes);
    let print = Print::of(path).ok().filter(|after| *after == before);
    (decode::bytes(path, bytes, buffer, wish), print, Some(crc))
}
