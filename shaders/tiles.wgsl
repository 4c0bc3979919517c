// tiles: one record for each 16x16 tile of the gray plane, and the plane binned 4x4. A workgroup makes a tile, a
// thread 4 pixels of a row.
//
// | binding | buffer | shape                              | unit                                              |
// |---------|--------|------------------------------------|---------------------------------------------------|
// | 1       | gray   | u16 [height][stride]               | gray units                                        |
// | 2       | table  | Tile [rows][tiles_x]               | see Tile                                          |
// | 3       | binned | u16 [4 rows][4 tiles_x]            | mean gray units, truncated; 0 for cells not whole |

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    tiles_x: u32,
    pad0: u32,
    pad1: u32,
}

// key: brightest pixel << 8 | 255 - its place, 16 y + x; sums of the values and of the absolute differences to the
// right and lower neighbours.
struct Tile {
    key: u32,
    sum: u32,
    grad_x: u32,
    grad_y: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gray: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> table: array<Tile>;
@group(0) @binding(3) var<storage, read_write> binned: array<u32>;

const TILE: u32 = 16u;
const BIN: u32 = 4u;

// Sums of a record, in the order of Tile; each of 64 threads, then of 16 cells of 4x4 pixels, then of 4 columns of cells.
// Vectors, since four values that stand together are one access.
var<workgroup> part: array<array<vec4<u32>, 16>, 4>;
var<workgroup> cells: array<array<vec4<u32>, 4>, 4>;
var<workgroup> lanes: array<vec4<u32>, 4>;

fn add(v: vec4<u32>) -> u32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn most(v: vec4<u32>) -> u32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

// Four values of sum s in one: keys are compared, all others added.
fn together(s: u32, v: vec4<u32>) -> u32 {
    return select(add(v), most(v), s == 0u);
}

fn distance4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return max(a, b) - min(a, b);
}

@compute @workgroup_size(64)
fn tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let x0 = group.x * TILE;
    let y0 = (p.row0 + group.y) * TILE;
    let x = x0 + (thread & 3u) * 4u;
    let y = y0 + (thread >> 2u);
    let columns = vec4<u32>(x, x + 1u, x + 2u, x + 3u);
    let none = vec4<u32>();

    let i = (y * p.stride + x) >> 2u;
    let row = vec4<bool>(y < p.height);
    let inside = (columns < vec4<u32>(p.width)) & row;
    let a = gray[i];
    let b = gray[i + (p.stride >> 2u)];
    let here = unpack16(a.x, a.y);
    let right = vec4<u32>(here.yzw, gray[i + 1u].x & 0xffffu);
    let lower = unpack16(b.x, b.y);
    let place = vec4<u32>(255u - 4u * thread) - vec4<u32>(0u, 1u, 2u, 3u);
    let key = select(none, (here << vec4<u32>(8u)) | place, inside);
    let across = select(none, distance4(here, right), (columns + 1u < vec4<u32>(p.width)) & row);
    let down = select(none, distance4(here, lower), inside & vec4<bool>(y + 1u < p.height));
    // A cell's four rows stand together.
    let cell = (thread >> 4u) * BIN + (thread & 3u);
    let line = (thread >> 2u) & 3u;
    part[0][cell][line] = most(key);
    part[1][cell][line] = add(select(none, here, inside));
    part[2][cell][line] = add(across);
    part[3][cell][line] = add(down);
    workgroupBarrier();

    let s = thread >> 4u;
    cells[s][(thread >> 2u) & 3u][thread & 3u] = together(s, part[s][thread & 15u]);
    workgroupBarrier();

    if thread < 16u {
        lanes[thread >> 2u][thread & 3u] = together(thread >> 2u, cells[thread >> 2u][thread & 3u]);
    }
    // 16 cells, two a word: rows of 2 tiles_x words. Cells that are cut are 0.
    if thread < 8u {
        let by = thread >> 1u;
        let bx = (thread & 1u) * 2u;
        let low = select(0u, cells[1][by][bx] >> 4u, x0 + (bx + 1u) * BIN <= p.width);
        let high = select(0u, cells[1][by][bx + 1u] >> 4u, x0 + (bx + 2u) * BIN <= p.width);
        let word = select(0u, low | (high << 16u), y0 + (by + 1u) * BIN <= p.height);
        binned[(group.y * BIN + by) * 2u * p.tiles_x + group.x * 2u + (thread & 1u)] = word;
    }
    workgroupBarrier();

    if thread == 0u {
        table[group.y * p.tiles_x + group.x] =
            Tile(most(lanes[0]), add(lanes[1]), add(lanes[2]), add(lanes[3]));
    }
}
