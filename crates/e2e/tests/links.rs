//! Every relative link in the project's Markdown names an existing file and, with a fragment, a heading in it.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with documents for people, and the repository's own.
const FOLDERS: [&str; 6] = ["", "captures", "certs", "docs", "docs/ko", "docs/programs"];

#[test]
fn every_link_has_a_target() {
    let mut checked = 0;
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            checked += 1;
            if let Err(reason) = follow(&page, link) {
                broken.push(format!("{}: {link}: {reason}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(checked > 50, "only {checked} links were found");
}

#[test]
fn finds_links_without_a_target() {
    let readme = repository().join("README.md");
    assert_eq!(follow(&readme, "docs/formats.md#ready-files"), Ok(()));
    assert_eq!(follow(&readme, "docs/no-such-page.md"), Err("no such file"));
    assert_eq!(follow(&readme, "docs/formats.md#no-such-heading"), Err("no such heading"));
    assert_eq!(links("a [b](c.md) ![d](e.png), [f](https://g.example/h)"), ["c.md", "e.png"]);
    assert_eq!(anchor("### `lab run`, and *more*: 2nd"), "lab-run-and-more-2nd");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages() -> Vec<PathBuf> {
    let folders =
        FOLDERS.map(|folder| repository().join(folder)).into_iter().filter(|folder| folder.is_dir());
    let entries = folders.flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The targets of links and pictures within this repository.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

fn follow(page: &Path, link: &str) -> Result<(), &'static str> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.with_file_name(path) };
    if !target.exists() {
        return Err("no such file");
    }
    if fragment.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(&target).map_err(|_| "not a text")?;
    let found = text.lines().filter(|line| line.starts_with('#')).any(|heading| anchor(heading) == fragment);
    if found { Ok(()) } else { Err("no such heading") }
}

/// The fragment that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
