// accumulate: warps one calibrated plane under the frame's pose and applies the rules to their stacks, in place.
// One thread, one pixel of all stacks.
//
// | binding | buffer    | shape                            | unit                                  |
// |---------|-----------|----------------------------------|---------------------------------------|
// | 1       | plane     | u8, u16 or f32 [height][stride]  | plane units: levels / unit            |
// | 2       | coverage  | u16 [rows][stride]               | frames before this one                |
// | 3..8    | state0..5 | f32 [rows][stride]               | levels                                |
//
// i = unit * (bilinear value of the plane at H x) + pedestal where the frame covers the pixel, else 0; then each
// state becomes what its rule makes of (s, i), or i with the first frame. Rules: shaders/rules, joined by the host
// to `apply_rule`.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    store: u32,
    slots: u32,
    unit: f32,
    n: f32,
    white: f32,
    pedestal: f32,
    op0: u32,
    op1: u32,
    op2: u32,
    op3: u32,
    op4: u32,
    op5: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
    pose: Pose,
}

// Compiled in (see Kernel::CHOICES); the values here are those of 8-bit colour frames with a dark.
override store: u32 = 1u;
override slots: u32 = 1u;
override op0: u32 = 5u;
override op1: u32 = 0u;
override op2: u32 = 0u;
override op3: u32 = 0u;
override op4: u32 = 0u;
override op5: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> plane: array<u32>;
@group(0) @binding(2) var<storage, read> coverage: array<u32>;
@group(0) @binding(3) var<storage, read_write> state0: array<f32>;
@group(0) @binding(4) var<storage, read_write> state1: array<f32>;
@group(0) @binding(5) var<storage, read_write> state2: array<f32>;
@group(0) @binding(6) var<storage, read_write> state3: array<f32>;
@group(0) @binding(7) var<storage, read_write> state4: array<f32>;
@group(0) @binding(8) var<storage, read_write> state5: array<f32>;

fn tap(k: u32) -> f32 {
    return sample_level(store, plane[sample_word(store, k)], k);
}

// Bilinear value in plane units; taps of weight 0 may lie outside and are clamped.
fn bilinear(at: Hit) -> f32 {
    let right = min(at.u + 1u, p.pose.frame_width - 1u);
    let upper = at.v * p.stride;
    let lower = min(at.v + 1u, p.pose.frame_height - 1u) * p.stride;
    let a = tap(upper + at.u);
    let b = tap(upper + right);
    let c = tap(lower + at.u);
    let d = tap(lower + right);
    let top = a + at.fu * (b - a);
    let bottom = c + at.fu * (d - c);
    return top + at.fv * (bottom - top);
}

fn update(rule: u32, s: f32, i: f32, seen: f32) -> f32 {
    return select(apply_rule(rule, s, i, seen, p.n, p.white), i, p.n <= 1.0);
}

@compute @workgroup_size(64, 4)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= p.width || id.y >= p.rows {
        return;
    }
    let k = id.y * p.stride + id.x;
    let y = p.row0 + id.y;
    let base = pose_base(p.pose, i32(id.x), i32(y));
    let at = pose_covered(p.pose, base, f32(id.x), f32(y));
    // Without a branch: nearly all pixels are covered. Where one is not, what is read in its place is not used.
    let count = f32((coverage[k >> 1u] >> ((k & 1u) * 16u)) & 0xffffu);
    let i = select(0.0, bilinear(at) * p.unit + p.pedestal, at.seen);
    let seen = select(0.0, 1.0 + count, at.seen);
    if slots > 0u {
        state0[k] = update(op0, state0[k], i, seen);
    }
    if slots > 1u {
        state1[k] = update(op1, state1[k], i, seen);
    }
    if slots > 2u {
        state2[k] = update(op2, state2[k], i, seen);
    }
    if slots > 3u {
        state3[k] = update(op3, state3[k], i, seen);
    }
    if slots > 4u {
        state4[k] = update(op4, state4[k], i, seen);
    }
    if slots > 5u {
        state5[k] = update(op5, state5[k], i, seen);
    }
}
