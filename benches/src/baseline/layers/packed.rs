//! packed: messages of any type become data with a head that says what they were, and the other
//! way round: what a device carries that knows bytes alone.

use millstream_core::{Cx, Drop, ModInfo, Module};
use millstream_msg::offload::{Gso, Offload};
use millstream_msg::{Band, Kind, Msg, MsgFlags, Pool};

/// The module, above a device that carries messages.
#[derive(Debug, Default)]
pub struct Packed;

const INFO: ModInfo = ModInfo::new("packed", "messages of all types as data with a head");

/// It came from elsewhere than from this module.
const NO_HEAD: Drop = Drop("no packed head");

/// Bytes of the head.
pub(super) const HEAD: usize = 32;

impl Module for Packed {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match pack(cx.pool(), msg) {
            Ok(packed) => cx.putnext(packed),
            Err(msg) => cx.discard(msg, Drop::NO_MEMORY),
        }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if msg.kind() != Kind::Data {
            // The line is gone.
            return cx.putnext(msg);
        }
        match unpack(cx.pool(), msg) {
            Ok(msg) => cx.putnext(msg),
            Err(msg) => cx.discard(msg, NO_HEAD),
        }
    }
}

/// The message with its head in front, all of it data.
fn pack(pool: &mut Pool, mut msg: Msg) -> Result<Msg, Msg> {
    let offload = msg.offload();
    let first = msg.blocks().next();
    let rest = msg.blocks().nth(1).map_or(msg.kind(), |block| block.kind());
    let mut head = [0; HEAD];
    let first_len = first.map_or(0, |block| block.len()) as u32;
    head[..4].copy_from_slice(&first_len.to_ne_bytes());
    head[4..8].copy_from_slice(&[msg.kind() as u8, rest as u8, msg.band().0, offload.gso as u8]);
    let halves = [
        msg.flags().bits(),
        msg.ctx(),
        offload.gso_size,
        offload.hdr_len,
        offload.csum_start,
        offload.csum_offset,
        u16::from(offload.needs_csum),
    ];
    for (place, half) in head[8..22].chunks_exact_mut(2).zip(halves) {
        place.copy_from_slice(&half.to_ne_bytes());
    }
    head[24..28].copy_from_slice(&msg.flow_hash().to_ne_bytes());
    let Ok(mut packed) = pool.copy_from(0, &head) else { return Err(msg) };
    msg.set_offload(Offload::default());
    msg.set_kind_all(Kind::Data);
    packed.link(msg);
    Ok(packed)
}

/// The message as it was; given back when its head is none.
fn unpack(pool: &mut Pool, mut msg: Msg) -> Result<Msg, Msg> {
    let Some(&head) = msg.first().first_chunk::<HEAD>() else { return Err(msg) };
    let half = |nth: usize| u16::from_ne_bytes([head[8 + 2 * nth], head[9 + 2 * nth]]);
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let kinds = [head[4], head[5]].map(Kind::from_number);
    let ([Some(kind), Some(rest)], Some(gso)) = (kinds, Gso::from_virtio(head[7])) else {
        return Err(msg);
    };
    msg.trim_front(HEAD);
    let first = (word(0) as usize).min(msg.len());
    if kind != rest && first < msg.len() {
        let Ok(mut behind) = msg.split_off(pool, first) else { return Err(msg) };
        behind.set_kind_all(rest);
        msg.set_kind_all(kind);
        msg.link(behind);
    } else {
        msg.set_kind_all(kind);
    }
    msg.set_band(Band(head[6]));
    msg.set_flags(MsgFlags::from_bits(half(0)));
    msg.set_ctx(half(1));
    msg.set_flow_hash(word(24));
    msg.set_offload(Offload {
        needs_csum: half(6) != 0,
        gso,
        gso_size: half(2),
        hdr_len: half(3),
        csum_start: half(4),
        csum_offset: half(5),
    });
    Ok(msg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;

    #[test]
    fn a_message_comes_out_with_all_that_it_had() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(0, b"control").unwrap();
        msg.link(pool.copy_from(0, b"data").unwrap());
        msg.set_kind(Kind::Proto);
        msg.set_band(Band(3));
        msg.set_flags(MsgFlags::CSUM_OK);
        msg.set_flow_hash(77);
        let offload = Offload { needs_csum: true, csum_start: 4, ..Offload::default() };
        msg.set_offload(offload);
        let packed = pack(&mut pool, msg).unwrap();
        assert!(packed.blocks().all(|block| block.kind() == Kind::Data));
        // As the device brings it: in one piece.
        let mut bytes = vec![0; packed.len()];
        packed.copy_out(0, &mut bytes);
        pool.free(packed);
        let came = pool.copy_from(0, &bytes).unwrap();
        let msg = unpack(&mut pool, came).unwrap();
        let kinds: Vec<(Kind, usize)> = msg.blocks().map(|b| (b.kind(), b.len())).collect();
        assert_eq!(kinds, [(Kind::Proto, 7), (Kind::Data, 4)]);
        assert_eq!((msg.band(), msg.flags(), msg.flow_hash()), (Band(3), MsgFlags::CSUM_OK, 77));
        assert_eq!(msg.offload(), offload);
        pool.free(msg);
    }

    #[test]
    fn what_has_no_head_is_given_back() {
        let mut pool = Pool::new(PoolConfig::TINY);
        for bytes in [&[0; HEAD - 1][..], &[0xee; HEAD]] {
            let came = pool.copy_from(0, bytes).unwrap();
            let back = unpack(&mut pool, came).unwrap_err();
            pool.free(back);
        }
    }

    #[test]
    fn an_empty_message_stays_one() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.alloc(0, 0).unwrap();
        msg.set_kind(Kind::Hangup);
        let packed = pack(&mut pool, msg).unwrap();
        let msg = unpack(&mut pool, packed).unwrap();
        assert_eq!((msg.kind(), msg.len()), (Kind::Hangup, 0));
        pool.free(msg);
    }
}
