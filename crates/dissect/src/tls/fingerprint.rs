//! Fingerprints of hellos: which software sent them. Two connections of the same library have the same ones, whatever they carry.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use super::code::{ExtensionType, ProtocolVersion, is_grease};
use super::handshake::{ClientHello, ServerHello};

/// Hexadecimal digits of a hash in JA4.
const JA4_DIGITS: usize = 12;

/// Largest number of suites or extensions that JA4 writes.
const JA4_MAX_COUNT: usize = 99;

impl ClientHello {
    /// JA3 (Salesforce, 2017): MD5 of the version, the cipher suites, extensions, groups and point formats in their order,
    /// without GREASE.
    #[must_use]
    pub fn ja3(&self) -> String {
        let text = format!(
            "{},{},{},{},{}",
            self.legacy_version.0,
            decimals(self.cipher_suites.iter().map(|suite| suite.0)),
            decimals(self.extensions.iter().map(|extension| extension.0)),
            decimals(self.supported_groups.iter().map(|group| group.0)),
            decimals(self.ec_point_formats.iter().map(|format| u16::from(*format))),
        );
        HEXLOWER.encode(&Md5::digest(text))
    }

    /// JA4 of a connection over TCP (FoxIO, "JA4: TLS Client Fingerprinting", technical details): version, server name,
    /// numbers of suites and extensions and the first protocol, then hashes of the sorted suites, and of the sorted extensions
    /// with the signature schemes in their order, all without GREASE.
    #[must_use]
    pub fn ja4(&self) -> String {
        self.ja4_over('t')
    }

    /// JA4 of a connection over QUIC.
    #[must_use]
    pub fn ja4_of_quic(&self) -> String {
        self.ja4_over('q')
    }

    fn ja4_over(&self, transport: char) -> String {
        let versions = self.supported_versions.iter().filter(|version| !is_grease(version.0));
        let version = versions.max().copied().unwrap_or(self.legacy_version);
        let name = if self.extensions.contains(&ExtensionType::SERVER_NAME) { 'd' } else { 'i' };
        let mut suites = hexadecimals(self.cipher_suites.iter().map(|suite| suite.0));
        let mut extensions = hexadecimals(self.extensions.iter().map(|extension| extension.0));
        let mut ja4 = format!(
            "{transport}{}{name}{:02}{:02}{}",
            ja4_version(version),
            suites.len().min(JA4_MAX_COUNT),
            extensions.len().min(JA4_MAX_COUNT),
            ja4_protocol(&self.first_protocol),
        );
        suites.sort();
        // The server name and the protocols are in the first part.
        let in_first_part = hexadecimals([ExtensionType::SERVER_NAME.0, ExtensionType::ALPN.0].into_iter());
        extensions.retain(|extension| !in_first_part.contains(extension));
        extensions.sort();
        let mut of_extensions = extensions.join(",");
        let schemes = hexadecimals(self.signature_schemes.iter().copied());
        if !of_extensions.is_empty() && !schemes.is_empty() {
            let _ = write!(of_extensions, "_{}", schemes.join(","));
        }
        let _ = write!(ja4, "_{}_{}", ja4_hash(&suites.join(",")), ja4_hash(&of_extensions));
        ja4
    }
}

impl ServerHello {
    /// JA3S (Salesforce, 2017): MD5 of the version field, the cipher suite and the extensions in their order.
    #[must_use]
    pub fn ja3s(&self) -> String {
        let text = format!(
            "{},{},{}",
            // TLS 1.3 says its version in an extension (RFC 9846 §4.1.3).
            self.version.min(ProtocolVersion::TLS_1_2).0,
            self.cipher_suite.0,
            decimals(self.extensions.iter().map(|extension| extension.0)),
        );
        HEXLOWER.encode(&Md5::digest(text))
    }
}

fn decimals(values: impl Iterator<Item = u16>) -> String {
    values.filter(|value| !is_grease(*value)).map(|value| value.to_string()).collect::<Vec<_>>().join("-")
}

fn hexadecimals(values: impl Iterator<Item = u16>) -> Vec<String> {
    values.filter(|value| !is_grease(*value)).map(|value| format!("{value:04x}")).collect()
}

fn ja4_version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLS_1_3 => "13",
        ProtocolVersion::TLS_1_2 => "12",
        ProtocolVersion::TLS_1_1 => "11",
        ProtocolVersion::TLS_1_0 => "10",
        ProtocolVersion::SSL_3_0 => "s3",
        ProtocolVersion::SSL_2_0 => "s2",
        _ => "00",
    }
}

/// The first and the last character of a protocol's name; of another than letters and digits, the first and the last of its
/// hexadecimal digits.
fn ja4_protocol(name: &[u8]) -> String {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return "00".to_owned() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [*first, *last].map(char::from).into_iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 0x0f)
}

fn ja4_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(JA4_DIGITS);
    }
    let mut hash = HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash.truncate(JA4_DIGITS);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of JA4's technical details.
    #[test]
    fn computes_the_hashes_of_the_published_example() {
        let suites = "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9";
        assert_eq!(ja4_hash(suites), "8daaf6152771");
        let extensions = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_0403,0804,0401,0503,\
                          0805,0501,0806,0601";
        assert_eq!(ja4_hash(extensions), "e5627efa2ab1");
        assert_eq!(ja4_hash(""), "000000000000");
    }

    #[test]
    fn writes_the_ends_of_the_first_protocol() {
        for (name, expected) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"h", "hh"),
            (b"", "00"),
            (b"\xab", "ab"),
            (b"0\xab", "3b"),
            (b"\x0a\x0a", "0a"),
        ] {
            assert_eq!(ja4_protocol(name), expected, "{name:?}");
        }
    }
}
