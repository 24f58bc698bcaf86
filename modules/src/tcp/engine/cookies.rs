//! A listener that remembers no more handshakes answers with cookies (RFC 4987): what is to be
//! remembered comes back with the peer's ACK.

use super::{Engine, ends_of};
use crate::tcp::build::{self, Header, Way};
use crate::tcp::cookie::Told;
use crate::tcp::env::Env;
use crate::tcp::tcb::{Marks, Settings, Tcb, default_mss, ms};
use crate::tcp::{Flags, Options, Segment, TcpDrop, input};
use millstream_msg::{Msg, Pool};

impl Engine {
    /// Answers a SYN and forgets it.
    pub(super) fn answer_with_cookie(
        &mut self,
        settings: &Settings,
        seg: &Segment,
        now: u64,
        pool: &mut Pool,
    ) {
        let ends = ends_of(seg.local, seg.remote);
        let asked = &seg.options;
        let mss = asked.mss.unwrap_or(default_mss(seg.remote.ip()));
        let told = Told {
            window_scale: asked.window_scale,
            sack: asked.sack_permitted && settings.sack,
            ecn: seg.flags.has(Flags::ECE.with(Flags::CWR)),
        };
        let clock = ms(now).wrapping_add(self.secret.timestamp_offset(&ends));
        // Without timestamps there is no place to remember the other options in.
        let stamps = asked.timestamps.filter(|_| settings.timestamps);
        let stamps = stamps.map(|(value, _)| (told.timestamp(clock), value));
        let scale = asked.window_scale.filter(|_| stamps.is_some());
        let fixed = if seg.remote.is_ipv4() { 40 } else { 60 };
        let ours = self.locals.mtu(seg.local.ip()).saturating_sub(fixed);
        let sack = told.sack && stamps.is_some();
        let options = Options::of_syn(ours, scale.map(|_| settings.rcv_scale), sack, stamps);
        let header = Header {
            local: seg.local,
            remote: seg.remote,
            seq: self.cookies.make(&ends, seg.seq, mss, now),
            ack: seg.seq.add(1),
            flags: Flags::SYN.with(Flags::ACK),
            window: u16::MAX,
            urgent: 0,
            options,
        };
        self.cookie_sent = Some(now);
        match build::segment(&header, Way::default(), None, u16::MAX, pool) {
            Ok(msg) => self.shared.act.create_down(msg),
            Err((_, reason)) => self.shared.happened.push(reason),
        }
        self.shared.happened.push(TcpDrop::SynQueueFull);
    }

    /// An ACK for no connection: if it brings a cookie of ours back, its connection is made and
    /// takes it; else the segment is given back.
    pub(super) fn take_cookie(
        &mut self,
        listener: u32,
        seg: &Segment,
        msg: Msg,
        now: u64,
        pool: &mut Pool,
    ) -> Result<(), Msg> {
        // Only while some are out: else each ACK would be a guess at one.
        let out = self.cookie_sent.is_some_and(|sent| now.saturating_sub(sent) < GOOD_FOR_NS);
        if !out || seg.flags.has(Flags::SYN) {
            return Err(msg);
        }
        let ends = ends_of(seg.local, seg.remote);
        let (iss, irs) = (seg.ack.sub(1), seg.seq.sub(1));
        let Some(mss) = self.cookies.check(&ends, irs, iss, now) else { return Err(msg) };
        let Some(user) = self.listener(listener).filter(|l| !l.is_full()).map(|l| l.user) else {
            return Err(msg);
        };
        let Ok(number) = self.add(user, seg, iss, now) else { return Err(msg) };
        if let Some(listener) = self.listener(listener) {
            listener.half_open += 1;
        }
        self.with(number, now, pool, |tcb: &mut Tcb, env: &mut Env<'_>| {
            remember(tcb, seg, mss, now);
            input::arrives(tcb, seg, msg, env);
        });
        Ok(())
    }
}

/// What the SYN said, as far as the cookie and the echoed timestamp tell.
fn remember(tcb: &mut Tcb, seg: &Segment, mss: u16, now: u64) {
    let mut asked = Options::of_syn(mss, None, false, None);
    if let Some((value, echo)) = seg.options.timestamps {
        let told = Told::of(echo);
        asked.timestamps = Some((value, 0));
        asked.window_scale = told.window_scale;
        asked.sack_permitted = told.sack;
        if told.ecn {
            tcb.marks.set(Marks::ECN);
        }
    }
    let syn = Segment { seq: seg.seq.sub(1), options: asked, ..seg.clone() };
    input::negotiate(tcb, &syn, now);
    tcb.nxt = tcb.iss.add(1);
    // Our SYN announced this much.
    tcb.rcv_adv = tcb.rcv_nxt.add(u16::MAX.into());
}

/// As long as a cookie can be good.
const GOOD_FOR_NS: u64 = 128_000_000_000;
