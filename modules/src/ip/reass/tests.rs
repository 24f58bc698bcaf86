//! Whole datagrams come out, attacks do not get in.

use super::super::{Request, build, frag};
use super::*;
use crate::ip::view::MORE_FRAGMENTS;
use millstream_msg::PoolConfig;
use proptest::prelude::*;
use std::vec::Vec;

const SRC: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const DST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

struct Host {
    reass: Reassembly,
    pool: Pool,
    out: Actions<IpDrop>,
    now: u64,
}

impl Host {
    fn new() -> Self {
        Self {
            reass: Reassembly::new(Keyed::new(1)),
            pool: Pool::new(PoolConfig::STACK),
            out: Actions::new(),
            now: 1,
        }
    }

    /// A fragment of datagram `id` with the bytes `at..at + len` of a pattern.
    fn fragment(&mut self, src: Ipv4Addr, id: u16, at: usize, len: usize, more: bool) -> Msg {
        let data: Vec<u8> = (at..at + len).map(|i| (i % 251) as u8).collect();
        let mut msg = self.pool.copy_from(64, &data).unwrap();
        let fragment = (at / 8) as u16 | if more { MORE_FRAGMENTS } else { 0 };
        let (dst, protocol) = (DST, protocol::UDP);
        let fields =
            build::Fields { src, dst, protocol, ttl: 9, tos: 0, id, fragment, options: &[] };
        fields.prepend(&mut msg, &mut self.pool).unwrap();
        msg
    }

    fn take(&mut self, msg: Msg) -> Option<Vec<u8>> {
        let view = View::parse(msg.first()).unwrap();
        let whole = self.reass.input(msg, &view, self.now, &mut self.pool, &mut self.out)?;
        let view = View::verify(whole.first()).unwrap();
        assert!(!view.is_fragment());
        assert_eq!(usize::from(view.total_len), whole.len());
        Some(whole.cursor().chunks().flatten().skip(view.header()).copied().collect())
    }

    fn send(&mut self, at: usize, len: usize, more: bool) -> Option<Vec<u8>> {
        let msg = self.fragment(SRC, 7, at, len, more);
        self.take(msg)
    }

    fn reasons(&mut self) -> Vec<IpDrop> {
        self.out.dropped.drain(..).map(|(_, reason)| reason).collect()
    }

    /// Nothing is held but the memory of datagrams given up.
    fn is_clean(&self) -> bool {
        self.reass.truesize() == 0
    }
}

#[test]
fn joined_datagram_shares_the_memory_of_its_fragments() {
    let mut host = Host::new();
    let first = host.fragment(SRC, 7, 0, 1480, true);
    let second = host.fragment(SRC, 7, 1480, 1000, false);
    let address = second.first()[20..].as_ptr();
    let copied = host.pool.stats().copied_bytes;
    assert_eq!(host.take(second), None);
    let view = View::parse(first.first()).unwrap();
    let whole = host.reass.input(first, &view, 1, &mut host.pool, &mut host.out).unwrap();
    assert_eq!(whole.len(), 2500);
    assert!(whole.blocks().any(|block| block.as_ptr() == address));
    assert_eq!(host.pool.stats().copied_bytes, copied);
    assert!(host.is_clean() && host.reass.datagrams() == 0);
}

#[test]
fn bad_input_7_overlap_gives_up_the_whole_datagram_rfc5722() {
    for (at, len) in [(8, 16), (0, 32), (16, 16), (0, 16), (8, 8)] {
        let mut host = Host::new();
        host.send(0, 24, true);
        assert_eq!(host.send(at, len, true), None);
        assert_eq!(host.reasons(), [IpDrop::FragOverlap; 2], "{at} {len}");
        assert_eq!(host.send(24, 8, false), None);
        assert_eq!(host.reasons(), [IpDrop::FragPoisoned]);
        assert!(host.is_clean());
    }
}

#[test]
fn bad_input_7_teardrop_contained_fragment_is_an_overlap() {
    let mut host = Host::new();
    host.send(0, 64, true);
    assert_eq!(host.send(24, 4, false), None);
    assert_eq!(host.reasons(), [IpDrop::FragEnd; 2]);
    assert!(host.is_clean());
}

#[test]
fn bad_input_7_fragment_past_65535_is_refused() {
    let mut host = Host::new();
    host.send(65_528, 8, false);
    host.send(65_512, 8, false);
    assert_eq!(host.reasons(), [IpDrop::FragPastEnd, IpDrop::FragPastEnd]);
}

#[test]
fn bad_input_8_flood_of_incomplete_datagrams_is_bounded_in_memory_and_entries() {
    let mut host = Host::new();
    for n in 0..20_000_u32 {
        let src = Ipv4Addr::from(0x0b00_0000 + n % 5000);
        let msg = host.fragment(src, n as u16, 8, 1400, true);
        host.take(msg);
        host.out.dropped.clear();
        assert!(host.reass.datagrams() <= DATAGRAMS_MAX);
        assert!(host.reass.truesize() <= TRUESIZE_MAX);
    }
    host.send(0, 8, true);
    assert!(host.send(8, 8, false).is_some(), "service goes on");
}

#[test]
fn bad_input_8_one_source_cannot_push_out_the_others() {
    let mut host = Host::new();
    host.send(0, 8, true);
    for n in 0..1000 {
        let msg = host.fragment(Ipv4Addr::new(10, 6, 6, 6), n, 0, 1480, true);
        host.take(msg);
    }
    let refused = host.reasons();
    assert_eq!(refused.len(), 1000 - SOURCE_DATAGRAMS_MAX);
    assert!(refused.iter().all(|r| *r == IpDrop::FragSourceLimit));
    assert!(host.send(8, 8, false).is_some());
}

#[test]
fn bad_input_8_one_datagram_of_tiny_fragments_is_given_up() {
    let mut host = Host::new();
    for n in 0..=FRAGMENTS_MAX {
        host.send(n * 16, 8, true);
    }
    assert_eq!(host.reasons().len(), FRAGMENTS_MAX + 1);
    assert!(host.is_clean());
}

#[test]
fn bad_input_9_tiny_first_fragment_of_tcp_is_refused_rfc1858_rfc3128() {
    let mut host = Host::new();
    for (at, len) in [(0, 8), (0, 16), (8, 8), (16, 80)] {
        let msg = host.fragment(SRC, 1, at, len, true);
        let view = View { protocol: protocol::TCP, ..View::parse(msg.first()).unwrap() };
        assert!(host.reass.input(msg, &view, 1, &mut host.pool, &mut host.out).is_none());
        assert_eq!(host.reasons(), [IpDrop::FragTiny], "{at} {len}");
    }
}

#[test]
fn bad_input_10_empty_fragment_and_odd_middle_are_refused() {
    let mut host = Host::new();
    host.send(8, 0, true);
    host.send(8, 0, false);
    host.send(0, 13, true);
    assert_eq!(host.reasons(), [IpDrop::FragEmpty, IpDrop::FragEmpty, IpDrop::FragLength]);
    assert_eq!(host.reass.datagrams(), 0);
}

#[test]
fn bad_input_10_two_different_ends_give_up_the_datagram() {
    for (at, len, more) in [(8, 16, false), (32, 8, false), (24, 8, true), (16, 8, true)] {
        let mut host = Host::new();
        host.send(8, 16, false);
        assert_eq!(host.send(at, len, more), None);
        let expected = if (at, len) == (8, 16) { IpDrop::FragDuplicate } else { IpDrop::FragEnd };
        assert_eq!(host.reasons()[0], expected, "{at} {len} {more}");
    }
    let mut host = Host::new();
    host.send(8, 16, true);
    host.send(8, 16, false);
    assert_eq!(host.reasons(), [IpDrop::FragEnd; 2]);
}

#[test]
fn exact_repetition_is_dropped_and_does_no_harm() {
    let mut host = Host::new();
    host.send(0, 8, true);
    host.send(0, 8, true);
    assert_eq!(host.reasons(), [IpDrop::FragDuplicate]);
    assert_eq!(host.send(8, 5, false).unwrap().len(), 13);
}

#[test]
fn datagram_is_given_up_after_30_seconds_and_its_first_fragment_handed_out() {
    let mut host = Host::new();
    host.send(0, 8, true);
    host.send(16, 8, true);
    let mut expired = MsgList::new();
    assert_eq!(host.reass.next_deadline(), Some(1 + TIMEOUT_NS));
    host.reass.timer(TIMEOUT_NS, &mut expired, &mut host.out);
    assert!(expired.is_empty());
    host.reass.timer(1 + TIMEOUT_NS, &mut expired, &mut host.out);
    assert_eq!(expired.len(), 1);
    assert_eq!(View::parse(expired.front().unwrap().first()).unwrap().fragment_offset, 0);
    assert_eq!(host.reasons(), [IpDrop::FragTimeout]);
    assert!(host.is_clean() && host.reass.next_deadline().is_none());
}

#[test]
fn congestion_mark_of_one_fragment_marks_the_whole_rfc3168_5_3() {
    for (first, second, whole) in [(2, 3, Some(3)), (0, 3, None), (0, 0, Some(0))] {
        let mut host = Host::new();
        let mut result = None;
        for (at, more, tos) in [(0, true, first), (8, false, second)] {
            let msg = host.fragment(SRC, 7, at, 8, more);
            let view = View { tos, ..View::parse(msg.first()).unwrap() };
            result = host.reass.input(msg, &view, 1, &mut host.pool, &mut host.out);
        }
        // The header still has the first fragment's bits, which `fragment` left 0.
        assert_eq!(result.map(|m| m.first()[1] & 3), whole);
    }
}

proptest! {
    #[test]
    fn fragments_in_any_order_with_repetitions_give_the_datagram(
        len in 9_usize..20_000, mtu in 200_u16..1500, seed: u64,
    ) {
        let mut host = Host::new();
        let data: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
        let mut msg = host.pool.copy_from(64, &data).unwrap();
        let request = Request::new(DST.into(), protocol::UDP);
        build::output(&mut msg, &request, SRC, 9, &mut host.pool).unwrap();
        let mut list = MsgList::new();
        frag::fragment(msg, mtu, &mut host.pool, &mut list).unwrap();
        let mut pieces: Vec<Msg> = list.collect();
        let mut state = seed | 1;
        let mut whole = None;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        if pieces.len() == 1 {
            return Ok(());
        }
        while !pieces.is_empty() {
            let piece = pieces.swap_remove(random() % pieces.len());
            if random() % 4 == 0 && !pieces.is_empty() {
                let dup = piece.dup(&mut host.pool).unwrap();
                pieces.push(dup);
            }
            whole = host.take(piece).or(whole);
        }
        prop_assert_eq!(whole, Some(data));
    }

    #[test]
    fn random_fragments_keep_the_accounts(
        fragments in proptest::collection::vec(
            (0_u16..4, 0_usize..40, 0_usize..40, any::<bool>()), 0..200),
    ) {
        let mut host = Host::new();
        for (id, at, len, more) in fragments {
            host.now += 1_000_000_000;
            let msg = host.fragment(SRC, id, at * 8, len, more);
            host.take(msg);
            let mut expired = MsgList::new();
            host.reass.timer(host.now, &mut expired, &mut host.out);
            host.out.dropped.clear();
            let held: usize = host.reass.slots.iter()
                .flat_map(|d| &d.pieces).map(|p| p.msg.truesize()).sum();
            prop_assert_eq!(host.reass.truesize(), held);
        }
        host.reass.clear(&mut host.out);
        prop_assert!(host.is_clean() && host.reass.sources.is_empty());
    }
}
