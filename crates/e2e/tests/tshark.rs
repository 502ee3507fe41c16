//! Compares the analyzer's results for the lab's captures with tshark.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use e2e::damage::{Copied, Judged, analyze, sha256};
use e2e::{has_netns, new_run, skip};
use serde_json::Value;

/// Runs a check on the captures of both backends.
fn by_each_backend(check: impl Fn(&Copied, &Judged)) {
    if Command::new("tshark").arg("--version").output().is_err() {
        return skip("there is no tshark");
    }
    static RELAY: OnceLock<(Copied, Judged)> = OnceLock::new();
    static NETNS: OnceLock<(Copied, Judged)> = OnceLock::new();
    let on = |backend, run: &OnceLock<(Copied, Judged)>| {
        let (copied, judged) = run.get_or_init(|| {
            let copied = in_order(backend);
            let judged = analyze(&[copied.folder()]);
            (copied, judged)
        });
        assert_eq!(judged.conclusion(), "proven", "{backend}");
        check(&copied.copy(), judged);
    };
    on("relay", &RELAY);
    match has_netns() {
        Ok(()) => on("netns", &NETNS),
        Err(reason) => skip(&reason),
    }
}

/// Runs that are made until one is recorded in order. A machine that stops a process at the wrong moment records segments far from
/// their place, and tshark, other than the analyzer, does not find back into such a connection.
const MAX_RUNS: usize = 5;

fn in_order(backend: &str) -> Copied {
    let disordered = "tcp.analysis.lost_segment || tcp.analysis.out_of_order";
    (0..MAX_RUNS)
        .map(|_| Copied::of(&new_run(backend)))
        .find(|copied| ["http", "https"].iter().all(|name| selected(copied, name, disordered).is_empty()))
        .unwrap_or_else(|| panic!("none of {MAX_RUNS} runs by {backend} was recorded in order"))
}

/// The lines that tshark prints about a capture, with the run's key log if `decrypt` is set.
fn tshark(copied: &Copied, name: &str, decrypt: bool, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    // Without name resolution, and without the user's configuration. A busy machine captures segments out of order.
    command
        .args(["-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-r"])
        .arg(copied.path(&format!("{name}.pcap")))
        .env("HOME", copied.folder());
    if decrypt {
        command.arg("-o").arg(format!("tls.keylog_file:{}", copied.path("https.keys").display()));
    }
    let output = command.args(arguments).output().expect("tshark starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("tshark prints text").lines().map(str::to_owned).collect()
}

/// The numbers of the frames that a display filter selects.
fn selected(copied: &Copied, name: &str, filter: &str) -> Vec<u64> {
    let lines = tshark(copied, name, false, &["-Y", filter, "-T", "fields", "-e", "frame.number"]);
    lines.iter().map(|line| line.parse().expect("a frame number")).collect()
}

/// An HTTP message: frame in which it ends, stream, method and target, or status.
type Message = (u64, u64, String);

fn messages_by_tshark(copied: &Copied, name: &str, decrypt: bool) -> BTreeSet<Message> {
    let fields =
        ["frame.number", "tcp.stream", "http.request.method", "http.request.uri", "http.response.code"];
    let fields: Vec<_> = fields.iter().flat_map(|field| ["-e", *field]).collect();
    let arguments =
        [&["-Y", "http.request || http.response", "-T", "fields", "-E", "separator=|"], &fields[..]];
    let lines = tshark(copied, name, decrypt, &arguments.concat());
    let message = |line: &String| {
        let fields: Vec<_> = line.split('|').collect();
        let number = |at: usize| fields[at].parse().unwrap_or_else(|_| panic!("a number in {line}"));
        (number(0), number(1), format!("{} {}{}", fields[2], fields[3], fields[4]))
    };
    lines.iter().map(message).collect()
}

fn messages_by_analyze(judged: &Judged, name: &str) -> BTreeSet<Message> {
    let messages = judged.capture(name)["http"].as_array().expect("an array of messages");
    let message = |message: &Value| {
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        let status = message["status"].as_u64().map(|status| status.to_string()).unwrap_or_default();
        let number = |field: &str| message[field].as_u64().expect("a number");
        let line = format!("{} {}{status}", text("method"), text("target"));
        (number("last_frame"), number("stream"), line)
    };
    messages.iter().map(message).collect()
}

/// Number of messages with each body, by its hash.
fn bodies_by_tshark(copied: &Copied, name: &str, decrypt: bool) -> BTreeMap<String, usize> {
    let folder = copied.path(&format!("{name}-objects"));
    fs::create_dir(&folder).expect("a folder");
    let to = format!("http,{}", folder.display());
    let _ = tshark(copied, name, decrypt, &["-q", "--export-objects", &to]);
    let bodies = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    count(bodies.map(|path| sha256(&fs::read(path).expect("an exported body"))))
}

fn bodies_by_journal(copied: &Copied, name: &str, agent: &str) -> BTreeMap<String, usize> {
    count(
        copied
            .journal(name, agent)
            .iter()
            .map(|line| sha256(line["body"].as_str().expect("text").as_bytes())),
    )
}

fn count(hashes: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    hashes.for_each(|hash| *counts.entry(hash).or_default() += 1);
    counts
}

fn agrees_on_messages(copied: &Copied, judged: &Judged, name: &str, decrypt: bool) {
    let by_tshark = messages_by_tshark(copied, name, decrypt);
    assert!(by_tshark.len() >= 24, "{} messages", by_tshark.len());
    assert_eq!(messages_by_analyze(judged, name), by_tshark);
    let bodies = bodies_by_tshark(copied, name, decrypt);
    assert_eq!(bodies_by_journal(copied, name, "agent-a"), bodies);
    assert_eq!(bodies_by_journal(copied, name, "agent-b"), bodies);
}

#[test]
fn tshark_reads_the_same_messages_in_plaintext() {
    by_each_backend(|copied, judged| agrees_on_messages(copied, judged, "http", false));
}

#[test]
fn tshark_reads_the_same_messages_in_tls_only_with_the_keys() {
    by_each_backend(|copied, judged| {
        assert_eq!(messages_by_tshark(copied, "https", false), BTreeSet::new());
        agrees_on_messages(copied, judged, "https", true);
    });
}

fn any_of(canaries: &[String]) -> String {
    let contains: Vec<_> = canaries.iter().map(|canary| format!("frame contains \"{canary}\"")).collect();
    contains.join(" || ")
}

#[test]
fn no_frame_of_the_tls_capture_contains_a_canary() {
    by_each_backend(|copied, _| {
        let canaries = copied.canaries("https");
        assert!(canaries.len() >= 24);
        assert_eq!(selected(copied, "https", &any_of(&canaries)), Vec::<u64>::new());
        let file = copied.read("https.pcap");
        for canary in &canaries {
            assert!(!file.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary}");
        }
    });
}

#[test]
fn tshark_finds_canaries_in_the_same_frames() {
    by_each_backend(|copied, judged| {
        let canaries = copied.canaries("http");
        let strings = judged.capture("http")["strings"].as_array().expect("an array of strings");
        let mut named = BTreeSet::new();
        for string in
            strings.iter().filter(|string| canaries.iter().any(|canary| string["value"] == **canary))
        {
            for location in string["locations"].as_array().expect("an array of locations") {
                if string["level"] == "verbatim" {
                    named.extend(frames(location));
                }
            }
        }
        let contain: BTreeSet<_> = selected(copied, "http", &any_of(&canaries)).into_iter().collect();
        assert_eq!(named, contain);
        assert!(named.len() > 10, "{} frames", named.len());
    });
}

fn frames(location: &Value) -> Vec<u64> {
    let frames = location["frames"].as_array().expect("an array of frames");
    frames.iter().map(|frame| frame.as_u64().expect("a frame number")).collect()
}

/// Every location of every string of a capture.
fn locations(judged: &Judged, name: &str) -> Vec<(Value, Value)> {
    let strings = judged.capture(name)["strings"].as_array().expect("an array of strings");
    let of = |string: &Value| {
        let locations = string["locations"].as_array().expect("an array of locations").clone();
        locations.into_iter().map(|location| (string.clone(), location)).collect::<Vec<_>>()
    };
    strings.iter().flat_map(of).collect()
}

#[test]
fn stream_numbers_equal_those_of_tshark() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let fields = ["-T", "fields", "-E", "separator=|", "-e", "frame.number", "-e", "tcp.stream"];
            let lines = tshark(copied, name, false, &fields);
            let streams: BTreeMap<u64, u64> = lines
                .iter()
                .filter_map(|line| line.split_once('|'))
                .map(|(frame, stream)| (frame.parse().expect("a number"), stream.parse().expect("a number")))
                .collect();
            for (_, location) in locations(judged, name) {
                for frame in frames(&location) {
                    assert_eq!(location["stream"], streams[&frame], "{name}: {location:#}");
                }
            }
        }
    });
}

#[test]
fn strings_are_at_the_offsets_of_their_locations() {
    by_each_backend(|copied, judged| {
        let file = copied.read("http.pcap");
        let records = copied.records("http");
        let starts: Vec<u64> = (0..records.len()).map(|at| e2e::damage::file_offset(&records, at)).collect();
        let mut checked = 0;
        for (string, location) in locations(judged, "http") {
            let offset = location["file_offset"].as_u64().expect("an offset");
            let first = frames(&location)[0] as usize - 1;
            let range = starts[first]..starts[first] + records[first].bytes.len() as u64;
            assert!(range.contains(&offset), "{location:#}");
            let is_plain = string["searched_as"] == "value" && location["layers"] == serde_json::json!([]);
            if string["level"] == "verbatim" && is_plain {
                let value = string["value"].as_str().expect("text").as_bytes();
                assert!(file[offset as usize..].starts_with(value), "{string:#} {location:#}");
                checked += 1;
            }
        }
        assert!(checked > 100, "{checked} places");
    });
}

#[test]
fn filters_select_exactly_the_frames_of_their_location() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            // One filter for each number of frames, which determines the form of the filter.
            let mut by_frames = BTreeMap::new();
            for (_, location) in locations(judged, name) {
                let filter = location["filter"].as_str().expect("a filter").to_owned();
                by_frames.entry(frames(&location).len()).or_insert((filter, frames(&location)));
            }
            assert!(by_frames.len() > 1, "places of one and of several frames");
            // The shortest filter, the longest, and one between.
            let filters: Vec<_> = by_frames.values().collect();
            let chosen = BTreeSet::from([0, filters.len() / 2, filters.len() - 1]);
            for (filter, frames) in chosen.into_iter().map(|at| filters[at]) {
                assert_eq!(&selected(copied, name, filter), frames, "{name}: {filter}");
            }
        }
    });
}

#[test]
fn packet_list_equals_that_of_tshark() {
    const FIELDS: [&str; 10] = [
        "frame.number",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "tcp.stream",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.seq",
        "tcp.len",
        "tcp.flags.str",
    ];
    /// The flags as `tcp.flags.str` abbreviates them, without the dots.
    const LETTERS: [(&str, char); 8] = [
        ("CWR", 'C'),
        ("ECE", 'E'),
        ("URG", 'U'),
        ("ACK", 'A'),
        ("PSH", 'P'),
        ("RST", 'R'),
        ("SYN", 'S'),
        ("FIN", 'F'),
    ];
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let fields: Vec<_> = FIELDS.iter().flat_map(|field| ["-e", *field]).collect();
            let lines =
                tshark(copied, name, false, &[&["-T", "fields", "-E", "separator=|"], &fields[..]].concat());
            let packets = judged.capture(name)["packets"].as_array().expect("an array of packets");
            assert_eq!(packets.len(), lines.len().min(200));
            for (packet, line) in packets.iter().zip(&lines) {
                let port = |end: &str| {
                    let end = packet[end].as_str().expect("an endpoint");
                    end.rsplit(':').next().expect("a port").to_owned()
                };
                let at = packet["at_unix_ns"].as_u64().expect("a time");
                let flags = packet["flags"].as_array().expect("an array of flags");
                let letters: String = LETTERS
                    .iter()
                    .filter(|(name, _)| flags.iter().any(|flag| flag == name))
                    .map(|(_, letter)| *letter)
                    .collect();
                let row = [
                    packet["frame"].to_string(),
                    format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000),
                    packet["wire_bytes"].to_string(),
                    packet["captured_bytes"].to_string(),
                    packet["stream"].to_string(),
                    port("source"),
                    port("destination"),
                    packet["sequence"].to_string(),
                    packet["payload_bytes"].to_string(),
                    letters,
                ];
                assert_eq!(row.join("|"), line.replace('·', ""), "{name}");
            }
        }
    });
}

#[test]
fn connections_have_the_frames_and_bytes_of_tsharks_streams() {
    by_each_backend(|copied, judged| {
        for name in ["http", "https"] {
            let fields =
                ["-T", "fields", "-E", "separator=|", "-e", "tcp.stream", "-e", "frame.len", "-e", "tcp.len"];
            let mut sums: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
            for line in tshark(copied, name, false, &fields) {
                let numbers: Vec<u64> =
                    line.split('|').map(|field| field.parse().expect("a number")).collect();
                let sum = sums.entry(numbers[0]).or_default();
                *sum = [sum[0] + 1, sum[1] + numbers[1], sum[2] + numbers[2]];
            }
            let connections = judged.capture(name)["connections"].as_array().expect("an array");
            let told = connections.iter().map(|connection| {
                let number = |field: &str| connection[field].as_u64().expect("a number");
                let payload = connection["payload_bytes"].as_array().expect("two numbers");
                let payload = payload.iter().map(|bytes| bytes.as_u64().expect("a number")).sum();
                (number("stream"), [number("frames"), number("wire_bytes"), payload])
            });
            assert_eq!(told.collect::<BTreeMap<_, _>>(), sums, "{name}");
        }
    });
}

/// Without keys, tshark sees the same TLS records in the packets.
#[test]
fn packets_contain_the_records_that_tshark_counts() {
    by_each_backend(|copied, judged| {
        let packets = judged.capture("https")["packets"].as_array().expect("an array of packets");
        let last = packets.len();
        let filter = format!("tls && frame.number <= {last}");
        // Protected records of TLS 1.3 have an opaque type instead.
        let fields =
            ["-Y", &filter, "-T", "fields", "-e", "tls.record.content_type", "-e", "tls.record.opaque_type"];
        let lines = tshark(copied, "https", false, &fields);
        let types = |wanted: &str| {
            let types = lines.iter().flat_map(|line| line.split([',', '\t']));
            types.filter(|content_type| *content_type == wanted).count()
        };
        let held = |names: &[&str]| {
            let holds = packets.iter().flat_map(|packet| packet["holds"].as_array().expect("an array"));
            holds.filter(|held| names.iter().any(|name| held == name)).count()
        };
        assert_eq!(held(&["ClientHello", "ServerHello"]), types("22"));
        assert_eq!(held(&["ChangeCipherSpec"]), types("20"));
        // tshark names a record in the frame where it ends, so the last ones may end after the packet list.
        let (begun, ended) = (held(&["Application Data"]), types("23"));
        assert!(begun >= ended && begun <= ended + 4 && ended > 10, "{begun} begun, {ended} ended");
    });
}

#[test]
fn tshark_finds_no_malformed_frames() {
    by_each_backend(|copied, _| {
        for name in ["http", "https"] {
            let lines = tshark(
                copied,
                name,
                false,
                &[
                    "-o",
                    "tcp.check_checksum:TRUE",
                    "-o",
                    "ip.check_checksum:TRUE",
                    "-Y",
                    "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.lost_segment",
                ],
            );
            assert_eq!(lines, Vec::<String>::new(), "{name}");
            assert!(Path::new(&copied.path(&format!("{name}.pcap"))).is_file());
        }
    });
}
