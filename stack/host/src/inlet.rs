//! inlet: how other threads reach a shard. Calls for control, a bounded ring for messages.

use crate::end::EndShared;
use crate::poller::Bell;
use crate::shard::Shard;
use crossbeam_queue::ArrayQueue;
use millstream_msg::Msg;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Reaches a shard from any thread.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Inlet>);

/// The shard's thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stack has stopped")]
pub struct Gone;

/// A call: runs on the shard's thread between two turns.
pub(crate) type Call = Box<dyn FnOnce(&mut Shard) + Send>;

#[derive(Debug)]
pub(crate) struct Inlet {
    calls: crossbeam_channel::Sender<Call>,
    /// The shard's end of it, kept here so that calls which come too late can be taken out.
    taken: crossbeam_channel::Receiver<Call>,
    /// Nobody takes calls and posts any more.
    closed: AtomicBool,
    /// Messages and resumptions of ends.
    pub(crate) ring: ArrayQueue<Post>,
    /// A device without descriptor may have frames: ask it before sleeping.
    nudged: AtomicBool,
    /// The shard is about to sleep or sleeps: ring the bell.
    sleeping: AtomicBool,
    pub(crate) bell: Bell,
    pub(crate) stop: AtomicBool,
}

/// What an end sends through the ring.
#[derive(Debug)]
pub(crate) enum Post {
    /// A message for the head of the stream.
    Put(Arc<EndShared>, Msg),
    /// The end has room for messages again.
    Resume(Arc<EndShared>),
}

/// Messages of all ends on their way to the shard. One end may have
/// [`crate::end::IN_FLIGHT_MAX`] there, so a full ring means many busy threads.
const RING: usize = 4096;

/// Calls that wait; more block their caller.
const CALLS: usize = 64;

impl Inlet {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let (calls, taken) = crossbeam_channel::bounded(CALLS);
        let inlet = Self {
            calls,
            taken,
            closed: AtomicBool::new(false),
            ring: ArrayQueue::new(RING),
            nudged: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            bell: Bell::new()?,
            stop: AtomicBool::new(false),
        };
        Ok(Arc::new(inlet))
    }

    /// Wakes the shard if it sleeps. Called after something was put in.
    pub(crate) fn wake(&self) {
        // Pairs with the fence in `before_sleep`: either the shard sees what was put in, or this
        // sees that it is going to sleep.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// Announces sleep; true when there is nothing to do and the shard may sleep.
    pub(crate) fn before_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let idle = self.ring.is_empty()
            && self.taken.is_empty()
            && !self.nudged.swap(false, Ordering::Relaxed)
            && !self.stop.load(Ordering::Relaxed);
        if !idle {
            self.sleeping.store(false, Ordering::Relaxed);
        }
        idle
    }

    /// The next call.
    pub(crate) fn take_call(&self) -> Option<Call> {
        self.taken.try_recv().ok()
    }

    /// The shard is gone: callers are told, now and from now on.
    pub(crate) fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.closed.store(true, Ordering::Relaxed);
        self.drop_late();
    }

    /// Drops what came too late, which tells those who wait for it. Called after `closed` was set,
    /// and after each call that was put in since: one of the two sees the other.
    fn drop_late(&self) {
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::Relaxed) {
            while self.take_call().is_some() {}
            while self.ring.pop().is_some() {}
        }
    }

    pub(crate) fn after_sleep(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

impl Handle {
    /// Runs `work` on the shard's thread, between two turns, and waits for its result.
    ///
    /// # Errors
    /// [`Gone`] when the shard has stopped.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (tell, told) = crossbeam_channel::bounded(1);
        let call: Call = Box::new(move |shard| {
            // The caller may have gone away; then nobody wants the result.
            let _unwanted = tell.send(work(shard));
        });
        self.0.calls.send(call).map_err(|_| Gone)?;
        self.0.wake();
        self.0.drop_late();
        told.recv().map_err(|_| Gone)
    }

    /// Tells the shard to stop; its thread ends after the current turn.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.0.bell.ring();
    }

    /// Wakes the shard if it sleeps, so that it polls devices without descriptors.
    pub fn wake(&self) {
        // Devices were asked before the shard says that it sleeps: a frame in between must not be
        // slept over.
        self.0.nudged.store(true, Ordering::Relaxed);
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_before_sleep_is_announced_keeps_the_shard_awake_once() {
        let inlet = Inlet::new().unwrap();
        Handle(inlet.clone()).wake();
        assert!(!inlet.before_sleep(), "a frame that came meanwhile would be slept over");
        assert!(inlet.before_sleep());
    }
}
