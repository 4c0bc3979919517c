//! Which file systems bring no events of what other machines write to them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where Linux lists what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Types of file systems whose files change without this system's doing: others write to them, and inotify is told of
/// local writes only. All that begins with `fuse.` is one too (sshfs, rclone, gvfsd-fuse).
#[rustfmt::skip]
const REMOTE: &[&str] = &[
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "orangefs",
    "gpfs", "gfs2", "ocfs2", "coda", "ncpfs", "virtiofs", "vboxsf", "vmhgfs", "drvfs", "prl_fs", "davfs", "fuse",
];

/// Field of the mount point in a line of `mountinfo`, from 0 (proc(5)).
const MOUNT_POINT: usize = 4;

/// Digits of an escaped byte in `mountinfo`, `\040` for a space.
const OCTAL_DIGITS: usize = 3;

/// The type of the file system of `folder`, if others write to it unseen.
pub(super) fn remote(folder: &Path) -> Option<String> {
    let kind = kind_of(folder)?;
    (kind.starts_with("fuse.") || REMOTE.contains(&kind.as_str())).then_some(kind)
}

fn kind_of(folder: &Path) -> Option<String> {
    kind_in(&std::fs::read(MOUNTS).ok()?, &std::fs::canonicalize(folder).ok()?)
}

/// The type of the file system that holds `path`, an absolute path without links.
///
/// * `mounts` - the text of `mountinfo`.
fn kind_in(mounts: &[u8], path: &Path) -> Option<String> {
    let all = mounts.split(|byte| *byte == b'\n').filter_map(mount);
    let holding = all.filter(|(point, _)| path.starts_with(point));
    // The last of several on one point hides those below.
    holding.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind)
}

/// Mount point and type in a line such as `36 35 98:0 / /mnt/a rw,noatime master:1 - ext3 /dev/root rw`: before the
/// dash there are any number of optional fields.
fn mount(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = unescaped(fields.nth(MOUNT_POINT)?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((point, String::from_utf8_lossy(kind).into_owned()))
}

/// A path with its `\ooo` put back to bytes.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        let byte = (*first == b'\\').then(|| octal(others)).flatten();
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[OCTAL_DIGITS..] } else { others };
    }
    OsString::from_vec(bytes).into()
}

/// The byte that the first three octal digits of `text` state.
fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.get(..OCTAL_DIGITS)?;
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /mnt/my\\040share rw shared:5 master:1 - cifs //nas/night\\040sky rw,vers=3
24 22 0:22 / /mnt/my rw - tmpfs tmpfs rw
25 24 0:23 / /mnt/my/ssh rw shared:9 - fuse.sshfs pi@cam: rw
26 22 0:24 / /mnt/b\\134s\\011t rw - nfs4 nas:/x rw
27 22 0:25 / /mnt/twice rw - nfs nas:/y rw
28 22 0:26 / /mnt/twice rw - ext4 /dev/sdb rw
29 22 0:27 / /mnt/disk rw - fuseblk /dev/sdc rw
a line that is none

";

    fn kind(path: &str) -> String {
        kind_in(TABLE.as_bytes(), Path::new(path)).expect("something is mounted on /")
    }

    #[test]
    fn the_deepest_mount_point_holds_the_folder() {
        assert_eq!(kind("/home/night"), "ext4");
        assert_eq!(kind("/mnt/my"), "tmpfs");
        assert_eq!(kind("/mnt/my/night"), "tmpfs");
        assert_eq!(kind("/mnt/my/ssh/night"), "fuse.sshfs");
        assert_eq!(kind("/mnt/mys"), "ext4", "whole names, not beginnings of names");
    }

    #[test]
    fn escaped_names_are_read() {
        assert_eq!(kind("/mnt/my share/night"), "cifs");
        assert_eq!(kind("/mnt/b\\s\tt"), "nfs4");
        assert_eq!(unescaped(b"a\\0"), PathBuf::from("a\\0"), "a cut escape is text");
        assert_eq!(unescaped(b"\\999\\777"), PathBuf::from("\\999\\777"), "so is what is no byte");
    }

    #[test]
    fn the_last_mount_on_a_point_hides_the_first() {
        assert_eq!(kind("/mnt/twice/night"), "ext4");
    }

    #[test]
    fn bytes_that_are_no_text_are_names_too() {
        use std::os::unix::ffi::OsStrExt;
        let table = b"22 1 254:0 / / rw - ext4 a rw\n23 22 0:21 / /mnt/\xff rw - nfs b rw\n";
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/mnt/\xff/night"));
        assert_eq!(kind_in(table, path).as_deref(), Some("nfs"));
    }

    #[test]
    fn this_system_says_what_its_own_file_systems_are() {
        assert_eq!(kind_of(Path::new("/proc/self")).as_deref(), Some("proc"));
        assert_eq!(remote(Path::new("/proc/self")), None);
    }
}
