//! Sixth to eighth: urgent pointer, payload, FIN.

use super::ack::time_wait;
use crate::tcp::engine::URGENT;
use crate::tcp::env::{Env, Event};
use crate::tcp::output;
use crate::tcp::tcb::{Marks, NOBODY, State, Tcb};
use crate::tcp::{Flags, Range, Segment, Seq, TcpDrop, user};
use millstream_msg::{Level, Msg};

/// Takes what an acceptable segment carries.
pub(super) fn take(tcb: &mut Tcb, seg: &Segment, msg: Msg, env: &mut Env<'_>) {
    if seg.span() == 0 && !seg.flags.has(Flags::URG) {
        return env.consume(msg);
    }
    if seg.flags.has(Flags::CWR) && tcb.marks.has(Marks::ECN) {
        tcb.marks.clear(Marks::ECHO_CONGESTION);
    }
    if !tcb.state.takes_data() {
        // Behind its FIN a peer has nothing to say: what comes is an old segment.
        if seg.span() > 0 {
            tcb.marks.set(Marks::ACK_NOW);
        }
        return env.consume(msg);
    }
    if seg.congested && tcb.marks.has(Marks::ECN) && seg.len > 0 {
        tcb.marks.set(Marks::ECHO_CONGESTION);
        tcb.marks.set(Marks::ACK_NOW);
    }
    if seg.flags.has(Flags::URG) {
        urgent(tcb, seg, env);
    }
    if seg.len > 0 && tcb.user == NOBODY && tcb.parent == NOBODY {
        // Nobody will ever read it (RFC 1122 section 4.2.2.13).
        output::reset(tcb, env);
        user::over(tcb, None, env);
        return env.discard(msg, TcpDrop::NobodyReads);
    }
    let end = seg.seq.add(seg.len);
    let fin = seg.flags.has(Flags::FIN) && !end.after(tcb.rcv_adv);
    if fin {
        tcb.marks.set(Marks::FIN_SEEN);
        tcb.rcv_fin = end;
    }
    if seg.len > 0 {
        tcb.count.data_in = tcb.count.data_in.wrapping_add(1);
        payload(tcb, seg, msg, env);
    } else {
        env.consume(msg);
    }
    if tcb.marks.has(Marks::FIN_SEEN) {
        let users_turn = tcb.state == State::Established && tcb.rcv_nxt == tcb.rcv_fin;
        // A user that closes now acknowledges it with its own FIN.
        if users_turn {
            acknowledge_soon(tcb, env.now)
        } else {
            tcb.marks.set(Marks::ACK_NOW)
        }
        if tcb.rcv_nxt == tcb.rcv_fin {
            fin_arrives(tcb, env.now);
        }
    }
}

/// RFC 9293 section 3.8.5: the pointer is to the octet behind the urgent data (MUST-62). One of 0
/// or to what has been read says nothing.
fn urgent(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    let up = seg.seq.add(u32::from(seg.urgent));
    let known = tcb.marks.has(Marks::URGENT_IN) && !up.after(tcb.rcv_up);
    if seg.urgent == 0 || known || !up.after(tcb.rcv_nxt) {
        return;
    }
    tcb.rcv_up = up;
    tcb.marks.set(Marks::URGENT_IN);
    env.shared.events.push(Event::Urgent);
}

/// Cuts the payload to what is new and has room, and delivers it or keeps it for its turn.
fn payload(tcb: &mut Tcb, seg: &Segment, mut msg: Msg, env: &mut Env<'_>) {
    let (mut start, mut end) = (seg.seq, seg.seq.add(seg.len));
    if start.before(tcb.rcv_nxt) {
        let twice = Range::new(start, tcb.rcv_nxt.earliest(end));
        tcb.duplicate = twice;
        tcb.marks.set(Marks::ACK_NOW);
        msg.trim_front(twice.len() as usize);
        start = twice.end;
    }
    if end.after(tcb.rcv_adv) {
        tcb.marks.set(Marks::ACK_NOW);
        end = tcb.rcv_adv.latest(start);
        msg.truncate(end.since(start) as usize);
    }
    if start == end {
        return env.discard(msg, TcpDrop::OutOfWindow);
    }
    let size = seg.len.div_ceil(u32::from(seg.pieces)).min(0xffff) as u16;
    if size > tcb.rcv_mss || (size >= MSS_TYPICAL && !seg.flags.has(Flags::PSH)) {
        tcb.rcv_mss = size;
    }
    if start != tcb.rcv_nxt {
        return out_of_order(tcb, start, msg, env);
    }
    deliver(tcb, msg, end, env);
    tcb.reader.arrived(tcb.rcv_nxt, tcb.rcv_wnd(), env.now);
    tcb.unacked += end.since(start);
    if tcb.reassembly.is_some() {
        close_gaps(tcb, env);
        tcb.marks.set(Marks::ACK_NOW);
    }
    // Every second full segment at once, the rest within 40 ms (RFC 9293 section 3.8.6.3); at
    // first all soon, while the peer's window is small.
    if tcb.unacked >= 2 * u32::from(tcb.rcv_mss) {
        tcb.marks.set(Marks::ACK_NOW);
    } else if tcb.quick > 0 {
        acknowledge_soon(tcb, env.now);
    } else {
        tcb.ack_at = tcb.ack_at.min(env.now + output::DELAYED_ACK_NS);
    }
}

/// When the stack rests; at last when a delayed one would go.
fn acknowledge_soon(tcb: &mut Tcb, now: u64) {
    tcb.marks.set(Marks::ACK_SOON);
    tcb.ack_at = tcb.ack_at.min(now + output::DELAYED_ACK_NS);
}

fn out_of_order(tcb: &mut Tcb, start: Seq, msg: Msg, env: &mut Env<'_>) {
    tcb.loss.count_out_of_order();
    let next = tcb.rcv_nxt;
    let reassembly = tcb.reassembly.get_or_insert_with(Default::default);
    let before = reassembly.truesize();
    // Short of memory, what is in order comes first.
    let level = env.pool.level();
    let own = if level == Level::Low { tcb.rcv_buf } else { tcb.rcv_buf / SHORT };
    if before > own {
        reassembly.prune(own, env.pool);
        env.shared.happened.push(TcpDrop::OutOfOrderMemory);
    }
    let limit = env.shared.out_of_order.limit_for(before, own, level);
    let done = reassembly.insert(start, msg, next, env.pool, limit);
    env.shared.out_of_order.changed(before, reassembly.truesize());
    tcb.duplicate = done.duplicate.unwrap_or(tcb.duplicate);
    if done.refused.is_some() {
        env.shared.happened.push(TcpDrop::OutOfOrderMemory);
    }
    // At once: the peer learns of the gap from it (RFC 5681 section 4.2). Each by itself for a
    // peer that counts them.
    output::acknowledge(tcb, env);
}

/// What has waited for the gap that is closed now.
fn close_gaps(tcb: &mut Tcb, env: &mut Env<'_>) {
    while let Some(reassembly) = &mut tcb.reassembly {
        let before = reassembly.truesize();
        let run = reassembly.take(tcb.rcv_nxt, env.pool);
        env.shared.out_of_order.changed(before, reassembly.truesize());
        match run {
            Some((list, _)) => {
                for msg in list {
                    let end = tcb.rcv_nxt.add(msg.len() as u32);
                    deliver(tcb, msg, end, env);
                }
            }
            None => {
                if reassembly.is_empty() {
                    tcb.reassembly = None;
                }
                return;
            }
        }
    }
}

/// Data in order, for the user.
fn deliver(tcb: &mut Tcb, msg: Msg, end: Seq, env: &mut Env<'_>) {
    let start = tcb.rcv_nxt;
    tcb.count.received += u64::from(end.since(start));
    tcb.rcv_nxt = end;
    // Short of memory, a small segment does not keep the cell of a frame.
    let msg = if env.pool.level() == Level::Low { msg } else { msg.compacted(env.pool) };
    let last = tcb.rcv_up.sub(1);
    if tcb.marks.has(Marks::URGENT_IN) && last.within(start, end) && !tcb.settings.oob_inline {
        tcb.marks.clear(Marks::URGENT_IN);
        return take_out(tcb, msg, last.since(start) as usize, env);
    }
    tcb.ready.push(msg);
}

/// The last octet of urgent data goes up by itself. Without memory to cut it stays in its place.
fn take_out(tcb: &mut Tcb, mut msg: Msg, at: usize, env: &mut Env<'_>) {
    let Ok(mut octet) = msg.split_off(env.pool, at) else { return tcb.ready.push(msg) };
    if msg.is_empty() {
        env.pool.spend(msg);
    } else {
        tcb.ready.push(msg);
    }
    let rest = if octet.len() > 1 { octet.split_off(env.pool, 1).ok() } else { None };
    if octet.len() == 1 {
        octet.set_band(URGENT);
    }
    tcb.ready.push(octet);
    if let Some(rest) = rest {
        tcb.ready.push(rest);
    }
}

/// The peer has ended its direction.
fn fin_arrives(tcb: &mut Tcb, now: u64) {
    tcb.marks.clear(Marks::FIN_SEEN);
    tcb.rcv_nxt = tcb.rcv_nxt.add(1);
    tcb.rcv_adv = tcb.rcv_adv.latest(tcb.rcv_nxt);
    tcb.marks.set(Marks::TELL_END);
    match tcb.state {
        State::Established => tcb.state = State::CloseWait,
        State::FinWait1 => tcb.state = State::Closing,
        State::FinWait2 => time_wait(tcb, now),
        _ => {}
    }
}

/// Segments below this are no measure of the peer's.
const MSS_TYPICAL: u16 = 536;
/// Data out of order may hold this part of the receive buffer when the pool is half empty.
const SHORT: u32 = 8;
