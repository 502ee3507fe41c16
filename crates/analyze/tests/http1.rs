//! HTTP/1 as it is found: lost frames, one direction, connections joined in the middle, lenient senders, tunnels.

mod support;

use craft::conversation::Side;
use exposure_schema::{Capture, Level};
use support::{Bench, Conversation, Line, Made};

/// The message of the journal: its strings are searched for.
const BODY: &str = r#"{"text":"a string to be found","name":"another one of them"}"#;

fn analyze(made: &[Made]) -> Capture {
    let line = Line { agent: "agent-a", event: "sent", at: 1, body: BODY };
    Bench::new(&[line]).analyze(made)
}

fn request(number: usize) -> String {
    format!("GET /{number} HTTP/1.1\r\nHost: b\r\n\r\n")
}

fn answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each message as its target or status, with the length of its body and whether it is complete.
fn messages(capture: &Capture) -> Vec<(String, u64, bool)> {
    let what = |message: &exposure_schema::HttpMessage| match message.status {
        Some(status) => status.to_string(),
        None => message.target.clone().unwrap_or_default(),
    };
    capture.http.iter().map(|message| (what(message), message.body_bytes, message.complete)).collect()
}

fn count(capture: &Capture, what: &str) -> usize {
    messages(capture).iter().filter(|message| message.0 == what).count()
}

fn reasons(capture: &Capture) -> Vec<&str> {
    capture.completeness.unexplained.iter().map(|entry| entry.reason.as_str()).collect()
}

/// Frames of some exchanges with bodies of several segments, and which of them are segments of the server.
fn exchanges(number: usize) -> (Vec<Made>, Vec<usize>) {
    let mut conversation = Conversation::open();
    let mut of_server = Vec::new();
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(4000));
    for number in 0..number {
        conversation = conversation.sends(Side::Client, request(number).as_bytes());
        let before = conversation.made().len();
        conversation = conversation.sends(Side::Server, answer(&long).as_bytes());
        of_server.extend(before..conversation.made().len());
    }
    let made = conversation.closes(Side::Client).closes(Side::Server).made();
    (made, of_server)
}

/// Whatever one frame is lost, all requests are read, and all answers but the one whose head it contains.
#[test]
fn one_lost_frame_costs_no_more_than_its_message() {
    let (made, of_server) = exchanges(4);
    assert_eq!(count(&analyze(&made), "200"), 4);
    for lost in of_server {
        let mut made = made.clone();
        made.remove(lost);
        let capture = analyze(&made);
        assert!(count(&capture, "200") >= 3, "frame {lost}: {:?}", messages(&capture));
        for number in 0..4 {
            assert_eq!(count(&capture, &format!("/{number}")), 1, "frame {lost}");
        }
    }
}

#[test]
fn a_lost_request_hides_no_answer() {
    let (made, of_server) = exchanges(4);
    let requests = (3..made.len() - 2).filter(|frame| !of_server.contains(frame));
    for lost in requests {
        let mut made = made.clone();
        made.remove(lost);
        let capture = analyze(&made);
        assert_eq!(count(&capture, "200"), 4, "frame {lost}: {:?}", messages(&capture));
    }
}

/// From any frame on, every message that begins in the rest of the capture is read.
#[test]
fn a_capture_that_begins_in_the_middle_is_read_from_its_first_message_on() {
    let (made, of_server) = exchanges(3);
    let heads: Vec<usize> = (0..3).map(|exchange| of_server[exchange * of_server.len() / 3]).collect();
    for begin in 3..made.len() - 2 {
        let capture = analyze(&made[begin..]);
        let expected = heads.iter().filter(|head| **head >= begin).count();
        assert_eq!(count(&capture, "200"), expected, "from frame {begin} on: {:?}", messages(&capture));
    }
}

#[test]
fn one_direction_alone_is_read() {
    let (made, of_server) = exchanges(3);
    let server: Vec<Made> = of_server.iter().map(|frame| made[*frame].clone()).collect();
    assert_eq!(count(&analyze(&server), "200"), 3);
    let client: Vec<Made> =
        (3..made.len()).filter(|frame| !of_server.contains(frame)).map(|frame| made[frame].clone()).collect();
    let capture = analyze(&client);
    assert_eq!((0..3).filter(|number| count(&capture, &format!("/{number}")) == 1).count(), 3);
}

#[test]
fn a_body_that_is_cut_is_searched_and_listed() {
    let long = format!(r#"{{"text":"a string to be found","more":"{}"}}"#, "x".repeat(4000));
    let conversation = Conversation::open().sends(Side::Client, request(0).as_bytes());
    let from = conversation.made().len();
    let conversation = conversation.sends(Side::Server, answer(&long).as_bytes());
    let to = conversation.made().len();
    let conversation = conversation
        .sends(Side::Client, request(1).as_bytes())
        .sends(Side::Server, answer("{}").as_bytes())
        .closes(Side::Client)
        .closes(Side::Server);
    let mut made = conversation.made();
    made.drain(from + 1..to);
    let capture = analyze(&made);
    let answers: Vec<_> = messages(&capture).into_iter().filter(|message| message.0 == "200").collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(!answers[0].2 && answers[1].2, "{answers:?}");
    let found = capture.strings.iter().find(|string| string.value == "a string to be found");
    assert_eq!(found.map(|string| string.level), Some(Level::Verbatim));
}

#[test]
fn a_lenient_head_is_read_and_doubted() {
    let request = format!("POST /a HTTP/1.1\r\nContent-Length : {}\r\n\r\n{BODY}", BODY.len());
    let conversation = Conversation::open().sends(Side::Client, request.as_bytes());
    let capture = analyze(&conversation.made());
    assert_eq!(messages(&capture), [("/a".to_owned(), BODY.len() as u64, true)]);
    assert_eq!(reasons(&capture), ["HTTP read leniently: white space before a colon"]);
}

#[test]
fn an_answer_to_an_unseen_head_request_is_doubted() {
    let answers = format!("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", answer("{}"));
    let conversation = Conversation::open().sends(Side::Server, answers.as_bytes());
    let capture = analyze(&conversation.made());
    let expected = [("200".to_owned(), 0, true), ("200".to_owned(), 2, true)];
    assert_eq!(messages(&capture), expected);
    assert_eq!(reasons(&capture), ["an HTTP answer without body to a request that was not captured"]);
}

#[test]
fn what_runs_in_a_tunnel_is_read() {
    let inner = format!("POST /inner HTTP/1.1\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let conversation = Conversation::open()
        .sends(Side::Client, b"CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n")
        .sends(Side::Server, b"HTTP/1.1 200 Connection established\r\n\r\n")
        .sends(Side::Client, inner.as_bytes())
        .sends(Side::Server, answer("{}").as_bytes());
    let capture = analyze(&conversation.made());
    assert_eq!(
        messages(&capture),
        [
            ("b:80".to_owned(), 0, true),
            ("200".to_owned(), 0, true),
            ("/inner".to_owned(), BODY.len() as u64, true),
            ("200".to_owned(), 2, true),
        ]
    );
    assert_eq!(reasons(&capture), ["a tunnel through a proxy, which begins in the clear"]);
}

/// A server of HTTP/2 sends its settings before it knows what the client speaks (RFC 9113 §3.4).
#[test]
fn a_request_to_a_server_of_http2_is_read() {
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    let capture = analyze(
        &Conversation::open()
            .sends(Side::Server, &settings)
            .sends(Side::Client, request(1).as_bytes())
            .closes(Side::Client)
            .closes(Side::Server)
            .made(),
    );
    assert_eq!(messages(&capture), [("/1".to_owned(), 0, true)]);
}

/// The frames of a request inside of a tunnel are its own, not those of the proxy's protocol before it.
#[test]
fn what_runs_inside_of_socks_is_read() {
    let body = answer(BODY);
    let conversation = || {
        Conversation::open()
            .sends(Side::Client, &[5, 1, 0])
            .sends(Side::Server, &[5, 0])
            .sends(Side::Client, b"\x05\x01\x00\x03\x04host\x00\x50")
    };
    let accepted = conversation().sends(Side::Server, b"\x05\x00\x00\x01\0\0\0\0\0\0");
    let before = accepted.made().len();
    let made = accepted
        .sends(Side::Client, request(1).as_bytes())
        .sends(Side::Server, body.as_bytes())
        .closes(Side::Client)
        .closes(Side::Server)
        .made();
    let capture = analyze(&made);
    assert_eq!(count(&capture, "/1") + count(&capture, "200"), 2, "{:?}", messages(&capture));
    let first = capture.http[0].first_frame;
    assert!(first.is_some_and(|frame| frame > before as u64), "{first:?} is behind {before}");
    assert!(reasons(&capture).iter().any(|why| why.contains("SOCKS 5")));

    let refused = conversation().sends(Side::Server, b"\x05\x05\x00\x01\0\0\0\0\0\0");
    let made = refused.sends(Side::Client, request(1).as_bytes()).closes(Side::Client).made();
    assert_eq!(analyze(&made).http.len(), 0, "a proxy that refuses carries nothing");
}

/// Clients of SOCKS that save a round trip send what is inside of the tunnel before the proxy grants their request.
#[test]
fn what_a_client_of_socks_sends_early_is_read() {
    let body = answer(BODY);
    let connect = b"\x05\x01\x00\x03\x04host\x00\x50".as_slice();
    let early = [&[5, 1, 0][..], connect, request(1).as_bytes()].concat();
    let talk = |granted: &[u8]| {
        Conversation::open()
            .sends(Side::Client, &early)
            .sends(Side::Server, &[5, 0])
            .sends(Side::Server, granted)
            .sends(Side::Server, body.as_bytes())
            .closes(Side::Client)
            .closes(Side::Server)
            .made()
    };
    let capture = analyze(&talk(b"\x05\x00\x00\x01\0\0\0\0\0\0"));
    assert_eq!(count(&capture, "/1") + count(&capture, "200"), 2, "{:?}", messages(&capture));
    // The request is in the first frame behind the handshake of TCP.
    assert_eq!(capture.http[0].first_frame, Some(4));
    assert!(reasons(&capture).iter().any(|why| why.contains("SOCKS 5")));
    assert_eq!(analyze(&talk(b"\x05\x05\x00\x01\0\0\0\0\0\0")).http.len(), 0, "a proxy that refuses");
}

/// Commands that an attacker adds behind STARTTLS must not count as protected.
#[test]
fn commands_before_the_acceptance_of_tls_are_no_tls() {
    let hello = [0x16, 3, 1, 0, 4, 1, 0, 0, 0];
    let made = |injected: &[u8]| {
        Conversation::open()
            .sends(Side::Server, b"220 mail\r\n")
            .sends(Side::Client, &[b"STARTTLS\r\n", injected].concat())
            .sends(Side::Server, b"220 ready\r\n")
            .sends(Side::Client, &hello)
            .closes(Side::Client)
            .closes(Side::Server)
            .made()
    };
    let sessions = |injected| analyze(&made(injected)).tls.map_or(0, |tls| tls.sessions.len());
    assert_eq!((sessions(b""), sessions(b"QUIT\r\n")), (1, 0));
}
