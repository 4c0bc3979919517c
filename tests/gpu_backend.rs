//! Promise: the GPU backend keeps the order of copies and kernels, reports what does not fit as an error, and `open`
//! chooses as `--backend` says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;

use livestack::backend::bands::Bounds;
use livestack::backend::gpu::{Gpu, Options};
use livestack::backend::{Backend, Choice, Opened, caps, cpu::Cpu, devices, open};
use livestack::error::{Error, exit};
use livestack::kernels::accumulate::{Accumulate, Pose};
use livestack::kernels::calibrate::{CalibrateParams, Mode, calibrate};
use livestack::kernels::cases::{Probe, compare, outputs};
use livestack::kernels::coverage::{CoverageParams, coverage};
use livestack::kernels::present::Present;
use livestack::kernels::{Store, stride};

/// Copies 8-bit frames of `width` x `height`.
fn copy_params(width: usize, height: usize) -> CalibrateParams {
    CalibrateParams {
        row0: 0,
        rows: height as u32,
        width: width as u32,
        stride: stride(width) as u32,
        height: height as u32,
        channels: 1,
        input: Store::U8 as u32,
        mode: Mode::Copy as u32,
        shift: 8,
        flat: 0,
        bin: 1,
        out_stride: stride(width) as u32,
        black: [0.0; 4],
        gain: [1.0; 4],
    }
}

fn gpu(test: &str) -> Option<Gpu> {
    device::open(test, Options::default()).map(|(gpu, _)| gpu)
}

#[test]
fn a_kernel_sees_what_was_there_when_it_was_called() {
    let Some(mut gpu) = gpu("order of copies and kernels") else { return };
    // One small frame (through the queue) and one of 6 MB (through the staging buffer).
    for (width, height) in [(64, 4), (2048, 3000)] {
        let words = width * height / 4;
        let p = copy_params(width, height);
        let mut raw = gpu.alloc("raw", words).unwrap();
        let mut planes: Vec<_> = (0..3).map(|_| gpu.alloc("plane", words).unwrap()).collect();
        let frames: Vec<Vec<u32>> = (1..=3).map(|k| vec![k * 0x0101_0101; words]).collect();
        let mut spare = Vec::new();
        for (frame, plane) in frames.iter().zip(&mut planes) {
            spare = gpu.upload(&mut raw, frame.clone()).unwrap();
            calibrate(&mut gpu, &p, &raw, &[], std::slice::from_mut(plane)).unwrap();
        }
        assert_eq!(spare.capacity(), words, "a vector for the next frame comes back");
        for (frame, plane) in frames.iter().zip(&planes) {
            let mut got = vec![0; words];
            gpu.read(plane, &mut got).unwrap();
            assert!(got == *frame, "{width}x{height}: {:#x} where {:#x} was copied", got[0], frame[0]);
        }
    }
}

#[test]
fn more_dispatches_than_the_ring_of_parameters_holds() {
    let Some(mut gpu) = gpu("ring of parameters") else { return };
    let pose = |tu: f64| Pose::new(&[1.0, 0.0, tu, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 4, 1);
    let mut counts = gpu.alloc("counts", 2).unwrap();
    for k in 0..600 {
        let p = CoverageParams {
            row0: 0,
            rows: 1,
            width: 4,
            height: 1,
            stride: 4,
            pad: [0; 3],
            pose: pose(f64::from(k % 4)),
        };
        coverage(&mut gpu, &p, &mut counts).unwrap();
    }
    let mut got = [0; 2];
    gpu.read(&counts, &mut got).unwrap();
    // A shift by k leaves the last k pixels out.
    assert_eq!(bytemuck::cast_slice::<u32, u16>(&got), [600, 450, 300, 150]);
}

#[test]
fn buffers_start_at_zero() {
    let Some(mut gpu) = gpu("zeroed buffers") else { return };
    let buffer = gpu.alloc("fresh", 1000).unwrap();
    let mut got = vec![7; 1000];
    gpu.read(&buffer, &mut got).unwrap();
    assert!(got.iter().all(|&w| w == 0));
}

#[test]
fn what_does_not_fit_is_an_error_and_work_goes_on() {
    let Some(mut gpu) = gpu("errors of allocation") else { return };
    let error = gpu.alloc("huge", 80 << 20).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Gpu(e) if e.contains("`huge`") && e.contains("256 MiB")), "{error}");
    let mut small = gpu.alloc("small", 4).unwrap();
    assert!(matches!(gpu.write(&mut small, &[1; 5]), Err(Error::Gpu(_))));
    assert!(matches!(gpu.read(&small, &mut [0; 5]), Err(Error::Gpu(_))));
    let short = calibrate(&mut gpu, &copy_params(64, 4), &small, &[], &mut []);
    assert!(matches!(&short, Err(Error::Gpu(e)) if e.contains("too short")), "{short:?}");
    gpu.write(&mut small, &[1, 2, 3, 4]).unwrap();
    let mut got = [0; 4];
    gpu.read(&small, &mut got).unwrap();
    assert_eq!(got, [1, 2, 3, 4]);
}

#[test]
fn a_lost_device_is_an_error_not_a_panic() {
    let Some(mut gpu) = gpu("loss of the device") else { return };
    let p = copy_params(64, 4);
    let mut raw = gpu.alloc("raw", 64).unwrap();
    let mut planes = [gpu.alloc("plane", 64).unwrap()];
    gpu.write(&mut raw, &[1; 64]).unwrap();
    calibrate(&mut gpu, &p, &raw, &[], &mut planes).unwrap();
    gpu.destroy();
    let mut got = [0; 64];
    assert!(matches!(gpu.read(&planes[0], &mut got), Err(Error::Gpu(_))));
    assert!(matches!(calibrate(&mut gpu, &p, &raw, &[], &mut planes), Err(Error::Gpu(_))));
    assert!(matches!(gpu.write(&mut raw, &[2; 64]), Err(Error::Gpu(_))));
    assert!(matches!(gpu.alloc("more", 64), Err(Error::Gpu(_))));
}

#[test]
fn streamed_buffers_over_the_binding_limit_are_cut_and_gathered_ones_refused() {
    let bounds = Bounds { binding_bytes: 100 << 10, dispatch_pixels: 1 << 30 };
    let options = Options { bounds: Some(bounds), ..Options::default() };
    let Some((mut gpu, unit)) = device::open("binding limit", options) else { return };
    let mut cpu = Cpu::default();
    // An 8-bit plane of 70 kB binds whole, a 16-bit one does not; states are 280 kB each.
    let (mut whole, mut refused) = (0, 0);
    for case in Accumulate::cases(129, 530) {
        match outputs(&mut gpu, &case) {
            Ok(got) => {
                whole += 1;
                assert_eq!(case.params.store, Store::U8 as u32);
                assert_eq!(compare(&case, &outputs(&mut cpu, &case).unwrap(), &got, unit).first, None);
            }
            Err(Error::Gpu(e)) => {
                refused += 1;
                assert!(e.contains("`plane`") && e.contains("bound whole") && e.contains("102400"), "{e}");
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(whole > 0 && refused > 0, "{whole} {refused}");
    let before = gpu.dispatches();
    for case in Present::cases(129, 530) {
        let got = outputs(&mut gpu, &case).unwrap();
        assert_eq!(compare(&case, &outputs(&mut cpu, &case).unwrap(), &got, unit).first, None);
    }
    assert!(gpu.dispatches() - before >= 3 * 4, "cut into bands");
}

#[test]
fn the_device_measures_its_kernels() {
    let options = Options { timings: true, ..Options::default() };
    let Some((mut gpu, _)) = device::open("timestamps", options) else { return };
    let case = Present::cases(257, 129).swap_remove(0);
    for _ in 0..3 {
        outputs(&mut gpu, &case).unwrap();
    }
    let spans = gpu.timings().spans().to_vec();
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].name, spans[0].kernel, spans[0].calls), ("present", true, 3));
    assert!(!spans[0].spent.is_zero() && spans[0].bytes > 0, "{spans:?}");
}

#[test]
fn backends_are_chosen_as_asked_for() {
    assert!(matches!(open(Choice::Cpu, Some("no such adapter"), false), Ok(Opened::Cpu(_))));
    let unknown = open(Choice::Gpu, Some("no such adapter"), false).map(|_| ()).unwrap_err();
    assert_eq!(unknown.exit_code(), exit::BACKEND, "{unknown}");
    let list = devices();
    if device::open("choice of a backend", Options::default()).is_none() {
        assert!(matches!(open(Choice::Auto, None, false), Ok(Opened::Cpu(_))));
        return;
    }
    assert_eq!(list.len(), caps::adapters().len());
    assert!(unknown.to_string().contains(&list[0].name), "the adapters are listed: {unknown}");
    assert!(matches!(open(Choice::Gpu, None, false), Ok(Opened::Gpu(..))), "the self-test passes");
    assert!(matches!(open(Choice::Gpu, Some("0"), true), Ok(Opened::Gpu(..))));
    if list.iter().all(|d| d.kind == "software") {
        let auto = open(Choice::Auto, None, false).unwrap();
        assert!(matches!(&auto, Opened::Cpu(note) if note.contains("software")), "{}", auto.note());
        assert!(list[0].verdict.contains("software"), "{}", list[0].verdict);
    }
}
