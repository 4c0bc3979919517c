// histogram: counts and maximum of a stack plane, a record for each strip of 64 rows. A workgroup makes a strip.
//
// | binding | buffer  | shape                  | unit                                       |
// |---------|---------|------------------------|--------------------------------------------|
// | 1       | stack   | f32 [64 rows][stride]  | levels; the last strip may be cut          |
// | 2       | records | u32 [rows][1088]       | pixels; 1024: maximum as ordered key; 0    |
//
// Bin (level - low) * bins_per_level, values outside in the first or last; with deviation 1 the level is
// |level - centre|. The key of a float sorts as an unsigned integer like the float itself.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    height: u32,
    stride: u32,
    step: u32,
    low: f32,
    bins_per_level: f32,
    centre: f32,
    deviation: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> stack: array<f32>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;

const BINS: u32 = 1024u;
const STRIP: u32 = 64u;
const RECORD: u32 = 1088u;
const THREADS: u32 = 256u;

var<workgroup> counts: array<atomic<u32>, 1024>;
var<workgroup> highest: atomic<u32>;

fn ordered(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

@compute @workgroup_size(256)
fn histogram(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    for (var k = thread; k < BINS; k += THREADS) {
        atomicStore(&counts[k], 0u);
    }
    if thread == 0u {
        atomicStore(&highest, 0u);
    }
    workgroupBarrier();

    // Rows of pixels count from the band's first strip.
    let first = group.x * STRIP;
    let end = min(first + STRIP, p.height - p.row0 * STRIP);
    var most = 0u;
    for (var y = first; y < end; y += p.step) {
        for (var x = thread; x < p.width; x += THREADS) {
            let v = stack[y * p.stride + x];
            let level = select(v, abs(v - p.centre), p.deviation == 1u);
            let bin = clamp((level - p.low) * p.bins_per_level, 0.0, f32(BINS - 1u));
            atomicAdd(&counts[u32(bin)], 1u);
            most = max(most, ordered(v));
        }
    }
    atomicMax(&highest, most);
    workgroupBarrier();

    let to = group.x * RECORD;
    for (var k = thread; k < BINS; k += THREADS) {
        records[to + k] = atomicLoad(&counts[k]);
    }
    for (var k = BINS + thread; k < RECORD; k += THREADS) {
        records[to + k] = select(0u, atomicLoad(&highest), k == BINS);
    }
}
