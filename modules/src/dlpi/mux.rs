//! dlpi as a multiplexor: streams of programs and of `ip` above, one interface below; see
//! [`Engine`].

use super::{DlpiDrop, Engine};
use crate::state;
use crate::users::Users;
use alloc::boxed::Box;
use millstream_core::dlpi::{DL_IOC_HDR_INFO, DLIOCRAW};
use millstream_core::ioctl::Iocblk;
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Format, Formats, Joint, LinkInfo, Lower, Marks, Mux,
    MuxInfo, Refused, State, Step, Upper,
};
use millstream_msg::{Band, Kind, Msg, MsgList, NoMem};

/// The multiplexor.
#[derive(Debug, Default)]
pub struct Dlpi {
    engine: Engine,
    /// By the engine's number.
    users: Users,
}

const INFO: MuxInfo = MuxInfo {
    name: "dlpi",
    about: "frames of an interface by their type (DLPI 2, style 1)",
    marks: Marks::RESTING,
    uwsrv: true,
    lrsrv: false,
    headroom: 14,
    // Users above speak DLPI, which no other module does.
    contract: Contract { below: Joint::both(Formats::of(Format::Frames)), ..Contract::TRANSPARENT },
};

/// The layout of the state that it hands over: all of it, streams and tables, with their key.
const VERSION: u32 = 1;

impl From<DlpiDrop> for Drop {
    fn from(reason: DlpiDrop) -> Self {
        Self(reason.name())
    }
}

impl Dlpi {
    /// Without streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends what the engine has left: frames down, messages up (runs of one stream together),
    /// drops counted.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let down = core::mem::take(&mut self.engine.out.act.down);
        self.users.put_down(cx, down);
        let mut up = core::mem::take(&mut self.engine.out.up);
        let (mut run, mut to) = (MsgList::new(), None);
        for (user, msg) in up.drain(..) {
            if to != Some(user) {
                self.put_up(cx, to.replace(user), core::mem::take(&mut run));
            }
            run.push(msg);
        }
        self.put_up(cx, to, run);
        self.engine.out.up = up;
        for (msg, reason) in self.engine.out.act.dropped.drain(..) {
            cx.discard(msg, reason);
        }
        cx.count_consumed(u64::from(core::mem::take(&mut self.engine.out.act.consumed)));
        let lost = core::mem::take(&mut self.engine.out.lost);
        if lost > 0 {
            cx.count_drops(DlpiDrop::NoMem, lost);
        }
    }

    /// Hands messages to a stream; frames only while it has room.
    fn put_up(&self, cx: &mut Cx<'_>, user: Option<u32>, mut run: MsgList) {
        let Some(upper) = user.and_then(|user| self.users.upper(user)) else {
            return run.for_each(|msg| cx.discard(msg, Drop::GONE));
        };
        if cx.canput_upper(upper, Band(0)) {
            return cx.put_upper_batch(upper, run);
        }
        while let Some(msg) = run.pop() {
            if msg.kind().is_high_priority() {
                cx.put_upper(upper, msg);
            } else {
                cx.discard(msg, DlpiDrop::ReceiverFull);
            }
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match msg.kind() {
            Kind::Ioctl | Kind::IocData => self.ioctl(cx, from, msg),
            Kind::Ctl => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            _ => self.engine.output(from.cookie as u32, msg, cx.pool()),
        }
    }

    fn ioctl(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        // What the stream sent before it leaves before its answer.
        self.settle(cx);
        let cmd = Iocblk::parse(msg.first()).map(|blk| blk.cmd);
        if msg.kind() != Kind::Ioctl || !matches!(cmd, Some(DLIOCRAW | DL_IOC_HDR_INFO)) {
            return cx.unknown_ioctl(from, msg);
        }
        let header = match self.engine.ioctl(from.cookie as u32, &msg) {
            Ok(header) => header,
            Err(errno) => return cx.miocnak(msg, errno),
        };
        match header.map(|bytes| cx.pool().copy_from(0, &bytes)) {
            Some(Ok(data)) => cx.miocack(msg, 0, Some(data)),
            Some(Err(NoMem)) => cx.miocnak(msg, Errno::ENOSR),
            None => cx.miocack(msg, 0, None),
        }
    }

    /// The line is gone, has come back or has failed: every stream is told.
    fn tell_all(&self, cx: &mut Cx<'_>, msg: Msg) {
        for upper in self.users.iter() {
            match msg.copy(cx.pool()) {
                Ok(twin) => cx.put_upper(upper, twin),
                Err(NoMem) => cx.count_drops(DlpiDrop::NoMem, 1),
            }
        }
        cx.free(msg);
    }
}

impl Mux for Dlpi {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        // Style 1: a stream is attached when it is open.
        if self.users.lower().is_none() {
            return Err(Errno::ENXIO);
        }
        let user = self.engine.open();
        self.users.open(cx, upper, user);
        Ok(Step::Done)
    }

    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
        self.engine.close(upper.cookie as u32);
        self.users.close(cx, upper.cookie as u32);
        self.settle(cx);
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, info: LinkInfo) -> Result<(), Errno> {
        // Only a device has a station.
        let caps = info.caps.ok_or(Errno::EINVAL)?;
        self.users.link(lower)?;
        (self.engine.mac, self.engine.mtu) = (caps.mac, caps.mtu);
        cx.set_caps(Some(caps));
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        cx.set_caps(None);
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
            match msg.kind() {
                Kind::Data => self.engine.input(msg, cx.pool()),
                Kind::Flush => cx.turn_flush_lower(from, msg),
                Kind::Hangup | Kind::Unhangup | Kind::Error => {
                    self.settle(cx);
                    self.tell_all(cx, msg);
                }
                _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.settle(cx);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::take(self));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("streams", self.engine.users() as u64);
    }
}
