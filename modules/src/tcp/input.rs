//! A segment arrives at a connection (RFC 9293 section 3.10.7.3 and 3.10.7.4).

mod ack;
mod handshake;
mod text;

pub(super) use handshake::{answer, may_reuse, negotiate};

use super::env::Env;
use super::output;
use super::tcb::{Marks, State, Tcb, ms};
use super::{Flags, Range, Segment, TcpDrop, timers, user};
use millstream_core::Errno;
use millstream_msg::Msg;

/// Takes a segment; `msg` is its payload. What it calls for is sent by a later
/// [`super::output::output`], so that all segments of a batch have been taken before.
pub(super) fn arrives(tcb: &mut Tcb, seg: &Segment, msg: Msg, env: &mut Env<'_>) {
    tcb.count.segments_in = tcb.count.segments_in.wrapping_add(1);
    if tcb.state == State::SynSent {
        return handshake::syn_sent(tcb, seg, msg, env);
    }
    if let Err(reason) = check(tcb, seg, env) {
        return env.discard(msg, reason);
    }
    tcb.heard_ms = ms(env.now);
    if tcb.state == State::SynReceived && !handshake::is_acknowledged(tcb, seg, env) {
        return env.discard(msg, TcpDrop::BadAck);
    }
    if let Err(reason) = ack::take(tcb, seg, env) {
        return env.discard(msg, reason);
    }
    if tcb.marks.has(Marks::DEAD) {
        return env.consume(msg);
    }
    if tcb.settings.keepalive {
        tcb.probes = 0;
        timers::arm_keepalive(tcb, env.now);
    }
    text::take(tcb, seg, msg, env);
}

/// First to fourth: sequence number, RST, SYN, and that there is an ACK at all.
fn check(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) -> Result<(), TcpDrop> {
    let is_reset = seg.flags.has(Flags::RST);
    if is_old_duplicate(tcb, seg, env.now) && !is_reset {
        acknowledge_limited(tcb, seg, env);
        return Err(TcpDrop::Paws);
    }
    if seg.flags.has(Flags::SYN) && !is_reset {
        return Err(handshake::syn_again(tcb, seg, env));
    }
    if !is_acceptable(tcb, seg) {
        if !is_reset {
            unacceptable(tcb, seg, env);
        }
        return Err(TcpDrop::OutOfWindow);
    }
    if is_reset {
        return Err(reset(tcb, seg, env));
    }
    if !seg.flags.has(Flags::ACK) {
        return Err(TcpDrop::NoAck);
    }
    if let Some((value, _)) = seg.options.timestamps
        && tcb.marks.has(Marks::TIMESTAMPS)
        && !seg.seq.after(tcb.acked)
    {
        tcb.ts_recent = value;
        tcb.ts_recent_ms = ms(env.now);
    }
    Ok(())
}

/// PAWS (RFC 7323 section 5): its timestamp is older than one that came, and that one is not so
/// old itself that the peer's clock may have wrapped.
fn is_old_duplicate(tcb: &Tcb, seg: &Segment, now: u64) -> bool {
    let Some((value, _)) = seg.options.timestamps else { return false };
    tcb.marks.has(Marks::TIMESTAMPS)
        && (value.wrapping_sub(tcb.ts_recent) as i32) < 0
        && ms(now).wrapping_sub(tcb.ts_recent_ms) < PAWS_IDLE_MS
}

/// RFC 9293 section 3.4, table 6; and an empty segment right behind a full window, whose
/// acknowledgement is news.
fn is_acceptable(tcb: &Tcb, seg: &Segment) -> bool {
    let edge = tcb.rcv_adv;
    if seg.flags.has(Flags::RST) {
        return seg.seq == tcb.rcv_nxt || seg.seq.within(tcb.rcv_nxt, edge);
    }
    if seg.span() == 0 {
        return !seg.seq.before(tcb.rcv_nxt) && !seg.seq.after(edge);
    }
    // With a closed window the next octet still brings its acknowledgement (MUST-66).
    let starts = seg.seq == tcb.rcv_nxt || seg.seq.before(edge);
    starts && seg.end().after(tcb.rcv_nxt)
}

/// What is not acceptable is answered with what we expect.
fn unacceptable(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    if seg.span() == 0 {
        return acknowledge_limited(tcb, seg, env);
    }
    if !seg.end().after(tcb.rcv_nxt) && seg.len > 0 {
        tcb.duplicate = Range::new(seg.seq, seg.seq.add(seg.len));
    }
    if tcb.state == State::TimeWait && seg.flags.has(Flags::FIN) {
        timers::arm_time_wait(tcb, env.now);
    }
    tcb.marks.set(Marks::ACK_NOW);
}

/// Two ends that find each other's segments out of place must not answer each other for ever.
fn acknowledge_limited(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    if seg.len > 0 || env.shared.limits.out_of_window(&mut tcb.answers, env.now) {
        tcb.marks.set(Marks::ACK_NOW);
    }
}

/// RFC 5961 section 3: exactly the next number resets; another one in the window is asked about.
fn reset(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) -> TcpDrop {
    // RFC 1337: a reset does not end TIME-WAIT.
    if tcb.state == State::TimeWait {
        return TcpDrop::TimeWait;
    }
    if seg.seq != tcb.rcv_nxt {
        challenge(tcb, env);
        return TcpDrop::RstChallenged;
    }
    let errno = match tcb.state {
        State::SynReceived if tcb.marks.has(Marks::ACTIVE) => Some(Errno::ECONNREFUSED),
        State::CloseWait => Some(Errno::EPIPE),
        State::Closing | State::LastAck => None,
        _ => Some(Errno::ECONNRESET),
    };
    user::over(tcb, errno, env);
    TcpDrop::Reset
}

/// An acknowledgement that only the true peer can make use of (RFC 5961).
fn challenge(tcb: &mut Tcb, env: &mut Env<'_>) {
    if env.shared.limits.challenge(&mut tcb.answers, env.now) {
        output::acknowledge(tcb, env);
    } else {
        env.shared.happened.push(TcpDrop::ChallengeLimit);
    }
}

/// 24 days: half of what a clock of milliseconds takes to wrap.
const PAWS_IDLE_MS: u32 = 24 * 24 * 3600 * 1000;
