//! TCP and TLS connections as they enter the result.

use dissect::tls::Certificate;
use exposure_schema::{
    CertificateEntry, ConnectionEntry, Tls, TlsHidden, TlsRecords, TlsSession, TlsVisible,
};

use crate::observe::connections::{Described, Streams, TlsConnection};
use crate::pipeline::connection::endpoint;

/// The first TCP connections.
pub(crate) fn connections(streams: &Streams) -> Vec<ConnectionEntry> {
    streams.described.iter().map(connection).collect()
}

fn connection(connection: &Described) -> ConnectionEntry {
    let course = &connection.course;
    ConnectionEntry {
        stream: connection.index,
        client: endpoint(connection.client),
        server: endpoint(connection.server),
        first_frame: course.first.0,
        last_frame: course.last.0,
        first_frame_at_unix_ns: course.first.1,
        last_frame_at_unix_ns: course.last.1,
        frames: course.frames,
        wire_bytes: course.wire_bytes,
        payload_bytes: course.payload,
        // What was not seen from its beginning may have waited before.
        round_trips_before_first_answer: course.waiting.until_answer().filter(|_| connection.handshake_seen),
        ended: course.ended,
    }
}

/// What TLS shows; `None` if there is none.
pub(crate) fn tls(streams: &Streams) -> Option<Tls> {
    let records = &streams.tls_records;
    (streams.tls > 0).then(|| Tls {
        connections: streams.tls,
        records: TlsRecords {
            total: records.total,
            application_data: records.application_data,
            authenticated: records.authenticated,
            failed: records.failed,
            not_opened: records.not_opened,
        },
        sessions: streams.tls_connections.iter().map(tls_session).collect(),
    })
}

fn tls_session(connection: &TlsConnection) -> TlsSession {
    let facts = &connection.facts;
    let certificates: Vec<_> =
        facts.certificates.iter().map(|certificate| certificate_entry(certificate)).collect();
    let (shown, hidden) =
        if facts.certificates_visible { (certificates, Vec::new()) } else { (Vec::new(), certificates) };
    TlsSession {
        stream: connection.index,
        client: endpoint(connection.client),
        server: endpoint(connection.server),
        visible: TlsVisible {
            server_name: facts.server_name.clone(),
            versions_offered: facts.versions_offered.clone(),
            alpn_offered: facts.alpn_offered.clone(),
            alpn: facts.alpn.clone().filter(|_| facts.alpn_visible),
            version: facts.version.clone(),
            cipher_suite: facts.cipher_suite.clone(),
            named_group: facts.named_group.clone(),
            post_quantum_hybrid: facts.post_quantum_hybrid,
            certificates: shown,
            records: connection.records,
            stream_bytes: connection.protected_bytes,
        },
        hidden: TlsHidden { alpn: facts.alpn.clone().filter(|_| !facts.alpn_visible), certificates: hidden },
    }
}

fn certificate_entry(certificate: &Certificate) -> CertificateEntry {
    let fields = certificate.fields.as_ref().ok();
    CertificateEntry {
        subject: fields.map_or_else(String::new, |fields| fields.subject.clone()),
        issuer: fields.map_or_else(String::new, |fields| fields.issuer.clone()),
        subject_alt_names: fields.map_or_else(Vec::new, |fields| fields.subject_alt_names.clone()),
        sha256: crate::hex(&certificate.sha256),
    }
}
