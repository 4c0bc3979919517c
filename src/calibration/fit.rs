//! Whether masters fit the lights, and what brings them there.

use crate::error::{Error, Result};
use crate::frame::SampleType;
use crate::master::{self, About, Masters};
use crate::stack::First;
use crate::tags::apart;

/// Temperatures that differ by less, degrees Celsius, are the same: dark current doubles in about 6.
const SAME_C: f64 = 3.0;

/// Refuses masters that lights like `light` cannot be calibrated with, whatever their size.
///
/// # Errors
/// [`Error::Usage`] with the reason.
pub(crate) fn check(masters: &Masters, light: &First) -> Result<()> {
    let display = |linear: bool, sample: SampleType| !linear && sample == SampleType::U8;
    let lights = display(light.sensor.linear, light.shape.sample);
    if let Some(dark) = &masters.dark {
        let darks = display(dark.about.linear, dark.shape.sample);
        if lights && dark.about.linear {
            return Err(Error::Usage(
                "the darks are RAW or FITS, the lights 8-bit pictures: a camera bends brightness into its JPEG, so linear \
                 darks cannot be taken off: stack the RAW files, or give darks saved as the lights are"
                    .into(),
            ));
        }
        if darks && light.sensor.linear {
            return Err(Error::Usage(
                "the darks are 8-bit pictures, the lights RAW or FITS: what a camera makes of a dark is not what its \
                 sensor saw: give darks saved as the lights are"
                    .into(),
            ));
        }
    }
    let flats = [&masters.flat, &masters.flat_offset];
    if flats.iter().any(|m| m.as_ref().is_some_and(|m| display(m.about.linear, m.shape.sample))) {
        return Err(Error::Usage(
            "flats or their darks are 8-bit pictures: flats need linear light, and a camera bends brightness into its \
             JPEG: give them as RAW or FITS"
                .into(),
        ));
    }
    if masters.flat.is_some() && lights {
        return Err(Error::Usage(
            "flats need linear light, JPEG is gamma-coded: dividing by a flat would be wrong everywhere: stack the RAW \
             files, or leave --flat out"
                .into(),
        ));
    }
    Ok(())
}

/// Brings ready masters of other programs to the units of the lights, and takes the black level off a dark that holds it,
/// as it is taken off the lights. Returns what was done, a line each.
pub(crate) fn settle(masters: &mut Masters, light: &First) -> Vec<String> {
    let mut lines = Vec::new();
    if !light.sensor.linear {
        return lines;
    }
    let Masters { dark, flat, flat_offset, .. } = masters;
    for master in [&mut *dark, flat, flat_offset].into_iter().flatten() {
        if master.about.linear && master.about.bottom_up != light.sensor.bottom_up {
            master.turn();
            lines.push("a master's rows are stored the other way up: it is turned".into());
        }
    }
    if let (Some(flat), Some(offset)) = (flat, flat_offset) {
        let factor = master::fit_unit(offset, flat.shape.sample, &flat.levels);
        if factor != 1.0 {
            lines.push(format!(
                "the flat's offset is in another unit than the flat: it is multiplied by {factor}"
            ));
        }
    }
    let Some(dark) = dark.as_mut().filter(|d| d.about.linear) else { return lines };
    // Black included: a dark of another program may hold it.
    let factor = master::fit_unit(dark, light.shape.sample, &light.samples);
    if factor != 1.0 {
        lines.push(format!("the dark is in another unit than the lights: it is multiplied by {factor}"));
    }
    let black = light.sensor.black;
    // What is left of a dark whose black is off is far from it, on either side.
    let holds =
        dark.about.black == [0.0; 4] && master::median(&dark.levels) > black.iter().sum::<f32>() / 8.0;
    if black != [0.0; 4] && holds {
        let (w, channels) = (dark.shape.width, dark.shape.channels);
        for (k, level) in dark.levels.iter_mut().enumerate() {
            let (x, y) = (k / channels % w, k / channels / w);
            *level -= if channels == 1 { black[(x & 1) + 2 * (y & 1)] } else { black[0] };
        }
        dark.about.black = black;
        lines.push("the dark holds the black level of the lights: it is taken off it too".into());
    }
    lines
}

/// How the dark differs from the lights in what should be alike, a line each.
#[must_use]
pub(crate) fn doubts(masters: &Masters, light: &First) -> Vec<String> {
    let tags = &light.tags;
    let lights = About {
        exposure_s: tags.exposure_s,
        iso: tags.iso,
        gain: tags.gain,
        temperature_c: tags.temperature_c,
        camera: tags.camera.clone(),
        ..About::default()
    };
    let mut lines = Vec::new();
    if let Some(dark) = &masters.dark {
        lines = differences("dark", &dark.about, "lights", &lights);
        let black = light.sensor.black.iter().sum::<f32>() / 4.0;
        if dark.about.linear && master::median(&dark.levels) > master::median(&light.samples) - black {
            lines.push("the dark is brighter than the first light: little will be left".into());
        }
    }
    if let Some((own, other)) =
        masters.flat.as_ref().and_then(|f| f.about.camera.as_ref()).zip(tags.camera.as_ref())
        && own != other
    {
        lines.push(format!("the flat is of camera {own}, the lights of {other}"));
    }
    lines
}

pub(super) fn differences(name: &str, own: &About, others: &str, other: &About) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: &str,
                   unit: &str,
                   a: Option<f64>,
                   b: Option<f64>,
                   apart: &dyn Fn(f64, f64) -> bool| {
        if let Some((a, b)) = a.zip(b).filter(|&(a, b)| apart(a, b)) {
            lines.push(format!(
                "the {name} has {what} {a}{unit}, the {others} {b}{unit}: what the {name} takes off is not what is there"
            ));
        }
    };
    // A bias in place of a dark has no exposure.
    if own.exposure_s.is_none_or(|s| s > 1e-3) {
        add("an exposure of", " s", own.exposure_s, other.exposure_s, &apart);
    }
    add("ISO", "", own.iso, other.iso, &apart);
    add("gain", "", own.gain, other.gain, &apart);
    let warmer = |a: f64, b: f64| (a - b).abs() > SAME_C;
    add("a temperature of", " C", own.temperature_c, other.temperature_c, &warmer);
    if let Some((a, b)) = own.camera.as_ref().zip(other.camera.as_ref()).filter(|(a, b)| a != b) {
        lines.push(format!("the {name} is of camera {a}, the {others} of {b}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Shape;
    use crate::master::Master;
    use crate::sensor::Sensor;
    use crate::tags::Tags;

    /// A dark from 0 to 1 that holds the black level of RAW lights comes to their unit, and its black goes.
    #[test]
    fn a_dark_of_another_program_that_holds_the_black_level() {
        let shape = Shape { width: 2, height: 2, channels: 1, sample: SampleType::U16, mosaic: None };
        let black = [2048.0, 2050.0, 2046.0, 2048.0];
        let light = First {
            path: "light".into(),
            shape,
            sensor: Sensor { black, ..Sensor::LINEAR },
            tags: Tags::default(),
            white: 65535.0,
            beside: 0,
            held: 0,
            samples: vec![2100.0, 2102.0, 2098.0, 2100.0],
        };
        let levels = black.map(|b| (b + 7.0) / 65535.0).into();
        let about = About { linear: true, ..About::default() };
        let dark = Master { shape: Shape { sample: SampleType::F32, ..shape }, levels, frames: 1, about };
        let mut masters = Masters { dark: Some(dark), ..Masters::default() };
        assert_eq!(settle(&mut masters, &light).len(), 2);
        let left = masters.dark.expect("a dark").levels;
        assert!(left.iter().all(|l| (l - 7.0).abs() < 0.01), "{left:?}");
    }
}
