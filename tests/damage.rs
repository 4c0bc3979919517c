//! What `io::read` makes of damaged, misnamed and absurd files: an error that names the file, never noise.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared with formats.rs, which uses other parts of it")]
#[path = "common/files.rs"]
mod files;
#[allow(dead_code, reason = "shared with fits.rs, which uses other parts of it")]
#[path = "common/fits.rs"]
mod fits;

use std::path::Path;

use files::{
    assert_frame, camera_tags, exif, exposure_tags, file, noise8, noise16, picture_tags, read, refused,
    smooth, tiff_by_hand, unhex,
};
use livestack::error::Error;
use livestack::frame::SampleType;
use livestack::io;
use png::{BitDepth, ColorType};
use tiff::encoder::{Compression, DeflateLevel, colortype};

/// Small files of every kind, the JPEGs with EXIF.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let size = (17, 13);
    let (n8, n16) = (noise8(17 * 13 * 3), noise16(17 * 13 * 3));
    let floats: Vec<f32> = n16.iter().map(|level| f32::from(*level)).collect();
    let tags = [picture_tags(size, 3, 16, 1), camera_tags(3)].concat();
    vec![
        ("gray.jpg", files::jpeg(size, 1, &n8[..17 * 13], Some(exif(3)))),
        ("colour.jpg", files::jpeg(size, 3, &n8, Some(exif(3)))),
        ("restarts.jpg", unhex(files::RESTARTS)),
        ("progressive.jpg", unhex(files::PROGRESSIVE)),
        ("8.png", files::png(size, ColorType::Rgb, BitDepth::Eight, &n8, Some(exif(3)))),
        ("16.png", files::png((17, 13), ColorType::Grayscale, BitDepth::Sixteen, &n8[..17 * 13 * 2], None)),
        (
            "strip.tif",
            tiff_by_hand(true, &tags, &exposure_tags(), Some((273, 1)), bytemuck::cast_slice(&n16)),
        ),
        ("lzw.tif", files::tiff::<colortype::RGB16>(size, Compression::Lzw, &n16)),
        ("deflate.tif", files::tiff::<colortype::RGB8>(size, Compression::Deflate(DeflateLevel::Fast), &n8)),
        ("float.tif", files::tiff::<colortype::RGB32Float>(size, Compression::Packbits, &floats)),
        // Its data fill a block: without the padding of the last one nothing would be missing.
        ("shorts.fits", fits::image(16, &[36, 40], "BZERO   = 32768\nBAYERPAT= 'RGGB'", &noise8(2880))),
        (
            "zip.fits.gz",
            gzip(&fits::image(-32, &[17, 13, 3], "EXPTIME = 2.0", bytemuck::cast_slice(&floats))),
        ),
        ("rice.fz", rice(&n16[..17 * 13])),
    ]
}

/// Bytes from one damage to the next: FITS files are long, and most of that is blanks.
fn step(name: &str) -> usize {
    if name.contains(".f") { 13 } else { 1 }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// A FITS file of 17x13 px under Rice, a row a tile, whose last bytes are those of the last tile.
fn rice(levels: &[u16]) -> Vec<u8> {
    use fitsio_pure::compress::{TileCompression, compress_image_hdu};
    let levels: Vec<i16> = levels.iter().map(|level| *level as i16).collect();
    let table = compress_image_hdu(&[17, 13], &levels, &TileCompression::rice(), &[]).unwrap();
    let primary = fits::header("SIMPLE  = T\nBITPIX  = 8\nNAXIS   = 0");
    let mut file = [primary, table].concat();
    file.truncate(file.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    file
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for (name, whole) in every_kind() {
        read(name, &whole).unwrap();
        for len in (0..whole.len()).step_by(step(name)) {
            let mut cut = whole[..len].to_vec();
            refused(name, &cut);
            // As copies look that reserved their space before they were interrupted.
            cut.resize(whole.len() + 100, 0);
            // Zeros are as good as other samples, and to Rice as other differences.
            if !name.ends_with(".tif") && !["shorts.fits", "rice.fz"].contains(&name) {
                refused(name, &cut);
            }
        }
    }
}

#[test]
fn what_follows_a_jpeg_does_not_matter() {
    for (name, whole) in every_kind().into_iter().filter(|(name, _)| name.ends_with(".jpg")) {
        let plain = read(name, &whole).unwrap();
        for tail in [vec![0; 1000], vec![0xff; 7], whole.clone()] {
            let longer = read(name, &[&whole[..], &tail].concat()).unwrap();
            assert!(longer.words == plain.words && longer.shape == plain.shape);
        }
    }
}

#[test]
fn a_jpeg_with_a_piece_missing_is_an_error() {
    let size = (200, 150);
    for channels in [1, 3] {
        let grainy = smooth(size, channels).into_iter().zip(noise8(200 * 150 * channels));
        let grainy: Vec<u8> = grainy.map(|(level, noise)| level / 2 + noise / 8).collect();
        let whole = files::jpeg(size, channels, &grainy, None);
        read("a.jpg", &whole).unwrap();
        // From less than a row of blocks to half of the picture.
        for missing in [whole.len() / 12, whole.len() / 4, whole.len() / 2] {
            let start = whole.len() / 3;
            let torn = [&whole[..start], &whole[start + missing..]].concat();
            assert!(torn.ends_with(&[0xff, 0xd9]));
            assert!(refused("a.jpg", &torn).contains("damaged"), "{channels} {missing}");
        }
    }
    let whole = unhex(files::RESTARTS);
    let restart = whole.windows(2).position(|pair| pair == [0xff, 0xd2]).unwrap();
    assert!(refused("a.jpg", &[&whole[..restart], &whole[restart + 20..]].concat()).contains("restart"));
}

#[test]
fn corrupt_bytes_never_panic() {
    for (name, whole) in every_kind() {
        let (_dir, path) = file(name, &whole);
        let mut words = Vec::new();
        for place in (0..whole.len()).step_by(step(name)) {
            let mut bad = whole.clone();
            // In turn cleared, set and one bit of it flipped; all of it at every place takes long and finds no more.
            bad[place] = [0, 0xff, whole[place] ^ 0x10][place % 3];
            std::fs::write(&path, &bad).unwrap();
            let _ = io::capture_time(&path);
            match io::read(&path, std::mem::take(&mut words)) {
                Ok(frame) => {
                    assert_eq!(frame.words.len(), frame.shape.words());
                    words = frame.words;
                }
                Err(error) => assert!(error.to_string().ends_with(name)),
            }
        }
    }
}

#[test]
fn tiff_strips_that_are_too_short_or_go_on_behind_the_end() {
    let (size, tags) = ((17, 13), picture_tags((17, 13), 3, 8, 1));
    // What follows the short strip must not become part of the picture.
    let short = tiff_by_hand(false, &tags, &[], Some((273, 1)), &noise8(17 * 13 * 2));
    assert!(refused("a.tif", &[&short[..], &[7; 1000]].concat()).contains("expected 663 bytes"));
    // The last byte of compressed samples is a checksum: the samples before it are all there.
    let whole =
        files::tiff::<colortype::Gray8>(size, Compression::Deflate(DeflateLevel::Fast), &noise8(17 * 13));
    let mut deflated = picture_tags(size, 1, 8, 1);
    deflated[3].1 = files::Tag::Short(vec![8]);
    let start = whole.windows(2).position(|pair| pair == [0x78, 0x01] || pair == [0x78, 0x9c]).unwrap();
    let strip = &whole[start..start + strip_bytes(&whole)];
    let by_hand = tiff_by_hand(false, &deflated, &[], Some((273, 1)), strip);
    assert_frame(&read("a.tif", &by_hand).unwrap(), size, 1, SampleType::U8, &noise8(17 * 13));
    assert!(refused("a.tif", &by_hand[..by_hand.len() - 1]).contains("truncated"));
}

/// The length of the only strip of a TIFF file.
fn strip_bytes(file: &[u8]) -> usize {
    let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(file)).unwrap();
    decoder.get_tag_u32(tiff::tags::Tag::StripByteCounts).unwrap() as usize
}

#[test]
fn png_and_its_checksums() {
    // One bit of the compressed data: the checksum of the chunk tells.
    let mut file = files::png((17, 13), ColorType::Rgb, BitDepth::Eight, &noise8(17 * 13 * 3), None);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    assert!(refused("a.png", &file).contains("damaged"));
}

#[test]
fn contents_decide_but_a_name_must_be_a_picture_s() {
    let png = files::png((3, 2), ColorType::Grayscale, BitDepth::Eight, &[1, 2, 3, 4, 5, 6], None);
    assert_frame(&read("png.jpg", &png).unwrap(), (3, 2), 1, SampleType::U8, &[1, 2, 3, 4, 5, 6]);
    assert!(refused("text.jpg", b"Dear observer, this is no picture.").contains("JPEG"));
    assert!(refused("void.tif", b"").contains("empty file"));
    assert!(refused("picture.doc", &png).contains("jpg, jpeg, png, tif, tiff"));
    assert!(refused("picture", &png).contains("another file type"));

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder.png");
    std::fs::create_dir(&folder).unwrap();
    for path in [folder, dir.path().join("missing.png")] {
        assert!(matches!(io::read(&path, Vec::new()), Err(Error::Io { .. })));
    }
    for (name, image) in
        [("a.JPG", true), ("a.tiff", true), ("a.png.txt", false), ("jpg", false), (".png", false)]
    {
        assert_eq!(io::is_image(Path::new(name)), image, "{name}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_asked_for() {
    let mut png = files::png((1, 1), ColorType::Rgb, BitDepth::Eight, &[1, 2, 3], None);
    for (side, word) in [(0x7fff_ffff_u32, "at most"), (30_000, "cannot be in")] {
        png[16..20].copy_from_slice(&side.to_be_bytes());
        png[20..24].copy_from_slice(&side.to_be_bytes());
        let crc = crc32(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&crc);
        let message = refused("a.png", &png);
        assert!(message.contains(word), "{message}");
    }
    let tags = picture_tags((1 << 20, 1 << 20), 3, 8, 1);
    assert!(refused("a.tif", &tiff_by_hand(false, &tags, &[], Some((273, 1)), &[0; 9])).contains("at most"));
    let mut jpeg = files::jpeg((8, 8), 1, &[7; 64], None);
    let header = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[header + 5..header + 9].fill(0xff);
    assert!(refused("a.jpg", &jpeg).contains("at most"));
}

/// The checksum of a PNG chunk, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[test]
fn the_recycled_buffer_is_used_and_leaves_no_trace() {
    for (name, whole) in every_kind() {
        let fresh = read(name, &whole).unwrap();
        for len in [fresh.words.len(), fresh.words.len() * 2, 3] {
            let mut recycled = Vec::with_capacity(fresh.words.len() * 2);
            recycled.resize(len, u32::MAX);
            let place = recycled.as_ptr();
            let frame = io::read(&file(name, &whole).1, recycled).unwrap();
            assert!(frame.words == fresh.words, "{name}");
            assert_eq!(frame.words.as_ptr(), place, "{name}: another buffer was allocated");
        }
    }
}
