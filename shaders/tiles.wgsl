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
@group(0) @binding(1) var<storage, read> gray: array<u32>;
@group(0) @binding(2) var<storage, read_write> table: array<Tile>;
@group(0) @binding(3) var<storage, read_write> binned: array<u32>;

const TILE: u32 = 16u;
const BIN: u32 = 4u;
const THREADS: u32 = 64u;

// Record of what each thread, later each half, has seen: (key, sum, grad_x, grad_y).
var<workgroup> part: array<vec4<u32>, 64>;
// Sum of each thread's 4 pixels: thread 4 y + x / 4.
var<workgroup> quads: array<u32, 64>;

fn add(v: vec4<u32>) -> u32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn distance4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return max(a, b) - min(a, b);
}

// Mean of the 4x4 cell (bx, by) of the tile whose first pixel is (x0, y0), 0 if the cell is cut.
fn cell(bx: u32, by: u32, x0: u32, y0: u32) -> u32 {
    let t = by * TILE + bx;
    let sum = (quads[t] + quads[t + BIN]) + (quads[t + 2u * BIN] + quads[t + 3u * BIN]);
    let whole = x0 + (bx + 1u) * BIN <= p.width && y0 + (by + 1u) * BIN <= p.height;
    return select(0u, sum >> 4u, whole);
}

@compute @workgroup_size(64)
fn tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let x0 = group.x * TILE;
    let y0 = (p.row0 + group.y) * TILE;
    let x = x0 + (thread & 3u) * 4u;
    let y = y0 + (thread >> 2u);
    let columns = vec4<u32>(x, x + 1u, x + 2u, x + 3u);
    let none = vec4<u32>();

    var record = none;
    var sum = 0u;
    if x < p.width && y < p.height {
        let i = (y * p.stride + x) >> 1u;
        let below = i + (p.stride >> 1u);
        let inside = columns < vec4<u32>(p.width);
        let here = unpack16(gray[i], gray[i + 1u]);
        let right = vec4<u32>(here.yzw, gray[i + 2u] & 0xffffu);
        let lower = unpack16(gray[below], gray[below + 1u]);
        let place = vec4<u32>((thread >> 2u) * TILE + (thread & 3u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let key = select(none, (here << vec4<u32>(8u)) | (vec4<u32>(255u) - place), inside);
        let across = select(none, distance4(here, right), columns + 1u < vec4<u32>(p.width));
        let down = select(none, distance4(here, lower), inside & vec4<bool>(y + 1u < p.height));
        sum = add(select(none, here, inside));
        record = vec4<u32>(max(max(key.x, key.y), max(key.z, key.w)), sum, add(across), add(down));
    }
    quads[thread] = sum;
    part[thread] = record;
    workgroupBarrier();

    for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
        if thread < half {
            let a = part[thread];
            let b = part[thread + half];
            part[thread] = vec4<u32>(max(a.x, b.x), a.yzw + b.yzw);
        }
        workgroupBarrier();
    }

    if thread == 0u {
        let all = part[0];
        table[group.y * p.tiles_x + group.x] = Tile(all.x, all.y, all.z, all.w);
    }
    // 16 cells, two a word: rows of 2 tiles_x words.
    if thread < 8u {
        let by = thread >> 1u;
        let bx = (thread & 1u) * 2u;
        let word = cell(bx, by, x0, y0) | (cell(bx + 1u, by, x0, y0) << 16u);
        binned[(group.y * BIN + by) * 2u * p.tiles_x + group.x * 2u + (thread & 1u)] = word;
    }
}
