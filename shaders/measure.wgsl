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
const THREADS: u32 = 256u;

// Sums of a thread's pixels, later of each half: (1, dx, dy, weight) and (dx^2, dx dy, dy^2, peak).
var<workgroup> first: array<vec4<f32>, 256>;
var<workgroup> second: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn measure(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= p.rows {
        return;
    }
    let place = places[group.x];
    let x0 = i32((thread & 7u) * 4u) - REACH;
    let y = i32(thread >> 3u) - REACH;
    let v = place.y + y;
    let dy = f32(y) - place.fy;
    // Sums along the row, where dy and the part of the sky in y stand still: I, I dx, I dx^2, the weights.
    var sums = vec4<f32>();
    var peak = 0.0;
    if v >= 0 && v < i32(p.height) {
        let row = u32(v) * p.stride;
        let sky = place.sky + place.sky_y * f32(y);
        let down = exp(-(dy * dy) * place.falloff);
        for (var k = 0; k < 4; k++) {
            let x = x0 + k;
            let u = place.x + x;
            if u >= 0 && u < i32(p.width) {
                let at = row + u32(u);
                let value = f32((gray[at >> 1u] >> ((at & 1u) * 16u)) & 0xffffu);
                let dx = f32(x) - place.fx;
                let w = exp(-(dx * dx) * place.falloff);
                let i = w * (value - (sky + place.sky_x * f32(x)));
                sums += vec4<f32>(i, i * dx, i * dx * dx, w);
                peak = max(peak, value);
            }
        }
        sums *= down;
    }
    first[thread] = vec4<f32>(sums.x, sums.y, sums.x * dy, sums.w);
    second[thread] = vec4<f32>(sums.z, sums.y * dy, sums.x * dy * dy, peak);
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
        if thread < half {
            first[thread] += first[thread + half];
            let c = second[thread];
            let d = second[thread + half];
            second[thread] = vec4<f32>(c.xyz + d.xyz, max(c.w, d.w));
        }
        workgroupBarrier();
    }
    if thread == 0u {
        let s = first[0];
        let q = second[0];
        moments[group.x] = Moments(s.x, s.y, s.z, q.x, q.y, q.z, s.w, q.w);
    }
}
