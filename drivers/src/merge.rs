//! merge: datagrams of one flow that leave together go out as one super-datagram, which costs one
//! system call and one way through the kernel. Nothing is copied: the payloads become a chain.
//!
//! What the kernel cuts it into again is what went in, byte for byte: only neighbours of a batch
//! whose headers differ in nothing but lengths, checksums and successive identifications are
//! joined.

use millstream_msg::{Gso, Msg, MsgList, Offload, checksum};

/// Appends the datagrams at the front of `batch` that continue `first`; how many.
pub(crate) fn datagrams(first: &mut Msg, batch: &mut MsgList) -> usize {
    let Some(size) = datagram(first) else { return 0 };
    // Two datagrams are needed before anything is changed.
    if !batch.front().is_some_and(|next| continues(first, next, 1, size)) {
        return 0;
    }
    if first.first_mut().is_none() {
        return 0;
    }
    let mut count = 0;
    let mut more = true;
    while more
        && count < MERGED_MAX - 1
        && let Some(next) = batch.front()
        && continues(first, next, count as u16 + 1, size)
        && let Some(mut next) = batch.pop()
    {
        next.trim_front(HEADERS);
        // A short one is the last.
        more = next.len() == size;
        first.link(next);
        count += 1;
    }
    write_headers(first, size);
    count
}

/// Datagrams in a super-datagram: two reads of a shard. Their blocks fit into one writev.
const MERGED_MAX: usize = 32;

/// Bytes of the headers of Ethernet, IPv4 without options, and UDP.
const HEADERS: usize = 14 + 20 + 8;

/// Bytes of payload of a frame that can be the first: a whole UDP datagram over IPv4 with its
/// headers in one piece, whose checksum is left to the kernel.
fn datagram(frame: &Msg) -> Option<usize> {
    let offload = frame.offload();
    let checksum_is_left = offload.needs_csum && !offload.is_super();
    if !checksum_is_left || offload.csum_start != 34 || offload.csum_offset != 6 {
        return None;
    }
    let head = frame.first().first_chunk::<HEADERS>()?;
    let is_udp = head[12..15] == [8, 0, 0x45] && head[23] == 17;
    let is_fragment = head[20] & 0x3f != 0 || head[21] != 0;
    let size = frame.len() - HEADERS;
    (is_udp && !is_fragment && size > 0).then_some(size)
}

/// Is `next` the datagram number `nth` behind `first`?
fn continues(first: &Msg, next: &Msg, nth: u16, size: usize) -> bool {
    let Some(next_size) = datagram(next) else { return false };
    let (Some(a), Some(b)) =
        (first.first().first_chunk::<HEADERS>(), next.first().first_chunk::<HEADERS>())
    else {
        return false;
    };
    let id = |head: &[u8; HEADERS]| u16::from_be_bytes([head[18], head[19]]);
    next_size <= size
        && first.len() + next_size <= PACKET_MAX
        && id(b) == id(a).wrapping_add(nth)
        // Stations and type, version and TOS; flags, TTL, protocol; addresses and ports.
        && a[..16] == b[..16]
        && a[20..24] == b[20..24]
        && a[26..38] == b[26..38]
}

/// Bytes of a frame: an IPv4 packet of 65,535 bytes and its link header.
const PACKET_MAX: usize = 14 + 65_535;

/// Writes lengths, checksums and the request into the first headers.
fn write_headers(frame: &mut Msg, size: usize) {
    let packet = (frame.len() - 14) as u16;
    let udp = packet - 20;
    let Some(head) = frame.first_mut().and_then(|bytes| bytes.first_chunk_mut::<HEADERS>()) else {
        return;
    };
    head[16..18].copy_from_slice(&packet.to_be_bytes());
    head[24..26].fill(0);
    let sum = !checksum::sum_portable(&head[14..34]);
    head[24..26].copy_from_slice(&sum.to_ne_bytes());
    // The pseudo-header's sum with another length.
    let old_len = u16::from_ne_bytes([head[38], head[39]]);
    let old_sum = u16::from_ne_bytes([head[40], head[41]]);
    let sum = checksum::add(checksum::add(old_sum, !old_len), udp.to_be());
    head[38..40].copy_from_slice(&udp.to_be_bytes());
    head[40..42].copy_from_slice(&sum.to_ne_bytes());
    frame.set_offload(Offload {
        needs_csum: true,
        gso: Gso::Udp,
        gso_size: size as u16,
        hdr_len: HEADERS as u16,
        csum_start: 34,
        csum_offset: 6,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::offload::{Can, finish};
    use millstream_msg::{Pool, PoolConfig};

    /// A datagram as the stack sends it, to a device that makes checksums.
    fn frame(pool: &mut Pool, id: u16, port: u16, payload: &[u8]) -> Msg {
        let udp_len = 8 + payload.len() as u16;
        let mut bytes = vec![0; HEADERS];
        bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
        bytes[16..18].copy_from_slice(&(20 + udp_len).to_be_bytes());
        bytes[18..20].copy_from_slice(&id.to_be_bytes());
        bytes[22..24].copy_from_slice(&[64, 17]);
        bytes[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let sum = !checksum::sum_portable(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.to_ne_bytes());
        bytes[34..36].copy_from_slice(&[0, 7]);
        bytes[36..38].copy_from_slice(&port.to_be_bytes());
        bytes[38..40].copy_from_slice(&udp_len.to_be_bytes());
        let mut pseudo = bytes[26..34].to_vec();
        pseudo.extend([0, 17, bytes[38], bytes[39]]);
        bytes[40..42].copy_from_slice(&checksum::sum_portable(&pseudo).to_ne_bytes());
        bytes.extend(payload);
        let mut msg = pool.copy_from(64, &bytes).unwrap();
        msg.set_offload(Offload {
            needs_csum: true,
            hdr_len: HEADERS as u16,
            csum_start: 34,
            csum_offset: 6,
            ..Offload::NONE
        });
        msg
    }

    /// What is on the wire, finished in software.
    fn wire(frames: impl IntoIterator<Item = Msg>, pool: &mut Pool) -> Vec<Vec<u8>> {
        let mut out = MsgList::new();
        for frame in frames {
            finish(frame, 14, Can::NOTHING, pool, &mut out).unwrap();
        }
        out.map(|m| m.cursor().chunks().flatten().copied().collect()).collect()
    }

    /// Merges all there is to merge.
    fn merged(mut batch: MsgList) -> Vec<Msg> {
        let mut out = Vec::new();
        while let Some(mut first) = batch.pop() {
            datagrams(&mut first, &mut batch);
            out.push(first);
        }
        out
    }

    #[test]
    fn the_wire_sees_what_it_would_have_seen() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let lens = [64, 64, 64, 10, 64, 65, 64, 64, 0, 64];
        let mut make = || -> MsgList {
            let frames = lens.iter().enumerate().map(|(nth, &len)| {
                let payload: Vec<u8> = (0..len).map(|at| (at * 7 + nth) as u8).collect();
                frame(&mut pool, 65_533_u16.wrapping_add(nth as u16), 5000, &payload)
            });
            frames.collect()
        };
        let (plain, batch) = (make(), make());
        let copied = pool.stats().copied_bytes;
        let merged = merged(batch);
        assert_eq!(pool.stats().copied_bytes, copied);
        assert_eq!(merged.len(), 6);
        assert_eq!(wire(merged, &mut pool), wire(plain, &mut pool));
    }

    #[test]
    fn other_flows_gaps_and_finished_checksums_stay_alone() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut batch = MsgList::new();
        batch.push(frame(&mut pool, 1, 5000, &[1; 8]));
        batch.push(frame(&mut pool, 2, 5001, &[1; 8]));
        batch.push(frame(&mut pool, 4, 5001, &[1; 8]));
        let mut finished = frame(&mut pool, 5, 5001, &[1; 8]);
        finished.set_offload(Offload::NONE);
        batch.push(finished);
        assert_eq!(merged(batch).len(), 4);
    }

    #[test]
    fn a_frame_that_others_read_is_not_changed() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let first = frame(&mut pool, 1, 5000, &[1; 8]);
        let mut window = first.dup(&mut pool).unwrap();
        let mut batch: MsgList = [frame(&mut pool, 2, 5000, &[1; 8])].into_iter().collect();
        assert_eq!(datagrams(&mut window, &mut batch), 0);
        assert_eq!((batch.len(), first.len()), (1, HEADERS + 8));
    }

    #[test]
    fn a_super_datagram_has_at_most_so_many() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let batch: MsgList =
            (0..40).map(|nth| frame(&mut pool, nth, 5000, &[nth as u8; 8])).collect();
        let merged = merged(batch);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[0].len(), HEADERS + 8 * MERGED_MAX);
    }
}
