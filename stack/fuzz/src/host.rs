//! A router with two interfaces, an echo service and a user, in virtual time: what the targets
//! feed that want a whole stack. Every frame it sends is checked.

use super::script::{Script, bytes_of, cells_out, sum};
use millstream_core::tpi::Primitive;
use millstream_core::{Caps, Config, NodeId, Perimeter, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::{Ip, REQUEST_LEN};
use millstream_modules::services::{Kinds, Service};
use millstream_modules::udp::Udp;
use millstream_msg::offload::Can;
use millstream_msg::{Kind, Pool, PoolConfig};
use millstream_rig::Probe;

/// The stack. 10.0.0.1/24 on interface 0, 10.1.0.1/24 on interface 1.
pub struct Host {
    p: Perimeter,
    probes: Vec<(Probe, NodeId)>,
    ip: NodeId,
    udp: NodeId,
    user: StreamId,
    raw: StreamId,
    cells: usize,
}

impl Host {
    /// Up, and at rest. The user is bound to 10.0.0.1:4000.
    pub fn new() -> Self {
        let config = Config { pool: Pool::new(PoolConfig::TINY), seed: 1, clock: None };
        let mut p = Perimeter::new(config);
        let ip = p.add_mux(Box::new(Ip::new(1)));
        let mut probes = Vec::new();
        for n in 0..2 {
            let caps = Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, n], can: Can::NOTHING };
            let probe = Probe::with_caps(caps);
            let (stream, driver) = p.open_device("tap", Box::new(probe.clone()));
            p.push(stream, Box::new(Arp::new())).unwrap();
            p.link(ip, stream).unwrap();
            p.set_mux(ip, "address", &format!("{n} 10.{n}.0.1/24")).unwrap();
            probes.push((probe, driver));
        }
        p.set_mux(ip, "forward", "on").unwrap();
        let udp = p.add_mux(Box::new(Udp::new(2)));
        let below = p.open_mux(ip, "udp").unwrap();
        p.link(udp, below).unwrap();
        let echo = p.open_mux(udp, "echo").unwrap();
        let user = p.open_mux(udp, "user").unwrap();
        let raw = p.open_mux(ip, "raw").unwrap();
        let mut host = Self { p, probes, ip, udp, user, raw, cells: 0 };
        host.request(echo, Primitive::bind_req("0.0.0.0:7".parse().unwrap()).as_bytes());
        host.p.push(echo, Box::new(Service::new(Kinds::Echo))).unwrap();
        host.advance(5_000_000_000);
        host.cells = cells_out(host.p.pool());
        host.request(user, Primitive::bind_req("10.0.0.1:4000".parse().unwrap()).as_bytes());
        host
    }

    /// A frame from the link. Without a cell it is lost, as in a card.
    pub fn frame(&mut self, interface: usize, bytes: &[u8]) {
        let (probe, driver) = &self.probes[interface % 2];
        if bytes.is_empty() {
            return;
        }
        if let Ok(msg) = self.p.pool().copy_from(64, bytes) {
            probe.arrive(msg);
            self.p.poll(*driver, 8);
            self.settle();
        }
    }

    /// A packet from the link, made sound as far as `repair` says: version and header checksum,
    /// total length, address, checksum of the transport.
    pub fn packet(&mut self, interface: usize, repair: u8, bytes: &[u8]) {
        let mut ip = bytes.to_vec();
        if ip.len() >= 20 {
            make_sound(&mut ip, interface, repair);
        }
        let frame = [&[2, 0, 0, 0, 0, (interface % 2) as u8][..], &[4, 0, 0, 0, 0, 9, 8, 0], &ip];
        self.frame(interface, &frame.concat());
    }

    /// A message of the user; what it gets is read and freed.
    pub fn user(&mut self, kind: Kind, control: &[u8], data: Option<&[u8]>) {
        let Ok(mut msg) = self.p.pool().copy_from(64, control) else { return };
        msg.set_kind(kind);
        if let Some(data) = data {
            match self.p.pool().copy_from(64, data) {
                Ok(data) => msg.link(data),
                Err(_) => return self.p.pool().free(msg),
            }
        }
        if let Err((_, msg)) = self.p.putmsg(self.user, msg) {
            self.p.pool().free(msg);
            // What it sent before was an error that ends a stream: the next user comes.
            self.p.close(self.user).unwrap();
            self.user = self.p.open_mux(self.udp, "user").unwrap();
        }
        self.settle();
        self.read(self.user);
    }

    /// A packet of somebody above `ip`, behind a record of at most 48 bytes.
    pub fn raw(&mut self, record: &[u8], payload: &[u8]) {
        let mut bytes = record.to_vec();
        bytes.resize(REQUEST_LEN, 0);
        bytes.extend(payload);
        let Ok(msg) = self.p.pool().copy_from(64, &bytes) else { return };
        if let Err((_, msg)) = self.p.putmsg(self.raw, msg) {
            self.p.pool().free(msg);
        }
        self.settle();
    }

    /// Time passes.
    pub fn advance(&mut self, ns: u64) {
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

    /// The user goes, all time-outs end: every cell is back, and the service answers.
    pub fn finish(mut self) {
        self.p.close(self.user).unwrap();
        self.settle();
        // Longer than a silent resolver, a reassembly and two groups' reports.
        self.advance(90_000_000_000);
        let out = cells_out(self.p.pool());
        assert_eq!(out, self.cells, "cells out at the end, and at the start");
        let show = |mux| self.p.mux_view(mux).unwrap().fields;
        drop((show(self.ip), show(self.udp)));
    }

    fn request(&mut self, stream: StreamId, bytes: &[u8]) {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(Kind::Proto);
        self.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
        self.settle();
        self.read(stream);
    }

    fn read(&mut self, stream: StreamId) {
        while let Ok(Some(got)) = self.p.getmsg(stream) {
            for msg in [got.control, got.data].into_iter().flatten() {
                self.p.pool().free(msg);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let more = self.p.turn(self.p.now(), BUDGET).more;
            while self.p.event().is_some() {}
            if !more {
                return self.check_sent();
            }
        }
        panic!("something runs in circles");
    }

    /// Frames sent are whole, and say what they are.
    fn check_sent(&mut self) {
        for (probe, _) in &self.probes {
            for msg in probe.sent() {
                check(&bytes_of(&msg));
                self.p.pool().free(msg);
            }
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs the steps of a script.
pub fn play(host: &mut Host, script: &mut Script<'_>) {
    for _ in 0..64 {
        if script.is_over() {
            return;
        }
        let op = script.byte();
        let interface = usize::from(op >> 7);
        match op & 7 {
            0 => host.frame(interface, script.piece()),
            1 | 2 => {
                let repair = script.byte();
                let len = usize::from(script.word() % 2048);
                host.packet(interface, repair, script.take(len));
            }
            3 => {
                let mut frame = [0xff_u8; 12].to_vec();
                frame[6..12].copy_from_slice(&[4, 0, 0, 0, 0, 9]);
                frame.extend([8, 6, 0, 1, 8, 0, 6, 4]);
                frame.extend(script.piece());
                host.frame(interface, &frame);
            }
            4 => host.advance(u64::from(script.word()) * 1_000_000),
            5 => host.user(Kind::Proto, script.piece(), None),
            6 => {
                let control = script.piece();
                host.user(Kind::Proto, control, Some(script.piece()));
            }
            _ if op & 0x40 != 0 => {
                let record = script.piece();
                let len = usize::from(script.word() % 4096);
                host.raw(record, script.take(len));
            }
            _ => host.user(Kind::Data, script.piece(), None),
        }
    }
}

/// See [`Host::packet`].
fn make_sound(ip: &mut [u8], interface: usize, repair: u8) {
    if repair & 1 != 0 {
        ip[0] = 0x40 | ((ip[0] & 15) % 8).max(5);
    }
    if repair & 2 != 0 {
        let len = ip.len() as u16;
        ip[2..4].copy_from_slice(&len.to_be_bytes());
    }
    if repair & 4 != 0 {
        ip[16..20].copy_from_slice(&[10, (interface % 2) as u8, 0, 1]);
        ip[12..15].copy_from_slice(&[10, (interface % 2) as u8, 0]);
    }
    if repair & 8 != 0 {
        ip[6..8].fill(0);
    }
    if repair & 0x40 != 0 {
        ip[9] = [1, 2, 17, 6][usize::from(ip[9] % 4)];
    }
    let header = (usize::from(ip[0] & 15) * 4).clamp(20, 60);
    let (protocol, addresses) = (u32::from(ip[9]), ip[12..20].to_vec());
    if repair & 0x20 != 0 && ip.len() >= header + 8 {
        let l4 = &mut ip[header..];
        let (at, start) = match protocol {
            17 => {
                let len = l4.len() as u16;
                l4[4..6].copy_from_slice(&len.to_be_bytes());
                (6, 17 + u32::from(len) + u32::from(sum(0, &addresses)))
            }
            _ => (2, 0),
        };
        l4[at..at + 2].fill(0);
        let value = !sum(start, l4);
        l4[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
    if repair & 0x10 != 0 && ip.len() >= header {
        ip[10..12].fill(0);
        let value = !sum(0, &ip[..header]);
        ip[10..12].copy_from_slice(&value.to_be_bytes());
    }
}

/// A frame that the stack sent.
fn check(frame: &[u8]) {
    assert!((14..=1514).contains(&frame.len()), "{} bytes", frame.len());
    assert!(frame[6..11] == [2, 0, 0, 0, 0], "from our station");
    match frame[12..14] {
        [8, 6] => assert_eq!(frame.len(), 42),
        [8, 0] => {
            let ip = &frame[14..];
            let header = usize::from(ip[0] & 15) * 4;
            assert_eq!(ip[0] >> 4, 4);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len(), "total length");
            assert_eq!(sum(0, &ip[..header]), 0xffff, "header checksum");
            assert!(ip[8] > 0, "time to live");
            assert!(ip[12] != 127 && ip[16] != 127 && ip[12..16] != [255; 4], "{ip:02x?}");
            // What is forwarded is as it came; ours is sound.
            let ours = [[10, 0, 0, 1], [10, 1, 0, 1]].iter().any(|own| ip[12..16] == *own);
            if ours && ip[6] & 0x3f == 0 && ip[7] == 0 && ip[9] == 1 {
                let kind = ip[header];
                // Answers to echo keep an error in the data visible.
                assert!(kind == 0 || sum(0, &ip[header..]) == 0xffff, "ICMP checksum");
            }
        }
        _ => panic!("another type: {frame:02x?}"),
    }
}

const BUDGET: usize = 10_000;
