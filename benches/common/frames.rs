//! Frames that are made for a bench: a field of stars that drifts and turns, as a camera or an astronomical camera
//! writes it.

#![allow(dead_code, reason = "every bench uses its own part of this module")]

#[path = "../../tests/common/mod.rs"]
mod shared;

use crate::common::Size;
use livestack::error::Result;
use livestack::io::write_jpeg8;
use livestack::sensor::Bayer;
use shared::geometry::similarity;
pub(crate) use shared::mosaic::mosaiced as mosaic;
use shared::mosaic::write_sixteen;
use shared::picture::Picture;
pub(crate) use shared::sky::Sky;
use shared::sky::eight;
use std::path::Path;

/// Pixels for each star: 3000 on 20 Mpix.
const PIXELS_A_STAR: usize = 6500;
/// Noise of a JPEG that a camera has cleaned, 8-bit levels.
const NOISE: f32 = 1.5;
/// Quality of the JPEGs: 20 Mpix are 6 to 8 MB, as from a camera.
const QUALITY: u8 = 88;
/// 16-bit levels of an 8-bit one.
const SIXTEEN: f32 = 257.0;
/// From frame to frame: degrees, px.
const DRIFT: (f64, f64, f64) = (0.004, 1.3, -0.8);

/// A field as a camera of `size` sees it.
pub(crate) fn field(size: Size) -> Sky {
    let mut sky = Sky::new(size, size.0 * size.1 / PIXELS_A_STAR, 6);
    sky.noise = NOISE;
    sky
}

/// Levels of 0 to 255, colours interleaved.
pub(crate) type Light = Picture<f32>;

/// Frame number `k`.
pub(crate) fn light(sky: &Sky, k: usize) -> Light {
    let (degrees, x, y) = DRIFT;
    let k = k as f64;
    sky.light(&similarity(degrees * k, 1.0, x * k, y * k), k as u64)
}

/// Dark number `k`: the sensor's hot photosites.
pub(crate) fn dark(sky: &Sky, k: usize) -> Light {
    sky.dark(k as u64)
}

/// How the frames of a night are stored.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Colour, 8 bit.
    Jpeg,
    /// A mosaic, 16 bit.
    Fits,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Jpeg, Kind::Fits];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Jpeg => "jpeg",
            Kind::Fits => "fits mosaic",
        }
    }

    /// Bytes of a pixel of a frame.
    pub(crate) fn pixel_bytes(self) -> usize {
        match self {
            Kind::Jpeg => 3,
            Kind::Fits => 2,
        }
    }

    /// Extension of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Kind::Jpeg => "jpg",
            Kind::Fits => "fits",
        }
    }

    /// Writes `light` to `path`.
    pub(crate) fn write(self, path: &Path, light: &Light) -> Result<()> {
        match self {
            Kind::Jpeg => write_jpeg8(path, light.width, light.height, 3, &eight(light).data, QUALITY),
            Kind::Fits => {
                write_sixteen(path, &mosaic(light, Bayer::Rggb).map(|v| v * SIXTEEN), "BAYERPAT = 'RGGB'");
                Ok(())
            }
        }
    }
}
