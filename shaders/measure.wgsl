// measure: sums over a small window around each place, from which the host has a star's flux, centroid and second
// moments. A workgroup makes a place, a thread 4 pixels of a row of its window.
//
// | binding | buffer  | shape                | unit                          |
// |---------|---------|----------------------|-------------------------------|
// | 1       | gray    | u16 [height][stride] | gray units                    |
// | 2       | places  | Place [rows]         | see Place                     |
// | 3       | moments | Moments [rows]       | gray units, px                |
//
// With (x, y) the offset of a pixel from the window's centre pixel, I = gray - (sky + sky_x x + sky_y y) and
// (dx, dy) = (x - fx, y - fy): w = exp(-(dx^2 + dy^2) falloff), and a record holds the sums of w I times 1, dx, dy,
// dx^2, dx dy, dy^2; of w; the brightest gray value. Pixels outside the frame weigh nothing.

struct Params {
    row0: u32,
    rows: u32,
    places: u32,
    width: u32,
    height: u32,
    stride: u32,
    pad0: u32,
    pad1: u32,
}

struct Place {
    x: i32,
    y: i32,
    fx: f32,
    fy: f32,
    sky: f32,
    sky_x: f32,
    sky_y: f32,
    falloff: f32,
}

struct Moments {
    flux: f32,
    x: f32,
    y: f32,
    xx: f32,
    xy: f32,
    yy: f32,
    weight: f32,
    peak: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gray: array<u32>;
@group(0) @binding(2) var<storage, read> places: array<Place>;
@group(0) @binding(3) var<storage, read_write> moments: array<Moments>;

const REACH: i32 = 16;
// The place of the brightest value in a record.
const PEAK: u32 = 7u;

// Sums of a record, in the order of Moments; each of 256 threads, then of 32, then of 8, then one. Vectors, since four
// values that stand together are one access.
var<workgroup> part: array<array<vec4<f32>, 64>, 8>;
var<workgroup> some: array<array<vec4<f32>, 8>, 8>;
var<workgroup> few: array<array<vec4<f32>, 2>, 8>;
var<workgroup> all: array<f32, 8>;

fn add(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn most(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

// Eight values of sum s in one: peaks are compared, all others added.
fn together(s: u32, a: vec4<f32>, b: vec4<f32>) -> f32 {
    return select(add(a + b), most(max(a, b)), s == PEAK);
}

@compute @workgroup_size(256)
fn measure(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    // A workgroup a place, no more: see ecc.
    let place = places[group.x];
    let x0 = i32((thread & 7u) * 4u) - REACH;
    let y = i32(thread >> 3u) - REACH;
    let u = place.x + x0;
    let v = place.y + y;
    let columns = vec4<i32>(u, u + 1, u + 2, u + 3);
    // Negative ones are large as unsigned numbers.
    let inside = (vec4<u32>(columns) < vec4<u32>(p.width)) & vec4<bool>(u32(v) < p.height);
    // The word that holds pixel u, also where u < 0: then it is outside, and the next one must still be right.
    let at = v * i32(p.stride) + u;
    let i = at >> 1u;
    let shift = (u32(at) & 1u) * 16u;
    let middle = gray[u32(i + 1)];
    let value = vec4<f32>(unpack16(join(gray[u32(i)], middle, shift), join(middle, gray[u32(i + 2)], shift)));

    let x = vec4<f32>(f32(x0)) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    let dx = x - place.fx;
    let dy = f32(y) - place.fy;
    let w = select(vec4<f32>(), exp(-(dx * dx + dy * dy) * place.falloff), inside);
    let level = w * (value - (place.sky + place.sky_y * f32(y) + place.sky_x * x));
    // Sums along the row, where dy stands still.
    let flux = add(level);
    let along = level * dx;
    let first = add(along);
    let group_of = thread >> 2u;
    let member = thread & 3u;
    part[0][group_of][member] = flux;
    part[1][group_of][member] = first;
    part[2][group_of][member] = flux * dy;
    part[3][group_of][member] = add(along * dx);
    part[4][group_of][member] = first * dy;
    part[5][group_of][member] = flux * dy * dy;
    part[6][group_of][member] = add(w);
    part[PEAK][group_of][member] = most(select(vec4<f32>(), value, inside));
    workgroupBarrier();

    let s = thread >> 5u;
    let m = thread & 31u;
    some[s][m >> 2u][m & 3u] = together(s, part[s][2u * m], part[s][2u * m + 1u]);
    workgroupBarrier();
    if thread < 64u {
        let t = thread >> 3u;
        let n = thread & 7u;
        few[t][n >> 2u][n & 3u] = together(t, some[t][n], vec4<f32>());
    }
    workgroupBarrier();
    if thread < 8u {
        all[thread] = together(thread, few[thread][0], few[thread][1]);
    }
    workgroupBarrier();
    if thread == 0u {
        moments[group.x] = Moments(all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[PEAK]);
    }
}
