//! From a transport's packet to a frame: IPv4 header, identification, Ethernet header.

use super::options::{OPTIONS_MAX, ROUTER_ALERT_OPTION};
use super::view::{DONT_FRAGMENT, MIN_HEADER_LEN, address_sum};
use super::{IpDrop, Request};
use crate::ether::{self, ethertype};
use crate::hash::Keyed;
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::{Msg, NoMem, Pool, PullupError, checksum};

/// Fields of an IPv4 header to write.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol of the payload (IANA).
    pub protocol: u8,
    /// Hops.
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset as they stand in the header.
    pub fragment: u16,
    /// Options, a whole number of words, at most [`OPTIONS_MAX`] bytes.
    pub options: &'a [u8],
}

impl Fields<'_> {
    /// Bytes of the header.
    pub const fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.options.len()
    }

    /// Writes the header for `payload` bytes into `to`.
    ///
    /// # Panics
    /// When `to` is not `header_len()` long or the packet is longer than 65,535 bytes: both are
    /// the caller's to know.
    pub fn write(&self, to: &mut [u8], payload: usize) {
        let len = self.header_len();
        assert!(to.len() == len && len.is_multiple_of(4) && self.options.len() <= OPTIONS_MAX);
        let total = u16::try_from(len + payload);
        let total = total.unwrap_or_else(|_| panic!("a packet of more than 65,535 bytes"));
        to[0] = 0x40 | (len / 4) as u8;
        to[1] = self.tos;
        to[2..4].copy_from_slice(&total.to_be_bytes());
        to[4..6].copy_from_slice(&self.id.to_be_bytes());
        to[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        to[8] = self.ttl;
        to[9] = self.protocol;
        to[10..12].fill(0);
        to[12..16].copy_from_slice(&self.src.octets());
        to[16..20].copy_from_slice(&self.dst.octets());
        to[20..].copy_from_slice(self.options);
        let sum = !checksum::sum_portable(to);
        to[10..12].copy_from_slice(&sum.to_ne_bytes());
    }

    /// Puts the header in front of a payload.
    pub fn prepend(&self, msg: &mut Msg, pool: &mut Pool) -> Result<(), IpDrop> {
        let payload = msg.len();
        if self.header_len() + payload > usize::from(u16::MAX) {
            return Err(IpDrop::TooBig);
        }
        let to = msg.prepend(pool, self.header_len()).map_err(|_| IpDrop::NoMem)?;
        self.write(to, payload);
        Ok(())
    }
}

/// Makes the packet that `request` asks for: `msg` is the payload (the request is taken off), and
/// begins with the IPv4 header afterwards.
///
/// `src` is the source that [`super::forward::resolve`] chose. It is added to the pseudo-header
/// sum when the request had none.
pub fn output(
    msg: &mut Msg,
    request: &Request,
    src: Ipv4Addr,
    id: u16,
    pool: &mut Pool,
) -> Result<(), IpDrop> {
    let IpAddr::V4(dst) = request.dst else { return Err(IpDrop::BadRequest) };
    if request.src.is_none() && msg.offload().needs_csum {
        add_to_sum(msg, address_sum(src.into()), pool)?;
    }
    let ttl = match request.ttl {
        0 if dst.is_multicast() => 1,
        0 => DEFAULT_TTL,
        ttl => ttl,
    };
    let fields = Fields {
        src,
        dst,
        protocol: request.protocol,
        ttl,
        tos: request.tos,
        id,
        fragment: if request.dont_fragment { DONT_FRAGMENT } else { 0 },
        options: if request.router_alert { &ROUTER_ALERT_OPTION } else { &[] },
    };
    fields.prepend(msg, pool)
}

/// Puts the Ethernet header of an IPv4 frame in front of a packet; `arp` fills in the rest.
pub fn link(msg: &mut Msg, dst: ether::Mac, pool: &mut Pool) -> Result<(), NoMem> {
    let header = ether::View { dst, src: ether::UNSPECIFIED, ethertype: ethertype::IPV4 };
    header.prepend(msg, pool)
}

/// Adds a part of the pseudo-header to the sum at the place that the offload request names.
fn add_to_sum(msg: &mut Msg, part: u16, pool: &mut Pool) -> Result<(), IpDrop> {
    let offload = msg.offload();
    let place = usize::from(offload.csum_start) + usize::from(offload.csum_offset);
    let bytes = match msg.make_writable(pool, place + 2) {
        Ok(bytes) => bytes,
        Err(PullupError::NoMem) => return Err(IpDrop::NoMem),
        Err(_) => return Err(IpDrop::BadRequest),
    };
    let Some(sum) = bytes.last_chunk_mut::<2>() else { return Err(IpDrop::BadRequest) };
    *sum = checksum::add(u16::from_ne_bytes(*sum), part).to_ne_bytes();
    Ok(())
}

/// Identification of packets that may be fragmented: unique per source, destination and protocol
/// for as long as possible, and not to be foretold by others (RFC 6864, RFC 7739).
#[derive(Debug)]
pub struct Identification {
    hash: Keyed,
    counters: [u16; ID_COUNTERS],
}

impl Identification {
    /// Counters that start at values which only the key tells.
    pub fn new(hash: Keyed) -> Self {
        let mut counters = [0; ID_COUNTERS];
        for (index, counter) in counters.iter_mut().enumerate() {
            *counter = hash.word(index as u64) as u16;
        }
        Self { hash, counters }
    }

    /// The next of `packets` consecutive numbers (a super-frame uses one for each packet).
    pub fn next(&mut self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, packets: usize) -> u16 {
        let addresses = (u64::from(u32::from(src)) << 32) | u64::from(u32::from(dst));
        let hash = self.hash.word(addresses ^ u64::from(protocol).rotate_right(8));
        let counter = &mut self.counters[hash as usize % ID_COUNTERS];
        let id = counter.wrapping_add((hash >> 32) as u16);
        *counter = counter.wrapping_add(packets as u16);
        id
    }
}

/// Hops of packets whose transport did not say (RFC 1122 section 3.2.1.7; IANA says 64).
pub const DEFAULT_TTL: u8 = 64;
/// Two flows rarely share one of 256 counters, and it does no harm.
const ID_COUNTERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::Ipv4HeaderSlice;
    use millstream_msg::{Offload, PoolConfig};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SRC: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    proptest! {
        #[test]
        fn output_is_what_an_independent_parser_reads(
            dst: [u8; 4], protocol: u8, ttl in 1_u8.., tos: u8, id: u16, df: bool, alert: bool,
            payload in 0_usize..3000,
        ) {
            let mut pool = Pool::new(PoolConfig::TINY);
            let mut msg = pool.copy_from(64, &std::vec![7; payload]).unwrap();
            let request = Request {
                ttl, tos, dont_fragment: df, router_alert: alert,
                ..Request::new(dst.into(), protocol)
            };
            output(&mut msg, &request, SRC, id, &mut pool).unwrap();
            let other = Ipv4HeaderSlice::from_slice(msg.first()).unwrap();
            prop_assert_eq!(other.header_checksum(), other.to_header().calc_header_checksum());
            prop_assert_eq!(usize::from(other.payload_len().unwrap()), payload);
            prop_assert_eq!(other.source_addr(), SRC);
            prop_assert_eq!(other.destination(), dst);
            prop_assert_eq!((other.protocol().0, other.ttl()), (protocol, ttl));
            prop_assert_eq!((other.identification(), other.dont_fragment()), (id, df));
            prop_assert_eq!((other.dcp().value() << 2) | other.ecn().value(), tos);
            prop_assert_eq!(other.options().len(), if alert { 4 } else { 0 });
        }
    }

    #[test]
    fn chosen_source_is_added_to_the_sum_that_waits_for_it() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(64, &[0; 8]).unwrap();
        msg.set_offload(Offload { needs_csum: true, csum_offset: 6, ..Offload::NONE });
        let request = Request::new([10, 0, 0, 9].into(), 17);
        output(&mut msg, &request, SRC, 0, &mut pool).unwrap();
        assert_eq!(msg.first()[26..28], address_sum(SRC.into()).to_ne_bytes());
        assert_eq!(msg.offload().csum_start, 20);
    }

    #[test]
    fn packet_beyond_65535_is_refused() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(64, &std::vec![0; 65_516]).unwrap();
        let request = Request::new([10, 0, 0, 9].into(), 17);
        assert_eq!(output(&mut msg, &request, SRC, 0, &mut pool), Err(IpDrop::TooBig));
    }

    #[test]
    fn multicast_leaves_the_link_only_when_asked_rfc1112_6_1() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(64, b"x").unwrap();
        output(&mut msg, &Request::new([239, 0, 0, 1].into(), 17), SRC, 0, &mut pool).unwrap();
        assert_eq!(msg.first()[8], 1);
    }

    #[test]
    fn identifications_of_a_flow_do_not_repeat_and_differ_between_flows() {
        let mut ids = Identification::new(Keyed::new(3));
        let to = |n| Ipv4Addr::new(10, 0, 0, n);
        let mut seen: Vec<u16> = (0..1000).map(|_| ids.next(SRC, to(2), 17, 1)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
        let a = ids.next(SRC, to(3), 17, 1);
        let b = ids.next(SRC, to(4), 17, 1);
        assert_ne!(a.wrapping_add(1), b);
    }
}
