//! The head's part in a flush: its read queue, and one turn round (E60 to E64).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::head::Head;
use crate::module::Drop;
use crate::mux::Lower;
use crate::net::{Net, queue_no};
use crate::queue::{Flush, Side};
use crate::tpi::flush;
use millstream_msg::{Band, Kind, Msg, MsgFlags};

impl Head {
    /// Canonical flush of a head (E63).
    pub(super) fn flush(&mut self, net: &mut Net, node: u32, pair: u32, msg: Msg) {
        let (bits, band) = flush::parse(msg.first());
        if bits & flush::READ != 0 {
            self.flush_read(net, node, pair, band);
        }
        self.drop_lost_parcels(net, pair);
        turn_round(net, pair, msg);
    }

    fn flush_read(&mut self, net: &mut Net, node: u32, pair: u32, band: Option<Band>) {
        let queue = queue_no(pair, Side::Read);
        for flushed in net.flushq(queue, Flush::All, band) {
            let high = flushed.kind() == Kind::PcProto;
            if high && self.read_options.keeps_high {
                net.putq(queue, flushed);
                continue;
            }
            self.high_waits &= !high;
            net.discard(node, flushed, Drop::FLUSHED);
        }
    }

    /// Sends a flush down (I_FLUSH, I_FLUSHBAND). It comes back to the head from the driver.
    pub(crate) fn send_flush(
        &mut self,
        net: &mut Net,
        pair: u32,
        bits: u8,
        band: Option<Band>,
    ) -> Result<(), Errno> {
        self.check_either()?;
        self.check_line()?;
        if bits == 0 || bits & !(flush::READ | flush::WRITE) != 0 {
            return Err(Errno::EINVAL);
        }
        let mut msg = net.pool.alloc_reserve(0, 2).map_err(|_| Errno::ENOSR)?;
        msg.set_kind(Kind::Flush);
        let bytes = match band {
            Some(Band(band)) => [bits | flush::BAND, band],
            None => [bits, 0],
        };
        msg.spare_mut()[..2].copy_from_slice(&bytes);
        msg.commit(2);
        let down = net.next_of(queue_no(pair, Side::Write));
        net.post(down, msg);
        Ok(())
    }
}

impl Cx<'_> {
    /// Turns an M_FLUSH of a lower round, as at a head: its read queue is flushed, and the write
    /// side once (E63, H8).
    pub fn turn_flush_lower(&mut self, lower: Lower, msg: Msg) {
        if self.net.pairs.get(lower.pair).is_none() {
            return self.net.lose(msg);
        }
        let (bits, band) = flush::parse(msg.first());
        let pair = lower.pair.index;
        if bits & flush::READ != 0 {
            for flushed in self.net.flushq(queue_no(pair, Side::Read), Flush::All, band) {
                self.discard(flushed, Drop::FLUSHED);
            }
        }
        turn_round(self.net, pair, msg);
    }
}

/// Sends the write side of an M_FLUSH down, once; what is left of it is freed.
fn turn_round(net: &mut Net, pair: u32, mut msg: Msg) {
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
