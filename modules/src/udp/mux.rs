//! udp as a multiplexor: users above, `ip` below. T_UNITDATA_REQ become packets, packets become
//! T_UNITDATA_IND; see [`Engine`].

use super::UdpDrop;
use super::engine::Engine;
use crate::ctl::Ctl;
use crate::hash::Keyed;
use crate::ip::protocol;
use crate::state;
use crate::users::Users;
use alloc::boxed::Box;
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Format, LinkInfo, Lower, Marks, Mux, MuxInfo, Refused,
    State, Step, Upper,
};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// The multiplexor. One lower stream, on `ip`.
#[derive(Debug)]
pub struct Udp {
    engine: Engine,
    /// By the engine's number.
    users: Users,
}

const INFO: MuxInfo = MuxInfo {
    name: "udp",
    about: "datagrams between ports (RFC 768, RFC 1122 section 4.1)",
    marks: Marks::RESTING,
    uwsrv: true,
    lrsrv: false,
    // The header, and the request that `ip` replaces by an IP and an Ethernet header.
    headroom: 64,
    contract: Contract::between(Format::Datagrams, Format::Packets),
};

/// The layout of the state that it hands over: all of it, streams and tables, with their key.
const VERSION: u32 = 1;

impl From<UdpDrop> for Drop {
    fn from(reason: UdpDrop) -> Self {
        Self(reason.name())
    }
}

impl Udp {
    /// Without users. `key` is random: peers must not know it.
    pub fn new(key: u64) -> Self {
        let engine = Engine::new(Keyed::new(key));
        Self { engine, users: Users::default() }
    }

    /// Sends what the engine has left: packets down, messages up, drops counted.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let down = core::mem::take(&mut self.engine.out.down);
        self.users.put_down(cx, down);
        let mut up = core::mem::take(&mut self.engine.out.up);
        for (user, msg) in up.drain(..) {
            match self.users.upper(user) {
                // A reader that is too slow loses datagrams; acknowledgements always go.
                Some(upper) if msg.kind() == Kind::Proto && !cx.canput_upper(upper, Band(0)) => {
                    cx.discard(msg, UdpDrop::QueueFull);
                }
                Some(upper) => cx.put_upper(upper, msg),
                None => cx.discard(msg, Drop::GONE),
            }
        }
        self.engine.out.up = up;
        for (msg, reason) in self.engine.out.act.dropped.drain(..) {
            cx.discard(msg, reason);
        }
        cx.count_consumed(u64::from(core::mem::take(&mut self.engine.out.act.consumed)));
    }

    fn send(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        let random = cx.rng().next_u32();
        self.engine.output(from.cookie as u32, msg, random, cx.pool());
    }
}

impl Mux for Udp {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        let user = self.engine.open();
        self.users.open(cx, upper, user);
        Ok(Step::Done)
    }

    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
        self.engine.close(upper.cookie as u32, cx.pool());
        self.users.close(cx, upper.cookie as u32);
        self.settle(cx);
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, _info: LinkInfo) -> Result<(), Errno> {
        self.users.link(lower)?;
        let Ok(word) = Ctl::TakeProtocol(protocol::UDP).to_msg(cx.pool()) else {
            self.users.unlink(cx);
            return Err(Errno::ENOSR);
        };
        cx.put_lower(lower, word);
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        self.users.unlink(cx);
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        self.uwput_batch(cx, from, core::iter::once(msg).collect());
    }

    fn uwput_batch(&mut self, cx: &mut Cx<'_>, from: Upper, batch: MsgList) {
        let ready = self.users.admits(cx, from);
        for msg in batch {
            match msg.kind() {
                Kind::Flush => cx.turn_flush_upper(from, msg),
                Kind::Ioctl | Kind::IocData => cx.unknown_ioctl(from, msg),
                kind if ready || kind.is_high_priority() => self.send(cx, from, msg),
                _ => cx.putq_upper(from, msg),
            }
        }
        self.settle(cx);
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = self.users.next(cx, upper) {
            self.send(cx, upper, msg);
            self.settle(cx);
        }
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        self.users.relieved(cx);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        self.lrput_batch(cx, from, core::iter::once(msg).collect());
    }

    fn lrput_batch(&mut self, cx: &mut Cx<'_>, from: Lower, batch: MsgList) {
        for msg in batch {
            match (msg.kind(), Ctl::from_msg(&msg)) {
                (Kind::Data, _) => self.engine.input(msg, cx.pool()),
                (Kind::Flush, _) => cx.turn_flush_lower(from, msg),
                (_, Some(Ctl::Failed(error))) => {
                    self.engine.failed(&error, cx.pool());
                    cx.free(msg);
                }
                (_, Some(Ctl::AddAddress(address, prefix_len))) => {
                    self.engine.add_address(address, prefix_len);
                    cx.free(msg);
                }
                (_, Some(Ctl::RemoveAddress(address))) => {
                    self.engine.remove_address(address);
                    cx.free(msg);
                }
                // Datagrams are cut to fit by ip, which also chooses where they leave.
                (_, Some(Ctl::Mtu(..) | Ctl::Way(..))) => cx.free(msg),
                _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.settle(cx);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::replace(self, Self::new(0)));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("endpoints", self.engine.endpoints() as u64);
    }
}
