//! Replacing the module or multiplexor of a node: the box changes, the node stays. Its queues,
//! inboxes, timers, streams and counters go on; the state is moved, and comes back when the
//! successor does not take it.

use super::change::services;
use super::error::PlumbError;
use super::fit::Edit;
use super::pending::{Before, Change, Doing, Op, Place, Progress};
use crate::module::{Module, Refused, Step};
use crate::mux::Mux;
use crate::net::{Role, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::{SERVICE, Side};
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Perimeter {
    /// Puts a module in the place of the one at a position, and gives that one back.
    ///
    /// A module that exports its state hands it over: `open` and `close` are not called. One
    /// without is drained and closed, and its successor is opened before.
    ///
    /// # Errors
    /// See [`PlumbError`]; the old module goes on then.
    pub fn replace(
        &mut self,
        stream: StreamId,
        pos: usize,
        module: Box<dyn Module>,
    ) -> Result<Change<Box<dyn Module>>, PlumbError> {
        let place = Place::At(pos);
        if self.is_busy(stream)? {
            return Ok(self.later(stream, Op::Replace(place, module)));
        }
        let progress = self.replace_now(stream, place, module)?;
        Ok(self.begun(stream, progress))
    }

    /// Puts a multiplexor in the place of another, with its state, and gives that one back. Its
    /// streams, their cookies and timers stay. One that asks for the same marks, services and
    /// contract costs the same whatever the number of streams.
    ///
    /// # Errors
    /// [`PlumbError::NoState`] when it has streams and no state; see there for the others. The
    /// old one goes on then.
    pub fn replace_mux(
        &mut self,
        mux: NodeId,
        mut new: Box<dyn Mux>,
    ) -> Result<Box<dyn Mux>, PlumbError> {
        self.spill_slot();
        let Some(Node::Mux(old)) = self.nodes.get(mux.0) else {
            return Err(PlumbError::NotAMux);
        };
        // What asks for the same fits the same streams, and their queues are as it wants them.
        let same = old.info().asks_as(new.info());
        if !same {
            self.may_stand_in(mux, new.info())?;
        }
        let Some(Node::Mux(old)) = self.nodes.get_mut(mux.0) else {
            return Err(PlumbError::NotAMux);
        };
        let state = old.export();
        let pairs = if same && state.is_some() { Vec::new() } else { self.mux_pairs(mux.0.index) };
        let Some(Node::Mux(old)) = self.nodes.get_mut(mux.0) else {
            return Err(PlumbError::NotAMux);
        };
        match state {
            Some(state) => {
                if let Err(Refused { why, state }) = new.import(state) {
                    return Err(given_back(why, old.import(state)));
                }
            }
            None if pairs.is_empty() => {}
            None => return Err(PlumbError::NoState),
        }
        let info = *new.info();
        let old = core::mem::replace(old, new);
        for pair in pairs {
            self.equip_mux_pair(pair, &info);
        }
        Ok(old)
    }

    pub(super) fn replace_now(
        &mut self,
        stream: StreamId,
        place: Place,
        mut new: Box<dyn Module>,
    ) -> Result<Progress<Box<dyn Module>>, PlumbError> {
        self.spill_slot();
        let (pos, pair) = self.pair_at(stream, place)?;
        self.may_edit(stream, Edit::Replace(pos, new.info()))?;
        let node = self.node_of(pair);
        let Some(Node::Module(old, _)) = self.nodes.at_mut(node) else {
            return Err(PlumbError::NoStream);
        };
        let Some(state) = old.export() else {
            return self.replace_without_state(stream, pair, new);
        };
        if let Err(Refused { why, state }) = new.import(state) {
            return Err(given_back(why, old.import(state)));
        }
        let old = core::mem::replace(old, new);
        self.equip(stream, pair);
        Ok(Progress::Done(old))
    }

    /// The successor is opened, then the predecessor drained and closed.
    fn replace_without_state(
        &mut self,
        stream: StreamId,
        pair: u32,
        mut new: Box<dyn Module>,
    ) -> Result<Progress<Box<dyn Module>>, PlumbError> {
        let node = self.node_of(pair);
        let timers = self.net.timers.take_all(node);
        let opened = new.open(&mut Self::cx_for(&mut self.net, node, pair));
        self.net.attribute(None);
        let new_timers = self.net.timers.take_all(node);
        self.net.timers.give_all(node, timers);
        let step = opened.map_err(PlumbError::Refused)?;
        self.drain_module(pair);
        let Some(Node::Module(module, _)) = self.nodes.at_mut(node) else {
            return Err(PlumbError::NoStream);
        };
        let mut old = core::mem::replace(module, new);
        let timers = self.net.timers.take_all(node);
        self.net.timers.give_all(node, new_timers);
        if step == Step::Pending {
            self.shut(stream, pair);
            let before = Some(Before { module: old, timers });
            return Ok(Progress::Wait(Doing::Open { pair, before }));
        }
        // Its close can wait for nothing: the place is taken.
        old.close(&mut Self::cx_for(&mut self.net, node, pair));
        self.net.attribute(None);
        self.equip(stream, pair);
        Ok(Progress::Done(old))
    }

    /// Gives the queues of a pair what its new module asks for.
    fn equip(&mut self, stream: StreamId, pair: u32) {
        let Some(Node::Module(module, _)) = self.nodes.at(self.node_of(pair)) else { return };
        let info = module.info();
        self.set_flags(pair, services(info));
        self.set_pair_marks(pair, [info.read, info.write]);
        self.settle(stream);
        for queue in Self::queues_of(pair) {
            self.serve_or_put_again(queue);
        }
        self.wake_before(pair);
    }

    /// What is left in a queue is served, or comes again when there is no service any more.
    fn serve_or_put_again(&mut self, queue: u32) {
        if self.net.queue(queue).is_none_or(|q| q.held.is_empty()) {
            return;
        }
        if self.net.queue(queue).is_some_and(|q| q.has(SERVICE)) {
            self.net.qenable(queue);
        } else {
            self.put_again(queue);
        }
    }

    fn mux_pairs(&self, node: u32) -> Vec<u32> {
        self.net.pairs.iter().filter(|(_, p)| p.node == node).map(|(key, _)| key.index).collect()
    }

    fn equip_mux_pair(&mut self, pair: u32, info: &crate::MuxInfo) {
        let Some((role, stream)) = self.net.pairs.at(pair).map(|p| (p.role, p.stream)) else {
            return;
        };
        let (side, has) = match role {
            Role::Lower => (Side::Read, info.lrsrv),
            Role::Upper => (Side::Write, info.uwsrv),
            // The gate stays until the open is done.
            Role::Opening | Role::Sole | Role::Pipe => return,
        };
        let mut flags = [0; 2];
        flags[side as usize] = if has { SERVICE } else { 0 };
        self.set_flags(pair, flags);
        self.net.set_marks(queue_no(pair, side), info.marks);
        if let Some(key) = self.streams.key_at(stream) {
            self.settle(StreamId(key));
        }
        self.serve_or_put_again(queue_no(pair, side));
        self.wake_before(pair);
    }
}

/// The error of a refused import, after the state was offered to where it came from.
fn given_back(why: &'static str, back: Result<(), Refused>) -> PlumbError {
    match back {
        Ok(()) => PlumbError::NotTaken(why),
        Err(_) => PlumbError::StateLost(why),
    }
}
