//! Small picture files made in memory, and what tests ask of them.

use std::io::Cursor;
use std::path::PathBuf;

use livestack::error::Error;
use livestack::frame::{Frame, SampleType};
use livestack::io;
use tempfile::TempDir;

/// Sizes that no block, tile or word divides.
pub(crate) const SIZES: [(usize, usize); 4] = [(1, 1), (17, 13), (3, 257), (257, 3)];

/// A 40x24 progressive JPEG, 4:2:0, with optimised tables, made by libjpeg-turbo.
pub(crate) const PROGRESSIVE: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e\
    2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e13111326151526\
    4f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f\
    4f4fffc20011080018002803012200021101031101ffc4001800010101010100000000000000000000000002040501ffc4001701\
    0101010100000000000000000000000004020306ffda000c03010002100310000001e5d6eac37c15ba9f185d03274d1cb0bda1f3\
    4193ffc4001510010100000000000000000000000000000012ffda00080101000105028425084210842109425fffc40018110003\
    01010000000000000000000000000001121303ffda0008010301013f01d87d8d8a653299ffc40019110003010101000000000000\
    0000000000000103021121ffda0008010201013f019d49d4cd7c27a64f4c4df0ffc4001410010000000000000000000000000000\
    0030ffda0008010100063f027fffc40017100101010100000000000000000000000001001061ffda0008010100013f2184398871\
    1810d04322ff00ffda000c0301000200030000001003d3c183efffc40017110100030000000000000000000000000001001061ff\
    da0008010301013f107543a8c9aaffc40014110100000000000000000000000000000020ffda0008010201013f105424cfffc400\
    1e10000202020203000000000000000000000001112131614151718191ffda0008010100013f10d13a207829bb1460f0081e056c\
    1a23d1a05a0b438206f428707d4fffd9";
/// The same picture, sequential, with a restart marker after each block of 16x16 pixels.
pub(crate) const RESTARTS: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e\
    2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e13111326151526\
    4f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f\
    4f4fffc00011080018002803012200021101031101ffc4001800000301010000000000000000000000000003050602ffc4002110\
    000103040203010000000000000000000001020411213161415114628191ffc40017010101010100000000000000000000000004\
    050603ffc4001c1100020300030100000000000000000000000401020312136122ffdd00040001ffda000c03010002110311003f\
    00cbf87d22d86361d1705c6c3a2e06243be00acd0e973d3fffd0cf3625aedb8c6c3b60b8d87aa7c18d87a282cd09b387ffd18ad8\
    7eb4034290f406a736be4eb2e7a7ffd2b090f431b0f8a001955b4b12a75b1fffd3bed88bd1da43a70000d6d2c459d6c7ffd4d3b6\
    27e8000da5edc483db63ffd9";

/// Bytes from their hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|k| u8::from_str_radix(&digits[k..k + 2], 16).unwrap()).collect()
}

/// `n` samples without any pattern that a swapped row or channel would keep.
pub(crate) fn noise8(n: usize) -> Vec<u8> {
    noise16(n).into_iter().map(|level| (level >> 8) as u8).collect()
}

/// As [`noise8`], both bytes different.
pub(crate) fn noise16(n: usize) -> Vec<u16> {
    (0..n as u32).map(|k| ((k + 1).wrapping_mul(2_654_435_761) >> 12) as u16).collect()
}

/// A PNG file of raw rows, with an EXIF block where there is one.
pub(crate) fn png(
    size: (usize, usize),
    color: png::ColorType,
    depth: png::BitDepth,
    rows: &[u8],
    exif: Option<Vec<u8>>,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(size.0 as u32, size.1 as u32);
    info.color_type = color;
    info.bit_depth = depth;
    info.exif_metadata = exif.map(Into::into);
    if color == png::ColorType::Indexed {
        info.palette = Some((0..256 * 3).map(|k| (k * 7 % 251) as u8).collect::<Vec<u8>>().into());
    }
    let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    file
}

/// A JPEG file of quality 95 without subsampling, with an EXIF block where there is one.
pub(crate) fn jpeg(size: (usize, usize), channels: usize, samples: &[u8], exif: Option<Vec<u8>>) -> Vec<u8> {
    use image::ImageEncoder;
    let mut file = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    let color = if channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    encoder.write_image(samples, size.0 as u32, size.1 as u32, color).unwrap();
    file
}

/// A TIFF file of the tiff crate's encoder, its directory at the end.
pub(crate) fn tiff<C: tiff::encoder::colortype::ColorType>(
    size: (usize, usize),
    compression: tiff::encoder::Compression,
    samples: &[C::Inner],
) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut file = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap().with_compression(compression);
    encoder.write_image::<C>(size.0 as u32, size.1 as u32, samples).unwrap();
    file.into_inner()
}

/// The value of a TIFF tag.
#[derive(Clone)]
pub(crate) enum Tag {
    Short(Vec<u16>),
    Long(Vec<u32>),
    Ascii(&'static str),
    Ratio(u32, u32),
}

/// A TIFF file by hand: `tags` and `exif` tags by number, then `data` as the only strip or tile, or as equal
/// parts of `parts` of them. The places and lengths of the data are added where a `place` tag number (273 for
/// strips, 324 for tiles) is given. Without one and without data it is an EXIF block.
pub(crate) fn tiff_by_hand(
    big: bool,
    tags: &[(u16, Tag)],
    exif: &[(u16, Tag)],
    place: Option<(u16, usize)>,
    data: &[u8],
) -> Vec<u8> {
    let build = |exif_at: u32, data_at: u32| {
        let mut all = tags.to_vec();
        if !exif.is_empty() {
            all.push((0x8769, Tag::Long(vec![exif_at])));
        }
        if let Some((number, parts)) = place {
            let part = (data.len() / parts) as u32;
            let count = if number == 273 { 279 } else { 325 };
            all.push((number, Tag::Long((0..parts as u32).map(|k| data_at + k * part).collect())));
            all.push((count, Tag::Long(vec![part; parts])));
        }
        let mut file = if big { b"MM\0\x2a\0\0\0\x08".to_vec() } else { b"II\x2a\0\x08\0\0\0".to_vec() };
        directory(&mut file, big, &mut all);
        let exif_at = file.len() as u32;
        directory(&mut file, big, &mut exif.to_vec());
        (file, exif_at)
    };
    // The lengths do not depend on the places: the second pass knows them.
    let (first, exif_at) = build(0, 0);
    let (mut file, _) = build(exif_at, first.len() as u32);
    file.extend(data);
    file
}

fn directory(file: &mut Vec<u8>, big: bool, tags: &mut [(u16, Tag)]) {
    let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    tags.sort_by_key(|(number, _)| *number);
    let mut beyond = (file.len() + 2 + 12 * tags.len() + 4) as u32;
    let mut values = Vec::new();
    file.extend(short(tags.len() as u16));
    for (number, tag) in tags.iter() {
        let (kind, count, mut value): (u16, usize, Vec<u8>) = match tag {
            Tag::Short(v) => (3, v.len(), v.iter().flat_map(|v| short(*v)).collect()),
            Tag::Long(v) => (4, v.len(), v.iter().flat_map(|v| long(*v)).collect()),
            Tag::Ascii(v) => (2, v.len() + 1, v.bytes().chain([0]).collect()),
            Tag::Ratio(over, under) => (5, 1, [long(*over), long(*under)].concat()),
        };
        file.extend(short(*number));
        file.extend(short(kind));
        file.extend(long(count as u32));
        value.resize(value.len().next_multiple_of(4), 0);
        if value.len() == 4 {
            file.extend(value);
        } else {
            file.extend(long(beyond));
            beyond += value.len() as u32;
            values.extend(value);
        }
    }
    file.extend(long(0));
    file.extend(values);
}

/// The tags of an interleaved picture.
pub(crate) fn picture_tags(size: (usize, usize), samples: u16, bits: u16, format: u16) -> Vec<(u16, Tag)> {
    let interpretation = if samples < 3 { 1 } else { 2 };
    vec![
        (256, Tag::Long(vec![size.0 as u32])),
        (257, Tag::Long(vec![size.1 as u32])),
        (258, Tag::Short(vec![bits; usize::from(samples)])),
        (259, Tag::Short(vec![1])),
        (262, Tag::Short(vec![interpretation])),
        (277, Tag::Short(vec![samples])),
        (339, Tag::Short(vec![format; usize::from(samples)])),
    ]
}

/// The camera's tags: how it was held, and the time of saving.
pub(crate) fn camera_tags(orientation: u16) -> Vec<(u16, Tag)> {
    vec![(0x112, Tag::Short(vec![orientation])), (0x132, Tag::Ascii("2030:01:01 00:00:00"))]
}

/// The exposure's tags: 1/40 s at ISO 1600, on 2024-08-12 at 23:14:05.37.
pub(crate) fn exposure_tags() -> Vec<(u16, Tag)> {
    vec![
        (0x829a, Tag::Ratio(1, 40)),
        (0x8827, Tag::Short(vec![1600])),
        (0x9003, Tag::Ascii("2024:08:12 23:14:05")),
        (0x9291, Tag::Ascii("37")),
    ]
}

/// An EXIF block with all the tags.
pub(crate) fn exif(orientation: u16) -> Vec<u8> {
    tiff_by_hand(true, &camera_tags(orientation), &exposure_tags(), None, &[])
}

/// A picture smooth enough for JPEG to keep.
pub(crate) fn smooth(size: (usize, usize), channels: usize) -> Vec<u8> {
    let level = |k: usize| {
        let (x, y, c) = (k / channels % size.0, k / channels / size.0, k % channels);
        (x * 200 / size.0 + y * 50 / size.1 + c * 20 / 3) as u8
    };
    (0..size.0 * size.1 * channels).map(level).collect()
}

/// Writes `bytes` to a file `name` in a new folder.
pub(crate) fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Reads a file of these bytes.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Frame, Error> {
    io::read(&file(name, bytes).1, Vec::new())
}

/// Asserts that the file is refused as damaged or unknown, and gives the message.
#[track_caller]
pub(crate) fn refused(name: &str, bytes: &[u8]) -> String {
    let (_dir, path) = file(name, bytes);
    match io::read(&path, Vec::new()) {
        Err(error @ Error::Decode { .. }) => {
            let message = error.to_string();
            assert!(message.ends_with(name) && !message.contains('\n'), "{message:?}");
            message
        }
        other => panic!("{name}: expected a decode error, got {:?}", other.map(|frame| frame.shape)),
    }
}

/// Asserts the shape of a frame, its samples as bytes, and that nothing but zeros follows them.
#[track_caller]
pub(crate) fn assert_frame(
    frame: &Frame,
    size: (usize, usize),
    channels: usize,
    sample: SampleType,
    bytes: &[u8],
) {
    let shape = frame.shape;
    assert_eq!((shape.width, shape.height, shape.channels, shape.sample), (size.0, size.1, channels, sample));
    assert_eq!(frame.words.len(), shape.words());
    assert!(frame.bytes() == bytes, "samples differ: {:?} {bytes:?}", frame.bytes());
    let padding = &bytemuck::cast_slice::<u32, u8>(&frame.words)[shape.bytes()..];
    assert!(padding.iter().all(|b| *b == 0));
}
