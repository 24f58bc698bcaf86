//! The services on a stream of `tcp`: octets come up and are answered, the connection ends when the
//! peer has ended its direction and the answer has left.
//!
//! `tcp-echo` sends the blocks back as they are. What finds no room below waits in the read queue,
//! so that a peer that does not read is not read from either.

use millstream_core::tpi::{self, Primitive, T_ORDREL_IND};
use millstream_core::{Contract, Cx, Fields, Format, Marks, ModInfo, Module, Side};
use millstream_msg::{Band, Kind, Msg};

/// The module `tcp-echo` (RFC 862).
#[derive(Debug, Default)]
pub struct StreamEcho {
    octets: u64,
}

/// What it says of itself.
pub const ECHO: ModInfo = ModInfo {
    read: Marks::RESTING,
    rsrv: true,
    wsrv: true,
    contract: Contract::between(Format::Bytes, Format::Bytes),
    ..ModInfo::new("tcp-echo", "sends octets back (RFC 862)")
};

impl StreamEcho {
    /// Sends data back; gives them back when there is no room below.
    fn answer(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        if msg.kind() == Kind::Data {
            if !cx.canput(Side::Write, Band(0)) {
                return Err(msg);
            }
            self.octets += msg.len() as u64;
            cx.qreply(msg);
            return Ok(());
        }
        if tpi::primitive(msg.first()) == Some(T_ORDREL_IND) && !end(cx) {
            return Err(msg);
        }
        cx.put(Side::Read, msg);
        Ok(())
    }
}

impl Module for StreamEcho {
    fn info(&self) -> &'static ModInfo {
        &ECHO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let ordinary = matches!(msg.kind(), Kind::Data | Kind::Proto);
        if !ordinary {
            return cx.putnext(msg);
        }
        if cx.queue_len() > 0 {
            return cx.putq(msg);
        }
        if let Err(msg) = self.answer(cx, msg) {
            cx.putq(msg);
        }
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        while let Some(msg) = cx.getq() {
            if let Err(msg) = self.answer(cx, msg) {
                return cx.putbq(msg);
            }
        }
    }

    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        cx.forward_queue();
        cx.qenable(Side::Read);
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("octets", self.octets);
    }
}

/// Ends our direction; false without memory for it.
fn end(cx: &mut Cx<'_>) -> bool {
    let Ok(mut request) = cx.pool().copy_from(0, Primitive::ordrel_req().as_bytes()) else {
        return false;
    };
    request.set_kind(Kind::Proto);
    cx.put(Side::Write, request);
    true
}
