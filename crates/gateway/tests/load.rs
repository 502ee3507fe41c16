//! Many requests at once: every answer reaches its user, no user starves, and dropped requests leave nothing behind.

mod common;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use common::{Gateway, Response, Workdir, post, wait_until};
use serde_json::{Value, json};

/// All conversations of a user, by id, page by page.
fn all(gateway: &Gateway, user: &str) -> HashMap<String, Value> {
    let mut found = HashMap::new();
    let mut query = "?limit=100".to_owned();
    loop {
        let page = gateway.get(user, &format!("/api/conversations{query}")).json();
        for entry in page["conversations"].as_array().unwrap() {
            let id = entry["conversationId"].as_str().unwrap().to_owned();
            let whole = gateway.get(user, &format!("/api/conversation/{id}")).json();
            assert!(found.insert(id, whole["messages"].clone()).is_none(), "listed twice");
        }
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("?limit=100&cursor={cursor}"),
            None => return found,
        }
    }
}

fn assert_kept(messages: &Value, said: &str, answered: &str) {
    assert_eq!((&messages[0]["text"], &messages[1]["text"]), (&json!(said), &json!(answered)));
    assert_eq!(messages.as_array().unwrap().len(), 2);
}

#[test]
fn two_users_with_fifty_requests_each_get_their_own_answers() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let answered = Mutex::new(HashMap::new());
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (gateway, answered) = (&gateway, &answered);
            scope.spawn(move || {
                let user = ["alice", "bob"][number % 2];
                let message = format!("{user} says {number} {}", uuid::Uuid::new_v4());
                let (id, text) = gateway.say(user, &message).answer();
                assert_eq!(text, format!("0 before; you said: {message}"));
                let other = answered.lock().unwrap().insert(id, (user, message, text));
                assert!(other.is_none(), "one id for two conversations");
            });
        }
    });
    let answered = answered.into_inner().unwrap();
    assert_eq!(answered.len(), 100);
    for user in ["alice", "bob"] {
        let kept = all(&gateway, user);
        assert_eq!(kept.len(), 50);
        for (id, messages) in kept {
            let (of, said, text) = &answered[&id];
            assert_eq!(*of, user);
            assert_kept(&messages, said, text);
        }
    }
    gateway.assert_no_box_left();
    gateway.wait_for_load(0, 0);
    gateway.stop();
}

#[test]
fn two_hundred_requests_at_once_get_an_answer_or_429() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--queue", "40", "--queue-per-user", "20"]) else { return };
    let answers = Mutex::new(Vec::new());
    // All requests are sent before the first answer is read.
    let requests: Vec<_> = (0..200)
        .map(|number| {
            let user = format!("user-{}", number % 7);
            let mut stream = gateway.connect();
            let body = json!({"message": format!("sleep 20{}", "0".repeat(number % 2))}).to_string();
            stream.write_all(&post(&user, body.as_bytes())).unwrap();
            (user, stream)
        })
        .collect();
    std::thread::scope(|scope| {
        for (user, mut stream) in requests {
            let answers = &answers;
            scope.spawn(move || {
                let answer = Response::read(&mut stream).expect("every request is answered");
                answers.lock().unwrap().push((user, answer));
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), 200);
    let mut answered = 0;
    for (user, answer) in &answers {
        if answer.status == 429 {
            answer.assert_error(429, "too_many_requests");
            let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&after));
        } else {
            let (id, text) = answer.answer();
            assert_eq!(text, "slept");
            assert_eq!(gateway.get(user, &format!("/api/conversation/{id}")).json()["turns"], 1);
            answered += 1;
        }
    }
    assert!((42..200).contains(&answered), "{answered} were answered");
    let kept: usize = (0..7).map(|user| all(&gateway, &format!("user-{user}")).len()).sum();
    assert_eq!(kept, answered, "the store holds the answered requests only");
    gateway.assert_no_box_left();
    // A retry gets an answer.
    assert_eq!(gateway.say("user-0", "hello").status, 200);
    gateway.stop();
}

#[test]
fn user_with_many_requests_does_not_delay_another() {
    let workdir = Workdir::new();
    let flags = ["--boxes", "1", "--queue", "30", "--queue-per-user", "30"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let say = |user: &'static str, message: &'static str| {
            let (gateway, done) = (&gateway, &done);
            scope.spawn(move || {
                let answer = gateway.say(user, message);
                done.lock().unwrap().push((user, answer.status));
            });
        };
        say("greedy", "sleep 300");
        gateway.wait_for_load(1, 0);
        // One user's requests fill the queue. The other user's request still enters, and is answered before them.
        for _ in 0..30 {
            say("greedy", "sleep 20");
        }
        gateway.wait_for_load(1, 30);
        say("modest", "hello");
    });
    let done = done.into_inner().unwrap();
    let of_modest = done.iter().position(|(user, _)| *user == "modest").unwrap();
    assert_eq!(done[of_modest], ("modest", 200));
    let before = done[..of_modest].iter().filter(|(_, status)| *status == 200).count();
    assert!(before <= 3, "{before} of the greedy user came first");
    let refused = done.iter().filter(|(_, status)| *status == 429).count();
    assert_eq!((refused, done.len()), (1, 32), "one gave up its place");
}

#[test]
fn disconnect_frees_the_place_and_the_box() {
    let workdir = Workdir::new();
    let flags = ["--boxes", "1", "--queue", "1", "--queue-per-user", "1", "--box-seconds", "50"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let ask = |message: &str| {
        let mut stream = gateway.connect();
        stream.write_all(&post("alice", json!({"message": message}).to_string().as_bytes())).unwrap();
        stream
    };
    let running = ask("sleep 40000");
    gateway.wait_for_load(1, 0);
    wait_until(|| (!gateway.box_commands().is_empty()).then_some(()));
    let waiting = ask("hello");
    gateway.wait_for_load(1, 1);
    gateway.say("alice", "hello").assert_error(429, "too_many_requests");
    drop(waiting);
    gateway.wait_for_load(1, 0);
    drop(running);
    gateway.wait_for_load(0, 0);
    gateway.assert_no_box_left();
    assert_eq!(gateway.say("alice", "hello").status, 200);
    assert_eq!(all(&gateway, "alice").len(), 1, "an abandoned request is not stored");
    let lines = gateway.log_lines();
    let abandoned = |line: &&Value| line["message"].as_str().unwrap().starts_with("abandoned");
    assert_eq!(lines.iter().filter(abandoned).count(), 2);
    assert!(lines.iter().filter(abandoned).all(|line| line["span"]["conversation"].is_string()));
}

#[test]
fn request_waits_at_most_the_queue_wait() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&["--boxes", "1", "--queue-wait", "0.2"]) else { return };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.say("alice", "sleep 1500"));
        gateway.wait_for_load(1, 0);
        gateway.say("bob", "hello").assert_error(429, "too_many_requests");
        assert_eq!(first.join().unwrap().status, 200);
    });
}
