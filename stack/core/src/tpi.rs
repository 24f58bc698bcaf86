//! The transport provider interface: primitives between transports and those above them, as
//! bytes of M_PROTO blocks, and the bytes of M_FLUSH.
//!
//! A primitive begins with its number as a native `i32`; addresses follow as (length, offset)
//! from its start, in the layout of `sockaddr_in` and `sockaddr_in6`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bits of an M_FLUSH message: flags, and a band when the third is set.
pub mod flush {
    use millstream_msg::Band;

    /// FLUSHR: read queues.
    pub const READ: u8 = 1;
    /// FLUSHW: write queues.
    pub const WRITE: u8 = 2;
    /// FLUSHBAND: only the band in the second byte.
    pub const BAND: u8 = 4;

    /// Bits and band.
    pub fn parse(bytes: &[u8]) -> (u8, Option<Band>) {
        match *bytes {
            [bits, band, ..] if bits & BAND != 0 => (bits, Some(Band(band))),
            [bits, ..] => (bits, None),
            [] => (0, None),
        }
    }
}

/// T_UNITDATA_REQ: send a datagram.
pub const T_UNITDATA_REQ: i32 = 8;
/// T_UNBIND_REQ: give the address back.
pub const T_UNBIND_REQ: i32 = 7;
/// T_ERROR_ACK: a request was refused.
pub const T_ERROR_ACK: i32 = 18;
/// T_BIND_ACK: the address is bound.
pub const T_BIND_ACK: i32 = 17;
/// T_OK_ACK: a request was done.
pub const T_OK_ACK: i32 = 19;
/// T_UNITDATA_IND: a datagram came.
pub const T_UNITDATA_IND: i32 = 20;
/// T_UDERROR_IND: a datagram sent before could not be delivered.
pub const T_UDERROR_IND: i32 = 21;
/// T_BIND_REQ: bind an address.
pub const T_BIND_REQ: i32 = 26;
/// T_OPTMGMT_REQ: set an option.
pub const T_OPTMGMT_REQ: i32 = 27;
/// T_CONN_REQ: fix the peer's address.
pub const T_CONN_REQ: i32 = 0;

/// TBADADDR: the address is malformed.
pub const TBADADDR: i32 = 1;
/// TOUTSTATE: not in this state.
pub const TOUTSTATE: i32 = 6;
/// TSYSERR: see the error number.
pub const TSYSERR: i32 = 8;
/// TADDRBUSY: the address is in use.
pub const TADDRBUSY: i32 = 23;
/// TNOADDR: no address could be allocated.
pub const TNOADDR: i32 = 5;
/// TNOTSUPPORT: the primitive is not supported.
pub const TNOTSUPPORT: i32 = 18;

/// Largest address in a primitive: `sockaddr_in6`.
pub const ADDR_MAX: usize = 28;
/// Bytes of the longest primitive: 8 words and two addresses.
const PRIMITIVE_MAX: usize = 32 + 2 * ADDR_MAX;
/// Bytes of T_UNITDATA_IND and T_UNITDATA_REQ with an IPv6 address.
pub const UNITDATA_MAX: usize = 20 + ADDR_MAX;

/// The number of a primitive.
pub fn primitive(bytes: &[u8]) -> Option<i32> {
    word(bytes, 0)
}

/// The word at `at`, native order.
pub fn word(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The address named by a length at `at` and an offset behind it. `None` when it does not lie in
/// the primitive or is no address.
pub fn address_at(bytes: &[u8], at: usize) -> Option<SocketAddr> {
    let len = usize::try_from(word(bytes, at)?).ok()?;
    let offset = usize::try_from(word(bytes, at.checked_add(4)?)?).ok()?;
    decode_address(bytes.get(offset..offset.checked_add(len)?)?)
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Reads a `sockaddr_in` or `sockaddr_in6`.
pub fn decode_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]);
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    match family {
        AF_INET => {
            let a: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(a)), port))
        }
        AF_INET6 => {
            let a: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(a)), port))
        }
        _ => None,
    }
}

/// Writes an address; its length.
pub fn encode_address(addr: SocketAddr, out: &mut [u8; ADDR_MAX]) -> usize {
    *out = [0; ADDR_MAX];
    out[2..4].copy_from_slice(&addr.port().to_be_bytes());
    match addr.ip() {
        IpAddr::V4(a) => {
            out[..2].copy_from_slice(&AF_INET.to_ne_bytes());
            out[4..8].copy_from_slice(&a.octets());
            16
        }
        IpAddr::V6(a) => {
            out[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
            out[8..24].copy_from_slice(&a.octets());
            ADDR_MAX
        }
    }
}

/// Builds a primitive on the stack: words, then an address that the words point to.
#[derive(Clone, Copy, Debug)]
pub struct Primitive {
    bytes: [u8; PRIMITIVE_MAX],
    len: usize,
}

impl Primitive {
    /// Starts with these words.
    ///
    /// # Panics
    /// With more than 8 words.
    pub fn new(words: &[i32]) -> Self {
        let mut primitive = Self { bytes: [0; PRIMITIVE_MAX], len: 0 };
        assert!(words.len() <= 8, "a primitive of more than 8 words");
        for word in words {
            primitive.bytes[primitive.len..primitive.len + 4].copy_from_slice(&word.to_ne_bytes());
            primitive.len += 4;
        }
        primitive
    }

    /// Appends an address and writes its length and offset at `at` and `at + 4`.
    #[must_use]
    pub fn with_address(mut self, at: usize, addr: SocketAddr) -> Self {
        let mut out = [0; ADDR_MAX];
        let n = encode_address(addr, &mut out);
        self.bytes[at..at + 4].copy_from_slice(&(n as i32).to_ne_bytes());
        self.bytes[at + 4..at + 8].copy_from_slice(&(self.len as i32).to_ne_bytes());
        self.bytes[self.len..self.len + n].copy_from_slice(&out[..n]);
        self.len += n;
        self
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// T_UNITDATA_REQ to `to`.
    pub fn unitdata_req(to: SocketAddr) -> Self {
        Self::new(&[T_UNITDATA_REQ, 0, 0, 0, 0]).with_address(4, to)
    }

    /// T_UNITDATA_IND from `from`.
    pub fn unitdata_ind(from: SocketAddr) -> Self {
        Self::new(&[T_UNITDATA_IND, 0, 0, 0, 0]).with_address(4, from)
    }

    /// T_BIND_REQ for `addr` (port 0: any).
    pub fn bind_req(addr: SocketAddr) -> Self {
        Self::new(&[T_BIND_REQ, 0, 0, 0]).with_address(4, addr)
    }

    /// T_BIND_ACK of `addr`.
    pub fn bind_ack(addr: SocketAddr) -> Self {
        Self::new(&[T_BIND_ACK, 0, 0, 0]).with_address(4, addr)
    }

    /// T_CONN_REQ to `peer`.
    pub fn conn_req(peer: SocketAddr) -> Self {
        Self::new(&[T_CONN_REQ, 0, 0, 0, 0]).with_address(4, peer)
    }

    /// T_OK_ACK of a request.
    pub fn ok_ack(of: i32) -> Self {
        Self::new(&[T_OK_ACK, of])
    }

    /// T_ERROR_ACK of a request.
    pub fn error_ack(of: i32, tli: i32, errno: crate::Errno) -> Self {
        Self::new(&[T_ERROR_ACK, of, tli, errno.0])
    }

    /// T_UDERROR_IND: a datagram to `to` failed.
    pub fn uderror_ind(to: SocketAddr, errno: crate::Errno) -> Self {
        Self::new(&[T_UDERROR_IND, 0, 0, 0, 0, errno.0]).with_address(4, to)
    }
}
