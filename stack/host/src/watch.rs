//! watch: one descriptor that says that something has changed at any of many heads, and what was
//! counted there: for who puts poll(2) and epoll(7) on top.

use crate::bell::Bell;
use crate::end::End;
use std::cell::Cell;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

thread_local! {
    /// This thread runs a shard: who is woken now would only wait for it.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// To be rung when it does so no longer. Without a destructor: the stack of a program is ended
    /// after those of its threads have run.
    static DUE: Cell<ManuallyDrop<Option<Arc<Watch>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
}

/// While a thread has this, what it rings is put off until it goes.
#[derive(Debug)]
pub(crate) struct PutOff(());

impl PutOff {
    pub(crate) fn begin() -> Self {
        RUNS.set(true);
        Self(())
    }
}

impl Drop for PutOff {
    fn drop(&mut self) {
        RUNS.set(false);
        if let Some(due) = put_off(None) {
            due.bell.ring();
        }
    }
}

/// Puts a watch off in place of the one that was.
fn put_off(watch: Option<Arc<Watch>>) -> Option<Arc<Watch>> {
    ManuallyDrop::into_inner(DUE.replace(ManuallyDrop::new(watch)))
}

/// Rung by the ends that watch it while they are armed and a thread sleeps.
#[derive(Debug)]
pub struct Watch {
    bell: Bell,
    sleepers: AtomicU32,
    /// How often it was rung, wrapping.
    rings: AtomicU32,
    /// Ends at which something has happened since somebody asked, once each.
    changed: Mutex<Vec<Arc<Watched>>>,
}

/// What an end notes for a watch.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Arc<Watch>,
    /// What the end was called when it began to watch.
    name: u32,
    armed: AtomicBool,
    /// Wrapping.
    changes: AtomicU32,
    /// It is on the list.
    listed: AtomicBool,
}

impl Watch {
    /// Silent.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn new() -> io::Result<Arc<Self>> {
        let (sleepers, rings) = (AtomicU32::new(0), AtomicU32::new(0));
        let changed = Mutex::default();
        Ok(Arc::new(Self { bell: Bell::new()?, sleepers, rings, changed }))
    }

    /// Written to at each change at an armed end while a thread sleeps; readable until it is
    /// silenced.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Not readable any more, until something changes. Look at what is ready afterwards.
    pub fn silence(&self) {
        self.bell.hush();
    }

    /// A thread is about to wait. Look at what is ready afterwards.
    pub fn sleeps(&self) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
    }

    /// It does so no longer.
    pub fn wakes(&self) {
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Calls `told` with the names of ends at which something has happened since the last call.
    pub fn take_changed(&self, mut told: impl FnMut(u32)) {
        for watched in std::mem::take(&mut *self.changed()) {
            watched.listed.store(false, Ordering::SeqCst);
            told(watched.name);
        }
    }

    /// How often it was rung, wrapping.
    pub fn rings(&self) -> u32 {
        self.rings.load(Ordering::Relaxed)
    }

    fn ring(self: &Arc<Self>) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        if !RUNS.get() {
            return self.bell.ring();
        }
        match put_off(Some(self.clone())) {
            Some(other) if !Arc::ptr_eq(&other, self) => other.bell.ring(),
            _ => {}
        }
    }

    fn changed(&self) -> MutexGuard<'_, Vec<Arc<Watched>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Something has happened at the head.
    pub(crate) fn tell(self: &Arc<Self>) {
        // Pairs with arming and with sleeping: either it is seen here that somebody waits, or who
        // is about to wait sees what happened.
        self.changes.fetch_add(1, Ordering::SeqCst);
        if !self.listed.swap(true, Ordering::SeqCst) {
            self.watch.changed().push(self.clone());
        }
        if self.armed.load(Ordering::SeqCst) && self.watch.sleepers.load(Ordering::SeqCst) > 0 {
            self.watch.ring();
        }
    }
}

impl End {
    /// What happens at the head is counted, and rings `watch` while the end is armed; the end is
    /// called by a name there. Once: an end has one watch.
    pub fn watch(&self, watch: &Arc<Watch>, name: u32) {
        let watched = Watched {
            watch: watch.clone(),
            name,
            armed: AtomicBool::new(false),
            changes: AtomicU32::new(0),
            listed: AtomicBool::new(false),
        };
        let _has_one = self.shared().watched.set(Arc::new(watched));
    }

    /// Rings its watch, or does so no longer. Look at what is ready afterwards.
    pub fn arm(&self, armed: bool) {
        if let Some(watched) = self.shared().watched.get() {
            watched.armed.store(armed, Ordering::SeqCst);
        }
    }

    /// A call of the program has changed what is possible: its other threads are told.
    pub fn touch(&self) {
        if let Some(watched) = self.shared().watched.get() {
            watched.tell();
        }
    }

    /// What has happened at the head since it is watched, counted.
    pub fn changes(&self) -> u32 {
        self.shared().watched.get().map_or(0, |watched| watched.changes.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn is_rung(watch: &Watch) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&watch.bell, PollFlags::IN)], Some(&now)).unwrap() > 0
    }

    fn watched(watch: &Arc<Watch>) -> Arc<Watched> {
        Arc::new(Watched {
            watch: watch.clone(),
            name: 1,
            armed: AtomicBool::new(true),
            changes: AtomicU32::new(0),
            listed: AtomicBool::new(false),
        })
    }

    #[test]
    fn who_runs_a_shard_rings_every_watch_once_it_has_left() {
        let watches = [Watch::new().unwrap(), Watch::new().unwrap()];
        watches.iter().for_each(|watch| watch.sleeps());
        let inside = PutOff::begin();
        watched(&watches[0]).tell();
        watched(&watches[0]).tell();
        assert!(!is_rung(&watches[0]));
        watched(&watches[1]).tell();
        drop(inside);
        assert!(watches.iter().all(|watch| is_rung(watch)));
        watches[0].silence();
        watched(&watches[0]).tell();
        assert!(is_rung(&watches[0]), "outside nothing is put off");
    }
}
