//! Numbers the sections, and puts the numbers where texts refer to them.

use crate::document::line::{Inline, Line};
use crate::document::{Block, Rank, Section};
use crate::i18n::Lang;

/// Numbers chapters `1`, their parts `1.1`, and appendices `A`, and writes the numbers into all texts. `left_out` has the titles
/// of sections that the report does not have, by id.
pub(super) fn number(
    lang: Lang,
    sections: &mut [Section],
    summary: &mut [Line],
    left_out: &[(String, String)],
) {
    let (mut chapters, mut parts, mut appendices) = (0, 0, 0);
    for section in &mut *sections {
        section.number = match section.rank {
            Rank::Chapter => {
                (chapters, parts) = (chapters + 1, 0);
                chapters.to_string()
            }
            Rank::Part => {
                parts += 1;
                format!("{chapters}.{parts}")
            }
            Rank::Appendix => {
                appendices += 1;
                letter(appendices)
            }
        };
    }
    let known: Vec<(String, String)> = sections
        .iter()
        .map(|section| (section.id.clone(), lang.section(section.rank, &section.number)))
        .chain(left_out.iter().map(|(id, title)| (id.clone(), lang.section_left_out(title))))
        .collect();
    let resolve = |line: &mut Line| {
        for piece in &mut line.0 {
            if let Inline::Section(id) = piece {
                let found = known.iter().find(|(known, _)| known == id);
                *piece = Inline::Text(found.map_or_else(String::new, |(_, text)| text.clone()));
            }
        }
    };
    summary.iter_mut().for_each(resolve);
    sections.iter_mut().flat_map(|section| &mut section.blocks).for_each(|block| block.each_line(&resolve));
}

/// `A`, `B`, …, `Z`, `AA`.
fn letter(number: usize) -> String {
    let letter = char::from(b'A' + ((number - 1) % 26) as u8);
    letter.to_string().repeat((number - 1) / 26 + 1)
}

impl Block {
    /// Calls `each` for every line of the block.
    fn each_line(&mut self, each: &impl Fn(&mut Line)) {
        match self {
            Self::Paragraph(line) => each(line),
            Self::List { items, .. } => items.iter_mut().for_each(each),
            Self::Table(table) => {
                each(&mut table.caption);
                table.columns.iter_mut().for_each(|column| each(&mut column.title));
                table.rows.iter_mut().flatten().for_each(each);
                table.note.iter_mut().for_each(each);
            }
            Self::Code(code) => each(&mut code.source),
            Self::Figures(figures) => figures.iter_mut().for_each(|figure| each(&mut figure.caption)),
            Self::Callout { lines, .. } => lines.iter_mut().for_each(each),
            Self::Streams(views) => views.iter_mut().for_each(|view| each(&mut view.note)),
            Self::Hex(views) => views.iter_mut().for_each(|view| each(&mut view.title)),
            Self::Entries(entries) => {
                entries.iter_mut().flat_map(|entry| &mut entry.facts).for_each(|(_, fact)| each(fact));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::line::line;

    fn empty(id: &str, rank: Rank) -> Section {
        let text = line!["see ", Inline::Section("b"), ", ", Inline::Section("gone")];
        let (number, title) = (String::new(), id.to_uppercase());
        Section { id: id.to_owned(), rank, number, title, blocks: vec![Block::Paragraph(text)] }
    }

    #[test]
    fn sections_are_numbered_and_named_by_their_numbers() {
        let ranks = [Rank::Chapter, Rank::Part, Rank::Part, Rank::Chapter, Rank::Part, Rank::Appendix];
        let mut sections: Vec<Section> =
            ["a", "b", "c", "d", "e", "f"].into_iter().zip(ranks).map(|(id, rank)| empty(id, rank)).collect();
        number(Lang::En, &mut sections, &mut [], &[("gone".to_owned(), "Gone".to_owned())]);
        let numbers: Vec<&str> = sections.iter().map(|section| section.number.as_str()).collect();
        assert_eq!(numbers, ["1", "1.1", "1.2", "2", "2.1", "A"]);
        let Block::Paragraph(text) = &sections[5].blocks[0] else { panic!("a paragraph") };
        let text: String = text
            .0
            .iter()
            .map(|piece| match piece {
                Inline::Text(text) => text.as_str(),
                _ => "?",
            })
            .collect();
        assert_eq!(text, "see section 1.1, “Gone” (left out)");
    }

    #[test]
    fn appendices_go_on_behind_z() {
        assert_eq!([1, 26, 27].map(letter), ["A", "Z", "AA"]);
    }
}
