//! Whether a program is statically linked: reads from an ELF file only whether it names an interpreter.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Length of an ELF header of 64 bits (ELF-64 object file format, version 1.5, table 1).
const HEADER: usize = 64;
/// Offsets in the header: class, byte order, and the program headers' offset, size and number.
const CLASS: usize = 4;
const DATA: usize = 5;
const PH_OFFSET: usize = 32;
const PH_SIZE: usize = 54;
const PH_COUNT: usize = 56;
/// Offsets in a program header.
const P_TYPE: usize = 0;
const P_OFFSET: usize = 8;
const P_FILESZ: usize = 32;

/// The program header that names an interpreter.
const PT_INTERP: u32 = 3;

/// Maximum number of program headers that are read. Real programs have a dozen.
const MAX_HEADERS: usize = 128;

/// Longest name of an interpreter, `PATH_MAX`.
const MAX_INTERPRETER: u64 = 4096;

/// How a program is loaded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Without an interpreter.
    Static,
    /// By this interpreter, which also loads the libraries.
    Dynamic(PathBuf),
    /// A script, or a program for another kind of machine.
    Other,
}

pub(crate) fn kind(program: &Path) -> io::Result<Kind> {
    let mut file = File::open(program)?;
    let mut header = [0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        match file.read(&mut header[filled..])? {
            0 => return Ok(Kind::Other),
            n => filled += n,
        }
    }
    // 64 bits, little-endian: all of Rust's tier 1 targets with Linux, except those of 32 bits.
    if header[..4] != *b"\x7fELF" || header[CLASS] != 2 || header[DATA] != 1 {
        return Ok(Kind::Other);
    }
    let size = usize::from(u16_at(&header, PH_SIZE));
    let count = usize::from(u16_at(&header, PH_COUNT));
    if size < P_FILESZ + 8 || count > MAX_HEADERS {
        return Ok(Kind::Other);
    }
    let mut table = vec![0; size * count];
    file.seek(SeekFrom::Start(u64_at(&header, PH_OFFSET)))?;
    file.read_exact(&mut table)?;
    for entry in table.chunks_exact(size) {
        if u32_at(entry, P_TYPE) != PT_INTERP {
            continue;
        }
        let length = u64_at(entry, P_FILESZ);
        if length > MAX_INTERPRETER {
            return Ok(Kind::Other);
        }
        file.seek(SeekFrom::Start(u64_at(entry, P_OFFSET)))?;
        let mut name = Vec::new();
        file.take(length).read_to_end(&mut name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok(Kind::Dynamic(PathBuf::from(String::from_utf8_lossy(name).into_owned())));
    }
    Ok(Kind::Static)
}

/// Interpreter and libraries of a dynamically linked program, as its interpreter lists them; empty for a static program. For
/// [`crate::Options::read_only`], so that a box gets these few files instead of `/usr`.
///
/// Runs the interpreter that the program names: call it for trusted programs only.
///
/// # Errors
/// When the program or one of its libraries is missing, or the program is not a 64-bit ELF file.
pub fn libraries_of(program: &Path) -> io::Result<Vec<PathBuf>> {
    let interpreter = match kind(program)? {
        Kind::Static => return Ok(Vec::new()),
        Kind::Dynamic(interpreter) => interpreter,
        Kind::Other => {
            return Err(io::Error::other(format!("{} is not a 64-bit ELF program", program.display())));
        }
    };
    let output =
        Command::new(&interpreter).arg("--list").arg(program).stdin(Stdio::null()).env_clear().output()?;
    let listed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || listed.contains("not found") {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "{} --list {} did not find all libraries: {}{}",
            interpreter.display(),
            program.display(),
            listed.trim(),
            stderr.trim()
        )));
    }
    let mut files: BTreeSet<PathBuf> = listed.lines().filter_map(listed_file).map(PathBuf::from).collect();
    files.insert(interpreter);
    Ok(files.into_iter().collect())
}

/// The file in a line such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`. The line of the kernel's own
/// library has none.
fn listed_file(line: &str) -> Option<&str> {
    let file = line.split_once("=> ").map_or(line, |(_, file)| file).trim();
    file.split(" (").next().filter(|file| file.starts_with('/'))
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from(u16_at(bytes, offset)) | u32::from(u16_at(bytes, offset + 2)) << 16
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_the_lines_of_the_list() {
        let line = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0f8a000000)";
        assert_eq!(listed_file(line), Some("/lib/x86_64-linux-gnu/libc.so.6"));
        assert_eq!(
            listed_file("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(listed_file("\tlinux-vdso.so.1 (0x00007ffd)"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn finds_the_libraries_of_this_program() {
        let this = std::env::current_exe().unwrap();
        let files = libraries_of(&this).unwrap();
        match kind(&this).unwrap() {
            Kind::Static => assert!(files.is_empty()),
            Kind::Dynamic(interpreter) => {
                assert!(files.contains(&interpreter) && files.iter().all(|file| file.exists()));
            }
            Kind::Other => panic!("this program runs"),
        }
    }

    /// Cuts a header with one program header at each length, and changes each of its bytes: the result is a kind or an
    /// error, never a panic.
    #[test]
    fn damaged_files_cause_no_panic() {
        let mut whole = vec![0; HEADER + 56 + 8];
        whole[..6].copy_from_slice(b"\x7fELF\x02\x01");
        whole[PH_OFFSET] = HEADER as u8;
        whole[PH_SIZE] = 56;
        whole[PH_COUNT] = 1;
        whole[HEADER] = PT_INTERP as u8;
        whole[HEADER + P_OFFSET] = (HEADER + 56) as u8;
        whole[HEADER + P_FILESZ] = 8;
        whole[HEADER + 56..].copy_from_slice(b"/lib/ld\0");
        let write = |bytes: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        assert_eq!(kind(write(&whole).path()).unwrap(), Kind::Dynamic("/lib/ld".into()));
        for length in 0..whole.len() {
            let _ = kind(write(&whole[..length]).path());
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] = 0xff;
            let _ = kind(write(&changed).path());
        }
        assert_eq!(kind(write(b"#!/bin/sh\n").path()).unwrap(), Kind::Other);
    }
}
