// Where a reference pixel falls in a frame.
//
// A homography, reference px to frame px, split so that f32 loses nothing on large frames: with B = r x + t (exact
// integers) and q = p x, u = B + (e x + f - B q) / (1 + q).

struct Pose {
    r00: i32,
    r01: i32,
    r10: i32,
    r11: i32,
    tu: i32,
    tv: i32,
    frame_width: u32,
    frame_height: u32,
    e00: f32,
    e01: f32,
    e10: f32,
    e11: f32,
    fu: f32,
    fv: f32,
    p0: f32,
    p1: f32,
}

// Offsets from the integer part of the map that are as large as this, px, are outside any frame.
const FAR: f32 = 1048576.0;

// A place in the frame: pixel and fraction; only where `seen`.
struct Hit {
    seen: bool,
    u: u32,
    v: u32,
    fu: f32,
    fv: f32,
}

// The exact integer part of the map at (x, y); from pixel to pixel of a row it grows by (r00, r10).
fn pose_base(pose: Pose, x: i32, y: i32) -> vec2<i32> {
    return vec2<i32>(pose.r00 * x + pose.r01 * y + pose.tu, pose.r10 * x + pose.r11 * y + pose.tv);
}

// Pixel and fraction that (x, y) maps to, if the frame covers it: 0 <= u <= W-1, 0 <= v <= H-1. `base`: its
// pose_base. No branches: they cost the smallest GPUs more than what they skip.
fn pose_covered(pose: Pose, base: vec2<i32>, x: f32, y: f32) -> Hit {
    let q = pose.p0 * x + pose.p1 * y;
    let rest = vec2<f32>(
        pose.e00 * x + (pose.e01 * y + pose.fu) - f32(base.x) * q,
        pose.e10 * x + (pose.e11 * y + pose.fv) - f32(base.y) * q,
    ) / (1.0 + q);
    let near = abs(rest) < vec2<f32>(FAR);
    let whole = floor(rest);
    let fraction = rest - whole;
    let k = base + vec2<i32>(whole);
    let last = vec2<i32>(i32(pose.frame_width) - 1, i32(pose.frame_height) - 1);
    let at_end = (k == last) & (fraction == vec2<f32>());
    let inside = near & (k >= vec2<i32>()) & ((k < last) | at_end);
    return Hit(inside.x & inside.y, u32(k.x), u32(k.y), fraction.x, fraction.y);
}
