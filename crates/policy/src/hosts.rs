//! Hosts by address, network or name.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error as _;

/// Hosts: addresses (`10.0.0.1`), networks (`10.0.0.0/8`), names (`api.example`), the names below one (`*.example`), or all
/// hosts (`*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    All,
    Network(IpNet),
    Name(String),
    /// Names that end in this text, which begins with a dot.
    Below(String),
}

impl Hosts {
    /// Whether no host is among them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of the networks.
    pub fn have_address(&self, address: IpAddr) -> bool {
        // An IPv4 address may be written as one of IPv6 (RFC 4291 §2.5.5.2).
        let address = address.to_canonical();
        self.0.iter().any(|host| match host {
            Host::All => true,
            Host::Network(network) => network.contains(&address),
            Host::Name(_) | Host::Below(_) => false,
        })
    }

    /// Whether a name is one of the names or below one.
    pub fn have_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|host| match host {
            Host::All => true,
            Host::Name(own) => *own == name,
            Host::Below(end) => name.ends_with(end.as_str()),
            Host::Network(_) => false,
        })
    }

    /// Whether one of them is a name. Which address has it depends on what the capture shows.
    pub(crate) fn has_names(&self) -> bool {
        self.0.iter().any(|host| matches!(host, Host::Name(_) | Host::Below(_)))
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| host(text).map_err(D::Error::custom)).collect::<Result<_, _>>().map(Self)
    }
}

fn host(text: &str) -> Result<Host, String> {
    let unusable = || format!("`{text}` is neither an address, a network, a name nor `*`");
    if text == "*" {
        return Ok(Host::All);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Network(address.to_canonical().into()));
    }
    if text.contains('/') {
        return text.parse::<IpNet>().map(|network| Host::Network(network.trunc())).map_err(|_| unusable());
    }
    let name = text.strip_prefix('*').unwrap_or(text).trim_end_matches('.').to_ascii_lowercase();
    let is_below = text.starts_with('*');
    let labels = name.strip_prefix('.').filter(|_| is_below).unwrap_or(&name);
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|char| char.is_ascii_alphanumeric() || "-_".contains(char))
    };
    if is_below != name.starts_with('.') || !labels.split('.').all(is_label) {
        return Err(unusable());
    }
    Ok(if is_below { Host::Below(name) } else { Host::Name(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Hosts {
        Hosts(texts.iter().map(|text| host(text).unwrap()).collect())
    }

    #[test]
    fn finds_addresses_in_networks() {
        let hosts = hosts(&["10.1.2.3/8", "2001:db8::/32", "192.0.2.7"]);
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(hosts.have_address(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!hosts.have_name("10.1.2.3"));
    }

    #[test]
    fn finds_names_and_those_below_one() {
        let hosts = hosts(&["api.example", "*.internal.example"]);
        for (name, expected) in [
            ("API.example.", true),
            ("a.api.example", false),
            ("db.internal.example", true),
            ("a.db.internal.example", true),
            ("internal.example", false),
            ("badinternal.example", false),
        ] {
            assert_eq!(hosts.have_name(name), expected, "{name}");
        }
        assert!(!hosts.have_address("10.0.0.1".parse().unwrap()));
        let all = Hosts(vec![host("*").unwrap()]);
        assert!(all.have_name("a") && all.have_address("::1".parse().unwrap()));
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "10.0.0.0/33", "*example", "a..b", "http://a", "*.", "a b", "10.0.0.0/"] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
