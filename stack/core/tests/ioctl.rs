//! I_STR: requests that carry their data, one at a time, and every way in which they end.

mod common;
#[path = "common/desk.rs"]
mod desk;

use common::{Null, Polite};
use desk::{CRED, bench};
use millstream_core::ioctl::{
    Arg, BLOCK, DUPLICATE_REPLY, I_LINK, I_PLINK, I_PUNLINK, I_UNLINK, IocId, Iocblk, LATE_REPLY,
    LEN_MAX, MALFORMED, Reply, Request,
};
use millstream_core::{Errno, HeadEvent};
use millstream_msg::Kind;

#[test]
fn g1_the_request_goes_down_whole_and_the_answer_comes_back_whole() {
    let mut b = bench();
    let id = b.str(7, b"question");
    let (blk, data) = b.request();
    assert_eq!((blk.cmd, blk.id, blk.cred, blk.count), (7, id, CRED, 8));
    assert_eq!((blk.rval, blk.error, data), (0, Errno(0), b"question".to_vec()));
    assert_eq!(b.progress(id), None);
    b.ack(id, 42, b"answer");
    assert_eq!(b.told(), [HeadEvent::Ioctl(id)]);
    assert_eq!(b.result(id), Ok(Reply { rval: 42, data: b"answer".to_vec() }));
    assert_eq!(b.progress(id), None, "a result is given once");
    b.finish();
}

#[test]
fn g1_as_much_as_fits_goes_both_ways() {
    let mut b = bench();
    let long = vec![0xa5; LEN_MAX];
    let id = b.str(7, &long);
    assert_eq!(b.request().1, long);
    b.ack(id, 0, &long);
    assert_eq!(b.result(id).unwrap().data, long);
    b.finish();
}

#[test]
fn g1_only_count_bytes_of_an_answer_are_the_callers() {
    let mut b = bench();
    let id = b.str(7, b"");
    assert_eq!(b.request().1, b"");
    let blk = Iocblk { cmd: 7, id, cred: CRED, count: 3, rval: 0, error: Errno(0) };
    b.arrives(Kind::IocAck, &blk.to_bytes(), b"abcdef");
    assert_eq!(b.result(id).unwrap().data, b"abc");
    b.finish();
}

#[test]
fn g1_an_answer_that_promises_more_than_it_has_is_eproto() {
    let mut b = bench();
    let id = b.str(7, b"");
    let blk = Iocblk { cmd: 7, id, cred: CRED, count: 9, rval: 0, error: Errno(0) };
    b.arrives(Kind::IocAck, &blk.to_bytes(), b"abc");
    assert_eq!(b.result(id), Err(Errno::EPROTO));
    b.finish();
}

#[test]
fn g1_an_acknowledgement_with_an_error_is_a_failure() {
    let mut b = bench();
    let id = b.str(7, b"");
    let blk = Iocblk { cmd: 7, id, cred: CRED, count: 0, rval: 5, error: Errno::EBUSY };
    b.arrives(Kind::IocAck, &blk.to_bytes(), b"");
    assert_eq!(b.result(id), Err(Errno::EBUSY));
    b.finish();
}

#[test]
fn g1_a_refusal_gives_its_error_or_einval() {
    let mut b = bench();
    for (error, expected) in [(Errno::EACCES, Errno::EACCES), (Errno(0), Errno::EINVAL)] {
        let id = b.str(7, b"x");
        b.nak(id, error);
        assert_eq!(b.result(id), Err(expected));
    }
    b.finish();
}

#[test]
fn g1_bad_lengths_and_times_are_einval() {
    let mut b = bench();
    assert_eq!(b.str_for(7, 0, &vec![0; LEN_MAX + 1]), Err(Errno::EINVAL));
    assert_eq!(b.str_for(7, -2, b""), Err(Errno::EINVAL));
    assert!(b.asked().is_empty());
    b.finish();
}

#[test]
fn g2_one_is_in_flight_and_others_follow_in_order() {
    let mut b = bench();
    let ids: Vec<_> = (0..3_u32).map(|cmd| b.str(cmd, b"")).collect();
    for (cmd, &id) in ids.iter().enumerate() {
        let (blk, _) = b.request();
        assert_eq!((blk.cmd, blk.id), (cmd as u32, id));
        b.ack(id, cmd as i32, b"");
        assert_eq!(b.result(id).unwrap().rval, cmd as i32);
    }
    b.finish();
}

#[test]
fn g2_no_answer_is_etime_after_15_seconds_by_default() {
    let mut b = bench();
    let id = b.str(7, b"");
    b.at(14);
    assert_eq!(b.progress(id), None);
    b.at(15);
    assert_eq!(b.told(), [HeadEvent::Ioctl(id)]);
    assert_eq!(b.result(id), Err(Errno::ETIME));
    b.finish();
}

#[test]
fn g2_the_caller_says_how_long_or_for_ever() {
    let mut b = bench();
    let id = b.str_for(7, 3, b"").unwrap();
    b.at(2);
    assert_eq!(b.progress(id), None);
    b.at(3);
    assert_eq!(b.result(id), Err(Errno::ETIME));
    let id = b.str_for(8, -1, b"").unwrap();
    b.at(1_000_000);
    assert_eq!(b.progress(id), None);
    b.ack(id, 1, b"");
    assert_eq!(b.result(id).unwrap().rval, 1);
    b.finish();
}

#[test]
fn g2_the_turn_is_waited_for_15_seconds() {
    let mut b = bench();
    let first = b.str_for(1, -1, b"").unwrap();
    let second = b.str_for(2, 100, b"").unwrap();
    b.at(10);
    let third = b.str_for(3, 100, b"").unwrap();
    b.at(15);
    assert_eq!(b.result(second), Err(Errno::ETIME));
    assert_eq!(b.progress(third), None);
    assert_eq!(b.request().0.id, first);
    b.ack(first, 0, b"");
    assert_eq!(b.request().0.id, third, "its own time begins now");
    b.at(114);
    assert_eq!(b.progress(third), None);
    b.at(116);
    assert_eq!(b.result(third), Err(Errno::ETIME));
    b.finish();
}

#[test]
fn g2_a_crowd_is_refused_with_eagain() {
    let mut b = bench();
    let ids: Vec<_> = (0..64).map(|cmd| b.str(cmd, b"")).collect();
    assert_eq!(b.str_for(64, 0, b""), Err(Errno::EAGAIN));
    // A result that nobody has taken counts too, one that was taken does not.
    b.ack(ids[0], 0, b"");
    assert_eq!(b.str_for(64, 0, b""), Err(Errno::EAGAIN));
    b.result(ids[0]).unwrap();
    b.str(64, b"");
    b.finish();
}

#[test]
fn g3_an_answer_after_the_time_does_not_confuse_the_next_one() {
    let mut b = bench();
    let first = b.str_for(1, 1, b"").unwrap();
    b.at(1);
    assert_eq!(b.result(first), Err(Errno::ETIME));
    let second = b.str(2, b"");
    b.ack(first, 99, b"late");
    assert_eq!(b.progress(second), None);
    assert_eq!(b.drops(LATE_REPLY), 1);
    b.ack(second, 2, b"");
    assert_eq!(b.result(second).unwrap().rval, 2);
    b.finish();
}

#[test]
fn g3_a_second_answer_is_dropped_as_a_duplicate() {
    let mut b = bench();
    let id = b.str(1, b"");
    b.ack(id, 1, b"");
    b.ack(id, 2, b"");
    b.nak(id, Errno::EIO);
    assert_eq!(b.drops(DUPLICATE_REPLY), 2);
    assert_eq!(b.result(id).unwrap().rval, 1);
    b.finish();
}

#[test]
fn g3_answers_from_nowhere_and_cut_ones_are_dropped() {
    let mut b = bench();
    b.ack(IocId(77), 0, b"");
    b.nak(IocId(0), Errno::EIO);
    assert_eq!(b.drops(LATE_REPLY), 2);
    for len in 0..BLOCK {
        b.arrives(Kind::IocAck, &[1; BLOCK][..len], b"");
    }
    assert_eq!(b.drops(MALFORMED), BLOCK as u64);
    b.finish();
}

#[test]
fn g3_an_answer_to_one_who_went_away_is_late() {
    let mut b = bench();
    let first = b.str(1, b"");
    let second = b.str(2, b"");
    b.p.ioctl_cancel(b.stream, first);
    b.run();
    assert_eq!(b.progress(first), None);
    let asked: Vec<_> = b.asked().iter().map(|m| Iocblk::parse(m.first()).unwrap().id).collect();
    assert_eq!(asked, [first, second]);
    b.ack(first, 0, b"");
    assert_eq!(b.drops(LATE_REPLY), 1);
    b.ack(second, 0, b"");
    b.result(second).unwrap();
    b.finish();
}

#[test]
fn g4_an_error_ends_all_with_that_error() {
    let mut b = bench();
    let (first, second) = (b.str(1, b""), b.str(2, b""));
    b.arrives(Kind::Error, &[Errno::EPROTO.0 as u8], b"");
    assert_eq!(b.result(first), Err(Errno::EPROTO));
    assert_eq!(b.result(second), Err(Errno::EPROTO));
    assert_eq!(b.str_for(3, 0, b""), Err(Errno::EPROTO));
    b.ack(first, 0, b"");
    assert_eq!(b.drops(LATE_REPLY), 1);
    b.finish();
}

#[test]
fn g4_an_error_of_one_side_ends_them_too() {
    for (bytes, expected) in
        [([5, 0xff], Errno::EIO), ([0xff, 5], Errno::EIO), ([71, 5], Errno::EPROTO)]
    {
        let mut b = bench();
        let id = b.str(1, b"");
        b.arrives(Kind::Error, &bytes, b"");
        assert_eq!(b.result(id), Err(expected));
        b.finish();
    }
}

#[test]
fn g4_a_hangup_ends_all_with_enxio() {
    let mut b = bench();
    let (first, second) = (b.str(1, b""), b.str(2, b""));
    b.arrives(Kind::Hangup, b"", b"");
    assert_eq!(b.result(first), Err(Errno::ENXIO));
    assert_eq!(b.result(second), Err(Errno::ENXIO));
    assert_eq!(b.str_for(3, 0, b""), Err(Errno::ENXIO));
    b.finish();
}

#[test]
fn g5_commands_of_the_link_family_are_not_carried() {
    let mut b = bench();
    for cmd in [I_LINK, I_UNLINK, I_PLINK, I_PUNLINK] {
        assert_eq!(b.str_for(cmd, 0, &[0; 20]), Err(Errno::EINVAL));
        let arg = Arg::Transparent(1);
        let request = Request { cmd, timeout: 0, cred: CRED, arg };
        assert_eq!(b.p.ioctl(b.stream, request), Err(Errno::EINVAL));
    }
    assert!(b.asked().is_empty());
    b.finish();
}

#[test]
fn g8_a_request_stays_behind_data_and_its_answer_goes_ahead() {
    let mut b = bench();
    // A queue that is stopped below: data waits, and the request behind it.
    b.p.pop(b.stream).unwrap();
    b.p.push(b.stream, Box::new(Polite)).unwrap();
    b.p.insert(b.stream, 0, Box::new(common::Holder)).unwrap();
    b.p.write(b.stream, &[1; 60]).unwrap();
    b.run();
    let request = Request { cmd: 1, timeout: 0, cred: CRED, arg: Arg::Data(b"") };
    let id = b.p.ioctl(b.stream, request).unwrap();
    b.run();
    // The holder lets go in its service procedure, in order: the frame was sent before the
    // driver refused the request.
    assert_eq!(b.probe.sent_bytes(), [[1; 60]]);
    assert_eq!(b.result(id), Err(Errno::EINVAL));
    // An answer overtakes data that nobody reads.
    b.arrives(Kind::Data, b"unread", b"");
    let request = Request { cmd: 2, timeout: 0, cred: CRED, arg: Arg::Data(b"") };
    let id = b.p.ioctl(b.stream, request).unwrap();
    b.run();
    assert_eq!(b.result(id), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn g9_what_no_module_knows_the_driver_refuses() {
    let mut b = bench();
    b.p.pop(b.stream).unwrap();
    b.p.push(b.stream, Box::new(Null)).unwrap();
    let id = b.str(1, b"data");
    assert_eq!(b.result(id), Err(Errno::EINVAL));
    let id = b.transparent(1, 0xffff_ffff_0000);
    assert_eq!(b.result(id), Err(Errno::EINVAL));
    b.finish();
}

#[test]
fn b2_a_request_from_below_is_refused() {
    let mut b = bench();
    b.p.pop(b.stream).unwrap();
    let blk = Iocblk { cmd: 1, id: IocId(3), cred: CRED, count: 0, rval: 0, error: Errno(0) };
    b.arrives(Kind::Ioctl, &blk.to_bytes(), b"");
    b.arrives(Kind::IocData, &blk.to_bytes(), b"");
    assert!(b.told().is_empty());
    b.finish();
}

#[test]
fn an_exhausted_pool_is_enosr_and_nothing_is_sent() {
    let mut b = bench();
    let mut hoard = Vec::new();
    while let Ok(msg) = b.p.pool().alloc_reserve(0, 1) {
        hoard.push(msg);
    }
    assert_eq!(b.str_for(1, 0, b""), Err(Errno::ENOSR));
    b.p.pool().free(hoard.pop().unwrap());
    assert_eq!(b.str_for(1, 0, b"data"), Err(Errno::ENOSR));
    drop(hoard);
    b.str(1, b"data");
    assert_eq!(b.request().1, b"data");
    b.finish();
}

#[test]
fn a_closed_stream_frees_what_its_ioctls_hold() {
    let mut b = bench();
    let first = b.str(1, &[1; 3000]);
    b.str(2, &[2; 3000]);
    assert_eq!(b.request().0.id, first);
    b.finish();
}
