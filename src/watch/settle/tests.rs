//! The rules on a clock that is moved by hand.

use super::*;

const SETTLE: Duration = Duration::from_millis(500);

/// A settler, and the time.
struct Scene {
    settler: Settler,
    start: Instant,
    ms: u64,
}

impl Scene {
    fn new(known: &[(&str, Print)]) -> Scene {
        let known = known.iter().map(|(name, print)| (OsString::from(name), *print));
        Scene { settler: Settler::new(SETTLE, known), start: Instant::now(), ms: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn seen(&self, print: Print) -> Seen {
        Seen { print, file: 7, at: self.now() }
    }

    /// `a.jpg` is found like this at `ms`.
    fn see(&mut self, ms: u64, print: Print, hint: Hint) -> Vec<Verdict> {
        self.ms = ms;
        let mut out = Vec::new();
        self.settler.see(OsStr::new("a.jpg"), &self.seen(print), hint, &mut out);
        out
    }

    /// Closed at `ms`, and seen then.
    fn close(&mut self, ms: u64, print: Print) -> Vec<Verdict> {
        self.ms = ms;
        let at = self.now();
        self.see(ms, print, Hint::Closed(at))
    }

    /// The folder holds these.
    fn list(&mut self, ms: u64, files: &[(&str, Print)], missing: Missing) -> Vec<Verdict> {
        self.ms = ms;
        let mut out = Vec::new();
        let files: Vec<_> =
            files.iter().map(|(name, print)| (OsString::from(name), Some(self.seen(*print)))).collect();
        self.settler.listed(&files, |_| Hint::None, missing, &mut out);
        out
    }

    fn arrived(&self, print: Print, at_ms: u64, existing: bool) -> Verdict {
        let complete = self.start + Duration::from_millis(at_ms);
        Verdict::Arrived { name: "a.jpg".into(), print, complete, existing }
    }

    /// When the next look is due.
    fn due_ms(&self) -> Option<u64> {
        let due = self.settler.next_due()?;
        u64::try_from(due.duration_since(self.start).as_millis()).ok()
    }
}

fn print(size: u64, modified_ns: i64) -> Print {
    Print { size, modified_ns }
}

fn changed() -> Verdict {
    Verdict::Changed("a.jpg".into())
}

#[test]
fn a_file_that_stands_still_is_complete() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.see(0, print(10, 1), Hint::None), []);
    assert_eq!(scene.see(400, print(20, 2), Hint::Written), []);
    assert_eq!(scene.see(500, print(20, 2), Hint::None), []);
    assert_eq!(scene.due_ms(), Some(900));
    assert_eq!(scene.see(899, print(20, 2), Hint::None), []);
    assert_eq!(scene.see(900, print(20, 2), Hint::None), [scene.arrived(print(20, 2), 900, false)]);
    assert_eq!(scene.see(2000, print(20, 2), Hint::Written), [], "each content once");
    assert_eq!(scene.due_ms(), None);
}

#[test]
fn one_look_is_not_enough_to_know_that_a_file_stands_still() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.see(0, print(10, 1), Hint::None), []);
    assert_eq!(
        scene.see(5000, print(11, 1), Hint::None),
        [],
        "it grew since the last look, however long ago"
    );
    assert_eq!(scene.see(5500, print(11, 1), Hint::None).len(), 1);
}

#[test]
fn without_a_time_to_stand_still_two_looks_are_needed() {
    let mut scene = Scene::new(&[]);
    scene.settler.settle = Duration::ZERO;
    assert_eq!(scene.see(0, print(10, 1), Hint::None), []);
    assert_eq!(scene.see(1, print(11, 1), Hint::None), []);
    assert_eq!(scene.see(2, print(11, 1), Hint::None), [scene.arrived(print(11, 1), 2, false)]);
}

#[test]
fn times_that_go_back_or_lie_ahead_delay_nothing() {
    let mut scene = Scene::new(&[]);
    for (ms, time) in [(0, i64::MAX), (100, 5), (200, i64::MIN)] {
        assert_eq!(scene.see(ms, print(10, time), Hint::Written), []);
    }
    assert_eq!(scene.see(700, print(10, i64::MIN), Hint::None).len(), 1);
}

#[test]
fn a_closed_file_is_complete_at_once_unless_it_is_opened_again() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.see(0, print(10, 1), Hint::Written), []);
    assert_eq!(scene.close(100, print(10, 1)), []);
    assert_eq!(scene.due_ms(), Some(110));
    assert_eq!(scene.see(105, print(10, 2), Hint::Written), [], "opened and written again");
    assert_eq!(scene.see(110, print(10, 2), Hint::None), []);
    assert_eq!(scene.close(200, print(30, 3)), []);
    assert_eq!(scene.see(210, print(30, 3), Hint::None), [scene.arrived(print(30, 3), 200, false)]);
}

#[test]
fn a_time_that_is_set_after_the_close_is_no_other_content() {
    let mut scene = Scene::new(&[]);
    scene.close(100, print(10, 500));
    assert_eq!(scene.see(105, print(10, 1), Hint::None), []);
    assert_eq!(scene.see(110, print(10, 1), Hint::None), [scene.arrived(print(10, 1), 100, false)]);
}

#[test]
fn a_file_that_grows_after_its_close_without_a_word_stands_still_first() {
    let mut scene = Scene::new(&[]);
    scene.close(100, print(10, 1));
    assert_eq!(scene.see(110, print(11, 1), Hint::None), []);
    assert_eq!(scene.due_ms(), Some(610));
}

#[test]
fn an_empty_file_is_waited_for_even_when_closed() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.close(0, print(0, 1)), []);
    assert_eq!(scene.due_ms(), Some(2000));
    assert_eq!(scene.see(1999, print(0, 1), Hint::None), []);
    assert_eq!(scene.see(2000, print(0, 1), Hint::None), [scene.arrived(print(0, 1), 2000, false)]);
}

#[test]
fn overwriting_is_told_before_the_new_content() {
    let mut scene = Scene::new(&[]);
    scene.close(0, print(10, 1));
    scene.see(10, print(10, 1), Hint::None);
    assert_eq!(scene.see(1000, print(0, 2), Hint::Written), [changed()]);
    assert_eq!(scene.see(1001, print(5, 3), Hint::Written), [], "told once");
    scene.close(1100, print(10, 4));
    assert_eq!(scene.see(1110, print(10, 4), Hint::None), [scene.arrived(print(10, 4), 1100, false)]);
}

#[test]
fn another_file_of_the_same_size_and_time_is_known_by_its_number() {
    let mut scene = Scene::new(&[]);
    scene.close(0, print(10, 1));
    scene.see(10, print(10, 1), Hint::None);
    let at = scene.now();
    let mut out = Vec::new();
    let other = Seen { print: print(10, 1), file: 8, at };
    scene.settler.see(OsStr::new("a.jpg"), &other, Hint::None, &mut out);
    assert_eq!(out, [], "numbers change with remounts; only a rename means another file");
    scene.settler.see(OsStr::new("a.jpg"), &Seen { file: 9, ..other }, Hint::RenamedIn(at), &mut out);
    assert_eq!(out, [changed()]);
    assert_eq!(scene.settler.due(at + AFTER_CLOSE), ["a.jpg"]);
}

#[test]
fn what_is_known_is_no_news_until_it_changes() {
    let mut scene = Scene::new(&[("a.jpg", print(10, 1)), ("gone.jpg", print(1, 1))]);
    let gone = Verdict::Changed("gone.jpg".into());
    assert_eq!(scene.list(0, &[("a.jpg", print(10, 1))], Missing::Removed), [gone]);
    assert_eq!(scene.close(100, print(10, 1)), []);
    assert_eq!(scene.due_ms(), None);
    assert_eq!(scene.see(200, print(10, 2), Hint::None), [changed()]);
}

#[test]
fn what_was_there_at_the_start_says_so_until_it_is_overwritten() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.see(0, print(10, 1), Hint::Existing(true)), [scene.arrived(print(10, 1), 0, true)]);
    scene.close(100, print(20, 2));
    assert_eq!(scene.see(110, print(20, 2), Hint::None), [scene.arrived(print(20, 2), 100, false)]);
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.see(0, print(10, 1), Hint::Existing(false)), []);
    assert_eq!(scene.see(500, print(10, 1), Hint::None), [scene.arrived(print(10, 1), 500, true)]);
}

#[test]
fn a_file_that_vanishes_is_forgotten() {
    let mut scene = Scene::new(&[("a.jpg", print(10, 1))]);
    let mut out = Vec::new();
    scene.settler.vanished(OsStr::new("a.jpg"), &mut out);
    scene.settler.vanished(OsStr::new("a.jpg"), &mut out);
    assert_eq!(out, [changed()]);
    scene.see(0, print(10, 1), Hint::None);
    scene.settler.vanished(OsStr::new("a.jpg"), &mut out);
    assert_eq!(out.len(), 1, "nobody was told of it");
    assert!(scene.settler.handed.is_empty() && scene.settler.growing.is_empty());
}

#[test]
fn a_share_may_go_and_come_back_once() {
    let a = ("a.jpg", print(10, 1));
    let mut scene = Scene::new(&[a, ("b.jpg", print(20, 1))]);
    assert_eq!(scene.list(0, &[], Missing::ShareGone), []);
    assert_eq!(scene.list(3000, &[], Missing::Removed), []);
    let gone = Verdict::Changed("b.jpg".into());
    assert_eq!(scene.list(6000, &[a], Missing::ShareGone), [gone], "a is back, b is not");
    assert_eq!(scene.list(9000, &[a], Missing::Removed), []);
    assert_eq!(scene.list(9999, &[], Missing::FolderReplaced), [changed()]);
}

#[test]
fn what_cannot_be_looked_at_is_neither_removed_nor_complete() {
    let mut scene = Scene::new(&[("a.jpg", print(10, 1))]);
    scene.list(0, &[("a.jpg", print(10, 1)), ("b.jpg", print(1, 1))], Missing::Removed);
    let unclear = [("a.jpg".into(), None), ("b.jpg".into(), None)];
    let mut out = Vec::new();
    scene.settler.listed(&unclear, |_| Hint::None, Missing::Removed, &mut out);
    scene.settler.unclear(OsStr::new("b.jpg"), scene.start + SETTLE);
    assert_eq!(out, []);
    assert_eq!(scene.due_ms(), Some(1000));
}
