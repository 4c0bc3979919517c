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
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

const MOST: u32 = 65535u;

// The count of pixel (x, y) with this frame in it; padding stays as it is.
fn count(before: u32, x: u32, y: u32) -> u32 {
    let seen = x < p.width && pose_covered(p.pose, i32(x), i32(y)).seen;
    return min(before + select(0u, 1u, seen), MOST);
}

@compute @workgroup_size(64, 4)
fn coverage(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    if x >= p.stride || id.y >= p.rows {
        return;
    }
    let y = p.row0 + id.y;
    let i = (id.y * p.stride + x) >> 1u;
    for (var k = 0u; k < 2u; k++) {
        let word = counts[i + k];
        let low = count(word & MOST, x + 2u * k, y);
        let high = count(word >> 16u, x + 2u * k + 1u, y);
        counts[i + k] = low | (high << 16u);
    }
}
