//! Where the project's programs are: each an executable beside this one, or all of them in this one.
//!
//! There is no search path: it could find an older build of a program, and a run would prove something about that build.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

static CONTAINS_ALL: AtomicBool = AtomicBool::new(false);

/// States that this executable contains every program: it starts one when the program's name is its first argument.
pub fn this_contains_all() {
    CONTAINS_ALL.store(true, Ordering::Relaxed);
}

/// The executables of the programs.
#[derive(Debug, Clone)]
pub struct Executables {
    this: PathBuf,
    contains_all: bool,
}

impl Executables {
    /// Those that belong to this executable.
    ///
    /// # Errors
    /// If the path of this executable is unknown.
    pub fn of_this() -> io::Result<Self> {
        let contains_all = CONTAINS_ALL.load(Ordering::Relaxed);
        Ok(Self { this: std::env::current_exe()?, contains_all })
    }

    /// Those beside an executable.
    #[must_use]
    pub fn beside(this: PathBuf) -> Self {
        Self { this, contains_all: false }
    }

    /// The file that contains a program, which may not exist.
    #[must_use]
    pub fn file(&self, program: &str) -> PathBuf {
        match self.contains_all {
            true => self.this.clone(),
            false => self.this.with_file_name(format!("{program}{EXE_SUFFIX}")),
        }
    }

    /// The arguments in front of the program's own ones.
    #[must_use]
    pub fn arguments(&self, program: &str) -> Vec<OsString> {
        self.contains_all.then(|| program.into()).into_iter().collect()
    }

    /// The folder of this executable.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.this.parent().unwrap_or(Path::new("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_beside_this_one_or_inside_of_it() {
        let beside = Executables::beside("/bin/lab".into());
        assert_eq!(beside.file("agent-a"), Path::new("/bin").join(format!("agent-a{EXE_SUFFIX}")));
        assert!(beside.arguments("agent-a").is_empty());
        assert_eq!(beside.folder(), Path::new("/bin"));
        let inside = Executables { contains_all: true, ..beside };
        assert_eq!(inside.file("agent-a"), Path::new("/bin/lab"));
        assert_eq!(inside.arguments("agent-a"), ["agent-a"]);
    }
}
