//! Shows the names that were asked for, and the QUIC sessions.

use std::fmt::Write as _;

use exposure_schema::{Capture, DnsLookup, QuicSession};

use super::{FAINT, MAX_ROWS, MAX_SESSIONS, heading, rest, safe, shortened};

/// Writes one section for all captures that have either.
pub(super) fn write(out: &mut String, captures: &[&Capture]) -> std::fmt::Result {
    let has_any = |capture: &&&Capture| capture.dns.is_some() || capture.quic.is_some();
    if captures.iter().any(|capture| has_any(&capture)) {
        heading(out, "What DNS and QUIC show")?;
        for capture in captures.iter().filter(has_any) {
            of_capture(out, capture)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the rows of one capture.
pub(super) fn of_capture(out: &mut String, capture: &Capture) -> std::fmt::Result {
    if let Some(dns) = &capture.dns {
        for lookup in dns.lookups.iter().take(MAX_ROWS) {
            writeln!(out, "  {}", one_lookup(lookup))?;
        }
        rest(out, dns.lookups_total, "DNS lookups")?;
    }
    if let Some(quic) = &capture.quic {
        for session in quic.sessions.iter().take(MAX_SESSIONS) {
            writeln!(out, "  {}", one_session(session))?;
        }
        if let Some(more @ 1..) = quic.sessions_total.checked_sub(MAX_SESSIONS as u64) {
            writeln!(out, "  … and {more} more QUIC sessions; --format json lists them")?;
        }
    }
    Ok(())
}

fn one_lookup(lookup: &DnsLookup) -> String {
    let frame = lookup.query_frame.or(lookup.answer_frame).unwrap_or_default();
    let (name, kind) = (shortened(&lookup.name, 60), safe(&lookup.record_type));
    let mut text = format!("frame {frame}: {} asks for {kind} {name}", safe(&lookup.protocol).to_uppercase());
    if lookup.query_frame.is_none() {
        text = format!("frame {frame}: {} answers {kind} {name}", safe(&lookup.protocol).to_uppercase());
    }
    let data: Vec<&str> = lookup.answers.iter().map(|answer| answer.data.as_str()).collect();
    match lookup.response_code.as_deref() {
        Some("NoError") if !data.is_empty() => text += &format!(": {}", shortened(&data.join(", "), 60)),
        Some(code) => text += &format!(": {}", safe(code)),
        None => {}
    }
    if !lookup.connections.is_empty() {
        let streams: Vec<_> = lookup.connections.iter().take(MAX_SESSIONS).map(u32::to_string).collect();
        let more = if lookup.connections.len() > streams.len() { ", …" } else { "" };
        text += &format!("  {FAINT}then tcp.stream {}{more}{FAINT:#}", streams.join(", "));
    }
    text
}

fn one_session(session: &QuicSession) -> String {
    let version = safe(session.version.as_deref().unwrap_or("QUIC"));
    let mut text = format!("frame {}: {version}, server {}", session.first_frame, safe(&session.server));
    if let Some(name) = &session.server_name {
        text += &format!(", name {}", safe(name));
    } else if let Some(name) = &session.looked_up {
        text += &format!(", looked up as {}", safe(name));
    }
    if !session.alpn_offered.is_empty() {
        text += &format!(", ALPN {}", safe(&session.alpn_offered.join(" ")));
    }
    let details = [&session.cipher_suite, &session.named_group];
    for detail in details.into_iter().flatten() {
        text += &format!(", {}", safe(detail));
    }
    if let Some(certificate) = session.hidden.certificates.first() {
        text += &format!(", certificate {}", safe(&certificate.subject));
    }
    if session.decrypted_packets > 0 {
        text += &format!("  {FAINT}{} packets decrypted{FAINT:#}", session.decrypted_packets);
    }
    text += &format!("  {FAINT}{} packets closed{FAINT:#}", session.closed_packets);
    text
}
