//! Small planes and spectra in stored values: their numbers are as many as their sides say, or they are refused.

use super::{Complex32, Small, Spectrum};
use serde::{Deserialize, Serialize};

/// A plane as it is stored: width, height, values.
#[derive(Serialize, Deserialize)]
pub(super) struct Plane(usize, usize, Vec<f32>);

/// A spectrum as it is stored: width, height, real and imaginary parts.
#[derive(Serialize, Deserialize)]
pub(super) struct Grid(usize, usize, Vec<(f32, f32)>);

/// Whether so many numbers fill the sides.
fn full(width: usize, height: usize, numbers: usize) -> Result<(), &'static str> {
    let fits = width > 0 && height > 0 && width.checked_mul(height) == Some(numbers);
    if fits { Ok(()) } else { Err("a plane does not fill its sides") }
}

impl From<Small> for Plane {
    fn from(Small { data, width, height }: Small) -> Plane {
        Plane(width, height, data)
    }
}

impl TryFrom<Plane> for Small {
    type Error = &'static str;

    fn try_from(Plane(width, height, data): Plane) -> Result<Small, &'static str> {
        full(width, height, data.len())?;
        Ok(Small { data, width, height })
    }
}

impl From<Spectrum> for Grid {
    fn from(Spectrum { width, height, data }: Spectrum) -> Grid {
        Grid(width, height, data.iter().map(|c| (c.re, c.im)).collect())
    }
}

impl TryFrom<Grid> for Spectrum {
    type Error = &'static str;

    fn try_from(Grid(width, height, data): Grid) -> Result<Spectrum, &'static str> {
        full(width, height, data.len())?;
        let data = data.iter().map(|&(re, im)| Complex32::new(re, im)).collect();
        Ok(Spectrum { width, height, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::phase::Shift;

    #[test]
    fn spectra_survive_and_halves_of_them_do_not() {
        let plane: Vec<f32> = (0..20 * 10).map(|k| (k * k % 37) as f32).collect();
        let small = Small::new(plane, 20, 10);
        let spectrum = small.spectrum();
        let bytes = postcard::to_stdvec(&spectrum).expect("stored");
        let back: Spectrum = postcard::from_bytes(&bytes).expect("read");
        let bits = |s: &Spectrum| -> Vec<u32> {
            s.data.iter().flat_map(|c| [c.re.to_bits(), c.im.to_bits()]).collect()
        };
        assert_eq!(
            (back.width, back.height, bits(&back)),
            (spectrum.width, spectrum.height, bits(&spectrum))
        );
        let Some(Shift { dx, dy, .. }) = super::super::shift(&spectrum, &back) else { panic!("one size") };
        assert!(dx.abs() < 1e-3 && dy.abs() < 1e-3);
        for (w, h, n) in [(4, 4, 15), (0, 4, 0), (usize::MAX, 2, 2), (4, 3, 16)] {
            let bytes = postcard::to_stdvec(&Plane(w, h, vec![0.0; n])).expect("stored");
            assert!(postcard::from_bytes::<Small>(&bytes).is_err(), "{w}x{h}: {n}");
            let bytes = postcard::to_stdvec(&Grid(w, h, vec![(0.0, 0.0); n])).expect("stored");
            assert!(postcard::from_bytes::<Spectrum>(&bytes).is_err(), "{w}x{h}: {n}");
        }
    }
}
