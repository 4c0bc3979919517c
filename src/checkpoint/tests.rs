//! Tests of the file: whatever happens to it is noticed.

use super::*;
use crate::error::Error;
use std::fs;

/// Sections of the examples.
const NUMBERS: [u16; 5] = [3, 1, 4, 1, 5];

fn example(folder: &Path, mark: u8) -> Result<Duration> {
    store(folder, |to| {
        to.value("numbers", &NUMBERS)?;
        to.section("plane", &[mark; 300])?;
        to.section("nothing", &[])
    })
}

/// Reads all of an example; gives its mark.
fn read(path: &Path) -> Result<u8> {
    let mut from = Reader::open(path)?;
    let mut plane = [0; 300];
    assert_eq!(from.value::<[u16; 5]>("numbers")?, NUMBERS);
    from.section_into("plane", &mut plane)?;
    from.section_into("nothing", &mut [])?;
    from.end()?;
    assert!(plane.iter().all(|b| *b == plane[0]), "a wrong plane was taken for a right one");
    Ok(plane[0])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("folder");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn two_are_kept_whatever_fails() {
    let place = tempfile::tempdir().expect("folder");
    let [newest, older] = NAMES.map(|name| place.path().join(name));
    example(place.path(), 1).expect("stored");
    assert_eq!((read(&newest).expect("whole"), names(place.path())), (1, vec![NAMES[0].to_owned()]));
    for mark in 2..5 {
        example(place.path(), mark).expect("stored");
        assert_eq!((read(&newest).expect("whole"), read(&older).expect("whole")), (mark, mark - 1));
        let failed = store(place.path(), |to| {
            to.section("plane", &[9; 300])?;
            to.section("plane", &[9; 300])
        });
        assert!(failed.is_err_and(|e| e.to_string().contains("doubled")));
        assert_eq!((read(&newest).expect("whole"), read(&older).expect("whole")), (mark, mark - 1));
        assert_eq!(names(place.path()), NAMES.map(str::to_owned));
    }
    // The newest is gone: the older one stays till there are two again.
    fs::remove_file(&newest).expect("removed");
    example(place.path(), 7).expect("stored");
    assert_eq!((read(&newest).expect("whole"), read(&older).expect("whole")), (7, 3));
}

#[test]
fn a_file_system_without_second_names_keeps_two_too() {
    let place = tempfile::tempdir().expect("folder");
    let elsewhere = tempfile::tempdir().expect("folder");
    let none = |_: &Path, _: &Path| Err(io::ErrorKind::Unsupported.into());
    let put = |mark: u8| {
        example(elsewhere.path(), mark).expect("stored");
        let file = NamedTempFile::new_in(place.path()).expect("file");
        fs::copy(elsewhere.path().join(NAMES[0]), file.path()).expect("copied");
        super::place(file, place.path(), none)
    };
    example(place.path(), 1).expect("stored");
    for mark in 2..4 {
        put(mark).expect("placed");
        let held = NAMES.map(|name| read(&place.path().join(name)).expect("whole"));
        assert_eq!((held, names(place.path()).len()), ([mark, mark - 1], NAMES.len()));
    }
    // Nothing to put in place: what there was goes back.
    let file = NamedTempFile::new_in(place.path()).expect("file");
    fs::remove_file(file.path()).expect("removed");
    assert!(super::place(file, place.path(), none).is_err());
    assert_eq!(read(&place.path().join(NAMES[0])).expect("whole"), 3);
}

#[test]
fn there_is_a_whole_one_at_every_moment() {
    const ROUNDS: u8 = 40;
    let place = tempfile::tempdir().expect("folder");
    example(place.path(), 0).expect("stored");
    let path = place.path().join(NAMES[0]);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for mark in 1..=ROUNDS {
                example(place.path(), mark).expect("stored");
            }
        });
        let mut last = 0;
        while !writing.is_finished() {
            let mark = read(&path).expect("whole at every moment");
            assert!(mark >= last, "{mark} after {last}");
            last = mark;
        }
        writing.join().expect("written");
    });
    assert_eq!(read(&path).expect("whole"), ROUNDS);
}

#[test]
fn what_a_killed_process_left_is_swept_and_nothing_else() {
    let place = tempfile::tempdir().expect("folder");
    example(place.path(), 1).expect("stored");
    for name in
        [".livestack-checkpoint-a1.tmp", ".livestack-checkpoint-a1-second.tmp", ".livestack-x.tmp", "b.tmp"]
    {
        fs::write(place.path().join(name), "half").expect("written");
    }
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(crate::io::sweep(place.path(), minute), 0, "young ones may be somebody else's");
    assert_eq!(crate::io::sweep(place.path(), std::time::Duration::ZERO), 3);
    assert_eq!(names(place.path()), ["b.tmp", NAMES[0]]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_an_error() {
    let place = tempfile::tempdir().expect("folder");
    example(place.path(), 1).expect("stored");
    let path = place.path().join(NAMES[0]);
    let whole = fs::read(&path).expect("read");
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).expect("written");
        let error = read(&path).expect_err("damaged");
        assert!(matches!(error, Error::Decode { .. } | Error::Mismatch { .. }), "bit {bit}: {error}");
    }
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).expect("written");
        assert!(matches!(read(&path), Err(Error::Decode { .. })), "cut to {len} bytes");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).expect("written");
    assert!(read(&path).is_err(), "a byte too many");
    fs::write(&path, &whole).expect("written");
    assert_eq!(read(&path).expect("whole"), 1, "the check is blind");
}

/// A file of these headers and payloads, its table's checksum right.
fn made(version: u32, sections: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut table = MAGIC.to_vec();
    table.extend(version.to_le_bytes());
    let mut file = table.clone();
    for (name, len, payload) in sections {
        let head = header(name, *len, crc32fast::hash(payload));
        table.extend(&head);
        file.extend(head.iter().chain(*payload));
    }
    let end: Vec<u8> = [0].into_iter().chain((sections.len() as u32).to_le_bytes()).collect();
    table.extend(&end);
    file.extend(end.into_iter().chain(crc32fast::hash(&table).to_le_bytes()));
    file
}

#[test]
fn tables_that_lie_are_refused() {
    let place = tempfile::tempdir().expect("folder");
    let path = place.path().join("checkpoint");
    let open = |bytes: Vec<u8>| {
        fs::write(&path, bytes).expect("written");
        Reader::open(&path).map(|from| from.sections().count()).map_err(|e| e.to_string())
    };
    assert_eq!(open(made(VERSION, &[("a", 2, b"xy"), ("b", 0, b"")])), Ok(2));
    let refused = |what: &str, bytes: Vec<u8>| {
        let error = open(bytes).expect_err(what);
        assert!(error.contains(what) && error.ends_with("checkpoint"), "{what}: {error}");
    };
    refused("format 2, this livestack reads 1", made(2, &[("a", 2, b"xy")]));
    refused("`a` is doubled", made(VERSION, &[("a", 2, b"xy"), ("a", 0, b"")]));
    refused("cut in section `a`", made(VERSION, &[("a", u64::MAX, b"xy")]));
    refused("cut in section `a`", made(VERSION, &[("a", 1 << 40, b"xy")]));
    refused("cut", made(VERSION, &[]).into_iter().take(14).collect());
    refused("does not begin", b"FITS is no checkpoint of ours".to_vec());
    refused("is cut", Vec::new());
}

#[test]
fn sections_are_what_they_are_taken_for() {
    let place = tempfile::tempdir().expect("folder");
    example(place.path(), 1).expect("stored");
    let open = || Reader::open(&place.path().join(NAMES[0])).expect("whole");
    assert_eq!((open().len("plane"), open().len("plan")), (Some(300), None));
    let refused = |what: &str, error: Error| assert!(error.to_string().contains(what), "{what}: {error}");
    refused("`plan` is missing", open().section_into("plan", &mut [0; 300]).expect_err("missing"));
    refused("300 bytes, expected 301", open().section_into("plane", &mut [0; 301]).expect_err("short"));
    refused("1 bytes too many", open().value::<[u16; 4]>("numbers").expect_err("longer"));
    refused("section `numbers`", open().value::<[u16; 6]>("numbers").expect_err("shorter"));
    refused("holds more than expected: section `numbers`", open().end().expect_err("not read"));
    let error = Reader::open(place.path()).err().expect("a folder");
    refused("expected a file", error);
    // A length in a value is believed as far as there are bytes.
    store(place.path(), |to| to.section("long", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))
        .expect("stored");
    refused("section `long`", open().value::<Vec<u64>>("long").expect_err("too long"));
}
