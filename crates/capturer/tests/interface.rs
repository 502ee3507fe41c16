//! The packet socket end to end. Each test runs itself again in a fresh user and network namespace, where it may capture and
//! where there is no other traffic.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use craft::frame::{Ethernet, Ip, Ipv4, Link, Tcp, Vlan};
use futures_util::TryStreamExt;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

use common::{Capture, Capturer, DEADLINE, pattern, sent_by, wait_until};
use test_support::skip;

const INSIDE: &str = "CAPTURER_TEST_INSIDE";
const HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// Whether this is the run inside the namespace. Outside, starts that run and returns false.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // Where user namespaces are refused, root needs only a network namespace.
    let Some(kind) = ["-Urn", "-n"].into_iter().find(|kind| {
        Command::new("unshare").args([kind, "true"]).output().is_ok_and(|output| output.status.success())
    }) else {
        skip("network namespaces do not work on this machine (`unshare -Urn true` fails)");
        return false;
    };
    let output = Command::new("unshare")
        .arg(kind)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if let Some(reason) = text.lines().find_map(|line| line.strip_prefix("SKIP: ")) {
        skip(reason);
    }
    assert!(output.status.success() && text.contains("1 passed"), "inside the namespace:\n{text}");
    false
}

/// Sends `up` and `down` over loopback on `port`; returns the client's address.
fn talk_over_loopback(port: u16, up: &[u8], down: &[u8]) -> SocketAddr {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    converse(&server, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), up, down)
}

fn converse(server: &TcpListener, address: SocketAddr, up: &[u8], down: &[u8]) -> SocketAddr {
    thread::scope(|scope| {
        scope.spawn(|| answer(server, up, down));
        ask(address, up, down)
    })
}

fn answer(server: &TcpListener, up: &[u8], down: &[u8]) {
    let mut socket = server.accept().unwrap().0;
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut got = vec![0; up.len()];
    socket.read_exact(&mut got).unwrap();
    assert!(got == up);
    socket.write_all(down).unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

fn ask(address: SocketAddr, up: &[u8], down: &[u8]) -> SocketAddr {
    let mut socket = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(up).unwrap();
    let mut got = vec![0; down.len()];
    socket.read_exact(&mut got).unwrap();
    assert!(got == down);
    socket.local_addr().unwrap()
}

#[test]
fn loopback_is_captured_once_and_other_ports_are_not() {
    if !inside("loopback_is_captured_once_and_other_ports_are_not") {
        return;
    }
    up("lo", None);
    let folder = tempfile::tempdir().unwrap();
    let capturer = Capturer::start("interface", folder.path(), &["--interface", "lo", "--backend", "netns"]);
    assert_eq!(capturer.ready["interface"], "lo");
    capturer.only_files_are(&["http.partial.manifest.json", "http.partial.pcap"]);
    let partial = capturer.manifest("http.partial.manifest.json");
    assert_eq!(partial["finished"], false);
    assert!(partial["capture"]["kernel_drops"].is_null());

    let (sent, received) = (pattern(200_000, 1), pattern(50_000, 2));
    talk_over_loopback(8001, &sent, &received);
    let client = talk_over_loopback(8000, &sent, &received);
    let (capture, manifest) = capturer.finish();

    assert_eq!(manifest["vantage"], "interface");
    assert_eq!(manifest["interface"], "lo");
    assert_eq!(manifest["capture"]["filter"], "tcp port 8000");
    assert_eq!(manifest["capture"]["kernel_drops"], 0);
    assert_eq!(manifest["capture"]["truncated_frames"], 0);
    let connections = capture.connections();
    assert_eq!(connections.len(), 1, "the other port is filtered");
    let connection = &connections[0];
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000));
    assert!(sent_by(connection, client) == sent);
    assert!(sent_by(connection, server) == received);
    assert_eq!(connection[0].flags, "S");
    // A retransmission would have another IP identification.
    let different: BTreeSet<_> = capture.frames.iter().map(|frame| &frame.bytes).collect();
    assert_eq!(
        different.len(),
        capture.frames.len(),
        "each frame is captured once, not as sent and as received"
    );

    // Loopback leaves checksums and segmentation to hardware that it does not have.
    let false_sums = connection.iter().filter(|segment| !segment.checksums_true).count();
    assert!(false_sums > 0);
    let unfinished = manifest["capture"]["unfinished_checksums"].as_u64().unwrap();
    assert!(unfinished >= false_sums as u64, "{unfinished} of {false_sums}");
    assert!(manifest["capture"]["segmentation_offload_frames"].as_u64().unwrap() > 0);
    assert!(capture.frames.iter().any(|frame| frame.bytes.len() > 1514));
}

#[test]
fn captures_every_port_without_a_filter() {
    if !inside("captures_every_port_without_a_filter") {
        return;
    }
    up("lo", None);
    for args in [&["--port", "0"][..], &["--no-filter"]] {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec!["--interface", "lo", "--backend", "netns"];
        all.extend(args);
        let capturer = Capturer::start("interface", folder.path(), &all);
        talk_over_loopback(8001, b"one", b"two");
        talk_over_loopback(8002, b"one", b"two");
        let (capture, manifest) = capturer.finish();
        assert_eq!(capture.connections().len(), 2);
        assert_eq!(manifest["capture"]["filter"], "");
        assert_eq!(manifest["variant"]["port"], 8000);
    }
}

#[test]
fn a_short_snaplen_keeps_the_original_length() {
    if !inside("a_short_snaplen_keeps_the_original_length") {
        return;
    }
    up("lo", None);
    let args = ["--interface", "lo", "--backend", "netns", "--snaplen", "96", "--port", "8100"];
    let folder = tempfile::tempdir().unwrap();
    let capturer = Capturer::start("interface", folder.path(), &args);
    talk_over_loopback(8100, &pattern(1000, 3), b"two");
    let (capture, manifest) = capturer.finish();
    assert_eq!(capture.snaplen, 96);
    assert!(capture.frames.iter().all(|frame| frame.bytes.len() <= 96));
    // Ethernet, IPv4, TCP with timestamps, and what was sent.
    assert!(capture.frames.iter().any(|frame| frame.original_len == 14 + 20 + 32 + 1000));
    let cut = capture.frames.iter().filter(|frame| frame.bytes.len() < frame.original_len as usize).count();
    assert!(cut >= 1);
    assert_eq!(manifest["capture"]["truncated_frames"], cut);
    assert_eq!(manifest["variant"]["port"], 8100);
}

#[test]
fn a_killed_capturer_leaves_a_readable_partial_pair() {
    if !inside("a_killed_capturer_leaves_a_readable_partial_pair") {
        return;
    }
    up("lo", None);
    let folder = tempfile::tempdir().unwrap();
    let mut capturer =
        Capturer::start("interface", folder.path(), &["--interface", "lo", "--backend", "netns"]);
    let sent = pattern(30_000, 4);
    let client = talk_over_loopback(8000, &sent, b"two");
    let read = |capturer: &Capturer| Capture::read(&fs::read(capturer.path("http.partial.pcap")).unwrap());
    // An idle capturer has written all frames.
    wait_until("the frames", || {
        read(&capturer)
            .connections()
            .first()
            .is_some_and(|c| c.iter().filter(|s| s.flags.contains('F')).count() == 2)
    });
    capturer.signal(Signal::SIGKILL);
    assert!(!capturer.wait().success());
    capturer.only_files_are(&["http.partial.manifest.json", "http.partial.pcap"]);
    assert_eq!(capturer.manifest("http.partial.manifest.json")["finished"], false);
    assert!(sent_by(&read(&capturer).connections()[0], client) == sent);
}

#[test]
fn a_stopped_capturer_counts_what_the_kernel_dropped() {
    if !inside("a_stopped_capturer_counts_what_the_kernel_dropped") {
        return;
    }
    up("lo", None);
    let folder = tempfile::tempdir().unwrap();
    let capturer = Capturer::start("interface", folder.path(), &["--interface", "lo", "--backend", "netns"]);
    capturer.signal(Signal::SIGSTOP);
    // More than the ring holds, while no program reads it.
    let sent = pattern(40 << 20, 5);
    talk_over_loopback(8000, &sent, b"two");
    capturer.signal(Signal::SIGCONT);
    let (capture, manifest) = capturer.finish();
    assert!(manifest["capture"]["kernel_drops"].as_u64().unwrap() > 0);
    let payload: usize = capture.segments().iter().map(|segment| segment.payload.len()).sum();
    assert!(payload < sent.len());
    assert!(payload > 8 << 20, "the capture holds the content of the ring: {payload}");
}

#[test]
fn traffic_of_no_experiment_has_no_manifest() {
    if !inside("traffic_of_no_experiment_has_no_manifest") {
        return;
    }
    up("lo", None);
    let folder = tempfile::tempdir().unwrap();
    let launch = || Capturer::launch("interface", folder.path(), &["--interface", "lo"]);
    let mut capturer = launch();
    let client = talk_over_loopback(4711, b"one", b"two");
    capturer.signal(Signal::SIGTERM);
    assert!(capturer.wait().success());
    capturer.only_files_are(&["capture.pcap"]);
    let capture = Capture::read(&fs::read(capturer.path("capture.pcap")).unwrap());
    assert!(sent_by(&capture.connections()[0], client) == b"one");

    // A pcap file has no field for dropped frames: such a capture is never taken as a whole one.
    ["capture.pcap", "ready"].iter().for_each(|name| fs::remove_file(capturer.path(name)).unwrap());
    let mut capturer = launch();
    capturer.signal(Signal::SIGSTOP);
    talk_over_loopback(4711, &pattern(40 << 20, 5), b"two");
    capturer.signal(Signal::SIGCONT);
    capturer.signal(Signal::SIGTERM);
    assert!(!capturer.wait().success());
    capturer.only_files_are(&["capture.partial.pcap"]);

    // Nor is an old manifest left beside a capture that it does not describe.
    fs::write(capturer.path("capture.manifest.json"), "{}").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_capturer"))
        .args(["interface", "--interface", "lo", "--output"])
        .arg(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("describes another capture"), "{stderr}");
}

#[test]
fn the_capture_ends_in_order_when_the_interface_goes_down() {
    if !inside("the_capture_ends_in_order_when_the_interface_goes_down") {
        return;
    }
    up("lo", None);
    for vanish in [false, true] {
        let there = Namespace::new();
        veth_pair(&there);
        let folder = tempfile::tempdir().unwrap();
        let args = ["--interface", "veth-here", "--backend", "netns", "--quiet-ms", "60000"];
        let mut capturer = Capturer::start("interface", folder.path(), &args);
        let server = TcpListener::bind((HERE, 8000)).unwrap();
        there.run(move || ask((HERE, 8000).into(), b"one", b"two"), || answer(&server, b"one", b"two"));
        assert!(capturer.is_running());
        netlink(async |handle| {
            let index = index_of(&handle, "veth-here").await;
            if vanish {
                handle.link().del(index).execute().await.unwrap();
            } else {
                handle.link().set(LinkUnspec::new_with_index(index).down().build()).execute().await.unwrap();
            }
        });
        assert!(capturer.wait().success(), "the capture ends without a signal and without an error");
        let (capture, _) = capturer.finished();
        assert_eq!(capture.connections().len(), 1);
        if !vanish {
            netlink(async |handle| {
                let index = index_of(&handle, "veth-here").await;
                handle.link().del(index).execute().await.unwrap();
            });
        }
    }
}

#[test]
fn a_veth_pair_is_captured_both_ways() {
    if !inside("a_veth_pair_is_captured_both_ways") {
        return;
    }
    up("lo", None);
    let there = Namespace::new();
    veth_pair(&there);
    let folder = tempfile::tempdir().unwrap();
    let args = ["--interface", "veth-here", "--backend", "netns"];
    let capturer = Capturer::start("interface", folder.path(), &args);
    let server = TcpListener::bind((HERE, 8000)).unwrap();
    let (sent, received) = (pattern(100_000, 6), pattern(30_000, 7));
    let asked = (sent.clone(), received.clone());
    let client =
        there.run(move || ask((HERE, 8000).into(), &asked.0, &asked.1), || answer(&server, &sent, &received));
    let (capture, manifest) = capturer.finish();
    assert_eq!(manifest["capture"]["kernel_drops"], 0);
    assert_eq!(client.ip(), IpAddr::V4(THERE));
    let connections = capture.connections();
    assert_eq!(connections.len(), 1);
    assert!(sent_by(&connections[0], client) == sent, "received frames");
    assert!(sent_by(&connections[0], (HERE, 8000).into()) == received, "sent frames");
}

/// The kernel removes the outer tag of a received frame but not of a sent one; the capture holds the tag in both.
#[test]
fn restores_vlan_tags() {
    if !inside("restores_vlan_tags") {
        return;
    }
    up("lo", None);
    let there = Namespace::new();
    veth_pair(&there);
    let folder = tempfile::tempdir().unwrap();
    let args = ["--interface", "veth-here", "--backend", "netns", "--snaplen", "100"];
    let capturer = Capturer::start("interface", folder.path(), &args);

    let tags = [vec![], vec![Vlan::tag(7)], vec![Vlan::service(9), Vlan::tag(7)]];
    let frames: Vec<_> = tags
        .iter()
        .flat_map(|tags| [frame(tags, 8000, 6), frame(tags, 8001, 6), frame(tags, 8000, 60)])
        .collect();
    let wanted: Vec<_> = tags.iter().flat_map(|tags| [frame(tags, 8000, 6), frame(tags, 8000, 60)]).collect();
    let injected = frames.clone();
    there.run(move || inject("veth-there", &injected), || {});
    inject("veth-here", &frames);

    let (capture, manifest) = capturer.finish();
    let twice = [wanted.clone(), wanted].concat();
    assert_eq!(capture.frames.len(), twice.len());
    for (frame, wanted) in capture.frames.iter().zip(&twice) {
        assert_eq!(frame.original_len as usize, wanted.len());
        assert_eq!(frame.bytes, wanted[..wanted.len().min(100)]);
    }
    let cut = twice.iter().filter(|frame| frame.len() > 100).count();
    assert_eq!(manifest["capture"]["truncated_frames"], cut);
}

/// A TCP segment from port 40000 to `port` behind VLAN `tags`.
fn frame(tags: &[Vlan], port: u16, payload: usize) -> Vec<u8> {
    let link = Link::Ethernet(Ethernet { vlan: tags.to_vec(), ..Ethernet::default() });
    let tcp = Tcp { source_port: 40_000, destination_port: port, ..Tcp::default() };
    let mut bytes = Vec::new();
    craft::frame::tcp(&mut bytes, &link, &Ip::V4(Ipv4::between(THERE, HERE)), &tcp, &pattern(payload, 8));
    bytes
}

/// Sends raw frames.
fn inject(interface: &str, frames: &[Vec<u8>]) {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).unwrap();
    let address = getifaddrs()
        .unwrap()
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .unwrap();
    bind(socket.as_raw_fd(), &address).unwrap();
    for frame in frames {
        assert_eq!(send(socket.as_raw_fd(), frame, MsgFlags::empty()), Ok(frame.len()));
    }
}

#[test]
fn rejects_an_unusable_interface_by_name() {
    if !inside("rejects_an_unusable_interface_by_name") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (interface, reason) in [("lo", "is down"), ("none-such", "No such device"), ("any", "No such device")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_capturer"))
            .args([
                "interface",
                "--variant",
                "http",
                "--backend",
                "netns",
                "--interface",
                interface,
                "--output",
            ])
            .arg(folder.path().join("out"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("interface {interface}")) && stderr.contains(reason), "{stderr}");
    }
    assert!(!folder.path().join("out").exists(), "no folder is created for an unusable interface");
}

/// Another network namespace, which exists as long as its thread.
struct Namespace {
    jobs: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<thread::JoinHandle<()>>,
    file: File,
}

impl Namespace {
    fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (opened, file) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            opened.send(File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
            for job in queue {
                job();
            }
        });
        Self { jobs: Some(jobs), thread: Some(thread), file: file.recv().unwrap() }
    }

    /// Runs `there` inside and `here` outside at the same time; returns the result of `there`.
    fn run<T: Send + 'static>(&self, there: impl FnOnce() -> T + Send + 'static, here: impl FnOnce()) -> T {
        let (done, result) = mpsc::channel();
        self.jobs.as_ref().unwrap().send(Box::new(move || done.send(there()).unwrap())).unwrap();
        here();
        result.recv().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().unwrap().join();
    }
}

/// `veth-here` with address [`HERE`] in this namespace, its other end with [`THERE`] in `there`.
fn veth_pair(there: &Namespace) {
    let other = LinkUnspec::new_with_name("veth-there").setns_by_fd(there.file.as_raw_fd()).build();
    let pair =
        LinkVeth::new("veth-here", "veth-there").set_info_data(InfoData::Veth(InfoVeth::Peer(other))).build();
    netlink(async |handle| handle.link().add(pair).execute().await.unwrap());
    there.run(|| up("veth-there", Some(THERE)), || up("veth-here", Some(HERE)));
}

/// Brings an interface up, with an address if there is one.
fn up(interface: &str, address: Option<Ipv4Addr>) {
    netlink(async |handle| {
        let index = index_of(&handle, interface).await;
        if let Some(address) = address {
            handle.address().add(index, address.into(), 24).execute().await.unwrap();
        }
        handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
    });
}

async fn index_of(handle: &Handle, interface: &str) -> u32 {
    let mut links = handle.link().get().match_name(interface).execute();
    links.try_next().await.unwrap().unwrap().header.index
}

/// Runs `requests` on a netlink socket in the namespace of the calling thread.
fn netlink(requests: impl AsyncFnOnce(Handle)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        let connection = tokio::spawn(connection);
        requests(handle).await;
        connection.abort();
    });
}
