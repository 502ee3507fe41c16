//! Puts the sections in the order that a template asks for.

use crate::document::line::line;
use crate::document::{Block, Rank, Section};
use crate::template::Wanted;

/// The sections that are wanted, in that order, and the id and title of every other one. A chapter comes with its parts, except
/// those that are wanted by themselves; a part by itself becomes a chapter.
pub(super) fn arranged(all: Vec<Section>, wanted: &[Wanted]) -> (Vec<Section>, Vec<(String, String)>) {
    let mut rest = grouped(all, wanted);
    let mut sections = Vec::new();
    for (number, wish) in wanted.iter().enumerate() {
        let own = paragraphs(wish.text.as_deref().unwrap_or_default());
        let mut group = match &wish.id {
            Some(id) => {
                match rest.iter().position(|group| group.first().is_some_and(|first| first.id == *id)) {
                    Some(at) => rest.remove(at),
                    // The report of a result without isolation experiment has no section about it.
                    None => continue,
                }
            }
            None => vec![Section {
                id: format!("own-{}", number + 1),
                rank: Rank::Chapter,
                number: String::new(),
                title: String::new(),
                blocks: Vec::new(),
            }],
        };
        if let Some(first) = group.first_mut() {
            first.title = wish.title.clone().unwrap_or_else(|| std::mem::take(&mut first.title));
            first.blocks.splice(0..0, own.into_iter().map(|paragraph| Block::Paragraph(line![paragraph])));
        }
        sections.extend(group);
    }
    let left_out = rest.into_iter().flatten().map(|section| (section.id, section.title)).collect();
    (sections, left_out)
}

/// The paragraphs of a text, which empty lines divide, each in one line.
fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    paragraphs.map(|lines| lines.join(" ")).collect()
}

/// Chapters with their parts, and by themselves the parts that are wanted so.
fn grouped(all: Vec<Section>, wanted: &[Wanted]) -> Vec<Vec<Section>> {
    let is_wanted = |section: &Section| wanted.iter().any(|wish| wish.id.as_ref() == Some(&section.id));
    let mut groups: Vec<Vec<Section>> = Vec::new();
    let mut alone = Vec::new();
    for mut section in all {
        match (section.rank, groups.last_mut()) {
            (Rank::Part, _) if is_wanted(&section) => {
                section.rank = Rank::Chapter;
                alone.push(vec![section]);
            }
            (Rank::Part, Some(chapter)) => chapter.push(section),
            _ => groups.push(vec![section]),
        }
    }
    groups.extend(alone);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: &str, rank: Rank) -> Section {
        Section {
            id: id.to_owned(),
            rank,
            number: String::new(),
            title: id.to_uppercase(),
            blocks: Vec::new(),
        }
    }

    fn wanted(id: Option<&str>, title: Option<&str>, text: Option<&str>) -> Wanted {
        Wanted { id: id.map(str::to_owned), title: title.map(str::to_owned), text: text.map(str::to_owned) }
    }

    #[test]
    fn chapters_come_with_their_parts_in_the_order_that_is_wanted() {
        let all = vec![
            section("aim", Rank::Chapter),
            section("results", Rank::Chapter),
            section("wire", Rank::Part),
            section("costs", Rank::Part),
            section("conclusion", Rank::Chapter),
            section("evidence", Rank::Appendix),
        ];
        let wishes = [
            wanted(Some("costs"), None, None),
            wanted(Some("results"), Some("Measured"), Some("One\nparagraph.\n\n\nAnother.\n")),
            wanted(None, Some("Discussion"), Some("x")),
            wanted(Some("isolation"), None, None),
            wanted(Some("evidence"), None, None),
        ];
        let (sections, left_out) = arranged(all, &wishes);
        let found: Vec<_> = sections
            .iter()
            .map(|section| (section.id.as_str(), section.rank, section.title.as_str(), section.blocks.len()))
            .collect();
        assert_eq!(
            found,
            [
                ("costs", Rank::Chapter, "COSTS", 0),
                ("results", Rank::Chapter, "Measured", 2),
                ("wire", Rank::Part, "WIRE", 0),
                ("own-3", Rank::Chapter, "Discussion", 1),
                ("evidence", Rank::Appendix, "EVIDENCE", 0),
            ]
        );
        let left_out: Vec<&str> = left_out.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(left_out, ["aim", "conclusion"]);
    }
}
