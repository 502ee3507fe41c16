//! Versions of QUIC: their names, and what differs between those whose Initial packets are read.
//!
//! Sources: RFC 9000, RFC 9001 and RFC 9369; the Internet-Drafts draft-ietf-quic-tls-22 to -34 (§5.2) and draft-ietf-quic-v2-00 to
//! -07; for deployments of vendors, the registry of versions that the QUIC working group kept in the wiki of its drafts. A wrong
//! salt opens nothing, because packets authenticate.

use std::fmt;

/// Salt of the Initial secrets of drafts 21 and 22 (draft-ietf-quic-tls-22 §5.2).
const DRAFT_22: Salt = [
    0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a,
    0x02, 0x64, 0x4a,
];

/// That of drafts 23 to 28 (draft-ietf-quic-tls-23 §5.2).
const DRAFT_23: Salt = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe,
    0xf9, 0xf5, 0x02,
];

/// That of drafts 29 to 32 (draft-ietf-quic-tls-29 §5.2).
const DRAFT_29: Salt = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43,
    0x90, 0xa8, 0x99,
];

/// That of version 1 (RFC 9001 §5.2), and of drafts 33 and 34.
const V1: Salt = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];

/// That of the drafts of version 2 (draft-ietf-quic-v2-01 §3.3.1).
const V2_DRAFT: Salt = [
    0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d, 0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a,
    0xe3, 0xe5, 0xd3,
];

/// That of version 2 (RFC 9369 §3.3.1).
const V2: Salt = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];

/// That of Google's version T050 (Chromium's `quic_versions`).
const T050: Salt = [
    0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60,
    0x48, 0x83, 0x10,
];

/// That of Google's version T051.
const T051: Salt = [
    0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda,
    0x6e, 0x03, 0x3d,
];

/// A salt of Initial secrets.
pub(super) type Salt = [u8; 20];

/// The labels of a version's keys (RFC 9001 §5.1, RFC 9369 §3.3.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) key: &'static [u8],
    pub(super) iv: &'static [u8],
    pub(super) header: &'static [u8],
    pub(super) update: &'static [u8],
}

const LABELS_V1: Labels = Labels { key: b"quic key", iv: b"quic iv", header: b"quic hp", update: b"quic ku" };

const LABELS_V2: Labels =
    Labels { key: b"quicv2 key", iv: b"quicv2 iv", header: b"quicv2 hp", update: b"quicv2 ku" };

/// A version of QUIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u32);

impl Version {
    /// The number in a version negotiation packet (RFC 8999 §6).
    pub const NEGOTIATION: Self = Self(0);
    /// RFC 9000.
    pub const V1: Self = Self(1);
    /// RFC 9369.
    pub const V2: Self = Self(0x6b33_43cf);
    /// The drafts of version 2 from 01 on (draft-ietf-quic-v2-01 §3.1).
    const V2_DRAFT: Self = Self(0x709a_50c4);
    /// The first draft of version 2, with the packet types of version 1 (draft-ietf-quic-v2-00 §3).
    const V2_DRAFT_00: Self = Self(0xff02_0000);

    /// Whether its headers have the layout of version 1, and its Initial packets can be opened.
    #[must_use]
    pub fn is_read(self) -> bool {
        !self.salts().is_empty()
    }

    /// Salts that its Initial secrets may have. A client that uses a reserved version to force a negotiation takes the salt
    /// of a version that it supports.
    pub(super) fn salts(self) -> &'static [Salt] {
        match self.0 {
            1 | 0xff00_0021 | 0xff00_0022 => &[V1],
            0xff00_0016 => &[DRAFT_22],
            0xff00_0017..=0xff00_001c => &[DRAFT_23],
            0xff00_001d..=0xff00_0020 => &[DRAFT_29],
            _ if self == Self::V2 => &[V2],
            _ if self == Self::V2_DRAFT || self == Self::V2_DRAFT_00 => &[V2_DRAFT],
            // Facebook's mvfst follows drafts 22, 27 and later ones, and has other numbers for version 1.
            0xface_b001 => &[DRAFT_22, DRAFT_23],
            0xface_b003 | 0xface_b004 => &[V1],
            0xface_b002 | 0xface_b00e..=0xface_b01f => &[DRAFT_23, V1],
            // Google's versions with TLS: "T050", "T051".
            0x5430_3530 => &[T050],
            0x5430_3531 => &[T051],
            _ if self.is_reserved() => &[V1, DRAFT_29, DRAFT_23],
            _ => &[],
        }
    }

    /// The labels of its keys.
    pub(super) fn labels(self) -> &'static Labels {
        match self {
            Self::V2 | Self::V2_DRAFT | Self::V2_DRAFT_00 => &LABELS_V2,
            _ => &LABELS_V1,
        }
    }

    /// Whether it is one of Google's versions, whose frames are others than those of RFC 9000.
    pub(super) fn is_google(self) -> bool {
        matches!(self.0, 0x5430_3530 | 0x5430_3531)
    }

    /// Whether the types of its packets have other numbers than those of version 1 (RFC 9369 §3.2).
    pub(super) fn has_moved_types(self) -> bool {
        self == Self::V2 || self == Self::V2_DRAFT
    }

    /// Whether it is reserved to exercise version negotiation (RFC 9000 §15).
    #[must_use]
    pub fn is_reserved(self) -> bool {
        self.0 & 0x0f0f_0f0f == 0x0a0a_0a0a
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V1 => f.pad("QUIC version 1"),
            Self::V2 => f.pad("QUIC version 2"),
            Self::V2_DRAFT | Self::V2_DRAFT_00 => f.pad("QUIC version 2 draft"),
            Self(draft @ 0xff00_0001..=0xff00_00ff) => write!(f, "QUIC draft {}", draft & 0xff),
            Self(mvfst @ 0xface_b001..=0xface_b01f) => write!(f, "QUIC version mvfst {:#x}", mvfst & 0xff),
            Self(number) => match number.to_be_bytes() {
                // Google's: "Q046", "T051".
                [kind @ (b'Q' | b'T'), a @ b'0', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                    let name = [kind, a, b, c].map(char::from);
                    write!(f, "Google QUIC {}", String::from_iter(name))
                }
                _ => write!(f, "QUIC version {number:#010x}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions() {
        let names = [
            (0x0000_0001, "QUIC version 1"),
            (0x6b33_43cf, "QUIC version 2"),
            (0x709a_50c4, "QUIC version 2 draft"),
            (0xff00_001d, "QUIC draft 29"),
            (0xface_b002, "QUIC version mvfst 0x2"),
            (0x5130_3436, "Google QUIC Q046"),
            (0x5430_3531, "Google QUIC T051"),
            (0x1a2a_3a4a, "QUIC version 0x1a2a3a4a"),
        ];
        for (number, name) in names {
            assert_eq!(Version(number).to_string(), name);
        }
    }

    #[test]
    fn reads_versions_whose_layout_it_knows() {
        let read =
            [1, 0x6b33_43cf, 0xff02_0000, 0xff00_0016, 0xff00_0022, 0xface_b00e, 0x5430_3530, 0x0a0a_0a0a];
        let other = [0, 2, 0xff00_0015, 0xff00_0023, 0x5130_3436, 0x5130_3530, 0xabcd_0000];
        assert!(read.into_iter().all(|number| Version(number).is_read()));
        assert!(!other.into_iter().any(|number| Version(number).is_read()));
    }
}
