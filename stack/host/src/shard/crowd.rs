//! crowd: who comes into a shard beside the thread that leads, and whether one of them had better
//! lead. A leader that runs the shard for others costs two switches of threads where one of them
//! would need none.

/// What those who do not lead have had of the leader of late.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// When the first of `guests` came, in nanoseconds of the shard.
    since: u64,
    /// Guests that had no need to wait, one soon after the other.
    guests: u32,
    /// A thread that parks was told of something.
    woke: bool,
    /// Rounds of one leader in which others were told of something, and it was not.
    rounds: u32,
}

/// As many guests, within [`SOON_NS`], and the last of them takes the lead from the shard's thread.
const GUESTS: u32 = 8;

/// What the shard's thread waits before it leads again is about as long.
const SOON_NS: u64 = 400_000;

/// As many rounds for others in a row, and a leader leaves the lead to them.
const ROUNDS: u32 = 8;

impl Crowd {
    /// A guest goes that had no need to wait, while another thread leads. True when it had better
    /// lead: it sends, and what comes back for it would wake a thread each time.
    pub(crate) fn guest_goes(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.since) > SOON_NS {
            (self.since, self.guests) = (now, 0);
        }
        self.guests += 1;
        let often = self.guests >= GUESTS;
        if often {
            self.guests = 0;
        }
        often
    }

    /// A thread that parks has been told.
    pub(crate) fn has_woken(&mut self) {
        self.woke = true;
    }

    /// A leader begins.
    pub(crate) fn leader_comes(&mut self) {
        (self.rounds, self.woke) = (0, false);
    }

    /// A round of the leader is over, which still waits; `told`: something has happened where it
    /// waits. True when it has led long enough for others only.
    pub(crate) fn round_ends(&mut self, told: bool) -> bool {
        match (told, std::mem::take(&mut self.woke)) {
            (true, _) => self.rounds = 0,
            (false, woke) => self.rounds += u32::from(woke),
        }
        self.rounds >= ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_lead_only_when_many_come_soon_after_one_another() {
        let mut crowd = Crowd::default();
        let seldom = (1..100).map(|n| crowd.guest_goes(n * SOON_NS));
        assert_eq!(seldom.filter(|leads| *leads).count(), 0);
        let often: Vec<_> = (0..16).map(|n| crowd.guest_goes(100 * SOON_NS + n)).collect();
        assert_eq!(often.iter().filter(|leads| **leads).count(), 2, "{often:?}");
    }

    #[test]
    fn a_leader_for_others_only_leaves_the_lead_and_one_that_is_told_itself_does_not() {
        let mut crowd = Crowd::default();
        for round in 1..100 {
            crowd.has_woken();
            assert!(!crowd.round_ends(round % ROUNDS == 0), "{round}");
        }
        crowd.leader_comes();
        assert!((0..100).all(|_| !crowd.round_ends(false)), "nobody was woken");
        crowd.leader_comes();
        let left = (1..100).find(|_| {
            crowd.has_woken();
            crowd.round_ends(false)
        });
        assert_eq!(left, Some(ROUNDS));
    }
}
