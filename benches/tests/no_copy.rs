//! Payload stays where it is: from a device to the head, and from putmsg of an owned message to
//! the device.

use millstream_benches::stack::bound;
use millstream_core::{Device, StreamId, tpi};
use millstream_drivers::{PairEnd, pair};
use millstream_host::Shard;
use millstream_host::plan::{Interface, Line, Plan, Stack};
use millstream_msg::{Kind, Msg, MsgList, Pool, PoolConfig, checksum};
use std::net::SocketAddr;

const OURS: [u8; 4] = [10, 9, 0, 2];
const THEIRS: [u8; 4] = [10, 9, 0, 1];
const OURS_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const THEIRS_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A stack on one end of a pair, with a stream bound to port 7; the test has the other end.
struct Bench {
    shard: Shard,
    stream: StreamId,
    hand: PairEnd,
    pool: Pool,
}

impl Bench {
    fn new() -> Self {
        let (line, hand) = pair(1500, [OURS_MAC, THEIRS_MAC]);
        let line = Line::Pair("pair0".into(), line);
        let tap = Interface { line, addresses: vec!["10.9.0.2/24".parse().unwrap()] };
        let Stack { mut shard, udp, .. } =
            Plan { interfaces: vec![tap], ..Plan::default() }.build().unwrap();
        let stream = bound(shard.core(), udp, SocketAddr::from((OURS, 7))).unwrap();
        let mut bench = Self { shard, stream, hand, pool: Pool::new(PoolConfig::TINY) };
        bench.turn();
        bench
    }

    fn turn(&mut self) {
        for _ in 0..4 {
            self.shard.turn(false).unwrap();
        }
    }

    fn frame(&mut self, ethertype: u16, body: &[u8]) -> Msg {
        let ethertype = ethertype.to_be_bytes();
        let bytes = [&OURS_MAC[..], &THEIRS_MAC, &ethertype, body].concat();
        self.pool.copy_from(128, &bytes).unwrap()
    }

    fn send(&mut self, frame: Msg) {
        let mut batch = MsgList::new();
        batch.push(frame);
        self.hand.send(&mut batch).unwrap();
        self.turn();
    }

    fn receive(&mut self) -> MsgList {
        let mut out = MsgList::new();
        self.hand.recv(&mut self.pool, &mut out, 64).unwrap();
        out
    }

    fn copied(&mut self) -> u64 {
        self.pool.stats().copied_bytes + self.shard.core().pool().stats().copied_bytes
    }
}

/// A datagram to port 7, without UDP checksum.
fn packet(payload: &[u8]) -> Vec<u8> {
    let udp_len = 8 + payload.len() as u16;
    let total = (20 + udp_len).to_be_bytes();
    let mut ip = [0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&THEIRS);
    ip[16..].copy_from_slice(&OURS);
    let sum = !checksum::sum_portable(&ip);
    ip[10..12].copy_from_slice(&sum.to_ne_bytes());
    let ports = [0x13, 0x88, 0, 7];
    [&ip[..], &ports, &udp_len.to_be_bytes(), &[0, 0], payload].concat()
}

#[test]
fn payload_is_not_copied_between_the_device_and_the_head() {
    let mut bench = Bench::new();
    let frame = bench.frame(0x0800, &packet(&[7; 1000]));
    let before = bench.copied();
    let address = frame.first()[14 + 28..].as_ptr();
    bench.send(frame);
    let got = bench.shard.core().getmsg(bench.stream).unwrap().unwrap();
    let data = got.data.unwrap();
    assert_eq!((data.len(), data.first().as_ptr()), (1000, address));
    assert_eq!(bench.copied() - before, 0);
}

#[test]
fn payload_is_not_copied_between_putmsg_and_the_device() {
    let mut bench = Bench::new();
    let data = bench.pool.copy_from(128, &[9; 1000]).unwrap();
    let address = data.first().as_ptr();
    let request = tpi::Primitive::unitdata_req(SocketAddr::from((THEIRS, 5000)));
    let mut msg = bench.pool.copy_from(0, request.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    msg.link(data);
    let before = bench.copied();
    bench.shard.core().putmsg(bench.stream, msg).map_err(|(errno, _)| errno).unwrap();
    bench.turn();
    // The stack asks for our station first.
    assert!(bench.receive().iter().all(|frame| frame.first()[12..14] == [8, 6]));
    let answer = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &THEIRS_MAC, &THEIRS, &OURS_MAC, &OURS].concat();
    let copied_for_the_answer = bench.copied();
    let answer = bench.frame(0x0806, &answer);
    let copied_for_the_answer = bench.copied() - copied_for_the_answer;
    bench.send(answer);
    let sent = bench.receive().pop().unwrap();
    assert_eq!(sent.len(), 14 + 28 + 1000);
    let payload = sent.blocks().find_map(|block| {
        let bytes = block.as_slice()?;
        (bytes.len() >= 1000).then(|| bytes[bytes.len() - 1000..].as_ptr())
    });
    assert_eq!(payload, Some(address));
    assert_eq!(bench.copied() - before - copied_for_the_answer, 0);
}
