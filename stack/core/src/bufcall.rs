//! bufcall: a module that found no memory is called when there is likely some (`bufcall(9F)`).

use crate::cx::Cx;
use crate::net::NONE;
use crate::perimeter::{Node, Perimeter};
use crate::queue::Side;
use alloc::collections::VecDeque;
use millstream_msg::Pool;

/// Who waits for memory, in the order in which they asked.
#[derive(Debug, Default)]
pub(crate) struct Bufcalls(VecDeque<Bufcall>);

#[derive(Debug)]
struct Bufcall {
    node: u32,
    token: u64,
    /// Bytes that were not to be had.
    len: usize,
}

/// More modules than find no memory at once; who asks beyond them has to use a timer.
const BUFCALLS_MAX: usize = 1024;

/// While somebody waits the pool is looked at so often, in nanoseconds: other threads free cells
/// without telling.
const LOOK_NS: u64 = 1_000_000;

impl Bufcalls {
    /// Takes a wish in, once for each node and token; false when there are too many.
    fn ask(&mut self, node: u32, token: u64, len: usize) -> bool {
        if let Some(known) = self.0.iter_mut().find(|b| b.node == node && b.token == token) {
            known.len = len;
            return true;
        }
        let room = self.0.len() < BUFCALLS_MAX;
        if room {
            self.0.push_back(Bufcall { node, token, len });
        }
        room
    }

    fn cancel(&mut self, node: u32, token: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|b| b.node != node || b.token != token);
        self.0.len() < before
    }

    /// Does the node wait for memory?
    pub(crate) fn waits(&self, node: u32) -> bool {
        self.0.iter().any(|b| b.node == node)
    }

    /// A node is gone.
    pub(crate) fn forget(&mut self, node: u32) {
        self.0.retain(|b| b.node != node);
    }

    /// Nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of the `most` oldest whose memory is likely there.
    fn due(&mut self, most: usize, pool: &Pool) -> Option<(u32, u64)> {
        let at = self.0.iter().take(most).position(|b| pool.can_alloc(b.len))?;
        let Bufcall { node, token, .. } = self.0.remove(at)?;
        Some((node, token))
    }
}

impl Cx<'_> {
    /// Calls `bufcall(token)` of this node once, at a later turn, when an allocation of `len` bytes
    /// in all is likely to succeed. Likely only: the callback has to try, and to ask again. Asking
    /// with a token that waits already changes its length. False when too many wait: use a timer.
    #[must_use]
    pub fn bufcall(&mut self, token: u64, len: usize) -> bool {
        self.net.bufcalls.ask(self.node, token, len)
    }

    /// Cancels a bufcall; true when it waited. It will not run after this returns
    /// (`unbufcall(9F)`).
    pub fn unbufcall(&mut self, token: u64) -> bool {
        self.net.bufcalls.cancel(self.node, token)
    }
}

impl Perimeter {
    /// Calls those whose memory has come home. Who asks again waits for the next turn.
    pub(crate) fn run_bufcalls(&mut self) {
        self.net.pool.collect();
        let mut most = self.net.bufcalls.0.len();
        while let Some((node, token)) = self.net.bufcalls.due(most, &self.net.pool) {
            most -= 1;
            match self.nodes.at_mut(node) {
                Some(Node::Module(module, pair) | Node::Pending(module, pair)) => {
                    module.bufcall(&mut Cx::new(&mut self.net, node, *pair, Side::Read), token);
                }
                Some(Node::Mux(mux)) => {
                    mux.bufcall(&mut Cx::new(&mut self.net, node, NONE, Side::Read), token);
                }
                _ => {}
            }
            self.net.attribute(None);
        }
    }

    /// When to look at the pool again, if somebody waits; and no later than `next`.
    pub(crate) fn look_for_memory(&self, next: Option<u64>) -> Option<u64> {
        if self.net.bufcalls.is_empty() {
            return next;
        }
        let look = self.net.now + LOOK_NS;
        Some(next.map_or(look, |next| next.min(look)))
    }
}
