//! Whether a packet fits a link, and cutting one that does not. Payload is shared, not copied.

use super::build::Fields;
use super::options::{self, OPTIONS_MAX};
use super::view::{DONT_FRAGMENT, MAX_HEADER_LEN, MIN_HEADER_LEN, MORE_FRAGMENTS};
use super::{IpDrop, View};
use millstream_msg::offload::{self, Can, Refusal};
use millstream_msg::{Msg, MsgList, Offload, Pool};

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is. A super-frame whose packets fit the link counts as fitting.
    Whole,
    /// Through [`fragment`].
    Fragment,
}

/// Whether the packet fits `mtu` bytes.
///
/// # Errors
/// `FragNeeded` when it does not and must not be fragmented.
#[inline]
pub fn fit(msg: &Msg, view: &View, mtu: u16) -> Result<Fit, IpDrop> {
    if wire_len(msg) <= usize::from(mtu) {
        Ok(Fit::Whole)
    } else if view.dont_fragment {
        Err(IpDrop::FragNeeded)
    } else {
        Ok(Fit::Fragment)
    }
}

/// Bytes of the largest packet that the wire sees for a message.
fn wire_len(msg: &Msg) -> usize {
    let offload = msg.offload();
    if !offload.is_super() {
        return msg.len();
    }
    // `hdr_len` is a hint of the sender: the headers are measured. A TCP header that cannot be
    // read counts with its largest size.
    let start = usize::from(offload.csum_start);
    let transport = if offload.gso.is_tcp() {
        let mut offset = [0xf0];
        msg.copy_out(start + 12, &mut offset);
        usize::from(offset[0] >> 4) * 4
    } else {
        8
    };
    (start + transport + usize::from(offload.gso_size)).min(msg.len())
}

/// Appends to `out` the fragments of a packet, in order. A super-frame is cut into its packets
/// first, and an unfinished checksum is finished, since no device can do it for fragments.
///
/// # Shapes
/// Each fragment is a block of header (with 64 bytes of headroom) and windows on the payload.
/// Options go into the first fragment; the others repeat those with the copied bit. Cost is
/// linear.
///
/// # Errors
/// The packet (or what is left of it) and the reason; nothing was appended.
///
/// # RFC
/// RFC 791 section 3.2.
pub fn fragment(
    msg: Msg,
    mtu: u16,
    pool: &mut Pool,
    out: &mut MsgList,
) -> Result<(), (Msg, IpDrop)> {
    let mut whole = MsgList::new();
    match offload::finish(msg, 0, Can::NOTHING, pool, &mut whole) {
        Ok(()) => {}
        Err(Refusal::Malformed(msg)) => return Err((msg, IpDrop::Offload)),
        Err(Refusal::NoMem(msg)) => return Err((msg, IpDrop::NoMem)),
    }
    let mut pieces = MsgList::new();
    while let Some(packet) = whole.pop() {
        if packet.len() <= usize::from(mtu) {
            pieces.push(packet);
        } else if let Err(fault) = cut(packet, mtu, pool, &mut pieces) {
            free_all(pieces, pool);
            free_all(whole, pool);
            return Err(fault);
        }
    }
    out.append(&mut pieces);
    Ok(())
}

fn cut(msg: Msg, mtu: u16, pool: &mut Pool, out: &mut MsgList) -> Result<(), (Msg, IpDrop)> {
    let mut header = [0; MAX_HEADER_LEN];
    let seen = msg.copy_out(0, &mut header);
    let Some(view) = header.get(..seen).and_then(View::parse) else {
        return Err((msg, IpDrop::Short));
    };
    let mut repeated = [0; OPTIONS_MAX];
    let options = header.get(MIN_HEADER_LEN..view.header()).unwrap_or_default();
    let repeated_len = options::copied(options, &mut repeated);
    let repeated = repeated.get(..repeated_len).unwrap_or_default();
    let (Some(src), Some(dst)) = (view.src_v4(), view.dst_v4()) else {
        return Err((msg, IpDrop::Version));
    };
    let room = usize::from(mtu).saturating_sub(view.header()) & !7;
    if room == 0 {
        return Err((msg, IpDrop::MtuTooSmall));
    }
    let mut rest = msg;
    rest.trim_front(view.header());
    rest.set_offload(Offload::NONE);
    let mut at = usize::from(view.fragment_offset);
    let mut options = options;
    loop {
        let header_len = MIN_HEADER_LEN + options.len();
        let room = (usize::from(mtu) - header_len) & !7;
        let more = rest.len() > room;
        let Ok(next) = more.then(|| rest.split_off(pool, room)).transpose() else {
            return Err((rest, IpDrop::NoMem));
        };
        let last = !more && !view.more_fragments;
        let fields = Fields {
            src,
            dst,
            protocol: view.protocol,
            ttl: view.ttl,
            tos: view.tos,
            id: view.id,
            fragment: (at >> 3) as u16
                | if last { 0 } else { MORE_FRAGMENTS }
                | if view.dont_fragment { DONT_FRAGMENT } else { 0 },
            options,
        };
        at += rest.len();
        // The header gets a block of its own: the payload's memory is shared by all fragments.
        match with_header(rest, &fields, pool) {
            Ok(fragment) => out.push(fragment),
            Err(rest) => {
                if let Some(next) = next {
                    pool.spend(next);
                }
                return Err((rest, IpDrop::NoMem));
            }
        }
        let Some(next) = next else { return Ok(()) };
        rest = next;
        options = repeated;
    }
}

fn with_header(payload: Msg, fields: &Fields<'_>, pool: &mut Pool) -> Result<Msg, Msg> {
    let len = fields.header_len();
    let Ok(mut fragment) = pool.alloc(HEADROOM, len) else { return Err(payload) };
    if let Some(to) = fragment.spare_mut().get_mut(..len) {
        fields.write(to, payload.len());
    }
    fragment.commit(len);
    fragment.set_band(payload.band());
    fragment.set_flags(payload.flags());
    fragment.set_stamp(payload.stamp());
    fragment.set_ctx(payload.ctx());
    fragment.link(payload);
    Ok(fragment)
}

fn free_all(list: MsgList, pool: &mut Pool) {
    for msg in list {
        pool.spend(msg);
    }
}

/// For the Ethernet header and what a module below may add.
const HEADROOM: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::{Request, build};
    use super::*;
    use etherparse::Ipv4HeaderSlice;
    use millstream_msg::{Gso, PoolConfig};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn packet(payload: &[u8], alert: bool, pool: &mut Pool) -> Msg {
        let mut msg = pool.copy_from(64, payload).unwrap();
        let request = Request { router_alert: alert, ..Request::new([10, 0, 0, 9].into(), 17) };
        build::output(&mut msg, &request, [10, 0, 0, 1].into(), 77, pool).unwrap();
        msg
    }

    fn bytes(msg: &Msg) -> Vec<u8> {
        msg.cursor().chunks().flatten().copied().collect()
    }

    proptest! {
        #[test]
        fn fragments_fit_and_carry_the_payload_in_order(
            len in 0_usize..6000, mtu in 68_u16..2000, alert: bool,
        ) {
            let mut pool = Pool::new(PoolConfig::TINY);
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let msg = packet(&payload, alert, &mut pool);
            let copied = pool.stats().copied_bytes;
            let mut out = MsgList::new();
            fragment(msg, mtu, &mut pool, &mut out).unwrap();
            prop_assert_eq!(pool.stats().copied_bytes, copied);
            let count = out.len();
            let mut joined = Vec::<u8>::new();
            for (index, piece) in out.enumerate() {
                prop_assert!(piece.len() <= usize::from(mtu));
                let data = bytes(&piece);
                let header = Ipv4HeaderSlice::from_slice(&data).unwrap();
                let sum = header.to_header().calc_header_checksum();
                prop_assert_eq!(header.header_checksum(), sum);
                prop_assert_eq!(usize::from(header.total_len()), data.len());
                prop_assert_eq!(header.identification(), 77);
                prop_assert_eq!(usize::from(header.fragments_offset().byte_offset()), joined.len());
                prop_assert_eq!(header.more_fragments(), index + 1 < count);
                prop_assert_eq!(header.options().len(), if alert { 4 } else { 0 });
                joined.extend(&data[header.slice().len()..]);
            }
            prop_assert_eq!(joined, payload);
        }
    }

    #[test]
    fn fragment_of_a_fragment_keeps_offset_and_more_flag() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut first = MsgList::new();
        let msg = packet(&[5; 2000], false, &mut pool);
        fragment(msg, 1020, &mut pool, &mut first).unwrap();
        let mut out = MsgList::new();
        for piece in first {
            fragment(piece, 420, &mut pool, &mut out).unwrap();
        }
        let views: Vec<View> = out.map(|m| View::parse(&bytes(&m)).unwrap()).collect();
        let offsets: Vec<_> = views.iter().map(|v| (v.fragment_offset, v.more_fragments)).collect();
        assert_eq!(
            offsets,
            [(0, true), (400, true), (800, true), (1000, true), (1400, true), (1800, false)]
        );
    }

    #[test]
    fn packet_that_must_not_be_cut_is_refused() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let msg = packet(&[5; 2000], false, &mut pool);
        let mut view = View::parse(msg.first()).unwrap();
        assert_eq!(fit(&msg, &view, 1500), Ok(Fit::Fragment));
        view.dont_fragment = true;
        assert_eq!(fit(&msg, &view, 1500), Err(IpDrop::FragNeeded));
        assert_eq!(fit(&msg, &view, 2020), Ok(Fit::Whole));
    }

    #[test]
    fn super_frame_whose_packets_fit_passes_whole() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut tcp = [0; 20_000];
        tcp[12] = 8 << 4;
        let mut msg = packet(&tcp, false, &mut pool);
        let offload = Offload {
            needs_csum: true,
            gso: Gso::TcpV4,
            gso_size: 1448,
            hdr_len: 1,
            csum_start: 20,
            csum_offset: 16,
        };
        msg.set_offload(offload);
        let view = View { dont_fragment: true, ..View::parse(msg.first()).unwrap() };
        assert_eq!(fit(&msg, &view, 1500), Ok(Fit::Whole));
        assert_eq!(fit(&msg, &view, 1499), Err(IpDrop::FragNeeded));
        msg.set_offload(Offload { gso_size: u16::MAX, ..offload });
        assert_eq!(fit(&msg, &view, 1500), Err(IpDrop::FragNeeded));
    }

    #[test]
    fn super_datagram_is_cut_into_datagrams_before_fragments() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = packet(&[0; 8 + 3000], false, &mut pool);
        msg.set_offload(Offload {
            needs_csum: true,
            gso: Gso::Udp,
            gso_size: 1000,
            hdr_len: 28,
            csum_start: 20,
            csum_offset: 6,
        });
        let mut out = MsgList::new();
        fragment(msg, 600, &mut pool, &mut out).unwrap();
        assert_eq!(out.len(), 6);
        assert!(out.iter().all(|m| m.len() <= 600 && m.offload() == Offload::NONE));
    }

    #[test]
    fn pool_without_cells_gives_the_packet_back() {
        let mut pool = Pool::new(PoolConfig { bare: 1, ..PoolConfig::TINY });
        let msg = packet(&[5; 4000], false, &mut pool);
        let mut out = MsgList::new();
        let (_, reason) = fragment(msg, 500, &mut pool, &mut out).unwrap_err();
        assert_eq!((reason, out.len()), (IpDrop::NoMem, 0));
    }
}
