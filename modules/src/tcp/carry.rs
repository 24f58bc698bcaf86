//! A connection as plain bytes, for another stack to go on with: without addresses of memory,
//! with times that count from now. Words little end first.
//!
//! ```text
//! version | local address, port | remote | words of the connection | path and window
//!         | length, octets that are not acknowledged or not sent | length, octets not taken
//! ```
//!
//! Octets out of order do not come along: the peer sends them again (RFC 2018 section 8).

use super::autotune::Reader;
use super::congestion::Algorithm;
use super::loss::Loss;
use super::tcb::{Endpoint, MSS_MIN, Marks, State, Tcb, ms};
use super::{Seq, Settings};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use millstream_msg::{Msg, NoMem, Pool};

/// A connection that was read.
pub(super) struct Carried {
    pub(super) tcb: Tcb,
    /// From the oldest octet that is not acknowledged on.
    pub(super) sent: Vec<u8>,
    /// In order, for the user.
    pub(super) ready: Vec<u8>,
}

/// The bytes of a connection in ESTABLISHED or CLOSE-WAIT.
///
/// # Errors
/// [`NoMem`]: no windows to read its octets through.
pub(super) fn write(tcb: &mut Tcb, now: u64, pool: &mut Pool) -> Result<Vec<u8>, NoMem> {
    let mut out = Vec::from(VERSION.to_le_bytes());
    for end in [tcb.local, tcb.remote] {
        let address = match end.ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        out.extend(address.octets());
        out.extend(u32::from(end.port).to_le_bytes());
    }
    let words =
        [state_number(tcb.state), tcb.timestamp(now), ms(now).wrapping_sub(tcb.ts_recent_ms)];
    for word in words {
        out.extend(word.to_le_bytes());
    }
    visit(tcb, &mut |word| out.extend(word.to_le_bytes()));
    for word in tcb.loss.carried() {
        out.extend(word.to_le_bytes());
    }
    let sent = match &tcb.flight {
        Some(flight) if !flight.queue.is_empty() => {
            Some(flight.queue.slice(pool, flight.queue.una(), flight.queue.len())?)
        }
        _ => None,
    };
    octets(sent.as_ref().map_or(0, Msg::len), sent.iter(), &mut out);
    if let Some(sent) = sent {
        pool.free(sent);
    }
    octets(tcb.ready.bytes() as usize, tcb.ready.iter(), &mut out);
    Ok(out)
}

/// Reads what [`write()`] has written; `None` when it is not that.
pub(super) fn read(bytes: &[u8], now: u64) -> Option<Carried> {
    let mut input = Input(bytes);
    (input.word()? == VERSION).then_some(())?;
    let [local, remote] = [input.end()?, input.end()?];
    let state = match input.word()? {
        1 => State::Established,
        8 => State::CloseWait,
        _ => return None,
    };
    let (stamp, age_ms) = (input.word()?, input.word()?);
    let settings = Arc::new(Settings::default());
    let mut tcb = Tcb::new(state, local, remote, Seq(0), u16::MAX, settings, now);
    let mut whole = true;
    visit(&mut tcb, &mut |word| match input.word() {
        Some(read) => *word = read,
        None => whole = false,
    });
    let path = [(); Loss::CARRIED].map(|()| input.word());
    let mut words = [0; Loss::CARRIED];
    for (to, from) in words.iter_mut().zip(path) {
        *to = from?;
    }
    let (sent, ready) = (input.octets()?, input.octets()?);
    let flying = tcb.nxt.since(tcb.una);
    let sound = whole
        && input.0.is_empty()
        && flying as usize <= sent.len()
        && sent.len() <= OCTETS_MAX
        && tcb.mss >= MSS_MIN
        && tcb.snd_scale <= 14
        && tcb.rcv_scale <= 14
        && tcb.rcv_buf > 0
        && tcb.rcv_adv.since(tcb.rcv_nxt) <= 1 << 30
        && local.ip.is_ipv4() == remote.ip.is_ipv4();
    if !sound {
        return None;
    }
    tcb.marks.keep(CARRIED_MARKS);
    tcb.ts_offset = stamp.wrapping_sub(ms(now));
    tcb.ts_recent_ms = ms(now).wrapping_sub(age_ms);
    tcb.loss = Loss::resumed(words, tcb.settings.algorithm, tcb.mss.into());
    let rtt_us = tcb.loss.rtt().smoothed().unwrap_or(0) / 1000;
    tcb.reader = Reader::new(tcb.rcv_nxt, tcb.rcv_wnd(), rtt_us as u32, now);
    Some(Carried { tcb, sent: sent.into(), ready: ready.into() })
}

/// Each word of a connection, to write or to set.
fn visit(tcb: &mut Tcb, each: &mut impl FnMut(&mut u32)) {
    macro_rules! numbers {
        ($($field:expr),* $(,)?) => {
            $(let mut word = u32::from($field); each(&mut word); $field = word as _;)*
        };
    }
    macro_rules! flags {
        ($($field:expr),* $(,)?) => {
            $(let mut word = u32::from($field); each(&mut word); $field = word != 0;)*
        };
    }
    let Tcb { una, nxt, wl1, wl2, small, snd_up, rcv_nxt, rcv_adv, acked, rcv_up, .. } = tcb;
    for seq in [una, nxt, wl1, wl2, small, snd_up, rcv_nxt, rcv_adv, acked, rcv_up] {
        each(&mut seq.0);
    }
    numbers!(tcb.wnd, tcb.max_wnd, tcb.rcv_buf, tcb.rcv_mss, tcb.peer_mss, tcb.mss, tcb.path_mtu);
    numbers!(tcb.snd_scale, tcb.rcv_scale, tcb.ts_recent);
    each(tcb.marks.bits_mut());
    let mut settings = *tcb.settings;
    let s = &mut settings;
    flags!(s.nodelay, s.cork, s.keepalive, s.oob_inline, s.reuse, s.ecn, s.tune_snd, s.tune_rcv);
    numbers!(s.keep_count, s.syn_count, s.tos, s.ttl, s.keep_idle_s, s.keep_interval_s);
    numbers!(s.fin_wait_s, s.max_segment, s.user_timeout_ms, tcb.snd_buf, s.rcv_buf);
    numbers!(s.window_clamp, s.notsent_lowat, s.max_pacing);
    let mut linger = s.linger_s.map_or(u32::MAX, u32::from);
    each(&mut linger);
    s.linger_s = u16::try_from(linger).ok();
    let mut reno = u32::from(s.algorithm == Algorithm::NewReno);
    each(&mut reno);
    s.algorithm = if reno == 1 { Algorithm::NewReno } else { Algorithm::Cubic };
    if settings != *tcb.settings {
        tcb.settings = Arc::new(settings);
    }
}

const fn state_number(state: State) -> u32 {
    state.linux_number() as u32
}

/// Writes `len` octets of messages behind their number.
fn octets<'a>(len: usize, msgs: impl Iterator<Item = &'a Msg>, out: &mut Vec<u8>) {
    out.extend((len as u32).to_le_bytes());
    for msg in msgs {
        let at = out.len();
        out.resize(at + msg.len(), 0);
        msg.copy_out(0, &mut out[at..]);
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn word(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    fn end(&mut self) -> Option<Endpoint> {
        let address: [u8; 16] = self.take(16)?.try_into().ok()?;
        let port = u16::try_from(self.word()?).ok()?;
        Some(SocketAddr::new(Ipv6Addr::from(address).to_canonical(), port).into())
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let len = self.word()?;
        self.take(len as usize)
    }
}

/// Marks that mean the same in another stack.
const CARRIED_MARKS: &[Marks] = &[
    Marks::TIMESTAMPS,
    Marks::SACK,
    Marks::ECN,
    Marks::ECHO_CONGESTION,
    Marks::TELL_REDUCED,
    Marks::URGENT_OUT,
    Marks::URGENT_IN,
    Marks::SCALED,
    Marks::ACTIVE,
    Marks::TELL_END,
    Marks::TOLD_END,
];

/// The layout.
const VERSION: u32 = 2;

/// More than a send buffer holds.
pub(super) const OCTETS_MAX: usize = 16 << 20;
