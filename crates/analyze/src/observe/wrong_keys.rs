//! The wrong-key control: tries records that were decrypted again with wrong secrets. If one authenticates,
//! authentication proves nothing.

use aws_lc_rs::hmac;
use dissect::keylog::Secret;
use dissect::tls::DecryptAttempt;

use crate::pipeline::fact::RecordFact;

/// Protected records of each direction and generation of keys that are also tried with a wrong key. Each try costs as
/// much as a real decryption, and a forgery succeeds with probability 2^-128: more tries prove no more.
pub(crate) const CONTROL_TRIES: u64 = 1;

/// Fixed key for deriving wrong secrets; any constant works.
const CONTROL_LABEL: &[u8] = b"plainsight wrong-key control";

/// The tries in one capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrongKeys {
    /// Number of records tried with a wrong key.
    pub tried: u64,
    /// Number of records that authenticated with a wrong key: must be 0.
    pub authenticated: u64,
}

impl WrongKeys {
    /// Tries a decrypted TLS record with a wrong key.
    pub(crate) fn record(&mut self, fact: &RecordFact<'_>) {
        if let Some(attempt) = &fact.record.attempt
            && attempt.records_before < CONTROL_TRIES
        {
            self.try_again(attempt);
        }
    }

    fn try_again(&mut self, attempt: &DecryptAttempt<'_>) {
        let wrong = wrong_secret(&attempt.secret);
        if let Some(authenticates) = wrong.and_then(|wrong| attempt.authenticates_under(&wrong)) {
            self.tried += 1;
            self.authenticated += u64::from(authenticates);
        }
    }
}

/// A wrong secret of the same length, always the same for the same right one: `HMAC-SHA-384(label, secret)`, which is
/// indistinguishable from a random secret.
fn wrong_secret(secret: &Secret) -> Option<Secret> {
    let key = hmac::Key::new(hmac::HMAC_SHA384, CONTROL_LABEL);
    let tag = hmac::sign(&key, secret.as_bytes());
    Secret::new(tag.as_ref().get(..secret.as_bytes().len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_another_secret_of_the_same_length() {
        for length in [32, 48] {
            let secret = Secret::new(&vec![0x5a; length]).unwrap();
            let wrong = wrong_secret(&secret).unwrap();
            assert_eq!(wrong.as_bytes().len(), length);
            assert_ne!(wrong, secret);
            assert_eq!(wrong_secret(&secret), Some(wrong));
        }
    }
}
