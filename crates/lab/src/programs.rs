//! The executables of the other programs.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use experiment::Executables;

/// The lab's own name.
const LAB: &str = "lab";

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

/// The executables that the lab starts.
#[derive(Debug, Clone)]
pub(crate) struct Programs(Executables);

impl Programs {
    /// Those that belong to this executable.
    pub(crate) fn of_this() -> anyhow::Result<Self> {
        Executables::of_this().map(Self).context("cannot find the lab's own executable")
    }

    /// The executable of a program, which may not exist.
    pub(crate) fn path(&self, program: Program) -> PathBuf {
        self.0.file(program.name())
    }

    /// The words that start a program: its executable, and what precedes its own arguments.
    pub(crate) fn words(&self, program: Program) -> Vec<OsString> {
        self.words_of(program.name())
    }

    /// The words that start the lab itself.
    pub(crate) fn lab(&self) -> Vec<OsString> {
        self.words_of(LAB)
    }

    /// The lab's own executable.
    pub(crate) fn lab_path(&self) -> PathBuf {
        self.0.file(LAB)
    }

    fn words_of(&self, name: &str) -> Vec<OsString> {
        let mut words = vec![self.0.file(name).into_os_string()];
        words.extend(self.0.arguments(name));
        words
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
                self.0.folder().display(),
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
        let programs = Programs(Executables::beside(folder.path().join(LAB)));
        std::fs::write(programs.path(Program::AgentA), b"").unwrap();
        programs.require(&[Program::AgentA]).unwrap();
        let error = programs.require(&[Program::AgentA, Program::AgentB, Program::Capturer]).unwrap_err();
        assert!(error.to_string().contains("agent-b, capturer; run `cargo build"), "{error}");
        assert!(error.to_string().ends_with("-p agent-b -p capturer`"), "{error}");
    }
}
