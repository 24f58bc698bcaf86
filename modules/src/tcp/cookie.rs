//! SYN cookies (RFC 4987 appendix A): the answer to a SYN holds all that is to be remembered of
//! it, so that a flood of SYNs costs no memory.
//!
//! ```text
//! ISS = H(ends) + IRS + minute << 24 + (H'(ends, minute) + MSS index) mod 2^24
//! timestamp = clock, of which the lowest six bits are   ECN | SACK | window scale (15: none)
//! ```

use super::ends::Ends;
use super::seq::Seq;
use crate::siphash::Sip;

/// Makes and checks cookies of one stack.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    sip: Sip<2, 4>,
}

/// What the low bits of a timestamp say of the SYN's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The peer's window scale, at most 14; `None` without the option.
    pub window_scale: Option<u8>,
    /// SACK is permitted.
    pub sack: bool,
    /// The peer asked for ECN.
    pub ecn: bool,
}

impl Cookies {
    /// `random` is from the stack's random source.
    pub fn new(random: u64) -> Self {
        Self { sip: Sip::derived(random, PURPOSE) }
    }

    /// The first sequence number to answer a SYN with that had number `irs` and this MSS, of which
    /// the next smaller one of a table is remembered.
    pub fn make(&self, ends: &Ends, irs: Seq, mss: u16, now: u64) -> Seq {
        let minute = minute(now);
        let index = MSS.partition_point(|known| *known <= mss).saturating_sub(1) as u32;
        let low = self.hash(ends, 1 + u64::from(minute)).wrapping_add(index) & LOW;
        self.base(ends, irs).add(minute << 24).add(low)
    }

    /// Checks the ACK that ends a handshake: its peer's SYN had number `irs`, and ours `iss`.
    /// Returns the MSS when we sent it such a cookie within the last one to two minutes; of 2^32
    /// numbers 16 pass.
    pub fn check(&self, ends: &Ends, irs: Seq, iss: Seq, now: u64) -> Option<u16> {
        let cookie = iss.since(self.base(ends, irs));
        let age = minute(now).wrapping_sub(cookie >> 24) & 0xff;
        if age >= MINUTES {
            return None;
        }
        let made = minute(now).wrapping_sub(age) & 0xff;
        let index = cookie.wrapping_sub(self.hash(ends, 1 + u64::from(made))) & LOW;
        MSS.get(index as usize).copied()
    }

    fn base(&self, ends: &Ends, irs: Seq) -> Seq {
        irs.add(self.hash(ends, 0))
    }

    fn hash(&self, ends: &Ends, which: u64) -> u32 {
        let [a, b, c, d, e] = ends.words();
        self.sip.words([a, b, c, d, e, which]) as u32
    }
}

impl Told {
    /// The timestamp to send instead of `clock`: at most 63 ticks older, never newer.
    pub const fn timestamp(self, clock: u32) -> u32 {
        let scale = match self.window_scale {
            Some(scale) if scale < NO_SCALE => scale,
            Some(_) => NO_SCALE - 1,
            None => NO_SCALE,
        };
        let bits = scale as u32 | (self.sack as u32) << 4 | (self.ecn as u32) << 5;
        let stamp = clock & !BITS | bits;
        if bits > clock & BITS { stamp.wrapping_sub(BITS + 1) } else { stamp }
    }

    /// What the echo of such a timestamp says.
    pub const fn of(echo: u32) -> Self {
        let scale = echo as u8 & 0xf;
        Self {
            window_scale: if scale == NO_SCALE { None } else { Some(scale) },
            sack: echo & 1 << 4 != 0,
            ecn: echo & 1 << 5 != 0,
        }
    }
}

/// 64 seconds, in 8 bits: what a division by a power of two gives.
const fn minute(now: u64) -> u32 {
    (now / 64_000_000_000) as u32 & 0xff
}

/// Paths with these are most of all; a peer with a smaller one than the first gets the first.
const MSS: [u16; 8] = [216, 536, 1220, 1360, 1400, 1440, 1460, 8940];

/// A cookie is good in the minute that it was made in and the next one.
const MINUTES: u32 = 2;

const LOW: u32 = 0xff_ffff;
const BITS: u32 = 63;
const NO_SCALE: u8 = 15;

/// Tells this use of the stack's random number from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"tcp syn ");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE_NS: u64 = 64_000_000_000;

    fn ends(port: u16) -> Ends {
        Ends::new(([10, 0, 0, 1].into(), 80), ([10, 0, 0, 2].into(), port))
    }

    #[test]
    fn a_cookie_remembers_the_next_smaller_mss() {
        let cookies = Cookies::new(1);
        let of = |mss| {
            let iss = cookies.make(&ends(1), Seq(7), mss, 0);
            cookies.check(&ends(1), Seq(7), iss, 0)
        };
        assert_eq!([1460, 1459, 9000, 536, 100].map(of), [1460, 1440, 8940, 536, 216].map(Some));
    }

    #[test]
    fn a_cookie_is_good_for_one_to_two_minutes() {
        let cookies = Cookies::new(1);
        let sent = 255 * MINUTE_NS + MINUTE_NS / 2;
        let iss = cookies.make(&ends(1), Seq(7), 1460, sent);
        let at = |now| cookies.check(&ends(1), Seq(7), iss, now);
        assert_eq!((at(sent), at(257 * MINUTE_NS - 1)), (Some(1460), Some(1460)));
        assert_eq!((at(257 * MINUTE_NS), at(400 * MINUTE_NS)), (None, None));
        assert_eq!(at(254 * MINUTE_NS), None, "not from the future");
    }

    #[test]
    fn a_cookie_is_for_its_connection_its_syn_and_its_stack() {
        let cookies = Cookies::new(1);
        let iss = cookies.make(&ends(1), Seq(7), 1460, 0);
        assert_eq!(cookies.check(&ends(2), Seq(7), iss, 0), None);
        assert_eq!(cookies.check(&ends(1), Seq(1 << 30), iss, 0), None);
        assert_eq!(Cookies::new(2).check(&ends(1), Seq(7), iss, 0), None);
    }

    #[test]
    fn of_a_million_guesses_none_passes() {
        let cookies = Cookies::new(3);
        let step = 4_294;
        let guess = |n: &u32| cookies.check(&ends(1), Seq(0), Seq(n * step), 0).is_some();
        let passed = (0..1_000_000).filter(guess).count();
        assert_eq!(passed, 0);
    }

    proptest! {
        #[test]
        fn options_come_back_with_the_echo(
            clock: u32,
            window_scale in prop::option::of(0_u8..15),
            sack: bool,
            ecn: bool,
        ) {
            let told = Told { window_scale, sack, ecn };
            let stamp = told.timestamp(clock);
            prop_assert_eq!(Told::of(stamp), told);
            prop_assert!(clock.wrapping_sub(stamp) < 64);
        }

        #[test]
        fn every_cookie_passes(
            port: u16, irs: u32, mss: u16, sent in 0_u64..1 << 60, age in 0..MINUTE_NS,
        ) {
            let cookies = Cookies::new(4);
            let iss = cookies.make(&ends(port), Seq(irs), mss, sent);
            let found = cookies.check(&ends(port), Seq(irs), iss, sent + age);
            prop_assert!(found.is_some_and(|found| found <= mss.max(MSS[0])));
        }
    }
}
