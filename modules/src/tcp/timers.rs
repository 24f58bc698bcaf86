//! The deadlines of a connection, and what happens when they pass.

use super::env::Env;
use super::loss::{Expired, Timer};
use super::output::{self, output};
use super::tcb::{Marks, NEVER, NOBODY, State, Tcb, ms};
use super::user;
use millstream_core::Errno;

/// Sets the deadline for retransmission or for a probe of the window, as things stand.
pub(super) fn arm(tcb: &mut Tcb, now: u64) {
    if tcb.in_flight() {
        tcb.marks.clear(Marks::PERSIST);
        let timer = match &tcb.flight {
            Some(flight) => tcb.loss.timer(&flight.records, &tcb.sending(now)),
            None => None,
        };
        tcb.resend_at = timer.map_or(NEVER, |(_, at)| at);
    } else if waits_for_window(tcb) {
        if !tcb.marks.has(Marks::PERSIST) {
            tcb.marks.set(Marks::PERSIST);
            let corked = tcb.settings.cork && output::window_left(tcb) > 0;
            let wait = if corked { CORK_NS } else { persist_wait(tcb) };
            tcb.resend_at = now + wait;
        }
    } else {
        tcb.marks.clear(Marks::PERSIST);
        tcb.resend_at = NEVER;
    }
}

/// The earliest deadline; [`NEVER`] without one.
pub(super) fn next(tcb: &Tcb) -> u64 {
    let pace_at = if tcb.marks.has(Marks::PACED) { tcb.loss.pace_at() } else { NEVER };
    tcb.resend_at.min(tcb.ack_at).min(tcb.life_at).min(pace_at)
}

/// Deadlines have passed.
pub(super) fn expired(tcb: &mut Tcb, env: &mut Env<'_>) {
    if tcb.ack_at <= env.now {
        tcb.ack_at = NEVER;
        tcb.marks.set(Marks::ACK_NOW);
    }
    if tcb.loss.pace_at() <= env.now {
        tcb.marks.clear(Marks::PACED);
    }
    if tcb.resend_at <= env.now {
        if tcb.marks.has(Marks::PERSIST) { persist(tcb, env) } else { resend(tcb, env) }
    }
    if !tcb.marks.has(Marks::DEAD) && tcb.life_at <= env.now {
        life(tcb, env);
    }
    output(tcb, env);
}

/// Data or a FIN are there, and nothing that is under way will bring news of the window.
fn waits_for_window(tcb: &Tcb) -> bool {
    let fin = tcb.marks.has(Marks::CLOSING) && !tcb.marks.has(Marks::FIN_SENT);
    if tcb.marks.has(Marks::PACED) {
        return false;
    }
    tcb.state.is_synchronized() && (fin || tcb.unsent() > 0)
}

/// RTO, doubled with each probe (RFC 9293 section 3.8.6.1).
fn persist_wait(tcb: &Tcb) -> u64 {
    let shift = u32::from(tcb.probe_backoff).min(10);
    (tcb.loss.rtt().timeout() << shift).min(PERSIST_MAX_NS)
}

fn persist(tcb: &mut Tcb, env: &mut Env<'_>) {
    tcb.marks.clear(Marks::PERSIST);
    tcb.resend_at = NEVER;
    if output::window_left(tcb) > 0 {
        // A small segment has waited long enough, for company or for a larger window.
        tcb.marks.set(Marks::CORK_OVER);
        output::override_window(tcb, env);
        tcb.marks.clear(Marks::CORK_OVER);
        return;
    }
    if tcb.probes >= user_probes(tcb) || overdue(tcb, env.now) {
        return give_up(tcb, env);
    }
    tcb.probes = tcb.probes.saturating_add(1);
    tcb.probe_backoff = tcb.probe_backoff.saturating_add(1);
    output::probe(tcb, env);
}

/// What is in flight has waited: RTO, or a timer of loss detection.
fn resend(tcb: &mut Tcb, env: &mut Env<'_>) {
    let at = tcb.sending(env.now);
    let more = output::segment_waits(tcb);
    let Some(flight) = &mut tcb.flight else { return };
    let Some((timer, _)) = tcb.loss.timer(&flight.records, &at) else { return };
    let expired = tcb.loss.expired(&mut flight.records, timer, &at, more);
    if matches!(timer, Timer::Rto) {
        if overdue(tcb, env.now) {
            return give_up(tcb, env);
        }
        if tcb.loss.backed_off() == R1 {
            env.doubt(tcb.remote.ip);
        }
        if !tcb.state.is_synchronized() {
            // The handshake has its own pace; there is nothing else to send.
            output::send_syn(tcb, env);
            let range = super::Range::new(tcb.iss, tcb.iss.add(1));
            return output::resent(tcb, range, env);
        }
    }
    match expired {
        Expired::Retransmit | Expired::Nothing => {}
        Expired::ProbeNew => tcb.marks.set(Marks::PROBE_NEW),
        Expired::ProbeLast(range) => {
            output::again(tcb, range, env);
        }
    }
}

/// Has the peer been silent for longer than it may? R2 of RFC 9293 section 3.8.3.
fn overdue(tcb: &Tcb, now: u64) -> bool {
    let attempts = tcb.loss.backed_off();
    match tcb.state {
        State::SynSent => return attempts > u32::from(tcb.settings.syn_count),
        State::SynReceived => return attempts > SYN_ACK_RETRIES,
        _ => {}
    }
    // It took back the window that these data were sent into, and answers: it is alive (SHLD-17).
    let patient = tcb.user != NOBODY && tcb.settings.user_timeout_ms == 0;
    let taken_back = tcb.nxt.after(tcb.una.add(tcb.wnd));
    if patient && taken_back && ms(now).wrapping_sub(tcb.heard_ms) < SILENT_MAX_MS {
        return false;
    }
    // Nobody waits for an orphan, however patient its user was.
    let orphan = tcb.user == NOBODY && attempts > ORPHAN_RETRIES;
    let limit = tcb.settings.user_timeout_ms;
    if limit > 0 && !orphan {
        return ms(now).wrapping_sub(tcb.silent_since_ms) >= limit;
    }
    attempts > if tcb.user == NOBODY { ORPHAN_RETRIES } else { RETRIES }
}

fn user_probes(tcb: &Tcb) -> u8 {
    if tcb.user == NOBODY { ORPHAN_RETRIES as u8 } else { RETRIES as u8 }
}

/// The peer does not answer any more.
fn give_up(tcb: &mut Tcb, env: &mut Env<'_>) {
    let errno = match tcb.soft_error {
        0 => Errno::ETIMEDOUT,
        soft => Errno(soft.into()),
    };
    if tcb.state.is_synchronized() {
        output::reset(tcb, env);
    }
    user::over(tcb, Some(errno), env);
}

/// TIME-WAIT, an orphan in FIN-WAIT-2, or an idle connection.
fn life(tcb: &mut Tcb, env: &mut Env<'_>) {
    tcb.life_at = NEVER;
    match tcb.state {
        State::TimeWait => user::over(tcb, None, env),
        State::FinWait2 if tcb.user == NOBODY => user::over(tcb, None, env),
        State::Established | State::CloseWait | State::FinWait2 if tcb.settings.keepalive => {
            keep_alive(tcb, env);
        }
        _ => {}
    }
}

/// RFC 9293 section 3.8.4.
fn keep_alive(tcb: &mut Tcb, env: &mut Env<'_>) {
    let quiet_ms = ms(env.now).wrapping_sub(tcb.heard_ms);
    let idle_ms = u32::from(tcb.settings.keep_idle_s) * 1000;
    let interval_ns = u64::from(tcb.settings.keep_interval_s) * SECOND;
    if quiet_ms < idle_ms || tcb.in_flight() {
        let left_ms = idle_ms.saturating_sub(quiet_ms).max(1);
        tcb.life_at = env.now + u64::from(left_ms) * 1_000_000;
        return;
    }
    if tcb.probes >= tcb.settings.keep_count {
        return give_up(tcb, env);
    }
    tcb.probes += 1;
    output::probe(tcb, env);
    tcb.life_at = env.now + interval_ns;
}

/// The deadline of an idle connection begins anew: something came, or the user has set it.
pub(super) fn arm_keepalive(tcb: &mut Tcb, now: u64) {
    if matches!(tcb.state, State::Established | State::CloseWait) {
        tcb.life_at = if tcb.settings.keepalive {
            now + u64::from(tcb.settings.keep_idle_s) * SECOND
        } else {
            NEVER
        };
    }
}

/// TIME-WAIT begins, or begins anew.
pub(super) fn arm_time_wait(tcb: &mut Tcb, now: u64) {
    tcb.life_at = now + TIME_WAIT_NS;
}

const SECOND: u64 = 1_000_000_000;
/// Twice the maximum segment lifetime, of 30 s as Linux has it.
const TIME_WAIT_NS: u64 = 60 * SECOND;
/// How long a partial segment waits under TCP_CORK.
const CORK_NS: u64 = 200_000_000;
const PERSIST_MAX_NS: u64 = 120 * SECOND;
/// A peer with a window that it took back answers within two of the longest time-outs, as Linux.
const SILENT_MAX_MS: u32 = 240_000;
/// Unanswered retransmissions until `ip` is told (RFC 9293 section 3.8.3), as `tcp_retries1`.
const R1: u32 = 3;
/// Unanswered retransmissions of data before the connection is given up: about 15 minutes.
const RETRIES: u32 = 15;
/// The same when no user waits for it.
const ORPHAN_RETRIES: u32 = 8;
/// Of SYN and ACK: 1 + 2 .. + 32 s.
const SYN_ACK_RETRIES: u32 = 5;
