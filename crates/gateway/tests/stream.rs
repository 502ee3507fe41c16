//! Streamed answers over real sockets with real sandboxes.
//!
//! The scripted agent writes each piece only after the test wrote into a file, so that a piece that has arrived was sent while
//! the sandbox ran.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use common::{EventStream, Gateway, Response, Workdir, post, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

fn path(id: &str) -> String {
    format!("/api/conversation/{id}")
}

/// A folder that sandboxes can read, with files by which the test lets the agent go on. They exist from the start: what the
/// host creates later in a folder need not appear in a sandbox.
struct Steps(TempDir);

impl Steps {
    fn new() -> Self {
        // A sandbox has a /tmp of its own.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // Sandboxes run under another user number.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let steps = Self(folder);
        steps.forbid_all();
        steps
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn message(&self, end: &str) -> String {
        format!("steps {} {end}", self.path())
    }

    fn allow(&self, number: u32) {
        fs::write(self.0.path().join(number.to_string()), "go on").unwrap();
    }

    fn forbid_all(&self) {
        for number in 1..=2 {
            fs::write(self.0.path().join(number.to_string()), "").unwrap();
        }
    }
}

/// A gateway whose sandboxes see the folder of the steps.
fn gateway(workdir: &Workdir, steps: &Steps, flags: &[&str]) -> Option<Gateway> {
    workdir.gateway(&[&["--read-only", steps.path()], flags].concat())
}

/// The last event, which must be an error of the documented form.
#[track_caller]
fn assert_error((name, data): (String, Value), code: &str) -> String {
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!(code)), "{data}");
    assert_eq!(data["error"].as_object().unwrap().keys().collect::<Vec<_>>(), ["code", "message"]);
    data["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn sends_text_while_the_sandbox_writes_it() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(gateway) = gateway(&workdir, &steps, &[]) else { return };
    let mut answer = gateway.stream("alice", &steps.message("text"));
    assert_eq!(
        (answer.header("cache-control"), answer.header("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
    let id = answer.started();
    assert_eq!(answer.delta(), "one ");
    // Nothing is stored before the end.
    gateway.get("alice", &path(&id)).assert_error(404, "no_such_conversation");
    steps.allow(1);
    assert_eq!(answer.delta(), "둘 ");
    steps.allow(2);
    // The final line end is not part of the answer.
    assert_eq!(answer.delta(), "three");
    assert_eq!(answer.expect("done"), json!({"conversationId": id, "text": "one 둘 three"}));
    assert_eq!(answer.next(), None);

    // The next message, without a stream, finds the turn in its conversation.
    let (_, history) = gateway.say_in("alice", &id, "history").answer();
    let history: Value = serde_json::from_str(&history).unwrap();
    assert_eq!(history[1], json!({"role": "assistant", "text": "one 둘 three"}));
    // A stream in that conversation has its id too.
    let body = json!({"message": "hello", "conversationId": id});
    let mut next = EventStream::open(gateway.ask_for_stream("alice", &body));
    assert_eq!(next.started(), id);
    let (text, (name, data)) = next.rest();
    assert_eq!(
        (text.as_str(), name.as_str(), &data["text"]),
        ("4 before; you said: hello", "done", &json!(text))
    );
}

#[test]
fn done_follows_the_stored_turn() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(mut gateway) = gateway(&workdir, &steps, &[]) else { return };
    steps.allow(1);
    steps.allow(2);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let mut answer = gateway.stream("alice", &steps.message("text"));
        let id = answer.started();
        let mut last = answer.next().unwrap();
        while last.0 == "delta" {
            last = answer.next().unwrap();
        }
        assert_eq!(last.0, "done", "{last:?}");
        let read = gateway.get("alice", &path(&id)).json();
        assert_eq!(read["messages"][1]["text"], "one 둘 three");
        ids.push(id);
    }
    // Also after a crash.
    gateway.signal(Signal::SIGKILL);
    gateway.wait();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    for id in ids {
        assert_eq!(gateway.get("alice", &path(&id)).json()["turns"], 1);
    }
}

#[test]
fn sends_pieces_of_json_lines() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let pointers = ["--delta-pointer", "/delta", "--answer-pointer", "/text", "--failure-pointer", "/failed"];
    let Some(gateway) = gateway(&workdir, &steps, &pointers) else { return };
    let mut answer = gateway.stream("alice", &steps.message("lines"));
    let id = answer.started();
    assert_eq!(answer.delta(), "one ");
    steps.allow(1);
    assert_eq!(answer.delta(), "둘 ");
    steps.allow(2);
    assert_eq!(answer.delta(), "three\n");
    assert_eq!(answer.expect("done"), json!({"conversationId": id, "text": "one 둘 three\n"}));
    assert_eq!(answer.next(), None);
    // Without a stream, the answer is in the last line too.
    assert_eq!(gateway.say("alice", &steps.message("lines")).answer().1, "one 둘 three\n");
    // Output that is not JSON has no pieces and no answer.
    let mut answer = gateway.stream("alice", "no JSON");
    answer.started();
    let (text, end) = answer.rest();
    assert_eq!(text, "");
    assert!(assert_error(end, "box_failed").contains("not JSON"));
}

#[test]
fn a_document_comes_whole_at_the_end() {
    let workdir = Workdir::new();
    let flags = ["--prompt-format", "text", "--answer-pointer", "/result", "--failure-pointer", "/is_error"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let mut answer = gateway.stream("alice", "agent smith");
    let id = answer.started();
    assert_eq!(answer.expect("done"), json!({"conversationId": id, "text": "smith"}));
    assert_eq!(answer.next(), None);
    let mut failed = gateway.stream("alice", "agent fail");
    failed.started();
    assert_error(failed.rest().1, "box_failed");
}

#[test]
fn refusals_before_the_sandbox_are_ordinary_errors() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(gateway) = gateway(&workdir, &steps, &["--boxes", "1", "--queue", "0"]) else { return };
    let refused = |user: &str, body: Value| {
        Response::read(&mut gateway.ask_for_stream(user, &body)).expect("an answer")
    };
    refused("alice", json!({"message": ""})).assert_error(400, "empty_message");
    refused("a b", json!({"message": "hello"})).assert_error(400, "invalid_user_id");
    let unknown = uuid::Uuid::new_v4();
    refused("alice", json!({"message": "hello", "conversationId": unknown}))
        .assert_error(404, "no_such_conversation");

    let mut running = gateway.stream("alice", &steps.message("text"));
    running.started();
    let busy = refused("bob", json!({"message": "hello"}));
    busy.assert_error(429, "too_many_requests");
    assert!(busy.header("retry-after").is_some());
    steps.allow(1);
    steps.allow(2);
    assert_eq!(running.rest().1.0, "done");
}

#[test]
fn a_failure_after_pieces_is_an_event() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let flags = ["--box-output", "16", "--box-seconds", "30"];
    let Some(gateway) = gateway(&workdir, &steps, &flags) else { return };
    for (end, words) in [("exit", "status 3"), ("noise", "not UTF-8"), ("flood", "16384 bytes of output")] {
        steps.forbid_all();
        let mut answer = gateway.stream("alice", &steps.message(end));
        let id = answer.started();
        assert_eq!(answer.delta(), "one ");
        steps.allow(1);
        steps.allow(2);
        let (text, last) = answer.rest();
        assert!(text.starts_with("둘 three"), "{text:?}");
        assert!(text.len() <= 16 << 10, "{} bytes", text.len());
        let message = assert_error(last, "box_failed");
        assert!(message.contains(words), "{message}");
        gateway.get("alice", &path(&id)).assert_error(404, "no_such_conversation");
    }
    gateway.assert_no_box_left();
    gateway.wait_for_load(0, 0);
}

#[test]
fn time_limit_and_store_failures_have_their_codes() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(gateway) = gateway(&workdir, &steps, &["--box-seconds", "3"]) else { return };
    let mut late = gateway.stream("alice", &steps.message("text"));
    late.started();
    let (text, last) = late.rest();
    assert_eq!(text, "one ");
    assert_error(last, "box_timed_out");

    let (id, _) = gateway.say("alice", "hello").answer();
    let body = json!({"message": steps.message("text"), "conversationId": id});
    let mut deleted = EventStream::open(gateway.ask_for_stream("alice", &body));
    deleted.started();
    assert_eq!(gateway.delete("alice", &path(&id)).status, 204);
    steps.allow(1);
    steps.allow(2);
    assert_error(deleted.rest().1, "no_such_conversation");

    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    file.execute_batch("DROP TABLE turn").unwrap();
    let mut failed = gateway.stream("alice", "hello");
    failed.started();
    let (text, last) = failed.rest();
    assert_eq!(text, "0 before; you said: hello");
    assert!(!assert_error(last, "internal_error").contains("turn"));
}

#[test]
fn disconnecting_ends_the_sandbox_and_stores_nothing() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(gateway) = gateway(&workdir, &steps, &["--boxes", "1"]) else { return };
    let mut answer = gateway.stream("alice", &steps.message("text"));
    let id = answer.started();
    assert_eq!(answer.delta(), "one ");
    assert_eq!(gateway.box_commands().len(), 1);
    drop(answer);
    gateway.assert_no_box_left();
    gateway.wait_for_load(0, 0);
    wait_until(|| gateway.log().contains("abandoned").then_some(()));
    gateway.get("alice", &path(&id)).assert_error(404, "no_such_conversation");
    // In the queue, a disconnect gives the place back.
    let mut running = gateway.stream("alice", &steps.message("text"));
    running.started();
    let waiting = gateway.ask_for_stream("bob", &json!({"message": "hello"}));
    gateway.wait_for_load(1, 1);
    drop(waiting);
    gateway.wait_for_load(1, 0);
    steps.allow(1);
    steps.allow(2);
    assert_eq!(running.rest().1.0, "done");
}

#[test]
fn a_reader_that_waits_does_not_hold_the_sandbox_up() {
    let workdir = Workdir::new();
    // Every byte of the answer takes six in JSON, so that the events have 8 MB: more than the sockets of a client that does
    // not read take.
    let flags = ["--box-output", "768", "--boxes", "1"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let stream = gateway.ask_for_stream("alice", &json!({"message": "controls 700000"}));
    // The turn is stored while the client has not read a byte.
    let listed = wait_until(|| {
        let page = gateway.get("alice", "/api/conversations").json();
        page["conversations"].as_array().filter(|all| !all.is_empty()).cloned()
    });
    gateway.wait_for_load(0, 0);
    let mut answer = EventStream::open(stream);
    assert_eq!(json!(answer.started()), listed[0]["conversationId"]);
    let (text, (name, data)) = answer.rest();
    assert_eq!(name, "done");
    assert_eq!(text.len(), 700_000);
    assert!(data["text"] == text);
}

#[test]
fn sigterm_lets_a_stream_finish() {
    let workdir = Workdir::new();
    let steps = Steps::new();
    let Some(mut gateway) = gateway(&workdir, &steps, &[]) else { return };
    let mut answer = gateway.stream("alice", &steps.message("text"));
    answer.started();
    assert_eq!(answer.delta(), "one ");
    gateway.signal(Signal::SIGTERM);
    wait_until(|| gateway.log().contains("stopping").then_some(()));
    steps.allow(1);
    assert_eq!(answer.delta(), "둘 ");
    steps.allow(2);
    assert_eq!(answer.rest().1.0, "done");
    assert!(gateway.wait().success());
}

#[test]
fn a_connection_serves_streams_and_whole_answers() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let stream = gateway.ask_for_stream("alice", &json!({"message": "hello"}));
    let mut more = stream.try_clone().unwrap();
    let mut answer = EventStream::open(stream);
    answer.started();
    assert_eq!(answer.rest().0, "0 before; you said: hello");
    more.write_all(&post("alice", b"{\"message\":\"again\"}")).unwrap();
    let whole = Response::read(&mut more).unwrap();
    assert_eq!(whole.answer().1, "0 before; you said: again");
    // Other values of Accept change nothing.
    for accept in ["*/*", "application/json", "text/event-stream;q=0"] {
        let request = String::from_utf8(post("alice", b"{\"message\":\"again\"}")).unwrap();
        let request = request.replacen("Host:", &format!("Accept: {accept}\r\nHost:"), 1);
        more.write_all(request.as_bytes()).unwrap();
        let other = Response::read(&mut more).unwrap();
        let names =
            |answer: &Response| answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!((other.answer().1, names(&other)), (whole.answer().1, names(&whole)), "{accept}");
    }
}
