// calibrate: unpacks the native samples, takes the black level and the master dark off and divides by the master flat,
// one plane a colour; a mosaic stays one plane. One thread, 4 pixels that come out.
//
// | binding | buffer      | shape                                                        | unit            |
// |---------|-------------|--------------------------------------------------------------|-----------------|
// | 1       | raw         | u8, u16 or f32 [rows][width][channels], rows without padding | samples         |
// | 2..4    | dark0..2    | u16 (fixed) or f32 [rows][stride], with a flat f32 pairs     | levels << shift |
// | 5..7    | plane0..2   | u8, u16 or f32 [rows][stride], padding 0                     | levels << shift |
//
// copy: i. fixed: i' = i << shift; i' > m ? i' - m : i', exact in 16 bits. guarded and signed, with l = i - black:
// (l > m ? l - m : l) gain or (l - m) gain; black and gain are those of the pixel's place in a 2x2 cell, or the gain of
// its colour. With a flat each sample of the dark is followed by 1 / flat, which the gain is multiplied by. A dark that
// is not there reads as 0. NaN and infinity (dead pixels of float files) become 0.
//
// bin 2: the mean of the four calibrated samples of each 2x2 cell, planes of [rows][out_stride]; an odd last column or
// row is dropped. 8-bit samples without a dark come out as their sum in u16, all others in f32 as levels.

struct Params {
    row0: u32,
    rows: u32,
    width: u32,
    stride: u32,
    height: u32,
    channels: u32,
    input: u32,
    mode: u32,
    shift: u32,
    flat: u32,
    bin: u32,
    out_stride: u32,
    black0: f32,
    black1: f32,
    black2: f32,
    black3: f32,
    gain0: f32,
    gain1: f32,
    gain2: f32,
    gain3: f32,
}

// Compiled in (see Kernel::CHOICES); the values here are those of 8-bit colour frames with a dark.
override channels: u32 = 3u;
override input: u32 = 0u;
override mode: u32 = 1u;
override flat: u32 = 0u;
override bin: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read> dark0: array<u32>;
@group(0) @binding(3) var<storage, read> dark1: array<u32>;
@group(0) @binding(4) var<storage, read> dark2: array<u32>;
@group(0) @binding(5) var<storage, read_write> plane0: array<u32>;
@group(0) @binding(6) var<storage, read_write> plane1: array<u32>;
@group(0) @binding(7) var<storage, read_write> plane2: array<u32>;

const MODE_COPY: u32 = 0u;
const MODE_FIXED: u32 = 1u;
const MODE_GUARDED: u32 = 2u;
const EXPONENT: u32 = 0x7f800000u;
// Exponent of 1/4 as an f32 stores it.
const QUARTER: u32 = 125u;

// Words i .. i + 3 of the dark of colour c.
fn dark(c: u32, i: u32) -> vec4<u32> {
    switch c {
        case 0u: { return vec4<u32>(dark0[i], dark0[i + 1u], dark0[i + 2u], dark0[i + 3u]); }
        case 1u: { return vec4<u32>(dark1[i], dark1[i + 1u], dark1[i + 2u], dark1[i + 3u]); }
        default: { return vec4<u32>(dark2[i], dark2[i + 1u], dark2[i + 2u], dark2[i + 3u]); }
    }
}

// Word i of the plane of colour c.
fn put(c: u32, i: u32, word: u32) {
    switch c {
        case 0u: { plane0[i] = word; }
        case 1u: { plane1[i] = word; }
        default: { plane2[i] = word; }
    }
}

// Writes the 4 samples v from sample k on of the plane of colour c.
fn put_samples(c: u32, store: u32, k: u32, v: vec4<u32>) {
    let i = sample_word(store, k);
    let halves = pack16(v);
    if store == STORE_U8 {
        put(c, i, pack8(v));
        return;
    }
    let wide = store == STORE_F32;
    put(c, i, select(halves.x, v.x, wide));
    put(c, i + 1u, select(halves.y, v.y, wide));
    if wide {
        put(c, i + 2u, v.z);
        put(c, i + 3u, v.w);
    }
}

struct Cell {
    black: vec4<f32>,
    gain: vec4<f32>,
}

// Black level and gain of 4 pixels, the first in an even column, of colour c in an even or odd row.
fn cell_of(c: u32, odd: bool) -> Cell {
    if channels == 1u {
        let black = select(vec2<f32>(p.black0, p.black1), vec2<f32>(p.black2, p.black3), odd);
        let gain = select(vec2<f32>(p.gain0, p.gain1), vec2<f32>(p.gain2, p.gain3), odd);
        return Cell(black.xyxy, gain.xyxy);
    }
    let gain = select(select(p.gain2, p.gain1, c == 1u), p.gain0, c == 0u);
    return Cell(vec4<f32>(p.black0), vec4<f32>(gain));
}

// The 4 samples q (integers, or the bits of floats) of colour c at sample k of the dark, calibrated; `odd` rows of the
// frame have the cell's second row.
fn calibrated(c: u32, k: u32, odd: bool, q: vec4<u32>) -> vec4<u32> {
    if mode == MODE_COPY {
        return q;
    }
    if mode == MODE_FIXED {
        let i = (q << vec4<u32>(p.shift)) & vec4<u32>(0xffffu);
        let words = dark(c, k >> 1u);
        let m = unpack16(words.x, words.y);
        return select(i, i - m, i > m);
    }
    let cell = cell_of(c, odd);
    let l = select(vec4<f32>(q), bitcast<vec4<f32>>(q), input == STORE_F32) - cell.black;
    var m: vec4<f32>;
    var gain = cell.gain;
    if flat == 0u {
        m = bitcast<vec4<f32>>(dark(c, k));
    } else {
        let a = bitcast<vec4<f32>>(dark(c, 2u * k));
        let b = bitcast<vec4<f32>>(dark(c, 2u * k + 4u));
        m = vec4<f32>(a.xz, b.xz);
        gain *= vec4<f32>(a.yw, b.yw);
    }
    let off = vec4<bool>(mode != MODE_GUARDED) | (l > m);
    return bitcast<vec4<u32>>(select(l, l - m, off) * gain);
}

// How calibrated samples are stored.
fn own_store() -> u32 {
    if mode == MODE_COPY {
        return input;
    }
    return select(STORE_F32, STORE_U16, mode == MODE_FIXED);
}

// Writes the 4 calibrated samples v from sample k on of colour c; those that are not to `keep` are padding.
fn finish(c: u32, k: u32, v: vec4<u32>, keep: vec4<bool>) {
    put_samples(c, own_store(), k, select(vec4<u32>(), v, keep));
}

// What two pixels side by side come to, of the 4 samples v.
fn pair(v: vec4<u32>) -> vec2<u32> {
    if own_store() == STORE_F32 {
        let f = bitcast<vec4<f32>>(v);
        return bitcast<vec2<u32>>(f.xz + f.yw);
    }
    return v.xz + v.yw;
}

// What a pair and the one below it come to.
fn added(up: vec2<u32>, low: vec2<u32>) -> vec2<u32> {
    if own_store() == STORE_F32 {
        return bitcast<vec2<u32>>(bitcast<vec2<f32>>(up) + bitcast<vec2<f32>>(low));
    }
    return up + low;
}

// Writes the means of 2 cells from the even sample k on of colour c, of which `sum` is what their samples come to.
fn finish_cells(c: u32, k: u32, sum: vec2<u32>, keep: vec2<bool>) {
    if own_store() == STORE_U8 {
        let v = select(vec2<u32>(), sum, keep);
        put(c, k >> 1u, v.x | (v.y << 16u));
        return;
    }
    var level = bitcast<vec2<f32>>(sum) * 0.25;
    if own_store() == STORE_U16 {
        // A quarter of a level's unit is a power of two, made of its exponent: devices divide inexactly.
        let shift = select(0u, p.shift, mode == MODE_FIXED);
        level = vec2<f32>(sum) * bitcast<f32>((QUARTER - shift) << 23u);
    }
    let v = select(vec2<u32>(), bitcast<vec2<u32>>(level), keep);
    put(c, k, v.x);
    put(c, k + 1u, v.y);
}

fn finite(bits: vec4<u32>) -> vec4<u32> {
    return select(bits, vec4<u32>(), (bits & vec4<u32>(EXPONENT)) == vec4<u32>(EXPONENT));
}

fn raw4(i: u32) -> vec4<u32> {
    return vec4<u32>(raw[i], raw[i + 1u], raw[i + 2u], raw[i + 3u]);
}

// One colour: the 4 samples from sample s on.
fn mono(s: u32) -> vec4<u32> {
    if input == STORE_U8 {
        let i = s >> 2u;
        return unpack8(join(raw[i], raw[i + 1u], (s & 3u) * 8u));
    } else if input == STORE_U16 {
        let i = s >> 1u;
        let shift = (s & 1u) * 16u;
        let w = vec3<u32>(raw[i], raw[i + 1u], raw[i + 2u]);
        return unpack16(join(w.x, w.y, shift), join(w.y, w.z, shift));
    }
    return finite(raw4(s));
}

struct Colours {
    r: vec4<u32>,
    g: vec4<u32>,
    b: vec4<u32>,
}

// Three colours: the 12 interleaved samples from sample s on, as whole words that `join` has aligned.
fn colours(s: u32) -> Colours {
    if input == STORE_U8 {
        let i = s >> 2u;
        let shift = (s & 3u) * 8u;
        let w = raw4(i);
        let a = unpack8(join(w.x, w.y, shift));
        let b = unpack8(join(w.y, w.z, shift));
        let c = unpack8(join(w.z, w.w, shift));
        return Colours(vec4(a.x, a.w, b.z, c.y), vec4(a.y, b.x, b.w, c.z), vec4(a.z, b.y, c.x, c.w));
    }
    if input == STORE_U16 {
        let i = s >> 1u;
        let shift = (s & 1u) * 16u;
        let w = raw4(i);
        let v = vec3<u32>(raw[i + 4u], raw[i + 5u], raw[i + 6u]);
        let a = unpack16(join(w.x, w.y, shift), join(w.y, w.z, shift));
        let b = unpack16(join(w.z, w.w, shift), join(w.w, v.x, shift));
        let c = unpack16(join(v.x, v.y, shift), join(v.y, v.z, shift));
        return Colours(vec4(a.x, a.w, b.z, c.y), vec4(a.y, b.x, b.w, c.z), vec4(a.z, b.y, c.x, c.w));
    }
    let a = finite(raw4(s));
    let b = finite(raw4(s + 4u));
    let c = finite(raw4(s + 8u));
    return Colours(vec4(a.x, a.w, b.z, c.y), vec4(a.y, b.x, b.w, c.z), vec4(a.z, b.y, c.x, c.w));
}

// What 2 cells come to, a colour each.
struct Pairs {
    r: vec2<u32>,
    g: vec2<u32>,
    b: vec2<u32>,
}

// Of the 4 pixels from sample s and sample k of the dark on, in an even or odd row.
fn pairs(s: u32, k: u32, odd: bool) -> Pairs {
    let q = colours(s);
    return Pairs(
        pair(calibrated(0u, k, odd, q.r)), pair(calibrated(1u, k, odd, q.g)), pair(calibrated(2u, k, odd, q.b)));
}

// 4 cells from column x on of row y of what comes out: 8 pixels of two rows of the frame, 4 at a time in loops that are not
// unrolled, since the smallest GPUs have few registers.
fn cells(x: u32, y: u32) {
    for (var half = x; half < x + 4u; half += 2u) {
        let k = y * p.out_stride + half;
        let keep = 2u * vec2<u32>(half, half + 1u) + 1u < vec2<u32>(p.width);
        var sum: Pairs;
        for (var line = 2u * y; line < 2u * y + 2u; line += 1u) {
            let at = line * p.stride + 2u * half;
            let s = (line * p.width + 2u * half) * channels;
            let odd = (line & 1u) == 1u;
            if channels == 1u {
                sum.r = added(sum.r, pair(calibrated(0u, at, odd, mono(s))));
            } else {
                let v = pairs(s, at, odd);
                sum = Pairs(added(sum.r, v.r), added(sum.g, v.g), added(sum.b, v.b));
            }
        }
        finish_cells(0u, k, sum.r, keep);
        if channels == 3u {
            finish_cells(1u, k, sum.g, keep);
            finish_cells(2u, k, sum.b, keep);
        }
    }
}

@compute @workgroup_size(64)
fn calibrate(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    if x >= p.out_stride || id.y >= p.rows {
        return;
    }
    if bin == 2u {
        cells(x, id.y);
        return;
    }
    let s = (id.y * p.width + x) * channels;
    let k = id.y * p.stride + x;
    let odd = ((p.row0 + id.y) & 1u) == 1u;
    let keep = vec4<u32>(x, x + 1u, x + 2u, x + 3u) < vec4<u32>(p.width);
    if channels == 1u {
        finish(0u, k, calibrated(0u, k, odd, mono(s)), keep);
        return;
    }
    let rgb = colours(s);
    finish(0u, k, calibrated(0u, k, odd, rgb.r), keep);
    finish(1u, k, calibrated(1u, k, odd, rgb.g), keep);
    finish(2u, k, calibrated(2u, k, odd, rgb.b), keep);
}
