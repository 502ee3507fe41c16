//! Hundreds of connections that are hardly used lock no client out, and the log stays short.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Gateway, Response, Workdir, post};
use serde_json::json;
use test_support::crowd::Crowd;

/// More than the gateway has places for.
const SOCKETS: usize = 750;

const REQUESTS: usize = 40;

#[test]
fn a_user_among_hundreds_of_slow_clients_gets_the_answers() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["-q"]) else { return };
    let crowd = Crowd::start(
        gateway.address,
        SOCKETS,
        &[
            "",
            "POST /api/conversation HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            "POST /api/conversation HTTP/1.1\r\nHost: localhost\r\nX-User-Id: mallory\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ],
    );
    let mut slowest = Duration::ZERO;
    let answered = (0..REQUESTS).filter(|number| {
        let began = Instant::now();
        let status = ask(&gateway, &format!("hello {number}"));
        slowest = slowest.max(began.elapsed());
        status == Some(200)
    });
    let answered = answered.count();
    println!(
        "{answered} of {REQUESTS} answered beside {} slow connections, slowest {slowest:?}",
        crowd.opened()
    );
    assert!(answered * 100 >= REQUESTS * 95, "{answered} of {REQUESTS}");
    drop(crowd);
    let log = gateway.log();
    let lines = log.lines().count();
    assert!((1..50).contains(&lines), "{lines} lines: {log}");
    gateway.stop();
}

fn ask(gateway: &Gateway, message: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(gateway.address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(&post("alice", json!({"message": message}).to_string().as_bytes())).ok()?;
    Some(Response::read(&mut stream)?.status)
}
