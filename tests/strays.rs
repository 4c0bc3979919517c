//! Masters and frames that lie otherwise than those they meet: another unit, the other way up, another kind, another
//! canvas; and a stray first frame.

mod common;

use common::Place;
use common::camera::{Camera, Of};
use common::mosaic::{real, text, write_float, write_sixteen};
use common::picture::{Picture, read_tiff};
use livestack::sensor::Bayer;

const SIZE: (usize, usize) = (160, 96);

fn camera() -> Camera {
    Camera::new(SIZE, Bayer::Rggb, 0.002, 3.0)
}

/// A folder of three frames.
fn folder(place: &Place, name: &str, of: Of) {
    let folder = place.folder(name);
    for k in 0..3 {
        camera().write(&folder.join(format!("{k}.fits")), of, k, (0.0, 0.0));
    }
}

/// The linear stack of a run with these flags.
fn stack(place: &Place, flags: &str) -> (Picture<f32>, String) {
    let run = place.stack(&format!("--no-align --format tiff {flags}")).exits(0);
    (read_tiff(&place.path("output/MEAN.tiff")), run.out + &run.err)
}

/// The largest difference of two pictures.
fn apart(a: &Picture<f32>, b: &Picture<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Rows in the other order.
fn turned(p: &Picture<f32>) -> Picture<f32> {
    let rows = p.data.chunks_exact(p.width * p.channels).rev();
    Picture::new(p.width, p.height, p.channels, rows.flatten().copied().collect())
}

/// Promise: a float master from 0 to 1, as other programs write them, is taken off 16-bit lights in their unit, and a
/// line says so; one in the lights' unit is taken off as it is.
#[test]
fn masters_of_other_programs_are_brought_to_the_unit_of_the_lights() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    let dark = camera().shoot(Of::Dark, 9, (0.0, 0.0)).map(f32::round);
    write_float(&place.path("adu.fits"), &dark, &[text("IMAGETYP", "Master Dark")]);
    write_float(&place.path("unit.fits"), &dark.map(|v| v / 65535.0), &[text("IMAGETYP", "Master Dark")]);
    let (adu, said) = stack(&place, "--dark adu.fits");
    assert!(!said.contains("another unit"), "{said}");
    let (unit, said) = stack(&place, "--dark unit.fits");
    assert!(said.contains("another unit"), "{said}");
    assert!(apart(&adu, &unit) < 1e-5, "{}", apart(&adu, &unit));
    let (none, _) = stack(&place, "");
    assert!(apart(&adu, &none) > 0.01, "the dark is taken off");
    // The white that is asked for changes no unit.
    let (white, _) = stack(&place, "--dark adu.fits --white 1");
    let scaled = white.map(|v| v / 65535.0);
    assert!(apart(&adu, &scaled) < 1e-4, "{}", apart(&adu, &scaled));
}

/// Promise: a dark whose rows are stored the other way up than the lights' is turned; a light that is, is rejected.
#[test]
fn rows_from_the_bottom_up_meet_those_from_the_top_down() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    let dark = camera().shoot(Of::Dark, 9, (0.0, 0.0)).map(f32::round);
    write_sixteen(&place.path("down.fits"), &dark, "IMAGETYP= 'Dark'\nBAYERPAT= 'RGGB'");
    let up = "IMAGETYP= 'Dark'\nBAYERPAT= 'RGGB'\nROWORDER= 'BOTTOM-UP'";
    write_sixteen(&place.path("up.fits"), &turned(&dark), up);
    let ((down, _), (up, said)) = (stack(&place, "--dark down.fits"), stack(&place, "--dark up.fits"));
    assert!(said.contains("the other way up"), "{said}");
    assert_eq!(apart(&down, &up), 0.0);
    // Masters that are built and kept know it too.
    place.folder("darks");
    let cards = "IMAGETYP= 'Dark'\nBAYERPAT= 'RGGB'\nROWORDER= 'BOTTOM-UP'";
    for name in ["darks/a.fits", "darks/b.fits"] {
        write_sixteen(&place.path(name), &turned(&dark), cards);
    }
    for _ in 0..2 {
        let (kept, _) = stack(&place, "--dark darks");
        assert_eq!(apart(&down, &kept), 0.0);
    }
    let light = camera().shoot(Of::Light, 5, (0.0, 0.0)).map(f32::round);
    write_sixteen(&place.path("input/9.fits"), &turned(&light), "BAYERPAT= 'RGGB'\nROWORDER= 'BOTTOM-UP'");
    let run = place.stack("--no-align").exits(0);
    assert!(run.out.contains("9.fits  rejected: its rows are stored the other way up"), "{}", run.out);
}

/// Promise: a bias knows no hot pixels: without a dark they are found in the light; and it is taken off.
#[test]
fn a_bias_in_place_of_a_dark_hides_no_hot_pixels() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    folder(&place, "bias", Of::Bias);
    let (stacked, said) = stack(&place, "--bias bias");
    assert!(!said.contains("by the dark"), "{said}");
    let (kept, _) = stack(&place, "--bias bias --keep-hot-pixels");
    let green = |p: &Picture<f32>, at: usize| p.at(at % p.width, at / p.width, 1);
    let hot = &camera().hot;
    let gone = hot.iter().filter(|(at, _)| green(&kept, *at) - green(&stacked, *at) > 0.01).count();
    assert!(gone * 10 >= hot.len() * 5, "{gone} of {} hot pixels are repaired", hot.len());
    let (plain, _) = stack(&place, "");
    let mean = |p: &Picture<f32>| p.data.iter().map(|v| f64::from(*v)).sum::<f64>() / p.data.len() as f64;
    let off = (mean(&plain) - mean(&stacked)) * 65535.0;
    assert!((off - 1000.0).abs() < 20.0, "{off} levels are taken off");
}

/// Promise: a master is asked what it is, also one that livestack made.
#[test]
fn a_flat_is_no_dark() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    folder(&place, "flats", Of::Flat);
    place.run(["master", "flat", "flats", "-o", "flat.fits"]).exits(0);
    let run = place.stack("--no-align --dark flat.fits").exits(1);
    assert!(run.err.contains("expected a dark, its header says master flat"), "{}", run.err);
    place.stack("--no-align --flat flat.fits").exits(0);
}

/// Promise: one stray first frame that the masters do not fit is rejected, the night goes on; masters that do not fit the
/// night are an error.
#[test]
fn a_stray_first_frame_does_not_end_the_night() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    folder(&place, "darks", Of::Dark);
    let stray = Camera::new((64, 64), Bayer::Rggb, 0.0, 3.0);
    stray.write(&place.path("input/0.fits"), Of::Light, 0, (0.0, 0.0));
    let run = place.stack("--no-align --dark darks").exits(0);
    assert!(run.out.contains("0.fits  rejected: the dark does not fit"), "{}", run.out);
    assert!(run.out.contains("2 stacked, 1 rejected"), "{}", run.out);
    let other = Camera::new((96, 96), Bayer::Rggb, 0.0, 3.0);
    place.folder("small");
    other.write(&place.path("small/0.fits"), Of::Dark, 0, (0.0, 0.0));
    let run = place.stack("--no-align --dark small").exits(2);
    assert!(run.err.contains("the dark does not fit"), "{}", run.err);
}

/// Promise: poses of another canvas are refused, not followed.
#[test]
fn poses_belong_to_a_canvas() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    place.stack("--no-align -o whole").exits(0);
    let run = place.stack("--poses whole/frames.jsonl --demosaic superpixel").exits(2);
    assert!(run.err.contains("the poses are of a canvas of 160x96, the stack's is 80x48"), "{}", run.err);
    place.stack("--poses whole/frames.jsonl --demosaic bilinear").exits(0);
}

/// Promise: a dark brighter than the lights is worth a word, and the picture still shows what is left.
#[test]
fn a_background_under_0_is_shown() {
    let place = Place::new();
    folder(&place, "input", Of::Light);
    let dark = camera().shoot(Of::Light, 0, (0.0, 0.0)).map(|v| v.round() + 30.0);
    write_float(&place.path("dark.fits"), &dark, &[text("IMAGETYP", "Dark"), real("EXPTIME", 10.0)]);
    let run = place.stack("--no-align --dark dark.fits").exits(0);
    assert!(run.err.contains("brighter than the first light"), "{}", run.err);
    let picture = common::picture::read_png8(&place.path("output/MEAN.png"));
    let black = picture.data.iter().filter(|v| **v == 0.0).count();
    assert!(black * 5 < picture.data.len(), "{black} of {} samples are black", picture.data.len());
}
