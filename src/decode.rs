//! Decoding ahead: files become frames on threads of their own, in order, never more than a stated number at once.

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::io;
use crate::sensor::Bayer;
use crate::tags::{Kind, Tags};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most decoding threads: beyond this the pixel path, not decoding, holds things up.
const MOST_THREADS: usize = 4;

/// What the threads and the engine share.
#[derive(Default)]
struct Shared {
    next: usize,
    taken: usize,
    done: BTreeMap<usize, Result<Frame>>,
    free: Vec<Vec<u32>>,
    spent: Duration,
    stop: bool,
    /// Frames that may be decoded or wait.
    ahead: usize,
}

/// What frames are taken for, whatever their files say, and which are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wish {
    /// The mosaic (`Some(None)`: they are none) of frames with one channel.
    pub bayer: Option<Option<Bayer>>,
    /// The level that stands for 1.
    pub white: Option<f32>,
    /// What the frames are to be, `None`: anything.
    pub role: Option<Kind>,
    /// Refuse those that say of themselves that they are masters.
    pub singles: bool,
}

impl Wish {
    /// Frames that are to be of this kind.
    #[must_use]
    pub fn of(self, role: Kind) -> Wish {
        Wish { role: Some(role), ..self }
    }

    /// Makes `frame` what is wished.
    fn apply(&self, mut frame: Frame) -> Result<Frame> {
        if let (Some(name), None) = (&frame.tags.other_mosaic, self.bayer) {
            let what = format!(
                "mosaics of {name} are not supported: expected RGGB, GRBG, GBRG or BGGR: say what it is with --bayer"
            );
            return Err(Error::decode(what, &frame.path));
        }
        if let (Some(bayer), 1) = (self.bayer, frame.shape.channels) {
            frame.shape.mosaic = bayer;
        }
        frame.sensor.white = self.white.or(frame.sensor.white);
        self.admit(&frame.path, &frame.tags)?;
        Ok(frame)
    }

    /// Refuses the file `path` whose `tags` say that it is something else.
    ///
    /// # Errors
    /// [`Error::Decode`] with both.
    pub fn admit(&self, path: &Path, tags: &Tags) -> Result<()> {
        let (kind, made) = (tags.kind, tags.master_of.is_some());
        let refused = match (self.role, kind) {
            (None, _) => false,
            (Some(Kind::Light), Some(kind)) => kind != Kind::Light,
            (Some(Kind::Light), None) => made,
            (Some(_), _) if made && self.singles => true,
            (Some(Kind::Flat), Some(kind)) => kind != Kind::Flat,
            // A bias serves as a dark of no exposure, a dark as a bias.
            (Some(_), Some(kind)) => matches!(kind, Kind::Light | Kind::Flat),
            (Some(_), None) => false,
        };
        match self.role {
            Some(role) if refused => {
                let (role, master) = (role.name(), if made { "master " } else { "" });
                let what = kind.map_or("stack or master", Kind::name);
                let what =
                    format!("expected a {role}, its header says {master}{what}: take it out of the {role}s");
                Err(Error::decode(what, path))
            }
            _ => Ok(()),
        }
    }
}

struct Common {
    paths: Vec<PathBuf>,
    wish: Wish,
    state: Mutex<Shared>,
    changed: Condvar,
}

impl Common {
    /// A thread that panicked leaves consistent data: every change is a single insertion or removal.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, Shared>) -> MutexGuard<'a, Shared> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes files in order. At most `threads` frames are decoded or waiting, and one is with whoever asked.
pub struct Decoder {
    common: Arc<Common>,
    threads: Vec<JoinHandle<()>>,
}

/// Threads that decode: all cores, up to four.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

impl Decoder {
    /// Starts decoding `paths`, into the buffers `free` as long as there are some.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, threads: usize, free: Vec<Vec<u32>>, wish: Wish) -> Decoder {
        Decoder::with(paths, threads, threads, free, wish)
    }

    /// The same, but only the first file is decoded before [`Decoder::go_on`] is called: memory is short until then.
    #[must_use]
    pub fn first_alone(paths: Vec<PathBuf>, threads: usize, wish: Wish) -> Decoder {
        Decoder::with(paths, threads, 1, Vec::new(), wish)
    }

    /// From now on, a frame a thread.
    pub fn go_on(&self) {
        self.common.lock().ahead = self.threads.len();
        self.common.changed.notify_all();
    }

    fn with(paths: Vec<PathBuf>, threads: usize, ahead: usize, free: Vec<Vec<u32>>, wish: Wish) -> Decoder {
        let common = Arc::new(Common {
            paths,
            wish,
            state: Mutex::new(Shared { free, ahead, ..Shared::default() }),
            changed: Condvar::new(),
        });
        let threads = (0..threads)
            .map(|_| {
                let common = Arc::clone(&common);
                std::thread::spawn(move || work(&common))
            })
            .collect();
        Decoder { common, threads }
    }

    /// Gives a buffer back to decode into.
    pub fn recycle(&self, words: Vec<u32>) {
        if words.capacity() > 0 {
            self.common.lock().free.push(words);
        }
    }

    /// A buffer that is free, if any.
    #[must_use]
    pub fn buffer(&self) -> Vec<u32> {
        self.common.lock().free.pop().unwrap_or_default()
    }

    /// The buffers that are free, for another decoder.
    #[must_use]
    pub fn buffers(self) -> Vec<Vec<u32>> {
        std::mem::take(&mut self.common.lock().free)
    }

    /// Time that the threads have spent decoding so far, added up.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.common.lock().spent
    }
}

impl Iterator for Decoder {
    type Item = (PathBuf, Result<Frame>);

    /// The next file, in order: its path, and the frame or why it cannot be read. `None` after the last.
    fn next(&mut self) -> Option<(PathBuf, Result<Frame>)> {
        let mut state = self.common.lock();
        let k = state.taken;
        let path = self.common.paths.get(k)?.clone();
        loop {
            if let Some(frame) = state.done.remove(&k) {
                state.taken += 1;
                self.common.changed.notify_all();
                return Some((path, frame));
            }
            state = self.common.wait(state);
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.common.lock().stop = true;
        self.common.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A decoder that panicked has already been reported as a rejected frame.
            let _ = thread.join();
        }
    }
}

/// Steps of the Unix scheduler by which decoding gives way: where both want a core, it has a third of what the pixel path has.
/// More would starve it where other programs want all cores (with 19 steps a frame took a minute and a half beside a
/// compiler).
#[cfg(target_os = "linux")]
const GIVE_WAY: i32 = 5;

/// Makes this thread give way to the pixel path: frames that are decoded ahead can wait, and what computes on all cores at
/// once is as slow as the slowest of them.
fn give_way() {
    // Linux has a priority for each thread. Where it cannot be changed, all goes on as it was.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(GIVE_WAY);
}

fn work(common: &Common) {
    give_way();
    loop {
        let (k, buffer) = {
            let mut state = common.lock();
            loop {
                if state.stop || state.next >= common.paths.len() {
                    return;
                }
                if state.next < state.taken + state.ahead {
                    break;
                }
                state = common.wait(state);
            }
            let k = state.next;
            state.next += 1;
            (k, state.free.pop().unwrap_or_default())
        };
        let start = Instant::now();
        let path = &common.paths[k];
        // Whatever happens, whoever waits for this frame gets an answer.
        let frame = read(path, buffer, &common.wish);
        let mut state = common.lock();
        state.spent += start.elapsed();
        state.done.insert(k, frame);
        common.changed.notify_all();
    }
}

/// Decodes one file into `buffer`. A decoder that panics has found a damaged file.
///
/// # Errors
/// As [`io::read`]; [`Error::Decode`] where the file is not what is wished.
pub fn read(path: &Path, buffer: Vec<u32>, wish: &Wish) -> Result<Frame> {
    caught(path, wish, || io::read(path, buffer))
}

/// Decodes the `bytes` of the file `path`, like [`read`].
///
/// # Errors
/// As [`read`].
pub fn bytes(path: &Path, bytes: Vec<u8>, buffer: Vec<u32>, wish: &Wish) -> Result<Frame> {
    caught(path, wish, || io::decode_bytes(path, bytes, buffer))
}

fn caught(path: &Path, wish: &Wish, decode: impl FnOnce() -> Result<Frame>) -> Result<Frame> {
    std::panic::catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Error::decode("the decoder failed", path)))
        .and_then(|frame| wish.apply(frame))
}
