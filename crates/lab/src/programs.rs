//! The executables of the other programs: in the folder of the lab's own executable, and nowhere else.
//!
//! A search path could find an older build of a program, and the run would prove something about that build.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The programs that the lab starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    AgentA,
    AgentB,
    Capturer,
    Certgen,
    Gateway,
    IsolationControl,
    Live,
    Runner,
}

impl Program {
    pub(crate) const ALL: [Self; 8] = [
        Self::AgentA,
        Self::AgentB,
        Self::Capturer,
        Self::Certgen,
        Self::Gateway,
        Self::IsolationControl,
        Self::Live,
        Self::Runner,
    ];

    /// The name of the package and of the executable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AgentA => "agent-a",
            Self::AgentB => "agent-b",
            Self::Capturer => "capturer",
            Self::Certgen => "certgen",
            Self::Gateway => "gateway",
            Self::IsolationControl => "isolation-control",
            Self::Live => "live",
            Self::Runner => "runner",
        }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The folder that holds the executables.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
    lab: PathBuf,
}

impl Programs {
    /// The folder of this executable.
    pub(crate) fn beside_this() -> anyhow::Result<Self> {
        let lab = std::env::current_exe().context("cannot find the lab's own executable")?;
        let folder = lab.parent().context("the lab's own executable is in no folder")?.to_owned();
        Ok(Self { folder, lab })
    }

    /// The path of a program, which may not exist.
    pub(crate) fn path(&self, program: Program) -> PathBuf {
        self.folder.join(format!("{program}{EXE_SUFFIX}"))
    }

    /// The lab's own executable.
    pub(crate) fn lab(&self) -> &Path {
        &self.lab
    }

    /// The programs that are not built.
    pub(crate) fn missing(&self, wanted: &[Program]) -> Vec<Program> {
        wanted.iter().copied().filter(|&program| !self.path(program).is_file()).collect()
    }

    /// Fails with the build command if a program is not built.
    pub(crate) fn require(&self, wanted: &[Program]) -> anyhow::Result<()> {
        let missing = self.missing(wanted);
        if !missing.is_empty() {
            bail!(
                "programs not built in {}: {}; run `{}`",
                self.folder.display(),
                names(&missing),
                build_command(&missing)
            );
        }
        Ok(())
    }
}

fn names(programs: &[Program]) -> String {
    programs.iter().map(|program| program.name()).collect::<Vec<_>>().join(", ")
}

/// The command that builds the programs into the folder of this executable.
pub(crate) fn build_command(programs: &[Program]) -> String {
    let mut command = "cargo build".to_owned();
    if !cfg!(debug_assertions) {
        command.push_str(" --release");
    }
    for program in programs {
        command.push_str(" -p ");
        command.push_str(program.name());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_missing_programs_and_the_command_that_builds_them() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs { folder: folder.path().to_owned(), lab: folder.path().join("lab") };
        std::fs::write(programs.path(Program::AgentA), b"").unwrap();
        programs.require(&[Program::AgentA]).unwrap();
        let error = programs.require(&[Program::AgentA, Program::AgentB, Program::Capturer]).unwrap_err();
        assert!(error.to_string().contains("agent-b, capturer; run `cargo build"), "{error}");
        assert!(error.to_string().ends_with("-p agent-b -p capturer`"), "{error}");
    }
}
