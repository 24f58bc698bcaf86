//! world: a stack, its clock and its wire, moved on by the thread that calls.

use crate::flags::Flags;
use crate::wire::{Packet, Wire};
use millstream::plan::{Interface, Line, Plan, PlanError};
use millstream::{Errno, InProcess, OpenError, Stack};
use millstream_host::GivenClock;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Time passes here only when somebody says so: in [`World::advance`] and [`World::receive`].
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) sockets: InProcess,
    stack: Stack,
    clock: GivenClock,
    wire: Mutex<Wire>,
    /// Times that something may have changed, for who waits.
    changes: Mutex<u64>,
    changed: Condvar,
}

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorldError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Set(#[from] OpenError),
    #[error(transparent)]
    Sockets(#[from] std::io::Error),
}

impl World {
    pub(crate) fn new(flags: &Flags) -> Result<Self, WorldError> {
        let (near, wire) = Wire::new(flags.mtu);
        let clock = GivenClock::default();
        // At 0 nothing has ever happened: clocks of connections begin later.
        clock.move_to(SECOND_NS);
        let line = Line::Pair("wire".into(), near);
        let stack = Stack::start(Plan {
            interfaces: vec![Interface { line, addresses: vec![flags.local] }],
            gateway: Some(flags.gateway.into()),
            seed: flags.seed,
            clock: Some(clock.clone()),
            ..Plan::default()
        })?;
        for (key, value) in &flags.tcp {
            stack.set("tcp", key, value)?;
        }
        let sockets = InProcess::new(&stack)?;
        let (changes, changed) = (Mutex::default(), Condvar::new());
        let world = Self { sockets, stack, clock, wire: Mutex::new(wire), changes, changed };
        // Addresses are announced, and looked for, in the first seconds.
        world.advance(SECOND_NS + 10 * SECOND_NS);
        while world.wire().packet().is_some() {}
        Ok(world)
    }

    /// Nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// All that is due is done; when something is due next.
    pub(crate) fn settle(&self) -> Option<u64> {
        loop {
            // A stack that has failed does nothing more: its sockets say why.
            let next = self.stack.handle().call(|shard| shard.step()).ok().flatten();
            if !self.wire().take(self.now()) {
                self.tell();
                return next;
            }
        }
    }

    /// It is `to` now: what is due until then happens in order.
    pub(crate) fn advance(&self, to: u64) {
        while let Some(next) = self.settle().filter(|next| *next <= to) {
            self.clock.move_to(next);
        }
        self.clock.move_to(to);
        self.settle();
    }

    /// A packet comes from the wire.
    pub(crate) fn inject(&self, packet: &[u8]) -> Result<(), Errno> {
        self.wire().put(packet).map_err(|_| Errno::ENOBUFS)?;
        self.settle();
        Ok(())
    }

    /// The next packet that leaves: time passes until there is one. None when there will be none,
    /// whatever time it is.
    pub(crate) fn receive(&self) -> Option<Packet> {
        loop {
            let next = self.settle();
            if let Some(packet) = self.wire().packet() {
                return Some(packet);
            }
            self.clock.move_to(next?);
        }
    }

    /// Tries until it is not EAGAIN, or until the clock has reached `deadline`. Another thread
    /// moves the clock meanwhile, and brings packets.
    pub(crate) fn wait<T>(
        &self,
        deadline: Option<u64>,
        mut attempt: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut seen = *self.changes();
        loop {
            let result = attempt();
            if !matches!(result, Err(Errno::EAGAIN)) || deadline.is_some_and(|at| self.now() >= at)
            {
                self.settle();
                return result;
            }
            // What was tried may have sent something all the same.
            let mut changes = self.changes();
            while *changes == seen {
                changes = self.changed.wait(changes).unwrap_or_else(PoisonError::into_inner);
            }
            seen = *changes;
        }
    }

    fn tell(&self) {
        *self.changes() += 1;
        self.changed.notify_all();
    }

    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SECOND_NS: u64 = 1_000_000_000;
