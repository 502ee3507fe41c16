//! The isolation experiment: a real run, and copies of it, damaged in ways that could hide a leak.

use std::sync::OnceLock;

use e2e::damage::{Copied, Judged, Record, analyze_with, conversation, insert, strangers};
use e2e::lab::{outcome, read_json};
use e2e::{Lab, has_netns, skip};
use serde_json::{Value, json};

/// The captured interfaces, as `isolation.json` names them.
const INTERFACES: [&str; 3] = ["veth-front", "veth-back", "lo"];

/// Every kind of escape attempt.
const KINDS: [&str; 10] =
    ["counter", "dns", "file", "ipv6", "lock", "neighbour", "notify", "raw", "tcp", "udp"];

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

/// Analyzes a copy after a change of `isolation.json`.
fn judged(lab: &Lab, change: impl FnOnce(&Copied, &mut Value)) -> Isolation {
    let copied = Copied::of(lab);
    let mut record = read_json(&copied.path("isolation.json"));
    change(&copied, &mut record);
    copied.write("isolation.json", record.to_string());
    Isolation(copied.analyze())
}

/// A result with one isolation run.
struct Isolation(Judged);

impl Isolation {
    fn entry(&self) -> &Value {
        let runs = self.0.document["isolation"].as_array().expect("an array of runs");
        assert_eq!(runs.len(), 1, "{}", self.0.stderr);
        &runs[0]
    }

    fn reasons(&self) -> String {
        self.entry()["reasons"].to_string()
    }

    /// The texts of the leaks and doubts with this code.
    fn with_code(&self, code: &str) -> Vec<&str> {
        let lists = ["leaks", "doubts"].map(|list| self.entry()[list].as_array().expect("a list"));
        let entries = lists.into_iter().flatten().filter(|entry| entry["code"] == code);
        entries.map(|entry| entry["text"].as_str().expect("a text")).collect()
    }

    fn has(&self, code: &str, text: &str) -> bool {
        self.with_code(code).iter().any(|given| given.contains(text))
    }

    fn is(&self, verdict: &str, status: i32, (code, text): (&str, &str)) {
        assert_eq!(self.entry()["verdict"], verdict, "{}", self.reasons());
        assert_eq!(self.0.status, status, "{}", self.reasons());
        assert!(self.has(code, text), "{code}: {text}: {}", self.reasons());
    }

    /// Asserts verdict, exit status, and a leak or doubt: its code, and words of its text.
    fn is_not_isolated(&self, code: &str) {
        assert_ne!(self.entry()["verdict"], "isolated");
        assert_ne!(self.0.status, 0);
        assert!(self.has(code, ""), "{code}: {}", self.reasons());
    }
}

fn phase<'r>(record: &'r mut Value, name: &str) -> &'r mut Value {
    let phases = record["phases"].as_array_mut().expect("phases");
    phases.iter_mut().find(|phase| phase["name"] == name).expect("a phase of that name")
}

#[test]
fn undamaged_run_is_isolated() {
    with_run(|lab| {
        let isolation = judged(lab, |_, _| {});
        let entry = isolation.entry();
        assert_eq!(
            (&entry["verdict"], isolation.0.status),
            (&json!("isolated"), 0),
            "{}",
            isolation.reasons()
        );
        for list in ["reasons", "leaks", "doubts"] {
            assert_eq!(entry[list], json!([]));
        }
        assert_eq!(
            (&entry["box_frames"], &entry["box_canaries"], &entry["secrets_crossed"]),
            (&json!(0), &json!(0), &json!(0))
        );
        let kinds = entry["kinds"].as_array().unwrap();
        let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
        assert_eq!(names, KINDS);
        for kind in kinds {
            // Another user's data may be in the store or in its write-ahead log.
            let tried = if kind["kind"] == "file" { 4 } else { 2 };
            assert_eq!((&kind["tried"], &kind["seen"]), (&json!(tried), &json!(0)), "{kind}");
            assert_eq!(kind["control_passed"], true, "{kind}");
        }
        // By the load of the CPUs something passes. How much is stated, and changes nothing.
        let [timing] = entry["measured"].as_array().unwrap().as_slice() else {
            panic!("{}", entry["measured"])
        };
        println!("{timing}");
        assert_eq!((&timing["bits"], &timing["control_bits"]), (&json!(64), &json!(64)), "{timing}");
        let interfaces = entry["interfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 2 * INTERFACES.len());
        for interface in interfaces.iter().filter(|interface| interface["phase"] == "isolated") {
            assert_eq!(interface["box_frames"], 0, "{interface}");
            let talk = interface["talk_frames"].as_u64().unwrap();
            assert_eq!(talk > 0, interface["interface"] == "veth-front", "{interface}");
        }
        assert_eq!(entry["identity"]["shown"], true, "{entry}");
        let protections = entry["protections"].as_array().unwrap();
        let [token, mtls] = protections.as_slice() else { panic!("two protections: {protections:?}") };
        for (protection, auth, own, credentials) in [
            (token, "token", "token", vec!["nothing", "nothing", "wrong-token", "wrong-token"]),
            (mtls, "mtls", "certificate", vec!["nothing", "nothing"]),
        ] {
            assert_eq!(
                (&protection["auth"], &protection["shown"]),
                (&json!(auth), &json!(true)),
                "{protection}"
            );
            assert_eq!((&protection["read"], &protection["user"]), (&json!(0), &entry["identity"]["user"]));
            let owner = &protection["owner"];
            assert_eq!((&owner["status"], &owner["credential"]), (&json!(200), &json!(own)), "{protection}");
            assert!(owner["from"].as_str().unwrap().starts_with("10.78.0.2:"), "{protection}");
            let replays = protection["replays"].as_array().unwrap();
            let shown: Vec<_> = replays.iter().map(|replay| replay["credential"].as_str().unwrap()).collect();
            assert_eq!(shown, credentials);
            for replay in replays {
                assert_eq!(replay["status"], 401, "{replay}");
                assert!(replay["from"].as_str().unwrap().starts_with("10.78.0.4:"), "{replay}");
                assert_eq!(replay["answered"]["location"]["layers"][0], "tls1.3", "{replay}");
                assert!(!replay["answered"]["location"]["frames"].as_array().unwrap().is_empty(), "{replay}");
            }
        }
        assert!(
            isolation.0.document["captures"].as_array().unwrap().is_empty(),
            "the run's captures are not listed as captures"
        );
    });
}

#[test]
fn result_lists_limits_of_each_sandbox_with_their_mechanism() {
    with_run(|lab| {
        let isolation = judged(lab, |_, _| {});
        let boxes = isolation.entry()["boxes"].as_array().unwrap().clone();
        let isolated: Vec<_> = boxes.iter().filter(|one| one["phase"] == "isolated").collect();
        assert_eq!(isolated.len(), 4, "two users with two messages each");
        for one in isolated {
            assert_eq!((&one["network"], &one["exit"]), (&json!("none"), &json!("code 0")));
            let limits = one["limits"].as_array().unwrap();
            for name in ["memory", "processes", "network"] {
                let limit = limits.iter().find(|limit| limit["name"].as_str().unwrap().contains(name));
                let limit = limit.unwrap_or_else(|| panic!("no limit of {name}: {one}"));
                assert!(!limit["mechanism"].as_str().unwrap().is_empty(), "{limit}");
            }
        }
    });
}

#[test]
fn console_shows_isolation_in_a_table() {
    with_run(|lab| {
        let output = analyze_with(&[&lab.captures().join("isolation.json")], &["--no-output"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        for words in [
            "Isolation: isolated",
            "What left the sandboxes",
            "veth-back",
            "neighbour",
            "is a claim",
            "401 with a wrong token",
            "200 with its certificate",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    });
}

/// The captures of the control, in which sandboxes have a network, take the place of the isolated ones.
#[test]
fn sandboxes_with_a_network_have_leaked() {
    with_run(|lab| {
        let all = judged(lab, |copied, record| {
            for interface in INTERFACES {
                exchange(record, interface);
            }
            // The journal states that they had no network; the packets contradict it.
            let boxes = String::from_utf8(copied.read("isolation.control.boxes.jsonl")).unwrap();
            copied.write("isolation.isolated.boxes.jsonl", boxes.replace("the host's", "none"));
        });
        all.is("leaked", 1, ("leak.canary-on-wire", ""));
        assert!(all.has("leak.foreign-frames", ""), "{}", all.reasons());

        for interface in ["veth-back", "lo"] {
            judged(lab, |_, record| exchange(record, interface)).is(
                "leaked",
                1,
                ("leak.foreign-frames", interface),
            );
        }
    });
}

/// Exchanges the captures of an interface between the two phases.
fn exchange(record: &mut Value, interface: &str) {
    for (of, from) in [("isolated", "control"), ("control", "isolated")] {
        let captures = phase(record, of)["captures"].as_array_mut().unwrap();
        let name = captures.iter_mut().find(|name| name.as_str().unwrap().contains(interface)).unwrap();
        *name = format!("isolation.{from}.{interface}.pcap").into();
    }
}

/// A sandbox that sends late sends into the captures of the control.
#[test]
fn canary_in_the_captures_of_the_control_is_a_leak() {
    with_run(|lab| {
        let isolation = judged(lab, |copied, _| {
            let journal = String::from_utf8(copied.read("isolation.isolated.boxes.jsonl")).unwrap();
            let canary =
                journal.split("canary\\\":\\\"").nth(1).and_then(|rest| rest.get(..32)).expect("a canary");
            let name = "isolation.control.veth-back";
            let mut records: Vec<Record> = copied.records(name);
            let longest = records.iter_mut().max_by_key(|record| record.bytes.len()).unwrap();
            let end = longest.bytes.len();
            longest.bytes[end - 32..].copy_from_slice(canary.as_bytes());
            copied.write_records(name, 1, &records);
            copied.update_manifest(name);
        });
        isolation.is("leaked", 1, ("leak.canary-on-wire", "is on veth-back"));
    });
}

/// Undecoded parts of the users' traffic could hide a sandbox's traffic.
#[test]
fn undecoded_user_traffic_proves_nothing() {
    with_run(|lab| {
        let name = "isolation.isolated.veth-front";
        type Damage = fn(&mut Vec<Record>);
        let damages: [(Damage, &str); 3] = [
            // The largest request is missing.
            (
                |records| {
                    let longest = (0..records.len()).max_by_key(|at| records[*at].bytes.len()).unwrap();
                    records.remove(longest);
                },
                "stream.not-whole",
            ),
            // Bytes after the end of a packet.
            (|records| records[5].bytes.extend(b"half of a canary"), "bytes.unexplained"),
            // Another protocol between the same hosts.
            (
                |records| {
                    for record in records.iter_mut().filter(|record| record.bytes.len() > 80) {
                        for byte in &mut record.bytes[66..] {
                            *byte ^= 0x20;
                        }
                    }
                },
                "stream.not-http",
            ),
        ];
        for (damage, reason) in damages {
            judged(lab, |copied, record| {
                record["replay"] = Value::Null;
                record["talk"]["clients"].as_array_mut().unwrap().truncate(2);
                let mut records: Vec<Record> = copied.records(name);
                damage(&mut records);
                copied.write_records(name, 1, &records);
                copied.update_manifest(name);
            })
            .is_not_isolated(reason);
        }
    });
}

/// One user's secret is in an answer to another user.
#[test]
fn secret_in_the_traffic_of_another_user_is_a_leak() {
    with_run(|lab| {
        let isolation = judged(lab, |_, record| {
            // The record exchanges the two users, so each user's traffic counts as the other's.
            let [first, second] = [0, 1].map(|user| record["users"][user]["address"].clone());
            record["users"][0]["address"] = second;
            record["users"][1]["address"] = first;
        });
        isolation.is("leaked", 1, ("leak.secret-in-traffic", ""));
    });
}

#[test]
fn single_foreign_frame_is_a_leak() {
    with_run(|lab| {
        let isolation = judged(lab, |copied, _| {
            let name = "isolation.isolated.veth-front";
            let mut records = copied.records(name);
            insert(&mut records, 3, conversation(strangers(), &[])[..1].to_vec());
            copied.write_records(name, 1, &records);
            copied.update_manifest(name);
        });
        isolation.is("leaked", 1, ("leak.foreign-frames", "192.0.2.1:50000 to 192.0.2.2:9000"));
    });
}

/// All frames are the users' traffic, but one carries a canary.
#[test]
fn canary_in_the_users_traffic_is_a_leak() {
    with_run(|lab| {
        let isolation = judged(lab, |copied, _| {
            let journal = String::from_utf8(copied.read("isolation.isolated.boxes.jsonl")).unwrap();
            let canary =
                journal.split("canary\\\":\\\"").nth(1).and_then(|rest| rest.get(..32)).expect("a canary");
            let name = "isolation.isolated.veth-front";
            let mut records: Vec<Record> = copied.records(name);
            let longest = records.iter_mut().max_by_key(|record| record.bytes.len()).unwrap();
            let end = longest.bytes.len();
            longest.bytes[end - 32..].copy_from_slice(canary.as_bytes());
            copied.write_records(name, 1, &records);
            copied.update_manifest(name);
        });
        isolation.is("leaked", 1, ("leak.canary-on-wire", "is on veth-front"));
    });
}

#[test]
fn secret_in_another_users_sandbox_is_a_leak() {
    with_run(|lab| {
        let isolation = judged(lab, |copied, record| {
            let [first, second] = [0, 1].map(|user| record["users"][user].clone());
            let name = "isolation.isolated.boxes.jsonl";
            let mut lines: Vec<Value> = String::from_utf8(copied.read(name))
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let line = lines.iter_mut().find(|line| line["user"] == second["id"]).unwrap();
            line["stdout"] = format!("{} {}", line["stdout"], first["secret"].as_str().unwrap()).into();
            copied.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        });
        isolation.is("leaked", 1, ("leak.secret-in-output", ""));
    });
}

#[test]
fn run_without_positive_control_proves_nothing() {
    with_run(|lab| {
        judged(lab, |_, record| {
            record["phases"].as_array_mut().unwrap().truncate(1);
        })
        .is("inconclusive", 3, ("control.escape-not-seen", ""));
        judged(lab, |copied, _| copied.write("isolation.control.boxes.jsonl", "")).is(
            "inconclusive",
            3,
            ("control.escape-not-seen", ""),
        );
    });
}

/// If the control reads files without a secret, the isolated attempts may have had no secret to read.
#[test]
fn control_without_a_secret_proves_nothing() {
    with_run(|lab| {
        judged(lab, |copied, record| {
            let name = "isolation.control.boxes.jsonl";
            let mut journal = String::from_utf8(copied.read(name)).unwrap();
            for user in record["users"].as_array().unwrap() {
                let secret = user["secret"].as_str().unwrap();
                assert!(journal.contains(secret), "the control read the store");
                journal = journal.replace(secret, "something else");
            }
            copied.write(name, journal);
        })
        .is("inconclusive", 3, ("control.escape-not-seen", "file: no positive control"));
    });
}

#[test]
fn capture_of_the_wrong_interface_proves_nothing() {
    with_run(|lab| {
        for interface in INTERFACES {
            let kept_in_one = judged(lab, |_, record| {
                let captures = phase(record, "isolated")["captures"].as_array_mut().unwrap();
                captures.retain(|name| !name.as_str().unwrap().contains(interface));
            });
            kept_in_one.is("inconclusive", 3, ("isolation.interface-only-in-control", interface));
        }
        // Missing in both phases: the control does not show the traffic of that interface either.
        for interface in ["veth-back", "lo"] {
            let in_none = judged(lab, |_, record| {
                for name in ["isolated", "control"] {
                    let captures = phase(record, name)["captures"].as_array_mut().unwrap();
                    captures.retain(|name| !name.as_str().unwrap().contains(interface));
                }
            });
            in_none.is("inconclusive", 3, ("control.escape-not-seen", ""));
        }
        let renamed = judged(lab, |copied, _| {
            copied.edit_manifest("isolation.isolated.veth-back", |manifest| {
                manifest["interface"] = "eth9".into();
            });
        });
        renamed.is("inconclusive", 3, ("isolation.interface-only-isolated", "eth9"));
    });
}

#[test]
fn incomplete_captures_prove_nothing() {
    with_run(|lab| {
        type Damage = fn(&Copied);
        let damages: [(Damage, (&str, &str)); 8] = [
            (
                |copied| {
                    copied.edit_manifest("isolation.isolated.veth-back", |m| {
                        m["started_at_unix_ns"] = m["ended_at_unix_ns"].clone();
                    });
                },
                ("capture.lifetime-not-covered", "isolation.isolated.veth-back.pcap"),
            ),
            (
                |copied| {
                    let control = copied.read("isolation.control.lo.manifest.json");
                    let control: Value = serde_json::from_slice(&control).unwrap();
                    copied.edit_manifest("isolation.isolated.lo", |m| {
                        for time in ["started_at_unix_ns", "ended_at_unix_ns"] {
                            m[time] = control[time].clone();
                        }
                    });
                },
                ("capture.lifetime-not-covered", "isolation.isolated.lo.pcap"),
            ),
            (
                |copied| {
                    let name = "isolation.isolated.veth-front";
                    let mut records = copied.records(name);
                    records.remove(2);
                    copied.write_records(name, 1, &records);
                },
                ("capture.hash-differs", "isolation.isolated.veth-front.pcap"),
            ),
            (
                |copied| {
                    copied.edit_manifest("isolation.isolated.veth-back", |m| {
                        m["capture"]["kernel_drops"] = 1.into();
                    });
                },
                ("capture.kernel-drops", "dropped 1 frame(s)"),
            ),
            (
                |copied| copied.edit_manifest("isolation.isolated.lo", |m| m["finished"] = false.into()),
                ("capture.not-finished", ""),
            ),
            (
                |copied| {
                    copied.edit_manifest("isolation.isolated.veth-back", |m| {
                        m["capture"]["filter"] = "tcp port 9".into();
                    });
                },
                ("capture.filtered", ""),
            ),
            (
                |copied| {
                    let other = "ffffffffffffffffffffffffffffffff";
                    copied.edit_manifest("isolation.isolated.veth-back", |m| m["run_id"] = other.into());
                },
                ("capture.other-run", "run ffff"),
            ),
            (
                |copied| copied.remove("isolation.isolated.lo.manifest.json"),
                ("manifest.missing", "isolation.isolated.lo.pcap"),
            ),
        ];
        for (damage, reason) in damages {
            judged(lab, |copied, _| damage(copied)).is("inconclusive", 3, reason);
        }
    });
}

#[test]
fn sandboxes_without_attempts_prove_nothing() {
    with_run(|lab| {
        judged(lab, |copied, _| copied.write("isolation.isolated.boxes.jsonl", "")).is(
            "inconclusive",
            3,
            ("sandbox.kind-not-tried", "tcp"),
        );
        judged(lab, |_, record| record["finished"] = false.into()).is(
            "inconclusive",
            3,
            ("isolation.not-finished", ""),
        );
    });
}

#[test]
fn error_names_missing_or_invalid_files() {
    with_run(|lab| {
        for name in ["isolation.isolated.lo.pcap", "isolation.control.boxes.jsonl"] {
            let copied = Copied::of(lab);
            copied.remove(name);
            let judged = copied.analyze();
            assert_eq!(judged.status, 2, "{name}");
            assert!(judged.stderr.contains(name), "{}", judged.stderr);
            assert!(judged.document["isolation"].as_array().unwrap().is_empty());
        }
        let copied = Copied::of(lab);
        let mut record = read_json(&copied.path("isolation.json"));
        phase(&mut record, "isolated")["captures"][0] = "../elsewhere.pcap".into();
        copied.write("isolation.json", record.to_string());
        assert!(copied.analyze().stderr.contains("not the name of a file beside it"));
        copied.write("isolation.json", "{\"schema\":\"plainsight.isolation/9\"}");
        assert_eq!(copied.analyze().status, 2);
    });
}
