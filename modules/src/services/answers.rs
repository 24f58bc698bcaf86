//! What the services answer: plain functions of time and random numbers.

/// RFC 867: a line with the date and time. UTC, in the first form that the RFC recommends:
/// `Tuesday, February 22, 1982 17:37:43-UTC`. Returns the bytes written.
pub fn daytime(unix_s: u64, out: &mut [u8; ANSWER_MAX]) -> usize {
    let mut line = Line { out, len: 0 };
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = date(days);
    // 1970-01-01 was a Thursday.
    line.text(WEEKDAYS[(days % 7) as usize]);
    line.text(", ");
    line.text(MONTHS[month]);
    line.text(" ");
    line.number(day, 1);
    line.text(", ");
    line.number(year, 4);
    for (gap, value) in [(" ", second / 3600), (":", second / 60 % 60), (":", second % 60)] {
        line.text(gap);
        line.number(value, 2);
    }
    line.text("-UTC\r\n");
    line.len
}

/// RFC 868: seconds since 1900 as four bytes, big-endian. The count begins again in 2036, as the
/// RFC has it.
pub fn time(unix_s: u64) -> [u8; 4] {
    (unix_s.wrapping_add(SECONDS_1900_TO_1970) as u32).to_be_bytes()
}

/// RFC 864: lines of 72 of the 95 printing characters, each line beginning one character later.
/// Fills `out` from the line that begins with character `first`.
pub fn chargen(first: usize, out: &mut [u8]) {
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = chargen_at(first, at);
    }
}

/// The character at a place of lines that begin with character `first`.
pub(super) const fn chargen_at(first: usize, at: usize) -> u8 {
    match (at / CHARGEN_LINE, at % CHARGEN_LINE) {
        (_, 72) => b'\r',
        (_, 73) => b'\n',
        (line, column) => b' ' + ((first + line + column) % 95) as u8,
    }
}

/// 72 characters and the line's end.
pub(super) const CHARGEN_LINE: usize = 72 + 2;

/// RFC 864: "a random number (between 0 and 512) of characters".
pub const ANSWER_MAX: usize = 512;

/// Year, month (January is 0) and day of the month of a day since 1970-01-01, in the Gregorian
/// calendar.
pub(super) fn date(days: u64) -> (u64, usize, u64) {
    // Years begin in March here, so that the leap day is the last one. 719,468 days lie between
    // 0000-03-01 and 1970-01-01; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 153 days in five.
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let january_on = (from_march + 2) % 12;
    let year = era * 400 + year + u64::from(january_on < 2);
    (year, january_on as usize, day)
}

struct Line<'a> {
    out: &'a mut [u8; ANSWER_MAX],
    len: usize,
}

impl Line<'_> {
    fn text(&mut self, text: &str) {
        self.out[self.len..self.len + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }

    /// Decimal, with at least so many digits.
    fn number(&mut self, value: u64, digits: usize) {
        let count = (value.checked_ilog10().unwrap_or(0) as usize + 1).max(digits);
        let mut rest = value;
        for place in self.out[self.len..self.len + count].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.len += count;
    }
}

const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
/// From the weekday of 1970-01-01 on.
pub(super) const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    fn daytime_text(unix_s: u64) -> String {
        let mut out = [0; ANSWER_MAX];
        let len = daytime(unix_s, &mut out);
        core::str::from_utf8(&out[..len]).expect("text").to_string()
    }

    #[test]
    fn daytime_is_the_line_that_rfc867_recommends() {
        assert_eq!(daytime_text(0), "Thursday, January 1, 1970 00:00:00-UTC\r\n");
        // date -u -d @383247463
        assert_eq!(daytime_text(383_247_463), "Monday, February 22, 1982 17:37:43-UTC\r\n");
        assert_eq!(daytime_text(951_782_399), "Monday, February 28, 2000 23:59:59-UTC\r\n");
        assert_eq!(daytime_text(951_782_400), "Tuesday, February 29, 2000 00:00:00-UTC\r\n");
        assert_eq!(daytime_text(4_107_542_400), "Monday, March 1, 2100 00:00:00-UTC\r\n");
    }

    #[test]
    fn dates_follow_the_lengths_of_months_for_400_years() {
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..146_097 {
            assert_eq!(date(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = 28 + u64::from(leap);
            let length = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month == 12 {
                (year, month) = (year + 1, 0);
            }
        }
    }

    #[test]
    fn time_counts_from_1900_rfc868() {
        // The RFC's own examples.
        assert_eq!(time(0), 2_208_988_800_u32.to_be_bytes());
        assert_eq!(time(2_629_584_000 - 2_208_988_800), 2_629_584_000_u32.to_be_bytes());
        assert_eq!(time((1 << 32) - 2_208_988_800), [0; 4]);
    }

    #[test]
    fn chargen_rotates_95_characters_in_lines_of_72_rfc864() {
        let mut out = [0; 3 * 74];
        chargen(0, &mut out);
        assert_eq!(&out[..4], b" !\"#");
        assert_eq!(&out[70..78], b"fg\r\n!\"#$");
        assert_eq!(out[147], b'\n');
        chargen(94, &mut out);
        assert_eq!((&out[..3], &out[74..77]), (&b"~ !"[..], &b" !\""[..]));
    }
}
