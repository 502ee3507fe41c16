//! Who the user is: by header, by token, by certificate; and what a client that replays a user's header gets.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{Gateway, Workdir, certificates, gateway, request, run, with_header};
use serde_json::Value;

const MESSAGE: &str = "{\"message\":\"secret plan\"}";

async fn json(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = gateway().current_dir(folder.path()).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn token(arguments: &[&str], tokens: &Path) -> Output {
    run(&[&["token"], arguments, &["--tokens", tokens.to_str().unwrap()]].concat())
}

/// A client that trusts the lab's authority, and shows a certificate if it has one.
fn client(certs: &Path, identity: Option<&str>) -> reqwest::Client {
    let mut config =
        agent_core::tls::client_config(&certs.join("ca.pem"), &Default::default(), None).unwrap();
    if let Some(name) = identity {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let roots = std::sync::Arc::new({
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(certs.join("ca.pem")).unwrap()).unwrap();
            roots
        });
        let chain = vec![CertificateDer::from_pem_file(certs.join(format!("{name}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certs.join(format!("{name}.key"))).unwrap();
        config = rustls::ClientConfig::builder_with_provider(agent_core::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
    }
    reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap()
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("https://localhost:{}{path}", gateway.address.port())
}

#[test]
fn the_header_alone_is_for_loopback_addresses() {
    let why = refused(&["--listen", "0.0.0.0:0"]);
    assert!(why.contains("--insecure-header-auth") && why.contains("--auth token"), "{why}");
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let tls = ["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")];
    let open = ["--plain-listen", "0.0.0.0:0"];
    assert!(refused(&[&tls[..], &open].concat()).contains("--insecure-header-auth"));
    assert!(refused(&[&tls[..], &open, &["--auth", "token"]].concat()).contains("--insecure-token-auth"));
    assert!(refused(&["--auth", "token", "--listen", "0.0.0.0:0"]).contains("--insecure-token-auth"));
    assert!(refused(&["--auth", "mtls"]).contains("--client-ca"));
    assert!(refused(&[&tls[..], &["--auth", "mtls"]].concat()).contains("--client-ca"));
    let workdir = Workdir::new();
    let accepted = workdir.gateway(&["--listen", "0.0.0.0:0", "--insecure-header-auth", "-q"]);
    let Some(mut gateway) = accepted else { return };
    let port = gateway.address.port();
    gateway.address = ([127, 0, 0, 1], port).into();
    assert_eq!(gateway.say("alice", "hello").status, 200);
    let log = gateway.log();
    assert_eq!(log.matches("plain HTTP on all addresses").count(), 1, "{log}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    fs::set_permissions(certs.join("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let why = refused(&["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")]);
    assert!(why.contains(&format!("chmod 600 {}", path("server.key"))), "{why}");
}

#[test]
fn tokens_are_made_listed_and_revoked_while_the_gateway_runs() {
    let workdir = Workdir::new();
    let tokens = workdir.path().join("tokens.json");
    let Some(gateway) = workdir.gateway(&["--auth", "token", "--tokens", tokens.to_str().unwrap()]) else {
        return;
    };
    let list = "/api/conversations";
    let asked = |header: &str| gateway.exchange(&with_header(&request("GET", list, "alice"), header));
    gateway.get("alice", list).assert_error(401, "missing_token");
    assert_eq!(gateway.get("alice", list).header("www-authenticate"), Some("Bearer"));
    let secret = stdout(&token(&["add", "alice"], &tokens)).trim().to_owned();
    let bearer = format!("Authorization: Bearer {secret}");
    assert_eq!(asked(&bearer).status, 200);
    asked("Authorization: Bearer plns_wrong").assert_error(401, "invalid_token");
    let as_bob = with_header(&request("GET", list, "bob"), &bearer);
    gateway.exchange(&as_bob).assert_error(403, "other_user");
    let listed = stdout(&token(&["list"], &tokens));
    assert!(listed.starts_with("alice 20") && listed.lines().count() == 1, "{listed}");
    assert!(!fs::read_to_string(&tokens).unwrap().contains(&secret));
    assert_eq!(token(&["revoke", "bob"], &tokens).status.code(), Some(1));
    assert_eq!(stdout(&token(&["revoke", "alice"], &tokens)), "1\n");
    asked(&bearer).assert_error(401, "invalid_token");
    assert_eq!(token(&["add", "../alice"], &tokens).status.code(), Some(2));
    assert!(!gateway.log().contains(&secret));
    gateway.stop();
}

/// The attack of the isolation experiment: an intruder replays the header of a user.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_header_gets_401_under_token_over_tls() {
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let workdir = Workdir::new();
    let tokens = workdir.path().join("tokens.json");
    let secret = stdout(&token(&["add", "alice"], &tokens)).trim().to_owned();
    let flags = [
        "--auth",
        "token",
        "--tokens",
        tokens.to_str().unwrap(),
        "--tls-cert",
        &path("server.pem"),
        "--tls-key",
        &path("server.key"),
        "--listen",
        "0.0.0.0:0",
    ];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let client = client(&certs, None);
    let ask = client
        .post(url(&gateway, "/api/conversation"))
        .header("Content-Type", "application/json")
        .body(MESSAGE);
    let answer = ask.bearer_auth(&secret).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let replay = client.get(url(&gateway, "/api/conversations")).header("X-User-Id", "alice");
    let answer = replay.send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let body = json(answer).await;
    assert_eq!(body["error"]["code"], "missing_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_a_certificate_is_the_user_and_a_replayed_header_gets_401() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().to_owned();
    let mut wanted = certgen::Request::new(&certs);
    wanted.clients = vec!["alice".into(), "bob".into()];
    certgen::ensure(&wanted).unwrap();
    let (_other_folder, other) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let flags = [
        "--auth",
        "mtls",
        "--client-ca",
        &path("ca.pem"),
        "--tls-cert",
        &path("server.pem"),
        "--tls-key",
        &path("server.key"),
        "--listen",
        "0.0.0.0:0",
    ];
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let alice = client(&certs, Some("client-alice"));
    let ask = alice
        .post(url(&gateway, "/api/conversation"))
        .header("Content-Type", "application/json")
        .body(MESSAGE);
    let answer = json(ask.send().await.unwrap()).await;
    let one = url(&gateway, &format!("/api/conversation/{}", answer["conversationId"].as_str().unwrap()));
    assert_eq!(alice.get(&one).send().await.unwrap().status(), 200);
    let bob = client(&certs, Some("client-bob"));
    assert_eq!(bob.get(&one).send().await.unwrap().status(), 404);
    assert_eq!(bob.get(&one).header("X-User-Id", "alice").send().await.unwrap().status(), 403);
    let intruder = client(&certs, None);
    let replayed = intruder.get(&one).header("X-User-Id", "alice").send().await.unwrap();
    assert_eq!(replayed.status(), 401);
    let body = json(replayed).await;
    assert_eq!(body["error"]["code"], "missing_certificate");
    assert_eq!(intruder.get(url(&gateway, "/healthz")).send().await.unwrap().status(), 200);
    // A certificate of another authority ends the connection.
    for end in ["pem", "key"] {
        fs::copy(other.join(format!("client.{end}")), certs.join(format!("client-forged.{end}"))).unwrap();
    }
    assert!(client(&certs, Some("client-forged")).get(&one).send().await.is_err());
}

#[test]
fn other_hosts_and_other_sites_are_refused() {
    let workdir = Workdir::new();
    let flags = ["--allow-host", "gateway.example", "--allow-origin", "https://chat.example"];
    let Some(gateway) = workdir.gateway(&flags) else { return };
    let id = gateway.say("alice", "secret plan").answer().0;
    let path = format!("/api/conversation/{id}");
    let own = String::from_utf8(request("GET", &path, "alice")).unwrap();
    let at = |host: &str| gateway.exchange(own.replace("localhost", host).as_bytes());
    for host in ["localhost", "127.0.0.1:8000", "gateway.example", "[::1]"] {
        assert_eq!(at(host).status, 200, "{host}");
    }
    // DNS rebinding: the name of the attacker's site leads to this machine.
    for host in ["rebound.example", "192.0.2.1", "localhost.evil.example"] {
        at(host).assert_error(403, "foreign_host");
    }
    let from = |origin: &str| gateway.exchange(&with_header(own.as_bytes(), &format!("Origin: {origin}")));
    for origin in ["http://localhost", "https://chat.example"] {
        assert_eq!(from(origin).status, 200, "{origin}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:9"] {
        from(origin).assert_error(403, "foreign_origin");
    }
    let site =
        |site: &str| gateway.exchange(&with_header(own.as_bytes(), &format!("Sec-Fetch-Site: {site}")));
    assert_eq!(site("none").status, 200);
    site("cross-site").assert_error(403, "foreign_origin");
    gateway.stop();
}
