//! No frame of another field is ever stacked, however few or many stars either has.

mod common;

use common::picture::{Picture, write_png8};
use common::sky::Rng;
use common::{Place, file, with_status};

const SIZE: (usize, usize) = (600, 400);

/// A field of `stars` stars drawn from `seed`, shifted by `dx` px: sky, noise, FWHM 3.5 px.
fn field(stars: usize, seed: u64, dx: f64) -> Picture<u8> {
    let (w, h) = SIZE;
    let mut rng = Rng::new(seed);
    let mut levels = vec![20.0_f64; w * h];
    for _ in 0..stars {
        let (x, y) = (rng.within(15.0, w as f64 - 15.0) + dx, rng.within(15.0, h as f64 - 15.0));
        let peak = rng.within(60.0, 200.0);
        for py in (y as usize).saturating_sub(8)..(y as usize + 9).min(h) {
            for px in (x.max(0.0) as usize).saturating_sub(8)..(x.max(0.0) as usize + 9).min(w) {
                let r2 = (px as f64 - x).powi(2) + (py as f64 - y).powi(2);
                levels[py * w + px] += peak * (-r2 / (2.0 * 1.5 * 1.5)).exp();
            }
        }
    }
    let mut noise = Rng::new(seed ^ dx.to_bits() ^ 77);
    let data = levels.iter().map(|l| (l + 2.0 * f64::from(noise.normal())).round().clamp(0.0, 255.0) as u8);
    Picture::new(w, h, 1, data.collect())
}

/// Promise: a frame that does not show the reference's field is rejected, and the frame after it is stacked.
#[test]
fn another_field_is_never_stacked() {
    let counts = [[8, 6], [12, 60], [20, 25], [40, 12], [100, 30], [200, 200]];
    for (k, [reference, foreign]) in counts.into_iter().enumerate() {
        let place = Place::new();
        place.folder("input");
        let seed = 1000 * (k as u64 + 1);
        write_png8(&place.path("input/a.png"), &field(reference, seed, 0.0));
        for n in 0..12 {
            let other = field(foreign, seed + 1 + n, 0.0);
            write_png8(&place.path(format!("input/b{n:02}.png")), &other);
        }
        write_png8(&place.path("input/c.png"), &field(reference, seed, 2.3));
        place.stack("--method addcomp").exits(0);
        let records = place.records("output");
        assert_eq!(
            with_status(&records, "stacked"),
            ["a.png", "c.png"],
            "{reference} stars against {foreign}"
        );
        let own = records.iter().find(|r| file(r) == "c.png").expect("record");
        let dx = own["shift_px"][0].as_f64().expect("shift");
        assert!((dx - 2.3).abs() < 0.1, "the field itself is placed right: {dx}");
    }
}
