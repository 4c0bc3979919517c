//! temp
use livestack::backend::{
    caps,
    cpu::Cpu,
    gpu::{Gpu, Options},
};
use livestack::kernels::cases::*;
fn gpu() -> Gpu {
    Gpu::open(&caps::adapters()[0], Options::default()).unwrap()
}
fn one<K: Probe>(gpu: &mut Gpu) {
    let mut cpu = Cpu::default();
    for (w, h) in [(1, 1), (17, 13), (257, 129)] {
        let t = std::time::Instant::now();
        let (mut worst, mut beyond, mut first) = (0.0_f64, 0, None);
        let cases = K::cases(w, h);
        let n = cases.len();
        for case in cases {
            let a = outputs(&mut cpu, &case).unwrap();
            let b = outputs(gpu, &case).unwrap();
            let d = compare(&case, &a, &b, 0);
            worst = worst.max(d.worst);
            beyond += d.beyond;
            if let Some(f) = d.first {
                if first.is_none() {
                    first = Some((f, case));
                }
            }
        }
        println!(
            "{} {w}x{h} {n} cases {:?}: worst {worst:.3} beyond {beyond} {:?}",
            K::NAME,
            t.elapsed(),
            first.map(|f| f.0)
        );
    }
}
#[test]
fn all() {
    let mut gpu = gpu();
    macro_rules! each { ($($k:ty),*) => { $( one::<$k>(&mut gpu); )* } }
    livestack::kernels!(each);
}
