//! The livestack program.
fn main() {}
