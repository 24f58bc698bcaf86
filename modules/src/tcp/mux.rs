//! tcp as a multiplexor: users above, `ip` below. See [`Engine`].

use super::TcpDrop;
use super::engine::{Asked, Engine, SocketView};
use super::tunables;
use crate::ctl::Ctl;
use crate::ip::protocol;
use crate::state;
use crate::users::Users;
use alloc::boxed::Box;
use core::any::Any;
use millstream_core::tpi;
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Format, Invalid, LinkInfo, Lower, Marks, Mux, MuxInfo,
    Refused, State, Step, Upper,
};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// The multiplexor. One lower stream, on `ip`.
#[derive(Debug)]
pub struct Tcp {
    engine: Engine,
    users: Users,
    /// There was no room below: connections wait for it.
    held_up: bool,
}

/// What `tcp` says of itself. Parameters, for streams that are opened from then on: `ecn=on|off`,
/// whether our connections ask for marks of congestion (RFC 3168; who asks us gets them in any
/// case); `timestamps=on|off` and `sack=on|off`, whether they are offered and taken (RFC 7323,
/// RFC 2018); `window_scale=0..14` of the windows we announce; `initial_window=SEGMENTS`
/// (RFC 6928); `rto_min=MS`, what the retransmission timeout is longer than the round trip at
/// least; `congestion=cubic|reno`.
pub const INFO: MuxInfo = MuxInfo {
    name: "tcp",
    about: "streams of octets between ports (RFC 9293)",
    marks: Marks::RESTING,
    uwsrv: true,
    lrsrv: false,
    // Headers go into a block of their own, in front of the user's blocks.
    headroom: 0,
    contract: Contract::between(Format::Bytes, Format::Packets),
};

/// The layout of the state that it hands over: all of it, connections, listeners and keys.
pub(crate) const VERSION: u32 = 1;

/// A timer of a socket has its number; with this added it is that of the close that waits for it.
const LINGERS: u64 = 1 << 32;

/// Of the call when the stack rests.
const AT_REST: u64 = 1 << 33;

impl From<TcpDrop> for Drop {
    fn from(reason: TcpDrop) -> Self {
        Self(reason.name())
    }
}

impl Tcp {
    /// Without users. `key` is random: peers must not know it.
    pub fn new(key: u64) -> Self {
        Self { engine: Engine::new(key), users: Users::default(), held_up: false }
    }

    /// Every socket, with the stream above it: what `ss` shows.
    pub fn sockets(&self, now: u64) -> impl Iterator<Item = (SocketView, Option<Upper>)> {
        self.engine.sockets(now).map(|socket| {
            let upper = socket.user.and_then(|user| self.users.upper(user));
            (socket, upper)
        })
    }

    /// Hands up and sends what the engine has left, connection by connection; then counts.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.see_to_users(cx);
        let now = cx.now();
        while self.engine.is_dirty()
            && self.has_room(cx)
            && let Some((number, user)) = self.engine.next_dirty()
        {
            let unread = self.hand_up(cx, number, user);
            self.engine.output(number, unread, now, cx.pool());
            self.send(cx);
        }
        self.see_to_users(cx);
        self.send(cx);
        if self.engine.has_put_off() {
            cx.at_rest(AT_REST);
        }
        self.count(cx);
    }

    /// All but segments and data: what users are told, the wheel, closes that are done.
    fn see_to_users(&mut self, cx: &mut Cx<'_>) {
        if self.engine.out.is_empty() {
            return;
        }
        self.tell(cx);
        for (number, at) in self.engine.out.timers.drain(..) {
            if at == super::tcb::NEVER {
                cx.cancel(number.into());
            } else {
                cx.timer(number.into(), at);
            }
        }
        self.let_go(cx);
    }

    /// What has ended here, and why.
    fn count(&mut self, cx: &mut Cx<'_>) {
        let shared = self.engine.shared();
        if shared.has_ended_none() {
            return;
        }
        for (msg, reason) in shared.act.dropped.drain(..) {
            cx.discard(msg, reason);
        }
        for reason in shared.happened.drain(..) {
            cx.count_drops(reason, 1);
        }
        cx.count_consumed(u64::from(core::mem::take(&mut shared.act.consumed)));
    }

    fn send(&mut self, cx: &mut Cx<'_>) {
        let down = core::mem::take(&mut self.engine.shared().act.down);
        if !down.is_empty() {
            self.users.put_down(cx, down);
        }
    }

    /// Acknowledgements and indications that are no connection's data.
    fn tell(&mut self, cx: &mut Cx<'_>) {
        for (user, msg) in self.engine.out.up.drain(..) {
            match self.users.upper(user) {
                Some(upper) => cx.put_upper(upper, msg),
                None => cx.discard(msg, Drop::GONE),
            }
        }
        for user in self.engine.out.room.drain(..) {
            if let Some(upper) = self.users.upper(user) {
                cx.qenable_upper(upper);
            }
        }
    }

    /// Closes that have waited are done.
    fn let_go(&mut self, cx: &mut Cx<'_>) {
        for (user, number) in self.engine.out.closed.drain(..) {
            cx.cancel(LINGERS + u64::from(number));
            if let Some(upper) = self.users.upper(user) {
                cx.upper_closed(upper);
            }
            self.users.close(cx, user);
        }
    }

    /// Hands up what a connection has for its user, as far as there is room above; what waits
    /// there then. Of one that is over all goes up, which is at most what its window let come: a
    /// user that writes is to find the word of its end at the head, and not write into nothing.
    fn hand_up(&mut self, cx: &mut Cx<'_>, number: u32, user: Option<u32>) -> u32 {
        let Some(upper) = user.and_then(|user| self.users.upper(user)) else { return 0 };
        while self.engine.has_up(number)
            && (cx.canput_upper(upper, Band(0)) || self.engine.is_over(number))
        {
            // What came in one batch is at most what the window let come.
            if let Some(data) = self.engine.next_data(number) {
                cx.put_upper_batch(upper, data);
                continue;
            }
            match self.engine.next_up(number, cx.pool()) {
                Some(msg) => cx.put_upper(upper, msg),
                None => break,
            }
        }
        cx.upper_held(upper)
    }

    fn has_room(&mut self, cx: &mut Cx<'_>) -> bool {
        let room = self.users.lower().is_none_or(|lower| cx.canput_lower(lower, Band(0)));
        self.held_up |= !room;
        room
    }

    fn ask(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        let (now, random) = (cx.now(), cx.rng().next_u32());
        let mut at = Asked { user: from.cookie as u32, now, random, pool: cx.pool() };
        self.engine.asks(msg, &mut at);
    }

    fn take(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match msg.kind() {
            Kind::Flush => cx.turn_flush_upper(from, msg),
            Kind::Ioctl | Kind::IocData => cx.unknown_ioctl(from, msg),
            kind if kind.is_high_priority() => self.ask(cx, from, msg),
            Kind::Proto if overtakes_data(&msg) => {
                if tpi::primitive(msg.first()) == Some(tpi::T_DISCON_REQ) {
                    while let Some(waits) = cx.getq_upper(from) {
                        cx.discard(waits, TcpDrop::Gone);
                    }
                }
                self.ask(cx, from, msg);
            }
            _ if cx.upper_len(from) > 0 || !self.engine.has_room(from.cookie as u32) => {
                cx.putq_upper(from, msg);
            }
            _ => self.ask(cx, from, msg),
        }
    }
}

/// Data may wait for ever while the peer's window is closed: who asks for options or gives the
/// connection up does not.
fn overtakes_data(msg: &Msg) -> bool {
    matches!(tpi::primitive(msg.first()), Some(tpi::T_OPTMGMT_REQ | tpi::T_DISCON_REQ))
}

impl Mux for Tcp {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        let user = self.engine.open();
        self.users.open(cx, upper, user);
        Ok(Step::Done)
    }

    fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
        let user = upper.cookie as u32;
        let (now, unread) = (cx.now(), u32::from(cx.upper_has_data(upper)));
        // The connection delivers what did not fit into its send buffer, however long it takes.
        while let Some(msg) = cx.getq_upper(upper) {
            self.ask(cx, upper, msg);
        }
        let waits = self.engine.close(user, unread, now, cx.pool());
        match waits {
            Some((number, until)) => cx.timer(LINGERS + u64::from(number), until),
            None => self.users.close(cx, user),
        }
        self.settle(cx);
        if waits.is_some() { Step::Pending } else { Step::Done }
    }

    fn takes_backlog(&self) -> bool {
        true
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, _info: LinkInfo) -> Result<(), Errno> {
        let word = Ctl::TakeProtocol(protocol::TCP).to_msg(cx.pool()).map_err(|_| Errno::ENOSR)?;
        if let Err(errno) = self.users.link(lower) {
            cx.free(word);
            return Err(errno);
        }
        cx.put_lower(lower, word);
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        self.users.unlink(cx);
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        self.take(cx, from, msg);
        self.settle(cx);
    }

    fn uwput_batch(&mut self, cx: &mut Cx<'_>, from: Upper, batch: MsgList) {
        for msg in batch {
            self.take(cx, from, msg);
        }
        self.settle(cx);
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while self.engine.has_room(upper.cookie as u32)
            && let Some(msg) = cx.getq_upper(upper)
        {
            self.ask(cx, upper, msg);
            self.settle(cx);
        }
    }

    fn upper_relieved(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        self.engine.relieved(upper.cookie as u32);
        self.settle(cx);
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        if core::mem::take(&mut self.held_up) {
            self.settle(cx);
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        let mut one = MsgList::new();
        one.push(msg);
        self.lrput_batch(cx, from, one);
    }

    fn lrput_batch(&mut self, cx: &mut Cx<'_>, from: Lower, batch: MsgList) {
        let now = cx.now();
        for msg in batch {
            match (msg.kind(), Ctl::from_msg(&msg)) {
                (Kind::Data, _) => self.engine.input(msg, now, cx.pool()),
                (Kind::Flush, _) => cx.turn_flush_lower(from, msg),
                (_, Some(ctl)) => {
                    self.engine.told(&ctl, now, cx.pool());
                    cx.free(msg);
                }
                _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        let now = cx.now();
        if token == AT_REST {
            self.engine.rests();
        } else if token >= LINGERS {
            self.engine.linger_over(token as u32);
        } else {
            self.engine.expired(token as u32, now, cx.pool());
        }
        self.settle(cx);
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        tunables::set(self.engine.defaults_mut(), key, value)
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::replace(self, Self::new(0)));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn show(&self, fields: &mut Fields) {
        tunables::show(self.engine.defaults(), fields);
        fields.count("sockets", self.engine.connections() as u64);
    }
}
