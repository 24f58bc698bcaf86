//! What a packet's header says, the same for both families.

use super::IpDrop;
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::checksum;

/// A header that fits the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Source address, unchecked.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol of the payload (IANA).
    pub protocol: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Time to live, hops.
    pub ttl: u8,
    /// Must not be fragmented on the way.
    pub dont_fragment: bool,
    /// A fragment, and not the last.
    pub more_fragments: bool,
    /// Bytes of the header with its options: 20..=60.
    pub header_len: u16,
    /// Bytes of header and payload, not less than `header_len`.
    pub total_len: u16,
    /// Bytes of the datagram in front of this fragment.
    pub fragment_offset: u16,
    /// Identification of the datagram that fragments belong to.
    pub id: u16,
}

impl View {
    /// Reads the header of a packet that `ip` passed up (or made).
    ///
    /// # Shapes
    /// `bytes` has the whole header and may have less than the whole packet.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes).ok()
    }

    /// As [`View::parse`], with the reason. Does not look at the checksum.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, IpDrop> {
        let b: &[u8; MIN_HEADER_LEN] = bytes.first_chunk().ok_or(IpDrop::Short)?;
        if b[0] >> 4 != 4 {
            return Err(IpDrop::Version);
        }
        let header_len = u16::from(b[0] & 15) * 4;
        if usize::from(header_len) < MIN_HEADER_LEN || usize::from(header_len) > bytes.len() {
            return Err(IpDrop::HeaderLength);
        }
        let total_len = u16::from_be_bytes([b[2], b[3]]);
        if total_len < header_len {
            return Err(IpDrop::TotalLength);
        }
        let fragment = u16::from_be_bytes([b[6], b[7]]);
        Ok(Self {
            src: IpAddr::V4(Ipv4Addr::new(b[12], b[13], b[14], b[15])),
            dst: IpAddr::V4(Ipv4Addr::new(b[16], b[17], b[18], b[19])),
            protocol: b[9],
            tos: b[1],
            ttl: b[8],
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            header_len,
            total_len,
            fragment_offset: (fragment & OFFSET_MASK) << 3,
            id: u16::from_be_bytes([b[4], b[5]]),
        })
    }

    /// As [`View::read`], and the header's checksum is right.
    pub(super) fn verify(bytes: &[u8]) -> Result<Self, IpDrop> {
        let view = Self::read(bytes)?;
        let sum = match bytes.first_chunk::<MIN_HEADER_LEN>() {
            // Of a known length: a few additions.
            Some(header) if view.header() == MIN_HEADER_LEN => checksum::sum_portable(header),
            _ => {
                let header = bytes.get(..view.header()).ok_or(IpDrop::HeaderLength)?;
                checksum::sum_portable(header)
            }
        };
        if sum != 0xffff {
            return Err(IpDrop::Checksum);
        }
        Ok(view)
    }

    /// Bytes of the header.
    #[inline]
    pub const fn header(&self) -> usize {
        self.header_len as usize
    }

    /// Bytes behind the header.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.total_len.saturating_sub(self.header_len) as usize
    }

    /// True for a part of a datagram.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The partial sum of the pseudo-header of a transport with `len` bytes.
    pub fn pseudo_sum(&self, len: u16) -> u16 {
        pseudo_sum(Some(self.src), self.dst, self.protocol, len)
    }

    pub(super) const fn src_v4(&self) -> Option<Ipv4Addr> {
        v4(self.src)
    }

    pub(super) const fn dst_v4(&self) -> Option<Ipv4Addr> {
        v4(self.dst)
    }
}

/// The partial sum of a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). Without a
/// source its part is left out; `ip` adds it when it has chosen one.
pub fn pseudo_sum(src: Option<IpAddr>, dst: IpAddr, protocol: u8, len: u16) -> u16 {
    let rest = checksum::add(checksum::word(u16::from(protocol)), checksum::word(len));
    let sum = checksum::add(rest, address_sum(dst));
    src.map_or(sum, |src| checksum::add(sum, address_sum(src)))
}

/// The partial sum of an address.
pub fn address_sum(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            checksum::add(u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
        }
        IpAddr::V6(v6) => {
            let add = |sum, word: u16| checksum::add(sum, checksum::word(word));
            v6.segments().into_iter().fold(0, add)
        }
    }
}

pub(super) const fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

/// Bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of a header with all the options it can have.
pub const MAX_HEADER_LEN: usize = 60;
pub(super) const DONT_FRAGMENT: u16 = 0x4000;
pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
pub(super) const OFFSET_MASK: u16 = 0x1fff;

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpFragOffset, Ipv4Header, Ipv4HeaderSlice};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = View::parse(&bytes);
            let _ = View::verify(&bytes);
        }

        #[test]
        fn header_reads_as_an_independent_parser_reads_it(
            src: [u8; 4], dst: [u8; 4], protocol: u8, ttl: u8, id: u16, df: bool, mf: bool,
            offset in 0_u16..8192, payload in 0_u16..60_000, options in 0_usize..=10, tos: u8,
        ) {
            let mut header = Ipv4Header::new(0, ttl, protocol.into(), src, dst).unwrap();
            header.options = vec_options(options);
            header.set_payload_len(usize::from(payload)).unwrap();
            header.identification = id;
            header.dont_fragment = df;
            header.more_fragments = mf;
            header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
            header.dscp = (tos >> 2).try_into().unwrap();
            header.ecn = (tos & 3).try_into().unwrap();
            header.header_checksum = header.calc_header_checksum();
            let bytes = header.to_bytes();
            let view = View::verify(&bytes).unwrap();
            let other = Ipv4HeaderSlice::from_slice(&bytes).unwrap();
            prop_assert_eq!(view.src, IpAddr::V4(other.source_addr()));
            prop_assert_eq!(view.dst, IpAddr::V4(other.destination_addr()));
            prop_assert_eq!(view.protocol, other.protocol().0);
            prop_assert_eq!(view.total_len, other.total_len());
            prop_assert_eq!(view.header(), other.slice().len());
            prop_assert_eq!(view.id, other.identification());
            prop_assert_eq!(view.dont_fragment, other.dont_fragment());
            prop_assert_eq!(view.more_fragments, other.more_fragments());
            prop_assert_eq!(view.fragment_offset, other.fragments_offset().byte_offset());
            prop_assert_eq!((view.tos, view.ttl), (tos, ttl));
        }
    }

    fn vec_options(words: usize) -> etherparse::Ipv4Options {
        let zeros = [1; 40];
        (&zeros[..words * 4]).try_into().unwrap()
    }

    #[test]
    fn address_sums_of_both_families_agree_with_their_bytes() {
        let v6: core::net::Ipv6Addr = "2001:db8::1:ff02".parse().unwrap();
        assert_eq!(address_sum(v6.into()), checksum::sum_portable(&v6.octets()));
        let v4 = Ipv4Addr::new(192, 0, 2, 255);
        assert_eq!(address_sum(v4.into()), checksum::sum_portable(&v4.octets()));
    }
}
