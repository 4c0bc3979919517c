// Four pixels of a mosaic and those up to two columns away; binds `mosaic`, f32 [height][stride].

// Columns x - 2 .. x + 1 and x + 2 .. x + 5 of a row.
struct Line {
    a: vec4<f32>,
    b: vec4<f32>,
}

// The columns that a Line holds, mirrored.
struct Columns {
    a: vec4<u32>,
    b: vec4<u32>,
}

fn columns_at(x: u32, width: u32) -> Columns {
    let i = i32(x);
    return Columns(
        vec4<u32>(mirror(i - 2, width), mirror(i - 1, width), mirror(i, width), mirror(i + 1, width)),
        vec4<u32>(mirror(i + 2, width), mirror(i + 3, width), mirror(i + 4, width), mirror(i + 5, width)),
    );
}

fn line_at(c: Columns, start: u32) -> Line {
    let a = c.a + start;
    let b = c.b + start;
    return Line(
        vec4<f32>(mosaic[a.x], mosaic[a.y], mosaic[a.z], mosaic[a.w]),
        vec4<f32>(mosaic[b.x], mosaic[b.y], mosaic[b.z], mosaic[b.w]),
    );
}

// The pixels one column to the left, in place, and one to the right; two to the left are l.a, two to the right l.b.
fn left(l: Line) -> vec4<f32> {
    return vec4<f32>(l.a.yzw, l.b.x);
}

fn middle(l: Line) -> vec4<f32> {
    return vec4<f32>(l.a.zw, l.b.xy);
}

fn right(l: Line) -> vec4<f32> {
    return vec4<f32>(l.a.w, l.b.xyz);
}
