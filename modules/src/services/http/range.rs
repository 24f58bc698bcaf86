//! Range: one range of octets of a file (RFC 9110 section 14).

use super::request::number;

/// A range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// From an octet to another, both included, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// What of a file is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// First octet.
    pub from: u64,
    /// Octets.
    pub len: u64,
}

/// Reads a field; `None` for what is not understood: other units, several ranges, a range whose
/// end is before its begin. Such a field is as if it were not there.
pub(super) fn parse(value: &[u8]) -> Option<Asked> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let set = set.trim_ascii();
    let dash = set.iter().position(|&byte| byte == b'-')?;
    match (&set[..dash], &set[dash + 1..]) {
        ([], last) => number(last).map(Asked::Last),
        (first, []) => Some(Asked::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::From(first, Some(last)))
        }
    }
}

impl Asked {
    /// The part of a file of this length; `None` when no octet of it is there.
    pub(super) fn of(self, len: u64) -> Option<Part> {
        match self {
            Self::From(first, _) if first >= len => None,
            Self::From(from, last) => {
                let end = last.map_or(len, |last| last.saturating_add(1).min(len));
                Some(Part { from, len: end - from })
            }
            Self::Last(0) => None,
            Self::Last(_) if len == 0 => None,
            Self::Last(count) => {
                let count = count.min(len);
                Some(Part { from: len - count, len: count })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file_rfc9110_14_1_2() {
        let part = |value: &str, len| parse(value.as_bytes()).unwrap().of(len);
        assert_eq!(part("bytes=0-499", 10_000), Some(Part { from: 0, len: 500 }));
        assert_eq!(part("bytes=9500-", 10_000), Some(Part { from: 9500, len: 500 }));
        assert_eq!(part("Bytes=-500", 10_000), Some(Part { from: 9500, len: 500 }));
        assert_eq!(part("bytes=0-18446744073709551615", 5), Some(Part { from: 0, len: 5 }));
        assert_eq!(part("bytes=-9", 5), Some(Part { from: 0, len: 5 }));
    }

    #[test]
    fn a_range_without_an_octet_of_the_file_cannot_be_given() {
        let part = |value: &str, len| parse(value.as_bytes()).unwrap().of(len);
        assert_eq!(part("bytes=5-", 5), None);
        assert_eq!(part("bytes=-0", 5), None);
        assert_eq!(part("bytes=0-0", 0), None);
        assert_eq!(part("bytes=-1", 0), None);
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
        for value in [
            "bytes=0-1,4-5",
            "bytes=2-1",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "lines=0-1",
            "bytes",
            "",
            "bytes=0-99999999999999999999",
            "bytes=- 1",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }
}
