//! The certificates of the lab: an authority of its own, a server leaf for agent-b and a client leaf.
//!
//! Keys are ECDSA P-256 in PKCS #8, never shown and never committed. A second run keeps what is still good, judged the way
//! agent-a and agent-b will judge it (rustls' own verifier), and renews the rest.
#![forbid(unsafe_code)]

mod files;
mod issue;
mod valid;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use time::{Duration, OffsetDateTime};

pub use issue::{Authority, Leaf};

/// The names every server certificate stands for; `--san` adds to them.
pub const SERVER_NAMES: [&str; 4] = ["agent-b", "localhost", "127.0.0.1", "::1"];

/// The name in the client certificate.
pub const CLIENT_NAME: &str = "agent-a";

/// What has less than this to live is renewed, so that no run begins with a certificate that ends during it.
pub const RENEW_WITHIN: Duration = Duration::days(1);

/// How long an authority lives.
pub const AUTHORITY_LIFE: Duration = Duration::days(3650);

/// How long a leaf lives, but never longer than its authority.
pub const LEAF_LIFE: Duration = Duration::days(365);

/// Certificates count from an hour ago: the clocks of containers and machines differ.
pub const CLOCK_SKEW: Duration = Duration::hours(1);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder the files go into; made if it is not there.
    pub out: PathBuf,
    /// Names and addresses of the server beside [`SERVER_NAMES`].
    pub sans: Vec<String>,
    /// Renew everything.
    pub force: bool,
    /// The moment to judge by; [`Request::new`] takes the present one.
    pub now: OffsetDateTime,
}

impl Request {
    /// Certificates in `out`, as of now.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self { out: out.into(), sans: Vec::new(), force: false, now: OffsetDateTime::now_utc() }
    }
}

/// One certificate with its key, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `ca`, `server` or `client`.
    pub name: &'static str,
    /// The certificate file; the key stands beside it as `.key`.
    pub certificate: PathBuf,
    /// Why it was made anew; `None` when what was there is kept.
    pub renewed_because: Option<String>,
    /// When it ends.
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

/// Makes what is missing or no longer good in `request.out`, keeps the rest, and says which is which.
///
/// # Errors
/// When the folder or a file cannot be written, a file that is there cannot be read, or a name in `sans` is none.
pub fn ensure(request: &Request) -> Result<Vec<Outcome>> {
    std::fs::create_dir_all(&request.out)
        .with_context(|| format!("cannot make {}", request.out.display()))?;
    let pair = |name| files::Pair::in_folder(&request.out, name);

    let ca = pair("ca");
    let (authority, first) = match kept_or(&ca, request, valid::authority)? {
        Kept::Good(authority, not_after) => (authority, outcome("ca", &ca, None, not_after)),
        Kept::No(why) => {
            let authority = Authority::new(request.now)?;
            ca.write(authority.certificate_pem(), &authority.key_pem())?;
            let not_after = authority.not_after();
            (authority, outcome("ca", &ca, Some(why), not_after))
        }
    };
    let mut outcomes = vec![first];

    let server_names: Vec<String> =
        SERVER_NAMES.iter().map(ToString::to_string).chain(request.sans.iter().cloned()).collect();
    let leaves =
        [("server", server_names, Leaf::Server), ("client", vec![CLIENT_NAME.to_owned()], Leaf::Client)];
    for (name, names, kind) in leaves {
        let pair = pair(name);
        let check =
            |pair: &files::Pem, now| valid::leaf(pair, authority.certificate_pem(), &names, kind, now);
        outcomes.push(match kept_or(&pair, request, check)? {
            Kept::Good((), not_after) => outcome(name, &pair, None, not_after),
            Kept::No(why) => {
                let (certificate, key, not_after) = authority.issue(&names, kind, request.now)?;
                pair.write(&certificate, &key)?;
                outcome(name, &pair, Some(why), not_after)
            }
        });
    }
    Ok(outcomes)
}

enum Kept<T> {
    Good(T, OffsetDateTime),
    No(String),
}

/// Whether the pair may stay: it is there, `check` has nothing against it, and nobody forces.
fn kept_or<T>(
    pair: &files::Pair,
    request: &Request,
    check: impl FnOnce(&files::Pem, OffsetDateTime) -> Result<(T, OffsetDateTime)>,
) -> Result<Kept<T>> {
    if request.force {
        return Ok(Kept::No("--force".into()));
    }
    let Some(pem) = pair.read()? else { return Ok(Kept::No("it was not there".into())) };
    Ok(match check(&pem, request.now) {
        Ok((value, not_after)) => {
            pair.narrow_key()?;
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
