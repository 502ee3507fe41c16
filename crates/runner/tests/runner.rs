//! The runner as a box starts it: a document on stdin, one on stdout, attempts on stderr.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

fn run(stdin: &[u8]) -> Output {
    run_with(&[], stdin)
}

fn run_with(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

fn ask(prompt: &str) -> (String, Vec<Value>) {
    let document = json!({ "schema": "plainsight.prompt/1", "conversation": [], "prompt": prompt });
    let output = run(document.to_string().as_bytes());
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["schema"], "plainsight.answer/1");
    let lines = String::from_utf8(output.stderr).unwrap();
    let attempts = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (answer["text"].as_str().unwrap().to_owned(), attempts)
}

#[test]
fn counts_the_users_messages() {
    let document = json!({
        "schema": "plainsight.prompt/1",
        "omitted_turns": 0,
        "conversation": [{ "role": "user", "text": "one" }, { "role": "assistant", "text": "…" }],
        "prompt": "two",
    });
    let output = run(document.to_string().as_bytes());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["text"], "This is your message number 2, of 1 word: two");
}

/// The canary of an attempt arrives at the target, and is reported on stderr only.
#[test]
fn attempts_succeed_where_there_is_a_network() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let (text, attempts) = ask(&format!(
        "attempt tcp {tcp_at}\nattempt udp {udp_at}\nattempt dns {udp_at}\nattempt file /proc/version"
    ));
    let canary = |index: usize| attempts[index]["canary"].as_str().unwrap().to_owned();
    assert!(attempts.iter().all(|attempt| attempt["succeeded"] == true), "{attempts:?}");

    let mut arrived = String::new();
    std::io::Read::read_to_string(&mut tcp.accept().unwrap().0, &mut arrived).unwrap();
    assert_eq!(arrived.trim(), canary(0));
    let mut datagram = [0; 512];
    let read = udp.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..read], canary(1).as_bytes());
    let read = udp.recv(&mut datagram).unwrap();
    // Header, the length of the first label, the label (RFC 1035 §4.1).
    assert_eq!((datagram[12], &datagram[13..45]), (32, canary(2).as_bytes()), "{read} bytes");
    assert_eq!(attempts[3]["canary"], Value::Null);
    assert!(attempts[3]["data"].as_str().unwrap().contains("Linux"));
    for index in 0..3 {
        assert!(!text.contains(&canary(index)), "{text}");
    }
    assert!(!text.contains("Linux"), "the answer holds the file's content: {text}");
}

#[test]
fn reports_a_failed_attempt() {
    let closed: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (text, attempts) = ask(&format!("attempt tcp {closed}\nattempt file /no/such/file"));
    assert!(attempts.iter().all(|attempt| attempt["succeeded"] == false), "{attempts:?}");
    assert!(text.contains("refused") && text.contains("No such file"), "{text}");
}

#[test]
fn two_runners_without_isolation_reach_each_other() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, two) = (free(), free());
    let other = std::thread::spawn(move || ask(&format!("listen {one}\nattempt neighbour {two}")));
    let (_, mine) = ask(&format!("listen {two}\nattempt neighbour {one}"));
    let (_, theirs) = other.join().unwrap();
    assert_eq!((&mine[0]["succeeded"], &theirs[0]["succeeded"]), (&json!(true), &json!(true)));
}

#[test]
#[cfg(target_os = "linux")]
fn two_runners_without_isolation_hear_each_other_without_a_network() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "a byte to read").unwrap();
    let file = file.path().display();
    let attempts = |place: &str| {
        format!(
            "attempt lock {file}\nattempt notify {place} {file}\nattempt counter {place} /proc/self/status\n\
             attempt timing {place} cpu"
        )
    };
    let (mine, theirs) = std::thread::scope(|scope| {
        let other = scope.spawn(|| ask(&attempts("1/2")).1);
        (ask(&attempts("0/2")).1, other.join().unwrap())
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (one, other) in mine.iter().zip(&theirs).flat_map(|(one, other)| [(one, other), (other, one)]) {
        assert_eq!(one["succeeded"], true, "{one}");
        let (data, canary) = (text(&one["data"]), text(&other["canary"]));
        let mut words = data.split(' ');
        if one["kind"] == "timing" {
            // How many of them are right is what the attempt measures.
            println!("heard {data} of {canary}");
            assert!(words.all(|word| word.len() == 4), "{one}");
        } else {
            let is_beginning = |word: &str| word.len() >= 8 && canary.starts_with(word);
            assert!(words.any(is_beginning), "{one}, {other}");
        }
    }
    assert_eq!((mine.len(), theirs.len()), (4, 4));
    // Alone, a runner hears nothing.
    let (text, alone) = ask(&attempts("0/2"));
    assert!(alone[..3].iter().all(|report| report["succeeded"] == false), "{text}");
}

#[test]
fn rejects_an_invalid_prompt() {
    for stdin in [&b""[..], b"no JSON", b"{}", br#"{"schema":"plainsight.prompt/9","prompt":"x"}"#] {
        let output = run(stdin);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("plainsight.prompt/1"), "{output:?}");
    }
}

fn prompt(text: &str) -> Vec<u8> {
    let document = json!({ "schema": "plainsight.prompt/1", "conversation": [], "prompt": text });
    document.to_string().into_bytes()
}

/// The pieces and the document of an answer with `--stream`.
fn pieces_and_answer(output: &Output) -> (Vec<String>, Value) {
    assert!(output.status.success(), "{output:?}");
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let mut lines: Vec<Value> =
        text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = lines.pop().unwrap();
    let piece = |line: Value| {
        assert_eq!(line.as_object().unwrap().len(), 1, "{line}");
        line["delta"].as_str().unwrap().to_owned()
    };
    (lines.into_iter().map(piece).collect(), answer)
}

#[test]
fn streams_the_pieces_of_the_same_answer() {
    let call = "transform_text {\"text\":\"straße\",\"operation\":\"uppercase\"}";
    for text in [
        "hello",
        "안녕,  세계\n\"quoted\"\u{2028}\u{0} end",
        call,
        &format!("{call}\nattempt file /no\nand words"),
    ] {
        let whole = run(&prompt(text));
        let (pieces, answer) = pieces_and_answer(&run_with(&["--stream"], &prompt(text)));
        assert_eq!(answer, serde_json::from_slice::<Value>(&whole.stdout).unwrap());
        assert_eq!(pieces.concat(), answer["text"]);
    }
    let (pieces, _) = pieces_and_answer(&run_with(&["--stream"], &prompt("hello there")));
    assert_eq!(pieces[pieces.len() - 2..], ["hello ", "there"]);
}

/// A piece is written before the next one exists: here before the runner has finished to listen.
#[test]
fn writes_a_piece_when_it_is_ready() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
        .arg("--stream")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&prompt(&format!("listen {free}"))).unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, format!("{{\"delta\":\"listen {free}: listening\"}}\n"));
    // It still listens, for three seconds.
    assert!(std::net::TcpStream::connect(free).is_ok());
    assert!(child.wait().unwrap().success());
}

#[test]
fn pieces_leave_room_for_the_answer() {
    for text in ["a ".repeat(32 << 10), "x".repeat(64 << 10), "\u{1}".repeat(20_000)] {
        let whole = run(&prompt(&text));
        let streamed = run_with(&["--stream"], &prompt(&text));
        let (pieces, answer) = pieces_and_answer(&streamed);
        assert!(answer["text"].as_str().unwrap().starts_with(&pieces.concat()));
        let of_pieces = streamed.stdout.len() - whole.stdout.len();
        assert!(of_pieces > 0 && of_pieces <= 64 << 10, "{of_pieces} bytes of pieces");
    }
}

#[test]
fn rejects_an_unknown_argument() {
    for arguments in [&["--streams"][..], &["hello"], &["--stream", "-x"], &[""]] {
        let output = run_with(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("unknown argument")
        );
    }
}
