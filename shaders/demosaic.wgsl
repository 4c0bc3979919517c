// demosaic: the three colours of every pixel of a Bayer mosaic. One thread, 4 pixels of the output.
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
@group(0) @binding(1) var<storage, read> mosaic: array<f32>;
@group(0) @binding(2) var<storage, read_write> plane0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> plane1: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> plane2: array<vec4<f32>>;

const BILINEAR: u32 = 0u;
const SUPERPIXEL: u32 = 2u;

struct Colours {
    r: vec4<f32>,
    g: vec4<f32>,
    b: vec4<f32>,
}

// Four cells, from column x of the output on.
fn cells(x: u32, y: u32) -> Colours {
    let top = mirror(i32(2u * y), p.from_height) * p.from_stride;
    let bottom = mirror(i32(2u * y + 1u), p.from_height) * p.from_stride;
    // Two columns to the left of the first are there too, and not needed.
    let near = columns_at(2u * x, p.from_width);
    let far = columns_at(2u * x + 4u, p.from_width);
    let t0 = line_at(near, top);
    let t1 = line_at(far, top);
    let b0 = line_at(near, bottom);
    let b1 = line_at(far, bottom);
    let a = vec4<f32>(t0.a.z, t0.b.x, t1.a.z, t1.b.x);
    let b = vec4<f32>(t0.a.w, t0.b.y, t1.a.w, t1.b.y);
    let c = vec4<f32>(b0.a.z, b0.b.x, b1.a.z, b1.b.x);
    let d = vec4<f32>(b0.a.w, b0.b.y, b1.a.w, b1.b.y);
    switch p.pattern {
        case 0u: { return Colours(a, (b + c) * 0.5, d); }
        case 1u: { return Colours(b, (a + d) * 0.5, c); }
        case 2u: { return Colours(c, (a + d) * 0.5, b); }
        default: { return Colours(d, (b + c) * 0.5, a); }
    }
}

// Four pixels, from column x on.
fn pixels(x: u32, row: u32) -> Colours {
    let y = i32(row);
    let c = columns_at(x, p.from_width);
    let u = line_at(c, mirror(y - 1, p.from_height) * p.from_stride);
    let l = line_at(c, row * p.from_stride);
    let d = line_at(c, mirror(y + 1, p.from_height) * p.from_stride);
    let here = middle(l);
    let side = left(l) + right(l);
    let upright = middle(u) + middle(d);
    let slanted = (left(u) + right(u)) + (left(d) + right(d));
    var green: vec4<f32>;
    var across: vec4<f32>;
    var along: vec4<f32>;
    var other: vec4<f32>;
    if method == BILINEAR {
        green = (side + upright) * 0.25;
        across = slanted * 0.25;
        along = side * 0.5;
        other = upright * 0.5;
    } else {
        let a = line_at(c, mirror(y - 2, p.from_height) * p.from_stride);
        let b = line_at(c, mirror(y + 2, p.from_height) * p.from_stride);
        let side2 = l.a + l.b;
        let upright2 = middle(a) + middle(b);
        let all2 = side2 + upright2;
        green = (4.0 * here + 2.0 * (side + upright) - all2) * 0.125;
        across = (6.0 * here + 2.0 * slanted - 1.5 * all2) * 0.125;
        along = (5.0 * here + 4.0 * side - slanted - side2 + 0.5 * upright2) * 0.125;
        other = (5.0 * here + 4.0 * upright - slanted - upright2 + 0.5 * side2) * 0.125;
    }
    // A row has green and one other colour: red or blue.
    let red_row = (row & 1u) == (p.pattern >> 1u);
    let first = ((p.pattern & 1u) == 0u) == red_row;
    let own = vec4<bool>(first, !first, first, !first);
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
    // Threads beyond the end compute the last pixels once more, and keep them to themselves: a return here would cost all
    // others a tenth of their instructions.
    let x = min(id.x * 4u, p.stride - 4u);
    let row = min(id.y, p.rows - 1u);
    let y = p.row0 + row;
    var v: Colours;
    if method == SUPERPIXEL {
        v = cells(x, y);
    } else {
        v = pixels(x, y);
    }
    let keep = vec4<u32>(x, x + 1u, x + 2u, x + 3u) < vec4<u32>(p.width);
    let none = vec4<f32>();
    let to = (row * p.stride + x) >> 2u;
    if x == id.x * 4u && row == id.y {
        plane0[to] = select(none, v.r, keep);
        plane1[to] = select(none, v.g, keep);
        plane2[to] = select(none, v.b, keep);
    }
}
