//! service: discard and chargen as modules on a stream of `tcp`: not a byte is touched.

use bytes::Bytes;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Cx, Errno, ModInfo, Module, Side, Step};
use millstream_msg::{Band, Kind, Msg};

/// A service; as a module, on a stream whose connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// What comes is thrown away.
    Discard,
    /// Super-segments go down as long as there is room.
    Chargen,
}

/// What one message carries: 44 packets of 1460 bytes.
static DATA: [u8; 44 * 1460] = [b'x'; 44 * 1460];

const INFO: ModInfo =
    ModInfo { wsrv: true, ..ModInfo::new("stream-service", "discard or chargen of a connection") };

impl Service {
    /// A module for a stream.
    pub fn module(self) -> Box<dyn Module> {
        Box::new(self)
    }
}

impl Module for Service {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        cx.qenable(Side::Write);
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if msg.kind() == Kind::Data {
            return cx.free(msg);
        }
        if tpi::primitive(msg.first()) == Some(tpi::T_ORDREL_IND) {
            // Without memory the peer waits until the stream is closed.
            if let Ok(mut ours) = cx.pool().copy_from(0, Primitive::ordrel_req().as_bytes()) {
                ours.set_kind(Kind::Proto);
                cx.put(Side::Write, ours);
            }
        }
        cx.putnext(msg);
    }

    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        cx.forward_queue();
        while *self == Self::Chargen && cx.canput(Side::Write, Band(0)) {
            match cx.pool().wrap_bytes(Bytes::from_static(&DATA)) {
                Ok(data) => cx.put(Side::Write, data),
                // Memory comes back with ACKs, and room with it.
                Err(_) => return,
            }
        }
    }
}
