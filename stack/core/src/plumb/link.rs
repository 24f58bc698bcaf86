//! Linking streams below multiplexors, and undoing it.

use super::error::PlumbError;
use super::pending::{Change, Op};
use crate::device::LinkInfo;
use crate::errno::Errno;
use crate::head::Head;
use crate::module::Marks;
use crate::mux::Lower;
use crate::net::{NONE, Role, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::{NO_ENABLE, SERVICE, Side};

impl Perimeter {
    /// Links a stream below a multiplexor (`I_LINK`): its head is replaced by a lower queue pair of
    /// the multiplexor; what waits at the head goes to it, in order. The key is the muxid.
    ///
    /// # Errors
    /// See [`PlumbError`]; nothing has changed then.
    pub fn link(&mut self, mux: NodeId, stream: StreamId) -> Result<Change<Lower>, PlumbError> {
        if self.is_busy(stream)? {
            return Ok(self.later(stream, Op::Link(mux)));
        }
        self.link_now(mux, stream).map(Change::Done)
    }

    /// Undoes a link (`I_UNLINK`): the stream gets its head back.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn unlink(&mut self, stream: StreamId) -> Result<Change, PlumbError> {
        if self.is_busy(stream)? {
            return Ok(self.later(stream, Op::Unlink));
        }
        self.unlink_now(stream).map(Change::Done)
    }

    pub(super) fn link_now(&mut self, mux: NodeId, stream: StreamId) -> Result<Lower, PlumbError> {
        self.spill_slot();
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let (top, headroom) = (s.top, s.headroom);
        if s.head.is_some() {
            return Err(PlumbError::Linked);
        }
        let head = self.net.pairs.at(top).map_or(NONE, |pair| pair.node);
        let unfit = |head: &Head| head.failed() || head.ioctl_busy();
        if matches!(self.nodes.at(head), Some(Node::Head(head)) if unfit(head)) {
            return Err(PlumbError::Refused(Errno::EINVAL));
        }
        let Some(Node::Mux(m)) = self.nodes.get(mux.0) else { return Err(PlumbError::NotAMux) };
        let info = m.info();
        self.agrees_below(stream, info)?;
        if self.leads_to(stream, mux.0.index) {
            return Err(PlumbError::Cycle);
        }
        let marks = self.net.intern(info.marks);
        let caps = self.bottom_caps(stream);
        let key = self.net.pairs.key_at(top).ok_or(PlumbError::NoStream)?;
        let lower = Lower { pair: key, cookie: 0 };
        let pair = self.net.pairs.at_mut(top).ok_or(PlumbError::NoStream)?;
        let head = core::mem::replace(&mut pair.node, mux.0.index);
        (pair.role, pair.stat) = (Role::Lower, NONE);
        let before = (pair.queues[0].marks, pair.queues[0].flags);
        pair.queues[0].marks = marks;
        pair.queues[0].clear(SERVICE | NO_ENABLE);
        pair.queues[0].set(if info.lrsrv { SERVICE } else { 0 });
        let mut cx = Self::cx_for(&mut self.net, mux.0.index, top);
        let linked = match self.nodes.get_mut(mux.0) {
            Some(Node::Mux(m)) => m.link(&mut cx, lower, LinkInfo { caps, headroom }),
            _ => Ok(()),
        };
        self.net.attribute(None);
        if let Err(errno) = linked {
            if let Some(pair) = self.net.pairs.at_mut(top) {
                (pair.node, pair.role, pair.cookie) = (head, Role::Sole, 0);
                pair.stat = NONE;
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
        let waiting = self.take_held(queue);
        self.put_ahead(queue, waiting);
        Ok(lower)
    }

    pub(super) fn unlink_now(&mut self, stream: StreamId) -> Result<(), PlumbError> {
        self.spill_slot();
        let s = self.streams.get_mut(stream.0).ok_or(PlumbError::NoStream)?;
        let top = s.top;
        let head = s.head.take().ok_or(PlumbError::NotLinked)?;
        // Messages already posted to the multiplexor are delivered to it first.
        let queue = queue_no(top, Side::Read);
        self.run_now(queue);
        let Some(pair) = self.net.pairs.at(top) else { return Err(PlumbError::NoStream) };
        let (mux, cookie) = (pair.node, pair.cookie);
        let key = self.net.pairs.key_at(top).ok_or(PlumbError::NoStream)?;
        let mut cx = Self::cx_for(&mut self.net, mux, top);
        if let Some(Node::Mux(m)) = self.nodes.at_mut(mux) {
            m.unlink(&mut cx, Lower { pair: key, cookie });
        }
        self.net.attribute(None);
        self.ledger_yields(top);
        let marks = self.net.intern(Marks::RESTING);
        if let Some(pair) = self.net.pairs.at_mut(top) {
            (pair.node, pair.role, pair.cookie) = (head.0.index, Role::Sole, 0);
            pair.stat = NONE;
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
        self.was_unlinked(stream);
        Ok(())
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
        self.net.caps.get(&node).copied()
    }
}
