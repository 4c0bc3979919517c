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

fn pose_inside(k: i32, f: f32, last: i32) -> bool {
    return k >= 0 && (k < last || (k == last && f == 0.0));
}

// Pixel and fraction that (x, y) maps to, if the frame covers it: 0 <= u <= W-1, 0 <= v <= H-1.
fn pose_covered(pose: Pose, x: i32, y: i32) -> Hit {
    let bu = pose.r00 * x + pose.r01 * y + pose.tu;
    let bv = pose.r10 * x + pose.r11 * y + pose.tv;
    let fx = f32(x);
    let fy = f32(y);
    let q = pose.p0 * fx + pose.p1 * fy;
    let w = 1.0 + q;
    let du = (pose.e00 * fx + (pose.e01 * fy + pose.fu) - f32(bu) * q) / w;
    let dv = (pose.e10 * fx + (pose.e11 * fy + pose.fv) - f32(bv) * q) / w;
    if !(abs(du) < FAR && abs(dv) < FAR) {
        return Hit(false, 0u, 0u, 0.0, 0.0);
    }
    let ku = floor(du);
    let kv = floor(dv);
    let u = bu + i32(ku);
    let v = bv + i32(kv);
    let fu = du - ku;
    let fv = dv - kv;
    let inside = pose_inside(u, fu, i32(pose.frame_width) - 1) && pose_inside(v, fv, i32(pose.frame_height) - 1);
    return Hit(inside, u32(u), u32(v), fu, fv);
}
