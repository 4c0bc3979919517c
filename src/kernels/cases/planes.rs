//! Cases of the kernels that go over whole planes: calibrate, gray, tiles.

use super::{Case, Output, Probe, Random, Samples, Tolerance, sky};
use crate::kernels::calibrate::{Calibrate, CalibrateParams, Mode};
use crate::kernels::gray::{Gray, GrayParams};
use crate::kernels::tiles::{Tiles, TilesParams};
use crate::kernels::{Kernel, Store, stride};
use bytemuck::{cast_slice, cast_slice_mut};

/// The largest level of a store, and what stands for 1 in it.
pub(super) fn white(store: Store) -> f32 {
    if store == Store::U8 { 255.0 } else { 65535.0 }
}

/// `levels` packed.
pub(super) fn pack(store: Store, levels: &[f32]) -> Vec<u32> {
    let mut words = vec![0_u32; levels.len().div_ceil(if store == Store::U8 { 4 } else { 2 })];
    match store {
        Store::U8 => {
            cast_slice_mut::<u32, u8>(&mut words).iter_mut().zip(levels).for_each(|(o, &v)| *o = v as u8);
        }
        Store::U16 => {
            cast_slice_mut::<u32, u16>(&mut words).iter_mut().zip(levels).for_each(|(o, &v)| *o = v as u16);
        }
        Store::F32 => words = levels.iter().map(|v| v.to_bits()).collect(),
    }
    words
}

/// A plane of `width` x `height` in `store`, its rows padded with 0.
pub(super) fn plane(random: &mut Random, store: Store, width: usize, height: usize) -> Vec<u32> {
    let levels: Vec<f32> = sky(random, width * height).iter().map(|v| v * white(store)).collect();
    pack(store, &padded(&levels, width))
}

/// Rows of `width` padded with 0.
fn padded(levels: &[f32], width: usize) -> Vec<f32> {
    levels
        .chunks(width)
        .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, stride(width) - width)))
        .collect()
}

/// A poisoned plane that a kernel must overwrite, but for its padding.
pub(super) fn poison(store: Store, width: usize, height: usize, tolerance: Tolerance) -> Output {
    let samples = [Samples::U8, Samples::U16, Samples::F32][store as usize];
    let poison = if store == Store::F32 { -7.5e8 } else { white(store) };
    let levels = vec![poison; width * height];
    Output { start: pack(store, &padded(&levels, width)), samples, tolerance }
}

const STORES: [Store; 3] = [Store::U8, Store::U16, Store::F32];
const MODES: [Mode; 4] = [Mode::Copy, Mode::Fixed, Mode::Guarded, Mode::Signed];

fn calibrate_case(
    input: Store,
    channels: usize,
    mode: Mode,
    (dark, flat): (bool, bool),
    (w, h, bin): (usize, usize, usize),
) -> Case<Calibrate> {
    let mut random = Random::new(1 + mode as u64);
    let params = CalibrateParams {
        row0: 0,
        rows: h as u32,
        width: w as u32,
        stride: stride(w) as u32,
        height: h as u32,
        channels: channels as u32,
        input: input as u32,
        mode: mode as u32,
        shift: if input == Store::U8 { 8 } else { 0 },
        flat: u32::from(flat),
        bin: bin as u32,
        out_stride: stride(w / bin) as u32,
        black: [0.25, 3.0, 2.5, 1.0].map(|b| b * white(input) / 255.0),
        gain: [2.0, 1.0, 1.25, 1.75],
    };
    let mut levels: Vec<f32> = sky(&mut random, w * h * channels).iter().map(|v| v * white(input)).collect();
    if input == Store::F32 {
        let dead = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3.5];
        levels.iter_mut().skip(1).step_by(7).zip(dead).for_each(|(v, d)| *v = d);
    }
    let (out, stored) = params.stores();
    let mut reads = vec![Some(pack(input, &levels)), None, None, None];
    let mut writes = vec![None, None, None];
    for c in 0..channels {
        if let Some(store) = stored.filter(|_| dark) {
            // Darks are in the levels of the frames (times 256 in fixed point), half of them brighter.
            let unit = if store == Store::F32 { white(input) / white(store) } else { 1.0 };
            let words = plane(&mut random, store, w, h);
            let scaled = || cast_slice::<u32, f32>(&words).iter().map(|v| v * unit);
            reads[1 + c] = Some(match (store, flat) {
                (Store::F32, true) => {
                    scaled().flat_map(|d| [d.to_bits(), random.within(0.5, 3.0).to_bits()]).collect()
                }
                (Store::F32, false) => scaled().map(f32::to_bits).collect(),
                _ => words,
            });
        }
        // A device may contract a product and a sum: lavapipe does not, others lose half a unit in the last place.
        let sums = bin > 1 && (float(mode) || input == Store::F32);
        let tolerance = if sums { Tolerance::Columns(5e-7, 1) } else { Tolerance::Exact };
        writes[c] = Some(poison(out, w / bin, h / bin, tolerance));
    }
    let name = format!("{w}x{h} {input:?} x{channels} {mode:?}, dark {dark}, flat {flat}, bin {bin}");
    Case { name, params, reads, writes }
}

/// Whether `mode` computes in f32.
fn float(mode: Mode) -> bool {
    matches!(mode, Mode::Guarded | Mode::Signed)
}

impl Probe for Calibrate {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        let bins = if width.min(height) > 1 { &[1, 2][..] } else { &[1] };
        for (bin, input) in bins.iter().flat_map(|bin| STORES.map(|input| (*bin, input))) {
            for channels in [1, 3] {
                for mode in MODES.into_iter().filter(|&m| input != Store::F32 || m != Mode::Fixed) {
                    let masters =
                        [(true, false, false), (mode != Mode::Copy, true, false), (float(mode), true, true)];
                    for (_, dark, flat) in masters.into_iter().filter(|m| m.0) {
                        let size = (width, height, bin);
                        cases.push(calibrate_case(input, channels, mode, (dark, flat), size));
                    }
                }
            }
        }
        cases
    }

    fn vital(case: &Case<Self>) -> bool {
        // JPEG files without a dark, with a narrow one; TIFF files with a wide one; mosaics with a flat, which take the most.
        // At half size other functions run: for whole numbers and for floats.
        let p = &case.params;
        let chosen = [
            (1, Store::U8, 3, Mode::Copy, false, 0),
            (1, Store::U8, 3, Mode::Fixed, true, 0),
            (1, Store::U16, 3, Mode::Guarded, true, 0),
            (1, Store::U16, 1, Mode::Signed, true, 1),
            (2, Store::U8, 3, Mode::Copy, false, 0),
            (2, Store::U16, 3, Mode::Guarded, true, 0),
        ];
        let this = (p.bin, p.input, p.channels, p.mode, case.reads[1].is_some(), p.flat);
        chosen.into_iter().any(|(bin, input, channels, mode, dark, flat)| {
            this == (bin, input as u32, channels, mode as u32, dark, flat)
        })
    }

    fn plant(case: &mut Case<Self>) {
        if let Some(raw) = &mut case.reads[0] {
            raw[0] ^= 1;
        }
    }
}

impl Probe for Gray {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let mut random = Random::new(2);
        let mut cases = Vec::new();
        for store in STORES {
            for channels in [1, 3] {
                let params = GrayParams {
                    row0: 0,
                    rows: height as u32,
                    width: width as u32,
                    height: height as u32,
                    stride: stride(width) as u32,
                    channels,
                    store: store as u32,
                    scale: GrayParams::scale(1.0, white(store)),
                };
                let reads = (0..3)
                    .map(|c| (c < channels).then(|| plane(&mut random, store, width, height)))
                    .collect();
                // Floats: compilers may reorder the sum, so that one unit is lost or won (lavapipe: 13 of 33153).
                let tolerance =
                    if store == Store::F32 { Tolerance::Absolute(1.0) } else { Tolerance::Rounded };
                cases.push(Case {
                    name: format!("{width}x{height} {store:?} x{channels}"),
                    params,
                    reads,
                    writes: vec![Some(poison(Store::U16, width, height, tolerance))],
                });
            }
        }
        cases
    }

    fn vital(case: &Case<Self>) -> bool {
        case.params.channels == 3 || case.params.store == Store::U16 as u32
    }

    fn plant(case: &mut Case<Self>) {
        if let Some(plane) = &mut case.reads[0] {
            plane[0] ^= 1;
        }
    }
}

impl Probe for Tiles {
    fn cases(width: usize, height: usize) -> Vec<Case<Self>> {
        let params = TilesParams::new(width, height);
        let gray = plane(&mut Random::new(3), Store::U16, width, height);
        // Everything is overwritten, also where cells are not whole.
        let output = |k, samples| Output {
            start: vec![u32::MAX; Tiles::write_row_words(&params, k) * Tiles::rows(&params) as usize],
            samples,
            tolerance: Tolerance::Exact,
        };
        vec![Case {
            name: format!("{width}x{height}"),
            params,
            reads: vec![Some(gray)],
            writes: vec![Some(output(0, Samples::U32)), Some(output(1, Samples::U16))],
        }]
    }

    fn plant(case: &mut Case<Self>) {
        if let Some(gray) = &mut case.reads[0] {
            gray[0] ^= 1;
        }
    }
}
