//! The newest stack on the disk, written on a thread of its own: stacking never waits for a picture.

use super::Wake;
use crate::backend::Backend;
use crate::config::{Config, Output};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::frame::Orientation;
use crate::outputs::{self, Job, Label, Subject};
use crate::page::{self, Shown};
use crate::picture::StretchMode;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The picture that the room sees.
struct Latest {
    /// 8-bit samples, packed in words.
    words: Arc<Vec<u32>>,
    /// Width, height, channels.
    size: (usize, usize, usize),
    orientation: Orientation,
}

/// The outputs of one state of the stack.
pub(crate) struct Batch {
    jobs: Vec<Job>,
    latest: Option<Latest>,
    shown: Shown,
    out: PathBuf,
    /// Pictures that end the session are on the disk before it ends.
    last: bool,
    /// When the newest frame in it was complete.
    newest: Option<Instant>,
    rendered: Duration,
}

/// What became of them.
pub(crate) struct Done {
    /// The paths, or the first failure after all were tried.
    pub(crate) written: Result<Vec<PathBuf>>,
    /// Frames in the stack.
    pub(crate) stacked: usize,
    /// From the newest frame's completion until all were written.
    pub(crate) latency: Option<Duration>,
    /// Reading the pictures from the device.
    pub(crate) rendered: Duration,
    /// Compressing and writing.
    pub(crate) spent: Duration,
}

impl Batch {
    /// Reads every output from the device.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn render<B: Backend>(
        engine: &mut Engine<B>,
        config: &Config,
        subject: &Subject,
        shown: Shown,
        newest: Option<Instant>,
        last: bool,
    ) -> Result<Batch> {
        let start = Instant::now();
        let mut latest = None;
        let mut jobs = Vec::new();
        if let Some(&method) = subject.methods.first() {
            let mut look = config.look(method, subject.linear);
            look.stretch = StretchMode::Auto;
            let shape = engine.setup.shape;
            latest = Some(Latest {
                words: Arc::new(engine.picture(method, &look)?),
                size: (shape.width, shape.height, shape.channels),
                orientation: subject.orientation,
            });
        }
        for output in outputs::all(config, subject) {
            // The same picture is not made twice.
            let same = output.1 == Output::Png
                && Some(&output.0) == subject.methods.first()
                && config.look(output.0, subject.linear).stretch == StretchMode::Auto;
            let known = latest.as_ref().filter(|_| same).map(|l| Arc::clone(&l.words));
            let label = Label::default();
            jobs.push(match known {
                Some(words) => outputs::picture_of(engine, config, subject, output, words),
                None => outputs::render(engine, config, subject, output, label)?,
            });
        }
        let out = config.out.clone();
        Ok(Batch { jobs, latest, shown, out, last, newest, rendered: start.elapsed() })
    }

    /// Writes everything. Whatever happens, whoever waits for it gets an answer.
    fn write(self) -> Done {
        let (stacked, rendered, out) = (self.shown.stacked, self.rendered, self.out.clone());
        std::panic::catch_unwind(AssertUnwindSafe(|| self.write_all())).unwrap_or_else(|_| {
            let died = std::io::Error::other("the writer failed");
            let written = Err(Error::io("cannot write the outputs", &out, died));
            Done { written, stacked, latency: None, rendered, spent: Duration::ZERO }
        })
    }

    fn write_all(self) -> Done {
        let start = Instant::now();
        let (stacked, rendered, newest) = (self.shown.stacked, self.rendered, self.newest);
        let mut paths = Vec::new();
        let mut failed = None;
        if let Some(latest) = self.latest {
            let (w, h, c) = latest.size;
            let bytes = &bytemuck::cast_slice::<u32, u8>(&latest.words)[..w * h * c];
            let (data, w, h) = outputs::turned(bytes, w, h, c, latest.orientation);
            failed = page::publish(&self.out, (&data, w, h, c), &self.shown).err();
        }
        for job in self.jobs {
            let path = job.path.clone();
            match outputs::save(job).and_then(|()| if self.last { sync(&path) } else { Ok(()) }) {
                Ok(()) => paths.push(path),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        Done {
            written: failed.map_or(Ok(paths), Err),
            stacked,
            latency: newest.map(|t| t.elapsed()),
            rendered,
            spent: start.elapsed(),
        }
    }
}

fn sync(path: &std::path::Path) -> Result<()> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("cannot write the file", path, e))
}

/// The thread that writes.
pub(crate) struct Publisher {
    send: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    /// Whether it is at work.
    pub(crate) busy: bool,
}

impl Publisher {
    /// Starts the thread, which tells `wake` of each batch that is done.
    pub(crate) fn new(wake: Sender<Wake>) -> Publisher {
        let (send, receive) = sync_channel::<Batch>(1);
        let thread = std::thread::spawn(move || {
            for batch in receive {
                if wake.send(Wake::Published(batch.write())).is_err() {
                    return;
                }
            }
        });
        Publisher { send: Some(send), thread: Some(thread), busy: false }
    }

    /// Has a batch written; only where it is not [busy](Publisher::busy).
    pub(crate) fn give(&mut self, batch: Batch) {
        if let Some(send) = &self.send {
            self.busy = send.send(batch).is_ok();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take() {
            // What a thread that panicked did not write is written by the next run.
            let _ = thread.join();
        }
    }
}
