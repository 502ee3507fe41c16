//! `cargo run` without a name: prints the programs of the workspace and starts none of them.

use std::io::{self, Write};
use std::process::ExitCode;

const HEAD: &str = "\
plainsight: what can an eavesdropper read of what two agents send each other?

    make lab                              records HTTP and HTTPS, analyzes both, writes the report
    make demo                             serves the page on port 3000: type a message, see its packets
    cargo run -p analyze -- captures/     analyzes the captures in a folder
    cargo run -p NAME -- --help           the flags of one program
    make help                             everything else

Programs:
";

/// Name and purpose, in the order in which an experiment uses them.
const PROGRAMS: [(&str, &str); 13] = [
    ("lab", "runs the experiment on this machine: starts the programs below, in order"),
    ("certgen", "makes the certificate authority and the certificates of the lab"),
    ("capturer", "records packets from an interface, or as a TCP relay"),
    ("agent-b", "the server: answers tool calls over HTTP or HTTPS"),
    ("agent-a", "the client: sends tool calls and checks every answer"),
    ("analyze", "searches captures for what the agents sent, and gives the verdict"),
    ("report", "turns the analyzer's result into a document: Markdown, HTML, PDF"),
    ("live", "serves the page: a conversation beside its packets; opens captures"),
    ("gateway", "serves POST /api/conversation: each request in a sandbox of its own"),
    ("runner", "answers one prompt inside a sandbox, and attempts to escape when asked to"),
    ("isolation-control", "runs escape attempts in sandboxes that have a network"),
    ("bench", "measures the analyzer on generated captures"),
    ("plainsight", "prints this list"),
];

fn main() -> ExitCode {
    let mut text = HEAD.to_owned();
    for (name, purpose) in PROGRAMS {
        text += &format!("    {name:<19}{purpose}\n");
    }
    // The reader may have closed the pipe early.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::PROGRAMS;

    #[test]
    fn lists_every_crate_that_is_a_program() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built: BTreeSet<_> = crates
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("src/main.rs").exists())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        assert_eq!(PROGRAMS.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), built);
    }

    #[test]
    fn lists_each_program_on_a_line_of_at_most_100_columns() {
        for (name, purpose) in PROGRAMS {
            assert!(name.len() < 19 && 23 + purpose.len() <= 100, "{name}");
        }
    }
}
