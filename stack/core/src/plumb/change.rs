//! Putting modules in and taking them out while messages are under way.

use super::error::PlumbError;
use super::fit::Edit;
use super::pending::{Before, Change, Doing, Op, Place, Progress};
use crate::module::{ModInfo, Module, Step};
use crate::net::{NONE, Pair, Role};
use crate::perimeter::{Node, Perimeter, StreamId};
use crate::queue::{NO_ENABLE, SERVICE, Side};
use alloc::boxed::Box;

/// More modules than anybody stacks by hand; a loop in a script stops here.
pub(super) const MODULES_MAX: usize = 32;

impl Perimeter {
    /// Puts a module in just below the top (`I_PUSH`).
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn push(
        &mut self,
        stream: StreamId,
        module: Box<dyn Module>,
    ) -> Result<Change, PlumbError> {
        self.insert_at(stream, Place::Top, module)
    }

    /// Takes the topmost module out (`I_POP`); what it held goes on its way.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn pop(&mut self, stream: StreamId) -> Result<Change<Box<dyn Module>>, PlumbError> {
        self.remove_at(stream, Place::Top)
    }

    /// Puts a module in at a position counted from the bottom: 0 is just above the driver or
    /// multiplexor. Works on linked streams too. What comes while its open is pending waits.
    ///
    /// # Errors
    /// See [`PlumbError`]; the module's `open` may refuse.
    pub fn insert(
        &mut self,
        stream: StreamId,
        pos: usize,
        module: Box<dyn Module>,
    ) -> Result<Change, PlumbError> {
        self.not_a_pipe(stream)?;
        self.insert_at(stream, Place::At(pos), module)
    }

    /// Takes the module at a position out. Messages in its inboxes are put through it, what it
    /// holds is emitted in order, then its neighbours are joined: nothing is lost. A module whose
    /// close is pending goes at the end of the stream's close time, whatever it says.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn remove(
        &mut self,
        stream: StreamId,
        pos: usize,
    ) -> Result<Change<Box<dyn Module>>, PlumbError> {
        self.not_a_pipe(stream)?;
        self.remove_at(stream, Place::At(pos))
    }

    /// Both ends of a pipe are programs': each works at its own top.
    fn not_a_pipe(&self, stream: StreamId) -> Result<(), PlumbError> {
        if self.is_pipe(stream) { Err(PlumbError::Pipe) } else { Ok(()) }
    }

    fn insert_at(
        &mut self,
        stream: StreamId,
        place: Place,
        module: Box<dyn Module>,
    ) -> Result<Change, PlumbError> {
        if self.is_busy(stream)? {
            return Ok(self.later(stream, Op::Insert(place, module)));
        }
        let progress = self.insert_now(stream, place, module)?;
        Ok(self.begun(stream, progress))
    }

    fn remove_at(
        &mut self,
        stream: StreamId,
        place: Place,
    ) -> Result<Change<Box<dyn Module>>, PlumbError> {
        if self.is_busy(stream)? {
            return Ok(self.later(stream, Op::Remove(place)));
        }
        let progress = self.remove_now(stream, place)?;
        Ok(self.begun(stream, progress))
    }

    pub(super) fn insert_now(
        &mut self,
        stream: StreamId,
        place: Place,
        module: Box<dyn Module>,
    ) -> Result<Progress<()>, PlumbError> {
        self.spill_slot();
        let modules = self.modules(stream)?;
        let pos = match place {
            Place::Top => modules.len(),
            Place::At(pos) => pos,
        };
        if pos > modules.len() {
            return Err(PlumbError::NoPosition { pos, modules: modules.len() });
        }
        if modules.len() >= MODULES_MAX {
            return Err(PlumbError::TooMany);
        }
        self.may_edit(stream, Edit::Insert(pos, module.info()))?;
        let below = if pos == 0 { self.bottom_of(stream) } else { modules[pos - 1] };
        let above = self.net.pairs.at(below).map_or(NONE, Pair::up);
        let info = module.info();
        let node = self.add_node(Node::Module(module, NONE));
        let pair = self.new_pair(node.0.index, Role::Sole, [info.read, info.write], services(info));
        if let Some(p) = self.net.pairs.at_mut(pair) {
            p.stream = stream.0.index;
            p.lead(Side::Read, above);
            p.lead(Side::Write, below);
        }
        self.relink(below, above, pair, pair);
        self.settle(stream);
        let mut opened = Ok(Step::Done);
        if let Some(Node::Module(module, at)) = self.nodes.get_mut(node.0) {
            *at = pair;
            opened = module.open(&mut Self::cx_for(&mut self.net, node.0.index, pair));
        }
        self.net.attribute(None);
        match opened {
            Ok(Step::Done) => {
                self.wake_before(pair);
                Ok(Progress::Done(()))
            }
            Ok(Step::Pending) => {
                self.shut(stream, pair);
                Ok(Progress::Wait(Doing::Open { pair, before: None }))
            }
            Err(errno) => {
                self.emit_held(pair);
                self.take_out(stream, pair);
                Err(PlumbError::Refused(errno))
            }
        }
    }

    pub(super) fn remove_now(
        &mut self,
        stream: StreamId,
        place: Place,
    ) -> Result<Progress<Box<dyn Module>>, PlumbError> {
        let (pos, pair) = self.pair_at(stream, place)?;
        self.may_edit(stream, Edit::Remove(pos))?;
        self.leave(stream, pair)
    }

    /// Lets a module leave.
    pub(super) fn leave(
        &mut self,
        stream: StreamId,
        pair: u32,
    ) -> Result<Progress<Box<dyn Module>>, PlumbError> {
        self.drain_module(pair);
        let node = self.node_of(pair);
        let closed = match self.nodes.at_mut(node) {
            Some(Node::Module(module, _)) => {
                module.close(&mut Self::cx_for(&mut self.net, node, pair))
            }
            _ => Step::Done,
        };
        self.net.attribute(None);
        if closed == Step::Pending {
            self.shut(stream, pair);
            return Ok(Progress::Wait(Doing::Leave { pair }));
        }
        self.emit_held(pair);
        self.take_out(stream, pair).map(Progress::Done).ok_or(PlumbError::NoStream)
    }

    /// The pending open of a module has ended: it takes its place, or goes again and the one
    /// before it comes back.
    pub(super) fn opened(
        &mut self,
        stream: StreamId,
        pair: u32,
        before: Option<Before>,
        result: Result<(), PlumbError>,
    ) -> Result<(), PlumbError> {
        let node = self.node_of(pair);
        match (&result, before) {
            (Ok(()), before) => {
                if let Some(mut old) = before {
                    // Its close can wait for nothing any more: the place is taken.
                    old.module.close(&mut Self::cx_for(&mut self.net, node, pair));
                    self.net.attribute(None);
                }
                let module = self.take_module(node);
                self.admit(stream, pair, module);
            }
            (Err(_), Some(old)) => {
                self.net.forget_node(node);
                self.net.timers.give_all(node, old.timers);
                self.admit(stream, pair, Some(old.module));
            }
            (Err(_), None) => {
                self.emit_held(pair);
                self.take_out(stream, pair);
            }
        }
        result
    }

    /// Closes the gate before a module whose open or close is pending: ordinary messages wait in
    /// its queues, which flow control looks at.
    pub(super) fn shut(&mut self, stream: StreamId, pair: u32) {
        let node = self.node_of(pair);
        if let Some(module) = self.take_module(node)
            && let Some(place) = self.nodes.at_mut(node)
        {
            *place = Node::Pending(module, pair);
        }
        self.set_flags(pair, [SERVICE | NO_ENABLE; 2]);
        self.settle(stream);
        self.wake_before(pair);
    }

    /// Gives a place to a module for good: what waited for it is put to it first.
    pub(super) fn admit(&mut self, stream: StreamId, pair: u32, module: Option<Box<dyn Module>>) {
        let node = self.node_of(pair);
        let Some(module) = module else { return };
        let info = module.info();
        if let Some(place) = self.nodes.at_mut(node) {
            *place = Node::Module(module, pair);
        }
        self.set_flags(pair, services(info));
        self.set_pair_marks(pair, [info.read, info.write]);
        self.settle(stream);
        for queue in Self::queues_of(pair) {
            self.put_again(queue);
        }
        self.wake_before(pair);
    }

    /// The module of a node; a place without one is left.
    pub(super) fn take_module(&mut self, node: u32) -> Option<Box<dyn Module>> {
        match self.nodes.at_mut(node)? {
            Node::Module(module, _) | Node::Pending(module, _) => {
                // Of no size: nothing is allocated.
                Some(core::mem::replace(module, Box::new(Nobody)))
            }
            _ => None,
        }
    }

    /// Lets a module that leaves work off its inboxes and emit what it holds.
    pub(super) fn drain_module(&mut self, pair: u32) {
        self.spill_slot();
        let node = self.node_of(pair);
        for queue in Self::queues_of(pair) {
            self.run_now(queue);
        }
        if let Some(Node::Module(module, _)) = self.nodes.at_mut(node) {
            module.drain(&mut Self::cx_for(&mut self.net, node, pair));
        }
        self.net.attribute(None);
        self.emit_held(pair);
    }

    /// Sends what a module's queues hold on its way.
    pub(super) fn emit_held(&mut self, pair: u32) {
        self.spill_slot();
        let node = self.node_of(pair);
        for queue in Self::queues_of(pair) {
            let held = self.take_held(queue);
            if held.is_empty() {
                continue;
            }
            self.net.stat(node).msgs_out[(queue & 1) as usize] += held.len() as u64;
            let next = self.net.next_of(queue);
            self.net.attribute(Some(node));
            self.net.post_batch(next, held);
            self.net.attribute(None);
        }
    }

    /// Unlinks a drained module's pair and gives its box back.
    pub(super) fn take_out(&mut self, stream: StreamId, pair: u32) -> Option<Box<dyn Module>> {
        let key = self.net.pairs.key_at(pair)?;
        let (up, down, node) = {
            let p = self.net.pairs.at(pair)?;
            (p.up(), p.down(), p.node)
        };
        // Whoever waits for the leaving queues asks again at what is behind them (C30).
        for queue in Self::queues_of(pair) {
            if self.net.is_wanted(queue) {
                self.net.backenable(queue);
            }
        }
        self.forward_inboxes(pair);
        self.relink(down, up, up, down);
        self.ledger_leaves(node);
        self.ledger_closes(pair);
        let removed = self.net.pairs.remove(key)?;
        self.net.drop_bands(removed.bands);
        self.settle(stream);
        self.net.forget_node(node);
        if self.is_pipe(stream) {
            // The other end may wait for what was held here.
            self.net.drained(self.bottom_of(stream));
        }
        match self.nodes.key_at(node).and_then(|key| self.nodes.remove(key)) {
            Some(Node::Module(module, _) | Node::Pending(module, _)) => Some(module),
            _ => None,
        }
    }
}

/// Flags of the queues of a module, read side first.
pub(super) fn services(info: &ModInfo) -> [u16; 2] {
    [info.rsrv, info.wsrv].map(|has| if has { SERVICE } else { 0 })
}

/// Stands in a node while its module is moved.
struct Nobody;

impl Module for Nobody {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("nobody", "stands in while a module is moved");
        &INFO
    }
}
