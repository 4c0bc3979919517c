//! What is measured of a kernel: its usual calls on whole frames.

use crate::common::Size;
use livestack::kernels::{Kernel, PlaneFormat, Store, stride};

/// Makes what a buffer holds, when it is wanted.
pub(crate) type Source = Box<dyn Fn() -> Vec<u32>>;

/// One call of kernel `K`.
pub(crate) struct Call<K: Kernel> {
    /// What is special about it.
    pub(crate) name: String,
    /// The parameters.
    pub(crate) params: K::Params,
    /// What it reads.
    pub(crate) reads: Vec<Option<Source>>,
    /// The first so many of its outputs are used.
    pub(crate) writes: usize,
}

/// A kernel that is measured. Choices are matched without a wildcard where they are enumerations, or come from their
/// table: a new one cannot be left out by mistake.
pub(crate) trait Calls: Kernel + Sized {
    /// Its calls on frames of `size`.
    fn calls(size: Size) -> Vec<Call<Self>>;
}

/// A word of noise, of the bits of `mask`. Source: Steele, Lea, Flood, `SplitMix64`, OOPSLA 2014.
fn noise(k: usize, mask: u32) -> u32 {
    let mut z = (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z >> 20) as u32 & mask
}

/// A number in [0, 1) from the same noise.
pub(crate) fn unit(k: usize) -> f32 {
    noise(k, 0xffff) as f32 / 65536.0
}

/// A dark sky in `store`: bytes of 8 to 23, 16-bit levels of 1024 to 1279, floats of 400 to 463.
fn sky(store: Store, k: usize) -> u32 {
    match store {
        Store::U8 => noise(k, 0x0f0f_0f0f) + 0x0808_0808,
        Store::U16 => noise(k, 0x00ff_00ff) | 0x0400_0400,
        Store::F32 => (400.0 + noise(k, 63) as f32).to_bits(),
    }
}

/// `samples` of a dark sky, packed.
pub(crate) fn packed(store: Store, samples: usize) -> Option<Source> {
    let words = samples.div_ceil([4, 2, 1][store as usize]);
    Some(Box::new(move || (0..words).map(|k| sky(store, k)).collect()))
}

/// A plane of it.
pub(crate) fn plane(store: Store, (w, h): Size) -> Option<Source> {
    let words = PlaneFormat { store, unit: 1.0 }.words(stride(w), h);
    Some(Box::new(move || (0..words).map(|k| sky(store, k)).collect()))
}
