// Index i of a line of n samples, mirrored about the samples at its ends: colours stay in their places.
fn mirror(i: i32, n: u32) -> u32 {
    let last = i32(n) - 1;
    return u32(clamp(last - abs(last - abs(i)), 0, last));
}
