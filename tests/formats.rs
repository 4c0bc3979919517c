//! What `io::read` makes of good files. They are made in memory and written to a folder of their own.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared with damage.rs, which uses other parts of it")]
#[path = "common/files.rs"]
mod files;

use std::path::Path;

use files::{
    SIZES, Tag, assert_frame, camera_tags, exif, exposure_tags, file, noise8, noise16, picture_tags, read,
    refused, smooth, tiff_by_hand, unhex,
};
use livestack::frame::{Orientation, SampleType};
use livestack::io;
use png::{BitDepth, ColorType};
use tiff::encoder::{Compression, DeflateLevel, colortype};

/// The first `kept` of each `of` samples.
fn kept<T: Copy>(samples: &[T], of: usize, kept: usize) -> Vec<T> {
    samples.chunks(of).flat_map(|pixel| &pixel[..kept]).copied().collect()
}

#[test]
fn png_samples_are_exact_and_alpha_is_dropped() {
    for size in SIZES {
        let n = size.0 * size.1;
        for (color, stored, channels) in [
            (ColorType::Grayscale, 1, 1),
            (ColorType::GrayscaleAlpha, 2, 1),
            (ColorType::Rgb, 3, 3),
            (ColorType::Rgba, 4, 3),
        ] {
            let samples = noise8(n * stored);
            let frame = read("a.png", &files::png(size, color, BitDepth::Eight, &samples, None)).unwrap();
            assert_frame(&frame, size, channels, SampleType::U8, &kept(&samples, stored, channels));

            let samples = noise16(n * stored);
            let rows: Vec<u8> = samples.iter().flat_map(|level| level.to_be_bytes()).collect();
            let frame = read("a.PNG", &files::png(size, color, BitDepth::Sixteen, &rows, None)).unwrap();
            let expected = kept(&samples, stored, channels);
            assert_frame(&frame, size, channels, SampleType::U16, bytemuck::cast_slice(&expected));
            assert_eq!(frame.level(0), f32::from(expected[0]));
        }
    }
}

#[test]
fn png_palettes_and_small_depths_are_expanded() {
    let size = (17, 13);
    let indices = noise8(17 * 13);
    let frame =
        read("a.png", &files::png(size, ColorType::Indexed, BitDepth::Eight, &indices, None)).unwrap();
    let colours: Vec<u8> =
        indices.iter().flat_map(|i| (0..3).map(|c| ((usize::from(*i) * 3 + c) * 7 % 251) as u8)).collect();
    assert_frame(&frame, size, 3, SampleType::U8, &colours);

    for (depth, bits, scale) in [(BitDepth::One, 1, 255), (BitDepth::Two, 2, 85), (BitDepth::Four, 4, 17)] {
        let row_bytes = (17_usize * bits).div_ceil(8);
        let rows = noise8(13 * row_bytes);
        let expected: Vec<u8> = rows
            .chunks(row_bytes)
            .flat_map(|row| {
                (0..17).map(|x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1))
            })
            .map(|level| level * scale)
            .collect();
        let frame = read("a.png", &files::png(size, ColorType::Grayscale, depth, &rows, None)).unwrap();
        assert_frame(&frame, size, 1, SampleType::U8, &expected);
    }
}

#[test]
fn tiff_samples_are_exact_however_compressed() {
    for size in SIZES {
        let n = size.0 * size.1;
        let (n8, n16) = (noise8(n * 4), noise16(n * 3));
        let floats: Vec<f32> = n16.iter().map(|level| f32::from(*level) - 0.5).collect();
        let expected16: &[u8] = bytemuck::cast_slice(&n16);
        let expected32: &[u8] = bytemuck::cast_slice(&floats);
        for c in [
            Compression::Uncompressed,
            Compression::Lzw,
            Compression::Deflate(DeflateLevel::Fast),
            Compression::Packbits,
        ] {
            let frame = read("a.tif", &files::tiff::<colortype::Gray8>(size, c, &n8[..n])).unwrap();
            assert_frame(&frame, size, 1, SampleType::U8, &n8[..n]);
            let frame = read("a.tiff", &files::tiff::<colortype::RGB8>(size, c, &n8[..n * 3])).unwrap();
            assert_frame(&frame, size, 3, SampleType::U8, &n8[..n * 3]);
            let frame = read("a.TIF", &files::tiff::<colortype::RGBA8>(size, c, &n8)).unwrap();
            assert_frame(&frame, size, 3, SampleType::U8, &kept(&n8, 4, 3));
            let frame = read("a.tif", &files::tiff::<colortype::Gray16>(size, c, &n16[..n])).unwrap();
            assert_frame(&frame, size, 1, SampleType::U16, &expected16[..n * 2]);
            let frame = read("a.tif", &files::tiff::<colortype::RGB16>(size, c, &n16)).unwrap();
            assert_frame(&frame, size, 3, SampleType::U16, expected16);
            let frame = read("a.tif", &files::tiff::<colortype::Gray32Float>(size, c, &floats[..n])).unwrap();
            assert_frame(&frame, size, 1, SampleType::F32, &expected32[..n * 4]);
            let frame = read("a.tif", &files::tiff::<colortype::RGB32Float>(size, c, &floats)).unwrap();
            assert_frame(&frame, size, 3, SampleType::F32, expected32);
        }
    }
}

/// Samples of 16 bits in the given byte order.
fn ordered(samples: &[u16], big: bool) -> Vec<u8> {
    samples.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect()
}

#[test]
fn tiff_byte_orders_tiles_planes_and_extra_samples() {
    let size = (17, 13);
    for big in [false, true] {
        let samples = noise16(17 * 13 * 5);
        let rgb = &samples[..17 * 13 * 3];
        let tags = picture_tags(size, 3, 16, 1);
        let strip = tiff_by_hand(big, &tags, &[], Some((273, 1)), &ordered(rgb, big));
        let frame = read("a.tif", &strip).unwrap();
        assert_frame(&frame, size, 3, SampleType::U16, bytemuck::cast_slice(rgb));

        // Two by one tiles of 16x16, padded with levels that must not appear.
        let mut tiles = vec![0xabcd_u16; 2 * 16 * 16 * 3];
        for (k, level) in rgb.iter().enumerate() {
            let (x, y, c) = (k / 3 % 17, k / 51, k % 3);
            tiles[((x / 16 * 16 + y) * 16 + x % 16) * 3 + c] = *level;
        }
        let mut tiled = tags.clone();
        tiled.extend([(322, Tag::Short(vec![16])), (323, Tag::Short(vec![16]))]);
        let tiled_file = tiff_by_hand(big, &tiled, &[], Some((324, 2)), &ordered(&tiles, big));
        let frame = read("a.tif", &tiled_file).unwrap();
        assert_frame(&frame, size, 3, SampleType::U16, bytemuck::cast_slice(rgb));

        let planes: Vec<u16> = (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).copied()).collect();
        let planar = [&tags[..], &[(284, Tag::Short(vec![2]))]].concat();
        let planar_file = tiff_by_hand(big, &planar, &[], Some((273, 3)), &ordered(&planes, big));
        let frame = read("a.tif", &planar_file).unwrap();
        assert_frame(&frame, size, 3, SampleType::U16, bytemuck::cast_slice(rgb));
        let planar_tiles = [&tiled[..], &[(284, Tag::Short(vec![2]))]].concat();
        let planar_tiles = tiff_by_hand(big, &planar_tiles, &[], Some((324, 6)), &ordered(&tiles, big));
        assert!(refused("a.tif", &planar_tiles).contains("planes in tiles"));

        // Gray with alpha; colour with one and with two samples of no stated meaning.
        for (stored, extra) in [(2, vec![2]), (4, vec![0]), (5, vec![0, 0])] {
            let all = &samples[..17 * 13 * stored];
            let channels = if stored == 2 { 1 } else { 3 };
            let tags = [&picture_tags(size, stored as u16, 16, 1)[..], &[(338, Tag::Short(extra))]].concat();
            let file = tiff_by_hand(big, &tags, &[], Some((273, 1)), &ordered(all, big));
            let expected = kept(all, stored, channels);
            assert_frame(
                &read("a.tif", &file).unwrap(),
                size,
                channels,
                SampleType::U16,
                bytemuck::cast_slice(&expected),
            );
            let predicted = [&tags[..], &[(317, Tag::Short(vec![2]))]].concat();
            let predicted = tiff_by_hand(big, &predicted, &[], Some((273, 1)), &ordered(all, big));
            if channels == 3 {
                assert!(refused("a.tif", &predicted).contains("save it as RGB"));
            }
        }
    }
}

#[test]
fn tiff_kinds_that_are_not_taken_are_named() {
    let size = (4, 4);
    for (samples, bits, format, word) in
        [(1, 32, 1, "32 bits"), (1, 16, 2, "16 bits Int"), (1, 4, 1, "4 bits"), (3, 64, 3, "64 bits")]
    {
        let tags = picture_tags(size, samples, bits, format);
        let file = tiff_by_hand(false, &tags, &[], Some((273, 1)), &noise8(16 * 24));
        let message = refused("a.tif", &file);
        assert!(message.contains(word), "{message}");
    }
    let mut cmyk = picture_tags(size, 4, 8, 1);
    cmyk[4].1 = Tag::Short(vec![5]);
    let cmyk = tiff_by_hand(false, &cmyk, &[], Some((273, 1)), &noise8(64));
    assert!(refused("a.tif", &cmyk).contains("CMYK"));
}

#[test]
fn floats_stay_as_stored_and_the_maximum_decides_white() {
    let float = |values: &[f32]| {
        let file =
            files::tiff::<colortype::Gray32Float>((values.len(), 1), Compression::Uncompressed, values);
        let frame = read("a.tif", &file).unwrap();
        (frame.white(), (0..values.len()).map(|k| frame.level(k)).collect::<Vec<f32>>())
    };
    assert_eq!(float(&[-0.5, 0.25, 1.5]), (1.0, vec![-0.5, 0.25, 1.5]));
    assert_eq!(float(&[-0.5, 0.25, 1.6]), (65535.0, vec![-0.5, 0.25, 1.6]));
    assert_eq!(float(&[f32::NAN, f32::INFINITY, 1.0]), (1.0, vec![0.0, 0.0, 1.0]));
    assert_eq!(float(&[f32::NAN, f32::NEG_INFINITY, 20000.0]), (65535.0, vec![0.0, 0.0, 20000.0]));
}

#[test]
fn jpeg_gray_and_colour() {
    for size in SIZES {
        for channels in [1, 3] {
            let samples = smooth(size, channels);
            let frame = read("a.JPeG", &files::jpeg(size, channels, &samples, None)).unwrap();
            assert_frame(&frame, size, channels, SampleType::U8, frame.bytes());
            // Quality 95 and rounding to YCbCr: measured at most 3 levels.
            let worst = frame.bytes().iter().zip(&samples).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 4, "{size:?} {channels} {worst}");
        }
    }
    // Sequential and progressive files of one picture hold the same coefficients.
    let sequential = read("a.jpg", &unhex(files::RESTARTS)).unwrap();
    let progressive = read("a.jpg", &unhex(files::PROGRESSIVE)).unwrap();
    assert_frame(&progressive, (40, 24), 3, SampleType::U8, sequential.bytes());
}

#[test]
fn jpeg_of_four_inks_is_refused() {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4];
    file.extend([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]);
    file.extend([0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0, 1, 2, 3, 0xff, 0xd9]);
    assert!(refused("a.jpg", &file).contains("CMYK"));
}

#[test]
fn exif_is_reported_and_the_orientation_not_applied() {
    let size = (17, 13);
    let samples = smooth(size, 3);
    let tiff_tags = [picture_tags(size, 3, 8, 1), camera_tags(6)].concat();
    let plain = [
        ("a.png", files::png(size, ColorType::Rgb, BitDepth::Eight, &samples, None)),
        ("a.jpg", files::jpeg(size, 3, &samples, None)),
        ("a.tif", files::tiff::<colortype::RGB8>(size, Compression::Uncompressed, &samples)),
    ];
    let tagged = [
        files::png(size, ColorType::Rgb, BitDepth::Eight, &samples, Some(exif(6))),
        files::jpeg(size, 3, &samples, Some(exif(6))),
        tiff_by_hand(false, &tiff_tags, &exposure_tags(), Some((273, 1)), &samples),
    ];
    for ((name, plain), tagged) in plain.iter().zip(tagged) {
        let (_dir, path) = file(name, &tagged);
        let frame = io::read(&path, Vec::new()).unwrap();
        let without = read(name, plain).unwrap();
        assert_frame(&frame, size, 3, SampleType::U8, without.bytes());
        assert_eq!(frame.path, path);
        assert_eq!(frame.tags.orientation, Orientation(6), "{name}");
        assert_eq!(frame.tags.taken.as_deref(), Some("2024-08-12T23:14:05.370"), "{name}");
        assert_eq!((frame.tags.exposure_s, frame.tags.iso), (Some(1.0 / 40.0), Some(1600.0)), "{name}");
        assert_eq!(io::capture_time(&path), frame.tags.taken, "{name}");

        assert_eq!(without.tags.orientation, Orientation::UPRIGHT);
        assert_eq!((without.tags.taken, without.tags.exposure_s, without.tags.iso), (None, None, None));
    }
    // Without the original's time, that of saving.
    let block = tiff_by_hand(false, &camera_tags(9), &[], None, &[]);
    let frame = read("a.jpg", &files::jpeg(size, 3, &samples, Some(block))).unwrap();
    assert_eq!(
        (frame.tags.taken.as_deref(), frame.tags.orientation),
        (Some("2030-01-01T00:00:00"), Orientation(1))
    );
}

#[test]
fn damaged_exif_is_left_out() {
    let size = (17, 13);
    let samples = smooth(size, 1);
    let block = exif(6);
    let blocks = (0..block.len()).map(|n| block[..n].to_vec()).chain([vec![0xff; 300], b"MM\0*".to_vec()]);
    for bad in blocks {
        let png = files::png(size, ColorType::Grayscale, BitDepth::Eight, &samples, Some(bad.clone()));
        assert_frame(&read("a.png", &png).unwrap(), size, 1, SampleType::U8, &samples);
        let (_dir, path) = file("a.jpg", &files::jpeg(size, 1, &samples, Some(bad)));
        let _ = io::capture_time(&path);
        io::read(&path, Vec::new()).unwrap();
    }
    assert_eq!(io::capture_time(Path::new("no/such.jpg")), None);
}
