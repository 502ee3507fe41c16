//! Writes TCP and TLS connections into the result.

use data_encoding::HEXLOWER;
use dissect::encapsulation::Encapsulation;
use dissect::flow::Endpoints;
use dissect::ip::Address;
use dissect::tls::{self, Certificate};
use exposure_schema::{
    CertificateEntry, ConnectionEntry, EncapsulationEntry, Ended, HandshakeField, HandshakeText,
    HandshakeWord, KeyExchange, Tls, TlsHidden, TlsRecords, TlsSession, TlsVisible, WordKind,
};

use crate::observe::connections::{Certificates, Connections, Described, TlsConnection};
use crate::observe::text_fields::{Field, Found, TextFields, Word};
use crate::pipeline::fact::ConnectionEnd;

/// The first TCP connections.
pub(crate) fn connections(connections: &Connections) -> Vec<ConnectionEntry> {
    connections.described.iter().filter_map(connection).collect()
}

/// `None` for a connection that was not closed. Every connection is closed at the end of the capture at the latest.
fn connection(connection: &Described) -> Option<ConnectionEntry> {
    let Endpoints { client, server } = connection.ends?;
    Some(ConnectionEntry {
        stream: connection.stream,
        client: client.to_string(),
        server: server.to_string(),
        first_frame: connection.first.0,
        last_frame: connection.last.0,
        first_frame_at_unix_ns: connection.first.1,
        last_frame_at_unix_ns: connection.last.1,
        frames: connection.frames,
        wire_bytes: connection.wire_bytes,
        payload_bytes: connection.payload.into_array(),
        // A connection without its beginning may have had earlier round trips.
        round_trips_before_first_answer: connection
            .round_trips
            .until_answer()
            .filter(|_| connection.handshake_seen),
        ended: match connection.end {
            Some(ConnectionEnd::Fin) => Ended::Fin,
            Some(ConnectionEnd::Rst) => Ended::Rst,
            None => Ended::Open,
        },
        encapsulations: connection
            .around
            .iter()
            .flat_map(|around| &around.encapsulations)
            .map(encapsulation)
            .collect(),
        vlan: connection.around.iter().flat_map(|around| around.vlan.numbers()).copied().collect(),
    })
}

fn encapsulation(layer: &Encapsulation) -> EncapsulationEntry {
    let (source, destination) = layer.ends.unzip();
    let text = |address: Option<Address>| address.map(|address| address.to_ip().to_string());
    EncapsulationEntry {
        kind: layer.kind.to_string(),
        id: layer.id,
        source: text(source),
        destination: text(destination),
    }
}

/// The TLS part of the result; `None` if the capture contains no TLS.
pub(crate) fn tls(connections: &Connections, fields: Option<&TextFields>) -> Option<Tls> {
    let records = &connections.tls_records;
    (connections.tls > 0).then(|| Tls {
        connections: connections.tls,
        records: TlsRecords {
            total: records.total,
            application_data: records.application_data,
            authenticated: records.authenticated,
            failed: records.failed,
            not_opened: records.not_decrypted,
        },
        sessions: connections.tls_connections.values().filter_map(tls_session).collect(),
        known_from_handshake: fields.iter().flat_map(|fields| texts(fields)).collect(),
        words_in_handshake: fields.iter().flat_map(|fields| &fields.found).map(word).collect(),
        words_in_handshake_total: fields.map_or(0, |fields| fields.found_total),
    })
}

fn texts(fields: &TextFields) -> impl Iterator<Item = HandshakeText> {
    fields.said.iter().map(|((at, text), said)| HandshakeText {
        field: field(*at),
        text: text.clone(),
        times: said.times,
        stream: said.stream,
    })
}

fn word(found: &Found) -> HandshakeWord {
    HandshakeWord {
        field: field(found.field),
        text: found.text.clone(),
        word: found.word.clone(),
        is: match found.what {
            Word::Value => WordKind::Value,
            Word::Key => WordKind::Key,
        },
        stream: found.stream,
        frame: found.frame,
    }
}

fn field(field: Field) -> HandshakeField {
    match field {
        Field::ServerName => HandshakeField::ServerName,
        Field::Alpn => HandshakeField::Alpn,
        Field::Version => HandshakeField::Version,
        Field::CertificateName => HandshakeField::CertificateName,
    }
}

fn tls_session(connection: &TlsConnection) -> Option<TlsSession> {
    let Endpoints { client, server } = connection.ends?;
    let facts = &connection.handshake;
    let certificates = |of: &Certificates, are_visible| -> Vec<_> {
        let chain = of.chain.iter().filter(|_| of.are_visible == are_visible);
        chain.map(|certificate| certificate_entry(certificate)).collect()
    };
    Some(TlsSession {
        stream: connection.stream,
        client: client.to_string(),
        server: server.to_string(),
        visible: TlsVisible {
            server_name: facts.server_name.clone(),
            versions_offered: facts.versions_offered.clone(),
            alpn_offered: facts.alpn_offered.clone(),
            alpn: facts.alpn.clone().filter(|_| facts.alpn_visible),
            version: facts.version.clone(),
            cipher_suite: facts.cipher_suite.clone(),
            named_group: facts.named_group.clone(),
            post_quantum_hybrid: facts.post_quantum_hybrid,
            key_exchange: facts.key_exchange.and_then(key_exchange),
            ja3: facts.ja3.clone(),
            ja3s: facts.ja3s.clone(),
            ja4: facts.ja4.clone(),
            certificates: certificates(&facts.certificates, true),
            client_certificates: certificates(&facts.client_certificates, true),
            records: connection.records,
            stream_bytes: connection.stream_bytes,
        },
        hidden: TlsHidden {
            alpn: facts.alpn.clone().filter(|_| !facts.alpn_visible),
            certificates: certificates(&facts.certificates, false),
            client_certificates: certificates(&facts.client_certificates, false),
        },
    })
}

fn key_exchange(of: tls::KeyExchange) -> Option<KeyExchange> {
    Some(match of {
        tls::KeyExchange::PostQuantum => KeyExchange::PostQuantum,
        tls::KeyExchange::ForwardSecret => KeyExchange::ForwardSecret,
        tls::KeyExchange::NotForwardSecret => KeyExchange::NotForwardSecret,
        tls::KeyExchange::Unauthenticated => KeyExchange::Unauthenticated,
        _ => return None,
    })
}

pub(super) fn certificate_entry(certificate: &Certificate) -> CertificateEntry {
    let fields = certificate.fields.as_ref().ok();
    CertificateEntry {
        subject: fields.map_or_else(String::new, |fields| fields.subject.clone()),
        issuer: fields.map_or_else(String::new, |fields| fields.issuer.clone()),
        subject_alt_names: fields.map_or_else(Vec::new, |fields| fields.subject_alt_names.clone()),
        not_before_unix: fields.map(|fields| fields.not_before),
        not_after_unix: fields.map(|fields| fields.not_after),
        sha256: HEXLOWER.encode(&certificate.sha256),
    }
}
