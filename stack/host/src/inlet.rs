//! inlet: how other threads reach a shard: they come in, or post to it through a bounded ring.

use crate::end::EndShared;
use crate::poller::Poller;
use crate::seat::{EnterError, Gone, Inside, Seat};
use crate::shard::{Settled, Shard};
use crate::token::{Ring, Token};
use crossbeam_queue::ArrayQueue;
use millstream_core::StreamId;
use millstream_msg::Msg;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Reaches a shard from any thread.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Inlet>);

/// What the threads of a shard share.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) seat: Seat,
    pub(crate) token: Token,
    /// What the leader and the shard's thread sleep in.
    pub(crate) poller: Poller,
    /// Messages and resumptions of ends.
    pub(crate) ring: ArrayQueue<Post>,
    pub(crate) stop: AtomicBool,
    /// There are notices for the shard's thread.
    pub(crate) notices: AtomicBool,
}

/// What an end sends through the ring.
#[derive(Debug)]
pub(crate) enum Post {
    /// A message for the head of the stream.
    Put(Arc<EndShared>, Msg),
    /// The end has room for messages again.
    Resume(Arc<EndShared>),
    /// The end was dropped by a thread that could not come in.
    Close(StreamId),
    /// A call that came up the stream was answered.
    Answered(Arc<Answered>),
}

/// A stream whose programs answer calls later, from any thread.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) stream: StreamId,
    /// Of the shard, which owns whoever tells it.
    inlet: Weak<Inlet>,
    /// The shard has been told, and has not looked yet.
    told: AtomicBool,
}

impl Answered {
    pub(crate) fn new(stream: StreamId, handle: &Handle) -> Arc<Self> {
        let inlet = Arc::downgrade(&handle.0);
        Arc::new(Self { stream, inlet, told: AtomicBool::new(false) })
    }

    /// Tells the shard, once for all answers until it looks. With a full ring the module finds
    /// them by its own clock.
    pub(crate) fn tell(self: &Arc<Self>) {
        let Some(inlet) = self.inlet.upgrade() else { return };
        if !self.told.swap(true, Ordering::AcqRel) {
            if inlet.ring.push(Post::Answered(self.clone())).is_err() {
                self.look();
            }
            inlet.post();
        }
    }

    /// The shard looks now: the next answer tells it again.
    pub(crate) fn look(&self) {
        self.told.store(false, Ordering::Release);
    }
}

/// Messages of all ends on their way to the shard. One end may have
/// [`crate::end::IN_FLIGHT_MAX`] there, so a full ring means many busy threads.
const RING: usize = 4096;

impl Inlet {
    pub(crate) fn new(polling: bool) -> std::io::Result<Arc<Self>> {
        let inlet = Self {
            seat: Seat::new(),
            token: Token::new(),
            poller: Poller::new(polling)?,
            ring: ArrayQueue::new(RING),
            stop: AtomicBool::new(false),
            notices: AtomicBool::new(false),
        };
        Ok(Arc::new(inlet))
    }

    /// Wakes whoever is to look at what was put in.
    pub(crate) fn post(&self) {
        match self.token.post() {
            Some(Ring::Bell) => self.poller.bell.ring(),
            Some(Ring::Alarm) => self.poller.ring_alarm(),
            None => {}
        }
    }

    /// Tells who leads, or will, of what a guest has left.
    pub(crate) fn tell_left(&self, left: Settled) {
        if left.more || left.owed && !self.token.owe() {
            self.post();
        }
    }

    /// The shard is gone: its thread ends, and what was posted is dropped, now and from now on.
    pub(crate) fn close(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.poller.ring_alarm();
        self.poller.bell.ring();
        self.poller.clear();
        self.drop_late();
    }

    /// Drops what was posted too late. Called after `stop` was set, and after each post since: one
    /// of the two sees the other.
    pub(crate) fn drop_late(&self) {
        while self.ring.pop().is_some() {}
    }
}

impl Handle {
    /// Comes into the shard, between two turns, does `work` there and runs a turn, down to the
    /// devices, as a system call would. Waits while another thread is inside: no longer than a
    /// turn, and before the shard runs, until it does. Nothing is copied and no other thread is
    /// woken.
    ///
    /// # Errors
    /// [`EnterError::Again`] at once when this thread is inside a stack already, as in a signal
    /// handler that has interrupted it there; [`EnterError::Gone`] when the shard has stopped or
    /// failed, or when this process was forked from the shard's.
    ///
    /// # Panics
    /// When `work` does; the shard has failed then, and so have all its streams.
    pub fn enter<T>(&self, work: impl FnOnce(&mut Shard) -> T) -> Result<T, EnterError> {
        let Some(inside) = Inside::begin() else {
            // Whoever is inside looks again before it leaves.
            self.0.post();
            return Err(EnterError::Again);
        };
        let done = self.0.seat.with(&inside, |shard| {
            let done = work(shard);
            (done, shard.settle_guest())
        });
        let (done, left) = done?;
        self.0.tell_left(left);
        Ok(done)
    }

    /// As [`Handle::enter`], for who is never inside already: those who control the stack.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When this thread is inside a stack: it would wait for itself.
    pub fn call<T>(&self, work: impl FnOnce(&mut Shard) -> T) -> Result<T, Gone> {
        self.enter(work).map_err(|error| match error {
            EnterError::Gone(gone) => gone,
            EnterError::Again => panic!("a call of the stack from inside"),
        })
    }

    /// Tells the shard to stop; its thread ends after the current turn.
    pub fn stop(&self) {
        // A child has the descriptors of its parent, whose stack runs on.
        if !self.is_forked() {
            self.0.stop.store(true, Ordering::SeqCst);
            self.0.poller.ring_alarm();
        }
    }

    /// Has devices without descriptors asked, at once when nobody runs the shard.
    pub fn wake(&self) {
        self.0.post();
    }

    /// This process was forked from the shard's: its threads are not here, nothing can be reached.
    pub fn is_forked(&self) -> bool {
        self.0.seat.is_forked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{Config, Perimeter};
    use millstream_msg::{Pool, PoolConfig};

    fn stream() -> StreamId {
        let pool = Pool::new(PoolConfig::TINY);
        let mut core = Perimeter::new(Config { pool, seed: 1, clock: None });
        core.open_device("probe", Box::new(millstream_rig::Probe::new())).0
    }

    fn posts(inlet: &Inlet) -> usize {
        std::iter::from_fn(|| inlet.ring.pop())
            .map(|post| match post {
                Post::Answered(of) => of.look(),
                other => panic!("{other:?}"),
            })
            .count()
    }

    #[test]
    fn answers_are_told_once_until_the_shard_looks_and_never_to_one_that_is_gone() {
        let inlet = Inlet::new(false).unwrap();
        let answered = Answered::new(stream(), &Handle(inlet.clone()));
        (0..5).for_each(|_| answered.tell());
        assert_eq!(posts(&inlet), 1);
        answered.tell();
        assert_eq!(posts(&inlet), 1);
        drop(inlet);
        answered.tell();
    }

    #[test]
    fn an_answer_that_finds_the_ring_full_leaves_the_telling_to_the_next() {
        let inlet = Inlet::new(false).unwrap();
        while inlet.ring.push(Post::Close(stream())).is_ok() {}
        let answered = Answered::new(stream(), &Handle(inlet.clone()));
        answered.tell();
        while inlet.ring.pop().is_some() {}
        answered.tell();
        assert_eq!(posts(&inlet), 1);
    }
}
