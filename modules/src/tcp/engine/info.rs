//! TCP_INFO: the figures of a connection, as Linux lays them out (`struct tcp_info`).

use super::{Engine, Socket, User};
use crate::tcp::output;
use crate::tcp::tcb::{Marks, Tcb, ms};
use millstream_core::tpi::option::{HEADER_LEN, Records};
use millstream_core::tpi::{self, OptmgmtReq, Primitive};
use millstream_msg::{Kind, Msg, Pool};

/// The name of the option, at level TCP. Only read, and alone in its request.
pub const INFO: i32 = 11;
/// Bytes of the value. 0 are the fields that nothing here counts: those of Fast Open, of the time
/// that sending was limited and by what (busy, receiver's window, send buffer), of what was
/// delivered with a mark of congestion, and those that Linux leaves at 0 (fackets, last_ack_sent).
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
        let number = self.user(user).and_then(User::socket);
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
    let loss = &tcb.loss;
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
    value[7] = u8::from(loss.is_unused());
    for (at, number) in words(tcb, now) {
        value[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    for (at, number) in long_words(tcb, now) {
        value[at..at + 8].copy_from_slice(&number.to_ne_bytes());
    }
    value
}

/// Words, and where they stand.
fn words(tcb: &Tcb, now: u64) -> [(usize, u32); 33] {
    let (loss, rtt) = (&tcb.loss, tcb.loss.rtt());
    let us = |ns: u64| (ns / 1000).min(u32::MAX.into()) as u32;
    let segments = |octets: u32| octets.div_ceil(u32::from(tcb.mss));
    let since_ms = |at_ms: u32| ms(now).wrapping_sub(at_ms);
    let counters = loss.counters();
    let (mut sacked, mut lost, mut again) = (0, 0, 0);
    if let Some(flight) = tcb.flight.as_deref() {
        let records = &flight.records;
        (sacked, lost, again) = (records.sacked(), records.lost(), records.again());
    }
    let (reader_rtt_us, reader_octets) = tcb.reader.figures();
    [
        (8, us(rtt.timeout())),
        (12, us(output::DELAYED_ACK_NS)),
        (16, tcb.mss.into()),
        (20, tcb.rcv_mss.into()),
        (24, segments(tcb.nxt.since(tcb.una))),
        (28, segments(sacked)),
        (32, segments(lost)),
        (36, segments(again)),
        (44, if loss.last_sent() == 0 { 0 } else { since_ms(ms(loss.last_sent())) }),
        (52, since_ms(tcb.heard_ms)),
        (56, since_ms(tcb.heard_ms)),
        (60, tcb.path_mtu.into()),
        (64, tcb.rcv_buf.min(output::window_max(tcb))),
        (68, us(rtt.smoothed().unwrap_or(0))),
        (72, us(rtt.deviation())),
        (76, segments(loss.ssthresh()).min(i32::MAX as u32)),
        (80, segments(loss.cwnd())),
        (84, tcb.path_mtu.saturating_sub(40).into()),
        (88, DUPLICATES),
        (92, reader_rtt_us),
        (96, reader_octets),
        (100, segments(counters.resent)),
        (136, tcb.count.segments_out),
        (140, tcb.count.segments_in),
        (144, tcb.unsent()),
        (148, us(rtt.least().unwrap_or(0))),
        (152, tcb.count.data_in),
        (156, tcb.count.data_out),
        (192, segments((tcb.count.acked as u32).wrapping_add(sacked))),
        (216, counters.dsacks.into()),
        (220, loss.reordering_seen().into()),
        (224, loss.out_of_order()),
        (228, tcb.wnd),
    ]
}

/// Double words, and where they stand.
fn long_words(tcb: &Tcb, now: u64) -> [(usize, u64); 7] {
    let (loss, counters) = (&tcb.loss, tcb.loss.counters());
    let flying = u64::from(tcb.nxt.since(tcb.una));
    let most = match tcb.settings.max_pacing {
        0 => u64::MAX,
        most => most.into(),
    };
    [
        (104, tcb.pace(now).unwrap_or_else(|| pace_of(tcb))),
        (112, most),
        (120, tcb.count.acked),
        (128, tcb.count.received),
        (160, loss.delivery_rate().into()),
        (200, tcb.count.acked + flying + u64::from(counters.resent)),
        (208, counters.resent.into()),
    ]
}

/// The pace that Linux would tell of a connection without one: what fills the window in half of a
/// round trip while it grows fast, else in five sixths.
fn pace_of(tcb: &Tcb) -> u64 {
    let Some(rtt) = tcb.loss.rtt().smoothed() else { return u64::MAX };
    let (cwnd, ssthresh) = (tcb.loss.cwnd(), tcb.loss.ssthresh());
    let percent = if cwnd < ssthresh / 2 { 200 } else { 120 };
    u64::from(cwnd) * percent * 10_000_000 / rtt.max(1)
}

/// Segments behind a hole that make it a loss, as Linux tells it.
const DUPLICATES: u32 = 3;
/// States that no connection has, by Linux' numbers.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
