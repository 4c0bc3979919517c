//! The stars: those of the Pleiades from the catalogues, and a drawn population of fainter ones behind them.

use crate::rng::Rng;
use crate::sky::Projection;

/// A star on the sensor of the first frame.
pub(crate) struct Star {
    /// Column and row in frame 1, pixel centres on integers.
    pub(crate) at: [f64; 2],
    /// V magnitude.
    pub(crate) v_mag: f64,
    /// B-V colour index, magnitudes.
    pub(crate) b_v: f64,
}

/// Right ascension (h, min, s), declination (deg, arcmin, arcsec), V, B-V.
type Entry = ([f64; 3], [f64; 3], f64, f64);

/// Stars in the direction of the Pleiades, by brightness, with their names or HD numbers.
///
/// Positions are ICRS, J2000, as Hipparcos (ESA SP-1200, 1997) and SIMBAD (CDS, Strasbourg) have them, good to an
/// arcsecond. V and B-V of the stars brighter than 7 are literature values, good to a few hundredths. Fainter ones
/// are good to about 0.3 in V, and their B-V is the intrinsic colour of the spectral type, reddened by the
/// E(B-V) = 0.04 of the cluster: good for a picture, no source for photometry.
#[rustfmt::skip]
const PLEIADES: [Entry; 47] = [
    ([3., 47., 29.077], [24.,  6., 18.49], 2.87, -0.09), // Alcyone, eta Tau
    ([3., 49.,  9.743], [24.,  3., 12.30], 3.62, -0.08), // Atlas, 27 Tau
    ([3., 44., 52.537], [24.,  6., 48.02], 3.70, -0.11), // Electra, 17 Tau
    ([3., 45., 49.608], [24., 22.,  3.88], 3.87, -0.07), // Maia, 20 Tau
    ([3., 46., 19.574], [23., 56., 54.08], 4.18, -0.06), // Merope, 23 Tau
    ([3., 45., 12.496], [24., 28.,  2.21], 4.30, -0.11), // Taygeta, 19 Tau
    ([3., 49., 11.216], [24.,  8., 12.16], 5.09, -0.08), // Pleione, 28 Tau
    ([3., 48., 20.816], [23., 25., 16.50], 5.44, -0.07), // HD 23753
    ([3., 44., 48.215], [24., 17., 22.09], 5.45, -0.04), // Celaeno, 16 Tau
    ([3., 45.,  9.740], [24., 50., 21.34], 5.65, -0.07), // 18 Tau
    ([3., 45., 54.477], [24., 33., 16.24], 5.76, -0.04), // Asterope, Sterope I, 21 Tau
    ([3., 49., 43.531], [23., 42., 42.68], 6.17, -0.05), // HD 23923
    ([3., 47., 21.036], [24.,  6., 58.58], 6.29,  0.00), // 24 Tau
    ([3., 46.,  2.900], [24., 31., 40.43], 6.43, -0.02), // Sterope II, 22 Tau
    ([3., 48., 56.930], [23., 51., 26.00], 6.47,  0.36), // 26 Tau
    ([3., 49., 21.749], [24., 22., 51.43], 6.60, -0.02), // HD 23873
    ([3., 49., 58.054], [23., 50., 55.30], 6.74,  0.06), // HD 23964
    ([3., 46., 59.398], [24., 31., 12.45], 6.82,  0.03), // HD 23568
    ([3., 47., 29.454], [24., 17., 18.04], 6.83,  0.05), // HD 23642, V1229 Tau
    ([3., 50., 52.429], [23., 57., 41.31], 6.93,  0.07), // HD 24076
    ([3., 48., 30.095], [24., 20., 43.89], 6.96,  0.11), // HD 23763
    ([3., 47., 20.969], [23., 48., 12.05], 6.99,  0.03), // HD 23632
    ([3., 45., 37.789], [24., 20.,  8.23], 7.2,   0.12), // HD 23387
    ([3., 47., 24.410], [23., 54., 52.80], 7.3,   0.06), // HD 23631
    ([3., 46., 27.280], [24., 15., 18.02], 7.4,   0.10), // HD 23489
    ([3., 49., 16.802], [24., 23., 46.08], 7.5,   0.11), // HD 23872
    ([3., 49., 56.595], [24., 20., 56.38], 7.5,   0.08), // HD 23948
    ([3., 50., 28.057], [24., 29., 43.76], 7.5,   0.10), // HD 24013
    ([3., 47., 24.062], [24., 35., 18.39], 7.7,   0.19), // HD 23628
    ([3., 47., 36.961], [23., 36., 32.86], 7.7,   0.95), // HD 23654
    ([3., 47., 26.830], [23., 40., 42.01], 7.8,   0.13), // HD 23643
    ([3., 45., 51.635], [24.,  2., 20.00], 7.9,   0.12), // HD 23409
    ([3., 46., 13.743], [24., 11., 47.83], 7.9,   1.10), // HD 23463
    ([3., 46., 16.006], [24., 11., 23.54], 8.0,   0.28), // HD 23479
    ([3., 49., 25.983], [24., 14., 51.74], 8.0,   0.16), // HD 23886
    ([3., 45., 26.118], [24.,  2.,  6.58], 8.0,   0.20), // HD 23361
    ([3., 44.,  0.268], [24., 33., 25.18], 8.1,   0.20), // HD 23194
    ([3., 46., 34.198], [23., 37., 26.51], 8.1,   0.36), // HD 23512
    ([3., 49., 12.185], [23., 53., 12.46], 8.1,   0.24), // HD 23863
    ([3., 44., 25.719], [24., 23., 41.00], 8.2,   0.27), // HD 23246
    ([3., 43., 43.246], [24., 22., 28.49], 8.2,   0.25), // HD 23156
    ([3., 47., 19.357], [24.,  8., 20.63], 8.3,   0.25), // HD 23607
    ([3., 48., 13.556], [24., 19.,  6.33], 8.3,   0.33), // HD 23733
    ([3., 47.,  4.186], [23., 59., 43.01], 8.4,   0.32), // HD 23585
    ([3., 45.,  6.539], [24., 15., 48.67], 8.6,   0.28), // HD 23325
    ([3., 47., 16.566], [24.,  7., 42.29], 8.7,   0.43), // HD 23608
    ([3., 45.,  5.284], [23., 42.,  9.64], 9.0,   0.40), // HD 23326
];

/// Drawn stars between these V magnitudes.
const FIELD_V: [f64; 2] = [9.0, 14.0];

/// Drawn stars per square degree down to the fainter limit, about as many as Gaia counts in this direction.
const FIELD_PER_DEG2: f64 = 520.0;

/// Growth of the count with magnitude: d log10 N / dV. Euclidean space without dust has 0.6, the field 25 degrees
/// off the Milky Way about 0.35 at these magnitudes.
const FIELD_SLOPE: f64 = 0.35;

/// Mean and spread of B-V of the drawn stars, magnitudes (F to K dwarfs), and its limits.
const FIELD_B_V: [f64; 2] = [0.75, 0.3];
const FIELD_B_V_LIMITS: [f64; 2] = [0.0, 1.7];

/// Stars are drawn this part of the frame beyond each edge, so that drift brings new ones in.
const MARGIN: f64 = 0.1;

/// Every star of the scene in pixels of the first frame of `width` x `height`, brightest catalogue stars first.
pub(crate) fn stars(seed: u64, projection: &Projection, width: usize, height: usize) -> Vec<Star> {
    let mut stars: Vec<Star> = PLEIADES
        .iter()
        .map(|&(ra, dec, v_mag, b_v)| Star { at: projection.pixel(hours(ra), degrees(dec)), v_mag, b_v })
        .collect();
    let mut rng = Rng::new(seed, crate::purpose::STARS, 0);
    let (w, h) = (width as f64, height as f64);
    let area_deg2 = w * h * (1.0 + 2.0 * MARGIN) * (1.0 + 2.0 * MARGIN) * projection.deg_per_px.powi(2);
    let faint_only = libm::exp10(FIELD_SLOPE * (FIELD_V[0] - FIELD_V[1]));
    for _ in 0..(FIELD_PER_DEG2 * area_deg2) as usize {
        let at = [rng.within(-MARGIN, 1.0 + MARGIN) * w, rng.within(-MARGIN, 1.0 + MARGIN) * h];
        let v_mag = FIELD_V[1] + libm::log10(rng.within(faint_only, 1.0)) / FIELD_SLOPE;
        let b_v = FIELD_B_V[0] + FIELD_B_V[1] * rng.normal();
        stars.push(Star { at, v_mag, b_v: b_v.clamp(FIELD_B_V_LIMITS[0], FIELD_B_V_LIMITS[1]) });
    }
    stars
}

/// Right ascension in degrees.
fn hours([h, m, s]: [f64; 3]) -> f64 {
    15.0 * degrees([h, m, s])
}

/// Degrees of a northern declination.
fn degrees([d, m, s]: [f64; 3]) -> f64 {
    d + m / 60.0 + s / 3600.0
}
