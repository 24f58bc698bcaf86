//! The state of ARP on one interface, and what a frame or the clock does to it.
//!
//! Learnt are senders of requests to us (used at once, probed before long) and replies that we
//! asked for; an announcement only changes an entry that is there. A probe (sender 0.0.0.0) is
//! answered and not learnt from (RFC 5227).

use super::ArpDrop;
use super::cache::{Cache, State};
use super::own::{AddressError, Addresses};
use super::packet::{FRAME_LEN, Op, Packet, can_be_a_host};
use crate::actions::Actions;
use crate::ether::{self, Mac, ethertype};
use crate::hash::Keyed;
use crate::limit::{Bucket, Rate};
use core::net::Ipv4Addr;
use millstream_msg::{Msg, Pool, PullupError};

/// ARP of one interface. Times are nanoseconds of one monotonic clock.
#[derive(Debug)]
pub struct Engine {
    mac: Mac,
    own: Addresses,
    cache: Cache,
    broadcasts: Bucket,
    /// No deadline is earlier than this.
    next: u64,
    stats: Stats,
}

/// Counters of an [`Engine`] that are no drop reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent.
    pub requests: u64,
    /// Replies sent.
    pub replies: u64,
    /// Announcements sent, defences included.
    pub announcements: u64,
    /// Frames from stations that use one of our addresses.
    pub conflicts: u64,
    /// The last such station.
    pub conflict_mac: Mac,
    /// Stations known.
    pub live: usize,
    /// Addresses asked for, or known not to answer.
    pub unresolved: usize,
}

impl Engine {
    /// ARP for the station `mac`. `hash` has the stack's random key.
    pub fn new(mac: Mac, hash: Keyed) -> Self {
        Self {
            mac,
            own: Addresses::default(),
            cache: Cache::new(hash),
            broadcasts: Bucket::default(),
            next: u64::MAX,
            stats: Stats::default(),
        }
    }

    /// The interface's station address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let (live, unresolved) = self.cache.counts();
        Stats { live, unresolved, ..self.stats }
    }

    /// The station known for an address.
    pub fn station(&mut self, address: Ipv4Addr) -> Option<Mac> {
        let id = self.cache.find(address)?;
        let entry = self.cache.at(id);
        matches!(entry.state, State::Live | State::Probe).then_some(entry.mac)
    }

    /// Answers for `address` from now on and announces it (RFC 5227 section 2.3).
    pub fn add_address(
        &mut self,
        address: Ipv4Addr,
        prefix_len: u8,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) -> Result<(), AddressError> {
        self.own.add(address, prefix_len, now)?;
        if let Some(id) = self.cache.find(address) {
            self.cache.remove(id, ArpDrop::Evicted, out);
        }
        self.announce(address, pool, out);
        self.arm_announcement();
        Ok(())
    }

    /// No longer answers for `address`.
    pub fn remove_address(&mut self, address: Ipv4Addr) {
        self.own.remove(address);
    }

    /// A frame from below.
    pub fn input(&mut self, frame: Msg, now: u64, pool: &mut Pool, out: &mut Actions<ArpDrop>) {
        let in_place = frame.first().get(12..ether::HEADER_LEN);
        if in_place.is_some_and(|ethertype| ethertype != ethertype::ARP.to_be_bytes()) {
            return out.up.push(frame);
        }
        let mut bytes = [0; FRAME_LEN];
        let len = frame.copy_out(0, &mut bytes);
        let Some((header, rest)) = bytes.get(..len).and_then(|b| b.split_at_checked(14)) else {
            return out.discard(frame, ArpDrop::ShortFrame);
        };
        if header[12..] != ethertype::ARP.to_be_bytes() {
            return out.up.push(frame);
        }
        let done = Packet::parse(rest).and_then(|packet| self.packet(&packet, now, pool, out));
        match done {
            Ok(()) => out.consume(frame, pool),
            Err(reason) => out.discard(frame, reason),
        }
    }

    /// A frame from above: it leaves with both link addresses, or waits for one.
    pub fn output(
        &mut self,
        mut frame: Msg,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) {
        let header = match frame.make_writable(pool, ether::HEADER_LEN) {
            Ok(header) => header,
            Err(PullupError::Short) => return out.discard(frame, ArpDrop::ShortFrame),
            Err(PullupError::NoMem) => return out.discard(frame, ArpDrop::NoMem),
        };
        let Some(view) = ether::View::parse(header) else { return };
        let next_hop = ether::next_hop_of(view.dst).filter(|_| view.ethertype == ethertype::IPV4);
        let Some(next_hop) = next_hop else {
            if view.src == ether::UNSPECIFIED {
                header[6..12].copy_from_slice(&self.mac);
            }
            return out.down.push(frame);
        };
        let id = match self.cache.find(next_hop) {
            Some(id) => id,
            None => match self.ask_first(next_hop, now, pool, out) {
                Ok(id) => id,
                Err(reason) => return out.discard(frame, reason),
            },
        };
        self.cache.touch(id, now);
        let entry = self.cache.at(id);
        match entry.state {
            State::Incomplete => self.cache.hold(id, frame, out),
            State::Failed => out.discard(frame, ArpDrop::HostUnreachable),
            State::Live | State::Probe => {
                header[..6].copy_from_slice(&entry.mac);
                header[6..12].copy_from_slice(&self.mac);
                out.down.push(frame);
                if entry.state == State::Live && entry.fresh_until <= now {
                    self.cache.set_state(id, State::Probe, out);
                    self.ask(id, now, pool, out);
                }
            }
        }
    }

    /// A proof from above that the station receives (an ACK of new data): no probe for a while.
    pub fn confirm(&mut self, address: Ipv4Addr, now: u64, out: &mut Actions<ArpDrop>) {
        let Some(id) = self.cache.find(address) else { return };
        if matches!(self.cache.at(id).state, State::Live | State::Probe) {
            let mac = self.cache.at(id).mac;
            self.learn(id, mac, Some(now), now, out);
        }
    }

    /// Somebody beyond the station does not answer: it is asked at once whether it is still there.
    pub fn doubt(
        &mut self,
        address: Ipv4Addr,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) {
        let Some(id) = self.cache.find(address) else { return };
        if self.cache.at(id).state == State::Live {
            self.cache.set_state(id, State::Probe, out);
            self.ask(id, now, pool, out);
        }
    }

    /// When [`Engine::timer`] wants to be called, if at all. It may find nothing to do.
    pub fn next_deadline(&self) -> Option<u64> {
        (self.next != u64::MAX).then_some(self.next)
    }

    /// Does what is due: repeats, gives up, forgets, announces. Returns [`Engine::next_deadline`].
    ///
    /// Looks at every entry; deadlines are rounded up to `TICK_NS`, so this is ten times a
    /// second at most.
    pub fn timer(&mut self, now: u64, pool: &mut Pool, out: &mut Actions<ArpDrop>) -> Option<u64> {
        if now < self.next {
            return self.next_deadline();
        }
        self.next = u64::MAX;
        while let Some(address) = self.own.due(now) {
            self.announce(address, pool, out);
        }
        self.arm_announcement();
        for id in 0..self.cache.slots() {
            if self.cache.in_use(id) && self.cache.at(id).deadline <= now {
                self.expire(id, now, pool, out);
            }
            if self.cache.in_use(id) {
                let deadline = self.cache.at(id).deadline;
                self.arm(deadline);
            }
        }
        self.next_deadline()
    }

    /// Sends on what waits for stations, as it came, because the module leaves.
    pub fn clear(&mut self, out: &mut Actions<ArpDrop>) {
        for id in 0..self.cache.slots() {
            if self.cache.in_use(id) {
                let mut pending = self.cache.take_pending(id);
                out.down.append(&mut pending);
            }
        }
    }

    /// A packet that makes sense on its own.
    fn packet(
        &mut self,
        packet: &Packet,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) -> Result<(), ArpDrop> {
        if packet.sender_mac == self.mac {
            return Err(ArpDrop::OwnFrame);
        }
        if self.own.has(packet.sender) {
            self.stats.conflicts += 1;
            self.stats.conflict_mac = packet.sender_mac;
            if self.own.defend(packet.sender, now) {
                self.announce(packet.sender, pool, out);
            }
            return Err(ArpDrop::Conflict);
        }
        let known = self.cache.find(packet.sender);
        if packet.sender == packet.target {
            let id = known.ok_or(ArpDrop::Unsolicited)?;
            return self.replace(id, packet.sender_mac, now, out);
        }
        if !self.own.has(packet.target) {
            return Err(ArpDrop::NotForUs);
        }
        if packet.op == Op::Reply {
            let id = known.ok_or(ArpDrop::Unsolicited)?;
            if !matches!(self.cache.at(id).state, State::Incomplete | State::Probe) {
                return Err(ArpDrop::Unsolicited);
            }
            self.learn(id, packet.sender_mac, Some(now), now, out);
            return Ok(());
        }
        if !packet.sender.is_unspecified() {
            if !self.own.on_link(packet.sender) {
                return Err(ArpDrop::OffLink);
            }
            match known {
                // An entry that changed too recently stays; the request is answered all the same.
                Some(id) => drop(self.replace(id, packet.sender_mac, now, out)),
                None => {
                    let id = self.cache.insert(packet.sender, State::Live, out);
                    self.learn(id, packet.sender_mac, None, now, out);
                }
            }
        }
        self.reply(packet, pool, out)
    }

    /// The station of a known address may have changed.
    fn replace(
        &mut self,
        id: u16,
        mac: Mac,
        now: u64,
        out: &mut Actions<ArpDrop>,
    ) -> Result<(), ArpDrop> {
        let entry = self.cache.at(id);
        match entry.state {
            State::Live | State::Probe if entry.mac == mac => return Ok(()),
            State::Live | State::Probe if now < entry.confirmed + LOCK_NS => {
                return Err(ArpDrop::TooSoon);
            }
            _ => self.learn(id, mac, None, now, out),
        }
        Ok(())
    }

    /// The station is known: what waited for it goes. `confirmed` is when it answered us.
    fn learn(
        &mut self,
        id: u16,
        mac: Mac,
        confirmed: Option<u64>,
        now: u64,
        out: &mut Actions<ArpDrop>,
    ) {
        self.cache.set_state(id, State::Live, out);
        let pending = self.cache.take_pending(id);
        let entry = self.cache.at(id);
        entry.mac = mac;
        entry.fresh_until = confirmed.map_or(0, |at| at + REACHABLE_NS);
        if let Some(at) = confirmed {
            entry.confirmed = at;
        }
        entry.deadline = round(now + FORGET_NS);
        let deadline = entry.deadline;
        self.arm(deadline);
        for mut frame in pending {
            // Frames were made writable before they waited.
            if let Some(header) = frame.first_mut().and_then(|b| b.get_mut(..12)) {
                header[..6].copy_from_slice(&mac);
                header[6..].copy_from_slice(&self.mac);
            }
            out.down.push(frame);
        }
    }

    fn reply(
        &mut self,
        request: &Packet,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) -> Result<(), ArpDrop> {
        let reply = Packet {
            op: Op::Reply,
            sender_mac: self.mac,
            sender: request.target,
            target_mac: request.sender_mac,
            target: request.sender,
        };
        let frame = reply.frame(request.sender_mac, pool).map_err(|_| ArpDrop::NoMem)?;
        self.stats.replies += 1;
        out.create_down(frame);
        Ok(())
    }

    fn ask_first(
        &mut self,
        address: Ipv4Addr,
        now: u64,
        pool: &mut Pool,
        out: &mut Actions<ArpDrop>,
    ) -> Result<u16, ArpDrop> {
        if self.own.is_empty() {
            return Err(ArpDrop::NoAddress);
        }
        if !can_be_a_host(address) {
            return Err(ArpDrop::HostUnreachable);
        }
        let id = self.cache.insert(address, State::Incomplete, out);
        self.ask(id, now, pool, out);
        Ok(id)
    }

    /// Sends a request: to the station itself while it is probed, else to all. Without a token or
    /// a cell the try does not count, and comes again.
    fn ask(&mut self, id: u16, now: u64, pool: &mut Pool, out: &mut Actions<ArpDrop>) {
        let entry = self.cache.at(id);
        let target = entry.address;
        let unicast = entry.state == State::Probe && entry.tries < PROBES_UNICAST;
        let dst = if unicast { entry.mac } else { ether::BROADCAST };
        entry.deadline = round(now + RETRY_NS);
        let deadline = entry.deadline;
        self.arm(deadline);
        let Some(sender) = self.own.source_for(target) else { return };
        let packet = Packet {
            op: Op::Request,
            sender_mac: self.mac,
            sender,
            target_mac: ether::UNSPECIFIED,
            target,
        };
        if !unicast && !self.broadcasts.take(now, BROADCAST_RATE) {
            return;
        }
        if let Ok(frame) = packet.frame(dst, pool) {
            self.cache.at(id).tries += 1;
            self.stats.requests += 1;
            out.create_down(frame);
        }
    }

    fn expire(&mut self, id: u16, now: u64, pool: &mut Pool, out: &mut Actions<ArpDrop>) {
        let entry = self.cache.at(id);
        let limit = match entry.state {
            State::Incomplete => REQUESTS_MAX,
            State::Probe => PROBES_UNICAST + REQUESTS_MAX,
            State::Failed => return self.cache.remove(id, ArpDrop::HostUnreachable, out),
            State::Live if entry.used + FORGET_NS > now => {
                entry.deadline = round(entry.used + FORGET_NS);
                return;
            }
            State::Live => return self.cache.remove(id, ArpDrop::Evicted, out),
        };
        if entry.tries < limit {
            return self.ask(id, now, pool, out);
        }
        let pending = self.cache.take_pending(id);
        out.discard_all(pending, ArpDrop::HostUnreachable);
        self.cache.set_state(id, State::Failed, out);
        self.cache.at(id).deadline = round(now + HOLD_DOWN_NS);
    }

    fn announce(&mut self, address: Ipv4Addr, pool: &mut Pool, out: &mut Actions<ArpDrop>) {
        let packet = Packet {
            op: Op::Request,
            sender_mac: self.mac,
            sender: address,
            target_mac: ether::UNSPECIFIED,
            target: address,
        };
        if let Ok(frame) = packet.frame(ether::BROADCAST, pool) {
            self.stats.announcements += 1;
            out.create_down(frame);
        }
    }

    fn arm_announcement(&mut self) {
        if let Some(at) = self.own.next_deadline() {
            self.arm(at);
        }
    }

    fn arm(&mut self, at: u64) {
        self.next = self.next.min(round(at));
    }
}

fn round(at: u64) -> u64 {
    at.div_ceil(TICK_NS).saturating_mul(TICK_NS)
}

const SECOND: u64 = 1_000_000_000;
/// Grain of deadlines: bounds how often the table is walked.
const TICK_NS: u64 = SECOND / 10;
/// Between requests for one address: at most one a second (RFC 1122 section 2.3.2.1).
const RETRY_NS: u64 = SECOND;
/// Broadcast requests before an address counts as silent.
const REQUESTS_MAX: u8 = 3;
/// Requests to the station itself before they go to all (RFC 1122 section 2.3.2.1 (2)).
const PROBES_UNICAST: u8 = 2;
/// A silent address is not asked again so long.
const HOLD_DOWN_NS: u64 = 3 * SECOND;
/// An answer is believed so long without a probe (REACHABLE_TIME of RFC 4861).
const REACHABLE_NS: u64 = 30 * SECOND;
/// An entry nobody uses is forgotten after so long.
const FORGET_NS: u64 = 20 * 60 * SECOND;
/// A station just confirmed is not replaced: of two that answer, the first stays.
const LOCK_NS: u64 = SECOND;
/// Broadcasts wake every station: a scan of ours through a router must not flood the link.
const BROADCAST_RATE: Rate = Rate::per_second(256, 256);
