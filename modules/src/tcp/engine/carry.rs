//! Requests of `tcp` alone, beside those of TPI: a connection leaves its stream as bytes, and goes
//! on at a stream of another stack.

use super::request::{Asked, Refusal};
use super::{Engine, Has, Socket, ends_of};
use crate::tcp::carry::{self, Carried, OCTETS_MAX};
use crate::tcp::tcb::{Marks, NOBODY, State, Tcb};
use crate::tcp::{Range, TcpDrop, output};
use alloc::boxed::Box;
use millstream_core::tpi::Primitive;
use millstream_msg::{Kind, Msg};

/// M_PROTO of one word: the connection of the stream leaves without a word to its peer, and the
/// stream has no address any more. T_OK_ACK, with the bytes as its data part. In ESTABLISHED and
/// CLOSE-WAIT; octets that wait at the head stay there.
pub const T_EXPORT_REQ: i32 = 0x6d73_0001;

/// M_PROTO of two words with a data part, on a stream without an address: the number, and 1 when
/// more of the bytes follow in another request, else 0. T_OK_ACK; the stream is connected after
/// the last. EINVAL: they are not those of a connection; TBADADDR: its address is not one of this
/// host; TADDRBUSY: it is here.
pub const T_IMPORT_REQ: i32 = 0x6d73_0002;

impl Engine {
    /// T_EXPORT_REQ.
    pub(super) fn export(&mut self, msg: Msg, at: &mut Asked<'_>) {
        self.shared.act.consume(msg, at.pool);
        let ack = self.exported(at).unwrap_or_else(|refusal| {
            let (tli, errno) = refusal.numbers();
            Primitive::error_ack(T_EXPORT_REQ, tli, errno).to_msg(Kind::PcProto, at.pool).ok()
        });
        if let Some(ack) = ack {
            self.out.up.push((at.user, ack));
        }
    }

    fn exported(&mut self, at: &mut Asked<'_>) -> Result<Option<Msg>, Refusal> {
        let (number, tcb) = self.connection_of(at.user).ok_or(Refusal::OutOfState)?;
        let stands = matches!(tcb.state, State::Established | State::CloseWait);
        if !stands || tcb.marks.has(Marks::CLOSING) || tcb.marks.has(Marks::DEAD) {
            return Err(Refusal::OutOfState);
        }
        let bytes = carry::write(tcb, at.now, at.pool).map_err(|_| Refusal::NoMemory)?;
        let ack = Primitive::ok_ack(T_EXPORT_REQ);
        let mut ack = ack.to_msg(Kind::PcProto, at.pool).map_err(|_| Refusal::NoMemory)?;
        let data = at
            .pool
            .copy_from(0, &[])
            .and_then(|mut data| data.append(at.pool, &bytes).map(|()| data));
        match data {
            Ok(data) => ack.link(data),
            Err(_) => {
                at.pool.spend(ack);
                return Err(Refusal::NoMemory);
            }
        }
        // Nothing is told to anybody: the connection lives on elsewhere.
        self.with(number, at.now, at.pool, |tcb, env| {
            env.retire_flight(tcb);
            if let Some(mut reassembly) = tcb.reassembly.take() {
                env.shared.out_of_order.changed(reassembly.truesize(), 0);
                reassembly.clear(env.pool);
            }
            while let Some(msg) = tcb.ready.pop() {
                env.consume(msg);
            }
            tcb.user = NOBODY;
        });
        self.forget(number);
        if let Some(user) = self.user_mut(at.user) {
            user.has = Has::Nothing;
        }
        Ok(Some(ack))
    }

    /// T_IMPORT_REQ.
    pub(super) fn import(&mut self, msg: Msg, at: &mut Asked<'_>) {
        let done = self.imported(&msg, at);
        self.shared.act.consume(msg, at.pool);
        let ack = match done {
            Ok(()) => Primitive::ok_ack(T_IMPORT_REQ),
            Err(refusal) => {
                self.coming.remove(&at.user);
                let (tli, errno) = refusal.numbers();
                Primitive::error_ack(T_IMPORT_REQ, tli, errno)
            }
        };
        if let Ok(ack) = ack.to_msg(Kind::PcProto, at.pool) {
            self.out.up.push((at.user, ack));
        }
    }

    fn imported(&mut self, msg: &Msg, at: &mut Asked<'_>) -> Result<(), Refusal> {
        let more = millstream_core::tpi::word(msg.first(), 4).ok_or(Refusal::BadData)? != 0;
        let user = self.user(at.user).filter(|user| user.socket().is_none());
        user.ok_or(Refusal::OutOfState)?;
        let bytes = self.coming.entry(at.user).or_default();
        let (from, len) = (msg.run_len(), msg.data_len());
        if bytes.len() + len > OCTETS_MAX {
            return Err(Refusal::BadData);
        }
        let before = bytes.len();
        bytes.resize(before + len, 0);
        msg.copy_out(from, &mut bytes[before..]);
        if more {
            return Ok(());
        }
        let bytes = self.coming.remove(&at.user).unwrap_or_default();
        let carried = carry::read(&bytes, at.now).ok_or(Refusal::BadData)?;
        self.go_on(carried, at)
    }

    fn go_on(&mut self, carried: Carried, at: &mut Asked<'_>) -> Result<(), Refusal> {
        let Carried { mut tcb, sent, ready } = carried;
        if !self.locals.may_bind(tcb.local.ip) || self.locals.is_many(tcb.local.ip) {
            return Err(Refusal::NotLocal);
        }
        for (octets, to) in [(sent, true), (ready, false)] {
            if octets.is_empty() {
                continue;
            }
            let msg = at
                .pool
                .copy_from(0, &[])
                .and_then(|mut msg| msg.append(at.pool, &octets).map(|()| msg));
            let Ok(msg) = msg else {
                self.give_up(tcb, at);
                return Err(Refusal::NoMemory);
            };
            if to {
                let una = tcb.una;
                let mut env = self.env(at);
                let flight = env.flight(&mut tcb, una);
                flight.queue.append(msg, env.pool);
            } else {
                tcb.ready.push(msg);
            }
        }
        let number = self.fresh();
        let ends = ends_of(tcb.local.into(), tcb.remote.into());
        if let Err(error) = self.table.accept(number, &ends, tcb.settings.reuse) {
            self.free.push(number);
            self.give_up(tcb, at);
            return Err(error.into());
        }
        tcb.user = at.user;
        tcb.marks.set(Marks::TELL_BUFFER);
        self.sockets[number as usize] = Some(Socket::Connection(Box::new(tcb)));
        if let Some(user) = self.user_mut(at.user) {
            user.has = Has::Socket(number);
        }
        self.with(number, at.now, at.pool, |tcb, env| {
            resume(tcb, env.now);
            output::acknowledge(tcb, env);
        });
        Ok(())
    }

    fn give_up(&mut self, mut tcb: Tcb, at: &mut Asked<'_>) {
        let mut env = self.env(at);
        env.retire_flight(&mut tcb);
        while let Some(msg) = tcb.ready.pop() {
            env.discard(msg, TcpDrop::NoMem);
        }
    }
}

/// What was in flight is so again, as far as is known: its timers begin now.
fn resume(tcb: &mut Tcb, now: u64) {
    let (mut start, nxt) = (tcb.una, tcb.nxt);
    while start.before(nxt) {
        let end = start.add(nxt.since(start).min(PIECE));
        tcb.nxt = start;
        let at = tcb.sending(now);
        if let Some(flight) = &mut tcb.flight {
            tcb.loss.sent(&mut flight.records, Range::new(start, end), &at);
        }
        start = end;
    }
    tcb.nxt = nxt;
}

/// What one record of loss recovery holds here: a super-segment.
const PIECE: u32 = 65_000;
