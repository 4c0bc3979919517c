//! Real nights in FITS files, read in place: all of their frames are stacked, where star matching says they lie.

mod common;

use common::picture::{Picture, read_png8, read_tiff};
use common::{Place, backends, file, with_status};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder of the shared samples; `None`, loudly, where they are not at hand.
fn sample(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: no {}", path.display());
    None
}

/// Where a frame lies: shift, px, and rotation, degrees.
fn motion(record: &Value) -> [f64; 3] {
    let number = |v: &Value| v.as_f64().expect("a number");
    [number(&record["shift_px"][0]), number(&record["shift_px"][1]), number(&record["rotation_deg"])]
}

/// A sequence: its folder, flags, frames that are stacked, and where the frame that lies farthest off does.
struct Night {
    folder: &'static str,
    flags: &'static str,
    stacked: usize,
    size: (usize, usize, usize),
    far: (&'static str, [f64; 3]),
}

/// Tolerances of shift and rotation: star matching at full resolution, similarity transforms, as ../shared/data says.
const SHIFT: f64 = 0.5;
const ROTATION: f64 = 0.02;

const NIGHTS: [Night; 4] = [
    // Bayer, as INDI writes it.
    Night {
        folder: "als-asi224mc-indi-fits",
        flags: "",
        stacked: 6,
        size: (1304, 976, 3),
        far: ("Light_1283.fits", [-27.6, 14.35, 0.004]),
    },
    // Mono, alt-azimuthal.
    Night {
        folder: "jocular-arp145-mono-fits",
        flags: "",
        stacked: 10,
        size: (752, 580, 1),
        far: ("Image_Arp.145_2017.11.15_21.11.13_00008.fit", [-3.4, 5.3, -0.264]),
    },
    // Bayer (GRBG); the second night, exposed twice as long, is of another year and turned by 121.5 degrees.
    Night {
        folder: "seestar-ngc7023-bayer-fits",
        flags: "",
        stacked: 4,
        size: (1080, 1920, 3),
        far: ("Light_NGC 7023_10.0s_IRCUT_20240730-224510.fit", [0.67, -1.31, -0.164]),
    },
    Night {
        folder: "seestar-ngc7023-bayer-fits",
        flags: "--on-change scale",
        stacked: 6,
        size: (1080, 1920, 3),
        far: ("Light_NGC 7023_20.0s_IRCUT_20250630-023441.fit", [6.04, 64.5, 121.46]),
    },
];

/// Promise: every frame of a real night is stacked at its place, on every backend; the picture shows its background at
/// a fifth of white; the noise of the stack is lower than a frame's.
#[test]
fn real_nights_are_stacked() {
    for night in &NIGHTS {
        let Some(folder) = sample(night.folder) else { continue };
        for backend in backends() {
            let case = format!("{backend} {} {}", night.folder, night.flags);
            let place = Place::new();
            let run = |name: &str| {
                let input = folder.join(name).into_os_string();
                let flags = ["stack", "--backend", backend, "--format", "png,tiff"];
                let all = flags.into_iter().chain(night.flags.split_whitespace()).map(Into::into);
                place.run(all.chain([input])).exits(0);
                read_tiff(&place.path("output/MEAN.tiff"))
            };
            let picture = run("");
            assert_eq!(picture.shape(), night.size, "{case}");
            let records = place.records("output");
            assert_eq!(with_status(&records, "stacked").len(), night.stacked, "{case}");
            let far = records.iter().find(|r| file(r) == night.far.0).expect("the farthest frame");
            let (got, want) = (motion(far), night.far.1);
            println!("{case}: {got:.3?}");
            assert!(got.iter().zip(want).take(2).all(|(a, b)| (a - b).abs() <= SHIFT), "{case}: {got:?}");
            assert!((got[2] - want[2]).abs() <= ROTATION, "{case}: {got:?}");
            let mut shown = read_png8(&place.path("output/MEAN.png")).data;
            shown.sort_by(f32::total_cmp);
            let background = shown[shown.len() / 2];
            assert!((background - 0.2 * 255.0).abs() <= 5.0, "{case}: background at {background}");
            if night.flags.is_empty() {
                let alone = run(night.far.0);
                let (before, after) = (grain(&alone), grain(&picture));
                println!("{case}: noise {before:.5} in one frame, {after:.5} in {}", night.stacked);
                assert!(after < 0.8 * before, "{case}: noise {after} {before}");
            }
        }
    }
}

/// The noise of the first colour: median difference of samples two columns apart.
fn grain(p: &Picture<f32>) -> f32 {
    let step = 2 * p.channels;
    let apart = (0..p.data.len() - step).step_by(p.channels).map(|k| (p.data[k] - p.data[k + step]).abs());
    let mut apart: Vec<f32> = apart.collect();
    let middle = apart.len() / 2;
    *apart.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Promise: a file that is compressed by tiles stacks as the plain file does, and a mosaic that no header names is
/// what `--bayer` says. Control: gray without.
#[test]
fn compressed_and_unnamed_mosaics() {
    let Some(folder) = sample("fits-panoptes-dslr-bayer") else { return };
    for backend in backends() {
        let place = Place::new();
        let run = |name: &str, flags: &str| {
            let all = format!("{} --no-align --format tiff {flags}", folder.join(name).display());
            place.stack_on(backend, &all).exits(0);
            read_tiff(&place.path("output/MEAN.tiff"))
        };
        let plain = run("solved.fits", "--bayer RGGB");
        assert_eq!(plain.shape(), (700, 700, 3));
        assert!(run("solved.fits.fz", "--bayer RGGB") == plain, "{backend}: the .fz differs");
        assert_eq!(run("solved.fits", "").channels, 1);
        let names = ["solved.fits", "solved.fits.fz", "unsolved.fits"];
        let paths = names.map(|n| folder.join(n).display().to_string()).join(" ");
        place.stack_on(backend, &format!("{paths} --bayer RGGB")).exits(0);
        let records = place.records("output");
        assert_eq!(with_status(&records, "stacked").len(), 3, "{backend}");
        let (same, other) = (motion(&records[1]), motion(&records[2]));
        assert!(same.iter().all(|v| v.abs() < 0.01), "{backend}: {same:?}");
        // By star matching.
        assert!((other[0] + 0.51).abs() < 0.2 && (other[1] + 1.70).abs() < 0.2, "{backend}: {other:?}");
    }
}
