//! The median and the kappa-sigma mean of columns: one sample of every frame. Neighbouring columns are worked on at
//! the same time, one in each lane of the vector registers.

use super::levels::Black;
use rayon::prelude::*;

/// Kappa of the kappa-sigma mean, standard deviations.
const KAPPA: f64 = 3.0;
/// Columns that a thread takes at a time: their results fill 16 kB.
const TASK: usize = 4096;
/// Columns side by side: as many as let the median's counts and bounds stay in sixteen registers of 256 bits.
const NARROW: usize = 64;
const WIDE: usize = 32;
/// The same of the kappa-sigma mean, in f64.
const REAL: usize = 8;
/// Most frames whose number 16 bits hold.
const MOST_NARROW: usize = u16::MAX as usize;

/// What is made of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The middle, or the mean of the middle two.
    Median,
    /// The mean of what lies within 3 standard deviations of it, repeated until nothing is left out.
    Sigma,
}

/// A whole number that is ordered like the samples it stands for; also counts frames.
trait Key: Copy + Ord + Send + Sync + Default {
    /// The largest.
    const MOST: Self;
    /// `n`, which fits.
    fn count(n: usize) -> Self;
    /// One more where `more`. Nothing here overflows; wrapping leaves the check out, which would keep the loops from
    /// being vectorised in development builds.
    fn plus(self, more: bool) -> Self;
    /// The middle between this and `high`, rounded down.
    fn middle(self, high: Self) -> Self;
    /// This where `first`, else `other`: as masks, since the compiler makes branches of an `if` here.
    fn or(self, other: Self, first: bool) -> Self;
    /// The sample.
    fn level(self) -> f32;
}

impl Key for u16 {
    const MOST: u16 = u16::MAX;
    #[inline(always)]
    fn count(n: usize) -> u16 {
        n as u16
    }
    #[inline(always)]
    fn plus(self, more: bool) -> u16 {
        self.wrapping_add(u16::from(more))
    }
    #[inline(always)]
    fn middle(self, high: u16) -> u16 {
        self.wrapping_add(high.wrapping_sub(self) >> 1)
    }
    #[inline(always)]
    fn or(self, other: u16, first: bool) -> u16 {
        let mask = u16::from(first).wrapping_neg();
        (self & mask) | (other & !mask)
    }
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self)
    }
}

/// The sign of an f32.
const SIGN: u32 = 1 << 31;

/// A float's key: negative ones have all bits turned, the others the sign only.
#[inline(always)]
fn key_of(level: f32) -> u32 {
    let bits = level.to_bits();
    if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
}

impl Key for u32 {
    const MOST: u32 = u32::MAX;
    #[inline(always)]
    fn count(n: usize) -> u32 {
        n as u32
    }
    #[inline(always)]
    fn plus(self, more: bool) -> u32 {
        self.wrapping_add(u32::from(more))
    }
    #[inline(always)]
    fn middle(self, high: u32) -> u32 {
        self.wrapping_add(high.wrapping_sub(self) >> 1)
    }
    #[inline(always)]
    fn or(self, other: u32, first: bool) -> u32 {
        let mask = u32::from(first).wrapping_neg();
        (self & mask) | (other & !mask)
    }
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from_bits(if self & SIGN == 0 { !self } else { self ^ SIGN })
    }
}

/// A sample as files store it.
pub(super) trait Sample: bytemuck::Pod + Send + Sync {
    /// Its value.
    fn level(self) -> f32;
    /// The median of columns of this type.
    fn medians(frames: &[&[Self]], first: usize, black: &Black, out: &mut [f32]);
}

impl Sample for u8 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self)
    }
    fn medians(frames: &[&[u8]], first: usize, black: &Black, out: &mut [f32]) {
        medians::<_, u16, NARROW>(frames, first, black, out, |v, _, _| u16::from(v));
    }
}

impl Sample for u16 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self)
    }
    fn medians(frames: &[&[u16]], first: usize, black: &Black, out: &mut [f32]) {
        medians::<_, u16, NARROW>(frames, first, black, out, |v, _, _| v);
    }
}

impl Sample for f32 {
    #[inline(always)]
    fn level(self) -> f32 {
        self
    }
    fn medians(frames: &[&[f32]], first: usize, black: &Black, out: &mut [f32]) {
        medians::<_, u32, WIDE>(frames, first, black, out, |v, _, _| key_of(v));
    }
}

/// Levels of the columns through `frames`, on all cores: each frame's samples number `first` and on, less black.
pub(super) fn columns<T: Sample>(
    what: Column,
    frames: &[&[T]],
    first: usize,
    black: &Black,
    out: &mut [f32],
) {
    let own = black.own();
    match what {
        // Before the middle is looked for where each frame has a black of its own, else after.
        Column::Median if own.is_some() || frames.len() > MOST_NARROW => {
            let own = black.each();
            let less = black.taken();
            medians::<_, u32, WIDE>(frames, first, &less, out, |v: T, frame, cell| {
                key_of(v.level() - own[frame][cell])
            });
        }
        Column::Median => T::medians(frames, first, black, out),
        Column::Sigma => match own {
            Some(own) => {
                let load = |v: T, frame: usize, cell: usize| f64::from(v.level() - own[frame][cell]);
                blocks::<_, _, REAL>(frames, first, &black.taken(), out, load, Clipped);
            }
            None => {
                let load = |v: T, _: usize, _: usize| f64::from(v.level());
                blocks::<_, _, REAL>(frames, first, black, out, load, Clipped);
            }
        },
    }
}

fn medians<T: Sample, K: Key, const L: usize>(
    frames: &[&[T]],
    first: usize,
    black: &Black,
    out: &mut [f32],
    load: impl Fn(T, usize, usize) -> K + Sync + Copy,
) {
    blocks::<T, K, L>(frames, first, black, out, load, Middle);
}

/// Fills blocks of `L` columns side by side with `load(sample, frame, place in the 2x2 cell)`, and writes
/// what `reduce` makes of the block less black to `out`.
fn blocks<T: Sample, E: Copy + Default + Send, const L: usize>(
    frames: &[&[T]],
    first: usize,
    black: &Black,
    out: &mut [f32],
    load: impl Fn(T, usize, usize) -> E + Sync + Copy,
    reduce: impl Reduce<E, L>,
) {
    let arch = pulp::Arch::new();
    let fresh = || vec![[E::default(); L]; frames.len()];
    out.par_chunks_mut(TASK).enumerate().for_each_init(fresh, |rows, (task, out)| {
        arch.dispatch(Task { frames, start: task * TASK, first, black, rows, out, load, reduce });
    });
}

/// What becomes of a block of columns: one number each. A function passed as a value would not be inlined where the
/// processor's wide registers are known, and would run on the narrow ones.
trait Reduce<E, const L: usize>: Sync + Copy {
    fn of(self, rows: &[[E; L]]) -> [f64; L];
}

#[derive(Clone, Copy)]
struct Middle;

impl<K: Key, const L: usize> Reduce<K, L> for Middle {
    #[inline(always)]
    fn of(self, rows: &[[K; L]]) -> [f64; L] {
        median(rows)
    }
}

#[derive(Clone, Copy)]
struct Clipped;

impl<const L: usize> Reduce<f64, L> for Clipped {
    #[inline(always)]
    fn of(self, rows: &[[f64; L]]) -> [f64; L] {
        sigma(rows)
    }
}

/// Some blocks of columns; a struct and no closure for the same reason.
struct Task<'a, T, E, const L: usize, Load, R> {
    frames: &'a [&'a [T]],
    start: usize,
    first: usize,
    black: &'a Black,
    rows: &'a mut [[E; L]],
    out: &'a mut [f32],
    load: Load,
    reduce: R,
}

impl<T, E, const L: usize, Load, R> pulp::NullaryFnOnce for Task<'_, T, E, L, Load, R>
where
    T: Sample,
    Load: Fn(T, usize, usize) -> E,
    R: Reduce<E, L>,
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (block, out) in self.out.chunks_mut(L).enumerate() {
            let start = self.start + block * L;
            let mut cells = [0; L];
            if self.black.any() {
                self.black.cells(self.first + start, &mut cells);
            }
            for (f, (row, frame)) in self.rows.iter_mut().zip(self.frames).enumerate() {
                let samples = &frame[start..start + out.len()];
                for ((e, &v), &cell) in row.iter_mut().zip(samples).zip(&cells) {
                    *e = (self.load)(v, f, cell);
                }
            }
            let levels = self.reduce.of(self.rows);
            for ((o, level), &cell) in out.iter_mut().zip(levels).zip(&cells) {
                *o = (level - f64::from(self.black.common()[cell])) as f32;
            }
        }
    }
}

/// The median of each column, by bisection of the range of its values: a round counts the samples up to the middle
/// of the range. Exact, without a branch that depends on a sample, and as fast for any order of the frames.
#[inline(always)]
fn median<K: Key, const L: usize>(rows: &[[K; L]]) -> [f64; L] {
    let (mut low, mut high) = ([K::MOST; L], [K::default(); L]);
    for row in rows {
        for i in 0..L {
            low[i] = low[i].min(row[i]);
            high[i] = high[i].max(row[i]);
        }
    }
    let most = high;
    let before = K::count((rows.len().max(1) - 1) / 2);
    while (0..L).fold(false, |open, i| open | (low[i] < high[i])) {
        let mut middle = low;
        for i in 0..L {
            middle[i] = low[i].middle(high[i]);
        }
        let count = up_to(rows, &middle);
        for i in 0..L {
            let below = count[i] > before;
            high[i] = middle[i].or(high[i], below);
            low[i] = low[i].or(middle[i].plus(true), below);
        }
    }
    if rows.len() % 2 == 1 {
        return low.map(|key| f64::from(key.level()));
    }
    // The other middle: the same value again, or the next one.
    let count = up_to(rows, &low);
    let mut next = most;
    for row in rows {
        for i in 0..L {
            next[i] = next[i].min(if row[i] > low[i] { row[i] } else { most[i] });
        }
    }
    let mut out = [0.0; L];
    for i in 0..L {
        let other = if count[i] > before.plus(true) { low[i] } else { next[i] };
        out[i] = (f64::from(low[i].level()) + f64::from(other.level())) / 2.0;
    }
    out
}

/// How many samples of each column are at most `bound`.
#[inline(always)]
fn up_to<K: Key, const L: usize>(rows: &[[K; L]], bound: &[K; L]) -> [K; L] {
    let mut count = [K::default(); L];
    for row in rows {
        for i in 0..L {
            count[i] = count[i].plus(row[i] <= bound[i]);
        }
    }
    count
}

/// The kappa-sigma mean of each column, sums in the order of the frames. What is kept lies between two values, since
/// a distance from the mean grows with a sample's value however it is rounded: no list of what is kept is needed.
#[inline(always)]
fn sigma<const L: usize>(rows: &[[f64; L]]) -> [f64; L] {
    let (mut low, mut high) = ([f64::INFINITY; L], [f64::NEG_INFINITY; L]);
    let (mut sum, mut count) = ([0.0; L], [rows.len() as f64; L]);
    for row in rows {
        for i in 0..L {
            sum[i] += row[i];
            low[i] = low[i].min(row[i]);
            high[i] = high[i].max(row[i]);
        }
    }
    loop {
        let mut mean = sum;
        let mut squares = [0.0; L];
        for i in 0..L {
            mean[i] = sum[i] / count[i];
        }
        for row in rows {
            for i in 0..L {
                let off = row[i] - mean[i];
                let kept = (row[i] >= low[i]) & (row[i] <= high[i]);
                squares[i] += if kept { off * off } else { 0.0 };
            }
        }
        let mut limit = squares;
        let mut inside = true;
        for i in 0..L {
            limit[i] = KAPPA * (squares[i] / count[i]).sqrt();
            inside &= (low[i] - mean[i]).abs() <= limit[i] && (high[i] - mean[i]).abs() <= limit[i];
        }
        if inside || !narrow(rows, &mean, &limit, &mut low, &mut high, &mut sum, &mut count) {
            return mean;
        }
    }
}

/// Leaves out what is beyond `limit` of `mean`: new bounds, sums and counts of the columns. False where nothing is
/// left out any more; a column that would be left without samples stays as it is.
#[inline(always)]
fn narrow<const L: usize>(
    rows: &[[f64; L]],
    mean: &[f64; L],
    limit: &[f64; L],
    low: &mut [f64; L],
    high: &mut [f64; L],
    sum: &mut [f64; L],
    count: &mut [f64; L],
) -> bool {
    let (mut new_low, mut new_high) = ([f64::INFINITY; L], [f64::NEG_INFINITY; L]);
    let (mut new_sum, mut new_count) = ([0.0; L], [0.0; L]);
    for row in rows {
        for i in 0..L {
            let v = row[i];
            let kept = (v >= low[i]) & (v <= high[i]) & ((v - mean[i]).abs() <= limit[i]);
            new_sum[i] += if kept { v } else { 0.0 };
            new_count[i] += if kept { 1.0 } else { 0.0 };
            new_low[i] = new_low[i].min(if kept { v } else { f64::INFINITY });
            new_high[i] = new_high[i].max(if kept { v } else { f64::NEG_INFINITY });
        }
    }
    let mut changed = false;
    for i in 0..L {
        if new_count[i] > 0.0 && new_count[i] < count[i] {
            changed = true;
            (low[i], high[i], sum[i], count[i]) = (new_low[i], new_high[i], new_sum[i], new_count[i]);
        }
    }
    changed
}
