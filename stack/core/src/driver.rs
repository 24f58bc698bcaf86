//! The driver around a device: backlog, flow control and software offload, written once.

use crate::contract::Formats;
use crate::cx::Cx;
use crate::device::{Caps, Device};
use crate::errno::Errno;
use crate::ioctl::refuse_unknown;
use crate::module::Drop;
use crate::mux::Upper;
use crate::net::{Event, Net, queue_no};
use crate::perimeter::NodeId;
use crate::queue::{Flush, Side};
use crate::stat::NodeStat;
use crate::tpi::flush;
use alloc::boxed::Box;
use alloc::string::String;
use millstream_msg::offload::{self, Refusal};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// The bottom node of a stream.
pub(crate) struct Driver {
    pub(crate) name: String,
    device: Box<dyn Device>,
    pub(crate) caps: Caps,
    pub(crate) formats: Formats,
    /// The device took less than was offered; the rest waits in the write queue.
    backlog: bool,
    gone: bool,
    /// The host was told that the queue above is full.
    pub(crate) read_blocked: bool,
    /// Generation of its node, so that it can name itself.
    pub(crate) generation: u32,
}

/// Offset of the IP header in a frame.
const L3: usize = 14;

impl Driver {
    pub(crate) fn new(name: String, device: Box<dyn Device>) -> Self {
        let (caps, formats) = (device.caps(), device.formats());
        Self {
            name,
            device,
            caps,
            formats,
            backlog: false,
            gone: false,
            read_blocked: false,
            generation: 0,
        }
    }

    /// Messages from above: frames are sent, M_FLUSH is turned round (E62), others are dropped.
    pub(crate) fn put(&mut self, net: &mut Net, id: NodeId, pair: u32, batch: MsgList) {
        let mut frames = MsgList::new();
        for msg in batch {
            match msg.kind() {
                Kind::Data if self.gone => net.discard(id.0.index, msg, Drop::DEVICE),
                Kind::Data if msg.offload().needs_csum || msg.offload().is_super() => {
                    match offload::finish(msg, L3, self.caps.can, &mut net.pool, &mut frames) {
                        Ok(()) => {}
                        Err(Refusal::Malformed(msg)) => {
                            net.discard(id.0.index, msg, Drop::BAD_OFFLOAD);
                        }
                        Err(Refusal::NoMem(msg)) => net.discard(id.0.index, msg, Drop::NO_MEMORY),
                    }
                }
                Kind::Data => frames.push(msg),
                Kind::Flush => turn_flush(net, id.0.index, pair, msg),
                // What no module above knew, nobody does (B1).
                Kind::Ioctl | Kind::IocData => match refuse_unknown(&mut net.pool, msg) {
                    Ok(refusal) => {
                        let up = net.next_of(queue_no(pair, Side::Read));
                        net.post(up, refusal);
                    }
                    Err(msg) => net.discard(id.0.index, msg, Drop::UNEXPECTED_TYPE),
                },
                _ => net.discard(id.0.index, msg, Drop::UNEXPECTED_TYPE),
            }
        }
        if self.backlog {
            for frame in frames {
                net.putq(queue_no(pair, Side::Write), frame);
            }
            return;
        }
        self.send(net, id, pair, frames);
    }

    /// The device is writable again.
    pub(crate) fn writable(&mut self, net: &mut Net, id: NodeId, pair: u32) {
        self.backlog = false;
        let queue = queue_no(pair, Side::Write);
        let mut frames = MsgList::new();
        while let Some(msg) = net.getq_quiet(queue) {
            frames.push(msg);
        }
        self.send(net, id, pair, frames);
        // Only what the device took makes room.
        net.relief(queue);
    }

    /// Reads frames and posts them upward; how many. 0 also when the queue above is full: a
    /// [`Event::ReadBlocked`] says so, and the device keeps what it has.
    pub(crate) fn poll(&mut self, net: &mut Net, id: NodeId, pair: u32, budget: usize) -> usize {
        if self.gone {
            return 0;
        }
        let up = net.next_of(queue_no(pair, Side::Read));
        if let Some(target) = net.queue(up).map(|q| q.target)
            && !net.canput(target, Band(0))
        {
            if !core::mem::replace(&mut self.read_blocked, true) {
                net.events.push_back(Event::ReadBlocked(id));
            }
            return 0;
        }
        let mut frames = MsgList::new();
        match self.device.recv(&mut net.pool, &mut frames, budget) {
            Ok(count) => {
                let stat = net.stat(id.0.index);
                stat.calls[0] += 1;
                stat.msgs_in[0] += frames.len() as u64;
                stat.msgs_out[0] += frames.len() as u64;
                stat.bytes_in[0] += u64::from(frames.bytes());
                count_dropped(&mut *self.device, stat);
                net.post_batch(up, frames);
                count
            }
            Err(errno) => {
                net.post_batch(up, frames);
                self.fail(net, id, pair, errno);
                0
            }
        }
    }

    fn send(&mut self, net: &mut Net, id: NodeId, pair: u32, mut frames: MsgList) {
        if frames.is_empty() {
            return;
        }
        let offered = frames.len();
        let outcome = self.device.send(&mut frames);
        let stat = net.stat(id.0.index);
        stat.consumed += (offered - frames.len()) as u64;
        count_dropped(&mut *self.device, stat);
        if let Err(errno) = outcome {
            for frame in frames {
                net.discard(id.0.index, frame, Drop::DEVICE);
            }
            return self.fail(net, id, pair, errno);
        }
        if !frames.is_empty() {
            self.backlog = true;
            for frame in frames {
                net.putq(queue_no(pair, Side::Write), frame);
            }
            net.events.push_back(Event::WantWrite(id));
        }
    }

    /// The device has failed: whatever waits is dropped, the stream is hung up.
    fn fail(&mut self, net: &mut Net, id: NodeId, pair: u32, errno: Errno) {
        if self.gone {
            return;
        }
        self.gone = true;
        while let Some(msg) = net.getq(queue_no(pair, Side::Write)) {
            net.discard(id.0.index, msg, Drop::DEVICE);
        }
        net.events.push_back(Event::DeviceGone(id, errno));
        if let Ok(mut hangup) = net.pool.alloc_reserve(0, 0) {
            hangup.set_kind(Kind::Hangup);
            let up = net.next_of(queue_no(pair, Side::Read));
            net.post(up, hangup);
        }
    }
}

fn count_dropped(device: &mut dyn Device, stat: &mut NodeStat) {
    match device.take_dropped() {
        0 => {}
        count => stat.drop(Drop::DEVICE_LOST, count),
    }
}

impl Cx<'_> {
    /// Ends an M_FLUSH of an upper, as at a driver: its write queue is flushed, the rest goes back
    /// up (E62, H8).
    pub fn turn_flush_upper(&mut self, upper: Upper, msg: Msg) {
        match self.net.pairs.get(upper.pair) {
            Some(_) => turn_flush(self.net, self.node, upper.pair.index, msg),
            None => self.net.lose(msg),
        }
    }
}

/// Canonical flush of a driver: the write queue is flushed, the rest goes up (E62).
pub(crate) fn turn_flush(net: &mut Net, node: u32, pair: u32, mut msg: Msg) {
    let (bits, band) = flush::parse(msg.first());
    if bits & flush::WRITE != 0 {
        for flushed in net.flushq(queue_no(pair, Side::Write), Flush::All, band) {
            net.discard(node, flushed, Drop::FLUSHED);
        }
    }
    if bits & flush::READ == 0 || msg.make_writable(&mut net.pool, 1).is_err() {
        return net.pool.spend(msg);
    }
    if let Some(bytes) = msg.first_mut() {
        bytes[0] &= !flush::WRITE;
    }
    let up = net.next_of(queue_no(pair, Side::Read));
    net.post(up, msg);
}
