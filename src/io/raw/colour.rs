//! White balance and colour matrix, from what cameras and their tables state.

use crate::sensor::NO_MATRIX;

/// Linear sRGB to XYZ, white D65: IEC 61966-2-1, with the digits that dcraw and LibRaw use.
const SRGB_TO_XYZ: [[f64; 3]; 3] =
    [[0.412_453, 0.357_580, 0.180_423], [0.212_671, 0.715_160, 0.072_169], [0.019_334, 0.119_193, 0.950_227]];

/// A determinant below this is that of colours which cannot be told apart; real cameras have 0.1 and more.
const SINGULAR: f64 = 1e-6;

/// Multipliers of red, green and blue, the least of them 1, from those of red, green, blue and second green; where one
/// of the three is not known, those of daylight by the camera's matrix, or all 1 without one.
pub(super) fn balance(
    [red, green, blue, second]: [f32; 4],
    xyz_to_camera: Option<[[f32; 3]; 3]>,
) -> [f32; 3] {
    let known = |level: &f32| level.is_finite() && *level > 0.0;
    let green = if known(&green) && known(&second) { (green + second) / 2.0 } else { green };
    let mut balance = [red, green, blue];
    if !balance.iter().all(known) {
        balance = xyz_to_camera.map_or([1.0; 3], daylight);
    }
    if !balance.iter().all(known) {
        return [1.0; 3];
    }
    let least = balance.into_iter().fold(f32::MAX, f32::min);
    balance.map(|level| level / least)
}

/// What red, green and blue are multiplied by so that D65, the white of sRGB, is white. Source: as [`matrix`].
fn daylight(xyz_to_camera: [[f32; 3]; 3]) -> [f32; 3] {
    let white = SRGB_TO_XYZ.map(|row| row.iter().sum::<f64>());
    xyz_to_camera.map(|of_xyz| {
        let seen: f64 = of_xyz.iter().zip(white).map(|(entry, xyz)| f64::from(*entry) * xyz).sum();
        (1.0 / seen) as f32
    })
}

/// From balanced camera colours to linear sRGB, row by row, each row adding up to 1. The camera's colours of sRGB's
/// are scaled so that white is (1, 1, 1), and inverted. [`NO_MATRIX`] where that cannot be.
///
/// Source: dcraw 9.28, `cam_xyz_coeff`.
pub(super) fn matrix(xyz_to_camera: [[f32; 3]; 3]) -> [f32; 9] {
    let mut camera = [[0.0; 3]; 3];
    for (row, of_xyz) in camera.iter_mut().zip(xyz_to_camera) {
        for (column, entry) in row.iter_mut().enumerate() {
            *entry = (0..3).map(|k| f64::from(of_xyz[k]) * SRGB_TO_XYZ[k][column]).sum::<f64>();
        }
        let white: f64 = row.iter().sum();
        row.iter_mut().for_each(|entry| *entry /= white);
    }
    inverse(&camera).map_or(NO_MATRIX, |rows| rows.map(|entry| entry as f32))
}

/// The inverse by cofactors, row by row.
fn inverse(m: &[[f64; 3]; 3]) -> Option<[f64; 9]> {
    let cofactor = |row: usize, column: usize| {
        let (r1, r2) = ((row + 1) % 3, (row + 2) % 3);
        let (c1, c2) = ((column + 1) % 3, (column + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    let inverse = std::array::from_fn(|k| cofactor(k % 3, k / 3) / determinant);
    (determinant.abs() > SINGULAR && inverse.iter().all(|entry: &f64| entry.is_finite())).then_some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances() {
        let plain = |m| balance(m, None);
        assert_eq!(plain([3.0, 1.0, 2.0, f32::NAN]), [3.0, 1.0, 2.0]);
        assert_eq!(plain([2.0, 1.0, 4.0, 3.0]), [1.0, 1.0, 2.0]);
        assert_eq!(plain([0.5, 1.0, 0.25, 0.0]), [2.0, 4.0, 1.0]);
        for bad in [[f32::NAN; 4], [1.0, 0.0, 1.0, 0.0], [f32::INFINITY, 1.0, 1.0, 1.0]] {
            assert_eq!(plain(bad), [1.0; 3]);
        }
    }

    #[test]
    fn without_a_balance_daylight_is_white() {
        // Canon EOS D30 in the table of dcraw; LibRaw's daylight_whitebalance of its file, over its least.
        let d30 = [[0.9900, -0.2771, -0.1324], [-0.7072, 1.4229, 0.3140], [-0.2790, 0.3344, 0.8861]];
        let of = balance([f32::NAN; 4], Some(d30));
        for (own, libraw) in of.iter().zip([1.924_171_6 / 0.915_231, 1.0, 0.967_087_9 / 0.915_231]) {
            assert!((own - libraw).abs() < 0.01, "{of:?}");
        }
        assert_eq!(balance([f32::NAN; 4], Some([[0.0; 3]; 3])), [1.0; 3]);
    }

    #[test]
    fn a_camera_that_sees_xyz_gets_the_inverse_of_srgb() {
        let rows = matrix([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        for row in rows.chunks_exact(3) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        // Scaled by its white point, XYZ to sRGB: IEC 61966-2-1.
        assert!((rows[0] - 3.240_48 * 0.950_456).abs() < 1e-4, "{rows:?}");
        assert_eq!(matrix([[0.0; 3]; 3]), NO_MATRIX);
        assert_eq!(matrix([[f32::NAN; 3]; 3]), NO_MATRIX);
    }
}
