//! The head's part in a flush: its read queue, and one turn round (E60 to E64).

use crate::head::Head;
use crate::module::Drop;
use crate::net::{Net, queue_no};
use crate::queue::{Flush, Side};
use crate::tpi::flush;
use millstream_msg::{Kind, Msg, MsgFlags};

impl Head {
    /// Canonical flush of a head (E63).
    pub(super) fn flush(&mut self, net: &mut Net, node: u32, pair: u32, msg: Msg) {
        let (bits, band) = flush::parse(msg.first());
        if bits & flush::READ != 0 {
            for flushed in net.flushq(queue_no(pair, Side::Read), Flush::All, band) {
                if flushed.kind() == Kind::PcProto {
                    self.high_waits = false;
                }
                net.discard(node, flushed, Drop::FLUSHED);
            }
        }
        self.drop_lost_parcels(net, pair);
        turn_round(net, pair, msg);
    }
}

/// Sends the write side of an M_FLUSH down, once; what is left of it is freed.
pub(crate) fn turn_round(net: &mut Net, pair: u32, mut msg: Msg) {
    let (bits, _) = flush::parse(msg.first());
    let turn = bits & flush::WRITE != 0 && !msg.flags().contains(MsgFlags::NO_LOOP);
    if !turn || msg.make_writable(&mut net.pool, 1).is_err() {
        return net.pool.free(msg);
    }
    if let Some(bytes) = msg.first_mut() {
        bytes[0] &= !flush::READ;
    }
    msg.set_flags(msg.flags().with(MsgFlags::NO_LOOP));
    let down = net.next_of(queue_no(pair, Side::Write));
    net.post(down, msg);
}
