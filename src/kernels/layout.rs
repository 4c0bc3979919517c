//! The layout of the structs that Rust and WGSL share, as the contract test compares it.

use bytemuck::Pod;

/// What a member of a shared struct holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned words.
    U32,
    /// Signed words.
    I32,
    /// Floats.
    F32,
    /// Another shared struct.
    Record,
}

/// A member of a shared struct. WGSL spells an array out as `name0, name1, ...`: the elements of an array in a
/// uniform would each take 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset: usize,
    /// Bytes of one element.
    pub bytes: usize,
    /// Elements: 1 unless it is an array.
    pub count: usize,
    /// What it holds.
    pub kind: Kind,
}

impl Field {
    /// The names that WGSL spells it out as, each with its offset in bytes.
    pub fn spelled_out(&self) -> impl Iterator<Item = (String, usize)> {
        let field = *self;
        (0..field.count).map(move |k| {
            let name = if field.count == 1 { field.name.to_owned() } else { format!("{}{k}", field.name) };
            (name, field.offset + k * field.bytes)
        })
    }
}

/// Where in `T` the word stands that WGSL calls `name`, words from its start.
#[must_use]
pub fn place<T: Shared>(name: &str) -> Option<usize> {
    let (_, offset) = T::FIELDS.iter().flat_map(Field::spelled_out).find(|(n, _)| n == name)?;
    Some(offset / size_of::<u32>())
}

/// The word of `shared` that WGSL calls `name`.
#[must_use]
pub fn word<T: Shared>(shared: &T, name: &str) -> Option<u32> {
    let words: &[u32] = bytemuck::cast_slice(std::slice::from_ref(shared));
    words.get(place::<T>(name)?).copied()
}

/// A type that a shared struct may hold.
pub trait Member {
    /// What one element holds.
    const KIND: Kind;
    /// Elements.
    const COUNT: usize = 1;
}

impl Member for u32 {
    const KIND: Kind = Kind::U32;
}
impl Member for i32 {
    const KIND: Kind = Kind::I32;
}
impl Member for f32 {
    const KIND: Kind = Kind::F32;
}
impl<T: Member, const N: usize> Member for [T; N] {
    const KIND: Kind = T::KIND;
    const COUNT: usize = N * T::COUNT;
}

/// A struct that Rust and WGSL share. Implemented by `shared!`, which does not compile if a member is left out.
pub trait Shared: Pod + Member {
    /// Its members, in order.
    const FIELDS: &'static [Field];
}

/// The [`Field`] of struct `S` that `get` returns.
#[must_use]
pub const fn field<S, T: Member>(name: &'static str, offset: usize, get: fn(&S) -> &T) -> Field {
    let _ = get;
    Field { name, offset, bytes: size_of::<T>() / T::COUNT, count: T::COUNT, kind: T::KIND }
}

/// Implements [`Shared`] for a `#[repr(C)]` struct, all of whose members are named.
macro_rules! shared {
    ($t:ident { $($field:ident),* $(,)? }) => {
        impl $crate::kernels::Member for $t {
            const KIND: $crate::kernels::Kind = $crate::kernels::Kind::Record;
        }
        impl $crate::kernels::Shared for $t {
            const FIELDS: &'static [$crate::kernels::Field] = &[$($crate::kernels::layout::field::<$t, _>(
                stringify!($field),
                std::mem::offset_of!($t, $field),
                |s| &s.$field,
            )),*];
        }
        // Fails to compile when a member is missing above.
        const _: fn($t) = |$t { $($field: _),* }| ();
    };
}
pub(crate) use shared;
