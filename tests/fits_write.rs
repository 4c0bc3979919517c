//! FITS files that livestack writes: numbers, cards, sums.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::PathBuf;

use livestack::error::Error;
use livestack::frame::SampleType;
use livestack::io::{self, Card, Value};
use livestack::sensor::Bayer;
use livestack::tags::Kind;
use tempfile::TempDir;

const BLOCK: usize = 2880;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stack.fits");
    (dir, path)
}

/// Numbers without a pattern, and those at the ends of what floats can be.
fn numbers(count: usize) -> Vec<f32> {
    let ends = [-0.0, 1e-45, f32::MIN_POSITIVE, f32::MAX, -f32::MAX, 0.1, 65535.0];
    let noise = (0..count).map(|k| (k as f32 * 0.731).sin() * 1e3);
    ends.into_iter().chain(noise).take(count).collect()
}

fn bits(levels: &[f32]) -> Vec<u32> {
    levels.iter().map(|level| level.to_bits()).collect()
}

#[test]
fn what_is_written_reads_back_bit_for_bit() {
    // 8192x6 are more samples than are turned around at a time; 720 fill a block.
    for (width, height) in [(1, 1), (37, 21), (36, 20), (8192, 6)] {
        for channels in [1, 3] {
            let (_dir, path) = place();
            let data = numbers(width * height * channels);
            io::write_fits(&path, width, height, channels, &data, &[]).unwrap();
            let len = std::fs::metadata(&path).unwrap().len() as usize;
            assert_eq!(len, BLOCK + (data.len() * 4).next_multiple_of(BLOCK));
            let frame = io::read(&path, Vec::new()).unwrap();
            let shape = frame.shape;
            assert_eq!((shape.width, shape.height, shape.channels), (width, height, channels));
            assert_eq!((shape.sample, shape.mosaic), (SampleType::F32, None));
            assert_eq!(frame.words, bits(&data), "{width}x{height}x{channels}");
            let cards = io::read_cards(&path).unwrap();
            let keys: Vec<&str> = cards.iter().map(|card| card.key.as_str()).collect();
            // In the order that the standard demands.
            let order = ["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3"];
            let axes = if channels == 1 { 5 } else { 6 };
            assert_eq!(keys[..axes], order[..axes]);
            assert!(io::data_intact(&path).unwrap());
        }
    }
}

#[test]
fn numbers_that_are_none_are_stored_as_they_are() {
    let (_dir, path) = place();
    let data = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0];
    io::write_fits(&path, 2, 2, 1, &data, &[]).unwrap();
    let file = std::fs::read(&path).unwrap();
    let stored: Vec<u8> = data.iter().flat_map(|level| level.to_be_bytes()).collect();
    assert_eq!(file[BLOCK..BLOCK + 16], stored);
    // Whoever reads it masks them.
    assert_eq!(io::read(&path, Vec::new()).unwrap().words, bits(&[0.0, 0.0, 0.0, 1.0]));
}

#[test]
fn cards_read_back_equal() {
    let text = |text: &str| Value::Text(text.to_owned());
    let cards = [
        Card { key: "EXPTIME".into(), value: Value::Real(12.1), comment: "[s] exposure".into() },
        Card::new("SMALL", Value::Real(-1.234_567_890_123_456_7e-300)),
        Card::new("LARGE", Value::Real(1e21)),
        Card::new("LEAST", Value::Real(5e-324)),
        Card::new("ZERO", Value::Real(-0.0)),
        Card::new("STACKCNT", Value::Integer(i64::MIN)),
        Card { key: "FLAG".into(), value: Value::Logical(false), comment: "no".into() },
        Card { key: "OBJECT".into(), value: text("Barnard's star"), comment: "name".into() },
        Card::new("EMPTY", text("")),
        Card::new(
            "LONG",
            text("it's ''quoted'' & long, with / and a blank at each end of a card. ".repeat(9).trim()),
        ),
        Card::new("QUOTES", text(&"'".repeat(100))),
        Card::new("AND", text(&"&".repeat(150))),
        Card { key: "LAST".into(), value: text("long ".repeat(20).trim()), comment: "of two cards".into() },
        Card::new("A-KEY_99", Value::Integer(-7)),
        Card::new("COMMENT", text("what is not said elsewhere")),
        Card::new("HISTORY", text("= 'quoted' / and more")),
    ];
    let (_dir, path) = place();
    io::write_fits(&path, 3, 2, 1, &numbers(6), &cards).unwrap();
    let read = io::read_cards(&path).unwrap();
    assert_eq!(read[5..][..cards.len()], cards);
    let bits = |card: &Card| if let Value::Real(number) = card.value { number.to_bits() } else { 0 };
    assert!(read[5..].iter().zip(&cards).all(|(read, written)| bits(read) == bits(written)));
    let keys: Vec<&str> = read[5 + cards.len()..].iter().map(|card| card.key.as_str()).collect();
    assert_eq!(keys, ["DATASUM", "CHECKSUM"]);
    assert!(io::data_intact(&path).unwrap());

    // Each card has 80 characters of ASCII.
    let file = std::fs::read(&path).unwrap();
    let header = &file[..file.len() - BLOCK];
    assert!(header.len() % BLOCK == 0 && header.iter().all(|byte| (b' '..=b'~').contains(byte)));
    assert!(
        header.chunks(80).any(|card| card.starts_with(b"EXPTIME =                 12.1 / [s] exposure "))
    );
}

#[test]
fn what_does_not_fit_is_cut_and_what_is_not_ascii_is_marked() {
    let cards = [
        Card { key: "NAME".into(), value: Value::Text("é\n→".into()), comment: "ü".repeat(200) },
        Card::new("HISTORY", Value::Text("ä".repeat(100))),
    ];
    let (_dir, path) = place();
    io::write_fits(&path, 1, 1, 1, &[1.0], &cards).unwrap();
    let read = io::read_cards(&path).unwrap();
    assert_eq!(read[5].value, Value::Text("???".into()));
    assert!(read[5].comment.len() > 40 && read[5].comment.bytes().all(|c| c == b'?'));
    assert_eq!(read[6].value, Value::Text("?".repeat(72)));
    assert_eq!(read[7].value, Value::Text("?".repeat(28)));
}

#[test]
fn what_no_header_can_hold_is_refused() {
    let (dir, path) = place();
    let one = Value::Integer(1);
    for (key, value) in [
        ("", one.clone()),
        ("LOWERcas", one.clone()),
        ("NINECHARS", one.clone()),
        ("ÄÖ", one.clone()),
        ("A B", one.clone()),
        ("END", one.clone()),
        ("BITPIX", one.clone()),
        ("BZERO", one.clone()),
        ("CHECKSUM", one),
        ("GAIN", Value::Real(f64::NAN)),
        ("GAIN", Value::Real(f64::INFINITY)),
    ] {
        let error = io::write_fits(&path, 1, 1, 1, &[1.0], &[Card::new(key, value)]).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("stack.fits"), "{key}");
    }
    for (width, channels) in [(2, 1), (1, 2), (0, 1)] {
        assert!(io::write_fits(&path, width, 1, channels, &[1.0], &[]).is_err());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_changed_byte_is_noticed() {
    let (_dir, path) = place();
    io::write_fits(&path, 36, 20, 3, &numbers(36 * 20 * 3), &[Card::new("GAIN", Value::Real(1.5))]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // In the card's value, in the data, at their end.
    let gain = whole.windows(4).position(|part| part == b"1.5 ").unwrap();
    for place in [gain, BLOCK, BLOCK + 4321, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(!io::data_intact(&path).unwrap(), "{place}");
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(!io::data_intact(&path).unwrap());
    let without = |keys: &[&str], data: &[u8]| {
        let lost = |card: &&[u8]| keys.iter().any(|key| card.starts_with(key.as_bytes()));
        let mut file: Vec<u8> =
            whole[..BLOCK].chunks(80).filter(|card| !lost(card)).flatten().copied().collect();
        file.resize(BLOCK, b' ');
        std::fs::write(&path, [&file, data].concat()).unwrap();
        io::data_intact(&path).unwrap()
    };
    // The sum of the data alone; and a file that makes no promise breaks none.
    let data = &whole[BLOCK..];
    let mut changed = data.to_vec();
    changed[77] ^= 1;
    assert!(without(&["CHECKSUM"], data) && !without(&["CHECKSUM"], &changed));
    assert!(without(&["DATASUM", "CHECKSUM"], &changed));
}

#[test]
fn a_master_reads_as_one() {
    let text = |key: &str, text: &str| Card::new(key, Value::Text(text.to_owned()));
    let cards = [
        text("IMAGETYP", "Master Dark"),
        Card::new("STACKCNT", Value::Integer(40)),
        Card::new("EXPTIME", Value::Real(0.1)),
        text("BAYERPAT", "GBRG"),
        text("DATE-OBS", "2024-09-13T01:05:23.124"),
    ];
    let (_dir, path) = place();
    io::write_fits(&path, 4, 4, 1, &numbers(16), &cards).unwrap();
    let frame = io::read(&path, Vec::new()).unwrap();
    assert_eq!(frame.shape.mosaic, Some(Bayer::Gbrg));
    assert_eq!((frame.tags.kind, frame.tags.master_of), (Some(Kind::Dark), Some(40)));
    assert_eq!(frame.tags.exposure_s, Some(0.1));
    assert_eq!(io::capture_time(&path).as_deref(), Some("2024-09-13T01:05:23.124"));
}
