//! What a perimeter is made of, for people and for those who look streams up.

use super::error::PlumbError;
use crate::module::Fields;
use crate::mux::Upper;
use crate::net::Role;
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use crate::slab::Key;
use crate::stat::NodeStat;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_msg::MsgList;

/// One node of a stream, for people. See [`Perimeter::chain`].
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Name of the module, multiplexor, driver or `head`.
    pub name: String,
    /// `head`, `module`, `mux`, `driver` or `pipe`.
    pub kind: &'static str,
    /// Position from the bottom, for modules.
    pub pos: Option<usize>,
    /// Parameters and counters of the module.
    pub fields: Fields,
    /// Counters of the framework.
    pub stat: NodeStat,
    /// Messages held or in inboxes: read side, write side.
    pub depth: [usize; 2],
    /// Its open or close is pending.
    pub pending: bool,
}

impl Perimeter {
    /// Streams with their names, in order of opening.
    pub fn streams(&self) -> Vec<(StreamId, String)> {
        self.streams.iter().map(|(key, s)| (StreamId(key), s.name.as_ref().into())).collect()
    }

    /// The stream with this name.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        self.streams.iter().find(|(_, s)| &*s.name == name).map(|(key, _)| StreamId(key))
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

    /// The number by which the multiplexor at the bottom of a stream knows it: its cookie, which
    /// transports give as the acceptor's identifier in T_CAPABILITY_ACK too. `None` of a stream
    /// that is gone or has a device at the bottom.
    pub fn upper_number(&self, stream: StreamId) -> Option<u64> {
        let bottom = self.net.pairs.at(self.streams.get(stream.0)?.bottom)?;
        (bottom.role == Role::Upper).then_some(bottom.cookie)
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
            stat: self.net.stats.view(mux.0.index),
            depth: [0; 2],
            pending: false,
        })
    }

    /// A multiplexor as what it is, when it is a `T` and shows itself as one.
    pub fn mux_as<T: 'static>(&self, mux: NodeId) -> Option<&T> {
        match self.nodes.get(mux.0) {
            Some(Node::Mux(m)) => m.as_any()?.downcast_ref(),
            _ => None,
        }
    }

    /// The stream above a multiplexor that an upper is the end of, and its name.
    pub fn stream_of(&self, upper: Upper) -> Option<(StreamId, &str)> {
        let key = self.streams.key_at(self.net.pairs.get(upper.pair)?.stream)?;
        Some((StreamId(key), &*self.streams.get(key)?.name))
    }

    /// Bytes that a message from the top of a stream should have in front.
    ///
    /// # Errors
    /// [`PlumbError::NoStream`].
    pub fn headroom(&self, stream: StreamId) -> Result<usize, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let top = self.net.pairs.at(s.top).and_then(|pair| self.nodes.at(pair.node));
        let asked = match top {
            Some(Node::Head(head)) => head.write_offset,
            _ => 0,
        };
        Ok(usize::from(s.headroom.max(asked)))
    }

    fn view(&self, pair: u32, pos: Option<usize>) -> Option<NodeView> {
        let p = self.net.pairs.at(pair)?;
        let node = self.nodes.at(p.node)?;
        let mut fields = Fields::default();
        match node {
            Node::Module(m, _) | Node::Pending(m, _) => m.show(&mut fields),
            Node::Mux(m) => m.show(&mut fields),
            Node::Head(_) | Node::Driver(..) | Node::Pipe => {}
        }
        let (name, kind) = node.label();
        let depth = Self::queues_of(pair).map(|queue| {
            let held = &p.queues[(queue & 1) as usize].held;
            held.len() + self.net.inbox(queue).map_or(0, MsgList::len)
        });
        let mut stat = self.net.stats.view(p.node);
        if let Node::Head(head) = node {
            head.taken.add_to(&mut stat);
        }
        let pending = matches!(node, Node::Pending(..)) || p.role == Role::Opening;
        Some(NodeView { name, kind, pos, fields, stat, depth, pending })
    }
}

impl Node {
    /// Name and kind, for people.
    pub(crate) fn label(&self) -> (String, &'static str) {
        match self {
            Self::Head(_) => ("head".into(), "head"),
            Self::Module(m, _) | Self::Pending(m, _) => (m.info().name.into(), "module"),
            Self::Mux(m) => (m.info().name.into(), "mux"),
            Self::Driver(d, _) => (d.name.clone(), "driver"),
            Self::Pipe => ("pipe".into(), "pipe"),
        }
    }
}
