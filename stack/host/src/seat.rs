//! seat: the place of a running shard. Whoever holds its lock runs the shard, as a system call
//! would; nobody holds it while waiting.

use crate::forked::Home;
use crate::shard::Shard;
use crate::watch::PutOff;
use millstream_core::Errno;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds the shard from the moment it runs until it ends.
#[derive(Debug)]
pub(crate) struct Seat {
    shard: Mutex<Option<Box<Shard>>>,
    placed: Condvar,
    /// Threads that found the shard running and want to come in.
    wanted: AtomicU32,
    state: AtomicU8,
    /// The process that the shard runs in: a child of it has a copy that nobody may run.
    home: Home,
}

/// A shard can no longer be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gone {
    /// Its thread has ended.
    #[error("the stack has stopped")]
    Stopped,
    /// A thread panicked while it ran the shard.
    #[error("the stack has failed")]
    Panicked,
    /// It runs in the process that this one was forked from.
    #[error("the stack is another process's")]
    Forked,
}

/// Why a thread did not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    /// It is inside a stack already: in a signal handler, or in something that the stack calls.
    #[error("the thread is inside a stack already")]
    Again,
    /// Nobody will come in any more.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Mark of a thread that is inside. A thread is inside one stack at a time: two that wait for each
/// other's stack would wait for ever.
#[derive(Debug)]
pub(crate) struct Inside(());

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

const OPEN: u8 = 0;
const STOPPED: u8 = 1;
const PANICKED: u8 = 2;

/// Tries before a thread that finds the shard running goes to sleep: a turn is about as short.
const SPINS: u32 = 200;

/// How often the processor is given away to one who wants to come in.
const YIELDS: u32 = 64;

impl Inside {
    /// None when this thread is inside already.
    pub(crate) fn begin() -> Option<Self> {
        (!INSIDE.replace(true)).then(|| Self(()))
    }

    /// Sleeps without the mark: nothing is held, so a signal handler may come in.
    pub(crate) fn outside<T>(&self, sleep: impl FnOnce() -> T) -> T {
        INSIDE.set(false);
        let slept = sleep();
        INSIDE.set(true);
        slept
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            shard: Mutex::new(None),
            placed: Condvar::new(),
            wanted: AtomicU32::new(0),
            state: AtomicU8::new(OPEN),
            home: Home::here(),
        }
    }

    /// The shard runs: threads may come in.
    pub(crate) fn place(&self, shard: Box<Shard>) {
        *self.lock() = Some(shard);
        self.placed.notify_all();
    }

    /// Nobody comes in any more; what was there.
    pub(crate) fn clear(&self) -> Option<Box<Shard>> {
        let mut seat = self.lock();
        // How it ended first stays.
        let _ended =
            self.state.compare_exchange(OPEN, STOPPED, Ordering::AcqRel, Ordering::Acquire);
        self.placed.notify_all();
        seat.take()
    }

    /// Runs `work` in the shard. Before the shard's thread has begun, waits for it.
    pub(crate) fn with<T>(
        &self,
        _inside: &Inside,
        work: impl FnOnce(&mut Shard) -> T,
    ) -> Result<T, Gone> {
        if self.is_forked() {
            return Err(Gone::Forked);
        }
        // Programs that are woken find the seat free: this goes after the lock.
        let _rings_later = PutOff::begin();
        let mut seat = self.lock();
        while seat.is_none() {
            self.open()?;
            seat = self.placed.wait(seat).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(shard) = seat.as_deref_mut() else { return Err(Gone::Stopped) };
        catch_unwind(AssertUnwindSafe(|| work(shard))).or_else(|panic| {
            self.state.store(PANICKED, Ordering::Release);
            let mut broken = seat.take();
            drop(seat);
            if let Some(shard) = &mut broken {
                shard.shut(Errno::EIO);
            }
            drop(broken);
            resume_unwind(panic)
        })
    }

    /// Lets those who want to come in do so; called by who comes back at once.
    pub(crate) fn give_way(&self) {
        for _ in 0..YIELDS {
            if self.wanted.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// This process is a child of the shard's.
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_elsewhere()
    }

    /// How it ended, unless it has not.
    pub(crate) fn open(&self) -> Result<(), Gone> {
        match self.state.load(Ordering::Acquire) {
            OPEN => Ok(()),
            PANICKED => Err(Gone::Panicked),
            _ => Err(Gone::Stopped),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Shard>>> {
        if let Ok(seat) = self.shard.try_lock() {
            return seat;
        }
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let soon = (0..SPINS).find_map(|_| {
            std::hint::spin_loop();
            self.shard.try_lock().ok()
        });
        // No panic leaves while it is held.
        let seat =
            soon.unwrap_or_else(|| self.shard.lock().unwrap_or_else(PoisonError::into_inner));
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        seat
    }
}
