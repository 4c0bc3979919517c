//! What a sensor's samples mean: the colours of a mosaic, black and white level, colour balance and colour matrix.

use serde::{Deserialize, Serialize};

/// The colours of a 2x2 cell of a Bayer mosaic, row by row from the top left pixel of the frame as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum Bayer {
    /// Red, green; green, blue.
    Rggb = 0,
    /// Green, red; blue, green.
    Grbg = 1,
    /// Green, blue; red, green.
    Gbrg = 2,
    /// Blue, green; green, red.
    Bggr = 3,
}

impl Bayer {
    /// Every pattern; a pattern's place is the column of its red pixel plus twice the row.
    pub const ALL: [Bayer; 4] = [Bayer::Rggb, Bayer::Grbg, Bayer::Gbrg, Bayer::Bggr];

    /// Its name, as headers and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Bayer::Rggb => "RGGB",
            Bayer::Grbg => "GRBG",
            Bayer::Gbrg => "GBRG",
            Bayer::Bggr => "BGGR",
        }
    }

    /// The pattern of that name, in upper or lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Bayer> {
        Bayer::ALL.into_iter().find(|b| b.name().eq_ignore_ascii_case(name.trim()))
    }

    /// The colour of pixel (x, y): 0 red, 1 green, 2 blue.
    #[must_use]
    pub const fn colour(self, x: usize, y: usize) -> usize {
        let (rx, ry) = (self as usize & 1, self as usize >> 1);
        ((x ^ rx) & 1) + ((y ^ ry) & 1)
    }

    /// The pattern of the part of the frame that begins at pixel (x, y).
    #[must_use]
    pub const fn from(self, x: usize, y: usize) -> Bayer {
        Bayer::ALL[self as usize ^ (x & 1) ^ ((y & 1) << 1)]
    }

    /// The pattern of a frame of `height` rows that is stored with its last row first.
    #[must_use]
    pub const fn upside_down(self, height: usize) -> Bayer {
        self.from(0, height + 1)
    }
}

/// A colour matrix that changes nothing, row by row.
pub const NO_MATRIX: [f32; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// What the samples of a frame mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Level of black, of each pixel of a 2x2 cell, row by row from the top left pixel; one value where all are alike.
    /// Levels are samples less this.
    pub black: [f32; 4],
    /// The level (less black) that stands for 1, where the file says; see [`Frame::white`](crate::frame::Frame::white).
    pub white: Option<f32>,
    /// Whether samples are proportional to light: RAW and FITS. Not so the pictures that a camera makes.
    pub linear: bool,
    /// What red, green and blue are multiplied by so that white is white, the least of them 1; all 1 where the file
    /// does not say.
    pub balance: [f32; 3],
    /// From balanced sensor colours to linear sRGB, row by row; each row adds up to 1.
    pub matrix: [f32; 9],
    /// Whether rows are stored from the bottom up: FITS files may say so.
    pub bottom_up: bool,
}

impl Sensor {
    /// A picture made for the screen.
    pub const DISPLAY: Sensor = Sensor {
        black: [0.0; 4],
        white: None,
        linear: false,
        balance: [1.0; 3],
        matrix: NO_MATRIX,
        bottom_up: false,
    };
    /// Linear samples of which nothing else is known.
    pub const LINEAR: Sensor = Sensor { linear: true, ..Sensor::DISPLAY };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for b in Bayer::ALL {
            let cell: String = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(x, y)| ['R', 'G', 'B'][b.colour(x, y)])
                .iter()
                .collect();
            assert_eq!(cell, b.name());
            assert_eq!(Bayer::named(&b.name().to_lowercase()), Some(b));
            for (x, y) in [(1, 0), (0, 1), (3, 5), (2, 2)] {
                assert_eq!(b.from(x, y).colour(0, 0), b.colour(x, y));
                assert_eq!(b.from(x, y).colour(1, 0), b.colour(x + 1, y));
            }
        }
        assert_eq!(Bayer::Rggb.upside_down(4), Bayer::Gbrg);
        assert_eq!(Bayer::Rggb.upside_down(3), Bayer::Rggb);
        assert_eq!(Bayer::named("RGBG"), None);
    }
}
