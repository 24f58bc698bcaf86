//! shard: a perimeter with a thread's event loop.

use crate::acceptor::{Acceptors, MakeModules};
use crate::change::Waiters;
use crate::checksum;
use crate::end::{EndShared, EndSlot};
use crate::inlet::{Handle, Inlet, Post};
use crate::ioctl::Askers;
use crate::plan::program;
use crate::poller::{BELL, Ready, TIMER};
use millstream_core::{
    Config, Device, Errno, Event, HeadEvent, NodeId, Passed, Perimeter, PlumbError, StreamId, Turn,
};
use millstream_msg::{Pool, PoolConfig};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    start: Instant,
    notices: Vec<Notice>,
    /// Rounds since the poller was asked.
    unasked: u32,
    /// What the timer in the wait set is set to, in nanoseconds of this shard.
    alarm_at: Earliest,
}

/// What a leader does after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There is work at hand.
    Again,
    /// Other devices may have frames.
    Look,
    /// Nothing is to be done until the wait set says so.
    Sleep,
}

/// The time that a timer is set to. It is not moved later: a timer that is ready too early is set
/// again then.
#[derive(Debug, Default)]
pub(crate) struct Earliest(Option<u64>);

impl Earliest {
    /// True when the timer has to be set to `at`.
    pub(crate) fn moves_to(&mut self, at: u64) -> bool {
        let moves = self.0.is_none_or(|set| at < set);
        if moves {
            self.0 = Some(at);
        }
        moves
    }
}

/// How a shard is made.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Memory of messages.
    pub pool: PoolConfig,
    /// Seed of the random numbers of modules.
    pub seed: u64,
    /// Ask devices again and again instead of sleeping.
    pub polling: bool,
}

/// How a device says that it is ready.
#[derive(Debug)]
pub enum DeviceFd {
    /// By a descriptor.
    Fd(OwnedFd),
    /// By a descriptor, and by a second one that says that it may have failed.
    Watched {
        /// Polls readable and writable.
        io: OwnedFd,
        /// Polls readable when the device is to be read, whether or not frames wait.
        watch: OwnedFd,
    },
    /// Somebody calls [`Handle::wake`]; it is asked at every turn.
    Asked,
}

impl DeviceFd {
    /// The descriptor for frames.
    fn io(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Fd(io) | Self::Watched { io, .. } => Some(io.as_fd()),
            Self::Asked => None,
        }
    }

    fn watch(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Watched { watch, .. } => Some(watch.as_fd()),
            Self::Fd(_) | Self::Asked => None,
        }
    }
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

#[derive(Debug)]
struct DeviceSlot {
    name: String,
    driver: NodeId,
    fd: DeviceFd,
    read: bool,
    write: bool,
    gone: bool,
    /// Read again without asking the poller: the last read took its whole budget.
    hot: bool,
}

/// Frames read from a device before the next one has its turn. Few enough that the first answers
/// leave while the sender still works (64 made a sender with 64 under way wait for all), and that
/// headers are in the first-level cache when the next module looks at them.
const FRAMES_PER_POLL: usize = 16;

/// Dispatches in one turn, before devices and calls are looked at.
const DISPATCHES_PER_TURN: usize = 4096;

/// Posts of ends taken before a turn.
const POSTS_PER_TURN: usize = 256;

/// Rounds with work at hand without asking the poller; then the other devices are looked at.
const HOT_TURNS: u32 = 8;

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
        let mut core = Perimeter::new(Config { pool, seed: config.seed, clock: Some(clock_ns) });
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
            start: Instant::now(),
            notices: Vec::new(),
            unasked: 0,
            alarm_at: Earliest::default(),
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

    /// Opens a stream on a device.
    ///
    /// # Errors
    /// The kernel's, when the descriptor cannot be waited for.
    pub fn open_device(
        &mut self,
        name: &str,
        device: Box<dyn Device>,
        fd: DeviceFd,
    ) -> io::Result<StreamId> {
        let token = self.devices.len() as u64;
        for fd in fd.io().into_iter().chain(fd.watch()) {
            self.inlet.poller.add(fd, token)?;
        }
        let (stream, driver) = self.core.open_device(name, device);
        let name = name.to_owned();
        let fresh =
            DeviceSlot { name, driver, fd, read: true, write: false, gone: false, hot: true };
        self.devices.push(fresh);
        Ok(stream)
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

    /// Names of the devices that are in order.
    pub fn live_devices(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter(|slot| !slot.gone).map(|slot| slot.name.as_str())
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
        let wait = match self.round() {
            Rest::Again => return Ok(()),
            Rest::Sleep if sleep && inlet.token.shard_sleeps() => None,
            Rest::Sleep | Rest::Look => Some(Duration::ZERO),
        };
        let ready = inlet.poller.wait(wait)?;
        self.take_ready(&ready);
        Ok(())
    }

    /// What a leader does between two looks at the wait set.
    pub(crate) fn round(&mut self) -> Rest {
        let worked = self.take_posts() | self.poll_hot();
        let turn = self.turn_core();
        let busy = worked || turn.more || self.core_has_work();
        if busy || self.inlet.polling || turn.next.is_some_and(|at| at <= self.core.now()) {
            self.unasked += 1;
            if worked && self.unasked < HOT_TURNS {
                return Rest::Again;
            }
            self.unasked = 0;
            return Rest::Look;
        }
        self.unasked = 0;
        self.set_timer(turn.next);
        Rest::Sleep
    }

    /// What was done from outside goes on its way, down to the devices and up to the heads. True
    /// when something is left for the leader.
    pub(crate) fn settle(&mut self) -> bool {
        let turn = self.turn_core();
        self.set_timer(turn.next);
        let asked = |slot: &DeviceSlot| matches!(slot.fd, DeviceFd::Asked) && slot.hot;
        turn.more || self.devices.iter().any(asked)
    }

    /// Turns until heads tell of nothing more.
    fn turn_core(&mut self) -> Turn {
        let mut turn = self.core.turn(self.now(), DISPATCHES_PER_TURN);
        for _ in 0..SETTLING_TURNS {
            if !self.take_events() {
                return turn;
            }
            turn = self.core.turn(self.core.now(), DISPATCHES_PER_TURN);
        }
        Turn { more: true, ..turn }
    }

    /// The wait set is ready by `next`.
    fn set_timer(&mut self, next: Option<u64>) {
        if let Some(at) = next
            && self.alarm_at.moves_to(at)
        {
            self.inlet.poller.set_timer(at.saturating_sub(self.now()).max(1));
        }
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

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn core_has_work(&self) -> bool {
        self.devices.iter().any(|slot| slot.hot && slot.read && !slot.gone)
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
                at => self.device_ready(at as usize, ready.readable, ready.writable),
            }
        }
    }

    fn device_ready(&mut self, at: usize, readable: bool, writable: bool) {
        if writable && self.devices[at].write {
            self.devices[at].write = false;
            self.update_interest(at);
            self.core.writable(self.devices[at].driver);
        }
        if readable {
            self.poll_device(at);
        }
    }

    fn poll_device(&mut self, at: usize) {
        let slot = &mut self.devices[at];
        if !slot.read || slot.gone {
            return;
        }
        let count = self.core.poll(slot.driver, FRAMES_PER_POLL);
        slot.hot = count == FRAMES_PER_POLL;
    }

    /// Reads again from devices that had more than was taken, and from those without descriptor.
    fn poll_hot(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.devices.len() {
            let slot = &self.devices[at];
            let asked = matches!(slot.fd, DeviceFd::Asked);
            if asked && slot.write && !slot.gone {
                let driver = slot.driver;
                self.devices[at].write = false;
                self.core.writable(driver);
            }
            let slot = &self.devices[at];
            if slot.read && !slot.gone && (slot.hot || asked) {
                let count = self.core.poll(slot.driver, FRAMES_PER_POLL);
                self.devices[at].hot = count == FRAMES_PER_POLL;
                any |= count > 0;
            }
        }
        any
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
        if let HeadEvent::Ioctl(id) = what {
            return self.askers.tell(&mut self.core, stream, id);
        }
        let Some(slot) = self.ends.get_mut(&stream) else {
            return self.acceptors.look(&mut self.core, stream);
        };
        match what {
            HeadEvent::Writable => slot.flush(&mut self.core),
            HeadEvent::Signal(signals) => slot.signal(signals),
            _ => slot.deliver(&mut self.core),
        }
    }

    fn set_interest(&mut self, driver: NodeId, change: impl FnOnce(&mut DeviceSlot)) {
        if let Some(at) = self.devices.iter().position(|slot| slot.driver == driver) {
            change(&mut self.devices[at]);
            self.update_interest(at);
        }
    }

    fn update_interest(&mut self, at: usize) {
        let slot = &self.devices[at];
        if slot.gone {
            return;
        }
        let token = at as u64;
        let io = slot.fd.io().map(|fd| self.inlet.poller.set(fd, token, slot.read, slot.write));
        let watch = slot.fd.watch().map(|fd| self.inlet.poller.set(fd, token, slot.read, false));
        if let Some(Err(e)) = io.into_iter().chain(watch).find(io::Result::is_err) {
            let errno = Errno(e.raw_os_error().unwrap_or(Errno::EIO.0));
            self.device_gone(self.devices[at].driver, errno);
        }
    }

    fn device_gone(&mut self, driver: NodeId, errno: Errno) {
        let Some(slot) = self.devices.iter_mut().find(|slot| slot.driver == driver) else { return };
        slot.gone = true;
        for fd in slot.fd.io().into_iter().chain(slot.fd.watch()) {
            // A descriptor that the kernel no longer knows is not in the set any more.
            let _unknown = self.inlet.poller.remove(fd);
        }
        self.notices.push(Notice::DeviceGone { name: slot.name.clone(), errno });
        // Its thread passes the notice on, and may be asleep while another one leads.
        self.inlet.alarm.ring();
    }

    /// Tells ends and callers that nothing will come any more, and why.
    pub(crate) fn shut(&mut self, errno: Errno) {
        self.inlet.close();
        self.waiters.clear();
        self.askers = Askers::default();
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

/// Nanoseconds of the monotonic clock.
fn clock_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
