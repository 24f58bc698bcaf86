//! The ioctls of one head: one in flight, others that wait for their turn, and results that their
//! callers have not taken. Plain state: it sends and waits for nothing itself.

use super::{Cred, DEFAULT_TIMEOUT_S, IocId, LinkCommand, Progress, Reply};
use crate::errno::Errno;
use alloc::collections::VecDeque;
use millstream_msg::Msg;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Ioctls {
    flying: Option<Flight>,
    waiting: VecDeque<Waiting>,
    over: VecDeque<(IocId, Result<Reply, Errno>)>,
    /// The last one that was answered: a second answer is a duplicate.
    answered: Option<IocId>,
}

/// One that was sent.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) id: IocId,
    pub(crate) transparent: bool,
    /// What the multiplexor is to do.
    link: Option<LinkCommand>,
    /// When it is given up, in nanoseconds.
    until: Option<u64>,
    /// What the caller copies now.
    copy: Option<Copy>,
}

/// One that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: IocId,
    pub(crate) transparent: bool,
    /// What the multiplexor is to do.
    pub(crate) link: Option<LinkCommand>,
    /// Seconds, as in [`super::Request`].
    pub(crate) timeout: i32,
    /// When it is given up if its turn has not come, in nanoseconds.
    pub(crate) until: u64,
    /// The message to send.
    pub(crate) msg: Msg,
}

/// A copy that a module has asked for.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) cmd: u32,
    pub(crate) cred: Cred,
    pub(crate) private: u64,
    /// What the caller is to do.
    pub(crate) wanted: Progress,
    /// The module's message, to be answered in place.
    pub(crate) msg: Msg,
}

/// Whose answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// That of the one in flight.
    Flying { transparent: bool },
    /// A second one to the last that was answered.
    Duplicate,
    /// Nobody's.
    Late,
}

/// Ioctls of one head, those included whose callers have not looked yet: as many threads do not
/// wait for one stream.
pub(crate) const IOCTLS_MAX: usize = 64;

const SECOND_NS: u64 = 1_000_000_000;

impl Ioctls {
    /// Takes one in, behind the others; given back when there are too many.
    pub(crate) fn submit(&mut self, waiting: Waiting) -> Result<(), Msg> {
        let known = usize::from(self.flying.is_some()) + self.waiting.len() + self.over.len();
        if known >= IOCTLS_MAX {
            return Err(waiting.msg);
        }
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// The message of the next one, which is in flight from now on; `None` while one is.
    pub(crate) fn start(&mut self, now: u64) -> Option<Msg> {
        if self.flying.is_some() {
            return None;
        }
        let Waiting { id, transparent, link, timeout, msg, .. } = self.waiting.pop_front()?;
        let until = deadline(timeout, now);
        self.flying = Some(Flight { id, transparent, link, until, copy: None });
        Some(msg)
    }

    /// Whom an answer with this identifier is for.
    pub(crate) fn whose(&self, id: IocId) -> Match {
        match &self.flying {
            Some(flight) if flight.id == id => Match::Flying { transparent: flight.transparent },
            _ if self.answered == Some(id) => Match::Duplicate,
            _ => Match::Late,
        }
    }

    /// The module of the one in flight wants a copy. Given back when it is not done with another.
    pub(crate) fn want(&mut self, copy: Copy) -> Result<(), Copy> {
        match &mut self.flying {
            Some(flight) if flight.copy.is_none() => {
                flight.copy = Some(copy);
                Ok(())
            }
            _ => Err(copy),
        }
    }

    /// The copy that the caller of `id` was to do, which it has done.
    pub(crate) fn take_copy(&mut self, id: IocId) -> Option<Copy> {
        self.flying.as_mut().filter(|flight| flight.id == id)?.copy.take()
    }

    /// The one in flight was answered.
    pub(crate) fn answer(&mut self, result: Result<Reply, Errno>) -> Option<(IocId, Option<Msg>)> {
        self.answered = self.flying.as_ref().map(|flight| flight.id);
        self.end(result)
    }

    /// The one in flight is over: its identifier, and the message of a copy that nobody does now.
    pub(crate) fn end(&mut self, result: Result<Reply, Errno>) -> Option<(IocId, Option<Msg>)> {
        let flight = self.flying.take()?;
        self.over.push_back((flight.id, result));
        Some((flight.id, flight.copy.map(|copy| copy.msg)))
    }

    /// The next one whose time is over at `now`: ETIME.
    pub(crate) fn expire(&mut self, now: u64) -> Option<(IocId, Option<Msg>)> {
        if self.flying.as_ref().and_then(|flight| flight.until).is_some_and(|until| until <= now) {
            return self.end(Err(Errno::ETIME));
        }
        let at = self.waiting.iter().position(|waiting| waiting.until <= now)?;
        self.drop_waiting(at, Errno::ETIME)
    }

    /// The next one, which ends because the stream did.
    pub(crate) fn fail(&mut self, errno: Errno) -> Option<(IocId, Option<Msg>)> {
        self.end(Err(errno)).or_else(|| self.drop_waiting(0, errno))
    }

    /// Forgets one whose caller has gone away; the message that it held.
    pub(crate) fn cancel(&mut self, id: IocId) -> Option<Msg> {
        let flying = self.flying.as_ref().is_some_and(|flight| flight.id == id);
        let at = self.waiting.iter().position(|waiting| waiting.id == id);
        let msg = match at {
            _ if flying => self.flying.take()?.copy.map(|copy| copy.msg),
            Some(at) => self.waiting.remove(at).map(|waiting| waiting.msg),
            None => None,
        };
        self.over.retain(|(over, _)| *over != id);
        msg
    }

    /// What the caller of `id` is to know. A result is given once.
    pub(crate) fn progress(&mut self, id: IocId) -> Option<Progress> {
        if let Some(at) = self.over.iter().position(|(over, _)| *over == id) {
            return self.over.remove(at).map(|(_, result)| Progress::Done(result));
        }
        let flight = self.flying.as_ref().filter(|flight| flight.id == id)?;
        flight.copy.as_ref().map(|copy| copy.wanted.clone())
    }

    /// When [`Ioctls::expire`] is to be called next, in nanoseconds.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let flying = self.flying.as_ref().and_then(|flight| flight.until);
        self.waiting.iter().map(|waiting| waiting.until).chain(flying).min()
    }

    /// What the one in flight has a multiplexor do, if it is this one.
    pub(crate) fn link_wanted(&self, id: IocId) -> Option<LinkCommand> {
        self.flying.as_ref().filter(|flight| flight.id == id)?.link
    }

    /// One is in flight or waits for its turn.
    pub(crate) fn busy(&self) -> bool {
        self.flying.is_some() || !self.waiting.is_empty()
    }

    fn drop_waiting(&mut self, at: usize, errno: Errno) -> Option<(IocId, Option<Msg>)> {
        let waiting = self.waiting.remove(at)?;
        self.over.push_back((waiting.id, Err(errno)));
        Some((waiting.id, Some(waiting.msg)))
    }
}

/// When a wait of so many seconds that begins now is over; never, for -1.
fn deadline(timeout: i32, now: u64) -> Option<u64> {
    let seconds = match u32::try_from(timeout) {
        Ok(0) => DEFAULT_TIMEOUT_S,
        Ok(seconds) => seconds,
        Err(_) => return None,
    };
    Some(now.saturating_add(u64::from(seconds) * SECOND_NS))
}

/// When one that is submitted now is given up if its turn has not come.
pub(crate) fn turn_deadline(now: u64) -> u64 {
    now.saturating_add(u64::from(DEFAULT_TIMEOUT_S) * SECOND_NS)
}
