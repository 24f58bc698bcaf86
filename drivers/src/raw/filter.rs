//! filter: the kernel passes frames for one station and for groups, and leaves out the rest: a
//! promiscuous interface shows those of everybody, and a router would forward them once more.

use libc::{BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{c_uint, sock_filter};

/// The program for the station `mac`, see packet(7) and the kernel's `networking/filter`.
pub(super) fn for_station(mac: [u8; 6]) -> [sock_filter; 8] {
    let [a, b, c, d, e, f] = mac;
    let (front, rest) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([0, 0, e, f]));
    let op = |code: c_uint, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    [
        op(BPF_LD | BPF_W | BPF_ABS, 0, 0, 0),
        op(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, front),
        op(BPF_LD | BPF_H | BPF_ABS, 0, 0, 4),
        op(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, rest),
        op(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        op(BPF_JMP | BPF_JSET | BPF_K, 0, 1, GROUP),
        op(BPF_RET | BPF_K, 0, 0, WHOLE),
        op(BPF_RET | BPF_K, 0, 0, 0),
    ]
}

/// The bit of the first byte of group addresses, broadcast among them (IEEE 802).
const GROUP: u32 = 1;
/// So many bytes are taken in, however many there are.
const WHOLE: u32 = u32::MAX;
