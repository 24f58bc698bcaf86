//! token: who has the devices in its wait set. One thread at a time leads: the shard's own, or a
//! thread of an application that waits for a head. Posters tell it of work with one word.

use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};
use std::sync::PoisonError;

/// The poller token.
#[derive(Debug)]
pub(crate) struct Token {
    word: Word,
    /// How often a guest has looked at the devices, wrapping.
    visits: AtomicU32,
    desk: Mutex<Desk>,
}

/// What has to be rung so that a post is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// The leader sleeps in the wait set.
    Bell,
    /// The last leader is away: the shard's thread takes the token.
    Alarm,
}

/// What an application's thread finds that takes the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nobody ran, and nothing was posted that nobody has looked at.
    Quiet,
    /// There may be work.
    Busy,
}

/// How a leader has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It has not: something was posted, it runs again.
    Posted,
    /// The alarm has to be set, or rings soon enough.
    Away {
        /// Nobody has set it.
        set: bool,
    },
    /// Something was posted, which the shard's thread is to do now.
    Behind,
}

/// What the shard's thread does when the alarm has rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// It leads.
    Lead,
    /// Somebody looked at the devices since the last alarm, and gets another grace.
    SetAgain,
    /// A leader is there, and sets the alarm when it leaves.
    Sleep,
}

/// What posters and the leader tell each other.
#[derive(Debug)]
struct Word(AtomicU32);

/// The leader runs, and looks at what was posted before it sleeps or leaves.
const RUNNING: u32 = 0;
/// The same, and something was posted.
const POSTED: u32 = 1;
/// The leader sleeps in the wait set.
const ASLEEP: u32 = 2;
/// The last leader has returned to its program.
const AWAY: u32 = 3;
/// The same, and something was put off: who leads next does it.
const OWED: u32 = 4;

#[derive(Debug)]
struct Desk {
    holder: Holder,
    /// Applications that have left, wrapping.
    leads: u32,
    /// The same, and visits, at the last alarm.
    leads_seen: u32,
    /// The alarm will ring.
    set: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Shard,
    Application,
    Nobody,
}

impl Word {
    /// Marks work; what to ring, if anything. Called after the work was put in.
    fn post(&self) -> Option<Ring> {
        match self.0.swap(POSTED, Ordering::AcqRel) {
            ASLEEP => Some(Ring::Bell),
            AWAY | OWED => Some(Ring::Alarm),
            _ => None,
        }
    }

    /// From now on a post is seen. Called before the leader looks for work.
    fn arrive(&self) -> Taken {
        match self.0.swap(RUNNING, Ordering::AcqRel) {
            ASLEEP | AWAY => Taken::Quiet,
            _ => Taken::Busy,
        }
    }

    /// The leader sleeps or goes, unless something was posted since it arrived.
    fn leave(&self, to: u32) -> bool {
        let left = self.0.compare_exchange(RUNNING, to, Ordering::AcqRel, Ordering::Acquire);
        left.is_ok()
    }
}

impl Token {
    /// With the shard's thread.
    pub(crate) fn new() -> Self {
        let desk = Desk { holder: Holder::Shard, leads: 0, leads_seen: 0, set: false };
        let visits = AtomicU32::new(0);
        Self { word: Word(AtomicU32::new(RUNNING)), visits, desk: Mutex::new(desk) }
    }

    /// Tells the leader of work that was put in; what to ring, if anything.
    #[must_use]
    pub(crate) fn post(&self) -> Option<Ring> {
        self.word.post()
    }

    /// From now on a post is seen. The leader calls it before it looks for work.
    pub(crate) fn arrive(&self) -> Taken {
        self.word.arrive()
    }

    /// The leader sleeps, unless something was posted since it arrived.
    pub(crate) fn sleep(&self) -> bool {
        self.word.leave(ASLEEP)
    }

    /// The last leader has returned to its program: it comes back, or the shard's thread leads when
    /// the alarm rings.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.word.0.load(Ordering::Acquire), AWAY | OWED)
    }

    /// Something was put off while the last leader was away; false when it is not any more, and has
    /// to be told.
    #[must_use]
    pub(crate) fn owe(&self) -> bool {
        let owed = self.word.0.compare_exchange(AWAY, OWED, Ordering::AcqRel, Ordering::Acquire);
        owed.is_ok() || owed == Err(OWED)
    }

    /// A guest has looked at the devices while the last leader was away.
    pub(crate) fn visit(&self) {
        self.visits.fetch_add(1, Ordering::Relaxed);
    }

    /// An application's thread takes the token, if no other one leads. `detach` takes the devices
    /// out of the wait set of the shard's thread, which holds the token and may sleep there.
    pub(crate) fn take(&self, detach: impl FnOnce()) -> Option<Taken> {
        let mut desk = self.desk();
        match desk.holder {
            Holder::Application => return None,
            Holder::Shard => detach(),
            Holder::Nobody => {}
        }
        desk.holder = Holder::Application;
        Some(self.word.arrive())
    }

    /// An application's thread returns to its program. If something was posted it stays, unless
    /// it is `over` with waiting.
    pub(crate) fn leave(&self, over: bool) -> Left {
        let mut desk = self.desk();
        let posted = !self.word.leave(AWAY);
        if posted && !over {
            return Left::Posted;
        }
        desk.holder = Holder::Nobody;
        desk.leads = desk.leads.wrapping_add(1);
        if posted {
            return Left::Behind;
        }
        Left::Away { set: !std::mem::replace(&mut desk.set, true) }
    }

    /// The shard's thread sleeps, unless something was posted or the token was taken.
    pub(crate) fn shard_sleeps(&self) -> bool {
        self.desk().holder == Holder::Shard && self.word.leave(ASLEEP)
    }

    /// The shard's thread has slept; whether it still leads.
    pub(crate) fn shard_wakes(&self) -> bool {
        let desk = self.desk();
        let leads = desk.holder == Holder::Shard;
        if leads {
            self.word.arrive();
        }
        leads
    }

    /// The alarm has rung. `attach` puts the devices into the wait set of the shard's thread, which
    /// leads when nobody has since the last alarm.
    pub(crate) fn rung(&self, attach: impl FnOnce()) -> Rung {
        let mut desk = self.desk();
        desk.set = false;
        match desk.holder {
            Holder::Shard => Rung::Lead,
            Holder::Application => Rung::Sleep,
            Holder::Nobody => {
                let posted = self.word.0.load(Ordering::Acquire) == POSTED;
                let leads = desk.leads.wrapping_add(self.visits.load(Ordering::Relaxed));
                if !posted && leads != desk.leads_seen {
                    desk.leads_seen = leads;
                    desk.set = true;
                    return Rung::SetAgain;
                }
                desk.holder = Holder::Shard;
                attach();
                self.word.arrive();
                Rung::Lead
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing panics while it is held: its state is whole.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_left_keeps_the_token_for_one_grace_after_the_alarm() {
        let token = Token::new();
        assert!(token.take(|| {}).is_some());
        assert_eq!(token.leave(false), Left::Away { set: true });
        assert_eq!(token.rung(|| panic!("too early")), Rung::SetAgain);
        assert_eq!(token.take(|| panic!("the shard's thread has no devices")), Some(Taken::Quiet));
        assert_eq!(token.leave(false), Left::Away { set: false });
        assert_eq!(token.rung(|| {}), Rung::SetAgain);
        assert_eq!(token.rung(|| {}), Rung::Lead);
        assert!(token.shard_sleeps());
    }

    #[test]
    fn a_leader_does_not_leave_over_a_post_unless_it_is_over_with_waiting() {
        let token = Token::new();
        assert!(token.take(|| {}).is_some());
        assert_eq!(token.post(), None);
        assert_eq!(token.leave(false), Left::Posted);
        assert_eq!(token.leave(true), Left::Behind);
        assert_eq!(token.rung(|| {}), Rung::Lead);
    }

    #[test]
    fn a_post_rings_where_somebody_hears_it_and_only_once() {
        let token = Token::new();
        assert!(token.shard_sleeps());
        assert_eq!((token.post(), token.post()), (Some(Ring::Bell), None));
        assert!(token.take(|| {}).is_some());
        assert!(!token.shard_wakes());
        assert_eq!(token.leave(false), Left::Away { set: true });
        assert_eq!((token.post(), token.post()), (Some(Ring::Alarm), None));
        assert_eq!(token.rung(|| {}), Rung::Lead);
    }

    #[test]
    fn one_application_leads_and_the_shard_does_not_sleep_as_leader_meanwhile() {
        let token = Token::new();
        assert!(token.take(|| {}).is_some());
        assert!(token.take(|| {}).is_none());
        assert!(!token.shard_sleeps());
        assert_eq!(token.rung(|| panic!("somebody leads")), Rung::Sleep);
    }

    #[test]
    fn a_post_before_the_lead_is_taken_is_seen_by_who_takes_it() {
        let token = Token::new();
        assert!(token.shard_sleeps());
        assert_eq!(token.take(|| {}), Some(Taken::Quiet));
        assert_eq!(token.leave(false), Left::Away { set: true });
        assert_eq!(token.post(), Some(Ring::Alarm));
        assert_eq!(token.take(|| {}), Some(Taken::Busy));
        assert_eq!(token.leave(false), Left::Away { set: false });
        assert_eq!(token.take(|| {}), Some(Taken::Quiet));
    }

    #[test]
    fn a_guest_that_looks_at_the_devices_keeps_the_lead_from_the_shards_thread() {
        let token = Token::new();
        assert!(token.take(|| {}).is_some());
        assert_eq!(token.leave(false), Left::Away { set: true });
        assert_eq!(token.rung(|| panic!("too early")), Rung::SetAgain);
        token.visit();
        assert_eq!(token.rung(|| panic!("somebody was there")), Rung::SetAgain);
        assert_eq!(token.rung(|| {}), Rung::Lead);
    }

    #[test]
    fn who_leads_next_looks_for_what_was_put_off() {
        let token = Token::new();
        assert!(!token.owe(), "the shard's thread runs");
        assert!(token.take(|| {}).is_some());
        assert_eq!(token.leave(false), Left::Away { set: true });
        assert!(token.owe() && token.owe() && token.is_away());
        assert_eq!(token.take(|| {}), Some(Taken::Busy));
        assert_eq!(token.leave(false), Left::Away { set: false });
        assert!(token.owe());
        assert_eq!(token.post(), Some(Ring::Alarm));
        assert!(!token.owe());
    }
}
