//! Fifth: the acknowledgement, and the window beside it.

use super::challenge;
use crate::tcp::autotune::send_buffer;
use crate::tcp::env::Env;
use crate::tcp::loss::{Ack, Records};
use crate::tcp::tcb::{Marks, NOBODY, State, Tcb, ms};
use crate::tcp::{Flags, Segment, TcpDrop, output, timers, user};
use millstream_msg::Level;

/// Takes the acknowledgement of an acceptable segment.
///
/// # Errors
/// It acknowledges what was never sent, or something very old: the segment is dropped.
pub(super) fn take(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) -> Result<(), TcpDrop> {
    if seg.ack.after(tcb.nxt) || seg.ack.before(tcb.una.sub(tcb.max_wnd)) {
        // RFC 5961 section 5.
        challenge(tcb, env);
        return Err(TcpDrop::BadAck);
    }
    let window = u32::from(seg.window) << tcb.snd_scale;
    let same_window = window == tcb.wnd;
    let is_new = tcb.wl1.before(seg.seq) || (tcb.wl1 == seg.seq && !tcb.wl2.after(seg.ack));
    if is_new && !seg.ack.before(tcb.una) {
        tcb.wnd = window;
        tcb.max_wnd = tcb.max_wnd.max(window);
        (tcb.wl1, tcb.wl2) = (seg.seq, seg.ack);
    }
    tcb.probes = 0;
    if tcb.wnd > 0 && tcb.marks.has(Marks::PERSIST) && !same_window {
        tcb.marks.clear(Marks::PERSIST);
        tcb.probe_backoff = 0;
    }
    // A D-SACK may come when all is acknowledged: that what was sent again had not been lost.
    if (tcb.in_flight() || !seg.options.sacks().is_empty()) && !seg.ack.before(tcb.una) {
        tell_loss(tcb, seg, same_window, env);
        advance(tcb, seg, env);
    }
    after_fin(tcb, env);
    Ok(())
}

fn tell_loss(tcb: &mut Tcb, seg: &Segment, same_window: bool, env: &mut Env<'_>) {
    let at = tcb.sending(env.now);
    let stamps = seg.options.timestamps.filter(|_| tcb.marks.has(Marks::TIMESTAMPS));
    let echo = stamps.filter(|(_, echo)| *echo != 0).map(|(_, echo)| {
        let age_ms = tcb.timestamp(env.now).wrapping_sub(echo);
        u64::from(age_ms) * 1_000_000
    });
    let ack = Ack {
        ack: seg.ack,
        sacks: seg.options.sacks(),
        sack_ok: tcb.marks.has(Marks::SACK),
        echo,
        ece: seg.flags.has(Flags::ECE) && tcb.marks.has(Marks::ECN),
        pure: seg.span() == 0 && same_window,
        more: output::segment_waits(tcb),
    };
    let nothing = &mut Records::default();
    let records = tcb.flight.as_mut().map_or(nothing, |flight| &mut flight.records);
    let acked = tcb.loss.acked(records, &ack, &at);
    if acked.cwr {
        tcb.marks.set(Marks::TELL_REDUCED);
    }
}

/// What was acknowledged is forgotten.
fn advance(tcb: &mut Tcb, seg: &Segment, env: &mut Env<'_>) {
    let newly = seg.ack.since(tcb.una);
    if newly == 0 {
        return;
    }
    tcb.una = seg.ack;
    tcb.soft_error = 0;
    tcb.silent_since_ms = ms(env.now);
    tcb.count.acked += u64::from(newly);
    if tcb.small.before(tcb.una) {
        tcb.small = tcb.una;
    }
    if tcb.marks.has(Marks::URGENT_OUT) && !tcb.snd_up.after(tcb.una) {
        tcb.marks.clear(Marks::URGENT_OUT);
    }
    let Some(flight) = &mut tcb.flight else { return };
    let upto = seg.ack.earliest(flight.queue.end());
    flight.queue.ack(upto, env.pool);
    if tcb.settings.tune_snd && tcb.marks.has(Marks::WRITER_WAITS) && env.pool.level() == Level::Low
    {
        tcb.snd_buf = send_buffer(tcb.snd_buf, tcb.loss.cwnd());
    }
    if tcb.una == tcb.nxt && flight.queue.is_empty() {
        env.retire_flight(tcb);
    }
}

/// Where our FIN stands.
fn after_fin(tcb: &mut Tcb, env: &mut Env<'_>) {
    if !tcb.marks.has(Marks::FIN_SENT) || tcb.una != tcb.nxt {
        return;
    }
    match tcb.state {
        State::FinWait1 => {
            tcb.state = State::FinWait2;
            if tcb.user == NOBODY {
                tcb.life_at = env.now + u64::from(tcb.settings.fin_wait_s) * 1_000_000_000;
            }
        }
        State::Closing => time_wait(tcb, env.now),
        State::LastAck => user::over(tcb, None, env),
        _ => {}
    }
}

/// Both directions have ended and all is acknowledged.
pub(super) fn time_wait(tcb: &mut Tcb, now: u64) {
    tcb.state = State::TimeWait;
    tcb.marks.clear(Marks::PERSIST);
    timers::arm_time_wait(tcb, now);
}
