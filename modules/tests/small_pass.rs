//! null and count between a head and a device.

mod small_kit;

use millstream_modules::count::Count;
use millstream_modules::null::Null;
use millstream_msg::{Band, Gso, Kind, Offload};
use small_kit::*;

#[test]
fn null_passes_messages_of_every_kind_without_touching_them() {
    let mut s = Stack::with(Null);
    let msg = s.msg(b"down");
    let place = msg.blocks().next().unwrap().as_ptr();
    s.down(msg);
    s.turn(0);
    let sent = s.sent().remove(0);
    assert_eq!(sent.blocks().next().unwrap().as_ptr(), place);
    let mut proto = s.msg(b"up");
    proto.set_kind(Kind::Proto);
    s.up(proto);
    s.turn(0);
    assert_eq!(s.received()[0].kind(), Kind::Proto);
}

#[test]
fn null_keeps_order_in_batches() {
    let mut s = Stack::with(Null);
    for i in 0..100 {
        let msg = s.msg(&numbered(i, 60));
        s.down(msg);
    }
    s.turn(0);
    assert!(s.sent().iter().map(number).eq(0..100));
}

#[test]
fn null_has_no_parameter() {
    let mut s = Stack::with(Null);
    assert_eq!(s.set_error("colour=red"), "no parameter colour");
}

#[test]
fn count_counts_messages_and_bytes_by_direction_and_band() {
    let mut s = Stack::with(Count::default());
    for (band, len) in [(0, 10), (0, 20), (7, 30)] {
        let mut msg = s.msg(&vec![0; len]);
        msg.set_band(Band(band));
        s.down(msg);
    }
    let msg = s.msg(&[0; 5]);
    s.up(msg);
    s.turn(0);
    assert_eq!((s.count("down.messages"), s.count("down.bytes")), (3, 60));
    assert_eq!((s.count("up.messages"), s.count("up.bytes")), (1, 5));
    assert_eq!(s.text("down.bands"), "0:2/30 7:1/30");
    assert_eq!(s.sent().len() + s.received().len(), 4);
}

#[test]
fn count_says_how_many_packets_a_super_frame_stands_for() {
    let mut s = Stack::with(Count::default());
    let mut msg = s.msg(&[0; 54 + 2500]);
    let offload = Offload { gso: Gso::TcpV4, gso_size: 1000, hdr_len: 54, ..Offload::NONE };
    msg.set_offload(offload);
    s.up(msg);
    s.turn(0);
    assert_eq!((s.count("up.super_frames"), s.count("up.packets")), (1, 3));
}

#[test]
fn count_counts_messages_without_data_apart_from_packets() {
    let mut s = Stack::with(Count::default());
    let mut proto = s.msg(b"request");
    proto.set_kind(Kind::Proto);
    s.up(proto);
    s.turn(0);
    assert_eq!((s.count("up.control"), s.count("up.packets")), (1, 0));
}

#[test]
fn count_starts_again_after_a_reset() {
    let mut s = Stack::with(Count::default());
    for way in [Stack::down, Stack::up] {
        let msg = s.msg(b"12345");
        way(&mut s, msg);
    }
    s.turn(0);
    s.set("reset=up");
    assert_eq!((s.count("up.bytes"), s.count("down.bytes")), (0, 5));
    s.set("reset=all");
    assert_eq!(s.count("down.bytes"), 0);
    assert_eq!(s.set_error("reset=sideways"), "reset=sideways: one of all, up, down");
}
