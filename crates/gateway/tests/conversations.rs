//! Conversations over real sockets with real sandboxes: access, storage, and every refusal.

mod common;

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use common::{Gateway, Response, Workdir, post, request, wait_until};
use serde_json::{Value, json};

fn path(id: &str) -> String {
    format!("/api/conversation/{id}")
}

#[test]
fn creates_continues_reads_and_deletes_a_conversation() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, text) = gateway.say("alice", "hello, 세계 $(id) `id` \" ' \\ \n;").answer();
    assert_eq!(text, "0 before; you said: hello, 세계 $(id) `id` \" ' \\ \n;");
    let uuid = uuid::Uuid::parse_str(&id).unwrap();
    assert_eq!((uuid.get_version_num(), uuid.to_string()), (4, id.clone()));

    let (same, history) = gateway.say_in("alice", &id.to_uppercase(), "history").answer();
    assert_eq!(same, id);
    let history: Value = serde_json::from_str(&history).unwrap();
    let said = [("user", "hello, 세계 $(id) `id` \" ' \\ \n;"), ("assistant", text.as_str())];
    assert_eq!(history, json!(said.map(|(role, text)| json!({"role": role, "text": text}))));

    let read = gateway.get("alice", &path(&id));
    assert_eq!(read.status, 200);
    assert_eq!(
        (read.header("cache-control"), read.header("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
    let read = read.json();
    let roles: Vec<_> = read["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!(read["messages"][2]["text"], "history");
    assert_eq!(read["turns"], 2);
    let times: Vec<_> =
        read["messages"].as_array().unwrap().iter().map(|message| message["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    let deleted = gateway.delete("alice", &path(&id));
    assert_eq!((deleted.status, deleted.body.as_slice()), (204, &b""[..]));
    gateway.delete("alice", &path(&id)).assert_error(404, "no_such_conversation");
    gateway.get("alice", &path(&id)).assert_error(404, "no_such_conversation");
    gateway.say_in("alice", &id, "hello").assert_error(404, "no_such_conversation");
    assert_eq!(
        gateway.get("alice", "/api/conversations").json(),
        json!({"conversations": [], "nextCursor": null})
    );
}

#[test]
fn hides_other_users_conversations() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, _) = gateway.say("alice", "a secret").answer();
    // Also users whose ids are similar.
    for user in ["bob", "Alice", "alice.", "alice@example.org"] {
        gateway.get(user, &path(&id)).assert_error(404, "no_such_conversation");
        gateway.delete(user, &path(&id)).assert_error(404, "no_such_conversation");
        gateway.say_in(user, &id, "history").assert_error(404, "no_such_conversation");
        assert_eq!(gateway.get(user, "/api/conversations").json()["conversations"], json!([]));
    }
    // The answer is the same as for a conversation that does not exist.
    let foreign = gateway.get("bob", &path(&id));
    let unknown = gateway.get("bob", &path(&uuid::Uuid::new_v4().to_string()));
    assert_eq!(foreign.body, unknown.body);
    assert_eq!(gateway.get("alice", &path(&id)).json()["turns"], 1);
}

#[test]
fn rejects_a_missing_repeated_or_malformed_user() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    let of = |line: &str, path: &str, headers: &str| {
        let body = if line == "POST" { "{\"message\":\"hello\"}" } else { "" };
        let length = body.len();
        let request = format!(
            "{line} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        gateway.exchange(request.as_bytes())
    };
    for (method, path) in [
        ("POST", "/api/conversation".to_owned()),
        ("GET", path(&id)),
        ("DELETE", path(&id)),
        ("GET", "/api/conversations".into()),
    ] {
        of(method, &path, "").assert_error(401, "missing_user_id");
        for headers in [
            "X-User-Id:\r\n",
            "X-User-Id: a b\r\n",
            "X-User-Id: ../bob\r\n",
            "X-User-Id: a,b\r\n",
            "X-User-Id: caf\u{e9}\r\n",
            "X-User-Id: alice\r\nX-User-Id: alice\r\n",
            "X-User-Id: alice\r\nx-user-id: bob\r\n",
        ] {
            of(method, &path, headers).assert_error(400, "invalid_user_id");
        }
        let long = format!("X-User-Id: {}\r\n", "x".repeat(321));
        of(method, &path, &long).assert_error(400, "invalid_user_id");
    }
    assert_eq!(of("GET", &path(&id), "x-uSER-iD:  alice \r\n").status, 200);
    let long = format!("X-User-Id: {}\r\n", "x".repeat(320));
    assert_eq!(of("POST", "/api/conversation", &long).status, 200);
}

#[test]
fn bad_requests_get_json_errors() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--read-timeout", "1"]) else { return };
    let largest = "x".repeat(64 * 1024);
    for (body, status, code) in [
        (String::new(), 400, "invalid_json"),
        ("{".into(), 400, "invalid_json"),
        ("hello".into(), 400, "invalid_json"),
        ("{\"message\":\"a\"}}".into(), 400, "invalid_json"),
        ("{\"message\":\"\\ud800\"}".into(), 400, "invalid_json"),
        ("[".repeat(9999), 400, "invalid_message"),
        ("[]".into(), 400, "invalid_message"),
        ("[\"hi\",null]".into(), 400, "invalid_message"),
        ("{}".into(), 400, "invalid_message"),
        ("{\"message\":1}".into(), 400, "invalid_message"),
        ("{\"message\":null}".into(), 400, "invalid_message"),
        ("{\"message\":\"a\",\"message\":\"b\"}".into(), 400, "invalid_message"),
        ("{\"message\":\"a\",\"conversationID\":null}".into(), 400, "invalid_message"),
        ("{\"message\":\"a\",\"conversationId\":7}".into(), 400, "invalid_message"),
        ("{\"message\":\"a\",\"conversationId\":\"\"}".into(), 400, "invalid_conversation_id"),
        ("{\"message\":\"a\",\"conversationId\":\"../etc\"}".into(), 400, "invalid_conversation_id"),
        (
            json!({"message": "a", "conversationId": uuid::Uuid::new_v4()}).to_string(),
            404,
            "no_such_conversation",
        ),
        ("{\"message\":\"\"}".into(), 400, "empty_message"),
        ("{\"message\":\" \\n\\t\u{3000}\"}".into(), 400, "empty_message"),
        (json!({"message": largest.clone() + "x"}).to_string(), 413, "message_too_large"),
        (json!({"message": "x".repeat(500_000)}).to_string(), 413, "body_too_large"),
    ] {
        let answer = gateway.exchange(&post("alice", body.as_bytes()));
        println!("{}", &body[..body.len().min(80)]);
        answer.assert_error(status, code);
    }
    // The error quotes the body, and must not contain its control characters.
    let quoted = gateway.exchange(&post("alice", b"{\"message\":\"a\",\"\\u001b[2J\":1}"));
    assert!(!quoted.json()["error"]["message"].as_str().unwrap().chars().any(char::is_control));

    let with_type = |content_type: &str| {
        let request = String::from_utf8(post("alice", b"{\"message\":\"a\"}")).unwrap();
        gateway.exchange(request.replace("Content-Type: application/json\r\n", content_type).as_bytes())
    };
    for wrong in
        ["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonx\r\n", "Content-Type:\r\n"]
    {
        with_type(wrong).assert_error(415, "unsupported_media_type");
    }
    assert_eq!(with_type("Content-Type: Application/JSON; charset=utf-8\r\n").status, 200);

    for (request, status, code) in [
        (request("GET", "/", "alice"), 404, "not_found"),
        (request("GET", "/api/conversation/", "alice"), 404, "not_found"),
        (request("GET", "/api/conversation/a/b", "alice"), 404, "not_found"),
        (request("PUT", "/api/conversation", "alice"), 405, "method_not_allowed"),
        (request("POST", "/healthz", "alice"), 405, "method_not_allowed"),
        (request("OPTIONS", "/api/conversation", "alice"), 405, "method_not_allowed"),
        (request("GET", "/api/conversation/x", "alice"), 400, "invalid_conversation_id"),
        (request("DELETE", "/api/conversation/%ff", "alice"), 400, "invalid_conversation_id"),
        (request("GET", "/api/conversations?limit=0", "alice"), 400, "invalid_query"),
        (request("GET", "/api/conversations?limit=101", "alice"), 400, "invalid_query"),
        (request("GET", "/api/conversations?limit=-1", "alice"), 400, "invalid_query"),
        (request("GET", "/api/conversations?limit=1&limit=2", "alice"), 400, "invalid_query"),
        (request("GET", "/api/conversations?cursor=abc", "alice"), 400, "invalid_query"),
        (request("GET", "/api/conversations?user=bob", "alice"), 400, "invalid_query"),
    ] {
        let answer = gateway.exchange(&request);
        answer.assert_error(status, code);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{answer:?}");
    }

    // A body that does not arrive in time causes an error, and the connection ends.
    let mut slow = gateway.connect();
    slow.write_all(&post("alice", b"{\"message\":\"a\"}")[..130]).unwrap();
    let late = Response::read(&mut slow).unwrap();
    late.assert_error(408, "request_timeout");
    assert_eq!(late.header("connection"), Some("close"));

    // The longest message is accepted, even if each of its bytes is escaped.
    assert_eq!(gateway.say("alice", &largest).status, 200);
    assert_eq!(gateway.say("alice", &"\u{1}".repeat(64 * 1024)).status, 200);
    assert!(!gateway.log().contains("panicked"));
}

#[test]
fn distinguishes_failures_of_boxes_and_stores_nothing() {
    let workdir = Workdir::new();
    let flags = ["--box-seconds", "2", "--box-memory", "64", "--box-scratch", "1", "--box-output", "16"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    for (message, status, code, words) in [
        ("exit 3", 502, "box_failed", "status 3"),
        ("abort", 502, "box_failed", "signal 6"),
        ("flood", 502, "box_failed", "16384 bytes of output"),
        ("noise", 502, "box_failed", "not UTF-8"),
        ("memory", 502, "box_failed", "memory"),
        ("sleep 60000", 504, "box_timed_out", "2 s"),
    ] {
        for answer in [gateway.say("alice", message), gateway.say_in("alice", &id, message)] {
            answer.assert_error(status, code);
            let said = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(said.contains(words), "{message}: {said}");
        }
    }
    gateway.assert_no_box_left();
    // A question without an answer is not stored, and begins no conversation.
    assert_eq!(gateway.get("alice", &path(&id)).json()["turns"], 1);
    assert_eq!(
        gateway.get("alice", "/api/conversations").json()["conversations"].as_array().unwrap().len(),
        1
    );
    assert_eq!(gateway.say_in("alice", &id, "again").answer().1, "2 before; you said: again");
}

#[test]
fn extracts_the_answer_from_an_agents_json() {
    let workdir = Workdir::new();
    let flags = ["--prompt-format", "text", "--answer-pointer", "/result", "--failure-pointer", "/is_error"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let (id, text) = gateway.say("alice", "agent smith\n\"quoted\"").answer();
    assert_eq!(text, "smith\n\"quoted\"");
    gateway.say("alice", "agent fail").assert_error(502, "box_failed");
    gateway.say("alice", "no JSON").assert_error(502, "box_failed");
    // In the text form, the prompt begins with the earlier turns.
    let failed = gateway.say_in("alice", &id, "agent smith");
    failed.assert_error(502, "box_failed");
    let log = gateway.log();
    assert!(log.contains(r"you said: User:\\nagent smith\\n"), "{log}");
    assert!(log.contains(r"\\n\\nAssistant:\\nsmith\\n"), "{log}");
}

#[test]
fn pages_list_all_conversations_once() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let mut ids: Vec<_> =
        (0..7).map(|number| gateway.say("alice", &format!("{number}")).answer().0).collect();
    gateway.say("bob", "mine").answer();
    ids.reverse();
    let page = |query: &str| gateway.get("alice", &format!("/api/conversations{query}")).json();
    let of = |page: &Value| -> Vec<String> {
        let list = page["conversations"].as_array().unwrap();
        list.iter().map(|entry| entry["conversationId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(&page("")), ids);
    assert_eq!(of(&page("?limit=7")), ids);
    assert!(page("?limit=7")["nextCursor"].is_null());
    let first = page("?limit=3");
    assert_eq!(of(&first), ids[..3]);
    // New conversations, further turns and deletions do not affect the following pages.
    gateway.say("alice", "later").answer();
    gateway.say_in("alice", &ids[6], "on").answer();
    gateway.delete("alice", &path(&ids[2]));
    gateway.delete("alice", &path(&ids[4]));
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = page(&format!("?limit=2&cursor={cursor}"));
    assert_eq!(of(&second), [ids[3].as_str(), ids[5].as_str()]);
    let cursor = second["nextCursor"].as_str().unwrap();
    let last = page(&format!("?limit=2&cursor={cursor}"));
    assert_eq!((of(&last), &last["nextCursor"]), (vec![ids[6].clone()], &Value::Null));
    assert_eq!(last["conversations"][0]["turns"], 2);
    // Another user's cursor is only a place in time, and reveals nothing about that user.
    let foreign = gateway.get("bob", &format!("/api/conversations?cursor={cursor}")).json();
    assert_eq!(foreign["conversations"], json!([]));
}

#[test]
fn conversation_runs_one_request_at_a_time() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--boxes", "8"]) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    let counts: Vec<_> = std::thread::scope(|scope| {
        let one = |number| {
            let text = gateway.say_in("alice", &id, &format!("number {number}")).answer().1;
            text.split(' ').next().unwrap().parse::<u32>().unwrap()
        };
        let threads: Vec<_> = (0..10).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // Each saw all answers before it: no two ran at the same time.
    let counts: HashSet<_> = counts.into_iter().collect();
    assert_eq!(counts, (1..=10).map(|turns| 2 * turns).collect());
    assert_eq!(gateway.get("alice", &path(&id)).json()["turns"], 11);
}

#[test]
fn conversation_deleted_during_a_request_stays_deleted() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| gateway.say_in("alice", &id, "sleep 500"));
        gateway.wait_for_load(1, 0);
        assert_eq!(gateway.delete("alice", &path(&id)).status, 204);
        answered.join().unwrap().assert_error(404, "no_such_conversation");
    });
    gateway.get("alice", &path(&id)).assert_error(404, "no_such_conversation");
}

#[test]
fn log_lines_name_the_conversation_and_escape_untrusted_text() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--box-seconds", "1"]) else { return };
    let (id, _) =
        gateway.say("alice", "terminal \u{1b}[2J\u{202e}\r\n{\"conversation\":\"forged\"}").answer();
    gateway.say_in("alice", &id, "exit 1").assert_error(502, "box_failed");
    let id = id.as_str();
    let lines = wait_until(|| {
        let lines = gateway.log_lines();
        lines.iter().any(|line| line["message"] == "refused").then_some(lines)
    });
    let of_it: Vec<_> = lines.iter().filter(|line| line["span"]["conversation"] == id).collect();
    let messages: Vec<_> = of_it.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        [
            "request",
            "start",
            "raw answer",
            "audit",
            "done",
            "request",
            "start",
            "raw answer",
            "audit",
            "refused"
        ]
    );
    assert!(of_it.iter().all(|line| line["span"]["user"] == "alice"));
    assert_eq!(of_it[0]["said"], "terminal \\u{1b}[2J\\u{202e}\\r\\n{\"conversation\":\"forged\"}");
    assert_eq!(of_it[2]["stdout"], "\\u{1b}[2J\\u{202e}answer\\r\\n{\"conversation\":\"forged\"}");
    assert_eq!((&of_it[9]["status"], &of_it[9]["code"]), (&json!(502), &json!("box_failed")));
    // Lines without a conversation concern the program only.
    let others: Vec<_> = lines.iter().filter(|line| line["span"].is_null()).collect();
    let of_the_program = ["sandboxes", "listening", "no cgroup limits the memory of a sandbox"];
    for line in others {
        let message = line["message"].as_str().unwrap();
        assert!(of_the_program.iter().any(|words| message.starts_with(words)), "{line}");
    }
    let log = gateway.log();
    assert!(!log.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{log:?}");
    drop(gateway);

    // The form for people escapes it too.
    let Some(gateway) = workdir.gateway(&["--log-format", "human"]) else { return };
    let (id, _) = gateway.say("alice", "terminal \u{1b}[2J\u{202e}\r\nforged").answer();
    let log = wait_until(|| Some(gateway.log()).filter(|log| log.contains("done")));
    assert!(!log.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{log:?}");
    assert_eq!(log.lines().filter(|line| line.contains(&id)).count(), 5, "{log}");
}

#[test]
fn rejects_a_turn_in_a_full_conversation() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    // Written directly to the store, because 200 requests would take long and prove no more.
    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    file.busy_timeout(Duration::from_secs(5)).unwrap();
    file.execute("UPDATE conversation SET turns = 200", []).unwrap();
    gateway.say_in("alice", &id, "more").assert_error(409, "conversation_full");
    file.execute("UPDATE conversation SET turns = 1, bytes = 4194304", []).unwrap();
    gateway.say_in("alice", &id, "more").assert_error(409, "conversation_full");
    file.execute("UPDATE conversation SET bytes = 4194303", []).unwrap();
    assert_eq!(gateway.say_in("alice", &id, "more").status, 200);
}

#[test]
fn failing_store_gives_an_error_instead_of_an_answer() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, _) = gateway.say("alice", "hello").answer();
    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    file.execute_batch("DROP TABLE turn").unwrap();
    gateway.say("alice", "hello").assert_error(500, "internal_error");
    let failed = gateway.get("alice", &path(&id));
    failed.assert_error(500, "internal_error");
    assert!(!failed.json()["error"]["message"].as_str().unwrap().contains("turn"), "the inside stays inside");
    assert!(wait_until(|| Some(gateway.log()).filter(|log| log.contains("no such table"))).contains(&id));
}

#[test]
fn keeps_connections_alive() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let mut stream = gateway.connect();
    for number in 0..3 {
        stream.write_all(&post("alice", format!("{{\"message\":\"{number}\"}}").as_bytes())).unwrap();
        let (_, text) = Response::read(&mut stream).unwrap().answer();
        assert_eq!(text, format!("0 before; you said: {number}"));
        stream.write_all(&request("GET", "/nothing", "alice")).unwrap();
        Response::read(&mut stream).unwrap().assert_error(404, "not_found");
    }
    let _: &Gateway = &gateway;
}
