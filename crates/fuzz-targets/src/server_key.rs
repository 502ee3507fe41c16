use dissect::tls::{SERVER_KEY_BITS, ServerKey};

/// A private key: no prefix of one is one, its size is within bounds, and reading it twice gives the same result.
pub fn server_key(data: &[u8]) {
    let (found, again) = (ServerKey::from_der(data), ServerKey::from_der(data));
    match (found, again) {
        (Ok(found), Ok(again)) => {
            assert!(SERVER_KEY_BITS.contains(&found.bits()));
            assert_eq!(found.public_key_sha256(), again.public_key_sha256());
            assert_eq!(format!("{found:?}"), format!("ServerKey({} bits)", found.bits()));
            assert!(data.split_last().is_some_and(|(_, cut)| ServerKey::from_der(cut).is_err()));
        }
        (found, again) => assert_eq!(found.err(), again.err()),
    }
}
