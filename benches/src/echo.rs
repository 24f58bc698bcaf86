//! echo: datagrams go back to their senders; the message that came up goes down, not a byte of
//! its data is touched.

use millstream_core::{Cx, Drop, ModInfo, Module, Side, tpi};
use millstream_msg::{Kind, Msg, MsgList};

/// The echo service (RFC 862) as a module on a stream of `udp`.
#[derive(Debug, Default)]
pub struct Echo;

const INFO: ModInfo = ModInfo::new("echo", "datagrams go back to their senders (RFC 862)");

impl Module for Echo {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let mut one = MsgList::new();
        one.push(msg);
        self.rput_batch(cx, one);
    }

    fn rput_batch(&mut self, cx: &mut Cx<'_>, batch: MsgList) {
        let mut back = MsgList::new();
        let room = cx.canput(Side::Write, millstream_msg::Band(0));
        for mut msg in batch {
            if msg.kind() != Kind::Proto || !turn_round(&mut msg) {
                cx.putnext(msg);
            } else if room {
                back.push(msg);
            } else {
                cx.discard(msg, Drop::RECEIVER_FULL);
            }
        }
        if !back.is_empty() {
            cx.put_batch(Side::Write, back);
        }
    }
}

/// Makes a T_UNITDATA_REQ of a T_UNITDATA_IND: the source becomes the destination, and the
/// address it came to stays where the source of an answer is named.
pub fn turn_round(control: &mut Msg) -> bool {
    if tpi::primitive(control.first()) != Some(tpi::T_UNITDATA_IND) {
        return false;
    }
    match control.first_mut() {
        Some([a, b, c, d, ..]) => {
            [*a, *b, *c, *d] = tpi::T_UNITDATA_REQ.to_ne_bytes();
            true
        }
        _ => false,
    }
}
