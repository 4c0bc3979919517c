//! Images that are compressed tile by tile: FITS standard 4.0, section 10.
//!
//! Rice, HCOMPRESS and PLIO are decoded by `fitsio-pure`, one tile at a time: it takes the header's word for sizes and
//! places, so those are checked here first. Gzip is decoded here, since there it has no bound.

use std::io::Read;

use fitsio_pure::hdu::{Hdu, HduInfo};
use fitsio_pure::header::Card as CrateCard;
use fitsio_pure::image::ImageData;
use fitsio_pure::value::Value as CrateValue;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::dither::Quantised;
use super::hdu::Image;
use super::header::{Header, Value};
use super::levels::{self, Raw, Scaling, width};
use super::table::{Column, Table};
use super::{GZIP, Layout};

/// Compression parameters where the header does not state them: the same, section 10.4.1.
const RICE_BLOCK: i64 = 32;
const RICE_BYTES: i64 = 4;
/// Largest block of pixels that Rice codes together: any longer than those of 32 in use is damage.
const MAX_RICE_BLOCK: i64 = 1 << 16;
/// Most compression parameters that are looked through.
const MAX_PARAMETERS: usize = 9;

/// How the tiles are compressed.
enum Codec {
    /// Decoded by the crate: the tile, told how.
    Integers(Box<Hdu>),
    /// Gzip over numbers, whose bytes may be sorted by their weight.
    Gzip { shuffled: bool },
    /// Not at all.
    Stored,
}

/// Decodes the tiles in the table `data` into `words`.
pub(super) fn decode(
    image: &Image,
    data: &[u8],
    layout: &Layout,
    scaling: &Scaling,
    words: &mut [u32],
) -> Result<(), String> {
    let tiles = Tiles::of(image, data, layout)?;
    let mut codec = Codec::of(image)?;
    let mut quantised = Quantised::of(image, &tiles.table)?;
    for number in 0..tiles.count() {
        let (origin, size) = tiles.place(number);
        let pixels = size.iter().product::<usize>();
        let tile = tiles.read(number, pixels, image.bitpix, &mut codec, &mut quantised)?;
        let raw = tile.raw(image.bitpix);
        if raw.len() != pixels {
            return Err(format!("damaged: tile {number} has {} of {pixels} pixels", raw.len()));
        }
        for row in 0..size[1] * size[2] {
            let (y, z) = (origin[1] + row % size[1], origin[2] + row / size[1]);
            let part = raw.part(row * size[0], size[0]);
            levels::put(&part, scaling, words, layout.place(origin[0], y, z), layout.stride);
        }
    }
    Ok(())
}

/// The numbers of a tile.
enum Tile {
    Bytes(Vec<u8>),
    Integers(Vec<i32>),
    Reals(Vec<f32>),
}

impl Tile {
    fn raw(&self, bitpix: i64) -> Raw<'_> {
        match self {
            Tile::Bytes(bytes) => Raw::Big(bitpix, bytes),
            Tile::Integers(numbers) => Raw::Integers(numbers),
            Tile::Reals(numbers) => Raw::Reals(numbers),
        }
    }
}

/// The tiles of an image, and the table they are in.
struct Tiles<'a> {
    table: Table<'a>,
    /// The column of the compressed tiles.
    packed: Column,
    /// The columns of tiles that could not be compressed: as they are, and under gzip.
    stored: Option<Column>,
    zipped: Option<Column>,
    /// Numbers in a row, rows, planes: of the image and of a tile.
    image: [usize; 3],
    tile: [usize; 3],
}

impl<'a> Tiles<'a> {
    fn of(image: &Image, data: &'a [u8], layout: &Layout) -> Result<Tiles<'a>, String> {
        let table = Table::of(&image.header, data)?;
        let packed = table.column("COMPRESSED_DATA").ok_or("damaged: no column of compressed data")?;
        let (stored, zipped) = (table.column("UNCOMPRESSED_DATA"), table.column("GZIP_COMPRESSED_DATA"));
        let tile = tile_axes(image, layout)?;
        let tiles = Tiles { table, packed, stored, zipped, image: layout.axes, tile };
        if tiles.count() > tiles.table.rows {
            return Err(format!("damaged: expected {} tiles, got {}", tiles.count(), tiles.table.rows));
        }
        Ok(tiles)
    }

    fn counts(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.image[axis].div_ceil(self.tile[axis]))
    }

    fn count(&self) -> usize {
        self.counts().iter().product()
    }

    /// Where tile `number` begins, and its size; those at the far sides are cut.
    fn place(&self, number: usize) -> ([usize; 3], [usize; 3]) {
        let counts = self.counts();
        let at = [number % counts[0], number / counts[0] % counts[1], number / counts[0] / counts[1]];
        let origin = std::array::from_fn(|axis| at[axis] * self.tile[axis]);
        let size = std::array::from_fn(|axis| self.tile[axis].min(self.image[axis] - origin[axis]));
        (origin, size)
    }

    /// Decodes tile `number` of `pixels` pixels.
    fn read(
        &self,
        number: usize,
        pixels: usize,
        bitpix: i64,
        codec: &mut Codec,
        quantised: &mut Option<Quantised>,
    ) -> Result<Tile, String> {
        let whole = pixels * width(bitpix);
        let bytes = self.table.array(number, &self.packed)?;
        if !bytes.is_empty() {
            let tile = codec.decode(bytes, pixels, if quantised.is_some() { 32 } else { bitpix })?;
            return match quantised {
                Some(quantised) => quantised.reals(number, tile_integers(tile), &self.table).map(Tile::Reals),
                None => Ok(tile),
            };
        }
        // Tiles that do not get any smaller lie elsewhere, unquantised.
        for (column, zipped) in [(&self.stored, false), (&self.zipped, true)] {
            let bytes = column.as_ref().map_or(Ok(&[][..]), |column| self.table.array(number, column))?;
            match (bytes.is_empty(), zipped) {
                (true, _) => {}
                (false, false) => return Ok(Tile::Bytes(bytes.to_vec())),
                (false, true) => return unzip(bytes, whole).map(Tile::Bytes),
            }
        }
        Err(format!("damaged: tile {number} is empty"))
    }
}

/// The numbers of a tile that was quantised.
fn tile_integers(tile: Tile) -> Vec<i32> {
    match tile {
        Tile::Integers(numbers) => numbers,
        Tile::Bytes(bytes) => bytes.as_chunks().0.iter().map(|word| i32::from_be_bytes(*word)).collect(),
        Tile::Reals(_) => Vec::new(),
    }
}

/// The size of a tile; by default a row: FITS standard 4.0, section 10.1.1.
fn tile_axes(image: &Image, layout: &Layout) -> Result<[usize; 3], String> {
    let mut axes = Vec::new();
    for (axis, length) in image.axes.iter().enumerate() {
        let default = if axis == 0 { *length } else { 1 };
        let tile = match image.header.integer(&format!("ZTILE{}", axis + 1)) {
            None => default,
            Some(tile) if tile > 0 => (tile as u64).min(*length),
            Some(tile) => return Err(format!("damaged: a tile of length {tile}")),
        };
        if axis < 2 || *length > 1 {
            axes.push(usize::try_from(tile).map_err(|_| "damaged: absurd sizes in its header")?);
        }
    }
    axes.resize(layout.axes.len(), 1);
    if layout.inner == 1 {
        return Ok([axes[0], axes[1], axes[2]]);
    }
    if axes[0] != layout.inner {
        return Err("tiles of single colours of a pixel are not supported: save it as planes".into());
    }
    Ok([axes[0] * axes[1], axes[2], 1])
}

impl Codec {
    fn of(image: &Image) -> Result<Codec, String> {
        let header = &image.header;
        let name = header.text("ZCMPTYPE").unwrap_or_default();
        match name {
            "RICE_1" | "RICE_ONE" => rice(header),
            "HCOMPRESS_1" => {
                Ok(Codec::integers(name, hcompress_bitpix(image.bitpix), (0, 0), smooth(header)))
            }
            "PLIO_1" => Ok(Codec::integers(name, 32, (0, 0), Vec::new())),
            "GZIP_1" => Ok(Codec::Gzip { shuffled: false }),
            "GZIP_2" => Ok(Codec::Gzip { shuffled: true }),
            "NOCOMPRESS" => Ok(Codec::Stored),
            _ => Err(format!("compression {name:?} is not supported: decompress it (funpack)")),
        }
    }

    /// A table of one tile as the crate wants it; sizes are filled in for each.
    fn integers(name: &str, bitpix: i64, (block, bytes): (usize, usize), mut cards: Vec<CrateCard>) -> Codec {
        let text = |key: &str, text: &str| CrateCard::new(key, CrateValue::String(text.into())).ok();
        cards.extend([text("TTYPE1", "COMPRESSED_DATA"), text("TFORM1", "1PB")].into_iter().flatten());
        let info = HduInfo::CompressedImage {
            zbitpix: bitpix,
            znaxes: Vec::new(),
            zcmptype: name.into(),
            ztile: Vec::new(),
            blocksize: block,
            rice_bytepix: bytes,
            naxis1: DESCRIPTOR,
            naxis2: 1,
            pcount: 0,
            tfields: 1,
        };
        Codec::Integers(Box::new(Hdu { info, header_start: 0, data_start: 0, data_len: 0, cards }))
    }

    /// Decodes the tile in `bytes`, whose numbers are of that `BITPIX`.
    fn decode(&mut self, bytes: &[u8], pixels: usize, bitpix: i64) -> Result<Tile, String> {
        let whole = pixels * width(bitpix);
        match self {
            Codec::Integers(hdu) => {
                let mut numbers = integers(hdu, bytes, pixels)?;
                narrow(&mut numbers, bitpix);
                Ok(Tile::Integers(numbers))
            }
            Codec::Stored => Ok(Tile::Bytes(bytes.to_vec())),
            Codec::Gzip { shuffled } => {
                let numbers = unzip(bytes, whole.max(pixels * width(32)))?;
                let stored = numbers.len() / pixels;
                let numbers = if *shuffled { unshuffle(&numbers, pixels, stored) } else { numbers };
                // Some write 32 bits whatever the image has, some 16 for quantised floats.
                Ok(Tile::Bytes(if stored == width(bitpix) {
                    numbers
                } else {
                    resize(&numbers, stored, width(bitpix))
                }))
            }
        }
    }
}

/// Bytes of a descriptor in the crate's table.
const DESCRIPTOR: usize = 8;

fn integers(hdu: &mut Hdu, bytes: &[u8], pixels: usize) -> Result<Vec<i32>, String> {
    let count = u32::try_from(bytes.len()).map_err(|_| "damaged: a tile of absurd size")?;
    let mut table = Vec::with_capacity(DESCRIPTOR + bytes.len());
    table.extend(count.to_be_bytes());
    table.extend(0_u32.to_be_bytes());
    table.extend(bytes);
    if let HduInfo::CompressedImage { znaxes, ztile, pcount, .. } = &mut hdu.info {
        (*znaxes, *ztile, *pcount) = (vec![pixels], vec![pixels], bytes.len());
    }
    hdu.data_len = table.len();
    match fitsio_pure::tiled::read_tiled_image(&table, hdu).map_err(|why| format!("damaged: {why}"))? {
        ImageData::I32(numbers) => Ok(numbers),
        ImageData::I16(numbers) => Ok(numbers.into_iter().map(i32::from).collect()),
        _ => Err("damaged: a tile of another type".into()),
    }
}

/// Differences of short numbers add up to longer ones, of which only the lower bits count.
fn narrow(numbers: &mut [i32], bitpix: i64) {
    match bitpix {
        8 => numbers.iter_mut().for_each(|number| *number = i32::from(*number as u8)),
        16 => numbers.iter_mut().for_each(|number| *number = i32::from(*number as i16)),
        _ => {}
    }
}

fn rice(header: &Header) -> Result<Codec, String> {
    let block = parameter(header, "BLOCKSIZE").unwrap_or(RICE_BLOCK);
    let bytes = parameter(header, "BYTEPIX").unwrap_or(RICE_BYTES);
    if !(1..=MAX_RICE_BLOCK).contains(&block) || !matches!(bytes, 1 | 2 | 4) {
        return Err(format!("damaged: Rice blocks of {block} pixels of {bytes} bytes"));
    }
    Ok(Codec::integers("RICE_1", 32, (block as usize, bytes as usize), Vec::new()))
}

/// HCOMPRESS of 8 and 16 bits is undone in 32 bits, all else in 64: what is lossy depends on it.
fn hcompress_bitpix(bitpix: i64) -> i64 {
    if matches!(bitpix, 8 | 16) { 16 } else { 32 }
}

/// Whether HCOMPRESS is to smooth, in the crate's words.
fn smooth(header: &Header) -> Vec<CrateCard> {
    let smooth = parameter(header, "SMOOTH").unwrap_or(0);
    [("ZNAME1", CrateValue::String("SMOOTH".into())), ("ZVAL1", CrateValue::Integer(smooth))]
        .into_iter()
        .filter_map(|(key, value)| CrateCard::new(key, value).ok())
        .collect()
}

/// The compression parameter `name`.
fn parameter(header: &Header, name: &str) -> Option<i64> {
    let number = (1..=MAX_PARAMETERS).find(|n| header.text(&format!("ZNAME{n}")) == Some(name))?;
    match header.value(&format!("ZVAL{number}"))? {
        Value::Logical(set) => Some(i64::from(*set)),
        _ => header.integer(&format!("ZVAL{number}")),
    }
}

/// Undoes gzip, or the zlib that some write; more than `most` bytes are damage.
fn unzip(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let limit = most as u64 + 1;
    let mut numbers = Vec::new();
    let read = if bytes.starts_with(&GZIP) {
        MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut numbers)
    } else {
        ZlibDecoder::new(bytes).take(limit).read_to_end(&mut numbers)
    };
    read.map_err(super::words_of)?;
    if numbers.len() > most {
        return Err(format!("damaged: a tile of more than {most} bytes"));
    }
    Ok(numbers)
}

/// Puts the bytes of each of `pixels` numbers together, which GZIP_2 sorts by their weight.
fn unshuffle(bytes: &[u8], pixels: usize, width: usize) -> Vec<u8> {
    let mut numbers = vec![0; pixels * width];
    for (place, plane) in bytes.chunks_exact(pixels).enumerate().take(width) {
        for (number, byte) in numbers.chunks_exact_mut(width).zip(plane) {
            number[place] = *byte;
        }
    }
    numbers
}

/// Makes big-endian integers of `from` bytes into those of `to`.
fn resize(numbers: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut resized = Vec::with_capacity(numbers.len() / from.max(1) * to);
    for number in numbers.chunks_exact(from.max(1)) {
        let sign = if number[0] & 0x80 == 0 { 0 } else { 0xff };
        let missing = to.saturating_sub(from);
        resized.extend(std::iter::repeat_n(sign, missing));
        resized.extend(&number[from.saturating_sub(to)..]);
    }
    resized
}
