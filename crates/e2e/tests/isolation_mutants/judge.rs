//! The judge: whether a mutant may be called "isolated".
//!
//! It knows the run as the lab left it, reads the mutant with a reading of its own, and compares the two. It objects to
//! everything that was added to the isolated phase and to everything that the proof needs and that is gone. It leaves alone
//! what a sender can choose freely (docs/exposure.md, "What `sealed` does not prove") and what is a name for people.

use std::collections::{BTreeMap, BTreeSet};

use e2e::damage::{Record, sha256};
use serde_json::Value;

use crate::files::{CONTROL, Files, ISOLATED, KEYS, PLAN, RECORD};

/// Times that differ by less need not be noticed: clocks, queues.
const SLACK_NS: u64 = 15_000_000_000;

/// The captures in which nothing may be added or missing: of sandboxes without network, and of the refused replays.
const PROVING: [&str; 3] = [".isolated.", ".token.", ".mtls."];

/// Why the mutant must not be called "isolated"; empty if it may be.
pub(crate) fn objections(original: &Files, mutant: &Files) -> Vec<String> {
    let mut objections = Vec::new();
    if mutant.bytes(PLAN) != original.bytes(PLAN) {
        objections.push("the plan is another one than the beacons name".to_owned());
    }
    objections.extend(record_objection(original, mutant));
    for name in original.captures() {
        let objection = match PROVING.iter().any(|phase| name.contains(phase)) {
            true => isolated_objection(original, mutant, &name),
            false => None,
        };
        let own = objection.or_else(|| capture_objection(original, mutant, &name));
        objections.extend(own.map(|why| format!("{name}: {why}")));
    }
    objections.extend(keys_objection(original, mutant));
    objections.extend(isolated_boxes_objection(original, mutant));
    objections.extend(control_objection(original, mutant));
    objections
}

fn record_objection(original: &Files, mutant: &Files) -> Option<String> {
    let [old, new] = [original, mutant].map(|files| files.json(RECORD));
    let stated =
        ["schema", "run_id", "finished", "talk", "interfaces", "users", "replay", "protections", "plan"];
    let other = stated.into_iter().find(|field| old[*field] != new[*field]);
    if let Some(field) = other {
        return Some(format!("the record has another {field}"));
    }
    let files = |record: &Value| -> BTreeSet<String> {
        let phases = record["phases"].as_array().into_iter().flatten();
        let of_phase = |phase: &Value| {
            let captures = phase["captures"].as_array().into_iter().flatten().map(Value::to_string);
            let name = phase["name"].to_string();
            captures
                .chain([phase["boxes"].to_string()])
                .map(move |file| format!("{name} {file}"))
                .collect::<Vec<_>>()
        };
        phases.flat_map(of_phase).collect()
    };
    (files(&old) != files(&new)).then(|| "the record names other files".to_owned())
}

/// The secrets that open the captures of the refused replays are there.
fn keys_objection(original: &Files, mutant: &Files) -> Option<String> {
    for name in KEYS {
        let secrets = |files: &Files| -> BTreeSet<String> {
            let text = String::from_utf8_lossy(files.bytes(name)).into_owned();
            // A hexadecimal digit in upper case is the same digit.
            let secrets = text.lines().filter(|line| line.contains("TRAFFIC_SECRET"));
            secrets.map(str::to_ascii_lowercase).collect()
        };
        if !secrets(original).is_subset(&secrets(mutant)) {
            return Some(format!("{name} lacks a secret"));
        }
    }
    None
}

/// One frame without what a sender can choose freely.
fn skeleton(record: &Record) -> Vec<u8> {
    let mut bytes = record.bytes.clone();
    bytes.extend_from_slice(&record.original_len.to_le_bytes());
    let is_ip = record.bytes.get(12..14) == Some(&[8, 0]) && record.bytes.len() >= 34;
    if !is_ip {
        return bytes;
    }
    let mut free = |range: std::ops::Range<usize>, mask: u8| {
        bytes.get_mut(range).into_iter().flatten().for_each(|byte| *byte &= !mask);
    };
    // Type of service, identification, DF and the reserved bit, time to live, checksum.
    free(15..16, 0xff);
    free(18..20, 0xff);
    free(20..21, 0xc0);
    free(22..23, 0xff);
    free(24..26, 0xff);
    let at = 14 + usize::from(record.bytes[14] & 15) * 4;
    match record.bytes[23] {
        17 => {
            // A beacon: the source of both headers, and the checksum.
            free(6..12, 0xff);
            free(26..30, 0xff);
            free(at + 6..at + 8, 0xff);
        }
        6 if record.bytes.len() >= at + 20 => {
            let has_content = payload(record).is_some_and(|payload| !payload.is_empty())
                || record.bytes[at + 13] & 0b111 != 0;
            if !has_content {
                free(at + 4..at + 8, 0xff);
                free(at + 13..at + 14, 0xff);
            }
            // Acknowledgment number, reserved bits, flags other than FIN, SYN and RST, window, checksum, urgent pointer.
            free(at + 8..at + 12, 0xff);
            free(at + 12..at + 13, 0x0f);
            free(at + 13..at + 14, 0xf8);
            free(at + 14..at + 20, 0xff);
            let end = at + usize::from(record.bytes[at + 12] >> 4) * 4;
            let mut option = at + 20;
            while option + 1 < end.min(record.bytes.len()) {
                match record.bytes[option] {
                    0 => break,
                    1 => option += 1,
                    kind => {
                        let len = usize::from(record.bytes[option + 1]).max(2);
                        // Timestamps; window scale; maximum segment size.
                        if [2, 3, 8].contains(&kind) {
                            free(option + 2..option + len, 0xff);
                        }
                        option += len;
                    }
                }
            }
        }
        _ => {}
    }
    bytes
}

/// The payload of a TCP frame.
fn payload(record: &Record) -> Option<&[u8]> {
    let bytes = &record.bytes;
    let end = 14 + usize::from(u16::from_be_bytes(bytes.get(16..18)?.try_into().ok()?));
    let at = 14 + usize::from(bytes.get(14)? & 15) * 4;
    bytes.get(at + usize::from(bytes.get(at + 12)? >> 4) * 4..end)
}

/// Frames that may be missing, or more often: ARP, and segments that only acknowledge.
fn is_idle(record: &Record) -> bool {
    let is_tcp = record.bytes.get(12..14) == Some(&[8, 0]) && record.bytes.get(23) == Some(&6);
    let at = 14 + usize::from(record.bytes.get(14).copied().unwrap_or(0) & 15) * 4;
    let has_flag = record.bytes.get(at + 13).is_none_or(|flags| flags & 0b111 != 0);
    let is_arp = record.bytes.get(12..14) == Some(&[8, 6]);
    is_arp || is_tcp && !has_flag && payload(record).is_some_and(<[u8]>::is_empty)
}

/// What was added to or taken from a capture of the isolated phase.
fn isolated_objection(original: &Files, mutant: &Files, name: &str) -> Option<String> {
    let Some(new) = mutant.records(name) else { return Some("the capture is damaged".to_owned()) };
    let old = original.records(name).expect("the lab wrote it");
    let known: BTreeSet<Vec<u8>> = old.iter().map(skeleton).collect();
    if let Some(at) = new.iter().position(|record| !known.contains(&skeleton(record))) {
        return Some(format!("frame {} is new", at + 1));
    }
    let there: BTreeSet<Vec<u8>> = new.iter().map(skeleton).collect();
    let gone = old.iter().position(|record| !is_idle(record) && !there.contains(&skeleton(record)));
    gone.map(|at| format!("frame {} of the run is gone", at + 1))
}

/// Whether a capture and its manifest still fit together and cover the same time.
fn capture_objection(original: &Files, mutant: &Files, name: &str) -> Option<String> {
    let manifest = format!("{name}.manifest.json");
    let [old, new] = [original, mutant].map(|files| files.json(&manifest));
    let stated = ["schema", "run_id", "interface", "finished", "link_type", "key_log"];
    if let Some(field) = stated.into_iter().find(|field| old[*field] != new[*field]) {
        return Some(format!("its manifest has another {field}"));
    }
    let of_capture = ["kernel_drops", "filter", "truncated_frames"];
    if let Some(field) = of_capture.into_iter().find(|field| old["capture"][*field] != new["capture"][*field])
    {
        return Some(format!("its manifest has another capture.{field}"));
    }
    let Some(records) = mutant.records(name) else { return Some("the capture is damaged".to_owned()) };
    let is_of_file = new["capture"]["sha256"] == sha256(mutant.bytes(&format!("{name}.pcap")))
        && new["capture"]["frames"] == records.len();
    if !is_of_file {
        return Some("its manifest is of another file".to_owned());
    }
    if new["decoys"].as_array().is_none_or(Vec::is_empty) {
        return Some("there are no decoys".to_owned());
    }
    for field in ["started_at_unix_ns", "ended_at_unix_ns"] {
        let [old, new] = [&old, &new].map(|manifest| manifest[field].as_u64().unwrap_or(0));
        let is_earlier_start = field.starts_with("started") && new < old;
        if old != new && !is_earlier_start {
            // Even a little can leave a sandbox outside.
            return (old.abs_diff(new) > SLACK_NS || field.starts_with("started"))
                .then(|| format!("its manifest has another {field}"));
        }
    }
    let old = original.records(name).expect("the lab wrote it");
    let span = old.first().zip(old.last()).map(|(first, last)| (first.at, last.at));
    let is_in_time = |record: &Record| {
        span.is_none_or(|(first, last)| record.at + SLACK_NS >= first && record.at <= last + SLACK_NS)
    };
    if let Some(at) = records.iter().position(|record| !is_in_time(record)) {
        return Some(format!("frame {} has another time", at + 1));
    }
    let beacons = |records: &[Record]| -> BTreeSet<Vec<u8>> {
        let text = |record: &Record| {
            let at = record.bytes.windows(17).position(|window| window == b"plainsight.beacon")?;
            Some(record.bytes[at..].to_vec())
        };
        records.iter().filter_map(text).collect()
    };
    (!beacons(&old).is_subset(&beacons(&records))).then(|| "a beacon is gone".to_owned())
}

/// The sandboxes without network are the same, with the same output.
fn isolated_boxes_objection(original: &Files, mutant: &Files) -> Option<String> {
    let lines = mutant.lines(ISOLATED);
    let Some(new) = lines.into_iter().collect::<Option<Vec<Value>>>() else {
        return Some("a line of the journal is damaged".to_owned());
    };
    let old: Vec<Value> = original.lines(ISOLATED).into_iter().flatten().collect();
    if old.len() != new.len() {
        return Some(format!("{} sandboxes, not {}", new.len(), old.len()));
    }
    let names: BTreeSet<String> = new.iter().map(|line| line["box"].to_string()).collect();
    if names.len() != new.len() {
        return Some("a name of a sandbox is doubled".to_owned());
    }
    const FIELDS: [&str; 11] = [
        "schema",
        "run",
        "user",
        "conversation_id",
        "network",
        "exit",
        "stdout",
        "stderr",
        "stdout_base64",
        "stderr_base64",
        "limits",
    ];
    let content = |line: &Value| FIELDS.map(|field| canonical(field, &line[field]));
    let mut by_content: BTreeMap<[String; 11], Vec<&Value>> = BTreeMap::new();
    for line in &old {
        by_content.entry(content(line)).or_default().push(line);
    }
    for line in &new {
        let Some(same) = by_content.get_mut(&content(line)).and_then(Vec::pop) else {
            return Some(format!("{} is another sandbox", line["box"]));
        };
        if let Some(why) = life_objection(same, line) {
            return Some(why);
        }
    }
    None
}

/// Names of mechanisms are for people, but must be the same for all sandboxes; here they must be the same as they were.
fn canonical(field: &str, value: &Value) -> String {
    match field {
        "limits" => {
            let all = value.as_array().into_iter().flatten();
            let limits: BTreeSet<String> =
                all.map(|limit| format!("{} {}", limit["name"], limit["value"])).collect();
            format!("{limits:?}")
        }
        _ => value.to_string(),
    }
}

fn life_objection(old: &Value, new: &Value) -> Option<String> {
    let life = |line: &Value| {
        ["started_at_unix_ns", "ended_at_unix_ns"].map(|field| line[field].as_u64().unwrap_or(0))
    };
    let ([began, ended], [was_begun, was_ended]) = (life(new), life(old));
    let is_shifted = began.abs_diff(was_begun) > SLACK_NS || ended.abs_diff(was_ended) > SLACK_NS;
    (began + 100_000 > ended || is_shifted).then(|| format!("{} lived at another time", new["box"]))
}

/// With a network, each attempt still reaches its target in the capture of its interface.
fn control_objection(original: &Files, mutant: &Files) -> Option<String> {
    let lines = mutant.lines(CONTROL);
    let Some(lines) = lines.into_iter().collect::<Option<Vec<Value>>>() else {
        return Some("a line of the control's journal is damaged".to_owned());
    };
    let isolated: Vec<Value> = original.lines(ISOLATED).into_iter().flatten().collect();
    let limits = |line: &Value| -> BTreeSet<String> {
        let all = line["limits"].as_array().into_iter().flatten();
        let all = all.filter(|limit| limit["name"] != "network");
        all.map(|limit| format!("{} {}", limit["name"], limit["value"])).collect()
    };
    let expected = isolated.first().map(limits).unwrap_or_default();
    let old: BTreeMap<String, Value> =
        original.lines(CONTROL).into_iter().flatten().map(|line| (line["box"].to_string(), line)).collect();
    let mut reports: Vec<(bool, Value)> = Vec::new();
    for line in &lines {
        let is_boxed = line["network"] != "unboxed";
        if is_boxed && limits(line) != expected {
            return Some(format!("{} has other limits than the isolated sandboxes", line["box"]));
        }
        let is_bad = line["network"] == "none" || line["network"] == "" || line["exit"] != "code 0";
        if is_bad || line["run"] != isolated[0]["run"] || line["schema"] != isolated[0]["schema"] {
            return Some(format!("{} is no sandbox of the control", line["box"]));
        }
        if let Some(why) = old.get(&line["box"].to_string()).and_then(|same| life_objection(same, line)) {
            return Some(why);
        }
        for report in line["stderr"].as_str().unwrap_or_default().lines() {
            match serde_json::from_str(report) {
                Ok(report) => reports.push((is_boxed, report)),
                Err(_) => return Some("a report of the control is damaged".to_owned()),
            }
        }
    }
    let record = original.json(RECORD);
    let secrets: Vec<String> = (record["users"].as_array().into_iter().flatten())
        .filter_map(|user| user["secret"].as_str().map(str::to_owned))
        .collect();
    let mut has_read = false;
    for attempt in record["users"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|user| user["attempts"].as_array())
        .flatten()
    {
        let kind = attempt["kind"].as_str().unwrap_or_default();
        // No sandbox closes it; how much passes changes no verdict.
        if kind == "timing" {
            continue;
        }
        let hears = ["lock", "notify", "counter"].contains(&kind);
        let of_target = |report: &&(bool, Value)| {
            let (is_boxed, report) = report;
            let may_count = *is_boxed || hears || kind == "raw" || kind == "file";
            may_count && report["kind"] == attempt["kind"] && report["target"] == attempt["target"]
        };
        let mut same = reports.iter().filter(of_target).map(|(_, report)| report);
        if kind == "file" {
            has_read |= same.any(|report| {
                let data = report["data"].as_str().unwrap_or_default();
                secrets.iter().any(|secret| data.contains(secret))
            });
            continue;
        }
        if hears {
            let has_heard = |report: &Value| {
                let words: Vec<&str> = report["data"].as_str().unwrap_or_default().split(' ').collect();
                reports.iter().any(|(_, other)| {
                    other["kind"] == kind
                        && other["canary"] != report["canary"]
                        && words.iter().any(|word| {
                            word.len() >= 8
                                && other["canary"].as_str().is_some_and(|canary| canary.starts_with(word))
                        })
                })
            };
            if !same.any(|report| report["succeeded"] == true && has_heard(report)) {
                return Some(format!("in the control nothing was heard by {kind}"));
            }
            continue;
        }
        let name = format!("isolation.control.{}", attempt["interface"].as_str().unwrap_or_default());
        let records = mutant.records(&name).unwrap_or_default();
        let reaches = |report: &Value| {
            let canary = report["canary"].as_str().filter(|canary| canary.len() == 32).unwrap_or("?");
            records.iter().any(|record| {
                let has_canary = record.bytes.windows(32).any(|window| window == canary.as_bytes());
                has_canary && is_to(record, &attempt["kind"], attempt["target"].as_str().unwrap_or_default())
            })
        };
        if !same.any(reaches) {
            return Some(format!("the control does not show {} to {}", attempt["kind"], attempt["target"]));
        }
    }
    (!has_read).then(|| "the control did not read a secret".to_owned())
}

/// Whether a frame goes to this target by the protocol of this kind.
fn is_to(record: &Record, kind: &Value, target: &str) -> bool {
    let bytes = &record.bytes;
    let (address, port) = match target.parse::<std::net::SocketAddr>() {
        Ok(socket) => (socket.ip(), Some(socket.port())),
        Err(_) => match target.parse() {
            Ok(ip) => (ip, None),
            Err(_) => return false,
        },
    };
    let (protocol, to, at) = match address {
        std::net::IpAddr::V4(ip) => (bytes.get(23), bytes.get(30..34) == Some(&ip.octets()), 34),
        std::net::IpAddr::V6(ip) => (bytes.get(20), bytes.get(38..54) == Some(&ip.octets()), 54),
    };
    let expected = match kind.as_str() {
        Some("tcp" | "neighbour") => 6,
        Some("raw") => 253,
        _ => 17,
    };
    let is_port = port.is_none_or(|port| bytes.get(at + 2..at + 4) == Some(&port.to_be_bytes()));
    protocol == Some(&expected) && to && is_port
}
