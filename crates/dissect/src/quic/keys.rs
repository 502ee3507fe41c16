//! Packet protection (RFC 9001 §5): secrets, keys, header protection, and the decryption of one packet.

use aws_lc_rs::aead::quic::{self, HeaderProtectionKey};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, KeyType, Prk, Salt};

use super::packet::{Kind, Packet};
use super::version::{self, Labels, Version};
use crate::flow::PerDirection;
use crate::keylog::Secret;
use crate::tls::CipherSuite;

/// Distance from the packet number to the sample of header protection (RFC 9001 §5.4.2).
const SAMPLE_AT: usize = 4;

/// Length of the sample.
const SAMPLE_LEN: usize = 16;

/// Length of the authentication tag of all suites.
pub(super) const TAG_LEN: usize = 16;

/// Length of the longest key, and that of the longest secret.
const MAX_KEY: usize = 32;
const MAX_SECRET: usize = 48;

/// The bits of the first byte that are protected, in a long and in a short header (RFC 9001 §5.4.1).
const PROTECTED_LONG: u8 = 0x0f;
const PROTECTED_SHORT: u8 = 0x1f;

/// The key phase in the first byte of a short header (RFC 9000 §17.3.1).
const KEY_PHASE: u8 = 0x04;

/// The algorithms of a cipher suite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    aead: &'static aead::Algorithm,
    header: &'static quic::Algorithm,
    hash: hkdf::Algorithm,
}

impl Suite {
    /// That of Initial packets (RFC 9001 §5.2).
    const INITIAL: Self = Self { aead: &aead::AES_128_GCM, header: &quic::AES_128, hash: HKDF_SHA256 };

    /// `None` for suites that are not read: those with CCM.
    pub(super) fn of(suite: CipherSuite) -> Option<Self> {
        let (aead, header, hash) = match suite {
            CipherSuite::TLS_AES_128_GCM_SHA256 => (&aead::AES_128_GCM, &quic::AES_128, HKDF_SHA256),
            CipherSuite::TLS_AES_256_GCM_SHA384 => (&aead::AES_256_GCM, &quic::AES_256, HKDF_SHA384),
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => {
                (&aead::CHACHA20_POLY1305, &quic::CHACHA20, HKDF_SHA256)
            }
            _ => return None,
        };
        Some(Self { aead, header, hash })
    }

    /// A traffic secret; `None` if its length is not that of the suite's hash.
    fn prk(self, secret: &[u8]) -> Option<Prk> {
        // `new_less_safe` panics above 1024 bytes.
        (secret.len() == self.hash.len()).then(|| Prk::new_less_safe(self.hash, secret))
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

/// The keys that open the payloads of one direction.
struct PayloadKey {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl PayloadKey {
    fn derive(labels: &Labels, suite: Suite, secret: &Prk) -> Option<Self> {
        let (mut key, mut iv) = ([0; MAX_KEY], [0; NONCE_LEN]);
        let key = key.get_mut(..suite.aead.key_len())?;
        expand_label(secret, labels.key, key)?;
        expand_label(secret, labels.iv, &mut iv)?;
        Some(Self { key: LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?), iv })
    }

    fn open(&self, packet: &Unmasked<'_>, largest: Option<u64>) -> Option<Opened> {
        let number = full_number(packet.truncated_number, packet.number_len, largest);
        let mut nonce = self.iv;
        for (byte, of_number) in nonce.iter_mut().rev().zip(number.to_be_bytes().into_iter().rev()) {
            *byte ^= of_number;
        }
        let protected = packet.protected;
        let (ciphertext, tag) = protected.split_at_checked(protected.len().checked_sub(TAG_LEN)?)?;
        let mut payload = vec![0; ciphertext.len()];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let header = Aad::from(&packet.header);
        self.key.open_separate_gather(nonce, header, ciphertext, tag, &mut payload).ok()?;
        Some(Opened { number, payload })
    }
}

/// The keys of one direction for packets with a long header.
pub(super) struct PacketKeys {
    payload: PayloadKey,
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

/// A packet without header protection.
struct Unmasked<'a> {
    header: Vec<u8>,
    first: u8,
    truncated_number: u64,
    number_len: usize,
    protected: &'a [u8],
}

/// Removes the header protection of a packet whose packet number begins at `number_at`, an offset in the datagram.
fn unmask<'a>(
    key: &HeaderProtectionKey,
    packet: &Packet<'_>,
    datagram: &'a [u8],
    number_at: usize,
) -> Option<Unmasked<'a>> {
    let bytes = datagram.get(packet.range.clone())?;
    let number_at = number_at.checked_sub(packet.range.start)?;
    let sample_at = number_at.checked_add(SAMPLE_AT)?;
    let sample = bytes.get(sample_at..sample_at.checked_add(SAMPLE_LEN)?)?;
    let [first_mask, number_mask @ ..] = key.new_mask(sample).ok()?;
    let bits = if packet.kind == Kind::OneRtt { PROTECTED_SHORT } else { PROTECTED_LONG };
    let first = bytes.first()? ^ first_mask & bits;
    let number_len = usize::from(first & 3) + 1;
    let (header, protected) = bytes.split_at_checked(number_at + number_len)?;
    let mut header = header.to_vec();
    *header.first_mut()? = first;
    let mut truncated_number = 0;
    for (byte, mask) in header.get_mut(number_at..)?.iter_mut().zip(number_mask) {
        *byte ^= mask;
        truncated_number = truncated_number << 8 | u64::from(*byte);
    }
    Some(Unmasked { header, first, truncated_number, number_len, protected })
}

impl PacketKeys {
    /// The keys of Initial packets of both directions, from the connection ID that the client chose for the server
    /// (RFC 9001 §5.2). `None` for versions that are not read.
    pub(super) fn initial(
        version: Version,
        salt: &version::Salt,
        destination_id: &[u8],
    ) -> Option<PerDirection<Self>> {
        let labels = version.labels();
        let initial = Salt::new(HKDF_SHA256, salt).extract(destination_id);
        let of = |label: &[u8]| {
            let mut secret = [0; 32];
            expand_label(&initial, label, &mut secret)?;
            Self::derive(labels, Suite::INITIAL, &Suite::INITIAL.prk(&secret)?)
        };
        Some(PerDirection { client_to_server: of(b"client in")?, server_to_client: of(b"server in")? })
    }

    /// The keys that follow from a traffic secret (RFC 9001 §5.1).
    pub(super) fn of_secret(version: Version, suite: Suite, secret: &Secret) -> Option<Self> {
        Self::derive(version.labels(), suite, &suite.prk(secret.as_bytes())?)
    }

    fn derive(labels: &Labels, suite: Suite, secret: &Prk) -> Option<Self> {
        let mut header = [0; MAX_KEY];
        let header = header.get_mut(..suite.header.key_len())?;
        expand_label(secret, labels.header, header)?;
        Some(Self {
            payload: PayloadKey::derive(labels, suite, secret)?,
            header: HeaderProtectionKey::new(suite.header, header).ok()?,
        })
    }

    /// Removes the protection of a packet with a long header. `largest`: the largest packet number so far. `None` if it does
    /// not authenticate.
    pub(super) fn open(&self, packet: &Packet<'_>, datagram: &[u8], largest: Option<u64>) -> Option<Opened> {
        let unmasked = unmask(&self.header, packet, datagram, packet.protected_at)?;
        self.payload.open(&unmasked, largest)
    }
}

/// The keys of one direction for 1-RTT packets, in all generations (RFC 9001 §6).
pub(super) struct OneRttKeys {
    labels: &'static Labels,
    suite: Suite,
    /// The same for all generations.
    header: HeaderProtectionKey,
    previous: Option<PayloadKey>,
    current: PayloadKey,
    next: PayloadKey,
    /// The secret of `next`.
    next_secret: Prk,
    /// The key phase of `current`.
    phase: bool,
    /// Key updates so far.
    pub(super) updates: u64,
}

impl OneRttKeys {
    /// The keys that follow from the first secret of application traffic.
    pub(super) fn of_secret(version: Version, suite: Suite, secret: &Secret) -> Option<Self> {
        let labels = version.labels();
        let secret = suite.prk(secret.as_bytes())?;
        let PacketKeys { payload, header } = PacketKeys::derive(labels, suite, &secret)?;
        let next_secret = next_secret(labels, suite, &secret)?;
        let next = PayloadKey::derive(labels, suite, &next_secret)?;
        let (previous, current) = (None, payload);
        Some(Self { labels, suite, header, previous, current, next, next_secret, phase: false, updates: 0 })
    }

    /// Removes the protection of a packet whose packet number begins at `number_at`.
    pub(super) fn open(
        &mut self,
        packet: &Packet<'_>,
        datagram: &[u8],
        number_at: usize,
        largest: Option<u64>,
    ) -> Option<Opened> {
        let unmasked = unmask(&self.header, packet, datagram, number_at)?;
        if (unmasked.first & KEY_PHASE != 0) == self.phase {
            return self.current.open(&unmasked, largest);
        }
        if let Some(opened) = self.next.open(&unmasked, largest) {
            self.update();
            return Some(opened);
        }
        self.previous.as_ref()?.open(&unmasked, largest)
    }

    fn update(&mut self) {
        let after = next_secret(self.labels, self.suite, &self.next_secret)
            .and_then(|secret| Some((PayloadKey::derive(self.labels, self.suite, &secret)?, secret)));
        let Some((after, secret)) = after else { return };
        let next = std::mem::replace(&mut self.next, after);
        self.previous = Some(std::mem::replace(&mut self.current, next));
        self.next_secret = secret;
        self.phase = !self.phase;
        self.updates += 1;
    }
}

fn next_secret(labels: &Labels, suite: Suite, secret: &Prk) -> Option<Prk> {
    let mut next = [0; MAX_SECRET];
    let next = next.get_mut(..suite.hash.len())?;
    expand_label(secret, labels.update, next)?;
    suite.prk(next)
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

/// Shows no keys.
impl std::fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketKeys")
    }
}

/// Shows no keys.
impl std::fmt::Debug for OneRttKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneRttKeys").field("updates", &self.updates).finish_non_exhaustive()
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
            let salt = &version.salts()[0];
            let keys = PacketKeys::initial(version, salt, &ID).unwrap();
            let opened = keys.server_to_client.open(&packet, &datagram, None).unwrap();
            assert_eq!(opened.number, 1);
            // An ACK, and a CRYPTO frame with a ServerHello of 90 bytes.
            assert_eq!(opened.payload[..13], bytes("02000000000600405a020000560303"[..26].into()));
            assert!(keys.client_to_server.open(&packet, &datagram, None).is_none());
            let other = PacketKeys::initial(version, salt, &ID[1..]).unwrap();
            assert!(other.server_to_client.open(&packet, &datagram, None).is_none());
        }
    }

    #[test]
    fn a_changed_bit_does_not_authenticate() {
        let whole = bytes(SERVER_V1);
        let keys = PacketKeys::initial(Version::V1, &Version::V1.salts()[0], &ID).unwrap();
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

    /// RFC 9001 §A.5: a 1-RTT packet with ChaCha20-Poly1305 and an empty connection ID, and its key update.
    #[test]
    fn opens_the_one_rtt_packet_of_the_rfc() {
        let secret = bytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
        let suite = Suite::of(CipherSuite::TLS_CHACHA20_POLY1305_SHA256).unwrap();
        let secret = Secret::new(&secret).unwrap();
        let mut keys = OneRttKeys::of_secret(Version::V1, suite, &secret).unwrap();
        let datagram = bytes("4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
        let packet = packets(&datagram, false).next().unwrap().unwrap();
        let opened = keys.open(&packet, &datagram, 1, Some(654_360_563)).unwrap();
        assert_eq!(opened, Opened { number: 654_360_564, payload: vec![1] });
        let mut updated = [0; 32];
        let prk = suite.prk(secret.as_bytes()).unwrap();
        expand_label(&prk, Version::V1.labels().update, &mut updated).unwrap();
        assert_eq!(updated[..], bytes("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"));
        let mut datagram = datagram;
        datagram[20] ^= 1;
        let packet = packets(&datagram, false).next().unwrap().unwrap();
        assert!(keys.open(&packet, &datagram, 1, Some(654_360_563)).is_none());
    }
}
