//! What TLS connections and QUIC sessions use.

use std::collections::BTreeSet;

use exposure_schema::{Capture, CertificateEntry, KeyExchange};
use time::OffsetDateTime;

use crate::file::{Tls, Version};
use crate::judgement::{Found, Outcome, Place};

const MINIMUM: &str = "tls.minimum";
const POST_QUANTUM: &str = "tls.post-quantum";
const FORWARD_SECRECY: &str = "tls.forward-secrecy";
const CERTIFICATES: &str = "tls.certificates";

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A TLS connection or a QUIC session.
struct Secured<'c> {
    /// Address and port of the server.
    server: &'c str,
    name: Option<&'c str>,
    version: Option<&'c str>,
    is_post_quantum: Option<bool>,
    key_exchange: Option<KeyExchange>,
    certificates: Vec<&'c CertificateEntry>,
    /// When it began, in seconds since 1970; `None` if the capture does not list it.
    began: Option<i64>,
    place: Place,
}

pub(crate) fn judge(rules: &Tls, capture: &Capture, found: &mut Found<'_>) {
    if *rules == Tls::default() {
        return;
    }
    let secured = secured(capture);
    if secured.is_empty() {
        let text = "the capture has no TLS connection and no QUIC session, so that no rule for TLS is judged by anything";
        found.add(MINIMUM, Outcome::Undecided, "none", text, Vec::new());
    }
    for one in &secured {
        of_one(rules, one, found);
    }
    if let Some(rule) = &rules.certificates {
        certificates(rule.valid_for_days, &secured, found);
    }
    let listed = capture.tls.as_ref().map_or(0, |tls| tls.sessions.len() as u64);
    let total = capture.tls.as_ref().map_or(0, |tls| tls.connections);
    let quic = capture.quic.as_ref().map_or(0, |quic| quic.sessions_total - quic.sessions.len() as u64);
    if total > listed || quic > 0 {
        let text = format!(
            "{} TLS connections and QUIC sessions are not in the result's list",
            total.saturating_sub(listed) + quic
        );
        found.add(MINIMUM, Outcome::Undecided, "list", text, Vec::new());
    }
}

fn secured(capture: &Capture) -> Vec<Secured<'_>> {
    let began = |stream: u32| {
        let connection = capture.connections.iter().find(|connection| connection.stream == stream)?;
        i64::try_from(connection.first_frame_at_unix_ns / 1_000_000_000).ok()
    };
    let over_tcp = capture.tls.iter().flat_map(|tls| &tls.sessions).map(|session| {
        let visible = &session.visible;
        Secured {
            server: &session.server,
            name: visible.server_name.as_deref(),
            version: visible.version.as_deref(),
            is_post_quantum: visible.post_quantum_hybrid,
            key_exchange: visible.key_exchange,
            certificates: visible.certificates.iter().chain(&session.hidden.certificates).collect(),
            began: began(session.stream),
            place: Place::stream(session.stream),
        }
    });
    let over_quic = capture.quic.iter().flat_map(|quic| &quic.sessions).map(|session| Secured {
        server: &session.server,
        name: session.server_name.as_deref().or(session.looked_up.as_deref()),
        // QUIC has no older version (RFC 9001 §4.2).
        version: Some("TLS 1.3"),
        is_post_quantum: session.post_quantum_hybrid,
        key_exchange: match session.post_quantum_hybrid {
            Some(true) => Some(KeyExchange::PostQuantum),
            Some(false) => Some(KeyExchange::ForwardSecret),
            None => None,
        },
        certificates: session.hidden.certificates.iter().collect(),
        began: capture.first_frame_at_unix_ns.and_then(|at| i64::try_from(at / 1_000_000_000).ok()),
        place: Place::frame(session.first_frame, None),
    });
    over_tcp.chain(over_quic).collect()
}

impl Secured<'_> {
    fn peer(&self) -> String {
        match self.name {
            Some(name) => format!("{} ({name})", self.server),
            None => self.server.to_owned(),
        }
    }
}

fn of_one(rules: &Tls, one: &Secured<'_>, found: &mut Found<'_>) {
    let place = || vec![one.place.clone()];
    let peer = one.peer();
    if let Some(minimum) = rules.minimum {
        let name = minimum.name();
        match one.version {
            None => {
                let text = format!("the capture does not show the version of the connection with {peer}");
                found.add(MINIMUM, Outcome::Undecided, one.server, text, place());
            }
            Some(version) if Version::named(version).is_none_or(|version| version < minimum) => {
                let text = format!("{peer} uses {version}, older than {name}");
                found.add(MINIMUM, Outcome::Violated, one.server, text, place());
            }
            Some(_) => {}
        }
    }
    if let Some(wanted) = rules.post_quantum {
        match one.is_post_quantum {
            None => {
                let text = format!("the capture does not show the key exchange with {peer}");
                found.add(POST_QUANTUM, Outcome::undecided(wanted), one.server, text, place());
            }
            Some(false) => {
                let text = format!(
                    "the key exchange with {peer} is not post-quantum: a recording may be opened later"
                );
                found.add(POST_QUANTUM, Outcome::of(wanted), one.server, text, place());
            }
            Some(true) => {}
        }
    }
    if let Some(wanted) = rules.forward_secrecy {
        let why = match one.key_exchange {
            Some(KeyExchange::PostQuantum | KeyExchange::ForwardSecret) => return,
            Some(KeyExchange::NotForwardSecret) => "the server's key or the shared key opens a recording",
            Some(KeyExchange::Unauthenticated) => "neither side proves who it is",
            None => {
                let text = format!("the capture does not show the key exchange with {peer}");
                found.add(FORWARD_SECRECY, Outcome::undecided(wanted), one.server, text, place());
                return;
            }
        };
        found.add(FORWARD_SECRECY, Outcome::of(wanted), one.server, format!("{peer}: {why}"), place());
    }
}

/// A certificate must be valid at the time of its connection, and for some days behind it. Of a resumed connection there is
/// none, so one connection with a server is enough.
fn certificates(days: u32, secured: &[Secured<'_>], found: &mut Found<'_>) {
    let shown: BTreeSet<&str> =
        secured.iter().filter(|one| !one.certificates.is_empty()).map(|one| one.server).collect();
    let mut missing = BTreeSet::new();
    for one in secured {
        let peer = one.peer();
        if !shown.contains(one.server) && missing.insert(one.server) {
            let text = format!("the certificate of {peer} is not visible: it takes a key log");
            found.add(CERTIFICATES, Outcome::Undecided, one.server, text, vec![one.place.clone()]);
        }
        for certificate in &one.certificates {
            let Some(began) = one.began else {
                let text = format!("the result does not list when the connection with {peer} began");
                found.add(CERTIFICATES, Outcome::Undecided, one.server, text, vec![one.place.clone()]);
                break;
            };
            if let Some(why) = unfit(certificate, began, days) {
                let text = format!("the certificate {} of {peer} {why}", certificate.subject);
                found.add(
                    CERTIFICATES,
                    Outcome::Violated,
                    &certificate.sha256,
                    text,
                    vec![one.place.clone()],
                );
            }
        }
    }
}

/// Why a certificate is not valid from this moment on for some days; `None` if it is.
fn unfit(certificate: &CertificateEntry, at: i64, days: u32) -> Option<String> {
    let (Some(from), Some(until)) = (certificate.not_before_unix, certificate.not_after_unix) else {
        return Some("has no readable validity".to_owned());
    };
    if at < from {
        return Some(format!("is valid from {} on only", day(from)));
    }
    if at > until {
        return Some(format!("expired on {}", day(until)));
    }
    let rest = (until - at) / DAY_SECONDS;
    (rest < i64::from(days)).then(|| format!("expires on {}, {rest} days after the connection", day(until)))
}

fn day(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix).map_or_else(|_| unix.to_string(), |at| at.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Wanted;

    fn certificate(from: Option<i64>, until: Option<i64>) -> CertificateEntry {
        CertificateEntry {
            subject: "CN=b".into(),
            issuer: "CN=ca".into(),
            subject_alt_names: Vec::new(),
            not_before_unix: from,
            not_after_unix: until,
            sha256: "00".into(),
        }
    }

    #[test]
    fn certificates_are_valid_at_their_connection_and_for_some_days() {
        let days = |days: i64| Some(days * DAY_SECONDS);
        for (from, until, at, valid_for, why) in [
            (days(0), days(20), 5, 14, None),
            (days(0), days(20), 7, 14, Some("expires on 1970-01-21, 13 days after the connection")),
            (days(0), days(20), 21, 0, Some("expired on 1970-01-21")),
            (days(6), days(20), 5, 0, Some("is valid from 1970-01-07 on only")),
            (None, days(20), 5, 0, Some("has no readable validity")),
        ] {
            let found = unfit(&certificate(from, until), at * DAY_SECONDS, valid_for);
            assert_eq!(found.as_deref(), why);
        }
    }

    fn judged(rules: &Tls, one: &Secured<'_>) -> Vec<(&'static str, Outcome)> {
        let mut found = Found { capture: "a", file: "a.pcap", violations: Vec::new() };
        of_one(rules, one, &mut found);
        found.violations.iter().map(|violation| (violation.rule, violation.outcome)).collect()
    }

    fn secured() -> Secured<'static> {
        Secured {
            server: "192.0.2.1:443",
            name: None,
            version: Some("TLS 1.2"),
            is_post_quantum: Some(false),
            key_exchange: Some(KeyExchange::ForwardSecret),
            certificates: Vec::new(),
            began: None,
            place: Place::stream(0),
        }
    }

    #[test]
    fn versions_and_key_exchanges_follow_the_rules() {
        let rules = |minimum, post_quantum, forward_secrecy| Tls {
            minimum,
            post_quantum,
            forward_secrecy,
            certificates: None,
        };
        let minimum = |version| rules(Some(version), None, None);
        assert_eq!(judged(&minimum(Version::Tls12), &secured()), []);
        assert_eq!(judged(&minimum(Version::Tls13), &secured()), [(MINIMUM, Outcome::Violated)]);
        let ssl = Secured { version: Some("SSL 3.0"), ..secured() };
        assert_eq!(judged(&minimum(Version::Tls10), &ssl), [(MINIMUM, Outcome::Violated)]);
        let unknown = Secured { version: None, is_post_quantum: None, key_exchange: None, ..secured() };
        assert_eq!(judged(&minimum(Version::Tls10), &unknown), [(MINIMUM, Outcome::Undecided)]);

        let wanted = |wanted| rules(None, Some(wanted), Some(wanted));
        assert_eq!(judged(&wanted(Wanted::Required), &secured()), [(POST_QUANTUM, Outcome::Violated)]);
        assert_eq!(judged(&wanted(Wanted::Wished), &secured()), [(POST_QUANTUM, Outcome::Wish)]);
        let undecided = [(POST_QUANTUM, Outcome::Undecided), (FORWARD_SECRECY, Outcome::Undecided)];
        assert_eq!(judged(&wanted(Wanted::Required), &unknown), undecided);
        let static_rsa = Secured {
            is_post_quantum: Some(true),
            key_exchange: Some(KeyExchange::NotForwardSecret),
            ..secured()
        };
        assert_eq!(judged(&wanted(Wanted::Required), &static_rsa), [(FORWARD_SECRECY, Outcome::Violated)]);
    }
}
