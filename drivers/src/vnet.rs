//! vnet: struct virtio_net_hdr, 10 bytes in front of each frame, and the offload it stands for.

use millstream_msg::{Gso, Msg, MsgFlags, Offload};

/// The header's bytes, little-endian.
pub(crate) type Header = [u8; 10];

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

/// The header of a frame on its way out. `Offload` has the same meaning, so this only lays it out.
#[inline]
pub(crate) fn encode(offload: Offload) -> Header {
    let mut header = [0; 10];
    if offload.needs_csum {
        header[0] = NEEDS_CSUM;
        header[6..8].copy_from_slice(&offload.csum_start.to_le_bytes());
        header[8..10].copy_from_slice(&offload.csum_offset.to_le_bytes());
    }
    if offload.is_super() {
        header[1] = offload.gso as u8;
        header[2..4].copy_from_slice(&offload.hdr_len.to_le_bytes());
        header[4..6].copy_from_slice(&offload.gso_size.to_le_bytes());
    }
    header
}

/// Puts what the header says on a frame that has come in; false for a kind of super-frame that
/// was never asked for.
#[inline]
pub(crate) fn decode(header: &Header, frame: &mut Msg) -> bool {
    if *header == [0; 10] {
        return true;
    }
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let Some(gso) = Gso::from_virtio(header[1]) else { return false };
    let needs_csum = header[0] & NEEDS_CSUM != 0;
    if needs_csum || header[0] & DATA_VALID != 0 {
        frame.set_flags(frame.flags().with(MsgFlags::CSUM_OK));
    }
    if needs_csum || gso != Gso::None {
        frame.set_offload(Offload {
            needs_csum,
            gso,
            gso_size: word(4),
            hdr_len: word(2),
            csum_start: word(6),
            csum_offset: word(8),
        });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::{Pool, PoolConfig};

    #[test]
    fn a_header_survives_the_way_out_and_in() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut frame = pool.alloc(0, 0).unwrap();
        let offload = Offload {
            needs_csum: true,
            gso: Gso::TcpV4,
            gso_size: 1448,
            hdr_len: 66,
            csum_start: 34,
            csum_offset: 16,
        };
        assert!(decode(&encode(offload), &mut frame));
        assert_eq!(frame.offload(), offload);
        assert!(!decode(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0], &mut frame));
        pool.free(frame);
    }
}
