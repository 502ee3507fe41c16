//! Attacks on the verdict `isolated`: each alters a real run so that only the analysis can object.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use craft::conversation::Settings;
use e2e::damage::{Copied, Judged, Record, Side, analyze, conversation, insert, sha256, strangers};
use e2e::lab::{outcome, read_json};
use e2e::{Lab, has_netns, skip};
use serde_json::{Value, json};

const FRONT: &str = "isolation.isolated.veth-front";
const ISOLATED: &str = "isolation.isolated.boxes.jsonl";
const CONTROL: &str = "isolation.control.boxes.jsonl";

/// One run for all tests.
fn with_run(test: impl FnOnce(&Lab)) {
    static RUN: OnceLock<Result<Lab, String>> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        has_netns()?;
        let lab = Lab::new();
        let output = lab.run(&["isolation", "--backend", "netns"]);
        assert!(output.status.success(), "lab run isolation: {}", outcome(&output));
        Ok(lab)
    });
    match run {
        Ok(lab) => test(lab),
        Err(reason) => skip(reason),
    }
}

/// The verdict on an altered copy.
fn altered(lab: &Lab, alter: impl FnOnce(&Copied)) -> Verdict {
    let copied = Copied::of(lab);
    alter(&copied);
    let judged = analyze(&[&copied.path("isolation.json")]);
    Verdict(judged)
}

struct Verdict(Judged);

impl Verdict {
    fn entry(&self) -> &Value {
        &self.0.document["isolation"][0]
    }

    fn codes(&self) -> BTreeSet<&str> {
        let lists = ["leaks", "doubts"].map(|list| self.entry()[list].as_array().expect("a list"));
        lists.into_iter().flatten().filter_map(|entry| entry["code"].as_str()).collect()
    }

    fn is(&self, verdict: &str, code: &str) {
        let reasons = &self.entry()["reasons"];
        assert_eq!(self.entry()["verdict"], verdict, "{code}: {reasons}; {}", self.0.stderr);
        assert!(code.is_empty() || self.codes().contains(code), "{code}: {reasons}");
    }
}

fn lines(copied: &Copied, name: &str) -> Vec<Value> {
    let text = String::from_utf8(copied.read(name)).expect("a journal is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn edit_lines(copied: &Copied, name: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut all = lines(copied, name);
    edit(&mut all);
    copied.write(name, all.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn edit_frames(copied: &Copied, name: &str, edit: impl FnOnce(&mut Vec<Record>)) {
    let mut records = copied.records(name);
    edit(&mut records);
    copied.write_records(name, 1, &records);
    copied.update_manifest(name);
}

/// Replaces a text in every frame by another one of the same length, from this frame on.
fn replace(records: &mut [Record], from: &str, to: &str) -> usize {
    assert_eq!(from.len(), to.len());
    let mut replaced = 0;
    for record in records {
        while let Some(at) = record.bytes.windows(from.len()).position(|window| window == from.as_bytes()) {
            record.bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            replaced += 1;
        }
    }
    replaced
}

fn users(copied: &Copied) -> Vec<Value> {
    read_json(&copied.path("isolation.json"))["users"].as_array().expect("users").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A connection between a user and the gateway, added to the users' traffic.
fn add_exchange(copied: &Copied, client: [u8; 4], asked: &str, told: &[u8]) {
    let settings = Settings {
        ack_every: 0,
        client_isn: 1,
        server_isn: 2,
        ..Settings::new((client, 20_000).into(), ([10, 78, 0, 1], 8000).into())
    };
    edit_frames(copied, FRONT, |records| {
        // The hardware addresses of the link.
        let first = records.iter().find(|record| record.bytes[12..14] == [8, 0] && record.bytes[23] == 6);
        let [server, user] =
            first.map(|record| [&record.bytes[..6], &record.bytes[6..12]].map(<[u8]>::to_vec)).unwrap();
        let mut frames = conversation(settings, &[(Side::Client, asked.as_bytes()), (Side::Server, told)]);
        for frame in &mut frames {
            let is_request = frame[26..30] == client;
            let (to, from) = if is_request { (&server, &user) } else { (&user, &server) };
            frame[..6].copy_from_slice(to);
            frame[6..12].copy_from_slice(from);
        }
        insert(records, 40, frames);
    });
}

fn request(user: &str, body: &str) -> String {
    format!(
        "POST /api/conversation HTTP/1.1\r\nhost: 10.78.0.1:8000\r\ncontent-type: application/json\r\n\
         connection: close\r\nx-user-id: {user}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn unaltered_run_is_isolated_and_accounted_for() {
    with_run(|lab| {
        let verdict = altered(lab, |_| {});
        verdict.is("isolated", "");
        let traffic = &verdict.entry()["traffic"];
        assert_eq!((&traffic["connections"], &traffic["connections_accounted"]), (&json!(6), &json!(6)));
        assert_eq!(traffic["bytes"], traffic["bytes_accounted"]);
        assert_eq!((&traffic["boxes"], &traffic["boxes_answered"]), (&json!(4), &json!(4)));
        let beacons = json!({ "passed": true, "expected": 12, "seen": 12 });
        assert_eq!(verdict.entry()["controls"]["beacons"], beacons);
    });
}

#[test]
fn output_that_tells_a_secret_in_other_bytes_is_never_isolated() {
    with_run(|lab| {
        for field in ["stdout", "stderr"] {
            let backwards = altered(lab, |copied| {
                let secret: String = text(&users(copied)[1]["secret"]).chars().rev().collect();
                edit_lines(copied, ISOLATED, |lines| {
                    let other = users(copied)[0]["id"].clone();
                    let line = lines.iter_mut().find(|line| line["user"] == other).unwrap();
                    line[field] = format!("{}{secret}\n", text(&line[field])).into();
                });
            });
            backwards.is("leaked", "leak.secret-in-output");
            // The bytes that the hex digits of the secret denote are no text.
            let raw = altered(lab, |copied| {
                let digits = text(&users(copied)[1]["secret"]).to_owned();
                let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap() | 0x80;
                edit_lines(copied, ISOLATED, |lines| {
                    let mut bytes = text(&lines[0][field]).as_bytes().to_vec();
                    bytes.extend((0..32).step_by(2).map(byte));
                    lines[0][field] = String::from_utf8_lossy(&bytes).into();
                    lines[0][format!("{field}_base64")] = STANDARD.encode(&bytes).into();
                });
            });
            raw.is("inconclusive", "sandbox.output-unexplained");
        }
        let contradicting = altered(lab, |copied| {
            edit_lines(copied, ISOLATED, |lines| lines[0]["stdout_base64"] = STANDARD.encode("other").into());
        });
        contradicting.is("inconclusive", "sandbox.output-contradicts");
    });
}

#[test]
fn traffic_that_no_sandbox_answered_is_not_accounted_for() {
    with_run(|lab| {
        let code = "traffic.not-accounted";
        let id = |copied: &Copied| text(&users(copied)[0]["id"]).to_owned();
        let noise = vec![b'x'; 300_000];
        let long = [b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n", &noise[..]].concat();
        altered(lab, |copied| {
            add_exchange(copied, [10, 78, 0, 2], &request(&id(copied), "{\"message\":\"more\"}"), &long);
        })
        .is("inconclusive", code);
        let short = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        altered(lab, |copied| {
            add_exchange(copied, [10, 78, 0, 3], &request(&id(copied), "{\"message\":\"more\"}"), short);
        })
        .is("inconclusive", code);
        // An answer or a prompt with other words than the journal, of the same length.
        for (from, to) in
            [("This is your message", "That is your message"), ("Keep this for me", "Keep that for me")]
        {
            altered(lab, |copied| {
                edit_frames(copied, FRONT, |records| assert!(replace(records, from, to) > 0));
            })
            .is("inconclusive", code);
        }
        // A whole connection.
        let gone = altered(lab, |copied| {
            let records = copied.records(FRONT);
            let first = records.iter().find(|record| record.bytes[12..14] == [8, 0] && record.bytes[23] == 6);
            let port = first.map(|record| record.bytes[34..36].to_vec()).unwrap();
            edit_frames(copied, FRONT, |records| {
                records.retain(|record| {
                    record.bytes[12..14] != [8, 0]
                        || ![&record.bytes[34..36], &record.bytes[36..38]].contains(&&port[..])
                });
            });
        });
        gone.is("inconclusive", "traffic.box-without-answer");
        assert!(gone.codes().contains("traffic.messages-not-sent"), "{:?}", gone.codes());
    });
}

#[test]
fn traffic_that_the_gateway_never_sends_is_not_accounted_for() {
    with_run(|lab| {
        let code = "traffic.not-accounted";
        for (from, to) in [
            (
                "content-type: application/json\r\ncache-control: no-store",
                "content-type: application/json\r\ncache-control: no-st0re",
            ),
            ("HTTP/1.1 200 OK", "HTTP/1.1 200 Ok"),
            ("connection: close\r\ndate", "connection: Close\r\ndate"),
            ("\"conversationId\":\"", "\"conversati\\u006Fn"),
        ]
        .iter()
        .filter(|(from, to)| from.len() == to.len())
        {
            altered(lab, |copied| {
                edit_frames(copied, FRONT, |records| assert!(replace(records, from, to) > 0, "{from}"));
            })
            .is("inconclusive", code);
        }
        // A connection from the gateway to a user.
        let verdict = altered(lab, |copied| {
            let settings = Settings {
                ack_every: 0,
                client_isn: 1,
                server_isn: 2,
                ..Settings::new(([10, 78, 0, 1], 8000).into(), ([10, 78, 0, 2], 20_000).into())
            };
            edit_frames(copied, FRONT, |records| {
                insert(records, 40, conversation(settings, &[(Side::Client, b"GET / HTTP/1.1\r\n\r\n")]));
            });
        });
        assert_ne!(verdict.entry()["verdict"], "isolated", "{}", verdict.entry()["reasons"]);
    });
}

#[test]
fn secret_outside_of_the_planned_replay_is_a_leak() {
    with_run(|lab| {
        // Under another name, and under the name of no user.
        for name in ["the other user", "user-of-nobody00000000"] {
            let verdict = altered(lab, |copied| {
                let [victim, other] = [0, 1].map(|at| text(&users(copied)[at]["id"]).to_owned());
                let name = if name == "the other user" {
                    other
                } else {
                    format!("{name:x<width$.width$}", width = victim.len())
                };
                edit_frames(copied, FRONT, |records| {
                    let at = records.len() - 30;
                    let late = &mut records[at..];
                    assert!(replace(late, &victim, &name) > 0);
                });
            });
            verdict.is("leaked", "leak.secret-in-connection");
        }
        // Before the replay: the planned requests, while the users still send theirs.
        let early = altered(lab, |copied| {
            let [user, secret] = ["id", "secret"].map(|field| text(&users(copied)[0][field]).to_owned());
            let asked = format!(
                "GET /api/conversations HTTP/1.1\r\nhost: 10.78.0.1:8000\r\ncontent-type: application/json\r\nconnection: close\r\nx-user-id: {user}\r\n\r\n"
            );
            let told = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{secret}", secret.len());
            edit_frames(copied, FRONT, |records| records.retain(|_| true));
            add_early(copied, &asked, told.as_bytes());
        });
        early.is("leaked", "leak.secret-in-connection");
    });
}

/// An exchange of the intruder in front of the users' second messages.
fn add_early(copied: &Copied, asked: &str, told: &[u8]) {
    let settings = Settings {
        ack_every: 0,
        client_isn: 1,
        server_isn: 2,
        ..Settings::new(([10, 78, 0, 4], 20_000).into(), ([10, 78, 0, 1], 8000).into())
    };
    edit_frames(copied, FRONT, |records| {
        insert(
            records,
            12,
            conversation(settings, &[(Side::Client, asked.as_bytes()), (Side::Server, told)]),
        );
    });
}

#[test]
fn conversation_of_another_user_is_a_leak_without_its_secret() {
    with_run(|lab| {
        let verdict = altered(lab, |copied| {
            let users = users(copied);
            let other =
                lines(copied, ISOLATED).into_iter().find(|line| line["user"] == users[1]["id"]).unwrap();
            let body = format!(
                "{{\"conversationId\":{},\"messages\":[{{\"role\":\"user\",\"text\":{}}}]}}",
                other["conversation_id"], users[1]["messages"][1]
            );
            let told = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            add_exchange(
                copied,
                [10, 78, 0, 2],
                &request(text(&users[0]["id"]), "{\"message\":\"more\"}"),
                told.as_bytes(),
            );
        });
        verdict.is("leaked", "leak.conversation-in-traffic");
        let one = altered(lab, |copied| {
            edit_lines(copied, ISOLATED, |lines| {
                let first = lines[0]["conversation_id"].clone();
                lines.iter_mut().for_each(|line| line["conversation_id"] = first.clone());
            });
        });
        one.is("leaked", "leak.shared-conversation");
        let swapped = altered(lab, |copied| {
            edit_lines(copied, ISOLATED, |lines| {
                let [first, second] = [0, 1].map(|at| lines[at]["conversation_id"].clone());
                for line in lines {
                    let other = if line["conversation_id"] == first { &second } else { &first };
                    line["conversation_id"] = other.clone();
                }
            });
        });
        swapped.is("leaked", "");
    });
}

#[test]
fn arp_where_it_cannot_be_is_a_leak() {
    with_run(|lab| {
        for name in [FRONT, "isolation.isolated.veth-back", "isolation.isolated.lo"] {
            let verdict = altered(lab, |copied| {
                let packet = [0, 1, 8, 0, 6, 4, 0, 2];
                let mac = b"secret";
                let frame =
                    [&mac[..], mac, &[8, 6], &packet, mac, &[10, 78, 0, 2], mac, &[10, 78, 0, 1]].concat();
                edit_frames(copied, name, |records| insert(records, 1, vec![frame; 8]));
            });
            verdict.is("leaked", "leak.foreign-frames");
        }
    });
}

/// RFC 5227: a host that asks whether its own address is in use sends from 0.0.0.0.
#[test]
fn arp_probe_of_a_client_stays_isolated() {
    with_run(|lab| {
        let verdict = altered(lab, |copied| {
            edit_frames(copied, FRONT, |records| {
                let arp = records.iter().find(|record| record.bytes[12..14] == [8, 6]).unwrap();
                let mut probe = arp.bytes.clone();
                probe[20..22].copy_from_slice(&[0, 1]);
                probe[..6].copy_from_slice(&[0xff; 6]);
                probe[38..42].copy_from_slice(&arp.bytes[28..32]);
                probe[28..32].copy_from_slice(&[0; 4]);
                probe[32..38].copy_from_slice(&[0; 6]);
                insert(records, 2, vec![probe]);
            });
        });
        verdict.is("isolated", "");
    });
}

#[test]
fn secret_that_was_never_told_proves_nothing() {
    with_run(|lab| {
        let verdict = altered(lab, |copied| {
            // Record, plan and its hash agree; the user still told another secret. Only the beacons contradict the plan too.
            let fresh = "0123456789abcdef0123456789abcdef";
            for name in ["isolation.plan.json", "isolation.json"] {
                let mut document = read_json(&copied.path(name));
                document["users"][1]["secret"] = fresh.into();
                if name == "isolation.json" {
                    document["plan"]["sha256"] = sha256(&copied.read("isolation.plan.json")).into();
                }
                copied.write(name, document.to_string());
            }
        });
        assert_ne!(verdict.entry()["verdict"], "isolated");
        assert!(verdict.codes().contains("traffic.secret-not-told"), "{:?}", verdict.codes());
    });
}

#[test]
fn control_frames_must_be_on_their_way() {
    with_run(|lab| {
        let verdict = altered(lab, |copied| {
            let journal = String::from_utf8(copied.read(CONTROL)).unwrap();
            let canaries: Vec<&str> =
                journal.split("canary\\\":\\\"").skip(1).filter_map(|rest| rest.get(..32)).collect();
            for name in ["isolation.control.veth-back", "isolation.control.lo"] {
                edit_frames(copied, name, |records| {
                    let is_beacon =
                        |record: &Record| record.bytes.windows(17).any(|text| text == b"plainsight.beacon");
                    records.retain(is_beacon);
                });
            }
            let frames = conversation(strangers(), &[(Side::Client, canaries.join(" ").as_bytes())]);
            edit_frames(copied, "isolation.control.veth-front", |records| insert(records, 1, frames));
        });
        verdict.is("inconclusive", "control.escape-not-seen");
    });
}

#[test]
fn control_that_differs_in_more_than_its_network_proves_nothing() {
    with_run(|lab| {
        let limit = |name: &'static str, value: &'static str| {
            move |line: &mut Value| {
                let limits = line["limits"].as_array_mut().unwrap();
                let limit = limits.iter_mut().find(|limit| limit["name"] == name).unwrap();
                limit["value"] = value.into();
            }
        };
        type Alter = Box<dyn Fn(&mut Value)>;
        let alterations: [(Alter, &str); 5] = [
            (Box::new(limit("processes", "9999")), "control.differs"),
            (Box::new(limit("capabilities", "000001ffffffffff 000001ffffffffff")), "control.differs"),
            (Box::new(limit("network", "interfaces: lo")), "control.other-network"),
            (Box::new(|line| line["network"] = "".into()), "control.other-network"),
            (
                Box::new(|line| {
                    line["stderr"] =
                        text(&line["stderr"]).replace("\"succeeded\":true", "\"succeeded\":false").into();
                }),
                "control.failure-captured",
            ),
        ];
        for (alter, code) in alterations {
            altered(lab, |copied| edit_lines(copied, CONTROL, |lines| alter(&mut lines[0])))
                .is("inconclusive", code);
        }
    });
}

#[test]
fn sandboxes_that_cannot_have_run_so_prove_nothing() {
    with_run(|lab| {
        const YEAR: u64 = 31_536_000_000_000_000;
        type Alter = fn(&mut Vec<Value>);
        let with_outcome = |outcome: &'static str| {
            move |lines: &mut Vec<Value>| {
                for line in lines {
                    for field in ["stdout", "stderr"] {
                        let old =
                            text(&line[field]).replace("Network is unreachable (os error 101)", outcome);
                        line[field] = old.into();
                    }
                }
            }
        };
        altered(lab, |copied| edit_lines(copied, ISOLATED, with_outcome("not tried")))
            .is("inconclusive", "sandbox.output-unexplained");
        altered(lab, |copied| edit_lines(copied, ISOLATED, with_outcome("")))
            .is("inconclusive", "sandbox.output-unexplained");
        let alterations: [(&str, Alter, &str); 5] = [
            (
                ISOLATED,
                |lines| {
                    for line in lines {
                        line["ended_at_unix_ns"] = (line["started_at_unix_ns"].as_u64().unwrap() + 1).into();
                    }
                },
                "sandbox.lived-too-short",
            ),
            (ISOLATED, |lines| lines[1]["box"] = lines[0]["box"].clone(), "sandbox.name-twice"),
            (CONTROL, |lines| lines[1]["box"] = lines[0]["box"].clone(), "sandbox.name-twice"),
            (
                CONTROL,
                |lines| {
                    for line in lines {
                        for field in ["started_at_unix_ns", "ended_at_unix_ns"] {
                            line[field] = (line[field].as_u64().unwrap() + YEAR).into();
                        }
                    }
                },
                "isolation.phases-out-of-order",
            ),
            (
                ISOLATED,
                |lines| {
                    let line = lines.iter_mut().find(|line| line["stderr"] != "").unwrap();
                    let stderr = text(&line["stderr"]).to_owned();
                    let hidden = stderr.lines().next().unwrap().replace("attempt/1", "\\u0061ttempt/1");
                    line["stderr"] = format!("{stderr}{hidden}\n").into();
                },
                "sandbox.attempts-unreadable",
            ),
        ];
        for (name, alter, code) in alterations {
            altered(lab, |copied| edit_lines(copied, name, alter)).is("inconclusive", code);
        }
        // The phases exchanged: the control came first.
        let reversed = altered(lab, |copied| {
            for interface in ["veth-front", "veth-back", "lo"] {
                copied.edit_manifest(&format!("isolation.control.{interface}"), |manifest| {
                    for field in ["started_at_unix_ns", "ended_at_unix_ns"] {
                        manifest[field] = (manifest[field].as_u64().unwrap() - YEAR).into();
                    }
                });
            }
        });
        reversed.is("inconclusive", "isolation.phases-out-of-order");
    });
}

#[test]
fn captures_without_beacons_prove_nothing() {
    with_run(|lab| {
        for (name, moment) in [("isolation.isolated.veth-back", 0), ("isolation.isolated.lo", 1), (FRONT, 0)]
        {
            let missing = altered(lab, |copied| {
                edit_frames(copied, name, |records| {
                    let at = if moment == 0 { 0 } else { records.len() - 1 };
                    records.remove(at);
                });
            });
            missing.is("inconclusive", "capture.beacon-missing");
        }
        let late = altered(lab, |copied| {
            edit_frames(copied, FRONT, |records| {
                let last = records.pop().unwrap();
                records.insert(records.len() - 3, last);
            });
        });
        late.is("inconclusive", "capture.frames-outside-beacons");
    });
}

#[test]
fn plan_that_came_later_proves_nothing() {
    with_run(|lab| {
        altered(lab, |copied| {
            let mut record = read_json(&copied.path("isolation.json"));
            record["users"][0]["messages"][1] = "nothing".into();
            copied.write("isolation.json", record.to_string());
        })
        .is("inconclusive", "isolation.plan-differs");
        let rewritten = altered(lab, |copied| {
            let mut plan = read_json(&copied.path("isolation.plan.json"));
            plan["written_at_unix_ns"] =
                (plan["written_at_unix_ns"].as_u64().unwrap() + 60_000_000_000).into();
            copied.write("isolation.plan.json", plan.to_string());
            let mut record = read_json(&copied.path("isolation.json"));
            record["plan"]["sha256"] = sha256(&copied.read("isolation.plan.json")).into();
            copied.write("isolation.json", record.to_string());
        });
        assert_ne!(rewritten.entry()["verdict"], "isolated");
        assert!(rewritten.codes().contains("isolation.plan-late"), "{:?}", rewritten.codes());
    });
}

/// A user's own secret may cross to this user as often as it likes.
#[test]
fn own_secret_many_times_does_not_limit_the_search() {
    with_run(|lab| {
        let verdict = altered(lab, |copied| {
            let [user, secret] = ["id", "secret"].map(|field| text(&users(copied)[0][field]).to_owned());
            let body = format!("{{\"message\":\"{}\"}}", secret.repeat(2000));
            add_exchange(
                copied,
                [10, 78, 0, 2],
                &request(&user, &body),
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            );
        });
        // The added message is not planned; that is the only doubt.
        verdict.is("inconclusive", "traffic.not-accounted");
        let only: BTreeSet<&str> = ["traffic.not-accounted"].into();
        assert_eq!(verdict.codes(), only, "{}", verdict.entry()["reasons"]);
    });
}

/// A record that claims the capture of another experiment does not take it away from its verdict.
#[test]
fn stray_record_does_not_soften_a_refuted_run() {
    with_run(|lab| {
        let folder = Copied::empty();
        let run = Lab::new();
        let output = run.run(&["http", "https", "--backend", "relay"]);
        assert!(output.status.success(), "{}", outcome(&output));
        let pair = Copied::of(&run);
        for name in e2e::lab::names(pair.folder()) {
            folder.write(&name, pair.read(&name));
        }
        // What the journals say stands in the clear where "sealed" is expected.
        folder.write("https.pcap", pair.read("http.pcap"));
        folder.update_manifest("https");
        for file in ["https.agent-a.jsonl", "https.agent-b.jsonl"] {
            let other = file.replace("https", "http");
            let manifest = read_json(&pair.path("https.manifest.json"));
            let old = read_json(&pair.path("http.manifest.json"));
            let text = String::from_utf8(pair.read(&other)).unwrap();
            folder.write(file, text.replace(text_of(&old["run_id"]), text_of(&manifest["run_id"])));
        }
        let status = |folder: &Copied| analyze(&[folder.folder()]).status;
        assert_eq!(status(&folder), 1, "refuted");
        let copied = Copied::of(lab);
        let mut record = read_json(&copied.path("isolation.json"));
        record["run_id"] = read_json(&folder.path("https.manifest.json"))["run_id"].clone();
        record["phases"] = json!([
            { "name": "isolated", "boxes": "boxes.jsonl", "captures": ["https.pcap"] },
        ]);
        folder.write("boxes.jsonl", "");
        folder.write("isolation.json", record.to_string());
        folder.write("isolation.plan.json", copied.read("isolation.plan.json"));
        assert_eq!(status(&folder), 1, "a record that claims the capture");
    });
}

fn text_of(value: &Value) -> &str {
    text(value)
}

/// The captures of the refused replays.
const TOKEN: &str = "isolation.token.veth-front";
const MTLS: &str = "isolation.mtls.veth-front";

/// What was planned and is not shown is a doubt.
#[test]
fn replay_that_is_not_shown_to_fail_proves_nothing() {
    const NOT_SHOWN: &str = "isolation.protection-not-shown";
    type Damage = fn(&Copied);
    let damages: [(&str, Damage); 7] = [
        (NOT_SHOWN, |copied| copied.remove("isolation.mtls.veth-front.pcap")),
        ("control.no-key-log", |copied| copied.remove("isolation.token.keys")),
        ("tls.not-opened", |copied| copied.write("isolation.mtls.keys", copied.read("isolation.token.keys"))),
        ("manifest.missing", |copied| copied.remove("isolation.token.veth-front.manifest.json")),
        // One byte of the ciphertext of an answer to the intruder.
        (NOT_SHOWN, |copied| {
            edit_frames(copied, TOKEN, |records| {
                let told = records.iter_mut().rev().find(|record| record.bytes.len() > 200).unwrap();
                let end = told.bytes.len();
                told.bytes[end - 1] ^= 1;
            });
        }),
        // The captures of the two gateways, exchanged.
        (NOT_SHOWN, |copied| {
            let [token, mtls] = [TOKEN, MTLS].map(|name| copied.records(name));
            edit_frames(copied, TOKEN, |records| *records = mtls);
            edit_frames(copied, MTLS, |records| *records = token);
            let [token, mtls] = ["isolation.token.keys", "isolation.mtls.keys"].map(|name| copied.read(name));
            copied.write("isolation.token.keys", mtls);
            copied.write("isolation.mtls.keys", token);
        }),
        // The owner's secret in the clear, beside TLS.
        (NOT_SHOWN, |copied| {
            let record = read_json(&copied.path("isolation.json"));
            let told = format!("HTTP/1.1 200 OK\r\n\r\n{}", text(&record["protections"][0]["secret"]));
            let frames = conversation(strangers(), &[(Side::Server, told.as_bytes())]);
            edit_frames(copied, TOKEN, |records| insert(records, 9, frames));
        }),
    ];
    with_run(|lab| {
        for (code, damage) in damages {
            let verdict = altered(lab, damage);
            verdict.is("inconclusive", code);
            let protections = verdict.entry()["protections"].as_array().expect("a list");
            assert!(protections.iter().any(|one| one["shown"] == false), "{code}: {protections:?}");
        }
    });
}

#[test]
fn protections_that_only_the_plan_names_prove_nothing() {
    with_run(|lab| {
        for kept in [0, 1] {
            let verdict = altered(lab, |copied| {
                let mut record = read_json(&copied.path("isolation.json"));
                record["protections"].as_array_mut().expect("a list").truncate(kept);
                copied.write("isolation.json", record.to_string());
            });
            verdict.is("inconclusive", "isolation.plan-differs");
        }
    });
}

/// The record takes the owner for the intruder, who then gets the secret.
#[test]
fn replay_that_is_answered_is_a_leak() {
    with_run(|lab| {
        for protection in [0, 1] {
            let verdict = altered(lab, |copied| {
                let mut record = read_json(&copied.path("isolation.json"));
                let planned = &mut record["protections"][protection];
                let [owner, intruder] = ["owner", "intruder"].map(|end| planned[end].clone());
                planned["owner"] = intruder;
                planned["intruder"] = owner;
                copied.write("isolation.json", record.to_string());
            });
            verdict.is("leaked", "leak.replay-answered");
        }
    });
}
