//! shard: a perimeter with a thread's event loop.

mod crowd;
mod devices;
mod programs;
mod rest;
mod time;

pub(crate) use crowd::Crowd;
pub(crate) use rest::{Rest, Settled};

use crate::acceptor::{Acceptors, MakeModules};
use crate::bell::Earliest;
use crate::change::Waiters;
use crate::checksum;
use crate::clock::{Clock, GivenClock, clock_ns};
use crate::device::DeviceSlot;
use crate::end::{EndShared, EndSlot};
use crate::inlet::{Handle, Inlet, Post};
use crate::ioctl::Askers;
use crate::plan::program;
use crate::poller::{BELL, Ready, TIMER};
use crate::port::{Ports, TOKENS};
use crate::set::{SetId, Sets};
use millstream_core::{
    Config, Errno, Event, HeadEvent, NodeId, Passed, Perimeter, PlumbError, PollEvents, StreamId,
    Turn,
};
use millstream_msg::{Pool, PoolConfig};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The one owner of a stack: pool, nodes, devices, timers. Made and run on one thread, or moved
/// there before it runs; reached from others by its [`Handle`].
#[derive(Debug)]
pub struct Shard {
    core: Perimeter,
    devices: Vec<DeviceSlot>,
    inlet: Arc<Inlet>,
    ends: HashMap<StreamId, EndSlot>,
    waiters: Waiters,
    askers: Askers,
    acceptors: Acceptors,
    sets: Sets,
    /// Programs in other processes.
    ports: Option<Box<Ports>>,
    clock: Clock,
    notices: Vec<Notice>,
    /// Rounds since the poller was asked.
    unasked: u32,
    /// Guests since a device was read.
    unlooked: u32,
    crowd: Crowd,
    /// What the timer in the wait set is set to, in nanoseconds of this shard.
    alarm_at: Earliest,
    /// The last turn left something to do, or the timer unset.
    unsettled: bool,
}

/// How a shard is made.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Memory of messages.
    pub pool: PoolConfig,
    /// Seed of the random numbers of modules.
    pub seed: u64,
    /// Ask devices again and again instead of sleeping.
    pub polling: bool,
    /// The clock, if it is not the machine's.
    pub clock: Option<GivenClock>,
}

/// Something that whoever runs the stack wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A device has failed; its stream was hung up, the others go on.
    DeviceGone {
        /// Name of the stream.
        name: String,
        /// How it failed.
        errno: Errno,
    },
}

/// Dispatches in one turn, before devices and calls are looked at.
const DISPATCHES_PER_TURN: usize = 4096;

/// Posts of ends taken before a turn.
const POSTS_PER_TURN: usize = 256;

/// Rounds with work at hand without asking the poller; then the other devices are looked at.
const HOT_TURNS: u32 = 8;

/// The same where devices are polled: they are read then, and only what else is in the wait set is
/// looked at, a bell or room for writing.
const POLLED_TURNS: u32 = 32;

/// Turns until what heads have told of is settled; what then remains is done by the leader.
const SETTLING_TURNS: usize = 8;

impl Shard {
    /// A shard without devices.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn new(config: ShardConfig) -> io::Result<Self> {
        let inlet = Inlet::new(config.polling)?;
        let mut pool = Pool::new(config.pool);
        pool.set_sum(checksum::fastest());
        let clock = Clock::new(config.clock);
        // What modules cost is measured by the machine's clock, or not at all.
        let cost: Option<fn() -> u64> = if clock.is_given() { None } else { Some(clock_ns) };
        let mut core = Perimeter::new(Config { pool, seed: config.seed, clock: cost });
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        core.set_wall_offset(since_epoch.as_nanos() as u64);
        Ok(Self {
            core,
            devices: Vec::new(),
            inlet,
            ends: HashMap::new(),
            waiters: Waiters::default(),
            askers: Askers::default(),
            acceptors: Acceptors::default(),
            sets: Sets::default(),
            ports: None,
            clock,
            notices: Vec::new(),
            unasked: 0,
            unlooked: 0,
            crowd: Crowd::default(),
            alarm_at: Earliest::default(),
            unsettled: false,
        })
    }

    /// Reaches this shard from other threads.
    pub fn handle(&self) -> Handle {
        Handle(self.inlet.clone())
    }

    /// The perimeter, between turns.
    pub fn core(&mut self) -> &mut Perimeter {
        &mut self.core
    }

    pub(crate) fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }

    /// Takes the connections of a listening stream of `tcp`: each gets a stream with modules in
    /// it, which is closed when the connection ends.
    pub(crate) fn accept_at(
        &mut self,
        listener: StreamId,
        tcp: NodeId,
        name: &'static str,
        make: MakeModules,
    ) {
        self.acceptors.add(listener, tcp, name, make);
    }

    /// Takes its connections no more.
    pub(crate) fn accept_no_more(&mut self, listener: StreamId) {
        self.acceptors.remove(listener);
    }

    /// What happened since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Sleeps or polls, and works, until [`Handle::stop`]; calls `notify` with what happened. Other
    /// threads come in meanwhile, and lead while they wait.
    ///
    /// # Errors
    /// The kernel's, from the wait set, and when another thread has panicked inside.
    pub fn run(self, notify: impl FnMut(Notice)) -> io::Result<()> {
        let inlet = self.inlet.clone();
        inlet.seat.place(Box::new(self));
        let _over = Over(&inlet);
        inlet.serve(notify)
    }

    /// One round of a shard that does not run on a thread of its own: posts, devices, a turn of
    /// the perimeter, and what came of it; then looks what devices are ready, waiting for one if
    /// `sleep` and nothing is to be done.
    ///
    /// # Errors
    /// The kernel's, from the wait set.
    pub fn turn(&mut self, sleep: bool) -> io::Result<()> {
        let inlet = self.inlet.clone();
        inlet.token.shard_wakes();
        self.rest();
        let wait = match self.round_and_rest() {
            Rest::Again => return Ok(()),
            Rest::Sleep if sleep && inlet.token.shard_sleeps() => None,
            Rest::Sleep | Rest::Look => Some(Duration::ZERO),
        };
        let ready = inlet.poller.wait(wait)?;
        self.take_ready(&ready);
        Ok(())
    }

    /// What a leader does between two looks at the wait set. What modules put off until the stack
    /// rests waits for [`Shard::rest`]: before the next round, or before the leader sleeps.
    pub(crate) fn round(&mut self) -> Rest {
        let worked = self.take_posts() | self.serve_programs() | self.poll_hot();
        let turn = self.turn_core(true);
        let busy = worked || turn.more || self.core_has_work();
        if busy || self.inlet.poller.polling || turn.next.is_some_and(|at| at <= self.core.now()) {
            // The timer was not set.
            self.unsettled = true;
            self.unasked += 1;
            let (again, most) = match self.inlet.poller.polling {
                true => (true, POLLED_TURNS),
                false => (worked, HOT_TURNS),
            };
            if again && self.unasked < most {
                return Rest::Again;
            }
            self.unasked = 0;
            return Rest::Look;
        }
        self.unasked = 0;
        self.set_timer(turn.next);
        Rest::Sleep
    }

    /// A round of a leader that waits for nothing but the devices.
    pub(crate) fn round_and_rest(&mut self) -> Rest {
        match self.round() {
            Rest::Sleep => self.rest_to_sleep(),
            busy => busy,
        }
    }

    /// As [`Shard::rest`], for a leader that sleeps next.
    pub(crate) fn rest_to_sleep(&mut self) -> Rest {
        match self.rest() {
            Rest::Sleep if !self.programs_ring() => Rest::Again,
            rest => rest,
        }
    }

    /// What was put off until the stack rests is done.
    pub(crate) fn rest(&mut self) -> Rest {
        if self.core.has_put_off() && self.settle(false).more { Rest::Again } else { Rest::Sleep }
    }

    /// What was done from outside goes on its way, down to the devices and up to the heads. What is
    /// put off until the stack rests waits if `on`: who leads, or will soon, does it.
    pub(crate) fn settle(&mut self, on: bool) -> Settled {
        let turn = self.turn_core(on);
        self.set_timer(turn.next);
        let more = turn.more || self.devices.iter().any(|slot| slot.is_asked() && slot.hot);
        Settled { more, owed: self.core.has_put_off() }
    }

    /// As [`Shard::settle`], for a guest: who does what is put off is known while it is inside.
    pub(crate) fn settle_guest(&mut self) -> Settled {
        let away = self.inlet.token.is_away();
        self.settle(away)
    }

    /// A guest goes that had no need to wait; true when it had better lead.
    pub(crate) fn guest_goes(&mut self) -> bool {
        !self.inlet.token.is_away() && self.crowd.guest_goes(self.core.now())
    }

    /// Does the wait set tell of all that is to be done, so that a round would do nothing? Posts
    /// are left aside.
    pub(crate) fn rests(&self) -> bool {
        let told = |slot: &DeviceSlot| slot.gone || !(slot.is_asked() || slot.hot);
        let nothing_left = !self.unsettled && !self.core.has_put_off();
        let devices = !self.inlet.poller.polling && self.devices.iter().all(told);
        nothing_left && devices && self.programs_ring()
    }

    /// Turns until heads tell of nothing more.
    fn turn_core(&mut self, on: bool) -> Turn {
        let turns = if on { Perimeter::turn_on } else { Perimeter::turn };
        let mut now = self.now();
        let mut turn = turns(&mut self.core, now, DISPATCHES_PER_TURN);
        let mut left = SETTLING_TURNS;
        while self.take_events() | self.settle_programs() {
            if left == 0 {
                turn.more = true;
                break;
            }
            left -= 1;
            now = self.core.now();
            turn = turns(&mut self.core, now, DISPATCHES_PER_TURN);
        }
        turn.next = turn.next.into_iter().chain(self.programs_next()).min();
        self.unsettled = turn.more;
        turn
    }

    /// Ends that other threads hold, for `End::attach`.
    pub(crate) fn attach_end(&mut self, shared: Arc<EndShared>) {
        let stream = shared.stream;
        let mut slot = EndSlot::new(shared);
        slot.deliver(&mut self.core);
        self.ends.insert(stream, slot);
    }

    /// The end is gone: its stream is closed after what it sent has been accepted.
    pub(crate) fn detach_end(&mut self, stream: StreamId) {
        while self.take_posts() {}
        self.close_end(stream);
    }

    fn close_end(&mut self, stream: StreamId) {
        self.leave_set(stream);
        if let Some(slot) = self.ends.remove(&stream) {
            slot.leave(&mut self.core);
        }
        self.askers.closed(stream);
        match self.core.close(stream) {
            // A pending close goes on by itself: nobody waits for it.
            Ok(_) | Err(PlumbError::NoStream | PlumbError::Closed) => {}
            Err(other) => debug_assert!(false, "closing an open stream: {other}"),
        }
    }

    /// Who waits for any of many heads.
    pub(crate) fn sets(&mut self) -> &mut Sets {
        &mut self.sets
    }

    pub(crate) fn sets_and_core(&mut self) -> (&mut Sets, &mut Perimeter) {
        (&mut self.sets, &mut self.core)
    }

    /// Who comes beside the leader.
    pub(crate) fn crowd(&mut self) -> &mut Crowd {
        &mut self.crowd
    }

    /// Who waits in this set waits for the head of a stream, too.
    pub(crate) fn join_set(&mut self, set: SetId, stream: StreamId, name: u64, asked: PollEvents) {
        let Some(slot) = self.ends.get_mut(&stream) else { return };
        if let Some(before) = slot.set.replace(set).filter(|before| *before != set) {
            self.sets.leave(before, stream);
        }
        self.sets.join(set, stream, name, asked);
    }

    pub(crate) fn leave_set(&mut self, stream: StreamId) {
        if let Some(set) = self.ends.get_mut(&stream).and_then(|slot| slot.set.take()) {
            self.sets.leave(set, stream);
        }
    }

    /// Who waits for ioctls.
    pub(crate) fn askers(&mut self) -> &mut Askers {
        &mut self.askers
    }

    /// What an end has sent goes on its way, as far as flow control lets it.
    pub(crate) fn flush_end(&mut self, stream: StreamId) {
        while self.take_posts() {}
        if let Some(slot) = self.ends.get_mut(&stream) {
            slot.flush(&mut self.core);
        }
        self.core.turn(self.now(), DISPATCHES_PER_TURN);
    }

    /// What was handed through a pipe to this end, if it is next.
    pub(crate) fn take_passed(&mut self, stream: StreamId) -> Result<Passed, Errno> {
        let passed = self.core.recv_fd(stream);
        if let Some(slot) = self.ends.get_mut(&stream) {
            slot.deliver(&mut self.core);
        }
        passed
    }

    /// Links have changed: ends learn whether their streams are linked.
    pub(crate) fn mark_linked(&mut self) {
        for slot in self.ends.values_mut() {
            let linked = self.core.is_linked(slot.shared.stream);
            if slot.shared.linked.swap(linked, Ordering::AcqRel) && !linked {
                slot.flush(&mut self.core);
                slot.deliver(&mut self.core);
            }
        }
    }

    /// Reads from what is ready.
    pub(crate) fn take_ready(&mut self, ready: &Ready) {
        for ready in ready.iter() {
            match ready.token {
                BELL => self.inlet.poller.bell.hush(),
                TIMER => {
                    self.alarm_at = Earliest::default();
                    self.inlet.poller.clear_timer();
                }
                token if token >= TOKENS => self.program_ready(token),
                at => self.device_ready(at as usize, ready.readable, ready.writable),
            }
        }
    }

    fn take_posts(&mut self) -> bool {
        for taken in 0..POSTS_PER_TURN {
            let Some(post) = self.inlet.ring.pop() else { return taken > 0 };
            match post {
                Post::Put(shared, msg) => match self.ends.get_mut(&shared.stream) {
                    Some(slot) => slot.accept(&mut self.core, msg),
                    None => self.core.pool().free(msg),
                },
                Post::Resume(shared) => {
                    if let Some(slot) = self.ends.get_mut(&shared.stream) {
                        slot.deliver(&mut self.core);
                    }
                }
                Post::Close(stream) => self.close_end(stream),
                Post::Answered(of) => {
                    of.look();
                    program::answered(&mut self.core, of.stream);
                }
            }
        }
        true
    }

    /// What the core has told of; whether there was anything.
    fn take_events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.core.event() {
            any = true;
            match event {
                Event::Head(stream, what) => self.head_event(stream, what),
                Event::WantWrite(driver) => self.set_interest(driver, |slot| slot.write = true),
                Event::ReadBlocked(driver) => self.set_interest(driver, |slot| slot.read = false),
                Event::ReadResumed(driver) => self.set_interest(driver, |slot| {
                    slot.read = true;
                    slot.hot = true;
                }),
                Event::DeviceGone(driver, errno) => self.device_gone(driver, errno),
                Event::Changed(ticket, result) => self.waiters.tell(ticket, &result),
                _ => {}
            }
        }
        any
    }

    fn head_event(&mut self, stream: StreamId, what: HeadEvent) {
        if let HeadEvent::Ioctl(id) = what
            && self.askers.tell(&mut self.core, stream, id)
        {
            return;
        }
        let Some(slot) = self.ends.get_mut(&stream) else {
            if !self.is_of_program(stream, what) {
                self.acceptors.look(&mut self.core, stream);
            }
            return;
        };
        match what {
            HeadEvent::Writable => slot.flush(&mut self.core),
            HeadEvent::Signal(signals) => slot.signal(signals),
            HeadEvent::Ioctl(_) => slot.shared.tell(),
            _ => slot.deliver(&mut self.core),
        }
        let mut parks = slot.shared.told.is_parked();
        if let Some(set) = slot.set {
            parks |= self.sets.tell(set, stream);
        }
        if parks {
            self.crowd.has_woken();
        }
    }

    /// Tells ends and callers that nothing will come any more, and why.
    pub(crate) fn shut(&mut self, errno: Errno) {
        self.inlet.close();
        self.waiters.clear();
        self.askers = Askers::default();
        self.sets.shut();
        for (_, slot) in self.ends.drain() {
            slot.shared.fail(errno);
        }
    }
}

/// Also when it never ran.
impl Drop for Shard {
    fn drop(&mut self) {
        drop(self.inlet.seat.clear());
        self.shut(Errno::ENXIO);
    }
}

/// The end of a shard's run, also after an error or a panic.
struct Over<'a>(&'a Inlet);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        drop(self.0.seat.clear());
    }
}
