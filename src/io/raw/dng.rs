//! What the samples of a DNG mean, from its own tags.
//!
//! Source: Adobe, Digital Negative Specification 1.7.1, chapters 4 and 6.

use super::container::camera;
use super::directory::{Block, Directory};
use super::{Area, Colours, Facts};
use crate::sensor::Bayer;

const SUB_FILE_TYPE: u16 = 0x00fe;
const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const BITS: u16 = 0x0102;
const COMPRESSION: u16 = 0x0103;
const PHOTOMETRIC: u16 = 0x0106;
const MAKE: u16 = 0x010f;
const MODEL: u16 = 0x0110;
const STRIP_OFFSETS: u16 = 0x0111;
const SAMPLES: u16 = 0x0115;
const STRIP_BYTES: u16 = 0x0117;
const SAMPLE_FORMAT: u16 = 0x0153;
const CFA_DIM: u16 = 0x828d;
const CFA_PATTERN: u16 = 0x828e;
const VERSION: u16 = 0xc612;
const UNIQUE_MODEL: u16 = 0xc614;
const CFA_PLANES: u16 = 0xc616;
const CFA_LAYOUT: u16 = 0xc617;
const LINEARIZATION: u16 = 0xc618;
const BLACK_DIM: u16 = 0xc619;
const BLACK: u16 = 0xc61a;
const BLACK_DELTA_H: u16 = 0xc61b;
const BLACK_DELTA_V: u16 = 0xc61c;
const WHITE: u16 = 0xc61d;
const MATRIX: [u16; 2] = [0xc621, 0xc622];
const CALIBRATION: [u16; 2] = [0xc623, 0xc624];
const ANALOG_BALANCE: u16 = 0xc627;
const NEUTRAL: u16 = 0xc628;
const ILLUMINANT: [u16; 2] = [0xc65a, 0xc65b];
const ACTIVE_AREA: u16 = 0xc68d;

/// Values of the tags: a mosaic; rectangular cells; no compression, lossless JPEG; float; daylight of 6500 K.
const MOSAIC: f64 = 32803.0;
const RECTANGULAR: f64 = 1.0;
const PLAIN: f64 = 1.0;
const JPEG: f64 = 7.0;
const FLOAT: f64 = 3.0;
const D65: f64 = 21.0;
/// What the crates take for pictures: not compressed, JPEG, deflate, lossy JPEG, JPEG XL.
const COMPRESSIONS: [f64; 5] = [PLAIN, JPEG, 8.0, 34892.0, 52546.0];

/// What a DNG's tags say.
pub(super) struct Dng {
    pub(super) facts: Facts,
    /// Where the entry of the table of levels is.
    pub(super) linearization_at: Option<usize>,
    /// Whether rawloader reads this kind exactly.
    pub(super) loader_is_exact: bool,
}

impl Dng {
    /// `None` for another kind of file.
    pub(super) fn of(bytes: &[u8]) -> Result<Option<Dng>, String> {
        let mut source = bytes;
        let Some(mut block) = Block::open(&mut source, 0) else { return Ok(None) };
        let Some(root) = block.root().filter(|root| root.find(VERSION).is_some()) else { return Ok(None) };
        let raw = picture(&mut block).ok_or("damaged DNG: no picture in full size")?;
        let mut tags = Reader { block, root, raw };
        let facts = tags.facts().ok_or("damaged DNG: its picture has no size or no active area")?;
        let linearization_at = tags.raw.find(LINEARIZATION).map(|entry| entry.place as usize);
        let loader_is_exact = tags.loader_is_exact();
        Ok(Some(Dng { facts, linearization_at, loader_is_exact }))
    }
}

type Tiff<'s, 'b> = Block<'s, &'b [u8]>;

/// The first picture that is not reduced, as both crates choose it.
fn picture(block: &mut Tiff) -> Option<Directory> {
    block.all().into_iter().find(|directory| {
        let reduced = block.first_of(directory, SUB_FILE_TYPE).is_some_and(|kind| kind as u32 & 1 != 0);
        let compression = block.first_of(directory, COMPRESSION);
        !reduced && compression.is_some_and(|kind| COMPRESSIONS.contains(&kind))
    })
}

/// The tags of a DNG: of the file and of the picture.
struct Reader<'s, 'b> {
    block: Tiff<'s, 'b>,
    root: Directory,
    raw: Directory,
}

impl Reader<'_, '_> {
    fn facts(&mut self) -> Option<Facts> {
        let active = self.active()?;
        let (make, model) = (self.block.text(&self.root, MAKE), self.block.text(&self.root, MODEL));
        let unique = self.block.text(&self.root, UNIQUE_MODEL);
        let table = self.of_raw(LINEARIZATION);
        let neutral = self.of_root(NEUTRAL);
        let balance = match neutral[..] {
            [red, green, blue] => [1.0 / red as f32, 1.0 / green as f32, 1.0 / blue as f32, f32::NAN],
            _ => [f32::NAN; 4],
        };
        Some(Facts {
            camera: camera(make, model).or(unique).unwrap_or_else(|| "a camera without a name".into()),
            active,
            colours: self.colours(),
            black: self.black(),
            white: Some(self.white()),
            balance,
            xyz_to_camera: self.matrix(),
            linearization: (!table.is_empty()).then(|| table.iter().map(|level| *level as u16).collect()),
        })
    }

    fn of_root(&mut self, tag: u16) -> Vec<f64> {
        self.block.list(&self.root, tag)
    }

    fn of_raw(&mut self, tag: u16) -> Vec<f64> {
        self.block.list(&self.raw, tag)
    }

    fn number(&mut self, tag: u16) -> Option<f64> {
        self.block.first_of(&self.raw, tag)
    }

    /// The active area; the whole where the file does not say.
    fn active(&mut self) -> Option<Area> {
        let (width, height) = (self.number(WIDTH)? as usize, self.number(HEIGHT)? as usize);
        let area = self.of_raw(ACTIVE_AREA);
        let [top, left, bottom, right] = area[..] else {
            return Some(Area { left: 0, top: 0, width, height });
        };
        let (top, left) = (top as usize, left as usize);
        let (width, height) = ((right as usize).checked_sub(left)?, (bottom as usize).checked_sub(top)?);
        Some(Area { left, top, width, height })
    }

    /// The mosaic from the corner of the active area on: the tag counts from there.
    fn colours(&mut self) -> Colours {
        if self.number(PHOTOMETRIC) != Some(MOSAIC) {
            return Colours::Whole;
        }
        let planes = self.of_raw(CFA_PLANES);
        let planes = if planes.is_empty() { vec![0.0, 1.0, 2.0] } else { planes };
        // Red, green, blue, cyan, magenta, yellow, white: the tag's own numbers.
        let letter = |colour: &f64| ['R', 'G', 'B', 'C', 'M', 'Y', 'W'].get(*colour as usize).unwrap_or(&'?');
        let pattern: String = self.of_raw(CFA_PATTERN).iter().map(letter).collect();
        let square = self.of_raw(CFA_DIM) == [2.0, 2.0];
        let plain = self.number(CFA_LAYOUT).is_none_or(|layout| layout == RECTANGULAR);
        match Bayer::named(&pattern).filter(|_| square && plain && planes == [0.0, 1.0, 2.0]) {
            Some(bayer) => Colours::Bayer(bayer),
            None => Colours::Other(pattern),
        }
    }

    /// Black of each pixel of a 2x2 cell: a repeated pattern, and what columns and rows add to it, on average. Of
    /// three samples a pixel the mean.
    fn black(&mut self) -> [f32; 4] {
        let levels = self.of_raw(BLACK);
        let samples = self.number(SAMPLES).unwrap_or(1.0) as usize;
        let dim = self.of_raw(BLACK_DIM);
        let (rows, columns) = match dim[..] {
            [rows, columns] if rows >= 1.0 && columns >= 1.0 => (rows as usize, columns as usize),
            _ => (1, 1),
        };
        let added = [self.of_raw(BLACK_DELTA_H), self.of_raw(BLACK_DELTA_V)];
        std::array::from_fn(|k| {
            let (x, y) = (k % 2, k / 2);
            let place = (y % rows * columns + x % columns).saturating_mul(samples);
            let level = levels.get(place..).map(|levels| mean(levels.iter().take(samples)));
            let every_other = |k: usize, first| mean(added[k].iter().skip(first).step_by(2));
            (level.unwrap_or_default() + every_other(0, x) + every_other(1, y)) as f32
        })
    }

    /// White; where the file does not say, the largest level that its samples can have.
    fn white(&mut self) -> f32 {
        let bits = self.number(BITS).unwrap_or(16.0);
        let (float, table) =
            (self.number(SAMPLE_FORMAT) == Some(FLOAT), self.raw.find(LINEARIZATION).is_some());
        let largest = match () {
            () if float => 1.0,
            () if table => f64::from(u16::MAX),
            () => bits.exp2() - 1.0,
        };
        self.number(WHITE).unwrap_or(largest) as f32
    }

    /// From XYZ to the camera's colours under 6500 K, or under the last of the illuminants that the file has.
    fn matrix(&mut self) -> Option<[[f32; 3]; 3]> {
        let known: Vec<usize> = (0..2).filter(|k| self.of_root(MATRIX[*k]).len() == 9).collect();
        let daylight = |k: &&usize| self.block.first_of(&self.root, ILLUMINANT[**k]) == Some(D65);
        let k = *known.iter().find(daylight).or(known.last())?;
        let (matrix, calibration) = (self.of_root(MATRIX[k]), self.of_root(CALIBRATION[k]));
        let analog = self.of_root(ANALOG_BALANCE);
        let analog = |row: usize| analog.get(row).copied().unwrap_or(1.0);
        let calibrated = |row: usize, column: usize| match calibration.len() {
            9 => (0..3).map(|k| calibration[3 * row + k] * matrix[3 * k + column]).sum(),
            _ => matrix[3 * row + column],
        };
        Some(std::array::from_fn(|row| {
            std::array::from_fn(|column| (analog(row) * calibrated(row, column)) as f32)
        }))
    }

    /// rawloader 0.37.2 takes 16 bits for little-endian, 10 bits for packed as some phones do, rows of 12 bits for
    /// whole bytes, and strips for one piece; what it gets of JPEG with another predictor than the left pixel is an
    /// error, but not of several samples a pixel.
    fn loader_is_exact(&mut self) -> bool {
        let one = self.number(SAMPLES).unwrap_or(1.0) == 1.0;
        let (bits, width) =
            (self.number(BITS).unwrap_or_default() as u32, self.number(WIDTH).unwrap_or_default());
        match self.number(COMPRESSION) {
            Some(JPEG) => one,
            Some(PLAIN) => {
                let packed =
                    (bits == 16 && self.block.little) || (bits == 12 && (width as u64).is_multiple_of(2));
                one && packed && self.in_one_piece()
            }
            _ => false,
        }
    }

    /// Whether the strips follow each other.
    fn in_one_piece(&mut self) -> bool {
        let (offsets, bytes) = (self.of_raw(STRIP_OFFSETS), self.of_raw(STRIP_BYTES));
        let follows = |k: usize| offsets[k] + bytes.get(k).unwrap_or(&0.0) == offsets[k + 1];
        !offsets.is_empty() && (0..offsets.len() - 1).all(follows)
    }
}

/// The mean, 0 of nothing.
fn mean<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}
