//! Proportional rate reduction (RFC 9937): the window falls to the threshold while data are
//! delivered, evenly, instead of a pause and a burst.

/// One reduction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prr {
    /// Octets in flight when it began, those aside that were sacked before (RecoverFS).
    flight: u32,
    /// Octets delivered since.
    delivered: u32,
    /// Octets sent since.
    sent: u32,
}

impl Prr {
    pub(super) fn new(flight: u32) -> Self {
        Self { flight: flight.max(1), delivered: 0, sent: 0 }
    }

    pub(super) fn sent(&mut self, octets: u32) {
        self.sent = self.sent.saturating_add(octets);
    }

    /// The window after `delivered` octets more, None if it stays. `safe`: the ACK moved forward
    /// and told of no further loss, so slow start may make up for what was lost beyond the
    /// reduction.
    pub(super) fn window(
        &mut self,
        delivered: u32,
        pipe: u32,
        ssthresh: u32,
        mss: u32,
        safe: bool,
    ) -> Option<u32> {
        // The fast retransmission itself always leaves.
        let first = if self.sent == 0 { mss } else { 0 };
        if delivered == 0 && first == 0 {
            return None;
        }
        self.delivered = self.delivered.saturating_add(delivered);
        let may_send = if pipe > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.flight.max(1)));
            share.saturating_sub(u64::from(self.sent)).min(u64::from(u32::MAX)) as u32
        } else {
            // Conservation of packets, plus one segment where that is safe (CRB and SSRB).
            let bound = self.delivered.saturating_sub(self.sent).max(delivered);
            let bound = if safe { bound.saturating_add(mss) } else { bound };
            bound.min(ssthresh - pipe)
        };
        Some(pipe.saturating_add(may_send.max(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_in_proportion_to_the_reduction_rfc9937_6_2() {
        // 20 segments in flight, threshold 10: one leaves for two that are delivered.
        let mut prr = Prr::new(20_000);
        let mut pipe = 19_000;
        let mut sent = 0;
        for _ in 0..18 {
            pipe -= 1000;
            let window = prr.window(1000, pipe, 10_000, 1000, false).unwrap();
            while window >= pipe + 1000 {
                pipe += 1000;
                sent += 1;
                prr.sent(1000);
            }
        }
        assert!((9..=10).contains(&sent), "{sent}");
        assert!((9000..=11_000).contains(&pipe), "{pipe}");
    }

    #[test]
    fn below_the_threshold_packets_are_conserved_and_safe_acks_add_one_rfc9937_6_2() {
        let mut prr = Prr::new(20_000);
        prr.sent(1000);
        assert_eq!(prr.window(2000, 3000, 10_000, 1000, false), Some(5000));
        assert_eq!(prr.window(1000, 3000, 10_000, 1000, true), Some(6000));
        assert_eq!(prr.window(50_000, 3000, 10_000, 1000, true), Some(10_000), "never above it");
    }

    #[test]
    fn fast_retransmission_leaves_even_if_nothing_was_delivered_rfc9937_6_2() {
        let mut prr = Prr::new(20_000);
        assert_eq!(prr.window(0, 15_000, 10_000, 1000, false), Some(16_000));
        prr.sent(1000);
        assert_eq!(prr.window(0, 16_000, 10_000, 1000, false), None, "only once");
    }
}
