//! RAW files: real ones against what LibRaw reads, DNGs made by hand against what was put into them, and damaged
//! ones.
//!
//! The expected values were read with rawpy 0.28.0 (LibRaw 0.22.2): `raw_image` is the whole sensor, `raw_colors` its
//! colours, `black_level_per_channel`, `white_level`, `camera_whitebalance`; the hash is FNV-1a, 64 bits, over the
//! little-endian bytes of `raw_image[top:top + height, left:left + width]`, where (left, top) is the one place of
//! `raw_image` at which it equals what is read here.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared with formats.rs, which uses other parts of it")]
#[path = "common/files.rs"]
mod files;

use std::path::{Path, PathBuf};

use files::{Tag, noise16, read, refused, tiff_by_hand};
use livestack::frame::{Frame, Orientation, SampleType};
use livestack::io;
use livestack::sensor::{Bayer, NO_MATRIX};

const NEF: &str = "raw-nef-nikon-d1/RAW_NIKON_D1.NEF";
const CRW: &str = "raw-crw-canon-d30/CRW.CRW";
const DNG: &str = "raw-dng-canon-kissx4-ml/colorchart.dng";
const CUT: &str = "raw-truncated/canon-r6.cr3";

/// A file of the shared samples; `None`, loudly, where they are not at hand.
fn sample(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: no real RAW file at {}", path.display());
        return None;
    }
    Some(path)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What LibRaw says of a file.
struct Truth {
    size: (usize, usize),
    mosaic: Bayer,
    hash: u64,
    black: [f32; 4],
    white: f32,
    balance: [f32; 3],
    matrix: [f32; 9],
}

#[track_caller]
fn compare(frame: &Frame, truth: &Truth, tolerance: f32) {
    let (shape, sensor) = (frame.shape, frame.sensor);
    assert_eq!((shape.width, shape.height, shape.channels), (truth.size.0, truth.size.1, 1));
    assert_eq!((shape.sample, shape.mosaic), (SampleType::U16, Some(truth.mosaic)));
    assert_eq!(fnv(frame.bytes()), truth.hash, "samples differ");
    assert_eq!(sensor.black, truth.black);
    let mean = truth.black.iter().sum::<f32>() / 4.0;
    assert_eq!(sensor.white, Some(truth.white - mean));
    assert!(sensor.linear);
    let near = |got: &[f32], expected: &[f32], by: f32| {
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < by), "{got:?} {expected:?}");
    };
    near(&sensor.balance, &truth.balance, 1e-3);
    near(&sensor.matrix, &truth.matrix, tolerance);
    for row in sensor.matrix.chunks_exact(3) {
        near(&[row.iter().sum()], &[1.0], 1e-5);
    }
}

/// `rgb_xyz_matrix` times linear sRGB to XYZ, rows scaled to add up to 1, inverted with NumPy. Without rawler the
/// older values of rawloader's table stand in for LibRaw's.
const TABLE: f32 = if cfg!(feature = "rawler") { 2e-4 } else { 0.12 };

#[test]
fn the_nef_of_a_nikon_d1() {
    let Some(path) = sample(NEF) else { return };
    let frame = io::read(&path, Vec::new()).unwrap();
    let truth = Truth {
        // LibRaw takes all of the 2012x1324 pixels; the camera's own pictures are this part of them, at (0, 0).
        size: (2000, 1312),
        mosaic: Bayer::Bggr,
        hash: 0x4dd7_e7b1_fa81_2f30,
        black: [0.0; 4],
        white: 4095.0,
        // LibRaw finds none in this file; these are the camera's, from the maker note (tag 0x0c).
        balance: [1.976_56, 1.0, 1.289_06],
        matrix: [1.49381, -0.43374, -0.06007, 0.00367, 1.21845, -0.22212, 0.057, -0.38997, 1.33298],
    };
    compare(&frame, &truth, TABLE);
    let tags = &frame.tags;
    assert_eq!(tags.camera.as_deref(), Some("NIKON D1"));
    assert_eq!(tags.taken.as_deref(), Some("2000-11-19T13:01:50.240"));
    assert_eq!((tags.exposure_s, tags.orientation), (Some(0.004), Orientation::UPRIGHT));
    assert_eq!(io::capture_time(&path), tags.taken);
}

#[test]
fn the_crw_of_a_canon_d30() {
    let Some(path) = sample(CRW) else { return };
    let frame = io::read(&path, Vec::new()).unwrap();
    let truth = Truth {
        // At (48, 6) of 2224x1456: LibRaw's visible area too.
        size: (2176, 1448),
        mosaic: Bayer::Rggb,
        hash: 0x59ea_556b_0e9c_abdf,
        black: [127.0, 128.0, 128.0, 128.0],
        white: 4095.0,
        // LibRaw gives -1 for red: it has none for this camera. From Canon's colour record, tag 0x32.
        balance: [2.185_42, 1.0, 1.031_47],
        matrix: [1.5142, -0.57565, 0.06145, -0.05465, 1.53824, -0.4836, 0.0662, -0.4809, 1.4147],
    };
    compare(&frame, &truth, TABLE);
    let tags = &frame.tags;
    assert_eq!(tags.camera.as_deref(), Some("Canon EOS D30"));
    // As rawpy's `other`: shutter_speed, iso_speed, timestamp.
    assert_eq!(tags.taken.as_deref(), Some("2018-01-01T13:03:32"));
    assert!((tags.exposure_s.unwrap() - 4.967_431).abs() < 1e-5);
    assert_eq!(tags.iso, Some(100.0));
    assert_eq!(io::capture_time(&path), tags.taken);
}

#[test]
fn the_dng_of_magic_lantern() {
    let Some(path) = sample(DNG) else { return };
    let frame = io::read(&path, Vec::new()).unwrap();
    let truth = Truth {
        // At (152, 26) of 1888x1182: LibRaw's visible area too.
        size: (1734, 1156),
        mosaic: Bayer::Rggb,
        hash: 0x6f6e_67e9_3830_cfc5,
        black: [2056.0; 4],
        white: 15000.0,
        // 1, 0.40371, 0.68399 with the least as 1.
        balance: [2.477, 1.0, 1.694_25],
        // rawpy's `color_matrix`.
        matrix: [1.81776, -0.9643, 0.14654, -0.22892, 1.77379, -0.54487, -0.01954, -0.46814, 1.48768],
    };
    compare(&frame, &truth, 2e-4);
    assert_eq!(frame.tags.camera.as_deref(), Some("Canon EOS Kiss X4"));
}

#[test]
fn a_cr3_cut_off_after_its_metadata() {
    let Some(path) = sample(CUT) else { return };
    let error = io::read(&path, Vec::new()).unwrap_err().to_string();
    assert!(
        error.contains("truncated: expected 31239766 bytes, got 336392") && !error.contains('\n'),
        "{error}"
    );
    assert_eq!(io::capture_time(&path).as_deref(), Some("2025-09-06T20:24:47.720"));
}

/// Size of the sensor, and top, left, bottom, right of its active area.
const SENSOR: (usize, usize) = (40, 26);
const ACTIVE: [usize; 4] = [3, 5, 22, 36];

/// The tags of a mosaic DNG with black, white and an active area; 90 degrees turned.
fn dng_tags(bits: u16, pattern: [u16; 4]) -> Vec<(u16, Tag)> {
    let mut tags = files::picture_tags(SENSOR, 1, bits, 1);
    tags[4].1 = Tag::Short(vec![32803]);
    tags.extend([
        (0x010f, Tag::Ascii("Maker")),
        (0x0110, Tag::Ascii("Model 1")),
        (0x0112, Tag::Short(vec![6])),
        (0x0116, Tag::Long(vec![SENSOR.1 as u32])),
        (0x828d, Tag::Short(vec![2, 2])),
        (0x828e, Tag::Short(pattern.to_vec())),
        (0xc612, Tag::Short(vec![1, 4, 0, 0])),
        (0xc619, Tag::Short(vec![2, 2])),
        (0xc61a, Tag::Short(vec![10, 20, 30, 40])),
        (0xc61d, Tag::Short(vec![4000])),
        (0xc68d, Tag::Long(ACTIVE.map(|side| side as u32).to_vec())),
    ]);
    tags
}

/// Changes or adds a tag.
fn set(tags: &mut Vec<(u16, Tag)>, number: u16, value: Tag) {
    tags.retain(|(tag, _)| *tag != number);
    tags.push((number, value));
}

fn levels(bits: u16) -> Vec<u16> {
    noise16(SENSOR.0 * SENSOR.1).into_iter().map(|level| level >> (16 - bits)).collect()
}

/// The bytes of the active area.
fn active(samples: &[u16]) -> Vec<u8> {
    let [top, left, bottom, right] = ACTIVE;
    let rows = samples.chunks_exact(SENSOR.0).take(bottom).skip(top);
    rows.flat_map(|row| bytemuck::cast_slice(&row[left..right]).to_vec()).collect()
}

/// Samples packed, the highest bit first, each row in whole bytes.
fn packed(samples: &[u16], bits: u32) -> Vec<u8> {
    let row = |row: &[u16]| {
        let mut bytes = vec![0; (row.len() * bits as usize).div_ceil(8)];
        for place in 0..row.len() * bits as usize {
            let (sample, bit) = (row[place / bits as usize], bits as usize - 1 - place % bits as usize);
            bytes[place / 8] |= ((sample >> bit & 1) as u8) << (7 - place % 8);
        }
        bytes
    };
    samples.chunks_exact(SENSOR.0).flat_map(row).collect()
}

#[track_caller]
fn assert_mosaic(file: &[u8], mosaic: Bayer, samples: &[u16]) {
    let frame = read("a.dng", file).unwrap();
    let [top, left, bottom, right] = ACTIVE;
    let shape = frame.shape;
    assert_eq!((shape.width, shape.height, shape.sample), (right - left, bottom - top, SampleType::U16));
    assert_eq!((shape.channels, shape.mosaic), (1, Some(mosaic)));
    assert!(frame.bytes() == active(samples), "samples differ");
    assert_eq!(frame.sensor.black, [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(frame.sensor.white, Some(4000.0 - 25.0));
    assert_eq!((frame.sensor.balance, frame.sensor.matrix), ([1.0; 3], NO_MATRIX));
    assert_eq!(frame.tags.orientation, Orientation(6));
    assert_eq!(frame.tags.camera.as_deref(), Some("Maker Model 1"));
}

/// Every pattern with its tag's colours.
fn patterns() -> impl Iterator<Item = (Bayer, [u16; 4])> {
    let colours = |b: Bayer| std::array::from_fn(|k| b.colour(k % 2, k / 2) as u16);
    Bayer::ALL.into_iter().map(move |b| (b, colours(b)))
}

#[test]
fn dngs_without_compression() {
    for (mosaic, pattern) in patterns() {
        let tags = |bits| dng_tags(bits, pattern);
        let strip = Some((273, 1));
        let samples = levels(16);
        let little: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
        let big: Vec<u8> = samples.iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_mosaic(&tiff_by_hand(false, &tags(16), &[], strip, &little), mosaic, &samples);
        let samples12 = levels(12);
        assert_mosaic(
            &tiff_by_hand(false, &tags(12), &[], strip, &packed(&samples12, 12)),
            mosaic,
            &samples12,
        );
        if cfg!(feature = "rawler") {
            assert_mosaic(&tiff_by_hand(true, &tags(16), &[], strip, &big), mosaic, &samples);
            let samples14 = levels(14);
            let file = tiff_by_hand(false, &tags(14), &[], strip, &packed(&samples14, 14));
            assert_mosaic(&file, mosaic, &samples14);
        }
    }
}

#[test]
fn a_table_of_levels_is_applied_exactly() {
    let mut tags = dng_tags(12, [0, 1, 1, 2]);
    let table: Vec<u16> = (0..3000).map(|k| k * 3 + 5).collect();
    set(&mut tags, 0xc618, Tag::Short(table.clone()));
    let stored = levels(12);
    let file = tiff_by_hand(false, &tags, &[], Some((273, 1)), &packed(&stored, 12));
    let expected: Vec<u16> = stored.iter().map(|k| table[usize::from(*k).min(2999)]).collect();
    assert_mosaic(&file, Bayer::Rggb, &expected);
}

#[cfg(feature = "rawler")]
#[test]
fn dngs_with_lossless_jpeg() {
    for (mosaic, pattern) in patterns() {
        for (bits, predictor) in [(12, 1), (14, 1), (14, 6), (16, 6)] {
            let samples = levels(bits);
            // Two tiles side by side, each as wide as half the sensor.
            let half = SENSOR.0 / 2;
            let tile = |k: usize| {
                let rows = samples.chunks_exact(SENSOR.0).flat_map(|row| &row[k * half..(k + 1) * half]);
                let tile: Vec<u16> = rows.copied().collect();
                let (bits, size) = (bits as u8, (half / 2, SENSOR.1));
                rawler::ljpeg92::LjpegCompressor::new(&tile, size.0, size.1, 2, bits, predictor, 0, 0)
                    .unwrap()
                    .encode()
                    .unwrap()
            };
            let mut tiles = [tile(0), tile(1)];
            let length = tiles[0].len().max(tiles[1].len());
            tiles.iter_mut().for_each(|tile| tile.resize(length, 0));
            let mut tags = dng_tags(bits, pattern);
            set(&mut tags, 259, Tag::Short(vec![7]));
            set(&mut tags, 322, Tag::Long(vec![half as u32]));
            set(&mut tags, 323, Tag::Long(vec![SENSOR.1 as u32]));
            let file = tiff_by_hand(false, &tags, &[], Some((324, 2)), &tiles.concat());
            assert_mosaic(&file, mosaic, &samples);
        }
    }
}

#[test]
fn dngs_that_are_no_mosaic() {
    let count = SENSOR.0 * SENSOR.1;
    let mut tags = dng_tags(16, [0, 1, 1, 2]);
    set(&mut tags, 262, Tag::Short(vec![34892]));
    let one = noise16(count);
    let frame =
        read("a.dng", &tiff_by_hand(false, &tags, &[], Some((273, 1)), bytemuck::cast_slice(&one))).unwrap();
    assert_eq!((frame.shape.channels, frame.shape.mosaic), (1, None));
    assert!(frame.bytes() == active(&one));
    if !cfg!(feature = "rawler") {
        return;
    }
    set(&mut tags, 258, Tag::Short(vec![16; 3]));
    set(&mut tags, 277, Tag::Short(vec![3]));
    set(&mut tags, 0xc61a, Tag::Short(vec![7; 12]));
    let three = noise16(count * 3);
    let file = tiff_by_hand(false, &tags, &[], Some((273, 1)), bytemuck::cast_slice(&three));
    let frame = read("a.dng", &file).unwrap();
    assert_eq!((frame.shape.channels, frame.shape.mosaic, frame.sensor.black), (3, None, [7.0; 4]));
    let samples: &[u16] = bytemuck::cast_slice(frame.bytes());
    assert_eq!(samples[..3], three[3 * (ACTIVE[0] * SENSOR.0 + ACTIVE[1])..][..3]);

    let floats: Vec<f32> = noise16(count).iter().map(|level| f32::from(*level) / 65536.0).collect();
    let mut tags = dng_tags(32, [2, 1, 1, 0]);
    set(&mut tags, 339, Tag::Short(vec![3]));
    set(&mut tags, 0xc61a, Tag::Short(vec![0; 4]));
    set(&mut tags, 0xc61d, Tag::Long(vec![1]));
    let frame =
        read("a.dng", &tiff_by_hand(false, &tags, &[], Some((273, 1)), bytemuck::cast_slice(&floats)))
            .unwrap();
    assert_eq!((frame.shape.sample, frame.shape.mosaic), (SampleType::F32, Some(Bayer::Bggr)));
    assert_eq!(frame.sensor.white, Some(1.0));
    assert_eq!(frame.level(0), floats[ACTIVE[0] * SENSOR.0 + ACTIVE[1]]);
}

#[test]
fn mosaics_of_another_kind_are_refused_by_name() {
    let mut tags = dng_tags(16, [0, 1, 1, 2]);
    let file =
        |tags: &[(u16, Tag)]| tiff_by_hand(false, tags, &[], Some((273, 1)), &[0; 2 * SENSOR.0 * SENSOR.1]);
    set(&mut tags, 0x828e, Tag::Short(vec![0, 1, 1, 3]));
    assert!(refused("a.dng", &file(&tags)).contains("got RGGC: Maker Model 1"));
    set(&mut tags, 0x828d, Tag::Short(vec![6, 6]));
    set(&mut tags, 0x828e, Tag::Short([1, 1, 0, 1, 1, 2].repeat(6)));
    assert!(refused("a.dng", &file(&tags)).contains("X-Trans sensors are not supported yet: Maker Model 1"));
}

#[test]
fn absurd_sizes_and_missing_ends_are_refused() {
    let samples = levels(12);
    let packed = packed(&samples, 12);
    let file = |tags: &[(u16, Tag)]| tiff_by_hand(false, tags, &[], Some((273, 1)), &packed);
    let mut tags = dng_tags(12, [0, 1, 1, 2]);
    let whole = file(&tags);
    for cut in 1..packed.len() {
        assert!(refused("a.dng", &whole[..whole.len() - cut]).contains("truncated"));
    }
    for (side, word) in [(40_000, "cannot be in"), (u32::MAX, "at most")] {
        set(&mut tags, 256, Tag::Long(vec![side]));
        set(&mut tags, 257, Tag::Long(vec![side]));
        assert!(refused("a.dng", &file(&tags)).contains(word));
    }
}
