//! Damaged RAW files: an error or a picture, never a panic, a line on stderr, much memory or a long wait.
//!
//! The damage is done in a process of its own, whose standard error and peak of memory tell what threads of the
//! decoders did. `LIVESTACK_DAMAGE=2000` sets how many damaged copies of each file are read.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use livestack::io;

const SAMPLES: [&str; 4] = [
    "raw-nef-nikon-d1/RAW_NIKON_D1.NEF",
    "raw-crw-canon-d30/CRW.CRW",
    "raw-dng-canon-kissx4-ml/colorchart.dng",
    "raw-truncated/canon-r6.cr3",
];

/// Set in the process that does the damage.
const CHILD: &str = "LIVESTACK_DAMAGE_CHILD";
/// Damaged copies of each file, where the environment does not say.
const COPIES: u64 = 40;
/// Where headers and tables are: damage there finds more than among the samples, bytes.
const HEADER: u64 = 4096;
/// Most memory, kB: the files are of 4 MB, and 16 samples of two bytes a byte are believed, twice.
const MOST_KB: u64 = 700_000;
/// Longest time for one file: a decoder that hangs takes far longer. A busy machine takes seconds.
const LONGEST: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
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
        if self.below(8) == 0 {
            let kept = if self.below(2) == 0 { self.below(length) } else { length - self.below(HEADER) - 1 };
            bytes.truncate(kept as usize);
            return;
        }
        for _ in 0..=self.below(4) {
            let place = match self.below(4) {
                0 | 1 => self.below(HEADER),
                2 => length - 1 - self.below(HEADER),
                _ => self.below(length),
            };
            let value = [0, 0xff, 0x7f, self.below(256) as u8][self.below(4) as usize];
            let run = [1, 1, 2, 4][self.below(4) as usize];
            let end = (place + run).min(length);
            bytes[place as usize..end as usize].fill(value);
        }
    }
}

#[test]
fn damaged_files_neither_panic_nor_print_nor_ask_for_much() {
    if std::env::var_os(CHILD).is_some() {
        damage_all();
        return;
    }
    if !folder().exists() {
        eprintln!("SKIPPED: no real RAW files at {}", folder().display());
        return;
    }
    let name = "damaged_files_neither_panic_nor_print_nor_ask_for_much";
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

fn damage_all() {
    let copies = std::env::var("LIVESTACK_DAMAGE").map_or(COPIES, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    for name in SAMPLES {
        let whole = std::fs::read(folder().join(name)).unwrap();
        let path = dir.path().join(Path::new(name).file_name().unwrap());
        let (mut read, mut words, mut longest) = (0, Vec::new(), Duration::ZERO);
        for copy in 0..copies {
            let mut bytes = whole.clone();
            Dice(copy).damage(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
            let start = Instant::now();
            let _ = io::capture_time(&path);
            match io::read(&path, std::mem::take(&mut words)) {
                Ok(frame) => {
                    assert_eq!(frame.words.len(), frame.shape.words());
                    assert!(
                        frame.sensor.matrix.iter().chain(&frame.sensor.black).all(|level| level.is_finite())
                    );
                    (read, words) = (read + 1, frame.words);
                }
                Err(error) => assert!(!error.to_string().contains('\n'), "{name}, copy {copy}: {error}"),
            }
            longest = longest.max(start.elapsed());
            assert!(longest < LONGEST, "{name}, copy {copy}: {longest:?}");
            let peak = peak_kb();
            assert!(peak < MOST_KB, "{name}, copy {copy}: {peak} kB");
        }
        println!("{name}: {copies} damaged, {read} read, longest {longest:?}, peak {} kB", peak_kb());
    }
}

/// Peak of this process's memory; 0 where the system does not say.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
