//! Parameters and water marks of what is in a stream.

use super::error::PlumbError;
use crate::module::Marks;
use crate::net::{NONE, queue_no};
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::queue::Side;

impl Perimeter {
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
        let set = match self.nodes.at_mut(node) {
            Some(Node::Module(module, _) | Node::Pending(module, _)) => module
                .set(&mut Self::cx_for(&mut self.net, node, pair), key, value)
                .map_err(PlumbError::Invalid),
            _ => Err(PlumbError::NoStream),
        };
        self.net.attribute(None);
        set
    }

    /// Sets a parameter of a multiplexor.
    ///
    /// # Errors
    /// See [`PlumbError`].
    pub fn set_mux(&mut self, mux: NodeId, key: &str, value: &str) -> Result<(), PlumbError> {
        self.spill_slot();
        let mut cx = Self::cx_for(&mut self.net, mux.0.index, NONE);
        let set = match self.nodes.get_mut(mux.0) {
            Some(Node::Mux(m)) => m.set(&mut cx, key, value).map_err(PlumbError::Invalid),
            _ => Err(PlumbError::NotAMux),
        };
        self.net.attribute(None);
        set
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
}
