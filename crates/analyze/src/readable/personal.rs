//! Personal data that a check digit or its form confirms: e-mail addresses, account numbers, numbers of payment cards.

use std::ops::Range;

use super::{Detail, Kind};

/// Longest local part and domain of an address (RFC 5321 §4.5.3.1).
const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 253;

/// Ends of file names that look like domains behind an `@`, as in `logo@2x.png`.
const FILE_ENDS: [&str; 22] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "ts", "tsx", "jsx", "json",
    "html", "htm", "map", "woff", "ttf", "txt", "xml", "tgz",
];

/// Length of an account number by its country (ISO 13616, the registry of SWIFT).
const IBAN_LENGTHS: [(&str, usize); 78] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("XK", 20),
];

/// Words near a number that say that it is one of a card.
const CARD_WORDS: [&str; 6] = ["card", "visa", "mastercard", "amex", "credit", "debit"];

/// Number of bytes before a number that are searched for such a word.
const CARD_CONTEXT: usize = 40;

/// Personal data in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Personal {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
    pub(super) details: Vec<Detail>,
}

/// Finds personal data. `names_card`: the name of the field says that it is the number of a card.
pub(super) fn personal(text: &str, names_card: bool) -> Vec<Personal> {
    let mut found = Vec::new();
    emails(text, &mut found);
    numbers(text, names_card, &mut found);
    found
}

fn emails(text: &str, found: &mut Vec<Personal>) {
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'@', bytes) {
        let before = bytes.get(at.saturating_sub(MAX_LOCAL + 1)..at).unwrap_or_default();
        let local = before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte))
            .count();
        let after = bytes.get(at + 1..).unwrap_or_default();
        let after = after.get(..after.len().min(MAX_DOMAIN + 1)).unwrap_or_default();
        let domain =
            after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte)).count();
        let (Some(mut local), Some(domain)) = (text.get(at - local..at), text.get(at + 1..at + 1 + domain))
        else {
            continue;
        };
        let ahead = before.len().checked_sub(local.len() + 1).and_then(|index| before.get(index));
        let next = after.get(domain.len());
        // An escape of percent-encoding is no part of the address.
        if let Some((_, rest)) = local.rsplit_once('%') {
            local = rest.get(2..).unwrap_or_default();
        }
        let domain = domain.trim_end_matches(['.', '-']);
        let is_of_url = matches!(ahead, Some(b':' | b'/' | b'@'))
            && !text.get(..at - local.len()).unwrap_or_default().ends_with("mailto:");
        let is_remote = next == Some(&b':') && matches!(local, "git" | "hg" | "ssh");
        let is_longer = matches!(next, Some(b'@' | b'_'));
        if is_of_url || is_remote || is_longer || !is_local(local) || !is_domain(domain) {
            continue;
        }
        let range = at - local.len()..at + 1 + domain.len();
        found.push(Personal { kind: Kind::Email, range, details: vec![Detail::new("domain", domain)] });
    }
}

fn is_local(local: &str) -> bool {
    let is_dotted = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    !local.is_empty()
        && local.len() <= MAX_LOCAL
        && !is_dotted
        && local.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    let is_top = (2..=24).contains(&top.len()) && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_file = FILE_ENDS.iter().any(|end| top.eq_ignore_ascii_case(end));
    domain.len() <= MAX_DOMAIN && domain.split('.').all(is_label) && is_top && !is_file
}

/// Account and card numbers: letters and digits, alone or in groups with a space or hyphen between them.
fn numbers(text: &str, names_card: bool, found: &mut Vec<Personal>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..)
        && let Some(start) = rest.iter().position(u8::is_ascii_alphanumeric)
    {
        let start = at + start;
        let before = start.checked_sub(1).and_then(|index| bytes.get(index));
        let is_free =
            !matches!(before, Some(b'_' | b'.' | b'-' | b'/' | b'+')) && before.is_none_or(u8::is_ascii);
        let number = if is_free { iban(text, start).or_else(|| card(text, start, names_card)) } else { None };
        match number {
            Some(number) => {
                at = number.range.end;
                found.push(number);
            }
            None => {
                let word = bytes.get(start..).unwrap_or_default();
                at = start + word.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count().max(1);
            }
        }
    }
}

/// The letters and digits of a number from `start` on, without single separators, and where it ends. Reads at most `most`.
fn grouped(
    text: &str,
    start: usize,
    most: usize,
    is_part: impl Fn(u8) -> bool,
) -> (Vec<u8>, Vec<usize>, usize) {
    let bytes = text.as_bytes();
    let (mut letters, mut groups, mut at, mut end) = (Vec::new(), Vec::new(), start, start);
    let mut group = 0;
    while letters.len() <= most {
        match bytes.get(at) {
            Some(byte) if is_part(*byte) => {
                letters.push(*byte);
                group += 1;
                end = at + 1;
            }
            Some(b' ' | b'-') if group > 0 && bytes.get(at + 1).is_some_and(|next| is_part(*next)) => {
                groups.push(group);
                group = 0;
            }
            _ => break,
        }
        at += 1;
    }
    groups.push(group);
    (letters, groups, end)
}

/// Whether a word ends here: no letter, digit or `_` follows.
fn ends(text: &str, at: usize) -> bool {
    let next = text.as_bytes().get(at);
    !next.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
}

/// An account number (ISO 13616): country, length and remainder.
fn iban(text: &str, start: usize) -> Option<Personal> {
    let country = text.get(start..start + 2)?;
    let (_, len) = IBAN_LENGTHS.iter().find(|(code, _)| *code == country)?;
    let check = text.as_bytes().get(start + 2..start + 4)?;
    if !check.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    // A word behind a space may follow, so only the letters of the number are read.
    let (letters, groups, _) = grouped(text, start, len - 1, part);
    let letters = letters.get(..*len)?;
    let is_grouped = groups.len() > 1;
    if is_grouped && groups.iter().take(len / 4).any(|group| *group != 4) {
        return None;
    }
    let end = end_of(text, start, *len)?;
    let remainder =
        letters.iter().skip(4).chain(letters.iter().take(4)).fold(0u32, |rest, byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        });
    let is_varied = letters.iter().skip(4).any(|byte| *byte != b'0');
    let details = vec![Detail::new("country", country)];
    (remainder == 1 && is_varied && ends(text, end)).then_some(Personal {
        kind: Kind::Iban,
        range: start..end,
        details,
    })
}

/// Offset behind so many letters and digits.
fn end_of(text: &str, start: usize, letters: usize) -> Option<usize> {
    let rest = text.as_bytes().get(start..)?;
    let mut places = rest.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
    places.nth(letters.checked_sub(1)?).map(|(at, _)| start + at + 1)
}

/// The number of a payment card (ISO/IEC 7812): network, length, check digit. One number of ten has a valid check digit, and
/// many ids have sixteen digits: it is in groups as on cards, or its name or the text before it speaks of a card.
fn card(text: &str, start: usize, names_card: bool) -> Option<Personal> {
    if !text.as_bytes().get(start)?.is_ascii_digit() {
        return None;
    }
    let (digits, groups, end) = grouped(text, start, 19, |byte| byte.is_ascii_digit());
    let network = network(&digits)?;
    let is_in_groups = matches!(groups.as_slice(), [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3]);
    let is_one = groups.len() == 1;
    if !(is_in_groups || is_one) || !ends(text, end) || !luhn(&digits) {
        return None;
    }
    // A decimal fraction is none.
    if text.as_bytes().get(end) == Some(&b'.') && text.as_bytes().get(end + 1).is_some_and(u8::is_ascii_digit)
    {
        return None;
    }
    let speaks_of_card = || {
        let from = (start.saturating_sub(CARD_CONTEXT)..=start)
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(start);
        let context = text.get(from..start).unwrap_or_default().to_ascii_lowercase();
        CARD_WORDS.iter().any(|word| context.contains(word))
    };
    (is_in_groups || names_card || speaks_of_card()).then(|| Personal {
        kind: Kind::PaymentCard,
        range: start..end,
        details: vec![Detail::new("network", network)],
    })
}

/// The network of a card by the first digits and the length of its number.
fn network(digits: &[u8]) -> Option<&'static str> {
    let prefix =
        digits.get(..4)?.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')));
    match (prefix, digits.len()) {
        (4000..=4999, 16) => Some("Visa"),
        (5100..=5599 | 2221..=2720, 16) => Some("Mastercard"),
        (3400..=3499 | 3700..=3799, 15) => Some("American Express"),
        (6011 | 6440..=6599, 16) => Some("Discover"),
        (3000..=3059 | 3600..=3699 | 3800..=3999, 14) => Some("Diners Club"),
        (3528..=3589, 16) => Some("JCB"),
        (6200..=6299, 16..=19) => Some("UnionPay"),
        _ => None,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            match (index % 2, digit * 2) {
                (0, _) => digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Kind, &str)> {
        personal(text, false).into_iter().map(|found| (found.kind, &text[found.range])).collect()
    }

    #[test]
    fn finds_addresses() {
        for (text, address) in [
            ("ada@example.com", "ada@example.com"),
            ("<ada.lovelace+x@mail.example.co.uk>,", "ada.lovelace+x@mail.example.co.uk"),
            ("mailto:ada@example.com?subject=x", "ada@example.com"),
            ("write to ada_1@example.org.", "ada_1@example.org"),
            ("user=a%20ada@example.com", "ada@example.com"),
        ] {
            assert_eq!(found(text), [(Kind::Email, address)], "{text}");
        }
        for text in [
            "logo@2x.png",
            "react@18.2.0",
            "@scope/name",
            "a@b",
            "a@localhost",
            "https://u:pw@host.example/",
            "git@github.com:a/b",
            "a..b@example.com",
            ".a@example.com",
            "a@-b.example",
            "a@b..com",
            "a@b.c",
            "x@y.123",
            "@example.com",
            "a@",
            "npm:@types/node@20.1.0",
            "style@media.css",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn finds_account_numbers_by_country_length_and_remainder() {
        // The examples of the registry.
        for text in [
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "FR1420041010050500013M02606",
            "NL91ABNA0417164300",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "CH9300762011623852957",
            "BE68539007547034",
            "DE89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
        ] {
            for context in [
                text.to_owned(),
                format!("to {text}, please"),
                format!("\"{text}\""),
                format!("{text} is it"),
            ] {
                assert_eq!(found(&context), [(Kind::Iban, text)], "{context}");
            }
        }
        for text in [
            "DE88370400440532013000",
            "DE8937040044053201300",
            "DE893704004405320130000",
            "XX89370400440532013000",
            "de89370400440532013000",
            "ADE89370400440532013000",
            "DE00000000000000000000",
            "DE89370400440532013000x",
            "DE89",
            "DE89 37040 044 0532 0130 00",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn finds_card_numbers_with_a_reason() {
        // Test numbers of the networks.
        for text in ["4111 1111 1111 1111", "5555-5555-5555-4444", "3782 822463 10005", "4242 4242 4242 4242"]
        {
            assert_eq!(found(&format!("pay {text}.")), [(Kind::PaymentCard, text)], "{text}");
        }
        assert_eq!(found("my card is 4111111111111111"), [(Kind::PaymentCard, "4111111111111111")]);
        assert_eq!(personal("378282246310005", true).len(), 1);
        assert_eq!(personal("6011111111111117", true).len(), 1);
        for text in [
            "4111111111111111",
            "card 4111111111111112",
            "card 411111111111111",
            "card 41111111111111110",
            "card 1111111111111117",
            "1763 8592 0000 0000",
            "card x4111111111111111",
            "card 4111111111111111.5",
            "4111 1111 1111 1112",
            "41 11 11 11 11 11 11 11",
            "card id_4111111111111111",
            "2024-01-01 4111-1111",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
