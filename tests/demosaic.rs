//! Each method of demosaicing against its arithmetic, written once more.

mod common;

use common::mosaic::{text, write_float, write_sixteen};
use common::picture::{Picture, difference, everywhere, read_tiff};
use common::sky::Rng;
use common::{Place, backends};
use livestack::sensor::Bayer;

/// A filter of 5x5 pixels, row by row, in sixteenths.
type Filter = [i32; 25];

/// Malvar, He and Cutler, ICASSP 2004, figure 2: green at red or blue; red at green in a row of red (or blue at green in
/// one of blue); the same in a column; red at blue (or blue at red).
#[rustfmt::skip]
const GREEN: Filter = [
     0, 0, -2, 0,  0,
     0, 0,  4, 0,  0,
    -2, 4,  8, 4, -2,
     0, 0,  4, 0,  0,
     0, 0, -2, 0,  0,
];
#[rustfmt::skip]
const ROW: Filter = [
     0,  0,  1,  0,  0,
     0, -2,  0, -2,  0,
    -2,  8, 10,  8, -2,
     0, -2,  0, -2,  0,
     0,  0,  1,  0,  0,
];
#[rustfmt::skip]
const ACROSS: Filter = [
     0, 0, -3, 0,  0,
     0, 4,  0, 4,  0,
    -3, 0, 12, 0, -3,
     0, 4,  0, 4,  0,
     0, 0, -3, 0,  0,
];
/// The mean of the nearest pixels of the colour: the same four.
const PLAIN: [Filter; 3] = [
    [0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 0, 0, 0],
];

fn turned(f: &Filter) -> Filter {
    std::array::from_fn(|k| f[k % 5 * 5 + k / 5])
}

/// Colour `c` of pixel (`x`, `y`), two pixels or more from the border.
fn filtered(
    m: &Picture<f32>,
    bayer: Bayer,
    [green, row, across]: &[Filter; 3],
    (x, y, c): (usize, usize, usize),
) -> f32 {
    let own = bayer.colour(x, y);
    let filter = match (own, c) {
        (own, c) if own == c => return m.at(x, y, 0),
        (_, 1) => *green,
        (1, c) if bayer.colour(x + 1, y) == c => *row,
        (1, _) => turned(row),
        _ => *across,
    };
    let sum = (0..25).map(|k| f64::from(filter[k]) * f64::from(m.at(x + k % 5 - 2, y + k / 5 - 2, 0)));
    (sum.sum::<f64>() / 16.0) as f32
}

/// Promise: `mhc` is what was published, `bilinear` the mean of the nearest, for each phase and on every backend.
/// Control: each is not the other.
#[test]
fn methods_are_what_was_published() {
    let (w, h) = (67, 45);
    let mut rng = Rng::new(4);
    let mosaic = Picture::new(w, h, 1, (0..w * h).map(|_| rng.unit() as f32).collect());
    for backend in backends() {
        for bayer in Bayer::ALL {
            let place = Place::new();
            write_float(&place.path("m.fits"), &mosaic, &[text("BAYERPAT", bayer.name())]);
            let run = |method: &str| {
                let flags = format!("m.fits --no-align --keep-hot-pixels --format tiff --demosaic {method}");
                place.stack_on(backend, &flags).exits(0);
                read_tiff(&place.path("output/MEAN.tiff"))
            };
            let inner = |x: usize, y: usize| (2..w - 2).contains(&x) && (2..h - 2).contains(&y);
            let want = |filters: &[Filter; 3]| {
                let of = |k: usize| {
                    let (x, y, c) = (k / 3 % w, k / 3 / w, k % 3);
                    if inner(x, y) { filtered(&mosaic, bayer, filters, (x, y, c)) } else { 0.0 }
                };
                Picture::new(w, h, 3, (0..w * h * 3).map(of).collect())
            };
            let (mhc, plain) = (want(&[GREEN, ROW, ACROSS]), want(&PLAIN));
            for (method, own, other) in [("mhc", &mhc, &plain), ("bilinear", &plain, &mhc)] {
                let got = run(method);
                let off = difference(&got, own, 1e-6, inner);
                assert!(off.most <= 2e-6, "{backend} {} {method}: {off:?}", bayer.name());
                assert!(difference(&got, other, 1e-6, inner).most > 0.1, "{method} passes for the other");
                let border = difference(&got, &got.map(|v| v.clamp(-1.0, 2.0)), 0.0, everywhere);
                assert!(border.most == 0.0, "{backend} {method}: the border");
            }
        }
    }
}

/// Promise: `superpixel` makes one pixel of a cell: half the size, red and blue as they are, the mean of the greens.
#[test]
fn superpixel_is_exact() {
    // A cell of its own levels, and one pixel more than cells fill.
    let (w, h) = (65, 43);
    for backend in backends() {
        for bayer in Bayer::ALL {
            let place = Place::new();
            let levels = [[1000.0, 3000.0], [2000.0, 4000.0]];
            let data = (0..w * h).map(|k| levels[k / w % 2][k % w % 2]).collect();
            let mosaic = Picture::new(w, h, 1, data);
            write_sixteen(&place.path("m.fits"), &mosaic, &format!("BAYERPAT= '{}'", bayer.name()));
            place.stack_on(backend, "m.fits --no-align --demosaic superpixel --format tiff").exits(0);
            let got = read_tiff(&place.path("output/MEAN.tiff"));
            let mut want = [0.0; 3];
            for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let share = if bayer.colour(x, y) == 1 { 0.5 } else { 1.0 };
                want[bayer.colour(x, y)] += share * levels[y][x];
            }
            assert_eq!(got.shape(), (w / 2, h / 2, 3), "{backend} {}", bayer.name());
            for (k, v) in got.data.iter().enumerate() {
                assert!(
                    (v * 65535.0 - want[k % 3]).abs() < 0.01,
                    "{backend} {}: {}",
                    bayer.name(),
                    v * 65535.0
                );
            }
        }
    }
}
