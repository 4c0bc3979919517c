//! Every kernel at full frame size: median ms, GB/s, ns a pixel.
//!
//! `cargo bench --bench kernels -- [WIDTHxHEIGHT] [KERNEL] [gpu]`; the size defaults to 5472x3648 (20 Mpix), the backend
//! is the CPU. `RAYON_NUM_THREADS` sets its threads. On a GPU the time is the device's own, from timestamps.

use livestack::align::motion::IDENTITY;
use livestack::backend::cpu::Cpu;
use livestack::backend::{Backend, Choice, Opened, open};
use livestack::error::Result;
use livestack::kernels::accumulate::{self as acc, Accumulate, AccumulateParams, Pose};
use livestack::kernels::calibrate::{Calibrate, CalibrateParams, Mode};
use livestack::kernels::coverage::{Coverage, CoverageParams};
use livestack::kernels::demosaic::{self, Demosaic, DemosaicParams};
use livestack::kernels::gray::{Gray, GrayParams};
use livestack::kernels::histogram::{BINS, Histogram, HistogramParams, RECORD, STRIP};
use livestack::kernels::present::{Present, PresentParams, Stretch};
use livestack::kernels::repair::{Repair, RepairParams, list_words};
use livestack::kernels::tiles::{Tiles, TilesParams};
use livestack::kernels::{Kernel, Store, stride};
use livestack::rules::Method;
use livestack::sensor::{Bayer, NO_MATRIX};

/// Times each kernel runs; the median counts.
const RUNS: usize = 9;

struct Bench<B: Backend> {
    backend: B,
    pixels: f64,
    only: Option<String>,
}

impl<B: Backend> Bench<B> {
    fn run<K: Kernel>(
        &mut self,
        label: &str,
        p: &K::Params,
        reads: &[Option<&B::Buffer>],
        writes: &mut [Option<&mut B::Buffer>],
    ) -> Result<()> {
        if self.only.as_ref().is_some_and(|o| !label.contains(o)) {
            return self.backend.run::<K>(p, reads, writes);
        }
        let mut ms = Vec::new();
        for _ in 0..RUNS {
            let before = self.backend.timings().ms(K::NAME);
            self.backend.run::<K>(p, reads, writes)?;
            ms.push(self.backend.timings().ms(K::NAME) - before);
        }
        ms.sort_by(f64::total_cmp);
        let median = ms[RUNS / 2];
        println!(
            "{label:<28}{median:>9.2} ms  min {:>8.2}  {:>6.2} GB/s  {:>6.2} ns/px",
            ms[0],
            K::bytes(p) as f64 / 1e6 / median,
            median * 1e6 / self.pixels
        );
        Ok(())
    }
}

/// A word of noise that looks like a dark sky: bytes of 8 to 23.
fn sky(k: usize) -> u32 {
    let mut z = (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z >> 20) as u32 & 0x0f0f_0f0f | 0x0808_0808
}

fn main() -> Result<()> {
    let gpu = std::env::args().any(|a| a == "gpu");
    match open(if gpu { Choice::Gpu } else { Choice::Cpu }, None, true)? {
        Opened::Gpu(gpu, _) => bench(*gpu),
        Opened::Cpu(_) => bench(Cpu::default()),
    }
}

/// The kernels of a 16-bit mosaic.
fn mosaic<B: Backend>(b: &mut Bench<B>, (w, h): (usize, usize)) -> Result<()> {
    let s = stride(w);
    let buffer = |b: &mut Bench<B>, words: usize| -> Result<B::Buffer> {
        let mut buffer = b.backend.alloc("mosaic", words)?;
        let noise: Vec<u32> = (0..words).map(|k| 400.0 + (sky(k) & 63) as f32).map(f32::to_bits).collect();
        b.backend.write(&mut buffer, &noise)?;
        Ok(buffer)
    };
    let (raw, dark, pairs) = (buffer(b, s * h / 2)?, buffer(b, s * h)?, buffer(b, 2 * s * h)?);
    let mut made = [buffer(b, s * h)?, buffer(b, s * h)?, buffer(b, s * h)?, buffer(b, s * h)?];
    let p = |flat: u32| CalibrateParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        stride: s as u32,
        height: h as u32,
        channels: 1,
        input: Store::U16 as u32,
        mode: Mode::Signed as u32,
        shift: 0,
        flat,
        bin: 1,
        out_stride: s as u32,
        black: [128.0; 4],
        gain: [2.0, 1.0, 1.0, 1.5],
    };
    let [mosaic, r, g, blue] = &mut made;
    b.run::<Calibrate>(
        "calibrate mosaic, dark",
        &p(0),
        &[Some(&raw), Some(&dark), None, None],
        &mut [Some(mosaic), None, None],
    )?;
    b.run::<Calibrate>(
        "calibrate mosaic, dark, flat",
        &p(1),
        &[Some(&raw), Some(&pairs), None, None],
        &mut [Some(mosaic), None, None],
    )?;
    let find = RepairParams::new((w, h), true);
    b.run::<Repair>("repair by neighbours", &find, &[Some(mosaic), None], &mut [Some(r)])?;
    let listed = b.backend.alloc("listed", list_words(w) * h)?;
    let list = RepairParams::new((w, h), false);
    b.run::<Repair>("repair by list", &list, &[Some(mosaic), Some(&listed)], &mut [Some(r)])?;
    for method in [demosaic::Method::Bilinear, demosaic::Method::Mhc] {
        let p = DemosaicParams::new((w, h), Bayer::Rggb, method);
        b.run::<Demosaic>(
            &format!("demosaic {method:?}"),
            &p,
            &[Some(mosaic)],
            &mut [Some(r), Some(g), Some(blue)],
        )?;
    }
    Ok(())
}

fn bench<B: Backend>(backend: B) -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-') && a != "gpu").collect();
    let numbers = |a: &String| {
        let (w, h) = a.split_once('x')?;
        Some((w.parse::<usize>().ok()?, h.parse::<usize>().ok()?))
    };
    let (w, h) = words.iter().find_map(numbers).unwrap_or((5472, 3648));
    let only = words.iter().find(|a| numbers(a).is_none()).cloned();
    let s = stride(w);
    println!("{}  {w}x{h}", backend.describe());
    let mut b = Bench { backend, pixels: (w * h) as f64, only };
    let mut raw = b.backend.alloc("raw", (w * h * 3).div_ceil(4))?;
    let noise: Vec<u32> = (0..(w * h * 3).div_ceil(4)).map(sky).collect();
    b.backend.write(&mut raw, &noise)?;
    let mut dark = Vec::new();
    let mut planes = Vec::new();
    let mut stack = Vec::new();
    for c in 0..3 {
        let mut d = b.backend.alloc("dark", s * h / 2)?;
        let words: Vec<u32> = (0..s * h / 2).map(|k| sky(k + c) & 0x0fff_0fff).collect();
        b.backend.write(&mut d, &words)?;
        dark.push(d);
        planes.push(b.backend.alloc("plane", s * h / 2)?);
        stack.push(b.backend.alloc("stack", s * h)?);
    }
    let p = CalibrateParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        stride: s as u32,
        height: h as u32,
        channels: 3,
        input: 0,
        mode: Mode::Fixed as u32,
        shift: 8,
        flat: 0,
        bin: 1,
        out_stride: s as u32,
        black: [0.0; 4],
        gain: [1.0; 4],
    };
    if let [a, d, c] = &mut planes[..] {
        let reads = [Some(&raw), Some(&dark[0]), Some(&dark[1]), Some(&dark[2])];
        b.run::<Calibrate>("calibrate u8, dark", &p, &reads, &mut [Some(a), Some(d), Some(c)])?;
    }
    mosaic(&mut b, (w, h))?;
    let g = GrayParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        height: h as u32,
        stride: s as u32,
        channels: 3,
        store: Store::U16 as u32,
        scale: GrayParams::scale(1.0 / 256.0, 255.0),
    };
    let mut gray = b.backend.alloc("gray", s * h / 2)?;
    b.run::<Gray>(
        "gray u16",
        &g,
        &[Some(&planes[0]), Some(&planes[1]), Some(&planes[2])],
        &mut [Some(&mut gray)],
    )?;
    let t = TilesParams::new(w, h);
    let count = t.tiles_x as usize * h.div_ceil(16);
    let (mut table, mut binned) =
        (b.backend.alloc("table", count * 4)?, b.backend.alloc("binned", count * 8)?);
    b.run::<Tiles>("tiles", &t, &[Some(&gray)], &mut [Some(&mut table), Some(&mut binned)])?;
    let (sin, cos) = 0.02_f64.to_radians().sin_cos();
    let tracked = [cos, -sin, 7.3, sin, cos, -4.6, 1e-9, -1e-9, 1.0];
    let (sin, cos) = 2.0_f64.to_radians().sin_cos();
    let turned = [cos, -sin, 40.3, sin, cos, -60.6, 1e-9, -1e-9, 1.0];
    let flipped = [-1.0, 1e-4, w as f64 - 8.3, -1e-4, -1.0, h as f64 - 3.4, 0.0, 0.0, 1.0];
    let mut coverage = b.backend.alloc("coverage", s * h / 2)?;
    for (name, map) in [("identity", IDENTITY), ("tracked", tracked), ("2 deg", turned), ("flipped", flipped)]
    {
        for method in [Method::AddComp, Method::Mean] {
            let p = AccumulateParams {
                row0: 0,
                rows: 0,
                width: w as u32,
                height: h as u32,
                stride: s as u32,
                store: Store::U16 as u32,
                slots: 1,
                unit: 1.0 / 256.0,
                n: 2.0,
                white: 255.0,
                pedestal: 0.0,
                op: [method as u32, 0, 0, 0, 0, 0],
                pad: [0; 3],
                pose: Pose::new(&map, w, h),
            };
            let mut slots: [Option<&mut _>; acc::SLOTS] = [Some(&mut stack[0]), None, None, None, None, None];
            let label = format!("accumulate {} {name}", method.name());
            b.run::<Accumulate>(&label, &p, &[Some(&planes[0]), Some(&coverage)], &mut slots)?;
        }
    }
    let p = CoverageParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        height: h as u32,
        stride: s as u32,
        pad: [0; 3],
        pose: Pose::new(&tracked, w, h),
    };
    b.run::<Coverage>("coverage", &p, &[], &mut [Some(&mut coverage)])?;
    let p = PresentParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        height: h as u32,
        stride: s as u32,
        channels: 3,
        stretched: 0,
        coloured: 0,
        scale: 1.0,
        pad: [0; 3],
        stretch: [Stretch::NONE; 3],
        matrix: NO_MATRIX,
        end: [0; 3],
    };
    let mut picture = b.backend.alloc("picture", s * 3 / 4 * h)?;
    b.run::<Present>(
        "present",
        &p,
        &[Some(&stack[0]), Some(&stack[1]), Some(&stack[2])],
        &mut [Some(&mut picture)],
    )?;
    let p = HistogramParams {
        row0: 0,
        rows: 0,
        width: w as u32,
        height: h as u32,
        stride: s as u32,
        step: 1,
        low: 0.0,
        bins_per_level: BINS as f32 / 255.0,
        centre: 0.0,
        deviation: 0,
        pad: [0; 2],
    };
    let mut records = b.backend.alloc("records", h.div_ceil(STRIP) * RECORD)?;
    b.run::<Histogram>("histogram", &p, &[Some(&stack[0])], &mut [Some(&mut records)])
}
