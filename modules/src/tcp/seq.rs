//! Sequence numbers (RFC 9293 section 3.4): 32 bits that wrap.

use core::cmp::Ordering;

/// A sequence number. Comparison is of numbers less than 2^31 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `n` octets further.
    #[inline]
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// The number `n` octets before.
    #[inline]
    #[must_use]
    pub const fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// Octets from `earlier` to here; wraps when `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Is this number before `other`?
    #[inline]
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Is this number behind `other`?
    #[inline]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// The later of two.
    #[inline]
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two.
    #[inline]
    #[must_use]
    pub const fn earliest(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }

    /// The order of two.
    #[inline]
    pub const fn order(self, other: Self) -> Ordering {
        if self.0 == other.0 {
            Ordering::Equal
        } else if self.before(other) {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }

    /// Is it in `from..to`?
    #[inline]
    pub const fn within(self, from: Self, to: Self) -> bool {
        self.since(from) < to.since(from)
    }
}

/// Octets `start..end` of the sequence space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: Seq,
    /// Behind the last.
    pub end: Seq,
}

impl Range {
    /// The range `start..end`.
    #[inline]
    pub const fn new(start: Seq, end: Seq) -> Self {
        Self { start, end }
    }

    /// Octets in it.
    #[inline]
    pub const fn len(self) -> u32 {
        self.end.since(self.start)
    }

    /// True when it has none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_across_the_wrap() {
        let (low, high) = (Seq(u32::MAX - 5), Seq(5));
        assert!(low.before(high) && high.after(low));
        assert_eq!(high.since(low), 11);
        assert_eq!(low.latest(high), high);
        assert_eq!(low.earliest(high), low);
        assert!(Seq(0).within(low, high) && !Seq(6).within(low, high));
    }

    proptest! {
        #[test]
        fn order_agrees_with_wide_numbers(base: u32, a in 0_u32..1 << 30, b in 0_u32..1 << 30) {
            let (x, y) = (Seq(base).add(a), Seq(base).add(b));
            prop_assert_eq!(x.order(y), a.cmp(&b));
            prop_assert_eq!(x.before(y), a < b);
            prop_assert_eq!(Range::new(Seq(base), x).len(), a);
        }
    }
}
