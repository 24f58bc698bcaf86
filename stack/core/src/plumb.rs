//! Plumbing: opening and closing streams, putting modules in and taking them out, linking
//! streams under multiplexors. Between dispatches only; nothing in flight is lost.

use crate::device::{Device, LinkInfo};
use crate::errno::Errno;
use crate::head::Head;
use crate::module::{Fields, Invalid, Marks, Module};
use crate::mux::{Lower, Mux, Upper};
use crate::net::{NONE, Pair, Role, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::{NO_ENABLE, Queue, SERVICE, Side};
use crate::slab::Key;
use crate::stat::NodeStat;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// A stream: a chain of pairs from the top to the bottom.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// The head's pair, or the multiplexor's lower one when linked.
    pub(crate) top: u32,
    /// The driver's pair, or the multiplexor's upper one.
    pub(crate) bottom: u32,
    /// Head node put aside while the stream is linked.
    head: Option<NodeId>,
    /// Bytes that messages from the top need in front.
    headroom: u16,
}

/// Why an operation on the plumbing was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlumbError {
    /// No such stream.
    NoStream,
    /// The stream has fewer modules.
    NoPosition {
        /// Asked for.
        pos: usize,
        /// Modules in the stream.
        modules: usize,
    },
    /// The stream has as many modules as it may have.
    TooMany,
    /// The node is no multiplexor.
    NotAMux,
    /// The stream is linked below a multiplexor.
    Linked,
    /// The stream is not linked there.
    NotLinked,
    /// Linking would make a cycle.
    Cycle,
    /// The module or multiplexor refused.
    Refused(Errno),
    /// The module refused a parameter.
    Invalid(Invalid),
}

impl core::fmt::Display for PlumbError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoStream => f.write_str("no such stream"),
            Self::NoPosition { pos, modules } => {
                write!(f, "no module at position {pos}: the stream has {modules}")
            }
            Self::TooMany => write!(f, "a stream has at most {MODULES_MAX} modules"),
            Self::NotAMux => f.write_str("not a multiplexor"),
            Self::Linked => f.write_str("the stream is linked below a multiplexor"),
            Self::NotLinked => f.write_str("the stream is not linked there"),
            Self::Cycle => f.write_str("linking would make a cycle"),
            Self::Refused(errno) => write!(f, "refused: {errno}"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for PlumbError {}

/// One node of a stream, for people. See [`Perimeter::chain`].
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Name of the module, multiplexor, driver or `head`.
    pub name: String,
    /// `head`, `module`, `mux` or `driver`.
    pub kind: &'static str,
    /// Position from the bottom, for modules.
    pub pos: Option<usize>,
    /// Parameters and counters of the module.
    pub fields: Fields,
    /// Counters of the framework.
    pub stat: NodeStat,
    /// Messages held or in inboxes: read side, write side.
    pub depth: [usize; 2],
}

/// The last queue of a direction, at a head or driver: flow control looks at it, and its reader
/// or device serves it, so nothing is to be scheduled.
const ENDS: u16 = SERVICE | NO_ENABLE;

/// More modules than anybody stacks by hand; a loop in a script stops here.
const MODULES_MAX: usize = 32;

impl Perimeter {
    /// Opens a stream on a device: a head directly above its driver.
    pub fn open_device(&mut self, name: &str, device: Box<dyn Device>) -> (StreamId, NodeId) {
        let driver = self.add_driver(name, device);
        let bottom = self.new_pair(driver.0.index, Role::Sole, [Marks::RESTING; 2], [0, ENDS]);
        if let Some(Node::Driver(d, pair)) = self.nodes.get_mut(driver.0) {
            *pair = bottom;
            d.generation = driver.0.generation;
        }
        (self.new_stream(name, bottom), driver)
    }

    /// Adds a multiplexor, without streams.
    pub fn add_mux(&mut self, mux: Box<dyn Mux>) -> NodeId {
        self.add_node(Node::Mux(mux))
    }

    /// Takes a multiplexor away that has no stream any more, above or below; false when it has.
    pub fn remove_mux(&mut self, mux: NodeId) -> bool {
        let used = self.net.pairs.iter().any(|(_, pair)| pair.node == mux.0.index);
        if used || !matches!(self.nodes.get(mux.0), Some(Node::Mux(_))) {
            return false;
        }
        self.net.timers.cancel_all(mux.0.index);
        self.nodes.remove(mux.0).is_some()
    }

    /// Opens a stream on a multiplexor: a head directly above it.
    ///
    /// # Errors
    /// [`PlumbError::NotAMux`], or the multiplexor's refusal.
    pub fn open_mux(&mut self, mux: NodeId, name: &str) -> Result<StreamId, PlumbError> {
        self.spill_slot();
        let Some(Node::Mux(m)) = self.nodes.get(mux.0) else { return Err(PlumbError::NotAMux) };
        let info = m.info();
        let service = if info.uwsrv { SERVICE } else { 0 };
        let bottom = self.new_pair(mux.0.index, Role::Upper, [info.marks; 2], [0, service]);
        let stream = self.new_stream(name, bottom);
        let key = self.net.pairs.key_at(bottom).expect("made above");
        let upper = Upper { pair: key, cookie: 0 };
        let mut cx = Self::cx_for(&mut self.net, mux.0.index, bottom);
        if let Some(Node::Mux(m)) = self.nodes.get_mut(mux.0)
            && let Err(errno) = m.uopen(&mut cx, upper)
        {
            self.dismantle(stream);
            return Err(PlumbError::Refused(errno));
        }
        Ok(stream)
    }

    /// Puts a module in just below the top (`I_PUSH`).
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn push(&mut self, stream: StreamId, module: Box<dyn Module>) -> Result<(), PlumbError> {
        let count = self.modules(stream)?.len();
        self.insert(stream, count, module)
    }

    /// Takes the topmost module out (`I_POP`); what it held goes on its way.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn pop(&mut self, stream: StreamId) -> Result<Box<dyn Module>, PlumbError> {
        let count = self.modules(stream)?.len();
        self.remove(stream, count.saturating_sub(1))
    }

    /// Puts a module in at a position counted from the bottom: 0 is just above the driver or
    /// multiplexor. Works on linked streams too.
    ///
    /// # Errors
    /// See [`PlumbError`]; the module's `open` may refuse.
    pub fn insert(
        &mut self,
        stream: StreamId,
        pos: usize,
        module: Box<dyn Module>,
    ) -> Result<(), PlumbError> {
        self.spill_slot();
        let modules = self.modules(stream)?;
        if pos > modules.len() {
            return Err(PlumbError::NoPosition { pos, modules: modules.len() });
        }
        if modules.len() >= MODULES_MAX {
            return Err(PlumbError::TooMany);
        }
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let below = if pos == 0 { s.bottom } else { modules[pos - 1] };
        let above = self.net.pairs.at(below).map_or(NONE, |pair| pair.up);
        let info = module.info();
        let service = [info.rsrv, info.wsrv].map(|has| if has { SERVICE } else { 0 });
        let node = self.add_node(Node::Module(module, NONE));
        let pair = self.new_pair(node.0.index, Role::Sole, [info.read, info.write], service);
        if let Some(p) = self.net.pairs.at_mut(pair) {
            (p.stream, p.up, p.down) = (stream.0.index, above, below);
        }
        self.relink(below, above, pair, pair);
        self.settle(stream);
        let mut cx = Self::cx_for(&mut self.net, node.0.index, pair);
        if let Some(Node::Module(module, at)) = self.nodes.get_mut(node.0) {
            *at = pair;
            if let Err(errno) = module.open(&mut cx) {
                self.emit_held(pair);
                self.take_out(stream, pair);
                return Err(PlumbError::Refused(errno));
            }
        }
        // Writers that wait for what is now behind the new module must not be stranded (C30).
        for queue in Self::queues_of(pair) {
            self.net.backenable(queue);
        }
        Ok(())
    }

    /// Takes the module at a position out. Messages in its inboxes are put through it, what it
    /// holds is emitted in order, then its neighbours are joined: nothing is lost.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn remove(&mut self, stream: StreamId, pos: usize) -> Result<Box<dyn Module>, PlumbError> {
        let modules = self.modules(stream)?;
        let Some(&pair) = modules.get(pos) else {
            return Err(PlumbError::NoPosition { pos, modules: modules.len() });
        };
        self.drain_module(pair);
        let node = self.net.pairs.at(pair).map_or(NONE, |p| p.node);
        if let Some(Node::Module(module, _)) = self.nodes.at_mut(node) {
            module.close(&mut Self::cx_for(&mut self.net, node, pair));
        }
        self.emit_held(pair);
        self.take_out(stream, pair).ok_or(PlumbError::NoStream)
    }

    /// Links a stream below a multiplexor (`I_LINK`): its head is replaced by a lower queue pair of
    /// the multiplexor; what waits at the head goes to it, in order. The key is the muxid.
    ///
    /// # Errors
    /// See [`PlumbError`]; nothing has changed then.
    pub fn link(&mut self, mux: NodeId, stream: StreamId) -> Result<Lower, PlumbError> {
        self.spill_slot();
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let (top, headroom) = (s.top, s.headroom);
        if s.head.is_some() {
            return Err(PlumbError::Linked);
        }
        let head = self.net.pairs.at(top).map_or(NONE, |pair| pair.node);
        if matches!(self.nodes.at(head), Some(Node::Head(head)) if head.failed()) {
            return Err(PlumbError::Refused(Errno::EINVAL));
        }
        let Some(Node::Mux(m)) = self.nodes.get(mux.0) else { return Err(PlumbError::NotAMux) };
        let info = m.info();
        if self.leads_to(stream, mux.0.index) {
            return Err(PlumbError::Cycle);
        }
        let marks = self.net.intern(info.marks);
        let caps = self.bottom_caps(stream);
        let key = self.net.pairs.key_at(top).ok_or(PlumbError::NoStream)?;
        let lower = Lower { pair: key, cookie: 0 };
        let pair = self.net.pairs.at_mut(top).ok_or(PlumbError::NoStream)?;
        let head = core::mem::replace(&mut pair.node, mux.0.index);
        pair.role = Role::Lower;
        let before = (pair.queues[0].marks, pair.queues[0].flags);
        pair.queues[0].marks = marks;
        pair.queues[0].clear(SERVICE | NO_ENABLE);
        pair.queues[0].set(if info.lrsrv { SERVICE } else { 0 });
        let mut cx = Self::cx_for(&mut self.net, mux.0.index, top);
        if let Some(Node::Mux(m)) = self.nodes.get_mut(mux.0)
            && let Err(errno) = m.link(&mut cx, lower, LinkInfo { caps, headroom })
        {
            if let Some(pair) = self.net.pairs.at_mut(top) {
                (pair.node, pair.role, pair.cookie) = (head, Role::Sole, 0);
                (pair.queues[0].marks, pair.queues[0].flags) = before;
            }
            return Err(PlumbError::Refused(errno));
        }
        let head = self.nodes.key_at(head).map(NodeId);
        if let Some(s) = self.streams.get_mut(stream.0) {
            s.head = head;
        }
        self.settle(stream);
        // What waited at the head is the multiplexor's now (H5), ahead of what is in the inbox.
        let queue = queue_no(top, Side::Read);
        let waiting = self.net.flushq(queue, crate::Flush::All, None);
        self.put_ahead(queue, waiting);
        Ok(lower)
    }

    /// Undoes a link (`I_UNLINK`): the stream gets its head back.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn unlink(&mut self, stream: StreamId) -> Result<(), PlumbError> {
        self.spill_slot();
        let s = self.streams.get_mut(stream.0).ok_or(PlumbError::NoStream)?;
        let top = s.top;
        let head = s.head.take().ok_or(PlumbError::NotLinked)?;
        // Messages already posted to the multiplexor are delivered to it first.
        let queue = queue_no(top, Side::Read);
        self.net.run.retain(|&q| q != queue);
        self.run_inbox(queue);
        self.spill_slot();
        let Some(pair) = self.net.pairs.at(top) else { return Err(PlumbError::NoStream) };
        let (mux, cookie) = (pair.node, pair.cookie);
        let key = self.net.pairs.key_at(top).ok_or(PlumbError::NoStream)?;
        let mut cx = Self::cx_for(&mut self.net, mux, top);
        if let Some(Node::Mux(m)) = self.nodes.at_mut(mux) {
            m.unlink(&mut cx, Lower { pair: key, cookie });
        }
        let marks = self.net.intern(Marks::RESTING);
        if let Some(pair) = self.net.pairs.at_mut(top) {
            (pair.node, pair.role, pair.cookie) = (head.0.index, Role::Sole, 0);
            pair.queues[0].set(SERVICE | NO_ENABLE);
            pair.queues[0].marks = marks;
        }
        self.settle(stream);
        // What the multiplexor left in the queue is the reader's, and a writer who was refused
        // before the link asks again.
        if let Some(Node::Head(h)) = self.nodes.get_mut(head.0) {
            h.returned(&mut self.net, top);
        }
        self.net.relief(queue);
        Ok(())
    }

    /// Closes a stream: unlinks it if it is linked, takes the modules out from the top (each is
    /// drained downward first), then lets the multiplexor or driver go.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`].
    pub fn close(&mut self, stream: StreamId) -> Result<(), PlumbError> {
        if self.streams.get(stream.0).ok_or(PlumbError::NoStream)?.head.is_some() {
            self.unlink(stream)?;
        }
        while !self.modules(stream)?.is_empty() {
            self.pop(stream)?;
        }
        let bottom = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?.bottom;
        // What is on its way down leaves before the stream does.
        self.spill_slot();
        let down = queue_no(bottom, Side::Write);
        self.net.run.retain(|&q| q != down);
        self.run_inbox(down);
        self.spill_slot();
        let pair = self.net.pairs.at(bottom).ok_or(PlumbError::NoStream)?;
        let (node, cookie) = (pair.node, pair.cookie);
        let key = self.net.pairs.key_at(bottom).ok_or(PlumbError::NoStream)?;
        if let Some(Node::Mux(m)) = self.nodes.at_mut(node) {
            let mut cx = Self::cx_for(&mut self.net, node, bottom);
            m.uclose(&mut cx, Upper { pair: key, cookie });
        }
        self.dismantle(stream);
        Ok(())
    }

    /// Sets a parameter of the module at a position.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn set(
        &mut self,
        stream: StreamId,
        pos: usize,
        key: &str,
        value: &str,
    ) -> Result<(), PlumbError> {
        self.spill_slot();
        let modules = self.modules(stream)?;
        let Some(&pair) = modules.get(pos) else {
            return Err(PlumbError::NoPosition { pos, modules: modules.len() });
        };
        let node = self.net.pairs.at(pair).map_or(NONE, |p| p.node);
        match self.nodes.at_mut(node) {
            Some(Node::Module(module, _)) => module
                .set(&mut Self::cx_for(&mut self.net, node, pair), key, value)
                .map_err(PlumbError::Invalid),
            _ => Err(PlumbError::NoStream),
        }
    }

    /// Sets the water marks of what arrives at the top of a stream (SO_HIWAT, SO_LOWAT).
    ///
    /// # Errors
    /// [`PlumbError::NoStream`], [`PlumbError::Linked`].
    pub fn set_read_marks(&mut self, stream: StreamId, marks: Marks) -> Result<(), PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        if s.head.is_some() {
            return Err(PlumbError::Linked);
        }
        self.net.set_marks(queue_no(s.top, Side::Read), marks);
        Ok(())
    }

    /// Sets the water marks of what waits for a device; false when there is no such driver.
    pub fn set_driver_marks(&mut self, driver: NodeId, marks: Marks) -> bool {
        let Some(&Node::Driver(_, pair)) = self.nodes.get(driver.0) else { return false };
        self.net.set_marks(queue_no(pair, Side::Write), marks);
        true
    }

    /// Sets a parameter of a multiplexor.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn set_mux(&mut self, mux: NodeId, key: &str, value: &str) -> Result<(), PlumbError> {
        self.spill_slot();
        let mut cx = Self::cx_for(&mut self.net, mux.0.index, NONE);
        match self.nodes.get_mut(mux.0) {
            Some(Node::Mux(m)) => m.set(&mut cx, key, value).map_err(PlumbError::Invalid),
            _ => Err(PlumbError::NotAMux),
        }
    }

    /// Streams with their names, in order of opening.
    pub fn streams(&self) -> Vec<(StreamId, String)> {
        self.streams.iter().map(|(key, s)| (StreamId(key), s.name.clone())).collect()
    }

    /// The stream with this name.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        self.streams.iter().find(|(_, s)| s.name == name).map(|(key, _)| StreamId(key))
    }

    /// The nodes of a stream, top down.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`].
    pub fn chain(&self, stream: StreamId) -> Result<Vec<NodeView>, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let mut views = Vec::new();
        let modules = self.modules(stream)?;
        views.extend(self.view(s.top, None));
        for (pos, &pair) in modules.iter().enumerate().rev() {
            views.extend(self.view(pair, Some(pos)));
        }
        views.extend(self.view(s.bottom, None));
        Ok(views)
    }

    /// A multiplexor, for people.
    pub fn mux_view(&self, mux: NodeId) -> Option<NodeView> {
        let Some(Node::Mux(m)) = self.nodes.get(mux.0) else { return None };
        let mut fields = Fields::default();
        m.show(&mut fields);
        Some(NodeView {
            name: m.info().name.into(),
            kind: "mux",
            pos: None,
            fields,
            stat: self.net.stats[mux.0.index as usize].clone(),
            depth: [0; 2],
        })
    }

    /// Bytes that a message from the top of a stream should have in front.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`].
    pub fn headroom(&self, stream: StreamId) -> Result<usize, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        Ok(usize::from(s.headroom))
    }

    /// Headroom and largest piece of a write: those of the topmost module's write queue (E20).
    pub(crate) fn write_shape(&self, stream: StreamId) -> Result<(usize, usize), Errno> {
        let s = self.streams.get(stream.0).ok_or(Errno::EBADF)?;
        let below = self.net.next_of(queue_no(s.top, Side::Write));
        let marks =
            self.net.queue(below).map_or(Marks::DEFAULT, |q| self.net.marks[usize::from(q.marks)]);
        Ok((usize::from(s.headroom), (marks.maxpsz as usize).max(1)))
    }

    fn view(&self, pair: u32, pos: Option<usize>) -> Option<NodeView> {
        let p = self.net.pairs.at(pair)?;
        let mut fields = Fields::default();
        let (name, kind) = match self.nodes.at(p.node)? {
            Node::Head(_) => ("head".into(), "head"),
            Node::Module(m, _) => {
                m.show(&mut fields);
                (m.info().name.into(), "module")
            }
            Node::Mux(m) => {
                m.show(&mut fields);
                (m.info().name.into(), "mux")
            }
            Node::Driver(d, _) => (d.name.clone(), "driver"),
        };
        let depth = [0, 1].map(|side| p.queues[side].held.len() + p.queues[side].inbox.len());
        let stat = self.net.stats[p.node as usize].clone();
        Some(NodeView { name, kind, pos, fields, stat, depth })
    }

    /// The pairs of a stream's modules, from the bottom.
    fn modules(&self, stream: StreamId) -> Result<Vec<u32>, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let mut pairs = Vec::new();
        let mut at = self.net.pairs.at(s.bottom).map_or(NONE, |pair| pair.up);
        while at != NONE && at != s.top {
            pairs.push(at);
            at = self.net.pairs.at(at).map_or(NONE, |pair| pair.up);
        }
        Ok(pairs)
    }

    fn new_pair(&mut self, node: u32, role: Role, marks: [Marks; 2], flags: [u16; 2]) -> u32 {
        let marks = marks.map(|m| self.net.intern(m));
        let key = self.net.pairs.insert(Pair {
            queues: [Queue::new(marks[0], flags[0]), Queue::new(marks[1], flags[1])],
            node,
            stream: NONE,
            up: NONE,
            down: NONE,
            role,
            cookie: 0,
            bands: None,
        });
        key.index
    }

    /// A stream of a head directly above `bottom`.
    fn new_stream(&mut self, name: &str, bottom: u32) -> StreamId {
        let stream = Stream { name: name.into(), top: NONE, bottom, head: None, headroom: 0 };
        let id = StreamId(self.streams.insert(stream));
        let head = self.add_node(Node::Head(Head::new(id)));
        let top = self.new_pair(head.0.index, Role::Sole, [Marks::RESTING; 2], [ENDS, 0]);
        for (pair, up, down) in [(top, NONE, bottom), (bottom, top, NONE)] {
            if let Some(p) = self.net.pairs.at_mut(pair) {
                (p.stream, p.up, p.down) = (id.0.index, up, down);
            }
        }
        if let Some(s) = self.streams.get_mut(id.0) {
            s.top = top;
        }
        self.settle(id);
        id
    }

    /// Makes `below` lead up to `lower_end` and `above` lead down to `upper_end`.
    fn relink(&mut self, below: u32, above: u32, lower_end: u32, upper_end: u32) {
        if let Some(p) = self.net.pairs.at_mut(below) {
            p.up = lower_end;
        }
        if let Some(p) = self.net.pairs.at_mut(above) {
            p.down = upper_end;
        }
    }

    /// After a change: targets of both directions, and the headroom.
    fn settle(&mut self, stream: StreamId) {
        // A message in the slot is charged to a target that may be another one afterwards.
        self.spill_slot();
        let Some(s) = self.streams.get(stream.0) else { return };
        let (top, bottom) = (s.top, s.bottom);
        self.net.retarget(queue_no(top, Side::Read));
        self.net.retarget(queue_no(bottom, Side::Write));
        let mut headroom = 0_u16;
        let mut at = bottom;
        while at != NONE {
            let Some(p) = self.net.pairs.at(at) else { break };
            headroom = headroom.saturating_add(match self.nodes.at(p.node) {
                Some(Node::Module(m, _)) => m.info().headroom,
                Some(Node::Mux(m)) if p.role == Role::Upper => m.info().headroom,
                _ => 0,
            });
            at = p.up;
        }
        if let Some(s) = self.streams.get_mut(stream.0) {
            s.headroom = headroom;
        }
    }

    /// Lets a module that leaves work off its inboxes and emit what it holds.
    fn drain_module(&mut self, pair: u32) {
        self.spill_slot();
        let node = self.net.pairs.at(pair).map_or(NONE, |p| p.node);
        for queue in Self::queues_of(pair) {
            self.net.run.retain(|&q| q != queue);
            self.run_inbox(queue);
            self.spill_slot();
        }
        if let Some(Node::Module(module, _)) = self.nodes.at_mut(node) {
            module.drain(&mut Self::cx_for(&mut self.net, node, pair));
        }
        self.emit_held(pair);
    }

    /// Sends what a module's queues hold on its way.
    fn emit_held(&mut self, pair: u32) {
        self.spill_slot();
        let node = self.net.pairs.at(pair).map_or(NONE, |p| p.node);
        for queue in Self::queues_of(pair) {
            let held = self.net.flushq(queue, crate::Flush::All, None);
            if held.is_empty() {
                continue;
            }
            self.net.stats[node as usize].msgs_out[(queue & 1) as usize] += held.len() as u64;
            let next = self.net.next_of(queue);
            self.net.post_batch(next, held);
        }
    }

    /// Unlinks a drained module's pair and gives its box back.
    fn take_out(&mut self, stream: StreamId, pair: u32) -> Option<Box<dyn Module>> {
        let key = self.net.pairs.key_at(pair)?;
        let (up, down, node) = {
            let p = self.net.pairs.at(pair)?;
            (p.up, p.down, p.node)
        };
        let queues = Self::queues_of(pair);
        // Whoever waits for the leaving queues asks again at what is behind them (C30).
        for queue in queues {
            self.net.backenable(queue);
        }
        self.relink(down, up, up, down);
        self.forget_queues(queues);
        let removed = self.net.pairs.remove(key)?;
        if let Some(bands) = removed.bands {
            self.net.bands.remove(bands);
        }
        self.settle(stream);
        self.net.timers.cancel_all(node);
        match self.nodes.key_at(node).and_then(|key| self.nodes.remove(key)) {
            Some(Node::Module(module, _)) => Some(module),
            _ => None,
        }
    }

    /// Frees everything of a stream of a head and a bottom.
    fn dismantle(&mut self, stream: StreamId) {
        self.spill_slot();
        let Some(s) = self.streams.remove(stream.0) else { return };
        for pair in [s.top, s.bottom] {
            self.forget_queues(Self::queues_of(pair));
            let Some(key) = self.net.pairs.key_at(pair) else { continue };
            let Some(removed) = self.net.pairs.remove(key) else { continue };
            if let Some(bands) = removed.bands {
                self.net.bands.remove(bands);
            }
            let node = removed.node;
            for queue in removed.queues {
                for msg in queue.inbox.chain(queue.held) {
                    self.net.discard(node, msg, crate::Drop::GONE);
                }
            }
            if removed.role == Role::Sole {
                self.net.timers.cancel_all(node);
                if let Some(key) = self.nodes.key_at(node) {
                    self.nodes.remove(key);
                }
            }
        }
    }

    fn forget_queues(&mut self, queues: [u32; 2]) {
        let keep = |q: &u32| !queues.contains(q);
        self.net.run.retain(keep);
        self.net.serve.retain(keep);
        self.net.relieved.retain(keep);
    }

    /// Puts messages into an inbox ahead of what is there.
    fn put_ahead(&mut self, queue: u32, messages: millstream_msg::MsgList) {
        if messages.is_empty() {
            return;
        }
        let later =
            self.net.queue_mut(queue).map(|q| core::mem::take(&mut q.inbox)).unwrap_or_default();
        if !later.is_empty() {
            let target = self.net.queue(queue).map_or(NONE, |q| q.target);
            self.net.discharge_batch(target, &later);
            self.net.run.retain(|&q| q != queue);
        }
        self.net.post_batch(queue, messages);
        self.net.post_batch(queue, later);
    }

    /// True when going down from the stream one comes to the multiplexor.
    fn leads_to(&self, stream: StreamId, mux: u32) -> bool {
        let Some(s) = self.streams.get(stream.0) else { return false };
        let Some(bottom) = self.net.pairs.at(s.bottom) else { return false };
        if bottom.role != Role::Upper {
            return false;
        }
        bottom.node == mux
            || self.streams.iter().any(|(key, below)| {
                let top = self.net.pairs.at(below.top);
                top.is_some_and(|t| t.role == Role::Lower && t.node == bottom.node)
                    && self.leads_to(StreamId(key), mux)
            })
    }

    fn bottom_caps(&self, stream: StreamId) -> Option<crate::Caps> {
        let s = self.streams.get(stream.0)?;
        let node = self.net.pairs.at(s.bottom)?.node;
        *self.net.caps.get(node as usize)?
    }

    /// The multiplexor with this name.
    pub fn find_mux(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find_map(|(key, node)| match node {
            Node::Mux(m) if m.info().name == name => Some(NodeId(key)),
            _ => None,
        })
    }

    /// All multiplexors.
    pub fn muxes(&self) -> Vec<NodeId> {
        let is_mux =
            |(key, node): (Key, &Node)| matches!(node, Node::Mux(_)).then_some(NodeId(key));
        self.nodes.iter().filter_map(is_mux).collect()
    }
}
