//! The times of a certificate (RFC 5280 §4.1.2.5).

use super::der::{Der, Parsed, Value, tag};

const SECONDS_OF_A_DAY: i64 = 86_400;

/// The next value, a time, as seconds since the epoch.
pub(super) fn time(der: &mut Der<'_>, field: &'static str) -> Parsed<i64> {
    let value = der.any(field)?;
    seconds(value).ok_or_else(|| value.malformed(field, "not a time as RFC 5280 §4.1.2.5 writes it"))
}

fn seconds(value: Value<'_>) -> Option<i64> {
    match (value.tag, value.content) {
        (tag::UTC_TIME, [y1, y2, rest @ ..]) => {
            let year = number(&[*y1, *y2])?;
            since_epoch(year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        (tag::GENERALIZED_TIME, [y1, y2, y3, y4, rest @ ..]) => {
            since_epoch(number(&[*y1, *y2, *y3, *y4])?, rest)
        }
        _ => None,
    }
}

/// A year and the text behind it: month, day, hour, minute and second in two digits each, and `Z`.
fn since_epoch(year: i64, rest: &[u8]) -> Option<i64> {
    let (digits, b"Z") = rest.split_at_checked(10)? else { return None };
    let field = |at: usize| number(digits.get(at..at + 2)?);
    let (month, day) = (field(0)?, field(2)?);
    let (hour, minute, second) = (field(4)?, field(6)?, field(8)?);
    let exists = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    if !exists || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_since_epoch(year, month, day) * SECONDS_OF_A_DAY + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar from the year 0 on.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Days from 0000-01-01 to 1970-01-01.
    const EPOCH: i64 = 719_528;
    // The leap days of the years 0 to `year - 1`; the year 0 is one.
    let leap_days = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    year * 365 + leap_days + months + day - 1 - EPOCH
}

#[cfg(test)]
mod tests {
    use super::super::der::encoded;
    use super::*;

    fn read(tag: u8, text: &str) -> Option<i64> {
        time(&mut Der::new(&encoded(tag, &[text.as_bytes()])), "time").ok()
    }

    #[test]
    fn reads_both_kinds_of_time() {
        for (text, seconds) in [
            ("700101000000Z", 0),
            ("691231235959Z", -1),
            ("500101000000Z", -631_152_000),
            ("491231235959Z", 2_524_607_999),
            ("000229120000Z", 951_825_600),
            ("380119031408Z", 2_147_483_648),
        ] {
            assert_eq!(read(tag::UTC_TIME, text), Some(seconds), "{text}");
        }
        for (text, seconds) in [
            ("19700101000000Z", 0),
            ("20500101000000Z", 2_524_608_000),
            ("20000229120000Z", 951_825_600),
            ("00000101000000Z", -62_167_219_200),
            ("00010101000000Z", -62_135_596_800),
            // RFC 5280 §4.1.2.5: no well-defined end.
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn rejects_times_that_do_not_exist() {
        for text in [
            "700001000000Z",
            "701301000000Z",
            "700100000000Z",
            "700132000000Z",
            "700431000000Z",
            "700229000000Z",
            "700101240000Z",
            "700101006000Z",
            "700101000060Z",
        ] {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
        }
        assert_eq!(read(tag::GENERALIZED_TIME, "19000229000000Z"), None);
        assert_eq!(read(tag::GENERALIZED_TIME, "21000229000000Z"), None);
    }

    #[test]
    fn rejects_other_ways_to_write_a_time() {
        for text in [
            "",
            "Z",
            "7001010000Z",
            "700101000000",
            "700101000000z",
            "700101000000+0000",
            "700101000000ZZ",
            "7001010000 0Z",
            "+70101000000Z",
            "19700101000000Z",
        ] {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
        }
        for text in ["700101000000Z", "19700101000000.5Z", "1970010100Z", "19700101000000+0100"] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), None, "{text}");
        }
        assert_eq!(read(tag::UTF8_STRING, "700101000000Z"), None);
    }

    #[test]
    fn days_are_consecutive_in_every_year() {
        let mut next = days_since_epoch(0, 1, 1);
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_of_month(year, month) {
                    assert_eq!(days_since_epoch(year, month, day), next);
                    next += 1;
                }
            }
        }
    }
}
