//! Promise: the GPU computes what the CPU computes, for every kernel and every rule, at odd sizes, in bands or whole,
//! on the limits of a Raspberry Pi. Planted mistakes show that the comparison would notice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;

use livestack::backend::bands::Bounds;
use livestack::backend::cpu::Cpu;
use livestack::backend::gpu::{Gpu, Options};
use livestack::kernels::cases::{Case, Output, Probe, Samples, Tolerance, compare, outputs, values};
use livestack::kernels::{Kernel, accumulate::Accumulate};
use livestack::rules::Method;

/// All cases of `K` on `gpu` against the twin. Returns how many there were.
fn agree<K: Probe>(gpu: &mut Gpu, unit: u32, (width, height): (usize, usize)) -> u64 {
    let mut cpu = Cpu::default();
    let cases = K::cases(width, height);
    let mut worst = 0.0_f64;
    for case in &cases {
        let (twin, other) = (outputs(&mut cpu, case).unwrap(), outputs(gpu, case).unwrap());
        let deviation = compare(case, &twin, &other, unit);
        assert_eq!(deviation.first, None, "{} samples differ", deviation.beyond);
        worst = worst.max(deviation.worst);
    }
    println!("{} {width}x{height}: {} cases, {worst:.3} of the tolerance", K::NAME, cases.len());
    cases.len() as u64
}

#[test]
fn gpu_equals_cpu_at_odd_sizes() {
    let Some((mut gpu, unit)) = device::open("parity of all kernels", Options::default()) else { return };
    let gpu = &mut gpu;
    for size in [(1, 1), (17, 13), (257, 129)] {
        macro_rules! each {
            ($($k:ty),*) => { $(agree::<$k>(gpu, unit, size);)* };
        }
        livestack::kernels!(each);
    }
}

#[test]
fn gpu_equals_cpu_in_bands() {
    // Narrow and tall, so that every kernel, also that of strips of 64 rows, has several bands; 37 bytes a row are
    // no multiple of a word.
    let bounds = Bounds { binding_bytes: 128 << 20, dispatch_pixels: 40_000 };
    let options = Options { bounds: Some(bounds), ..Options::default() };
    let Some((mut gpu, unit)) = device::open("parity in bands", options) else { return };
    let gpu = &mut gpu;
    macro_rules! each {
        ($($k:ty),*) => { $(
            let before = gpu.dispatches();
            let cases = agree::<$k>(gpu, unit, (37, 4500));
            let dispatches = gpu.dispatches() - before;
            assert!(dispatches >= 2 * cases, "{}: {dispatches} dispatches for {cases} cases", <$k>::NAME);
        )* };
    }
    livestack::kernels!(each);
}

#[test]
fn every_rule_and_store_is_among_the_cases() {
    let names: Vec<String> = Accumulate::cases(17, 13).into_iter().map(|c| c.name).collect();
    for method in Method::ALL {
        for n in ["n 1,", "n 2,", "n 57,"] {
            let alone = format!(", {}", method.name());
            assert!(names.iter().any(|c| c.contains(n) && c.ends_with(&alone)), "{} {n}", method.name());
        }
    }
    for store in ["U8", "U16", "F32"] {
        assert!(names.iter().any(|c| c.contains(store)), "{store}");
    }
}

/// The planted mistake of `K`, made on the GPU's side alone, is noticed.
fn notices<K: Probe>(gpu: &mut Gpu, unit: u32) {
    let case = K::cases(17, 13).swap_remove(0);
    let twin = outputs(&mut Cpu::default(), &case).unwrap();
    let right = outputs(gpu, &case).unwrap();
    assert_eq!(compare(&case, &twin, &right, unit).first, None);
    let mut planted = Case {
        name: case.name.clone(),
        params: case.params,
        reads: case.reads.clone(),
        writes: case.writes.clone(),
    };
    K::plant(&mut planted);
    let wrong = outputs(gpu, &planted).unwrap();
    assert!(compare(&case, &twin, &wrong, unit).beyond > 0, "{}: the planted mistake passed", K::NAME);
}

#[test]
fn planted_mistakes_are_noticed() {
    let Some((mut gpu, unit)) = device::open("planted mistakes", Options::default()) else { return };
    let gpu = &mut gpu;
    macro_rules! each {
        ($($k:ty),*) => { $(notices::<$k>(gpu, unit);)* };
    }
    livestack::kernels!(each);
}

/// The smallest step beyond the tolerance of sample `k`, in the buffer's unit.
fn step(output: &Output, twin: &[u32], k: usize) -> f64 {
    match output.tolerance {
        Tolerance::Exact | Tolerance::Rounded if output.samples == Samples::F32 => 1e-3,
        Tolerance::Exact | Tolerance::Rounded => 1.0,
        Tolerance::Absolute(_) if output.samples != Samples::F32 => 2.0,
        Tolerance::Absolute(t) => 2.0 * f64::from(t),
        Tolerance::Columns(part, n) => {
            let all = values(output.samples, twin);
            let largest = all.iter().skip(k % n).step_by(n).fold(0.0_f64, |m, v| v.abs().max(m));
            2.0 * f64::from(part) * largest.max(f64::from(f32::MIN_POSITIVE))
        }
    }
}

/// `words` with sample `k` moved by `by`, within its range.
fn moved(samples: Samples, words: &[u32], k: usize, by: f64) -> Vec<u32> {
    let mut words = words.to_vec();
    let down = |v: f64, most: f64| if v + by > most { v - by } else { v + by };
    match samples {
        Samples::U8 => {
            let v = &mut bytemuck::cast_slice_mut::<u32, u8>(&mut words)[k];
            *v = down(f64::from(*v), 255.0) as u8;
        }
        Samples::U16 => {
            let v = &mut bytemuck::cast_slice_mut::<u32, u16>(&mut words)[k];
            *v = down(f64::from(*v), 65535.0) as u16;
        }
        Samples::U32 => words[k] = down(f64::from(words[k]), f64::from(u32::MAX)) as u32,
        Samples::F32 => {
            let v = &mut bytemuck::cast_slice_mut::<u32, f32>(&mut words)[k];
            // By two units in the last place at least, where the step is lost in the value.
            let to = (f64::from(*v) + by) as f32;
            *v = if to == *v { v.next_up().next_up() } else { to };
        }
    }
    words
}

/// One sample off by the smallest step beyond its tolerance, in any output of any case, is noticed.
fn notices_one_sample<K: Probe>() {
    for case in K::cases(17, 13) {
        let twin = outputs(&mut Cpu::default(), &case).unwrap();
        for (at, output) in case.writes.iter().enumerate() {
            let Some(output) = output else { continue };
            let count = values(output.samples, &twin[at]).len();
            for k in [0, count / 2, count - 1] {
                let mut other = twin.clone();
                other[at] = moved(output.samples, &twin[at], k, step(output, &twin[at], k));
                let found = compare(&case, &twin, &other, 0);
                assert_eq!(found.beyond, 1, "{}: {}: {}[{k}]", K::NAME, case.name, K::WRITES[at]);
            }
        }
    }
}

#[test]
fn one_sample_beyond_its_tolerance_is_noticed() {
    macro_rules! each {
        ($($k:ty),*) => { $(notices_one_sample::<$k>();)* };
    }
    livestack::kernels!(each);
}
