//! Two hosts with tcp, joined by a simulated link, in virtual time.
#![allow(dead_code)]

use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{Caps, NodeId, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::offload::Can;
use millstream_msg::{Msg, PoolConfig};
use millstream_rig::{Faults, HostId, LinkId, Sim, ms};
use std::net::SocketAddr;

/// See the module.
pub(crate) struct Two {
    pub(crate) sim: Sim,
    pub(crate) hosts: [Host; 2],
    pub(crate) link: LinkId,
}

/// One of them: 10.0.0.1 or 10.0.0.2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    pub(crate) id: HostId,
    pub(crate) ip: NodeId,
    pub(crate) tcp: NodeId,
}

/// What came up a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A primitive, by its number.
    Word(i32),
    Data(Vec<u8>),
}

impl Two {
    pub(crate) fn new(faults: Faults) -> Self {
        Self::with(faults, PoolConfig::STACK)
    }

    /// Hosts with pools of this size. The devices take super-segments.
    pub(crate) fn with(faults: Faults, pool: PoolConfig) -> Self {
        Self::joined(0x7c9, faults, pool, Can::ALL)
    }

    /// Hosts whose devices take what they say; with single segments each has its own fate.
    pub(crate) fn joined(seed: u64, faults: Faults, pool: PoolConfig, can: Can) -> Self {
        let mut sim = Sim::new(seed);
        let ids = [sim.host_with(pool), sim.host_with(pool)];
        let caps = Caps { mtu: 1500, mac: [0; 6], can };
        let link = sim.link_with(ids[0], ids[1], faults, caps);
        let mut n = 0;
        let hosts = ids.map(|id| {
            n += 1;
            let stream = sim.stream(link, id);
            let p = sim.perimeter(id);
            p.push(stream, Box::new(Arp::new())).unwrap();
            let ip = p.add_mux(Box::new(Ip::new(n)));
            p.link(ip, stream).unwrap();
            p.set_mux(ip, "address", &format!("0 10.0.0.{n}/24")).unwrap();
            let tcp = p.add_mux(Box::new(Tcp::new(7 * n)));
            let below = p.open_mux(ip, "tcp").unwrap();
            p.link(tcp, below).unwrap();
            Host { id, ip, tcp }
        });
        let mut two = Self { sim, hosts, link };
        two.pass(ms(1));
        two
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, ns: u64) {
        let until = self.sim.now() + ns;
        self.sim.run_until(until);
        for host in self.hosts {
            // Nobody is called: the tests look by themselves.
            while self.sim.perimeter(host.id).event().is_some() {}
        }
    }

    /// A stream of tcp at a host.
    pub(crate) fn open(&mut self, host: usize) -> StreamId {
        let Host { id, tcp, .. } = self.hosts[host];
        self.sim.perimeter(id).open_mux(tcp, "user").unwrap()
    }

    /// A stream that listens.
    pub(crate) fn listen(&mut self, host: usize, port: u16) -> StreamId {
        let stream = self.open(host);
        let any = SocketAddr::from(([0, 0, 0, 0], port));
        self.ask(host, stream, &Primitive::bind_req(any).with_word(12, 4096));
        stream
    }

    /// A connection from one host to a listener of the other: both ends.
    pub(crate) fn connect(
        &mut self,
        from: usize,
        listener: StreamId,
        port: u16,
    ) -> (StreamId, StreamId) {
        let to = 1 - from;
        let client = self.call(from, port).0;
        let server = self.accept(to, listener).0;
        self.await_message(from, client);
        assert_eq!(self.take(from, client), [Came::Word(tpi::T_CONN_CON)]);
        (client, server)
    }

    /// A stream that calls the other host, and the port that it calls from.
    pub(crate) fn call(&mut self, from: usize, port: u16) -> (StreamId, u16) {
        self.call_from(from, [0; 4], port)
    }

    /// As [`Two::call`], from one of the host's addresses.
    pub(crate) fn call_from(
        &mut self,
        from: usize,
        address: [u8; 4],
        port: u16,
    ) -> (StreamId, u16) {
        let stream = self.open(from);
        let bound = self.ask(from, stream, &Primitive::bind_req((address, 0).into()));
        let Ok(View::BindAck(bound)) = View::new(&bound) else { panic!("{bound:?}") };
        let own = tpi::decode_address(bound.addr()).unwrap().port();
        let peer = SocketAddr::from(([10, 0, 0, 2 - from as u8], port));
        self.ask(from, stream, &Primitive::conn_req(peer));
        (stream, own)
    }

    /// Takes the first connection that waits at a listener, and the port that it came from.
    pub(crate) fn accept(&mut self, host: usize, listener: StreamId) -> (StreamId, u16) {
        self.await_message(host, listener);
        let got = self.control(host, listener);
        let Ok(View::ConnInd(call)) = View::new(&got) else { panic!("nobody calls: {got:?}") };
        let server = self.open(host);
        let asked = Primitive::capability_req(tpi::TC1_ACCEPTOR_ID);
        let answer = self.ask(host, server, &asked);
        let Ok(View::CapabilityAck(answer)) = View::new(&answer) else { panic!("{answer:?}") };
        let acceptor = answer.acceptor();
        self.ask(host, listener, &Primitive::conn_res(acceptor, call.sequence()));
        (server, tpi::decode_address(call.src()).unwrap().port())
    }

    /// Lets time pass until a message waits at a stream.
    pub(crate) fn await_message(&mut self, host: usize, stream: StreamId) {
        for _ in 0..10_000 {
            let p = self.sim.perimeter(self.hosts[host].id);
            if p.waiting(stream).unwrap().messages > 0 {
                return;
            }
            self.pass(ms(1));
        }
        panic!("nothing comes");
    }

    /// Sends a request; its answer, which is no refusal.
    pub(crate) fn ask(&mut self, host: usize, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        let p = self.sim.perimeter(self.hosts[host].id);
        let mut msg = p.pool().copy_from(0, asked.as_bytes()).unwrap();
        msg.set_kind(asked.kind());
        p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
        let now = self.sim.now();
        self.sim.run_until(now);
        let answer = self.control(host, stream);
        assert_ne!(tpi::primitive(&answer), Some(tpi::T_ERROR_ACK), "{answer:?}");
        answer
    }

    /// The control part of the first message.
    fn control(&mut self, host: usize, stream: StreamId) -> Vec<u8> {
        let p = self.sim.perimeter(self.hosts[host].id);
        let got = p.getmsg(stream).expect("a message").expect("no end");
        let control = got.control.expect("a control part");
        let bytes = bytes_of(&control);
        p.pool().free(control);
        bytes
    }

    /// Writes as much as there is room for.
    pub(crate) fn write(&mut self, host: usize, stream: StreamId, bytes: &[u8]) -> usize {
        let p = self.sim.perimeter(self.hosts[host].id);
        p.write(stream, bytes).unwrap_or(0)
    }

    /// All that has come.
    pub(crate) fn take(&mut self, host: usize, stream: StreamId) -> Vec<Came> {
        let p = self.sim.perimeter(self.hosts[host].id);
        let mut all = Vec::new();
        while let Ok(Some(got)) = p.getmsg(stream) {
            if let Some(control) = got.control {
                all.push(Came::Word(tpi::primitive(control.first()).unwrap()));
                p.pool().free(control);
            }
            if let Some(data) = got.data {
                let bytes = bytes_of(&data);
                p.pool().free(data);
                match all.last_mut() {
                    Some(Came::Data(before)) => before.extend(bytes),
                    _ => all.push(Came::Data(bytes)),
                }
            }
        }
        all
    }

    /// The octets that have come, and nothing else.
    pub(crate) fn read(&mut self, host: usize, stream: StreamId) -> Vec<u8> {
        let all = self.take(host, stream);
        match &all[..] {
            [] => Vec::new(),
            [Came::Data(bytes)] => bytes.clone(),
            other => panic!("not only data: {other:?}"),
        }
    }

    /// At most so many octets of what has come.
    pub(crate) fn read_some(&mut self, host: usize, stream: StreamId, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most.min(1 << 20)];
        let n = self.sim.perimeter(self.hosts[host].id).read(stream, &mut bytes).unwrap_or(0);
        bytes.truncate(n);
        bytes
    }

    pub(crate) fn close(&mut self, host: usize, stream: StreamId) {
        self.sim.perimeter(self.hosts[host].id).close(stream).unwrap();
    }

    /// Cells of a host's pool that are out.
    pub(crate) fn cells(&mut self, host: usize) -> usize {
        let stats = self.sim.perimeter(self.hosts[host].id).pool().stats();
        let all = [stats.small, stats.frame, stats.large, stats.bare, stats.external];
        all.iter().map(|counts| counts.out).sum()
    }
}

pub(crate) fn bytes_of(msg: &Msg) -> Vec<u8> {
    let mut bytes = vec![0; msg.len()];
    msg.copy_out(0, &mut bytes);
    bytes
}

/// Octets whose value tells their place.
pub(crate) fn pattern(from: u64, len: usize) -> Vec<u8> {
    (from..from + len as u64).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}
