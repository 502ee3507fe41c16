//! agent-b's answers to valid and invalid requests, over real sockets.

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use agent_core::journal::sha256_hex;
use common::{AgentB, PATIENCE, lines, post, read_response};
use serde_json::{Value, json};

const LAB: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

/// Asserts an error answer of exactly the documented form.
fn assert_error((status, body): (u16, Value), expected: u16, code: &str) {
    assert_eq!(status, expected, "{body}");
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{body}");
    let error = body["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message"], "{body}");
    assert_eq!(error["code"], code, "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty());
}

fn raw(agent: &AgentB, request: &[u8]) -> (u16, Value) {
    let (status, body) = agent.exchange(request);
    (status, serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}")))
}

#[test]
fn answers_the_call_of_the_lab_and_repeats_it() {
    let agent = AgentB::start(&["--run-id", "00112233445566778899aabbccddeeff"]);
    let (status, answer) = agent.exchange(&post(LAB.as_bytes(), "application/json; charset=utf-8"));
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    let head =
        r#"{"id":"call-0001","type":"tool_result","tool_name":"analyze_dependency","status":"ok","result":{"#;
    assert!(answer.starts_with(head), "{answer}");
    assert!(answer.contains(&format!(r#","request":{LAB},"canary":""#)), "{answer}");
    let parsed: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(parsed["canary"].as_str().unwrap().len(), 32);
    let paths: Vec<_> =
        parsed["result"]["dependents"].as_array().unwrap().iter().map(|d| &d["path"]).collect();
    assert!(paths.contains(&&json!(["demo-repo", "http-client", "libssl"])), "{paths:?}");

    let journal = agent.journal();
    let events: Vec<_> = journal.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["received", "sent"]);
    assert_eq!(journal[0]["body"], LAB);
    assert_eq!(journal[1]["body"], answer);
    for line in &journal {
        assert_eq!(line["run"], "00112233445566778899aabbccddeeff");
        assert_eq!(line["agent"], "agent-b");
        assert_eq!(line["message_id"], "call-0001");
        assert_eq!(line["local"], agent.address.to_string());
        assert!(line["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(line["body_sha256"], sha256_hex(line["body"].as_str().unwrap().as_bytes()));
    }
}

#[test]
fn bad_requests_get_json_errors_and_the_server_keeps_running() {
    let agent = AgentB::start(&["--body-limit", "2000"]);
    let change = |from: &str, to: &str| LAB.replace(from, to);
    for (body, status, code) in [
        (String::new(), 400, "invalid_json"),
        ("{".into(), 400, "invalid_json"),
        ("hello".into(), 400, "invalid_json"),
        (LAB.to_owned() + "}", 400, "invalid_json"),
        ("[".repeat(1999), 400, "invalid_json"),
        ("[]".into(), 422, "invalid_message"),
        ("{}".into(), 422, "invalid_message"),
        (change("tool_call", "tool_result"), 422, "invalid_message"),
        (change("\"call-0001\"", "1"), 422, "invalid_message"),
        (change("analyze_dependency", "no_such_tool"), 404, "unknown_tool"),
        (change("\"depth\":2", "\"depth\":\"2\""), 422, "invalid_arguments"),
        (change("\"depth\":2", "\"depth\":99"), 422, "invalid_arguments"),
        (change(",\"depth\":2", ""), 422, "invalid_arguments"),
        (change("libssl", "libnothing\\u001b[2J"), 422, "unknown_target"),
        (change("demo-repo", "other"), 422, "unknown_repo"),
        (change("libssl", &"x".repeat(2000)), 413, "body_too_large"),
    ] {
        assert_error(agent.post(body.as_bytes()), status, code);
    }
    for content_type in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""] {
        let answer = raw(&agent, &post(LAB.as_bytes(), content_type));
        assert_error(answer, 415, "unsupported_media_type");
    }
    let plain = |request: &str| raw(&agent, format!("{request}\r\nHost: x\r\n\r\n").as_bytes());
    assert_error(plain("GET /nothing HTTP/1.1"), 404, "not_found");
    assert_error(plain("GET /tool HTTP/1.1"), 405, "method_not_allowed");
    assert_error(plain("DELETE /tool HTTP/1.1"), 405, "method_not_allowed");
    assert_error(plain("POST /healthz HTTP/1.1"), 405, "method_not_allowed");
    assert_error(plain("POST /tool HTTP/1.1"), 415, "unsupported_media_type");
    let chunked = format!(
        "POST /tool HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{LAB}\r\n",
        LAB.len()
    );
    assert_error(raw(&agent, (chunked.clone() + "nonsense\r\n\r\n").as_bytes()), 400, "invalid_body");
    let endless = chunked.clone() + &format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    assert_error(raw(&agent, endless.as_bytes()), 413, "body_too_large");
    assert_eq!(raw(&agent, (chunked + "0\r\n\r\n").as_bytes()).0, 200);
    assert_error(agent.post(b"\xff\xfe"), 400, "invalid_json");

    assert_eq!(plain("GET /healthz HTTP/1.1"), (200, json!({"status": "ok"})));
    assert_eq!(agent.post(LAB.as_bytes()).0, 200);
    let journal = agent.journal();
    assert!(journal.iter().any(|line| line["body"].is_null() && line["body_base64"] == "//4="));
    assert!(journal.iter().all(|line| line["body"] != "{\"status\":\"ok\"}"), "/healthz is not a message");
    let log = agent.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "the log carries control characters");
}

#[test]
fn rejects_a_body_over_the_limit_before_it_is_sent() {
    let agent = AgentB::start(&["--body-limit", "1000"]);
    let head = "POST /tool HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n";
    assert_error(raw(&agent, head.as_bytes()), 413, "body_too_large");
    let asking = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").replace("999999999", "5000");
    assert_error(raw(&agent, asking.as_bytes()), 413, "body_too_large");
    // Sent at once, the server discards it, so that the client can read the answer.
    for size in [1001, 100_000, 900_000] {
        assert_error(agent.post(&vec![b' '; size]), 413, "body_too_large");
    }
    assert_eq!(agent.post(LAB.as_bytes()).0, 200);
}

#[test]
fn returns_text_byte_for_byte() {
    let agent = AgentB::start(&[]);
    let text = "한국어 \u{1100}\u{1161} 🦀👩‍💻 \"q\" 'q' \\ / \u{0}\u{1}\u{1b}\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}\u{10ffff} e\u{301}\t\r\n";
    // As an encoder writes it, and with every character escaped.
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    for spelling in [serde_json::to_string(text).unwrap(), format!("\"{escaped}\"")] {
        let body = format!(
            r#"{{"id":"t", "type":"tool_call","tool_name":"transform_text","arguments":{{"text":{spelling},"operation":"identity"}}}}"#
        );
        let (status, answer) = agent.exchange(&post(body.as_bytes(), "application/json"));
        assert_eq!(status, 200);
        let parsed: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(parsed["result"]["text"], text);
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains(&format!(r#""request":{body},"canary""#)),
            "the request is not as it was sent"
        );
        let journal = agent.journal();
        let [.., received, sent] = &journal[..] else { panic!("{journal:?}") };
        assert_eq!(received["body"], body);
        assert_eq!(sent["body"], answer);
    }
}

#[test]
fn disconnects_slow_clients() {
    let agent = AgentB::start(&["--read-timeout", "0.3"]);
    let cases: [(&str, &[u8], Option<&str>); 4] = [
        ("sends nothing", b"", None),
        ("stops in the head", b"POST /tool HTTP/1.1\r\nHost: x\r\n", None),
        (
            "stops in the body",
            b"POST /tool HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
            Some("request_timeout"),
        ),
        (
            "never begins a body over the limit",
            b"POST /tool HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n",
            Some("request_timeout"),
        ),
    ];
    for (what, bytes, code) in cases {
        let mut stream = agent.connect();
        stream.write_all(bytes).unwrap();
        let started = Instant::now();
        if let Some(code) = code {
            let (status, body) = read_response(&mut stream).unwrap_or_else(|| panic!("{what}: no answer"));
            assert_error((status, serde_json::from_slice(&body).unwrap()), 408, code);
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(started.elapsed() < PATIENCE / 2, "{what}: not disconnected");
    }
    // The timeout is for the whole head and the whole body, so a trickle does not extend it.
    for start in
        ["POST /tool HTTP/1.1\r\nX: ", "POST /tool HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"]
    {
        let mut stream = agent.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let started = Instant::now();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let ended = loop {
            if stream.write_all(b"x").is_err() {
                break true;
            }
            match stream.read(&mut [0; 512]) {
                Ok(0) => break true,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
                _ if started.elapsed() > PATIENCE / 2 => break false,
                _ => (),
            }
        };
        assert!(ended, "a trickle is never disconnected: {start}");
    }
    assert_eq!(agent.post(LAB.as_bytes()).0, 200);
}

#[test]
fn rejects_http2_prior_knowledge() {
    let agent = AgentB::start(&[]);
    let mut stream = agent.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    assert_eq!(agent.post(LAB.as_bytes()).0, 200);
}

#[test]
fn closes_connections_above_the_limit() {
    let agent = AgentB::start(&["--read-timeout", "1"]);
    let held: Vec<_> = (0..agent_b::MAX_CONNECTIONS + 20).map(|_| agent.connect()).collect();
    let refused = held.iter().filter(|stream| matches!((&**stream).read(&mut [0]), Ok(0) | Err(_))).count();
    assert!(refused >= 20, "{refused}");
    drop(held);
    assert_eq!(agent.post(LAB.as_bytes()).0, 200);
}

#[cfg(unix)]
#[test]
fn a_signal_lets_requests_in_flight_finish() {
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut agent = AgentB::start(&[]);
        let mut idle = agent.connect();
        idle.write_all(&post(LAB.as_bytes(), "application/json")).unwrap();
        assert_eq!(read_response(&mut idle).unwrap().0, 200);
        let mut busy = agent.connect();
        let request = post(LAB.as_bytes(), "application/json");
        let (first, second) = request.split_at(request.len() - 20);
        busy.write_all(first).unwrap();
        // Waits until agent-b has read the head: only then is a request in flight.
        std::thread::sleep(Duration::from_millis(200));
        agent.signal(signal);
        // The idle connection ends, new ones are refused, and agent-b waits for the busy one.
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        let started = Instant::now();
        while std::net::TcpStream::connect(agent.address).is_ok() && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(agent.is_running());
        busy.write_all(second).unwrap();
        assert_eq!(read_response(&mut busy).unwrap().0, 200);
        assert_eq!(agent.wait().code(), Some(0), "{signal}");
        assert_eq!(lines(&agent.folder.path().join("b.jsonl")).len(), 4);
    }
}

// Regression, from outside: with Nagle's algorithm answers wait 40 ms for a delayed acknowledgement.
#[test]
fn sequential_requests_do_not_stall() {
    let agent = AgentB::start(&["--quiet"]);
    let mut stream = agent.connect();
    stream.set_nodelay(true).unwrap();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            stream.write_all(&post(LAB.as_bytes(), "application/json")).unwrap();
            assert_eq!(read_response(&mut stream).unwrap().0, 200);
            started.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[25] < Duration::from_millis(20), "{times:?}");
}
