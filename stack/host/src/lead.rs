//! lead: threads that wait. An application's thread that waits for a head becomes the leader if no
//! other one is: it runs the shard and sleeps in the wait set of the devices, until its head is
//! ready. The shard's own thread leads when no application's thread does.

use crate::end::{End, EndError};
use crate::inlet::Inlet;
use crate::poller::Ready;
use crate::seat::{Gone, Inside};
use crate::shard::{Notice, Rest, Shard};
use crate::token::{Left, Rung};
use millstream_core::{Errno, Perimeter, StreamId};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// For this long, and less than twice this, nobody looks at the devices after a leader has returned
/// to its program, in which time it is likely to come back. More would delay what the program does
/// not wait for; less would wake the shard's thread in between, which takes it some microseconds.
const GRACE: Duration = Duration::from_micros(200);

/// What an application's thread waits for.
struct Wait<'a, F> {
    end: &'a End,
    inside: &'a Inside,
    deadline: Option<Instant>,
    attempt: F,
}

impl<T, F: FnMut(&mut Perimeter, StreamId) -> Result<T, Errno>> Wait<'_, F> {
    /// Tries once; `None` when it would have to wait.
    fn attempt(&mut self, shard: &mut Shard) -> Option<Result<T, Errno>> {
        let tried = (self.attempt)(shard.core(), self.end.stream());
        let waits = matches!(tried, Err(Errno::EAGAIN));
        if !waits {
            shard.settle();
        }
        self.end.shared().show_ready(shard.core());
        (!waits).then_some(tried)
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
    /// See [`End::until`].
    pub(crate) fn until<T>(
        &self,
        end: &End,
        deadline: Option<Instant>,
        attempt: impl FnMut(&mut Perimeter, StreamId) -> Result<T, Errno>,
    ) -> Result<T, EndError> {
        let Some(inside) = Inside::begin() else {
            self.post();
            return Err(EndError::WouldBlock);
        };
        let mut wait = Wait { end, inside: &inside, deadline, attempt };
        let told = &end.shared().told;
        loop {
            // Read before it is tried: what comes in between ends the wait at once.
            let seen = told.seen();
            let done = self.seat.with(&inside, |shard| wait.attempt(shard))?;
            if let Some(done) = done {
                return done.map_err(EndError::Failed);
            }
            if let Some(error) = end.failure() {
                return Err(error);
            }
            wait.left()?;
            if self.token.take(|| self.alarm.detach()) {
                let done = self.lead(&mut wait);
                self.leave(&inside);
                return done;
            }
            if !told.park(deadline, || told.seen() != seen) {
                return Err(EndError::WouldBlock);
            }
        }
    }

    /// Runs the shard until the attempt is done, as the one leader.
    fn lead<T, F>(&self, wait: &mut Wait<'_, F>) -> Result<T, EndError>
    where
        F: FnMut(&mut Perimeter, StreamId) -> Result<T, Errno>,
    {
        let end = wait.end;
        let told = &end.shared().told;
        let mut ready = Ready::nothing();
        loop {
            self.token.arrive();
            let (seen, rest, done) = self.seat.with(wait.inside, |shard| {
                shard.take_ready(&ready);
                let rest = shard.round();
                (told.seen(), rest, wait.attempt(shard))
            })?;
            if let Some(done) = done {
                return done.map_err(EndError::Failed);
            }
            if let Some(error) = end.failure() {
                return Err(error);
            }
            let left = wait.left()?;
            ready = match rest {
                Rest::Again => Ok(Ready::nothing()),
                Rest::Look => self.poller.wait(Some(Duration::ZERO)),
                Rest::Sleep if told.leader_sleeps(seen) && self.token.sleep() => {
                    wait.inside.outside(|| self.poller.wait(left))
                }
                Rest::Sleep => Ok(Ready::nothing()),
            }
            .map_err(|error| EndError::Failed(Errno(error.raw_os_error().unwrap_or(EIO))))?;
            told.leader_wakes();
            self.seat.give_way();
        }
    }

    /// Returns to the program. The shard's thread takes the lead when it does not come back.
    fn leave(&self, inside: &Inside) {
        let mut left = self.token.leave(false);
        if left == Left::Posted {
            self.token.arrive();
            // A shard that is gone has nothing to be done.
            let _gone = self.seat.with(inside, |shard| shard.round());
            left = self.token.leave(true);
        }
        match left {
            Left::Away { set: true } => self.alarm.set(GRACE),
            Left::Away { set: false } => {}
            Left::Posted | Left::Behind => self.alarm.ring(),
        }
    }

    /// What the shard's own thread does, until [`crate::Handle::stop`]: leads when nobody else
    /// does, and tells what happened.
    pub(crate) fn serve(&self, mut notify: impl FnMut(Notice)) -> io::Result<()> {
        let mut ready = Ready::nothing();
        while !self.stop.load(Ordering::Relaxed) {
            let leads = self.token.shard_wakes();
            let (rest, notices) = self.run_shard(|shard| {
                let rest = if leads {
                    shard.take_ready(&ready);
                    shard.round()
                } else {
                    Rest::Sleep
                };
                (rest, shard.take_notices())
            })?;
            notices.into_iter().for_each(&mut notify);
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
        if self.alarm.wait()? && self.token.rung(|| self.alarm.attach()) == Rung::SetAgain {
            self.alarm.set(GRACE);
        }
        if leads { self.poller.wait(Some(Duration::ZERO)) } else { Ok(Ready::nothing()) }
    }

    fn run_shard<T>(&self, work: impl FnOnce(&mut Shard) -> T) -> io::Result<T> {
        let inside = Inside::begin().ok_or_else(|| io::Error::other("run from inside"))?;
        self.seat.with(&inside, work).map_err(io::Error::other)
    }
}

const EIO: i32 = Errno::EIO.0;
