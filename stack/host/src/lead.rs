//! lead: threads that wait. An application's thread that waits for a head becomes the leader if no
//! other one is: it runs the shard and sleeps in the wait set of the devices, until its head is
//! ready. The shard's own thread leads when no application's thread does.

mod elsewhere;

use crate::end::EndError;
use crate::inlet::Inlet;
use crate::poller::Ready;
use crate::seat::{Gone, Inside};
use crate::shard::{Notice, Rest, Settled, Shard};
use crate::token::{Left, Rung, Taken};
use crate::told::Told;
use millstream_core::{Errno, Perimeter};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// For this long, and less than twice this, nobody looks at the devices after a leader has returned
/// to its program, in which time it is likely to come back. More would delay what the program does
/// not wait for; less would wake the shard's thread in between, which takes it some microseconds.
const GRACE: Duration = Duration::from_micros(200);

/// What a thread can wait for: a head, or any of many.
pub(crate) trait Waits {
    /// Counts what happens there.
    fn told(&self) -> &Told;

    /// Why nothing will happen there any more.
    fn failure(&self) -> Option<EndError>;

    /// Something was tried there.
    fn tried(&self, core: &mut Perimeter);
}

/// A thread that waits.
struct Wait<'a, W, F> {
    on: &'a W,
    inside: &'a Inside,
    deadline: Option<Instant>,
    attempt: F,
}

/// What an attempt has come to.
enum Tried<T> {
    Done {
        done: Result<T, Errno>,
        left: Settled,
        /// It is a guest that had better lead.
        leads: bool,
    },
    Waits {
        /// A round would do nothing.
        rests: bool,
    },
}

/// How a leader ends.
enum Led<T> {
    Done {
        done: T,
        /// Something was put off until the stack rests.
        owed: bool,
    },
    /// It still waits, and others had better lead.
    ForOthers {
        /// What it had been told when it tried last.
        last: u32,
    },
}

impl<W: Waits, F> Wait<'_, W, F> {
    /// Tries once, as the leader or as a guest.
    fn attempt<T>(&mut self, shard: &mut Shard, leads: bool) -> Tried<T>
    where
        F: FnMut(&mut Shard) -> Result<T, Errno>,
    {
        let tried = match (self.attempt)(shard) {
            Err(Errno::EAGAIN) => Tried::Waits { rests: shard.rests() },
            done if leads => Tried::Done { done, left: shard.settle(true), leads: false },
            done => {
                let left = shard.settle_guest();
                Tried::Done { done, left, leads: shard.guest_goes() }
            }
        };
        self.on.tried(shard.core());
        tried
    }

    /// Time left; an error when none is.
    fn left(&self) -> Result<Option<Duration>, EndError> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(EndError::WouldBlock),
            left => Ok(Some(left)),
        }
    }
}

impl Inlet {
    /// See [`crate::End::until`].
    pub(crate) fn until<T>(
        &self,
        on: &impl Waits,
        deadline: Option<Instant>,
        attempt: impl FnMut(&mut Shard) -> Result<T, Errno>,
    ) -> Result<T, EndError> {
        let Some(inside) = Inside::begin() else {
            self.post();
            return Err(EndError::WouldBlock);
        };
        let mut wait = Wait { on, inside: &inside, deadline, attempt };
        let told = on.told();
        loop {
            // Read before it is tried: what comes in between ends the wait at once.
            let mut seen = told.seen();
            let tried = self.seat.with(&inside, |shard| {
                if self.token.is_away() && shard.look() {
                    self.token.visit();
                }
                wait.attempt(shard, false)
            })?;
            let rests = match tried {
                Tried::Done { done, left, leads } => {
                    self.tell_left(left);
                    if leads {
                        self.lead_from_now(&inside);
                    }
                    return done.map_err(EndError::Failed);
                }
                Tried::Waits { rests } => rests,
            };
            if let Some(error) = on.failure() {
                return Err(error);
            }
            let left = wait.left()?;
            // Somebody for whom it left the lead comes back soon, or the alarm rings.
            let waits_behind = told.has_left() && self.token.is_away();
            if !waits_behind && let Some(taken) = self.token.take(|| self.poller.detach()) {
                // It has just been tried, and nobody has left anything since: it sleeps at once.
                let ready = if rests && taken == Taken::Quiet && self.ring.is_empty() {
                    self.sleep_as_leader(&wait, seen, left)
                } else {
                    Ok(Ready::nothing())
                };
                let led = ready.and_then(|ready| self.lead(&mut wait, ready));
                self.leave(&inside, matches!(led, Ok(Led::Done { owed: true, .. })));
                match led? {
                    Led::Done { done, .. } => return Ok(done),
                    Led::ForOthers { last } => {
                        told.leave_lead(last);
                        seen = last;
                    }
                }
            }
            if !told.park(deadline, || told.seen() != seen) {
                return Err(EndError::WouldBlock);
            }
        }
    }

    /// Runs the shard as the one leader, until the attempt is done or others had better lead.
    fn lead<T, F>(
        &self,
        wait: &mut Wait<'_, impl Waits, F>,
        mut ready: Ready,
    ) -> Result<Led<T>, EndError>
    where
        F: FnMut(&mut Shard) -> Result<T, Errno>,
    {
        let told = wait.on.told();
        let (mut last, mut first) = (told.seen(), true);
        loop {
            self.token.arrive();
            let (seen, rest, tried, for_others) = self.seat.with(wait.inside, |shard| {
                if std::mem::take(&mut first) {
                    shard.crowd().leader_comes();
                }
                shard.rest();
                shard.take_ready(&ready);
                let rest = shard.round();
                let seen = told.seen();
                let tried = wait.attempt(shard, true);
                let sleeps = matches!((&tried, rest), (Tried::Waits { .. }, Rest::Sleep));
                let rest = if sleeps { shard.rest_to_sleep() } else { rest };
                let for_others = shard.crowd().round_ends(seen != last);
                (seen, rest, tried, for_others && rest == Rest::Sleep)
            })?;
            if let Tried::Done { done, left, .. } = tried {
                if left.more {
                    self.post();
                }
                let owed = left.owed;
                return done.map(|done| Led::Done { done, owed }).map_err(EndError::Failed);
            }
            last = seen;
            if let Some(error) = wait.on.failure() {
                return Err(error);
            }
            let left = wait.left()?;
            if for_others {
                return Ok(Led::ForOthers { last });
            }
            ready = match rest {
                Rest::Again => Ready::nothing(),
                Rest::Look => self.poller.wait(Some(Duration::ZERO)).map_err(failed)?,
                Rest::Sleep => self.sleep_as_leader(wait, seen, left)?,
            };
            self.seat.give_way();
        }
    }

    /// Sleeps until something is ready, unless something has happened at the head since `seen`, or
    /// something was posted since the leader arrived.
    fn sleep_as_leader<F>(
        &self,
        wait: &Wait<'_, impl Waits, F>,
        seen: u32,
        left: Option<Duration>,
    ) -> Result<Ready, EndError> {
        let told = wait.on.told();
        let mut ready = Ok(Ready::nothing());
        if told.leader_sleeps(seen) {
            if self.token.sleep() {
                ready = wait.inside.outside(|| self.poller.wait(left));
            }
            told.leader_wakes();
        }
        ready.map_err(failed)
    }

    /// A guest that comes often, and has nothing to wait for, takes the lead if the shard's thread
    /// has it: it looks at the devices when it comes again.
    fn lead_from_now(&self, inside: &Inside) {
        let Some(taken) = self.token.take(|| self.poller.detach()) else { return };
        if taken == Taken::Busy {
            // A shard that is gone has nothing to be done.
            let _gone = self.seat.with(inside, |shard| shard.round());
        }
        self.leave(inside, false);
    }

    /// Returns to the program. The shard's thread takes the lead when it does not come back.
    fn leave(&self, inside: &Inside, owed: bool) {
        let mut left = self.token.leave(false);
        if left == Left::Posted {
            self.token.arrive();
            // A shard that is gone has nothing to be done.
            let _gone = self.seat.with(inside, |shard| shard.round());
            left = self.token.leave(true);
        }
        match left {
            Left::Away { set: true } => self.poller.set_alarm(GRACE),
            Left::Away { set: false } => {}
            Left::Posted | Left::Behind => self.poller.ring_alarm(),
        }
        self.tell_left(Settled { more: false, owed });
    }

    /// What the shard's own thread does, until [`crate::Handle::stop`]: leads when nobody else
    /// does, and tells what happened.
    pub(crate) fn serve(&self, mut notify: impl FnMut(Notice)) -> io::Result<()> {
        let (mut ready, mut rest) = (Ready::nothing(), Rest::Sleep);
        while !self.stop.load(Ordering::Relaxed) {
            let leads = self.token.shard_wakes();
            if !leads && rest != Rest::Sleep {
                // Who took the lead meanwhile may not have seen what was left.
                self.post();
            }
            let (now, notices) = self.run_shard(|shard| {
                let rest = if leads {
                    shard.rest();
                    shard.take_ready(&ready);
                    shard.round_and_rest()
                } else {
                    Rest::Sleep
                };
                self.notices.store(false, Ordering::Relaxed);
                (rest, shard.take_notices())
            })?;
            notices.into_iter().for_each(&mut notify);
            rest = now;
            ready = match rest {
                Rest::Again => Ready::nothing(),
                Rest::Look => self.poller.wait(Some(Duration::ZERO))?,
                Rest::Sleep => self.sleep(leads)?,
            };
            self.seat.give_way();
        }
        match self.seat.open() {
            Err(Gone::Panicked) => Err(io::Error::other(Gone::Panicked)),
            _ => Ok(()),
        }
    }

    /// Sleeps until there is something to do for the leader, or the alarm rings.
    fn sleep(&self, leads: bool) -> io::Result<Ready> {
        if leads && !self.token.shard_sleeps() {
            return Ok(Ready::nothing());
        }
        loop {
            let ready = self.poller.wait_own()?;
            if ready.alarm && self.token.rung(|| self.poller.attach()) == Rung::SetAgain {
                self.poller.set_alarm(GRACE);
                // It would only be in the way of those who come in.
                if !self.stop.load(Ordering::Relaxed) && !self.notices.load(Ordering::Acquire) {
                    continue;
                }
            }
            return Ok(ready);
        }
    }

    fn run_shard<T>(&self, work: impl FnOnce(&mut Shard) -> T) -> io::Result<T> {
        let inside = Inside::begin().ok_or_else(|| io::Error::other("run from inside"))?;
        self.seat.with(&inside, work).map_err(io::Error::other)
    }
}

/// The wait set has failed.
fn failed(error: io::Error) -> EndError {
    EndError::Failed(Errno(error.raw_os_error().unwrap_or(Errno::EIO.0)))
}
