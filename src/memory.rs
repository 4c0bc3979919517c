//! How much memory may be used, where the system says, and [how much a night takes](need).

use std::path::{Path, PathBuf};

pub mod need;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// Address space that a thread's allocator may reserve without using it (glibc's `HEAP_MAX_SIZE`), and the threads that
/// are still to start when memory is looked at: those that write pictures and one that publishes.
const RESERVED: u64 = 4 * (64 << 20);
/// Address space of a thread's stack, bytes (Rust's default).
const STACK: u64 = 2 << 20;

/// Bytes that can be taken without swapping: the smallest of what the system has free, what the control groups that this
/// program is in still allow, and its own limits (`ulimit -v`, `ulimit -d`). `None` where that cannot be learnt.
#[must_use]
pub fn available() -> Option<u64> {
    let [shared, own] = allowed(&status());
    [shared, own].into_iter().flatten().min()
}

/// The program's `/proc/self/status`.
fn status() -> String {
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// Bytes that the system and the control groups still allow, and those that the program's own limits do; `status` is what
/// it has.
fn allowed(status: &str) -> [Option<u64>; 2] {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let system = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
    let groups = read("/proc/self/cgroup").and_then(|text| groups_allow(Path::new(GROUPS), &text));
    let own = read("/proc/self/limits").and_then(|limits| limits_allow(&limits, status));
    [[system, groups].into_iter().flatten().min(), own]
}

/// Bytes that this program may have in all: what it has, and what it can still take. `None` as [`available`].
#[must_use]
pub fn room() -> Option<u64> {
    let status = status();
    let [shared, own] = allowed(&status);
    // What files back can be read again.
    let shared = shared.map(|free| free + kilobytes(&status, "RssAnon:").unwrap_or(0));
    [shared, own.map(|free| free + allocated(&status))].into_iter().flatten().min()
}

/// Bytes that the program of `status` has allocated, touched or not, which is what its own limits count: a buffer that is
/// being filled must not look like less room. The stacks of its threads are no buffers.
fn allocated(status: &str) -> u64 {
    let threads = status.lines().find_map(|l| l.strip_prefix("Threads:")?.trim().parse::<u64>().ok());
    let all = kilobytes(status, "VmData:").unwrap_or(0);
    all.saturating_sub(STACK * threads.unwrap_or(0)).max(kilobytes(status, "RssAnon:").unwrap_or(0))
}

/// The most that this program has had at once, bytes; `None` where the system does not say.
#[must_use]
pub fn peak() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The field `name` (a number of kB) of a text of `/proc`, bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What the control groups that `text` (`/proc/self/cgroup`) names still allow: the least of all from ours up, bytes. A
/// unit of systemd has its `MemoryMax` in a group of its own. Both versions count. `None`: there is no limit.
fn groups_allow(root: &Path, text: &str) -> Option<u64> {
    let mut least = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, names) = if controllers.is_empty() {
            (root.to_owned(), &V2)
        } else if controllers.split(',').any(|c| c == "memory") {
            (root.join("memory"), &V1)
        } else {
            continue;
        };
        let mut group: PathBuf = base.join(path.trim_start_matches('/'));
        // In a container the path may be the host's, which is not there: what is mounted is the container's own.
        while group.starts_with(&base) {
            least = [least, left(&group, names)].into_iter().flatten().min();
            if !group.pop() {
                break;
            }
        }
    }
    least
}

/// What the files of a memory control group are called: the limit, what is used, and the caches of files in `memory.stat`.
struct Names {
    limit: &'static str,
    used: &'static str,
    cached: [&'static str; 2],
}

const V2: Names =
    Names { limit: "memory.max", used: "memory.current", cached: ["inactive_file ", "active_file "] };
const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: ["total_inactive_file ", "total_active_file "],
};

/// What the control group in the folder `group` still allows, bytes; `None` where it has no limit.
fn left(group: &Path, names: &Names) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let (limit, used) = (number(names.limit)?, number(names.used)?);
    // Files that were read are forgotten when room is needed.
    let stat = read("memory.stat").unwrap_or_default();
    let field = |name: &&str| stat.lines().find_map(|l| l.strip_prefix(*name)?.trim().parse::<u64>().ok());
    let cached: u64 = names.cached.iter().filter_map(field).sum();
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// What the program's own `limits` (`/proc/self/limits`) still allow, bytes, `status` (`/proc/self/status`) being what it
/// has; `None`: all they want.
fn limits_allow(limits: &str, status: &str) -> Option<u64> {
    let left = |limit: &str, used: &str| {
        let soft = limits.lines().find_map(|l| l.strip_prefix(limit))?.split_whitespace().next()?;
        let used = kilobytes(status, used)?;
        soft.parse::<u64>().ok().map(|limit| limit.saturating_sub(used + RESERVED))
    };
    [left("Max address space", "VmSize:"), left("Max data size", "VmData:")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:       2000 kB\nMemAvailable:    1500 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(1500 * 1024));
        assert_eq!(kilobytes("nothing", "MemAvailable:"), None);
    }

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        std::fs::create_dir_all(root.join(path)).expect("folder");
        for (name, text) in files {
            std::fs::write(root.join(path).join(name), text).expect("written");
        }
    }

    #[test]
    fn every_group_from_ours_up_counts() {
        let root = tempfile::tempdir().expect("folder");
        let root = root.path();
        let unlimited = [("memory.max", "max\n"), ("memory.current", "7000\n")];
        group(root, "system.slice", &[("memory.max", "9000\n"), ("memory.current", "6000\n")]);
        group(root, "system.slice/livestack.service", &unlimited);
        let ours = "1:name=systemd:/\n0::/system.slice/livestack.service\n";
        assert_eq!(groups_allow(root, ours), Some(3000), "the limit of a group around ours");
        let stat = "anon 100\ninactive_file 500\nactive_file 250\nfile 900\n";
        let tight = [("memory.max", "5000\n"), ("memory.current", "4000\n"), ("memory.stat", stat)];
        group(root, "system.slice/livestack.service", &tight);
        assert_eq!(groups_allow(root, ours), Some(1750), "our own, caches of files apart");
        assert_eq!(groups_allow(root, "0::/elsewhere\n"), None);
        // In a container what is mounted is its own group, whatever the path says.
        group(root, "", &[("memory.max", "800\n"), ("memory.current", "900\n")]);
        assert_eq!(groups_allow(root, "0::/docker/abc\n"), Some(0));
    }

    #[test]
    fn groups_of_version_1_count() {
        let root = tempfile::tempdir().expect("folder");
        let files = [
            ("memory.limit_in_bytes", "4000\n"),
            ("memory.usage_in_bytes", "3000\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 300\n"),
        ];
        group(root.path(), "memory/a/b", &files);
        assert_eq!(groups_allow(root.path(), "9:cpu:/a/b\n4:hugetlb,memory:/a/b/c\n"), Some(1500));
        assert_eq!(groups_allow(root.path(), "9:cpu:/a/b\n"), None);
    }

    #[test]
    fn own_limits_count() {
        let limits = |space: &str| {
            format!(
                "Limit   Soft Limit  Hard Limit  Units\nMax data size   unlimited  unlimited  bytes\nMax address space  {space}  unlimited  bytes\n"
            )
        };
        assert_eq!(allocated("VmData:\t 9000 kB\nRssAnon:\t 10 kB\nThreads:\t2\n"), (9000 << 10) - (4 << 20));
        assert_eq!(allocated("VmData:\t 90 kB\nRssAnon:\t 10 kB\nThreads:\t2\n"), 10 << 10);
        let status = "VmSize:\t  1000 kB\nVmData:\t  500 kB\n";
        let most = 1_000_000_000;
        assert_eq!(limits_allow(&limits(&most.to_string()), status), Some(most - 1_024_000 - RESERVED));
        assert_eq!(limits_allow(&limits("unlimited"), status), None);
    }
}
