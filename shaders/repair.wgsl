// repair: hot pixels of a mosaic out, before colours are interpolated from them. One thread, one pixel:
// four at a time take more registers than the smallest GPUs have.
//
// | binding | buffer   | shape                                             | unit   |
// |---------|----------|---------------------------------------------------|--------|
// | 1       | mosaic   | f32 [height][stride]                              | levels |
// | 2       | listed   | u32 [height][words], bit x of a row: pixel is bad | -      |
// | 3       | repaired | f32 [rows][stride], padding 0                     | levels |
//
// A pixel is bad where the list says so, or, without a list (`find`), where it stands out of the six lowest of the 8 pixels of its
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
    pad: u32,
}

// Compiled in (see Kernel::CHOICES).
override find: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mosaic: array<f32>;
@group(0) @binding(2) var<storage, read> listed: array<u32>;
@group(0) @binding(3) var<storage, read_write> repaired: array<f32>;

const HOT_RATIO: f32 = 4.0;
const STAR_SHARE: f32 = 0.1;
// More than any two levels differ by.
const NO_PAIR: f32 = 1e30;

// The least difference of a pair so far and the mean of its pixels.
fn better(best: vec2<f32>, a: f32, b: f32, good: bool) -> vec2<f32> {
    let apart = abs(a - b);
    return select(best, vec2<f32>(apart, (a + b) * 0.5), good && apart < best.x);
}

// Whether pixel (x, y) is good; beside the frame all are. Rows are mirrored.
fn fine(x: i32, y: u32) -> bool {
    let k = u32(clamp(x, 0, i32(p.width) - 1));
    let bad = ((listed[y * p.words + (k >> 5u)] >> (k & 31u)) & 1u) == 1u;
    return !bad || x != i32(k);
}

fn second(a: f32, b: f32, c: f32, d: f32) -> f32 {
    return max(min(max(a, b), max(c, d)), max(min(a, b), min(c, d)));
}

@compute @workgroup_size(64)
fn repair(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= p.stride || id.y >= p.rows {
        return;
    }
    let to = id.y * p.stride + id.x;
    if id.x >= p.width {
        repaired[to] = 0.0;
        return;
    }
    let x = i32(id.x);
    let y = i32(p.row0 + id.y);
    let above = mirror(y - 2, p.height);
    let below = mirror(y + 2, p.height);
    let a = above * p.stride;
    let h = u32(y) * p.stride;
    let b = below * p.stride;
    let here = mosaic[h + id.x];
    if find == 0u && fine(x, u32(y)) {
        repaired[to] = here;
        return;
    }
    let west = mirror(x - 2, p.width);
    let east = mirror(x + 2, p.width);
    let aw = mosaic[a + west];
    let an = mosaic[a + id.x];
    let ae = mosaic[a + east];
    let hw = mosaic[h + west];
    let he = mosaic[h + east];
    let bw = mosaic[b + west];
    let bn = mosaic[b + id.x];
    let be = mosaic[b + east];
    let m = max(max(aw, an), max(ae, hw));
    let n = max(max(he, bw), max(bn, be));
    let highest = max(m, n);
    let next = max(min(m, n), max(second(aw, an, ae, hw), second(he, bw, bn, be)));
    let low = aw + an + ae + hw + he + bw + bn + be - highest - next;
    if find != 0u {
        let u = mirror(y - 1, p.height) * p.stride;
        let d = mirror(y + 1, p.height) * p.stride;
        let left = mirror(x - 1, p.width);
        let right = mirror(x + 1, p.width);
        let out = 6.0 * here - low;
        let direct = mosaic[u + id.x] + mosaic[d + id.x] + mosaic[h + left] + mosaic[h + right];
        let knights = mosaic[a + left] + mosaic[a + right] + mosaic[b + left] + mosaic[b + right]
            + mosaic[u + west] + mosaic[u + east] + mosaic[d + west] + mosaic[d + east];
        if out <= HOT_RATIO * (6.0 * next - low) || 0.75 * (2.0 * direct - knights) >= STAR_SHARE * out {
            repaired[to] = here;
            return;
        }
    }
    let any = find != 0u;
    var best = vec2<f32>(NO_PAIR, low / 6.0);
    best = better(best, hw, he, any || (fine(x - 2, u32(y)) && fine(x + 2, u32(y))));
    best = better(best, an, bn, any || (fine(x, above) && fine(x, below)));
    best = better(best, aw, be, any || (fine(x - 2, above) && fine(x + 2, below)));
    best = better(best, ae, bw, any || (fine(x + 2, above) && fine(x - 2, below)));
    repaired[to] = best.y;
}
