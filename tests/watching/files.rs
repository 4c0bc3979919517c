//! What happens to single files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Instant, SystemTime};

use livestack::watch::{Arrival, News, Print, Setup};

use crate::common::Place;
use crate::scene::*;

#[test]
fn a_file_that_grows_arrives_once_and_whole() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.path("a.jpg");
        let mut file = File::create(&path).expect("created");
        for _ in 0..10 {
            file.write_all(b"half of it").expect("written");
            std::thread::sleep(SETTLE / 4);
        }
        drop(file);
        assert_eq!(scene.arrives(&path).print.size, 100);
        scene.silent();
    }
}

#[test]
fn a_file_that_nobody_closes_arrives_when_it_stands_still_and_again_when_it_goes_on() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.path("a.jpg");
        let mut file = File::create(&path).expect("created");
        file.write_all(b"half").expect("written");
        assert_eq!(scene.arrives(&path).print.size, 4);
        file.write_all(b"and half").expect("written");
        scene.changes(&path);
        assert_eq!(scene.arrives(&path).print.size, 12);
        drop(file);
        scene.silent();
    }
}

#[test]
fn a_closed_file_does_not_wait_to_stand_still() {
    let place = Place::new();
    let folder = place.folder("hot");
    let mut scene = Scene::with(place, Setup { settle: HOUR, ..setup(&folder, None) });
    assert_eq!(scene.next(), News::Scanned);
    let before = Instant::now();
    let path = scene.write("a.jpg", "whole");
    let arrival = scene.arrives(&path);
    assert!(!arrival.existing && arrival.complete >= before && arrival.complete <= Instant::now());
}

#[test]
fn writers_may_open_and_close_several_times() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.path("a.jpg");
        for part in ["header", "data", "checksum"] {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("opens");
            file.write_all(part.as_bytes()).expect("written");
        }
        // What came of the first parts, if anything, is taken back before the whole arrives.
        let mut last = scene.next();
        while let News::Arrived(Arrival { print, .. }) = last {
            if print.size == 18 {
                break;
            }
            scene.changes(&path);
            last = scene.next();
        }
        assert_eq!(
            last,
            News::Arrived(Arrival { print: Print::of(&path).expect("there"), ..arrived(&last) })
        );
        scene.silent();
    }
}

fn arrived(news: &News) -> Arrival {
    match news {
        News::Arrived(arrival) => arrival.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_renamed_in_from_hidden_and_unfinished_names_and_elsewhere() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let elsewhere = scene.place.path("b.jpg");
        std::fs::write(&elsewhere, "from elsewhere").expect("written");
        let hidden = scene.write(".a.jpg.AbCdEf", "of rsync");
        for name in
            [".hidden.jpg", "c.jpg.tmp", "c.tmp", "d.jpg.part", "d.jpg.filepart", "d.crdownload", "Thumbs.db"]
        {
            scene.write(name, "nobody's");
        }
        std::fs::create_dir(scene.path("folder.jpg")).expect("folder");
        scene.write("folder.jpg/inside.jpg", "not looked into");
        scene.silent();
        std::fs::rename(&hidden, scene.path("a.jpg")).expect("renamed");
        let path = scene.path("a.jpg");
        scene.arrives(&path);
        std::fs::rename(&elsewhere, scene.path("b.jpg")).expect("renamed");
        let path = scene.path("b.jpg");
        scene.arrives(&path);
        scene.silent();
    }
}

#[test]
fn the_same_name_overwritten_in_place_and_by_a_rename_arrives_again() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.write("a.jpg", "first");
        scene.arrives(&path);
        scene.write("a.jpg", "second");
        scene.changes(&path);
        scene.arrives(&path);
        std::fs::rename(scene.write("next.tmp", "third of another size"), &path).expect("renamed");
        scene.changes(&path);
        scene.arrives(&path);
        scene.silent();
    }
}

#[test]
fn a_file_of_equal_size_and_time_renamed_over_another_arrives_again() {
    let mut scene = Scene::new(None);
    let (path, next) = (scene.write("a.jpg", "first"), scene.write("next.tmp", "other"));
    scene.arrives(&path);
    set_time(&next, std::fs::metadata(&path).expect("there").modified().expect("a time"));
    std::fs::rename(&next, &path).expect("renamed");
    scene.changes(&path);
    scene.arrives(&path);
}

#[test]
fn what_is_removed_is_told_if_it_had_arrived() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let path = scene.write("a.jpg", "whole");
        scene.arrives(&path);
        std::fs::remove_file(&path).expect("removed");
        scene.changes(&path);
        // Removed while it is waited for: empty files are waited for longest.
        std::fs::remove_file(scene.write("b.jpg", "")).expect("removed");
        scene.silent();
        let path = scene.write("a.jpg", "whole");
        scene.arrives(&path);
    }
}

#[test]
fn an_empty_file_is_reported_late_and_one_without_rights_too() {
    use std::os::unix::fs::PermissionsExt;
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        let empty = scene.write("empty.jpg", "");
        let locked = scene.write("locked.jpg", "nobody may read it");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o0)).expect("rights");
        scene.arrives(&locked);
        scene.arrives(&empty);
    }
}

#[test]
fn names_are_bytes() {
    use std::os::unix::ffi::OsStrExt;
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        for name in
            [&b"with space.jpg"[..], "Mond\u{e4}\u{fc}.JPG".as_bytes(), b"two\nlines.jpg", b"\xff\xfe.fits"]
        {
            let path = scene.write(OsStr::from_bytes(name), "whole");
            scene.arrives(&path);
        }
    }
}

#[test]
fn links_to_files_are_files_and_what_is_no_file_is_ignored() {
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        std::os::unix::fs::symlink("/nowhere", scene.path("dangling.jpg")).expect("link");
        std::os::unix::fs::symlink("loop.jpg", scene.path("loop.jpg")).expect("link");
        let fifo = std::process::Command::new("mkfifo").arg(scene.path("fifo.jpg")).status().expect("mkfifo");
        assert!(fifo.success());
        let target = scene.place.path("target.jpg");
        std::fs::write(&target, "whole").expect("written");
        std::os::unix::fs::symlink(&target, scene.path("link.jpg")).expect("link");
        let link = scene.path("link.jpg");
        scene.arrives(&link);
        scene.silent();
    }
}

#[test]
fn own_files_are_no_news() {
    for poll in BOTH {
        let place = Place::new();
        let folder = place.folder("hot");
        std::fs::write(folder.join("stack.png"), "own").expect("written");
        let own = Box::new(|path: &Path| path.ends_with("stack.png"));
        let mut scene = Scene::with(place, Setup { own, ..setup(&folder, poll) });
        assert_eq!(scene.next(), News::Scanned);
        scene.write("stack.png", "own again");
        scene.silent();
        let path = scene.write("light.png", "another's");
        scene.arrives(&path);
    }
}

#[test]
fn what_was_there_comes_first_in_natural_order_and_what_is_known_does_not_come() {
    for poll in BOTH {
        let place = Place::new();
        let folder = place.folder("hot");
        for name in ["IMG_10.jpg", "IMG_9.jpg", "known.jpg", "other.jpg"] {
            std::fs::write(folder.join(name), name).expect("written");
            set_time(&folder.join(name), SystemTime::now() - HOUR);
        }
        std::fs::write(folder.join("new.jpg"), "just now").expect("written");
        set_time(&folder.join("new.jpg"), SystemTime::now() + HOUR);
        let print = |name: &str| (folder.join(name), Print::of(&folder.join(name)).expect("there"));
        let mut known = HashMap::from([print("known.jpg")]);
        known.insert(folder.join("other.jpg"), Print { size: 1, modified_ns: -1 });
        known.insert(folder.join("removed.jpg"), Print { size: 1, modified_ns: -1 });
        let mut scene = Scene::with(place, Setup { known, ..setup(&folder, poll) });
        let mut changed = [scene.next(), scene.next()];
        changed.sort_by_key(|news| format!("{news:?}"));
        assert_eq!(changed, ["other.jpg", "removed.jpg"].map(|name| News::Changed(folder.join(name))));
        for name in ["IMG_9.jpg", "IMG_10.jpg", "other.jpg"] {
            assert!(scene.arrives(&folder.join(name)).existing);
        }
        assert!(scene.arrives(&folder.join("new.jpg")).existing, "its time lies ahead, yet it stands still");
        assert_eq!(scene.next(), News::Scanned, "what may have been complete at the start is waited for");
        scene.silent();
    }
}

#[test]
fn thousands_at_once_arrive_once_each() {
    const FILES: usize = 2000;
    for poll in BOTH {
        let mut scene = Scene::new(poll);
        for n in 0..FILES {
            scene.write(format!("IMG_{n}.jpg"), "whole");
        }
        let mut names = std::collections::HashSet::new();
        while names.len() < FILES {
            let News::Arrived(arrival) = scene.next() else { panic!("only arrivals") };
            assert!(names.insert(arrival.path.clone()), "{:?} came twice", arrival.path);
        }
        scene.silent();
    }
}
