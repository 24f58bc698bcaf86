//! Payload stays where the application has put it: from putmsg at one host through segments,
//! retransmissions and data out of order to getmsg at the other, no octet is touched.

use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{Caps, Config, NodeId, Perimeter, StreamId};
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::offload::Can;
use millstream_msg::{Msg, Pool, PoolConfig};
use millstream_rig::{Probe, ms};
use std::net::SocketAddr;

/// A host whose device is a probe: frames are handed on as messages, as they are.
struct Host {
    p: Perimeter,
    probe: Probe,
    driver: NodeId,
    tcp: NodeId,
}

impl Host {
    fn new(n: u8, can: Can) -> Self {
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
    fn ask(&mut self, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        let mut msg = self.p.pool().copy_from(0, asked.as_bytes()).unwrap();
        msg.set_kind(asked.kind());
        self.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
        self.p.turn(self.p.now(), 1000);
        self.control(stream)
    }

    fn control(&mut self, stream: StreamId) -> Vec<u8> {
        let control = self.p.getmsg(stream).unwrap().unwrap().control.unwrap();
        let bytes = control.first().to_vec();
        self.p.pool().free(control);
        bytes
    }

    fn bind(&mut self, port: u16, qlen: i32) -> StreamId {
        let stream = self.p.open_mux(self.tcp, "user").unwrap();
        let any = SocketAddr::from(([0, 0, 0, 0], port));
        self.ask(stream, &Primitive::bind_req(any).with_word(12, qlen));
        stream
    }

    /// Payload that was copied, to hold less memory or for any other reason.
    fn copied(&mut self) -> u64 {
        let stats = self.p.pool().stats();
        stats.copied_bytes + stats.compacted_bytes
    }
}

struct Two {
    hosts: [Host; 2],
    ends: [StreamId; 2],
    now: u64,
    /// Frames with payload that host 0 has sent.
    sent: u64,
    /// Frames of host 0 that are lost, by their number.
    lost: Vec<u64>,
}

impl Two {
    /// Host 0 is connected to host 1.
    fn new(can: Can) -> Self {
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
    fn pass(&mut self, ns: u64) {
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

    /// An owned message of host 0, of blocks of this size.
    fn message(&mut self, size: usize) -> Msg {
        let mut whole: Option<Msg> = None;
        for n in 0..60_000 / size {
            let block = self.hosts[0].p.pool().copy_from(0, &vec![n as u8; size]).unwrap();
            match &mut whole {
                Some(whole) => whole.link(block),
                None => whole = Some(block),
            }
        }
        whole.unwrap()
    }

    /// Sends owned messages of blocks of this size, and compares where their octets are when they
    /// have come.
    fn transfer(&mut self, messages: usize, size: usize) {
        let all: Vec<Msg> = (0..messages).map(|_| self.message(size)).collect();
        let places: Vec<usize> = all.iter().flat_map(octets).collect();
        let len = places.len();
        let copied = [0, 1].map(|n| self.hosts[n].copied());
        for msg in all {
            self.hosts[0].p.putmsg(self.ends[0], msg).map_err(|(errno, _)| errno).unwrap();
        }
        let mut came = Vec::new();
        let mut held = Vec::new();
        for _ in 0..3_000 {
            self.pass(ms(1));
            while let Ok(Some(got)) = self.hosts[1].p.getmsg(self.ends[1]) {
                let data = got.data.expect("only data");
                came.extend(octets(&data));
                held.push(data);
            }
            if came.len() >= len {
                break;
            }
        }
        assert_eq!(came.len(), len);
        assert!(came == places, "octets have moved");
        for msg in held {
            self.hosts[1].p.pool().free(msg);
        }
        assert_eq!([0, 1].map(|n| self.hosts[n].copied()), copied);
    }

    /// When all is acknowledged, every cell is back.
    fn finish(mut self) {
        for n in 0..2 {
            self.hosts[n].p.close(self.ends[n]).unwrap();
        }
        self.pass(ms(1_000));
        for host in &mut self.hosts {
            let stats = host.p.pool().stats();
            assert_eq!((stats.large.out, stats.bare.out), (0, 0));
        }
    }
}

/// Where each octet of a message is.
fn octets(msg: &Msg) -> Vec<usize> {
    msg.blocks().flat_map(|b| (0..b.len()).map(move |n| b.as_ptr() as usize + n)).collect()
}

/// Sets SO_SNDBUF or SO_RCVBUF, so that no word about a change goes up meanwhile.
fn set_buffer(host: &mut Host, stream: StreamId, name: i32) {
    let record = Record { level: 1, name, status: 0, value: &(1_i32 << 20).to_ne_bytes() };
    host.ask(stream, &Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record));
}

#[test]
fn super_segments_are_windows_on_the_blocks_of_the_application() {
    let mut two = Two::new(Can::ALL);
    for _ in 0..5 {
        two.transfer(4, LARGE);
    }
    assert!(two.sent < 100, "{} frames for 1.2 MB", two.sent);
    two.finish();
}

#[test]
fn so_are_plain_segments_without_offloads_except_for_their_checksums() {
    let mut two = Two::new(Can { csum: true, ..Can::NOTHING });
    two.transfer(2, LARGE);
    assert!(two.sent >= 120_000 / 1460, "{} frames", two.sent);
    two.finish();
}

#[test]
fn so_are_retransmissions_and_what_waits_out_of_order() {
    let mut two = Two::new(Can { csum: true, ..Can::NOTHING });
    // Blocks of a frame each: what waits is not copied to save memory either.
    two.transfer(1, FRAME);
    let next = two.sent + 1;
    two.lost = vec![next + 3, next + 4, next + 9, next + 20];
    two.transfer(2, FRAME);
    assert!(two.sent > next + 20, "the losses have happened");
    two.finish();
}

#[test]
fn the_other_direction_is_no_other() {
    let mut two = Two::new(Can::ALL);
    two.hosts.swap(0, 1);
    two.ends.swap(0, 1);
    two.transfer(4, LARGE);
    two.finish();
}

const LARGE: usize = 30_000;
const FRAME: usize = 1_500;
