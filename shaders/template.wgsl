// template: the pixels of the reference's patches, smoothed and less their background: what ECC matches. A
// workgroup makes a patch, a thread a pixel.
//
// | binding | buffer      | shape                | unit       |
// |---------|-------------|----------------------|------------|
// | 1       | gray        | u16 [height][stride] | gray units |
// | 2       | patches     | Patch [rows]         | see Patch  |
// | 3       | template_px | f32 [rows][16][16]   | gray units |
//
// The cubic B-spline of lib/sample.wgsl; patches that are not inside the plane become 0.

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
@group(0) @binding(3) var<storage, read_write> template_px: array<f32>;

@compute @workgroup_size(256)
fn cut_template(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) pixel: u32) {
    // A workgroup a patch, no more: see ecc.
    let place = patches[group.x];
    var value = 0.0;
    if place.inside != 0u {
        let dx = i32(pixel % PATCH) - CENTRE;
        let dy = i32(pixel / PATCH) - CENTRE;
        value = sample(place, f32(dx), f32(dy)).x;
    }
    template_px[group.x * AREA + pixel] = value;
}
