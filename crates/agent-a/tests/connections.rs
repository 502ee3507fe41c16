//! The number of connections of a session and how they end, counted by a server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use agent_a::endpoint::Endpoint;
use agent_a::session::{Connections, Session};
use agent_core::hex128::Hex128;
use agent_core::journal::Journal;
use agent_core::tls;

/// A closed connection: its number of requests, and whether the client closed it with a FIN (not a reset).
type End = (usize, bool);

/// Answers every request with 200 and reports every connection when it ends.
fn counting_server() -> (SocketAddr, Receiver<End>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (report, ends) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (report, stream) = (report.clone(), stream.unwrap());
            std::thread::spawn(move || report.send(answer(stream)));
        }
    });
    (address, ends)
}

fn answer(mut stream: TcpStream) -> End {
    stream.set_nodelay(true).unwrap();
    let (mut requests, mut pending, mut buffer) = (0, Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (requests, true),
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
            Err(_) => return (requests, false),
        }
        // All bodies of these tests are `{}`, and only a body follows an empty line.
        while let Some(end) = pending.windows(6).position(|window| window == b"\r\n\r\n{}") {
            pending.drain(..end + 6);
            requests += 1;
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
                )
                .unwrap();
        }
    }
}

fn sequence(address: SocketAddr, connections: Connections, requests: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let endpoint = Endpoint::new(&format!("http://{address}/tool"), &[]).unwrap();
    let journal = Arc::new(Journal::disabled(Hex128::fresh().unwrap(), "agent-a"));
    let tls = tls::client_config_without_trust().unwrap();
    runtime.block_on(async {
        let session = Session::new(&endpoint, &tls, connections, &journal).unwrap();
        for _ in 0..requests {
            assert_eq!(session.post("{}".into()).await.unwrap().status, 200);
        }
        let opened = session.connections_opened();
        session.close().await;
        opened
    })
}

// Regression: on a multi-thread runtime 4 or 5 of 100 runs of five sequential requests opened a second connection.
#[test]
fn a_hundred_runs_of_five_requests_use_one_connection_each() {
    let (address, ends) = counting_server();
    for run in 0..100 {
        assert_eq!(sequence(address, Connections::KeptAlive, 5), 1, "run {run}");
        assert_eq!(ends.recv_timeout(Duration::from_secs(20)).unwrap(), (5, true), "run {run}");
    }
    assert!(ends.try_recv().is_err(), "a run opened another connection");
}

#[test]
fn fresh_connections_carry_one_request_each_and_end_cleanly() {
    let (address, ends) = counting_server();
    assert_eq!(sequence(address, Connections::Fresh, 5), 5);
    for _ in 0..5 {
        assert_eq!(ends.recv_timeout(Duration::from_secs(20)).unwrap(), (1, true));
    }
}
