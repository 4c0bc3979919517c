//! What happens to the folder, and to the watch.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Instant;

use livestack::watch::{News, Print, Setup, Watcher};

use crate::common::Place;
use crate::scene::*;

#[test]
fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.write("a.jpg", "first");
        scene.arrives(&path);
        std::fs::rename(&scene.folder, scene.place.path("away")).expect("renamed");
        scene.notes("gone");
        std::fs::create_dir(&scene.folder).expect("folder");
        scene.notes("back");
        scene.changes(&path);
        scene.write("a.jpg", "another first");
        scene.arrives(&path);
        std::fs::remove_dir_all(&scene.folder).expect("removed");
        // Whether the file or the folder was seen to go first.
        let told = scene.next();
        if told == News::Changed(path.clone()) {
            scene.notes("gone");
        } else {
            assert!(matches!(told, News::Note(text) if text.contains("gone")));
        }
        scene.silent();
    }
}

#[test]
fn a_folder_that_is_replaced_in_no_time_is_read_afresh() {
    let mut scene = Scene::new(None);
    let path = scene.write("a.jpg", "first");
    scene.arrives(&path);
    let (next, away) = (scene.place.folder("next"), scene.place.path("away"));
    std::fs::write(next.join("b.jpg"), "of the next folder").expect("written");
    std::fs::rename(&scene.folder, &away).expect("renamed");
    std::fs::rename(&next, &scene.folder).expect("renamed");
    match scene.next() {
        // It was looked for between the two.
        News::Note(text) if text.contains("gone") => scene.notes("back"),
        News::Note(text) => assert!(text.contains("another one"), "{text}"),
        other => panic!("{other:?}"),
    }
    scene.changes(&path);
    let path = scene.path("b.jpg");
    scene.arrives(&path);
    // The folder that was watched before lives on under another name: nobody's business.
    std::fs::write(away.join("c.jpg"), "elsewhere").expect("written");
    std::fs::write(away.join("b.jpg"), "elsewhere").expect("written");
    scene.silent();
    let path = scene.write("d.jpg", "here");
    scene.arrives(&path);
}

#[test]
fn a_folder_renamed_away_and_back_brings_only_what_is_new() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.write("a.jpg", "first");
        scene.arrives(&path);
        let away = scene.place.path("away");
        std::fs::rename(&scene.folder, &away).expect("renamed");
        scene.notes("gone");
        std::fs::write(away.join("b.jpg"), "meanwhile").expect("written");
        scene.silent();
        std::fs::rename(&away, &scene.folder).expect("renamed");
        scene.notes("back");
        let path = scene.path("b.jpg");
        scene.arrives(&path);
        scene.silent();
        let path = scene.write("c.jpg", "third");
        scene.arrives(&path);
    }
}

#[test]
fn a_folder_that_came_back_brings_events_again() {
    let place = Place::new();
    place.folder("hot");
    // Nothing ever stands still that long: what arrives was seen to be closed.
    let mut scene =
        Scene::with_setup(place, |place| Setup { settle: HOUR, ..setup(&place.path("hot"), None) });
    assert_eq!(scene.next(), News::Scanned);
    let away = scene.place.path("away");
    std::fs::rename(&scene.folder, &away).expect("renamed");
    scene.notes("gone");
    std::fs::rename(&away, &scene.folder).expect("renamed");
    scene.notes("back");
    let path = scene.write("a.jpg", "whole");
    scene.arrives(&path);
    std::fs::remove_dir_all(&scene.folder).expect("removed");
    while !matches!(scene.next(), News::Note(text) if text.contains("gone")) {}
    std::fs::create_dir(&scene.folder).expect("folder");
    while !matches!(scene.next(), News::Note(text) if text.contains("back")) {}
    let path = scene.write("b.jpg", "whole");
    loop {
        match scene.next() {
            News::Changed(_) => {}
            News::Arrived(arrival) => break assert_eq!(arrival.path, path),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_that_is_not_there_yet_is_waited_for() {
    for poll in BOTH {
        let place = Place::new();
        let mut scene = Scene::with_setup(place, |place| setup(&place.path("later"), poll));
        scene.notes("gone");
        std::fs::create_dir(&scene.folder).expect("folder");
        scene.notes("back");
        assert_eq!(scene.next(), News::Scanned);
        let path = scene.write("a.jpg", "whole");
        scene.arrives(&path);
    }
}

/// Runs `mount` or `umount`; `false` where that is not allowed.
fn mounts(words: &[&str], point: &Path) -> bool {
    let done = Command::new(words[0]).args(&words[1..]).arg(point).output();
    done.is_ok_and(|output| output.status.success())
}

/// Unmounts in the end, whatever happens.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        while mounts(&["umount", "-l"], self.0) {}
    }
}

#[test]
fn a_share_that_goes_away_and_comes_back_brings_only_what_is_new() {
    let place = Place::new();
    let (share, hot) = (place.folder("share"), place.folder("hot"));
    let bound = ["mount", "--bind", share.to_str().expect("a plain name")];
    let (_share, _hot) = (Unmounted(&share), Unmounted(&hot));
    if !mounts(&["mount", "-t", "tmpfs", "tmpfs"], &share) || !mounts(&bound, &hot) {
        eprintln!("*** not tested: nothing can be mounted here");
        return;
    }
    for poll in BOTH {
        for name in ["a.jpg", "c.jpg"] {
            let _ = std::fs::remove_file(share.join(name));
        }
        let mut scene = Scene::with_setup(Place::new(), |_| setup(&hot, poll));
        assert_eq!(scene.next(), News::Scanned);
        let path = scene.write("a.jpg", "first");
        scene.arrives(&path);
        assert!(mounts(&["umount", "-l"], &hot));
        scene.notes("another one");
        std::fs::write(share.join("c.jpg"), "meanwhile").expect("written");
        scene.silent();
        assert!(mounts(&bound, &hot));
        scene.notes("another one");
        let path = scene.path("c.jpg");
        scene.arrives(&path);
        scene.silent();
    }
}

#[test]
fn events_that_the_system_drops_lose_no_file() {
    const QUEUE: &str = "/proc/sys/fs/inotify/max_queued_events";
    const FILES: usize = 300;
    let length = std::fs::read_to_string(QUEUE).expect("the length of the queue");
    // A queue has the length that holds when it is made.
    if std::fs::write(QUEUE, "1").is_err() {
        eprintln!("*** not tested: the queue of events cannot be shortened here");
        return;
    }
    let scene = std::panic::catch_unwind(|| Scene::new(None));
    std::fs::write(QUEUE, length).expect("as before");
    let mut scene = scene.expect("a watch");
    for n in 0..FILES {
        scene.write(format!("{n}.jpg"), "whole");
    }
    let mut names = std::collections::HashSet::new();
    while names.len() < FILES {
        let News::Arrived(arrival) = scene.next() else { panic!("only arrivals") };
        assert!(names.insert(arrival.path.clone()), "{:?} came twice", arrival.path);
        assert_eq!(Print::of(&arrival.path).expect("there"), arrival.print);
    }
    scene.silent();
}

/// Descriptors of this process that belong to event queues.
fn queues() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
}

/// Own process: other tests make queues, too.
#[test]
fn a_watch_that_is_dropped_ends_at_once_and_leaves_nothing_open() {
    const ALONE: &str = "LIVESTACK_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = Command::new(std::env::current_exe().expect("this test"));
        alone.args(["--exact", "folder::a_watch_that_is_dropped_ends_at_once_and_leaves_nothing_open"]);
        let output = alone.env(ALONE, "1").output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.write("a.jpg", "whole");
        scene.arrives(&path);
        assert_eq!(queues(), usize::from(poll.is_none()));
        drop(scene.watcher);
        assert!(scene.news.recv().is_err(), "the thread has ended: nobody can tell any news");
        let asked = Instant::now();
        while queues() > 0 && asked.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        assert_eq!(queues(), 0);
    }
}

#[test]
fn a_receiver_that_is_gone_ends_the_thread() {
    struct Ends(std::sync::mpsc::Sender<()>);
    for poll in BOTH {
        let place = Place::new();
        let folder = place.folder("hot");
        let (ends, ended) = channel();
        let ends = Ends(ends);
        let news = move |_| {
            let _whole = &ends.0;
            false
        };
        let watcher = Watcher::start(setup(&folder, poll), news).expect("a watch");
        assert_eq!(ended.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
        drop(watcher);
    }
}
