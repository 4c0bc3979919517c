//! The files that a run leaves: one a rule and format, each written beside its target and renamed.

use crate::backend::Backend;
use crate::config::{Config, Output};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::frame::Orientation;
use crate::io::{self, Card, Value};
use crate::rules::Method;
use crate::summary::Summary;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// What stands before the number of a finished stack.
const STACK: &str = "_stack";

/// What headers say of a stack of half size that is no mosaic's (superpixels have a line of their own).
const BINNED: &str = "frames averaged over cells of 2x2 pixels";

/// What is said and shown of a stack.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The rules.
    pub methods: Vec<Method>,
    /// How pictures are turned.
    pub orientation: Orientation,
    /// Whether its frames are RAW or FITS.
    pub linear: bool,
    /// What it is made of.
    pub summary: Summary,
}

/// A picture on its way to the disk.
pub(crate) struct Job {
    pub(crate) path: PathBuf,
    data: Data,
    /// Width, height, channels.
    size: (usize, usize, usize),
    orientation: Orientation,
}

enum Data {
    /// 8-bit samples, packed in words; the page may show the same picture.
    Bytes(Arc<Vec<u32>>),
    Words(Vec<u16>),
    Words16(Vec<u16>),
    Floats(Vec<f32>),
    Fits(Vec<f32>, Vec<Card>),
}

/// Which picture of a rule: of the stack at the end, of a finished stack, or on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Number of a stack that another followed.
    pub stack: Option<usize>,
    /// Frames in the stack, for a picture on the way.
    pub count: Option<usize>,
}

/// Path of `method`'s output in `format`: `NAME_METHOD_stack2_0007.png`, what does not apply left out.
#[must_use]
pub fn path(config: &Config, method: Method, format: Output, label: Label) -> PathBuf {
    let prefix = config.name.as_ref().map_or(String::new(), |n| format!("{n}_"));
    let stack = label.stack.map_or(String::new(), |k| format!("{STACK}{k}"));
    let counter = label.count.map_or(String::new(), |k| format!("_{k:04}"));
    config.out.join(format!("{prefix}{}{stack}{counter}{}", method.name().to_uppercase(), format.suffix()))
}

/// Whether `file` has the name of an output of this run: a later run must not stack it.
#[must_use]
pub fn is_own(config: &Config, file: &Path) -> bool {
    is_output(&config.out, config.name.as_deref(), file)
}

/// The same, for the folder `out` and the first part `name` of the outputs' names.
pub(crate) fn is_output(out: &Path, prefix: Option<&str>, file: &Path) -> bool {
    let same = |a: Option<&Path>, b: &Path| {
        let a = a.filter(|a| !a.as_os_str().is_empty()).unwrap_or(Path::new("."));
        a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let prefix = prefix.map_or(String::new(), |n| format!("{n}_"));
    if [crate::page::PICTURE, crate::page::PAGE].contains(&&*name) && same(file.parent(), out) {
        return true;
    }
    let counter = |s: &str| s.strip_prefix('_').is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
    // A finished stack's number.
    let unnumbered = |rest: &'_ str| -> String {
        let number = |s: &str| s.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        rest.strip_prefix(STACK).map_or_else(|| rest.to_owned(), number)
    };
    let ours = |rest: &str| {
        let ends = Method::ALL.iter().filter_map(|m| rest.strip_prefix(&m.name().to_uppercase()));
        ends.map(unnumbered).any(|end| {
            Output::ALL.iter().any(|(_, f)| end == f.suffix())
                || end.strip_suffix(".png").is_some_and(counter)
        })
    };
    // An earlier run may have had another name.
    let others = name.match_indices('_').map(|(k, _)| &name[k + 1..]);
    let own = name.strip_prefix(&prefix).into_iter();
    own.chain(others).any(ours) && same(file.parent(), out)
}

/// The largest number of a finished stack whose outputs lie in `out`; 0: there is none.
pub(crate) fn last_number(out: &Path, name: Option<&str>) -> usize {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten().map(|e| e.path());
    let number = |path: PathBuf| {
        let text = path.file_name()?.to_string_lossy().into_owned();
        let (_, rest) = text.split_once(STACK)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    entries.filter(|path| is_output(out, name, path)).filter_map(number).max().unwrap_or(0)
}

/// Writes every output, of a finished stack under its `number`; returns their paths.
///
/// # Errors
/// [`Error::Io`] for the first output that cannot be written, after all were tried; else where the device fails.
pub fn write_all<B: Backend>(
    engine: &mut Engine<B>,
    config: &Config,
    subject: &Subject,
    number: Option<usize>,
) -> Result<Vec<PathBuf>> {
    publish(engine, config, subject, &all(config, subject), Label { stack: number, count: None })
}

/// Every output of a stack.
pub(crate) fn all(config: &Config, subject: &Subject) -> Vec<(Method, Output)> {
    subject.methods.iter().flat_map(|&m| config.formats.iter().map(move |&f| (m, f))).collect()
}

/// Writes the 8-bit picture of every rule, on the way.
///
/// # Errors
/// As [`write_all`].
pub fn write_debug<B: Backend>(
    engine: &mut Engine<B>,
    config: &Config,
    subject: &Subject,
    label: Label,
) -> Result<()> {
    let jobs: Vec<_> = subject.methods.iter().map(|&m| (m, Output::Png)).collect();
    publish(engine, config, subject, &jobs, label).map(|_| ())
}

/// Renders on this thread while two others turn, compress and write.
fn publish<B: Backend>(
    engine: &mut Engine<B>,
    config: &Config,
    subject: &Subject,
    jobs: &[(Method, Output)],
    label: Label,
) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut first_error = None;
    std::thread::scope(|scope| -> Result<()> {
        let mut writers = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..jobs.len().min(2) {
            let (send, receive) = sync_channel::<Job>(0);
            senders.push(send);
            writers.push(scope.spawn(move || {
                let results = receive.into_iter().map(save);
                results.filter_map(Result::err).collect::<Vec<Error>>()
            }));
        }
        for (k, &(method, format)) in jobs.iter().enumerate() {
            let job = render(engine, config, subject, (method, format), label)?;
            paths.push(job.path.clone());
            // Sending fails where the writer has died: its end is reported below.
            let _ = senders[k % senders.len()].send(job);
        }
        drop(senders);
        for writer in writers {
            let errors = writer.join().unwrap_or_else(|_| {
                let died = std::io::Error::other("the writer failed");
                vec![Error::io("cannot write the outputs", &config.out, died)]
            });
            first_error = first_error.take().or(errors.into_iter().next());
        }
        Ok(())
    })?;
    first_error.map_or(Ok(paths), Err)
}

/// Reads one output from the device.
///
/// # Errors
/// Where the device fails.
pub(crate) fn render<B: Backend>(
    engine: &mut Engine<B>,
    config: &Config,
    subject: &Subject,
    (method, format): (Method, Output),
    label: Label,
) -> Result<Job> {
    let shape = engine.setup.shape;
    let look = config.look(method, subject.linear);
    let data = match format {
        Output::Png => Data::Bytes(Arc::new(engine.picture(method, &look)?)),
        Output::Png16 => Data::Words(engine.picture16(method, &look)?),
        Output::Tiff16 => Data::Words16(engine.picture16(method, &look)?),
        Output::Tiff => Data::Floats(engine.linear(method)?),
        Output::Fits => {
            let mut cards = subject.summary.cards(method);
            cards.extend(engine.binned().then(|| Card::new("HISTORY", Value::Text(BINNED.to_owned()))));
            Data::Fits(engine.linear(method)?, cards)
        }
    };
    Ok(Job {
        path: path(config, method, format, label),
        data,
        size: (shape.width, shape.height, shape.channels),
        orientation: subject.orientation,
    })
}

/// An 8-bit picture whose samples, packed in words, are at hand.
pub(crate) fn picture_of<B: Backend>(
    engine: &Engine<B>,
    config: &Config,
    subject: &Subject,
    (method, format): (Method, Output),
    words: Arc<Vec<u32>>,
) -> Job {
    let shape = engine.setup.shape;
    Job {
        path: path(config, method, format, Label::default()),
        data: Data::Bytes(words),
        size: (shape.width, shape.height, shape.channels),
        orientation: subject.orientation,
    }
}

/// Turns, compresses and writes an output.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub(crate) fn save(job: Job) -> Result<()> {
    let Job { path, data, size: (w, h, c), orientation } = job;
    let path = &path;
    match &data {
        Data::Bytes(words) => {
            let bytes = &bytemuck::cast_slice::<u32, u8>(words)[..w * h * c];
            let (data, w, h) = turned(bytes, w, h, c, orientation);
            io::write_png8(path, w, h, c, &data)
        }
        Data::Words(data) => {
            let (data, w, h) = turned(data, w, h, c, orientation);
            io::write_png16(path, w, h, c, &data)
        }
        Data::Words16(data) => {
            let (data, w, h) = turned(data, w, h, c, orientation);
            io::write_tiff_u16(path, w, h, c, &data)
        }
        // Linear data stay in sensor coordinates, like everything that is computed with.
        Data::Floats(data) => io::write_tiff_f32(path, w, h, c, data),
        Data::Fits(data, cards) => io::write_fits(path, w, h, c, data, cards),
    }
}

/// Whether pictures are turned.
pub(crate) fn turns(o: Orientation) -> bool {
    matches!(o.0, 2..=8)
}

/// Turns a picture upright.
pub(crate) fn turned<T: Copy>(
    data: &[T],
    w: usize,
    h: usize,
    c: usize,
    o: Orientation,
) -> (Cow<'_, [T]>, usize, usize) {
    if !turns(o) {
        return (Cow::Borrowed(data), w, h);
    }
    let (data, w, h) = io::turn(data, w, h, c, o);
    (Cow::Owned(data), w, h)
}
