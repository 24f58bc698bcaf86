//! Pipes: two streams whose bottoms are one place. What goes down one end comes up the other.
//!
//! Each end has a head and modules of its own. At the middle a message changes its direction, and
//! so do the bits of an M_FLUSH (`pipemod`): what is written here is read there. Flow control
//! looks through the middle: the target of what goes down is a queue of the other end.

mod pass;

pub(crate) use pass::Parcels;
pub use pass::Passed;

use crate::driver::turn_flush;
use crate::ioctl::refuse_unknown;
use crate::module::{Drop, Marks};
use crate::net::{NONE, Net, Pair, QueueNo, Role, queue_no, side_of};
use crate::perimeter::{Node, Perimeter, StreamId};
use crate::queue::Side;
use crate::tpi::flush;
use millstream_msg::{Kind, Msg, MsgList};

/// Cookie of an end whose other one was closed.
const NO_MATE: u64 = u64::MAX;

impl Perimeter {
    /// Makes a pipe (`pipe(2)`): two streams with these names, joined at their bottoms.
    pub fn pipe(&mut self, names: [&str; 2]) -> [StreamId; 2] {
        let bottoms = [(); 2].map(|()| {
            let node = self.add_node(Node::Pipe);
            self.new_pair(node.0.index, Role::Pipe, [Marks::DEFAULT; 2], [0, 0])
        });
        self.mate(bottoms, false);
        let streams = [0, 1].map(|at| self.new_stream(names[at], bottoms[at]));
        self.mate(bottoms, true);
        for stream in streams {
            self.settle(stream);
            if let Ok((head, _, _)) = self.head(stream) {
                // Who reads a pipe takes an empty message for its end (E23).
                head.sends_empty = false;
            }
        }
        streams
    }

    /// The other end of a pipe, while it is open. `None` for streams that are no pipe.
    pub fn peer(&self, stream: StreamId) -> Option<StreamId> {
        let bottom = self.streams.get(stream.0)?.bottom;
        let mate = self.net.pairs.at(bottom)?.mate()?;
        let other = self.net.pairs.at(mate)?.stream;
        self.streams.key_at(other).map(StreamId)
    }

    /// True for an end of a pipe.
    pub(crate) fn is_pipe(&self, stream: StreamId) -> bool {
        let bottom = self.streams.get(stream.0).and_then(|s| self.net.pairs.at(s.bottom));
        bottom.is_some_and(|pair| pair.role == Role::Pipe)
    }

    /// One end closes: the other reads what is under way, then nothing; writing fails (L2).
    pub(crate) fn part(&mut self, stream: StreamId) {
        let Some(peer) = self.peer(stream) else { return };
        let bottoms = [stream, peer].map(|end| self.streams.get(end.0).map_or(NONE, |s| s.bottom));
        self.mate(bottoms, false);
        let up = self.net.next_of(queue_no(bottoms[1], Side::Read));
        let hangup = self.net.pool.alloc_reserve(0, 0);
        if let Ok((head, net, pair)) = self.head(peer) {
            head.part(net, pair, hangup.is_err());
        }
        if let Ok(mut hangup) = hangup {
            hangup.set_kind(Kind::Hangup);
            self.net.post(up, hangup);
        }
        self.settle(peer);
        // A close of that end waits for nothing any more.
        self.net.drained(bottoms[1]);
        // Whoever was stopped by what nobody reads any more goes on, into the void.
        self.net.backenable(queue_no(bottoms[1], Side::Write));
    }

    /// Joins two bottoms, or parts them.
    fn mate(&mut self, bottoms: [u32; 2], joined: bool) {
        for at in 0..2 {
            if let Some(pair) = self.net.pairs.at_mut(bottoms[at]) {
                pair.cookie = if joined { u64::from(bottoms[1 - at]) } else { NO_MATE };
            }
        }
    }
}

impl Pair {
    /// The bottom of the other end of a pipe.
    #[inline]
    pub(crate) fn mate(&self) -> Option<u32> {
        let open = self.role == Role::Pipe && self.cookie != NO_MATE;
        open.then_some(self.cookie as u32)
    }
}

impl Net {
    /// The first queue at the other end of a pipe, for the last one on the way down of this end.
    pub(crate) fn across(&self, queue: QueueNo) -> QueueNo {
        let mate = self.pairs.at(queue >> 1).and_then(Pair::mate);
        match (mate, side_of(queue)) {
            (Some(mate), Side::Write) => self.next_of(queue_no(mate, Side::Read)),
            _ => NONE,
        }
    }
}

/// Puts messages at the middle of a pipe: they go up the other end.
pub(crate) fn cross(net: &mut Net, node: u32, pair: u32, batch: MsgList) {
    let up = net.across(queue_no(pair, Side::Write));
    let mut over = MsgList::new();
    for msg in batch {
        if up == NONE {
            nobody_there(net, node, pair, msg);
        } else if msg.kind() != Kind::Flush {
            over.push(msg);
        } else if let Some(msg) = swapped(net, node, msg) {
            over.push(msg);
        }
    }
    net.stat(node).msgs_out[Side::Write as usize] += over.len() as u64;
    net.post_batch(up, over);
}

/// An M_FLUSH with FLUSHR and FLUSHW exchanged (E65).
fn swapped(net: &mut Net, node: u32, mut msg: Msg) -> Option<Msg> {
    let (bits, _) = flush::parse(msg.first());
    let both = flush::READ | flush::WRITE;
    if bits & both == both || bits & both == 0 {
        return Some(msg);
    }
    match msg.make_writable(&mut net.pool, 1) {
        Ok(bytes) => {
            bytes[0] ^= both;
            Some(msg)
        }
        Err(_) => {
            net.discard(node, msg, Drop::NO_MEMORY);
            None
        }
    }
}

/// The other end is closed: as below a driver, but nothing is sent.
fn nobody_there(net: &mut Net, node: u32, pair: u32, msg: Msg) {
    let reply = match msg.kind() {
        Kind::Ioctl | Kind::IocData => refuse_unknown(&mut net.pool, msg),
        Kind::Flush => return turn_flush(net, node, pair, msg),
        _ => Err(msg),
    };
    match reply {
        Ok(refusal) => {
            let up = net.next_of(queue_no(pair, Side::Read));
            net.post(up, refusal);
        }
        Err(msg) => net.discard(node, msg, Drop::GONE),
    }
}
