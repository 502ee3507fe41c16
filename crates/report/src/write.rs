//! Writes the report's files: first into a staging folder, from where they are renamed at the end, so that an earlier
//! report stays intact until the new one is complete.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::browser::Browser;
use crate::document::{Block, Document};
use crate::render::docx::{self, Picture};
use crate::render::{html, markdown, pdf};

const MARKDOWN: &str = "report.md";
const HTML: &str = "report.html";
const PDF: &str = "report.pdf";
const DOCX: &str = "report.docx";
const FIGURES: &str = "figures";

/// Formats besides Markdown and HTML.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formats {
    pub(crate) pdf: bool,
    pub(crate) docx: bool,
}

/// What was written, and what failed.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Paths of the files that were written.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) notes: Vec<String>,
    pub(crate) errors: Vec<anyhow::Error>,
}

/// Writes the report into a folder, which is created if it does not exist.
pub(crate) fn report(document: &Document, folder: &Path, formats: Formats) -> Written {
    let mut written = Written::default();
    if let Err(error) = write(document, folder, formats, &mut written) {
        written.errors.push(error);
    }
    written
}

fn write(document: &Document, folder: &Path, formats: Formats, written: &mut Written) -> anyhow::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let what = || format!("cannot write into {}", folder.display());
    fs::create_dir_all(folder).with_context(what)?;
    // In the target folder, because renaming cannot cross file systems.
    let staging = tempfile::Builder::new().prefix(".report-").tempdir_in(folder).with_context(what)?;
    let mut names = Vec::new();
    let mut stage = |name: String, text: String| {
        fs::write(staging.path().join(&name), text).with_context(|| format!("cannot write {name}"))?;
        names.push(name);
        anyhow::Ok(())
    };
    fs::create_dir(staging.path().join(FIGURES)).with_context(what)?;
    for figure in figures(document) {
        stage(format!("{FIGURES}/{}.svg", figure.name), figure.file())?;
    }
    stage(MARKDOWN.to_owned(), markdown::document(document))?;
    stage(HTML.to_owned(), html::page(document))?;
    if formats.pdf {
        // Not in the system's folder for temporary files, which a confined browser (snap) cannot read.
        let scratch = staging.path().join("print");
        fs::create_dir(&scratch).with_context(what)?;
        match pdf::print(document, &staging.path().join(PDF), &scratch) {
            Ok(()) => names.push(PDF.to_owned()),
            Err(error) => written.errors.push(error.context(format!("no {PDF}"))),
        }
    }
    if formats.docx {
        match word(document, staging.path()) {
            Ok(()) => names.push(DOCX.to_owned()),
            Err(error) => written.errors.push(error.context(format!("no {DOCX}"))),
        }
    }
    let figures = folder.join(FIGURES);
    fs::create_dir_all(&figures).with_context(|| format!("cannot make {}", figures.display()))?;
    for name in &names {
        let (staged, path) = (staging.path().join(name), folder.join(name));
        // The result that the report quotes is readable by its owner only.
        owner_only(&staged)
            .and_then(|()| fs::rename(staged, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        if !name.starts_with(FIGURES) {
            written.files.push(path);
        }
    }
    remove_others(&figures, &names);
    for (file, flag) in [(PDF, "--pdf"), (DOCX, "--docx")] {
        if !names.iter().any(|name| name == file) && folder.join(file).exists() {
            let path = folder.join(file);
            written
                .notes
                .push(format!("{} belongs to an earlier report; {flag} replaces it", path.display()));
        }
    }
    Ok(())
}

/// Writes the document of Word into the staging folder, where the figures are.
fn word(document: &Document, staging: &Path) -> anyhow::Result<()> {
    let browser = Browser::find()?;
    let mut pictures = HashMap::new();
    for figure in figures(document) {
        let scratch = staging.join(format!("draw-{}", figure.name));
        fs::create_dir(&scratch).context("a folder for the browser")?;
        let (width, height) = figure.svg.size();
        let svg = staging.join(FIGURES).join(format!("{}.svg", figure.name));
        let png = scratch.join("figure.png");
        browser.draw(&svg, (width.ceil() as u32, height.ceil() as u32), &png, &scratch)?;
        let bytes = fs::read(&png).context("reading what was drawn")?;
        let picture = Picture { bytes, ratio: height.ceil() / width.ceil(), is_wide: figure.svg.is_wide() };
        pictures.insert(figure.name.clone(), picture);
    }
    let document = docx::document(document, &pictures).context("writing the archive")?;
    fs::write(staging.join(DOCX), document).context("writing the document")
}

/// Gives a file mode 0600, where the system has modes.
fn owner_only(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn figures(document: &Document) -> impl Iterator<Item = &crate::figure::Figure> {
    let blocks = document.sections.iter().flat_map(|section| &section.blocks);
    blocks.flat_map(|block| match block {
        Block::Figures(figures) => figures.as_slice(),
        _ => &[],
    })
}

/// Removes drawings of an earlier report that this report does not have.
fn remove_others(folder: &Path, names: &[String]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(".svg") && !names.contains(&format!("{FIGURES}/{name}")) {
            // A drawing that remains is harmless: the report does not refer to it.
            let _ = fs::remove_file(entry.path());
        }
    }
}
