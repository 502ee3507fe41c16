//! What operators and users expect beside answers: measurements, an audit log, limits of a user, retention, export, keys of
//! requests, cancellation, and readers that cost little however slow they are.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use common::{Gateway, Response, Workdir, post, request, wait_until, with_header};
use serde_json::{Value, json};

fn ndjson(body: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(body).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Puts `turns` turns with answers of `bytes` bytes into the conversation, behind the gateway's back.
fn lengthen(workdir: &Workdir, id: &str, turns: u32, bytes: usize) {
    let id = uuid::Uuid::parse_str(id).unwrap();
    let mut file = rusqlite::Connection::open(workdir.store()).unwrap();
    let transaction = file.transaction().unwrap();
    for number in 2..=turns {
        let answer = "\u{1}".repeat(bytes);
        let values = rusqlite::params![id.as_bytes(), number, format!("question {number}"), answer];
        transaction.execute("INSERT OR REPLACE INTO turn VALUES (?1, ?2, ?3, ?4, 0, 1)", values).unwrap();
    }
    let all = i64::from(turns) * i64::try_from(bytes).unwrap();
    let values = rusqlite::params![id.as_bytes(), turns, all];
    transaction.execute("UPDATE conversation SET turns = ?2, bytes = ?3 WHERE id = ?1", values).unwrap();
    transaction.commit().unwrap();
}

fn resident_kib(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_long_conversation_arrives_whole_and_by_pages() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let id = gateway.say("alice", "hello").answer().0;
    let path = format!("/api/conversation/{id}");
    let short = gateway.get("alice", &path);
    assert!(short.header("content-length").is_some());
    lengthen(&workdir, &id, 150, 20_000);
    let long = gateway.get("alice", &path);
    assert_eq!(long.header("transfer-encoding"), Some("chunked"));
    let whole = long.json();
    assert_eq!(whole["turns"], 150);
    assert!(whole.get("nextCursor").is_none());
    let messages = whole["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 300);
    assert_eq!(messages[0]["text"], "hello");
    assert_eq!(messages[298]["text"], "question 150");
    assert_eq!(messages[299]["text"], "\u{1}".repeat(20_000));
    let keys: Vec<_> = whole.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, short.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>());

    let mut paged = Vec::new();
    let mut query = "?limit=40".to_owned();
    for size in [80, 80, 80, 60] {
        let page = gateway.get("alice", &format!("{path}{query}")).json();
        let part = page["messages"].as_array().unwrap();
        assert_eq!((part.len(), &page["turns"]), (size, &json!(150)));
        paged.extend(part.clone());
        query = format!("?limit=40&cursor={}", page["nextCursor"].as_str().unwrap_or("none"));
    }
    assert_eq!(query, "?limit=40&cursor=none");
    assert_eq!(&paged, messages);
    for wrong in ["?limit=0", "?limit=101", "?cursor=x", "?page=1"] {
        gateway.get("alice", &format!("{path}{wrong}")).assert_error(400, "invalid_query");
    }
    gateway.stop();
}

#[test]
fn readers_that_do_not_read_cost_little() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let id = gateway.say("alice", "hello").answer().0;
    // As JSON 24 MB: each control character takes six bytes.
    lengthen(&workdir, &id, 200, 20_000);
    let path = format!("/api/conversation/{id}");
    // The allocator's own pools are filled once.
    assert_eq!(gateway.get("alice", &path).status, 200);
    let before = resident_kib(&gateway);
    let slow: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = gateway.connect();
            stream.write_all(&request("GET", &path, "alice")).unwrap();
            let mut beginning = [0; 1000];
            stream.read_exact(&mut beginning).unwrap();
            assert!(beginning.starts_with(b"HTTP/1.1 200 "));
            stream
        })
        .collect();
    // Until no reader gets further: the buffers are full.
    let mut last = 0;
    wait_until(|| {
        std::thread::sleep(Duration::from_millis(300));
        let now = resident_kib(&gateway);
        (std::mem::replace(&mut last, now).abs_diff(now) < 256).then_some(())
    });
    let grown = last.saturating_sub(before);
    println!("40 readers of 24 MB that do not read: {} KiB each", grown / 40);
    assert!(grown < 40 * 1024, "{grown} KiB for 40 readers");
    drop(slow);
    gateway.stop();
}

#[test]
fn health_readiness_and_measurements_say_what_works() {
    let workdir = Workdir::new();
    let audit = workdir.path().join("audit.jsonl");
    let flags = ["--audit-log", audit.to_str().unwrap()];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let ready = gateway.get("x", "/readyz");
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"status": "ready", "store": "ok", "sandbox": "ok"}))
    );
    let (id, _) = gateway.say("alice", "hello").answer();
    gateway.say("alice", "exit 3").assert_error(502, "box_failed");
    gateway.say("alice", "").assert_error(400, "empty_message");
    let measured = gateway.get("x", "/metrics");
    assert!(measured.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(measured.body).unwrap();
    for line in [
        "gateway_requests_total{method=\"POST\",route=\"/api/conversation\",status=\"200\"} 1",
        "gateway_requests_total{method=\"POST\",route=\"/api/conversation\",status=\"502\"} 1",
        "gateway_refusals_total{code=\"empty_message\"} 1",
        "gateway_boxes_total{outcome=\"success\"} 1",
        "gateway_boxes_total{outcome=\"error\"} 1",
        "gateway_box_run_seconds_count 2",
        "gateway_box_start_seconds_count 2",
        "gateway_queue_waiting 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("alice"), "measurements name no user");

    let lines = ndjson(&fs::read(&audit).unwrap());
    assert_eq!(lines.len(), 2, "the probe of /readyz is no user's");
    let first = &lines[0];
    assert_eq!((&first["schema"], &first["user"]), (&json!("plainsight.audit/1"), &json!("alice")));
    assert_eq!((&first["conversation"], &first["outcome"]), (&json!(id), &json!("code 0")));
    assert!(first["bytes_out"].as_u64().unwrap() > 0);
    assert!(first["limits"].as_array().unwrap().iter().any(|limit| limit["name"] == "seccomp"));
    assert_eq!(lines[1]["outcome"], "code 3");
    assert!(!fs::read_to_string(&audit).unwrap().contains("you said"));
    let logged = gateway.log_lines().iter().filter(|line| line["message"] == "audit").count();
    assert_eq!(logged, 2);

    // A store that cannot be written: alive, but not ready.
    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    file.execute_batch("DROP TABLE probe").unwrap();
    let broken = wait_until(|| Some(gateway.get("x", "/readyz")).filter(|answer| answer.status == 503));
    assert_eq!(broken.json(), json!({"status": "not ready", "store": "failed", "sandbox": "ok"}));
    assert_eq!(gateway.get("x", "/healthz").status, 200);
    gateway.stop();
}

#[test]
fn a_full_disk_is_not_ready_until_it_has_room() {
    let workdir = Workdir::new();
    let small = workdir.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(command) = common::gateway_with_small_disk(&small, "24m") else { return };
    let started = Gateway::launch_by(command, workdir.path(), |command, mark| {
        command.args(["--backend", "namespace", "--prompt-format", "json"]).arg("--store");
        command.arg(small.join("store.sqlite")).args([
            "--runner",
            &*common::SCRIPTED_AGENT,
            "--runner-arg",
            mark,
        ]);
    });
    let Some(gateway) = started else { return };
    // As the gateway sees it.
    let disk = Path::new("/proc")
        .join(gateway.pid().to_string())
        .join("root")
        .join(small.strip_prefix("/").unwrap());
    let fill = || {
        let mut filler = fs::File::create(disk.join("filler")).unwrap();
        let full = std::iter::repeat_with(|| filler.write_all(&[7; 4096])).find_map(Result::err).unwrap();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    };
    let ready_with = |status: u16| {
        wait_until(|| Some(gateway.get("x", "/readyz")).filter(|answer| answer.status == status)).json()
    };
    let ready = json!({"status": "ready", "store": "ok", "sandbox": "ok"});
    let id = gateway.say("alice", "hello").answer().0;
    for turns in [1, 101] {
        assert_eq!(ready_with(200), ready);
        fill();
        assert_eq!(ready_with(503), json!({"status": "not ready", "store": "failed", "sandbox": "ok"}));
        assert_eq!(gateway.get("x", "/healthz").status, 200);
        assert!(gateway.log().contains("not ready: the store cannot"), "{}", gateway.log());
        let kept = gateway.get("alice", &format!("/api/conversation/{id}")).json();
        assert_eq!(kept["turns"], turns, "what is stored can be read");
        fs::remove_file(disk.join("filler")).unwrap();
        assert_eq!(ready_with(200), ready);
        // Then the log of the store has been written to its end and begun anew: it has room of its own.
        if turns == 1 {
            for _ in 0..100 {
                assert_eq!(gateway.say_in("alice", &id, &"a".repeat(20_000)).status, 200);
            }
        }
    }
    assert_eq!(gateway.say_in("alice", &id, "again").status, 200);
    gateway.stop();
}

#[test]
fn a_sandbox_that_does_not_start_is_not_ready() {
    let workdir = Workdir::new();
    let program = workdir.path().join("agent");
    fs::copy(&*common::SCRIPTED_AGENT, &program).unwrap();
    let path = program.to_str().unwrap();
    let Some(gateway) = Gateway::start(workdir.path(), &["--backend", "namespace"], path) else { return };
    fs::remove_file(&program).unwrap();
    let answer = gateway.get("x", "/readyz");
    assert_eq!((answer.status, &answer.json()["sandbox"]), (503, &json!("failed")), "{}", gateway.log());
}

#[test]
fn a_user_has_a_rate_and_a_quota_and_learns_what_to_do() {
    let workdir = Workdir::new();
    let flags = ["--rate", "2", "--rate-burst", "12", "--quota", "1"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let id = gateway.say("alice", "hello").answer().0;
    lengthen(&workdir, &id, 3, 400_000);
    let full = gateway.say("alice", "more");
    full.assert_error(429, "quota_exceeded");
    assert_eq!(full.header("retry-after"), Some("3600"));
    assert!(full.json()["error"]["message"].as_str().unwrap().contains("DELETE /api/conversation/"));
    gateway.say_in("alice", &id, "more").assert_error(429, "quota_exceeded");
    assert_eq!(gateway.say("bob", "hello").status, 200);
    assert_eq!(gateway.delete("alice", &format!("/api/conversation/{id}")).status, 204);
    assert_eq!(gateway.say("alice", "more").status, 200);

    let limited =
        wait_until(|| Some(gateway.get("alice", "/api/conversations")).filter(|answer| answer.status != 200));
    limited.assert_error(429, "rate_limited");
    assert!((1..=60).contains(&limited.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(gateway.get("bob", "/api/conversations").status, 200);
    wait_until(|| (gateway.get("alice", "/api/conversations").status == 200).then_some(()));
    gateway.stop();
}

#[test]
fn a_request_with_a_key_is_answered_once() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let body = |message: &str| json!({"message": message}).to_string();
    let keyed = |user: &str, key: &str, message: &str| {
        gateway
            .exchange(&with_header(&post(user, body(message).as_bytes()), &format!("Idempotency-Key: {key}")))
    };
    let first = keyed("alice", "\"k-1\"", "hello");
    let (id, text) = first.answer();
    assert_eq!(keyed("alice", "\"k-1\"", "hello").answer(), (id.clone(), text.clone()));
    assert_eq!(keyed("alice", "k-1", "hello").body, first.body, "quoted or not");
    keyed("alice", "k-1", "bye").assert_error(422, "idempotency_key_reused");
    assert_ne!(keyed("bob", "k-1", "hello").answer().0, id, "each user has keys of their own");
    for wrong in ["", "a b", "\u{e9}", &"x".repeat(256)] {
        keyed("alice", wrong, "hello").assert_error(400, "invalid_idempotency_key");
    }
    // A request that failed has no answer to repeat.
    keyed("alice", "k-2", "exit 1").assert_error(502, "box_failed");
    keyed("alice", "k-2", "exit 1").assert_error(502, "box_failed");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| keyed("alice", "k-3", "sleep 2000"));
        gateway.wait_for_load(1, 0);
        keyed("alice", "k-3", "sleep 2000").assert_error(409, "request_in_progress");
        assert_eq!(slow.join().unwrap().status, 200);
    });
    let conversations = gateway.get("alice", "/api/conversations").json()["conversations"].clone();
    assert_eq!(conversations.as_array().unwrap().len(), 2);
    // The stream of a repetition.
    let mut stream = gateway.connect();
    let request = with_header(&post("alice", body("hello").as_bytes()), "Idempotency-Key: k-1");
    stream.write_all(&with_header(&request, "Accept: text/event-stream")).unwrap();
    let mut events = common::EventStream::open(stream);
    assert_eq!(events.started(), id);
    assert_eq!(events.expect("done")["text"], text);
    // Also after the gateway was killed.
    drop(gateway);
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let again =
        gateway.exchange(&with_header(&post("alice", body("hello").as_bytes()), "Idempotency-Key: k-1"));
    assert_eq!(again.answer(), (id, text));
    gateway.stop();
}

#[test]
fn cancelled_requests_end_and_free_their_places() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--boxes", "1", "--box-seconds", "50"]) else { return };
    let id = gateway.say("alice", "hello").answer().0;
    let cancel =
        |user: &str| gateway.exchange(&request("POST", &format!("/api/conversation/{id}/cancel"), user));
    cancel("alice").assert_error(404, "nothing_to_cancel");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| gateway.say_in("alice", &id, "sleep 40000"));
        gateway.wait_for_load(1, 0);
        let waiting = scope.spawn(|| gateway.say_in("alice", &id, "hello"));
        gateway.wait_for_load(1, 1);
        cancel("bob").assert_error(404, "nothing_to_cancel");
        assert_eq!(cancel("alice").json(), json!({"cancelled": 2}));
        running.join().unwrap().assert_error(409, "cancelled");
        waiting.join().unwrap().assert_error(409, "cancelled");
    });
    gateway.wait_for_load(0, 0);
    gateway.assert_no_box_left();
    let mut events = gateway.stream("alice", "sleep 40000");
    let streamed = events.started();
    gateway.wait_for_load(1, 0);
    let cancelled =
        gateway.exchange(&request("POST", &format!("/api/conversation/{streamed}/cancel"), "alice"));
    assert_eq!(cancelled.status, 200);
    assert_eq!(events.expect("error")["error"]["code"], "cancelled");
    assert_eq!(gateway.say_in("alice", &id, "hello").status, 200);
    assert_eq!(gateway.get("alice", &format!("/api/conversation/{id}")).json()["turns"], 2);
    gateway.stop();
}

#[test]
fn a_hang_up_behind_a_pipelined_byte_ends_the_sandbox() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--boxes", "1", "--box-seconds", "50"]) else { return };
    for streamed in [false, true] {
        let mut request = post("alice", json!({"message": "sleep 40000"}).to_string().as_bytes());
        if streamed {
            request = with_header(&request, "Accept: text/event-stream");
        }
        request.push(b'G');
        let mut stream = gateway.connect();
        stream.write_all(&request).unwrap();
        gateway.wait_for_load(1, 0);
        drop(stream);
        gateway.wait_for_load(0, 0);
        gateway.assert_no_box_left();
    }
    gateway.stop();
}

#[test]
fn a_user_can_take_everything_along_and_leave() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    assert_eq!(gateway.get("alice", "/api/user/data").body, b"");
    let first = gateway.say("alice", "hello").answer().0;
    gateway.say_in("alice", &first, "again");
    let second = gateway.say("alice", "\u{1}\"안녕\"").answer().0;
    gateway.say("bob", "mine");
    lengthen(&workdir, &first, 40, 10_000);
    let export = gateway.get("alice", "/api/user/data");
    assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
    let lines = ndjson(&export.body);
    assert_eq!(lines.len(), 2 + 80);
    assert_eq!((&lines[0]["conversationId"], &lines[0]["text"]), (&json!(second), &json!("\u{1}\"안녕\"")));
    assert_eq!((&lines[2]["conversationId"], &lines[2]["role"]), (&json!(first), &json!("user")));
    assert_eq!(lines[81]["text"].as_str().unwrap().len(), 10_000);
    assert_eq!(gateway.delete("alice", "/api/user/data").status, 204);
    assert_eq!(gateway.get("alice", "/api/user/data").body, b"");
    assert_eq!(gateway.get("alice", "/api/conversations").json()["conversations"], json!([]));
    assert_eq!(ndjson(&gateway.get("bob", "/api/user/data").body).len(), 2);
    gateway.stop();
}

#[test]
fn conversations_that_are_not_used_are_deleted_after_their_days() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let ids: Vec<_> = (0..40).map(|_| gateway.say("alice", "old").answer().0).collect();
    let kept = gateway.say("alice", "new").answer().0;
    gateway.stop();
    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    let days_in_ns = 31_i64 * 24 * 3600 * 1_000_000_000;
    for id in &ids {
        let id = uuid::Uuid::parse_str(id).unwrap();
        let values = rusqlite::params![id.as_bytes(), days_in_ns];
        let aged = "UPDATE conversation SET updated_at_unix_ns = updated_at_unix_ns - ?2 WHERE id = ?1";
        file.execute(aged, values).unwrap();
    }
    drop(file);
    let Some(gateway) = workdir.gateway(&["--keep-days", "30"]) else { return };
    let left = wait_until(|| {
        let left = gateway.get("alice", "/api/conversations?limit=100").json()["conversations"].clone();
        (left.as_array().unwrap().len() == 1).then_some(left)
    });
    assert_eq!(left[0]["conversationId"], json!(kept));
    gateway.stop();
}

#[test]
fn refusals_do_not_fill_the_log() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--rate", "0"]) else { return };
    let mut stream = gateway.connect();
    for _ in 0..3000 {
        stream.write_all(&request("GET", "/nothing", "alice")).unwrap();
        Response::read(&mut stream).unwrap().assert_error(404, "not_found");
    }
    let refused = gateway.log_lines().iter().filter(|line| line["message"] == "refused").count();
    println!("3000 refusals, {refused} lines");
    assert!((100..2500).contains(&refused), "{refused}");
    gateway.stop();
}
