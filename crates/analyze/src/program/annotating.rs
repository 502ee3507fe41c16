//! `--annotate`: writes copies of the captures with comments on the packets that prove something.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Result, anyhow};
use exposure_schema::{Capture, Exposure};

use crate::annotate::comments::Comments;
use crate::annotate::{Folder, Source};
use crate::input::discover::Input;
use crate::output::safe_text::safe;

/// Writes a copy of each capture, those of isolation runs included, and returns an outcome for each.
pub(super) fn annotate(
    directory: &Path,
    embeds_keys: bool,
    exposure: &Exposure,
    inputs: &[Input],
) -> Vec<Result<()>> {
    let mut folder = match Folder::open(directory) {
        Ok(folder) => folder,
        Err(error) => return vec![Err(error)],
    };
    let captures = exposure.captures.iter().zip(inputs);
    let mut outcomes: Vec<_> =
        captures.map(|(capture, input)| one(&mut folder, embeds_keys, capture, input)).collect();
    for run in &exposure.isolation {
        for (file, (comments, frames)) in Comments::of_run(run) {
            let file = Path::new(file);
            let key_log = Input::file(file).key_log.filter(|_| embeds_keys);
            let source = Source { file, name: file, frames, key_log: key_log.as_deref() };
            outcomes.push(write(&mut folder, source, &comments));
        }
    }
    outcomes
}

fn one(folder: &mut Folder, embeds_keys: bool, capture: &Capture, input: &Input) -> Result<()> {
    let Some(file) = input.spool.as_deref().or(input.capture.as_deref()) else {
        return Err(anyhow!(
            "standard input cannot be annotated, because it can be read only once; --follow keeps it"
        ));
    };
    let source = Source {
        file,
        name: input.capture.as_deref().unwrap_or(Path::new("stdin")),
        frames: Some(capture.frames),
        key_log: input.key_log.as_deref().filter(|_| embeds_keys),
    };
    write(folder, source, &Comments::of(capture, embeds_keys))
}

fn write(folder: &mut Folder, source: Source<'_>, comments: &Comments) -> Result<()> {
    let written = folder.write(source, comments)?;
    let mut notes = vec![format!("{} packet(s) with a comment", written.commented)];
    notes.extend(written.notes);
    // After stderr was closed there is nowhere left to report to.
    let _ = writeln!(
        io::stderr(),
        "analyze: wrote {}: {}",
        safe(&written.path.display().to_string()),
        safe(&notes.join("; "))
    );
    Ok(())
}
