//! The rules of message blocks that STREAMS programs rely on. `aNN` in a name is the rule's
//! number: A4 is allocb(9F), A8 dupb(9F), and so on.

use bytes::{Buf, Bytes};
use millstream_msg::{
    Band, Free, Gso, Kind, Msg, MsgFlags, Offload, Pool, PoolConfig, PoolStats, PullupError,
};

fn pool() -> Pool {
    Pool::new(PoolConfig::TINY)
}

/// Cells out, of all kinds.
fn out(pool: &mut Pool) -> usize {
    pool.run_deferred();
    let PoolStats { small, frame, large, bare, external, .. } = pool.stats();
    small.out + frame.out + large.out + bare.out + external.out
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    assert_eq!(msg.copy_out(0, &mut out), msg.len());
    out
}

/// Kind and length of each block.
fn shape(msg: &Msg) -> Vec<(Kind, usize)> {
    msg.blocks().map(|b| (b.kind(), b.len())).collect()
}

/// A message of one block per part.
fn message(pool: &mut Pool, parts: &[(Kind, &[u8])]) -> Msg {
    let mut blocks = parts.iter().map(|&(kind, part)| {
        let mut block = pool.copy_from(16, part).unwrap();
        block.set_kind(kind);
        block
    });
    let mut msg = blocks.next().unwrap();
    blocks.for_each(|block| msg.link(block));
    msg
}

const ONES: &[u8] = &[1; 8];
const TWOS: &[u8] = &[2; 8];
const THREES: &[u8] = &[3; 8];

#[test]
fn a4_allocated_message_is_empty_data_in_band_0_with_the_room_asked_for() {
    let mut pool = pool();
    for (headroom, len) in [(0, 0), (0, 1), (64, 200), (128, 1500), (14, 20_000)] {
        let msg = pool.alloc(headroom, len).unwrap();
        assert_eq!((msg.len(), msg.kind(), msg.band()), (0, Kind::Data, Band(0)));
        assert_eq!((msg.headroom(), msg.blocks().count()), (headroom, 1));
        assert!(msg.tailroom() >= len && msg.is_unique());
        assert_eq!((msg.flags(), msg.offload()), (MsgFlags::empty(), Offload::NONE));
        pool.free(msg);
    }
}

#[test]
fn a4_a_used_cell_is_handed_out_again_without_marks_of_its_last_message() {
    let mut pool = pool();
    let mut msg = pool.alloc(0, 10).unwrap();
    msg.set_kind(Kind::Proto);
    msg.set_band(Band(7));
    msg.set_flags(MsgFlags::MARK);
    msg.set_offload(Offload { needs_csum: true, ..Offload::NONE });
    msg.set_stamp(9);
    msg.set_flow_hash(9);
    msg.set_ctx(9);
    pool.free(msg);
    let msg = pool.alloc(0, 10).unwrap();
    assert_eq!((msg.kind(), msg.band(), msg.flags()), (Kind::Data, Band(0), MsgFlags::empty()));
    assert_eq!((msg.offload(), msg.stamp(), msg.flow_hash()), (Offload::NONE, 0, 0));
    assert_eq!(msg.ctx(), 0);
    pool.free(msg);
}

#[test]
fn a5_first_byte_of_a_cell_is_aligned_for_any_scalar() {
    let mut pool = pool();
    for len in [1, 256, 1500, 32_768] {
        let held: Vec<Msg> = (0..5).map(|_| pool.alloc(0, len).unwrap()).collect();
        for msg in &held {
            assert_eq!(msg.blocks().next().unwrap().as_ptr().addr() % 64, 0);
        }
    }
}

#[test]
fn a6_memory_returns_with_the_last_window_whichever_message_goes_first() {
    let mut pool = pool();
    for original_first in [true, false] {
        let msg = pool.copy_from(0, ONES).unwrap();
        let dup = msg.dup(&mut pool).unwrap();
        let (first, last) = if original_first { (msg, dup) } else { (dup, msg) };
        pool.free(first);
        assert_eq!(pool.stats().small.out, 1);
        assert_eq!(bytes(&last), ONES);
        assert!(last.is_unique());
        pool.free(last);
        assert_eq!(out(&mut pool), 0);
    }
}

#[test]
fn a7_wrapped_memory_is_read_in_place_and_never_written_when_it_is_a_bytes() {
    let mut pool = pool();
    let lent = Bytes::from(vec![5; 100]);
    let mut msg = pool.wrap_bytes(lent.clone()).unwrap();
    assert_eq!(msg.blocks().next().unwrap().as_ptr(), lent.as_ptr());
    assert!(msg.first_mut().is_none());
    assert_eq!((msg.headroom(), msg.tailroom()), (0, 0));
    msg.make_writable(&mut pool, 4).unwrap().fill(6);
    assert_eq!(bytes(&msg), [&[6; 4][..], &[5; 96]].concat());
    assert!(lent.iter().all(|&b| b == 5));
    drop(msg);
    assert!(lent.is_unique(), "the pool has let go of it");
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a7_refused_wrap_runs_the_free_routine() {
    fn count(arg: *mut ()) {
        // SAFETY: the counter below outlives the call.
        unsafe { *arg.cast::<u32>() += 1 };
    }
    let mut calls = 0_u32;
    let mut memory = [0; 4];
    let mut pool = Pool::new(PoolConfig { external: 0, ..PoolConfig::TINY });
    let free = Free::Fn(count, (&raw mut calls).cast());
    // SAFETY: `memory` outlives the message, which is not even made.
    let refused = unsafe { pool.wrap_raw(memory.as_mut_ptr(), 4, free) };
    assert!(refused.is_err());
    assert_eq!(calls, 1);
}

#[test]
fn a8_dup_shares_memory_and_takes_marks_and_may_differ_in_kind() {
    let mut pool = pool();
    let mut msg = message(&mut pool, &[(Kind::Proto, ONES), (Kind::Data, TWOS)]);
    msg.set_band(Band(3));
    msg.set_flags(MsgFlags::DELIM);
    let mut dup = msg.dup(&mut pool).unwrap();
    assert_eq!((dup.band(), dup.flags()), (Band(3), MsgFlags::DELIM));
    assert_eq!(shape(&dup), shape(&msg));
    assert!(msg.blocks().zip(dup.blocks()).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    dup.set_kind(Kind::PcProto);
    assert_eq!(msg.kind(), Kind::Proto, "classic STREAMS would have changed it");
    pool.free(msg);
    pool.free(dup);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a8_block_may_have_more_than_255_duplicates() {
    let mut pool = pool();
    let msg = pool.copy_from(0, ONES).unwrap();
    let dups: Vec<Msg> = (0..300).map(|_| msg.dup(&mut pool).unwrap()).collect();
    drop(msg);
    assert!(dups.iter().all(|dup| dup.first() == ONES));
    drop(dups);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a9_dup_and_copy_are_all_blocks_or_nothing() {
    let mut pool = Pool::new(PoolConfig {
        small: 4,
        frame: 0,
        large: 0,
        bare: 2,
        external: 0,
        reserve_256th: 0,
    });
    let msg = message(&mut pool, &[(Kind::Proto, ONES), (Kind::Data, TWOS), (Kind::Data, THREES)]);
    assert!(msg.dup(&mut pool).is_err());
    assert!(msg.copy(&mut pool).is_err());
    assert_eq!(out(&mut pool), 3);
    assert_eq!(bytes(&msg), [ONES, TWOS, THREES].concat());
    assert!(msg.is_unique());
    pool.free(msg);
}

#[test]
fn a10_copy_keeps_kinds_marks_headroom_and_tailroom() {
    let mut pool = pool();
    let mut msg = pool.copy_from(40, &[7; 100]).unwrap();
    msg.append(&mut pool, &[7; 400]).unwrap();
    msg.set_kind(Kind::Proto);
    msg.set_band(Band(9));
    let mut copy = msg.copy(&mut pool).unwrap();
    assert_eq!((bytes(&copy), shape(&copy)), (bytes(&msg), shape(&msg)));
    assert_eq!((copy.headroom(), copy.tailroom()), (msg.headroom(), msg.tailroom()));
    assert_eq!((copy.kind(), copy.band()), (Kind::Proto, Band(9)));
    copy.first_mut().unwrap().fill(8);
    assert!(bytes(&msg).iter().all(|&b| b == 7));
    pool.free(msg);
    pool.free(copy);
}

#[test]
fn a10_copy_of_a_window_deep_in_a_large_block_fits_the_window() {
    let mut pool = pool();
    let msg = pool.wrap_bytes(vec![4; 100_000].into()).unwrap();
    let window = msg.slice(&mut pool, 90_000, 1000).unwrap();
    let copy = window.copy(&mut pool).unwrap();
    assert_eq!(shape(&copy), [(Kind::Data, 1000)]);
    assert_eq!(copy.truesize(), 2048);
    drop((msg, window, copy));
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a11_shared_block_is_not_writable_until_the_other_window_is_gone() {
    let mut pool = pool();
    let mut msg = pool.copy_from(8, ONES).unwrap();
    let dup = msg.dup(&mut pool).unwrap();
    assert!(msg.first_mut().is_none());
    assert_eq!((msg.headroom(), msg.tailroom(), msg.spare_mut().len()), (0, 0, 0));
    pool.free(dup);
    assert!(msg.first_mut().is_some());
    assert_eq!(msg.headroom(), 8);
    pool.free(msg);
}

#[test]
fn a12_unlink_gives_the_first_block_and_the_rest_with_the_message_s_marks() {
    let mut pool = pool();
    let mut msg = message(&mut pool, &[(Kind::Proto, ONES), (Kind::Data, TWOS)]);
    msg.set_band(Band(2));
    msg.set_flags(MsgFlags::DELIM);
    msg.set_offload(Offload { needs_csum: true, csum_start: 4, ..Offload::NONE });
    let (first, rest) = msg.unlink();
    let rest = rest.unwrap();
    assert_eq!((shape(&first), shape(&rest)), (vec![(Kind::Proto, 8)], vec![(Kind::Data, 8)]));
    assert_eq!((first.len(), rest.len()), (8, 8));
    assert_eq!((first.band(), rest.band()), (Band(2), Band(2)));
    assert_eq!((first.flags(), rest.flags()), (MsgFlags::empty(), MsgFlags::DELIM));
    assert_eq!(rest.offload(), Offload::NONE);
    let (first, none) = first.unlink();
    assert!(none.is_none());
    pool.free(first);
    pool.free(rest);
}

#[test]
fn a13_data_len_counts_data_blocks_only() {
    let mut pool = pool();
    let msg =
        message(&mut pool, &[(Kind::Proto, ONES), (Kind::Data, &[0; 3]), (Kind::Data, &[0; 4])]);
    assert_eq!((msg.len(), msg.data_len()), (15, 7));
    pool.free(msg);
}

#[test]
fn a14_pullup_counts_the_leading_run_of_one_kind_only() {
    let mut pool = pool();
    let mut msg =
        message(&mut pool, &[(Kind::Proto, ONES), (Kind::Proto, TWOS), (Kind::Data, THREES)]);
    assert_eq!(msg.pullup(&mut pool, 17), Err(PullupError::Short));
    assert_eq!(shape(&msg).len(), 3);
    msg.pullup(&mut pool, 12).unwrap();
    assert_eq!(shape(&msg), [(Kind::Proto, 12), (Kind::Proto, 4), (Kind::Data, 8)]);
    let run = msg.run_len();
    msg.pullup(&mut pool, run).unwrap();
    assert_eq!(shape(&msg), [(Kind::Proto, 16), (Kind::Data, 8)]);
    assert_eq!(bytes(&msg), [ONES, TWOS, THREES].concat());
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a14_pullup_of_enough_contiguous_bytes_copies_nothing() {
    let mut pool = pool();
    let mut msg = message(&mut pool, &[(Kind::Data, ONES), (Kind::Data, TWOS)]);
    msg.pullup(&mut pool, 8).unwrap();
    msg.trim_front(8);
    msg.pullup(&mut pool, 8).unwrap();
    assert_eq!(pool.stats().pulled_bytes, 0);
    assert_eq!(shape(&msg), [(Kind::Data, 8)], "the empty block in front is dropped");
    pool.free(msg);
}

#[test]
fn a14_pullup_keeps_an_empty_block_of_another_kind_behind() {
    let mut pool = pool();
    let mut msg =
        message(&mut pool, &[(Kind::Proto, ONES), (Kind::Proto, TWOS), (Kind::Data, &[])]);
    msg.pullup(&mut pool, 16).unwrap();
    assert_eq!(shape(&msg), [(Kind::Proto, 16), (Kind::Data, 0)]);
    pool.free(msg);
}

#[test]
fn a14_pullup_works_deep_in_a_large_block() {
    let mut pool = pool();
    let whole = pool.wrap_bytes(vec![4; 100_000].into()).unwrap();
    let mut msg = whole.slice(&mut pool, 90_000, 10).unwrap();
    let more = whole.slice(&mut pool, 0, 10).unwrap();
    msg.link(more);
    msg.pullup(&mut pool, 20).unwrap();
    assert_eq!(shape(&msg), [(Kind::Data, 20)]);
    assert!(msg.truesize() < 1024);
    drop((whole, msg));
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a14_pullup_without_memory_leaves_the_message_as_it_was() {
    let mut pool = Pool::new(PoolConfig { small: 2, reserve_256th: 0, ..PoolConfig::TINY });
    let mut msg = message(&mut pool, &[(Kind::Data, ONES), (Kind::Data, TWOS)]);
    assert_eq!(msg.pullup(&mut pool, 12), Err(PullupError::NoMem));
    assert_eq!(msg.pullup(&mut pool, 17), Err(PullupError::Short));
    assert_eq!(shape(&msg), [(Kind::Data, 8), (Kind::Data, 8)]);
    pool.free(msg);
}

#[test]
fn a15_pulled_up_leaves_the_message_and_shares_the_rest() {
    let mut pool = pool();
    let msg = message(&mut pool, &[(Kind::Data, ONES), (Kind::Data, TWOS), (Kind::Proto, THREES)]);
    let new = msg.pulled_up(&mut pool, 12).unwrap();
    assert_eq!(shape(&new), [(Kind::Data, 12), (Kind::Data, 4), (Kind::Proto, 8)]);
    assert_eq!(shape(&msg), [(Kind::Data, 8), (Kind::Data, 8), (Kind::Proto, 8)]);
    assert_eq!(new.blocks().last().unwrap().as_ptr(), msg.blocks().last().unwrap().as_ptr());
    assert_eq!(msg.pulled_up(&mut pool, 17).unwrap_err(), PullupError::Short);
    pool.free(msg);
    assert_eq!(bytes(&new), [ONES, TWOS, THREES].concat());
    pool.free(new);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a16_adjust_beyond_the_leading_run_changes_nothing() {
    let mut pool = pool();
    let mut msg = message(&mut pool, &[(Kind::Proto, ONES), (Kind::Data, TWOS)]);
    assert!(!msg.adjust(9) && !msg.adjust(-9));
    assert_eq!(bytes(&msg), [ONES, TWOS].concat());
    pool.free(msg);
}

#[test]
fn a16_adjust_frees_emptied_blocks_except_the_first() {
    let mut pool = pool();
    let parts = [(Kind::Proto, ONES), (Kind::Proto, TWOS), (Kind::Data, THREES)];
    let mut msg = message(&mut pool, &parts);
    assert!(msg.adjust(16));
    assert_eq!(shape(&msg), [(Kind::Proto, 0), (Kind::Data, 8)]);
    pool.free(msg);
    let mut msg = message(&mut pool, &parts);
    assert!(msg.adjust(-16));
    assert_eq!(shape(&msg), [(Kind::Proto, 0), (Kind::Data, 8)]);
    assert_eq!((msg.len(), bytes(&msg)), (8, THREES.to_vec()));
    pool.free(msg);
    let mut msg = message(&mut pool, &parts);
    assert!(msg.adjust(9) && msg.adjust(-3));
    assert_eq!(shape(&msg)[1..], [(Kind::Proto, 4), (Kind::Data, 8)]);
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a17_flush_data_takes_data_proto_pcproto_and_delay() {
    let data = [Kind::Data, Kind::Proto, Kind::PcProto, Kind::Delay];
    let control = [Kind::Ioctl, Kind::IocAck, Kind::Flush, Kind::Ctl, Kind::Hangup, Kind::Sig];
    assert!(data.iter().all(|k| k.is_data_class()));
    assert!(!control.iter().any(|k| k.is_data_class()));
    assert!(Kind::PcProto.is_high_priority() && !Kind::Proto.is_high_priority());
}

#[test]
fn a18_mark_and_delim_go_with_the_last_byte() {
    let mut pool = pool();
    let ends = MsgFlags::MARK.with(MsgFlags::DELIM);
    let mut msg = pool.copy_from(0, ONES).unwrap();
    msg.set_flags(ends.with(MsgFlags::CSUM_OK));
    let slice = msg.slice(&mut pool, 0, 4).unwrap();
    assert_eq!(slice.flags(), MsgFlags::CSUM_OK);
    let rest = msg.split_off(&mut pool, 5).unwrap();
    assert_eq!(msg.flags(), MsgFlags::CSUM_OK);
    assert_eq!(rest.flags(), ends.with(MsgFlags::CSUM_OK));
    let mut rest = rest;
    let nothing = rest.split_off(&mut pool, 3).unwrap();
    assert!(rest.flags().contains(ends) && !nothing.flags().intersects(ends));
    drop((msg, slice, rest, nothing));
}

#[test]
fn a21_chain_of_wrapped_blocks_is_cut_and_joined_without_a_copy() {
    let mut pool = pool();
    let lent: Vec<Bytes> = (0..3).map(|i| Bytes::from(vec![i; 1000])).collect();
    let mut msg = pool.wrap_bytes(lent[0].clone()).unwrap();
    for part in &lent[1..] {
        let block = pool.wrap_bytes(part.clone()).unwrap();
        msg.link(block);
    }
    msg.prepend(&mut pool, 14).unwrap().fill(9);
    msg.trim_front(14);
    let tail = msg.split_off(&mut pool, 1500).unwrap();
    msg.link(tail);
    let seen: Vec<_> = msg.blocks().filter(|b| !b.is_empty()).map(|b| b.as_ptr()).collect();
    let at = |i: usize, n: usize| lent[i].as_ptr().wrapping_add(n);
    assert_eq!(seen, [at(0, 0), at(1, 0), at(1, 500), at(2, 0)]);
    assert_eq!((pool.stats().copied_bytes, pool.stats().pulled_bytes), (0, 0));
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a22_failed_append_leaves_the_message_unchanged_and_leaks_nothing() {
    let mut pool = Pool::new(PoolConfig {
        small: 1,
        frame: 1,
        large: 0,
        reserve_256th: 0,
        ..PoolConfig::TINY
    });
    let mut msg = pool.copy_from(0, ONES).unwrap();
    assert!(msg.append(&mut pool, &[2; 1000]).is_ok());
    let before = bytes(&msg);
    assert!(msg.append(&mut pool, &[3; 5000]).is_err());
    assert_eq!(bytes(&msg), before);
    assert!(pool.copy_from(0, &[0; 9]).is_err());
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn prepend_of_more_than_a_cell_holds_is_refused() {
    let mut pool = pool();
    let mut msg = pool.copy_from(0, ONES).unwrap();
    assert!(msg.prepend(&mut pool, 32 * 1024 + 1).is_err());
    assert!(msg.prepend(&mut pool, usize::MAX).is_err());
    assert_eq!(bytes(&msg), ONES);
    msg.prepend(&mut pool, 32 * 1024).unwrap().fill(0);
    assert_eq!(msg.len(), 32 * 1024 + 8);
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
#[should_panic(expected = "slice beyond the end")]
fn slice_whose_end_overflows_panics() {
    let mut pool = pool();
    let msg = pool.copy_from(0, ONES).unwrap();
    drop(msg.slice(&mut pool, usize::MAX, 2));
}

#[test]
fn offload_offsets_follow_the_front_of_the_packet() {
    let mut pool = pool();
    let mut msg = pool.copy_from(64, &[0; 100]).unwrap();
    let request = |start, hdr| Offload {
        needs_csum: true,
        gso: Gso::TcpV4,
        gso_size: 10,
        hdr_len: hdr,
        csum_start: start,
        csum_offset: 16,
    };
    msg.set_offload(request(20, 40));
    msg.prepend(&mut pool, 14).unwrap();
    assert_eq!(msg.offload(), request(34, 54));
    let dup = msg.dup(&mut pool).unwrap();
    msg.prepend(&mut pool, 100).unwrap();
    assert_eq!(msg.offload(), request(134, 154), "a linked block counts as well");
    msg.trim_front(114);
    assert_eq!(msg.offload(), request(20, 40));
    assert_eq!(dup.offload(), request(34, 54));
    pool.free(msg);
    pool.free(dup);
}

#[test]
fn checksum_request_goes_when_what_it_covers_is_trimmed_away() {
    let mut pool = pool();
    let mut msg = pool.copy_from(64, &[0; 100]).unwrap();
    msg.set_offload(Offload { needs_csum: true, csum_start: 20, ..Offload::NONE });
    msg.trim_front(20);
    assert!(msg.offload().needs_csum);
    msg.trim_front(1);
    assert!(!msg.offload().needs_csum);
    pool.free(msg);
}

#[test]
fn reading_ends_where_a_foreign_block_begins() {
    let mut pool = pool();
    let mut shared = *b"foreign";
    let mut msg = pool.copy_from(0, b"own").unwrap();
    // SAFETY: `shared` outlives the message.
    let foreign = unsafe { pool.wrap_foreign(shared.as_mut_ptr(), 7, Free::None) }.unwrap();
    msg.link(foreign);
    let behind = pool.copy_from(0, b"own").unwrap();
    msg.link(behind);
    let mut cursor = msg.cursor();
    assert_eq!(cursor.remaining(), 3);
    assert!(!cursor.read(&mut [0; 4]));
    cursor.skip(100);
    assert_eq!((cursor.remaining(), cursor.chunk(), cursor.byte()), (0, &b""[..], None));
    assert_eq!(msg.cursor().chunks().count(), 1);
    assert_eq!((msg.remaining(), msg.chunk()), (3, &b"own"[..]));
    msg.advance(3);
    assert_eq!((msg.remaining(), msg.chunk()), (0, &b""[..]));
    assert_eq!(bytes(&msg), b"foreignown");
    assert!(msg.first().is_empty());
    msg.pullup(&mut pool, 9).unwrap();
    assert_eq!(msg.first(), b"foreignow");
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn sparse_message_is_compacted_into_the_cells_it_needs() {
    let mut pool = pool();
    let mut msg = pool.alloc(0, 30_000).unwrap();
    msg.append(&mut pool, ONES).unwrap();
    let second = pool.copy_from(0, TWOS).unwrap();
    msg.link(second);
    msg.set_band(Band(4));
    let msg = msg.compacted(&mut pool);
    assert_eq!((shape(&msg), msg.truesize()), (vec![(Kind::Data, 16)], 384));
    assert_eq!((bytes(&msg), msg.band()), ([ONES, TWOS].concat(), Band(4)));
    assert_eq!(pool.stats().compacted_bytes, 16, "and what is copied is counted apart");
    let msg = msg.compacted(&mut pool);
    assert_eq!(pool.stats().compacted_bytes, 16, "what can't get smaller isn't copied");
    pool.free(msg);
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn a_cursor_on_many_blocks_reads_skips_and_splits_as_on_one_piece() {
    let mut pool = pool();
    let octets: Vec<u8> = (0..40).collect();
    let mut msg = pool.copy_from(0, &octets[..1]).unwrap();
    for piece in octets[1..].chunks(3) {
        msg.link(pool.copy_from(0, piece).unwrap());
    }
    for from in 0..=octets.len() {
        for n in 0..=octets.len() - from {
            let (mut chain, mut plain) = (msg.cursor(), millstream_msg::Cursor::of(&octets));
            for cursor in [&mut chain, &mut plain] {
                cursor.skip(from);
                assert_eq!(cursor.remaining(), octets.len() - from);
                let front = cursor.split(n).unwrap();
                let read: Vec<u8> = front.chunks().flatten().copied().collect();
                assert_eq!((front.remaining(), &read[..]), (n, &octets[from..from + n]));
                assert!(cursor.split(octets.len()).is_none() || from + n == 0);
            }
            assert_eq!(chain.u32(), plain.u32());
            assert_eq!(chain.remaining(), plain.remaining());
        }
    }
}
