//! Dates of HTTP (RFC 9110 section 5.6.7): written in the one form, read in all three.

use crate::services::answers::{MONTHS, WEEKDAYS, date};

/// Octets of a date.
pub(super) const LEN: usize = 29;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970.
pub(super) fn format(unix_s: u64) -> [u8; LEN] {
    let mut out = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = date(days);
    out[..3].copy_from_slice(&WEEKDAYS[(days % 7) as usize].as_bytes()[..3]);
    out[8..11].copy_from_slice(&MONTHS[month].as_bytes()[..3]);
    let century = year / 100 % 100;
    let numbers = [(5, day), (12, century), (14, year % 100)];
    let clock = [(17, second / 3600), (20, second / 60 % 60), (23, second % 60)];
    for (at, number) in numbers.into_iter().chain(clock) {
        out[at] = b'0' + (number / 10) as u8;
        out[at + 1] = b'0' + (number % 10) as u8;
    }
    out
}

/// Seconds since 1970 of a date in any of the forms; `None` for one that is none, or is earlier.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    words.next().filter(|word| is_weekday(word))?;
    let second = words.next()?;
    let (day, month, year, clock) = match month(second) {
        // asctime: Sun Nov  6 08:49:37 1994
        Some(month) => {
            let (day, clock) = (words.next()?, words.next()?);
            (day, month, words.next()?, clock)
        }
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT
        None => {
            let (month, year, clock) = (month(words.next()?)?, words.next()?, words.next()?);
            words.next().filter(|zone| *zone == "GMT")?;
            (second, month, year, clock)
        }
    };
    if words.next().is_some() {
        return None;
    }
    let year = match (year.len(), digits(year)?) {
        // RFC 9110: what would be more than 50 years ahead is past. No clock is needed for that
        // before 2050, and nobody writes this form any more.
        (2, year) => year + if year < 70 { 2000 } else { 1900 },
        (4, year) => year,
        _ => return None,
    };
    let days = days(year, month, digits(day)?)?;
    let mut clock = clock.split(':').map(digits);
    let (Some(hour), Some(minute), Some(second), None) =
        (clock.next()?, clock.next()?, clock.next()?, clock.next())
    else {
        return None;
    };
    // 60: a leap second.
    (hour < 24 && minute < 60 && second <= 60)
        .then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01; `None` for a day that is not in the calendar, or before it.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || day == 0 || day > 31 {
        return None;
    }
    // Years begin in March, as in `date`.
    let (y, m) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    (date(days) == (year, month as usize, day)).then_some(days)
}

fn is_weekday(word: &str) -> bool {
    WEEKDAYS.into_iter().any(|known| word == known || word == &known[..3])
}

fn month(word: &str) -> Option<u64> {
    MONTHS.into_iter().position(|known| word == &known[..3]).map(|at| at as u64)
}

fn digits(word: &str) -> Option<u64> {
    if word.len() > 4 { None } else { super::request::number(word.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_in_the_preferred_form_rfc9110_5_6_7() {
        assert_eq!(&format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&format(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn all_three_forms_are_read_rfc9110_5_6_7() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        for day in (0..60_000).step_by(17) {
            let unix_s = day * 86_400 + day % 86_400;
            assert_eq!(parse(&format(unix_s)), Some(unix_s));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Son, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
