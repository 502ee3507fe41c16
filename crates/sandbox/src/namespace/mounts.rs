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
//!
//! Boxes of two users must not meet in a file of the host. The program and single files are copied into the box's root: inode
//! and page cache are the box's own. Folders can be large; each box gets its own overlay over them, whose inodes are the box's
//! own but whose pages are the host's. Through an overlay no Unix socket, pipe or device of the host can be reached, also
//! none that is made later: the overlay's inode for it is another one. The devices in `/dev` are the host's; nothing that a
//! box may do acts on their inodes.

use std::ffi::{CString, OsString};
use std::fs::{self, FileType, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::unistd::pivot_root;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};

use super::protocol::{PROGRAM_FOLDER, Prelude};
use crate::Refusal;
use crate::error::At;

/// Device nodes that programs need. None of them stores data.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Space in the root besides the copied files, in bytes. A tmpfs counts no pages for directory entries.
const ROOT_BYTES: u64 = 64 << 10;

/// Paths that belong to the box itself.
const RESERVED: [&str; 4] = [PROGRAM_FOLDER, "/dev", "/proc", "/tmp"];

/// Largest file in bytes that is copied into a box. A larger one comes through an overlay of its folder.
const MAX_COPY: u64 = 16 << 20;

/// The files that a box will get, opened.
pub(super) struct Sources(Vec<Source>);

struct Source {
    /// Its path in the box.
    target: PathBuf,
    content: Content,
}

enum Content {
    /// A detached copy of the mount of a device.
    Device(OwnedFd),
    /// A file to copy.
    File { file: fs::File, bytes: u64, is_executable: bool },
    /// A detached copy of the mount of a folder.
    Folder(OwnedFd),
    /// The same, of which only this file is wanted.
    FileIn { folder: OwnedFd, name: OsString },
}

impl Sources {
    /// Opens them with the rights of the calling process, because root can reach files that the box's user cannot.
    pub(super) fn take(prelude: &Prelude) -> Result<Self, Refusal> {
        let mut sources = Vec::new();
        for device in DEVICES {
            // Shared memory by mapping it would belong to no process; see `watch.rs`.
            if device == "zero" && prelude.watch_memory {
                continue;
            }
            let path = Path::new("/dev").join(device);
            sources.push(Source { content: Content::Device(mount_of_path(&path)?), target: path });
        }
        let mut folders: Vec<&Path> = Vec::new();
        let mut paths: Vec<&Path> = prelude.read_only.iter().map(PathBuf::as_path).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            // Another folder in the list includes this path.
            if folders.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let content = content(path)?;
            if matches!(content, Content::Folder(_)) {
                folders.push(path);
            }
            sources.push(Source { target: path.to_owned(), content });
        }
        if let (Some(program), Some(inside)) = (&prelude.program, prelude.program_inside()) {
            sources.push(Source { content: content(program)?, target: inside });
        }
        Ok(Self(sources))
    }

    /// Space that the copies need in a tmpfs, in bytes.
    fn copied_bytes(&self) -> u64 {
        let bytes = |source: &Source| match &source.content {
            Content::File { bytes, .. } => bytes.next_multiple_of(PAGE),
            _ => 0,
        };
        self.0.iter().map(bytes).sum()
    }
}

/// Largest size of a page on the supported architectures in bytes.
const PAGE: u64 = 64 << 10;

fn content(path: &Path) -> Result<Content, Refusal> {
    let step = || format!("looking at {}", path.display());
    let metadata = fs::metadata(path).at(&step())?;
    if metadata.is_dir() {
        return Ok(Content::Folder(mount_of_path(path)?));
    }
    if let Some(kind) = way_out(metadata.file_type()) {
        return Err(io::Error::other(format!("it is {kind}, and would be a way out of the box"))).at(&step());
    }
    if metadata.len() <= MAX_COPY {
        let file = fs::File::open(path).at(&format!("opening {}", path.display()))?;
        let is_executable = metadata.mode() & 0o111 != 0;
        return Ok(Content::File { file, bytes: metadata.len(), is_executable });
    }
    // The link itself may be in another folder.
    let path = fs::canonicalize(path).at(&step())?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => {
            Ok(Content::FileIn { folder: mount_of_path(folder)?, name: name.to_owned() })
        }
        _ => Err(io::Error::other("it is in no folder")).at(&step()),
    }
}

/// A detached copy of the mount that shows `path`.
fn mount_of_path(path: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).at(&format!("copying the mount of {}", path.display()))
}

/// The words for a file through which a box could talk to the host.
fn way_out(kind: FileType) -> Option<&'static str> {
    if kind.is_socket() {
        Some("a Unix socket")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else {
        None
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
        // A missing file is refused when a box is made.
        if let Ok(metadata) = fs::metadata(path) {
            reject_ways_out(path, metadata.file_type())?;
        }
    }
    Ok(())
}

/// Rejects sockets, pipes and devices, also those anywhere below a folder. Folders that this process cannot read are left
/// out: the overlay keeps their sockets out of reach too, as it does with those that are made later.
fn reject_ways_out(path: &Path, kind: FileType) -> Result<(), String> {
    if let Some(what) = way_out(kind) {
        return Err(format!(
            "{} is {what}, through which a box could reach the host; remove it, or name files or folders without it",
            path.display()
        ));
    }
    if !kind.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        // Links are not followed: in the box they lead to the box's own files.
        if let Ok(kind) = entry.file_type() {
            reject_ways_out(&entry.path(), kind)?;
        }
    }
    Ok(())
}

/// The folder of the host's mount namespace over which a box's root is built, in a mount namespace of the box's own.
pub(super) const ROOT: &str = "/tmp";

/// Builds the root, all but its `/proc` and the scratch folder, over an existing folder of this mount namespace, which has
/// no other process.
pub(super) fn build(sources: Sources) -> Result<(), Refusal> {
    let root = Path::new(ROOT);
    // No mount propagates into or out of this namespace.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at("keeping mounts private")?;
    let size = ROOT_BYTES + sources.copied_bytes();
    mount_root(root, size).at("mounting the root")?;
    for folder in ["dev", "proc", "tmp", "program", LOWER, SHOWN] {
        fs::create_dir(root.join(folder)).at("making the box's folders")?;
    }
    for Source { target, content } in sources.0 {
        let place = root.join(target.strip_prefix("/").unwrap_or(&target));
        provide(content, &place, root).at(&format!("making {} in the box", target.display()))?;
    }
    for folder in [LOWER, SHOWN] {
        fs::remove_dir(root.join(folder)).at("making the box's folders")?;
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        symlink(target, root.join("dev").join(name)).at("making /dev")?;
    }
    fs::set_permissions(root.join("dev"), Permissions::from_mode(0o555)).at("making /dev")
}

/// Mounts the tmpfs of a box's root. In huge pages a program of some mebibytes is copied in a fifth of the time.
fn mount_root(root: &Path, size: u64) -> io::Result<()> {
    let options = format!("size={size},nr_inodes=4096,mode=755");
    let with = |options: String| -> io::Result<()> {
        let options = text(options)?;
        Ok(mount(c"root", root, c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?)
    };
    // A kernel without huge pages does not know the option.
    with(format!("{options},huge=within_size")).or_else(|_| with(options))
}

/// Mounts the scratch folder in a box's root that has been entered, and makes it the working folder.
pub(super) fn mount_scratch(scratch_bytes: u64) -> Result<(), Refusal> {
    let options = format!("size={scratch_bytes},nr_inodes={},mode=1777", scratch_files(scratch_bytes));
    let options = text(options).at("mounting the scratch folder")?;
    mount(c"scratch", "/tmp", c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
        .at("mounting the scratch folder")?;
    nix::unistd::chdir("/tmp").at("entering /tmp")
}

/// The folder of the root on which the host's folders are mounted while overlays over them are made.
const LOWER: &str = "lower";

/// The folder of the root for an overlay of which only one file is wanted.
const SHOWN: &str = "shown";

/// Puts one source to its place in the box's root.
fn provide(content: Content, place: &Path, root: &Path) -> io::Result<()> {
    let file_at_place = || {
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create(place)
    };
    match content {
        Content::Device(tree) => {
            file_at_place()?;
            attach(&tree, place)
        }
        Content::File { mut file, bytes, is_executable } => {
            let mut copy = file_at_place()?;
            // Huge pages are for what is within the size.
            copy.set_len(bytes)?;
            // Not more than there is space for, if it has grown.
            io::copy(&mut (&mut file).take(bytes), &mut copy)?;
            copy.set_permissions(Permissions::from_mode(if is_executable { 0o555 } else { 0o444 }))
        }
        Content::Folder(tree) => {
            fs::create_dir_all(place)?;
            overlay(&tree, place, root)
        }
        Content::FileIn { folder, name } => {
            file_at_place()?;
            let shown = root.join(SHOWN);
            overlay(&folder, &shown, root)?;
            mount_bind(shown.join(name), place)?;
            Ok(unmount(&shown, UnmountFlags::DETACH)?)
        }
    }
}

fn attach(tree: &OwnedFd, place: &Path) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Mounts an overlay over one folder at `place`, read-only.
fn overlay(tree: &OwnedFd, place: &Path, root: &Path) -> io::Result<()> {
    let lower = root.join(LOWER);
    attach(tree, &lower)?;
    // Without an upper folder it needs a second lower one. The mount of `/proc` will hide this empty one.
    let options = text(format!("lowerdir={}:{},userxattr", lower.display(), root.join("proc").display()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    let mounted = mount(c"overlay", place, c"overlay", flags, options.as_c_str());
    // The overlay keeps the folder.
    unmount(&lower, UnmountFlags::DETACH)?;
    mounted.map_err(|error| {
        io::Error::other(format!(
            "no overlay over it: {}; it needs overlayfs in user namespaces (Linux 5.11), a folder without mounts below \
             it, and not itself an overlay of several levels",
            io::Error::from(error)
        ))
    })
}

fn text(options: String) -> io::Result<CString> {
    Ok(CString::new(options)?)
}

/// Maximum number of files in the scratch folder: one for each page, and some more. An inode takes about a kilobyte of
/// kernel memory, so empty files need a bound too.
fn scratch_files(scratch_bytes: u64) -> u64 {
    scratch_bytes / 4096 + 64
}

/// Mounts the `/proc` of a box. Only a process of the box's own PID namespace can, and only while the host's `/proc` is still
/// mounted: in a user namespace the kernel allows a new mount only if it reveals nothing more than an existing one.
pub(super) fn mount_proc(root: &Path) -> Result<(), Refusal> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount(c"proc", root.join("proc"), c"proc", flags, c"subset=pid").at("mounting /proc")
}

/// Makes `root` the root of this mount namespace, unmounts the host's root, and makes everything
/// read-only. The scratch folder is mounted afterwards.
pub(super) fn enter(root: &Path) -> Result<(), Refusal> {
    nix::unistd::chdir(root).at("entering the root")?;
    pivot_root(".", ".").at("changing the root")?;
    unmount(".", UnmountFlags::DETACH).at("unmounting the host's root")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").at("reading the box's mounts")?;
    for (point, flags) in mounts.lines().filter_map(mount_of) {
        let devices = if point.starts_with("/dev/") { MountFlags::empty() } else { MountFlags::NODEV };
        let flags = flags | devices | MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
        mount_remount(point.as_str(), flags, c"").at(&format!("making {point} read-only"))?;
    }
    Ok(())
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
