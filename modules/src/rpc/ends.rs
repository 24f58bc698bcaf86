//! ends: how a connection begins and ends. The peer's end is held back until the calls in progress
//! are answered; an idle connection is ended; who leaves waits for calls in progress, not for ever.

use super::{Role, Rpc, RpcDrop};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Cx, Side, Step};
use millstream_msg::{Band, Kind, Msg};
use millstream_onc::Transport;
use millstream_onc::message::Outcome;

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// T_INFO_REQ is out: the push is pending.
    Asking,
    /// There is no connection yet.
    Early,
    /// T_ADDR_REQ is out.
    Knowing,
    /// Calls and replies go.
    Open,
    /// We have ended our direction, and the peer has not.
    Ended,
    /// The connection is over; calls may be in progress.
    Over,
}

impl Phase {
    /// Nothing goes to the peer any more.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Over)
    }
}

/// The beginning.
impl Rpc {
    /// Asks what is below.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) -> Result<Step, millstream_core::Errno> {
        if put_word(cx, Side::Write, &Primitive::info_req()) {
            Ok(Step::Pending)
        } else {
            Err(millstream_core::Errno::ENOSR)
        }
    }

    /// T_INFO_ACK: datagrams or a stream of octets, and how far that is.
    pub(super) fn informed(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if self.phase != Phase::Asking {
            return cx.put(Side::Read, msg);
        }
        let told = tpi::InfoAck::new(msg.first());
        let told = told.map(|ack| (ack.service(), ack.current_state(), ack.tsdu()));
        cx.free(msg);
        const CONNECTED: i32 = tpi::State::DataXfer as i32;
        let opened = match told {
            Ok((tpi::T_CLTS, ..)) => {
                self.transport = Some(Transport::Udp);
                self.phase = Phase::Open;
                Ok(())
            }
            Ok((tpi::T_COTS | tpi::T_COTS_ORD, state, 0)) => {
                self.transport = Some(Transport::Tcp);
                self.phase = Phase::Early;
                if state == CONNECTED {
                    self.connected(cx);
                }
                Ok(())
            }
            _ => Err(millstream_core::Errno::EPROTO),
        };
        cx.open_done(opened);
    }

    /// The connection stands: whose is it?
    pub(super) fn connected(&mut self, cx: &mut Cx<'_>) {
        if self.phase != Phase::Early {
            return;
        }
        if put_word(cx, Side::Write, &Primitive::addr_req()) {
            self.phase = Phase::Knowing;
        } else {
            retry(cx);
        }
    }

    /// T_ADDR_ACK.
    pub(super) fn known_to(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if self.phase != Phase::Knowing {
            return cx.put(Side::Read, msg);
        }
        self.local = tpi::address_at(msg.first(), 4);
        let peer = tpi::address_at(msg.first(), 12);
        cx.free(msg);
        let transport = self.transport.unwrap_or(Transport::Tcp);
        self.template = super::server::Template::new(transport, peer, self.local);
        self.phase = Phase::Open;
        self.active = cx.now();
        self.watch_idle(cx);
        cx.qenable(Side::Read);
        cx.qenable(Side::Write);
    }
}

/// The end.
impl Rpc {
    /// T_ORDREL_IND, held back until all is answered.
    pub(super) fn peer_ended(&mut self, cx: &mut Cx<'_>, msg: Msg) -> Result<(), Msg> {
        if self.phase == Phase::Open {
            let busy = !self.calls.is_empty() || !self.twins.is_empty();
            if busy || cx.queue_len_on(Side::Write) > 0 || !cx.canput(Side::Write, Band(0)) {
                return Err(msg);
            }
            if self.role == Some(Role::Server) {
                if !put_word(cx, Side::Write, &Primitive::ordrel_req()) {
                    retry(cx);
                    return Err(msg);
                }
                self.phase = Phase::Ended;
            }
        }
        self.cut(cx);
        self.fail_calls(cx);
        self.tell(cx, msg);
        Ok(())
    }

    /// T_DISCON_IND: nothing that waits is of use to anybody.
    pub(super) fn disconnected(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        while let Some(held) = cx.getq_on(Side::Read) {
            cx.discard(held, RpcDrop::Gone);
        }
        self.cut(cx);
        self.fail_calls(cx);
        let tell = self.phase != Phase::Over || self.farewell.is_some();
        self.phase = Phase::Over;
        if !tell {
            return cx.free(msg);
        }
        let before = self.farewell.replace(msg);
        before.into_iter().for_each(|before| cx.free(before));
        self.settle(cx);
    }

    /// The peer has broken a rule: the connection is reset.
    pub(super) fn abort(&mut self, cx: &mut Cx<'_>, rest: Option<Msg>, why: RpcDrop) {
        rest.into_iter().for_each(|rest| cx.discard(rest, why));
        self.cut(cx);
        self.fail_calls(cx);
        self.phase = Phase::Over;
        // Without memory for the word the head closes the stream, which resets it as well.
        put_word(cx, Side::Write, &Primitive::discon_req(-1));
        self.farewell = Primitive::ordrel_ind().to_msg(Kind::Proto, cx.pool()).ok();
        self.settle(cx);
    }

    /// What has come of a record comes to no end.
    fn cut(&mut self, cx: &mut Cx<'_>) {
        let held = self.marking.clear();
        for held in held.into_iter().chain(self.waiting.take()) {
            cx.discard(held, RpcDrop::Broken);
        }
    }

    /// All calls may be answered: tells who has waited for it.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        if cx.queue_len_on(Side::Read) > 0 {
            cx.qenable(Side::Read);
        }
        if !self.calls.is_empty() || !self.twins.is_empty() {
            return;
        }
        if self.leaving {
            self.flush(cx);
            self.leave(cx);
            return cx.close_done();
        }
        if let Some(farewell) = self.farewell.take() {
            self.tell(cx, farewell);
        }
    }

    /// The head is told of the end.
    fn tell(&mut self, cx: &mut Cx<'_>, indication: Msg) {
        self.phase = Phase::Over;
        cx.cancel(IDLE);
        cx.cancel(LINGER);
        cx.put(Side::Read, indication);
    }

    /// Looks again when the connection may have been idle for long.
    pub(super) fn watch_idle(&mut self, cx: &mut Cx<'_>) {
        if let Some(idle) = self.idle_ns()
            && self.phase == Phase::Open
        {
            cx.timer(IDLE, cx.now().max(self.active) + idle);
        }
    }

    fn idle_ns(&self) -> Option<u64> {
        let seconds = match (self.transport?, self.role?) {
            (Transport::Udp, _) => 0,
            (_, Role::Client) => self.settings.client_idle_s,
            (_, Role::Server) => self.settings.server_idle_s,
        };
        (seconds > 0).then_some(u64::from(seconds) * 1_000_000_000)
    }

    fn idle(&mut self, cx: &mut Cx<'_>) {
        let Some(idle) = self.idle_ns().filter(|_| self.phase == Phase::Open) else { return };
        let busy = !self.calls.is_empty() || !self.twins.is_empty() || self.calls_out() > 0;
        if busy || cx.queue_len_on(Side::Read) > 0 || cx.queue_len_on(Side::Write) > 0 {
            self.active = cx.now();
        }
        if self.active + idle > cx.now() {
            return cx.timer(IDLE, self.active + idle);
        }
        if !put_word(cx, Side::Write, &Primitive::ordrel_req()) {
            return cx.timer(IDLE, cx.now() + RETRY_NS);
        }
        self.phase = Phase::Ended;
        cx.timer(LINGER, cx.now() + LINGER_NS);
    }

    /// The peer does not end its direction: the head need not wait for it.
    fn linger(&mut self, cx: &mut Cx<'_>) {
        if self.phase != Phase::Ended {
            return;
        }
        match Primitive::ordrel_ind().to_msg(Kind::Proto, cx.pool()) {
            Ok(word) => self.tell(cx, word),
            Err(_) => cx.timer(LINGER, cx.now() + RETRY_NS),
        }
    }

    /// The module leaves: not before the calls in progress are answered, or [`leave_s`] is over.
    ///
    /// [`leave_s`]: super::Settings::leave_s
    pub(super) fn close_now(&mut self, cx: &mut Cx<'_>) -> Step {
        if self.settings.leave_s == 0 {
            self.give_up(cx);
        }
        if self.calls.is_empty() {
            self.leave(cx);
            return Step::Done;
        }
        self.leaving = true;
        cx.timer(LEAVE, cx.now() + u64::from(self.settings.leave_s) * 1_000_000_000);
        Step::Pending
    }

    /// Nobody answers them any more.
    fn give_up(&mut self, cx: &mut Cx<'_>) {
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        while let Some(call) = self.calls.take_any() {
            call.entry.into_iter().for_each(|entry| shared.drc.forget(entry));
            shared.tally.refused(Outcome::SystemErr);
            match call.control {
                Some(to) => cx.discard(to, RpcDrop::Gone),
                None => {
                    let _no_memory = self.replies.refusal(call.xid, Outcome::SystemErr, cx.pool());
                }
            }
        }
        drop(shared);
        self.flush(cx);
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        for token in [RETRY, IDLE, LINGER, LEAVE, TWINS, CLIENT] {
            cx.cancel(token);
        }
        self.twins.clear();
        self.fail_calls(cx);
        let held = self.marking.clear();
        for held in held.into_iter().chain(self.waiting.take()).chain(self.farewell.take()) {
            cx.discard(held, RpcDrop::Gone);
        }
    }

    /// What is held of a record goes up as it came, for whoever reads this stream next.
    pub(super) fn give_back(&mut self, cx: &mut Cx<'_>) {
        self.flush(cx);
        if let Some(mut record) = self.waiting.take() {
            let mark = super::marking::mark(record.len() as u32, true);
            match record.prepend(cx.pool(), mark.len()) {
                Ok(front) => {
                    front.copy_from_slice(&mark);
                    cx.put(Side::Read, record);
                }
                Err(_) => cx.discard(record, RpcDrop::NoMem),
            }
        }
        if let Ok(Some(held)) = self.marking.give_back(cx.pool()) {
            cx.put(Side::Read, held);
        }
    }

    /// A timer has expired.
    pub(super) fn expired(&mut self, cx: &mut Cx<'_>, token: u64) {
        match token {
            IDLE => self.idle(cx),
            LINGER => self.linger(cx),
            LEAVE if self.leaving => {
                self.give_up(cx);
                self.settle(cx);
            }
            TWINS => self.look_for_twins(cx),
            CLIENT => self.calls_late(cx),
            _ => {
                if self.phase == Phase::Early {
                    self.connected(cx);
                }
                cx.qenable(Side::Read);
                cx.qenable(Side::Write);
            }
        }
    }

    /// Have calls been answered elsewhere that were sent here again?
    fn look_for_twins(&mut self, cx: &mut Cx<'_>) {
        use super::drc::Known;
        let commons = self.commons.clone();
        let mut shared = commons.lock();
        let (mut twins, mut answered) = (core::mem::take(&mut self.twins), 0);
        twins.retain(|&(xid, twin)| match shared.drc.outcome(twin) {
            Some(Known::InProgress(_)) => true,
            Some(Known::Done(reply)) if !reply.is_empty() => {
                let again = self.replies.again(xid, reply, cx.pool());
                answered += u64::from(again.is_ok());
                again.is_err()
            }
            // It ended without a reply: this one has none either.
            _ => false,
        });
        shared.tally.duplicates_answered += answered;
        drop(shared);
        self.twins = twins;
        self.flush(cx);
        if self.twins.is_empty() {
            self.settle(cx);
        } else {
            watch_twins(cx);
        }
    }
}

/// Tries again what there was no memory for.
pub(super) fn retry(cx: &mut Cx<'_>) {
    cx.timer(RETRY, cx.now() + RETRY_NS);
}

/// Looks for replies of calls in progress on other connections.
pub(super) fn watch_twins(cx: &mut Cx<'_>) {
    cx.timer(TWINS, cx.now() + TWINS_NS);
}

/// Calls [`Rpc::calls_late`] at this time.
pub(super) fn watch_calls(cx: &mut Cx<'_>, at: u64) {
    cx.timer(CLIENT, at);
}

/// Sends a primitive; false without memory for it.
fn put_word(cx: &mut Cx<'_>, side: Side, word: &Primitive) -> bool {
    let Ok(msg) = word.to_msg(word.kind(), cx.pool()) else { return false };
    cx.put(side, msg);
    true
}

const RETRY: u64 = 0;
const IDLE: u64 = 1;
const LINGER: u64 = 2;
const LEAVE: u64 = 3;
const TWINS: u64 = 4;
const CLIENT: u64 = 5;

/// Memory that was missing is asked for again after so long.
const RETRY_NS: u64 = 10_000_000;
/// A peer may end its direction so long after we have ended ours.
const LINGER_NS: u64 = 10_000_000_000;
/// A reply may be so late that another connection has.
const TWINS_NS: u64 = 10_000_000;
