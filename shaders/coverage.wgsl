// coverage: counts, for each reference pixel, the frames that cover it. One thread, 4 pixels.
//
// | binding | buffer | shape                        | unit                        |
// |---------|--------|------------------------------|-----------------------------|
// | 1       | counts | u16 [rows][stride]           | frames, saturating at 65535 |
//
// Covered: 0 <= u <= W-1 and 0 <= v <= H-1 with (u, v) = H x.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
    pose: Pose,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> counts: array<vec2<u32>>;

const MOST: u32 = 65535u;

// 1 where pixel (x, y), whose pose_base is `base`, is covered; 0 in the padding.
fn seen(base: vec2<i32>, x: u32, y: f32) -> u32 {
    return select(0u, 1u, pose_covered(p.pose, base, f32(x), y).seen & (x < p.width));
}

@compute @workgroup_size(64, 4)
fn coverage(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    if x >= p.stride || id.y >= p.rows {
        return;
    }
    let row = p.row0 + id.y;
    let y = f32(row);
    let step = vec2<i32>(p.pose.r00, p.pose.r10);
    let base = pose_base(p.pose, i32(x), i32(row));
    let i = (id.y * p.stride + x) >> 2u;
    let words = counts[i];
    let before = unpack16(words.x, words.y);
    let add = vec4<u32>(
        seen(base, x, y),
        seen(base + step, x + 1u, y),
        seen(base + step + step, x + 2u, y),
        seen(base + step + step + step, x + 3u, y),
    );
    counts[i] = pack16(min(before + add, vec4<u32>(MOST)));
}
