//! Makes `plainsight.exposure/1` documents with any number of messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Time of the first frame of every capture: 2026-11-20 12:47:06.795 UTC.
pub(crate) const START: u64 = 1_795_178_826_795_000_000;

/// A pair of captures, `http` exposed and `https` sealed, of this many calls each.
pub(crate) fn proven(calls: usize) -> Value {
    json!({
        "schema": "plainsight.exposure/1",
        "program": { "name": "analyze", "version": "0.1.0" },
        "captures": [capture("http", calls), capture("https", calls)],
        "conclusion": "proven",
        "reasons": [],
        "errors": [],
    })
}

/// A capture of this many calls, over TLS if its name is `https`.
pub(crate) fn capture(name: &str, calls: usize) -> Value {
    let is_tls = name == "https";
    let level = if is_tls { "decrypted" } else { "verbatim" };
    let messages = 2 * calls;
    let strings: Vec<Value> = (0..messages).flat_map(|message| strings_of(message, level)).collect();
    let total = strings.len();
    let count = |wanted: &str| if wanted == level { total } else { 0 };
    let port = if is_tls { 8443 } else { 8000 };
    json!({
        "name": name, "file": format!("captures/{name}.pcap"), "sha256": "ab".repeat(32), "bytes": 4096 * messages,
        "run_id": "00".repeat(16), "variant": name, "backend": "netns", "vantage": "interface",
        "expected_verdict": if is_tls { "sealed" } else { "exposed" },
        "frames": 4 * messages, "first_frame_at_unix_ns": START, "last_frame_at_unix_ns": START + 1_000_000_000,
        "verdict": if is_tls { "sealed" } else { "exposed" }, "reasons": [],
        "completeness": {
            "passed": true, "hash_matches_manifest": true, "capture_finished": true, "kernel_drops": 0,
            "messages_expected": messages, "messages_accounted": messages, "messages_missing": [],
            "messages_unjournaled": 0, "streams": 1, "streams_whole": 1, "streams_troubled": [], "gaps": 0,
            "gap_bytes": 0, "overlap_conflicts": 0, "retransmissions": 0, "out_of_order": 0, "frames_truncated": 0,
            "frames_undecoded": 0, "frames_other": 0, "frames_control": 0, "unexplained_bytes": 0, "unexplained": [],
        },
        "controls": {
            "positive": {
                "passed": true, "strings": total, "found": total, "key_log": is_tls,
                "bytes_searched": 1000, "bytes_decrypted": 900,
            },
            "decoys": { "passed": true, "searched": 8, "found": 0 },
            "wrong_key": is_tls.then(|| json!({ "passed": true, "tried": 16, "authenticated": 0 })),
        },
        "strings": strings,
        "summary": {
            "verbatim": count("verbatim"), "reassembled": 0, "decoded": 0, "decrypted": count("decrypted"),
            "absent": 0, "total": total,
        },
        "tls": is_tls.then(tls),
        "http": (0..messages.min(1_000)).map(|message| http(message, level)).collect::<Vec<Value>>(),
        "http_total": messages,
        "readable": [], "readable_total": 0,
        "manifest": {
            "program": { "name": "capturer", "version": "0.1.0" }, "scheme": name, "http_version": "1.1",
            "tls_versions": if is_tls { vec!["1.3"] } else { vec![] }, "port": port, "interface": "veth-b",
            "link_type": 1, "snaplen": 262_144, "filter": format!("tcp port {port}"), "started_at_unix_ns": START,
            "ended_at_unix_ns": START + 1, "journals": ["a.jsonl"], "key_log": null, "unfinished_checksums": 0,
            "segmentation_offload_frames": 0,
        },
        "journal": (0..messages.min(200)).map(journal).collect::<Vec<Value>>(),
        "journal_total": 2 * messages,
        "connections": [{
            "stream": 0, "client": "10.0.0.1:5000", "server": format!("10.0.0.2:{port}"), "first_frame": 1,
            "last_frame": 4 * messages, "first_frame_at_unix_ns": START, "last_frame_at_unix_ns": START + 9,
            "frames": 4 * messages, "wire_bytes": 10, "payload_bytes": [5, 5],
            "round_trips_before_first_answer": if is_tls { 3 } else { 2 }, "ended": "fin",
        }],
        "connections_total": 1,
        "packets": (0..(4 * messages).min(200)).map(packet).collect::<Vec<Value>>(),
        "traffic": {
            "wire_bytes": 2_000,
            "by_kind": { "headers": 500, "clear": 1_500, "tls_clear": 0, "ciphertext": 0, "other": 0 },
            "payload_bytes_sampled": 1_500, "payload_entropy_bits_per_byte": 5.08, "payload_printable_bytes": 1_400,
        },
        "exhibit": {
            "message_id": "call-0", "stream": 0,
            "turns": [turn("client_to_server", 4, BODY), turn("server_to_client", 5, "HTTP/1.1 200 OK\r\n\r\n{}")],
            "opened": if is_tls {
                json!([{
                    "direction": "client_to_server", "stream_offset": 0, "wire_bytes": BODY.len(),
                    "bytes": STANDARD.encode(OPENED),
                }])
            } else {
                json!([])
            },
            "bytes_shown": BODY.len() + 21, "client_bytes": BODY.len(), "server_bytes": 21,
            "frame": {
                "frame": 4, "file_offset": 302, "wire_bytes": BODY.len(), "bytes": STANDARD.encode(BODY),
                "payload_offset": 0, "path": "$.canary", "message_id": "call-0", "level": level, "offset": 29,
                "length": 16,
            },
        },
        "a_field_of_later": { "x": 1 },
    })
}

/// What a TLS record of the first request contains.
pub(crate) const OPENED: &str = "POST /tool HTTP/1.1\r\n\r\n{\"c\":\"opened <by> keys\"}";

/// The first request. Its canary begins at byte 29.
pub(crate) const BODY: &str = "POST /tool HTTP/1.1\r\n\r\n{\"c\":\"0123456789abcdef\"}";

fn strings_of(message: usize, level: &str) -> Vec<Value> {
    let of = |path: &str, value: String| {
        json!({
            "value": value, "value_bytes": value.len(), "path": path, "message_id": format!("call-{}", message / 2),
            "direction": direction(message), "level": level, "searched_as": "value", "expected_chance_hits": 1e-17,
            "locations": [location(message)], "locations_total": 1,
        })
    };
    vec![
        of("$.canary", format!("{message:016x}")),
        of("$.text", "every string and number of a message ".repeat(6)),
        of("$.arguments.target", "libssl".to_owned()),
    ]
}

fn location(message: usize) -> Value {
    let offset = if message == 0 { 29 } else { 1_000_000 + 400 * message };
    json!({
        "frames": [4 * message + 4], "file_offset": 302 + 400 * message, "stream": 0,
        "direction": direction(message), "stream_offset": offset, "wire_bytes": 16, "layers": [],
        "filter": format!("frame.number == {}", 4 * message + 4), "excerpt": null,
    })
}

fn direction(message: usize) -> &'static str {
    if message.is_multiple_of(2) { "client_to_server" } else { "server_to_client" }
}

fn tls() -> Value {
    json!({
        "connections": 1,
        "records": { "total": 9, "application_data": 5, "authenticated": 5, "failed": 0, "not_opened": 0 },
        "sessions": [{
            "stream": 0, "client": "10.0.0.1:5000", "server": "10.0.0.2:8443",
            "visible": {
                "server_name": "agent-b", "versions_offered": ["TLS 1.3"], "alpn_offered": ["http/1.1"], "alpn": null,
                "version": "TLS 1.3", "cipher_suite": "TLS_AES_256_GCM_SHA384", "named_group": "X25519MLKEM768",
                "post_quantum_hybrid": true, "key_exchange": "post_quantum",
                "ja3": null, "ja3s": null, "ja4": null, "certificates": [], "client_certificates": [], "records": [4, 5], "stream_bytes": [100, 200],
            },
            "hidden": { "alpn": "http/1.1", "certificates": [], "client_certificates": [] },
        }],
    })
}

fn http(message: usize, level: &str) -> Value {
    let is_request = message.is_multiple_of(2);
    let at = START + 1_000_000 * message as u64;
    json!({
        "stream": 0, "direction": direction(message), "first_frame": 4 * message + 4, "last_frame": 4 * message + 5,
        "method": is_request.then_some("POST"), "target": is_request.then_some("/tool"),
        "status": (!is_request).then_some(200), "content_type": "application/json", "body_bytes": 100,
        "complete": true, "level": level, "layers": ["http1"], "message_id": format!("call-{}", message / 2),
        "first_at_unix_ns": at, "last_at_unix_ns": at + 500_000,
    })
}

fn journal(message: usize) -> Value {
    json!({
        "agent": "agent-a", "event": if message.is_multiple_of(2) { "sent" } else { "received" },
        "message_id": format!("call-{}", message / 2), "at_unix_ns": START, "local": null, "remote": null,
        "content_type": "application/json", "body_bytes": 24, "body_sha256": "cd".repeat(32),
        "body": (message < 2).then_some("{\"c\":\"0123456789abcdef\"}"),
    })
}

fn packet(index: usize) -> Value {
    json!({
        "frame": index + 1, "at_unix_ns": START + 100_000 * index as u64, "wire_bytes": 300, "captured_bytes": 300,
        "stream": 0, "direction": direction(index), "source": "10.0.0.1:5000", "destination": "10.0.0.2:8000",
        "protocol": "TCP", "flags": if index == 0 { vec!["SYN"] } else { vec!["PSH", "ACK"] }, "sequence": index,
        "payload_bytes": if index == 0 { 0 } else { 234 },
        "holds": if index == 0 { vec![] } else { vec!["POST /tool"] },
    })
}

fn turn(direction: &str, frame: u64, bytes: &str) -> Value {
    json!({ "direction": direction, "stream_offset": 0, "frames": [frame], "bytes": STANDARD.encode(bytes) })
}
