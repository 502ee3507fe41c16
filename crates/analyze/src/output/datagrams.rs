//! Writes DNS and QUIC into the result.

use std::sync::Arc;

use dissect::tls::{Certificate, NamedGroup};
use exposure_schema::{CertificateEntry, Dns, DnsAnswer, DnsLookup, Quic, QuicSession, TlsHidden};

use crate::observe::connections::Connections;
use crate::observe::dns::{DnsTable, Lookup};
use crate::observe::quic::{self, QuicTable};
use crate::output::connections::certificate_entry;

/// The DNS part of the result; `None` if the capture contains no DNS.
pub(crate) fn dns(table: &DnsTable, connections: &Connections) -> Option<Dns> {
    (table.messages > 0).then(|| Dns {
        messages: table.messages,
        lookups: table.lookups.iter().map(|found| lookup(found, connections)).collect(),
        lookups_total: table.total,
    })
}

fn lookup(found: &Lookup, connections: &Connections) -> DnsLookup {
    let of_stream = found.stream.and_then(|stream| connections.described.get(stream as usize)?.ends);
    let of_stream = of_stream.map(|ends| [ends.client.to_string(), ends.server.to_string()]);
    let ends = found.ends.map(|ends| ends.map(|end| end.to_string())).or(of_stream);
    let [client, server] = ends.map_or([None, None], |ends| ends.map(Some));
    let answers = found.answers.iter().map(|answer| DnsAnswer {
        name: answer.name.clone(),
        record_type: answer.record_type.clone(),
        data: answer.data.clone(),
    });
    DnsLookup {
        name: found.name.clone(),
        record_type: found.kind.to_string(),
        protocol: found.protocol.to_owned(),
        stream: found.stream,
        client,
        server,
        query_frame: found.query_frame,
        answer_frame: found.answer_frame,
        response_code: found.response_code.clone(),
        answers: answers.collect(),
        answers_total: found.answers_total,
        connections: found.connections.clone(),
        needs_key: found.needs_key,
    }
}

/// The QUIC part of the result; `None` if the capture contains no QUIC.
pub(crate) fn quic(table: &QuicTable) -> Option<Quic> {
    (table.total > 0).then(|| Quic {
        sessions: table.sessions.iter().map(session).collect(),
        sessions_total: table.total,
        datagrams: table.datagrams,
    })
}

fn certificates(chain: &[Arc<Certificate>]) -> Vec<CertificateEntry> {
    chain.iter().map(|certificate| certificate_entry(certificate)).collect()
}

fn session(found: &quic::QuicSession) -> QuicSession {
    QuicSession {
        client: found.client.to_string(),
        server: found.server.to_string(),
        first_frame: found.first_frame,
        last_frame: found.last_frame,
        datagrams: found.datagrams.into_array(),
        payload_bytes: found.payload.into_array(),
        version: found.version.clone(),
        versions_negotiated: found.versions_negotiated.clone(),
        retry: found.has_retry,
        initial_packets: found.initial,
        decrypted_packets: found.decrypted,
        closed_packets: found.closed,
        server_name: found.server_name.clone(),
        looked_up: found.looked_up.clone(),
        alpn_offered: found.alpn_offered.clone(),
        tls_versions_offered: found.tls_versions_offered.clone(),
        cipher_suite: found.cipher_suite.clone(),
        named_group: found.named_group.map(|group| group.to_string()),
        post_quantum_hybrid: found.named_group.map(NamedGroup::is_post_quantum_hybrid),
        ja4: found.ja4.clone(),
        hidden: TlsHidden {
            alpn: found.alpn.clone(),
            certificates: certificates(&found.certificates.server_to_client),
            client_certificates: certificates(&found.certificates.client_to_server),
        },
    }
}
