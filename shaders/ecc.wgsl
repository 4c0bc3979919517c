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

// Words of a record; those before the zeros, and before its second half; sums: all words but the zeros.
const RECORD: u32 = 48u;
const ZEROS: u32 = 18u;
const HALF: u32 = 24u;
const SUMS: u32 = 42u;
// Threads that make the same sums, the vectors that hold one sum of each, and such teams.
const TEAM: u32 = 64u;
const FOURS: u32 = 16u;
const TEAMS: u32 = 3u;

// (gx, gy, I, T) of each pixel and 1, all times the square root of its weight: products of two weigh as they must.
// Four of a row stand together.
var<workgroup> pixels: array<array<vec4<f32>, 4>, 64>;
var<workgroup> ones: array<vec4<f32>, 64>;
// Sum s of thread m of its team at TEAM s + m. Vectors: four values that stand together are one access.
var<workgroup> part: array<vec4<f32>, 672>;

fn add(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

// Sums of the pixels 4 m .. 4 m + 3, of which the first is at (x0, y), by thread m of a team. Of teams 0, 1 and 2: gx gx,
// gx gy or gy gy; g times 1, I or T; 1 and I T, I and I I, or T and T T.
fn sum_row(team: u32, m: u32, x0: f32, y: f32) {
    var square = vec3<f32>();
    var first = vec2<f32>();
    var across = vec2<f32>();
    var values = vec2<f32>();
    let roots = ones[m];
    for (var k = 0u; k < 4u; k++) {
        let x = x0 + f32(k);
        let v = pixels[m][k];
        let one = select(select(roots.x, roots.y, k == 1u), select(roots.z, roots.w, k == 3u), k > 1u);
        let gg = select(v.y, v.x, team < 2u) * select(v.y, v.x, team < 1u);
        square += vec3<f32>(gg, gg * x, gg * x * x);
        let factor = select(select(v.w, v.z, team == 1u), one, team == 0u);
        let g = v.xy * factor;
        first += g;
        across += g * x;
        values += vec2<f32>(factor * one, select(factor * factor, v.z * v.w, team == 0u));
    }
    // Sums stand in the order of a record without its zeros.
    let q = m >> 2u;
    let c = m & 3u;
    let each = TEAMS * FOURS;
    let to = team * FOURS + q;
    part[to][c] = square.x;
    part[to + each][c] = square.y;
    part[to + 2u * each][c] = square.x * y;
    part[to + 3u * each][c] = square.z;
    part[to + 4u * each][c] = square.y * y;
    part[to + 5u * each][c] = square.x * y * y;
    let vectors = (ZEROS + 6u * team) * FOURS + q;
    part[vectors][c] = first.x;
    part[vectors + FOURS][c] = first.y;
    part[vectors + 2u * FOURS][c] = across.x;
    part[vectors + 3u * FOURS][c] = across.y;
    part[vectors + 4u * FOURS][c] = first.x * y;
    part[vectors + 5u * FOURS][c] = first.y * y;
    // 1, I, T; I T, I I, T T.
    let plain = select((SUMS - 8u + 2u * team) * FOURS, (SUMS - 1u) * FOURS, team == 0u) + q;
    part[plain][c] = values.x;
    part[select(plain + FOURS, plain - FOURS, team == 0u)][c] = values.y;
}

@compute @workgroup_size(256)
fn ecc(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    // A workgroup a patch, no more: a return would cost all that follows a tenth of its instructions.
    let place = patches[group.x];
    let x = f32(i32(thread % PATCH) - CENTRE);
    let y = f32(i32(thread / PATCH) - CENTRE);
    let s = sample(place, x, y);
    // The window: stars are small, the rest of a patch is noise.
    let root = exp(-0.5 * (x * x + y * y) * p.window);
    let quad = thread >> 2u;
    let member = thread & 3u;
    ones[quad][member] = root;
    pixels[quad][member] = vec4<f32>(s.yz, s.x, template_px[group.x * AREA + thread]) * root;
    workgroupBarrier();

    if thread < TEAMS * TEAM {
        let m = thread % TEAM;
        sum_row(thread / TEAM, m, f32(i32((m & 3u) * 4u) - CENTRE), f32(i32(m >> 2u) - CENTRE));
    }
    workgroupBarrier();

    // Of 64 values of each sum 4, then one.
    if thread < 4u * SUMS {
        let four = (part[4u * thread] + part[4u * thread + 1u]) + (part[4u * thread + 2u] + part[4u * thread + 3u]);
        pixels[thread >> 4u][quad & 3u][member] = add(four);
    }
    workgroupBarrier();
    if thread < RECORD {
        let zero = thread >= SUMS;
        let word = select(select(thread, thread + HALF - ZEROS, thread >= ZEROS), thread - HALF, zero);
        let sum = add(pixels[thread >> 2u][member]);
        sums[group.x * RECORD + word] = select(sum, 0.0, zero || place.inside == 0u);
    }
}
