//! What a connection sends: data as far as the peer's window, congestion control, Nagle's rule
//! and the silly-window rule let it; retransmissions; FIN; acknowledgements.

use super::build::{self, Header, SUPER_MAX, Way};
use super::env::Env;
use super::options::Options;
use super::tcb::{Marks, NEVER, State, Tcb};
use super::{Flags, Range, Seq, timers};
use millstream_msg::Msg;

/// Sends all that may be sent now, and an acknowledgement if one is due and nothing carried it.
pub(super) fn output(tcb: &mut Tcb, env: &mut Env<'_>) {
    if tcb.marks.has(Marks::DEAD) {
        return;
    }
    resend(tcb, env);
    fresh(tcb, env);
    if tcb.marks.has(Marks::ACK_NOW) && tcb.state != State::SynSent {
        acknowledge(tcb, env);
    }
    timers::arm(tcb, env.now);
}

/// Sends the first segment of a connection again or for the first time: SYN, or SYN and ACK.
pub(super) fn send_syn(tcb: &mut Tcb, env: &mut Env<'_>) {
    let range = Range::new(tcb.iss, tcb.iss.add(1));
    if tcb.nxt == tcb.iss {
        env.flight(tcb, range.end);
        if transmit(tcb, range, true, env) {
            sent(tcb, range, env);
        }
    } else {
        transmit(tcb, range, false, env);
    }
    timers::arm(tcb, env.now);
}

/// An acknowledgement without data.
pub(super) fn acknowledge(tcb: &mut Tcb, env: &mut Env<'_>) {
    let header = header(tcb, tcb.nxt, tcb.flags(), u32::from(tcb.mss), env.now);
    emit(tcb, &header, None, 0, env);
    tcb.quick = tcb.quick.saturating_sub(1);
}

/// A segment that a peer must answer and that carries nothing: its number was acknowledged long
/// ago (RFC 9293 section 3.8.4). Word of urgent data goes in front, at a number that is taken
/// though the window is closed (MUST-66).
pub(super) fn probe(tcb: &mut Tcb, env: &mut Env<'_>) {
    if tcb.marks.has(Marks::URGENT_OUT) && tcb.snd_up.after(tcb.una) {
        let mut header = header(tcb, tcb.una, tcb.flags().with(Flags::URG), 0, env.now);
        header.urgent = tcb.snd_up.since(tcb.una).min(0xffff) as u16;
        emit(tcb, &header, None, 0, env);
    }
    let header = header(tcb, tcb.una.sub(1), tcb.flags(), u32::from(tcb.mss), env.now);
    emit(tcb, &header, None, 0, env);
}

/// RST for a connection that the peer believes in.
pub(super) fn reset(tcb: &mut Tcb, env: &mut Env<'_>) {
    let flags = Flags::RST.with(Flags::ACK);
    let header = header(tcb, tcb.nxt, flags, 0, env.now);
    emit(tcb, &header, None, 0, env);
}

/// Would an acknowledgement give the peer a window that is worth it (RFC 9293 section
/// 3.8.6.2.2)? Not while it has half of what it could have: what it sends next is answered.
pub(super) fn window_has_grown(tcb: &Tcb) -> bool {
    let edge = tcb.rcv_nxt.add(free(tcb));
    let half = tcb.rcv_buf.min(window_max(tcb)) / 2;
    let step = half.min(2 * u32::from(tcb.rcv_mss));
    let needs_it = tcb.rcv_wnd() <= half;
    needs_it && tcb.count.received > 0 && edge.after(tcb.rcv_adv.add(step.saturating_sub(1)))
}

/// What congestion control holds lost goes first.
fn resend(tcb: &mut Tcb, env: &mut Env<'_>) {
    loop {
        let at = tcb.sending(env.now);
        let Some(flight) = &tcb.flight else { return };
        let Some(mut range) = tcb.loss.next_lost(&flight.records, &at) else { return };
        if waits_for_pace(tcb, env.now) {
            return;
        }
        let most = largest(tcb, env.now);
        if range.len() > most {
            range.end = range.start.add(most);
        }
        if !again(tcb, range, env) {
            return;
        }
    }
}

/// Sends a range again, as far as the peer still takes it; false: it takes nothing of it, or there
/// is no memory. What lies beyond a window that was taken back waits, but of the first octets,
/// which are the probe of it (RFC 9293 section 3.8.6, SHLD-16).
pub(super) fn again(tcb: &mut Tcb, mut range: Range, env: &mut Env<'_>) -> bool {
    let edge = tcb.una.add(tcb.wnd);
    if range.end.after(edge) && range.start != tcb.iss {
        let mss = u32::from(tcb.mss);
        let within = if edge.after(range.start) { edge.since(range.start) } else { 0 };
        let most = match within {
            0 if range.start != tcb.una => return false,
            0 => mss,
            _ if within < mss => within,
            _ => within - within % mss,
        };
        range.end = range.start.add(most.min(range.len()));
    }
    let sent = transmit(tcb, range, false, env);
    if sent {
        resent(tcb, range, env);
    }
    sent
}

/// Notes that a range was sent again.
pub(super) fn resent(tcb: &mut Tcb, range: Range, env: &mut Env<'_>) {
    keep_pace(tcb, range.len(), env.now);
    let at = tcb.sending(env.now);
    if let Some(flight) = &mut tcb.flight {
        tcb.loss.retransmitted(&mut flight.records, range, &at);
    }
}

fn fresh(tcb: &mut Tcb, env: &mut Env<'_>) {
    if !tcb.state.is_synchronized() || tcb.marks.has(Marks::FIN_SENT) {
        return;
    }
    loop {
        let unsent = tcb.unsent();
        let closing = tcb.marks.has(Marks::CLOSING);
        let len = if unsent > 0 { worth_sending(tcb, unsent, env.now) } else { 0 };
        if len > 0 && waits_for_pace(tcb, env.now) {
            break;
        }
        let fin = closing && len == unsent && (len < window_left(tcb));
        if len == 0 && !fin {
            break;
        }
        let flight_first = tcb.nxt;
        env.flight(tcb, flight_first);
        let range = Range::new(tcb.nxt, tcb.nxt.add(len + u32::from(fin)));
        if !transmit(tcb, range, true, env) {
            break;
        }
        tcb.marks.clear(Marks::PROBE_NEW);
        if len % u32::from(tcb.mss) != 0 {
            tcb.small = range.end;
        }
        if fin {
            tcb.marks.set(Marks::FIN_SENT);
            tcb.state = match tcb.state {
                State::CloseWait => State::LastAck,
                _ => State::FinWait1,
            };
        }
        sent(tcb, range, env);
        if fin {
            break;
        }
    }
}

/// Notes that a range was sent for the first time.
fn sent(tcb: &mut Tcb, range: Range, env: &mut Env<'_>) {
    if !tcb.in_flight() {
        tcb.silent_since_ms = super::tcb::ms(env.now);
    }
    keep_pace(tcb, range.len(), env.now);
    let at = tcb.sending(env.now);
    if let Some(flight) = &mut tcb.flight {
        tcb.loss.sent(&mut flight.records, range, &at);
    }
    tcb.nxt = range.end;
}

/// The pace that was asked for does not let more leave yet: a timer calls when it does.
fn waits_for_pace(tcb: &mut Tcb, now: u64) -> bool {
    let waits = tcb.loss.pace_at() > now && tcb.pace(now).is_some();
    if waits {
        tcb.marks.set(Marks::PACED);
    }
    waits
}

fn keep_pace(tcb: &mut Tcb, octets: u32, now: u64) {
    if let Some(rate) = tcb.pace(now) {
        tcb.loss.leaves_by_pace(octets, rate, now);
    }
}

/// The timer of a silly window has run out: what the window takes is sent, however little.
pub(super) fn override_window(tcb: &mut Tcb, env: &mut Env<'_>) {
    let len = tcb.unsent().min(window_left(tcb)).min(u32::from(tcb.mss));
    if len == 0 {
        return;
    }
    let range = Range::new(tcb.nxt, tcb.nxt.add(len));
    if transmit(tcb, range, true, env) {
        tcb.small = range.end;
        sent(tcb, range, env);
    }
}

/// Octets that the peer's window still takes.
pub(super) fn window_left(tcb: &Tcb) -> u32 {
    let edge = tcb.una.add(tcb.wnd);
    if edge.after(tcb.nxt) { edge.since(tcb.nxt) } else { 0 }
}

/// Would a segment of new data leave now, if the network took it?
pub(super) fn segment_waits(tcb: &Tcb) -> bool {
    let unsent = tcb.unsent();
    let len = unsent.min(window_left(tcb));
    len >= u32::from(tcb.mss) || (len > 0 && len == unsent && may_be_small(tcb))
}

/// How much of the unsent data goes into the next segment; 0: it waits.
fn worth_sending(tcb: &mut Tcb, unsent: u32, now: u64) -> u32 {
    let mss = u32::from(tcb.mss);
    let window = window_left(tcb);
    let at = tcb.sending(now);
    let quota = match (&tcb.flight, tcb.marks.has(Marks::PROBE_NEW)) {
        (_, true) => mss,
        (Some(flight), _) => {
            if !tcb.in_flight() {
                tcb.loss.idle_restart(&flight.records, &at);
            }
            tcb.loss.quota(&flight.records, &at)
        }
        (None, _) => 0,
    };
    let room = window.min(quota).min(largest(tcb, now));
    if unsent >= mss && unsent < room && may_grow(tcb) {
        return 0;
    }
    if unsent <= room {
        // The rest of the data: its last, partial segment may have to wait for more.
        let partial = unsent % mss;
        return if partial == 0 || may_be_small(tcb) { unsent } else { unsent - partial };
    }
    if room >= mss {
        return room - room % mss;
    }
    // The silly window (RFC 9293 section 3.8.6.2.1): what is there must be half of all there ever
    // was; else a timer overrides.
    let worth = window < mss && quota >= window && window >= (tcb.max_wnd / 2).max(1);
    if worth { window } else { 0 }
}

/// Less than a super-segment waits for more while two are under way: the acknowledgement of one
/// sends it. A device takes as long for a segment as for a super-segment.
fn may_grow(tcb: &Tcb) -> bool {
    let ends = tcb.marks.has(Marks::CLOSING) || tcb.marks.has(Marks::URGENT_OUT);
    !ends && tcb.nxt.since(tcb.una) >= 2 * SUPER_MAX
}

/// Nagle's rule, as Minshall mended it: one small segment under way at a time.
fn may_be_small(tcb: &Tcb) -> bool {
    if tcb.marks.has(Marks::CLOSING) || tcb.marks.has(Marks::URGENT_OUT) {
        return true;
    }
    if tcb.settings.cork {
        return tcb.marks.has(Marks::CORK_OVER);
    }
    tcb.settings.nodelay || !tcb.small.after(tcb.una)
}

/// Octets of the largest super-segment: full segments only, and no more than a millisecond of the
/// pace. The urgent pointer counts from its segment, so that what is cut would point elsewhere.
fn largest(tcb: &Tcb, now: u64) -> u32 {
    let mss = u32::from(tcb.mss);
    if tcb.marks.has(Marks::URGENT_OUT) {
        return mss;
    }
    let most = match tcb.pace(now) {
        Some(rate) => (rate / 1000).clamp(2 * u64::from(mss), SUPER_MAX.into()) as u32,
        None => SUPER_MAX,
    };
    most - most % mss
}

/// Builds and sends the segment of a range; false without memory: what calls for it stays.
pub(super) fn transmit(tcb: &mut Tcb, range: Range, fresh: bool, env: &mut Env<'_>) -> bool {
    if range.start == tcb.iss {
        return transmit_syn(tcb, env);
    }
    let data_end = tcb.queued_to().earliest(range.end);
    let fin = range.end.after(data_end);
    let len = data_end.since(range.start);
    let mut flags = tcb.flags().with_if(fin, Flags::FIN);
    let payload = match &tcb.flight {
        Some(flight) if len > 0 => match flight.queue.slice(env.pool, range.start, len) {
            Ok(payload) => Some(payload),
            Err(_) => return false,
        },
        _ => None,
    };
    if len > 0 && data_end == tcb.queued_to() {
        flags = flags.with(Flags::PSH);
    }
    let mut ecn = 0;
    if fresh && len > 0 && tcb.marks.has(Marks::ECN) {
        ecn = ECT_0;
        flags = flags.with_if(tcb.marks.take(Marks::TELL_REDUCED), Flags::CWR);
    }
    let room = u32::from(tcb.mss).saturating_sub(len);
    let mut header = header(tcb, range.start, flags, room, env.now);
    if tcb.marks.has(Marks::URGENT_OUT) && tcb.snd_up.after(range.start) {
        header.flags = header.flags.with(Flags::URG);
        header.urgent = tcb.snd_up.since(range.start).min(0xffff) as u16;
    }
    emit(tcb, &header, payload, ecn, env)
}

fn transmit_syn(tcb: &mut Tcb, env: &mut Env<'_>) -> bool {
    let answers = tcb.state == State::SynReceived;
    let asks = tcb.marks.has(Marks::ACTIVE);
    let mut flags = Flags::SYN.with_if(answers, Flags::ACK);
    if answers && tcb.marks.has(Marks::ECN) {
        flags = flags.with(Flags::ECE);
    } else if tcb.asks_for_marks() {
        flags = flags.with(Flags::ECE).with(Flags::CWR);
    }
    let fixed = if tcb.remote.ip.is_ipv4() { 40 } else { 60 };
    let mut mss = tcb.path_mtu.saturating_sub(fixed).max(super::tcb::MSS_MIN);
    if tcb.settings.max_segment > 0 {
        mss = mss.min(tcb.settings.max_segment);
    }
    let open = asks && !answers;
    let scaled = open || tcb.marks.has(Marks::SCALED);
    let stamped = open && tcb.settings.timestamps || tcb.marks.has(Marks::TIMESTAMPS);
    let window = free(tcb).min(0xffff);
    tcb.rcv_adv = tcb.rcv_adv.latest(tcb.rcv_nxt.add(window));
    let header = Header {
        local: tcb.local.into(),
        remote: tcb.remote.into(),
        seq: tcb.iss,
        ack: tcb.rcv_nxt,
        flags,
        window: window as u16,
        urgent: 0,
        options: Options::of_syn(
            mss,
            scaled.then_some(tcb.rcv_scale),
            open && tcb.settings.sack || tcb.marks.has(Marks::SACK),
            stamped.then(|| (tcb.timestamp(env.now), tcb.ts_recent)),
        ),
    };
    emit(tcb, &header, None, 0, env)
}

/// The header of a segment now. The window goes with it, and SACK blocks as far as there is room
/// beside the data: octets of the peer's maximum that they leave (RFC 6691).
fn header(tcb: &mut Tcb, seq: Seq, flags: Flags, room: u32, now: u64) -> Header {
    let stamps = tcb.marks.has(Marks::TIMESTAMPS);
    let mut options = Options::stamped(stamps.then(|| (tcb.timestamp(now), tcb.ts_recent)));
    if tcb.marks.has(Marks::SACK) && (!tcb.duplicate.is_empty() || tcb.reassembly.is_some()) {
        tell_blocks(tcb, room, &mut options);
    }
    Header {
        local: tcb.local.into(),
        remote: tcb.remote.into(),
        seq,
        ack: tcb.rcv_nxt,
        flags,
        window: announce(tcb),
        urgent: 0,
        options,
    }
}

/// What came twice, then what waits out of order, the latest first (RFC 2018, RFC 2883).
fn tell_blocks(tcb: &mut Tcb, room: u32, options: &mut Options) {
    let mut left = room.saturating_sub(SACK_HEADER) / SACK_BLOCK;
    if left > 0 && !tcb.duplicate.is_empty() {
        options.add_sack(core::mem::take(&mut tcb.duplicate));
        left -= 1;
    }
    if let Some(reassembly) = &tcb.reassembly {
        let mut blocks = [Range::default(); super::options::SACKS_MAX];
        let count = reassembly.blocks(&mut blocks).min(left as usize);
        for block in &blocks[..count] {
            options.add_sack(*block);
        }
    }
}

/// The window to announce. Its right edge never moves back (RFC 9293 section 3.8.6) and moves on
/// in steps that are worth a segment.
fn announce(tcb: &mut Tcb) -> u16 {
    let edge = tcb.rcv_nxt.add(free(tcb));
    let half = tcb.rcv_buf.min(window_max(tcb)) / 2;
    let step = half.min(u32::from(tcb.rcv_mss));
    if edge.after(tcb.rcv_adv) && edge.since(tcb.rcv_adv) >= step {
        tcb.rcv_adv = edge;
    }
    let unit = 1 << tcb.rcv_scale;
    let field = tcb.rcv_wnd().div_ceil(unit).min(0xffff);
    // What the header says is what will be taken.
    tcb.rcv_adv = tcb.rcv_adv.latest(tcb.rcv_nxt.add(field * unit));
    field as u16
}

/// Octets of the receive buffer that nothing waits in, as far as a header can tell of them.
fn free(tcb: &Tcb) -> u32 {
    let ready = tcb.ready.bytes().saturating_add(tcb.ready.len() as u32 * PER_MSG);
    tcb.rcv_buf.saturating_sub(tcb.unread.saturating_add(ready)).min(window_max(tcb))
}

/// The largest window that a header can tell of, and the user lets it.
pub(super) fn window_max(tcb: &Tcb) -> u32 {
    let told = 0xffff << tcb.rcv_scale;
    match tcb.settings.window_clamp {
        0 => told,
        clamp => clamp.min(told),
    }
}

fn emit(tcb: &mut Tcb, header: &Header, payload: Option<Msg>, ecn: u8, env: &mut Env<'_>) -> bool {
    let way = Way { ttl: tcb.settings.ttl, tos: (tcb.settings.tos & !3) | ecn };
    let data = payload.is_some();
    match build::segment(header, way, payload, tcb.mss, env.pool) {
        Ok(msg) => env.shared.act.create_down(msg),
        Err((payload, reason)) => {
            env.shared.happened.push(reason);
            if let Some(payload) = payload {
                env.pool.spend(payload);
            }
            return false;
        }
    }
    tcb.count.segments_out = tcb.count.segments_out.wrapping_add(1);
    tcb.count.data_out = tcb.count.data_out.wrapping_add(u32::from(data));
    if header.flags.has(Flags::ACK) {
        tcb.acked = tcb.rcv_nxt;
        tcb.unacked = 0;
        tcb.ack_at = NEVER;
        tcb.marks.clear(Marks::ACK_NOW);
        if tcb.marks.take(Marks::ACK_SOON) && data {
            tcb.quick = tcb.quick.saturating_sub(1);
        }
    }
    true
}

/// How long an acknowledgement waits: as Linux, less than a tenth of the RFC's most.
pub(super) const DELAYED_ACK_NS: u64 = 40_000_000;
/// Octets that a message in wait counts for beside its own, as where streams queue it.
const PER_MSG: u32 = 1024;
/// Octets of a SACK option without its blocks, with padding, and of a block.
const SACK_HEADER: u32 = 4;
const SACK_BLOCK: u32 = 8;
/// The sender's transport takes congestion marks (RFC 3168).
const ECT_0: u8 = 2;
