//! The files that wait to be stacked, and which of them is next.

use crate::io;
use crate::watch::Arrival;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file of one kind is held back for the file of the other kind of the same frame, which counts.
const TWIN: Duration = Duration::from_secs(3);

/// A file that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) arrival: Arrival,
    /// Not before then: it is tried again, or its twin may come.
    pub(crate) from: Instant,
    /// Since when its content stands still, as far as it is known; tries count from there.
    pub(crate) since: Instant,
    /// Tries so far.
    pub(crate) tries: u32,
    /// Capture time, where that is the order.
    taken: Option<String>,
}

/// Which of two files of a frame counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jpeg,
    Raw,
}

impl Kind {
    /// Of a file; `None`: no twin is to be expected.
    pub(crate) fn of(path: &Path) -> Option<Kind> {
        match io::format_of(path) {
            Some("JPEG") => Some(Kind::Jpeg),
            Some("RAW") => Some(Kind::Raw),
            _ => None,
        }
    }
}

/// What a file is of: a JPEG and a RAW file of one name are one frame.
fn frame(path: &Path) -> PathBuf {
    if Kind::of(path).is_some() { path.with_extension("") } else { path.to_owned() }
}

/// Files that wait.
#[derive(Default)]
pub(crate) struct Arrivals {
    list: Vec<Waiting>,
    by_time: bool,
}

impl Arrivals {
    /// In the order of capture time, or of names.
    pub(crate) fn new(by_time: bool) -> Arrivals {
        Arrivals { by_time, ..Arrivals::default() }
    }

    /// Files that wait.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether a file waits whose path is `like` that.
    pub(crate) fn any(&self, like: &dyn Fn(&Path) -> bool) -> bool {
        self.list.iter().any(|w| like(&w.arrival.path))
    }

    /// Whether this file waits.
    pub(crate) fn waits(&self, path: &Path) -> bool {
        self.list.iter().any(|w| w.arrival.path == path)
    }

    /// How long the file has waited that waits longest, of those that came while the folder was watched.
    pub(crate) fn longest(&self) -> Duration {
        let live = self.list.iter().filter(|w| !w.arrival.existing && w.tries == 0);
        live.map(|w| w.since.elapsed()).max().unwrap_or_default()
    }

    /// Adds a file; its older content is forgotten.
    pub(crate) fn add(&mut self, arrival: Arrival, counts: Kind) {
        self.remove(&arrival.path);
        let kind = Kind::of(&arrival.path);
        let held = kind.is_some_and(|k| k != counts);
        let from = if held { arrival.complete + TWIN } else { arrival.complete };
        let taken = if self.by_time { io::capture_time(&arrival.path) } else { None };
        let waiting = Waiting { from, since: arrival.complete, tries: 0, taken, arrival };
        self.insert(waiting);
    }

    /// Puts a file back, to be tried again in a while.
    pub(crate) fn again(&mut self, mut waiting: Waiting, after: Duration) {
        if self.list.iter().any(|w| w.arrival.path == waiting.arrival.path) {
            // It came anew meanwhile.
            return;
        }
        waiting.tries += 1;
        waiting.from = Instant::now() + after;
        self.insert(waiting);
    }

    /// Forgets a file.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.list.retain(|w| w.arrival.path != path);
    }

    /// The next file whose time has come.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        let now = Instant::now();
        let k = self.list.iter().position(|w| w.from <= now)?;
        Some(self.list.remove(k))
    }

    /// All but the newest of the files whose time has come and that came while the folder was watched.
    pub(crate) fn late(&mut self) -> Vec<Waiting> {
        let now = Instant::now();
        let live = |w: &Waiting| w.from <= now && !w.arrival.existing && w.tries == 0;
        let Some(newest) = self.list.iter().filter(|w| live(w)).map(|w| w.since).max() else {
            return Vec::new();
        };
        self.list.extract_if(.., |w| live(w) && w.since < newest).collect()
    }

    /// Of the files that were there at the start, keeps those of the last `n` frames in order, and says which were left
    /// out. What came since stays.
    pub(crate) fn keep_last(&mut self, n: usize) -> Vec<Waiting> {
        let mut kept = HashSet::new();
        for w in self.list.iter().rev().filter(|w| w.arrival.existing) {
            if kept.len() < n {
                kept.insert(frame(&w.arrival.path));
            }
        }
        let out = |w: &Waiting| w.arrival.existing && !kept.contains(&frame(&w.arrival.path));
        self.list.extract_if(.., |w| out(w)).collect()
    }

    fn insert(&mut self, waiting: Waiting) {
        let before = |w: &Waiting| match (&w.taken, &waiting.taken) {
            (Some(a), Some(b)) if a != b => a < b,
            // A file without a time goes by its name, after those that have one.
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => io::natural(&w.arrival.path, &waiting.arrival.path).is_le(),
        };
        let k = self.list.partition_point(before);
        self.list.insert(k, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Print;

    fn arrival(name: &str) -> Arrival {
        Arrival {
            path: name.into(),
            print: Print { size: 1, modified_ns: 1 },
            complete: Instant::now(),
            existing: false,
        }
    }

    fn names(arrivals: &mut Arrivals) -> Vec<String> {
        std::iter::from_fn(|| arrivals.next()).map(|w| w.arrival.path.display().to_string()).collect()
    }

    #[test]
    fn names_count_and_new_content_takes_the_place_of_old() {
        let mut arrivals = Arrivals::new(false);
        for name in ["b10.jpg", "b9.jpg", "a.jpg", "b9.jpg"] {
            arrivals.add(arrival(name), Kind::Jpeg);
        }
        assert_eq!(names(&mut arrivals), ["a.jpg", "b9.jpg", "b10.jpg"]);
    }

    #[test]
    fn the_file_that_does_not_count_waits_for_the_one_that_does() {
        let mut arrivals = Arrivals::new(false);
        arrivals.add(arrival("x.cr2"), Kind::Jpeg);
        assert!(arrivals.next().is_none() && arrivals.waits(Path::new("x.cr2")));
        arrivals.add(arrival("x.JPG"), Kind::Jpeg);
        assert_eq!(names(&mut arrivals), ["x.JPG"]);
        arrivals.add(arrival("y.cr2"), Kind::Raw);
        assert_eq!(names(&mut arrivals), ["y.cr2"]);
    }

    #[test]
    fn only_the_newest_is_kept_where_frames_are_late() {
        let mut arrivals = Arrivals::new(false);
        for name in ["c.png", "b.png", "a.png"] {
            arrivals.add(arrival(name), Kind::Jpeg);
            std::thread::sleep(Duration::from_millis(2));
        }
        arrivals.add(Arrival { existing: true, ..arrival("0.png") }, Kind::Jpeg);
        assert_eq!(arrivals.late().len(), 2);
        assert_eq!(names(&mut arrivals), ["0.png", "a.png"]);
    }
}
