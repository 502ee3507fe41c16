//! The demo without a browser: what its API gives, whom it refuses, and what it leaves behind.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use data_encoding::HEXLOWER;
use e2e::demo::Demo;
use e2e::lab::wait_until;
use e2e::{has_netns, programs, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The backends that work on this machine.
fn backends() -> Vec<&'static str> {
    match has_netns() {
        Ok(()) => vec!["netns", "relay"],
        Err(reason) => {
            skip(&reason);
            vec!["relay"]
        }
    }
}

/// Sends a message, and returns the exchanges when their frames are complete.
fn say(demo: &Demo, user: &str, scheme: &str, message: &str) -> Vec<Value> {
    let body = json!({"user": user, "scheme": scheme, "message": message, "conversation": null});
    complete(demo, &demo.post("/api/say", &body))
}

fn complete(demo: &Demo, began: &e2e::demo::Answer) -> Vec<Value> {
    assert_eq!(began.status, 202, "{began:?}");
    let began: Value = serde_json::from_slice(&began.body).expect("JSON");
    let ids = began["exchanges"].as_array().expect("a list").clone();
    let of = |id: &Value| demo.json(&format!("/api/exchange/{id}"));
    let is_over =
        |one: &Value| !["waiting", "live"].contains(&one["wire"]["state"].as_str().unwrap_or_default());
    wait_until("the frames are complete", || ids.iter().all(|id| is_over(&of(id))));
    ids.iter().map(of).collect()
}

#[test]
fn over_http_every_string_is_readable_and_over_https_none() {
    for backend in backends() {
        let demo = Demo::start(&["--backend", backend]);
        let message = "the launch code is 7f3a91c04e55, keep it";
        let exchanges = say(&demo, "alice", "both", message);
        let [http, https] = &exchanges[..] else { panic!("{exchanges:?}") };
        for exchange in &exchanges {
            assert_eq!(exchange["state"], "answered", "{backend}: {exchange}");
            assert!(exchange["pair"].is_u64() && exchange["pair"] == http["pair"], "{backend}");
            assert!(exchange["answer"].as_str().is_some_and(|answer| answer.contains(message)), "{exchange}");
            let wire = &exchange["wire"];
            assert_eq!(wire["state"], "complete", "{backend}: {wire}");
            assert_eq!(wire["with_keys"], wire["total"], "{backend}: {wire}");
            let texts: Vec<&Value> =
                wire["strings"].as_array().unwrap().iter().map(|one| &one["text"]).collect();
            assert!(texts.contains(&&json!(message)), "{backend}: {texts:?}");
        }
        assert_eq!(http["wire"]["readable"], http["wire"]["total"], "{backend}");
        assert_eq!(https["wire"]["readable"], 0, "{backend}");
        assert_eq!(https["wire"]["tls"]["server_name"], "agent-b", "{backend}");
        assert_eq!(https["wire"]["tls"]["version"], "TLS 1.3", "{backend}");

        // With the key log, and only with it, the plaintext of a record is part of the explanation.
        let string = &https["wire"]["strings"][0];
        let frame = &string["places"][0]["frame"];
        let explained = |keys| demo.json(&format!("/api/exchange/{}/frame/{frame}?keys={keys}", https["id"]));
        assert!(explained(0).get("plaintexts").is_none());
        let plaintexts = explained(1)["plaintexts"].to_string();
        assert!(plaintexts.contains(&HEXLOWER.encode(message.as_bytes())), "{backend}: {plaintexts}");
        let (status, left) = demo.end();
        assert!(status.success() && left.is_empty(), "{backend}: {status} {left:?}");
    }
}

#[test]
fn the_labs_first_call_reaches_agent_b() {
    let demo = Demo::start(&["--backend", "relay"]);
    let exchanges = complete(&demo, &demo.post("/api/call", &json!({"user": "alice", "scheme": "http"})));
    let [call] = &exchanges[..] else { panic!("{exchanges:?}") };
    assert_eq!((&call["kind"], &call["status"]), (&json!("call"), &json!(200)));
    let strings = call["wire"]["strings"].to_string();
    assert!(strings.contains("call-0001") && strings.contains("analyze_dependency"), "{strings}");
    assert_eq!(call["wire"]["readable"], call["wire"]["total"]);
    assert!(call["wire"]["total"].as_u64() > Some(10), "{call}");
}

#[test]
fn conversations_go_on_and_belong_to_their_user() {
    let demo = Demo::start(&["--backend", "relay"]);
    let first = &say(&demo, "alice", "http", "one")[0];
    let id = first["conversation"].as_str().expect("an id");
    let body = json!({"user": "alice", "scheme": "https", "message": "two", "conversation": id});
    let second = &complete(&demo, &demo.post("/api/say", &body))[0];
    assert!(second["answer"].as_str().is_some_and(|answer| answer.contains("message number 2")), "{second}");
    let read = demo.json(&format!("/api/conversation/{id}?user=alice"));
    assert_eq!(read["messages"].as_array().map(Vec::len), Some(4), "{read}");

    // Another user sees neither the conversation nor its exchanges.
    assert_eq!(demo.json("/api/conversations?user=bob")["conversations"], json!([]));
    assert_eq!(demo.get(&format!("/api/conversation/{id}?user=bob")).status, 404);
    let kinds: Vec<Value> = demo.json("/api/exchanges?user=bob")["exchanges"].as_array().unwrap().clone();
    assert!(kinds.iter().all(|one| one["user"] == "bob"), "{kinds:?}");
    assert_eq!(demo.json("/api/boxes?user=bob")["boxes"], json!([]));

    let token = format!("X-Plainsight-Token: {}\r\n", demo.token());
    let deleted = demo.request(&format!("DELETE /api/conversation/{id}?user=alice HTTP/1.1"), &token, b"");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(demo.get(&format!("/api/conversation/{id}?user=alice")).status, 404);
}

#[test]
fn errors_are_those_of_the_api() {
    let demo = Demo::start(&["--backend", "relay"]);
    let failed = &say(&demo, "alice", "http", " ")[0];
    assert_eq!((&failed["state"], &failed["status"]), (&json!("failed"), &json!(400)), "{failed}");
    assert_eq!(failed["error"]["code"], "empty_message");
    let too_long = &say(&demo, "alice", "http", &"x".repeat(64 * 1024 + 1))[0];
    assert_eq!(too_long["error"]["code"], "message_too_large");
    let unnamed = &say(&demo, "", "http", "hello")[0];
    assert_eq!(unnamed["state"], "failed", "{unnamed}");
    for body in [json!({}), json!({"user": "a", "scheme": "gopher", "message": "x"}), json!([1])] {
        let refused = demo.post("/api/say", &body);
        assert!((400..500).contains(&refused.status), "{refused:?}");
        let error: Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!(error["error"]["code"], "bad_request", "{error}");
    }
}

#[test]
fn other_sites_and_other_programs_are_refused() {
    let demo = Demo::start(&["--backend", "relay"]);
    let token = demo.token();
    let own = format!("X-Plainsight-Token: {token}\r\n");
    let get = |headers: &str| demo.request("GET /api/state HTTP/1.1", headers, b"").status;
    assert_eq!(get(&own), 200);
    assert_eq!(get(""), 403);
    assert_eq!(get("X-Plainsight-Token: 00000000000000000000000000000000\r\n"), 403);
    assert_eq!(get(&format!("{own}Origin: http://evil.example\r\n")), 403);
    assert_eq!(get(&format!("{own}Sec-Fetch-Site: cross-site\r\n")), 403);
    assert_eq!(get(&format!("{own}Host: evil.example\r\n")), 403);
    let page = demo.request("GET / HTTP/1.1", "Host: evil.example\r\n", b"");
    assert!(page.status == 403 && !String::from_utf8_lossy(&page.body).contains(&token), "{page:?}");
    let page = demo.request("GET / HTTP/1.1", "", b"");
    let head = page.head.to_ascii_lowercase();
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(!head.contains("access-control"), "{head}");
}

#[test]
fn taken_port_names_the_next_free_one() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let programs = [
        Command::new(programs::lab()).args(["demo", "--listen", &address]).current_dir(&folder).output(),
        Command::new(programs::program("live")).args(["--listen", &address]).current_dir(&folder).output(),
    ];
    for output in programs {
        let output = output.expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains("is taken") && error.contains("is free: --listen"),
            "{error}"
        );
    }
}

#[test]
fn what_fails_is_named_and_the_rest_goes_on() {
    for backend in backends() {
        let demo = Demo::start(&["--backend", backend]);
        let services = |demo: &Demo| demo.json("/api/state")["services"].as_array().unwrap().clone();
        assert!(services(&demo).iter().all(|service| service["state"] == "up"), "{:?}", services(&demo));
        demo.signal("gateway", Signal::SIGKILL);
        wait_until("the page knows that the gateway ended", || {
            services(&demo).iter().any(|service| service["state"] == "down" && service["remedy"].is_string())
        });
        let refused = demo.post("/api/say", &json!({"user": "a", "scheme": "http", "message": "x"}));
        let error: Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!(error["error"]["code"], "server_down", "{error}");
        assert!(error["error"]["remedy"].is_string(), "{error}");
        // agent-b still answers.
        let call = complete(&demo, &demo.post("/api/call", &json!({"user": "a", "scheme": "http"})));
        assert_eq!(call[0]["status"], 200);
        let (status, left) = demo.end();
        assert!(status.success() && left.is_empty(), "{backend}: {status} {left:?}");
    }
}

#[test]
fn killed_demo_leaves_no_process() {
    for backend in backends() {
        let demo = Demo::start(&["--backend", backend]);
        say(&demo, "alice", "http", "hello");
        assert_eq!(demo.post("/api/experiment", &json!({"experiments": ["http"]})).status, 202);
        demo.kill();
    }
}

#[test]
fn without_a_capturer_the_talk_goes_on_and_the_wire_is_unavailable() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let demo = Demo::start(&["--backend", "netns"]);
    demo.signal("capturer", Signal::SIGKILL);
    wait_until("the page knows that both capturers ended", || {
        demo.json("/api/state")["problems"].as_array().is_some_and(|problems| problems.len() == 2)
    });
    let problem = demo.json("/api/state")["problems"][0].clone();
    assert!(problem["what"].as_str().is_some_and(|what| what.contains("nothing is captured")), "{problem}");
    assert!(problem["remedy"].is_string(), "{problem}");
    let said = &say(&demo, "alice", "http", "is anyone listening?")[0];
    assert_eq!(said["state"], "answered", "{said}");
    assert_eq!(said["wire"]["state"], "unavailable", "{said}");
    assert!(said["wire"]["why"].is_string() && said["wire"]["remedy"].is_string(), "{said}");
    // Nothing says that no frame left the sandbox.
    let boxes = || demo.json("/api/boxes?user=alice")["boxes"].as_array().unwrap().clone();
    wait_until("the sandbox is listed", || boxes().len() == 1);
    let one = &boxes()[0];
    assert!(one["frames_left"].is_null() && one["why"].is_string(), "{one}");
}

#[test]
fn sandboxes_are_listed_with_their_limits_and_the_frames_that_left() {
    for backend in backends() {
        let demo = Demo::start(&["--backend", backend]);
        say(&demo, "alice", "http", "hello");
        let boxes = || demo.json("/api/boxes?user=alice")["boxes"].as_array().unwrap().clone();
        wait_until("the sandbox is listed", || boxes().len() == 1);
        let one = &boxes()[0];
        assert_eq!((&one["exit"], &one["network"]), (&json!("code 0"), &json!("none")), "{one}");
        let limits = one["limits"].as_array().unwrap();
        assert!(limits.len() > 5 && limits.iter().all(|limit| limit["mechanism"].is_string()), "{one}");
        match backend {
            "netns" => assert_eq!(one["frames_left"], 0, "{one}"),
            _ => assert!(one["frames_left"].is_null() && one["why"].is_string(), "{one}"),
        }
    }
}

#[test]
fn captures_are_opened_and_refused() {
    let demo = Demo::start(&["--backend", "relay"]);
    let token = format!("X-Plainsight-Token: {}\r\n", demo.token());
    let upload = |name: &str, bytes: &[u8]| -> String {
        let answer = demo.request(&format!("POST /api/captures?name={name} HTTP/1.1"), &token, bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        let opened: Value = serde_json::from_slice(&answer.body).expect("JSON");
        opened["id"].as_str().expect("an id").to_owned()
    };
    let open = |id: &str, request: Value| -> Value {
        let answer = demo.post(&format!("/api/captures/{id}/open"), &request);
        assert_eq!(answer.status, 202, "{answer:?}");
        let state = || demo.json(&format!("/api/captures/{id}"))["opened"].clone();
        wait_until("the capture is read", || state()["state"] != "reading");
        demo.json(&format!("/api/captures/{id}"))
    };
    let lab = e2e::run_lab("relay");
    let capture = std::fs::read(lab.captures().join("https.pcap")).expect("a capture");

    // Without keys and strings there is no verdict, but all frames.
    let plain = upload("https.pcap", &capture);
    let read = open(&plain, json!({}));
    assert_eq!(read["opened"]["state"], "done", "{}", read["opened"]);
    let frames = read["opened"]["frames"].as_u64().expect("a number");
    let page = demo.json(&format!("/api/captures/{plain}/packets?from=1&count=5"));
    assert_eq!(
        (&page["total"], page["packets"].as_array().map(Vec::len)),
        (&json!(frames), Some(5)),
        "{page}"
    );

    // With them there is the verdict that `analyze` gives.
    let id = upload("own.pcap", &capture);
    for (kind, name) in
        [("keys", "https.keys"), ("journal", "https.agent-a.jsonl"), ("journal", "https.agent-b.jsonl")]
    {
        let bytes = std::fs::read(lab.captures().join(name)).expect("a companion");
        let path = format!("POST /api/captures/{id}/companion?kind={kind}&name={name} HTTP/1.1");
        let answer = demo.request(&path, &token, &bytes);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let read = open(&id, json!({"scope": ["all"]}));
    assert_eq!(
        read["exposure"]["captures"][0]["verdict"], "sealed",
        "{}",
        read["exposure"]["captures"][0]["reasons"]
    );
    // Files have the names that the user gave them.
    let document = read["exposure"].to_string();
    assert!(document.contains("own.pcap") && !document.contains("/plainsight-"));
    let stream = |keys: u8| demo.json(&format!("/api/captures/{id}/stream/0?keys={keys}"));
    let decrypted =
        |stream: &Value| stream["pieces"].as_array().unwrap().iter().any(|piece| piece["decrypted"] == true);
    assert!(!decrypted(&stream(0)) && decrypted(&stream(1)));

    // A damaged file is read up to the damage; a text is refused by name.
    let cut = upload("cut.pcap", &capture[..capture.len() - 7]);
    let read = open(&cut, json!({}));
    let doubts = read["exposure"]["captures"][0]["doubts"].to_string();
    assert!(read["opened"]["state"] == "done" && doubts.contains("ends inside"), "{doubts}");
    let text = upload("notes.txt", b"This is no capture.");
    let read = open(&text, json!({}));
    let why = read["opened"]["why"].as_str().unwrap_or_default().to_owned();
    assert!(read["opened"]["state"] == "failed" && why.contains("notes.txt"), "{why}");
    let bad = demo.post(&format!("/api/captures/{id}/open"), &json!({"scope": ["nonsense"]}));
    assert_eq!(bad.status, 400);
    let removed = demo.request(&format!("DELETE /api/captures/{id} HTTP/1.1"), &token, b"");
    assert_eq!(removed.status, 204);
    assert_eq!(demo.get(&format!("/api/captures/{id}")).status, 404);
}

#[test]
fn files_that_belong_to_a_capture_are_few_and_go_with_the_demo() {
    let demo = Demo::start(&["--backend", "relay"]);
    let token = format!("X-Plainsight-Token: {}\r\n", demo.token());
    let capture = std::fs::read(e2e::run_lab("relay").captures().join("http.pcap")).expect("a capture");
    let answer = demo.request("POST /api/captures?name=http.pcap HTTP/1.1", &token, &capture);
    let opened: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let id = opened["id"].as_str().expect("an id");
    let add = |number: usize| {
        let path = format!("POST /api/captures/{id}/companion?kind=strings&name={number}.txt HTTP/1.1");
        demo.request(&path, &token, b"a string that was sent\n")
    };
    for number in 0..16 {
        assert_eq!(add(number).status, 200);
    }
    let refused = add(16);
    let error: Value = serde_json::from_slice(&refused.body).expect("JSON");
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(refused.status == 400 && message.contains("16 files that belong to it"), "{refused:?}");
    let uploads = || files_below(&demo.captures()).into_iter().filter(|name| name.contains(".txt")).count();
    assert_eq!(uploads(), 16);
    let (status, left) = demo.end();
    assert!(status.success() && left.is_empty(), "{status} {left:?}");
}

#[test]
fn a_cancelled_experiment_leaves_nothing() {
    let demo = Demo::start(&["--backend", "relay"]);
    let before = files_below(&demo.captures());
    let request = json!({"experiments": ["http", "https"], "count": 100_000});
    assert_eq!(demo.post("/api/experiment", &request).status, 202);
    let captures =
        || files_below(&demo.captures()).into_iter().any(|name| name.contains("http.partial.pcap"));
    wait_until("the experiment captures", captures);
    let token = format!("X-Plainsight-Token: {}\r\n", demo.token());
    assert_eq!(demo.request("DELETE /api/experiment HTTP/1.1", &token, b"").status, 202);
    wait_until("the experiment is cancelled", || demo.json("/api/experiment")["state"] == "cancelled");
    assert_eq!(files_below(&demo.captures()), before);
    let (status, left) = demo.end();
    assert!(status.success() && left.is_empty(), "{status} {left:?}");
}

/// The paths of all files below a folder, in order.
fn files_below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<String> = entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path.display().to_string()],
        })
        .collect();
    files.sort();
    files
}

#[test]
fn live_alone_opens_the_captures_of_a_folder() {
    let lab = e2e::run_lab("relay");
    let live = Demo::alone(&lab.captures());
    let state = live.json("/api/state");
    assert_eq!((&state["mode"], &state["services"]), (&json!("captures"), &json!([])), "{state}");
    let listed = live.json("/api/captures")["captures"].as_array().unwrap().clone();
    let names: Vec<&Value> = listed.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["http.pcap", "https.pcap"]);
    for (one, verdict) in listed.iter().zip(["exposed", "sealed"]) {
        let id = one["id"].as_str().unwrap();
        assert_eq!(live.post(&format!("/api/captures/{id}/open"), &json!({})).status, 202);
        let summary = || live.json(&format!("/api/captures/{id}"))["opened"]["summary"].clone();
        wait_until("the capture is read", || !summary().is_null());
        assert_eq!(summary()["verdict"], verdict);
    }
    // There is no gateway to write to, which the error says.
    let refused = live.post("/api/say", &json!({"user": "a", "scheme": "http", "message": "x"}));
    let error: Value = serde_json::from_slice(&refused.body).expect("JSON");
    assert_eq!((refused.status, &error["error"]["code"]), (409, &json!("no_demo")), "{error}");
    // A file of the folder is never removed.
    let token = format!("X-Plainsight-Token: {}\r\n", live.token());
    assert_eq!(live.request("DELETE /api/captures/c1 HTTP/1.1", &token, b"").status, 204);
    assert!(lab.captures().join("http.pcap").is_file());
}

#[test]
fn fifty_tabs_receive_an_exchange_and_a_closed_one_costs_nothing() {
    use std::io::{Read as _, Write as _};
    let demo = Demo::start(&["--backend", "relay"]);
    let token = demo.token();
    let tab = |user: &str| {
        let mut stream = std::net::TcpStream::connect(demo.address()).expect("the page's server listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        let head =
            format!("GET /api/events?user={user}&token={token} HTTP/1.1\r\nHost: {}\r\n\r\n", demo.address());
        stream.write_all(head.as_bytes()).expect("a request is sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("a head");
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    };
    let mut tabs: Vec<_> = (0..50).map(|_| tab("alice")).collect();
    let mut other = tab("bob");
    // One tab in five is closed without a word.
    tabs.truncate(40);
    say(&demo, "alice", "http", "for every tab of mine");
    for stream in &mut tabs {
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains("for every tab of mine") {
            let read = stream.read(&mut piece).expect("an event");
            assert!(read > 0, "the stream ended");
            seen.extend_from_slice(&piece[..read]);
        }
    }
    other.set_read_timeout(Some(Duration::from_millis(300))).expect("a time limit");
    let mut rest = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = other.read(&mut piece) {
        rest.extend_from_slice(&piece[..read]);
    }
    assert!(!String::from_utf8_lossy(&rest).contains("for every tab of mine"), "another user's exchange");
}
