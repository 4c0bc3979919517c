// ecc: the sums of one ECC iteration, a record a patch. A workgroup makes a patch.
//
// | binding | buffer      | shape                | unit                                 |
// |---------|-------------|----------------------|--------------------------------------|
// | 1       | gray        | u16 [height][stride] | gray units                           |
// | 2       | patches     | Patch [rows]         | see Patch                            |
// | 3       | template_px | f32 [rows][16][16]   | gray units                           |
// | 4       | sums        | f32 [rows][2][24]    | products of gray units, 1/px, px     |
//
// I: the frame's sample under the current pose, g = (gx, gy) its gradient, T the template's sample, (x, y) offset
// from the patch's centre, w = exp(-(x^2 + y^2) window) the weight of every term. First half of a record: the sums of [gx gx, gx gy, gy gy] times 1, x, y, x^2, xy, y^2,
// and 6 zeros. Second half: of g, g I, g T times 1, x, y each; of I, I^2, T, T^2, I T; the sum of w.
// Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 19. All threads sample; then 64 make the first half and
// 64 the second, 4 pixels of a row each: the smallest GPUs spill from 32 sums a thread, and sampling and summing in
// one loop spills too. In a row y is constant, so that only moments of x are summed.

struct Params {
    row0: u32,
    rows: u32,
    patches: u32,
    stride: u32,
    window: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gray: array<u32>;
@group(0) @binding(2) var<storage, read> patches: array<Patch>;
@group(0) @binding(3) var<storage, read> template_px: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

// Words of half a record, and sums that the first half holds besides its zeros.
const HALF: u32 = 24u;
const HESSIAN: u32 = 18u;
const ALL: u32 = 42u;
const THREADS: u32 = 256u;
// Threads that make half a record, and its logarithm.
const TEAM: u32 = 64u;
const LOG_TEAM: u32 = 6u;

// (I, gx, gy, T) of each pixel.
var<workgroup> pixels: array<vec4<f32>, 256>;
// Sum number s of a team's thread t stands at s * TEAM + t; the second half's sums follow the first's.
var<workgroup> part: array<f32, 2688>;

fn keep(s: u32, thread: u32, v: f32) {
    part[s * TEAM + thread] = v;
}

fn keep2(s: u32, thread: u32, v: vec2<f32>) {
    keep(s, thread, v.x);
    keep(s + 1u, thread, v.y);
}

fn keep3(s: u32, thread: u32, v: vec3<f32>) {
    keep2(s, thread, v.xy);
    keep(s + 2u, thread, v.z);
}

// The window: stars are small, the rest of a patch is noise.
fn weight(x: f32, y: f32) -> f32 {
    return exp(-(x * x + y * y) * p.window);
}

// Moments of g g^T over pixels 4 thread .. 4 thread + 3, of which the first is at (x0, y).
fn hessian(thread: u32, x0: f32, y: f32) {
    var m0 = vec3<f32>();
    var m1 = vec3<f32>();
    var m2 = vec3<f32>();
    for (var k = 0u; k < 4u; k++) {
        let x = x0 + f32(k);
        let s = pixels[thread * 4u + k];
        let gg = vec3<f32>(s.y * s.y, s.y * s.z, s.z * s.z) * weight(x, y);
        m0 += gg;
        m1 += gg * x;
        m2 += gg * (x * x);
    }
    keep3(0u, thread, m0);
    keep3(3u, thread, m1);
    keep3(6u, thread, m0 * y);
    keep3(9u, thread, m2);
    keep3(12u, thread, m1 * y);
    keep3(15u, thread, m0 * (y * y));
}

// Moments of g, g I and g T, and the sums that give means and variances.
fn projections(thread: u32, x0: f32, y: f32) {
    var g0 = vec2<f32>();
    var g1 = vec2<f32>();
    var gi0 = vec2<f32>();
    var gi1 = vec2<f32>();
    var gt0 = vec2<f32>();
    var gt1 = vec2<f32>();
    var values = vec2<f32>();
    var squares = vec3<f32>();
    var weights = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let x = x0 + f32(k);
        let s = pixels[thread * 4u + k];
        let w = weight(x, y);
        let g = s.yz * w;
        g0 += g;
        g1 += g * x;
        gi0 += g * s.x;
        gi1 += g * (s.x * x);
        gt0 += g * s.w;
        gt1 += g * (s.w * x);
        values += s.xw * w;
        squares += vec3<f32>(s.x * s.x, s.w * s.w, s.x * s.w) * w;
        weights += w;
    }
    let first = HESSIAN;
    keep2(first, thread, g0);
    keep2(first + 2u, thread, g1);
    keep2(first + 4u, thread, g0 * y);
    keep2(first + 6u, thread, gi0);
    keep2(first + 8u, thread, gi1);
    keep2(first + 10u, thread, gi0 * y);
    keep2(first + 12u, thread, gt0);
    keep2(first + 14u, thread, gt1);
    keep2(first + 16u, thread, gt0 * y);
    keep(first + 18u, thread, values.x);
    keep(first + 19u, thread, squares.x);
    keep(first + 20u, thread, values.y);
    keep2(first + 21u, thread, squares.yz);
    keep(first + 23u, thread, weights);
}

@compute @workgroup_size(256)
fn ecc(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= p.rows {
        return;
    }
    let to = group.x * 2u * HALF;
    let place = patches[group.x];
    if place.inside == 0u {
        if thread < 2u * HALF {
            sums[to + thread] = 0.0;
        }
        return;
    }

    let dx = f32(i32(thread % PATCH) - CENTRE);
    let dy = f32(i32(thread / PATCH) - CENTRE);
    pixels[thread] = vec4<f32>(sample(place, dx, dy), template_px[group.x * AREA + thread]);
    workgroupBarrier();

    let member = thread % TEAM;
    let x0 = f32(i32((member & 3u) * 4u) - CENTRE);
    let y = f32(i32(member >> 2u) - CENTRE);
    if thread < TEAM {
        hessian(member, x0, y);
    } else if thread < 2u * TEAM {
        projections(member, x0, y);
    }
    workgroupBarrier();

    // The tree: each step adds the upper half of each sum's row to the lower, all threads at work.
    for (var step = LOG_TEAM; step > 0u; step--) {
        let log_half = step - 1u;
        let half = 1u << log_half;
        for (var k = thread; k < ALL * half; k += THREADS) {
            let i = (k >> log_half) * TEAM + (k & (half - 1u));
            part[i] += part[i + half];
        }
        workgroupBarrier();
    }
    if thread < ALL {
        let pad = select(0u, HALF - HESSIAN, thread >= HESSIAN);
        sums[to + thread + pad] = part[thread * TEAM];
    } else if thread < 2u * HALF {
        sums[to + HESSIAN + thread - ALL] = 0.0;
    }
}
