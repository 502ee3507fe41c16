//! The numbers of DNS and their names (IANA, "Domain Name System (DNS) Parameters").

use std::fmt;

/// Type of a record or of a question (RFC 1035 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

/// The types with a name, by their number.
const TYPES: [(u16, &str); 46] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (32, "NB"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
];

/// Types beside those of [`TYPES`] that software asks for.
const MORE_TYPES: [u16; 6] = [14, 49, 55, 63, 256, 257];

#[allow(missing_docs, reason = "the names are those of the registry")]
impl RecordType {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const SVCB: Self = Self(64);
    pub const HTTPS: Self = Self(65);
    pub const SPF: Self = Self(99);
}

impl RecordType {
    /// The name of the type in the registry.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        TYPES.iter().find(|(number, _)| *number == self.0).map(|(_, name)| *name)
    }

    /// Whether a question of this type is usual.
    pub(super) fn is_known(self) -> bool {
        self.name().is_some() || MORE_TYPES.contains(&self.0)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "TYPE{}", self.0), // RFC 3597 §5
        }
    }
}

/// Class of a record or of a question (RFC 1035 §3.2.4). Its first bit is a flag of multicast DNS, kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);

    /// Whether the registry knows the class.
    pub(super) fn is_known(self) -> bool {
        matches!(self.0, 1 | 3 | 4 | 254 | 255)
    }
}

/// Kind of a message (RFC 1035 §4.1.1): four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A query, and its answer.
    pub const QUERY: Self = Self(0);

    /// Whether the registry knows the opcode.
    pub(super) fn is_known(self) -> bool {
        matches!(self.0, 0..=2 | 4..=6)
    }
}

/// Outcome of a query (RFC 1035 §4.1.1), with the upper bits of EDNS (RFC 6891 §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub u16);

impl ResponseCode {
    /// The name of the code in the registry.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "NoError",
            1 => "FormErr",
            2 => "ServFail",
            3 => "NXDomain",
            4 => "NotImp",
            5 => "Refused",
            6 => "YXDomain",
            7 => "YXRRSet",
            8 => "NXRRSet",
            9 => "NotAuth",
            10 => "NotZone",
            16 => "BadVers",
            23 => "BadCookie",
            _ => return None,
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}
