//! Hundreds of connections that are hardly used lock no client out, and the log stays short.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{AgentB, post, read_response};
use test_support::crowd::Crowd;

/// More than twice as many as agent-b has places for.
const SOCKETS: usize = 600;

const REQUESTS: usize = 100;

const CALL: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

#[test]
fn a_client_among_hundreds_of_slow_ones_gets_its_answers() {
    let agent = AgentB::start(&["-q"]);
    let crowd = Crowd::start(
        agent.address,
        SOCKETS,
        &[
            "",
            "POST /tool HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            "POST /tool HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        ],
    );
    let mut slowest = Duration::ZERO;
    let answered = (0..REQUESTS).filter(|_| {
        let began = Instant::now();
        let answered = ask(&agent).is_some();
        slowest = slowest.max(began.elapsed());
        answered
    });
    let answered = answered.count();
    println!(
        "{answered} of {REQUESTS} answered beside {} slow connections, slowest {slowest:?}",
        crowd.opened()
    );
    assert!(answered * 100 >= REQUESTS * 95, "{answered} of {REQUESTS}");
    drop(crowd);
    let log = agent.log();
    let lines = log.lines().count();
    assert!((1..50).contains(&lines), "{lines} lines: {log}");
}

fn ask(agent: &AgentB) -> Option<()> {
    let mut stream = TcpStream::connect(agent.address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(&post(CALL.as_bytes(), "application/json")).ok()?;
    (read_response(&mut stream)?.0 == 200).then_some(())
}
