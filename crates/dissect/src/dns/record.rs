//! Resource records (RFC 1035 §3.2, §4.1.3) and the data of the usual types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::code::{Class, RecordType};
use super::malformed::Malformed;
use super::name::Name;
use super::reader::Reader;

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who is responsible.
    Authority,
    /// What may help.
    Additional,
}

/// Maximum number of strings of a TXT record, parameters of a SVCB record and options of EDNS that are kept of one record;
/// real ones have some ten. Further ones are left out.
pub const MAX_PARAMETERS: usize = 64;

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The section that it is in.
    pub section: Section,
    /// Its owner.
    pub name: Name,
    /// Type.
    pub kind: RecordType,
    /// Class, without the flag of multicast DNS. In an OPT record, the length of UDP payload that the sender accepts.
    pub class: Class,
    /// The flag of multicast DNS (RFC 6762 §10.2): other records of this name and type are outdated.
    pub flushes_cache: bool,
    /// Time to live in seconds; in an OPT record, the upper bits of the response code, version and flags.
    pub ttl: u32,
    /// Its data.
    pub data: Data,
    /// The bytes of the data in the message.
    pub data_range: Range<usize>,
    /// The bytes of the whole record in the message.
    pub range: Range<usize>,
}

/// The data of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// A (RFC 1035 §3.4.1).
    A(Ipv4Addr),
    /// AAAA (RFC 3596 §2.2).
    Aaaa(Ipv6Addr),
    /// The name of CNAME, NS, PTR or DNAME.
    Name(Name),
    /// MX (RFC 1035 §3.3.9).
    Mx {
        /// Lower is better.
        preference: u16,
        /// The mail server.
        exchange: Name,
    },
    /// TXT and SPF (RFC 1035 §3.3.14): the bytes of each string, without its length.
    Txt(Vec<Range<usize>>),
    /// SRV (RFC 2782).
    Srv {
        /// Lower is better.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// Port.
        port: u16,
        /// The host.
        target: Name,
    },
    /// SOA (RFC 1035 §3.3.13).
    Soa {
        /// Primary name server.
        primary: Name,
        /// Mail address of who is responsible, as a name.
        mailbox: Name,
        /// Number of the zone's version.
        serial: u32,
    },
    /// SVCB and HTTPS (RFC 9460 §2.2).
    Service {
        /// 0 for an alias; otherwise lower is better.
        priority: u16,
        /// The host; `.` for the owner itself.
        target: Name,
        /// Parameters in their order, at most [`MAX_PARAMETERS`].
        parameters: Vec<Parameter>,
    },
    /// OPT (RFC 6891 §6.1.2): options in their order, at most [`MAX_PARAMETERS`].
    Opt(Vec<Parameter>),
    /// A type whose data are not read.
    Other,
    /// Data that do not parse.
    Malformed(Malformed),
}

/// A number with bytes: a parameter of SVCB (RFC 9460 §2.2), or an option of EDNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// `SvcParamKey`, or the code of the option.
    pub key: u16,
    /// Its bytes in the message.
    pub value: Range<usize>,
}

/// Keys of SVCB (RFC 9460 §14.3.2).
const ALPN: u16 = 1;
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

impl Data {
    /// The application protocols that a SVCB or HTTPS record offers (RFC 9460 §7.1), with other bytes than printable
    /// ASCII escaped. `message` is the message that the record is in.
    #[must_use]
    pub fn alpn(&self, message: &[u8]) -> Vec<String> {
        let Self::Service { parameters, .. } = self else { return Vec::new() };
        let mut names = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter.key == ALPN) {
            let mut rest = message.get(parameter.value.clone()).unwrap_or_default();
            while let Some((len, after)) = rest.split_first() {
                let Some((name, after)) = after.split_at_checked(usize::from(*len)) else { break };
                names.push(name.escape_ascii().to_string());
                rest = after;
            }
        }
        names
    }

    /// The addresses in the hints of a SVCB or HTTPS record (RFC 9460 §7.3).
    #[must_use]
    pub fn hints(&self, message: &[u8]) -> Vec<IpAddr> {
        let Self::Service { parameters, .. } = self else { return Vec::new() };
        let mut addresses = Vec::new();
        for Parameter { key, value } in parameters {
            let bytes = message.get(value.clone()).unwrap_or_default();
            match *key {
                IPV4_HINT => {
                    addresses.extend(bytes.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets)));
                }
                IPV6_HINT => {
                    addresses.extend(bytes.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)));
                }
                _ => {}
            }
        }
        addresses
    }

    /// Every name in the data.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let (first, second) = match self {
            Self::Name(name)
            | Self::Mx { exchange: name, .. }
            | Self::Srv { target: name, .. }
            | Self::Service { target: name, .. } => (Some(name), None),
            Self::Soa { primary, mailbox, .. } => (Some(primary), Some(mailbox)),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Reads the data of a record, which are the bytes up to the end of `reader`.
    pub(super) fn read(kind: RecordType, reader: Reader<'_>) -> Self {
        Self::parse(kind, reader).unwrap_or_else(Self::Malformed)
    }

    fn parse(kind: RecordType, mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let data = match kind {
            RecordType::A => Self::A(reader.array::<4>("an address")?.into()),
            RecordType::AAAA => Self::Aaaa(reader.array::<16>("an address")?.into()),
            RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::DNAME => {
                Self::Name(reader.name()?)
            }
            RecordType::MX => Self::Mx { preference: reader.u16("a preference")?, exchange: reader.name()? },
            RecordType::SRV => Self::Srv {
                priority: reader.u16("a priority")?,
                weight: reader.u16("a weight")?,
                port: reader.u16("a port")?,
                target: reader.name()?,
            },
            RecordType::SOA => {
                let (primary, mailbox) = (reader.name()?, reader.name()?);
                let serial = reader.u32("a serial number")?;
                reader.bytes(16, "the times of a zone")?;
                Self::Soa { primary, mailbox, serial }
            }
            RecordType::TXT | RecordType::SPF => {
                let mut strings = Vec::new();
                while !reader.is_empty() {
                    let len = reader.u8("the length of a string")?;
                    let string = reader.bytes(usize::from(len), "a string")?;
                    keep(&mut strings, string);
                }
                Self::Txt(strings)
            }
            RecordType::SVCB | RecordType::HTTPS => {
                let (priority, target) = (reader.u16("a priority")?, reader.name()?);
                Self::Service { priority, target, parameters: parameters(&mut reader)? }
            }
            RecordType::OPT => Self::Opt(parameters(&mut reader)?),
            _ => return Ok(Self::Other),
        };
        reader.end("bytes behind the data of a record")?;
        Ok(data)
    }
}

fn parameters(reader: &mut Reader<'_>) -> Result<Vec<Parameter>, Malformed> {
    let mut parameters = Vec::new();
    while !reader.is_empty() {
        let key = reader.u16("the key of a parameter")?;
        let len = reader.u16("the length of a parameter")?;
        let value = reader.bytes(usize::from(len), "a parameter")?;
        keep(&mut parameters, Parameter { key, value });
    }
    Ok(parameters)
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_PARAMETERS {
        list.push(item);
    }
}
