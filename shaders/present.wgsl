// present: the stack as an 8-bit picture. One thread, 4 pixels.
//
// | binding | buffer    | shape                                 | unit          |
// |---------|-----------|---------------------------------------|---------------|
// | 1..3    | stack0..2 | f32 [rows][stride]                    | levels        |
// | 4       | picture   | u8 [rows][stride][channels], padding 0 | 8-bit levels  |
//
// floor(scale s), or with v = scale s / 255: where `coloured`, v no more than 1 and then times the matrix, which takes
// the stack's colours to sRGB; x = (v - shadow) slope in [0, 1]; stretched 1: the midtones transfer function
// (m - 1) x / ((2 m - 1) x - m) of XISF 1.0, 8.5.6; stretched 2: the transfer function of sRGB, IEC 61966-2-1, to 0.01
// of an 8-bit level, in square roots.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    channels: u32,
    stretched: u32,
    coloured: u32,
    scale: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
    // (shadow, slope, midtone, 0) of each plane.
    stretch0: vec4<f32>,
    stretch1: vec4<f32>,
    stretch2: vec4<f32>,
    matrix0: f32,
    matrix1: f32,
    matrix2: f32,
    matrix3: f32,
    matrix4: f32,
    matrix5: f32,
    matrix6: f32,
    matrix7: f32,
    matrix8: f32,
    end0: u32,
    end1: u32,
    end2: u32,
}

// Compiled in (see Kernel::CHOICES); the values here are those of 8-bit colour frames with a dark.
override channels: u32 = 3u;
override stretched: u32 = 1u;
override coloured: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> stack0: array<f32>;
@group(0) @binding(2) var<storage, read> stack1: array<f32>;
@group(0) @binding(3) var<storage, read> stack2: array<f32>;
@group(0) @binding(4) var<storage, read_write> picture: array<u32>;

// Shows values as they are.
const NONE: vec4<f32> = vec4<f32>(0.0, 1.0, 0.5, 0.0);
const MAX: f32 = 255.0;
const GAMMA: u32 = 2u;
// sRGB: the straight part, its end, and the coefficients of x, x^1/2, x^1/4, x^1/8 and 1 beyond.
const STRAIGHT: f32 = 12.92;
const KNEE: f32 = 0.0031308;
const CURVE: vec4<f32> = vec4<f32>(-0.02018751, 0.6539854, 0.68870854, -0.31846878);
const CURVE_END: f32 = -0.004068903;

fn curve(x: vec4<f32>) -> vec4<f32> {
    let a = sqrt(x);
    let b = sqrt(a);
    let c = sqrt(b);
    let bent = CURVE.x * x + CURVE.y * a + CURVE.z * b + CURVE.w * c + CURVE_END;
    return select(bent, STRAIGHT * x, x <= vec4<f32>(KNEE));
}

// The 4 bytes of values v of a plane, packed; those that are not to `keep` are padding.
fn stretch(v: vec4<f32>, how: vec4<f32>, keep: vec4<bool>) -> u32 {
    var x = clamp(v, vec4<f32>(), vec4<f32>(1.0));
    if any(how != NONE) {
        x = clamp((v - how.x) * how.y, vec4<f32>(), vec4<f32>(1.0));
        let m = how.z;
        x = (m - 1.0) * x / ((2.0 * m - 1.0) * x - m);
    }
    if stretched == GAMMA {
        x = curve(x);
    }
    return pack8(select(vec4<u32>(), vec4<u32>(clamp(x * MAX, vec4<f32>(), vec4<f32>(MAX))), keep));
}

// The 4 bytes of a plane's levels s.
fn bytes(s: vec4<f32>, how: vec4<f32>, keep: vec4<bool>) -> u32 {
    let shown = s * p.scale;
    if stretched == 0u {
        return pack8(select(vec4<u32>(), vec4<u32>(clamp(shown, vec4<f32>(), vec4<f32>(MAX))), keep));
    }
    return stretch(shown / MAX, how, keep);
}

@compute @workgroup_size(64)
fn present(@builtin(global_invocation_id) id: vec3<u32>) {
    // Threads beyond the end compute the last pixels once more, and keep them to themselves: a return here would cost all
    // others a tenth of their instructions.
    let x = min(id.x * 4u, p.stride - 4u);
    let row = min(id.y, p.rows - 1u);
    let mine = x == id.x * 4u && row == id.y;
    let keep = vec4<u32>(x, x + 1u, x + 2u, x + 3u) < vec4<u32>(p.width);
    let k = row * p.stride + x;
    let to = (k >> 2u) * channels;
    let s0 = vec4<f32>(stack0[k], stack0[k + 1u], stack0[k + 2u], stack0[k + 3u]);
    if channels == 1u {
        let four = bytes(s0, p.stretch0, keep);
        if mine {
            picture[to] = four;
        }
        return;
    }
    let s1 = vec4<f32>(stack1[k], stack1[k + 1u], stack1[k + 2u], stack1[k + 3u]);
    let s2 = vec4<f32>(stack2[k], stack2[k + 1u], stack2[k + 2u], stack2[k + 3u]);
    var r: u32;
    var g: u32;
    var b: u32;
    if coloured == 0u {
        r = bytes(s0, p.stretch0, keep);
        g = bytes(s1, p.stretch1, keep);
        b = bytes(s2, p.stretch2, keep);
    } else {
        // What is clipped in the sensor is white.
        let v0 = min(s0 * p.scale / MAX, vec4<f32>(1.0));
        let v1 = min(s1 * p.scale / MAX, vec4<f32>(1.0));
        let v2 = min(s2 * p.scale / MAX, vec4<f32>(1.0));
        r = stretch(p.matrix0 * v0 + p.matrix1 * v1 + p.matrix2 * v2, p.stretch0, keep);
        g = stretch(p.matrix3 * v0 + p.matrix4 * v1 + p.matrix5 * v2, p.stretch1, keep);
        b = stretch(p.matrix6 * v0 + p.matrix7 * v1 + p.matrix8 * v2, p.stretch2, keep);
    }
    let byte = vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
    if mine {
        picture[to] = (r & byte.x) | ((g & byte.x) << 8u) | ((b & byte.x) << 16u) | ((r & byte.y) << 16u);
        picture[to + 1u] = ((g & byte.y) >> 8u) | (b & byte.y) | (r & byte.z) | ((g & byte.z) << 8u);
        picture[to + 2u] = ((b & byte.z) >> 16u) | ((r & byte.w) >> 16u) | ((g & byte.w) >> 8u) | (b & byte.w);
    }
}
