//! What the benches share: sizes and backends, criterion as they use it, and the table at the end.

#![allow(dead_code, reason = "every bench uses its own part of this module")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use livestack::backend::Choice;
use livestack::error::{Error, Result};
use std::fmt::Write as _;
use std::time::Duration;

pub(crate) mod night;

/// Samples of each benchmark: criterion's least.
const SAMPLES: usize = 10;
/// Before them, so that pipelines are compiled and pages touched.
const WARM_UP: Duration = Duration::from_millis(500);
/// For all of them, where one does not take longer.
const MEASURE: Duration = Duration::from_millis(1500);
/// Frames of a small camera and of a 20 Mpix one.
const SIZES: &str = "1024x683,5472x3648";

/// Pixels in a row, rows.
pub(crate) type Size = (usize, usize);

/// What the environment variable `name` lists, or `usual`, with commas between.
fn listed<T>(name: &str, usual: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let list = std::env::var(name).unwrap_or_else(|_| usual.into());
    let unknown = |word: &str| Error::Usage(format!("{name}: expected {usual} or the like, got {word:?}"));
    list.split(',').map(|word| parse(word.trim()).ok_or_else(|| unknown(word))).collect()
}

/// The sizes to measure: `LIVESTACK_BENCH_SIZES`.
pub(crate) fn sizes() -> Result<Vec<Size>> {
    listed("LIVESTACK_BENCH_SIZES", SIZES, |word| {
        let (w, h) = word.split_once('x')?;
        let side = |text: &str| text.parse().ok().filter(|px| *px > 0);
        Some((side(w)?, side(h)?))
    })
}

/// The backends to measure: `LIVESTACK_BENCH_BACKENDS`, which names a GPU only where it is asked for.
pub(crate) fn backends() -> Result<Vec<Choice>> {
    listed("LIVESTACK_BENCH_BACKENDS", "cpu", |word| match word {
        "cpu" => Some(Choice::Cpu),
        "gpu" => Some(Choice::Gpu),
        _ => None,
    })
}

/// Its name.
pub(crate) fn name(choice: Choice) -> &'static str {
    match choice {
        Choice::Gpu => "gpu",
        Choice::Cpu => "cpu",
        Choice::Auto => "auto",
    }
}

/// Criterion and what it has measured so far.
pub(crate) struct Bench {
    group: &'static str,
    criterion: Criterion,
    rows: Vec<Row>,
}

struct Row {
    label: String,
    /// Seconds an iteration, in each sample.
    seconds: Vec<f64>,
    work: Work,
}

/// What an iteration does.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// Bytes that it moves or makes.
    pub(crate) bytes: u64,
    /// Pixels that it covers.
    pub(crate) pixels: usize,
    /// Frames that it covers.
    pub(crate) frames: usize,
}

impl Bench {
    /// The bench called `group`, with the flags of the command line.
    pub(crate) fn new(group: &'static str) -> Bench {
        let criterion =
            Criterion::default().sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASURE);
        Bench { group, criterion: criterion.without_plots().configure_from_args(), rows: Vec::new() }
    }

    /// Measures `run`, which does so many iterations and says how long they took. `make` is called before the first, and
    /// not at all where the filter leaves the benchmark out.
    pub(crate) fn measure<T>(
        &mut self,
        (name, (w, h)): (&str, Size),
        work: Work,
        make: impl Fn() -> Result<T>,
        mut run: impl FnMut(&mut T, u64) -> Result<Duration>,
    ) -> Result<()> {
        let mut group: BenchmarkGroup<'_, WallTime> = self.criterion.benchmark_group(self.group);
        // Samples of one length: the longest benchmarks do an iteration in each.
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::BytesDecimal(work.bytes));
        let (mut made, mut failed, mut seconds) = (None, None, Vec::new());
        group.bench_function(BenchmarkId::new(name, format!("{w}x{h}")), |bencher| {
            bencher.iter_custom(|n| {
                let spent = once(&mut made, &make).and_then(|made| run(made, n));
                let spent = spent.unwrap_or_else(|e| {
                    failed.get_or_insert(e);
                    Duration::from_secs(1)
                });
                seconds.push(spent.as_secs_f64() / n as f64);
                spent
            });
        });
        group.finish();
        if !seconds.is_empty() {
            self.rows.push(Row { label: format!("{name} | {w}x{h}"), seconds, work });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Prints the table: medians over the samples, the warm-up left out.
    pub(crate) fn finish(self) {
        self.criterion.final_summary();
        if self.rows.is_empty() {
            return;
        }
        let mut text = format!(
            "\n| {} | size | ms | least | GB/s | ns a pixel | a second |\n|---|---|---|---|---|---|---|\n",
            self.group
        );
        for Row { label, mut seconds, work } in self.rows {
            let warm = seconds.len().saturating_sub(SAMPLES);
            let measured = &mut seconds[warm..];
            measured.sort_by(f64::total_cmp);
            let (median, least) = (measured[measured.len() / 2], measured[0]);
            let rate = work.bytes as f64 / median / 1e9;
            let pixel = median * 1e9 / work.pixels as f64;
            let each = work.frames as f64 / median;
            let (median, least) = (median * 1e3, least * 1e3);
            let _ =
                writeln!(text, "| {label} | {median:.2} | {least:.2} | {rate:.2} | {pixel:.2} | {each:.1} |");
        }
        println!("{text}");
    }
}

/// What is `made`, made now where it is not.
fn once<T>(made: &mut Option<T>, make: impl Fn() -> Result<T>) -> Result<&mut T> {
    match made {
        Some(made) => Ok(made),
        none => Ok(none.insert(make()?)),
    }
}
