//! Shared by the end-to-end tests: the program as a process, and readers of its files that share no code with it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcap::{parse_pcap_frame, parse_pcap_header};
use serde_json::Value;

/// Longer than any operation here; only a hang reaches it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A running capturer, killed if the test fails.
pub struct Capturer {
    child: Child,
    pub folder: PathBuf,
    pub ready: Value,
}

impl Capturer {
    /// Starts it with `--output`, `--variant http`, `--ready-file` and `args`, and waits until it is ready.
    pub fn start(vantage: &str, folder: &Path, args: &[&str]) -> Self {
        Self::launch(vantage, folder, &[&["--variant", "http"], args].concat())
    }

    /// The same without `--variant`.
    pub fn launch(vantage: &str, folder: &Path, args: &[&str]) -> Self {
        let ready_file = folder.join("ready");
        let quiet: &[&str] = if args.contains(&"--quiet-ms") { &[] } else { &["--quiet-ms", "100"] };
        let child = Command::new(env!("CARGO_BIN_EXE_capturer"))
            .args([vantage, "--quiet", "--output"])
            .arg(folder)
            .arg("--ready-file")
            .arg(&ready_file)
            .args(quiet)
            .args(args)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut capturer = Self { child, folder: folder.to_owned(), ready: Value::Null };
        wait_until("the ready file", || {
            assert_eq!(capturer.child.try_wait().unwrap(), None, "the capturer exited before it was ready");
            ready_file.exists()
        });
        capturer.ready = serde_json::from_str(&fs::read_to_string(&ready_file).unwrap()).unwrap();
        capturer
    }

    /// The relay's listening address.
    pub fn address(&self) -> SocketAddr {
        self.ready["local"].as_str().unwrap().parse().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn manifest(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the capturer's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends the capturer by SIGTERM; returns the finished capture, checked against its manifest, and the manifest.
    pub fn finish(mut self) -> (Capture, Value) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(self.wait().success());
        self.finished()
    }

    /// The finished capture of a capturer that has ended, and its manifest.
    pub fn finished(&self) -> (Capture, Value) {
        let manifest = self.manifest("http.manifest.json");
        let bytes = fs::read(self.path("http.pcap")).unwrap();
        let capture = Capture::read(&bytes);
        assert_eq!(capture.rest, 0, "the file ends in the middle of a frame");
        // The kernel's times on two processors may differ by some microseconds; the relay has one clock.
        let in_order = capture.frames.is_sorted_by_key(|frame| frame.at_ns);
        assert!(in_order || manifest["vantage"] == "interface", "the frames are not in order of time");

        let hash = HEXLOWER.encode(digest(&SHA256, &bytes).as_ref());
        let recorded = &manifest["capture"];
        assert_eq!(recorded["file"], "http.pcap");
        assert_eq!(recorded["sha256"], hash);
        assert_eq!(recorded["bytes"], bytes.len());
        assert_eq!(recorded["frames"], capture.frames.len());
        assert_eq!(manifest["schema"], "plainsight.manifest/1");
        assert_eq!(manifest["finished"], true);
        assert_eq!(manifest["decoys"].as_array().unwrap().len(), 8);
        let [start, end] =
            ["started_at_unix_ns", "ended_at_unix_ns"].map(|at| manifest[at].as_u64().unwrap());
        assert!(capture.frames.iter().all(|frame| (start..=end).contains(&frame.at_ns)));
        self.only_files_are(&["http.manifest.json", "http.pcap"]);
        (capture, manifest)
    }

    /// Asserts that the folder holds only these files and the ready file, all with mode 0600.
    pub fn only_files_are(&self, expected: &[&str]) {
        use std::os::unix::fs::PermissionsExt;
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            names.push(entry.file_name().into_string().unwrap());
        }
        names.retain(|name| name != "ready");
        names.sort();
        assert_eq!(names, expected);
    }
}

impl Drop for Capturer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls every millisecond; panics after [`DEADLINE`].
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A capture file, parsed by pcap-parser.
pub struct Capture {
    pub link_type: i32,
    pub snaplen: u32,
    pub frames: Vec<Frame>,
    /// Number of bytes after the last whole frame.
    pub rest: usize,
}

pub struct Frame {
    pub at_ns: u64,
    pub original_len: u32,
    pub bytes: Vec<u8>,
}

impl Capture {
    pub fn read(bytes: &[u8]) -> Self {
        let (mut rest, header) = parse_pcap_header(bytes).unwrap();
        assert!(header.is_nanosecond_precision());
        let mut frames = Vec::new();
        while let Ok((after, frame)) = parse_pcap_frame(rest) {
            rest = after;
            frames.push(Frame {
                at_ns: u64::from(frame.ts_sec) * 1_000_000_000 + u64::from(frame.ts_usec),
                original_len: frame.origlen,
                bytes: frame.data.to_vec(),
            });
        }
        Self { link_type: header.network.0, snaplen: header.snaplen, frames, rest: rest.len() }
    }

    pub fn segments(&self) -> Vec<Segment> {
        self.frames.iter().map(|frame| Segment::read(&frame.bytes)).collect()
    }

    /// The connections, in the order of their first frames.
    pub fn connections(&self) -> Vec<Vec<Segment>> {
        let mut order = Vec::new();
        let mut connections: BTreeMap<[SocketAddr; 2], Vec<Segment>> = BTreeMap::new();
        for segment in self.segments() {
            let mut key = [segment.from, segment.to];
            key.sort();
            if !connections.contains_key(&key) {
                order.push(key);
            }
            connections.entry(key).or_default().push(segment);
        }
        order.iter().map(|key| connections.remove(key).unwrap()).collect()
    }
}

/// A TCP segment, parsed by etherparse.
#[derive(Debug, Clone)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub seq: u32,
    pub ack: u32,
    /// The flags that are set, of S, A, P, F, R in this order.
    pub flags: String,
    pub payload: Vec<u8>,
    /// Whether the IP and TCP checksums are correct.
    pub checksums_true: bool,
}

impl Segment {
    pub fn read(frame: &[u8]) -> Self {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("no TCP in {frame:02x?}") };
        let (from, to, checksums_true) = match packet.net.as_ref().unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                let sum = tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap();
                let whole = header.header_checksum() == header.to_header().calc_header_checksum();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    whole && sum == tcp.checksum(),
                )
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                let sum = tcp.calc_checksum_ipv6(header.source(), header.destination()).unwrap();
                (header.source_addr().into(), header.destination_addr().into(), sum == tcp.checksum())
            }
            other => panic!("{other:?}"),
        };
        let flags =
            [(tcp.syn(), 'S'), (tcp.ack(), 'A'), (tcp.psh(), 'P'), (tcp.fin(), 'F'), (tcp.rst(), 'R')];
        Self {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            seq: tcp.sequence_number(),
            ack: tcp.acknowledgment_number(),
            flags: flags.iter().filter(|(set, _)| *set).map(|&(_, letter)| letter).collect(),
            payload: tcp.payload().to_vec(),
            checksums_true,
        }
    }
}

/// The bytes that `from` sent on a connection, in the order of their sequence numbers: a kernel with several CPUs can record
/// segments in another one. Panics on a gap.
pub fn sent_by(connection: &[Segment], from: SocketAddr) -> Vec<u8> {
    let mine: Vec<_> = connection.iter().filter(|segment| segment.from == from).collect();
    let first = mine[0].seq.wrapping_add(1);
    let offset = |segment: &Segment| segment.seq.wrapping_sub(first) as usize;
    let mut with_payload: Vec<_> = mine.iter().filter(|segment| !segment.payload.is_empty()).collect();
    with_payload.sort_by_key(|segment| offset(segment));
    let mut bytes = Vec::new();
    for segment in with_payload {
        let offset = offset(segment);
        assert!(offset <= bytes.len(), "a gap before {offset}");
        bytes.truncate(offset);
        bytes.extend(&segment.payload);
    }
    bytes
}

/// Bytes in which neighbours differ.
pub fn pattern(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Whether the error is that of a reset connection.
pub fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
