//! Two hosts with tcp whose devices are in one hand: frames go over as they are.
#![allow(dead_code)]

use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{Caps, Config, NodeId, Perimeter, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::offload::Can;
use millstream_msg::{Pool, PoolConfig};
use millstream_rig::{Probe, ms};
use std::net::SocketAddr;

/// A host whose device is a probe: frames are handed on as messages, as they are.
pub(crate) struct Host {
    pub(crate) p: Perimeter,
    pub(crate) probe: Probe,
    pub(crate) driver: NodeId,
    pub(crate) tcp: NodeId,
}

impl Host {
    pub(crate) fn new(n: u8, can: Can) -> Self {
        let pool = Pool::new(PoolConfig::STACK);
        let mut p = Perimeter::new(Config { pool, seed: u64::from(n), clock: None });
        let probe = Probe::with_caps(Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, n], can });
        let (stream, driver) = p.open_device("tap0", Box::new(probe.clone()));
        p.push(stream, Box::new(Arp::new())).unwrap();
        let ip = p.add_mux(Box::new(Ip::new(n.into())));
        p.link(ip, stream).unwrap();
        p.set_mux(ip, "address", &format!("0 10.0.0.{n}/24")).unwrap();
        let tcp = p.add_mux(Box::new(Tcp::new(n.into())));
        let below = p.open_mux(ip, "tcp").unwrap();
        p.link(tcp, below).unwrap();
        Self { p, probe, driver, tcp }
    }

    /// Sends a request; its answer.
    pub(crate) fn ask(&mut self, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        self.ask_nothing(stream, asked);
        self.p.turn(self.p.now(), 1000);
        self.control(stream)
    }

    /// Sends a request that has no answer.
    pub(crate) fn ask_nothing(&mut self, stream: StreamId, asked: &Primitive) {
        let mut msg = self.p.pool().copy_from(0, asked.as_bytes()).unwrap();
        msg.set_kind(asked.kind());
        self.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
    }

    pub(crate) fn control(&mut self, stream: StreamId) -> Vec<u8> {
        let control = self.p.getmsg(stream).unwrap().unwrap().control.unwrap();
        let bytes = control.first().to_vec();
        self.p.pool().free(control);
        bytes
    }

    pub(crate) fn bind(&mut self, port: u16, qlen: i32) -> StreamId {
        let stream = self.p.open_mux(self.tcp, "user").unwrap();
        let any = SocketAddr::from(([0, 0, 0, 0], port));
        self.ask(stream, &Primitive::bind_req(any).with_word(12, qlen));
        stream
    }

    /// Payload that was copied, to hold less memory or for any other reason.
    pub(crate) fn copied(&mut self) -> u64 {
        let stats = self.p.pool().stats();
        stats.copied_bytes + stats.compacted_bytes
    }
}

pub(crate) struct Two {
    pub(crate) hosts: [Host; 2],
    pub(crate) ends: [StreamId; 2],
    pub(crate) now: u64,
    /// Frames with payload that host 0 has sent.
    pub(crate) sent: u64,
    /// Frames of host 0 that are lost, by their number.
    pub(crate) lost: Vec<u64>,
}

impl Two {
    /// Host 0 is connected to host 1.
    pub(crate) fn new(can: Can) -> Self {
        let mut hosts = [1, 2].map(|n| Host::new(n, can));
        let listener = hosts[1].bind(80, 1);
        let client = hosts[0].bind(0, 0);
        let peer = SocketAddr::from(([10, 0, 0, 2], 80));
        hosts[0].ask(client, &Primitive::conn_req(peer));
        let ends = [client, listener];
        let mut two = Self { hosts, ends, now: 0, sent: 0, lost: Vec::new() };
        two.pass(ms(5));
        let call = two.hosts[1].control(listener);
        let Ok(View::ConnInd(call)) = View::new(&call) else { panic!("{call:?}") };
        let server = two.hosts[1].p.open_mux(two.hosts[1].tcp, "user").unwrap();
        let asked = Primitive::capability_req(tpi::TC1_ACCEPTOR_ID);
        let answer = two.hosts[1].ask(server, &asked);
        let Ok(View::CapabilityAck(answer)) = View::new(&answer) else { panic!("{answer:?}") };
        let response = Primitive::conn_res(answer.acceptor(), call.sequence());
        two.hosts[1].ask(listener, &response);
        let connected = two.hosts[0].control(client);
        assert_eq!(tpi::primitive(&connected), Some(tpi::T_CONN_CON));
        two.ends = [client, server];
        for n in 0..2 {
            set_buffer(&mut two.hosts[n], two.ends[n], 7);
            set_buffer(&mut two.hosts[n], two.ends[n], 8);
        }
        two.pass(ms(5));
        two
    }

    /// Time passes; frames go over as they are.
    pub(crate) fn pass(&mut self, ns: u64) {
        let until = self.now + ns;
        while self.now < until {
            self.now += 100_000;
            for n in 0..2 {
                self.hosts[n].p.turn(self.now, 10_000);
                while self.hosts[n].p.event().is_some() {}
                for frame in self.hosts[n].probe.sent() {
                    let data = n == 0 && frame.len() > 100;
                    self.sent += u64::from(data);
                    if data && self.lost.contains(&self.sent) {
                        drop(frame);
                    } else {
                        self.hosts[1 - n].probe.arrive(frame);
                    }
                }
                let other = &mut self.hosts[1 - n];
                while other.p.poll(other.driver, 64) > 0 {
                    other.p.turn(self.now, 10_000);
                }
            }
        }
    }
}

/// Sets SO_SNDBUF or SO_RCVBUF, so that no word about a change goes up meanwhile.
pub(crate) fn set_buffer(host: &mut Host, stream: StreamId, name: i32) {
    let record = Record { level: 1, name, status: 0, value: &(1_i32 << 20).to_ne_bytes() };
    host.ask(stream, &Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record));
}
