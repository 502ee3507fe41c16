//! The certificates of the lab: a certificate authority, a server certificate for agent-b and a client certificate.
//!
//! Keys are ECDSA P-256 in PKCS #8, and never printed or committed. A second run keeps certificates that are still valid
//! according to the verifier that agent-a and agent-b use (rustls' own), and renews the others.
#![forbid(unsafe_code)]

mod cli;
mod files;
mod issue;
mod valid;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use time::{Duration, OffsetDateTime};

pub use cli::{Cli, main};
pub use issue::Authority;
use valid::Leaf;

/// The names in every server certificate; `--san` adds to them.
pub const SERVER_NAMES: [&str; 4] = ["agent-b", "localhost", "127.0.0.1", "::1"];

/// The name in the client certificate.
pub const CLIENT_NAME: &str = "agent-a";

/// Certificates that expire within this time are renewed, so that none expires during a run.
pub const RENEW_WITHIN: Duration = Duration::days(1);

/// Lifetime of an authority: one that leaks is of no use for long.
pub const AUTHORITY_LIFE: Duration = Duration::days(90);

/// Lifetime of a server or client certificate, at most that of its authority.
pub const LEAF_LIFE: Duration = Duration::days(30);

/// Certificates are valid from this long ago, because the clocks of machines differ.
pub const CLOCK_SKEW: Duration = Duration::hours(1);

/// A request for certificates.
#[derive(Clone, Debug)]
pub struct Request {
    /// Folder of the files; created if it is missing.
    pub out: PathBuf,
    /// Names and addresses of the server, in addition to [`SERVER_NAMES`].
    pub sans: Vec<String>,
    /// Users who get a client certificate of their own, in addition to [`CLIENT_NAME`].
    pub clients: Vec<String>,
    /// Whether to renew all certificates.
    pub force: bool,
    /// The time for which validity is checked; [`Request::new`] uses the current time.
    pub now: OffsetDateTime,
}

impl Request {
    /// A request for certificates in `out` that are valid now.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            sans: Vec::new(),
            clients: Vec::new(),
            force: false,
            now: OffsetDateTime::now_utc(),
        }
    }
}

/// A certificate that was kept or renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `ca`, `server` or `client`.
    pub name: &'static str,
    /// The certificate file; the key is beside it, with the extension `.key`.
    pub certificate: PathBuf,
    /// Why the certificate was renewed; `None` if it was kept.
    pub renewed_because: Option<String>,
    /// When the certificate expires.
    pub not_after: OffsetDateTime,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.not_after.date();
        match &self.renewed_because {
            None => write!(out, "kept     {} (until {until})", self.certificate.display()),
            Some(why) => write!(out, "renewed  {} (until {until}): {why}", self.certificate.display()),
        }
    }
}

/// Keeps the valid certificates in `request.out`, creates or renews the others, and returns the outcome of each.
///
/// # Errors
/// If the folder or a file cannot be written, a file cannot be read, or a name in `sans` or `clients` is not valid.
pub fn ensure(request: &Request) -> Result<Vec<Outcome>> {
    std::fs::create_dir_all(&request.out)
        .with_context(|| format!("cannot create the folder {}", request.out.display()))?;
    let pair = |name: &str| files::Pair::in_folder(&request.out, name);

    for client in &request.clients {
        ensure!(is_file_name(client), "`{client}` is no name of a client: letters, digits and . _ - @ +");
    }
    for name in &request.sans {
        ServerName::try_from(name.as_str())
            .with_context(|| format!("`{name}` is not a DNS name or IP address"))?;
    }
    let server_names: Vec<String> = SERVER_NAMES
        .iter()
        .map(ToString::to_string)
        .chain(request.sans.iter().map(|name| canonical(name)))
        .collect();
    let ca = pair("ca");
    let (authority, first) =
        match kept_or(&ca, request, |pem, now| valid::authority(pem, now, &server_names))? {
            Kept::Good(authority, not_after) => (authority, outcome("ca", &ca, None, not_after)),
            Kept::No(why) => {
                let authority = Authority::new(request.now, &server_names)?;
                ca.write(authority.certificate_pem(), &authority.key_pem())?;
                let not_after = authority.not_after();
                (authority, outcome("ca", &ca, Some(why), not_after))
            }
        };
    let mut outcomes = vec![first];
    let own_client = ("client".to_owned(), CLIENT_NAME);
    let others = request.clients.iter().map(|name| (format!("client-{name}"), name.as_str()));
    let clients =
        std::iter::once(own_client).chain(others).map(|(file, name)| ("client", file, Leaf::Client(name)));
    let server = ("server", "server".to_owned(), Leaf::Server(&server_names));
    for (name, file, leaf) in std::iter::once(server).chain(clients) {
        let pair = pair(&file);
        let check = |pair: &files::Pem, now| valid::leaf(pair, authority.certificate_pem(), leaf, now);
        outcomes.push(match kept_or(&pair, request, check)? {
            Kept::Good((), not_after) => outcome(name, &pair, None, not_after),
            Kept::No(why) => {
                let (certificate, key, not_after) = match leaf {
                    Leaf::Server(names) => authority.issue_server(names, request.now)?,
                    Leaf::Client(name) => authority.issue_client(name, request.now)?,
                };
                pair.write(&certificate, &key)?;
                outcome(name, &pair, Some(why), not_after)
            }
        });
    }
    Ok(outcomes)
}

/// An address in the one form that certificates are read back in.
fn canonical(name: &str) -> String {
    name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string())
}

/// Whether the name can be part of a file's name; the users of the gateway can.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 200
        && name.bytes().all(is_plain)
}

enum Kept<T> {
    Good(T, OffsetDateTime),
    No(String),
}

/// Whether the pair is kept: it exists, `check` accepts it, and the request does not force a renewal.
fn kept_or<T>(
    pair: &files::Pair,
    request: &Request,
    check: impl FnOnce(&files::Pem, OffsetDateTime) -> Result<(T, OffsetDateTime)>,
) -> Result<Kept<T>> {
    if request.force {
        return Ok(Kept::No("--force".into()));
    }
    let Some(pem) = pair.read()? else { return Ok(Kept::No("it is missing".into())) };
    Ok(match check(&pem, request.now) {
        Ok((value, not_after)) => {
            pair.restrict_key()?;
            Kept::Good(value, not_after)
        }
        Err(why) => Kept::No(format!("{why:#}")),
    })
}

fn outcome(
    name: &'static str,
    pair: &files::Pair,
    why: Option<String>,
    not_after: OffsetDateTime,
) -> Outcome {
    Outcome { name, certificate: pair.certificate().to_owned(), renewed_because: why, not_after }
}
