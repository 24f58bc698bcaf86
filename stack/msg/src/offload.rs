//! What is left to do to a packet before it is on the wire, with the meaning of
//! `struct virtio_net_hdr`, and [`finish()`] which does it in software.

mod finish;

pub use finish::{Can, Refusal, finish};

/// Request of a packet on its way down, or report on one on its way up. 10 bytes.
///
/// Offsets count from the first byte of the message; `prepend` and `trim_front` move them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Offload {
    /// The transport checksum is not there yet: the sum from `csum_start` to the end belongs at
    /// `csum_start + csum_offset`, where the pseudo-header's sum already stands.
    pub needs_csum: bool,
    /// What to cut the packet into.
    pub gso: Gso,
    /// Bytes of payload of each piece when `gso` is not `None`.
    pub gso_size: u16,
    /// Bytes of all headers. A hint, 0 when unknown.
    pub hdr_len: u16,
    /// First byte that the checksum covers.
    pub csum_start: u16,
    /// Place of the checksum behind `csum_start`.
    pub csum_offset: u16,
}

const _: () = assert!(size_of::<Offload>() == 10);

/// What a super-frame is cut into (`gso_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Gso {
    /// The packet is one packet.
    #[default]
    None = 0,
    /// TCP segments over IPv4.
    TcpV4 = 1,
    /// TCP segments over IPv6.
    TcpV6 = 4,
    /// UDP datagrams (USO).
    Udp = 5,
    /// TCP segments over IPv4, CWR on the first one only (RFC 3168).
    TcpV4Ecn = 0x81,
    /// TCP segments over IPv6, CWR on the first one only.
    TcpV6Ecn = 0x84,
}

impl Gso {
    /// The type with this number in a virtio-net header; `None` for one we do not know.
    pub const fn from_virtio(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::TcpV4),
            4 => Some(Self::TcpV6),
            5 => Some(Self::Udp),
            0x81 => Some(Self::TcpV4Ecn),
            0x84 => Some(Self::TcpV6Ecn),
            _ => None,
        }
    }

    /// True for the TCP types.
    pub const fn is_tcp(self) -> bool {
        matches!(self, Self::TcpV4 | Self::TcpV6 | Self::TcpV4Ecn | Self::TcpV6Ecn)
    }
}

impl Offload {
    /// Nothing is left to do.
    pub const NONE: Self = Self {
        needs_csum: false,
        gso: Gso::None,
        gso_size: 0,
        hdr_len: 0,
        csum_start: 0,
        csum_offset: 0,
    };

    /// True when the packet stands for several.
    #[inline]
    pub const fn is_super(&self) -> bool {
        !matches!(self.gso, Gso::None)
    }

    /// Moves the offsets after `by` bytes came in front (or went, when negative). A checksum
    /// whose start went cannot be made any more; what the packet is cut into stays known.
    #[inline]
    pub(crate) fn shift(&mut self, by: i64) {
        if self.needs_csum || self.is_super() {
            let start = i64::from(self.csum_start) + by;
            self.needs_csum &= (0..=i64::from(u16::MAX)).contains(&start);
            self.csum_start = start.clamp(0, u16::MAX.into()) as u16;
            if self.hdr_len != 0 {
                let headers = i64::from(self.hdr_len) + by;
                self.hdr_len = headers.clamp(0, u16::MAX.into()) as u16;
            }
        }
    }

    /// Packets that the wire sees for a message of `len` bytes.
    pub fn packets(&self, len: usize) -> usize {
        if !self.is_super() || self.gso_size == 0 {
            return 1;
        }
        let headers = usize::from(self.hdr_len.max(self.csum_start));
        len.saturating_sub(headers).div_ceil(usize::from(self.gso_size)).max(1)
    }
}
