//! What no test from outside can time: a folder that goes between an event and the look.

use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A look at a folder with `a.jpg`, which is known, and what is told from then on.
fn looked(folder: &Path) -> (Patrol<impl FnMut(News) -> bool + use<>>, Receiver<News>) {
    let file = folder.join("a.jpg");
    std::fs::write(&file, "whole").expect("written");
    let known = [(file.clone(), Print::of(&file).expect("there"))].into();
    let settle = Duration::from_secs(1);
    let setup = Setup { folder: folder.to_owned(), poll: None, settle, own: Box::new(|_| false), known };
    let (out, news) = channel();
    let mut patrol = Patrol::new(setup, Arc::new(Inbox::default()), move |news| out.send(news).is_ok());
    assert!(patrol.look().is_ok() && patrol.open().is_ok());
    assert_eq!(news.try_recv(), Ok(News::Scanned));
    (patrol, news)
}

/// The patrol is told that something happened to `a.jpg`.
fn touch(patrol: &mut Patrol<impl FnMut(News) -> bool>) {
    let mut pending = Pending::default();
    pending.touched.insert("a.jpg".into(), (Instant::now(), Hint::Written));
    assert!(patrol.round(pending).is_ok());
}

#[test]
fn a_file_that_is_not_found_in_a_folder_that_has_gone_is_not_removed() {
    let place = tempfile::tempdir().expect("folder");
    let (folder, away) = (place.path().join("hot"), place.path().join("away"));
    std::fs::create_dir(&folder).expect("folder");
    let (mut patrol, news) = looked(&folder);
    std::fs::rename(&folder, &away).expect("renamed");
    touch(&mut patrol);
    assert!(matches!(news.try_recv(), Ok(News::Note(text)) if text.contains("gone")));
    std::fs::rename(&away, &folder).expect("renamed");
    assert!(patrol.look().is_ok());
    assert!(matches!(news.try_recv(), Ok(News::Note(text)) if text.contains("back")));
    std::fs::remove_file(folder.join("a.jpg")).expect("removed");
    touch(&mut patrol);
    assert_eq!(news.try_recv(), Ok(News::Changed(folder.join("a.jpg"))), "in the folder itself it is");
}

#[test]
fn a_file_that_became_an_own_one_while_it_was_waited_for_wakes_nobody() {
    let place = tempfile::tempdir().expect("folder");
    let (mut patrol, news) = looked(place.path());
    std::fs::write(place.path().join("a.jpg"), "written on").expect("written");
    touch(&mut patrol);
    assert_eq!(news.try_recv(), Ok(News::Changed(place.path().join("a.jpg"))));
    assert!(patrol.settler.next_due().is_some());
    patrol.own = Box::new(|_| true);
    touch(&mut patrol);
    assert_eq!(patrol.settler.next_due(), None);
}
