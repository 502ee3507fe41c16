//! `analyze --annotate`: tshark and capinfos read the copies: the same packets, with comments, and with keys on request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use craft::link_type::{ETHERNET, RAW};
use craft::pcap::{self, Format, Resolution};
use craft::{Endian, pcapng};
use e2e::damage::{Copied, Side, analyze_command, conversation, strangers};
use e2e::{Lab, has_netns, run_lab, skip};
use flate2::write::GzEncoder;
use serde_json::Value;

fn analyze(folder: &Path, arguments: &[&str]) -> Output {
    let all = [&["--no-output", "--format", "json"], arguments].concat();
    analyze_command().args(all).current_dir(folder).output().expect("analyze starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has_tshark() -> bool {
    let is_there = |program| Command::new(program).arg("--version").output().is_ok();
    if ["tshark", "capinfos"].into_iter().all(is_there) {
        return true;
    }
    skip("there is no tshark");
    false
}

/// What tshark prints about a capture.
fn tshark(capture: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture).args(arguments).env("HOME", capture.parent().expect("a folder"));
    let output = command.output().expect("tshark starts");
    assert!(output.status.success(), "{}: {}", capture.display(), text(&output.stderr));
    text(&output.stdout)
}

fn fields(capture: &Path, names: &[&str]) -> Vec<Vec<String>> {
    let names = names.iter().flat_map(|name| ["-e", name]);
    let arguments: Vec<_> = ["-T", "fields"].into_iter().chain(names).collect();
    let rows = tshark(capture, &arguments);
    rows.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The comments by frame.
fn comments(capture: &Path) -> BTreeMap<u64, String> {
    let rows = fields(capture, &["frame.number", "frame.comment"]);
    let rows = rows.into_iter().filter(|row| !row[1].is_empty());
    rows.map(|row| (row[0].parse().expect("a number"), row[1].clone())).collect()
}

/// Compares everything but the comments: number, time, lengths, interface, link type and bytes of each packet.
fn assert_same_packets(capture: &Path, copy: &Path) {
    let names = [
        "frame.number",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.interface_id",
        "frame.encap_type",
    ];
    let is_pcapng = fs::read(capture).expect("a capture").starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
    // A classic file has no interfaces.
    let of = |capture: &Path| {
        let mut rows = fields(capture, &names);
        rows.iter_mut().filter(|_| !is_pcapng).for_each(|row| row[4].clear());
        rows
    };
    assert_eq!(of(capture), of(copy), "{}", capture.display());
    let bytes = |capture: &Path| {
        let dump = tshark(capture, &["-x"]);
        let is_hex = |line: &&str| line.len() > 6 && line.as_bytes()[..4].iter().all(u8::is_ascii_hexdigit);
        dump.lines().filter(is_hex).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(bytes(capture), bytes(copy), "{}", capture.display());
    let info = |capture: &Path| {
        // Number of packets, size of their data, first and last time, in a table without a head.
        let output =
            Command::new("capinfos").args(["-T", "-r", "-c", "-d", "-a", "-e", "-S"]).arg(capture).output();
        let output = output.expect("capinfos starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let line = text(&output.stdout);
        line.trim_end().split('\t').skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(info(capture), info(copy), "{}", capture.display());
}

/// The frames that the locations of a capture's strings name.
fn proving(capture: &Value) -> BTreeSet<u64> {
    let strings = capture["strings"].as_array().expect("strings");
    let places = strings.iter().flat_map(|string| string["locations"].as_array().expect("locations"));
    places.flat_map(|place| place["frames"].as_array().expect("frames")).filter_map(Value::as_u64).collect()
}

#[test]
fn copies_of_a_run_have_comments_and_on_request_the_keys() {
    if !has_tshark() {
        return;
    }
    let run = Copied::of(run_lab("relay"));
    let output = analyze(run.folder(), &[".", "--annotate", "notes/with", "--embed-keys"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for capture in document["captures"].as_array().expect("captures") {
        let name = capture["name"].as_str().expect("a name");
        let (original, copy) =
            (run.path(&format!("{name}.pcap")), run.path(&format!("notes/with/{name}.annotated.pcapng")));
        if name == "http" {
            assert_same_packets(&original, &copy);
        }
        let comments = comments(&copy);
        assert_eq!(comments.keys().copied().collect::<BTreeSet<_>>(), proving(capture), "{name}");
        let code = if name == "http" { "exposure.verbatim: " } else { "opened.string: " };
        assert!(
            comments.values().all(|comment| comment.contains(code) || comment.contains("exposure.")),
            "{comments:?}"
        );
        let canary = run.canary(name);
        assert!(comments.values().any(|comment| comment.contains(&canary)), "{name}: {comments:?}");
    }
    // The key log is in the copy, and tshark decrypts with it.
    let copy = run.path("notes/with/https.annotated.pcapng");
    let keys = format!("tls.keylog_file:{}", run.path("https.keys").display());
    let with_keys =
        tshark(&run.path("https.pcap"), &["-o", &keys, "-Y", "http", "-T", "fields", "-e", "frame.number"]);
    let embedded = tshark(&copy, &["-Y", "http", "-T", "fields", "-e", "frame.number"]);
    assert!(embedded.lines().count() > 10, "{embedded}");
    assert_eq!(embedded, with_keys);
    // And so does analyze, which finds the rest in the copy as it was.
    run.write("own.txt", run.canaries("https").join("\n"));
    let again =
        analyze(run.folder(), &[copy.to_str().expect("UTF-8"), "--strings", "own.txt", "--scope", "all"]);
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(
        again["captures"][0]["summary"]["decrypted"],
        run.canaries("https").len(),
        "{}",
        again["captures"][0]["summary"]
    );
}

#[test]
fn copies_without_keys_do_not_contain_what_only_keys_open() {
    let run = Copied::of(run_lab("relay"));
    let output = analyze(run.folder(), &["https.pcap", "--annotate", "notes"]);
    assert!(text(&output.stderr).contains("https.annotated.pcapng: "), "{}", text(&output.stderr));
    let copy = run.read("notes/https.annotated.pcapng");
    let contains = |bytes: &str| copy.windows(bytes.len()).any(|window| window == bytes.as_bytes());
    assert!(contains("opened.string: $.canary of message call-0001"), "there are comments");
    assert!(!contains("CLIENT_") && !contains("SERVER_"), "there are keys in the copy");
    for canary in run.canaries("https") {
        assert!(!contains(&canary), "{canary}");
    }
    if has_tshark() {
        assert_same_packets(&run.path("https.pcap"), &run.path("notes/https.annotated.pcapng"));
    }
}

#[test]
fn captures_of_an_isolation_run_have_comments_on_attempts_and_replays() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let lab = Lab::new();
    let output = lab.run(&["isolation", "--backend", "netns"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = Copied::of(&lab);
    let output = analyze(run.folder(), &["isolation.json", "--annotate", "notes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    if !has_tshark() {
        return;
    }
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let isolation = &document["isolation"][0];
    let mut all = Vec::new();
    for interface in isolation["interfaces"].as_array().expect("interfaces") {
        let file = Path::new(interface["file"].as_str().expect("a path")).file_name().expect("a name");
        let name = file.to_str().expect("UTF-8");
        let copy = run.path(&format!("notes/{}.annotated.pcapng", name.trim_end_matches(".pcap")));
        assert_same_packets(&run.path(name), &copy);
        let listed = interface["box_frames_listed"].as_array().expect("frames");
        let comments = comments(&copy);
        for frame in listed {
            assert!(comments.contains_key(&frame["frame"].as_u64().expect("a number")), "{name}: {frame}");
        }
        all.extend(comments.into_values());
    }
    let seen = isolation["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .filter(|attempt| attempt["first"].is_object());
    let mut attempts = 0;
    for attempt in seen {
        let (kind, name) = (attempt["kind"].as_str().expect("text"), attempt["box"].as_str().expect("text"));
        let line = format!("control: attempt {kind} of sandbox {name} to ");
        assert!(all.iter().any(|comment| comment.contains(&line)), "{line}: {all:?}");
        attempts += 1;
    }
    assert!(attempts > 3, "{isolation}");
    for line in ["is read here", "is replayed here", "the answer with the secret of"] {
        assert!(all.iter().any(|comment| comment.contains(line)), "{line}: {all:?}");
    }
}

/// Frames of an HTTP request and its answer, in which a credential is readable.
fn frames() -> Vec<Vec<u8>> {
    let request = b"GET / HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer 0123456789abcdef0123456789\r\n\r\n";
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    conversation(strangers(), &[(Side::Client, request), (Side::Server, answer)])
}

/// Number of the frame with the request: behind three of the handshake.
const REQUEST: u64 = 4;

fn classic(endian: Endian, resolution: Resolution) -> Vec<u8> {
    let format = Format { endian, resolution, snaplen: 300, link_type: ETHERNET };
    let mut writer = pcap::Writer::with_format(Vec::new(), format).expect("a vector");
    for (at, frame) in (0..).zip(frames()) {
        let at = 4_294_967_200_000_000_123 + at * 1_000_001_234;
        writer.write(at, frame.len() as u32 + 5, &frame).expect("a vector");
    }
    writer.into_inner()
}

/// Two sections in both byte orders, interfaces of several link types and clocks, packets with options and without.
fn sections() -> Vec<u8> {
    let mut writer = pcapng::Writer::new(Vec::new(), Endian::Big).expect("a vector");
    writer.block(0x0bad_cafe, &[7; 200_000]).expect("a vector");
    writer.interface(RAW, 0, &[(pcapng::IF_TSRESOL, &[0x8a])]).expect("a vector");
    let offset = writer.tsoffset(1_000);
    let options: [pcapng::BlockOption<'_>; 2] = [(pcapng::IF_TSRESOL, &[9]), (pcapng::IF_TSOFFSET, &offset)];
    writer.interface(ETHERNET, 65_535, &options).expect("a vector");
    writer.name([192, 0, 2, 1], "a name").expect("a vector");
    let frames = frames();
    for (at, frame) in (0..).zip(&frames) {
        let time = 1_795_000_000_000_000_000 + at * 1_000;
        let options: &[pcapng::BlockOption<'_>] = match at {
            3 => &[(pcapng::COMMENT, b"an older comment"), (4, &[0, 0, 0, 0, 0, 0, 0, 9])],
            _ => &[],
        };
        writer.enhanced(1, time, frame.len() as u32, frame, options).expect("a vector");
    }
    writer.enhanced(0, 1_838_080_000_000, 40, &frames[0][14..], &[]).expect("a vector");
    writer.section(Endian::Little).expect("a vector");
    writer.interface(ETHERNET, 0, &[]).expect("a vector");
    // The same connection from another client's port, in blocks of older files.
    for frame in other_client() {
        writer.obsolete(0, 0xffff, 1_795_000_000_000_000, frame.len() as u32, &frame).expect("a vector");
    }
    writer.into_inner()
}

fn other_client() -> Vec<Vec<u8>> {
    let settings = strangers();
    let client = ([192, 0, 2, 1], 50_001).into();
    let request = b"GET / HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer 9876543210abcdef9876543210\r\n\r\n";
    conversation(craft::conversation::Settings { client, ..settings }, &[(Side::Client, request)])
}

fn copy_of(folder: &Copied, file: &str) -> (PathBuf, String) {
    let output = analyze(folder.folder(), &[file, "--annotate", "notes"]);
    let stderr = text(&output.stderr);
    let stem = file.trim_end_matches(".gz").rsplit_once('.').expect("an extension").0;
    (folder.path(&format!("notes/{stem}.annotated.pcapng")), stderr)
}

#[test]
fn copies_of_every_format_have_the_same_packets() {
    let folder = Copied::empty();
    folder.write("little-micros.pcap", classic(Endian::Little, Resolution::Micros));
    folder.write("big-micros.pcap", classic(Endian::Big, Resolution::Micros));
    folder.write("little-nanos.pcap", classic(Endian::Little, Resolution::Nanos));
    folder.write("big-nanos.pcap", classic(Endian::Big, Resolution::Nanos));
    folder.write("sections.pcapng", sections());
    if !has_tshark() {
        return;
    }
    for file in
        ["little-micros.pcap", "big-micros.pcap", "little-nanos.pcap", "big-nanos.pcap", "sections.pcapng"]
    {
        let before = folder.read(file);
        let (copy, stderr) = copy_of(&folder, file);
        assert!(copy.is_file(), "{file}: {stderr}");
        assert_eq!(folder.read(file), before, "the capture itself is as it was");
        assert_same_packets(&folder.path(file), &copy);
        let comments = comments(&copy);
        let expected: Vec<_> = if file == "sections.pcapng" { vec![4, 14] } else { vec![4] };
        assert_eq!(comments.keys().copied().collect::<Vec<_>>(), expected, "{file}: {comments:?} {stderr}");
        assert!(comments[&REQUEST].contains("exposure.credential: "), "{comments:?}");
        if file == "sections.pcapng" {
            assert!(comments[&REQUEST].contains("an older comment"), "{comments:?}");
        }
        let precision = |capture: &Path| {
            let output = Command::new("capinfos").arg("-I").arg(capture).output().expect("capinfos starts");
            let lines = text(&output.stdout);
            lines
                .lines()
                .filter(|line| line.contains("Time precision"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(precision(&folder.path(file)), precision(&copy), "{file}");
    }
}

#[test]
fn compressed_cut_and_simple_captures_are_copied_as_far_as_they_go() {
    let folder = Copied::empty();
    let whole = classic(Endian::Little, Resolution::Nanos);
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&whole).expect("a vector");
    folder.write("packed.pcap.gz", encoder.finish().expect("a vector"));
    folder.write("cut.pcap", &whole[..whole.len() - 10]);
    let mut simple = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector");
    simple.interface(ETHERNET, 0, &[]).expect("a vector");
    for frame in frames() {
        simple.simple(frame.len() as u32, &frame).expect("a vector");
    }
    // A block that the file does not have as a whole.
    simple.block(0x0bad_cafe, &[7; 1_000]).expect("a vector");
    let simple = simple.into_inner();
    folder.write("simple.pcapng", &simple[..simple.len() - 100]);

    let (packed, stderr) = copy_of(&folder, "packed.pcap.gz");
    assert!(stderr.contains("1 packet(s) with a comment"), "{stderr}");
    let (cut, stderr) = copy_of(&folder, "cut.pcap");
    assert!(stderr.contains("the copy ends early, as the capture does: the file ends inside"), "{stderr}");
    let (simple, stderr) = copy_of(&folder, "simple.pcapng");
    assert!(
        stderr.contains("0 packet(s) with a comment; 1 packet(s) are of a kind that can have no comment"),
        "{stderr}"
    );
    if !has_tshark() {
        return;
    }
    folder.write("packed.pcap", &whole);
    assert_same_packets(&folder.path("packed.pcap"), &packed);
    let frames = frames().len();
    assert_eq!(fields(&cut, &["frame.number"]).len(), frames - 1);
    assert_eq!(fields(&simple, &["frame.number"]).len(), frames, "tshark reads it to its end");
}

#[test]
fn captures_are_never_replaced_and_equal_names_get_numbers() {
    let folder = Copied::empty();
    let capture = classic(Endian::Little, Resolution::Nanos);
    folder.write("mine.pcap", &capture);
    fs::create_dir(folder.path("notes")).expect("a folder");
    std::os::unix::fs::symlink(folder.path("mine.pcap"), folder.path("notes/mine.annotated.pcapng"))
        .expect("a link");
    let (_, stderr) = copy_of(&folder, "mine.pcap");
    assert!(stderr.contains("is the capture itself, and is not replaced"), "{stderr}");
    assert_eq!(folder.read("mine.pcap"), capture);

    fs::remove_file(folder.path("notes/mine.annotated.pcapng")).expect("a link");
    fs::create_dir(folder.path("other")).expect("a folder");
    folder.write("other/mine.pcap", &capture);
    let output = analyze(folder.folder(), &["mine.pcap", "other/mine.pcap", "--annotate", "notes"]);
    let names = ["mine.annotated.pcapng", "mine-2.annotated.pcapng"];
    for name in names {
        assert!(folder.path("notes").join(name).is_file(), "{name}: {}", text(&output.stderr));
    }
    // An earlier copy is replaced.
    let (copy, _) = copy_of(&folder, "other/mine.pcap");
    assert!(!copy.exists(), "the copy is named after the file alone");
    assert_eq!(fs::read_dir(folder.path("notes")).expect("a folder").count(), names.len());
}

#[test]
fn what_cannot_be_annotated_is_an_error() {
    let folder = Copied::empty();
    folder.write("mine.pcap", classic(Endian::Little, Resolution::Nanos));
    folder.write("notes", "a file");
    let output = analyze(folder.folder(), &["mine.pcap", "--annotate", "notes"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot create the folder notes"), "{}", text(&output.stderr));
    let mut command = analyze_command();
    command.args(["-", "--annotate", "elsewhere"]).current_dir(folder.folder());
    let output = command.stdin(fs::File::open(folder.path("mine.pcap")).expect("a capture")).output();
    let output = output.expect("analyze starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("can be read only once"), "{}", text(&output.stderr));
}
