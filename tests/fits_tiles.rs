//! Tile-compressed FITS: tables that astropy made, against the numbers that it reads of them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
#[path = "common/files.rs"]
mod files;
#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
#[path = "common/fits.rs"]
mod fits;

use files::{read, refused, unhex};
use livestack::frame::{Frame, SampleType};

// Rows and heap of tables that astropy 8.0.2 writes (`CompImageHDU`) of 12x8 px,
// `k = arange(96); img = ((k * k * 37) % 401 + 100 + (k % 12) * 9).reshape(8, 12)`.
/// `tile_shape=(5, 7)`
const RICE16: &str = "\
    0000002c00000000000000200000002c0000001d0000004c00000015000000698064880dc78084227d6790e440850b0ddb665030\
    c5a3671739c42acc460d6f33e8498513de57f89283edcfa68174880318c759cfd60f24dc3a316e8390520e910d50bc1a23903fda\
    87414a9180a89806592a58ca94eeb05354252f6e7f8d8a08b3bdd9f85e211c5c4080f298030086de634fe7d6c332e31093b075fb\
    cb90";
/// One tile.
const GZIP1: &str = "\
    000000c6000000001f8b0800122d036b02ff0dcc2d6842011846610483932b380cfe05ed220c6e348b49b46f988651061b038bbc\
    e763a2d92086c1ead032adab223a2c32e682c932102e0e348961bbf9701eddaa479825251cd23c589c7b925ce89b6b0d78039e2d\
    40c6127c3033472f3471b4230a1af9bdc123737d5296a72f42b4f5ee6b7d8616f2af4baa1479b208156d34d68a02bfdc10d3ab8e\
    74b5e68fad457460424e7b9df543475bb52de8eb794eb4285367a12677644951c3c3d5d4ae34c5c5fb07a934c690c0000000";
/// One tile.
const GZIP2: &str = "\
    000000a4000000001f8b0800122d036b02ff6b6868048326206e686c00b380eca6061017cc070943996029206e68804880358095\
    82980d4d50b36014889f3289eb8c3b8f748978b124e7f5e8191b1ae730ca4b9c3ac633bf92e7a540e3ea0d7965272efbbeb9cad1\
    bafbccb4551cf28201ae2dbcfeb7375eb47e1f23bce273c7b5ff0f793f6dd27ef7fb59fbc35696d5ba3feb7cd34e56162848c5bd\
    313e6270c4f80d00b5a6d9d5c0000000";
/// One tile.
const HCOMPRESS: &str = "\
    0000009e00000000dd99000000080000000c00000000fffffffffff02b800b0909f6d7b4c0418944156428008814b81f9814003a\
    e9fc0f61dd4010f02fec8ecffdf66a0a0c582e2063a9700a8e54c0f3c2d7066067f000707f0e6e59aff82051340131ee9002aa52\
    0281334825b77c4366a1a8300dfb01b8e33bfe027147afb6080d8fba5027147a0ffefdf027045a0d8fba50ffffff027147a009cd\
    93e3b234808c599ad28c";
/// One tile of bytes.
const PLIO: &str = "\
    000000670000000000000007ff9c00670000000000006063602e708860c27085703b600f6059705d605c705a701060ce707c603d\
    6018702f601b709b601e700760b2700470ba60937026706d60dd70d96071602a6005704260086052600b7086609f701770cd607d\
    603660117036601470a26017700e603f700b603f70776042608c702a6020709660b4709370496095604b706b604e6029701e70d4\
    60e57040708760c3600d7015705f605a705c708160a7707e60cc707b70316019606370507009705070066044608e70b960917094\
    6094709160b9";
/// Two tiles.
const STORED: &str = "\
    0000006000000000000000600000006080648092810a81cc8147810c811b8174821781738119810980d7815b809881b08181819c\
    8201811f821881ca81c6820c809f8179810c80e98110818180ab81b0816e817681c880d3814d80ec80d58108818580bb81cc8196\
    81aa8208811f8211815081458184820d814f80db80b180d1813b81ef815c811380a880f3818880d681ff81e1820d80f281b2812b\
    80ee80fb80e6818780e18085820480ab812d81f9817e814d816681c9807981708120811a815e81ec813380c4823080c4813381ec";
/// One tile of bytes.
const RICE8: &str = "\
    000000630000000064e00b9e0f7ecea3d657371663ec7eef460ba6d94781b360f19b297b28a9dc4a815e0c42905bd304b59be9b0\
    89aca2f0b86df855fbb6139d4d03525f6a47565b5673a91dac1abff93c8d14deda5bff58fdb3fab099634f88cf85c471c76eec6b\
    ef4680";
/// `img / 7` in two tiles, `quantize_method=1, dither_seed=9998`
const DITHER1: &str = "\
    000000320000000000000000000000003fe22878f45444fc402c5f3cfdc3abca0000002d0000003200000000000000003ff29227\
    0f786ae1403169049e80e43300000000341c3c1111f732e302f5b3f2447e166f732188f93c2901b8b9bdfa381584864322a1dbc5\
    b5f040250abbb170cc700000001b2c268103ade70d1c2bf65228642d5e054408f6532c5d50701320246f6b9ba33798c79245fc9d\
    1cf8b0";
/// `img / 7` with a 0 and a NaN, `quantize_method=2, dither_seed=5`
const DITHER2: &str = "\
    000000330000000000000000000000003fe22878f45444fc41d22878f2c4ca970000002d0000003300000000000000003ff29227\
    0f786ae141e292271009001a800000243c0adf98906ec6d8a8a7ae3d9426126559dc9bdf33c1c8776eea592d7a6b221f0c4d4f7f\
    b7cd7f16994956e66e757a800000252c21e2475dcd9c384d1652286c355c04cf3fd94cb175c1e04c9081bbb66e8cde630e0916f6\
    7473e2c0";
/// The same, lossless, GZIP_2.
const FLOATS: &str = "\
    000000ab00000000000000ab000000ab1f8b0800132d036b02ff737474820347274724b6138313840f241ceb615229cb249aad24\
    1543668428887f755b5b16933d49656653e3d4ade1920cd23187cb02439b3edab17d3e1077b539a3788acaf449b719726fab6c03\
    529372b7796e03f22631a8dcdeb66d5bae0a432e58ca53c5f3762e83e7b65cb094671ec3f6bc49b78194e7f6dbaab7813c4f8649\
    79b76fdfde3e89613b584a75926ade7606d5dbdbc15200abb8974cc00000001f8b0800132d036b02ff7372020247474730054670\
    e008e33922f11d2c63a7d9ff3af5cea4d74df60057c297499dd3b82ab438f899e319664c3eac3321cacea7a92b4845d1a347ffc1\
    8207fa3d0cdbb631e47a7ade66c8bdadc2709b6112432e832790cecdcd0532816c4fcf499380588561522e03030350f0f66d86ed\
    aaaa790cdbf32631e401d56e675005d2dbb76f0732816c55554f4f209ec4e0b91da87ebb2700186f1fd1c0000000";
/// `[img, img + 1, 2 * img]`
const PLANES: &str = "\
    0000007600000000000000760000007600000082000000ec8064880dc78084227d679646318eb39fe3220428586edb328618f24d\
    c3a301b22d1b38b9ce215611508390520e97a306b799f424c28baea1783447208195fe248fb73e9e0350e829522d54b15471c952\
    9dd609ab0086de635295094bdb9fe36282331f5b0ccb8c67deecfc2f108e2e3dd3b075fbcb908065880dc78084227d679646318e\
    b39fe3220428586edb328618f24dc3a301b22d1b38b9ce215611508390520e97a306b799f424c28baea1783447208195fe248fb7\
    3e9e0350e829522d54b15471c9529dd609ab0086de635295094bdb9fe36282331f5b0ccb8c67deecfc2f108e2e3dd3b075fbcb90\
    80c89806e1e0108227eb9e2c8630c7acf3fe391010b0b06eed8ca0c38f226f0f4601b31686cf179c71055c229283c81481d37a18\
    3adf31f41270a275ea0bc0d18e4081caff8490fbb9fa7c0350740a5a46d5a58550e3d1524ef58135b0043779c6929a8452fb79fe\
    1b1a08661f5d873271867ef733f85f10470b8fbb3b03afef1720";

/// The image.
fn scene() -> Vec<u32> {
    (0..96).map(|k| (k * k * 37) % 401 + 100 + (k % 12) * 9).collect()
}

fn levels(frame: &Frame) -> Vec<f32> {
    (0..frame.shape.samples()).map(|k| frame.level(k)).collect()
}

/// What the cards of a table say of the image: type, size, tiles and compression.
fn cards(bitpix: i64, axes: &[usize], tile: &[usize], compression: &str) -> String {
    let mut cards = format!("ZBITPIX = {bitpix}\nZNAXIS  = {}\nZCMPTYPE= '{compression}'\n", axes.len());
    for (k, (length, tile)) in axes.iter().zip(tile).enumerate() {
        cards.push_str(&format!("ZNAXIS{} = {length}\nZTILE{}  = {tile}\n", k + 1, k + 1));
    }
    cards
}

/// Cards of a table of one column.
fn one(form: &str) -> String {
    format!("TFIELDS = 1\nTTYPE1  = 'COMPRESSED_DATA'\nTFORM1  = '{form}'\n")
}

const UNSIGNED: &str = "BZERO   = 32768\nBSCALE  = 1\n";
const SHORTS: &str = "ZNAME1  = 'BLOCKSIZE'\nZVAL1   = 32\nZNAME2  = 'BYTEPIX'\nZVAL2   = 2\n";
const BYTES: &str = "ZNAME1  = 'BLOCKSIZE'\nZVAL1   = 32\nZNAME2  = 'BYTEPIX'\nZVAL2   = 1\n";
const QUANTISED: &str = "TFIELDS = 4\nTTYPE1  = 'COMPRESSED_DATA'\nTFORM1  = '1PB(50)'\n\
    TTYPE2  = 'GZIP_COMPRESSED_DATA'\nTFORM2  = '1PB(0)'\nTTYPE3  = 'ZSCALE'\nTFORM3  = '1D'\n\
    TTYPE4  = 'ZZERO'\nTFORM4  = '1D'\nZNAME1  = 'BLOCKSIZE'\nZVAL1   = 32\nZNAME2  = 'BYTEPIX'\nZVAL2   = 4\n";

/// A file of shorts in one column.
fn shorts(rows: usize, tile: &[usize], compression: &str, more: &str, table: &[u8]) -> Vec<u8> {
    let cards = cards(16, &[12, 8], tile, compression) + &one("1PB(200)") + UNSIGNED + more;
    fits::tiled(8, rows, &cards, table)
}

#[test]
fn unsigned_shorts_are_exact() {
    let expected: Vec<u8> = scene().iter().flat_map(|level| (*level as u16).to_le_bytes()).collect();
    for (rows, tile, compression, more, table) in [
        (4, [7, 5], "RICE_1", SHORTS, RICE16),
        (1, [12, 8], "GZIP_1", "", GZIP1),
        (1, [12, 8], "GZIP_2", "", GZIP2),
        (
            1,
            [12, 8],
            "HCOMPRESS_1",
            "ZNAME1  = 'SCALE'\nZVAL1   = 0\nZNAME2  = 'SMOOTH'\nZVAL2   = 0\n",
            HCOMPRESS,
        ),
        (2, [12, 4], "NOCOMPRESS", "", STORED),
    ] {
        let frame = read("a.fits.fz", &shorts(rows, &tile, compression, more, &unhex(table))).unwrap();
        assert_eq!((frame.shape.width, frame.shape.height, frame.shape.sample), (12, 8, SampleType::U16));
        assert_eq!(frame.bytes(), expected, "{compression}");
    }
}

#[test]
fn bytes_are_exact() {
    let expected: Vec<u8> = scene().iter().map(|level| *level as u8).collect();
    for (compression, form, table) in [("RICE_1", "1PB(99)", RICE8), ("PLIO_1", "1PI(103)", PLIO)] {
        let cards = cards(8, &[12, 8], &[12, 8], compression) + &one(form) + BYTES;
        let frame = read("a.fit.fz", &fits::tiled(8, 1, &cards, &unhex(table))).unwrap();
        assert_eq!((frame.shape.sample, frame.bytes()), (SampleType::U8, &expected[..]), "{compression}");
        // As floats too, though differences of bytes add up to more than a byte.
        let scaled = fits::tiled(8, 1, &(cards + "BZERO   = 10"), &unhex(table));
        let scaled = levels(&read("a.fit.fz", &scaled).unwrap());
        assert!(scaled.iter().zip(&expected).all(|(level, byte)| *level == f32::from(*byte) + 10.0));
    }
}

#[test]
fn planes_become_pixels() {
    let cards = cards(16, &[12, 8, 3], &[12, 8, 1], "RICE_1") + &one("1PB(130)") + UNSIGNED + SHORTS;
    let frame = read("a.fz", &fits::tiled(8, 3, &cards, &unhex(PLANES))).unwrap();
    let expected: Vec<f32> = scene()
        .into_iter()
        .flat_map(|level| [level, level + 1, 2 * level])
        .map(|level| level as f32)
        .collect();
    assert_eq!(levels(&frame), expected);
}

#[test]
fn quantised_floats_are_astropy_s() {
    for (method, seed, table, crc) in [
        ("SUBTRACTIVE_DITHER_1", 9998, DITHER1, 0xbe0a_f9cd),
        ("SUBTRACTIVE_DITHER_2", 5, DITHER2, 0x65d9_8d3b),
    ] {
        let cards = cards(-32, &[12, 8], &[12, 4], "RICE_1")
            + QUANTISED
            + &format!("ZQUANTIZ= '{method}'\nZDITHER0= {seed}\nZBLANK  = -2147483648");
        let frame = read("a.fits.fz", &fits::tiled(32, 2, &cards, &unhex(table))).unwrap();
        let mut found = flate2::Crc::new();
        levels(&frame).iter().for_each(|level| found.update(&level.to_le_bytes()));
        // Of the float32 that astropy 8.0.2 reads, what is not finite set to 0.
        assert_eq!(found.sum(), crc, "{method}: {:?}", levels(&frame));
        assert_eq!((frame.shape.sample, frame.sensor.white), (SampleType::F32, None));
    }
    let cards = cards(-32, &[12, 8], &[12, 4], "GZIP_2") + &one("1PB(171)");
    let frame = read("a.fits.fz", &fits::tiled(8, 2, &cards, &unhex(FLOATS))).unwrap();
    let mut expected: Vec<f32> = scene().into_iter().map(|level| (f64::from(level) / 7.0) as f32).collect();
    (expected[2 * 12 + 3], expected[3 * 12 + 3]) = (0.0, 0.0);
    assert_eq!(levels(&frame), expected);
}

#[test]
fn lies_in_tables() {
    let table = unhex(RICE16);
    let file = |more: &str, table: &[u8]| shorts(4, &[7, 5], "RICE_1", more, table);
    read("a.fz", &file(SHORTS, &table)).unwrap();
    for (change, word) in [
        ("BLOCKSIZE'\nZVAL1   = 0", "Rice blocks of 0"),
        ("BLOCKSIZE'\nZVAL1   = -32", "Rice blocks of -32"),
        ("BLOCKSIZE'\nZVAL1   = 9999999999", "Rice blocks"),
        ("BYTEPIX'\nZVAL1   = 3", "of 3 bytes"),
    ] {
        let message = refused("a.fz", &file(&format!("ZNAME1  = '{change}"), &table));
        assert!(message.contains(word), "{message}");
    }
    // A descriptor's length, then its place, point behind the heap.
    for place in [0, 4] {
        let mut lie = table.clone();
        lie[place] = 0x7f;
        assert!(refused("a.fz", &file(SHORTS, &lie)).contains("tile 0 goes on behind the end"));
    }
    let mut short = table.clone();
    short[3] = 5;
    assert!(refused("a.fz", &file(SHORTS, &short)).contains("truncated Rice data"));
    assert!(
        refused("a.fz", &shorts(2, &[7, 5], "RICE_1", SHORTS, &table)).contains("expected 4 tiles, got 2")
    );
    assert!(refused("a.fz", &shorts(4, &[0, 5], "RICE_1", SHORTS, &table)).contains("length 0"));
    assert!(refused("a.fz", &shorts(4, &[7, 5], "JPEG_1", "", &table)).contains("JPEG_1"));
    let floats = cards(-32, &[12, 8], &[7, 5], "RICE_1") + &one("1PB(44)");
    assert!(refused("a.fz", &fits::tiled(8, 4, &floats, &table)).contains("ZSCALE"));
}

#[test]
fn a_tile_that_unfolds_to_more_than_it_should_is_refused() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 50_000_000]).unwrap();
    let bomb = encoder.finish().unwrap();
    let descriptor = [(bomb.len() as u32).to_be_bytes(), [0; 4]].concat();
    let file = shorts(1, &[12, 8], "GZIP_1", "", &[&descriptor[..], &bomb].concat());
    assert!(refused("a.fz", &file).contains("more than 384 bytes"));
}
