//! What a user asks of a connection (RFC 9293 section 3.10.1 to 3.10.6).

use super::TcpDrop;
use super::env::{Env, Event};
use super::output::{self, output};
use super::tcb::{Marks, NEVER, NOBODY, State, Tcb};
use millstream_core::Errno;
use millstream_msg::{Level, Msg};

/// OPEN: the first SYN.
pub(super) fn open(tcb: &mut Tcb, env: &mut Env<'_>) {
    tcb.marks.set(Marks::ACTIVE);
    output::send_syn(tcb, env);
}

/// SEND: the data wait to be sent. With `urgent` the last octet is urgent.
///
/// # Errors
/// The data, when the user or the connection has ended that direction.
pub(super) fn send(tcb: &mut Tcb, data: Msg, urgent: bool, env: &mut Env<'_>) -> Result<(), Msg> {
    let over = tcb.marks.has(Marks::DEAD) || tcb.marks.has(Marks::CLOSING);
    if over || !tcb.state.sends_data() {
        return Err(data);
    }
    let first = tcb.nxt;
    let flight = env.flight(tcb, first);
    flight.queue.append(data, env.pool);
    if urgent {
        tcb.snd_up = tcb.queued_to();
        tcb.marks.set(Marks::URGENT_OUT);
    }
    Ok(())
}

/// Is there room in the send buffer? If not, the user is called back when there is.
pub(super) fn has_room(tcb: &mut Tcb) -> bool {
    let lowat = tcb.settings.notsent_lowat;
    let room = tcb.queued() < tcb.snd_buf && (lowat == 0 || tcb.unsent() < lowat);
    if !room {
        tcb.marks.set(Marks::WRITER_WAITS);
    }
    room
}

/// Is there enough room again to call a user who waits for it?
pub(super) fn has_much_room(tcb: &Tcb) -> bool {
    let lowat = tcb.settings.notsent_lowat;
    tcb.queued() < tcb.snd_buf / 3 * 2 && (lowat == 0 || tcb.unsent() < lowat.div_ceil(2))
}

/// CLOSE: the user's direction ends behind what it has sent.
pub(super) fn close(tcb: &mut Tcb) {
    tcb.marks.set(Marks::CLOSING);
}

/// The user has read: the window may open, and the buffer grow with its pace.
pub(super) fn has_read(tcb: &mut Tcb, unread: u32, env: &Env<'_>) {
    tcb.unread = unread;
    if tcb.settings.tune_rcv && tcb.state.takes_data() && env.pool.level() == Level::Low {
        let read = tcb.rcv_nxt.sub(tcb.ready.bytes().saturating_add(unread));
        let size = tcb.reader.read(read, tcb.rcv_buf, tcb.rcv_mss.into(), env.now);
        if size > tcb.rcv_buf {
            tcb.rcv_buf = size;
            tcb.marks.set(Marks::TELL_BUFFER);
        }
    }
    if tcb.state.takes_data() && output::window_has_grown(tcb) {
        // At first the window is small because a SYN cannot tell of a larger one, and what has come
        // is about to be acknowledged.
        let waits = tcb.quick > 0 && tcb.marks.has(Marks::ACK_SOON);
        tcb.marks.set(if waits { Marks::ACK_SOON } else { Marks::ACK_NOW });
    }
}

/// ABORT: RST, and it is over.
pub(super) fn abort(tcb: &mut Tcb, env: &mut Env<'_>) {
    if !matches!(tcb.state, State::SynSent | State::TimeWait) {
        output::reset(tcb, env);
    }
    over(tcb, None, env);
}

/// The stream above is gone: the connection ends by itself, or at once when the user has left data
/// unread (RFC 1122 section 4.2.2.13) or asked for it (SO_LINGER of 0).
pub(super) fn leave(tcb: &mut Tcb, unread: u32, env: &mut Env<'_>) {
    let lost = unread > 0 || !tcb.ready.is_empty();
    tcb.user = NOBODY;
    tcb.parent = NOBODY;
    if tcb.state == State::SynSent || lost || tcb.settings.linger_s == Some(0) {
        return abort(tcb, env);
    }
    close(tcb);
    if tcb.state == State::FinWait2 {
        tcb.life_at = env.now + u64::from(tcb.settings.fin_wait_s) * 1_000_000_000;
    }
    output(tcb, env);
}

/// The connection is over: nothing more is sent or received.
pub(super) fn over(tcb: &mut Tcb, errno: Option<Errno>, env: &mut Env<'_>) {
    if tcb.marks.has(Marks::DEAD) {
        return;
    }
    tcb.marks.set(Marks::DEAD);
    (tcb.resend_at, tcb.ack_at, tcb.life_at) = (NEVER, NEVER, NEVER);
    tcb.marks.clear(Marks::PACED);
    env.retire_flight(tcb);
    if let Some(mut reassembly) = tcb.reassembly.take() {
        env.shared.out_of_order.changed(reassembly.truesize(), 0);
        reassembly.clear(env.pool);
    }
    // What was acknowledged is for the user first, and the error behind it, as Linux has it.
    if tcb.user == NOBODY {
        let ready = core::mem::take(&mut tcb.ready);
        env.shared.act.discard_all(ready, TcpDrop::Gone);
    }
    env.shared.events.push(Event::Over(errno));
}
