//! Real captures of the lab, damaged on purpose. A damaged capture must not be "sealed".
//!
//! Damage of the capture file is tested twice: with the original manifest, whose hash reveals it, and with a manifest
//! that is updated to the damaged file, so that only the contents reveal it.

use std::io::Write as _;
use std::sync::OnceLock;

use craft::frame::flags;
use craft::link_type::ETHERNET;
use e2e::capture::Frame;
use e2e::damage::{self, Copied, Judged, Record, Side, file_offset, insert, sha256};
use e2e::lab::outcome;
use e2e::{Lab, has_netns, run_lab, skip};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

const HASH_DIFFERS: &str = "SHA-256 differs";

/// Runs a check on a run of each backend. Most tests use one backend, because both write the same kind of capture.
fn by_each_backend(check: impl Fn(&Lab)) {
    check(run_lab("relay"));
    match has_netns() {
        Ok(()) => check(run_lab("netns")),
        Err(reason) => skip(&reason),
    }
}

/// A run other than that of [`run_lab`].
fn another_run() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let lab = Lab::new();
        let output = lab.run(&["https", "--backend", "relay"]);
        assert!(output.status.success(), "{}", outcome(&output));
        lab
    })
}

/// Asserts that "https" is inconclusive for each of these reasons and possibly others, and that the pair proves
/// nothing.
fn assert_inconclusive(judged: &Judged, causes: &[&str]) {
    let reasons = judged.reasons("https");
    assert_eq!(judged.verdict("https"), "inconclusive", "{reasons:#?}");
    for cause in causes {
        assert!(reasons.iter().any(|reason| reason.contains(cause)), "{cause:?} is not among {reasons:#?}");
    }
    assert_eq!(judged.conclusion(), "inconclusive");
    assert_eq!(judged.status, 3);
    // The other capture of the pair is not affected.
    assert_eq!(judged.verdict("http"), "exposed");
}

/// Damages files other than the capture, and asserts that the run is inconclusive for these reasons.
fn damaged(damage: impl Fn(&Copied), causes: &[&str]) {
    let copied = Copied::of(run_lab("relay"));
    damage(&copied);
    assert_inconclusive(&copied.analyze(), causes);
}

/// Damages the frames of "https", and asserts that the run is inconclusive for these reasons.
fn reframed(damage: impl Fn(&Copied, &mut Vec<Record>), causes: &[&str]) {
    let copied = Copied::of(run_lab("relay"));
    let mut records = copied.records("https");
    damage(&copied, &mut records);
    copied.write_records("https", ETHERNET, &records);
    let judged = copied.analyze_only("https.pcap");
    let reasons = judged.reasons("https");
    assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3));
    assert!(reasons.iter().any(|reason| reason.contains(HASH_DIFFERS)), "{reasons:#?}");
    copied.update_manifest("https");
    let judged = copied.analyze();
    assert_inconclusive(&judged, causes);
    let reasons = judged.reasons("https");
    assert!(!reasons.iter().any(|reason| reason.contains(HASH_DIFFERS)), "{reasons:#?}");
}

#[test]
fn undamaged_pair_is_proven() {
    by_each_backend(|lab| {
        let judged = damage::analyze(&[&lab.captures()]);
        assert_eq!(judged.conclusion(), "proven", "{:#}", judged.document["reasons"]);
        assert_eq!(judged.status, 0);
        assert_eq!((judged.verdict("http"), judged.verdict("https")), ("exposed", "sealed"));
        let (http, https) = (judged.capture("http"), judged.capture("https"));
        assert_eq!((&http["reasons"], &https["reasons"]), (&json!([]), &json!([])));
        let total = &https["summary"]["total"];
        assert!(total.as_u64() > Some(100), "{total} strings");
        assert_eq!(&https["summary"]["decrypted"], total);
        assert_eq!(http["summary"]["decrypted"], 0);
        assert_eq!(http["summary"]["absent"], 0);
        for capture in [http, https] {
            assert_eq!(capture["completeness"]["passed"], true);
            assert_eq!(capture["controls"]["positive"]["passed"], true);
            assert_eq!(capture["controls"]["decoys"], json!({ "passed": true, "searched": 8, "found": 0 }));
        }
        assert_eq!(http["controls"]["wrong_key"], json!(null));
        assert_eq!(https["controls"]["wrong_key"]["passed"], true);
        assert_eq!(https["controls"]["wrong_key"]["authenticated"], 0);
    });
}

#[test]
fn copying_alone_changes_nothing() {
    by_each_backend(|lab| {
        let copied = Copied::of(lab);
        for name in ["http", "https"] {
            let before = copied.read(&format!("{name}.pcap"));
            copied.write_records(name, ETHERNET, &copied.records(name));
            assert!(copied.read(&format!("{name}.pcap")) == before, "{name}.pcap is written as it was read");
            copied.update_manifest(name);
        }
        let judged = copied.analyze();
        assert_eq!((judged.conclusion(), judged.status), ("proven", 0), "{:#?}", judged.reasons("https"));
    });
}

/// Bytes of a TLS 1.3 record with an alert. If a reset answers the last one, no bytes are missing without it.
const CLOSE_NOTIFY: usize = 24;

/// The indexes of some data frames of both directions: the first, the last, and some between.
fn some_data_frames(copied: &Copied, name: &str) -> Vec<usize> {
    let frames = copied.frames(name);
    let opener = frames[0].from;
    let mut chosen = Vec::new();
    for from_client in [true, false] {
        let is_client = |port: u16| (port == opener.port()) == from_client;
        // Only of the first connection, which lasts longest.
        let data: Vec<usize> = (0..frames.len())
            .filter(|&at| frames[at].payload.len() > CLOSE_NOTIFY && is_client(frames[at].from.port()))
            .filter(|&at| frames[at].from.port() == opener.port() || frames[at].to.port() == opener.port())
            .filter(|&at| !is_repeated(&frames, at))
            .collect();
        assert!(data.len() > 10, "{} data frames", data.len());
        chosen.extend(
            [0, 1, data.len() / 3, data.len() / 2, data.len() - 2, data.len() - 1].map(|at| data[at]),
        );
    }
    chosen
}

/// Whether another frame has bytes of this one, as after a retransmission: without this one, they are still there.
fn is_repeated(frames: &[Frame], at: usize) -> bool {
    let frame = &frames[at];
    frames.iter().enumerate().any(|(other, repeated)| {
        let distance = repeated.seq.wrapping_sub(frame.seq) as i32;
        let (len, other_len) = (frame.payload.len() as i32, repeated.payload.len() as i32);
        other != at && repeated.from == frame.from && distance < len && distance + other_len > 0
    })
}

#[test]
fn one_frame_dropped_from_the_middle() {
    by_each_backend(|lab| {
        let whole = Copied::of(lab);
        let records = whole.records("https");
        for at in some_data_frames(&whole, "https") {
            let copied = Copied::of(lab);
            let mut fewer = records.clone();
            fewer.remove(at);
            copied.write_records("https", ETHERNET, &fewer);
            copied.update_manifest("https");
            let judged = copied.analyze_only("https.pcap");
            let reasons = judged.reasons("https");
            assert_eq!(judged.verdict("https"), "inconclusive", "without frame {}", at + 1);
            assert_eq!(judged.status, 3, "without frame {}", at + 1);
            let gap = reasons.iter().any(|reason| reason.contains("not whole") && reason.contains("gap"));
            assert!(gap, "without frame {}: {reasons:#?}", at + 1);
            assert_eq!(judged.capture("https")["completeness"]["gaps"], 1, "without frame {}", at + 1);
        }
    });
    reframed(
        |copied, records| {
            records.remove(some_data_frames(copied, "https")[3]);
        },
        &["not whole", "gap"],
    );
}

#[test]
fn one_frame_dropped_from_plaintext() {
    by_each_backend(|lab| {
        let copied = Copied::of(lab);
        let mut records = copied.records("http");
        records.remove(some_data_frames(&copied, "http")[3]);
        copied.write_records("http", ETHERNET, &records);
        copied.update_manifest("http");
        let judged = copied.analyze();
        // The readable strings stay exposed, but the capture is incomplete.
        assert_eq!(judged.verdict("http"), "exposed");
        assert!(judged.reasons("http").iter().any(|reason| reason.contains("gap")));
        assert_eq!((judged.conclusion(), judged.status), ("inconclusive", 3));
    });
}

#[test]
fn dropped_frame_that_the_manifest_counts() {
    damaged(
        |copied| {
            let mut records = copied.records("https");
            // A bare acknowledgment, so no stream has a gap.
            let frames = copied.frames("https");
            let at = frames.iter().rposition(|f| f.ack && f.payload.is_empty() && !f.syn && !f.fin && !f.rst);
            records.remove(at.expect("a bare acknowledgment"));
            copied.write_records("https", ETHERNET, &records);
            let hash = sha256(&copied.read("https.pcap"));
            copied.edit_manifest("https", |manifest| manifest["capture"]["sha256"] = hash.into());
        },
        &["the capturer wrote"],
    );
}

#[test]
fn capture_begun_after_the_tcp_handshake() {
    reframed(
        |_, records| {
            records.drain(..3);
        },
        &["its handshake was not captured"],
    );
}

#[test]
fn capture_begun_after_the_tls_handshake() {
    reframed(
        |copied, records| {
            // The client's first request follows its second flight.
            let frames = copied.frames("https");
            let is_application_data = |at: usize| frames[at].payload.first() == Some(&23);
            let client = frames[0].from;
            let first = (0..frames.len()).find(|&at| frames[at].from == client && is_application_data(at));
            records.drain(..first.expect("a request"));
        },
        &["its handshake was not captured", "messages of the journals were not seen"],
    );
}

#[test]
fn capture_begun_in_the_middle() {
    reframed(
        |_, records| {
            records.drain(..records.len() / 2);
        },
        &["its handshake was not captured", "messages of the journals were not seen"],
    );
}

#[test]
fn capture_that_ends_early() {
    reframed(|_, records| records.truncate(records.len() / 2), &["messages of the journals were not seen"]);
}

#[test]
fn snaplen_of_96() {
    reframed(
        |_, records| records.iter_mut().for_each(|record| record.bytes.truncate(96)),
        &["cut by the capture's snaplen", "messages of the journals were not seen"],
    );
}

#[test]
fn snaplen_of_96_with_forged_original_lengths() {
    reframed(
        |_, records| {
            for record in records {
                record.bytes.truncate(96);
                record.original_len = record.bytes.len() as u32;
            }
        },
        &["not whole", "messages of the journals were not seen"],
    );
}

#[test]
fn journal_with_a_message_that_was_not_captured() {
    for (agent, event) in [("agent-a", "sent"), ("agent-b", "sent"), ("agent-b", "received")] {
        damaged(
            |copied| {
                let mut line = copied.journal("https", agent)[0].clone();
                let body = format!(r#"{{"id":"call-9999","canary":"{}"}}"#, "0123456789abcdef".repeat(2));
                line["event"] = event.into();
                line["message_id"] = "call-9999".into();
                line["body_sha256"] = sha256(body.as_bytes()).into();
                line["body"] = body.into();
                let file = format!("https.{agent}.jsonl");
                let journal = [copied.read(&file), format!("{line}\n").into_bytes()].concat();
                copied.write(&file, journal);
            },
            &["1 of 25 messages of the journals were not seen on the wire", "positive control failed"],
        );
    }
}

#[test]
fn message_in_the_journal_twice_but_captured_once() {
    damaged(
        |copied| {
            let journal = copied.read("https.agent-a.jsonl");
            let first = journal.split_inclusive(|&byte| byte == b'\n').next().expect("a line").to_vec();
            copied.write("https.agent-a.jsonl", [journal, first].concat());
        },
        &["1 of 25 messages of the journals were not seen on the wire"],
    );
}

#[test]
fn altered_journal() {
    damaged(
        |copied| {
            let journal = String::from_utf8(copied.read("https.agent-b.jsonl")).expect("text");
            copied.write("https.agent-b.jsonl", journal.replacen("demo-repo", "demo-rep0", 1));
        },
        &["body_sha256 is not the hash of body"],
    );
}

#[test]
fn one_missing_journal_of_two() {
    damaged(|copied| copied.remove("https.agent-b.jsonl"), &["https.agent-b.jsonl is missing"]);
}

#[test]
fn journals_of_another_run() {
    damaged(
        |copied| {
            for agent in ["agent-a", "agent-b"] {
                let file = format!("https.{agent}.jsonl");
                copied.write(&file, Copied::of(another_run()).read(&file));
            }
        },
        &["a journal belongs to run", "24 of 24 messages of the journals were not seen"],
    );
}

#[test]
fn no_key_log() {
    let no_control = "there is no positive control";
    damaged(|copied| copied.remove("https.keys"), &["https.keys is missing", no_control]);
    let unnamed = |copied: &Copied| {
        copied.edit_manifest("https", |manifest| manifest["key_log"] = json!(null));
    };
    damaged(unnamed, &[no_control]);
    damaged(|copied| copied.write("https.keys", ""), &["messages of the journals were not seen"]);
}

/// Replaces or removes lines of the key log.
fn rekeyed(copied: &Copied, line: impl Fn(usize, &str) -> Option<String>) {
    let keys = String::from_utf8(copied.read("https.keys")).expect("text");
    let lines = keys.lines().enumerate().filter_map(|(number, text)| line(number, text));
    copied.write("https.keys", lines.map(|line| line + "\n").collect::<String>());
}

#[test]
fn key_log_with_wrong_secrets() {
    damaged(
        |copied| {
            rekeyed(copied, |_, line| {
                let (start, secret) = line.rsplit_once(' ')?;
                let wrong: String = secret.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
                Some(format!("{start} {wrong}"))
            });
        },
        &["24 of 24 messages of the journals were not seen", "positive control failed"],
    );
}

#[test]
fn key_log_that_lacks_one_connection() {
    damaged(
        |copied| {
            let keys = String::from_utf8(copied.read("https.keys")).expect("text");
            let random = |line: &str| line.split(' ').nth(1).map(str::to_owned);
            let last = keys.lines().last().and_then(random);
            rekeyed(copied, |_, line| (random(line) != last).then(|| line.to_owned()));
        },
        &["messages of the journals were not seen"],
    );
}

#[test]
fn key_log_of_another_run() {
    damaged(
        |copied| copied.write("https.keys", Copied::of(another_run()).read("https.keys")),
        &["24 of 24 messages of the journals were not seen", "positive control failed"],
    );
}

#[test]
fn manifest_with_another_hash() {
    damaged(
        |copied| {
            copied.edit_manifest("https", |manifest| {
                manifest["capture"]["sha256"] = sha256(b"another file").into();
            });
        },
        &[HASH_DIFFERS],
    );
}

#[test]
fn one_byte_of_ciphertext_flipped() {
    reframed(
        |copied, records| {
            let frames = copied.frames("https");
            let at = (frames.len() / 3..).find(|&at| frames[at].payload.len() > 100).expect("a data frame");
            let middle = records[at].bytes.len() - 50;
            records[at].bytes[middle] ^= 1;
        },
        &["not explained"],
    );
}

#[test]
fn flipped_timestamp_is_found_by_the_hash_alone() {
    damaged(
        |copied| {
            let mut file = copied.read("https.pcap");
            file[28] ^= 1;
            copied.write("https.pcap", file);
        },
        &[HASH_DIFFERS],
    );
}

#[test]
fn frames_that_the_kernel_dropped() {
    let drops = |copied: &Copied| {
        copied.edit_manifest("https", |manifest| manifest["capture"]["kernel_drops"] = json!(1));
    };
    damaged(drops, &["the kernel dropped 1 frame"]);
}

#[test]
fn manifest_without_kernel_drop_count() {
    damaged(
        |copied| {
            copied.edit_manifest("https", |manifest| {
                manifest["vantage"] = json!("interface");
                manifest["capture"]["kernel_drops"] = json!(null);
            });
        },
        &["did not ask the kernel"],
    );
}

#[test]
fn unfinished_capture() {
    let broken_off = "the capture broke off";
    let unfinished = |copied: &Copied| {
        copied.edit_manifest("https", |manifest| manifest["finished"] = json!(false));
    };
    damaged(unfinished, &[broken_off]);
}

#[test]
fn manifest_without_decoys() {
    let none = |copied: &Copied| copied.edit_manifest("https", |manifest| manifest["decoys"] = json!([]));
    damaged(none, &["there are no decoys"]);
}

#[test]
fn no_manifest() {
    by_each_backend(|lab| {
        let copied = Copied::of(lab);
        copied.remove("https.manifest.json");
        let judged = copied.analyze_only("https.pcap");
        assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3));
        assert!(judged.reasons("https")[0].contains("there is no manifest"));
    });
}

#[test]
fn truncated_file() {
    for keep in ["half of it", "all but one byte", "the header of the last frame"] {
        by_each_backend(|lab| {
            let copied = Copied::of(lab);
            let records = copied.records("https");
            let mut file = copied.read("https.pcap");
            let last = records.last().expect("a frame").bytes.len();
            file.truncate(match keep {
                "half of it" => file.len() / 2,
                "all but one byte" => file.len() - 1,
                _ => file.len() - last,
            });
            copied.write("https.pcap", &file);
            assert_inconclusive(&copied.analyze(), &[HASH_DIFFERS]);
            copied.update_manifest("https");
            let judged = copied.analyze();
            assert_inconclusive(&judged, &[]);
            let reasons = judged.reasons("https");
            assert!(reasons.iter().any(|reason| reason.contains("ends")), "{keep}: {reasons:#?}");
        });
    }
}

// One canary of the TLS run in the clear

/// Injects frames with a canary into the middle of "https". Returns the analyzer's result, the index of the first
/// injected frame, and the frames of the damaged file.
fn injected(
    lab: &Lab,
    frames: impl Fn(&str) -> Vec<Vec<u8>>,
    check: impl Fn(&Judged, &str, usize, &[Record]),
) {
    let copied = Copied::of(lab);
    let canary = copied.canary("https");
    let mut records = copied.records("https");
    let at = records.len() / 2;
    insert(&mut records, at, frames(&canary));
    copied.write_records("https", ETHERNET, &records);
    for is_updated in [false, true] {
        if is_updated {
            copied.update_manifest("https");
        }
        let judged = copied.analyze();
        assert_exposed(&judged);
        let differs = judged.reasons("https").iter().any(|reason| reason.contains(HASH_DIFFERS));
        assert_eq!(differs, !is_updated, "{:#?}", judged.reasons("https"));
        check(&judged, &canary, at, &records);
    }
}

fn assert_exposed(judged: &Judged) {
    assert_eq!(judged.verdict("https"), "exposed", "{:#?}", judged.reasons("https"));
    assert_eq!((judged.conclusion(), judged.status), ("refuted", 1));
}

/// Asserts that only the canary is exposed: at this level, in these frames (from 0), from this offset in the first one.
fn assert_found(
    judged: &Judged,
    canary: &str,
    level: &str,
    layers: &[&str],
    frames: std::ops::RangeInclusive<usize>,
    offset: u64,
) {
    let string = judged.string("https", canary);
    let location = &string["locations"][0];
    assert_eq!(string["level"], level, "{string:#}");
    assert_eq!(location["frames"], json!(frames.map(|frame| frame + 1).collect::<Vec<_>>()), "{string:#}");
    assert_eq!(location["file_offset"], offset, "{string:#}");
    assert_eq!(location["layers"], json!(layers), "{string:#}");
    assert_eq!(string["locations"].as_array().map(Vec::len), Some(1), "{string:#}");
    // The answer quotes the request, so the canary has two entries. Both are equal, and nothing else is exposed.
    let strings = judged.capture("https")["strings"].as_array().expect("an array of strings");
    for entry in strings {
        let expected = if entry["value"] == canary { level } else { "decrypted" };
        assert_eq!(entry["level"], expected, "{entry:#}");
    }
}

fn position(record: &Record, bytes: &[u8]) -> u64 {
    let found = record.bytes.windows(bytes.len()).position(|window| window == bytes);
    found.expect("the frame carries these bytes") as u64
}

/// Compresses a text. One text of some 9,000 has eight bytes that a fixed Huffman code leaves as they are, at another
/// place within the byte, which would be found at another level. A run of spaces before the text becomes a match, whose
/// code is not eight bits long, so that the bits of the text move.
fn gzip(text: &str) -> Vec<u8> {
    let has_plaintext = |gzipped: &[u8]| {
        gzipped.windows(8).any(|window| text.as_bytes().windows(8).any(|plain| plain == window))
    };
    let compressed = (0..32).map(|spaces| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&[b' '; 32][..spaces]).expect("a vector can be written");
        encoder.write_all(text.as_bytes()).expect("a vector can be written");
        encoder.finish().expect("a vector can be written")
    });
    compressed.into_iter().find(|gzipped| !has_plaintext(gzipped)).expect("one of them leaves no plaintext")
}

/// Frames of the TCP handshake at the beginning of a conversation.
const HANDSHAKE: usize = 3;

#[test]
fn canary_in_the_clear_in_one_segment() {
    by_each_backend(|lab| {
        let stolen = |canary: &str| format!("{{\"stolen\":\"{canary}\"}}\n");
        injected(
            lab,
            |canary| damage::conversation(damage::strangers(), &[(Side::Client, stolen(canary).as_bytes())]),
            |judged, canary, at, records| {
                let at = at + HANDSHAKE;
                let offset = file_offset(records, at) + position(&records[at], canary.as_bytes());
                assert_found(judged, canary, "verbatim", &[], at..=at, offset);
            },
        );
    });
}

#[test]
fn canary_in_the_clear_split_over_two_segments() {
    by_each_backend(|lab| {
        for split in [1, 16, 31] {
            injected(
                lab,
                |canary| {
                    let (head, tail) = canary.split_at(split);
                    let (head, tail) = (format!("stolen: {head}"), format!("{tail} and more"));
                    let sent = [(Side::Server, head.as_bytes()), (Side::Server, tail.as_bytes())];
                    damage::conversation(damage::strangers(), &sent)
                },
                |judged, canary, at, records| {
                    let at = at + HANDSHAKE;
                    let head = format!("stolen: {}", &canary[..split]);
                    let start = position(&records[at], head.as_bytes()) + "stolen: ".len() as u64;
                    let offset = file_offset(records, at) + start;
                    assert_found(judged, canary, "reassembled", &[], at..=at + 1, offset);
                },
            );
        }
    });
}

#[test]
fn canary_in_the_clear_in_a_gzipped_answer() {
    by_each_backend(|lab| {
        let request = b"GET /stolen HTTP/1.1\r\nHost: agent-b\r\nAccept-Encoding: gzip\r\n\r\n";
        let body = |canary: &str| gzip(&format!("{{\"stolen\":\"{canary}\"}}"));
        injected(
            lab,
            |canary| {
                let body = body(canary);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                let answer = [head.as_bytes(), &body].concat();
                damage::conversation(damage::strangers(), &[(Side::Client, request), (Side::Server, &answer)])
            },
            |judged, canary, at, records| {
                let at = at + HANDSHAKE + 1;
                let offset = file_offset(records, at) + position(&records[at], &body(canary));
                assert_found(judged, canary, "decoded", &["http1", "gzip"], at..=at, offset);
            },
        );
    });
}

#[test]
fn canary_in_the_clear_as_bare_gzip() {
    by_each_backend(|lab| {
        let bytes = |canary: &str| gzip(&format!("stolen: {canary}"));
        injected(
            lab,
            |canary| {
                let bytes = [b"an unknown protocol says: ", &bytes(canary)[..]].concat();
                damage::conversation(damage::strangers(), &[(Side::Client, &bytes)])
            },
            |judged, canary, at, records| {
                let at = at + HANDSHAKE;
                let offset = file_offset(records, at) + position(&records[at], &bytes(canary));
                assert_found(judged, canary, "decoded", &["carved", "gzip"], at..=at, offset);
            },
        );
    });
}

#[test]
fn canary_in_the_clear_as_gzip_split_over_segments() {
    by_each_backend(|lab| {
        let bytes = |canary: &str| gzip(&format!("stolen: {canary}"));
        injected(
            lab,
            |canary| {
                let bytes = bytes(canary);
                let pieces: Vec<_> = bytes.chunks(7).map(|piece| (Side::Client, piece)).collect();
                damage::conversation(damage::strangers(), &pieces)
            },
            |judged, canary, at, records| {
                let at = at + HANDSHAKE;
                let bytes = bytes(canary);
                let offset = file_offset(records, at) + position(&records[at], &bytes[..7]);
                let last = at + bytes.len().div_ceil(7) - 1;
                assert_found(judged, canary, "decoded", &["carved", "gzip"], at..=last, offset);
            },
        );
    });
}

/// The bytes follow those that the client of the first connection sent over TLS: verbatim, and as gzip.
#[test]
fn canary_in_the_clear_after_a_tls_stream() {
    by_each_backend(|lab| {
        for gzipped in [false, true] {
            let copied = Copied::of(lab);
            let canary = copied.canary("https");
            let frames = copied.frames("https");
            let mut records = copied.records("https");
            let payload = match gzipped {
                true => gzip(&format!("stolen: {canary}")),
                false => format!("stolen: {canary}").into_bytes(),
            };
            let client = frames[0].from;
            let last = frames.iter().rposition(|frame| frame.from == client && !frame.payload.is_empty());
            let last = last.expect("the client says something");
            let sequence = frames[last].seq.wrapping_add(frames[last].payload.len() as u32);
            for (frame, record) in frames.iter().zip(&mut records).skip(last + 1) {
                if frame.from == client {
                    record.bytes = damage::shifted(frame, payload.len() as u32);
                }
            }
            let at = last + 1;
            let more = damage::segment_like(&frames[last], sequence, flags::ACK | flags::PSH, &payload);
            insert(&mut records, at, vec![more]);
            copied.write_records("https", ETHERNET, &records);
            assert!(
                copied.frames("https").iter().all(|frame| frame.checksums_right),
                "the injected frames have correct checksums"
            );
            for updates_manifest in [false, true] {
                if updates_manifest {
                    copied.update_manifest("https");
                }
                let judged = copied.analyze();
                assert_exposed(&judged);
                let start = file_offset(&records, at) + position(&records[at], &payload);
                match gzipped {
                    true => assert_found(&judged, &canary, "decoded", &["carved", "gzip"], at..=at, start),
                    false => assert_found(&judged, &canary, "verbatim", &[], at..=at, start + 8),
                }
                assert_eq!(judged.string("https", &canary)["locations"][0]["stream"], 0);
            }
        }
    });
}
#[test]
fn decoy_that_was_sent() {
    damaged(
        |copied| {
            let sent = copied.canary("https");
            copied.edit_manifest("https", |manifest| manifest["decoys"][3] = sent.into());
        },
        &["1 decoy(s) that were never sent were found"],
    );
}
