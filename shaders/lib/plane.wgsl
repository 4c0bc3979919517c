// Samples of a plane: unsigned 8 bit, unsigned 16 bit or f32, packed little-endian into words; a row is padded so
// that 4 pixels always stand in whole words.

// How samples are stored.
const STORE_U8: u32 = 0u;
const STORE_U16: u32 = 1u;
const STORE_F32: u32 = 2u;

// The word that holds sample `k`.
fn sample_word(store: u32, k: u32) -> u32 {
    return k >> (2u - store);
}

// Sample `k` of a plane, in plane units, from the word that holds it.
fn sample_level(store: u32, word: u32, k: u32) -> f32 {
    // Of a float the 32 bits are the sample; of an integer, 8 << store of them.
    let unused = 24u - 8u * store;
    let lowest = (k & (3u >> store)) << (3u + store);
    let integer = (word >> lowest) & (0xffffffffu >> unused);
    return select(f32(integer), bitcast<f32>(word), store == STORE_F32);
}

// 32 bits that start at bit `shift` (0, 8, 16 or 24) of two neighbouring words.
fn join(low: u32, high: u32, shift: u32) -> u32 {
    return (low >> shift) | ((high << (31u - shift)) << 1u);
}

fn unpack8(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
}

fn unpack16(a: u32, b: u32) -> vec4<u32> {
    return vec4<u32>(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u);
}

fn pack8(v: vec4<u32>) -> u32 {
    return v.x | (v.y << 8u) | (v.z << 16u) | (v.w << 24u);
}

fn pack16(v: vec4<u32>) -> vec2<u32> {
    return v.xz | (v.yw << vec2<u32>(16u));
}
