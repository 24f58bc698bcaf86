//! Putting modules in and taking them out while messages are under way.

use super::error::PlumbError;
use crate::module::Module;
use crate::net::{NONE, Role};
use crate::perimeter::{Node, Perimeter, StreamId};
use crate::queue::SERVICE;
use alloc::boxed::Box;

/// More modules than anybody stacks by hand; a loop in a script stops here.
pub(super) const MODULES_MAX: usize = 32;

impl Perimeter {
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

    /// Lets a module that leaves work off its inboxes and emit what it holds.
    fn drain_module(&mut self, pair: u32) {
        self.spill_slot();
        let node = self.net.pairs.at(pair).map_or(NONE, |p| p.node);
        for queue in Self::queues_of(pair) {
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
            self.net.stat(node).msgs_out[(queue & 1) as usize] += held.len() as u64;
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
            if self.net.is_wanted(queue) {
                self.net.backenable(queue);
            }
        }
        self.relink(down, up, up, down);
        let removed = self.net.pairs.remove(key)?;
        self.net.drop_bands(removed.bands);
        self.settle(stream);
        self.net.timers.cancel_all(node);
        match self.nodes.key_at(node).and_then(|key| self.nodes.remove(key)) {
            Some(Node::Module(module, _)) => Some(module),
            _ => None,
        }
    }
}
