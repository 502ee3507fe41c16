//! Completions and manual pages, made from the command line itself.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// What completes the commands in a shell.
pub(crate) fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// Writes a manual page for the program, and one for each of its commands: `plainsight.1`, `plainsight-lab-run.1`.
///
/// # Errors
/// If a page cannot be written.
pub(crate) fn write_manual(command: Command, folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(command, folder)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    /// The shells whose completions are committed, and their files.
    const SHELLS: [(Shell, &str); 4] = [
        (Shell::Bash, "plainsight.bash"),
        (Shell::Zsh, "_plainsight"),
        (Shell::Fish, "plainsight.fish"),
        (Shell::PowerShell, "_plainsight.ps1"),
    ];

    fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let file = |entry: io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().into(), fs::read_to_string(path).unwrap())
        };
        entries.map(file).collect()
    }

    /// Compares a folder of the crate with what the program writes; `UPDATE_PAGES=1` writes the folder anew.
    fn is_current(name: &str, made: &Path) {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("UPDATE_PAGES").is_some() {
            let _ = fs::remove_dir_all(&committed);
            fs::create_dir(&committed).unwrap();
            for (file, text) in files(made) {
                fs::write(committed.join(file), text).unwrap();
            }
        }
        let (made, committed) = (files(made), files(&committed));
        let differ: Vec<_> = made
            .keys()
            .chain(committed.keys())
            .filter(|file| made.get(*file) != committed.get(*file))
            .collect();
        assert!(differ.is_empty(), "UPDATE_PAGES=1 cargo test -p plainsight writes these anew: {differ:?}");
    }

    #[test]
    fn the_committed_completions_are_current() {
        let folder = tempfile::tempdir().unwrap();
        for (shell, file) in SHELLS {
            fs::write(folder.path().join(file), completions(Cli::command(), shell)).unwrap();
        }
        is_current("completions", folder.path());
    }

    #[test]
    fn the_committed_manual_is_current() {
        let folder = tempfile::tempdir().unwrap();
        write_manual(Cli::command(), folder.path()).unwrap();
        is_current("man", folder.path());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
