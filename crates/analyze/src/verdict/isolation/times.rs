//! Times as the gateway writes them, as nanoseconds since the epoch.

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Reads a `Date` field in its preferred form (RFC 9110 §5.6.7).
pub(crate) fn http_date(text: &str) -> Option<u64> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let clock = parts.next()?;
    if parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|known| *known == month)? as u64 + 1;
    let days = days(number(year, 4)?, month, number(day, 2)?)?;
    let is_right_day = WEEKDAYS.get((days % 7) as usize) == Some(&weekday);
    Some((days * 86_400 + of_clock(clock)?) * SECOND).filter(|_| is_right_day)
}

/// Reads a time of RFC 3339 in UTC with at most nine decimals, without zeros at their end.
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let days = days(number(year, 4)?, number(month, 2)?, number(day, 2)?)?;
    let (clock, nanos) = match clock.split_once('.') {
        None => (clock, 0),
        Some((clock, decimals)) => {
            let is_exact = (1..=9).contains(&decimals.len()) && !decimals.ends_with('0');
            (clock, number(&format!("{decimals:0<9}"), 9).filter(|_| is_exact)?)
        }
    };
    Some((days * 86_400 + of_clock(clock)?) * SECOND + nanos)
}

/// `HH:MM:SS`.
fn of_clock(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// A decimal number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Days from 1 January 1970 to a day of the Gregorian calendar. After H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms": years begin in March, so that the leap day is the last one.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1970;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days.checked_sub(719_468).filter(|_| is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_that_the_gateway_writes() {
        let at = 1_795_374_414 * SECOND;
        assert_eq!(http_date("Sun, 22 Nov 2026 19:06:54 GMT"), Some(at));
        assert_eq!(rfc3339("2026-11-22T19:06:54.625737501Z"), Some(at + 625_737_501));
        assert_eq!(rfc3339("2026-11-22T19:06:54.5Z"), Some(at + 500_000_000));
        assert_eq!(rfc3339("2026-11-22T19:06:54Z"), Some(at));
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800 * SECOND));
    }

    #[test]
    fn refuses_other_spellings() {
        for date in [
            "Mon, 22 Nov 2026 19:06:54 GMT",
            "Sun, 22 nov 2026 19:06:54 GMT",
            "Sun, 22 Nov 2026 19:06:54",
            "Sun, 22 Nov 2026 19:06:60 GMT",
            "Sun, 22 Nov 2026 19:06:54 GMT ",
            "",
        ] {
            assert_eq!(http_date(date), None, "{date}");
        }
        for time in [
            "2026-11-22T19:06:54.10Z",
            "2026-11-22T19:06:54.Z",
            "2026-11-22t19:06:54Z",
            "2026-13-22T19:06:54Z",
            "2026-11-22T19:06:54.1234567891Z",
            "2026-11-22T24:06:54Z",
        ] {
            assert_eq!(rfc3339(time), None, "{time}");
        }
    }
}
