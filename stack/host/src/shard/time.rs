//! time: the clock of a shard, the alarm that is set after it, and work up to a given time.

use super::Shard;

impl Shard {
    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The wait set is ready by `next`. Nobody waits for a time that is given.
    pub(super) fn set_timer(&mut self, next: Option<u64>) {
        if let Some(at) = next
            && !self.clock.is_given()
            && self.alarm_at.moves_to(at)
        {
            self.inlet.poller.set_timer(at.saturating_sub(self.now()).max(1));
        }
    }

    /// Does all that is due by its clock, down to the devices, and what was put off until the
    /// stack rests. When something is due next, in nanoseconds of that clock; `None`: when
    /// frames come or an application asks.
    ///
    /// For stacks with a [`crate::GivenClock`]; who moves it calls this.
    pub fn step(&mut self) -> Option<u64> {
        loop {
            let worked = self.take_posts() | self.poll_hot();
            let turn = self.turn_core(true);
            if worked || turn.more {
                continue;
            }
            if self.core.has_put_off() {
                self.settle(false);
                continue;
            }
            if turn.next.is_none_or(|at| at > self.now()) {
                return turn.next;
            }
        }
    }
}
