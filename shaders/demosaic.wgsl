// demosaic: the three colours of every pixel of a Bayer mosaic. One thread, 2 pixels of the output: four take more
// registers than the smallest GPUs have.
//
// | binding | buffer    | shape                                 | unit   |
// |---------|-----------|---------------------------------------|--------|
// | 1       | mosaic    | f32 [from_height][from_stride]        | levels |
// | 2..4    | plane0..2 | f32 [rows][stride], padding 0         | levels |
//
// bilinear: the mean of the nearest pixels of the colour. mhc: the same, corrected by the gradient of the colour at
// hand; H. S. Malvar, L. He, R. Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color
// images", ICASSP 2004, fig. 2. superpixel: a cell of 2x2 pixels becomes one, its green the mean of two.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    from_width: u32,
    from_height: u32,
    from_stride: u32,
    method: u32,
    pattern: u32,
    pad0: u32,
    pad1: u32,
}

// Compiled in (see Kernel::CHOICES).
override method: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mosaic: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> plane0: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> plane1: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> plane2: array<vec2<f32>>;

const BILINEAR: u32 = 0u;
const SUPERPIXEL: u32 = 2u;

struct Colours {
    r: vec2<f32>,
    g: vec2<f32>,
    b: vec2<f32>,
}

// Two cells, from column x of the output on.
fn cells(x: u32, y: u32) -> Colours {
    let top = (mirror(i32(2u * y), p.from_height) * p.from_stride >> 1u) + x;
    let bottom = (mirror(i32(2u * y + 1u), p.from_height) * p.from_stride >> 1u) + x;
    let t0 = mosaic[top];
    let t1 = mosaic[top + 1u];
    let b0 = mosaic[bottom];
    let b1 = mosaic[bottom + 1u];
    let a = vec2<f32>(t0.x, t1.x);
    let c = vec2<f32>(b0.x, b1.x);
    // Every cell is whole, but for that of a mosaic of one column.
    let b = select(vec2<f32>(t0.y, t1.y), a, p.from_width == 1u);
    let d = select(vec2<f32>(b0.y, b1.y), c, p.from_width == 1u);
    switch p.pattern {
        case 0u: { return Colours(a, (b + c) * 0.5, d); }
        case 1u: { return Colours(b, (a + d) * 0.5, c); }
        case 2u: { return Colours(c, (a + d) * 0.5, b); }
        default: { return Colours(d, (b + c) * 0.5, a); }
    }
}

// Which of the columns that two pixels need lie outside: the pair is the row's first; the last column is the pair's
// first or second or the one after it.
struct Edges {
    start: bool,
    last0: bool,
    last1: bool,
    last2: bool,
}

// Columns x - 2, x - 1; x, x + 1; x + 2, x + 3 of a row.
struct Line {
    a: vec2<f32>,
    b: vec2<f32>,
    c: vec2<f32>,
}

// Row y of the mosaic, mirrored about its ends like columns in `mirror`: whole pairs are read, and those outside
// replaced.
fn line_at(x: u32, y: i32, e: Edges) -> Line {
    let k = (mirror(y, p.from_height) * p.from_stride + x) >> 1u;
    let l = mosaic[k - 1u];
    let m = mosaic[k];
    let r = mosaic[k + 1u];
    let before = select(l, m.xx, e.start);
    let m1 = select(m.y, before.y, e.last0);
    let r0 = select(select(r.x, m.x, e.last1), before.x, e.last0);
    let r1 = select(select(r.y, m1, e.last2), before.y, e.last1);
    return Line(select(l, vec2<f32>(r0, m1), e.start), vec2<f32>(m.x, m1), vec2<f32>(r0, r1));
}

// The sum of the pixels to the left and to the right.
fn beside(l: Line) -> vec2<f32> {
    return vec2<f32>(l.a.y, l.b.x) + vec2<f32>(l.b.y, l.c.x);
}

// Two pixels, from column x on.
fn pixels(x: u32, row: u32) -> Colours {
    let y = i32(row);
    let e = Edges(x == 0u, x + 1u == p.from_width, x + 2u == p.from_width, x + 3u == p.from_width);
    let l = line_at(x, y, e);
    let u = line_at(x, y - 1, e);
    let d = line_at(x, y + 1, e);
    let here = l.b;
    let side = beside(l);
    let upright = u.b + d.b;
    let slanted = beside(u) + beside(d);
    var green: vec2<f32>;
    var across: vec2<f32>;
    var along: vec2<f32>;
    var other: vec2<f32>;
    if method == BILINEAR {
        green = (side + upright) * 0.25;
        across = slanted * 0.25;
        along = side * 0.5;
        other = upright * 0.5;
    } else {
        let side2 = l.a + l.c;
        let upright2 = line_at(x, y - 2, e).b + line_at(x, y + 2, e).b;
        let all2 = side2 + upright2;
        green = (4.0 * here + 2.0 * (side + upright) - all2) * 0.125;
        across = (6.0 * here + 2.0 * slanted - 1.5 * all2) * 0.125;
        along = (5.0 * here + 4.0 * side - slanted - side2 + 0.5 * upright2) * 0.125;
        other = (5.0 * here + 4.0 * upright - slanted - upright2 + 0.5 * side2) * 0.125;
    }
    // A row has green and one other colour: red or blue.
    let red_row = (row & 1u) == (p.pattern >> 1u);
    let first = ((p.pattern & 1u) == 0u) == red_row;
    let own = vec2<bool>(first, !first);
    let its = select(along, here, own);
    let not_its = select(other, across, own);
    return Colours(
        select(not_its, its, red_row),
        select(here, green, own),
        select(its, not_its, red_row),
    );
}

@compute @workgroup_size(64)
fn demosaic(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 2u;
    if x >= p.stride || id.y >= p.rows {
        return;
    }
    let y = p.row0 + id.y;
    var v: Colours;
    if method == SUPERPIXEL {
        v = cells(x, y);
    } else {
        v = pixels(x, y);
    }
    let keep = vec2<u32>(x, x + 1u) < vec2<u32>(p.width);
    let none = vec2<f32>();
    let to = (id.y * p.stride + x) >> 1u;
    plane0[to] = select(none, v.r, keep);
    plane1[to] = select(none, v.g, keep);
    plane2[to] = select(none, v.b, keep);
}
