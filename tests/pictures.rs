//! Order of frames, writing of pictures, turning.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use livestack::error::Error;
use livestack::frame::{Orientation, SampleType};
use livestack::io;

fn sorted(names: &[&str]) -> Vec<String> {
    let mut paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
    paths.sort_by(|a, b| io::natural(a, b));
    paths.iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn names_are_in_natural_order() {
    let expected = [
        "1.jpg",
        "2.jpg",
        "10.jpg",
        "99999999999999999999999999999999999998.jpg",
        "99999999999999999999999999999999999999.jpg",
        "100000000000000000000000000000000000000.jpg",
        "B1.jpg",
        "IMG_08.jpg",
        "IMG_8.jpg",
        "IMG_9.jpg",
        "IMG_9a.jpg",
        "IMG_0010.jpg",
        "IMG_10.jpg",
        "IMG_10_2.jpg",
        "IMG_10_10.jpg",
        "IMG_9999.jpg",
        "IMG_a.jpg",
        "a1",
        "a1.jpg",
        "b/a2.jpg",
        "a/a10.jpg",
        "b/a10.jpg",
        "a-1.jpg",
        "b/c01.jpg",
        "a/c1.jpg",
        "é1.jpg",
    ];
    // Checked against the key of runs as numbers and texts, compared as lists; then name, then path.
    for rotation in 0..expected.len() {
        let mut names = expected;
        names.rotate_left(rotation);
        names[..9].reverse();
        assert_eq!(sorted(&names), expected);
    }
}

#[test]
fn a_folder_is_listed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f10.jpg", "f9.JPG", "f9.png", "x.tmp", ".f1.jpg", "notes10.txt", "notes9.txt", "f1.jpg.tmp"]
    {
        std::fs::write(dir.path().join(name), b"").unwrap();
    }
    std::fs::create_dir(dir.path().join("folder.jpg")).unwrap();
    let names = |paths: &[PathBuf]| -> Vec<String> {
        paths.iter().map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string()).collect()
    };
    let listing = io::list_images(dir.path()).unwrap();
    assert_eq!(names(&listing.images), ["f9.JPG", "f9.png", "f10.jpg"]);
    assert_eq!(names(&listing.passed_over), ["notes9.txt", "notes10.txt"]);
    assert!(matches!(io::list_images(&dir.path().join("missing")), Err(Error::Io { .. })));
}

/// The names in a folder, hidden ones too.
fn names(dir: &Path) -> BTreeSet<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn written_pictures_read_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (17, 13), (257, 129)] {
        for channels in [1, 3] {
            let n = width * height * channels;
            let levels: Vec<u16> =
                (0..n as u32).map(|k| ((k + 1).wrapping_mul(2_654_435_761) >> 13) as u16).collect();
            let bytes: Vec<u8> = levels.iter().map(|level| *level as u8).collect();
            let floats: Vec<f32> = levels.iter().map(|level| f32::from(*level) + 2.5).collect();
            let path = |name: &str| dir.path().join(name);
            io::write_png8(&path("8.png"), width, height, channels, &bytes).unwrap();
            io::write_png16(&path("16.png"), width, height, channels, &levels).unwrap();
            io::write_tiff_f32(&path("f.tif"), width, height, channels, &floats).unwrap();
            for (name, sample, expected) in [
                ("8.png", SampleType::U8, &bytes[..]),
                ("16.png", SampleType::U16, bytemuck::cast_slice(&levels)),
                ("f.tif", SampleType::F32, bytemuck::cast_slice(&floats)),
            ] {
                let frame = io::read(&path(name), Vec::new()).unwrap();
                let shape = frame.shape;
                assert_eq!((shape.width, shape.height, shape.channels), (width, height, channels));
                assert_eq!(shape.sample, sample);
                assert!(frame.bytes() == expected, "{name} {width}x{height}x{channels}");
            }
        }
    }
    let expected = ["16.png", "8.png", "f.tif"].map(String::from);
    assert_eq!(names(dir.path()), BTreeSet::from(expected), "temporary files are left");
}

#[test]
fn a_target_is_replaced_and_a_bare_name_goes_to_the_current_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.txt");
    io::write_text(&path, "a long first version").unwrap();
    io::write_text(&path, "second").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");

    let bare = Path::new("livestack-test-of-a-bare-name.txt");
    io::write_text(bare, "here").unwrap();
    assert_eq!(std::fs::read_to_string(bare).unwrap(), "here");
    std::fs::remove_file(bare).unwrap();
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_names_the_target() {
    let dir = tempfile::tempdir().unwrap();
    // A folder that is not empty can be replaced by a file by no one, the superuser included.
    let taken = dir.path().join("taken.png");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("inside"), b"kept").unwrap();
    let old = dir.path().join("old.png");
    std::fs::write(&old, b"old").unwrap();
    let before = names(dir.path());
    let missing = dir.path().join("missing/a.png");
    let wide = vec![0_u8; 12];
    let failures = [
        (&taken, io::write_png8(&taken, 2, 2, 3, &wide)),
        (&taken, io::write_png16(&taken, 2, 2, 1, &[1, 2, 3, 4])),
        (&taken, io::write_tiff_f32(&taken, 2, 2, 1, &[1.0; 4])),
        (&taken, io::write_text(&taken, "text")),
        (&missing, io::write_text(&missing, "text")),
        // Samples that do not make the picture.
        (&old, io::write_png8(&old, 2, 2, 1, &wide)),
        (&old, io::write_png8(&old, 3, 2, 2, &wide)),
        (&old, io::write_png16(&old, 0, 2, 1, &[])),
        (&old, io::write_tiff_f32(&old, usize::MAX, 2, 3, &[1.0])),
    ];
    for (path, failure) in failures {
        let Err(Error::Io { path: named, .. }) = &failure else { panic!("{failure:?}") };
        assert_eq!(named, path);
    }
    assert_eq!(names(dir.path()), before);
    assert_eq!(std::fs::read(&old).unwrap(), b"old");
    assert_eq!(std::fs::read(taken.join("inside")).unwrap(), b"kept");
}

#[cfg(unix)]
#[test]
fn written_files_have_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (ours, plain) = (dir.path().join("ours.txt"), dir.path().join("plain.txt"));
    io::write_text(&ours, "text").unwrap();
    std::fs::write(&plain, "text").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&ours), mode(&plain));
    assert_ne!(mode(&ours), 0o600, "the umask of the test itself hides what is tested");
}

/// Where pixel (x, y) of the turned picture comes from, word by word from the EXIF table: the visual top and
/// left of the stored first row and column.
fn source(x: usize, y: usize, width: usize, height: usize, orientation: u8) -> (usize, usize) {
    match orientation {
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        8 => (width - 1 - y, x),
        _ => (x, y),
    }
}

#[test]
fn all_orientations_turn_as_defined() {
    for (width, height) in [(1, 1), (3, 2), (17, 13), (1, 70), (100, 33)] {
        for channels in [1, 2, 3] {
            let data: Vec<u32> = (0..(width * height * channels) as u32).collect();
            for orientation in 0..=9 {
                let (turned, w, h) = io::turn(&data, width, height, channels, Orientation(orientation));
                let swapped = (5..=8).contains(&orientation);
                assert_eq!((w, h), if swapped { (height, width) } else { (width, height) });
                assert_eq!(turned.len(), data.len());
                for (k, sample) in turned.iter().enumerate() {
                    let (x, y, c) = (k / channels % w, k / channels / w, k % channels);
                    let (from_x, from_y) = source(x, y, width, height, orientation);
                    let expected = data[(from_y * width + from_x) * channels + c];
                    assert_eq!(*sample, expected, "{width}x{height}x{channels} {orientation} ({x}, {y})");
                }
            }
        }
    }
}

#[test]
fn a_camera_held_upright_is_turned_clockwise() {
    // Orientation 6: the stored first row is the visual right, the stored first column the visual top.
    let (turned, width, height) = io::turn(b"abcdef", 3, 2, 1, Orientation(6));
    assert_eq!((&turned[..], width, height), (&b"daebfc"[..], 2, 3));
    assert!(io::turn::<u8>(&[], 0, 5, 3, Orientation(6)).0.is_empty());
}
