//! The constants of the shaders: those that Rust states too, and those that only WGSL needs.

use livestack::kernels;

/// Constants that Rust knows too: kernel (or `*`), name, values.
pub(crate) fn known() -> Vec<(&'static str, &'static str, Vec<f64>)> {
    use kernels::{
        Store, accumulate, calibrate::Mode, demosaic::Method as Demosaic, ecc, gray, histogram, measure,
        present, repair, sample, tiles,
    };
    let none = present::Stretch::NONE;
    let of = |kernel, name, v: f64| (kernel, name, vec![v]);
    vec![
        of("*", "STORE_U8", f64::from(Store::U8 as u32)),
        of("*", "STORE_U16", f64::from(Store::U16 as u32)),
        of("*", "STORE_F32", f64::from(Store::F32 as u32)),
        of("*", "PATCH", sample::PATCH as f64),
        of("*", "AREA", sample::AREA as f64),
        of("*", "CENTRE", f64::from(sample::CENTRE)),
        of("*", "FAR", f64::from(accumulate::FAR)),
        of("calibrate", "MODE_COPY", f64::from(Mode::Copy as u32)),
        of("calibrate", "MODE_FIXED", f64::from(Mode::Fixed as u32)),
        of("calibrate", "MODE_GUARDED", f64::from(Mode::Guarded as u32)),
        of("gray", "PEDESTAL", f64::from(gray::PEDESTAL)),
        of("gray", "HOT_RATIO", f64::from(gray::HOT_RATIO)),
        ("gray", "WEIGHTS", gray::WEIGHTS.map(f64::from).to_vec()),
        of("repair", "HOT_RATIO", f64::from(repair::HOT_RATIO)),
        of("repair", "STAR_SHARE", f64::from(repair::STAR_SHARE)),
        of("repair", "NO_PAIR", f64::from(repair::NO_PAIR)),
        of("demosaic", "BILINEAR", f64::from(Demosaic::Bilinear as u32)),
        of("demosaic", "SUPERPIXEL", f64::from(Demosaic::Superpixel as u32)),
        of("tiles", "TILE", tiles::TILE as f64),
        of("tiles", "BIN", tiles::BIN as f64),
        of("measure", "REACH", f64::from(measure::REACH)),
        of("ecc", "RECORD", ecc::RECORD as f64),
        of("ecc", "HALF", ecc::RECORD as f64 / 2.0),
        of("histogram", "BINS", histogram::BINS as f64),
        of("histogram", "STRIP", histogram::STRIP as f64),
        of("histogram", "RECORD", histogram::RECORD as f64),
        ("present", "NONE", [none.shadow, none.slope, none.midtone, none.pad].map(f64::from).to_vec()),
        of("present", "GAMMA", f64::from(present::Curve::Gamma as u32)),
    ]
}

/// Constants that only WGSL needs. `THREADS` is checked against the workgroup.
pub(crate) const LOCAL: &[&str] = &[
    "EXPONENT",
    "QUARTER",
    "SIDE",
    "QUADS",
    "LINES",
    "TEAM",
    "ZEROS",
    "SUMS",
    "FOURS",
    "TEAMS",
    "MOST",
    "MAX",
    "PEAK",
    "THREADS",
    "STRAIGHT",
    "KNEE",
    "CURVE",
    "CURVE_END",
];
