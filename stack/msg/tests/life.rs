//! A message from allocation to the end of its last window.

use millstream_msg::{Free, Gso, Msg, MsgList, Offload, Pool, PoolConfig, offload};

#[test]
fn dup_split_and_link_share_memory_and_all_cells_come_back() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(32, &[7; 1000]).unwrap();
    let address = msg.blocks().next().unwrap().as_ptr();
    let dup = msg.dup(&mut pool).unwrap();
    assert!(msg.first_mut().is_none(), "a shared block is not writable");
    let rest = msg.split_off(&mut pool, 300).unwrap();
    assert_eq!((msg.len(), rest.len(), dup.len()), (300, 700, 1000));
    assert_eq!(rest.blocks().next().unwrap().as_ptr(), address.wrapping_add(300));
    msg.link(rest);
    assert_eq!(msg.len(), 1000);
    pool.free(dup);
    drop(msg);
    let stats = pool.stats();
    assert_eq!((stats.frame.out, stats.bare.out), (0, 0));
    assert_eq!(stats.copied_bytes, 1000);
}

#[test]
fn prepend_is_in_place_when_unique_and_links_a_block_when_not() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(32, b"payload").unwrap();
    msg.prepend(&mut pool, 4).unwrap().copy_from_slice(b"head");
    assert_eq!(msg.blocks().count(), 1);
    let dup = msg.dup(&mut pool).unwrap();
    msg.prepend(&mut pool, 2).unwrap().copy_from_slice(b"><");
    assert_eq!(msg.blocks().count(), 2);
    let mut out = [0; 13];
    assert_eq!(msg.copy_out(0, &mut out), 13);
    assert_eq!(&out, b"><headpayload");
    pool.free(dup);
    pool.free(msg);
}

#[test]
fn free_routine_runs_once_and_a_message_outlives_its_pool() {
    fn count(arg: *mut ()) {
        // SAFETY: the test passes a counter that outlives the message.
        unsafe { *arg.cast::<u32>() += 1 };
    }
    let mut calls = 0_u32;
    let mut memory = *b"lent";
    let mut pool = Pool::new(PoolConfig::TINY);
    let free = Free::Fn(count, (&raw mut calls).cast());
    // SAFETY: `memory` outlives the message and is not touched meanwhile.
    let msg = unsafe { pool.wrap_raw(memory.as_mut_ptr(), 4, free) }.unwrap();
    let dup = msg.dup(&mut pool).unwrap();
    let own = pool.copy_from(0, b"outlives").unwrap();
    pool.free(msg);
    pool.run_deferred();
    assert_eq!(calls, 0);
    drop(pool);
    drop(dup);
    assert_eq!(calls, 1);
    assert_eq!(own.first(), b"outlives");
    drop(own);
}

#[test]
fn window_dropped_elsewhere_counts_until_the_owner_collects() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(32, b"shared").unwrap();
    drop(msg.dup(&mut pool).unwrap());
    assert!(msg.first_mut().is_none());
    pool.collect();
    assert!(msg.first_mut().is_some());
    drop(msg.dup(&mut pool).unwrap());
    msg.prepend(&mut pool, 4).unwrap();
    assert_eq!(msg.blocks().count(), 1, "prepend collects before it links a block");
    drop(msg.dup(&mut pool).unwrap());
    msg.make_writable(&mut pool, 10).unwrap();
    assert_eq!(pool.stats().pulled_bytes, 0, "make_writable collects before it copies");
    pool.free(msg);
}

#[test]
fn cell_is_used_again_after_windows_of_another_pool_were_on_it() {
    let (mut ours, mut theirs) = (Pool::new(PoolConfig::TINY), Pool::new(PoolConfig::TINY));
    for _ in 0..3 {
        let msg = ours.copy_from(0, b"ours").unwrap();
        let dup = msg.dup(&mut theirs).unwrap();
        let again = dup.dup(&mut theirs).unwrap();
        ours.free(msg);
        theirs.free(dup);
        ours.collect();
        assert!(again.is_unique());
        drop(again);
        assert_eq!(ours.stats().small.out, 0);
        assert_eq!(theirs.stats().bare.out, 0);
    }
}

#[test]
fn superframe_of_udp_is_cut_into_datagrams_that_share_the_payload() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut frame = vec![0_u8; 14 + 20 + 8];
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame.extend((0..2500).map(|i| i as u8));
    let mut msg = Msg::from_bytes(&mut pool, frame.into()).unwrap();
    msg.set_offload(Offload {
        needs_csum: true,
        gso: Gso::Udp,
        gso_size: 1000,
        hdr_len: 42,
        csum_start: 34,
        csum_offset: 6,
    });
    let mut out = MsgList::new();
    offload::finish(msg, 14, offload::Can::NOTHING, &mut pool, &mut out).unwrap();
    assert_eq!(out.iter().map(Msg::len).collect::<Vec<_>>(), [1042, 1042, 542]);
    for packet in out {
        assert_eq!(packet.blocks().count(), 2);
        pool.free(packet);
    }
    pool.run_deferred();
    assert_eq!(pool.stats().external.out, 0);
    assert_eq!(pool.stats().copied_bytes, 0);
}
