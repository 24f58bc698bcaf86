//! A whole stack in virtual time (probe, arp, ip, udp, echo on port 7), frames to feed it, and
//! what must hold afterwards: it is alive, and all its memory is back.

use crate::frames::{self, Ip, PEER, PEER_MAC, US};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Caps, Config, Fields, NodeId, Perimeter, StreamId, Value};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip as IpMux;
use millstream_modules::services::{Kinds, Service};
use millstream_modules::udp::Udp;
use millstream_msg::offload::Can;
use millstream_msg::{Kind, Msg, MsgList, Pool, PoolConfig};
use millstream_rig::{Probe, secs};

/// Interface 0 is 10.0.0.1/16, interface 1 (of a router) 10.1.0.1/16.
pub(crate) struct Lab {
    pub(crate) p: Perimeter,
    pub(crate) probes: Vec<(Probe, NodeId)>,
    interfaces: Vec<StreamId>,
    pub(crate) ip: NodeId,
    pub(crate) udp: NodeId,
    pub(crate) echo: StreamId,
    /// Cells out when the stack was at rest.
    cells: usize,
    /// Counts of drops when they were last asked for.
    seen: Vec<(String, u64)>,
    asked: u16,
}

impl Lab {
    /// A host with one interface.
    pub(crate) fn host() -> Self {
        Self::new(1)
    }

    /// A router with two.
    pub(crate) fn router() -> Self {
        let mut lab = Self::new(2);
        lab.p.set_mux(lab.ip, "forward", "on").unwrap();
        lab
    }

    fn new(interfaces: u8) -> Self {
        let config = Config { pool: Pool::new(POOL), seed: millstream_rig::seed(7), clock: None };
        let mut p = Perimeter::new(config);
        let ip = p.add_mux(Box::new(IpMux::new(11)));
        let (mut probes, mut streams) = (Vec::new(), Vec::new());
        for n in 0..interfaces {
            let caps = Caps { mtu: 1500, mac: frames::our_mac(n), can: Can::NOTHING };
            let probe = Probe::with_caps(caps);
            let (stream, driver) = p.open_device(&format!("tap{n}"), Box::new(probe.clone()));
            p.push(stream, Box::new(Arp::new())).unwrap();
            p.link(ip, stream).unwrap();
            p.set_mux(ip, "address", &format!("{n} 10.{n}.0.1/16")).unwrap();
            probes.push((probe, driver));
            streams.push(stream);
        }
        let udp = p.add_mux(Box::new(Udp::new(12)));
        let below = p.open_mux(ip, "udp").unwrap();
        p.link(udp, below).unwrap();
        let echo = p.open_mux(udp, "echo").unwrap();
        let mut lab = Self {
            p,
            probes,
            interfaces: streams,
            ip,
            udp,
            echo,
            cells: 0,
            seen: Vec::new(),
            asked: 0,
        };
        assert_eq!(lab.request(echo, &Primitive::bind_req("0.0.0.0:7".parse().unwrap())), 0);
        lab.p.push(echo, Box::new(Service::new(Kinds::Echo))).unwrap();
        lab.rest();
        lab.alive();
        lab.rest();
        lab.cells = lab.cells_out();
        // The neighbour's station is known when the test begins.
        lab.alive();
        lab.dropped();
        lab
    }

    /// Lets everything that waits for time come to its end.
    pub(crate) fn rest(&mut self) {
        self.advance(secs(70));
        self.sent();
    }

    /// Hands frames to interface 0; what the stack sends there and then.
    pub(crate) fn feed(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.feed_at(0, frames);
        self.sent()
    }

    /// Hands frames to an interface. What is sent stays in the probes.
    pub(crate) fn feed_at(&mut self, interface: usize, frames: &[Vec<u8>]) {
        for batch in frames.chunks(64) {
            for frame in batch {
                let msg = self.p.pool().copy_from(64, frame).expect("the pool has cells");
                self.probes[interface].0.arrive(msg);
            }
            while self.p.poll(self.probes[interface].1, 64) > 0 {
                self.settle();
            }
        }
        self.settle();
    }

    /// What all interfaces have sent since. The neighbour answers when it is asked whether it is
    /// still there, which is not shown: it follows only from what is sent to it.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let lists: Vec<MsgList> = self.probes.iter().map(|(probe, _)| probe.sent()).collect();
        let mut all = Vec::new();
        let mut probed = false;
        for msg in lists.into_iter().flatten() {
            let frame = bytes_of(&msg);
            self.p.pool().free(msg);
            if frame[..6] == PEER_MAC && frames::asks_for(&frame, PEER) {
                probed = true;
            } else {
                all.push(frame);
            }
        }
        if probed {
            self.feed_at(0, &[frames::arp(2, PEER_MAC, PEER, frames::our_mac(0), US)]);
            all.extend(self.sent());
        }
        all
    }

    /// Feeds each variant alone: nothing is sent, now or in the next minute, and each is dropped
    /// for `reason`. Then checks the stack.
    pub(crate) fn silent(mut self, reason: &str, variants: Vec<Vec<u8>>) {
        self.silently(reason, &variants);
        self.finish();
    }

    /// As [`Lab::silent`], and goes on.
    pub(crate) fn silently(&mut self, reason: &str, variants: &[Vec<u8>]) {
        for frame in variants {
            let sent = self.feed(std::slice::from_ref(frame));
            assert_eq!(sent, Vec::<Vec<u8>>::new(), "no answer to {frame:02x?}");
            assert_eq!(self.dropped(), [(reason.to_owned(), 1)], "{frame:02x?}");
        }
        self.advance(secs(60));
        assert_eq!(self.sent(), Vec::<Vec<u8>>::new(), "nothing later");
        self.dropped();
    }

    /// Drops since the last call, by reason.
    pub(crate) fn dropped(&mut self) -> Vec<(String, u64)> {
        let mut now: Vec<(String, u64)> = Vec::new();
        let mut add = |drops: &[(millstream_core::Drop, u64)]| {
            for (reason, count) in drops {
                match now.iter_mut().find(|(name, _)| name == reason.0) {
                    Some((_, n)) => *n += count,
                    None => now.push((reason.0.to_owned(), *count)),
                }
            }
        };
        for mux in [self.ip, self.udp] {
            add(&self.p.mux_view(mux).unwrap().stat.drops);
        }
        for stream in self.interfaces.iter().chain([&self.echo]) {
            let chain = self.p.chain(*stream).unwrap();
            chain.iter().filter(|v| v.kind != "mux").for_each(|view| add(&view.stat.drops));
        }
        let before = std::mem::replace(&mut self.seen, now.clone());
        let old = |name: &str| before.iter().find(|(n, _)| n == name).map_or(0, |(_, n)| *n);
        now.retain_mut(|(name, count)| {
            *count -= old(name);
            *count > 0
        });
        now
    }

    /// How often `reason` was given since the last call of [`Lab::dropped`]; the only one.
    pub(crate) fn dropped_only(&mut self, reason: &str) -> u64 {
        let dropped = self.dropped();
        assert!(dropped.iter().all(|(name, _)| name == reason), "{reason} only: {dropped:?}");
        dropped.iter().map(|(_, count)| count).sum()
    }

    /// Time passes, timers fire.
    pub(crate) fn advance(&mut self, ns: u64) {
        let until = self.p.now() + ns;
        loop {
            self.settle();
            match self.p.turn(self.p.now(), BUDGET).next {
                Some(next) if next < until => {
                    self.p.turn(next.max(self.p.now() + 1), BUDGET);
                }
                _ => break,
            }
        }
        self.p.turn(until, BUDGET);
        self.settle();
    }

    /// The service answers a neighbour, and so does ICMP echo.
    pub(crate) fn alive(&mut self) {
        self.asked += 1;
        let word = self.asked.to_be_bytes();
        let question = frames::udp(5000, 7, &word);
        let answers = self.talk(&Ip::to_us(17).frame(&question));
        let answer = frames::parse(answers.last().expect("the echo service answers"));
        assert_eq!((answer.src, answer.dst, answer.protocol), (US, PEER, 17));
        assert_eq!(answer.payload[..4], [0, 7, 0x13, 0x88], "ports");
        assert_eq!(answer.payload[8..], word);
        let answers = self.talk(&Ip::to_us(1).frame(&frames::echo(8, 1, self.asked, &word)));
        let answer = frames::parse(answers.last().expect("a ping is answered"));
        assert_eq!((answer.payload[0], &answer.payload[8..]), (0, &word[..]));
    }

    /// Feeds a frame of the neighbour, who answers requests for its station; IP frames sent.
    fn talk(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = self.feed(&[frame.to_vec()]);
        if answers.iter().any(|frame| frames::asks_for(frame, PEER)) {
            answers.extend(self.feed(&[frames::arp(2, PEER_MAC, PEER, frames::our_mac(0), US)]));
        }
        answers.retain(|frame| frame[12..14] == [8, 0]);
        answers
    }

    /// The stack is alive, and when all time-outs are over it holds what it held at the start.
    pub(crate) fn finish(mut self) {
        self.rest();
        assert_eq!(self.cells_out(), self.cells, "cells out after it all, and at the start");
        self.alive();
        self.rest();
        assert_eq!(self.cells_out(), self.cells, "cells out after the service was used");
    }

    /// Cells that are not in the pool.
    pub(crate) fn cells_out(&mut self) -> usize {
        let stats = self.p.pool().stats();
        let all = [stats.small, stats.frame, stats.large, stats.bare, stats.external];
        all.iter().map(|counts| counts.out).sum()
    }

    /// A count that a multiplexor shows.
    pub(crate) fn shows(&self, mux: NodeId, name: &str) -> u64 {
        count(&self.p.mux_view(mux).unwrap().fields, name)
    }

    /// A count that arp shows on an interface.
    pub(crate) fn arp_shows(&self, interface: usize, name: &str) -> u64 {
        let chain = self.p.chain(self.interfaces[interface]).unwrap();
        count(&chain.iter().find(|view| view.name == "arp").unwrap().fields, name)
    }

    /// A further stream of udp.
    pub(crate) fn open_udp(&mut self) -> StreamId {
        self.p.open_mux(self.udp, "user").unwrap()
    }

    /// Sends a request down a stream of udp; the error number of its acknowledgement, 0 if none.
    pub(crate) fn request(&mut self, stream: StreamId, primitive: &Primitive) -> i32 {
        self.put(stream, primitive.as_bytes(), Kind::Proto);
        let got = self.p.getmsg(stream).unwrap().unwrap();
        let control = got.control.unwrap();
        let failed = tpi::primitive(control.first()) == Some(tpi::T_ERROR_ACK);
        let errno = if failed { tpi::word(control.first(), 12).unwrap() } else { 0 };
        self.p.pool().free(control);
        errno
    }

    /// Sends bytes down a stream of udp, as they are.
    pub(crate) fn put(&mut self, stream: StreamId, bytes: &[u8], kind: Kind) {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        self.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
        self.settle();
    }

    /// Takes what a stream of udp has received: control and data.
    pub(crate) fn take(&mut self, stream: StreamId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        while let Ok(Some(got)) = self.p.getmsg(stream) {
            let [control, data] = [got.control, got.data].map(|part| {
                let bytes = part.as_ref().map(bytes_of).unwrap_or_default();
                if let Some(msg) = part {
                    self.p.pool().free(msg);
                }
                bytes
            });
            all.push((control, data));
        }
        all
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            let more = self.p.turn(self.p.now(), BUDGET).more;
            while self.p.event().is_some() {}
            if !more {
                return;
            }
        }
        panic!("something runs in circles");
    }
}

fn count(fields: &Fields, name: &str) -> u64 {
    let found = fields.0.iter().find(|(n, _)| *n == name);
    match found {
        Some((_, Value::Count(n))) => *n,
        other => panic!("{name}: {other:?}"),
    }
}

fn bytes_of(msg: &Msg) -> Vec<u8> {
    let mut bytes = vec![0; msg.len()];
    msg.copy_out(0, &mut bytes);
    bytes
}

const BUDGET: usize = 10_000;
/// Room for a reassembly and an ARP queue at their limits.
const POOL: PoolConfig = PoolConfig {
    small: 16_384,
    frame: 8_192,
    large: 128,
    bare: 16_384,
    external: 1_024,
    reserve_256th: 4,
};
