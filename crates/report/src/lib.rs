//! `report`: turns the analyzer's result into the lab report.

mod browser;
mod document;
mod figure;
mod i18n;
mod model;
mod read;
mod render;
mod template;
mod visible;
mod write;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::document::{TitlePage, Wishes};
use crate::i18n::Lang;
use crate::write::Formats;

/// Turns the analyzer's result into the lab report: report.md with its figures, report.html and, on request,
/// report.pdf and report.docx.
///
/// Exit status: 0 written, 1 a file could not be written, 2 usage or input error.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// The analyzer's result, plainsight.exposure/1
    #[arg(default_value = "analysis/exposure.json")]
    exposure: PathBuf,

    /// Folder to write the report to [default: that of the result]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Language of the report [default: that of the locale]
    #[arg(long, value_enum)]
    lang: Option<Lang>,

    /// Author on the title page
    #[arg(long, value_name = "NAME")]
    author: Option<String>,

    /// Course on the title page
    #[arg(long, value_name = "NAME")]
    course: Option<String>,

    /// Date on the title page [default: the day of the first frame, UTC]
    #[arg(long, value_name = "DATE")]
    date: Option<String>,

    /// Title of the report
    #[arg(long)]
    title: Option<String>,

    /// Add the appendices: every frame that the report refers to, more strings, more code and figures
    #[arg(long, conflicts_with = "template")]
    appendix: bool,

    /// Sections in an order of one's own, with titles and paragraphs of one's own: a TOML file (docs/programs/report.md)
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// Write report.pdf as well; needs Chromium or Chrome (variable CHROME)
    #[arg(long)]
    pdf: bool,

    /// Write report.docx as well, for Word; needs Chromium or Chrome for its pictures
    #[arg(long)]
    docx: bool,
}

/// Exit statuses.
mod exit {
    /// The report is written.
    pub(crate) const WRITTEN: u8 = 0;
    /// A file could not be written.
    pub(crate) const NOT_WRITTEN: u8 = 1;
    /// The input or the command line is unusable, or a permission is missing.
    pub(crate) const INPUT: u8 = 2;
}

/// Does what the command line asks for.
#[must_use]
pub fn main(flags: Cli) -> ExitCode {
    ExitCode::from(run(flags))
}

fn run(flags: Cli) -> u8 {
    let exposure = match read::exposure(&flags.exposure) {
        Ok(exposure) => exposure,
        Err(error) => {
            say(&format!("{error:#}"));
            return exit::INPUT;
        }
    };
    let variable = |name: &str| std::env::var(name).ok();
    let lang = flags.lang.unwrap_or_else(|| Lang::of_environment(variable));
    let beside = flags.exposure.parent().map(PathBuf::from).unwrap_or_default();
    let output = flags.output.unwrap_or(beside);
    let title_page =
        TitlePage { title: flags.title, author: flags.author, course: flags.course, date: flags.date };
    let template = match flags.template.as_deref().map(template::read).transpose() {
        Ok(template) => template,
        Err(error) => {
            say(&error.to_string());
            return exit::INPUT;
        }
    };
    let wishes = Wishes { title_page, appendix: flags.appendix, template };
    let document = document::build(&exposure, lang, &wishes);
    let written = write::report(&document, &output, Formats { pdf: flags.pdf, docx: flags.docx });
    for path in &written.files {
        // The reader of a pipe may have closed it, which is no error.
        let _ = writeln!(io::stdout(), "{}", path.display());
    }
    for note in &written.notes {
        say(note);
    }
    if written.errors.is_empty() {
        return exit::WRITTEN;
    }
    for error in &written.errors {
        say(&format!("{error:#}"));
    }
    let is_denied = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let denied = written.errors.iter().any(|error| error.chain().any(is_denied));
    if denied { exit::INPUT } else { exit::NOT_WRITTEN }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "report: {text}");
}
