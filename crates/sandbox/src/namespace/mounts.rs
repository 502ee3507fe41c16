//! The file system of a box. Its root holds only:
//!
//! ```text
//!   /            tmpfs, read-only, a few kilobytes of folders
//!   /program/    the program, one file, read-only
//!   /dev/        null, zero, full, random, urandom, and links to /proc/self/fd
//!   /proc        the box's own processes only (subset=pid), read-only
//!   /tmp         tmpfs, the only writable folder, limited in bytes and files
//!   …            the configured files and folders, read-only, at the same path as on the host
//! ```

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::unistd::pivot_root;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};

use super::protocol::{BoxSpec, PROGRAM_FOLDER};
use crate::Refusal;
use crate::error::At;

/// Device nodes that programs need. None of them stores data.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Space for the folders of the root. A tmpfs counts no pages for directory entries.
const ROOT_OPTIONS: &std::ffi::CStr = c"size=64k,nr_inodes=4096,mode=755";

/// Paths that belong to the box itself.
const RESERVED: [&str; 4] = [PROGRAM_FOLDER, "/dev", "/proc", "/tmp"];

/// Detached copies of the mounts that a box will get.
pub(super) struct Sources(Vec<Source>);

struct Source {
    tree: OwnedFd,
    /// Its path in the box.
    target: PathBuf,
    is_folder: bool,
}

impl Sources {
    /// Copies the mounts with the rights of the calling process, because root can reach files that the box's user
    /// cannot.
    pub(super) fn take(spec: &BoxSpec) -> Result<Self, Refusal> {
        let mut sources = Vec::new();
        let mut take = |path: &Path, target: PathBuf| -> Result<(), Refusal> {
            let metadata = fs::metadata(path).at(&format!("looking at {}", path.display()))?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | if metadata.is_dir() { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
            let tree = open_tree(CWD, path, flags).at(&format!("copying the mount of {}", path.display()))?;
            sources.push(Source { tree, target, is_folder: metadata.is_dir() });
            Ok(())
        };
        for device in DEVICES {
            let path = Path::new("/dev").join(device);
            take(&path, path.clone())?;
        }
        let mut folders: Vec<&Path> = Vec::new();
        let mut paths: Vec<&Path> = spec.read_only.iter().map(PathBuf::as_path).collect();
        paths.sort_unstable();
        for path in paths {
            // Another folder in the list includes this path.
            if folders.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            take(path, path.to_owned())?;
            folders.push(path);
        }
        if let (Some(program), Some(inside)) = (&spec.program, spec.program_inside()) {
            take(program, inside)?;
        }
        Ok(Self(sources))
    }
}

/// Rejects paths that a box cannot get; the error names the reason.
pub(super) fn check_read_only(paths: &[PathBuf]) -> Result<(), String> {
    for path in paths {
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain || path.parent().is_none() {
            return Err(format!("{} is not an absolute path below the root without `..`", path.display()));
        }
        if let Some(reserved) = RESERVED.iter().find(|reserved| path.starts_with(reserved)) {
            return Err(format!(
                "{} cannot be mounted in a box: {reserved} belongs to the box",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Builds the root over an existing folder of this mount namespace, which has no other process.
pub(super) fn build(sources: Sources, scratch_bytes: u64) -> Result<&'static Path, Refusal> {
    let root = Path::new("/tmp");
    // No mount propagates into or out of this namespace.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at("keeping mounts private")?;
    mount(c"root", root, c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, ROOT_OPTIONS)
        .at("mounting the root")?;
    for folder in ["dev", "proc", "tmp", "program"] {
        fs::create_dir(root.join(folder)).at("making the box's folders")?;
    }
    let options = format!("size={scratch_bytes},nr_inodes={},mode=1777", scratch_files(scratch_bytes));
    let options =
        std::ffi::CString::new(options).map_err(io::Error::from).at("mounting the scratch folder")?;
    mount(c"scratch", root.join("tmp"), c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
        .at("mounting the scratch folder")?;
    for Source { tree, target, is_folder } in sources.0 {
        let step = || format!("mounting {}", target.display());
        let place = root.join(target.strip_prefix("/").unwrap_or(&target));
        if is_folder {
            fs::create_dir_all(&place).at(&step())?;
        } else {
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder).at(&step())?;
            }
            fs::File::create(&place).at(&step())?;
        }
        move_mount(&tree, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).at(&step())?;
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        symlink(target, root.join("dev").join(name)).at("making /dev")?;
    }
    fs::set_permissions(root.join("dev"), Permissions::from_mode(0o555)).at("making /dev")?;
    Ok(root)
}

/// Maximum number of files in the scratch folder: one for each page, and some more. An inode takes about a kilobyte of
/// kernel memory, so empty files need a bound too.
fn scratch_files(scratch_bytes: u64) -> u64 {
    scratch_bytes / 4096 + 64
}

/// Mounts the box's `/proc`. Only a process of the box's own PID namespace can, and only while the host's `/proc` is still
/// mounted: in a user namespace the kernel allows a new mount only if it reveals nothing more than an existing one.
pub(super) fn mount_proc(root: &Path) -> Result<(), Refusal> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount(c"proc", root.join("proc"), c"proc", flags, c"subset=pid").at("mounting /proc")
}

/// Makes `root` the root of this mount namespace, unmounts the host's root, and makes everything except `/tmp`
/// read-only.
pub(super) fn enter(root: &Path) -> Result<(), Refusal> {
    nix::unistd::chdir(root).at("entering the root")?;
    pivot_root(".", ".").at("changing the root")?;
    unmount(".", UnmountFlags::DETACH).at("unmounting the host's root")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").at("reading the box's mounts")?;
    for (point, flags) in mounts.lines().filter_map(mount_of) {
        if point == "/tmp" {
            continue;
        }
        let devices = if point.starts_with("/dev/") { MountFlags::empty() } else { MountFlags::NODEV };
        let flags = flags | devices | MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
        mount_remount(point.as_str(), flags, c"").at(&format!("making {point} read-only"))?;
    }
    nix::unistd::chdir("/tmp").at("entering /tmp")
}

/// Mount point and flags in a line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). A remount must repeat the flags: in a user
/// namespace they are locked.
fn mount_of(line: &str) -> Option<(String, MountFlags)> {
    let mut fields = line.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut flags = MountFlags::empty();
    for option in options.split(',') {
        flags |= match option {
            "ro" => MountFlags::RDONLY,
            "nosuid" => MountFlags::NOSUID,
            "nodev" => MountFlags::NODEV,
            "noexec" => MountFlags::NOEXEC,
            _ => MountFlags::empty(),
        };
    }
    Some((unescaped(point), flags))
}

/// Undoes the kernel's octal escapes of spaces and other characters.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        if first == b'\\'
            && let Some(byte) = tail.get(..3).and_then(octal)
        {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mount_points_as_the_kernel_writes_them() {
        let line = r"36 35 98:0 /mnt1 /a\040b\134 rw,noatime,nosuid master:1 - ext3 /dev/root rw";
        assert_eq!(mount_of(line), Some((r"/a b\".into(), MountFlags::NOSUID)));
        assert_eq!(unescaped(r"\0"), r"\0");
        assert_eq!(mount_of("36 35"), None);
    }

    #[test]
    fn rejects_paths_that_belong_to_the_box() {
        for path in ["/", "usr", "/usr/../etc", "/tmp/x", "/proc", "/dev/sda", "/program/x", ""] {
            assert!(check_read_only(&[path.into()]).is_err(), "{path}");
        }
        assert!(check_read_only(&["/usr".into(), "/etc/ssl/certs".into(), "/procedures".into()]).is_ok());
    }
}
