//! watch: one descriptor that says that something has changed at any of many heads, and what was
//! counted there: for who puts poll(2) and epoll(7) on top.

use crate::bell::Bell;
use crate::end::End;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Rung by the ends that watch it while they are armed.
#[derive(Debug)]
pub struct Watch {
    bell: Bell,
    /// Nobody has silenced it since it was rung.
    rung: AtomicBool,
}

/// What an end notes for a watch.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Arc<Watch>,
    armed: AtomicBool,
    /// Wrapping.
    changes: AtomicU32,
}

impl Watch {
    /// Silent.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { bell: Bell::new()?, rung: AtomicBool::new(false) }))
    }

    /// Polls readable from a change at an armed end until it is silenced.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Not readable any more, until something changes. Look at what is ready afterwards.
    pub fn silence(&self) {
        if self.rung.load(Ordering::SeqCst) {
            // In this order: what happens in between is not rung for, and is seen afterwards.
            self.bell.hush();
            self.rung.store(false, Ordering::SeqCst);
        }
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.bell.ring();
        }
    }
}

impl Watched {
    /// Something has happened at the head.
    pub(crate) fn tell(&self) {
        // Pairs with arming: either this sees that it is armed, or who arms sees what happened.
        self.changes.fetch_add(1, Ordering::SeqCst);
        if self.armed.load(Ordering::SeqCst) {
            self.watch.ring();
        }
    }
}

impl End {
    /// What happens at the head is counted, and rings `watch` while the end is armed. Once: an end
    /// has one watch.
    pub fn watch(&self, watch: &Arc<Watch>) {
        let (armed, changes) = (AtomicBool::new(false), AtomicU32::new(0));
        let _has_one = self.shared().watched.set(Watched { watch: watch.clone(), armed, changes });
    }

    /// Rings its watch, or does so no longer. Look at what is ready afterwards.
    pub fn arm(&self, armed: bool) {
        if let Some(watched) = self.shared().watched.get() {
            watched.armed.store(armed, Ordering::SeqCst);
        }
    }

    /// What has happened at the head since it is watched, counted.
    pub fn changes(&self) -> u32 {
        self.shared().watched.get().map_or(0, |watched| watched.changes.load(Ordering::SeqCst))
    }
}
