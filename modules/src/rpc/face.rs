//! face: how `rpc` hangs in a stream.

use super::batch::{R_BATCHES, R_REPLIES_REQ};
use super::ends::Phase;
use super::primitive::{self, R_CALL_REQ, R_CANCEL_REQ, R_REPLY_REQ};
use super::{Role, Rpc, RpcDrop, Shared};
use crate::state;
use alloc::boxed::Box;
use millstream_core::tpi;
use millstream_core::{
    Contract, Cx, Errno, Fields, Formats, Invalid, Joint, Marks, ModInfo, Module, Refused, Side,
    State, Step,
};
use millstream_msg::{Band, Kind, Msg, MsgList};
use millstream_onc::Transport;

/// What `rpc` says of itself.
pub const INFO: ModInfo = ModInfo {
    read: Marks::RESTING,
    write: Marks::RESTING,
    rsrv: true,
    wsrv: true,
    headroom: 64,
    contract: Contract {
        above: Joint::both(Formats::ANY),
        below: Joint::both(Formats::ANY),
        boundaries: false,
    },
    ..ModInfo::new("rpc", "calls and replies of ONC RPC on a connection or over datagrams")
};

impl Module for Rpc {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        self.ask(cx)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match (msg.kind(), tpi::primitive(msg.first())) {
            (Kind::PcProto, Some(tpi::T_INFO_ACK)) => self.informed(cx, msg),
            (Kind::PcProto, Some(tpi::T_ADDR_ACK)) => self.known_to(cx, msg),
            (Kind::PcProto, Some(tpi::T_OK_ACK)) if self.phase == Phase::Over => cx.free(msg),
            (Kind::Proto, Some(tpi::T_DISCON_IND)) => self.disconnected(cx, msg),
            (Kind::Data | Kind::Proto, _) => {
                if cx.queue_len_on(Side::Read) > 0 || !self.may_look() {
                    cx.putq(msg);
                } else if let Err(msg) = self.take(cx, msg) {
                    cx.putq(msg);
                }
            }
            (Kind::SetOpts, _) => {
                cx.putnext(msg);
                self.connected(cx);
            }
            _ => cx.putnext(msg),
        }
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        while self.may_look()
            && let Some(msg) = cx.getq_on(Side::Read)
        {
            if let Err(msg) = self.take(cx, msg) {
                return cx.putbq(msg);
            }
        }
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.wput_batch(cx, core::iter::once(msg).collect());
    }

    fn wput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        let mut room = self.has_room(cx);
        while let Some(msg) = batch.pop() {
            let number = primitive::number(msg.first());
            let reply = matches!(number, Some(R_REPLY_REQ | R_REPLIES_REQ));
            let queued = cx.queue_len_on(Side::Write) > 0 && !(self.calls_wait && reply);
            let ordinary = matches!(msg.kind(), Kind::Proto | Kind::Data);
            if ordinary && (queued || !room) {
                self.keep(cx, msg, reply);
            } else if let Err(msg) = self.down(cx, &mut shared, msg, batch.len()) {
                self.keep(cx, msg, reply);
            } else if self.is_full() {
                self.flush(cx);
                room = room && self.has_room(cx);
            }
        }
        drop(shared);
        self.flush(cx);
        self.settle(cx);
    }

    fn wsrv(&mut self, cx: &mut Cx<'_>) {
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        while self.has_room(cx)
            && let Some(msg) = cx.getq_on(Side::Write)
        {
            let more = cx.queue_len_on(Side::Write);
            if let Err(msg) = self.down(cx, &mut shared, msg, more) {
                cx.putbq(msg);
                break;
            }
            if self.is_full() {
                self.flush(cx);
            }
        }
        drop(shared);
        self.flush(cx);
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        self.expired(cx, token);
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        self.give_back(cx);
    }

    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        self.close_now(cx)
    }

    fn export(&mut self) -> Option<State> {
        let heir = Self::new(self.role, self.commons.clone());
        let value = Box::new(core::mem::replace(self, heir));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("role", "client") => self.role = Some(Role::Client),
            ("role", "server") => self.role = Some(Role::Server),
            ("role", "none") if self.role.is_none() => {}
            ("role", _) => return Err(Invalid::value(key, value, "client or server")),
            _ => {
                self.settings.set(key, value)?;
                self.marking.set_limits(self.settings.limits());
            }
        }
        self.watch_idle(cx);
        cx.qenable(Side::Read);
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        let role = match self.role {
            Some(Role::Client) => "client",
            Some(Role::Server) => "server",
            None => "none",
        };
        fields.text("role", role);
        self.settings.show(fields);
        fields.count("in-progress", self.calls.len() as u64);
        fields.count("waiting-for-replies", self.calls_out() as u64);
        fields.count("octets-of-a-record", u64::from(self.marking.held()));
        let mut shared = self.commons.lock();
        fields.count("cached-calls", shared.drc.len() as u64);
        fields.count("cached-octets", shared.drc.held() as u64);
        fields.count("cached-bytes-of-long-replies", shared.drc.held_long() as u64);
        shared.tally.show(fields);
    }
}

/// Of the state that a successor takes over.
const VERSION: u32 = 1;

impl Rpc {
    /// Is what comes looked at? Not before role and peer are known.
    fn may_look(&self) -> bool {
        self.role.is_some() && !matches!(self.phase, Phase::Asking | Phase::Early | Phase::Knowing)
    }

    /// A message on its way down has to wait; a reply not for calls that wait for replies.
    fn keep(&self, cx: &mut Cx<'_>, msg: Msg, reply: bool) {
        if reply && self.calls_wait {
            // In front: replies need no order.
            cx.putbq(msg);
        } else {
            cx.putq_on(Side::Write, msg);
        }
    }

    fn has_room(&mut self, cx: &mut Cx<'_>) -> bool {
        cx.canput(Side::Write, Band(0))
    }

    /// A message on its way up; given back while it has to wait.
    fn take(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        let tcp = self.transport != Some(Transport::Udp);
        match (msg.kind(), tpi::primitive(msg.first())) {
            (Kind::Data, _) if tcp => self.arrived(cx, msg),
            (Kind::Proto, Some(tpi::T_DATA_IND)) if tcp => {
                let (control, data) = msg.unlink();
                cx.pool().spend(control);
                data.map_or(Ok(()), |data| self.arrived(cx, data))
            }
            (Kind::Proto, Some(tpi::T_ORDREL_IND)) => self.peer_ended(cx, msg),
            (Kind::Proto, Some(tpi::T_UNITDATA_IND)) if !tcp => self.datagram(cx, msg),
            (Kind::Proto, Some(tpi::T_UDERROR_IND)) if !tcp => {
                self.undelivered(cx, msg);
                Ok(())
            }
            _ => {
                cx.put(Side::Read, msg);
                Ok(())
            }
        }
    }

    fn arrived(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        if self.phase.is_over() {
            cx.discard(data, RpcDrop::Gone);
            return Ok(());
        }
        self.octets(cx, data)
    }

    /// A message on its way down; given back while it has to wait.
    fn down(
        &mut self,
        cx: &mut Cx<'_>,
        shared: &mut Shared,
        msg: Msg,
        more: usize,
    ) -> Result<(), Msg> {
        match msg.kind() {
            Kind::Proto | Kind::PcProto => match primitive::number(msg.first()) {
                Some(R_REPLY_REQ) => return self.reply(cx, shared, msg, more),
                Some(R_REPLIES_REQ) => return self.batch_replies(cx, shared, msg),
                Some(R_CALL_REQ) => return self.send_call(cx, shared, msg),
                Some(R_CANCEL_REQ) => self.cancel_call(cx, msg),
                _ => cx.put(Side::Write, msg),
            },
            Kind::Data => cx.discard(msg, RpcDrop::Malformed),
            Kind::Ioctl => self.ioctl(cx, msg),
            Kind::Ctl if primitive::number(msg.first()) == Some(R_BATCHES) => {
                self.in_batches = primitive::word(msg.first(), 4) == Some(1);
                cx.free(msg);
            }
            _ => cx.put(Side::Write, msg),
        }
        Ok(())
    }
}
