//! Two stacks without a host, joined by a line in memory.

use bytes::Bytes;
use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{Caps, Config, Device, Errno, NodeId, Perimeter, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::cell::Cell;
use std::net::SocketAddr;

/// Full segments of one message.
pub(crate) const SEGMENTS: usize = 44;
/// Timestamps take 12 bytes of each.
static DATA: [u8; SEGMENTS * 1448] = [7; SEGMENTS * 1448];
/// What a line hands over at once.
const BATCH: usize = 64;
const BUDGET: usize = 100_000;
const MS: u64 = 1_000_000;
const WARM_UP: usize = 100;

thread_local! {
    /// Frames on their way to each end.
    static LANES: [Cell<MsgList>; 2] = const { [const { Cell::new(MsgList::new()) }; 2] };
}

/// One end of the line.
struct End(usize);

impl Device for End {
    fn caps(&self) -> Caps {
        let can = Can { csum: true, ..Can::NOTHING };
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, self.0 as u8], can }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        LANES.with(|lanes| {
            let mut waiting = lanes[self.0].take();
            let mut batch = waiting.split_front(budget);
            lanes[self.0].set(waiting);
            let count = batch.len();
            out.append(&mut batch);
            Ok(count)
        })
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        LANES.with(|lanes| {
            let mut waiting = lanes[1 - self.0].take();
            waiting.append(batch);
            lanes[1 - self.0].set(waiting);
        });
        Ok(())
    }
}

/// Frames on their way to an end.
fn waiting(end: usize) -> usize {
    LANES.with(|lanes| {
        let frames = lanes[end].take();
        let count = frames.len();
        lanes[end].set(frames);
        count
    })
}

struct Host {
    p: Perimeter,
    driver: NodeId,
    tcp: NodeId,
}

/// Two of them, and a connection.
pub(crate) struct Hosts {
    hosts: [Host; 2],
    /// Its ends.
    stream: Option<(StreamId, StreamId)>,
    now: u64,
}

impl Hosts {
    /// With so many other connections, which are still; the one that counts is in full swing.
    pub(crate) fn new(idle: usize) -> Self {
        let hosts = [0, 1].map(|n| {
            let pool = Pool::new(PoolConfig::STACK);
            let mut p = Perimeter::new(Config { pool, seed: n as u64, clock: None });
            let (line, driver) = p.open_device("line", Box::new(End(n)));
            p.push(line, Box::new(Arp::new())).expect("arp");
            let ip = p.add_mux(Box::new(Ip::new(1 + n as u64)));
            p.link(ip, line).expect("linked");
            p.set_mux(ip, "address", &format!("0 10.0.0.{}/24", n + 1)).expect("an address");
            let tcp = p.add_mux(Box::new(Tcp::new(7 + n as u64)));
            let below = p.open_mux(ip, "tcp").expect("open");
            p.link(tcp, below).expect("linked");
            Host { p, driver, tcp }
        });
        let mut both = Self { hosts, stream: None, now: 0 };
        let listener = both.open(1);
        let any = SocketAddr::from(([0, 0, 0, 0], 80));
        both.ask(1, listener, &Primitive::bind_req(any).with_word(12, 4096));
        for _ in 0..=idle {
            both.stream = Some(both.connect(listener));
        }
        // The congestion window and the buffers grow.
        for _ in 0..WARM_UP {
            let (out, in_) = both.stream.expect("connected");
            both.now += MS;
            both.out(out);
            both.rest();
            both.take(in_);
            both.rest();
        }
        both
    }

    /// An octet there and one back, each with the acknowledgement of the other.
    pub(crate) fn one_round(&mut self) {
        let (out, in_) = self.stream.expect("connected");
        for (host, from, to) in [(0, out, in_), (1, in_, out)] {
            self.now += MS;
            self.one_out(host, from);
            assert_eq!(waiting(1 - host), 1);
            self.one_in(1 - host, to);
            assert_eq!(waiting(host), 0, "what is acknowledged rides");
        }
    }

    /// See the bench.
    pub(crate) fn bulk_round(&mut self) {
        let (out, in_) = self.stream.expect("connected");
        self.now += MS;
        self.out(out);
        assert_eq!(waiting(1), SEGMENTS);
        self.data_in();
        self.take(in_);
        assert_eq!(waiting(0), 1);
        self.ack_in();
        self.rest();
    }

    /// The program at the second host takes a message whole.
    fn take(&mut self, stream: StreamId) {
        let p = &mut self.hosts[1].p;
        let mut bytes = 0;
        while let Ok(Some(got)) = p.getmsg(stream) {
            for part in [got.control, got.data].into_iter().flatten() {
                bytes += part.len();
                p.pool().free(part);
            }
        }
        assert_eq!(bytes, DATA.len());
    }

    /// A message becomes segments.
    #[inline(never)]
    fn out(&mut self, stream: StreamId) {
        let p = &mut self.hosts[0].p;
        let data = p.pool().wrap_bytes(Bytes::from_static(&DATA)).expect("memory");
        p.putmsg(stream, data).map_err(|(errno, _)| errno).expect("room");
        p.turn(self.now, BUDGET);
    }

    /// They come, and are acknowledged.
    #[inline(never)]
    fn data_in(&mut self) {
        self.turn(1);
    }

    /// The acknowledgement comes.
    #[inline(never)]
    fn ack_in(&mut self) {
        self.turn(0);
    }

    /// A program writes an octet, which leaves.
    #[inline(never)]
    fn one_out(&mut self, host: usize, stream: StreamId) {
        let p = &mut self.hosts[host].p;
        let octet = p.pool().copy_from(0, &[7]).expect("memory");
        p.putmsg(stream, octet).map_err(|(errno, _)| errno).expect("room");
        p.turn_on(self.now, BUDGET);
    }

    /// It comes, and a program takes it; what it makes due waits for an answer.
    #[inline(never)]
    fn one_in(&mut self, host: usize, stream: StreamId) {
        let Host { p, driver, .. } = &mut self.hosts[host];
        p.poll(*driver, BATCH);
        p.turn_on(self.now, BUDGET);
        while p.event().is_some() {}
        let got = p.getmsg(stream).expect("a message").and_then(|got| got.data);
        p.pool().free(got.expect("data"));
    }

    fn turn(&mut self, host: usize) {
        let Host { p, driver, .. } = &mut self.hosts[host];
        p.poll(*driver, BATCH);
        p.turn(self.now, BUDGET);
    }

    /// Both run until nothing is on its way.
    fn rest(&mut self) {
        for _ in 0..100 {
            (0..2).for_each(|host| self.turn(host));
            for host in &mut self.hosts {
                while host.p.event().is_some() {}
            }
            if waiting(0) + waiting(1) == 0 {
                return;
            }
        }
        panic!("no end");
    }

    fn open(&mut self, host: usize) -> StreamId {
        let Host { p, tcp, .. } = &mut self.hosts[host];
        p.open_mux(*tcp, "user").expect("open")
    }

    fn connect(&mut self, listener: StreamId) -> (StreamId, StreamId) {
        self.now += MS;
        let out = self.open(0);
        self.ask(0, out, &Primitive::bind_req(([0, 0, 0, 0], 0).into()));
        self.ask(0, out, &Primitive::conn_req(([10, 0, 0, 2], 80).into()));
        self.rest();
        let call = self.control(1, listener);
        let Ok(View::ConnInd(call)) = View::new(&call) else { panic!("{call:?}") };
        let in_ = self.open(1);
        let able = self.ask(1, in_, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID));
        let Ok(View::CapabilityAck(able)) = View::new(&able) else { panic!("{able:?}") };
        self.ask(1, listener, &Primitive::conn_res(able.acceptor(), call.sequence()));
        self.rest();
        assert_eq!(tpi::primitive(&self.control(0, out)), Some(tpi::T_CONN_CON));
        (out, in_)
    }

    /// Sends a request; its answer.
    fn ask(&mut self, host: usize, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        let p = &mut self.hosts[host].p;
        let mut msg = p.pool().copy_from(0, asked.as_bytes()).expect("memory");
        msg.set_kind(asked.kind());
        p.putmsg(stream, msg).map_err(|(errno, _)| errno).expect("room");
        p.turn(self.now, BUDGET);
        self.control(host, stream)
    }

    fn control(&mut self, host: usize, stream: StreamId) -> Vec<u8> {
        let p = &mut self.hosts[host].p;
        let got = p.getmsg(stream).expect("a message").expect("no end");
        let control = got.control.expect("a control part");
        let bytes = control.first().to_vec();
        p.pool().free(control);
        bytes
    }
}
