//! The programs that were tried, by what they do.

use super::Run;

const PYTHON: &str = "python3 server.py 127.0.0.1";
const CURL: &str = "curl -sS --http1.1 --cacert server.pem --json @body.json";
const S_SERVER: &str = "openssl s_server -accept 8443 -cert server.pem -key server.key";
const S_CLIENT: &str =
    "openssl s_client -connect 127.0.0.1:8443 -servername localhost -CAfile server.pem -keylogfile mine.keys";

/// A run of these programs is sealed, if they are installed.
fn sealed(needed: &[&str], server: &str, client: &str) -> Option<Run> {
    let run = Run::of(needed, server, client)?;
    run.is_sealed();
    Some(run)
}

/// A command that waits until a file contains a text so many times.
fn wait(text: &str, file: &str, times: usize) -> String {
    format!("until [ $(grep -o {text} {file} | wc -l) -ge {times} ]; do sleep 0.02; done")
}

/// Whether a handshake has a HelloRetryRequest.
fn has_retry(run: &Run) -> bool {
    // The random of a HelloRetryRequest (RFC 9846 §4.1.3).
    run.contains(&[0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11])
}

#[test]
fn curl_by_address() {
    sealed(&["curl"], PYTHON, &format!("{CURL} https://127.0.0.1:8443/"));
}

#[test]
fn curl_by_name_and_with_two_requests() {
    let url = "https://localhost:8443/";
    sealed(&["curl"], PYTHON, &format!("{CURL} {url} --next {} {url}", CURL.trim_start_matches("curl ")));
}

#[test]
fn curl_over_ipv6() {
    sealed(&["curl"], "python3 server.py ::1", &format!("{CURL} https://[::1]:8443/"));
}

#[test]
fn curl_that_offers_http_2_to_a_server_without_it() {
    let curl = CURL.replace("--http1.1", "--http2");
    sealed(&["curl"], PYTHON, &format!("{curl} https://localhost:8443/"));
}

#[test]
fn curl_with_a_body_in_chunks() {
    let flags = "--compressed -H 'Transfer-Encoding: chunked'";
    sealed(&["curl", "node"], "node server.js", &format!("{CURL} {flags} https://localhost:8443/"));
}

#[test]
fn curl_with_a_client_certificate() {
    let server = format!("{PYTHON} client-certificate");
    let certificate = "--cert client.pem --key client.key";
    sealed(&["curl"], &server, &format!("{CURL} {certificate} https://localhost:8443/"));
}

/// Frames of the loopback interface are as large as those that a network card cuts: up to 64 KiB.
#[test]
fn curl_with_a_large_body() {
    let make = "{ tr -d '}' < body.json; printf ',\\042filler\\042:\\042'; head -c 600000 /dev/zero | tr '\\0' x; \
                printf '\\042}'; } > large";
    let curl = CURL.replace("body.json", "large");
    let client = format!("{make}; {curl} -o answer https://localhost:8443/");
    if let Some(run) = sealed(&["curl"], PYTHON, &client) {
        let longest = run.frames().iter().map(|frame| frame.payload.len()).max();
        assert!(longest > Some(20_000), "{longest:?}");
    }
}

#[test]
fn python_with_two_requests() {
    sealed(&[], PYTHON, "python3 client.py 127.0.0.1");
}

/// The server asks for the certificate after the handshake (RFC 9846 §4.6.2).
#[test]
fn python_with_authentication_after_the_handshake() {
    sealed(&[], &format!("{PYTHON} after-handshake"), "python3 client.py 127.0.0.1 after-handshake");
}

#[test]
fn node_as_client_and_server() {
    let client = "node --tls-keylog=mine.keys client.js";
    sealed(&["node"], PYTHON, client);
    sealed(&["node"], "node server.js", client);
}

/// Java writes no key log, so the server does.
#[test]
fn java() {
    sealed(&["java", "javac"], &format!("{PYTHON} keys"), "java Client.java");
}

#[test]
fn go() {
    sealed(&["go"], PYTHON, "./client");
}

#[test]
fn gnutls() {
    let client = "gnutls-cli --x509cafile server.pem --port 8443 localhost < last";
    sealed(&["gnutls-cli"], PYTHON, client);
}

#[test]
fn openssl_as_client_and_server() {
    sealed(&[], &format!("{S_SERVER} -www"), &format!("{S_CLIENT} -quiet < get"));
    sealed(&[], PYTHON, &format!("{S_CLIENT} -quiet < last"));
}

#[test]
fn openssl_with_every_cipher_suite() {
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        let run = sealed(&[], PYTHON, &format!("{S_CLIENT} -ciphersuites {suite} -quiet < last"));
        if let Some(run) = run {
            assert_eq!(run.is_sealed()["tls"]["sessions"][0]["visible"]["cipher_suite"], suite);
        }
    }
}

#[test]
fn openssl_with_every_group() {
    for group in ["X25519", "X448", "P-256", "P-384", "P-521", "ffdhe2048"] {
        sealed(&[], PYTHON, &format!("{S_CLIENT} -groups {group} -quiet < last"));
    }
}

#[test]
fn openssl_with_session_resumption() {
    let client =
        format!("{S_CLIENT} -sess_out session -quiet < last; {S_CLIENT} -sess_in session -quiet < last");
    if let Some(run) = sealed(&[], PYTHON, &client) {
        let sessions = run.is_sealed()["tls"]["sessions"].as_array().expect("an array").clone();
        let chains =
            sessions.iter().map(|session| session["hidden"]["certificates"].as_array().map(Vec::len));
        assert_eq!(chains.collect::<Vec<_>>(), [Some(1), Some(0)], "the second session has no certificate");
    }
}

#[test]
fn openssl_with_early_data() {
    let first =
        format!("{{ cat post; {}; }} | {S_CLIENT} -sess_out session", wait("staple", "server.log", 1));
    let second =
        format!("{} | {S_CLIENT} -sess_in session -early_data post", wait("staple", "server.log", 2));
    let run = sealed(&[], &format!("{S_SERVER} -early_data -quiet"), &format!("{first}; {second}"));
    assert!(run.is_none_or(|run| run.text("mine.keys").contains("CLIENT_EARLY_TRAFFIC_SECRET")));
}

#[test]
fn openssl_with_a_pre_shared_key_of_both_sides() {
    let key = "-psk 00112233445566778899aabbccddeeff";
    let server = format!("openssl s_server -accept 8443 -nocert {key} -www");
    sealed(&[], &server, &format!("{S_CLIENT} {key} -quiet < get"));
}

#[test]
fn openssl_with_hello_retry_request() {
    let run = sealed(&[], &format!("{S_SERVER} -groups P-384 -www"), &format!("{S_CLIENT} -quiet < get"));
    assert!(run.is_none_or(|run| has_retry(&run)));
}

#[test]
fn curl_with_hello_retry_request() {
    let server = format!("{S_SERVER} -groups P-384 -www");
    let client = "curl -sS --http1.1 --cacert server.pem 'https://localhost:8443/?p=correct%20horse%20battery%20staple'";
    let run = sealed(&["curl"], &server, client);
    assert!(run.is_none_or(|run| has_retry(&run)));
}

#[test]
fn openssl_with_a_client_certificate() {
    let client = format!("{S_CLIENT} -cert client.pem -key client.key -quiet < last");
    sealed(&[], &format!("{PYTHON} client-certificate"), &client);
}

/// The client updates its keys and asks the server to do so, too (RFC 9846 §4.6.3).
#[test]
fn openssl_with_key_updates() {
    let client = format!(
        "{{ cat post; {}; echo K; {}; cat post; {}; }} | {S_CLIENT} > out 2> log",
        wait("staple", "out", 1),
        wait("KEYUPDATE", "log", 1),
        wait("staple", "out", 2),
    );
    sealed(&[], PYTHON, &client);
}

#[test]
fn openssl_with_padded_and_short_records() {
    let padded = format!("{S_SERVER} -record_padding 512 -www");
    sealed(&[], &padded, &format!("{S_CLIENT} -record_padding 256 -quiet < get"));
    sealed(&[], PYTHON, &format!("{S_CLIENT} -max_send_frag 512 -quiet < last"));
    sealed(&[], &format!("{S_SERVER} -www"), &format!("{S_CLIENT} -maxfraglen 1024 -quiet < get"));
}

#[test]
fn openssl_without_middlebox_compatibility() {
    sealed(&[], PYTHON, &format!("{S_CLIENT} -no_middlebox -quiet < last"));
}

#[test]
fn openssl_with_optional_extensions() {
    let server = format!("{S_SERVER} -alpn http/1.1 -www");
    sealed(&[], &server, &format!("{S_CLIENT} -status -alpn http/1.1 -quiet < get"));
}

/// The second connection carries its hello in the SYN (RFC 7413).
#[test]
fn curl_with_tcp_fast_open() {
    let server = format!("sh -c 'echo 3 > /proc/sys/net/ipv4/tcp_fastopen; exec {PYTHON} fast-open'");
    let once = format!("{CURL} --tcp-fastopen -H 'Connection: close' https://127.0.0.1:8443/");
    if let Some(run) = sealed(&["curl"], &server, &format!("{once}; {once}")) {
        assert!(run.frames().iter().any(|frame| frame.syn && !frame.payload.is_empty()));
    }
}

// Doubts

/// A subflow need not contain the whole connection, and its options map its bytes to those of the connection.
#[test]
fn multipath_tcp_is_a_doubt() {
    let run = Run::of(&[], &format!("{PYTHON} multipath"), "python3 client.py 127.0.0.1 multipath");
    if let Some(run) = run {
        run.is_doubted(&["bytes.unexplained"]);
        assert!(run.judge().reasons("mine")[0].contains("unusual TCP options"));
    }
}

#[test]
fn tls_1_2_is_a_doubt() {
    for client in
        [format!("{CURL} --tls-max 1.2 https://127.0.0.1:8443/"), format!("{S_CLIENT} -tls1_2 -quiet < last")]
    {
        if let Some(run) = Run::of(&["curl"], PYTHON, &client) {
            run.is_doubted(&["bytes.unexplained"]);
        }
    }
}

#[test]
fn http_2_is_a_doubt() {
    let curl = CURL.replace("--http1.1", "--http2");
    let run = Run::of(&["curl", "node"], "node server.js h2", &format!("{curl} https://localhost:8443/"));
    if let Some(run) = run {
        run.is_doubted(&["bytes.unexplained"]);
    }
}

/// A protocol of its own inside TLS: the string is found, but bytes are left that nothing reads.
#[test]
fn another_protocol_inside_tls_is_a_doubt() {
    let client = format!("{S_CLIENT} -quiet -no_ign_eof < body.json");
    if let Some(run) = Run::of(&[], &format!("{S_SERVER} -rev"), &client) {
        run.is_doubted(&["bytes.unexplained"]);
    }
}
