//! Decoding with rawloader.

use rawloader::{CFA, RawImage, RawImageData};

use super::container::camera;
use super::limits;
use super::{Area, Colours, Decoded, Facts, Raw, Samples};
use crate::sensor::Bayer;

/// Decodes the file `bytes`; what rawloader does not know, or panics at, is an error.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    // Formats that state their size in tags of their own are asked for it first.
    if let Ok(header) = rawloader::decode_dummy(&mut &bytes[..]) {
        limits::check_size(header.width as u64, header.height as u64, header.cpp as u64, bytes)?;
    }
    let image = rawloader::decode(&mut &bytes[..]).map_err(|error| first_line(&error.to_string()))?;
    let facts = facts(&image)?;
    let samples = match image.data {
        RawImageData::Integer(samples) => Samples::Integer(samples),
        RawImageData::Float(samples) => Samples::Float(samples),
    };
    Ok(Decoded { raw: Raw::new(image.width, image.height, image.cpp, samples)?, facts })
}

/// What rawloader's table of cameras says of the file `bytes`, without its samples.
pub(super) fn header(bytes: &[u8]) -> Result<Facts, String> {
    facts(&rawloader::decode_dummy(&mut &bytes[..]).map_err(|error| first_line(&error.to_string()))?)
}

/// What rawloader's table of cameras says.
fn facts(image: &RawImage) -> Result<Facts, String> {
    let [top, right, bottom, left] = image.crops;
    let inside = |side: usize, first: usize, last: usize| side.checked_sub(first)?.checked_sub(last);
    let (width, height) = (inside(image.width, left, right), inside(image.height, top, bottom));
    let (width, height) = width.zip(height).ok_or("damaged: nothing is left of the active area")?;
    let active = Area { left, top, width, height };
    let cfa = image.cropped_cfa();
    let whole = image.cpp != 1 || !cfa.is_valid();
    let table = known([image.xyz_to_cam[0], image.xyz_to_cam[1], image.xyz_to_cam[2]]);
    Ok(Facts {
        camera: camera(Some(image.clean_make.clone()), Some(image.clean_model.clone())).unwrap_or_default(),
        active,
        colours: if whole { Colours::Whole } else { colours(&cfa) },
        black: black(image, &cfa),
        white: Some(f32::from(image.whitelevels[0])),
        balance: image.wb_coeffs,
        // rawler's table has the values of 2018 and later, as LibRaw's has.
        #[cfg(feature = "rawler")]
        xyz_to_camera: super::newer::matrix(&image.make, &image.model).or(table),
        #[cfg(not(feature = "rawler"))]
        xyz_to_camera: table,
        linearization: None,
    })
}

fn colours(cfa: &CFA) -> Colours {
    // Its name is not shifted with it, but its colours are.
    let letter = |k: usize| ['R', 'G', 'B', 'E'][cfa.color_at(k / cfa.width, k % cfa.width) & 3];
    let pattern: String = (0..cfa.width * cfa.height).map(letter).collect();
    Bayer::named(&pattern).map_or(Colours::Other(pattern), Colours::Bayer)
}

/// Its levels are those of red, green, blue and a fourth colour, not of places.
fn black(image: &RawImage, cfa: &CFA) -> [f32; 4] {
    let of = |colour: usize| f32::from(image.blacklevels[colour]);
    if cfa.is_valid() && image.cpp == 1 {
        std::array::from_fn(|k| of(cfa.color_at(k / 2, k % 2) & 3))
    } else {
        [of(0); 4]
    }
}

/// A matrix of zeros stands for none.
pub(super) fn known(matrix: [[f32; 3]; 3]) -> Option<[[f32; 3]; 3]> {
    matrix.iter().flatten().any(|entry| *entry != 0.0).then_some(matrix)
}

/// An error in one line: the crates go on about samples and bug trackers in further ones.
pub(super) fn first_line(message: &str) -> String {
    let message = message.trim_start_matches("RawLoaderError: ").trim_start_matches('"');
    let line =
        message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no decoder").to_owned();
    if line.contains("Caught a panic") {
        "damaged: the decoder gave up: copy the file again".to_owned()
    } else {
        line
    }
}
