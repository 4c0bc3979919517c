//! The first image of every real FITS file at hand against what astropy 8.0.2 reads of it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::path::{Path, PathBuf};

use livestack::frame::SampleType;
use livestack::io;
use livestack::sensor::Bayer;
use livestack::tags::Kind;

/// The file, its width, height and channels, the type of its samples, CRC-32 and sum of all of them as floats, and the
/// one in the middle row, a third of the row on, of the middle channel.
type Expected = (&'static str, [usize; 3], SampleType, u32, f64, f32);

/// Made with astropy 8.0.2 and NumPy: `data = hdu.data` of the first HDU with two axes or more, axes of length 1
/// dropped, `moveaxis(0, -1)` of three planes, as `float32`, what is not finite set to 0;
/// `zlib.crc32(data.astype("<f4").tobytes())`, `data.astype(float64).sum()`, and
/// `data.reshape(-1)[(height // 2 * width + width // 3) * channels + channels // 2]`.
#[rustfmt::skip]
const FILES: &[Expected] = &[
    ("als-asi224mc-indi-fits/Light_1069.fits", [1304, 976, 1], SampleType::U16, 0x90aa16b5, 271323868.0, 182.0),
    ("als-asi224mc-indi-fits/Light_1114.fits", [1304, 976, 1], SampleType::U16, 0x73662cdf, 272033460.0, 315.0),
    ("als-asi224mc-indi-fits/Light_1171.fits", [1304, 976, 1], SampleType::U16, 0x5ccc4069, 274654427.0, 332.0),
    ("als-asi224mc-indi-fits/Light_1254.fits", [1304, 976, 1], SampleType::U16, 0x3f762d6d, 276478144.0, 332.0),
    ("als-asi224mc-indi-fits/Light_1264.fits", [1304, 976, 1], SampleType::U16, 0x4d0c4636, 275313997.0, 315.0),
    ("als-asi224mc-indi-fits/Light_1283.fits", [1304, 976, 1], SampleType::U16, 0x784ea068, 277453320.0, 299.0),
    ("fits-bitpix-matrix/color16bits.fits", [256, 8, 3], SampleType::U16, 0xe9149c70, 200540160.0, 0.0),
    ("fits-bitpix-matrix/color32bits.fits", [256, 8, 3], SampleType::F32, 0x197d9e2b, 13142599925760.0, 0.0),
    ("fits-bitpix-matrix/color8bits.fits", [32, 8, 3], SampleType::U8, 0x5845b812, 97920.0, 159.0),
    ("fits-bitpix-matrix/colordouble.fits", [100, 8, 3], SampleType::F32, 0x33ea0b67, 1140.0000013411045, 0.0),
    ("fits-bitpix-matrix/colorfloat.fits", [100, 8, 3], SampleType::F32, 0x2fa9d0cf, 1140.0001515448093, 0.0),
    ("fits-bitpix-matrix/gray16bits.fits", [256, 8, 1], SampleType::U16, 0xd1b527ae, 66846720.0, 21760.0),
    ("fits-bitpix-matrix/gray32bits.fits", [256, 8, 1], SampleType::F32, 0x6e58e4a4, 4380866641920.0, 1426063360.0),
    ("fits-bitpix-matrix/gray8bits.fits", [32, 8, 1], SampleType::U8, 0xa0568dba, 32640.0, 138.0),
    ("fits-bitpix-matrix/graydouble.fits", [100, 8, 1], SampleType::F32, 0x35d32b5e, 380.00000044703484, 0.65),
    ("fits-bitpix-matrix/grayfloat.fits", [100, 8, 1], SampleType::F32, 0x64015226, 380.00005051493645, 0.650_000_1),
    ("fits-bitpix-matrix/namedgray8bits.fits", [32, 8, 1], SampleType::U8, 0xa0568dba, 32640.0, 138.0),
    ("fits-bitpix-matrix/stars.fits", [120, 120, 3], SampleType::U16, 0xdc55b461, 481680231.0, 30433.0),
    ("fits-fz-siril/star_test1.fit.fz", [931, 568, 1], SampleType::U16, 0x4b395fac, 308391984.0, 571.0),
    ("fits-kstars-tests/m47_sim_stars.fits", [1280, 1024, 1], SampleType::U16, 0x7a6d7598, 53851420.0, 32.0),
    ("fits-kstars-tests/ngc4535-autofocus1.fits", [1125, 1034, 1], SampleType::U16, 0x8a07d78c, 1023650692.0, 928.0),
    ("fits-mef-nicmos/HST_NICMOS.fits", [270, 263, 1], SampleType::F32, 0x85f20681, 49818.883317667896, 0.441_067_67),
    ("fits-panoptes-dslr-bayer/pole.fits", [200, 200, 1], SampleType::U16, 0x85d61a25, 105277861.0, 2686.0),
    ("fits-panoptes-dslr-bayer/rotation.fits", [200, 200, 1], SampleType::U16, 0x46e33e73, 100915735.0, 2579.0),
    ("fits-panoptes-dslr-bayer/solved.fits", [700, 700, 1], SampleType::U16, 0x0928f1df, 1096040198.0, 2187.0),
    ("fits-panoptes-dslr-bayer/solved.fits.fz", [700, 700, 1], SampleType::U16, 0x0928f1df, 1096040198.0, 2187.0),
    ("fits-panoptes-dslr-bayer/tiny.fits", [200, 200, 1], SampleType::U16, 0x390337e1, 88905754.0, 2240.0),
    ("fits-panoptes-dslr-bayer/unsolved.fits", [700, 700, 1], SampleType::U16, 0x8ec278ea, 1095865005.0, 2208.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.07.12_00000.fit", [752, 580, 1], SampleType::U16, 0xb6ffc20a, 954425396.0, 2143.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.07.43_00001.fit", [752, 580, 1], SampleType::U16, 0x4909a64e, 956049136.0, 2266.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.08.13_00002.fit", [752, 580, 1], SampleType::U16, 0x8607479a, 957857028.0, 2163.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.08.43_00003.fit", [752, 580, 1], SampleType::U16, 0x0cf559c7, 955530103.0, 2099.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.09.13_00004.fit", [752, 580, 1], SampleType::U16, 0x592803ea, 954473572.0, 2098.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.09.43_00005.fit", [752, 580, 1], SampleType::U16, 0x8f5496b6, 952738414.0, 2196.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.10.13_00006.fit", [752, 580, 1], SampleType::U16, 0x8765d42e, 951568978.0, 2154.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.10.43_00007.fit", [752, 580, 1], SampleType::U16, 0x48ad4b24, 949991413.0, 2163.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.11.13_00008.fit", [752, 580, 1], SampleType::U16, 0xab55eaa6, 949327424.0, 2190.0),
    ("jocular-arp145-mono-fits/Image_Arp.145_2017.11.15_21.11.44_00009.fit", [752, 580, 1], SampleType::U16, 0x675797e8, 949610656.0, 2129.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_10.0s_IRCUT_20240730-224436.fit", [1080, 1920, 1], SampleType::U16, 0x2c99ee59, 1590690079.0, 809.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_10.0s_IRCUT_20240730-224448.fit", [1080, 1920, 1], SampleType::U16, 0x0fcc665d, 1594870140.0, 825.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_10.0s_IRCUT_20240730-224459.fit", [1080, 1920, 1], SampleType::U16, 0xc4238e58, 1596003907.0, 713.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_10.0s_IRCUT_20240730-224510.fit", [1080, 1920, 1], SampleType::U16, 0x4a9330f7, 1596466268.0, 889.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_20.0s_IRCUT_20250630-023420.fit", [1080, 1920, 1], SampleType::U16, 0xe38d3cfa, 245698986.0, 83.0),
    ("seestar-ngc7023-bayer-fits/Light_NGC 7023_20.0s_IRCUT_20250630-023441.fit", [1080, 1920, 1], SampleType::U16, 0x01ea685d, 246408165.0, 97.0),
];

/// The folder of real files, if it is here.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    let _ =
        writeln!(std::io::stderr(), "\n*** NO REAL FILES IN {}: THEY ARE NOT TESTED ***", folder.display());
    None
}

#[test]
fn samples_are_what_astropy_reads() {
    let Some(folder) = data() else { return };
    let mut words = Vec::new();
    for (name, [width, height, channels], sample, crc, sum, middle) in FILES {
        let frame = io::read(&folder.join(name), words).unwrap();
        let shape = frame.shape;
        assert_eq!((shape.width, shape.height, shape.channels), (*width, *height, *channels), "{name}");
        assert_eq!(shape.sample, *sample, "{name}");
        let levels: Vec<f32> = (0..shape.samples()).map(|k| frame.level(k)).collect();
        assert_eq!(levels[(height / 2 * width + width / 3) * channels + channels / 2], *middle, "{name}");
        let total: f64 = levels.iter().map(|level| f64::from(*level)).sum();
        assert!((total - sum).abs() <= 1e-12 * sum.abs(), "{name}: {total} {sum}");
        let mut found = flate2::Crc::new();
        levels.iter().for_each(|level| found.update(&level.to_le_bytes()));
        assert_eq!(found.sum(), *crc, "{name}");
        words = frame.words;
    }
}

#[test]
fn every_real_file_is_listed() {
    let Some(folder) = data() else { return };
    for entry in std::fs::read_dir(&folder).unwrap() {
        let Ok(files) = std::fs::read_dir(entry.unwrap().path()) else { continue };
        for path in files.map(|file| file.unwrap().path()) {
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if ["fits", "fit", "fts", "fz"].contains(&extension.as_str()) {
                assert!(FILES.iter().any(|(name, ..)| path.ends_with(name)), "{}", path.display());
            }
        }
    }
}

#[test]
fn headers_of_different_programs() {
    let Some(folder) = data() else { return };
    let read = |name: &str| io::read(&folder.join(name), Vec::new()).unwrap();
    let indi = read("als-asi224mc-indi-fits/Light_1069.fits");
    assert_eq!(indi.shape.mosaic, Some(Bayer::Rggb));
    assert_eq!((indi.tags.exposure_s, indi.tags.gain), (Some(6.0), Some(180.0)));
    assert_eq!(indi.tags.taken.as_deref(), Some("2018-09-07T22:31:45.431"));
    assert_eq!((indi.tags.kind, indi.tags.camera.as_deref()), (Some(Kind::Light), Some("ZWO CCD ASI224MC")));
    let pointing = indi.tags.pointing.unwrap();
    // 19h 59m 41.99s, +22d 43m 19.37s.
    assert!((pointing.ra_deg - 299.924_958).abs() < 1e-5 && (pointing.dec_deg - 22.722_047).abs() < 1e-5);

    let seestar = read("seestar-ngc7023-bayer-fits/Light_NGC 7023_20.0s_IRCUT_20250630-023441.fit");
    assert_eq!(seestar.shape.mosaic, Some(Bayer::Grbg));
    assert_eq!(
        (seestar.tags.temperature_c, seestar.tags.object.as_deref()),
        (Some(31.125), Some("NGC 7023"))
    );

    let packed = read("fits-fz-siril/star_test1.fit.fz");
    assert_eq!((packed.tags.kind, packed.tags.gain), (Some(Kind::Light), Some(56.0)));
    let telescope = read("fits-mef-nicmos/HST_NICMOS.fits");
    // From the primary header; the image is in the first extension.
    assert_eq!(telescope.tags.taken.as_deref(), Some("1998-05-22T05:37:41"));
    assert_eq!((telescope.sensor.white, telescope.sensor.linear), (None, true));
}
