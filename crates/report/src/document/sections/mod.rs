//! The chapters in the order of a lab report. Each child module builds some of them; this file has what they share.

mod appendices;
mod controls;
mod costs;
mod discussion;
mod isolation;
mod logged;
mod method;
mod on_the_wire;
mod scope;
mod still_shown;

use exposure_schema::{Conclusion, Direction, FragmentSource, Level, Location, SearchedAs, Verdict};

use crate::document::evidence::Evidence;
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Inline, Line, captured, line};
use crate::document::{
    Block, Column, Document, Rank, Section, TitlePage, Wishes, arrangement, format, numbering,
};
use crate::i18n::Lang;
use crate::model::{Capture, Exposure};
use crate::visible;

/// Captures that the report covers, because tables have one column for each. A comparison has two.
const CAPTURES_SHOWN: usize = 6;

/// Characters of a value in a table.
const VALUE_SHOWN: usize = 64;

/// Builds the report of an analyzer's result.
pub(super) fn build(exposure: &Exposure, lang: Lang, wishes: &Wishes) -> Document {
    let captures = &exposure.captures[..exposure.captures.len().min(CAPTURES_SHOWN)];
    let has = |id: &str| match &wishes.template {
        Some(wanted) => wanted.iter().any(|section| section.id.as_deref() == Some(id)),
        None => wishes.appendix,
    };
    let evidence = Evidence::new(lang, captures, has("evidence"));
    let builder = Builder { lang, exposure, captures, evidence };
    let mut summary = builder.summary();
    let mut sections = vec![
        builder.aim(),
        builder.setup(),
        builder.layout(),
        builder.part("pieces", Rank::Chapter, lang.pieces(), Vec::new()),
        builder.compose(),
        builder.client(),
        builder.server(),
        builder.running(),
        builder.part("results", Rank::Chapter, lang.results(), Vec::new()),
        builder.logged(),
        builder.on_the_wire(),
        builder.still_shown(),
        builder.costs(),
    ];
    sections.extend(builder.isolation());
    sections.extend([builder.controls(), builder.environment(), builder.conclusion(), builder.by_hand()]);
    let appendices =
        [has("more-code").then(|| builder.more_code()), has("more-figures").then(|| builder.more_figures())];
    // It lists the frames that all other parts refer to, so it is built last.
    sections.extend(has("evidence").then(|| builder.evidence_appendix()));
    sections.extend(appendices.into_iter().flatten());
    let (mut sections, left_out) = match &wishes.template {
        Some(wanted) => arrangement::arranged(sections, wanted),
        None => (sections, Vec::new()),
    };
    numbering::number(lang, &mut sections, &mut summary, &left_out);
    let title_page = &wishes.title_page;
    Document {
        lang,
        title: title_page.title.clone().unwrap_or_else(|| lang.default_title().to_owned()),
        about: builder.about(title_page),
        first_frame_at_unix_ns: builder.first_frame(),
        conclusion: exposure.conclusion,
        headline: lang.headline(exposure.conclusion),
        summary,
        sections,
    }
}

struct Builder<'a> {
    lang: Lang,
    exposure: &'a Exposure,
    captures: &'a [Capture],
    evidence: Evidence<'a>,
}

impl<'a> Builder<'a> {
    fn part(&self, id: &'static str, rank: Rank, title: &str, blocks: Vec<Block>) -> Section {
        Section { id: id.to_owned(), rank, number: String::new(), title: title.to_owned(), blocks }
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &'a Capture)> {
        self.captures.iter().enumerate()
    }

    /// The first capture without TLS that has a verdict, and the first such capture with TLS.
    fn pair(&self) -> [Option<(usize, &'a Capture)>; 2] {
        let first = |wanted: bool| {
            let judged = |(_, capture): &(usize, &Capture)| capture.verdict.is_some();
            self.numbered().filter(judged).find(|(_, capture)| is_encrypted(capture) == wanted)
        };
        [first(false), first(true)]
    }

    /// Whether there are two captures of the same number of messages, exactly one of them with TLS.
    fn is_same_conversation(&self) -> bool {
        let messages = |capture: &Capture| capture.completeness.messages_expected;
        match self.captures {
            [one, other] => {
                is_encrypted(one) != is_encrypted(other)
                    && messages(one) == messages(other)
                    && messages(one) > 0
            }
            _ => false,
        }
    }

    fn backend(&self) -> Option<&'a str> {
        self.captures.iter().find_map(|capture| capture.backend.as_deref())
    }

    fn first_frame(&self) -> Option<u64> {
        self.exposure.captures.iter().filter_map(|capture| capture.first_frame_at_unix_ns).min()
    }

    fn about(&self, title_page: &TitlePage) -> Vec<(&'static str, String)> {
        let lang = self.lang;
        let date = title_page.date.clone().or_else(|| self.first_frame().map(format::date));
        let about = [
            (lang.author(), title_page.author.clone()),
            (lang.course(), title_page.course.clone()),
            (lang.date(), date),
        ];
        about.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn summary(&self) -> Vec<Line> {
        let lang = self.lang;
        let mut lines = vec![match self.exposure.conclusion {
            Some(Conclusion::Proven) => {
                let [plain, sealed] = self.pair();
                let summary = plain.map(|(_, capture)| capture.summary);
                let is_all = summary.is_some_and(|summary| summary.keyless() == summary.total);
                let name =
                    |found: Option<(usize, &'a Capture)>| found.map_or("", |(_, capture)| &capture.name);
                lang.proven_summary(name(plain), name(sealed), is_all)
            }
            Some(Conclusion::Refuted) => lang.refuted_summary(),
            Some(Conclusion::Inconclusive) => lang.inconclusive_summary(),
            None => lang.no_comparison_summary(),
        }];
        lines.extend(self.results());
        lines.extend(self.isolation_results());
        lines
    }

    /// Words of messages in what TLS handshakes show.
    fn words_in_handshake(&self, capture: &Capture) -> Option<Line> {
        let tls = capture.tls.as_ref()?;
        let first = tls.words_in_handshake.first()?;
        Some(self.lang.words_in_handshake_result(&capture.name, tls.words_in_handshake_total, &first.word))
    }

    /// What is in the capture file, but was not on the wire.
    fn beside_frames(&self, capture: &Capture) -> Option<Line> {
        let found = capture.beside_frames.as_ref()?.found_total;
        (found > 0).then(|| self.lang.beside_frames_result(&capture.name, found))
    }

    /// The result of each capture in a sentence, with the frame of a first proof.
    fn results(&self) -> Vec<Line> {
        let result = |(index, capture): (usize, &Capture)| {
            let Some(verdict) = capture.verdict else { return self.lang.capture_unjudged(&capture.name) };
            let summary = &capture.summary;
            // Of the most readable level that occurs; parts are listed where no string is readable.
            let parts = capture.fragments.iter().find_map(|fragment| fragment.locations.first());
            let strings = || Level::ALL.into_iter().find_map(|level| first_proof(capture, level));
            let proof = parts.filter(|location| !location.frames.is_empty()).or_else(strings);
            let proof = proof.map(|location| self.evidence.frame(index, location.frames[0]));
            let verdict = line![self.verdict(verdict)];
            self.lang.capture_result(&capture.name, verdict, summary, proof.map(|proof| line![proof]))
        };
        let parts = |capture: &Capture| {
            let (secrets, messages): (Vec<_>, Vec<_>) =
                capture.fragments.iter().partition(|fragment| fragment.source == FragmentSource::Secret);
            let longest = messages.iter().map(|fragment| fragment.longest_bytes).max().unwrap_or(0);
            let count = |fragments: Vec<_>| fragments.len() as u64;
            let line = self.lang.fragments_result(&capture.name, count(messages), longest, count(secrets));
            (!capture.fragments.is_empty()).then_some(line)
        };
        let of_capture = |(index, capture)| {
            let scope = self.scope_result(capture);
            let others = self.words_in_handshake(capture).into_iter().chain(self.beside_frames(capture));
            std::iter::once(result((index, capture))).chain(scope).chain(parts(capture)).chain(others)
        };
        let mut results: Vec<Line> = self.numbered().flat_map(of_capture).collect();
        let (shown, all) = (self.captures.len(), self.exposure.captures.len());
        if shown < all {
            results.push(self.lang.captures_left_out(shown as u64, all as u64));
        }
        results
    }

    fn verdict(&self, verdict: Verdict) -> Inline {
        Inline::Verdict { verdict, text: self.lang.verdict_name(verdict).to_owned() }
    }

    fn level(&self, level: Level) -> Inline {
        Inline::Level { level, text: self.lang.level_name(level).to_owned() }
    }

    fn column(&self, title: impl Into<String>) -> Column {
        Column { title: line![title.into()], is_number: false }
    }

    fn number_column(&self, title: impl Into<String>) -> Column {
        Column { title: line![title.into()], is_number: true }
    }

    /// A first column, then one for each capture.
    fn columns_of_captures(&self, first: &'static str, is_number: bool) -> Vec<Column> {
        let captures = self.captures.iter();
        let named = captures.map(|capture| Column { title: line![captured(&capture.name)], is_number });
        std::iter::once(self.column(first)).chain(named).collect()
    }

    /// A title, then a cell for each capture.
    fn row(&self, title: impl Into<Line>, cell: impl Fn(usize, &'a Capture) -> Line) -> Vec<Line> {
        let cells = self.numbered().map(|(index, capture)| cell(index, capture));
        std::iter::once(title.into()).chain(cells).collect()
    }

    fn or_none(&self, text: Option<&str>) -> Line {
        text.map_or_else(|| line![self.lang.none()], |text| line![captured(text)])
    }

    fn time(&self, unix_ns: Option<u64>) -> Line {
        unix_ns.map_or_else(|| line![self.lang.unknown()], |at| line![format::date_time(at)])
    }
}

/// The text as one word for a POSIX shell, quoted if necessary.
fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte);
    let word = visible::line(word);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A location of the first string of this level that has one.
fn first_proof(capture: &Capture, level: Level) -> Option<&Location> {
    let of_level = capture.strings.iter().filter(|string| string.level == level);
    of_level.flat_map(|string| &string.locations).find(|location| !location.frames.is_empty())
}

/// The first string of a level that was found by its value alone, preferably in a request: value and location.
fn first_string(capture: &Capture, level: Level) -> Option<(&str, &Location)> {
    let found = || {
        let strings = capture
            .strings
            .iter()
            .filter(|string| string.level == level && string.searched_as == SearchedAs::Value);
        strings.filter_map(|string| {
            let location = string.locations.first().filter(|location| !location.frames.is_empty())?;
            Some((string.direction, string.value.as_str(), location))
        })
    };
    let in_request = found().find(|(direction, _, _)| *direction == Some(Direction::ClientToServer));
    in_request.or_else(|| found().next()).map(|(_, value, location)| (value, location))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_shell_words_if_necessary() {
        assert_eq!(shell_word("captures/http.pcap"), "captures/http.pcap");
        assert_eq!(shell_word("a b'c\n"), r"'a b'\''c\n'");
        assert_eq!(shell_word(""), "''");
    }
}
