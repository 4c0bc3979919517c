//! Cases of the kernels that work on a mosaic: repair, demosaic.

use super::planes::{plane, poison};
use super::{Case, Probe, Random, Tolerance};
use crate::kernels::Store;
use crate::kernels::demosaic::{Demosaic, DemosaicParams, Method, size};
use crate::kernels::repair::{Repair, RepairParams, list_words};
use crate::sensor::Bayer;

impl Probe for Repair {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut random = Random::new(21);
        let mosaic = plane(&mut random, Store::F32, width, height);
        // One pixel in 15 is listed: some have bad neighbours of their colour. The first is, the second is not.
        let listed: Vec<u32> = (0..height * list_words(width))
            .map(|k| {
                let columns = 32 * (k % list_words(width))..width;
                let bad = |b: &usize| k + b == 0 || k + b > 1 && random.unit() < 1.0 / 15.0;
                columns.take(32).enumerate().map(|(b, _)| b).filter(bad).fold(0, |word, b| word | 1 << b)
            })
            .collect();
        [true, false]
            .map(|find| Case {
                name: format!("{width}x{height}, find {find}"),
                params: RepairParams { rows: height as u32, ..RepairParams::new((width, height), find) },
                reads: vec![Some(mosaic.clone()), (!find).then(|| listed.clone())],
                writes: vec![Some(poison(Store::F32, width, height, Tolerance::Exact))],
            })
            .into()
    }

    fn plant(case: &mut Case<Self>) {
        // Half a float's exponent: another number.
        if let Some(mosaic) = &mut case.reads[0] {
            mosaic[0] ^= 1 << 22;
        }
    }
}

impl Probe for Demosaic {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mosaic = plane(&mut Random::new(22), Store::F32, width, height);
        // Sums of products, which a device may fuse: 65535 levels have steps of 0.004 (lavapipe does not fuse: 0).
        let tolerance = Tolerance::Absolute(0.05);
        let mut cases = Vec::new();
        for method in [Method::Mhc, Method::Bilinear, Method::Superpixel] {
            let (w, h) = size((width, height), method);
            for pattern in Bayer::ALL {
                let params = DemosaicParams::new((width, height), pattern, method);
                cases.push(Case {
                    name: format!("{width}x{height} {method:?} {}", pattern.name()),
                    params: DemosaicParams { rows: h as u32, ..params },
                    reads: vec![Some(mosaic.clone())],
                    writes: (0..3).map(|_| Some(poison(Store::F32, w, h, tolerance))).collect(),
                });
            }
        }
        cases
    }

    fn vital(case: &Case<Self>) -> bool {
        case.params.method == Method::Mhc as u32
    }

    fn plant(case: &mut Case<Self>) {
        case.params.pattern ^= 1;
    }
}
