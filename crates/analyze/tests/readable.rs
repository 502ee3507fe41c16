//! What a capture without journals shows by itself: credentials, personal data and the messages of agents, with their fields
//! and frames.

mod support;

use std::ops::ControlFlow;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;
use craft::conversation::Side;
use craft::pcap;
use exposure_schema::{Capture, FindingEntry, Level};
use support::Conversation;

/// Analyzes a conversation of which nothing else is known.
fn analyze(conversation: &Conversation, show_secrets: bool) -> Capture {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap");
    let mut writer =
        pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a vector");
    for (at, made) in (1..).zip(conversation.made()) {
        writer.write(at * 1000, made.original_len, &made.bytes).expect("a vector can be written");
    }
    std::fs::write(&path, writer.into_inner()).expect("the capture");
    let options = Options { show_secrets, ..Options::default() };
    analysis::analyze(&Input::file(&path), options, &mut |_| ControlFlow::Continue(())).expect("a capture")
}

fn request(head: &str, body: &str) -> Vec<u8> {
    format!("{head}\r\nHost: b\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn row(entry: &FindingEntry) -> String {
    let frame = entry.location.frames.first().copied().unwrap_or_default();
    format!("{} {} {} {} in frame {frame}", entry.kind, entry.place, entry.path, entry.redacted)
}

fn rows(capture: &Capture) -> Vec<String> {
    let contents = capture.contents.as_ref().expect("a capture without journals");
    contents.credentials.iter().chain(&contents.personal).map(row).collect()
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"fetch","arguments":{"api_key":"0123456789abcdef","to":"ada@example.com"}}}"#;

fn mcp() -> Conversation {
    let asked = request(
        "POST /mcp HTTP/1.1\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nContent-Type: application/json",
        CALL,
    );
    let event = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"sent\"}]}}\n\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: sid=31d4d96e; HttpOnly\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n0\r\n\r\n",
        event.len()
    );
    Conversation::open().sends(Side::Client, &asked).sends(Side::Server, answer.as_bytes())
}

#[test]
fn a_conversation_of_mcp_is_read_to_the_field() {
    let capture = analyze(&mcp(), false);
    let frame = capture.http[0].first_frame.expect("a frame");
    let answer = capture.http[1].first_frame.expect("a frame");
    assert_eq!(
        rows(&capture),
        [
            format!("basic header authorization … in frame {frame}"),
            format!("named_secret json $.params.arguments.api_key … in frame {frame}"),
            format!("set_cookie header set-cookie.sid … in frame {answer}"),
            format!("email json $.params.arguments.to a…@example.com in frame {frame}"),
        ]
    );
    let contents = capture.contents.as_ref().expect("contents");
    assert!(contents.credentials.iter().all(|entry| entry.value.is_none()));
    assert_eq!(contents.credentials[0].details[0].value.as_deref(), Some("Aladdin"), "the user is no secret");
    let agents: Vec<_> = contents
        .agents
        .iter()
        .map(|agent| {
            let texts: Vec<_> =
                agent.texts.iter().map(|text| (text.path.as_str(), text.value.as_deref())).collect();
            (agent.protocol.as_ref(), agent.what.as_ref(), agent.tools.join(""), texts)
        })
        .collect();
    assert_eq!(
        agents,
        [
            (
                "mcp",
                "request",
                "fetch".to_owned(),
                vec![
                    ("$.params.name", Some("fetch")),
                    ("$.params.arguments.api_key", None),
                    ("$.params.arguments.to", Some("ada@example.com")),
                ]
            ),
            (
                "mcp",
                "result",
                String::new(),
                vec![("$.result.content[0].type", Some("text")), ("$.result.content[0].text", Some("sent"))]
            ),
        ]
    );
    assert_eq!(contents.agents[1].level, Level::Decoded, "it is in chunks");
    let text = analyze::output::console::text(&analyze::output::exposure::of(vec![capture], Vec::new()));
    assert!(text.contains("$.params.arguments.api_key") && !text.contains("0123456789abcdef"), "{text}");
}

#[test]
fn secrets_are_shown_only_if_they_are_requested() {
    let shown = analyze(&mcp(), true);
    let values: Vec<_> = shown
        .contents
        .iter()
        .flat_map(|contents| &contents.credentials)
        .map(|entry| entry.value.as_deref())
        .collect();
    assert_eq!(values, [Some("open sesame"), Some("0123456789abcdef"), Some("31d4d96e")]);
    let hidden = serde_json::to_string(&analyze(&mcp(), false)).expect("JSON");
    for secret in ["open sesame", "0123456789abcdef", "QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
        assert!(!hidden.contains(secret), "{secret}");
    }
}

#[test]
fn streamed_deltas_become_a_message_with_its_fields() {
    let delta = |text: &str| {
        let text = serde_json::Value::from(text);
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{text}}}}}\n\n"
        )
    };
    let body = [
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[]}}\n\n".to_owned(),
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"login\",\"input\":{}}}\n\n".to_owned(),
        delta("{\"pass"),
        delta("word\":\"hun"),
        delta("ter22\"}"),
    ]
    .concat();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let conversation = Conversation::open()
        .sends(Side::Client, &request("POST /v1/messages HTTP/1.1", ""))
        .sends(Side::Server, answer.as_bytes());
    let capture = analyze(&conversation, false);
    let frame = capture.http[1].first_frame.expect("a frame");
    assert_eq!(rows(&capture), [format!("password json $.content[0].input.password … in frame {frame}")]);
    let contents = capture.contents.as_ref().expect("contents");
    let layers: Vec<_> = contents.credentials[0].location.layers.iter().map(AsRef::as_ref).collect();
    assert_eq!(layers, ["http1", "deltas"]);
    let agent = &contents.agents[0];
    assert_eq!(
        (agent.protocol.as_ref(), agent.tools.join(""), agent.joined),
        ("messages", "login".to_owned(), 5)
    );
}

#[test]
fn codings_in_codings_are_undone_to_their_depth() {
    let inner = data_encoding::BASE64.encode(br#"{"list":[{"password":"hunter22"}]}"#);
    let text = serde_json::json!({ "payload": inner }).to_string();
    let body = serde_json::json!({ "body": text }).to_string();
    let conversation = Conversation::open()
        .sends(Side::Client, &request("POST / HTTP/1.1\r\nContent-Type: application/json", &body));
    let capture = analyze(&conversation, false);
    let contents = capture.contents.as_ref().expect("contents");
    let found = &contents.credentials[0];
    assert_eq!(found.path, "$.body > $.payload > $.list[0].password");
    let layers: Vec<_> = found.location.layers.iter().map(AsRef::as_ref).collect();
    assert_eq!(layers, ["http1", "json", "base64", "json"]);
    assert_eq!(found.level, Level::Decoded);
    // Five documents in one another are one more than are read.
    let deep = (0..6).fold(r#"{"password":"hunter22"}"#.to_owned(), |text, _| {
        serde_json::json!({ "a": text }).to_string()
    });
    let conversation = Conversation::open()
        .sends(Side::Client, &request("POST / HTTP/1.1\r\nContent-Type: application/json", &deep));
    assert_eq!(rows(&analyze(&conversation, false)), [] as [String; 0]);
}

#[test]
fn forms_targets_and_cookies_are_read_once_for_each_value() {
    let login = request(
        "POST /login?token=0123456789abcdef HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded",
        "user=ada&password=open%20sesame",
    );
    let page = request("GET / HTTP/1.1\r\nCookie: sid=31d4d96e; theme=dark", "");
    let mut conversation = Conversation::open().sends(Side::Client, &login);
    for _ in 0..3 {
        conversation = conversation.sends(Side::Client, &page);
    }
    let capture = analyze(&conversation, true);
    let contents = capture.contents.as_ref().expect("contents");
    let seen: Vec<_> = contents
        .credentials
        .iter()
        .map(|entry| {
            format!(
                "{} {} {} {:?} {}",
                entry.kind,
                entry.place,
                entry.path,
                entry.value.as_deref().unwrap_or_default(),
                entry.times
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "named_secret target token \"0123456789abcdef\" 1",
            "password form password \"open sesame\" 1",
            "cookie header cookie.sid \"31d4d96e\" 3",
            "cookie header cookie.theme \"dark\" 3",
        ]
    );
    assert_eq!(contents.credentials_total, 8);
}

#[test]
fn http2_heads_are_read() {
    let frame = |frame_type: u8, flags: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, frame_type, flags, 0, 0, 0, 1][..], payload].concat()
    };
    let value = b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    // GET / with `authorization`, entry 23 of the static table, never indexed (RFC 7541 §6.2.3).
    let block = [&[0x82, 0x86, 0x84, 0x1f, 23 - 15, value.len() as u8][..], value].concat();
    let client =
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &frame(1, 5, &block)]
            .concat();
    let capture = analyze(&Conversation::open().sends(Side::Client, &client), true);
    let contents = capture.contents.as_ref().expect("contents");
    let found = &contents.credentials[0];
    assert_eq!((found.kind.as_ref(), found.value.as_deref()), ("basic", Some("open sesame")));
    assert_eq!(found.location.frames, [capture.http[0].first_frame.expect("a frame")]);
}

#[test]
fn nothing_is_claimed_of_ordinary_traffic() {
    let page = "<html><head><title>Tokens and passwords</title></head><body class=\"sk-folding-cube\">Order 4111111111111111, logo@2x.png</body></html>";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nETag: \"686897696a7c876b7e\"\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let body = r#"{"usage":{"prompt_tokens":12345678,"total_tokens":12345678},"nextPageToken":"abcdefghijkl","id":"4111111111111111"}"#;
    let conversation = Conversation::open()
        .sends(
            Side::Client,
            &request("POST /?page=2&max_tokens=123456789 HTTP/1.1\r\nContent-Type: application/json", body),
        )
        .sends(Side::Server, answer.as_bytes());
    let capture = analyze(&conversation, false);
    assert_eq!(rows(&capture), [] as [String; 0]);
    assert_eq!(capture.contents.map(|contents| contents.agents_total), Some(0));
}
