//! end: one stream as another thread sees it. Messages come and go through bounded rings.

use crate::bell::Bell;
use crate::inlet::{Handle, Post};
use crate::ready::ReadyBell;
use crate::seat::{EnterError, Gone, Inside};
use crate::set::SetId;
use crate::told::Told;
use crate::watch::Watched;
use crossbeam_queue::ArrayQueue;
use millstream_core::{Errno, Got, Perimeter, Signals, StreamId, Want};
use millstream_msg::{Msg, MsgList};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The owner's side of a stream of a shard in another thread. Dropping it closes the stream.
#[derive(Debug)]
pub struct End {
    handle: Handle,
    shared: Arc<EndShared>,
}

/// Why a message was not taken or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// It would have to wait.
    #[error("would have to wait")]
    WouldBlock,
    /// The stream has failed with this error.
    #[error("the stream has failed: {0}")]
    Failed(Errno),
    /// The shard has stopped.
    #[error(transparent)]
    Gone(Gone),
}

/// What both sides see.
#[derive(Debug)]
pub(crate) struct EndShared {
    pub(crate) stream: StreamId,
    received: ArrayQueue<Got>,
    /// The shard has messages that found no room: tell it when there is some.
    stalled: AtomicBool,
    /// Messages sent and not yet accepted by the head.
    in_flight: AtomicUsize,
    hangup: AtomicBool,
    /// A thing that was handed through a pipe is next, behind what was received.
    passed: AtomicBool,
    /// The stream is linked below a multiplexor.
    pub(crate) linked: AtomicBool,
    /// Messages stay at the head: nothing goes through the rings.
    at_head: bool,
    pub(crate) told: Told,
    /// Wakes the leader.
    bell: Arc<Bell>,
    /// For who waits with poll(2).
    pub(crate) ready: OnceLock<ReadyBell>,
    /// For who waits so for many.
    pub(crate) watched: OnceLock<Arc<Watched>>,
    /// Signals that nobody has taken.
    signals: AtomicU16,
    error: AtomicI32,
}

/// The shard's side.
#[derive(Debug)]
pub(crate) struct EndSlot {
    pub(crate) shared: Arc<EndShared>,
    /// Messages that flow control refused, in order.
    pending: MsgList,
    /// Who waits for this head among others.
    pub(crate) set: Option<SetId>,
}

/// Messages that an end holds for its reader. Behind it the head's queue fills, then flow control
/// works.
const RECEIVED: usize = 256;

/// Messages that one end may have on their way to its head.
pub(crate) const IN_FLIGHT_MAX: usize = 256;

impl End {
    /// Takes over an open stream of the shard.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn attach(handle: &Handle, stream: StreamId) -> Result<Self, Gone> {
        Self::take_over(handle, stream, false)
    }

    pub(crate) fn take_over(
        handle: &Handle,
        stream: StreamId,
        at_head: bool,
    ) -> Result<Self, Gone> {
        let shared = Arc::new(EndShared::new(handle, stream, at_head));
        let theirs = shared.clone();
        handle.call(move |shard| shard.attach_end(theirs))?;
        Ok(Self::of(handle.clone(), shared))
    }

    /// Of a stream that the shard knows to be this end's.
    pub(crate) fn of(handle: Handle, shared: Arc<EndShared>) -> Self {
        Self { handle, shared }
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.shared.stream
    }

    /// The shard's handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Sends a message to the head (`putmsg(2)` of an owned message): no byte is copied.
    ///
    /// # Errors
    /// The message comes back with [`EndError::WouldBlock`] when the ring or flow control below
    /// is full, or the stream's error.
    pub fn try_put(&self, msg: Msg) -> Result<(), (EndError, Msg)> {
        if let Err(error) = self.linked() {
            return Err((error, msg));
        }
        if let Some(error) = self.failure() {
            return Err((error, msg));
        }
        if self.shared.hangup.load(Ordering::Acquire) {
            return Err((EndError::Failed(Errno::ENXIO), msg));
        }
        if self.shared.in_flight.fetch_add(1, Ordering::AcqRel) >= IN_FLIGHT_MAX {
            self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err((EndError::WouldBlock, msg));
        }
        match self.handle.0.ring.push(Post::Put(self.shared.clone(), msg)) {
            Ok(()) => {
                self.handle.0.post();
                Ok(())
            }
            Err(Post::Put(_, msg)) => {
                self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
                Err((EndError::WouldBlock, msg))
            }
            Err(Post::Resume(_) | Post::Close(_) | Post::Answered(_)) => Ok(()),
        }
    }

    /// As [`End::try_put`], waiting for room until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// As [`End::try_put`].
    pub fn put(&self, msg: Msg, deadline: Option<Instant>) -> Result<(), (EndError, Msg)> {
        let mut msg = msg;
        loop {
            msg = match self.try_put(msg) {
                Err((EndError::WouldBlock, msg)) => msg,
                other => return other,
            };
            let ready = || {
                self.shared.in_flight.load(Ordering::Acquire) < IN_FLIGHT_MAX
                    && !self.handle.0.ring.is_full()
                    || self.is_over()
            };
            if !self.wait(deadline, ready) {
                return Err((EndError::WouldBlock, msg));
            }
        }
    }

    /// The first message (`getmsg(2)`), owned; `None` when the line is gone and all was read.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] when there is none, or the stream's error.
    pub fn try_get(&self) -> Result<Option<Got>, EndError> {
        self.linked()?;
        if let Some(got) = self.shared.received.pop() {
            // Half empty: the shard hands over what it holds, in one go.
            if self.shared.received.len() <= RECEIVED / 2
                && self.shared.stalled.swap(false, Ordering::AcqRel)
            {
                self.post_resume();
            }
            return Ok(Some(got));
        }
        // Whatever came before the hangup was put in before it was set.
        let hangup = self.shared.hangup.load(Ordering::Acquire);
        match self.failure() {
            Some(error) => Err(error),
            None if hangup && self.shared.received.is_empty() => Ok(None),
            None if self.shared.passed.load(Ordering::Acquire)
                && self.shared.received.is_empty() =>
            {
                Err(EndError::Failed(Errno::EBADMSG))
            }
            None => Err(EndError::WouldBlock),
        }
    }

    /// As [`End::try_get`], waiting until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// As [`End::try_get`].
    pub fn get(&self, deadline: Option<Instant>) -> Result<Option<Got>, EndError> {
        if self.shared.at_head {
            return self.get_wanted(Want::Any, deadline);
        }
        loop {
            match self.try_get() {
                Err(EndError::WouldBlock) => {}
                other => return other,
            }
            let ready = || {
                let passed = self.shared.passed.load(Ordering::Acquire);
                passed || !self.shared.received.is_empty() || self.is_over()
            };
            if !self.wait(deadline, ready) {
                return Err(EndError::WouldBlock);
            }
        }
    }

    fn post_resume(&self) {
        // The ring is full only while the shard works on it: it takes a moment.
        while self.handle.0.ring.push(Post::Resume(self.shared.clone())).is_err() {
            if self.is_over() {
                return;
            }
            self.handle.0.post();
            std::thread::yield_now();
        }
        self.handle.0.post();
    }

    pub(crate) fn failure(&self) -> Option<EndError> {
        match self.shared.error.load(Ordering::Acquire) {
            0 => None,
            number => Some(match self.handle.0.seat.open() {
                Err(gone) => gone.into(),
                Ok(()) => EndError::Failed(Errno(number)),
            }),
        }
    }

    pub(crate) fn shared(&self) -> &EndShared {
        &self.shared
    }

    /// Messages stay at the head: it was taken over by [`End::attach_head`].
    pub fn is_at_head(&self) -> bool {
        self.shared.at_head
    }

    /// Takes the signals that nobody has taken.
    pub(crate) fn signals(&self) -> Signals {
        let number = self.shared.signals.swap(0, Ordering::AcqRel);
        Signals::from_number(u32::from(number)).unwrap_or_default()
    }

    /// The error that comes before all that was received.
    fn linked(&self) -> Result<(), EndError> {
        let linked = self.shared.linked.load(Ordering::Acquire);
        if linked { Err(EndError::Failed(Errno::EINVAL)) } else { Ok(()) }
    }

    /// Messages that were received and not taken.
    pub(crate) fn has_received(&self) -> bool {
        !self.shared.received.is_empty()
    }

    /// Waits until something was handed through the pipe, or data came.
    pub(crate) fn wait_for_passed(&self, deadline: Option<Instant>) -> bool {
        let ready = || {
            let passed = self.shared.passed.load(Ordering::Acquire);
            passed || self.has_received() || self.is_over()
        };
        self.wait(deadline, ready)
    }

    fn is_over(&self) -> bool {
        self.shared.hangup.load(Ordering::Acquire) || self.failure().is_some()
    }

    /// Waits until `ready` or the deadline; false at the deadline, and for who must not wait.
    fn wait(&self, deadline: Option<Instant>, ready: impl Fn() -> bool) -> bool {
        let Some(_inside) = Inside::begin() else { return false };
        self.shared.told.park(deadline, ready)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let stream = self.shared.stream;
        match self.handle.enter(|shard| shard.detach_end(stream)) {
            // A shard that has stopped has closed all its streams.
            Ok(()) | Err(EnterError::Gone(_)) => {}
            Err(EnterError::Again) => {
                let handle = self.handle.clone();
                if handle.0.ring.push(Post::Close(stream)).is_err() {
                    // This thread must not wait until there is room.
                    std::thread::spawn(move || {
                        let _stopped = handle.enter(|shard| shard.detach_end(stream));
                    });
                } else {
                    handle.0.post();
                }
            }
        }
    }
}

impl From<Gone> for EndError {
    /// A shard that failed has sent M_ERROR up to every head.
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Panicked => Self::Failed(Errno::EIO),
            gone => Self::Gone(gone),
        }
    }
}

impl From<EnterError> for EndError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Again => Self::WouldBlock,
            EnterError::Gone(gone) => gone.into(),
        }
    }
}

impl EndShared {
    pub(crate) fn new(handle: &Handle, stream: StreamId, at_head: bool) -> Self {
        Self {
            stream,
            received: ArrayQueue::new(if at_head { 1 } else { RECEIVED }),
            stalled: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            hangup: AtomicBool::new(false),
            passed: AtomicBool::new(false),
            linked: AtomicBool::new(false),
            at_head,
            told: Told::new(),
            bell: handle.0.poller.bell.clone(),
            ready: OnceLock::new(),
            watched: OnceLock::new(),
            signals: AtomicU16::new(0),
            error: AtomicI32::new(0),
        }
    }

    /// Something has happened at the head.
    pub(crate) fn tell(&self) {
        if self.told.tell() {
            self.bell.ring();
        }
        if let Some(ready) = self.ready.get() {
            ready.ring();
        }
        if let Some(watched) = self.watched.get() {
            watched.tell();
        }
    }

    /// The descriptor for poll(2) says what is so, after something was done at the head.
    pub(crate) fn show_ready(&self, core: &mut Perimeter) {
        if let Some(ready) = self.ready.get() {
            ready.show(core, self.stream);
        }
    }

    /// The shard has stopped or the stream has failed.
    pub(crate) fn fail(&self, errno: Errno) {
        self.error.store(errno.0, Ordering::Release);
        self.tell();
    }
}

impl EndSlot {
    pub(crate) fn new(shared: Arc<EndShared>) -> Self {
        Self { shared, pending: MsgList::new(), set: None }
    }

    /// A message from the end: to the head, or behind those that flow control refused.
    pub(crate) fn accept(&mut self, core: &mut Perimeter, msg: Msg) {
        if self.pending.is_empty() {
            self.offer(core, msg);
        } else {
            self.pending.push(msg);
        }
    }

    /// The head has told of something that the program asked for.
    pub(crate) fn signal(&self, signals: Signals) {
        self.shared.signals.fetch_or(signals.number(), Ordering::AcqRel);
        self.shared.tell();
    }

    /// Flow control has gone: what it refused goes to the head.
    pub(crate) fn flush(&mut self, core: &mut Perimeter) {
        self.shared.tell();
        while let Some(msg) = self.pending.pop() {
            if !self.offer(core, msg) {
                return;
            }
        }
    }

    /// The end is gone, its stream is closed next. What flow control refused goes to the head now:
    /// it was accepted from the program, and the close looks after what is below the head.
    pub(crate) fn leave(self, core: &mut Perimeter) {
        self.shared.tell();
        for msg in self.pending {
            if let Err((_, msg)) = core.putmsg_last(self.shared.stream, msg) {
                core.pool().free(msg);
            }
        }
    }

    /// Moves what the head holds to the end, while it has room.
    pub(crate) fn deliver(&mut self, core: &mut Perimeter) {
        if self.shared.at_head {
            return self.shared.tell();
        }
        let shared = &self.shared;
        let mut delivered = false;
        shared.passed.store(false, Ordering::Release);
        loop {
            if shared.received.is_full() {
                shared.stalled.store(true, Ordering::Release);
                // The reader may have emptied it since and not seen the mark.
                if shared.received.is_full() || !shared.stalled.swap(false, Ordering::AcqRel) {
                    break;
                }
            }
            match core.getmsg(shared.stream) {
                Ok(Some(got)) => {
                    delivered = true;
                    // Not full was checked above, and nobody else fills it.
                    let _fits = shared.received.push(got);
                }
                Ok(None) => {
                    shared.hangup.store(true, Ordering::Release);
                    delivered = true;
                    break;
                }
                // Linked: it is the multiplexor's business.
                Err(Errno::EAGAIN | Errno::EINVAL) => break,
                Err(Errno::EBADMSG) => {
                    shared.passed.store(true, Ordering::Release);
                    delivered = true;
                    break;
                }
                Err(errno) => {
                    shared.fail(errno);
                    break;
                }
            }
        }
        if delivered {
            shared.told.notify();
        }
    }

    /// Gives one message to the head; false when flow control refused it.
    fn offer(&mut self, core: &mut Perimeter, msg: Msg) -> bool {
        match core.putmsg(self.shared.stream, msg) {
            Ok(()) => {}
            // Flow control, or linked since it was sent: it goes when the stream is the program's
            // again.
            Err((errno, msg)) if errno == Errno::EAGAIN || core.is_linked(self.shared.stream) => {
                self.pending.push_front(msg);
                return false;
            }
            Err((errno, msg)) => {
                core.pool().free(msg);
                self.shared.fail(errno);
            }
        }
        let before = self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        if before > IN_FLIGHT_MAX / 2 {
            self.shared.told.notify();
        }
        true
    }
}
