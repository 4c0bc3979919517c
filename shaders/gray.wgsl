// gray: luminance for alignment, with isolated hot pixels taken out. A workgroup makes 32x32 pixels, a thread 4.
//
// | binding | buffer    | shape                           | unit                             |
// |---------|-----------|---------------------------------|----------------------------------|
// | 1..3    | plane0..2 | u8, u16 or f32 [height][stride] | plane units                      |
// | 4       | gray_px   | u16 [rows][stride], padding 0   | white / SPAN, on PEDESTAL        |
//
// Luminance 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), an exact integer sum for integer planes. A pixel is hot
// when it stands out of its six lowest neighbours HOT_RATIO times as far as its second highest neighbour does; it
// becomes the mean of those six.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    channels: u32,
    store: u32,
    scale: f32,
}

// Compiled in (see Kernel::CHOICES); the values here are those of 8-bit colour frames with a dark.
override channels: u32 = 3u;
override store: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> plane0: array<u32>;
@group(0) @binding(2) var<storage, read> plane1: array<u32>;
@group(0) @binding(3) var<storage, read> plane2: array<u32>;
@group(0) @binding(4) var<storage, read_write> gray_px: array<vec2<u32>>;

const PEDESTAL: u32 = 3277u;
const HOT_RATIO: i32 = 4;
const WEIGHTS: vec3<u32> = vec3<u32>(9798u, 19235u, 3735u);
// Pixels of the workgroup's side; with the halo, quads (4 pixels) of a line and lines.
const SIDE: u32 = 32u;
const QUADS: u32 = 10u;
const LINES: u32 = 34u;
const THREADS: u32 = 256u;

// Luminance of the workgroup's pixels and of one quad or line around them: integers below 2^16, as floats, in which
// all that is done with them (sums below 2^22) is exact and cheaper.
var<workgroup> luminance: array<vec4<f32>, 340>;

fn word(c: u32, i: u32) -> u32 {
    switch c {
        case 0u: { return plane0[i]; }
        case 1u: { return plane1[i]; }
        default: { return plane2[i]; }
    }
}

// The 4 samples of plane c from sample k on: integers, or the bits of floats.
fn quad(c: u32, k: u32) -> vec4<u32> {
    let i = sample_word(store, k);
    let a = word(c, i);
    if store == STORE_U8 {
        return unpack8(a);
    }
    let b = word(c, i + 1u);
    if store == STORE_U16 {
        return unpack16(a, b);
    }
    return vec4<u32>(a, b, word(c, i + 2u), word(c, i + 3u));
}

fn luminance_at(k: u32) -> vec4<f32> {
    let base = f32(PEDESTAL);
    let most = vec4<f32>(65535.0);
    let r = quad(0u, k);
    var g = r;
    var b = r;
    if channels != 1u {
        g = quad(1u, k);
        b = quad(2u, k);
    }
    if store != STORE_F32 {
        let sum = r * WEIGHTS.x + g * WEIGHTS.y + b * WEIGHTS.z;
        return min(floor(vec4<f32>(sum) * p.scale) + base, most);
    }
    let w = vec3<f32>(WEIGHTS);
    let sum = bitcast<vec4<f32>>(r) * w.x + bitcast<vec4<f32>>(g) * w.y + bitcast<vec4<f32>>(b) * w.z;
    return floor(clamp(sum * p.scale, vec4<f32>(-base), most - base) + base);
}

// The two largest of four.
fn highest(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return max(max(a, b), max(c, d));
}

fn second(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return max(min(max(a, b), max(c, d)), max(min(a, b), min(c, d)));
}

// A sixth of a sum of six 16-bit values, to the nearest. The half keeps the product 0.08 away from any integer, its
// error is under 0.02: this is (low + 3) / 6 in integers, exactly.
fn sixth(low: vec4<f32>) -> vec4<f32> {
    return floor((low + 3.5) * (1.0 / 6.0));
}

@compute @workgroup_size(8, 32)
fn gray(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let x0 = group.x * SIDE;
    let y0 = p.row0 + group.y * SIDE;
    for (var k = thread; k < QUADS * LINES; k += THREADS) {
        let line = k / QUADS;
        let x = clamp(i32(x0 + (k - line * QUADS) * 4u) - 4, 0, i32(p.stride) - 4);
        let y = clamp(i32(y0 + line) - 1, 0, i32(p.height) - 1);
        luminance[k] = luminance_at(u32(y) * p.stride + u32(x));
    }
    workgroupBarrier();

    // Threads beyond the end compute the last pixels once more, and keep them to themselves: a return here would cost all
    // others a tenth of their instructions.
    let x = min(x0 + local.x * 4u, p.stride - 4u);
    let row = min(group.y * SIDE + local.y, p.rows - 1u);
    let here = (row - group.y * SIDE + 1u) * QUADS + ((x - x0) >> 2u) + 1u;
    let a1 = luminance[here - QUADS];
    let h1 = luminance[here];
    let b1 = luminance[here + QUADS];
    let a0 = vec4<f32>(luminance[here - QUADS - 1u].w, a1.xyz);
    let h0 = vec4<f32>(luminance[here - 1u].w, h1.xyz);
    let b0 = vec4<f32>(luminance[here + QUADS - 1u].w, b1.xyz);
    let a2 = vec4<f32>(a1.yzw, luminance[here - QUADS + 1u].x);
    let h2 = vec4<f32>(h1.yzw, luminance[here + 1u].x);
    let b2 = vec4<f32>(b1.yzw, luminance[here + QUADS + 1u].x);

    let m = highest(a0, a1, a2, h0);
    let n = highest(h2, b0, b1, b2);
    let m1 = max(m, n);
    let m2 = max(min(m, n), max(second(a0, a1, a2, h0), second(h2, b0, b1, b2)));
    let low = a0 + a1 + a2 + h0 + h2 + b0 + b1 + b2 - m1 - m2;
    let hot = 6.0 * h1 - low > f32(HOT_RATIO) * (6.0 * m2 - low);

    let y = p.row0 + row;
    let columns = vec4<u32>(x, x + 1u, x + 2u, x + 3u);
    let inner = (columns > vec4<u32>(0u)) & (columns + 1u < vec4<u32>(p.width))
        & vec4<bool>(y > 0u && y + 1u < p.height);
    let level = select(h1, sixth(low), hot & inner);
    let words = pack16(select(vec4<u32>(), vec4<u32>(level), columns < vec4<u32>(p.width)));
    if x == x0 + local.x * 4u && row == group.y * SIDE + local.y {
        gray_px[(row * p.stride + x) >> 2u] = words;
    }
}
