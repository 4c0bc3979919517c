//! Promise: what WGSL and Rust both state (names, layouts, constants) is the same, and every shader keeps the budget
//! of the smallest GPU. Each check is also run on a shader with a planted mistake, and must find it.
//! `LIVESTACK_DUMP_WGSL=DIR` writes the joined modules there, one for each set of choices, for a shader compiler's
//! statistics.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod constants;

use constants::{LOCAL, known};
use livestack::backend::caps::pi_limits;
use livestack::kernels;
use livestack::kernels::cases::Probe;
use livestack::kernels::layout::word;
use livestack::kernels::{Field, Kernel, Kind, Read, Shared};
use livestack::rules::Method;
use naga::{AddressSpace, Expression, Literal, Module, ScalarKind, StorageAccess, TypeInner};
use std::collections::BTreeMap;

/// What Rust says of a kernel.
struct Subject {
    name: &'static str,
    entry: &'static str,
    reads: &'static [Read],
    writes: &'static [&'static str],
    choices: &'static [&'static str],
    params: &'static [Field],
    params_bytes: usize,
    wgsl: String,
}

fn subject<K: Kernel>() -> Subject {
    Subject {
        name: K::NAME,
        entry: K::ENTRY,
        reads: K::READS,
        writes: K::WRITES,
        choices: K::CHOICES,
        params: K::Params::FIELDS,
        params_bytes: size_of::<K::Params>(),
        wgsl: K::wgsl(),
    }
}

fn subjects() -> Vec<Subject> {
    macro_rules! all {
        ($($k:ty),*) => { vec![$(subject::<$k>()),*] };
    }
    kernels!(all)
}

/// A promise about a module.
type Check = fn(&Subject, &Module) -> Result<(), String>;

const CHECKS: &[Check] =
    &[entry, bindings, storage_count, layouts, workgroup_memory, constants, choices, locals];

fn module(subject: &Subject) -> Result<Module, String> {
    let text = &subject.wgsl;
    let fail = |e: String| format!("{}: {e}", subject.name);
    let module = naga::front::wgsl::parse_str(text).map_err(|e| fail(e.emit_to_string(text)))?;
    // No capability: no subgroups, no f16, no 64-bit types, no float atomics.
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    validator.validate(&module).map_err(|e| fail(e.emit_to_string(text)))?;
    Ok(module)
}

fn ensure(ok: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    ok.then_some(()).ok_or_else(what)
}

/// One entry point, of the kernel's name, within the limits on workgroups.
fn entry(s: &Subject, m: &Module) -> Result<(), String> {
    let names: Vec<_> = m.entry_points.iter().map(|e| e.name.as_str()).collect();
    ensure(names == [s.entry], || format!("{}: entry points {names:?}, not {}", s.name, s.entry))?;
    let limits = pi_limits();
    for e in &m.entry_points {
        let [x, y, z] = e.workgroup_size;
        let fits = x * y * z <= limits.max_compute_invocations_per_workgroup
            && z <= limits.max_compute_workgroup_size_z;
        ensure(fits, || format!("{}: workgroup of {x} x {y} x {z}", s.name))?;
    }
    Ok(())
}

/// Parameters, reads and writes in order, with their names and access.
fn bindings(s: &Subject, m: &Module) -> Result<(), String> {
    let mut found: Vec<_> = m
        .global_variables
        .iter()
        .filter_map(|(_, v)| {
            let b = v.binding.as_ref()?;
            Some((b.group, b.binding, v.name.clone().unwrap_or_default(), v.space))
        })
        .collect();
    found.sort_by_key(|b| (b.0, b.1));
    let read = |&(name, _): &Read| (name.to_owned(), AddressSpace::Storage { access: StorageAccess::LOAD });
    let both = StorageAccess::LOAD | StorageAccess::STORE;
    let write = |name: &&str| ((*name).to_owned(), AddressSpace::Storage { access: both });
    let expected: Vec<_> = std::iter::once(("p".to_owned(), AddressSpace::Uniform))
        .chain(s.reads.iter().map(read))
        .chain(s.writes.iter().map(write))
        .zip(0..)
        .map(|((name, space), binding)| (0, binding, name, space))
        .collect();
    ensure(found == expected, || format!("{}: bindings {found:?}, not {expected:?}", s.name))
}

fn storage_count(s: &Subject, m: &Module) -> Result<(), String> {
    let stored = |v: &naga::GlobalVariable| matches!(v.space, AddressSpace::Storage { .. });
    let storage = m.global_variables.iter().filter(|(_, v)| stored(v)).count();
    let most = pi_limits().max_storage_buffers_per_shader_stage as usize;
    ensure(storage <= most, || format!("{}: {storage} storage buffers, {most} bind at once", s.name))
}

/// The shared structs by their WGSL name, besides `Params`.
fn records() -> Vec<(&'static str, &'static [Field], usize)> {
    fn of<T: Shared>(name: &'static str) -> (&'static str, &'static [Field], usize) {
        (name, T::FIELDS, size_of::<T>())
    }
    vec![
        of::<kernels::accumulate::Pose>("Pose"),
        of::<kernels::sample::Patch>("Patch"),
        of::<kernels::tiles::Tile>("Tile"),
        of::<kernels::measure::Place>("Place"),
        of::<kernels::measure::Moments>("Moments"),
    ]
}

/// Every struct that a buffer holds has the members of its Rust twin: names, types, offsets, size.
fn layouts(s: &Subject, m: &Module) -> Result<(), String> {
    let mut held: Vec<_> = m
        .global_variables
        .iter()
        .filter(|(_, v)| v.binding.is_some())
        .map(|(_, v)| match m.types[v.ty].inner {
            TypeInner::Array { base, .. } => base,
            _ => v.ty,
        })
        .filter(|&t| matches!(m.types[t].inner, TypeInner::Struct { .. }))
        .collect();
    let mut seen = 0;
    while let Some(handle) = held.pop() {
        let ty = &m.types[handle];
        let TypeInner::Struct { members, span } = &ty.inner else { continue };
        let name = ty.name.as_deref().unwrap_or_default();
        let (fields, bytes) = match records().into_iter().find(|r| r.0 == name) {
            Some((_, fields, bytes)) => (fields, bytes),
            None => {
                ensure(name == "Params", || format!("{}: struct {name} is unknown to Rust", s.name))?;
                seen += 1;
                (s.params, s.params_bytes)
            }
        };
        let rust: Vec<_> = fields
            .iter()
            .flat_map(|f| f.spelled_out().map(|(name, offset)| (name, offset, f.bytes, f.kind)))
            .collect();
        let wgsl: Vec<_> = members
            .iter()
            .map(|f| {
                let inner = &m.types[f.ty].inner;
                (
                    f.name.clone().unwrap_or_default(),
                    f.offset as usize,
                    inner.size(m.to_ctx()) as usize,
                    kind(inner),
                )
            })
            .collect();
        let same = rust.len() == wgsl.len()
            && rust.iter().zip(&wgsl).all(|(r, w)| {
                // A record of two floats may be a vec2 in WGSL.
                (&r.0, r.1, r.2) == (&w.0, w.1, w.2)
                    && (r.3 == w.3 || (r.3, w.3) == (Kind::Record, Kind::F32))
            });
        ensure(same, || format!("{}: {name} is {wgsl:?} in WGSL, {rust:?} in Rust", s.name))?;
        ensure(*span as usize == bytes, || format!("{}: {name} has {span} bytes, not {bytes}", s.name))?;
        held.extend(
            members.iter().map(|f| f.ty).filter(|&t| matches!(m.types[t].inner, TypeInner::Struct { .. })),
        );
    }
    ensure(seen == 1, || format!("{}: {seen} structs Params", s.name))
}

fn kind(inner: &TypeInner) -> Kind {
    match inner.scalar_kind() {
        Some(ScalarKind::Uint) => Kind::U32,
        Some(ScalarKind::Sint) => Kind::I32,
        Some(ScalarKind::Float) => Kind::F32,
        _ => Kind::Record,
    }
}

fn workgroup_memory(s: &Subject, m: &Module) -> Result<(), String> {
    let shared = m.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, v)| m.types[v.ty].inner.size(m.to_ctx())).sum();
    let most = pi_limits().max_compute_workgroup_storage_size;
    ensure(bytes <= most, || format!("{}: {bytes} bytes of workgroup memory, {most} fit", s.name))
}

/// The numbers of a constant expression.
fn numbers(m: &Module, e: naga::Handle<Expression>) -> Vec<f64> {
    match &m.global_expressions[e] {
        Expression::Literal(Literal::F32(v)) => vec![f64::from(*v)],
        Expression::Literal(Literal::U32(v)) => vec![f64::from(*v)],
        Expression::Literal(Literal::I32(v)) => vec![f64::from(*v)],
        Expression::Compose { components, .. } => components.iter().flat_map(|&c| numbers(m, c)).collect(),
        _ => Vec::new(),
    }
}

fn constants(s: &Subject, m: &Module) -> Result<(), String> {
    for (_, c) in m.constants.iter() {
        let Some(name) = c.name.as_deref() else { continue };
        let wgsl = numbers(m, c.init);
        if name == "THREADS" {
            let threads: u32 = m.entry_points[0].workgroup_size.iter().product();
            ensure(wgsl == [f64::from(threads)], || format!("{}: THREADS {wgsl:?}, not {threads}", s.name))?;
        }
        match known().into_iter().find(|(k, n, _)| (*k == "*" || *k == s.name) && *n == name) {
            Some((_, _, rust)) => {
                ensure(wgsl == rust, || format!("{}: {name} is {wgsl:?} in WGSL, {rust:?} in Rust", s.name))?;
            }
            None => ensure(LOCAL.contains(&name), || {
                format!("{}: constant {name}: is it also in Rust? Enter it in this test", s.name)
            })?,
        }
    }
    Ok(())
}

/// What the shader is compiled for are the choices that Rust names, all of them words of the parameters.
fn choices(s: &Subject, m: &Module) -> Result<(), String> {
    let found: Vec<_> = m.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
    ensure(found == s.choices, || format!("{}: overrides {found:?}, not {:?}", s.name, s.choices))?;
    let words: Vec<String> = s
        .params
        .iter()
        .filter(|f| f.kind == Kind::U32)
        .flat_map(|f| f.spelled_out().map(|(name, _)| name))
        .collect();
    let stray = found.iter().find(|n| !words.iter().any(|w| w == *n));
    ensure(stray.is_none(), || format!("{}: {stray:?} is no word of the parameters", s.name))
}

/// No private array or vector is indexed by a variable: it would live in scratch memory.
fn locals(s: &Subject, m: &Module) -> Result<(), String> {
    let functions = m.functions.iter().map(|(_, f)| f).chain(m.entry_points.iter().map(|e| &e.function));
    for f in functions {
        for (_, e) in f.expressions.iter() {
            let Expression::Access { mut base, .. } = *e else { continue };
            let private = loop {
                match f.expressions[base] {
                    Expression::Access { base: b, .. } | Expression::AccessIndex { base: b, .. } => base = b,
                    Expression::GlobalVariable(_) => break false,
                    _ => break true,
                }
            };
            let name = f.name.as_deref().unwrap_or(s.entry);
            ensure(!private, || format!("{}: {name} indexes a private value by a variable", s.name))?;
        }
    }
    Ok(())
}

#[test]
fn shaders_and_rust_agree() {
    for s in subjects() {
        let m = module(&s).unwrap();
        for check in CHECKS {
            check(&s, &m).unwrap();
        }
    }
}

#[test]
fn every_known_constant_stands_in_a_shader() {
    let modules: Vec<_> = subjects().into_iter().map(|s| (s.name, module(&s).unwrap())).collect();
    for (kernel, name, _) in known() {
        let there = modules.iter().any(|(n, m)| {
            (kernel == "*" || kernel == *n)
                && m.constants.iter().any(|(_, c)| c.name.as_deref() == Some(name))
        });
        assert!(there, "{kernel}: {name}");
    }
}

/// A planted mistake: kernel, the check that must find it, text and what it is changed into.
#[rustfmt::skip]
const PLANTED: &[(&str, Check, &str, &str)] = &[
    ("gray", entry, "fn gray(", "fn grey("),
    ("gray", entry, "@compute", "@compute @workgroup_size(1) fn more() {}\n@compute"),
    ("histogram", entry, "@workgroup_size(256)", "@workgroup_size(512)"),
    ("gray", bindings, "plane1", "plain1"),
    ("gray", bindings, "@binding(3)", "@binding(5)"),
    ("gray", bindings, "var<storage, read> plane0", "var<storage, read_write> plane0"),
    ("present", storage_count, "const MAX", "
        @group(1) @binding(0) var<storage, read> m0: array<u32>;
        @group(1) @binding(1) var<storage, read> m1: array<u32>;
        @group(1) @binding(2) var<storage, read> m2: array<u32>;
        @group(1) @binding(3) var<storage, read> m3: array<u32>;
        @group(1) @binding(4) var<storage, read> m4: array<u32>;
        const MAX"),
    ("gray", layouts, "stride", "strode"),
    ("gray", layouts, "    width: u32,\n    height: u32,", "    height: u32,\n    width: u32,"),
    ("tiles", layouts, "    pad0: u32,", "    pad0: i32,"),
    ("tiles", layouts, "    pad1: u32,\n", ""),
    ("accumulate", layouts, "    op2: u32,\n    op3: u32,", "    op3: u32,\n    op2: u32,"),
    ("accumulate", layouts, "    fu: f32,\n    fv: f32,\n    p0", "    fv: f32,\n    fu: f32,\n    p0"),
    ("template", layouts, "    sky_x: f32,\n    sky_y: f32,", "    sky_y: f32,\n    sky_x: f32,"),
    ("tiles", layouts, "    grad_x: u32,\n    grad_y: u32,", "    grad_y: u32,\n    grad_x: u32,"),
    ("present", layouts, "    stretch0: vec4<f32>,\n    stretch1", "    stretch1: vec4<f32>,\n    stretch0"),
    ("ecc", workgroup_memory, "array<vec4<f32>, 672>", "array<vec4<f32>, 705>"),
    ("gray", constants, "HOT_RATIO: i32 = 4", "HOT_RATIO: i32 = 5"),
    ("gray", constants, "3735u", "3734u"),
    ("histogram", constants, "THREADS: u32 = 256u", "THREADS: u32 = 128u"),
    ("histogram", constants, "const BINS", "const BASKETS: u32 = 7u;\nconst BINS"),
    ("gray", choices, "override store: u32 = 1u;", "override store: u32 = 1u;\noverride width: u32 = 1u;"),
    ("accumulate", choices, "override op2: u32 = 0u;\noverride op3", "override op3: u32 = 0u;\noverride op2"),
    ("ecc", locals, "@compute", "fn pick(i: u32) -> f32 { var a: array<f32, 4>; return a[i]; }\n@compute"),
];

#[test]
fn planted_mistakes_are_found() {
    for (kernel, check, from, to) in PLANTED {
        let mut s = subjects().into_iter().find(|s| s.name == *kernel).unwrap();
        assert!(s.wgsl.contains(from), "{kernel}: nothing to change: {from}");
        s.wgsl = s.wgsl.replace(from, to);
        let changed = module(&s).unwrap();
        assert!(check(&s, &changed).is_err(), "{kernel}: {from} -> {to} went through");
    }
    let mut s = subjects().swap_remove(0);
    s.wgsl = format!("enable f16;\nfn half(v: f32) -> f16 {{ return f16(v); }}\n{}", s.wgsl);
    assert!(module(&s).is_err(), "what wants a capability, f16, went through");
}

/// Files of `shaders/` whose text is in no module.
fn unused(files: &[(String, String)]) -> Vec<String> {
    let mut modules: Vec<_> = subjects().into_iter().map(|s| s.wgsl).collect();
    modules.push(Method::shader());
    let idle = |text: &str| text.trim().is_empty() || !modules.iter().any(|m| m.contains(text));
    files.iter().filter(|(_, text)| idle(text)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn every_shader_file_is_used() {
    let mut files = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    for folder in ["", "lib", "rules"] {
        for item in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = item.unwrap().path();
            if path.is_file() {
                files.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(files.len() > subjects().len());
    assert_eq!(unused(&files), Vec::<String>::new());
    assert_eq!(unused(&[("planted.wgsl".into(), "fn planted() {}\n".into())]), ["planted.wgsl"]);
}

/// The modules of `K` as they are compiled, one for each set of choices among its cases: what it is, and WGSL without
/// overrides.
fn compiled<K: Probe>() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for case in K::cases(17, 13) {
        let (mut name, mut wgsl) = (K::NAME.to_owned(), K::wgsl());
        for choice in K::CHOICES {
            let value = word(&case.params, choice).unwrap();
            let start = wgsl.find(&format!("override {choice}: u32 = ")).unwrap();
            let end = start + wgsl[start..].find(';').unwrap();
            wgsl.replace_range(start..end, &format!("const {choice}: u32 = {value}u"));
            name += &format!(".{choice}={value}");
        }
        modules.insert(name, wgsl);
    }
    modules
}

#[test]
fn joined_modules_can_be_written_out() {
    let folder = std::env::var_os("LIVESTACK_DUMP_WGSL");
    macro_rules! all {
        ($($k:ty),*) => { [$(compiled::<$k>()),*] };
    }
    for (name, wgsl) in kernels!(all).into_iter().flatten() {
        naga::front::wgsl::parse_str(&wgsl).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&wgsl)));
        let Some(folder) = &folder else { continue };
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(std::path::Path::new(folder).join(format!("{name}.wgsl")), wgsl).unwrap();
    }
}
