//! The other end of one connection: what it sends by default, and what it has seen. Every segment
//! of the host goes through [`Peer::saw`], which holds it to what no TCP may break.

use super::seg::{ACK, FIN, PSH, RST, SYN, Seg, Ts, URG, pattern_of};
use super::wire::{Packet, Sent};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub addr: SocketAddr,
    pub host: SocketAddr,
    /// The peer's first number.
    pub iss: u32,
    /// The host's first number, from its SYN.
    pub irs: Option<u32>,
    /// Next number that the peer sends.
    pub nxt: u32,
    /// All of the host's numbers before this one have come.
    pub rcv_nxt: u32,
    /// The window's field in what it sends.
    pub window: u16,
    pub wscale: Option<u8>,
    pub mss: Option<u16>,
    sack_offered: bool,
    ts_offered: bool,
    /// What the peer's clock of timestamps shows at time 0.
    pub ts_base: u32,
    /// The last timestamp that came.
    pub ts_recent: u32,
    /// The host's offers, in its SYN.
    pub host_mss: Option<u16>,
    pub host_wscale: Option<u8>,
    host_sack: bool,
    host_ts: bool,
    /// What the host sent and the test has not looked at.
    pub seen: VecDeque<Sent>,
    /// What the host's user wrote.
    pub written: Vec<u8>,
    /// Behind the host's furthest number.
    pub host_max: u32,
    /// Behind the furthest octet that the peer's windows allowed.
    edge: u32,
    /// The last window that was offered to the host, in octets.
    offered: u32,
    /// Behind the furthest number that the peer sent.
    sent_max: u32,
    /// Right edge of the host's window, and its last acknowledgement.
    host_edge: Option<u32>,
    host_acked: u32,
    /// Its last timestamp, and when it came.
    host_tsval: Option<(u32, u64)>,
    /// The host may take back window it offered.
    pub may_shrink: bool,
    /// What the peer sends is not what its state says: not held against the host.
    pub lax: bool,
}

impl Peer {
    pub(crate) fn new(addr: SocketAddr, host: SocketAddr) -> Self {
        Self {
            addr,
            host,
            iss: 0x2000_0000,
            irs: None,
            nxt: 0,
            rcv_nxt: 0,
            window: 0xffff,
            wscale: None,
            mss: None,
            sack_offered: false,
            ts_offered: false,
            ts_base: 500_000,
            ts_recent: 0,
            host_mss: None,
            host_wscale: None,
            host_sack: false,
            host_ts: false,
            seen: VecDeque::new(),
            written: Vec::new(),
            host_max: 0,
            edge: 0,
            offered: 0xffff,
            sent_max: 0,
            host_edge: None,
            host_acked: 0,
            host_tsval: None,
            may_shrink: false,
            lax: false,
        }
    }

    /// Both have offered timestamps.
    pub(crate) fn has_ts(&self) -> bool {
        self.ts_offered && self.host_ts
    }

    pub(crate) fn has_sack(&self) -> bool {
        self.sack_offered && self.host_sack
    }

    fn shift(&self) -> u8 {
        if self.host_wscale.is_some() { self.wscale.unwrap_or(0).min(14) } else { 0 }
    }

    fn host_shift(&self) -> u8 {
        if self.wscale.is_some() { self.host_wscale.unwrap_or(0) } else { 0 }
    }

    /// The host's window as a segment of it offers it, in octets.
    pub(crate) fn window_of(&self, sent: &Sent) -> u32 {
        u32::from(sent.window) << if sent.has(SYN) { 0 } else { self.host_shift() }
    }

    /// Milliseconds since the start as the peer's timestamps tell them.
    pub(crate) fn clock(&self, now: u64) -> u32 {
        self.ts_base.wrapping_add((now / 1_000_000) as u32)
    }

    /// The packet of a segment that the peer sends at `now`.
    pub(crate) fn send(&mut self, seg: &Seg, now: u64) -> Packet {
        let seq = seg.seq.unwrap_or(self.nxt);
        let mut flags = seg.flags;
        if seg.payload_len() > 0 && !seg.has(SYN | RST) && seg.mask & ACK == 0 {
            flags |= ACK;
        }
        if seg.payload_len() > 0 && seg.mask & PSH == 0 && !seg.has(SYN) {
            flags |= PSH;
        }
        if flags & SYN != 0 && !seg.bad_sum {
            self.wscale = seg.wscale;
            self.mss = seg.mss;
            self.sack_offered = seg.sack_ok;
            self.ts_offered = seg.ts != Ts::Off && seg.ts != Ts::Auto;
        }
        let ack = seg.ack.unwrap_or(self.rcv_nxt);
        let window = seg.window.unwrap_or(self.window);
        if !seg.bad_sum {
            self.note_sent(seg, seq, flags, ack, window);
        }
        let data = match &seg.data {
            Some(data) => data.clone(),
            None => pattern_of(seq.wrapping_sub(1) as usize, seg.len.unwrap_or(0)),
        };
        let options = seg.raw_options.clone().unwrap_or_else(|| self.options(seg, now));
        Packet {
            src: seg.from.unwrap_or(self.addr),
            dst: seg.to.unwrap_or(self.host),
            tos: seg.tos.unwrap_or(0),
            ip_options: seg.ip_options.clone(),
            seq: self.iss.wrapping_add(seq),
            // Without the flag the field means nothing: a good number tempts.
            ack: self.irs.unwrap_or(0).wrapping_add(ack),
            flags,
            window,
            urgent: seg.urgent.unwrap_or(0),
            options,
            data_offset: seg.data_offset,
            data,
            bad_sum: seg.bad_sum,
        }
    }

    fn note_sent(&mut self, seg: &Seg, seq: u32, flags: u8, ack: u32, window: u16) {
        let end = seq.wrapping_add(seg.space());
        if seq == self.nxt {
            self.nxt = end;
        }
        self.sent_max = later(self.sent_max, end);
        if flags & ACK != 0 {
            let shift = if flags & SYN != 0 { 0 } else { self.shift() };
            self.offered = u32::from(window) << shift;
            self.edge = later(self.edge, ack.wrapping_add(self.offered));
        } else if flags & SYN != 0 {
            self.offered = u32::from(window);
            self.edge = later(self.edge, 1 + self.offered);
        }
    }

    fn options(&self, seg: &Seg, now: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mss) = seg.mss {
            bytes.extend([2, 4]);
            bytes.extend(mss.to_be_bytes());
        }
        if seg.sack_ok {
            bytes.extend([4, 2]);
        }
        let ts = match seg.ts {
            Ts::Are(value, echo) => Some((value, echo)),
            Ts::On => Some((self.clock(now), self.ts_recent)),
            Ts::Auto if self.has_ts() => Some((self.clock(now), self.ts_recent)),
            _ => None,
        };
        if let Some((value, echo)) = ts {
            // Both not aligned: nobody may count on it.
            bytes.extend([8, 10]);
            bytes.extend(value.to_be_bytes());
            bytes.extend(echo.to_be_bytes());
        }
        if let Some(shift) = seg.wscale {
            bytes.extend([3, 3, shift]);
        }
        if let Some(blocks) = seg.sacks.as_ref().filter(|blocks| !blocks.is_empty()) {
            bytes.extend([5, (2 + 8 * blocks.len()) as u8]);
            let irs = self.irs.unwrap_or(0);
            for (start, end) in blocks {
                bytes.extend(irs.wrapping_add(*start).to_be_bytes());
                bytes.extend(irs.wrapping_add(*end).to_be_bytes());
            }
        }
        bytes
    }

    /// A segment of the host.
    pub(crate) fn saw(&mut self, mut sent: Sent) {
        if sent.has(SYN) && self.irs.is_none() {
            self.irs = Some(sent.raw_seq);
        }
        sent.seq = sent.raw_seq.wrapping_sub(self.irs.unwrap_or(0));
        sent.ack = if sent.has(ACK) { sent.raw_ack.wrapping_sub(self.iss) } else { 0 };
        for block in &mut sent.sacks {
            *block = (block.0.wrapping_sub(self.iss), block.1.wrapping_sub(self.iss));
        }
        if sent.has(SYN) {
            self.host_mss = sent.mss;
            self.host_wscale = sent.wscale;
            self.host_sack = sent.sack_ok;
            self.host_ts = sent.ts.is_some();
        }
        self.check_options(&sent);
        if self.irs.is_some() && !sent.has(RST) && !self.lax {
            self.check_numbers(&sent);
            self.check_window(&sent);
        }
        if let Some((value, _)) = sent.ts {
            self.ts_recent = value;
        }
        if !sent.has(RST) {
            if before_or_at(sent.seq, self.rcv_nxt) {
                self.rcv_nxt = later(self.rcv_nxt, sent.end());
            }
            self.host_max = later(self.host_max, sent.end());
        }
        self.seen.push_back(sent);
    }

    fn check_options(&self, sent: &Sent) {
        let at_start = sent.has(SYN);
        assert!(at_start || sent.mss.is_none(), "MSS without SYN: {sent:?}");
        assert!(at_start || sent.wscale.is_none(), "window scale without SYN: {sent:?}");
        assert!(at_start || !sent.sack_ok, "SACK permitted without SYN: {sent:?}");
        let padding = end_of_options(&sent.options);
        assert!(padding.iter().all(|byte| *byte == 0), "padding is zero: {sent:?}");
        assert!(self.has_sack() || sent.sacks.is_empty(), "SACK was not agreed: {sent:?}");
        if !at_start && self.irs.is_some() && !self.lax {
            let owed = self.has_ts() && !sent.has(RST);
            assert!(!owed || sent.ts.is_some(), "a timestamp is missing: {sent:?}");
            assert!(self.has_ts() || sent.ts.is_none(), "timestamps were not agreed: {sent:?}");
        }
        // Half a turn of the clock takes 24 days: beyond that, behind is in front.
        let known = self.host_tsval.filter(|(_, at)| sent.at - at < 20 * 24 * 3600 * 1_000_000_000);
        if let (Some((value, _)), Some((before, _))) = (sent.ts, known) {
            assert!(before_or_at(before, value), "timestamps go back: {sent:?}");
        }
        if sent.gso_size.is_none() {
            let most = usize::from(self.mss.unwrap_or(536).max(48));
            let len = sent.len() + sent.options.len();
            assert!(sent.len() == 0 || len <= most, "longer than {most}: {sent:?}");
        }
    }

    fn check_numbers(&mut self, sent: &Sent) {
        let mixed = sent.has(SYN) && (sent.has(FIN) || sent.len() > 0);
        assert!(!mixed, "SYN with data or FIN: {sent:?}");
        assert!(sent.has(ACK) || sent.has(SYN), "neither ACK nor SYN: {sent:?}");
        assert!(sent.has(URG) || sent.urgent == 0, "an urgent pointer without URG: {sent:?}");
        assert!(before_or_at(sent.seq, self.host_max), "a hole before {sent:?}");
        if sent.len() > 0 {
            let from = sent.seq.wrapping_sub(1) as usize;
            let right = self.written.get(from..from + sent.len());
            assert!(right == Some(&sent.data), "other octets than were written: {sent:?}");
            // A probe of a closed window is one octet beyond it.
            let beyond = u32::from(self.offered == 0 && sent.len() == 1);
            let end = sent.seq.wrapping_add(sent.len() as u32);
            assert!(before_or_at(end, self.edge.wrapping_add(beyond)), "beyond window: {sent:?}");
        }
        if sent.has(ACK) {
            assert!(before_or_at(sent.ack, self.sent_max), "acks what was not sent: {sent:?}");
            assert!(before_or_at(self.host_acked, sent.ack), "ACKs go back: {sent:?}");
            self.host_acked = sent.ack;
        }
        for (start, end) in &sent.sacks {
            let sound = before_or_at(start.wrapping_add(1), *end)
                && before_or_at(*end, later(self.sent_max, sent.ack));
            assert!(sound, "a block of nothing that came: {sent:?}");
        }
        self.host_tsval = sent.ts.map(|(value, _)| (value, sent.at)).or(self.host_tsval);
    }

    fn check_window(&mut self, sent: &Sent) {
        if !sent.has(ACK) {
            return;
        }
        let edge = sent.ack.wrapping_add(self.window_of(sent));
        if let Some(before) = self.host_edge.filter(|_| !self.may_shrink) {
            assert!(before_or_at(before, edge), "the window shrinks: {sent:?}");
        }
        self.host_edge = Some(edge);
    }
}

/// What stands behind the end-of-list option.
fn end_of_options(mut options: &[u8]) -> &[u8] {
    loop {
        match options {
            [0, rest @ ..] => return rest,
            [1, rest @ ..] => options = rest,
            [_, len, ..] => options = options.get(usize::from(*len).max(2)..).unwrap_or(&[]),
            _ => return &[],
        }
    }
}

pub(crate) fn before_or_at(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) as i32 >= 0
}

pub(crate) fn later(a: u32, b: u32) -> u32 {
    if before_or_at(a, b) { b } else { a }
}
