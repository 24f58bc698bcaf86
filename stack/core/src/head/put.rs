//! What comes up to a head: data is queued, everything else is acted upon here.

use crate::head::{Head, HeadEvent};
use crate::module::Drop;
use crate::net::{Event, Net, queue_no};
use crate::queue::Side;
use millstream_msg::{Kind, MsgList};

impl Head {
    /// Messages from below.
    pub(crate) fn put(&mut self, net: &mut Net, node: u32, pair: u32, batch: MsgList) {
        let queue = queue_no(pair, Side::Read);
        let mut had = net.holds(queue);
        for mut msg in batch {
            match msg.kind() {
                Kind::Data | Kind::Proto | Kind::PassFp | Kind::Sig => net.putq(queue, msg),
                Kind::PcProto if self.high_waits => net.discard(node, msg, Drop::RECEIVER_FULL),
                Kind::PcProto => {
                    self.high_waits = true;
                    net.putq(queue, msg);
                    // It is first now, whatever was there.
                    had = false;
                }
                Kind::Hangup => {
                    self.hangup = true;
                    net.pool.free(msg);
                    self.fail_ioctls(net, pair);
                    net.events.push_back(Event::Head(self.stream, HeadEvent::Hangup));
                }
                Kind::Unhangup => {
                    self.hangup = false;
                    net.pool.free(msg);
                }
                Kind::Error => self.fail(net, pair, msg),
                Kind::Flush => self.flush(net, node, pair, msg),
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
        if !had && net.holds(queue) {
            net.events.push_back(Event::Head(self.stream, HeadEvent::Readable));
        }
    }
}
