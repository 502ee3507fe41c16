//! Distinguished names (RFC 5280 §4.1.2.4) and alternative names (§4.2.1.6) as text.

use std::net::IpAddr;

use data_encoding::{HEXLOWER, HEXUPPER};

use super::der::{Der, Parsed, Value, dotted, tag};

/// A Name as text, e.g. `C=KR, O=Example + OU=Lab, CN=agent-b`. An error ends it and is a part of the text, because the
/// other fields of a certificate are of interest also if its name is odd.
pub(super) fn distinguished(mut names: Der<'_>) -> String {
    let mut parts = Vec::new();
    while !names.is_empty() {
        match relative(&mut names) {
            Ok(part) => parts.push(part),
            Err(error) => {
                parts.push(format!("<{error}>"));
                break;
            }
        }
    }
    parts.join(", ")
}

/// The next RelativeDistinguishedName: one attribute or, rarely, several.
fn relative(names: &mut Der<'_>) -> Parsed<String> {
    let mut attributes = names.value(tag::SET, "RelativeDistinguishedName")?.open();
    let mut parts = vec![attribute(&mut attributes)?];
    while !attributes.is_empty() {
        parts.push(attribute(&mut attributes)?);
    }
    Ok(parts.join(" + "))
}

fn attribute(attributes: &mut Der<'_>) -> Parsed<String> {
    let mut attribute = attributes.sequence("AttributeTypeAndValue")?;
    let kind = attribute.object_identifier("AttributeType")?;
    let value = attribute.any("AttributeValue")?;
    attribute.end("AttributeTypeAndValue")?;
    let value = string(value).unwrap_or_else(|| HEXUPPER.encode(value.content));
    Ok(match attribute_name(&kind) {
        Some(name) => format!("{name}={value}"),
        None => format!("OID({kind})={value}"),
    })
}

/// The text of a string type. `None` for other types and for contents that are no text. Strings of single bytes are read
/// as UTF-8: it includes their common characters, and certificates use it in all of them.
fn string(value: Value<'_>) -> Option<String> {
    match value.tag {
        tag::UTF8_STRING
        | tag::PRINTABLE_STRING
        | tag::IA5_STRING
        | tag::TELETEX_STRING
        | tag::NUMERIC_STRING
        | tag::VISIBLE_STRING
        | tag::GENERAL_STRING
        | tag::GRAPHIC_STRING
        | tag::VIDEOTEX_STRING
        | tag::OBJECT_DESCRIPTOR => std::str::from_utf8(value.content).ok().map(str::to_owned),
        tag::BMP_STRING => {
            let (units, rest) = value.content.as_chunks();
            let text = char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)));
            text.collect::<Result<_, _>>().ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// The usual short or long name of an attribute type.
fn attribute_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "Email",
        "0.9.2342.19200300.100.1.1" => "uid",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "1.3.6.1.4.1.311.60.2.1.1" => "msJurisdictionLocality",
        "1.3.6.1.4.1.311.60.2.1.2" => "msJurisdictionStateOrProvince",
        "1.3.6.1.4.1.311.60.2.1.3" => "msJurisdictionCountry",
        "2.5.4.0" => "objectClass",
        "2.5.4.1" => "aliasedEntryName",
        "2.5.4.2" => "knowledgeInformation",
        "2.5.4.4" => "surname",
        "2.5.4.5" => "serialNumber",
        "2.5.4.9" => "streetAddress",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.14" => "searchGuide",
        "2.5.4.15" => "businessCategory",
        "2.5.4.16" => "postalAddress",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "givenName",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.45" => "uniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        _ => return None,
    })
}

/// A GeneralName as text: names of hosts, mail addresses, URIs and IP addresses as they are, others with their kind.
pub(super) fn general(name: Value<'_>) -> String {
    general_parsed(name)
        .unwrap_or_else(|| format!("Invalid(tag={}, data={})", name.number(), HEXLOWER.encode(name.content)))
}

fn general_parsed(name: Value<'_>) -> Option<String> {
    const OTHER_NAME: u8 = tag::context_constructed(0);
    const RFC822_NAME: u8 = tag::context(1);
    const DNS_NAME: u8 = tag::context(2);
    const X400_ADDRESS: u8 = tag::context_constructed(3);
    // EXPLICIT, because Name is a CHOICE (X.680 §31.2.7).
    const DIRECTORY_NAME: u8 = tag::context_constructed(4);
    const EDI_PARTY_NAME: u8 = tag::context_constructed(5);
    const URI: u8 = tag::context(6);
    const IP_ADDRESS: u8 = tag::context(7);
    const REGISTERED_ID: u8 = tag::context(8);
    match name.tag {
        RFC822_NAME | DNS_NAME | URI => std::str::from_utf8(name.content).ok().map(str::to_owned),
        IP_ADDRESS => Some(address(name.content)),
        OTHER_NAME => {
            let kind = name.open().object_identifier("type-id").ok()?;
            Some(format!("OtherName({kind}, [...])"))
        }
        DIRECTORY_NAME => {
            let name = name.open().sequence("directoryName").ok()?;
            Some(format!("DirectoryName({})", distinguished(name)))
        }
        REGISTERED_ID => dotted(name.content).map(|id| format!("RegisteredID({id})")),
        X400_ADDRESS => Some("X400Address(<unparsed>)".to_owned()),
        EDI_PARTY_NAME => Some("EDIPartyName(<unparsed>)".to_owned()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_or_else(|_| HEXLOWER.encode(bytes), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::der::encoded;
    use super::*;

    fn one(kind: &[u8], value: &[u8]) -> Vec<u8> {
        encoded(tag::SEQUENCE, &[&encoded(tag::OBJECT_IDENTIFIER, &[kind]), value])
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];

    fn common_name(tag: u8, content: &[u8]) -> String {
        distinguished(Der::new(&encoded(tag::SET, &[&one(CN, &encoded(tag, &[content]))])))
    }

    #[test]
    fn separates_names_by_commas_and_their_attributes_by_plus_signs() {
        let utf8 = |text: &str| encoded(tag::UTF8_STRING, &[text.as_bytes()]);
        let names = [
            encoded(tag::SET, &[&one(&[0x55, 4, 6], &encoded(tag::PRINTABLE_STRING, &[b"KR"]))]),
            encoded(tag::SET, &[&one(O, &utf8("A, B + C")), &one(&[0x55, 4, 11], &utf8("Lab"))]),
            encoded(tag::SET, &[&one(CN, &utf8("agent-b"))]),
        ];
        assert_eq!(distinguished(Der::new(&names.concat())), "C=KR, O=A, B + C + OU=Lab, CN=agent-b");
        assert_eq!(distinguished(Der::new(&[])), "");
    }

    #[test]
    fn reads_strings_by_their_type() {
        for tag in [
            tag::UTF8_STRING,
            tag::PRINTABLE_STRING,
            tag::IA5_STRING,
            tag::TELETEX_STRING,
            tag::NUMERIC_STRING,
            tag::VISIBLE_STRING,
            tag::GENERAL_STRING,
            tag::GRAPHIC_STRING,
            tag::VIDEOTEX_STRING,
            tag::OBJECT_DESCRIPTOR,
        ] {
            assert_eq!(common_name(tag, "é한".as_bytes()), "CN=é한");
            assert_eq!(common_name(tag, b"caf\xe9"), "CN=636166E9");
        }
        assert_eq!(common_name(tag::BMP_STRING, &[0xd5, 0x5c, 0xd8, 0x3d, 0xde, 0x00]), "CN=한😀");
        assert_eq!(common_name(tag::BMP_STRING, &[0, 0x41, 0]), "CN=004100");
        assert_eq!(common_name(tag::BMP_STRING, &[0xd8, 0x3d]), "CN=D83D");
        assert_eq!(common_name(0x1c, &[0, 0, 0, 0x41]), "CN=00000041");
        assert_eq!(common_name(tag::INTEGER, &[0xab]), "CN=AB");
    }

    #[test]
    fn names_attribute_types_or_shows_their_identifier() {
        let name = |kind: &[u8]| {
            distinguished(Der::new(&encoded(tag::SET, &[&one(kind, &encoded(tag::UTF8_STRING, &[b"x"]))])))
        };
        assert_eq!(name(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]), "Email=x");
        assert_eq!(name(&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 0x19]), "DC=x");
        assert_eq!(name(&[0x55, 4, 5]), "serialNumber=x");
        assert_eq!(name(&[0x55, 4, 97]), "OID(2.5.4.97)=x");
    }

    #[test]
    fn keeps_what_comes_before_a_malformed_part() {
        let first = encoded(tag::SET, &[&one(CN, &encoded(tag::UTF8_STRING, &[b"x"]))]);
        for (second, why) in [
            (&[0x30, 0][..], "RelativeDistinguishedName at byte 12: it has another type"),
            (&[0x31, 0], "AttributeTypeAndValue at byte 14: it is missing"),
            (&[0x31, 9], "RelativeDistinguishedName at byte 12: it is longer than what contains it"),
            (&[0x31, 4, 0x30, 2, 6, 0], "AttributeType at byte 18: not an OBJECT IDENTIFIER"),
        ] {
            let names = [&first, second, &first].concat();
            let names = if second[1] == 9 { &names[..first.len() + 2] } else { &names };
            assert_eq!(distinguished(Der::new(names)), format!("CN=x, <{why}>"));
        }
    }

    #[test]
    fn writes_every_kind_of_alternative_name() {
        let name = encoded(tag::SET, &[&one(CN, &encoded(tag::UTF8_STRING, &[b"x"]))]);
        let ipv6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        for (tag, content, text) in [
            (0x81, &b"a@example.org"[..], "a@example.org"),
            (0x82, b"*.example.org", "*.example.org"),
            (0x86, b"https://example.org/", "https://example.org/"),
            (0x87, &[10, 0, 0, 2], "10.0.0.2"),
            (0x87, &ipv6, "2001:db8::1"),
            (0x87, &[10, 0, 0], "0a0000"),
            (0x88, &[0x2a, 3], "RegisteredID(1.2.3)"),
            (0x88, &[0xff], "Invalid(tag=8, data=ff)"),
            (0xa0, &[6, 2, 0x2a, 3, 0xa0, 2, 5, 0], "OtherName(1.2.3, [...])"),
            (0xa0, &[5, 0], "Invalid(tag=0, data=0500)"),
            (0xa3, &[0x30, 0], "X400Address(<unparsed>)"),
            (0xa4, &encoded(tag::SEQUENCE, &[&name]), "DirectoryName(CN=x)"),
            (0xa4, &[5, 0], "Invalid(tag=4, data=0500)"),
            (0xa5, &[0x30, 0], "EDIPartyName(<unparsed>)"),
            (0x82, &[0xff, 0xfe], "Invalid(tag=2, data=fffe)"),
            (0x89, b"?", "Invalid(tag=9, data=3f)"),
        ] {
            let bytes = encoded(tag, &[content]);
            assert_eq!(general(Der::new(&bytes).any("name").unwrap()), text);
        }
    }
}
