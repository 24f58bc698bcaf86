//! What comes up to a head: data is queued, everything else is acted upon here.

use crate::head::{Head, HeadEvent, Signals};
use crate::module::Drop;
use crate::net::{Net, QueueNo, queue_no};
use crate::queue::{HIGH, Side, rank};
use millstream_msg::{Kind, Msg, MsgList};

impl Head {
    /// One data message of band 0 from below, as nearly all are. It was charged to this queue on
    /// its way, and stays so: what is left of `putq` is to append it.
    #[inline]
    pub(crate) fn put_plain(&mut self, net: &mut Net, queue: QueueNo, msg: Msg) {
        let Some(q) = net.queue_mut(queue) else { return net.lose(msg) };
        let first = q.held.is_empty();
        q.held.push(msg);
        if first || self.tells_each {
            self.tell(net, HeadEvent::Readable, Signals::INPUT.with(Signals::RDNORM));
        }
    }

    /// Messages from below.
    pub(crate) fn put(&mut self, net: &mut Net, node: u32, pair: u32, batch: MsgList) {
        let queue = queue_no(pair, Side::Read);
        let mut first = first_rank(net, queue);
        let mut more = false;
        for mut msg in batch {
            match msg.kind() {
                Kind::Data | Kind::Proto | Kind::PassFp | Kind::Sig => {
                    more = self.tells_each;
                    net.putq(queue, msg);
                }
                Kind::PcProto if self.high_waits => net.discard(node, msg, Drop::RECEIVER_FULL),
                Kind::PcProto => {
                    self.high_waits = true;
                    net.putq(queue, msg);
                }
                Kind::PcSig => {
                    self.signal(net, Signals::MSG);
                    net.pool.free(msg);
                }
                Kind::Hangup => self.hang_up(net, pair, msg),
                Kind::Unhangup => self.come_back(net, msg),
                Kind::Error => self.fail(net, pair, msg),
                Kind::Flush => {
                    self.flush(net, node, pair, msg);
                    first = first_rank(net, queue);
                }
                Kind::SetOpts => self.set_options(net, node, pair, msg),
                Kind::Ioctl => {
                    // A stray request from below is refused (B2).
                    msg.set_kind(Kind::IocNak);
                    let down = net.next_of(queue_no(pair, Side::Write));
                    net.post(down, msg);
                }
                Kind::IocAck | Kind::IocNak | Kind::CopyIn | Kind::CopyOut => {
                    self.ioctl_reply(net, node, pair, msg);
                }
                _ => net.discard(node, msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.announce(net, queue, if more { None } else { first });
    }

    /// Tells of the first message unless one of its class was first before: it has come, or what
    /// was in front of it has gone (E45).
    #[inline]
    pub(crate) fn announce(&mut self, net: &mut Net, queue: QueueNo, before: Option<u16>) {
        let Some(first) = net.queue(queue).and_then(|q| q.held.front()) else { return };
        if Some(rank(first)) != before || first.kind() == Kind::Sig {
            self.announce_first(net, queue);
        }
    }

    fn announce_first(&mut self, net: &mut Net, queue: QueueNo) {
        // M_SIG does its work when it comes to the front.
        while front_kind(net, queue) == Some(Kind::Sig) {
            if let Some(msg) = net.getq(queue) {
                net.pool.free(msg);
            }
            self.signal(net, Signals::MSG);
        }
        let why = match first_rank(net, queue) {
            None => return,
            Some(HIGH) => Signals::HIPRI,
            Some(0) => Signals::INPUT.with(Signals::RDNORM),
            Some(_) => Signals::INPUT.with(Signals::RDBAND).with(Signals::BANDURG),
        };
        self.tell(net, HeadEvent::Readable, why);
    }
}

/// Place of the first message in the order of the queue.
#[inline]
pub(crate) fn first_rank(net: &Net, queue: QueueNo) -> Option<u16> {
    net.queue(queue).and_then(|q| q.held.front()).map(rank)
}

#[inline]
pub(super) fn front_kind(net: &Net, queue: QueueNo) -> Option<Kind> {
    net.queue(queue).and_then(|q| q.held.front()).map(|msg| msg.kind())
}
