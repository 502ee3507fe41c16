//! certgen as a program and as a library, on real files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use certgen::{Request, ensure};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
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
fn a_missing_name_renews_the_server_only() {
    let folder = tempfile::tempdir().unwrap();
    ensure(&request(folder.path())).unwrap();
    let more = Request { sans: vec!["lab.example".into(), "10.77.0.2".into()], ..request(folder.path()) };
    assert_eq!(renewed(&more), ["server"]);
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
fn authority_named(folder: &Path, names: &[(DnType, &str)]) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, name) in names {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
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
        authority_named(folder.path(), names);
        assert_eq!(reason(&request(folder.path())).as_deref(), Some("certgen did not create it"));
    }
    authority_named(folder.path(), &[(DnType::CommonName, own)]);
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
