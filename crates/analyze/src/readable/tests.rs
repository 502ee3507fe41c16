//! Tests of the whole reader: any bytes, any nesting.

use proptest::prelude::*;

use super::*;

fn read(content_type: &str, body: &[u8]) -> Findings {
    Reader::default().body(&Context { target: "/", content_type }, body)
}

fn kinds(findings: &Findings) -> Vec<(Kind, String)> {
    findings.found.iter().map(|found| (found.kind, found.path.clone())).collect()
}

const TYPES: [&str; 5] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "",
];

/// Pieces of what the readers look for, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "{\"password\":",
        "\"hunter22\"",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "data: ",
        "\n\n",
        "sk-ant-",
        "eyJhbGciOiJub25lIn0.",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "://",
        "a:b@c.example",
        "@",
        "DE89",
        "3704 0044",
        "4111 ",
        "1111-",
        "%40",
        "%",
        "=",
        "&",
        "+",
        "…",
        "\u{1f600}",
        "data:,;base64,",
        "H4sIAAAAAAAA",
        "\u{0}",
        "jsonrpc",
        ":",
        "2.0",
        "é",
    ]);
    let piece = prop_oneof![3 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in pieces(), kind in prop::sample::select(TYPES.to_vec())) {
        let findings = read(kind, text.as_bytes());
        prop_assert!(findings.found.len() <= MAX_FOUND);
        for found in &findings.found {
            prop_assert!(!found.value.is_empty());
        }
        let _ = redacted(&text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in prop::sample::select(TYPES.to_vec()),
    ) {
        read(kind, &bytes);
        let value = String::from_utf8_lossy(&bytes).into_owned();
        for name in ["Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "Referer"] {
            let fields: [(&[u8], &[u8]); 1] = [(name.as_bytes(), &bytes)];
            Reader::default().head(&Head { target: &value, fields: &fields });
        }
    }

    #[test]
    fn schemes_with_any_token_are_read_without_panic(
        scheme in prop::sample::select(vec!["Basic", "NTLM", "Negotiate", "Digest", "Bearer", "AWS4-HMAC-SHA256"]),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        is_ntlm in any::<bool>(),
    ) {
        let bytes = if is_ntlm { [&b"NTLMSSP\0\x03\0\0\0"[..], &bytes].concat() } else { bytes };
        let value = format!("{scheme} {}", data_encoding::BASE64.encode(&bytes));
        let fields: [(&[u8], &[u8]); 1] = [(b"Authorization", value.as_bytes())];
        let findings = Reader::default().head(&Head { target: "", fields: &fields });
        prop_assert!(findings.found.len() <= 1);
    }

    #[test]
    fn a_secret_is_found_under_any_nesting(codings in prop::collection::vec(0u8..3, 0..3)) {
        let secret = r#"{"list":[{"client_secret":"0123456789abcdef"}]}"#.to_owned();
        let body = codings.iter().fold(secret, |text, coding| {
            let text = match coding {
                0 => text,
                1 => data_encoding::BASE64.encode(text.as_bytes()),
                _ => format!("data:application/json;base64,{}", data_encoding::BASE64.encode(text.as_bytes())),
            };
            serde_json::json!({ "inner": text }).to_string()
        });
        let findings = read("application/json", body.as_bytes());
        // Base64 of JSON takes two codings.
        let depth: usize = codings.iter().map(|coding| if *coding == 0 { 1 } else { 2 }).sum();
        prop_assert_eq!(findings.found.len(), usize::from(depth <= MAX_NESTING), "{:?}", findings);
    }
}

/// Shapes that would cost more than their length, if something did.
#[test]
fn hostile_bodies_are_bounded() {
    let many = |piece: &str| piece.repeat((64 << 10) / piece.len());
    let list = |element: &str| format!("[{}1]", many(&format!("{element},")));
    let long_key = "k".repeat(16 << 10);
    for (kind, body) in [
        ("application/json", list(r#""sk_live_0aA1bB2cC3dD4eE5""#)),
        ("application/json", list(r#"{"password":"x1"}"#)),
        ("application/json", format!("{{\"{long_key}\":{}}}", list(r#""a@b.example""#))),
        ("application/json", format!("{}{}", "[".repeat(127), "]".repeat(127))),
        ("application/json", list(r#""[[[[[[[[[[]]]]]]]]]]""#)),
        (
            "text/event-stream",
            many("data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"text\":\"x\"}}\n\n"),
        ),
        ("text/event-stream", many("data: x\n\n")),
        ("application/x-ndjson", many("{}\n")),
        ("application/x-www-form-urlencoded", many("password=x&")),
        ("text/plain", many("-----BEGIN PRIVATE KEY-----")),
        ("text/plain", many("a://b:c@")),
        ("text/plain", many("@")),
        ("text/plain", many("a@a.")),
        ("text/plain", many("DE89 ")),
        ("text/plain", many("4111 ")),
        ("text/plain", many("eyJ.")),
    ] {
        let findings = read(kind, body.as_bytes());
        assert!(findings.found.len() <= MAX_FOUND, "{kind}");
        assert!(findings.found.iter().all(|found| found.path.len() <= 512), "{kind}");
    }
}

#[test]
fn a_series_is_read_one_by_one_and_as_a_whole() {
    let body = "data: {\"token\":\"0123456789abcdef\"}\n\ndata: [DONE]\n\n";
    assert_eq!(
        kinds(&read("text/event-stream; charset=utf-8", body.as_bytes())),
        [(Kind::NamedSecret, "event[0] > $.token".to_owned())]
    );
    let lines = "{\"a\":1}\n{\"password\":\"x1\"}\n";
    assert_eq!(
        kinds(&read("application/x-ndjson", lines.as_bytes())),
        [(Kind::Password, "line[1] > $.password".to_owned())]
    );
}

#[test]
fn probabilities_name_no_secrets() {
    let body =
        r#"{"logprobs":[{"token":" something","logprob":-0.1,"top":[{"token":" anything","logprob":-2}]}]}"#;
    assert_eq!(kinds(&read("application/json", body.as_bytes())), []);
}

#[test]
fn secrets_are_left_out_of_texts() {
    let text = "use sk_live_0aA1bB2cC3dD4eE5 or postgres://app:s3cret@db/x.";
    assert_eq!(redacted(text), "use sk_live_… or postgres://app:…@db/x.");
}
