//! UDP datagrams, wherever their blocks are cut.

use super::script::{bytes_of, cells_out};
use millstream_modules::{ip, udp};
use millstream_msg::{Gso, MsgFlags, Offload, Pool, PoolConfig, checksum};

/// Bytes: where the chain is cut, flags, then an IPv4 packet.
pub fn run(data: &[u8]) {
    let Some((&[cut, flags], packet)) = data.split_first_chunk() else { return };
    let Some(view) = ip::View::parse(packet) else { return };
    let Some(packet) = packet.get(..usize::from(view.total_len)) else { return };
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(0, packet).unwrap();
    if let Ok(rest) = msg.split_off(&mut pool, usize::from(cut).min(packet.len())) {
        msg.link(rest);
    }
    if flags & 1 != 0 {
        msg.set_flags(MsgFlags::CSUM_OK);
    }
    if flags & 2 != 0 {
        let gso = if flags & 4 != 0 { Gso::Udp } else { Gso::None };
        let gso_size = u16::from(flags >> 3);
        msg.set_offload(Offload { needs_csum: true, gso, gso_size, ..Offload::NONE });
    }
    if let Ok(datagram) = udp::View::parse(&msg, &view, checksum::sum_portable) {
        assert_ne!(datagram.dst_port, 0);
        datagram.into_payload(&mut msg);
        let at = view.header() + 8;
        let expected = &packet[at..at + usize::from(datagram.payload_len)];
        assert_eq!(bytes_of(&msg), expected);
        assert!(!msg.offload().needs_csum);
    }
    pool.free(msg);
    assert_eq!(cells_out(&mut pool), 0);
}
