//! A coding agent without a model, which works offline in a sandbox: it carries out the edits and commands of the prompt in the
//! workspace of the conversation, and gives the workspace back.
//!
//! ```text
//! write FILE        the lines up to one that is a single full stop become the file
//! replace FILE      the text of the next line becomes that of the line behind it, wherever it is in the file
//! show FILE
//! remove FILE
//! run COMMAND ARG…  in the workspace, such as its tests; no shell is involved
//! ```
//!
//! It shows what a program for sandboxes with a workspace must do: read `plainsight.prompt/1` from stdin, unpack the archive below
//! `/tmp`, work, and write the answer and the new archive to stdout.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// Where the workspace is unpacked: below the only writable folder of a sandbox.
const FOLDER: &str = "/tmp/workspace";

/// Longest part of a command's output in the answer, in characters.
const MAX_SHOWN: usize = 4000;

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offline-coder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), Failed> {
    let mut prompt = Vec::new();
    io::stdin().read_to_end(&mut prompt)?;
    let document: Value = serde_json::from_slice(&prompt)?;
    let archive = document["workspace"]
        .as_str()
        .ok_or("the prompt has no workspace: start the gateway with --workspaces")?;
    fs::create_dir(FOLDER)?;
    // `unpack` refuses names and links that lead out of the folder.
    tar::Archive::new(&BASE64_STANDARD.decode(archive)?[..]).unpack(FOLDER)?;

    let mut answer = String::new();
    let mut lines = document["prompt"].as_str().unwrap_or_default().lines();
    while let Some(line) = lines.next() {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let done = match word {
            "" => continue,
            "write" => write(rest, &mut lines),
            "replace" => replace(rest, &mut lines),
            "show" => file(rest).and_then(|path| Ok(fs::read_to_string(path)?)),
            "remove" => {
                file(rest).and_then(|path| Ok(fs::remove_file(path).map(|()| format!("removed {rest}"))?))
            }
            "run" => run(rest),
            other => Err(format!("{other:?} is no step: write, replace, show, remove and run are").into()),
        };
        // As an agent does, it goes on, and says what failed.
        let done = done.unwrap_or_else(|error| format!("{word} {rest}: {error}"));
        answer += done.trim_end();
        answer.push('\n');
    }

    let mut archive = tar::Builder::new(Vec::new());
    // A link is kept as one: what it names may be the host's file in the next sandbox only by name.
    archive.follow_symlinks(false);
    archive.append_dir_all(".", FOLDER)?;
    let record = json!({
        "schema": "plainsight.workspace/1",
        "archive": BASE64_STANDARD.encode(archive.into_inner()?),
    });
    // What a command printed may hold the character that ends the answer.
    let answer = answer.replace('\u{1e}', "\u{fffd}");
    write!(io::stdout(), "{answer}\u{1e}{record}")?;
    Ok(())
}

fn write<'l>(name: &str, lines: &mut impl Iterator<Item = &'l str>) -> Result<String, Failed> {
    let text: String = lines.take_while(|line| *line != ".").flat_map(|line| [line, "\n"]).collect();
    let path = file(name)?;
    fs::create_dir_all(path.parent().unwrap_or(Path::new(FOLDER)))?;
    fs::write(path, &text)?;
    Ok(format!("wrote {name}, {} bytes", text.len()))
}

fn replace<'l>(name: &str, lines: &mut impl Iterator<Item = &'l str>) -> Result<String, Failed> {
    let (Some(old), Some(new)) = (lines.next(), lines.next()) else {
        return Err("two lines must follow: the old text and the new one".into());
    };
    let path = file(name)?;
    let text = fs::read_to_string(&path)?;
    if old.is_empty() || !text.contains(old) {
        return Err(format!("{old:?} is not in it").into());
    }
    fs::write(path, text.replace(old, new))?;
    Ok(format!("replaced {old} by {new} in {name}"))
}

fn run(line: &str) -> Result<String, Failed> {
    let mut words = line.split_whitespace();
    let program = words.next().ok_or("no command")?;
    let output =
        Command::new(program).args(words).current_dir(FOLDER).env("PATH", "/usr/bin:/bin").output()?;
    let status = output.status.code().map_or("no status".to_owned(), |code| format!("status {code}"));
    let printed = [output.stdout, output.stderr].concat();
    let printed: String = String::from_utf8_lossy(&printed).chars().take(MAX_SHOWN).collect();
    Ok(format!("ran {line}: {status}\n{printed}"))
}

/// A path in the workspace.
fn file(name: &str) -> Result<PathBuf, Failed> {
    let is_inside = |part| matches!(part, Component::Normal(_));
    match !name.is_empty() && Path::new(name).components().all(is_inside) {
        true => Ok(Path::new(FOLDER).join(name)),
        false => Err("it is no file of the workspace".into()),
    }
}
