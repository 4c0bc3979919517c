//! Decoding with rawler: CR3, newer compression, cameras after 2018.

use std::collections::HashMap;
use std::sync::Arc;

use rawler::decoders::RawDecodeParams;
use rawler::imgop::xyz::Illuminant;
use rawler::rawimage::RawPhotometricInterpretation;
use rawler::rawsource::RawSource;
use rawler::{CFA, RawImage, RawImageData, RawlerError};

use super::container::camera;
use super::limits;
use super::loader::{first_line, known};
use super::{Area, Colours, Decoded, Facts, Raw, Samples};
use crate::sensor::Bayer;

/// Matrices of a camera, the most wanted first.
const ILLUMINANTS: [Illuminant; 6] =
    [Illuminant::D65, Illuminant::D55, Illuminant::D50, Illuminant::D75, Illuminant::C, Illuminant::A];

/// Decodes the file `bytes`; what rawler does not know, or panics at, is an error.
pub(super) fn decode(bytes: Vec<u8>) -> Result<Decoded, String> {
    let bytes = Arc::new(bytes);
    let source = RawSource::new_from_shared_vec(Arc::clone(&bytes));
    let is_dng = super::dng::Dng::of(&bytes).is_ok_and(|dng| dng.is_some());
    // It would decode a DNG whole; the size of that is known.
    if !is_dng {
        let header = rawler::decode_dummy(&source).map_err(|error| why(&error))?;
        limits::check_size(header.width as u64, header.height as u64, header.cpp as u64, &bytes)?;
    }
    let params = RawDecodeParams::default();
    let image = rawler::decode(&source, &params).map_err(|error| why(&error))?;
    let facts = facts(&image);
    let samples = match image.data {
        RawImageData::Integer(samples) => Samples::Integer(samples),
        RawImageData::Float(samples) => Samples::Float(samples),
    };
    Ok(Decoded { raw: Raw::new(image.width, image.height, image.cpp, samples)?, facts })
}

/// What rawler says of the file `bytes`, without its samples.
pub(super) fn header(bytes: &[u8]) -> Result<Facts, String> {
    let source = RawSource::new_from_slice(bytes);
    rawler::decode_dummy(&source).map(|image| facts(&image)).map_err(|error| why(&error))
}

/// An error in one line.
fn why(error: &RawlerError) -> String {
    match error {
        RawlerError::Unsupported { what, make, model, .. } if model.is_empty() => {
            format!("not supported: {what}{make}")
        }
        RawlerError::Unsupported { what, make, model, .. } => {
            format!("not supported: {what}: {make} {model}")
        }
        RawlerError::DecoderFailed(what) => first_line(what),
    }
}

/// What rawler's table of cameras and the maker's notes say. Its mosaic and levels count from the corner of the
/// sensor.
fn facts(image: &RawImage) -> Facts {
    let active = image.active_area.map(|area| Area {
        left: area.p.x,
        top: area.p.y,
        width: area.d.w,
        height: area.d.h,
    });
    let active = active.unwrap_or(Area { left: 0, top: 0, width: image.width, height: image.height });
    let cfa = match &image.photometric {
        RawPhotometricInterpretation::Cfa(config) if image.cpp == 1 => {
            Some(config.cfa.shift(active.left, active.top)).filter(CFA::is_valid)
        }
        _ => None,
    };
    Facts {
        camera: camera(Some(image.clean_make.clone()), Some(image.clean_model.clone())).unwrap_or_default(),
        active,
        colours: cfa.map_or(Colours::Whole, |cfa| colours(&cfa)),
        black: black(image, active),
        white: image.whitelevel.0.first().map(|white| *white as f32),
        balance: image.wb_coeffs,
        xyz_to_camera: most_wanted(&image.color_matrix),
        linearization: None,
    }
}

/// From XYZ to the colours of the camera that is called so in files, where rawler's table has it.
pub(super) fn matrix(make: &str, model: &str) -> Option<[[f32; 3]; 3]> {
    let cameras = rawler::global_loader().get_cameras();
    let modes = ["", "12bit", "14bit"].into_iter();
    let name = |mode: &str| (make.to_owned(), model.to_owned(), mode.to_owned());
    modes.filter_map(|mode| cameras.get(&name(mode))).find_map(|camera| most_wanted(&camera.color_matrix))
}

/// The matrix of the light that is nearest to daylight.
fn most_wanted(matrices: &HashMap<Illuminant, Vec<f32>>) -> Option<[[f32; 3]; 3]> {
    let m = ILLUMINANTS.iter().find_map(|light| matrices.get(light)).filter(|m| m.len() >= 9)?;
    known([[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]])
}

fn colours(cfa: &CFA) -> Colours {
    let letter = |k: usize| *['R', 'G', 'B'].get(cfa.color_at(k / cfa.width, k % cfa.width)).unwrap_or(&'E');
    let pattern: String = (0..cfa.width * cfa.height).map(letter).collect();
    Bayer::named(&pattern).map_or(Colours::Other(pattern), Colours::Bayer)
}

/// Black of each pixel of a 2x2 cell of the active area.
fn black(image: &RawImage, active: Area) -> [f32; 4] {
    let (levels, black) = (image.blacklevel.as_vec(), &image.blacklevel);
    std::array::from_fn(|k| {
        let (x, y) = (active.left + k % 2, active.top + k / 2);
        let place = (y % black.height.max(1) * black.width + x % black.width.max(1)) * black.cpp;
        levels.get(place).copied().unwrap_or_default()
    })
}
