//! What `io::read` makes of FITS files made by hand: every type of number, rows, mosaics, headers.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
#[path = "common/files.rs"]
mod files;
#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
#[path = "common/fits.rs"]
mod fits;

use std::io::Write;

use files::{file, noise8, noise16, read, refused};
use fits::image;
use livestack::decode::Wish;
use livestack::frame::{Frame, SampleType};
use livestack::io;
use livestack::sensor::Bayer;
use livestack::tags::{Kind, Orientation, Tags};

const SIZE: [usize; 2] = [17, 13];
const PIXELS: usize = 17 * 13;

fn levels(frame: &Frame) -> Vec<f32> {
    (0..frame.shape.samples()).map(|k| frame.level(k)).collect()
}

/// The frame of an image of 17x13 px.
fn frame(bitpix: i64, cards: &str, numbers: &[u8]) -> Frame {
    read("a.fits", &image(bitpix, &SIZE, cards, numbers)).unwrap()
}

/// The tags of a file of one pixel.
fn tags(cards: &str) -> Tags {
    read("a.fit", &image(8, &[1, 1], cards, &[7])).unwrap().tags
}

#[test]
fn unscaled_bytes_and_unsigned_shorts_keep_their_type() {
    let bytes = noise8(PIXELS);
    let plain = frame(8, "", &bytes);
    assert_eq!((plain.shape.sample, plain.sensor.white, plain.sensor.linear), (SampleType::U8, None, true));
    assert_eq!(plain.bytes(), bytes);

    let levels: Vec<u16> = [0, 65535, 32768, 1].into_iter().chain(noise16(PIXELS - 4)).collect();
    let stored: Vec<u8> = levels.iter().flat_map(|level| (level ^ 0x8000).to_be_bytes()).collect();
    for zero in ["BZERO   = 32768", "BZERO   = 32768.\nBSCALE  = 1.0D0"] {
        let plain = frame(16, zero, &stored);
        assert_eq!((plain.shape.sample, plain.white()), (SampleType::U16, 65535.0));
        assert_eq!(plain.bytes(), bytemuck::cast_slice::<u16, u8>(&levels), "{zero}");
    }
    // What has no value is 0.
    let holes = frame(16, "BZERO   = 32768\nBLANK   = -32768", &stored);
    assert_eq!(levels[0], 0);
    assert_eq!(holes.bytes(), plain_with(&levels, 0, 0));
    let holes = frame(16, "BZERO   = 32768\nBLANK   = 32767", &stored);
    assert_eq!(holes.bytes(), plain_with(&levels, 65535, 0));
    assert_eq!(frame(8, "BLANK   = 7", &[7; PIXELS]).bytes(), [0; PIXELS]);
}

fn plain_with(levels: &[u16], from: u16, to: u16) -> Vec<u8> {
    levels.iter().flat_map(|level| if *level == from { to } else { *level }.to_le_bytes()).collect()
}

#[test]
fn all_other_numbers_become_floats() {
    let seeds: Vec<i64> = noise16(PIXELS).into_iter().map(|level| i64::from(level) - 30_000).collect();
    let stored = |bitpix: i64| -> Vec<u8> {
        let bytes = |n: &i64| match bitpix {
            8 => vec![*n as u8],
            16 => (*n as i16).to_be_bytes().to_vec(),
            32 => (*n as i32 * 60_000).to_be_bytes().to_vec(),
            64 => (*n * 7_000_000_000).to_be_bytes().to_vec(),
            -32 => (*n as f32 * 0.7).to_be_bytes().to_vec(),
            _ => (*n as f64 * 1e-9).to_be_bytes().to_vec(),
        };
        seeds.iter().flat_map(bytes).collect()
    };
    let number = |bitpix: i64, n: i64| match bitpix {
        8 => f64::from(n as u8),
        16 => f64::from(n as i16),
        32 => f64::from(n as i32 * 60_000),
        64 => (n * 7_000_000_000) as f64,
        -32 => f64::from(n as f32 * 0.7),
        _ => n as f64 * 1e-9,
    };
    for bitpix in [8, 16, 32, 64, -32, -64] {
        for (zero, scale) in [(0.0, 1.0), (32768.0, 1.0), (100.25, -0.5)] {
            let frame = frame(bitpix, &format!("BZERO   = {zero:.2}\nBSCALE  = {scale:.2}"), &stored(bitpix));
            let kept = matches!((bitpix, zero as i64), (8, 0) | (16, 32768));
            assert_eq!(frame.shape.sample == SampleType::F32, !kept, "{bitpix} {zero}");
            let white = match bitpix {
                8 if !kept => Some(255.0),
                16.. if !kept => Some(65535.0),
                _ => None,
            };
            assert_eq!(frame.sensor.white, white, "{bitpix} {zero}");
            let expected: Vec<f32> =
                seeds.iter().map(|n| (zero + scale * number(bitpix, *n)) as f32).collect();
            assert_eq!(levels(&frame), expected, "{bitpix} {zero} {scale}");
        }
    }
}

#[test]
fn what_has_no_value_is_0() {
    let floats = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -0.0, f32::MAX];
    let stored: Vec<u8> = floats.iter().flat_map(|level| level.to_be_bytes()).collect();
    let frame = read("a.fts", &image(-32, &[6, 1], "", &stored)).unwrap();
    assert_eq!(levels(&frame), [0.0, 0.0, 0.0, 1e-40, 0.0, f32::MAX]);
    let doubles: Vec<u8> = [f64::NAN, 1e300, -2.5].iter().flat_map(|level| level.to_be_bytes()).collect();
    assert_eq!(levels(&read("a.fts", &image(-64, &[3, 1], "", &doubles)).unwrap()), [0.0, 0.0, -2.5]);
    let longs: Vec<u8> = [5_i32, -99, 6].iter().flat_map(|level| level.to_be_bytes()).collect();
    let cards = "BLANK   = -99\nBZERO   = 10";
    assert_eq!(levels(&read("a.fts", &image(32, &[3, 1], cards, &longs)).unwrap()), [15.0, 0.0, 16.0]);
}

#[test]
fn white_is_what_the_header_says() {
    let numbers = vec![0; PIXELS * 2];
    let white = |bitpix: i64, cards: &str| {
        frame(bitpix, cards, &numbers[..PIXELS * bitpix as usize / 8]).sensor.white
    };
    assert_eq!(white(16, "BZERO   = 32768\nDATAMAX = 40000"), Some(40000.0));
    // All samples are 32768: a maximum that a program found in them is no white.
    assert_eq!(white(16, "BZERO   = 32768\nDATAMAX = 32768"), None);
    assert_eq!(white(16, "SATURATE= 4095.0\nDATAMAX = 16383"), Some(4095.0));
    assert_eq!(white(16, "DATAMAX = 16383"), Some(16383.0));
    assert_eq!(white(16, "DATAMAX = 0"), Some(65535.0));
    assert_eq!(white(16, "DATAMAX = 'INF'"), Some(65535.0));
    assert_eq!(white(8, "DATAMAX = 200"), None);
    let float = read("a.fits", &image(-32, &[1, 1], "DATAMAX = 200", &[0; 4])).unwrap();
    assert_eq!(float.sensor.white, None);
}

#[test]
fn planes_become_pixels_and_axes_of_length_1_do_not_count() {
    let [width, height] = SIZE;
    let planes = noise8(PIXELS * 3);
    let pixels: Vec<u8> = (0..PIXELS * 3).map(|k| planes[k % 3 * PIXELS + k / 3]).collect();
    for axes in [vec![width, height, 3], vec![width, height, 1, 3, 1]] {
        let frame = read("a.fits", &image(8, &axes, "BAYERPAT= 'RGGB'", &planes)).unwrap();
        assert_eq!((frame.shape.width, frame.shape.height, frame.shape.channels), (width, height, 3));
        assert_eq!(frame.shape.mosaic, None);
        assert_eq!(frame.bytes(), pixels);
    }
    let interleaved = read("a.fits", &image(8, &[3, width, height], "", &pixels)).unwrap();
    assert_eq!((interleaved.shape.width, interleaved.shape.channels), (width, 3));
    assert_eq!(interleaved.bytes(), pixels);
    assert_eq!(read("a.fits", &image(8, &[17, 13, 1], "", &planes[..PIXELS])).unwrap().shape.channels, 1);
    assert!(refused("a.fits", &image(8, &[17, 13, 4], "", &[0; PIXELS * 4])).contains("1 or 3 planes"));
    assert!(refused("a.fits", &image(8, &[17], "", &[0; 17])).contains("two axes, got none"));
    assert!(refused("a.fits", &image(8, &[17, 0], "", &[])).contains("two axes, got none"));
}

#[test]
fn the_first_image_counts_wherever_it_is() {
    let table = fits::header(
        "XTENSION= 'BINTABLE'\nBITPIX  = 8\nNAXIS   = 2\nNAXIS1  = 10\nNAXIS2  = 300\nPCOUNT  = 3000\nGCOUNT  = 1",
    );
    let extension = |level: u8| {
        let cards = format!(
            "XTENSION= 'IMAGE'\n{}EXPTIME = {level}\nPCOUNT  = 0\nGCOUNT  = 1",
            fits::axes(8, &[2, 2])
        );
        [fits::header(&cards), fits::data(&[level; 4])].concat()
    };
    let primary =
        fits::header("SIMPLE  = T\nBITPIX  = 8\nNAXIS   = 0\nOBJECT  = 'M 42'\nBZERO   = 9\nEXPTIME = 1");
    let whole = [&primary[..], &table, &fits::data(&[1; 6000]), &extension(7), &extension(8)].concat();
    let frame = read("a.fits", &whole).unwrap();
    assert_eq!(frame.bytes(), [7; 4]);
    // The primary header speaks for its extensions, but not over them, nor of what their numbers mean.
    assert_eq!(frame.tags.object.as_deref(), Some("M 42"));
    assert_eq!(frame.tags.exposure_s, Some(7.0));
    let (_dir, path) = file("a.fits", &whole);
    assert!(io::read_cards(&path).unwrap().iter().all(|card| card.key != "OBJECT"));
}

#[test]
fn rows_stay_as_they_are_stored() {
    let pattern = |cards: &str, size: [usize; 2]| {
        let frame = read("a.fits", &image(8, &size, cards, &vec![0; size[0] * size[1]])).unwrap();
        (frame.shape.mosaic, frame.tags.orientation)
    };
    let upright = |pattern| (Some(pattern), Orientation::UPRIGHT);
    let upside_down = |pattern| (Some(pattern), Orientation::UPSIDE_DOWN);
    assert_eq!(pattern("BAYERPAT= 'RGGB'", [4, 4]), upright(Bayer::Rggb));
    assert_eq!(pattern("BAYERPAT= ' grbg '\nROWORDER= 'TOP-DOWN'", [4, 4]), upright(Bayer::Grbg));
    assert_eq!(pattern("COLORTYP= 'BGGR    '", [4, 4]), upright(Bayer::Bggr));
    assert_eq!(pattern("BAYERPAT= 'RGGB'\nXBAYROFF= 1\nYBAYROFF= 0", [4, 4]), upright(Bayer::Grbg));
    assert_eq!(pattern("BAYERPAT= 'RGGB'\nXBAYROFF= 2\nYBAYROFF= -1.0", [4, 4]), upright(Bayer::Gbrg));
    // The first stored row is the last one of the picture.
    let bottom_up = "BAYERPAT= 'RGGB'\nROWORDER= 'BOTTOM-UP'";
    assert_eq!(pattern(bottom_up, [4, 4]), upside_down(Bayer::Gbrg));
    assert_eq!(pattern(bottom_up, [4, 5]), upside_down(Bayer::Rggb));
    for none in ["", "BAYERPAT= ''", "BAYERPAT= 'TRUE'", "BAYERPAT= T", "COLORTYP= 'MONO'", "COLORTYP= 'RGB'"]
    {
        assert_eq!(pattern(none, [4, 4]), (None, Orientation::UPRIGHT), "{none}");
    }
    for other in ["CMYG", "RGBW", "GRBGBRBGRG"] {
        let cards = format!("BAYERPAT= '{other}'");
        let (_folder, path) = file("a.fits", &image(8, &[4, 4], &cards, &[0; 16]));
        let read = |wish: Wish| livestack::decode::read(&path, Vec::new(), &wish);
        assert!(read(Wish::default()).unwrap_err().to_string().contains(other));
        // Whoever knows better says so.
        for bayer in [None, Some(Bayer::Gbrg)] {
            let wish = Wish { bayer: Some(bayer), ..Wish::default() };
            assert_eq!(read(wish).unwrap().shape.mosaic, bayer, "{other}");
        }
    }
}

#[test]
fn the_whole_file_may_be_compressed() {
    let whole = image(8, &SIZE, "EXPTIME = 2.5\nDATE-OBS= '2024-01-02T03:04:05'", &noise8(PIXELS));
    let zip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zipped = zip(&whole);
    for name in ["a.fits.gz", "A.FIT.GZ", "a.fts.gz", "a.fits"] {
        let (_dir, path) = file(name, &zipped);
        let frame = io::read(&path, Vec::new()).unwrap();
        assert_eq!(frame.bytes(), noise8(PIXELS), "{name}");
        assert_eq!(io::capture_time(&path).as_deref(), Some("2024-01-02T03:04:05"), "{name}");
    }
    assert!(!io::is_image(std::path::Path::new("a.gz")) && io::is_image(std::path::Path::new("a.Fits.fZ")));
    assert!(
        refused("a.fits.gz", &zip(&whole[..3000])).contains("truncated: expected 221 bytes of data, got 120")
    );
    assert!(refused("a.fits.gz", &zipped[..zipped.len() - 9]).contains("truncated"));
    let mut flipped = zipped.clone();
    *flipped.iter_mut().nth_back(5).unwrap() ^= 1;
    assert!(refused("a.fits.gz", &flipped).contains("damaged"));
    // A header that asks for more than the file can unfold to.
    assert!(refused("a.fits.gz", &zip(&image(8, &[20_000, 20_000], "", &[]))).contains("truncated"));
}

#[test]
fn how_the_frame_was_taken() {
    let all = tags(
        "EXPTIME =                120.5 / seconds
         GAIN    = 56
         ISOSPEED= 800
         CCD-TEMP= '-10.5'
         DATE-OBS= '2024-09-13T01:05:23.124987'
         OBJECT  = 'Barnard''s   '
         INSTRUME= 'QHY & Co&'
         CONTINUE  ' KG' / of two cards
         RA      = 39.7
         DEC     = -39.1
         OBJCTRA = '00 00 00'
         OBJCTDEC= '00 00 00'
         IMAGETYP= 'Light Frame'",
    );
    assert_eq!(
        (all.exposure_s, all.gain, all.iso, all.temperature_c),
        (Some(120.5), Some(56.0), Some(800.0), Some(-10.5))
    );
    assert_eq!(all.taken.as_deref(), Some("2024-09-13T01:05:23.124"));
    assert_eq!((all.object.as_deref(), all.camera.as_deref()), (Some("Barnard's"), Some("QHY & Co KG")));
    assert_eq!((all.kind, all.master_of), (Some(Kind::Light), None));
    let pointing = all.pointing.unwrap();
    assert_eq!((pointing.ra_deg, pointing.dec_deg), (39.7, -39.1));

    let pointing = tags("OBJCTRA = ' 2:30:36'\nOBJCTDEC= '-00 30 36'").pointing.unwrap();
    assert!((pointing.ra_deg - 37.65).abs() < 1e-9 && (pointing.dec_deg + 0.51).abs() < 1e-9, "{pointing:?}");
    assert_eq!(tags("RA      = 400.0\nDEC     = 0.0").pointing, None);
    let nothing = tags("EXPTIME = 0.0\nISO     = 0\nOBJECT  = '  '\nGAIN    = NaN\nDATE-OBS= '2024-09-13'");
    assert_eq!(nothing, Tags::default());
}

#[test]
fn old_dates_and_times_of_their_own() {
    let taken = |cards: &str| tags(cards).taken;
    assert_eq!(taken("DATE-OBS= '1998-05-22'\nTIME-OBS= '05:37:41'").as_deref(), Some("1998-05-22T05:37:41"));
    assert_eq!(
        taken("DATE-OBS= '22/05/98'\nUT      = '05:37:41.5'").as_deref(),
        Some("1998-05-22T05:37:41.500")
    );
    assert_eq!(taken("DATE-OBS= '2024-09-13 01:05:23Z'").as_deref(), Some("2024-09-13T01:05:23"));
    assert_eq!(taken("DATE-OBS= '2024-13-13T01:05:23'"), None);
}

#[test]
fn kinds_of_frames() {
    let kind = |card: &str| {
        let tags = tags(card);
        (tags.kind, tags.master_of)
    };
    for (word, expected) in [
        ("LIGHT", Kind::Light),
        ("object", Kind::Light),
        ("Dark Frame", Kind::Dark),
        ("dark", Kind::Dark),
        ("Flat Field", Kind::Flat),
        ("SKYFLAT", Kind::Flat),
        ("FLATDARK", Kind::FlatDark),
        ("Dark Flat", Kind::FlatDark),
        ("Bias Frame", Kind::Bias),
        ("zero", Kind::Bias),
        ("Offset", Kind::Bias),
    ] {
        for key in ["IMAGETYP", "FRAME   ", "FRAMETYP"] {
            assert_eq!(kind(&format!("{key}= '{word}'")), (Some(expected), None), "{word}");
        }
    }
    assert_eq!(kind("IMAGETYP= 'EXT'\nFRAME   = 'FK5'"), (None, None));
    assert_eq!(kind("IMAGETYP= 'EXT'\nFRAME   = 'Dark'"), (Some(Kind::Dark), None));
    assert_eq!(kind("IMAGETYP= 'Master Dark'\nNCOMBINE= 20"), (Some(Kind::Dark), Some(20)));
    assert_eq!(kind("IMAGETYP= 'MASTERFLAT'\nFRAMES  = 12"), (Some(Kind::Flat), Some(12)));
    assert_eq!(kind("IMAGETYP= 'masterBias'"), (Some(Kind::Bias), Some(1)));
    assert_eq!(kind("IMAGETYP= 'LIGHT'\nSTACKCNT= 30"), (Some(Kind::Light), Some(30)));
    assert_eq!(kind("IMAGETYP= 'LIGHT'\nSTACKCNT= 1\nFRAMES  = 9"), (Some(Kind::Light), None));
    assert_eq!(tags("IMAGETYP= 'Bias'\nEXPTIME = 0.0").exposure_s, Some(0.0));
}

#[test]
fn lies_in_headers() {
    let refused = |cards: &str| refused("a.fits", &[fits::header(cards), vec![0; 2880]].concat());
    let start = "SIMPLE  = T\nBITPIX  = 16\nNAXIS   = 2\n";
    assert!(refused(&format!("{start}NAXIS1  = 99999999\nNAXIS2  = 99999999")).contains("truncated"));
    assert!(refused(&format!("{start}NAXIS1  = 9999999999999\nNAXIS2  = 9999999999999")).contains("absurd"));
    assert!(refused(&format!("{start}NAXIS1  = -5\nNAXIS2  = 5")).contains("length -5"));
    assert!(refused(&format!("{start}NAXIS1  = 5")).contains("NAXIS2 is missing"));
    assert!(refused("SIMPLE  = T\nBITPIX  = 16\nNAXIS   = 1000000").contains("1000000 axes"));
    assert!(refused("SIMPLE  = T\nNAXIS   = 2\nNAXIS1  = 5\nNAXIS2  = 5").contains("BITPIX is missing"));
    assert!(refused("SIMPLE  = T\nBITPIX  = 24\nNAXIS   = 2\nNAXIS1  = 5\nNAXIS2  = 5").contains("got 24"));
    assert!(refused(&format!("{start}NAXIS1  = 5\nNAXIS2  = 5\nBSCALE  = 'x'")).contains("BSCALE"));
    // The first of two cards counts.
    let twice = image(8, &[2, 1], "NAXIS1  = 200", &[1, 2]);
    assert_eq!(read("a.fits", &twice).unwrap().bytes(), [1, 2]);
    // No end, whatever the length.
    let endless = [&fits::header("SIMPLE  = T")[..80], &vec![b' '; 2880 * 3 - 80]].concat();
    assert!(files::refused("a.fits", &endless).contains("ends within a header"));
    let endless = [&fits::header("SIMPLE  = T")[..80], &vec![b' '; 2880 * 1001]].concat();
    assert!(files::refused("a.fits", &endless).contains("no end of the header"));
}
