//! Super-frames cut and checksummed in software, read back by an independent parser.

use bytes::Bytes;
use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice};
use millstream_msg::offload::{Can, Refusal, finish};
use millstream_msg::{Band, Gso, Msg, MsgList, Offload, Pool, PoolConfig};
use proptest::prelude::*;

const ETHERNET: usize = 14;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

/// A super-frame in numbers.
#[derive(Clone, Debug)]
struct Super {
    gso: Gso,
    v4: bool,
    /// Words of IPv4 options.
    ip_options: usize,
    /// Words of TCP options.
    tcp_options: usize,
    flags: u8,
    id: u16,
    seq: u32,
    gso_size: u16,
    payload: Vec<u8>,
}

impl Super {
    fn ip_len(&self) -> usize {
        if self.v4 { 20 + self.ip_options * 4 } else { 40 }
    }

    fn l4_len(&self) -> usize {
        if self.gso.is_tcp() { 20 + self.tcp_options * 4 } else { 8 }
    }

    fn headers(&self) -> usize {
        ETHERNET + self.ip_len() + self.l4_len()
    }

    fn offload(&self) -> Offload {
        Offload {
            needs_csum: true,
            gso: self.gso,
            gso_size: self.gso_size,
            hdr_len: self.headers() as u16,
            csum_start: (ETHERNET + self.ip_len()) as u16,
            csum_offset: if self.gso.is_tcp() { 16 } else { 6 },
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2; 12];
        let protocol = if self.gso.is_tcp() { 6 } else { 17 };
        if self.v4 {
            frame.extend([8, 0, 0x45 + self.ip_options as u8, 0, 0xde, 0xad]);
            frame.extend(self.id.to_be_bytes());
            frame.extend([0x40, 0, 64, protocol, 0xba, 0xad, 10, 0, 0, 1, 10, 0, 0, 2]);
            frame.extend(vec![1; self.ip_options * 4]);
        } else {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0xde, 0xad, protocol, 64]);
            frame.extend((0..32_u8).map(|i| i ^ 0xfd));
        }
        frame.extend([0x30, 0x39, 0, 80]);
        if self.gso.is_tcp() {
            frame.extend(self.seq.to_be_bytes());
            frame.extend([9, 9, 9, 9, (5 + self.tcp_options as u8) << 4, self.flags]);
            frame.extend([0x10, 0, 0, 0, 0, 0]);
            frame.extend(vec![1; self.tcp_options * 4]);
        } else {
            frame.extend([0xde, 0xad, 0, 0]);
        }
        frame.extend(&self.payload);
        frame
    }

    /// The frame as a chain cut at the given places, its memory lent.
    fn message(&self, pool: &mut Pool, cuts: &[usize]) -> Msg {
        let frame = Bytes::from(self.frame());
        let mut at = 0;
        let mut msg: Option<Msg> = None;
        for &cut in cuts.iter().chain([&usize::MAX]) {
            let end = at + cut.min(frame.len() - at);
            let block = pool.wrap_bytes(frame.slice(at..end)).unwrap();
            match &mut msg {
                Some(msg) => msg.link(block),
                None => msg = Some(block),
            }
            at = end;
        }
        let mut msg = msg.unwrap();
        msg.set_offload(self.offload());
        msg
    }

    /// Checks piece `index`, whose payload is `payload`.
    fn check(&self, index: usize, payload: &[u8], frame: &[u8]) {
        let packet = SlicedPacket::from_ethernet(frame).expect("the parser takes it");
        let (source, destination) = match packet.net.as_ref().unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                assert_eq!(usize::from(header.total_len), frame.len() - ETHERNET);
                assert_eq!(header.identification, self.id.wrapping_add(index as u16));
                (header.source.to_vec(), header.destination.to_vec())
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header().to_header();
                assert_eq!(usize::from(header.payload_length), frame.len() - ETHERNET - 40);
                (header.source.to_vec(), header.destination.to_vec())
            }
            other => panic!("not IP: {other:?}"),
        };
        match packet.transport.as_ref().unwrap() {
            TransportSlice::Tcp(tcp) => {
                self.check_tcp(index, tcp, &source, &destination);
                assert_eq!(tcp.payload(), payload);
            }
            TransportSlice::Udp(udp) => {
                check_udp(udp, &source, &destination);
                assert_eq!(udp.payload(), payload);
            }
            other => panic!("not TCP or UDP: {other:?}"),
        }
    }

    fn check_tcp(&self, index: usize, tcp: &TcpSlice<'_>, source: &[u8], destination: &[u8]) {
        let expected = match (source.try_into(), destination.try_into()) {
            (Ok(source), Ok(destination)) => tcp.calc_checksum_ipv4(source, destination),
            _ => {
                let (source, destination) = (source.try_into(), destination.try_into());
                tcp.calc_checksum_ipv6(source.unwrap(), destination.unwrap())
            }
        };
        assert_eq!(tcp.checksum(), expected.unwrap());
        let at = index * usize::from(self.gso_size);
        assert_eq!(tcp.sequence_number(), self.seq.wrapping_add(at as u32));
        let last = at + tcp.payload().len() == self.payload.len();
        let mut flags = self.flags;
        if !last {
            flags &= !(FIN | PSH);
        }
        if index > 0 && matches!(self.gso, Gso::TcpV4Ecn | Gso::TcpV6Ecn) {
            flags &= !CWR;
        }
        assert_eq!(tcp.header_slice()[13], flags);
        assert_eq!(tcp.options().len(), self.tcp_options * 4);
    }
}

fn check_udp(udp: &UdpSlice<'_>, source: &[u8], destination: &[u8]) {
    let header = udp.to_header();
    let expected = match (source.try_into(), destination.try_into()) {
        (Ok(from), Ok(to)) => header.calc_checksum_ipv4_raw(from, to, udp.payload()),
        _ => header.calc_checksum_ipv6_raw(
            source.try_into().unwrap(),
            destination.try_into().unwrap(),
            udp.payload(),
        ),
    };
    assert_eq!(udp.checksum(), expected.unwrap());
    assert_ne!(udp.checksum(), 0);
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    assert_eq!(msg.copy_out(0, &mut out), msg.len());
    out
}

/// What a device with checksum offload does.
fn as_device(packet: &Msg) -> Vec<u8> {
    let mut frame = bytes(packet);
    let Offload { needs_csum, csum_start, csum_offset, .. } = packet.offload();
    if needs_csum {
        let start = usize::from(csum_start);
        let place = start + usize::from(csum_offset);
        let mut sum = 0_u32;
        for word in frame[start..].chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = if sum == 0xffff && csum_offset == 6 { 0xffff } else { !sum as u16 };
        frame[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

fn a_super() -> impl Strategy<Value = Super> {
    let gso = prop_oneof![
        Just((Gso::TcpV4, true)),
        Just((Gso::TcpV4Ecn, true)),
        Just((Gso::TcpV6, false)),
        Just((Gso::TcpV6Ecn, false)),
        Just((Gso::Udp, true)),
        Just((Gso::Udp, false)),
    ];
    let flags = prop_oneof![Just(ACK), Just(ACK | PSH | FIN | CWR), any::<u8>()];
    let payload = proptest::collection::vec(any::<u8>(), 1..6000);
    (gso, 0..=10_usize, 0..=10_usize, flags, any::<(u16, u32)>(), 60..2000_u16, payload).prop_map(
        |((gso, v4), ip_options, tcp_options, flags, (id, seq), gso_size, payload)| Super {
            gso,
            v4,
            ip_options,
            tcp_options,
            flags,
            id,
            seq,
            gso_size,
            payload,
        },
    )
}

fn any_can() -> impl Strategy<Value = Can> {
    any::<[bool; 5]>().prop_map(|[csum, tso4, tso6, ecn, uso]| Can { csum, tso4, tso6, ecn, uso })
}

/// True when the taker gets the super-frame as it is (virtio: who cuts also sums).
fn passes(gso: Gso, can: Can) -> bool {
    can.csum
        && match gso {
            Gso::TcpV4 => can.tso4,
            Gso::TcpV6 => can.tso6,
            Gso::TcpV4Ecn => can.tso4 && can.ecn,
            Gso::TcpV6Ecn => can.tso6 && can.ecn,
            _ => can.uso,
        }
}

fn finished(msg: Msg, can: Can, pool: &mut Pool) -> Result<MsgList, Refusal> {
    let mut out = MsgList::new();
    finish(msg, ETHERNET, can, pool, &mut out).map(|()| out)
}

fn all_back(pool: &mut Pool) {
    pool.run_deferred();
    let s = pool.stats();
    assert_eq!([s.small, s.frame, s.large, s.bare, s.external].map(|c| c.out), [0; 5]);
}

proptest! {
    #[test]
    fn every_packet_of_a_super_frame_is_right_whatever_the_taker_can(
        frame in a_super(),
        can in any_can(),
        cuts in proptest::collection::vec(0..1500_usize, 0..6),
    ) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = frame.message(&mut pool, &cuts);
        msg.set_band(Band(3));
        let packets = finished(msg, can, &mut pool).unwrap();
        if passes(frame.gso, can) {
            prop_assert_eq!(packets.len(), 1);
            let whole = packets.front().unwrap();
            prop_assert!(bytes(whole) == frame.frame() && whole.offload() == frame.offload());
        } else {
            let pieces = frame.payload.chunks(usize::from(frame.gso_size));
            prop_assert_eq!(packets.len(), pieces.len());
            for (i, (piece, packet)) in pieces.zip(packets.iter()).enumerate() {
                prop_assert_eq!(packet.offload().needs_csum, can.csum);
                prop_assert_eq!(packet.band(), Band(3));
                frame.check(i, piece, &as_device(packet));
            }
        }
        prop_assert_eq!(pool.stats().copied_bytes, 0);
        drop(packets);
        all_back(&mut pool);
    }

    #[test]
    fn checksum_of_a_plain_packet_is_filled_in_unless_the_taker_can(
        frame in a_super(),
        csum: bool,
        shared: bool,
    ) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut whole = Super { gso_size: u16::MAX, ..frame };
        whole.flags &= !CWR;
        // Cut by a super-frame of one piece for the pseudo-header's sum, then asked for again.
        let msg = whole.message(&mut pool, &[]);
        let can = Can { csum: true, ..Can::NOTHING };
        let one = finished(msg, can, &mut pool).unwrap().pop().unwrap();
        prop_assert!(one.offload().needs_csum && !one.offload().is_super());
        let dup = shared.then(|| one.dup(&mut pool).unwrap());
        let before = bytes(&one);
        let packet = finished(one, Can { csum, ..Can::NOTHING }, &mut pool).unwrap().pop().unwrap();
        prop_assert_eq!(packet.offload().needs_csum, csum);
        whole.check(0, &whole.payload, &as_device(&packet));
        prop_assert!(dup.as_ref().is_none_or(|dup| bytes(dup) == before));
        drop((packet, dup));
        all_back(&mut pool);
    }
}

fn sample(gso: Gso, v4: bool) -> Super {
    Super {
        gso,
        v4,
        ip_options: 0,
        tcp_options: 3,
        flags: ACK | PSH | FIN | CWR,
        id: 0xffff,
        seq: u32::MAX - 100,
        gso_size: 1000,
        payload: (0..2500_u32).map(|i| i as u8).collect(),
    }
}

#[test]
fn payload_stays_where_it_is() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let frame = sample(Gso::TcpV4, true);
    let msg = frame.message(&mut pool, &[]);
    let payload = msg.first().as_ptr().wrapping_add(frame.headers());
    for (i, packet) in finished(msg, Can::NOTHING, &mut pool).unwrap().enumerate() {
        let blocks: Vec<_> = packet.blocks().map(|b| b.as_ptr()).collect();
        assert_eq!(blocks[1..], [payload.wrapping_add(i * 1000)]);
        pool.free(packet);
    }
    assert_eq!((pool.stats().copied_bytes, pool.stats().pulled_bytes), (0, 0));
    all_back(&mut pool);
}

#[test]
fn fin_and_psh_are_on_the_last_packet_and_cwr_on_the_first() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let flags = |gso, v4, pool: &mut Pool| -> Vec<u8> {
        let frame = sample(gso, v4);
        let place = ETHERNET + frame.ip_len() + 13;
        let msg = frame.message(pool, &[]);
        finished(msg, Can::NOTHING, pool).unwrap().map(|p| bytes(&p)[place]).collect()
    };
    let rest = ACK | PSH | FIN;
    assert_eq!(flags(Gso::TcpV4Ecn, true, &mut pool), [ACK | CWR, ACK, rest]);
    assert_eq!(flags(Gso::TcpV6Ecn, false, &mut pool), [ACK | CWR, ACK, rest]);
    assert_eq!(flags(Gso::TcpV4, true, &mut pool), [ACK | CWR, ACK | CWR, rest | CWR]);
    all_back(&mut pool);
}

#[test]
fn taker_that_cuts_but_cannot_sum_gets_packets() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let msg = sample(Gso::TcpV4, true).message(&mut pool, &[]);
    let packets = finished(msg, Can { tso4: true, ..Can::NOTHING }, &mut pool).unwrap();
    assert_eq!(packets.len(), 3);
    drop(packets);
    all_back(&mut pool);
}

#[test]
fn malformed_requests_are_refused_with_the_message() {
    let base = sample(Gso::TcpV4, true);
    let good = base.offload();
    let requests = [
        Offload { gso_size: 0, ..good },
        Offload { needs_csum: false, ..good },
        Offload { csum_offset: 6, ..good },
        Offload { csum_start: 9999, ..good },
        Offload { csum_start: 33, ..good },
        Offload { csum_start: 35, ..good },
        Offload { csum_start: 10, ..good },
        Offload { gso: Gso::TcpV6, ..good },
        Offload { gso: Gso::Udp, csum_offset: 6, ..good },
    ];
    for request in requests {
        refused(&base.frame(), request, ETHERNET);
    }
    for l3 in [0, 13, 15, 34, 54, 4000, usize::MAX] {
        refused(&base.frame(), good, l3);
    }
    for len in [0, 1, 14, 33, 34, 53, 54, 66] {
        refused(&base.frame()[..len], good, ETHERNET);
    }
    // A header length that reaches beyond the transport header, a fragment, another protocol,
    // a TCP header that is too short.
    for (place, byte) in [(14, 0x4f), (14, 0x44), (20, 0x20), (21, 1), (23, 17), (46, 0x40)] {
        let mut frame = base.frame();
        frame[place] = byte;
        refused(&frame, good, ETHERNET);
    }
}

#[test]
fn super_frame_whose_packets_exceed_64_kib_is_refused() {
    let mut base = sample(Gso::TcpV4, true);
    base.payload = vec![0; 70_000];
    refused(&base.frame(), Offload { gso_size: 65_500, ..base.offload() }, ETHERNET);
}

#[test]
fn checksum_request_outside_the_packet_is_refused() {
    let frame = sample(Gso::TcpV4, true).frame();
    let end = frame.len() as u16;
    for (csum_start, csum_offset) in [(end, 0), (end - 1, 0), (34, end), (u16::MAX, u16::MAX)] {
        let request = Offload { needs_csum: true, csum_start, csum_offset, ..Offload::NONE };
        refused(&frame, request, ETHERNET);
    }
}

#[track_caller]
fn refused(frame: &[u8], request: Offload, l3: usize) {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.wrap_bytes(frame.to_vec().into()).unwrap();
    msg.set_offload(request);
    let mut out = MsgList::new();
    match finish(msg, l3, Can::NOTHING, &mut pool, &mut out) {
        Err(Refusal::Malformed(msg)) => assert_eq!(bytes(&msg), frame),
        other => panic!("{request:?} l3 {l3}: {other:?}"),
    }
    assert!(out.is_empty());
    all_back(&mut pool);
}

#[test]
fn without_memory_the_message_comes_back_and_nothing_leaks() {
    for (small, bare) in [(0, 9), (1, 9), (2, 9), (9, 0), (9, 1), (9, 2)] {
        let mut pool = Pool::new(PoolConfig { small, bare, reserve_256th: 0, ..PoolConfig::TINY });
        let frame = sample(Gso::TcpV4, true);
        let msg = frame.message(&mut pool, &[]);
        match finished(msg, Can::NOTHING, &mut pool) {
            Err(Refusal::NoMem(msg)) => {
                assert!(bytes(&msg) == frame.frame() && msg.offload() == frame.offload());
                assert!(msg.is_unique(), "no window is left over");
                pool.free(msg);
            }
            other => panic!("{other:?}"),
        }
        all_back(&mut pool);
    }
}
