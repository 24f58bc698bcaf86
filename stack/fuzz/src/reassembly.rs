//! Reassembly against a map of bytes: what comes out is what was put in, once, or nothing.

use super::script::{Script, bytes_of, cells_out, sum};
use millstream_modules::actions::Actions;
use millstream_modules::hash::Keyed;
use millstream_modules::ip::reass::{DATAGRAMS_MAX, Reassembly, TRUESIZE_MAX};
use millstream_modules::ip::{IpDrop, View};
use millstream_msg::{MsgList, Pool, PoolConfig};

/// Bytes: fragments of four words each (datagram and flags, place, length, time).
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut reassembly = Reassembly::new(Keyed::new(1));
    let mut out: Actions<IpDrop> = Actions::new();
    let mut now = 0;
    while !script.is_over() {
        let (who, place, len) = (script.byte(), script.word(), script.byte());
        if who == 0xff {
            now += u64::from(place) * 10_000_000;
            let mut expired = MsgList::new();
            reassembly.timer(now, &mut expired, &mut out);
            expired.for_each(|msg| pool.free(msg));
        } else {
            let packet = fragment(who, place, usize::from(len));
            let view = View::parse(&packet).unwrap();
            let Ok(msg) = pool.copy_from(0, &packet) else { continue };
            if !view.is_fragment() {
                pool.free(msg);
            } else if let Some(whole) = reassembly.input(msg, &view, now, &mut pool, &mut out) {
                check(&bytes_of(&whole), who);
                pool.free(whole);
            }
        }
        out.dropped.drain(..).for_each(|(msg, _)| pool.free(msg));
        assert!(reassembly.datagrams() <= DATAGRAMS_MAX && reassembly.truesize() <= TRUESIZE_MAX);
        assert_eq!(reassembly.datagrams() > 0, reassembly.next_deadline().is_some());
    }
    reassembly.clear(&mut out);
    out.dropped.drain(..).for_each(|(msg, _)| pool.free(msg));
    assert_eq!((reassembly.truesize(), reassembly.datagrams()), (0, 0));
    assert_eq!(cells_out(&mut pool), 0);
}

/// Byte `at` of datagram `who`.
fn byte(who: u8, at: usize) -> u8 {
    (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ who
}

/// A fragment with the bytes that belong there. `place`: more flag, 2 bits of the length, offset.
fn fragment(who: u8, place: u16, len: usize) -> Vec<u8> {
    let more = place & 0x8000 != 0;
    let len = if more { len * 8 } else { len };
    let at = usize::from(place & 0x1fff) * 8;
    let mut ip = vec![0x45, 0, 0, 0, 0, who, 0, 0, 64, 17, 0, 0, 10, 0, 0, who >> 4, 10, 0, 0, 1];
    let total = (20 + len) as u16;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    let word = place & 0x1fff | if more { 0x2000 } else { 0 };
    ip[6..8].copy_from_slice(&word.to_be_bytes());
    ip.extend((at..at + len).map(|at| byte(who, at)));
    ip
}

fn check(packet: &[u8], who: u8) {
    let view = View::parse(packet).unwrap();
    assert!(!view.is_fragment());
    assert_eq!(usize::from(view.total_len), packet.len());
    assert_eq!(sum(0, &packet[..20]), 0xffff);
    let wrong = packet[20..].iter().enumerate().find(|(at, got)| **got != byte(who, *at));
    assert_eq!(wrong, None);
}
