//! What a file says of how its frame was taken.

use serde::{Deserialize, Serialize};

/// How a written picture has to be turned so that the camera's "up" is up: the values of the EXIF tag.
/// Frames are never turned on input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Orientation(pub u8);

impl Orientation {
    /// As it lies on the sensor.
    pub const UPRIGHT: Orientation = Orientation(1);
    /// Its last row is the top one.
    pub const UPSIDE_DOWN: Orientation = Orientation(4);
}

/// Where a telescope points, J2000 or of the date: only differences count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointing {
    /// Right ascension, degrees.
    pub ra_deg: f64,
    /// Declination, degrees.
    pub dec_deg: f64,
}

impl Pointing {
    /// The angle to `other`, degrees.
    #[must_use]
    pub fn apart_deg(&self, other: &Pointing) -> f64 {
        let (a, b) = (self.dec_deg.to_radians(), other.dec_deg.to_radians());
        let ra = (self.ra_deg - other.ra_deg).to_radians();
        // Haversine: exact for small angles.
        let h = ((a - b) / 2.0).sin().powi(2) + a.cos() * b.cos() * (ra / 2.0).sin().powi(2);
        2.0 * h.sqrt().min(1.0).asin().to_degrees()
    }
}

/// What a frame is of, as its header says (`IMAGETYP`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The sky.
    Light,
    /// Shutter closed, exposed as long as a light.
    Dark,
    /// An evenly lit field.
    Flat,
    /// Shutter closed, exposed as long as a flat.
    FlatDark,
    /// Shutter closed, not exposed.
    Bias,
}

impl Kind {
    /// As messages call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Light => "light",
            Kind::Dark => "dark",
            Kind::Flat => "flat",
            Kind::FlatDark => "flat dark",
            Kind::Bias => "bias",
        }
    }
}

/// The properties of a frame that its header or its EXIF states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tags {
    /// How written pictures are turned; upright where the file says nothing.
    pub orientation: Orientation,
    /// Capture time as the file states it, `YYYY-MM-DDThh:mm:ss[.fff]`: sorts as text.
    pub taken: Option<String>,
    /// Exposure time in seconds; above 0, but for a bias.
    pub exposure_s: Option<f64>,
    /// ISO speed, above 0.
    pub iso: Option<f64>,
    /// Gain as the camera counts it.
    pub gain: Option<f64>,
    /// Temperature of the sensor, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// What the frame is of; `None` where the file does not say.
    pub kind: Option<Kind>,
    /// The header says that it is a master or a stack, made of this many frames (1 where it does not say how many).
    pub master_of: Option<usize>,
    /// Name of the object.
    pub object: Option<String>,
    /// Camera.
    pub camera: Option<String>,
    /// Where the telescope pointed.
    pub pointing: Option<Pointing>,
    /// A mosaic that livestack has no colours for, by its name in the header.
    pub other_mosaic: Option<String>,
}

impl Default for Tags {
    fn default() -> Self {
        Tags {
            orientation: Orientation::UPRIGHT,
            taken: None,
            exposure_s: None,
            iso: None,
            gain: None,
            temperature_c: None,
            kind: None,
            master_of: None,
            object: None,
            camera: None,
            pointing: None,
            other_mosaic: None,
        }
    }
}

/// Exposure times, speeds and gains that differ by at most this part of the larger are the same: shutters are that exact.
const SAME: f64 = 0.02;

/// Whether two exposure times, ISO speeds or gains are not the same.
#[must_use]
pub fn apart(a: f64, b: f64) -> bool {
    (a - b).abs() > SAME * a.abs().max(b.abs())
}
