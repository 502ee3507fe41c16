use dissect::tls::{Certificate, MAX_SUBJECT_ALT_NAMES};

/// An X.509 certificate: its text is safe to display, the number of its names is bounded, it is whole, and reading it twice
/// gives the same result.
pub fn certificate(data: &[u8]) {
    let found = Certificate::parse(data);
    assert_eq!(found, Certificate::parse(data));
    assert_eq!(found.length, data.len());
    let texts = match found.fields {
        Ok(fields) => {
            assert!(fields.subject_alt_names.len() <= MAX_SUBJECT_ALT_NAMES);
            assert!(fields.subject_alt_names.len() <= fields.subject_alt_names_total);
            assert!(fields.subject_alt_names_total <= data.len());
            assert!(fields.not_before.max(fields.not_after) <= END_OF_TIME);
            // A certificate ends where its outermost length says: no prefix of one is one.
            assert!(data.split_last().is_some_and(|(_, cut)| Certificate::parse(cut).fields.is_err()));
            let names =
                [fields.subject, fields.issuer, fields.public_key_algorithm, fields.signature_algorithm];
            [&names[..], &fields.subject_alt_names].concat()
        }
        Err(why) => vec![why],
    };
    assert!(texts.iter().all(|text| !text.contains(char::is_control)), "{texts:?}");
}

/// The last second of the year 9999: no GeneralizedTime is later.
const END_OF_TIME: i64 = 253_402_300_799;
