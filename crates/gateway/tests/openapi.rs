//! Compares openapi.json with the running server: the server returns every documented status of every path and method,
//! and each response has the documented shape.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::thread;

use common::{Gateway, Response, Workdir, post, request, wait_until, with_header};
use jsonschema::Validator;
use serde_json::{Value, json};

/// Method, path in the document, status.
type Case = (&'static str, &'static str, u16);

const ASK: &str = "/api/conversation";
const ONE: &str = "/api/conversation/{id}";
const CANCEL: &str = "/api/conversation/{id}/cancel";
const LIST: &str = "/api/conversations";
const DATA: &str = "/api/user/data";

#[test]
fn server_returns_every_documented_status_and_shape() {
    let workdir = Workdir::new();
    let flags = ["--boxes", "1", "--queue", "0", "--box-seconds", "1", "--read-timeout", "1"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let document = gateway.get("reader", "/api/openapi.json").json();
    let mut seen: BTreeMap<Case, Response> = BTreeMap::new();
    let mut answered = |case: Case, response: Response| {
        assert_eq!(response.status, case.2, "{case:?}: {response:?}");
        assert!(seen.insert(case, response).is_none(), "{case:?} twice");
    };

    for (method, path) in [
        ("post", ASK),
        ("get", ONE),
        ("delete", ONE),
        ("post", CANCEL),
        ("get", LIST),
        ("get", DATA),
        ("delete", DATA),
    ] {
        let path_of_one = path.replace("{id}", &uuid::Uuid::new_v4().to_string());
        let asked = String::from_utf8(request(&method.to_uppercase(), &path_of_one, "alice")).unwrap();
        let foreign = asked.replace("localhost", "rebound.example");
        answered((method, path, 403), gateway.exchange(foreign.as_bytes()));
    }
    let busy_folder = Workdir::new();
    let Some(busy) = busy_folder.gateway(&["--rate", "1", "--rate-burst", "1"]) else { return };
    for (method, path) in
        [("get", ONE), ("delete", ONE), ("post", CANCEL), ("get", LIST), ("get", DATA), ("delete", DATA)]
    {
        let user = format!("{method}{}", path.len());
        let path_of_one = path.replace("{id}", &uuid::Uuid::new_v4().to_string());
        let ask = || busy.exchange(&request(&method.to_uppercase(), &path_of_one, &user));
        assert_ne!(ask().status, 429);
        answered((method, path, 429), ask());
    }
    busy.stop();

    let first = gateway.say("alice", "hello");
    let id = first.answer().0;
    let one = |id: &str| format!("{ASK}/{id}");
    let unknown = one(&uuid::Uuid::new_v4().to_string());
    let no_user = |method: &str, path: &str| {
        let asked = String::from_utf8(request(method, path, "alice")).unwrap();
        gateway.exchange(asked.replace("X-User-Id: alice\r\n", "").as_bytes())
    };
    answered(("post", ASK, 200), first);
    answered(("post", ASK, 400), gateway.say("alice", ""));
    answered(("post", ASK, 401), no_user("POST", ASK));
    answered(("post", ASK, 404), gateway.say_in("bob", &id, "hello"));
    answered(("post", ASK, 408), {
        let mut slow = gateway.connect();
        slow.write_all(&post("alice", b"{\"message\":\"a\"}")[..130]).unwrap();
        Response::read(&mut slow).unwrap()
    });
    answered(("post", ASK, 413), gateway.say("alice", &"x".repeat(70_000)));
    answered(("post", ASK, 415), gateway.exchange(&request("POST", ASK, "alice")));
    answered(("post", ASK, 502), gateway.say("alice", "exit 1"));
    thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.say("alice", "sleep 60000"));
        gateway.wait_for_load(1, 0);
        answered(("post", ASK, 429), gateway.say("bob", "hello"));
        answered(("post", ASK, 504), slow.join().unwrap());
    });
    let keyed = |message: &str| {
        let body = json!({"message": message}).to_string();
        gateway.exchange(&with_header(&post("keyed", body.as_bytes()), "Idempotency-Key: k"))
    };
    assert_eq!(keyed("hello").status, 200);
    answered(("post", ASK, 422), keyed("bye"));
    let cancel = |id: &str| format!("{ASK}/{id}/cancel");
    thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.say_in("alice", &id, "sleep 60000"));
        gateway.wait_for_load(1, 0);
        answered(("post", CANCEL, 200), gateway.exchange(&request("POST", &cancel(&id), "alice")));
        slow.join().unwrap().assert_error(409, "cancelled");
    });
    answered(("post", CANCEL, 400), gateway.exchange(&request("POST", &cancel("x"), "alice")));
    answered(("post", CANCEL, 401), no_user("POST", &cancel(&id)));
    answered(("post", CANCEL, 404), gateway.exchange(&request("POST", &cancel(&id), "alice")));
    answered(("get", DATA, 200), gateway.get("alice", DATA));
    answered(("get", DATA, 401), no_user("GET", DATA));
    answered(("delete", DATA, 204), gateway.delete("keyed", DATA));
    answered(("delete", DATA, 401), no_user("DELETE", DATA));
    answered(("get", "/readyz", 200), gateway.get("reader", "/readyz"));
    answered(("get", "/metrics", 200), gateway.get("reader", "/metrics"));
    answered(("get", ONE, 200), gateway.get("alice", &one(&id)));
    answered(("get", ONE, 400), gateway.get("alice", &one("x")));
    answered(("get", ONE, 401), no_user("GET", &one(&id)));
    answered(("get", ONE, 404), gateway.get("alice", &unknown));
    answered(("get", LIST, 200), gateway.get("alice", LIST));
    answered(("get", LIST, 400), gateway.get("alice", "/api/conversations?limit=x"));
    answered(("get", LIST, 401), no_user("GET", LIST));
    answered(("get", "/api/openapi.json", 200), gateway.get("reader", "/api/openapi.json"));
    answered(("get", "/healthz", 200), gateway.get("reader", "/healthz"));
    let other = gateway.say("alice", "hello").answer().0;
    answered(("delete", ONE, 204), gateway.delete("alice", &one(&other)));
    answered(("delete", ONE, 400), gateway.delete("alice", &one("x")));
    answered(("delete", ONE, 401), no_user("DELETE", &one(&id)));
    answered(("delete", ONE, 404), gateway.delete("bob", &one(&id)));
    let file = rusqlite::Connection::open(workdir.store()).unwrap();
    file.execute("UPDATE conversation SET turns = 200", []).unwrap();
    answered(("post", ASK, 409), gateway.say_in("alice", &id, "more"));
    file.execute_batch("DROP TABLE request_key; DROP TABLE probe; DROP TABLE turn; DROP TABLE conversation")
        .unwrap();
    answered(("get", "/readyz", 503), {
        // The last result holds for a while.
        wait_until(|| Some(gateway.get("reader", "/readyz")).filter(|answer| answer.status == 503))
    });
    answered(("delete", DATA, 500), gateway.delete("alice", DATA));
    answered(("post", ASK, 500), gateway.say("alice", "hello"));
    answered(("get", ONE, 500), gateway.get("alice", &one(&id)));
    answered(("delete", ONE, 500), gateway.delete("alice", &one(&id)));
    answered(("get", LIST, 500), gateway.get("alice", LIST));

    answered(("get", DATA, 500), gateway.get("alice", DATA));

    let documented: BTreeSet<_> = statuses(&document).into_iter().collect();
    let produced: BTreeSet<_> = seen
        .keys()
        .map(|(method, path, status)| ((*method).to_owned(), (*path).to_owned(), *status))
        .collect();
    assert_eq!(documented, produced);
    for ((method, path, status), response) in &seen {
        let described = resolve(&document, &document["paths"][path][method]["responses"][status.to_string()]);
        assert_shape(&document, described, response);
    }
}

/// All methods, paths and statuses of the document.
fn statuses(document: &Value) -> Vec<(String, String, u16)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters")
        {
            for status in operation["responses"].as_object().unwrap().keys() {
                all.push((method.clone(), path.clone(), status.parse().unwrap()));
            }
        }
    }
    all
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

fn assert_shape(document: &Value, described: &Value, response: &Response) {
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        let value: Value =
            response.header(&name.to_ascii_lowercase()).unwrap().parse::<u64>().unwrap().into();
        assert!(validator(document, &header["schema"]).is_valid(&value), "{name}: {value}");
    }
    let Some(schema) = described.pointer("/content/application~1json/schema") else {
        match described["content"].as_object() {
            None => assert!(response.body.is_empty(), "{response:?}"),
            Some(types) => {
                let given = response.header("content-type").unwrap();
                assert!(types.keys().any(|name| given.split(';').next() == Some(name)), "{given}");
            }
        }
        let lines = described.pointer("/content/application~1x-ndjson/x-line");
        for line in String::from_utf8_lossy(&response.body).lines().filter(|_| lines.is_some()) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(validator(document, lines.unwrap()).is_valid(&line), "{line}");
        }
        return;
    };
    let body = response.json();
    if let Err(error) = validator(document, schema).validate(&body) {
        panic!("{error}: {body}");
    }
}

/// A validator for `schema`, which may refer to other parts of the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.as_object().unwrap().clone();
    whole.insert("components".into(), document["components"].clone());
    jsonschema::options().should_validate_formats(true).build(&Value::Object(whole)).unwrap()
}

#[test]
fn events_of_a_stream_have_the_documented_shapes() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let document = gateway.get("reader", "/api/openapi.json").json();
    let content = &document["paths"][ASK]["post"]["responses"]["200"]["content"];
    let described = &content["text/event-stream"]["x-events"];
    let mut seen = BTreeSet::new();
    for message in ["hello", "exit 3"] {
        let mut stream = gateway.stream("alice", message);
        while let Some((name, data)) = stream.next() {
            let schema = resolve(&document, &described[&name]);
            if let Err(error) = validator(&document, schema).validate(&data) {
                panic!("{name}: {error}: {data}");
            }
            seen.insert(name);
        }
    }
    let documented: BTreeSet<_> = described.as_object().unwrap().keys().cloned().collect();
    assert_eq!(documented, seen);
}

#[test]
fn schemas_accept_what_the_server_accepts() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let document = gateway.get("reader", "/api/openapi.json").json();
    let ask = validator(&document, &document["components"]["schemas"]["Ask"]);
    let unknown = uuid::Uuid::new_v4().to_string();
    for body in [
        json!({"message": "hello"}),
        json!({"message": "x".repeat(65_536)}),
        json!({"message": "x".repeat(65_537)}),
        json!({"message": ""}),
        json!({"message": 1}),
        json!({"message": null}),
        json!({"message": "hello", "conversationId": null}),
        json!({"message": "hello", "conversationId": unknown}),
        json!({"message": "hello", "conversationId": unknown.to_uppercase()}),
        json!({"message": "hello", "conversationId": unknown.replace('-', "")}),
        json!({"message": "hello", "conversationId": "x"}),
        json!({"message": "hello", "conversationId": 1}),
        json!({"message": "hello", "more": 1}),
        json!({}),
        json!([]),
        json!("hello"),
    ] {
        let status = gateway.post("alice", &body).status;
        assert_eq!(ask.is_valid(&body), [200, 404].contains(&status), "{status}: {body}");
    }
    let user = validator(&document, &document["components"]["parameters"]["User"]["schema"]);
    let long = "x".repeat(320);
    for name in ["alice", "A.b_c-d+e@f", &long, &format!("{long}x"), "-a", "a b", "a/b", "a,b", "~a"] {
        let status = gateway.get(name, LIST).status;
        assert_eq!(user.is_valid(&json!(name)), status == 200, "{status}: {name}");
    }
    let limit = &document["paths"][LIST]["get"]["parameters"][1];
    assert_eq!(limit["name"], "limit");
    let limit = validator(&document, &limit["schema"]);
    for number in [-1, 0, 1, 20, 100, 101] {
        let status = gateway.get("alice", &format!("{LIST}?limit={number}")).status;
        assert_eq!(limit.is_valid(&json!(number)), status == 200, "{status}: {number}");
    }
}

#[test]
fn server_has_no_undocumented_methods() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let document = gateway.get("reader", "/api/openapi.json").json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut documented: BTreeSet<String> = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "parameters")
            .map(|name| name.to_uppercase())
            .collect();
        // A route for GET also answers HEAD (RFC 9110 §9.3.2).
        if documented.contains("GET") {
            documented.insert("HEAD".into());
        }
        let refused = allow(&gateway, path);
        assert_eq!(refused, documented, "{path}");
    }
}

fn allow(gateway: &Gateway, path: &str) -> BTreeSet<String> {
    let answer = gateway.exchange(&request("PATCH", path, "alice"));
    answer.assert_error(405, "method_not_allowed");
    answer.header("allow").unwrap().split(',').map(|method| method.trim().to_owned()).collect()
}
