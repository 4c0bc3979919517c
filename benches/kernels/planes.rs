//! Calls of the kernels that make working planes: calibrate, repair, demosaic, gray, tiles.

use crate::calls::{Call, Calls, packed, plane};
use crate::common::Size;
use bytemuck::Zeroable;
use livestack::kernels::calibrate::{Calibrate, CalibrateParams, Mode};
use livestack::kernels::demosaic::{self, Demosaic, DemosaicParams};
use livestack::kernels::gray::{Gray, GrayParams};
use livestack::kernels::repair::{Repair, RepairParams, list_words};
use livestack::kernels::tiles::{Tiles, TilesParams};
use livestack::kernels::{PlaneFormat, Store, stride};
use livestack::sensor::Bayer;

const STORES: [Store; 3] = [Store::U8, Store::U16, Store::F32];

fn bits(store: Store) -> &'static str {
    match store {
        Store::U8 => "8 bit",
        Store::U16 => "16 bit",
        Store::F32 => "float",
    }
}

fn kind(channels: usize) -> &'static str {
    if channels == 1 { "gray" } else { "colour" }
}

fn done(mode: Mode) -> &'static str {
    match mode {
        Mode::Copy => "copied",
        Mode::Fixed => "dark in 16 bits",
        Mode::Guarded => "dark in floats",
        Mode::Signed => "signed dark",
    }
}

impl Calls for Calibrate {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        // JPEG without a dark, with a narrow and a wide one; TIFF; mosaics with a dark, and with a flat too; floats.
        [
            (Store::U8, 3, Mode::Copy, false),
            (Store::U8, 3, Mode::Fixed, false),
            (Store::U8, 3, Mode::Guarded, false),
            (Store::U16, 3, Mode::Guarded, false),
            (Store::U16, 1, Mode::Fixed, false),
            (Store::U16, 1, Mode::Signed, false),
            (Store::U16, 1, Mode::Signed, true),
            (Store::F32, 3, Mode::Copy, false),
        ]
        .map(|(input, channels, mode, flat)| {
            let params = CalibrateParams {
                width: w as u32,
                stride: stride(w) as u32,
                height: h as u32,
                channels: channels as u32,
                input: input as u32,
                mode: mode as u32,
                shift: if input == Store::U8 { 8 } else { 0 },
                flat: u32::from(flat),
                bin: 1,
                out_stride: stride(w) as u32,
                black: [128.0; 4],
                gain: [2.0, 1.0, 1.0, 1.5],
                ..Zeroable::zeroed()
            };
            let (_, dark) = params.stores();
            let rows = if flat { 2 * h } else { h };
            let dark = |c: usize| dark.filter(|_| c < channels).and_then(|store| plane(store, (w, rows)));
            Call {
                name: format!(
                    "{} {}, {}{}",
                    bits(input),
                    kind(channels),
                    done(mode),
                    if flat { " and flat" } else { "" }
                ),
                params,
                reads: vec![packed(input, w * h * channels), dark(0), dark(1), dark(2)],
                writes: channels,
            }
        })
        .into()
    }
}

impl Calls for Repair {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        [true, false]
            .map(|find| Call {
                name: if find { "by neighbours" } else { "by list" }.into(),
                params: RepairParams::new((w, h), find),
                reads: vec![
                    plane(Store::F32, (w, h)),
                    // Nothing is listed: of a real dark one pixel in 500 is.
                    if find { None } else { Some(Box::new(move || vec![0; list_words(w) * h])) },
                ],
                writes: 1,
            })
            .into()
    }
}

impl Calls for Demosaic {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        use demosaic::Method;
        [Method::Bilinear, Method::Mhc, Method::Superpixel]
            .map(|method| Call {
                name: match method {
                    Method::Bilinear => "bilinear",
                    Method::Mhc => "mhc",
                    Method::Superpixel => "superpixel",
                }
                .into(),
                params: DemosaicParams::new((w, h), Bayer::Rggb, method),
                reads: vec![plane(Store::F32, (w, h))],
                writes: 3,
            })
            .into()
    }
}

impl Calls for Gray {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        let cases = STORES.into_iter().flat_map(|store| [(store, 3), (store, 1)]);
        cases
            .map(|(store, channels)| {
                let white = if store == Store::U8 { 255.0 } else { 65535.0 };
                let colour = |c: usize| if c < channels { plane(store, (w, h)) } else { None };
                Call {
                    name: format!("{} {}", bits(store), kind(channels)),
                    params: GrayParams::new((w, h), channels, PlaneFormat { store, unit: 1.0 }, white),
                    reads: vec![colour(0), colour(1), colour(2)],
                    writes: 1,
                }
            })
            .collect()
    }
}

impl Calls for Tiles {
    fn calls((w, h): Size) -> Vec<Call<Self>> {
        vec![Call {
            name: "16 bit".into(),
            params: TilesParams::new(w, h),
            reads: vec![plane(Store::U16, (w, h))],
            writes: 2,
        }]
    }
}
