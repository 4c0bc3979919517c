// A patch of the gray plane and how it is sampled; shared by template and ecc, which bind `gray` and `p.stride`.
//
// A patch is 16x16 pixels of the template, centred on its pixel (8, 8). The plane (u16, two samples a word) is
// sampled with the cubic B-spline as a smoothing kernel: value and gradient are exact derivatives of one smooth
// function. Taps at -1, 0, 1, 2 px; du = (a dx + b dy) / (1 + g dx + h dy), dv = (c dx + d dy) / (1 + g dx + h dy).

struct Patch {
    u: i32,
    v: i32,
    fu: f32,
    fv: f32,
    a: f32,
    b: f32,
    c: f32,
    d: f32,
    g: f32,
    h: f32,
    sky: f32,
    sky_x: f32,
    sky_y: f32,
    inside: u32,
    pad0: u32,
    pad1: u32,
}

const PATCH: u32 = 16u;
const AREA: u32 = 256u;
const CENTRE: i32 = 8;

// Weights of the taps at fraction f.
fn weights(f: f32) -> vec4<f32> {
    let r = 1.0 - f;
    let f2 = f * f;
    let r2 = r * r;
    return vec4<f32>(
        r2 * r / 6.0,
        f2 * (0.5 * f - 1.0) + 2.0 / 3.0,
        r2 * (0.5 * r - 1.0) + 2.0 / 3.0,
        f2 * f / 6.0,
    );
}

// Their derivatives with respect to f, 1/px.
fn slopes(f: f32) -> vec4<f32> {
    let r = 1.0 - f;
    return vec4<f32>(-0.5 * r * r, f * (1.5 * f - 2.0), r * (2.0 - 1.5 * r), 0.5 * f * f);
}

// Four neighbouring samples from sample k on.
fn taps(k: u32) -> vec4<f32> {
    let i = k >> 1u;
    let shift = (k & 1u) * 16u;
    let middle = gray[i + 1u];
    return vec4<f32>(unpack16(join(gray[i], middle, shift), join(middle, gray[i + 2u], shift)));
}

fn weigh(t: vec4<f32>, w: vec4<f32>) -> f32 {
    return t.x * w.x + t.y * w.y + t.z * w.z + t.w * w.w;
}

// Value less background, and gradient along the plane's x and y (gray units, gray units a px), of the patch at
// (dx, dy) px from its centre.
fn sample(place: Patch, dx: f32, dy: f32) -> vec3<f32> {
    let w = 1.0 / (1.0 + place.g * dx + place.h * dy);
    let x = place.fu + (place.a * dx + place.b * dy) * w;
    let y = place.fv + (place.c * dx + place.d * dy) * w;
    let kx = floor(x);
    let ky = floor(y);
    let wx = weights(x - kx);
    let sx = slopes(x - kx);
    // The weight of the row at hand stands first. The four rows are not unrolled: the smallest GPUs have no room for it.
    var wy = weights(y - ky);
    var sy = slopes(y - ky);
    let first = u32(place.v + i32(ky) - 1) * p.stride + u32(place.u + i32(kx) - 1);
    var sums = vec3<f32>();
    for (var k = first; k != first + 4u * p.stride; k += p.stride) {
        let t = taps(k);
        let smoothed = weigh(t, wx);
        sums += vec3<f32>(smoothed * wy.x, weigh(t, sx) * wy.x, smoothed * sy.x);
        wy = vec4<f32>(wy.yzw, 0.0);
        sy = vec4<f32>(sy.yzw, 0.0);
    }
    let sky = place.sky + place.sky_x * dx + place.sky_y * dy;
    return vec3<f32>(sums.x - sky, sums.yz);
}
