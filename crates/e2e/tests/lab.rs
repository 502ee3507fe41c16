//! `lab run` with each backend: its files, and its captures as another implementation reads them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use e2e::capture::{connections, frames};
use e2e::lab::outcome;
use e2e::{Lab, has_netns, programs, run_lab, skip};
use serde_json::{Value, json};

/// Greatest length of a frame: an Ethernet header and the MTU of the lab's link.
const LARGEST_FRAME: usize = 14 + 1500;

/// Greatest step of the machine's clock during a run, in nanoseconds.
const CLOCK_SET: u64 = 1_000_000_000;

/// Runs a check on the captures of both backends.
fn by_each_backend(check: impl Fn(&str, &Lab)) {
    check("relay", run_lab("relay"));
    match has_netns() {
        Ok(()) => check("netns", run_lab("netns")),
        Err(reason) => skip(&reason),
    }
}

#[test]
fn files_of_both_variants_exist_and_are_private() {
    by_each_backend(|backend, lab| {
        let expected = [
            "http.agent-a.jsonl",
            "http.agent-b.jsonl",
            "http.manifest.json",
            "http.pcap",
            "https.agent-a.jsonl",
            "https.agent-b.jsonl",
            "https.keys",
            "https.manifest.json",
            "https.pcap",
        ];
        assert_eq!(lab.files(), expected, "{backend}");
        for name in expected {
            let metadata = fs::metadata(lab.captures().join(name)).unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o600, "{backend}: {name}");
            assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw(), "{backend}: {name}");
        }
        assert!(e2e::lab::names(&lab.tmp()).is_empty(), "{backend}: temporary files remain");
    });
}

#[test]
fn manifests_describe_the_run() {
    by_each_backend(|backend, lab| {
        for (name, port, expected) in [("http", 8000, "exposed"), ("https", 8443, "sealed")] {
            let manifest = lab.manifest(name);
            let capture = &manifest["capture"];
            let file = lab.captures().join(format!("{name}.pcap"));
            assert_eq!(manifest["schema"], "plainsight.manifest/1");
            assert_eq!(manifest["backend"], backend);
            assert_eq!(manifest["name"], name);
            assert_eq!(manifest["finished"], true);
            assert_eq!(manifest["expected_verdict"], expected);
            assert_eq!(capture["file"], format!("{name}.pcap"));
            assert_eq!(capture["bytes"], fs::metadata(&file).unwrap().len());
            assert_eq!(capture["frames"], frames(&file).len());
            assert_eq!(capture["truncated_frames"], 0);
            assert_eq!(capture["unfinished_checksums"], 0);
            assert_eq!(capture["segmentation_offload_frames"], 0);
            match backend {
                "netns" => {
                    assert_eq!(manifest["vantage"], "interface");
                    assert_eq!(manifest["interface"], "veth-b");
                    assert_eq!(manifest["variant"]["port"], port);
                    assert_eq!(capture["kernel_drops"], 0);
                }
                _ => {
                    assert_eq!(manifest["vantage"], "relay");
                    assert_eq!(capture["kernel_drops"], Value::Null);
                }
            }
            let keys = if name == "https" { json!("https.keys") } else { Value::Null };
            assert_eq!(manifest["key_log"], keys);
        }
    });
}

#[test]
fn journals_of_both_agents_agree_and_belong_to_the_run() {
    by_each_backend(|backend, lab| {
        for name in ["http", "https"] {
            let run_id = &lab.manifest(name)["run_id"];
            let (a, b) = (lab.journal(name, "agent-a"), lab.journal(name, "agent-b"));
            assert!(a.iter().chain(&b).all(|line| line["run"] == *run_id), "{backend} {name}");
            for (one, other) in [(&a, &b), (&b, &a)] {
                let hashes = |lines: &[Value], event: &str| -> Vec<String> {
                    let lines = lines.iter().filter(|line| line["event"] == event);
                    let mut hashes: Vec<_> = lines.map(|line| line["body_sha256"].to_string()).collect();
                    hashes.sort();
                    hashes
                };
                let sent = hashes(one, "sent");
                assert!(!sent.is_empty(), "{backend} {name}");
                assert_eq!(sent, hashes(other, "received"), "{backend} {name}");
            }
        }
    });
}

#[test]
fn frames_have_plausible_sizes_times_and_checksums() {
    by_each_backend(|backend, lab| {
        for name in ["http", "https"] {
            let frames = frames(&lab.captures().join(format!("{name}.pcap")));
            for frame in &frames {
                let place = format!("{backend} {name}, frame {}", frame.number);
                assert!(frame.bytes.len() <= LARGEST_FRAME, "{place}: {} bytes", frame.bytes.len());
                assert_eq!(frame.original_len as usize, frame.bytes.len(), "{place} is cut");
                assert!(frame.checksums_right, "{place}: a checksum is wrong");
            }
            // Times need not increase: the kernel stamps a frame before it queues it, on two processors in parallel.
            let manifest = lab.manifest(name);
            let [started, ended] =
                ["started_at_unix_ns", "ended_at_unix_ns"].map(|at| manifest[at].as_u64().unwrap());
            let during = started - CLOCK_SET..=ended + CLOCK_SET;
            assert!(
                frames.iter().all(|frame| during.contains(&frame.at)),
                "{backend} {name}: a frame from before or after the capture"
            );
            assert!(
                frames.iter().any(|frame| frame.payload.len() == LARGEST_FRAME - 14 - 20 - 20
                    || frame.payload.len() == LARGEST_FRAME - 14 - 20 - 32),
                "{backend} {name}: no full segment"
            );
        }
    });
}

/// The capture contains exactly the connections that agent-a opened.
#[test]
fn every_connection_is_captured_from_its_syn_to_its_end() {
    by_each_backend(|backend, lab| {
        for name in ["http", "https"] {
            let frames = frames(&lab.captures().join(format!("{name}.pcap")));
            let first = frames.first().unwrap();
            assert!(first.syn && !first.ack, "{backend} {name}: {first:?}");
            let last = frames.last().unwrap();
            assert!(last.ack || last.rst, "{backend} {name}: {last:?}");

            let connections = connections(&frames);
            let opened: BTreeSet<String> = lab
                .journal(name, "agent-a")
                .iter()
                .filter(|line| line["event"] == "sent")
                .map(|line| line["local"].as_str().unwrap().to_owned())
                .collect();
            let seen: BTreeSet<String> = connections.keys().map(ToString::to_string).collect();
            assert_eq!(seen, opened, "{backend} {name}: connections in the capture and in agent-a's journal");

            for (client, frames) in &connections {
                // Over TLS the server's close_notify can reach a closed socket, and then a RST ends the connection.
                let reset = frames.iter().any(|frame| frame.rst);
                let finished = |by_client: bool| {
                    frames.iter().any(|frame| (frame.from == *client) == by_client && frame.fin)
                };
                assert!(
                    reset || (finished(true) && finished(false)),
                    "{backend} {name}: {client} has no end"
                );
            }
        }
    });
}

#[test]
fn stdout_names_the_captures_and_stderr_the_backend() {
    let lab = Lab::new();
    let output = lab.run(&["http", "--backend", "relay"]);
    assert!(output.status.success(), "{}", outcome(&output));
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(stdout, format!("{}\n", lab.captures().join("http.pcap").display()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("backend relay: as requested"), "{stderr}");
    assert!(stderr.contains("http: ") && stderr.contains("calls"), "{stderr}");
}

#[test]
fn auto_reports_the_chosen_backend_and_the_reason() {
    let lab = Lab::new();
    let output = lab.run(&["http"]);
    assert!(output.status.success(), "{}", outcome(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let taken = lab.manifest("http")["backend"].as_str().unwrap().to_owned();
    let (expected, reason) = match has_netns() {
        Ok(()) => ("netns", "backend netns: the first that works"),
        Err(_) => ("relay", "netns does not work on this machine: "),
    };
    assert_eq!(taken, expected);
    assert!(stderr.contains(reason), "{stderr}");
}

/// A user namespace that allows no network namespaces simulates a machine that refuses them.
#[test]
fn auto_falls_back_to_relay_and_reports_the_reason() {
    let lab = Lab::new();
    let refusing = |arguments: &[&str]| {
        let inner = lab.command(arguments);
        let mut outer = Command::new("unshare");
        outer.args(["--user", "--map-root-user", "sh", "-c"]);
        outer.arg("echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"");
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.output()
    };
    let output = match refusing(&["http"]) {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("lab: ") => output,
        other => {
            return skip(&format!("cannot make a user namespace that refuses network namespaces: {other:?}"));
        }
    };
    assert!(output.status.success(), "{}", outcome(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("backend relay: netns does not work on this machine: creating a network namespace"),
        "{stderr}"
    );
    assert!(stderr.contains("user.max_net_namespaces is 0"), "{stderr}");
    assert_eq!(lab.manifest("http")["backend"], "relay");

    let insisting = refusing(&["http", "--backend", "netns"]).unwrap();
    assert_eq!(insisting.status.code(), Some(1), "{}", outcome(&insisting));
    assert!(
        outcome(&insisting).contains("remedy: sudo sysctl -w user.max_net_namespaces="),
        "{}",
        outcome(&insisting)
    );
}

#[test]
fn environment_of_the_caller_does_not_affect_the_run() {
    let lab = Lab::new();
    let output = lab
        .command(&["http", "--backend", "relay"])
        .envs([("TLS_CERT", "/no/such"), ("TLS_KEY", "/no/such"), ("SERVER_URL", "http://192.0.2.1/")])
        .envs([("JOURNAL", "/no/such/journal"), ("RUN_ID", "junk"), ("http_proxy", "http://192.0.2.1:1/")])
        .env("SSLKEYLOGFILE", lab.tmp().join("keys"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", outcome(&output));
    assert!(e2e::lab::names(&lab.tmp()).is_empty());
}

#[test]
fn usage_error_has_status_2() {
    let lab = Lab::new();
    for arguments in [&["gopher"][..], &[], &["http", "--backend", "vm"]] {
        assert_eq!(lab.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn second_lab_on_the_same_folder_is_refused() {
    let lab = Lab::new();
    let running = lab.run_at_length(&["http", "--backend", "relay"]);
    let second = lab.run(&["http", "--backend", "relay"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another lab uses"), "{}", outcome(&second));
    running.signal("lab", nix::sys::signal::Signal::SIGTERM);
    let _ = running.end();
}

#[test]
fn doctor_lists_a_backend_that_works() {
    let output = Command::new(programs::lab()).arg("doctor").output().unwrap();
    assert!(output.status.success(), "{}", outcome(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("backend relay") && table.contains("agent-a, agent-b, capturer, certgen"),
        "{table}"
    );
    let netns: String = table.lines().take_while(|line| !line.starts_with("backend relay")).collect();
    assert_eq!(has_netns().is_err(), netns.contains("remedy: "), "{table}");
    for tool in ["docker", "compose", "podman", "browser", "wireshark"] {
        assert!(table.lines().any(|line| line.starts_with(&format!("{tool} "))), "{tool}: {table}");
    }
    // A path of this machine may be longer.
    assert!(table.lines().all(|line| line.len() <= 80 || line.trim().split(' ').count() == 1), "{table}");
}

#[test]
fn doctor_and_runs_are_read_by_programs() {
    let output = Command::new(programs::lab()).args(["doctor", "--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", outcome(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "plainsight.doctor/1");
    let checks = document["checks"].as_array().unwrap();
    let relay = checks.iter().find(|check| check["check"] == "backend relay").unwrap();
    assert_eq!((relay["state"].as_str(), relay["remedy"].is_null()), (Some("ok"), true), "{relay}");

    let lab = Lab::new();
    let output = lab.run(&["http", "https", "--backend", "relay", "--count", "1", "--format", "json"]);
    assert!(output.status.success(), "{}", outcome(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (object, name) in objects.iter().zip(["http", "https"]) {
        assert_eq!((&object["schema"], &object["backend"]), (&"plainsight.run/1".into(), &"relay".into()));
        assert_eq!(object["experiment"], name);
        let files: Vec<&str> =
            object["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
        assert!(files.contains(&object["result"].as_str().unwrap()), "{object}");
        assert!(files.iter().all(|file| std::path::Path::new(file).is_file()), "{object}");
        assert_eq!(files.iter().any(|file| file.ends_with(".keys")), name == "https", "{object}");
    }
    assert_eq!(objects.len(), 2);
}

/// The exit status depends on the machine's load; the counts are always the same.
#[test]
fn cost_is_read_from_the_labs_own_captures() {
    let lab = Lab::new();
    let output = Command::new(programs::lab())
        .args(["cost", "--runs", "2", "--backend", "relay", "--certs"])
        .arg(lab.certs())
        .env("TMPDIR", lab.tmp())
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    for (request, samples) in [("cold", "2"), ("warm", "10"), ("arrival", "2")] {
        for variant in ["http", "https"] {
            let found = table.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.starts_with(&[variant, request, samples])
            });
            assert!(found, "{variant} {request}: {table}{}", outcome(&output));
        }
    }
    assert!(e2e::lab::names(&lab.tmp()).is_empty(), "{:?}", e2e::lab::names(&lab.tmp()));
}
