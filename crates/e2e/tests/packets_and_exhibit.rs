//! Packets, connections, byte counts and the first exchange in the result of real runs, compared with the capture file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::damage::{Copied, Judged, analyze, analyze_with, file_offset};
use e2e::{has_netns, run_lab, skip};
use serde_json::Value;

fn by_each_backend(check: impl Fn(&Copied, &Judged)) {
    let on = |backend| {
        let lab = run_lab(backend);
        check(&Copied::of(lab), &analyze(&[&lab.captures()]));
    };
    on("relay");
    match has_netns() {
        Ok(()) => on("netns"),
        Err(reason) => skip(&reason),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("text")).expect("base64")
}

#[test]
fn byte_kinds_add_up_and_tls_hides_only_the_bodies() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let traffic = &judged.capture(name)["traffic"];
            let kinds = traffic["by_kind"].as_object().expect("an object");
            let sum: u64 = kinds.values().map(number).sum();
            assert_eq!(sum, number(&traffic["wire_bytes"]), "{name}: {traffic:#}");
            let frames = copied.frames(name);
            let on_wire: u64 = frames.iter().map(|frame| u64::from(frame.original_len)).sum();
            let payload: u64 = frames.iter().map(|frame| frame.payload.len() as u64).sum();
            assert_eq!(sum, on_wire);
            assert_eq!(number(&kinds["headers"]), on_wire - payload);
            assert_eq!(number(&traffic["payload_bytes_sampled"]), payload);
            assert_eq!(number(&kinds["other"]), 0);
            let is_tls = name == "https";
            assert_eq!(number(&kinds["clear"]) == 0, is_tls, "{traffic:#}");
            assert_eq!(number(&kinds["ciphertext"]) > 100_000, is_tls, "{traffic:#}");
            assert_eq!(number(&kinds["tls_clear"]) > 0, is_tls, "{traffic:#}");
        }
    });
}

#[test]
fn ciphertext_has_almost_maximal_entropy() {
    by_each_backend(|_, judged| {
        let traffic = |name: &str| &judged.capture(name)["traffic"];
        let bits = |name: &str| traffic(name)["payload_entropy_bits_per_byte"].as_f64().expect("a number");
        let printable = |name: &str| {
            let (part, whole) = ("payload_printable_bytes", "payload_bytes_sampled");
            number(&traffic(name)[part]) as f64 / number(&traffic(name)[whole]) as f64
        };
        assert!(bits("http") < 7.0 && bits("https") > 7.9, "{} and {}", bits("http"), bits("https"));
        assert!(printable("http") > 0.7 && printable("https") < 0.5);
    });
}

#[test]
fn first_answer_takes_two_round_trips_and_three_over_tls() {
    by_each_backend(|_, judged| {
        for (name, round_trips) in [("http", 2), ("https", 3)] {
            let connections = list(&judged.capture(name)["connections"]);
            assert!(!connections.is_empty());
            for connection in connections {
                assert_eq!(connection["round_trips_before_first_answer"], round_trips, "{connection:#}");
            }
        }
    });
}

#[test]
fn result_contains_manifest_and_journal_lines() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let (capture, lines) = (judged.capture(name), copied.journal(name, "agent-a"));
            let manifest = &capture["manifest"];
            assert_eq!(manifest["program"]["name"], "capturer");
            assert_eq!(manifest["scheme"], name);
            assert_eq!(list(&manifest["journals"]).len(), 2);
            let journal = list(&capture["journal"]);
            assert_eq!(journal.len() as u64, number(&capture["journal_total"]));
            assert!(
                journal.windows(2).all(|two| number(&two[0]["at_unix_ns"]) <= number(&two[1]["at_unix_ns"]))
            );
            let of_a: Vec<_> = journal.iter().filter(|line| line["agent"] == "agent-a").collect();
            assert_eq!(of_a.len(), lines.len());
            for (quoted, line) in of_a.iter().zip(&lines) {
                for field in
                    ["event", "message_id", "at_unix_ns", "local", "remote", "content_type", "body_sha256"]
                {
                    assert_eq!(quoted[field], line[field], "{field}");
                }
            }
            // Both journals have the first exchange.
            let bodies: Vec<_> = journal.iter().filter(|line| !line["body"].is_null()).collect();
            assert_eq!(bodies.len(), 4);
            let (asked, told) = (&lines[0], &lines[1]);
            assert!(bodies.iter().all(|line| line["body"] == asked["body"] || line["body"] == told["body"]));
        }
    });
}

#[test]
fn exhibit_equals_the_bytes_of_the_file() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let (capture, file) = (judged.capture(name), copied.read(&format!("{name}.pcap")));
            let (exhibit, frames, records) = (&capture["exhibit"], copied.frames(name), copied.records(name));
            // The turns are the concatenated payloads of their frames.
            for turn in list(&exhibit["turns"]) {
                let bytes = decoded(&turn["bytes"]);
                let payloads = list(&turn["frames"]).iter();
                let payloads: Vec<u8> =
                    payloads.flat_map(|frame| frames[number(frame) as usize - 1].payload.clone()).collect();
                assert!(payloads.starts_with(&bytes) && !bytes.is_empty(), "{name}: {turn:#}");
            }
            let of = |way: &str| -> Vec<u8> {
                let turns = list(&exhibit["turns"]).iter().filter(|turn| turn["direction"] == *way);
                turns.flat_map(|turn| decoded(&turn["bytes"])).collect()
            };
            let (client, server) = (of("client_to_server"), of("server_to_client"));
            assert_eq!(client.len() as u64, number(&exhibit["client_bytes"]));
            assert_eq!(server.len() as u64, number(&exhibit["server_bytes"]));
            assert_eq!((client.len() + server.len()) as u64, number(&exhibit["bytes_shown"]));

            // The frame equals that of the file, and contains the string at its offset.
            let frame = &exhibit["frame"];
            let (bytes, at) = (decoded(&frame["bytes"]), number(&frame["frame"]) as usize - 1);
            assert_eq!(bytes, records[at].bytes);
            assert_eq!(number(&frame["file_offset"]), file_offset(&records, at));
            assert!(file[number(&frame["file_offset"]) as usize..].starts_with(&bytes));
            let (offset, length) = (number(&frame["offset"]) as usize, number(&frame["length"]) as usize);
            let wire = &bytes[offset..offset + length];
            let body = copied.journal(name, "agent-a")[0]["body"].as_str().expect("text").to_owned();
            let id = judged.string(name, "call-0001");
            assert_eq!((&frame["path"], &frame["level"]), (&id["path"], &id["level"]));
            if name == "http" {
                assert_eq!(wire, b"call-0001");
                assert!(String::from_utf8_lossy(&client).contains(&body));
            } else {
                assert_eq!((length, wire == b"call-0001"), (9, false));
                assert!(!String::from_utf8_lossy(&client).contains("call-0001"));
            }
        }
    });
}

/// The place in the ciphertext is as far from the end of the record as the string is from the end of the plaintext.
#[test]
fn place_in_the_ciphertext_corresponds_to_the_string() {
    const CONTENT_TYPE_AND_TAG: usize = 1 + 16;
    by_each_backend(|copied, judged| {
        let frame = &judged.capture("https")["exhibit"]["frame"];
        let body = copied.journal("https", "agent-a")[0]["body"].as_str().expect("text").to_owned();
        let behind = body.len() - body.find("call-0001").expect("its id");
        let wire = number(&frame["wire_bytes"]) as usize;
        assert_eq!(number(&frame["offset"]) as usize, wire - CONTENT_TYPE_AND_TAG - behind);
    });
}

/// Heads of traffic that the lab did not make may have credentials, so the result has none that only the keys show.
#[test]
fn exhibit_has_the_plaintext_of_the_lab_only() {
    let copied = Copied::of(run_lab("relay"));
    let known = copied.analyze();
    assert!(list(&known.capture("http")["exhibit"]["opened"]).is_empty());
    let opened = list(&known.capture("https")["exhibit"]["opened"]);
    let sent = opened.iter().filter(|record| record["direction"] == "client_to_server");
    let sent: Vec<u8> = sent.flat_map(|record| decoded(&record["bytes"])).collect();
    let body = copied.journal("https", "agent-a")[0]["body"].as_str().expect("a body").to_owned();
    assert!(sent.starts_with(b"POST /tool HTTP/1.1\r\n") && sent.ends_with(body.as_bytes()));

    let output = e2e::damage::analyze_command()
        .args(["--format", "json", "--no-output", "--journal"])
        .arg(copied.path("https.agent-a.jsonl"))
        .arg("--keys")
        .arg(copied.path("https.keys"))
        .arg("-")
        .stdin(std::fs::File::open(copied.path("https.pcap")).expect("the capture"))
        .output()
        .expect("analyze starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let exhibit = &document["captures"][0]["exhibit"];
    assert!(!list(&exhibit["turns"]).is_empty() && list(&exhibit["opened"]).is_empty());
}

#[test]
fn result_without_key_log_still_has_packets_and_exhibit() {
    let copied = Copied::of(run_lab("relay"));
    let with_keys = copied.analyze();
    copied.remove("https.keys");
    let without = copied.analyze();
    let (known, blind) = (with_keys.capture("https"), without.capture("https"));
    assert_eq!((&known["traffic"], &known["packets"]), (&blind["traffic"], &blind["packets"]));
    assert!(blind["exhibit"].is_null());
    for connection in list(&blind["connections"]) {
        assert!(connection["round_trips_before_first_answer"].is_null());
    }
}

#[test]
fn same_inputs_give_the_same_bytes() {
    let lab = run_lab("relay");
    let print = || analyze_with(&[&lab.captures()], &["--format", "json", "--no-output"]).stdout;
    let first = print();
    assert!(!first.is_empty());
    assert!(first == print(), "two documents of the same captures differ");
}

#[test]
fn standard_input_gives_the_same_exhibit_packets_and_connections() {
    let copied = Copied::of(run_lab("relay"));
    let file = std::fs::File::open(copied.path("http.pcap")).expect("the capture");
    let journal = copied.path("http.agent-a.jsonl");
    let output = e2e::damage::analyze_command()
        .args(["--format", "json", "--no-output", "--journal"])
        .arg(&journal)
        .arg("-")
        .stdin(file)
        .output()
        .expect("analyze starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let (piped, known) = (&document["captures"][0], copied.analyze());
    assert!(piped["manifest"].is_null());
    assert!(piped["exhibit"].is_object(), "standard input has an exhibit, too");
    assert_eq!(piped["exhibit"], known.capture("http")["exhibit"]);
    assert_eq!(piped["packets"], known.capture("http")["packets"]);
    assert_eq!(piped["connections"], known.capture("http")["connections"]);
}
