//! told: threads that wait until something has happened at a head. They park, or sleep in the wait
//! set of the devices as the leader.

use crate::sync::{AtomicBool, AtomicU32, Condvar, Mutex, Ordering, fence};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What has happened at one head, and who waits for it.
#[derive(Debug)]
pub(crate) struct Told {
    /// Counted, wrapping.
    events: AtomicU32,
    /// Threads that park or are about to.
    parked: AtomicU32,
    /// The leader waits for this head and sleeps, or is about to.
    leader_sleeps: AtomicBool,
    /// A leader that waited here left the lead to others after as many events.
    left_at: AtomicU32,
    /// It has.
    left: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            events: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            leader_sleeps: AtomicBool::new(false),
            left_at: AtomicU32::new(0),
            left: AtomicBool::new(false),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Events so far.
    pub(crate) fn seen(&self) -> u32 {
        self.events.load(Ordering::Acquire)
    }

    /// Something has happened. True when the leader has to be woken with the bell.
    #[must_use]
    pub(crate) fn tell(&self) -> bool {
        self.events.fetch_add(1, Ordering::AcqRel);
        self.notify();
        self.leader_sleeps.load(Ordering::Relaxed)
    }

    /// Those who park look again at what they wait for.
    pub(crate) fn notify(&self) {
        // Pairs with the fences of those who wait: either they see what was done before, or they
        // are seen here.
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) > 0 {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.changed.notify_all();
        }
    }

    /// Who waits here leaves the lead to others, until something happens here.
    pub(crate) fn leave_lead(&self, seen: u32) {
        self.left_at.store(seen, Ordering::Relaxed);
        self.left.store(true, Ordering::Relaxed);
    }

    /// Who waits here left the lead to others, and nothing has happened here since.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed) && self.left_at.load(Ordering::Relaxed) == self.seen()
    }

    /// A thread parks, or is about to.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed) > 0
    }

    /// Parks until `ready` or the deadline; false at the deadline.
    pub(crate) fn park(&self, deadline: Option<Instant>, ready: impl Fn() -> bool) -> bool {
        self.parked.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut met = ready();
        while !met {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            guard = match left {
                Some(left) => {
                    let waited = self.changed.wait_timeout(guard, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
            met = ready();
        }
        drop(guard);
        self.parked.fetch_sub(1, Ordering::Relaxed);
        met
    }

    /// The leader, which waits for this head, is about to sleep; false when something has happened
    /// since `seen`.
    pub(crate) fn leader_sleeps(&self, seen: u32) -> bool {
        self.leader_sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let sleeps = self.events.load(Ordering::Acquire) == seen;
        if !sleeps {
            self.leader_wakes();
        }
        sleeps
    }

    /// The leader is awake.
    pub(crate) fn leader_wakes(&self) {
        self.leader_sleeps.store(false, Ordering::Relaxed);
    }
}
