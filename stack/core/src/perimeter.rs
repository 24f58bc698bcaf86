//! The perimeter: owner of nodes, queues and run lists. How it runs them is in `run`.

use crate::bufcall::Bufcalls;
use crate::device::Device;
use crate::driver::Driver;
use crate::head::Head;
use crate::inbox::Inboxes;
use crate::ioctl::Links;
use crate::module::Module;
use crate::mux::Mux;
use crate::net::{Event, Net};
use crate::plumb::Changes;
use crate::rng::Rng;
use crate::slab::{Key, Slab};
use crate::stat::{SAMPLE_EVERY, Stats};
use crate::timer::Timers;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use millstream_msg::{MsgList, Pool};

/// Nodes, queues, run lists, timers and the pool of one stack.
///
/// Nothing blocks and nothing is re-entered: the owner calls [`Perimeter::turn`] with the time,
/// polls devices, and does the operations of stream heads in between.
pub struct Perimeter {
    pub(crate) nodes: Slab<Node>,
    pub(crate) streams: Slab<crate::plumb::Stream>,
    pub(crate) net: Net,
    pub(crate) links: Links,
    /// Reads a clock in nanoseconds, for the sampled cost of modules. Absent in the simulator.
    pub(crate) clock: Option<fn() -> u64>,
    /// Dispatches until the next one that is timed; 1 while something is watched.
    pub(crate) until_timed: u64,
    /// The last mark that a trace gave.
    pub(crate) trace_mark: u8,
    pub(crate) changes: Changes,
}

/// Names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) Key);

/// Names a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) Key);

impl NodeId {
    /// As a number, unique among the living.
    pub fn number(self) -> u64 {
        u64::from(self.0.generation) << 32 | u64::from(self.0.index)
    }
}

impl StreamId {
    /// As a number, unique among the living.
    pub fn number(self) -> u64 {
        u64::from(self.0.generation) << 32 | u64::from(self.0.index)
    }
}

/// What a perimeter is made of.
#[derive(Debug)]
pub struct Config {
    /// Where messages come from.
    pub pool: Pool,
    /// Seed of [`crate::Cx::rng`].
    pub seed: u64,
    /// A clock in nanoseconds for the sampled cost of modules.
    pub clock: Option<fn() -> u64>,
}

/// What a turn left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The budget ended before the work did: call again.
    pub more: bool,
    /// Call again by this time, in nanoseconds.
    pub next: Option<u64>,
}

pub(crate) enum Node {
    Head(Box<Head>),
    /// With its pair.
    Module(Box<dyn Module>, u32),
    /// A module whose open or close is pending: a variant of its own, so that a hop does not pay
    /// for it.
    Pending(Box<dyn Module>, u32),
    Mux(Box<dyn Mux>),
    /// With its pair.
    Driver(Box<Driver>, u32),
    /// The bottom of one end of a pipe.
    Pipe,
}

const _: () = assert!(size_of::<Option<Node>>() == 24);

impl Perimeter {
    /// An empty perimeter at time 0.
    pub fn new(config: Config) -> Self {
        Self {
            nodes: Slab::new(),
            streams: Slab::new(),
            net: Net {
                pairs: Slab::new(),
                bands: Slab::new(),
                marks: Vec::new(),
                stats: Stats::default(),
                caps: BTreeMap::new(),
                slot: None,
                direct: true,
                out: MsgList::new(),
                out_banded: false,
                inboxes: Inboxes::new(),
                serve: VecDeque::with_capacity(64),
                timers: Timers::new(0),
                resting: Vec::with_capacity(8),
                restless: false,
                bufcalls: Bufcalls::default(),
                pool: config.pool,
                rng: Rng::new(config.seed),
                now: 0,
                wall_offset: 0,
                events: VecDeque::with_capacity(64),
                relieved: VecDeque::with_capacity(64),
                unknown: VecDeque::new(),
                ioc_ids: 0,
                answers: VecDeque::new(),
                stale: 0,
                watch: None,
                ledger: None,
                discarded: 0,
            },
            links: Links::default(),
            clock: config.clock,
            until_timed: if config.clock.is_some() { SAMPLE_EVERY } else { u64::MAX },
            trace_mark: 0,
            changes: Changes::default(),
        }
    }

    /// Sets what [`Cx::wall`](crate::Cx::wall) adds to the time of a turn, in nanoseconds.
    pub fn set_wall_offset(&mut self, offset_ns: u64) {
        self.net.wall_offset = offset_ns;
    }
    /// Reads up to `budget` frames from a driver's device and posts them; how many.
    pub fn poll(&mut self, driver: NodeId, budget: usize) -> usize {
        match self.nodes.get_mut(driver.0) {
            Some(Node::Driver(d, pair)) => d.poll(&mut self.net, driver, *pair, budget),
            _ => 0,
        }
    }

    /// A device that had backlog is writable again.
    pub fn writable(&mut self, driver: NodeId) {
        if self.net.watch.is_some() {
            return self.watch_backlog(driver);
        }
        if let Some(Node::Driver(d, pair)) = self.nodes.get_mut(driver.0) {
            d.writable(&mut self.net, driver, *pair);
        }
    }

    /// The next thing that the host has to know.
    pub fn event(&mut self) -> Option<Event> {
        self.net.events.pop_front()
    }

    /// The pool of messages.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.net.pool
    }

    /// The reproducible random numbers of this perimeter.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.net.rng
    }

    /// Time of the last turn, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.net.now
    }

    /// Messages that came for something dismantled.
    pub fn stale(&self) -> u64 {
        self.net.stale
    }

    pub(crate) fn add_node(&mut self, node: Node) -> NodeId {
        let caps = match &node {
            Node::Driver(driver, _) => Some(driver.caps),
            _ => None,
        };
        let key = self.nodes.insert(node);
        self.net.stats.enter(key.index);
        match caps {
            Some(caps) => self.net.caps.insert(key.index, caps),
            None => self.net.caps.remove(&key.index),
        };
        NodeId(key)
    }

    /// Adds a device's driver without a stream; see `open_device`.
    pub(crate) fn add_driver(&mut self, name: &str, device: Box<dyn Device>) -> NodeId {
        self.add_node(Node::Driver(Box::new(Driver::new(name.into(), device)), crate::net::NONE))
    }
}

impl core::fmt::Debug for Perimeter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Perimeter")
            .field("nodes", &self.nodes.len())
            .field("streams", &self.streams.len())
            .field("now", &self.net.now)
            .finish()
    }
}
