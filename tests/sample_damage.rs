//! Damaged copies of the real files: an error or a picture, never a panic, a line on stderr, much memory or a long wait.
//!
//! The damage is done in a process of its own for each kind of file, whose standard error and peak of memory tell what
//! threads of the decoders did. `LIVESTACK_DAMAGE=2000` damages every file of ../shared/data so often; without, a few
//! times.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use livestack::io;

/// Set in the process that does the damage.
const CHILD: &str = "LIVESTACK_DAMAGE_CHILD";
/// How many damaged copies of each file are read.
const COPIES: &str = "LIVESTACK_DAMAGE";
/// Where headers and tables are: damage there finds more than among the samples, bytes.
const HEADER: u64 = 4096;
/// Longest time for one file: a decoder that hangs takes far longer. A busy machine takes seconds.
const LONGEST: Duration = Duration::from_secs(60);

/// A kind of files.
struct Kind {
    extensions: &'static [&'static str],
    /// Damaged copies of each file, where the environment does not say.
    copies: u64,
    /// Most memory, kB.
    most_kb: u64,
    /// Whether a decoder may panic, which becomes an error.
    may_panic: bool,
}

/// The files are of 4 MB, and 16 samples of two bytes a byte are believed, twice. The crates that read
/// them panic on bad bytes.
const RAW: Kind =
    Kind { extensions: &["nef", "crw", "dng", "cr3"], copies: 40, most_kb: 700_000, may_panic: true };
/// Files of up to 3 MB, some compressed.
const FITS: Kind =
    Kind { extensions: &["fits", "fit", "fz"], copies: 30, most_kb: 300_000, may_panic: false };
/// JPEG files of up to 26 Mpix, gray and colour, whose sizes can be damaged, too.
const DISPLAY: Kind = Kind { extensions: &["jpg", "png"], copies: 5, most_kb: 700_000, may_panic: false };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
}

/// The files of a kind.
fn samples(kind: &Kind) -> Vec<PathBuf> {
    let list = |folder: &Path| {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let of_kind = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        kind.extensions.contains(&extension.as_str())
    };
    let folders = list(&folder()).into_iter().filter(|path| path.is_dir());
    folders.flat_map(|folder| list(&folder)).filter(of_kind).collect()
}

/// A generator of numbers without any quality but that it is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }

    /// One to four places: in the header, near the end, or anywhere; or the end missing.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let length = bytes.len() as u64;
        let header = HEADER.min(length);
        if self.below(8) == 0 {
            let kept = if self.below(2) == 0 { self.below(length) } else { length - self.below(header) - 1 };
            bytes.truncate(kept as usize);
            return;
        }
        for _ in 0..=self.below(4) {
            let place = match self.below(4) {
                0 | 1 => self.below(header),
                2 => length - 1 - self.below(header),
                _ => self.below(length),
            };
            let value = [0, 0xff, 0x7f, self.below(256) as u8][self.below(4) as usize];
            let run = [1, 1, 2, 4][self.below(4) as usize];
            let end = (place + run).min(length);
            bytes[place as usize..end as usize].fill(value);
        }
    }
}

/// Runs the test `name` in a process of its own, which damages files of a `kind`.
fn damaged(name: &str, kind: &Kind) {
    if std::env::var_os(CHILD).is_some() {
        damage_all(kind);
        return;
    }
    if !folder().exists() {
        eprintln!("SKIPPED: no real files at {}", folder().display());
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stderr);
    assert!(printed.is_empty(), "printed on stderr: {}", printed.chars().take(2000).collect::<String>());
    assert!(child.status.success(), "{}\n{}", child.status, String::from_utf8_lossy(&child.stdout));
    print!("{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn damaged_raw_files() {
    damaged("damaged_raw_files", &RAW);
}

#[test]
fn damaged_fits_files() {
    damaged("damaged_fits_files", &FITS);
}

#[test]
fn damaged_pictures() {
    damaged("damaged_pictures", &DISPLAY);
}

fn damage_all(kind: &Kind) {
    let copies = std::env::var(COPIES).map_or(kind.copies, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let all = samples(kind);
    assert!(all.len() >= kind.extensions.len(), "samples are missing: {all:?}");
    for sample in all {
        let name = sample.strip_prefix(folder()).unwrap().display().to_string();
        let whole = std::fs::read(&sample).unwrap();
        let path = dir.path().join(sample.file_name().unwrap());
        let (mut read, mut contained, mut words, mut longest) = (0, 0, Vec::new(), Duration::ZERO);
        for copy in 0..copies {
            let mut bytes = whole.clone();
            Dice(copy).damage(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
            let start = Instant::now();
            let _ = io::capture_time(&path);
            match io::read(&path, std::mem::take(&mut words)) {
                Ok(frame) => {
                    assert_eq!(frame.words.len(), frame.shape.words());
                    let sensor = &frame.sensor;
                    assert!(sensor.matrix.iter().chain(&sensor.black).all(|level| level.is_finite()));
                    (read, words) = (read + 1, frame.words);
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains('\n'), "{name}, copy {copy}: {text}");
                    contained += u64::from(text.contains("panicked"));
                    assert!(kind.may_panic || contained == 0, "{name}, copy {copy}: {text}");
                }
            }
            longest = longest.max(start.elapsed());
            assert!(longest < LONGEST, "{name}, copy {copy}: {longest:?}");
            let peak = peak_kb();
            assert!(peak < kind.most_kb, "{name}, copy {copy}: {peak} kB");
        }
        println!(
            "{name}: {copies} damaged, {read} read, {contained} panics contained, longest {longest:?}, peak {} kB",
            peak_kb()
        );
    }
}

/// Peak of this process's memory; 0 where the system does not say.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
