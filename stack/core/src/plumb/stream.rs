//! Opening and closing: a stream begins as a head on a driver or multiplexor and ends as one.

use super::Stream;
use super::error::PlumbError;
use super::pending::{Doing, Progress};
use crate::device::Device;
use crate::head::Head;
use crate::module::{Marks, Step};
use crate::mux::{Mux, Upper};
use crate::net::{NONE, Role, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::{NO_ENABLE, SERVICE, Side};
use alloc::boxed::Box;

/// The last queue of a direction, at a head or driver: flow control looks at it, and its reader
/// or device serves it, so nothing is to be scheduled.
const ENDS: u16 = SERVICE | NO_ENABLE;

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
        self.ledger_leaves(mux.0.index);
        self.net.forget_node(mux.0.index);
        self.nodes.remove(mux.0).is_some()
    }

    /// Opens a stream on a multiplexor: a head directly above it. When the multiplexor takes its
    /// time, [`Perimeter::pending`] has a ticket; what is sent meanwhile waits.
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
        let opened = match self.nodes.get_mut(mux.0) {
            Some(Node::Mux(m)) => m.uopen(&mut cx, upper),
            _ => Ok(Step::Done),
        };
        self.net.attribute(None);
        match opened {
            Ok(Step::Done) => Ok(stream),
            Ok(Step::Pending) => {
                if let Some(pair) = self.net.pairs.at_mut(bottom) {
                    pair.role = Role::Opening;
                }
                self.set_flags(bottom, [0, ENDS]);
                self.settle(stream);
                self.begun(stream, Progress::<()>::Wait(Doing::UpperOpen));
                Ok(stream)
            }
            Err(errno) => {
                self.dismantle(stream);
                Err(PlumbError::Refused(errno))
            }
        }
    }

    /// The pending open of an upper has ended: what waited goes to the multiplexor, or the stream
    /// goes; the multiplexor is told of that when it has not said it itself.
    pub(super) fn upper_opened(
        &mut self,
        stream: StreamId,
        tell: bool,
        result: Result<(), PlumbError>,
    ) -> Result<(), PlumbError> {
        let bottom = self.bottom_of(stream);
        let node = self.node_of(bottom);
        if let Some(pair) = self.net.pairs.at_mut(bottom) {
            pair.role = Role::Upper;
        }
        if result.is_err() {
            if tell {
                self.close_upper(bottom);
            }
            self.dismantle(stream);
            return result;
        }
        if let Some(Node::Mux(m)) = self.nodes.at(node) {
            let service = if m.info().uwsrv { SERVICE } else { 0 };
            self.set_flags(bottom, [0, service]);
        }
        self.settle(stream);
        self.put_again(queue_no(bottom, Side::Write));
        self.wake_before(bottom);
        Ok(())
    }

    /// The next step of closing a stream that waits for nothing.
    pub(super) fn close_now(&mut self, stream: StreamId) -> Result<Progress<()>, PlumbError> {
        // A stream whose open has failed is gone already.
        let Some(s) = self.streams.get(stream.0) else { return Ok(Progress::Done(())) };
        let bottom = s.bottom;
        if s.head.is_some() {
            self.unlink_now(stream)?;
        }
        while let Some(&top) = self.modules(stream)?.last() {
            if let Progress::Wait(doing) = self.leave(stream, top)? {
                return Ok(Progress::Wait(doing));
            }
        }
        // What is on its way down leaves before the stream does.
        self.spill_slot();
        self.run_now(queue_no(bottom, Side::Write));
        if self.waits_for_backlog(stream) {
            return Ok(Progress::Wait(Doing::Backlog));
        }
        if self.close_upper(bottom) == Step::Pending {
            return Ok(Progress::Wait(Doing::UpperClose));
        }
        self.dismantle(stream);
        Ok(Progress::Done(()))
    }

    /// Tells the multiplexor at a bottom, when there is one, that its upper closes.
    fn close_upper(&mut self, bottom: u32) -> Step {
        let Some(key) = self.net.pairs.key_at(bottom) else { return Step::Done };
        let Some((node, cookie)) = self.net.pairs.get(key).map(|p| (p.node, p.cookie)) else {
            return Step::Done;
        };
        let Some(Node::Mux(m)) = self.nodes.at_mut(node) else { return Step::Done };
        let mut cx = Self::cx_for(&mut self.net, node, bottom);
        let step = m.uclose(&mut cx, Upper { pair: key, cookie });
        self.net.attribute(None);
        step
    }

    /// A stream of a head directly above `bottom`.
    pub(crate) fn new_stream(&mut self, name: &str, bottom: u32) -> StreamId {
        let stream = Stream { name: name.into(), top: NONE, bottom, head: None, headroom: 0 };
        let id = StreamId(self.streams.insert(stream));
        let head = self.add_node(Node::Head(Box::new(Head::new(id))));
        let top = self.new_pair(head.0.index, Role::Sole, [Marks::RESTING; 2], [ENDS, 0]);
        for (pair, up, down) in [(top, NONE, bottom), (bottom, top, NONE)] {
            if let Some(p) = self.net.pairs.at_mut(pair) {
                p.stream = id.0.index;
                p.lead(Side::Read, up);
                p.lead(Side::Write, down);
            }
        }
        if let Some(s) = self.streams.get_mut(id.0) {
            s.top = top;
        }
        self.settle(id);
        id
    }

    /// Frees everything of a stream of a head and a bottom.
    pub(super) fn dismantle(&mut self, stream: StreamId) {
        self.spill_slot();
        self.part(stream);
        if let Ok((head, net, pair)) = self.head(stream) {
            head.drop_ioctls(net, pair);
        }
        let Some(s) = self.streams.remove(stream.0) else { return };
        for pair in [s.top, s.bottom] {
            let Some(key) = self.net.pairs.key_at(pair) else { continue };
            self.ledger_closes(pair);
            let inboxes = Self::queues_of(pair).map(|queue| self.net.take_inbox(queue));
            let Some(removed) = self.net.pairs.remove(key) else { continue };
            self.net.drop_bands(removed.bands);
            let node = removed.node;
            for (queue, inbox) in removed.queues.into_iter().zip(inboxes) {
                for msg in inbox.chain(queue.held) {
                    self.net.discard(node, msg, crate::Drop::GONE);
                }
            }
            if matches!(removed.role, Role::Sole | Role::Pipe) {
                self.net.forget_node(node);
                if let Some(key) = self.nodes.key_at(node) {
                    self.nodes.remove(key);
                }
            }
        }
    }
}
