//! elsewhere: a leader that sleeps in a wait set of its own, as a program does in poll(2) or
//! epoll(7): the stack's devices are one of many things that wake it.

use super::Inlet;
use crate::inlet::Handle;
use crate::poller::Ready;
use crate::seat::Inside;
use crate::shard::{Rest, Settled};
use crate::token::Taken;
use millstream_port::Lead;
use std::os::fd::BorrowedFd;
use std::time::Duration;

impl Handle {
    /// Polls readable while there is something to be done for the leader: for those alone who
    /// lead.
    pub fn devices(&self) -> BorrowedFd<'_> {
        self.0.poller.guests()
    }

    /// The thread is about to sleep in a wait set that [`Handle::devices`] is in, and leads
    /// meanwhile if no other program's thread does. With [`Lead::Sleeps`] and [`Lead::Runs`] it
    /// calls [`Handle::led`] when it does not sleep any more, whatever has woken it.
    #[must_use]
    pub fn lead(&self) -> Lead {
        let inlet = &*self.0;
        // One that polls has a thread for that.
        if inlet.poller.polling {
            return Lead::Others;
        }
        let Some(inside) = Inside::begin() else { return Lead::Others };
        match inlet.token.take(|| inlet.poller.detach()) {
            Some(taken) => inlet.lead_elsewhere(&inside, taken),
            None => Lead::Others,
        }
    }

    /// The thread does not sleep any more: it does what is to be done, and leads no longer, until
    /// it comes back. The shard's thread leads when it does not.
    pub fn led(&self) {
        let inlet = &*self.0;
        let Some(inside) = Inside::begin() else { return inlet.post() };
        inlet.token.arrive();
        // A wait set that fails is found by the shard's thread.
        let ready = inlet.poller.wait(Some(Duration::ZERO)).unwrap_or(Ready::nothing());
        let left = inlet.seat.with(&inside, |shard| {
            shard.rest();
            shard.take_ready(&ready);
            let more = shard.round() != Rest::Sleep;
            Settled { more, owed: shard.core().has_put_off() }
        });
        // One that is gone owes nothing. What is left is done when the thread comes back.
        inlet.leave(&inside, left.is_ok_and(|left| left.more || left.owed));
    }
}

impl Inlet {
    fn lead_elsewhere(&self, inside: &Inside, taken: Taken) -> Lead {
        let quiet = taken == Taken::Quiet && self.ring.is_empty();
        let rest = self.seat.with(inside, |shard| {
            if quiet && shard.rests() {
                return Rest::Sleep;
            }
            shard.rest();
            shard.round_and_rest()
        });
        match rest {
            Ok(Rest::Sleep) if self.token.sleep() => Lead::Sleeps,
            Ok(_) => Lead::Runs,
            Err(_gone) => {
                self.leave(inside, false);
                Lead::Others
            }
        }
    }
}
