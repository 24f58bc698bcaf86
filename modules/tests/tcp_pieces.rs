//! Ten thousand connections at once send one octet after the other that is out of order: what they
//! hold stays within the share of the pool, the heap does not grow, and service goes on.

use millstream_core::tpi::{self, Primitive, View};
use millstream_core::{Config, NodeId, Perimeter, StreamId};
use millstream_modules::tcp::Tcp;
use millstream_msg::{Offload, Pool, PoolConfig};
use millstream_rig::{Probe, ms, secs};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PORT: u16 = 80;
const SYN: u8 = 2;
const ACK: u8 = 16;
/// Each peer's first number.
const ISS: u32 = 1000;

/// tcp on a wire that carries packets, with a listener.
struct Host {
    p: Perimeter,
    tcp: NodeId,
    listener: StreamId,
    probe: Probe,
    driver: NodeId,
    now: u64,
}

/// One that was accepted: its peer's number, our first number, and its stream.
struct Connection {
    peer: u32,
    iss: u32,
    stream: StreamId,
}

impl Host {
    fn new() -> Self {
        let config = Config { pool: Pool::new(PoolConfig::STACK), seed: 7, clock: None };
        let mut p = Perimeter::new(config);
        let probe = Probe::new();
        let (wire, driver) = p.open_device("wire", Box::new(probe.clone()));
        let tcp = p.add_mux(Box::new(Tcp::new(7)));
        p.link(tcp, wire).unwrap();
        let listener = p.open_mux(tcp, "listener").unwrap();
        let mut host = Self { p, tcp, listener, probe, driver, now: secs(1) };
        let any = (Ipv4Addr::UNSPECIFIED, PORT).into();
        host.ask(listener, &Primitive::bind_req(any).with_word(12, 64));
        host.answers();
        host
    }

    /// What came up a stream first.
    fn word(&mut self, stream: StreamId) -> Vec<u8> {
        let got = self.p.getmsg(stream).unwrap().unwrap();
        let control = got.control.expect("a word");
        let bytes = control.first().to_vec();
        self.p.pool().free(control);
        bytes
    }

    fn ask(&mut self, stream: StreamId, asked: &Primitive) -> Vec<u8> {
        let mut msg = self.p.pool().copy_from(0, asked.as_bytes()).unwrap();
        msg.set_kind(asked.kind());
        self.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
        self.turn();
        let answer = self.word(stream);
        assert_ne!(tpi::primitive(&answer), Some(tpi::T_ERROR_ACK), "{answer:?}");
        answer
    }

    fn turn(&mut self) {
        self.p.turn(self.now, 10_000);
        while self.p.event().is_some() {}
    }

    /// A segment of a peer.
    fn send(&mut self, peer: u32, flags: u8, seq: u32, ack: u32, data: &[u8]) {
        let mut packet = [0; 64];
        let len = 40 + data.len();
        packet[..2].copy_from_slice(&[0x45, 0]);
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[8..10].copy_from_slice(&[64, 6]);
        packet[12..16].copy_from_slice(&(0x0a01_0000 + peer).to_be_bytes());
        packet[16..20].copy_from_slice(&[10, 0, 0, 1]);
        packet[20..22].copy_from_slice(&5000_u16.to_be_bytes());
        packet[22..24].copy_from_slice(&PORT.to_be_bytes());
        packet[24..28].copy_from_slice(&seq.to_be_bytes());
        packet[28..32].copy_from_slice(&ack.to_be_bytes());
        packet[32..36].copy_from_slice(&[0x50, flags, 0xff, 0xff]);
        packet[40..len].copy_from_slice(data);
        // A cell may be missing: then the segment was lost.
        let Ok(mut msg) = self.p.pool().copy_from(128, &packet[..len]) else { return };
        // From a neighbour that asks for the sum to be made, so that it need not be looked at.
        let asked = Offload { needs_csum: true, csum_start: 20, csum_offset: 16, ..Offload::NONE };
        msg.set_offload(asked);
        self.probe.arrive(msg);
        self.p.poll(self.driver, 64);
        self.turn();
    }

    /// Sequence and acknowledgement numbers of what was sent since the last time.
    fn answers(&mut self) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        for msg in self.probe.sent() {
            let mut bytes = vec![0; msg.len()];
            msg.copy_out(0, &mut bytes);
            self.p.pool().free(msg);
            // A request to ip stands in front, and the header is the last of the rest.
            let port = PORT.to_be_bytes();
            let at =
                bytes.windows(4).position(|four| four[..2] == port && four[2..] == [0x13, 0x88]);
            if let Some(at) = at {
                let word = |n: usize| u32::from_be_bytes(*bytes[at + n..].first_chunk().unwrap());
                all.push((word(4), word(8)));
            }
        }
        all
    }

    /// A peer opens a connection, which is accepted.
    fn connect(&mut self, peer: u32) -> Connection {
        self.send(peer, SYN, ISS, 0, &[]);
        let (iss, ack) = self.answers()[0];
        assert_eq!(ack, ISS + 1);
        self.send(peer, ACK, ISS + 1, iss.wrapping_add(1), &[]);
        let call = self.word(self.listener);
        let Ok(View::ConnInd(call)) = View::new(&call) else { panic!("nobody calls: {call:?}") };
        let sequence = call.sequence();
        let stream = self.p.open_mux(self.tcp, "user").unwrap();
        let asked = Primitive::capability_req(tpi::TC1_ACCEPTOR_ID);
        let answer = self.ask(stream, &asked);
        let Ok(View::CapabilityAck(answer)) = View::new(&answer) else { panic!("{answer:?}") };
        self.ask(self.listener, &Primitive::conn_res(answer.acceptor(), sequence));
        self.answers();
        Connection { peer, iss, stream }
    }

    /// Bytes of the cells that are out.
    fn held(&mut self) -> usize {
        self.p.pool().collect();
        let stats = self.p.pool().stats();
        let per_cell = [(stats.small, 384), (stats.frame, 2560), (stats.large, 69_632)];
        per_cell.iter().map(|(counts, bytes)| counts.out * bytes).sum()
    }
}

/// Each of so many connections sends so many octets, all out of order.
fn flood(connections: u32, pieces: u32) {
    let mut host = Host::new();
    let all: Vec<Connection> = (0..connections).map(|n| host.connect(n)).collect();
    host.turn();
    let (held, heap) = (host.held(), BYTES.load(Relaxed));
    let began = std::time::Instant::now();
    let mut most = 0;
    for n in 0..pieces {
        for Connection { peer, iss, .. } in &all {
            // Every second octet, so that no two are neighbours.
            let seq = ISS + 2 + 2 * n;
            host.send(*peer, ACK, seq, iss.wrapping_add(1), b"x");
            for answer in host.probe.sent() {
                host.p.pool().free(answer);
            }
        }
        host.now += ms(1);
        most = most.max(host.held() - held);
    }
    let each = began.elapsed().as_nanos() / u128::from(connections * pieces);
    println!("{connections} x {pieces}: {each} ns a segment, {most} bytes of cells at most");
    let share = PoolConfig::STACK.bytes() / 4;
    assert!(most <= share + share / 4, "{most} bytes of cells, the share is {share}");
    let grown = BYTES.load(Relaxed) - heap;
    let per_connection = grown / connections as usize;
    let may = PoolConfig::STACK.bytes() + 16_384 * connections as usize;
    assert!(grown <= may, "the heap has grown by {grown}, {per_connection} a connection");
    // The octet that was missing comes, and service goes on.
    for Connection { peer, iss, stream } in all.iter().step_by(connections as usize / 10) {
        host.send(*peer, ACK, ISS + 1, iss.wrapping_add(1), b"y");
        let came = host.p.read(*stream, &mut [0; 9]);
        assert!(came.is_ok_and(|octets| octets > 0), "it goes on: {came:?}");
    }
    host.answers();
    let fresh = host.connect(connections);
    host.send(fresh.peer, ACK, ISS + 1, fresh.iss.wrapping_add(1), b"z");
    assert_eq!(host.p.read(fresh.stream, &mut [0; 9]), Ok(1));
    // All that was held comes back.
    for Connection { stream, .. } in all.into_iter().chain([fresh]) {
        host.ask(stream, &Primitive::discon_req(-1));
        host.p.close(stream).unwrap();
        host.turn();
        host.answers();
    }
    assert!(host.held() <= held, "{} bytes of cells are left, {held} before", host.held());
}

#[test]
fn b36_pieces_out_of_order_of_ten_thousand_connections_stay_within_the_sum() {
    flood(10_000, 100);
}

#[test]
fn b36_twenty_thousand_pieces_each_of_many_connections_stay_within_the_sum() {
    flood(50, 20_000);
}

/// Minutes; `cargo xtask nightly` runs it.
#[test]
#[ignore = "two hundred million segments"]
fn b36_twenty_thousand_pieces_each_of_ten_thousand_connections_stay_within_the_sum() {
    flood(10_000, 20_000);
}
