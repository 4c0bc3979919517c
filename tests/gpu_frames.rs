//! Promise: a frame costs the device a bounded number of submissions, waits and bytes: it is sent once, only tables and
//! sums come back, the host never waits for the copy of the frame before; and compiled kernels are kept for the next start.
//! Counted, not timed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod device;

use common::Place;
use common::geometry::{about_centre, similarity};
use common::night::Shot;
use common::sky::{Sky, eight};
use livestack::align::AlignTo;
use livestack::align::motion::{IDENTITY, Mat3, Motion};
use livestack::backend::bands::Bounds;
use livestack::backend::caps::DISCRETE_PIXELS;
use livestack::backend::cpu::Cpu;
use livestack::backend::gpu::{Counts, Gpu, Options};
use livestack::backend::{Backend, caps};
use livestack::engine::{Engine, Examined, Setup};
use livestack::frame::{Frame, SampleType, Shape};
use livestack::kernels::cases::{Probe, compare, outputs};
use livestack::kernels::present::Present;
use livestack::kernels::tiles::{TILE, Tile};
use livestack::master::{Masters, Plan, Wishes};
use livestack::rules::Method;
use livestack::sensor::Sensor;
use livestack::tags::Tags;
use std::path::{Path, PathBuf};

/// Over 4 MB, so that a frame takes a staging buffer.
const SHAPE: Shape = Shape { width: 1400, height: 1100, channels: 3, sample: SampleType::U8, mosaic: None };
const METHODS: [Method; 2] = [Method::AddComp, Method::Mean];
/// Frames of the night. The first is the reference; the second is the first that is aligned.
const FRAMES: usize = 6;
/// From this frame on all that a night needs is there.
const STEADY: usize = 2;

/// The night: a field that drifts and turns a little, with where each frame lies.
fn night() -> Vec<(Frame, Mat3)> {
    let size = (SHAPE.width, SHAPE.height);
    let sky = Sky::new(size, 150, 71);
    let one = |k: usize| {
        let t = k as f64;
        let map = about_centre(&similarity(0.02 * t, 1.0, 2.3 * t, -1.1 * t), size);
        let picture = eight(&sky.shoot(&Shot::new(map, k as u64)));
        let mut bytes = picture.data;
        bytes.resize(SHAPE.words() * 4, 0);
        let words = bytemuck::pod_collect_to_vec(&bytes);
        let frame = Frame {
            path: format!("light_{k}").into(),
            shape: SHAPE,
            words,
            sensor: Sensor::DISPLAY,
            tags: Tags::default(),
            beside: 0,
        };
        (frame, map)
    };
    (0..FRAMES).map(one).collect()
}

fn engine<B: Backend>(backend: B, align: bool) -> Engine<B> {
    let plan =
        Plan::new((SHAPE, &Sensor::DISPLAY), 255.0, &Masters::default(), &Wishes::USUAL).expect("a plan");
    let setup = Setup {
        frame: SHAPE,
        shape: plan.canvas,
        white: 255.0,
        methods: METHODS.to_vec(),
        align,
        motion: Motion::Homography,
        align_to: AlignTo::Previous,
        matrix: Sensor::DISPLAY.matrix,
        tones: false,
    };
    Engine::new(backend, setup, plan).map_err(|refused| refused.why).expect("an engine")
}

/// Stacks a frame, aligned or where it lies.
fn step<B: Backend>(engine: &mut Engine<B>, frame: &Frame, given: Option<Mat3>) -> Examined {
    let (examined, _) = engine.examine(frame.clone(), given).expect("examined");
    let pose = examined.pose.as_ref().expect("a pose");
    engine.stack(&examined, pose, false).expect("stacked");
    examined
}

fn bits<B: Backend>(engine: &mut Engine<B>) -> Vec<Vec<u32>> {
    let one = |m: &Method| engine.linear(*m).expect("values").iter().map(|v| v.to_bits()).collect();
    METHODS.iter().map(one).collect()
}

#[test]
fn of_an_aligned_frame_only_tables_and_sums_come_back() {
    let Some((gpu, _)) = device::open("counts of an aligned night", Options::default()) else { return };
    let mut engine = engine(gpu, true);
    let mut before = Counts::default();
    let table = SHAPE.width.div_ceil(TILE) * SHAPE.height.div_ceil(TILE) * size_of::<Tile>();
    for (k, (frame, map)) in night().iter().enumerate() {
        let examined = step(&mut engine, frame, None);
        let pose = examined.pose.as_ref().unwrap();
        let now = engine.backend().counts();
        let c = now - before;
        before = now;
        let off = (pose.homography[2] - map[2]).hypot(pose.homography[5] - map[5]);
        assert!(off < 0.2, "frame {k} is stacked where it lies: {off} px off");
        if k < STEADY {
            continue;
        }
        println!("frame {k}: {} iterations, {c:?}", pose.iterations);
        assert_eq!(c.uploads, 1, "it is sent once");
        // The tile table, three passes over the stars, the sums of each iteration, the patches that settle.
        let reads = 1 + 3 + u64::from(pose.iterations) + 1;
        assert!(c.reads <= reads, "{c:?} in {} iterations", pose.iterations);
        assert_eq!(
            (c.waits, c.upload_waits),
            (c.reads, 0),
            "the host waits for what it reads, and nothing else"
        );
        // Upload, calibration, gray and tiles go out with the first read; only stacking has a submission of its own.
        assert_eq!(c.submissions, c.reads + 1);
        let plane = (SHAPE.width * SHAPE.height) as u64;
        assert!(c.read_bytes >= table as u64 && c.read_bytes < plane, "no plane comes back: {c:?}");
        let frame = size_of_val(&frame.words[..]) as u64;
        assert!(c.sent_bytes >= frame && c.sent_bytes < frame + plane, "{c:?}");
        assert!(c.groups <= reads, "only what has another size every frame is bound anew: {c:?}");
    }
    assert_eq!(engine.backend().staging(), 1, "an aligned night needs no second staging buffer");
}

/// Counts of each frame of a night with given poses, and its stacks.
fn given(options: Options) -> Option<(Vec<Counts>, usize, Vec<Vec<u32>>)> {
    let (gpu, _) = device::open("counts of a night with given poses", options)?;
    let mut engine = engine(gpu, false);
    let mut all = vec![engine.backend().counts()];
    for (frame, map) in night() {
        step(&mut engine, &frame, Some(map));
        all.push(engine.backend().counts());
    }
    let staging = engine.backend().staging();
    let counts = all.windows(2).map(|w| w[1] - w[0]).collect();
    Some((counts, staging, bits(&mut engine)))
}

#[test]
fn a_frame_with_a_given_pose_is_one_submission() {
    let Some((counts, staging, stacks)) = given(Options::default()) else { return };
    let waits: u64 = counts.iter().map(|c| c.upload_waits).sum();
    assert!(waits <= (FRAMES - 2) as u64 && staging <= 2, "two frames go ahead: {waits} waits");
    for c in &counts[1..] {
        assert_eq!((c.submissions, c.reads, c.uploads), (1, 0, 1), "{c:?}");
        assert_eq!((c.waits, c.groups), (c.upload_waits, 0), "{c:?}");
    }
    // A board without memory for a second staging buffer waits, and stacks the same.
    let Some((alone, staging, same)) = given(Options { staging: Some(1), ..Options::default() }) else {
        return;
    };
    assert_eq!(staging, 1);
    assert!(alone[1..].iter().all(|c| (c.submissions, c.reads) == (1, 0)), "{alone:?}");
    assert!(same == stacks, "the same stacks");
}

#[test]
fn the_host_copies_a_frame_while_the_device_copies_the_one_before() {
    let Some((mut gpu, _)) = device::open("ring of staging buffers", Options::default()) else { return };
    let words = vec![7_u32; 2 << 20];
    let mut raw = gpu.alloc("raw", words.len()).unwrap();
    let before = gpu.counts();
    let mut back = words.clone();
    for _ in 0..2 {
        back = gpu.upload(&mut raw, back).unwrap();
        gpu.submit().unwrap();
    }
    let c = gpu.counts() - before;
    assert_eq!((c.uploads, c.submissions, c.waits), (2, 2, 0), "{c:?}");
    // More than a staging buffer holds goes in pieces, more than there are staging buffers.
    let long: Vec<u32> = (0..(40 << 20)).collect();
    let mut far = gpu.alloc("far", long.len()).unwrap();
    gpu.write(&mut far, &long).unwrap();
    assert!(gpu.staging() <= 2);
    let mut got = vec![0; long.len()];
    gpu.read(&far, &mut got).unwrap();
    assert!(got == long, "pieces arrive where they belong");
}

#[test]
fn long_dispatches_stack_the_same_in_fewer() {
    let tier = |dispatch_pixels| Options {
        bounds: Some(Bounds { binding_bytes: 128 << 20, dispatch_pixels }),
        ..Options::default()
    };
    let Some((short, _, stacks)) = given(tier(1 << 18)) else { return };
    let Some((long, _, same)) = given(tier(DISCRETE_PIXELS)) else { return };
    assert!(same == stacks, "the same stacks");
    // calibrate, accumulate of three colours, coverage.
    assert!(long.iter().all(|c| c.dispatches == 5), "{long:?}");
    assert!(short.iter().all(|c| c.dispatches > 5 * 4 && c.submissions == 1), "{short:?}");
}

/// A device that keeps its kernels in `folder` has run one.
fn keeping(folder: &Path) -> Option<Gpu> {
    let options = Options { keep: true, ..Options::default() };
    let (mut gpu, unit) = device::open("kept kernels", options)?;
    gpu.keep(folder);
    let case = Present::cases(17, 13).swap_remove(0);
    let got = outputs(&mut gpu, &case).unwrap();
    assert_eq!(compare(&case, &outputs(&mut Cpu::default(), &case).unwrap(), &got, unit).first, None);
    Some(gpu)
}

/// The files in `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).into_iter().flatten();
    all.map(|entry| entry.unwrap().path()).collect()
}

/// Whether the adapter that tests run on can keep kernels.
fn keeps() -> bool {
    caps::adapters().first().is_some_and(|a| a.features().contains(wgpu::Features::PIPELINE_CACHE))
}

#[test]
fn compiled_kernels_are_kept_for_the_next_start() {
    let place = Place::new();
    let folder = place.path("cache/livestack");
    let Some(gpu) = keeping(&folder) else { return };
    if !keeps() {
        assert!(!gpu.kept());
        drop(gpu);
        assert!(files(&folder).is_empty(), "a device that cannot keep kernels keeps none");
        return;
    }
    assert!(!gpu.kept(), "there was nothing");
    drop(gpu);
    let [file] = &files(&folder)[..] else { panic!("one file: {:?}", files(&folder)) };
    let whole = std::fs::read(file).unwrap();
    assert!(keeping(&folder).unwrap().kept(), "the next start finds them");

    // What is damaged is not given to the driver, and written anew.
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for bad in [&damaged[..], &whole[..last], b"", b"something else"] {
        std::fs::write(file, bad).unwrap();
        assert!(!keeping(&folder).unwrap().kept(), "{} of {} bytes", bad.len(), whole.len());
        assert!(keeping(&folder).unwrap().kept(), "mended");
    }

    // Where nothing can be written, nothing is kept and nothing fails.
    std::fs::write(place.path("no folder"), b"").unwrap();
    assert!(!keeping(&place.path("no folder/livestack")).unwrap().kept());

    // Without being asked to, no device keeps anything.
    let (mut plain, _) = device::open("kept kernels", Options::default()).unwrap();
    plain.keep(&place.path("plain"));
    outputs(&mut plain, &Present::cases(17, 13).swap_remove(0)).unwrap();
    drop(plain);
    assert!(!place.path("plain").exists());
}

#[test]
fn kernels_are_kept_before_a_night_ends() {
    if !keeps() {
        return;
    }
    let place = Place::new();
    let Some((mut gpu, _)) = device::open("kept kernels", Options { keep: true, ..Options::default() })
    else {
        return;
    };
    gpu.keep(&place.path("cache"));
    let mut engine = engine(gpu, false);
    let frames = night();
    for (frame, _) in &frames[..2] {
        step(&mut engine, frame, Some(IDENTITY));
        assert!(files(&place.path("cache")).is_empty(), "a frame may need more");
    }
    step(&mut engine, &frames[2].0, Some(IDENTITY));
    assert_eq!(files(&place.path("cache")).len(), 1, "frame 2 needed no new ones");
}

#[test]
fn the_program_keeps_kernels_in_the_users_cache_folder() {
    let light = common::golden().join("level8/input/light_1.png");
    let run = |place: &Place, backend: &str, cache: PathBuf| {
        let mut command = place.command();
        command.args(["stack", "--backend", backend, "--no-align", "--method", "add"]).arg(&light);
        command.env("XDG_CACHE_HOME", cache).output().unwrap()
    };
    let place = Place::new();
    assert!(run(&place, "cpu", place.path("cache")).status.success());
    assert!(!place.path("cache").exists(), "--backend cpu leaves the cache folder alone");
    if !common::backends().contains(&"gpu") || !keeps() {
        return;
    }
    assert!(run(&place, "gpu", place.path("cache")).status.success());
    assert_eq!(files(&place.path("cache/livestack")).len(), 1);
    std::fs::write(place.path("file"), b"").unwrap();
    let nowhere = run(&place, "gpu", place.path("file"));
    assert!(nowhere.status.success(), "a cache that cannot be written fails nothing: {nowhere:?}");
}
