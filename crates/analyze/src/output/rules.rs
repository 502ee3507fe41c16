//! The codes of findings, each with its meaning: the rules of formats that know rules.

/// The codes of doubts and leaks with the meanings of docs/doubts.md, one a line.
const DOUBTS: &str = include_str!("doubts.tsv");

/// All other codes.
const OTHERS: [(&str, &str); 20] = [
    ("absent.string", "A string that was sent was found nowhere."),
    ("beside-frames.string", "A string is in the capture file, but in no frame: it was not on the wire."),
    ("conclusion.inconclusive", "Something is in doubt, so the captures together prove nothing."),
    (
        "conclusion.proven",
        "The plaintext captures are exposed, the TLS captures sealed, and nothing is in doubt.",
    ),
    ("conclusion.refuted", "A capture shows the opposite of what was expected of it."),
    ("exposure.agent-message", "A message of an agent can be read without a secret."),
    ("exposure.credential", "A credential can be read without a secret."),
    ("exposure.decoded", "A string can be read by undoing an encoding that needs no secret."),
    ("exposure.handshake-word", "A handshake of TLS says a string or a key of a message in the clear."),
    ("exposure.part", "A part of a message, of a string or of a secret can be read without a secret."),
    ("exposure.personal-data", "Data about a person can be read without a secret."),
    ("exposure.reassembled", "A string can be read by joining TCP segments."),
    (
        "exposure.text",
        "A string of a body can be read without a secret; nothing states that it was to be hidden.",
    ),
    ("exposure.verbatim", "A string is in one frame as it is."),
    ("input.unusable", "An input cannot be analyzed."),
    (
        "opened.content",
        "Only the holder of the keys can read a credential, personal data, or a message of an agent.",
    ),
    ("opened.string", "Only the holder of the keys can read a string."),
    ("verdict.exposed", "At least one string can be read without a secret."),
    ("verdict.inconclusive", "The capture or the run proves neither."),
    (
        "verdict.sealed",
        "No string can be read without a secret, and the controls show that the search would have found it.",
    ),
];

/// The codes of an isolation run's verdict, besides `verdict.inconclusive`.
const ISOLATION: [(&str, &str); 2] = [
    ("verdict.isolated", "Nothing left any sandbox, and the controls show that it would have been seen."),
    ("verdict.leaked", "Something left a sandbox, or reached another user."),
];

/// The meaning of a code, as a sentence. A document of a newer version can have codes that are unknown here.
pub(crate) fn meaning(code: &str) -> Option<&'static str> {
    let doubts = DOUBTS.lines().filter_map(|line| line.split_once('\t'));
    let mut all = OTHERS.into_iter().chain(ISOLATION).chain(doubts);
    all.find(|(known, _)| *known == code).map(|(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_of_doubts_are_those_of_the_page() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doubts.md");
        let page = std::fs::read_to_string(root).expect("the page");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        let rows = rows.filter_map(|row| {
            let (code, rest) = row.split_once("` | ")?;
            let meaning = rest.rsplit(" | ").next()?.replace('`', "");
            code.contains('.').then(|| format!("{code}\t{meaning}\n"))
        });
        let rows: String = rows.collect();
        if std::env::var_os("UPDATE_RULES").is_some() {
            let copy = concat!(env!("CARGO_MANIFEST_DIR"), "/src/output/doubts.tsv");
            std::fs::write(copy, &rows).expect("the copy");
        }
        assert!(rows.lines().count() > 100, "the tables of the page were not recognised");
        assert!(rows == DOUBTS, "UPDATE_RULES=1 cargo test -p analyze renews src/output/doubts.tsv");
    }

    #[test]
    fn every_code_has_one_meaning() {
        let mut codes: Vec<_> = OTHERS.iter().chain(&ISOLATION).map(|(code, _)| *code).collect();
        codes.extend(DOUBTS.lines().filter_map(|line| Some(line.split_once('\t')?.0)));
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert_eq!(
            meaning("leak.canary-in-output").map(|meaning| meaning.starts_with("The output")),
            Some(true)
        );
        assert_eq!(meaning("no.such-code"), None);
    }
}
