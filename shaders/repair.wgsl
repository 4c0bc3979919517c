// repair: hot pixels of a mosaic out, before colours are interpolated from them. One thread, 4 pixels.
//
// | binding | buffer   | shape                                             | unit   |
// |---------|----------|---------------------------------------------------|--------|
// | 1       | mosaic   | f32 [height][stride]                              | levels |
// | 2       | listed   | u32 [height][words], bit x of a row: pixel is bad | -      |
// | 3       | repaired | f32 [rows][stride], padding 0                     | levels |
//
// A pixel is bad where the list says so, or (`find`) where it stands out of the six lowest of the 8 pixels of its
// colour two columns or rows away HOT_RATIO times as far as the second highest of them does, and its four direct
// neighbours stand out of the 8 pixels of the same colours a knight's move away by less than STAR_SHARE of that: a star
// shines on its neighbours too. It becomes the mean of that pair of opposite good pixels of its colour that differs
// least.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    words: u32,
    find: u32,
    list: u32,
}

// Compiled in (see Kernel::CHOICES).
override find: u32 = 1u;
override list: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mosaic: array<f32>;
@group(0) @binding(2) var<storage, read> listed: array<u32>;
@group(0) @binding(3) var<storage, read_write> repaired: array<f32>;

const HOT_RATIO: f32 = 4.0;
const STAR_SHARE: f32 = 0.1;
// More than any two levels differ by.
const NO_PAIR: f32 = 1e30;

// What is known of the best pair so far: the difference of its pixels and their mean.
struct Pair {
    apart: vec4<f32>,
    mean: vec4<f32>,
}

fn better(best: Pair, a: vec4<f32>, b: vec4<f32>, good: vec4<bool>) -> Pair {
    let apart = abs(a - b);
    let take = good & (apart < best.apart);
    return Pair(select(best.apart, apart, take), select(best.mean, (a + b) * 0.5, take));
}

// Bits of the list for columns x - 4 .. x + 7 of a row: bit 4 is column x.
fn bits(x: u32, row: u32) -> u32 {
    let at = row * p.words;
    let before = max(x, 4u) - 4u;
    let after = x + 4u;
    let low = (listed[at + (before >> 5u)] >> (before & 31u)) & 0xfu;
    let here = (listed[at + (x >> 5u)] >> (x & 31u)) & 0xfu;
    let next = (listed[at + min(after >> 5u, p.words - 1u)] >> (after & 31u)) & 0xfu;
    return select(0u, low, x > 0u) | (here << 4u) | (select(0u, next, after < p.width) << 8u);
}

// Whether the 4 pixels `shift - 4` columns on are good.
fn fine(b: u32, shift: u32) -> vec4<bool> {
    return ((vec4<u32>(b >> shift) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) == vec4<u32>();
}

fn second(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return max(min(max(a, b), max(c, d)), max(min(a, b), min(c, d)));
}

@compute @workgroup_size(64)
fn repair(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    if x >= p.stride || id.y >= p.rows {
        return;
    }
    let y = i32(p.row0 + id.y);
    let c = columns_at(x, p.width);
    let above = mirror(y - 2, p.height);
    let below = mirror(y + 2, p.height);
    let a = line_at(c, above * p.stride);
    let h = line_at(c, u32(y) * p.stride);
    let b = line_at(c, below * p.stride);
    let here = middle(h);
    let an = middle(a);
    let bn = middle(b);
    let m = max(max(a.a, an), max(a.b, h.a));
    let n = max(max(h.b, b.a), max(bn, b.b));
    let highest = max(m, n);
    let next = max(min(m, n), max(second(a.a, an, a.b, h.a), second(h.b, b.a, bn, b.b)));
    let low = a.a + an + a.b + h.a + h.b + b.a + bn + b.b - highest - next;

    var bad = vec4<bool>();
    if find != 0u {
        let u = line_at(c, mirror(y - 1, p.height) * p.stride);
        let d = line_at(c, mirror(y + 1, p.height) * p.stride);
        let out = 6.0 * here - low;
        let direct = middle(u) + middle(d) + left(h) + right(h);
        let knights = left(a) + right(a) + left(b) + right(b) + u.a + u.b + d.a + d.b;
        bad = (out > HOT_RATIO * (6.0 * next - low)) & (0.75 * (2.0 * direct - knights) < STAR_SHARE * out);
    }
    // Of the rows above, here and below.
    var r0 = 0u;
    var r1 = 0u;
    var r2 = 0u;
    if list != 0u {
        r0 = bits(x, above);
        r1 = bits(x, u32(y));
        r2 = bits(x, below);
        bad = bad | !fine(r1, 4u);
    }
    var level = here;
    if any(bad) {
        var best = Pair(vec4<f32>(NO_PAIR), low / 6.0);
        best = better(best, h.a, h.b, fine(r1, 2u) & fine(r1, 6u));
        best = better(best, an, bn, fine(r0, 4u) & fine(r2, 4u));
        best = better(best, a.a, b.b, fine(r0, 2u) & fine(r2, 6u));
        best = better(best, a.b, b.a, fine(r0, 6u) & fine(r2, 2u));
        level = select(here, best.mean, bad);
    }
    let keep = vec4<u32>(x, x + 1u, x + 2u, x + 3u) < vec4<u32>(p.width);
    level = select(vec4<f32>(), level, keep);
    let to = id.y * p.stride + x;
    repaired[to] = level.x;
    repaired[to + 1u] = level.y;
    repaired[to + 2u] = level.z;
    repaired[to + 3u] = level.w;
}
