// present: the stack as an 8-bit picture. One thread, 4 pixels.
//
// | binding | buffer    | shape                                 | unit          |
// |---------|-----------|---------------------------------------|---------------|
// | 1..3    | stack0..2 | f32 [rows][stride]                    | levels        |
// | 4       | picture   | u8 [rows][stride][channels], padding 0 | 8-bit levels  |
//
// floor(scale s), or with v = scale s / 255 in [0, 1] and x = (v - shadow) / (1 - shadow) the midtones transfer
// function (m - 1) x / ((2 m - 1) x - m) of XISF 1.0, 8.5.6.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    channels: u32,
    stretched: u32,
    scale: f32,
    // (shadow, midtone) of each plane.
    stretch0: vec2<f32>,
    stretch1: vec2<f32>,
    stretch2: vec2<f32>,
    pad0: u32,
    pad1: u32,
}

// Compiled in (see Kernel::CHOICES); the values here are those of 8-bit colour frames with a dark.
override channels: u32 = 3u;
override stretched: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> stack0: array<f32>;
@group(0) @binding(2) var<storage, read> stack1: array<f32>;
@group(0) @binding(3) var<storage, read> stack2: array<f32>;
@group(0) @binding(4) var<storage, read_write> picture: array<u32>;

// Shows values as they are.
const NONE: vec2<f32> = vec2<f32>(0.0, 0.5);
const MAX: f32 = 255.0;

// The 4 bytes of a plane's levels s, packed; those that are not to `keep` are padding.
fn bytes(s: vec4<f32>, stretch: vec2<f32>, keep: vec4<bool>) -> u32 {
    let shown = s * p.scale;
    var level = clamp(shown, vec4<f32>(), vec4<f32>(MAX));
    if stretched != 0u {
        var v = clamp(shown / MAX, vec4<f32>(), vec4<f32>(1.0));
        if any(stretch != NONE) {
            let x = clamp((v - stretch.x) / (1.0 - stretch.x), vec4<f32>(), vec4<f32>(1.0));
            let m = stretch.y;
            v = (m - 1.0) * x / ((2.0 * m - 1.0) * x - m);
        }
        level = clamp(v * MAX, vec4<f32>(), vec4<f32>(MAX));
    }
    return pack8(select(vec4<u32>(), vec4<u32>(level), keep));
}

@compute @workgroup_size(64)
fn present(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    if x >= p.stride || id.y >= p.rows {
        return;
    }
    let keep = vec4<u32>(x, x + 1u, x + 2u, x + 3u) < vec4<u32>(p.width);
    let k = id.y * p.stride + x;
    let to = (k >> 2u) * channels;
    let r = bytes(vec4<f32>(stack0[k], stack0[k + 1u], stack0[k + 2u], stack0[k + 3u]), p.stretch0, keep);
    if channels == 1u {
        picture[to] = r;
        return;
    }
    let g = bytes(vec4<f32>(stack1[k], stack1[k + 1u], stack1[k + 2u], stack1[k + 3u]), p.stretch1, keep);
    let b = bytes(vec4<f32>(stack2[k], stack2[k + 1u], stack2[k + 2u], stack2[k + 3u]), p.stretch2, keep);
    let byte = vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
    picture[to] = (r & byte.x) | ((g & byte.x) << 8u) | ((b & byte.x) << 16u) | ((r & byte.y) << 16u);
    picture[to + 1u] = ((g & byte.y) >> 8u) | (b & byte.y) | (r & byte.z) | ((g & byte.z) << 8u);
    picture[to + 2u] = ((b & byte.z) >> 16u) | ((r & byte.w) >> 16u) | ((g & byte.w) >> 8u) | (b & byte.w);
}
