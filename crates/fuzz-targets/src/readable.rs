use analyze::contents::{self, Contents, Message};
use exposure_schema::{AgentEntry, FindingEntry};
use serde_json::{Value, json};

/// Longest input that is read: the bounds over a whole capture are far above.
const MAX_LEN: usize = 16 << 10;

/// Most findings of a head, and of a body; most of a list, most messages of agents, most strings.
const MAX_FOUND: u64 = 256;
const MAX_LISTED: usize = 500;
const MAX_AGENTS: usize = 200;
const MAX_STRINGS: usize = 5_000;

/// Longest path in bytes: a JSONPath, behind the name of a field or the number of an event.
const MAX_PATH: usize = 1_024;

/// Longest value, and longest string of a body, in characters.
const MAX_VALUE: usize = 256;
const MAX_STRING: usize = 2_048;

/// Most texts of a message of an agent, and the longest name in it in characters.
const MAX_TEXTS: usize = 32;
const MAX_NAME: usize = 128;

/// Kinds whose form gives them away wherever they are.
const BY_FORM: [&str; 4] = ["api_key", "jwt", "private_key", "url_userinfo"];

/// A message of HTTP: target, fields and an empty line, each line ended by a line feed, then the body. Everything that
/// is found is at its place in the message; all lists are bounded; reading again finds the same. Without secrets the
/// result is the same but for them, and nothing in it is a secret that reading it would find.
pub fn readable(data: &[u8]) {
    let data = &data[..data.len().min(MAX_LEN)];
    let (head, body) = match memchr::memmem::find(data, b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (&[][..], data),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let fields: Vec<(&[u8], &[u8])> = lines
        .map(|line| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii())
        })
        .collect();
    let message = Message { target: &target, fields: &fields, body };
    let open = contents::read(&[message], true);
    let closed = contents::read(&[message], false);

    is_bounded(&open);
    is_bounded(&closed);
    assert_eq!(as_json(&open), as_json(&contents::read(&[message], true)));
    counts_each_again(&open, &contents::read(&[message, message], true));
    for found in open.found.credentials.iter().chain(&open.found.personal) {
        is_in_its_place(found, &message, &open);
    }
    differs_by_secrets_alone(&open, &closed);
    hides_named_secrets(&open, &closed);
    shows_no_secret(&closed);
}

fn as_json(contents: &Contents) -> Value {
    json!([contents.strings, contents.strings_total, contents.found])
}

fn is_bounded(contents: &Contents) {
    let found = &contents.found;
    assert!(found.credentials.len() <= MAX_LISTED && found.personal.len() <= MAX_LISTED);
    assert!(found.credentials_total + found.personal_total <= 2 * MAX_FOUND);
    for finding in found.credentials.iter().chain(&found.personal) {
        assert!((1..=2 * MAX_FOUND).contains(&finding.times), "{finding:?}");
        // A user can have an empty password.
        assert!(finding.bytes > 0 || finding.kind == "basic", "{finding:?}");
        assert!(finding.path.len() <= MAX_PATH && finding.redacted.contains('…'), "{finding:?}");
        assert!(finding.redacted.chars().count() <= MAX_VALUE + 3, "{finding:?}");
        assert!(finding.details.len() <= 64, "{finding:?}");
        let details = finding.details.iter().flat_map(|detail| [Some(&detail.name), detail.value.as_ref()]);
        let texts = details.flatten().chain(&finding.value);
        for text in texts {
            assert!(text.chars().count() <= MAX_VALUE, "{finding:?}");
        }
    }
    assert!(found.agents.len() <= MAX_AGENTS && found.agents.len() as u64 <= found.agents_total);
    for agent in &found.agents {
        assert!(agent.texts.len() <= MAX_TEXTS && agent.texts.len() as u64 <= agent.texts_total);
        assert!(agent.tools.len() <= MAX_TEXTS);
        for name in agent.tools.iter().chain(&agent.method).chain(&agent.model).chain(&agent.id) {
            assert!(name.chars().count() <= MAX_NAME, "{agent:?}");
        }
        for text in &agent.texts {
            let shown = text.value.as_deref().unwrap_or_default();
            assert!(text.path.len() <= MAX_PATH && shown.chars().count() <= MAX_VALUE, "{text:?}");
        }
    }
    assert!(contents.strings.len() <= MAX_STRINGS && contents.strings.len() as u64 <= contents.strings_total);
    for string in &contents.strings {
        let shown = string.value.as_deref().unwrap_or_default();
        assert!(string.path.len() <= MAX_PATH && shown.chars().count() <= MAX_STRING, "{string:?}");
    }
}

/// The second reading of the same message finds the same, and nothing of the first one remains.
fn counts_each_again(once: &Contents, twice: &Contents) {
    let (first, both) = (&once.found, &twice.found);
    if both.left_out != 2 * first.left_out {
        // The nested codings of a capture have a bound together.
        assert!(both.left_out > 2 * first.left_out);
        return;
    }
    assert_eq!(both.credentials_total, 2 * first.credentials_total);
    assert_eq!(both.personal_total, 2 * first.personal_total);
    assert_eq!(both.agents_total, 2 * first.agents_total);
    assert_eq!(twice.strings_total, 2 * once.strings_total);
    for (first, both) in [(&first.credentials, &both.credentials), (&first.personal, &both.personal)] {
        let doubled = |found: &FindingEntry| json!(FindingEntry { times: 2 * found.times, ..found.clone() });
        assert_eq!(
            first.iter().map(doubled).collect::<Vec<_>>(),
            both.iter().map(|found| json!(found)).collect::<Vec<_>>()
        );
    }
}

/// What no coding hides is in the message as it was sent, at the place that its path names.
fn is_in_its_place(found: &FindingEntry, message: &Message<'_>, open: &Contents) {
    let value = found.value.as_deref().expect("secrets were requested");
    let is_cut = value.chars().count() == MAX_VALUE;
    assert!(if is_cut { found.bytes >= value.len() as u64 } else { found.bytes == value.len() as u64 });
    assert_eq!(found.location.layers.is_empty(), found.level == exposure_schema::Level::Verbatim);
    if !found.location.layers.is_empty() {
        return;
    }
    let is_there = match &*found.place {
        "header" => message.fields.iter().any(|(name, text)| {
            let name: String =
                String::from_utf8_lossy(name).to_ascii_lowercase().chars().take(MAX_NAME).collect();
            let is_decoded = matches!(&*found.kind, "basic" | "ntlm");
            // A secret in the name is not shown.
            let shown = found.path.split('…').next().filter(|shown| shown.len() < found.path.len());
            (found.path.starts_with(&name) || shown.is_some_and(|shown| name.starts_with(shown)))
                && (is_decoded || String::from_utf8_lossy(text).contains(value))
        }),
        "target" => {
            message.target.contains(value) || percent_decoded(message.target.as_bytes()).contains(value)
        }
        "form" => [String::from_utf8_lossy(message.body).into_owned(), percent_decoded(message.body)]
            .iter()
            .any(|body| body.contains(value)),
        // A number is written anew, and an event or a line is no document of the whole body.
        "json" => {
            !found.path.starts_with('$')
                || value.parse::<f64>().is_ok()
                || open.strings_total > open.strings.len() as u64
                || open.strings.iter().any(|string| {
                    let text = string.value.as_deref().unwrap_or_default();
                    string.path == found.path && (text.contains(value) || text.chars().count() == MAX_STRING)
                })
        }
        "text" => String::from_utf8_lossy(message.body).contains(value) || found.path.starts_with("event["),
        place => panic!("{place}"),
    };
    assert!(is_there, "{found:?}");
}

/// Undoes `+` and percent-encoding (WHATWG URL §5.1).
fn percent_decoded(text: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        out.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Without secrets the same is found, at the same places; each text is the same, is hidden, or has an ellipsis for what
/// is hidden in it.
fn differs_by_secrets_alone(open: &Contents, closed: &Contents) {
    let is_hidden_or_same = |open: &Option<String>, closed: &Option<String>| match (open, closed) {
        (Some(open), Some(closed)) => assert!(open == closed || closed.contains('…'), "{open:?} {closed:?}"),
        (open, closed) => assert!(open.is_some() && closed.is_none()),
    };
    assert_eq!(open.strings_total, closed.strings_total);
    assert_eq!(open.strings.len(), closed.strings.len());
    for (open, closed) in open.strings.iter().zip(&closed.strings) {
        assert_eq!(open.path, closed.path);
        is_hidden_or_same(&open.value, &closed.value);
    }
    let hidden = |found: &FindingEntry| {
        let mut found = found.clone();
        found.value = None;
        found.details.iter_mut().for_each(|detail| detail.value = None);
        json!(found)
    };
    let (first, second) = (&open.found, &closed.found);
    for (open, closed) in [(&first.credentials, &second.credentials), (&first.personal, &second.personal)] {
        assert_eq!(
            open.iter().map(hidden).collect::<Vec<_>>(),
            closed.iter().map(hidden).collect::<Vec<_>>()
        );
        for (open, closed) in open.iter().zip(closed) {
            assert_eq!(closed.value, None);
            for (open, closed) in open.details.iter().zip(&closed.details) {
                is_hidden_or_same(&open.value, &closed.value);
            }
        }
    }
    assert_eq!((first.agents_total, first.left_out), (second.agents_total, second.left_out));
    assert_eq!(first.agents.len(), second.agents.len());
    for (open, closed) in first.agents.iter().zip(&second.agents) {
        let without_texts = |agent: &AgentEntry| {
            let mut agent = agent.clone();
            agent.texts.iter_mut().for_each(|text| text.value = None);
            json!(agent)
        };
        assert_eq!(without_texts(open), without_texts(closed));
        for (open, closed) in open.texts.iter().zip(&closed.texts) {
            is_hidden_or_same(&open.value, &closed.value);
        }
    }
}

/// A value that is hidden in one list because of its name is hidden in the others too.
fn hides_named_secrets(open: &Contents, closed: &Contents) {
    for found in &open.found.credentials {
        let is_named = matches!(&*found.kind, "password" | "named_secret");
        if !is_named || !matches!(&*found.place, "json" | "form") || !found.location.layers.is_empty() {
            continue;
        }
        let secret = found.value.as_deref().expect("secrets were requested");
        let is_shown = |path: &str, open: &Option<String>, closed: &Option<String>| {
            path == found.path && open.as_deref() == Some(secret) && closed.is_some()
        };
        for (open, closed) in open.strings.iter().zip(&closed.strings) {
            assert!(!is_shown(&open.path, &open.value, &closed.value), "{found:?}");
        }
        for (open, closed) in open.found.agents.iter().zip(&closed.found.agents) {
            for (open, closed) in open.texts.iter().zip(&closed.texts) {
                assert!(!is_shown(&open.path, &open.value, &closed.value), "{found:?}");
            }
        }
    }
}

/// No text that is shown without secrets contains what has the form of one, or one in JSON or base64. A text that is cut may
/// look like another coding.
fn shows_no_secret(closed: &Contents) {
    let mut shown: Vec<&str> = Vec::new();
    for string in &closed.strings {
        shown.push(&string.path);
        shown.extend(string.value.as_deref());
    }
    for found in closed.found.credentials.iter().chain(&closed.found.personal) {
        shown.extend([found.path.as_str(), &found.redacted]);
        shown.extend(
            found.details.iter().flat_map(|detail| [Some(&*detail.name), detail.value.as_deref()]).flatten(),
        );
    }
    for agent in &closed.found.agents {
        shown.extend(
            agent.tools.iter().chain(&agent.method).chain(&agent.model).chain(&agent.id).map(String::as_str),
        );
        shown
            .extend(agent.texts.iter().flat_map(|text| [Some(&*text.path), text.value.as_deref()]).flatten());
    }
    for text in shown {
        let again = contents::read(&[Message { body: text.as_bytes(), ..Message::default() }], true);
        for found in again.found.credentials {
            let is_cut = matches!(text.chars().count(), MAX_VALUE | MAX_STRING);
            let is_hidden_in = |layer: &&str| matches!(*layer, "json" | "base64" | "data-url");
            let is_of_form = match &found.location.layers[..] {
                [] => BY_FORM.contains(&&*found.kind),
                layers => !is_cut && layers.iter().map(|layer| &**layer).all(|layer| is_hidden_in(&layer)),
            };
            let is_hidden = found.value.as_deref().is_some_and(|value| value.starts_with('…'));
            assert!(!is_of_form || is_hidden, "{text}: {found:?}");
        }
    }
}
