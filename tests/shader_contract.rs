//! temp
#[test]
fn all() {
    macro_rules! each { ($($k:ty),*) => { $( one::<$k>(); )* } }
    livestack::kernels!(each);
}
fn one<K: livestack::kernels::Kernel>() {
    let text = K::wgsl();
    let module = match naga::front::wgsl::parse_str(&text) {
        Ok(m) => m,
        Err(e) => panic!("{}: {}", K::NAME, e.emit_to_string(&text)),
    };
    let mut v =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    if let Err(e) = v.validate(&module) {
        panic!("{}: {}", K::NAME, e.emit_to_string(&text))
    }
}
