//! File systems of a test's own: small ones that can be full, and such that go away and come back.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says that this process is in a namespace of its own already.
const INSIDE: &str = "LIVESTACK_TEST_NAMESPACE";

/// Whether this process may mount: then the test goes on. Else the test `name` is run by another process, in a namespace
/// of mounts of its own, which nothing outlives; where the system allows none, it says loudly that it is skipped.
#[track_caller]
pub(crate) fn may_mount(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| works(flags)) else {
        let text = format!(
            "\n*** {name}: NOT TESTED: neither root nor user namespaces here, so no file systems ***"
        );
        let _ = writeln!(std::io::stderr(), "{text}");
        return false;
    };
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.arg(flags).arg(program).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = command.stdin(Stdio::null()).output().expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
    false
}

/// Whether a file system can be mounted in a namespace made with these flags.
fn works(flags: &str) -> bool {
    let mut command = Command::new("unshare");
    command.args([flags, "mount", "-t", "tmpfs", "none", "/tmp"]);
    let tried = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// A mounted file system; unmounted when it goes out of scope.
pub(crate) struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// A new file system in memory of so many kB at the folder `at`.
    pub(crate) fn small(at: &Path, kb: usize) -> Mounted {
        std::fs::create_dir_all(at).expect("folder");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kb}k,mode=777"), "none"])
            .arg(at));
        Mounted { at: at.to_owned() }
    }

    /// The folder `from` once more, at `at`.
    pub(crate) fn bound(from: &Path, at: &Path) -> Mounted {
        run(Command::new("mount").arg("--bind").arg(from).arg(at));
        Mounted { at: at.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where somebody still has it open, as a share that goes away.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Fills the file system of the file `path` with it, to the last byte.
pub(crate) fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("created");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}
