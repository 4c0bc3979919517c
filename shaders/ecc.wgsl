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
// from the patch's centre, w = exp(-(x^2 + y^2) window) the weight of every term. First half of a record: the sums of
// [gx gx, gx gy, gy gy] times 1, x, y, x^2, xy, y^2, and 6 zeros. Second half: of g, g I, g T times 1, x, y each; of I,
// I^2, T, T^2, I T; the sum of w. Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, eq. 13 to 19.
//
// All threads sample; then three teams of 64 make 14 sums each by the same code, 4 pixels of a row a thread: the smallest
// GPUs spill from 32 sums a thread. In a row y is constant, so that only moments of x are summed.

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

// Words of a record; of its half; sums, which are all of a record but the zeros; those of a team.
const RECORD: u32 = 48u;
const HALF: u32 = 24u;
const SUMS: u32 = 42u;
const SHARE: u32 = 14u;
// Threads that make the same sums, and such teams.
const TEAM: u32 = 64u;
const TEAMS: u32 = 3u;
const THREADS: u32 = 256u;

// (gx, gy, I, T) of each pixel and 1, all times the square root of its weight: products of two weigh as they must.
var<workgroup> pixels: array<vec4<f32>, 256>;
var<workgroup> ones: array<f32, 256>;
// Sum s of thread m of team t, at TEAM (TEAMS s + t) + m. Vectors: four values that stand together are one access.
var<workgroup> part: array<vec4<f32>, 672>;

fn add(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

// Sums of the pixels 4 m .. 4 m + 3, of which the first is at (x0, y), by thread m of a team. Of teams 0, 1 and 2: gx gx,
// gx gy or gy gy; g times 1, I or T; I and 1, I I and I T, or T T and T.
fn sum_row(team: u32, m: u32, x0: f32, y: f32) {
    var square = vec3<f32>();
    var first = vec2<f32>();
    var across = vec2<f32>();
    var values = vec2<f32>();
    for (var k = 0u; k < 4u; k++) {
        let x = x0 + f32(k);
        let v = pixels[m * 4u + k];
        let one = ones[m * 4u + k];
        let gg = select(v.y, v.x, team < 2u) * select(v.y, v.x, team < 1u);
        square += vec3<f32>(gg, gg * x, gg * x * x);
        let factor = select(select(v.w, v.z, team == 1u), one, team == 0u);
        let g = v.xy * factor;
        first += g;
        across += g * x;
        values += factor * vec2<f32>(select(v.z, v.w, team == 2u), select(one, v.w, team == 1u));
    }
    let to = team * (TEAM / 4u) + (m >> 2u);
    let each = TEAMS * (TEAM / 4u);
    let c = m & 3u;
    part[to][c] = square.x;
    part[to + each][c] = square.y;
    part[to + 2u * each][c] = square.x * y;
    part[to + 3u * each][c] = square.z;
    part[to + 4u * each][c] = square.y * y;
    part[to + 5u * each][c] = square.x * y * y;
    part[to + 6u * each][c] = first.x;
    part[to + 7u * each][c] = first.y;
    part[to + 8u * each][c] = across.x;
    part[to + 9u * each][c] = across.y;
    part[to + 10u * each][c] = first.x * y;
    part[to + 11u * each][c] = first.y * y;
    part[to + 12u * each][c] = values.x;
    part[to + 13u * each][c] = values.y;
}

// The word of a record that is sum k: sum k / 3 of team k % 3.
fn word_of(k: u32) -> u32 {
    let s = k / TEAMS;
    let team = k - s * TEAMS;
    let far = team + (team >> 1u);
    let value = select(RECORD - 1u - far, SUMS + far, s == SHARE - 2u);
    let vector = HALF + 6u * team + s - 6u;
    return select(select(value, vector, s < SHARE - 2u), k, s < 6u);
}

@compute @workgroup_size(256)
fn ecc(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= p.rows {
        return;
    }
    let to = group.x * RECORD;
    let place = patches[group.x];
    if place.inside == 0u {
        if thread < RECORD {
            sums[to + thread] = 0.0;
        }
        return;
    }

    let x = f32(i32(thread % PATCH) - CENTRE);
    let y = f32(i32(thread / PATCH) - CENTRE);
    let s = sample(place, x, y);
    // The window: stars are small, the rest of a patch is noise.
    let root = exp(-0.5 * (x * x + y * y) * p.window);
    ones[thread] = root;
    pixels[thread] = vec4<f32>(s.yz, s.x, template_px[group.x * AREA + thread]) * root;
    workgroupBarrier();

    if thread < TEAMS * TEAM {
        let m = thread % TEAM;
        sum_row(thread / TEAM, m, f32(i32((m & 3u) * 4u) - CENTRE), f32(i32(m >> 2u) - CENTRE));
    }
    workgroupBarrier();

    // Of 64 values of each sum 16, then 4, then one.
    for (var k = thread; k < SUMS * 16u; k += THREADS) {
        pixels[k >> 2u][k & 3u] = add(part[k]);
    }
    workgroupBarrier();
    if thread < SUMS * 4u {
        part[thread >> 2u][thread & 3u] = add(pixels[thread]);
    }
    workgroupBarrier();
    if thread < SUMS {
        sums[to + word_of(thread)] = add(part[thread]);
    } else if thread < RECORD {
        sums[to + HALF + thread - RECORD] = 0.0;
    }
}
