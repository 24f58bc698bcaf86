//! `offload::finish` on any request and any frame: it refuses or makes right packets, gives the
//! message back unchanged when it refuses, and leaks no cell.

use millstream_msg::offload::{Can, Refusal, finish};
use millstream_msg::{Gso, Msg, MsgList, Offload, Pool, PoolConfig, PoolStats};

/// Bytes: l3, can, gso, where the chain is cut, then gso_size, hdr_len, csum_start, csum_offset
/// (big-endian, two each), then the frame.
pub fn run(data: &[u8]) {
    let Some((request, frame)) = data.split_first_chunk::<12>() else { return };
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let [l3, can, gso, cut, ..] = *request;
    let offload = Offload {
        needs_csum: gso & 0x40 == 0,
        gso: Gso::from_virtio(gso & 0xbf).unwrap_or_default(),
        gso_size: word(4),
        hdr_len: word(6),
        csum_start: word(8),
        csum_offset: word(10),
    };
    let mut pool = Pool::new(PoolConfig::TINY);
    let (front, back) = frame.split_at(frame.len().min(usize::from(cut)));
    let Ok(mut msg) = pool.copy_from(16, front) else { return };
    let Ok(rest) = pool.wrap_bytes(back.to_vec().into()) else { return };
    msg.link(rest);
    msg.set_offload(offload);
    let mut out = MsgList::new();
    let can = can_of(can);
    match finish(msg, usize::from(l3), can, &mut pool, &mut out) {
        Ok(()) => out.iter().for_each(|packet| check(packet, usize::from(l3), offload, can)),
        Err(Refusal::Malformed(msg) | Refusal::NoMem(msg)) => {
            assert!(out.is_empty());
            assert!(bytes(&msg) == frame && msg.offload() == offload);
            pool.free(msg);
        }
    }
    out.for_each(|packet| pool.free(packet));
    pool.run_deferred();
    let PoolStats { small, frame, large, bare, external, .. } = pool.stats();
    assert_eq!([small, frame, large, bare, external].map(|counts| counts.out), [0; 5]);
}

/// The five abilities from the low bits.
fn can_of(bits: u8) -> Can {
    let bit = |i: u8| bits >> i & 1 == 1;
    Can { csum: bit(0), tso4: bit(1), tso6: bit(2), ecn: bit(3), uso: bit(4) }
}

/// What is left is within what the taker can do, and lengths and checksums made here are right.
fn check(packet: &Msg, l3: usize, request: Offload, can: Can) {
    let left = packet.offload();
    assert!(!left.needs_csum || can.csum);
    if left.is_super() || !request.is_super() {
        return;
    }
    let bytes = bytes(packet);
    let (ip, l4) = (&bytes[l3..], usize::from(request.csum_start));
    let (total, addresses) = if ip[0] >> 4 == 4 {
        assert_eq!(sum(0, &ip[..l4 - l3]), 0xffff, "IPv4 header checksum");
        (u16::from_be_bytes([ip[2], ip[3]]) as usize, &ip[12..20])
    } else {
        (u16::from_be_bytes([ip[4], ip[5]]) as usize + 40, &ip[8..40])
    };
    assert_eq!(total, ip.len(), "length in the IP header");
    if !left.needs_csum {
        let protocol = if request.gso.is_tcp() { 6 } else { 17 };
        let pseudo = sum(protocol + (bytes.len() - l4) as u32, addresses);
        assert_eq!(sum(pseudo, &bytes[l4..]), 0xffff, "transport checksum");
    }
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    assert_eq!(msg.copy_out(0, &mut out), msg.len());
    out
}

/// The one's complement sum of big-endian words, the slow way.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    words.fold(start, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    })
}
