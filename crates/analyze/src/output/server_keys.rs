//! Writes down what the given RSA keys of servers opened.

use data_encoding::HEXLOWER;
use dissect::tls::KeyUse;
use exposure_schema::ServerKeyEntry;

use crate::verdict::report::UsedKey;

/// One key.
pub(crate) fn entry(used: &UsedKey) -> ServerKeyEntry {
    let UsedKey { file, bits, public_key_sha256, used } = used;
    ServerKeyEntry {
        file: file.display().to_string(),
        bits: *bits as u64,
        public_key_sha256: HEXLOWER.encode(public_key_sha256),
        certificates: used.certificates.iter().map(|hash| HEXLOWER.encode(hash)).collect(),
        handshakes: used.handshakes,
        opened: used.opened,
        other_exchanges: used.other_exchanges,
        failed: used.failed,
        reason: reason(used).map(str::to_owned),
    }
}

/// Why a key opened nothing.
fn reason(used: &KeyUse) -> Option<&'static str> {
    match used {
        KeyUse { opened: 1.., .. } => None,
        KeyUse { failed: 1.., .. } => Some(
            "it does not decrypt what the clients sent, or the capture lacks a part of the handshake that the keys \
             depend on",
        ),
        KeyUse { other_exchanges: 1.., .. } => Some(
            "the key exchanges with its certificate have forward secrecy, or are no RSA key exchange: there the key only \
             signs, and cannot open a recording",
        ),
        KeyUse { handshakes: 1.., .. } => {
            Some("no key exchange with its certificate is complete in the capture")
        }
        _ => Some(
            "no server presents a certificate with its public key in the clear; from TLS 1.3 on certificates are \
             encrypted, and no server's key opens a recording",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_a_key_opened_nothing() {
        let text = |handshakes, opened, other_exchanges, failed| {
            let mut used = KeyUse::default();
            (used.handshakes, used.opened) = (handshakes, opened);
            (used.other_exchanges, used.failed) = (other_exchanges, failed);
            reason(&used).unwrap_or_default()
        };
        assert!(text(0, 0, 0, 0).contains("no server presents a certificate"));
        assert!(text(1, 0, 0, 0).contains("is complete in the capture"));
        assert!(text(2, 0, 2, 0).contains("forward secrecy"));
        assert!(text(2, 0, 1, 1).contains("does not decrypt"));
        assert_eq!(text(3, 1, 1, 1), "");
    }
}
