//! Masters of many frames: every rule equals its plain definition, whatever fits in memory, and files are read once.

use livestack::error::Error;
use livestack::frame::{Frame, SampleType, Shape};
use livestack::master::{Builder, Built, Master, MasterRule, Setup, build};
use livestack::sensor::{Bayer, Sensor};
use livestack::tags::Tags;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

const RULES: [MasterRule; 4] =
    [MasterRule::PeakMean, MasterRule::Mean, MasterRule::Median, MasterRule::Sigma];
const TYPES: [SampleType; 3] = [SampleType::U8, SampleType::U16, SampleType::F32];
/// Above what fits in one block of lanes, one task and one word, odd and not.
const SIZES: [(usize, usize, usize); 3] = [(1, 1, 1), (17, 13, 3), (131, 67, 1)];
/// Kappa of the rule `sigma`.
const KAPPA: f64 = 3.0;

/// Numbers that look random, the same in every run: a 64-bit linear congruential generator (Knuth, MMIX).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A dark: noise about a level, columns that never change, single frames far off, extremes.
fn dark(shape: Shape, number: usize, black: [f32; 4]) -> Frame {
    let mut noise = Noise(number as u64 * 7919 + 1);
    let most = if shape.sample == SampleType::U8 { 255.0 } else { 65535.0 };
    let levels = (0..shape.samples()).map(|k| match (k % 11, noise.next()) {
        (0, _) => 100.0,
        (1, v) if v < 0.1 => most,
        (2, v) if v < 0.1 => 0.0,
        (3, v) => v * most,
        (4, _) if number == 1 => 200.0,
        (4, _) => 100.0,
        (_, v) => 100.0 + 20.0 * v + 20.0 * noise.next(),
    });
    let bytes: Vec<u8> = match shape.sample {
        SampleType::U8 => levels.map(|v| v as u8).collect(),
        SampleType::U16 => levels.flat_map(|v| (v as u16).to_le_bytes()).collect(),
        SampleType::F32 => levels.flat_map(|v| ((v - 105.0) as f32 / 3.0).to_le_bytes()).collect(),
    };
    let mut words = vec![0; shape.words()];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
    let sensor = Sensor { black, ..Sensor::LINEAR };
    Frame { path: format!("dark {number}").into(), shape, words, sensor, tags: Tags::default(), beside: 0 }
}

/// The rule by its definition, one column at a time, f64.
fn plain(rule: MasterRule, column: &[f64]) -> f64 {
    let n = column.len();
    match rule {
        MasterRule::PeakMean => {
            let next = |m: f64, d: f64| if d > m { (d + m) / 2.0 } else { m };
            column.iter().copied().reduce(next).expect("a frame")
        }
        MasterRule::Mean => column.iter().sum::<f64>() / n as f64,
        MasterRule::Median => {
            let mut sorted = column.to_vec();
            sorted.sort_by(f64::total_cmp);
            (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
        }
        MasterRule::Sigma => {
            let mut kept = column.to_vec();
            loop {
                let n = kept.len() as f64;
                let mean = kept.iter().sum::<f64>() / n;
                let deviation = (kept.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
                let before = kept.len();
                kept.retain(|v| (v - mean).abs() <= KAPPA * deviation);
                if kept.len() == before {
                    return mean;
                }
            }
        }
    }
}

fn make(setup: &Setup, frames: impl IntoIterator<Item = Frame>) -> Master {
    let mut builder = Builder::with(setup.clone());
    for frame in frames {
        builder.push(frame).expect("it belongs");
    }
    builder.finish().expect("read back").expect("frames")
}

/// Compares a master with the plain rule, sample by sample; `within` parts of the level and of one level.
fn compare(master: &Master, rule: MasterRule, frames: &[Frame], within: f32) {
    let shape = master.shape;
    assert_eq!((master.frames, master.levels.len()), (frames.len(), shape.samples()));
    for (k, &got) in master.levels.iter().enumerate() {
        let (x, y) = (k / shape.channels % shape.width, k / shape.channels / shape.width);
        let column: Vec<f64> = frames
            .iter()
            .map(|f| f64::from(f.level(k)) - f64::from(f.sensor.black[y % 2 * 2 + x % 2]))
            .collect();
        let expected = plain(rule, &column) as f32;
        let close = (got - expected).abs() <= within * expected.abs().max(1.0);
        assert!(close, "{rule:?} {shape} of {}, sample {k}: {got}, expected {expected}", frames.len());
    }
}

fn setup(rule: MasterRule, budget: usize) -> Setup {
    Setup { budget, ..Setup::new(rule) }
}

#[test]
fn every_rule_is_its_definition_in_memory_and_on_disk() {
    for (width, height, channels) in SIZES {
        for sample in TYPES {
            let shape = Shape { width, height, channels, sample, mosaic: None };
            for n in [1, 2, 3, 9, 10, 31, 32] {
                let frames: Vec<Frame> = (0..n).map(|k| dark(shape, k, [0.0; 4])).collect();
                for rule in RULES {
                    // Without rounding, but where f32 rounds in peak-mean's long chain.
                    let within = if rule == MasterRule::PeakMean { 1e-6 } else { 0.0 };
                    for budget in [usize::MAX, 5 * shape.bytes() / 2, 0] {
                        compare(&make(&setup(rule, budget), frames.iter().cloned()), rule, &frames, within);
                    }
                }
            }
        }
    }
}

#[test]
fn levels_are_less_the_black_of_each_cell() {
    let shape =
        Shape { width: 31, height: 9, channels: 1, sample: SampleType::U16, mosaic: Some(Bayer::Rggb) };
    let black = |k: usize| [50.0, 61.0, 72.25, 83.0].map(|b: f32| b + k as f32);
    for (alike, black_of) in [(true, 0), (false, 1)] {
        for n in [4, 7] {
            let frames: Vec<Frame> = (0..n).map(|k| dark(shape, k, black(k * black_of))).collect();
            for rule in RULES {
                for budget in [usize::MAX, 0] {
                    let master = make(&setup(rule, budget), frames.iter().cloned());
                    compare(&master, rule, &frames, 1e-6);
                    assert_eq!((master.about.alike, master.about.black), (alike, black(0)));
                }
            }
        }
    }
}

#[test]
fn a_ready_master_passes_through_any_rule() {
    for sample in TYPES {
        let shape = Shape { width: 37, height: 5, channels: 1, sample, mosaic: None };
        let mut frame = dark(shape, 3, [0.0; 4]);
        frame.tags.master_of = Some(40);
        for rule in RULES {
            let master = make(&setup(rule, 0), [frame.clone()]);
            assert_eq!(master.frames, 40);
            assert!((0..shape.samples()).all(|k| master.levels[k].to_bits() == frame.level(k).to_bits()));
        }
    }
}

#[test]
fn the_first_frame_decides_the_rule_where_nobody_does() {
    let shape = Shape { width: 8, height: 8, channels: 1, sample: SampleType::U16, mosaic: None };
    for (sensor, rule) in [(Sensor::DISPLAY, MasterRule::PeakMean), (Sensor::LINEAR, MasterRule::Median)] {
        let mut builder = Builder::new(None);
        assert_eq!(builder.rule(), None);
        for k in 0..4 {
            builder.push(Frame { sensor, ..dark(shape, k, [0.0; 4]) }).expect("it belongs");
        }
        assert_eq!(builder.rule(), Some(rule));
        let master = builder.finish().expect("read back").expect("frames");
        assert_eq!(master.about.rule, Some(rule));
        let frames: Vec<Frame> = (0..4).map(|k| dark(shape, k, [0.0; 4])).collect();
        compare(&master, rule, &frames, 1e-6);
    }
}

#[test]
fn frames_that_were_taken_otherwise_are_left_out() {
    let shape = Shape { width: 8, height: 8, channels: 1, sample: SampleType::U16, mosaic: None };
    let taken = |k: usize, tags: Tags| Frame { tags, ..dark(shape, k, [0.0; 4]) };
    let first = Tags { exposure_s: Some(60.0), iso: Some(800.0), gain: Some(100.0), ..Tags::default() };
    let mut builder = Builder::new(MasterRule::Median);
    builder.push(taken(0, first.clone())).expect("the first");
    // Within 2 %, and where a file says nothing.
    builder.push(taken(1, Tags { exposure_s: Some(61.0), ..first.clone() })).expect("close");
    builder.push(taken(2, Tags::default())).expect("says nothing");
    for (tags, figures) in [
        (Tags { exposure_s: Some(30.0), ..first.clone() }, ["60", "30"]),
        (Tags { iso: Some(1600.0), ..first.clone() }, ["800", "1600"]),
        (Tags { gain: Some(0.0), ..first.clone() }, ["100", "0"]),
    ] {
        let e = builder.push(taken(9, tags)).expect_err("taken otherwise");
        assert!(matches!(e, Error::Mismatch { .. }), "{e}");
        assert!(figures.iter().all(|figure| e.to_string().contains(figure)), "{e}");
    }
    let size = Shape { width: 9, ..shape };
    assert!(matches!(builder.push(dark(size, 9, [0.0; 4])), Err(Error::Mismatch { .. })));
    let master = builder.finish().expect("read back").expect("frames");
    let frames: Vec<Frame> = (0..3).map(|k| dark(shape, k, [0.0; 4])).collect();
    compare(&master, MasterRule::Median, &frames, 0.0);
    assert_eq!(
        (master.about.exposure_s, master.about.iso, master.about.alike),
        (Some(60.0), Some(800.0), false)
    );

    let mut twilight = Builder::with(Setup { any_exposure: true, ..Setup::new(MasterRule::Mean) });
    twilight.push(taken(0, first.clone())).expect("the first");
    twilight.push(taken(1, Tags { exposure_s: Some(30.0), ..first })).expect("another exposure");
    assert!(!twilight.finish().expect("read back").expect("frames").about.alike);
}

/// A folder of gray 16-bit darks; one of them is no picture at all.
fn files(folder: &Path, shape: Shape, n: usize) -> (Vec<PathBuf>, Vec<Frame>) {
    let mut files = vec![folder.join("damaged.png")];
    std::fs::write(&files[0], "no picture").expect("written");
    let frames: Vec<Frame> = (0..n).map(|k| dark(shape, k, [0.0; 4])).collect();
    for (k, frame) in frames.iter().enumerate() {
        let samples: &[u16] = &bytemuck::cast_slice(&frame.words)[..shape.samples()];
        let path = folder.join(format!("dark_{k}.png"));
        let (w, h) = (shape.width as u32, shape.height as u32);
        image::save_buffer(&path, bytemuck::cast_slice(samples), w, h, image::ExtendedColorType::L16)
            .expect("written");
        files.push(path);
    }
    (files, frames)
}

fn built(files: &[PathBuf], setup: &Setup) -> (Built, Vec<PathBuf>) {
    let mut left_out = Vec::new();
    let stop = AtomicBool::new(false);
    let built = build(files, setup, Vec::new(), &stop, &mut |path, _| left_out.push(path.to_owned()));
    (built.expect("built"), left_out)
}

#[test]
fn files_are_read_once_and_more_often_only_without_room() {
    let folder = tempfile::tempdir().expect("folder");
    let shape = Shape { width: 61, height: 41, channels: 1, sample: SampleType::U16, mosaic: None };
    let (files, frames) = files(folder.path(), shape, 9);
    let small = 3 * shape.bytes();
    for rule in RULES {
        let kept = matches!(rule, MasterRule::Median | MasterRule::Sigma);
        for (disk, passes) in [(true, 1), (false, if kept { 4 } else { 1 })] {
            let setup =
                Setup { disk, without_disk: small, folder: Some(folder.path().into()), ..setup(rule, small) };
            let (built, left_out) = built(&files, &setup);
            compare(&built.master.expect("frames"), rule, &frames, 1e-6);
            assert_eq!(left_out, files[..1], "told once");
            // Without room the first pass ends at the fifth file, the fourth frame.
            let expected = if passes == 1 { files.len() } else { 5 + passes * files.len() };
            assert_eq!(built.decoded, expected, "{rule:?} disk: {disk}");
        }
    }
    let left = std::fs::read_dir(folder.path()).expect("folder").count();
    assert_eq!(left, files.len(), "nothing stays in the folder");
}

#[test]
fn a_builder_without_room_makes_no_master() {
    let shape = Shape { width: 61, height: 41, channels: 1, sample: SampleType::U16, mosaic: None };
    let mut builder = Builder::with(Setup { disk: false, ..setup(MasterRule::Median, 2 * shape.bytes()) });
    for k in 0..2 {
        builder.push(dark(shape, k, [0.0; 4])).expect("room");
    }
    for k in 2..4 {
        assert!(matches!(builder.push(dark(shape, k, [0.0; 4])), Err(Error::Io { .. })));
    }
    assert!(builder.finish().is_err(), "a master of some of the frames");
}

#[test]
fn a_folder_that_is_stopped_makes_no_master() {
    let folder = tempfile::tempdir().expect("folder");
    let shape = Shape { width: 9, height: 7, channels: 1, sample: SampleType::U16, mosaic: None };
    let (files, _) = files(folder.path(), shape, 3);
    let built = build(&files, &Setup::new(None), Vec::new(), &AtomicBool::new(true), &mut |_, _| {});
    assert!(built.expect("built").master.is_none());
}
