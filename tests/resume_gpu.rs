//! Promise: what was stacked on the GPU is taken up there, and on the CPU when the GPU is lost.

mod common;
mod device;
mod live;

use common::Place;
use common::geometry::rms_error;
use live::Live;
use live::nights::wandering;
use livestack::align::AlignTo;
use livestack::align::motion::Mat3;
use livestack::backend::Backend;
use livestack::backend::cpu::Cpu;
use livestack::backend::gpu::Options;
use livestack::checkpoint::NAMES;

/// Poses found by CPU and GPU differ by less, px: what the same frames give on each from the start (lavapipe).
const APART: f64 = 0.01;
/// Frames before the stack is put away.
const BEFORE: usize = 15;

/// The poses in a log, of the frames that were stacked.
fn poses<B: Backend>(live: &Live<B>) -> Vec<Mat3> {
    live.poses.iter().flatten().copied().collect()
}

#[test]
fn a_lost_gpu_loses_nothing() {
    let open = || device::open("a stack is taken up on the GPU", Options::default()).map(|(gpu, _)| gpu);
    let Some(gpu) = open() else { return };
    let night = wandering(AlignTo::Previous);
    let place = Place::new();
    let folder = place.folder("stored");
    let mut whole = Live::new(gpu, &night);
    for (k, frame) in night.frames.iter().enumerate() {
        whole.step(frame);
        if k + 1 == BEFORE {
            whole.store(&folder).expect("stored");
        }
    }
    let Some(gpu) = open() else { return };
    let mut again = Live::new(gpu, &night);
    again.load(&folder.join(NAMES[0])).expect("loaded on the GPU");
    let mut cpu = Live::new(Cpu::default(), &night);
    cpu.load(&folder.join(NAMES[0])).expect("loaded on the CPU");
    for frame in &night.frames[BEFORE..] {
        again.step(frame);
        cpu.step(frame);
    }
    let want = &whole.poses[BEFORE..];
    assert_eq!(cpu.engine.stacked(), whole.engine.stacked(), "frames were lost");
    for (name, got) in [("GPU", &again.poses), ("CPU", &cpu.poses)] {
        assert_eq!(got.len(), want.len());
        for (k, (got, want)) in got.iter().zip(want).enumerate() {
            let (Some(got), Some(want)) = (got, want) else {
                assert_eq!(got, want, "{name}: frame {} after it", k);
                continue;
            };
            let off = rms_error(got, want, (440, 300));
            assert!(off <= APART, "{name}: {off:.4} px in frame {k} after it");
        }
    }
    if std::env::var_os("LIVESTACK_TEST_SHOW").is_some() {
        let same = again.log[..] == whole.log[BEFORE..] && again.outputs() == whole.outputs();
        println!("on the GPU again: {}", if same { "the same bits" } else { "other bits" });
    }
    assert!(poses(&whole).len() > BEFORE, "the night is too short");
}
