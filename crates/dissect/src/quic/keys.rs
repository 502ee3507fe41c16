//! Packet protection (RFC 9001 §5): Initial secrets, keys, header protection, and the decryption of one packet.

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType, Prk, Salt};

use super::packet::{Packet, Version};
use crate::flow::{Direction, PerDirection};

/// Salt of the Initial secrets of version 1 (RFC 9001 §5.2).
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];

/// Salt of the Initial secrets of version 2 (RFC 9369 §3.3.1).
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];

/// Distance from the packet number to the sample of header protection (RFC 9001 §5.4.2).
const SAMPLE_AT: usize = 4;

/// Length of the sample.
const SAMPLE_LEN: usize = 16;

/// Length of the authentication tag.
const TAG_LEN: usize = 16;

/// What a version needs for its keys.
struct Labels {
    salt: [u8; 20],
    key: &'static [u8],
    iv: &'static [u8],
    header: &'static [u8],
}

/// RFC 9001 §5.1, RFC 9369 §3.3.2.
fn labels(version: Version) -> Option<Labels> {
    match version {
        Version::V1 => Some(Labels { salt: SALT_V1, key: b"quic key", iv: b"quic iv", header: b"quic hp" }),
        Version::V2 => {
            Some(Labels { salt: SALT_V2, key: b"quicv2 key", iv: b"quicv2 iv", header: b"quicv2 hp" })
        }
        _ => None,
    }
}

/// Length of an output of HKDF-Expand.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label(secret, label, "", out.len())` (RFC 9846 §7.1).
fn expand_label(secret: &Prk, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let info: [&[u8]; 5] = [&length, &label_length, PREFIX, label, &[0]];
    secret.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out)).ok()
}

/// The keys of one direction.
pub(super) struct PacketKeys {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    header: HeaderProtectionKey,
}

/// A packet that authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Packet number.
    pub(super) number: u64,
    /// The frames.
    pub(super) payload: Vec<u8>,
}

impl PacketKeys {
    /// The keys of Initial packets of both directions, from the connection ID that the client chose for the server
    /// (RFC 9001 §5.2). `None` for versions that are not read.
    pub(super) fn initial(version: Version, destination_id: &[u8]) -> Option<PerDirection<Self>> {
        let labels = labels(version)?;
        let initial = Salt::new(HKDF_SHA256, &labels.salt).extract(destination_id);
        let of = |label: &[u8]| {
            let mut secret = [0; 32];
            expand_label(&initial, label, &mut secret)?;
            Self::derive(&labels, &Prk::new_less_safe(HKDF_SHA256, &secret))
        };
        Some(PerDirection { client_to_server: of(b"client in")?, server_to_client: of(b"server in")? })
    }

    fn derive(labels: &Labels, secret: &hkdf::Prk) -> Option<Self> {
        let (mut key, mut iv, mut header) = ([0; 16], [0; NONCE_LEN], [0; 16]);
        expand_label(secret, labels.key, &mut key)?;
        expand_label(secret, labels.iv, &mut iv)?;
        expand_label(secret, labels.header, &mut header)?;
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(&aead::AES_128_GCM, &key).ok()?),
            iv,
            header: HeaderProtectionKey::new(&AES_128, &header).ok()?,
        })
    }

    /// Removes the protection of a packet with a long header. `largest`: the largest packet number so far. `None` if it does
    /// not authenticate.
    pub(super) fn open(&self, packet: &Packet<'_>, datagram: &[u8], largest: Option<u64>) -> Option<Opened> {
        let bytes = datagram.get(packet.range.clone())?;
        let number_at = packet.protected_at.checked_sub(packet.range.start)?;
        let sample_at = number_at + SAMPLE_AT;
        let sample = bytes.get(sample_at..sample_at + SAMPLE_LEN)?;
        let [first_mask, number_mask @ ..] = self.header.new_mask(sample).ok()?;
        // RFC 9001 §5.4.1: the four low bits of a long header's first byte, and the packet number.
        let first = bytes.first()? ^ first_mask & 0x0f;
        let number_len = usize::from(first & 3) + 1;
        let (header, protected) = bytes.split_at_checked(number_at + number_len)?;
        let mut header = header.to_vec();
        *header.first_mut()? = first;
        let mut truncated = 0;
        for (byte, mask) in header.get_mut(number_at..)?.iter_mut().zip(number_mask) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = full_number(truncated, number_len, largest);
        let mut nonce = self.iv;
        for (byte, of_number) in nonce.iter_mut().rev().zip(number.to_be_bytes().into_iter().rev()) {
            *byte ^= of_number;
        }
        let (ciphertext, tag) = protected.split_at_checked(protected.len().checked_sub(TAG_LEN)?)?;
        let mut payload = vec![0; ciphertext.len()];
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_separate_gather(nonce, Aad::from(header), ciphertext, tag, &mut payload).ok()?;
        Some(Opened { number, payload })
    }
}

/// The packet number that is closest to the one expected (RFC 9000 §A.3).
fn full_number(truncated: u64, len: usize, largest: Option<u64>) -> u64 {
    let expected = largest.map_or(0, |largest| largest.saturating_add(1));
    let window = 1_u64 << (8 * len);
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// The direction whose keys open a client's packets.
pub(super) const CLIENT: Direction = Direction::ClientToServer;

/// Shows no keys.
impl std::fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketKeys")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::quic::packet::packets;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.replace(char::is_whitespace, "").as_bytes()).unwrap()
    }

    /// The connection ID of RFC 9001 §A and RFC 9369 §A.
    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    /// RFC 9001 §A.3: the server's Initial packet.
    const SERVER_V1: &str = "
        cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
        5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
        dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
        022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
        2158407dd074ee";

    /// RFC 9369 §A.3: the same of version 2.
    const SERVER_V2: &str = "
        dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698
        baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17
        f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2
        c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8
        4bed8521e2e140";

    #[test]
    fn opens_the_packets_of_the_rfcs() {
        for (version, packet) in [(Version::V1, SERVER_V1), (Version::V2, SERVER_V2)] {
            let datagram = bytes(packet);
            let packet = packets(&datagram, false).next().unwrap().unwrap();
            assert_eq!(packet.version, version);
            let keys = PacketKeys::initial(version, &ID).unwrap();
            let opened = keys.server_to_client.open(&packet, &datagram, None).unwrap();
            assert_eq!(opened.number, 1);
            // An ACK, and a CRYPTO frame with a ServerHello of 90 bytes.
            assert_eq!(opened.payload[..13], bytes("02000000000600405a020000560303"[..26].into()));
            assert!(keys.client_to_server.open(&packet, &datagram, None).is_none());
            let other = PacketKeys::initial(version, &ID[1..]).unwrap();
            assert!(other.server_to_client.open(&packet, &datagram, None).is_none());
        }
    }

    #[test]
    fn a_changed_bit_does_not_authenticate() {
        let whole = bytes(SERVER_V1);
        let keys = PacketKeys::initial(Version::V1, &ID).unwrap();
        for at in 0..whole.len() {
            let mut datagram = whole.clone();
            datagram[at] ^= 0x10;
            let Some(Ok(packet)) = packets(&datagram, false).next() else { continue };
            assert!(keys.server_to_client.open(&packet, &datagram, None).is_none(), "{at}");
        }
    }

    #[test]
    fn completes_packet_numbers() {
        // RFC 9000 §A.3.
        assert_eq!(full_number(0x9b32, 2, Some(0xa82f_30ea)), 0xa82f_9b32);
        assert_eq!(full_number(0, 1, None), 0);
        assert_eq!(full_number(255, 1, Some(256)), 255);
        assert_eq!(full_number(1, 1, Some(255)), 257);
    }
}
