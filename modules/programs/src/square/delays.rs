//! delays: what is to be done later, on a thread of its own.

use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Does things later. Its thread begins with the first and ends with it; what waits is dropped.
#[derive(Debug, Default)]
pub(super) struct Delays {
    thread: Option<Sender<Delayed>>,
    waiting: Arc<AtomicUsize>,
}

struct Delayed {
    due: Instant,
    work: Box<dyn FnOnce() + Send>,
}

impl Delays {
    /// The most that may wait.
    pub(super) const MAX: usize = 1024;

    /// Does `work` after so long; `false`, and it is dropped, when too much waits.
    pub(super) fn after(&mut self, time: Duration, work: impl FnOnce() + Send + 'static) -> bool {
        if self.waiting.load(Ordering::Relaxed) >= Self::MAX {
            return false;
        }
        let waiting = self.waiting.clone();
        let Some(thread) = self.thread() else { return false };
        waiting.fetch_add(1, Ordering::Relaxed);
        let work = Box::new(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            work();
        });
        thread.send(Delayed { due: Instant::now() + time, work }).is_ok()
    }

    fn thread(&mut self) -> Option<&Sender<Delayed>> {
        if self.thread.is_none() {
            let (give, take) = channel();
            let thread = std::thread::Builder::new().name("square".into());
            thread.spawn(move || run(&take)).ok()?;
            self.thread = Some(give);
        }
        self.thread.as_ref()
    }
}

fn run(take: &Receiver<Delayed>) {
    let mut waiting = BinaryHeap::<Delayed>::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|first| first.due <= now) {
            waiting.pop().into_iter().for_each(|first| (first.work)());
        }
        let next = match waiting.peek() {
            Some(first) => take.recv_timeout(first.due.saturating_duration_since(now)),
            None => take.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(delayed) => waiting.push(delayed),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The first that is due is the greatest.
impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Delayed {}

impl fmt::Debug for Delayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delayed").field("due", &self.due).finish_non_exhaustive()
    }
}
