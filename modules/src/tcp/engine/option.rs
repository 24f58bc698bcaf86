//! T_OPTMGMT_REQ: options of a user or of its connection, by the numbers that Linux programs use.

use super::request::{Asked, Refusal};
use super::{Engine, User};
use crate::tcp::congestion::Algorithm;
use crate::tcp::tcb::{Marks, QUICK_ACKS, Settings, Tcb};
use crate::tcp::timers;
use alloc::sync::Arc;
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, OptmgmtReq, Primitive};

/// Levels and names of options (`tcp(7)`, `socket(7)`, `ip(7)`). A value is a word, but of LINGER,
/// which is two, and of CONGESTION, which is a name.
pub mod names {
    /// SOL_SOCKET.
    pub const SOCKET: i32 = 1;
    /// IPPROTO_IP.
    pub const IP: i32 = 0;
    /// IPPROTO_TCP.
    pub const TCP: i32 = 6;
    /// SO_REUSEADDR.
    pub const REUSEADDR: i32 = 2;
    /// SO_ERROR: the error that waits; it is forgotten then. Only read.
    pub const ERROR: i32 = 4;
    /// SO_SNDBUF, octets.
    pub const SNDBUF: i32 = 7;
    /// SO_RCVBUF, octets.
    pub const RCVBUF: i32 = 8;
    /// SO_KEEPALIVE.
    pub const KEEPALIVE: i32 = 9;
    /// SO_OOBINLINE.
    pub const OOBINLINE: i32 = 10;
    /// SO_LINGER: on or off, and seconds. A close waits at most the close time of its stream.
    pub const LINGER: i32 = 13;
    /// SO_MAX_PACING_RATE, octets a second in 4 bytes or 8; -1: no limit.
    pub const MAX_PACING_RATE: i32 = 47;
    /// IP_TOS.
    pub const TOS: i32 = 1;
    /// IP_TTL.
    pub const TTL: i32 = 2;
    /// TCP_NODELAY.
    pub const NODELAY: i32 = 1;
    /// TCP_MAXSEG, octets.
    pub const MAXSEG: i32 = 2;
    /// TCP_CORK.
    pub const CORK: i32 = 3;
    /// TCP_KEEPIDLE, s.
    pub const KEEPIDLE: i32 = 4;
    /// TCP_KEEPINTVL, s.
    pub const KEEPINTVL: i32 = 5;
    /// TCP_KEEPCNT.
    pub const KEEPCNT: i32 = 6;
    /// TCP_SYNCNT.
    pub const SYNCNT: i32 = 7;
    /// TCP_LINGER2, s.
    pub const LINGER2: i32 = 8;
    /// TCP_INFO: the figures of a connection, of [`INFO_LEN`] bytes. Only read, and alone.
    pub use super::super::info::{INFO, LEN as INFO_LEN};
    /// TCP_QUICKACK: whether the next segments are acknowledged at once.
    pub const QUICKACK: i32 = 12;
    /// TCP_CONGESTION: the name of an algorithm.
    pub const CONGESTION: i32 = 13;
    /// TCP_USER_TIMEOUT, ms.
    pub const USER_TIMEOUT: i32 = 18;
    /// TCP_WINDOW_CLAMP, octets; 0: no limit but the buffer.
    pub const WINDOW_CLAMP: i32 = 10;
    /// TCP_NOTSENT_LOWAT, octets; 0 or -1: no limit but the buffer.
    pub const NOTSENT_LOWAT: i32 = 25;
}

impl Engine {
    /// Every record in order; the first that is refused ends it, and those before it stay done.
    pub(super) fn optmgmt(
        &mut self,
        view: OptmgmtReq<'_>,
        at: &mut Asked<'_>,
    ) -> Result<Primitive, Refusal> {
        if view.options().len() > tpi::OPTIONS_MAX {
            return Err(Refusal::BadOption);
        }
        if !matches!(view.flags(), tpi::T_NEGOTIATE | tpi::T_CHECK | tpi::T_CURRENT) {
            return Err(Refusal::BadFlag);
        }
        let mut ack = Primitive::optmgmt_ack(tpi::T_SUCCESS);
        for record in Records::new(view.options()) {
            let record = record?;
            let mut now = [0; NAME_MAX];
            let value = if view.flags() == tpi::T_CURRENT {
                let len = self.current(&record, at, &mut now)?;
                &now[..len]
            } else {
                self.set(&record, view.flags() == tpi::T_NEGOTIATE, at)?;
                record.value
            };
            if ack.room() < tpi::option::HEADER_LEN + value.len().next_multiple_of(4) {
                return Err(Refusal::BadOption);
            }
            ack = ack.with_option(&Record { status: tpi::T_SUCCESS, value, ..record });
        }
        Ok(ack)
    }

    fn set(&mut self, record: &Record<'_>, act: bool, at: &mut Asked<'_>) -> Result<(), Refusal> {
        let mut settings = self.settings(at.user)?;
        change(&mut settings, record)?;
        if !act {
            return Ok(());
        }
        self.keep_settings(at.user, settings);
        if let Some(number) = self.user(at.user).and_then(User::socket) {
            self.table.set_reuse(number, settings.reuse);
        }
        let now = at.now;
        if let Some((number, _)) = self.connection_of(at.user) {
            self.with(number, now, at.pool, |tcb, _| {
                if (record.level, record.name) == (names::SOCKET, names::RCVBUF) {
                    tcb.rcv_buf = tcb.settings.rcv_buf;
                    // The stream above queues as much.
                    tcb.marks.set(Marks::TELL_BUFFER);
                }
                if (record.level, record.name) == (names::SOCKET, names::SNDBUF) {
                    tcb.snd_buf = tcb.settings.snd_buf;
                }
                if (record.level, record.name) == (names::TCP, names::MAXSEG) {
                    tcb.set_mss();
                }
                if (record.level, record.name) == (names::TCP, names::QUICKACK) {
                    quick_acks(tcb, record.word() != Some(0));
                }
                tcb.loss.set_algorithm(tcb.settings.algorithm);
                timers::arm_keepalive(tcb, now);
            });
        }
        Ok(())
    }

    /// Those of the connection, else of the user, which a connection then begins with.
    fn settings(&mut self, user: u32) -> Result<Settings, Refusal> {
        if let Some((_, tcb)) = self.connection_of(user) {
            let (snd_buf, rcv_buf) = (tcb.snd_buf, tcb.rcv_buf);
            return Ok(Settings { snd_buf, rcv_buf, ..*tcb.settings });
        }
        self.user(user).map(|user| *user.settings).ok_or(Refusal::OutOfState)
    }

    fn keep_settings(&mut self, user: u32, settings: Settings) {
        if self.settings.iter().all(|known| **known != settings) {
            self.settings[1] = Arc::new(settings);
        }
        let kept = self.settings.iter().find(|known| ***known == settings).cloned();
        let Some(kept) = kept else { return };
        if let Some((_, tcb)) = self.connection_of(user) {
            tcb.settings = kept;
        } else if let Some(user) = self.user_mut(user) {
            user.settings = kept;
        }
    }

    fn current(
        &mut self,
        record: &Record<'_>,
        at: &mut Asked<'_>,
        out: &mut [u8; NAME_MAX],
    ) -> Result<usize, Refusal> {
        if (record.level, record.name) == (names::SOCKET, names::ERROR) {
            let soft = self
                .connection_of(at.user)
                .map_or(0, |(_, tcb)| i32::from(core::mem::take(&mut tcb.soft_error)));
            out[..4].copy_from_slice(&soft.to_ne_bytes());
            return Ok(4);
        }
        if (record.level, record.name) == (names::TCP, names::MAXSEG)
            && let Some((_, tcb)) = self.connection_of(at.user)
        {
            out[..4].copy_from_slice(&i32::from(tcb.mss).to_ne_bytes());
            return Ok(4);
        }
        if (record.level, record.name) == (names::TCP, names::QUICKACK) {
            let quick = self.connection_of(at.user).is_some_and(|(_, tcb)| tcb.quick > 0);
            out[..4].copy_from_slice(&i32::from(quick).to_ne_bytes());
            return Ok(4);
        }
        read(&self.settings(at.user)?, record, out)
    }
}

/// From now on acknowledgements go at once for a while, and the one that waits, or none does.
fn quick_acks(tcb: &mut Tcb, on: bool) {
    tcb.quick = if on { QUICK_ACKS } else { 0 };
    if on && tcb.unacked > 0 {
        tcb.marks.set(Marks::ACK_NOW);
    }
}

fn change(s: &mut Settings, record: &Record<'_>) -> Result<(), Refusal> {
    if (record.level, record.name) == (names::TCP, names::CONGESTION) {
        let name = record.value.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = core::str::from_utf8(name).map_err(|_| Refusal::BadOption)?;
        s.algorithm = Algorithm::named(name).ok_or(Refusal::BadOption)?;
        return Ok(());
    }
    let value = record.word().ok_or(Refusal::BadOption)?;
    let on = value != 0;
    let within = |low: i32, high: i32| {
        if (low..=high).contains(&value) { Ok(value) } else { Err(Refusal::BadOption) }
    };
    match (record.level, record.name) {
        (names::SOCKET, names::REUSEADDR) => s.reuse = on,
        (names::SOCKET, names::SNDBUF) => (s.snd_buf, s.tune_snd) = (buffer(value)?, false),
        (names::SOCKET, names::RCVBUF) => (s.rcv_buf, s.tune_rcv) = (buffer(value)?, false),
        (names::SOCKET, names::KEEPALIVE) => s.keepalive = on,
        (names::SOCKET, names::OOBINLINE) => s.oob_inline = on,
        (names::SOCKET, names::LINGER) => {
            let seconds = record.value.get(4..).and_then(|rest| tpi::word(rest, 0));
            let seconds = seconds.ok_or(Refusal::BadOption)?.clamp(0, u16::MAX.into()) as u16;
            s.linger_s = on.then_some(seconds);
        }
        (names::SOCKET, names::MAX_PACING_RATE) => s.max_pacing = pace(record.value)?,
        (names::IP, names::TOS) => s.tos = within(0, 255)? as u8,
        (names::IP, names::TTL) => s.ttl = within(1, 255)? as u8,
        (names::TCP, names::NODELAY) => s.nodelay = on,
        (names::TCP, names::MAXSEG) => s.max_segment = within(MAXSEG_MIN, 32_767)? as u16,
        (names::TCP, names::CORK) => s.cork = on,
        (names::TCP, names::KEEPIDLE) => s.keep_idle_s = within(1, 32_767)? as u16,
        (names::TCP, names::KEEPINTVL) => s.keep_interval_s = within(1, 32_767)? as u16,
        (names::TCP, names::KEEPCNT) => s.keep_count = within(1, 127)? as u8,
        (names::TCP, names::SYNCNT) => s.syn_count = within(1, 127)? as u8,
        // Of the moment, not of a user: see quick_acks.
        (names::TCP, names::QUICKACK) => {}
        (names::TCP, names::LINGER2) => s.fin_wait_s = within(0, 120)? as u16,
        (names::TCP, names::USER_TIMEOUT) => {
            s.user_timeout_ms = u32::try_from(value).map_err(|_| Refusal::BadOption)?;
        }
        (names::TCP, names::WINDOW_CLAMP) => {
            let octets = u32::try_from(value).map_err(|_| Refusal::BadOption)?;
            s.window_clamp = if octets == 0 { 0 } else { octets.max(CLAMP_MIN) };
        }
        (names::TCP, names::NOTSENT_LOWAT) => s.notsent_lowat = u32::try_from(value).unwrap_or(0),
        _ => return Err(Refusal::NoOption),
    }
    Ok(())
}

fn read(s: &Settings, record: &Record<'_>, out: &mut [u8; NAME_MAX]) -> Result<usize, Refusal> {
    let value = match (record.level, record.name) {
        (names::TCP, names::CONGESTION) => {
            let name = s.algorithm.name().as_bytes();
            let len = name.len().min(NAME_MAX);
            out[..len].copy_from_slice(&name[..len]);
            return Ok(len);
        }
        (names::SOCKET, names::LINGER) => {
            let seconds = i32::from(s.linger_s.unwrap_or(0));
            out[..4].copy_from_slice(&i32::from(s.linger_s.is_some()).to_ne_bytes());
            out[4..8].copy_from_slice(&seconds.to_ne_bytes());
            return Ok(8);
        }
        (names::SOCKET, names::MAX_PACING_RATE) => match s.max_pacing {
            0 => -1,
            rate => rate as i32,
        },
        (names::SOCKET, names::REUSEADDR) => s.reuse.into(),
        (names::SOCKET, names::SNDBUF) => s.snd_buf as i32,
        (names::SOCKET, names::RCVBUF) => s.rcv_buf as i32,
        (names::SOCKET, names::KEEPALIVE) => s.keepalive.into(),
        (names::SOCKET, names::OOBINLINE) => s.oob_inline.into(),
        (names::IP, names::TOS) => s.tos.into(),
        (names::IP, names::TTL) => s.ttl.into(),
        (names::TCP, names::NODELAY) => s.nodelay.into(),
        (names::TCP, names::MAXSEG) => s.max_segment.into(),
        (names::TCP, names::CORK) => s.cork.into(),
        (names::TCP, names::KEEPIDLE) => s.keep_idle_s.into(),
        (names::TCP, names::KEEPINTVL) => s.keep_interval_s.into(),
        (names::TCP, names::KEEPCNT) => s.keep_count.into(),
        (names::TCP, names::SYNCNT) => s.syn_count.into(),
        (names::TCP, names::LINGER2) => s.fin_wait_s.into(),
        (names::TCP, names::USER_TIMEOUT) => s.user_timeout_ms as i32,
        (names::TCP, names::WINDOW_CLAMP) => s.window_clamp as i32,
        (names::TCP, names::NOTSENT_LOWAT) => s.notsent_lowat as i32,
        _ => return Err(Refusal::NoOption),
    };
    out[..4].copy_from_slice(&value.to_ne_bytes());
    Ok(4)
}

/// Octets a second, in a word or two; 0: no limit, which is said by all bits.
fn pace(value: &[u8]) -> Result<u32, Refusal> {
    let rate = match (value.first_chunk(), value.first_chunk()) {
        (_, Some(word)) => u64::from_ne_bytes(*word),
        (Some(word), None) => match u32::from_ne_bytes(*word) {
            u32::MAX => u64::MAX,
            rate => rate.into(),
        },
        _ => return Err(Refusal::BadOption),
    };
    match rate {
        0 => Err(Refusal::BadOption),
        u64::MAX => Ok(0),
        rate => Ok(rate.min(u32::MAX.into()) as u32),
    }
}

/// Octets of a buffer, within what Linux takes.
fn buffer(value: i32) -> Result<u32, Refusal> {
    u32::try_from(value).map(|n| n.clamp(BUFFER_MIN, BUFFER_MAX)).map_err(|_| Refusal::BadOption)
}

/// The longest value that is read: the name of an algorithm.
const NAME_MAX: usize = 16;
const BUFFER_MIN: u32 = 4096;
const BUFFER_MAX: u32 = 64 << 20;
const MAXSEG_MIN: i32 = 88;
/// As Linux: half of the least receive buffer.
const CLAMP_MIN: u32 = 1152;
