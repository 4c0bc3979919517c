//! Where ready masters are kept, so that a second start need not read the frames again: FITS files of 32-bit floats in
//! a hidden folder beside the folder of the frames, or where the user says. What is damaged, foreign or of other
//! frames is made again, never an error.

use super::{About, Master, MasterRule};
use crate::error::{Error, Result};
use crate::frame::{SampleType, Shape};
use crate::io::{self, Card, Value};
use crate::sensor::Bayer;
use crate::tags::Kind;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The hidden folder beside the folder of the frames.
const FOLDER: &str = ".livestack-cache";
/// What the file's name ends in.
const END: &str = ".fits";
/// Version of what is written: others are made again.
const VERSION: i64 = 1;
/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 32;
/// FNV-1a, 64 bits: offset basis and prime. Source: RFC 9923.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Another start, so that two hashes of the same bytes are 128 bits: the golden ratio's fraction.
const OTHER_START: u64 = 0x9e37_79b9_7f4a_7c15;

/// Our own keywords.
const LS_VERSION: &str = "LSMASTER";
const LS_KEY: &str = "LSKEY";
const LS_SAMPLE: &str = "LSSAMPLE";
const LS_RULE: &str = "LSRULE";
const LS_BLACK: [&str; 4] = ["LSBLACK0", "LSBLACK1", "LSBLACK2", "LSBLACK3"];
const LS_WHITE: &str = "LSWHITE";
const LS_LINEAR: &str = "LSLINEAR";
const LS_ALIKE: &str = "LSALIKE";
const SAMPLES: [(SampleType, &str); 3] =
    [(SampleType::U8, "U8"), (SampleType::U16, "U16"), (SampleType::F32, "F32")];

/// The key of a master: changes with the names, sizes and times of its files, its rule, whatever else matters, and
/// with the way that masters are made and kept. In any order of `files`, wherever their folder stands.
#[must_use]
pub fn key(files: &[PathBuf], rule: &str, extra: &str) -> String {
    let mut entries: Vec<_> = files.iter().map(|file| entry(file)).collect();
    entries.sort();
    let mut text = format!("{VERSION}\0{rule}\0{extra}\0").into_bytes();
    text.extend(entries.concat());
    format!("{:016x}{:016x}", fnv(FNV_START, &text), fnv(OTHER_START, &text))
}

/// Name, size and time of a file; a name has no byte 0.
fn entry(file: &Path) -> Vec<u8> {
    let mut entry = file.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let (size, time) = match fs::metadata(file) {
        Ok(data) => (data.len(), data.modified().ok()),
        Err(_) => (0, None),
    };
    let since = time.map(|time| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => format!("{}", after.as_nanos()),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    });
    entry.extend(format!("\0{size}\0{}\0", since.unwrap_or_default()).bytes());
    entry
}

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Where the master of the frames in `folder` is kept: in `cache`, or beside the folder. `what` is `dark`, `flat` and so
/// on.
#[must_use]
pub fn cached_path(folder: &Path, cache: Option<&Path>, what: &str, key: &str) -> PathBuf {
    let whole = fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
    let whole = whole.unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or_default();
    let plain: String = name
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    // Beside the folder its name says which it is, also where all of it has moved; elsewhere its place does.
    let (place, told) = match cache {
        Some(cache) => (cache.to_owned(), whole.as_os_str()),
        None => (whole.parent().unwrap_or(&whole).join(FOLDER), name),
    };
    let own = fnv(FNV_START, told.as_encoded_bytes()) as u32;
    place.join(format!("{what}-{plain}-{own:08x}-{key}{END}"))
}

/// The master of that key; `None` where there is none, or it is not as it was written.
#[must_use]
pub fn load(path: &Path, key: &str) -> Option<Master> {
    let cards = io::read_cards(path).ok()?;
    (text(&cards, LS_KEY)? == key).then_some(())?;
    master(path, &cards)
}

/// The master that the FITS file `path` is, where livestack wrote it, whatever its key; else `None`.
#[must_use]
pub fn ready(path: &Path) -> Option<Master> {
    master(path, &io::read_cards(path).ok()?)
}

/// Keeps a master of the frames in `kind`, and removes those of older states of the same folder.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn store(path: &Path, key: &str, kind: Kind, master: &Master) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|e| Error::io("cannot create the folder of masters", folder, e))?;
    }
    write(path, Some(key), kind, master)?;
    for old in siblings(path, key) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// Writes a master: FITS, 32-bit floats, with what it was made of.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write(path: &Path, key: Option<&str>, kind: Kind, master: &Master) -> Result<()> {
    let mut turned = None;
    if master.about.bottom_up {
        // Every master lies the same way.
        turned.insert(master.clone()).turn();
    }
    let master = turned.as_ref().unwrap_or(master);
    let Shape { width, height, channels, .. } = master.shape;
    io::write_fits(path, width, height, channels, &master.levels, &cards(master, kind, key))
}

/// Other files of the same frames: those whose name differs in the key only.
fn siblings(path: &Path, key: &str) -> Vec<PathBuf> {
    let end = format!("{key}{END}");
    let Some((folder, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Some(start) = name.strip_suffix(&end) else { return Vec::new() };
    let own = |entry: fs::DirEntry| {
        let other = entry.file_name();
        let other = other.to_str()?.strip_prefix(start)?.strip_suffix(END)?;
        let is_key = other.len() == KEY_DIGITS && other.bytes().all(|b| b.is_ascii_hexdigit());
        (is_key && other != key).then(|| entry.path())
    };
    fs::read_dir(folder).map(|entries| entries.flatten().filter_map(own).collect()).unwrap_or_default()
}

fn cards(master: &Master, kind: Kind, key: Option<&str>) -> Vec<Card> {
    let about = &master.about;
    let text = |key: &str, text: &str| Some(Card::new(key, Value::Text(text.to_owned())));
    let real = |key: &str, number: Option<f64>| number.map(|n| Card::new(key, Value::Real(n)));
    let truth = |key: &str, truth: bool| Some(Card::new(key, Value::Logical(truth)));
    let whole = |key: &str, number: i64| Some(Card::new(key, Value::Integer(number)));
    let sample = SAMPLES.iter().find(|(sample, _)| *sample == master.shape.sample);
    let mut all = vec![
        text("IMAGETYP", &format!("Master {}", kind.name())),
        whole("STACKCNT", i64::try_from(master.frames).unwrap_or(i64::MAX)),
        real("EXPTIME", about.exposure_s),
        real("ISOSPEED", about.iso),
        real("GAIN", about.gain),
        real("CCD-TEMP", about.temperature_c),
        about.camera.as_deref().and_then(|camera| text("INSTRUME", camera)),
        master.shape.mosaic.and_then(|bayer| text("BAYERPAT", bayer.name())),
        whole(LS_VERSION, VERSION),
        key.and_then(|key| text(LS_KEY, key)),
        sample.and_then(|(_, name)| text(LS_SAMPLE, name)),
        about.rule.and_then(|rule| text(LS_RULE, rule.name())),
        real(LS_WHITE, about.white.map(f64::from)),
        truth(LS_LINEAR, about.linear),
        truth(LS_ALIKE, about.alike),
    ];
    all.extend(LS_BLACK.iter().zip(about.black).map(|(key, black)| real(key, Some(f64::from(black)))));
    all.into_iter().flatten().collect()
}

fn find<'a>(cards: &'a [Card], key: &str) -> Option<&'a Value> {
    cards.iter().find(|card| card.key == key).map(|card| &card.value)
}

fn text<'a>(cards: &'a [Card], key: &str) -> Option<&'a str> {
    if let Value::Text(text) = find(cards, key)? { Some(text) } else { None }
}

fn number(cards: &[Card], key: &str) -> Option<f64> {
    match find(cards, key)? {
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        Value::Text(_) | Value::Logical(_) => None,
    }
}

/// The master in the file whose cards these are.
fn master(path: &Path, cards: &[Card]) -> Option<Master> {
    (number(cards, LS_VERSION)? == VERSION as f64).then_some(())?;
    let bytes = io::read_intact(path).ok()??;
    let black: Vec<f32> =
        LS_BLACK.iter().map(|key| number(cards, key).map(|n| n as f32)).collect::<Option<_>>()?;
    let logical = |key: &str| find(cards, key) == Some(&Value::Logical(true));
    let about = About {
        rule: text(cards, LS_RULE).and_then(MasterRule::named),
        exposure_s: number(cards, "EXPTIME"),
        iso: number(cards, "ISOSPEED"),
        gain: number(cards, "GAIN"),
        temperature_c: number(cards, "CCD-TEMP"),
        camera: text(cards, "INSTRUME").map(str::to_owned),
        black: black.try_into().ok()?,
        white: number(cards, LS_WHITE).map(|white| white as f32),
        linear: logical(LS_LINEAR),
        bottom_up: false,
        alike: logical(LS_ALIKE),
    };
    let name = text(cards, LS_SAMPLE)?;
    let (sample, _) = SAMPLES.iter().find(|(_, own)| *own == name)?;
    let frame = io::decode_bytes(path, bytes, Vec::new())
        .ok()
        .filter(|frame| frame.shape.sample == SampleType::F32)?;
    let mosaic = text(cards, "BAYERPAT").and_then(Bayer::named);
    Some(Master {
        shape: Shape { sample: *sample, mosaic, ..frame.shape },
        levels: bytemuck::cast_vec(frame.words),
        frames: number(cards, "STACKCNT")? as usize,
        about,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Master {
        let shape =
            Shape { width: 4, height: 2, channels: 1, sample: SampleType::U16, mosaic: Some(Bayer::Gbrg) };
        let about = About {
            rule: Some(MasterRule::Sigma),
            exposure_s: Some(0.1),
            iso: Some(800.0),
            temperature_c: Some(-10.5),
            camera: Some("Camera 1".into()),
            black: [511.3, 512.0, 513.0, 0.1],
            white: Some(13_000.7),
            linear: true,
            alike: true,
            ..About::default()
        };
        Master { shape, levels: vec![-1.5, 0.1, 2.0, 1e-30, 65_535.0, 3.0, 0.0, 7.25], frames: 12, about }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let place = tempfile::tempdir().expect("folder");
        let folder = place.path().join("my darks");
        fs::create_dir(&folder).expect("folder");
        let path = cached_path(&folder, None, "dark", &"a".repeat(32));
        store(&path, &"a".repeat(32), Kind::Dark, &sample()).expect("stored");
        let back = load(&path, &"a".repeat(32)).expect("loaded");
        assert_eq!((back.shape, &back.levels, back.frames), (sample().shape, &sample().levels, 12));
        assert_eq!(back.about, sample().about);
        assert!(load(&path, &"b".repeat(32)).is_none(), "another key");
        assert_eq!(ready(&path).expect("a master").frames, 12);
        assert_eq!(io::read(&path, Vec::new()).expect("FITS").tags.master_of, Some(12));
    }

    #[test]
    fn damage_means_to_make_it_again() {
        let place = tempfile::tempdir().expect("folder");
        let path = place.path().join("m.fits");
        write(&path, Some("k"), Kind::Flat, &sample()).expect("written");
        let good = fs::read(&path).expect("bytes");
        assert!(load(&path, "k").is_some());
        for k in (0..good.len()).step_by(97).chain([good.len() - 2880]) {
            let mut bad = good.clone();
            bad[k] ^= 1;
            fs::write(&path, &bad).expect("written");
            assert!(load(&path, "k").is_none(), "byte {k} of {}", good.len());
            fs::write(&path, &good[..k]).expect("written");
            assert!(load(&path, "k").is_none(), "cut at {k}");
        }
        fs::remove_file(&path).expect("removed");
        assert!(load(&path, "k").is_none());
    }

    #[test]
    fn a_key_is_of_names_sizes_times_and_rule() {
        let place = tempfile::tempdir().expect("folder");
        let (a, b) = (place.path().join("a.fits"), place.path().join("b.fits"));
        fs::write(&a, "one").expect("written");
        fs::write(&b, "three").expect("written");
        let (ab, ba) = ([a.clone(), b.clone()], [b.clone(), a.clone()]);
        let first = key(&ab, "median", "");
        assert_eq!(first.len(), KEY_DIGITS);
        assert_eq!(first, key(&ba, "median", ""), "the order of the files");
        let mut seen =
            vec![first, key(&ab, "sigma", ""), key(&ab, "median", "x"), key(&ab[..1], "median", "")];
        let file = fs::OpenOptions::new().append(true).open(&a).expect("file");
        let modified = fs::metadata(&a).and_then(|d| d.modified()).expect("time");
        file.set_modified(modified + std::time::Duration::from_nanos(1000)).expect("set");
        seen.push(key(&ab, "median", ""));
        fs::write(&a, "four").expect("written");
        file.set_modified(modified).expect("set");
        seen.push(key(&ab, "median", ""));
        fs::rename(&a, place.path().join("c.fits")).expect("renamed");
        seen.push(key(&[b, place.path().join("c.fits")], "median", ""));
        let mut unlike = seen.clone();
        unlike.sort();
        unlike.dedup();
        assert_eq!(unlike.len(), seen.len(), "{seen:?}");
    }

    #[test]
    fn only_our_own_old_masters_of_the_same_folder_go() {
        let place = tempfile::tempdir().expect("folder");
        let (new, old) = ("1".repeat(32), "2".repeat(32));
        let (one, two) = (place.path().join("x/dark"), place.path().join("y/dark"));
        let cache = place.path().join("cache");
        let put = |folder: &Path, what: &str, key: &str| {
            let path = cached_path(folder, Some(&cache), what, key);
            store(&path, key, Kind::Dark, &sample()).expect("stored");
            path
        };
        let gone = put(&one, "dark", &old);
        let others = [put(&two, "dark", &old), put(&one, "flat", &old)];
        let foreign = PathBuf::from(format!("{}x", gone.display()));
        fs::write(&foreign, "mine").expect("written");
        let kept = put(&one, "dark", &new);
        assert!(kept.exists() && !gone.exists() && foreign.exists());
        assert!(others.iter().all(|path| path.exists()));
    }
}
