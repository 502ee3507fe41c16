//! certgen as a program and as a library, on real files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use certgen::{Request, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};

fn request(out: &Path) -> Request {
    Request::new(out)
}

/// The certificates of ca, server and client that were renewed.
fn renewed(request: &Request) -> Vec<&'static str> {
    let outcomes = ensure(request).unwrap();
    outcomes.iter().filter(|outcome| outcome.renewed_because.is_some()).map(|outcome| outcome.name).collect()
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_certgen")).args(arguments).env_remove("CERTS").output().unwrap()
}

const ALL: [&str; 3] = ["ca", "server", "client"];
const NONE: [&str; 0] = [];

#[test]
fn creates_six_files_and_keeps_them_on_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/certs");
    let first = program(&["--out", out.to_str().unwrap()]);
    assert!(first.status.success(), "{first:?}");
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["ca.key", "ca.pem", "client.key", "client.pem", "server.key", "server.pem"]);
    let contents = || names.iter().map(|name| fs::read(out.join(name)).unwrap()).collect::<Vec<_>>();
    let before = contents();
    let second = program(&["--out", out.to_str().unwrap()]);
    assert_eq!(before, contents());
    let printed = String::from_utf8(second.stdout).unwrap();
    assert_eq!(printed.lines().filter(|line| line.starts_with("kept ")).count(), 3, "{printed}");
    let forced = program(&["--out", out.to_str().unwrap(), "--force"]);
    assert_eq!(String::from_utf8(forced.stdout).unwrap().matches("renewed ").count(), 3);
    assert!(before.iter().zip(contents()).all(|(old, new)| *old != new));
    let quiet = program(&["--out", out.to_str().unwrap(), "--quiet"]);
    assert!(quiet.status.success() && quiet.stdout.is_empty() && quiet.stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    ensure(&request(folder.path())).unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    for name in ["ca", "server", "client"] {
        assert_eq!(mode(&format!("{name}.key")), 0o600);
        assert_eq!(mode(&format!("{name}.pem")), 0o644);
    }
    fs::set_permissions(folder.path().join("ca.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(renewed(&request(folder.path())), NONE);
    assert_eq!(mode("ca.key"), 0o600);
}

#[test]
fn renews_what_expires_within_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc();
    let at = |moment| Request { now: moment, ..request(folder.path()) };
    assert_eq!(renewed(&at(now)), ALL);
    let leaf_end = now + certgen::LEAF_LIFE;
    assert_eq!(renewed(&at(leaf_end - Duration::hours(25))), NONE);
    assert_eq!(renewed(&at(leaf_end - Duration::hours(23))), ["server", "client"]);
    assert_eq!(renewed(&at(now + certgen::AUTHORITY_LIFE - Duration::hours(23))), ALL);
    // All certificates are now valid only from a later day on.
    assert_eq!(renewed(&at(now)), ALL);
}

#[test]
fn a_leaf_expires_no_later_than_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc();
    ensure(&Request { now, ..request(folder.path()) }).unwrap();
    let late = now + certgen::AUTHORITY_LIFE - Duration::days(30);
    let outcomes = ensure(&Request { now: late, ..request(folder.path()) }).unwrap();
    assert_eq!(outcomes[0].renewed_because, None);
    assert_eq!(outcomes[1].not_after.unix_timestamp(), outcomes[0].not_after.unix_timestamp());
}

#[test]
fn a_missing_name_renews_what_may_not_have_it() {
    let folder = tempfile::tempdir().unwrap();
    ensure(&request(folder.path())).unwrap();
    let more = Request { sans: vec!["lab.example".into(), "10.77.0.2".into()], ..request(folder.path()) };
    // The authority may sign for the names that it was created with.
    assert_eq!(renewed(&more), ALL);
    assert_eq!(renewed(&more), NONE);
    // Additional names are accepted.
    assert_eq!(renewed(&request(folder.path())), NONE);
}

#[test]
fn renews_certificates_that_do_not_match() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ensure(&request(one.path())).unwrap();
    ensure(&request(other.path())).unwrap();
    let copy = |name: &str| fs::copy(other.path().join(name), one.path().join(name)).unwrap();
    copy("server.key");
    assert_eq!(renewed(&request(one.path())), ["server"]);
    copy("client.key");
    copy("client.pem");
    assert_eq!(renewed(&request(one.path())), ["client"]);
    copy("ca.pem");
    copy("ca.key");
    assert_eq!(renewed(&request(one.path())), ["server", "client"]);
    copy("ca.key");
    fs::remove_file(one.path().join("ca.pem")).unwrap();
    assert_eq!(renewed(&request(one.path())), ALL);
    fs::copy(one.path().join("client.pem"), one.path().join("server.pem")).unwrap();
    fs::copy(one.path().join("client.key"), one.path().join("server.key")).unwrap();
    assert_eq!(renewed(&request(one.path())), ["server"]);
}

#[test]
fn renews_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    ensure(&request(folder.path())).unwrap();
    fs::write(folder.path().join("client.pem"), b"\xff\x00 nothing").unwrap();
    assert_eq!(renewed(&request(folder.path())), ["client"]);
    let chain = fs::read_to_string(folder.path().join("server.pem")).unwrap()
        + &fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    fs::write(folder.path().join("server.pem"), chain).unwrap();
    assert_eq!(renewed(&request(folder.path())), ["server"]);
    fs::write(folder.path().join("ca.key"), "").unwrap();
    assert_eq!(renewed(&request(folder.path())), ALL);
}

/// Why the authority in a folder was renewed.
fn reason(request: &Request) -> Option<String> {
    ensure(request).unwrap().swap_remove(0).renewed_because
}

#[test]
fn says_why_an_authority_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    let at = |moment| Request { now: moment, ..request(folder.path()) };
    let (start, end) = (now - certgen::CLOCK_SKEW, now + certgen::AUTHORITY_LIFE);
    for (moment, why) in [
        (start - Duration::seconds(1), format!("it is not valid before {start}")),
        (end, format!("it expired on {end}")),
        (end - Duration::hours(1), format!("it expires within a day, on {end}")),
    ] {
        ensure(&Request { force: true, ..at(now) }).unwrap();
        assert_eq!(reason(&at(moment)), Some(why));
    }
    ensure(&Request { force: true, ..at(now) }).unwrap();
    assert_eq!(reason(&at(start)), None);
    for (ending, file) in [("pem", "server.pem"), ("key", "server.key")] {
        fs::copy(folder.path().join(file), folder.path().join("ca").with_extension(ending)).unwrap();
    }
    assert_eq!(reason(&at(now)).as_deref(), Some("it is not an authority"));
}

/// An authority as certgen makes it, with another name.
fn authority_named(folder: &Path, names: &[(DnType, &str)], permitted: Option<Vec<GeneralSubtree>>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, name) in names {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let constraints =
        |permitted_subtrees| NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() };
    params.name_constraints = permitted.map(constraints);
    fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
}

fn lab_names() -> Vec<GeneralSubtree> {
    let subtree = |name: &&str| match name.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName((*name).to_owned()),
    };
    certgen::SERVER_NAMES.iter().map(subtree).collect()
}

#[test]
fn renews_an_authority_that_it_did_not_create() {
    let folder = tempfile::tempdir().unwrap();
    let own = "plainsight lab CA 1000";
    for names in [
        &[(DnType::CommonName, "another CA")][..],
        &[],
        &[(DnType::OrganizationName, own)],
        &[(DnType::CommonName, own), (DnType::OrganizationName, "x")],
        &[(DnType::OrganizationName, "x"), (DnType::CommonName, own)],
    ] {
        authority_named(folder.path(), names, Some(lab_names()));
        assert_eq!(reason(&request(folder.path())).as_deref(), Some("certgen did not create it"));
    }
    let own = &[(DnType::CommonName, own)];
    authority_named(folder.path(), own, None);
    assert_eq!(reason(&request(folder.path())).as_deref(), Some("it may sign for any name"));
    authority_named(folder.path(), own, Some(lab_names()[1..].to_vec()));
    assert_eq!(reason(&request(folder.path())).as_deref(), Some("it may not sign for agent-b"));
    authority_named(folder.path(), own, Some(lab_names()));
    assert_eq!(renewed(&request(folder.path())), ["server", "client"]);
    assert_eq!(renewed(&request(folder.path())), NONE);
}

#[test]
fn issues_certificates_that_verify_under_a_kept_authority() {
    let folder = tempfile::tempdir().unwrap();
    ensure(&request(folder.path())).unwrap();
    let authority = fs::read(folder.path().join("ca.pem")).unwrap();
    for file in ["server.pem", "client.pem"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    assert_eq!(renewed(&request(folder.path())), ["server", "client"]);
    assert_eq!(fs::read(folder.path().join("ca.pem")).unwrap(), authority);
    // certgen keeps a leaf only if the verifiers of the agents accept it.
    assert_eq!(renewed(&request(folder.path())), NONE);
}

#[test]
fn exits_with_2_and_names_the_file_on_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = program(&["--out", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("file"), "{refused:?}");
    let name = program(&["--out", folder.path().join("certs").to_str().unwrap(), "--san", "한 국"]);
    assert_eq!(name.status.code(), Some(2), "{name:?}");
}

#[test]
fn a_client_of_its_own_has_its_name_as_subject() {
    let folder = tempfile::tempdir().unwrap();
    let with = |clients: &[&str]| Request {
        clients: clients.iter().map(ToString::to_string).collect(),
        ..request(folder.path())
    };
    assert_eq!(renewed(&with(&["alice", "b.c@example.org"])), ["ca", "server", "client", "client", "client"]);
    assert_eq!(renewed(&with(&["alice"])), NONE);
    for name in ["client-alice.pem", "client-alice.key", "client-b.c@example.org.pem"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    for end in ["pem", "key"] {
        let path = |name: &str| folder.path().join(format!("client-{name}.{end}"));
        fs::copy(path("alice"), path("bob")).unwrap();
    }
    assert_eq!(renewed(&with(&["alice", "bob"])), ["client"], "a certificate of another user is renewed");
    for name in ["", "../a", ".a", "a/b", "-a", "a b"] {
        assert!(ensure(&with(&[name])).is_err(), "{name}");
    }
}

/// openssl checks name constraints with code of its own.
#[test]
fn openssl_accepts_the_lab_names_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let now = OffsetDateTime::now_utc();
    let authority = certgen::Authority::new(now, &names(&certgen::SERVER_NAMES)).unwrap();
    fs::write(folder.path().join("ca.pem"), authority.certificate_pem()).unwrap();
    let verify = |names: &[String], flags: &[&str]| {
        fs::write(folder.path().join("server.pem"), authority.issue_server(names, now).unwrap().0).unwrap();
        let openssl = Command::new("openssl")
            .current_dir(folder.path())
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem"])
            .args(flags)
            .arg("server.pem")
            .output();
        openssl.map(|output| (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let Ok(own) = verify(&names(&certgen::SERVER_NAMES), &["-verify_hostname", "localhost"]) else {
        return test_support::skip("openssl is not installed");
    };
    assert!(own.0, "{}", own.1);
    for address in ["127.0.0.1", "::1"] {
        let (accepted, why) = verify(&names(&certgen::SERVER_NAMES), &["-verify_ip", address]).unwrap();
        assert!(accepted, "{address}: {why}");
    }
    for foreign in ["bank.example", "10.0.0.1", "2001:db8::1"] {
        let (accepted, why) = verify(&names(&["localhost", foreign]), &[]).unwrap();
        assert!(!accepted && why.contains("permitted subtree violation"), "{foreign}: {why}");
    }
}

#[test]
fn rustls_refuses_names_that_the_authority_may_not_sign_for() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    let now = OffsetDateTime::now_utc();
    let authority = certgen::Authority::new(now, &["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(std::sync::Arc::new(roots), provider)
            .build()
            .unwrap();
    let accepts = |name: &str| {
        let (certificate, ..) = authority.issue_server(&[name.to_owned()], now).unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        use rustls::client::danger::ServerCertVerifier;
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_ok()
    };
    assert!(accepts("localhost") && accepts("127.0.0.1"));
    assert!(!accepts("bank.example") && !accepts("10.0.0.1") && !accepts("::1"));
}

/// curl's exit status when the certificate of the server does not verify (curl(1), EXIT CODES).
const PEER_NOT_VERIFIED: Option<i32> = Some(60);

/// Serves TLS with a certificate of `authority` for `names` to one curl, which reaches it as `host`. Returns curl's exit status,
/// and what it wrote: the page, or its error.
fn curl(
    authority: &certgen::Authority,
    names: &[&str],
    host: &str,
) -> std::io::Result<(Option<i32>, String)> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read, Write};

    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let (certificate, key, _) = authority.issue_server(&names, OffsetDateTime::now_utc()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ca.pem");
    fs::write(&roots, authority.certificate_pem()).unwrap();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let client = Command::new("curl")
        // Without the user's settings, and connected to the listener whatever the name is.
        .args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(roots)
        .args(["--connect-to", &format!("::{address}"), &format!("https://{host}/")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let server = std::thread::spawn(move || {
        let mut connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
        let mut socket = listener.accept().unwrap().0;
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let mut request = [0; 1024];
        // A client that refuses the certificate sends an alert instead of a request.
        if stream.read(&mut request).is_ok() {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage");
        }
    });
    let output = client.wait_with_output().unwrap();
    // For a curl that did not connect.
    drop(std::net::TcpStream::connect(address));
    server.join().unwrap();
    let words = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&words).into_owned()))
}

#[test]
fn curl_accepts_the_lab_names_and_no_others() {
    let now = OffsetDateTime::now_utc();
    let lab = certgen::SERVER_NAMES;
    let authority_for = |names: &[&str]| {
        certgen::Authority::new(now, &names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    };
    let authority = authority_for(&lab);
    if curl(&authority, &lab, lab[0]).is_err() {
        return test_support::skip("curl is not installed");
    }
    let page = (Some(0), "page".to_owned());
    for name in lab {
        assert_eq!(curl(&authority, &lab, name).unwrap(), page, "{name}");
    }
    for foreign in ["bank.example", "10.0.0.1", "2001:db8::1"] {
        let both = &["localhost", foreign];
        for host in both {
            let (status, words) = curl(&authority, both, host).unwrap();
            assert_eq!(status, PEER_NOT_VERIFIED, "{host}: {words}");
        }
        // The same certificate of an authority that may sign for the name: the constraints are the reason.
        assert_eq!(curl(&authority_for(both), both, foreign).unwrap(), page, "{foreign}");
        let (status, words) = curl(&authority, &lab, foreign).unwrap();
        assert_eq!(status, PEER_NOT_VERIFIED, "{foreign}: {words}");
    }
}
