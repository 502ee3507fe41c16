//! A recorded QUIC session with its key log, and packets of its client that go on with it.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv4Addr;
use std::path::Path;

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use craft::frame::{Ip, Ipv4, Link, Udp, udp};
use craft::pcap;
use data_encoding::HEXLOWER_PERMISSIVE;

/// A session of aioquic under TLS_AES_128_GCM_SHA256, with five requests of HTTP/3.
const RECORDED: &[u8] = include_bytes!("../../../../corpus/quic/with-keys-aes128.bin");

/// A client's bidirectional stream that the session has not used, and one of those that carry bytes one way.
pub(crate) const FREE_STREAM: u64 = 400;
pub(crate) const FREE_ONE_WAY: u64 = 402;

/// Bytes of STREAM frames in one packet of QUIC.
const PACKET: usize = 1100;

/// Length of the connection ID that the server chose.
const ID_LEN: usize = 8;

/// The session, and the keys of its client.
pub(crate) struct Session {
    /// Its key log.
    pub(crate) keys: Vec<u8>,
    /// Its datagrams: whether the server sent it, and the payload.
    pub(crate) datagrams: Vec<(bool, Vec<u8>)>,
    payload: LessSafeKey,
    iv: Vec<u8>,
    header: HeaderProtectionKey,
    id: Vec<u8>,
    number: u32,
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1) without context.
fn expand(secret: &Prk, label: &str, len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let info = [&[0, len as u8, label.len() as u8][..], label.as_bytes(), &[0]].concat();
    let mut out = vec![0; len];
    let parts = [&info[..]];
    secret.expand(&parts, Len(len)).expect("a short key").fill(&mut out).expect("a short key");
    out
}

impl Session {
    pub(crate) fn recorded() -> Self {
        let (mut keys, mut datagrams) = (Vec::new(), Vec::new());
        let mut rest = RECORDED;
        while let Some((&[kind, high, low], after)) = rest.split_first_chunk() {
            let (payload, behind) = after.split_at(usize::from(u16::from_be_bytes([high, low])));
            match kind {
                2 => keys.extend_from_slice(payload),
                kind => datagrams.push((kind == 1, payload.to_vec())),
            }
            rest = behind;
        }
        let text = String::from_utf8(keys.clone()).expect("a key log is text");
        let line = text.lines().find(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")).expect("a secret");
        let secret = line.rsplit(' ').next().expect("three words").as_bytes();
        let secret = HEXLOWER_PERMISSIVE.decode(secret).expect("hexadecimal digits");
        let secret = Prk::new_less_safe(HKDF_SHA256, &secret);
        let is_short = |(is_server, payload): &&(bool, Vec<u8>)| !is_server && payload[0] & 0x80 == 0;
        let id = datagrams.iter().find(is_short).expect("a 1-RTT packet").1[1..=ID_LEN].to_vec();
        let payload = UnboundKey::new(&AES_128_GCM, &expand(&secret, "quic key", 16)).expect("a key");
        Self {
            keys,
            datagrams,
            payload: LessSafeKey::new(payload),
            iv: expand(&secret, "quic iv", 12),
            header: HeaderProtectionKey::new(&AES_128, &expand(&secret, "quic hp", 16)).expect("a key"),
            id,
            number: 1000,
        }
    }

    /// The next 1-RTT packet of the client, with these frames (RFC 9001 §5).
    pub(crate) fn packet(&mut self, frames: &[u8]) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        self.number += 1;
        let mut packet = [&[0x43][..], &self.id, &number].concat();
        let mut nonce: [u8; 12] = self.iv[..].try_into().expect("12 bytes");
        nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, number)| *byte ^= number);
        let mut body = frames.to_vec();
        let aad = Aad::from(&packet[..]);
        let tag =
            self.payload.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body);
        packet.extend_from_slice(&body);
        packet.extend_from_slice(tag.expect("a short packet").as_ref());
        let number_at = 1 + ID_LEN;
        let mask = self.header.new_mask(&packet[number_at + 4..number_at + 20]).expect("16 bytes");
        packet[0] ^= mask[0] & 0x1f;
        packet[number_at..].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        packet
    }
}

/// A number (RFC 9000 §16) in four bytes.
pub(crate) fn number(value: u64) -> [u8; 4] {
    (value as u32 | 0x8000_0000).to_be_bytes()
}

/// A STREAM frame (RFC 9000 §19.8).
pub(crate) fn stream(id: u64, offset: u64, bytes: &[u8], is_last: bool) -> Vec<u8> {
    let header = [number(id), number(offset), number(bytes.len() as u64)].concat();
    [&[0x0e | u8::from(is_last)], &header[..], bytes].concat()
}

/// Writes a capture of the recorded session and so many bytes of packets behind it, with these frames; and its key
/// log beside it (`NAME.keys`). Returns how many bytes there are.
pub(crate) fn capture(path: &Path, bytes: usize, mut frames: impl FnMut() -> Vec<u8>) -> u64 {
    let mut session = Session::recorded();
    std::fs::write(path.with_extension("keys"), &session.keys).expect("the key log");
    let file = BufWriter::new(File::create(path).expect("a file"));
    let mut writer =
        pcap::Writer::new(file, craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a header");
    let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let mut frame = Vec::new();
    let mut write = |is_server: bool, payload: &[u8]| {
        let ((from, to), ports) =
            if is_server { ((server, client), (443, 50_000)) } else { ((client, server), (50_000, 443)) };
        let header = Udp { source_port: ports.0, destination_port: ports.1, ..Udp::default() };
        frame.clear();
        udp(&mut frame, &Link::default(), &Ip::V4(Ipv4::between(from, to)), &header, payload);
        writer.write(0, frame.len() as u32, &frame).expect("a frame");
    };
    for (is_server, payload) in std::mem::take(&mut session.datagrams) {
        write(is_server, &payload);
    }
    let mut sum = 0;
    while sum < bytes {
        let mut payload = frames();
        while payload.len() < PACKET {
            payload.extend(frames());
        }
        let packet = session.packet(&payload);
        sum += packet.len();
        write(false, &packet);
    }
    writer.flush().expect("the file");
    sum as u64
}
