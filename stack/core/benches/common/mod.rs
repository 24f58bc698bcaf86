//! Chains of null modules to measure: the framework's, and a nested one for comparison.
//!
//! A cycle is `TRIPS` messages once through the modules. In batches of 32 they come from a device
//! and end in a sink with a service procedure (which flow control charges). Single, one message
//! runs up and down between two modules that send it back, so that it is alone in every hop and
//! the turn around it counts little. Nothing is allocated in a cycle.
#![allow(dead_code)]

use millstream_core::{
    Caps, Config, Cx, Device, Errno, ModInfo, Module, NodeId, Perimeter, Side, StreamId,
};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};
use std::cell::Cell;

thread_local! {
    /// Messages between sink and source.
    static BELT: Cell<MsgList> = const { Cell::new(MsgList::new()) };
}

fn pool() -> Pool {
    Pool::new(PoolConfig { large: 4 * TRIPS, ..PoolConfig::TINY })
}

/// Bytes of a message, where nothing else is said.
const BYTES: usize = 64;

fn fill_belt(pool: &mut Pool, count: usize, bytes: usize) {
    let mut belt = MsgList::new();
    for _ in 0..count {
        belt.push(pool.copy_from(64, &vec![7; bytes]).expect("memory"));
    }
    BELT.set(belt);
}

/// What every module of a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Overrides nothing.
    Nothing,
    /// Looks at each message in `rput`; batches go through the default loop.
    PerMessage,
    /// Queues each message and serves its queue.
    Service,
}

struct Source;

impl Device for Source {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [0; 6], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, _: usize) -> Result<usize, Errno> {
        let mut belt = BELT.take();
        let count = belt.len();
        out.append(&mut belt);
        Ok(count)
    }

    fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
        Ok(())
    }
}

struct Sink;

impl Module for Sink {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("sink", "ends a cycle") };
        &INFO
    }

    fn rput(&mut self, _: &mut Cx<'_>, msg: Msg) {
        let mut belt = BELT.take();
        belt.push(msg);
        BELT.set(belt);
    }

    fn rput_batch(&mut self, _: &mut Cx<'_>, mut batch: MsgList) {
        let mut belt = BELT.take();
        belt.append(&mut batch);
        BELT.set(belt);
    }
}

/// Sends back what goes in this direction.
struct Bounce(Side);

impl Module for Bounce {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("bounce", "sends back");
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if self.0 == Side::Read { cx.qreply(msg) } else { cx.putnext(msg) }
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if self.0 == Side::Write { cx.qreply(msg) } else { cx.putnext(msg) }
    }
}

struct Nothing;

impl Module for Nothing {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("null", "passes all");
        &INFO
    }
}

struct PerMessage {
    bytes: u64,
}

impl Module for PerMessage {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("per_message", "looks at each message");
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.bytes += msg.len() as u64;
        cx.putnext(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.bytes += msg.len() as u64;
        cx.putnext(msg);
    }
}

struct Service;

impl Module for Service {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo =
            ModInfo { rsrv: true, wsrv: true, ..ModInfo::new("service", "queues all") };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }
}

/// Messages that go once through the modules in a cycle.
pub(crate) const TRIPS: usize = 32;

/// A perimeter with a device, modules and a sink, or two modules that send back.
pub(crate) struct Chain {
    perimeter: Perimeter,
    driver: NodeId,
    /// Dispatches of [`TRIPS`] trips of a single message; `None`: batches.
    single: Option<usize>,
}

impl Chain {
    pub(crate) fn new(
        modules: usize,
        style: Style,
        batch: usize,
        clock: Option<fn() -> u64>,
    ) -> Self {
        Self::of_bytes(BYTES, modules, style, batch, clock)
    }

    /// With messages of so many bytes.
    pub(crate) fn of_bytes(
        bytes: usize,
        modules: usize,
        style: Style,
        batch: usize,
        clock: Option<fn() -> u64>,
    ) -> Self {
        let mut p = Perimeter::new(Config { pool: pool(), seed: 1, clock });
        let (stream, driver): (StreamId, _) = p.open_device("source", Box::new(Source));
        if batch == 1 {
            p.push(stream, Box::new(Bounce(Side::Write))).expect("a module");
        }
        for _ in 0..modules {
            let module: Box<dyn Module> = match style {
                Style::Nothing => Box::new(Nothing),
                Style::PerMessage => Box::new(PerMessage { bytes: 0 }),
                Style::Service => Box::new(Service),
            };
            p.push(stream, module).expect("a module");
        }
        if batch > 1 {
            assert_eq!(batch, TRIPS);
            p.push(stream, Box::new(Sink)).expect("the sink");
            p.turn(0, 1000);
            fill_belt(p.pool(), batch, bytes);
            return Self { perimeter: p, driver, single: None };
        }
        p.push(stream, Box::new(Bounce(Side::Read))).expect("a module");
        p.turn(0, 1000);
        let msg = p.pool().copy_from(64, &vec![7; bytes]).expect("memory");
        p.putmsg(stream, msg).expect("room");
        let per_module = if style == Style::Service { 2 } else { 1 };
        Self { perimeter: p, driver, single: Some(TRIPS * (modules * per_module + 1)) }
    }

    /// [`TRIPS`] messages once through the chain.
    #[inline(never)]
    pub(crate) fn cycle(&mut self) {
        if let Some(dispatches) = self.single {
            self.perimeter.turn(0, dispatches);
        } else {
            self.perimeter.poll(self.driver, TRIPS);
            self.perimeter.turn(0, 10_000);
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for msg in BELT.take() {
            self.perimeter.pool().free(msg);
        }
    }
}

/// The nested form: each module's put calls the next one's. Replies come back through the modules
/// below as the calls return. Same counters, same charges, no run list.
pub(crate) struct Nested {
    nodes: Vec<NestedNode>,
    net: NestedNet,
    pool: Pool,
}

struct NestedNode {
    module: Box<dyn NestedModule>,
    calls: [u64; 2],
    msgs_in: [u64; 2],
    bytes_in: [u64; 2],
    msgs_out: [u64; 2],
    target: usize,
}

struct NestedNet {
    /// Bytes and messages charged, by target.
    charged: Vec<(u32, u32)>,
    belt: MsgList,
}

struct NestedCx<'a> {
    rest: &'a mut [NestedNode],
    net: &'a mut NestedNet,
    msgs_out: [u64; 2],
    /// For the module below.
    replies: MsgList,
}

trait NestedModule {
    /// A message on its way up.
    fn rput(&mut self, cx: &mut NestedCx<'_>, msg: Msg) {
        cx.putnext(msg);
    }

    /// A reply on its way down.
    fn wput(&mut self, cx: &mut NestedCx<'_>, msg: Msg) {
        cx.qreply(msg);
    }
}

impl NestedCx<'_> {
    #[inline]
    fn putnext(&mut self, msg: Msg) {
        self.msgs_out[0] += 1;
        put_nested(self.rest, self.net, msg, &mut self.replies);
    }

    #[inline]
    fn qreply(&mut self, msg: Msg) {
        self.msgs_out[1] += 1;
        self.replies.push(msg);
    }
}

fn put_nested(nodes: &mut [NestedNode], net: &mut NestedNet, msg: Msg, replies: &mut MsgList) {
    let Some((node, rest)) = nodes.split_first_mut() else { return replies.push(msg) };
    let len = msg.len() as u32;
    let charged = &mut net.charged[node.target];
    charged.0 += len;
    charged.1 += 1;
    node.calls[0] += 1;
    node.msgs_in[0] += 1;
    node.bytes_in[0] += u64::from(len);
    let target = node.target;
    let mut cx = NestedCx { rest, net, msgs_out: [0; 2], replies: MsgList::new() };
    node.module.rput(&mut cx, msg);
    // What came back from above goes down through this module.
    let mut below = MsgList::new();
    while let Some(reply) = cx.replies.pop() {
        node.calls[1] += 1;
        node.msgs_in[1] += 1;
        node.bytes_in[1] += reply.len() as u64;
        let mut down =
            NestedCx { rest: &mut [], net: cx.net, msgs_out: [0; 2], replies: MsgList::new() };
        node.module.wput(&mut down, reply);
        below.append(&mut down.replies);
    }
    node.msgs_out[0] += cx.msgs_out[0];
    node.msgs_out[1] += cx.msgs_out[1];
    let charged = &mut cx.net.charged[target];
    charged.0 -= len;
    charged.1 -= 1;
    replies.append(&mut below);
}

struct NestedNull;

impl NestedModule for NestedNull {}

struct NestedSink;

impl NestedModule for NestedSink {
    fn rput(&mut self, cx: &mut NestedCx<'_>, msg: Msg) {
        cx.net.belt.push(msg);
    }
}

impl Nested {
    pub(crate) fn new(modules: usize) -> Self {
        let mut pool = pool();
        let node = |module: Box<dyn NestedModule>| NestedNode {
            module,
            calls: [0; 2],
            msgs_in: [0; 2],
            bytes_in: [0; 2],
            msgs_out: [0; 2],
            target: modules,
        };
        let mut nodes: Vec<_> = (0..modules).map(|_| node(Box::new(NestedNull))).collect();
        nodes.push(node(Box::new(NestedSink)));
        fill_belt(&mut pool, TRIPS, BYTES);
        let net = NestedNet { charged: vec![(0, 0); modules + 1], belt: BELT.take() };
        Self { nodes, net, pool }
    }

    /// All messages of the belt once through the chain, one after the other.
    #[inline(never)]
    pub(crate) fn cycle(&mut self) {
        let mut belt = std::mem::take(&mut self.net.belt);
        let mut replies = MsgList::new();
        while let Some(msg) = belt.pop() {
            put_nested(&mut self.nodes, &mut self.net, msg, &mut replies);
        }
        for reply in replies {
            self.pool.free(reply);
        }
    }
}
