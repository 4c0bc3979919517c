//! Promise: a frame whose planes no binding holds whole gives the same night on the GPU as on the CPU, up to 61 Mpix
//! and to any number of rows. The bounds of a band are tightened, so that small frames take the road of large ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;

use livestack::align::AlignTo;
use livestack::align::motion::Motion;
use livestack::backend::Backend;
use livestack::backend::bands::{self, Bounds, DISPATCH_PIXELS};
use livestack::backend::cpu::Cpu;
use livestack::backend::gpu::{Gpu, Options};
use livestack::engine::{Engine, Setup};
use livestack::frame::{Frame, SampleType, Shape};
use livestack::kernels::calibrate::Calibrate;
use livestack::kernels::cases::{Probe, compare, outputs};
use livestack::kernels::demosaic;
use livestack::kernels::layout::Field;
use livestack::kernels::present::Present;
use livestack::kernels::{Access, Shared, stride};
use livestack::master::{About, Master, Masters, Plan, Wishes};
use livestack::picture::{Look, StretchMode};
use livestack::rules::Method;
use livestack::sensor::{Bayer, NO_MATRIX, Sensor};
use livestack::tags::Tags;

/// 11 strips of 64 rows, the last of them cut.
const SHAPE: Shape = Shape { width: 131, height: 700, channels: 3, sample: SampleType::U8, mosaic: None };
const METHODS: [Method; 2] = [Method::AddMax2, Method::Mean];
/// What a linear value may be off, parts of white: the tolerance of a state.
const LINEAR: f32 = 4e-6;

/// The same as a mosaic.
const MOSAIC: Shape = Shape { channels: 1, mosaic: Some(Bayer::Grbg), ..SHAPE };

/// A sky that gets brighter downwards, so that a row read in another's place shows.
fn frame(shape: Shape, sensor: Sensor, seed: u32) -> Frame {
    let mut state = seed;
    let bytes: Vec<u8> = (0..shape.samples())
        .map(|k| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (30 + k * 90 / shape.samples()) as u8 + (state >> 27) as u8
        })
        .chain(std::iter::repeat_n(0, shape.words() * 4 - shape.samples()))
        .collect();
    Frame {
        path: "frame".into(),
        shape,
        words: bytemuck::pod_collect_to_vec(&bytes),
        sensor,
        tags: Tags::default(),
        beside: 0,
    }
}

/// Linear values and automatically stretched picture of each rule.
fn night<B: Backend>(backend: B, shape: Shape, wishes: Wishes) -> Vec<(Vec<f32>, Vec<u8>)> {
    let master = |level: fn(usize) -> f32| {
        let levels = (0..shape.samples()).map(level).collect();
        Master { shape, levels, frames: 2, about: About { linear: true, ..About::default() } }
    };
    let dark = Some(master(|k| (k % 23) as f32 + if k % 997 == 0 { 60.5 } else { 0.5 }));
    let (sensor, flat) = match shape.mosaic {
        None => (Sensor::DISPLAY, None),
        Some(_) => (
            Sensor { black: [1.0, 2.0, 3.0, 4.5], balance: [2.0, 1.0, 1.5], ..Sensor::LINEAR },
            Some(master(|k| 900.0 + (k / 131) as f32)),
        ),
    };
    let masters = Masters { dark, flat, ..Masters::default() };
    let plan = Plan::new((shape, &sensor), 255.0, &masters, &wishes).unwrap();
    let setup = Setup {
        white: 255.0,
        frame: shape,
        shape: plan.canvas,
        matrix: NO_MATRIX,
        methods: METHODS.to_vec(),
        align: false,
        motion: Motion::Homography,
        align_to: AlignTo::First,
        tones: false,
    };
    let mut engine = Engine::new(backend, setup, plan).map_err(|r| r.why).unwrap();
    let (sin, cos) = 0.3_f64.to_radians().sin_cos();
    for k in 0..4 {
        let shift = 0.37 * f64::from(k);
        let map = [cos, -sin, 1.0 + shift, sin, cos, -0.4 - shift, 0.0, 0.0, 1.0];
        let (examined, _) = engine.examine(frame(shape, sensor, 7 + k), Some(map)).unwrap();
        engine.stack(&examined, examined.pose.as_ref().unwrap(), false).unwrap();
    }
    METHODS
        .iter()
        .map(|&m| {
            let linear = engine.linear(m).unwrap();
            (
                linear,
                bytemuck::pod_collect_to_vec(
                    &engine.picture(m, &Look { stretch: StretchMode::Auto, ..Look::PLAIN }).unwrap(),
                ),
            )
        })
        .collect()
}

#[test]
fn a_night_of_frames_over_the_binding_limit_equals_the_cpus() {
    let plane = (stride(SHAPE.width) * SHAPE.height) as u64;
    // Holds a calibrated plane (16 bit, gathered), but no stack.
    let bounds = Bounds { binding_bytes: 5 * plane / 2, dispatch_pixels: 1 << 30 };
    assert!(2 * plane <= bounds.binding_bytes && bounds.binding_bytes < 4 * plane);
    let Some((gpu, _)) =
        device::open("binding limit of a night", Options { bounds: Some(bounds), ..Options::default() })
    else {
        return;
    };
    equal(&night(gpu, SHAPE, Wishes::USUAL), &night(Cpu::default(), SHAPE, Wishes::USUAL));
}

#[test]
fn a_night_of_mosaics_in_many_bands_equals_the_cpus() {
    let bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: 10_000 };
    let options = Options { bounds: Some(bounds), ..Options::default() };
    for method in [demosaic::Method::Mhc, demosaic::Method::Superpixel] {
        let wishes = Wishes { demosaic: method, ..Wishes::USUAL };
        let Some((gpu, _)) = device::open("bands of a mosaic", options) else { return };
        equal(&night(gpu, MOSAIC, wishes), &night(Cpu::default(), MOSAIC, wishes));
    }
}

fn equal(on_gpu: &[(Vec<f32>, Vec<u8>)], on_cpu: &[(Vec<f32>, Vec<u8>)]) {
    for (method, (on_gpu, on_cpu)) in METHODS.iter().zip(on_gpu.iter().zip(on_cpu)) {
        let name = method.name();
        assert!(on_cpu.0.iter().any(|v| *v > 0.1), "{name}: something is stacked");
        let worst = on_gpu.0.iter().zip(&on_cpu.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= LINEAR, "{name}: linear values {worst} apart");
        let (a, b) = (&on_gpu.1[..on_cpu.0.len()], &on_cpu.1[..on_cpu.0.len()]);
        assert!(b.iter().max() > b.iter().min(), "{name}: the picture shows something");
        let other = a.iter().zip(b).filter(|(a, b)| a != b).count();
        assert!(
            a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1),
            "{name}: pictures more than a level apart"
        );
        assert!(other * 1000 <= a.len(), "{name}: {other} of {} samples differ", a.len());
    }
}

/// `p` with the words called `name` set.
fn set<P: Shared>(mut p: P, name: &str, value: u32) -> P {
    let at = P::FIELDS.iter().flat_map(Field::spelled_out).find(|(n, _)| n == name);
    if let Some((_, offset)) = at {
        bytemuck::cast_slice_mut::<P, u32>(std::slice::from_mut(&mut p))[offset / 4] = value;
    }
    p
}

/// All that `K` streams can be bound for a frame of `width` x `height`, in dispatches that a device runs.
fn fits<K: Probe>(width: u32, height: u32) {
    /// Dispatches of WebGPU have at most so many workgroups a dimension.
    const GROUPS: u32 = 65535;
    let bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: DISPATCH_PIXELS };
    for case in K::cases(17, 13) {
        let padded = stride(width as usize) as u32;
        let sizes = [
            ("width", width),
            ("height", height),
            ("stride", padded),
            ("tiles_x", width.div_ceil(16)),
            ("patches", 100_000),
        ];
        let p = sizes.into_iter().fold(case.params, |p, (name, value)| set(p, name, value));
        for (name, access) in K::READS {
            let gathered = name.starts_with("plane") || ["gray", "mosaic", "listed"].contains(name);
            assert!(*access == Access::Streamed || gathered, "{}: `{name}` is bound whole", K::NAME);
        }
        let streamed = |k: usize| K::READS[k].1 == Access::Streamed;
        let reads = (0..K::READS.len()).filter(|&k| streamed(k)).map(|k| K::read_row_bytes(&p, k) as u64);
        let writes = (0..K::WRITES.len()).map(|k| 4 * K::write_row_words(&p, k) as u64);
        let row_bytes: Vec<u64> = reads.chain(writes).filter(|&b| b > 0).collect();
        let cut = bands::cut(K::rows(&p), K::work(&p), &row_bytes, |rows| K::groups(&p, rows), bounds);
        for band in cut.unwrap_or_else(|e| panic!("{}: {}: {e}", K::NAME, case.name)) {
            let rows = band.end - band.start;
            assert!(K::groups(&p, rows).iter().all(|&g| g <= GROUPS), "{}: {rows} rows", K::NAME);
            assert!(row_bytes.iter().all(|b| b * u64::from(rows) <= bounds.binding_bytes), "{}", K::NAME);
        }
    }
}

#[test]
fn large_and_long_frames_fit_every_kernel() {
    // 61 Mpix, and a strip of many rows.
    for (width, height) in [(9504, 6336), (16, 70_000), (16, 3_000_000)] {
        macro_rules! each {
            ($($k:ty),*) => { $(fits::<$k>(width, height);)* };
        }
        livestack::kernels!(each);
    }
}

/// The first case of `K` with more rows than a dispatch has workgroups.
fn long<K: Probe>(gpu: &mut Gpu, unit: u32) {
    let case = K::cases(16, 70_000).swap_remove(0);
    let got = outputs(gpu, &case).unwrap_or_else(|e| panic!("{}: {e}", K::NAME));
    assert_eq!(compare(&case, &outputs(&mut Cpu::default(), &case).unwrap(), &got, unit).first, None);
}

#[test]
fn more_rows_than_workgroups_of_a_dispatch() {
    // As much work as one likes, so that nothing else cuts.
    let bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: 1 << 30 };
    let options = Options { bounds: Some(bounds), ..Options::default() };
    let Some((mut gpu, unit)) = device::open("long frames", options) else { return };
    let before = gpu.dispatches();
    long::<Calibrate>(&mut gpu, unit);
    long::<Present>(&mut gpu, unit);
    assert_eq!(gpu.dispatches() - before, 4, "two bands each");
}
