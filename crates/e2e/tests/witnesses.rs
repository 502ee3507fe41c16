//! Falsified witnesses of a TLS run: each test changes the manifest, a journal or the tail of the capture, and nothing else.
//! "sealed" is always wrong.

use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Judged, Record};
use e2e::{has_netns, run_lab, skip};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// The backends that work on this machine.
fn backends() -> Vec<&'static str> {
    match has_netns() {
        Ok(()) => vec!["relay", "netns"],
        Err(reason) => {
            skip(&reason);
            vec!["relay"]
        }
    }
}

fn codes(judged: &Judged) -> Vec<&str> {
    let doubts = judged.capture("https")["doubts"].as_array().expect("an array of doubts");
    doubts.iter().map(|doubt| doubt["code"].as_str().expect("a code")).collect()
}

/// The verdict on the TLS run of `backend` after `change` to its files.
fn after(backend: &'static str, change: impl FnOnce(&Copied)) -> Judged {
    let copied = Copied::of(run_lab(backend));
    change(&copied);
    copied.analyze_only("https.pcap")
}

fn is_inconclusive(judged: &Judged, code: &str, what: &str) {
    let codes = codes(judged);
    assert_eq!(judged.verdict("https"), "inconclusive", "{what}: {codes:?}");
    assert!(codes.contains(&code), "{what}: {codes:?}");
}

#[test]
fn undamaged_runs_are_sealed() {
    for backend in backends() {
        let judged = after(backend, |_| ());
        assert_eq!(judged.verdict("https"), "sealed", "{backend}: {:?}", judged.reasons("https"));
    }
}

/// Every field of a manifest, as a JSON pointer.
fn fields(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| fields(value, &format!("{at}/{key}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Fields that are names for people: nothing contradicts another value (docs/formats.md).
const NAMES: [&str; 4] = ["/variant/name", "/interface", "/program/name", "/program/version"];

/// Values of the same type that differ from this one.
fn others(field: &str, value: &Value) -> Vec<Value> {
    match (field, value) {
        ("/decoys", Value::Array(decoys)) => {
            vec![json!(decoys[1..]), json!([]), json!([decoys, &decoys[..1]].concat()), json!(["short"])]
        }
        ("/journals", Value::Array(journals)) => vec![
            json!(journals[..1]),
            json!(journals[1..]),
            json!([]),
            json!(["https.keys"]),
            json!([journals[0], journals[0]]),
            json!(["http.agent-a.jsonl", "http.agent-b.jsonl"]),
        ],
        ("/variant/tls_versions", _) => {
            vec![json!([]), json!(["1.2"]), json!(["1.2", "1.3"]), json!(["1.3", "1.3"])]
        }
        ("/variant/http_version", _) => vec![json!("2"), json!("1.0")],
        ("/expected_verdict" | "/variant/expected_verdict", _) => vec![json!("exposed"), json!("isolated")],
        ("/variant/scheme", _) => vec![json!("http")],
        ("/vantage", _) => vec![json!("relay"), json!("interface"), json!("mirror")],
        ("/backend", _) => vec![json!("netns"), json!("relay"), json!("cloud")],
        ("/capture/filter", _) => vec![json!("tcp port 1"), json!("udp port 8443")],
        ("/key_log", _) => vec![Value::Null, json!("https.agent-a.jsonl"), json!("none.keys")],
        ("/capture/kernel_drops", Value::Null) => vec![json!(0), json!(1)],
        ("/interface", Value::Null) => vec![json!("eth0")],
        ("/started_at_unix_ns" | "/ended_at_unix_ns", Value::Number(at)) => {
            let at = at.as_u64().expect("a time");
            let apart = [2 * SECOND, 400 * SECOND];
            let (earlier, later) = (apart.map(|by| json!(at - by)), apart.map(|by| json!(at + by)));
            // Within five minutes an earlier start or a later end leaves out nothing.
            match field {
                "/started_at_unix_ns" => {
                    vec![earlier[1].clone(), later[0].clone(), later[1].clone(), json!(0)]
                }
                _ => vec![earlier[0].clone(), earlier[1].clone(), later[1].clone(), json!(u64::MAX)],
            }
        }
        (_, Value::Bool(value)) => vec![json!(!value)],
        (_, Value::Number(number)) => {
            let number = number.as_u64().expect("a number");
            vec![json!(number + 1), json!(number.saturating_sub(1)), json!(2 * number + 7)]
        }
        (_, Value::String(text)) => {
            let (first, rest) = text.split_at(1);
            let first = if first == "0" { "1" } else { "0" };
            vec![json!(format!("{first}{rest}")), json!(format!("{text}0"))]
        }
        (_, value) => panic!("{field}: {value}"),
    }
}

/// The verdict after the field has another value, or is removed.
fn with_field(backend: &'static str, field: &str, value: Option<&Value>) -> Judged {
    after(backend, |copied| {
        copied.edit_manifest("https", |manifest| {
            let (parent, key) = field.rsplit_once('/').expect("a pointer");
            let parent = manifest.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
            match value {
                Some(value) => drop(parent.insert(key.to_owned(), value.clone())),
                None => drop(parent.remove(key)),
            }
        });
    })
}

/// The verdict on the one capture, whatever its name is now. A journal that is none leaves an error and no capture.
fn verdict(judged: &Judged) -> &str {
    judged.document["captures"][0]["verdict"].as_str().unwrap_or("none")
}

#[test]
fn no_other_value_of_a_manifest_field_is_sealed() {
    for backend in backends() {
        let copied = Copied::of(run_lab(backend));
        let manifest: Value = serde_json::from_slice(&copied.read("https.manifest.json")).expect("JSON");
        let mut paths = Vec::new();
        fields(&manifest, "", &mut paths);
        assert_eq!(paths.len(), 34, "{paths:?}");
        for field in &paths {
            let value = manifest.pointer(field).expect("a field");
            let is_name = NAMES.contains(&field.as_str()) && !value.is_null();
            for other in others(field, value).iter().filter(|other| *other != value) {
                let judged = with_field(backend, field, Some(other));
                let verdict = verdict(&judged);
                assert_eq!(verdict == "sealed", is_name, "{backend} {field} {other}: {verdict}");
            }
            let judged = with_field(backend, field, None);
            assert_ne!(verdict(&judged), "sealed", "{backend} without {field}");
            if !value.is_null() {
                let judged = with_field(backend, field, Some(&Value::Null));
                assert_ne!(verdict(&judged), "sealed", "{backend} with {field} null");
            }
        }
    }
}

/// Changes every line of one agent's journal, or of both.
fn with_journals(backend: &'static str, agents: &[&str], change: impl Fn(usize, &mut Value)) -> Judged {
    after(backend, |copied| {
        for agent in agents {
            let mut lines = copied.journal("https", agent);
            lines.iter_mut().enumerate().for_each(|(number, line)| change(number, line));
            let text: String =
                lines.iter().filter(|line| !line.is_null()).map(|line| format!("{line}\n")).collect();
            copied.write(&format!("https.{agent}.jsonl"), text);
        }
    })
}

/// Marks a line that the journal then lacks.
fn without(line: &mut Value, is_lost: bool) {
    if is_lost {
        *line = Value::Null;
    }
}

const BOTH: [&str; 2] = ["agent-a", "agent-b"];

#[test]
fn an_empty_or_halved_journal_is_a_doubt() {
    type Change = fn(usize, &mut Value);
    let cases: [(&str, Change); 4] = [
        ("empty", |_, line| without(line, true)),
        ("the first half", |number, line| without(line, number >= 12)),
        ("every second line", |number, line| without(line, number % 2 == 0)),
        ("one line less", |number, line| without(line, number == 5)),
    ];
    for (what, change) in cases {
        for agent in BOTH {
            is_inconclusive(&with_journals("relay", &[agent], change), "journal.disagree", what);
        }
        let both = with_journals("relay", &BOTH, change);
        assert!(matches!(both.verdict("https"), "inconclusive" | "null"), "{what} in both");
    }
}

#[test]
fn a_line_that_the_other_witnesses_contradict_is_a_doubt() {
    type Change = fn(usize, &mut Value);
    let cases: [(&str, &str, Change); 10] = [
        ("content type", "journal.other-content-type", |_, line| line["content_type"] = json!("text/plain")),
        ("no content type", "journal.other-content-type", |_, line| line["content_type"] = Value::Null),
        ("id", "journal.other-id", |_, line| line["message_id"] = json!("call-9999")),
        ("no id", "journal.other-id", |_, line| line["message_id"] = Value::Null),
        ("two seconds later", "journal.outside-connection", |_, line| {
            line["at_unix_ns"] = json!(line["at_unix_ns"].as_u64().expect("a time") + 2 * SECOND);
        }),
        ("two seconds earlier", "journal.outside-connection", |_, line| {
            line["at_unix_ns"] = json!(line["at_unix_ns"].as_u64().expect("a time") - 2 * SECOND);
        }),
        ("no time", "journal.outside-time", |_, line| line["at_unix_ns"] = Value::Null),
        ("local address", "journal.other-connection", |number, line| {
            line["local"] = json!(format!("10.9.9.9:{}", 1000 + number));
        }),
        ("remote address", "journal.other-connection", |number, line| {
            line["remote"] = json!(format!("10.9.9.9:{}", 1000 + number));
        }),
        ("run", "journal.other-run", |_, line| line["run"] = json!("0".repeat(32))),
    ];
    for backend in backends() {
        for (what, code, change) in cases {
            for agents in [&BOTH[..1], &BOTH[1..], &BOTH] {
                let judged = with_journals(backend, agents, change);
                is_inconclusive(&judged, code, &format!("{backend}: {what} of {agents:?}"));
            }
        }
        // Swapped, both addresses are in the capture, but in the other direction.
        let swapped = with_journals(backend, &BOTH, |_, line| {
            (line["local"], line["remote"]) = (line["remote"].clone(), line["local"].clone());
        });
        is_inconclusive(&swapped, "journal.other-connection", "swapped addresses");
    }
}

/// The verdict on the run with these frames only.
fn with_frames(backend: &'static str, keep: impl Fn(usize, &Record) -> bool) -> Judged {
    after(backend, |copied| {
        let records: Vec<_> = copied.records("https").into_iter().enumerate().collect();
        let kept: Vec<_> = records
            .into_iter()
            .filter(|(number, record)| keep(*number, record))
            .map(|(_, record)| record)
            .collect();
        copied.write_records("https", ETHERNET, &kept);
        copied.update_manifest("https");
    })
}

#[test]
fn a_capture_without_its_tail_is_never_sealed() {
    for backend in backends() {
        let total = Copied::of(run_lab(backend)).records("https").len();
        for cut in (1..=12).chain([20, 40, 100, total - 10]) {
            let judged = with_frames(backend, |number, _| number < total - cut);
            is_inconclusive(&judged, "stream.not-ended", &format!("{backend}: the last {cut} frames"));
        }
    }
}

#[test]
fn a_connection_without_its_tail_is_never_sealed() {
    for backend in backends() {
        let copied = Copied::of(run_lab(backend));
        let frames = copied.frames("https");
        let ports = |number: usize| {
            let ports = [frames[number].from.port(), frames[number].to.port()];
            [ports[0].min(ports[1]), ports[0].max(ports[1])]
        };
        let connections: std::collections::BTreeSet<_> = (0..frames.len()).map(ports).collect();
        assert!(connections.len() > 1, "{connections:?}");
        let mut checked = 0;
        for connection in connections {
            let of: Vec<_> = (0..frames.len()).filter(|number| ports(*number) == connection).collect();
            for cut in [1, 2, 3, 5] {
                let (kept, lost) = of.split_at(of.len() - cut);
                // A busy endpoint resets, and what comes behind its reset is nothing of the connection (RFC 9293 §3.10.7.4).
                if kept
                    .last()
                    .is_some_and(|last| tcp_flags(&frames[*last].bytes) & craft::frame::flags::RST != 0)
                {
                    continue;
                }
                checked += 1;
                let judged = with_frames(backend, |number, _| !lost.contains(&number));
                is_inconclusive(
                    &judged,
                    "stream.not-ended",
                    &format!("{backend}: the last {cut} of {connection:?}"),
                );
            }
        }
        assert!(checked > 1, "every connection was reset");
        // All FINs and resets.
        let judged = with_frames(backend, |number, _| {
            let flags = tcp_flags(&frames[number].bytes);
            flags & (craft::frame::flags::FIN | craft::frame::flags::RST) == 0
        });
        is_inconclusive(&judged, "stream.not-ended", backend);
    }
}

fn tcp_flags(frame: &[u8]) -> u8 {
    const ETHERNET_HEADER: usize = 14;
    frame[ETHERNET_HEADER + 4 * usize::from(frame[ETHERNET_HEADER] & 15) + 13]
}
