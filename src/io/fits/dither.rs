//! Floats that were made integers before they were compressed: FITS standard 4.0, section 10.2.

use super::hdu::Image;
use super::table::{Column, Table};

/// Length of the sequence of random numbers: the same, appendix I.
const RANDOMS: usize = 10_000;
/// Its generator: Park and Miller, CACM 31(10), 1988.
const MULTIPLIER: u64 = 16_807;
const MODULUS: u64 = 2_147_483_647;
/// A random number times this is where a tile begins in the sequence.
const SPREAD: f32 = 500.0;
/// The integer that stands for 0 under the second method of dithering.
const ZERO: i32 = -2_147_483_646;

/// What takes the integers of a tile back to floats.
pub(super) struct Quantised {
    scale: Source,
    zero: Source,
    blank: Source,
    /// The sequence, and the seed of the first tile, where dithered.
    randoms: Option<(Vec<f32>, usize)>,
    /// An integer stands for 0.
    keeps_zero: bool,
}

/// A number for all tiles, or a column with one for each.
enum Source {
    All(Option<f64>),
    Each(Column),
}

impl Source {
    fn of(image: &Image, table: &Table, name: &str) -> Source {
        table.column(name).map_or_else(|| Source::All(image.header.number(name)), Source::Each)
    }

    fn is_there(&self) -> bool {
        !matches!(self, Source::All(None))
    }

    fn number(&self, tile: usize, table: &Table) -> Option<f64> {
        match self {
            Source::All(number) => *number,
            Source::Each(column) => table.number(tile, column),
        }
    }
}

impl Quantised {
    /// How the floats of `image` were made integers; `None` where they were not.
    pub(super) fn of(image: &Image, table: &Table) -> Result<Option<Quantised>, String> {
        let [scale, zero, blank] = ["ZSCALE", "ZZERO", "ZBLANK"].map(|name| Source::of(image, table, name));
        let method = image.header.text("ZQUANTIZ").unwrap_or_default();
        let integers =
            matches!(image.header.text("ZCMPTYPE"), Some("RICE_1" | "RICE_ONE" | "HCOMPRESS_1" | "PLIO_1"));
        if image.bitpix > 0 || method == "NONE" || !(scale.is_there() && zero.is_there()) {
            if image.bitpix < 0 && integers {
                return Err("floats compressed as integers: expected ZSCALE and ZZERO, got none".into());
            }
            return Ok(None);
        }
        let dithered = match method {
            "" | "NO_DITHER" => false,
            "SUBTRACTIVE_DITHER_1" | "SUBTRACTIVE_DITHER_2" => true,
            _ => return Err(format!("quantisation {method:?} is not supported: decompress it (funpack)")),
        };
        let seed =
            image.header.integer("ZDITHER0").filter(|seed| (1..=RANDOMS as i64).contains(seed)).unwrap_or(1);
        let randoms = dithered.then(|| (randoms(), seed as usize));
        let keeps_zero = method == "SUBTRACTIVE_DITHER_2";
        Ok(Some(Quantised { scale, zero, blank, randoms, keeps_zero }))
    }

    /// The floats of tile `number`; what was no number becomes 0.
    pub(super) fn reals(&self, number: usize, integers: Vec<i32>, table: &Table) -> Result<Vec<f32>, String> {
        let scale = self.scale.number(number, table).ok_or("damaged: ZSCALE is no number")?;
        let zero = self.zero.number(number, table).ok_or("damaged: ZZERO is no number")?;
        let blank = self.blank.number(number, table);
        let level = |integer: i32, dither: f64| {
            if blank == Some(f64::from(integer)) || self.keeps_zero && integer == ZERO {
                return 0.0;
            }
            ((f64::from(integer) - dither) * scale + zero) as f32
        };
        let Some((randoms, seed)) = &self.randoms else {
            return Ok(integers.into_iter().map(|integer| level(integer, 0.0)).collect());
        };
        let mut start = (number + seed - 1) % RANDOMS;
        let begin = |start: usize| (randoms[start] * SPREAD) as usize;
        let mut next = begin(start);
        let dithered = integers.into_iter().map(|integer| {
            let level = level(integer, f64::from(randoms[next]) - 0.5);
            next += 1;
            if next == RANDOMS {
                start = (start + 1) % RANDOMS;
                next = begin(start);
            }
            level
        });
        Ok(dithered.collect())
    }
}

/// The sequence of random numbers between 0 and 1.
fn randoms() -> Vec<f32> {
    let mut seed = 1;
    let next = |_| {
        seed = MULTIPLIER * seed % MODULUS;
        (seed as f64 / MODULUS as f64) as f32
    };
    (0..RANDOMS).map(next).collect()
}
