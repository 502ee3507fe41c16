//! Numbers and times as the report writes them, the same in both languages.

use time::OffsetDateTime;
use time::macros::format_description;

/// With commas between the thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A part of a whole in percent, with one decimal.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    format!("{share:.1} %")
}

/// A span of time in milliseconds, with three decimals.
pub(crate) fn milliseconds(ns: u64) -> String {
    format!("{:.3} ms", ns as f64 / 1e6)
}

/// Date and time in UTC, to the millisecond.
pub(crate) fn date_time(unix_ns: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] UTC");
    at(unix_ns).and_then(|at| at.format(&format).ok()).unwrap_or_else(|| format!("{unix_ns} ns"))
}

/// The date in UTC.
pub(crate) fn date(unix_ns: u64) -> String {
    let format = format_description!("[year]-[month]-[day]");
    at(unix_ns).and_then(|at| at.format(&format).ok()).unwrap_or_else(|| format!("{unix_ns} ns"))
}

fn at(unix_ns: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ns)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_counts_percentages_and_milliseconds() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([percent(1, 3), percent(5, 0)], ["33.3 %", "0.0 %"]);
        assert_eq!(milliseconds(1_562_500), "1.562 ms");
    }

    #[test]
    fn formats_dates_in_utc() {
        assert_eq!(date_time(1_795_178_826_795_215_584), "2026-11-20 12:47:06.795 UTC");
        assert_eq!(date(1_795_178_826_795_215_584), "2026-11-20");
        // The latest time that 64 bits of nanoseconds can express.
        assert_eq!(date(u64::MAX), "2554-07-21");
    }
}
