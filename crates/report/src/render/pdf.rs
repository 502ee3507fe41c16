//! Prints the HTML page with a browser. A first print shows on which pages the sections begin; later prints have these
//! page numbers in the table of contents.
//!
//! The same input gives the same bytes: the time of printing in the file is replaced by the time of the first frame, the
//! browser's numbers of elements by their rank, and the page is printed until two prints are equal, because about one print in a
//! hundred has its objects in another order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::browser::Browser;
use crate::document::Document;
use crate::render::html;

/// Prints the document to `pdf`. `scratch` is an empty folder.
///
/// # Errors
/// When there is no browser, or printing fails.
pub(crate) fn print(document: &Document, pdf: &Path, scratch: &Path) -> anyhow::Result<()> {
    let browser = Browser::find()?;
    let print = |name: &str, pages: &[(String, usize)]| {
        let folder = scratch.join(name);
        fs::create_dir(&folder).context("a folder for the browser")?;
        let page = folder.join("page.html");
        fs::write(&page, html::print(document, pages)).context("writing the page to print")?;
        let printed = folder.join("page.pdf");
        browser.print(&page, &printed, &folder)?;
        fs::read(&printed).context("reading what was printed")
    };
    let numbers = pages(&print("first", &[])?);
    let mut printed: Vec<Vec<u8>> = Vec::new();
    for attempt in 0..MOST_PRINTS {
        let mut next = print(&format!("print-{attempt}"), &numbers)?;
        set_dates(&mut next, document.first_frame_at_unix_ns.unwrap_or(0));
        number_elements(&mut next);
        if printed.contains(&next) {
            return fs::write(pdf, next).context("writing what was printed");
        }
        printed.push(next);
    }
    bail!("no two of {MOST_PRINTS} prints by the browser were equal")
}

/// Most prints with page numbers until two are equal. Nearly always the first two are.
const MOST_PRINTS: usize = 5;

/// The page, from 1, of each named destination of a PDF file (PDF 1.7, §12.3.2.3). Reads only the uncompressed form
/// that Chromium writes, `/name [29 0 R /XYZ …]`. If a file has another form, the table of contents has no page
/// numbers.
fn pages(pdf: &[u8]) -> Vec<(String, usize)> {
    let text = String::from_utf8_lossy(pdf);
    let page_objects: Vec<&str> = text
        .match_indices(" 0 obj\n<</Type /Page\n")
        .map(|(at, _)| &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at])
        .collect();
    let kids = text.match_indices("/Kids [").filter_map(|(at, start)| {
        let list = &text[at + start.len()..];
        Some(&list[..list.find(']')?])
    });
    let order: Vec<&str> = kids
        .flat_map(|list| list.split(" 0 R"))
        .map(str::trim)
        .filter(|object| page_objects.contains(object))
        .collect();
    let named = text.match_indices(" 0 R /XYZ").filter_map(|(at, _)| {
        let (name, object) = text[..at].rsplit_once(" [")?;
        let name = &name[name.rfind('/')? + 1..];
        let page = order.iter().position(|page| *page == object)?;
        Some((name.to_owned(), page + 1))
    });
    named.collect()
}

/// Replaces the dates of creation and modification of a PDF file (PDF 1.7, §7.9.4), in the same number of bytes.
fn set_dates(pdf: &mut [u8], unix_ns: u64) {
    const BEGINNING: &[u8] = b"(D:";
    const DIGITS: usize = 14;
    let format = format_description!("[year][month][day][hour][minute][second]");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ns)).ok();
    let Some(time) = at.and_then(|at| at.format(&format).ok()).filter(|time| time.len() == DIGITS) else {
        return;
    };
    for key in [&b"/CreationDate "[..], b"/ModDate "] {
        let Some(found) = pdf.windows(key.len()).position(|window| window == key) else { continue };
        let start = found + key.len();
        let Some(date) = pdf.get_mut(start..start + BEGINNING.len() + DIGITS) else { continue };
        if date.starts_with(BEGINNING) && date[BEGINNING.len()..].iter().all(u8::is_ascii_digit) {
            date[BEGINNING.len()..].copy_from_slice(time.as_bytes());
        }
    }
}

/// Replaces the identifiers of structure elements, `(node00000181)` (PDF 1.7, §14.7.2), by their ranks, in the same number of
/// bytes. The browser numbers the elements of all pages that it has loaded, so that a print can begin at another number; the
/// ranks keep the order, by which the file's tree of names is sorted.
fn number_elements(pdf: &mut [u8]) {
    const BEGINNING: &[u8] = b"(node";
    const DIGITS: usize = 8;
    let places: Vec<usize> = pdf
        .windows(BEGINNING.len() + DIGITS + 1)
        .enumerate()
        .filter(|(_, window)| {
            let number = window.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(b")"));
            number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
        })
        .map(|(at, _)| at + BEGINNING.len())
        .collect();
    let numbers: BTreeSet<Vec<u8>> = places.iter().map(|at| pdf[*at..at + DIGITS].to_vec()).collect();
    let ranks: BTreeMap<Vec<u8>, String> =
        numbers.into_iter().enumerate().map(|(rank, number)| (number, format!("{rank:0DIGITS$}"))).collect();
    for at in places {
        let place = &mut pdf[at..at + DIGITS];
        place.copy_from_slice(ranks[&*place].as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "1 0 obj\n<</CreationDate (D:20261120125139+00'00')\n/ModDate (D:20261120125139+00'00')>>\n\
                        2 0 obj\n<</Type /Page\n/x>>\n29 0 obj\n<</Type /Page\n>>\n456 0 obj\n<</Type /Pages\n\
                        /Kids [2 0 R 29 0 R]>>\n460 0 obj\n<</Type /Pages\n/Kids [456 0 R]>>\n461 0 obj\n\
                        <</aim [29 0 R /XYZ 0 841.9 0]\n/setup [2 0 R /XYZ 0 655 0]>>\n";

    #[test]
    fn finds_the_pages_of_named_destinations() {
        assert_eq!(pages(FILE.as_bytes()), [("aim".to_owned(), 2), ("setup".to_owned(), 1)]);
        assert_eq!(pages(b"%PDF-1.7 \xff /Kids [ /a [9 0 R /XYZ"), []);
    }

    #[test]
    fn dates_become_the_time_of_the_first_frame() {
        let mut file = FILE.as_bytes().to_vec();
        set_dates(&mut file, 1_795_178_826_795_215_584);
        let file = String::from_utf8(file).expect("text");
        assert_eq!(file, FILE.replace("20261120125139", "20261120124706"));
    }

    #[test]
    fn elements_are_numbered_by_their_rank() {
        let numbered = |text: &str| {
            let mut file = text.as_bytes().to_vec();
            number_elements(&mut file);
            String::from_utf8(file).expect("text")
        };
        let ranks = "/ID (node00000001) [(node00000000)] (node00000001) (node1) (node0000000x)";
        for first in [0, 180, 181] {
            let (one, other) = (first + 7, first);
            let text = format!("/ID (node{one:08}) [(node{other:08})] (node{one:08}) (node1) (node0000000x)");
            assert_eq!(numbered(&text), ranks);
        }
    }
}
