//! What a recording of a connection is worth to an attacker who gets hold of other keys later.

use super::cipher_suite::CipherSuite;
use super::handshake::ServerHello;

/// How the keys of a connection are agreed on, and so who can read its recording later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyExchange {
    /// Keys of their own for the connection, agreed on with ML-KEM (RFC 9846 with draft-ietf-tls-ecdhe-mlkem): neither the
    /// server's key nor a quantum computer opens the recording.
    PostQuantum,
    /// Keys of their own for the connection, from Diffie-Hellman alone: the server's key does not open the recording, a quantum
    /// computer will.
    ForwardSecret,
    /// The server's key or the shared key opens the recording, also later.
    NotForwardSecret,
    /// Neither side proves who it is: an attacker between the two can read and change everything at once.
    Unauthenticated,
}

impl KeyExchange {
    /// By a ServerHello that is no HelloRetryRequest; `None` for a suite without a registered name.
    #[must_use]
    pub fn of(hello: &ServerHello) -> Option<Self> {
        if !hello.version.is_tls13() {
            return Self::of_suite(hello.cipher_suite);
        }
        Some(match hello.key_share_group {
            Some(group) if group.is_post_quantum() => Self::PostQuantum,
            Some(_) => Self::ForwardSecret,
            // A pre-shared key alone (RFC 9846 §2.2).
            None => Self::NotForwardSecret,
        })
    }

    /// Before TLS 1.3 the suite says it, in the part of its name before `_WITH_`.
    pub(super) fn of_suite(suite: CipherSuite) -> Option<Self> {
        let (exchange, _) = suite.name()?.strip_prefix("TLS_")?.split_once("_WITH_")?;
        let mut words = exchange.split('_');
        Some(match words.next()? {
            _ if exchange.split('_').any(|word| word == "anon") => Self::Unauthenticated,
            "NULL" => Self::Unauthenticated,
            "ECDHE" | "DHE" => Self::ForwardSecret,
            "PSK" if words.next() == Some("DHE") => Self::ForwardSecret,
            _ => Self::NotForwardSecret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_key_exchange_from_the_name_of_a_suite() {
        for (suite, expected) in [
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, Some(KeyExchange::ForwardSecret)),
            (CipherSuite::TLS_DHE_PSK_WITH_AES_128_CCM, Some(KeyExchange::ForwardSecret)),
            (CipherSuite::TLS_PSK_DHE_WITH_AES_128_CCM_8, Some(KeyExchange::ForwardSecret)),
            (CipherSuite::TLS_RSA_WITH_AES_128_GCM_SHA256, Some(KeyExchange::NotForwardSecret)),
            (CipherSuite::TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256, Some(KeyExchange::NotForwardSecret)),
            (CipherSuite::TLS_PSK_WITH_AES_128_GCM_SHA256, Some(KeyExchange::NotForwardSecret)),
            (CipherSuite::TLS_DH_ANON_WITH_AES_128_CBC_SHA, Some(KeyExchange::Unauthenticated)),
            (CipherSuite::TLS_ECDH_ANON_WITH_NULL_SHA, Some(KeyExchange::Unauthenticated)),
            (CipherSuite(0x7777), None),
            (CipherSuite::TLS_FALLBACK_SCSV, None),
        ] {
            assert_eq!(KeyExchange::of_suite(suite), expected, "{suite}");
        }
    }
}
