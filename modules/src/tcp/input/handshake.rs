//! SYN: the segments that make a connection.

use super::challenge;
use crate::tcp::autotune::Reader;
use crate::tcp::env::{Env, Event};
use crate::tcp::loss::Ack;
use crate::tcp::output::{output, send_syn};
use crate::tcp::tcb::{Marks, State, Tcb, default_mss, ms};
use crate::tcp::{Flags, Segment, TcpDrop, user};
use millstream_core::Errno;
use millstream_msg::Msg;

/// SYN-SENT (RFC 9293 section 3.10.7.3).
pub(super) fn syn_sent(tcb: &mut Tcb, seg: &Segment, msg: Msg, env: &mut Env<'_>) {
    let acks = seg.flags.has(Flags::ACK);
    if acks && (!seg.ack.after(tcb.iss) || seg.ack.after(tcb.nxt)) {
        if !seg.flags.has(Flags::RST) {
            env.shared.refuse(seg, env.now, env.pool);
        }
        return env.discard(msg, TcpDrop::BadAck);
    }
    if seg.flags.has(Flags::RST) {
        if acks {
            user::over(tcb, Some(Errno::ECONNREFUSED), env);
        }
        return env.discard(msg, TcpDrop::Reset);
    }
    if !seg.flags.has(Flags::SYN) {
        return env.discard(msg, TcpDrop::NoSyn);
    }
    negotiate(tcb, seg, env.now);
    if !acks {
        // Both have asked (MUST-10): our SYN goes again, with an acknowledgement.
        tcb.state = State::SynReceived;
        send_syn(tcb, env);
        return env.consume(msg);
    }
    if seg.flags.has(Flags::ECE) && !seg.flags.has(Flags::CWR) && tcb.asks_for_marks() {
        tcb.marks.set(Marks::ECN);
    }
    acknowledged(tcb, seg, env);
    // The window of a SYN is not scaled.
    set_window(tcb, seg, u32::from(seg.window));
    established(tcb, env);
    tcb.marks.set(Marks::ACK_NOW);
    // Data beside a SYN come again.
    env.consume(msg);
}

/// A passive open: what a SYN at a listener says. Its answer leaves.
pub(in crate::tcp) fn answer(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    negotiate(tcb, seg, env.now);
    let asks_ecn = Flags::ECE.with(Flags::CWR);
    if seg.flags.has(asks_ecn) {
        tcb.marks.set(Marks::ECN);
    }
    set_window(tcb, seg, u32::from(seg.window));
    send_syn(tcb, env);
}

/// Is our SYN acknowledged in SYN-RECEIVED? Then the connection stands; an acknowledgement of
/// anything else is refused.
pub(super) fn is_acknowledged(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) -> bool {
    if !seg.ack.after(tcb.una) || seg.ack.after(tcb.nxt) {
        env.shared.refuse(seg, env.now, env.pool);
        return false;
    }
    acknowledged(tcb, seg, env);
    set_window(tcb, seg, u32::from(seg.window) << tcb.snd_scale);
    established(tcb, env);
    true
}

/// A SYN where there is a connection: the answer to it was lost, or it asks who we are (RFC 5961
/// section 4).
pub(super) fn syn_again(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) -> TcpDrop {
    if tcb.state == State::SynReceived && seg.seq.add(1) == tcb.rcv_nxt {
        if seg.flags.has(Flags::ACK) && seg.ack == tcb.nxt {
            // Both have asked, and this answers ours as well.
            acknowledged(tcb, seg, env);
            set_window(tcb, seg, u32::from(seg.window));
            established(tcb, env);
            tcb.marks.set(Marks::ACK_NOW);
        } else {
            send_syn(tcb, env);
        }
        return TcpDrop::SynAgain;
    }
    challenge(tcb, env);
    TcpDrop::SynChallenged
}

/// May a SYN take the place of a connection in TIME-WAIT? When nothing of the old one can be taken
/// for the new one's (RFC 9293 section 3.6.1, RFC 6191).
pub(in crate::tcp) fn may_reuse(tcb: &Tcb, seg: &Segment) -> bool {
    if tcb.state != State::TimeWait || !seg.flags.has(Flags::SYN) {
        return false;
    }
    if seg.flags.has(Flags::ACK) || seg.flags.has(Flags::RST) {
        return false;
    }
    match (tcb.marks.has(Marks::TIMESTAMPS), seg.options.timestamps) {
        (true, Some((value, _))) if value != tcb.ts_recent => {
            (value.wrapping_sub(tcb.ts_recent) as i32) > 0
        }
        _ => seg.seq.after(tcb.rcv_nxt),
    }
}

/// What the peer's SYN says of it.
pub(in crate::tcp) fn negotiate(tcb: &mut Tcb, seg: &Segment, now: u64) {
    tcb.rcv_nxt = seg.seq.add(1);
    tcb.rcv_adv = tcb.rcv_nxt;
    tcb.acked = tcb.rcv_nxt;
    tcb.rcv_up = tcb.rcv_nxt;
    let options = &seg.options;
    tcb.peer_mss = options.mss.unwrap_or(default_mss(tcb.remote.ip));
    if let Some(shift) = options.window_scale {
        // RFC 7323 section 2.3: more than 14 counts as 14.
        tcb.snd_scale = shift.min(SCALE_MAX);
        tcb.marks.set(Marks::SCALED);
    } else {
        tcb.rcv_scale = 0;
    }
    if let Some((value, _)) = options.timestamps.filter(|_| tcb.settings.timestamps) {
        tcb.ts_recent = value;
        tcb.ts_recent_ms = ms(now);
        tcb.marks.set(Marks::TIMESTAMPS);
    }
    if options.sack_permitted && tcb.settings.sack {
        tcb.marks.set(Marks::SACK);
    }
    tcb.peer_mss = tcb.peer_mss.max(crate::tcp::tcb::MSS_MIN);
    tcb.set_mss();
    tcb.rcv_mss = tcb.mss;
}

/// Our SYN is acknowledged, and nothing else.
fn acknowledged(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    let at = tcb.sending(env.now);
    let ack = Ack {
        ack: seg.ack.earliest(tcb.iss.add(1)),
        sacks: &[],
        sack_ok: tcb.marks.has(Marks::SACK),
        echo: None,
        ece: false,
        pure: false,
        more: false,
    };
    if let Some(flight) = &mut tcb.flight {
        tcb.loss.acked(&mut flight.records, &ack, &at);
    }
    tcb.una = ack.ack;
    tcb.silent_since_ms = ms(env.now);
}

fn set_window(tcb: &mut Tcb, seg: &Segment, window: u32) {
    tcb.wnd = window;
    tcb.max_wnd = tcb.max_wnd.max(window);
    (tcb.wl1, tcb.wl2) = (seg.seq, seg.ack);
}

fn established(tcb: &mut Tcb, env: &mut Env<'_>) {
    tcb.state = State::Established;
    tcb.loss.established(u32::from(tcb.mss));
    tcb.heard_ms = ms(env.now);
    let rtt_us = tcb.loss.rtt().smoothed().unwrap_or(0) / 1000;
    tcb.reader = Reader::new(tcb.rcv_nxt, tcb.rcv_wnd(), rtt_us as u32, env.now);
    if tcb.flight.as_ref().is_some_and(|flight| flight.queue.is_empty()) {
        env.retire_flight(tcb);
    }
    crate::tcp::timers::arm_keepalive(tcb, env.now);
    env.shared.events.push(Event::Connected);
    if tcb.marks.has(Marks::CLOSING) {
        output(tcb, env);
    }
}

/// RFC 7323 section 2.3.
const SCALE_MAX: u8 = 14;
