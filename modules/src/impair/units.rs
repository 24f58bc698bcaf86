//! Numbers with units as parameters take them: strict and exact, and back to text in the form that
//! is taken.
//!
//! A number is digits, or digits, a point and digits; its unit follows without a space. It must be
//! a whole number of the smallest unit. `0` needs no unit.

use alloc::format;
use alloc::string::String;

/// Nanoseconds, at most [`TIME_MAX`].
pub(super) fn time(text: &str) -> Option<u64> {
    with_unit(text, TIME).filter(|&ns| ns <= TIME_MAX)
}

/// As [`time`] takes it.
pub(super) fn time_text(ns: u64) -> String {
    unit_text(ns, TIME)
}

/// A share in [`ONE`]ths, at most 100%.
pub fn share(text: &str) -> Option<u32> {
    with_unit(text, &[("%", PERCENT)])
        .filter(|&share| share <= ONE)
        .and_then(|share| u32::try_from(share).ok())
}

/// As [`share`] takes it.
pub fn share_text(share: u32) -> String {
    decimal_text(u64::from(share), PERCENT) + "%"
}

/// Bits per second, at least 1 and at most [`RATE_MAX`].
pub(super) fn rate(text: &str) -> Option<u64> {
    with_unit(text, RATE).filter(|bits| (1..=RATE_MAX).contains(bits))
}

/// As [`rate`] takes it.
pub(super) fn rate_text(bits: u64) -> String {
    unit_text(bits, RATE)
}

/// Bytes, at least 1.
pub(super) fn bytes(text: &str) -> Option<u64> {
    with_unit(text, BYTES).filter(|bytes| (1..=BYTES_MAX).contains(bytes))
}

/// As [`bytes()`] takes it.
pub(super) fn bytes_text(bytes: u64) -> String {
    unit_text(bytes, BYTES)
}

/// A number without unit, in thousandths.
pub(crate) fn thousandths(text: &str) -> Option<u64> {
    scaled(text, 1000)
}

/// As [`thousandths`] takes it.
pub(crate) fn thousandths_text(value: u64) -> String {
    decimal_text(value, 1000)
}

/// A whole number without unit.
pub(super) fn number(text: &str) -> Option<u64> {
    scaled(text, 1)
}

/// A number of up to 64 bits: decimal, or hexadecimal behind `0x`.
pub fn seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None => number(text),
    }
}

/// All of it: shares are kept in billionths.
pub const ONE: u64 = 1_000_000_000;
/// Longer than any link; a held message must leave some day.
pub(super) const TIME_MAX: u64 = 3_600_000_000_000;
/// Faster than any link; times of transmission stay above a nanosecond per frame.
pub(super) const RATE_MAX: u64 = 1_000_000_000_000;
/// More than any pool.
const BYTES_MAX: u64 = 1 << 40;
const PERCENT: u64 = ONE / 100;

/// Smallest unit first; the one that divides exactly is shown, the largest if several do.
type Units = &'static [(&'static str, u64)];
const TIME: Units = &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
const RATE: Units = &[("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
/// As `tc` has them: k and m of bytes are binary, those of rates decimal.
const BYTES: Units = &[("b", 1), ("k", 1 << 10), ("m", 1 << 20)];

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let &(_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    scaled(number, scale)
}

/// `text` times `scale`, when that is a whole number.
fn scaled(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 20 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 12 {
        return None;
    }
    let ten = 10_u128.pow(fraction.len() as u32);
    let value = whole.parse::<u64>().ok()?;
    let value = u128::from(value) * ten + fraction.parse::<u128>().ok()?;
    let value = value.checked_mul(u128::from(scale))?;
    if value.is_multiple_of(ten) { u64::try_from(value / ten).ok() } else { None }
}

fn unit_text(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |&&(_, scale): &&(&str, u64)| value.is_multiple_of(scale);
    match units.iter().rev().find(fits) {
        Some((unit, scale)) if value > 0 => format!("{}{unit}", value / scale),
        _ => "0".into(),
    }
}

fn decimal_text(value: u64, scale: u64) -> String {
    let digits = scale.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / scale, value % scale);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_exact_and_strict() {
        assert_eq!(time("50ms"), Some(50_000_000));
        assert_eq!(time("1.5us"), Some(1_500));
        assert_eq!(time("0"), Some(0));
        assert_eq!(share("0.1%"), Some(1_000_000));
        assert_eq!(share("100%"), Some(1_000_000_000));
        assert_eq!(rate("10mbit"), Some(10_000_000));
        assert_eq!(bytes("64k"), Some(65_536));
        assert_eq!(seed("0xff"), Some(255));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["50", "ms", "5 ms", "-5ms", "+5ms", "5Ms", ".5ms", "5.ms", "1.5ns", "1e3ms", ""]
        {
            assert_eq!(time(text), None, "{text}");
        }
        for text in ["101%", "1", "1%%", "0.00000001%", "-1%"] {
            assert_eq!(share(text), None, "{text}");
        }
        for text in ["0", "10", "10mb", "10Mbit", "2000gbit", "99999999999999999999gbit"] {
            assert_eq!(rate(text), None, "{text}");
        }
        for text in ["", "0x", "0xg", "1.5", "99999999999999999999"] {
            assert_eq!(seed(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_set() {
        for ns in [0, 1, 999, 1_000, 1_500_000, 50_000_000, 60_000_000_000] {
            assert_eq!(time(&time_text(ns)), Some(ns));
        }
        for part in [0, 1, 10_000_000, 12_345_678, 1_000_000_000] {
            assert_eq!(share(&share_text(part)), Some(part));
        }
        for n in [1, 1_000, 1_500, 2_000_000, 3_000_000_000] {
            assert_eq!(rate(&rate_text(n)), Some(n));
            assert_eq!(bytes(&bytes_text(n)), Some(n));
            assert_eq!(thousandths(&thousandths_text(n)), Some(n));
        }
        assert_eq!(time_text(50_000_000), "50ms");
        assert_eq!(share_text(1_000_000), "0.1%");
    }
}
