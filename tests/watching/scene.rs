//! A watched folder, and what is expected of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use livestack::watch::{Arrival, News, Print, Setup, Watcher};

use crate::common::Place;

/// How long news is waited for: far longer than it takes, this machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long silence is listened to: several looks, far longer than a settled file takes.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);

/// A file that nobody closes is complete after this.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// Longer than any test waits.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Between two looks of the polling runs.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// With events, and by polling.
pub(crate) const BOTH: [Option<Duration>; 2] = [None, Some(POLL)];

/// A watched folder.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) folder: PathBuf,
    pub(crate) news: Receiver<News>,
    pub(crate) watcher: Watcher,
}

impl Scene {
    /// An empty folder, looked at once.
    pub(crate) fn new(poll: Option<Duration>) -> Scene {
        let mut scene = Scene::over(poll, |_| {});
        assert_eq!(scene.next(), News::Scanned);
        scene
    }

    /// A folder that `fill` fills before it is watched.
    pub(crate) fn over(poll: Option<Duration>, fill: impl FnOnce(&Path)) -> Scene {
        let place = Place::new();
        let folder = place.folder("hot");
        fill(&folder);
        Scene::with(place, setup(&folder, poll))
    }

    pub(crate) fn with_setup(place: Place, setup: impl FnOnce(&Place) -> Setup) -> Scene {
        let setup = setup(&place);
        Scene::with(place, setup)
    }

    pub(crate) fn with(place: Place, setup: Setup) -> Scene {
        let folder = setup.folder.clone();
        let (out, news) = channel();
        let watcher = Watcher::start(setup, to(out)).expect("a watch");
        Scene { place, folder, news, watcher }
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder.join(name.as_ref())
    }

    pub(crate) fn write(&self, name: impl AsRef<OsStr>, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> News {
        self.news.recv_timeout(PATIENCE).expect("news")
    }

    /// The next news is this file, as it is now.
    #[track_caller]
    pub(crate) fn arrives(&mut self, path: &Path) -> Arrival {
        let News::Arrived(arrival) = self.next() else { panic!("{path:?} is complete") };
        assert_eq!((arrival.path.as_path(), arrival.print), (path, Print::of(path).expect("it is there")));
        arrival
    }

    /// The next news is that this file is no more what it was.
    #[track_caller]
    pub(crate) fn changes(&mut self, path: &Path) {
        assert_eq!(self.next(), News::Changed(path.to_owned()));
    }

    /// The next news is a line with these words.
    #[track_caller]
    pub(crate) fn notes(&mut self, words: &str) {
        match self.next() {
            News::Note(text) => assert!(text.contains(words) && !text.contains('\n'), "{text}"),
            other => panic!("expected a note of {words:?}, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn silent(&mut self) {
        if let Ok(news) = self.news.recv_timeout(SILENCE) {
            panic!("{news:?}");
        }
    }
}

pub(crate) fn setup(folder: &Path, poll: Option<Duration>) -> Setup {
    Setup { folder: folder.to_owned(), poll, settle: SETTLE, own: Box::new(|_| false), known: HashMap::new() }
}

pub(crate) fn to(out: Sender<News>) -> impl FnMut(News) -> bool + Send + 'static {
    move |news| out.send(news).is_ok()
}

pub(crate) fn set_time(path: &Path, time: SystemTime) {
    let file = OpenOptions::new().append(true).open(path).expect("opens");
    file.set_modified(time).expect("the time is set");
}
