//! TCP_INFO: the figures of a connection, as Linux lays them out (`struct tcp_info`).

use super::{Engine, Socket};
use crate::tcp::output;
use crate::tcp::tcb::{Marks, Tcb, ms};
use millstream_core::tpi::option::{HEADER_LEN, Records};
use millstream_core::tpi::{self, OptmgmtReq, Primitive};
use millstream_msg::{Kind, Msg, Pool};

/// The name of the option, at level TCP. Only read, and alone in its request.
pub const INFO: i32 = 11;
/// Bytes of the value. Fields that say nothing here are 0.
pub const LEN: usize = 232;

impl Engine {
    /// The answer to a request that reads TCP_INFO and nothing else; it is longer than any other.
    /// `None`: it is another request, or there is no memory for the answer.
    pub(super) fn info_ack(
        &self,
        request: &[u8],
        user: u32,
        now: u64,
        pool: &mut Pool,
    ) -> Option<Msg> {
        let view = OptmgmtReq::new(request).ok()?;
        let mut records = Records::new(view.options());
        let record = records.next()?.ok()?;
        let asked = (record.level, record.name) == (super::names::TCP, INFO);
        if view.flags() != tpi::T_CURRENT || !asked || records.next().is_some() {
            return None;
        }
        let value = self.info(user, now);
        let head = [tpi::T_OPTMGMT_ACK, (HEADER_LEN + LEN) as i32, 16, tpi::T_SUCCESS];
        let option = [(HEADER_LEN + LEN) as i32, record.level, record.name, tpi::T_SUCCESS];
        let [head, option] = [head, option].map(|words| Primitive::new(&words));
        let mut msg = pool.alloc(0, 16 + HEADER_LEN + LEN).ok()?;
        let mut at = 0;
        for bytes in [head.as_bytes(), option.as_bytes(), &value] {
            msg.spare_mut().get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
            at += bytes.len();
        }
        msg.commit(at);
        msg.set_kind(Kind::PcProto);
        Some(msg)
    }

    /// The figures of a user's connection; without one, only its state.
    pub fn info(&self, user: u32, now: u64) -> [u8; LEN] {
        let number = self.user(user).and_then(|user| user.socket);
        match number.and_then(|number| self.sockets.get(number as usize)) {
            Some(Some(Socket::Connection(tcb))) => figures(tcb, now),
            Some(Some(Socket::Listening(_))) => only_state(LISTEN),
            _ => only_state(CLOSE),
        }
    }
}

fn only_state(state: u8) -> [u8; LEN] {
    let mut value = [0; LEN];
    value[0] = state;
    value
}

fn figures(tcb: &Tcb, now: u64) -> [u8; LEN] {
    let over = tcb.marks.has(Marks::DEAD);
    let mut value = only_state(if over { CLOSE } else { tcb.state.linux_number() });
    let (loss, rtt) = (&tcb.loss, tcb.loss.rtt());
    let option = |mark, bit: u8| if tcb.marks.has(mark) { bit } else { 0 };
    value[1] = loss.state() as u8;
    value[2] = loss.backed_off().min(255) as u8;
    value[3] = tcb.probes;
    value[4] = tcb.probe_backoff;
    value[5] = option(Marks::TIMESTAMPS, 1)
        | option(Marks::SACK, 2)
        | option(Marks::SCALED, 4)
        | option(Marks::ECN, 8);
    value[6] = tcb.snd_scale | tcb.rcv_scale << 4;
    let mut word = |at: usize, number: u32| {
        value[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    };
    let us = |ns: u64| (ns / 1000).min(u32::MAX.into()) as u32;
    let segments = |octets: u32| octets.div_ceil(u32::from(tcb.mss));
    let flight = tcb.flight.as_deref();
    let heard = ms(now).wrapping_sub(tcb.heard_ms);
    let counters = loss.counters();
    word(8, us(rtt.timeout()));
    word(16, tcb.mss.into());
    word(20, tcb.rcv_mss.into());
    word(24, segments(tcb.nxt.since(tcb.una)));
    word(28, segments(flight.map_or(0, |flight| flight.records.sacked())));
    word(32, segments(flight.map_or(0, |flight| flight.records.lost())));
    word(52, heard);
    word(56, heard);
    word(60, tcb.path_mtu.into());
    word(64, tcb.rcv_buf);
    word(68, us(rtt.smoothed().unwrap_or(0)));
    word(72, us(rtt.deviation()));
    word(76, segments(loss.ssthresh()).min(i32::MAX as u32));
    word(80, segments(loss.cwnd()));
    word(84, tcb.path_mtu.saturating_sub(40).into());
    word(96, tcb.rcv_buf);
    word(100, segments(tcb.count.resent));
    word(136, tcb.count.segments_out);
    word(140, tcb.count.segments_in);
    word(144, tcb.unsent());
    word(148, us(rtt.least().unwrap_or(0)));
    word(216, counters.dsacks.into());
    word(220, loss.reordering_seen().into());
    word(228, output::window_left(tcb));
    value[120..128].copy_from_slice(&tcb.count.acked.to_ne_bytes());
    value[128..136].copy_from_slice(&tcb.count.received.to_ne_bytes());
    value[208..216].copy_from_slice(&u64::from(tcb.count.resent).to_ne_bytes());
    value
}

/// States that no connection has, by Linux' numbers.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
