//! The alterations. Each is written so that only the analysis can object: manifests and hashes are made to fit.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use craft::conversation::Settings;
use e2e::damage::{Record, Side, conversation, insert, sha256, strangers};
use serde_json::{Value, json};

use crate::files::{CONTROL, Files, ISOLATED, KEYS, PLAN, RECORD};
use crate::random::Random;

type Operation = fn(&mut Files, &Files, &mut Random);

const OPERATIONS: [(&str, Operation); 37] = [
    ("a byte of a frame changed", byte_of_frame),
    ("a byte of the users' traffic changed", byte_of_traffic),
    ("a frame removed", frame_removed),
    ("a frame repeated", frame_repeated),
    ("a stranger's frames added", strangers_added),
    ("noise with known values added", values_added),
    ("bytes behind a frame added", trailer_added),
    ("ARP with data added", arp_added),
    ("a question and answer added", exchange_added),
    ("a connection of users removed", connection_removed),
    ("captures exchanged", captures_exchanged),
    ("the end of a capture removed", tail_removed),
    ("a capture's times shifted", times_shifted),
    ("a value in the users' traffic replaced", value_replaced),
    ("a sandbox removed", box_removed),
    ("a sandbox repeated", box_repeated),
    ("users of sandboxes exchanged", users_exchanged),
    ("conversations of sandboxes exchanged", conversations_exchanged),
    ("an output with another user's data", output_with_secret),
    ("bytes in an output", output_with_bytes),
    ("outcomes replaced", outcomes_replaced),
    ("a report of an attempt removed", report_removed),
    ("a report of an attempt spelled otherwise", report_spelled),
    ("times of a sandbox changed", life_changed),
    ("name or network of a sandbox changed", box_changed),
    ("a limit of a sandbox changed", limit_changed),
    ("a byte of a journal changed", byte_of_journal),
    ("the record changed", record_changed),
    ("record and plan changed", record_and_plan_changed),
    ("the plan changed", plan_changed),
    ("a manifest changed", manifest_changed),
    ("a file removed", file_removed),
    ("control frames altered", control_altered),
    ("beacons altered", beacons_altered),
    ("a byte of a refused replay changed", byte_of_replay),
    ("a key log altered", keys_altered),
    ("protections of the record altered", protections_altered),
];

/// Alters the files in one way that follows from the numbers, and returns its name.
pub(crate) fn apply(files: &mut Files, original: &Files, random: &mut Random) -> &'static str {
    loop {
        let (name, operation) = OPERATIONS[random.below(OPERATIONS.len())];
        operation(files, original, random);
        if files != original {
            return name;
        }
    }
}

const FRONT: &str = "isolation.isolated.veth-front";

fn any_capture(files: &Files, random: &mut Random) -> String {
    let captures = files.captures();
    captures[random.below(captures.len())].clone()
}

fn isolated_capture(random: &mut Random) -> String {
    let interface = ["veth-front", "veth-back", "lo"][random.below(3)];
    format!("isolation.isolated.{interface}")
}

fn edit(files: &mut Files, name: &str, change: impl FnOnce(&mut Vec<Record>)) {
    let mut records = files.records(name).expect("a whole capture");
    change(&mut records);
    files.set_records(name, &records);
}

fn byte_of_frame(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    flip(files, &name, random, 0);
}

fn byte_of_traffic(files: &mut Files, _: &Files, random: &mut Random) {
    flip(files, FRONT, random, 66);
}

fn flip(files: &mut Files, name: &str, random: &mut Random, from: usize) {
    edit(files, name, |records| {
        let long: Vec<usize> = (0..records.len()).filter(|at| records[*at].bytes.len() > from).collect();
        if let Some(at) = random.pick(&long) {
            let bytes = &mut records[*at].bytes;
            let byte = random.within(from..bytes.len());
            bytes[byte] = random.other(bytes[byte]);
        }
    });
}

fn frame_removed(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    edit(files, &name, |records| {
        if !records.is_empty() {
            records.remove(random.below(records.len()));
        }
    });
}

fn frame_repeated(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    edit(files, &name, |records| {
        if let Some(record) = random.pick(records).cloned() {
            let at = records.iter().position(|other| other.at > record.at).unwrap_or(records.len());
            records.insert(at, Record { ..record });
        }
    });
}

fn strangers_added(files: &mut Files, _: &Files, random: &mut Random) {
    let noise = random.bytes(40);
    let frames = conversation(strangers(), &[(Side::Client, &noise)]);
    let count = 1 + random.below(frames.len());
    add(files, &isolated_capture(random), frames[..count].to_vec(), random);
}

fn add(files: &mut Files, name: &str, frames: Vec<Vec<u8>>, random: &mut Random) {
    edit(files, name, |records| {
        let at = random.below(records.len());
        insert(records, at, frames);
    });
}

/// Values of the run that must not cross: canaries, secrets, conversations.
fn values(files: &Files) -> Vec<String> {
    let mut values = Vec::new();
    for line in files.lines(ISOLATED).into_iter().flatten() {
        values.extend(line["conversation_id"].as_str().map(str::to_owned));
        let stderr = line["stderr"].as_str().unwrap_or_default();
        let canaries = stderr.split("\"canary\":\"").skip(1).filter_map(|rest| rest.get(..32));
        values.extend(canaries.map(str::to_owned));
    }
    let users = files.json(RECORD)["users"].clone();
    let secrets = users.as_array().into_iter().flatten().filter_map(|user| user["secret"].as_str());
    values.extend(secrets.map(str::to_owned));
    values
}

fn encoded(value: &str, random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => value.to_owned().into_bytes(),
        1 => value.bytes().rev().collect(),
        2 => STANDARD.encode(value).into_bytes(),
        _ => value.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
    }
}

fn values_added(files: &mut Files, _: &Files, random: &mut Random) {
    let values = values(files);
    let mut noise = random.bytes(20);
    noise.extend(encoded(&values[random.below(values.len())], random));
    let frames = conversation(strangers(), &[(Side::Server, &noise)]);
    add(files, &isolated_capture(random), frames, random);
}

fn trailer_added(files: &mut Files, _: &Files, random: &mut Random) {
    let name = isolated_capture(random);
    let trailer = random.bytes(12);
    edit(files, &name, |records| {
        let at = random.below(records.len());
        records[at].bytes.extend_from_slice(&trailer);
        records[at].original_len += 12;
    });
}

fn arp_added(files: &mut Files, _: &Files, random: &mut Random) {
    let source = random.bytes(6);
    let target = random.bytes(6);
    let packet = [0, 1, 8, 0, 6, 4, 0, 2];
    let frame =
        [&target[..], &source, &[8, 6], &packet, &source, &[10, 78, 0, 2], &target, &[10, 78, 0, 1]].concat();
    add(files, &isolated_capture(random), vec![frame], random);
}

fn exchange_added(files: &mut Files, _: &Files, random: &mut Random) {
    let record = files.json(RECORD);
    let user = record["users"][random.below(2)]["id"].as_str().unwrap_or_default().to_owned();
    let client =
        SocketAddr::from(([10, 78, 0, 2 + random.below(3) as u8], 20_000 + random.below(9_000) as u16));
    let server: SocketAddr =
        record["talk"]["server"].as_str().and_then(|text| text.parse().ok()).expect("a server");
    let body = format!("{{\"message\":\"{:x}\"}}", random.next());
    let asked = format!(
        "POST /api/conversation HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         x-user-id: {user}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let noise: String = random.bytes(100).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let told = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n{noise}");
    let settings = Settings { ack_every: 0, client_isn: 1, server_isn: 2, ..Settings::new(client, server) };
    let frames = conversation(settings, &[(Side::Client, asked.as_bytes()), (Side::Server, told.as_bytes())]);
    add(files, FRONT, frames, random);
}

/// Source and destination port of a TCP frame.
fn ports(record: &Record) -> Option<(u16, u16)> {
    let bytes = &record.bytes;
    let is_tcp = bytes.get(12..14)? == [8, 0] && bytes.get(23) == Some(&6);
    let at = 14 + usize::from(bytes.get(14)? & 15) * 4;
    let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    is_tcp.then_some((port(at)?, port(at + 2)?))
}

fn connection_removed(files: &mut Files, _: &Files, random: &mut Random) {
    edit(files, FRONT, |records| {
        let clients: Vec<u16> =
            records.iter().filter_map(ports).map(|(from, to)| if to == 8000 { from } else { to }).collect();
        let gone = random.pick(&clients).copied();
        records
            .retain(|record| ports(record).is_none_or(|(from, to)| ![from, to].contains(&gone.unwrap_or(0))));
    });
}

fn captures_exchanged(files: &mut Files, _: &Files, random: &mut Random) {
    let (one, other) = (any_capture(files, random), any_capture(files, random));
    let [first, second] = [&one, &other].map(|name| files.records(name).expect("a whole capture"));
    files.set_records(&one, &second);
    files.set_records(&other, &first);
}

fn tail_removed(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    edit(files, &name, |records| {
        let kept = random.below(records.len());
        records.truncate(kept);
    });
}

fn times_shifted(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    let by = 1_000_000_000 * (20 + random.below(100_000) as u64);
    edit(files, &name, |records| records.iter_mut().for_each(|record| record.at += by));
}

/// Replaces a text in the payload of all frames by another one of the same length.
fn value_replaced(files: &mut Files, _: &Files, random: &mut Random) {
    let values = values(files);
    let value = values[random.below(values.len())].clone();
    let others: Vec<_> =
        values.iter().filter(|other| other.len() == value.len() && **other != value).collect();
    let Some(other) = random.pick(&others).copied().cloned() else { return };
    let only_once = random.once_in(2);
    edit(files, FRONT, |records| {
        for record in records {
            let found = record.bytes.windows(value.len()).position(|window| window == value.as_bytes());
            if let Some(at) = found {
                record.bytes[at..at + value.len()].copy_from_slice(other.as_bytes());
                if only_once {
                    return;
                }
            }
        }
    });
}

fn edit_lines(files: &mut Files, name: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let mut lines: Vec<Value> = files.lines(name).into_iter().flatten().collect();
    change(&mut lines);
    files.set_lines(name, &lines);
}

fn journal(random: &mut Random) -> &'static str {
    [ISOLATED, ISOLATED, CONTROL][random.below(3)]
}

fn box_removed(files: &mut Files, _: &Files, random: &mut Random) {
    edit_lines(files, journal(random), |lines| drop(lines.remove(random.below(lines.len()))));
}

fn box_repeated(files: &mut Files, _: &Files, random: &mut Random) {
    let is_renamed = random.once_in(2);
    edit_lines(files, ISOLATED, |lines| {
        let mut line = lines[random.below(lines.len())].clone();
        if is_renamed {
            line["box"] = "another box".into();
        }
        lines.push(line);
    });
}

fn exchange_field(files: &mut Files, field: &str, random: &mut Random) {
    edit_lines(files, ISOLATED, |lines| {
        let (one, other) = (random.below(lines.len()), random.below(lines.len()));
        let [first, second] = [one, other].map(|at| lines[at][field].clone());
        lines[one][field] = second;
        if !random.once_in(3) {
            lines[other][field] = first;
        }
    });
}

fn users_exchanged(files: &mut Files, _: &Files, random: &mut Random) {
    exchange_field(files, "user", random);
}

fn conversations_exchanged(files: &mut Files, _: &Files, random: &mut Random) {
    exchange_field(files, "conversation_id", random);
}

fn output_with_secret(files: &mut Files, _: &Files, random: &mut Random) {
    let values = values(files);
    let text = String::from_utf8(encoded(&values[random.below(values.len())], random)).expect("ASCII");
    let field = ["stdout", "stderr"][random.below(2)];
    edit_lines(files, ISOLATED, |lines| {
        let at = random.below(lines.len());
        let old = lines[at][field].as_str().unwrap_or_default();
        lines[at][field] = format!("{old}{text}\n").into();
    });
}

fn output_with_bytes(files: &mut Files, _: &Files, random: &mut Random) {
    let field = ["stdout", "stderr"][random.below(2)];
    let noise = random.bytes(16);
    let fits = random.once_in(2);
    edit_lines(files, ISOLATED, |lines| {
        let at = random.below(lines.len());
        let mut bytes = lines[at][field].as_str().unwrap_or_default().as_bytes().to_vec();
        bytes.extend_from_slice(&noise);
        lines[at][format!("{field}_base64")] = STANDARD.encode(&bytes).into();
        if fits {
            lines[at][field] = String::from_utf8_lossy(&bytes).into();
        }
    });
}

fn outcomes_replaced(files: &mut Files, _: &Files, random: &mut Random) {
    let outcome = match random.below(3) {
        0 => String::new(),
        1 => "not tried".to_owned(),
        _ => format!("{:x}", random.next()),
    };
    edit_lines(files, ISOLATED, |lines| {
        for line in lines {
            let replaced = |text: &str| {
                text.replace("Network is unreachable (os error 101)", &outcome)
                    .replace("Operation not permitted (os error 1)", &outcome)
            };
            for field in ["stdout", "stderr"] {
                line[field] = replaced(line[field].as_str().unwrap_or_default()).into();
            }
        }
    });
}

fn report_removed(files: &mut Files, _: &Files, random: &mut Random) {
    edit_lines(files, ISOLATED, |lines| {
        let at = random.below(lines.len());
        let stderr = lines[at]["stderr"].as_str().unwrap_or_default();
        let mut reports: Vec<&str> = stderr.split_inclusive('\n').collect();
        if !reports.is_empty() {
            reports.remove(random.below(reports.len()));
        }
        lines[at]["stderr"] = reports.concat().into();
    });
}

fn report_spelled(files: &mut Files, _: &Files, random: &mut Random) {
    let (from, to) = [
        ("\"schema\":\"plainsight.attempt/1\"", "\"schema\":\"pl\\u0061insight.attempt/1\""),
        ("\"kind\":", "\"kind\": "),
        ("\"succeeded\":false", "\"succeeded\":false,\"more\":1"),
        ("plainsight.attempt/1", "plainsight.attempt/2"),
    ][random.below(4)];
    edit_lines(files, ISOLATED, |lines| {
        let at = random.below(lines.len());
        let stderr = lines[at]["stderr"].as_str().unwrap_or_default().replacen(from, to, 1 + random.below(3));
        lines[at]["stderr"] = stderr.into();
    });
}

fn life_changed(files: &mut Files, _: &Files, random: &mut Random) {
    edit_lines(files, journal(random), |lines| {
        let at = random.below(lines.len());
        let [began, ended] =
            ["started_at_unix_ns", "ended_at_unix_ns"].map(|name| lines[at][name].as_u64().unwrap_or(0));
        let year = 31_536_000_000_000_000;
        let (began, ended) = match random.below(4) {
            0 => (began, began + 1),
            1 => (ended, began),
            2 => (began + year, ended + year),
            _ => (began - year, ended - year),
        };
        lines[at]["started_at_unix_ns"] = began.into();
        lines[at]["ended_at_unix_ns"] = ended.into();
    });
}

fn box_changed(files: &mut Files, _: &Files, random: &mut Random) {
    let (field, value) = [
        ("box", json!("box")),
        ("network", json!("")),
        ("network", json!("none")),
        ("network", json!("the host's")),
        ("exit", json!("signal 9")),
        ("run", json!("ffffffffffffffffffffffffffffffff")),
        ("user", Value::Null),
        ("conversation_id", Value::Null),
        ("limits", json!([])),
    ][random.below(9)]
    .clone();
    edit_lines(files, journal(random), |lines| {
        let count = 1 + random.below(2);
        for line in lines.iter_mut().take(count) {
            line[field] = value.clone();
        }
    });
}

fn limit_changed(files: &mut Files, _: &Files, random: &mut Random) {
    edit_lines(files, journal(random), |lines| {
        let at = random.below(lines.len());
        let Some(limits) = lines[at]["limits"].as_array_mut().filter(|limits| !limits.is_empty()) else {
            return;
        };
        let limit = random.below(limits.len());
        if random.once_in(3) {
            limits.remove(limit);
        } else {
            limits[limit]["value"] = ["interfaces: lo, eth0", "1", "unlimited"][random.below(3)].into();
        }
    });
}

fn byte_of_journal(files: &mut Files, _: &Files, random: &mut Random) {
    let bytes = files.0.get_mut(journal(random)).expect("a journal");
    let at = random.below(bytes.len());
    bytes[at] = random.other(bytes[at]);
}

/// A change of a field that the plan has too.
fn change_plan(document: &mut Value, random: &mut Random) {
    let user = random.below(2);
    match random.below(10) {
        0 => drop(document["users"].as_array_mut().expect("users").remove(user)),
        1 => document["users"][user]["secret"] = format!("{:032x}", random.next()).into(),
        2 => document["users"][user]["id"] = "user-of-another-run".into(),
        3 => document["users"][user]["address"] = "10.78.0.9".into(),
        4 => {
            let attempts = document["users"][user]["attempts"].as_array_mut().expect("attempts");
            attempts.remove(random.below(attempts.len()));
        }
        5 => {
            let attempts = document["users"][user]["attempts"].as_array_mut().expect("attempts");
            let at = random.below(attempts.len());
            attempts[at]["interface"] = "veth-front".into();
        }
        6 => document["users"][user]["messages"][random.below(2)] = "something else".into(),
        7 => drop(document["interfaces"].as_array_mut().expect("interfaces").pop()),
        8 => document["replay"]["client"] = "10.78.0.2".into(),
        _ => document["talk"]["clients"].as_array_mut().expect("clients").push(json!("10.79.0.2")),
    }
}

fn record_changed(files: &mut Files, _: &Files, random: &mut Random) {
    let mut record = files.json(RECORD);
    match random.below(7) {
        0 => record["finished"] = false.into(),
        1 => record["run_id"] = "ffffffffffffffffffffffffffffffff".into(),
        2 => record["phases"].as_array_mut().expect("phases").reverse(),
        3 => drop(record["phases"].as_array_mut().expect("phases").pop()),
        4 => {
            let captures = record["phases"][random.below(2)]["captures"].as_array_mut().expect("captures");
            captures.remove(random.below(captures.len()));
        }
        5 => record["plan"] = Value::Null,
        _ => change_plan(&mut record, random),
    }
    files.set_json(RECORD, &record);
}

/// The hash in the record fits; only the beacons contradict it.
fn record_and_plan_changed(files: &mut Files, _: &Files, random: &mut Random) {
    let numbers = random.next();
    for name in [PLAN, RECORD] {
        let mut document = files.json(name);
        change_plan(&mut document, &mut Random::new(numbers));
        files.set_json(name, &document);
    }
    let mut record = files.json(RECORD);
    record["plan"]["sha256"] = sha256(files.bytes(PLAN)).into();
    files.set_json(RECORD, &record);
}

fn plan_changed(files: &mut Files, _: &Files, random: &mut Random) {
    if random.once_in(2) {
        let mut plan = files.json(PLAN);
        change_plan(&mut plan, random);
        files.set_json(PLAN, &plan);
    } else {
        let bytes = files.0.get_mut(PLAN).expect("a plan");
        let at = random.below(bytes.len());
        bytes[at] = random.other(bytes[at]);
    }
}

fn manifest_changed(files: &mut Files, _: &Files, random: &mut Random) {
    let name = format!("{}.manifest.json", any_capture(files, random));
    let mut manifest = files.json(&name);
    match random.below(10) {
        0 => manifest["run_id"] = "ffffffffffffffffffffffffffffffff".into(),
        1 => manifest["interface"] = ["eth9", "lo", "veth-back"][random.below(3)].into(),
        2 => manifest["capture"]["kernel_drops"] = 1.into(),
        3 => manifest["capture"]["kernel_drops"] = Value::Null,
        4 => manifest["capture"]["filter"] = "tcp".into(),
        5 => manifest["finished"] = false.into(),
        6 => manifest["started_at_unix_ns"] = manifest["ended_at_unix_ns"].clone(),
        7 => manifest["decoys"] = json!([]),
        8 => manifest["capture"]["sha256"] = "0".repeat(64).into(),
        _ => manifest["capture"]["frames"] = random.below(1000).into(),
    }
    files.set_json(&name, &manifest);
}

fn file_removed(files: &mut Files, _: &Files, random: &mut Random) {
    let names: Vec<String> = files.0.keys().filter(|name| *name != RECORD).cloned().collect();
    files.0.remove(&names[random.below(names.len())]);
}

/// Removes all frames with canaries from a capture of the control, and lists all of them in one frame of another one.
fn control_altered(files: &mut Files, _: &Files, random: &mut Random) {
    let canaries: Vec<String> = values_of(files, CONTROL);
    let name = ["isolation.control.veth-back", "isolation.control.lo"][random.below(2)];
    edit(files, name, |records| {
        records.retain(|record| {
            let has = |canary: &String| {
                record.bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
            };
            !canaries.iter().any(has)
        });
    });
    let all = canaries.join(" ");
    let frames = conversation(strangers(), &[(Side::Client, all.as_bytes())]);
    let to = ["isolation.control.veth-front", name][random.below(2)];
    add(files, to, frames, random);
}

fn values_of(files: &Files, journal: &str) -> Vec<String> {
    let lines = files.lines(journal).into_iter().flatten();
    let stderr: String = lines.filter_map(|line| line["stderr"].as_str().map(str::to_owned)).collect();
    stderr.split("\"canary\":\"").skip(1).filter_map(|rest| rest.get(..32)).map(str::to_owned).collect()
}

fn beacons_altered(files: &mut Files, _: &Files, random: &mut Random) {
    let name = any_capture(files, random);
    edit(files, &name, |records| {
        let is_beacon = |record: &Record| record.bytes.windows(17).any(|text| text == b"plainsight.beacon");
        let all: Vec<usize> = (0..records.len()).filter(|at| is_beacon(&records[*at])).collect();
        let Some(at) = random.pick(&all).copied() else { return };
        match random.below(3) {
            0 => drop(records.remove(at)),
            1 => {
                let len = records[at].bytes.len();
                let byte = random.within(42..len);
                records[at].bytes[byte] = random.other(records[at].bytes[byte]);
            }
            _ => {
                let record = records.remove(at);
                let to = if at == 0 { records.len() } else { 0 };
                records.insert(to, record);
            }
        }
    });
}

/// The captures of the refused replays.
const REPLAYS: [&str; 2] = ["isolation.token.veth-front", "isolation.mtls.veth-front"];

fn byte_of_replay(files: &mut Files, _: &Files, random: &mut Random) {
    flip(files, REPLAYS[random.below(2)], random, 66);
}

fn keys_altered(files: &mut Files, _: &Files, random: &mut Random) {
    let at = random.below(2);
    let other = files.bytes(KEYS[1 - at]).to_vec();
    let Some(keys) = files.0.get_mut(KEYS[at]) else { return };
    match random.below(4) {
        0 => *keys = other,
        1 => keys.truncate(random.below(keys.len())),
        2 => {
            let lines: Vec<&[u8]> = keys.split_inclusive(|byte| *byte == b'\n').collect();
            let gone = random.below(lines.len());
            let kept = lines.iter().enumerate().filter(|(number, _)| *number != gone);
            *keys = kept.flat_map(|(_, line)| line.to_vec()).collect();
        }
        _ => {
            let byte = random.below(keys.len());
            keys[byte] = random.other(keys[byte]);
        }
    }
}

/// In record and plan, or in the record alone; the hash fits.
fn protections_altered(files: &mut Files, _: &Files, random: &mut Random) {
    let (of, what) = (random.below(2), random.below(7));
    let names = if random.once_in(2) { vec![PLAN, RECORD] } else { vec![RECORD] };
    for name in names {
        let mut document = files.json(name);
        let protections = document["protections"].as_array_mut().expect("protections");
        match what {
            0 => drop(protections.remove(of)),
            1 => protections.clear(),
            2 => protections[of]["auth"] = ["token", "mtls", "header"][random.below(3)].into(),
            3 => protections[of]["secret"] = "another secret of the owner".into(),
            4 => {
                let [owner, intruder] = ["owner", "intruder"].map(|end| protections[of][end].clone());
                protections[of]["owner"] = intruder;
                protections[of]["intruder"] = owner;
            }
            5 => protections[of]["capture"] = format!("{FRONT}.pcap").into(),
            _ => protections.swap(0, 1),
        }
        files.set_json(name, &document);
    }
    let mut record = files.json(RECORD);
    record["plan"]["sha256"] = sha256(files.bytes(PLAN)).into();
    files.set_json(RECORD, &record);
}
