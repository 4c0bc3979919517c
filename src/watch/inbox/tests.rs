//! Events as the system gives them.

use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};

use super::*;

/// What is pending after these events of `/hot`, each with a name in it; none for the folder itself.
fn after(events: &[(EventKind, &str)]) -> Pending {
    let inbox = Inbox::default();
    for (kind, name) in events {
        let folder = Path::new("/hot");
        let path = if name.is_empty() { folder.to_owned() } else { folder.join(name) };
        inbox.put(folder, Ok(Event::new(*kind).add_path(path)));
    }
    inbox.wait(Instant::now())
}

const CREATED: EventKind = EventKind::Create(CreateKind::File);
const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
const RIGHTS: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
const MOVED_IN: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
const MOVED_OUT: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);

/// What the events say of `a.jpg`.
fn hint_after(kinds: &[EventKind]) -> Option<Hint> {
    let events: Vec<_> = kinds.iter().map(|kind| (*kind, "a.jpg")).collect();
    after(&events).touched.get(&OsString::from("a.jpg")).map(|(_, hint)| *hint)
}

#[test]
fn the_last_thing_that_happened_counts() {
    assert!(matches!(hint_after(&[CREATED, WRITTEN, CLOSED]), Some(Hint::Closed(_))));
    assert!(matches!(hint_after(&[CLOSED, RIGHTS]), Some(Hint::Closed(_))), "times are set after the close");
    assert_eq!(hint_after(&[CLOSED, WRITTEN]), Some(Hint::Written));
    assert_eq!(hint_after(&[CLOSED, REMOVED, CREATED]), Some(Hint::Written), "another file, not closed yet");
    assert!(matches!(hint_after(&[MOVED_IN]), Some(Hint::RenamedIn(_))));
    assert_eq!(hint_after(&[MOVED_IN, MOVED_OUT]), Some(Hint::Written));
    assert_eq!(hint_after(&[OPENED]), None);
}

#[test]
fn names_that_are_no_frames_wake_nobody() {
    let pending =
        after(&[(CLOSED, ".a.jpg"), (CLOSED, "a.jpg.tmp"), (CLOSED, "a.jpg.part"), (CLOSED, "a.txt")]);
    assert!(pending.touched.is_empty() && !pending.urgent());
}

#[test]
fn writes_are_gathered_and_closes_wake() {
    let inbox = Inbox::default();
    let put = |kind| inbox.put(Path::new("/hot"), Ok(Event::new(kind).add_path("/hot/a.jpg".into())));
    let long = Instant::now() + Duration::from_secs(60);
    put(WRITTEN);
    let asleep = Instant::now();
    assert_eq!(inbox.wait(long).touched.len(), 1);
    assert!(asleep.elapsed() >= LULL / 2, "it did not wait for more");
    put(CLOSED);
    assert!(inbox.lock().urgent());
    assert_eq!(inbox.wait(long).touched.len(), 1);
}

#[test]
fn lost_events_lead_to_a_look_at_everything() {
    let inbox = Inbox::default();
    inbox.put(Path::new("/hot"), Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    let pending = inbox.wait(Instant::now() + Duration::from_secs(60));
    assert!(pending.rescan && !pending.lost);
    inbox.put(Path::new("/hot"), Err(notify::Error::generic("broken")));
    assert!(inbox.wait(Instant::now() + Duration::from_secs(60)).lost);
}

#[test]
fn what_happens_to_the_folder_is_told_apart() {
    assert!(after(&[(EventKind::Remove(RemoveKind::Other), "")]).lost);
    assert!(after(&[(MOVED_OUT, "")]).lost);
    let rights = after(&[(RIGHTS, "")]);
    assert!(rights.rescan && !rights.lost);
    let opened = after(&[(OPENED, "")]);
    assert!(!opened.rescan && !opened.lost, "own looks must not lead to more looks");
}

#[test]
fn limits_are_named() {
    let named = |error: notify::Error, limit: &str| match why(&error) {
        NoEvents::System(text) => assert!(text.contains(limit), "{text}"),
        NoEvents::Folder => panic!("{limit}"),
    };
    named(notify::Error::new(ErrorKind::MaxFilesWatch), "max_user_watches");
    named(notify::Error::io(std::io::Error::from_raw_os_error(TOO_MANY_FILES)), "max_user_instances");
    for gone in [ErrorKind::PathNotFound, ErrorKind::Io(std::io::ErrorKind::NotFound.into())] {
        assert_eq!(why(&notify::Error::new(gone)), NoEvents::Folder);
    }
}

#[test]
fn a_stop_ends_the_wait() {
    let inbox = Arc::new(Inbox::default());
    let theirs = Arc::clone(&inbox);
    let thread = std::thread::spawn(move || theirs.wait(Instant::now() + Duration::from_secs(60)).urgent());
    inbox.stop();
    assert!(!thread.join().expect("it ended"));
}
